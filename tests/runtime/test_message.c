// SPDX-License-Identifier: Apache-2.0
//
// Messages: what they carry, and that each payload, buffer and reference is released exactly once,
// by its last owner.
#include "support/kept.h"

struct released {
    int count;
    const void *what;
    size_t len;
};

static void on_buffer(void *data, size_t len, void *ctx)
{
    struct released *released = ctx;
    released->count++;
    released->what = data;
    released->len = len;
}

static void on_ref(void *ref, void *ctx)
{
    struct released *released = ctx;
    released->count++;
    released->what = ref;
}

Test(message, a_new_message_has_room_and_nothing_else)
{
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_create(NULL, FKL_CODEC_MSGPACK, 100, &msg));
    cr_assert_eq(fkl_msg_len(msg), 100);
    cr_assert_eq(fkl_msg_codec(msg), FKL_CODEC_MSGPACK);
    cr_assert_eq(fkl_msg_get_kind(msg), FKL_MSG_USER);
    cr_assert_eq(fkl_msg_sender(msg), FKL_NOBODY);
    cr_assert_eq(fkl_msg_tag(msg), 0);
    memset(fkl_msg_data(msg), 1, 100);
    fkl_msg_destroy(msg);
}

Test(message, an_empty_message_is_a_message)
{
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg));
    cr_assert_eq(fkl_msg_len(msg), 0);
    fkl_msg_destroy(msg);
    assert_ok(fkl_msg_create_copy(NULL, FKL_CODEC_RAW, NULL, 0, &msg));
    cr_assert_eq(fkl_msg_len(msg), 0);
    fkl_msg_destroy(msg);
}

Test(message, a_copy_is_a_copy)
{
    char text[] = "before";
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_create_copy(NULL, FKL_CODEC_RAW, text, sizeof text, &msg));
    memcpy(text, "after!", sizeof text);
    cr_assert_str_eq((char *)fkl_msg_data(msg), "before");
    cr_assert_eq(fkl_msg_len(msg), sizeof text);
    fkl_msg_destroy(msg);
}

Test(message, a_payload_is_aligned_for_any_type_that_fits)
{
    for (size_t len = 1; len < 40; len++) {
        fkl_msg *msg = NULL;
        assert_ok(fkl_msg_create(NULL, FKL_CODEC_RAW, len, &msg));
        size_t needed = len < _Alignof(max_align_t) ? sizeof(uint64_t) : _Alignof(max_align_t);
        cr_assert_eq((uintptr_t)fkl_msg_data(msg) % needed, 0);
        fkl_msg_destroy(msg);
    }
}

Test(message, a_codec_without_bytes_or_unknown_is_einval)
{
    fkl_msg *msg = NULL;
    struct released released = {0};
    char buffer[4];
    int codecs[] = {FKL_CODEC_REF, 3, -1, 1000};
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++) {
        fkl_codec codec = (fkl_codec)codecs[i];
        assert_err(fkl_msg_create(NULL, codec, 4, &msg), FKL_EINVAL);
        assert_err(fkl_msg_create_copy(NULL, codec, buffer, 4, &msg), FKL_EINVAL);
        assert_err(fkl_msg_wrap(NULL, codec, buffer, 4, on_buffer, &released, &msg), FKL_EINVAL);
    }
    cr_assert_null(msg);
    cr_assert_eq(released.count, 0, "on error the buffer stays with the caller");
}

Test(message, missing_bytes_are_einval)
{
    fkl_msg *msg = NULL;
    struct released released = {0};
    assert_err(fkl_msg_create_copy(NULL, FKL_CODEC_RAW, NULL, 1, &msg), FKL_EINVAL);
    assert_err(fkl_msg_wrap(NULL, FKL_CODEC_RAW, NULL, 1, on_buffer, &released, &msg), FKL_EINVAL);
    cr_assert_null(msg);
    cr_assert_eq(released.count, 0);
}

Test(message, a_size_beyond_all_memory_is_enomem)
{
    fkl_msg *msg = NULL;
    volatile size_t huge = SIZE_MAX; // so that no compiler warns of it
    assert_err(fkl_msg_create(NULL, FKL_CODEC_RAW, huge, &msg), FKL_ENOMEM);
    assert_err(fkl_msg_create(NULL, FKL_CODEC_RAW, huge - 8, &msg), FKL_ENOMEM);
    cr_assert_null(msg);
}

Test(message, a_wrapped_buffer_is_released_once_by_the_destroy)
{
    struct released released = {0};
    char buffer[] = "mine";
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_wrap(NULL, FKL_CODEC_RAW, buffer, sizeof buffer, on_buffer, &released, &msg));
    cr_assert_eq(fkl_msg_data(msg), (void *)buffer, "wrapped, not copied");
    cr_assert_eq(fkl_msg_len(msg), sizeof buffer);
    cr_assert_eq(released.count, 0);
    fkl_msg_destroy(msg);
    cr_assert_eq(released.count, 1);
    cr_assert_eq(released.what, (void *)buffer);
    cr_assert_eq(released.len, sizeof buffer);
}

Test(message, a_reference_is_released_by_the_destroy_unless_taken)
{
    struct released released = {0};
    int object = 0;
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_wrap_ref(NULL, &object, on_ref, &released, &msg));
    cr_assert_eq(fkl_msg_codec(msg), FKL_CODEC_REF);
    cr_assert_eq(fkl_msg_len(msg), 0);
    fkl_msg_destroy(msg);
    cr_assert_eq(released.count, 1);
    cr_assert_eq(released.what, (void *)&object);

    void *ref = NULL;
    assert_ok(fkl_msg_wrap_ref(NULL, &object, on_ref, &released, &msg));
    assert_ok(fkl_msg_take_ref(msg, &released, &ref));
    cr_assert_eq(ref, (void *)&object);
    fkl_msg_destroy(msg);
    cr_assert_eq(released.count, 1, "what was taken is the taker's");
}

Test(message, a_reference_of_another_context_cannot_be_taken)
{
    struct released released = {0};
    int object = 0, other = 0;
    void *ref = NULL;
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_wrap_ref(NULL, &object, on_ref, &released, &msg));
    assert_err(fkl_msg_take_ref(msg, &other, &ref), FKL_ETYPE);
    cr_assert_null(ref);
    cr_assert_eq(released.count, 0);
    fkl_msg_destroy(msg);
    cr_assert_eq(released.count, 1);

    msg = rig_msg(1);
    assert_err(fkl_msg_take_ref(msg, NULL, &ref), FKL_ETYPE);
    cr_assert_null(ref);
    fkl_msg_destroy(msg);
}

Test(message, a_tag_is_kept)
{
    fkl_msg *msg = rig_msg(0);
    fkl_msg_set_tag(msg, UINT64_MAX);
    cr_assert_eq(fkl_msg_tag(msg), UINT64_MAX);
    fkl_msg_destroy(msg);
}

Test(message, destroying_nothing_is_allowed)
{
    rig_memory memory = {0};
    fkl_msg_destroy(NULL);
    cr_assert_eq(atomic_load(&memory.blocks), 0);
}

Test(message, only_down_messages_are_read_as_such)
{
    fkl_msg *msg = rig_msg(1);
    fkl_monitor_ref ref = 0;
    fkl_exit record;
    bool known = false;
    assert_err(fkl_msg_down(msg, &ref, &record, &known), FKL_ETYPE);
    fkl_msg_destroy(msg);
}

Test(message, out_of_memory_is_reported_and_leaves_the_buffer)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    struct released released = {0};
    char buffer[4] = "abc";
    fkl_msg *msg = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    atomic_store(&memory.fail_at, 1);
    atomic_store(&memory.fail_on, true);
    assert_err(fkl_msg_create(runtime, FKL_CODEC_RAW, 10, &msg), FKL_ENOMEM);
    assert_err(fkl_msg_create_copy(runtime, FKL_CODEC_RAW, buffer, 4, &msg), FKL_ENOMEM);
    assert_err(fkl_msg_wrap(runtime, FKL_CODEC_RAW, buffer, 4, on_buffer, &released, &msg),
               FKL_ENOMEM);
    assert_err(fkl_msg_wrap_ref(runtime, buffer, on_ref, &released, &msg), FKL_ENOMEM);
    atomic_store(&memory.fail_at, 0);
    cr_assert_null(msg);
    cr_assert_eq(released.count, 0);
    assert_ok(fkl_runtime_destroy(runtime));
    rig_assert_balanced(&memory);
}

Test(message, memory_of_the_runtime_is_given_back_to_it)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    fkl_msg *msgs[3] = {NULL};
    struct released released = {0};
    assert_ok(fkl_runtime_create(&config, &runtime));
    long live = blocks_in_use(&memory, runtime);
    assert_ok(fkl_msg_create(runtime, FKL_CODEC_RAW, 10, &msgs[0]));
    assert_ok(fkl_msg_create_copy(runtime, FKL_CODEC_MSGPACK, "\xc0", 1, &msgs[1]));
    assert_ok(fkl_msg_wrap_ref(runtime, &live, on_ref, &released, &msgs[2]));
    cr_assert_geq(blocks_in_use(&memory, runtime), live + 3);
    for (int i = 0; i < 3; i++) {
        fkl_msg_destroy(msgs[i]);
    }
    cr_assert_eq(blocks_in_use(&memory, runtime), live);
    assert_ok(fkl_runtime_destroy(runtime));
    rig_assert_balanced(&memory);
}
