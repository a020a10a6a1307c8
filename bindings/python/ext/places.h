// SPDX-License-Identifier: Apache-2.0
//
// Simulated processes that more than one interpreter has to do with (processes.c), and the
// interpreters that they run in (places.c).
#ifndef FORKLESS_EXT_PLACES_H
#define FORKLESS_EXT_PLACES_H

#include "actor.h"

#include <pthread.h>

// Of which all objects for it, in whatever interpreter, hold a reference, and its thread does.
typedef struct core_process {
    core_seat seat; // the first member: fkl_actor_data() of its thread
    atomic_uint refs;
    int pid;
    atomic_int group;
    _Atomic(fkl_actor *) handle; // retained; set once
    atomic_ullong pending;       // signals that were sent to it, and not yet looked at
    atomic_ullong caught;        // signals that do not simply end it
    core_stream *door;           // where its interpreter is told of those; guarded by a lock
    struct core_process *next;   // the list of all, under the same lock
    struct core_process *previous;
} core_process;

core_process *core_process_create(int pid, int group); // NULL: no memory
core_process *core_process_retain(core_process *process);
core_process *core_process_find(int pid); // retained, or NULL
void core_process_release(core_process *process);
void core_process_note_handle(core_process *process, fkl_actor *handle);

// The pid and the group of up to `size` processes; returns how many there are.
size_t core_process_list(int *pids, int *groups, size_t size);

// Tells the interpreter of the process to look at its signals.
void core_process_set_door(core_process *process, core_stream *door);
void core_process_knock(core_process *process, int pid);

// The function of an actor's thread: runs it in an interpreter of its own.
typedef struct core_launch {
    core_process *process;
    core_stream *stream; // what the process is to do
} core_launch;
void core_launch_begin(void); // before the thread is started; pool of places
void core_launch_end(void);   // by core_run_in_place(), or when the thread was not started
void core_run_in_place(fkl_actor *handle, void *launch);

int core_places_init(PyObject *module);

#endif
