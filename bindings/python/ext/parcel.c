// SPDX-License-Identifier: Apache-2.0
//
// Parcels: messages from one interpreter to another. No object of Python is in them, so that they
// outlive the interpreter that they come from: the bytes of a pickle, and references to what all
// interpreters share.

#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum { STREAM, SEMAPHORE, DESCRIPTOR } thing_kind;

typedef struct {
    thing_kind kind;
    core_role role; // of a stream: which end of it the receiver gets
    union {
        core_stream *stream;
        core_semaphore *lock;
        int descriptor;
    } is;
} thing;

typedef struct {
    size_t len;
    size_t count;
    thing things[]; // and the bytes after them
} parcel;

// The `ctx` of these messages.
static char mark;

static char *bytes_of(parcel *p)
{
    return (char *)(p->things + p->count);
}

static void drop(thing *t)
{
    switch (t->kind) {
    case STREAM:
        core_stream_leave(t->is.stream, t->role);
        core_stream_release(t->is.stream);
        break;
    case SEMAPHORE:
        core_semaphore_release(t->is.lock);
        break;
    case DESCRIPTOR:
        if (t->is.descriptor >= 0) {
            close(t->is.descriptor);
        }
        break;
    }
}

static void release(void *ref, void *ctx)
{
    (void)ctx;
    parcel *p = ref;
    for (size_t i = 0; i < p->count; i++) {
        drop(&p->things[i]);
    }
    free(p);
}

static int put_thing(core_state *state, PyObject *item, thing *out)
{
    PyObject *object;
    int role;
    if (!PyArg_ParseTuple(item, "Oi", &object, &role)) {
        return -1;
    }
    if ((out->is.stream = core_channel_stream(state, object)) != NULL) {
        out->kind = STREAM;
        out->role = (core_role)role;
        core_stream_share(out->is.stream);
        if (out->role != CORE_NO_END) {
            core_stream_enter(out->is.stream, out->role);
        }
        return 0;
    }
    if ((out->is.lock = core_semaphore_of(state, object)) != NULL) {
        out->kind = SEMAPHORE;
        return 0;
    }
    out->kind = DESCRIPTOR;
    long number = PyLong_AsLong(object); // TypeError for what cannot travel
    out->is.descriptor = (int)number;
    return number == -1 && PyErr_Occurred() ? -1 : 0;
}

static PyObject *take_thing(core_state *state, thing *t)
{
    switch (t->kind) {
    case STREAM: // what it is an end of, it stays
        return core_channel_wrap(state, t->is.stream, t->role);
    case SEMAPHORE:
        return core_semaphore_wrap(state, t->is.lock);
    case DESCRIPTOR:
        return PyLong_FromLong(t->is.descriptor);
    }
    Py_UNREACHABLE();
}

static parcel *allocate(PyObject *pieces, Py_ssize_t count)
{
    size_t len = 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pieces); i++) {
        len += (size_t)PyBytes_GET_SIZE(PyList_GET_ITEM(pieces, i));
    }
    parcel *p = malloc(sizeof *p + (size_t)count * sizeof(thing) + len);
    if (p == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    p->len = len;
    p->count = (size_t)count;
    return p;
}

int core_parcel_create(core_state *state, core_kind kind, PyObject *pieces, PyObject *things,
                       fkl_msg **out, size_t *weight)
{
    Py_ssize_t count = things == NULL ? 0 : PyList_GET_SIZE(things);
    parcel *p = allocate(pieces, count);
    if (p == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (put_thing(state, PyList_GET_ITEM(things, i), &p->things[i]) < 0) {
            p->count = (size_t)i;
            release(p, NULL);
            return -1;
        }
    }
    char *at = bytes_of(p);
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(pieces); i++) {
        PyObject *piece = PyList_GET_ITEM(pieces, i);
        memcpy(at, PyBytes_AS_STRING(piece), (size_t)PyBytes_GET_SIZE(piece));
        at += PyBytes_GET_SIZE(piece);
    }
    fkl_err err = fkl_msg_wrap_ref(NULL, p, release, &mark, out);
    if (err != FKL_OK) {
        release(p, NULL);
        core_raise(state, err, "cannot send an object to another interpreter");
        return -1;
    }
    fkl_msg_set_tag(*out, kind);
    if (weight != NULL) {
        *weight = p->len + 16;
    }
    return 0;
}

// Moves what is in the parcel into a list. NULL with an exception set.
static PyObject *take_things(core_state *state, parcel *p)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < p->count; i++) {
        thing *t = &p->things[i];
        int role = t->kind == STREAM ? (int)t->role : CORE_NO_END;
        PyObject *object = take_thing(state, t);
        PyObject *item = object == NULL ? NULL : Py_BuildValue("(Ni)", object, role);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list); // the descriptors and ends that were taken are lost: no memory
        } else {
            t->role = CORE_NO_END; // that is the list's now
            t->is.descriptor = t->kind == DESCRIPTOR ? -1 : t->is.descriptor;
        }
        Py_XDECREF(item);
    }
    return list;
}

static PyObject *load(core_state *state, parcel *p)
{
    PyObject *things = take_things(state, p);
    PyObject *view = things == NULL
                         ? NULL
                         : PyMemoryView_FromMemory(bytes_of(p), (Py_ssize_t)p->len, PyBUF_READ);
    PyObject *obj =
        view == NULL ? NULL : PyObject_CallFunctionObjArgs(state->load_parcel, view, things, NULL);
    Py_XDECREF(view);
    Py_XDECREF(things);
    return obj;
}

int core_parcel_decode(core_state *state, fkl_msg *msg, bool as_bytes, PyObject **out)
{
    void *ref;
    core_kind kind = (core_kind)(fkl_msg_tag(msg) & 0xFF);
    if (fkl_msg_take_ref(msg, &mark, &ref) != FKL_OK) {
        return 0;
    }
    parcel *p = ref;
    if (as_bytes && (kind == CORE_BYTES || p->count == 0)) {
        *out = PyBytes_FromStringAndSize(bytes_of(p), (Py_ssize_t)p->len);
    } else {
        *out = load(state, p);
        if (as_bytes && *out != NULL) {
            Py_SETREF(*out, PyObject_CallOneArg(state->dump_bytes, *out));
        }
    }
    release(p, NULL);
    return *out == NULL ? -1 : 1;
}
