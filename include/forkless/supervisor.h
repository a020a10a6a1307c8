// SPDX-License-Identifier: Apache-2.0
//
// Supervisors: actors that start other actors, their children, restart those that fail, and end
// them in reverse order. A supervisor is an actor with a thread of its own: it can be monitored,
// linked, joined, stopped, and be the child of another supervisor. It takes no messages from users;
// what it is asked is asked with the functions below. docs/supervision.md is the guide.
//
// Incarnations. Each start of a child is a new actor with a new id. It is started only after the
// code of the one before has ended, so two of them never run at the same time. A name passes on.
// Messages that the old one had not received are what the new one receives first, in their order,
// before all others; the message that was being handled when it ended was received and is gone, and
// requests that it had not answered fail. Who sends to a name while nobody has it is told so.
#ifndef FORKLESS_SUPERVISOR_H
#define FORKLESS_SUPERVISOR_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/pooled.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// Whom a supervisor restarts when one child fails.
typedef enum fkl_strategy {
    FKL_ONE_FOR_ONE = 0, // that child
    FKL_ONE_FOR_ALL = 1, // all children: the others are stopped first, in reverse order
    FKL_REST_FOR_ONE = 2 // that child and those that were added after it, likewise
} fkl_strategy;

// When the end of a child is a failure. What the supervisor stopped itself has not failed.
typedef enum fkl_restart {
    FKL_RESTART_PERMANENT = 0, // always
    FKL_RESTART_TRANSIENT = 1, // when the reason is KILLED or ERROR
    FKL_RESTART_TEMPORARY = 2  // never, and it is not started again with others either
} fkl_restart;

// max_restarts of a supervisor that never gives up, and of one that does at the first failure.
#define FKL_RESTARTS_UNLIMITED INT32_MAX
#define FKL_RESTARTS_NONE (-1)
// Otherwise at most this.
#define FKL_RESTARTS_MAX 1000000

// stop_ns of a child that is killed without being asked to stop.
#define FKL_STOP_AT_ONCE (-1)

typedef struct fkl_child_spec fkl_child_spec;

// Zero-initialise and set what differs. Copied, with all that it points to but `arg`s.
typedef struct fkl_supervisor_options {
    fkl_strategy strategy;
    // More than `max_restarts` failures within `period_ns` end the supervisor: it shuts its
    // children down and ends with reason ERROR, code 1 and a failure (failure.h) of type
    // "supervisor_gave_up". Failed starts count too. Defaults: 3 in 5 s.
    int32_t max_restarts;
    int64_t period_ns;
    // How long a failed child waits before it is started again: `backoff_ns` at first, twice as
    // long each further time, at most `backoff_max_ns`; from the beginning again once a child has
    // lived for `period_ns`. Each delay is shortened at random by up to `jitter_percent`, by a
    // generator that starts from `seed`. Defaults: no delay; at most 30 s; no jitter.
    int64_t backoff_ns;
    int64_t backoff_max_ns;
    uint32_t jitter_percent; // 0 to 100
    uint64_t seed;
    // Children are asked to stop one after the other, each when those started after it have ended.
    // This asks all of them at once, for many children that do not need each other.
    bool stop_together;
    // Started in this order by the supervisor's start.
    const fkl_child_spec *children;
    size_t child_count;
} fkl_supervisor_options;

// What a child is and how it is treated. Zero-initialise and set what differs.
struct fkl_child_spec {
    // Unique among the supervisor's children. NULL: the child is known by its number only.
    const char *id;
    // How each incarnation is spawned. `name` NULL means the id; with `register_as` each of them
    // has that name before its code runs; `link` must not be set.
    fkl_spawn_options spawn;
    // What it runs; exactly one is given: a function in a thread of its own, a pooled actor's
    // behaviour, or a supervisor with children of its own.
    fkl_actor_fn fn;
    const fkl_behaviour *behaviour;
    const fkl_supervisor_options *supervisor;
    // What the function gets, or the behaviour as its state, unless there is `prepare`.
    void *arg;
    // Makes what one incarnation gets, so that each begins afresh; a failure is a failed start. The
    // incarnation frees it: the function before it returns, or the behaviour's `finish`.
    // `discard` takes it back when the incarnation could not be started. Both run in the thread of
    // the supervisor, which is deaf meanwhile.
    fkl_err (*prepare)(void *arg, void **state);
    void (*discard)(void *arg, void *state);
    fkl_restart restart;
    // A child that is to end is asked to stop; when it has not ended after `stop_ns` it is killed;
    // when its code still runs after another `kill_ns` it is an orphan, which is logged and counted
    // and waited for no longer. Defaults: 5 s each; of a supervisor FKL_FOREVER, since it has
    // limits for its own children.
    int64_t stop_ns;
    int64_t kill_ns;
    // Drops what an incarnation had not received, instead of passing it on.
    bool drop_messages;
    // A child that has ended and is not restarted is removed. This keeps it in the list, so that
    // fkl_supervisor_restart() can start it again; so does a restart of its group, unless it is
    // temporary.
    bool keep_when_done;
};

// Names a child for as long as the supervisor lives: numbers go up in the order of the additions
// and are never used again. 0 names none.
typedef uint64_t fkl_child;

// Why a supervisor did not start.
typedef struct fkl_start_failure {
    fkl_err err;
    char child[120]; // whose start failed: ids, or #number, from the top, as in "web/cache/#2"
} fkl_start_failure;

// Starts a supervisor and its children, and waits until all of them have started; if one cannot be,
// those before it are shut down in reverse order, the supervisor ends, and `failure` (may be NULL)
// says which and why; the exit record says so too, as a failure of type "supervisor_start" whose
// code is the error. `spawn` (may be NULL) is for the supervisor itself; its default stack has
// 128 KiB.
// Ownership: `*out` is a reference for the caller to release. Releasing it ends nothing: stop the
// supervisor with fkl_actor_stop().
// Threads: any but a pooled actor's turn. Blocks: until the deadline; then, as on every error, the
// supervisor has been asked to stop.
// Errors: FKL_EINVAL (a specification contradicts itself), FKL_EEXIST (two children have one id),
// FKL_ENOMEM, FKL_ETHREAD, FKL_ELIMIT, FKL_ESHUTDOWN; what the start of a child or its `prepare`
// gave; FKL_ENOACTOR (it was killed meanwhile); FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR,
// FKL_EPOOLED.
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_start_until(fkl_runtime *runtime,
                                                          const fkl_spawn_options *spawn,
                                                          const fkl_supervisor_options *options,
                                                          fkl_time deadline, fkl_actor **out,
                                                          fkl_start_failure *failure);

// The three below hand a request to the supervisor and wait until it is done. The supervisor goes
// on with it after the deadline, and after every other end of the wait; FKL_NO_WAIT only hands it
// over, which a pooled actor's turn may do as well.
// Threads: any. Blocks: until the deadline.
// Errors of all three: FKL_ETYPE (not a supervisor), FKL_ENOACTOR (the supervisor has ended or is
// about to), FKL_ENOMEM (nothing was handed over), FKL_EDEADLK (called in the supervisor's own
// thread), FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR, FKL_EPOOLED.

// Adds a child behind the others and starts it. While a group is restarting it is started with that
// group. `out` may be NULL.
// Errors: FKL_EINVAL, FKL_EEXIST (the id is taken); those of the start: it has not been added then.
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_add_until(fkl_actor *supervisor,
                                                        const fkl_child_spec *spec,
                                                        fkl_time deadline, fkl_child *out);

// Ends a child and removes it. Errors: FKL_ENOACTOR (no such child); FKL_ETIMEDOUT also when it was
// removed although its code still runs, as an orphan.
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_remove_until(fkl_actor *supervisor, fkl_child child,
                                                           fkl_time deadline);

// Ends the present incarnation, if there is one, and starts the next at once, whatever `restart`
// says; it counts as no failure. A start that fails is tried again as after a failure.
// Errors: FKL_ENOACTOR (no such child); what the start gave.
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_restart_until(fkl_actor *supervisor, fkl_child child,
                                                            fkl_time deadline);

typedef enum fkl_child_state {
    FKL_CHILD_WAITING = 0,  // to be started: its turn, or its time, has not come
    FKL_CHILD_STARTING = 1, // a supervisor whose own children are being started
    FKL_CHILD_RUNNING = 2,
    FKL_CHILD_STOPPING = 3, // ending, or it has ended and its thread has not yet
    FKL_CHILD_DONE = 4      // ended, not to be restarted (keep_when_done)
} fkl_child_state;

// One row about a child.
typedef struct fkl_child_info {
    fkl_child child;
    char id[40];   // cut to fit, always terminated; "" for none
    char name[40]; // that its incarnations are registered as, likewise
    fkl_child_state state;
    fkl_actor_id actor; // of the incarnation that has not ended, or FKL_NOBODY
    bool orphan;        // that one was killed and its code still runs
    uint64_t starts;    // incarnations so far
    uint64_t failures;  // ends, and failed starts, that counted as such
    int64_t delay_ns;   // before the latest or next restart
    bool has_ended;     // whether there was an incarnation before; if so:
    fkl_exit_reason last_reason;
    int32_t last_code;
} fkl_child_info;

// Writes up to `capacity` rows about the children whose numbers are above `after`, in their order,
// and how many there were to `count`. For large numbers of children read page by page. A snapshot:
// a child that has just begun to run may still be shown as WAITING.
// Threads: any. Blocks: never (a short lock). Errors: FKL_ETYPE.
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_children(const fkl_actor *supervisor, fkl_child after,
                                                       fkl_child_info *rows, size_t capacity,
                                                       size_t *count);

// About one child, by number or by id. O(1). Threads, Blocks: as above. Errors: FKL_ETYPE,
// FKL_ENOACTOR (no such child).
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_child(const fkl_actor *supervisor, fkl_child child,
                                                    fkl_child_info *out);
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_find(const fkl_actor *supervisor, const char *id,
                                                   fkl_child_info *out);

typedef struct fkl_supervisor_counts {
    uint64_t children; // by state:
    uint64_t waiting;
    uint64_t starting;
    uint64_t running;
    uint64_t stopping;
    uint64_t done;
    // Since the supervisor's start:
    uint64_t starts;        // incarnations
    uint64_t failures;      // ends and failed starts that counted against max_restarts
    uint64_t failed_starts; // among them
    uint64_t orphans;       // incarnations that did not end within their limits
} fkl_supervisor_counts;

// Threads: any. Blocks: never. Errors: FKL_ETYPE.
FKL_API FKL_MUST_CHECK fkl_err fkl_supervisor_count(const fkl_actor *supervisor,
                                                    fkl_supervisor_counts *out);

FKL_END_DECLS

#endif
