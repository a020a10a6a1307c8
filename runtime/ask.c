// SPDX-License-Identifier: Apache-2.0
//
// Asks: asking and waiting, answering, and who is to answer. Any thread runs this.
//
// An ask is decided once, by a compare-and-swap of `result` from NULL: by an answer, by the failure
// to give one, or by the asker, which has had enough. Acquire and release, so that the asker sees
// what the answer holds and whoever comes too late sees why. Whoever decides tells the asker.
//
// Whoever is to answer, an actor, has the ask in a list under its lock, from before the push that
// brings it the request; so when its exit is published everything that it was to answer fails at
// once, wherever in its mailbox or its hands the requests are. The request's owner, who is one at a
// time, writes `holder`; the lock decides between taking the ask out and failing it.

#include "ask.h"

#include "answer.h"
#include "circle.h"
#include "monitor.h"
#include "send.h"

// Results: an answer, the address of an error's mark, or an ended actor with the lowest bit set. Of
// FKL_OK: an answer that is not here (any more).
static char marks[FKL_ERR_COUNT];

static void *failure(fkl_err err)
{
    return &marks[err];
}

static void *end_of(fkl_actor *actor)
{
    return (void *)((uintptr_t)actor | 1u);
}

static bool is_mark(const void *result)
{
    uintptr_t at = (uintptr_t)result;
    return at >= (uintptr_t)marks && at < (uintptr_t)marks + sizeof marks;
}

static fkl_actor *ended_actor(const void *result)
{
    if (is_mark(result) || !((uintptr_t)result & 1u))
        return NULL;
    return (fkl_actor *)((uintptr_t)result & ~(uintptr_t)1u);
}

static void *result_of(const fkli_ask *ask)
{
    return fkli_load_acquire_ptr(&ask->result); // pairs with the swap in decide()
}

fkl_err fkli_ask_result(const fkli_ask *ask)
{
    const void *result = result_of(ask);
    if (ended_actor(result))
        return FKL_EDOWN;
    return is_mark(result) ? (fkl_err)((const char *)result - marks) : FKL_OK;
}

const fkl_actor *fkli_ask_ended(const fkli_ask *ask)
{
    return ended_actor(result_of(ask));
}

// References.

static void let_go(fkl_msg *request);
static bool conclude(fkli_ask *ask, void *result, fkl_msg *reply);

// A message that is tied to the ask is destroyed.
static void cut(fkl_msg *msg)
{
    fkli_ask *ask = fkli_ask_of(msg);
    if (msg->kind == FKL_MSG_USER) {
        let_go(msg);
        fkli_ask_fail(ask, FKL_ENOREPLY);
    }
    fkli_ask_release(ask);
}

void fkli_ask_init(fkli_ask *ask, fkl_runtime *runtime, fkl_actor *asker)
{
    ask->tie.cut = cut;
    ask->runtime = runtime;
    ask->asker = asker ? fkl_actor_retain(asker) : NULL;
    fkli_store_relaxed_u32(&ask->refs, 1);
    fkli_event_init(&ask->decided);
}

void fkli_ask_retain(fkli_ask *ask)
{
    fkli_add_relaxed_u32(&ask->refs, 1); // the caller's reference keeps it alive
}

void fkli_ask_release(fkli_ask *ask)
{
    // The release half pairs with the acquire half of the last one.
    if (fkli_sub_acq_rel_u32(&ask->refs, 1) != 1)
        return;
    fkl_actor *asker = ask->asker;
    fkl_actor *ended = ended_actor(result_of(ask));
    fkli_event_fini(&ask->decided);
    if (ask->by_message)
        fkli_answer_free(ask);
    else
        fkli_free(&ask->runtime->allocator, ask, sizeof *ask);
    fkl_actor_release(ended);
    fkl_actor_release(asker);
}

// Deciding.

// The circle is opened first: once the asker can go on, it waits for nobody.
static bool decide(fkli_ask *ask, void *result)
{
    if (result_of(ask))
        return false;
    if (ask->may_circle)
        fkli_circle_leave_target(ask);
    void *none = NULL;
    return fkli_cas_acq_rel_ptr(&ask->result, &none, result);
}

bool fkli_ask_decide(fkli_ask *ask, fkl_err err)
{
    return decide(ask, failure(err));
}

// Tells the asker too; the caller has a reference. `reply` is NULL for a failure.
static bool conclude(fkli_ask *ask, void *result, fkl_msg *reply)
{
    if (!decide(ask, result))
        return false;
    if (ask->by_message) {
        fkli_answer_send(ask, reply);
    } else {
        fkli_event_set(&ask->decided);
        fkli_event_wake(&ask->decided);
    }
    return true;
}

void fkli_ask_fail(fkli_ask *ask, fkl_err err)
{
    conclude(ask, failure(err), NULL);
}

// Who is to answer.

static void unlist_locked(fkli_ask *ask, fkl_actor *holder)
{
    ask->is_held = false;
    if (ask->next_held)
        ask->next_held->previous_held = ask->previous_held;
    if (ask->previous_held)
        ask->previous_held->next_held = ask->next_held;
    else
        holder->asks = ask->next_held;
}

static void let_go(fkl_msg *request)
{
    fkli_ask *ask = fkli_ask_of(request);
    fkl_actor *holder = ask->holder;
    if (!holder)
        return;
    ask->holder = NULL;
    fkli_lock_take(&holder->lock);
    if (ask->is_held)
        unlist_locked(ask, holder);
    fkli_lock_give(&holder->lock);
    fkl_actor_release(holder);
}

// False: the actor's exit is published.
static bool hold(fkl_msg *request, fkl_actor *actor)
{
    fkli_ask *ask = fkli_ask_of(request);
    fkli_lock_take(&actor->lock);
    bool lives = !fkli_event_is_set(&actor->exited);
    if (lives) {
        ask->holder = fkl_actor_retain(actor);
        ask->is_held = true;
        ask->previous_held = NULL;
        ask->next_held = actor->asks;
        if (actor->asks)
            actor->asks->previous_held = ask;
        actor->asks = ask;
    }
    fkli_lock_give(&actor->lock);
    return lives;
}

// With a reference; it is there because an ask in the list has a request.
static fkli_ask *take_held(fkl_actor *actor)
{
    fkli_lock_take(&actor->lock);
    fkli_ask *ask = actor->asks;
    if (ask) {
        unlist_locked(ask, actor);
        fkli_ask_retain(ask);
    }
    fkli_lock_give(&actor->lock);
    return ask;
}

// The record is read where it is, so nothing has to be allocated.
static void fail_with(fkli_ask *ask, fkl_actor *ended)
{
    if (!conclude(ask, end_of(fkl_actor_retain(ended)), NULL))
        fkl_actor_release(ended);
}

// Nothing is added any more: hold() looks at `exited` under the same lock.
void fkli_asks_settle(fkl_actor *actor)
{
    fkli_ask *ask;
    while ((ask = take_held(actor))) {
        fail_with(ask, actor);
        fkli_ask_release(ask);
    }
}

// Changing hands.

void fkli_ask_put_down(fkl_msg *request)
{
    fkli_ask *ask = fkli_ask_of(request);
    let_go(request);
    if (ask->may_circle)
        fkli_circle_leave_target(ask);
}

void fkli_ask_pick_up(fkl_msg *request, fkl_actor *actor)
{
    fkli_ask *ask = fkli_ask_of(request);
    if (!actor)
        return;
    if (!hold(request, actor)) {
        fail_with(ask, actor); // its thread goes on, but nobody counts on it any more
        return;
    }
    // Who picks it up is not waiting, so that no circle can close.
    if (ask->may_circle)
        fkli_circle_set_target(ask, fkli_circle_leave_target(ask), actor);
}

fkli_passage fkli_ask_depart(fkl_msg *request, fkl_actor *to)
{
    fkli_ask *ask = fkli_ask_of(request);
    fkli_passage passage = {.ask = ask};
    let_go(request);
    fkli_ask_retain(ask);
    if (ask->may_circle)
        passage.hop = fkli_circle_leave_target(ask);
    hold(request, to);
    return passage;
}

// After a push that went well the request may have been answered, or be elsewhere.
fkl_err fkli_ask_arrive(fkli_passage passage, fkl_msg *request, fkl_actor *to, fkl_err pushed)
{
    fkli_ask *ask = passage.ask;
    if (pushed) {
        let_go(request);
        fkli_ask_pick_up(request, fkli_actor_own());
    } else if (ask->may_circle && fkli_circle_set_target(ask, passage.hop, to) &&
               fkli_circle_is_closed(ask)) {
        fkli_ask_fail(ask, FKL_EDEADLK);
    }
    fkli_ask_release(ask);
    return pushed;
}

// Asking.

fkl_err fkli_ask_check(const fkl_msg *msg)
{
    return msg->kind == FKL_MSG_USER && !msg->tie ? FKL_OK : FKL_EINVAL;
}

// Whether the wait that begins now would never end. The request may have gone on from the target
// already; then whoever sent it on has said to whom, before or after the asker began to wait.
static bool would_circle(fkli_ask *ask, const fkl_actor *target)
{
    if (!ask->may_circle)
        return false;
    fkli_circle_enter(ask);
    fkli_circle_set_target(ask, 0, target);
    return fkli_circle_is_closed(ask);
}

// The asker waits for the target already while it waits for a place in its mailbox.
static fkl_err push(fkli_ask *ask, fkl_actor *target, fkl_msg *request, fkl_time deadline)
{
    fkl_err err = fkli_actor_post(target, request);
    if (err != FKL_EFULL || ask->by_message || !fkli_actor_waits_when_full(target))
        return err;
    if (would_circle(ask, target))
        return FKL_EDEADLK;
    return fkli_actor_post_until(target, request, deadline);
}

fkl_err fkli_ask_send(fkli_ask *ask, fkl_actor *target, fkl_msg *request, fkl_time deadline)
{
    fkli_ask_retain(ask);
    request->tie = &ask->tie;
    fkli_msg_sign(request, target);
    hold(request, target);
    fkl_err err = push(ask, target, request, deadline);
    if (err) {
        fkli_ask_decide(ask, err);
        fkl_msg_destroy(request);
    }
    return err;
}

static fkl_err create(fkl_runtime *runtime, fkl_actor *target, fkli_ask **out)
{
    fkl_actor *self = fkli_actor_own();
    if (self == target)
        return FKL_EDEADLK;
    fkli_ask *ask = fkli_alloc_zeroed(&runtime->allocator, sizeof *ask);
    if (!ask)
        return FKL_ENOMEM;
    fkli_ask_init(ask, runtime, self);
    ask->may_circle = self && self->runtime == runtime;
    *out = ask;
    return FKL_OK;
}

// Of a decided ask, by the asker.
static fkl_err take_result(fkli_ask *ask, fkl_msg **out)
{
    fkl_err err = fkli_ask_result(ask);
    if (err == FKL_EDOWN) {
        fkl_err down = fkli_down_create(&ask->runtime->allocator, fkli_ask_ended(ask), out);
        return down ? down : err;
    }
    if (!err) {
        *out = result_of(ask);
        // Relaxed: it only says that the answer is not here any more, to the asker's own side.
        fkli_store_relaxed_ptr(&ask->result, failure(FKL_OK));
    }
    return err;
}

static fkl_err ask_and_wait(fkli_ask *ask, fkl_actor *target, fkl_msg *request, fkl_time deadline,
                            fkl_msg **out)
{
    fkl_err err = fkli_ask_send(ask, target, request, deadline);
    if (!err)
        err = would_circle(ask, target) ? FKL_EDEADLK
                                        : fkli_event_wait(&ask->decided, deadline, "ask");
    bool given_up = err && fkli_ask_decide(ask, err);
    if (ask->may_circle)
        fkli_circle_leave(ask);
    if (err == FKL_EINTR && !given_up && ask->asker)
        fkl_actor_interrupt(ask->asker); // consumed, and not reported
    return take_result(ask, out);
}

static fkl_err find_target(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *request, fkl_actor **out)
{
    fkli_thread *thread = fkli_thread_current();
    fkl_err err = thread->must_not_wait ? FKL_EPOOLED : fkli_ask_check(request);
    if (!err)
        err = fkli_wait_cancelled(thread);
    return err ? err : fkli_actor_to(runtime, to, request, out);
}

fkl_err fkl_ask_until(fkl_runtime *runtime, fkl_actor_id to, fkl_msg *request, fkl_time deadline,
                      fkl_msg **out)
{
    fkl_actor *target = NULL;
    fkli_ask *ask = NULL;
    *out = NULL;
    fkl_err err = find_target(runtime, to, request, &target);
    if (!err)
        err = create(runtime, target, &ask);
    if (!err) {
        err = ask_and_wait(ask, target, request, deadline, out);
        if (*out && ask->asker)
            fkli_actor_trace(ask->asker, FKLI_TRACE_RECEIVE, (*out)->sender,
                             fkli_msg_trace_number(*out), NULL);
        fkli_ask_release(ask);
    } else {
        fkl_msg_destroy(request);
    }
    fkl_actor_release(target);
    return err;
}

// Answering.

bool fkl_msg_wants_reply(const fkl_msg *msg)
{
    return msg->kind == FKL_MSG_USER && msg->tie && !result_of(fkli_ask_of(msg));
}

static fkl_err refuse_late(const fkli_ask *ask, const fkl_msg *reply)
{
    fkl_runtime *runtime = ask->runtime;
    fkl_actor_id to = ask->asker ? ask->asker->id : FKL_NOBODY;
    fkli_add_relaxed_u64(&runtime->late, 1); // a count; it orders nothing
    fkli_dead_letter(&runtime->dead_letters, reply, to, FKL_DEAD_LATE);
    return FKL_ECLOSED;
}

fkl_err fkl_reply(fkl_msg *request, fkl_msg *reply)
{
    if (request->kind != FKL_MSG_USER || !request->tie)
        return FKL_ETYPE;
    if (reply->kind == FKL_MSG_REPLY)
        fkli_answer_untie(reply); // passed on, it is a message like any other
    fkl_err err = fkli_ask_check(reply);
    if (err)
        return err;
    fkli_ask *ask = fkli_ask_of(request);
    fkl_actor *self = fkl_self();
    reply->sender = self ? self->id : FKL_NOBODY;
    if (self && ask->asker)
        fkli_actor_trace(self, FKLI_TRACE_SEND, ask->asker->id, fkli_msg_trace_number(reply), NULL);
    let_go(request);
    if (conclude(ask, ask->by_message ? failure(FKL_OK) : reply, reply))
        return FKL_OK;
    return refuse_late(ask, reply);
}
