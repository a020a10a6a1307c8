// SPDX-License-Identifier: Apache-2.0
//
// Schedulers (see scheduler.h): making, starting and stopping the workers, and taking in tasks.
// What a worker does meanwhile is worker.c. Tasks come from any thread; the rest runs in the
// threads of whoever makes and ends the scheduler, and first and last in the workers'.

#include "scheduler.h"

#include "memory.h"
#include "worker.h"

#include <stdio.h>

// The life of a worker.

static void end_worker(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    if (scheduler->config.end)
        scheduler->config.end(scheduler->config.ctx);
    fkli_thread_disown(&worker->thread);
    // Who sees that nobody is alive may free everything.
    fkli_lock_take(&scheduler->lock);
    if (--scheduler->alive == 0)
        fkli_waitlist_wake_all_locked(&scheduler->waiters);
    fkli_lock_give(&scheduler->lock);
}

static void replace_thread(void *arg);

static void run_worker(void *arg)
{
    fkli_worker *worker = arg;
    const fkli_scheduler_config *config = &worker->scheduler->config;
    fkli_thread_adopt(&worker->thread, replace_thread, worker);
    if (config->begin)
        config->begin(config->ctx);
    fkli_worker_work(worker);
    end_worker(worker);
}

// The code of a run has ended the thread: the worker gets another one.
static void replace_thread(void *arg)
{
    fkli_worker *worker = arg;
    const fkli_scheduler_config *config = &worker->scheduler->config;
    fkli_task *task = worker->running;
    worker->running = NULL;
    if (task && config->abandon)
        config->abandon(task, config->ctx);
    fkli_thread_disown(&worker->thread);
    // Where the system has no other, this one goes on in the hook at its end.
    if (fkli_thread_start(&worker->start, config->stack_size))
        run_worker(worker);
}

static void init_worker(fkli_scheduler *scheduler, uint32_t index)
{
    fkli_worker *worker = &scheduler->workers[index];
    fkli_ring_init(&worker->ring);
    fkli_store_relaxed_u32(&worker->awake, 1);
    worker->scheduler = scheduler;
    worker->index = index;
    worker->random = index * 2654435761u;
    snprintf(worker->name, sizeof worker->name, "fkl worker %u", index % 10000);
    worker->start = (fkli_start){run_worker, worker, worker->name};
    fkli_thread_init(&worker->thread, NULL, NULL);
    worker->thread.name = worker->name;
    worker->thread.worker = worker;
}

// Counts each worker before it can look for others.
static fkl_err start_workers(fkli_scheduler *scheduler)
{
    uint32_t wanted = scheduler->config.workers;
    uint32_t count = 0;
    for (; count < wanted; ++count) {
        fkli_lock_take(&scheduler->lock);
        ++scheduler->alive;
        fkli_lock_give(&scheduler->lock);
        fkli_store_release_u32(&scheduler->count, count + 1);
        if (fkli_thread_start(&scheduler->workers[count].start, scheduler->config.stack_size))
            break;
    }
    if (count == wanted)
        return FKL_OK;
    // No waiter is forgotten: a stop takes the lock that is held here first.
    fkli_lock_take(&scheduler->lock);
    --scheduler->alive;
    fkli_lock_give(&scheduler->lock);
    fkli_store_release_u32(&scheduler->count, count);
    return count > 0 ? FKL_OK : FKL_ETHREAD;
}

static fkl_err start_locked(fkli_scheduler *scheduler)
{
    if (scheduler->closed)
        return FKL_ESHUTDOWN;
    uint32_t wanted = scheduler->config.workers;
    if (!scheduler->workers) {
        size_t size = wanted * sizeof(fkli_worker);
        scheduler->workers = fkli_alloc_zeroed(scheduler->allocator, size);
        if (!scheduler->workers)
            return FKL_ENOMEM;
        for (uint32_t i = 0; i < wanted; ++i)
            init_worker(scheduler, i);
    }
    return start_workers(scheduler);
}

fkl_err fkli_scheduler_start(fkli_scheduler *scheduler)
{
    // The acquire pairs with the release below.
    if (fkli_load_acquire_u32(&scheduler->started))
        return FKL_OK;
    fkl_err err = FKL_OK;
    fkli_lock_take(&scheduler->starting);
    if (!fkli_load_relaxed_u32(&scheduler->started)) {
        err = start_locked(scheduler);
        if (!err)
            fkli_store_release_u32(&scheduler->started, 1);
    }
    fkli_lock_give(&scheduler->starting);
    return err;
}

// Making and stopping.

fkl_err fkli_scheduler_create(const fkl_allocator *allocator, const fkli_scheduler_config *config,
                              fkli_scheduler **out)
{
    fkli_scheduler *scheduler = fkli_alloc_zeroed(allocator, sizeof *scheduler);
    if (!scheduler)
        return FKL_ENOMEM;
    scheduler->allocator = allocator;
    scheduler->config = *config;
    fkli_line_init(&scheduler->line);
    fkli_lock_init(&scheduler->idle);
    fkli_lock_init(&scheduler->starting);
    fkli_lock_init(&scheduler->lock);
    *out = scheduler;
    return FKL_OK;
}

void fkli_scheduler_destroy(fkli_scheduler *scheduler)
{
    if (!scheduler)
        return;
    uint32_t wanted = scheduler->config.workers;
    for (uint32_t i = 0; scheduler->workers && i < wanted; ++i)
        fkli_thread_fini(&scheduler->workers[i].thread);
    fkli_free(scheduler->allocator, scheduler->workers, wanted * sizeof(fkli_worker));
    fkli_lock_fini(&scheduler->lock);
    fkli_lock_fini(&scheduler->starting);
    fkli_lock_fini(&scheduler->idle);
    fkli_line_fini(&scheduler->line);
    fkli_free(scheduler->allocator, scheduler, sizeof *scheduler);
}

// Returns whether no worker is left; queues the waiter otherwise.
static bool stopped_or_queue(fkli_scheduler *scheduler, fkli_waiter *waiter)
{
    fkli_lock_take(&scheduler->starting);
    scheduler->closed = true;
    fkli_lock_give(&scheduler->starting);
    fkli_lock_take(&scheduler->lock);
    bool stopped = scheduler->alive == 0;
    if (!stopped)
        fkli_waitlist_append_locked(&scheduler->waiters, waiter);
    fkli_lock_give(&scheduler->lock);
    return stopped;
}

fkl_err fkli_scheduler_stop(fkli_scheduler *scheduler, fkl_time deadline)
{
    fkli_waiter waiter;
    fkli_waiter_init(&waiter, fkli_thread_current());
    if (stopped_or_queue(scheduler, &waiter))
        return FKL_OK;
    // The release pairs with the acquire in is_stopping(). The workers cannot be freed meanwhile:
    // only who has stopped the scheduler may destroy it.
    fkli_store_release_u32(&scheduler->stopping, 1);
    uint32_t count = fkli_scheduler_count(scheduler);
    for (uint32_t i = 0; i < count; ++i)
        fkli_unpark(&scheduler->workers[i].thread.parker);
    return fkli_waitlist_await(&scheduler->waiters, &scheduler->lock, &waiter, deadline,
                               "shutdown");
}

bool fkli_scheduler_is_stopped(fkli_scheduler *scheduler)
{
    fkli_lock_take(&scheduler->lock);
    bool stopped = scheduler->alive == 0;
    fkli_lock_give(&scheduler->lock);
    return stopped;
}

// Tasks.

void fkli_task_init(fkli_task *task)
{
    task->next = NULL;
    fkli_store_relaxed_u32(&task->state, FKLI_TASK_READY);
}

// The worker that this thread is, if it is one of the scheduler's.
static fkli_worker *current_worker(const fkli_scheduler *scheduler)
{
    fkli_thread *thread = fkli_thread_peek();
    fkli_worker *worker = thread ? thread->worker : NULL;
    return worker && worker->scheduler == scheduler ? worker : NULL;
}

bool fkli_scheduler_is_current(const fkli_scheduler *scheduler)
{
    return current_worker(scheduler) != NULL;
}

void fkli_task_submit(fkli_scheduler *scheduler, fkli_task *task)
{
    fkli_worker *worker = current_worker(scheduler);
    if (worker)
        fkli_worker_put_last(worker, task);
    else
        fkli_line_put(&scheduler->line, task);
    fkli_scheduler_wake_one(scheduler);
}

void fkli_task_ready(fkli_scheduler *scheduler, fkli_task *task)
{
    if (fkli_or_acq_rel_u32(&task->state, FKLI_TASK_READY) != 0)
        return;
    fkli_worker *worker = current_worker(scheduler);
    if (worker) {
        fkli_worker_hand_over(worker, task);
        return;
    }
    fkli_line_put(&scheduler->line, task);
    fkli_scheduler_wake_one(scheduler);
}

const char *fkli_task_where(const fkli_task *task)
{
    switch (fkli_load_relaxed_u32(&task->state)) {
    case 0:
        return "idle";
    case FKLI_TASK_READY:
        return "queued";
    default:
        return "running";
    }
}
