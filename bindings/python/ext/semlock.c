// SPDX-License-Identifier: Apache-2.0
//
// forkless._core.SemLock: the type that multiprocessing.synchronize is built on, with the interface
// of _multiprocessing.SemLock. All actors share one object, so there is no name, no handle to
// inherit and no resource tracker. Uncontended operations neither enter the kernel nor release the
// GIL.

#include "state.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { RECURSIVE_MUTEX = 0, SEMAPHORE = 1 };

struct core_semaphore {
    atomic_uint refs; // objects and messages, of any interpreter
    fkl_sem *sem;
    int kind;
    int max_value;
    // The thread that acquired last, and how often it is acquired in all. Written by the thread
    // that holds the lock; for semaphores with several holders they mean what they mean in the
    // standard library: the last one. Atomic because _count() and _is_mine() read them from other
    // threads.
    atomic_ulong owner;
    atomic_int count;
    atomic_int process; // of the owner: its pid, or 0 for the real process
};

typedef struct {
    PyObject_HEAD
    core_semaphore *lock;
} semlock_object;

static fkl_err create(int kind, int value, int max_value, core_semaphore **out)
{
    core_semaphore *lock = calloc(1, sizeof *lock);
    if (lock == NULL) {
        return FKL_ENOMEM;
    }
    atomic_init(&lock->refs, 1);
    lock->kind = kind;
    lock->max_value = max_value;
    fkl_err err = fkl_sem_create(NULL, value, max_value, &lock->sem);
    if (err != FKL_OK) {
        free(lock);
        return err;
    }
    *out = lock;
    return FKL_OK;
}

core_semaphore *core_semaphore_of(core_state *state, PyObject *object)
{
    if (!PyObject_TypeCheck(object, state->semlock_type)) {
        return NULL;
    }
    core_semaphore *lock = ((semlock_object *)object)->lock;
    atomic_fetch_add_explicit(&lock->refs, 1, memory_order_relaxed); // the object has one
    return lock;
}

void core_semaphore_release(core_semaphore *lock)
{
    // acq_rel: what the others did with it comes before its end.
    if (atomic_fetch_sub_explicit(&lock->refs, 1, memory_order_acq_rel) == 1) {
        fkl_sem_release(lock->sem);
        free(lock);
    }
}

PyObject *core_semaphore_wrap(core_state *state, core_semaphore *lock)
{
    semlock_object *self = (semlock_object *)state->semlock_type->tp_alloc(state->semlock_type, 0);
    if (self != NULL) {
        atomic_fetch_add_explicit(&lock->refs, 1, memory_order_relaxed); // the caller has one
        self->lock = lock;
    }
    return (PyObject *)self;
}

static PyObject *semlock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"kind", "value", "maxvalue", "name", "unlink", NULL};
    int kind, value, max_value, unlink = 1;
    PyObject *name = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iii|Op:SemLock", names, &kind, &value,
                                     &max_value, &name, &unlink)) {
        return NULL;
    }
    if (kind != RECURSIVE_MUTEX && kind != SEMAPHORE) {
        PyErr_SetString(PyExc_ValueError, "unrecognized kind");
        return NULL;
    }
    semlock_object *self = (semlock_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    fkl_err err = create(kind, value, max_value, &self->lock);
    if (err != FKL_OK) {
        Py_DECREF(self);
        if (err == FKL_EINVAL) { // what sem_open() reports
            errno = EINVAL;
            return PyErr_SetFromErrno(PyExc_OSError);
        }
        return core_raise(core_state_of_type(type), err, "cannot make a semaphore");
    }
    return (PyObject *)self;
}

static void semlock_dealloc(semlock_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    core_note_left((PyObject *)self);
    if (self->lock != NULL) {
        core_semaphore_release(self->lock);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static bool is_mine(semlock_object *self)
{
    // Acquire: pairs with the release in note_acquired(). A count that another thread has raised
    // comes with that thread's id, and not with the one that this thread left here before.
    return atomic_load_explicit(&self->lock->count, memory_order_acquire) > 0 &&
           atomic_load_explicit(&self->lock->owner, memory_order_relaxed) == PyThread_get_thread_ident();
}

static void note_acquired(semlock_object *self)
{
    int process = core_pid(core_state_of_type(Py_TYPE(self)));
    atomic_store_explicit(&self->lock->owner, PyThread_get_thread_ident(), memory_order_relaxed);
    atomic_store_explicit(&self->lock->process, process, memory_order_relaxed);
    atomic_fetch_add_explicit(&self->lock->count, 1, memory_order_release); // see is_mine()
}

typedef struct {
    fkl_sem *sem;
    fkl_time deadline;
} acquisition;

static fkl_err do_wait(void *ctx)
{
    acquisition *a = ctx;
    return fkl_sem_wait_until(a->sem, a->deadline);
}

// 1 acquired, 0 not before the deadline, -1 with an exception set.
static int acquire(semlock_object *self, bool block, PyObject *timeout)
{
    if (self->lock->kind == RECURSIVE_MUTEX && is_mine(self)) {
        atomic_fetch_add_explicit(&self->lock->count, 1, memory_order_relaxed);
        return 1;
    }
    fkl_err err = fkl_sem_try_wait(self->lock->sem);
    if (err == FKL_EEMPTY && block) {
        acquisition a = {.sem = self->lock->sem};
        if (core_deadline(timeout, &a.deadline) < 0) {
            return -1;
        }
        if (a.deadline != FKL_NO_WAIT) {
            err = core_blocking(core_state_of_type(Py_TYPE(self)), do_wait, &a);
        }
    }
    switch (err) {
    case FKL_OK:
        note_acquired(self);
        return 1;
    case FKL_EEMPTY:
    case FKL_ETIMEDOUT:
        return 0;
    case FKL_EINTR:
        return -1;
    default:
        core_raise(core_state_of_type(Py_TYPE(self)), err, "cannot acquire");
        return -1;
    }
}

PyDoc_STRVAR(acquire_doc, "acquire(block=True, timeout=None)\n--\n\n"
                          "Take one unit, waiting up to timeout seconds; returns whether it did.");

static PyObject *semlock_acquire(semlock_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"block", "timeout", NULL};
    int block = 1;
    PyObject *timeout = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:acquire", names, &block, &timeout)) {
        return NULL;
    }
    int acquired = acquire(self, block, timeout);
    return acquired < 0 ? NULL : PyBool_FromLong(acquired);
}

static int release(semlock_object *self)
{
    core_note_left((PyObject *)self);
    if (self->lock->kind == RECURSIVE_MUTEX) {
        if (!is_mine(self)) {
            PyErr_SetString(PyExc_AssertionError,
                            "attempt to release recursive lock not owned by thread");
            return -1;
        }
        if (atomic_load_explicit(&self->lock->count, memory_order_relaxed) > 1) {
            atomic_fetch_sub_explicit(&self->lock->count, 1, memory_order_relaxed);
            return 0;
        }
    }
    // Before the post: afterwards the next holder counts itself.
    atomic_fetch_sub_explicit(&self->lock->count, 1, memory_order_relaxed);
    fkl_err err = fkl_sem_post(self->lock->sem);
    if (err == FKL_OK) {
        return 0;
    }
    atomic_fetch_add_explicit(&self->lock->count, 1, memory_order_relaxed);
    PyErr_SetString(PyExc_ValueError, "semaphore or lock released too many times");
    return -1;
}

static PyObject *semlock_release(semlock_object *self, PyObject *unused)
{
    (void)unused;
    if (release(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

// The wait of a condition variable. In one call, because nothing may be raised between its steps:
// an actor that is ended here must leave the lock as whoever unwinds it expects, that is, acquired.

static fkl_err do_wait_for_certain(fkl_sem *sem)
{
    fkl_actor *actor = fkl_self();
    fkl_actor *previous;
    if (actor == NULL) {
        return fkl_sem_wait_until(sem, FKL_FOREVER);
    }
    fkl_actor_leave(NULL); // the actor object of this thread keeps the handle
    fkl_err err = fkl_sem_wait_until(sem, FKL_FOREVER);
    (void)!fkl_actor_enter(actor, &previous);
    return err;
}

int core_wait_for_certain(fkl_sem *sem)
{
    fkl_err err = fkl_sem_try_wait(sem);
    while (err != FKL_OK) {
        Py_BEGIN_ALLOW_THREADS
        err = do_wait_for_certain(sem);
        Py_END_ALLOW_THREADS
        if (err != FKL_OK && PyErr_CheckSignals() < 0) { // in the real process's main thread
            return -1;
        }
    }
    return 0;
}

static int acquire_for_certain(semlock_object *self)
{
    if (core_wait_for_certain(self->lock->sem) < 0) {
        return -1;
    }
    note_acquired(self);
    return 0;
}

PyDoc_STRVAR(wait_in_condition_doc,
             "_wait_in_condition(sleeping, waiting, woken, timeout)\n--\n\n"
             "Condition.wait() on this lock, with the other semaphores of the condition.");

static PyObject *semlock_wait_in_condition(semlock_object *self, PyObject *args)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    semlock_object *sleeping, *waiting, *woken;
    PyObject *timeout;
    PyTypeObject *type = state->semlock_type;
    if (!PyArg_ParseTuple(args, "O!O!O!O:_wait_in_condition", type, &sleeping, type, &waiting, type,
                          &woken, &timeout) ||
        release(sleeping) < 0) {
        return NULL;
    }
    int depth = atomic_load_explicit(&self->lock->count, memory_order_relaxed);
    for (int i = 0; i < depth; i++) {
        if (release(self) < 0) {
            return NULL;
        }
    }
    int acquired = acquire(waiting, true, timeout);
    PyObject *raised = PyErr_GetRaisedException();
    int failed = release(woken) < 0 || (depth > 0 && acquire_for_certain(self) < 0);
    for (int i = 1; i < depth && !failed; i++) {
        failed = acquire(self, false, Py_None) < 0; // one more time by the owner: never waits
    }
    if (raised != NULL && !failed) {
        PyErr_SetRaisedException(raised);
    } else {
        Py_XDECREF(raised);
    }
    return failed || acquired < 0 ? NULL : PyBool_FromLong(acquired);
}

// Takes a unit from each side. Never blocks.
static int cancel_one(semlock_object *one, semlock_object *other)
{
    return fkl_sem_try_wait(one->lock->sem) == FKL_OK && fkl_sem_try_wait(other->lock->sem) == FKL_OK;
}

PyDoc_STRVAR(notify_doc,
             "_notify(sleeping, waiting, woken, n)\n--\n\n"
             "Condition.notify() on this lock, with the other semaphores of the condition. In one\n"
             "call, so that an actor that is ended here leaves them as others expect.");

static PyObject *semlock_notify(semlock_object *self, PyObject *args)
{
    semlock_object *sleeping, *waiting, *woken;
    long most;
    PyTypeObject *type = Py_TYPE(self);
    if (!PyArg_ParseTuple(args, "O!O!O!l:_notify", type, &sleeping, type, &waiting, type, &woken,
                          &most)) {
        return NULL;
    }
    while (cancel_one(woken, sleeping)) { // those whose waits have timed out
    }
    long count = 0;
    while (count < most && fkl_sem_try_wait(sleeping->lock->sem) == FKL_OK) {
        (void)!fkl_sem_post(waiting->lock->sem); // fails for 2^31 waiters
        count++;
    }
    for (long i = 0; i < count; i++) { // they have nothing to wait for
        if (core_wait_for_certain(woken->lock->sem) < 0) {
            return NULL;
        }
    }
    while (count > 0 && fkl_sem_try_wait(waiting->lock->sem) == FKL_OK) { // not taken, by a timeout
    }
    Py_RETURN_NONE;
}

// The methods of `with` for the classes that have a SemLock in `_semlock`, or such an object in
// `_lock`. In C, because an exception that is thrown at an actor may be raised wherever Python code
// runs: between the lock and the block that gives it back there must be none.

static PyObject *lock_of(PyObject *object)
{
    PyObject *lock = PyObject_GetAttrString(object, "_lock");
    if (lock == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        return PyObject_GetAttrString(object, "_semlock");
    }
    if (lock != NULL && PyObject_HasAttrString(lock, "_semlock")) {
        Py_SETREF(lock, PyObject_GetAttrString(lock, "_semlock"));
    }
    return lock;
}

static PyObject *with_enter(PyObject *module, PyObject *object)
{
    PyObject *lock = lock_of(object);
    PyObject *result = lock == NULL ? NULL : PyObject_CallMethod(lock, "acquire", NULL);
    if (result != NULL && Py_TYPE(lock) == core_state_of(module)->semlock_type) {
        core_note_entered(lock);
    }
    Py_XDECREF(lock);
    return result;
}

static PyObject *with_exit(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    (void)module;
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "__exit__() needs an object");
        return NULL;
    }
    PyObject *lock = lock_of(args[0]);
    PyObject *result = lock == NULL ? NULL : PyObject_CallMethod(lock, "release", NULL);
    Py_XDECREF(lock);
    return result;
}

static PyMethodDef with_methods[] = {
    {"__enter__", with_enter, METH_O, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))with_exit, METH_FASTCALL, NULL},
};

static int add_with_methods(PyObject *module)
{
    static const char *const names[] = {"with_enter", "with_exit"};
    for (size_t i = 0; i < 2; i++) {
        PyObject *function = PyCFunction_New(&with_methods[i], module);
        PyObject *method = function == NULL ? NULL : PyInstanceMethod_New(function);
        Py_XDECREF(function);
        int added = method == NULL ? -1 : PyModule_AddObjectRef(module, names[i], method);
        Py_XDECREF(method);
        if (added < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *semlock_enter(semlock_object *self, PyObject *unused)
{
    (void)unused;
    int acquired = acquire(self, true, Py_None);
    if (acquired > 0) {
        core_note_entered((PyObject *)self);
    }
    return acquired < 0 ? NULL : PyBool_FromLong(acquired);
}

static PyObject *semlock_exit(semlock_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    return semlock_release(self, NULL);
}

static PyObject *semlock_count(semlock_object *self, PyObject *unused)
{
    (void)unused;
    int count = atomic_load_explicit(&self->lock->count, memory_order_acquire); // see is_mine()
    int process = atomic_load_explicit(&self->lock->process, memory_order_relaxed);
    return PyLong_FromLong(process == core_pid(core_state_of_type(Py_TYPE(self))) ? count : 0);
}

static PyObject *semlock_is_mine(semlock_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_mine(self));
}

static PyObject *semlock_get_value(semlock_object *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLongLong(fkl_sem_value(self->lock->sem));
}

static PyObject *semlock_is_zero(semlock_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(fkl_sem_value(self->lock->sem) == 0);
}

// Actors share the object, so there is nothing to reset in a new one.
static PyObject *semlock_after_fork(semlock_object *self, PyObject *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_NONE;
}

static PyObject *semlock_handle(semlock_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(self->lock->sem);
}

static PyObject *semlock_kind(semlock_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(self->lock->kind);
}

static PyObject *semlock_max_value(semlock_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(self->lock->max_value);
}

static PyObject *semlock_name(semlock_object *self, void *unused)
{
    (void)self;
    (void)unused;
    Py_RETURN_NONE;
}

static PyMethodDef semlock_methods[] = {
    {"acquire", (PyCFunction)(void (*)(void))semlock_acquire, METH_VARARGS | METH_KEYWORDS,
     acquire_doc},
    {"release", (PyCFunction)semlock_release, METH_NOARGS, "release()\n--\n\nGive one unit back."},
    {"_wait_in_condition", (PyCFunction)semlock_wait_in_condition, METH_VARARGS,
     wait_in_condition_doc},
    {"_notify", (PyCFunction)semlock_notify, METH_VARARGS, notify_doc},
    {"__enter__", (PyCFunction)semlock_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))semlock_exit, METH_FASTCALL, NULL},
    {"_count", (PyCFunction)semlock_count, METH_NOARGS,
     "Acquisitions by this process that are not released."},
    {"_is_mine", (PyCFunction)semlock_is_mine, METH_NOARGS, "Whether this thread acquired last."},
    {"_get_value", (PyCFunction)semlock_get_value, METH_NOARGS, "The value now."},
    {"_is_zero", (PyCFunction)semlock_is_zero, METH_NOARGS, "Whether the value is 0."},
    {"_after_fork", (PyCFunction)semlock_after_fork, METH_NOARGS, "Does nothing."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef semlock_getset[] = {
    {"handle", (getter)semlock_handle, NULL, "A number that names the semaphore.", NULL},
    {"kind", (getter)semlock_kind, NULL, "0: recursive mutex, 1: semaphore.", NULL},
    {"maxvalue", (getter)semlock_max_value, NULL, "The upper bound of the value.", NULL},
    {"name", (getter)semlock_name, NULL, "Always None: it is not a system object.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot semlock_slots[] = {
    {Py_tp_doc, "SemLock(kind, value, maxvalue, name=None, unlink=True)\n--\n\n"
                "A semaphore between actors, or a recursive mutex."},
    {Py_tp_new, semlock_new},
    {Py_tp_dealloc, semlock_dealloc},
    {Py_tp_methods, semlock_methods},
    {Py_tp_getset, semlock_getset},
    {0, NULL},
};

static PyType_Spec semlock_spec = {
    .name = "forkless._core.SemLock",
    .basicsize = sizeof(semlock_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = semlock_slots,
};

int core_semlock_init(PyObject *module, core_state *state)
{
    state->semlock_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &semlock_spec, NULL);
    if (state->semlock_type == NULL) {
        return -1;
    }
    PyObject *max = PyLong_FromLong(INT_MAX);
    int failed = max == NULL ||
                 PyObject_SetAttrString((PyObject *)state->semlock_type, "SEM_VALUE_MAX", max) < 0;
    Py_XDECREF(max);
    return failed || add_with_methods(module) < 0 ? -1
                                                  : PyModule_AddType(module, state->semlock_type);
}
