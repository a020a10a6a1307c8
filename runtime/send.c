// SPDX-License-Identifier: Apache-2.0
//
// Sending to actors, draining them, and looking at mailboxes. Any thread runs this.
//
// A consumer announces that it sleeps (BLOCKED in its mailbox), and the push that takes the
// announcement away wakes it; every other push costs no wake-up.

#include "send.h"

#include "answer.h"

static fkl_err refuse(fkl_actor *to, const fkl_msg *msg, fkl_err err, fkl_dead_reason reason)
{
    fkli_dead_letter(&to->runtime->dead_letters, msg, to->id, reason);
    return err;
}

// What follows a push of a user message that was not simply done.
static fkl_err conclude_rare(fkl_actor *to, fkl_msg *msg, fkli_push pushed)
{
    switch (pushed) {
    case FKLI_PUSHED:
        return FKL_OK;
    case FKLI_PUSHED_WAKE:
        fkli_actor_wake(to);
        return FKL_OK;
    case FKLI_PUSH_FULL:
        return FKL_EFULL;
    case FKLI_PUSH_DRAINED:
        return refuse(to, msg, FKL_ECLOSED, FKL_DEAD_CLOSED);
    case FKLI_PUSH_CLOSED:
        break;
    }
    return refuse(to, msg, FKL_ENOACTOR, FKL_DEAD_NO_ACTOR);
}

static inline fkl_err conclude(fkl_actor *to, fkl_msg *msg, fkli_push pushed)
{
    return pushed == FKLI_PUSHED ? FKL_OK : conclude_rare(to, msg, pushed);
}

void fkli_actor_discard(fkl_actor *to, fkl_msg *chain)
{
    while (chain) {
        fkl_msg *next = chain->next;
        fkli_dead_letter(&to->runtime->dead_letters, chain, to->id, FKL_DEAD_FULL);
        fkl_msg_destroy(chain);
        chain = next;
    }
}

void fkli_actor_lose(fkl_actor *to, fkl_msg *msg, fkl_err refused)
{
    if (refused != FKL_EFULL) {
        fkl_msg_destroy(msg);
        return;
    }
    fkli_mailbox_count_lost(&to->mailbox);
    msg->next = NULL;
    fkli_actor_discard(to, msg);
}

fkl_err fkli_actor_post(fkl_actor *to, fkl_msg *msg)
{
    fkl_msg *discarded;
    fkl_err err = conclude(to, msg, fkli_mailbox_send(&to->mailbox, msg, &discarded));
    if (discarded)
        fkli_actor_discard(to, discarded);
    return err;
}

static inline void sign(fkl_msg *msg, const fkl_actor *to)
{
    const fkli_thread *thread = fkli_thread_peek();
    const fkl_actor *self = thread ? thread->actor : NULL;
    msg->sender = self ? self->id : FKL_NOBODY;
    if (self)
        fkli_actor_trace(self, FKLI_TRACE_SEND, to->id, fkli_msg_trace_number(msg), NULL);
}

void fkli_msg_sign(fkl_msg *msg, const fkl_actor *to)
{
    sign(msg, to);
}

bool fkli_actor_waits_when_full(const fkl_actor *actor)
{
    const fkli_bound *bound = actor->mailbox.bound;
    return bound && bound->full == FKL_FULL_WAIT;
}

fkl_err fkli_actor_post_until(fkl_actor *to, fkl_msg *msg, fkl_time deadline)
{
    // Nobody else would make the place for which an actor waits in its own mailbox.
    bool own = fkli_actor_own() == to;
    fkli_push pushed;
    fkl_err err = fkli_mailbox_send_until(&to->mailbox, msg, own ? FKL_NO_WAIT : deadline, &pushed);
    if (err)
        return own && err == FKL_ETIMEDOUT ? FKL_EDEADLK : err;
    return conclude(to, msg, pushed);
}

// What the runtime tells one actor is not for others; but an answer becomes a message like any
// other.
fkl_err fkli_msg_prepare(fkl_msg *msg)
{
    if (fkli_msg_is_system(msg))
        return FKL_EINVAL;
    if (msg->kind == FKL_MSG_REPLY)
        fkli_answer_untie(msg);
    return FKL_OK;
}

// A request may be sent on.
static fkl_err post(fkl_actor *to, fkl_msg *msg)
{
    if (!msg->tie)
        return fkli_actor_post(to, msg);
    fkli_passage passage = fkli_ask_depart(msg, to);
    return fkli_ask_arrive(passage, msg, to, fkli_actor_post(to, msg));
}

static fkl_err post_until(fkl_actor *to, fkl_msg *msg, fkl_time deadline)
{
    if (!msg->tie)
        return fkli_actor_post_until(to, msg, deadline);
    fkli_passage passage = fkli_ask_depart(msg, to);
    return fkli_ask_arrive(passage, msg, to, fkli_actor_post_until(to, msg, deadline));
}

static fkl_err send_rare(fkl_actor *to, fkl_msg *msg)
{
    fkl_err err = fkli_msg_prepare(msg);
    if (err)
        return err;
    sign(msg, to);
    return post(to, msg);
}

fkl_err fkl_actor_send(fkl_actor *to, fkl_msg *msg)
{
    if (msg->kind != FKL_MSG_USER || msg->tie)
        return send_rare(to, msg);
    sign(msg, to);
    return fkli_actor_post(to, msg);
}

fkl_err fkl_actor_send_until(fkl_actor *to, fkl_msg *msg, fkl_time deadline)
{
    if (!fkli_actor_waits_when_full(to)) {
        fkl_err cancelled = fkli_wait_cancelled(fkli_thread_current());
        return cancelled ? cancelled : fkl_actor_send(to, msg);
    }
    fkl_err err = fkli_msg_prepare(msg);
    if (err)
        return err;
    sign(msg, to);
    return post_until(to, msg, deadline);
}

// By id.

static fkl_err refuse_unknown(fkl_runtime *runtime, fkl_actor_id to, const fkl_msg *msg)
{
    fkli_add_relaxed_u64(&runtime->unknown, 1); // a count; it orders nothing
    fkli_dead_letter(&runtime->dead_letters, msg, to, FKL_DEAD_NO_ACTOR);
    return FKL_ENOACTOR;
}

fkl_err fkli_deliver(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg)
{
    fkl_actor *actor = fkli_registry_find(runtime, to);
    if (!actor) {
        fkl_err unknown = refuse_unknown(runtime, to, msg);
        fkl_msg_destroy(msg);
        return unknown;
    }
    fkl_err err = post(actor, msg);
    if (err)
        fkli_actor_lose(actor, msg, err);
    fkl_actor_release(actor);
    return err;
}

fkl_err fkli_actor_to(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg, fkl_actor **out)
{
    *out = fkli_registry_find(runtime, to);
    if (*out)
        return FKL_OK;
    msg->sender = fkli_self_id();
    return refuse_unknown(runtime, to, msg);
}

fkl_err fkl_send(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg)
{
    fkl_actor *actor;
    fkl_err err = fkli_actor_to(runtime, to, msg, &actor);
    if (err)
        return err;
    err = fkl_actor_send(actor, msg);
    fkl_actor_release(actor);
    return err;
}

fkl_err fkl_send_until(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg, fkl_time deadline)
{
    fkl_actor *actor;
    fkl_err err = fkli_actor_to(runtime, to, msg, &actor);
    if (err)
        return err;
    err = fkl_actor_send_until(actor, msg, deadline);
    fkl_actor_release(actor);
    return err;
}

// Draining and looking.

void fkl_actor_drain(fkl_actor *actor)
{
    if (fkli_mailbox_drain(&actor->mailbox))
        fkli_actor_wake(actor);
}

bool fkl_actor_is_draining(const fkl_actor *actor)
{
    return fkli_mailbox_is_drained(&actor->mailbox);
}

size_t fkl_actor_mailbox_len(const fkl_actor *actor)
{
    return fkli_mailbox_len(&actor->mailbox);
}

size_t fkl_actor_mailbox_peak(const fkl_actor *actor)
{
    return fkli_mailbox_peak(&actor->mailbox);
}

size_t fkl_actor_mailbox_capacity(const fkl_actor *actor)
{
    return actor->mailbox.bound ? actor->mailbox.bound->capacity : 0;
}

fkl_full fkl_actor_mailbox_full(const fkl_actor *actor)
{
    return actor->mailbox.bound ? actor->mailbox.bound->full : FKL_FULL_WAIT;
}
