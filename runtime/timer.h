// SPDX-License-Identifier: Apache-2.0
//
// Timers of one runtime: nodes inside of other objects, a heap that orders them, and the one thread
// that fires them. Knows time, not actors.
//
// Whoever arms a timer hands the object around it over; it comes back once: from a cancel that
// answers true, or in the call of `fire`. So nobody frees it behind the other's back.
#ifndef FKLI_TIMER_H
#define FKLI_TIMER_H

#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/runtime.h>

typedef struct fkli_timers fkli_timers;

typedef struct fkli_timer {
    // Runs in the timer thread, without a lock; must not wait, may free the object around the
    // timer, arm it again (the first arm of a call never fails for lack of memory), and arm or
    // cancel others. `due` is false when the runtime ends first: then the object is given back, and
    // nothing can be armed.
    void (*fire)(struct fkli_timer *timer, bool due);
    // Guarded by the lock of the timers:
    uint64_t order; // among timers with the same deadline: first armed, first fired
    size_t place;   // in the heap, counted from 1; 0: not armed
} fkli_timer;

// `allocator` outlives the timers. No thread is started yet. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_timers_create(const fkl_allocator *allocator, fkli_timers **out);
// Frees timers that are stopped. NULL is allowed.
void fkli_timers_destroy(fkli_timers *timers);

// Refuses further arms, gives back all that are armed (fire with `due` false), and waits until the
// thread has ended. May be called again, also after a timeout. Errors: FKL_ETIMEDOUT, FKL_ESTOPPED,
// FKL_EINTR. Threads: any but the timer thread.
FKL_MUST_CHECK fkl_err fkli_timers_stop(fkli_timers *timers, fkl_time deadline);
// Whether there is no thread that could fire anything.
bool fkli_timers_are_stopped(fkli_timers *timers);
// Whether the thread is in a call of `fire`, and so perhaps in the user's code.
bool fkli_timers_are_firing(fkli_timers *timers);
// Whether the calling thread is the timer thread.
bool fkli_timers_is_current(const fkli_timers *timers);

void fkli_timer_init(fkli_timer *timer, void (*fire)(fkli_timer *timer, bool due));

// Lets `timer`, which is not armed, fire at `deadline`. Threads: any. Blocks: never (a short lock;
// the first one starts the thread). Errors: FKL_ENOMEM, FKL_ETHREAD, FKL_ESHUTDOWN; the object
// stays with the caller then. On success it may be gone already.
FKL_MUST_CHECK fkl_err fkli_timer_arm(fkli_timers *timers, fkli_timer *timer, fkl_time deadline);

// True: came first, the timer is not armed any more and does not fire. False: it is not armed, so
// it has fired, fires now, or was never armed. The caller knows otherwise that the object is there.
bool fkli_timer_cancel(fkli_timers *timers, fkli_timer *timer);

// Gives an armed timer another deadline. False as with fkli_timer_cancel().
bool fkli_timer_move(fkli_timers *timers, fkli_timer *timer, fkl_time deadline);

// Timers that are armed now, for tests and diagnosis.
size_t fkli_timers_len(fkli_timers *timers);

#endif
