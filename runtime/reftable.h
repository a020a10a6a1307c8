// SPDX-License-Identifier: Apache-2.0
//
// A table of what an actor has asked for by number: its monitors, and the requests whose answers
// will come as messages. The numbers count up and never come twice, so their low bits spread the
// entries evenly, and finding, adding and removing cost the same however many there are.
//
// A table is a pointer, NULL while it is empty, that its owner guards with a lock.
#ifndef FKLI_REFTABLE_H
#define FKLI_REFTABLE_H

#include "memory.h"

typedef struct fkli_refnode fkli_refnode;
typedef struct fkli_reftable fkli_reftable;

// Embedded in what the table holds; zeroed before it is added.
struct fkli_refnode {
    uint64_t ref;
    void (*orphaned)(fkli_refnode *node); // called by fkli_reftable_orphan()
    bool is_in_table;
    fkli_refnode *next;
    fkli_refnode *previous;
};

// Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_reftable_add_locked(const fkl_allocator *allocator,
                                                fkli_reftable **table, fkli_refnode *node);
// Takes `node` out; false when it is not in the table, or the table has been taken away.
bool fkli_reftable_remove_locked(const fkl_allocator *allocator, fkli_reftable **table,
                                 fkli_refnode *node);
// NULL when no entry has this number.
fkli_refnode *fkli_reftable_find_locked(fkli_reftable *table, uint64_t ref);

// Frees a table that was taken away from its owner, and tells each of its entries. NULL is allowed.
void fkli_reftable_orphan(const fkl_allocator *allocator, fkli_reftable *table);

#endif
