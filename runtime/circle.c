// SPDX-License-Identifier: Apache-2.0
//
// Finding circles. Each thread actor has an edge, to the ask that its own thread waits for, and the
// ask knows who is to answer it; both are guarded by the asker's lock, and `serial` goes up with
// each change. Whoever adds an edge, or moves its end, walks from there along the edges of others.
//
// Two that close a circle at once: each has set its own edge under its lock before it takes the
// other's, so whichever lock is taken last shows an edge that is there. At least one finds it.
//
// A walk sees the edges one after the other, and some may be gone when it sees the last. So one
// that came back to its start is repeated twice, under a lock for all such walks: the first notes
// each serial, the second compares. If none changed then every edge was there between the two, all
// at once, and nobody on the way could go on. The finder takes its own edge away before it gives
// the lock back, so of several finders one reports.

#include "circle.h"

static fkli_edge *edge_of(fkl_actor *actor)
{
    return &((fkli_threaded *)actor)->edge;
}

// The edges.

static void set_edge(fkli_ask *ask, fkli_ask *value)
{
    fkl_actor *asker = ask->asker;
    fkli_lock_take(&asker->lock);
    edge_of(asker)->ask = value;
    ++edge_of(asker)->serial;
    fkli_lock_give(&asker->lock);
}

void fkli_circle_enter(fkli_ask *ask)
{
    set_edge(ask, ask);
}

void fkli_circle_leave(fkli_ask *ask)
{
    set_edge(ask, NULL);
}

uint64_t fkli_circle_leave_target(fkli_ask *ask)
{
    fkl_actor *asker = ask->asker;
    fkli_lock_take(&asker->lock);
    ask->target = FKL_NOBODY;
    ++edge_of(asker)->serial;
    uint64_t hop = ++ask->hop;
    fkli_lock_give(&asker->lock);
    return hop;
}

bool fkli_circle_set_target(fkli_ask *ask, uint64_t hop, const fkl_actor *target)
{
    fkl_actor *asker = ask->asker;
    if (target->runtime != asker->runtime)
        return false; // its id means nothing here
    fkli_lock_take(&asker->lock);
    bool is_there = ask->hop == hop;
    if (is_there) {
        ask->target = target->id;
        ++edge_of(asker)->serial;
    }
    bool waits = is_there && edge_of(asker)->ask == ask;
    fkli_lock_give(&asker->lock);
    return waits;
}

static fkl_actor_id read_edge(fkl_actor *actor, uint64_t *serial)
{
    if (actor->pooled)
        return FKL_NOBODY; // it never waits
    fkli_lock_take(&actor->lock);
    const fkli_ask *ask = edge_of(actor)->ask;
    fkl_actor_id target = ask ? ask->target : FKL_NOBODY;
    *serial = edge_of(actor)->serial;
    fkli_lock_give(&actor->lock);
    return target;
}

fkl_actor_id fkli_circle_target_of(const fkl_actor *actor)
{
    uint64_t serial;
    return read_edge((fkl_actor *)(uintptr_t)actor, &serial);
}

// Walks.

typedef enum purpose { GLANCE, NOTE, COMPARE } purpose;

// `seen` is guarded by the runtime's lock of circles.
static bool visit(fkl_actor *actor, purpose why, uint64_t serial)
{
    if (why == NOTE)
        edge_of(actor)->seen = serial;
    return why != COMPARE || edge_of(actor)->seen == serial;
}

// Nobody else goes on for it, and nobody has told it to stop waiting.
static bool is_stuck(fkl_actor *actor)
{
    return !fkli_scope_has(&actor->scope, FKLI_SCOPE_STOP | FKLI_SCOPE_ENDED) &&
           !fkli_scope_has_helpers(&actor->scope);
}

// The next actor on the way, retained, or NULL where it ends.
static fkl_actor *step(fkl_actor *at, purpose why)
{
    uint64_t serial = 0;
    fkl_actor_id target = read_edge(at, &serial);
    if (target == FKL_NOBODY || !visit(at, why, serial) || !is_stuck(at))
        return NULL;
    return fkli_registry_find(at->runtime, target);
}

// Whether the way leads back to `start`. It may lead into a circle without it, whose closer is
// about to find that one: then the way comes to the same actor again and again. To notice, one
// actor on the way is remembered, and another after twice as many steps.
static bool leads_back(fkl_actor *start, purpose why)
{
    fkl_actor *at = step(start, why);
    fkl_actor_id remembered = FKL_NOBODY;
    for (uint64_t steps = 1, limit = 2; at && at != start && at->id != remembered; ++steps) {
        if (steps == limit) {
            remembered = at->id;
            limit *= 2;
        }
        fkl_actor *next = step(at, why);
        fkl_actor_release(at);
        at = next;
    }
    bool back = at == start;
    fkl_actor_release(at);
    return back;
}

static bool take_edge_away(fkli_ask *ask)
{
    fkl_actor *asker = ask->asker;
    fkli_lock_take(&asker->lock);
    bool was_there = edge_of(asker)->ask == ask;
    if (was_there) {
        edge_of(asker)->ask = NULL;
        ++edge_of(asker)->serial;
    }
    fkli_lock_give(&asker->lock);
    return was_there;
}

bool fkli_circle_is_closed(fkli_ask *ask)
{
    fkl_actor *asker = ask->asker;
    fkl_runtime *runtime = asker->runtime;
    if (!leads_back(asker, GLANCE))
        return false;
    fkli_lock_take(&runtime->circles);
    bool closed = leads_back(asker, NOTE) && leads_back(asker, COMPARE) && take_edge_away(ask);
    fkli_lock_give(&runtime->circles);
    return closed;
}
