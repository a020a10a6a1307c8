// SPDX-License-Identifier: Apache-2.0
//
// Sending to actors and receiving. Sending runs in any thread; receiving in the actor's own.
//
// The consumer announces that it sleeps (BLOCKED in the mailbox), and the push that takes the
// announcement away unparks it; every other push costs no wake-up.

#include "mail.h"

#include "actor.h"
#include "monitor.h"

// Joins a sending and a receipt in the trace. An address comes again only after its receipt.
static uint64_t trace_number(const fkl_msg *msg)
{
    return (uint64_t)(uintptr_t)msg;
}

static void set_sender(fkl_msg *msg)
{
    fkl_actor *self = fkl_self();
    msg->sender = self ? self->id : FKL_NOBODY;
}

fkl_err fkli_actor_post(fkl_actor *to, fkl_msg *msg)
{
    switch (fkli_mailbox_push(&to->mailbox, msg)) {
    case FKLI_PUSHED:
        return FKL_OK;
    case FKLI_PUSHED_WAKE:
        fkli_actor_wake(to);
        return FKL_OK;
    case FKLI_PUSH_CLOSED:
        break;
    }
    fkli_dead_letter(&to->runtime->dead_letters, msg, to->id, FKL_DEAD_NO_ACTOR);
    return FKL_ENOACTOR;
}

fkl_err fkl_actor_send(fkl_actor *to, fkl_msg *msg)
{
    fkl_actor *self = fkl_self();
    set_sender(msg);
    if (self)
        fkli_actor_trace(self, FKLI_TRACE_SEND, to->id, trace_number(msg), NULL);
    return fkli_actor_post(to, msg);
}

static fkl_err refuse_unknown(fkl_runtime *runtime, fkl_actor_id to, const fkl_msg *msg)
{
    fkli_add_relaxed_u64(&runtime->unknown, 1); // a count; it orders nothing
    fkli_dead_letter(&runtime->dead_letters, msg, to, FKL_DEAD_NO_ACTOR);
    return FKL_ENOACTOR;
}

fkl_err fkli_post(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg)
{
    fkl_actor *actor = fkli_registry_find(runtime, to);
    if (!actor)
        return refuse_unknown(runtime, to, msg);
    fkl_err err = fkli_actor_post(actor, msg);
    fkl_actor_release(actor);
    return err;
}

fkl_err fkl_send(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *msg)
{
    fkl_actor *actor = fkli_registry_find(runtime, to);
    if (!actor) {
        set_sender(msg);
        return refuse_unknown(runtime, to, msg);
    }
    fkl_err err = fkl_actor_send(actor, msg);
    fkl_actor_release(actor);
    return err;
}

// The next message that is to be handed out, or NULL.
static fkl_msg *next_message(fkl_actor *self)
{
    for (;;) {
        fkl_msg *msg = fkli_mailbox_pop(&self->mailbox);
        if (!msg || msg->kind != FKL_MSG_DOWN || fkli_monitor_received(self, msg))
            return msg;
        fkl_msg_destroy(msg);
    }
}

fkl_err fkl_try_receive(fkl_msg **out)
{
    fkl_actor *self = fkli_actor_own();
    if (!self)
        return FKL_EPERM;
    // What is left when the exit is out was dropped, even if the thread goes on.
    if (fkli_scope_has(&self->scope, FKLI_SCOPE_ENDED))
        return FKL_ESTOPPED;
    fkl_msg *msg = next_message(self);
    if (!msg)
        return FKL_EEMPTY;
    fkli_actor_trace(self, FKLI_TRACE_RECEIVE, msg->sender, trace_number(msg), NULL);
    *out = msg;
    return FKL_OK;
}

fkl_err fkl_receive_until(fkl_time deadline, fkl_msg **out)
{
    fkl_actor *self = fkli_actor_own();
    if (!self)
        return FKL_EPERM;
    fkli_thread *thread = fkli_thread_current();
    fkl_err ended = FKL_OK;
    for (;;) {
        fkl_err err = fkli_wait_cancelled(thread);
        if (!err)
            err = fkl_try_receive(out);
        if (err != FKL_EEMPTY)
            return err;
        if (ended || fkli_deadline_passed(deadline))
            return ended ? ended : FKL_ETIMEDOUT;
        // Closed since the look: the flags say so in the next round.
        if (!fkli_mailbox_block(&self->mailbox))
            continue;
        err = fkli_wait_park(thread, deadline, "receive");
        fkli_mailbox_unblock(&self->mailbox);
        if (err == FKL_EINTR)
            return err;
        ended = err;
    }
}

size_t fkl_actor_mailbox_len(const fkl_actor *actor)
{
    return fkli_mailbox_len(&actor->mailbox);
}
