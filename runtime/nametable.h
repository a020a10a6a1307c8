// SPDX-License-Identifier: Apache-2.0
//
// A table of entries with names: hashed, growing by one bucket at a time, so that no insertion has
// to move them all, and the lock that guards it.
#ifndef FKLI_NAMETABLE_H
#define FKLI_NAMETABLE_H

#include <forkless/error.h>

#include "chunks.h"
#include "memory.h"
#include "platform/platform.h"

// Embedded in what the table holds.
typedef struct fkli_name_entry {
    struct fkli_name_entry *next; // in its bucket
    uint64_t hash;
    const char *text; // constant, and as long-lived as the entry
} fkli_name_entry;

typedef struct fkli_nametable {
    const fkl_allocator *allocator; // NULL: it has not been made
    fkli_lock lock;
    // Guarded by lock:
    size_t count;
    size_t buckets; // in use, a chunk at least
    fkli_name_entry **chunks[FKLI_CHUNKS];
} fkli_nametable;

// `allocator` outlives the table. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_nametable_init(fkli_nametable *table, const fkl_allocator *allocator);
// The entries are not touched. A zeroed table, which has not been made, is allowed.
void fkli_nametable_fini(fkli_nametable *table);

// NULL when there is none.
fkli_name_entry *fkli_nametable_find_locked(const fkli_nametable *table, const char *text);
// No entry of the table has this name. Never fails: without memory only its chains grow.
void fkli_nametable_add_locked(fkli_nametable *table, fkli_name_entry *entry, const char *text);
// It is in the table.
void fkli_nametable_remove_locked(fkli_nametable *table, fkli_name_entry *entry);

// Calls visit(entry, ctx) for each, in no order.
void fkli_nametable_visit_locked(const fkli_nametable *table,
                                 void (*visit)(fkli_name_entry *entry, void *ctx), void *ctx);

#endif
