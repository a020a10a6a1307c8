// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors: what their behaviours see, and that all else is as with thread actors.
#include "support/pooled.h"

#include "platform/platform.h"

#include <poll.h>
#include <pthread.h>

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

Test(pooled, what_a_turn_may_not_do_is_refused_at_the_spawn)
{
    fkl_runtime *runtime = rig_create();
    fkl_behaviour none = {NULL, note_start, note_finish};
    assert_err(fkl_spawn_pooled(runtime, NULL, &none, NULL, NULL), FKL_EINVAL);
    assert_err(fkl_spawn_pooled(runtime, NULL, NULL, NULL, NULL), FKL_EINVAL);
    assert_err(fkl_spawn_pooled(NULL, NULL, &noting, NULL, NULL), FKL_EINVAL);
    assert_err(fkl_become(&none, NULL), FKL_EINVAL);
    assert_err(fkl_become(NULL, NULL), FKL_EINVAL);
    assert_err(fkl_become(&noting, NULL), FKL_EPERM);
    rig_destroy(runtime);
}

// ---- turns that others wait for

Test(pooled, an_actor_stopped_before_its_first_turn_only_finishes)
{
    fkl_runtime *runtime = create_with(1);
    rig_gate gate = {0};
    struct seen stopped = {0};
    struct seen killed = {0};
    fkl_actor *blocker = spawn(runtime, &waiting, &gate);
    rig_send(blocker, 1);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    fkl_actor *first = spawn(runtime, &noting, &stopped);
    fkl_actor *second = spawn(runtime, &noting, &killed);
    rig_send(first, 1);
    cr_assert(rig_waits_in(blocker, "running"));
    cr_assert(rig_waits_in(first, "queued"));
    fkl_actor_stop(first);
    fkl_actor_kill(second, 3);
    cr_assert_eq(killed.finishes, 0);
    atomic_store(&gate.open, true);
    cr_assert_eq(rig_join(first).reason, FKL_EXIT_STOPPED);
    cr_assert_eq(rig_join(second).reason, FKL_EXIT_KILLED);
    cr_assert_eq(stopped.starts + killed.starts, 0);
    cr_assert_eq(stopped.finishes, 1);
    cr_assert_eq(killed.finishes, 1);
    cr_assert_eq(stopped.count, 0);
    fkl_actor_release(blocker);
    rig_destroy(runtime);
}

Test(pooled, an_actor_killed_in_its_turn_is_an_orphan_until_the_turn_ends)
{
    fkl_runtime *runtime = create_with(2);
    rig_gate gate = {0};
    fkl_counters count;
    fkl_actor *actor = spawn(runtime, &waiting, &gate);
    rig_send(actor, 1);
    rig_send(actor, 2);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    cr_assert(fkl_actor_kill(actor, 4));
    cr_assert_not(fkl_actor_kill(actor, 5));
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_eq(record.code, 4);
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.orphans, 1);
    assert_err(fkl_actor_join_thread_until(actor, FKL_NO_WAIT), FKL_ETIMEDOUT);
    fkl_msg *msg = rig_msg(1);
    assert_err(fkl_actor_send(actor, msg), FKL_ENOACTOR);
    fkl_msg_destroy(msg);
    atomic_store(&gate.open, true);
    rig_join(actor);
    cr_assert_eq(atomic_load(&gate.arrived), 1, "no message after its end");
    rig_destroy(runtime);
}

Test(pooled, a_shutdown_names_whose_turn_does_not_end)
{
    fkl_runtime *runtime = create_with(2);
    rig_gate gate = {0};
    fkl_actor *actor = spawn(runtime, &waiting, &gate);
    rig_send(actor, 1);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    assert_err(fkl_runtime_shutdown(runtime, fkl_after_ms(1)), FKL_ETIMEDOUT);
    cr_assert(rig_waits_in(actor, "running"));
    assert_err(fkl_runtime_destroy(runtime), FKL_EDEADLK);
    assert_err(fkl_spawn_pooled(runtime, NULL, &noting, NULL, NULL), FKL_ESHUTDOWN);
    atomic_store(&gate.open, true);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(pooled, a_runtime_is_not_freed_under_its_workers)
{
    fkl_runtime *runtime = create_with(2);
    struct seen seen = {0};
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    rig_send(actor, 0);
    rig_join(actor);
    assert_err(fkl_runtime_destroy(runtime), FKL_EDEADLK);
    rig_destroy(runtime);
}

// ---- ends

static fkl_turn exit_now(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct seen *seen = state;
    seen->count++;
    fkl_msg_destroy(msg);
    fkl_actor_exit_now(self, 6);
    return FKL_TURN_CONTINUE;
}

Test(pooled, an_exit_published_in_a_turn_ends_the_actor_after_it)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    fkl_behaviour exiting = {exit_now, NULL, note_finish};
    fkl_actor *actor = spawn(runtime, &exiting, &seen);
    rig_send(actor, 1);
    rig_join(actor);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(seen.finishes, 1);
    rig_destroy(runtime);
}

static void fail_in_finish(fkl_actor *self, void *state)
{
    fkl_err *err = state;
    *err = fkl_actor_set_exit(self, 5, "broken", 6);
}

Test(pooled, finish_may_set_the_exit)
{
    fkl_runtime *runtime = rig_create();
    fkl_err err = FKL_EINVAL;
    fkl_behaviour failing = {note, NULL, fail_in_finish};
    fkl_actor *actor = spawn(runtime, &failing, &err);
    fkl_actor_stop(actor);
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    assert_ok(err);
    cr_assert_eq(record.reason, FKL_EXIT_ERROR);
    cr_assert_eq(record.code, 5);
    cr_assert_eq(record.error_len, 6);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(pooled, what_is_left_in_the_mailbox_is_dropped)
{
    fkl_runtime *runtime = create_with(1);
    rig_gate gate = {0};
    struct seen seen = {0};
    fkl_actor *blocker = spawn(runtime, &waiting, &gate);
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    rig_send(blocker, 1);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    for (uint64_t i = 0; i < 5; i++) {
        rig_send(actor, i % 3); // the first ends it
    }
    atomic_store(&gate.open, true);
    rig_join(actor);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(seen.count, 1);
    cr_assert_eq(count.dropped, 4);
    fkl_actor_release(blocker);
    rig_destroy(runtime);
}

Test(pooled, a_draining_actor_ends_when_all_is_handled)
{
    fkl_runtime *runtime = create_with(1);
    rig_gate gate = {0};
    struct seen seen = {0};
    fkl_actor *blocker = spawn(runtime, &waiting, &gate);
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    rig_send(blocker, 1);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    for (uint64_t i = 1; i <= 5; i++) {
        rig_send(actor, i);
    }
    fkl_actor_drain(actor);
    atomic_store(&gate.open, true);
    rig_join(actor);
    cr_assert_eq(seen.count, 5);
    fkl_actor_release(blocker);
    // And an idle one at once.
    struct seen idle_seen = {0};
    fkl_actor *idle = spawn(runtime, &noting, &idle_seen);
    assert_eventually(rig_waits_in(idle, "idle"));
    fkl_actor_drain(idle);
    rig_join(idle);
    cr_assert_eq(idle_seen.finishes, 1);
    rig_destroy(runtime);
}

static fkl_turn end_the_thread(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    (void)state;
    fkl_msg_destroy(msg);
    pthread_exit(NULL);
}

static void ignore_log(fkl_log_level level, const char *text, void *ctx)
{
    (void)text;
    *(atomic_int *)ctx += level == FKL_LOG_ERROR;
}

Test(pooled, a_behaviour_that_ends_its_thread_ends_only_its_actor)
{
    atomic_int errors = 0;
    fkl_runtime_config config = {.pool_workers = 1, .log = ignore_log, .log_ctx = &errors};
    fkl_runtime *runtime = NULL;
    struct seen bad_seen = {0};
    struct seen good_seen = {0};
    fkl_behaviour ending = {end_the_thread, note_start, note_finish};
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *bad = spawn(runtime, &ending, &bad_seen);
    fkl_actor *good = spawn(runtime, &noting, &good_seen);
    rig_send(bad, 1);
    rig_join(bad);
    cr_assert_eq(bad_seen.finishes, 1);
    rig_send(good, 0);
    rig_join(good);
    cr_assert_eq(atomic_load(&errors), 1);
    rig_destroy(runtime);
}

// ---- all else is as with other actors

struct watcher {
    fkl_actor_id target;
    int downs;
    fkl_exit record;
    fkl_err err;
};

static void watch(fkl_actor *self, void *state)
{
    (void)self;
    struct watcher *watcher = state;
    fkl_monitor_ref ref;
    watcher->err = fkl_monitor(watcher->target, &ref);
}

static fkl_turn note_down(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    struct watcher *watcher = state;
    watcher->downs += fkl_msg_down(msg, NULL, &watcher->record, NULL) == FKL_OK;
    fkl_msg_destroy(msg);
    return FKL_TURN_END;
}

Test(pooled, actors_watch_each_other)
{
    fkl_runtime *runtime = rig_create();
    fkl_behaviour watching = {.receive = note_down, .start = watch};
    struct seen seen = {0};
    fkl_actor *target = spawn(runtime, &noting, &seen);
    struct watcher watcher = {.target = fkl_actor_get_id(target)};
    struct watcher second = {0};
    fkl_actor *actor = spawn(runtime, &watching, &watcher);
    second.target = fkl_actor_get_id(actor);
    fkl_actor *chained = spawn(runtime, &watching, &second);
    assert_eventually(rig_waits_in(actor, "idle") && rig_waits_in(chained, "idle"));
    fkl_actor_kill(target, 8);
    rig_join(chained);
    rig_join(actor);
    assert_ok(watcher.err);
    cr_assert_eq(watcher.downs, 1);
    cr_assert_eq(watcher.record.code, 8);
    cr_assert_eq(second.downs, 1);
    cr_assert_eq(second.record.reason, FKL_EXIT_NORMAL);
    rig_join(target);
    rig_destroy(runtime);
}

Test(pooled, an_actor_is_found_by_its_id_while_it_lives)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    fkl_spawn_options options = {.name = "pooled one", .data = &seen};
    fkl_actor *actor = NULL;
    fkl_actor *found = NULL;
    fkl_running row;
    size_t count = 0;
    assert_ok(fkl_spawn_pooled(runtime, &options, &noting, &seen, &actor));
    fkl_actor_id id = fkl_actor_get_id(actor);
    cr_assert_str_eq(fkl_actor_name(actor), "pooled one");
    cr_assert_eq(fkl_actor_data(actor), (void *)&seen);
    cr_assert_eq(fkl_actor_runtime(actor), runtime);
    assert_ok(fkl_actor_find(runtime, id, &found));
    cr_assert_eq(found, actor);
    fkl_actor_release(found);
    fkl_runtime_running(runtime, &row, 1, &count);
    cr_assert_eq(count, 1);
    cr_assert_str_eq(row.name, "pooled one");
    assert_ok(fkl_send(runtime, id, rig_msg(0)));
    rig_join(actor);
    assert_err(fkl_actor_find(runtime, id, &found), FKL_ENOACTOR);
    rig_destroy(runtime);
}

Test(pooled, a_sentinel_shows_the_end)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    int fd = -1;
    assert_ok(fkl_actor_sentinel(actor, &fd));
    struct pollfd poll_one = {.fd = fd, .events = POLLIN};
    cr_assert_eq(poll(&poll_one, 1, 0), 0);
    rig_send(actor, 0);
    cr_assert_eq(poll(&poll_one, 1, RIG_PATIENCE_MS), 1);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(pooled, an_interrupt_has_no_effect)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    fkl_actor_interrupt(actor);
    assert_eventually(rig_waits_in(actor, "idle"));
    rig_send(actor, 1);
    fkl_actor_interrupt(actor);
    rig_send(actor, 0);
    rig_join(actor);
    cr_assert_eq(seen.count, 2);
    rig_destroy(runtime);
}

struct helper {
    fkl_actor *actor;
    fkl_err err;
    atomic_bool entered;
    pthread_t thread;
};

static void *help(void *arg)
{
    struct helper *helper = arg;
    fkl_actor *previous = NULL;
    fkl_err err = fkl_actor_enter(helper->actor, &previous);
    atomic_store(&helper->entered, true);
    helper->err = err ? err : fkl_sleep_until(SOON);
    fkl_actor_leave(previous);
    return NULL;
}

Test(pooled, a_stop_reaches_helpers)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {0};
    struct helper helper = {.actor = spawn(runtime, &noting, &seen)};
    cr_assert_eq(pthread_create(&helper.thread, NULL, help, &helper), 0);
    assert_eventually(atomic_load(&helper.entered));
    rig_send(helper.actor, 1); // its turns go on without the helper
    assert_eventually(atomic_load(&seen.messages) == 1);
    fkl_actor_stop(helper.actor);
    pthread_join(helper.thread, NULL);
    assert_err(helper.err, FKL_ESTOPPED);
    rig_join(helper.actor);
    rig_destroy(runtime);
}

struct relay {
    fkl_actor *next;
};

static fkl_turn pass_on(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    struct relay *relay = state;
    bool last = fkl_msg_tag(msg) == 0;
    if (fkl_actor_send(relay->next, msg)) {
        fkl_msg_destroy(msg);
    }
    return last ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

Test(pooled, actors_of_two_runtimes_send_to_each_other)
{
    fkl_runtime *runtime = create_with(1);
    fkl_runtime *other = create_with(1);
    fkl_behaviour relaying = {.receive = pass_on};
    struct seen seen = {0};
    struct relay second = {.next = spawn(runtime, &noting, &seen)};
    struct relay first = {.next = spawn(other, &relaying, &second)};
    fkl_actor *actor = spawn(runtime, &relaying, &first);
    for (uint64_t i = 1000; i > 0; i--) {
        rig_send(actor, i);
    }
    rig_send(actor, 0);
    rig_join(actor);
    rig_join(first.next);
    rig_join(second.next);
    cr_assert_eq(seen.count, 1001);
    cr_assert_eq(seen.tags[1000 % 16], 0);
    rig_destroy(other);
    rig_destroy(runtime);
}

static atomic_int hooks_begun;
static atomic_int hooks_ended;

static void note_thread_start(fkl_actor_id id, void *ctx)
{
    atomic_fetch_add((atomic_int *)ctx, id == FKL_NOBODY);
}

static void note_thread_end(fkl_actor_id id, void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&hooks_ended, id == FKL_NOBODY);
}

Test(pooled, thread_hooks_run_in_workers)
{
    fkl_runtime_config config = {
        .pool_workers = 3,
        .on_thread_start = note_thread_start,
        .on_thread_end = note_thread_end,
        .hook_ctx = &hooks_begun,
    };
    fkl_runtime *runtime = NULL;
    struct seen seen = {0};
    atomic_store(&hooks_begun, 0);
    atomic_store(&hooks_ended, 0);
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = spawn(runtime, &noting, &seen);
    assert_eventually(atomic_load(&hooks_begun) == 3);
    cr_assert_eq(atomic_load(&hooks_ended), 0);
    fkl_actor_release(actor);
    rig_destroy(runtime);
    cr_assert_eq(atomic_load(&hooks_ended), 3);
}

Test(pooled, counters_count_pooled_actors_too)
{
    fkl_runtime_config config = {.max_actors = 3};
    fkl_runtime *runtime = NULL;
    static struct seen seen[3];
    fkl_actor *actors[3];
    fkl_counters count;
    assert_ok(fkl_runtime_create(&config, &runtime));
    for (int i = 0; i < 3; i++) {
        actors[i] = spawn(runtime, &noting, &seen[i]);
    }
    assert_err(fkl_spawn_pooled(runtime, NULL, &noting, NULL, NULL), FKL_ELIMIT);
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.spawned, 3);
    cr_assert_eq(count.live, 3);
    for (int i = 0; i < 3; i++) {
        rig_send(actors[i], 0);
        rig_join(actors[i]);
    }
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.live, 0);
    cr_assert_eq(count.sent, 3);
    cr_assert_eq(count.handled, 3);
    rig_destroy(runtime);
}

Test(pooled, without_a_thread_there_is_no_pool)
{
    fkl_runtime *runtime = create_with(2);
    struct seen seen = {0};
    fkli_fault_thread_start(0, 1);
    assert_err(fkl_spawn_pooled(runtime, NULL, &noting, &seen, NULL), FKL_ETHREAD);
    fkli_fault_thread_start(1, 1);
    fkl_actor *actor = spawn(runtime, &noting, &seen); // one worker is enough
    rig_send(actor, 0);
    rig_join(actor);
    cr_assert_eq(seen.finishes, 1);
    rig_destroy(runtime);
}

Test(pooled, without_memory_nothing_is_spawned_or_left)
{
    bool failed = true;
    for (long fail_at = 0; failed; fail_at++) {
        rig_memory memory = {0};
        fkl_runtime_config config = {.allocator = rig_allocator(&memory), .pool_workers = 2};
        fkl_runtime *runtime = NULL;
        struct seen seen = {0};
        assert_ok(fkl_runtime_create(&config, &runtime));
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + fail_at + 1);
        fkl_spawn_options options = {.name = "scarce", .mailbox_capacity = 2};
        fkl_err err = fkl_spawn_pooled(runtime, &options, &noting, &seen, NULL);
        atomic_store(&memory.fail_at, 0);
        failed = err == FKL_ENOMEM;
        cr_assert(failed || fail_at > 2, "%s after %ld", fkl_err_name(err), fail_at);
        if (!failed) {
            assert_ok(err);
        }
        rig_destroy(runtime);
        cr_assert_eq(seen.finishes, failed ? 0 : 1);
        rig_assert_balanced(&memory);
    }
}
