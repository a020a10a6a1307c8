// SPDX-License-Identifier: Apache-2.0
//
// What a request and its asker share. ask.c asks, answers, and knows who is to answer; answer.c
// sends answers to mailboxes; circle.c finds those who wait for each other.
#ifndef FKLI_ASK_H
#define FKLI_ASK_H

#include <forkless/ask.h>

#include "actor.h"

struct fkli_ask {
    fkli_tie tie;         // first: a request and an FKL_MSG_REPLY point to it
    fkli_atomic_u32 refs; // such messages, and the asker's side
    fkli_atomic_ptr result;
    // Constant once it is shared:
    fkl_runtime *runtime; // of the actor that is asked first
    fkl_actor *asker;     // retained; NULL: a thread that is no actor's own
    bool by_message;      // the asker does not wait, see answer.c
    bool may_circle;      // it waits in an actor's own thread, for an actor of its runtime
    // Not if by_message: set after `result`.
    fkli_event decided;
    // Whoever has the request:
    fkl_actor *holder; // retained; NULL: nobody whose end would matter
    // Guarded by the holder's lock:
    bool is_held;
    fkli_ask *next_held;
    fkli_ask *previous_held;
    // If may_circle, guarded by the asker's lock:
    uint64_t hop;        // goes up whenever the request leaves somebody
    fkl_actor_id target; // who is to answer now, or FKL_NOBODY
};

static inline fkli_ask *fkli_ask_of(const fkl_msg *msg)
{
    return (fkli_ask *)(void *)msg->tie;
}

// With one reference; `asker` is retained. The rest of `ask` is zeroed.
void fkli_ask_init(fkli_ask *ask, fkl_runtime *runtime, fkl_actor *asker);
void fkli_ask_retain(fkli_ask *ask);
void fkli_ask_release(fkli_ask *ask);

// Whether a message can be made a request, or an answer. Errors: FKL_EINVAL.
FKL_MUST_CHECK fkl_err fkli_ask_check(const fkl_msg *msg);

// Makes `request` one and sends it, waiting for a place in a full mailbox if the asker may wait.
// Either way the message is consumed. After an error the ask is decided, by that error perhaps.
FKL_MUST_CHECK fkl_err fkli_ask_send(fkli_ask *ask, fkl_actor *target, fkl_msg *request,
                                     fkl_time deadline);

// Decides an ask by a failure, unless it was decided before; who decides one that is by_message
// without fkli_ask_fail() sends nothing. Threads: any that has a reference.
bool fkli_ask_decide(fkli_ask *ask, fkl_err err);
// The same, and tells the asker.
void fkli_ask_fail(fkli_ask *ask, fkl_err err);

// What decided it: FKL_OK for an answer, or while it is undecided.
fkl_err fkli_ask_result(const fkli_ask *ask);
// Whose end decided it; NULL for anything but FKL_EDOWN.
const fkl_actor *fkli_ask_ended(const fkli_ask *ask);

// After `actor`'s exit is published: fails what it was to answer. Threads: the one that published.
void fkli_asks_settle(fkl_actor *actor);

// A request changes hands. It leaves whoever is to answer it; nobody is, then.
void fkli_ask_put_down(fkl_msg *request);
// Now `actor` is, whose thread has it; NULL: still nobody.
void fkli_ask_pick_up(fkl_msg *request, fkl_actor *actor);

// The same around a push that hands it over: before it, and after it with what it returned.
typedef struct fkli_passage {
    fkli_ask *ask; // retained in between
    uint64_t hop;
} fkli_passage;

fkli_passage fkli_ask_depart(fkl_msg *request, fkl_actor *to);
FKL_MUST_CHECK fkl_err fkli_ask_arrive(fkli_passage passage, fkl_msg *request, fkl_actor *to,
                                       fkl_err pushed);

#endif
