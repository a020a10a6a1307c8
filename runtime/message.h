// SPDX-License-Identifier: Apache-2.0
//
// The inside of a message. One owner at a time: the thread that made or received it, or the inbox
// that it is linked into. Nothing here is shared without a hand-over through an inbox.
#ifndef FKLI_MESSAGE_H
#define FKLI_MESSAGE_H

#include <forkless/message.h>

#include "depot.h"
#include "memory.h"

// What ties a request, or the outcome of one, to the ask that it belongs to (ask.h).
typedef struct fkli_tie {
    void (*cut)(fkl_msg *msg); // the message is being destroyed
} fkli_tie;

enum { FKLI_MESSAGE_ROOM = 120 }; // bytes of the blocks that short ones are made of

// Those blocks.
extern const fkli_block_kind fkli_message_blocks;

// What `len` has room for.
#define FKLI_MSG_MAX_LEN (SIZE_MAX / 2 < UINT64_C(1) << 48 ? SIZE_MAX / 2 : (UINT64_C(1) << 48) - 1)

// Where the content of a message is.
typedef enum fkli_form {
    FKLI_FORM_SHORT,  // msg->few
    FKLI_FORM_INLINE, // msg->payload
    FKLI_FORM_SYSTEM, // msg->payload, which users see as empty
    FKLI_FORM_WRAPPED // msg->data points to it, and msg->payload is a fkli_wrapping
} fkli_form;

// What fits into `few` crosses from one processor to the other in one cache line.
struct fkl_msg {
    fkl_msg *next; // the link of the inbox or mailbox that holds it
    union {
        uint64_t batch;    // in a mailbox: when it arrived, by the mailbox's count of its batches
        const void *ahead; // before: what to fetch while this one is looked at (depot.h)
    };
    const fkl_allocator *allocator;
    fkli_tie *tie; // or NULL
    fkl_actor_id sender;
    uint64_t tag;
    uint64_t len : 48;
    uint64_t codec : 2;    // fkl_codec
    uint64_t kind : 2;     // fkl_msg_kind
    uint64_t form : 2;     // fkli_form
    uint64_t is_block : 1; // of a depot's size
    uint64_t offset : 6;   // of such a block in its allocation
    union {
        unsigned char few[8];
        void *data;                    // the user's buffer, or the reference of FKL_CODEC_REF
        void (*release)(fkl_msg *msg); // of a system message; NULL: nothing to release
    };
    _Alignas(max_align_t) unsigned char payload[];
};

// Behind the header of a wrapped message.
typedef struct fkli_wrapping {
    union {
        void (*buffer)(void *data, size_t len, void *ctx);
        void (*ref)(void *ref, void *ctx);
    } release; // NULL: nothing to release
    void *ctx;
} fkli_wrapping;

// What is in a message of the user's: bytes, or a reference.
static inline void *fkli_msg_content(fkl_msg *msg)
{
    if (msg->form == FKLI_FORM_SHORT)
        return msg->few;
    return msg->form == FKLI_FORM_WRAPPED ? msg->data : msg->payload;
}

#if UINTPTR_MAX == UINT64_MAX
_Static_assert(sizeof(fkl_msg) == FKLI_CACHE_LINE, "a header with a short payload is one line");
#endif

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
