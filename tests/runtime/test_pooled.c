// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors: what their behaviours see, and that all else is as with thread actors.
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

static void note_start(fkl_actor *self, void *state)
{
    struct seen *seen = state;
    seen->starts++;
    seen->self_is_right = fkl_self() == self;
}

static void note_finish(fkl_actor *self, void *state)
{
    struct seen *seen = state;
    seen->finishes++;
    seen->self_is_right &= fkl_self() == self;
}

static fkl_turn note(fkl_actor *self, fkl_msg *msg, void *state)
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

static fkl_actor *spawn(fkl_runtime *runtime, const fkl_behaviour *behaviour, void *state)
{
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn_pooled(runtime, NULL, behaviour, state, &actor));
    cr_assert_not_null(actor);
    return actor;
}

Test(pooled, messages_arrive_in_order_until_the_behaviour_ends_it)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    for (uint64_t tag = 10; tag > 0; tag--) {
        rig_send(actor, tag);
    }
    rig_send(actor, 0);
    fkl_exit record = rig_join(actor);
    cr_assert_eq(record.reason, FKL_EXIT_NORMAL);
    cr_assert_eq(seen.count, 11);
    for (int i = 0; i < 11; i++) {
        cr_assert_eq(seen.tags[i], (uint64_t)(10 - i));
    }
    cr_assert_eq(seen.starts, 1);
    cr_assert_eq(seen.finishes, 1);
    cr_assert(seen.self_is_right);
    rig_destroy(runtime);
}

Test(pooled, a_stop_ends_an_idle_actor)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    rig_send(actor, 1);
    assert_eventually(rig_waits_in(actor, "idle"));
    fkl_actor_stop(actor);
    fkl_exit record = rig_join(actor);
    cr_assert_eq(record.reason, FKL_EXIT_STOPPED);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.finishes, 1);
    rig_destroy(runtime);
}

Test(pooled, a_kill_publishes_at_once_and_finish_runs)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    cr_assert(fkl_actor_kill(actor, 7));
    fkl_exit record;
    assert_ok(fkl_actor_try_exit(actor, &record));
    cr_assert_eq(record.reason, FKL_EXIT_KILLED);
    cr_assert_eq(record.code, 7);
    rig_join(actor);
    cr_assert_eq(seen.finishes, 1);
    rig_destroy(runtime);
}

Test(pooled, a_shutdown_ends_all)
{
    fkl_runtime *runtime = rig_create();
    static struct seen seen[100];
    for (int i = 0; i < 100; i++) {
        assert_ok(fkl_spawn_pooled(runtime, NULL, &noting, &seen[i], NULL));
    }
    rig_destroy(runtime);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(seen[i].finishes, 1);
    }
}
