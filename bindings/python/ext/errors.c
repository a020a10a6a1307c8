// SPDX-License-Identifier: Apache-2.0
//
// From the error table of the library to Python exceptions, and the one way in which the extension
// blocks: without the GIL, to a deadline, waking for signals and for exceptions thrown at the
// actor. Also how an exception is raised in another thread.

#include "state.h"

#include <errno.h>
#include <math.h>

static PyObject *raise_os_error(int number, const char *what, fkl_err err)
{
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

PyObject *core_raise(core_state *state, fkl_err err, const char *what)
{
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

int core_deadline(PyObject *timeout, fkl_time *out)
{
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

fkl_err core_blocking(core_state *state, fkl_err (*op)(void *ctx), void *ctx)
{
    for (;;) {
        fkl_err err;
        Py_BEGIN_ALLOW_THREADS
        core_gil_released(state);
        err = op(ctx);
        core_await_gil(state);
        Py_END_ALLOW_THREADS
        core_gil_taken(state);
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

#if PY_VERSION_HEX >= 0x030D0000

void core_take_back_async(core_state *state)
{
    (void)state;
    PyThreadState_SetAsyncExc(PyThread_get_thread_ident(), NULL);
}

#else

// Until 3.12 the interpreter is told with a flag for all threads that one of them has an exception
// to raise, and only raising it takes the flag down; meanwhile every thread runs slowly, and with a
// tracing function not at all. So it is raised, in a function that does nothing, and forgotten.
void core_take_back_async(core_state *state)
{
    if (PyThreadState_Get()->async_exc != NULL) {
        PyObject *result = PyObject_CallNoArgs(state->breath);
        if (result == NULL) {
            PyErr_Clear();
        }
        Py_XDECREF(result);
    }
}

#endif

#if PY_VERSION_HEX >= 0x030C0000

bool core_set_async(unsigned long ident, PyObject *exception)
{
    return PyThreadState_SetAsyncExc(ident, exception) > 0;
}

#else

// Until 3.11 the state of a thread that is about to start carries the ident of the thread that
// starts it, or of one that has had this ident before and has ended; PyThreadState_SetAsyncExc()
// takes the first state that it finds. So those that do not run Python code are hidden from it for
// the time of the call. They give themselves their own ident, at any moment and without the GIL,
// which is why it is only replaced where it still is what it was.
static void replace_ident(PyThreadState *state, unsigned long before, unsigned long after)
{
    __atomic_compare_exchange_n(&state->thread_id, &before, after, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

bool core_set_async(unsigned long ident, PyObject *exception)
{
    enum {
        MOST = 16
    }; // threads that one thread is starting at this moment: one, but for nested calls
    PyThreadState *same[MOST];
    size_t count = 0, target = 0;
    PyThreadState *state = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; state != NULL && count < MOST; state = PyThreadState_Next(state)) {
        if (__atomic_load_n(&state->thread_id, __ATOMIC_RELAXED) == ident) {
            if (state->cframe->current_frame != NULL) {
                target = count;
            }
            same[count++] = state;
        }
    }
    for (size_t i = 0; i < count; i++) {
        if (i != target) {
            replace_ident(same[i], ident, 0);
        }
    }
    bool found = PyThreadState_SetAsyncExc(ident, exception) > 0;
    for (size_t i = 0; i < count; i++) {
        if (i != target) {
            replace_ident(same[i], 0, ident);
        }
    }
    return found;
}

#endif
