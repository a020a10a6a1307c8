// SPDX-License-Identifier: Apache-2.0
//
// A scheduler: worker threads that run tasks which are ready. Knows tasks, not actors.
//
// A task is idle, queued, running, or running and notified. Whoever has something for it to look at
// writes that and calls fkli_task_ready(); the task runs afterwards, and sees it. It runs in one
// worker at a time, and each run sees what the one before wrote.
#ifndef FKLI_SCHEDULER_H
#define FKLI_SCHEDULER_H

#include <forkless/runtime.h>

#include "runq.h"
#include "wait.h"

typedef struct fkli_scheduler fkli_scheduler;
typedef struct fkli_worker fkli_worker;

enum { FKLI_MAX_WORKERS = 1024 };

// What a run says at its end.
typedef enum fkli_task_result {
    FKLI_TASK_IDLE, // nothing to do until somebody makes it ready (who did so meanwhile counts)
    FKLI_TASK_MORE, // there is more to do, after the others
    FKLI_TASK_GONE  // over for ever: its memory may have been freed
} fkli_task_result;

// All functions run in workers; `ctx` is handed to them.
typedef struct fkli_scheduler_config {
    uint32_t workers;  // 1 to FKLI_MAX_WORKERS
    size_t stack_size; // bytes; 0: the system's default
    fkli_task_result (*run)(fkli_task *task, void *ctx);
    // The code of a run has ended its thread (pthread_exit): the task is gone, and the worker gets
    // another thread.
    void (*abandon)(fkli_task *task, void *ctx);
    // First and last of a worker's thread, which `end` misses when a run has ended it. May be NULL.
    void (*begin)(void *ctx);
    void (*end)(void *ctx);
    void *ctx;
} fkli_scheduler_config;

// `allocator` outlives the scheduler. No thread is started yet. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_scheduler_create(const fkl_allocator *allocator,
                                             const fkli_scheduler_config *config,
                                             fkli_scheduler **out);
// Frees a scheduler whose workers have ended. NULL is allowed.
void fkli_scheduler_destroy(fkli_scheduler *scheduler);

// Starts the workers unless they run. Fewer than were asked for are enough. Threads: any. Errors:
// FKL_ENOMEM, FKL_ETHREAD (none could be started), FKL_ESHUTDOWN (stopped).
FKL_MUST_CHECK fkl_err fkli_scheduler_start(fkli_scheduler *scheduler);

// Ends the workers, which finish the run that they are in, and waits for that. No task is queued
// any more, or the rest is forgotten. May be called again, also after a timeout. Errors:
// FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR, FKL_EPOOLED. Threads: any but a worker.
FKL_MUST_CHECK fkl_err fkli_scheduler_stop(fkli_scheduler *scheduler, fkl_time deadline);
// Whether there is no worker.
bool fkli_scheduler_is_stopped(fkli_scheduler *scheduler);

// Whether the calling thread is one of the workers.
bool fkli_scheduler_is_current(const fkli_scheduler *scheduler);

// A task starts as queued: nobody can run it before fkli_task_submit(), which is called once.
void fkli_task_init(fkli_task *task);
// Queues a new task. It may be gone on return. Threads: any; the scheduler has been started.
void fkli_task_submit(fkli_scheduler *scheduler, fkli_task *task);

// Makes a task run after this call, unless it is gone. Called in a run of the same scheduler it is
// a hand-over: the task is next on this worker. Threads: any that can say that the memory is there.
// Blocks: never.
void fkli_task_ready(fkli_scheduler *scheduler, fkli_task *task);

// "idle", "queued" or "running".
const char *fkli_task_where(const fkli_task *task);

#endif
