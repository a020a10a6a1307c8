// SPDX-License-Identifier: Apache-2.0
//
// Channels: order, bounds, deadlines, close, who owns the message after a failure, and every wait
// ended by what should end it.
#include "support/kept.h"

#include <pthread.h>

static fkl_channel *create(size_t capacity)
{
    fkl_channel *channel = NULL;
    assert_ok(fkl_channel_create(NULL, capacity, &channel));
    cr_assert_not_null(channel);
    return channel;
}

static uint64_t take(fkl_channel *channel)
{
    fkl_msg *msg = NULL;
    assert_ok(fkl_channel_try_receive(channel, &msg));
    uint64_t tag = fkl_msg_tag(msg);
    fkl_msg_destroy(msg);
    return tag;
}

static void put(fkl_channel *channel, uint64_t tag)
{
    assert_ok(fkl_channel_try_send(channel, rig_msg(tag)));
}

// What an actor does with a channel, and how it went.
struct user {
    fkl_channel *channel;
    fkl_time deadline;
    uint64_t tag;
    fkl_err err;
    fkl_time returned;
};

static void use_receive(fkl_actor *self, void *arg)
{
    (void)self;
    struct user *user = arg;
    fkl_msg *msg = NULL;
    user->err = fkl_channel_receive_until(user->channel, user->deadline, &msg);
    user->returned = fkl_now();
    if (user->err == FKL_OK) {
        user->tag = fkl_msg_tag(msg);
        fkl_msg_destroy(msg);
    }
}

static void use_send(fkl_actor *self, void *arg)
{
    (void)self;
    struct user *user = arg;
    fkl_msg *msg = NULL;
    user->err = fkl_msg_create(NULL, FKL_CODEC_RAW, 1, &msg);
    if (user->err == FKL_OK) {
        fkl_msg_set_tag(msg, user->tag);
        user->err = fkl_channel_send_until(user->channel, msg, user->deadline);
        user->returned = fkl_now();
        if (user->err != FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
}

static void use_poll(fkl_actor *self, void *arg)
{
    (void)self;
    struct user *user = arg;
    user->err = fkl_channel_poll_until(user->channel, user->deadline);
    user->returned = fkl_now();
}

Test(channel, gives_messages_in_the_order_they_came)
{
    for (size_t capacity = 0; capacity <= 100; capacity += 100) {
        fkl_channel *channel = create(capacity);
        cr_assert_eq(fkl_channel_capacity(channel), capacity);
        for (uint64_t i = 0; i < 100; i++) {
            cr_assert_eq(fkl_channel_len(channel), i);
            put(channel, i);
        }
        for (uint64_t i = 0; i < 100; i++) {
            cr_assert_eq(fkl_channel_len(channel), 100 - i);
            cr_assert_eq(take(channel), i);
        }
        fkl_channel_release(channel);
    }
}

Test(channel, order_holds_when_sends_and_receives_alternate)
{
    fkl_channel *channel = create(7);
    uint64_t in = 0, out = 0;
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 1 + round % 7; i++) {
            put(channel, in++);
        }
        for (int i = 0; i < 1 + round % 7; i++) {
            cr_assert_eq(take(channel), out++);
        }
    }
    fkl_channel_release(channel);
}

Test(channel, a_full_channel_refuses_and_leaves_the_message)
{
    fkl_channel *channel = create(2);
    fkl_msg *msg = rig_msg(3);
    put(channel, 1);
    put(channel, 2);
    assert_err(fkl_channel_try_send(channel, msg), FKL_EFULL);
    assert_err(fkl_channel_send_until(channel, msg, FKL_NO_WAIT), FKL_ETIMEDOUT);
    fkl_time deadline = fkl_after_ms(20);
    assert_err(fkl_channel_send_until(channel, msg, deadline), FKL_ETIMEDOUT);
    cr_assert_geq(fkl_now(), deadline);
    cr_assert_eq(fkl_msg_tag(msg), 3);
    cr_assert_eq(fkl_channel_len(channel), 2);
    cr_assert_eq(take(channel), 1);
    assert_ok(fkl_channel_send_until(channel, msg, FKL_NO_WAIT));
    cr_assert_eq(take(channel), 2);
    cr_assert_eq(take(channel), 3);
    fkl_channel_release(channel);
}

Test(channel, an_empty_channel_has_nothing_to_give)
{
    fkl_channel *channel = create(0);
    fkl_msg *msg = NULL;
    fkl_time deadline = fkl_after_ms(20);
    assert_err(fkl_channel_try_receive(channel, &msg), FKL_EEMPTY);
    assert_err(fkl_channel_receive_until(channel, FKL_NO_WAIT, &msg), FKL_ETIMEDOUT);
    assert_err(fkl_channel_receive_until(channel, deadline, &msg), FKL_ETIMEDOUT);
    cr_assert_geq(fkl_now(), deadline);
    assert_err(fkl_channel_poll_until(channel, FKL_NO_WAIT), FKL_ETIMEDOUT);
    cr_assert_null(msg);
    fkl_channel_release(channel);
}

Test(channel, what_is_there_is_given_even_after_the_deadline)
{
    fkl_channel *channel = create(1);
    fkl_msg *msg = NULL;
    put(channel, 4);
    assert_ok(fkl_channel_poll_until(channel, FKL_NO_WAIT));
    assert_ok(fkl_channel_receive_until(channel, FKL_NO_WAIT, &msg));
    cr_assert_eq(fkl_msg_tag(msg), 4);
    assert_ok(fkl_channel_send_until(channel, msg, FKL_NO_WAIT));
    fkl_channel_release(channel);
}

Test(channel, send_after_close_returns_closed)
{
    fkl_channel *channel = create(0);
    fkl_msg *msg = rig_msg(1);
    cr_assert_not(fkl_channel_is_closed(channel));
    fkl_channel_close(channel);
    fkl_channel_close(channel);
    cr_assert(fkl_channel_is_closed(channel));
    assert_err(fkl_channel_try_send(channel, msg), FKL_ECLOSED);
    assert_err(fkl_channel_send_until(channel, msg, FKL_FOREVER), FKL_ECLOSED);
    fkl_msg_destroy(msg); // ASan: it was still ours
    fkl_channel_release(channel);
}

Test(channel, a_full_channel_that_is_closed_says_closed)
{
    fkl_channel *channel = create(1);
    fkl_msg *msg = rig_msg(1);
    put(channel, 1);
    fkl_channel_close(channel);
    assert_err(fkl_channel_try_send(channel, msg), FKL_ECLOSED);
    assert_err(fkl_channel_send_until(channel, msg, FKL_FOREVER), FKL_ECLOSED);
    fkl_msg_destroy(msg);
    fkl_channel_release(channel);
}

Test(channel, what_was_in_a_closed_channel_can_still_be_received)
{
    for (size_t capacity = 0; capacity <= 3; capacity += 3) {
        fkl_channel *channel = create(capacity);
        fkl_msg *msg = NULL;
        for (uint64_t i = 0; i < 3; i++) {
            put(channel, i);
        }
        fkl_channel_close(channel);
        cr_assert_eq(fkl_channel_len(channel), 3);
        for (uint64_t i = 0; i < 3; i++) {
            assert_ok(fkl_channel_poll_until(channel, FKL_FOREVER));
            assert_ok(fkl_channel_receive_until(channel, FKL_FOREVER, &msg));
            cr_assert_eq(fkl_msg_tag(msg), i);
            fkl_msg_destroy(msg);
        }
        assert_err(fkl_channel_receive_until(channel, FKL_FOREVER, &msg), FKL_ECLOSED);
        assert_err(fkl_channel_try_receive(channel, &msg), FKL_ECLOSED);
        assert_ok(fkl_channel_poll_until(channel, FKL_FOREVER));
        fkl_channel_release(channel);
    }
}

Test(channel, the_last_release_destroys_what_is_in_it)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    fkl_channel *channel = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    long live = blocks_in_use(&memory, runtime);
    assert_ok(fkl_channel_create(runtime, 10, &channel));
    for (int i = 0; i < 5; i++) {
        fkl_msg *msg = NULL;
        assert_ok(fkl_msg_create(runtime, FKL_CODEC_RAW, 10, &msg));
        assert_ok(fkl_channel_try_send(channel, msg));
    }
    fkl_msg *first = NULL;
    assert_ok(fkl_channel_try_receive(channel, &first)); // so that some are in the reader's list
    fkl_msg_destroy(first);
    cr_assert_eq(fkl_channel_retain(channel), channel);
    fkl_channel_release(channel);
    cr_assert_gt(blocks_in_use(&memory, runtime), live);
    fkl_channel_release(channel);
    cr_assert_eq(blocks_in_use(&memory, runtime), live);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(channel, out_of_memory_is_reported_and_leaks_nothing)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    fkl_channel *channel = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    long failures = 0;
    for (;; failures++) {
        long live = atomic_load(&memory.blocks);
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + failures + 1);
        fkl_err err = fkl_channel_create(runtime, 5, &channel);
        atomic_store(&memory.fail_at, 0);
        if (err == FKL_OK) {
            break;
        }
        assert_err(err, FKL_ENOMEM);
        cr_assert_null(channel);
        cr_assert_eq(atomic_load(&memory.blocks), live);
    }
    cr_assert_geq(failures, 1);
    fkl_channel_release(channel);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

// ---- waits

Test(channel, a_send_wakes_a_receive, .timeout = 60)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        fkl_runtime *runtime = rig_create();
        struct user user = {.channel = create(capacity), .deadline = FKL_FOREVER};
        fkl_actor *actor = rig_spawn(runtime, use_receive, &user);
        assert_eventually(rig_waits(actor));
        put(user.channel, 8);
        rig_join(actor);
        assert_ok(user.err);
        cr_assert_eq(user.tag, 8);
        fkl_channel_release(user.channel);
        rig_destroy(runtime);
    }
}

Test(channel, a_receive_wakes_a_send, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct user user = {.channel = create(1), .deadline = FKL_FOREVER, .tag = 6};
    put(user.channel, 5);
    fkl_actor *actor = rig_spawn(runtime, use_send, &user);
    assert_eventually(rig_waits(actor));
    cr_assert_eq(take(user.channel), 5);
    rig_join(actor);
    assert_ok(user.err);
    cr_assert_eq(take(user.channel), 6);
    fkl_channel_release(user.channel);
    rig_destroy(runtime);
}

// Several sleep; each message, and each free place, wakes one of them.
Test(channel, each_of_several_waiters_is_woken, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    enum { COUNT = 5 };
    for (int sending = 0; sending < 2; sending++) {
        fkl_channel *channel = create(1);
        struct user users[COUNT];
        fkl_actor *actors[COUNT];
        if (sending) {
            put(channel, 100);
        }
        for (int i = 0; i < COUNT; i++) {
            users[i] = (struct user){channel, FKL_FOREVER, (uint64_t)i, FKL_OK, 0};
            actors[i] = rig_spawn(runtime, sending ? use_send : use_receive, &users[i]);
        }
        for (int i = 0; i < COUNT; i++) {
            assert_eventually(rig_waits(actors[i]));
        }
        uint64_t sum = 0;
        for (int i = 0; i < COUNT + sending; i++) {
            fkl_msg *msg = NULL;
            if (sending) {
                assert_ok(fkl_channel_receive_until(channel, SOON, &msg));
                sum += fkl_msg_tag(msg);
                fkl_msg_destroy(msg);
            } else {
                assert_ok(fkl_channel_send_until(channel, rig_msg((uint64_t)i), SOON));
            }
        }
        for (int i = 0; i < COUNT; i++) {
            rig_join(actors[i]);
            assert_ok(users[i].err);
            sum += sending ? 0 : users[i].tag;
        }
        cr_assert_eq(sum, (sending ? 100 : 0) + 0 + 1 + 2 + 3 + 4);
        fkl_channel_release(channel);
    }
    rig_destroy(runtime);
}

Test(channel, many_polls_see_one_message_and_none_takes_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_channel *channel = create(0);
    enum { COUNT = 4 };
    struct user users[COUNT];
    fkl_actor *actors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        users[i] = (struct user){.channel = channel, .deadline = FKL_FOREVER};
        actors[i] = rig_spawn(runtime, use_poll, &users[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        assert_eventually(rig_waits(actors[i]));
    }
    put(channel, 1);
    for (int i = 0; i < COUNT; i++) {
        rig_join(actors[i]);
        assert_ok(users[i].err);
    }
    cr_assert_eq(fkl_channel_len(channel), 1);
    fkl_channel_release(channel);
    rig_destroy(runtime);
}

// A poll that sleeps in front of a receive must not swallow its wake-up.
Test(channel, a_poll_does_not_steal_the_wake_of_a_receive, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    for (int order = 0; order < 2; order++) {
        fkl_channel *channel = create(0);
        struct user poller = {.channel = channel, .deadline = FKL_FOREVER};
        struct user receiver = poller;
        fkl_actor *actors[2];
        actors[0] = order ? rig_spawn(runtime, use_receive, &receiver)
                          : rig_spawn(runtime, use_poll, &poller);
        assert_eventually(rig_waits(actors[0]));
        actors[1] = order ? rig_spawn(runtime, use_poll, &poller)
                          : rig_spawn(runtime, use_receive, &receiver);
        assert_eventually(rig_waits(actors[1]));
        put(channel, 1);
        rig_join(actors[order ? 0 : 1]);
        assert_ok(receiver.err);
        fkl_channel_close(channel); // the poll may have come too late for the message
        rig_join(actors[order ? 1 : 0]);
        assert_ok(poller.err);
        fkl_channel_release(channel);
    }
    rig_destroy(runtime);
}

Test(channel, close_wakes_every_kind_of_wait, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_channel *empty = create(0), *full = create(1);
    put(full, 1);
    struct user users[6];
    fkl_actor *actors[6];
    fkl_actor_fn fns[3] = {use_receive, use_send, use_poll};
    for (int i = 0; i < 6; i++) {
        users[i] = (struct user){.channel = i % 3 == 1 ? full : empty, .deadline = FKL_FOREVER};
        actors[i] = rig_spawn(runtime, fns[i % 3], &users[i]);
    }
    for (int i = 0; i < 6; i++) {
        assert_eventually(rig_waits(actors[i]));
    }
    fkl_channel_close(empty);
    fkl_channel_close(full);
    for (int i = 0; i < 6; i++) {
        rig_join(actors[i]);
        assert_err(users[i].err, i % 3 == 2 ? FKL_OK : FKL_ECLOSED);
    }
    cr_assert_eq(fkl_channel_len(full), 1, "a refused message is not in it");
    fkl_channel_release(empty);
    fkl_channel_release(full);
    rig_destroy(runtime);
}

Test(channel, a_stop_an_interrupt_and_a_deadline_end_every_kind_of_wait, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_channel *empty = create(0), *full = create(1);
    put(full, 1);
    fkl_actor_fn fns[3] = {use_receive, use_send, use_poll};
    fkl_err expected[3] = {FKL_ESTOPPED, FKL_EINTR, FKL_ETIMEDOUT};
    for (int how = 0; how < 3; how++) {
        for (int i = 0; i < 3; i++) {
            struct user user = {.channel = i == 1 ? full : empty};
            user.deadline = how == 2 ? fkl_after_ms(20) : FKL_FOREVER;
            fkl_actor *actor = rig_spawn(runtime, fns[i], &user);
            if (how < 2) {
                assert_eventually(rig_waits(actor));
            }
            if (how == 0) {
                fkl_actor_stop(actor);
            } else if (how == 1) {
                fkl_actor_interrupt(actor);
            }
            rig_join(actor);
            assert_err(user.err, expected[how]);
            cr_assert(how < 2 || user.returned >= user.deadline);
        }
    }
    cr_assert_eq(fkl_channel_len(full), 1);
    cr_assert_eq(fkl_channel_len(empty), 0);
    fkl_channel_release(empty);
    fkl_channel_release(full);
    rig_destroy(runtime);
}

// A waiter that gives up must not take a wake-up with it.
Test(channel, a_stopped_receiver_does_not_lose_the_message_for_the_next, .timeout = 120)
{
    fkl_runtime *runtime = rig_create();
    for (int round = 0; round < 200; round++) {
        fkl_channel *channel = create(0);
        struct user users[2];
        fkl_actor *actors[2];
        for (int i = 0; i < 2; i++) {
            users[i] = (struct user){.channel = channel, .deadline = FKL_FOREVER};
            actors[i] = rig_spawn(runtime, use_receive, &users[i]);
            assert_eventually(rig_waits(actors[i]));
        }
        // Each order of stop and wake-up: actors[0] is first in the queue.
        if (round & 1) {
            fkl_actor_stop(actors[0]);
            rig_spin(round * 250); // it leaves its wait about now
        }
        put(channel, 1);
        fkl_actor_stop(actors[0]);
        rig_join(actors[0]);
        if (users[0].err == FKL_ESTOPPED) {
            rig_join(actors[1]);
            assert_ok(users[1].err);
        } else {
            assert_ok(users[0].err);
            fkl_channel_close(channel);
            rig_join(actors[1]);
            assert_err(users[1].err, FKL_ECLOSED);
        }
        fkl_channel_release(channel);
    }
    rig_destroy(runtime);
}

static void *plain_receiver(void *arg)
{
    use_receive(NULL, arg);
    return NULL;
}

Test(channel, threads_outside_of_actors_use_it_too, .timeout = 60)
{
    struct user user = {.channel = create(1), .deadline = FKL_FOREVER};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, plain_receiver, &user), 0);
    rig_pause_ms(5); // it sleeps by now, mostly; it works as well when it does not
    put(user.channel, 77);
    pthread_join(thread, NULL);
    assert_ok(user.err);
    cr_assert_eq(user.tag, 77);
    fkl_channel_release(user.channel);
}
