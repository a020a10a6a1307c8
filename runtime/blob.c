// SPDX-License-Identifier: Apache-2.0
//
// Counted, constant bytes (see blob.h). Any thread runs this.

#include "blob.h"

#include <string.h>

fkl_err fkli_blob_create(const fkl_allocator *allocator, const void *data, size_t len,
                         fkli_blob **out)
{
    fkli_blob *blob = len > SIZE_MAX / 2 ? NULL : fkli_alloc(allocator, sizeof *blob + len);
    if (!blob)
        return FKL_ENOMEM;
    fkli_store_relaxed_u32(&blob->refs, 1);
    blob->allocator = allocator;
    blob->len = len;
    if (len)
        memcpy(blob->bytes, data, len);
    *out = blob;
    return FKL_OK;
}

fkli_blob *fkli_blob_retain(fkli_blob *blob)
{
    if (blob)
        fkli_add_relaxed_u32(&blob->refs, 1); // the caller's reference keeps it alive
    return blob;
}

void fkli_blob_release(fkli_blob *blob)
{
    // The release half pairs with the acquire half of the last one.
    if (blob && fkli_sub_acq_rel_u32(&blob->refs, 1) == 1)
        fkli_free(blob->allocator, blob, sizeof *blob + blob->len);
}
