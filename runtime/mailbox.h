// SPDX-License-Identifier: Apache-2.0
//
// Inboxes, and the mailbox of two inboxes that an actor has.
//
// An inbox is a stack that any thread pushes to and one consumer empties at a stroke, reversing it
// into a private FIFO. The stack's head word also carries the inbox's state:
//
//   NULL      nothing there, nobody sleeps
//   a list    messages, newest first
//   BLOCKED   nothing there, and the consumer sleeps or is about to: a push must wake it
//   CLOSED    for ever: pushes are refused
//
// The consumer is one thread at a time: an actor's own thread, or the holder of a channel's lock.
// Its FIFO is a separate struct, so that an owner can keep what producers write and what the
// consumer writes on different cache lines. Nothing here wakes anybody; a push says whether its
// caller must.
#ifndef FKLI_MAILBOX_H
#define FKLI_MAILBOX_H

#include "message.h"
#include "platform/atomic.h"

typedef struct fkli_inbox {
    void *top; // written by producers and the consumer, atomically
} fkli_inbox;

// The consumer's alone.
typedef struct fkli_fifo {
    fkl_msg *first;
    fkl_msg *last; // meaningful when `first` is not NULL
} fkli_fifo;

typedef enum fkli_push {
    FKLI_PUSHED,      // done
    FKLI_PUSHED_WAKE, // done, and the caller must wake the consumer
    FKLI_PUSH_CLOSED  // refused; the message stays with the caller
} fkli_push;

void fkli_inbox_init(fkli_inbox *inbox);
void fkli_fifo_init(fkli_fifo *fifo);

// Threads: any.
fkli_push fkli_inbox_push(fkli_inbox *inbox, fkl_msg *msg);
bool fkli_inbox_is_closed(const fkli_inbox *inbox);

// Takes the oldest message, NULL when there is none. Threads: the consumer.
fkl_msg *fkli_inbox_pop(fkli_inbox *inbox, fkli_fifo *fifo);
// Whether a pop would find a message. Threads: the consumer.
bool fkli_inbox_has_some(const fkli_inbox *inbox, const fkli_fifo *fifo);

// Announces that the consumer is about to sleep: true when the inbox is empty and the next push
// will report FKLI_PUSHED_WAKE; false when there is a message or the inbox is closed. Threads: the
// consumer.
bool fkli_inbox_block(fkli_inbox *inbox, const fkli_fifo *fifo);
// Takes the announcement back. Threads: the consumer.
void fkli_inbox_unblock(fkli_inbox *inbox);

// Closes, and returns what was on the stack, oldest first; the private FIFO is not touched.
// Threads: any; the caller decides what happens to the messages.
fkl_msg *fkli_inbox_close(fkli_inbox *inbox);
// Puts a chain behind the private FIFO, takes the FIFO away. Threads: the consumer.
void fkli_fifo_append(fkli_fifo *fifo, fkl_msg *chain);
fkl_msg *fkli_fifo_drain(fkli_fifo *fifo);
// Moves the stack's messages into the private FIFO and takes `msg` out if it is there; returns
// whether it was. Threads: the consumer. Costs O(messages).
bool fkli_inbox_remove(fkli_inbox *inbox, fkli_fifo *fifo, fkl_msg *msg);

// Mailbox.

typedef struct fkli_mailbox {
    // Written by senders of user messages, and the counters are of those:
    fkli_inbox user;
    fkli_atomic_u64 sent; // accepted or refused
    fkli_atomic_u64 refused;
    // Rarely written:
    fkli_atomic_u64 system_len; // system messages waiting; senders and consumer
    fkli_atomic_u64 dropped;    // the consumer's and that of whoever closes
    char apart[FKLI_CACHE_LINE - 3 * sizeof(uint64_t)];
    // Looked at by the consumer for each message, and written by it alone but for `system`:
    fkli_inbox system; // is emptied first
    fkli_fifo system_fifo;
    fkli_fifo user_fifo;
    fkli_atomic_u64 handled; // read by anybody
} fkli_mailbox;

void fkli_mailbox_init(fkli_mailbox *mailbox);
// Threads: any. `msg->kind` decides which inbox it is.
fkli_push fkli_mailbox_push(fkli_mailbox *mailbox, fkl_msg *msg);
// Threads: the consumer.
fkl_msg *fkli_mailbox_pop(fkli_mailbox *mailbox);
bool fkli_mailbox_block(fkli_mailbox *mailbox);
void fkli_mailbox_unblock(fkli_mailbox *mailbox);
bool fkli_mailbox_remove_system(fkli_mailbox *mailbox, fkl_msg *msg);
// Closes both inboxes; returns what was in their stacks, for fkli_mailbox_drop(). Threads: any.
fkl_msg *fkli_mailbox_close(fkli_mailbox *mailbox);
// Destroys and counts a chain. Threads: any; runs users' release functions.
void fkli_mailbox_drop(fkli_mailbox *mailbox, fkl_msg *chain);
// Drops what the private FIFOs hold. Threads: the consumer.
void fkli_mailbox_drain(fkli_mailbox *mailbox);
size_t fkli_mailbox_len(const fkli_mailbox *mailbox);

#endif
