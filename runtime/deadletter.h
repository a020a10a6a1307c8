// SPDX-License-Identifier: Apache-2.0
//
// Dead letters: telling the user about messages that nobody will receive.
#ifndef FKLI_DEADLETTER_H
#define FKLI_DEADLETTER_H

#include <forkless/observe.h>

#include "log.h"
#include "platform/platform.h"

// Embedded in a runtime.
typedef struct fkli_dead_letters {
    // Constant:
    void (*handler)(const fkl_dead_letter *letter, void *ctx); // NULL: they are logged
    void *ctx;
    const fkli_log_sink *log;
    // The second (high half) that is being counted and what was logged in it (low half).
    fkli_atomic_u64 window;
    fkli_atomic_u64 hidden; // not logged since the last one that was
} fkli_dead_letters;

// Tells the handler or the log; counts nothing. Threads: any, without locks: the handler is the
// user's code.
void fkli_dead_letter(fkli_dead_letters *letters, const fkl_msg *msg, fkl_actor_id to,
                      fkl_dead_reason reason);

#endif
