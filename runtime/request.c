// SPDX-License-Identifier: Apache-2.0
//
// Requests: what users ask a supervisor for while it runs. They make one, hand it over and wait for
// it in their threads; the supervisor takes it and does it in its own. Either may let go first, so
// a request is counted.

#include "supervisor.h"

// Making and answering.

static fkl_err create_request(const fkl_allocator *allocator, fkli_request_kind kind,
                              fkl_child child, fkli_request **out)
{
    fkli_request *request = fkli_alloc_zeroed(allocator, sizeof *request);
    if (!request)
        return FKL_ENOMEM;
    fkli_store_relaxed_u32(&request->refs, 2);
    request->allocator = allocator;
    request->kind = kind;
    request->number = child;
    fkli_event_init(&request->done);
    *out = request;
    return FKL_OK;
}

static void release_request(fkli_request *request)
{
    // The release half pairs with the acquire half of the last one.
    if (fkli_sub_acq_rel_u32(&request->refs, 1) != 1)
        return;
    fkli_child_plan_release(request->plan);
    fkli_event_fini(&request->done);
    fkli_free(request->allocator, request, sizeof *request);
}

void fkli_request_answer(fkli_request *request, fkl_err result)
{
    request->result = result;
    fkli_event_set(&request->done);
    fkli_event_wake(&request->done);
    release_request(request);
}

// The user's side.

// Consumes the user's reference in any case, and the supervisor's if that refuses.
static fkl_err hand_over(fkli_supervisor *supervisor, fkli_request *request, fkl_time deadline,
                         fkl_child *out)
{
    fkli_lock_take(&supervisor->lock);
    bool refused = supervisor->refuses;
    if (!refused) {
        if (supervisor->last_request)
            supervisor->last_request->next = request;
        else
            supervisor->first_request = request;
        supervisor->last_request = request;
        if (supervisor->self)
            fkli_actor_wake(supervisor->self);
    }
    fkli_lock_give(&supervisor->lock);
    fkl_err err = FKL_ENOACTOR;
    if (refused) {
        release_request(request);
    } else {
        err = fkli_event_wait(&request->done, deadline, "supervisor");
        if (!err)
            err = request->result;
        if (!err && out)
            *out = request->number;
    }
    release_request(request);
    return err;
}

fkl_err fkl_supervisor_add_until(fkl_actor *supervisor, const fkl_child_spec *spec,
                                 fkl_time deadline, fkl_child *out)
{
    fkli_supervisor *to = fkli_supervisor_of(supervisor);
    fkli_child_plan *plan;
    fkli_request *request;
    if (!to)
        return FKL_ETYPE;
    if (fkl_self() == supervisor)
        return FKL_EDEADLK;
    fkl_err err = fkli_child_plan_create(to->allocator, spec, &plan);
    if (err)
        return err;
    err = create_request(to->allocator, FKLI_REQUEST_ADD, 0, &request);
    if (err) {
        fkli_child_plan_release(plan);
        return err;
    }
    request->plan = plan;
    return hand_over(to, request, deadline, out);
}

static fkl_err ask_about(fkl_actor *supervisor, fkli_request_kind kind, fkl_child child,
                         fkl_time deadline)
{
    fkli_supervisor *to = fkli_supervisor_of(supervisor);
    fkli_request *request;
    if (!to)
        return FKL_ETYPE;
    if (fkl_self() == supervisor)
        return FKL_EDEADLK;
    fkl_err err = create_request(to->allocator, kind, child, &request);
    return err ? err : hand_over(to, request, deadline, NULL);
}

fkl_err fkl_supervisor_remove_until(fkl_actor *supervisor, fkl_child child, fkl_time deadline)
{
    return ask_about(supervisor, FKLI_REQUEST_REMOVE, child, deadline);
}

fkl_err fkl_supervisor_restart_until(fkl_actor *supervisor, fkl_child child, fkl_time deadline)
{
    return ask_about(supervisor, FKLI_REQUEST_RESTART, child, deadline);
}

// The supervisor's side.

fkli_request *fkli_request_next(fkli_supervisor *supervisor)
{
    fkli_lock_take(&supervisor->lock);
    fkli_request *request = supervisor->first_request;
    if (request) {
        supervisor->first_request = request->next;
        if (!supervisor->first_request)
            supervisor->last_request = NULL;
    }
    fkli_lock_give(&supervisor->lock);
    return request;
}

fkli_request *fkli_requests_take(fkli_child *child, unsigned kinds)
{
    fkli_request *taken = NULL;
    fkli_request **link = &child->requests;
    while (*link) {
        fkli_request *request = *link;
        if (kinds & 1u << request->kind) {
            *link = request->next;
            request->next = taken;
            taken = request;
        } else {
            link = &request->next;
        }
    }
    return taken;
}

void fkli_requests_answer(fkli_request *chain, fkl_err result)
{
    while (chain) {
        fkli_request *next = chain->next;
        fkli_request_answer(chain, result);
        chain = next;
    }
}

static void wait_for(fkli_child *child, fkli_request *request)
{
    request->next = child->requests;
    child->requests = request;
}

static void on_add(fkli_supervisor *supervisor, fkli_request *request)
{
    fkli_child *child;
    fkl_err err = fkli_supervise_add(supervisor, request->plan, &child);
    if (err) {
        fkli_request_answer(request, err);
        return;
    }
    request->plan = NULL;
    request->number = child->number;
    child->adding = true;
    wait_for(child, request);
    if (!fkli_sequence_will_start(supervisor, child))
        fkli_supervise_start(supervisor, child);
}

static void on_remove(fkli_supervisor *supervisor, fkli_child *child, fkli_request *request)
{
    wait_for(child, request);
    child->removing = true;
    if (child->state == FKL_CHILD_STARTING || child->state == FKL_CHILD_RUNNING)
        fkli_child_stop(supervisor, child);
    else if (child->state != FKL_CHILD_STOPPING)
        fkli_supervise_remove(supervisor, child, child->incarnation ? FKL_ETIMEDOUT : FKL_OK);
}

static void on_restart(fkli_supervisor *supervisor, fkli_child *child, fkli_request *request)
{
    wait_for(child, request);
    if (child->state == FKL_CHILD_DONE)
        fkli_child_set_state(supervisor, child, FKL_CHILD_WAITING);
    switch (child->state) {
    case FKL_CHILD_RUNNING:
        child->again = true;
        fkli_child_stop(supervisor, child);
        break;
    case FKL_CHILD_STOPPING:
        child->again = true;
        break;
    case FKL_CHILD_WAITING:
        if (!fkli_sequence_will_start(supervisor, child) || child->place)
            fkli_supervise_start(supervisor, child);
        break;
    case FKL_CHILD_STARTING: // this start will do
    case FKL_CHILD_DONE:
        break;
    }
}

void fkli_request_do(fkli_supervisor *supervisor, fkli_request *request)
{
    if (supervisor->ending) {
        fkli_request_answer(request, FKL_ENOACTOR);
        return;
    }
    if (request->kind == FKLI_REQUEST_ADD) {
        on_add(supervisor, request);
        return;
    }
    fkli_child *child = fkli_children_find(&supervisor->children, request->number);
    if (!child || child->removing)
        fkli_request_answer(request, FKL_ENOACTOR);
    else if (request->kind == FKLI_REQUEST_REMOVE)
        on_remove(supervisor, child, request);
    else
        on_restart(supervisor, child, request);
}
