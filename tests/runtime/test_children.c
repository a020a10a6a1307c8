// SPDX-License-Identifier: Apache-2.0
//
// The containers of children: order, look-ups, points of time; with thousands, and without memory.
#include "support/rig.h"

#include "children.h"

#include <stdio.h>

static fkli_child_plan *plan_of(const fkl_allocator *allocator, const char *id)
{
    fkli_child_plan *plan = NULL;
    fkl_child_spec spec = {.id = id, .fn = act_return};
    assert_ok(fkli_child_plan_create(allocator, &spec, &plan));
    return plan;
}

static fkli_child *add(fkli_children *children, const char *id)
{
    fkli_child *child = NULL;
    assert_ok(fkli_children_add(children, plan_of(children->allocator, id), &child));
    return child;
}

static void clear(fkli_children *children)
{
    while (children->first) {
        fkli_children_remove(children, children->first);
    }
    fkli_children_fini(children);
}

Test(children, are_numbered_and_listed_in_the_order_of_their_addition)
{
    fkli_children children;
    fkli_children_init(&children, fkli_allocator_of(NULL));
    cr_assert_null(fkli_children_find(&children, 1));
    cr_assert_null(fkli_children_find_id(&children, "a"));
    fkli_child *a = add(&children, "a"), *b = add(&children, NULL), *c = add(&children, "c");
    cr_assert_eq(a->number, 1);
    cr_assert_eq(b->number, 2);
    cr_assert_eq(c->number, 3);
    cr_assert(children.first == a && a->next == b && b->next == c && !c->next);
    cr_assert(children.last == c && c->previous == b && b->previous == a && !a->previous);
    fkli_children_remove(&children, b);
    cr_assert(a->next == c && c->previous == a);
    cr_assert_eq(children.count, 2);
    cr_assert_eq(add(&children, "d")->number, 4);
    clear(&children);
}

Test(children, ids_are_unique_and_free_again_after_a_removal)
{
    fkli_children children;
    fkli_child *child = NULL;
    fkli_children_init(&children, fkli_allocator_of(NULL));
    add(&children, "a");
    fkli_child_plan *plan = plan_of(children.allocator, "a");
    assert_err(fkli_children_add(&children, plan, &child), FKL_EEXIST);
    fkli_children_remove(&children, children.first);
    cr_assert_null(fkli_children_find_id(&children, "a"));
    assert_ok(fkli_children_add(&children, plan, &child));
    cr_assert_eq(fkli_children_find_id(&children, "a"), child);
    clear(&children);
}

Test(children, are_found_after_a_number_that_is_gone)
{
    fkli_children children;
    fkli_children_init(&children, fkli_allocator_of(NULL));
    for (int i = 0; i < 5; i++) {
        add(&children, NULL);
    }
    cr_assert_eq(fkli_children_after(&children, 0)->number, 1);
    cr_assert_eq(fkli_children_after(&children, 2)->number, 3);
    fkli_children_remove(&children, fkli_children_find(&children, 3));
    cr_assert_eq(fkli_children_after(&children, 2)->number, 4);
    cr_assert_eq(fkli_children_after(&children, 3)->number, 4);
    cr_assert_null(fkli_children_after(&children, 5));
    cr_assert_null(fkli_children_after(&children, 99));
    clear(&children);
}

Test(children, thousands_are_found_and_taken_out_again)
{
    enum { COUNT = 20000 };
    fkli_children children;
    char id[32];
    fkli_children_init(&children, fkli_allocator_of(NULL));
    for (int i = 1; i <= COUNT; i++) {
        snprintf(id, sizeof id, "child %d", i);
        add(&children, i % 3 ? id : NULL);
    }
    for (int i = 1; i <= COUNT; i += 2) {
        fkli_children_remove(&children, fkli_children_find(&children, (fkl_child)i));
    }
    for (int i = 1; i <= COUNT; i++) {
        snprintf(id, sizeof id, "child %d", i);
        fkli_child *child = fkli_children_find(&children, (fkl_child)i);
        cr_assert_eq(child != NULL, i % 2 == 0);
        cr_assert_eq(fkli_children_find_id(&children, id), i % 3 ? child : NULL);
    }
    cr_assert_eq(children.count, COUNT / 2);
    clear(&children);
}

Test(children, what_is_due_comes_in_the_order_of_time)
{
    enum { COUNT = 500 };
    fkli_children children;
    fkli_child *all[COUNT];
    uint64_t random = 7;
    fkl_time last = 0;
    int taken = 0;
    fkli_children_init(&children, fkli_allocator_of(NULL));
    cr_assert_eq(fkli_children_next_due(&children), FKL_FOREVER);
    cr_assert_null(fkli_children_take_due(&children, FKL_FOREVER));
    for (int i = 0; i < COUNT; i++) {
        all[i] = add(&children, NULL);
    }
    for (int i = 0; i < 5 * COUNT; i++) { // armed, armed anew, disarmed
        random = random * 6364136223846793005u + 1442695040888963407u;
        fkli_child *child = all[(random >> 33) % COUNT];
        if (i % 5 == 4) {
            fkli_children_disarm(&children, child);
        } else {
            fkli_children_arm(&children, child, (fkl_time)((random >> 20) % 1000));
        }
    }
    int armed = 0;
    for (int i = 0; i < COUNT; i++) {
        armed += all[i]->place != 0;
    }
    cr_assert_null(fkli_children_take_due(&children, -1));
    for (fkli_child *child; (child = fkli_children_take_due(&children, 2000)); taken++) {
        cr_assert_geq(child->due, last);
        cr_assert_eq(child->place, 0);
        last = child->due;
    }
    cr_assert_eq(taken, armed);
    clear(&children);
}

Test(children, one_that_is_removed_is_due_no_longer)
{
    fkli_children children;
    fkli_children_init(&children, fkli_allocator_of(NULL));
    fkli_child *a = add(&children, NULL), *b = add(&children, NULL);
    fkli_children_arm(&children, a, 10);
    fkli_children_arm(&children, b, 20);
    cr_assert_eq(fkli_children_next_due(&children), 10);
    cr_assert_null(fkli_children_take_due(&children, 9));
    fkli_children_remove(&children, a);
    cr_assert_eq(fkli_children_next_due(&children), 20);
    clear(&children);
    cr_assert_eq(children.heap_len, 0);
}

Test(children, an_addition_without_memory_changes_nothing)
{
    fkl_err err = FKL_ENOMEM;
    for (long fail_at = 1; err; fail_at++) {
        rig_memory memory = {0};
        fkl_allocator allocator = rig_allocator(&memory);
        fkli_children children;
        fkli_child *child = NULL;
        fkli_children_init(&children, &allocator);
        fkli_child_plan *plan = plan_of(&allocator, "a");
        atomic_store(&memory.calls, 0);
        atomic_store(&memory.fail_at, fail_at);
        err = fkli_children_add(&children, plan, &child);
        if (err) {
            assert_err(err, FKL_ENOMEM);
            cr_assert_eq(children.count, 0);
            fkli_child_plan_release(plan);
        }
        clear(&children);
        rig_assert_balanced(&memory);
    }
}
