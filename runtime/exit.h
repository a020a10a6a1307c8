// SPDX-License-Identifier: Apache-2.0
//
// Publishing how an actor ended: once, whoever comes first.
#ifndef FKLI_EXIT_H
#define FKLI_EXIT_H

#include "actor.h"

// Publishes what fkl_actor_set_exit() or the return of the function say. Threads: the actor's own.
bool fkli_exit_publish_return(fkl_actor *actor);

// What is left of the exit when the last reference goes.
void fkli_exit_fini(fkl_actor *actor);

#endif
