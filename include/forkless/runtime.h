// SPDX-License-Identifier: Apache-2.0
//
// A runtime: the table of its actors, the allocator and the log sink that they share. A process may
// hold several; actors of different runtimes share nothing but channels.
#ifndef FORKLESS_RUNTIME_H
#define FORKLESS_RUNTIME_H

#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>

FKL_BEGIN_DECLS

typedef struct fkl_runtime fkl_runtime;

// Names an actor for ever: the slot in the low half, its generation in the high half. The id of a
// dead actor never names another one. 0 names nobody.
typedef uint64_t fkl_actor_id;
#define FKL_NOBODY ((fkl_actor_id)0)

// A counted reference to an actor. It outlives the actor: the exit record stays readable.
typedef struct fkl_actor fkl_actor;

// The memory functions of a runtime. Each must be callable from any thread. `resize` and `release`
// are told the size that was asked for. All three are given, or none (then malloc, realloc, free).
typedef struct fkl_allocator {
    void *(*allocate)(size_t size, void *ctx);
    void *(*resize)(void *ptr, size_t old_size, size_t new_size, void *ctx);
    void (*release)(void *ptr, size_t size, void *ctx);
    void *ctx;
} fkl_allocator;

typedef enum fkl_log_level {
    FKL_LOG_DEBUG,
    FKL_LOG_INFO,
    FKL_LOG_WARN,
    FKL_LOG_ERROR
} fkl_log_level;

// A message that nobody will receive; see observe.h.
typedef struct fkl_dead_letter fkl_dead_letter;

// Zero-initialise and set what differs; zero always means the default.
typedef struct fkl_runtime_config {
    fkl_allocator allocator;
    // Receives the library's own messages, from any thread. Default: warnings and errors to stderr.
    void (*log)(fkl_log_level level, const char *text, void *ctx);
    void *log_ctx;
    // Live actors at most. Default: 1,048,576.
    uint32_t max_actors;
    // Bytes of stack for an actor whose spawn options do not say. Default: the system's default.
    size_t stack_size;
    // Threads that run pooled actors (pooled.h), at most 1024; the first such actor starts them.
    // Default: one for each processor that the process may use.
    uint32_t pool_workers;
    // Run in an actor's thread before its function and after it (after its exit record is out). The
    // second does not run when the function never returns (pthread_exit). Also run first and last
    // in each worker of the pool, with FKL_NOBODY.
    void (*on_thread_start)(fkl_actor_id id, void *ctx);
    void (*on_thread_end)(fkl_actor_id id, void *ctx);
    void *hook_ctx;
    // Takes the times of pooled actors' turns (fkl_actor_stats.running). It costs two clock reads a
    // turn, which is more than many turns take.
    bool measure_turns;
    // Receives messages that are lost, from any thread that loses one, also in the middle of a send
    // or of an actor's end. It may send, but not block. Default: they are logged.
    void (*on_dead_letter)(const fkl_dead_letter *letter, void *ctx);
    void *dead_letter_ctx;
} fkl_runtime_config;

// Makes a runtime. `config` may be NULL; it is copied.
// Ownership: the caller destroys it. Blocks: never. Errors: FKL_ENOMEM, FKL_EINVAL (an incomplete
// allocator).
FKL_API FKL_MUST_CHECK fkl_err fkl_runtime_create(const fkl_runtime_config *config,
                                                  fkl_runtime **out);

// Refuses new actors, asks every actor to stop, and waits until all threads have ended; that of the
// timers last, and what they still had to send is destroyed.
// Threads: any outside the runtime's actors. Blocks: until the deadline. Errors: FKL_ETIMEDOUT when
// threads still run (the log names ten actors, fkl_runtime_running() all; call again to go on
// waiting); FKL_EDEADLK from an actor or the timer thread of this runtime; FKL_EINTR.
FKL_API FKL_MUST_CHECK fkl_err fkl_runtime_shutdown(fkl_runtime *runtime, fkl_time deadline);

// Frees a runtime whose shutdown succeeded, and one that never had a thread. Errors: FKL_EDEADLK
// when threads of it still run: then nothing is freed.
FKL_API FKL_MUST_CHECK fkl_err fkl_runtime_destroy(fkl_runtime *runtime);

// One row of fkl_runtime_running().
typedef struct fkl_running {
    fkl_actor_id id;
    char name[32];    // cut to fit, always terminated
    const char *wait; // static text: where it waits ("receive", "semaphore", …) or "running"; a
                      // pooled actor is "idle", "queued" or "running"
    bool orphan;      // its exit is published, its thread has not ended
} fkl_running;

// Writes up to `capacity` rows about the actors whose threads have not ended, and the number of all
// such actors to `count`. Blocks: never (a short lock).
FKL_API void fkl_runtime_running(fkl_runtime *runtime, fkl_running *rows, size_t capacity,
                                 size_t *count);

// Totals since the runtime was made; each is exact once the runtime is shut down, and then
// sent = handled + dead_lettered + dropped. They are of user messages and of
// replies that go to mailboxes, not of system messages (FKL_MSG_DOWN, FKL_MSG_EXIT).
typedef struct fkl_counters {
    uint64_t spawned;       // actors
    uint64_t live;          // actors whose exit is not yet published
    uint64_t orphans;       // actors whose exit is published and whose thread still runs
    uint64_t sent;          // messages accepted or refused by fkl_send()
    uint64_t handled;       // messages that a receive handed out
    uint64_t dead_lettered; // messages to actors that were dead, or drained
    uint64_t dropped;       // messages in a mailbox when its actor ended, or for which it was full
    uint64_t late_replies;  // answers for which nobody waited any more (ask.h); these count as sent
                            // and dead-lettered too
} fkl_counters;

FKL_API void fkl_runtime_counters(const fkl_runtime *runtime, fkl_counters *out);

FKL_END_DECLS

#endif
