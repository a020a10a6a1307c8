// SPDX-License-Identifier: Apache-2.0
//
// One child at a time: making an incarnation, asking it to stop, its limits, and its end. All of it
// runs in the supervisor's thread but for notify(), which runs in whatever thread ends the actor.
//
// An incarnation has ended when both its exit is published and its code runs no more; the two are
// told by two threads when an actor is killed, in any order.

#include "pooled.h"
#include "supervisor.h"

#include <stdio.h>

void fkli_child_label(const fkli_child *child, char label[FKLI_CHILD_LABEL])
{
    if (child->plan->spec.id)
        snprintf(label, FKLI_CHILD_LABEL, "%s", child->plan->spec.id);
    else
        snprintf(label, FKLI_CHILD_LABEL, "#%llu", (unsigned long long)child->number);
}

const char *fkli_supervisor_label(const fkli_supervisor *supervisor)
{
    const char *name = fkl_actor_name(supervisor->self);
    return name[0] ? name : "without a name";
}

static uint64_t *count_of(fkl_supervisor_counts *counts, fkl_child_state state)
{
    switch (state) {
    case FKL_CHILD_WAITING:
        return &counts->waiting;
    case FKL_CHILD_STARTING:
        return &counts->starting;
    case FKL_CHILD_RUNNING:
        return &counts->running;
    case FKL_CHILD_STOPPING:
        return &counts->stopping;
    case FKL_CHILD_DONE:
        break;
    }
    return &counts->done;
}

static void set_state_locked(fkli_supervisor *supervisor, fkli_child *child, fkl_child_state state)
{
    --*count_of(&supervisor->counts, child->state);
    ++*count_of(&supervisor->counts, state);
    child->state = state;
}

void fkli_child_set_state(fkli_supervisor *supervisor, fkli_child *child, fkl_child_state state)
{
    fkli_lock_take(&supervisor->lock);
    set_state_locked(supervisor, child, state);
    fkli_lock_give(&supervisor->lock);
}

// Incarnations.

// In any thread. Wakes under the lock, because the supervisor may be gone after it.
static void notify(fkli_ward *ward, fkli_ward_event event)
{
    fkli_incarnation *incarnation = (fkli_incarnation *)ward;
    fkli_supervisor *supervisor = incarnation->supervisor;
    fkli_lock_take(&supervisor->lock);
    if (incarnation->child && supervisor->self) {
        if (!incarnation->news) {
            fkli_add_relaxed_u32(&incarnation->refs, 1); // the caller's reference keeps it alive
            incarnation->next_notice = NULL;
            if (supervisor->last_notice)
                supervisor->last_notice->next_notice = incarnation;
            else
                supervisor->first_notice = incarnation;
            supervisor->last_notice = incarnation;
        }
        incarnation->news |= event;
        fkli_actor_wake(supervisor->self);
    }
    fkli_lock_give(&supervisor->lock);
}

static bool is_minded(const fkli_ward *ward)
{
    // The acquire pairs with the release in fkli_supervisor_close(): whoever sees the end comes
    // before or after the stop of the children there, and either will do.
    const fkli_supervisor *supervisor = ((const fkli_incarnation *)ward)->supervisor;
    return !fkli_load_acquire_u32(&supervisor->ended);
}

static void release_ward(fkli_ward *ward)
{
    fkli_incarnation_release((fkli_incarnation *)ward);
}

static const fkli_ward_ops ward_ops = {notify, is_minded, release_ward};

void fkli_incarnation_release(fkli_incarnation *incarnation)
{
    // The release half pairs with the acquire half of the last one.
    if (fkli_sub_acq_rel_u32(&incarnation->refs, 1) != 1)
        return;
    fkli_supervisor *supervisor = incarnation->supervisor;
    fkli_ward_fini(&incarnation->ward);
    fkli_free(supervisor->allocator, incarnation, sizeof *incarnation);
    fkli_supervisor_release(supervisor);
}

fkli_incarnation *fkli_incarnation_next(fkli_supervisor *supervisor, uint32_t *news)
{
    fkli_lock_take(&supervisor->lock);
    fkli_incarnation *incarnation = supervisor->first_notice;
    if (incarnation) {
        supervisor->first_notice = incarnation->next_notice;
        if (!supervisor->first_notice)
            supervisor->last_notice = NULL;
        *news = incarnation->news;
        incarnation->news = 0;
    }
    fkli_lock_give(&supervisor->lock);
    return incarnation;
}

// With a reference for the actor and one for the child.
static fkli_incarnation *attach(fkli_supervisor *supervisor, fkli_child *child)
{
    fkli_incarnation *incarnation = fkli_alloc_zeroed(supervisor->allocator, sizeof *incarnation);
    if (!incarnation)
        return NULL;
    fkli_ward_init(&incarnation->ward, &ward_ops, !child->plan->spec.drop_messages);
    incarnation->ward.inheritance = child->estate;
    child->estate = NULL;
    fkli_store_relaxed_u32(&incarnation->refs, 2);
    incarnation->supervisor = fkli_supervisor_retain(supervisor);
    incarnation->child = child; // before any other thread knows it
    child->incarnation = incarnation;
    return incarnation;
}

static void detach(fkli_supervisor *supervisor, fkli_child *child)
{
    fkli_incarnation *incarnation = child->incarnation;
    fkl_actor *actor = child->actor;
    fkli_lock_take(&supervisor->lock);
    incarnation->child = NULL;
    child->id = FKL_NOBODY;
    child->orphan = false;
    fkli_lock_give(&supervisor->lock);
    child->incarnation = NULL;
    child->actor = NULL;
    child->estate = fkli_estate_join(fkli_ward_take_estate(&incarnation->ward), child->estate);
    fkli_incarnation_release(incarnation);
    fkl_actor_release(actor);
}

// Starting.

// Consumes the actor's reference to the ward.
static fkl_err spawn_supervisor(fkli_supervisor *supervisor, const fkli_child *child,
                                fkli_ward *ward, fkl_actor **out)
{
    fkli_supervisor *nested;
    fkl_err err = fkli_supervisor_create(
        supervisor->runtime, fkli_supervisor_plan_retain(child->plan->supervisor), &nested);
    if (err) {
        release_ward(ward);
        return err;
    }
    return fkli_supervisor_spawn(nested, &child->plan->spec.spawn, ward, out);
}

static fkl_err spawn(fkli_supervisor *supervisor, fkli_child *child, void *state)
{
    fkli_incarnation *incarnation = attach(supervisor, child);
    if (!incarnation)
        return FKL_ENOMEM;
    const fkl_child_spec *spec = &child->plan->spec;
    const fkli_spawn_extra extra = {.ward = &incarnation->ward};
    fkl_err err;
    if (child->plan->supervisor)
        err = spawn_supervisor(supervisor, child, &incarnation->ward, &child->actor);
    else if (spec->behaviour)
        err = fkli_spawn_pooled(supervisor->runtime, &spec->spawn, &incarnation->ward,
                                spec->behaviour, state, &child->actor);
    else
        err = fkli_spawn(supervisor->runtime, &spec->spawn, &extra, spec->fn, state, &child->actor);
    if (err)
        detach(supervisor, child); // what it told on its way out is heard by nobody
    return err;
}

static void note_start(fkli_supervisor *supervisor, fkli_child *child)
{
    child->started_at = fkli_clock_now();
    child->asked = false;
    child->killed = false;
    child->again = false;
    fkli_lock_take(&supervisor->lock);
    child->id = fkl_actor_get_id(child->actor);
    ++child->starts;
    ++supervisor->counts.starts;
    set_state_locked(supervisor, child,
                     child->plan->supervisor ? FKL_CHILD_STARTING : FKL_CHILD_RUNNING);
    fkli_lock_give(&supervisor->lock);
}

fkl_err fkli_child_start(fkli_supervisor *supervisor, fkli_child *child)
{
    if (child->incarnation)
        return FKL_ETIMEDOUT;
    fkli_children_disarm(&supervisor->children, child);
    const fkl_child_spec *spec = &child->plan->spec;
    void *state = spec->arg;
    if (spec->prepare) {
        fkl_err err = spec->prepare(spec->arg, &state);
        if (err)
            return err;
    }
    fkl_err err = spawn(supervisor, child, state);
    if (!err)
        note_start(supervisor, child);
    else if (spec->discard)
        spec->discard(spec->arg, state);
    return err;
}

// Stopping.

static void arm_limit(fkli_supervisor *supervisor, fkli_child *child, int64_t ns)
{
    if (ns == FKL_FOREVER)
        fkli_children_disarm(&supervisor->children, child);
    else
        fkli_children_arm(&supervisor->children, child, fkl_after_ns(ns));
}

static void kill(fkli_supervisor *supervisor, fkli_child *child)
{
    child->killed = true;
    arm_limit(supervisor, child, child->plan->spec.kill_ns);
    fkl_actor_kill(child->actor, 0);
}

void fkli_child_stop(fkli_supervisor *supervisor, fkli_child *child)
{
    const fkl_child_spec *spec = &child->plan->spec;
    child->asked = true;
    fkli_child_set_state(supervisor, child, FKL_CHILD_STOPPING);
    if (spec->stop_ns == FKL_STOP_AT_ONCE) {
        kill(supervisor, child);
        return;
    }
    arm_limit(supervisor, child, spec->stop_ns);
    fkl_actor_stop(child->actor);
}

bool fkli_child_over_limit(fkli_supervisor *supervisor, fkli_child *child)
{
    char label[FKLI_CHILD_LABEL];
    bool exited = (child->incarnation->seen & FKLI_WARD_EXITED) != 0;
    if (!exited && !child->killed) {
        kill(supervisor, child);
        return false;
    }
    fkli_lock_take(&supervisor->lock);
    child->orphan = true;
    ++supervisor->counts.orphans;
    fkli_lock_give(&supervisor->lock);
    fkli_child_label(child, label);
    fkli_log(&supervisor->runtime->log, FKL_LOG_WARN,
             "child %s of supervisor %s: actor %llx has been %s and still runs (%s)", label,
             fkli_supervisor_label(supervisor), (unsigned long long)child->id,
             child->killed ? "killed" : "declared dead", fkli_actor_where(child->actor));
    return true;
}

// Ending.

bool fkli_child_note(fkli_supervisor *supervisor, fkli_incarnation *incarnation, uint32_t news)
{
    fkli_child *child = incarnation->child;
    incarnation->seen |= news;
    if ((news & FKLI_WARD_STARTED) && child->state == FKL_CHILD_STARTING)
        fkli_child_set_state(supervisor, child, FKL_CHILD_RUNNING);
    if (news & FKLI_WARD_EXITED) {
        if (child->state == FKL_CHILD_STARTING || child->state == FKL_CHILD_RUNNING)
            fkli_child_set_state(supervisor, child, FKL_CHILD_STOPPING);
        // An orphan that waits for its next start has another use for its time.
        if (child->state == FKL_CHILD_STOPPING && !child->killed)
            arm_limit(supervisor, child, child->plan->spec.kill_ns);
    }
    const uint32_t all = FKLI_WARD_EXITED | FKLI_WARD_ENDED;
    return (incarnation->seen & all) == all;
}

void fkli_child_bury(fkli_supervisor *supervisor, fkli_child *child)
{
    fkl_exit record = {0};
    fkl_err err = fkl_actor_try_exit(child->actor, &record);
    (void)err; // it is published
    if (child->state == FKL_CHILD_STOPPING)
        fkli_children_disarm(&supervisor->children, child);
    fkli_lock_take(&supervisor->lock);
    child->has_ended = true;
    child->last_reason = record.reason;
    child->last_code = record.code;
    fkli_lock_give(&supervisor->lock);
    detach(supervisor, child);
}

void fkli_child_let_go(fkli_supervisor *supervisor, fkli_child *child)
{
    if (child->incarnation)
        detach(supervisor, child);
}

void fkli_child_drop_estate(fkli_supervisor *supervisor, fkli_child *child)
{
    fkl_msg *chain = child->estate;
    child->estate = NULL;
    fkli_estate_drop(supervisor->runtime, chain);
}
