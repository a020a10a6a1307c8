// SPDX-License-Identifier: Apache-2.0
//
// The life of an actor: spawning, its thread from first to last step, references, helpers,
// stopping. fkl_spawn() runs in any thread, run_actor() in the actor's own.
//
// The end of a thread, in this order: exit record out, on_thread_end hook, leftovers of the mailbox
// dropped, `ended` set, record of the thread given up, own reference dropped, and last the
// runtime's count of threads lowered: by a compare-and-swap while others are left, else under the
// runtime's lock. Nothing of the runtime is touched after that, so a shutdown that sees the count
// at 0, under the lock, may free everything.

#include "actor.h"

#include "ahead.h"
#include "exit.h"
#include "link.h"
#include "names.h"
#include "ward.h"

#include <string.h>

// Making and freeing.

// AddressSanitizer watches a freed actor longer than a kept one, which is soon another.
#if defined(FKLI_SANITIZE_ADDRESS)
enum { KEPT_ACTORS = 0 };
#else
enum { KEPT_ACTORS = FKLI_KEPT_BLOCKS(16384) };
#endif

const fkli_block_kind fkli_actor_blocks = {
    .room = sizeof(fkli_pooled),
    .slack = 0,
    .pile = 16,
    .most = KEPT_ACTORS,
};

_Static_assert(sizeof(fkli_threaded) > sizeof(fkli_pooled), "the size tells the blocks");

// The calling thread's, if it is a worker of this runtime; else NULL.
static fkli_magazine *bodies_of(const fkl_runtime *runtime)
{
    fkli_thread *thread = fkli_thread_peek();
    return thread && thread->bodies.depot == &runtime->bodies ? &thread->bodies : NULL;
}

// `size` bytes, zeroed, or NULL.
static fkl_actor *make_body(fkl_runtime *runtime, size_t size)
{
    if (size != fkli_actor_blocks.room)
        return fkli_alloc_zeroed(&runtime->allocator, size);
    uint8_t offset;
    fkli_magazine *magazine = bodies_of(runtime);
    void *block = magazine ? fkli_magazine_take(magazine, &offset)
                           : fkli_depot_take(&runtime->bodies, &offset);
    return block ? memset(block, 0, size) : NULL;
}

static void free_body(fkl_runtime *runtime, fkl_actor *actor)
{
    fkli_magazine *magazine = bodies_of(runtime);
    if (actor->size != fkli_actor_blocks.room)
        fkli_free(&runtime->allocator, actor, actor->size);
    else if (magazine)
        fkli_magazine_put(magazine, actor, 0);
    else
        fkli_depot_put(&runtime->bodies, actor, 0);
}

static fkl_err create_bound(fkl_runtime *runtime, const fkl_spawn_options *options,
                            fkli_bound **out)
{
    *out = NULL;
    if (!options || options->mailbox_capacity == 0)
        return FKL_OK;
    return fkli_bound_create(&runtime->allocator, options->mailbox_capacity, options->mailbox_full,
                             out);
}

fkl_err fkli_actor_create(fkl_runtime *runtime, const fkl_spawn_options *options, size_t size,
                          fkl_actor **out)
{
    const char *name = options && options->name ? options->name : "";
    size_t name_size = name[0] ? strlen(name) + 1 : 0;
    if (name_size > UINT32_MAX - size)
        return FKL_ENOMEM;
    fkli_bound *bound;
    fkl_err err = create_bound(runtime, options, &bound);
    if (err)
        return err;
    fkl_actor *actor = make_body(runtime, size + name_size);
    if (!actor) {
        fkli_bound_destroy(&runtime->allocator, bound);
        return FKL_ENOMEM;
    }
    actor->size = (uint32_t)(size + name_size);
    actor->name = name_size ? memcpy((char *)actor + size, name, name_size) : "";
    actor->runtime = runtime;
    actor->spawned_at = fkli_clock_now();
    actor->data = options ? options->data : NULL;
    actor->trap_exits = options && options->trap_exits;
    actor->sentinel_read = -1;
    actor->sentinel_write = -1;
    fkli_event_init(&actor->exited);
    fkli_event_init(&actor->ended);
    fkli_lock_init(&actor->lock);
    fkli_mailbox_init(&actor->mailbox, bound);
    *out = actor;
    return FKL_OK;
}

static fkl_err create_threaded(fkl_runtime *runtime, const fkl_spawn_options *options,
                               const fkli_spawn_extra *extra, fkl_actor_fn fn, void *arg,
                               fkli_threaded **out)
{
    fkl_actor *actor;
    fkl_err err = fkli_actor_create(runtime, options, sizeof(fkli_threaded), &actor);
    if (err)
        return err;
    fkli_threaded *threaded = (fkli_threaded *)actor;
    threaded->fn = fn;
    threaded->arg = arg;
    threaded->at_end = extra->at_end;
    threaded->at_release = extra->at_release;
    actor->ward = extra->ward;
    fkli_thread_init(&threaded->thread, actor, &actor->scope);
    fkli_scope_init(&actor->scope, &threaded->thread);
    actor->scope.tracer = &runtime->tracer;
    threaded->thread.name = actor->name;
    *out = threaded;
    return FKL_OK;
}

void fkli_actor_destroy(fkl_actor *actor)
{
    fkli_threaded *threaded = (fkli_threaded *)actor;
    if (!actor->pooled && threaded->at_release)
        threaded->at_release(threaded->arg);
    fkli_ward_release(actor);
    fkli_exit_fini(actor);
    fkli_mailbox_fini(&actor->mailbox, &actor->runtime->allocator);
    fkli_lock_fini(&actor->lock);
    fkli_event_fini(&actor->ended);
    fkli_event_fini(&actor->exited);
    fkli_scope_fini(&actor->scope);
    if (!actor->pooled)
        fkli_thread_fini(&threaded->thread);
    free_body(actor->runtime, actor);
}

void fkli_actor_drop(fkl_actor *actor, fkl_msg *chain)
{
    for (const fkl_msg *msg = chain; msg; msg = msg->next) {
        if (!fkli_msg_is_system(msg))
            fkli_dead_letter(&actor->runtime->dead_letters, msg, actor->id, FKL_DEAD_ENDED);
    }
    fkli_mailbox_drop(&actor->mailbox, chain);
}

void fkli_actor_abandon(fkl_actor *actor)
{
    fkl_msg *left = fkli_mailbox_close(&actor->mailbox);
    fkli_actor_drop(actor, fkli_ward_keep(actor, left, false));
    fkli_actor_destroy(actor);
}

static void link_locked(fkl_runtime *runtime, fkl_actor *actor)
{
    actor->next = runtime->actors;
    if (runtime->actors)
        runtime->actors->previous = actor;
    runtime->actors = actor;
}

static void unlink_locked(fkl_runtime *runtime, fkl_actor *actor)
{
    if (actor->next)
        actor->next->previous = actor->previous;
    if (actor->previous)
        actor->previous->next = actor->next;
    else
        runtime->actors = actor->next;
}

void fkli_actor_add_counters(const fkl_actor *actor, fkl_counters *total)
{
    const fkli_mailbox *mailbox = &actor->mailbox;
    total->sent += fkli_load_relaxed_u64(&mailbox->sent);
    total->handled += fkli_load_relaxed_u64(&mailbox->handled);
    total->dead_lettered += fkli_load_relaxed_u64(&mailbox->refused);
    total->dropped += fkli_load_relaxed_u64(&mailbox->dropped);
}

static fkl_err enlist(fkl_runtime *runtime, fkl_actor *actor, uint32_t refs)
{
    fkli_lock_take(&runtime->lock);
    fkl_err err = FKL_OK;
    if (runtime->stopping)
        err = FKL_ESHUTDOWN;
    else if (fkli_load_acquire_u64(&runtime->live) >= runtime->config.max_actors)
        err = FKL_ELIMIT; // the acquire pairs with the release in publish(), exit.c
    if (!err)
        err = fkli_registry_add_locked(runtime, actor, refs, &actor->slot, &actor->id);
    if (!err) {
        link_locked(runtime, actor);
        fkli_add_relaxed_u64(&runtime->live, 1);
        fkli_registry_retain(runtime);
        fkli_add_relaxed_u64(&runtime->threads, 1);
        ++runtime->retired.spawned;
    }
    fkli_lock_give(&runtime->lock);
    return err;
}

fkl_err fkli_actor_enlist(fkl_runtime *runtime, fkl_actor *actor, const fkl_spawn_options *options,
                          uint32_t refs)
{
    bool named = options && options->register_as;
    fkl_err err = named ? fkli_name_claim(actor, options->register_as) : FKL_OK;
    if (err)
        return err;
    err = enlist(runtime, actor, refs);
    if (err) {
        fkli_name_free(actor, fkli_name_take_locked(actor));
        return err;
    }
    if (named)
        fkli_name_confirm(actor);
    fkli_actor_trace(actor, FKLI_TRACE_SPAWN, fkli_self_id(), 0, NULL);
    return FKL_OK;
}

// Whether there are others left, so that nobody needs to be woken. The release half pairs with the
// acquire of the last one, whose lock whoever finds the count at 0 takes after it.
static bool count_out_among_others(fkl_runtime *runtime)
{
    uint64_t threads = fkli_load_relaxed_u64(&runtime->threads);
    while (threads > 1) {
        if (fkli_cas_acq_rel_u64(&runtime->threads, &threads, threads - 1))
            return true;
    }
    return false;
}

void fkli_actor_count_out(fkl_runtime *runtime, bool was_started)
{
    if (was_started && count_out_among_others(runtime))
        return; // the runtime may be gone
    fkli_lock_take(&runtime->lock);
    if (!was_started)
        --runtime->retired.spawned;
    if (fkli_sub_acq_rel_u64(&runtime->threads, 1) == 1)
        fkli_waitlist_wake_all_locked(&runtime->idle); // the runtime may be gone after the lock
    fkli_lock_give(&runtime->lock);
}

// References.

fkl_actor *fkl_actor_retain(fkl_actor *actor)
{
    fkli_slot_retain(actor->slot);
    return actor;
}

void fkl_actor_release(fkl_actor *actor)
{
    if (!actor || !fkli_slot_release(actor->slot))
        return;
    fkl_runtime *runtime = actor->runtime;
    fkli_lock_take(&runtime->lock);
    unlink_locked(runtime, actor);
    fkli_actor_add_counters(actor, &runtime->retired);
    fkli_registry_remove_locked(runtime, actor->slot, actor->id);
    fkli_lock_give(&runtime->lock);
    fkli_actor_destroy(actor);
    fkli_registry_release(runtime);
}

fkl_err fkl_actor_find(fkl_runtime *runtime, fkl_actor_id id, fkl_actor **out)
{
    fkl_actor *actor = fkli_registry_find(runtime, id);
    if (!actor)
        return FKL_ENOACTOR;
    if (fkli_event_is_set(&actor->exited)) {
        fkl_actor_release(actor);
        return FKL_ENOACTOR;
    }
    *out = actor;
    return FKL_OK;
}

// The end of its code.

static void tell_end(fkl_actor *actor)
{
    fkli_event_set(&actor->ended);
    fkli_event_wake(&actor->ended);
    fkli_ward_tell(actor, FKLI_WARD_ENDED);
}

void fkli_actor_end(fkl_actor *actor)
{
    fkl_msg *rest = fkli_mailbox_take_rest(&actor->mailbox);
    fkli_actor_drop(actor, fkli_ward_keep(actor, rest, true));
    fkli_mailbox_clear(&actor->mailbox);
    tell_end(actor);
}

// Its id may have been found already, so it dies like any other actor; but whoever spawns it is
// told by the error that it gets, and not by a signal.
void fkli_actor_abort_start(fkl_actor *actor, uint32_t refs)
{
    fkl_runtime *runtime = actor->runtime;
    fkli_link_disown(actor);
    fkl_actor_kill(actor, 0);
    tell_end(actor);
    for (; refs > 0; refs--)
        fkl_actor_release(actor);
    fkli_actor_count_out(runtime, false);
}

// The thread.

static void finish(fkli_threaded *threaded, bool returned)
{
    fkl_actor *actor = &threaded->actor;
    fkl_runtime *runtime = actor->runtime;
    const fkl_runtime_config *config = &runtime->config;
    if (threaded->thread.actor != actor)
        fkl_actor_leave(actor); // the function forgot to
    if (threaded->at_end)
        threaded->at_end(threaded->arg);
    fkli_exit_publish_return(actor);
    if (returned && config->on_thread_end)
        config->on_thread_end(actor->id, config->hook_ctx);
    fkli_actor_end(actor);
    fkli_thread_disown(&threaded->thread);
    fkl_actor_release(actor);
    fkli_actor_count_out(runtime, true);
}

// The thread was ended from outside (pthread_exit) instead of returning.
static void finish_abandoned(void *arg)
{
    fkli_threaded *threaded = arg;
    fkl_actor *actor = &threaded->actor;
    fkli_log(&actor->runtime->log, FKL_LOG_INFO,
             "the thread of actor %llx (%s) ended in its function", (unsigned long long)actor->id,
             actor->name);
    finish(threaded, false);
}

static void run_actor(void *arg)
{
    fkli_threaded *threaded = arg;
    fkl_actor *actor = &threaded->actor;
    const fkl_runtime_config *config = &actor->runtime->config;
    fkli_thread_adopt(&threaded->thread, finish_abandoned, threaded);
    fkli_magazine_open(&threaded->thread.magazine, &actor->runtime->depot);
    if (config->on_thread_start)
        config->on_thread_start(actor->id, config->hook_ctx);
    threaded->fn(actor, threaded->arg);
    finish(threaded, true);
}

fkl_err fkli_spawn(fkl_runtime *runtime, const fkl_spawn_options *options,
                   const fkli_spawn_extra *extra, fkl_actor_fn fn, void *arg, fkl_actor **out)
{
    fkli_threaded *threaded;
    fkl_err err = create_threaded(runtime, options, extra, fn, arg, &threaded);
    if (err) {
        if (extra->at_release)
            extra->at_release(arg);
        if (extra->ward)
            extra->ward->ops->release(extra->ward);
        return err;
    }
    fkl_actor *actor = &threaded->actor;
    fkli_ward_inherit(actor);
    err = fkli_actor_enlist(runtime, actor, options, out ? 2 : 1);
    if (err) {
        fkli_actor_abandon(actor);
        return err;
    }
    err = options && options->link ? fkli_link_child(actor) : FKL_OK;
    if (!err) {
        size_t stack_size =
            options && options->stack_size ? options->stack_size : runtime->config.stack_size;
        const char *name = actor->name[0] ? actor->name : NULL;
        threaded->start = (fkli_start){run_actor, threaded, name};
        if (extra->ahead)
            fkli_ahead_give(extra->ahead, &threaded->start);
        else
            err = fkli_thread_start(&threaded->start, stack_size);
    }
    if (err) {
        fkli_actor_abort_start(actor, out ? 2 : 1);
        return err;
    }
    if (out)
        *out = actor;
    return FKL_OK;
}

fkl_err fkl_spawn(fkl_runtime *runtime, const fkl_spawn_options *options, fkl_actor_fn fn,
                  void *arg, fkl_actor **out)
{
    if (!runtime || !fn)
        return FKL_EINVAL;
    return fkli_spawn(runtime, options, &(fkli_spawn_extra){0}, fn, arg, out);
}

// Looking.

fkl_actor *fkl_self(void)
{
    fkli_thread *thread = fkli_thread_peek();
    return thread ? thread->actor : NULL;
}

fkl_actor *fkli_actor_own(void)
{
    return fkli_actor_own_of(fkli_thread_peek());
}

fkl_actor_id fkl_actor_get_id(const fkl_actor *actor)
{
    return actor->id;
}

const char *fkl_actor_name(const fkl_actor *actor)
{
    return actor->name;
}

void *fkl_actor_data(const fkl_actor *actor)
{
    return actor->data;
}

fkl_runtime *fkl_actor_runtime(const fkl_actor *actor)
{
    return actor->runtime;
}

const char *fkli_actor_where(const fkl_actor *actor)
{
    if (actor->pooled)
        return fkli_task_where(&((const fkli_pooled *)actor)->task);
    const char *where = fkli_load_relaxed_ptr(&((const fkli_threaded *)actor)->thread.where);
    return where ? where : "running";
}

int64_t fkli_actor_waited(const fkl_actor *actor, fkl_time now)
{
    const fkli_thread *thread = &((const fkli_threaded *)actor)->thread;
    // Relaxed: a snapshot; a wait that ends between the two reads is counted twice or not.
    int64_t waited = (int64_t)fkli_load_relaxed_u64(&thread->waited);
    int64_t since = (int64_t)fkli_load_relaxed_u64(&thread->waiting);
    return since ? waited + (now - since) : waited;
}

// Helpers.

fkl_err fkl_actor_enter(fkl_actor *actor, fkl_actor **previous)
{
    fkli_thread *thread = fkli_thread_current();
    *previous = thread->actor;
    fkl_actor_retain(actor);
    fkli_thread_move(thread, actor, &actor->scope);
    return FKL_OK;
}

void fkl_actor_leave(fkl_actor *previous)
{
    fkli_thread *thread = fkli_thread_current();
    fkl_actor *left = thread->actor;
    fkli_thread_move(thread, previous, previous ? &previous->scope : NULL);
    fkl_actor_release(left);
}

// Stopping.

void fkli_actor_request_stop(fkl_actor *actor)
{
    if (fkli_scope_stop(&actor->scope) && actor->pooled)
        fkli_actor_wake(actor);
}

void fkl_actor_stop(fkl_actor *actor)
{
    fkli_actor_request_stop(actor);
}

bool fkl_actor_stop_requested(const fkl_actor *actor)
{
    return fkli_scope_has(&actor->scope, FKLI_SCOPE_STOP);
}

void fkl_actor_interrupt(fkl_actor *actor)
{
    fkli_scope_interrupt(&actor->scope);
}
