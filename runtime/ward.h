// SPDX-License-Identifier: Apache-2.0
//
// Wards: actors that have a supervisor. What stands here ties the two together without the actor
// having to know what a supervisor is: the actor tells when it has ended, and leaves the messages
// that it has not received to its next incarnation.
#ifndef FKLI_WARD_H
#define FKLI_WARD_H

#include "actor.h"

// What a supervisor is told; bits, of which each comes at most once, in any order.
typedef enum fkli_ward_event {
    FKLI_WARD_STARTED = 1, // a supervisor: its own children run
    FKLI_WARD_EXITED = 2,  // the exit is published and everybody else has been told
    FKLI_WARD_ENDED = 4    // its code runs no more
} fkli_ward_event;

typedef struct fkli_ward_ops {
    // Threads: any. Takes short locks, wakes, and does nothing else.
    void (*notify)(fkli_ward *ward, fkli_ward_event event);
    // Whether the supervisor still sees to the actor's end. Threads: any, also under locks.
    bool (*is_minded)(const fkli_ward *ward);
    // Drops the actor's reference; with the last reference to the actor.
    void (*release)(fkli_ward *ward);
} fkli_ward_ops;

struct fkli_ward {
    const fkli_ward_ops *ops;
    // What the actor begins with; the spawn takes it. A failed spawn leaves it to the estate.
    fkl_msg *inheritance;
    fkli_lock lock;
    // Guarded by lock:
    bool keeps;
    fkl_msg *early; // what its own thread had taken from the mailbox and not handed out
    fkl_msg *late;  // what was still in the mailbox
};

void fkli_ward_init(fkli_ward *ward, const fkli_ward_ops *ops, bool keeps);
void fkli_ward_fini(fkli_ward *ward);

// For the supervisor.

// Takes what the actor left, oldest first; from now on nothing is kept.
fkl_msg *fkli_ward_take_estate(fkli_ward *ward);
// Puts the second chain behind the first.
fkl_msg *fkli_estate_join(fkl_msg *first, fkl_msg *second);
// Destroys messages that nobody will inherit, and counts them as dropped.
void fkli_estate_drop(fkl_runtime *runtime, fkl_msg *chain);

// For the actor; each does nothing for one without a ward.

// Fills the mailbox with what it inherits. Threads: the one that makes it, before others know it.
void fkli_ward_inherit(fkl_actor *actor);
// Keeps those messages of the chain that the next incarnation shall have, and returns the others.
// They are behind what was kept before, or before it if `early`.
fkl_msg *fkli_ward_keep(fkl_actor *actor, fkl_msg *chain, bool early);
void fkli_ward_tell(fkl_actor *actor, fkli_ward_event event);
bool fkli_ward_is_minded(const fkl_actor *actor);
void fkli_ward_release(fkl_actor *actor);

#endif
