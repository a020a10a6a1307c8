// SPDX-License-Identifier: Apache-2.0
//
// Exceptions that others throw at an actor: how they come to be raised in its threads, once each.

#include "actor.h"

// Exceptions thrown at an actor
//
// PyThreadState_SetAsyncExc() takes a class and the thread raises an instance of it. The class that
// we hand over makes no instance of its own: its tp_new returns the exception object that was
// thrown. An actor that blocks in one of our waits is woken instead and raises the same object from
// there; whoever comes first takes it.
//
// All of it happens under the actor's lock, so that an asynchronous exception is set for its thread
// only while `thrown` holds what it stands for.

// Takes the exception that was thrown, and the asynchronous exception back. For the actor's own
// thread. Returns NULL where there is none.
static PyObject *take_thrown(core_state *state, actor_object *self)
{
    core_lock(&self->lock);
    PyObject *thrown = self->thrown;
    self->thrown = NULL;
    if (thrown != NULL) {
        core_take_back_async(state);
    }
    core_unlock(&self->lock);
    return thrown;
}

static PyObject *delivery_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    core_state *state = core_state_of_type(type);
    actor_object *self = (actor_object *)core_current(state);
    if (core_leave_entered() < 0) {
        PyErr_WriteUnraisable((PyObject *)type);
    }
    PyObject *thrown = self == NULL || !is_own_thread(self) ? NULL : take_thrown(state, self);
    if (thrown != NULL) {
        return thrown;
    }
    if (self != NULL) {
        core_threads_remove(
            &self->exposed,
            state); // a further thread of the actor: this is the one ProcessExit that it gets
    }
    return PyObject_CallNoArgs(state->process_exit);
}

int core_raise_thrown(core_state *state)
{
    actor_object *self = (actor_object *)core_current(state);
    if (self == NULL || !is_own_thread(self)) {
        return 0;
    }
    PyObject *thrown = take_thrown(state, self);
    if (thrown == NULL) {
        return 0;
    }
    PyErr_SetObject((PyObject *)Py_TYPE(thrown), thrown);
    Py_DECREF(thrown);
    return -1;
}

// A wait ends as soon as the exit is published, and so before the ProcessExit that the same end
// throws comes: that one must not break into what the first has to unwind.
static void note_exiting(core_state *state, actor_object *self)
{
    if (!is_own_thread(self)) {
        core_threads_remove(&self->exposed, state);
        return;
    }
    core_lock(&self->lock);
    PyObject *thrown = self->thrown;
    self->thrown = NULL;
    self->exiting = true;
    if (thrown != NULL) {
        core_take_back_async(state);
    }
    core_unlock(&self->lock);
    Py_XDECREF(thrown);
}

int core_check_thrown(core_state *state)
{
    actor_object *self = (actor_object *)core_current(state);
    if (self == NULL) {
        return 0;
    }
    if (core_raise_thrown(state) < 0) {
        return -1;
    }
    if (fkl_actor_stop_requested(handle_of(self))) {
        core_raise_process_exit(state);
        return -1;
    }
    return 0;
}

int core_thread_bell(core_state *state)
{
    actor_object *self = (actor_object *)core_current(state);
    if (self == NULL) {
        return -1;
    }
    core_lock(&self->lock);
    int bell = core_bell_make(is_own_thread(self) ? &self->own_bell : &self->stop_bell);
    core_unlock(&self->lock);
    if (bell < 0) {
        PyErr_SetFromErrno(PyExc_OSError);
    }
    return bell;
}

void core_thread_bell_heard(core_state *state)
{
    actor_object *self = (actor_object *)core_current(state);
    if (self != NULL && is_own_thread(self)) {
        core_bell_silence(&self->own_bell);
    }
}

// After the stop was requested, so that whoever hears it sees that.
void core_actor_ring(actor_object *self)
{
    core_lock(&self->lock); // which a bell is closed under, too
    core_bell_ring(&self->own_bell);
    core_bell_ring(&self->stop_bell);
    core_unlock(&self->lock);
}

int core_check_ended(core_state *state)
{
    fkl_actor *handle = fkl_self();
    if (handle == NULL || !fkl_actor_stop_requested(handle)) {
        return 0;
    }
    actor_object *self = (actor_object *)core_current(state);
    if (self == NULL || self->thread_ident == 0) { // its exit functions run: they may
        return 0;
    }
    return core_check_thrown(state);
}

void core_raise_process_exit(core_state *state)
{
    actor_object *self = (actor_object *)core_current(state);
    fkl_exit record;
    int code = 0;
    if (self != NULL && fkl_actor_try_exit(handle_of(self), &record) == FKL_OK) {
        code = record.code;
    }
    if (self != NULL) {
        note_exiting(state, self);
    }
    PyObject *number = PyLong_FromLong(code);
    if (number != NULL) {
        PyErr_SetObject(state->process_exit, number);
        Py_DECREF(number);
    }
}

void core_actor_gone(core_state *state, actor_object *self)
{
    core_lock(&self->lock);
    PyObject *thrown = self->thrown;
    self->thrown = NULL;
    atomic_store_explicit(&self->thread_ident, 0,
                          memory_order_relaxed); // nothing is set after this
    core_bell_fini(&self->own_bell);
    if (thrown != NULL) {
        core_take_back_async(state);
    }
    core_unlock(&self->lock);
    Py_XDECREF(thrown);
}

// Methods

const char core_actor_throw_doc[] =
    PyDoc_STR("throw(exception)\n--\n\n"
              "Raise the exception object in the actor's own thread: at once in a wait of\n"
              "forkless, else at the next bytecode. A ProcessExit replaces an exception that\n"
              "was thrown and not yet raised, and is not thrown once a wait has raised one\n"
              "because the actor has ended; any other leaves it in place.");

PyObject *core_actor_throw(actor_object *self, PyObject *exception)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    if (!PyExceptionInstance_Check(exception)) {
        PyErr_Format(PyExc_TypeError, "throw() takes an exception object, not %R",
                     (PyObject *)Py_TYPE(exception));
        return NULL;
    }
    bool final = PyErr_GivenExceptionMatches(exception, state->process_exit);
    PyObject *before = NULL;
    core_lock(&self->lock);
    if (final ? !self->exiting : self->thrown == NULL) {
        before = self->thrown;
        self->thrown = Py_NewRef(exception);
        if (ident_of(self) != 0) {
            core_set_async(ident_of(self), (PyObject *)state->delivery_type);
        }
    }
    core_unlock(&self->lock);
    Py_XDECREF(before);
    if (handle_of(self) != NULL) {
        fkl_actor_interrupt(handle_of(self));
    }
    core_lock(&self->lock);
    core_bell_ring(&self->own_bell);
    core_unlock(&self->lock);
    Py_RETURN_NONE;
}

const char core_actor_throw_again_doc[] =
    PyDoc_STR("throw_again(exception)\n--\n\n"
              "Raise, at the next bytecode of the calling thread, an exception that was thrown\n"
              "at it and got lost: where it was raised nobody could catch it. A thread that\n"
              "acts for the actor and is not its own gets a ProcessExit.");

PyObject *core_actor_throw_again(actor_object *self, PyObject *exception)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    if (!is_own_thread(self)) {
        if (!core_threads_add(&self->exposed)) {
            return PyErr_NoMemory();
        }
        core_set_async(PyThread_get_thread_ident(), (PyObject *)state->delivery_type);
        Py_RETURN_NONE;
    }
    core_lock(&self->lock);
    self->exiting = false;
    core_unlock(&self->lock);
    return core_actor_throw(self, exception);
}

const char core_actor_enter_doc[] =
    PyDoc_STR("enter()\n--\n\n"
              "Called by the target when it is ready for exceptions that others throw; raises\n"
              "at once what was thrown before.");

PyObject *core_actor_enter(actor_object *self, PyObject *unused)
{
    (void)unused;
    core_lock(&self->lock);
    atomic_store_explicit(&self->thread_ident, PyThread_get_thread_ident(), memory_order_relaxed);
    core_unlock(&self->lock);
    if (core_raise_thrown(core_state_of_type(Py_TYPE(self))) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

const char core_actor_leave_doc[] =
    PyDoc_STR("leave()\n--\n\n"
              "Called by the target when it is no longer ready for them.");

PyObject *core_actor_leave(actor_object *self, PyObject *unused)
{
    (void)unused;
    core_actor_gone(core_state_of_type(Py_TYPE(self)), self);
    Py_RETURN_NONE;
}

// Further threads

const char core_actor_expose_doc[] =
    PyDoc_STR("expose()\n--\n\n"
              "Let throw_at_threads() reach the calling thread, which acts for the\n"
              "actor and is not its own. To be followed by hide() in the same thread.");

PyObject *core_actor_expose(actor_object *self, PyObject *unused)
{
    (void)unused;
    if (!core_threads_add(&self->exposed)) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

PyObject *core_actor_hide(actor_object *self, PyObject *unused)
{
    (void)unused;
    core_threads_remove(&self->exposed, core_state_of_type(Py_TYPE(self)));
    Py_RETURN_NONE;
}

const char core_actor_throw_at_threads_doc[] =
    PyDoc_STR("throw_at_threads()\n--\n\n"
              "Raise ProcessExit in the exposed threads of the actor, but for the calling one.\n"
              "Each gets one. Returns how many there were.");

PyObject *core_actor_throw_at_threads(actor_object *self, PyObject *unused)
{
    (void)unused;
    core_state *state = core_state_of_type(Py_TYPE(self));
    return PyLong_FromSize_t(core_threads_throw(&self->exposed, (PyObject *)state->delivery_type));
}

// The class

static PyType_Slot delivery_slots[] = {
    {Py_tp_doc, "Raises the exception that was thrown at the actor; no instance of it exists."},
    {Py_tp_new, delivery_new},
    {0, NULL},
};

PyType_Spec core_delivery_spec = {
    .name = "forkless._core.Delivery",
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = delivery_slots,
};
