// SPDX-License-Identifier: Apache-2.0
//
// forkless._core.Lock and RLock: what threading.Lock() and threading.RLock() return in an actor,
// with the same interface. A thread that waits for one of them is woken when something is thrown at
// its actor. They exclude any threads, those of the real process too. Uncontended operations
// neither enter the kernel nor release the GIL. And Guard, for what this package does itself.

#include "state.h"

#include <stdatomic.h>

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#else
#include <stddef.h>
#endif

typedef struct {
    PyObject_HEAD
    fkl_sem *sem; // 1: free
    bool recursive;
    // Of a recursive lock: who has it, 0 for nobody, and how often. Written by the thread that has
    // it. Relaxed: a thread compares only with its own id, which it stored itself.
    atomic_ulong owner;
    unsigned long depth;
    PyObject *weakrefs;
} lock_object;

static int new_sem(PyTypeObject *type, fkl_sem **out)
{
    fkl_err err = fkl_sem_create(NULL, 1, 1, out);
    if (err != FKL_OK) {
        core_raise(core_state_of_type(type), err, "cannot make a lock");
        return -1;
    }
    return 0;
}

static PyObject *make(PyTypeObject *type, PyObject *args, PyObject *kwargs, bool recursive)
{
    if (PyTuple_GET_SIZE(args) != 0 || (kwargs != NULL && PyDict_GET_SIZE(kwargs) != 0)) {
        PyErr_Format(PyExc_TypeError, "%s() takes no arguments", recursive ? "RLock" : "Lock");
        return NULL;
    }
    lock_object *self = (lock_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->recursive = recursive;
    if (new_sem(type, &self->sem) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static PyObject *lock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return make(type, args, kwargs, false);
}

static PyObject *rlock_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    return make(type, args, kwargs, true);
}

static void lock_dealloc(lock_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    core_note_left((PyObject *)self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    if (self->sem != NULL) {
        fkl_sem_release(self->sem);
    }
    type->tp_free(self);
    Py_DECREF(type);
}

static bool is_mine(lock_object *self)
{
    return atomic_load_explicit(&self->owner, memory_order_relaxed) == PyThread_get_thread_ident();
}

static void note_acquired(lock_object *self, unsigned long depth)
{
    if (self->recursive) {
        atomic_store_explicit(&self->owner, PyThread_get_thread_ident(), memory_order_relaxed);
        self->depth = depth;
    }
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
static int acquire(lock_object *self, fkl_time deadline)
{
    if (self->recursive && is_mine(self)) {
        self->depth++;
        return 1;
    }
    fkl_err err = fkl_sem_try_wait(self->sem);
    if (err == FKL_EEMPTY && deadline != FKL_NO_WAIT) {
        acquisition a = {self->sem, deadline};
        Py_INCREF(self); // whoever else has a reference may give it up meanwhile
        err = core_blocking(core_state_of_type(Py_TYPE(self)), do_wait, &a);
        Py_DECREF(self);
    }
    switch (err) {
    case FKL_OK:
        note_acquired(self, 1);
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

static int lock_deadline(int blocking, PyObject *timeout, fkl_time *out)
{
    double seconds = timeout == NULL ? -1.0 : PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (!blocking && seconds != -1.0) {
        PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
        return -1;
    }
    if (seconds < 0.0 && seconds != -1.0) {
        PyErr_SetString(PyExc_ValueError, "timeout value must be a non-negative number");
        return -1;
    }
    if (seconds > 9223372036.0) { // threading.TIMEOUT_MAX
        PyErr_SetString(PyExc_OverflowError, "timeout value is too large");
        return -1;
    }
    if (!blocking) {
        *out = FKL_NO_WAIT;
        return 0;
    }
    return core_deadline(seconds == -1.0 ? Py_None : timeout, out);
}

PyDoc_STRVAR(acquire_doc, "acquire(blocking=True, timeout=-1)\n--\n\n"
                          "Lock it, waiting up to timeout seconds, -1 for ever; whether it did.");

static PyObject *lock_acquire(lock_object *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"blocking", "timeout", NULL};
    int blocking = 1;
    PyObject *timeout = NULL;
    fkl_time deadline;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|pO:acquire", names, &blocking, &timeout) ||
        lock_deadline(blocking, timeout, &deadline) < 0) {
        return NULL;
    }
    int acquired = acquire(self, deadline);
    return acquired < 0 ? NULL : PyBool_FromLong(acquired);
}

static int release(lock_object *self)
{
    core_note_left((PyObject *)self);
    if (self->recursive) {
        if (!is_mine(self)) {
            PyErr_SetString(PyExc_RuntimeError, "cannot release un-acquired lock");
            return -1;
        }
        if (--self->depth > 0) {
            return 0;
        }
        atomic_store_explicit(&self->owner, 0, memory_order_relaxed);
    }
    if (fkl_sem_post(self->sem) != FKL_OK) {
        PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
        return -1;
    }
    return 0;
}

static PyObject *lock_release(lock_object *self, PyObject *unused)
{
    (void)unused;
    if (release(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *lock_enter(lock_object *self, PyObject *unused)
{
    (void)unused;
    int acquired = acquire(self, FKL_FOREVER);
    if (acquired > 0) {
        core_note_entered((PyObject *)self);
    }
    return acquired < 0 ? NULL : PyBool_FromLong(acquired);
}

static PyObject *lock_exit(lock_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    (void)args;
    (void)nargs;
    return lock_release(self, NULL);
}

static PyObject *lock_locked(lock_object *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(fkl_sem_value(self->sem) == 0);
}

// In the child of a real fork: free, whoever had it.
static PyObject *lock_reinit(lock_object *self, PyObject *unused)
{
    (void)unused;
    fkl_sem *sem;
    if (new_sem(Py_TYPE(self), &sem) < 0) {
        return NULL;
    }
    fkl_sem_release(self->sem);
    self->sem = sem;
    self->depth = 0;
    atomic_store_explicit(&self->owner, 0, memory_order_relaxed);
    Py_RETURN_NONE;
}

// What threading.Condition asks of its lock. The lock is taken back for certain: whoever unwinds an
// actor that is ended in Condition.wait() gives it back.

static PyObject *lock_is_owned(lock_object *self, PyObject *unused)
{
    return self->recursive ? PyBool_FromLong(is_mine(self)) : lock_locked(self, unused);
}

static PyObject *lock_release_save(lock_object *self, PyObject *unused)
{
    (void)unused;
    unsigned long depth = self->depth;
    if (self->recursive && is_mine(self)) {
        self->depth = 1;
    }
    return release(self) < 0 ? NULL : PyLong_FromUnsignedLong(depth);
}

static PyObject *lock_acquire_restore(lock_object *self, PyObject *depth)
{
    unsigned long number = PyLong_AsUnsignedLong(depth);
    if ((number == (unsigned long)-1 && PyErr_Occurred()) || core_wait_for_certain(self->sem) < 0) {
        return NULL;
    }
    note_acquired(self, number);
    Py_RETURN_NONE;
}

static PyObject *lock_recursion_count(lock_object *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLong(is_mine(self) ? self->depth : 0);
}

static PyObject *lock_repr(lock_object *self)
{
    return PyUnicode_FromFormat("<%s %s object of forkless at %p>",
                                fkl_sem_value(self->sem) == 0 ? "locked" : "unlocked",
                                Py_TYPE(self)->tp_name, (void *)self);
}

#define LOCK_METHODS                                                                               \
    {"acquire", (PyCFunction)(void (*)(void))lock_acquire, METH_VARARGS | METH_KEYWORDS,           \
     acquire_doc},                                                                                 \
        {"release", (PyCFunction)lock_release, METH_NOARGS, "release()\n--\n\nUnlock it."},        \
        {"locked", (PyCFunction)lock_locked, METH_NOARGS, "Whether it is locked."},                \
        {"__enter__", (PyCFunction)lock_enter, METH_NOARGS, NULL},                                 \
        {"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL, NULL},                 \
        {"_at_fork_reinit", (PyCFunction)lock_reinit, METH_NOARGS, NULL},                          \
        {"_is_owned", (PyCFunction)lock_is_owned, METH_NOARGS, NULL},                              \
        {"_release_save", (PyCFunction)lock_release_save, METH_NOARGS, NULL},                      \
    {                                                                                              \
        "_acquire_restore", (PyCFunction)lock_acquire_restore, METH_O, NULL                        \
    }

static PyObject *guard_enter(lock_object *self, PyObject *unused)
{
    (void)unused;
    if (core_wait_for_certain(self->sem) < 0) {
        return NULL;
    }
    core_note_entered((PyObject *)self);
    Py_RETURN_NONE;
}

static PyMethodDef guard_methods[] = {
    {"__enter__", (PyCFunction)guard_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))lock_exit, METH_FASTCALL, NULL},
    {"release", (PyCFunction)lock_release, METH_NOARGS, "release()\n--\n\nUnlock it."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef lock_methods[] = {
    LOCK_METHODS,
    {"acquire_lock", (PyCFunction)(void (*)(void))lock_acquire, METH_VARARGS | METH_KEYWORDS,
     acquire_doc},
    {"release_lock", (PyCFunction)lock_release, METH_NOARGS, "As release()."},
    {"locked_lock", (PyCFunction)lock_locked, METH_NOARGS, "As locked()."},
    {NULL, NULL, 0, NULL},
};

static PyMethodDef rlock_methods[] = {
    LOCK_METHODS,
    {"_recursion_count", (PyCFunction)lock_recursion_count, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef lock_members[] = {
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(lock_object, weakrefs), Py_READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot lock_slots[] = {
    {Py_tp_doc, "Lock()\n--\n\nWhat threading.Lock() returns in a simulated process."},
    {Py_tp_new, lock_new},
    {Py_tp_dealloc, lock_dealloc},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, lock_methods},
    {Py_tp_members, lock_members},
    {0, NULL},
};

static PyType_Slot rlock_slots[] = {
    {Py_tp_doc, "RLock()\n--\n\nWhat threading.RLock() returns in a simulated process."},
    {Py_tp_new, rlock_new},
    {Py_tp_dealloc, lock_dealloc},
    {Py_tp_repr, lock_repr},
    {Py_tp_methods, rlock_methods},
    {Py_tp_members, lock_members},
    {0, NULL},
};

static PyType_Slot guard_slots[] = {
    {Py_tp_doc,
     "Guard()\n--\n\nA lock of this package, for `with`, around what takes no time. The end "
     "of a process does not end the wait for it, and gives it back."},
    {Py_tp_new, lock_new},
    {Py_tp_dealloc, lock_dealloc},
    {Py_tp_methods, guard_methods},
    {0, NULL},
};

static PyType_Spec guard_spec = {"forkless._core.Guard", sizeof(lock_object), 0, Py_TPFLAGS_DEFAULT,
                                 guard_slots};

// Under the names of those that they stand for, which messages show.
static PyType_Spec lock_spec = {"_thread.lock", sizeof(lock_object), 0, Py_TPFLAGS_DEFAULT,
                                lock_slots};
static PyType_Spec rlock_spec = {"_thread.RLock", sizeof(lock_object), 0, Py_TPFLAGS_DEFAULT,
                                 rlock_slots};

static int add_type(PyObject *module, const char *name, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    int added = type == NULL ? -1 : PyModule_AddObjectRef(module, name, type);
    Py_XDECREF(type);
    return added;
}

int core_locks_init(PyObject *module)
{
    return add_type(module, "Lock", &lock_spec) < 0 || add_type(module, "RLock", &rlock_spec) < 0 ||
                   add_type(module, "Guard", &guard_spec) < 0
               ? -1
               : 0;
}
