// SPDX-License-Identifier: Apache-2.0
//
// Ids: a lookup finds the live actor with the id and no other, however often its slot is used
// again, and the table grows to the limit.
#include "support/rig.h"

Test(registry, an_id_of_a_dead_actor_never_names_another_one, .timeout = 60)
{
    fkl_runtime_config config = {.max_actors = 1}; // one slot, so that it is used again and again
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    enum { ROUNDS = 50 };
    fkl_actor_id ids[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
        ids[i] = fkl_actor_get_id(actor);
        for (int j = 0; j < i; j++) {
            fkl_actor *found = NULL;
            fkl_msg *msg = rig_msg(1);
            cr_assert_neq(ids[i], ids[j]);
            assert_err(fkl_actor_find(runtime, ids[j], &found), FKL_ENOACTOR);
            cr_assert_null(found);
            assert_err(fkl_send(runtime, ids[j], msg), FKL_ENOACTOR);
            fkl_msg_destroy(msg);
        }
        fkl_actor_stop(actor);
        rig_join(actor);
    }
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.dead_lettered, ROUNDS * (ROUNDS - 1) / 2);
    cr_assert_eq(count.handled, 0);
    rig_destroy(runtime);
}

Test(registry, find_gives_a_reference_to_the_live_actor_only, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
    fkl_actor_id id = fkl_actor_get_id(actor);
    fkl_actor *found = NULL;
    assert_ok(fkl_actor_find(runtime, id, &found));
    cr_assert_eq(found, actor);
    fkl_actor_release(found);
    fkl_actor_stop(actor);
    rig_join(actor);
    fkl_actor_id strangers[] = {id, FKL_NOBODY, UINT64_MAX, id + 1, id ^ (1ull << 63)};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        found = NULL;
        assert_err(fkl_actor_find(runtime, strangers[i], &found), FKL_ENOACTOR);
        cr_assert_null(found);
    }
    rig_destroy(runtime);
}

Test(registry, a_reference_outlives_actor_and_slot, .timeout = 60)
{
    fkl_runtime_config config = {.max_actors = 1};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *first = rig_spawn(runtime, act_return, NULL);
    fkl_exit record;
    assert_ok(fkl_actor_join_thread_until(first, SOON));
    rig_join(rig_spawn(runtime, act_return, NULL));
    assert_ok(fkl_actor_try_exit(first, &record));
    cr_assert_eq(record.id, fkl_actor_get_id(first));
    cr_assert_eq(fkl_actor_retain(first), first);
    fkl_actor_release(first);
    fkl_actor_release(first);
    fkl_actor_release(NULL);
    rig_destroy(runtime);
}

Test(registry, grows_beyond_its_first_chunks, .timeout = 120)
{
    enum { COUNT = 300 };
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        fkl_spawn_options options = {.stack_size = 64 * 1024};
        assert_ok(fkl_spawn(runtime, &options, act_stubborn, &gate, &actors[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        fkl_actor *found = NULL;
        assert_ok(fkl_actor_find(runtime, fkl_actor_get_id(actors[i]), &found));
        cr_assert_eq(found, actors[i]);
        fkl_actor_release(found);
    }
    size_t running = 0;
    fkl_runtime_running(runtime, NULL, 0, &running);
    cr_assert_eq(running, COUNT);
    atomic_store(&gate.open, true);
    for (int i = 0; i < COUNT; i++) {
        rig_join(actors[i]);
    }
    rig_destroy(runtime);
}

Test(registry, ids_that_no_table_could_hold_name_nobody)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *found = NULL;
    for (unsigned low = 0; low < 32; low++) {
        for (unsigned high = 32; high < 64; high++) {
            fkl_actor_id id = (1ull << low) | (1ull << high);
            fkl_msg *msg = rig_msg(1);
            assert_err(fkl_actor_find(runtime, id, &found), FKL_ENOACTOR);
            assert_err(fkl_send(runtime, id, msg), FKL_ENOACTOR);
            fkl_msg_destroy(msg);
        }
    }
    assert_err(fkl_actor_find(runtime, UINT64_MAX, &found), FKL_ENOACTOR);
    cr_assert_null(found);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.sent, 32 * 32);
    cr_assert_eq(count.dead_lettered, 32 * 32);
    rig_destroy(runtime);
}

// What fkl_find() and fkl_send() see while the only slot changes hands all the time.
struct churn {
    fkl_runtime *runtime;
    atomic_ullong id;
    atomic_bool over;
    int wrong;
};

static void look_up(fkl_actor *self, void *arg)
{
    struct churn *churn = arg;
    (void)self;
    while (!atomic_load(&churn->over)) {
        fkl_actor_id id = atomic_load(&churn->id);
        fkl_actor *found = NULL;
        if (fkl_actor_find(churn->runtime, id, &found) == FKL_OK) {
            churn->wrong += fkl_actor_get_id(found) != id;
            fkl_actor_release(found);
        }
    }
}

Test(registry, a_lookup_that_races_with_reuse_never_finds_a_stranger, .timeout = 60)
{
    fkl_runtime *other = rig_create();
    fkl_runtime_config config = {.max_actors = 1};
    struct churn churn = {0};
    assert_ok(fkl_runtime_create(&config, &churn.runtime));
    fkl_actor *looking = rig_spawn(other, look_up, &churn);
    for (int i = 0; i < 300; i++) {
        fkl_actor *actor = rig_spawn(churn.runtime, act_return, NULL);
        atomic_store(&churn.id, fkl_actor_get_id(actor));
        rig_join(actor);
    }
    atomic_store(&churn.over, true);
    rig_join(looking);
    cr_assert_eq(churn.wrong, 0);
    rig_destroy(churn.runtime);
    rig_destroy(other);
}
