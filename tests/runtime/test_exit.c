// SPDX-License-Identifier: Apache-2.0
//
// How actors end: exit records, published once by whoever comes first, and everybody who waits for
// them: joins and sentinels. Monitors are in test_monitor.c.
#include "support/rig.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

// ---- exit records

struct ending {
    int32_t code;
    const char *error;
    bool stop_first;
    fkl_err err;
};

static void end_as_told(fkl_actor *self, void *arg)
{
    struct ending *ending = arg;
    if (ending->stop_first) {
        fkl_actor_stop(self);
    }
    ending->err = fkl_actor_set_exit(self, ending->code, ending->error,
                                     ending->error ? strlen(ending->error) : 0);
}

Test(exit, the_exit_record_says_how_the_function_ended, .timeout = 60)
{
    static const struct {
        struct ending ending;
        fkl_exit_reason reason;
    } cases[] = {
        {{0, NULL, false, FKL_OK}, FKL_EXIT_NORMAL},  {{0, NULL, true, FKL_OK}, FKL_EXIT_STOPPED},
        {{3, NULL, false, FKL_OK}, FKL_EXIT_ERROR},   {{-15, NULL, true, FKL_OK}, FKL_EXIT_ERROR},
        {{0, "\x80", false, FKL_OK}, FKL_EXIT_ERROR}, {{1, "\x80", true, FKL_OK}, FKL_EXIT_ERROR},
    };
    fkl_runtime *runtime = rig_create();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ending ending = cases[i].ending;
        fkl_actor *actor = rig_spawn(runtime, end_as_told, &ending);
        fkl_exit record = {0};
        assert_ok(fkl_actor_join_until(actor, SOON, &record));
        assert_ok(ending.err);
        cr_assert_eq(record.reason, cases[i].reason, "case %zu: %d", i, record.reason);
        cr_assert_eq(record.code, ending.code);
        cr_assert_eq(record.error_len, ending.error ? strlen(ending.error) : 0);
        if (ending.error) {
            cr_assert_neq(record.error, (const void *)ending.error, "it is a copy");
            cr_assert_arr_eq(record.error, ending.error, record.error_len);
        } else {
            cr_assert_null(record.error);
        }
        fkl_actor_release(actor);
    }
    rig_destroy(runtime);
}

static void change_mind(fkl_actor *self, void *arg)
{
    fkl_err *results = arg;
    results[0] = fkl_actor_set_exit(self, 5, "first error", 11);
    results[1] = fkl_actor_set_exit(self, 6, "second", 6);
    results[2] = fkl_actor_set_exit(self, 0, NULL, 0);
}

Test(exit, the_last_set_exit_counts, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_err results[3] = {FKL_EINVAL, FKL_EINVAL, FKL_EINVAL};
    fkl_exit record = rig_join(rig_spawn(runtime, change_mind, results));
    for (int i = 0; i < 3; i++) {
        assert_ok(results[i]);
    }
    cr_assert_eq(record.reason, FKL_EXIT_NORMAL);
    cr_assert_eq(record.code, 0);
    cr_assert_eq(record.error_len, 0);
    rig_destroy(runtime);
}

Test(exit, there_is_no_exit_record_while_it_lives, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
    fkl_exit record;
    fkl_time deadline = fkl_after_ms(20);
    assert_err(fkl_actor_try_exit(actor, &record), FKL_EEMPTY);
    assert_err(fkl_actor_join_until(actor, FKL_NO_WAIT, &record), FKL_ETIMEDOUT);
    assert_err(fkl_actor_join_until(actor, deadline, &record), FKL_ETIMEDOUT);
    cr_assert_geq(fkl_now(), deadline);
    assert_err(fkl_actor_join_thread_until(actor, FKL_NO_WAIT), FKL_ETIMEDOUT);
    fkl_actor_stop(actor);
    rig_join(actor);
    rig_destroy(runtime);
}

struct early {
    rig_gate gate;
    bool first, second;
    fkl_err after;
};

static void exit_early(fkl_actor *self, void *arg)
{
    struct early *early = arg;
    early->after = fkl_actor_set_exit(self, 3, "why", 3);
    early->first = fkl_actor_exit_now(self, 7);
    early->second = fkl_actor_exit_now(self, 8);
    if (fkl_actor_set_exit(self, 9, NULL, 0) != FKL_OK) {
        early->after = FKL_ENOMEM;
    }
    rig_pass(&early->gate);
}

Test(exit, exit_now_publishes_while_the_thread_goes_on, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct early early = {0};
    fkl_actor *actor = rig_spawn(runtime, exit_early, &early);
    fkl_exit record = {0};
    fkl_counters count;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_eq(record.code, 7);
    cr_assert_eq(record.reason, FKL_EXIT_ERROR);
    assert_err(fkl_actor_join_thread_until(actor, FKL_NO_WAIT), FKL_ETIMEDOUT);
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.live, 0);
    cr_assert_eq(count.orphans, 1);
    assert_eventually(atomic_load(&early.gate.arrived) == 1);
    atomic_store(&early.gate.open, true);
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    cr_assert(early.first);
    cr_assert_not(early.second);
    assert_ok(early.after);
    assert_ok(fkl_actor_try_exit(actor, &record));
    cr_assert_eq(record.code, 7, "later changes have no effect");
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

struct afterwards {
    fkl_err try_receive, receive, monitor;
};

static void go_on_after_the_exit(fkl_actor *self, void *arg)
{
    struct afterwards *after = arg;
    fkl_msg *msg = NULL;
    fkl_monitor_ref ref = 0;
    fkl_actor_exit_now(self, 0);
    after->try_receive = fkl_try_receive(&msg);
    after->receive = fkl_receive_until(FKL_FOREVER, &msg);
    after->monitor = fkl_monitor(fkl_actor_get_id(self), &ref);
}

Test(exit, an_orphan_neither_receives_nor_monitors, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct afterwards after = {FKL_OK, FKL_OK, FKL_OK};
    fkl_exit record = rig_join(rig_spawn(runtime, go_on_after_the_exit, &after));
    cr_assert_eq(record.reason, FKL_EXIT_NORMAL);
    assert_err(after.try_receive, FKL_ESTOPPED);
    assert_err(after.receive, FKL_ESTOPPED);
    assert_err(after.monitor, FKL_ESTOPPED);
    rig_destroy(runtime);
}

static void set_then_exit_now(fkl_actor *self, void *arg)
{
    fkl_err *err = arg;
    *err = fkl_actor_set_exit(self, 3, "why", 3);
    fkl_actor_exit_now(self, 0);
}

Test(exit, exit_now_with_code_0_keeps_what_was_set, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_err err = FKL_EINVAL;
    fkl_exit record = rig_join(rig_spawn(runtime, set_then_exit_now, &err));
    assert_ok(err);
    cr_assert_eq(record.reason, FKL_EXIT_ERROR);
    cr_assert_eq(record.code, 3);
    cr_assert_eq(record.error_len, 3);
    rig_destroy(runtime);
}

static void end_the_thread(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    pthread_exit(NULL);
}

static void count_lines(fkl_log_level level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void count_hook(fkl_actor_id id, void *ctx)
{
    (void)id;
    atomic_fetch_add((atomic_int *)ctx, 100);
}

Test(exit, a_function_that_ends_its_thread_is_an_exit_too, .timeout = 60)
{
    atomic_int count = 0;
    fkl_runtime_config config = {
        .log = count_lines, .log_ctx = &count, .on_thread_end = count_hook, .hook_ctx = &count};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    rig_join(rig_spawn(runtime, end_the_thread, NULL));
    rig_destroy(runtime);
    cr_assert_eq(atomic_load(&count), 1, "one line in the log, and no hook");
}

// ---- kill

Test(exit, a_kill_publishes_at_once_and_leaves_an_orphan, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(runtime, act_stubborn, &gate);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    rig_send(actor, 1);
    fkl_exit record = {0};
    fkl_counters count;
    cr_assert(fkl_actor_kill(actor, -9));
    assert_ok(fkl_actor_try_exit(actor, &record));
    cr_assert_eq(record.reason, FKL_EXIT_KILLED);
    cr_assert_eq(record.code, -9);
    cr_assert(fkl_actor_stop_requested(actor));
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.live, 0);
    cr_assert_eq(count.orphans, 1);
    fkl_msg *msg = rig_msg(2);
    fkl_actor *found = NULL;
    assert_err(fkl_actor_send(actor, msg), FKL_ENOACTOR);
    fkl_msg_destroy(msg);
    assert_err(fkl_actor_find(runtime, fkl_actor_get_id(actor), &found), FKL_ENOACTOR);
    fkl_running rows[2];
    size_t running = 0;
    fkl_runtime_running(runtime, rows, 2, &running);
    cr_assert_eq(running, 1);
    cr_assert(rows[0].orphan);
    atomic_store(&gate.open, true);
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.orphans, 0);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(exit, only_the_first_of_two_kills_publishes, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
    cr_assert(fkl_actor_kill(actor, 1));
    cr_assert_not(fkl_actor_kill(actor, 2));
    cr_assert_eq(rig_join(actor).code, 1);
    rig_destroy(runtime);
}

Test(exit, a_kill_after_the_end_changes_nothing, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_return, NULL);
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_not(fkl_actor_kill(actor, 2));
    cr_assert_eq(rig_join(actor).reason, FKL_EXIT_NORMAL);
    rig_destroy(runtime);
}

Test(exit, a_kill_ends_the_waits_of_the_orphan, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = FKL_FOREVER};
    fkl_actor *actor = rig_spawn(runtime, act_receive_once, &receipt);
    assert_eventually(rig_waits_in(actor, "receive"));
    cr_assert(fkl_actor_kill(actor, 1));
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    assert_err(receipt.err, FKL_ESTOPPED);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

// ---- joins

static void join_self(fkl_actor *self, void *arg)
{
    fkl_err *results = arg;
    fkl_exit record;
    results[0] = fkl_actor_join_until(self, FKL_FOREVER, &record);
    results[1] = fkl_actor_join_thread_until(self, FKL_FOREVER);
}

Test(exit, joining_itself_is_edeadlk, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_err results[2] = {FKL_OK, FKL_OK};
    rig_join(rig_spawn(runtime, join_self, results));
    assert_err(results[0], FKL_EDEADLK);
    assert_err(results[1], FKL_EDEADLK);
    rig_destroy(runtime);
}

struct joiner {
    fkl_actor *target;
    bool thread;
    fkl_err err;
    fkl_exit record;
};

static void join_target(fkl_actor *self, void *arg)
{
    (void)self;
    struct joiner *joiner = arg;
    joiner->err = joiner->thread
                      ? fkl_actor_join_thread_until(joiner->target, FKL_FOREVER)
                      : fkl_actor_join_until(joiner->target, FKL_FOREVER, &joiner->record);
}

Test(exit, any_number_of_joins_end_with_the_same_record, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    struct joiner joiners[6];
    fkl_actor *actors[6];
    for (int i = 0; i < 6; i++) {
        joiners[i] = (struct joiner){.target = target, .thread = i % 2};
        actors[i] = rig_spawn(runtime, join_target, &joiners[i]);
    }
    for (int i = 0; i < 6; i++) {
        assert_eventually(rig_waits(actors[i]));
    }
    cr_assert(fkl_actor_kill(target, 4));
    for (int i = 0; i < 6; i++) {
        rig_join(actors[i]);
        assert_ok(joiners[i].err);
        cr_assert(i % 2 || joiners[i].record.code == 4);
    }
    fkl_actor_release(target);
    rig_destroy(runtime);
}

Test(exit, a_stop_and_an_interrupt_end_a_join, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    for (int i = 0; i < 4; i++) {
        struct joiner joiner = {.target = target, .thread = i % 2};
        fkl_actor *actor = rig_spawn(runtime, join_target, &joiner);
        assert_eventually(rig_waits(actor));
        if (i < 2) {
            fkl_actor_stop(actor);
        } else {
            fkl_actor_interrupt(actor);
        }
        rig_join(actor);
        assert_err(joiner.err, i < 2 ? FKL_ESTOPPED : FKL_EINTR);
    }
    fkl_actor_release(target);
    rig_destroy(runtime);
}

// ---- sentinels

static bool readable(int fd, int timeout_ms)
{
    struct pollfd row = {.fd = fd, .events = POLLIN};
    return poll(&row, 1, timeout_ms) == 1 && (row.revents & (POLLIN | POLLHUP));
}

Test(exit, the_sentinel_is_readable_from_the_exit_on, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
    int fd = -1, again = -1;
    char byte;
    assert_ok(fkl_actor_sentinel(actor, &fd));
    assert_ok(fkl_actor_sentinel(actor, &again));
    cr_assert_geq(fd, 0);
    cr_assert_eq(fd, again, "one descriptor for all");
    cr_assert_not(readable(fd, 0));
    fkl_actor_stop(actor);
    cr_assert(readable(fd, RIG_PATIENCE_MS));
    cr_assert_eq(read(fd, &byte, 1), 0, "end of file");
    cr_assert(readable(fd, 0), "and it stays so");
    rig_join(actor);
    rig_destroy(runtime);
    cr_assert_eq(fcntl(fd, F_GETFD), -1, "the last reference closed it");
}

Test(exit, a_sentinel_made_after_the_exit_is_readable_at_once, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_return, NULL);
    fkl_exit record;
    int fd = -1;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    assert_ok(fkl_actor_sentinel(actor, &fd));
    cr_assert(readable(fd, 0));
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(exit, the_sentinel_of_a_killed_actor_is_readable_while_its_thread_runs, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(runtime, act_stubborn, &gate);
    int fd = -1;
    assert_ok(fkl_actor_sentinel(actor, &fd));
    cr_assert(fkl_actor_kill(actor, 0));
    cr_assert(readable(fd, RIG_PATIENCE_MS));
    atomic_store(&gate.open, true);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(exit, a_sentinel_without_descriptors_is_eos_and_comes_later, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
    struct rlimit before, none = {0, 0};
    int fd = -1;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    fkl_err err = fkl_actor_sentinel(actor, &fd);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_err(err, FKL_EOS);
    cr_assert_eq(fd, -1);
    assert_ok(fkl_actor_sentinel(actor, &fd));
    cr_assert_not(readable(fd, 0));
    fkl_actor_stop(actor);
    cr_assert(readable(fd, RIG_PATIENCE_MS));
    rig_join(actor);
    rig_destroy(runtime);
}

static void kill_itself(fkl_actor *self, void *arg)
{
    bool *published = arg;
    published[0] = fkl_actor_kill(self, -15);
    published[1] = fkl_actor_exit_now(self, 1);
}

Test(exit, an_actor_may_kill_itself, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    bool published[2] = {false, true};
    fkl_exit record = rig_join(rig_spawn(runtime, kill_itself, published));
    cr_assert(published[0]);
    cr_assert_not(published[1]);
    cr_assert_eq(record.reason, FKL_EXIT_KILLED);
    cr_assert_eq(record.code, -15);
    rig_destroy(runtime);
}

static void kill_itself_and_wait(fkl_actor *self, void *arg)
{
    fkl_err *err = arg;
    *err = fkl_actor_kill_until(self, 1, FKL_FOREVER, NULL);
}

Test(exit, kill_until_waits_for_the_thread_as_well, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_exit record;
    fkl_actor *stubborn = rig_spawn(runtime, act_stubborn, &gate);
    assert_err(fkl_actor_kill_until(stubborn, 4, fkl_after_ms(20), &record), FKL_ETIMEDOUT);
    assert_ok(fkl_actor_try_exit(stubborn, &record));
    cr_assert_eq(record.code, 4, "killed all the same");
    atomic_store(&gate.open, true);
    assert_ok(fkl_actor_kill_until(stubborn, 5, SOON, &record));
    cr_assert_eq(record.reason, FKL_EXIT_KILLED);
    cr_assert_eq(record.code, 4, "the first record counts");
    assert_ok(fkl_actor_join_thread_until(stubborn, FKL_NO_WAIT));
    fkl_actor_release(stubborn);
    fkl_err err = FKL_OK;
    cr_assert_eq(rig_join(rig_spawn(runtime, kill_itself_and_wait, &err)).reason, FKL_EXIT_NORMAL);
    assert_err(err, FKL_EDEADLK);
    rig_destroy(runtime);
}
