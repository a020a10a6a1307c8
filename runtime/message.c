// SPDX-License-Identifier: Apache-2.0
//
// Making, reading and destroying messages. Runs in whatever thread owns the message; there is no
// shared state. A payload that the library copies lies behind the message in the same block; where
// both fit into one of the depot's size, that is what they are.

#include "message.h"

#include "wait.h"

#include <string.h>

const fkli_block_kind fkli_message_blocks = {
    .room = FKLI_MESSAGE_ROOM,
    .slack = FKLI_BLOCK_SLACK,
    .pile = 128,
    .most = FKLI_KEPT_BLOCKS(65536),
};

// That of the calling thread, if it serves the allocator; else NULL.
static fkli_magazine *magazine_for(const fkl_allocator *allocator)
{
    fkli_thread *thread = fkli_thread_peek();
    return thread && fkli_magazine_serves(&thread->magazine, allocator) ? &thread->magazine : NULL;
}

// A block, unless the message is long or of the default allocator.
static fkl_msg *allocate(const fkl_allocator *allocator, fkli_form form, size_t inline_size)
{
    size_t size = sizeof(fkl_msg) + inline_size;
    bool fits = size <= FKLI_MESSAGE_ROOM;
    fkli_magazine *magazine = fits ? magazine_for(allocator) : NULL;
    fkli_depot *depot = fits && !magazine ? fkli_depot_of(allocator) : NULL;
    uint8_t offset = 0;
    fkl_msg *msg;
    if (magazine)
        msg = fkli_magazine_take(magazine, &offset);
    else
        msg = depot ? fkli_depot_take(depot, &offset) : fkli_alloc(allocator, size);
    if (!msg)
        return NULL;
    *msg = (fkl_msg){.allocator = allocator,
                     .form = form,
                     .is_block = magazine || depot,
                     .offset = offset,
                     .ahead = magazine ? fkli_trail_turn(&magazine->made, msg) : NULL};
    return msg;
}

// What was asked for behind the header of a message that is no block.
static size_t inline_size_of(const fkl_msg *msg)
{
    if (msg->form == FKLI_FORM_SHORT)
        return 0;
    return msg->form == FKLI_FORM_WRAPPED ? sizeof(fkli_wrapping) : msg->len;
}

static void give_memory_back(fkl_msg *msg)
{
    const fkl_allocator *allocator = msg->allocator;
    if (!msg->is_block) {
        fkli_free(allocator, msg, sizeof *msg + inline_size_of(msg));
        return;
    }
    fkli_magazine *magazine = magazine_for(allocator);
    if (magazine)
        fkli_magazine_put(magazine, msg, msg->offset);
    else
        fkli_depot_put(fkli_depot_of(allocator), msg, msg->offset);
}

fkl_err fkl_msg_create(fkl_runtime *runtime, fkl_codec codec, size_t len, fkl_msg **out)
{
    if (codec != FKL_CODEC_RAW && codec != FKL_CODEC_MSGPACK)
        return FKL_EINVAL;
    if (len > FKLI_MSG_MAX_LEN)
        return FKL_ENOMEM;
    bool is_short = len <= sizeof(*out)->few;
    fkl_msg *msg = allocate(fkli_allocator_of(runtime),
                            is_short ? FKLI_FORM_SHORT : FKLI_FORM_INLINE, is_short ? 0 : len);
    if (!msg)
        return FKL_ENOMEM;
    msg->codec = codec;
    msg->len = len;
    *out = msg;
    return FKL_OK;
}

fkl_err fkl_msg_create_copy(fkl_runtime *runtime, fkl_codec codec, const void *data, size_t len,
                            fkl_msg **out)
{
    if (!data && len)
        return FKL_EINVAL;
    fkl_err err = fkl_msg_create(runtime, codec, len, out);
    if (!err && len)
        memcpy(fkli_msg_content(*out), data, len);
    return err;
}

static fkli_wrapping *wrapping_of(const fkl_msg *msg)
{
    return (fkli_wrapping *)(uintptr_t)msg->payload;
}

static fkl_err wrap(fkl_runtime *runtime, fkl_codec codec, void *data, size_t len,
                    const fkli_wrapping *wrapping, fkl_msg **out)
{
    fkl_msg *msg = allocate(fkli_allocator_of(runtime), FKLI_FORM_WRAPPED, sizeof *wrapping);
    if (!msg)
        return FKL_ENOMEM;
    msg->codec = codec;
    msg->data = data;
    msg->len = len;
    *wrapping_of(msg) = *wrapping;
    *out = msg;
    return FKL_OK;
}

fkl_err fkl_msg_wrap(fkl_runtime *runtime, fkl_codec codec, void *data, size_t len,
                     void (*release)(void *data, size_t len, void *ctx), void *ctx, fkl_msg **out)
{
    bool is_bytes = codec == FKL_CODEC_RAW || codec == FKL_CODEC_MSGPACK;
    if (!is_bytes || (!data && len) || len > FKLI_MSG_MAX_LEN)
        return FKL_EINVAL;
    fkli_wrapping wrapping = {.release.buffer = release, .ctx = ctx};
    return wrap(runtime, codec, data, len, &wrapping, out);
}

fkl_err fkl_msg_wrap_ref(fkl_runtime *runtime, void *ref, void (*release)(void *ref, void *ctx),
                         void *ctx, fkl_msg **out)
{
    fkli_wrapping wrapping = {.release.ref = release, .ctx = ctx};
    return wrap(runtime, FKL_CODEC_REF, ref, 0, &wrapping, out);
}

fkl_err fkl_msg_take_ref(fkl_msg *msg, const void *ctx, void **ref)
{
    if (msg->codec != FKL_CODEC_REF || wrapping_of(msg)->ctx != ctx || !msg->data)
        return FKL_ETYPE;
    *ref = msg->data;
    msg->data = NULL;
    wrapping_of(msg)->release.ref = NULL;
    return FKL_OK;
}

fkl_err fkli_msg_create_system(const fkl_allocator *allocator, fkl_msg_kind kind, size_t size,
                               void (*release)(fkl_msg *msg), fkl_msg **out)
{
    fkl_msg *msg = allocate(allocator, FKLI_FORM_SYSTEM, size);
    if (!msg)
        return FKL_ENOMEM;
    memset(msg->payload, 0, size);
    msg->kind = kind;
    msg->len = size;
    msg->release = release;
    *out = msg;
    return FKL_OK;
}

static void release_wrapped(fkl_msg *msg)
{
    const fkli_wrapping *wrapping = wrapping_of(msg);
    if (!wrapping->release.ref) // either of them
        return;
    if (msg->codec == FKL_CODEC_REF)
        wrapping->release.ref(msg->data, wrapping->ctx);
    else
        wrapping->release.buffer(msg->data, msg->len, wrapping->ctx);
}

static void release_content(fkl_msg *msg)
{
    if (msg->form == FKLI_FORM_WRAPPED)
        release_wrapped(msg);
    else if (msg->form == FKLI_FORM_SYSTEM && msg->release)
        msg->release(msg);
}

void fkl_msg_destroy(fkl_msg *msg)
{
    if (!msg)
        return;
    if (msg->tie)
        msg->tie->cut(msg);
    release_content(msg);
    give_memory_back(msg);
}

size_t fkli_msg_destroy_chain(fkl_msg *first)
{
    size_t users = 0;
    while (first) {
        fkl_msg *next = first->next;
        users += first->kind == FKL_MSG_USER;
        fkl_msg_destroy(first);
        first = next;
    }
    return users;
}

void *fkl_msg_data(fkl_msg *msg)
{
    return msg->codec == FKL_CODEC_REF ? NULL : fkli_msg_content(msg);
}

const void *fkl_msg_peek(const fkl_msg *msg)
{
    return fkl_msg_data((fkl_msg *)(uintptr_t)msg);
}

size_t fkl_msg_len(const fkl_msg *msg)
{
    return msg->form == FKLI_FORM_SYSTEM ? 0 : msg->len;
}

fkl_codec fkl_msg_codec(const fkl_msg *msg)
{
    return (fkl_codec)msg->codec;
}

fkl_msg_kind fkl_msg_get_kind(const fkl_msg *msg)
{
    return (fkl_msg_kind)msg->kind;
}

fkl_actor_id fkl_msg_sender(const fkl_msg *msg)
{
    return msg->sender;
}

uint64_t fkl_msg_tag(const fkl_msg *msg)
{
    return msg->tag;
}

void fkl_msg_set_tag(fkl_msg *msg, uint64_t tag)
{
    msg->tag = tag;
}
