// SPDX-License-Identifier: Apache-2.0
//
// Threads that were started ahead of the actors that they are for (fkl_ahead_start()).
#ifndef FKLI_AHEAD_H
#define FKLI_AHEAD_H

#include <forkless/actor.h>

#include "platform/platform.h"

// Has the thread run `start`, whose storage is an actor's that counts, and does so until that has
// ended. The caller does not have `ahead` any more. Threads: who has it.
void fkli_ahead_give(fkl_ahead *ahead, const fkli_start *start);

// Lets the spare threads of a runtime end. Threads: any, with the runtime's lock.
void fkli_ahead_dismiss_locked(fkl_runtime *runtime);

#endif
