// SPDX-License-Identifier: Apache-2.0
//
// The state of one copy of the extension module, and what its files call from each other. Every
// interpreter that imports the module has its own; what they have in common (shared.c, processes.c,
// places.c) holds no Python object.
#ifndef FORKLESS_EXT_STATE_H
#define FORKLESS_EXT_STATE_H

#include "compat.h"

#include "stream.h"

#include <forkless/forkless.h>
#include <stdatomic.h>

typedef struct core_returns core_returns;
typedef struct core_semaphore core_semaphore;

// Chunks of memory for frames that no thread state has; zeroed to begin with. See frames.c.
enum { CORE_FRAMES_KEPT = 4 };
typedef struct core_frames {
    _Atomic(void *) kept[CORE_FRAMES_KEPT];
} core_frames;

typedef struct core_state {
    PyInterpreterState *interp;
    fkl_runtime *runtime;  // one for all interpreters
    core_returns *returns; // objects of this interpreter that others let go of
    // Types
    PyTypeObject *actor_type;
    PyTypeObject *channel_type;
    PyTypeObject *semlock_type;
    PyTypeObject *delivery_type; // see actor.c: raises the exception that was thrown at an actor
    // Exceptions
    PyObject *process_exit;    // forkless.ProcessExit
    PyObject *corrupt_message; // forkless.CorruptMessage
    PyObject *queue_empty;     // queue.Empty
    PyObject *queue_full;      // queue.Full
    PyObject *real_process;    // what stands for the process that is none of ours
    PyObject *breath;          // a Python function that does nothing
    // Set from Python, once (configure): how objects that are not plain data cross between actors.
    PyObject *dumps;         // dumps(obj) -> something that loads() understands
    PyObject *loads;         // loads(that, or bytes-like) -> obj
    PyObject *dump_bytes;    // dump_bytes(obj) -> bytes, a pickle for whomever
    PyObject *error_record;  // error_record(exception) -> dict, for FKL_EXT_ERROR
    PyObject *rebuild_error; // rebuild_error(dict) -> exception, for FKL_EXT_ERROR
    // dump_parcel(obj) -> (list of bytes, list of (thing, role)), for another interpreter
    PyObject *dump_parcel;
    PyObject *load_parcel; // load_parcel(bytes-like, list of things) -> obj
    core_frames frames;
    bool parallel;        // there is more than one processor
    atomic_bool released; // a wait has given up the GIL; see core_await_gil()
    atomic_int booting;   // threads of actors that are not yet attached to the interpreter
    atomic_bool closing;  // the interpreter runs its exit functions
} core_state;

extern struct PyModuleDef core_module;

static inline core_state *core_state_of(PyObject *module)
{
    return (core_state *)PyModule_GetState(module);
}

static inline core_state *core_state_of_type(PyTypeObject *type)
{
    return core_state_of(PyType_GetModuleByDef(type, &core_module));
}

// errors.c

// Raises the Python exception for `err`; `what` says what was tried. Returns NULL.
PyObject *core_raise(core_state *state, fkl_err err, const char *what);

// Turns a timeout in seconds (None: for ever) into a deadline. Returns -1 with an exception set.
int core_deadline(PyObject *timeout, fkl_time *out);

// Runs `op(ctx)`, which may block, without the GIL; resumes it after signals that raise nothing, so
// `op` must use an absolute deadline. Returns its result, or FKL_EINTR with an exception set when a
// signal handler raised, an exception was thrown at this actor, or the actor was asked to stop.
fkl_err core_blocking(core_state *state, fkl_err (*op)(void *ctx), void *ctx);

// Who asks for the GIL a moment too early sleeps, and to be woken takes longer than what it came
// for. So it looks for a while whether any thread has begun to wait since the last that came back
// from a wait. Relaxed: it is a hint, and whoever misses it asks for the GIL all the same.
static inline void core_gil_released(core_state *state)
{
    atomic_store_explicit(&state->released, true, memory_order_relaxed);
}

static inline void core_gil_taken(core_state *state)
{
    atomic_store_explicit(&state->released, false, memory_order_relaxed);
}

static inline void core_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline void core_await_gil(core_state *state)
{
#ifndef Py_GIL_DISABLED
    fkl_time until = state->parallel ? fkl_now() + 20000 : 0;
    do {
        if (atomic_load_explicit(&state->released, memory_order_relaxed)) {
            return;
        }
        core_pause();
    } while (fkl_now() < until);
#else
    (void)state;
#endif
}

// Raises an instance of the class `exception` at the next bytecode of a thread. Returns whether
// there is such a thread.
bool core_set_async(unsigned long ident, PyObject *exception);

// Takes back what was set for the calling thread and not yet raised. No exception may be set.
void core_take_back_async(core_state *state);

// threads.c

// Idents of threads; zeroed to begin with.
typedef struct core_threads {
    core_mutex lock; // guards the rest, and that an exception is set for the threads
    unsigned long *idents;
    size_t count;
    size_t size;
} core_threads;

void core_threads_fini(core_threads *threads);

// Adds the calling thread. Returns false when there is no memory.
bool core_threads_add(core_threads *threads);

// Takes the calling thread out, and back what is on its way to it. No effect when it is not in.
void core_threads_remove(core_threads *threads, core_state *state);

// Has the class `exception` raised in all but the calling thread. Returns in how many.
size_t core_threads_throw(core_threads *threads, PyObject *exception);

// frames.c

// Gives a thread state that has run nothing yet a chunk that was kept, if there is one.
void core_frames_give(core_frames *frames, PyThreadState *tstate);

// Keeps the chunk of a thread state that runs nothing now, and will hardly do so.
void core_frames_take(core_frames *frames, PyThreadState *tstate);

// Frees what is kept.
void core_frames_fini(core_frames *frames);

// ahead.c

// A capsule of a thread that waits for its actor, which is cancelled with the capsule; None where
// there is none to be had. NULL with an exception set.
PyObject *core_ahead_start(core_state *state, PyObject *stack_size);

// The thread in a capsule, and NULL for anything else.
fkl_ahead *core_ahead_of(PyObject *capsule);

// The thread in it, if any, is an actor's now.
void core_ahead_given(PyObject *capsule);

// entered.c

#if PY_VERSION_HEX >= 0x030E0000
// The calling thread has taken a Lock, RLock or SemLock, in an __enter__() of C.
void core_note_entered(PyObject *lock);
// It has released it, or destroys it.
void core_note_left(PyObject *lock);
// Releases what the thread has taken for a `with` whose block it has not entered: to be called
// where what was thrown at it is about to be raised. Returns -1 with an exception set.
int core_leave_entered(void);
#else
static inline void core_note_entered(PyObject *lock)
{
    (void)lock;
}
static inline void core_note_left(PyObject *lock)
{
    (void)lock;
}
static inline int core_leave_entered(void)
{
    return 0;
}
#endif

// actor.c

int core_actor_init(PyObject *module, core_state *state);

// The actor object of this thread, borrowed, or NULL (no error) outside of actors.
PyObject *core_current(core_state *state);

// The pid of the calling actor; 0 in the real process.
int core_pid(core_state *state);

// Raises the exception that was thrown at the current actor, if there is one: -1, else 0.
int core_raise_thrown(core_state *state);

// Waits until no thread is about to attach to the interpreter. From now on only threads outside of
// actors can start actors. For the interpreter's exit functions.
void core_wait_for_boots(core_state *state);

// Raises ProcessExit with the exit code of the current actor.
void core_raise_process_exit(core_state *state);

// Raises what was thrown at the current actor, or ProcessExit if it was told to stop: -1, else 0.
// What a wait asks before it waits, and when it was woken.
int core_check_thrown(core_state *state);

// The same, but only for an actor that was told to stop and still runs its own code, not its exit
// functions. Then it neither sends nor takes anything, not even where it need not wait.
int core_check_ended(core_state *state);

// What the calling thread polls together with the descriptors that it waits for: readable when
// core_check_thrown() has something for it. -1: it acts for no actor, or with an exception set.
int core_thread_bell(core_state *state);

// To be called when the bell was heard, before core_check_thrown().
void core_thread_bell_heard(core_state *state);

// descriptors.c

// A pipe that wakes whoever polls its read end. -1: not made. The lock of the actor guards it, but
// for those that hear it, which made it.
typedef struct core_bell {
    int read_end;
    int write_end;
} core_bell;

void core_bell_init(core_bell *bell);
void core_bell_fini(core_bell *bell);
int core_bell_make(core_bell *bell); // its read end; -1 with errno
void core_bell_ring(const core_bell *bell);
void core_bell_silence(const core_bell *bell);

int core_descriptors_init(PyObject *module);

// channel.c, dispatch.c, semlock.c, locks.c

int core_channel_init(PyObject *module, core_state *state);
int core_dispatch_init(PyObject *module);

// types.c

int core_types_init(PyObject *module);
int core_semlock_init(PyObject *module, core_state *state);
int core_locks_init(PyObject *module);

// Takes a unit even in an actor that is being ended. Returns -1 with an exception set.
int core_wait_for_certain(fkl_sem *sem);

// Of semlock.c, for parcels: a reference to what is behind a SemLock, or NULL for other objects;
// and a SemLock for it.
core_semaphore *core_semaphore_of(core_state *state, PyObject *object);
void core_semaphore_release(core_semaphore *lock);
PyObject *core_semaphore_wrap(core_state *state, core_semaphore *lock);

// Of channel.c, the same for channels.
core_stream *core_channel_stream(core_state *state, PyObject *object);
// `role`: what leave() of the object gives up.
PyObject *core_channel_wrap(core_state *state, core_stream *stream, core_role role);

// shared.c

int core_next_pid(void);

fkl_err core_runtime_retain(fkl_runtime **out);
void core_runtime_release(void);

// Who comes to an interpreter from another one.
typedef struct core_visits {
    core_state *host;
    atomic_int count;
    atomic_bool closed;
} core_visits;

// Calls the function in the calling thread, but in the interpreter of `visits`, with no exception
// set before and after. Waits for that one's GIL. Returns whether it could be done: not when the
// interpreter is about to end, or there is no memory.
bool core_visit(core_visits *visits, void (*function)(core_state *host, void *arg), void *arg);

// Lets nobody come any more, and waits until all have gone. For threads of the interpreter.
void core_visits_close(core_visits *visits);

// returns.c

// Never freed: messages that outlive the interpreter point to it. NULL: no memory.
core_returns *core_returns_create(core_state *state);

core_visits *core_returns_visits(core_returns *returns);

// Takes the reference out of a message of core_returns_put(), whoever owns it. Returns the owner,
// or NULL for other messages.
core_returns *core_returns_take(fkl_msg *msg, void **object);

// The release function of messages that carry a strong reference; `ctx` is the core_returns of the
// interpreter that the object belongs to. Threads: any, with a Python state or without.
void core_returns_put(void *object, void *ctx);

// Drops what was put. For threads of the interpreter.
void core_returns_drain(core_returns *returns);

// The same for the last time: what comes later is left to the end of the process.
void core_returns_close(core_returns *returns);

// convert.c

// What the object is that a message of FKL_CODEC_REF refers to; the low eight bits of its tag.
typedef enum core_kind {
    CORE_COPY = 0,   // the object itself
    CORE_PICKLE = 1, // what dumps() returned
    CORE_BYTES = 2   // bytes from send_bytes(); as an object, what they are the pickle of
} core_kind;

// Encodes an object for another actor. `weight` (or NULL) takes about how many bytes that are.
// Returns -1 with an exception set.
int core_encode(core_state *state, PyObject *obj, fkl_msg **out, size_t *weight);
// The same without a copy: the receiver gets this very object.
int core_encode_shared(core_state *state, PyObject *obj, fkl_msg **out, size_t *weight);
// The same for the bytes of a buffer: an exact bytes object is shared.
int core_encode_bytes(core_state *state, PyObject *buffer, fkl_msg **out, size_t *weight);
// The same as the three for a receiver in any interpreter.
int core_encode_abroad(core_state *state, PyObject *obj, fkl_msg **out, size_t *weight);
int core_encode_bytes_abroad(core_state *state, PyObject *buffer, fkl_msg **out, size_t *weight);

// Decodes and destroys a message. Returns NULL with an exception set.
PyObject *core_decode(core_state *state, fkl_msg *msg);
// The same, but to bytes: those that were sent, or a pickle of the object that was.
PyObject *core_decode_bytes(core_state *state, fkl_msg *msg);

// Decodes a msgpack payload.
PyObject *core_unpack(core_state *state, const void *data, size_t len);

// Packs plain data as msgpack into a bytes object; TypeError for anything else.
PyObject *core_pack(core_state *state, PyObject *obj);

// parcel.c

// A message without any Python object: the bytes of the pieces, a list of bytes objects, and what
// else is in the list `things`, of (thing, role): channels, with what becomes an end of them;
// semaphores; numbers of descriptors, which it owns even if it fails. Returns -1 with an exception
// set.
int core_parcel_create(core_state *state, core_kind kind, PyObject *pieces, PyObject *things,
                       fkl_msg **out, size_t *weight);

// Opens such a message, as core_decode() or core_decode_bytes(), and does not destroy it. Returns
// -1 with an exception set, 0 when it is a message of another kind.
int core_parcel_decode(core_state *state, fkl_msg *msg, bool as_bytes, PyObject **out);

// copy.c

// A copy of `obj` if it consists of plain data of exact built-in types; NULL without an exception
// if it does not, NULL with one on failure.
PyObject *core_copy_plain(PyObject *obj);

// copy(obj, handlers=None): see its docstring.
PyObject *core_copy_with(PyObject *obj, PyObject *handlers);

#endif
