// SPDX-License-Identifier: Apache-2.0
//
// The memory in which the thread of an actor keeps the frames of its Python functions. The
// interpreter maps a chunk of it for each thread state and unmaps it with that. Unmapping
// interrupts all processors that run threads of this process, which takes longer than everything
// else at the end of an actor. So a few chunks pass from one actor to another instead.
//
// For threads of actors, each with its own thread state.

#include "state.h"

// <Python.h> declares what is used here of a thread state, the same in all of these versions. In
// others nothing is kept.
#if PY_VERSION_HEX < 0x030F0000

static _PyStackChunk *take_kept(core_frames *frames)
{
    void *chunk = NULL;
    for (int i = 0; i < CORE_FRAMES_KEPT && chunk == NULL; i++) {
        // Acquire: pairs with the release in keep().
        chunk = atomic_exchange_explicit(&frames->kept[i], NULL, memory_order_acquire);
    }
    return chunk;
}

static bool keep(core_frames *frames, _PyStackChunk *chunk)
{
    for (int i = 0; i < CORE_FRAMES_KEPT; i++) {
        void *none = NULL;
        // Release: whoever takes the chunk sees all that was done with it.
        if (atomic_compare_exchange_strong_explicit(&frames->kept[i], &none, chunk,
                                                    memory_order_release, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void core_frames_give(core_frames *frames, PyThreadState *tstate)
{
    _PyStackChunk *chunk = tstate->datastack_chunk == NULL ? take_kept(frames) : NULL;
    if (chunk == NULL) {
        return;
    }
    chunk->previous = NULL;
    chunk->top = 0;
    tstate->datastack_chunk = chunk;
    // Frames begin at the second place of a first chunk: the interpreter unmaps a chunk when the
    // frame at its first place ends.
    tstate->datastack_top = &chunk->data[1];
    tstate->datastack_limit = (PyObject **)(void *)((char *)chunk + chunk->size);
}

void core_frames_take(core_frames *frames, PyThreadState *tstate)
{
    _PyStackChunk *chunk = tstate->datastack_chunk;
    if (chunk != NULL && chunk->previous == NULL && keep(frames, chunk)) {
        tstate->datastack_chunk = NULL;
        tstate->datastack_top = NULL;
        tstate->datastack_limit = NULL;
    }
}

void core_frames_fini(core_frames *frames)
{
    PyObjectArenaAllocator arenas; // where the interpreter gets chunks from
    PyObject_GetArenaAllocator(&arenas);
    _PyStackChunk *chunk;
    while ((chunk = take_kept(frames)) != NULL) {
        arenas.free(arenas.ctx, chunk, chunk->size);
    }
}

#else

void core_frames_give(core_frames *frames, PyThreadState *tstate)
{
    (void)frames;
    (void)tstate;
}

void core_frames_take(core_frames *frames, PyThreadState *tstate)
{
    (void)frames;
    (void)tstate;
}

void core_frames_fini(core_frames *frames)
{
    (void)frames;
}

#endif
