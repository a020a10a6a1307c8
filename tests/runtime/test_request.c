// SPDX-License-Identifier: Apache-2.0
//
// What users ask for: adding, removing, restarting; who may ask, and what is said when it cannot be
// done.
#include "support/tree.h"

#define HOUR INT64_C(3600000000000)

static fkl_actor *start_empty(fkl_runtime *runtime)
{
    return tree_start(runtime, NULL);
}

Test(request, requests_to_another_actor_are_refused, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL), *pooled = NULL;
    fkl_child_spec spec = {.fn = act_idle};
    fkl_child_info info;
    fkl_supervisor_counts counts;
    size_t count;
    tree_kid kid = TREE_KID("a", NULL);
    assert_ok(fkl_spawn_pooled(runtime, NULL, &pooled_kid, &kid, &pooled));
    fkl_actor *others[] = {actor, pooled};
    for (int i = 0; i < 2; i++) {
        assert_err(fkl_supervisor_add_until(others[i], &spec, SOON, NULL), FKL_ETYPE);
        assert_err(fkl_supervisor_remove_until(others[i], 1, SOON), FKL_ETYPE);
        assert_err(fkl_supervisor_restart_until(others[i], 1, SOON), FKL_ETYPE);
        assert_err(fkl_supervisor_children(others[i], 0, &info, 1, &count), FKL_ETYPE);
        assert_err(fkl_supervisor_child(others[i], 1, &info), FKL_ETYPE);
        assert_err(fkl_supervisor_find(others[i], "a", &info), FKL_ETYPE);
        assert_err(fkl_supervisor_count(others[i], &counts), FKL_ETYPE);
        fkl_actor_stop(others[i]);
        rig_join(others[i]);
    }
    rig_destroy(runtime);
}

Test(request, requests_after_its_end_are_refused, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = start_empty(runtime);
    fkl_child_spec spec = {.id = "a", .fn = act_idle};
    fkl_child_info info;
    size_t count = 7;
    tree_add(boss, &spec);
    fkl_actor_stop(boss);
    assert_ok(fkl_actor_join_until(boss, SOON, NULL));
    assert_err(fkl_supervisor_add_until(boss, &spec, SOON, NULL), FKL_ENOACTOR);
    assert_err(fkl_supervisor_remove_until(boss, 1, SOON), FKL_ENOACTOR);
    assert_err(fkl_supervisor_restart_until(boss, 1, SOON), FKL_ENOACTOR);
    assert_ok(fkl_supervisor_children(boss, 0, &info, 1, &count));
    cr_assert_eq(count, 0);
    assert_err(fkl_supervisor_find(boss, "a", &info), FKL_ENOACTOR);
    cr_assert_eq(tree_counts(boss).children, 0);
    rig_join(boss);
    rig_destroy(runtime);
}

// ---- adding and removing

Test(request, children_come_and_go, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = start_empty(runtime);
    tree_kid a = TREE_KID("a", NULL), b = TREE_KID("b", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a)};
    fkl_child first = tree_add(boss, &spec);
    assert_err(fkl_supervisor_add_until(boss, &spec, SOON, NULL), FKL_EEXIST);
    fkl_child second = tree_add(boss, &(fkl_child_spec){TREE_SPEC(NULL, &b)});
    cr_assert_gt(second, first);
    tree_await(&a, 1);
    tree_await(&b, 1);
    cr_assert_eq(tree_counts(boss).running, 2);
    assert_ok(fkl_supervisor_remove_until(boss, first, SOON));
    cr_assert_eq(atomic_load(&a.running), 0);
    assert_err(fkl_supervisor_remove_until(boss, first, SOON), FKL_ENOACTOR);
    fkl_child third = tree_add(boss, &spec);
    cr_assert_gt(third, second);
    tree_await(&a, 2);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(request, an_addition_whose_start_fails_leaves_nothing, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    fkl_actor *boss = start_empty(runtime);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec inner = {TREE_SPEC("x", &a)};
    fkl_supervisor_options nested = {.children = &inner, .child_count = 1};
    fkl_child child = 99;
    a.unprepared = FKL_EOS;
    assert_err(fkl_supervisor_add_until(boss, &inner, SOON, &child), FKL_EOS);
    assert_err(fkl_supervisor_add_until(boss, &(fkl_child_spec){.id = "n", .supervisor = &nested},
                                        SOON, &child),
               FKL_EOS);
    cr_assert_eq(child, 99);
    cr_assert_eq(tree_counts(boss).children, 0);
    cr_assert_eq(tree_counts(boss).failures, 0);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(request, a_supervisor_can_be_added, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = start_empty(runtime), *nested = NULL;
    tree_kid a = TREE_KID("a", NULL), b = TREE_KID("b", NULL);
    fkl_child_spec inner = {TREE_SPEC("a", &a)};
    fkl_supervisor_options options = {.children = &inner, .child_count = 1};
    tree_add(boss, &(fkl_child_spec){.id = "n", .supervisor = &options});
    assert_ok(fkl_actor_find(runtime, tree_info(boss, "n").actor, &nested));
    tree_add(nested, &(fkl_child_spec){TREE_SPEC("b", &b)});
    tree_await(&a, 1);
    tree_await(&b, 1);
    cr_assert_eq(tree_counts(nested).running, 2);
    fkl_actor_release(nested);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(request, what_is_handed_over_is_done_also_when_nobody_waits, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = start_empty(runtime);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a)};
    fkl_err err = fkl_supervisor_add_until(boss, &spec, FKL_NO_WAIT, NULL);
    cr_assert(err == FKL_ETIMEDOUT || err == FKL_OK, "%s", fkl_err_name(err));
    tree_await(&a, 1);
    err = fkl_supervisor_restart_until(boss, 1, FKL_NO_WAIT);
    cr_assert(err == FKL_ETIMEDOUT || err == FKL_OK, "%s", fkl_err_name(err));
    tree_await(&a, 2);
    err = fkl_supervisor_remove_until(boss, 1, FKL_NO_WAIT);
    cr_assert(err == FKL_ETIMEDOUT || err == FKL_OK, "%s", fkl_err_name(err));
    assert_eventually(tree_counts(boss).children == 0);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(request, requests_that_wait_are_answered_at_its_end, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .stop_ns = FKL_FOREVER};
    fkl_actor *boss = start_empty(runtime);
    a.hangs = true;
    tree_add(boss, &spec);
    tree_await(&a, 1);
    assert_err(fkl_supervisor_restart_until(boss, 1, FKL_NO_WAIT), FKL_ETIMEDOUT);
    assert_eventually(tree_is(boss, "a", FKL_CHILD_STOPPING));
    fkl_actor_stop(boss);
    fkl_err err = FKL_OK;
    fkl_time limit = SOON;
    do { // until the supervisor has seen that it is to end
        err = fkl_supervisor_remove_until(boss, 1, limit);
    } while (err == FKL_OK && fkl_now() < limit);
    assert_err(err, FKL_ENOACTOR);
    atomic_store(&a.gate.open, true);
    rig_join(boss);
    rig_destroy(runtime);
}

// ---- restarting by hand

Test(request, a_restart_counts_as_no_failure, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL), b = TREE_KID("b", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a), .restart = FKL_RESTART_TEMPORARY},
                              {TREE_SPEC("b", &b)}};
    fkl_supervisor_options options = {.strategy = FKL_ONE_FOR_ALL,
                                      .max_restarts = FKL_RESTARTS_NONE,
                                      .children = specs,
                                      .child_count = 2};
    fkl_actor *boss = tree_start(runtime, &options);
    for (int i = 1; i <= 5; i++) {
        tree_await(&a, i);
        assert_ok(fkl_supervisor_restart_until(boss, 1, SOON));
    }
    tree_await(&a, 6);
    cr_assert_eq(tree_counts(boss).failures, 0);
    cr_assert_eq(tree_info(boss, "a").starts, 6);
    cr_assert_eq(tree_info(boss, "a").last_reason, FKL_EXIT_STOPPED);
    cr_assert_eq(atomic_load(&b.starts), 1);
    assert_err(fkl_supervisor_restart_until(boss, 77, SOON), FKL_ENOACTOR);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(request, a_restart_wakes_what_was_done, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .restart = FKL_RESTART_TEMPORARY,
                           .keep_when_done = true};
    fkl_actor *boss = start_empty(runtime);
    fkl_child child = tree_add(boss, &spec);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_RETURN);
    assert_eventually(tree_is(boss, "a", FKL_CHILD_DONE));
    cr_assert_eq(tree_info(boss, "a").actor, FKL_NOBODY);
    cr_assert_eq(tree_counts(boss).done, 1);
    assert_ok(fkl_supervisor_restart_until(boss, child, SOON));
    tree_await(&a, 2);
    cr_assert_eq(tree_counts(boss).done, 0);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(request, a_restart_that_fails_says_so_and_is_tried_again, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a)};
    fkl_supervisor_options options = {
        .backoff_ns = HOUR, .backoff_max_ns = HOUR, .children = &spec, .child_count = 1};
    fkl_actor *boss = tree_start(runtime, &options);
    tree_await(&a, 1);
    a.unprepared = FKL_EOS; // read by the supervisor's thread, after the request
    assert_err(fkl_supervisor_restart_until(boss, 1, SOON), FKL_EOS);
    cr_assert_eq(tree_info(boss, "a").state, FKL_CHILD_WAITING);
    cr_assert_eq(tree_info(boss, "a").failures, 1);
    a.unprepared = FKL_OK;
    assert_ok(fkl_supervisor_restart_until(boss, 1, SOON));
    tree_await(&a, 2);
    tree_stop(boss);
    rig_destroy(runtime);
}

// ---- who asks

struct caller {
    fkl_actor *boss;
    tree_kid kid;
    fkl_err first;
    fkl_err second;
    fkl_err third;
    atomic_int done;
};

static fkl_turn ask_from_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct caller *caller = state;
    fkl_child_spec spec = {TREE_SPEC(NULL, &caller->kid), .stop_ns = FKL_FOREVER};
    fkl_msg_destroy(msg);
    caller->first = fkl_supervisor_add_until(caller->boss, &spec, FKL_NO_WAIT, NULL);
    caller->second = fkl_supervisor_remove_until(caller->boss, 1, FKL_FOREVER);
    caller->third = fkl_supervisor_start_until(fkl_actor_runtime(self), NULL, NULL, FKL_FOREVER,
                                               &(fkl_actor *){NULL}, NULL);
    atomic_store(&caller->done, 1);
    return FKL_TURN_END;
}

Test(request, a_pooled_actor_can_hand_over_but_not_wait, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct caller caller = {.boss = start_empty(runtime)};
    fkl_actor *pooled = NULL;
    caller.kid.hangs = true; // so that the removal cannot be done at once
    tree_add(caller.boss, &(fkl_child_spec){TREE_SPEC(NULL, &caller.kid), .stop_ns = FKL_FOREVER});
    tree_await(&caller.kid, 1);
    assert_ok(fkl_spawn_pooled(runtime, NULL, &(fkl_behaviour){.receive = ask_from_turn}, &caller,
                               &pooled));
    rig_send(pooled, 1);
    rig_join(pooled);
    cr_assert(caller.first == FKL_ETIMEDOUT || caller.first == FKL_OK, "%s",
              fkl_err_name(caller.first));
    assert_err(caller.second, FKL_EPOOLED);
    assert_err(caller.third, FKL_EPOOLED);
    tree_await(&caller.kid, 2);
    atomic_store(&caller.kid.gate.open, true);
    assert_eventually(tree_counts(caller.boss).children == 1);
    tree_stop(caller.boss);
    rig_destroy(runtime);
}

static void act_remove_itself(fkl_actor *self, void *arg)
{
    (void)self;
    struct caller *caller = arg;
    while (!atomic_load(&caller->done)) {
        rig_pause_ms(1);
    }
    caller->first = fkl_supervisor_remove_until(caller->boss, 1, FKL_FOREVER);
}

Test(request, a_child_that_removes_itself_is_stopped, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct caller caller = {.boss = start_empty(runtime)};
    tree_add(caller.boss, &(fkl_child_spec){.fn = act_remove_itself, .arg = &caller});
    atomic_store(&caller.done, 1);
    assert_eventually(tree_counts(caller.boss).children == 0);
    tree_stop(caller.boss);
    assert_err(caller.first, FKL_ESTOPPED);
    rig_destroy(runtime);
}

static fkl_err ask_from_within(void *arg, void **state)
{
    struct caller *caller = arg;
    *state = NULL;
    if (caller->boss) {
        caller->first = fkl_supervisor_remove_until(caller->boss, 1, FKL_FOREVER);
        atomic_store(&caller->done, 1);
    }
    return FKL_OK;
}

Test(request, its_own_thread_must_not_ask_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct caller caller = {.boss = start_empty(runtime)};
    tree_add(caller.boss,
             &(fkl_child_spec){.fn = act_idle, .arg = &caller, .prepare = ask_from_within});
    cr_assert(atomic_load(&caller.done));
    assert_err(caller.first, FKL_EDEADLK);
    tree_stop(caller.boss);
    rig_destroy(runtime);
}

static fkl_err end_the_thread(void *arg, void **state)
{
    (void)state;
    if (atomic_load((atomic_bool *)arg)) {
        pthread_exit(NULL);
    }
    return FKL_OK;
}

Test(request, children_are_stopped_when_its_thread_is_lost, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    atomic_bool deadly = false;
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {
        {TREE_SPEC("a", &a)},
        {.id = "b", .fn = act_idle, .arg = &deadly, .prepare = end_the_thread}};
    fkl_actor *boss =
        tree_start(runtime, &(fkl_supervisor_options){.children = specs, .child_count = 2});
    tree_await(&a, 1);
    atomic_store(&deadly, true);
    assert_err(fkl_supervisor_restart_until(boss, 2, SOON), FKL_ENOACTOR);
    assert_eventually(atomic_load(&a.running) == 0);
    rig_join(boss);
    rig_destroy(runtime);
}
