// SPDX-License-Identifier: Apache-2.0
//
// What the runtime needs from the operating system, and the one seam through which it gets it: the
// clock, parking, threads, short locks, pipes. Nothing above this folder knows the system. Together
// with atomic.h it is everything that a deterministic scheduler or fault injection has to replace.
//
// Two implementations of parkers and locks: futex.c (Linux) and portable.c (pthread mutex and
// condition, also chosen by -DFKL_PLATFORM_PORTABLE). posix.c holds the rest. simulated.c, with
// -DFKL_PLATFORM_SIMULATED, stands in for the system beneath futex.c and posix.c.
#ifndef FKLI_PLATFORM_PLATFORM_H
#define FKLI_PLATFORM_PLATFORM_H

#include <forkless/clock.h>
#include <forkless/error.h>

#include "platform/atomic.h"

#if defined(FKLI_SIMULATED) || (defined(__linux__) && !defined(FKL_PLATFORM_PORTABLE))
#define FKLI_HAVE_FUTEX 1
#else
#define FKLI_HAVE_FUTEX 0
#include <pthread.h>
#endif

#define FKLI_THREAD_LOCAL _Thread_local

// Clock.

// Nanoseconds on the monotonic clock, always above 0.
fkl_time fkli_clock_now(void);

// Parker: one thread sleeps on it, any thread wakes it.

typedef struct fkli_parker {
    fkli_atomic_u32 state; // EMPTY, PARKED or NOTIFIED
#if !FKLI_HAVE_FUTEX
    pthread_mutex_t mutex;
    pthread_cond_t wake;
#endif
} fkli_parker;

typedef enum fkli_park_result {
    FKLI_PARK_WOKEN,   // the token was there, or for no reason: look at the condition again
    FKLI_PARK_TIMEOUT, // the deadline passed
    FKLI_PARK_SIGNAL   // a signal handler ran in this thread (futex only)
} fkli_park_result;

void fkli_parker_init(fkli_parker *parker);
void fkli_parker_fini(fkli_parker *parker);

// Consumes the token, sleeping until it arrives. Everything written before the fkli_unpark() that
// left the token is visible afterwards. Threads: the parker's own.
fkli_park_result fkli_park(fkli_parker *parker, fkl_time deadline);

// Leaves the token, once: two calls before the next park count as one. No system call unless the
// thread sleeps. The caller keeps the parker alive meanwhile.
void fkli_unpark(fkli_parker *parker);

// Lock: for short sections that never wait or call back.

#if FKLI_HAVE_FUTEX
typedef struct fkli_lock {
    fkli_atomic_u32 word; // 0 free, 1 taken, 2 taken and somebody sleeps
} fkli_lock;

void fkli_lock_sleep(fkli_lock *lock);
void fkli_lock_wake(fkli_lock *lock);

static inline void fkli_lock_init(fkli_lock *lock)
{
    fkli_store_relaxed_u32(&lock->word, 0);
}

static inline void fkli_lock_fini(fkli_lock *lock)
{
    (void)lock;
}

// The acquire pairs with the release in fkli_lock_give(). The memory may be freed by the next owner
// as soon as the exchange is done: the wake passes only an address to the kernel.
static inline void fkli_lock_take(fkli_lock *lock)
{
    uint32_t expected = 0;
    if (!fkli_cas_acquire_u32(&lock->word, &expected, 1))
        fkli_lock_sleep(lock);
}

static inline void fkli_lock_give(fkli_lock *lock)
{
    if (fkli_exchange_release_u32(&lock->word, 0) == 2)
        fkli_lock_wake(lock);
}
#else
typedef struct fkli_lock {
    pthread_mutex_t mutex;
} fkli_lock;

void fkli_lock_init(fkli_lock *lock);
void fkli_lock_fini(fkli_lock *lock);
void fkli_lock_take(fkli_lock *lock);
void fkli_lock_give(fkli_lock *lock);
#endif

// Threads.

// What a new thread is told. The caller's storage; it must live until `run` has begun.
typedef struct fkli_start {
    void (*run)(void *arg);
    void *arg;
    const char *name; // NULL: not named, which saves a system call
} fkli_start;

// Starts a detached thread. `stack_size` 0 is the system's default; smaller than the system's
// minimum is raised to it. Errors: FKL_ETHREAD.
FKL_MUST_CHECK fkl_err fkli_thread_start(fkli_start *start, size_t stack_size);

// Names the calling thread, cut to the system's limit.
void fkli_thread_set_name(const char *name);

void fkli_thread_yield(void);

// What a thread inherits from who starts it and may change: signal mask, processors, priority.
typedef struct fkli_traits {
    uint64_t words[64];
} fkli_traits;

// Those of the calling thread. False: they are not known here.
bool fkli_traits_take(fkli_traits *traits);
// Whether the calling thread has these, in the same process.
bool fkli_traits_are_mine(const fkli_traits *traits);

// How many processors this process may use; at least 1.
uint32_t fkli_cpu_count(void);

// Runs `hook(arg)` when the calling thread ends, however it ends; one hook a thread, NULL takes it
// back. Returns whether that could be arranged.
bool fkli_thread_at_exit(void (*hook)(void *arg), void *arg);

// Whether thread-local variables are still there when the hook runs.
#if defined(__APPLE__)
#define FKLI_TLS_OUTLIVES_EXIT_HOOK false
#else
#define FKLI_TLS_OUTLIVES_EXIT_HOOK true
#endif

// Sentinels: a pipe whose read end becomes readable when the write end is closed.

// Both ends are closed on exec. Errors: FKL_EOS.
FKL_MUST_CHECK fkl_err fkli_pipe_open(int *read_end, int *write_end);
void fkli_fd_close(int fd);

// Memory that is kept for later use, which AddressSanitizer takes for freed meanwhile.
#if defined(__SANITIZE_ADDRESS__)
#define FKLI_SANITIZE_ADDRESS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FKLI_SANITIZE_ADDRESS 1
#endif
#endif
#if defined(FKLI_SANITIZE_ADDRESS)
#include <sanitizer/asan_interface.h>
#define FKLI_POISON(start, size) __asan_poison_memory_region((start), (size))
#define FKLI_UNPOISON(start, size) __asan_unpoison_memory_region((start), (size))
#else
#define FKLI_POISON(start, size) ((void)(start), (void)(size))
#define FKLI_UNPOISON(start, size) ((void)(start), (void)(size))
#endif

// Faults for tests. Each call replaces the one before, and returns how many faults of that were
// still to come.

// After `after` more thread starts that go well, the next `count` fail.
uint32_t fkli_fault_thread_start(uint32_t after, uint32_t count);
// After `after` more sleeps of parkers, the next `count` end at once with `result`: for no reason,
// as if the deadline had passed (sleeps without one do not count then), or as if a signal had come
// (portable.c has no signals: for no reason).
uint32_t fkli_fault_park(fkli_park_result result, uint32_t after, uint32_t count);
// Whether a sleep that is about to begin is such a one. Threads: any; for this folder.
bool fkli_park_is_faulty(fkl_time deadline, fkli_park_result *result);

#endif
