// SPDX-License-Identifier: Apache-2.0
//
// The inside of a scheduler: scheduler.c starts and ends its workers and takes tasks in, worker.c
// is what a worker does meanwhile.
#ifndef FKLI_WORKER_H
#define FKLI_WORKER_H

#include "scheduler.h"

// Bits of fkli_task.state: idle is 0, queued READY, running RUNNING, notified both.
#define FKLI_TASK_READY 1u
#define FKLI_TASK_RUNNING 2u

struct fkli_worker {
    fkli_ring ring;
    fkli_atomic_ptr next;  // put by the worker, taken by it or by who looks out for others
    fkli_atomic_u64 runs;  // begun; the worker's
    fkli_atomic_u64 seen;  // `runs` at the last look
    fkli_atomic_u32 awake; // 0 while it is in the list of sleepers; written under `idle`
    fkli_worker *below;    // guarded by `idle`
    // The worker's own:
    fkli_scheduler *scheduler;
    uint32_t index;
    uint32_t random;
    uint32_t in_a_row;
    bool searching; // counted as such; also set by who wakes it
    fkli_task *running;
    fkli_start start;
    char name[16];
    char apart[FKLI_CACHE_LINE];
    fkli_thread thread;
};

struct fkli_scheduler {
    const fkl_allocator *allocator;
    fkli_scheduler_config config;
    fkli_line line;
    char apart[FKLI_CACHE_LINE];
    fkli_atomic_u32 state;  // workers that search, and that are asleep
    fkli_atomic_u32 count;  // workers started
    fkli_atomic_ptr sentry; // the worker; written under `idle`
    fkli_atomic_u64 next_look;
    fkli_atomic_u32 stopping;
    fkli_atomic_u32 started;
    fkli_worker *workers; // constant once started
    fkli_lock idle;
    fkli_worker *sleepers; // guarded by idle; who went to sleep last is on top
    fkli_lock starting;
    bool closed; // guarded by starting
    // Guarded by lock:
    fkli_lock lock;
    uint32_t alive;        // threads that have not ended
    fkli_waitlist waiters; // for `alive` to become 0
};

static inline uint32_t fkli_scheduler_count(const fkli_scheduler *scheduler)
{
    return fkli_load_acquire_u32(&scheduler->count); // pairs with the release in start_workers()
}

// After a put into a ring or the line: wakes a sleeping worker, unless one searches. Threads: any.
void fkli_scheduler_wake_one(fkli_scheduler *scheduler);

// Threads: the worker's.

// Runs tasks until the scheduler stops.
void fkli_worker_work(fkli_worker *worker);
// To the end of the worker's queue, or to the line where that is full.
void fkli_worker_put_last(fkli_worker *worker, fkli_task *task);
// To the worker's `next`; what was there goes to the end.
void fkli_worker_hand_over(fkli_worker *worker, fkli_task *task);

#endif
