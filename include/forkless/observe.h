// SPDX-License-Identifier: Apache-2.0
//
// Observation: what actors are doing, which messages got lost, and a trace of what happened. None
// of it stops an actor; numbers are snapshots, exact when nothing runs. (fkl_runtime_counters() and
// fkl_runtime_running() are in runtime.h.)
#ifndef FORKLESS_OBSERVE_H
#define FORKLESS_OBSERVE_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// What is known of one actor. Times are in nanoseconds.
typedef struct fkl_actor_stats {
    fkl_actor_id id;
    char name[32]; // cut to fit, always terminated
    bool pooled;
    bool orphan;            // its exit is published, and it still runs
    const char *state;      // static text: "running", "idle", "queued", or where it waits
    fkl_actor_id asking;    // whose answer it waits for, FKL_NOBODY for none
    uint64_t mailbox_len;   // messages waiting
    uint64_t mailbox_peak;  // the most that it found waiting
    uint64_t sent_to;       // user messages that were sent to it, refused ones as well
    uint64_t handled;       // of these, what it received
    uint64_t dead_lettered; // of these, what came too late
    uint64_t dropped;       // of these, what was discarded unread
    uint64_t turns;         // pooled: how often a worker ran it
    int64_t age;            // since it was spawned
    // Of pooled actors: between turns and in turns, as far as these are measured
    // (fkl_runtime_config.measure_turns) or traced.
    int64_t waiting; // in waits of the library
    int64_t running; // the rest of its age
} fkl_actor_stats;

// Errors: none; of a dead actor it says how it was at its end.
FKL_API void fkl_actor_get_stats(const fkl_actor *actor, fkl_actor_stats *out);

// Writes up to `capacity` rows about the actors that have not ended, the latest first, and the
// number of all such actors to `count`. Blocks: never (a short lock; O(actors)).
FKL_API void fkl_runtime_snapshot(fkl_runtime *runtime, fkl_actor_stats *rows, size_t capacity,
                                  size_t *count);

// The same as a table for people, passed to `write` in pieces; for watchdogs and debuggers. `limit`
// rows at most, 0 for all. Errors: FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_runtime_dump(fkl_runtime *runtime, size_t limit,
                                                void (*write)(const char *text, size_t len,
                                                              void *ctx),
                                                void *ctx);

// Why a message was lost.
typedef enum fkl_dead_reason {
    FKL_DEAD_NO_ACTOR, // there is no such actor any more
    FKL_DEAD_CLOSED,   // the actor takes no more messages: it drains
    FKL_DEAD_ENDED,    // it was in the mailbox when the actor ended
    FKL_DEAD_FULL,     // it was dropped from a full mailbox
    FKL_DEAD_LATE      // it is an answer for which nobody waits any more
} fkl_dead_reason;

// A dead letter, for the handler that fkl_runtime_config names. `msg` is valid during the call.
// Without a handler dead letters are logged, ten in a second at most, as FKL_LOG_INFO.
struct fkl_dead_letter {
    const fkl_msg *msg;
    fkl_actor_id to; // FKL_NOBODY for a thread outside of actors
    fkl_dead_reason reason;
};

// "the actor has ended" and so on. Never NULL.
FKL_API const char *fkl_dead_reason_text(fkl_dead_reason reason);

// Begins to trace spawns, exits, messages, waits and turns, and forgets what was traced before.
// About the latest `capacity` events are kept, 0 for 65,536; an event takes 128 bytes. Where no
// trace runs, nothing is measured. Errors: FKL_ENOMEM: nothing is traced then.
FKL_API FKL_MUST_CHECK fkl_err fkl_trace_start(fkl_runtime *runtime, size_t capacity);
// Keeps what was traced.
FKL_API void fkl_trace_stop(fkl_runtime *runtime);

// Passes the trace to `write` in pieces, as JSON in Chrome's trace event format, which
// ui.perfetto.dev and chrome://tracing open. Errors: FKL_ENOMEM: events are missing then, but what
// was written is valid.
FKL_API FKL_MUST_CHECK fkl_err fkl_trace_write(
    fkl_runtime *runtime, void (*write)(const char *text, size_t len, void *ctx), void *ctx);
// The same into a file, which is replaced. Errors: FKL_ENOMEM; FKL_EOS: the file could not be
// written.
FKL_API FKL_MUST_CHECK fkl_err fkl_trace_save(fkl_runtime *runtime, const char *path);

FKL_END_DECLS

#endif
