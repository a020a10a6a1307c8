// SPDX-License-Identifier: Apache-2.0
//
// Workers and the tasks that they run.
#include "support/jobs.h"

#include <pthread.h>

Test(scheduler, a_scheduler_that_never_starts_can_be_freed)
{
    fkli_scheduler *scheduler = create(3);
    cr_assert(fkli_scheduler_is_stopped(scheduler));
    assert_ok(fkli_scheduler_stop(scheduler, FKL_NO_WAIT));
    assert_err(fkli_scheduler_start(scheduler), FKL_ESHUTDOWN);
    fkli_scheduler_destroy(scheduler);
    fkli_scheduler_destroy(NULL);
}

Test(scheduler, each_worker_begins_and_ends)
{
    fkli_scheduler *scheduler = start(5);
    assert_ok(fkli_scheduler_start(scheduler));
    assert_eventually(atomic_load(&begun) == 5);
    cr_assert_not(fkli_scheduler_is_stopped(scheduler));
    finish(scheduler);
    cr_assert_eq(atomic_load(&ended), 5);
}

Test(scheduler, a_task_runs_each_time_it_is_made_ready)
{
    fkli_scheduler *scheduler = start(2);
    struct job job;
    init_job(&job, scheduler, NULL);
    cr_assert_str_eq(fkli_task_where(&job.task), "queued");
    submit(&job);
    for (long runs = 1; runs < 1000; runs++) {
        assert_eventually(atomic_load(&job.done) == runs && is_idle(&job));
        ready(&job);
    }
    assert_eventually(atomic_load(&job.done) == 1000);
    finish(scheduler);
}

static fkli_task_result pass_gate(struct job *job)
{
    rig_pass(job->gate);
    return FKLI_TASK_IDLE;
}

Test(scheduler, what_is_made_ready_during_its_run_runs_once_more)
{
    fkli_scheduler *scheduler = start(2);
    rig_gate gate = {0};
    struct job job;
    init_job(&job, scheduler, pass_gate);
    job.gate = &gate;
    submit(&job);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    cr_assert_str_eq(fkli_task_where(&job.task), "running");
    ready(&job);
    ready(&job);
    atomic_store(&gate.open, true);
    assert_eventually(atomic_load(&job.done) == 2 && is_idle(&job));
    finish(scheduler);
    cr_assert_eq(job.runs, 2);
}

// What is read in the second run was written, plain, during the first: only the state orders it.
struct late {
    struct job job;
    long written;
    long read;
    atomic_bool runs;
    atomic_bool made_ready;
};

static fkli_task_result read_late(struct job *job)
{
    struct late *late = (struct late *)job;
    if (job->runs == 2) {
        late->read = late->written;
        return FKLI_TASK_IDLE;
    }
    atomic_store_explicit(&late->runs, true, memory_order_relaxed);
    while (!atomic_load_explicit(&late->made_ready, memory_order_relaxed)) {
    }
    return FKLI_TASK_IDLE;
}

Test(scheduler, a_run_sees_what_was_written_during_the_one_before)
{
    fkli_scheduler *scheduler = start(2);
    static struct late lates[100];
    for (int i = 0; i < 100; i++) {
        struct late *late = &lates[i];
        init_job(&late->job, scheduler, read_late);
        submit(&late->job);
        while (!atomic_load_explicit(&late->runs, memory_order_relaxed)) {
        }
        late->written = 7;
        ready(&late->job);
        atomic_store_explicit(&late->made_ready, true, memory_order_relaxed);
        assert_eventually(atomic_load(&late->job.done) == 2);
        cr_assert_eq(late->read, 7);
    }
    finish(scheduler);
}

static fkli_task_result have_more(struct job *job)
{
    return job->runs < job->limit ? FKLI_TASK_MORE : FKLI_TASK_IDLE;
}

Test(scheduler, a_task_that_has_more_runs_again)
{
    fkli_scheduler *scheduler = start(1);
    struct job job;
    init_job(&job, scheduler, have_more);
    job.limit = 1000;
    submit(&job);
    assert_eventually(atomic_load(&job.done) == 1000);
    finish(scheduler);
}

static fkli_task_result end_thread(struct job *job)
{
    if (job->runs == 1) {
        pthread_exit(NULL);
    }
    return FKLI_TASK_IDLE;
}

Test(scheduler, a_run_that_ends_its_thread_does_not_end_the_worker)
{
    enum { COUNT = 5 };
    fkli_scheduler *scheduler = start(1);
    struct job bad[COUNT];
    struct job good;
    for (int i = 0; i < COUNT; i++) {
        // With no other thread, this one goes on: once, for it cannot be ended twice.
        fkli_fault_thread_start(0, i == COUNT - 1);
        init_job(&bad[i], scheduler, end_thread);
        submit(&bad[i]);
        assert_eventually(atomic_load(&bad[i].done) == -1 && atomic_load(&begun) == i + 2);
    }
    init_job(&good, scheduler, NULL);
    submit(&good);
    assert_eventually(atomic_load(&good.done) == 1);
    finish(scheduler);
}

Test(scheduler, fewer_workers_than_wanted_are_enough_but_none_is_not)
{
    fkli_scheduler *scheduler = create(3);
    fkli_fault_thread_start(0, 1);
    assert_err(fkli_scheduler_start(scheduler), FKL_ETHREAD);
    fkli_fault_thread_start(2, 1);
    assert_ok(fkli_scheduler_start(scheduler));
    assert_eventually(atomic_load(&begun) == 2);
    struct job job;
    init_job(&job, scheduler, NULL);
    submit(&job);
    assert_eventually(atomic_load(&job.done) == 1);
    finish(scheduler);
    cr_assert_eq(atomic_load(&ended), 2);
}

Test(scheduler, without_memory_there_is_no_scheduler)
{
    for (long fail_at = 1; fail_at <= 2; fail_at++) {
        rig_memory memory = {.fail_at = fail_at};
        fkl_allocator allocator = rig_allocator(&memory);
        fkli_scheduler_config config = {.workers = 2, .run = run};
        fkli_scheduler *scheduler = NULL;
        fkl_err err = fkli_scheduler_create(&allocator, &config, &scheduler);
        if (!err) {
            err = fkli_scheduler_start(scheduler);
            assert_ok(fkli_scheduler_start(scheduler)); // there is some now
            assert_ok(fkli_scheduler_stop(scheduler, SOON));
            fkli_scheduler_destroy(scheduler);
        }
        assert_err(err, FKL_ENOMEM);
        rig_assert_balanced(&memory);
    }
}

Test(scheduler, a_stop_waits_for_a_run)
{
    fkli_scheduler *scheduler = start(2);
    rig_gate gate = {0};
    struct job job;
    init_job(&job, scheduler, pass_gate);
    job.gate = &gate;
    submit(&job);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    assert_err(fkli_scheduler_stop(scheduler, fkl_after_ms(1)), FKL_ETIMEDOUT);
    cr_assert_not(fkli_scheduler_is_stopped(scheduler));
    atomic_store(&gate.open, true);
    finish(scheduler);
    cr_assert_eq(job.runs, 1);
}
