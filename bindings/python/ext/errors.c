// SPDX-License-Identifier: Apache-2.0
//
// From the error table of the library to Python exceptions, and the one way in which the extension
// blocks: without the GIL, to a deadline, waking for signals and for exceptions thrown at the actor.

#include "state.h"

#include <errno.h>
#include <math.h>

static PyObject *raise_os_error(int number, const char *what, fkl_err err) {
    PyObject *text = PyUnicode_FromFormat("%s: %s", what, fkl_strerror(err));
    if (text == NULL) {
        return NULL;
    }
    PyObject *args = Py_BuildValue("(iN)", number, text);
    if (args != NULL) {
        PyErr_SetObject(PyExc_OSError, args);
        Py_DECREF(args);
    }
    return NULL;
}

PyObject *core_raise(core_state *state, fkl_err err, const char *what) {
    switch (err) {
    case FKL_ENOMEM:
        return PyErr_NoMemory();
    case FKL_ETHREAD:
    case FKL_ELIMIT:
        return raise_os_error(EAGAIN, what, err); // what fork() reports when it is out of processes
    case FKL_EOS:
        return raise_os_error(EMFILE, what, err);
    case FKL_ENOACTOR:
        return raise_os_error(ESRCH, what, err);
    case FKL_ETIMEDOUT:
        return raise_os_error(ETIMEDOUT, what, err);
    case FKL_ESTOPPED:
        core_raise_process_exit(state);
        return NULL;
    case FKL_ECORRUPT:
        PyErr_Format(state->corrupt_message, "%s: %s", what, fkl_strerror(err));
        return NULL;
    case FKL_EINVAL:
    case FKL_ECLOSED:
    case FKL_EOVERFLOW:
        PyErr_Format(PyExc_ValueError, "%s: %s", what, fkl_strerror(err));
        return NULL;
    case FKL_ETYPE:
        PyErr_Format(PyExc_TypeError, "%s: %s", what, fkl_strerror(err));
        return NULL;
    default:
        PyErr_Format(PyExc_RuntimeError, "%s: %s (%s)", what, fkl_strerror(err), fkl_err_name(err));
        return NULL;
    }
}

int core_deadline(PyObject *timeout, fkl_time *out) {
    if (timeout == NULL || timeout == Py_None) {
        *out = FKL_FOREVER;
        return 0;
    }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) {
        return -1;
    }
    if (isnan(seconds)) {
        PyErr_SetString(PyExc_ValueError, "Invalid value NaN (not a number)");
        return -1;
    }
    if (seconds <= 0.0) {
        *out = FKL_NO_WAIT;
    } else if (seconds >= 9.0e9) { // beyond what nanoseconds in 64 bits can say
        *out = FKL_FOREVER;
    } else {
        *out = fkl_after_ns((int64_t)(seconds * 1e9));
    }
    return 0;
}

fkl_err core_blocking(core_state *state, fkl_err (*op)(void *ctx), void *ctx) {
    for (;;) {
        fkl_err err;
        Py_BEGIN_ALLOW_THREADS
        err = op(ctx);
        Py_END_ALLOW_THREADS
        if (err == FKL_ESTOPPED) {
            if (core_raise_thrown(state) == 0) {
                core_raise_process_exit(state);
            }
            return FKL_EINTR;
        }
        if (err != FKL_EINTR) {
            return err;
        }
        if (core_raise_thrown(state) < 0 || PyErr_CheckSignals() < 0) {
            return FKL_EINTR;
        }
    }
}
