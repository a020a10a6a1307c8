// SPDX-License-Identifier: Apache-2.0
//
// Semaphores and locks: values and bounds, first come first served, ownership, and every wait ended
// by what should end it without a unit being lost.
#include "support/rig.h"

#include <pthread.h>

static fkl_sem *semaphore(int64_t value, int64_t max)
{
    fkl_sem *sem = NULL;
    assert_ok(fkl_sem_create(NULL, value, max, &sem));
    cr_assert_not_null(sem);
    return sem;
}

static fkl_mutex *mutex_of(bool recursive)
{
    fkl_mutex *mutex = NULL;
    assert_ok(fkl_mutex_create(NULL, recursive, &mutex));
    cr_assert_not_null(mutex);
    return mutex;
}

struct user {
    fkl_sem *sem;
    fkl_mutex *mutex;
    fkl_time deadline;
    fkl_err err, unlock;
    fkl_time returned;
    uint32_t depth;
    atomic_int *turn;
    int came;
};

static void use_wait(fkl_actor *self, void *arg)
{
    (void)self;
    struct user *user = arg;
    user->err = fkl_sem_wait_until(user->sem, user->deadline);
    user->returned = fkl_now();
    if (user->turn) {
        user->came = atomic_fetch_add(user->turn, 1);
    }
}

static void use_lock(fkl_actor *self, void *arg)
{
    (void)self;
    struct user *user = arg;
    user->err = fkl_mutex_lock_until(user->mutex, user->deadline);
    user->returned = fkl_now();
    user->depth = fkl_mutex_depth(user->mutex);
    if (user->err == FKL_OK) {
        user->unlock = fkl_mutex_unlock(user->mutex);
    }
}

// ---- semaphores

Test(sem, values_out_of_range_are_einval)
{
    static const int64_t wrong[][2] = {
        {-1, 1},
        {2, 1},
        {0, 0},
        {0, -1},
        {0, (int64_t)INT32_MAX + 1},
        {INT64_MIN, 1},
        {INT64_MAX, INT64_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fkl_sem *sem = NULL;
        assert_err(fkl_sem_create(NULL, wrong[i][0], wrong[i][1], &sem), FKL_EINVAL);
        cr_assert_null(sem);
    }
    fkl_sem_release(semaphore(0, 1));
    fkl_sem_release(semaphore(INT32_MAX, INT32_MAX));
}

Test(sem, counts_units)
{
    fkl_sem *sem = semaphore(2, 3);
    cr_assert_eq(fkl_sem_value(sem), 2);
    assert_ok(fkl_sem_try_wait(sem));
    assert_ok(fkl_sem_wait_until(sem, FKL_NO_WAIT));
    cr_assert_eq(fkl_sem_value(sem), 0);
    assert_err(fkl_sem_try_wait(sem), FKL_EEMPTY);
    assert_err(fkl_sem_wait_until(sem, FKL_NO_WAIT), FKL_ETIMEDOUT);
    cr_assert_eq(fkl_sem_value(sem), 0);
    assert_ok(fkl_sem_post(sem));
    cr_assert_eq(fkl_sem_value(sem), 1);
    cr_assert_eq(fkl_sem_retain(sem), sem);
    fkl_sem_release(sem);
    assert_ok(fkl_sem_wait_until(sem, FKL_FOREVER));
    fkl_sem_release(sem);
}

Test(sem, a_post_beyond_the_maximum_is_eoverflow)
{
    fkl_sem *sem = semaphore(1, 2);
    assert_ok(fkl_sem_post(sem));
    assert_err(fkl_sem_post(sem), FKL_EOVERFLOW);
    assert_err(fkl_sem_post(sem), FKL_EOVERFLOW);
    cr_assert_eq(fkl_sem_value(sem), 2);
    assert_ok(fkl_sem_try_wait(sem));
    assert_ok(fkl_sem_post(sem));
    fkl_sem_release(sem);
    sem = semaphore(INT32_MAX, INT32_MAX);
    assert_err(fkl_sem_post(sem), FKL_EOVERFLOW);
    cr_assert_eq(fkl_sem_value(sem), INT32_MAX);
    fkl_sem_release(sem);
}

Test(sem, a_wait_lasts_until_its_deadline, .timeout = 60)
{
    fkl_sem *sem = semaphore(0, 1);
    fkl_time deadline = fkl_after_ms(30);
    assert_err(fkl_sem_wait_until(sem, deadline), FKL_ETIMEDOUT);
    cr_assert_geq(fkl_now(), deadline);
    cr_assert_eq(fkl_sem_value(sem), 0);
    assert_ok(fkl_sem_post(sem)); // the one who left does not take it
    assert_ok(fkl_sem_try_wait(sem));
    fkl_sem_release(sem);
}

Test(sem, each_post_wakes_one_waiter, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_sem *sem = semaphore(0, 10);
    atomic_int turn = 0;
    enum { COUNT = 5 };
    struct user users[COUNT];
    fkl_actor *actors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        users[i] = (struct user){.sem = sem, .deadline = FKL_FOREVER, .turn = &turn};
        actors[i] = rig_spawn(runtime, use_wait, &users[i]);
        assert_eventually(rig_waits_in(actors[i], "semaphore"));
    }
    for (int i = 0; i < COUNT; i++) {
        assert_ok(fkl_sem_post(sem));
        assert_eventually(atomic_load(&turn) == i + 1);
    }
    for (int i = 0; i < COUNT; i++) {
        rig_join(actors[i]);
        assert_ok(users[i].err);
        cr_assert_eq(users[i].came, i, "first come, first served");
    }
    cr_assert_eq(fkl_sem_value(sem), 0);
    fkl_sem_release(sem);
    rig_destroy(runtime);
}

Test(sem, many_posts_at_once_wake_as_many, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_sem *sem = semaphore(0, 10);
    enum { COUNT = 6 };
    struct user users[COUNT];
    fkl_actor *actors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        users[i] = (struct user){.sem = sem, .deadline = FKL_FOREVER};
        actors[i] = rig_spawn(runtime, use_wait, &users[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_eventually(rig_waits(actors[i]));
    }
    for (int i = 0; i < COUNT + 2; i++) {
        assert_ok(fkl_sem_post(sem));
    }
    for (int i = 0; i < COUNT; i++) {
        rig_join(actors[i]);
        assert_ok(users[i].err);
    }
    cr_assert_eq(fkl_sem_value(sem), 2);
    fkl_sem_release(sem);
    rig_destroy(runtime);
}

Test(sem, a_stop_and_an_interrupt_end_a_wait_and_take_no_unit, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_sem *sem = semaphore(0, 1);
    for (int how = 0; how < 2; how++) {
        struct user user = {.sem = sem, .deadline = FKL_FOREVER};
        fkl_actor *actor = rig_spawn(runtime, use_wait, &user);
        assert_eventually(rig_waits(actor));
        if (how == 0) {
            fkl_actor_stop(actor);
        } else {
            fkl_actor_interrupt(actor);
        }
        rig_join(actor);
        assert_err(user.err, how == 0 ? FKL_ESTOPPED : FKL_EINTR);
        cr_assert_eq(fkl_sem_value(sem), 0);
    }
    assert_ok(fkl_sem_post(sem));
    cr_assert_eq(fkl_sem_value(sem), 1);
    fkl_sem_release(sem);
    rig_destroy(runtime);
}

// The unit goes to the second waiter when the first leaves while it is being woken.
Test(sem, a_stopped_waiter_does_not_lose_the_unit_for_the_next, .timeout = 120)
{
    fkl_runtime *runtime = rig_create();
    for (int round = 0; round < 100; round++) {
        fkl_sem *sem = semaphore(0, 1);
        struct user users[2];
        fkl_actor *actors[2];
        for (int i = 0; i < 2; i++) {
            users[i] = (struct user){.sem = sem, .deadline = FKL_FOREVER};
            actors[i] = rig_spawn(runtime, use_wait, &users[i]);
            assert_eventually(rig_waits(actors[i]));
        }
        // Each order of stop and wake-up: actors[0] is first in the queue.
        if (round & 1) {
            fkl_actor_stop(actors[0]);
            rig_spin(round * 500); // it leaves its wait about now
        }
        assert_ok(fkl_sem_post(sem));
        fkl_actor_stop(actors[0]);
        rig_join(actors[0]);
        if (users[0].err == FKL_OK) {
            assert_ok(fkl_sem_post(sem));
        } else {
            assert_err(users[0].err, FKL_ESTOPPED);
        }
        rig_join(actors[1]);
        assert_ok(users[1].err);
        cr_assert_eq(fkl_sem_value(sem), 0);
        fkl_sem_release(sem);
    }
    rig_destroy(runtime);
}

Test(sem, out_of_memory_is_reported)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    fkl_sem *sem = NULL;
    fkl_mutex *mutex = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    atomic_store(&memory.fail_at, 1);
    atomic_store(&memory.fail_on, true);
    assert_err(fkl_sem_create(runtime, 0, 1, &sem), FKL_ENOMEM);
    assert_err(fkl_mutex_create(runtime, false, &mutex), FKL_ENOMEM);
    cr_assert_null(sem);
    cr_assert_null(mutex);
    atomic_store(&memory.fail_at, 0);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

// ---- locks

Test(mutex, is_held_by_one_thread_at_a_time, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_mutex *mutex = mutex_of(false);
    cr_assert_eq(fkl_mutex_depth(mutex), 0);
    assert_ok(fkl_mutex_lock_until(mutex, FKL_FOREVER));
    cr_assert_eq(fkl_mutex_depth(mutex), 1);
    struct user user = {.mutex = mutex, .deadline = fkl_after_ms(20)};
    rig_join(rig_spawn(runtime, use_lock, &user));
    assert_err(user.err, FKL_ETIMEDOUT);
    cr_assert_geq(user.returned, user.deadline);
    cr_assert_eq(user.depth, 0, "the depth is the caller's own");
    assert_ok(fkl_mutex_unlock(mutex));
    rig_join(rig_spawn(runtime, use_lock, &user));
    assert_ok(user.err);
    assert_ok(user.unlock);
    cr_assert_eq(user.depth, 1);
    fkl_mutex_release(mutex);
    rig_destroy(runtime);
}

Test(mutex, locking_it_again_is_edeadlk_whatever_the_deadline)
{
    fkl_mutex *mutex = mutex_of(false);
    assert_ok(fkl_mutex_try_lock(mutex));
    assert_err(fkl_mutex_lock_until(mutex, FKL_FOREVER), FKL_EDEADLK);
    assert_err(fkl_mutex_lock_until(mutex, FKL_NO_WAIT), FKL_EDEADLK);
    cr_assert_eq(fkl_mutex_depth(mutex), 1);
    assert_ok(fkl_mutex_unlock(mutex));
    cr_assert_eq(fkl_mutex_depth(mutex), 0);
    fkl_mutex_release(mutex);
}

Test(mutex, a_recursive_one_counts, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_mutex *mutex = mutex_of(true);
    struct user user = {.mutex = mutex, .deadline = FKL_NO_WAIT};
    for (uint32_t i = 1; i <= 4; i++) {
        assert_ok(i % 2 ? fkl_mutex_try_lock(mutex) : fkl_mutex_lock_until(mutex, FKL_NO_WAIT));
        cr_assert_eq(fkl_mutex_depth(mutex), i);
    }
    for (uint32_t i = 4; i > 0; i--) {
        rig_join(rig_spawn(runtime, use_lock, &user));
        assert_err(user.err, FKL_ETIMEDOUT);
        assert_ok(fkl_mutex_unlock(mutex));
        cr_assert_eq(fkl_mutex_depth(mutex), i - 1);
    }
    rig_join(rig_spawn(runtime, use_lock, &user));
    assert_ok(user.err);
    fkl_mutex_release(mutex);
    rig_destroy(runtime);
}

struct stranger {
    fkl_mutex *mutex;
    fkl_err unlock, try_lock;
};

static void *unlock_strangers(void *arg)
{
    struct stranger *stranger = arg;
    stranger->unlock = fkl_mutex_unlock(stranger->mutex);
    stranger->try_lock = fkl_mutex_try_lock(stranger->mutex);
    return NULL;
}

Test(mutex, only_its_owner_can_unlock_it)
{
    for (int recursive = 0; recursive < 2; recursive++) {
        fkl_mutex *mutex = mutex_of(recursive);
        struct stranger stranger = {.mutex = mutex};
        pthread_t thread;
        assert_err(fkl_mutex_unlock(mutex), FKL_EPERM);
        assert_ok(fkl_mutex_try_lock(mutex));
        cr_assert_eq(pthread_create(&thread, NULL, unlock_strangers, &stranger), 0);
        pthread_join(thread, NULL);
        assert_err(stranger.unlock, FKL_EPERM);
        assert_err(stranger.try_lock, FKL_EEMPTY);
        assert_ok(fkl_mutex_unlock(mutex));
        assert_err(fkl_mutex_unlock(mutex), FKL_EPERM);
        fkl_mutex_release(mutex);
    }
}

// Owners are threads, not actors: a helper does not own what its actor's own thread locked.
Test(mutex, a_thread_that_changes_its_actor_keeps_its_locks, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_mutex *mutex = mutex_of(false);
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL), *previous = NULL;
    assert_ok(fkl_mutex_try_lock(mutex));
    assert_ok(fkl_actor_enter(actor, &previous));
    cr_assert_eq(fkl_mutex_depth(mutex), 1);
    assert_ok(fkl_mutex_unlock(mutex));
    fkl_actor_leave(previous);
    fkl_actor_release(actor);
    fkl_mutex_release(mutex);
    rig_destroy(runtime);
}

Test(mutex, an_unlock_wakes_the_next, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_mutex *mutex = mutex_of(false);
    enum { COUNT = 4 };
    struct user users[COUNT];
    fkl_actor *actors[COUNT];
    assert_ok(fkl_mutex_try_lock(mutex));
    for (int i = 0; i < COUNT; i++) {
        users[i] = (struct user){.mutex = mutex, .deadline = FKL_FOREVER};
        actors[i] = rig_spawn(runtime, use_lock, &users[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_eventually(rig_waits(actors[i]));
    }
    assert_ok(fkl_mutex_unlock(mutex));
    for (int i = 0; i < COUNT; i++) {
        rig_join(actors[i]);
        assert_ok(users[i].err);
        assert_ok(users[i].unlock);
    }
    fkl_mutex_release(mutex);
    rig_destroy(runtime);
}

Test(mutex, a_stop_and_an_interrupt_end_a_wait, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_mutex *mutex = mutex_of(true);
    assert_ok(fkl_mutex_try_lock(mutex));
    for (int how = 0; how < 2; how++) {
        struct user user = {.mutex = mutex, .deadline = FKL_FOREVER};
        fkl_actor *actor = rig_spawn(runtime, use_lock, &user);
        assert_eventually(rig_waits(actor));
        if (how == 0) {
            fkl_actor_stop(actor);
        } else {
            fkl_actor_interrupt(actor);
        }
        rig_join(actor);
        assert_err(user.err, how == 0 ? FKL_ESTOPPED : FKL_EINTR);
    }
    assert_ok(fkl_mutex_unlock(mutex));
    assert_ok(fkl_mutex_try_lock(mutex));
    assert_ok(fkl_mutex_unlock(mutex));
    fkl_mutex_release(mutex);
    rig_destroy(runtime);
}

Test(mutex, references_do_not_lock)
{
    fkl_mutex *mutex = mutex_of(false);
    cr_assert_eq(fkl_mutex_retain(mutex), mutex);
    fkl_mutex_release(mutex);
    assert_ok(fkl_mutex_try_lock(mutex));
    assert_ok(fkl_mutex_unlock(mutex));
    fkl_mutex_release(mutex);
}
