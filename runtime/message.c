// SPDX-License-Identifier: Apache-2.0
//
// Making, reading and destroying messages. Runs in whatever thread owns the message; there is no
// shared state. A payload that the library copies lies behind the message in the same block; where
// both fit into one of the depot's size, that is what they are.

#include "message.h"

#include "depot.h"
#include "wait.h"

#include <string.h>

// That of the calling thread, if it serves the allocator; else NULL.
static fkli_magazine *magazine_for(const fkl_allocator *allocator)
{
    fkli_thread *thread = fkli_thread_peek();
    return thread && fkli_magazine_serves(&thread->magazine, allocator) ? &thread->magazine : NULL;
}

static fkl_err allocate(const fkl_allocator *allocator, size_t inline_size, fkl_msg **out)
{
    if (inline_size > SIZE_MAX / 2 - sizeof(fkl_msg))
        return FKL_ENOMEM;
    size_t size = sizeof(fkl_msg) + inline_size;
    fkl_msg *msg = NULL;
    fkli_magazine *magazine = size <= FKLI_BLOCK_SIZE ? magazine_for(allocator) : NULL;
    if (magazine) {
        size = FKLI_BLOCK_SIZE;
        msg = fkli_magazine_take(magazine);
    }
    if (!msg)
        msg = fkli_alloc(allocator, size);
    if (!msg)
        return FKL_ENOMEM;
    memset(msg, 0, sizeof *msg);
    msg->allocator = allocator;
    msg->size = size;
    if (magazine)
        msg->ahead = fkli_trail_turn(&magazine->made, msg);
    *out = msg;
    return FKL_OK;
}

static void give_memory_back(fkl_msg *msg)
{
    const fkl_allocator *allocator = msg->allocator;
    size_t size = msg->size;
    fkli_magazine *magazine = size == FKLI_BLOCK_SIZE ? magazine_for(allocator) : NULL;
    if (!magazine || !fkli_magazine_put(magazine, msg))
        fkli_free(allocator, msg, size);
}

fkl_err fkl_msg_create(fkl_runtime *runtime, fkl_codec codec, size_t len, fkl_msg **out)
{
    if (codec != FKL_CODEC_RAW && codec != FKL_CODEC_MSGPACK)
        return FKL_EINVAL;
    fkl_msg *msg;
    fkl_err err = allocate(fkli_allocator_of(runtime), len, &msg);
    if (err)
        return err;
    msg->codec = (uint8_t)codec;
    msg->data = msg->payload;
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
        memcpy((*out)->data, data, len);
    return err;
}

fkl_err fkl_msg_wrap(fkl_runtime *runtime, fkl_codec codec, void *data, size_t len,
                     void (*release)(void *data, size_t len, void *ctx), void *ctx, fkl_msg **out)
{
    if ((codec != FKL_CODEC_RAW && codec != FKL_CODEC_MSGPACK) || (!data && len))
        return FKL_EINVAL;
    fkl_msg *msg;
    fkl_err err = allocate(fkli_allocator_of(runtime), 0, &msg);
    if (err)
        return err;
    msg->codec = (uint8_t)codec;
    msg->data = data;
    msg->len = len;
    msg->release.buffer = release;
    msg->ctx = ctx;
    *out = msg;
    return FKL_OK;
}

fkl_err fkl_msg_wrap_ref(fkl_runtime *runtime, void *ref, void (*release)(void *ref, void *ctx),
                         void *ctx, fkl_msg **out)
{
    fkl_msg *msg;
    fkl_err err = allocate(fkli_allocator_of(runtime), 0, &msg);
    if (err)
        return err;
    msg->codec = FKL_CODEC_REF;
    msg->data = ref;
    msg->release.ref = release;
    msg->ctx = ctx;
    *out = msg;
    return FKL_OK;
}

fkl_err fkl_msg_take_ref(fkl_msg *msg, const void *ctx, void **ref)
{
    if (msg->codec != FKL_CODEC_REF || msg->ctx != ctx || !msg->data)
        return FKL_ETYPE;
    *ref = msg->data;
    msg->data = NULL;
    msg->release.ref = NULL;
    return FKL_OK;
}

fkl_err fkli_msg_create_system(const fkl_allocator *allocator, fkl_msg_kind kind, size_t size,
                               void (*release)(fkl_msg *msg), fkl_msg **out)
{
    fkl_err err = allocate(allocator, size, out);
    if (err)
        return err;
    fkl_msg *msg = *out;
    memset(msg->payload, 0, size);
    msg->kind = (uint8_t)kind;
    msg->codec = FKL_CODEC_RAW;
    msg->data = msg->payload;
    msg->release.system = release;
    return FKL_OK;
}

static void release_content(fkl_msg *msg)
{
    if (fkli_msg_is_system(msg)) {
        if (msg->release.system)
            msg->release.system(msg);
    } else if (msg->codec == FKL_CODEC_REF) {
        if (msg->release.ref)
            msg->release.ref(msg->data, msg->ctx);
    } else if (msg->release.buffer) {
        msg->release.buffer(msg->data, msg->len, msg->ctx);
    }
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
    return msg->codec == FKL_CODEC_REF ? NULL : msg->data;
}

const void *fkl_msg_peek(const fkl_msg *msg)
{
    return msg->codec == FKL_CODEC_REF ? NULL : msg->data;
}

size_t fkl_msg_len(const fkl_msg *msg)
{
    return msg->len;
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
