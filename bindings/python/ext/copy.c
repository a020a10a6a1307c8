// SPDX-License-Identifier: Apache-2.0
//
// Deep copies of Python data in C: what pickling and unpickling give for plain data, at a tenth of
// the cost. Values that nobody can change are shared, because nobody can tell. Runs in the thread
// that sends; as long as only exact built-in types are met, no Python code runs and the copy is a
// snapshot.

#include "state.h"

// What was copied already, so that shared references and cycles stay what they are. Keys are the
// addresses of originals, which the caller keeps alive; open addressing, power-of-two size.
typedef struct memo_entry {
    PyObject *original; // borrowed
    PyObject *copy;     // borrowed: the copy is reachable from the result, or held in `keep`
} memo_entry;

typedef struct copier {
    PyObject *handlers; // borrowed dict, or NULL for plain data only
    PyObject *fallback; // borrowed: handlers[None], or NULL
    PyObject *keep;     // list of copies whose place in the result is not sure yet, or NULL
    memo_entry *memo;
    size_t memo_size;
    size_t memo_used;
    bool not_plain; // plain mode met something else: give up without an exception
} copier;

// `held`: how many references to `obj` the copier knows of; 0 for the root, where nothing is known.
static PyObject *copy_value(copier *c, PyObject *obj, Py_ssize_t held);

static size_t memo_slot(const copier *c, const PyObject *original)
{
    size_t mask = c->memo_size - 1;
    size_t i = ((uintptr_t)original >> 4) * (size_t)0x9E3779B97F4A7C15u;
    for (i = (i >> 20) & mask; c->memo[i].original != NULL; i = (i + 1) & mask) {
        if (c->memo[i].original == original) {
            break;
        }
    }
    return i;
}

static PyObject *memo_find(const copier *c, const PyObject *original)
{
    if (c->memo_used == 0) {
        return NULL;
    }
    return c->memo[memo_slot(c, original)].copy;
}

static int memo_grow(copier *c)
{
    size_t old_size = c->memo_size;
    memo_entry *old = c->memo;
    size_t size = old_size == 0 ? 32 : old_size * 2;
    memo_entry *grown = PyMem_Calloc(size, sizeof *grown);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    c->memo = grown;
    c->memo_size = size;
    for (size_t i = 0; i < old_size; i++) {
        if (old[i].original != NULL) {
            c->memo[memo_slot(c, old[i].original)] = old[i];
        }
    }
    PyMem_Free(old);
    return 0;
}

// Remembers the copy of `original`, and holds it until the whole copy is done.
static int memo_add(copier *c, PyObject *original, PyObject *copy)
{
    if (c->memo_used * 2 >= c->memo_size && memo_grow(c) < 0) {
        return -1;
    }
    if (c->keep == NULL && (c->keep = PyList_New(0)) == NULL) {
        return -1;
    }
    if (PyList_Append(c->keep, copy) < 0) {
        return -1;
    }
    c->memo[memo_slot(c, original)] = (memo_entry){original, copy};
    c->memo_used++;
    return 0;
}

static inline bool is_atom(PyObject *obj)
{
    PyTypeObject *type = Py_TYPE(obj);
    return type == &PyUnicode_Type || type == &PyLong_Type || obj == Py_None ||
           type == &PyBool_Type || type == &PyFloat_Type || type == &PyBytes_Type ||
           type == &PyComplex_Type || type == &PyRange_Type || obj == Py_Ellipsis ||
           obj == Py_NotImplemented;
}

static bool has_only_atoms(PyObject *container)
{
    if (PyList_Check(container)) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(container); i++) {
            if (!is_atom(PyList_GET_ITEM(container, i))) {
                return false;
            }
        }
        return true;
    }
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Check(container) && PyDict_Next(container, &pos, &key, &value)) {
        if (!is_atom(value)) {
            return false;
        }
    }
    return true;
}

// Children found in a list or dict are held by the original and by the copy that is being filled.
#define HELD_TWICE 2
// Children of a tuple or set are held by the original alone.
#define HELD_ONCE 1
// The same, but a cycle may lead to the tuple again while it is being copied, and so to its
// children.
#define HELD_BY_CYCLE (-1)

// Remembers a copy if its original can be met again: if somebody refers to it beside the container
// that it was found in (and that container's copy), or, for the root and the children of a tuple in
// a cycle, if something in it might.
static int remember(copier *c, PyObject *original, PyObject *copy, Py_ssize_t held)
{
    bool again = held > 0 ? Py_REFCNT(original) > held
                          : !has_only_atoms(copy) ||
                                (held == HELD_BY_CYCLE && Py_REFCNT(original) > HELD_ONCE);
    return again ? memo_add(c, original, copy) : 0;
}

// Replaces the items of a list that is ours by their copies.
static int replace_list_items(copier *c, PyObject *list)
{
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(list); i++) {
        PyObject *item = PyList_GET_ITEM(list, i);
        if (is_atom(item)) {
            continue;
        }
        PyObject *copied = copy_value(c, item, HELD_TWICE);
        if (copied == NULL || PyList_SetItem(list, i, copied) < 0) { // steals
            return -1;
        }
    }
    return 0;
}

// Replaces the values of a dict that is ours by their copies. Setting an existing key does not
// resize the table, so the iteration stays valid. Keys are hashable and so taken for immutable; in
// plain mode they must be known to be.
static int replace_dict_values(copier *c, PyObject *dict)
{
    PyObject *key, *value;
    Py_ssize_t pos = 0;
    while (PyDict_Next(dict, &pos, &key, &value)) {
        if (c->handlers == NULL && !is_atom(key)) {
            PyObject *same = copy_value(c, key, HELD_TWICE);
            Py_XDECREF(same);
            if (same != key) {
                c->not_plain = c->not_plain || same != NULL;
                return -1;
            }
        }
        if (is_atom(value)) {
            continue;
        }
        PyObject *copied = copy_value(c, value, HELD_TWICE);
        if (copied == NULL) {
            return -1;
        }
        int failed = copied == value ? 0 : PyDict_SetItem(dict, key, copied);
        Py_DECREF(copied);
        if (failed < 0) {
            return -1;
        }
    }
    return 0;
}

static PyObject *copy_list(copier *c, PyObject *obj, Py_ssize_t held)
{
    PyObject *copy = PyList_GetSlice(obj, 0, PyList_GET_SIZE(obj));
    if (copy == NULL || remember(c, obj, copy, held) < 0 || replace_list_items(c, copy) < 0) {
        Py_XDECREF(copy);
        return NULL;
    }
    return copy;
}

static PyObject *copy_dict(copier *c, PyObject *obj, Py_ssize_t held)
{
    PyObject *copy = PyDict_Copy(obj);
    if (copy == NULL || remember(c, obj, copy, held) < 0 || replace_dict_values(c, copy) < 0) {
        Py_XDECREF(copy);
        return NULL;
    }
    return copy;
}

// A tuple whose items are all shared is shared itself.
static PyObject *copy_tuple(copier *c, PyObject *obj, Py_ssize_t held)
{
    Py_ssize_t size = PyTuple_GET_SIZE(obj);
    bool again = held <= 0 || Py_REFCNT(obj) > held;
    PyObject *copy = NULL;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *item = PyTuple_GET_ITEM(obj, i);
        PyObject *copied = is_atom(item) ? Py_NewRef(item)
                                         : copy_value(c, item, again ? HELD_BY_CYCLE : HELD_ONCE);
        if (copied == NULL) {
            Py_XDECREF(copy);
            return NULL;
        }
        if (copy == NULL && copied != item) {
            copy = PyTuple_New(size);
            if (copy == NULL) {
                Py_DECREF(copied);
                return NULL;
            }
            for (Py_ssize_t j = 0; j < i; j++) {
                PyTuple_SET_ITEM(copy, j, Py_NewRef(PyTuple_GET_ITEM(obj, j)));
            }
        }
        if (copy != NULL) {
            PyTuple_SET_ITEM(copy, i, copied);
        } else {
            Py_DECREF(copied);
        }
    }
    if (copy == NULL) {
        return Py_NewRef(obj);
    }
    // A cycle through the tuple may have copied it while we were at it: then that copy is the one.
    PyObject *known = memo_find(c, obj);
    if (known != NULL) {
        Py_DECREF(copy);
        return Py_NewRef(known);
    }
    if (remember(c, obj, copy, held) < 0) {
        Py_DECREF(copy);
        return NULL;
    }
    return copy;
}

// Elements are hashable: shared, but in plain mode each must be immutable for sure.
static PyObject *copy_set(copier *c, PyObject *obj, Py_ssize_t held, bool frozen)
{
    PyObject *copy = frozen ? PyFrozenSet_New(obj) : PySet_New(obj);
    if (copy == NULL || c->handlers != NULL) {
        if (copy != NULL && !frozen && remember(c, obj, copy, held) < 0) {
            Py_CLEAR(copy);
        }
        return copy;
    }
    PyObject *iterator = PyObject_GetIter(copy);
    PyObject *item;
    while (iterator != NULL && (item = PyIter_Next(iterator)) != NULL) {
        PyObject *same = is_atom(item) ? Py_NewRef(item) : copy_value(c, item, HELD_ONCE);
        bool shared = same == item;
        c->not_plain = c->not_plain || (same != NULL && !shared);
        Py_XDECREF(same);
        Py_DECREF(item);
        if (!shared) {
            break;
        }
    }
    Py_XDECREF(iterator);
    if (c->not_plain || PyErr_Occurred() || (!frozen && remember(c, obj, copy, held) < 0)) {
        Py_CLEAR(copy);
    }
    return copy;
}

// A subclass of dict or list keeps its type and attributes through its own copy.copy; then the
// children are replaced beneath its methods.
static PyObject *copy_container(copier *c, PyObject *obj)
{
    PyObject *module = PyImport_ImportModule("copy");
    PyObject *copy = module == NULL ? NULL : PyObject_CallMethod(module, "copy", "O", obj);
    Py_XDECREF(module);
    if (copy == NULL || copy == obj) {
        return copy;
    }
    if (memo_add(c, obj, copy) < 0 || (PyDict_Check(copy) && replace_dict_values(c, copy) < 0) ||
        (PyList_Check(copy) && replace_list_items(c, copy) < 0)) {
        Py_DECREF(copy);
        return NULL;
    }
    return copy;
}

static PyObject *copy_by_handler(copier *c, PyObject *obj)
{
    PyObject *handler = PyDict_GetItemWithError(c->handlers, (PyObject *)Py_TYPE(obj));
    if (handler == NULL) {
        if (PyErr_Occurred()) {
            return NULL;
        }
        handler = c->fallback;
        if (handler == NULL || PyType_Check(obj) || PyFunction_Check(obj) ||
            PyCFunction_Check(obj) || PyModule_Check(obj)) {
            return Py_NewRef(obj);
        }
    }
    if (PyUnicode_Check(handler)) {
        if (PyUnicode_CompareWithASCIIString(handler, "share") == 0) {
            return Py_NewRef(obj);
        }
        if (PyUnicode_CompareWithASCIIString(handler, "container") == 0) {
            return copy_container(c, obj);
        }
        PyErr_Format(PyExc_ValueError,
                     "the handler for %R is %R; use 'share', 'container' or a callable",
                     Py_TYPE(obj), handler);
        return NULL;
    }
    PyObject *copy = PyObject_CallOneArg(handler, obj);
    if (copy != NULL && copy != obj && memo_add(c, obj, copy) < 0) {
        Py_CLEAR(copy);
    }
    return copy;
}

static PyObject *copy_other(copier *c, PyObject *obj)
{
    if (c->handlers != NULL) {
        return copy_by_handler(c, obj);
    }
    c->not_plain = true;
    return NULL;
}

static PyObject *copy_value(copier *c, PyObject *obj, Py_ssize_t held)
{
    if (is_atom(obj)) {
        return Py_NewRef(obj);
    }
    PyObject *known = memo_find(c, obj);
    if (known != NULL) {
        return Py_NewRef(known);
    }
    if (Py_EnterRecursiveCall(" while copying an object for another actor")) {
        return NULL;
    }
    PyTypeObject *type = Py_TYPE(obj);
    PyObject *copy;
    if (type == &PyDict_Type) {
        copy = copy_dict(c, obj, held);
    } else if (type == &PyList_Type) {
        copy = copy_list(c, obj, held);
    } else if (type == &PyTuple_Type) {
        copy = copy_tuple(c, obj, held);
    } else if (type == &PySet_Type || type == &PyFrozenSet_Type) {
        copy = copy_set(c, obj, held, type == &PyFrozenSet_Type);
    } else if (type == &PyByteArray_Type) {
        copy = PyByteArray_FromObject(obj);
        if (copy != NULL && remember(c, obj, copy, held) < 0) {
            Py_CLEAR(copy);
        }
    } else {
        copy = copy_other(c, obj);
    }
    Py_LeaveRecursiveCall();
    return copy;
}

static PyObject *run(copier *c, PyObject *obj)
{
    PyObject *copy = copy_value(c, obj, 0);
    Py_XDECREF(c->keep);
    PyMem_Free(c->memo);
    return copy;
}

PyObject *core_copy_plain(PyObject *obj)
{
    if (is_atom(obj)) {
        return Py_NewRef(obj);
    }
    copier c = {.handlers = NULL};
    return run(&c, obj);
}

PyObject *core_copy_with(PyObject *obj, PyObject *handlers)
{
    copier c = {.handlers = handlers};
    c.fallback = PyDict_GetItemWithError(handlers, Py_None);
    if (c.fallback == NULL && PyErr_Occurred()) {
        return NULL;
    }
    return run(&c, obj);
}
