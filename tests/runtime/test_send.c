// SPDX-License-Identifier: Apache-2.0
//
// Sending to actors: order, who owns a message that was refused, and that every message is counted
// once. Sending to bounded mailboxes is in test_send_bounded.c.
#include "support/rig.h"

#include <pthread.h>

struct inbox {
    atomic_int count;
    uint64_t tags[400];
    fkl_actor_id senders[400];
    int expected;
    fkl_err last;
};

static void collect(fkl_actor *self, void *arg)
{
    (void)self;
    struct inbox *inbox = arg;
    while (atomic_load(&inbox->count) < inbox->expected) {
        fkl_msg *msg = NULL;
        inbox->last = fkl_receive_until(SOON, &msg);
        if (inbox->last != FKL_OK) {
            return;
        }
        int at = atomic_load(&inbox->count);
        inbox->tags[at] = fkl_msg_tag(msg);
        inbox->senders[at] = fkl_msg_sender(msg);
        fkl_msg_destroy(msg);
        atomic_store(&inbox->count, at + 1);
    }
}

Test(send, messages_of_one_sender_arrive_in_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {.expected = 400};
    fkl_actor *actor = rig_spawn(runtime, collect, &inbox);
    for (uint64_t i = 0; i < 200; i++) {
        rig_send(actor, i);
    }
    fkl_actor_id id = fkl_actor_get_id(actor);
    for (uint64_t i = 200; i < 400; i++) {
        assert_ok(fkl_send(runtime, id, rig_msg(i)));
    }
    rig_join(actor);
    for (uint64_t i = 0; i < 400; i++) {
        cr_assert_eq(inbox.tags[i], i);
        cr_assert_eq(inbox.senders[i], FKL_NOBODY);
    }
    rig_destroy(runtime);
}

struct sender {
    fkl_actor *to;
    uint64_t base;
    int failures;
};

static void send_hundred(fkl_actor *self, void *arg)
{
    (void)self;
    struct sender *sender = arg;
    for (uint64_t i = 0; i < 100; i++) {
        fkl_msg *msg = NULL;
        if (fkl_msg_create(fkl_actor_runtime(self), FKL_CODEC_RAW, 1, &msg) != FKL_OK) {
            sender->failures++;
            continue;
        }
        fkl_msg_set_tag(msg, sender->base + i);
        if (fkl_actor_send(sender->to, msg) != FKL_OK) {
            sender->failures++;
            fkl_msg_destroy(msg);
        }
    }
}

Test(send, order_holds_for_each_of_many_senders_and_names_them, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {.expected = 400};
    fkl_actor *receiver = rig_spawn(runtime, collect, &inbox);
    struct sender senders[4];
    fkl_actor *actors[4];
    fkl_actor_id ids[4];
    for (uint64_t i = 0; i < 4; i++) {
        senders[i] = (struct sender){receiver, i * 1000, 0};
        actors[i] = rig_spawn(runtime, send_hundred, &senders[i]);
        ids[i] = fkl_actor_get_id(actors[i]);
    }
    for (int i = 0; i < 4; i++) {
        rig_join(actors[i]);
        cr_assert_eq(senders[i].failures, 0);
    }
    rig_join(receiver);
    cr_assert_eq(atomic_load(&inbox.count), 400);
    uint64_t next[4] = {0, 1000, 2000, 3000};
    for (int i = 0; i < 400; i++) {
        uint64_t from = inbox.tags[i] / 1000;
        cr_assert_eq(inbox.tags[i], next[from]++);
        cr_assert_eq(inbox.senders[i], ids[from]);
    }
    rig_destroy(runtime);
}

Test(send, a_send_to_the_dead_leaves_the_message_and_counts_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_return, NULL);
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    fkl_msg *msg = rig_msg(9);
    assert_err(fkl_actor_send(actor, msg), FKL_ENOACTOR);
    assert_err(fkl_send(runtime, fkl_actor_get_id(actor), msg), FKL_ENOACTOR);
    cr_assert_eq(fkl_msg_tag(msg), 9);
    fkl_msg_destroy(msg); // ASan: it was still ours
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.sent, 2);
    cr_assert_eq(count.dead_lettered, 2);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(send, what_waits_when_the_actor_ends_is_dropped_and_counted, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(runtime, act_stubborn, &gate);
    for (int i = 0; i < 7; i++) {
        rig_send(actor, 1);
    }
    cr_assert_eq(fkl_actor_mailbox_len(actor), 7);
    atomic_store(&gate.open, true);
    rig_join(actor);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.sent, 7);
    cr_assert_eq(count.dropped, 7);
    cr_assert_eq(count.handled, 0);
    rig_destroy(runtime);
}

static void *send_as_helper(void *arg)
{
    struct sender *sender = arg;
    fkl_actor *previous = NULL;
    fkl_msg *msg = NULL;
    // `to` is the receiver; the helper works for itself sending to it.
    if (fkl_actor_enter(sender->to, &previous) != FKL_OK) {
        sender->failures++;
        return NULL;
    }
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) != FKL_OK ||
        fkl_actor_send(sender->to, msg) != FKL_OK) {
        sender->failures++;
    }
    fkl_actor_leave(previous);
    return NULL;
}

Test(send, what_a_helper_sends_comes_from_its_actor, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {.expected = 1};
    struct sender sender = {.to = rig_spawn(runtime, collect, &inbox)};
    fkl_actor_id id = fkl_actor_get_id(sender.to);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, send_as_helper, &sender), 0);
    pthread_join(thread, NULL);
    rig_join(sender.to);
    cr_assert_eq(sender.failures, 0);
    cr_assert_eq(inbox.senders[0], id);
    rig_destroy(runtime);
}
