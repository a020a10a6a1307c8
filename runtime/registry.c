// SPDX-License-Identifier: Apache-2.0
//
// The table of slots (see registry.h). Lookups and references are lock-free and run in any thread;
// giving and taking slots is done under the runtime's lock.
//
// An id is (generation << 32 | slot index). The generation goes up when a slot is given out, so an
// id is known exactly if its generation is not above the slot's. A slot whose generations are used
// up is not given out again.

#include "registry.h"

#include <string.h>

#define ONE_GENERATION (UINT64_C(1) << 32)
#define REFS_MASK UINT64_C(0xffffffff)

static uint32_t generation_of(uint64_t word)
{
    return (uint32_t)(word >> 32);
}

static uint32_t refs_of(uint64_t word)
{
    return (uint32_t)(word & REFS_MASK);
}

static size_t chunk_bytes(unsigned chunk)
{
    return fkli_chunk_len(chunk) * sizeof(fkli_slot);
}

// NULL when the slot does not exist (yet).
static fkli_slot *slot_at(fkl_runtime *runtime, uint32_t index)
{
    size_t offset;
    unsigned chunk = fkli_chunk_of(index, &offset);
    if (chunk >= FKLI_CHUNKS)
        return NULL;
    // The acquire pairs with the release in grow_locked(): the chunk's words are zeroed.
    fkli_slot *slots = fkli_load_acquire_ptr(&runtime->chunks[chunk]);
    return slots ? &slots[offset] : NULL;
}

void fkli_registry_init(fkl_runtime *runtime)
{
    fkli_store_relaxed_u64(&runtime->refs, 1);
    fkli_lock_init(&runtime->circles);
    fkli_lock_init(&runtime->lock);
}

void fkli_registry_retain(fkl_runtime *runtime)
{
    fkli_add_relaxed_u64(&runtime->refs, 1); // the caller's reference keeps it alive
}

void fkli_registry_release(fkl_runtime *runtime)
{
    // The release half pairs with the acquire half of the last one.
    if (fkli_sub_acq_rel_u64(&runtime->refs, 1) != 1)
        return;
    fkl_allocator allocator = runtime->allocator;
    fkli_scheduler_destroy(runtime->pool);
    fkli_depot_fini(&runtime->bodies);
    fkli_depot_fini(&runtime->depot);
    for (unsigned chunk = 0; chunk < FKLI_CHUNKS; ++chunk)
        fkli_free(&allocator, fkli_load_relaxed_ptr(&runtime->chunks[chunk]), chunk_bytes(chunk));
    fkli_tracer_fini(&runtime->tracer);
    fkli_lock_fini(&runtime->lock);
    fkli_lock_fini(&runtime->circles);
    fkli_free(&allocator, runtime, sizeof *runtime);
}

// Adds the next chunk and puts its slots on the free list, lowest first.
static fkl_err grow_locked(fkl_runtime *runtime)
{
    size_t offset;
    unsigned chunk = fkli_chunk_of(runtime->slots, &offset);
    uint64_t count = fkli_chunk_len(chunk);
    if (chunk >= FKLI_CHUNKS || runtime->slots + count > UINT32_MAX)
        return FKL_ELIMIT;
    fkli_slot *slots = fkli_alloc_zeroed(&runtime->allocator, chunk_bytes(chunk));
    if (!slots)
        return FKL_ENOMEM;
    for (uint64_t i = 0; i < count; ++i)
        slots[i].next_free = i + 1 < count ? runtime->slots + (uint32_t)i + 2 : runtime->first_free;
    runtime->first_free = runtime->slots + 1;
    runtime->slots += (uint32_t)count;
    fkli_store_release_ptr(&runtime->chunks[chunk], slots);
    return FKL_OK;
}

fkl_err fkli_registry_add_locked(fkl_runtime *runtime, fkl_actor *actor, uint32_t refs,
                                 fkli_slot **slot, fkl_actor_id *id)
{
    if (!runtime->first_free) {
        fkl_err err = grow_locked(runtime);
        if (err)
            return err;
    }
    uint32_t index = runtime->first_free - 1;
    fkli_slot *free_slot = slot_at(runtime, index);
    runtime->first_free = free_slot->next_free;
    free_slot->actor = actor;
    uint32_t generation = generation_of(fkli_load_relaxed_u64(&free_slot->word)) + 1;
    *slot = free_slot;
    *id = (fkl_actor_id)generation << 32 | index;
    // Pairs with the acquire in fkli_registry_find(), which then reads `actor`.
    fkli_store_release_u64(&free_slot->word, (uint64_t)generation << 32 | refs);
    return FKL_OK;
}

void fkli_registry_remove_locked(fkl_runtime *runtime, fkli_slot *slot, fkl_actor_id id)
{
    if (generation_of(fkli_load_relaxed_u64(&slot->word)) == UINT32_MAX)
        return;
    slot->next_free = runtime->first_free;
    runtime->first_free = (uint32_t)id + 1;
}

fkl_actor *fkli_registry_find(fkl_runtime *runtime, fkl_actor_id id)
{
    fkli_slot *slot = slot_at(runtime, (uint32_t)id);
    if (!slot || id == FKL_NOBODY)
        return NULL;
    uint64_t word = fkli_load_relaxed_u64(&slot->word);
    do {
        if (generation_of(word) != (uint32_t)(id >> 32) || refs_of(word) == 0)
            return NULL;
    } while (!fkli_cas_acquire_u64(&slot->word, &word, word + 1));
    return slot->actor;
}

bool fkli_registry_knows(fkl_runtime *runtime, fkl_actor_id id)
{
    fkli_slot *slot = slot_at(runtime, (uint32_t)id);
    uint32_t generation = (uint32_t)(id >> 32);
    return slot && generation > 0 &&
           generation <= generation_of(fkli_load_relaxed_u64(&slot->word));
}

void fkli_slot_retain(fkli_slot *slot)
{
    fkli_add_relaxed_u64(&slot->word, 1); // the caller's reference keeps it alive
}

bool fkli_slot_release(fkli_slot *slot)
{
    // The release half pairs with the acquire half of the last one, which frees the actor.
    return refs_of(fkli_sub_acq_rel_u64(&slot->word, 1)) == 1;
}
