// SPDX-License-Identifier: Apache-2.0
//
// Starting a supervisor and looking at it: what is refused, many children, little memory.
#include "support/tree.h"

static fkl_actor *start_empty(fkl_runtime *runtime)
{
    return tree_start(runtime, NULL);
}

Test(supervisor, starts_without_children_and_stops, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = start_empty(runtime);
    cr_assert_str_eq(fkl_actor_name(boss), "boss");
    cr_assert_eq(tree_counts(boss).children, 0);
    cr_assert_eq(tree_stop(boss).reason, FKL_EXIT_STOPPED);
    rig_destroy(runtime);
}

Test(supervisor, refuses_what_users_send_to_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = start_empty(runtime);
    fkl_msg *msg = rig_msg(1);
    assert_err(fkl_actor_send(boss, msg), FKL_ECLOSED);
    fkl_msg_destroy(msg);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(supervisor, start_refuses_what_makes_no_sense, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = NULL;
    fkl_start_failure failure;
    fkl_child_spec twins[] = {{.id = "a", .fn = act_idle}, {.id = "a", .fn = act_idle}};
    fkl_supervisor_options bad = {.jitter_percent = 101};
    fkl_supervisor_options same = {.children = twins, .child_count = 2};
    assert_err(fkl_supervisor_start_until(runtime, NULL, &bad, SOON, &boss, &failure), FKL_EINVAL);
    cr_assert_eq(failure.err, FKL_EINVAL);
    assert_err(fkl_supervisor_start_until(runtime, NULL, NULL, SOON, NULL, NULL), FKL_EINVAL);
    assert_err(fkl_supervisor_start_until(NULL, NULL, NULL, SOON, &boss, NULL), FKL_EINVAL);
    assert_err(fkl_supervisor_start_until(runtime, NULL, &same, SOON, &boss, &failure), FKL_EEXIST);
    cr_assert_str_eq(failure.child, "a");
    cr_assert_null(boss);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    assert_err(fkl_supervisor_start_until(runtime, NULL, NULL, SOON, &boss, &failure),
               FKL_ESHUTDOWN);
    rig_destroy(runtime);
}

struct employer {
    tree_kid kid;
    fkl_actor *boss;
    rig_gate hired;
};

// Spawns a supervisor that is linked with it, and outlives nothing of it.
static void act_employ(fkl_actor *self, void *arg)
{
    struct employer *employer = arg;
    fkl_child_spec spec = {TREE_SPEC("a", &employer->kid)};
    fkl_supervisor_options options = {
        .max_restarts = FKL_RESTARTS_NONE, .children = &spec, .child_count = 1};
    fkl_spawn_options linked = {.link = true};
    fkl_err err = fkl_supervisor_start_until(fkl_actor_runtime(self), &linked, &options,
                                             FKL_FOREVER, &employer->boss, NULL);
    atomic_store(&employer->hired.open, err == FKL_OK);
    act_idle(self, NULL);
}

Test(supervisor, its_failure_ends_who_is_linked_with_it, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    struct employer employer = {.kid = TREE_KID("a", NULL)};
    fkl_actor *actor = rig_spawn(runtime, act_employ, &employer);
    fkl_exit record;
    assert_eventually(atomic_load(&employer.hired.open));
    tree_await(&employer.kid, 1);
    tree_tell(employer.boss, &employer.kid, DO_FAIL);
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_eq(record.reason, FKL_EXIT_ERROR);
    cr_assert_eq(record.origin, fkl_actor_get_id(employer.boss));
    fkl_failure_view view;
    assert_ok(fkl_failure_read(record.error, record.error_len, &view));
    cr_assert_eq(view.type.len, strlen("supervisor_gave_up"));
    cr_assert_arr_eq(view.type.data, "supervisor_gave_up", view.type.len);
    rig_join(employer.boss);
    rig_join(actor);
    rig_destroy(runtime);
}

// ---- looking

Test(supervisor, tells_about_its_children_page_by_page, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *boss = start_empty(runtime);
    tree_kid kids[5] = {{0}};
    char id[64];
    fkl_child_info rows[3];
    size_t count;
    for (int i = 0; i < 5; i++) {
        snprintf(id, sizeof id, "%d: an identity that is longer than a row has room for", i);
        tree_add(boss, &(fkl_child_spec){TREE_SPEC(i == 3 ? NULL : id, &kids[i])});
        tree_await(&kids[i], 1);
    }
    assert_ok(fkl_supervisor_children(boss, 0, rows, 3, &count));
    cr_assert_eq(count, 3);
    cr_assert_eq(rows[2].child, 3);
    cr_assert_str_eq(rows[0].id, "0: an identity that is longer than a ro");
    cr_assert_eq(rows[0].actor, atomic_load(&kids[0].id));
    cr_assert_eq(rows[0].starts, 1);
    assert_ok(fkl_supervisor_children(boss, rows[2].child, rows, 3, &count));
    cr_assert_eq(count, 2);
    cr_assert_str_eq(rows[0].id, "");
    assert_ok(fkl_supervisor_children(boss, 5, rows, 3, &count));
    cr_assert_eq(count, 0);
    assert_ok(fkl_supervisor_child(boss, 4, &rows[0]));
    cr_assert_eq(rows[0].actor, atomic_load(&kids[3].id));
    assert_err(fkl_supervisor_child(boss, 6, &rows[0]), FKL_ENOACTOR);
    assert_err(fkl_supervisor_find(boss, "6", &rows[0]), FKL_ENOACTOR);
    tree_stop(boss);
    rig_destroy(runtime);
}

// ---- many, and little memory

// Counts what lives.
static void begin_one(fkl_actor *self, void *state)
{
    (void)self;
    atomic_fetch_add((atomic_int *)state, 1);
}

static fkl_turn handle_one(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    (void)state;
    fkl_msg_destroy(msg);
    return FKL_TURN_END;
}

static void end_one(fkl_actor *self, void *state)
{
    (void)self;
    atomic_fetch_sub((atomic_int *)state, 1);
}

static const fkl_behaviour counted = {handle_one, begin_one, end_one};

// Hands them over without waiting for each.
static void add_many(fkl_actor *boss, int count, atomic_int *live)
{
    char id[32];
    for (int i = 1; i <= count; i++) {
        snprintf(id, sizeof id, "child %d", i);
        fkl_child_spec spec = {.id = id,
                               .behaviour = &counted,
                               .arg = live,
                               .restart = i % 2 ? FKL_RESTART_PERMANENT : FKL_RESTART_TEMPORARY};
        fkl_err err = fkl_supervisor_add_until(boss, &spec, FKL_NO_WAIT, NULL);
        cr_assert(err == FKL_ETIMEDOUT || err == FKL_OK, "%s", fkl_err_name(err));
    }
}

Test(supervisor, a_hundred_thousand_children_come_restart_and_go, .timeout = 120)
{
    enum { COUNT = 100000 };
    fkl_runtime *runtime = rig_create();
    atomic_int live = 0;
    fkl_supervisor_options options = {.max_restarts = FKL_RESTARTS_UNLIMITED,
                                      .stop_together = true};
    fkl_actor *boss = tree_start(runtime, &options);
    add_many(boss, COUNT, &live);
    assert_eventually(atomic_load(&live) == COUNT);
    cr_assert_eq(tree_info(boss, "child 77777").state, FKL_CHILD_RUNNING);
    for (fkl_child child = 1; child <= COUNT; child += 10) { // permanent ones
        fkl_child_info info;
        assert_ok(fkl_supervisor_child(boss, child, &info));
        assert_ok(fkl_send(runtime, info.actor, rig_msg(1)));
    }
    for (fkl_child child = 2; child <= COUNT; child += 10) { // temporary ones
        fkl_err err = fkl_supervisor_remove_until(boss, child, FKL_NO_WAIT);
        cr_assert(err == FKL_ETIMEDOUT || err == FKL_OK, "%s", fkl_err_name(err));
    }
    assert_eventually(tree_counts(boss).starts == COUNT + COUNT / 10);
    assert_eventually(tree_counts(boss).children == COUNT - COUNT / 10);
    tree_stop(boss);
    cr_assert_eq(atomic_load(&live), 0);
    rig_destroy(runtime);
}

static fkl_err start_with(rig_memory *memory, bool *started)
{
    fkl_runtime *runtime = NULL;
    fkl_actor *boss = NULL;
    tree_log log = {0};
    fkl_runtime_config config = {
        .allocator = rig_allocator(memory), .log = tree_write, .log_ctx = &log};
    tree_kid a = TREE_KID("a", NULL), b = TREE_KID("b", NULL), c = TREE_KID("c", NULL);
    fkl_child_spec inner[] = {{TREE_SPEC("b", &b)}};
    fkl_supervisor_options nested = {.children = inner, .child_count = 1};
    fkl_child_spec outer[] = {{TREE_SPEC("a", &a)}, {.id = "n", .supervisor = &nested}};
    fkl_supervisor_options options = {.children = outer, .child_count = 2};
    fkl_err err = fkl_runtime_create(&config, &runtime);
    if (err) {
        return err;
    }
    err = fkl_supervisor_start_until(runtime, NULL, &options, SOON, &boss, NULL);
    *started = err == FKL_OK;
    if (!err) {
        err = fkl_supervisor_add_until(boss, &(fkl_child_spec){TREE_SPEC("c", &c)}, SOON, NULL);
        tree_stop(boss);
    }
    cr_assert_eq(atomic_load(&a.running) + atomic_load(&b.running) + atomic_load(&c.running), 0);
    rig_destroy(runtime);
    return err;
}

Test(supervisor, nothing_leaks_when_memory_runs_out, .timeout = 120)
{
    fkl_err err = FKL_ENOMEM;
    bool started = false;
    for (long fail_at = 1; err; fail_at++) {
        rig_memory memory = {.fail_at = fail_at};
        err = start_with(&memory, &started);
        cr_assert(err == FKL_OK || err == FKL_ENOMEM, "allocation %ld: %s", fail_at,
                  fkl_err_name(err));
        rig_assert_balanced(&memory);
    }
    cr_assert(started);
}

Test(supervisor, a_restart_survives_that_memory_runs_out, .timeout = 120)
{
    for (long fail_at = 1; fail_at <= 4; fail_at++) {
        rig_memory memory = {0};
        tree_log log = {0};
        fkl_runtime *runtime = NULL;
        fkl_runtime_config config = {
            .allocator = rig_allocator(&memory), .log = tree_write, .log_ctx = &log};
        tree_kid a = TREE_KID("a", NULL);
        fkl_child_spec spec = {TREE_SPEC("a", &a)};
        assert_ok(fkl_runtime_create(&config, &runtime));
        fkl_actor *boss =
            tree_start(runtime, &(fkl_supervisor_options){.children = &spec, .child_count = 1});
        tree_await(&a, 1);
        atomic_store(&memory.calls, 0);
        atomic_store(&memory.fail_at, fail_at);
        tree_tell(boss, &a, DO_FAIL);
        tree_await(&a, 2);
        atomic_store(&memory.fail_at, 0);
        tree_stop(boss);
        rig_destroy(runtime);
        rig_assert_balanced(&memory);
    }
}
