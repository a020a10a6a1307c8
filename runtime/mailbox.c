// SPDX-License-Identifier: Apache-2.0
//
// The inbox: a stack after ck_stack whose head word also carries the state (see mailbox.h), on CK's
// atomic operations. The only file that uses Concurrency Kit. Producers are any threads; the
// consumer is one thread at a time.
//
// Memory order. A push writes msg->next and the payload, then a release fence, then the exchange of
// the head; the consumer takes the list and passes an acquire fence before it reads a message: the
// pair in publish() and take_list(). Only the consumer removes from the stack, so a head that it
// compares cannot have been popped and pushed again behind its back (no ABA).

#include "mailbox.h"

#include <ck_pr.h>

// Addresses that no message has.
static char blocked_mark;
static char closed_mark;
#define BLOCKED ((void *)&blocked_mark)
#define CLOSED ((void *)&closed_mark)

static void *load_top(const fkli_inbox *inbox)
{
    FKLI_SCHED_POINT();
    return ck_pr_load_ptr(&inbox->top);
}

static bool swap_top(fkli_inbox *inbox, void *expected, void *value, void **found)
{
    FKLI_SCHED_POINT();
    return ck_pr_cas_ptr_value(&inbox->top, expected, value, found);
}

static bool is_list(const void *top)
{
    return top && top != BLOCKED && top != CLOSED;
}

void fkli_inbox_init(fkli_inbox *inbox)
{
    inbox->top = NULL;
}

void fkli_fifo_init(fkli_fifo *fifo)
{
    fifo->first = NULL;
    fifo->last = NULL;
}

// The release half of the pair.
static bool publish(fkli_inbox *inbox, void *expected, fkl_msg *msg, void **found)
{
    ck_pr_fence_release();
    return swap_top(inbox, expected, msg, found);
}

fkli_push fkli_inbox_push(fkli_inbox *inbox, fkl_msg *msg)
{
    void *top = load_top(inbox);
    for (;;) {
        if (top == CLOSED)
            return FKLI_PUSH_CLOSED;
        msg->next = is_list(top) ? top : NULL;
        void *seen = top;
        if (publish(inbox, top, msg, &top))
            return seen == BLOCKED ? FKLI_PUSHED_WAKE : FKLI_PUSHED;
    }
}

// Relaxed is enough: an answer of "no" may be out of date anyhow, and after "yes" nothing is read
// that the closer wrote.
bool fkli_inbox_is_closed(const fkli_inbox *inbox)
{
    return load_top(inbox) == CLOSED;
}

static fkl_msg *reverse(fkl_msg *newest)
{
    fkl_msg *oldest = NULL;
    while (newest) {
        fkl_msg *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

// The acquire half of the pair. Takes the list, newest first, and leaves NULL; BLOCKED and CLOSED
// stay as they are.
static fkl_msg *take_list(fkli_inbox *inbox)
{
    void *top = load_top(inbox);
    while (is_list(top)) {
        if (swap_top(inbox, top, NULL, &top)) {
            ck_pr_fence_acquire();
            return top;
        }
    }
    return NULL;
}

static void refill(fkli_inbox *inbox, fkli_fifo *fifo)
{
    fkl_msg *newest = take_list(inbox);
    if (!newest)
        return;
    fkl_msg *oldest = reverse(newest);
    if (fifo->first)
        fifo->last->next = oldest;
    else
        fifo->first = oldest;
    fifo->last = newest;
}

fkl_msg *fkli_inbox_pop(fkli_inbox *inbox, fkli_fifo *fifo)
{
    if (!fifo->first)
        refill(inbox, fifo);
    fkl_msg *msg = fifo->first;
    if (!msg)
        return NULL;
    fifo->first = msg->next;
    msg->next = NULL;
    return msg;
}

bool fkli_inbox_has_some(const fkli_inbox *inbox, const fkli_fifo *fifo)
{
    return fifo->first || is_list(load_top(inbox));
}

bool fkli_inbox_block(fkli_inbox *inbox, const fkli_fifo *fifo)
{
    if (fifo->first)
        return false;
    void *top = load_top(inbox);
    while (!top) {
        if (swap_top(inbox, NULL, BLOCKED, &top))
            return true;
    }
    return top == BLOCKED;
}

void fkli_inbox_unblock(fkli_inbox *inbox)
{
    void *found;
    if (load_top(inbox) == BLOCKED)
        swap_top(inbox, BLOCKED, NULL, &found);
}

fkl_msg *fkli_inbox_close(fkli_inbox *inbox)
{
    FKLI_SCHED_POINT();
    void *top = ck_pr_fas_ptr(&inbox->top, CLOSED);
    ck_pr_fence_acquire();
    return is_list(top) ? reverse(top) : NULL;
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

fkl_msg *fkli_fifo_drain(fkli_fifo *fifo)
{
    fkl_msg *chain = fifo->first;
    fifo->first = NULL;
    return chain;
}

bool fkli_inbox_remove(fkli_inbox *inbox, fkli_fifo *fifo, fkl_msg *msg)
{
    refill(inbox, fifo);
    fkl_msg *before = NULL;
    for (fkl_msg *at = fifo->first; at; before = at, at = at->next) {
        if (at != msg)
            continue;
        if (before)
            before->next = msg->next;
        else
            fifo->first = msg->next;
        if (fifo->last == msg)
            fifo->last = before;
        msg->next = NULL;
        return true;
    }
    return false;
}

// Mailbox.

void fkli_mailbox_init(fkli_mailbox *mailbox)
{
    fkli_inbox_init(&mailbox->user);
    fkli_inbox_init(&mailbox->system);
    fkli_fifo_init(&mailbox->user_fifo);
    fkli_fifo_init(&mailbox->system_fifo);
    fkli_store_relaxed_u64(&mailbox->sent, 0);
    fkli_store_relaxed_u64(&mailbox->refused, 0);
    fkli_store_relaxed_u64(&mailbox->system_len, 0);
    fkli_store_relaxed_u64(&mailbox->handled, 0);
    fkli_store_relaxed_u64(&mailbox->dropped, 0);
}

// The counters are relaxed: they order nothing. Each counts up before its message can be seen, so a
// length computed from them is never negative once everything has settled.
fkli_push fkli_mailbox_push(fkli_mailbox *mailbox, fkl_msg *msg)
{
    if (msg->kind != FKL_MSG_USER) {
        fkli_add_relaxed_u64(&mailbox->system_len, 1);
        fkli_push pushed = fkli_inbox_push(&mailbox->system, msg);
        if (pushed == FKLI_PUSH_CLOSED)
            fkli_sub_relaxed_u64(&mailbox->system_len, 1);
        return pushed;
    }
    fkli_add_relaxed_u64(&mailbox->sent, 1);
    fkli_push pushed = fkli_inbox_push(&mailbox->user, msg);
    if (pushed == FKLI_PUSH_CLOSED)
        fkli_add_relaxed_u64(&mailbox->refused, 1);
    return pushed;
}

fkl_msg *fkli_mailbox_pop(fkli_mailbox *mailbox)
{
    fkl_msg *msg = fkli_inbox_pop(&mailbox->system, &mailbox->system_fifo);
    if (msg) {
        fkli_sub_relaxed_u64(&mailbox->system_len, 1);
        return msg;
    }
    msg = fkli_inbox_pop(&mailbox->user, &mailbox->user_fifo);
    if (msg) // one writer: no read-modify-write needed
        fkli_store_relaxed_u64(&mailbox->handled, fkli_load_relaxed_u64(&mailbox->handled) + 1);
    return msg;
}

bool fkli_mailbox_block(fkli_mailbox *mailbox)
{
    if (!fkli_inbox_block(&mailbox->system, &mailbox->system_fifo))
        return false;
    if (fkli_inbox_block(&mailbox->user, &mailbox->user_fifo))
        return true;
    fkli_inbox_unblock(&mailbox->system);
    return false;
}

void fkli_mailbox_unblock(fkli_mailbox *mailbox)
{
    fkli_inbox_unblock(&mailbox->user);
    fkli_inbox_unblock(&mailbox->system);
}

bool fkli_mailbox_remove_system(fkli_mailbox *mailbox, fkl_msg *msg)
{
    bool removed = fkli_inbox_remove(&mailbox->system, &mailbox->system_fifo, msg);
    if (removed)
        fkli_sub_relaxed_u64(&mailbox->system_len, 1);
    return removed;
}

fkl_msg *fkli_mailbox_close(fkli_mailbox *mailbox)
{
    fkl_msg *chain = fkli_inbox_close(&mailbox->user);
    fkl_msg *system = fkli_inbox_close(&mailbox->system);
    if (!chain)
        return system;
    fkl_msg *last = chain;
    while (last->next)
        last = last->next;
    last->next = system;
    return chain;
}

void fkli_mailbox_drop(fkli_mailbox *mailbox, fkl_msg *chain)
{
    while (chain) {
        fkl_msg *next = chain->next;
        if (chain->kind == FKL_MSG_USER)
            fkli_add_relaxed_u64(&mailbox->dropped, 1);
        else
            fkli_sub_relaxed_u64(&mailbox->system_len, 1);
        fkl_msg_destroy(chain);
        chain = next;
    }
}

void fkli_mailbox_drain(fkli_mailbox *mailbox)
{
    fkli_mailbox_drop(mailbox, fkli_fifo_drain(&mailbox->user_fifo));
    fkli_mailbox_drop(mailbox, fkli_fifo_drain(&mailbox->system_fifo));
}

size_t fkli_mailbox_len(const fkli_mailbox *mailbox)
{
    // What leaves is read before what enters, so that the difference cannot fall below 0 by a
    // message that passes through in between.
    uint64_t gone = fkli_load_acquire_u64(&mailbox->handled);
    gone += fkli_load_acquire_u64(&mailbox->dropped) + fkli_load_acquire_u64(&mailbox->refused);
    uint64_t sent = fkli_load_acquire_u64(&mailbox->sent);
    uint64_t waiting = sent > gone ? sent - gone : 0;
    return (size_t)(waiting + fkli_load_relaxed_u64(&mailbox->system_len));
}
