// SPDX-License-Identifier: Apache-2.0
//
// Threads that were started ahead of the actors that they are for. Who has one calls the functions
// of the headers; run_ahead(), and what it calls, is the thread's.
//
// To start a thread, and to wake one, takes longer than all else at the start of an actor. Who
// starts one actor after another gets threads that are there: each, while its parent prepares the
// actor, starts a spare, which is ready when that has ended. Who starts a spare runs no actor yet,
// so the spare has all that a thread of their common parent would have, as of that moment; and what
// threads share it shares, such as the directory. It is for that parent only, which looks whether
// it has changed meanwhile what threads inherit (fkli_traits); and as not all of that can be seen,
// it starts a thread by itself now and then. A thread runs one actor: what that leaves behind,
// thread-local variables for one, meets no other. A spare that nobody wants leaves soon.
//
// Each counts as a thread of the runtime until it is an actor's, which counts by then, or leaves.
// The record is the thread's, which frees it; another uses it from begin() or take() to tell().

#include "ahead.h"

#include "actor.h"

static const fkl_time look_ns = 100000;     // how long a thread looks before it sleeps
static const fkl_time keep_ns = 20000000;   // how long a spare stays; what "one after another" is
static const fkl_time renew_ns = 100000000; // how long spares may descend from one thread

// A thread that was started for a caller is TAKEN from the first. A spare becomes LISTED when who
// starts it is done with that.
enum { NEW, LISTED, TAKEN };

struct fkl_ahead {
    // Constant:
    fkl_runtime *runtime;
    uint64_t parent;    // serial number of the thread that it is for
    fkl_time since;     // when that has started it, or the one that it descends from
    size_t stack_size;  // as it was asked for
    fkli_traits traits; // of a spare, when it was started
    fkli_start own;     // how it began
    // Slept on by the thread; used by who tells it something:
    fkli_parker parker;
    fkli_atomic_u32 state;    // written under the runtime's lock
    fkli_atomic_u32 precedes; // it shall start a spare
    fkli_atomic_ptr start;    // what it shall run, or &cancelled; NULL: it has not been told
    fkli_atomic_u32 told;     // who told it that does not use the record any more
    // Guarded by the runtime's lock while it is LISTED:
    fkl_ahead *next;
};

static const fkli_start cancelled;

// Telling.

static void tell(fkl_ahead *ahead, const fkli_start *start)
{
    // The release pairs with the acquire in await_start(): after that the thread uses what `start`
    // refers to, and frees the record, which fkli_unpark() still needs. `start` itself only says
    // that the thread need not sleep, so it is relaxed; the token that follows orders it before a
    // sleep.
    fkli_store_relaxed_ptr(&ahead->start, (void *)(uintptr_t)start);
    fkli_unpark(&ahead->parker);
    fkli_store_release_u32(&ahead->told, 1);
}

void fkli_ahead_give(fkl_ahead *ahead, const fkli_start *start)
{
    tell(ahead, start);
}

void fkl_ahead_cancel(fkl_ahead *ahead)
{
    if (ahead)
        tell(ahead, &cancelled);
}

// Starting threads.

static void run_ahead(void *arg);

static bool count_in(fkl_runtime *runtime)
{
    fkli_lock_take(&runtime->lock);
    bool stopping = runtime->stopping;
    if (!stopping)
        fkli_add_relaxed_u64(&runtime->threads, 1);
    fkli_lock_give(&runtime->lock);
    return !stopping;
}

static void destroy(fkl_ahead *ahead)
{
    fkli_parker_fini(&ahead->parker);
    fkli_free(&ahead->runtime->allocator, ahead, sizeof *ahead);
}

// Starts a thread whose record begins like this one. Errors: FKL_ENOMEM, FKL_ESHUTDOWN,
// FKL_ETHREAD.
static fkl_err begin(const fkl_ahead *like, fkl_ahead **out)
{
    fkl_runtime *runtime = like->runtime;
    fkl_ahead *ahead = fkli_alloc_zeroed(&runtime->allocator, sizeof *ahead);
    if (!ahead)
        return FKL_ENOMEM;
    *ahead = *like;
    ahead->own = (fkli_start){run_ahead, ahead, NULL};
    fkli_parker_init(&ahead->parker);
    fkl_err err = count_in(runtime) ? FKL_OK : FKL_ESHUTDOWN;
    if (!err) {
        err = fkli_thread_start(&ahead->own, ahead->stack_size);
        if (err)
            fkli_actor_count_out(runtime, true);
    }
    if (err)
        destroy(ahead);
    else
        *out = ahead;
    return err;
}

// Spares.

static void list(fkl_ahead *spare)
{
    fkl_runtime *runtime = spare->runtime;
    fkli_lock_take(&runtime->lock);
    spare->next = runtime->spares;
    runtime->spares = spare;
    // The release pairs with the acquire in await_start(). From here on it may leave.
    fkli_store_release_u32(&spare->state, LISTED);
    fkli_lock_give(&runtime->lock);
}

static void start_spare(const fkl_ahead *before)
{
    fkl_ahead like = {.runtime = before->runtime,
                      .parent = before->parent,
                      .since = before->since,
                      .stack_size = before->stack_size};
    fkl_ahead *spare;
    // If there is none to be had the next start does without.
    if (fkli_traits_take(&like.traits) && begin(&like, &spare) == FKL_OK)
        list(spare);
}

// Relaxed, here and in leave(): the lock orders it, and the thread does not look at TAKEN without.
static void take_out_locked(fkl_ahead **at)
{
    fkli_store_relaxed_u32(&(*at)->state, TAKEN);
    *at = (*at)->next;
}

// A spare of the thread with this serial number, whatever its stack, or NULL.
static fkl_ahead *take(fkl_runtime *runtime, uint64_t parent)
{
    fkli_lock_take(&runtime->lock);
    fkl_ahead **at = &runtime->spares;
    while (*at && (*at)->parent != parent)
        at = &(*at)->next;
    fkl_ahead *spare = *at;
    if (spare)
        take_out_locked(at);
    fkli_lock_give(&runtime->lock);
    return spare;
}

void fkli_ahead_dismiss_locked(fkl_runtime *runtime)
{
    while (runtime->spares) {
        fkl_ahead *spare = runtime->spares;
        take_out_locked(&runtime->spares);
        fkl_ahead_cancel(spare);
    }
}

// Whether it leaves: nobody has taken it.
static bool leave(fkl_ahead *spare)
{
    fkl_runtime *runtime = spare->runtime;
    fkli_lock_take(&runtime->lock);
    bool is_listed = fkli_load_relaxed_u32(&spare->state) == LISTED;
    if (is_listed) {
        fkl_ahead **at = &runtime->spares;
        while (*at != spare)
            at = &(*at)->next;
        take_out_locked(at);
    }
    fkli_lock_give(&runtime->lock);
    return is_listed;
}

// The thread.

static bool is_told(const fkl_ahead *ahead)
{
    return fkli_load_relaxed_ptr(&ahead->start) != NULL; // relaxed: see tell()
}

static bool is_wanted(const fkl_ahead *ahead)
{
    // Relaxed, for the same reason.
    return fkli_load_relaxed_u32(&ahead->precedes) || is_told(ahead);
}

static bool look(const fkl_ahead *ahead, bool (*holds)(const fkl_ahead *ahead))
{
    enum { TURNS = FKLI_SPIN_TURNS(4096), LOOKS_A_TURN = 8 };
    fkl_time until = ahead->runtime->parallel ? fkli_clock_now() + look_ns : 0;
    for (int turn = 0; turn < TURNS && fkli_clock_now() < until; ++turn) {
        for (int i = 0; i < LOOKS_A_TURN; ++i) {
            if (holds(ahead))
                return true;
            fkli_spin_hint();
        }
        fkli_thread_yield(); // to who it waits for, if that has no processor
    }
    return holds(ahead);
}

// Returns whether it holds, else the deadline has passed. No wake-up is lost: who makes it hold
// leaves a token afterwards, and this looks after it has consumed one.
static bool await(fkl_ahead *ahead, bool (*holds)(const fkl_ahead *ahead), fkl_time deadline)
{
    bool it_holds = look(ahead, holds);
    while (!it_holds && fkli_park(&ahead->parker, deadline) != FKLI_PARK_TIMEOUT)
        it_holds = holds(ahead);
    return it_holds || holds(ahead);
}

// Returns what it shall run.
static const fkli_start *await_start(fkl_ahead *ahead)
{
    while (fkli_load_acquire_u32(&ahead->state) == NEW) // pairs with the release in list()
        fkli_thread_yield();
    if (!await(ahead, is_wanted, fkl_after_ns(keep_ns)) && leave(ahead))
        return &cancelled;
    await(ahead, is_wanted, FKL_FOREVER);
    // Also if it has been told meanwhile: so that the next one is in time.
    if (fkli_load_relaxed_u32(&ahead->precedes) &&
        fkli_load_relaxed_ptr(&ahead->start) != &cancelled)
        start_spare(ahead);
    await(ahead, is_told, FKL_FOREVER);
    while (!fkli_load_acquire_u32(&ahead->told)) // pairs with the release in tell()
        fkli_thread_yield();
    return fkli_load_relaxed_ptr(&ahead->start);
}

static void run_ahead(void *arg)
{
    fkl_ahead *ahead = arg;
    fkl_runtime *runtime = ahead->runtime;
    const fkli_start *start = await_start(ahead);
    destroy(ahead);
    fkli_actor_count_out(runtime, true);
    if (start == &cancelled)
        return; // the runtime may be gone
    if (start->name)
        fkli_thread_set_name(start->name);
    start->run(start->arg);
}

// For who wants one.

static bool fits(const fkl_ahead *spare, size_t stack_size, fkl_time now)
{
    return spare->stack_size == stack_size && now - spare->since < renew_ns &&
           fkli_traits_are_mine(&spare->traits);
}

static fkl_ahead *take_fitting(fkl_runtime *runtime, uint64_t parent, size_t stack_size,
                               fkl_time now)
{
    fkl_ahead *spare = take(runtime, parent);
    if (!spare)
        return NULL;
    if (!fits(spare, stack_size, now)) {
        fkl_ahead_cancel(spare);
        return NULL;
    }
    // Relaxed: see tell().
    fkli_store_relaxed_u32(&spare->precedes, 1);
    fkli_unpark(&spare->parker);
    return spare;
}

fkl_err fkl_ahead_start(fkl_runtime *runtime, size_t stack_size, fkl_ahead **out)
{
    if (!runtime || !out)
        return FKL_EINVAL;
    fkli_thread *thread = fkli_thread_current();
    fkl_time now = fkli_clock_now();
    bool again = thread->last_ahead && now - thread->last_ahead < keep_ns;
    thread->last_ahead = now;
    stack_size = stack_size ? stack_size : runtime->config.stack_size;
    *out = again ? take_fitting(runtime, thread->serial, stack_size, now) : NULL;
    if (*out)
        return FKL_OK;
    fkl_ahead like = {
        .runtime = runtime, .parent = thread->serial, .since = now, .stack_size = stack_size};
    fkli_store_relaxed_u32(&like.state, TAKEN);
    fkli_store_relaxed_u32(&like.precedes, again); // both released by the start of the thread
    return begin(&like, out);
}

void fkl_ahead_forget(fkl_runtime *runtime)
{
    fkli_lock_take(&runtime->lock);
    fkli_ahead_dismiss_locked(runtime);
    fkli_lock_give(&runtime->lock);
}

fkl_err fkl_ahead_spawn(fkl_ahead *ahead, const fkl_spawn_options *options, fkl_actor_fn fn,
                        void *arg, fkl_actor **out)
{
    if (!ahead || !fn)
        return FKL_EINVAL;
    return fkli_spawn(ahead->runtime, options, &(fkli_spawn_extra){.ahead = ahead}, fn, arg, out);
}
