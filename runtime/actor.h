// SPDX-License-Identifier: Apache-2.0
//
// The inside of an actor. actor.c starts and ends it, mail.c sends and receives, exit.c publishes
// how it ended, monitor.c tells others.
#ifndef FKLI_ACTOR_H
#define FKLI_ACTOR_H

#include <forkless/actor.h>

#include "blob.h"
#include "mailbox.h"
#include "registry.h"
#include "wait.h"

typedef struct fkli_monitor fkli_monitor; // monitor.h

struct fkl_actor {
    // Constant once it is spawned:
    fkl_runtime *runtime;
    fkli_slot *slot; // its word counts the references
    fkl_actor_id id;
    fkl_actor_fn fn;
    void *arg;
    void *data;
    char *name;  // behind this struct, or ""
    size_t size; // of the block
    fkli_start start;
    // The own thread's record; its parker is woken by anybody who holds a reference.
    fkli_thread thread;
    fkli_scope scope;
    fkli_event exited; // set once `exit` is published
    fkli_event thread_ended;
    // Guarded by the runtime's lock:
    fkl_actor *next;
    fkl_actor *previous;
    // Guarded by lock until `exited` is set, constant afterwards:
    fkli_lock lock;
    fkl_exit exit;
    fkli_blob *error; // what exit.error points into, or will
    int32_t pending_code;
    bool pending; // fkl_actor_set_exit() was called
    // Guarded by lock:
    int sentinel_read; // -1: not made
    int sentinel_write;
    fkli_monitor *watchers; // monitors on this actor
    fkli_monitor *watching; // monitors by this actor
    uint64_t last_monitor;  // the own thread's
    fkli_mailbox mailbox;
};

// The actor whose own thread this is and on whose behalf it runs now, or NULL.
fkl_actor *fkli_actor_own(void);

// Wakes the consumer of the mailbox, after a push that said so.
static inline void fkli_actor_wake(fkl_actor *actor)
{
    fkli_unpark(&actor->thread.parker);
}

#endif
