// SPDX-License-Identifier: Apache-2.0
//
// The msgpack codec: a packer that grows a buffer and turns it into a message, and a decoder that
// checks a whole payload before anything is read from it. Extension types carry what msgpack lacks.
#ifndef FORKLESS_CODEC_H
#define FORKLESS_CODEC_H

#include <forkless/base.h>
#include <forkless/error.h>
#include <forkless/message.h>

FKL_BEGIN_DECLS

// Extension types of forkless. Applications may use 64 to 127.
#define FKL_EXT_PICKLE 1 // bytes of a Python pickle
#define FKL_EXT_ERROR 2  // an exception: a packed map with the keys below

// Keys of the FKL_EXT_ERROR map; all but "type" may be missing.
//   "type" str, "message" str, "trace" str (formatted, several lines), "cause" FKL_EXT_ERROR,
//   "notes" array of str, "pickle" bin, "payload" bin (bytes of fkl_failure, see failure.h).

// The deepest nesting that the decoder accepts; deeper payloads are FKL_ECORRUPT.
#define FKL_CODEC_MAX_DEPTH 512

typedef struct fkl_packer fkl_packer;

// `runtime` supplies the memory; NULL means malloc. Errors: FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_packer_create(fkl_runtime *runtime, fkl_packer **out);
FKL_API void fkl_packer_destroy(fkl_packer *packer);

// Each appends one value. An error sticks: after the first failure nothing is appended and
// fkl_packer_finish() reports it, so callers need not check every call.
// The caller writes as many elements after an array(n), and key-value pairs after a map(n), as
// said.
FKL_API void fkl_pack_nil(fkl_packer *packer);
FKL_API void fkl_pack_bool(fkl_packer *packer, bool value);
FKL_API void fkl_pack_int(fkl_packer *packer, int64_t value);
FKL_API void fkl_pack_uint(fkl_packer *packer, uint64_t value);
FKL_API void fkl_pack_double(fkl_packer *packer, double value);
FKL_API void fkl_pack_str(fkl_packer *packer, const char *text, size_t len);
FKL_API void fkl_pack_cstr(fkl_packer *packer, const char *text);
FKL_API void fkl_pack_bin(fkl_packer *packer, const void *data, size_t len);
FKL_API void fkl_pack_array(fkl_packer *packer, size_t count);
FKL_API void fkl_pack_map(fkl_packer *packer, size_t count);
FKL_API void fkl_pack_ext(fkl_packer *packer, int8_t type, const void *data, size_t len);

// Turns what was packed into a message. Either way the packer is empty then and can be used again.
// Errors: FKL_ENOMEM; FKL_EINVAL (a length that msgpack cannot express, or nothing packed).
FKL_API FKL_MUST_CHECK fkl_err fkl_packer_finish(fkl_packer *packer, fkl_msg **out);

// The bytes so far, valid until the next call on the packer.
FKL_API FKL_MUST_CHECK fkl_err fkl_packer_bytes(const fkl_packer *packer, const void **data,
                                                size_t *len);

typedef struct fkl_document fkl_document;
typedef struct fkl_value fkl_value; // points into its document

typedef enum fkl_type {
    FKL_TYPE_NIL,
    FKL_TYPE_BOOL,
    FKL_TYPE_INT,  // fits int64_t
    FKL_TYPE_UINT, // above INT64_MAX
    FKL_TYPE_DOUBLE,
    FKL_TYPE_STR,
    FKL_TYPE_BIN,
    FKL_TYPE_ARRAY,
    FKL_TYPE_MAP,
    FKL_TYPE_EXT
} fkl_type;

// Decodes exactly one msgpack value that fills `len` bytes. Strings, bin and ext point into `data`,
// which must outlive the document.
// Errors: FKL_ECORRUPT (not msgpack, cut short, bytes left over, too deep, or a count larger than
// the bytes could hold), FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_decode(fkl_runtime *runtime, const void *data, size_t len,
                                          fkl_document **out);
FKL_API void fkl_document_destroy(fkl_document *document);
FKL_API const fkl_value *fkl_document_root(const fkl_document *document);

FKL_API fkl_type fkl_value_type(const fkl_value *value);
// Each fails with FKL_ETYPE when the value has another type or is NULL, so the result of a lookup
// can be passed on unchecked. fkl_value_uint() reads every integer that is not negative.
FKL_API FKL_MUST_CHECK fkl_err fkl_value_bool(const fkl_value *value, bool *out);
FKL_API FKL_MUST_CHECK fkl_err fkl_value_int(const fkl_value *value, int64_t *out);
FKL_API FKL_MUST_CHECK fkl_err fkl_value_uint(const fkl_value *value, uint64_t *out);
FKL_API FKL_MUST_CHECK fkl_err fkl_value_double(const fkl_value *value, double *out);
// str and bin: not terminated.
FKL_API FKL_MUST_CHECK fkl_err fkl_value_bytes(const fkl_value *value, const void **data,
                                               size_t *len);
FKL_API FKL_MUST_CHECK fkl_err fkl_value_ext(const fkl_value *value, int8_t *type,
                                             const void **data, size_t *len);
// Elements of an array, pairs of a map, 0 for anything else.
FKL_API size_t fkl_value_count(const fkl_value *value);
// NULL when `index` is out of range or the value is of another type.
FKL_API const fkl_value *fkl_value_at(const fkl_value *value, size_t index);
FKL_API const fkl_value *fkl_value_key_at(const fkl_value *value, size_t index);
FKL_API const fkl_value *fkl_value_value_at(const fkl_value *value, size_t index);
// The value under a string key, or NULL. O(pairs).
FKL_API const fkl_value *fkl_value_get(const fkl_value *value, const char *key);

FKL_END_DECLS

#endif
