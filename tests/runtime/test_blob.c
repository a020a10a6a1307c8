// SPDX-License-Identifier: Apache-2.0
//
// Shared bytes: a copy of what they were made of, freed by the last of their holders.
#include "support/rig.h"

#include "blob.h"

Test(blob, is_a_copy_that_its_last_holder_frees)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    char text[] = "before";
    fkli_blob *blob = NULL;
    assert_ok(fkli_blob_create(&allocator, text, sizeof text, &blob));
    memcpy(text, "after!", sizeof text);
    cr_assert_eq(blob->len, sizeof text);
    cr_assert_str_eq((char *)blob->bytes, "before");
    cr_assert_eq(fkli_blob_retain(blob), blob);
    fkli_blob_release(blob);
    cr_assert_eq(atomic_load(&memory.blocks), 1);
    fkli_blob_release(blob);
    rig_assert_balanced(&memory);
}

Test(blob, may_be_empty_or_missing)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    fkli_blob *blob = NULL;
    assert_ok(fkli_blob_create(&allocator, NULL, 0, &blob));
    cr_assert_eq(blob->len, 0);
    fkli_blob_release(blob);
    cr_assert_null(fkli_blob_retain(NULL));
    fkli_blob_release(NULL);
    rig_assert_balanced(&memory);
}

Test(blob, without_memory_it_is_enomem)
{
    rig_memory memory = {.fail_at = 1};
    fkl_allocator allocator = rig_allocator(&memory);
    fkli_blob *blob = NULL;
    assert_err(fkli_blob_create(&allocator, "x", 1, &blob), FKL_ENOMEM);
    assert_err(fkli_blob_create(&allocator, "x", SIZE_MAX - 1, &blob), FKL_ENOMEM);
    cr_assert_null(blob);
    rig_assert_balanced(&memory);
}
