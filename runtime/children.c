// SPDX-License-Identifier: Apache-2.0
//
// The containers of a supervisor's children (see children.h): a list, two hash tables that share
// their size, and a heap. Runs in the supervisor's thread; look-ups also in others, under the
// supervisor's lock.

#include "children.h"

#include <string.h>

enum { FIRST_BUCKETS = 16, FIRST_HEAP = 16 };

void fkli_children_init(fkli_children *children, const fkl_allocator *allocator)
{
    memset(children, 0, sizeof *children);
    children->allocator = allocator;
}

void fkli_children_fini(fkli_children *children)
{
    size_t table = children->buckets * sizeof(fkli_child *);
    fkli_free(children->allocator, children->by_number, table);
    fkli_free(children->allocator, children->by_id, table);
    fkli_free(children->allocator, children->heap, children->heap_capacity * sizeof(fkli_child *));
}

// Tables.

static size_t bucket_of_number(const fkli_children *children, fkl_child number)
{
    return (size_t)number & (children->buckets - 1); // numbers follow each other: no mixing needed
}

static size_t bucket_of_id(const fkli_children *children, const char *id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); // FNV-1a
    for (; *id; ++id)
        hash = (hash ^ (unsigned char)*id) * UINT64_C(0x100000001b3);
    return (size_t)(hash ^ (hash >> 32)) & (children->buckets - 1);
}

static void enter(fkli_children *children, fkli_child *child)
{
    fkli_child **bucket = &children->by_number[bucket_of_number(children, child->number)];
    child->next_by_number = *bucket;
    *bucket = child;
    if (!child->plan->spec.id)
        return;
    bucket = &children->by_id[bucket_of_id(children, child->plan->spec.id)];
    child->next_by_id = *bucket;
    *bucket = child;
}

static void leave(fkli_children *children, fkli_child *child)
{
    fkli_child **link = &children->by_number[bucket_of_number(children, child->number)];
    while (*link != child)
        link = &(*link)->next_by_number;
    *link = child->next_by_number;
    if (!child->plan->spec.id)
        return;
    link = &children->by_id[bucket_of_id(children, child->plan->spec.id)];
    while (*link != child)
        link = &(*link)->next_by_id;
    *link = child->next_by_id;
}

// Doubles the tables. Only the first ones are needed, later ones make look-ups faster.
static bool grow_tables(fkli_children *children)
{
    size_t buckets = children->buckets ? 2 * children->buckets : FIRST_BUCKETS;
    size_t size = buckets * sizeof(fkli_child *);
    fkli_child **by_number = fkli_alloc_zeroed(children->allocator, size);
    fkli_child **by_id = by_number ? fkli_alloc_zeroed(children->allocator, size) : NULL;
    if (!by_id) {
        fkli_free(children->allocator, by_number, size);
        return children->buckets > 0;
    }
    size_t old_size = children->buckets * sizeof(fkli_child *);
    fkli_free(children->allocator, children->by_number, old_size);
    fkli_free(children->allocator, children->by_id, old_size);
    children->by_number = by_number;
    children->by_id = by_id;
    children->buckets = buckets;
    for (fkli_child *child = children->first; child; child = child->next)
        enter(children, child);
    return true;
}

static bool grow_heap(fkli_children *children)
{
    size_t capacity = children->heap_capacity ? 2 * children->heap_capacity : FIRST_HEAP;
    fkli_child **heap = fkli_resize(children->allocator, children->heap,
                                    children->heap_capacity * sizeof(fkli_child *),
                                    capacity * sizeof(fkli_child *));
    if (!heap)
        return false;
    children->heap = heap;
    children->heap_capacity = capacity;
    return true;
}

static bool reserve(fkli_children *children)
{
    if (children->count == children->heap_capacity && !grow_heap(children))
        return false;
    return children->count < children->buckets || grow_tables(children);
}

// The list.

fkl_err fkli_children_add(fkli_children *children, fkli_child_plan *plan, fkli_child **out)
{
    if (plan->spec.id && fkli_children_find_id(children, plan->spec.id))
        return FKL_EEXIST;
    if (!reserve(children))
        return FKL_ENOMEM;
    fkli_child *child = fkli_alloc_zeroed(children->allocator, sizeof *child);
    if (!child)
        return FKL_ENOMEM;
    child->number = ++children->last_number;
    child->plan = plan;
    child->previous = children->last;
    if (children->last)
        children->last->next = child;
    else
        children->first = child;
    children->last = child;
    ++children->count;
    enter(children, child);
    *out = child;
    return FKL_OK;
}

void fkli_children_remove(fkli_children *children, fkli_child *child)
{
    fkli_children_disarm(children, child);
    leave(children, child);
    if (child->previous)
        child->previous->next = child->next;
    else
        children->first = child->next;
    if (child->next)
        child->next->previous = child->previous;
    else
        children->last = child->previous;
    --children->count;
    fkli_child_plan_release(child->plan);
    fkli_free(children->allocator, child, sizeof *child);
}

fkli_child *fkli_children_find(const fkli_children *children, fkl_child number)
{
    if (!children->buckets)
        return NULL;
    fkli_child *child = children->by_number[bucket_of_number(children, number)];
    while (child && child->number != number)
        child = child->next_by_number;
    return child;
}

fkli_child *fkli_children_find_id(const fkli_children *children, const char *id)
{
    if (!children->buckets)
        return NULL;
    fkli_child *child = children->by_id[bucket_of_id(children, id)];
    while (child && strcmp(child->plan->spec.id, id) != 0)
        child = child->next_by_id;
    return child;
}

fkli_child *fkli_children_after(const fkli_children *children, fkl_child number)
{
    fkli_child *child = fkli_children_find(children, number);
    if (child)
        return child->next;
    for (child = children->first; child && child->number <= number;)
        child = child->next;
    return child;
}

// The heap. Places count from 1; the parent of place n is n / 2.

static fkli_child *at(const fkli_children *children, size_t place)
{
    return children->heap[place - 1];
}

static void put(fkli_children *children, size_t place, fkli_child *child)
{
    children->heap[place - 1] = child;
    child->place = place;
}

static void sift_up(fkli_children *children, fkli_child *child)
{
    size_t place = child->place;
    while (place > 1 && at(children, place / 2)->due > child->due) {
        put(children, place, at(children, place / 2));
        place /= 2;
    }
    put(children, place, child);
}

static void sift_down(fkli_children *children, fkli_child *child)
{
    size_t place = child->place;
    for (;;) {
        size_t below = 2 * place;
        if (below > children->heap_len)
            break;
        if (below < children->heap_len && at(children, below + 1)->due < at(children, below)->due)
            ++below;
        if (at(children, below)->due >= child->due)
            break;
        put(children, place, at(children, below));
        place = below;
    }
    put(children, place, child);
}

void fkli_children_disarm(fkli_children *children, fkli_child *child)
{
    size_t place = child->place;
    if (!place)
        return;
    child->place = 0;
    fkli_child *moved = at(children, children->heap_len--);
    if (moved == child)
        return;
    put(children, place, moved);
    sift_up(children, moved);
    sift_down(children, moved);
}

void fkli_children_arm(fkli_children *children, fkli_child *child, fkl_time due)
{
    fkli_children_disarm(children, child);
    child->due = due;
    put(children, ++children->heap_len, child);
    sift_up(children, child);
}

fkl_time fkli_children_next_due(const fkli_children *children)
{
    return children->heap_len ? at(children, 1)->due : FKL_FOREVER;
}

fkli_child *fkli_children_take_due(fkli_children *children, fkl_time now)
{
    if (fkli_children_next_due(children) > now || !children->heap_len)
        return NULL;
    fkli_child *child = at(children, 1);
    fkli_children_disarm(children, child);
    return child;
}
