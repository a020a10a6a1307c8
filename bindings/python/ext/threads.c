// SPDX-License-Identifier: Apache-2.0
//
// The further threads of an actor that can be unwound: those that others started on its behalf.
// Only one exception is raised in each, and once: a thread takes itself out when it has got it, so
// that it unwinds in peace and its ident, which the system may give to another thread then, is not
// used any more.

#include "state.h"

void core_threads_fini(core_threads *threads)
{
    PyMem_RawFree(threads->idents);
}

bool core_threads_add(core_threads *threads)
{
    core_lock(&threads->lock);
    if (threads->count == threads->size) {
        size_t size = threads->size * 2 + 4;
        unsigned long *grown = PyMem_RawRealloc(threads->idents, size * sizeof *grown);
        if (grown == NULL) {
            core_unlock(&threads->lock);
            return false;
        }
        threads->idents = grown;
        threads->size = size;
    }
    threads->idents[threads->count++] = PyThread_get_thread_ident();
    core_unlock(&threads->lock);
    return true;
}

void core_threads_remove(core_threads *threads, core_state *state)
{
    unsigned long ident = PyThread_get_thread_ident();
    core_lock(&threads->lock);
    for (size_t i = 0; i < threads->count; i++) {
        if (threads->idents[i] == ident) {
            threads->idents[i] = threads->idents[--threads->count];
            core_take_back_async(state);
            break;
        }
    }
    core_unlock(&threads->lock);
}

size_t core_threads_throw(core_threads *threads, PyObject *exception)
{
    unsigned long caller = PyThread_get_thread_ident();
    size_t thrown = 0;
    core_lock(&threads->lock);
    for (size_t i = 0; i < threads->count; i++) {
        if (threads->idents[i] != caller) {
            core_set_async(threads->idents[i], exception);
            thrown++;
        }
    }
    core_unlock(&threads->lock);
    return thrown;
}
