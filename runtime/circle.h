// SPDX-License-Identifier: Apache-2.0
//
// Circles: actors that wait for each other's answers.
#ifndef FKLI_CIRCLE_H
#define FKLI_CIRCLE_H

#include "ask.h"

// All are for asks that may circle. The asker, in its own thread, begins and ends to wait:
void fkli_circle_enter(fkli_ask *ask);
void fkli_circle_leave(fkli_ask *ask);

// Nobody is to answer the ask now. Returns its hop from then on. Threads: any.
uint64_t fkli_circle_leave_target(fkli_ask *ask);
// `target` is to answer it, unless the ask has moved on since `hop`. Returns whether a circle may
// have been closed by that: the asker waits. Threads: any.
bool fkli_circle_set_target(fkli_ask *ask, uint64_t hop, const fkl_actor *target);

// Whether the asker waits for somebody who waits, perhaps over others, for the asker. Then it
// counts as waiting no more, so that one in a circle is told; the caller fails the ask. Threads:
// any.
bool fkli_circle_is_closed(fkli_ask *ask);

// Whose answer the actor waits for, FKL_NOBODY for none that is known. Threads: any.
fkl_actor_id fkli_circle_target_of(const fkl_actor *actor);

#endif
