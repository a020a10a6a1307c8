// SPDX-License-Identifier: Apache-2.0
//
// How threads wait, whatever they wait for: the record of a thread with its parker, the scope whose
// stop and interrupt requests end its waits, and lists of waiters. An actor embeds a scope and the
// record of its own thread; a thread from elsewhere has its record in thread-local storage.
//
// A wait is: look at the condition; queue a waiter under the lock that guards the condition, after
// a second look; fkli_await(); take the waiter out again. Who makes the condition true pops a
// waiter under the same lock and wakes it afterwards. A waiter that was popped but leaves for
// another reason passes the wake on.
#ifndef FKLI_WAIT_H
#define FKLI_WAIT_H

#include <forkless/actor.h>

#include "depot.h"
#include "platform/platform.h"
#include "trace.h"

typedef struct fkli_thread fkli_thread;

// Bits of fkli_scope.flags.
#define FKLI_SCOPE_STOP 1u      // asked to stop; stays
#define FKLI_SCOPE_INTERRUPT 2u // asked to interrupt one wait; the own thread consumes it
#define FKLI_SCOPE_ENDED 4u     // the exit is published; stays

// Whom a request to stop reaches.
typedef struct fkli_scope {
    fkli_atomic_u32 flags;
    fkli_lock lock;
    fkli_thread *own;     // constant; NULL: no thread is the scope's own
    fkli_tracer *tracer;  // constant; NULL: waits are not traced
    fkli_thread *helpers; // guarded by lock
} fkli_scope;

struct fkli_thread {
    fkli_parker parker;
    fkli_atomic_u32 pins;  // wakers that still use this record
    fkli_atomic_ptr where; // static text while it waits, else NULL; read by anybody
    uint64_t serial;       // never used twice
    uint64_t holder;       // owns the mutexes taken now: `serial`, or a pooled actor's number
    const char *name;      // constant while it runs for actors; for the trace, or NULL
    fkl_time last_ahead;   // the thread's: when it last asked for a thread ahead
    // Nanoseconds; written by the thread, read by anybody:
    fkli_atomic_u64 waited;  // in waits that are over
    fkli_atomic_u64 waiting; // when the present one began, 0 for none
    // The thread's own:
    fkl_actor *actor;  // on whose behalf it runs, or NULL
    fkli_scope *scope; // that actor's scope, or NULL
    // The actor whose own thread this is now, and its scope: for a thread actor's thread always,
    // for a worker of the pool during a turn, else NULL.
    fkl_actor *own;
    fkli_scope *own_scope;
    bool must_not_wait;         // a worker in a turn
    fkli_magazine magazine;     // of messages' memory; closed where the thread runs no actors
    fkli_magazine bodies;       // of pooled actors' memory; closed where the thread is no worker
    struct fkli_worker *worker; // the worker of a scheduler that this thread is, or NULL
    bool pins_outlive;          // no hook at the thread's end: every wait sees its pins off
    // Guarded by the lock of the scope whose helper it is:
    fkli_thread *next_helper;
    fkli_thread *previous_helper;
};

// The calling thread's record; made at the first call. Never fails.
fkli_thread *fkli_thread_current(void);
// The same, but NULL where there is none yet.
extern FKLI_THREAD_LOCAL fkli_thread *fkli_current_thread;
static inline fkli_thread *fkli_thread_peek(void)
{
    return fkli_current_thread;
}

// Makes `thread` the record of the calling thread, which was started for a scope of its own.
// `at_exit(arg)` runs if the thread ends without fkli_thread_disown().
void fkli_thread_init(fkli_thread *thread, fkl_actor *actor, fkli_scope *scope);
// A serial number that nobody has had.
uint64_t fkli_thread_new_serial(void);
void fkli_thread_adopt(fkli_thread *thread, void (*at_exit)(void *arg), void *arg);
// Ends that; returns when no waker uses the record any more. fkli_thread_fini() may follow
// anywhere.
void fkli_thread_disown(fkli_thread *thread);
void fkli_thread_fini(fkli_thread *thread);

// Moves the calling thread to another actor and scope (both may be NULL).
void fkli_thread_move(fkli_thread *thread, fkl_actor *actor, fkli_scope *scope);

void fkli_scope_init(fkli_scope *scope, fkli_thread *own);
void fkli_scope_fini(fkli_scope *scope);
// Threads: any; the caller keeps the scope alive. Returns whether this call was the first.
bool fkli_scope_stop(fkli_scope *scope);
void fkli_scope_interrupt(fkli_scope *scope);
void fkli_scope_set_ended(fkli_scope *scope);

// Whether threads other than the own one are in the scope now.
bool fkli_scope_has_helpers(fkli_scope *scope);

static inline bool fkli_scope_has(const fkli_scope *scope, uint32_t flag)
{
    // The acquire pairs with the releases of the setters in wait.c.
    return (fkli_load_acquire_u32(&scope->flags) & flag) != 0;
}

// Whether the calling thread's waits shall end: FKL_OK, FKL_ESTOPPED, or FKL_EINTR, which it
// consumes.
FKL_MUST_CHECK fkl_err fkli_wait_cancelled(fkli_thread *thread);

// Sleeps until somebody unparks the thread: FKL_OK, also for no reason; FKL_ETIMEDOUT; FKL_EINTR
// after a signal; FKL_EPOOLED at once in a thread that must not wait. `where` is a static text for
// fkl_runtime_running().
FKL_MUST_CHECK fkl_err fkli_wait_park(fkli_thread *thread, fkl_time deadline, const char *where);

// Whether `deadline` has passed; no clock is read for FKL_NO_WAIT and FKL_FOREVER.
bool fkli_deadline_passed(fkl_time deadline);

// Waiters.

// Lives on the stack of the thread that waits. Once popped it may be gone at any time.
typedef struct fkli_waiter {
    fkli_thread *thread;
    struct fkli_waiter *next;
    struct fkli_waiter *previous;
    fkli_atomic_u32 popped; // by a waker, which unparks the thread next
    bool queued;            // guarded by the list's lock
} fkli_waiter;

// Guarded by a lock of its owner's, like the functions that end in _locked.
typedef struct fkli_waitlist {
    fkli_waiter *first;
    fkli_waiter *last;
} fkli_waitlist;

// Threads that have been popped and must be woken once the lock is free.
typedef fkli_thread *fkli_wakeup;

void fkli_waiter_init(fkli_waiter *waiter, fkli_thread *thread);
// The last call on a waiter that has been in a list; it is in none any more.
void fkli_waiter_fini(fkli_waiter *waiter);
void fkli_waitlist_append_locked(fkli_waitlist *list, fkli_waiter *waiter);
void fkli_waitlist_prepend_locked(fkli_waitlist *list, fkli_waiter *waiter);
// Takes `waiter` out; false when it has been popped.
bool fkli_waitlist_remove_locked(fkli_waitlist *list, fkli_waiter *waiter);
// Takes the first waiter out; NULL when there is none. The caller must fkli_wake() the result.
FKL_MUST_CHECK fkli_wakeup fkli_waitlist_pop_locked(fkli_waitlist *list);
void fkli_wake(fkli_wakeup wakeup); // NULL is allowed

// Whether it has been popped since it was put into a list.
static inline bool fkli_waiter_is_popped(const fkli_waiter *waiter)
{
    // The acquire pairs with the release in fkli_waitlist_pop_locked().
    return fkli_load_acquire_u32(&waiter->popped) != 0;
}

// Sleeps until `waiter` has been popped: FKL_OK then, else why it must leave: FKL_ETIMEDOUT,
// FKL_ESTOPPED, FKL_EINTR, FKL_EPOOLED. The caller removes the waiter.
FKL_MUST_CHECK fkl_err fkli_await(fkli_waiter *waiter, fkl_time deadline, const char *where);

// For lists whose waiters are all popped at once, for good, by what may be followed by the end of
// the list's owner: so they are woken under its lock.
void fkli_waitlist_wake_all_locked(fkli_waitlist *list);
// Sleeps until `waiter`, which was appended to such a list, has been popped; takes it out otherwise
// and finishes it. `lock` guards the list. A waiter that was popped after a stop or the deadline
// had ended its wait has FKL_OK; an interrupt is reported. Errors: those of fkli_await().
FKL_MUST_CHECK fkl_err fkli_waitlist_await(fkli_waitlist *list, fkli_lock *lock,
                                           fkli_waiter *waiter, fkl_time deadline,
                                           const char *where);

// Event: set once, then all waits for it end.

typedef struct fkli_event {
    fkli_atomic_u32 is_set;
    fkli_lock lock;
    fkli_waitlist waiters;
} fkli_event;

void fkli_event_init(fkli_event *event);
void fkli_event_fini(fkli_event *event);
// In two steps, so that the first can be done under a lock: after fkli_event_set() everybody sees
// it, after fkli_event_wake() nobody sleeps on it.
void fkli_event_set(fkli_event *event);
void fkli_event_wake(fkli_event *event);
// True: it is set, and the waiter is not queued. False: the waiter is queued and popped when the
// event is set; fkli_event_unwatch() ends that, popped or not.
bool fkli_event_watch(fkli_event *event, fkli_waiter *waiter);
void fkli_event_unwatch(fkli_event *event, fkli_waiter *waiter);
FKL_MUST_CHECK fkl_err fkli_event_wait(fkli_event *event, fkl_time deadline, const char *where);

static inline bool fkli_event_is_set(const fkli_event *event)
{
    // The acquire pairs with the release in fkli_event_set().
    return fkli_load_acquire_u32(&event->is_set) != 0;
}

#endif
