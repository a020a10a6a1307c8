// SPDX-License-Identifier: Apache-2.0
//
// Packs what the input says, step by step, and remembers what that should be: a message that
// decodes to the same values in the same order, or one that the decoder refuses because the input
// did not keep the promises of its arrays and maps, or an error that sticks.
#include "fuzz/fuzz.h"

enum { MAX_STEPS = 1024 };

// The input, eaten from the front; zeros behind its end.
typedef struct source {
    const uint8_t *data;
    size_t len;
} source;

static const uint8_t *eat(source *from, size_t len)
{
    const uint8_t *bytes = from->data;
    from->data += len;
    from->len -= len;
    return bytes;
}

static uint64_t eat_number(source *from, size_t bytes)
{
    uint64_t number = 0;
    size_t some = bytes < from->len ? bytes : from->len;
    memcpy(&number, eat(from, some), some);
    return number;
}

// A value that was packed.
typedef struct step {
    fkl_type type;
    int8_t ext;
    uint64_t number; // bool, int, uint, the bits of a double, or a count
    const uint8_t *bytes;
    size_t len;
} step;

typedef struct session {
    fkl_packer *packer;
    source from;
    step steps[MAX_STEPS];
    size_t count;
    bool failed; // an error sticks
} session;

static void remember(session *s, step done)
{
    if (!s->failed && s->count < MAX_STEPS) {
        s->steps[s->count++] = done;
    }
}

static void pack_bytes(session *s, fkl_type type)
{
    size_t len = (size_t)eat_number(&s->from, 2);
    int8_t ext = type == FKL_TYPE_EXT ? (int8_t)eat_number(&s->from, 1) : 0;
    if (len > s->from.len) {
        len = s->from.len;
    }
    const uint8_t *bytes = eat(&s->from, len);
    switch (type) {
    case FKL_TYPE_STR:
        fkl_pack_str(s->packer, (const char *)bytes, len);
        break;
    case FKL_TYPE_BIN:
        fkl_pack_bin(s->packer, bytes, len);
        break;
    default:
        fkl_pack_ext(s->packer, ext, bytes, len);
        break;
    }
    remember(s, (step){.type = type, .ext = ext, .bytes = bytes, .len = len});
}

static void pack_double(session *s)
{
    uint64_t bits = eat_number(&s->from, 8);
    double real;
    memcpy(&real, &bits, sizeof real);
    fkl_pack_double(s->packer, real);
    remember(s, (step){.type = FKL_TYPE_DOUBLE, .number = bits});
}

static void pack_uint(session *s)
{
    uint64_t number = eat_number(&s->from, 8);
    fkl_pack_uint(s->packer, number);
    fkl_type type = number > INT64_MAX ? FKL_TYPE_UINT : FKL_TYPE_INT;
    remember(s, (step){.type = type, .number = number});
}

// Mostly small counts, sometimes any that msgpack can say, sometimes more than that.
static void pack_container(session *s, bool is_map)
{
    uint64_t count = eat_number(&s->from, 1);
    if (count >= 250) {
        count = eat_number(&s->from, 5);
    }
    if (is_map) {
        fkl_pack_map(s->packer, (size_t)count);
    } else {
        fkl_pack_array(s->packer, (size_t)count);
    }
    remember(s, (step){.type = is_map ? FKL_TYPE_MAP : FKL_TYPE_ARRAY, .number = count});
    s->failed = s->failed || count > UINT32_MAX;
}

static void pack_nothing(session *s)
{
    fkl_pack_bin(s->packer, NULL, 1);
    s->failed = true;
}

// ---- what it should be

typedef struct walk {
    const step *at;
    size_t left;
} walk;

static const step *take_step(walk *steps)
{
    if (steps->left == 0) {
        return NULL;
    }
    steps->left--;
    return steps->at++;
}

// Whether the steps begin with one whole value; which they take.
static bool is_whole(walk *steps, int depth)
{
    const step *first = take_step(steps);
    if (!first) {
        return false;
    }
    if (first->type != FKL_TYPE_ARRAY && first->type != FKL_TYPE_MAP) {
        return true;
    }
    if (depth == FKL_CODEC_MAX_DEPTH) {
        return false;
    }
    // Each element takes a step, so a count that is beyond them fails soon.
    uint64_t elements = first->type == FKL_TYPE_MAP ? first->number * 2 : first->number;
    for (uint64_t i = 0; i < elements; i++) {
        if (!is_whole(steps, depth + 1)) {
            return false;
        }
    }
    return true;
}

static void check_value(const fkl_value *value, walk *steps)
{
    const step *want = take_step(steps);
    bool boolean = false;
    int64_t integer = 0;
    uint64_t natural = 0;
    double real = 0;
    const void *bytes = NULL;
    size_t len = 0;
    int8_t ext = 0;
    REQUIRE(want && fkl_value_type(value) == want->type);
    switch (want->type) {
    case FKL_TYPE_BOOL:
        REQUIRE(fkl_value_bool(value, &boolean) == FKL_OK && boolean == (want->number != 0));
        break;
    case FKL_TYPE_INT:
        REQUIRE(fkl_value_int(value, &integer) == FKL_OK && (uint64_t)integer == want->number);
        break;
    case FKL_TYPE_UINT:
        REQUIRE(fkl_value_uint(value, &natural) == FKL_OK && natural == want->number);
        break;
    case FKL_TYPE_DOUBLE:
        REQUIRE(fkl_value_double(value, &real) == FKL_OK &&
                memcmp(&real, &want->number, sizeof real) == 0);
        break;
    case FKL_TYPE_STR:
    case FKL_TYPE_BIN:
        REQUIRE(fkl_value_bytes(value, &bytes, &len) == FKL_OK);
        REQUIRE(fuzz_same_bytes(bytes, len, want->bytes, want->len));
        break;
    case FKL_TYPE_EXT:
        REQUIRE(fkl_value_ext(value, &ext, &bytes, &len) == FKL_OK && ext == want->ext);
        REQUIRE(fuzz_same_bytes(bytes, len, want->bytes, want->len));
        break;
    default:
        REQUIRE(fkl_value_count(value) == want->number);
        break;
    }
    for (size_t i = 0; i < fkl_value_count(value); i++) {
        if (want->type == FKL_TYPE_ARRAY) {
            check_value(fkl_value_at(value, i), steps);
        } else {
            check_value(fkl_value_key_at(value, i), steps);
            check_value(fkl_value_value_at(value, i), steps);
        }
    }
}

static void check_decoded(const session *s, const void *data, size_t len)
{
    walk steps = {s->steps, s->count};
    bool whole = is_whole(&steps, 0) && steps.left == 0;
    fkl_document *document = NULL;
    fkl_err err = fkl_decode(fuzz_runtime(), data, len, &document);
    REQUIRE(err == (whole ? FKL_OK : FKL_ECORRUPT));
    if (whole) {
        steps = (walk){s->steps, s->count};
        check_value(fkl_document_root(document), &steps);
        REQUIRE(steps.left == 0);
        fkl_document_destroy(document);
    }
}

static void finish(session *s)
{
    fkl_msg *msg = NULL;
    const void *data = NULL;
    size_t len = 0;
    fkl_err err = fkl_packer_bytes(s->packer, &data, &len);
    REQUIRE(err == (s->failed ? FKL_EINVAL : FKL_OK));
    if (!s->failed && s->count > 0) {
        check_decoded(s, data, len);
    }
    err = fkl_packer_finish(s->packer, &msg);
    REQUIRE(err == (s->failed || s->count == 0 ? FKL_EINVAL : FKL_OK));
    if (!err) {
        REQUIRE(fkl_msg_len(msg) == len && fkl_msg_codec(msg) == FKL_CODEC_MSGPACK);
        check_decoded(s, fkl_msg_data(msg), fkl_msg_len(msg));
        fkl_msg_destroy(msg);
    }
    s->count = 0; // the packer is empty again
    s->failed = false;
}

static void take_one_step(session *s)
{
    uint64_t number;
    switch (eat_number(&s->from, 1) % 14) {
    case 0:
        fkl_pack_nil(s->packer);
        remember(s, (step){.type = FKL_TYPE_NIL});
        break;
    case 1:
        number = eat_number(&s->from, 1) & 1;
        fkl_pack_bool(s->packer, number != 0);
        remember(s, (step){.type = FKL_TYPE_BOOL, .number = number});
        break;
    case 2:
        number = eat_number(&s->from, 8);
        fkl_pack_int(s->packer, (int64_t)number);
        remember(s, (step){.type = FKL_TYPE_INT, .number = number});
        break;
    case 3:
        number = (uint64_t)(int64_t)(int8_t)eat_number(&s->from, 1);
        fkl_pack_int(s->packer, (int64_t)number);
        remember(s, (step){.type = FKL_TYPE_INT, .number = number});
        break;
    case 4:
        pack_uint(s);
        break;
    case 5:
        pack_double(s);
        break;
    case 6:
        pack_bytes(s, FKL_TYPE_STR);
        break;
    case 7:
        pack_bytes(s, FKL_TYPE_BIN);
        break;
    case 8:
        pack_bytes(s, FKL_TYPE_EXT);
        break;
    case 9:
        pack_container(s, true);
        break;
    case 10:
        pack_nothing(s);
        break;
    case 11:
        finish(s);
        break;
    default:
        pack_container(s, false);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    session s = {.from = {data, size}};
    fkl_runtime *runtime = fuzz_runtime();
    size_t blocks = fuzz_memory.blocks, bytes = fuzz_memory.bytes;
    REQUIRE(fkl_packer_create(runtime, &s.packer) == FKL_OK);
    while (s.from.len > 0 && s.count < MAX_STEPS) {
        take_one_step(&s);
    }
    finish(&s);
    fkl_packer_destroy(s.packer);
    REQUIRE(fuzz_memory.blocks == blocks && fuzz_memory.bytes == bytes);
    return 0;
}
