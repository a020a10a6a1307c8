// SPDX-License-Identifier: Apache-2.0
//
// Channels: an inbox with many consumers, who take turns under a short lock, and with credits for
// the free places when it is bounded. Any thread runs this.
//
// Receivers that find nothing queue under the lock and leave the inbox BLOCKED. The push that
// replaces BLOCKED wakes one of them; a receiver that took a message and leaves others behind wakes
// the next. Invariant, whenever the lock is free: if receivers are queued, then the inbox is
// BLOCKED, or a thread that was popped, or a sender that replaced BLOCKED, is on its way to the
// lock.

#include "channel.h"

#include "ask.h"
#include "inbox.h"
#include "memory.h"

struct fkl_channel {
    fkli_inbox inbox;
    char apart[FKLI_CACHE_LINE];
    fkli_fifo fifo; // guarded by lock: its holder is the inbox's consumer
    fkl_allocator allocator;
    size_t capacity; // constant, 0 for no bound
    fkli_atomic_u32 refs;
    fkli_lock lock;
    fkli_waitlist receivers; // guarded by lock; pollers too
    fkli_credit places;      // free ones, when bounded
    fkli_atomic_u64 len;     // messages, when not bounded
};

// More places than this are no bound in practice.
static bool is_bounded(const fkl_channel *channel)
{
    return channel->capacity > 0 && channel->capacity <= UINT32_MAX;
}

fkl_err fkl_channel_create(fkl_runtime *runtime, size_t capacity, fkl_channel **out)
{
    const fkl_allocator *allocator = fkli_allocator_of(runtime);
    fkl_channel *channel = fkli_alloc_zeroed(allocator, sizeof *channel);
    if (!channel)
        return FKL_ENOMEM;
    fkli_inbox_init(&channel->inbox);
    fkli_fifo_init(&channel->fifo);
    channel->allocator = *allocator;
    channel->capacity = capacity;
    fkli_store_relaxed_u32(&channel->refs, 1);
    fkli_lock_init(&channel->lock);
    uint32_t places = is_bounded(channel) ? (uint32_t)capacity : 1;
    fkli_credit_init(&channel->places, places, places);
    *out = channel;
    return FKL_OK;
}

fkl_channel *fkl_channel_retain(fkl_channel *channel)
{
    fkli_add_relaxed_u32(&channel->refs, 1); // the caller's reference keeps it alive
    return channel;
}

void fkl_channel_release(fkl_channel *channel)
{
    // The release half pairs with the acquire half of the last one.
    if (!channel || fkli_sub_acq_rel_u32(&channel->refs, 1) != 1)
        return;
    fkli_fifo_append(&channel->fifo, fkli_inbox_close(&channel->inbox));
    fkli_msg_destroy_chain(fkli_fifo_clear(&channel->fifo));
    fkli_credit_fini(&channel->places);
    fkli_lock_fini(&channel->lock);
    fkl_allocator allocator = channel->allocator;
    fkli_free(&allocator, channel, sizeof *channel);
}

// Sending.

static void give_place(fkl_channel *channel)
{
    if (!is_bounded(channel)) {
        fkli_sub_relaxed_u64(&channel->len, 1); // a count for people; it orders nothing
        return;
    }
    fkl_err err = fkli_credit_give(&channel->places);
    (void)err; // cannot overflow: each place was taken before
}

static void wake_receiver(fkl_channel *channel)
{
    fkli_lock_take(&channel->lock);
    fkli_wakeup wakeup = fkli_waitlist_pop_locked(&channel->receivers);
    fkli_lock_give(&channel->lock);
    fkli_wake(wakeup);
}

static bool is_request(const fkl_msg *msg)
{
    return msg->kind == FKL_MSG_USER && msg->tie;
}

// With a place in hand. Nobody is to answer a request while it is in a channel.
static fkl_err push(fkl_channel *channel, fkl_msg *msg)
{
    bool request = is_request(msg);
    if (request)
        fkli_ask_put_down(msg);
    msg->sender = fkli_self_id();
    switch (fkli_inbox_push(&channel->inbox, msg)) {
    case FKLI_PUSHED:
        return FKL_OK;
    case FKLI_PUSHED_WAKE:
        wake_receiver(channel);
        return FKL_OK;
    case FKLI_PUSH_CLOSED:
    case FKLI_PUSH_DRAINED: // no channel is drained
    case FKLI_PUSH_FULL:
        break;
    }
    if (request)
        fkli_ask_pick_up(msg, fkli_actor_own());
    give_place(channel);
    return FKL_ECLOSED;
}

fkl_err fkl_channel_send_until(fkl_channel *channel, fkl_msg *msg, fkl_time deadline)
{
    fkl_err err;
    if (is_bounded(channel)) {
        err = fkli_credit_take_until(&channel->places, deadline, "channel send");
    } else {
        err = fkli_wait_cancelled(fkli_thread_current());
        if (!err)
            fkli_add_relaxed_u64(&channel->len, 1);
    }
    return err ? err : push(channel, msg);
}

fkl_err fkl_channel_try_send(fkl_channel *channel, fkl_msg *msg)
{
    if (is_bounded(channel)) {
        fkl_err err = fkli_credit_try_take(&channel->places);
        if (err)
            return err == FKL_EEMPTY ? FKL_EFULL : err;
    } else {
        fkli_add_relaxed_u64(&channel->len, 1);
    }
    return push(channel, msg);
}

// Receiving.

// Keeps the invariant for those who stay queued: leaves the inbox BLOCKED, or returns who must be
// woken because there is something for them.
static fkli_wakeup settle_locked(fkl_channel *channel)
{
    if (!channel->receivers.first || fkli_inbox_block(&channel->inbox, &channel->fifo))
        return NULL;
    return fkli_waitlist_pop_locked(&channel->receivers);
}

// Without waiting: FKL_OK with a message or, for a poll (`out` NULL), without; FKL_EEMPTY;
// FKL_ECLOSED.
static fkl_err take_locked(fkl_channel *channel, fkl_msg **out, fkli_wakeup *wakeup)
{
    if (!out) {
        if (!fkli_inbox_has_some(&channel->inbox, &channel->fifo) &&
            !fkli_inbox_is_closed(&channel->inbox))
            return FKL_EEMPTY;
        *wakeup = settle_locked(channel);
        return FKL_OK;
    }
    fkl_msg *msg = fkli_inbox_pop(&channel->inbox, &channel->fifo);
    if (!msg)
        return fkli_inbox_is_closed(&channel->inbox) ? FKL_ECLOSED : FKL_EEMPTY;
    *wakeup = settle_locked(channel);
    *out = msg;
    return FKL_OK;
}

static fkl_err finish_take(fkl_channel *channel, fkl_err err, fkl_msg **out, fkli_wakeup wakeup)
{
    fkli_wake(wakeup);
    if (err || !out)
        return err;
    if (is_request(*out))
        fkli_ask_pick_up(*out, fkli_actor_own());
    give_place(channel);
    return FKL_OK;
}

static fkl_err try_take(fkl_channel *channel, fkl_msg **out)
{
    fkli_wakeup wakeup = NULL;
    fkli_lock_take(&channel->lock);
    fkl_err err = take_locked(channel, out, &wakeup);
    fkli_lock_give(&channel->lock);
    return finish_take(channel, err, out, wakeup);
}

// Takes, or else queues the waiter and leaves the inbox BLOCKED (FKL_EEMPTY then).
static fkl_err take_or_queue(fkl_channel *channel, fkl_msg **out, fkli_waiter *waiter,
                             bool in_front)
{
    fkli_wakeup wakeup = NULL;
    fkl_err err;
    fkli_lock_take(&channel->lock);
    do { // again when a message came in between
        err = take_locked(channel, out, &wakeup);
    } while (err == FKL_EEMPTY && !fkli_inbox_block(&channel->inbox, &channel->fifo));
    if (err == FKL_EEMPTY) {
        if (in_front)
            fkli_waitlist_prepend_locked(&channel->receivers, waiter);
        else
            fkli_waitlist_append_locked(&channel->receivers, waiter);
    }
    fkli_lock_give(&channel->lock);
    return finish_take(channel, err, out, wakeup);
}

// After `err` ended the wait of a queued waiter. One that was popped meanwhile owes the others the
// wake that it got.
static fkl_err leave(fkl_channel *channel, fkl_msg **out, fkli_waiter *waiter, fkl_err err)
{
    fkli_wakeup wakeup = NULL;
    fkl_err taken = FKL_EEMPTY;
    fkli_lock_take(&channel->lock);
    if (fkli_waitlist_remove_locked(&channel->receivers, waiter)) {
        if (!channel->receivers.first)
            fkli_inbox_unblock(&channel->inbox);
    } else {
        if (err == FKL_ETIMEDOUT)
            taken = take_locked(channel, out, &wakeup);
        if (taken)
            wakeup = settle_locked(channel);
    }
    fkli_lock_give(&channel->lock);
    finish_take(channel, taken, out, wakeup);
    return taken == FKL_EEMPTY ? err : taken;
}

static fkl_err take_until(fkl_channel *channel, fkl_time deadline, fkl_msg **out, const char *where)
{
    fkli_thread *thread = fkli_thread_current();
    fkl_err err = fkli_wait_cancelled(thread);
    if (err)
        return err;
    err = try_take(channel, out);
    if (err != FKL_EEMPTY)
        return err;
    if (fkli_deadline_passed(deadline))
        return FKL_ETIMEDOUT;
    fkli_waiter waiter;
    fkli_waiter_init(&waiter, thread);
    // A receiver whose message a newcomer took goes back to the front.
    for (bool in_front = false;; in_front = true) {
        err = take_or_queue(channel, out, &waiter, in_front);
        if (err != FKL_EEMPTY)
            break;
        err = fkli_await(&waiter, deadline, where);
        if (err) {
            err = leave(channel, out, &waiter, err);
            break;
        }
    }
    fkli_waiter_fini(&waiter);
    return err;
}

fkl_err fkl_channel_receive_until(fkl_channel *channel, fkl_time deadline, fkl_msg **out)
{
    return take_until(channel, deadline, out, "channel receive");
}

fkl_err fkl_channel_try_receive(fkl_channel *channel, fkl_msg **out)
{
    return try_take(channel, out);
}

fkl_err fkl_channel_poll_until(fkl_channel *channel, fkl_time deadline)
{
    return take_until(channel, deadline, NULL, "channel poll");
}

// Watching.

bool fkli_channel_can_receive(fkl_channel *channel)
{
    fkli_lock_take(&channel->lock);
    bool can = fkli_inbox_has_some(&channel->inbox, &channel->fifo) ||
               fkli_inbox_is_closed(&channel->inbox);
    fkli_lock_give(&channel->lock);
    return can;
}

bool fkli_channel_watch_receive(fkl_channel *channel, fkli_waiter *waiter, bool was_popped)
{
    return take_or_queue(channel, NULL, waiter, was_popped) == FKL_OK;
}

void fkli_channel_unwatch_receive(fkl_channel *channel, fkli_waiter *waiter)
{
    fkl_err err = leave(channel, NULL, waiter, FKL_ESTOPPED); // whatever is no timeout
    (void)err;
}

bool fkli_channel_can_send(fkl_channel *channel)
{
    return !is_bounded(channel) || fkli_credit_can_take(&channel->places);
}

bool fkli_channel_watch_send(fkl_channel *channel, fkli_waiter *waiter, bool was_popped)
{
    return !is_bounded(channel) || fkli_credit_watch(&channel->places, waiter, was_popped);
}

void fkli_channel_unwatch_send(fkl_channel *channel, fkli_waiter *waiter)
{
    fkli_credit_unwatch(&channel->places, waiter);
}

// Closing and looking.

// Under the lock no receiver sees the moment in which the messages are in neither place.
void fkl_channel_close(fkl_channel *channel)
{
    fkli_lock_take(&channel->lock);
    fkli_fifo_append(&channel->fifo, fkli_inbox_close(&channel->inbox));
    fkli_lock_give(&channel->lock);
    fkli_credit_close(&channel->places);
    fkli_wakeup wakeup;
    do {
        fkli_lock_take(&channel->lock);
        wakeup = fkli_waitlist_pop_locked(&channel->receivers);
        fkli_lock_give(&channel->lock);
        fkli_wake(wakeup);
    } while (wakeup);
}

bool fkl_channel_is_closed(const fkl_channel *channel)
{
    return fkli_inbox_is_closed(&channel->inbox);
}

size_t fkl_channel_len(const fkl_channel *channel)
{
    if (is_bounded(channel))
        return channel->capacity - fkli_credit_value(&channel->places);
    return (size_t)fkli_load_relaxed_u64(&channel->len);
}

size_t fkl_channel_capacity(const fkl_channel *channel)
{
    return channel->capacity;
}
