// SPDX-License-Identifier: Apache-2.0
//
// Deep copies of Python data in C: what pickling and unpickling give for plain data, at a tenth of
// the cost. Values that nobody can change are shared, because nobody can tell. Runs in the thread
// that sends; as long as only exact built-in types are met, no Python code runs and, under the GIL,
// the copy is a snapshot. Without the GIL each container is: it is first copied shallowly, under
// its own lock, and what follows works on that private copy, whose items nobody takes away.

#include "state.h"

// What was copied already, so that shared references and cycles stay what they are. Keys are the
// addresses of originals; open addressing, power-of-two size. Both references are strong: a handler
// or another thread may drop the original, whose address would then come again, and the place of
// the copy in the result is not sure yet.
typedef struct memo_entry {
    PyObject *original;
    PyObject *copy;
} memo_entry;

typedef struct copier {
    PyObject *handlers; // borrowed dict, or NULL for plain data only
    PyObject *fallback; // strong: handlers[None], or NULL
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

// Remembers the copy of `original`, and holds both until the whole copy is done.
static int memo_add(copier *c, PyObject *original, PyObject *copy)
{
    if (c->memo_used * 2 >= c->memo_size && memo_grow(c) < 0) {
        return -1;
    }
    c->memo[memo_slot(c, original)] = (memo_entry){Py_NewRef(original), Py_NewRef(copy)};
    c->memo_used++;
    return 0;
}

static void memo_free(copier *c)
{
    for (size_t i = 0; i < c->memo_size; i++) {
        Py_XDECREF(c->memo[i].original);
        Py_XDECREF(c->memo[i].copy);
    }
    PyMem_Free(c->memo);
}

static inline bool is_atom(PyObject *obj)
{
    PyTypeObject *type = Py_TYPE(obj);
    return type == &PyUnicode_Type || type == &PyLong_Type || obj == Py_None ||
           type == &PyBool_Type || type == &PyFloat_Type || type == &PyBytes_Type ||
           type == &PyComplex_Type || type == &PyRange_Type || obj == Py_Ellipsis ||
           obj == Py_NotImplemented;
}

// `container` is private.
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

// Whether somebody refers to `original` beside the container that it was found in (and that
// container's copy), so that it can be met again.
static bool has_other_holders(PyObject *original, Py_ssize_t held)
{
#ifdef Py_GIL_DISABLED
    // Other threads may come and go between any two steps, and their counts are not kept with ours.
    (void)original;
    (void)held;
    return true;
#else
    return Py_REFCNT(original) > held;
#endif
}

// Remembers a copy if its original can be met again: if somebody else refers to it or, for the root
// and the children of a tuple in a cycle, if something in it might.
static int remember(copier *c, PyObject *original, PyObject *copy, Py_ssize_t held)
{
    bool again = held > 0 ? has_other_holders(original, held)
                          : !has_only_atoms(copy) ||
                                (held == HELD_BY_CYCLE && has_other_holders(original, HELD_ONCE));
    return again ? memo_add(c, original, copy) : 0;
}

// A tuple or frozenset that is shared is remembered as its own copy if it is not the root and has
// tuples or frozensets in it: to look through them at each meeting could take for ever.
static PyObject *share(copier *c, PyObject *obj, Py_ssize_t held, bool nested)
{
    bool again = nested && held != 0 && (held < 0 || has_other_holders(obj, held));
    return again && memo_add(c, obj, obj) < 0 ? NULL : Py_NewRef(obj);
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
    PyObject *copy = PyList_GetSlice(obj, 0, PY_SSIZE_T_MAX);
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
    bool again = held <= 0 || has_other_holders(obj, held);
    bool nested = false;
    PyObject *copy = NULL;
    for (Py_ssize_t i = 0; i < size; i++) {
        PyObject *item = PyTuple_GET_ITEM(obj, i);
        bool atom = is_atom(item);
        nested = nested || !atom;
        PyObject *copied =
            atom ? Py_NewRef(item) : copy_value(c, item, again ? HELD_BY_CYCLE : HELD_ONCE);
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
        return share(c, obj, held, nested);
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
    bool nested = false;
    while (iterator != NULL && (item = PyIter_Next(iterator)) != NULL) {
        bool atom = is_atom(item);
        nested = nested || !atom;
        PyObject *same = atom ? Py_NewRef(item) : copy_value(c, item, HELD_ONCE);
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
    } else if (frozen) { // a new reference to `obj` itself
        Py_DECREF(copy);
        copy = share(c, obj, held, nested);
    }
    return copy;
}

// The constructor would read the original without its lock.
static PyObject *copy_bytearray(copier *c, PyObject *obj, Py_ssize_t held)
{
    PyObject *copy;
    Py_BEGIN_CRITICAL_SECTION(obj);
    copy = PyByteArray_FromStringAndSize(PyByteArray_AS_STRING(obj), PyByteArray_GET_SIZE(obj));
    Py_END_CRITICAL_SECTION();
    if (copy != NULL && remember(c, obj, copy, held) < 0) {
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

static PyObject *apply_handler(copier *c, PyObject *handler, PyObject *obj)
{
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

static PyObject *copy_by_handler(copier *c, PyObject *obj)
{
    PyObject *handler;
    if (PyDict_GetItemRef(c->handlers, (PyObject *)Py_TYPE(obj), &handler) < 0) {
        return NULL;
    }
    if (handler == NULL) {
        if (c->fallback == NULL || PyType_Check(obj) || PyFunction_Check(obj) ||
            PyCFunction_Check(obj) || PyModule_Check(obj)) {
            return Py_NewRef(obj);
        }
        handler = Py_NewRef(c->fallback);
    }
    PyObject *copy = apply_handler(c, handler, obj);
    Py_DECREF(handler);
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
        copy = copy_bytearray(c, obj, held);
    } else {
        copy = copy_other(c, obj);
    }
    Py_LeaveRecursiveCall();
    return copy;
}

static PyObject *run(copier *c, PyObject *obj)
{
    PyObject *copy = copy_value(c, obj, 0);
    memo_free(c);
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
    if (PyDict_GetItemRef(handlers, Py_None, &c.fallback) < 0) {
        return NULL;
    }
    PyObject *copy = run(&c, obj);
    Py_XDECREF(c.fallback);
    return copy;
}
