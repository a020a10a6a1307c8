// SPDX-License-Identifier: Apache-2.0
//
// Asks whose outcome arrives as a message. They are started, cancelled and received in the asker's
// own thread, and decided in whatever thread answers, in the timer thread, or in the one that
// publishes the asker's exit.
//
// Such an ask is in its asker's table of numbers until its message is received, it is cancelled, or
// the asker ends; each takes it out once. Whoever decides it sends the message, so there is one at
// most; a cancel that comes too late for that marks the ask, and the receive that meets the message
// throws it away. The message for a failure is made together with the ask, so that failing needs no
// memory.

#include "answer.h"

#include "send.h"

typedef struct answer {
    fkli_ask ask;      // first
    fkli_refnode node; // guarded by the asker's lock
    fkli_timer timer;
    bool is_timed;    // constant: it has a deadline
    bool cancelled;   // the asker's own thread's
    fkl_msg *failure; // belongs to whoever decides the ask
} answer;

static answer *answer_of(fkli_ask *ask)
{
    _Static_assert(offsetof(answer, ask) == 0, "an ask by message is in an answer");
    return (answer *)ask;
}

static answer *of_node(fkli_refnode *node)
{
    return (answer *)(void *)((char *)node - offsetof(answer, node));
}

static answer *of_timer(fkli_timer *timer)
{
    return (answer *)(void *)((char *)timer - offsetof(answer, timer));
}

// Making and freeing.

static void stop_timer(answer *started)
{
    if (started->is_timed &&
        fkli_timer_cancel(started->ask.asker->runtime->timers, &started->timer))
        fkli_ask_release(&started->ask); // the timer's reference
}

static void withdraw(answer *started)
{
    if (fkli_ask_decide(&started->ask, FKL_ECLOSED))
        stop_timer(started);
}

// The asker's exit is published. With the table's reference.
static void orphaned(fkli_refnode *node)
{
    answer *started = of_node(node);
    withdraw(started);
    fkli_ask_release(&started->ask);
}

// Also with the timer's reference.
static void time_out(fkli_timer *timer, bool due)
{
    answer *started = of_timer(timer);
    if (due)
        fkli_ask_fail(&started->ask, FKL_ETIMEDOUT);
    fkli_ask_release(&started->ask);
}

static fkl_err create(fkl_runtime *runtime, fkl_actor *self, fkl_time deadline, answer **out)
{
    answer *started = fkli_alloc_zeroed(&runtime->allocator, sizeof *started);
    if (!started)
        return FKL_ENOMEM;
    fkl_err err = fkl_msg_create(runtime, FKL_CODEC_RAW, 0, &started->failure);
    if (err) {
        fkli_free(&runtime->allocator, started, sizeof *started);
        return err;
    }
    fkli_ask_init(&started->ask, runtime, self);
    started->ask.by_message = true;
    started->node.ref = ++self->last_ref;
    started->node.orphaned = orphaned;
    started->is_timed = deadline != FKL_FOREVER;
    fkli_timer_init(&started->timer, time_out);
    *out = started;
    return FKL_OK;
}

void fkli_answer_free(fkli_ask *ask)
{
    answer *started = answer_of(ask);
    fkl_msg_destroy(started->failure);
    fkli_free(&ask->runtime->allocator, started, sizeof *started);
}

// Sending and receiving.

void fkli_answer_send(fkli_ask *ask, fkl_msg *reply)
{
    answer *started = answer_of(ask);
    fkl_actor *asker = ask->asker;
    fkl_msg *msg = reply;
    if (!msg) {
        msg = started->failure;
        started->failure = NULL;
    }
    stop_timer(started);
    fkli_ask_retain(ask);
    msg->kind = FKL_MSG_REPLY;
    msg->tie = &ask->tie;
    fkli_push pushed = fkli_mailbox_push(&asker->mailbox, msg);
    if (pushed == FKLI_PUSHED_WAKE) {
        fkli_actor_wake(asker);
    } else if (pushed != FKLI_PUSHED) { // ended in this moment
        fkli_dead_letter(&asker->runtime->dead_letters, msg, asker->id, FKL_DEAD_LATE);
        fkl_msg_destroy(msg);
    }
}

// Returns whether it was there; drops the table's reference then.
static bool take_out(fkl_actor *asker, answer *started)
{
    fkli_lock_take(&asker->lock);
    bool was_there =
        fkli_reftable_remove_locked(&asker->runtime->allocator, &asker->refs, &started->node);
    fkli_lock_give(&asker->lock);
    if (was_there) {
        --asker->mailbox.replies_due;
        fkli_ask_release(&started->ask);
    }
    return was_there;
}

bool fkli_answer_is_over(const fkl_msg *msg)
{
    return answer_of(fkli_ask_of(msg))->cancelled;
}

// The message has a reference of its own.
bool fkli_answer_received(fkl_actor *actor, const fkl_msg *msg)
{
    answer *started = answer_of(fkli_ask_of(msg));
    take_out(actor, started);
    return !started->cancelled;
}

void fkli_answer_untie(fkl_msg *msg)
{
    fkli_ask *ask = fkli_ask_of(msg);
    msg->kind = FKL_MSG_USER;
    msg->tie = NULL;
    fkli_ask_release(ask);
}

fkl_err fkl_msg_reply(const fkl_msg *msg, fkl_ask_ref *ref, fkl_err *result)
{
    if (msg->kind != FKL_MSG_REPLY)
        return FKL_ETYPE;
    if (ref)
        *ref = answer_of(fkli_ask_of(msg))->node.ref;
    if (result)
        *result = fkli_ask_result(fkli_ask_of(msg));
    return FKL_OK;
}

// Starting and cancelling.

static fkl_err enter(answer *started, fkl_time deadline)
{
    fkl_actor *asker = started->ask.asker;
    fkl_runtime *runtime = asker->runtime;
    fkli_ask_retain(&started->ask); // the table's
    fkli_lock_take(&asker->lock);
    fkl_err err = fkli_event_is_set(&asker->exited) ? FKL_ESTOPPED : FKL_OK;
    if (!err)
        err = fkli_reftable_add_locked(&runtime->allocator, &asker->refs, &started->node);
    fkli_lock_give(&asker->lock);
    if (err) {
        fkli_ask_release(&started->ask);
        return err;
    }
    ++asker->mailbox.replies_due;
    if (!started->is_timed)
        return FKL_OK;
    fkli_ask_retain(&started->ask); // the timer's
    err = fkli_timer_arm(runtime->timers, &started->timer, deadline);
    if (err) {
        fkli_ask_release(&started->ask);
        take_out(asker, started);
    }
    return err;
}

// Consumes the message. Before it is sent everything is ready for its answer.
static fkl_err start(answer *started, fkl_actor *target, fkl_msg *request, fkl_time deadline)
{
    fkl_err err = enter(started, deadline);
    if (err) {
        fkl_msg_destroy(request);
        return err;
    }
    err = fkli_ask_send(&started->ask, target, request, deadline);
    // Who decided it first, the timer or the target's end, has sent a message that tells.
    if (!err || fkli_ask_result(&started->ask) != err)
        return FKL_OK;
    stop_timer(started);
    take_out(started->ask.asker, started);
    return err;
}

fkl_err fkl_ask_start(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *request, fkl_time deadline,
                      fkl_ask_ref *out)
{
    fkl_actor *self = fkli_actor_own();
    fkl_actor *target = NULL;
    answer *started = NULL;
    fkl_err err = self && self->runtime == runtime ? fkli_ask_check(request) : FKL_EPERM;
    if (!err)
        err = fkli_actor_to(runtime, to, request, &target);
    if (!err)
        err = create(runtime, self, deadline, &started);
    if (!err) {
        fkl_ask_ref ref = started->node.ref;
        err = start(started, target, request, deadline);
        if (!err && out)
            *out = ref;
        fkli_ask_release(&started->ask);
    } else {
        fkl_msg_destroy(request);
    }
    fkl_actor_release(target);
    return err;
}

static answer *find(fkl_actor *self, fkl_ask_ref ref)
{
    fkli_lock_take(&self->lock);
    fkli_refnode *node = fkli_reftable_find_locked(self->refs, ref);
    answer *started = node && node->orphaned == orphaned ? of_node(node) : NULL;
    if (started)
        fkli_ask_retain(&started->ask);
    fkli_lock_give(&self->lock);
    return started;
}

bool fkl_ask_cancel(fkl_ask_ref ref)
{
    fkl_actor *self = fkli_actor_own();
    answer *started = self ? find(self, ref) : NULL;
    if (!started)
        return false;
    started->cancelled = true;
    withdraw(started);
    bool was_there = take_out(self, started);
    fkli_ask_release(&started->ask);
    return was_there;
}
