// SPDX-License-Identifier: Apache-2.0
//
// Thread records, scopes, waiter lists and events (see wait.h). Waiting runs in the thread that
// waits; stopping, interrupting and waking in any.
//
// Why no wake-up is lost: whoever wants a thread to look again first writes what it shall see (a
// flag, `popped`) and then leaves a token in its parker; the thread looks after it has consumed a
// token and before it sleeps. A token cannot be consumed by the wrong wait for long, because every
// wait looks at its own condition again.

#include "wait.h"

#include <string.h>

FKLI_THREAD_LOCAL fkli_thread *fkli_current_thread;
static FKLI_THREAD_LOCAL fkli_thread foreign_record;
static fkli_atomic_u64 last_serial;

// Thread records.

void fkli_thread_init(fkli_thread *thread, fkl_actor *actor, fkli_scope *scope)
{
    memset(thread, 0, sizeof *thread);
    fkli_parker_init(&thread->parker);
    thread->actor = actor;
    thread->scope = scope;
    thread->own = actor;
    thread->own_scope = scope;
    thread->serial = fkli_thread_new_serial();
    thread->holder = thread->serial;
}

// Relaxed: only that no number comes twice matters.
uint64_t fkli_thread_new_serial(void)
{
    return fkli_add_relaxed_u64(&last_serial, 1) + 1;
}

void fkli_thread_fini(fkli_thread *thread)
{
    fkli_parker_fini(&thread->parker);
}

// A waker that has popped a waiter of this thread may still be on its way into fkli_unpark(). The
// acquire pairs with the release in unpin(): when the count is 0 the wakers are done with the
// record.
static void see_pins_off(fkli_thread *thread)
{
    while (fkli_load_acquire_u32(&thread->pins) != 0)
        fkli_thread_yield();
}

static void end_foreign_thread(void *arg)
{
    fkli_thread *thread = arg;
    fkli_thread_move(thread, NULL, NULL);
    see_pins_off(thread);
    fkli_current_thread = NULL;
    fkli_thread_fini(thread);
}

fkli_thread *fkli_thread_current(void)
{
    if (!fkli_current_thread) {
        fkli_thread_init(&foreign_record, NULL, NULL);
        foreign_record.pins_outlive = !fkli_thread_at_exit(end_foreign_thread, &foreign_record);
        fkli_current_thread = &foreign_record;
    }
    return fkli_current_thread;
}

void fkli_thread_adopt(fkli_thread *thread, void (*at_exit)(void *arg), void *arg)
{
    fkli_thread_at_exit(at_exit, arg);
    fkli_current_thread = thread;
}

void fkli_thread_disown(fkli_thread *thread)
{
    fkli_magazine_close(&thread->magazine);
    fkli_magazine_close(&thread->bodies);
    fkli_thread_at_exit(NULL, NULL);
    see_pins_off(thread);
    fkli_current_thread = NULL;
}

// Scopes.

void fkli_scope_init(fkli_scope *scope, fkli_thread *own)
{
    fkli_store_relaxed_u32(&scope->flags, 0);
    fkli_lock_init(&scope->lock);
    scope->own = own;
    scope->tracer = NULL;
    scope->helpers = NULL;
}

void fkli_scope_fini(fkli_scope *scope)
{
    fkli_lock_fini(&scope->lock);
}

static void join_scope(fkli_thread *thread, fkli_scope *scope)
{
    if (!scope || scope == thread->own_scope)
        return;
    fkli_lock_take(&scope->lock);
    thread->previous_helper = NULL;
    thread->next_helper = scope->helpers;
    if (scope->helpers)
        scope->helpers->previous_helper = thread;
    scope->helpers = thread;
    fkli_lock_give(&scope->lock);
}

static void leave_scope(fkli_thread *thread, fkli_scope *scope)
{
    if (!scope || scope == thread->own_scope)
        return;
    fkli_lock_take(&scope->lock);
    if (thread->next_helper)
        thread->next_helper->previous_helper = thread->previous_helper;
    if (thread->previous_helper)
        thread->previous_helper->next_helper = thread->next_helper;
    else
        scope->helpers = thread->next_helper;
    fkli_lock_give(&scope->lock);
}

void fkli_thread_move(fkli_thread *thread, fkl_actor *actor, fkli_scope *scope)
{
    leave_scope(thread, thread->scope);
    join_scope(thread, scope);
    thread->actor = actor;
    thread->scope = scope;
}

// The release pairs with the acquire of the flags in fkli_wait_cancelled(). A helper that joins
// while this runs is either in the list already, or takes the scope's lock after us and sees the
// flag.
bool fkli_scope_stop(fkli_scope *scope)
{
    if (fkli_or_release_u32(&scope->flags, FKLI_SCOPE_STOP) & FKLI_SCOPE_STOP)
        return false;
    if (scope->own)
        fkli_unpark(&scope->own->parker);
    fkli_lock_take(&scope->lock);
    for (fkli_thread *helper = scope->helpers; helper; helper = helper->next_helper)
        fkli_unpark(&helper->parker);
    fkli_lock_give(&scope->lock);
    return true;
}

void fkli_scope_interrupt(fkli_scope *scope)
{
    fkli_or_release_u32(&scope->flags, FKLI_SCOPE_INTERRUPT);
    if (scope->own)
        fkli_unpark(&scope->own->parker);
}

void fkli_scope_set_ended(fkli_scope *scope)
{
    fkli_or_release_u32(&scope->flags, FKLI_SCOPE_ENDED);
}

bool fkli_scope_has_helpers(fkli_scope *scope)
{
    fkli_lock_take(&scope->lock);
    bool has = scope->helpers != NULL;
    fkli_lock_give(&scope->lock);
    return has;
}

// Waiting.

fkl_err fkli_wait_cancelled(fkli_thread *thread)
{
    fkli_scope *scope = thread->scope;
    if (!scope)
        return FKL_OK;
    // The acquire pairs with the releases in fkli_scope_stop() and fkli_scope_interrupt().
    uint32_t flags = fkli_load_acquire_u32(&scope->flags);
    if (flags & FKLI_SCOPE_STOP)
        return FKL_ESTOPPED;
    if (!(flags & FKLI_SCOPE_INTERRUPT) || scope->own != thread)
        return FKL_OK;
    fkli_and_acquire_u32(&scope->flags, ~FKLI_SCOPE_INTERRUPT);
    return FKL_EINTR;
}

static void trace_wait(fkli_thread *thread, fkl_time since, fkl_time until, const char *where)
{
    fkli_trace_event event = {.kind = FKLI_TRACE_WAIT, .at = since, .until = until, .what = where};
    event.thread = thread->serial;
    if (thread->name)
        fkli_trace_name(&event.where, thread->name);
    fkli_trace_add(thread->scope->tracer, &event);
}

// Relaxed: one writer, and readers want no more than a snapshot.
static void count_wait(fkli_thread *thread, fkl_time since, const char *where)
{
    fkl_time until = fkli_clock_now();
    uint64_t waited = fkli_load_relaxed_u64(&thread->waited) + (uint64_t)(until - since);
    fkli_store_relaxed_u64(&thread->waited, waited);
    fkli_store_relaxed_u64(&thread->waiting, 0);
    if (thread->scope && thread->scope->tracer && fkli_trace_on(thread->scope->tracer))
        trace_wait(thread, since, until, where);
}

fkl_err fkli_wait_park(fkli_thread *thread, fkl_time deadline, const char *where)
{
    if (thread->must_not_wait)
        return FKL_EPOOLED;
    // Relaxed: the text is static, and a snapshot is all that a reader gets.
    fkl_time since = fkli_clock_now();
    fkli_store_relaxed_u64(&thread->waiting, (uint64_t)since);
    fkli_store_relaxed_ptr(&thread->where, (void *)(uintptr_t)where);
    fkli_park_result result = fkli_park(&thread->parker, deadline);
    fkli_store_relaxed_ptr(&thread->where, NULL);
    count_wait(thread, since, where);
    if (result == FKLI_PARK_TIMEOUT)
        return FKL_ETIMEDOUT;
    return result == FKLI_PARK_SIGNAL ? FKL_EINTR : FKL_OK;
}

bool fkli_deadline_passed(fkl_time deadline)
{
    if (deadline == FKL_FOREVER)
        return false;
    return deadline <= 0 || fkli_clock_now() >= deadline;
}

// Waiters.

void fkli_waiter_init(fkli_waiter *waiter, fkli_thread *thread)
{
    waiter->thread = thread;
    waiter->next = NULL;
    waiter->previous = NULL;
    waiter->queued = false;
    fkli_store_relaxed_u32(&waiter->popped, 0);
}

void fkli_waitlist_append_locked(fkli_waitlist *list, fkli_waiter *waiter)
{
    fkli_store_relaxed_u32(&waiter->popped, 0);
    waiter->queued = true;
    waiter->next = NULL;
    waiter->previous = list->last;
    if (list->last)
        list->last->next = waiter;
    else
        list->first = waiter;
    list->last = waiter;
}

void fkli_waitlist_prepend_locked(fkli_waitlist *list, fkli_waiter *waiter)
{
    fkli_store_relaxed_u32(&waiter->popped, 0);
    waiter->queued = true;
    waiter->previous = NULL;
    waiter->next = list->first;
    if (list->first)
        list->first->previous = waiter;
    else
        list->last = waiter;
    list->first = waiter;
}

bool fkli_waitlist_remove_locked(fkli_waitlist *list, fkli_waiter *waiter)
{
    if (!waiter->queued)
        return false;
    if (waiter->previous)
        waiter->previous->next = waiter->next;
    else
        list->first = waiter->next;
    if (waiter->next)
        waiter->next->previous = waiter->previous;
    else
        list->last = waiter->previous;
    waiter->queued = false;
    return true;
}

// The pin keeps the thread's record until the wake is done. It is relaxed because the thread cannot
// see its wait end before the release of `popped` that follows, or the lock that the caller holds.
fkli_wakeup fkli_waitlist_pop_locked(fkli_waitlist *list)
{
    fkli_waiter *waiter = list->first;
    if (!waiter)
        return NULL;
    fkli_waitlist_remove_locked(list, waiter);
    fkli_thread *thread = waiter->thread;
    fkli_add_relaxed_u32(&thread->pins, 1);
    // Pairs with the acquire in fkli_await(). From here on the waiter may be gone.
    fkli_store_release_u32(&waiter->popped, 1);
    return thread;
}

static void unpin(fkli_thread *thread)
{
    fkli_sub_release_u32(&thread->pins, 1); // pairs with the acquire in see_pins_off()
}

void fkli_wake(fkli_wakeup wakeup)
{
    if (!wakeup)
        return;
    fkli_unpark(&wakeup->parker);
    unpin(wakeup);
}

fkl_err fkli_await(fkli_waiter *waiter, fkl_time deadline, const char *where)
{
    fkli_thread *thread = waiter->thread;
    fkl_err err = FKL_OK;
    bool interrupted = false;
    while (!fkli_waiter_is_popped(waiter)) {
        if (err)
            return err;
        err = fkli_wait_cancelled(thread);
        interrupted = err == FKL_EINTR;
        if (!err)
            err = fkli_wait_park(thread, deadline, where);
    }
    // The wait succeeds after all, so the request is left for the next one.
    if (interrupted)
        fkli_or_release_u32(&thread->scope->flags, FKLI_SCOPE_INTERRUPT);
    return FKL_OK;
}

void fkli_waiter_fini(fkli_waiter *waiter)
{
    if (waiter->thread->pins_outlive)
        see_pins_off(waiter->thread);
}

void fkli_waitlist_wake_all_locked(fkli_waitlist *list)
{
    fkli_wakeup wakeup;
    while ((wakeup = fkli_waitlist_pop_locked(list)))
        fkli_wake(wakeup);
}

fkl_err fkli_waitlist_await(fkli_waitlist *list, fkli_lock *lock, fkli_waiter *waiter,
                            fkl_time deadline, const char *where)
{
    fkl_err err = fkli_await(waiter, deadline, where);
    fkli_lock_take(lock);
    bool popped = !fkli_waitlist_remove_locked(list, waiter);
    fkli_lock_give(lock);
    if (popped && err != FKL_EINTR)
        err = FKL_OK;
    fkli_waiter_fini(waiter);
    return err;
}

// Event.

void fkli_event_init(fkli_event *event)
{
    memset(event, 0, sizeof *event);
    fkli_lock_init(&event->lock);
}

void fkli_event_fini(fkli_event *event)
{
    fkli_lock_fini(&event->lock);
}

void fkli_event_set(fkli_event *event)
{
    fkli_store_release_u32(&event->is_set, 1);
}

// A waiter looks at the flag under the lock before it queues; so it is either in the list here, or
// has seen the flag.
void fkli_event_wake(fkli_event *event)
{
    fkli_wakeup wakeup;
    do {
        fkli_lock_take(&event->lock);
        wakeup = fkli_waitlist_pop_locked(&event->waiters);
        fkli_lock_give(&event->lock);
        fkli_wake(wakeup);
    } while (wakeup);
}

bool fkli_event_watch(fkli_event *event, fkli_waiter *waiter)
{
    fkli_lock_take(&event->lock);
    bool is_set = fkli_event_is_set(event);
    if (!is_set)
        fkli_waitlist_append_locked(&event->waiters, waiter);
    fkli_lock_give(&event->lock);
    return is_set;
}

void fkli_event_unwatch(fkli_event *event, fkli_waiter *waiter)
{
    fkli_lock_take(&event->lock);
    fkli_waitlist_remove_locked(&event->waiters, waiter);
    fkli_lock_give(&event->lock);
}

fkl_err fkli_event_wait(fkli_event *event, fkl_time deadline, const char *where)
{
    fkli_thread *thread = fkli_thread_current();
    fkl_err err = fkli_wait_cancelled(thread);
    if (err || fkli_event_is_set(event))
        return err;
    if (fkli_deadline_passed(deadline))
        return FKL_ETIMEDOUT;
    fkli_waiter waiter;
    fkli_waiter_init(&waiter, thread);
    if (fkli_event_watch(event, &waiter))
        return FKL_OK;
    err = fkli_await(&waiter, deadline, where);
    fkli_event_unwatch(event, &waiter);
    fkli_waiter_fini(&waiter);
    // An interrupt has been consumed, so it must be reported; the next wait sees the event.
    return fkli_event_is_set(event) && err != FKL_EINTR ? FKL_OK : err;
}
