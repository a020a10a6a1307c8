// SPDX-License-Identifier: Apache-2.0
//
// Mail: sending to actors, receiving in order or by choice, bounded mailboxes, and draining them.
//
// A mailbox holds messages in the order of their arrival, and those of one sender arrive in the
// order in which they were sent. System messages (FKL_MSG_DOWN, FKL_MSG_EXIT) pass all others and
// count in no bound.
#ifndef FORKLESS_MAIL_H
#define FORKLESS_MAIL_H

#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// What becomes of a user message for which a bounded mailbox has no place. Spawn options name it,
// beside the number of places.
typedef enum fkl_full {
    FKL_FULL_WAIT = 0,        // fkl_send_until() waits for a place; fkl_send() gives FKL_EFULL
    FKL_FULL_FAIL = 1,        // both give FKL_EFULL
    FKL_FULL_DROP_NEWEST = 2, // it is destroyed, and FKL_OK returned
    FKL_FULL_DROP_OLDEST = 3  // the oldest one that waits is destroyed in its favour
} fkl_full;

// Sends `msg` to the actor's mailbox.
// Ownership: consumed on FKL_OK; with the caller otherwise. Threads: any. Blocks: never.
// Errors: FKL_ENOACTOR when the actor is dead, FKL_ECLOSED when it drains (both are counted as dead
// letters); FKL_EFULL; FKL_EINVAL for a system message.
FKL_API FKL_MUST_CHECK fkl_err fkl_send(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg);
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_send(fkl_actor *to, fkl_msg *msg);

// The same, but waits for a place where the policy of a full mailbox is FKL_FULL_WAIT. Waiting
// senders are served first come, first served, but a newcomer may pass them while a place is free.
// Blocks: until the deadline. Errors: also FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR; FKL_EDEADLK when
// an actor would wait for itself to receive; FKL_EPOOLED when a pooled actor would wait.
FKL_API FKL_MUST_CHECK fkl_err fkl_send_until(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg,
                                              fkl_time deadline);
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_send_until(fkl_actor *to, fkl_msg *msg, fkl_time deadline);

// Takes the next message of the calling actor's mailbox; system messages come before user messages,
// each kind in order of arrival.
// Ownership: the caller destroys `*out`. Threads: the actor's own. Blocks: until the deadline.
// Errors: FKL_ETIMEDOUT; FKL_EINTR; FKL_ESTOPPED (also once the actor's exit is published, and when
// it drains and nothing is left); FKL_EPERM (not called from an actor's own thread, or from within
// a match function); FKL_EPOOLED when a pooled actor would wait.
FKL_API FKL_MUST_CHECK fkl_err fkl_receive_until(fkl_time deadline, fkl_msg **out);
FKL_API FKL_MUST_CHECK fkl_err fkl_try_receive(fkl_msg **out); // FKL_EEMPTY instead of blocking

// A point in the calling actor's mail: all messages so far came before it. 0 is before all.
typedef uint64_t fkl_mark;

// The point now. A receive from the latest mark need not look at what waited before it, however
// much that is. Threads: the actor's own; elsewhere the mark is 0. Blocks: never.
FKL_API fkl_mark fkl_receive_mark(void);

// Takes the oldest message for which match(msg, ctx) is true among those that arrived after the
// mark `from`; system messages are offered first. The others stay as they are. No message is
// offered twice in one call. From a mark that is not the latest one the messages before it are
// walked over, but not offered. A NULL `match` takes any.
//
// `match` runs in the calling thread, and must return. It may send and look at the message, but a
// receive within it gives FKL_EPERM, and the message is not its to keep.
// Ownership, Threads, Blocks, Errors: as fkl_receive_until(). When the actor drains, and no message
// that is in the mailbox matches, FKL_ESTOPPED: no user message is let in any more.
FKL_API FKL_MUST_CHECK fkl_err fkl_receive_match_until(fkl_mark from,
                                                       bool (*match)(const fkl_msg *msg, void *ctx),
                                                       void *ctx, fkl_time deadline, fkl_msg **out);
FKL_API FKL_MUST_CHECK fkl_err fkl_try_receive_match(fkl_mark from,
                                                     bool (*match)(const fkl_msg *msg, void *ctx),
                                                     void *ctx,
                                                     fkl_msg **out); // FKL_EEMPTY

// Lets the actor finish what it has: from now on user messages to it are refused (FKL_ECLOSED).
// What is in its mailbox can still be received, system messages and replies that it asked for
// arrive as before, and when nothing is left its receives return FKL_ESTOPPED and a pooled actor
// ends. It is no request to stop: other waits go on. Idempotent; no effect on a dead actor.
// Threads: any. Blocks: never.
FKL_API void fkl_actor_drain(fkl_actor *actor);
// Whether that was called while the actor lived; false once its exit is published.
FKL_API bool fkl_actor_is_draining(const fkl_actor *actor);

// Messages waiting in the mailbox: exact when nobody sends or receives, a snapshot otherwise, and
// never more than a bound allows (system messages and replies come on top of it).
FKL_API size_t fkl_actor_mailbox_len(const fkl_actor *actor);

// The longest that the mailbox has been, as far as it was seen: by its actor whenever it took in
// new messages, and by this call. Without system messages.
FKL_API size_t fkl_actor_mailbox_peak(const fkl_actor *actor);

// The bound, 0 for none, and its policy.
FKL_API size_t fkl_actor_mailbox_capacity(const fkl_actor *actor);
FKL_API fkl_full fkl_actor_mailbox_full(const fkl_actor *actor);

FKL_END_DECLS

#endif
