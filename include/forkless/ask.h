// SPDX-License-Identifier: Apache-2.0
//
// Asks: a request to an actor, and its answer. Whoever asks can wait for the answer, or have it
// sent to its mailbox. Either way it learns at once when nobody will answer: because whoever has
// the request ended, destroyed it, or waits for the asker itself.
//
// A request is an ordinary message to whoever receives it, who answers it with fkl_reply(), soon or
// later, from any thread; or sends it on: whoever gets it last is to answer. Destroying it without
// an answer is an answer too (FKL_ENOREPLY).
//
// An answer goes to the asker and nowhere else: waiting for one does not look at the mailbox, and
// one that comes too late is never received by anybody (fkl_counters.late_replies).
#ifndef FORKLESS_ASK_H
#define FORKLESS_ASK_H

#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// Sends `request` to the actor `to` and waits for the answer.
//
// Who waits for an actor that waits, perhaps over others, for it in turn would wait for ever: the
// last one to close such a circle gets FKL_EDEADLK. Only circles of actors' own threads that wait
// in this call are found, and none is reported that is not there: an actor that has helpers, which
// might answer for it, is taken to answer.
//
// Ownership: `request` is consumed, whatever comes of it. `*out` is for the caller to destroy: the
// answer on FKL_OK; an FKL_MSG_DOWN, which says how the actor ended, on FKL_EDOWN; else NULL.
// Threads: any; in a pooled actor's turn it gives FKL_EPOOLED. Blocks: until the deadline, also for
// a place in a full mailbox whose policy is FKL_FULL_WAIT.
// Errors: FKL_EDOWN (whoever had the request ended), FKL_ENOREPLY (it destroyed the request),
// FKL_ENOACTOR (the actor was dead before), FKL_ECLOSED (it drains), FKL_EFULL, FKL_EDEADLK,
// FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR, FKL_ENOMEM, FKL_EPOOLED; FKL_EINVAL for a message that is
// a request already or comes from the runtime.
FKL_API FKL_MUST_CHECK fkl_err fkl_ask_until(fkl_runtime *runtime, fkl_actor_id to,
                                             fkl_msg *request, fkl_time deadline, fkl_msg **out);

// Names an ask of one actor for ever, also when it is over. 0 names none.
typedef uint64_t fkl_ask_ref;

// Sends `request` to the actor `to`, and does not wait: one FKL_MSG_REPLY will arrive in the
// calling actor's mailbox, the answer or why there is none. It needs no place in a bounded mailbox,
// and an actor that drains gets it too.
// Ownership: `request` is consumed, whatever comes of it. Threads: the own one of an actor of
// `runtime`, also in a pooled actor's turn. Blocks: never.
// Errors (no message comes then): FKL_ENOACTOR, FKL_ECLOSED, FKL_EFULL, FKL_ENOMEM, FKL_EINVAL as
// above; FKL_ETHREAD (the runtime's timer thread could not be started), FKL_ESHUTDOWN, FKL_EPERM
// (not an actor's own thread), FKL_ESTOPPED (the caller's exit is published).
FKL_API FKL_MUST_CHECK fkl_err fkl_ask_start(fkl_runtime *runtime, fkl_actor_id to,
                                             fkl_msg *request, fkl_time deadline, fkl_ask_ref *out);

// Ends such an ask: afterwards no FKL_MSG_REPLY of it arrives, also if it is in the mailbox
// already. Returns whether the ask was still there (false: its message had been received, or the
// reference is unknown). Threads: the actor's own. Blocks: never. Costs the same however many there
// are.
FKL_API bool fkl_ask_cancel(fkl_ask_ref ref);

// Reads an FKL_MSG_REPLY: which ask it is the outcome of, and which outcome. FKL_OK: the message is
// the answer, with the payload, codec, tag and sender that it was given. Otherwise it has no
// payload, and `*result` is FKL_EDOWN (then fkl_msg_down() reads how the actor ended),
// FKL_ENOREPLY or FKL_ETIMEDOUT. Errors: FKL_ETYPE for another kind of message.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_reply(const fkl_msg *msg, fkl_ask_ref *ref, fkl_err *result);

// Whether somebody waits for an answer to `msg`: false for what is no request, and for one that was
// answered or whose asker has given up. Threads: whoever has the message.
FKL_API bool fkl_msg_wants_reply(const fkl_msg *msg);

// Answers `request`, which the caller then destroys.
// Ownership: `reply` is consumed on FKL_OK; it stays with the caller otherwise. Threads: whoever
// has the request. Blocks: never. Errors: FKL_ECLOSED (nobody waits any more: the deadline passed,
// the asker ended, or the request was answered; the reply counts as a dead letter); FKL_ETYPE
// (`request` is no request); FKL_EINVAL
// (`reply` is a request itself or comes from the runtime).
FKL_API FKL_MUST_CHECK fkl_err fkl_reply(fkl_msg *request, fkl_msg *reply);

FKL_END_DECLS

#endif
