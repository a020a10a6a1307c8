// SPDX-License-Identifier: Apache-2.0
//
// The groups of the actors of one runtime.
#ifndef FKLI_GROUPS_H
#define FKLI_GROUPS_H

#include <forkless/group.h>

typedef struct fkli_groups fkli_groups;

// `allocator` outlives the table. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_groups_create(const fkl_allocator *allocator, fkli_groups **out);
// No group has a member any more. NULL is allowed.
void fkli_groups_destroy(fkli_groups *groups);

// Leaves all groups of an actor whose exit is published.
void fkli_groups_leave(fkl_actor *actor);

#endif
