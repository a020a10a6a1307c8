// SPDX-License-Identifier: Apache-2.0
//
// The decoder: every type comes out as it went in, and no sequence of bytes does harm: not cut
// short, not nested without end, not with counts that promise more than there is, not at random.
#include "support/rig.h"

#include <math.h>

#define BYTES(...)                                                                                 \
    (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__})

static fkl_document *decode(const void *data, size_t len)
{
    fkl_document *document = NULL;
    assert_ok(fkl_decode(NULL, data, len, &document));
    return document;
}

static void assert_corrupt(const void *data, size_t len)
{
    // A copy of the exact size, so that a read beyond the end is an error of its own.
    unsigned char *copy = malloc(len ? len : 1);
    cr_assert_not_null(copy);
    memcpy(copy, data, len);
    fkl_document *document = NULL;
    fkl_err err = fkl_decode(NULL, copy, len, &document);
    free(copy);
    cr_assert_eq(err, FKL_ECORRUPT, "%zu bytes from %02x gave %s", len,
                 len ? *(const unsigned char *)data : 0, fkl_err_name(err));
    cr_assert_null(document);
}

static int64_t integer_of(const void *data, size_t len)
{
    fkl_document *document = decode(data, len);
    int64_t value = 0;
    cr_assert_eq(fkl_value_type(fkl_document_root(document)), FKL_TYPE_INT);
    assert_ok(fkl_value_int(fkl_document_root(document), &value));
    fkl_document_destroy(document);
    return value;
}

Test(codec, integers_of_every_width_are_read)
{
    cr_assert_eq(integer_of(BYTES(0x00)), 0);
    cr_assert_eq(integer_of(BYTES(0x7f)), 127);
    cr_assert_eq(integer_of(BYTES(0xe0)), -32);
    cr_assert_eq(integer_of(BYTES(0xff)), -1);
    cr_assert_eq(integer_of(BYTES(0xcc, 0xff)), 255);
    cr_assert_eq(integer_of(BYTES(0xcd, 0xff, 0xff)), 65535);
    cr_assert_eq(integer_of(BYTES(0xce, 0xff, 0xff, 0xff, 0xff)), 4294967295);
    cr_assert_eq(integer_of(BYTES(0xd0, 0x80)), -128);
    cr_assert_eq(integer_of(BYTES(0xd1, 0x80, 0x00)), -32768);
    cr_assert_eq(integer_of(BYTES(0xd2, 0x80, 0, 0, 0)), INT32_MIN);
    cr_assert_eq(integer_of(BYTES(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0)), INT64_MIN);
    cr_assert_eq(integer_of(BYTES(0xcf, 0x7f, 255, 255, 255, 255, 255, 255, 255)), INT64_MAX);
}

Test(codec, an_integer_above_int64_is_unsigned)
{
    fkl_document *document = decode(BYTES(0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0));
    const fkl_value *root = fkl_document_root(document);
    uint64_t number = 0;
    int64_t narrow = 0;
    cr_assert_eq(fkl_value_type(root), FKL_TYPE_UINT);
    assert_ok(fkl_value_uint(root, &number));
    cr_assert_eq(number, (uint64_t)INT64_MAX + 1);
    assert_err(fkl_value_int(root, &narrow), FKL_ETYPE);
    fkl_document_destroy(document);
}

Test(codec, uint_reads_what_is_not_negative)
{
    uint64_t number = 7;
    fkl_document *document = decode(BYTES(0x05));
    assert_ok(fkl_value_uint(fkl_document_root(document), &number));
    cr_assert_eq(number, 5);
    fkl_document_destroy(document);
    document = decode(BYTES(0xff));
    assert_err(fkl_value_uint(fkl_document_root(document), &number), FKL_ETYPE);
    cr_assert_eq(number, 5, "a failed read left its mark");
    fkl_document_destroy(document);
}

Test(codec, floats_of_both_widths_are_doubles)
{
    double value = 0;
    fkl_document *document = decode(BYTES(0xca, 0x3f, 0xc0, 0, 0));
    assert_ok(fkl_value_double(fkl_document_root(document), &value));
    cr_assert_eq(value, 1.5);
    fkl_document_destroy(document);
    document = decode(BYTES(0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0));
    cr_assert_eq(fkl_value_type(fkl_document_root(document)), FKL_TYPE_DOUBLE);
    assert_ok(fkl_value_double(fkl_document_root(document), &value));
    cr_assert(isinf(value));
    fkl_document_destroy(document);
}

Test(codec, bytes_point_into_the_payload)
{
    const unsigned char payload[] = {0xa3, 'a', 'b', 'c'};
    fkl_document *document = decode(payload, sizeof payload);
    const void *data = NULL;
    size_t len = 0;
    cr_assert_eq(fkl_value_type(fkl_document_root(document)), FKL_TYPE_STR);
    assert_ok(fkl_value_bytes(fkl_document_root(document), &data, &len));
    cr_assert_eq(data, (const void *)(payload + 1));
    cr_assert_eq(len, 3);
    fkl_document_destroy(document);
}

Test(codec, empty_things_are_empty)
{
    const unsigned char payload[] = {0x94, 0xa0, 0xc4, 0, 0x90, 0x80};
    fkl_document *document = decode(payload, sizeof payload);
    const fkl_value *root = fkl_document_root(document);
    fkl_type types[] = {FKL_TYPE_STR, FKL_TYPE_BIN, FKL_TYPE_ARRAY, FKL_TYPE_MAP};
    cr_assert_eq(fkl_value_count(root), 4);
    for (size_t i = 0; i < 4; i++) {
        const fkl_value *value = fkl_value_at(root, i);
        const void *data = NULL;
        size_t len = 99;
        cr_assert_eq(fkl_value_type(value), types[i]);
        cr_assert_eq(fkl_value_count(value), 0);
        cr_assert_null(fkl_value_at(value, 0));
        cr_assert_null(fkl_value_key_at(value, 0));
        cr_assert_null(fkl_value_value_at(value, 0));
        if (i < 2) {
            assert_ok(fkl_value_bytes(value, &data, &len));
            cr_assert_eq(len, 0);
            cr_assert_not_null(data); // so that it may go into memcmp() and the like
        }
    }
    fkl_document_destroy(document);
}

Test(codec, maps_are_read_by_index_and_by_key)
{
    // {"a": 1, 7: 2, "b": [3], "a": 4}
    const unsigned char payload[] = {0x84, 0xa1, 'a', 1, 7, 2, 0xa1, 'b', 0x91, 3, 0xa1, 'a', 4};
    fkl_document *document = decode(payload, sizeof payload);
    const fkl_value *root = fkl_document_root(document);
    int64_t number = 0;
    cr_assert_eq(fkl_value_count(root), 4);
    assert_ok(fkl_value_int(fkl_value_key_at(root, 1), &number));
    cr_assert_eq(number, 7);
    assert_ok(fkl_value_int(fkl_value_value_at(root, 1), &number));
    cr_assert_eq(number, 2);
    assert_ok(fkl_value_int(fkl_value_at(fkl_value_get(root, "b"), 0), &number));
    cr_assert_eq(number, 3);
    assert_ok(fkl_value_int(fkl_value_get(root, "a"), &number));
    cr_assert_eq(number, 1, "the first of two equal keys counts");
    cr_assert_null(fkl_value_get(root, "c"));
    cr_assert_null(fkl_value_get(root, ""));
    cr_assert_null(fkl_value_get(root, "ab"));
    cr_assert_null(fkl_value_key_at(root, 4));
    cr_assert_null(fkl_value_value_at(root, SIZE_MAX));
    cr_assert_null(fkl_value_at(root, 0), "a map is not an array");
    fkl_document_destroy(document);
}

Test(codec, an_empty_key_is_found)
{
    const unsigned char payload[] = {0x82, 0xa1, 'a', 1, 0xa0, 2};
    fkl_document *document = decode(payload, sizeof payload);
    int64_t number = 0;
    assert_ok(fkl_value_int(fkl_value_get(fkl_document_root(document), ""), &number));
    cr_assert_eq(number, 2);
    fkl_document_destroy(document);
}

Test(codec, extensions_keep_type_and_bytes)
{
    const unsigned char payload[] = {0xc7, 3, 0x80, 'x', 'y', 'z'};
    fkl_document *document = decode(payload, sizeof payload);
    const fkl_value *root = fkl_document_root(document);
    int8_t type = 0;
    const void *data = NULL;
    size_t len = 0;
    cr_assert_eq(fkl_value_type(root), FKL_TYPE_EXT);
    assert_ok(fkl_value_ext(root, &type, &data, &len));
    cr_assert_eq(type, -128);
    cr_assert_eq(len, 3);
    cr_assert_arr_eq(data, "xyz", 3);
    assert_err(fkl_value_bytes(root, &data, &len), FKL_ETYPE);
    fkl_document_destroy(document);
    document = decode(BYTES(0xc7, 0, 5));
    assert_ok(fkl_value_ext(fkl_document_root(document), &type, &data, &len));
    cr_assert_eq(type, 5);
    cr_assert_eq(len, 0);
    fkl_document_destroy(document);
}

Test(codec, a_reader_of_another_type_gives_etype_and_leaves_its_result)
{
    // One value of each type; reader r must succeed on exactly the types it is for.
    const unsigned char payload[] = {0x9a, 0xc0, 0xc3, 0xff, 0xcf, 0xff, 0, 0,  0,    0,
                                     0,    0,    0,    0xca, 0,    0,    0, 0,  0xa1, 's',
                                     0xc4, 1,    'b',  0x90, 0x80, 0xd4, 1, 'e'};
    unsigned char whole[sizeof payload];
    memcpy(whole, payload, sizeof payload);
    fkl_document *document = decode(whole, sizeof whole);
    for (size_t i = 0; i < 10; i++) {
        const fkl_value *value = fkl_value_at(fkl_document_root(document), i);
        fkl_type type = fkl_value_type(value);
        bool flag = false;
        int64_t number = 42;
        uint64_t natural = 42;
        double real = 42;
        const void *data = whole;
        size_t len = 42;
        int8_t ext = 42;
        cr_assert_eq(fkl_value_bool(value, &flag) == FKL_OK, type == FKL_TYPE_BOOL);
        cr_assert_eq(fkl_value_int(value, &number) == FKL_OK, type == FKL_TYPE_INT);
        cr_assert_eq(fkl_value_uint(value, &natural) == FKL_OK, type == FKL_TYPE_UINT);
        cr_assert_eq(fkl_value_double(value, &real) == FKL_OK, type == FKL_TYPE_DOUBLE);
        bool bytes = type == FKL_TYPE_STR || type == FKL_TYPE_BIN;
        cr_assert_eq(fkl_value_bytes(value, &data, &len) == FKL_OK, bytes);
        cr_assert_eq(len == 42, !bytes);
        cr_assert_eq(fkl_value_ext(value, &ext, &data, &len) == FKL_OK, type == FKL_TYPE_EXT);
        cr_assert_eq(number == 42, type != FKL_TYPE_INT);
        cr_assert_eq(natural == 42, type != FKL_TYPE_UINT);
        cr_assert_eq(real == 42, type != FKL_TYPE_DOUBLE);
        cr_assert_eq(ext == 42, type != FKL_TYPE_EXT);
    }
    fkl_document_destroy(document);
}

Test(codec, a_missing_value_can_be_read_without_a_check)
{
    int64_t number = 0;
    const void *data = NULL;
    size_t len = 0;
    assert_err(fkl_value_int(NULL, &number), FKL_ETYPE);
    assert_err(fkl_value_bytes(NULL, &data, &len), FKL_ETYPE);
    cr_assert_eq(fkl_value_count(NULL), 0);
    cr_assert_null(fkl_value_get(NULL, "key"));
    cr_assert_null(fkl_value_at(NULL, 0));
    fkl_document_destroy(NULL);
}

// A table of payloads that are wrong in one way each.
Test(codec, what_is_not_msgpack_is_corrupt)
{
    assert_corrupt("", 0);
    assert_corrupt(BYTES(0xc1));                        // the one byte that msgpack does not use
    assert_corrupt(BYTES(0x91, 0xc1));                  // inside an array
    assert_corrupt(BYTES(0x01, 0x02));                  // one value, and one left over
    assert_corrupt(BYTES(0xc0, 0xc0));                  // likewise
    assert_corrupt(BYTES(0x90, 0x00));                  // likewise after an empty array
    assert_corrupt(BYTES(0xcc));                        // uint 8 without its byte
    assert_corrupt(BYTES(0xcf, 1, 2, 3));               // uint 64 cut short
    assert_corrupt(BYTES(0xcb, 0, 0, 0, 0));            // double cut short
    assert_corrupt(BYTES(0xa5, 'a', 'b'));              // fixstr cut short
    assert_corrupt(BYTES(0xd9));                        // str 8 without a length
    assert_corrupt(BYTES(0xd9, 200, 'a'));              // str 8 cut short
    assert_corrupt(BYTES(0xda, 0xff, 0xff));            // str 16 of nothing
    assert_corrupt(BYTES(0xdb, 255, 255, 255, 255));    // str 32 of 4 GiB
    assert_corrupt(BYTES(0xc6, 255, 255, 255, 255));    // bin 32 of 4 GiB
    assert_corrupt(BYTES(0xd4));                        // fixext without a type
    assert_corrupt(BYTES(0xd4, 1));                     // fixext without its byte
    assert_corrupt(BYTES(0xd8, 1, 2, 3));               // fixext 16 cut short
    assert_corrupt(BYTES(0xc7, 0));                     // ext 8 without a type
    assert_corrupt(BYTES(0xc7, 4, 1, 2));               // ext 8 cut short
    assert_corrupt(BYTES(0xc9, 255, 255, 255, 255));    // ext 32 whose length plus one wraps
    assert_corrupt(BYTES(0xc9, 255, 255, 255, 255, 1)); // likewise with a type
    assert_corrupt(BYTES(0x91, 0xc9, 255, 255, 255, 255, 1, 2)); // likewise in an array
    assert_corrupt(BYTES(0x81, 0x01));                           // a key without a value
    assert_corrupt(BYTES(0x92, 0x01));                           // one element too few
}

Test(codec, a_count_beyond_the_bytes_is_corrupt_before_memory_is_taken)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    static const unsigned char payloads[][6] = {
        {0xdd, 255, 255, 255, 255, 0}, // array 32
        {0xdf, 255, 255, 255, 255, 0}, // map 32
        {0xdf, 128, 0, 0, 0, 0},       // a map whose doubled count wraps to 0 in 32 bits
        {0xdc, 255, 255, 0, 0, 0},     // array 16
        {0xde, 0, 2, 0, 0, 0},         // a map of two pairs, in three bytes
        {0x92, 0xdc, 0, 3, 0, 0},      // an inner array that eats what the outer one needs
    };
    long before = atomic_load(&memory.calls);
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        fkl_document *document = NULL;
        assert_err(fkl_decode(runtime, payloads[i], sizeof payloads[i], &document), FKL_ECORRUPT);
        cr_assert_leq(atomic_load(&memory.calls) - before, (long)i + 1,
                      "the decoder believed a count");
    }
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

// The second payload has two arrays, of which the second does not fit into what the first left.
Test(codec, a_document_takes_two_values_of_memory_a_byte_at_most)
{
    enum { VALUE = 16, SOME = 512 };
    unsigned char small[3 + 17] = {0xdc, 0, 17};
    unsigned char large[1 + 3 + 150 + 3 + 150] = {0x92, 0xdc, 0, 150};
    memcpy(large + 1 + 3 + 150, "\xdc\0\x96", 3);
    const struct {
        const void *data;
        size_t len;
    } payloads[] = {{small, sizeof small}, {large, sizeof large}};
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    for (size_t i = 0; i < sizeof payloads / sizeof payloads[0]; i++) {
        fkl_document *document = NULL;
        long before = atomic_load(&memory.bytes);
        assert_ok(fkl_decode(runtime, payloads[i].data, payloads[i].len, &document));
        cr_assert_leq(atomic_load(&memory.bytes) - before,
                      (long)(2 * VALUE * payloads[i].len + SOME), "payload %zu", i);
        fkl_document_destroy(document);
    }
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(codec, nesting_is_accepted_up_to_the_limit_only)
{
    unsigned char payload[FKL_CODEC_MAX_DEPTH + 2];
    memset(payload, 0x91, sizeof payload);
    payload[FKL_CODEC_MAX_DEPTH] = 0xc0;
    fkl_document *document = decode(payload, FKL_CODEC_MAX_DEPTH + 1);
    const fkl_value *value = fkl_document_root(document);
    size_t depth = 0;
    for (; fkl_value_type(value) == FKL_TYPE_ARRAY; depth++) {
        value = fkl_value_at(value, 0);
    }
    cr_assert_eq(depth, FKL_CODEC_MAX_DEPTH);
    cr_assert_eq(fkl_value_type(value), FKL_TYPE_NIL);
    fkl_document_destroy(document);
    payload[FKL_CODEC_MAX_DEPTH] = 0x91;
    payload[FKL_CODEC_MAX_DEPTH + 1] = 0xc0;
    assert_corrupt(payload, FKL_CODEC_MAX_DEPTH + 2);
}

Test(codec, a_megabyte_of_opened_arrays_is_corrupt, .timeout = 60)
{
    size_t len = 1 << 20;
    unsigned char *payload = malloc(len);
    cr_assert_not_null(payload);
    memset(payload, 0x91, len);
    assert_corrupt(payload, len);
    memset(payload, 0x81, len);
    assert_corrupt(payload, len);
    free(payload);
}

static void pack_sample(fkl_packer *packer)
{
    fkl_pack_map(packer, 4);
    fkl_pack_cstr(packer, "numbers");
    fkl_pack_array(packer, 40);
    for (int64_t i = 0; i < 40; i++) {
        fkl_pack_int(packer, i * i * i * 100003);
    }
    fkl_pack_cstr(packer, "text");
    fkl_pack_str(packer, "a longer text that does not fit a short string header", 53);
    fkl_pack_cstr(packer, "nested");
    fkl_pack_map(packer, 1);
    fkl_pack_nil(packer);
    fkl_pack_array(packer, 0);
    fkl_pack_cstr(packer, "ext");
    fkl_pack_ext(packer, FKL_EXT_PICKLE, "0123456789abcdef", 16);
}

static fkl_msg *sample(void)
{
    fkl_packer *packer = NULL;
    fkl_msg *msg = NULL;
    assert_ok(fkl_packer_create(NULL, &packer));
    pack_sample(packer);
    assert_ok(fkl_packer_finish(packer, &msg));
    fkl_packer_destroy(packer);
    return msg;
}

Test(codec, every_proper_prefix_of_a_payload_is_corrupt)
{
    fkl_msg *msg = sample();
    for (size_t len = 0; len < fkl_msg_len(msg); len++) {
        assert_corrupt(fkl_msg_data(msg), len);
    }
    fkl_document_destroy(decode(fkl_msg_data(msg), fkl_msg_len(msg)));
    fkl_msg_destroy(msg);
}

// Walks a document as a reader would; returns how many values it saw. Recursion is bounded by the
// decoder's limit.
static size_t walk(const fkl_value *value)
{
    size_t seen = 1;
    const void *data = NULL;
    size_t len = 0;
    int8_t ext = 0;
    unsigned sum = 0;
    if (fkl_value_bytes(value, &data, &len) == FKL_OK ||
        fkl_value_ext(value, &ext, &data, &len) == FKL_OK) {
        for (size_t i = 0; i < len; i++) {
            sum += ((const unsigned char *)data)[i]; // ASan sees every byte being read
        }
    }
    bool map = fkl_value_type(value) == FKL_TYPE_MAP;
    for (size_t i = 0; i < fkl_value_count(value); i++) {
        seen += map ? walk(fkl_value_key_at(value, i)) + walk(fkl_value_value_at(value, i))
                    : walk(fkl_value_at(value, i));
    }
    return seen + (sum & 0);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

Test(codec, damaged_payloads_are_refused_or_read_without_harm, .timeout = 120)
{
    fkl_msg *msg = sample();
    size_t len = fkl_msg_len(msg);
    uint64_t state = 20240229;
    size_t refused = 0, read = 0;
    for (int round = 0; round < 20000; round++) {
        unsigned char *copy = malloc(len);
        cr_assert_not_null(copy);
        memcpy(copy, fkl_msg_data(msg), len);
        for (uint64_t flips = 1 + next_random(&state) % 4; flips > 0; flips--) {
            copy[next_random(&state) % len] = (unsigned char)next_random(&state);
        }
        fkl_document *document = NULL;
        fkl_err err = fkl_decode(NULL, copy, len, &document);
        if (err == FKL_OK) {
            cr_assert_leq(walk(fkl_document_root(document)), len);
            fkl_document_destroy(document);
            read++;
        } else {
            cr_assert_eq(err, FKL_ECORRUPT);
            refused++;
        }
        free(copy);
    }
    fkl_msg_destroy(msg);
    cr_assert_gt(refused, 0);
    cr_assert_gt(read, 0);
}

Test(codec, random_bytes_are_refused_or_read_without_harm, .timeout = 120)
{
    uint64_t state = 88172645463325252;
    size_t refused = 0, read = 0;
    for (int round = 0; round < 50000; round++) {
        size_t len = 1 + next_random(&state) % 40;
        unsigned char *bytes = malloc(len);
        cr_assert_not_null(bytes);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (unsigned char)next_random(&state);
        }
        fkl_document *document = NULL;
        fkl_err err = fkl_decode(NULL, bytes, len, &document);
        if (err == FKL_OK) {
            cr_assert_leq(walk(fkl_document_root(document)), len);
            fkl_document_destroy(document);
            read++;
        } else {
            cr_assert_eq(err, FKL_ECORRUPT);
            refused++;
        }
        free(bytes);
    }
    cr_assert_gt(refused, 0);
    cr_assert_gt(read, 0);
}

Test(codec, out_of_memory_at_every_site_is_reported_and_leaks_nothing)
{
    fkl_msg *msg = sample();
    // Thousands of values, so that further chunks are needed.
    size_t len = 5000;
    unsigned char *wide = malloc(len);
    cr_assert_not_null(wide);
    memset(wide, 0, len);
    wide[0] = 0xdc, wide[1] = (len - 3) >> 8, wide[2] = (len - 3) & 0xff;
    for (size_t i = 0; i < 700; i++) {
        wide[3 + i * 7] = 0x96; // six integers each
    }
    wide[1] = 796 >> 8, wide[2] = 796 & 0xff; // 700 arrays, 96 integers, one byte left over
    struct {
        const void *data;
        size_t len;
        fkl_err result;
    } cases[] = {{fkl_msg_data(msg), fkl_msg_len(msg), FKL_OK}, {wide, 4999, FKL_OK}};
    for (size_t i = 0; i < 2; i++) {
        rig_memory memory = {0};
        fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
        fkl_runtime *runtime = NULL;
        assert_ok(fkl_runtime_create(&config, &runtime));
        long failures = 0;
        for (;; failures++) {
            fkl_document *document = NULL;
            long live = atomic_load(&memory.blocks);
            atomic_store(&memory.fail_at, atomic_load(&memory.calls) + failures + 1);
            fkl_err err = fkl_decode(runtime, cases[i].data, cases[i].len, &document);
            atomic_store(&memory.fail_at, 0);
            if (err == FKL_OK) {
                fkl_document_destroy(document);
                break;
            }
            cr_assert_eq(err, FKL_ENOMEM, "%s", fkl_err_name(err));
            cr_assert_eq(atomic_load(&memory.blocks), live, "failure %ld leaked", failures);
        }
        cr_assert_geq(failures, 2, "the document takes more memory than that");
        rig_destroy(runtime);
        rig_assert_balanced(&memory);
    }
    free(wide);
    fkl_msg_destroy(msg);
}
