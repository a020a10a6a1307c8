// SPDX-License-Identifier: Apache-2.0
//
// Set-up of forkless._core: the module state, its runtime, and the functions that belong to no
// type.

#include "actor.h"
#include "places.h"

#include <unistd.h>

PyDoc_STRVAR(module_doc, "The C core of forkless: actors, channels, semaphores and fast copies.");

static PyObject *module_current(PyObject *module, PyObject *unused)
{
    (void)unused;
    PyObject *actor = core_current(core_state_of(module));
    return Py_NewRef(actor == NULL ? Py_None : actor);
}

static PyObject *module_here(PyObject *module, PyObject *unused)
{
    (void)unused;
    core_state *state = core_state_of(module);
    PyObject *actor = core_current(state);
    return Py_NewRef(actor == NULL ? state->real_process : actor);
}

// Once, during an import, so that here() needs no lock.
static PyObject *module_set_real_process(PyObject *module, PyObject *process)
{
    core_state *state = core_state_of(module);
    if (state->real_process != Py_None) {
        PyErr_SetString(PyExc_RuntimeError, "set_real_process() was called before");
        return NULL;
    }
    Py_SETREF(state->real_process, Py_NewRef(process));
    Py_RETURN_NONE;
}

static PyObject *module_getpid(PyObject *module, PyObject *unused)
{
    (void)unused;
    PyObject *actor = core_current(core_state_of(module));
    return actor == NULL ? PyLong_FromLong(getpid()) : PyObject_GetAttrString(actor, "pid");
}

// In the child of a real fork() the calling thread is all that is left: it acts for itself from now
// on.
static PyObject *module_after_fork(PyObject *module, PyObject *unused)
{
    (void)unused;
    fkl_actor_leave(NULL);
    atomic_store(&core_state_of(module)->booting, 0);
    Py_RETURN_NONE;
}

static PyObject *module_before_exit(PyObject *module, PyObject *unused)
{
    (void)unused;
    core_wait_for_boots(core_state_of(module));
    Py_RETURN_NONE;
}

static PyObject *module_start_thread(PyObject *module, PyObject *stack_size)
{
    return core_ahead_start(core_state_of(module), stack_size);
}

static PyObject *module_forget_threads(PyObject *module, PyObject *unused)
{
    (void)unused;
    fkl_ahead_forget(core_state_of(module)->runtime);
    Py_RETURN_NONE;
}

static fkl_err do_sleep(void *ctx)
{
    return fkl_sleep_until(*(fkl_time *)ctx);
}

PyDoc_STRVAR(sleep_doc, "sleep(seconds)\n--\n\n"
                        "As time.sleep(), but ends at once when the actor is told to.");

static PyObject *module_sleep(PyObject *module, PyObject *seconds)
{
    core_state *state = core_state_of(module);
    double number = PyFloat_AsDouble(seconds);
    if (number == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    if (number < 0.0) {
        PyErr_SetString(PyExc_ValueError, "sleep length must be non-negative");
        return NULL;
    }
    if (number > 9.2e9) { // as time.sleep(), which counts nanoseconds in 64 bits
        PyErr_SetString(PyExc_OverflowError, "timestamp too large to convert to C PyTime_t");
        return NULL;
    }
    fkl_time deadline;
    if (core_deadline(seconds, &deadline) < 0) {
        return NULL;
    }
    fkl_err err = core_blocking(state, do_sleep, &deadline);
    if (err == FKL_EINTR) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    copy_doc,
    "copy(obj, handlers=None)\n--\n\n"
    "A deep copy, as pickling and unpickling would give, for another actor.\n\n"
    "Exact dict, list, tuple, set, frozenset and bytearray are copied with shared\n"
    "references and cycles kept; numbers, str, bytes, None and the like are shared. For any\n"
    "other object handlers is looked up by its exact type: 'share' (by reference),\n"
    "'container' (a subclass of dict or list: copy.copy(), then the children in place), or\n"
    "a callable that takes the object and returns its replacement. handlers[None] serves\n"
    "types that are not listed; without it they are shared. With handlers=None an object\n"
    "that is not plain data is a TypeError.");

static PyObject *module_copy(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    (void)module;
    if (nargs < 1 || nargs > 2 || (nargs == 2 && args[1] != Py_None && !PyDict_Check(args[1]))) {
        PyErr_SetString(PyExc_TypeError, "copy() takes an object and, optionally, a dict");
        return NULL;
    }
    if (nargs == 2 && args[1] != Py_None) {
        return core_copy_with(args[0], args[1]);
    }
    PyObject *copy = core_copy_plain(args[0]);
    if (copy == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_TypeError, "the object is not plain data");
    }
    return copy;
}

static PyObject *module_try_copy(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *obj, *otherwise;
    if (!PyArg_ParseTuple(args, "OO:try_copy", &obj, &otherwise)) {
        return NULL;
    }
    PyObject *copy = core_copy_plain(obj);
    return copy == NULL && !PyErr_Occurred() ? Py_NewRef(otherwise) : copy;
}

static PyObject *module_pack(PyObject *module, PyObject *obj)
{
    return core_pack(core_state_of(module), obj);
}

static PyObject *module_unpack(PyObject *module, PyObject *data)
{
    Py_buffer view;
    if (PyObject_GetBuffer(data, &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    PyObject *obj = core_unpack(core_state_of(module), view.buf, (size_t)view.len);
    PyBuffer_Release(&view);
    return obj;
}

static PyObject *module_configure(PyObject *module, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dumps",         "loads",       "dump_bytes",  "error_record",
                            "rebuild_error", "dump_parcel", "load_parcel", NULL};
    core_state *state = core_state_of(module);
    PyObject *dumps, *loads, *dump_bytes, *error_record, *rebuild_error, *dump_parcel, *load_parcel;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OOOOOOO:configure", names, &dumps, &loads,
                                     &dump_bytes, &error_record, &rebuild_error, &dump_parcel,
                                     &load_parcel)) {
        return NULL;
    }
    // Once, during an import, so that others may read them without a lock.
    if (state->dumps != Py_None) {
        PyErr_SetString(PyExc_RuntimeError, "configure() was called before");
        return NULL;
    }
    Py_SETREF(state->dumps, Py_NewRef(dumps));
    Py_SETREF(state->loads, Py_NewRef(loads));
    Py_SETREF(state->dump_bytes, Py_NewRef(dump_bytes));
    Py_SETREF(state->error_record, Py_NewRef(error_record));
    Py_SETREF(state->rebuild_error, Py_NewRef(rebuild_error));
    Py_SETREF(state->dump_parcel, Py_NewRef(dump_parcel));
    Py_SETREF(state->load_parcel, Py_NewRef(load_parcel));
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    unraisable_hook_doc,
    "unraisable_hook(hooks, unraisable)\n--\n\n"
    "For sys.unraisablehook: what others have thrown at an actor and came while a finalizer\n"
    "ran, where it is dropped, is raised again; all else goes to hooks['hook'].\n"
    "hooks['thrower'] is the code that calls signal handlers for others.");

// Whether the exception has come through a call of `code`. False before 3.12, which forgets where
// one came from when it is raised in another thread.
static bool passed_through(PyObject *error, PyObject *code)
{
    PyTracebackObject *trace = (PyTracebackObject *)PyException_GetTraceback(error);
    PyTracebackObject *all = trace;
    bool passed = false;
    for (; trace != NULL && !passed; trace = trace->tb_next) {
        PyCodeObject *one = PyFrame_GetCode(trace->tb_frame);
        passed = (PyObject *)one == code;
        Py_DECREF(one);
    }
    Py_XDECREF(all);
    return passed;
}

// Whether an exception that was dropped in this thread of the actor was thrown at it. What a signal
// handler raises is meant for its own thread alone.
static bool was_thrown(core_state *state, PyObject *actor, PyObject *hooks, PyObject *error)
{
    if (PyObject_TypeCheck(error, (PyTypeObject *)state->process_exit)) {
        return true;
    }
    PyObject *code = PyDict_GetItemString(hooks, "thrower");
    return is_own_thread((actor_object *)actor) && code != NULL &&
           (PyErr_GivenExceptionMatches(error, PyExc_KeyboardInterrupt) ||
            passed_through(error, code));
}

// In C, because what is to be raised again must not be raised in the hook.
static PyObject *module_unraisable_hook(PyObject *module, PyObject *args)
{
    core_state *state = core_state_of(module);
    PyObject *hooks, *unraisable;
    if (!PyArg_ParseTuple(args, "O!O:unraisable_hook", &PyDict_Type, &hooks, &unraisable)) {
        return NULL;
    }
    PyObject *error = PyObject_GetAttrString(unraisable, "exc_value");
    PyObject *actor = core_current(state);
    PyObject *result = NULL;
    if (error != NULL && error != Py_None && actor != NULL &&
        was_thrown(state, actor, hooks, error)) {
        result = PyObject_CallMethod(actor, "throw_again", "O", error);
    } else if (error != NULL) {
        PyObject *hook = PyMapping_GetItemString(hooks, "hook");
        result = hook == NULL ? NULL : PyObject_CallOneArg(hook, unraisable);
        Py_XDECREF(hook);
    }
    Py_XDECREF(error);
    return result;
}

static PyObject *module_counters(PyObject *module, PyObject *unused)
{
    (void)unused;
    fkl_counters c;
    fkl_runtime_counters(core_state_of(module)->runtime, &c);
    return Py_BuildValue("{s:K,s:K,s:K}", "spawned", (unsigned long long)c.spawned, "live",
                         (unsigned long long)c.live, "orphans", (unsigned long long)c.orphans);
}

static PyMethodDef module_methods[] = {
    {"current", module_current, METH_NOARGS, "The actor of this thread, or None."},
    {"here", module_here, METH_NOARGS,
     "The actor of this thread, or what set_real_process() was given."},
    {"set_real_process", module_set_real_process, METH_O,
     "set_real_process(process): what here() returns outside of actors."},
    {"getpid", module_getpid, METH_NOARGS, "The pid of this actor, or of the real process."},
    {"after_fork", module_after_fork, METH_NOARGS,
     "Let this thread act for the real process; for the child of a real fork."},
    {"_before_exit", module_before_exit, METH_NOARGS,
     "Wait for threads that are about to start; registered with atexit."},
    {"start_thread", module_start_thread, METH_O,
     "start_thread(stack_size): a thread that waits for its actor, for Actor.start(); or None."},
    {"forget_threads", module_forget_threads, METH_NOARGS,
     "Let threads end that are ready for new actors."},
    {"sleep", module_sleep, METH_O, sleep_doc},
    {"copy", (PyCFunction)(void (*)(void))module_copy, METH_FASTCALL, copy_doc},
    {"try_copy", module_try_copy, METH_VARARGS,
     "try_copy(obj, otherwise): a copy of plain data, or `otherwise` for any other object."},
    {"pack", module_pack, METH_O, "pack(obj): plain data as msgpack bytes."},
    {"unpack", module_unpack, METH_O, "unpack(data): the object in msgpack bytes."},
    {"configure", (PyCFunction)(void (*)(void))module_configure, METH_VARARGS | METH_KEYWORDS,
     "Set the functions that carry other objects than plain data between actors."},
    {"unraisable_hook", module_unraisable_hook, METH_VARARGS, unraisable_hook_doc},
    {"counters", module_counters, METH_NOARGS,
     "How many actors were spawned, live, and run on as orphans."},
    {NULL, NULL, 0, NULL},
};

static int add_exceptions(PyObject *module, core_state *state)
{
    state->process_exit =
        PyErr_NewExceptionWithDoc("forkless.ProcessExit",
                                  "Unwinds a simulated process that called os._exit() or was "
                                  "terminated. Not an Exception, so\n"
                                  "that ordinary handlers let it pass. args[0] is the exit code.",
                                  PyExc_BaseException, NULL);
    state->corrupt_message = PyErr_NewExceptionWithDoc(
        "forkless.CorruptMessage",
        "A message is not what its codec says: it was cut short, garbled, or sent by a program "
        "that\n"
        "speaks another format. The message is lost; the queue it came from goes on.",
        PyExc_ValueError, NULL);
    if (PyModule_AddObjectRef(module, "ProcessExit", state->process_exit) < 0 ||
        PyModule_AddObjectRef(module, "CorruptMessage", state->corrupt_message) < 0) {
        return -1;
    }
    PyObject *queue = PyImport_ImportModule("queue");
    if (queue == NULL) {
        return -1;
    }
    state->queue_empty = PyObject_GetAttrString(queue, "Empty");
    state->queue_full = PyObject_GetAttrString(queue, "Full");
    Py_DECREF(queue);
    return state->queue_empty == NULL || state->queue_full == NULL ? -1 : 0;
}

static int register_before_exit(PyObject *module)
{
    PyObject *atexit = PyImport_ImportModule("atexit");
    PyObject *function = atexit == NULL ? NULL : PyObject_GetAttrString(module, "_before_exit");
    PyObject *registered =
        function == NULL ? NULL : PyObject_CallMethod(atexit, "register", "O", function);
    Py_XDECREF(registered);
    Py_XDECREF(function);
    Py_XDECREF(atexit);
    return registered == NULL ? -1 : 0;
}

// The free-threaded 3.13 prepares all of its objects when the second thread state is made, and does
// not guard that against a third: it is done here, before there are actors.
static void prepare_for_threads(PyInterpreterState *interp)
{
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX < 0x030E0000
    PyThreadState *second = PyThreadState_New(interp);
    if (second != NULL) {
        PyThreadState_Clear(second);
        PyThreadState_Delete(second);
    }
#else
    (void)interp;
#endif
}

static PyObject *make_breath(void)
{
    PyObject *globals = PyDict_New();
    PyObject *breath =
        globals == NULL ? NULL : PyRun_String("lambda: None", Py_eval_input, globals, globals);
    Py_XDECREF(globals);
    return breath;
}

static int module_exec(PyObject *module)
{
    core_state *state = core_state_of(module);
    state->interp = PyInterpreterState_Get();
    prepare_for_threads(state->interp);
    fkl_err err = core_runtime_retain(&state->runtime);
    if (err != FKL_OK) {
        core_raise(state, err, "cannot make a runtime");
        return -1;
    }
    state->parallel = sysconf(_SC_NPROCESSORS_ONLN) > 1;
    state->real_process = Py_NewRef(Py_None);
    state->dumps = Py_NewRef(Py_None);
    state->loads = Py_NewRef(Py_None);
    state->dump_bytes = Py_NewRef(Py_None);
    state->error_record = Py_NewRef(Py_None);
    state->rebuild_error = Py_NewRef(Py_None);
    state->dump_parcel = Py_NewRef(Py_None);
    state->load_parcel = Py_NewRef(Py_None);
    state->returns = core_returns_create(state);
    if (state->returns == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    state->breath = make_breath();
    if (state->breath == NULL || add_exceptions(module, state) < 0 ||
        core_actor_init(module, state) < 0 || core_channel_init(module, state) < 0 ||
        core_semlock_init(module, state) < 0 || core_locks_init(module) < 0 ||
        core_descriptors_init(module) < 0 || core_dispatch_init(module) < 0 ||
        core_types_init(module) < 0 || core_places_init(module) < 0 ||
        register_before_exit(module) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "__version__", FKL_VERSION);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    core_state *state = core_state_of(module);
    Py_VISIT(state->actor_type);
    Py_VISIT(state->channel_type);
    Py_VISIT(state->semlock_type);
    Py_VISIT(state->delivery_type);
    Py_VISIT(state->process_exit);
    Py_VISIT(state->corrupt_message);
    Py_VISIT(state->queue_empty);
    Py_VISIT(state->queue_full);
    Py_VISIT(state->breath);
    Py_VISIT(state->real_process);
    Py_VISIT(state->dumps);
    Py_VISIT(state->loads);
    Py_VISIT(state->dump_bytes);
    Py_VISIT(state->error_record);
    Py_VISIT(state->rebuild_error);
    Py_VISIT(state->dump_parcel);
    Py_VISIT(state->load_parcel);
    return 0;
}

static int module_clear(PyObject *module)
{
    core_state *state = core_state_of(module);
    Py_CLEAR(state->actor_type);
    Py_CLEAR(state->channel_type);
    Py_CLEAR(state->semlock_type);
    Py_CLEAR(state->delivery_type);
    Py_CLEAR(state->process_exit);
    Py_CLEAR(state->corrupt_message);
    Py_CLEAR(state->queue_empty);
    Py_CLEAR(state->queue_full);
    Py_CLEAR(state->breath);
    Py_CLEAR(state->real_process);
    Py_CLEAR(state->dumps);
    Py_CLEAR(state->loads);
    Py_CLEAR(state->dump_bytes);
    Py_CLEAR(state->error_record);
    Py_CLEAR(state->rebuild_error);
    Py_CLEAR(state->dump_parcel);
    Py_CLEAR(state->load_parcel);
    return 0;
}

static void module_free(void *module)
{
    core_state *state = core_state_of((PyObject *)module);
    module_clear((PyObject *)module);
    if (state->runtime != NULL) {
        core_runtime_release();
    }
    state->runtime = NULL;
    core_frames_fini(&state->frames);
    if (state->returns != NULL) {
        core_returns_close(state->returns);
    }
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#elif PY_VERSION_HEX >= 0x030C0000 // where too little else can be imported there
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

struct PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,         .m_name = "forkless._core",  .m_doc = module_doc,
    .m_size = sizeof(core_state),  .m_methods = module_methods, .m_slots = module_slots,
    .m_traverse = module_traverse, .m_clear = module_clear,     .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&core_module);
}
