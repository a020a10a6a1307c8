// SPDX-License-Identifier: Apache-2.0
//
// Places: the interpreters, each with its own GIL, in which simulated processes run. Each place has
// a service thread, which makes the interpreter, waits at its door for what others have to say
// while processes come and go, puts it in order after each (forkless.places), and ends it. An
// actor's thread takes a place that is vacant, or has one made, and makes its thread state there.
//
// The word is Racket's, whose places are virtual machines that run in parallel and send messages.

#include "places.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#if PY_VERSION_HEX >= 0x030D0000

#define STACK_SIZE ((size_t)16 << 20) // of a service thread: in it runs what the program imports

typedef enum { MAKING, FAILED, MADE } place_state;

typedef struct place {
    place_state state; // guarded by the lock of the pool
    PyThreadState *service;
    core_state *core;     // of the extension in its interpreter
    PyObject *serve;      // serve(channel), of its interpreter
    core_stream *door;    // a byte string for the service thread; closed: it shall end
    struct place *vacant; // the next vacant one
    bool counted;         // among those that are put in order
    bool lingers;
} place;

static struct {
    pthread_mutex_t lock; // guards the rest; nobody who holds it waits for a GIL
    pthread_cond_t changed;
    place *vacant;
    unsigned vacancies;
    unsigned most_vacant; // to be kept
    unsigned tidying;     // places that will be vacant in a moment
    unsigned waiting;     // actors that wait for a place
    unsigned making;      // places that are being made
    unsigned most_making; // at a time
    unsigned count;       // of places
    unsigned launches;    // actors that have a place, or will look for one
    unsigned lingering;   // places that threads of the last process have not left yet
    bool closed;          // no more are made
    char *preparation;    // Python code that a new interpreter runs first
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

// Interpreters are made and ended one at a time: what they have in common in the interpreter's own
// core is not always guarded against two. Held before any GIL is asked for.
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

// The place whose service thread this is.
static _Thread_local place *own_place;

static const PyInterpreterConfig config = {
    .use_main_obmalloc = 0,
    .allow_fork = 0,
    .allow_exec = 1,
    .allow_threads = 1,
    .allow_daemon_threads = 1, // managers have some
    .check_multi_interp_extensions = 1,
    .gil = PyInterpreterConfig_OWN_GIL,
};

// Attaches the calling thread to a new interpreter. NULL when there is none to be had.
static PyThreadState *make_interpreter(void)
{
    PyThreadState *made = NULL;
    pthread_mutex_lock(&making);
    PyThreadState *guest = PyThreadState_New(PyInterpreterState_Main());
    if (guest != NULL) {
        PyEval_AcquireThread(guest);
        PyStatus status = Py_NewInterpreterFromConfig(&made, &config);
        if (PyStatus_Exception(status) || made == NULL) {
            made = NULL;
        } else {
            PyEval_SaveThread();
            PyEval_AcquireThread(guest);
        }
        PyThreadState_Clear(guest);
        PyThreadState_DeleteCurrent();
    }
    pthread_mutex_unlock(&making);
    if (made != NULL) {
        PyEval_AcquireThread(made);
    }
    return made;
}

static void prepare(void)
{
    pthread_mutex_lock(&pool.lock);
    char *code = pool.preparation == NULL ? NULL : strdup(pool.preparation);
    pthread_mutex_unlock(&pool.lock);
    if (code != NULL) {
        PyRun_SimpleString(code);
        free(code);
    }
}

// Imports what serves in this interpreter. Returns the function of the service thread, or
// NULL with an exception set.
static PyObject *import_service(place *place)
{
    prepare();
    PyObject *core = PyImport_ImportModule("forkless._core");
    PyObject *module = core == NULL ? NULL : PyImport_ImportModule("forkless.places");
    PyObject *attend = module == NULL ? NULL : PyObject_GetAttrString(module, "attend");
    PyObject *door = attend == NULL ? NULL : PyObject_GetAttrString(module, "door");
    place->serve = door == NULL ? NULL : PyObject_GetAttrString(module, "serve");
    if (place->serve != NULL) {
        place->core = core_state_of(core);
        place->door = core_channel_stream(place->core, door);
    }
    Py_XDECREF(door);
    Py_XDECREF(module);
    Py_XDECREF(core); // sys.modules keeps it
    if (place->door == NULL) {
        Py_CLEAR(attend);
    }
    return attend;
}

static void set_state(place *place, place_state state)
{
    pthread_mutex_lock(&pool.lock);
    place->state = state;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
}

// Ends the interpreter, if no thread of it is left that cannot be waited for.
static void end_interpreter(place *place)
{
    if (place->core != NULL) {
        core_visits_close(core_returns_visits(place->core->returns));
    }
    Py_CLEAR(place->serve);
    PyThreadState *first = PyInterpreterState_ThreadHead(place->service->interp);
    if (first == place->service && PyThreadState_Next(first) == NULL) {
        PyEval_SaveThread();
        pthread_mutex_lock(&making);
        PyEval_AcquireThread(place->service);
        Py_EndInterpreter(place->service);
        pthread_mutex_unlock(&making);
    } else {
        PyEval_SaveThread(); // it stays as it is until the process ends
    }
}

static void *run_service(void *arg)
{
    place *place = arg;
    own_place = place;
    place->service = make_interpreter();
    PyObject *attend = place->service == NULL ? NULL : import_service(place);
    if (attend == NULL) {
        if (place->service != NULL) {
            PyErr_Print();
        }
    } else {
        PyObject *result = PyObject_CallNoArgs(attend);
        if (result == NULL) {
            PyErr_Print();
        }
        Py_XDECREF(result);
        Py_DECREF(attend);
    }
    if (place->service != NULL) {
        end_interpreter(place);
    }
    if (place->state == MAKING) { // which only this thread changes
        set_state(place, FAILED); // who has asked for it frees it
    } else {
        core_stream_release(place->door);
        free(place);
    }
    pthread_mutex_lock(&pool.lock);
    pool.count--;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

static bool start_service(place *place)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0) {
        return false;
    }
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    bool started = pthread_create(&thread, &attributes, run_service, place) == 0;
    pthread_attr_destroy(&attributes);
    return started;
}

static place *make_place_locked(void)
{
    place *made = calloc(1, sizeof *made);
    if (made == NULL || !start_service(made)) {
        free(made);
        return NULL;
    }
    pool.count++;
    pool.making++;
    while (made->state == MAKING) {
        pthread_cond_wait(&pool.changed, &pool.lock);
    }
    pool.making--;
    pthread_cond_broadcast(&pool.changed);
    if (made->state == FAILED) {
        free(made);
        return NULL;
    }
    return made;
}

static bool must_wait_locked(void)
{
    return pool.vacant == NULL && !pool.closed &&
           (pool.tidying >= pool.waiting || pool.making >= pool.most_making);
}

static void make_vacant_locked(place *place)
{
    place->vacant = pool.vacant;
    pool.vacant = place;
    pool.vacancies++;
}

// NULL when there is none to be had, or the actor has been ended meanwhile.
static place *take_place(fkl_actor *actor)
{
    place *taken = NULL;
    pthread_mutex_lock(&pool.lock);
    pool.waiting++;
    while (must_wait_locked() && !fkl_actor_stop_requested(actor)) {
        pthread_cond_wait(&pool.changed, &pool.lock);
    }
    pool.waiting--;
    if (fkl_actor_stop_requested(actor)) {
        // It needs none.
    } else if (pool.vacant != NULL) {
        taken = pool.vacant;
        pool.vacant = taken->vacant;
        pool.vacancies--;
    } else if (!pool.closed) {
        taken = make_place_locked();
    }
    if (taken != NULL && fkl_actor_stop_requested(actor)) {
        if (pool.closed) {
            core_stream_close(taken->door);
        } else {
            make_vacant_locked(taken);
        }
        taken = NULL;
    }
    pthread_cond_broadcast(&pool.changed); // there is one less who waits
    pthread_mutex_unlock(&pool.lock);
    return taken;
}

// After its process has left it: the service thread puts it in order and calls vacate().
static void leave_place(place *place)
{
    static const int nobody = 0;
    fkl_msg *msg;
    pthread_mutex_lock(&pool.lock);
    pool.tidying++;
    place->counted = true;
    pthread_mutex_unlock(&pool.lock);
    if (fkl_msg_create_copy(NULL, FKL_CODEC_RAW, &nobody, sizeof nobody, &msg) == FKL_OK &&
        core_stream_try_send(place->door, msg, sizeof nobody) == FKL_OK) {
        return;
    }
    core_stream_close(place->door); // no memory: it ends
}

static void serve(place *place, fkl_actor *handle, core_stream *stream)
{
    PyObject *channel = core_channel_wrap(place->core, stream, CORE_NO_END);
    PyObject *result = channel == NULL ? NULL : PyObject_CallOneArg(place->serve, channel);
    Py_XDECREF(channel);
    if (result == NULL) {
        PyErr_WriteUnraisable(place->serve);
        if (fkl_actor_set_exit(handle, 1, NULL, 0) != FKL_OK) {
            fkl_actor_exit_now(handle, 1);
        }
    }
    Py_XDECREF(result);
}

static void run_in(place *place, fkl_actor *handle, core_launch *launch)
{
    PyThreadState *thread = PyThreadState_New(place->core->interp);
    if (thread == NULL) {
        fkl_actor_exit_now(handle, 1);
        return;
    }
    PyEval_AcquireThread(thread);
    serve(place, handle, launch->stream);
    // What is dropped from here on is nobody's: the object of the actor may go with it.
    fkl_actor *previous;
    fkl_actor_retain(handle);
    fkl_actor_leave(NULL);
    PyThreadState_Clear(thread);
    PyThreadState_DeleteCurrent();
    (void)!fkl_actor_enter(handle, &previous);
    fkl_actor_release(handle);
}

void core_run_in_place(fkl_actor *handle, void *arg)
{
    core_launch *launch = arg;
    core_process_note_handle(launch->process, handle);
    place *place = take_place(handle);
    if (place == NULL) {
        fkl_actor_exit_now(handle, 1); // what went wrong was printed, unless it has ended
    } else {
        run_in(place, handle, launch);
        leave_place(place);
    }
    core_stream_release(launch->stream);
    core_process_release(launch->process);
    free(launch);
    core_launch_end();
}

void core_launch_begin(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.launches++;
    pthread_mutex_unlock(&pool.lock);
}

void core_launch_end(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.launches--;
    pthread_mutex_unlock(&pool.lock);
}

// For the service thread

static PyObject *place_is_ready(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    if (own_place != NULL) {
        set_state(own_place, MADE);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(vacate_doc, "vacate(clean)\n--\n\n"
                         "The place is in order again, or will not be soon. Returns whether to go\n"
                         "on: not when it is not clean, or when there are enough without it.");

static PyObject *vacate(PyObject *module, PyObject *arg)
{
    (void)module;
    int clean = PyObject_IsTrue(arg);
    if (clean < 0 || own_place == NULL) {
        return clean < 0 ? NULL : Py_NewRef(Py_False);
    }
    pthread_mutex_lock(&pool.lock);
    if (own_place->counted) {
        own_place->counted = false;
        pool.tidying--;
    }
    if (own_place->lingers) {
        own_place->lingers = false;
        pool.lingering--;
    }
    bool stays = clean && !pool.closed && pool.vacancies < pool.most_vacant;
    if (stays) {
        make_vacant_locked(own_place);
    }
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
    return PyBool_FromLong(stays);
}

PyDoc_STRVAR(linger_doc, "linger()\n--\n\n"
                         "It will take a while until the place is in order: nobody waits for it.\n"
                         "Returns whether it is too late.");

static PyObject *linger(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    if (own_place != NULL && own_place->counted) {
        own_place->counted = false;
        pool.tidying--;
    }
    if (own_place != NULL && !own_place->lingers) {
        own_place->lingers = true;
        pool.lingering++;
    }
    bool closed = pool.closed;
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
    return PyBool_FromLong(closed);
}

static PyObject *open_places(PyObject *module, PyObject *args)
{
    (void)module;
    const char *code;
    unsigned most_vacant, most_making;
    if (!PyArg_ParseTuple(args, "sII:open_places", &code, &most_vacant, &most_making)) {
        return NULL;
    }
    char *copy = strdup(code);
    if (copy == NULL) {
        return PyErr_NoMemory();
    }
    pthread_mutex_lock(&pool.lock);
    char *before = pool.preparation;
    pool.preparation = copy;
    pool.most_vacant = most_vacant;
    pool.most_making = most_making > 0 ? most_making : 1;
    pthread_mutex_unlock(&pool.lock);
    free(before);
    Py_RETURN_NONE;
}

static void close_vacant(bool for_good)
{
    pthread_mutex_lock(&pool.lock);
    pool.closed = pool.closed || for_good;
    place *place = pool.vacant;
    pool.vacant = NULL;
    pool.vacancies = 0;
    while (place != NULL) {
        struct place *next = place->vacant;
        core_stream_close(place->door); // whereupon it may be freed
        place = next;
    }
    pthread_cond_broadcast(&pool.changed);
    pthread_mutex_unlock(&pool.lock);
}

// `occupied`: whether somebody is in any, who may stay.
static unsigned count_places(bool *occupied)
{
    pthread_mutex_lock(&pool.lock);
    unsigned count = pool.count + pool.launches;
    *occupied = pool.launches + pool.lingering > 0;
    pthread_mutex_unlock(&pool.lock);
    return count;
}

PyDoc_STRVAR(
    close_places_doc,
    "close_places(timeout, for_good)\n--\n\n"
    "End the interpreters that are vacant, or will be up to timeout seconds from now; longer\n"
    "if nobody is in any. Returns how many are left, or about to be made. For good: no more\n"
    "are made, and nobody visits this one.");

static PyObject *close_places(PyObject *module, PyObject *args)
{
    core_state *state = core_state_of(module);
    PyObject *timeout;
    int for_good;
    fkl_time deadline;
    if (!PyArg_ParseTuple(args, "Op:close_places", &timeout, &for_good) ||
        core_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    close_vacant(for_good);
    fkl_time latest = fkl_after_ms(30000);
    bool occupied;
    unsigned left;
    while ((left = count_places(&occupied)) > 0 && fkl_now() < (occupied ? deadline : latest)) {
        Py_BEGIN_ALLOW_THREADS(void)
        !fkl_sleep_until(fkl_after_ns(500000));
        Py_END_ALLOW_THREADS
        close_vacant(for_good);
    }
    if (for_good) {
        core_visits_close(core_returns_visits(state->returns));
    }
    return PyLong_FromUnsignedLong(left);
}

#else

void core_launch_begin(void)
{
}

void core_launch_end(void)
{
}

void core_run_in_place(fkl_actor *handle, void *launch)
{
    (void)launch; // Python code refuses it earlier
    fkl_actor_exit_now(handle, 1);
}

#endif

static PyObject *processes(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    size_t size = core_process_list(NULL, NULL, 0) + 16;
    int *numbers = PyMem_Malloc(2 * size * sizeof *numbers);
    if (numbers == NULL) {
        return PyErr_NoMemory();
    }
    size_t count = core_process_list(numbers, numbers + size, size);
    PyObject *list = PyList_New(0);
    for (size_t i = 0; list != NULL && i < count && i < size; i++) {
        PyObject *item = Py_BuildValue("(ii)", numbers[i], numbers[size + i]);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(item);
    }
    PyMem_Free(numbers);
    return list;
}

PyDoc_STRVAR(frames_doc,
             "current_frames()\n--\n\n"
             "sys._current_frames() for the threads of this interpreter. That one makes frame\n"
             "objects for all others, too, in the memory of this one, which they then free.");

static PyObject *current_frames(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *frames = PyDict_New();
    // The GIL is held: who leaves the list holds it too, and who joins it does so at its head.
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; frames != NULL && thread != NULL; thread = PyThreadState_Next(thread)) {
        PyObject *frame = (PyObject *)PyThreadState_GetFrame(thread);
        PyObject *ident = frame == NULL ? NULL : PyLong_FromUnsignedLong(thread->thread_id);
        if (frame != NULL && (ident == NULL || PyDict_SetItem(frames, ident, frame) < 0)) {
            Py_CLEAR(frames);
        }
        Py_XDECREF(ident);
        Py_XDECREF(frame);
    }
    return frames;
}

static PyObject *count_threads(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    long count = 0;
    PyThreadState *thread = PyInterpreterState_ThreadHead(PyInterpreterState_Get());
    for (; thread != NULL; thread = PyThreadState_Next(thread)) { // as in current_frames()
        count++;
    }
    return PyLong_FromLong(count);
}

static PyMethodDef functions[] = {
    {"count_threads", count_threads, METH_NOARGS,
     "How many threads of this interpreter there are, or are about to be."},
    {"current_frames", current_frames, METH_NOARGS, frames_doc},
    {"processes", processes, METH_NOARGS,
     "The pid and the group of each process that several interpreters know of."},
#if PY_VERSION_HEX >= 0x030D0000
    {"ready", place_is_ready, METH_NOARGS, "Let the process in for which the place was made."},
    {"vacate", vacate, METH_O, vacate_doc},
    {"linger", linger, METH_NOARGS, linger_doc},
    {"open_places", open_places, METH_VARARGS,
     "open_places(code, vacant, making): what a new interpreter runs first, how many to keep, and\n"
     "how many to make at a time."},
    {"close_places", close_places, METH_VARARGS, close_places_doc},
#endif
    {NULL, NULL, 0, NULL},
};

int core_places_init(PyObject *module)
{
#if PY_VERSION_HEX >= 0x030D0000
    bool is_main = PyInterpreterState_Get() == PyInterpreterState_Main();
#else
    bool is_main = true;
#endif
    return PyModule_AddObjectRef(module, "IS_MAIN", is_main ? Py_True : Py_False) < 0
               ? -1
               : PyModule_AddFunctions(module, functions);
}
