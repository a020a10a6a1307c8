// SPDX-License-Identifier: Apache-2.0
//
// The event trace: the latest events of a runtime, and their output in the JSON format that the
// Chrome and Perfetto viewers read. Knows threads and names, not actors. Where it is off it costs
// one relaxed load.
#ifndef FKLI_TRACE_H
#define FKLI_TRACE_H

#include <forkless/clock.h>
#include <forkless/runtime.h>

#include "platform/platform.h"

// `other` and `number` mean what the kind says.
typedef enum fkli_trace_kind {
    FKLI_TRACE_WAIT,       // a slice: the thread sleeps at `what`
    FKLI_TRACE_TURN,       // a slice: a worker runs `actor`; `number` messages
    FKLI_TRACE_SPAWN,      // `actor` was made by `other`
    FKLI_TRACE_EXIT,       // `actor` ended, for the reason `what`
    FKLI_TRACE_SEND,       // `actor` sent to `other`; `number` names the message
    FKLI_TRACE_RECEIVE,    // `actor` received from `other`; `number` names the message
    FKLI_TRACE_DEAD_LETTER // a message of `actor` for `other` was lost, because of `what`
} fkli_trace_kind;

typedef struct fkli_trace_event {
    fkli_trace_kind kind;
    fkl_time at;      // nanoseconds
    fkl_time until;   // slices
    const char *what; // static text, or NULL
    uint64_t actor;
    uint64_t other;
    uint64_t number;
    uint64_t thread; // the serial number of the thread that it happened in
    // Names, cut to fit.
    char subject[24]; // of `actor`
    char where[24];   // of the thread
} fkli_trace_event;

// Threads write to one of several rings, so that they seldom meet at a lock.
#define FKLI_TRACE_RINGS 8

typedef struct fkli_trace_ring {
    fkli_lock lock;
    // Guarded by lock:
    fkli_trace_event *events; // NULL where it never was on
    size_t capacity;
    uint64_t added; // the event n is at n % capacity
} fkli_trace_ring;

// Embedded in a runtime.
typedef struct fkli_tracer {
    fkli_atomic_u32 on;
    const fkl_allocator *allocator; // constant
    uint64_t process;               // constant: which runtime it is, for the viewer
    fkli_trace_ring rings[FKLI_TRACE_RINGS];
} fkli_tracer;

void fkli_tracer_init(fkli_tracer *tracer, const fkl_allocator *allocator);
// No thread adds events any more.
void fkli_tracer_fini(fkli_tracer *tracer);

static inline bool fkli_trace_on(const fkli_tracer *tracer)
{
    // Relaxed: an event more or less when it is switched does not matter.
    return fkli_load_relaxed_u32(&tracer->on) != 0;
}

// Forgets what was traced before and begins; about the latest `capacity` events are kept. Errors:
// FKL_ENOMEM; the trace is off then.
FKL_MUST_CHECK fkl_err fkli_trace_start(fkli_tracer *tracer, size_t capacity);
// What was traced stays.
void fkli_trace_stop(fkli_tracer *tracer);

// Adds an event, if the trace is on. Threads: any.
void fkli_trace_add(fkli_tracer *tracer, const fkli_trace_event *event);
// Copies a name into `subject` or `where`.
void fkli_trace_name(char (*to)[24], const char *name);

// Writes everything as one JSON text, in pieces. Errors: FKL_ENOMEM; events are missing then, but
// the text is whole.
FKL_MUST_CHECK fkl_err fkli_trace_write(fkli_tracer *tracer,
                                        void (*write)(const char *text, size_t len, void *ctx),
                                        void *ctx);

#endif
