// SPDX-License-Identifier: Apache-2.0
//
// forkless._core.Actor: a simulated process. The library owns the thread and its exit record; this
// file gives the thread a Python state. What others throw at it is in throw.c.

#include "actor.h"

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#else
#include <stddef.h>
#endif

// What a new thread needs; owned by it.
typedef struct {
    actor_object *self; // strong
    PyObject *target;   // strong
    core_state *state;  // of the module that `self` keeps alive
} boot_record;

PyObject *core_current(core_state *state)
{
    fkl_actor *handle = fkl_self();
    if (handle == NULL || fkl_actor_runtime(handle) != state->runtime) {
        return NULL;
    }
    return (PyObject *)((core_seat *)fkl_actor_data(handle))->object;
}

int core_pid(core_state *state)
{
    actor_object *actor = (actor_object *)core_current(state);
    return actor == NULL ? 0 : actor->pid;
}

// Life

static PyObject *actor_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    actor_object *self = (actor_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->pid = core_next_pid();
        self->seat.object = self;
        core_bell_init(&self->own_bell);
        core_bell_init(&self->stop_bell);
    }
    return (PyObject *)self;
}

static int actor_traverse(actor_object *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->thrown);
    Py_VISIT(self->dict);
    return 0;
}

static int actor_clear(actor_object *self)
{
    Py_CLEAR(self->thrown);
    Py_CLEAR(self->dict);
    return 0;
}

static void actor_dealloc(actor_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    actor_clear(self);
    core_threads_fini(&self->exposed);
    core_bell_fini(&self->own_bell);
    core_bell_fini(&self->stop_bell);
    core_actor_forget_process(self);
    fkl_actor_release(handle_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

// The actor's thread.
static void run_actor(fkl_actor *handle, void *arg)
{
    boot_record *boot = arg;
    actor_object *self = boot->self;
    // Made here, because a thread state remembers the thread that it is made in.
    PyThreadState *tstate = PyThreadState_New(boot->state->interp);
    if (tstate == NULL) {
        atomic_fetch_sub_explicit(&boot->state->booting, 1, memory_order_release);
        fkl_actor_exit_now(handle, 1); // no memory; `boot` and what it holds are lost with it
        return;
    }
    note_handle(self, handle);
    core_await_gil(boot->state);
    PyEval_AcquireThread(tstate);
    core_gil_taken(boot->state);
    core_frames_give(&boot->state->frames, tstate);
    atomic_fetch_sub_explicit(&boot->state->booting, 1, memory_order_release);
    PyObject *result = PyObject_CallOneArg(boot->target, (PyObject *)self);
    if (result == NULL) {
        PyErr_WriteUnraisable(boot->target);
        if (fkl_actor_set_exit(handle, 1, NULL, 0) != FKL_OK) {
            fkl_actor_exit_now(handle, 1);
        }
    }
    Py_XDECREF(result);
    core_state *state = boot->state;
    core_actor_gone(state, self);
    Py_DECREF(boot->target);
    PyMem_RawFree(boot);
    // No Python code runs below this, as a rule; where some does it gets a chunk anew. Objects must
    // be dropped before the thread state is cleared.
    core_frames_take(&state->frames, tstate);
    core_gil_released(state); // in a moment
    Py_DECREF(self);
    PyThreadState_Clear(tstate);
    PyThreadState_DeleteCurrent();
}

// The interpreter must not end while a thread is about to attach to it. Threads that boot are
// counted, and the interpreter's exit functions wait for them (core_wait_for_boots). After that
// only its main thread starts any, which waits for each.

// Returns false with an exception set when it is too late to start a thread.
static bool begin_boot(core_state *state)
{
    // Sequentially consistent, as is its counterpart in core_wait_for_boots(): either this sees
    // `closing`, or that sees this boot.
    atomic_fetch_add(&state->booting, 1);
    if (!atomic_load(&state->closing) || core_current(state) == NULL) {
        return true;
    }
    atomic_fetch_sub(&state->booting, 1);
    PyErr_SetString(PyExc_RuntimeError, "cannot start a simulated process while Python exits");
    return false;
}

void core_wait_for_boots(core_state *state)
{
    atomic_store(&state->closing, true);
    while (atomic_load(&state->booting) > 0) { // as long as it takes a thread to start
        Py_BEGIN_ALLOW_THREADS(void)
        !fkl_sleep_until(fkl_after_ns(1000000));
        Py_END_ALLOW_THREADS
    }
}

PyDoc_STRVAR(start_doc,
             "start(target, name=None, stack_size=0, thread=None)\n--\n\n"
             "Run target(actor) in a new thread, or in one of start_thread(). Raises OSError "
             "(EAGAIN) when the system\n"
             "cannot start one, MemoryError, and RuntimeError at the second call and in an\n"
             "actor while the interpreter exits.");

static PyObject *actor_start(actor_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"target", "name", "stack_size", "thread", NULL};
    core_state *state = core_state_of_type(Py_TYPE(self));
    PyObject *target;
    const char *name = NULL;
    Py_ssize_t stack_size = 0;
    PyObject *thread = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|znO:start", names, &target, &name,
                                     &stack_size, &thread)) {
        return NULL;
    }
    if (atomic_exchange_explicit(&self->starting, true, memory_order_relaxed)) {
        PyErr_SetString(PyExc_RuntimeError, "an actor can only be started once");
        return NULL;
    }
    if (!begin_boot(state)) {
        atomic_store_explicit(&self->starting, false, memory_order_relaxed);
        return NULL;
    }
    boot_record *boot = PyMem_RawMalloc(sizeof *boot);
    if (boot == NULL) {
        atomic_fetch_sub(&state->booting, 1);
        atomic_store_explicit(&self->starting, false, memory_order_relaxed);
        return PyErr_NoMemory();
    }
    boot->self = (actor_object *)Py_NewRef(self);
    boot->target = Py_NewRef(target);
    boot->state = state;
    core_gil_taken(state); // by the caller, whatever it did in between
    fkl_spawn_options options = {
        .name = name,
        .stack_size = stack_size > 0 ? (size_t)stack_size : 0,
        .data = &self->seat,
    };
    fkl_ahead *ahead = core_ahead_of(thread);
    fkl_actor *handle;
    fkl_err err = ahead ? fkl_ahead_spawn(ahead, &options, run_actor, boot, &handle)
                        : fkl_spawn(state->runtime, &options, run_actor, boot, &handle);
    if (err != FKL_OK) {
        atomic_fetch_sub(&state->booting, 1);
        atomic_store_explicit(&self->starting, false, memory_order_relaxed);
        Py_DECREF(boot->target);
        Py_DECREF(boot->self);
        PyMem_RawFree(boot);
        return core_raise(state, err, "cannot start a simulated process");
    }
    core_ahead_given(thread);
    note_handle(self, handle); // whose reference is the object's from now on
    if (atomic_load_explicit(&state->closing, memory_order_relaxed)) {
        core_wait_for_boots(state);
    }
    Py_RETURN_NONE;
}

// Waiting

typedef struct {
    fkl_actor *handle;
    fkl_time deadline;
    bool thread; // wait for the end of the thread, not only for the exit record
    fkl_exit record;
} join_request;

static fkl_err do_join(void *ctx)
{
    join_request *join = ctx;
    return join->thread ? fkl_actor_join_thread_until(join->handle, join->deadline)
                        : fkl_actor_join_until(join->handle, join->deadline, &join->record);
}

static int check_started(actor_object *self)
{
    if (handle_of(self) == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the actor has not been started");
        return -1;
    }
    return 0;
}

static PyObject *exit_code(actor_object *self)
{
    fkl_exit record;
    if (handle_of(self) == NULL || fkl_actor_try_exit(handle_of(self), &record) != FKL_OK) {
        Py_RETURN_NONE;
    }
    return PyLong_FromLong(record.code);
}

PyDoc_STRVAR(join_doc,
             "join(timeout=None, thread=False)\n--\n\n"
             "Wait for the exit (or, with thread=True, for the end of the thread too) up to\n"
             "timeout seconds. Returns the exit code, or None after the timeout.");

static PyObject *actor_join(actor_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout", "thread", NULL};
    core_state *state = core_state_of_type(Py_TYPE(self));
    PyObject *timeout = Py_None;
    int thread = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|Op:join", names, &timeout, &thread) ||
        check_started(self) < 0) {
        return NULL;
    }
    join_request join = {.handle = handle_of(self), .thread = thread};
    if (core_deadline(timeout, &join.deadline) < 0) {
        return NULL;
    }
    if (thread || fkl_actor_try_exit(handle_of(self), &join.record) != FKL_OK) {
        fkl_err err = core_blocking(state, do_join, &join);
        if (err == FKL_ETIMEDOUT) {
            Py_RETURN_NONE;
        }
        if (err != FKL_OK) {
            return err == FKL_EINTR ? NULL : core_raise(state, err, "cannot join");
        }
    }
    return exit_code(self);
}

static PyObject *actor_poll(actor_object *self, PyObject *unused)
{
    (void)unused;
    return exit_code(self);
}

static PyObject *actor_sentinel(actor_object *self, PyObject *unused)
{
    (void)unused;
    int fd;
    if (check_started(self) < 0) {
        return NULL;
    }
    fkl_err err = fkl_actor_sentinel(handle_of(self), &fd);
    if (err != FKL_OK) {
        return core_raise(core_state_of_type(Py_TYPE(self)), err, "cannot make a sentinel");
    }
    return PyLong_FromLong(fd);
}

// Ending

static int code_argument(PyObject *arg, int *code)
{
    long number = PyLong_AsLong(arg);
    if (number == -1 && PyErr_Occurred()) {
        return -1;
    }
    *code = (int)number;
    return 0;
}

static PyObject *actor_kill(actor_object *self, PyObject *arg)
{
    int code;
    if (check_started(self) < 0 || code_argument(arg, &code) < 0) {
        return NULL;
    }
    bool published = fkl_actor_kill(handle_of(self), code);
    core_actor_ring(self);
    return PyBool_FromLong(published);
}

static PyObject *actor_exit_now(actor_object *self, PyObject *arg)
{
    int code;
    if (check_started(self) < 0 || code_argument(arg, &code) < 0) {
        return NULL;
    }
    bool published = fkl_actor_exit_now(handle_of(self), code);
    fkl_actor_stop(handle_of(self)); // what still unwinds must not wait for anybody
    core_actor_ring(self);
    return PyBool_FromLong(published);
}

static PyObject *actor_stop(actor_object *self, PyObject *unused)
{
    (void)unused;
    if (check_started(self) < 0) {
        return NULL;
    }
    fkl_actor_stop(handle_of(self));
    core_actor_ring(self);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_exit_doc,
             "set_exit(code, error=None)\n--\n\n"
             "What the exit record will say: an int, and a dict of plain data about the\n"
             "exception (keys type, message, trace …) or None.");

static PyObject *actor_set_exit(actor_object *self, PyObject *args)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    int code;
    PyObject *error = Py_None;
    if (!PyArg_ParseTuple(args, "i|O:set_exit", &code, &error) || check_started(self) < 0) {
        return NULL;
    }
    PyObject *packed = error == Py_None ? NULL : core_pack(state, error);
    if (packed == NULL && error != Py_None) {
        return NULL;
    }
    fkl_err err =
        fkl_actor_set_exit(handle_of(self), code, packed ? PyBytes_AS_STRING(packed) : NULL,
                           packed ? (size_t)PyBytes_GET_SIZE(packed) : 0);
    Py_XDECREF(packed);
    if (err != FKL_OK) {
        return core_raise(state, err, "cannot record the exit");
    }
    Py_RETURN_NONE;
}

static PyObject *actor_exit_error(actor_object *self, PyObject *unused)
{
    (void)unused;
    fkl_exit record;
    if (handle_of(self) == NULL || fkl_actor_try_exit(handle_of(self), &record) != FKL_OK ||
        record.error == NULL) {
        Py_RETURN_NONE;
    }
    return core_unpack(core_state_of_type(Py_TYPE(self)), record.error, record.error_len);
}

PyDoc_STRVAR(run_doc,
             "run(function, *args)\n--\n\n"
             "Call function(*args) in this thread on behalf of the actor: current() is it.");

static PyObject *actor_run(actor_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "run() needs a function");
        return NULL;
    }
    if (check_started(self) < 0) {
        return NULL;
    }
    fkl_actor *previous;
    fkl_err err = fkl_actor_enter(handle_of(self), &previous);
    if (err != FKL_OK) {
        return core_raise(core_state_of_type(Py_TYPE(self)), err, "cannot enter an actor");
    }
    Py_INCREF(self); // current() borrows
    PyObject *result = PyObject_Vectorcall(args[0], args + 1, (size_t)(nargs - 1), NULL);
    fkl_actor_leave(previous);
    Py_DECREF(self);
    return result;
}

// Type

static PyObject *actor_pid(actor_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(self->pid);
}

static PyObject *actor_thread_ident(actor_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(ident_of(self));
}

static PyObject *actor_stopping(actor_object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(handle_of(self) != NULL && fkl_actor_stop_requested(handle_of(self)));
}

static PyMethodDef actor_methods[] = {
    {"start", (PyCFunction)(void (*)(void))actor_start, METH_VARARGS | METH_KEYWORDS, start_doc},
    {"join", (PyCFunction)(void (*)(void))actor_join, METH_VARARGS | METH_KEYWORDS, join_doc},
    {"poll", (PyCFunction)actor_poll, METH_NOARGS, "The exit code, or None while it lives."},
    {"sentinel", (PyCFunction)actor_sentinel, METH_NOARGS,
     "A file descriptor, readable once the actor has ended; the actor owns it."},
    {"kill", (PyCFunction)actor_kill, METH_O,
     "kill(code): publish the exit at once and end all waits. True if this call did it."},
    {"exit_now", (PyCFunction)actor_exit_now, METH_O,
     "exit_now(code): publish the exit at once. True if this call did it."},
    {"stop", (PyCFunction)actor_stop, METH_NOARGS,
     "stop(): end the waits of all its threads, and those to come."},
    {"set_exit", (PyCFunction)actor_set_exit, METH_VARARGS, set_exit_doc},
    {"exit_error", (PyCFunction)actor_exit_error, METH_NOARGS,
     "The dict about the exception that ended the actor, or None."},
    {"throw", (PyCFunction)core_actor_throw, METH_O, core_actor_throw_doc},
    {"throw_again", (PyCFunction)core_actor_throw_again, METH_O, core_actor_throw_again_doc},
    {"enter", (PyCFunction)core_actor_enter, METH_NOARGS, core_actor_enter_doc},
    {"leave", (PyCFunction)core_actor_leave, METH_NOARGS, core_actor_leave_doc},
    {"expose", (PyCFunction)core_actor_expose, METH_NOARGS, core_actor_expose_doc},
    {"hide", (PyCFunction)core_actor_hide, METH_NOARGS,
     "hide(): end what expose() began, and take back what is on its way."},
    {"throw_at_threads", (PyCFunction)core_actor_throw_at_threads, METH_NOARGS,
     core_actor_throw_at_threads_doc},
    {"run", (PyCFunction)(void (*)(void))actor_run, METH_FASTCALL, run_doc},
    {"start_elsewhere", (PyCFunction)core_actor_start_elsewhere, METH_VARARGS,
     core_actor_start_elsewhere_doc},
    {"settle", (PyCFunction)core_actor_settle, METH_O, core_actor_settle_doc},
    {"stand_for", (PyCFunction)core_actor_stand_for, METH_O, core_actor_stand_for_doc},
    {"announce", (PyCFunction)core_actor_announce, METH_VARARGS, core_actor_announce_doc},
    {"post", (PyCFunction)core_actor_post, METH_O, core_actor_post_doc},
    {"take_signals", (PyCFunction)core_actor_take_signals, METH_NOARGS,
     "The signals that were left for it, as bits; they are taken."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef actor_getset[] = {
    {"pid", (getter)actor_pid, NULL, "The simulated process id.", NULL},
    {"thread_ident", (getter)actor_thread_ident, NULL,
     "threading.get_ident() of the actor's own thread; 0 when it does not run.", NULL},
    {"stopping", (getter)actor_stopping, NULL, "Whether it was killed or asked to stop.", NULL},
    {"caught", (getter)core_actor_caught, (setter)core_actor_set_caught,
     "Signals that do not simply end it, as bits; for other interpreters.", NULL},
    {"group", (getter)core_actor_group, (setter)core_actor_set_group,
     "Its process group, for other interpreters.", NULL},
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef actor_members[] = {
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(actor_object, dict), Py_READONLY, NULL},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(actor_object, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot actor_slots[] = {
    {Py_tp_doc, "A simulated process: a thread with a pid, a life cycle and an exit code."},
    {Py_tp_new, actor_new},
    {Py_tp_dealloc, actor_dealloc},
    {Py_tp_traverse, actor_traverse},
    {Py_tp_clear, actor_clear},
    {Py_tp_methods, actor_methods},
    {Py_tp_members, actor_members},
    {Py_tp_getset, actor_getset},
    {0, NULL},
};

static PyType_Spec actor_spec = {
    .name = "forkless._core.Actor",
    .basicsize = sizeof(actor_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .slots = actor_slots,
};

int core_actor_init(PyObject *module, core_state *state)
{
    state->actor_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &actor_spec, NULL);
    if (state->actor_type == NULL || PyModule_AddType(module, state->actor_type) < 0) {
        return -1;
    }
    state->delivery_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &core_delivery_spec, PyExc_BaseException);
    return state->delivery_type == NULL ? -1 : 0;
}
