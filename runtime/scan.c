// SPDX-License-Identifier: Apache-2.0
//
// Selective receives (see scan.h), and sleeping with what they have passed still there. Runs in the
// consumer's thread.
//
// A walk holds the lock of the lanes where they have one, but not while the user's function looks
// at a message: it may send, to this very mailbox too. A sender that discards messages meanwhile
// moves the walk's positions back, and leaves the message that is looked at to the walk.

#include "scan.h"

fkl_mark fkli_mailbox_mark(fkli_mailbox *mailbox)
{
    fkli_lane *system = &mailbox->system_lane;
    fkli_lane *user = &mailbox->user_lane;
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    fkli_mailbox_take_system_locked(mailbox);
    fkli_mailbox_take_user_locked(mailbox);
    system->marked = system->fifo.first ? system->fifo.last : NULL;
    user->marked = user->fifo.first ? user->fifo.last : NULL;
    fkl_mark mark = mailbox->batches + 1;
    mailbox->mark = mark;
    fkli_mailbox_unlock(lock);
    return mark;
}

void fkli_scan_begin(fkli_scan *scan, fkli_mailbox *mailbox)
{
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    bool from_mark = scan->from >= mailbox->mark;
    scan->system_passed = from_mark ? mailbox->system_lane.marked : NULL;
    scan->user_passed = from_mark ? mailbox->user_lane.marked : NULL;
    scan->current = NULL;
    scan->discarded = NULL;
    if (lock)
        mailbox->bound->scan = scan;
    fkli_mailbox_unlock(lock);
}

void fkli_scan_end(fkli_scan *scan, fkli_mailbox *mailbox)
{
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    if (lock && mailbox->bound->scan == scan)
        mailbox->bound->scan = NULL;
    fkli_mailbox_unlock(lock);
}

typedef enum verdict { PASSED, WANTED, DISCARDED } verdict;

static verdict examine(fkli_scan *scan, fkl_msg *msg, fkli_lock *lock)
{
    if (msg->batch < scan->from)
        return PASSED;
    if (!lock)
        return scan->wants(msg, scan->ctx) ? WANTED : PASSED;
    scan->current = msg;
    fkli_lock_give(lock);
    bool wanted = scan->wants(msg, scan->ctx);
    fkli_lock_take(lock);
    if (!scan->current) {
        msg->next = scan->discarded;
        scan->discarded = msg;
        return DISCARDED;
    }
    scan->current = NULL;
    return wanted ? WANTED : PASSED;
}

// The next wanted message of a lane, taken out; `passed` is the walk's position in it.
static fkl_msg *walk(fkli_scan *scan, fkli_lane *lane, fkl_msg **passed, fkli_lock *lock)
{
    fkl_msg *msg;
    while ((msg = fkli_lane_after(lane, *passed))) {
        switch (examine(scan, msg, lock)) {
        case WANTED:
            fkli_lane_remove(lane, *passed, msg);
            return msg;
        case PASSED:
            *passed = msg;
            break;
        case DISCARDED:
            break;
        }
    }
    return NULL;
}

static fkl_msg *walk_system(fkli_scan *scan, fkli_mailbox *mailbox, fkli_lock *lock)
{
    fkli_mailbox_take_system_locked(mailbox);
    fkl_msg *msg = walk(scan, &mailbox->system_lane, &scan->system_passed, lock);
    if (msg)
        fkli_sub_relaxed_u64(&mailbox->system_len, 1); // a count; it orders nothing
    return msg;
}

static fkl_msg *walk_user(fkli_scan *scan, fkli_mailbox *mailbox, fkli_lock *lock)
{
    fkl_msg *msg;
    do {
        msg = walk(scan, &mailbox->user_lane, &scan->user_passed, lock);
    } while (!msg && fkli_mailbox_take_user_locked(mailbox));
    if (!msg)
        return NULL;
    fkli_mailbox_count_handled(mailbox);
    if (mailbox->bounded)
        fkli_bound_leave(mailbox->bound, msg);
    return msg;
}

fkl_msg *fkli_scan_next(fkli_scan *scan, fkli_mailbox *mailbox)
{
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    fkl_msg *msg = walk_system(scan, mailbox, lock);
    if (!msg)
        msg = walk_user(scan, mailbox, lock);
    fkli_mailbox_unlock(lock);
    return msg;
}

// Sleeping.

// A sender that discards may have taken messages in that the consumer has not seen.
static bool has_unseen_locked(const fkli_mailbox *mailbox, const fkli_scan *scan)
{
    return fkli_lane_after(&mailbox->system_lane, scan ? scan->system_passed : NULL) ||
           fkli_lane_after(&mailbox->user_lane, scan ? scan->user_passed : NULL);
}

bool fkli_mailbox_block(fkli_mailbox *mailbox, const fkli_scan *scan)
{
    bool even_drained = mailbox->replies_due > 0;
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    bool blocked =
        !has_unseen_locked(mailbox, scan) && fkli_inbox_block_stack(&mailbox->system, false);
    if (blocked && !fkli_inbox_block_stack(&mailbox->user, even_drained)) {
        fkli_inbox_unblock(&mailbox->system);
        blocked = false;
    }
    fkli_mailbox_unlock(lock);
    return blocked;
}

void fkli_mailbox_unblock(fkli_mailbox *mailbox)
{
    fkli_inbox_unblock(&mailbox->user);
    fkli_inbox_unblock(&mailbox->system);
}

// Once it is drained, a stack without messages gets none any more but replies.
bool fkli_mailbox_is_done(const fkli_mailbox *mailbox, const fkli_scan *scan)
{
    static const fkli_fifo nothing = {NULL, NULL};
    if (mailbox->replies_due > 0 || !fkli_mailbox_is_drained(mailbox))
        return false;
    fkli_lock *lock = fkli_mailbox_lock(mailbox);
    bool done = !has_unseen_locked(mailbox, scan) && !fkli_inbox_has_some(&mailbox->user, &nothing);
    fkli_mailbox_unlock(lock);
    return done;
}
