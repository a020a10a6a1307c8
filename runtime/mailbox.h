// SPDX-License-Identifier: Apache-2.0
//
// The mailbox of an actor: two inboxes, of system messages and of all others (user messages and
// replies), each with a FIFO in which its consumer, the actor, keeps what it has taken in but not
// received. mailbox.c pushes, pops and closes; bound.c sends where there may be a bound; scan.c
// receives selectively.
//
// Messages that are taken in together are a batch, and batches are counted: a mark is the number of
// a batch to come, so what arrived before it has a lower number. Of the latest mark the mailbox
// also knows the place in either FIFO.
#ifndef FKLI_MAILBOX_H
#define FKLI_MAILBOX_H

#include "bound.h"
#include "inbox.h"

// One of the two kinds of messages, as the consumer sees it.
typedef struct fkli_lane {
    fkli_fifo fifo;
    fkl_msg *marked; // the last message there that arrived before the latest mark, or NULL
} fkli_lane;

typedef struct fkli_mailbox {
    // Written by senders. The counters are of user messages and replies.
    fkli_inbox user;
    fkli_atomic_u64 sent; // accepted or refused
    fkli_atomic_u64 refused;
    // Rarely written:
    fkli_atomic_u64 system_len; // system messages that wait; senders and consumer
    fkli_atomic_u64 dropped;    // by the consumer, senders, and whoever closes
    fkli_bound *bound;          // constant; NULL: none
    char apart[FKLI_CACHE_LINE - 3 * sizeof(uint64_t)];
    // Looked at by the consumer for each message, and written by it alone, but for `system`, and
    // unless the bound's lock guards it:
    fkli_inbox system; // is emptied first
    fkli_lane system_lane;
    fkli_lane user_lane;
    fkli_atomic_u64 handled; // read by anybody
    uint64_t user_len;       // messages in the user lane
    fkli_atomic_u64 peak;    // the most that were ever there; read by anybody
    uint64_t batches;
    fkl_mark mark;        // the latest
    uint32_t replies_due; // that the actor asked for and has not received: a drain waits for them
    bool bounded;         // constant; spares the consumer a look at `bound`
    bool matching;        // a match function runs
} fkli_mailbox;

// `bound` passes to the mailbox; NULL for none.
void fkli_mailbox_init(fkli_mailbox *mailbox, fkli_bound *bound);
void fkli_mailbox_fini(fkli_mailbox *mailbox, const fkl_allocator *allocator);

// Threads, from here on: any.

// Pushes a message that the runtime made: a system message or a reply.
fkli_push fkli_mailbox_push(fkli_mailbox *mailbox, fkl_msg *msg);
// Pushes a user message. `*discarded` takes a message that a full mailbox gives up (`msg` itself,
// perhaps), or NULL; it is counted, and the caller destroys it.
fkli_push fkli_mailbox_send(fkli_mailbox *mailbox, fkl_msg *msg, fkl_msg **discarded);
// Waits for a place of a bounded mailbox and pushes a user message. Errors (nothing was pushed):
// those of fkli_credit_take_until() but FKL_ECLOSED.
FKL_MUST_CHECK fkl_err fkli_mailbox_send_until(fkli_mailbox *mailbox, fkl_msg *msg,
                                               fkl_time deadline, fkli_push *pushed);

// Counts a message that a full mailbox refused and that nobody will send again.
void fkli_mailbox_count_lost(fkli_mailbox *mailbox);

// Refuses user messages from now on. Returns whether the consumer must be woken.
bool fkli_mailbox_drain(fkli_mailbox *mailbox);
bool fkli_mailbox_is_drained(const fkli_mailbox *mailbox);
// Closes both inboxes; returns what was in their stacks, counted as dropped, for
// fkli_mailbox_drop().
fkl_msg *fkli_mailbox_close(fkli_mailbox *mailbox);
// Ends the waits for places after that. Wakes threads.
void fkli_mailbox_dismiss(fkli_mailbox *mailbox);
// Destroys such a chain. Runs users' release functions.
void fkli_mailbox_drop(fkli_mailbox *mailbox, fkl_msg *chain);
size_t fkli_mailbox_len(const fkli_mailbox *mailbox);
size_t fkli_mailbox_peak(const fkli_mailbox *mailbox);

// Threads, from here on: the consumer.

fkl_msg *fkli_mailbox_pop(fkli_mailbox *mailbox);
// Counts a message as dropped that was taken out but will not be handed out.
void fkli_mailbox_uncount(fkli_mailbox *mailbox, const fkl_msg *msg);

// Announces sleep: false when there is a message that `scan` has not passed (NULL: any message),
// or when the mailbox is closed, or drained and no reply is due. The push that replaces the
// announcement reports it.
bool fkli_mailbox_block(fkli_mailbox *mailbox, const fkli_scan *scan);
void fkli_mailbox_unblock(fkli_mailbox *mailbox);
// Whether the mailbox is drained, and there is and will be nothing that `scan` has not passed, but
// for system messages to come.
bool fkli_mailbox_is_done(const fkli_mailbox *mailbox, const fkli_scan *scan);

// The first system message that matches, left where it is, or NULL. Costs O(system messages).
fkl_msg *fkli_mailbox_find_system(fkli_mailbox *mailbox,
                                  bool (*match)(const fkl_msg *msg, const void *ctx),
                                  const void *ctx);
// Takes a system message out; false when it is not there, or a match function runs, which may be
// looking at it. Costs O(system messages).
bool fkli_mailbox_remove_system(fkli_mailbox *mailbox, fkl_msg *msg);
// Takes what the FIFO of user messages and replies holds, for good; it is counted as dropped.
fkl_msg *fkli_mailbox_take_rest(fkli_mailbox *mailbox);
// Drops what the FIFOs hold, for good.
void fkli_mailbox_clear(fkli_mailbox *mailbox);

// What its files share.

// Takes the lock of the lanes where they need one, and returns it; else NULL.
static inline fkli_lock *fkli_mailbox_lock(const fkli_mailbox *mailbox)
{
    if (!mailbox->bounded || mailbox->bound->full != FKL_FULL_DROP_OLDEST)
        return NULL;
    fkli_lock_take(&mailbox->bound->lock);
    return &mailbox->bound->lock;
}

static inline void fkli_mailbox_unlock(fkli_lock *lock)
{
    if (lock)
        fkli_lock_give(lock);
}

// Take what is in the inboxes into the lanes; false when that is nothing.
bool fkli_mailbox_take_system_locked(fkli_mailbox *mailbox);
bool fkli_mailbox_take_user_locked(fkli_mailbox *mailbox);

// Takes `msg`, which stands behind `before`, out of a lane.
static inline void fkli_lane_remove(fkli_lane *lane, fkl_msg *before, fkl_msg *msg)
{
    if (lane->marked == msg)
        lane->marked = before;
    fkli_fifo_remove(&lane->fifo, before, msg);
}

// A user message or reply is about to be handed out. One writer: no read-modify-write needed.
static inline void fkli_mailbox_count_handled(fkli_mailbox *mailbox)
{
    --mailbox->user_len;
    fkli_store_relaxed_u64(&mailbox->handled, fkli_load_relaxed_u64(&mailbox->handled) + 1);
}

#endif
