// SPDX-License-Identifier: Apache-2.0
//
// Faults while values are packed and decoded.
#include "support/faults.h"

// An error of the packer sticks until it is finished; so packing and finishing are one call here.
static fkl_err pack(fkl_packer *packer, fkl_msg **out)
{
    static const char bytes[600];
    fkl_pack_map(packer, 2);
    fkl_pack_cstr(packer, "numbers");
    fkl_pack_array(packer, 300);
    for (int64_t i = 0; i < 300; i++) {
        fkl_pack_int(packer, i * 1000);
    }
    fkl_pack_cstr(packer, "bytes");
    fkl_pack_bin(packer, bytes, sizeof bytes);
    return fkl_packer_finish(packer, out);
}

static void pack_and_decode(faults *f)
{
    fkl_packer *packer = NULL;
    fkl_msg *msg = NULL;
    fkl_document *document = NULL;
    TRY(f, fkl_packer_create(f->runtime, &packer));
    TRY(f, pack(packer, &msg));
    TRY(f, fkl_decode(f->runtime, fkl_msg_data(msg), fkl_msg_len(msg), &document));
    const fkl_value *numbers = fkl_value_get(fkl_document_root(document), "numbers");
    REQUIRE(f, fkl_value_count(numbers) == 300);
    fkl_document_destroy(document);
    fkl_msg_destroy(msg);
    TRY(f, pack(packer, &msg)); // the packer can be used again
    fkl_pack_nil(packer);       // and destroyed when it is not empty
    fkl_packer_destroy(packer);
    fkl_msg_destroy(msg);
}

// What fails in the packer that is not finished is never told.
FAULTS(codec_faults, values_are_packed_and_decoded, pack_and_decode, .silent_memory = true)
