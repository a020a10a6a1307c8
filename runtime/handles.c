// SPDX-License-Identifier: Apache-2.0
//
// The table of numbered objects (see handles.h). Runs under its owner's lock. A slot whose
// generations are used up is not given out again.

#include "handles.h"

struct fkli_handle_slot {
    void *object; // NULL: free
    uint32_t generation;
    uint32_t next_free; // index + 1; 0: none
};

static fkli_handle_slot *slot_at(const fkli_handles *handles, uint32_t index)
{
    size_t offset;
    unsigned chunk = fkli_chunk_of(index, &offset);
    return &handles->chunks[chunk][offset];
}

void fkli_handles_init(fkli_handles *handles, const fkl_allocator *allocator)
{
    *handles = (fkli_handles){.allocator = allocator};
}

void fkli_handles_fini(fkli_handles *handles)
{
    for (unsigned chunk = 0; chunk < FKLI_CHUNKS; ++chunk)
        fkli_free(handles->allocator, handles->chunks[chunk],
                  fkli_chunk_len(chunk) * sizeof(fkli_handle_slot));
}

static fkl_err grow(fkli_handles *handles)
{
    size_t offset;
    unsigned chunk = fkli_chunk_of(handles->slots, &offset);
    size_t count = fkli_chunk_len(chunk);
    if (chunk >= FKLI_CHUNKS || handles->slots + (uint64_t)count > UINT32_MAX)
        return FKL_ENOMEM;
    handles->chunks[chunk] = fkli_alloc(handles->allocator, count * sizeof(fkli_handle_slot));
    if (!handles->chunks[chunk])
        return FKL_ENOMEM;
    handles->slots += (uint32_t)count;
    return FKL_OK;
}

// A free slot, with the generation that it had last.
static fkl_err take_slot(fkli_handles *handles, uint32_t *index, fkli_handle_slot **slot)
{
    if (handles->first_free) {
        *index = handles->first_free - 1;
        *slot = slot_at(handles, *index);
        handles->first_free = (*slot)->next_free;
        return FKL_OK;
    }
    fkl_err err = handles->used == handles->slots ? grow(handles) : FKL_OK;
    if (err)
        return err;
    *index = handles->used++;
    *slot = slot_at(handles, *index);
    (*slot)->generation = 0;
    return FKL_OK;
}

fkl_err fkli_handles_add_locked(fkli_handles *handles, void *object, uint64_t *number)
{
    uint32_t index;
    fkli_handle_slot *slot;
    fkl_err err = take_slot(handles, &index, &slot);
    if (err)
        return err;
    slot->object = object;
    *number = (uint64_t)++slot->generation << 32 | index;
    return FKL_OK;
}

static fkli_handle_slot *find(const fkli_handles *handles, uint64_t number)
{
    uint32_t index = (uint32_t)number;
    if (index >= handles->used)
        return NULL;
    fkli_handle_slot *slot = slot_at(handles, index);
    return slot->object && slot->generation == (uint32_t)(number >> 32) ? slot : NULL;
}

void *fkli_handles_find_locked(fkli_handles *handles, uint64_t number)
{
    const fkli_handle_slot *slot = find(handles, number);
    return slot ? slot->object : NULL;
}

void *fkli_handles_take_locked(fkli_handles *handles, uint64_t number)
{
    fkli_handle_slot *slot = find(handles, number);
    if (!slot)
        return NULL;
    void *object = slot->object;
    slot->object = NULL;
    if (slot->generation < UINT32_MAX) {
        slot->next_free = handles->first_free;
        handles->first_free = (uint32_t)number + 1;
    }
    return object;
}
