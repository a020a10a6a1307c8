// SPDX-License-Identifier: Apache-2.0
//
// Sending in somebody else's name: what mail.c does for messages that were made earlier.
#ifndef FKLI_MAIL_H
#define FKLI_MAIL_H

#include "actor.h"

// As fkl_actor_send() and fkl_send(), but msg->sender stays as it is.
FKL_MUST_CHECK fkl_err fkli_actor_post(fkl_actor *to, fkl_msg *msg);
FKL_MUST_CHECK fkl_err fkli_post(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg);

#endif
