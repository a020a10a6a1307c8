// SPDX-License-Identifier: Apache-2.0
//
// Depots and magazines (see depot.h), after Bonwick and Adams, "Magazines and Vmem", 2001. A
// magazine is used by its thread alone, a depot by any; the magazine in a depot is used under a
// lock, which is given back before the allocator is called.
//
// A magazine has two piles, so that a thread which takes and puts in turns at the edge of a pile
// does not go to the depot each time. Whole piles go to the depot and come from it.

#include "depot.h"

#include "memory.h"

#include <assert.h>

// What a free block holds.
struct fkli_block {
    fkli_block *below; // in its pile
    const void *ahead; // what to fetch when it is taken
    uint8_t offset;    // in its allocation
    // Of the top one of a pile in a depot:
    uint32_t count;
    fkli_block *next_pile;
};

// Blocks.

static void *make_block(const fkl_allocator *allocator, const fkli_block_kind *kind,
                        uint8_t *offset)
{
    char *memory = fkli_alloc(allocator, kind->room + kind->slack);
    if (!memory)
        return NULL;
    unsigned missing = (unsigned)(0 - (uintptr_t)memory) % FKLI_CACHE_LINE;
    *offset = (uint8_t)(missing <= kind->slack ? missing : 0);
    return memory + *offset;
}

static void free_block(const fkl_allocator *allocator, const fkli_block_kind *kind, void *block,
                       uint8_t offset)
{
    fkli_free(allocator, (char *)block - offset, kind->room + kind->slack);
}

// For AddressSanitizer: the rest of a free block must not be touched.
static void seal(fkli_block *block, const fkli_block_kind *kind)
{
    FKLI_POISON(block + 1, kind->room - sizeof *block);
}

static void unseal(fkli_block *block, const fkli_block_kind *kind)
{
    FKLI_UNPOISON(block + 1, kind->room - sizeof *block);
}

static void give_back(const fkli_depot *depot, fkli_block *pile)
{
    while (pile) {
        fkli_block *below = pile->below;
        unseal(pile, &depot->kind);
        free_block(depot->allocator, &depot->kind, pile, pile->offset);
        pile = below;
    }
}

// Depot.

fkli_depot *fkli_depot_of(const fkl_allocator *allocator)
{
    if (allocator == fkli_allocator_of(NULL))
        return NULL;
    return &((fkli_store *)(uintptr_t)allocator)->messages;
}

void fkli_depot_init(fkli_depot *depot, const fkl_allocator *allocator, const fkli_block_kind *kind)
{
    assert(kind->room >= sizeof(fkli_block));
    depot->allocator = allocator;
    depot->kind = *kind;
    fkli_store_relaxed_u32(&depot->count, 0);
    fkli_lock_init(&depot->lock);
    depot->piles = NULL;
    fkli_lock_init(&depot->outside_lock);
    fkli_magazine_open(&depot->outside, depot);
}

void fkli_depot_fini(fkli_depot *depot)
{
    fkli_magazine_close(&depot->outside);
    fkli_lock_fini(&depot->outside_lock);
    while (depot->piles) {
        fkli_block *pile = depot->piles;
        depot->piles = pile->next_pile;
        give_back(depot, pile);
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
    if (count_of(depot) >= depot->kind.most)
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
    if (depot) {
        magazine->allocator = depot->allocator;
        magazine->kind = depot->kind;
    }
}

void fkli_magazine_close(fkli_magazine *magazine)
{
    if (!magazine->depot)
        return;
    fkli_pile piles[] = {magazine->loaded, magazine->spare};
    for (int i = 0; i < 2; ++i) {
        if (piles[i].top && !put_pile(magazine->depot, piles[i]))
            give_back(magazine->depot, piles[i].top);
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

static void *take_kept(fkli_magazine *magazine, uint8_t *offset)
{
    if (!magazine->loaded.top)
        load_more(magazine);
    fkli_block *block = magazine->loaded.top;
    if (!block)
        return NULL;
    fkli_fetch_block(block->ahead);
    magazine->loaded.top = block->below;
    --magazine->loaded.count;
    unseal(block, &magazine->kind);
    *offset = block->offset;
    return block;
}

void *fkli_magazine_take(fkli_magazine *magazine, uint8_t *offset)
{
    void *block = take_kept(magazine, offset);
    return block ? block : make_block(magazine->allocator, &magazine->kind, offset);
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

// False when there is no room.
static bool keep(fkli_magazine *magazine, void *freed, uint8_t offset)
{
    if (magazine->kind.most == 0 ||
        (magazine->loaded.count >= magazine->kind.pile && !unload(magazine)))
        return false;
    fkli_block *block = freed;
    block->offset = offset;
    block->below = magazine->loaded.top;
    block->ahead = fkli_trail_turn(&magazine->freed, block);
    magazine->loaded.top = block;
    ++magazine->loaded.count;
    seal(block, &magazine->kind);
    return true;
}

void fkli_magazine_put(fkli_magazine *magazine, void *block, uint8_t offset)
{
    if (!keep(magazine, block, offset))
        free_block(magazine->allocator, &magazine->kind, block, offset);
}

// Outside.

void *fkli_depot_take(fkli_depot *depot, uint8_t *offset)
{
    fkli_lock_take(&depot->outside_lock);
    void *block = take_kept(&depot->outside, offset);
    fkli_lock_give(&depot->outside_lock);
    return block ? block : make_block(depot->allocator, &depot->kind, offset);
}

void fkli_depot_put(fkli_depot *depot, void *block, uint8_t offset)
{
    fkli_lock_take(&depot->outside_lock);
    bool kept = keep(&depot->outside, block, offset);
    fkli_lock_give(&depot->outside_lock);
    if (!kept)
        free_block(depot->allocator, &depot->kind, block, offset);
}
