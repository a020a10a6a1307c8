// SPDX-License-Identifier: Apache-2.0
//
// Python objects as messages. Plain data crosses by reference to a private copy (copy.c); anything
// else as a msgpack extension that carries a pickle. Messages from C actors are msgpack or raw
// bytes.

#include "state.h"

#include <string.h>

static int encode_pickle(core_state *state, PyObject *obj, fkl_msg **out)
{
    PyObject *pickled = PyObject_CallOneArg(state->dumps, obj);
    if (pickled == NULL) {
        return -1;
    }
    Py_buffer view;
    if (PyObject_GetBuffer(pickled, &view, PyBUF_SIMPLE) < 0) {
        Py_DECREF(pickled);
        return -1;
    }
    fkl_packer *packer;
    fkl_err err = fkl_packer_create(NULL, &packer);
    if (err == FKL_OK) {
        fkl_pack_ext(packer, FKL_EXT_PICKLE, view.buf, (size_t)view.len);
        err = fkl_packer_finish(packer, out);
        fkl_packer_destroy(packer);
    }
    PyBuffer_Release(&view);
    Py_DECREF(pickled);
    if (err != FKL_OK) {
        core_raise(state, err, "cannot send an object to another actor");
        return -1;
    }
    return 0;
}

int core_encode(core_state *state, PyObject *obj, fkl_msg **out)
{
    core_returns_drain(state->returns);
    PyObject *copy = core_copy_plain(obj);
    if (copy == NULL) {
        return PyErr_Occurred() ? -1 : encode_pickle(state, obj, out);
    }
    fkl_err err = fkl_msg_wrap_ref(NULL, copy, core_returns_put, state->returns, out);
    if (err != FKL_OK) {
        Py_DECREF(copy);
        core_raise(state, err, "cannot send an object to another actor");
        return -1;
    }
    return 0;
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

PyObject *core_decode(core_state *state, fkl_msg *msg)
{
    core_returns_drain(state->returns);
    PyObject *obj = NULL;
    switch (fkl_msg_codec(msg)) {
    case FKL_CODEC_REF: {
        void *ref;
        fkl_err err = fkl_msg_take_ref(msg, state->returns, &ref);
        obj = err == FKL_OK ? (PyObject *)ref
                            : core_raise(state, err, "the message is of another interpreter");
        break;
    }
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

static int pack_container(fkl_packer *packer, PyObject *obj)
{
    if (Py_EnterRecursiveCall(" while packing an object as msgpack")) {
        return -1;
    }
    int result = PyDict_CheckExact(obj)   ? pack_dict(packer, obj)
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
    } else if (PyDict_CheckExact(obj) || PyList_CheckExact(obj) || PyTuple_CheckExact(obj)) {
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
