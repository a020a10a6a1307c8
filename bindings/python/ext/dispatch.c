// SPDX-License-Identifier: Apache-2.0
//
// forkless._core.Dispatch: a function that is one thing to the real process and another to actors.
// It takes the place of functions and methods of the standard library; in C, so that the real
// process does not pay for it.

#include "state.h"

#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>
#define Py_T_PYSSIZET T_PYSSIZET
#define Py_READONLY READONLY
#else
#include <stddef.h>
#endif

typedef struct {
    PyObject_HEAD
    PyObject *original; // what the real process calls
    PyObject *in_actor; // what actors call
    core_state *state;
    vectorcallfunc vectorcall;
    int method; // whether it binds to instances, as functions do and built-in functions do not
    PyObject *dict;
    PyObject *weakrefs;
} dispatch_object;

static PyObject *dispatch_call(PyObject *callable, PyObject *const *args, size_t nargsf,
                               PyObject *names)
{
    dispatch_object *self = (dispatch_object *)callable;
    PyObject *function = core_current(self->state) == NULL ? self->original : self->in_actor;
    return PyObject_Vectorcall(function, args, nargsf, names);
}

static PyObject *dispatch_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"original", "in_actor", "method", NULL};
    PyObject *original, *in_actor;
    int method = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|p:Dispatch", names, &original, &in_actor,
                                     &method)) {
        return NULL;
    }
    dispatch_object *self = (dispatch_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->original = Py_NewRef(original);
        self->in_actor = Py_NewRef(in_actor);
        self->state = core_state_of_type(type);
        self->vectorcall = dispatch_call;
        self->method = method;
    }
    return (PyObject *)self;
}

static int dispatch_traverse(dispatch_object *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->original);
    Py_VISIT(self->in_actor);
    Py_VISIT(self->dict);
    return 0;
}

static int dispatch_clear(dispatch_object *self)
{
    Py_CLEAR(self->original);
    Py_CLEAR(self->in_actor);
    Py_CLEAR(self->dict);
    return 0;
}

static void dispatch_dealloc(dispatch_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs((PyObject *)self);
    }
    dispatch_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *dispatch_get(PyObject *self, PyObject *instance, PyObject *owner)
{
    (void)owner;
    bool binds = ((dispatch_object *)self)->method && instance != NULL;
    return binds ? PyMethod_New(self, instance) : Py_NewRef(self);
}

// By name, as functions are pickled.
static PyObject *dispatch_reduce(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyObject_GetAttrString(self, "__qualname__");
}

static PyMethodDef dispatch_methods[] = {
    {"__reduce__", dispatch_reduce, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef dispatch_getset[] = {
    {"__dict__", PyObject_GenericGetDict, PyObject_GenericSetDict, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef dispatch_members[] = {
    {"__dictoffset__", Py_T_PYSSIZET, offsetof(dispatch_object, dict), Py_READONLY, NULL},
    {"__weaklistoffset__", Py_T_PYSSIZET, offsetof(dispatch_object, weakrefs), Py_READONLY, NULL},
    {"__vectorcalloffset__", Py_T_PYSSIZET, offsetof(dispatch_object, vectorcall), Py_READONLY,
     NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot dispatch_slots[] = {
    {Py_tp_doc, "Dispatch(original, in_actor, method=False)\n--\n\n"
                "Calls original in the real process and in_actor in simulated ones. A method\n"
                "binds to the instances of its class."},
    {Py_tp_new, dispatch_new},
    {Py_tp_dealloc, dispatch_dealloc},
    {Py_tp_traverse, dispatch_traverse},
    {Py_tp_clear, dispatch_clear},
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, dispatch_get},
    {Py_tp_methods, dispatch_methods},
    {Py_tp_getset, dispatch_getset},
    {Py_tp_members, dispatch_members},
    {0, NULL},
};

static PyType_Spec dispatch_spec = {
    .name = "forkless._core.Dispatch",
    .basicsize = sizeof(dispatch_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = dispatch_slots,
};

int core_dispatch_init(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &dispatch_spec, NULL);
    int failed = type == NULL || PyModule_AddType(module, (PyTypeObject *)type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}
