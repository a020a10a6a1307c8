// SPDX-License-Identifier: Apache-2.0
//
// The inbox: a stack after ck_stack whose head word also carries the state (see inbox.h), on CK's
// atomic operations. Producers are any threads; the consumer is one thread at a time.
//
// Memory order. A push writes msg->next and the payload, then a release fence, then the exchange of
// the head; the consumer takes the list and passes an acquire fence before it reads a message: the
// pair in publish() and take_list(). Only the consumer removes from the stack, so a head that it
// compares cannot have been popped and pushed again behind its back (no ABA).

#include "inbox.h"

#include <ck_pr.h>

#include "depot.h"

// States, in the bits of the head word that the address of a message has free.
#define DRAINED ((uintptr_t)1)
#define CLOSED ((uintptr_t)2)
#define BLOCKED ((uintptr_t)4)
#define STATES (DRAINED | CLOSED | BLOCKED)

_Static_assert(_Alignof(fkl_msg) > STATES, "the addresses of messages leave room for the states");

static uintptr_t load_top(const fkli_inbox *inbox)
{
    FKLI_SCHED_POINT();
    return (uintptr_t)ck_pr_load_ptr(&inbox->top.value);
}

// On failure `*top` takes what was found.
static bool swap_top(fkli_inbox *inbox, uintptr_t *top, uintptr_t value)
{
    FKLI_SCHED_POINT();
    void *found;
    if (ck_pr_cas_ptr_value(&inbox->top.value, (void *)*top, (void *)value, &found))
        return true;
    *top = (uintptr_t)found;
    return false;
}

static fkl_msg *list_of(uintptr_t top)
{
    return (fkl_msg *)(top & ~STATES);
}

void fkli_inbox_init(fkli_inbox *inbox)
{
    fkli_store_relaxed_ptr(&inbox->top, NULL);
}

// The release half of the pair.
static bool publish(fkli_inbox *inbox, uintptr_t *top, fkl_msg *msg)
{
    ck_pr_fence_release();
    return swap_top(inbox, top, (uintptr_t)msg | (*top & DRAINED));
}

static fkli_push refusal_of(uintptr_t top)
{
    if (top & CLOSED)
        return FKLI_PUSH_CLOSED;
    return top & DRAINED ? FKLI_PUSH_DRAINED : FKLI_PUSHED;
}

static inline fkli_push push(fkli_inbox *inbox, fkl_msg *msg, uintptr_t refused_by)
{
    uintptr_t top = load_top(inbox);
    for (;;) {
        if (top & refused_by)
            return refusal_of(top);
        msg->next = list_of(top);
        uintptr_t seen = top;
        if (publish(inbox, &top, msg))
            return seen & BLOCKED ? FKLI_PUSHED_WAKE : FKLI_PUSHED;
    }
}

fkli_push fkli_inbox_push(fkli_inbox *inbox, fkl_msg *msg)
{
    return push(inbox, msg, CLOSED | DRAINED);
}

fkli_push fkli_inbox_push_exempt(fkli_inbox *inbox, fkl_msg *msg)
{
    return push(inbox, msg, CLOSED);
}

// The fence is for a caller that learned elsewhere, from who closed or drained the inbox before,
// that it is refused: it must not read an older word here.
fkli_push fkli_inbox_refusal(const fkli_inbox *inbox)
{
    ck_pr_fence_acquire();
    return refusal_of(load_top(inbox));
}

// Relaxed is enough: an answer of "no" may be out of date anyhow, and after "yes" nothing is read
// that the closer wrote.
bool fkli_inbox_is_closed(const fkli_inbox *inbox)
{
    return (load_top(inbox) & CLOSED) != 0;
}

// The acquire half of the pair. Takes the list, newest first; the states stay as they are.
static fkl_msg *take_list(fkli_inbox *inbox)
{
    uintptr_t top = load_top(inbox);
    while (list_of(top)) {
        fkl_msg *newest = list_of(top);
        if (swap_top(inbox, &top, top & DRAINED)) {
            ck_pr_fence_acquire();
            return newest;
        }
    }
    return NULL;
}

uint64_t fkli_inbox_take(fkli_inbox *inbox, fkli_fifo *fifo, uint64_t batch)
{
    fkl_msg *newest = take_list(inbox);
    if (!newest)
        return 0;
    fkl_msg *oldest = NULL;
    uint64_t count = 0;
    for (fkl_msg *msg = newest, *next; msg; msg = next) {
        next = msg->next;
        fkli_fetch_block(msg->ahead);
        msg->next = oldest;
        msg->batch = batch;
        oldest = msg;
        ++count;
    }
    if (fifo->first)
        fifo->last->next = oldest;
    else
        fifo->first = oldest;
    fifo->last = newest;
    return count;
}

fkl_msg *fkli_inbox_pop(fkli_inbox *inbox, fkli_fifo *fifo)
{
    if (!fifo->first)
        fkli_inbox_take(inbox, fifo, 0);
    return fkli_fifo_pop(fifo);
}

bool fkli_inbox_has_some(const fkli_inbox *inbox, const fkli_fifo *fifo)
{
    return fifo->first || list_of(load_top(inbox));
}

bool fkli_inbox_block_stack(fkli_inbox *inbox, bool even_drained)
{
    uintptr_t top = load_top(inbox);
    while (top == 0 || (top == DRAINED && even_drained)) {
        if (swap_top(inbox, &top, top | BLOCKED))
            return true;
    }
    return (top & BLOCKED) != 0;
}

bool fkli_inbox_block(fkli_inbox *inbox, const fkli_fifo *fifo)
{
    return !fifo->first && fkli_inbox_block_stack(inbox, false);
}

// Who comes first, a producer or a drainer, takes the announcement away as well.
void fkli_inbox_unblock(fkli_inbox *inbox)
{
    uintptr_t top = load_top(inbox);
    if (top & BLOCKED)
        swap_top(inbox, &top, top & ~BLOCKED);
}

bool fkli_inbox_drain(fkli_inbox *inbox)
{
    uintptr_t top = load_top(inbox);
    while (!(top & (DRAINED | CLOSED))) {
        bool blocked = (top & BLOCKED) != 0;
        if (swap_top(inbox, &top, (top | DRAINED) & ~BLOCKED))
            return blocked;
    }
    return false;
}

fkl_msg *fkli_inbox_close(fkli_inbox *inbox)
{
    FKLI_SCHED_POINT();
    uintptr_t top = (uintptr_t)ck_pr_fas_ptr(&inbox->top.value, (void *)CLOSED);
    ck_pr_fence_acquire();
    fkl_msg *oldest = NULL;
    for (fkl_msg *msg = list_of(top), *next; msg; msg = next) {
        next = msg->next;
        msg->next = oldest;
        oldest = msg;
    }
    return oldest;
}

void fkli_fifo_append(fkli_fifo *fifo, fkl_msg *chain)
{
    if (!chain)
        return;
    if (fifo->first)
        fifo->last->next = chain;
    else
        fifo->first = chain;
    while (chain->next)
        chain = chain->next;
    fifo->last = chain;
}
