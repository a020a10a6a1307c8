// SPDX-License-Identifier: Apache-2.0
//
// What the fuzzers share: a runtime whose allocator counts, a check that ends the program, and
// values that are compared and packed again. A fuzzer is a libFuzzer program: its function
// LLVMFuzzerTestOneInput() gets bytes and must not find a fault, whatever they are.
#ifndef FKL_TESTS_FUZZ_FUZZ_H
#define FKL_TESTS_FUZZ_FUZZ_H

#include <forkless/forkless.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// ---- memory: what is allocated now, and the most there was

static struct {
    size_t bytes;
    size_t peak;
    size_t blocks;
} fuzz_memory;

static inline void *fuzz_allocate(size_t size, void *ctx)
{
    (void)ctx;
    void *block = malloc(size);
    REQUIRE(block);
    fuzz_memory.bytes += size;
    fuzz_memory.blocks++;
    if (fuzz_memory.bytes > fuzz_memory.peak) {
        fuzz_memory.peak = fuzz_memory.bytes;
    }
    return block;
}

static inline void fuzz_release(void *ptr, size_t size, void *ctx)
{
    (void)ctx;
    REQUIRE(size <= fuzz_memory.bytes);
    fuzz_memory.bytes -= size;
    fuzz_memory.blocks--;
    free(ptr);
}

static inline void *fuzz_resize(void *ptr, size_t old_size, size_t new_size, void *ctx)
{
    void *moved = fuzz_allocate(new_size, ctx);
    memcpy(moved, ptr, old_size < new_size ? old_size : new_size);
    fuzz_release(ptr, old_size, ctx);
    return moved;
}

// The runtime keeps the memory of short messages: more of it than an input needs is made at once,
// so that nothing is added later.
static inline void fuzz_fill_depot(fkl_runtime *runtime)
{
    fkl_msg *messages[64];
    for (size_t i = 0; i < 64; i++) {
        REQUIRE(fkl_msg_create(runtime, FKL_CODEC_RAW, 1, &messages[i]) == FKL_OK);
    }
    for (size_t i = 0; i < 64; i++) {
        fkl_msg_destroy(messages[i]);
    }
}

// The runtime of all inputs, with nothing allocated but itself and what it keeps.
static inline fkl_runtime *fuzz_runtime(void)
{
    static fkl_runtime *runtime;
    if (!runtime) {
        fkl_runtime_config config = {.allocator = {fuzz_allocate, fuzz_resize, fuzz_release, NULL}};
        REQUIRE(fkl_runtime_create(&config, &runtime) == FKL_OK);
        fuzz_fill_depot(runtime);
    }
    return runtime;
}

// ---- values

static inline bool fuzz_same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static inline void fuzz_pack_value(fkl_packer *packer, const fkl_value *value)
{
    bool boolean = false;
    int64_t integer = 0;
    uint64_t natural = 0;
    double real = 0;
    const void *bytes = NULL;
    size_t len = 0;
    int8_t ext = 0;
    switch (fkl_value_type(value)) {
    case FKL_TYPE_NIL:
        fkl_pack_nil(packer);
        break;
    case FKL_TYPE_BOOL:
        REQUIRE(fkl_value_bool(value, &boolean) == FKL_OK);
        fkl_pack_bool(packer, boolean);
        break;
    case FKL_TYPE_INT:
        REQUIRE(fkl_value_int(value, &integer) == FKL_OK);
        fkl_pack_int(packer, integer);
        break;
    case FKL_TYPE_UINT:
        REQUIRE(fkl_value_uint(value, &natural) == FKL_OK);
        fkl_pack_uint(packer, natural);
        break;
    case FKL_TYPE_DOUBLE:
        REQUIRE(fkl_value_double(value, &real) == FKL_OK);
        fkl_pack_double(packer, real);
        break;
    case FKL_TYPE_STR:
        REQUIRE(fkl_value_bytes(value, &bytes, &len) == FKL_OK);
        fkl_pack_str(packer, bytes, len);
        break;
    case FKL_TYPE_BIN:
        REQUIRE(fkl_value_bytes(value, &bytes, &len) == FKL_OK);
        fkl_pack_bin(packer, bytes, len);
        break;
    case FKL_TYPE_EXT:
        REQUIRE(fkl_value_ext(value, &ext, &bytes, &len) == FKL_OK);
        fkl_pack_ext(packer, ext, bytes, len);
        break;
    case FKL_TYPE_ARRAY:
        fkl_pack_array(packer, fkl_value_count(value));
        for (size_t i = 0; i < fkl_value_count(value); i++) {
            fuzz_pack_value(packer, fkl_value_at(value, i));
        }
        break;
    case FKL_TYPE_MAP:
        fkl_pack_map(packer, fkl_value_count(value));
        for (size_t i = 0; i < fkl_value_count(value); i++) {
            fuzz_pack_value(packer, fkl_value_key_at(value, i));
            fuzz_pack_value(packer, fkl_value_value_at(value, i));
        }
        break;
    default:
        REQUIRE(!"a type of the list");
    }
}

static inline fkl_msg *fuzz_pack(const fkl_value *value)
{
    fkl_packer *packer;
    fkl_msg *msg;
    REQUIRE(fkl_packer_create(fuzz_runtime(), &packer) == FKL_OK);
    fuzz_pack_value(packer, value);
    REQUIRE(fkl_packer_finish(packer, &msg) == FKL_OK);
    fkl_packer_destroy(packer);
    return msg;
}

#endif
