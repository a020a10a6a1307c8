// SPDX-License-Identifier: Apache-2.0
//
// Bytes that nobody changes, shared by reference: the error of an exit, which the actor and the
// messages that tell of its end hold together.
#ifndef FKLI_BLOB_H
#define FKLI_BLOB_H

#include "memory.h"
#include "platform/atomic.h"

typedef struct fkli_blob {
    fkli_atomic_u32 refs;
    const fkl_allocator *allocator;
    size_t len;
    unsigned char bytes[];
} fkli_blob;

// A copy of `len` bytes, with one reference. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_blob_create(const fkl_allocator *allocator, const void *data,
                                        size_t len, fkli_blob **out);
fkli_blob *fkli_blob_retain(fkli_blob *blob); // NULL is allowed
void fkli_blob_release(fkli_blob *blob);      // NULL is allowed

#endif
