// SPDX-License-Identifier: Apache-2.0
//
// Fork-join create: an actor is made and sent a message, passes it to a collector and ends; again
// and again. Parameters: actors. Operations: actors. Checksum: all payloads that the collector got.

#include "kit.h"

struct collector {
    fkl_actor *actor;
    int64_t left;
    int64_t sum;
};

static fkl_turn collect(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct collector *collector = state;
    (void)self;
    collector->sum += kit_take(msg);
    return --collector->left ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static fkl_turn pass_on(fkl_actor *self, fkl_msg *msg, void *state)
{
    const struct collector *collector = state;
    (void)self;
    kit_send(collector->actor, 0, kit_take(msg));
    return FKL_TURN_END;
}

static const fkl_behaviour collects = {.receive = collect};
static const fkl_behaviour passes_on = {.receive = pass_on};

kit_result run_fork_join_create(const int64_t *params)
{
    struct collector collector = {.left = params[0]};
    collector.actor = kit_spawn(&collects, &collector);
    fkl_time begin = fkl_now();
    for (int64_t i = 1; i <= params[0]; ++i) {
        fkl_actor *actor = kit_spawn(&passes_on, &collector);
        kit_send(actor, 0, i);
        fkl_actor_release(actor);
    }
    kit_join(collector.actor);
    fkl_time ns = fkl_now() - begin;
    return (kit_result){ns, params[0], collector.sum, 0, NULL};
}
