// SPDX-License-Identifier: Apache-2.0
//
// forkless._core.Actor: a simulated process. The library owns the thread and its exit record; this
// file gives the thread a Python state, and delivers exceptions that other actors throw at it.

#include "state.h"

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#else
#include <stddef.h>
#endif

// Simulated pids lie above what kernels give to real processes (Linux: at most 2^22), so that one
// that slips through to the kernel hits nobody. They are not reused.
#define FIRST_PID (1 << 23)

typedef struct {
    PyObject_HEAD
    // NULL until started. Set once, by whoever of start() and the new thread comes first.
    _Atomic(fkl_actor *) handle;
    int pid;
    atomic_bool starting; // start() was called and has not failed
    core_mutex lock;      // guards what follows, and that an asynchronous exception is set for it
    // 0 before the thread calls enter() and after leave(). Written under the lock; atomic because it
    // is also read without.
    atomic_ulong thread_ident;
    PyObject *thrown; // exception to raise in the actor's own thread, or NULL
    bool exiting;     // a wait has raised ProcessExit in it; one is enough
    core_threads exposed; // further threads that act for the actor
    core_bell own_bell;   // rings for the own thread: something was thrown, or it shall stop
    core_bell stop_bell;  // rings for its further threads, once and for ever: it shall stop
    PyObject *dict;
    PyObject *weakrefs;
} actor_object;

// Acquire: pairs with the release in note_handle().
static fkl_actor *handle_of(actor_object *self)
{
    return atomic_load_explicit(&self->handle, memory_order_acquire);
}

static void note_handle(actor_object *self, fkl_actor *handle)
{
    atomic_store_explicit(&self->handle, handle, memory_order_release);
}

// Relaxed: a thread compares with its own ident, which it stored itself, or only looks.
static unsigned long ident_of(actor_object *self)
{
    return atomic_load_explicit(&self->thread_ident, memory_order_relaxed);
}

// What a new thread needs; owned by it.
typedef struct {
    actor_object *self; // strong
    PyObject *target;   // strong
    core_state *state;  // of the module that `self` keeps alive
} boot_record;

static bool is_own_thread(actor_object *self)
{
    return ident_of(self) == PyThread_get_thread_ident();
}

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
    PyObject *thrown = self == NULL || !is_own_thread(self) ? NULL : take_thrown(state, self);
    if (thrown != NULL) {
        return thrown;
    }
    if (self != NULL) {
        core_threads_remove(&self->exposed, state); // a further thread of the actor: this is the one ProcessExit that it gets
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
static void ring_for_all(actor_object *self)
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

PyObject *core_current(core_state *state)
{
    fkl_actor *handle = fkl_self();
    if (handle == NULL || fkl_actor_runtime(handle) != state->runtime) {
        return NULL;
    }
    return fkl_actor_data(handle);
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
    core_state *state = core_state_of_type(type);
    actor_object *self = (actor_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        // Relaxed: only that no two are the same matters.
        self->pid = atomic_fetch_add_explicit(&state->next_pid, 1, memory_order_relaxed);
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
    fkl_actor_release(handle_of(self));
    type->tp_free(self);
    Py_DECREF(type);
}

static void leave(core_state *state, actor_object *self)
{
    core_lock(&self->lock);
    PyObject *thrown = self->thrown;
    self->thrown = NULL;
    atomic_store_explicit(&self->thread_ident, 0, memory_order_relaxed); // nothing is set after this
    core_bell_fini(&self->own_bell);
    if (thrown != NULL) {
        core_take_back_async(state);
    }
    core_unlock(&self->lock);
    Py_XDECREF(thrown);
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
    PyEval_AcquireThread(tstate);
    atomic_fetch_sub_explicit(&boot->state->booting, 1, memory_order_release);
    PyObject *result = PyObject_CallOneArg(boot->target, (PyObject *)self);
    if (result == NULL) {
        PyErr_WriteUnraisable(boot->target);
        if (fkl_actor_set_exit(handle, 1, NULL, 0) != FKL_OK) {
            fkl_actor_exit_now(handle, 1);
        }
    }
    Py_XDECREF(result);
    leave(boot->state, self);
    Py_DECREF(boot->target);
    Py_DECREF(self);
    PyMem_RawFree(boot);
    PyThreadState_Clear(tstate);
    PyThreadState_DeleteCurrent();
}

// The interpreter must not end while a thread is about to attach to it. Threads that boot are
// counted, and the interpreter's exit functions wait for them (core_wait_for_boots). After that only
// its main thread starts any, which waits for each.

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
        Py_BEGIN_ALLOW_THREADS
        (void)!fkl_sleep_until(fkl_after_ns(1000000));
        Py_END_ALLOW_THREADS
    }
}

PyDoc_STRVAR(start_doc,
             "start(target, name=None, stack_size=0)\n--\n\n"
             "Run target(actor) in a new thread. Raises OSError (EAGAIN) when the system\n"
             "cannot start one, MemoryError, and RuntimeError at the second call and in an\n"
             "actor while the interpreter exits.");

static PyObject *actor_start(actor_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"target", "name", "stack_size", NULL};
    core_state *state = core_state_of_type(Py_TYPE(self));
    PyObject *target;
    const char *name = NULL;
    Py_ssize_t stack_size = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|zn:start", names, &target, &name,
                                     &stack_size)) {
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
    fkl_spawn_options options = {
        .name = name, .stack_size = stack_size > 0 ? (size_t)stack_size : 0, .data = self};
    fkl_actor *handle;
    fkl_err err = fkl_spawn(state->runtime, &options, run_actor, boot, &handle);
    if (err != FKL_OK) {
        atomic_fetch_sub(&state->booting, 1);
        atomic_store_explicit(&self->starting, false, memory_order_relaxed);
        Py_DECREF(boot->target);
        Py_DECREF(boot->self);
        PyMem_RawFree(boot);
        return core_raise(state, err, "cannot start a simulated process");
    }
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
    ring_for_all(self);
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
    ring_for_all(self);
    return PyBool_FromLong(published);
}

static PyObject *actor_stop(actor_object *self, PyObject *unused)
{
    (void)unused;
    if (check_started(self) < 0) {
        return NULL;
    }
    fkl_actor_stop(handle_of(self));
    ring_for_all(self);
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
    fkl_err err = fkl_actor_set_exit(handle_of(self), code, packed ? PyBytes_AS_STRING(packed) : NULL,
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

PyDoc_STRVAR(throw_doc,
             "throw(exception)\n--\n\n"
             "Raise the exception object in the actor's own thread: at once in a wait of\n"
             "forkless, else at the next bytecode. A ProcessExit replaces an exception that\n"
             "was thrown and not yet raised, and is not thrown once a wait has raised one\n"
             "because the actor has ended; any other leaves it in place.");

static PyObject *actor_throw(actor_object *self, PyObject *exception)
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

PyDoc_STRVAR(throw_again_doc,
             "throw_again(exception)\n--\n\n"
             "Raise, at the next bytecode of the calling thread, an exception that was thrown\n"
             "at it and got lost: where it was raised nobody could catch it. A thread that\n"
             "acts for the actor and is not its own gets a ProcessExit.");

static PyObject *actor_throw_again(actor_object *self, PyObject *exception)
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
    return actor_throw(self, exception);
}

PyDoc_STRVAR(enter_doc,
             "enter()\n--\n\n"
             "Called by the target when it is ready for exceptions that others throw; raises\n"
             "at once what was thrown before.");

static PyObject *actor_enter(actor_object *self, PyObject *unused)
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

PyDoc_STRVAR(leave_doc, "leave()\n--\n\n"
                        "Called by the target when it is no longer ready for them.");

static PyObject *actor_leave(actor_object *self, PyObject *unused)
{
    (void)unused;
    leave(core_state_of_type(Py_TYPE(self)), self);
    Py_RETURN_NONE;
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

// Further threads

PyDoc_STRVAR(expose_doc, "expose()\n--\n\n"
                         "Let throw_at_threads() reach the calling thread, which acts for the\n"
                         "actor and is not its own. To be followed by hide() in the same thread.");

static PyObject *actor_expose(actor_object *self, PyObject *unused)
{
    (void)unused;
    if (!core_threads_add(&self->exposed)) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *actor_hide(actor_object *self, PyObject *unused)
{
    (void)unused;
    core_threads_remove(&self->exposed, core_state_of_type(Py_TYPE(self)));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(throw_at_threads_doc,
             "throw_at_threads()\n--\n\n"
             "Raise ProcessExit in the exposed threads of the actor, but for the calling one.\n"
             "Each gets one. Returns how many there were.");

static PyObject *actor_throw_at_threads(actor_object *self, PyObject *unused)
{
    (void)unused;
    core_state *state = core_state_of_type(Py_TYPE(self));
    return PyLong_FromSize_t(
        core_threads_throw(&self->exposed, (PyObject *)state->delivery_type));
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
    {"throw", (PyCFunction)actor_throw, METH_O, throw_doc},
    {"throw_again", (PyCFunction)actor_throw_again, METH_O, throw_again_doc},
    {"enter", (PyCFunction)actor_enter, METH_NOARGS, enter_doc},
    {"leave", (PyCFunction)actor_leave, METH_NOARGS, leave_doc},
    {"expose", (PyCFunction)actor_expose, METH_NOARGS, expose_doc},
    {"hide", (PyCFunction)actor_hide, METH_NOARGS,
     "hide(): end what expose() began, and take back what is on its way."},
    {"throw_at_threads", (PyCFunction)actor_throw_at_threads, METH_NOARGS, throw_at_threads_doc},
    {"run", (PyCFunction)(void (*)(void))actor_run, METH_FASTCALL, run_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef actor_getset[] = {
    {"pid", (getter)actor_pid, NULL, "The simulated process id.", NULL},
    {"thread_ident", (getter)actor_thread_ident, NULL,
     "threading.get_ident() of the actor's own thread; 0 when it does not run.", NULL},
    {"stopping", (getter)actor_stopping, NULL, "Whether it was killed or asked to stop.", NULL},
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

static PyType_Slot delivery_slots[] = {
    {Py_tp_doc, "Raises the exception that was thrown at the actor; no instance of it exists."},
    {Py_tp_new, delivery_new},
    {0, NULL},
};

static PyType_Spec delivery_spec = {
    .name = "forkless._core.Delivery",
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = delivery_slots,
};

int core_actor_init(PyObject *module, core_state *state)
{
    atomic_init(&state->next_pid, FIRST_PID);
    state->actor_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &actor_spec, NULL);
    if (state->actor_type == NULL || PyModule_AddType(module, state->actor_type) < 0) {
        return -1;
    }
    state->delivery_type =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &delivery_spec, PyExc_BaseException);
    return state->delivery_type == NULL ? -1 : 0;
}
