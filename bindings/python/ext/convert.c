// SPDX-License-Identifier: Apache-2.0
//
// Python objects as messages, and the one place that decides how: plain data crosses by reference
// to a private copy (copy.c), exceptions as a msgpack record that others can read, anything else by
// reference to what dumps() made of it, bytes of a connection by reference to a bytes object.
// Messages from C actors are msgpack or raw bytes.

#include "state.h"

#include <string.h>

// The record of an exception, which actors in C can read.
static int encode_exception(core_state *state, PyObject *error, fkl_msg **out)
{
    PyObject *record = PyObject_CallOneArg(state->error_record, error);
    PyObject *packed = record == NULL ? NULL : core_pack(state, record);
    Py_XDECREF(record);
    if (packed == NULL) {
        return -1;
    }
    fkl_packer *packer;
    fkl_err err = fkl_packer_create(NULL, &packer);
    if (err == FKL_OK) {
        fkl_pack_ext(packer, FKL_EXT_ERROR, PyBytes_AS_STRING(packed),
                     (size_t)PyBytes_GET_SIZE(packed));
        err = fkl_packer_finish(packer, out);
        fkl_packer_destroy(packer);
    }
    Py_DECREF(packed);
    if (err != FKL_OK) {
        core_raise(state, err, "cannot send an exception to another actor");
        return -1;
    }
    return 0;
}

// Wraps an object that nobody else changes any more. Steals `ref`.
static int wrap(core_state *state, PyObject *ref, core_kind kind, fkl_msg **out)
{
    core_returns_drain(state->returns);
    fkl_err err = fkl_msg_wrap_ref(NULL, ref, core_returns_put, state->returns, out);
    if (err != FKL_OK) {
        Py_DECREF(ref);
        core_raise(state, err, "cannot send an object to another actor");
        return -1;
    }
    fkl_msg_set_tag(*out, kind);
    return 0;
}

// About how many bytes an object occupies: what its strings hold, down to the items of the items of
// a container, and a little for everything else.
static size_t weigh(PyObject *obj, int depth)
{
    size_t weight = 16;
    if (PyBytes_CheckExact(obj)) {
        return weight + (size_t)PyBytes_GET_SIZE(obj);
    }
    if (PyUnicode_CheckExact(obj)) {
        return weight + (size_t)PyUnicode_GET_LENGTH(obj);
    }
    if (PyByteArray_CheckExact(obj)) {
        return weight + (size_t)PyByteArray_GET_SIZE(obj);
    }
    if (depth > 0 && (PyList_CheckExact(obj) || PyTuple_CheckExact(obj))) {
        for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(obj); i++) {
            weight += weigh(PySequence_Fast_GET_ITEM(obj, i), depth - 1);
        }
    } else if (depth > 0 && PyDict_CheckExact(obj)) {
        PyObject *key, *value;
        Py_ssize_t pos = 0;
        while (PyDict_Next(obj, &pos, &key, &value)) {
            weight += weigh(key, 0) + weigh(value, depth - 1);
        }
    } else if (PyAnySet_CheckExact(obj)) {
        weight += (size_t)PySet_GET_SIZE(obj) * 16;
    }
    return weight;
}

int core_encode(core_state *state, PyObject *obj, fkl_msg **out, size_t *weight)
{
    core_kind kind = CORE_COPY;
    PyObject *ref = core_copy_plain(obj);
    if (ref == NULL) {
        if (PyErr_Occurred()) {
            return -1;
        }
        if (PyExceptionInstance_Check(obj)) {
            if (weight != NULL) {
                *weight = 1024; // most of it is the text of its traceback
            }
            return encode_exception(state, obj, out);
        }
        kind = CORE_PICKLE;
        ref = PyObject_CallOneArg(state->dumps, obj);
        if (ref == NULL) {
            return -1;
        }
    }
    if (weight != NULL) {
        *weight = weigh(ref, 2);
    }
    return wrap(state, ref, kind, out);
}

int core_encode_shared(core_state *state, PyObject *obj, fkl_msg **out, size_t *weight)
{
    if (weight != NULL) {
        *weight = weigh(obj, 2);
    }
    return wrap(state, Py_NewRef(obj), CORE_COPY, out);
}

int core_encode_bytes(core_state *state, PyObject *buffer, fkl_msg **out, size_t *weight)
{
    PyObject *bytes = PyBytes_CheckExact(buffer) ? Py_NewRef(buffer) : PyBytes_FromObject(buffer);
    if (bytes == NULL) {
        return -1;
    }
    if (weight != NULL) {
        *weight = weigh(bytes, 0);
    }
    return wrap(state, bytes, CORE_BYTES, out);
}

// For other interpreters

static int encode_parcel(core_state *state, PyObject *obj, fkl_msg **out, size_t *weight)
{
    PyObject *dumped = PyObject_CallOneArg(state->dump_parcel, obj);
    PyObject *pieces, *things;
    int result = -1;
    if (dumped != NULL && PyArg_ParseTuple(dumped, "O!O!:dump_parcel", &PyList_Type, &pieces,
                                           &PyList_Type, &things)) {
        result = core_parcel_create(state, CORE_PICKLE, pieces, things, out, weight);
    }
    Py_XDECREF(dumped);
    return result;
}

int core_encode_abroad(core_state *state, PyObject *obj, fkl_msg **out, size_t *weight)
{
    if (PyExceptionInstance_Check(obj)) {
        if (weight != NULL) {
            *weight = 1024;
        }
        return encode_exception(state, obj, out);
    }
    return encode_parcel(state, obj, out, weight);
}

int core_encode_bytes_abroad(core_state *state, PyObject *buffer, fkl_msg **out, size_t *weight)
{
    PyObject *bytes = PyBytes_FromObject(buffer);
    PyObject *pieces = bytes == NULL ? NULL : PyList_New(1);
    if (pieces == NULL) {
        Py_XDECREF(bytes);
        return -1;
    }
    PyList_SET_ITEM(pieces, 0, bytes);
    int result = core_parcel_create(state, CORE_BYTES, pieces, NULL, out, weight);
    Py_DECREF(pieces);
    return result;
}

// An object that was sent before the channel was shared is made a parcel in its own interpreter.

typedef struct {
    PyObject *object; // of the interpreter that is visited; dropped there
    core_kind kind;
    fkl_msg *parcel; // NULL: it cannot be made one
    char reason[200];
} fetch_request;

static void note_reason(fetch_request *fetch)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyObject *text = value == NULL ? NULL : PyObject_Str(value);
    const char *utf8 = text == NULL ? NULL : PyUnicode_AsUTF8(text);
    PyOS_snprintf(fetch->reason, sizeof fetch->reason, "%s", utf8 == NULL ? "unknown" : utf8);
    Py_XDECREF(text);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    PyErr_Clear();
}

static void fetch_object(core_state *host, void *arg)
{
    fetch_request *fetch = arg;
    PyObject *object = Py_NewRef(fetch->object);
    if (fetch->kind == CORE_PICKLE) {
        Py_SETREF(object, PyObject_CallOneArg(host->loads, object));
    }
    int failed = object == NULL ? -1
                 : fetch->kind == CORE_BYTES
                     ? core_encode_bytes_abroad(host, object, &fetch->parcel, NULL)
                     : encode_parcel(host, object, &fetch->parcel, NULL);
    if (failed < 0) {
        fetch->parcel = NULL;
        note_reason(fetch);
    }
    Py_XDECREF(object);
    Py_DECREF(fetch->object);
}

// Decodes a reference that another interpreter made, or a parcel.
static PyObject *decode_from_abroad(core_state *state, fkl_msg *msg, bool as_bytes)
{
    PyObject *obj = NULL;
    if (core_parcel_decode(state, msg, as_bytes, &obj) != 0) {
        return obj;
    }
    fetch_request fetch = {.kind = (core_kind)(fkl_msg_tag(msg) & 0xFF)};
    core_returns *owner = core_returns_take(msg, (void **)&fetch.object);
    if (owner == NULL) {
        return core_raise(state, FKL_ETYPE, "the message carries a reference of somebody else");
    }
    if (!core_visit(core_returns_visits(owner), fetch_object, &fetch)) {
        core_returns_put(fetch.object, owner);
        PyErr_SetString(state->corrupt_message, "the interpreter that sent the object has ended");
        return NULL;
    }
    if (fetch.parcel == NULL) {
        PyErr_Format(PyExc_TypeError,
                     "an object that was sent before another interpreter had the queue cannot be "
                     "pickled: %s",
                     fetch.reason);
        return NULL;
    }
    (void)!core_parcel_decode(state, fetch.parcel, as_bytes, &obj);
    fkl_msg_destroy(fetch.parcel);
    return obj;
}

static PyObject *unpack_value(core_state *state, const fkl_value *value);

static PyObject *unpack_array(core_state *state, const fkl_value *value)
{
    size_t count = fkl_value_count(value);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = unpack_value(state, fkl_value_at(value, i));
        if (item == NULL) {
            Py_CLEAR(list);
            break;
        }
        PyList_SET_ITEM(list, (Py_ssize_t)i, item);
    }
    return list;
}

static PyObject *unpack_map(core_state *state, const fkl_value *value)
{
    size_t count = fkl_value_count(value);
    PyObject *dict = PyDict_New();
    for (size_t i = 0; dict != NULL && i < count; i++) {
        PyObject *key = unpack_value(state, fkl_value_key_at(value, i));
        PyObject *item = key == NULL ? NULL : unpack_value(state, fkl_value_value_at(value, i));
        if (item == NULL || PyDict_SetItem(dict, key, item) < 0) {
            Py_CLEAR(dict);
        }
        Py_XDECREF(key);
        Py_XDECREF(item);
    }
    return dict;
}

static PyObject *unpack_ext(core_state *state, int8_t type, const void *data, size_t len)
{
    if (type == FKL_EXT_PICKLE) {
        PyObject *view = PyMemoryView_FromMemory((char *)data, (Py_ssize_t)len, PyBUF_READ);
        PyObject *obj = view == NULL ? NULL : PyObject_CallOneArg(state->loads, view);
        Py_XDECREF(view);
        return obj;
    }
    if (type == FKL_EXT_ERROR) {
        PyObject *record = core_unpack(state, data, len);
        PyObject *error = record == NULL ? NULL : PyObject_CallOneArg(state->rebuild_error, record);
        Py_XDECREF(record);
        return error;
    }
    PyErr_Format(state->corrupt_message, "a message has the unknown extension type %d", (int)type);
    return NULL;
}

static PyObject *unpack_value(core_state *state, const fkl_value *value)
{
    const void *data = NULL;
    size_t len = 0;
    switch (fkl_value_type(value)) {
    case FKL_TYPE_NIL:
        Py_RETURN_NONE;
    case FKL_TYPE_BOOL: {
        bool flag = false;
        (void)!fkl_value_bool(value, &flag);
        return PyBool_FromLong(flag);
    }
    case FKL_TYPE_INT: {
        int64_t number = 0;
        (void)!fkl_value_int(value, &number);
        return PyLong_FromLongLong(number);
    }
    case FKL_TYPE_UINT: {
        uint64_t number = 0;
        (void)!fkl_value_uint(value, &number);
        return PyLong_FromUnsignedLongLong(number);
    }
    case FKL_TYPE_DOUBLE: {
        double number = 0.0;
        (void)!fkl_value_double(value, &number);
        return PyFloat_FromDouble(number);
    }
    case FKL_TYPE_STR:
        (void)!fkl_value_bytes(value, &data, &len);
        return PyUnicode_DecodeUTF8(data, (Py_ssize_t)len, "surrogateescape");
    case FKL_TYPE_BIN:
        (void)!fkl_value_bytes(value, &data, &len);
        return PyBytes_FromStringAndSize(data, (Py_ssize_t)len);
    case FKL_TYPE_ARRAY:
        return unpack_array(state, value);
    case FKL_TYPE_MAP:
        return unpack_map(state, value);
    case FKL_TYPE_EXT: {
        int8_t type = 0;
        (void)!fkl_value_ext(value, &type, &data, &len);
        return unpack_ext(state, type, data, len);
    }
    }
    Py_UNREACHABLE();
}

PyObject *core_unpack(core_state *state, const void *data, size_t len)
{
    fkl_document *document;
    fkl_err err = fkl_decode(NULL, data, len, &document);
    if (err != FKL_OK) {
        return core_raise(state, err, "cannot decode a message");
    }
    PyObject *obj = unpack_value(state, fkl_document_root(document));
    fkl_document_destroy(document);
    return obj;
}

// Takes out what wrap() put in. NULL: the message comes from another interpreter.
static PyObject *unwrap(core_state *state, fkl_msg *msg)
{
    void *ref;
    return fkl_msg_take_ref(msg, state->returns, &ref) == FKL_OK ? (PyObject *)ref : NULL;
}

static core_kind kind_of(const fkl_msg *msg)
{
    return (core_kind)(fkl_msg_tag(msg) & 0xFF);
}

PyObject *core_decode(core_state *state, fkl_msg *msg)
{
    core_returns_drain(state->returns);
    PyObject *obj = NULL;
    switch (fkl_msg_codec(msg)) {
    case FKL_CODEC_REF:
        obj = unwrap(state, msg);
        if (obj == NULL) {
            obj = decode_from_abroad(state, msg, false);
        } else if (kind_of(msg) != CORE_COPY) {
            Py_SETREF(obj, PyObject_CallOneArg(state->loads, obj));
        }
        break;
    case FKL_CODEC_MSGPACK:
        obj = core_unpack(state, fkl_msg_data(msg), fkl_msg_len(msg));
        break;
    case FKL_CODEC_RAW:
        obj = PyBytes_FromStringAndSize(fkl_msg_data(msg), (Py_ssize_t)fkl_msg_len(msg));
        break;
    }
    fkl_msg_destroy(msg);
    return obj;
}

PyObject *core_decode_bytes(core_state *state, fkl_msg *msg)
{
    PyObject *obj = NULL;
    if (fkl_msg_codec(msg) == FKL_CODEC_REF) {
        obj = unwrap(state, msg);
        if (obj == NULL || kind_of(msg) == CORE_BYTES) {
            obj = obj == NULL ? decode_from_abroad(state, msg, true) : obj;
            fkl_msg_destroy(msg);
            return obj;
        }
        if (kind_of(msg) == CORE_PICKLE) {
            Py_SETREF(obj, PyObject_CallOneArg(state->loads, obj));
        }
        fkl_msg_destroy(msg);
    } else {
        obj = core_decode(state, msg);
    }
    if (obj != NULL) {
        Py_SETREF(obj, PyObject_CallOneArg(state->dump_bytes, obj));
    }
    return obj;
}

static int pack_value(fkl_packer *packer, PyObject *obj);

static int pack_int(fkl_packer *packer, PyObject *obj)
{
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(obj, &overflow);
    if (overflow == 0) {
        fkl_pack_int(packer, number);
        return number == -1 && PyErr_Occurred() ? -1 : 0;
    }
    unsigned long long large = PyLong_AsUnsignedLongLong(obj); // OverflowError: beyond msgpack
    if (PyErr_Occurred()) {
        return -1;
    }
    fkl_pack_uint(packer, large);
    return 0;
}

static int pack_str(fkl_packer *packer, PyObject *obj)
{
    PyObject *utf8 = PyUnicode_AsEncodedString(obj, "utf-8", "surrogateescape");
    if (utf8 == NULL) {
        return -1;
    }
    fkl_pack_str(packer, PyBytes_AS_STRING(utf8), (size_t)PyBytes_GET_SIZE(utf8));
    Py_DECREF(utf8);
    return 0;
}

static int pack_tuple(fkl_packer *packer, PyObject *obj)
{
    Py_ssize_t size = PyTuple_GET_SIZE(obj);
    fkl_pack_array(packer, (size_t)size);
    for (Py_ssize_t i = 0; i < size; i++) {
        if (pack_value(packer, PyTuple_GET_ITEM(obj, i)) < 0) {
            return -1;
        }
    }
    return 0;
}

// Lists and dicts are packed from a private copy: without the GIL other threads may change them,
// and how many items there are is written first.
static int pack_list(fkl_packer *packer, PyObject *obj)
{
    PyObject *items = PyList_AsTuple(obj);
    int result = items == NULL ? -1 : pack_tuple(packer, items);
    Py_XDECREF(items);
    return result;
}

static int pack_dict(fkl_packer *packer, PyObject *obj)
{
    PyObject *items = PyDict_Copy(obj);
    if (items == NULL) {
        return -1;
    }
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    int result = 0;
    fkl_pack_map(packer, (size_t)PyDict_GET_SIZE(items));
    while (result == 0 && PyDict_Next(items, &pos, &key, &value)) {
        result = pack_value(packer, key) < 0 || pack_value(packer, value) < 0 ? -1 : 0;
    }
    Py_DECREF(items);
    return result;
}

// A record inside of another one: an exception's cause (ErrorRecord in exceptions.py).
static int pack_record(fkl_packer *packer, PyObject *obj)
{
    fkl_packer *inner;
    const void *data;
    size_t len;
    fkl_err err = fkl_packer_create(NULL, &inner);
    if (err != FKL_OK) {
        PyErr_NoMemory();
        return -1;
    }
    int result = pack_dict(inner, obj);
    if (result == 0 && (err = fkl_packer_bytes(inner, &data, &len)) == FKL_OK) {
        fkl_pack_ext(packer, FKL_EXT_ERROR, data, len);
    } else if (result == 0) {
        PyErr_Format(PyExc_ValueError, "cannot pack an error record: %s", fkl_strerror(err));
        result = -1;
    }
    fkl_packer_destroy(inner);
    return result;
}

static int pack_container(fkl_packer *packer, PyObject *obj)
{
    if (Py_EnterRecursiveCall(" while packing an object as msgpack")) {
        return -1;
    }
    int result = PyDict_CheckExact(obj)   ? pack_dict(packer, obj)
                 : PyDict_Check(obj)      ? pack_record(packer, obj)
                 : PyList_CheckExact(obj) ? pack_list(packer, obj)
                                          : pack_tuple(packer, obj);
    Py_LeaveRecursiveCall();
    return result;
}

static int pack_value(fkl_packer *packer, PyObject *obj)
{
    if (obj == Py_None) {
        fkl_pack_nil(packer);
    } else if (PyBool_Check(obj)) {
        fkl_pack_bool(packer, obj == Py_True);
    } else if (PyLong_CheckExact(obj)) {
        return pack_int(packer, obj);
    } else if (PyFloat_CheckExact(obj)) {
        fkl_pack_double(packer, PyFloat_AS_DOUBLE(obj));
    } else if (PyUnicode_CheckExact(obj)) {
        return pack_str(packer, obj);
    } else if (PyBytes_CheckExact(obj)) {
        fkl_pack_bin(packer, PyBytes_AS_STRING(obj), (size_t)PyBytes_GET_SIZE(obj));
    } else if (PyDict_Check(obj) || PyList_CheckExact(obj) || PyTuple_CheckExact(obj)) {
        return pack_container(packer, obj);
    } else {
        PyErr_Format(PyExc_TypeError, "msgpack has no form for %R; send it through a queue instead",
                     Py_TYPE(obj));
        return -1;
    }
    return 0;
}

PyObject *core_pack(core_state *state, PyObject *obj)
{
    fkl_packer *packer;
    fkl_err err = fkl_packer_create(NULL, &packer);
    if (err != FKL_OK) {
        return core_raise(state, err, "cannot pack an object");
    }
    PyObject *bytes = NULL;
    if (pack_value(packer, obj) == 0) {
        const void *data;
        size_t len;
        err = fkl_packer_bytes(packer, &data, &len);
        bytes = err == FKL_OK ? PyBytes_FromStringAndSize(data, (Py_ssize_t)len)
                              : core_raise(state, err, "cannot pack an object");
    }
    fkl_packer_destroy(packer);
    return bytes;
}
