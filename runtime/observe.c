// SPDX-License-Identifier: Apache-2.0
//
// What can be seen of actors from outside: their numbers, a table of all, the trace. Any thread
// runs this; everything it reads is atomic, constant, or guarded by the runtime's lock.

#include <forkless/observe.h>

#include "actor.h"
#include "circle.h"
#include "writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DEFAULT_TRACE_EVENTS = 65536 };

// Numbers.

// The acquire of `exited` makes `exited_at` visible.
static fkl_time end_of_age(const fkl_actor *actor, fkl_time now)
{
    return fkli_event_is_set(&actor->exited) ? actor->exited_at : now;
}

static void describe(const fkl_actor *actor, fkl_time now, fkl_actor_stats *out)
{
    const fkli_mailbox *mailbox = &actor->mailbox;
    memset(out, 0, sizeof *out);
    out->id = actor->id;
    memcpy(out->name, actor->name, strnlen(actor->name, sizeof out->name - 1));
    out->orphan = fkli_actor_is_orphan(actor);
    out->state = fkli_actor_where(actor);
    out->mailbox_len = fkli_mailbox_len(mailbox);
    out->mailbox_peak = fkli_mailbox_peak(mailbox);
    out->sent_to = fkli_load_relaxed_u64(&mailbox->sent);
    out->handled = fkli_load_relaxed_u64(&mailbox->handled);
    out->dead_lettered = fkli_load_relaxed_u64(&mailbox->refused);
    out->dropped = fkli_load_relaxed_u64(&mailbox->dropped);
    out->age = end_of_age(actor, now) - actor->spawned_at;
    out->pooled = actor->pooled;
    out->asking = fkli_circle_target_of(actor);
    if (actor->pooled) {
        const fkli_pooled *pooled = (const fkli_pooled *)actor;
        out->turns = fkli_load_relaxed_u64(&pooled->turns);
        out->running = (int64_t)fkli_load_relaxed_u64(&pooled->ran);
        out->waiting = out->age > out->running ? out->age - out->running : 0;
        return;
    }
    out->waiting = fkli_actor_waited(actor, now);
    if (out->waiting > out->age) // the two were not read in one instant
        out->waiting = out->age;
    out->running = out->age - out->waiting;
}

void fkl_actor_get_stats(const fkl_actor *actor, fkl_actor_stats *out)
{
    describe(actor, fkli_clock_now(), out);
}

void fkl_runtime_snapshot(fkl_runtime *runtime, fkl_actor_stats *rows, size_t capacity,
                          size_t *count)
{
    size_t found = 0;
    fkl_time now = fkli_clock_now();
    fkli_lock_take(&runtime->lock);
    for (const fkl_actor *actor = runtime->actors; actor; actor = actor->next) {
        if (fkli_event_is_set(&actor->ended))
            continue;
        if (found < capacity)
            describe(actor, now, &rows[found]);
        ++found;
    }
    fkli_lock_give(&runtime->lock);
    *count = found;
}

// The table.

static void print_row(const fkli_writer *out, const fkl_actor_stats *row)
{
    fkli_print(out,
               "%12" PRIx64 "  %-24.24s %-18s %8" PRIu64 " %8" PRIu64 " %10" PRIu64 " %9.3f %9.3f",
               row->id, row->name, row->state, row->mailbox_len, row->mailbox_peak, row->handled,
               (double)row->running / 1e9, (double)row->waiting / 1e9);
    if (row->asking)
        fkli_print(out, "  asks %" PRIx64, row->asking);
    fkli_print(out, "%s\n", row->orphan ? "  orphan" : "");
}

fkl_err fkl_runtime_dump(fkl_runtime *runtime, size_t limit,
                         void (*write)(const char *text, size_t len, void *ctx), void *ctx)
{
    size_t count;
    fkl_runtime_snapshot(runtime, NULL, 0, &count);
    size_t capacity = limit && limit < count ? limit : count;
    fkl_actor_stats *rows = fkli_alloc(&runtime->allocator, capacity * sizeof *rows);
    if (!rows)
        return FKL_ENOMEM;
    size_t found;
    fkl_runtime_snapshot(runtime, rows, capacity, &found);
    fkli_writer out = {write, ctx};
    fkli_print(&out, "%12s  %-24s %-18s %8s %8s %10s %9s %9s\n", "id", "name", "state", "mailbox",
               "peak", "handled", "run s", "wait s");
    size_t shown = found < capacity ? found : capacity;
    for (size_t i = 0; i < shown; ++i)
        print_row(&out, &rows[i]);
    fkli_print(&out, "%zu actors, %zu not shown\n", found, found - shown);
    fkli_free(&runtime->allocator, rows, capacity * sizeof *rows);
    return FKL_OK;
}

// The trace.

void fkli_actor_trace_slow(const fkl_actor *actor, fkli_trace_kind kind, uint64_t other,
                           uint64_t number, const char *what)
{
    fkli_thread *thread = fkli_thread_current();
    fkli_trace_event event = {.kind = kind, .at = fkli_clock_now(), .what = what};
    event.actor = actor->id;
    event.other = other;
    event.number = number;
    event.thread = thread->serial;
    fkli_trace_name(&event.subject, actor->name);
    if (thread->name)
        fkli_trace_name(&event.where, thread->name);
    fkli_trace_add(&actor->runtime->tracer, &event);
}

fkl_err fkl_trace_start(fkl_runtime *runtime, size_t capacity)
{
    return fkli_trace_start(&runtime->tracer, capacity ? capacity : DEFAULT_TRACE_EVENTS);
}

void fkl_trace_stop(fkl_runtime *runtime)
{
    fkli_trace_stop(&runtime->tracer);
}

fkl_err fkl_trace_write(fkl_runtime *runtime,
                        void (*write)(const char *text, size_t len, void *ctx), void *ctx)
{
    return fkli_trace_write(&runtime->tracer, write, ctx);
}

static void write_to_file(const char *text, size_t len, void *ctx)
{
    // A failure is remembered by the stream: fkl_trace_save() asks it.
    size_t written = fwrite(text, 1, len, ctx);
    (void)written;
}

fkl_err fkl_trace_save(fkl_runtime *runtime, const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return FKL_EOS;
    fkl_err err = fkl_trace_write(runtime, write_to_file, file);
    bool failed = ferror(file) != 0;
    failed |= fclose(file) != 0;
    return failed ? FKL_EOS : err;
}
