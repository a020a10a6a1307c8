// SPDX-License-Identifier: Apache-2.0
//
// Names: at most one for an actor, at most one actor for a name, known in the whole runtime. A name
// is free again the moment that its actor's exit is published, so who has joined an actor may give
// its name to the next. (What fkl_actor_name() tells is not one of these: it only describes.)
#ifndef FORKLESS_NAME_H
#define FORKLESS_NAME_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// Bytes of a name at most; it has one at least.
#define FKL_NAME_MAX 127

// Gives `actor` a name, which is copied. fkl_spawn_options has `register_as`, which does so before
// the actor's function runs. Threads: any. Blocks: never. Errors: FKL_EEXIST (another actor has the
// name, or this one has a name), FKL_ENOACTOR (it is dead), FKL_EINVAL (empty or too long),
// FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_register(fkl_actor *actor, const char *name);

// Frees a name, whosever it is. Threads: any. Blocks: never. Errors: FKL_ENOACTOR (nobody has it).
FKL_API FKL_MUST_CHECK fkl_err fkl_unregister(fkl_runtime *runtime, const char *name);

// Who has the name. Threads: any. Blocks: never. Errors: FKL_ENOACTOR.
FKL_API FKL_MUST_CHECK fkl_err fkl_whereis(fkl_runtime *runtime, const char *name,
                                           fkl_actor_id *out);
// The same with a reference for the caller to release.
FKL_API FKL_MUST_CHECK fkl_err fkl_whereis_actor(fkl_runtime *runtime, const char *name,
                                                 fkl_actor **out);

// Sends to whoever has the name now, as fkl_send() does. Ownership: consumed on FKL_OK; with the
// caller otherwise. Threads: any. Blocks: never. Errors: those of fkl_send(); FKL_ENOACTOR also
// when nobody has the name (counted as a dead letter).
FKL_API FKL_MUST_CHECK fkl_err fkl_send_named(fkl_runtime *runtime, const char *name, fkl_msg *msg);

// Copies the actor's name to `name`, which has FKL_NAME_MAX + 1 bytes; false when it has none.
// Threads: any.
FKL_API bool fkl_registered_name(const fkl_actor *actor, char *name);

// One row of fkl_names().
typedef struct fkl_name_row {
    fkl_actor_id id;
    char name[FKL_NAME_MAX + 1];
} fkl_name_row;

// Writes up to `capacity` rows in no order, and the number of all names to `count`. Threads: any.
// Blocks: never (a short lock).
FKL_API void fkl_names(fkl_runtime *runtime, fkl_name_row *rows, size_t capacity, size_t *count);

FKL_END_DECLS

#endif
