// SPDX-License-Identifier: Apache-2.0
//
// Timers: messages that are sent later, once or again and again. A runtime has one thread for all
// of them, started by the first; a million at once are no trouble.
#ifndef FORKLESS_TIMER_H
#define FORKLESS_TIMER_H

#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// Names a timer for ever, also when it is over. 0 names none.
typedef uint64_t fkl_timer_ref;

// Sends `msg` to the actor `to` at the time `when`, or at once if that has passed; in the name of
// the calling actor. Messages to one actor arrive in the order of their times. If the actor is dead
// by then, or its bounded mailbox full and not of a kind that makes room, the message is a dead
// letter. FKL_FOREVER never comes. `out` may be NULL.
// Ownership: consumed on FKL_OK; with the caller otherwise. What is still pending when the runtime
// shuts down is destroyed and does not count as sent. Threads: any, also one that runs a message's
// release function. Blocks: never. Errors: FKL_ENOACTOR (the actor is dead now), FKL_ENOMEM,
// FKL_ETHREAD (the runtime's timer thread could not be started), FKL_ESHUTDOWN, FKL_EINVAL (a
// system message).
FKL_API FKL_MUST_CHECK fkl_err fkl_send_at(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg,
                                           fkl_time when, fkl_timer_ref *out);

// Sends a copy of `msg` (payload, codec and tag) at the time `first` and then every `period_ns`
// nanoseconds, until it is cancelled or finds the actor dead. The times do not drift: the n-th is
// first + n * period_ns. Ticks that are missed, because the machine is busy or slept, are not made
// up for: one late message stands for all of them, and the next comes at its proper time. A tick is
// also left out when there is no memory for the copy, and lost when the mailbox has no place for
// it. Ownership, Threads, Blocks, Errors: as fkl_send_at(); and FKL_EINVAL for a period below 1 or
// a message that is no FKL_CODEC_RAW or FKL_CODEC_MSGPACK, or a request.
FKL_API FKL_MUST_CHECK fkl_err fkl_send_every(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg,
                                              fkl_time first, int64_t period_ns,
                                              fkl_timer_ref *out);

// Ends a timer. True: it had not ended, and its message is destroyed; nothing of it is sent any
// more, except the message of a repeated one that is being sent in this very moment. False: it is
// over, or the reference is unknown; the message of a single one has been sent, or is being sent in
// this moment. Threads: any, as above. Blocks: never.
FKL_API bool fkl_timer_cancel(fkl_runtime *runtime, fkl_timer_ref ref);

// Whether the timer goes on; then `left_ns` takes the nanoseconds to its next message: 0 when it is
// due, FKL_FOREVER for a time that never comes. Threads: any. Blocks: never.
FKL_API bool fkl_timer_left(fkl_runtime *runtime, fkl_timer_ref ref, int64_t *left_ns);

FKL_END_DECLS

#endif
