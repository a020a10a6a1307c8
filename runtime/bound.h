// SPDX-License-Identifier: Apache-2.0
//
// The bound of a mailbox: its places for user messages, and what a sender does that finds none.
//
// A user message holds a place from before its push until it has been taken out of its lane, so
// there are never more such messages than places. Senders discard the oldest message of a full
// mailbox whose policy is FKL_FULL_DROP_OLDEST: there, and only there, a lock guards what is the
// consumer's alone otherwise.
#ifndef FKLI_BOUND_H
#define FKLI_BOUND_H

#include <forkless/mail.h>

#include "credit.h"
#include "memory.h"

typedef struct fkli_scan fkli_scan; // scan.h

typedef struct fkli_bound {
    uint32_t capacity; // constant
    fkl_full full;     // constant
    fkli_credit places;
    fkli_atomic_u64 exempt; // replies that wait: they need no place
    fkli_lock lock;         // of the mailbox's lanes, for FKL_FULL_DROP_OLDEST
    fkli_scan *scan;        // guarded by lock: the selective receive under way
} fkli_bound;

// Errors: FKL_ENOMEM; FKL_EINVAL: there is no such policy.
FKL_MUST_CHECK fkl_err fkli_bound_create(const fkl_allocator *allocator, uint32_t capacity,
                                         fkl_full full, fkli_bound **out);
void fkli_bound_destroy(const fkl_allocator *allocator, fkli_bound *bound); // NULL is allowed

// A message has been taken out, and nobody takes over its place.
void fkli_bound_leave(fkli_bound *bound, const fkl_msg *msg);

#endif
