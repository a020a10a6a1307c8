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
    FKLI_TRAIL = 16,           // how many steps ahead blocks are fetched
    FKLI_DEPOT_BLOCKS = 65536  // about so many a depot keeps
};

typedef struct fkli_block fkli_block;

// The blocks that a thread touched last. Blocks that were touched in a row by one thread are mostly
// walked in a row by another, along links that lie in the blocks themselves: each step would wait
// for a cache line of the other processor. So a block notes which one will be needed a few steps
// later, for the processor to fetch meanwhile. It is a guess: it is never followed, and may name
// memory that is no more.
typedef struct fkli_trail {
    const void *last[FKLI_TRAIL];
    uint32_t turn;
} fkli_trail;

// Adds `block`; returns the one that was added FKLI_TRAIL turns ago.
static inline const void *fkli_trail_turn(fkli_trail *trail, const void *block)
{
    const void **place = &trail->last[trail->turn++ % FKLI_TRAIL];
    const void *before = *place;
    *place = block;
    return before;
}

// Has the processor fetch what a short message in `block` consists of, to be written to.
static inline void fkli_fetch_block(const void *block)
{
    __builtin_prefetch(block, 1);
    __builtin_prefetch((const char *)block + 64, 1);
}

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
    fkli_trail made;   // blocks that became messages
    fkli_trail freed;  // blocks that were put here
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
