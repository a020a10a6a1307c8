// SPDX-License-Identifier: Apache-2.0
//
// The simulated platform, in builds with -DFKL_PLATFORM_SIMULATED: a seeded scheduler beneath the
// seam. Threads are real, but one alone runs at a time. It hands its baton on only where it enters
// the seam, to whom the seed says, and the clock shows a time of its own. So a seed decides the
// interleaving, and repeats it.
//
// The scheduler replaces the system beneath futex.c and posix.c (the two futex calls, the creation
// of threads, the clock, the yield); parkers and locks are the real ones. What it simulates is
// sequentially consistent: a missing fence is not found by it.
//
// Nobody but the tests calls fkli_sim_run(). Threads that the scheduler has not started pass its
// points without effect; they must not wait.
#ifndef FKLI_PLATFORM_SIMULATED_H
#define FKLI_PLATFORM_SIMULATED_H

#ifdef FKL_PLATFORM_SIMULATED

#include <forkless/clock.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define FKLI_SIMULATED 1

// What the seam calls.

void fkli_sim_point(void);
// The calling thread spins or yields: the others go first.
void fkli_sim_yield(void);
#define FKLI_SCHED_POINT() fkli_sim_point()
#define FKLI_SPIN_POINT() fkli_sim_yield()
#define FKLI_SPIN_TURNS(turns) 1
#define FKLI_KEPT_BLOCKS(most) 0 // so that what was freed is filled with the pattern

fkl_time fkli_sim_clock(void);
// Like the system call: sleeps while `*word` is `expected`. Returns 0 (woken, also for no reason),
// EAGAIN (the word was another), ETIMEDOUT or EINTR.
int fkli_sim_futex_wait(const uint32_t *word, uint32_t expected, fkl_time deadline);
// Wakes one of those who sleep on `word`, which need not be there any more. Returns whether there
// was one.
bool fkli_sim_futex_wake_one(const void *word);
int fkli_sim_thread_create(pthread_t *thread, const pthread_attr_t *attributes,
                           void *(*run)(void *arg), void *arg);

// What the tests call.

typedef enum fkli_sim_trouble {
    FKLI_SIM_DEADLOCK, // every thread sleeps, and none has a deadline
    FKLI_SIM_LIVELOCK  // the limit of steps is reached
} fkli_sim_trouble;

typedef struct fkli_sim_config {
    uint64_t seed;
    uint32_t contended;  // steps of a run, about: priorities change at random ones of them
    uint32_t step_limit; // then it is a livelock
    bool signals;        // whether sleeps may end with EINTR
    // Where the calling thread is about to sleep: a static text, or NULL. May be NULL.
    const char *(*where)(void);
    // Shows each step: by whom, and from where in the program. May be NULL.
    void (*trace)(uint32_t thread, const void *caller);
    // Called by the thread that notices; must not return.
    void (*on_trouble)(fkli_sim_trouble trouble);
} fkli_sim_config;

typedef struct fkli_sim_result {
    uint64_t hash; // of who did which step
    uint32_t steps;
    uint32_t contended; // of these, with more than one thread that could do the next
    uint32_t switches;
    uint32_t threads;
    fkl_time time; // that the clock showed last
} fkli_sim_result;

// Runs body(arg) in a thread of the simulation, and returns when all threads have ended. Threads:
// one that is not simulated. Returns false when the system gives no thread.
bool fkli_sim_run(const fkli_sim_config *config, void (*body)(void *arg), void *arg,
                  fkli_sim_result *result);

// Lets nobody else run any more, and makes all points pass without effect: for reports of failures.
void fkli_sim_freeze(void);

// How far the run is.
void fkli_sim_progress(fkli_sim_result *result);

// One thread that has not ended.
typedef struct fkli_sim_row {
    uint32_t thread; // in the order of their starts, from 0
    char name[16];
    const char *where; // "ready", "running", or where it sleeps
    fkl_time deadline; // of that sleep, or FKL_FOREVER
} fkli_sim_row;

// Returns how many rows were written.
uint32_t fkli_sim_rows(fkli_sim_row *rows, uint32_t capacity);

#endif
#endif
