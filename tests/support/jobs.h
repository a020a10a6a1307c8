// SPDX-License-Identifier: Apache-2.0
//
// Tasks for the tests of the scheduler and its workers.
#ifndef FKL_TESTS_SUPPORT_JOBS_H
#define FKL_TESTS_SUPPORT_JOBS_H

#include "support/rig.h"

#include "memory.h"
#include "scheduler.h"

// A task that counts its runs, and does something in each.
struct job {
    fkli_task task;
    fkli_scheduler *scheduler;
    fkli_task_result (*work)(struct job *job);
    struct job *other;
    rig_gate *gate;
    long runs; // plain on purpose: the scheduler orders it
    atomic_long done;
    atomic_bool busy;
    long limit;
};

static atomic_int overlaps;
static atomic_int begun;
static atomic_int ended;

static inline fkli_task_result run(fkli_task *task, void *ctx)
{
    (void)ctx;
    struct job *job = (struct job *)task;
    if (atomic_exchange(&job->busy, true)) {
        atomic_fetch_add(&overlaps, 1);
    }
    job->runs++;
    fkli_task_result result = job->work ? job->work(job) : FKLI_TASK_IDLE;
    atomic_store(&job->busy, false);
    atomic_store(&job->done, job->runs);
    return result;
}

static inline void begin(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&begun, 1);
}

static inline void end(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&ended, 1);
}

static inline void abandon(fkli_task *task, void *ctx)
{
    (void)ctx;
    atomic_store(&((struct job *)task)->done, -1);
}

static inline fkli_scheduler *create(uint32_t workers)
{
    fkli_scheduler_config config = {
        .workers = workers, .run = run, .begin = begin, .end = end, .abandon = abandon};
    fkli_scheduler *scheduler = NULL;
    atomic_store(&overlaps, 0);
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    assert_ok(fkli_scheduler_create(fkli_allocator_of(NULL), &config, &scheduler));
    return scheduler;
}

static inline fkli_scheduler *start(uint32_t workers)
{
    fkli_scheduler *scheduler = create(workers);
    assert_ok(fkli_scheduler_start(scheduler));
    return scheduler;
}

static inline void finish(fkli_scheduler *scheduler)
{
    assert_ok(fkli_scheduler_stop(scheduler, SOON));
    cr_assert(fkli_scheduler_is_stopped(scheduler));
    fkli_scheduler_destroy(scheduler);
    cr_assert_eq(atomic_load(&overlaps), 0, "a task ran twice at the same time");
}

static inline void init_job(struct job *job, fkli_scheduler *scheduler,
                            fkli_task_result (*work)(struct job *job))
{
    memset(job, 0, sizeof *job);
    fkli_task_init(&job->task);
    job->scheduler = scheduler;
    job->work = work;
}

static inline void submit(struct job *job)
{
    fkli_task_submit(job->scheduler, &job->task);
}

static inline void ready(struct job *job)
{
    fkli_task_ready(job->scheduler, &job->task);
}

static inline bool is_idle(const struct job *job)
{
    return strcmp(fkli_task_where(&job->task), "idle") == 0;
}

#endif
