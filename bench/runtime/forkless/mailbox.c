// SPDX-License-Identifier: Apache-2.0
//
// Mailbox: threads from outside send as fast as they can to one actor.
// Parameters: threads, messages from each. Operations: messages. Checksum: all payloads received.

#include "kit.h"

#include <pthread.h>
#include <stdlib.h>

struct sink {
    fkl_actor *actor;
    int64_t messages; // from each thread
    int64_t left;
    int64_t sum;
};

static fkl_turn take(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct sink *sink = state;
    (void)self;
    sink->sum += kit_take(msg);
    return --sink->left ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static const fkl_behaviour takes = {.receive = take};

static void *produce(void *arg)
{
    const struct sink *sink = arg;
    for (int64_t i = 1; i <= sink->messages; ++i)
        kit_send(sink->actor, 0, i);
    return NULL;
}

kit_result run_mailbox(const int64_t *params)
{
    int64_t threads = params[0], messages = params[1];
    struct sink sink = {.messages = messages, .left = threads * messages};
    pthread_t *producers = kit_alloc(threads, sizeof *producers);
    sink.actor = kit_spawn(&takes, &sink);
    fkl_actor_retain(sink.actor); // the last sender may still be in its call
    fkl_time begin = fkl_now();
    for (int64_t i = 0; i < threads; ++i) {
        if (pthread_create(&producers[i], NULL, produce, &sink))
            kit_fail("no thread");
    }
    kit_join(sink.actor);
    fkl_time ns = fkl_now() - begin;
    for (int64_t i = 0; i < threads; ++i)
        pthread_join(producers[i], NULL);
    fkl_actor_release(sink.actor);
    free(producers);
    return (kit_result){ns, threads * messages, sink.sum, 0, NULL};
}
