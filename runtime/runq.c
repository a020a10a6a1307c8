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

// Line. A put counts first, then pushes: so the count is never below what is there, and who finds
// it above 0 but nothing there is a moment too early. Only who holds the lock takes the stack, and
// takes it whole, so its top cannot have been taken and pushed again behind a putter's back in a
// way that matters.

void fkli_line_init(fkli_line *line)
{
    fkli_store_relaxed_ptr(&line->pushed, NULL);
    fkli_store_relaxed_u64(&line->len, 0);
    fkli_lock_init(&line->lock);
    line->first = NULL;
}

void fkli_line_fini(fkli_line *line)
{
    fkli_lock_fini(&line->lock);
}

static uint64_t len_of(const fkli_line *line)
{
    return fkli_load_relaxed_u64(&line->len); // a guess
}

// A chain from the newest to the oldest. The release pairs with the acquire in turn_round_locked().
static void push(fkli_line *line, fkli_task *newest, fkli_task *oldest, uint64_t count)
{
    fkli_add_seq_cst_u64(&line->len, count);
    void *top = fkli_load_relaxed_ptr(&line->pushed);
    do {
        oldest->next = top;
    } while (!fkli_cas_release_ptr(&line->pushed, &top, newest));
}

void fkli_line_put(fkli_line *line, fkli_task *task)
{
    push(line, task, task, 1);
}

void fkli_line_put_half(fkli_line *line, fkli_ring *ring, fkli_task *task)
{
    uint64_t count = 1;
    fkli_task *oldest = NULL;
    fkli_task *newest = NULL;
    for (fkli_task *older; count <= FKLI_RING_SIZE / 2; ++count) {
        older = fkli_ring_take(ring);
        if (!older)
            break;
        older->next = newest;
        newest = older;
        oldest = oldest ? oldest : older;
    }
    task->next = newest;
    push(line, task, oldest ? oldest : task, count);
}

// What was pushed, oldest first.
static fkli_task *turn_round_locked(fkli_line *line)
{
    fkli_task *oldest = NULL;
    for (fkli_task *task = fkli_exchange_acquire_ptr(&line->pushed, NULL), *next; task;
         task = next) {
        next = task->next;
        task->next = oldest;
        oldest = task;
    }
    return oldest;
}

fkli_task *fkli_line_take(fkli_line *line, fkli_ring *into, uint64_t more)
{
    if (len_of(line) == 0)
        return NULL;
    fkli_lock_take(&line->lock);
    if (!line->first)
        line->first = turn_round_locked(line);
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
        fkli_add_seq_cst_u64(&line->len, 0 - taken);
    }
    fkli_lock_give(&line->lock);
    return oldest;
}

bool fkli_line_is_empty(const fkli_line *line)
{
    return fkli_load_seq_cst_u64(&line->len) == 0;
}
