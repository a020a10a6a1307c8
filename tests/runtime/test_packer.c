// SPDX-License-Identifier: Apache-2.0
//
// The packer: the bytes are the shortest msgpack, errors stick until finish reports them, and a
// packer can be used again afterwards.
#include "support/kept.h"

#define BYTES(...)                                                                                 \
    (const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__})

static fkl_packer *create(void)
{
    fkl_packer *packer = NULL;
    assert_ok(fkl_packer_create(NULL, &packer));
    cr_assert_not_null(packer);
    return packer;
}

static void assert_bytes(fkl_packer *packer, const unsigned char *expected, size_t len)
{
    fkl_msg *msg = NULL;
    assert_ok(fkl_packer_finish(packer, &msg));
    cr_assert_eq(fkl_msg_len(msg), len, "%zu bytes, not %zu", fkl_msg_len(msg), len);
    cr_assert_arr_eq(fkl_msg_data(msg), expected, len);
    fkl_msg_destroy(msg);
}

Test(packer, simple_values_are_one_byte)
{
    fkl_packer *packer = create();
    fkl_pack_nil(packer);
    fkl_pack_bool(packer, false);
    fkl_pack_bool(packer, true);
    fkl_pack_int(packer, 127);
    fkl_pack_int(packer, -32);
    fkl_pack_uint(packer, 0);
    assert_bytes(packer, BYTES(0xc0, 0xc2, 0xc3, 0x7f, 0xe0, 0x00));
    fkl_packer_destroy(packer);
}

Test(packer, integers_take_the_fewest_bytes)
{
    fkl_packer *packer = create();
    fkl_pack_int(packer, 128);
    fkl_pack_int(packer, -33);
    fkl_pack_int(packer, 256);
    fkl_pack_uint(packer, 65536);
    fkl_pack_int(packer, -32769);
    assert_bytes(packer, BYTES(0xcc, 128, 0xd0, 0xdf, 0xcd, 1, 0, 0xce, 0, 1, 0, 0, 0xd2, 0xff,
                               0xff, 0x7f, 0xff));
    fkl_pack_int(packer, INT64_MIN);
    assert_bytes(packer, BYTES(0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0));
    fkl_pack_uint(packer, UINT64_MAX);
    assert_bytes(packer, BYTES(0xcf, 255, 255, 255, 255, 255, 255, 255, 255));
    fkl_packer_destroy(packer);
}

Test(packer, doubles_and_bytes_have_their_headers)
{
    fkl_packer *packer = create();
    fkl_pack_double(packer, 1.5);
    fkl_pack_str(packer, "ab\0c", 4);
    fkl_pack_cstr(packer, "xyz");
    fkl_pack_bin(packer, "\xff", 1);
    fkl_pack_str(packer, NULL, 0);
    fkl_pack_bin(packer, NULL, 0);
    assert_bytes(packer, BYTES(0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0, 0xa4, 'a', 'b', 0, 'c', 0xa3,
                               'x', 'y', 'z', 0xc4, 1, 0xff, 0xa0, 0xc4, 0));
    fkl_packer_destroy(packer);
}

Test(packer, extensions_of_every_fixed_length_and_between)
{
    fkl_packer *packer = create();
    fkl_pack_ext(packer, 1, "a", 1);
    fkl_pack_ext(packer, -1, "ab", 2);
    fkl_pack_ext(packer, 127, "abc", 3);
    fkl_pack_ext(packer, FKL_EXT_ERROR, NULL, 0);
    assert_bytes(
        packer, BYTES(0xd4, 1, 'a', 0xd5, 0xff, 'a', 'b', 0xc7, 3, 127, 'a', 'b', 'c', 0xc7, 0, 2));
    fkl_packer_destroy(packer);
}

// Around each length at which a header grows, what is packed is decoded again.
Test(packer, lengths_around_every_header_size_come_back)
{
    static const size_t lens[] = {0, 1, 15, 16, 17, 31, 32, 255, 256, 257, 65535, 65536, 65537};
    char *text = calloc(1, 65537);
    cr_assert_not_null(text);
    fkl_packer *packer = create();
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        fkl_pack_array(packer, 5);
        fkl_pack_str(packer, text, lens[i]);
        fkl_pack_bin(packer, text, lens[i]);
        fkl_pack_ext(packer, 64, text, lens[i]);
        fkl_pack_array(packer, lens[i]);
        for (size_t j = 0; j < lens[i]; j++) {
            fkl_pack_nil(packer);
        }
        fkl_pack_map(packer, lens[i]);
        for (size_t j = 0; j < 2 * lens[i]; j++) {
            fkl_pack_uint(packer, j);
        }
        fkl_msg *msg = NULL;
        fkl_document *document = NULL;
        assert_ok(fkl_packer_finish(packer, &msg));
        cr_assert_eq(fkl_msg_codec(msg), FKL_CODEC_MSGPACK);
        assert_ok(fkl_decode(NULL, fkl_msg_data(msg), fkl_msg_len(msg), &document));
        const fkl_value *root = fkl_document_root(document);
        const void *data = NULL;
        size_t len = 0;
        int8_t type = 0;
        for (size_t j = 0; j < 2; j++) {
            assert_ok(fkl_value_bytes(fkl_value_at(root, j), &data, &len));
            cr_assert_eq(len, lens[i]);
        }
        assert_ok(fkl_value_ext(fkl_value_at(root, 2), &type, &data, &len));
        cr_assert_eq(len, lens[i]);
        cr_assert_eq(type, 64);
        cr_assert_eq(fkl_value_count(fkl_value_at(root, 3)), lens[i]);
        cr_assert_eq(fkl_value_count(fkl_value_at(root, 4)), lens[i]);
        for (size_t j = 0; j < lens[i]; j++) {
            uint64_t key = 0, value = 0;
            assert_ok(fkl_value_uint(fkl_value_key_at(fkl_value_at(root, 4), j), &key));
            assert_ok(fkl_value_uint(fkl_value_value_at(fkl_value_at(root, 4), j), &value));
            cr_assert_eq(key, 2 * j);
            cr_assert_eq(value, 2 * j + 1);
        }
        fkl_document_destroy(document);
        fkl_msg_destroy(msg);
    }
    fkl_packer_destroy(packer);
    free(text);
}

Test(packer, finishing_nothing_is_einval)
{
    fkl_packer *packer = create();
    fkl_msg *msg = NULL;
    assert_err(fkl_packer_finish(packer, &msg), FKL_EINVAL);
    cr_assert_null(msg);
    fkl_pack_nil(packer);
    assert_ok(fkl_packer_finish(packer, &msg));
    fkl_msg_destroy(msg);
    msg = NULL;
    assert_err(fkl_packer_finish(packer, &msg), FKL_EINVAL);
    cr_assert_null(msg);
    fkl_packer_destroy(packer);
}

Test(packer, a_length_that_msgpack_cannot_express_sticks_until_finish)
{
    if (SIZE_MAX <= UINT32_MAX) {
        cr_skip_test("no such length exists here");
    }
    size_t too_long = (size_t)UINT32_MAX + 1;
    fkl_packer *packer = create();
    for (int i = 0; i < 5; i++) {
        const void *data = NULL;
        size_t len = 0;
        fkl_msg *msg = NULL;
        fkl_pack_nil(packer);
        switch (i) {
        case 0:
            fkl_pack_str(packer, "", too_long);
            break;
        case 1:
            fkl_pack_bin(packer, "", too_long);
            break;
        case 2:
            fkl_pack_ext(packer, 1, "", too_long);
            break;
        case 3:
            fkl_pack_array(packer, too_long);
            break;
        default:
            fkl_pack_map(packer, too_long);
            break;
        }
        fkl_pack_int(packer, 1); // ignored
        assert_err(fkl_packer_bytes(packer, &data, &len), FKL_EINVAL);
        cr_assert_null(data);
        assert_err(fkl_packer_finish(packer, &msg), FKL_EINVAL);
        cr_assert_null(msg);
        // The packer is empty now, and works again.
        fkl_pack_int(packer, 5);
        assert_bytes(packer, BYTES(5));
    }
    fkl_packer_destroy(packer);
}

Test(packer, missing_bytes_are_einval)
{
    fkl_packer *packer = create();
    fkl_msg *msg = NULL;
    fkl_pack_cstr(packer, NULL);
    assert_err(fkl_packer_finish(packer, &msg), FKL_EINVAL);
    fkl_pack_bin(packer, NULL, 3);
    assert_err(fkl_packer_finish(packer, &msg), FKL_EINVAL);
    fkl_packer_destroy(packer);
    fkl_packer_destroy(NULL);
}

Test(packer, the_bytes_so_far_can_be_looked_at)
{
    fkl_packer *packer = create();
    const void *data = NULL;
    size_t len = 99;
    assert_ok(fkl_packer_bytes(packer, &data, &len));
    cr_assert_eq(len, 0);
    fkl_pack_array(packer, 1);
    fkl_pack_bool(packer, true);
    assert_ok(fkl_packer_bytes(packer, &data, &len));
    cr_assert_eq(len, 2);
    cr_assert_arr_eq(data, "\x91\xc3", 2);
    assert_bytes(packer, BYTES(0x91, 0xc3));
    fkl_packer_destroy(packer);
}

Test(packer, the_message_outlives_the_packer)
{
    fkl_packer *packer = create();
    fkl_msg *msg = NULL;
    for (int i = 0; i < 3000; i++) {
        fkl_pack_cstr(packer, "growing");
    }
    assert_ok(fkl_packer_finish(packer, &msg));
    fkl_packer_destroy(packer);
    cr_assert_eq(fkl_msg_len(msg), 24000);
    for (size_t i = 0; i < 3000; i++) {
        cr_assert_arr_eq((char *)fkl_msg_data(msg) + 8 * i, "\xa7growing", 8);
    }
    fkl_msg_destroy(msg);
}

Test(packer, out_of_memory_at_every_site_is_reported_and_leaks_nothing)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    long live = blocks_in_use(&memory, runtime);
    long failures = 0;
    for (bool done = false; !done; failures++) {
        fkl_packer *packer = NULL;
        fkl_msg *msg = NULL;
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + failures + 1);
        fkl_err err = fkl_packer_create(runtime, &packer);
        if (err == FKL_OK) {
            for (int i = 0; i < 100; i++) {
                fkl_pack_cstr(packer, "a text to make it grow a few times");
            }
            err = fkl_packer_finish(packer, &msg);
            cr_assert_eq(err == FKL_OK, msg != NULL);
            fkl_msg_destroy(msg);
            fkl_packer_destroy(packer);
        } else {
            cr_assert_null(packer);
        }
        atomic_store(&memory.fail_at, 0);
        cr_assert(err == FKL_OK || err == FKL_ENOMEM, "%s", fkl_err_name(err));
        cr_assert_eq(blocks_in_use(&memory, runtime), live, "failure %ld leaked", failures);
        done = err == FKL_OK;
    }
    cr_assert_geq(failures, 5);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}
