// SPDX-License-Identifier: Apache-2.0
//
// Actors: a thread with an identity, a mailbox, a life cycle and an exit record. The vocabulary is
// Erlang's (spawn, monitor, exit reason); join and exit codes are those of POSIX processes.
#ifndef FORKLESS_ACTOR_H
#define FORKLESS_ACTOR_H

#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/mail.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

typedef void (*fkl_actor_fn)(fkl_actor *self, void *arg);

typedef enum fkl_exit_reason {
    FKL_EXIT_NORMAL = 0,  // the function returned
    FKL_EXIT_STOPPED = 1, // the function returned after a request to stop
    FKL_EXIT_KILLED = 2,  // fkl_actor_kill()
    FKL_EXIT_ERROR = 3    // fkl_actor_set_exit() or fkl_actor_fail() said so
} fkl_exit_reason;

// How an actor ended. Immutable once published. `error` is an FKL_EXT_ERROR payload as packed by
// codec.h (the map, without the extension header), or NULL; it lives as long as the reference.
typedef struct fkl_exit {
    fkl_actor_id id;
    fkl_actor_id origin; // where it began: the same, or the actor whose end came here over links
    fkl_exit_reason reason;
    int32_t code;
    const void *error;
    size_t error_len;
} fkl_exit;

// Zero-initialise and set what differs.
typedef struct fkl_spawn_options {
    const char *name; // copied; shown in diagnostics and, cut to the system's limit, as thread name
    size_t stack_size; // bytes; 0: the runtime's default
    void *data;        // read back with fkl_actor_data()
    bool link;         // linked with the calling actor before it starts (monitor.h)
    bool trap_exits;   // as if it began with fkl_trap_exits(true)
    // User messages that its mailbox holds at most, 0 for no bound, and what is done beyond that.
    uint32_t mailbox_capacity;
    fkl_full mailbox_full;
    // NULL, or a name that it has before its code runs: see fkl_register().
    const char *register_as;
} fkl_spawn_options;

// Starts an actor that runs fn(self, arg) in a thread of its own. `options` and `out` may be NULL.
// Ownership: `*out` is a reference for the caller to release; `arg` passes to the actor on success.
// Threads: any; the own one of an actor of this runtime where options->link is set. Blocks: never.
// Errors: FKL_ENOMEM, FKL_ETHREAD, FKL_ELIMIT, FKL_ESHUTDOWN, FKL_EINVAL, FKL_EEXIST (`register_as`
// is taken); FKL_EPERM (link: no actor's own thread), FKL_ESTOPPED (link: the caller's exit is
// published); nothing has been started then.
FKL_API FKL_MUST_CHECK fkl_err fkl_spawn(fkl_runtime *runtime, const fkl_spawn_options *options,
                                         fkl_actor_fn fn, void *arg, fkl_actor **out);

// A thread that was started ahead of the actor that it is for.
typedef struct fkl_ahead fkl_ahead;

// Starts a thread that waits for its actor: the system makes it ready while the caller prepares
// what the actor needs. `stack_size` is as in the options of a spawn. A thread that does so again
// and again gets threads that are ready; on Linux, where it can be seen whether they have what
// threads inherit from the caller (signal mask, processors, priority, and the like). A shutdown
// waits for the thread. Ownership: `*out` is the caller's, to be given to an actor or cancelled.
// Threads: any. Blocks: never. Errors: FKL_ENOMEM, FKL_ETHREAD, FKL_ESHUTDOWN, FKL_EINVAL.
FKL_API FKL_MUST_CHECK fkl_err fkl_ahead_start(fkl_runtime *runtime, size_t stack_size,
                                               fkl_ahead **out);

// fkl_spawn() in that thread. Ownership: as there; `ahead` passes to the actor on success. Errors:
// as there, without FKL_ETHREAD.
FKL_API FKL_MUST_CHECK fkl_err fkl_ahead_spawn(fkl_ahead *ahead, const fkl_spawn_options *options,
                                               fkl_actor_fn fn, void *arg, fkl_actor **out);

// Lets a thread end that no actor has got. NULL is allowed.
FKL_API void fkl_ahead_cancel(fkl_ahead *ahead);

// Lets the threads end that are ready for the next fkl_ahead_start(): before a fork, and after the
// caller has changed what threads inherit and fkl_ahead_start() does not look at, such as a
// namespace. Threads: any. Blocks: never.
FKL_API void fkl_ahead_forget(fkl_runtime *runtime);

FKL_API fkl_actor *fkl_actor_retain(fkl_actor *actor);
FKL_API void fkl_actor_release(fkl_actor *actor); // NULL is allowed

// A reference to the live actor with this id. Errors: FKL_ENOACTOR.
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_find(fkl_runtime *runtime, fkl_actor_id id,
                                              fkl_actor **out);

// The actor whose thread this is (or which the thread entered), not retained; NULL outside of
// actors.
FKL_API fkl_actor *fkl_self(void);

FKL_API fkl_actor_id fkl_actor_get_id(const fkl_actor *actor);
FKL_API const char *fkl_actor_name(const fkl_actor *actor);
FKL_API void *fkl_actor_data(const fkl_actor *actor);
FKL_API fkl_runtime *fkl_actor_runtime(const fkl_actor *actor);

// Makes the calling thread a helper of `actor`: fkl_self() answers with it, and a request to stop
// the actor ends the helper's waits too. A helper may send but not receive from the mailbox.
// `previous` takes what fkl_self() was (possibly NULL), for fkl_actor_leave(). Retains the actor
// meanwhile. Errors: FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_enter(fkl_actor *actor, fkl_actor **previous);
FKL_API void fkl_actor_leave(fkl_actor *previous);

// Asks the actor to stop: its waits, and those of its helpers, return FKL_ESTOPPED from now on. The
// function is expected to return. Idempotent. Threads: any. Blocks: never.
FKL_API void fkl_actor_stop(fkl_actor *actor);
FKL_API bool fkl_actor_stop_requested(const fkl_actor *actor);

// Publishes the exit record (FKL_EXIT_KILLED, `code`) at once, then stops the actor. Its thread
// cannot be destroyed: until its function returns it is counted as an orphan. No effect on an actor
// whose exit is published. Returns whether this call published it.
FKL_API bool fkl_actor_kill(fkl_actor *actor, int32_t code);

// The same, and waits until the actor's thread has ended as well. `exit` (may be NULL) takes its
// record, which is another one if the actor's exit was published before.
// Blocks: until the deadline. Errors: as fkl_actor_join_until(); the actor is killed all the same,
// but for FKL_EDEADLK.
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_kill_until(fkl_actor *actor, int32_t code,
                                                    fkl_time deadline, fkl_exit *exit);

// Makes the wait in which the actor's own thread is, or else its next one, return FKL_EINTR, once.
FKL_API void fkl_actor_interrupt(fkl_actor *actor);

// Sets what the exit record will say when the function returns: reason ERROR when `error` is given
// or `code` is not 0, and NORMAL or STOPPED otherwise. `error` (an FKL_EXT_ERROR map) is copied.
// Threads: the actor's own and its helpers. Errors: FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_set_exit(fkl_actor *actor, int32_t code, const void *error,
                                                  size_t error_len);

// Publishes the exit record now, while the thread goes on to unwind as an orphan; later changes
// have no effect. The record has the error that fkl_actor_set_exit() left, if any, and `code`, or
// that call's code where `code` is 0. Returns whether this call published it.
FKL_API bool fkl_actor_exit_now(fkl_actor *actor, int32_t code);

// The exit record if it is published. Errors: FKL_EEMPTY when the actor lives.
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_try_exit(const fkl_actor *actor, fkl_exit *out);

// Waits for the exit record. Blocks: until the deadline. Errors: FKL_ETIMEDOUT, FKL_ESTOPPED,
// FKL_EINTR, FKL_EDEADLK (an actor, or its helper, joins itself).
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_join_until(fkl_actor *actor, fkl_time deadline,
                                                    fkl_exit *out);

// Waits until the actor's thread has ended as well. Same errors.
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_join_thread_until(fkl_actor *actor, fkl_time deadline);

// A file descriptor that becomes readable (end of file) when the exit record is published. Made at
// the first call; owned by the actor and closed with its last reference. Errors: FKL_EOS (no
// descriptors left).
FKL_API FKL_MUST_CHECK fkl_err fkl_actor_sentinel(fkl_actor *actor, int *fd);

FKL_END_DECLS

#endif
