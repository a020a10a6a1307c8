// SPDX-License-Identifier: Apache-2.0
//
// How much of a runtime's memory is in use, where free blocks of messages are kept for the next.
#ifndef SUPPORT_KEPT_H
#define SUPPORT_KEPT_H

#include "support/rig.h"

#include "depot.h"
#include "memory.h"

// Blocks of `memory`, which is the runtime's, without free ones. Nobody uses the runtime meanwhile,
// and it has no threads.
static inline long blocks_in_use(rig_memory *memory, const fkl_runtime *runtime)
{
    const fkli_depot *depot = fkli_depot_of(fkli_allocator_of(runtime));
    uint32_t kept = depot->outside.loaded.count + depot->outside.spare.count;
    return atomic_load(&memory->blocks) - (long)kept - (long)fkli_load_relaxed_u32(&depot->count);
}

#endif
