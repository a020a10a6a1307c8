// SPDX-License-Identifier: Apache-2.0
//
// Tasks on several numbers of workers: whatever somebody has written for a task before it made the
// task ready is seen by a run afterwards, runs of one task do not overlap, and each sees what the
// one before wrote. Tasks make each other ready, some have more to do, some take long.
#include "support/stress.h"

#include "memory.h"
#include "scheduler.h"

enum { TASKS = 400, POSTS = 4000 };

struct job {
    fkli_task task; // first
    atomic_int posted;
    atomic_bool busy;
    // Those of the runs, plain on purpose:
    long runs;
    long taken;
    uint64_t sum;
    uint32_t forwards; // left
    stress_random random;
};

static fkli_scheduler *scheduler;
static struct job jobs[TASKS];
static atomic_long posted;
static atomic_long taken;

static void post(struct job *job)
{
    atomic_fetch_add(&posted, 1);
    atomic_fetch_add_explicit(&job->posted, 1, memory_order_relaxed); // the state word orders it
    fkli_task_ready(scheduler, &job->task);
}

static fkli_task_result run(fkli_task *task, void *ctx)
{
    (void)ctx;
    struct job *job = (struct job *)task;
    CHECK(!atomic_exchange_explicit(&job->busy, true, memory_order_relaxed), "two runs at a time");
    CHECK(job->sum == (uint64_t)job->runs * 7, "a run has not seen the one before");
    job->runs++;
    job->sum += 7;
    int some = atomic_exchange_explicit(&job->posted, 0, memory_order_relaxed);
    job->taken += some;
    uint32_t dice = stress_below(&job->random, 64);
    for (; some > 0 && job->forwards > 0 && dice < 40; dice += 20) {
        job->forwards--;
        post(&jobs[stress_below(&job->random, TASKS)]);
    }
    // After what it has led to: so once all is taken, nothing more is to come.
    atomic_fetch_add(&taken, some);
    if (dice == 63) {
        stress_jitter(&job->random);
    }
    bool more = dice == 62;
    atomic_store_explicit(&job->busy, false, memory_order_relaxed);
    return more ? FKLI_TASK_MORE : FKLI_TASK_IDLE;
}

static void *post_some(void *arg)
{
    stress_random random = stress_stream((uint64_t)(uintptr_t)arg);
    for (int i = 0; i < POSTS; i++) {
        post(&jobs[stress_below(&random, TASKS)]);
        stress_jitter(&random);
    }
    return NULL;
}

static void run_round(uint32_t workers)
{
    fkli_scheduler_config config = {.workers = workers, .run = run};
    pthread_t threads[64];
    atomic_store(&posted, 0);
    atomic_store(&taken, 0);
    CHECK_OK(fkli_scheduler_create(fkli_allocator_of(NULL), &config, &scheduler));
    CHECK_OK(fkli_scheduler_start(scheduler));
    for (int i = 0; i < TASKS; i++) {
        memset(&jobs[i], 0, sizeof jobs[i]);
        fkli_task_init(&jobs[i].task);
        jobs[i].forwards = 50;
        jobs[i].random = stress_stream((uint64_t)i + 1000);
    }
    for (int i = 0; i < TASKS; i++) {
        fkli_task_submit(scheduler, &jobs[i].task);
    }
    for (int i = 0; i < stress.threads; i++) {
        CHECK(pthread_create(&threads[i], NULL, post_some, (void *)(uintptr_t)i) == 0, "thread");
    }
    for (int i = 0; i < stress.threads; i++) {
        pthread_join(threads[i], NULL);
    }
    while (atomic_load(&taken) < atomic_load(&posted)) {
        sched_yield(); // the watchdog ends it if something was forgotten
    }
    CHECK_OK(fkli_scheduler_stop(scheduler, FKL_FOREVER));
    CHECK(atomic_load(&taken) == atomic_load(&posted), "%ld of %ld", atomic_load(&taken),
          atomic_load(&posted));
    fkli_scheduler_destroy(scheduler);
}

int main(int argc, char **argv)
{
    static const uint32_t workers[] = {1, 2, 8, 32, 3};
    stress_begin(argc, argv, 4, 30);
    CHECK(stress.threads <= 64, "too many threads");
    for (int i = 0; i < stress.iterations; i++) {
        run_round(workers[i % 5]);
        stress.seed++;
    }
    return 0;
}
