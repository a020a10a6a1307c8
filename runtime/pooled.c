// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors: a task of the runtime's scheduler each, whose run is a turn. Spawning runs in any
// thread, all else in workers.
//
// Between turns the inboxes are BLOCKED, so the push that replaces BLOCKED makes the task ready,
// and only that one; in a turn they need not be, since the turn looks at them before it ends. Who
// stops or kills an actor sets the flag in its scope, then makes the task ready. The scheduler sees
// to it that turns do not overlap, and that one sees what the one before wrote.
//
// In a turn the worker's thread is the actor's own: its record says on whose behalf it runs, that
// waits must fail (FKL_EPOOLED), and who owns the mutexes that it takes.

#include "pooled.h"

#include <forkless/pooled.h>

#include "exit.h"
#include "link.h"
#include "ward.h"

enum { TURN_MESSAGES = 100 };

static fkli_pooled *pooled_of(fkli_task *task)
{
    return (fkli_pooled *)(void *)((char *)task - offsetof(fkli_pooled, task));
}

// Turns.

static void enter_turn(fkli_thread *thread, fkli_pooled *pooled)
{
    fkl_actor *actor = &pooled->actor;
    thread->actor = actor;
    thread->scope = &actor->scope;
    thread->own = actor;
    thread->own_scope = &actor->scope;
    thread->must_not_wait = true;
    thread->holder = pooled->holder;
}

// After each call of the behaviour's.
static void come_back(const fkli_thread *thread, fkl_actor *actor)
{
    if (thread->actor != actor)
        fkl_actor_leave(actor); // it forgot to
}

static void leave_turn(fkli_thread *thread)
{
    thread->actor = NULL;
    thread->scope = NULL;
    thread->own = NULL;
    thread->own_scope = NULL;
    thread->must_not_wait = false;
    thread->holder = thread->serial;
}

// Whether it has been asked to end, or its exit is out already.
static bool shall_end(const fkl_actor *actor)
{
    return fkli_scope_has(&actor->scope, FKLI_SCOPE_STOP | FKLI_SCOPE_ENDED);
}

// The last turn. `finish` runs once, even if it ends the thread.
static fkli_task_result end(fkli_thread *thread, fkli_pooled *pooled)
{
    fkl_actor *actor = &pooled->actor;
    fkl_runtime *runtime = actor->runtime;
    if (!pooled->finished) {
        pooled->finished = true;
        if (pooled->behaviour.finish)
            pooled->behaviour.finish(actor, pooled->state);
        come_back(thread, actor);
    }
    fkli_exit_publish_return(actor);
    fkli_actor_end(actor);
    leave_turn(thread);
    fkl_actor_release(actor);
    fkli_actor_count_out(runtime, true);
    return FKLI_TASK_GONE;
}

typedef enum outcome { OUT_OF_MESSAGES, OUT_OF_TURN, AT_THE_END } outcome;

static outcome handle_messages(const fkli_thread *thread, fkli_pooled *pooled)
{
    fkl_actor *actor = &pooled->actor;
    for (int handled = 0; handled < TURN_MESSAGES; ++handled) {
        if (shall_end(actor))
            return AT_THE_END;
        fkl_msg *msg;
        fkl_err err = fkl_try_receive(&msg);
        if (err == FKL_EEMPTY)
            return OUT_OF_MESSAGES;
        if (err)
            return AT_THE_END;
        fkl_turn turn = pooled->behaviour.receive(actor, msg, pooled->state);
        come_back(thread, actor);
        if (turn == FKL_TURN_END)
            return AT_THE_END;
    }
    return OUT_OF_TURN;
}

// A turn that is measured or traced: since when, and how many messages there were before.
typedef struct stopwatch {
    fkl_time since; // 0: neither
    uint64_t handled;
} stopwatch;

static stopwatch start_watch(const fkl_actor *actor)
{
    fkl_runtime *runtime = actor->runtime;
    if (!runtime->config.measure_turns && !fkli_trace_on(&runtime->tracer))
        return (stopwatch){0, 0};
    return (stopwatch){fkli_clock_now(), fkli_load_relaxed_u64(&actor->mailbox.handled)};
}

static void stop_watch(const stopwatch *watch, const fkli_thread *thread, fkli_pooled *pooled)
{
    if (!watch->since)
        return;
    const fkl_actor *actor = &pooled->actor;
    fkl_time now = fkli_clock_now();
    uint64_t ran = fkli_load_relaxed_u64(&pooled->ran); // one writer at a time
    fkli_store_relaxed_u64(&pooled->ran, ran + (uint64_t)(now - watch->since));
    fkli_trace_event event = {.kind = FKLI_TRACE_TURN, .at = watch->since, .until = now};
    event.actor = actor->id;
    event.number = fkli_load_relaxed_u64(&actor->mailbox.handled) - watch->handled;
    event.thread = thread->serial;
    fkli_trace_name(&event.subject, actor->name);
    fkli_trace_name(&event.where, thread->name ? thread->name : "");
    fkli_trace_add(&actor->runtime->tracer, &event);
}

static fkli_task_result run_turn(fkli_task *task, void *ctx)
{
    (void)ctx;
    fkli_pooled *pooled = pooled_of(task);
    fkl_actor *actor = &pooled->actor;
    fkli_thread *thread = fkli_thread_current();
    stopwatch watch = start_watch(actor);
    enter_turn(thread, pooled);
    fkli_store_relaxed_u64(&pooled->turns, fkli_load_relaxed_u64(&pooled->turns) + 1);
    if (!pooled->started && !shall_end(actor)) {
        pooled->started = true;
        if (pooled->behaviour.start)
            pooled->behaviour.start(actor, pooled->state);
        come_back(thread, actor);
    }
    outcome out = handle_messages(thread, pooled);
    stop_watch(&watch, thread, pooled);
    if (out == AT_THE_END)
        return end(thread, pooled);
    leave_turn(thread);
    // The flags were looked at before; whoever sets one now makes the task ready after it.
    return out == OUT_OF_MESSAGES && fkli_mailbox_block(&actor->mailbox, NULL) ? FKLI_TASK_IDLE
                                                                               : FKLI_TASK_MORE;
}

// A behaviour has ended its worker's thread.
static void abandon_turn(fkli_task *task, void *ctx)
{
    (void)ctx;
    fkli_pooled *pooled = pooled_of(task);
    fkl_actor *actor = &pooled->actor;
    fkli_thread *thread = fkli_thread_current();
    come_back(thread, actor);
    fkli_log(&actor->runtime->log, FKL_LOG_ERROR,
             "the behaviour of actor %llx (%s) ended the thread that it ran in",
             (unsigned long long)actor->id, actor->name);
    end(thread, pooled);
}

// The pool.

static void begin_worker(void *ctx)
{
    fkl_runtime *runtime = ctx;
    fkli_magazine_open(&fkli_thread_current()->magazine, &runtime->depot);
    fkli_magazine_open(&fkli_thread_current()->bodies, &runtime->bodies);
    if (runtime->config.on_thread_start)
        runtime->config.on_thread_start(FKL_NOBODY, runtime->config.hook_ctx);
}

static void end_worker(void *ctx)
{
    const fkl_runtime *runtime = ctx;
    if (runtime->config.on_thread_end)
        runtime->config.on_thread_end(FKL_NOBODY, runtime->config.hook_ctx);
}

fkl_err fkli_pool_create(fkl_runtime *runtime)
{
    const fkl_runtime_config *config = &runtime->config;
    fkli_scheduler_config pool = {
        .workers = config->pool_workers ? config->pool_workers : fkli_cpu_count(),
        .stack_size = config->stack_size,
        .run = run_turn,
        .abandon = abandon_turn,
        .begin = begin_worker,
        .end = end_worker,
        .ctx = runtime,
    };
    if (pool.workers > FKLI_MAX_WORKERS)
        pool.workers = FKLI_MAX_WORKERS;
    return fkli_scheduler_create(&runtime->allocator, &pool, &runtime->pool);
}

fkl_err fkli_spawn_pooled(fkl_runtime *runtime, const fkl_spawn_options *options, fkli_ward *ward,
                          const fkl_behaviour *behaviour, void *state, fkl_actor **out)
{
    fkl_err err = fkli_scheduler_start(runtime->pool);
    fkl_actor *actor = NULL;
    if (!err)
        err = fkli_actor_create(runtime, options, sizeof(fkli_pooled), &actor);
    if (err) {
        if (ward)
            ward->ops->release(ward);
        return err;
    }
    fkli_pooled *pooled = (fkli_pooled *)actor;
    actor->pooled = true;
    actor->ward = ward;
    fkli_scope_init(&actor->scope, NULL);
    actor->scope.tracer = &runtime->tracer;
    fkli_task_init(&pooled->task);
    pooled->behaviour = *behaviour;
    pooled->state = state;
    pooled->holder = fkli_thread_new_serial();
    fkli_ward_inherit(actor);
    err = fkli_actor_enlist(runtime, actor, options, out ? 2 : 1);
    if (err) {
        fkli_actor_abandon(actor);
        return err;
    }
    err = options && options->link ? fkli_link_child(actor) : FKL_OK;
    if (err) {
        fkli_actor_abort_start(actor, out ? 2 : 1);
        return err;
    }
    if (out)
        *out = actor;
    // Without a reference of the caller's it may be gone after this.
    fkli_task_submit(runtime->pool, &pooled->task);
    return FKL_OK;
}

fkl_err fkl_spawn_pooled(fkl_runtime *runtime, const fkl_spawn_options *options,
                         const fkl_behaviour *behaviour, void *state, fkl_actor **out)
{
    if (!runtime || !behaviour || !behaviour->receive)
        return FKL_EINVAL;
    return fkli_spawn_pooled(runtime, options, NULL, behaviour, state, out);
}

fkl_err fkl_become(const fkl_behaviour *behaviour, void *state)
{
    if (!behaviour || !behaviour->receive)
        return FKL_EINVAL;
    fkl_actor *self = fkli_actor_own();
    if (!self || !self->pooled)
        return FKL_EPERM;
    fkli_pooled *pooled = (fkli_pooled *)self;
    pooled->behaviour = *behaviour;
    pooled->state = state;
    return FKL_OK;
}
