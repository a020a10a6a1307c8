// SPDX-License-Identifier: Apache-2.0
//
// Mailboxes (see mailbox.h): pushing what the runtime sends, in any thread; popping and taking out,
// in the consumer's; closing, in whichever ends the actor.
//
// The counters are relaxed: they order nothing. Each counts up before its message can be seen, so a
// length computed from them is never negative once everything has settled.

#include "mailbox.h"

static void init_lane(fkli_lane *lane)
{
    fkli_fifo_init(&lane->fifo);
    lane->marked = NULL;
}

void fkli_mailbox_init(fkli_mailbox *mailbox, fkli_bound *bound)
{
    fkli_inbox_init(&mailbox->user);
    fkli_inbox_init(&mailbox->system);
    fkli_store_relaxed_u64(&mailbox->sent, 0);
    fkli_store_relaxed_u64(&mailbox->refused, 0);
    fkli_store_relaxed_u64(&mailbox->system_len, 0);
    fkli_store_relaxed_u64(&mailbox->dropped, 0);
    fkli_store_relaxed_u64(&mailbox->handled, 0);
    fkli_store_relaxed_u64(&mailbox->peak, 0);
    init_lane(&mailbox->system_lane);
    init_lane(&mailbox->user_lane);
    mailbox->user_len = 0;
    mailbox->batches = 0;
    mailbox->mark = 0;
    mailbox->replies_due = 0;
    mailbox->matching = false;
    mailbox->bound = bound;
    mailbox->bounded = bound != NULL;
}

void fkli_mailbox_fini(fkli_mailbox *mailbox, const fkl_allocator *allocator)
{
    fkli_bound_destroy(allocator, mailbox->bound);
}

// Taking in.

bool fkli_mailbox_take_system_locked(fkli_mailbox *mailbox)
{
    uint64_t batch = mailbox->batches + 1;
    if (!fkli_inbox_take(&mailbox->system, &mailbox->system_lane.fifo, batch))
        return false;
    mailbox->batches = batch;
    return true;
}

bool fkli_mailbox_take_user_locked(fkli_mailbox *mailbox)
{
    uint64_t batch = mailbox->batches + 1;
    uint64_t count = fkli_inbox_take(&mailbox->user, &mailbox->user_lane.fifo, batch);
    if (!count)
        return false;
    mailbox->batches = batch;
    mailbox->user_len += count;
    if (mailbox->user_len > fkli_load_relaxed_u64(&mailbox->peak))
        fkli_store_relaxed_u64(&mailbox->peak, mailbox->user_len);
    return true;
}

// Pushing.

static fkli_push push_system(fkli_mailbox *mailbox, fkl_msg *msg)
{
    fkli_add_relaxed_u64(&mailbox->system_len, 1);
    fkli_push pushed = fkli_inbox_push(&mailbox->system, msg);
    if (pushed == FKLI_PUSH_CLOSED)
        fkli_sub_relaxed_u64(&mailbox->system_len, 1);
    return pushed;
}

fkli_push fkli_mailbox_push(fkli_mailbox *mailbox, fkl_msg *msg)
{
    if (fkli_msg_is_system(msg))
        return push_system(mailbox, msg);
    fkli_bound *bound = mailbox->bound;
    if (bound)
        fkli_add_relaxed_u64(&bound->exempt, 1);
    fkli_add_relaxed_u64(&mailbox->sent, 1);
    fkli_push pushed = fkli_inbox_push_exempt(&mailbox->user, msg);
    if (pushed != FKLI_PUSH_CLOSED)
        return pushed;
    fkli_add_relaxed_u64(&mailbox->refused, 1);
    if (bound)
        fkli_sub_relaxed_u64(&bound->exempt, 1);
    return pushed;
}

void fkli_mailbox_count_lost(fkli_mailbox *mailbox)
{
    fkli_add_relaxed_u64(&mailbox->sent, 1);
    fkli_add_relaxed_u64(&mailbox->dropped, 1);
}

// Receiving.

static bool has_system(fkli_mailbox *mailbox)
{
    return mailbox->system_lane.fifo.first ||
           (!fkli_inbox_is_idle(&mailbox->system) && fkli_mailbox_take_system_locked(mailbox));
}

static inline fkl_msg *pop(fkli_mailbox *mailbox)
{
    fkli_lane *lane = &mailbox->system_lane;
    if (has_system(mailbox)) {
        fkli_sub_relaxed_u64(&mailbox->system_len, 1);
    } else {
        lane = &mailbox->user_lane;
        if (!lane->fifo.first && !fkli_mailbox_take_user_locked(mailbox))
            return NULL;
        fkli_mailbox_count_handled(mailbox);
    }
    fkl_msg *msg = fkli_fifo_pop(&lane->fifo);
    if (lane->marked == msg)
        lane->marked = NULL;
    return msg;
}

static fkl_msg *pop_bounded(fkli_mailbox *mailbox)
{
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    fkl_msg *msg = pop(mailbox);
    if (msg && !fkli_msg_is_system(msg))
        fkli_bound_leave(mailbox->bound, msg);
    fkli_mailbox_unlock(lock);
    return msg;
}

fkl_msg *fkli_mailbox_pop(fkli_mailbox *mailbox)
{
    return mailbox->bounded ? pop_bounded(mailbox) : pop(mailbox);
}

void fkli_mailbox_uncount(fkli_mailbox *mailbox, const fkl_msg *msg)
{
    if (fkli_msg_is_system(msg))
        return;
    fkli_add_relaxed_u64(&mailbox->dropped, 1);
    fkli_store_relaxed_u64(&mailbox->handled, fkli_load_relaxed_u64(&mailbox->handled) - 1);
}

fkl_msg *fkli_mailbox_find_system(fkli_mailbox *mailbox,
                                  bool (*match)(const fkl_msg *msg, const void *ctx),
                                  const void *ctx)
{
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    fkli_mailbox_take_system_locked(mailbox);
    fkl_msg *msg = mailbox->system_lane.fifo.first;
    while (msg && !match(msg, ctx))
        msg = msg->next;
    fkli_mailbox_unlock(lock);
    return msg;
}

bool fkli_mailbox_remove_system(fkli_mailbox *mailbox, fkl_msg *msg)
{
    if (mailbox->matching)
        return false;
    fkli_lane *lane = &mailbox->system_lane;
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    fkli_mailbox_take_system_locked(mailbox);
    fkl_msg *before = NULL;
    fkl_msg *at = lane->fifo.first;
    for (; at && at != msg; at = at->next)
        before = at;
    if (at)
        fkli_lane_remove(lane, before, at);
    fkli_mailbox_unlock(lock);
    if (at)
        fkli_sub_relaxed_u64(&mailbox->system_len, 1);
    return at != NULL;
}

// Ending.

bool fkli_mailbox_drain(fkli_mailbox *mailbox)
{
    bool wake = fkli_inbox_drain(&mailbox->user);
    fkli_mailbox_dismiss(mailbox);
    return wake;
}

bool fkli_mailbox_is_drained(const fkli_mailbox *mailbox)
{
    return fkli_inbox_refusal(&mailbox->user) == FKLI_PUSH_DRAINED;
}

// Before the exit can be seen, or the thread's end: so the counters are exact after a shutdown,
// although whoever killed the actor may still be about to destroy the messages.
static fkl_msg *count_dropped(fkli_mailbox *mailbox, fkl_msg *chain)
{
    uint64_t count = 0;
    for (const fkl_msg *msg = chain; msg; msg = msg->next)
        count += !fkli_msg_is_system(msg);
    if (count > 0)
        fkli_add_relaxed_u64(&mailbox->dropped, count);
    return chain;
}

fkl_msg *fkli_mailbox_close(fkli_mailbox *mailbox)
{
    fkl_msg *chain = count_dropped(mailbox, fkli_inbox_close(&mailbox->user));
    fkl_msg *system = fkli_inbox_close(&mailbox->system);
    if (!chain)
        return system;
    fkl_msg *last = chain;
    while (last->next)
        last = last->next;
    last->next = system;
    return chain;
}

void fkli_mailbox_dismiss(fkli_mailbox *mailbox)
{
    if (mailbox->bound)
        fkli_credit_close(&mailbox->bound->places);
}

void fkli_mailbox_drop(fkli_mailbox *mailbox, fkl_msg *chain)
{
    while (chain) {
        fkl_msg *next = chain->next;
        if (fkli_msg_is_system(chain))
            fkli_sub_relaxed_u64(&mailbox->system_len, 1);
        else if (mailbox->bound)
            fkli_bound_leave(mailbox->bound, chain);
        fkl_msg_destroy(chain);
        chain = next;
    }
}

fkl_msg *fkli_mailbox_take_rest(fkli_mailbox *mailbox)
{
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    fkl_msg *user = fkli_fifo_clear(&mailbox->user_lane.fifo);
    mailbox->user_lane.marked = NULL;
    mailbox->user_len = 0;
    fkli_mailbox_unlock(lock);
    return count_dropped(mailbox, user);
}

void fkli_mailbox_clear(fkli_mailbox *mailbox)
{
    fkli_mailbox_drop(mailbox, fkli_mailbox_take_rest(mailbox));
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    fkl_msg *system = fkli_fifo_clear(&mailbox->system_lane.fifo);
    mailbox->system_lane.marked = NULL;
    fkli_mailbox_unlock(lock);
    fkli_mailbox_drop(mailbox, system);
}

// Looking.

// What leaves is read before what enters, so that the difference cannot fall below 0 by a message
// that passes through in between.
static uint64_t unbounded_len(const fkli_mailbox *mailbox)
{
    uint64_t gone = fkli_load_acquire_u64(&mailbox->handled);
    gone += fkli_load_acquire_u64(&mailbox->dropped) + fkli_load_acquire_u64(&mailbox->refused);
    uint64_t sent = fkli_load_acquire_u64(&mailbox->sent);
    return sent > gone ? sent - gone : 0;
}

// A bound tells how many places are taken in one word, so the answer is never beyond it.
static uint64_t len_of(const fkli_mailbox *mailbox)
{
    const fkli_bound *bound = mailbox->bound;
    if (!bound)
        return unbounded_len(mailbox);
    uint64_t taken = bound->capacity - fkli_credit_value(&bound->places);
    return taken + fkli_load_relaxed_u64(&bound->exempt);
}

size_t fkli_mailbox_len(const fkli_mailbox *mailbox)
{
    return (size_t)(len_of(mailbox) + fkli_load_relaxed_u64(&mailbox->system_len));
}

size_t fkli_mailbox_peak(const fkli_mailbox *mailbox)
{
    uint64_t seen = fkli_load_relaxed_u64(&mailbox->peak);
    uint64_t now = len_of(mailbox);
    return (size_t)(now > seen ? now : seen);
}
