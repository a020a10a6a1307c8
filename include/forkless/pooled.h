// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors: actors without a thread of their own. What they do is a behaviour, a function that
// is called for each message; a few worker threads, as many as the machine has cores, call those of
// all pooled actors. They cost a few hundred bytes each, so there can be a million.
//
// All else is as with other actors: ids, sending, names, monitors, joins, stop, kill, exit records.
// A pooled actor must not wait, as it would hold up others: a call that would have to returns
// FKL_EPOOLED instead, and never sleeps; calls that need not wait, and the try_ calls, work. An
// interrupt has no effect on it.
//
// A turn is what a worker does for one actor before it goes to the next: some messages, at most
// about a hundred. The functions of one behaviour never run at the same time, and whatever one turn
// wrote is visible in the next, on whichever worker that is. fkl_self() is the actor; but
// thread-local variables, thread ids and signal masks are the worker's.
#ifndef FORKLESS_POOLED_H
#define FORKLESS_POOLED_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// What a behaviour says after a message.
typedef enum fkl_turn {
    FKL_TURN_CONTINUE, // goes on with the next message, now or later
    FKL_TURN_END       // the actor ends, like one whose function returns
} fkl_turn;

// What a pooled actor does. All three run in workers, and must neither wait for long nor end the
// thread.
typedef struct fkl_behaviour {
    // Handles one message, which it owns. FKL_MSG_DOWN and other messages of the system arrive here
    // too. It may take more messages with fkl_try_receive().
    fkl_turn (*receive)(fkl_actor *self, fkl_msg *msg, void *state);
    // NULL, or runs before the first message. It does not run in an actor that has been asked to
    // stop, or killed, before its first turn.
    void (*start)(fkl_actor *self, void *state);
    // NULL, or runs once, last, however the actor ends: frees the state, and may set the exit
    // (fkl_actor_set_exit()) unless it is published.
    void (*finish)(fkl_actor *self, void *state);
} fkl_behaviour;

// Starts an actor that handles its messages with `behaviour`, which is copied; `state` is passed to
// its functions. Of `options`, which may be NULL like `out`, the stack size has no meaning here.
// The first one of a runtime starts the workers (fkl_runtime_config.pool_workers).
// Ownership: `*out` is a reference for the caller to release; `state` passes to the actor on
// success, whose `finish` always runs then. Threads: any. Blocks: never.
// Errors: FKL_EINVAL (no `receive`), FKL_ENOMEM, FKL_ELIMIT, FKL_ESHUTDOWN, FKL_EEXIST (the name to
// register is taken), FKL_ETHREAD (no worker could be started); those of options->link as with
// fkl_spawn().
FKL_API FKL_MUST_CHECK fkl_err fkl_spawn_pooled(fkl_runtime *runtime,
                                                const fkl_spawn_options *options,
                                                const fkl_behaviour *behaviour, void *state,
                                                fkl_actor **out);

// Gives the calling pooled actor another behaviour, copied, and another state, from its next
// message on. `start` of the new one does not run, `finish` of the old one neither: what it would
// free is the caller's again. Threads: a pooled actor in its turn. Blocks: never.
// Errors: FKL_EINVAL (no `receive`), FKL_EPERM (not called in a pooled actor's turn).
FKL_API FKL_MUST_CHECK fkl_err fkl_become(const fkl_behaviour *behaviour, void *state);

FKL_END_DECLS

#endif
