// SPDX-License-Identifier: Apache-2.0
//
// The groups of the actors of one runtime.
#ifndef FKLI_GROUPS_H
#define FKLI_GROUPS_H

#include <forkless/group.h>

// Leaves all groups of an actor whose exit is published.
void fkli_groups_leave(fkl_actor *actor);

#endif
