// SPDX-License-Identifier: Apache-2.0
//
// Faults while messages are made, sent to actors and received.
#include "support/faults.h"

static void release_buffer(void *data, size_t len, void *ctx)
{
    (void)data;
    (void)len;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void release_ref(void *ref, void *ctx)
{
    (void)ref;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

static void make_messages(faults *f)
{
    static char buffer[16];
    atomic_int released = 0;
    fkl_msg *msg = NULL;
    void *ref = NULL;
    TRY(f, fkl_msg_create(f->runtime, FKL_CODEC_RAW, 100, &msg));
    fkl_msg_destroy(msg);
    TRY(f, fkl_msg_create_copy(f->runtime, FKL_CODEC_MSGPACK, "\xc0", 1, &msg));
    fkl_msg_destroy(msg);
    TRY(f, fkl_msg_wrap(f->runtime, FKL_CODEC_RAW, buffer, sizeof buffer, release_buffer, &released,
                        &msg));
    fkl_msg_destroy(msg);
    TRY(f, fkl_msg_wrap_ref(f->runtime, buffer, release_ref, &released, &msg));
    fkl_msg_destroy(msg);
    TRY(f, fkl_msg_wrap_ref(f->runtime, buffer, release_ref, &released, &msg));
    TRY(f, fkl_msg_take_ref(msg, &released, &ref));
    fkl_msg_destroy(msg);
    REQUIRE(f, atomic_load(&released) == 2); // once each, and not for a call that failed
}

FAULTS(mail_faults, messages_are_made, make_messages)

// What the actors of these scenarios are told.
struct talk {
    faults *f;
    fkl_actor *to;
    uint64_t count;
};

static void act_receive(fkl_actor *self, void *arg)
{
    struct talk *talk = arg;
    (void)self;
    for (uint64_t tag = 1; tag <= talk->count; tag++) {
        REQUIRE(talk->f, faults_receive(talk->f) == tag);
    }
}

static void send_and_receive(faults *f)
{
    struct talk talk = {.f = f, .count = 3};
    fkl_actor *actor = faults_spawn(f, act_receive, &talk);
    fkl_actor_id id = fkl_actor_get_id(actor);
    faults_until_waits(f, actor, "receive");
    faults_send(f, actor, 1);
    fkl_msg *msg = faults_msg(f, 2);
    TRY(f, fkl_send(f->runtime, id, msg));
    msg = faults_msg(f, 3);
    TRY(f, fkl_send_until(f->runtime, id, msg, SOON));
    msg = faults_msg(f, 4);
    TRY(f, fkl_actor_join_until(actor, SOON, NULL));
    EXPECT(f, fkl_actor_send(actor, msg), FKL_ENOACTOR);
    faults_join(f, actor);
    EXPECT(f, fkl_send(f->runtime, id, msg), FKL_ENOACTOR);
    fkl_msg_destroy(msg);
}

FAULTS(mail_faults, messages_are_sent_and_received, send_and_receive)

static void leave_unreceived(faults *f)
{
    fkl_actor *actor = faults_spawn(f, act_idle, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        faults_send(f, actor, i);
    }
    fkl_actor_stop(actor);
    faults_join(f, actor);
}

FAULTS(mail_faults, messages_that_nobody_receives_are_dropped, leave_unreceived)

static bool is_tagged_with(const fkl_msg *msg, void *ctx)
{
    return fkl_msg_tag(msg) == *(const uint64_t *)ctx;
}

static void act_choose(fkl_actor *self, void *arg)
{
    faults *f = arg;
    uint64_t wanted = 3;
    fkl_msg *msg = NULL;
    (void)self;
    TRY(f, fkl_receive_match_until(0, is_tagged_with, &wanted, SOON, &msg));
    fkl_msg_destroy(msg);
    REQUIRE(f, faults_receive(f) == 1);
    REQUIRE(f, faults_receive(f) == 2);
    EXPECT(f, fkl_try_receive_match(fkl_receive_mark(), NULL, NULL, &msg), FKL_EEMPTY);
}

static void choose(faults *f)
{
    fkl_actor *actor = faults_spawn(f, act_choose, f);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        faults_until_waits(f, actor, "receive");
        faults_send(f, actor, tag);
    }
    faults_join(f, actor);
}

FAULTS(mail_faults, messages_are_chosen, choose)

static void act_fill(fkl_actor *self, void *arg)
{
    struct talk *talk = arg;
    (void)self;
    for (uint64_t tag = 1; tag <= talk->count; tag++) {
        fkl_msg *msg = faults_msg(talk->f, tag);
        TRY(talk->f, fkl_actor_send_until(talk->to, msg, SOON));
    }
}

// The sender waits for places, then the receiver for messages.
static void bounded(faults *f)
{
    struct talk talk = {.f = f, .count = 6};
    fkl_spawn_options options = {.mailbox_capacity = 2};
    rig_gate gate = {0};
    fkl_actor *stuck = NULL;
    TRY(f, fkl_spawn(f->runtime, &options, act_stubborn, &gate, &stuck));
    talk.to = stuck;
    fkl_actor *sender = faults_spawn(f, act_fill, &(struct talk){.f = f, .to = stuck, .count = 2});
    faults_join(f, sender);
    fkl_msg *msg = faults_msg(f, 9);
    EXPECT(f, fkl_actor_send(stuck, msg), FKL_EFULL);
    EXPECT(f, fkl_actor_send_until(stuck, msg, FKL_NO_WAIT), FKL_ETIMEDOUT);
    fkl_msg_destroy(msg);
    atomic_store(&gate.open, true);
    faults_join(f, stuck);

    TRY(f, fkl_spawn(f->runtime, &options, act_receive, &talk, &talk.to));
    sender = faults_spawn(f, act_fill, &talk);
    faults_join(f, sender);
    faults_join(f, talk.to);
}

FAULTS(mail_faults, a_bounded_mailbox_makes_its_senders_wait, bounded)

static void drop_what_is_full(faults *f)
{
    for (int i = 0; i < 2; i++) {
        fkl_spawn_options options = {.mailbox_capacity = 2};
        options.mailbox_full = i ? FKL_FULL_DROP_OLDEST : FKL_FULL_DROP_NEWEST;
        fkl_actor *actor = NULL;
        TRY(f, fkl_spawn(f->runtime, &options, act_idle, NULL, &actor));
        for (uint64_t tag = 0; tag < 5; tag++) {
            faults_send(f, actor, tag);
        }
        REQUIRE(f, fkl_actor_mailbox_len(actor) == 2);
        fkl_actor_stop(actor);
        faults_join(f, actor);
    }
}

FAULTS(mail_faults, a_full_mailbox_drops, drop_what_is_full)

static void act_until_drained(fkl_actor *self, void *arg)
{
    struct talk *talk = arg;
    fkl_msg *msg = NULL;
    act_receive(self, arg);
    EXPECT(talk->f, fkl_receive_until(SOON, &msg), FKL_ESTOPPED);
}

static void drain(faults *f)
{
    struct talk talk = {.f = f, .count = 2};
    fkl_actor *actor = faults_spawn(f, act_until_drained, &talk);
    faults_send(f, actor, 1);
    faults_send(f, actor, 2);
    faults_until_waits(f, actor, "receive");
    fkl_actor_drain(actor);
    fkl_msg *msg = faults_msg(f, 3);
    fkl_err err = fkl_actor_send(actor, msg);
    REQUIRE(f, err == FKL_ECLOSED || err == FKL_ENOACTOR);
    fkl_msg_destroy(msg);
    faults_join(f, actor);
}

FAULTS(mail_faults, a_drained_mailbox_is_emptied, drain)
