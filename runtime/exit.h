// SPDX-License-Identifier: Apache-2.0
//
// Publishing how an actor ended: once, whoever comes first.
#ifndef FKLI_EXIT_H
#define FKLI_EXIT_H

#include "actor.h"

typedef struct fkli_ending fkli_ending;

// An exit that is published and of which the others are still to be told. It lies where the
// publisher has room, for nothing can be allocated then.
struct fkli_ending {
    fkl_actor *actor; // kept alive by the publisher
    fkli_ending *next;
    fkl_msg *left;     // what was in the mailbox
    fkli_name *name;   // taken from it, or NULL
    fkli_blob *unused; // an error that the record does not have
    int sentinel;      // to be closed, or -1
    bool stop;         // its code is to be stopped as well
    bool has_bonds;    // there are asks, links, monitors or groups to be settled
};

// Exits that follow from each other, in the order in which they are told of.
typedef struct fkli_endings {
    fkli_ending *first;
    fkli_ending *last;
} fkli_endings;

// Publishes what fkl_actor_set_exit() or the return of the function say. Threads: the actor's own.
bool fkli_exit_publish_return(fkl_actor *actor);

// Publishes an exit like that of `cause`, which is published already; the caller tells the others
// by appending `ending` to the endings that it was given. Returns false, and leaves `ending` alone,
// if the exit of `actor` is published.
bool fkli_exit_follow_locked(fkl_actor *actor, const fkl_actor *cause, fkli_ending *ending);

// What is left of the exit when the last reference goes.
void fkli_exit_fini(fkl_actor *actor);

#endif
