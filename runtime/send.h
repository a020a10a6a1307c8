// SPDX-License-Identifier: Apache-2.0
//
// Sending in somebody else's name: what send.c does for messages that were made earlier.
#ifndef FKLI_SEND_H
#define FKLI_SEND_H

#include "actor.h"

// Makes sure that a message can be sent. Errors: FKL_EINVAL: it is a system message.
FKL_MUST_CHECK fkl_err fkli_msg_prepare(fkl_msg *msg);
// Writes the sender and traces the sending.
void fkli_msg_sign(fkl_msg *msg, const fkl_actor *to);
// As fkl_actor_send() and, where fkli_actor_waits_when_full(), fkl_actor_send_until() of a message
// that is signed and no request.
FKL_MUST_CHECK fkl_err fkli_actor_post(fkl_actor *to, fkl_msg *msg);
FKL_MUST_CHECK fkl_err fkli_actor_post_until(fkl_actor *to, fkl_msg *msg, fkl_time deadline);
bool fkli_actor_waits_when_full(const fkl_actor *actor);
// The actor with this id, retained, dead or alive. Errors: FKL_ENOACTOR: `msg` counts as sent to it
// and is a dead letter.
FKL_MUST_CHECK fkl_err fkli_actor_to(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg,
                                     fkl_actor **out);
// As fkl_send(), but msg->sender stays as it is, and the message is consumed in any case.
fkl_err fkli_deliver(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg);
// Destroys a message that a send refused with this error, where nobody could send it again. What a
// full mailbox refused counts as sent and dropped, and is a dead letter.
void fkli_actor_lose(fkl_actor *to, fkl_msg *msg, fkl_err refused);

// Destroys messages that a full mailbox gave up, as dead letters; they have been counted.
void fkli_actor_discard(fkl_actor *to, fkl_msg *chain);

// Joins a sending and a receipt in the trace. An address comes again only after its receipt.
static inline uint64_t fkli_msg_trace_number(const fkl_msg *msg)
{
    return (uint64_t)(uintptr_t)msg;
}

#endif
