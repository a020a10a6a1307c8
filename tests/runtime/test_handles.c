// SPDX-License-Identifier: Apache-2.0

#include "support/rig.h"

#include "handles.h"
#include "memory.h"

static fkli_handles create(void)
{
    fkli_handles handles;
    fkli_handles_init(&handles, fkli_allocator_of(NULL));
    return handles;
}

Test(handles, a_number_finds_its_object_until_it_is_taken_out)
{
    fkli_handles handles = create();
    int objects[3];
    uint64_t numbers[3];
    for (int i = 0; i < 3; i++) {
        assert_ok(fkli_handles_add_locked(&handles, &objects[i], &numbers[i]));
        cr_assert_neq(numbers[i], 0);
    }
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(fkli_handles_find_locked(&handles, numbers[i]), &objects[i]);
    }
    cr_assert_eq(fkli_handles_take_locked(&handles, numbers[1]), &objects[1]);
    cr_assert_null(fkli_handles_take_locked(&handles, numbers[1]));
    cr_assert_null(fkli_handles_find_locked(&handles, numbers[1]));
    cr_assert_eq(fkli_handles_find_locked(&handles, numbers[2]), &objects[2]);
    fkli_handles_fini(&handles);
}

Test(handles, a_number_never_names_another_object)
{
    fkli_handles handles = create();
    int object;
    uint64_t numbers[100];
    for (int i = 0; i < 100; i++) { // the same slot each time
        assert_ok(fkli_handles_add_locked(&handles, &object, &numbers[i]));
        if (i < 99) {
            fkli_handles_take_locked(&handles, numbers[i]);
        }
    }
    for (int i = 0; i < 99; i++) {
        cr_assert_null(fkli_handles_find_locked(&handles, numbers[i]), "%d", i);
    }
    cr_assert_eq(fkli_handles_find_locked(&handles, numbers[99]), &object);
    fkli_handles_fini(&handles);
}

Test(handles, invented_numbers_find_nothing)
{
    fkli_handles handles = create();
    int object;
    uint64_t number;
    cr_assert_null(fkli_handles_find_locked(&handles, 0));
    cr_assert_null(fkli_handles_find_locked(&handles, UINT64_MAX));
    assert_ok(fkli_handles_add_locked(&handles, &object, &number));
    cr_assert_null(fkli_handles_find_locked(&handles, 0));
    cr_assert_null(fkli_handles_find_locked(&handles, number + 1), "a free slot");
    cr_assert_null(fkli_handles_find_locked(&handles, number + (UINT64_C(1) << 32)), "the future");
    cr_assert_null(fkli_handles_take_locked(&handles, UINT64_MAX));
    fkli_handles_fini(&handles);
}

Test(handles, many_are_found_and_out_of_memory_loses_none)
{
    enum { COUNT = 10000 };
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    fkli_handles handles;
    uint64_t *numbers = calloc(COUNT, sizeof *numbers);
    int refused = 0;
    fkli_handles_init(&handles, &allocator);
    for (int i = 0; i < COUNT; i++) {
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1); // each growth fails once
        fkl_err err = fkli_handles_add_locked(&handles, &numbers[i], &numbers[i]);
        atomic_store(&memory.fail_at, 0);
        if (err) {
            assert_err(err, FKL_ENOMEM);
            refused++;
            assert_ok(fkli_handles_add_locked(&handles, &numbers[i], &numbers[i]));
        }
    }
    cr_assert_eq(refused, 8, "%d", refused);
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(fkli_handles_find_locked(&handles, numbers[i]), &numbers[i]);
    }
    fkli_handles_fini(&handles);
    rig_assert_balanced(&memory);
    free(numbers);
}
