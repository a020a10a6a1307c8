// SPDX-License-Identifier: Apache-2.0

#include "support/rig.h"

#include "nametable.h"

#include <stdio.h>

enum { MANY = 5000 };

struct named {
    fkli_name_entry entry; // first
    char text[16];
    int visits;
};

static struct named *make(int count)
{
    struct named *all = calloc((size_t)count, sizeof *all);
    for (int i = 0; i < count; i++) {
        snprintf(all[i].text, sizeof all[i].text, "name %d", i);
    }
    return all;
}

static void note_visit(fkli_name_entry *entry, void *ctx)
{
    ((struct named *)entry)->visits++;
    ++*(int *)ctx;
}

static void check_exactly(fkli_nametable *table, struct named *all, int from, int to)
{
    for (int i = 0; i < MANY; i++) {
        fkli_name_entry *found = fkli_nametable_find_locked(table, all[i].text);
        cr_assert_eq(found, i >= from && i < to ? &all[i].entry : NULL, "%d", i);
    }
}

static void fill_and_empty(fkli_nametable *table, struct named *all)
{
    for (int i = 0; i < MANY; i++) {
        cr_assert_null(fkli_nametable_find_locked(table, all[i].text));
        fkli_nametable_add_locked(table, &all[i].entry, all[i].text);
        cr_assert_eq(fkli_nametable_find_locked(table, all[i].text), &all[i].entry);
    }
    cr_assert_eq(table->count, MANY);
    check_exactly(table, all, 0, MANY);
    int visits = 0;
    fkli_nametable_visit_locked(table, note_visit, &visits);
    cr_assert_eq(visits, MANY);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(all[i].visits, 1);
        all[i].visits = 0;
    }
    for (int i = 0; i < MANY / 2; i++) {
        fkli_nametable_remove_locked(table, &all[i].entry);
    }
    check_exactly(table, all, MANY / 2, MANY);
    for (int i = MANY - 1; i >= MANY / 2; i--) {
        fkli_nametable_remove_locked(table, &all[i].entry);
    }
    check_exactly(table, all, 0, 0);
    cr_assert_eq(table->count, 0);
}

Test(nametable, finds_what_was_added_until_it_is_removed)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    fkli_nametable table;
    struct named *all = make(MANY);
    assert_ok(fkli_nametable_init(&table, &allocator));
    fill_and_empty(&table, all);
    fill_and_empty(&table, all);
    cr_assert_geq(table.buckets, MANY);
    fkli_nametable_fini(&table);
    rig_assert_balanced(&memory);
    free(all);
}

Test(nametable, works_on_without_memory)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    fkli_nametable table;
    struct named *all = make(MANY);
    atomic_store(&memory.fail_at, 1);
    assert_err(fkli_nametable_init(&table, &allocator), FKL_ENOMEM);
    assert_ok(fkli_nametable_init(&table, &allocator));
    atomic_store(&memory.fail_at, 1);
    atomic_store(&memory.fail_on, true);
    fill_and_empty(&table, all);
    cr_assert_eq(table.buckets, FKLI_FIRST_CHUNK);
    fkli_nametable_fini(&table);
    rig_assert_balanced(&memory);
    free(all);
}

Test(nametable, names_that_begin_alike_differ)
{
    fkli_nametable table;
    struct named *all = make(2);
    assert_ok(fkli_nametable_init(&table, fkli_allocator_of(NULL)));
    fkli_nametable_add_locked(&table, &all[0].entry, "a");
    fkli_nametable_add_locked(&table, &all[1].entry, "ab");
    cr_assert_eq(fkli_nametable_find_locked(&table, "a"), &all[0].entry);
    cr_assert_eq(fkli_nametable_find_locked(&table, "ab"), &all[1].entry);
    cr_assert_null(fkli_nametable_find_locked(&table, ""));
    cr_assert_null(fkli_nametable_find_locked(&table, "abc"));
    fkli_nametable_fini(&table);
    free(all);
}
