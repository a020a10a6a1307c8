// SPDX-License-Identifier: Apache-2.0
//
// Memory blocks of one size, which messages are made of, and of another, for pooled actors: freed
// ones are kept for the next. Each thread that runs actors has a magazine of them, which needs no
// lock; a runtime has a depot, with which full magazines are exchanged for empty ones.
//
// Every block is an allocation of its own, and goes back to the allocator when enough are kept. It
// begins with a cache line, some bytes into the allocation: that offset goes with it. Threads
// without a magazine, or with that of another runtime, share one.
#ifndef FKLI_DEPOT_H
#define FKLI_DEPOT_H

#include <forkless/runtime.h>

#include "platform/platform.h"

enum { FKLI_TRAIL = 16 }; // how many steps ahead blocks are fetched

// What blocks a depot has.
typedef struct fkli_block_kind {
    uint32_t room;  // bytes of a block
    uint32_t slack; // further ones in its allocation, so that it can begin with a cache line
    uint32_t pile;  // blocks in each of the two piles of a magazine
    uint32_t most;  // about so many free ones the depot keeps
} fkli_block_kind;

// As many, but where freed memory is watched (simulated.h) none.
#ifndef FKLI_KEPT_BLOCKS
#define FKLI_KEPT_BLOCKS(most) (most)
#endif

// Enough slack where memory begins at multiples of 16, as malloc's does. Elsewhere some blocks
// begin anywhere, and are only slower.
#define FKLI_BLOCK_SLACK (FKLI_CACHE_LINE - 16u)

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

// Has the processor fetch what a short message in `block` consists of: its first cache line.
static inline void fkli_fetch_block(const void *block)
{
    __builtin_prefetch(block, 1);
}

// A pile of free blocks.
typedef struct fkli_pile {
    fkli_block *top;
    uint32_t count;
} fkli_pile;

// Used by one thread, or under a lock.
typedef struct fkli_magazine {
    struct fkli_depot *depot; // NULL: there is no magazine
    // Constant, copied from the depot, which others write all the time:
    const fkl_allocator *allocator;
    fkli_block_kind kind;
    fkli_pile loaded; // taken from, and put to
    fkli_pile spare;  // full or empty
    fkli_trail made;  // blocks that became messages
    fkli_trail freed; // blocks that were put here
} fkli_magazine;

typedef struct fkli_depot {
    // Constant:
    const fkl_allocator *allocator;
    fkli_block_kind kind;
    fkli_atomic_u32 count; // blocks; written under the lock
    fkli_lock lock;
    fkli_block *piles; // guarded by lock
    char apart[FKLI_CACHE_LINE];
    fkli_lock outside_lock;
    fkli_magazine outside; // of threads that have none; guarded by outside_lock
} fkli_depot;

// What a struct fkl_runtime begins with, which lets the layers below it get at its depot.
typedef struct fkli_store {
    fkl_allocator allocator;
    char apart[FKLI_CACHE_LINE];
    fkli_depot messages;
} fkli_store;

// Of the runtime whose allocator this is; NULL for the default one.
fkli_depot *fkli_depot_of(const fkl_allocator *allocator);

void fkli_depot_init(fkli_depot *depot, const fkl_allocator *allocator,
                     const fkli_block_kind *kind);
// Gives everything back. All magazines are closed.
void fkli_depot_fini(fkli_depot *depot);

// What the functions of magazines below do, by a thread that has none.
void *fkli_depot_take(fkli_depot *depot, uint8_t *offset);
void fkli_depot_put(fkli_depot *depot, void *block, uint8_t offset);

void fkli_magazine_open(fkli_magazine *magazine, fkli_depot *depot);
// Gives the blocks to the depot. Closed ones may be closed again.
void fkli_magazine_close(fkli_magazine *magazine);

// Whether it is open, and for blocks of this allocator.
static inline bool fkli_magazine_serves(const fkli_magazine *magazine,
                                        const fkl_allocator *allocator)
{
    return magazine->depot && magazine->allocator == allocator;
}

// A block, from the allocator when none is kept; NULL when there is no memory. Whoever gives it
// back must say the offset.
void *fkli_magazine_take(fkli_magazine *magazine, uint8_t *offset);
// Keeps such a block, or gives it to the allocator.
void fkli_magazine_put(fkli_magazine *magazine, void *block, uint8_t offset);

#endif
