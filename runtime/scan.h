// SPDX-License-Identifier: Apache-2.0
//
// Selective receives: marks, and walks over a mailbox in search of what is wanted.
#ifndef FKLI_SCAN_H
#define FKLI_SCAN_H

#include "mailbox.h"

// What is wanted, and how far the consumer has looked, so that nothing is looked at twice. Lives on
// its stack.
struct fkli_scan {
    // The caller's:
    fkl_mark from;
    bool (*wants)(const fkl_msg *msg, void *ctx);
    void *ctx;
    // The last message of each lane that has been passed, NULL while there is none.
    fkl_msg *system_passed;
    fkl_msg *user_passed;
    // Where the lanes have a lock, wants() looks at this message without it. A sender that discards
    // it writes NULL, and leaves the message to the consumer.
    fkl_msg *current;
    fkl_msg *discarded; // such messages, counted, for the caller to destroy
};

// Threads: the consumer.

// A mark: the messages so far came before it.
fkl_mark fkli_mailbox_mark(fkli_mailbox *mailbox);

// Begins a walk. While it lasts nothing else may take messages out, but for senders that discard.
void fkli_scan_begin(fkli_scan *scan, fkli_mailbox *mailbox);
// Goes on with it: returns the next wanted message, taken out, or NULL when all have been passed.
fkl_msg *fkli_scan_next(fkli_scan *scan, fkli_mailbox *mailbox);
void fkli_scan_end(fkli_scan *scan, fkli_mailbox *mailbox);

static inline fkl_msg *fkli_lane_after(const fkli_lane *lane, const fkl_msg *passed)
{
    return passed ? passed->next : lane->fifo.first;
}

#endif
