// SPDX-License-Identifier: Apache-2.0
//
// Parkers and locks on Linux futexes. A parker is slept on by its own thread and woken by any; a
// lock is used by any thread. No system call happens unless somebody sleeps or has to.

#include "platform/platform.h"

#if FKLI_HAVE_FUTEX

#include <errno.h>

enum { EMPTY, PARKED, NOTIFIED };

enum { LOCK_SPINS = FKLI_SPIN_TURNS(40) };

#if defined(FKLI_SIMULATED)

static int futex_wait(fkli_atomic_u32 *word, uint32_t expected, fkl_time deadline)
{
    return fkli_sim_futex_wait(&word->value, expected, deadline);
}

static void futex_wake_one(fkli_atomic_u32 *word)
{
    fkli_sim_futex_wake_one(&word->value);
}

#else

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Where time_t is wider than a machine word the call that takes such times has another number.
#ifdef SYS_futex_time64
#ifdef SYS_futex
#define FUTEX_CALL (sizeof(time_t) > sizeof(long) ? SYS_futex_time64 : SYS_futex)
#else
#define FUTEX_CALL SYS_futex_time64
#endif
#else
#define FUTEX_CALL SYS_futex
#endif

// Absolute on CLOCK_MONOTONIC, which is what FUTEX_WAIT_BITSET takes. Without a deadline the kernel
// arms no timer; a handler installed with SA_RESTART then resumes the sleep, as sem_wait does.
static int futex_wait(fkli_atomic_u32 *word, uint32_t expected, fkl_time deadline)
{
    struct timespec until;
    struct timespec *timeout = NULL;
    if (deadline != FKL_FOREVER) {
        until.tv_sec = (time_t)(deadline / 1000000000);
        until.tv_nsec = (long)(deadline % 1000000000);
        timeout = &until;
    }
    long result = syscall(FUTEX_CALL, &word->value, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
                          expected, timeout, NULL, FUTEX_BITSET_MATCH_ANY);
    return result == 0 ? 0 : errno;
}

static void futex_wake_one(fkli_atomic_u32 *word)
{
    syscall(FUTEX_CALL, &word->value, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

#endif

// Parker.

void fkli_parker_init(fkli_parker *parker)
{
    fkli_store_relaxed_u32(&parker->state, EMPTY);
}

void fkli_parker_fini(fkli_parker *parker)
{
    (void)parker;
}

// Memory order: the exchange to EMPTY acquires, its partner is the release half of the exchange in
// fkli_unpark(); so what the waker wrote before it is visible to whoever consumed the token.
static bool take_token(fkli_parker *parker)
{
    return fkli_load_relaxed_u32(&parker->state) == NOTIFIED &&
           fkli_exchange_acquire_u32(&parker->state, EMPTY) == NOTIFIED;
}

static fkli_park_result sleep_while_parked(fkli_parker *parker, fkl_time deadline)
{
    fkli_park_result result;
    if (fkli_park_is_faulty(deadline, &result))
        return result;
    int error = futex_wait(&parker->state, PARKED, deadline);
    if (error == ETIMEDOUT)
        return FKLI_PARK_TIMEOUT;
    return error == EINTR ? FKLI_PARK_SIGNAL : FKLI_PARK_WOKEN;
}

fkli_park_result fkli_park(fkli_parker *parker, fkl_time deadline)
{
    if (take_token(parker))
        return FKLI_PARK_WOKEN;
    if (deadline <= 0)
        return FKLI_PARK_TIMEOUT;
    fkli_spin_hint();
    uint32_t expected = EMPTY;
    if (!fkli_cas_acquire_u32(&parker->state, &expected, PARKED)) {
        fkli_exchange_acquire_u32(&parker->state, EMPTY);
        return FKLI_PARK_WOKEN;
    }
    fkli_park_result result = sleep_while_parked(parker, deadline);
    // Whatever ended the sleep, a token that came meanwhile is consumed here and reported as such.
    return fkli_exchange_acquire_u32(&parker->state, EMPTY) == NOTIFIED ? FKLI_PARK_WOKEN : result;
}

void fkli_unpark(fkli_parker *parker)
{
    if (fkli_exchange_acq_rel_u32(&parker->state, NOTIFIED) == PARKED)
        futex_wake_one(&parker->state);
}

// Lock.

// A taker that has slept marks the word 2 although nobody else may sleep: one wake too many, but
// never one too few.
void fkli_lock_sleep(fkli_lock *lock)
{
    for (int spin = 0; spin < LOCK_SPINS; ++spin) {
        uint32_t expected = 0;
        if (fkli_load_relaxed_u32(&lock->word) == 0 &&
            fkli_cas_acquire_u32(&lock->word, &expected, 1))
            return;
        fkli_spin_hint();
    }
    while (fkli_exchange_acquire_u32(&lock->word, 2) != 0)
        futex_wait(&lock->word, 2, FKL_FOREVER);
}

void fkli_lock_wake(fkli_lock *lock)
{
    futex_wake_one(&lock->word);
}

#else
typedef int fkli_no_futex_here; // ISO C wants a declaration
#endif
