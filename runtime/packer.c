// SPDX-License-Identifier: Apache-2.0
//
// The packing half of the msgpack codec; codec.c is the other. It appends through msgpack-c's
// encoder to a buffer from the runtime's allocator, which then becomes the message without a copy.
// The encoder's results are not looked at: append() records the one way in which it can fail. A
// packer belongs to one thread at a time.
#include <forkless/codec.h>

#include "memory.h"

#include <string.h>

#include <msgpack/pack.h>

enum { FIRST_BYTES = 128 };

struct fkl_packer {
    fkl_runtime *runtime; // of the messages that it makes
    const fkl_allocator *memory;
    msgpack_packer encoder;
    uint8_t *data;
    size_t len;
    size_t capacity;
    fkl_err err; // the first failure since the last finish
};

static int append(void *ctx, const char *bytes, size_t len)
{
    fkl_packer *packer = ctx;
    if (len > packer->capacity - packer->len) {
        if (len > SIZE_MAX / 2 - packer->len) {
            packer->err = FKL_ENOMEM;
            return -1;
        }
        size_t capacity = packer->capacity ? packer->capacity * 2 : FIRST_BYTES;
        if (capacity < packer->len + len) {
            capacity = packer->len + len;
        }
        void *data = fkli_resize(packer->memory, packer->data, packer->capacity, capacity);
        if (!data) {
            packer->err = FKL_ENOMEM;
            return -1;
        }
        packer->data = data;
        packer->capacity = capacity;
    }
    if (len > 0) {
        memcpy(packer->data + packer->len, bytes, len);
        packer->len += len;
    }
    return 0;
}

// Whether a value may be appended; msgpack counts lengths and elements in 32 bits.
static bool may_pack(fkl_packer *packer, const void *data, uint64_t len)
{
    if (packer->err == FKL_OK && (len > UINT32_MAX || (!data && len > 0))) {
        packer->err = FKL_EINVAL;
    }
    return packer->err == FKL_OK;
}

static void forget(fkl_packer *packer)
{
    packer->data = NULL;
    packer->len = 0;
    packer->capacity = 0;
    packer->err = FKL_OK;
}

fkl_err fkl_packer_create(fkl_runtime *runtime, fkl_packer **out)
{
    const fkl_allocator *memory = fkli_allocator_of(runtime);
    fkl_packer *packer = fkli_alloc(memory, sizeof *packer);
    if (!packer) {
        return FKL_ENOMEM;
    }
    packer->runtime = runtime;
    packer->memory = memory;
    msgpack_packer_init(&packer->encoder, packer, append);
    forget(packer);
    *out = packer;
    return FKL_OK;
}

void fkl_packer_destroy(fkl_packer *packer)
{
    if (packer) {
        fkli_free(packer->memory, packer->data, packer->capacity);
        fkli_free(packer->memory, packer, sizeof *packer);
    }
}

void fkl_pack_nil(fkl_packer *packer)
{
    if (may_pack(packer, NULL, 0)) {
        msgpack_pack_nil(&packer->encoder);
    }
}

void fkl_pack_bool(fkl_packer *packer, bool value)
{
    if (may_pack(packer, NULL, 0)) {
        (void)(value ? msgpack_pack_true(&packer->encoder) : msgpack_pack_false(&packer->encoder));
    }
}

void fkl_pack_int(fkl_packer *packer, int64_t value)
{
    if (may_pack(packer, NULL, 0)) {
        msgpack_pack_int64(&packer->encoder, value);
    }
}

void fkl_pack_uint(fkl_packer *packer, uint64_t value)
{
    if (may_pack(packer, NULL, 0)) {
        msgpack_pack_uint64(&packer->encoder, value);
    }
}

void fkl_pack_double(fkl_packer *packer, double value)
{
    if (may_pack(packer, NULL, 0)) {
        msgpack_pack_double(&packer->encoder, value);
    }
}

void fkl_pack_str(fkl_packer *packer, const char *text, size_t len)
{
    if (may_pack(packer, text, len)) {
        msgpack_pack_str_with_body(&packer->encoder, text, len);
    }
}

void fkl_pack_cstr(fkl_packer *packer, const char *text)
{
    fkl_pack_str(packer, text, text ? strlen(text) : 1);
}

void fkl_pack_bin(fkl_packer *packer, const void *data, size_t len)
{
    if (may_pack(packer, data, len)) {
        msgpack_pack_bin_with_body(&packer->encoder, data, len);
    }
}

void fkl_pack_array(fkl_packer *packer, size_t count)
{
    if (may_pack(packer, packer, count)) {
        msgpack_pack_array(&packer->encoder, count);
    }
}

void fkl_pack_map(fkl_packer *packer, size_t count)
{
    if (may_pack(packer, packer, count)) {
        msgpack_pack_map(&packer->encoder, count);
    }
}

void fkl_pack_ext(fkl_packer *packer, int8_t type, const void *data, size_t len)
{
    if (may_pack(packer, data, len)) {
        msgpack_pack_ext_with_body(&packer->encoder, data, len, type);
    }
}

static void release_payload(void *data, size_t len, void *runtime)
{
    fkli_free(fkli_allocator_of(runtime), data, len);
}

fkl_err fkl_packer_finish(fkl_packer *packer, fkl_msg **out)
{
    fkl_err err = packer->err;
    if (err == FKL_OK && packer->len == 0) {
        return FKL_EINVAL;
    }
    if (err == FKL_OK && packer->len < packer->capacity) {
        // The allocator is told the size when it gets the buffer back, and a message knows only
        // len.
        void *data = fkli_resize(packer->memory, packer->data, packer->capacity, packer->len);
        if (data) {
            packer->data = data;
            packer->capacity = packer->len;
        } else {
            err = FKL_ENOMEM;
        }
    }
    if (err == FKL_OK) {
        err = fkl_msg_wrap(packer->runtime, FKL_CODEC_MSGPACK, packer->data, packer->len,
                           release_payload, packer->runtime, out);
    }
    if (err != FKL_OK) {
        fkli_free(packer->memory, packer->data, packer->capacity);
    }
    forget(packer);
    return err;
}

fkl_err fkl_packer_bytes(const fkl_packer *packer, const void **data, size_t *len)
{
    if (packer->err == FKL_OK) {
        *data = packer->data;
        *len = packer->len;
    }
    return packer->err;
}
