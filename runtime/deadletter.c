// SPDX-License-Identifier: Apache-2.0
//
// Dead letters: to the user's handler, or to the log, which gets ten in a second and then the
// number of those that were left out. Runs in whatever thread loses a message.

#include "deadletter.h"

enum { LOGGED_PER_SECOND = 10 };

const char *fkl_dead_reason_text(fkl_dead_reason reason)
{
    switch (reason) {
    case FKL_DEAD_NO_ACTOR:
        return "the actor has ended";
    case FKL_DEAD_CLOSED:
        return "the actor takes no more messages";
    case FKL_DEAD_ENDED:
        return "the actor ended before it received it";
    case FKL_DEAD_FULL:
        return "the mailbox was full";
    case FKL_DEAD_LATE:
        return "nobody waits for the answer any more";
    }
    return "unknown reason";
}

// Whether this one may be logged. The word is the only state and orders nothing else: relaxed.
static bool within_rate(fkli_dead_letters *letters)
{
    uint64_t second = (uint64_t)(fkli_clock_now() / 1000000000) + 1;
    uint64_t word = fkli_load_relaxed_u64(&letters->window);
    for (;;) {
        uint64_t count = word >> 32 == (second & UINT32_MAX) ? (word & UINT32_MAX) : 0;
        if (count >= LOGGED_PER_SECOND)
            return false;
        if (fkli_cas_relaxed_u64(&letters->window, &word, second << 32 | (count + 1)))
            return true;
    }
}

static void log_letter(fkli_dead_letters *letters, const fkl_msg *msg, fkl_actor_id to,
                       fkl_dead_reason reason)
{
    if (!within_rate(letters)) {
        fkli_add_relaxed_u64(&letters->hidden, 1);
        return;
    }
    uint64_t hidden = fkli_load_relaxed_u64(&letters->hidden);
    if (hidden)
        fkli_sub_relaxed_u64(&letters->hidden, hidden);
    fkli_log(letters->log, FKL_LOG_INFO,
             "dead letter: from actor %llx to %llx, tag %llu: %s (%llu others not shown)",
             (unsigned long long)fkl_msg_sender(msg), (unsigned long long)to,
             (unsigned long long)fkl_msg_tag(msg), fkl_dead_reason_text(reason),
             (unsigned long long)hidden);
}

void fkli_dead_letter(fkli_dead_letters *letters, const fkl_msg *msg, fkl_actor_id to,
                      fkl_dead_reason reason)
{
    if (!letters->handler) {
        log_letter(letters, msg, to, reason);
        return;
    }
    fkl_dead_letter letter = {msg, to, reason};
    letters->handler(&letter, letters->ctx);
}
