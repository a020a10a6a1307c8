// SPDX-License-Identifier: Apache-2.0
//
// The memory in which the thread of an actor keeps the frames of its Python functions. The
// interpreter maps a chunk of it for each thread state and unmaps it with that. Unmapping
// interrupts all processors that run threads of this process, which takes longer than everything
// else at the end of an actor. So a few chunks pass from one actor to another instead.
//
// For threads of actors, while they are attached to the interpreter.

#include "state.h"

// <Python.h> declares what is used here of a thread state, the same in all of these versions. In
// others nothing is kept.
#if PY_VERSION_HEX < 0x030F0000

enum { MOST_KEPT = 4 };

static _PyStackChunk *take_kept(core_frames *frames)
{
    core_lock(&frames->lock);
    _PyStackChunk *chunk = frames->kept;
    if (chunk != NULL) {
        frames->kept = chunk->previous;
        frames->count--;
    }
    core_unlock(&frames->lock);
    return chunk;
}

static bool keep(core_frames *frames, _PyStackChunk *chunk)
{
    core_lock(&frames->lock);
    bool has_room = frames->count < MOST_KEPT;
    if (has_room) {
        chunk->previous = frames->kept;
        frames->kept = chunk;
        frames->count++;
    }
    core_unlock(&frames->lock);
    return has_room;
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
