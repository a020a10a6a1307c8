// SPDX-License-Identifier: Apache-2.0

#include "support/rig.h"

#include <stdio.h>

static size_t member_count(fkl_runtime *runtime, const char *group)
{
    size_t count = 99;
    fkl_group_members(runtime, group, NULL, 0, &count);
    return count;
}

static size_t group_count(fkl_runtime *runtime)
{
    size_t count = 99;
    fkl_groups(runtime, NULL, 0, &count);
    return count;
}

static void stop_and_join(fkl_actor *actor)
{
    fkl_actor_stop(actor);
    rig_join(actor);
}

// Receives until it is stopped, and notes what it gets.
struct reader {
    atomic_int count;
    uint64_t last_tag;
    fkl_actor_id last_sender;
    const void *last_data;
    size_t last_len;
    rig_gate *before_destroying; // or NULL
    atomic_int mistakes;
};

static void act_read(fkl_actor *self, void *arg)
{
    struct reader *reader = arg;
    fkl_msg *msg = NULL;
    (void)self;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        if (fkl_msg_tag(msg) < reader->last_tag) {
            atomic_fetch_add(&reader->mistakes, 1);
        }
        reader->last_tag = fkl_msg_tag(msg);
        reader->last_sender = fkl_msg_sender(msg);
        reader->last_data = fkl_msg_data(msg);
        reader->last_len = fkl_msg_len(msg);
        if (reader->last_len && memcmp(reader->last_data, "payload", reader->last_len) != 0) {
            atomic_fetch_add(&reader->mistakes, 1);
        }
        if (reader->before_destroying) {
            rig_pass(reader->before_destroying);
        }
        fkl_msg_destroy(msg);
        atomic_fetch_add(&reader->count, 1);
    }
}

static void count_release(void *data, size_t len, void *ctx)
{
    (void)data;
    (void)len;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static fkl_msg *counted_msg(uint64_t tag, atomic_int *released)
{
    static char payload[] = "payload";
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_wrap(NULL, FKL_CODEC_RAW, payload, 7, count_release, released, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
}

static size_t publish(fkl_runtime *runtime, const char *group, uint64_t tag)
{
    size_t count = 99;
    assert_ok(fkl_group_publish(runtime, group, rig_msg(tag), FKL_PUBLISH_ALL, &count));
    return count;
}

Test(groups, members_join_once_and_leave)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actors[3];
    fkl_actor_id ids[3];
    size_t count;
    for (int i = 0; i < 3; i++) {
        actors[i] = rig_spawn(runtime, act_idle, NULL);
        assert_ok(fkl_group_join(actors[i], "all"));
        assert_ok(fkl_group_join(actors[i], "all"));
    }
    assert_ok(fkl_group_join(actors[1], "some"));
    fkl_group_members(runtime, "all", ids, 3, &count);
    cr_assert_eq(count, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(ids[i], fkl_actor_get_id(actors[i]), "in the order of joining");
    }
    cr_assert_eq(member_count(runtime, "some"), 1);
    cr_assert_eq(member_count(runtime, "none"), 0);
    cr_assert_eq(member_count(runtime, NULL), 0);
    cr_assert(fkl_group_leave(actors[1], "all"));
    cr_assert_not(fkl_group_leave(actors[1], "all"));
    cr_assert_not(fkl_group_leave(actors[0], "some"));
    cr_assert_not(fkl_group_leave(actors[0], "none"));
    fkl_group_members(runtime, "all", ids, 1, &count);
    cr_assert_eq(count, 2);
    cr_assert_eq(ids[0], fkl_actor_get_id(actors[0]));
    for (int i = 0; i < 3; i++) {
        stop_and_join(actors[i]);
    }
    rig_destroy(runtime);
}

Test(groups, a_group_without_members_is_freed)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    long blocks = atomic_load(&memory.blocks);
    assert_ok(fkl_group_join(actor, "one"));
    assert_ok(fkl_group_join(actor, "two"));
    cr_assert_eq(group_count(runtime), 2);
    cr_assert(fkl_group_leave(actor, "one"));
    cr_assert_eq(group_count(runtime), 1);
    cr_assert(fkl_group_leave(actor, "two"));
    cr_assert_eq(group_count(runtime), 0);
    cr_assert_eq(atomic_load(&memory.blocks), blocks);
    stop_and_join(actor);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(groups, the_dead_leave_all_groups_and_join_none)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(runtime, act_stubborn, &gate);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "group %d", i);
        assert_ok(fkl_group_join(actor, name));
    }
    cr_assert_eq(group_count(runtime), 100);
    fkl_actor_kill(actor, 1); // its thread still runs
    cr_assert_eq(group_count(runtime), 0);
    assert_err(fkl_group_join(actor, "group 1"), FKL_ENOACTOR);
    cr_assert_eq(group_count(runtime), 0);
    atomic_store(&gate.open, true);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(groups, bad_names_are_refused)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    char longest[FKL_NAME_MAX + 2];
    memset(longest, 'x', sizeof longest);
    longest[FKL_NAME_MAX + 1] = '\0';
    assert_err(fkl_group_join(actor, NULL), FKL_EINVAL);
    assert_err(fkl_group_join(actor, ""), FKL_EINVAL);
    assert_err(fkl_group_join(actor, longest), FKL_EINVAL);
    longest[FKL_NAME_MAX] = '\0';
    assert_ok(fkl_group_join(actor, longest));
    fkl_group_row row;
    size_t count;
    fkl_groups(runtime, &row, 1, &count);
    cr_assert_eq(count, 1);
    cr_assert_eq(row.members, 1);
    cr_assert_str_eq(row.name, longest);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(groups, every_member_gets_what_is_published_and_they_share_one_payload)
{
    enum { COUNT = 50 }; // more than what lies on the stack
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    atomic_int released = 0;
    struct reader readers[COUNT];
    fkl_actor *actors[COUNT];
    size_t count = 0;
    memset(readers, 0, sizeof readers);
    for (int i = 0; i < COUNT; i++) {
        readers[i].before_destroying = &gate;
        actors[i] = rig_spawn(runtime, act_read, &readers[i]);
        assert_ok(fkl_group_join(actors[i], "all"));
    }
    assert_ok(
        fkl_group_publish(runtime, "all", counted_msg(3, &released), FKL_PUBLISH_ALL, &count));
    cr_assert_eq(count, COUNT);
    assert_eventually(atomic_load(&gate.arrived) == COUNT);
    cr_assert_eq(atomic_load(&released), 0);
    atomic_store(&gate.open, true);
    assert_eventually(atomic_load(&released) == 1);
    for (int i = 0; i < COUNT; i++) {
        stop_and_join(actors[i]);
        cr_assert_eq(atomic_load(&readers[i].count), 1);
        cr_assert_eq(readers[i].last_tag, 3);
        cr_assert_eq(readers[i].last_len, 7);
        cr_assert_eq(readers[i].last_data, readers[0].last_data);
        cr_assert_eq(atomic_load(&readers[i].mistakes), 0);
    }
    cr_assert_eq(atomic_load(&released), 1);
    rig_destroy(runtime);
}

Test(groups, publications_of_one_thread_arrive_in_order)
{
    fkl_runtime *runtime = rig_create();
    struct reader readers[3];
    fkl_actor *actors[3];
    memset(readers, 0, sizeof readers);
    for (int i = 0; i < 3; i++) {
        actors[i] = rig_spawn(runtime, act_read, &readers[i]);
        assert_ok(fkl_group_join(actors[i], "all"));
    }
    for (uint64_t i = 1; i <= 200; i++) {
        cr_assert_eq(publish(runtime, "all", i), 3);
    }
    for (int i = 0; i < 3; i++) {
        assert_eventually(atomic_load(&readers[i].count) == 200);
        stop_and_join(actors[i]);
        cr_assert_eq(atomic_load(&readers[i].mistakes), 0);
    }
    rig_destroy(runtime);
}

Test(groups, nobody_gets_what_is_published_to_nobody)
{
    fkl_runtime *runtime = rig_create();
    atomic_int released = 0;
    size_t count = 99;
    assert_ok(
        fkl_group_publish(runtime, "all", counted_msg(1, &released), FKL_PUBLISH_ALL, &count));
    cr_assert_eq(count, 0);
    cr_assert_eq(atomic_load(&released), 1);
    assert_ok(fkl_group_publish(runtime, NULL, counted_msg(1, &released), FKL_PUBLISH_ALL, NULL));
    cr_assert_eq(atomic_load(&released), 2);
    rig_destroy(runtime);
}

// Joins, publishes to all and then to the others, and receives what has come.
struct speaker {
    fkl_err err[3];
    size_t counts[2];
    int received;
    fkl_actor_id sender;
};

static void act_speak(fkl_actor *self, void *arg)
{
    struct speaker *speaker = arg;
    fkl_runtime *runtime = fkl_actor_runtime(self);
    fkl_msg *msg = NULL;
    speaker->err[2] = fkl_group_join(self, "all");
    for (int i = 0; i < 2; i++) {
        fkl_publish_to to = i ? FKL_PUBLISH_OTHERS : FKL_PUBLISH_ALL;
        speaker->err[i] = fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg);
        fkl_msg_set_tag(msg, (uint64_t)i + 1);
        speaker->err[i] = fkl_group_publish(runtime, "all", msg, to, &speaker->counts[i]);
    }
    while (fkl_try_receive(&msg) == FKL_OK) {
        speaker->received++;
        speaker->sender = fkl_msg_sender(msg);
        fkl_msg_destroy(msg);
    }
}

Test(groups, a_member_can_leave_itself_out)
{
    fkl_runtime *runtime = rig_create();
    struct reader reader = {0};
    struct speaker speaker = {0};
    fkl_actor *actor = rig_spawn(runtime, act_read, &reader);
    assert_ok(fkl_group_join(actor, "all"));
    fkl_actor *self = rig_spawn(runtime, act_speak, &speaker);
    fkl_actor_id id = fkl_actor_get_id(self);
    rig_join(self);
    for (int i = 0; i < 3; i++) {
        assert_ok(speaker.err[i]);
    }
    cr_assert_eq(speaker.counts[0], 2);
    cr_assert_eq(speaker.counts[1], 1);
    cr_assert_eq(speaker.received, 1);
    cr_assert_eq(speaker.sender, id);
    assert_eventually(atomic_load(&reader.count) == 2);
    stop_and_join(actor);
    cr_assert_eq(reader.last_sender, id);
    rig_destroy(runtime);
}

Test(groups, a_reference_cannot_be_published)
{
    fkl_runtime *runtime = rig_create();
    int thing = 0;
    size_t count = 7;
    fkl_msg *reference = NULL, *msg = rig_msg(1);
    assert_ok(fkl_msg_wrap_ref(NULL, &thing, NULL, NULL, &reference));
    assert_err(fkl_group_publish(runtime, "all", reference, FKL_PUBLISH_ALL, &count), FKL_EINVAL);
    assert_err(fkl_group_publish(runtime, "all", msg, (fkl_publish_to)7, &count), FKL_EINVAL);
    cr_assert_eq(count, 7);
    fkl_msg_destroy(reference);
    fkl_msg_destroy(msg);
    rig_destroy(runtime);
}

Test(groups, a_full_mailbox_follows_its_policy_and_is_not_waited_for)
{
    fkl_runtime *runtime = rig_create();
    static const fkl_full policies[] = {FKL_FULL_WAIT, FKL_FULL_FAIL, FKL_FULL_DROP_NEWEST,
                                        FKL_FULL_DROP_OLDEST};
    atomic_int released = 0;
    fkl_actor *actors[4];
    size_t count = 99;
    for (int i = 0; i < 4; i++) {
        fkl_spawn_options options = {.mailbox_capacity = 1, .mailbox_full = policies[i]};
        assert_ok(fkl_spawn(runtime, &options, act_idle, NULL, &actors[i]));
        assert_ok(fkl_group_join(actors[i], "all"));
    }
    fkl_msg *first = counted_msg(1, &released), *second = counted_msg(2, &released);
    assert_ok(fkl_group_publish(runtime, "all", first, FKL_PUBLISH_ALL, &count));
    cr_assert_eq(count, 4);
    assert_ok(fkl_group_publish(runtime, "all", second, FKL_PUBLISH_ALL, &count));
    cr_assert_eq(count, 2, "dropping is a way to take it: %zu", count);
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(fkl_actor_mailbox_len(actors[i]), 1);
        stop_and_join(actors[i]);
    }
    cr_assert_eq(atomic_load(&released), 2);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    fkl_counters counters;
    fkl_runtime_counters(runtime, &counters);
    cr_assert_eq(counters.sent, 8);
    cr_assert_eq(counters.dropped, 8);
    rig_destroy(runtime);
}

Test(groups, out_of_memory_publishes_to_all_or_none)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    enum { COUNT = 40 };
    struct reader readers[COUNT];
    fkl_actor *actors[COUNT];
    atomic_int released = 0;
    size_t count = 99;
    memset(readers, 0, sizeof readers);
    assert_ok(fkl_runtime_create(&config, &runtime));
    for (int i = 0; i < COUNT; i++) {
        actors[i] = rig_spawn(runtime, act_read, &readers[i]);
        for (long at = 1;; at++) {
            atomic_store(&memory.fail_at, atomic_load(&memory.calls) + at);
            fkl_err err = fkl_group_join(actors[i], "all");
            atomic_store(&memory.fail_at, 0);
            if (err == FKL_OK) {
                break;
            }
            assert_err(err, FKL_ENOMEM);
            cr_assert_eq(member_count(runtime, "all"), (size_t)i);
        }
    }
    fkl_msg *msg = counted_msg(1, &released);
    long failures = 0;
    for (;; failures++) {
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + failures + 1);
        fkl_err err = fkl_group_publish(runtime, "all", msg, FKL_PUBLISH_ALL, &count);
        atomic_store(&memory.fail_at, 0);
        if (err == FKL_OK) {
            break;
        }
        assert_err(err, FKL_ENOMEM);
        cr_assert_eq(atomic_load(&released), 0, "it is still ours");
    }
    // The list, what is shared, and messages, of which some are made of what was freed by the last
    // try.
    cr_assert_gt(failures, 5, "%ld", failures);
    cr_assert_eq(count, COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_eventually(atomic_load(&readers[i].count) == 1);
        stop_and_join(actors[i]);
    }
    cr_assert_eq(atomic_load(&released), 1);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

// What a request that has been received is good for, besides being answered.
struct misuse {
    fkl_err published, repeated;
};

static void misuse_request(fkl_actor *self, void *arg)
{
    struct misuse *misuse = arg;
    fkl_runtime *runtime = fkl_actor_runtime(self);
    fkl_msg *request;
    fkl_timer_ref ref;
    if (fkl_receive_until(SOON, &request) != FKL_OK)
        return;
    misuse->published = fkl_group_publish(runtime, "all", request, FKL_PUBLISH_ALL, NULL);
    misuse->repeated = fkl_send_every(runtime, fkl_actor_get_id(self), request, 0, 1000000, &ref);
    fkl_msg_destroy(request);
}

Test(groups, a_request_can_be_answered_once_so_it_is_not_published_or_repeated)
{
    fkl_runtime *runtime = rig_create();
    struct misuse misuse = {FKL_OK, FKL_OK};
    fkl_actor *server = rig_spawn(runtime, misuse_request, &misuse);
    fkl_msg *answer = NULL;
    assert_err(fkl_ask_until(runtime, fkl_actor_get_id(server), rig_msg(1), SOON, &answer),
               FKL_ENOREPLY);
    rig_join(server);
    assert_err(misuse.published, FKL_EINVAL);
    assert_err(misuse.repeated, FKL_EINVAL);
    rig_destroy(runtime);
}
