// SPDX-License-Identifier: Apache-2.0
//
// Failures: packing one into the error of an exit record and reading it back. Runs in the thread
// that fails, and in those that look at the record.

#include <forkless/codec.h>
#include <forkless/failure.h>

#include <string.h>

static void pack_text(fkl_packer *packer, const char *key, const char *text)
{
    if (!text)
        return;
    fkl_pack_cstr(packer, key);
    fkl_pack_cstr(packer, text);
}

static void pack(fkl_packer *packer, const fkl_failure *failure)
{
    bool has_payload = failure->payload != NULL;
    fkl_pack_map(packer, 1u + (failure->message != NULL) + (failure->trace != NULL) + has_payload);
    pack_text(packer, "type", failure->type);
    pack_text(packer, "message", failure->message);
    pack_text(packer, "trace", failure->trace);
    if (has_payload) {
        fkl_pack_cstr(packer, "payload");
        fkl_pack_bin(packer, failure->payload, failure->payload_len);
    }
}

fkl_err fkl_actor_fail(fkl_actor *self, const fkl_failure *failure)
{
    if (!failure->type || (!failure->payload && failure->payload_len))
        return FKL_EINVAL;
    fkl_packer *packer;
    fkl_err err = fkl_packer_create(fkl_actor_runtime(self), &packer);
    if (err)
        return err;
    pack(packer, failure);
    const void *error;
    size_t len;
    err = fkl_packer_bytes(packer, &error, &len);
    if (!err)
        err = fkl_actor_set_exit(self, failure->code, error, len);
    fkl_packer_destroy(packer);
    return err;
}

// Leaves `text` empty where the value is missing or of another type.
static void read_text(const fkl_value *map, const char *key, fkl_text *text)
{
    const fkl_value *value = fkl_value_get(map, key);
    const void *data;
    size_t len;
    if (fkl_value_type(value) != FKL_TYPE_STR || fkl_value_bytes(value, &data, &len))
        return;
    text->data = data;
    text->len = len;
}

static void read_payload(const fkl_value *map, fkl_failure_view *out)
{
    const fkl_value *value = fkl_value_get(map, "payload");
    const void *data;
    size_t len;
    if (fkl_value_type(value) != FKL_TYPE_BIN || fkl_value_bytes(value, &data, &len))
        return;
    out->payload = data;
    out->payload_len = len;
}

static void read_cause(const fkl_value *map, fkl_failure_view *out)
{
    const fkl_value *value = fkl_value_get(map, "cause");
    int8_t ext;
    const void *data;
    size_t len;
    if (fkl_value_type(value) != FKL_TYPE_EXT || fkl_value_ext(value, &ext, &data, &len) ||
        ext != FKL_EXT_ERROR)
        return;
    out->cause = data;
    out->cause_len = len;
}

fkl_err fkl_failure_read(const void *error, size_t len, fkl_failure_view *out)
{
    fkl_document *document;
    fkl_err err = fkl_decode(NULL, error, len, &document);
    if (err)
        return err;
    const fkl_value *map = fkl_document_root(document);
    memset(out, 0, sizeof *out);
    if (fkl_value_type(map) == FKL_TYPE_MAP) {
        // What is found points into `error`, so it outlives the document.
        read_text(map, "type", &out->type);
        read_text(map, "message", &out->message);
        read_text(map, "trace", &out->trace);
        read_payload(map, out);
        read_cause(map, out);
    } else {
        err = FKL_ECORRUPT;
    }
    fkl_document_destroy(document);
    return err;
}
