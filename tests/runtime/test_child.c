// SPDX-License-Identifier: Apache-2.0
//
// One child: what its incarnations get, its limits, orphans, and that two incarnations never run at
// the same time.
#include "support/tree.h"

#define HOUR INT64_C(3600000000000)
#define MILLISECOND INT64_C(1000000)

static fkl_actor *start_one(fkl_runtime *runtime, const fkl_child_spec *spec, int32_t max_restarts)
{
    fkl_supervisor_options options = {.max_restarts = max_restarts,
                                      .period_ns = HOUR,
                                      .backoff_ns = MILLISECOND,
                                      .backoff_max_ns = MILLISECOND,
                                      .children = spec,
                                      .child_count = 1};
    return tree_start(runtime, &options);
}

// ---- what an incarnation gets

struct factory {
    atomic_int made;
    atomic_int freed;
    atomic_int last_seen;
    _Atomic fkl_actor_id id;
};

struct product {
    struct factory *factory;
    int number;
    int uses; // must begin with 0 each time
};

static fkl_err make(void *arg, void **state)
{
    struct factory *factory = arg;
    struct product *product = calloc(1, sizeof *product);
    if (!product) {
        return FKL_ENOMEM;
    }
    product->factory = factory;
    product->number = atomic_fetch_add(&factory->made, 1) + 1;
    *state = product;
    return FKL_OK;
}

static void unmake(void *arg, void *state)
{
    atomic_fetch_add(&((struct factory *)arg)->freed, 1);
    free(state);
}

static void begin_use(fkl_actor *self, void *state)
{
    struct product *product = state;
    atomic_store(&product->factory->id, fkl_actor_get_id(self));
    atomic_store(&product->factory->last_seen, product->number + 1000 * product->uses);
    product->uses++;
}

static fkl_turn use(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    (void)state;
    fkl_msg_destroy(msg);
    return FKL_TURN_END;
}

static void end_use(fkl_actor *self, void *state)
{
    (void)self;
    unmake(((struct product *)state)->factory, state);
}

static void act_use(fkl_actor *self, void *arg)
{
    fkl_msg *msg = NULL;
    begin_use(self, arg);
    if (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        fkl_msg_destroy(msg);
    }
    end_use(self, arg);
}

static void try_factory(fkl_child_spec spec)
{
    fkl_runtime *runtime = rig_create();
    struct factory factory = {0};
    spec.id = "a";
    spec.arg = &factory;
    spec.prepare = make;
    spec.discard = unmake;
    fkl_actor *boss = start_one(runtime, &spec, FKL_RESTARTS_UNLIMITED);
    for (int i = 1; i <= 5; i++) {
        assert_eventually(atomic_load(&factory.last_seen) == i);
        assert_ok(fkl_send(runtime, atomic_load(&factory.id), rig_msg(1)));
    }
    assert_eventually(atomic_load(&factory.last_seen) == 6);
    tree_stop(boss);
    rig_destroy(runtime);
    cr_assert_eq(atomic_load(&factory.made), 6);
    cr_assert_eq(atomic_load(&factory.freed), 6);
}

Test(child, each_incarnation_gets_a_fresh_state, .timeout = 60)
{
    const fkl_behaviour behaviour = {use, begin_use, end_use};
    try_factory((fkl_child_spec){.fn = act_use});
    try_factory((fkl_child_spec){.behaviour = &behaviour});
}

Test(child, without_a_factory_each_incarnation_gets_the_same, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {.id = "a", .fn = act_kid, .arg = &a};
    fkl_actor *boss = start_one(runtime, &spec, FKL_RESTARTS_UNLIMITED);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_FAIL);
    tree_await(&a, 2);
    tree_stop(boss);
    rig_destroy(runtime);
}

static void act_tell_name(fkl_actor *self, void *arg)
{
    snprintf(arg, 32, "%s", fkl_actor_name(self));
}

Test(child, its_actors_have_its_id_for_a_name_unless_it_has_another, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    char names[2][32] = {{0}};
    fkl_child_spec specs[] = {
        {.id = "a", .fn = act_tell_name, .arg = names[0], .restart = FKL_RESTART_TEMPORARY},
        {.id = "b",
         .spawn.name = "other",
         .fn = act_tell_name,
         .arg = names[1],
         .restart = FKL_RESTART_TEMPORARY}};
    fkl_actor *boss =
        tree_start(runtime, &(fkl_supervisor_options){.children = specs, .child_count = 2});
    assert_eventually(tree_counts(boss).children == 0);
    cr_assert_str_eq(names[0], "a");
    cr_assert_str_eq(names[1], "other");
    tree_stop(boss);
    rig_destroy(runtime);
}

// ---- limits

Test(child, one_that_does_not_stop_is_killed, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    a.hangs = true;
    fkl_child_spec spec = {TREE_SPEC("a", &a), .stop_ns = MILLISECOND, .kill_ns = FKL_FOREVER};
    fkl_actor *boss = start_one(runtime, &spec, 1), *child = NULL;
    fkl_exit record;
    tree_await(&a, 1);
    assert_ok(fkl_actor_find(runtime, atomic_load(&a.id), &child));
    fkl_actor_stop(boss);
    assert_ok(fkl_actor_join_until(child, SOON, &record));
    cr_assert_eq(record.reason, FKL_EXIT_KILLED);
    assert_err(fkl_actor_try_exit(boss, &record), FKL_EEMPTY); // waits for its end
    atomic_store(&a.gate.open, true);
    rig_join(boss);
    fkl_actor_release(child);
    rig_destroy(runtime);
}

Test(child, one_may_be_killed_without_being_asked, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .stop_ns = FKL_STOP_AT_ONCE};
    fkl_actor *boss = start_one(runtime, &spec, 1), *child = NULL;
    tree_await(&a, 1);
    assert_ok(fkl_actor_find(runtime, atomic_load(&a.id), &child));
    tree_stop(boss);
    cr_assert_eq(rig_join(child).reason, FKL_EXIT_KILLED);
    rig_destroy(runtime);
}

Test(child, an_orphan_is_counted_and_named_and_holds_nobody_up, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    a.hangs = true;
    fkl_child_spec spec = {TREE_SPEC("a", &a), .stop_ns = MILLISECOND, .kill_ns = MILLISECOND};
    fkl_actor *boss = start_one(runtime, &spec, 1);
    fkl_counters counters;
    tree_await(&a, 1);
    tree_stop(boss);
    fkl_runtime_counters(runtime, &counters);
    cr_assert_eq(counters.orphans, 1);
    cr_assert_eq(atomic_load(&log.len), 1);
    cr_assert_not_null(strstr(log.lines[0], "child a of supervisor boss"), "%s", log.lines[0]);
    cr_assert_not_null(strstr(log.lines[0], "killed and still runs (running)"), "%s", log.lines[0]);
    assert_err(fkl_runtime_shutdown(runtime, FKL_NO_WAIT), FKL_ETIMEDOUT);
    atomic_store(&a.gate.open, true);
    rig_destroy(runtime);
}

Test(child, a_removal_of_an_orphan_says_so, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    a.hangs = true;
    fkl_child_spec spec = {TREE_SPEC("a", &a), .stop_ns = MILLISECOND, .kill_ns = MILLISECOND};
    fkl_actor *boss = start_one(runtime, &spec, 1);
    tree_await(&a, 1);
    assert_err(fkl_supervisor_remove_until(boss, 1, SOON), FKL_ETIMEDOUT);
    cr_assert_eq(tree_counts(boss).children, 0);
    cr_assert_eq(tree_counts(boss).orphans, 1);
    atomic_store(&a.gate.open, true);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(child, the_estate_of_a_removed_orphan_is_dropped_and_counted, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_counters counters;
    fkl_child_spec spec = {TREE_SPEC("a", &a), .stop_ns = MILLISECOND, .kill_ns = MILLISECOND};
    fkl_actor *boss = start_one(runtime, &spec, 1);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_HANG);
    tree_tell(boss, &a, 1); // perhaps in hand
    assert_eventually(atomic_load(&a.gate.arrived) > 0);
    tree_tell(boss, &a, 2); // in the mailbox
    assert_err(fkl_supervisor_remove_until(boss, 1, SOON), FKL_ETIMEDOUT);
    atomic_store(&a.gate.open, true);
    tree_stop(boss);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    fkl_runtime_counters(runtime, &counters);
    cr_assert_eq(counters.dropped, 2);
    rig_destroy(runtime);
}

// ---- overlaps

Test(child, no_second_one_is_started_while_the_first_one_runs, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .kill_ns = MILLISECOND};
    fkl_actor *boss = start_one(runtime, &spec, FKL_RESTARTS_UNLIMITED);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_HANG);
    assert_eventually(atomic_load(&a.gate.arrived));
    tree_kill(boss, &a);
    assert_eventually(tree_info(boss, "a").failures >= 3); // each of them a failed restart
    cr_assert_eq(tree_info(boss, "a").starts, 1);
    cr_assert(tree_info(boss, "a").orphan);
    cr_assert_eq(tree_counts(boss).orphans, 1);
    atomic_store(&a.gate.open, true);
    tree_await(&a, 2);
    cr_assert_not(tree_info(boss, "a").orphan);
    cr_assert_eq(atomic_load(&a.overlaps), 0);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(child, one_that_never_ends_makes_the_supervisor_give_up, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .kill_ns = MILLISECOND};
    fkl_actor *boss = start_one(runtime, &spec, 3);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_HANG);
    assert_eventually(atomic_load(&a.gate.arrived));
    tree_kill(boss, &a);
    cr_assert_eq(rig_join(boss).reason, FKL_EXIT_ERROR);
    cr_assert_eq(atomic_load(&a.running), 1);
    atomic_store(&a.gate.open, true);
    rig_destroy(runtime);
    cr_assert_eq(atomic_load(&a.starts), 1);
}

Test(child, an_orphan_of_a_group_holds_its_group_up_but_not_the_supervisor, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL), b = TREE_KID("b", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)},
                              {TREE_SPEC("b", &b), .stop_ns = MILLISECOND, .kill_ns = MILLISECOND}};
    fkl_supervisor_options options = {.strategy = FKL_ONE_FOR_ALL,
                                      .max_restarts = FKL_RESTARTS_UNLIMITED,
                                      .period_ns = HOUR,
                                      .backoff_ns = MILLISECOND,
                                      .backoff_max_ns = MILLISECOND,
                                      .children = specs,
                                      .child_count = 2};
    fkl_actor *boss = tree_start(runtime, &options);
    tree_await(&a, 1);
    tree_await(&b, 1);
    tree_tell(boss, &b, DO_HANG);
    assert_eventually(atomic_load(&b.gate.arrived));
    tree_tell(boss, &a, DO_FAIL);
    assert_eventually(tree_info(boss, "b").failures >= 2);
    cr_assert_eq(tree_info(boss, "b").starts, 1);
    atomic_store(&b.gate.open, true);
    tree_await(&b, 2);
    cr_assert_eq(atomic_load(&a.overlaps) + atomic_load(&b.overlaps), 0);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(child, a_restart_by_hand_waits_for_the_end_too, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .stop_ns = FKL_FOREVER};
    fkl_actor *boss = start_one(runtime, &spec, FKL_RESTARTS_NONE);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_HANG);
    assert_eventually(atomic_load(&a.gate.arrived));
    assert_err(fkl_supervisor_restart_until(boss, 1, FKL_NO_WAIT), FKL_ETIMEDOUT);
    assert_eventually(tree_is(boss, "a", FKL_CHILD_STOPPING));
    cr_assert_eq(atomic_load(&a.starts), 1);
    atomic_store(&a.gate.open, true);
    tree_await(&a, 2);
    cr_assert_eq(atomic_load(&a.overlaps), 0);
    cr_assert_eq(tree_info(boss, "a").failures, 0);
    tree_stop(boss);
    rig_destroy(runtime);
}

// ---- names

static bool name_is_latest(fkl_runtime *runtime, const char *name, tree_kid *kid)
{
    fkl_actor_id id;
    return fkl_whereis(runtime, name, &id) == FKL_OK && id == atomic_load(&kid->id);
}

Test(child, a_name_passes_from_one_incarnation_to_the_next, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .spawn.register_as = "known"};
    fkl_actor *boss = start_one(runtime, &spec, FKL_RESTARTS_UNLIMITED);
    for (int i = 1; i <= 10; i++) {
        tree_await(&a, i);
        cr_assert(name_is_latest(runtime, "known", &a));
        assert_ok(fkl_send_named(runtime, "known", rig_msg(DO_FAIL)));
    }
    tree_await(&a, 11);
    cr_assert_str_eq(tree_info(boss, "a").name, "known");
    cr_assert_eq(tree_counts(boss).failed_starts, 0);
    tree_stop(boss);
    fkl_actor_id id;
    assert_err(fkl_whereis(runtime, "known", &id), FKL_ENOACTOR);
    rig_destroy(runtime);
}

Test(child, a_name_of_somebody_else_is_a_failed_start, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .spawn.register_as = "known"};
    fkl_supervisor_options options = {.children = &spec, .child_count = 1};
    fkl_start_failure failure;
    fkl_actor *other = rig_spawn(runtime, act_idle, NULL), *boss = NULL;
    assert_ok(fkl_register(other, "known"));
    assert_err(fkl_supervisor_start_until(runtime, NULL, &options, SOON, &boss, &failure),
               FKL_EEXIST);
    cr_assert_str_eq(failure.child, "a");
    fkl_actor_stop(other);
    rig_join(other);
    boss = tree_start(runtime, &options);
    tree_await(&a, 1);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(child, a_name_that_was_taken_meanwhile_is_tried_again, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .spawn.register_as = "known"};
    fkl_actor *boss = start_one(runtime, &spec, FKL_RESTARTS_UNLIMITED);
    fkl_actor *other = rig_spawn(runtime, act_idle, NULL);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_HANG);
    assert_eventually(atomic_load(&a.gate.arrived));
    tree_tell(boss, &a, 5);
    tree_kill(boss, &a); // its name is free, its successor has to wait
    assert_ok(fkl_register(other, "known"));
    atomic_store(&a.gate.open, true);
    assert_eventually(tree_counts(boss).failed_starts >= 2);
    cr_assert_eq(atomic_load(&a.starts), 1);
    fkl_actor_stop(other);
    rig_join(other);
    tree_await(&a, 2);
    assert_eventually(atomic_load(&a.received) == 1); // kept through all of it
    cr_assert_eq(atomic_load(&a.diary[0]), 5);
    tree_stop(boss);
    rig_destroy(runtime);
}

// ---- links

static void act_link(fkl_actor *self, void *arg)
{
    fkl_actor *boss = arg;
    fkl_err err = fkl_link(fkl_actor_get_id(boss));
    if (!err) {
        err = fkl_actor_set_exit(self, 4, NULL, 0);
    }
    (void)err;
}

Test(child, a_link_to_the_supervisor_ends_it_and_its_children_in_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_journal journal = {0};
    tree_kid a = TREE_KID("a", &journal), b = TREE_KID("b", &journal);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}, {TREE_SPEC("b", &b)}};
    fkl_actor *boss =
        tree_start(runtime, &(fkl_supervisor_options){.children = specs, .child_count = 2});
    tree_await(&a, 1);
    tree_await(&b, 1);
    rig_join(rig_spawn(runtime, act_link, boss));
    fkl_exit record = rig_join(boss);
    cr_assert_eq(record.reason, FKL_EXIT_ERROR);
    cr_assert_eq(record.code, 4);
    tree_assert_journal(&journal, 0, "+a +b -b -a");
    rig_destroy(runtime);
}
