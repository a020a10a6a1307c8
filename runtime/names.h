// SPDX-License-Identifier: Apache-2.0
//
// The names of the actors of one runtime.
#ifndef FKLI_NAMES_H
#define FKLI_NAMES_H

#include <forkless/name.h>

#include <string.h>

typedef struct fkli_name fkli_name;

// The length of a name that an actor or a group may have; 0 for another.
static inline size_t fkli_name_len(const char *text)
{
    size_t len = text ? strnlen(text, FKL_NAME_MAX + 1) : 0;
    return len <= FKL_NAME_MAX ? len : 0;
}

// Keeps a name for an actor that nobody knows yet. It is found once it is confirmed, when the actor
// has an id. Errors: those of fkl_register().
FKL_MUST_CHECK fkl_err fkli_name_claim(fkl_actor *actor, const char *text);
void fkli_name_confirm(fkl_actor *actor);

// Takes the actor's name away; the result, which may be NULL, goes to fkli_name_free() once the
// actor's lock is free. Threads: any, with the actor's lock, unless nobody else knows the actor.
FKL_MUST_CHECK fkli_name *fkli_name_take_locked(fkl_actor *actor);
void fkli_name_free(fkl_actor *actor, fkli_name *name);

#endif
