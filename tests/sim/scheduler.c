// SPDX-License-Identifier: Apache-2.0
//
// The rings of workers, the line, and tasks that are made ready from all sides: each is taken once,
// and none is forgotten.

#include "support/sim.h"

#include "memory.h"
#include "scheduler.h"

#include <string.h>

enum { TASKS = 6 };

struct crew {
    fkli_ring ring;
    fkli_line line;
    fkli_task tasks[TASKS];
    uint32_t taken[TASKS];
};

static void take(struct crew *crew, fkli_task *task)
{
    if (task)
        ++crew->taken[task - crew->tasks];
}

static void rob(void *arg)
{
    struct crew *crew = arg;
    fkli_ring own;
    fkli_ring_init(&own);
    for (int i = 0; i < 2; ++i) {
        take(crew, fkli_ring_steal(&crew->ring, &own));
        take(crew, fkli_line_take(&crew->line, &own, sim_below(3)));
    }
    for (fkli_task *task; (task = fkli_ring_take(&own));)
        take(crew, task);
}

SIM_SCENARIO(each_task_of_a_ring_is_taken_once)
{
    struct crew crew;
    memset(&crew, 0, sizeof crew);
    sim_task thieves[2];
    fkli_ring_init(&crew.ring);
    fkli_line_init(&crew.line);
    for (int i = 0; i < 2; ++i)
        sim_start(&thieves[i], "thief", rob, &crew);
    for (int i = 0; i < TASKS; ++i) {
        if (sim_below(3) == 0)
            fkli_line_put(&crew.line, &crew.tasks[i]);
        else
            SIM_CHECK(fkli_ring_put(&crew.ring, &crew.tasks[i]), "full");
        if (sim_below(2) == 0)
            take(&crew, fkli_ring_take(&crew.ring));
    }
    for (int i = 0; i < 2; ++i)
        sim_join(&thieves[i]);
    for (fkli_task *task; (task = fkli_ring_take(&crew.ring));)
        take(&crew, task);
    for (fkli_task *task; (task = fkli_line_take(&crew.line, &crew.ring, 0));)
        take(&crew, task);
    for (int i = 0; i < TASKS; ++i)
        SIM_CHECK(crew.taken[i] == 1, "task %d was taken %u times", i, crew.taken[i]);
    fkli_line_fini(&crew.line);
}

// Once a task runs, its link is anything.
static void steal_and_run(void *arg)
{
    struct crew *crew = arg;
    fkli_ring own;
    fkli_ring_init(&own);
    for (int i = 0; i < 4; ++i) {
        fkli_task *task = fkli_ring_steal(&crew->ring, &own);
        take(crew, task);
        if (task)
            task->next = NULL;
    }
    for (fkli_task *task; (task = fkli_ring_take(&own));)
        take(crew, task);
}

SIM_SCENARIO(what_a_taker_leaves_in_the_line_stays_there)
{
    struct crew crew;
    memset(&crew, 0, sizeof crew);
    sim_task thief;
    fkli_ring_init(&crew.ring);
    fkli_line_init(&crew.line);
    for (int i = 0; i < TASKS; ++i)
        fkli_line_put(&crew.line, &crew.tasks[i]);
    sim_start(&thief, "thief", steal_and_run, &crew);
    take(&crew, fkli_line_take(&crew.line, &crew.ring, 3));
    sim_join(&thief);
    for (fkli_task *task; (task = fkli_ring_take(&crew.ring));)
        take(&crew, task);
    for (fkli_task *task; (task = fkli_line_take(&crew.line, &crew.ring, 0));)
        take(&crew, task);
    for (int i = 0; i < TASKS; ++i)
        SIM_CHECK(crew.taken[i] == 1, "task %d was taken %u times", i, crew.taken[i]);
    fkli_line_fini(&crew.line);
}

// Tasks on workers.

struct job {
    fkli_task task; // first
    uint32_t posted;
    uint32_t seen;
    bool busy;
    uint32_t again; // runs that have more to do
};

struct plant {
    fkli_scheduler *scheduler;
    struct job jobs[3];
};

static fkli_task_result run_job(fkli_task *task, void *ctx)
{
    (void)ctx;
    struct job *job = (struct job *)task;
    SIM_CHECK(!job->busy, "two runs at the same time");
    job->busy = true;
    uint32_t posted = job->posted;
    sim_yield();
    job->seen = posted;
    job->busy = false;
    if (job->again == 0)
        return FKLI_TASK_IDLE;
    --job->again;
    return FKLI_TASK_MORE;
}

static void post_to_all(void *arg)
{
    struct plant *plant = arg;
    for (int i = 0; i < 3; ++i) {
        ++plant->jobs[i].posted;
        fkli_task_ready(plant->scheduler, &plant->jobs[i].task);
    }
}

static bool is_done(const struct plant *plant)
{
    for (int i = 0; i < 3; ++i) {
        if (plant->jobs[i].seen != plant->jobs[i].posted)
            return false;
    }
    return true;
}

SIM_SCENARIO(what_is_made_ready_runs_afterwards)
{
    struct plant plant = {.scheduler = NULL};
    sim_task posters[2];
    fkli_scheduler_config config = {.workers = 1 + sim_below(3), .run = run_job};
    SIM_OK(fkli_scheduler_create(fkli_allocator_of(NULL), &config, &plant.scheduler));
    SIM_OK(fkli_scheduler_start(plant.scheduler));
    for (int i = 0; i < 3; ++i) {
        plant.jobs[i].again = sim_below(2);
        fkli_task_init(&plant.jobs[i].task);
        fkli_task_submit(plant.scheduler, &plant.jobs[i].task);
    }
    for (int i = 0; i < 2; ++i)
        sim_start(&posters[i], "poster", post_to_all, &plant);
    for (int i = 0; i < 2; ++i)
        sim_join(&posters[i]);
    while (!is_done(&plant))
        SIM_OK(fkl_sleep_until(fkl_after_ms(1)));
    fkl_err err;
    while ((err = fkli_scheduler_stop(plant.scheduler, sim_deadline())) != FKL_OK)
        SIM_CHECK(err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
    fkli_scheduler_destroy(plant.scheduler);
}
