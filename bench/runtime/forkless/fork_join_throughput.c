// SPDX-License-Identifier: Apache-2.0
//
// Fork-join throughput: messages from outside to many actors in turn, until all of them have had
// theirs. Parameters: actors, messages to each. Operations: messages. Checksum: all payloads
// received.

#include "kit.h"

#include <stdlib.h>

struct worker {
    fkl_actor *actor;
    int64_t left;
    int64_t sum;
};

static fkl_turn work(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct worker *worker = state;
    (void)self;
    worker->sum += kit_take(msg);
    return --worker->left ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static const fkl_behaviour works = {.receive = work};

kit_result run_fork_join_throughput(const int64_t *params)
{
    int64_t actors = params[0], messages = params[1], sum = 0;
    struct worker *workers = kit_alloc(actors, sizeof *workers);
    for (int64_t i = 0; i < actors; ++i) {
        workers[i].left = messages;
        workers[i].actor = kit_spawn(&works, &workers[i]);
    }
    fkl_time begin = fkl_now();
    for (int64_t value = 1; value <= messages; ++value) {
        for (int64_t i = 0; i < actors; ++i)
            kit_send(workers[i].actor, 0, value);
    }
    for (int64_t i = 0; i < actors; ++i) {
        kit_join(workers[i].actor);
        sum += workers[i].sum;
    }
    fkl_time ns = fkl_now() - begin;
    free(workers);
    return (kit_result){ns, actors * messages, sum, 0, NULL};
}
