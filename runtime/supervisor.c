// SPDX-License-Identifier: Apache-2.0
//
// What users call: starting a supervisor, asking it for something, looking at its children. Runs in
// their threads.
//
// A supervisor is counted: its actor holds it until the last reference to the actor is dropped, and
// each incarnation of a child does likewise. So whoever has a reference to the actor may ask it,
// dead or alive.

#include "supervisor.h"

#include <stdio.h>
#include <string.h>

static const size_t default_stack = 128 * 1024;

// Making and freeing.

fkl_err fkli_supervisor_create(fkl_runtime *runtime, fkli_supervisor_plan *plan,
                               fkli_supervisor **out)
{
    const fkl_allocator *allocator = &runtime->allocator;
    const fkl_supervisor_options *options = &plan->options;
    fkli_supervisor *supervisor = fkli_alloc_zeroed(allocator, sizeof *supervisor);
    fkl_err err = supervisor ? fkli_intensity_init(&supervisor->intensity, allocator,
                                                   options->max_restarts, options->period_ns)
                             : FKL_ENOMEM;
    if (err) {
        fkli_free(allocator, supervisor, sizeof *supervisor);
        fkli_supervisor_plan_release(plan);
        return err;
    }
    fkli_store_relaxed_u32(&supervisor->refs, 1);
    fkli_store_relaxed_u32(&supervisor->ended, 0);
    supervisor->runtime = runtime;
    supervisor->allocator = allocator;
    supervisor->plan = plan;
    fkli_event_init(&supervisor->started);
    fkli_lock_init(&supervisor->lock);
    fkli_children_init(&supervisor->children, allocator);
    supervisor->backoff = (fkli_backoff){options->backoff_ns, options->backoff_max_ns,
                                         options->jitter_percent, options->seed};
    supervisor->initial = true;
    *out = supervisor;
    return FKL_OK;
}

fkli_supervisor *fkli_supervisor_retain(fkli_supervisor *supervisor)
{
    fkli_add_relaxed_u32(&supervisor->refs, 1); // the caller's reference keeps it alive
    return supervisor;
}

void fkli_supervisor_release(fkli_supervisor *supervisor)
{
    // The release half pairs with the acquire half of the last one.
    if (fkli_sub_acq_rel_u32(&supervisor->refs, 1) != 1)
        return;
    const fkl_allocator *allocator = supervisor->allocator;
    fkli_children_fini(&supervisor->children);
    fkli_intensity_fini(&supervisor->intensity);
    fkli_lock_fini(&supervisor->lock);
    fkli_event_fini(&supervisor->started);
    fkli_supervisor_plan_release(supervisor->plan);
    fkli_free(allocator, supervisor, sizeof *supervisor);
}

static void release_with_actor(void *arg)
{
    fkli_supervisor_release(arg);
}

fkl_err fkli_supervisor_spawn(fkli_supervisor *supervisor, const fkl_spawn_options *options,
                              fkli_ward *ward, fkl_actor **out)
{
    fkl_spawn_options filled = {0};
    if (options)
        filled = *options;
    if (!filled.stack_size)
        filled.stack_size = default_stack;
    const fkli_spawn_extra extra = {
        .ward = ward, .at_end = fkli_supervisor_close, .at_release = release_with_actor};
    return fkli_spawn(supervisor->runtime, &filled, &extra, fkli_supervisor_main, supervisor, out);
}

fkli_supervisor *fkli_supervisor_of(const fkl_actor *actor)
{
    const fkli_threaded *threaded = (const fkli_threaded *)actor;
    return !actor->pooled && threaded->fn == fkli_supervisor_main ? threaded->arg : NULL;
}

// Starting.

static fkl_err await_start(fkli_supervisor *supervisor, fkl_time deadline,
                           fkl_start_failure *failure)
{
    fkl_err err = fkli_event_wait(&supervisor->started, deadline, "supervisor start");
    if (!err) {
        *failure = supervisor->failure;
        err = failure->err;
    }
    return err;
}

fkl_err fkl_supervisor_start_until(fkl_runtime *runtime, const fkl_spawn_options *spawn,
                                   const fkl_supervisor_options *options, fkl_time deadline,
                                   fkl_actor **out, fkl_start_failure *failure)
{
    fkl_start_failure why = {FKL_OK, ""};
    fkli_supervisor_plan *plan;
    fkli_supervisor *supervisor;
    fkl_actor *actor = NULL;
    const fkli_thread *thread = fkli_thread_peek();
    if (!runtime || !out)
        return FKL_EINVAL;
    if (thread && thread->must_not_wait)
        return FKL_EPOOLED; // rather than start something that is to stop at once
    fkl_err err = fkli_supervisor_plan_create(&runtime->allocator, options, &plan);
    if (!err)
        err = fkli_supervisor_create(runtime, plan, &supervisor);
    if (!err)
        err = fkli_supervisor_spawn(supervisor, spawn, NULL, &actor);
    if (!err)
        err = await_start(supervisor, deadline, &why);
    if (err && actor) {
        fkl_actor_stop(actor);
        fkl_actor_release(actor);
    }
    if (failure) {
        why.err = err;
        *failure = why;
    }
    if (!err)
        *out = actor;
    return err;
}

// Looking.

static void describe_locked(const fkli_child *child, fkl_child_info *row)
{
    memset(row, 0, sizeof *row);
    row->child = child->number;
    if (child->plan->spec.id)
        snprintf(row->id, sizeof row->id, "%s", child->plan->spec.id);
    if (child->plan->spec.spawn.register_as)
        snprintf(row->name, sizeof row->name, "%s", child->plan->spec.spawn.register_as);
    row->state = child->state;
    row->actor = child->id;
    row->orphan = child->orphan;
    row->starts = child->starts;
    row->failures = child->failures;
    row->delay_ns = child->delay;
    row->has_ended = child->has_ended;
    row->last_reason = child->last_reason;
    row->last_code = child->last_code;
}

fkl_err fkl_supervisor_children(const fkl_actor *supervisor, fkl_child after, fkl_child_info *rows,
                                size_t capacity, size_t *count)
{
    fkli_supervisor *of = fkli_supervisor_of(supervisor);
    if (!of)
        return FKL_ETYPE;
    size_t written = 0;
    fkli_lock_take(&of->lock);
    const fkli_child *child = fkli_children_after(&of->children, after);
    for (; child && written < capacity; child = child->next)
        describe_locked(child, &rows[written++]);
    fkli_lock_give(&of->lock);
    *count = written;
    return FKL_OK;
}

fkl_err fkl_supervisor_child(const fkl_actor *supervisor, fkl_child child, fkl_child_info *out)
{
    fkli_supervisor *of = fkli_supervisor_of(supervisor);
    if (!of)
        return FKL_ETYPE;
    fkli_lock_take(&of->lock);
    const fkli_child *found = fkli_children_find(&of->children, child);
    if (found)
        describe_locked(found, out);
    fkli_lock_give(&of->lock);
    return found ? FKL_OK : FKL_ENOACTOR;
}

fkl_err fkl_supervisor_find(const fkl_actor *supervisor, const char *id, fkl_child_info *out)
{
    fkli_supervisor *of = fkli_supervisor_of(supervisor);
    if (!of)
        return FKL_ETYPE;
    fkli_lock_take(&of->lock);
    const fkli_child *found = fkli_children_find_id(&of->children, id);
    if (found)
        describe_locked(found, out);
    fkli_lock_give(&of->lock);
    return found ? FKL_OK : FKL_ENOACTOR;
}

fkl_err fkl_supervisor_count(const fkl_actor *supervisor, fkl_supervisor_counts *out)
{
    fkli_supervisor *of = fkli_supervisor_of(supervisor);
    if (!of)
        return FKL_ETYPE;
    fkli_lock_take(&of->lock);
    *out = of->counts;
    fkli_lock_give(&of->lock);
    return FKL_OK;
}
