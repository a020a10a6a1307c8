// SPDX-License-Identifier: Apache-2.0
//
// Monitors: who wants to be told when an actor ends.
#ifndef FKLI_MONITOR_H
#define FKLI_MONITOR_H

#include "actor.h"

// After `actor`'s exit is published: sends every FKL_MSG_DOWN. The monitors that the actor itself
// had end when its table is orphaned (reftable.h). Threads: the one that published.
void fkli_monitors_settle(fkl_actor *actor);

// Makes an FKL_MSG_DOWN of no monitor, about an actor whose exit is published. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_down_create(const fkl_allocator *allocator, const fkl_actor *target,
                                        fkl_msg **out);

// Whether the monitor of an FKL_MSG_DOWN in the mailbox has been ended. Threads: the watcher's own.
bool fkli_monitor_is_over(const fkl_msg *msg);

// An FKL_MSG_DOWN has been taken from the mailbox of `actor`; returns whether it is to be handed
// out (false: its monitor was ended meanwhile). Threads: the actor's own.
bool fkli_monitor_received(fkl_actor *actor, fkl_msg *msg);

#endif
