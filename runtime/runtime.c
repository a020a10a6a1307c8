// SPDX-License-Identifier: Apache-2.0
//
// Runtimes: making, shutting down, freeing, and what can be seen of one from outside. Runs in the
// user's threads; shutdown must not run in an actor of the same runtime.

#include "actor.h"
#include "ahead.h"
#include "delayed.h"
#include "pooled.h"
#include "registry.h"
#include "ward.h"

#include <string.h>

static const uint32_t default_max_actors = 1048576;

static bool is_complete(const fkl_allocator *allocator)
{
    int given = !!allocator->allocate + !!allocator->resize + !!allocator->release;
    return given == 0 || given == 3;
}

// What destroy_parts() frees. What has not been made is zero.
static fkl_err create_parts(fkl_runtime *runtime)
{
    fkl_err err = fkli_timers_create(&runtime->allocator, &runtime->timers);
    if (!err)
        err = fkli_delayed_create(&runtime->allocator, &runtime->delayed);
    if (!err)
        err = fkli_nametable_init(&runtime->names, &runtime->allocator);
    if (!err)
        err = fkli_nametable_init(&runtime->groups, &runtime->allocator);
    if (!err)
        err = fkli_pool_create(runtime); // last: fkli_registry_release() frees it
    return err;
}

static void destroy_parts(fkl_runtime *runtime)
{
    fkli_nametable_fini(&runtime->groups);
    fkli_nametable_fini(&runtime->names);
    fkli_delayed_destroy(runtime->delayed);
    fkli_timers_destroy(runtime->timers);
}

fkl_err fkl_runtime_create(const fkl_runtime_config *config, fkl_runtime **out)
{
    fkl_runtime_config filled = {0};
    if (config)
        filled = *config;
    if (!is_complete(&filled.allocator))
        return FKL_EINVAL;
    if (!filled.allocator.allocate)
        filled.allocator = *fkli_allocator_of(NULL);
    if (filled.max_actors == 0)
        filled.max_actors = default_max_actors;
    fkl_runtime *runtime = fkli_alloc_zeroed(&filled.allocator, sizeof *runtime);
    if (!runtime)
        return FKL_ENOMEM;
    _Static_assert(offsetof(fkl_runtime, allocator) == 0, "see fkli_allocator_of()");
    runtime->allocator = filled.allocator;
    runtime->config = filled;
    runtime->parallel = fkli_cpu_count() > 1;
    runtime->log = (fkli_log_sink){filled.log, filled.log_ctx};
    fkl_err err = create_parts(runtime);
    if (err) {
        destroy_parts(runtime);
        fkli_free(&filled.allocator, runtime, sizeof *runtime);
        return err;
    }
    runtime->dead_letters = (fkli_dead_letters){
        .handler = filled.on_dead_letter, .ctx = filled.dead_letter_ctx, .log = &runtime->log};
    fkli_tracer_init(&runtime->tracer, &runtime->allocator);
    fkli_depot_init(&runtime->depot, &runtime->allocator, &fkli_message_blocks);
    fkli_depot_init(&runtime->bodies, &runtime->allocator, &fkli_actor_blocks);
    fkli_registry_init(runtime);
    *out = runtime;
    return FKL_OK;
}

// Actors that have a supervisor are left to it, which stops them in order. One that is gone has
// stopped its children itself.
static void stop_all(fkl_runtime *runtime)
{
    fkli_lock_take(&runtime->lock);
    runtime->stopping = true;
    fkli_ahead_dismiss_locked(runtime);
    for (fkl_actor *actor = runtime->actors; actor; actor = actor->next) {
        if (!fkli_ward_is_minded(actor))
            fkli_actor_request_stop(actor);
    }
    fkli_lock_give(&runtime->lock);
}

// Whether all threads have ended; queues the waiter otherwise.
static bool idle_or_queue(fkl_runtime *runtime, fkli_waiter *waiter)
{
    fkli_lock_take(&runtime->lock);
    bool idle = fkli_load_acquire_u64(&runtime->threads) == 0;
    if (!idle)
        fkli_waitlist_append_locked(&runtime->idle, waiter);
    fkli_lock_give(&runtime->lock);
    return idle;
}

static fkl_err await_idle(fkl_runtime *runtime, fkl_time deadline)
{
    fkli_waiter waiter;
    fkli_waiter_init(&waiter, fkli_thread_current());
    if (idle_or_queue(runtime, &waiter))
        return FKL_OK;
    return fkli_waitlist_await(&runtime->idle, &runtime->lock, &waiter, deadline, "shutdown");
}

// Names whom a shutdown that gives up has waited for.
static void report_running(fkl_runtime *runtime)
{
    enum { SHOWN = 10 };
    fkl_running rows[SHOWN];
    size_t count;
    fkl_runtime_running(runtime, rows, SHOWN, &count);
    for (size_t i = 0; i < count && i < SHOWN; ++i)
        fkli_log(&runtime->log, FKL_LOG_WARN, "shutdown: actor %llx (%s) still runs: %s%s",
                 (unsigned long long)rows[i].id, rows[i].name, rows[i].wait,
                 rows[i].orphan ? ", killed" : "");
    if (count > SHOWN)
        fkli_log(&runtime->log, FKL_LOG_WARN, "shutdown: %zu more still run", count - SHOWN);
}

static fkl_err stop_timers(fkl_runtime *runtime, fkl_time deadline)
{
    fkl_err err = fkli_timers_stop(runtime->timers, deadline);
    if (err == FKL_ETIMEDOUT && fkli_timers_are_firing(runtime->timers))
        fkli_log(&runtime->log, FKL_LOG_WARN,
                 "shutdown: the timer thread still runs: a message's release function");
    return err;
}

fkl_err fkl_runtime_shutdown(fkl_runtime *runtime, fkl_time deadline)
{
    fkl_actor *self = fkl_self();
    if ((self && self->runtime == runtime) || fkli_timers_is_current(runtime->timers) ||
        fkli_scheduler_is_current(runtime->pool))
        return FKL_EDEADLK;
    stop_all(runtime);
    fkl_err err = await_idle(runtime, deadline);
    if (err == FKL_ETIMEDOUT)
        report_running(runtime);
    // Workers and timers last, for actors that wind up still need them.
    if (!err)
        err = fkli_scheduler_stop(runtime->pool, deadline);
    return err ? err : stop_timers(runtime, deadline);
}

fkl_err fkl_runtime_destroy(fkl_runtime *runtime)
{
    if (!runtime)
        return FKL_OK;
    fkli_lock_take(&runtime->lock);
    bool idle = fkli_load_acquire_u64(&runtime->threads) == 0;
    if (idle)
        runtime->stopping = true;
    fkli_lock_give(&runtime->lock);
    if (!idle || !fkli_timers_are_stopped(runtime->timers) ||
        !fkli_scheduler_is_stopped(runtime->pool))
        return FKL_EDEADLK;
    destroy_parts(runtime);
    fkli_registry_release(runtime);
    return FKL_OK;
}

// Looking.

static void describe(const fkl_actor *actor, fkl_running *row)
{
    memset(row, 0, sizeof *row);
    row->id = actor->id;
    memcpy(row->name, actor->name, strnlen(actor->name, sizeof row->name - 1));
    row->wait = fkli_actor_where(actor);
    row->orphan = fkli_event_is_set(&actor->exited);
}

void fkl_runtime_running(fkl_runtime *runtime, fkl_running *rows, size_t capacity, size_t *count)
{
    size_t found = 0;
    fkli_lock_take(&runtime->lock);
    for (const fkl_actor *actor = runtime->actors; actor; actor = actor->next) {
        if (fkli_event_is_set(&actor->ended))
            continue;
        if (found < capacity)
            describe(actor, &rows[found]);
        ++found;
    }
    fkli_lock_give(&runtime->lock);
    *count = found;
}

void fkl_runtime_counters(const fkl_runtime *runtime, fkl_counters *out)
{
    fkl_runtime *locked = (fkl_runtime *)(uintptr_t)runtime;
    fkli_lock_take(&locked->lock);
    *out = runtime->retired;
    for (const fkl_actor *actor = runtime->actors; actor; actor = actor->next) {
        fkli_actor_add_counters(actor, out);
        out->orphans += fkli_actor_is_orphan(actor);
    }
    fkli_lock_give(&locked->lock);
    uint64_t unknown = fkli_load_relaxed_u64(&runtime->unknown);
    uint64_t late = fkli_load_relaxed_u64(&runtime->late);
    out->sent += unknown + late + fkli_load_relaxed_u64(&runtime->kept);
    out->dead_lettered += unknown + late;
    out->late_replies = late;
    out->live = fkli_load_acquire_u64(&runtime->live);
}
