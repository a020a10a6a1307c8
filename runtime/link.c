// SPDX-License-Identifier: Apache-2.0
//
// Links. One is made and ended by the own thread of either actor, and passes on the exit of the
// first to end in whatever thread publishes that.
//
// A link is one object in the lists of both actors. It is entered and taken out under both locks,
// that of the lower id first, so it is always in both lists or in none, and it is in none once an
// exit of either is settled. The signal is delivered under the same two locks: the message is
// pushed or the receiver's exit published before anybody can see the link gone. So an unlink finds
// the link, or has to look only at what happened already. The message is made together with the
// link, and the link is the memory in which an exit that follows waits to be told of; nothing is
// allocated when an actor ends.

#include "link.h"

#include <forkless/monitor.h>

typedef struct end {
    fkl_actor *actor; // retained
    fkli_link *next;
    fkli_link *previous;
} end;

struct fkli_link {
    fkli_ending ending; // first: see fkli_link_announced()
    end ends[2];        // their list pointers are guarded by the locks of both actors
    fkl_msg *signal;    // the FKL_MSG_EXIT; NULL once it is sent
};

// The payload of an FKL_MSG_EXIT.
typedef struct content {
    fkl_exit exit;
    fkli_blob *error; // what exit.error points into
    bool unlinked;    // the receiver's own thread: not wanted any more
} content;

static content *content_of(fkl_msg *msg)
{
    return (content *)(void *)msg->payload;
}

static void release_content(fkl_msg *msg)
{
    fkli_blob_release(content_of(msg)->error);
}

// Making and freeing.

static fkl_err create(fkl_actor *self, fkl_actor *partner, fkli_link **out)
{
    const fkl_allocator *allocator = &self->runtime->allocator;
    fkli_link *link = fkli_alloc_zeroed(allocator, sizeof *link);
    if (!link)
        return FKL_ENOMEM;
    fkl_err err = fkli_msg_create_system(allocator, FKL_MSG_EXIT, sizeof(content), release_content,
                                         &link->signal);
    if (err) {
        fkli_free(allocator, link, sizeof *link);
        return err;
    }
    link->ends[0].actor = fkl_actor_retain(self);
    link->ends[1].actor = fkl_actor_retain(partner);
    *out = link;
    return FKL_OK;
}

static void destroy(fkli_link *link)
{
    fkl_actor *actors[] = {link->ends[0].actor, link->ends[1].actor};
    fkl_msg_destroy(link->signal);
    fkli_free(&actors[0]->runtime->allocator, link, sizeof *link);
    fkl_actor_release(actors[0]);
    fkl_actor_release(actors[1]);
}

// The lists.

static void lock_both(fkl_actor *one, fkl_actor *other)
{
    fkl_actor *lower = one->id < other->id ? one : other;
    fkli_lock_take(&lower->lock);
    fkli_lock_take(lower == one ? &other->lock : &one->lock);
}

static void unlock_both(fkl_actor *one, fkl_actor *other)
{
    fkli_lock_give(&one->lock);
    fkli_lock_give(&other->lock);
}

static end *end_of(fkli_link *link, const fkl_actor *actor)
{
    return &link->ends[link->ends[1].actor == actor];
}

static fkl_actor *partner_of(const fkli_link *link, const fkl_actor *actor)
{
    return link->ends[link->ends[1].actor != actor].actor;
}

static void enter_locked(fkli_link *link, fkl_actor *actor)
{
    end *own = end_of(link, actor);
    own->previous = NULL;
    own->next = actor->links;
    if (actor->links)
        end_of(actor->links, actor)->previous = link;
    actor->links = link;
}

static void take_out_locked(fkli_link *link, fkl_actor *actor)
{
    end *own = end_of(link, actor);
    if (own->next)
        end_of(own->next, actor)->previous = own->previous;
    if (own->previous)
        end_of(own->previous, actor)->next = own->next;
    else
        actor->links = own->next;
}

// The link between two actors, or NULL. It is in both lists, so the end of the shorter one decides:
// who has many links finds those that its partners have quickly.
static fkli_link *find_locked(fkl_actor *one, fkl_actor *other)
{
    fkli_link *of_one = one->links;
    fkli_link *of_other = other->links;
    while (of_one && of_other) {
        if (partner_of(of_one, one) == other)
            return of_one;
        if (partner_of(of_other, other) == one)
            return of_other;
        of_one = end_of(of_one, one)->next;
        of_other = end_of(of_other, other)->next;
    }
    return NULL;
}

static bool has_ended(const fkl_actor *actor)
{
    return fkli_event_is_set(&actor->exited);
}

// Signals.

typedef enum fate { UNHARMED, MUST_WAKE, FOLLOWS } fate;

static fate deliver_locked(fkli_link *link, const fkl_actor *from, fkl_actor *to)
{
    if (has_ended(to))
        return UNHARMED;
    if (!to->trap_exits) {
        bool failed = from->exit.reason != FKL_EXIT_NORMAL;
        return failed && fkli_exit_follow_locked(to, from, &link->ending) ? FOLLOWS : UNHARMED;
    }
    fkl_msg *msg = link->signal;
    content_of(msg)->exit = from->exit;
    if (from->exit.error)
        content_of(msg)->error = fkli_blob_retain(from->error);
    fkli_push pushed = fkli_mailbox_push(&to->mailbox, msg);
    if (pushed != FKLI_PUSH_CLOSED) // which a mailbox is only once its actor has ended
        link->signal = NULL;
    return pushed == FKLI_PUSHED_WAKE ? MUST_WAKE : UNHARMED;
}

static void append(fkli_endings *endings, fkli_ending *ending)
{
    endings->last->next = ending;
    endings->last = ending;
}

// A link that was not there any more, or not the first any more, is left to the next round.
static void settle_with(fkl_actor *actor, fkl_actor *partner, fkli_endings *endings)
{
    fate outcome = UNHARMED;
    lock_both(actor, partner);
    fkli_link *link = actor->links;
    if (link && partner_of(link, actor) == partner) {
        take_out_locked(link, actor);
        take_out_locked(link, partner);
        outcome = deliver_locked(link, actor, partner);
    } else {
        link = NULL;
    }
    unlock_both(actor, partner);
    if (outcome == FOLLOWS)
        append(endings, &link->ending);
    else if (link)
        destroy(link);
    if (outcome == MUST_WAKE)
        fkli_actor_wake(partner);
}

// No link is added any more: connect() looks at `exited` under the same locks.
void fkli_links_settle(fkl_actor *actor, fkli_endings *endings)
{
    for (;;) {
        fkli_lock_take(&actor->lock);
        fkl_actor *partner =
            actor->links ? fkl_actor_retain(partner_of(actor->links, actor)) : NULL;
        fkli_lock_give(&actor->lock);
        if (!partner)
            return;
        settle_with(actor, partner, endings);
        fkl_actor_release(partner);
    }
}

void fkli_link_announced(fkli_ending *ending)
{
    _Static_assert(offsetof(fkli_link, ending) == 0, "an ending of a link is the link");
    destroy((fkli_link *)ending);
}

// For the actors.

static fkl_err connect(fkl_actor *self, fkl_actor *partner)
{
    fkli_link *link;
    fkl_err err = create(self, partner, &link);
    if (err)
        return err;
    bool entered = false;
    lock_both(self, partner);
    if (has_ended(self)) {
        err = FKL_ESTOPPED;
    } else if (has_ended(partner)) {
        err = FKL_ENOACTOR;
    } else if (!find_locked(self, partner)) {
        enter_locked(link, self);
        enter_locked(link, partner);
        entered = true;
    }
    unlock_both(self, partner);
    if (!entered)
        destroy(link);
    return err;
}

static bool disconnect(fkl_actor *self, fkl_actor *partner)
{
    lock_both(self, partner);
    fkli_link *link = find_locked(self, partner);
    if (link) {
        take_out_locked(link, self);
        take_out_locked(link, partner);
    }
    unlock_both(self, partner);
    if (link)
        destroy(link);
    return link != NULL;
}

fkl_err fkl_link(fkl_actor_id partner)
{
    fkl_actor *self = fkli_actor_own();
    if (!self)
        return FKL_EPERM;
    if (partner == self->id)
        return has_ended(self) ? FKL_ESTOPPED : FKL_OK;
    fkl_actor *actor = fkli_registry_find(self->runtime, partner);
    if (!actor)
        return FKL_ENOACTOR;
    fkl_err err = connect(self, actor);
    fkl_actor_release(actor);
    return err;
}

static bool is_signal_of(const fkl_msg *msg, const void *partner)
{
    return msg->kind == FKL_MSG_EXIT && !fkli_link_is_over(msg) &&
           content_of((fkl_msg *)(uintptr_t)msg)->exit.id == *(const fkl_actor_id *)partner;
}

bool fkli_link_is_over(const fkl_msg *msg)
{
    return content_of((fkl_msg *)(uintptr_t)msg)->unlinked;
}

bool fkl_unlink(fkl_actor_id partner)
{
    fkl_actor *self = fkli_actor_own();
    if (!self || partner == self->id)
        return false;
    fkl_actor *actor = fkli_registry_find(self->runtime, partner);
    if (actor) {
        bool was_linked = disconnect(self, actor);
        bool lives = !has_ended(actor);
        fkl_actor_release(actor);
        if (was_linked || lives)
            return was_linked;
    }
    // A signal that was sent is in the mailbox, because it was pushed under both locks.
    fkl_msg *msg = fkli_mailbox_find_system(&self->mailbox, is_signal_of, &partner);
    if (!msg)
        return false;
    content_of(msg)->unlinked = true; // for the receive by choice that looks at it now
    if (fkli_mailbox_remove_system(&self->mailbox, msg))
        fkl_msg_destroy(msg);
    return true;
}

fkl_err fkl_trap_exits(bool trap)
{
    fkl_actor *self = fkli_actor_own();
    if (!self)
        return FKL_EPERM;
    fkli_lock_take(&self->lock);
    self->trap_exits = trap;
    fkli_lock_give(&self->lock);
    return FKL_OK;
}

fkl_err fkl_msg_exit(const fkl_msg *msg, fkl_exit *exit)
{
    if (msg->kind != FKL_MSG_EXIT)
        return FKL_ETYPE;
    *exit = content_of((fkl_msg *)(uintptr_t)msg)->exit;
    return FKL_OK;
}

// For spawns.

fkl_err fkli_link_child(fkl_actor *child)
{
    fkl_actor *self = fkli_actor_own();
    if (!self || self->runtime != child->runtime)
        return FKL_EPERM;
    return connect(self, child);
}

void fkli_link_disown(fkl_actor *child)
{
    fkl_actor *self = fkli_actor_own();
    if (self && self->runtime == child->runtime)
        disconnect(self, child);
}
