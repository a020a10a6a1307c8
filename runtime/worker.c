// SPDX-License-Identifier: Apache-2.0
//
// What a worker does: taking tasks, running them, searching, sleeping, and being woken. All of it
// runs in workers but fkli_scheduler_wake_one(), which any thread calls.
//
// Where a worker looks for tasks: in its `next`, which holds the task that was made ready last by
// a run on this worker (the answer to a message runs where the question was asked, without waking
// anybody); in its ring; in the line, where threads from outside put tasks; in the rings of others.
// Of two tasks in a row for `next` the older goes to the ring.
//
// Who is woken. A worker that finds nothing searches for a moment, counted in `state`, then sleeps,
// counted there too. A put into a ring or the line wakes one sleeper if nobody searches. No wake-up
// is lost: the put comes before the load of `state`, and a worker looks at all queues once more
// after it has left the searchers or joined the sleepers, all of it sequentially consistent; so
// either the put sees that it must wake somebody, or the worker sees the task.
//
// A put into `next` wakes nobody, and no thief looks there. For the case that the worker does not
// get round to it, because its run takes long, one of the sleepers is the sentry: it wakes every
// millisecond, and takes a `next` of a worker that has begun no run since the last look. Workers
// that are busy do the same now and then, since there may be no sleeper. The sentry goes to sleep
// for good when nothing moves; a put into `next` that finds no sentry wakes a worker, which becomes
// it. The order is as above, with `sentry` in place of `state`.

#include "worker.h"

// fkli_scheduler.state.
#define ONE_SEARCHING 1u
#define ONE_ASLEEP 0x10000u
#define SEARCHING_MASK 0xffffu

static const fkl_time look_interval = 1000000; // nanoseconds

enum {
    LINE_INTERVAL = 61,  // runs after which the line comes first
    LOOK_INTERVAL = 256, // runs after which a busy worker looks at the `next` of others
    MAX_IN_A_ROW = 16,   // runs of `next` before the ring comes first
    SEARCH_ROUNDS = FKLI_SPIN_TURNS(4)
};

// Sleeping and waking.

static bool shall_wake(uint32_t state)
{
    return state >= ONE_ASLEEP && (state & SEARCHING_MASK) == 0;
}

static void unlink_sleeper_locked(fkli_scheduler *scheduler, fkli_worker *worker)
{
    fkli_worker **at = &scheduler->sleepers;
    while (*at != worker)
        at = &(*at)->below;
    *at = worker->below;
    if (fkli_load_relaxed_ptr(&scheduler->sentry) == worker)
        fkli_store_seq_cst_ptr(&scheduler->sentry, NULL);
    // Pairs with the acquire in sleep_until_woken().
    fkli_store_release_u32(&worker->awake, 1);
}

// The woken worker counts as searching from now on, so that one put after the other
// does not wake all of them.
void fkli_scheduler_wake_one(fkli_scheduler *scheduler)
{
    if (!shall_wake(fkli_load_seq_cst_u32(&scheduler->state)))
        return;
    fkli_worker *worker = NULL;
    fkli_lock_take(&scheduler->idle);
    if (shall_wake(fkli_load_relaxed_u32(&scheduler->state))) {
        worker = scheduler->sleepers;
        worker->searching = true;
        fkli_add_seq_cst_u32(&scheduler->state, ONE_SEARCHING - ONE_ASLEEP);
        unlink_sleeper_locked(scheduler, worker);
    }
    fkli_lock_give(&scheduler->idle);
    if (worker)
        fkli_unpark(&worker->thread.parker);
}

static bool any_next(const fkli_scheduler *scheduler)
{
    uint32_t count = fkli_scheduler_count(scheduler);
    for (uint32_t i = 0; i < count; ++i) {
        if (fkli_load_seq_cst_ptr(&scheduler->workers[i].next))
            return true;
    }
    return false;
}

// Whether there is something for one more worker to do.
static bool is_pending(const fkli_scheduler *scheduler)
{
    if (!fkli_line_is_empty(&scheduler->line))
        return true;
    uint32_t count = fkli_scheduler_count(scheduler);
    for (uint32_t i = 0; i < count; ++i) {
        if (!fkli_ring_is_empty(&scheduler->workers[i].ring))
            return true;
    }
    return !fkli_load_seq_cst_ptr(&scheduler->sentry) && any_next(scheduler);
}

static void stop_searching(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    if (!worker->searching)
        return;
    worker->searching = false;
    uint32_t before = fkli_add_seq_cst_u32(&scheduler->state, 0u - ONE_SEARCHING);
    // Puts of the meantime have relied on the searchers.
    if ((before & SEARCHING_MASK) == 1 && is_pending(scheduler))
        fkli_scheduler_wake_one(scheduler);
}

// Taking.

static fkli_task *take_next(fkli_worker *worker)
{
    if (!fkli_load_relaxed_ptr(&worker->next))
        return NULL;
    return fkli_exchange_acq_rel_ptr(&worker->next, NULL);
}

static fkli_task *take_from_line(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    uint64_t share = fkli_load_relaxed_u64(&scheduler->line.len) / fkli_scheduler_count(scheduler);
    uint64_t most = FKLI_RING_SIZE / 2;
    return fkli_line_take(&scheduler->line, &worker->ring, share < most ? share : most);
}

// From what is the worker's own.
static fkli_task *take_own(fkli_worker *worker)
{
    fkli_task *task;
    if (worker->in_a_row < MAX_IN_A_ROW && (task = take_next(worker))) {
        ++worker->in_a_row;
        return task;
    }
    worker->in_a_row = 0;
    task = fkli_ring_take(&worker->ring);
    return task ? task : take_next(worker);
}

// Takes the `next` of a worker that has begun no run since the last look, which was a while ago.
// `moves`: whether it may be worth to look again.
static fkli_task *look_out(fkli_worker *worker, bool *moves)
{
    fkli_scheduler *scheduler = worker->scheduler;
    fkl_time now = fkli_clock_now();
    uint64_t look = fkli_load_relaxed_u64(&scheduler->next_look);
    *moves = true;
    // Relaxed, like the counts of runs: what is taken too early or late is only slower.
    if ((uint64_t)now < look ||
        !fkli_cas_relaxed_u64(&scheduler->next_look, &look, (uint64_t)(now + look_interval)))
        return NULL;
    *moves = false;
    uint32_t count = fkli_scheduler_count(scheduler);
    for (uint32_t i = 0; i < count; ++i) {
        fkli_worker *other = &scheduler->workers[i];
        if (other == worker)
            continue;
        uint64_t runs = fkli_load_relaxed_u64(&other->runs);
        bool stands = runs == fkli_load_relaxed_u64(&other->seen);
        bool has_next = fkli_load_seq_cst_ptr(&other->next) != NULL;
        fkli_store_relaxed_u64(&other->seen, runs);
        *moves |= !stands || has_next;
        fkli_task *task = stands && has_next ? fkli_exchange_acq_rel_ptr(&other->next, NULL) : NULL;
        if (task)
            return task;
    }
    return NULL;
}

static fkli_task *steal(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    uint32_t count = fkli_scheduler_count(scheduler);
    worker->random = worker->random * 1664525u + 1013904223u;
    uint32_t at = (worker->random >> 16) % count;
    for (uint32_t i = 0; i < count; ++i, ++at) {
        fkli_worker *other = &scheduler->workers[at < count ? at : at - count];
        fkli_task *task = other == worker ? NULL : fkli_ring_steal(&other->ring, &worker->ring);
        if (task)
            return task;
    }
    return NULL;
}

// When there is nothing of its own left. At most half of the workers search at a time.
static fkli_task *search(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    if (!worker->searching) {
        uint32_t state = fkli_load_relaxed_u32(&scheduler->state);
        if (2 * (state & SEARCHING_MASK) >= fkli_scheduler_count(scheduler))
            return NULL;
        worker->searching = true;
        fkli_add_seq_cst_u32(&scheduler->state, ONE_SEARCHING);
    }
    for (int round = 0; round < SEARCH_ROUNDS; ++round) {
        fkli_task *task = take_from_line(worker);
        if (!task)
            task = steal(worker);
        if (task)
            return task;
        fkli_spin_hint();
    }
    bool moves;
    return look_out(worker, &moves);
}

// Sleep.

static void lie_down(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    fkli_lock_take(&scheduler->idle);
    worker->below = scheduler->sleepers;
    scheduler->sleepers = worker;
    fkli_store_relaxed_u32(&worker->awake, 0);
    uint32_t change = ONE_ASLEEP - (worker->searching ? ONE_SEARCHING : 0);
    worker->searching = false;
    uint32_t asleep = (fkli_add_seq_cst_u32(&scheduler->state, change) + change) / ONE_ASLEEP;
    if (asleep < fkli_scheduler_count(scheduler) && !fkli_load_relaxed_ptr(&scheduler->sentry))
        fkli_store_seq_cst_ptr(&scheduler->sentry, worker);
    fkli_lock_give(&scheduler->idle);
    if (is_pending(scheduler))
        fkli_scheduler_wake_one(scheduler);
}

// Leaves the list unless it has been woken: then it searches.
static void get_up(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    fkli_lock_take(&scheduler->idle);
    if (!fkli_load_relaxed_u32(&worker->awake)) {
        fkli_add_seq_cst_u32(&scheduler->state, 0u - ONE_ASLEEP);
        unlink_sleeper_locked(scheduler, worker);
    }
    fkli_lock_give(&scheduler->idle);
}

// Nothing moves: the next one to put into a `next` sees that there is no sentry, or is seen here.
static void retire_sentry(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    fkli_lock_take(&scheduler->idle);
    if (fkli_load_relaxed_ptr(&scheduler->sentry) == worker) {
        fkli_store_seq_cst_ptr(&scheduler->sentry, NULL);
        if (any_next(scheduler))
            fkli_store_seq_cst_ptr(&scheduler->sentry, worker);
    }
    fkli_lock_give(&scheduler->idle);
}

static bool is_stopping(const fkli_scheduler *scheduler)
{
    return fkli_load_acquire_u32(&scheduler->stopping) != 0;
}

// Returns when somebody has woken the worker, with NULL, or when it found something as the sentry.
static fkli_task *sleep_until_woken(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    fkli_task *task = NULL;
    lie_down(worker);
    while (!task && !is_stopping(scheduler)) {
        // Relaxed: a worker sees what it wrote itself, and others only take the post away.
        bool is_sentry = fkli_load_relaxed_ptr(&scheduler->sentry) == worker;
        fkl_time deadline = is_sentry ? fkli_clock_now() + look_interval : FKL_FOREVER;
        fkl_err err = fkli_wait_park(&worker->thread, deadline, "pool");
        // The acquire pairs with the release in unlink_sleeper_locked().
        if (fkli_load_acquire_u32(&worker->awake))
            return NULL;
        if (err != FKL_ETIMEDOUT)
            continue;
        bool moves;
        task = look_out(worker, &moves);
        if (!task && !moves)
            retire_sentry(worker);
    }
    get_up(worker);
    return task;
}

// Running.

void fkli_worker_put_last(fkli_worker *worker, fkli_task *task)
{
    if (!fkli_ring_put(&worker->ring, task))
        fkli_line_put_half(&worker->scheduler->line, &worker->ring, task);
}

void fkli_worker_hand_over(fkli_worker *worker, fkli_task *task)
{
    fkli_scheduler *scheduler = worker->scheduler;
    fkli_task *older = fkli_exchange_seq_cst_ptr(&worker->next, task);
    if (older) {
        fkli_worker_put_last(worker, older);
        fkli_scheduler_wake_one(scheduler);
    }
    if (!fkli_load_seq_cst_ptr(&scheduler->sentry))
        fkli_scheduler_wake_one(scheduler);
}

// A task that has more to do. Nobody needs to know when it is all that this worker has.
static void put_again(fkli_worker *worker, fkli_task *task)
{
    bool alone = !fkli_load_relaxed_ptr(&worker->next) && fkli_ring_is_empty(&worker->ring) &&
                 fkli_line_is_empty(&worker->scheduler->line);
    fkli_worker_put_last(worker, task);
    if (!alone)
        fkli_scheduler_wake_one(worker->scheduler);
}

// State. Every change is a read-modify-write that acquires and releases: so a run sees all that
// was written before the calls of fkli_task_ready() that it answers, and before the end of the last
// run.
static void run_task(fkli_worker *worker, fkli_task *task)
{
    const fkli_scheduler_config *config = &worker->scheduler->config;
    stop_searching(worker);
    fkli_store_relaxed_u64(&worker->runs, fkli_load_relaxed_u64(&worker->runs) + 1);
    fkli_exchange_acq_rel_u32(&task->state, FKLI_TASK_RUNNING);
    worker->running = task;
    fkli_task_result result = config->run(task, config->ctx);
    worker->running = NULL;
    uint32_t expected = FKLI_TASK_RUNNING;
    if (result == FKLI_TASK_GONE)
        return;
    if (result == FKLI_TASK_IDLE && fkli_cas_acq_rel_u32(&task->state, &expected, 0))
        return;
    fkli_exchange_acq_rel_u32(&task->state, FKLI_TASK_READY);
    put_again(worker, task);
}

static fkli_task *take(fkli_worker *worker)
{
    uint64_t runs = fkli_load_relaxed_u64(&worker->runs);
    fkli_task *task = NULL;
    if (runs % LINE_INTERVAL == 0)
        task = take_from_line(worker);
    if (runs % LOOK_INTERVAL == 1) {
        bool moves;
        fkli_task *left = look_out(worker, &moves);
        if (left) {
            fkli_worker_put_last(worker, left);
            fkli_scheduler_wake_one(worker->scheduler);
        }
    }
    return task ? task : take_own(worker);
}

void fkli_worker_work(fkli_worker *worker)
{
    while (!is_stopping(worker->scheduler)) {
        fkli_task *task = take(worker);
        if (!task)
            task = search(worker);
        if (!task)
            task = sleep_until_woken(worker);
        if (task)
            run_task(worker, task);
    }
}
