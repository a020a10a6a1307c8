// SPDX-License-Identifier: Apache-2.0
//
// Messages that are sent later. Made and cancelled in any thread, sent in the timer thread.
//
// Each has a number in a table, and a timer. Its number decides who has it: a cancel or a firing
// that takes it out of the table, or meets it gone, knows where it stands. A cancel takes the timer
// back under the table's lock; where it comes too late for that, the firing is on its way and finds
// the number gone when it gets the lock. So of both exactly one frees it, and never too early.

#include "delayed.h"

#include "actor.h"
#include "ask.h"
#include "handles.h"
#include "message.h"
#include "send.h"
#include "timer.h"

struct fkli_delayed {
    const fkl_allocator *allocator;
    fkli_lock lock; // taken before that of the timers
    fkli_handles handles;
};

typedef struct delayed {
    fkli_timer timer; // first
    fkl_runtime *runtime;
    fkl_timer_ref ref;
    fkl_actor_id to;
    fkl_msg *msg;   // of a repeated one: what is copied
    int64_t period; // 0: once
    fkl_time next;  // guarded by the table's lock
} delayed;

fkl_err fkli_delayed_create(const fkl_allocator *allocator, fkli_delayed **out)
{
    fkli_delayed *table = fkli_alloc_zeroed(allocator, sizeof *table);
    if (!table)
        return FKL_ENOMEM;
    table->allocator = allocator;
    fkli_lock_init(&table->lock);
    fkli_handles_init(&table->handles, allocator);
    *out = table;
    return FKL_OK;
}

void fkli_delayed_destroy(fkli_delayed *table)
{
    if (!table)
        return;
    fkli_handles_fini(&table->handles);
    fkli_lock_fini(&table->lock);
    fkli_free(table->allocator, table, sizeof *table);
}

static void destroy(delayed *item)
{
    fkl_msg_destroy(item->msg);
    fkli_free(&item->runtime->allocator, item, sizeof *item);
}

// Takes it out of the table; false when a cancel has done so.
static bool take(delayed *item)
{
    fkli_delayed *table = item->runtime->delayed;
    fkli_lock_take(&table->lock);
    bool taken = fkli_handles_take_locked(&table->handles, item->ref) != NULL;
    fkli_lock_give(&table->lock);
    return taken;
}

static bool is_wanted(delayed *item)
{
    fkli_delayed *table = item->runtime->delayed;
    fkli_lock_take(&table->lock);
    bool wanted = fkli_handles_find_locked(&table->handles, item->ref) != NULL;
    fkli_lock_give(&table->lock);
    return wanted;
}

// Firing.

// FKL_ENOMEM leaves the tick out.
static fkl_err post_copy(const delayed *item)
{
    const fkl_msg *source = item->msg;
    fkl_msg *copy;
    fkl_err err = fkl_msg_create_copy(item->runtime, (fkl_codec)source->codec, fkl_msg_peek(source),
                                      source->len, &copy);
    if (err)
        return err;
    copy->sender = source->sender;
    copy->tag = source->tag;
    return fkli_deliver(item->runtime, item->to, copy);
}

// The first of the timer's times that is still to come.
static fkl_time next_time(const delayed *item, fkl_time now)
{
    fkl_time last = item->next;
    fkl_time missed = now > last ? (now - last) / item->period : 0;
    if (missed >= (FKL_FOREVER - last) / item->period)
        return FKL_FOREVER;
    return last + (missed + 1) * item->period;
}

// False when the timer is over. Once armed it may be cancelled and freed at any time after the
// lock.
static bool arm_again(delayed *item)
{
    fkli_delayed *table = item->runtime->delayed;
    fkl_time now = fkli_clock_now();
    fkli_lock_take(&table->lock);
    bool armed = fkli_handles_find_locked(&table->handles, item->ref) != NULL;
    if (armed) {
        item->next = next_time(item, now);
        armed = fkli_timer_arm(item->runtime->timers, &item->timer, item->next) == FKL_OK;
        if (!armed) // the runtime ends
            fkli_handles_take_locked(&table->handles, item->ref);
    }
    fkli_lock_give(&table->lock);
    return armed;
}

static void tick(delayed *item)
{
    if (is_wanted(item)) {
        if (post_copy(item) != FKL_ENOACTOR) {
            if (arm_again(item))
                return;
        } else {
            take(item);
        }
    }
    destroy(item);
}

static void fire(fkli_timer *timer, bool due)
{
    delayed *item = (delayed *)timer;
    if (due && item->period) {
        tick(item);
        return;
    }
    if (take(item) && due) {
        fkli_deliver(item->runtime, item->to, item->msg);
        item->msg = NULL;
    }
    destroy(item);
}

// Making.

static bool is_alive(fkl_runtime *runtime, fkl_actor_id id)
{
    fkl_actor *actor = NULL;
    fkl_err err = fkl_actor_find(runtime, id, &actor);
    fkl_actor_release(actor);
    return err == FKL_OK;
}

// Enters it into the table, then arms it; from then on it may be gone at any time.
static fkl_err start(delayed *item, fkl_timer_ref *ref)
{
    fkli_delayed *table = item->runtime->delayed;
    fkli_lock_take(&table->lock);
    fkl_err err = fkli_handles_add_locked(&table->handles, item, &item->ref);
    fkli_lock_give(&table->lock);
    if (err)
        return err;
    *ref = item->ref;
    err = fkli_timer_arm(item->runtime->timers, &item->timer, item->next);
    if (err)
        take(item);
    return err;
}

static fkl_err send_later(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg, fkl_time first,
                          int64_t period, fkl_timer_ref *out)
{
    fkl_err err = fkli_msg_prepare(msg);
    if (err)
        return err;
    if (!is_alive(runtime, to))
        return FKL_ENOACTOR;
    delayed *item = fkli_alloc(&runtime->allocator, sizeof *item);
    if (!item)
        return FKL_ENOMEM;
    msg->sender = fkli_self_id();
    *item = (delayed){
        .runtime = runtime, .to = to, .msg = msg, .period = period, .next = first < 0 ? 0 : first};
    fkli_timer_init(&item->timer, fire);
    fkl_timer_ref ref;
    if (msg->tie)
        fkli_ask_put_down(msg); // nobody is to answer it meanwhile
    err = start(item, &ref);
    if (err) {
        if (msg->tie)
            fkli_ask_pick_up(msg, fkli_actor_own());
        fkli_free(&runtime->allocator, item, sizeof *item);
        return err;
    }
    if (out)
        *out = ref;
    return FKL_OK;
}

fkl_err fkl_send_at(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg, fkl_time when,
                    fkl_timer_ref *out)
{
    return send_later(runtime, to, msg, when, 0, out);
}

fkl_err fkl_send_every(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg, fkl_time first,
                       int64_t period_ns, fkl_timer_ref *out)
{
    if (period_ns < 1 || !fkli_msg_is_plain(msg))
        return FKL_EINVAL;
    return send_later(runtime, to, msg, first, period_ns, out);
}

// Ending and looking.

bool fkl_timer_cancel(fkl_runtime *runtime, fkl_timer_ref ref)
{
    fkli_delayed *table = runtime->delayed;
    fkli_lock_take(&table->lock);
    delayed *item = fkli_handles_take_locked(&table->handles, ref);
    // False: it fires now, and frees itself when it finds its number gone.
    bool ours = item && fkli_timer_cancel(runtime->timers, &item->timer);
    fkli_lock_give(&table->lock);
    if (ours)
        destroy(item);
    return item != NULL;
}

bool fkl_timer_left(fkl_runtime *runtime, fkl_timer_ref ref, int64_t *left_ns)
{
    fkli_delayed *table = runtime->delayed;
    fkl_time next = 0;
    fkli_lock_take(&table->lock);
    const delayed *item = fkli_handles_find_locked(&table->handles, ref);
    if (item)
        next = item->next;
    fkli_lock_give(&table->lock);
    if (!item)
        return false;
    fkl_time now = fkli_clock_now();
    *left_ns = next == FKL_FOREVER ? FKL_FOREVER : next > now ? next - now : 0;
    return true;
}
