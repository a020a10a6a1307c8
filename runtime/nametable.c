// SPDX-License-Identifier: Apache-2.0
//
// The table of named entries (see nametable.h), with linear hashing: it has as many buckets as
// entries, and each new bucket takes its share out of a single old one. Runs under the table's
// lock.

#include "nametable.h"

#include <string.h>

// FNV-1a.
static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; ++text)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static fkli_name_entry **bucket_at(const fkli_nametable *table, size_t index)
{
    size_t offset;
    unsigned chunk = fkli_chunk_of(index, &offset);
    return &table->chunks[chunk][offset];
}

// The greatest power of two that is not above `count`.
static size_t power_below(size_t count)
{
    return (size_t)1 << (63u - (unsigned)__builtin_clzll((uint64_t)count));
}

// With n buckets, p the power of two below: the hash modulo 2p, or modulo p where there is no such
// bucket yet.
static fkli_name_entry **bucket_of(const fkli_nametable *table, uint64_t hash)
{
    size_t power = power_below(table->buckets);
    size_t index = (size_t)hash & (2 * power - 1);
    return bucket_at(table, index < table->buckets ? index : index & (power - 1));
}

static size_t chunk_bytes(unsigned chunk)
{
    return fkli_chunk_len(chunk) * sizeof(fkli_name_entry *);
}

fkl_err fkli_nametable_init(fkli_nametable *table, const fkl_allocator *allocator)
{
    fkli_name_entry **first = fkli_alloc_zeroed(allocator, chunk_bytes(0));
    if (!first)
        return FKL_ENOMEM;
    *table = (fkli_nametable){.allocator = allocator, .buckets = FKLI_FIRST_CHUNK};
    table->chunks[0] = first;
    fkli_lock_init(&table->lock);
    return FKL_OK;
}

void fkli_nametable_fini(fkli_nametable *table)
{
    if (!table->allocator)
        return;
    fkli_lock_fini(&table->lock);
    for (unsigned chunk = 0; chunk < FKLI_CHUNKS; ++chunk)
        fkli_free(table->allocator, table->chunks[chunk], chunk_bytes(chunk));
}

fkli_name_entry *fkli_nametable_find_locked(const fkli_nametable *table, const char *text)
{
    uint64_t hash = hash_of(text);
    fkli_name_entry *entry = *bucket_of(table, hash);
    while (entry && (entry->hash != hash || strcmp(entry->text, text) != 0))
        entry = entry->next;
    return entry;
}

// Adds one bucket, if there is memory for it, and moves there what belongs there now.
static void grow(fkli_nametable *table)
{
    size_t added = table->buckets;
    size_t offset;
    unsigned chunk = fkli_chunk_of(added, &offset);
    if (chunk >= FKLI_CHUNKS)
        return;
    if (!table->chunks[chunk])
        table->chunks[chunk] = fkli_alloc(table->allocator, chunk_bytes(chunk));
    if (!table->chunks[chunk])
        return;
    fkli_name_entry **to = &table->chunks[chunk][offset];
    fkli_name_entry **from = bucket_at(table, added - power_below(added));
    *to = NULL;
    ++table->buckets;
    while (*from) {
        fkli_name_entry *entry = *from;
        if (bucket_of(table, entry->hash) != to) {
            from = &entry->next;
            continue;
        }
        *from = entry->next;
        entry->next = *to;
        *to = entry;
    }
}

void fkli_nametable_add_locked(fkli_nametable *table, fkli_name_entry *entry, const char *text)
{
    if (table->count >= table->buckets)
        grow(table);
    entry->text = text;
    entry->hash = hash_of(text);
    fkli_name_entry **bucket = bucket_of(table, entry->hash);
    entry->next = *bucket;
    *bucket = entry;
    ++table->count;
}

void fkli_nametable_remove_locked(fkli_nametable *table, fkli_name_entry *entry)
{
    fkli_name_entry **link = bucket_of(table, entry->hash);
    while (*link != entry)
        link = &(*link)->next;
    *link = entry->next;
    --table->count;
}

void fkli_nametable_visit_locked(const fkli_nametable *table,
                                 void (*visit)(fkli_name_entry *entry, void *ctx), void *ctx)
{
    for (size_t i = 0; i < table->buckets; ++i) {
        for (fkli_name_entry *entry = *bucket_at(table, i); entry; entry = entry->next)
            visit(entry, ctx);
    }
}
