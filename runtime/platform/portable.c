// SPDX-License-Identifier: Apache-2.0
//
// Parkers and locks on pthread mutexes and conditions, for systems without futexes and, with
// -DFKL_PLATFORM_PORTABLE, for testing this file on Linux. A parker is slept on by its own thread
// and woken by any. Signals are not reported: the wait resumes.

#include "platform/platform.h"

#if !FKLI_HAVE_FUTEX

#include <errno.h>
#include <time.h>

enum { EMPTY, PARKED, NOTIFIED };

void fkli_parker_init(fkli_parker *parker)
{
    fkli_store_relaxed_u32(&parker->state, EMPTY);
    pthread_mutex_init(&parker->mutex, NULL);
#if defined(__APPLE__)
    pthread_cond_init(&parker->wake, NULL);
#else
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&parker->wake, &attributes);
    pthread_condattr_destroy(&attributes);
#endif
}

void fkli_parker_fini(fkli_parker *parker)
{
    pthread_cond_destroy(&parker->wake);
    pthread_mutex_destroy(&parker->mutex);
}

// Waits on the condition; returns false when the deadline has passed.
static bool wait_locked(fkli_parker *parker, fkl_time deadline)
{
    if (deadline == FKL_FOREVER) {
        pthread_cond_wait(&parker->wake, &parker->mutex);
        return true;
    }
#if defined(__APPLE__)
    fkl_time left = deadline - fkli_clock_now();
    if (left <= 0)
        return false;
    struct timespec span = {(time_t)(left / 1000000000), (long)(left % 1000000000)};
    return pthread_cond_timedwait_relative_np(&parker->wake, &parker->mutex, &span) != ETIMEDOUT;
#else
    struct timespec until = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    return pthread_cond_timedwait(&parker->wake, &parker->mutex, &until) != ETIMEDOUT;
#endif
}

static bool sleep_while_parked(fkli_parker *parker, fkl_time deadline)
{
    bool in_time = true;
    while (in_time && fkli_load_relaxed_u32(&parker->state) == PARKED)
        in_time = wait_locked(parker, deadline);
    return in_time;
}

// Memory order: the exchanges to EMPTY acquire; their partner is the release half of the exchange
// in fkli_unpark(). No wake is lost: PARKED is set under the mutex, and a waker that finds it takes
// the mutex before it signals, so it cannot signal between the check and the wait.
fkli_park_result fkli_park(fkli_parker *parker, fkl_time deadline)
{
    if (fkli_load_relaxed_u32(&parker->state) == NOTIFIED &&
        fkli_exchange_acquire_u32(&parker->state, EMPTY) == NOTIFIED)
        return FKLI_PARK_WOKEN;
    if (deadline <= 0)
        return FKLI_PARK_TIMEOUT;
    pthread_mutex_lock(&parker->mutex);
    uint32_t expected = EMPTY;
    bool in_time = true;
    if (fkli_cas_acquire_u32(&parker->state, &expected, PARKED)) {
        fkli_park_result result;
        if (fkli_park_is_faulty(deadline, &result))
            in_time = result != FKLI_PARK_TIMEOUT;
        else
            in_time = sleep_while_parked(parker, deadline);
    }
    bool woken = fkli_exchange_acquire_u32(&parker->state, EMPTY) == NOTIFIED;
    pthread_mutex_unlock(&parker->mutex);
    return woken || in_time ? FKLI_PARK_WOKEN : FKLI_PARK_TIMEOUT;
}

void fkli_unpark(fkli_parker *parker)
{
    if (fkli_exchange_acq_rel_u32(&parker->state, NOTIFIED) != PARKED)
        return;
    pthread_mutex_lock(&parker->mutex);
    pthread_cond_signal(&parker->wake);
    pthread_mutex_unlock(&parker->mutex);
}

void fkli_lock_init(fkli_lock *lock)
{
    pthread_mutex_init(&lock->mutex, NULL);
}

void fkli_lock_fini(fkli_lock *lock)
{
    pthread_mutex_destroy(&lock->mutex);
}

void fkli_lock_take(fkli_lock *lock)
{
    FKLI_SCHED_POINT();
    pthread_mutex_lock(&lock->mutex);
}

void fkli_lock_give(fkli_lock *lock)
{
    FKLI_SCHED_POINT();
    pthread_mutex_unlock(&lock->mutex);
}

#else
typedef int fkli_no_portable_parker_here; // ISO C wants a declaration
#endif
