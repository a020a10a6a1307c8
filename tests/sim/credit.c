// SPDX-License-Identifier: Apache-2.0
//
// Semaphores, mutexes and the credit beneath them: no wake-up is lost whoever leaves and why, and
// no unit is.

#include "support/sim.h"

#include "credit.h"

struct sem_world {
    fkl_runtime *runtime;
    fkl_sem *sem;
    uint32_t taken;
};

static void wait_once(void *arg)
{
    struct sem_world *world = arg;
    SIM_OK(fkl_sem_wait_until(world->sem, FKL_FOREVER));
    ++world->taken;
}

static void post_once(void *arg)
{
    struct sem_world *world = arg;
    SIM_OK(fkl_sem_post(world->sem));
}

SIM_SCENARIO(each_post_lets_one_waiter_go)
{
    struct sem_world world = {.runtime = sim_runtime()};
    sim_task waiters[3];
    sim_task posters[2];
    SIM_OK(fkl_sem_create(world.runtime, 0, 3, &world.sem));
    for (int i = 0; i < 3; ++i)
        sim_start(&waiters[i], "waiter", wait_once, &world);
    sim_settle();
    for (int i = 0; i < 2; ++i)
        sim_start(&posters[i], "poster", post_once, &world);
    post_once(&world);
    for (int i = 0; i < 3; ++i)
        sim_join(&waiters[i]);
    for (int i = 0; i < 2; ++i)
        sim_join(&posters[i]);
    SIM_CHECK(world.taken == 3 && fkl_sem_value(world.sem) == 0, "%u", world.taken);
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

// The second unit comes while the first waiter looks whether to wake the next.
SIM_SCENARIO(two_posts_wake_two_sleepers)
{
    struct sem_world world = {.runtime = sim_runtime()};
    sim_task waiters[2];
    SIM_OK(fkl_sem_create(world.runtime, 0, 2, &world.sem));
    for (int i = 0; i < 2; ++i)
        sim_start(&waiters[i], "waiter", wait_once, &world);
    sim_sleep_until(fkl_after_ms(1000)); // they sleep
    post_once(&world);
    post_once(&world);
    for (int i = 0; i < 2; ++i)
        sim_join(&waiters[i]);
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

// Takes and gives back, with any deadline.
static void borrow(void *arg)
{
    struct sem_world *world = arg;
    for (int i = 0; i < 3; ++i) {
        fkl_time deadline = sim_deadline();
        fkl_err err = fkl_sem_wait_until(world->sem, deadline);
        if (err == FKL_EINTR || err == FKL_ETIMEDOUT) {
            SIM_CHECK(err == FKL_EINTR || deadline != FKL_FOREVER, "timed out of forever");
            continue;
        }
        SIM_OK(err);
        SIM_CHECK(++world->taken <= 1, "%u hold one unit", world->taken);
        sim_yield();
        --world->taken;
        SIM_OK(fkl_sem_post(world->sem));
    }
}

SIM_SCENARIO(waiters_that_time_out_lose_neither_unit_nor_wake, .faults = SIM_SIGNALS)
{
    struct sem_world world = {.runtime = sim_runtime()};
    sim_task borrowers[3];
    SIM_OK(fkl_sem_create(world.runtime, 1, 2, &world.sem));
    for (int i = 0; i < 3; ++i)
        sim_start(&borrowers[i], "borrower", borrow, &world);
    for (int i = 0; i < 3; ++i)
        sim_join(&borrowers[i]);
    SIM_CHECK(fkl_sem_value(world.sem) == 1, "%lld", (long long)fkl_sem_value(world.sem));
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

static void wait_until_stopped(fkl_actor *self, void *arg)
{
    struct sem_world *world = arg;
    fkl_err err = fkl_sem_wait_until(world->sem, FKL_FOREVER);
    SIM_CHECK(!err || err == FKL_ESTOPPED, "%s", fkl_err_name(err));
    SIM_CHECK(!err || fkl_actor_stop_requested(self), "nobody asked it to stop");
    world->taken += !err;
    if (!err)
        SIM_OK(fkl_sem_post(world->sem));
}

static void stop(void *arg)
{
    fkl_actor_stop(arg);
}

// One unit for two: if the actor is stopped although it was woken, the thread must get the unit.
SIM_SCENARIO(a_stopped_waiter_passes_its_wake_on)
{
    struct sem_world world = {.runtime = sim_runtime()};
    sim_task waiter;
    sim_task stopper;
    SIM_OK(fkl_sem_create(world.runtime, 0, 1, &world.sem));
    fkl_actor *actor = sim_spawn(world.runtime, "stopped", wait_until_stopped, &world);
    sim_start(&waiter, "waiter", wait_once, &world);
    sim_settle();
    sim_start(&stopper, "stopper", stop, actor);
    post_once(&world);
    sim_join(&waiter);
    sim_join(&stopper);
    sim_join_actor(actor);
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

// An actor that was woken twice is gone, with its thread's record, before the second waker is done.
static void wait_through_interrupts(fkl_actor *self, void *arg)
{
    (void)self;
    struct sem_world *world = arg;
    fkl_err err;
    while ((err = fkl_sem_wait_until(world->sem, FKL_FOREVER)) == FKL_EINTR) {
    }
    SIM_OK(err);
}

static void interrupt_and_release(void *arg)
{
    fkl_actor_interrupt(arg);
    fkl_actor_release(arg);
}

SIM_SCENARIO(a_waker_may_be_late)
{
    struct sem_world world = {.runtime = sim_runtime()};
    sim_task interrupter;
    SIM_OK(fkl_sem_create(world.runtime, 0, 1, &world.sem));
    fkl_actor *actor = sim_spawn(world.runtime, "waiter", wait_through_interrupts, &world);
    sim_sleep_until(fkl_after_ms(1000)); // it waits
    sim_start(&interrupter, "interrupter", interrupt_and_release, actor);
    SIM_OK(fkl_sem_post(world.sem));
    sim_join(&interrupter);
    sim_sleep_until(fkl_after_ms(1000)); // or else the stop comes before the unit
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

// At the deadline of one waiter a unit is given; if it comes too late, the next waiter gets it.

struct meeting {
    fkl_runtime *runtime;
    fkl_sem *sem;
    fkl_time time;
};

static void wait_until_the_meeting(void *arg)
{
    struct meeting *meeting = arg;
    fkl_err err = fkl_sem_wait_until(meeting->sem, meeting->time);
    if (err)
        SIM_ERR(err, FKL_ETIMEDOUT);
    else
        SIM_OK(fkl_sem_post(meeting->sem));
}

static void wait_on(void *arg)
{
    struct meeting *meeting = arg;
    SIM_OK(fkl_sem_wait_until(meeting->sem, FKL_FOREVER));
    SIM_OK(fkl_sem_post(meeting->sem));
}

SIM_SCENARIO(a_unit_that_comes_at_the_deadline_goes_to_somebody)
{
    struct meeting meeting = {.runtime = sim_runtime(), .time = fkl_after_ms(1000)};
    sim_task waiters[3];
    SIM_OK(fkl_sem_create(meeting.runtime, 0, 1, &meeting.sem));
    for (int i = 0; i < 3; ++i)
        sim_start(&waiters[i], "waiter", i < 2 ? wait_until_the_meeting : wait_on, &meeting);
    sim_sleep_until(meeting.time);
    SIM_OK(fkl_sem_post(meeting.sem));
    for (int i = 0; i < 3; ++i)
        sim_join(&waiters[i]);
    SIM_CHECK(fkl_sem_value(meeting.sem) == 1, "%lld", (long long)fkl_sem_value(meeting.sem));
    fkl_sem_release(meeting.sem);
    sim_end_runtime(meeting.runtime);
}

// Who gets the only unit may free the semaphore, although the giver has not returned yet.
static void wait_and_free(void *arg)
{
    wait_once(arg);
    struct sem_world *world = arg;
    fkl_sem_release(world->sem);
}

SIM_SCENARIO(who_got_the_unit_may_free_the_semaphore)
{
    struct sem_world world = {.runtime = sim_runtime()};
    sim_task waiter;
    SIM_OK(fkl_sem_create(world.runtime, 0, 1, &world.sem));
    sim_start(&waiter, "waiter", wait_and_free, &world);
    sim_settle();
    SIM_OK(fkl_sem_post(world.sem));
    sim_join(&waiter);
    sim_end_runtime(world.runtime);
}

struct credit_world {
    fkli_credit credit;
    uint32_t taken;
    uint32_t closed;
};

static void take_some(void *arg)
{
    struct credit_world *world = arg;
    for (;;) {
        fkl_err err = fkli_credit_take_until(&world->credit, sim_deadline(), "credit");
        if (err == FKL_ECLOSED)
            break;
        SIM_CHECK(!err || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
        world->taken += !err;
        sim_yield();
    }
    ++world->closed;
}

static void give_some(void *arg)
{
    struct credit_world *world = arg;
    for (int i = 0; i < 2; ++i)
        SIM_OK(fkli_credit_give(&world->credit));
}

SIM_SCENARIO(a_close_ends_every_wait_for_credit)
{
    struct credit_world world = {.taken = 0};
    sim_task takers[2];
    sim_task giver;
    fkli_credit_init(&world.credit, 0, 2);
    for (int i = 0; i < 2; ++i)
        sim_start(&takers[i], "taker", take_some, &world);
    sim_start(&giver, "giver", give_some, &world);
    sim_settle();
    fkli_credit_close(&world.credit);
    SIM_ERR(fkli_credit_try_take(&world.credit), FKL_ECLOSED);
    for (int i = 0; i < 2; ++i)
        sim_join(&takers[i]);
    sim_join(&giver);
    SIM_CHECK(world.closed == 2, "%u", world.closed);
    SIM_CHECK(world.taken + fkli_credit_value(&world.credit) == 2, "%u taken", world.taken);
    fkli_credit_fini(&world.credit);
}

struct mutex_world {
    fkl_runtime *runtime;
    fkl_mutex *mutex;
    uint32_t inside;
    uint32_t done;
};

static void lock_some(void *arg)
{
    struct mutex_world *world = arg;
    for (int i = 0; i < 3; ++i) {
        fkl_err err = fkl_mutex_lock_until(world->mutex, sim_deadline());
        if (err)
            continue;
        SIM_CHECK(++world->inside == 1, "%u threads hold the mutex", world->inside);
        SIM_OK(fkl_mutex_try_lock(world->mutex));
        SIM_CHECK(fkl_mutex_depth(world->mutex) == 2, "%u", fkl_mutex_depth(world->mutex));
        SIM_OK(fkl_mutex_unlock(world->mutex));
        --world->inside;
        ++world->done;
        SIM_OK(fkl_mutex_unlock(world->mutex));
    }
    SIM_ERR(fkl_mutex_unlock(world->mutex), FKL_EPERM);
}

SIM_SCENARIO(one_thread_at_a_time_holds_a_mutex, .faults = SIM_SIGNALS)
{
    struct mutex_world world = {.runtime = sim_runtime()};
    sim_task lockers[3];
    SIM_OK(fkl_mutex_create(world.runtime, true, &world.mutex));
    for (int i = 0; i < 3; ++i)
        sim_start(&lockers[i], "locker", lock_some, &world);
    for (int i = 0; i < 3; ++i)
        sim_join(&lockers[i]);
    SIM_OK(fkl_mutex_try_lock(world.mutex));
    SIM_OK(fkl_mutex_unlock(world.mutex));
    fkl_mutex_release(world.mutex);
    sim_end_runtime(world.runtime);
}
