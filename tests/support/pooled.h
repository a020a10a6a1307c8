// SPDX-License-Identifier: Apache-2.0
//
// What the tests of pooled actors share: a behaviour that notes what it sees, and one that waits at
// a gate.
#ifndef FKL_TESTS_SUPPORT_POOLED_H
#define FKL_TESTS_SUPPORT_POOLED_H

#include "support/rig.h"

// What a behaviour saw. Plain on purpose: turns are ordered.
struct seen {
    uint64_t tags[16];
    int count;
    int starts;
    int finishes;
    bool self_is_right;
    atomic_int messages;
};

static inline void note_start(fkl_actor *self, void *state)
{
    struct seen *seen = state;
    seen->starts++;
    seen->self_is_right = fkl_self() == self;
}

static inline void note_finish(fkl_actor *self, void *state)
{
    struct seen *seen = state;
    seen->finishes++;
    seen->self_is_right &= fkl_self() == self;
}

static inline fkl_turn note(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct seen *seen = state;
    uint64_t tag = fkl_msg_tag(msg);
    seen->tags[seen->count++ % 16] = tag;
    seen->self_is_right &= fkl_self() == self;
    atomic_fetch_add(&seen->messages, 1);
    fkl_msg_destroy(msg);
    return tag == 0 ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

static const fkl_behaviour noting = {note, note_start, note_finish};

static inline fkl_runtime *create_with(uint32_t workers)
{
    fkl_runtime_config config = {.pool_workers = workers};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    return runtime;
}

static inline fkl_actor *spawn(fkl_runtime *runtime, const fkl_behaviour *behaviour, void *state)
{
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn_pooled(runtime, NULL, behaviour, state, &actor));
    cr_assert_not_null(actor);
    return actor;
}

static inline fkl_turn wait_at_gate(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    fkl_msg_destroy(msg);
    rig_pass(state);
    return FKL_TURN_CONTINUE;
}

static const fkl_behaviour waiting = {.receive = wait_at_gate};

#endif
