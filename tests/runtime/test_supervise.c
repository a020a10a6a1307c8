// SPDX-License-Identifier: Apache-2.0
//
// What a supervisor makes of the end of a child: each strategy with each kind of child and each way
// to end; too many failures; back-off; what the dead leave to their successors.
#include "support/tree.h"

#include "platform/platform.h"
#include "restart.h"

#define HOUR INT64_C(3600000000000)

typedef enum way { RETURNS, IS_STOPPED, FAILS, IS_KILLED } way;

static const char *const way_names[] = {"returns", "is stopped", "fails", "is killed"};

static void end_child(fkl_actor *boss, tree_kid *kid, way how)
{
    fkl_actor *actor = NULL;
    switch (how) {
    case RETURNS:
        tree_tell(boss, kid, DO_RETURN);
        break;
    case FAILS:
        tree_tell(boss, kid, DO_FAIL);
        break;
    case IS_KILLED:
        tree_kill(boss, kid);
        break;
    case IS_STOPPED:
        assert_ok(fkl_actor_find(fkl_actor_runtime(boss), atomic_load(&kid->id), &actor));
        fkl_actor_stop(actor);
        fkl_actor_release(actor);
    }
}

static bool is_failure(fkl_restart restart, way how)
{
    return restart == FKL_RESTART_PERMANENT ||
           (restart == FKL_RESTART_TRANSIENT && (how == FAILS || how == IS_KILLED));
}

// Three children, of which the second ends; the journal says all of it.
static void try_combination(fkl_strategy strategy, fkl_restart restart, way how, bool pooled)
{
    static const char *const restarted[] = {"+a +b +c -b +b -c -b -a",
                                            "+a +b +c -b -c -a +a +b +c -c -b -a",
                                            "+a +b +c -b -c +b +c -c -b -a"};
    static const char *const removed = "+a +b +c -b -c -a";
    fkl_runtime *runtime = rig_create();
    tree_journal journal = {0};
    tree_kid kids[] = {TREE_KID("a", &journal), TREE_KID("b", &journal), TREE_KID("c", &journal)};
    fkl_child_spec specs[3] = {
        {TREE_SPEC("a", &kids[0])}, {TREE_SPEC("b", &kids[1])}, {TREE_SPEC("c", &kids[2])}};
    for (int i = 0; i < 3; i++) {
        specs[i].restart = restart;
        if (pooled) {
            specs[i].fn = NULL;
            specs[i].behaviour = &pooled_kid;
        }
    }
    fkl_supervisor_options options = {.strategy = strategy, .children = specs, .child_count = 3};
    fkl_actor *boss = tree_start(runtime, &options);
    for (int i = 0; i < 3; i++) {
        tree_await(&kids[i], 1);
    }
    end_child(boss, &kids[1], how);
    fkl_child_info info;
    if (is_failure(restart, how)) {
        for (int i = 0; i < 3; i++) {
            bool concerned =
                i == 1 || strategy == FKL_ONE_FOR_ALL || (strategy == FKL_REST_FOR_ONE && i == 2);
            tree_await(&kids[i], concerned ? 2 : 1);
        }
    } else {
        assert_eventually(fkl_supervisor_find(boss, "b", &info) == FKL_ENOACTOR);
    }
    cr_assert_eq(tree_stop(boss).reason, FKL_EXIT_STOPPED);
    char text[256];
    tree_read(&journal, 0, text, sizeof text);
    const char *expected = is_failure(restart, how) ? restarted[strategy] : removed;
    cr_assert_str_eq(text, expected, "strategy %d, restart %d, %s: '%s', not '%s'", (int)strategy,
                     (int)restart, way_names[how], text, expected);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(atomic_load(&kids[i].overlaps), 0);
    }
    rig_destroy(runtime);
}

static void try_all(bool pooled)
{
    for (int strategy = FKL_ONE_FOR_ONE; strategy <= FKL_REST_FOR_ONE; strategy++) {
        for (int restart = FKL_RESTART_PERMANENT; restart <= FKL_RESTART_TEMPORARY; restart++) {
            for (int how = RETURNS; how <= IS_KILLED; how++) {
                try_combination((fkl_strategy)strategy, (fkl_restart)restart, (way)how, pooled);
            }
        }
    }
}

Test(supervise, each_strategy_kind_and_way_to_end_has_its_answer, .timeout = 120)
{
    try_all(false);
}

Test(supervise, pooled_children_get_the_same_answers, .timeout = 120)
{
    try_all(true);
}

// ---- too many failures

Test(supervise, too_many_failures_end_the_supervisor_in_order, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_journal journal = {0};
    tree_kid a = TREE_KID("a", &journal), b = TREE_KID("b", &journal);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}, {TREE_SPEC("b", &b)}};
    fkl_supervisor_options options = {
        .max_restarts = 2, .period_ns = HOUR, .children = specs, .child_count = 2};
    fkl_actor *boss = tree_start(runtime, &options);
    for (int i = 1; i <= 3; i++) {
        tree_await(&b, i);
        tree_tell(boss, &b, DO_FAIL);
    }
    fkl_exit record = rig_join(boss);
    cr_assert_eq(record.reason, FKL_EXIT_ERROR);
    tree_assert_journal(&journal, 0, "+a +b -b +b -b +b -b -a");
    cr_assert_eq(atomic_load(&log.len), 1);
    cr_assert_not_null(strstr(log.lines[0], "child b"), "%s", log.lines[0]);
    rig_destroy(runtime);
}

Test(supervise, none_allowed_ends_it_at_the_first_failure, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
    fkl_supervisor_options options = {
        .max_restarts = FKL_RESTARTS_NONE, .children = specs, .child_count = 1};
    fkl_actor *boss = tree_start(runtime, &options);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_RETURN);
    cr_assert_eq(rig_join(boss).reason, FKL_EXIT_ERROR);
    cr_assert_eq(atomic_load(&a.starts), 1);
    rig_destroy(runtime);
}

Test(supervise, unlimited_restarts_go_on, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
    fkl_supervisor_options options = {
        .max_restarts = FKL_RESTARTS_UNLIMITED, .children = specs, .child_count = 1};
    fkl_actor *boss = tree_start(runtime, &options);
    for (int i = 1; i <= 50; i++) {
        tree_await(&a, i);
        tree_tell(boss, &a, DO_FAIL);
    }
    tree_await(&a, 51);
    cr_assert_eq(tree_counts(boss).failures, 50);
    cr_assert_eq(tree_info(boss, "a").last_code, 7);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(supervise, failures_long_ago_do_not_count, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
    fkl_supervisor_options options = {
        .max_restarts = 1, .period_ns = 1, .children = specs, .child_count = 1};
    fkl_actor *boss = tree_start(runtime, &options);
    for (int i = 1; i <= 10; i++) {
        tree_await(&a, i);
        tree_tell(boss, &a, DO_FAIL);
    }
    tree_await(&a, 11);
    tree_stop(boss);
    rig_destroy(runtime);
}

// ---- back-off

static void fail_once(fkl_actor *boss, tree_kid *kid, int times_before)
{
    tree_await(kid, times_before + 1);
    tree_tell(boss, kid, DO_FAIL);
    tree_await(kid, times_before + 2);
}

Test(supervise, delays_are_those_of_the_seed, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
    fkl_supervisor_options options = {.max_restarts = FKL_RESTARTS_UNLIMITED,
                                      .period_ns = HOUR,
                                      .backoff_ns = 1000,
                                      .backoff_max_ns = 50000,
                                      .jitter_percent = 30,
                                      .seed = 12345,
                                      .children = specs,
                                      .child_count = 1};
    fkli_backoff rule = {.first = 1000, .most = 50000, .jitter = 30, .random = 12345};
    uint32_t streak = 0;
    fkl_actor *boss = tree_start(runtime, &options);
    for (int i = 0; i < 10; i++) {
        fail_once(boss, &a, i);
        cr_assert_eq(tree_info(boss, "a").delay_ns, fkli_backoff_next(&rule, &streak), "at %d", i);
    }
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(supervise, a_child_that_lived_for_the_period_begins_with_the_first_delay, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
    fkl_supervisor_options options = {.max_restarts = FKL_RESTARTS_UNLIMITED,
                                      .period_ns = 1,
                                      .backoff_ns = 1000,
                                      .children = specs,
                                      .child_count = 1};
    fkl_actor *boss = tree_start(runtime, &options);
    for (int i = 0; i < 4; i++) {
        fail_once(boss, &a, i);
        cr_assert_eq(tree_info(boss, "a").delay_ns, 1000);
    }
    tree_stop(boss);
    rig_destroy(runtime);
}

static fkl_actor *start_slow(fkl_runtime *runtime, fkl_strategy strategy,
                             const fkl_child_spec *specs, size_t count)
{
    fkl_supervisor_options options = {.strategy = strategy,
                                      .backoff_ns = HOUR,
                                      .backoff_max_ns = HOUR,
                                      .children = specs,
                                      .child_count = count};
    return tree_start(runtime, &options);
}

Test(supervise, it_is_not_deaf_during_a_delay, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL), b = TREE_KID("b", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
    fkl_actor *boss = start_slow(runtime, FKL_ONE_FOR_ONE, specs, 1);
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_FAIL);
    assert_eventually(tree_is(boss, "a", FKL_CHILD_WAITING));
    cr_assert_eq(tree_info(boss, "a").delay_ns, HOUR);
    fkl_child child = tree_add(boss, &(fkl_child_spec){TREE_SPEC("b", &b)});
    tree_await(&b, 1);
    assert_ok(fkl_supervisor_remove_until(boss, child, SOON));
    cr_assert_eq(atomic_load(&b.running), 0);
    assert_ok(fkl_supervisor_restart_until(boss, tree_info(boss, "a").child, SOON)); // now
    tree_await(&a, 2);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(supervise, a_stop_ends_a_delay, .timeout = 60)
{
    for (int strategy = FKL_ONE_FOR_ONE; strategy <= FKL_REST_FOR_ONE; strategy++) {
        fkl_runtime *runtime = rig_create();
        tree_kid a = TREE_KID("a", NULL);
        fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
        fkl_actor *boss = start_slow(runtime, (fkl_strategy)strategy, specs, 1);
        tree_await(&a, 1);
        tree_tell(boss, &a, DO_FAIL);
        assert_eventually(tree_is(boss, "a", FKL_CHILD_WAITING));
        cr_assert_eq(tree_stop(boss).reason, FKL_EXIT_STOPPED);
        cr_assert_eq(atomic_load(&a.starts), 1);
        rig_destroy(runtime);
    }
}

// ---- failed restarts

Test(supervise, a_restart_without_a_thread_is_tried_again, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a), .discard = tree_discard}};
    fkl_supervisor_options options = {
        .max_restarts = 3, .period_ns = HOUR, .children = specs, .child_count = 1};
    fkl_actor *boss = tree_start(runtime, &options);
    tree_await(&a, 1);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        tree_tell(boss, &a, tag);
    }
    fkli_fault_thread_start(0, 2);
    tree_tell(boss, &a, DO_FAIL);
    for (uint64_t tag = 4; tag <= 6; tag++) { // some may find it alive, and then they are kept
        fkl_msg *msg = rig_msg(tag);
        if (fkl_send(runtime, atomic_load(&a.id), msg) != FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
    tree_await(&a, 2);
    assert_eventually(tree_counts(boss).starts == 2); // it runs before it is counted
    fkl_supervisor_counts counts = tree_counts(boss);
    cr_assert_eq(counts.failures, 3);
    cr_assert_eq(counts.failed_starts, 2);
    cr_assert_eq(atomic_load(&a.discards), 2);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(supervise, failed_restarts_end_the_supervisor, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}};
    fkl_supervisor_options options = {
        .max_restarts = 3, .period_ns = HOUR, .children = specs, .child_count = 1};
    fkl_actor *boss = tree_start(runtime, &options);
    tree_await(&a, 1);
    fkli_fault_thread_start(0, 1000);
    tree_tell(boss, &a, DO_FAIL);
    cr_assert_eq(rig_join(boss).reason, FKL_EXIT_ERROR);
    fkli_fault_thread_start(0, 0);
    cr_assert_eq(atomic_load(&a.starts), 1);
    rig_destroy(runtime);
}

Test(supervise, a_group_whose_restart_fails_is_stopped_and_tried_again, .timeout = 60)
{
    tree_log log = {0};
    fkl_runtime *runtime = tree_create(&log);
    tree_journal journal = {0};
    tree_kid a = TREE_KID("a", &journal), b = TREE_KID("b", &journal);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a)}, {TREE_SPEC("b", &b)}};
    fkl_supervisor_options options = {.strategy = FKL_ONE_FOR_ALL,
                                      .max_restarts = 3,
                                      .period_ns = HOUR,
                                      .children = specs,
                                      .child_count = 2};
    fkl_actor *boss = tree_start(runtime, &options);
    tree_await(&a, 1);
    tree_await(&b, 1);
    fkli_fault_thread_start(1, 1); // the second start of the next round
    tree_tell(boss, &a, DO_FAIL);
    tree_await(&b, 2);
    tree_stop(boss);
    tree_assert_journal(&journal, 0, "+a +b -a -b +a +b -a +a +b -b -a");
    rig_destroy(runtime);
}

// ---- estates

static void assert_diary(tree_kid *kid, uint64_t first, uint64_t last)
{
    assert_eventually(atomic_load(&kid->received) >= (int)(last - first + 1));
    for (uint64_t tag = first; tag <= last; tag++) {
        cr_assert_eq(atomic_load(&kid->diary[tag - first]), tag, "%d instead of %d",
                     (int)atomic_load(&kid->diary[tag - first]), (int)tag);
    }
    cr_assert_eq(atomic_load(&kid->received), (int)(last - first + 1));
}

// Sends what hangs it, then what shall survive it, and kills it.
static void kill_with_mail(fkl_actor *boss, tree_kid *kid, uint64_t first, uint64_t last)
{
    tree_tell(boss, kid, DO_HANG);
    assert_eventually(atomic_load(&kid->gate.arrived) > 0);
    for (uint64_t tag = first; tag <= last; tag++) {
        tree_tell(boss, kid, tag);
    }
    tree_kill(boss, kid);
    atomic_store(&kid->gate.open, true);
}

static void try_estate(fkl_child_spec spec, uint32_t capacity, fkl_full full)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    spec.id = "a";
    spec.arg = &a;
    spec.spawn.mailbox_capacity = capacity;
    spec.spawn.mailbox_full = full;
    fkl_actor *boss =
        tree_start(runtime, &(fkl_supervisor_options){.children = &spec, .child_count = 1});
    tree_await(&a, 1);
    kill_with_mail(boss, &a, 1, 5);
    tree_await(&a, 2);
    tree_tell(boss, &a, 6);
    assert_diary(&a, 1, 6);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(supervise, what_the_dead_did_not_receive_comes_first, .timeout = 60)
{
    try_estate((fkl_child_spec){.fn = act_kid}, 0, FKL_FULL_WAIT);
    try_estate((fkl_child_spec){.behaviour = &pooled_kid}, 0, FKL_FULL_WAIT);
}

Test(supervise, a_bounded_mailbox_passes_its_content_on, .timeout = 60)
{
    for (int full = FKL_FULL_WAIT; full <= FKL_FULL_DROP_OLDEST; full++) {
        try_estate((fkl_child_spec){.fn = act_kid}, 6, (fkl_full)full);
    }
}

Test(supervise, a_restart_by_hand_passes_messages_on_too, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a)};
    fkl_actor *boss =
        tree_start(runtime, &(fkl_supervisor_options){.children = &spec, .child_count = 1});
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_HANG);
    assert_eventually(atomic_load(&a.gate.arrived) > 0);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        tree_tell(boss, &a, tag);
    }
    assert_err(fkl_supervisor_restart_until(boss, 1, FKL_NO_WAIT), FKL_ETIMEDOUT);
    atomic_store(&a.gate.open, true);
    assert_diary(&a, 1, 3);
    cr_assert_eq(atomic_load(&a.starts), 2);
    tree_stop(boss);
    rig_destroy(runtime);
}

struct question {
    fkl_actor_id to;
    fkl_err err;
    fkl_exit record;
};

static void act_ask(fkl_actor *self, void *arg)
{
    struct question *question = arg;
    fkl_msg *out = NULL;
    question->err = fkl_ask_until(fkl_actor_runtime(self), question->to, rig_msg(42), SOON, &out);
    if (out && fkl_msg_down(out, NULL, &question->record, NULL) != FKL_OK) {
        question->record.reason = FKL_EXIT_NORMAL;
    }
    fkl_msg_destroy(out);
}

static void try_question(fkl_child_spec spec)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    spec.id = "a";
    spec.arg = &a;
    fkl_actor *boss =
        tree_start(runtime, &(fkl_supervisor_options){.children = &spec, .child_count = 1});
    fkl_actor *child = NULL;
    tree_await(&a, 1);
    tree_tell(boss, &a, DO_HANG);
    assert_eventually(atomic_load(&a.gate.arrived) > 0);
    tree_tell(boss, &a, 1);
    struct question question = {.to = atomic_load(&a.id)};
    assert_ok(fkl_actor_find(runtime, question.to, &child));
    fkl_actor *asker = rig_spawn(runtime, act_ask, &question);
    assert_eventually(fkl_actor_mailbox_len(child) == 2);
    tree_tell(boss, &a, 2);
    tree_kill(boss, &a);
    rig_join(asker); // although the old incarnation still runs, and no new one does
    assert_err(question.err, FKL_EDOWN);
    cr_assert_eq(question.record.reason, FKL_EXIT_KILLED);
    cr_assert_eq(question.record.id, question.to);
    atomic_store(&a.gate.open, true);
    tree_await(&a, 2);
    assert_diary(&a, 1, 2); // and not the request
    fkl_actor_release(child);
    tree_stop(boss);
    rig_destroy(runtime);
}

Test(supervise, requests_fail_and_are_not_passed_on, .timeout = 60)
{
    try_question((fkl_child_spec){.fn = act_kid});
    try_question((fkl_child_spec){.behaviour = &pooled_kid});
}

Test(supervise, messages_are_dropped_where_that_is_wanted, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL);
    fkl_child_spec spec = {TREE_SPEC("a", &a), .drop_messages = true};
    fkl_actor *boss =
        tree_start(runtime, &(fkl_supervisor_options){.children = &spec, .child_count = 1});
    fkl_counters counters;
    tree_await(&a, 1);
    kill_with_mail(boss, &a, 1, 3);
    tree_await(&a, 2);
    tree_tell(boss, &a, 4);
    assert_diary(&a, 4, 4);
    tree_stop(boss);
    fkl_runtime_counters(runtime, &counters);
    cr_assert_eq(counters.dropped, 3);
    rig_destroy(runtime);
}

Test(supervise, messages_nobody_inherits_are_dropped_and_counted, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    tree_kid a = TREE_KID("a", NULL), b = TREE_KID("b", NULL);
    fkl_child_spec specs[] = {{TREE_SPEC("a", &a), .restart = FKL_RESTART_TEMPORARY},
                              {TREE_SPEC("b", &b)}};
    fkl_actor *boss = start_slow(runtime, FKL_ONE_FOR_ONE, specs, 2);
    fkl_counters counters;
    tree_await(&a, 1);
    tree_await(&b, 1);
    kill_with_mail(boss, &a, 1, 3);
    assert_eventually(fkl_supervisor_find(boss, "a", &(fkl_child_info){0}) == FKL_ENOACTOR);
    kill_with_mail(boss, &b, 1, 2);
    assert_eventually(tree_is(boss, "b", FKL_CHILD_WAITING));
    fkl_runtime_counters(runtime, &counters);
    cr_assert_eq(counters.sent, 7);
    cr_assert_eq(counters.handled, 2);
    cr_assert_eq(counters.dropped, 3); // those of b still wait for its next incarnation
    tree_stop(boss);
    fkl_runtime_counters(runtime, &counters);
    cr_assert_eq(counters.dropped, 5);
    rig_destroy(runtime);
}
