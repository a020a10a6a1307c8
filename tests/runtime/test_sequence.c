// SPDX-License-Identifier: Apache-2.0
//
// Order: of starts, of stops, of groups that restart, of trees; and what comes in between.
#include "support/tree.h"

#include "platform/platform.h"

#define HOUR INT64_C(3600000000000)

enum { MANY = 5 };

// Children a to e.
struct row {
    tree_journal journal;
    tree_kid kids[MANY];
    fkl_child_spec specs[MANY];
};

static const char *const ids[MANY] = {"a", "b", "c", "d", "e"};
static const char *const starts[MANY] = {"+a", "+b", "+c", "+d", "+e"};
static const char *const ends[MANY] = {"-a", "-b", "-c", "-d", "-e"};

static void make_row(struct row *row)
{
    memset(row, 0, sizeof *row);
    for (int i = 0; i < MANY; i++) {
        row->kids[i].start = starts[i];
        row->kids[i].end = ends[i];
        row->kids[i].journal = &row->journal;
        row->specs[i] = (fkl_child_spec){TREE_SPEC(ids[i], &row->kids[i])};
    }
}

static void await_row(struct row *row, int count, int starts_each)
{
    for (int i = 0; i < count; i++) {
        tree_await(&row->kids[i], starts_each);
    }
}

static fkl_actor *start_row(fkl_runtime *runtime, struct row *row, fkl_strategy strategy, int count)
{
    fkl_supervisor_options options = {
        .strategy = strategy, .children = row->specs, .child_count = (size_t)count};
    fkl_actor *boss = tree_start(runtime, &options);
    await_row(row, count, 1);
    return boss;
}

Test(sequence, children_stop_in_the_reverse_order_of_their_start, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ONE, 4);
    tree_add(boss, &row.specs[4]);
    tree_await(&row.kids[4], 1);
    tree_stop(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c +d +e -e -d -c -b -a");
    rig_destroy(runtime);
}

Test(sequence, a_killed_supervisor_still_stops_them_in_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ONE, 3);
    cr_assert(fkl_actor_kill(boss, 5));
    cr_assert_eq(rig_join(boss).reason, FKL_EXIT_KILLED);
    tree_assert_journal(&row.journal, 0, "+a +b +c -c -b -a");
    rig_destroy(runtime);
}

Test(sequence, a_shutdown_of_the_runtime_stops_them_in_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    fkl_actor *boss = start_row(runtime, &row, FKL_REST_FOR_ONE, 4);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    tree_assert_journal(&row.journal, 0, "+a +b +c +d -d -c -b -a");
    fkl_actor_release(boss);
    rig_destroy(runtime);
}

Test(sequence, a_child_that_will_not_stop_holds_up_those_before_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.kids[1].hangs = true;
    row.specs[1].stop_ns = FKL_FOREVER;
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ONE, 3);
    fkl_actor_stop(boss);
    assert_eventually(atomic_load(&row.kids[1].gate.arrived));
    tree_assert_journal(&row.journal, 0, "+a +b +c -c");
    cr_assert_eq(tree_info(boss, "a").state, FKL_CHILD_RUNNING);
    atomic_store(&row.kids[1].gate.open, true);
    rig_join(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c -c -b -a");
    rig_destroy(runtime);
}

Test(sequence, together_means_that_nobody_holds_up_anybody, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.kids[1].hangs = true;
    fkl_supervisor_options options = {
        .stop_together = true, .children = row.specs, .child_count = 3};
    fkl_actor *boss = tree_start(runtime, &options);
    await_row(&row, 3, 1);
    fkl_actor_stop(boss);
    tree_await_journal(&row.journal, 5);
    atomic_store(&row.kids[1].gate.open, true);
    rig_join(boss);
    tree_assert_journal(&row.journal, 5, "-b");
    rig_destroy(runtime);
}

// ---- groups

Test(sequence, a_group_leaves_out_what_is_temporary, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.specs[1].restart = FKL_RESTART_TEMPORARY;
    row.specs[2].restart = FKL_RESTART_TRANSIENT;
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ALL, 4);
    tree_tell(boss, &row.kids[0], DO_FAIL);
    tree_await(&row.kids[3], 2);
    tree_stop(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c +d -a -d -c -b +a +c +d -d -c -a");
    rig_destroy(runtime);
}

Test(sequence, a_group_takes_back_what_was_kept, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.specs[1].restart = FKL_RESTART_TEMPORARY;
    row.specs[1].keep_when_done = true;
    row.specs[2].restart = FKL_RESTART_TRANSIENT;
    row.specs[2].keep_when_done = true;
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ALL, 3);
    tree_tell(boss, &row.kids[1], DO_RETURN);
    assert_eventually(tree_is(boss, "b", FKL_CHILD_DONE));
    tree_tell(boss, &row.kids[2], DO_RETURN);
    assert_eventually(tree_is(boss, "c", FKL_CHILD_DONE));
    tree_tell(boss, &row.kids[0], DO_FAIL);
    tree_await(&row.kids[2], 2);
    cr_assert_eq(tree_info(boss, "b").state, FKL_CHILD_DONE);
    tree_stop(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c -b -c -a +a +c -c -a");
    rig_destroy(runtime);
}

Test(sequence, two_failures_of_a_group_make_one_restart, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.kids[3].hangs = true; // holds the first restart up
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ALL, 4);
    tree_tell(boss, &row.kids[2], DO_FAIL);
    assert_eventually(atomic_load(&row.kids[3].gate.arrived));
    tree_tell(boss, &row.kids[0], DO_FAIL);
    assert_eventually(tree_info(boss, "a").failures == 1);
    row.kids[3].hangs = false;
    atomic_store(&row.kids[3].gate.open, true);
    await_row(&row, 4, 2);
    tree_stop(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c +d -c -a -d -b +a +b +c +d -d -c -b -a");
    cr_assert_eq(atomic_load(&row.kids[0].starts), 2);
    rig_destroy(runtime);
}

// Child d hangs while a group that `first` has brought down stops; meanwhile `second` fails.
static void fail_twice(int first, int second, const char *journal)
{
    const char second_id[] = {(char)('a' + second), '\0'};
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.kids[3].hangs = true;
    fkl_actor *boss = start_row(runtime, &row, FKL_REST_FOR_ONE, 4);
    tree_tell(boss, &row.kids[first], DO_FAIL);
    assert_eventually(atomic_load(&row.kids[3].gate.arrived));
    tree_tell(boss, &row.kids[second], DO_FAIL);
    assert_eventually(tree_info(boss, second_id).failures == 1);
    row.kids[3].hangs = false;
    atomic_store(&row.kids[3].gate.open, true);
    tree_await(&row.kids[3], 2);
    tree_stop(boss);
    tree_assert_journal(&row.journal, 0, journal);
    rig_destroy(runtime);
}

Test(sequence, a_failure_further_up_makes_the_rest_longer, .timeout = 60)
{
    // First c, so c and d; then b too.
    fail_twice(2, 1, "+a +b +c +d -c -b -d +b +c +d -d -c -b -a");
}

Test(sequence, a_failure_further_down_forgets_nobody, .timeout = 60)
{
    // First b and what follows; c alone would be less.
    fail_twice(1, 2, "+a +b +c +d -b -c -d +b +c +d -d -c -b -a");
}

Test(sequence, a_stop_in_the_middle_of_a_restart_ends_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.kids[1].hangs = true;
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ALL, 3);
    tree_tell(boss, &row.kids[2], DO_FAIL);
    assert_eventually(atomic_load(&row.kids[1].gate.arrived));
    fkl_actor_stop(boss);
    atomic_store(&row.kids[1].gate.open, true);
    rig_join(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c -c -b -a");
    rig_destroy(runtime);
}

Test(sequence, children_can_be_added_and_removed_while_a_group_restarts, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    row.kids[1].hangs = true;
    fkl_actor *boss = start_row(runtime, &row, FKL_ONE_FOR_ALL, 4);
    tree_tell(boss, &row.kids[3], DO_FAIL);
    assert_eventually(atomic_load(&row.kids[1].gate.arrived));
    assert_err(fkl_supervisor_add_until(boss, &row.specs[4], FKL_NO_WAIT, NULL), FKL_ETIMEDOUT);
    assert_ok(fkl_supervisor_remove_until(boss, tree_info(boss, "c").child, SOON));
    assert_eventually(tree_is(boss, "e", FKL_CHILD_WAITING));
    row.kids[1].hangs = false;
    atomic_store(&row.kids[1].gate.open, true);
    tree_await(&row.kids[4], 1);
    tree_stop(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c +d -d -c -b -a +a +b +d +e -e -d -b -a");
    rig_destroy(runtime);
}

Test(sequence, a_child_is_removed_although_its_restart_is_far_away, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct row row;
    make_row(&row);
    fkl_supervisor_options options = {.strategy = FKL_REST_FOR_ONE,
                                      .backoff_ns = HOUR,
                                      .backoff_max_ns = HOUR,
                                      .children = row.specs,
                                      .child_count = 3};
    fkl_actor *boss = tree_start(runtime, &options);
    await_row(&row, 3, 1);
    tree_tell(boss, &row.kids[1], DO_FAIL);
    tree_await_journal(&row.journal, 5);
    assert_ok(fkl_supervisor_remove_until(boss, tree_info(boss, "b").child, SOON));
    assert_ok(fkl_supervisor_remove_until(boss, tree_info(boss, "c").child, SOON));
    tree_stop(boss);
    tree_assert_journal(&row.journal, 0, "+a +b +c -b -c -a");
    rig_destroy(runtime);
}

// ---- failures at the start

static void try_bad_start(fkl_strategy strategy)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    fkl_actor *boss = NULL;
    fkl_start_failure failure;
    struct row row;
    make_row(&row);
    row.kids[3].unprepared = FKL_EOS;
    fkl_supervisor_options options = {
        .strategy = strategy, .children = row.specs, .child_count = MANY};
    assert_err(fkl_supervisor_start_until(runtime, NULL, &options, SOON, &boss, &failure), FKL_EOS);
    cr_assert_null(boss);
    cr_assert_eq(failure.err, FKL_EOS);
    cr_assert_str_eq(failure.child, "d");
    tree_assert_journal(&row.journal, 0, "+a +b +c -c -b -a");
    rig_destroy(runtime);
}

Test(sequence, a_failed_start_is_undone_in_reverse_order, .timeout = 60)
{
    for (int strategy = FKL_ONE_FOR_ONE; strategy <= FKL_REST_FOR_ONE; strategy++) {
        try_bad_start((fkl_strategy)strategy);
    }
}

Test(sequence, a_start_without_threads_is_undone, .timeout = 60)
{
    for (uint32_t after = 0; after < 4; after++) {
        tree_log log = {0};
        fkl_runtime *runtime = tree_create(&log);
        fkl_actor *boss = NULL;
        fkl_start_failure failure;
        struct row row;
        make_row(&row);
        fkl_supervisor_options options = {.children = row.specs, .child_count = 3};
        fkli_fault_thread_start(after, 1);
        assert_err(fkl_supervisor_start_until(runtime, NULL, &options, SOON, &boss, &failure),
                   FKL_ETHREAD);
        cr_assert_str_eq(failure.child, after ? ids[after - 1] : "");
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(atomic_load(&row.kids[i].running), 0);
        }
        rig_destroy(runtime);
    }
}

// ---- trees

struct tree {
    struct row row; // a; b and c under m; d and e under n, which is under m
    fkl_supervisor_options low;
    fkl_child_spec middle_specs[3];
    fkl_supervisor_options middle;
    fkl_child_spec top_specs[2];
    fkl_supervisor_options top;
};

static void make_tree(struct tree *tree)
{
    struct row *row = &tree->row;
    memset(tree, 0, sizeof *tree);
    make_row(row);
    tree->low = (fkl_supervisor_options){.children = &row->specs[3], .child_count = 2};
    tree->middle_specs[0] = row->specs[1];
    tree->middle_specs[1] = (fkl_child_spec){.id = "n", .supervisor = &tree->low};
    tree->middle_specs[2] = row->specs[2];
    tree->middle = (fkl_supervisor_options){
        .strategy = FKL_ONE_FOR_ALL, .children = tree->middle_specs, .child_count = 3};
    tree->top_specs[0] = row->specs[0];
    tree->top_specs[1] = (fkl_child_spec){.id = "m", .supervisor = &tree->middle};
    tree->top = (fkl_supervisor_options){.children = tree->top_specs, .child_count = 2};
}

Test(sequence, a_tree_starts_and_stops_in_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct tree tree;
    make_tree(&tree);
    fkl_actor *boss = tree_start(runtime, &tree.top);
    tree_assert_journal(&tree.row.journal, 0, "+a +b +d +e +c");
    cr_assert_eq(tree_info(boss, "m").state, FKL_CHILD_RUNNING);
    await_row(&tree.row, MANY, 1);
    tree_stop(boss);
    tree_assert_journal(&tree.row.journal, 5, "-c -e -d -b -a");
    rig_destroy(runtime);
}

Test(sequence, a_shutdown_of_the_runtime_stops_a_tree_in_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct tree tree;
    make_tree(&tree);
    fkl_actor *boss = tree_start(runtime, &tree.top);
    await_row(&tree.row, MANY, 1);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    tree_assert_journal(&tree.row.journal, 5, "-c -e -d -b -a");
    fkl_actor_release(boss);
    rig_destroy(runtime);
}

Test(sequence, a_failed_start_deep_in_a_tree_undoes_all_of_it, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    fkl_actor *boss = NULL;
    fkl_start_failure failure;
    struct tree tree;
    make_tree(&tree);
    tree.row.kids[4].unprepared = FKL_EOS;
    assert_err(fkl_supervisor_start_until(runtime, NULL, &tree.top, SOON, &boss, &failure),
               FKL_EOS);
    cr_assert_str_eq(failure.child, "m/n/e");
    tree_assert_journal(&tree.row.journal, 0, "+a +b +d -d -b -a");
    rig_destroy(runtime);
}

// Keeps the end of a thread apart from its exit.
static void linger(fkl_actor_id id, void *ctx)
{
    (void)id;
    (void)ctx;
    rig_pause_ms(5);
}

Test(sequence, a_failed_start_below_is_seen_although_its_thread_ends_late, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = NULL;
    fkl_runtime_config config = {.log = tree_write, .log_ctx = &log, .on_thread_end = linger};
    fkl_actor *boss = NULL;
    fkl_start_failure failure;
    struct tree tree;
    make_tree(&tree);
    tree.row.kids[4].unprepared = FKL_EOS;
    assert_ok(fkl_runtime_create(&config, &runtime));
    assert_err(fkl_supervisor_start_until(runtime, NULL, &tree.top, SOON, &boss, &failure),
               FKL_EOS);
    cr_assert_str_eq(failure.child, "m/n/e");
    tree_assert_journal(&tree.row.journal, 0, "+a +b +d -d -b -a");
    rig_destroy(runtime);
}

Test(sequence, failures_too_many_below_are_one_failure_above, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    struct tree tree;
    make_tree(&tree);
    tree.low.max_restarts = FKL_RESTARTS_NONE;
    fkl_actor *boss = tree_start(runtime, &tree.top);
    await_row(&tree.row, MANY, 1);
    tree_tell(boss, &tree.row.kids[3], DO_FAIL); // n gives up, m restarts all that it has
    tree_await(&tree.row.kids[2], 2);
    tree_stop(boss);
    tree_assert_journal(&tree.row.journal, 5, "-d -e -c -b +b +d +e +c -c -e -d -b -a");
    rig_destroy(runtime);
}

Test(sequence, a_killed_supervisor_is_restarted_when_its_children_have_ended, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct tree tree;
    fkl_actor *middle = NULL;
    make_tree(&tree);
    fkl_actor *boss = tree_start(runtime, &tree.top);
    await_row(&tree.row, MANY, 1);
    assert_ok(fkl_actor_find(runtime, tree_info(boss, "m").actor, &middle));
    cr_assert(fkl_actor_kill(middle, 1));
    fkl_actor_release(middle);
    tree_await(&tree.row.kids[2], 2);
    tree_stop(boss);
    tree_assert_journal(&tree.row.journal, 5, "-c -e -d -b +b +d +e +c -c -e -d -b -a");
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(atomic_load(&tree.row.kids[i].overlaps), 0);
    }
    rig_destroy(runtime);
}

Test(sequence, a_stop_while_a_tree_starts_undoes_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct tree tree;
    fkl_actor *boss = NULL;
    fkl_start_failure failure;
    make_tree(&tree);
    assert_err(fkl_supervisor_start_until(runtime, NULL, &tree.top, FKL_NO_WAIT, &boss, &failure),
               FKL_ETIMEDOUT);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(atomic_load(&tree.row.kids[i].running), 0);
    }
    rig_destroy(runtime);
}
