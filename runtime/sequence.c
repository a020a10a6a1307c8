// SPDX-License-Identifier: Apache-2.0
//
// Starting and stopping in order: at a supervisor's start, when a group restarts, at its end. Runs
// in the supervisor's thread, a step at a time; the thread sees to everything else in between.
//
// A cursor goes through the children. STOPPING comes down from the last child: one that still runs
// is asked to stop, and the cursor waits until it has ended or is an orphan. STARTING goes up again
// and starts what is WAITING; the cursor waits for a supervisor until its own children run. A
// failure in between begins again at STOPPING, from the lower of the two places.

#include "supervisor.h"

static bool is_up(const fkli_child *child)
{
    return child->state == FKL_CHILD_STARTING || child->state == FKL_CHILD_RUNNING;
}

static void begin_stopping(fkli_supervisor *supervisor, fkl_child from)
{
    fkli_sequence *sequence = &supervisor->sequence;
    sequence->stage = FKLI_STAGE_STOPPING;
    sequence->from = from;
    sequence->cursor = supervisor->children.last;
    if (!supervisor->plan->options.stop_together)
        return;
    for (fkli_child *child = sequence->cursor; child && child->number >= from;
         child = child->previous) {
        if (is_up(child))
            fkli_child_stop(supervisor, child);
    }
}

void fkli_sequence_start(fkli_supervisor *supervisor)
{
    supervisor->sequence =
        (fkli_sequence){.stage = FKLI_STAGE_STARTING, .cursor = supervisor->children.first};
}

void fkli_sequence_restart(fkli_supervisor *supervisor, fkl_child from, fkl_time due)
{
    fkli_sequence *sequence = &supervisor->sequence;
    // While it starts, everything below the cursor is up, and stays up unless it is concerned now.
    if (sequence->stage == FKLI_STAGE_STOPPING || sequence->stage == FKLI_STAGE_DELAY) {
        from = sequence->from < from ? sequence->from : from;
        due = sequence->due > due ? sequence->due : due;
    }
    sequence->due = due;
    begin_stopping(supervisor, from);
}

void fkli_sequence_end(fkli_supervisor *supervisor)
{
    begin_stopping(supervisor, 0);
}

bool fkli_sequence_will_start(const fkli_supervisor *supervisor, const fkli_child *child)
{
    const fkli_sequence *sequence = &supervisor->sequence;
    if (supervisor->ending || sequence->stage == FKLI_STAGE_NONE)
        return false;
    if (sequence->stage == FKLI_STAGE_STARTING)
        return sequence->cursor && child->number >= sequence->cursor->number;
    return child->number >= sequence->from;
}

void fkli_sequence_forget(fkli_supervisor *supervisor, const fkli_child *child)
{
    fkli_sequence *sequence = &supervisor->sequence;
    if (sequence->cursor != child)
        return;
    if (sequence->stage == FKLI_STAGE_STARTING)
        sequence->cursor = child->next;
    else
        sequence->cursor = child->previous;
}

// Returns whether all that are concerned have ended.
static bool stop_some(fkli_supervisor *supervisor)
{
    fkli_sequence *sequence = &supervisor->sequence;
    fkli_child *child;
    while ((child = sequence->cursor) && child->number >= sequence->from) {
        if (is_up(child))
            fkli_child_stop(supervisor, child);
        if (child->state == FKL_CHILD_STOPPING)
            return false;
        if (child->state == FKL_CHILD_DONE && !supervisor->ending &&
            child->plan->spec.restart != FKL_RESTART_TEMPORARY)
            fkli_child_set_state(supervisor, child, FKL_CHILD_WAITING);
        sequence->cursor = child->previous;
    }
    return true;
}

static void begin_starting(fkli_supervisor *supervisor)
{
    fkli_sequence *sequence = &supervisor->sequence;
    fkli_child *first = NULL;
    for (fkli_child *child = supervisor->children.last; child && child->number >= sequence->from;
         child = child->previous)
        first = child;
    sequence->stage = FKLI_STAGE_STARTING;
    sequence->cursor = first;
}

typedef enum progress { BLOCKED, DISTURBED, THROUGH } progress;

static progress start_some(fkli_supervisor *supervisor)
{
    fkli_sequence *sequence = &supervisor->sequence;
    fkli_child *child;
    while ((child = sequence->cursor)) {
        // A child that waits for a time of its own is none of ours.
        if (child->state == FKL_CHILD_WAITING && !child->place &&
            !fkli_supervise_start(supervisor, child))
            return DISTURBED; // the child and this sequence may be others now
        // A supervisor that ends instead of starting is STOPPING first, and failed only then.
        if (child->state == FKL_CHILD_STARTING || child->state == FKL_CHILD_STOPPING)
            return BLOCKED;
        sequence->cursor = child->next;
    }
    return THROUGH;
}

static void finish(fkli_supervisor *supervisor)
{
    supervisor->sequence = (fkli_sequence){.stage = FKLI_STAGE_NONE};
    if (supervisor->ending)
        supervisor->finished = true;
    else if (supervisor->initial)
        fkli_supervise_started(supervisor);
}

bool fkli_sequence_advance(fkli_supervisor *supervisor, fkl_time now)
{
    fkli_sequence *sequence = &supervisor->sequence;
    if (sequence->stage == FKLI_STAGE_STOPPING) {
        if (!stop_some(supervisor))
            return false;
        if (supervisor->ending) {
            finish(supervisor);
            return false;
        }
        sequence->stage = FKLI_STAGE_DELAY;
    }
    if (sequence->stage == FKLI_STAGE_DELAY) {
        if (now < sequence->due)
            return false;
        begin_starting(supervisor);
    }
    if (sequence->stage == FKLI_STAGE_STARTING) {
        progress done = start_some(supervisor);
        if (done == THROUGH)
            finish(supervisor);
        return done == DISTURBED;
    }
    return false;
}

fkl_time fkli_sequence_due(const fkli_supervisor *supervisor)
{
    const fkli_sequence *sequence = &supervisor->sequence;
    return sequence->stage == FKLI_STAGE_DELAY ? sequence->due : FKL_FOREVER;
}
