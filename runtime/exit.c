// SPDX-License-Identifier: Apache-2.0
//
// Exit records: what will be said, publishing it once, and everybody who waits for it: joiners,
// sentinels, monitors. Publishing runs in the actor's own thread or in the one that kills it.
//
// Order of a publication. Under the actor's lock: the record is written, the mailbox closes, the
// name is freed, the live count falls, `exited` is set (release). After the lock: joiners wake, the
// sentinel's write end is closed, monitors fire, groups are left. So whoever sees the exit also
// finds the mailbox closed and the count lowered, and nothing that could block or call the user's
// code runs under the lock.

#include "exit.h"

#include "groups.h"
#include "monitor.h"
#include "names.h"
#include "ward.h"

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

// The caller holds a reference. First come, first served: the lock decides.
static bool publish(fkl_actor *actor, verdict how, int32_t code)
{
    fkli_lock_take(&actor->lock);
    if (fkli_event_is_set(&actor->exited)) {
        fkli_lock_give(&actor->lock);
        return false;
    }
    write_record_locked(actor, how, code);
    // Before the close, because a receive that finds the mailbox closed looks here.
    fkli_scope_set_ended(&actor->scope);
    fkl_msg *left = fkli_mailbox_close(&actor->mailbox);
    fkli_name *name = fkli_name_take_locked(actor); // so who joins finds it free
    fkli_sub_release_u64(&actor->runtime->live, 1);
    actor->exited_at = fkli_clock_now();
    fkli_event_set(&actor->exited);
    int fd = actor->sentinel_write;
    actor->sentinel_write = -1;
    fkli_lock_give(&actor->lock);

    fkli_actor_trace(actor, FKLI_TRACE_EXIT, 0, 0, reason_text(actor->exit.reason));
    fkli_actor_wake(actor); // a receive in the own thread ends, when a helper published
    fkli_event_wake(&actor->exited);
    fkli_mailbox_dismiss(&actor->mailbox); // senders that wait for a place
    fkli_fd_close(fd);
    fkli_name_free(actor, name);
    fkli_monitors_settle(actor);
    fkli_groups_leave(actor);
    fkli_mailbox_drop(&actor->mailbox, fkli_ward_keep(actor, left, false));
    fkli_ward_tell(actor, FKLI_WARD_EXITED);
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
    bool published = publish(actor, KILLED, code);
    if (published)
        fkli_actor_request_stop(actor);
    return published;
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

fkl_err fkl_actor_join_until(fkl_actor *actor, fkl_time deadline, fkl_exit *out)
{
    if (fkl_self() == actor)
        return FKL_EDEADLK;
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
