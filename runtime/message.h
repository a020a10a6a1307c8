// SPDX-License-Identifier: Apache-2.0
//
// The inside of a message. One owner at a time: the thread that made or received it, or the inbox
// that it is linked into. Nothing here is shared without a hand-over through an inbox.
#ifndef FKLI_MESSAGE_H
#define FKLI_MESSAGE_H

#include <forkless/message.h>

#include "memory.h"

// What ties a request, or the outcome of one, to the ask that it belongs to (ask.h).
typedef struct fkli_tie {
    void (*cut)(fkl_msg *msg); // the message is being destroyed
} fkli_tie;

struct fkl_msg {
    fkl_msg *next; // the link of the inbox or mailbox that holds it
    union {
        uint64_t batch;    // in a mailbox: when it arrived, by the mailbox's count of its batches
        const void *ahead; // before: what to fetch while this one is looked at (depot.h)
    };
    const fkl_allocator *allocator;
    void *data; // the payload, or the reference of FKL_CODEC_REF
    size_t len;
    size_t size; // of the memory block that it is in
    union {
        void (*buffer)(void *data, size_t len, void *ctx);
        void (*ref)(void *ref, void *ctx);
        void (*system)(fkl_msg *msg); // of a system message
    } release;                        // NULL: nothing to release
    void *ctx;
    fkli_tie *tie; // or NULL
    fkl_actor_id sender;
    uint64_t tag;
    uint8_t codec; // fkl_codec
    uint8_t kind;  // fkl_msg_kind
    _Alignas(max_align_t) unsigned char payload[];
};

static inline bool fkli_msg_is_system(const fkl_msg *msg)
{
    return msg->kind != FKL_MSG_USER && msg->kind != FKL_MSG_REPLY;
}

// A message of the runtime itself with `size` zeroed bytes at msg->payload, which users see as
// empty. `release` runs when it is destroyed. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_msg_create_system(const fkl_allocator *allocator, fkl_msg_kind kind,
                                              size_t size, void (*release)(fkl_msg *msg),
                                              fkl_msg **out);

// Destroys a chain linked by `next` and returns how many of its messages were FKL_MSG_USER.
size_t fkli_msg_destroy_chain(fkl_msg *first);

// Whether its payload may be copied or shared: nothing but bytes, and the user's.
static inline bool fkli_msg_is_plain(const fkl_msg *msg)
{
    return msg->kind == FKL_MSG_USER && msg->codec != FKL_CODEC_REF && !msg->tie;
}

#endif
