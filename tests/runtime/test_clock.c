// SPDX-License-Identifier: Apache-2.0
//
// Time: deadlines saturate, and a sleep ends at its deadline, at a stop, at an interrupt, and never
// early for another reason.
#include "support/rig.h"

#include "platform/platform.h"

#include <pthread.h>
#include <signal.h>

Test(clock, time_never_runs_backwards)
{
    fkl_time last = fkl_now();
    cr_assert_gt(last, 0);
    for (int i = 0; i < 100000; i++) {
        fkl_time now = fkl_now();
        cr_assert_geq(now, last);
        last = now;
    }
}

Test(clock, a_deadline_is_that_far_in_the_future)
{
    fkl_time before = fkl_now();
    fkl_time by_ns = fkl_after_ns(5000000000);
    fkl_time by_ms = fkl_after_ms(5000);
    fkl_time after = fkl_now();
    cr_assert_geq(by_ns, before + 5000000000);
    cr_assert_leq(by_ns, after + 5000000000);
    cr_assert_geq(by_ms, before + 5000000000);
    cr_assert_leq(by_ms, after + 5000000000);
}

Test(clock, far_deadlines_are_for_ever)
{
    cr_assert_eq(fkl_after_ns(INT64_MAX), FKL_FOREVER);
    cr_assert_eq(fkl_after_ns(INT64_MAX - 1), FKL_FOREVER);
    cr_assert_eq(fkl_after_ms(INT64_MAX), FKL_FOREVER);
    cr_assert_eq(fkl_after_ms(INT64_MAX / 1000000), FKL_FOREVER);
    cr_assert_lt(fkl_after_ms(INT64_MAX / 1000000 / 2), FKL_FOREVER);
}

Test(clock, a_negative_distance_is_now)
{
    fkl_time before = fkl_now();
    int64_t distances[] = {-1, -1000000000, INT64_MIN};
    for (int i = 0; i < 3; i++) {
        fkl_time by_ns = fkl_after_ns(distances[i]);
        fkl_time by_ms = fkl_after_ms(distances[i]);
        cr_assert_geq(by_ns, before);
        cr_assert_geq(by_ms, before);
        cr_assert_leq(by_ms, fkl_now());
        cr_assert_leq(by_ns, fkl_now());
    }
}

Test(clock, a_sleep_outside_of_actors_lasts_until_its_deadline)
{
    fkl_time deadline = fkl_after_ms(30);
    assert_ok(fkl_sleep_until(deadline));
    cr_assert_geq(fkl_now(), deadline);
    assert_ok(fkl_sleep_until(FKL_NO_WAIT));
    assert_ok(fkl_sleep_until(deadline));
    assert_ok(fkl_sleep_until(INT64_MIN));
}

struct slept {
    fkl_time deadline;
    fkl_err err;
    fkl_time woke;
    atomic_bool over;
};

static void sleeper(fkl_actor *self, void *arg)
{
    (void)self;
    struct slept *slept = arg;
    slept->err = fkl_sleep_until(slept->deadline);
    slept->woke = fkl_now();
}

Test(clock, a_sleep_in_an_actor_lasts_until_its_deadline, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct slept slept = {.deadline = fkl_after_ms(30)};
    rig_join(rig_spawn(runtime, sleeper, &slept));
    assert_ok(slept.err);
    cr_assert_geq(slept.woke, slept.deadline);
    rig_destroy(runtime);
}

Test(clock, a_stop_ends_a_sleep, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct slept slept = {.deadline = FKL_FOREVER};
    fkl_actor *actor = rig_spawn(runtime, sleeper, &slept);
    assert_eventually(rig_waits(actor));
    fkl_actor_stop(actor);
    rig_join(actor);
    assert_err(slept.err, FKL_ESTOPPED);
    rig_destroy(runtime);
}

Test(clock, an_interrupt_ends_a_sleep, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct slept slept = {.deadline = FKL_FOREVER};
    fkl_actor *actor = rig_spawn(runtime, sleeper, &slept);
    assert_eventually(rig_waits(actor));
    fkl_actor_interrupt(actor);
    rig_join(actor);
    assert_err(slept.err, FKL_EINTR);
    rig_destroy(runtime);
}

// Messages are no reason to wake from a sleep.
Test(clock, a_message_does_not_end_a_sleep, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct slept slept = {.deadline = fkl_after_ms(60)};
    fkl_actor *actor = rig_spawn(runtime, sleeper, &slept);
    for (int i = 0; i < 20; i++) {
        rig_pause_ms(1);
        rig_send(actor, 1);
    }
    rig_join(actor);
    assert_ok(slept.err);
    cr_assert_geq(slept.woke, slept.deadline);
    rig_destroy(runtime);
}

static void on_signal(int number)
{
    (void)number;
}

static void *plain_sleeper(void *arg)
{
    sleeper(NULL, arg);
    atomic_store(&((struct slept *)arg)->over, true);
    return NULL;
}

Test(clock, a_signal_handler_ends_a_sleep, .timeout = 60)
{
    if (!FKLI_HAVE_FUTEX) {
        cr_skip_test("a condition variable does not say");
    }
    struct slept slept = {.deadline = FKL_FOREVER};
    struct sigaction action = {.sa_handler = on_signal};
    pthread_t thread;
    sigaction(SIGUSR1, &action, NULL);
    cr_assert_eq(pthread_create(&thread, NULL, plain_sleeper, &slept), 0);
    while (!atomic_load(&slept.over)) {
        rig_pause_ms(1);
        pthread_kill(thread, SIGUSR1); // again and again, for it may not sleep yet
    }
    pthread_join(thread, NULL);
    assert_err(slept.err, FKL_EINTR);
}
