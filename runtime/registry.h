// SPDX-License-Identifier: Apache-2.0
//
// What the actors of one runtime share: the configuration, the table of slots that gives ids and
// finds actors, and the list of all actors. The runtime is counted too: it goes when its user has
// destroyed it and the last reference to one of its actors is dropped.
//
// A slot is never freed or moved while the runtime exists. Its word holds the generation of the id
// given out last (high half) and the references to that actor (low half), so a lookup takes a
// reference and checks the generation in one instruction.
#ifndef FKLI_REGISTRY_H
#define FKLI_REGISTRY_H

#include <forkless/actor.h>
#include <forkless/runtime.h>

#include "chunks.h"
#include "deadletter.h"
#include "log.h"
#include "memory.h"
#include "nametable.h"
#include "platform/platform.h"
#include "scheduler.h"
#include "timer.h"
#include "trace.h"
#include "wait.h"

typedef struct fkli_slot {
    fkli_atomic_u64 word;
    fkl_actor *actor;   // valid while there are references
    uint32_t next_free; // guarded by the registry's lock; slot index + 1
} fkli_slot;

struct fkl_runtime {
    // As in fkli_store:
    fkl_allocator allocator;
    char apart[FKLI_CACHE_LINE];
    fkli_depot depot; // of its messages' memory
    char apart_1[FKLI_CACHE_LINE];
    // Constant:
    fkl_runtime_config config; // with its defaults filled in
    bool parallel;             // there is more than one processor
    fkli_log_sink log;
    fkli_timers *timers;
    fkli_dead_letters dead_letters;
    fkli_tracer tracer;
    struct fkli_delayed *delayed; // delayed.h
    fkli_scheduler *pool; // of pooled actors; freed last, for who wakes one may still be in it
    fkli_atomic_ptr chunks[FKLI_CHUNKS]; // of slots; atomic
    // What many threads write lies apart from that, and by what is written together:
    char apart_2[FKLI_CACHE_LINE];
    // Their entries: names.c, groups.c.
    fkli_nametable names;
    fkli_nametable groups;
    fkli_lock circles;       // see circle.c; taken before the locks of actors
    fkli_atomic_u64 kept;    // messages that wait for the next incarnation of their receiver
    fkli_atomic_u64 unknown; // messages to ids that name no actor any more
    fkli_atomic_u64 late;    // answers for which nobody waited any more
    fkli_depot bodies;       // of its pooled actors' memory
    char apart_3[FKLI_CACHE_LINE];
    fkli_atomic_u64 refs;    // the user's and one for each actor
    fkli_atomic_u64 threads; // not ended; raised, and brought to 0, under the lock
    fkli_atomic_u64 live;    // actors whose exit is not published, or that are about to start
    char apart_4[FKLI_CACHE_LINE];
    // Guarded by lock:
    fkli_lock lock;
    bool stopping;
    uint32_t slots; // in the chunks so far
    uint32_t first_free;
    fkl_actor *actors;    // the latest first
    fkl_ahead *spares;    // see ahead.c
    fkli_waitlist idle;   // who waits for `threads` to fall to 0
    fkl_counters retired; // of actors that are gone
};

_Static_assert(offsetof(fkl_runtime, allocator) == offsetof(fkli_store, allocator) &&
                   offsetof(fkl_runtime, depot) == offsetof(fkli_store, messages),
               "a runtime begins with a store");

void fkli_registry_init(fkl_runtime *runtime);
void fkli_registry_retain(fkl_runtime *runtime);
void fkli_registry_release(fkl_runtime *runtime);

// Gives an id for `actor`, with `refs` references. Errors: FKL_ENOMEM, FKL_ELIMIT (no slot left).
FKL_MUST_CHECK fkl_err fkli_registry_add_locked(fkl_runtime *runtime, fkl_actor *actor,
                                                uint32_t refs, fkli_slot **slot, fkl_actor_id *id);
// Takes back the slot of an actor without references.
void fkli_registry_remove_locked(fkl_runtime *runtime, fkli_slot *slot, fkl_actor_id id);

// The actor with this id, dead or alive, with a new reference; NULL when it is gone.
fkl_actor *fkli_registry_find(fkl_runtime *runtime, fkl_actor_id id);
// Whether the id was ever given out.
bool fkli_registry_knows(fkl_runtime *runtime, fkl_actor_id id);

void fkli_slot_retain(fkli_slot *slot);
// Returns whether it was the last reference.
bool fkli_slot_release(fkli_slot *slot);

#endif
