// SPDX-License-Identifier: Apache-2.0
//
// Workers and what they run (see scheduler.h). Everything but the functions of scheduler.h runs in
// workers.
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

#include "scheduler.h"

#include "memory.h"

#include <stdio.h>

// Bits of fkli_task.state: idle is 0, queued READY, running RUNNING, notified both.
#define READY 1u
#define RUNNING 2u

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
    // Pairs with the acquire in sleep().
    fkli_store_release_u32(&worker->awake, 1);
}

// After a put. The woken worker counts as searching from now on, so that one put after the other
// does not wake all of them.
static void wake_one(fkli_scheduler *scheduler)
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

static uint32_t count_of(const fkli_scheduler *scheduler)
{
    return fkli_load_acquire_u32(&scheduler->count); // pairs with the release in start_workers()
}

static bool any_next(const fkli_scheduler *scheduler)
{
    uint32_t count = count_of(scheduler);
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
    uint32_t count = count_of(scheduler);
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
        wake_one(scheduler);
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
    uint64_t share = fkli_load_relaxed_u64(&scheduler->line.len) / count_of(scheduler);
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
    uint32_t count = count_of(scheduler);
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
    uint32_t count = count_of(scheduler);
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
        if (2 * (state & SEARCHING_MASK) >= count_of(scheduler))
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
    if (asleep < count_of(scheduler) && !fkli_load_relaxed_ptr(&scheduler->sentry))
        fkli_store_seq_cst_ptr(&scheduler->sentry, worker);
    fkli_lock_give(&scheduler->idle);
    if (is_pending(scheduler))
        wake_one(scheduler);
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

// To the end of the worker's queue, or to the line where that is full.
static void put_last(fkli_worker *worker, fkli_task *task)
{
    if (!fkli_ring_put(&worker->ring, task))
        fkli_line_put_half(&worker->scheduler->line, &worker->ring, task);
}

// A task that has more to do. Nobody needs to know when it is all that this worker has.
static void put_again(fkli_worker *worker, fkli_task *task)
{
    bool alone = !fkli_load_relaxed_ptr(&worker->next) && fkli_ring_is_empty(&worker->ring) &&
                 fkli_line_is_empty(&worker->scheduler->line);
    put_last(worker, task);
    if (!alone)
        wake_one(worker->scheduler);
}

// State. Every change is a read-modify-write that acquires and releases: so a run sees all that
// was written before the calls of fkli_task_ready() that it answers, and before the end of the last
// run.
static void run_task(fkli_worker *worker, fkli_task *task)
{
    const fkli_scheduler_config *config = &worker->scheduler->config;
    stop_searching(worker);
    fkli_store_relaxed_u64(&worker->runs, fkli_load_relaxed_u64(&worker->runs) + 1);
    fkli_exchange_acq_rel_u32(&task->state, RUNNING);
    worker->running = task;
    fkli_task_result result = config->run(task, config->ctx);
    worker->running = NULL;
    uint32_t expected = RUNNING;
    if (result == FKLI_TASK_GONE)
        return;
    if (result == FKLI_TASK_IDLE && fkli_cas_acq_rel_u32(&task->state, &expected, 0))
        return;
    fkli_exchange_acq_rel_u32(&task->state, READY);
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
            put_last(worker, left);
            wake_one(worker->scheduler);
        }
    }
    return task ? task : take_own(worker);
}

static void work(fkli_worker *worker)
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

// The life of a worker.

static void end_worker(fkli_worker *worker)
{
    fkli_scheduler *scheduler = worker->scheduler;
    if (scheduler->config.end)
        scheduler->config.end(scheduler->config.ctx);
    fkli_thread_disown(&worker->thread);
    // Who sees that nobody is alive may free everything, so the waiters are woken under the lock.
    fkli_lock_take(&scheduler->lock);
    fkli_wakeup wakeup;
    if (--scheduler->alive == 0) {
        while ((wakeup = fkli_waitlist_pop_locked(&scheduler->waiters)))
            fkli_wake(wakeup);
    }
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
    work(worker);
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

static bool unqueue(fkli_scheduler *scheduler, fkli_waiter *waiter)
{
    fkli_lock_take(&scheduler->lock);
    fkli_waitlist_remove_locked(&scheduler->waiters, waiter);
    bool stopped = scheduler->alive == 0;
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
    uint32_t count = count_of(scheduler);
    for (uint32_t i = 0; i < count; ++i)
        fkli_unpark(&scheduler->workers[i].thread.parker);
    fkl_err err = fkli_await(&waiter, deadline, "shutdown");
    if (unqueue(scheduler, &waiter) && err != FKL_EINTR)
        err = FKL_OK;
    fkli_waiter_fini(&waiter);
    return err;
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
    fkli_store_relaxed_u32(&task->state, READY);
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
        put_last(worker, task);
    else
        fkli_line_put(&scheduler->line, task);
    wake_one(scheduler);
}

// To this worker's `next`.
static void hand_over(fkli_worker *worker, fkli_task *task)
{
    fkli_scheduler *scheduler = worker->scheduler;
    fkli_task *older = fkli_exchange_seq_cst_ptr(&worker->next, task);
    if (older) {
        put_last(worker, older);
        wake_one(scheduler);
    }
    if (!fkli_load_seq_cst_ptr(&scheduler->sentry))
        wake_one(scheduler);
}

void fkli_task_ready(fkli_scheduler *scheduler, fkli_task *task)
{
    if (fkli_or_acq_rel_u32(&task->state, READY) != 0)
        return;
    fkli_worker *worker = current_worker(scheduler);
    if (worker) {
        hand_over(worker, task);
        return;
    }
    fkli_line_put(&scheduler->line, task);
    wake_one(scheduler);
}

const char *fkli_task_where(const fkli_task *task)
{
    switch (fkli_load_relaxed_u32(&task->state)) {
    case 0:
        return "idle";
    case READY:
        return "queued";
    default:
        return "running";
    }
}
