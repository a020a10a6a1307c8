// SPDX-License-Identifier: Apache-2.0
//
// The object of forkless._core.Actor, for the two files that deal with it: actor.c, and throw.c for
// the methods that throw exceptions at an actor and get them ready.
#ifndef FORKLESS_EXT_ACTOR_H
#define FORKLESS_EXT_ACTOR_H

#include "state.h"

// Where the thread of an actor finds its object: what fkl_actor_data() points to. Only threads of
// the interpreter in which the actor runs look at it.
typedef struct core_seat {
    struct actor_object *object; // borrowed; NULL before it is there
} core_seat;

typedef struct actor_object {
    PyObject_HEAD
    core_seat seat;               // for an actor that this interpreter has started in itself
    struct core_process *process; // of one that others know of, or NULL: see places.h
    // NULL until started. Set once, by whoever of start() and the new thread comes first.
    _Atomic(fkl_actor *) handle;
    int pid;
    atomic_bool starting; // start() was called and has not failed
    core_mutex lock;      // guards what follows, and that an asynchronous exception is set for it
    // 0 before the thread calls enter() and after leave(). Written under the lock; atomic because
    // it is also read without.
    atomic_ulong thread_ident;
    PyObject *thrown;     // exception to raise in the actor's own thread, or NULL
    bool exiting;         // a wait has raised ProcessExit in it; one is enough
    core_threads exposed; // further threads that act for the actor
    core_bell own_bell;   // rings for the own thread: something was thrown, or it shall stop
    core_bell stop_bell;  // rings for its further threads, once and for ever: it shall stop
    PyObject *dict;
    PyObject *weakrefs;
} actor_object;

// Acquire: pairs with the release in note_handle().
static inline fkl_actor *handle_of(actor_object *self)
{
    return atomic_load_explicit(&self->handle, memory_order_acquire);
}

static inline void note_handle(actor_object *self, fkl_actor *handle)
{
    atomic_store_explicit(&self->handle, handle, memory_order_release);
}

// Relaxed: a thread compares with its own ident, which it stored itself, or only looks.
static inline unsigned long ident_of(actor_object *self)
{
    return atomic_load_explicit(&self->thread_ident, memory_order_relaxed);
}

static inline bool is_own_thread(actor_object *self)
{
    return ident_of(self) == PyThread_get_thread_ident();
}

// throw.c

// The class behind core_state.delivery_type.
extern PyType_Spec core_delivery_spec;

// Nothing is raised in the calling thread, the actor's own, any more.
void core_actor_gone(core_state *state, actor_object *self);

// Wakes the threads of the actor that wait for descriptors. After the stop was requested, so that
// whoever hears it sees that.
void core_actor_ring(actor_object *self);

// processes.c

// For who destroys the object.
void core_actor_forget_process(actor_object *self);

PyObject *core_actor_start_elsewhere(actor_object *self, PyObject *args);
PyObject *core_actor_settle(actor_object *self, PyObject *door);
PyObject *core_actor_stand_for(actor_object *self, PyObject *pid);
PyObject *core_actor_announce(actor_object *self, PyObject *args);
PyObject *core_actor_post(actor_object *self, PyObject *signum);
PyObject *core_actor_take_signals(actor_object *self, PyObject *unused);
PyObject *core_actor_caught(actor_object *self, void *unused);
int core_actor_set_caught(actor_object *self, PyObject *mask, void *unused);
PyObject *core_actor_group(actor_object *self, void *unused);
int core_actor_set_group(actor_object *self, PyObject *group, void *unused);
extern const char core_actor_start_elsewhere_doc[];
extern const char core_actor_settle_doc[];
extern const char core_actor_stand_for_doc[];
extern const char core_actor_announce_doc[];
extern const char core_actor_post_doc[];

// throw.c: methods, and their documentation.
PyObject *core_actor_throw(actor_object *self, PyObject *exception);
PyObject *core_actor_throw_again(actor_object *self, PyObject *exception);
PyObject *core_actor_enter(actor_object *self, PyObject *unused);
PyObject *core_actor_leave(actor_object *self, PyObject *unused);
PyObject *core_actor_expose(actor_object *self, PyObject *unused);
PyObject *core_actor_hide(actor_object *self, PyObject *unused);
PyObject *core_actor_throw_at_threads(actor_object *self, PyObject *unused);
extern const char core_actor_throw_doc[];
extern const char core_actor_throw_again_doc[];
extern const char core_actor_enter_doc[];
extern const char core_actor_leave_doc[];
extern const char core_actor_expose_doc[];
extern const char core_actor_throw_at_threads_doc[];

#endif
