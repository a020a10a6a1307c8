// SPDX-License-Identifier: Apache-2.0
//
// Rings of events and the JSON made of them (see trace.h). Any thread adds; a ring's lock is held
// for the copy of one event.
//
// The format is the JSON object of Chrome's "Trace Event Format" with its key "traceEvents": slices
// are complete events (X), moments are instant events (i), a message is an arrow from its sending
// (s) to its receipt (f), and metadata (M) names the process and the threads. Times are in
// microseconds with three decimals.

#include "trace.h"

#include "memory.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static fkli_atomic_u64 last_process;

void fkli_tracer_init(fkli_tracer *tracer, const fkl_allocator *allocator)
{
    memset(tracer, 0, sizeof *tracer);
    tracer->allocator = allocator;
    // Relaxed: only that no number comes twice matters.
    tracer->process = fkli_add_relaxed_u64(&last_process, 1) + 1;
    for (size_t i = 0; i < FKLI_TRACE_RINGS; ++i)
        fkli_lock_init(&tracer->rings[i].lock);
}

// Gives a ring other events, and frees those that it had.
static void replace(fkli_tracer *tracer, fkli_trace_ring *ring, fkli_trace_event *events,
                    size_t capacity)
{
    fkli_lock_take(&ring->lock);
    fkli_trace_event *old = ring->events;
    size_t old_size = ring->capacity * sizeof *old;
    ring->events = events;
    ring->capacity = capacity;
    ring->added = 0;
    fkli_lock_give(&ring->lock);
    fkli_free(tracer->allocator, old, old_size);
}

void fkli_tracer_fini(fkli_tracer *tracer)
{
    for (size_t i = 0; i < FKLI_TRACE_RINGS; ++i) {
        replace(tracer, &tracer->rings[i], NULL, 0);
        fkli_lock_fini(&tracer->rings[i].lock);
    }
}

fkl_err fkli_trace_start(fkli_tracer *tracer, size_t capacity)
{
    size_t each = capacity / FKLI_TRACE_RINGS + 1;
    if (each > SIZE_MAX / sizeof(fkli_trace_event))
        return FKL_ENOMEM;
    fkli_trace_stop(tracer);
    for (size_t i = 0; i < FKLI_TRACE_RINGS; ++i) {
        fkli_trace_event *events = fkli_alloc(tracer->allocator, each * sizeof *events);
        replace(tracer, &tracer->rings[i], events, events ? each : 0);
        if (!events)
            return FKL_ENOMEM;
    }
    fkli_store_relaxed_u32(&tracer->on, 1);
    return FKL_OK;
}

void fkli_trace_stop(fkli_tracer *tracer)
{
    fkli_store_relaxed_u32(&tracer->on, 0);
}

void fkli_trace_name(char (*to)[24], const char *name)
{
    size_t len = strnlen(name, sizeof *to - 1);
    memcpy(*to, name, len);
    (*to)[len] = '\0';
}

void fkli_trace_add(fkli_tracer *tracer, const fkli_trace_event *event)
{
    if (!fkli_trace_on(tracer))
        return;
    fkli_trace_ring *ring = &tracer->rings[event->thread % FKLI_TRACE_RINGS];
    fkli_lock_take(&ring->lock);
    if (ring->capacity)
        ring->events[ring->added++ % ring->capacity] = *event;
    fkli_lock_give(&ring->lock);
}

// Output.

typedef struct output {
    fkli_writer to;
    uint64_t process;
    bool any; // something has been written that a comma must follow
} output;

// A JSON string. Bytes that no text has become question marks.
static void print_string(output *out, const char *text)
{
    fkli_print(&out->to, "\"");
    for (; *text; ++text) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fkli_print(&out->to, "\\%c", byte);
        else
            fkli_print(&out->to, "%c", byte < 0x20 || byte >= 0x7f ? '?' : byte);
    }
    fkli_print(&out->to, "\"");
}

static double microseconds(fkl_time ns)
{
    return (double)ns / 1000;
}

static void begin_event(output *out, const char *phase, const char *name, uint64_t thread)
{
    fkli_print(&out->to, "%s\n{\"ph\":\"%s\",\"pid\":%" PRIu64 ",\"tid\":%" PRIu64 ",\"name\":",
               out->any ? "," : "", phase, out->process, thread);
    print_string(out, name);
    out->any = true;
}

static void print_thread_name(output *out, const fkli_trace_event *event)
{
    begin_event(out, "M", "thread_name", event->thread);
    fkli_print(&out->to, ",\"args\":{\"name\":");
    print_string(out, event->where[0] ? event->where : "thread");
    fkli_print(&out->to, "}}");
}

static void print_slice(output *out, const fkli_trace_event *event, const char *category)
{
    const char *name = event->kind == FKLI_TRACE_WAIT ? event->what : event->subject;
    begin_event(out, "X", name && name[0] ? name : "actor", event->thread);
    fkli_print(
        &out->to, ",\"cat\":\"%s\",\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"actor\":\"%" PRIx64 "\"",
        category, microseconds(event->at), microseconds(event->until - event->at), event->actor);
    if (event->kind == FKLI_TRACE_TURN)
        fkli_print(&out->to, ",\"messages\":%" PRIu64, event->number);
    fkli_print(&out->to, "}}");
}

static void print_instant(output *out, const fkli_trace_event *event, const char *name)
{
    begin_event(out, "i", name, event->thread);
    fkli_print(&out->to,
               ",\"cat\":\"actor\",\"s\":\"t\",\"ts\":%.3f,\"args\":{\"actor\":\"%" PRIx64
               "\",\"other\":\"%" PRIx64 "\",\"name\":",
               microseconds(event->at), event->actor, event->other);
    print_string(out, event->subject);
    if (event->what) {
        fkli_print(&out->to, ",\"what\":");
        print_string(out, event->what);
    }
    fkli_print(&out->to, "}}");
}

// An arrow's end; the viewer joins those of one number.
static void print_arrow(output *out, const fkli_trace_event *event)
{
    begin_event(out, event->kind == FKLI_TRACE_SEND ? "s" : "f", "message", event->thread);
    fkli_print(&out->to, ",\"cat\":\"message\",\"bp\":\"e\",\"id\":%" PRIu64 ",\"ts\":%.3f}",
               event->number, microseconds(event->at));
}

static void print_event(output *out, const fkli_trace_event *event)
{
    switch (event->kind) {
    case FKLI_TRACE_WAIT:
        print_slice(out, event, "wait");
        break;
    case FKLI_TRACE_TURN:
        print_slice(out, event, "turn");
        break;
    case FKLI_TRACE_SPAWN:
        print_instant(out, event, "spawn");
        break;
    case FKLI_TRACE_EXIT:
        print_instant(out, event, "exit");
        break;
    case FKLI_TRACE_DEAD_LETTER:
        print_instant(out, event, "dead letter");
        break;
    case FKLI_TRACE_SEND:
        print_instant(out, event, "send");
        print_arrow(out, event);
        break;
    case FKLI_TRACE_RECEIVE:
        print_instant(out, event, "receive");
        print_arrow(out, event);
        break;
    }
}

// A copy of a ring, so that `write` may do what it likes; the events oldest first.
static fkl_err copy_ring(fkli_tracer *tracer, fkli_trace_ring *ring, fkli_trace_event **events,
                         size_t *capacity, size_t *count)
{
    fkl_err err = FKL_OK;
    fkli_lock_take(&ring->lock);
    size_t size = ring->capacity * sizeof **events;
    fkli_trace_event *copy = fkli_alloc(tracer->allocator, size);
    if (copy) {
        uint64_t first = ring->added > ring->capacity ? ring->added - ring->capacity : 0;
        for (uint64_t n = first; n < ring->added; ++n)
            copy[n - first] = ring->events[n % ring->capacity];
        *count = (size_t)(ring->added - first);
    } else {
        err = FKL_ENOMEM;
    }
    *events = copy;
    *capacity = ring->capacity;
    fkli_lock_give(&ring->lock);
    return err;
}

// All events of one thread are in one ring, so remembering the last few threads is enough to keep
// repeated names rare; a repeated name does no harm.
static fkl_err print_ring(output *out, fkli_tracer *tracer, fkli_trace_ring *ring)
{
    fkli_trace_event *events;
    size_t capacity;
    size_t count;
    fkl_err err = copy_ring(tracer, ring, &events, &capacity, &count);
    if (err)
        return err;
    uint64_t named[64] = {0};
    for (size_t n = 0; n < count; ++n) {
        uint64_t *last = &named[events[n].thread / FKLI_TRACE_RINGS % 64];
        if (*last != events[n].thread) {
            *last = events[n].thread;
            print_thread_name(out, &events[n]);
        }
        print_event(out, &events[n]);
    }
    fkli_free(tracer->allocator, events, capacity * sizeof *events);
    return FKL_OK;
}

fkl_err fkli_trace_write(fkli_tracer *tracer,
                         void (*write)(const char *text, size_t len, void *ctx), void *ctx)
{
    output out = {{write, ctx}, tracer->process, false};
    fkli_print(&out.to, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    begin_event(&out, "M", "process_name", 0);
    fkli_print(&out.to, ",\"args\":{\"name\":\"forkless runtime %" PRIu64 "\"}}", out.process);
    fkl_err err = FKL_OK;
    for (size_t i = 0; i < FKLI_TRACE_RINGS && !err; ++i)
        err = print_ring(&out, tracer, &tracer->rings[i]);
    fkli_print(&out.to, "\n]}\n");
    return err;
}
