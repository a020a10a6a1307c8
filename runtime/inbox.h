// SPDX-License-Identifier: Apache-2.0
//
// Inboxes: stacks that any thread pushes to and one consumer empties at a stroke into a private
// FIFO. The stack's head word also carries the inbox's state:
//
//   NULL      nothing there, nobody sleeps
//   a list    messages, newest first
//   BLOCKED   nothing there, and the consumer sleeps or is about to: a push must wake it
//   CLOSED    for ever: pushes are refused
//
// and, beside the first three, whether the inbox is drained: pushes are refused, except those that
// are exempt, while what is there can still be taken.
//
// The consumer is one thread at a time: an actor's own thread, or the holder of a lock. Nothing
// here wakes anybody; a push says whether its caller must.
#ifndef FKLI_INBOX_H
#define FKLI_INBOX_H

#include "message.h"
#include "platform/atomic.h"

// Written by producers and the consumer, atomically.
typedef struct fkli_inbox {
    fkli_atomic_ptr top;
} fkli_inbox;

// Messages, oldest first. The consumer's alone: a separate struct, so that an owner can keep what
// producers write and what the consumer writes on different cache lines.
typedef struct fkli_fifo {
    fkl_msg *first;
    fkl_msg *last; // meaningful when `first` is not NULL
} fkli_fifo;

typedef enum fkli_push {
    FKLI_PUSHED,       // done
    FKLI_PUSHED_WAKE,  // done, and the caller must wake the consumer
    FKLI_PUSH_CLOSED,  // refused, for ever; like the others that refuse, it leaves the message
    FKLI_PUSH_DRAINED, // refused, because the inbox is drained
    FKLI_PUSH_FULL     // refused by a bounded mailbox; an inbox has no bound
} fkli_push;

void fkli_inbox_init(fkli_inbox *inbox);

// Threads: any. The second is for messages that a drained inbox takes too.
fkli_push fkli_inbox_push(fkli_inbox *inbox, fkl_msg *msg);
fkli_push fkli_inbox_push_exempt(fkli_inbox *inbox, fkl_msg *msg);
// FKLI_PUSHED, or why a push would be refused. Threads: any.
fkli_push fkli_inbox_refusal(const fkli_inbox *inbox);
bool fkli_inbox_is_closed(const fkli_inbox *inbox);

// Whether there is certainly nothing to take; quick. Threads: the consumer.
static inline bool fkli_inbox_is_idle(const fkli_inbox *inbox)
{
    // Relaxed: nothing is read on the strength of it.
    return fkli_load_relaxed_ptr(&inbox->top) == NULL;
}

// Moves what is on the stack behind what is in `fifo`, marks each message with `batch`, and returns
// how many they are. Threads: the consumer.
uint64_t fkli_inbox_take(fkli_inbox *inbox, fkli_fifo *fifo, uint64_t batch);
// Takes the oldest message, NULL when there is none. Threads: the consumer.
fkl_msg *fkli_inbox_pop(fkli_inbox *inbox, fkli_fifo *fifo);
// Whether a pop would find a message. Threads: the consumer.
bool fkli_inbox_has_some(const fkli_inbox *inbox, const fkli_fifo *fifo);

// Announces that the consumer is about to sleep: true when nothing is there and the next push will
// report FKLI_PUSHED_WAKE; false when there is a message, or the inbox is closed or drained.
// Threads: the consumer.
bool fkli_inbox_block(fkli_inbox *inbox, const fkli_fifo *fifo);
// The same whatever is in the FIFO, and for a drained inbox too if `even_drained`: only an exempt
// message will wake the consumer then.
bool fkli_inbox_block_stack(fkli_inbox *inbox, bool even_drained);
// Takes the announcement back. Threads: the consumer.
void fkli_inbox_unblock(fkli_inbox *inbox);

// Drains: from now on only exempt messages are let in. Takes an announcement back, and returns
// whether there was one: the caller must wake the consumer then. Threads: any.
bool fkli_inbox_drain(fkli_inbox *inbox);
// Closes, and returns what was on the stack, oldest first. Threads: any; the caller decides what
// happens to the messages.
fkl_msg *fkli_inbox_close(fkli_inbox *inbox);

static inline void fkli_fifo_init(fkli_fifo *fifo)
{
    *fifo = (fkli_fifo){NULL, NULL};
}

// Takes `msg` out, whose predecessor is `before`: NULL when it is the first.
static inline void fkli_fifo_remove(fkli_fifo *fifo, fkl_msg *before, fkl_msg *msg)
{
    if (before)
        before->next = msg->next;
    else
        fifo->first = msg->next;
    if (fifo->last == msg)
        fifo->last = before;
    msg->next = NULL;
}

// Takes the oldest message, NULL when there is none.
static inline fkl_msg *fkli_fifo_pop(fkli_fifo *fifo)
{
    fkl_msg *msg = fifo->first;
    if (msg) {
        fifo->first = msg->next;
        msg->next = NULL;
    }
    return msg;
}

// Takes all, as a chain.
static inline fkl_msg *fkli_fifo_clear(fkli_fifo *fifo)
{
    fkl_msg *chain = fifo->first;
    fkli_fifo_init(fifo);
    return chain;
}

// Puts a chain behind what is there.
void fkli_fifo_append(fkli_fifo *fifo, fkl_msg *chain);

#endif
