// SPDX-License-Identifier: Apache-2.0
//
// The ring of a worker and the shared line (see runq.h). Run by workers, the line also by any
// thread that makes a task ready.
//
// Memory order of the ring. A put writes the slot, then the tail (release); who takes reads the
// tail (acquire), then the slots: so it sees the task as it was put. Who takes reads the slots,
// then advances the head (release half of a compare-and-swap); a put reads the head (acquire)
// before it writes a slot again: so nobody's slot is overwritten while he reads it, unless his
// compare-and-swap fails, and then he forgets what he read. The counts have 64 bits and never come
// back to a value, so that compare-and-swap cannot be fooled. The owner takes like a thief, but one
// task.

#include "runq.h"

#define MASK (FKLI_RING_SIZE - 1u)

static fkli_atomic_ptr *slot(fkli_ring *ring, uint64_t count)
{
    return &ring->slots[count & MASK];
}

void fkli_ring_init(fkli_ring *ring)
{
    fkli_store_relaxed_u64(&ring->head, 0);
    fkli_store_relaxed_u64(&ring->tail, 0);
}

bool fkli_ring_put(fkli_ring *ring, fkli_task *task)
{
    uint64_t tail = fkli_load_relaxed_u64(&ring->tail); // nobody else writes it
    if (tail - fkli_load_acquire_u64(&ring->head) >= FKLI_RING_SIZE)
        return false;
    fkli_store_relaxed_ptr(slot(ring, tail), task);
    fkli_store_seq_cst_u64(&ring->tail, tail + 1);
    return true;
}

fkli_task *fkli_ring_take(fkli_ring *ring)
{
    uint64_t tail = fkli_load_relaxed_u64(&ring->tail);
    uint64_t head = fkli_load_acquire_u64(&ring->head);
    while (head != tail) {
        fkli_task *task = fkli_load_relaxed_ptr(slot(ring, head));
        if (fkli_cas_acq_rel_u64(&ring->head, &head, head + 1))
            return task;
    }
    return NULL;
}

fkli_task *fkli_ring_steal(fkli_ring *from, fkli_ring *into)
{
    uint64_t into_tail = fkli_load_relaxed_u64(&into->tail);
    uint64_t head = fkli_load_acquire_u64(&from->head);
    for (;;) {
        uint64_t len = fkli_load_acquire_u64(&from->tail) - head;
        uint64_t half = len - len / 2;
        if (half > FKLI_RING_SIZE / 2)
            half = FKLI_RING_SIZE / 2; // the head is out of date, and the swap will fail
        if (half == 0)
            return NULL;
        fkli_task *oldest = fkli_load_relaxed_ptr(slot(from, head));
        for (uint64_t i = 1; i < half; ++i)
            fkli_store_relaxed_ptr(slot(into, into_tail + i - 1),
                                   fkli_load_relaxed_ptr(slot(from, head + i)));
        if (!fkli_cas_acq_rel_u64(&from->head, &head, head + half))
            continue;
        if (half > 1)
            fkli_store_seq_cst_u64(&into->tail, into_tail + half - 1);
        return oldest;
    }
}

bool fkli_ring_is_empty(const fkli_ring *ring)
{
    uint64_t head = fkli_load_seq_cst_u64(&ring->head);
    return head == fkli_load_seq_cst_u64(&ring->tail);
}

// Line.

void fkli_line_init(fkli_line *line)
{
    fkli_store_relaxed_u64(&line->len, 0);
    fkli_lock_init(&line->lock);
    line->first = NULL;
    line->last = NULL;
}

void fkli_line_fini(fkli_line *line)
{
    fkli_lock_fini(&line->lock);
}

static void append_locked(fkli_line *line, fkli_task *task)
{
    task->next = NULL;
    if (line->first)
        line->last->next = task;
    else
        line->first = task;
    line->last = task;
}

static uint64_t len_of(const fkli_line *line)
{
    return fkli_load_relaxed_u64(&line->len); // under the lock, or a guess
}

void fkli_line_put(fkli_line *line, fkli_task *task)
{
    fkli_lock_take(&line->lock);
    append_locked(line, task);
    fkli_store_seq_cst_u64(&line->len, len_of(line) + 1);
    fkli_lock_give(&line->lock);
}

void fkli_line_put_half(fkli_line *line, fkli_ring *ring, fkli_task *task)
{
    uint64_t count = 0;
    fkli_lock_take(&line->lock);
    for (fkli_task *older; count < FKLI_RING_SIZE / 2; ++count) {
        older = fkli_ring_take(ring);
        if (!older)
            break;
        append_locked(line, older);
    }
    append_locked(line, task);
    fkli_store_seq_cst_u64(&line->len, len_of(line) + count + 1);
    fkli_lock_give(&line->lock);
}

fkli_task *fkli_line_take(fkli_line *line, fkli_ring *into, uint64_t more)
{
    if (len_of(line) == 0)
        return NULL;
    fkli_lock_take(&line->lock);
    fkli_task *oldest = line->first;
    if (oldest) {
        uint64_t taken = 1;
        line->first = oldest->next;
        for (fkli_task *task; taken <= more && (task = line->first); ++taken) {
            fkli_task *next = task->next; // once it is in the ring it may be stolen and run
            if (!fkli_ring_put(into, task))
                break;
            line->first = next;
        }
        fkli_store_seq_cst_u64(&line->len, len_of(line) - taken);
    }
    fkli_lock_give(&line->lock);
    return oldest;
}

bool fkli_line_is_empty(const fkli_line *line)
{
    return fkli_load_seq_cst_u64(&line->len) == 0;
}
