// SPDX-License-Identifier: Apache-2.0
//
// Memory through a runtime's allocator: the right functions with the right sizes, the default one
// without a runtime, and incomplete allocators refused.
#include "support/rig.h"

#include "memory.h"

Test(memory, without_a_runtime_it_comes_from_malloc)
{
    const fkl_allocator *allocator = fkli_allocator_of(NULL);
    char *ptr = fkli_alloc(allocator, 3);
    cr_assert_not_null(ptr);
    memcpy(ptr, "ab", 3);
    ptr = fkli_resize(allocator, ptr, 3, 5000);
    cr_assert_not_null(ptr);
    cr_assert_str_eq(ptr, "ab");
    fkli_free(allocator, ptr, 5000);
    fkli_free(allocator, NULL, 7);
}

Test(memory, sizes_reach_the_allocator_as_asked_for)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    void *ptr = fkli_alloc(&allocator, 100);
    cr_assert_eq(atomic_load(&memory.bytes), 100);
    ptr = fkli_resize(&allocator, ptr, 100, 40);
    cr_assert_eq(atomic_load(&memory.bytes), 40);
    fkli_free(&allocator, ptr, 40);
    rig_assert_balanced(&memory);
}

Test(memory, nothing_at_all_is_still_a_block)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    void *ptr = fkli_alloc(&allocator, 0);
    cr_assert_not_null(ptr);
    ptr = fkli_resize(&allocator, ptr, 0, 0);
    cr_assert_not_null(ptr);
    fkli_free(&allocator, ptr, 0);
    rig_assert_balanced(&memory);
}

Test(memory, resizing_nothing_allocates)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    void *ptr = fkli_resize(&allocator, NULL, 0, 8);
    cr_assert_not_null(ptr);
    fkli_free(&allocator, ptr, 8);
    rig_assert_balanced(&memory);
}

Test(memory, zeroed_memory_is_zero)
{
    rig_memory memory = {0}; // fills new blocks with 0xa5
    fkl_allocator allocator = rig_allocator(&memory);
    unsigned char *ptr = fkli_alloc_zeroed(&allocator, 64);
    cr_assert_not_null(ptr);
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(ptr[i], 0);
    }
    fkli_free(&allocator, ptr, 64);
    rig_assert_balanced(&memory);
}

Test(memory, failure_leaves_the_old_block)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    char *ptr = fkli_alloc(&allocator, 4);
    memcpy(ptr, "old", 4);
    atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1);
    atomic_store(&memory.fail_on, true);
    cr_assert_null(fkli_resize(&allocator, ptr, 4, 400));
    cr_assert_null(fkli_alloc(&allocator, 1));
    cr_assert_null(fkli_alloc_zeroed(&allocator, 1));
    cr_assert_str_eq(ptr, "old");
    fkli_free(&allocator, ptr, 4);
    rig_assert_balanced(&memory);
}

Test(memory, a_runtime_hands_out_its_own_allocator)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    cr_assert_gt(atomic_load(&memory.blocks), 0, "the runtime itself is made of it");
    cr_assert_eq(fkli_allocator_of(runtime)->ctx, &memory);
    assert_ok(fkl_runtime_destroy(runtime));
    rig_assert_balanced(&memory);
}

Test(memory, an_incomplete_allocator_is_einval)
{
    rig_memory memory = {0};
    for (int missing = 0; missing < 3; missing++) {
        fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
        fkl_runtime *runtime = NULL;
        if (missing == 0) {
            config.allocator.allocate = NULL;
        } else if (missing == 1) {
            config.allocator.resize = NULL;
        } else {
            config.allocator.release = NULL;
        }
        assert_err(fkl_runtime_create(&config, &runtime), FKL_EINVAL);
        cr_assert_null(runtime);
    }
    rig_assert_balanced(&memory);
}
