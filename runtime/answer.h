// SPDX-License-Identifier: Apache-2.0
//
// Answers that are sent to the asker's mailbox, because it does not wait for them.
#ifndef FKLI_ANSWER_H
#define FKLI_ANSWER_H

#include "ask.h"

// Tells the asker of a decided ask that is by_message: by `reply`, or by a message of its own where
// that is NULL. Threads: the one that decided it, with a reference.
void fkli_answer_send(fkli_ask *ask, fkl_msg *reply);

// An FKL_MSG_REPLY has been taken from the mailbox of `actor`; returns whether it is to be handed
// out. The second tells before it is taken. Threads: the actor's own.
bool fkli_answer_received(fkl_actor *actor, const fkl_msg *msg);
bool fkli_answer_is_over(const fkl_msg *msg);

// Makes an FKL_MSG_REPLY that was received an ordinary message, to be sent on.
void fkli_answer_untie(fkl_msg *msg);

void fkli_answer_free(fkli_ask *ask); // with the last reference

#endif
