// SPDX-License-Identifier: Apache-2.0
//
// Depots and magazines (see depot.h), after Bonwick and Adams, "Magazines and Vmem", 2001. A
// magazine is used by its thread alone, a depot by any.
//
// A magazine has two piles, so that a thread which takes and puts in turns at the edge of a pile
// does not go to the depot each time. Whole piles go to the depot and come from it.

#include "depot.h"

#include "memory.h"

// What a free block holds.
struct fkli_block {
    fkli_block *below; // in its pile
    const void *ahead; // what to fetch when it is taken
    // Of the top one of a pile in a depot:
    fkli_block *next_pile;
    uint32_t count;
};

_Static_assert(sizeof(fkli_block) <= FKLI_BLOCK_SIZE, "a free block has room for its links");

// For AddressSanitizer: the rest of a free block must not be touched.
static void seal(fkli_block *block)
{
    FKLI_POISON(block + 1, FKLI_BLOCK_SIZE - sizeof *block);
}

static void unseal(fkli_block *block)
{
    FKLI_UNPOISON(block + 1, FKLI_BLOCK_SIZE - sizeof *block);
}

static void give_back(const fkl_allocator *allocator, fkli_block *pile)
{
    while (pile) {
        fkli_block *below = pile->below;
        unseal(pile);
        fkli_free(allocator, pile, FKLI_BLOCK_SIZE);
        pile = below;
    }
}

// Depot.

void fkli_depot_init(fkli_depot *depot, const fkl_allocator *allocator)
{
    depot->allocator = allocator;
    fkli_store_relaxed_u32(&depot->count, 0);
    fkli_lock_init(&depot->lock);
    depot->piles = NULL;
}

void fkli_depot_fini(fkli_depot *depot)
{
    while (depot->piles) {
        fkli_block *pile = depot->piles;
        depot->piles = pile->next_pile;
        give_back(depot->allocator, pile);
    }
    fkli_lock_fini(&depot->lock);
}

// Relaxed: a guess, or under the lock.
static uint32_t count_of(const fkli_depot *depot)
{
    return fkli_load_relaxed_u32(&depot->count);
}

// Returns false when the depot is full.
static bool put_pile(fkli_depot *depot, fkli_pile pile)
{
    if (count_of(depot) >= FKLI_DEPOT_BLOCKS)
        return false;
    pile.top->count = pile.count;
    fkli_lock_take(&depot->lock);
    pile.top->next_pile = depot->piles;
    depot->piles = pile.top;
    fkli_store_relaxed_u32(&depot->count, count_of(depot) + pile.count);
    fkli_lock_give(&depot->lock);
    return true;
}

// An empty pile when there is none.
static fkli_pile take_pile(fkli_depot *depot)
{
    fkli_pile pile = {NULL, 0};
    if (count_of(depot) == 0)
        return pile;
    fkli_lock_take(&depot->lock);
    pile.top = depot->piles;
    if (pile.top) {
        pile.count = pile.top->count;
        depot->piles = pile.top->next_pile;
        fkli_store_relaxed_u32(&depot->count, count_of(depot) - pile.count);
    }
    fkli_lock_give(&depot->lock);
    return pile;
}

// Magazine.

void fkli_magazine_open(fkli_magazine *magazine, fkli_depot *depot)
{
    *magazine = (fkli_magazine){.depot = depot};
}

void fkli_magazine_close(fkli_magazine *magazine)
{
    if (!magazine->depot)
        return;
    fkli_pile piles[] = {magazine->loaded, magazine->spare};
    for (int i = 0; i < 2; ++i) {
        if (piles[i].top && !put_pile(magazine->depot, piles[i]))
            give_back(magazine->depot->allocator, piles[i].top);
    }
    fkli_magazine_open(magazine, NULL);
}

// Makes the loaded pile one that is not empty, if there is any.
static void load_more(fkli_magazine *magazine)
{
    if (magazine->spare.top) {
        magazine->loaded = magazine->spare;
        magazine->spare = (fkli_pile){NULL, 0};
    } else {
        magazine->loaded = take_pile(magazine->depot);
    }
}

void *fkli_magazine_take(fkli_magazine *magazine)
{
    if (!magazine->loaded.top)
        load_more(magazine);
    fkli_block *block = magazine->loaded.top;
    if (!block)
        return NULL;
    fkli_fetch_block(block->ahead);
    magazine->loaded.top = block->below;
    --magazine->loaded.count;
    unseal(block);
    return block;
}

// Makes the loaded pile one that is not full; false when there is no room for a full one.
static bool unload(fkli_magazine *magazine)
{
    if (magazine->spare.top && !put_pile(magazine->depot, magazine->spare))
        return false;
    magazine->spare = magazine->loaded;
    magazine->loaded = (fkli_pile){NULL, 0};
    return true;
}

bool fkli_magazine_put(fkli_magazine *magazine, void *freed)
{
    if (magazine->loaded.count >= FKLI_MAGAZINE_BLOCKS && !unload(magazine))
        return false;
    fkli_block *block = freed;
    block->below = magazine->loaded.top;
    block->ahead = fkli_trail_turn(&magazine->freed, block);
    magazine->loaded.top = block;
    ++magazine->loaded.count;
    seal(block);
    return true;
}
