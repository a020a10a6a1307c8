// SPDX-License-Identifier: Apache-2.0
//
// The names of the actors of one runtime.
#ifndef FKLI_NAMES_H
#define FKLI_NAMES_H

#include <forkless/name.h>

typedef struct fkli_names fkli_names;
typedef struct fkli_name fkli_name;

// `allocator` outlives the table. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_names_create(const fkl_allocator *allocator, fkli_names **out);
// No actor has a name any more. NULL is allowed.
void fkli_names_destroy(fkli_names *names);

// Keeps a name for an actor that nobody knows yet. It is found once it is confirmed, when the actor
// has an id. Errors: those of fkl_register().
FKL_MUST_CHECK fkl_err fkli_name_claim(fkl_actor *actor, const char *text);
void fkli_name_confirm(fkl_actor *actor);

// Takes the actor's name away; the result, which may be NULL, goes to fkli_name_free() once the
// actor's lock is free. Threads: any, with the actor's lock, unless nobody else knows the actor.
FKL_MUST_CHECK fkli_name *fkli_name_take_locked(fkl_actor *actor);
void fkli_name_free(fkl_actor *actor, fkli_name *name);

#endif
