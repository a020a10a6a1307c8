// SPDX-License-Identifier: Apache-2.0
//
// Decodes the input. What is refused leaves nothing behind; what is accepted is read with every
// reader, those for other types included, packed again, decoded again, and must be the same. The
// payloads of FKL_EXT_ERROR are decoded as well, down to a few causes.
#include "fuzz/fuzz.h"

enum { CAUSES = 4 };

// Reads the bytes, so that AddressSanitizer sees it.
static unsigned sum_of(const void *data, size_t len)
{
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum += ((const uint8_t *)data)[i];
    }
    return sum;
}

static volatile unsigned sink;

static void check_readers_of_scalars(const fkl_value *value, fkl_type type)
{
    bool boolean;
    int64_t integer;
    uint64_t natural;
    double real;
    REQUIRE((fkl_value_bool(value, &boolean) == FKL_OK) == (type == FKL_TYPE_BOOL));
    REQUIRE((fkl_value_double(value, &real) == FKL_OK) == (type == FKL_TYPE_DOUBLE));
    bool is_int = fkl_value_int(value, &integer) == FKL_OK;
    bool is_uint = fkl_value_uint(value, &natural) == FKL_OK;
    REQUIRE(is_int == (type == FKL_TYPE_INT));
    REQUIRE(is_uint == (type == FKL_TYPE_UINT || (is_int && integer >= 0)));
    REQUIRE(!is_uint || is_int || natural > INT64_MAX);
    REQUIRE(!is_uint || !is_int || natural == (uint64_t)integer);
}

static void check_readers_of_bytes(const fkl_value *value, fkl_type type)
{
    const void *bytes = NULL;
    size_t len = 0;
    int8_t ext;
    if (fkl_value_bytes(value, &bytes, &len) == FKL_OK) {
        REQUIRE(type == FKL_TYPE_STR || type == FKL_TYPE_BIN);
        sink += sum_of(bytes, len);
    } else {
        REQUIRE(type != FKL_TYPE_STR && type != FKL_TYPE_BIN);
    }
    if (fkl_value_ext(value, &ext, &bytes, &len) == FKL_OK) {
        REQUIRE(type == FKL_TYPE_EXT);
        sink += sum_of(bytes, len);
    } else {
        REQUIRE(type != FKL_TYPE_EXT);
    }
}

static void check_shape(const fkl_value *value, fkl_type type)
{
    size_t count = fkl_value_count(value);
    REQUIRE(count == 0 || type == FKL_TYPE_ARRAY || type == FKL_TYPE_MAP);
    REQUIRE(!fkl_value_at(value, count) && !fkl_value_at(value, SIZE_MAX));
    REQUIRE(!fkl_value_key_at(value, count) && !fkl_value_key_at(value, SIZE_MAX));
    REQUIRE(!fkl_value_value_at(value, count) && !fkl_value_value_at(value, SIZE_MAX / 2 + 1));
    if (count > 0) {
        REQUIRE((fkl_value_at(value, 0) != NULL) == (type == FKL_TYPE_ARRAY));
        REQUIRE((fkl_value_key_at(value, 0) != NULL) == (type == FKL_TYPE_MAP));
        REQUIRE((fkl_value_value_at(value, 0) != NULL) == (type == FKL_TYPE_MAP));
    }
}

// Looks up the key of the pair `index`: the first pair that has it is found.
static void check_lookup(const fkl_value *map, size_t index)
{
    const fkl_value *key = fkl_value_key_at(map, index);
    const void *text;
    size_t len;
    if (fkl_value_type(key) != FKL_TYPE_STR || fkl_value_bytes(key, &text, &len) != FKL_OK ||
        len > 64 || memchr(text, 0, len)) {
        return;
    }
    char name[65];
    memcpy(name, text, len);
    name[len] = '\0';
    const fkl_value *found = fkl_value_get(map, name);
    for (size_t i = 0; i <= index; i++) {
        const fkl_value *before = fkl_value_key_at(map, i);
        const void *other = NULL;
        size_t other_len = 0;
        if (fkl_value_type(before) == FKL_TYPE_STR &&
            fkl_value_bytes(before, &other, &other_len) == FKL_OK &&
            fuzz_same_bytes(other, other_len, text, len)) {
            REQUIRE(found == fkl_value_value_at(map, i));
            return;
        }
    }
    REQUIRE(!"the key is found");
}

static void read_all(const fkl_value *value)
{
    fkl_type type = fkl_value_type(value);
    check_readers_of_scalars(value, type);
    check_readers_of_bytes(value, type);
    check_shape(value, type);
    size_t count = fkl_value_count(value);
    if (type == FKL_TYPE_MAP && count > 0) {
        check_lookup(value, 0);
        check_lookup(value, count / 2);
        check_lookup(value, count - 1);
    }
    for (size_t i = 0; i < count; i++) {
        if (type == FKL_TYPE_ARRAY) {
            read_all(fkl_value_at(value, i));
        } else {
            read_all(fkl_value_key_at(value, i));
            read_all(fkl_value_value_at(value, i));
        }
    }
}

static void decode(const void *data, size_t size, int causes);

static void read_errors(const fkl_value *value, int causes)
{
    int8_t ext;
    const void *bytes;
    size_t len;
    if (fkl_value_ext(value, &ext, &bytes, &len) == FKL_OK && ext == FKL_EXT_ERROR) {
        decode(bytes, len, causes - 1);
    }
    for (size_t i = 0; i < fkl_value_count(value); i++) {
        read_errors(fkl_value_at(value, i), causes);
        read_errors(fkl_value_value_at(value, i), causes);
    }
}

// The same values, whichever of msgpack's forms they had: so their canonical bytes are the same.
static void check_round_trip(const fkl_value *root)
{
    fkl_msg *once = fuzz_pack(root);
    fkl_document *document;
    REQUIRE(fkl_decode(fuzz_runtime(), fkl_msg_data(once), fkl_msg_len(once), &document) == FKL_OK);
    read_all(fkl_document_root(document));
    fkl_msg *twice = fuzz_pack(fkl_document_root(document));
    REQUIRE(fuzz_same_bytes(fkl_msg_data(once), fkl_msg_len(once), fkl_msg_data(twice),
                            fkl_msg_len(twice)));
    fkl_document_destroy(document);
    fkl_msg_destroy(twice);
    fkl_msg_destroy(once);
}

// Two values of 16 bytes for each byte; some are there from the start.
static size_t memory_allowed(size_t size)
{
    return 32 * size + 512;
}

static void decode(const void *data, size_t size, int causes)
{
    if (causes < 0) {
        return;
    }
    fkl_runtime *runtime = fuzz_runtime();
    size_t blocks = fuzz_memory.blocks, bytes = fuzz_memory.bytes;
    fkl_document *document = NULL;
    fuzz_memory.peak = bytes;
    fkl_err err = fkl_decode(runtime, data, size, &document);
    REQUIRE(fuzz_memory.peak - bytes <= memory_allowed(size));
    if (err != FKL_OK) {
        REQUIRE(err == FKL_ECORRUPT && !document);
    } else {
        read_all(fkl_document_root(document));
        check_round_trip(fkl_document_root(document));
        read_errors(fkl_document_root(document), causes);
        fkl_document_destroy(document);
    }
    REQUIRE(fuzz_memory.blocks == blocks && fuzz_memory.bytes == bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode(data, size, CAUSES);
    return 0;
}
