// SPDX-License-Identifier: Apache-2.0
//
// Links: two actors of which the failure of one ends the other.
#ifndef FKLI_LINK_H
#define FKLI_LINK_H

#include "exit.h"

// After `actor`'s exit is published: sends the exit signals and ends the links. The exits that
// follow are published and appended to `endings`. Threads: the one that published.
void fkli_links_settle(fkl_actor *actor, fkli_endings *endings);

// Whether the link of an FKL_MSG_EXIT in the mailbox was ended by its receiver, which then does not
// get it. Threads: the receiver's own.
bool fkli_link_is_over(const fkl_msg *msg);

// Frees an ending that fkli_links_settle() appended, once it has been told of.
void fkli_link_announced(fkli_ending *ending);

// For a spawn: links `child`, which does not run yet, with the calling actor. Errors: FKL_ENOMEM,
// FKL_EPERM (no own thread of an actor of this runtime), FKL_ESTOPPED (its exit is published).
FKL_MUST_CHECK fkl_err fkli_link_child(fkl_actor *child);
// Takes that back, without a signal, when the child cannot start after all.
void fkli_link_disown(fkl_actor *child);

#endif
