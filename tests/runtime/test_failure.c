// SPDX-License-Identifier: Apache-2.0
//
// Failures: what an actor says about its failure is what others read in its exit record.
#include "support/rig.h"

static void act_fail(fkl_actor *self, void *arg)
{
    if (fkl_actor_fail(self, arg) != FKL_OK) {
        abort();
    }
}

static bool is_text(fkl_text text, const char *expected)
{
    if (!expected) {
        return text.data == NULL && text.len == 0;
    }
    return text.data && text.len == strlen(expected) && memcmp(text.data, expected, text.len) == 0;
}

static void fail_and_read(fkl_failure failure)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_fail, &failure);
    fkl_exit record;
    fkl_failure_view seen;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_eq(record.reason, FKL_EXIT_ERROR);
    cr_assert_eq(record.code, failure.code);
    assert_ok(fkl_failure_read(record.error, record.error_len, &seen));
    cr_assert(is_text(seen.type, failure.type));
    cr_assert(is_text(seen.message, failure.message));
    cr_assert(is_text(seen.trace, failure.trace));
    cr_assert_eq(seen.payload == NULL, failure.payload == NULL);
    cr_assert_eq(seen.payload_len, failure.payload_len);
    if (failure.payload) {
        cr_assert_arr_eq(seen.payload, failure.payload, failure.payload_len);
    }
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(failure, is_read_as_it_was_given, .timeout = 60)
{
    fail_and_read((fkl_failure){.type = "disk_full",
                                .message = "no room for 3 bytes",
                                .trace = "write\nflush\n",
                                .payload = "\0\1\2",
                                .payload_len = 3,
                                .code = 28});
}

Test(failure, may_have_no_more_than_a_type, .timeout = 60)
{
    fail_and_read((fkl_failure){.type = "bad"});
    fail_and_read((fkl_failure){.type = "", .message = "", .payload = "", .code = -1});
}

static void act_change_mind(fkl_actor *self, void *arg)
{
    (void)arg;
    fkl_failure failure = {.type = "first", .code = 1};
    if (fkl_actor_fail(self, &failure) != FKL_OK ||
        fkl_actor_set_exit(self, 2, NULL, 0) != FKL_OK) {
        abort();
    }
}

Test(failure, is_replaced_by_what_is_said_later, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_exit record = rig_join(rig_spawn(runtime, act_change_mind, NULL));
    cr_assert_eq(record.code, 2);
    cr_assert_eq(record.error_len, 0);
    rig_destroy(runtime);
}

Test(failure, needs_a_type_and_the_bytes_that_it_promises, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
    fkl_failure untyped = {.message = "what?"};
    fkl_failure empty = {.type = "t", .payload_len = 1};
    assert_err(fkl_actor_fail(actor, &untyped), FKL_EINVAL);
    assert_err(fkl_actor_fail(actor, &empty), FKL_EINVAL);
    fkl_actor_stop(actor);
    cr_assert_eq(rig_join(actor).reason, FKL_EXIT_STOPPED, "nothing was set");
    rig_destroy(runtime);
}

Test(failure, says_so_when_there_is_no_memory, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = rig_spawn(runtime, act_serve, NULL);
    fkl_failure failure = {.type = "type", .message = "message"};
    fkl_err err = FKL_ENOMEM;
    int refused = 0;
    for (; err == FKL_ENOMEM && refused < 20; refused++) {
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1 + refused);
        err = fkl_actor_fail(actor, &failure);
    }
    atomic_store(&memory.fail_at, 0);
    assert_ok(err);
    cr_assert_gt(refused, 3, "the packer, its bytes and the copy");
    fkl_actor_stop(actor);
    rig_join(actor);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(failure, of_others_is_read_as_far_as_it_goes)
{
    // {"type": "T", "notes": [], "message": 7, "payload": "text"}: unknown keys, wrong types.
    static const char odd[] = "\x84\xa4type\xa1T\xa5notes\x90\xa7message\x07\xa7payload\xa4text";
    fkl_failure_view seen;
    assert_ok(fkl_failure_read(odd, sizeof odd - 1, &seen));
    cr_assert(is_text(seen.type, "T"));
    cr_assert(is_text(seen.message, NULL));
    cr_assert(is_text(seen.trace, NULL));
    cr_assert_null(seen.payload);
    cr_assert_eq(seen.payload_len, 0);
}

Test(failure, leads_to_its_cause)
{
    // {"type": "T", "cause": ext(FKL_EXT_ERROR, {"type": "C", "cause": "text"})}
    static const char bytes[] = "\x82\xa4type\xa1T\xa5"
                                "cause\xc7\x13\x02\x82\xa4type\xa1"
                                "C\xa5"
                                "cause\xa4text";
    fkl_failure_view seen, cause;
    assert_ok(fkl_failure_read(bytes, sizeof bytes - 1, &seen));
    cr_assert(is_text(seen.type, "T"));
    assert_ok(fkl_failure_read(seen.cause, seen.cause_len, &cause));
    cr_assert(is_text(cause.type, "C"));
    cr_assert_null(cause.cause);
    cr_assert_eq(cause.cause_len, 0);
}

Test(failure, that_is_no_map_is_ecorrupt)
{
    fkl_failure_view seen;
    assert_err(fkl_failure_read(NULL, 0, &seen), FKL_ECORRUPT);
    assert_err(fkl_failure_read("\xa1T", 2, &seen), FKL_ECORRUPT);
    assert_err(fkl_failure_read("\x81\xa4type", 6, &seen), FKL_ECORRUPT);
    assert_err(fkl_failure_read("what happened", 13, &seen), FKL_ECORRUPT);
}
