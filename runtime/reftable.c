// SPDX-License-Identifier: Apache-2.0
//
// The table of numbered entries (see reftable.h): chains in a power of two of buckets, at most one
// entry a bucket on average. It doubles when it is full, and is given back when it is empty; a
// small one stays then, so that an actor that asks for one thing after the other allocates it once.

#include "reftable.h"

static const size_t small_capacity = 8;

struct fkli_reftable {
    size_t count;
    size_t capacity; // a power of two; buckets, and entries at most
    fkli_refnode *buckets[];
};

static size_t size_of(size_t capacity)
{
    return sizeof(fkli_reftable) + capacity * sizeof(fkli_refnode *);
}

static fkli_refnode **bucket_of(fkli_reftable *table, uint64_t ref)
{
    return &table->buckets[(size_t)ref & (table->capacity - 1)];
}

static void insert(fkli_reftable *table, fkli_refnode *node)
{
    fkli_refnode **bucket = bucket_of(table, node->ref);
    node->previous = NULL;
    node->next = *bucket;
    if (*bucket)
        (*bucket)->previous = node;
    *bucket = node;
    ++table->count;
}

static void move_all(fkli_reftable *from, fkli_reftable *to)
{
    for (size_t i = 0; i < from->capacity; i++) {
        fkli_refnode *next;
        for (fkli_refnode *node = from->buckets[i]; node; node = next) {
            next = node->next;
            insert(to, node);
        }
    }
}

static fkl_err make_room(const fkl_allocator *allocator, fkli_reftable **table)
{
    fkli_reftable *old = *table;
    if (old && old->count < old->capacity)
        return FKL_OK;
    size_t capacity = old ? old->capacity * 2 : small_capacity;
    fkli_reftable *bigger = fkli_alloc_zeroed(allocator, size_of(capacity));
    if (!bigger)
        return FKL_ENOMEM;
    bigger->capacity = capacity;
    if (old) {
        move_all(old, bigger);
        fkli_free(allocator, old, size_of(old->capacity));
    }
    *table = bigger;
    return FKL_OK;
}

fkl_err fkli_reftable_add_locked(const fkl_allocator *allocator, fkli_reftable **table,
                                 fkli_refnode *node)
{
    fkl_err err = make_room(allocator, table);
    if (err)
        return err;
    insert(*table, node);
    node->is_in_table = true;
    return FKL_OK;
}

bool fkli_reftable_remove_locked(const fkl_allocator *allocator, fkli_reftable **table,
                                 fkli_refnode *node)
{
    fkli_reftable *from = *table;
    if (!from || !node->is_in_table)
        return false;
    node->is_in_table = false;
    if (node->next)
        node->next->previous = node->previous;
    if (node->previous)
        node->previous->next = node->next;
    else
        *bucket_of(from, node->ref) = node->next;
    if (--from->count == 0 && from->capacity > small_capacity) {
        fkli_free(allocator, from, size_of(from->capacity));
        *table = NULL;
    }
    return true;
}

fkli_refnode *fkli_reftable_find_locked(fkli_reftable *table, uint64_t ref)
{
    fkli_refnode *node = table ? *bucket_of(table, ref) : NULL;
    while (node && node->ref != ref)
        node = node->next;
    return node;
}

void fkli_reftable_orphan(const fkl_allocator *allocator, fkli_reftable *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->capacity; i++) {
        fkli_refnode *next;
        for (fkli_refnode *node = table->buckets[i]; node; node = next) {
            next = node->next; // `node` may be freed
            node->orphaned(node);
        }
    }
    fkli_free(allocator, table, size_of(table->capacity));
}
