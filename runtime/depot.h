// SPDX-License-Identifier: Apache-2.0
//
// Memory blocks of one size, which messages are made of: freed ones are kept for the next. Each
// thread that runs actors has a magazine of them, which needs no lock; a runtime has a depot, with
// which full magazines are exchanged for empty ones.
//
// Every block comes from the allocator and can go back to it, by whatever thread and on whatever
// way: so threads without a magazine, or with that of another runtime, just do that.
#ifndef FKLI_DEPOT_H
#define FKLI_DEPOT_H

#include <forkless/runtime.h>

#include "platform/platform.h"

enum {
    FKLI_BLOCK_SIZE = 152,     // bytes
    FKLI_MAGAZINE_BLOCKS = 32, // each of the two piles of a magazine
    FKLI_DEPOT_BLOCKS = 65536  // about so many a depot keeps
};

typedef struct fkli_block fkli_block;

// A pile of free blocks.
typedef struct fkli_pile {
    fkli_block *top;
    uint32_t count;
} fkli_pile;

typedef struct fkli_depot {
    const fkl_allocator *allocator; // constant
    fkli_atomic_u32 count;          // blocks; written under the lock
    fkli_lock lock;
    fkli_block *piles; // guarded by lock
} fkli_depot;

// One thread's.
typedef struct fkli_magazine {
    fkli_depot *depot; // NULL: there is no magazine
    fkli_pile loaded;  // taken from, and put to
    fkli_pile spare;   // full or empty
} fkli_magazine;

void fkli_depot_init(fkli_depot *depot, const fkl_allocator *allocator);
// Gives everything back. All magazines are closed.
void fkli_depot_fini(fkli_depot *depot);

void fkli_magazine_open(fkli_magazine *magazine, fkli_depot *depot);
// Gives the blocks to the depot. Closed ones may be closed again.
void fkli_magazine_close(fkli_magazine *magazine);

// Whether it is open, and for blocks of this allocator.
static inline bool fkli_magazine_serves(const fkli_magazine *magazine,
                                        const fkl_allocator *allocator)
{
    return magazine->depot && magazine->depot->allocator == allocator;
}

// A block of FKLI_BLOCK_SIZE bytes, or NULL when there is no free one: the caller then asks the
// allocator for that size.
void *fkli_magazine_take(fkli_magazine *magazine);
// Keeps such a block. False when it stays with the caller, as the magazine and its depot are full.
FKL_MUST_CHECK bool fkli_magazine_put(fkli_magazine *magazine, void *block);

#endif
