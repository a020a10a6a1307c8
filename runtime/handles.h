// SPDX-License-Identifier: Apache-2.0
//
// Numbers for objects. A number never names another object than the one it was given for: it holds
// the slot's index (low half) and the slot's generation (high half), which goes up each time. 0
// names nothing.
//
// The owner of the table guards it with a lock. Slots lie in chunks that double in size, and are
// written when they are first given out, so that growing takes no longer for a million of them.
#ifndef FKLI_HANDLES_H
#define FKLI_HANDLES_H

#include <forkless/error.h>

#include "chunks.h"
#include "memory.h"

typedef struct fkli_handle_slot fkli_handle_slot;

typedef struct fkli_handles {
    const fkl_allocator *allocator;
    uint32_t slots;      // in the chunks so far
    uint32_t used;       // the first ones: given out at least once
    uint32_t first_free; // of those; index + 1; 0: none
    fkli_handle_slot *chunks[FKLI_CHUNKS];
} fkli_handles;

// `allocator` outlives the table.
void fkli_handles_init(fkli_handles *handles, const fkl_allocator *allocator);
// The objects are not touched.
void fkli_handles_fini(fkli_handles *handles);

// Gives a number for `object`, which is not NULL. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_handles_add_locked(fkli_handles *handles, void *object,
                                               uint64_t *number);
// The object of a number; NULL when it has been taken out, or the number was never given.
void *fkli_handles_find_locked(fkli_handles *handles, uint64_t number);
// Takes it out as well.
void *fkli_handles_take_locked(fkli_handles *handles, uint64_t number);

#endif
