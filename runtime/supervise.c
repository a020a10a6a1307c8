// SPDX-License-Identifier: Apache-2.0
//
// The thread of a supervisor: its loop, what it is asked for, and what it makes of the end of a
// child. Everything here runs in that thread; a handler may free the child that it is given.

#include <forkless/failure.h>

#include "supervisor.h"

#include <stdio.h>
#include <string.h>

static void end_all(fkli_supervisor *supervisor);

// What becomes of children.

fkl_err fkli_supervise_add(fkli_supervisor *supervisor, fkli_child_plan *plan, fkli_child **out)
{
    fkli_lock_take(&supervisor->lock);
    fkl_err err = fkli_children_add(&supervisor->children, plan, out);
    if (!err) {
        ++supervisor->counts.children;
        ++supervisor->counts.waiting;
    }
    fkli_lock_give(&supervisor->lock);
    return err;
}

static void discard(fkli_supervisor *supervisor, fkli_child *child)
{
    fkli_child_let_go(supervisor, child);
    fkli_child_drop_estate(supervisor, child);
    fkli_sequence_forget(supervisor, child);
    fkli_child_set_state(supervisor, child, FKL_CHILD_DONE);
    fkli_lock_take(&supervisor->lock);
    --supervisor->counts.children;
    --supervisor->counts.done;
    fkli_children_remove(&supervisor->children, child);
    fkli_lock_give(&supervisor->lock);
}

void fkli_supervise_remove(fkli_supervisor *supervisor, fkli_child *child, fkl_err result)
{
    fkli_request *removes = fkli_requests_take(child, FKLI_REMOVES);
    fkli_request *others = fkli_requests_take(child, FKLI_ALL);
    discard(supervisor, child);
    fkli_requests_answer(removes, result);
    fkli_requests_answer(others, FKL_ENOACTOR);
}

// It has ended for good.
static void be_done(fkli_supervisor *supervisor, fkli_child *child)
{
    fkli_request *requests = fkli_requests_take(child, FKLI_ALL);
    if (child->plan->spec.keep_when_done) {
        fkli_child_let_go(supervisor, child);
        fkli_child_drop_estate(supervisor, child);
        fkli_child_set_state(supervisor, child, FKL_CHILD_DONE);
    } else {
        discard(supervisor, child);
    }
    fkli_requests_answer(requests, FKL_ENOACTOR);
}

static void give_up(fkli_supervisor *supervisor, const fkli_child *child)
{
    const fkl_supervisor_options *options = &supervisor->plan->options;
    char label[FKLI_CHILD_LABEL];
    fkli_child_label(child, label);
    fkli_log(&supervisor->runtime->log, FKL_LOG_ERROR,
             "supervisor %s ends: more than %d failures in %lld ms, the last of child %s",
             fkli_supervisor_label(supervisor),
             (int)(options->max_restarts > 0 ? options->max_restarts : 0),
             (long long)(options->period_ns / 1000000), label);
    supervisor->gave_up = true;
    memcpy(supervisor->last_failed, label, sizeof label);
    end_all(supervisor);
}

// A child that shall run has ended, or could not be started; it lived for `lived` ns.
static void fail(fkli_supervisor *supervisor, fkli_child *child, int64_t lived)
{
    const fkl_supervisor_options *options = &supervisor->plan->options;
    fkl_time now = fkli_clock_now();
    if (lived >= options->period_ns)
        child->streak = 0;
    int64_t delay = fkli_backoff_next(&supervisor->backoff, &child->streak);
    fkli_lock_take(&supervisor->lock);
    ++child->failures;
    ++supervisor->counts.failures;
    child->delay = delay;
    fkli_lock_give(&supervisor->lock);
    fkli_child_set_state(supervisor, child, FKL_CHILD_WAITING);
    if (fkli_intensity_note(&supervisor->intensity, now)) {
        give_up(supervisor, child);
        return;
    }
    fkl_time due = delay < FKL_FOREVER - now ? now + delay : FKL_FOREVER;
    if (options->strategy == FKL_ONE_FOR_ONE)
        fkli_children_arm(&supervisor->children, child, due);
    else
        fkli_sequence_restart(supervisor, options->strategy == FKL_ONE_FOR_ALL ? 0 : child->number,
                              due);
}

// Starting.

static void note_failure(fkli_supervisor *supervisor, const fkli_child *child, fkl_err err,
                         const char *below)
{
    char label[FKLI_CHILD_LABEL] = "";
    if (child)
        fkli_child_label(child, label);
    supervisor->failure.err = err;
    snprintf(supervisor->failure.child, sizeof supervisor->failure.child, "%s%s%s", label,
             below[0] ? "/" : "", below);
}

// `below` says which child of a child it was, or is "".
static void start_failed(fkli_supervisor *supervisor, fkli_child *child, fkl_err err,
                         const char *below)
{
    char label[FKLI_CHILD_LABEL];
    fkli_child_label(child, label);
    fkli_log(&supervisor->runtime->log, err == FKL_ESHUTDOWN ? FKL_LOG_INFO : FKL_LOG_WARN,
             "child %s%s%s of supervisor %s could not be started: %s", label, below[0] ? "/" : "",
             below, fkli_supervisor_label(supervisor), fkl_strerror(err));
    fkli_lock_take(&supervisor->lock);
    ++supervisor->counts.failed_starts;
    fkli_lock_give(&supervisor->lock);
    fkli_request *requests = fkli_requests_take(child, FKLI_ADDS | FKLI_RESTARTS);
    if (child->adding) {
        fkli_supervise_remove(supervisor, child, FKL_OK);
    } else if (supervisor->initial) {
        note_failure(supervisor, child, err, below);
        fkli_child_set_state(supervisor, child, FKL_CHILD_WAITING);
        end_all(supervisor);
    } else if (err == FKL_ESHUTDOWN) {
        fkli_child_set_state(supervisor, child, FKL_CHILD_WAITING);
        end_all(supervisor);
    } else {
        fail(supervisor, child, 0);
    }
    fkli_requests_answer(requests, err);
}

static void be_started(fkli_child *child)
{
    child->adding = false;
    fkli_requests_answer(fkli_requests_take(child, FKLI_ADDS | FKLI_RESTARTS), FKL_OK);
}

bool fkli_supervise_start(fkli_supervisor *supervisor, fkli_child *child)
{
    fkl_err err = fkli_child_start(supervisor, child);
    if (err) {
        start_failed(supervisor, child, err, "");
        return false;
    }
    if (child->state == FKL_CHILD_RUNNING)
        be_started(child);
    return true;
}

void fkli_supervise_started(fkli_supervisor *supervisor)
{
    supervisor->initial = false;
    fkli_event_set(&supervisor->started);
    fkli_event_wake(&supervisor->started);
    fkli_ward_tell(supervisor->self, FKLI_WARD_STARTED);
}

// Ends of incarnations.

static bool is_failure(fkl_restart restart, fkl_exit_reason reason)
{
    if (restart == FKL_RESTART_TRANSIENT)
        return reason == FKL_EXIT_KILLED || reason == FKL_EXIT_ERROR;
    return restart == FKL_RESTART_PERMANENT;
}

// A child that was stopped for a restart, its own or its group's.
static void be_stopped(fkli_supervisor *supervisor, fkli_child *child)
{
    if (!child->again && child->plan->spec.restart == FKL_RESTART_TEMPORARY) {
        be_done(supervisor, child);
        return;
    }
    child->again = false;
    fkli_child_set_state(supervisor, child, FKL_CHILD_WAITING);
    if (!fkli_sequence_will_start(supervisor, child))
        fkli_supervise_start(supervisor, child);
}

// Of a supervisor that ended before its children had started: why.
static fkl_start_failure nested_failure(const fkli_child *child)
{
    return fkli_supervisor_of(child->actor)->failure;
}

static void on_end(fkli_supervisor *supervisor, fkli_child *child)
{
    int64_t lived = fkli_clock_now() - child->started_at;
    bool started = !child->plan->supervisor || (child->incarnation->seen & FKLI_WARD_STARTED);
    fkl_start_failure failure = {FKL_OK, ""};
    if (!started)
        failure = nested_failure(child);
    fkli_child_bury(supervisor, child);
    if (child->removing)
        fkli_supervise_remove(supervisor, child, FKL_OK);
    else if (supervisor->ending)
        fkli_child_set_state(supervisor, child, FKL_CHILD_DONE);
    else if (child->state == FKL_CHILD_WAITING)
        return; // an orphan at last; when it starts again is known
    else if (child->asked || child->again)
        be_stopped(supervisor, child);
    else if (!started)
        start_failed(supervisor, child, failure.err, failure.child);
    else if (is_failure(child->plan->spec.restart, child->last_reason))
        fail(supervisor, child, lived);
    else
        be_done(supervisor, child);
}

// Its limits are over and its code still runs. If it is needed again, that is a failed restart.
static void on_orphan(fkli_supervisor *supervisor, fkli_child *child)
{
    fkl_exit record = {0};
    fkl_err err = fkl_actor_try_exit(child->actor, &record);
    bool needed = child->asked || child->again;
    if (!err && !needed)
        needed = is_failure(child->plan->spec.restart, record.reason);
    if (child->removing) {
        fkli_supervise_remove(supervisor, child, FKL_ETIMEDOUT);
    } else if (supervisor->ending) {
        fkli_child_let_go(supervisor, child);
        fkli_child_set_state(supervisor, child, FKL_CHILD_DONE);
    } else if (!needed || (!child->again && child->plan->spec.restart == FKL_RESTART_TEMPORARY)) {
        be_done(supervisor, child);
    } else if (fkli_sequence_will_start(supervisor, child)) {
        fkli_child_set_state(supervisor, child, FKL_CHILD_WAITING); // and that will fail
    } else {
        child->again = false;
        start_failed(supervisor, child, FKL_ETIMEDOUT, "");
    }
}

static void on_news(fkli_supervisor *supervisor, fkli_incarnation *incarnation, uint32_t news)
{
    fkli_child *child = incarnation->child;
    if (!child)
        return;
    bool ended = fkli_child_note(supervisor, incarnation, news);
    if (ended)
        on_end(supervisor, child);
    else if ((news & FKLI_WARD_STARTED) && child->state == FKL_CHILD_RUNNING)
        be_started(child);
}

// The end.

static void end_all(fkli_supervisor *supervisor)
{
    if (supervisor->ending)
        return;
    supervisor->ending = true;
    fkli_lock_take(&supervisor->lock);
    supervisor->refuses = true;
    fkli_lock_give(&supervisor->lock);
    for (fkli_child *child = supervisor->children.first; child; child = child->next) {
        fkli_requests_answer(fkli_requests_take(child, FKLI_ALL), FKL_ENOACTOR);
        if (child->state != FKL_CHILD_WAITING)
            continue;
        fkli_children_disarm(&supervisor->children, child);
        fkli_child_let_go(supervisor, child); // an orphan
        fkli_child_set_state(supervisor, child, FKL_CHILD_DONE);
    }
    fkli_sequence_end(supervisor);
}

// Also when the thread ends in its function: then children still run, and are asked to stop.
void fkli_supervisor_close(void *arg)
{
    fkli_supervisor *supervisor = arg;
    uint32_t news;
    fkli_request *request;
    fkli_incarnation *incarnation;
    fkli_store_release_u32(&supervisor->ended, 1); // pairs with the acquire in is_minded(), child.c
    fkli_lock_take(&supervisor->lock);
    supervisor->self = NULL;
    supervisor->refuses = true;
    fkli_lock_give(&supervisor->lock);
    if (supervisor->at_hand)
        fkli_incarnation_release(supervisor->at_hand);
    while ((incarnation = fkli_incarnation_next(supervisor, &news)))
        fkli_incarnation_release(incarnation);
    while ((request = fkli_request_next(supervisor)))
        fkli_request_answer(request, FKL_ENOACTOR);
    while (supervisor->children.first) {
        fkli_child *child = supervisor->children.first;
        if (child->actor)
            fkl_actor_stop(child->actor);
        fkli_supervise_remove(supervisor, child, FKL_ENOACTOR);
    }
    if (fkli_event_is_set(&supervisor->started))
        return;
    if (!supervisor->failure.err)
        supervisor->failure.err = FKL_ENOACTOR;
    fkli_event_set(&supervisor->started);
    fkli_event_wake(&supervisor->started);
}

// The loop.

static void add_children(fkli_supervisor *supervisor)
{
    const fkli_supervisor_plan *plan = supervisor->plan;
    fkl_err err = FKL_OK;
    for (size_t i = 0; !err && i < plan->child_count; ++i) {
        fkli_child *child;
        fkli_child_plan *child_plan = fkli_child_plan_retain(plan->children[i]);
        err = fkli_supervise_add(supervisor, child_plan, &child);
        if (err) {
            const char *id = child_plan->spec.id;
            note_failure(supervisor, NULL, err, "");
            snprintf(supervisor->failure.child, sizeof supervisor->failure.child, "%s",
                     id ? id : "");
            fkli_child_plan_release(child_plan);
            end_all(supervisor);
        }
    }
    if (!err)
        fkli_sequence_start(supervisor);
}

// Sees to one incarnation; false when there is no news of any.
static bool hear(fkli_supervisor *supervisor)
{
    uint32_t news;
    fkli_incarnation *incarnation = fkli_incarnation_next(supervisor, &news);
    if (!incarnation)
        return false;
    supervisor->at_hand = incarnation;
    on_news(supervisor, incarnation, news);
    supervisor->at_hand = NULL;
    fkli_incarnation_release(incarnation);
    return true;
}

// Handlers may make more of what they handle, so there is a bound to each kind: the others must
// have their turn.
static void look(fkli_supervisor *supervisor)
{
    enum { BATCH = 1000 };
    const uint32_t ends = FKLI_SCOPE_STOP | FKLI_SCOPE_ENDED;
    fkli_request *request;
    fkli_child *child;
    if (!supervisor->ending && fkli_scope_has(&supervisor->self->scope, ends))
        end_all(supervisor);
    for (int i = 0; i < BATCH && hear(supervisor); ++i) {
        // There is more.
    }
    for (int i = 0; i < BATCH && (request = fkli_request_next(supervisor)); ++i)
        fkli_request_do(supervisor, request);
    fkl_time now = fkli_clock_now();
    for (int i = 0; i < BATCH && (child = fkli_children_take_due(&supervisor->children, now));
         ++i) {
        if (child->state == FKL_CHILD_WAITING)
            fkli_supervise_start(supervisor, child);
        else if (fkli_child_over_limit(supervisor, child))
            on_orphan(supervisor, child);
    }
}

static bool has_work(fkli_supervisor *supervisor)
{
    fkli_lock_take(&supervisor->lock);
    bool has = supervisor->first_notice || supervisor->first_request;
    fkli_lock_give(&supervisor->lock);
    return has;
}

static void conclude(fkli_supervisor *supervisor)
{
    char text[256];
    fkl_failure failure = {.message = text};
    if (supervisor->gave_up) {
        failure.type = "supervisor_gave_up";
        failure.code = 1;
        snprintf(text, sizeof text, "too many failures, the last of child %s",
                 supervisor->last_failed);
    } else if (supervisor->failure.err) {
        failure.type = "supervisor_start";
        failure.code = (int32_t)supervisor->failure.err;
        snprintf(text, sizeof text, "child %s could not be started: %s", supervisor->failure.child,
                 fkl_strerror(supervisor->failure.err));
    } else {
        return;
    }
    if (fkl_actor_fail(supervisor->self, &failure) == FKL_OK)
        return;
    fkl_err err = fkl_actor_set_exit(supervisor->self, failure.code, NULL, 0);
    (void)err; // without an error to copy it cannot fail
}

void fkli_supervisor_main(fkl_actor *self, void *arg)
{
    fkli_supervisor *supervisor = arg;
    fkli_thread *thread = fkli_thread_current();
    fkli_lock_take(&supervisor->lock);
    supervisor->self = self;
    fkli_lock_give(&supervisor->lock);
    fkl_actor_drain(self); // nobody would receive what users send
    add_children(supervisor);
    for (;;) {
        look(supervisor);
        bool restless = fkli_sequence_advance(supervisor, fkli_clock_now());
        if (supervisor->finished)
            break;
        if (restless || has_work(supervisor))
            continue;
        fkl_time due = fkli_children_next_due(&supervisor->children);
        fkl_time sequence_due = fkli_sequence_due(supervisor);
        // Whatever ends the sleep, everything is looked at again; nothing is decided by it.
        fkl_err err = fkli_wait_park(thread, due < sequence_due ? due : sequence_due, "supervise");
        (void)err;
    }
    conclude(supervisor);
}
