// SPDX-License-Identifier: Apache-2.0
//
// What builds without the GIL need, and what older versions of CPython lack. Everything here is
// empty, or the same in other words, where the GIL holds.
#ifndef FORKLESS_EXT_COMPAT_H
#define FORKLESS_EXT_COMPAT_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

// A lock around fields of an object of ours. Under the GIL nothing is needed, because no Python
// code runs between core_lock() and core_unlock(): whoever holds it must neither call any nor drop
// a reference. (But for core_take_back_async() before 3.13: its callers have left everything in
// order by then.) It is not the object's critical section, which is given up where a thread blocks.
#ifdef Py_GIL_DISABLED
typedef PyMutex core_mutex;
#define core_lock(mutex) PyMutex_Lock(mutex)
#define core_unlock(mutex) PyMutex_Unlock(mutex)
#else
typedef struct {
    char unused;
} core_mutex;
#define core_lock(mutex) ((void)(mutex))
#define core_unlock(mutex) ((void)(mutex))
#endif

// The state with which the calling thread may run Python code at this moment, or NULL.
static inline PyThreadState *core_attached(void)
{
#if PY_VERSION_HEX >= 0x030D0000
    return PyThreadState_GetUnchecked();
#elif PY_VERSION_HEX >= 0x030C0000
    return _PyThreadState_UncheckedGet();
#else
    PyThreadState *running = _PyThreadState_UncheckedGet(); // of whichever thread has the GIL
    return running != NULL && running == PyGILState_GetThisThreadState() ? running : NULL;
#endif
}

#if PY_VERSION_HEX < 0x030C0000

static inline PyObject *PyErr_GetRaisedException(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (trace != NULL) {
        PyException_SetTraceback(value, trace);
    }
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return value;
}

static inline void PyErr_SetRaisedException(PyObject *raised)
{
    PyErr_Restore(Py_NewRef(Py_TYPE(raised)), raised, PyException_GetTraceback(raised));
}

#endif

#if PY_VERSION_HEX < 0x030D0000

#define Py_IsFinalizing _Py_IsFinalizing
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }

// 1 and a new reference; 0 and NULL where there is no such key; -1 with an exception set.
static inline int PyDict_GetItemRef(PyObject *dict, PyObject *key, PyObject **out)
{
    *out = Py_XNewRef(PyDict_GetItemWithError(dict, key));
    return *out != NULL ? 1 : PyErr_Occurred() ? -1 : 0;
}

#endif

#endif
