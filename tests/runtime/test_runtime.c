// SPDX-License-Identifier: Apache-2.0
//
// Runtimes: creation and its failures, shutdown that never hangs and names who still runs,
// counters, hooks, several at a time, and memory or threads running out at every place where they
// can.
#include "support/rig.h"

#include "platform/platform.h"

Test(runtime, can_be_made_and_destroyed_without_an_actor)
{
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(NULL, &runtime));
    assert_ok(fkl_runtime_destroy(runtime));
    fkl_runtime_config config = {0};
    assert_ok(fkl_runtime_create(&config, &runtime));
    assert_ok(fkl_runtime_shutdown(runtime, FKL_NO_WAIT));
    assert_ok(fkl_runtime_shutdown(runtime, FKL_NO_WAIT));
    assert_ok(fkl_runtime_destroy(runtime));
}

Test(runtime, a_new_one_has_counted_nothing)
{
    fkl_runtime *runtime = rig_create();
    fkl_counters count, zero = {0};
    memset(&count, 0xff, sizeof count);
    fkl_runtime_counters(runtime, &count);
    cr_assert_arr_eq(&count, &zero, sizeof zero);
    size_t running = 99;
    fkl_runtime_running(runtime, NULL, 0, &running);
    cr_assert_eq(running, 0);
    rig_destroy(runtime);
}

Test(runtime, shutdown_stops_every_actor_and_waits_for_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    for (int i = 0; i < 10; i++) {
        assert_ok(fkl_spawn(runtime, NULL, i % 2 ? act_serve : act_idle, NULL, NULL));
    }
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    size_t running = 99;
    fkl_counters count;
    fkl_runtime_running(runtime, NULL, 0, &running);
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(running, 0);
    cr_assert_eq(count.spawned, 10);
    rig_assert_conserved(runtime);
    assert_ok(fkl_runtime_destroy(runtime));
}

Test(runtime, after_a_shutdown_nothing_can_be_spawned, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = NULL;
    rig_join(rig_spawn(runtime, act_return, NULL));
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    assert_err(fkl_spawn(runtime, NULL, act_return, NULL, &actor), FKL_ESHUTDOWN);
    cr_assert_null(actor);
    assert_ok(fkl_runtime_destroy(runtime));
}

Test(runtime, a_stuck_actor_is_named_and_shutdown_goes_on_later, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_spawn_options options = {.name = "stuck in a loop that never ends and has a long name"};
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn(runtime, &options, act_stubborn, &gate, &actor));
    assert_ok(fkl_spawn(runtime, NULL, act_serve, NULL, NULL));
    fkl_time deadline = fkl_after_ms(50);
    assert_err(fkl_runtime_shutdown(runtime, deadline), FKL_ETIMEDOUT);
    cr_assert_geq(fkl_now(), deadline);
    assert_err(fkl_runtime_destroy(runtime), FKL_EDEADLK);
    fkl_running rows[4];
    size_t count = 0;
    assert_eventually((fkl_runtime_running(runtime, rows, 4, &count), count == 1));
    cr_assert_eq(rows[0].id, fkl_actor_get_id(actor));
    cr_assert_eq(strncmp(rows[0].name, options.name, 31), 0, "%s", rows[0].name);
    cr_assert_eq(strlen(rows[0].name), 31);
    cr_assert_str_eq(rows[0].wait, "running");
    cr_assert_not(rows[0].orphan);
    assert_err(fkl_spawn(runtime, NULL, act_return, NULL, NULL), FKL_ESHUTDOWN);
    atomic_store(&gate.open, true);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

struct places {
    fkl_channel *empty, *full;
    fkl_sem *sem;
    fkl_mutex *mutex;
    fkl_actor *other;
};

static void wait_receive(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    fkl_msg *msg = NULL;
    if (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        fkl_msg_destroy(msg);
    }
}

static void wait_join(fkl_actor *self, void *arg)
{
    (void)self;
    fkl_exit record;
    if (fkl_actor_join_until(((struct places *)arg)->other, FKL_FOREVER, &record) == FKL_OK) {
        fkl_actor_stop(self); // shows as another reason
    }
}

static void wait_channel(fkl_actor *self, void *arg)
{
    (void)self;
    fkl_msg *msg = NULL;
    if (fkl_channel_receive_until(((struct places *)arg)->empty, FKL_FOREVER, &msg) == FKL_OK) {
        fkl_msg_destroy(msg);
    }
}

static void wait_full(fkl_actor *self, void *arg)
{
    (void)self;
    fkl_msg *msg = NULL;
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 1, &msg) == FKL_OK &&
        fkl_channel_send_until(((struct places *)arg)->full, msg, FKL_FOREVER) != FKL_OK) {
        fkl_msg_destroy(msg);
    }
}

static void wait_sem(fkl_actor *self, void *arg)
{
    (void)self;
    if (fkl_sem_wait_until(((struct places *)arg)->sem, FKL_FOREVER) == FKL_OK) {
        fkl_actor_stop(self);
    }
}

static void wait_mutex(fkl_actor *self, void *arg)
{
    fkl_mutex *mutex = ((struct places *)arg)->mutex;
    if (fkl_mutex_lock_until(mutex, FKL_FOREVER) == FKL_OK && fkl_mutex_unlock(mutex) == FKL_OK) {
        fkl_actor_stop(self);
    }
}

// Each wait has a name of its own, and shutdown ends it.
Test(runtime, running_says_where_each_actor_waits, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct places places;
    assert_ok(fkl_channel_create(NULL, 0, &places.empty));
    assert_ok(fkl_channel_create(NULL, 1, &places.full));
    assert_ok(fkl_channel_try_send(places.full, rig_msg(1)));
    assert_ok(fkl_sem_create(NULL, 0, 1, &places.sem));
    assert_ok(fkl_mutex_create(NULL, false, &places.mutex));
    assert_ok(fkl_mutex_try_lock(places.mutex));
    places.other = rig_spawn(runtime, act_idle, NULL);
    fkl_actor_fn fns[] = {wait_receive, wait_join, wait_channel, wait_full, wait_sem, wait_mutex};
    enum { COUNT = sizeof fns / sizeof fns[0] };
    fkl_actor *actors[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        actors[i] = rig_spawn(runtime, fns[i], &places);
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_eventually(rig_waits(actors[i]));
    }
    cr_assert(rig_waits_in(actors[0], "receive"));
    cr_assert(rig_waits_in(actors[4], "semaphore"));
    fkl_running rows[COUNT + 1];
    size_t count = 0;
    fkl_runtime_running(runtime, rows, COUNT + 1, &count);
    cr_assert_eq(count, COUNT + 1);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            cr_assert_neq(rows[i].id, rows[j].id);
            bool both_sleep = rows[i].id == fkl_actor_get_id(places.other) ||
                              rows[j].id == fkl_actor_get_id(places.other);
            cr_assert(both_sleep || strcmp(rows[i].wait, rows[j].wait) != 0, "%s twice",
                      rows[i].wait);
        }
    }
    // A short table is filled and not overrun.
    memset(rows, 0, sizeof rows);
    fkl_runtime_running(runtime, rows, 2, &count);
    cr_assert_eq(count, COUNT + 1);
    cr_assert_neq(rows[1].id, 0);
    cr_assert_eq(rows[2].id, 0);
    for (size_t i = 0; i < COUNT; i++) {
        fkl_actor_stop(actors[i]);
        rig_join(actors[i]);
    }
    fkl_actor_release(places.other);
    assert_ok(fkl_mutex_unlock(places.mutex));
    fkl_mutex_release(places.mutex);
    fkl_sem_release(places.sem);
    fkl_channel_release(places.empty);
    fkl_channel_release(places.full);
    rig_destroy(runtime);
}

static void shut_down_own(fkl_actor *self, void *arg)
{
    fkl_err *err = arg;
    *err = fkl_runtime_shutdown(fkl_actor_runtime(self), FKL_FOREVER);
}

Test(runtime, shutdown_from_one_of_its_actors_is_edeadlk, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_err err = FKL_OK;
    rig_join(rig_spawn(runtime, shut_down_own, &err));
    assert_err(err, FKL_EDEADLK);
    // It refused before it did anything.
    rig_join(rig_spawn(runtime, act_return, NULL));
    rig_destroy(runtime);
}

Test(runtime, an_orphan_is_waited_for_and_shown_as_such, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(runtime, act_stubborn, &gate);
    cr_assert(fkl_actor_kill(actor, 1));
    fkl_actor_release(actor);
    assert_err(fkl_runtime_shutdown(runtime, fkl_after_ms(20)), FKL_ETIMEDOUT);
    fkl_running row;
    size_t count = 0;
    fkl_runtime_running(runtime, &row, 1, &count);
    cr_assert_eq(count, 1);
    cr_assert(row.orphan);
    atomic_store(&gate.open, true);
    rig_destroy(runtime);
}

static void count_lines(fkl_log_level level, const char *text, void *ctx)
{
    int *lines = ctx;
    if (level == FKL_LOG_WARN && strstr(text, "(busy) still runs: running"))
        *lines += 1;
    else if (strstr(text, "2 more still run"))
        *lines += 100;
}

Test(runtime, a_shutdown_that_gives_up_names_whom_it_waited_for, .timeout = 60)
{
    enum { BUSY = 12 };
    int lines = 0;
    fkl_runtime_config config = {.log = count_lines, .log_ctx = &lines};
    fkl_runtime *runtime;
    assert_ok(fkl_runtime_create(&config, &runtime));
    rig_gate gate = {0};
    for (int i = 0; i < BUSY; ++i) {
        fkl_spawn_options options = {.name = "busy"};
        assert_ok(fkl_spawn(runtime, &options, act_stubborn, &gate, NULL));
    }
    assert_eventually(atomic_load(&gate.arrived) == BUSY);
    assert_err(fkl_runtime_shutdown(runtime, fkl_after_ms(5)), FKL_ETIMEDOUT);
    cr_assert_eq(lines, 110, "ten by name, two by number");
    atomic_store(&gate.open, true);
    rig_destroy(runtime);
    cr_assert_eq(lines, 110, "nothing more");
}

struct hooks {
    atomic_int started, ended;
    atomic_int wrong;
    rig_gate gate;
    fkl_actor_id id;
};

static void on_start(fkl_actor_id id, void *ctx)
{
    struct hooks *hooks = ctx;
    if (!fkl_self() || fkl_actor_get_id(fkl_self()) != id) {
        atomic_fetch_add(&hooks->wrong, 1);
    }
    atomic_fetch_add(&hooks->started, 1);
}

static void on_end(fkl_actor_id id, void *ctx)
{
    struct hooks *hooks = ctx;
    (void)id;
    rig_pass(&hooks->gate);
    atomic_fetch_add(&hooks->ended, 1);
}

static void expect_started(fkl_actor *self, void *arg)
{
    (void)self;
    struct hooks *hooks = arg;
    if (atomic_load(&hooks->started) != 1 || atomic_load(&hooks->ended) != 0) {
        atomic_fetch_add(&hooks->wrong, 1);
    }
}

Test(runtime, hooks_run_around_the_function_and_the_last_after_the_exit, .timeout = 60)
{
    struct hooks hooks = {0};
    fkl_runtime_config config = {
        .on_thread_start = on_start, .on_thread_end = on_end, .hook_ctx = &hooks};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = rig_spawn(runtime, expect_started, &hooks);
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record)); // while on_end stands at the gate
    assert_err(fkl_actor_join_thread_until(actor, FKL_NO_WAIT), FKL_ETIMEDOUT);
    cr_assert_eq(atomic_load(&hooks.ended), 0);
    atomic_store(&hooks.gate.open, true);
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    cr_assert_eq(atomic_load(&hooks.ended), 1);
    cr_assert_eq(atomic_load(&hooks.wrong), 0);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

struct transfer {
    fkl_channel *channel;
    fkl_err err;
    fkl_actor_id sender;
};

static void channel_send(fkl_actor *self, void *arg)
{
    struct transfer *transfer = arg;
    fkl_msg *msg = NULL;
    (void)self;
    transfer->err = fkl_msg_create(NULL, FKL_CODEC_RAW, 1, &msg);
    if (transfer->err == FKL_OK) {
        transfer->err = fkl_channel_send_until(transfer->channel, msg, SOON);
    }
}

static void channel_receive(fkl_actor *self, void *arg)
{
    struct transfer *transfer = arg;
    fkl_msg *msg = NULL;
    (void)self;
    transfer->err = fkl_channel_receive_until(transfer->channel, SOON, &msg);
    if (transfer->err == FKL_OK) {
        transfer->sender = fkl_msg_sender(msg);
        fkl_msg_destroy(msg);
    }
}

Test(runtime, several_share_nothing_but_channels, .timeout = 60)
{
    fkl_runtime *one = rig_create(), *two = rig_create();
    fkl_channel *channel = NULL;
    assert_ok(fkl_channel_create(NULL, 0, &channel));
    struct transfer in = {.channel = channel}, out = {.channel = channel};
    fkl_actor *receiver = rig_spawn(two, channel_receive, &in);
    fkl_actor *sender = rig_spawn(one, channel_send, &out);
    fkl_actor_id id = fkl_actor_get_id(sender);
    rig_join(sender);
    rig_join(receiver);
    assert_ok(out.err);
    assert_ok(in.err);
    cr_assert_eq(in.sender, id);
    fkl_counters count;
    fkl_runtime_counters(one, &count);
    cr_assert_eq(count.spawned, 1);
    rig_destroy(one);
    rig_join(rig_spawn(two, act_return, NULL)); // the other one lives on
    fkl_channel_release(channel);
    rig_destroy(two);
}

// ---- when the system has no more

Test(runtime, a_thread_that_cannot_start_is_ethread_and_leaves_nothing, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory), .max_actors = 2};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    rig_join(rig_spawn(runtime, act_return, NULL)); // whatever is made once is made
    long live = atomic_load(&memory.blocks);
    fkl_actor *actor = NULL;
    fkli_fault_thread_start(0, 10);
    for (int i = 0; i < 10; i++) {
        assert_err(fkl_spawn(runtime, NULL, act_return, NULL, &actor), FKL_ETHREAD);
        cr_assert_null(actor);
    }
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.spawned, 1);
    cr_assert_eq(count.live, 0);
    cr_assert_eq(atomic_load(&memory.blocks), live);
    // The slots were not lost: as many actors as before.
    fkl_actor *pair[2];
    for (int i = 0; i < 2; i++) {
        pair[i] = rig_spawn(runtime, act_serve, NULL);
    }
    fkl_actor_release(pair[0]);
    fkl_actor_release(pair[1]);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(runtime, a_stack_size_beyond_all_memory_is_an_error, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_spawn_options options = {.stack_size = SIZE_MAX / 2};
    fkl_actor *actor = NULL;
    fkl_err err = fkl_spawn(runtime, &options, act_return, NULL, &actor);
    cr_assert(err == FKL_ETHREAD || err == FKL_EINVAL || err == FKL_ENOMEM, "%s",
              fkl_err_name(err));
    cr_assert_null(actor);
    options.stack_size = 1; // raised to the least that the system takes
    assert_ok(fkl_spawn(runtime, &options, act_return, NULL, &actor));
    rig_join(actor);
    rig_destroy(runtime);
}

// One pass through everything that allocates. Returns the first error; undoes all it did.
struct everything {
    fkl_runtime *runtime;
    fkl_err in_actor;
};

static void actor_part(fkl_actor *self, void *arg)
{
    struct everything *all = arg;
    fkl_monitor_ref ref = 0;
    fkl_msg *msg = NULL;
    fkl_actor *child = NULL;
    fkl_err err =
        fkl_spawn(all->runtime, &(fkl_spawn_options){.name = "child"}, act_serve, NULL, &child);
    if (err == FKL_OK) {
        err = fkl_monitor(fkl_actor_get_id(child), &ref);
        fkl_actor_stop(child);
        if (err == FKL_OK) {
            err = fkl_receive_until(SOON, &msg);
        }
        if (err == FKL_OK) {
            fkl_msg_destroy(msg);
        }
        fkl_actor_release(child);
    }
    if (err == FKL_OK) {
        err = fkl_actor_set_exit(self, 2, "error text", 10);
    }
    all->in_actor = err;
}

static fkl_err channel_and_sync_part(fkl_runtime *runtime)
{
    fkl_channel *channel = NULL;
    fkl_sem *sem = NULL;
    fkl_mutex *mutex = NULL;
    fkl_msg *msg = NULL;
    fkl_err err = fkl_channel_create(runtime, 2, &channel);
    if (err == FKL_OK) {
        err = fkl_sem_create(runtime, 1, 1, &sem);
    }
    if (err == FKL_OK) {
        err = fkl_mutex_create(runtime, true, &mutex);
    }
    if (err == FKL_OK) {
        err = fkl_msg_create(runtime, FKL_CODEC_RAW, 100, &msg);
    }
    if (err == FKL_OK) {
        err = fkl_channel_try_send(channel, msg);
        if (err != FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
    if (channel) {
        fkl_channel_release(channel);
    }
    if (sem) {
        fkl_sem_release(sem);
    }
    if (mutex) {
        fkl_mutex_release(mutex);
    }
    return err;
}

static fkl_err use_everything(fkl_runtime *runtime)
{
    struct everything all = {.runtime = runtime, .in_actor = FKL_OK};
    fkl_actor *actor = NULL, *previous = NULL;
    fkl_spawn_options options = {.name = "parent"};
    fkl_err err = fkl_spawn(runtime, &options, actor_part, &all, &actor);
    if (err == FKL_OK) {
        err = fkl_actor_enter(actor, &previous);
        if (err == FKL_OK) {
            fkl_actor_leave(previous);
        }
        fkl_msg *msg = NULL;
        if (fkl_msg_create(runtime, FKL_CODEC_RAW, 8, &msg) == FKL_OK &&
            fkl_actor_send(actor, msg) != FKL_OK) {
            fkl_msg_destroy(msg); // it ended first
        }
        assert_ok(fkl_actor_join_thread_until(actor, SOON));
        fkl_actor_release(actor);
    }
    if (err == FKL_OK) {
        err = all.in_actor;
    }
    return err == FKL_OK ? channel_and_sync_part(runtime) : err;
}

// The n-th allocation fails, for n = 1, 2, … until nothing failed: each failure is reported as
// FKL_ENOMEM by some call, and everything is given back.
Test(runtime, out_of_memory_at_every_site_is_reported_and_leaks_nothing, .timeout = 120)
{
    for (long n = 1;; n++) {
        rig_memory memory = {.fail_at = n};
        fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
        fkl_runtime *runtime = NULL;
        fkl_err err = fkl_runtime_create(&config, &runtime);
        if (err == FKL_OK) {
            err = use_everything(runtime);
            assert_ok(fkl_runtime_shutdown(runtime, SOON));
            rig_assert_conserved(runtime);
            assert_ok(fkl_runtime_destroy(runtime));
        } else {
            cr_assert_null(runtime);
        }
        rig_assert_balanced(&memory);
        if (atomic_load(&memory.calls) < n) {
            assert_ok(err);
            cr_assert_geq(n, 10, "there are more allocations than that");
            break;
        }
        // The user message in use_everything() is the one whose failure is not handed on.
        cr_assert(err == FKL_ENOMEM || err == FKL_OK, "failure %ld gave %s", n, fkl_err_name(err));
        cr_assert_lt(n, 500);
    }
}

// The same with everything failing from the n-th on, as when memory is really gone.
Test(runtime, lasting_lack_of_memory_is_survived, .timeout = 120)
{
    for (long n = 1;; n++) {
        rig_memory memory = {.fail_at = n, .fail_on = true};
        fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
        fkl_runtime *runtime = NULL;
        fkl_err err = fkl_runtime_create(&config, &runtime);
        if (err == FKL_OK) {
            err = use_everything(runtime);
            assert_ok(fkl_runtime_shutdown(runtime, SOON));
            rig_assert_conserved(runtime);
            assert_ok(fkl_runtime_destroy(runtime));
        }
        rig_assert_balanced(&memory);
        if (atomic_load(&memory.calls) < n) {
            assert_ok(err);
            break;
        }
        cr_assert(err == FKL_ENOMEM, "failure %ld gave %s", n, fkl_err_name(err));
        cr_assert_lt(n, 500);
    }
}
