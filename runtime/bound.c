// SPDX-License-Identifier: Apache-2.0
//
// Bounds, and sending where there may be one (see bound.h). Any thread sends; it takes the lock of
// the lanes only to discard the oldest message, which no other policy does.
//
// Why that discards what it should: the consumer gives places back under the lock, so who holds it
// and finds neither a place nor a user message knows that all places belong to senders on their
// way. Its own message then counts as the oldest: it came before theirs.

#include "bound.h"

#include "mailbox.h"
#include "scan.h"

fkl_err fkli_bound_create(const fkl_allocator *allocator, uint32_t capacity, fkl_full full,
                          fkli_bound **out)
{
    if ((unsigned)full > FKL_FULL_DROP_OLDEST)
        return FKL_EINVAL;
    fkli_bound *bound = fkli_alloc_zeroed(allocator, sizeof *bound);
    if (!bound)
        return FKL_ENOMEM;
    bound->capacity = capacity;
    bound->full = full;
    fkli_credit_init(&bound->places, capacity, capacity);
    fkli_lock_init(&bound->lock);
    *out = bound;
    return FKL_OK;
}

void fkli_bound_destroy(const fkl_allocator *allocator, fkli_bound *bound)
{
    if (!bound)
        return;
    fkli_lock_fini(&bound->lock);
    fkli_credit_fini(&bound->places);
    fkli_free(allocator, bound, sizeof *bound);
}

static void give_place(fkli_bound *bound)
{
    fkl_err err = fkli_credit_give(&bound->places);
    (void)err; // cannot overflow: each place was taken before
}

void fkli_bound_leave(fkli_bound *bound, const fkl_msg *msg)
{
    if (msg->kind == FKL_MSG_USER)
        give_place(bound);
    else
        fkli_sub_relaxed_u64(&bound->exempt, 1);
}

// Sending. The counters are relaxed: they order nothing. Each counts up before its message can be
// seen.

static bool is_refused(fkli_push pushed)
{
    return pushed != FKLI_PUSHED && pushed != FKLI_PUSHED_WAKE;
}

static fkli_push push(fkli_mailbox *mailbox, fkl_msg *msg)
{
    fkli_add_relaxed_u64(&mailbox->sent, 1);
    fkli_push pushed = fkli_inbox_push(&mailbox->user, msg);
    if (is_refused(pushed))
        fkli_add_relaxed_u64(&mailbox->refused, 1);
    return pushed;
}

static fkli_push push_with_place(fkli_mailbox *mailbox, fkl_msg *msg)
{
    fkli_push pushed = push(mailbox, msg);
    if (is_refused(pushed))
        give_place(mailbox->bound);
    return pushed;
}

static fkli_push refuse(fkli_mailbox *mailbox, fkli_push why)
{
    fkli_add_relaxed_u64(&mailbox->sent, 1);
    fkli_add_relaxed_u64(&mailbox->refused, 1);
    return why;
}

static fkli_push discard_own(fkli_mailbox *mailbox, fkl_msg *msg, fkl_msg **discarded)
{
    fkli_add_relaxed_u64(&mailbox->sent, 1);
    fkli_add_relaxed_u64(&mailbox->dropped, 1);
    *discarded = msg;
    return FKLI_PUSHED;
}

// The oldest user message in the lane and what stands before it, or NULL. Costs O(replies that wait
// in front of it).
static fkl_msg *find_oldest_locked(fkli_mailbox *mailbox, fkl_msg **before)
{
    fkli_mailbox_take_user_locked(mailbox);
    *before = NULL;
    fkl_msg *msg = mailbox->user_lane.fifo.first;
    for (; msg && msg->kind != FKL_MSG_USER; msg = msg->next)
        *before = msg;
    return msg;
}

// Takes it out; its place is kept. Returns it for the caller to destroy, or NULL when a selective
// receive is looking at it, which does that then.
static fkl_msg *discard_oldest_locked(fkli_mailbox *mailbox, fkl_msg *before, fkl_msg *oldest)
{
    fkli_scan *scan = mailbox->bound->scan;
    fkli_lane_remove(&mailbox->user_lane, before, oldest);
    --mailbox->user_len;
    fkli_add_relaxed_u64(&mailbox->dropped, 1);
    if (scan && scan->user_passed == oldest)
        scan->user_passed = before;
    if (!scan || scan->current != oldest)
        return oldest;
    scan->current = NULL;
    return NULL;
}

// The message goes in before the oldest goes out, as it may be refused; under the lock nobody sees
// that it is one too many.
static fkli_push push_over_oldest(fkli_mailbox *mailbox, fkl_msg *msg, fkl_msg **discarded)
{
    fkli_bound *bound = mailbox->bound;
    fkl_msg *before;
    fkl_msg *oldest;
    fkli_push pushed;
    fkli_lock_take(&bound->lock);
    fkl_err err = fkli_credit_try_take(&bound->places); // some may have been given back meanwhile
    if (err == FKL_OK) {
        pushed = push_with_place(mailbox, msg);
    } else if (err == FKL_ECLOSED) {
        pushed = refuse(mailbox, fkli_inbox_refusal(&mailbox->user));
    } else if (!(oldest = find_oldest_locked(mailbox, &before))) {
        pushed = discard_own(mailbox, msg, discarded);
    } else {
        pushed = push(mailbox, msg);
        if (!is_refused(pushed))
            *discarded = discard_oldest_locked(mailbox, before, oldest);
    }
    fkli_lock_give(&bound->lock);
    return pushed;
}

static fkli_push send_without_place(fkli_mailbox *mailbox, fkl_msg *msg, fkl_msg **discarded)
{
    // Who has seen the actor's exit must be refused, also while the places are not closed yet.
    fkli_push refusal = fkli_inbox_refusal(&mailbox->user);
    if (is_refused(refusal))
        return refuse(mailbox, refusal);
    switch (mailbox->bound->full) {
    case FKL_FULL_DROP_NEWEST:
        return discard_own(mailbox, msg, discarded);
    case FKL_FULL_DROP_OLDEST:
        return push_over_oldest(mailbox, msg, discarded);
    case FKL_FULL_WAIT:
    case FKL_FULL_FAIL:
        break;
    }
    return FKLI_PUSH_FULL;
}

fkli_push fkli_mailbox_send(fkli_mailbox *mailbox, fkl_msg *msg, fkl_msg **discarded)
{
    *discarded = NULL;
    if (!mailbox->bound)
        return push(mailbox, msg);
    if (fkli_credit_try_take(&mailbox->bound->places) == FKL_OK)
        return push_with_place(mailbox, msg);
    return send_without_place(mailbox, msg, discarded);
}

fkl_err fkli_mailbox_send_until(fkli_mailbox *mailbox, fkl_msg *msg, fkl_time deadline,
                                fkli_push *pushed)
{
    fkl_err err = fkli_credit_take_until(&mailbox->bound->places, deadline, "send");
    if (!err)
        *pushed = push_with_place(mailbox, msg);
    if (err != FKL_ECLOSED)
        return err;
    *pushed = refuse(mailbox, fkli_inbox_refusal(&mailbox->user));
    return FKL_OK;
}
