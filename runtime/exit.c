// SPDX-License-Identifier: Apache-2.0
//
// Exit records: what will be said, publishing it once, and everybody who waits for it: joiners,
// sentinels, links, monitors. Publishing runs in the actor's own thread, in the one that kills it,
// or in one that publishes the exit of a linked actor.
//
// Order of a publication. Under the actor's lock: the record is written, the mailbox closes, the
// name is freed, the live count falls, `exited` is set (release). After the lock: joiners wake, the
// sentinel's write end is closed, what it was to answer fails, links pass the exit on, monitors
// fire, groups are left. So whoever sees the exit also finds the mailbox closed and the count
// lowered, and nothing that could block or call the user's code runs under the lock.
//
// An exit that a link passes on is published under the locks of both actors, and queued to be told
// of: however long a chain of linked actors is, it is a loop and not a recursion.

#include "exit.h"

#include "ask.h"
#include "groups.h"
#include "link.h"
#include "monitor.h"
#include "names.h"
#include "ward.h"

static const fkl_time young_ns = 100000;

// What will be said.

fkl_err fkl_actor_set_exit(fkl_actor *actor, int32_t code, const void *error, size_t error_len)
{
    fkli_blob *blob = NULL;
    if (error) {
        fkl_err err = fkli_blob_create(&actor->runtime->allocator, error, error_len, &blob);
        if (err)
            return err;
    }
    fkli_lock_take(&actor->lock);
    bool late = fkli_event_is_set(&actor->exited);
    fkli_blob *unused = late ? blob : actor->error;
    if (!late) {
        actor->error = blob;
        actor->pending_code = code;
        actor->pending = true;
    }
    fkli_lock_give(&actor->lock);
    fkli_blob_release(unused);
    return FKL_OK;
}

// Publishing.

typedef enum verdict { RETURNED, EXIT_NOW, KILLED } verdict;

static void write_record_locked(fkl_actor *actor, verdict how, int32_t code)
{
    fkl_exit *record = &actor->exit;
    record->id = actor->id;
    record->origin = actor->id;
    if (how == KILLED) {
        record->reason = FKL_EXIT_KILLED;
        record->code = code;
        return; // the error, if any was set, is not what ended the actor
    }
    // fkl_actor_exit_now() has the last word on the code, unless it only says 0.
    record->code = how == EXIT_NOW && (code != 0 || !actor->pending) ? code : actor->pending_code;
    if (actor->error) {
        record->error = actor->error->bytes;
        record->error_len = actor->error->len;
    }
    if (actor->error || record->code != 0)
        record->reason = FKL_EXIT_ERROR;
    else
        record->reason = fkl_actor_stop_requested(actor) ? FKL_EXIT_STOPPED : FKL_EXIT_NORMAL;
}

static const char *reason_text(fkl_exit_reason reason)
{
    static const char *const texts[] = {"normal", "stopped", "killed", "error"};
    return texts[reason];
}

// Publishes the record that has been written, and notes in `ending` what remains to be done.
static void close_locked(fkl_actor *actor, fkli_ending *ending)
{
    // Before the close, because a receive that finds the mailbox closed looks here.
    fkli_scope_set_ended(&actor->scope);
    ending->actor = actor;
    ending->next = NULL;
    ending->left = fkli_mailbox_close(&actor->mailbox);
    ending->name = fkli_name_take_locked(actor); // so who joins finds it free
    fkli_sub_release_u64(&actor->runtime->live, 1);
    actor->exited_at = fkli_clock_now();
    fkli_event_set(&actor->exited);
    // Nothing is added to these any more, since who would looks at `exited` under this lock.
    ending->has_bonds =
        actor->asks || actor->links || actor->watchers || actor->refs || actor->groups;
    ending->sentinel = actor->sentinel_write;
    actor->sentinel_write = -1;
}

static void forget_refs(fkl_actor *actor)
{
    fkli_lock_take(&actor->lock);
    fkli_reftable *refs = actor->refs;
    actor->refs = NULL;
    fkli_lock_give(&actor->lock);
    fkli_reftable_orphan(&actor->runtime->allocator, refs);
}

// Tells everybody of an exit; the exits that follow from it are appended to `endings`.
static void announce(fkli_ending *ending, fkli_endings *endings)
{
    fkl_actor *actor = ending->actor;
    fkli_actor_trace(actor, FKLI_TRACE_EXIT, 0, 0, reason_text(actor->exit.reason));
    if (ending->stop)
        fkli_actor_request_stop(actor);
    fkli_actor_wake(actor); // a receive in the own thread ends, when a helper published
    fkli_event_wake(&actor->exited);
    fkli_mailbox_dismiss(&actor->mailbox); // senders that wait for a place
    fkli_fd_close(ending->sentinel);
    fkli_name_free(actor, ending->name);
    if (ending->has_bonds) {
        fkli_asks_settle(actor);
        fkli_links_settle(actor, endings);
        fkli_monitors_settle(actor);
        forget_refs(actor);
        fkli_groups_leave(actor);
    }
    fkl_msg *unwanted = fkli_ward_keep(actor, ending->left, false);
    fkli_ward_tell(actor, FKLI_WARD_EXITED);
    fkli_actor_drop(actor, unwanted);
    fkli_blob_release(ending->unused);
}

static void announce_all(fkli_ending *first)
{
    fkli_endings endings = {first, first};
    announce(first, &endings);
    fkli_ending *next;
    for (fkli_ending *ending = first->next; ending; ending = next) {
        announce(ending, &endings);
        next = ending->next;
        fkli_link_announced(ending);
    }
}

// The caller holds a reference. First come, first served: the lock decides.
static bool publish(fkl_actor *actor, verdict how, int32_t code)
{
    fkli_ending ending = {.stop = how == KILLED};
    fkli_lock_take(&actor->lock);
    bool first = !fkli_event_is_set(&actor->exited);
    if (first) {
        write_record_locked(actor, how, code);
        close_locked(actor, &ending);
    }
    fkli_lock_give(&actor->lock);
    if (first)
        announce_all(&ending);
    return first;
}

bool fkli_exit_follow_locked(fkl_actor *actor, const fkl_actor *cause, fkli_ending *ending)
{
    if (fkli_event_is_set(&actor->exited))
        return false;
    ending->unused = actor->error;
    ending->stop = true;
    actor->exit = cause->exit;
    actor->exit.id = actor->id;
    // The error that the cause had set is not in its record if it was killed.
    actor->error = cause->exit.error ? fkli_blob_retain(cause->error) : NULL;
    close_locked(actor, ending);
    return true;
}

bool fkli_exit_publish_return(fkl_actor *actor)
{
    return publish(actor, RETURNED, 0);
}

bool fkl_actor_exit_now(fkl_actor *actor, int32_t code)
{
    return publish(actor, EXIT_NOW, code);
}

bool fkl_actor_kill(fkl_actor *actor, int32_t code)
{
    return publish(actor, KILLED, code);
}

fkl_err fkl_actor_kill_until(fkl_actor *actor, int32_t code, fkl_time deadline, fkl_exit *exit)
{
    if (fkl_self() == actor)
        return FKL_EDEADLK;
    fkl_actor_kill(actor, code);
    fkl_err err = fkl_actor_join_thread_until(actor, deadline);
    if (!err && exit)
        *exit = actor->exit; // published before the end of the thread
    return err;
}

void fkli_exit_fini(fkl_actor *actor)
{
    fkli_fd_close(actor->sentinel_read);
    fkli_fd_close(actor->sentinel_write);
    fkli_blob_release(actor->error);
}

// Waiting for it.

// The quick look may come between a mailbox that refuses and a record that is not out yet; so
// "lives" is only said under the lock.
fkl_err fkl_actor_try_exit(const fkl_actor *actor, fkl_exit *out)
{
    if (!fkli_event_is_set(&actor->exited)) {
        fkl_actor *locked = (fkl_actor *)(uintptr_t)actor;
        fkli_lock_take(&locked->lock);
        bool exited = fkli_event_is_set(&actor->exited);
        fkli_lock_give(&locked->lock);
        if (!exited)
            return FKL_EEMPTY;
    }
    *out = actor->exit;
    return FKL_OK;
}

// To wake a thread takes longer than many actors live. So who joins an actor looks for its exit as
// long as it is young, and sleeps then.
static void look_while_young(const fkl_actor *actor, fkl_time deadline)
{
    enum { TURNS = FKLI_SPIN_TURNS(16384), LOOKS_A_TURN = 8 };
    const fkli_thread *thread = fkli_thread_peek();
    bool must_not = thread && thread->must_not_wait;
    if (!actor->runtime->parallel || must_not || fkli_deadline_passed(deadline))
        return;
    fkl_time until = actor->spawned_at + young_ns;
    for (int turn = 0; turn < TURNS && fkli_clock_now() < until; ++turn) {
        for (int look = 0; look < LOOKS_A_TURN; ++look) {
            if (fkli_event_is_set(&actor->exited))
                return;
            fkli_spin_hint();
        }
        fkli_thread_yield(); // to the actor, perhaps
    }
}

fkl_err fkl_actor_join_until(fkl_actor *actor, fkl_time deadline, fkl_exit *out)
{
    if (fkl_self() == actor)
        return FKL_EDEADLK;
    look_while_young(actor, deadline);
    fkl_err err = fkli_event_wait(&actor->exited, deadline, "join");
    if (!err && out)
        *out = actor->exit; // the acquire of `exited` makes the record visible
    return err;
}

fkl_err fkl_actor_join_thread_until(fkl_actor *actor, fkl_time deadline)
{
    if (fkl_self() == actor)
        return FKL_EDEADLK;
    return fkli_event_wait(&actor->ended, deadline, "join thread");
}

fkl_err fkl_actor_sentinel(fkl_actor *actor, int *fd)
{
    fkl_err err = FKL_OK;
    fkli_lock_take(&actor->lock);
    if (actor->sentinel_read < 0) {
        err = fkli_pipe_open(&actor->sentinel_read, &actor->sentinel_write);
        if (!err && fkli_event_is_set(&actor->exited)) {
            fkli_fd_close(actor->sentinel_write);
            actor->sentinel_write = -1;
        }
    }
    if (!err)
        *fd = actor->sentinel_read;
    fkli_lock_give(&actor->lock);
    return err;
}
