// SPDX-License-Identifier: Apache-2.0
//
// Monitors. One is made and ended by the watcher's own thread, and fired or swept by whoever
// publishes the target's or the watcher's exit.
//
// A monitor is in the watcher's table and in the target's list, each guarded by the lock of its
// actor; the locks are never held together. What decides is `state`: one compare-and-swap takes it
// from ARMED to FIRED (the message goes out) or to ENDED (it never will). The message is made
// together with the monitor, so nothing has to be allocated when an actor ends, and it shares the
// error of the exit record.

#include "monitor.h"

#include <forkless/monitor.h>

#include "ask.h"

enum { ARMED, FIRED, ENDED };

struct fkli_monitor {
    fkli_refnode node;    // first: see monitor_of(); guarded by the watcher's lock
    fkli_atomic_u32 refs; // the table, the list, its message once that is out, who works on it
    fkli_atomic_u32 state;
    fkl_actor *watcher; // retained
    fkl_actor *target;  // retained; NULL when it was gone before
    fkl_msg *down;      // the monitor's until FIRED, its own afterwards
    bool discard;       // the watcher's own thread: ended after it fired
    // Guarded by the target's lock:
    bool is_watcher;
    fkli_monitor *next_watcher;
    fkli_monitor *previous_watcher;
};

// The payload of an FKL_MSG_DOWN.
typedef struct down {
    fkl_monitor_ref ref;
    fkl_exit exit;
    bool known;
    fkli_blob *error;      // what exit.error points into
    fkli_monitor *monitor; // a reference, until the message is received
} down;

static down *down_of(fkl_msg *msg)
{
    return (down *)(void *)msg->payload;
}

// References.

static void release(fkli_monitor *monitor)
{
    // The release half pairs with the acquire half of the last one.
    if (fkli_sub_acq_rel_u32(&monitor->refs, 1) != 1)
        return;
    fkl_actor *watcher = monitor->watcher;
    fkl_actor *target = monitor->target;
    const fkl_allocator *allocator = &watcher->runtime->allocator;
    if (fkli_load_relaxed_u32(&monitor->state) != FIRED)
        fkl_msg_destroy(monitor->down);
    fkli_free(allocator, monitor, sizeof *monitor);
    fkl_actor_release(target);
    fkl_actor_release(watcher);
}

static void release_down(fkl_msg *msg)
{
    fkli_blob_release(down_of(msg)->error);
    if (down_of(msg)->monitor)
        release(down_of(msg)->monitor);
}

static fkli_monitor *monitor_of(fkli_refnode *node)
{
    _Static_assert(offsetof(fkli_monitor, node) == 0, "a node of a monitor is the monitor");
    return (fkli_monitor *)node;
}

static void forget(fkli_refnode *node);

// With a reference for the table and one for the list. Takes over the reference to `target`.
static fkl_err create(fkl_actor *watcher, fkl_actor *target, fkl_actor_id id, fkli_monitor **out)
{
    const fkl_allocator *allocator = &watcher->runtime->allocator;
    fkli_monitor *monitor = fkli_alloc_zeroed(allocator, sizeof *monitor);
    if (!monitor)
        return FKL_ENOMEM;
    fkl_err err =
        fkli_msg_create_system(allocator, FKL_MSG_DOWN, sizeof(down), release_down, &monitor->down);
    if (err) {
        fkli_free(allocator, monitor, sizeof *monitor);
        return err;
    }
    monitor->node.ref = ++watcher->last_ref;
    monitor->node.orphaned = forget;
    monitor->watcher = fkl_actor_retain(watcher);
    monitor->target = target;
    fkli_store_relaxed_u32(&monitor->refs, 2);
    fkli_store_relaxed_u32(&monitor->state, ARMED);
    down_of(monitor->down)->ref = monitor->node.ref;
    down_of(monitor->down)->exit.id = id;
    *out = monitor;
    return FKL_OK;
}

// The table and the list.

static bool unlist_locked(fkli_monitor *monitor)
{
    fkl_actor *watcher = monitor->watcher;
    return fkli_reftable_remove_locked(&watcher->runtime->allocator, &watcher->refs,
                                       &monitor->node);
}

static void link_watcher_locked(fkli_monitor *monitor)
{
    fkl_actor *target = monitor->target;
    monitor->is_watcher = true;
    monitor->next_watcher = target->watchers;
    if (target->watchers)
        target->watchers->previous_watcher = monitor;
    target->watchers = monitor;
}

static bool unlink_watcher_locked(fkli_monitor *monitor)
{
    if (!monitor->is_watcher)
        return false;
    if (monitor->next_watcher)
        monitor->next_watcher->previous_watcher = monitor->previous_watcher;
    if (monitor->previous_watcher)
        monitor->previous_watcher->next_watcher = monitor->next_watcher;
    else
        monitor->target->watchers = monitor->next_watcher;
    monitor->is_watcher = false;
    return true;
}

// Firing and ending.

// Acquire and release: whoever loses finds what the winner did before; the winner of FIRED alone
// writes the message.
static bool decide(fkli_monitor *monitor, uint32_t state)
{
    uint32_t expected = ARMED;
    return fkli_cas_acq_rel_u32(&monitor->state, &expected, state);
}

// Fills in how `target` ended.
static void tell(down *content, const fkl_actor *target)
{
    content->exit = target->exit;
    content->known = true;
    // The record points to an error only if that is what ended the actor.
    if (target->exit.error)
        content->error = fkli_blob_retain(target->error);
}

// Sends the message, unless the monitor has been ended. Consumes a reference, which passes to the
// message. The target's exit is published, or there is no target.
static void fire(fkli_monitor *monitor)
{
    if (!decide(monitor, FIRED)) {
        release(monitor);
        return;
    }
    fkl_msg *msg = monitor->down;
    down *content = down_of(msg);
    fkl_actor *target = monitor->target;
    if (target)
        tell(content, target);
    content->monitor = monitor;
    // Once pushed, the message may be received and the monitor freed at any time.
    fkl_actor *watcher = fkl_actor_retain(monitor->watcher);
    fkli_push pushed = fkli_mailbox_push(&watcher->mailbox, msg);
    if (pushed == FKLI_PUSHED_WAKE)
        fkli_actor_wake(watcher);
    else if (pushed == FKLI_PUSH_CLOSED)
        fkl_msg_destroy(msg);
    fkl_actor_release(watcher);
}

// Prevents the message; false when it is out already. The target's list loses its reference; if the
// monitor is not in that list now, then whoever puts it there or took it out drops the reference,
// because it sees the state.
static bool end(fkli_monitor *monitor)
{
    if (!decide(monitor, ENDED))
        return false;
    fkl_actor *target = monitor->target;
    if (!target)
        return true;
    fkli_lock_take(&target->lock);
    bool unlinked = unlink_watcher_locked(monitor);
    fkli_lock_give(&target->lock);
    if (unlinked)
        release(monitor);
    return true;
}

static fkli_monitor *next_watcher(fkl_actor *actor)
{
    fkli_lock_take(&actor->lock);
    fkli_monitor *monitor = actor->watchers;
    if (monitor)
        unlink_watcher_locked(monitor);
    fkli_lock_give(&actor->lock);
    return monitor;
}

// The watcher's exit is published.
static void forget(fkli_refnode *node)
{
    end(monitor_of(node));
    release(monitor_of(node));
}

// No monitor is added any more: arm() looks at `exited` under the same lock.
void fkli_monitors_settle(fkl_actor *actor)
{
    fkli_monitor *monitor;
    while ((monitor = next_watcher(actor)))
        fire(monitor);
}

// For the watcher.

static fkl_err start_watching(fkli_monitor *monitor)
{
    fkl_actor *watcher = monitor->watcher;
    fkli_lock_take(&watcher->lock);
    fkl_err err = fkli_event_is_set(&watcher->exited) ? FKL_ESTOPPED : FKL_OK;
    if (!err)
        err =
            fkli_reftable_add_locked(&watcher->runtime->allocator, &watcher->refs, &monitor->node);
    fkli_lock_give(&watcher->lock);
    return err;
}

// Whether the target will fire the monitor when it ends.
static bool arm(fkli_monitor *monitor)
{
    fkl_actor *target = monitor->target;
    if (!target)
        return false;
    fkli_lock_take(&target->lock);
    bool armed =
        !fkli_event_is_set(&target->exited) && fkli_load_acquire_u32(&monitor->state) == ARMED;
    if (armed)
        link_watcher_locked(monitor);
    fkli_lock_give(&target->lock);
    return armed;
}

fkl_err fkl_monitor(fkl_actor_id target, fkl_monitor_ref *out)
{
    fkl_actor *self = fkli_actor_own();
    if (!self)
        return FKL_EPERM;
    fkl_actor *actor = fkli_registry_find(self->runtime, target);
    if (!actor && !fkli_registry_knows(self->runtime, target))
        return FKL_ENOACTOR;
    fkli_monitor *monitor;
    fkl_err err = create(self, actor, target, &monitor);
    if (err) {
        fkl_actor_release(actor);
        return err;
    }
    fkl_monitor_ref ref = monitor->node.ref;
    err = start_watching(monitor);
    if (err) {
        release(monitor);
        release(monitor);
        return err;
    }
    if (!arm(monitor))
        fire(monitor);
    *out = ref;
    return FKL_OK;
}

static fkli_monitor *take_watching(fkl_actor *self, fkl_monitor_ref ref)
{
    fkli_lock_take(&self->lock);
    fkli_refnode *node = fkli_reftable_find_locked(self->refs, ref);
    fkli_monitor *monitor = node && node->orphaned == forget ? monitor_of(node) : NULL;
    if (monitor)
        unlist_locked(monitor);
    fkli_lock_give(&self->lock);
    return monitor;
}

bool fkl_demonitor(fkl_monitor_ref ref)
{
    fkl_actor *self = fkli_actor_own();
    fkli_monitor *monitor = self ? take_watching(self, ref) : NULL;
    if (!monitor)
        return false;
    if (!end(monitor)) {
        // The message is in the mailbox, or on its way there and will be discarded on arrival.
        monitor->discard = true;
        if (fkli_mailbox_remove_system(&self->mailbox, monitor->down))
            fkl_msg_destroy(monitor->down);
    }
    release(monitor);
    return true;
}

bool fkli_monitor_is_over(const fkl_msg *msg)
{
    const down *content = (const down *)(const void *)msg->payload;
    return content->monitor->discard;
}

bool fkli_monitor_received(fkl_actor *actor, fkl_msg *msg)
{
    fkli_monitor *monitor = down_of(msg)->monitor;
    down_of(msg)->monitor = NULL;
    bool wanted = !monitor->discard;
    fkli_lock_take(&actor->lock);
    bool unlisted = unlist_locked(monitor);
    fkli_lock_give(&actor->lock);
    if (unlisted)
        release(monitor);
    release(monitor);
    return wanted;
}

fkl_err fkli_down_create(const fkl_allocator *allocator, const fkl_actor *target, fkl_msg **out)
{
    fkl_err err = fkli_msg_create_system(allocator, FKL_MSG_DOWN, sizeof(down), release_down, out);
    if (!err)
        tell(down_of(*out), target);
    return err;
}

// The outcome of an ask whose request went down with its holder.
static fkl_err read_outcome(const fkl_msg *msg, fkl_monitor_ref *ref, fkl_exit *exit, bool *known)
{
    const fkl_actor *ended = fkli_ask_ended(fkli_ask_of(msg));
    if (!ended)
        return FKL_ETYPE;
    if (ref)
        *ref = 0;
    if (exit)
        *exit = ended->exit;
    if (known)
        *known = true;
    return FKL_OK;
}

fkl_err fkl_msg_down(const fkl_msg *msg, fkl_monitor_ref *ref, fkl_exit *exit, bool *known)
{
    if (msg->kind == FKL_MSG_REPLY)
        return read_outcome(msg, ref, exit, known);
    if (msg->kind != FKL_MSG_DOWN)
        return FKL_ETYPE;
    const down *content = (const down *)(const void *)msg->payload;
    if (ref)
        *ref = content->ref;
    if (exit)
        *exit = content->exit;
    if (known)
        *known = content->known;
    return FKL_OK;
}
