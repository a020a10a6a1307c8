// SPDX-License-Identifier: Apache-2.0
//
// The inside of an actor. actor.c starts and ends it, send.c and receive.c do its mail, exit.c
// publishes how it ended, monitor.c and link.c tell
// others. What all actors have is struct fkl_actor; a
// thread actor, which has a thread of its own, embeds it in struct fkli_threaded, a pooled actor in
// struct fkli_pooled.
#ifndef FKLI_ACTOR_H
#define FKLI_ACTOR_H

#include <forkless/actor.h>
#include <forkless/pooled.h>

#include "blob.h"
#include "mailbox.h"
#include "reftable.h"
#include "registry.h"
#include "scheduler.h"
#include "wait.h"

typedef struct fkli_ask fkli_ask;         // ask.h
typedef struct fkli_link fkli_link;       // link.h
typedef struct fkli_monitor fkli_monitor; // monitor.h
typedef struct fkli_ward fkli_ward;       // ward.h
typedef struct fkli_name fkli_name;       // names.h
typedef struct fkli_member fkli_member;   // groups.h

struct fkl_actor {
    // Constant once it is spawned:
    fkl_runtime *runtime;
    fkli_slot *slot; // its word counts the references
    fkl_actor_id id;
    fkli_ward *ward; // its supervisor's; NULL: it has none
    void *data;
    const char *name; // behind the struct, or ""
    fkl_time spawned_at;
    fkli_scope scope;
    fkli_event exited; // set once `exit` is published
    fkli_event ended;  // set once its code runs no more: the thread's end
    // Guarded by the runtime's lock:
    fkl_actor *next;
    fkl_actor *previous;
    // Guarded by lock until `exited` is set, constant afterwards:
    fkli_lock lock;
    int32_t pending_code;
    fkl_exit exit;
    fkl_time exited_at;
    fkli_blob *error; // what exit.error points into, or will
    // Guarded by lock:
    bool pending; // fkl_actor_set_exit() was called
    bool trap_exits;
    // Constant, and here because there is room:
    bool pooled;   // which of the structs below it is in
    uint32_t size; // of the block
    // Guarded by lock:
    int sentinel_read; // -1: not made
    int sentinel_write;
    fkli_monitor *watchers; // monitors on this actor
    fkli_link *links;       // see link.c: guarded by the partner's lock too
    fkli_ask *asks;         // what it is to answer
    fkli_reftable *refs;    // its monitors, and its asks whose outcomes come as messages
    uint64_t last_ref;      // the own thread's: the last number used in `refs`
    fkli_name *registered;  // or NULL
    fkli_member *groups;    // also guarded by the lock of the groups, which is taken second
    fkli_mailbox mailbox;
};

// That the own thread waits for an answer (circle.h). Guarded by the actor's lock.
typedef struct fkli_edge {
    fkli_ask *ask; // NULL: it does not
    uint64_t serial;
    uint64_t seen; // guarded by the runtime's lock of circles
} fkli_edge;

typedef struct fkli_threaded {
    fkl_actor actor; // first
    // Constant once it is spawned:
    fkl_actor_fn fn;
    void *arg;
    fkli_start start;
    void (*at_end)(void *arg);     // before its end is told; NULL for none
    void (*at_release)(void *arg); // with the last reference; NULL for none
    fkli_edge edge;
    // The own thread's record; its parker is woken by anybody who holds a reference.
    fkli_thread thread;
} fkli_threaded;

typedef struct fkli_pooled {
    fkl_actor actor; // first
    fkli_task task;
    // Those of the turn:
    fkl_behaviour behaviour;
    void *state;
    // Read by anybody:
    fkli_atomic_u64 turns; // begun
    fkli_atomic_u64 ran;   // nanoseconds in turns, where these are measured
    uint64_t holder;       // constant: owns the mutexes that the actor takes
    bool started;
    bool finished;
} fkli_pooled;

// The blocks that pooled actors without a name are made of.
extern const fkli_block_kind fkli_actor_blocks;

// What only the runtime itself asks of a spawn.
typedef struct fkli_spawn_extra {
    fkli_ward *ward; // the actor's reference to it passes to the spawn, also if that fails
    // See struct fkli_threaded. The second runs in any case, also after a failed spawn.
    void (*at_end)(void *arg);
    void (*at_release)(void *arg);
    fkl_ahead *ahead; // the thread that it gets on success; NULL: a new one
} fkli_spawn_extra;

// fkl_spawn() with that.
FKL_MUST_CHECK fkl_err fkli_spawn(fkl_runtime *runtime, const fkl_spawn_options *options,
                                  const fkli_spawn_extra *extra, fkl_actor_fn fn, void *arg,
                                  fkl_actor **out);

// The actor whose own thread this is and on whose behalf it runs now, or NULL; `thread` is the
// record of the calling thread.
static inline fkl_actor *fkli_actor_own_of(const fkli_thread *thread)
{
    return thread && thread->actor == thread->own ? thread->own : NULL;
}

fkl_actor *fkli_actor_own(void);

// The id of fkl_self(), FKL_NOBODY outside of actors.
static inline fkl_actor_id fkli_self_id(void)
{
    const fkl_actor *self = fkl_self();
    return self ? self->id : FKL_NOBODY;
}

// Makes an actor look again: at its mailbox, after a push that said so, and at its scope. Threads:
// any that has a reference; also under locks, for it takes none that others hold for long.
static inline void fkli_actor_wake(fkl_actor *actor)
{
    if (actor->pooled)
        fkli_task_ready(actor->runtime->pool, &((fkli_pooled *)actor)->task);
    else
        fkli_unpark(&((fkli_threaded *)actor)->thread.parker);
}

// A zeroed block of `size` bytes that begins with an actor, with the name behind them. Errors:
// FKL_ENOMEM, FKL_EINVAL (the options).
FKL_MUST_CHECK fkl_err fkli_actor_create(fkl_runtime *runtime, const fkl_spawn_options *options,
                                         size_t size, fkl_actor **out);
// Frees an actor that nobody has a reference to.
void fkli_actor_destroy(fkl_actor *actor);
// The same for one that was never enlisted: what it inherited goes back.
void fkli_actor_abandon(fkl_actor *actor);
// Destroys messages that it has left in its mailbox, which counted them; they are dead letters.
// Threads: any that has a reference, without locks.
void fkli_actor_drop(fkl_actor *actor, fkl_msg *chain);
// Drops what its consumer has taken from the mailbox, and says that its code runs no more. Threads:
// its own, after its exit is published.
void fkli_actor_end(fkl_actor *actor);
// Enters the actor into the runtime, with `refs` references and the name that the options say.
// Errors: FKL_ESHUTDOWN, FKL_ELIMIT, FKL_ENOMEM, FKL_EEXIST, FKL_EINVAL.
FKL_MUST_CHECK fkl_err fkli_actor_enlist(fkl_runtime *runtime, fkl_actor *actor,
                                         const fkl_spawn_options *options, uint32_t refs);
// Ends an actor that was enlisted, with `refs` references, and cannot start.
void fkli_actor_abort_start(fkl_actor *actor, uint32_t refs);
// The last thing that an actor does with the runtime. `was_started`: not after a failed start.
void fkli_actor_count_out(fkl_runtime *runtime, bool was_started);

// Asks it to stop and wakes it. Threads: any that has a reference, or the runtime's lock.
void fkli_actor_request_stop(fkl_actor *actor);

// Adds an event about an actor to its runtime's trace, where that is on; see trace.h for `other`,
// `number` and `what`. Threads: any.
void fkli_actor_trace_slow(const fkl_actor *actor, fkli_trace_kind kind, uint64_t other,
                           uint64_t number, const char *what);

static inline void fkli_actor_trace(const fkl_actor *actor, fkli_trace_kind kind, uint64_t other,
                                    uint64_t number, const char *what)
{
    if (fkli_trace_on(&actor->runtime->tracer))
        fkli_actor_trace_slow(actor, kind, other, number, what);
}

// Whether its exit is published while its code still runs.
static inline bool fkli_actor_is_orphan(const fkl_actor *actor)
{
    return fkli_event_is_set(&actor->exited) && !fkli_event_is_set(&actor->ended);
}

// Adds what its mailbox has counted to a runtime's totals. Threads: any, as below.
void fkli_actor_add_counters(const fkl_actor *actor, fkl_counters *total);

// What it does now, for fkl_runtime_running(): a static text. Threads: any, as above.
const char *fkli_actor_where(const fkl_actor *actor);
// How long a thread actor has waited until `now`, in nanoseconds. Threads: any, as above.
int64_t fkli_actor_waited(const fkl_actor *actor, fkl_time now);

#endif
