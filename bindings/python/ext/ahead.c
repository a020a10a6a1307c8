// SPDX-License-Identifier: Apache-2.0
//
// Threads that were started ahead of the actors that they are for, as capsules. To start one takes
// the system about as long as it takes to prepare a process object, and needs no GIL.

#include "state.h"

static const char name[] = "forkless._core.thread";

static void cancel(PyObject *capsule)
{
    fkl_ahead_cancel(PyCapsule_GetPointer(capsule, name));
}

PyObject *core_ahead_start(core_state *state, PyObject *stack_size)
{
    Py_ssize_t size = PyLong_AsSsize_t(stack_size);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    fkl_ahead *ahead;
    if (fkl_ahead_start(state->runtime, size > 0 ? (size_t)size : 0, &ahead) != FKL_OK) {
        Py_RETURN_NONE; // the start of the actor tries it again, and says what is wrong
    }
    PyObject *capsule = PyCapsule_New(ahead, name, cancel);
    if (capsule == NULL) {
        fkl_ahead_cancel(ahead);
    }
    return capsule;
}

fkl_ahead *core_ahead_of(PyObject *capsule)
{
    return PyCapsule_IsValid(capsule, name) ? PyCapsule_GetPointer(capsule, name) : NULL;
}

void core_ahead_given(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, name)) {
        PyCapsule_SetDestructor(capsule, NULL);
        PyCapsule_SetName(capsule, NULL);
    }
}
