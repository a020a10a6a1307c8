// SPDX-License-Identifier: Apache-2.0
//
// Counting: one actor sends as fast as it can to another, then asks for the total.
// Parameters: messages. Operations: messages. Checksum: all payloads received.

#include "kit.h"

enum { START, INCREMENT, RETRIEVE, RESULT };

// What the one writes for each message and the other reads lies apart, as an actor's own data
// would.
struct producer {
    _Alignas(KIT_CACHE_LINE) fkl_actor *counter;
    int64_t messages;
    int64_t result;
};

struct counter {
    _Alignas(KIT_CACHE_LINE) int64_t sum;
};

static fkl_turn produce(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct producer *producer = state;
    (void)self;
    bool start = fkl_msg_tag(msg) == START;
    producer->result = kit_take(msg);
    if (!start)
        return FKL_TURN_END;
    for (int64_t i = 1; i <= producer->messages; ++i)
        kit_send(producer->counter, INCREMENT, i);
    kit_send(producer->counter, RETRIEVE, 0);
    return FKL_TURN_CONTINUE;
}

static fkl_turn count(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct counter *counter = state;
    (void)self;
    if (fkl_msg_tag(msg) == INCREMENT) {
        counter->sum += kit_take(msg);
        return FKL_TURN_CONTINUE;
    }
    kit_send_id(fkl_msg_sender(msg), RESULT, counter->sum);
    fkl_msg_destroy(msg);
    return FKL_TURN_END;
}

static const fkl_behaviour produces = {.receive = produce};
static const fkl_behaviour counts = {.receive = count};

kit_result run_counting(const int64_t *params)
{
    struct counter counter = {0};
    struct producer producer = {.messages = params[0]};
    producer.counter = kit_spawn(&counts, &counter);
    fkl_actor *actor = kit_spawn(&produces, &producer);
    fkl_time begin = fkl_now();
    kit_send(actor, START, 0);
    kit_join(actor);
    fkl_time ns = fkl_now() - begin;
    kit_join(producer.counter);
    return (kit_result){ns, params[0], producer.result, 0, NULL};
}
