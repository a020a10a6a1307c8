// SPDX-License-Identifier: Apache-2.0
//
// Objects that come back. A message that carries an object by reference may be destroyed by any
// thread. One of the object's own interpreter attaches to it, if it is not attached just now, and
// drops the object. Any other must not touch the reference count, nor wait for an interpreter that
// may be ending: it leaves the object here, and the next thread of the object's interpreter that
// sends or receives drops it. What waits here is no more than what was sent since then.

#include "state.h"

#include <stdatomic.h>
#include <stdlib.h>

typedef struct returned {
    PyObject *object; // strong
    struct returned *next;
} returned;

struct core_returns {
    core_visits visits;
    struct core_returns *next;            // those of interpreters that were made earlier
    _Atomic(PyInterpreterState *) interp; // compared only; NULL when it is gone
    // A stack, CLOSED at the end. Any thread pushes; it is only ever taken as a whole, so a push
    // that finds the top where it was is right even if that node was freed and came again
    // meanwhile.
    _Atomic(returned *) top;
};

static returned closed;
#define CLOSED (&closed)

static _Atomic(core_returns *) all; // only ever added to

core_returns *core_returns_create(core_state *state)
{
    core_returns *returns = calloc(1, sizeof *returns);
    if (returns == NULL) {
        return NULL;
    }
    returns->visits.host = state;
    atomic_init(&returns->interp, state->interp);
    returns->next = atomic_load_explicit(&all, memory_order_relaxed);
    // Release: pairs with the acquire in core_returns_take().
    while (!atomic_compare_exchange_weak_explicit(&all, &returns->next, returns,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    return returns;
}

core_visits *core_returns_visits(core_returns *returns)
{
    return &returns->visits;
}

core_returns *core_returns_take(fkl_msg *msg, void **object)
{
    core_returns *owner = atomic_load_explicit(&all, memory_order_acquire);
    while (owner != NULL && fkl_msg_take_ref(msg, owner, object) != FKL_OK) {
        owner = owner->next;
    }
    return owner;
}

static void drop_all(returned *first)
{
    while (first != NULL) {
        returned *next = first->next;
        Py_DECREF(first->object);
        free(first);
        first = next;
    }
}

void core_returns_drain(core_returns *returns)
{
    // Relaxed: most of the time there is nothing, and what comes now is for the next to drop.
    if (atomic_load_explicit(&returns->top, memory_order_relaxed) == NULL) {
        return;
    }
    // Acquire: pairs with the release in core_returns_put().
    returned *first = atomic_exchange_explicit(&returns->top, NULL, memory_order_acquire);
    drop_all(first);
}

void core_returns_close(core_returns *returns)
{
    drop_all(atomic_exchange_explicit(&returns->top, CLOSED, memory_order_acquire));
    // Relaxed: another one may be made at the same address, but by then this is long visible to
    // those whom its making has been told.
    atomic_store_explicit(&returns->interp, NULL, memory_order_relaxed);
}

// Whether this is a thread of the interpreter that waits for something meanwhile. At the end of all
// it must not attach any more: it would be ended in the middle of what it does.
static bool is_detached_from(PyInterpreterState *interp)
{
    if (!Py_IsInitialized() || Py_IsFinalizing()) {
        return false;
    }
    PyThreadState *own = PyGILState_GetThisThreadState();
    return own != NULL && PyThreadState_GetInterpreter(own) == interp;
}

void core_returns_put(void *object, void *ctx)
{
    core_returns *returns = ctx;
    PyInterpreterState *interp = atomic_load_explicit(&returns->interp, memory_order_relaxed);
    PyThreadState *thread = core_attached();
    if (thread != NULL && PyThreadState_GetInterpreter(thread) == interp) {
        Py_DECREF((PyObject *)object);
        return;
    }
    if (thread == NULL && is_detached_from(interp)) {
        PyGILState_STATE attached = PyGILState_Ensure();
        Py_DECREF((PyObject *)object);
        PyGILState_Release(attached);
        return;
    }
    returned *node = malloc(sizeof *node);
    if (node == NULL) {
        return; // without memory the object stays, which is all that can be done with it here
    }
    node->object = object;
    node->next = atomic_load_explicit(&returns->top, memory_order_relaxed);
    do {
        if (node->next == CLOSED) { // the interpreter is gone, and its objects with it
            free(node);
            return;
        }
        // Release: the object and `next` are there for who takes the stack.
    } while (!atomic_compare_exchange_weak_explicit(&returns->top, &node->next, node,
                                                    memory_order_release, memory_order_relaxed));
}
