// SPDX-License-Identifier: Apache-2.0
//
// Receiving, in order and by choice. Runs in the actor's own thread, or in a worker of the pool on
// its behalf.

#include "answer.h"
#include "link.h"
#include "monitor.h"
#include "scan.h"
#include "send.h"

// A receive by choice.
typedef struct selection {
    fkli_scan scan;
    fkl_actor *self;
    bool (*match)(const fkl_msg *msg, void *ctx); // NULL: any message
    void *ctx;
} selection;

static const fkli_scan *scan_of(const selection *choice)
{
    return choice ? &choice->scan : NULL;
}

// Who may receive here and now, or NULL; `thread` is the record of the calling thread.
static inline fkl_actor *receiver(const fkli_thread *thread)
{
    fkl_actor *self = fkli_actor_own_of(thread);
    return self && !self->mailbox.matching ? self : NULL;
}

// Whether a message that waits is not to be handed out any more.
static bool is_void(const fkl_msg *msg)
{
    switch ((fkl_msg_kind)msg->kind) {
    case FKL_MSG_USER:
        return false;
    case FKL_MSG_DOWN:
        return fkli_monitor_is_over(msg);
    case FKL_MSG_EXIT:
        return fkli_link_is_over(msg);
    case FKL_MSG_REPLY:
        return fkli_answer_is_over(msg);
    }
    return false;
}

// The same of one that has been taken out.
static bool turns_out_void(fkl_actor *self, fkl_msg *msg)
{
    if (msg->kind == FKL_MSG_DOWN)
        return !fkli_monitor_received(self, msg);
    if (msg->kind == FKL_MSG_REPLY)
        return !fkli_answer_received(self, msg);
    return is_void(msg);
}

static bool accept_special(fkl_actor *self, fkl_msg *msg)
{
    if (!turns_out_void(self, msg))
        return true;
    fkli_mailbox_uncount(&self->mailbox, msg);
    fkl_msg_destroy(msg);
    return false;
}

// Whether a message that has been taken out is handed out; it is destroyed otherwise.
static inline bool accept(fkl_actor *self, fkl_msg *msg)
{
    return msg->kind == FKL_MSG_USER || accept_special(self, msg);
}

static inline fkl_msg *next_in_order(fkl_actor *self)
{
    fkl_msg *msg;
    do {
        msg = fkli_mailbox_pop(&self->mailbox);
    } while (msg && !accept(self, msg));
    return msg;
}

// Takes void messages too, to be rid of them.
static bool wants(const fkl_msg *msg, void *ctx)
{
    selection *choice = ctx;
    if (is_void(msg) || !choice->match)
        return true;
    choice->self->mailbox.matching = true;
    bool wanted = choice->match(msg, choice->ctx);
    choice->self->mailbox.matching = false;
    return wanted;
}

static fkl_msg *next_by_choice(selection *choice)
{
    fkl_actor *self = choice->self;
    fkl_msg *msg;
    do {
        msg = fkli_scan_next(&choice->scan, &self->mailbox);
    } while (msg && !accept(self, msg));
    fkli_actor_discard(self, choice->scan.discarded);
    choice->scan.discarded = NULL;
    return msg;
}

// Without waiting. `choice` is NULL where the next in order is wanted.
static inline fkl_err take(fkl_actor *self, selection *choice, fkl_msg **out)
{
    // What is left when the exit is out was dropped, even if the thread goes on.
    if (fkli_scope_has(&self->scope, FKLI_SCOPE_ENDED))
        return FKL_ESTOPPED;
    fkl_msg *msg = choice ? next_by_choice(choice) : next_in_order(self);
    if (!msg)
        return fkli_mailbox_is_done(&self->mailbox, scan_of(choice)) ? FKL_ESTOPPED : FKL_EEMPTY;
    fkli_actor_trace(self, FKLI_TRACE_RECEIVE, msg->sender, fkli_msg_trace_number(msg), NULL);
    *out = msg;
    return FKL_OK;
}

// The first look of a receive, and each one after a sleep.
static inline fkl_err look(fkli_thread *thread, fkl_actor *self, selection *choice, fkl_msg **out)
{
    fkl_err err = fkli_wait_cancelled(thread);
    return err ? err : take(self, choice, out);
}

// After a look that found nothing.
static fkl_err sleep_and_look(fkli_thread *thread, fkl_actor *self, selection *choice,
                              fkl_time deadline, fkl_msg **out)
{
    fkl_err ended = fkli_deadline_passed(deadline) ? FKL_ETIMEDOUT : FKL_OK;
    fkl_err err = FKL_EEMPTY;
    while (err == FKL_EEMPTY && !ended) {
        // Unless something has come since the look: the next one sees it.
        if (fkli_mailbox_block(&self->mailbox, scan_of(choice))) {
            ended = fkli_wait_park(thread, deadline, "receive");
            fkli_mailbox_unblock(&self->mailbox);
        }
        if (ended == FKL_EINTR)
            return ended;
        err = look(thread, self, choice, out);
    }
    return err == FKL_EEMPTY ? ended : err;
}

fkl_err fkl_try_receive(fkl_msg **out)
{
    fkl_actor *self = receiver(fkli_thread_peek());
    return self ? take(self, NULL, out) : FKL_EPERM;
}

fkl_err fkl_receive_until(fkl_time deadline, fkl_msg **out)
{
    fkli_thread *thread = fkli_thread_peek();
    fkl_actor *self = receiver(thread);
    if (!self)
        return FKL_EPERM;
    fkl_err err = look(thread, self, NULL, out);
    return err == FKL_EEMPTY ? sleep_and_look(thread, self, NULL, deadline, out) : err;
}

fkl_mark fkl_receive_mark(void)
{
    fkl_actor *self = fkli_actor_own();
    return self ? fkli_mailbox_mark(&self->mailbox) : 0;
}

fkl_err fkl_try_receive_match(fkl_mark from, bool (*match)(const fkl_msg *msg, void *ctx),
                              void *ctx, fkl_msg **out)
{
    fkl_actor *self = receiver(fkli_thread_peek());
    if (!self)
        return FKL_EPERM;
    selection choice = {{.from = from, .wants = wants, .ctx = &choice}, self, match, ctx};
    fkli_scan_begin(&choice.scan, &self->mailbox);
    fkl_err err = take(self, &choice, out);
    fkli_scan_end(&choice.scan, &self->mailbox);
    return err;
}

fkl_err fkl_receive_match_until(fkl_mark from, bool (*match)(const fkl_msg *msg, void *ctx),
                                void *ctx, fkl_time deadline, fkl_msg **out)
{
    fkli_thread *thread = fkli_thread_peek();
    fkl_actor *self = receiver(thread);
    if (!self)
        return FKL_EPERM;
    selection choice = {{.from = from, .wants = wants, .ctx = &choice}, self, match, ctx};
    fkli_scan_begin(&choice.scan, &self->mailbox);
    fkl_err err = look(thread, self, &choice, out);
    if (err == FKL_EEMPTY)
        err = sleep_and_look(thread, self, &choice, deadline, out);
    fkli_scan_end(&choice.scan, &self->mailbox);
    return err;
}
