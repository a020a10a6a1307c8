// SPDX-License-Identifier: Apache-2.0
//
// The inside of a supervisor. supervisor.c is what users call; the rest runs in the supervisor's
// own thread: supervise.c is its loop and decides what an event means, request.c does what users
// ask for, child.c starts and ends one incarnation, sequence.c starts and stops many in order.
//
// The thread never waits for one thing alone. It sleeps on its parker; whoever has something for it
// puts that into a list under the supervisor's lock and wakes it, and it then looks at everything:
// the request to stop, notices of children, requests of users, and what is due.
#ifndef FKLI_SUPERVISOR_H
#define FKLI_SUPERVISOR_H

#include "children.h"
#include "restart.h"
#include "ward.h"

typedef struct fkli_supervisor fkli_supervisor;

// Room for what a child is called in texts: its id, cut, or #number.
#define FKLI_CHILD_LABEL 44

// One start of a child.
struct fkli_incarnation {
    fkli_ward ward; // first
    // The actor's, the supervisor's while it minds this incarnation, the list of notices'.
    fkli_atomic_u32 refs;
    fkli_supervisor *supervisor; // retained
    // Guarded by the supervisor's lock:
    fkli_child *child; // NULL: the supervisor minds it no longer
    uint32_t news;     // events not looked at yet; not 0: it is in the list of notices
    fkli_incarnation *next_notice;
    // The supervisor's thread:
    uint32_t seen; // events looked at
};

typedef enum fkli_request_kind {
    FKLI_REQUEST_ADD,
    FKLI_REQUEST_REMOVE,
    FKLI_REQUEST_RESTART
} fkli_request_kind;

// What a user asks for. In one list at a time: the supervisor's or a child's.
struct fkli_request {
    fkli_atomic_u32 refs; // the user's and the supervisor's
    const fkl_allocator *allocator;
    fkli_request_kind kind;
    fkl_child number;      // of the child; FKLI_REQUEST_ADD: an answer
    fkli_child_plan *plan; // FKLI_REQUEST_ADD: until the supervisor takes it
    fkli_request *next;
    fkl_err result; // constant once `done` is set
    fkli_event done;
};

// What is being started or stopped in order. STARTING goes up from the first child that is
// concerned, STOPPING comes down to it.
typedef enum fkli_stage {
    FKLI_STAGE_NONE,
    FKLI_STAGE_STOPPING,
    FKLI_STAGE_DELAY,
    FKLI_STAGE_STARTING
} fkli_stage;

typedef struct fkli_sequence {
    fkli_stage stage;
    fkl_child from;     // children with this number or a higher one are concerned
    fkli_child *cursor; // whose turn it is; NULL: the stage is through
    fkl_time due;       // the end of DELAY
} fkli_sequence;

struct fkli_supervisor {
    fkli_atomic_u32 refs; // the actor's and one for each incarnation
    // Constant:
    fkl_runtime *runtime;
    const fkl_allocator *allocator;
    fkli_supervisor_plan *plan; // retained
    // Set once, when its children have started or it has given up; `failure` is constant then.
    fkli_event started;
    fkl_start_failure failure;
    // Guarded by lock:
    fkli_lock lock;
    fkl_actor *self;       // while its thread takes notices
    bool refuses;          // requests: it is ending
    fkli_atomic_u32 ended; // also read without it: it sees to nobody's end any more
    fkli_incarnation *first_notice;
    fkli_incarnation *last_notice;
    fkli_request *first_request;
    fkli_request *last_request;
    // Guarded by lock where others look (see children.h), else the thread's own:
    fkli_children children;
    fkl_supervisor_counts counts; // `children` and those by state are kept up to date
    // The thread's own:
    fkli_intensity intensity;
    fkli_backoff backoff;
    fkli_sequence sequence;
    fkli_incarnation *at_hand; // its news are being looked at; with a reference
    bool initial;              // it has not started completely yet
    bool ending;               // all children are being stopped
    bool finished;
    bool gave_up; // because of too many failures
    char last_failed[FKLI_CHILD_LABEL];
};

// supervisor.c

// The supervisor whose actor this is, or NULL.
fkli_supervisor *fkli_supervisor_of(const fkl_actor *actor);
// A supervisor without a thread. Takes over the reference to `plan` in any case. Errors:
// FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_supervisor_create(fkl_runtime *runtime, fkli_supervisor_plan *plan,
                                              fkli_supervisor **out);
// Gives it an actor, which takes over the reference to `supervisor` in any case, and that to `ward`
// (NULL for none). Errors: those of fkl_spawn().
FKL_MUST_CHECK fkl_err fkli_supervisor_spawn(fkli_supervisor *supervisor,
                                             const fkl_spawn_options *options, fkli_ward *ward,
                                             fkl_actor **out);
fkli_supervisor *fkli_supervisor_retain(fkli_supervisor *supervisor);
void fkli_supervisor_release(fkli_supervisor *supervisor);

// request.c: all in the supervisor's thread.

enum { FKLI_ADDS = 1u << FKLI_REQUEST_ADD, FKLI_REMOVES = 1u << FKLI_REQUEST_REMOVE };
enum { FKLI_RESTARTS = 1u << FKLI_REQUEST_RESTART };
enum { FKLI_ALL = FKLI_ADDS | FKLI_REMOVES | FKLI_RESTARTS };

// The next one that a user has handed over, or NULL.
fkli_request *fkli_request_next(fkli_supervisor *supervisor);
void fkli_request_do(fkli_supervisor *supervisor, fkli_request *request);
// Answers one and drops the supervisor's reference to it.
void fkli_request_answer(fkli_request *request, fkl_err result);
// Takes those of some kinds from a child. What they are told must be so when they are answered; so
// they are taken before, as the child may be gone then, and answered after.
fkli_request *fkli_requests_take(fkli_child *child, unsigned kinds);
void fkli_requests_answer(fkli_request *chain, fkl_err result);

// supervise.c: all in the supervisor's thread.

// The function of the actor.
void fkli_supervisor_main(fkl_actor *self, void *arg);
// The thread ends, perhaps out of order: answers what is open, stops what still runs.
void fkli_supervisor_close(void *arg);
// Makes a child of a plan, whose reference it takes over on success. Errors: FKL_ENOMEM,
// FKL_EEXIST.
FKL_MUST_CHECK fkl_err fkli_supervise_add(fkli_supervisor *supervisor, fkli_child_plan *plan,
                                          fkli_child **out);
// Removes a child, lets go of what still runs of it, and answers with `result` who wanted that.
void fkli_supervise_remove(fkli_supervisor *supervisor, fkli_child *child, fkl_err result);
// Starts a child whose turn it is; a failure is dealt with. Returns whether it has been started.
bool fkli_supervise_start(fkli_supervisor *supervisor, fkli_child *child);
// All children have been started for the first time.
void fkli_supervise_started(fkli_supervisor *supervisor);

// sequence.c: all in the supervisor's thread.

// Starts all children.
void fkli_sequence_start(fkli_supervisor *supervisor);
// Stops the children from number `from` on, and starts them again, not before `due`. Joins a
// sequence that is under way.
void fkli_sequence_restart(fkli_supervisor *supervisor, fkl_child from, fkl_time due);
// Stops all children for good.
void fkli_sequence_end(fkli_supervisor *supervisor);
// Does what can be done now. Returns whether it wants to be called again before a sleep.
FKL_MUST_CHECK bool fkli_sequence_advance(fkli_supervisor *supervisor, fkl_time now);
// When it wants to be called at the latest.
fkl_time fkli_sequence_due(const fkli_supervisor *supervisor);
// Whether the sequence will still come to this child and start it.
bool fkli_sequence_will_start(const fkli_supervisor *supervisor, const fkli_child *child);
// `child` is about to be removed.
void fkli_sequence_forget(fkli_supervisor *supervisor, const fkli_child *child);

// child.c: in the supervisor's thread unless it says otherwise.

void fkli_child_label(const fkli_child *child, char label[FKLI_CHILD_LABEL]);
// What a supervisor is called in texts.
const char *fkli_supervisor_label(const fkli_supervisor *supervisor);
void fkli_child_set_state(fkli_supervisor *supervisor, fkli_child *child, fkl_child_state state);
// Makes the next incarnation; the state is then RUNNING, or STARTING for a supervisor. Errors:
// those of the spawn and of `prepare`; FKL_ETIMEDOUT: the code of the last one still runs.
FKL_MUST_CHECK fkl_err fkli_child_start(fkli_supervisor *supervisor, fkli_child *child);
// Asks a running child to stop.
void fkli_child_stop(fkli_supervisor *supervisor, fkli_child *child);
// A limit of a child in the state STOPPING is over: kills it, or says that it is an orphan now.
FKL_MUST_CHECK bool fkli_child_over_limit(fkli_supervisor *supervisor, fkli_child *child);
// Takes note of events; the state is STOPPING from the exit on. Returns whether the incarnation has
// ended completely and is to be buried.
FKL_MUST_CHECK bool fkli_child_note(fkli_supervisor *supervisor, fkli_incarnation *incarnation,
                                    uint32_t news);
// Keeps what is to be known of an incarnation that has ended, and lets go of it.
void fkli_child_bury(fkli_supervisor *supervisor, fkli_child *child);
// Lets go of an incarnation whose code still runs, if there is one.
void fkli_child_let_go(fkli_supervisor *supervisor, fkli_child *child);
// Drops the messages that no incarnation will receive.
void fkli_child_drop_estate(fkli_supervisor *supervisor, fkli_child *child);

// The next incarnation of which there is news, with a reference, and the news; NULL for none.
fkli_incarnation *fkli_incarnation_next(fkli_supervisor *supervisor, uint32_t *news);
void fkli_incarnation_release(fkli_incarnation *incarnation);

#endif
