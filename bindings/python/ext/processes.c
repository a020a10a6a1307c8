// SPDX-License-Identifier: Apache-2.0
//
// The simulated processes that more than one interpreter has to do with, and the methods of Actor
// for them. An Actor object is either the process's own, in the interpreter in which it runs, or
// one that stands for it in another: that one waits for it and ends it, and what it has to say
// otherwise it leaves as a signal, and knocks at the door of the interpreter in which it runs.

#include "places.h"

#include <stdlib.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // of the list and of the doors
static core_process *all;

core_process *core_process_create(int pid, int group)
{
    core_process *process = calloc(1, sizeof *process);
    if (process == NULL) {
        return NULL;
    }
    atomic_init(&process->refs, 1);
    atomic_init(&process->group, group);
    process->pid = pid;
    pthread_mutex_lock(&lock);
    process->next = all;
    if (all != NULL) {
        all->previous = process;
    }
    all = process;
    pthread_mutex_unlock(&lock);
    return process;
}

core_process *core_process_retain(core_process *process)
{
    atomic_fetch_add_explicit(&process->refs, 1, memory_order_relaxed); // the caller has one
    return process;
}

core_process *core_process_find(int pid)
{
    pthread_mutex_lock(&lock);
    core_process *process = all;
    while (process != NULL && process->pid != pid) {
        process = process->next;
    }
    // What is in the list has a reference, since the last one is dropped under the lock.
    if (process != NULL) {
        core_process_retain(process);
    }
    pthread_mutex_unlock(&lock);
    return process;
}

void core_process_release(core_process *process)
{
    pthread_mutex_lock(&lock);
    bool last = atomic_fetch_sub_explicit(&process->refs, 1, memory_order_relaxed) == 1;
    if (last) {
        *(process->previous == NULL ? &all : &process->previous->next) = process->next;
        if (process->next != NULL) {
            process->next->previous = process->previous;
        }
    }
    pthread_mutex_unlock(&lock);
    if (last) {
        core_stream_release(process->door);
        fkl_actor_release(atomic_load_explicit(&process->handle, memory_order_relaxed));
        free(process);
    }
}

// By who starts it and by its own thread, whoever comes first.
void core_process_note_handle(core_process *process, fkl_actor *handle)
{
    fkl_actor *expected = NULL;
    fkl_actor_retain(handle);
    // Release: pairs with the acquire in stand_for().
    if (!atomic_compare_exchange_strong_explicit(&process->handle, &expected, handle,
                                                 memory_order_release, memory_order_relaxed)) {
        fkl_actor_release(handle);
    }
}

size_t core_process_list(int *pids, int *groups, size_t size)
{
    size_t count = 0;
    pthread_mutex_lock(&lock);
    for (core_process *process = all; process != NULL; process = process->next) {
        if (count < size) {
            pids[count] = process->pid;
            groups[count] = atomic_load_explicit(&process->group, memory_order_relaxed);
        }
        count++;
    }
    pthread_mutex_unlock(&lock);
    return count;
}

void core_process_set_door(core_process *process, core_stream *door)
{
    pthread_mutex_lock(&lock);
    core_stream *before = process->door;
    process->door = core_stream_retain(door);
    pthread_mutex_unlock(&lock);
    core_stream_release(before);
}

// A signal is left in `pending` before the door is looked for; who gets a door looks at `pending`
// afterwards. Both hold the lock in between, so one of the two sees the other.
void core_process_knock(core_process *process, int pid)
{
    pthread_mutex_lock(&lock);
    core_stream *door = process->door == NULL ? NULL : core_stream_retain(process->door);
    pthread_mutex_unlock(&lock);
    fkl_msg *msg;
    if (door != NULL &&
        fkl_msg_create_copy(NULL, FKL_CODEC_RAW, &pid, sizeof pid, &msg) == FKL_OK &&
        core_stream_try_send(door, msg, sizeof pid) != FKL_OK) {
        fkl_msg_destroy(msg); // its interpreter has ended
    }
    core_stream_release(door);
}

// Methods of Actor

static int check_shared(actor_object *self)
{
    if (self->process == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "other interpreters know nothing of this actor");
        return -1;
    }
    return 0;
}

static int spawn_elsewhere(core_state *state, actor_object *self, const char *name,
                           size_t stack_size, core_launch *launch)
{
    fkl_spawn_options options = {
        .name = name, .stack_size = stack_size, .data = &self->process->seat};
    fkl_actor *handle;
    core_launch_begin();
    fkl_err err = fkl_spawn(state->runtime, &options, core_run_in_place, launch, &handle);
    if (err != FKL_OK) {
        core_launch_end();
        core_raise(state, err, "cannot start a simulated process");
        return -1;
    }
    core_process_note_handle(self->process, handle);
    note_handle(self, handle); // whose reference is the object's from now on
    return 0;
}

const char core_actor_start_elsewhere_doc[] =
    PyDoc_STR("start_elsewhere(channel, group, caught, name=None, stack_size=0)\n--\n\n"
              "Run in a new thread and an interpreter of its own, where the function that serves\n"
              "there is called with `channel`. Raises as start().");

PyObject *core_actor_start_elsewhere(actor_object *self, PyObject *args)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    PyObject *channel;
    int group;
    unsigned long long caught;
    const char *name = NULL;
    Py_ssize_t stack_size = 0;
    if (!PyArg_ParseTuple(args, "O!iK|zn:start_elsewhere", state->channel_type, &channel, &group,
                          &caught, &name, &stack_size)) {
        return NULL;
    }
    if (atomic_exchange_explicit(&self->starting, true, memory_order_relaxed)) {
        PyErr_SetString(PyExc_RuntimeError, "an actor can only be started once");
        return NULL;
    }
    core_launch *launch = malloc(sizeof *launch);
    self->process = launch == NULL ? NULL : core_process_create(self->pid, group);
    if (self->process == NULL) {
        free(launch);
        return PyErr_NoMemory();
    }
    atomic_init(&self->process->caught, caught);
    launch->process = core_process_retain(self->process);
    launch->stream = core_channel_stream(state, channel);
    if (spawn_elsewhere(state, self, name, stack_size > 0 ? (size_t)stack_size : 0, launch) < 0) {
        core_stream_release(launch->stream);
        core_process_release(launch->process);
        free(launch);
        return NULL;
    }
    Py_RETURN_NONE;
}

const char core_actor_settle_doc[] =
    PyDoc_STR("settle(door)\n--\n\n"
              "Be the actor whose thread this is, which another interpreter has started. When\n"
              "there are signals for it, its pid is sent to `door`.");

PyObject *core_actor_settle(actor_object *self, PyObject *door)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    fkl_actor *handle = fkl_self();
    core_seat *seat = handle == NULL ? NULL : fkl_actor_data(handle);
    core_stream *stream = core_channel_stream(state, door);
    if (seat == NULL || seat->object != NULL || stream == NULL ||
        atomic_exchange_explicit(&self->starting, true, memory_order_relaxed)) {
        core_stream_release(stream);
        PyErr_SetString(PyExc_RuntimeError, "this thread has no actor, or has settled before");
        return NULL;
    }
    core_process *process = (core_process *)seat; // it is its first member
    self->process = core_process_retain(process);
    self->pid = process->pid;
    note_handle(self, fkl_actor_retain(handle));
    seat->object = self;
    core_process_set_door(process, stream);
    core_stream_release(stream);
    Py_RETURN_NONE;
}

const char core_actor_stand_for_doc[] =
    PyDoc_STR("stand_for(pid)\n--\n\n"
              "Stand for a process of another interpreter. Returns whether there is one.");

PyObject *core_actor_stand_for(actor_object *self, PyObject *arg)
{
    long pid = PyLong_AsLong(arg);
    if (pid == -1 && PyErr_Occurred()) {
        return NULL;
    }
    core_process *process = core_process_find((int)pid);
    fkl_actor *handle =
        process == NULL ? NULL : atomic_load_explicit(&process->handle, memory_order_acquire);
    if (handle == NULL || atomic_exchange_explicit(&self->starting, true, memory_order_relaxed)) {
        if (process != NULL) {
            core_process_release(process);
        }
        Py_RETURN_FALSE;
    }
    self->process = process;
    self->pid = process->pid;
    note_handle(self, fkl_actor_retain(handle));
    Py_RETURN_TRUE;
}

const char core_actor_announce_doc[] =
    PyDoc_STR("announce(door, group)\n--\n\n"
              "Let other interpreters know of this actor, which runs in this one.");

PyObject *core_actor_announce(actor_object *self, PyObject *args)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    PyObject *door;
    int group;
    if (!PyArg_ParseTuple(args, "O!i:announce", state->channel_type, &door, &group)) {
        return NULL;
    }
    if (self->process == NULL && handle_of(self) != NULL) {
        core_process *process = core_process_create(self->pid, group);
        if (process == NULL) {
            return PyErr_NoMemory();
        }
        core_process_note_handle(process, handle_of(self));
        core_stream *stream = core_channel_stream(state, door);
        core_process_set_door(process, stream);
        core_stream_release(stream);
        self->process = process;
    }
    Py_RETURN_NONE;
}

const char core_actor_post_doc[] =
    PyDoc_STR("post(signum)\n--\n\n"
              "Leave a signal for the actor, or knock only (0), where it runs.");

PyObject *core_actor_post(actor_object *self, PyObject *arg)
{
    long signum = PyLong_AsLong(arg);
    if ((signum == -1 && PyErr_Occurred()) || check_shared(self) < 0) {
        return NULL;
    }
    if (signum > 0 && signum <= 64) {
        atomic_fetch_or(&self->process->pending, 1ULL << (signum - 1));
    }
    core_process_knock(self->process, self->pid);
    Py_RETURN_NONE;
}

PyObject *core_actor_take_signals(actor_object *self, PyObject *unused)
{
    (void)unused;
    if (check_shared(self) < 0) {
        return NULL;
    }
    return PyLong_FromUnsignedLongLong(atomic_exchange(&self->process->pending, 0));
}

PyObject *core_actor_caught(actor_object *self, void *unused)
{
    (void)unused;
    return self->process == NULL ? PyLong_FromLong(0)
                                 : PyLong_FromUnsignedLongLong(atomic_load(&self->process->caught));
}

int core_actor_set_caught(actor_object *self, PyObject *mask, void *unused)
{
    (void)unused;
    unsigned long long bits = mask == NULL ? 0 : PyLong_AsUnsignedLongLong(mask);
    if ((bits == (unsigned long long)-1 && PyErr_Occurred()) || check_shared(self) < 0) {
        return -1;
    }
    atomic_store(&self->process->caught, bits);
    return 0;
}

PyObject *core_actor_group(actor_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromLong(self->process == NULL ? 0 : atomic_load(&self->process->group));
}

int core_actor_set_group(actor_object *self, PyObject *group, void *unused)
{
    (void)unused;
    long number = group == NULL ? 0 : PyLong_AsLong(group);
    if ((number == -1 && PyErr_Occurred()) || check_shared(self) < 0) {
        return -1;
    }
    atomic_store(&self->process->group, (int)number);
    return 0;
}

void core_actor_forget_process(actor_object *self)
{
    if (self->process == NULL) {
        return;
    }
    if (self->process->seat.object == self) {
        self->process->seat.object = NULL;
    }
    core_process_release(self->process);
}
