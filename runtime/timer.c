// SPDX-License-Identifier: Apache-2.0
//
// The heap of timers and its thread (see timer.h). Arming and cancelling run in any thread, firing
// in the timer thread alone, which is started by the first arm.
//
// The heap is 4-ary: half the levels of a binary one, and a node's children share a cache line. It
// lies in chunks that double in size, so that growing neither moves a million entries under the
// lock nor needs twice the memory. Each entry repeats its deadline, so that sifting does not touch
// the timers.
//
// The thread sleeps until the earliest deadline and says so in `asleep_until`. An arm that is
// earlier lowers it under the lock and unparks; the token cannot be lost, because the thread looks
// at the heap under the lock after each park. A cancel wakes nobody: the thread then wakes once in
// vain.

#include "timer.h"

#include "chunks.h"
#include "memory.h"
#include "wait.h"

enum { CHILDREN = 4 };

typedef struct entry {
    fkl_time deadline;
    fkli_timer *timer;
} entry;

struct fkli_timers {
    const fkl_allocator *allocator; // constant
    fkli_thread thread;
    fkli_start start;
    fkli_lock starting;      // held while the thread is started; taken before `lock`
    fkli_atomic_u32 started; // set under `starting`
    // Guarded by lock:
    fkli_lock lock;
    entry *chunks[FKLI_CHUNKS];
    unsigned chunk_count;
    size_t len;
    uint64_t last_order;
    fkl_time asleep_until; // 0 while the thread is awake: it looks before it sleeps
    bool firing;           // a place is kept for the timer that fires now
    bool closed;
    bool ended;            // the thread will touch nothing any more
    fkli_waitlist waiters; // for `ended`
};

// The chunks.

static entry *at(fkli_timers *timers, size_t place)
{
    size_t offset;
    unsigned chunk = fkli_chunk_of(place, &offset);
    return &timers->chunks[chunk][offset];
}

// Makes room for `len` entries. One chunk is always enough, as it is asked for one more at a time.
static fkl_err reserve_locked(fkli_timers *timers, size_t len)
{
    if (len <= fkli_chunks_len(timers->chunk_count))
        return FKL_OK;
    if (timers->chunk_count == FKLI_CHUNKS)
        return FKL_ENOMEM;
    size_t size = fkli_chunk_len(timers->chunk_count) * sizeof(entry);
    entry *chunk = fkli_alloc(timers->allocator, size);
    if (!chunk)
        return FKL_ENOMEM;
    timers->chunks[timers->chunk_count++] = chunk;
    return FKL_OK;
}

// Gives the lock back, and then the last chunk to the allocator if the one before it is half empty
// too: some slack, so that a heap of steady size does not allocate.
static void unlock_and_trim(fkli_timers *timers)
{
    entry *spare = NULL;
    size_t size = 0;
    unsigned count = timers->chunk_count;
    if (count > 1 && timers->len < fkli_chunks_len(count - 1) / 2) {
        spare = timers->chunks[--timers->chunk_count];
        size = fkli_chunk_len(timers->chunk_count) * sizeof(entry);
    }
    fkli_lock_give(&timers->lock);
    fkli_free(timers->allocator, spare, size);
}

// The heap.

static bool is_before(const entry *one, const entry *other)
{
    if (one->deadline != other->deadline)
        return one->deadline < other->deadline;
    return one->timer->order < other->timer->order;
}

static void put_locked(fkli_timers *timers, size_t place, entry moved)
{
    *at(timers, place) = moved;
    moved.timer->place = place + 1;
}

// Both fill a hole at `place` with `moved`, or with what has to give way to it.
static void rise_locked(fkli_timers *timers, size_t place, entry moved)
{
    while (place > 0) {
        size_t parent = (place - 1) / CHILDREN;
        entry above = *at(timers, parent);
        if (!is_before(&moved, &above))
            break;
        put_locked(timers, place, above);
        place = parent;
    }
    put_locked(timers, place, moved);
}

static void sink_locked(fkli_timers *timers, size_t place, entry moved)
{
    for (;;) {
        size_t child = place * CHILDREN + 1;
        size_t end = child + CHILDREN < timers->len ? child + CHILDREN : timers->len;
        if (child >= end)
            break;
        size_t least = child;
        while (++child < end) {
            if (is_before(at(timers, child), at(timers, least)))
                least = child;
        }
        entry below = *at(timers, least);
        if (!is_before(&below, &moved))
            break;
        put_locked(timers, place, below);
        place = least;
    }
    put_locked(timers, place, moved);
}

static void settle_locked(fkli_timers *timers, size_t place, entry moved)
{
    size_t parent = (place - 1) / CHILDREN;
    if (place > 0 && is_before(&moved, at(timers, parent)))
        rise_locked(timers, place, moved);
    else
        sink_locked(timers, place, moved);
}

static fkl_err insert_locked(fkli_timers *timers, fkli_timer *timer, fkl_time deadline)
{
    bool uses_kept_place = timers->firing && fkli_timers_is_current(timers);
    fkl_err err = FKL_OK;
    if (uses_kept_place)
        timers->firing = false;
    else
        err = reserve_locked(timers, timers->len + 1 + timers->firing);
    if (err)
        return err;
    timer->order = ++timers->last_order;
    rise_locked(timers, timers->len++, (entry){deadline, timer});
    return FKL_OK;
}

static void remove_locked(fkli_timers *timers, fkli_timer *timer)
{
    size_t place = timer->place - 1;
    entry last = *at(timers, --timers->len);
    if (place != timers->len)
        settle_locked(timers, place, last);
    timer->place = 0;
}

// The thread.

// A deadline that is earlier than what the thread sleeps for: the caller unparks it once the lock
// is free.
static bool must_wake_locked(fkli_timers *timers, fkl_time deadline)
{
    if (deadline >= timers->asleep_until)
        return false;
    timers->asleep_until = deadline;
    return true;
}

// The next timer that is due, taken out; NULL when it is time to sleep until `*next`.
static fkli_timer *take_due_locked(fkli_timers *timers, fkl_time *now, fkl_time *next)
{
    *next = FKL_FOREVER;
    if (timers->len == 0)
        return NULL;
    entry first = *at(timers, 0);
    if (first.deadline > *now)
        *now = fkli_clock_now();
    if (first.deadline > *now) {
        *next = first.deadline;
        return NULL;
    }
    remove_locked(timers, first.timer);
    return first.timer;
}

static void fire_until_closed(fkli_timers *timers)
{
    fkl_time now = fkli_clock_now();
    fkl_time next;
    fkli_lock_take(&timers->lock);
    while (!timers->closed) {
        fkli_timer *timer = take_due_locked(timers, &now, &next);
        if (timer) {
            timers->firing = true;
            fkli_lock_give(&timers->lock);
            timer->fire(timer, true);
        } else {
            timers->asleep_until = next;
            unlock_and_trim(timers);
            // Whatever ended it, a signal too, the heap says what to do.
            fkl_err err = fkli_wait_park(&timers->thread, next, "timers");
            (void)err;
        }
        fkli_lock_take(&timers->lock);
        timers->firing = false;
        timers->asleep_until = 0;
    }
    fkli_lock_give(&timers->lock);
}

// From the end, so that nothing has to be sifted.
static void give_back_all(fkli_timers *timers)
{
    for (;;) {
        fkli_timer *timer = NULL;
        fkli_lock_take(&timers->lock);
        timers->closed = true; // nothing can be armed any more
        if (timers->len > 0) {
            timer = at(timers, timers->len - 1)->timer;
            remove_locked(timers, timer);
        }
        timers->firing = timer != NULL;
        fkli_lock_give(&timers->lock);
        if (!timer)
            return;
        timer->fire(timer, false);
    }
}

// Also runs when a release function of the user's ended the thread. Who sees `ended` may free
// everything.
static void end_thread(void *arg)
{
    fkli_timers *timers = arg;
    give_back_all(timers);
    fkli_thread_disown(&timers->thread);
    fkli_lock_take(&timers->lock);
    timers->ended = true;
    fkli_waitlist_wake_all_locked(&timers->waiters);
    fkli_lock_give(&timers->lock);
}

static void run(void *arg)
{
    fkli_timers *timers = arg;
    fkli_thread_adopt(&timers->thread, end_thread, timers);
    fire_until_closed(timers);
    end_thread(timers);
}

static fkl_err start_thread(fkli_timers *timers)
{
    // Relaxed: nothing of the thread is needed but its parker, which is as old as the timers.
    if (fkli_load_relaxed_u32(&timers->started))
        return FKL_OK;
    fkl_err err = FKL_OK;
    fkli_lock_take(&timers->starting);
    if (!fkli_load_relaxed_u32(&timers->started)) {
        // `closed` changes under both locks.
        err = timers->closed ? FKL_ESHUTDOWN : fkli_thread_start(&timers->start, 0);
        if (!err)
            fkli_store_relaxed_u32(&timers->started, 1);
    }
    fkli_lock_give(&timers->starting);
    return err;
}

// Making and stopping.

fkl_err fkli_timers_create(const fkl_allocator *allocator, fkli_timers **out)
{
    fkli_timers *timers = fkli_alloc_zeroed(allocator, sizeof *timers);
    if (!timers)
        return FKL_ENOMEM;
    timers->allocator = allocator;
    timers->start = (fkli_start){run, timers, "fkl timers"};
    fkli_thread_init(&timers->thread, NULL, NULL);
    fkli_lock_init(&timers->starting);
    fkli_lock_init(&timers->lock);
    *out = timers;
    return FKL_OK;
}

void fkli_timers_destroy(fkli_timers *timers)
{
    if (!timers)
        return;
    const fkl_allocator *allocator = timers->allocator;
    for (unsigned chunk = 0; chunk < timers->chunk_count; ++chunk)
        fkli_free(allocator, timers->chunks[chunk], fkli_chunk_len(chunk) * sizeof(entry));
    fkli_lock_fini(&timers->lock);
    fkli_lock_fini(&timers->starting);
    fkli_thread_fini(&timers->thread);
    fkli_free(allocator, timers, sizeof *timers);
}

// Returns whether the thread has ended, or never was; queues the waiter otherwise.
static bool close_and_queue(fkli_timers *timers, fkli_waiter *waiter)
{
    fkli_lock_take(&timers->starting);
    fkli_lock_take(&timers->lock);
    timers->closed = true;
    bool started = fkli_load_relaxed_u32(&timers->started) != 0;
    bool stopped = !started || timers->ended;
    if (!stopped)
        fkli_waitlist_append_locked(&timers->waiters, waiter);
    fkli_lock_give(&timers->lock);
    fkli_lock_give(&timers->starting);
    return stopped;
}

fkl_err fkli_timers_stop(fkli_timers *timers, fkl_time deadline)
{
    fkli_waiter waiter;
    fkli_waiter_init(&waiter, fkli_thread_current());
    if (close_and_queue(timers, &waiter))
        return FKL_OK;
    // The thread cannot be freed meanwhile: only who has stopped the timers may destroy them.
    fkli_unpark(&timers->thread.parker);
    return fkli_waitlist_await(&timers->waiters, &timers->lock, &waiter, deadline, "shutdown");
}

bool fkli_timers_is_current(const fkli_timers *timers)
{
    return fkli_thread_peek() == &timers->thread;
}

bool fkli_timers_are_stopped(fkli_timers *timers)
{
    fkli_lock_take(&timers->lock);
    bool stopped = !fkli_load_relaxed_u32(&timers->started) || timers->ended;
    fkli_lock_give(&timers->lock);
    return stopped;
}

bool fkli_timers_are_firing(fkli_timers *timers)
{
    fkli_lock_take(&timers->lock);
    bool firing = timers->firing;
    fkli_lock_give(&timers->lock);
    return firing;
}

// Arming and cancelling.

void fkli_timer_init(fkli_timer *timer, void (*fire)(fkli_timer *timer, bool due))
{
    timer->fire = fire;
    timer->order = 0;
    timer->place = 0;
}

fkl_err fkli_timer_arm(fkli_timers *timers, fkli_timer *timer, fkl_time deadline)
{
    fkl_err err = start_thread(timers);
    if (err)
        return err;
    fkl_time when = deadline < 0 ? 0 : deadline;
    fkli_lock_take(&timers->lock);
    err = timers->closed ? FKL_ESHUTDOWN : insert_locked(timers, timer, when);
    bool wake = !err && must_wake_locked(timers, when);
    fkli_lock_give(&timers->lock);
    if (wake)
        fkli_unpark(&timers->thread.parker);
    return err;
}

bool fkli_timer_cancel(fkli_timers *timers, fkli_timer *timer)
{
    fkli_lock_take(&timers->lock);
    bool armed = timer->place != 0;
    if (armed)
        remove_locked(timers, timer);
    unlock_and_trim(timers);
    return armed;
}

bool fkli_timer_move(fkli_timers *timers, fkli_timer *timer, fkl_time deadline)
{
    fkl_time when = deadline < 0 ? 0 : deadline;
    fkli_lock_take(&timers->lock);
    bool armed = timer->place != 0;
    if (armed) {
        timer->order = ++timers->last_order;
        settle_locked(timers, timer->place - 1, (entry){when, timer});
    }
    bool wake = armed && must_wake_locked(timers, when);
    fkli_lock_give(&timers->lock);
    if (wake)
        fkli_unpark(&timers->thread.parker);
    return armed;
}

size_t fkli_timers_len(fkli_timers *timers)
{
    fkli_lock_take(&timers->lock);
    size_t len = timers->len;
    fkli_lock_give(&timers->lock);
    return len;
}
