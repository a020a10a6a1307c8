// SPDX-License-Identifier: Apache-2.0
//
// Waiting for the first of several things. Runs in the thread that waits.
//
// A thread sleeps on one parker whatever it waits for; so it queues one waiter at each of the
// things, and whoever pops one of them unparks it. It then looks again at what was popped: ready,
// or back into the queue, in front. When it leaves, it takes the other waiters out, and those that
// were popped meanwhile pass on what they were woken for, as it takes nothing.
//
// No wake-up is lost: a thing becomes ready either before its waiter is queued, under the lock that
// guards it, and then the queueing says so; or after, and then the waiter is popped and a token is
// left in the parker. The thread looks at all its waiters after it has consumed a token and before
// it sleeps.

#include <forkless/select.h>

#include "actor.h"
#include "channel.h"
#include "sync.h"

// What waits with so many items at most lies on the stack.
enum { FEW = 16 };

typedef struct watch {
    fkli_waiter waiter;
    bool queued; // in a list, or popped from it since
} watch;

typedef struct selection {
    const fkl_wait_item *items;
    watch *watches;
    size_t count;
    size_t first; // where the look begins
    fkl_actor *self;
    bool blocked;      // the mailbox wakes the thread
    fkl_time earliest; // of the points of time among the items
} selection;

// Where the next wait of this thread begins to look, so that no item is preferred for long.
static FKLI_THREAD_LOCAL size_t rotation;

static fkl_err check_item(const fkl_wait_item *item, const fkl_actor *self)
{
    switch (item->kind) {
    case FKL_WAIT_MAILBOX:
        return self && !self->mailbox.matching ? FKL_OK : FKL_EPERM;
    case FKL_WAIT_RECEIVE:
    case FKL_WAIT_SEND:
        return item->channel ? FKL_OK : FKL_EINVAL;
    case FKL_WAIT_EXIT:
        return item->actor ? FKL_OK : FKL_EINVAL;
    case FKL_WAIT_SEM:
        return item->sem ? FKL_OK : FKL_EINVAL;
    case FKL_WAIT_TIME:
        return FKL_OK;
    }
    return FKL_EINVAL;
}

// Looks at the items, before anything is queued.
static fkl_err examine(selection *all)
{
    if (!all->items || all->count == 0)
        return FKL_EINVAL;
    all->earliest = FKL_FOREVER;
    for (size_t i = 0; i < all->count; ++i) {
        const fkl_wait_item *item = &all->items[i];
        fkl_err err = check_item(item, all->self);
        if (err)
            return err;
        if (item->kind == FKL_WAIT_TIME && item->time < all->earliest)
            all->earliest = item->time;
    }
    return FKL_OK;
}

static void unwatch_mailbox(selection *all)
{
    if (all->blocked)
        fkli_mailbox_unblock(&all->self->mailbox);
    all->blocked = false;
}

// The mailbox's answer to "may I sleep?" is also the one to "is there anything?".
static bool watch_mailbox(selection *all)
{
    bool blocked = fkli_mailbox_block(&all->self->mailbox, NULL);
    if (!blocked)
        unwatch_mailbox(all);
    all->blocked = blocked;
    return !blocked;
}

static bool is_ready(selection *all, const fkl_wait_item *item)
{
    switch (item->kind) {
    case FKL_WAIT_MAILBOX: {
        bool ready = watch_mailbox(all);
        unwatch_mailbox(all);
        return ready;
    }
    case FKL_WAIT_RECEIVE:
        return fkli_channel_can_receive(item->channel);
    case FKL_WAIT_SEND:
        return fkli_channel_can_send(item->channel);
    case FKL_WAIT_EXIT:
        return fkli_event_is_set(&item->actor->exited);
    case FKL_WAIT_TIME:
        return fkli_deadline_passed(item->time);
    case FKL_WAIT_SEM:
        return fkli_credit_can_take(fkli_sem_credit(item->sem));
    }
    return false;
}

// Says that it is ready, or sees to it that the thread is woken.
static bool watch_item(selection *all, const fkl_wait_item *item, watch *at)
{
    bool was_popped = at->queued;
    if (was_popped && !fkli_waiter_is_popped(&at->waiter))
        return false;
    bool ready = true;
    switch (item->kind) {
    case FKL_WAIT_MAILBOX:
        return watch_mailbox(all);
    case FKL_WAIT_TIME:
        return fkli_deadline_passed(item->time);
    case FKL_WAIT_RECEIVE:
        ready = fkli_channel_watch_receive(item->channel, &at->waiter, was_popped);
        break;
    case FKL_WAIT_SEND:
        ready = fkli_channel_watch_send(item->channel, &at->waiter, was_popped);
        break;
    case FKL_WAIT_EXIT:
        ready = fkli_event_watch(&item->actor->exited, &at->waiter);
        break;
    case FKL_WAIT_SEM:
        ready = fkli_credit_watch(fkli_sem_credit(item->sem), &at->waiter, was_popped);
        break;
    }
    at->queued = !ready;
    return ready;
}

static void unwatch_item(selection *all, const fkl_wait_item *item, watch *at)
{
    if (item->kind == FKL_WAIT_MAILBOX)
        unwatch_mailbox(all);
    if (!at->queued)
        return;
    switch (item->kind) {
    case FKL_WAIT_RECEIVE:
        fkli_channel_unwatch_receive(item->channel, &at->waiter);
        break;
    case FKL_WAIT_SEND:
        fkli_channel_unwatch_send(item->channel, &at->waiter);
        break;
    case FKL_WAIT_EXIT:
        fkli_event_unwatch(&item->actor->exited, &at->waiter);
        break;
    case FKL_WAIT_SEM:
        fkli_credit_unwatch(fkli_sem_credit(item->sem), &at->waiter);
        break;
    case FKL_WAIT_MAILBOX:
    case FKL_WAIT_TIME:
        break;
    }
    at->queued = false;
}

// The first ready item, from where the look begins. FKL_EEMPTY: none; with `watches` all of them
// are watched then.
static fkl_err look(selection *all, size_t *index)
{
    size_t i = all->first;
    for (size_t looked = 0; looked < all->count; ++looked) {
        const fkl_wait_item *item = &all->items[i];
        if (all->watches ? watch_item(all, item, &all->watches[i]) : is_ready(all, item)) {
            *index = i;
            return FKL_OK;
        }
        i = i + 1 < all->count ? i + 1 : 0;
    }
    return FKL_EEMPTY;
}

static fkl_err watch_until(selection *all, fkli_thread *thread, fkl_time deadline, size_t *index)
{
    fkl_time until = all->earliest < deadline ? all->earliest : deadline;
    bool timed_out = false;
    for (;;) {
        fkl_err err = fkli_wait_cancelled(thread);
        if (!err)
            err = look(all, index);
        if (err != FKL_EEMPTY)
            return err;
        if (timed_out)
            return FKL_ETIMEDOUT;
        err = fkli_wait_park(thread, until, "wait any");
        if (err && err != FKL_ETIMEDOUT)
            return err;
        timed_out = err == FKL_ETIMEDOUT;
    }
}

static fkl_err sleep_with(selection all, watch *watches, fkl_time deadline, size_t *index)
{
    fkli_thread *thread = fkli_thread_current();
    all.watches = watches;
    for (size_t i = 0; i < all.count; ++i) {
        fkli_waiter_init(&watches[i].waiter, thread);
        watches[i].queued = false;
    }
    fkl_err err = watch_until(&all, thread, deadline, index);
    for (size_t i = 0; i < all.count; ++i) {
        unwatch_item(&all, &all.items[i], &watches[i]);
        fkli_waiter_fini(&watches[i].waiter);
    }
    return err;
}

static fkl_err sleep_until(const selection *all, fkl_time deadline, size_t *index)
{
    watch few[FEW];
    if (all->count <= FEW)
        return sleep_with(*all, few, deadline, index);
    const fkl_allocator *allocator = fkli_allocator_of(all->self ? all->self->runtime : NULL);
    watch *many = all->count > SIZE_MAX / sizeof *many
                      ? NULL
                      : fkli_alloc(allocator, all->count * sizeof *many);
    if (!many)
        return FKL_ENOMEM;
    fkl_err err = sleep_with(*all, many, deadline, index);
    fkli_free(allocator, many, all->count * sizeof *many);
    return err;
}

fkl_err fkl_wait_any_until(const fkl_wait_item *items, size_t count, fkl_time deadline,
                           size_t *index)
{
    selection all = {.items = items, .count = count, .self = fkli_actor_own()};
    fkl_err err = examine(&all);
    if (!err)
        err = fkli_wait_cancelled(fkli_thread_current());
    if (err)
        return err;
    all.first = rotation++ % count;
    // Most often something is ready, or nothing shall be waited for.
    err = look(&all, index);
    if (err != FKL_EEMPTY)
        return err;
    if (fkli_deadline_passed(deadline))
        return FKL_ETIMEDOUT;
    return sleep_until(&all, deadline, index);
}
