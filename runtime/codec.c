// SPDX-License-Identifier: Apache-2.0
//
// The decoding half of the msgpack codec; packer.c is the other. It runs msgpack-c's parser
// template with callbacks that fill an arena. Nothing here recurses, and no count is believed that
// the bytes could not hold, so hostile payloads cost at most two values of memory for each of their
// bytes: one that is used, and one left over where the next container did not fit. A document
// never changes, so that any number of threads may read it.
#include <forkless/codec.h>

#include "memory.h"

#include <string.h>

// Read by msgpack's headers: the parser refuses to nest deeper than its stack.
#define MSGPACK_EMBED_STACK_SIZE FKL_CODEC_MAX_DEPTH

#include <msgpack/unpack.h>
#include <msgpack/unpack_define.h>

enum {
    DOCUMENT_FIRST_VALUES = 16,
    CHUNK_MIN_VALUES = 256,
};

struct fkl_value {
    uint8_t type;  // fkl_type
    int8_t ext;    // FKL_TYPE_EXT
    uint32_t size; // bytes, elements of an array, pairs of a map
    union {
        bool boolean;
        int64_t integer;
        uint64_t natural;
        double real;
        const void *bytes;
        fkl_value *items; // a map's keys and values alternate
    } as;
};

typedef struct chunk {
    struct chunk *next;
    size_t bytes;
    fkl_value values[];
} chunk;

struct fkl_document {
    const fkl_allocator *memory;
    fkl_value root;
    chunk *chunks;
    fkl_value first[DOCUMENT_FIRST_VALUES]; // spares most documents a chunk
};

// The parser's state beside its stack.
typedef struct builder {
    fkl_document *document;
    size_t budget;   // how many more values the payload could hold, as each takes a byte or more
    fkl_value *room; // free values
    size_t room_len;
} builder;

enum { BUILD_CORRUPT = -10, BUILD_NOMEM = -11 };

static int take_values(builder *build, size_t count, fkl_value **out)
{
    if (count > build->budget) {
        return BUILD_CORRUPT;
    }
    if (count > build->room_len) {
        size_t total = count > CHUNK_MIN_VALUES ? count : CHUNK_MIN_VALUES;
        if (total > build->budget) {
            total = build->budget;
        }
        if (total > (SIZE_MAX - sizeof(chunk)) / sizeof(fkl_value)) {
            return BUILD_NOMEM;
        }
        size_t bytes = sizeof(chunk) + total * sizeof(fkl_value);
        chunk *added = fkli_alloc(build->document->memory, bytes);
        if (!added) {
            return BUILD_NOMEM;
        }
        added->bytes = bytes;
        added->next = build->document->chunks;
        build->document->chunks = added;
        build->room = added->values;
        build->room_len = total;
    }
    *out = build->room;
    build->room += count;
    build->room_len -= count;
    build->budget -= count;
    return 0;
}

// ---- the parser's callbacks: 0 goes on, a negative number ends the parse

static fkl_value on_root(builder *build)
{
    (void)build;
    return (fkl_value){.type = FKL_TYPE_NIL};
}

static int on_int64(builder *build, int64_t number, fkl_value *out)
{
    (void)build;
    *out = (fkl_value){.type = FKL_TYPE_INT, .as.integer = number};
    return 0;
}

static int on_uint64(builder *build, uint64_t number, fkl_value *out)
{
    if (number <= INT64_MAX) {
        return on_int64(build, (int64_t)number, out);
    }
    *out = (fkl_value){.type = FKL_TYPE_UINT, .as.natural = number};
    return 0;
}

// Narrower integers are converted by the call.
#define on_uint8 on_int64
#define on_uint16 on_int64
#define on_uint32 on_int64
#define on_int8 on_int64
#define on_int16 on_int64
#define on_int32 on_int64
#define on_float on_double

static int on_double(builder *build, double number, fkl_value *out)
{
    (void)build;
    *out = (fkl_value){.type = FKL_TYPE_DOUBLE, .as.real = number};
    return 0;
}

#define CONSTANT(name, ...)                                                                        \
    static int name(builder *build, fkl_value *out)                                                \
    {                                                                                              \
        (void)build;                                                                               \
        *out = (fkl_value){__VA_ARGS__};                                                           \
        return 0;                                                                                  \
    }

CONSTANT(on_nil, .type = FKL_TYPE_NIL)
CONSTANT(on_true, .type = FKL_TYPE_BOOL, .as.boolean = true)
CONSTANT(on_false, .type = FKL_TYPE_BOOL, .as.boolean = false)

// The parser gives NULL for no bytes, which memcmp() must not get.
#define BYTES(name, type_)                                                                         \
    static int name(builder *build, const char *base, const char *bytes, unsigned len,             \
                    fkl_value *out)                                                                \
    {                                                                                              \
        (void)build;                                                                               \
        (void)base;                                                                                \
        *out = (fkl_value){.type = (type_), .size = len, .as.bytes = len ? bytes : ""};            \
        return 0;                                                                                  \
    }

BYTES(on_str, FKL_TYPE_STR)
BYTES(on_bin, FKL_TYPE_BIN)

// `len` counts the type byte as well, and is 0 when an announced length of UINT32_MAX wrapped.
static int on_ext(builder *build, const char *base, const char *bytes, unsigned len, fkl_value *out)
{
    (void)build;
    (void)base;
    if (len == 0) {
        return BUILD_CORRUPT;
    }
    *out = (fkl_value){
        .type = FKL_TYPE_EXT, .ext = (int8_t)bytes[0], .size = len - 1, .as.bytes = bytes + 1};
    return 0;
}

// A container's size grows with its items, up to the count that room was taken for.
static int on_array(builder *build, unsigned count, fkl_value *out)
{
    *out = (fkl_value){.type = FKL_TYPE_ARRAY};
    return take_values(build, count, &out->as.items);
}

static int on_array_item(builder *build, fkl_value *array, fkl_value item)
{
    (void)build;
    array->as.items[array->size++] = item;
    return 0;
}

static int on_map(builder *build, unsigned count, fkl_value *out)
{
    *out = (fkl_value){.type = FKL_TYPE_MAP};
    if (count > build->budget / 2) {
        return BUILD_CORRUPT;
    }
    return take_values(build, (size_t)count * 2, &out->as.items);
}

static int on_map_item(builder *build, fkl_value *map, fkl_value key, fkl_value value)
{
    (void)build;
    map->as.items[map->size * (size_t)2] = key;
    map->as.items[map->size * (size_t)2 + 1] = value;
    map->size++;
    return 0;
}

// The template makes parser_init, parser_execute and parser_data of these.
#define msgpack_unpack_struct(name) struct parser##name
#define msgpack_unpack_func(ret, name) static ret parser##name
#define msgpack_unpack_callback(name) on##name
#define msgpack_unpack_object fkl_value
#define msgpack_unpack_user builder
#include <msgpack/unpack_template.h>

static fkl_err parse(fkl_document *document, const void *data, size_t len)
{
    struct parser_context parser; // about 24 KiB, mostly the stack for FKL_CODEC_MAX_DEPTH
    parser_init(&parser);
    parser.user = (builder){
        .document = document,
        .budget = len - 1,
        .room = document->first,
        .room_len = DOCUMENT_FIRST_VALUES,
    };
    size_t offset = 0;
    int result = parser_execute(&parser, data, len, &offset);
    if (result == BUILD_NOMEM) {
        return FKL_ENOMEM;
    }
    // 0 is a payload cut short; the parser's own errors are bad bytes and too deep a nesting.
    if (result != 1 || offset != len) {
        return FKL_ECORRUPT;
    }
    document->root = parser_data(&parser);
    return FKL_OK;
}

fkl_err fkl_decode(fkl_runtime *runtime, const void *data, size_t len, fkl_document **out)
{
    if (!data || len == 0) {
        return FKL_ECORRUPT;
    }
    const fkl_allocator *memory = fkli_allocator_of(runtime);
    fkl_document *document = fkli_alloc(memory, sizeof *document);
    if (!document) {
        return FKL_ENOMEM;
    }
    document->memory = memory;
    document->chunks = NULL;
    fkl_err err = parse(document, data, len);
    if (err != FKL_OK) {
        fkl_document_destroy(document);
        return err;
    }
    *out = document;
    return FKL_OK;
}

void fkl_document_destroy(fkl_document *document)
{
    if (!document) {
        return;
    }
    for (chunk *next, *each = document->chunks; each; each = next) {
        next = each->next;
        fkli_free(document->memory, each, each->bytes);
    }
    fkli_free(document->memory, document, sizeof *document);
}

const fkl_value *fkl_document_root(const fkl_document *document)
{
    return &document->root;
}

// ---- values: the readers take NULL, so that a lookup can be passed on unchecked

static bool is(const fkl_value *value, fkl_type type)
{
    return value && value->type == type;
}

fkl_type fkl_value_type(const fkl_value *value)
{
    return value ? (fkl_type)value->type : FKL_TYPE_NIL;
}

#define READ(name, type_, ctype, field)                                                            \
    fkl_err name(const fkl_value *value, ctype *out)                                               \
    {                                                                                              \
        if (!is(value, (type_))) {                                                                 \
            return FKL_ETYPE;                                                                      \
        }                                                                                          \
        *out = value->as.field;                                                                    \
        return FKL_OK;                                                                             \
    }

READ(fkl_value_bool, FKL_TYPE_BOOL, bool, boolean)
READ(fkl_value_int, FKL_TYPE_INT, int64_t, integer)
READ(fkl_value_double, FKL_TYPE_DOUBLE, double, real)

fkl_err fkl_value_uint(const fkl_value *value, uint64_t *out)
{
    if (is(value, FKL_TYPE_INT) && value->as.integer >= 0) {
        *out = (uint64_t)value->as.integer;
        return FKL_OK;
    }
    if (!is(value, FKL_TYPE_UINT)) {
        return FKL_ETYPE;
    }
    *out = value->as.natural;
    return FKL_OK;
}

fkl_err fkl_value_bytes(const fkl_value *value, const void **data, size_t *len)
{
    if (!is(value, FKL_TYPE_STR) && !is(value, FKL_TYPE_BIN)) {
        return FKL_ETYPE;
    }
    *data = value->as.bytes;
    *len = value->size;
    return FKL_OK;
}

fkl_err fkl_value_ext(const fkl_value *value, int8_t *type, const void **data, size_t *len)
{
    if (!is(value, FKL_TYPE_EXT)) {
        return FKL_ETYPE;
    }
    *type = value->ext;
    *data = value->as.bytes;
    *len = value->size;
    return FKL_OK;
}

size_t fkl_value_count(const fkl_value *value)
{
    return is(value, FKL_TYPE_ARRAY) || is(value, FKL_TYPE_MAP) ? value->size : 0;
}

const fkl_value *fkl_value_at(const fkl_value *value, size_t index)
{
    return is(value, FKL_TYPE_ARRAY) && index < value->size ? &value->as.items[index] : NULL;
}

const fkl_value *fkl_value_key_at(const fkl_value *value, size_t index)
{
    return is(value, FKL_TYPE_MAP) && index < value->size ? &value->as.items[index * 2] : NULL;
}

const fkl_value *fkl_value_value_at(const fkl_value *value, size_t index)
{
    return is(value, FKL_TYPE_MAP) && index < value->size ? &value->as.items[index * 2 + 1] : NULL;
}

const fkl_value *fkl_value_get(const fkl_value *value, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < fkl_value_count(value); i++) {
        const fkl_value *candidate = fkl_value_key_at(value, i);
        if (is(candidate, FKL_TYPE_STR) && candidate->size == len &&
            memcmp(candidate->as.bytes, key, len) == 0) {
            return fkl_value_value_at(value, i);
        }
    }
    return NULL;
}
