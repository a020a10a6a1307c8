// SPDX-License-Identifier: Apache-2.0
//
// What a thread has taken by `with` and has not entered yet.
//
// From 3.14 on `with lock:` is an ordinary call of lock.__enter__(), and the interpreter raises
// what was thrown at a thread at the end of such a call: after the lock was taken, and in front of
// the block whose end would give it back. Before 3.14 there is no such moment. So each thread notes
// the lock that it has taken last, and in which instruction of which frame. If what was thrown
// comes while that frame is still at that instruction, and it is that of a `with`, then the block
// was not entered, and whoever raises the exception gives the lock back.
//
// The note is the thread's own. It holds no reference: releasing the lock and destroying it wipe
// the note out, and while the frame is where the note says, the frame has one.

#include "state.h"

#if PY_VERSION_HEX >= 0x030E0000

#include <opcode.h>

typedef struct {
    PyObject *lock; // NULL: none
    struct _PyInterpreterFrame *frame;
    int instruction;
} note;

static _Thread_local note entered;

void core_note_entered(PyObject *lock)
{
    struct _PyInterpreterFrame *frame = PyThreadState_Get()->current_frame;
    if (frame != NULL) {
        entered = (note){lock, frame, PyUnstable_InterpreterFrame_GetLasti(frame)};
    }
}

void core_note_left(PyObject *lock)
{
    if (entered.lock == lock) {
        entered.lock = NULL;
    }
}

// Whether the frame is at the call of __enter__() of a `with`. 1, 0, or -1 with an exception set.
static int is_at_with(struct _PyInterpreterFrame *frame, int instruction)
{
    PyObject *code = PyUnstable_InterpreterFrame_GetCode(frame);
    PyObject *bytes = code == NULL ? NULL : PyCode_GetCode((PyCodeObject *)code);
    Py_XDECREF(code);
    if (bytes == NULL) {
        return -1;
    }
    const unsigned char *loading =
        (const unsigned char *)PyBytes_AS_STRING(bytes) + instruction - 2;
    // Two bytes an instruction: what it does, and its argument. 0 is __enter__.
    int at = instruction >= 2 && loading[0] == LOAD_SPECIAL && loading[1] == 0;
    Py_DECREF(bytes);
    return at;
}

int core_leave_entered(void)
{
    PyObject *lock = entered.lock;
    struct _PyInterpreterFrame *frame = PyThreadState_Get()->current_frame;
    if (lock == NULL || frame == NULL || frame != entered.frame ||
        PyUnstable_InterpreterFrame_GetLasti(frame) != entered.instruction) {
        return 0;
    }
    int at = is_at_with(frame, entered.instruction);
    if (at <= 0) {
        return at;
    }
    PyObject *result = PyObject_CallMethod(lock, "release", NULL); // which wipes the note out
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

#endif
