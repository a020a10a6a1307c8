// SPDX-License-Identifier: Apache-2.0
//
// What Python code cannot do to the types of modules and classes whose attributes are per actor
// (see slots.py). Runs in the thread that changes them.

#include "state.h"

// The base of the types that are made for one module. From 3.14 on the interpreter reads an
// attribute of any module with the usual tp_getattro from its dictionary, in code that has run a
// few times, and does not ask the type. With this one it does.
static PyObject *module_getattro(PyObject *self, PyObject *name)
{
    return PyModule_Type.tp_getattro(self, name);
}

static PyType_Slot module_type_slots[] = {
    {Py_tp_doc, "A module whose type may have properties."},
    {Py_tp_getattro, module_getattro},
    {0, NULL},
};

static PyType_Spec module_type_spec = {
    .name = "forkless._core.Module",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = module_type_slots,
};

// What assigning to __class__ does, which refuses classes whose type is `type` itself because that
// one is immutable: it stays so, the class alone gets another one.
//
// Other threads may use the class meanwhile, and without the GIL they do not wait. Each finds one
// type or the other, since a pointer is stored at once: release, and readers follow it, so that
// they see the new type complete (the load that pairs with it is the interpreter's Py_TYPE(),
// ordered by its address dependency). Either will do: one is derived from the other, their layout
// is the same, and what they say differs only in who serves an assignment to the attribute that is
// being isolated, whose value before and after is that of the real process. Reads of it do not
// depend on the metaclass, see _Inherited in slots.py, and so what the interpreter has cached of a
// lookup stays true. Whoever has found the former type holds no reference to it, so without the GIL
// it is kept for ever.
static PyObject *set_metaclass(PyObject *module, PyObject *args)
{
    (void)module;
    PyTypeObject *cls, *metaclass;
    if (!PyArg_ParseTuple(args, "O!O!:set_metaclass", &PyType_Type, &cls, &PyType_Type,
                          &metaclass)) {
        return NULL;
    }
    PyTypeObject *before = Py_TYPE(cls);
    if (!PyType_HasFeature(cls, Py_TPFLAGS_HEAPTYPE) ||
        !PyType_IsSubtype(metaclass, &PyType_Type) ||
        metaclass->tp_basicsize != before->tp_basicsize ||
        metaclass->tp_itemsize != before->tp_itemsize) {
        PyErr_Format(PyExc_TypeError, "the type of %R cannot become %R", (PyObject *)cls,
                     (PyObject *)metaclass);
        return NULL;
    }
    if (PyType_HasFeature(metaclass, Py_TPFLAGS_HEAPTYPE)) {
        Py_INCREF(metaclass); // instances hold a reference to a heap type, and to no other
    }
#ifdef Py_GIL_DISABLED
    __atomic_store_n(&((PyObject *)cls)->ob_type, metaclass, __ATOMIC_RELEASE);
#else
    Py_SET_TYPE((PyObject *)cls, metaclass);
    if (PyType_HasFeature(before, Py_TPFLAGS_HEAPTYPE)) {
        Py_DECREF(before);
    }
#endif
    PyType_Modified(cls);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_metaclass_doc, "set_metaclass(cls, metaclass)\n--\n\n"
                                "Change the type of a class to one with the same layout.");

static PyMethodDef functions[] = {
    {"set_metaclass", set_metaclass, METH_VARARGS, set_metaclass_doc},
    {NULL, NULL, 0, NULL},
};

int core_types_init(PyObject *module)
{
    PyObject *type =
        PyType_FromModuleAndSpec(module, &module_type_spec, (PyObject *)&PyModule_Type);
    if (type == NULL) {
        return -1;
    }
    int result = PyModule_AddObjectRef(module, "Module", type);
    Py_DECREF(type);
    return result < 0 ? -1 : PyModule_AddFunctions(module, functions);
}
