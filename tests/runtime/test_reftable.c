// SPDX-License-Identifier: Apache-2.0
//
// The table of numbered entries: finds what is in it and nothing else, grows and shrinks, and says
// so when there is no memory.
#include "support/rig.h"

#include "reftable.h"

enum { MANY = 1000 };

static int orphans;

static void count_orphan(fkli_refnode *node)
{
    (void)node;
    orphans++;
}

struct table {
    rig_memory memory;
    fkl_allocator allocator;
    fkli_reftable *table;
    fkli_refnode nodes[MANY];
};

static void fill(struct table *set, int count)
{
    set->allocator = rig_allocator(&set->memory);
    for (int i = 0; i < count; i++) {
        set->nodes[i] = (fkli_refnode){.ref = (uint64_t)i + 1, .orphaned = count_orphan};
        assert_ok(fkli_reftable_add_locked(&set->allocator, &set->table, &set->nodes[i]));
    }
}

static bool has(struct table *set, int index)
{
    fkli_refnode *found = fkli_reftable_find_locked(set->table, (uint64_t)index + 1);
    cr_assert(!found || found == &set->nodes[index]);
    return found != NULL;
}

Test(reftable, an_empty_one_has_nothing)
{
    fkli_refnode node = {.ref = 1};
    fkli_reftable *table = NULL;
    cr_assert_null(fkli_reftable_find_locked(NULL, 1));
    cr_assert_not(fkli_reftable_remove_locked(NULL, &table, &node));
    fkli_reftable_orphan(NULL, NULL);
}

Test(reftable, finds_exactly_what_is_in_it)
{
    struct table *set = calloc(1, sizeof *set);
    fill(set, MANY);
    for (int i = 0; i < MANY; i += 3) {
        cr_assert(fkli_reftable_remove_locked(&set->allocator, &set->table, &set->nodes[i]));
        cr_assert_not(fkli_reftable_remove_locked(&set->allocator, &set->table, &set->nodes[i]));
    }
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(has(set, i), i % 3 != 0, "entry %d", i);
    }
    cr_assert_null(fkli_reftable_find_locked(set->table, MANY + 1));
    cr_assert_null(fkli_reftable_find_locked(set->table, 0));
    fkli_reftable_orphan(&set->allocator, set->table);
    rig_assert_balanced(&set->memory);
    free(set);
}

Test(reftable, gives_a_large_one_back_when_it_is_empty)
{
    struct table *set = calloc(1, sizeof *set);
    fill(set, MANY);
    for (int i = 0; i < MANY; i++) {
        cr_assert(fkli_reftable_remove_locked(&set->allocator, &set->table, &set->nodes[i]));
    }
    cr_assert_null(set->table);
    rig_assert_balanced(&set->memory);
    free(set);
}

Test(reftable, a_small_one_is_allocated_once)
{
    struct table *set = calloc(1, sizeof *set);
    fill(set, 1);
    long calls = atomic_load(&set->memory.calls);
    for (int i = 0; i < MANY; i++) {
        cr_assert(fkli_reftable_remove_locked(&set->allocator, &set->table, &set->nodes[0]));
        assert_ok(fkli_reftable_add_locked(&set->allocator, &set->table, &set->nodes[0]));
    }
    cr_assert_eq(atomic_load(&set->memory.calls), calls);
    fkli_reftable_orphan(&set->allocator, set->table);
    free(set);
}

Test(reftable, tells_every_entry_once_when_it_is_taken_away)
{
    struct table *set = calloc(1, sizeof *set);
    fill(set, MANY);
    orphans = 0;
    fkli_reftable *taken = set->table;
    set->table = NULL;
    cr_assert_not(fkli_reftable_remove_locked(&set->allocator, &set->table, &set->nodes[5]));
    fkli_reftable_orphan(&set->allocator, taken);
    cr_assert_eq(orphans, MANY);
    rig_assert_balanced(&set->memory);
    free(set);
}

Test(reftable, without_memory_it_stays_as_it_was)
{
    struct table *set = calloc(1, sizeof *set);
    fkli_refnode one_more = {.ref = 9};
    set->allocator = rig_allocator(&set->memory);
    atomic_store(&set->memory.fail_at, 1);
    assert_err(fkli_reftable_add_locked(&set->allocator, &set->table, &one_more), FKL_ENOMEM);
    cr_assert_null(set->table);
    fill(set, 8); // the first capacity
    atomic_store(&set->memory.fail_at, atomic_load(&set->memory.calls) + 1);
    assert_err(fkli_reftable_add_locked(&set->allocator, &set->table, &one_more), FKL_ENOMEM);
    for (int i = 0; i < 8; i++) {
        cr_assert(has(set, i));
    }
    cr_assert_not(fkli_reftable_remove_locked(&set->allocator, &set->table, &one_more));
    fkli_reftable_orphan(&set->allocator, set->table);
    rig_assert_balanced(&set->memory);
    free(set);
}
