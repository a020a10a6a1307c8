// SPDX-License-Identifier: Apache-2.0
//
// Failures: what went wrong in an actor, for those that are told of its end. One is packed as an
// FKL_EXT_ERROR map (codec.h) and becomes the error of the exit record.
#ifndef FORKLESS_FAILURE_H
#define FORKLESS_FAILURE_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/error.h>

FKL_BEGIN_DECLS

// Zero-initialise and set what is known.
typedef struct fkl_failure {
    const char *type;    // what kind it is, such as "disk_full"; must be set
    const char *message; // a sentence for people, or NULL
    const char *trace;   // where it happened, in several lines, or NULL
    const void *payload; // bytes for the program that handles it, or NULL
    size_t payload_len;
    int32_t code; // of the exit record
} fkl_failure;

// Makes the exit record of `self` say, once its function returns, that it failed: reason ERROR,
// with failure->code, and everything else of the failure as its error. The strings are copied.
// Replaces what an earlier call or fkl_actor_set_exit() said, and the other way round.
// Threads: the actor's own and its helpers. Blocks: never. Errors: FKL_ENOMEM, FKL_EINVAL (no type,
// or a payload with a length but no bytes).
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_fail(fkl_actor *self, const fkl_failure *failure);

// Text that is not terminated. `data` is NULL where there is none.
typedef struct fkl_text {
    const char *data;
    size_t len;
} fkl_text;

// A failure that has been read. It points into the bytes that it was read from.
typedef struct fkl_failure_view {
    fkl_text type;
    fkl_text message;
    fkl_text trace;
    const void *payload; // NULL where there is none; aligned for bytes only
    size_t payload_len;
    const void
        *cause; // the failure that led to it, for fkl_failure_read(); NULL where there is none
    size_t cause_len;
} fkl_failure_view;

// Reads the error of an exit record (exit->error, exit->error_len), or the bytes of an
// FKL_EXT_ERROR in a message, whoever packed it; what it lacks is empty in `*out`. Threads: any.
// Blocks: never. Errors: FKL_ECORRUPT (not an FKL_EXT_ERROR map), FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_failure_read(const void *error, size_t len,
                                                fkl_failure_view *out);

FKL_END_DECLS

#endif
