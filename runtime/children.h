// SPDX-License-Identifier: Apache-2.0
//
// The children of one supervisor: their list in order, look-up by number and by id, and for each at
// most one point of time at which something is due. All of it is O(1) or O(log n), for a supervisor
// may have a hundred thousand.
//
// The supervisor's own thread changes this, under the supervisor's lock where other threads look:
// at the list and its tables, and at what is marked "seen" below. It reads without the lock.
#ifndef FKLI_CHILDREN_H
#define FKLI_CHILDREN_H

#include "plan.h"

typedef struct fkli_incarnation fkli_incarnation; // supervisor.h
typedef struct fkli_request fkli_request;         // supervisor.h

typedef struct fkli_child {
    // Constant:
    fkl_child number;
    fkli_child_plan *plan; // retained
    // The containers':
    struct fkli_child *next;
    struct fkli_child *previous;
    struct fkli_child *next_by_number;
    struct fkli_child *next_by_id;
    size_t place; // in the heap, counted from 1; 0: nothing is due
    fkl_time due;
    // Seen:
    fkl_child_state state;
    bool orphan;
    bool has_ended;
    fkl_actor_id id; // of `actor`
    fkl_exit_reason last_reason;
    int32_t last_code;
    uint64_t starts;
    uint64_t failures;
    int64_t delay;
    // The supervisor's thread alone:
    fkli_incarnation *incarnation; // the one whose code has not ended, or NULL
    fkl_actor *actor;              // its reference, or NULL
    fkl_time started_at;
    uint32_t streak;        // failures in a row, for the back-off
    bool adding;            // by a request that waits for its first start
    bool asked;             // the supervisor asked it to stop, so its end is no failure
    bool killed;            // and killed it
    bool removing;          // to be removed once it has ended
    bool again;             // to be started again at once when it has ended
    fkl_msg *estate;        // messages that no incarnation has received yet
    fkli_request *requests; // who waits for something of this child
} fkli_child;

typedef struct fkli_children {
    const fkl_allocator *allocator;
    fkli_child *first;
    fkli_child *last;
    size_t count;
    fkl_child last_number;
    // Hash tables of `buckets` chains each, a power of two.
    fkli_child **by_number;
    fkli_child **by_id;
    size_t buckets;
    // A binary heap by `due`, with room for all children: arming one cannot fail.
    fkli_child **heap;
    size_t heap_len;
    size_t heap_capacity;
} fkli_children;

void fkli_children_init(fkli_children *children, const fkl_allocator *allocator);
// There must be no children left.
void fkli_children_fini(fkli_children *children);

// Makes a child behind the others; takes over the reference to `plan` on success.
// Errors: FKL_ENOMEM; FKL_EEXIST: another child has its id.
FKL_MUST_CHECK fkl_err fkli_children_add(fkli_children *children, fkli_child_plan *plan,
                                         fkli_child **out);
// Takes a child out and frees it.
void fkli_children_remove(fkli_children *children, fkli_child *child);

// NULL when there is none.
fkli_child *fkli_children_find(const fkli_children *children, fkl_child number);
fkli_child *fkli_children_find_id(const fkli_children *children, const char *id);
// The first child whose number is above `number`, or NULL. O(1) for a number that is there.
fkli_child *fkli_children_after(const fkli_children *children, fkl_child number);

// Something is due for `child` at `due`, instead of what was.
void fkli_children_arm(fkli_children *children, fkli_child *child, fkl_time due);
void fkli_children_disarm(fkli_children *children, fkli_child *child);
// When the next thing is due; FKL_FOREVER when none is.
fkl_time fkli_children_next_due(const fkli_children *children);
// Disarms and returns a child whose time has come, the earliest first; NULL when there is none.
fkli_child *fkli_children_take_due(fkli_children *children, fkl_time now);

#endif
