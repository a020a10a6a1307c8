// SPDX-License-Identifier: Apache-2.0

#include "support/rig.h"

#include "platform/platform.h"

#include <stdio.h>

static size_t name_count(fkl_runtime *runtime)
{
    size_t count = 0;
    fkl_names(runtime, NULL, 0, &count);
    return count;
}

static void stop_and_join(fkl_actor *actor)
{
    fkl_actor_stop(actor);
    rig_join(actor);
}

Test(names, a_registered_actor_is_found_by_its_name)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL), *found = NULL;
    fkl_actor_id id = FKL_NOBODY;
    char name[FKL_NAME_MAX + 1] = "";
    assert_err(fkl_whereis(runtime, "worker", &id), FKL_ENOACTOR);
    cr_assert_not(fkl_registered_name(actor, name));
    assert_ok(fkl_register(actor, "worker"));
    assert_ok(fkl_whereis(runtime, "worker", &id));
    cr_assert_eq(id, fkl_actor_get_id(actor));
    assert_ok(fkl_whereis_actor(runtime, "worker", &found));
    cr_assert_eq(found, actor);
    fkl_actor_release(found);
    cr_assert(fkl_registered_name(actor, name));
    cr_assert_str_eq(name, "worker");
    assert_err(fkl_whereis(runtime, "work", &id), FKL_ENOACTOR);
    assert_err(fkl_whereis(runtime, NULL, &id), FKL_ENOACTOR);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(names, a_name_and_an_actor_have_one_of_the_other)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *one = rig_spawn(runtime, act_idle, NULL),
              *other = rig_spawn(runtime, act_idle, NULL);
    assert_ok(fkl_register(one, "one"));
    assert_err(fkl_register(one, "two"), FKL_EEXIST);
    assert_err(fkl_register(one, "one"), FKL_EEXIST);
    assert_err(fkl_register(other, "one"), FKL_EEXIST);
    assert_ok(fkl_register(other, "two"));
    cr_assert_eq(name_count(runtime), 2);
    stop_and_join(one);
    stop_and_join(other);
    rig_destroy(runtime);
}

Test(names, an_unregistered_name_can_be_given_again)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *one = rig_spawn(runtime, act_idle, NULL),
              *other = rig_spawn(runtime, act_idle, NULL);
    fkl_actor_id id;
    assert_err(fkl_unregister(runtime, "name"), FKL_ENOACTOR);
    assert_err(fkl_unregister(runtime, NULL), FKL_ENOACTOR);
    assert_ok(fkl_register(one, "name"));
    assert_ok(fkl_unregister(runtime, "name"));
    assert_err(fkl_whereis(runtime, "name", &id), FKL_ENOACTOR);
    assert_err(fkl_unregister(runtime, "name"), FKL_ENOACTOR);
    assert_ok(fkl_register(other, "name"));
    assert_ok(fkl_register(one, "other name"));
    assert_ok(fkl_whereis(runtime, "name", &id));
    cr_assert_eq(id, fkl_actor_get_id(other));
    stop_and_join(one);
    stop_and_join(other);
    rig_destroy(runtime);
}

Test(names, who_joins_an_actor_finds_its_name_free)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *previous = NULL;
    for (int i = 0; i < 50; i++) {
        fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
        assert_ok(fkl_register(actor, "the one"));
        if (i % 2) {
            fkl_actor_stop(actor);
        } else {
            fkl_actor_kill(actor, 9);
        }
        assert_ok(fkl_actor_join_until(actor, SOON, NULL)); // the exit, not the thread
        cr_assert_eq(name_count(runtime), 0);
        fkl_actor_release(previous);
        previous = actor;
    }
    fkl_actor_release(previous);
    rig_destroy(runtime);
}

Test(names, the_dead_get_none)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(runtime, act_stubborn, &gate);
    fkl_actor_kill(actor, 1); // its thread still runs
    assert_err(fkl_register(actor, "ghost"), FKL_ENOACTOR);
    cr_assert_eq(name_count(runtime), 0);
    atomic_store(&gate.open, true);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(names, bad_names_are_refused)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    char longest[FKL_NAME_MAX + 2], name[FKL_NAME_MAX + 1];
    memset(longest, 'x', sizeof longest);
    longest[FKL_NAME_MAX + 1] = '\0';
    assert_err(fkl_register(actor, NULL), FKL_EINVAL);
    assert_err(fkl_register(actor, ""), FKL_EINVAL);
    assert_err(fkl_register(actor, longest), FKL_EINVAL);
    longest[FKL_NAME_MAX] = '\0';
    assert_ok(fkl_register(actor, longest));
    cr_assert(fkl_registered_name(actor, name));
    cr_assert_str_eq(name, longest);
    fkl_name_row row;
    size_t count = 0;
    fkl_names(runtime, &row, 1, &count);
    cr_assert_str_eq(row.name, longest);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(names, a_message_reaches_whoever_has_the_name)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = FKL_FOREVER};
    fkl_msg *msg = rig_msg(4);
    assert_err(fkl_send_named(runtime, "server", msg), FKL_ENOACTOR);
    fkl_actor *actor = rig_spawn(runtime, act_receive_once, &receipt);
    assert_ok(fkl_register(actor, "server"));
    assert_eventually(rig_waits(actor));
    assert_ok(fkl_send_named(runtime, "server", msg));
    rig_join(actor);
    assert_ok(receipt.err);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.sent, 2);
    cr_assert_eq(count.dead_lettered, 1);
    rig_destroy(runtime);
}

static void act_see_name(fkl_actor *self, void *arg)
{
    fkl_registered_name(self, arg);
    act_idle(self, NULL);
}

Test(names, a_spawned_actor_has_its_name_before_its_function_runs)
{
    fkl_runtime *runtime = rig_create();
    fkl_spawn_options options = {.register_as = "early"};
    char name[FKL_NAME_MAX + 1] = "";
    fkl_actor *actor = NULL;
    fkl_actor_id id;
    assert_ok(fkl_spawn(runtime, &options, act_see_name, name, &actor));
    assert_ok(fkl_whereis(runtime, "early", &id));
    cr_assert_eq(id, fkl_actor_get_id(actor));
    stop_and_join(actor);
    cr_assert_str_eq(name, "early");
    rig_destroy(runtime);
}

Test(names, a_spawn_whose_name_is_taken_starts_nothing)
{
    fkl_runtime *runtime = rig_create();
    fkl_spawn_options options = {.register_as = "only"}, bad = {.register_as = ""};
    fkl_actor *first = NULL, *second = NULL;
    char name[FKL_NAME_MAX + 1] = "";
    assert_ok(fkl_spawn(runtime, &options, act_idle, NULL, &first));
    assert_err(fkl_spawn(runtime, &options, act_see_name, name, &second), FKL_EEXIST);
    assert_err(fkl_spawn(runtime, &options, act_see_name, name, NULL), FKL_EEXIST);
    assert_err(fkl_spawn(runtime, &bad, act_see_name, name, &second), FKL_EINVAL);
    cr_assert_null(second);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.spawned, 1);
    cr_assert_eq(count.live, 1);
    stop_and_join(first);
    assert_ok(fkl_spawn(runtime, &options, act_see_name, name, &second));
    stop_and_join(second);
    rig_destroy(runtime);
    cr_assert_str_eq(name, "only");
}

Test(names, a_spawn_that_gets_no_thread_leaves_no_name)
{
    fkl_runtime *runtime = rig_create();
    fkl_spawn_options options = {.register_as = "unborn"};
    fkli_fault_thread_start(0, 1);
    assert_err(fkl_spawn(runtime, &options, act_idle, NULL, NULL), FKL_ETHREAD);
    cr_assert_eq(name_count(runtime), 0);
    rig_destroy(runtime);
}

Test(names, all_names_can_be_listed)
{
    enum { COUNT = 200 };
    fkl_runtime *runtime = rig_create();
    fkl_actor *actors[COUNT];
    fkl_name_row rows[COUNT];
    size_t count = 0;
    for (int i = 0; i < COUNT; i++) {
        char name[16];
        snprintf(name, sizeof name, "actor %d", i);
        actors[i] = rig_spawn(runtime, act_idle, NULL);
        assert_ok(fkl_register(actors[i], name));
    }
    fkl_names(runtime, rows, 3, &count);
    cr_assert_eq(count, COUNT);
    fkl_names(runtime, rows, COUNT, &count);
    cr_assert_eq(count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        fkl_actor_id id;
        assert_ok(fkl_whereis(runtime, rows[i].name, &id));
        cr_assert_eq(id, rows[i].id);
    }
    for (int i = 0; i < COUNT; i++) {
        stop_and_join(actors[i]);
    }
    cr_assert_eq(name_count(runtime), 0);
    rig_destroy(runtime);
}

Test(names, out_of_memory_registers_nothing)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1);
    assert_err(fkl_register(actor, "name"), FKL_ENOMEM);
    atomic_store(&memory.fail_at, 0);
    cr_assert_eq(name_count(runtime), 0);
    assert_ok(fkl_register(actor, "name"));
    stop_and_join(actor);
    // A spawn fails at each of its allocations, also at that of the name.
    fkl_spawn_options options = {.register_as = "name"};
    for (long at = 1;; at++) {
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + at);
        fkl_err err = fkl_spawn(runtime, &options, act_idle, NULL, &actor);
        atomic_store(&memory.fail_at, 0);
        if (err == FKL_OK) {
            cr_assert_geq(at, 3);
            break;
        }
        assert_err(err, FKL_ENOMEM);
        cr_assert_eq(name_count(runtime), 0);
    }
    stop_and_join(actor);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

static fkl_turn turn_name(fkl_actor *self, fkl_msg *msg, void *state)
{
    fkl_registered_name(self, state);
    fkl_msg_destroy(msg);
    return FKL_TURN_END;
}

Test(names, a_pooled_actor_has_a_name_too)
{
    fkl_runtime *runtime = rig_create();
    fkl_spawn_options options = {.register_as = "pooled"};
    fkl_behaviour behaviour = {.receive = turn_name};
    fkl_actor *actor = NULL;
    char name[FKL_NAME_MAX + 1] = "";
    assert_ok(fkl_spawn_pooled(runtime, &options, &behaviour, name, &actor));
    assert_err(fkl_spawn_pooled(runtime, &options, &behaviour, name, NULL), FKL_EEXIST);
    assert_ok(fkl_send_named(runtime, "pooled", rig_msg(1)));
    rig_join(actor);
    cr_assert_str_eq(name, "pooled");
    cr_assert_eq(name_count(runtime), 0);
    assert_ok(fkl_spawn_pooled(runtime, &options, &behaviour, name, &actor));
    stop_and_join(actor);
    rig_destroy(runtime);
}
