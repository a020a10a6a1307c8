// SPDX-License-Identifier: Apache-2.0
//
// In which order workers run tasks, and that none is held up by others.
#include "support/jobs.h"

#include <limits.h>

static fkli_task_result have_more_for_ever(struct job *job)
{
    return job->gate && atomic_load(&job->gate->open) ? FKLI_TASK_IDLE : FKLI_TASK_MORE;
}

Test(worker, tasks_without_end_let_others_run)
{
    enum { GREEDY = 300 }; // more than a ring holds
    fkli_scheduler *scheduler = start(1);
    rig_gate gate = {0};
    static struct job greedy[GREEDY];
    struct job modest;
    for (int i = 0; i < GREEDY; i++) {
        init_job(&greedy[i], scheduler, have_more_for_ever);
        greedy[i].gate = &gate;
        submit(&greedy[i]);
    }
    init_job(&modest, scheduler, NULL);
    submit(&modest);
    for (long runs = 1; runs < 5; runs++) {
        assert_eventually(atomic_load(&modest.done) == runs && is_idle(&modest));
        ready(&modest);
    }
    for (int i = 0; i < GREEDY; i++) {
        assert_eventually(atomic_load(&greedy[i].done) > 3);
    }
    atomic_store(&gate.open, true);
    for (int i = 0; i < GREEDY; i++) {
        assert_eventually(is_idle(&greedy[i]));
    }
    finish(scheduler);
}

static fkli_task_result pass_on(struct job *job)
{
    if (job->runs < job->limit) {
        ready(job->other);
    }
    return FKLI_TASK_IDLE;
}

Test(worker, two_that_make_each_other_ready_let_others_run)
{
    fkli_scheduler *scheduler = start(1);
    struct job pair[2];
    struct job third;
    for (int i = 0; i < 2; i++) {
        init_job(&pair[i], scheduler, pass_on);
        pair[i].other = &pair[1 - i];
        pair[i].limit = LONG_MAX;
    }
    init_job(&third, scheduler, NULL);
    submit(&pair[1]);
    submit(&pair[0]);
    submit(&third);
    for (long runs = 1; runs < 5; runs++) {
        assert_eventually(atomic_load(&third.done) == runs && is_idle(&third));
        ready(&third);
    }
    finish(scheduler);
}

// Spins until the other has run, which it makes ready itself.
static fkli_task_result wait_for_other(struct job *job)
{
    ready(job->other);
    fkl_time limit = SOON;
    while (atomic_load(&job->other->done) == 0 && fkl_now() < limit) {
    }
    return FKLI_TASK_IDLE;
}

Test(worker, a_long_run_does_not_hold_up_what_it_made_ready)
{
    for (uint32_t workers = 2; workers < 6; workers += 3) {
        fkli_scheduler *scheduler = start(workers);
        for (int round = 0; round < 10; round++) {
            struct job job;
            struct job other;
            init_job(&job, scheduler, wait_for_other);
            init_job(&other, scheduler, NULL);
            job.other = &other;
            submit(&other);
            assert_eventually(is_idle(&other));
            other.done = 0;
            submit(&job);
            assert_eventually(atomic_load(&job.done) == 1 && is_idle(&job) && is_idle(&other));
            cr_assert_eq(other.runs, 2);
        }
        finish(scheduler);
    }
}

Test(worker, a_long_run_does_not_hold_up_others_though_no_worker_is_idle)
{
    fkli_scheduler *scheduler = start(2);
    rig_gate gate = {0};
    struct job greedy;
    struct job job;
    struct job other;
    init_job(&greedy, scheduler, have_more_for_ever);
    greedy.gate = &gate;
    init_job(&job, scheduler, wait_for_other);
    init_job(&other, scheduler, NULL);
    job.other = &other;
    submit(&other);
    assert_eventually(is_idle(&other));
    atomic_store(&other.done, 0);
    submit(&greedy);
    submit(&job);
    assert_eventually(atomic_load(&job.done) == 1 && is_idle(&job) && is_idle(&other));
    atomic_store(&gate.open, true);
    assert_eventually(is_idle(&greedy));
    finish(scheduler);
}
