// SPDX-License-Identifier: Apache-2.0
//
// Waiting for the first of several things.
#ifndef FORKLESS_SELECT_H
#define FORKLESS_SELECT_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/channel.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/sync.h>

FKL_BEGIN_DECLS

typedef enum fkl_wait_kind {
    FKL_WAIT_MAILBOX =
        1, // the calling actor's own mailbox has a message, or it drains and is empty
    FKL_WAIT_RECEIVE = 2, // `channel` has a message, or is closed
    FKL_WAIT_SEND = 3,    // `channel` has a free place, or is closed
    FKL_WAIT_EXIT = 4,    // the exit of `actor` is published
    FKL_WAIT_TIME = 5,    // it is `time` or later
    FKL_WAIT_SEM = 6      // the value of `sem` is above 0
} fkl_wait_kind;

typedef struct fkl_wait_item {
    fkl_wait_kind kind;
    union { // which one is said above
        fkl_channel *channel;
        fkl_actor *actor;
        fkl_sem *sem;
        fkl_time time;
    };
} fkl_wait_item;

// Waits until one of `count` items is ready, and says which. Nothing is taken: what is ready stays
// ready until somebody uses it, and another thread may be faster, so the use is best a try_ call
// that may fail, or one with FKL_NO_WAIT. When several are ready each has its turn, call by call.
// The items may be of any number and kind, also the same object more than once; the caller keeps
// what they point to alive.
// Threads: any; with FKL_WAIT_MAILBOX the actor's own. Blocks: until the deadline. Errors:
// FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR; FKL_EINVAL (no items, an unknown kind, NULL instead of an
// object); FKL_EPERM (a mailbox in a thread that must not receive); FKL_ENOMEM (for more than a few
// items); FKL_EPOOLED when a pooled actor would wait.
FKL_API FKL_MUST_CHECK fkl_err fkl_wait_any_until(const fkl_wait_item *items, size_t count,
                                                  fkl_time deadline, size_t *index);

FKL_END_DECLS

#endif
