// SPDX-License-Identifier: Apache-2.0
//
// Big: each actor sends pings to actors that it chooses by chance, the next one when the last has
// been answered, and answers those of the others meanwhile.
// Parameters: actors, pings from each. Operations: messages, two for each ping. Checksum: the
// payloads of the pings times the number of the actor that got it, and those of the answers.

#include "kit.h"

#include <stdlib.h>

enum { START, PING, PONG, DONE, END };

struct worker {
    fkl_actor *actor;
    const struct crowd *crowd;
    int64_t number; // from 1
    int64_t sent;
    int64_t sum;
    uint32_t random;
};

struct crowd {
    int64_t actors;
    int64_t pings;
    struct worker *workers;
    fkl_actor *sink;
};

static void send_ping(struct worker *worker)
{
    const struct crowd *crowd = worker->crowd;
    worker->random = worker->random * 69069 + 1;
    // The low bits of such a generator are not random.
    int64_t chosen = (int64_t)(worker->random >> 8) % crowd->actors;
    kit_send(crowd->workers[chosen].actor, PING, ++worker->sent);
}

static fkl_turn work(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct worker *worker = state;
    (void)self;
    uint64_t kind = fkl_msg_tag(msg);
    fkl_actor_id sender = fkl_msg_sender(msg);
    int64_t value = kit_take(msg);
    if (kind == END)
        return FKL_TURN_END;
    if (kind == PING) {
        worker->sum += value * worker->number;
        kit_send_id(sender, PONG, value);
        return FKL_TURN_CONTINUE;
    }
    worker->sum += value;
    if (value < worker->crowd->pings)
        send_ping(worker);
    else
        kit_send(worker->crowd->sink, DONE, 0);
    return FKL_TURN_CONTINUE;
}

static fkl_turn wait_for_all(fkl_actor *self, fkl_msg *msg, void *state)
{
    int64_t *left = state;
    (void)self;
    fkl_msg_destroy(msg);
    return --*left ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static const fkl_behaviour works = {.receive = work};
static const fkl_behaviour waits_for_all = {.receive = wait_for_all};

kit_result run_big(const int64_t *params)
{
    int64_t count = params[0], left = count, sum = 0;
    struct crowd crowd = {.actors = count, .pings = params[1]};
    struct worker *workers = crowd.workers = kit_alloc(count, sizeof *workers);
    crowd.sink = kit_spawn(&waits_for_all, &left);
    for (int64_t i = 0; i < count; ++i) {
        workers[i] = (struct worker){.crowd = &crowd, .number = i + 1, .random = (uint32_t)i + 1};
        workers[i].actor = kit_spawn(&works, &workers[i]);
    }
    fkl_time begin = fkl_now();
    for (int64_t i = 0; i < count; ++i)
        kit_send(workers[i].actor, START, 0);
    kit_join(crowd.sink);
    fkl_time ns = fkl_now() - begin;
    for (int64_t i = 0; i < count; ++i)
        kit_send(workers[i].actor, END, 0);
    for (int64_t i = 0; i < count; ++i) {
        kit_join(workers[i].actor);
        sum += workers[i].sum;
    }
    free(workers);
    return (kit_result){ns, 2 * count * crowd.pings, sum, 0, NULL};
}
