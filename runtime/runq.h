// SPDX-License-Identifier: Apache-2.0
//
// Queues of tasks that are ready to run: the ring that each worker has, from which others may
// steal, and the line that all share.
#ifndef FKLI_RUNQ_H
#define FKLI_RUNQ_H

#include "platform/platform.h"

// What a scheduler runs. Embedded in what it stands for; 16 bytes.
typedef struct fkli_task {
    struct fkli_task *next; // the line's that holds it
    fkli_atomic_u32 state;  // scheduler.c
} fkli_task;

// Ring: one owner puts, the owner and any number of thieves take, oldest first. No locks.

enum { FKLI_RING_SIZE = 256 }; // a power of two

typedef struct fkli_ring {
    fkli_atomic_u64 head; // tasks taken so far; whoever takes some advances it
    char apart[FKLI_CACHE_LINE];
    fkli_atomic_u64 tail; // tasks put so far; the owner's
    fkli_atomic_ptr slots[FKLI_RING_SIZE];
} fkli_ring;

void fkli_ring_init(fkli_ring *ring);

// Returns false when there is no room. Sequentially consistent before what the caller loads with
// that order. Threads: the owner.
bool fkli_ring_put(fkli_ring *ring, fkli_task *task);
// The oldest task, or NULL. Threads: the owner.
fkli_task *fkli_ring_take(fkli_ring *ring);
// Takes the older half (rounded up) of `from`: returns the oldest task and puts the others into
// `into`, which is empty and the caller's own; NULL when there is none. Threads: any other.
fkli_task *fkli_ring_steal(fkli_ring *from, fkli_ring *into);
// Whether it is empty, read with sequential consistency. Threads: any.
bool fkli_ring_is_empty(const fkli_ring *ring);

// Line: any thread puts and takes, in order.

typedef struct fkli_line {
    fkli_atomic_ptr pushed; // newest first
    fkli_atomic_u64 len;
    char apart[FKLI_CACHE_LINE];
    fkli_lock lock;   // of who takes
    fkli_task *first; // guarded by lock: those that came before the pushed ones, oldest first
} fkli_line;

void fkli_line_init(fkli_line *line);
void fkli_line_fini(fkli_line *line);

// Sequentially consistent like fkli_ring_put().
void fkli_line_put(fkli_line *line, fkli_task *task);
// Moves the older half of a full ring, and then `task`, to the line. Threads: the ring's owner.
void fkli_line_put_half(fkli_line *line, fkli_ring *ring, fkli_task *task);
// Returns the oldest task, or NULL, and moves up to `more` further ones into `into`, the caller's
// own, as far as there is room.
fkli_task *fkli_line_take(fkli_line *line, fkli_ring *into, uint64_t more);
bool fkli_line_is_empty(const fkli_line *line);

#endif
