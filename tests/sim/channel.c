// SPDX-License-Identifier: Apache-2.0
//
// Channels: each message is received once, and no receiver, sender or poller sleeps while there is
// something for it.

#include "support/sim.h"

struct channel_world {
    fkl_runtime *runtime;
    fkl_channel *channel;
    uint32_t sent; // accepted
    uint32_t received;
    uint32_t closed; // receivers that saw the end
    uint32_t count;  // of messages that each sender sends
    uint64_t seen;   // a bit for each message's number
};

static void note(struct channel_world *world, fkl_msg *msg)
{
    uint64_t bit = UINT64_C(1) << fkl_msg_tag(msg);
    SIM_CHECK(!(world->seen & bit), "message %llu twice", (unsigned long long)fkl_msg_tag(msg));
    world->seen |= bit;
    ++world->received;
    fkl_msg_destroy(msg);
}

static void send_until(struct channel_world *world, fkl_time (*deadline)(void))
{
    static const fkl_err allowed[] = {FKL_ETIMEDOUT, FKL_EINTR, FKL_ECLOSED};
    for (uint32_t i = 0; i < world->count; ++i) {
        fkl_msg *msg = sim_msg(world->runtime, world->sent++);
        fkl_time until = deadline();
        fkl_err err = fkl_channel_send_until(world->channel, msg, until);
        if (!err)
            continue;
        bool known = false;
        for (int at = 0; at < 3; ++at)
            known = known || err == allowed[at];
        SIM_CHECK(known && (err != FKL_ETIMEDOUT || until != FKL_FOREVER), "%s", fkl_err_name(err));
        world->seen |= UINT64_C(1) << fkl_msg_tag(msg); // nobody may receive it
        fkl_msg_destroy(msg);
    }
}

static fkl_time forever(void)
{
    return FKL_FOREVER;
}

static void send_all(void *arg)
{
    send_until(arg, forever);
}

static void send_impatiently(void *arg)
{
    send_until(arg, sim_deadline);
}

static void receive_until_closed(struct channel_world *world, fkl_time (*deadline)(void))
{
    fkl_msg *msg = NULL;
    for (;;) {
        fkl_time until = deadline();
        fkl_err err = fkl_channel_receive_until(world->channel, until, &msg);
        if (err == FKL_ECLOSED)
            break;
        if (!err)
            note(world, msg);
        else
            SIM_CHECK(err == FKL_EINTR || (err == FKL_ETIMEDOUT && until != FKL_FOREVER), "%s",
                      fkl_err_name(err));
        if (err)
            sim_yield();
    }
    ++world->closed;
}

static void receive_all(void *arg)
{
    receive_until_closed(arg, forever);
}

static void receive_impatiently(void *arg)
{
    receive_until_closed(arg, sim_deadline);
}

static void end(struct channel_world *world)
{
    SIM_CHECK(world->seen == (UINT64_C(1) << world->sent) - 1, "%u sent, received %llx",
              world->sent, (unsigned long long)world->seen);
    SIM_CHECK(fkl_channel_len(world->channel) == 0, "%zu", fkl_channel_len(world->channel));
    fkl_channel_release(world->channel);
    sim_end_runtime(world->runtime);
}

// Two senders, two receivers; closes when the senders are done.
static void pass_through(size_t capacity, void (*send)(void *), void (*receive)(void *))
{
    struct channel_world world = {.runtime = sim_runtime(), .count = 2};
    sim_task senders[2];
    sim_task receivers[2];
    SIM_OK(fkl_channel_create(world.runtime, capacity, &world.channel));
    for (int i = 0; i < 2; ++i) {
        sim_start(&receivers[i], "receiver", receive, &world);
        sim_start(&senders[i], "sender", send, &world);
    }
    for (int i = 0; i < 2; ++i)
        sim_join(&senders[i]);
    fkl_channel_close(world.channel);
    for (int i = 0; i < 2; ++i)
        sim_join(&receivers[i]);
    SIM_CHECK(world.closed == 2, "%u", world.closed);
    end(&world);
}

SIM_SCENARIO(each_message_is_received_once)
{
    pass_through(0, send_all, receive_all);
}

SIM_SCENARIO(each_message_of_a_full_channel_is_received_once)
{
    pass_through(1, send_all, receive_all);
}

SIM_SCENARIO(timeouts_lose_no_message, .faults = SIM_SIGNALS)
{
    pass_through(0, send_impatiently, receive_impatiently);
}

SIM_SCENARIO(timeouts_lose_no_place_of_a_full_channel, .faults = SIM_SIGNALS)
{
    pass_through(1, send_impatiently, receive_impatiently);
}

// As above, but closed in the midst of it: what was accepted is received.
static void close_early(size_t capacity)
{
    struct channel_world world = {.runtime = sim_runtime(), .count = 2};
    sim_task senders[2];
    sim_task receivers[2];
    SIM_OK(fkl_channel_create(world.runtime, capacity, &world.channel));
    for (int i = 0; i < 2; ++i) {
        sim_start(&senders[i], "sender", send_all, &world);
        sim_start(&receivers[i], "receiver", receive_all, &world);
    }
    sim_settle();
    fkl_channel_close(world.channel);
    for (int i = 0; i < 2; ++i) {
        sim_join(&senders[i]);
        sim_join(&receivers[i]);
    }
    end(&world);
}

SIM_SCENARIO(a_close_ends_all_waits_and_loses_nothing)
{
    close_early(0);
}

SIM_SCENARIO(a_close_of_a_full_channel_ends_all_waits_and_loses_nothing)
{
    close_early(1);
}

// Messages without a close: every one wakes somebody, whoever else leaves.

static void receive_as_actor(fkl_actor *self, void *arg)
{
    (void)self;
    struct channel_world *world = arg;
    fkl_msg *msg = NULL;
    fkl_err err = fkl_channel_receive_until(world->channel, FKL_FOREVER, &msg);
    if (!err) { // it goes back, for the other one
        SIM_OK(fkl_channel_try_send(world->channel, msg));
        return;
    }
    SIM_CHECK(err == FKL_ESTOPPED, "%s", fkl_err_name(err));
}

static void receive_one(void *arg)
{
    struct channel_world *world = arg;
    fkl_msg *msg = NULL;
    SIM_OK(fkl_channel_receive_until(world->channel, FKL_FOREVER, &msg));
    note(world, msg);
}

static void stop(void *arg)
{
    fkl_actor_stop(arg);
}

SIM_SCENARIO(a_stopped_receiver_passes_its_wake_on)
{
    struct channel_world world = {.runtime = sim_runtime(), .count = 1};
    sim_task receiver;
    sim_task stopper;
    SIM_OK(fkl_channel_create(world.runtime, 0, &world.channel));
    fkl_actor *actor = sim_spawn(world.runtime, "stopped", receive_as_actor, &world);
    sim_start(&receiver, "receiver", receive_one, &world);
    sim_settle();
    sim_start(&stopper, "stopper", stop, actor);
    send_all(&world);
    sim_join(&receiver);
    sim_join(&stopper);
    sim_join_actor(actor);
    end(&world);
}

static void poll_once(void *arg)
{
    struct channel_world *world = arg;
    fkl_err err = fkl_channel_poll_until(world->channel, sim_deadline());
    SIM_CHECK(!err || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
}

SIM_SCENARIO(a_poller_passes_its_wake_on)
{
    struct channel_world world = {.runtime = sim_runtime(), .count = 2};
    sim_task pollers[2];
    sim_task receivers[2];
    SIM_OK(fkl_channel_create(world.runtime, 0, &world.channel));
    for (int i = 0; i < 2; ++i) {
        sim_start(&receivers[i], "receiver", receive_one, &world);
        sim_start(&pollers[i], "poller", poll_once, &world);
    }
    sim_settle();
    send_all(&world);
    for (int i = 0; i < 2; ++i)
        sim_join(&receivers[i]);
    fkl_channel_close(world.channel);
    for (int i = 0; i < 2; ++i)
        sim_join(&pollers[i]);
    end(&world);
}

// A message comes at the deadline of one receiver; if that leaves, the other one gets it.

struct meeting {
    struct channel_world world;
    fkl_time time;
};

static void receive_until_the_meeting(void *arg)
{
    struct meeting *meeting = arg;
    fkl_msg *msg = NULL;
    fkl_err err = fkl_channel_receive_until(meeting->world.channel, meeting->time, &msg);
    if (err)
        SIM_ERR(err, FKL_ETIMEDOUT);
    else // it goes back, for the other one
        SIM_OK(fkl_channel_try_send(meeting->world.channel, msg));
}

SIM_SCENARIO(a_message_that_comes_at_the_deadline_goes_to_somebody)
{
    struct meeting meeting = {.world = {.runtime = sim_runtime(), .count = 1}};
    sim_task receivers[3];
    meeting.time = fkl_after_ms(1000);
    SIM_OK(fkl_channel_create(meeting.world.runtime, 0, &meeting.world.channel));
    sim_start(&receivers[0], "leaving", receive_until_the_meeting, &meeting);
    sim_start(&receivers[1], "leaving", receive_until_the_meeting, &meeting);
    sim_start(&receivers[2], "staying", receive_one, &meeting.world);
    sim_sleep_until(meeting.time);
    send_all(&meeting.world);
    for (int i = 0; i < 3; ++i)
        sim_join(&receivers[i]);
    end(&meeting.world);
}

// The place that a stopped sender was woken for must go to the other sender.
static void send_as_actor(fkl_actor *self, void *arg)
{
    (void)self;
    struct channel_world *world = arg;
    fkl_msg *msg = sim_msg(world->runtime, world->sent++);
    fkl_err err = fkl_channel_send_until(world->channel, msg, FKL_FOREVER);
    if (!err)
        return;
    SIM_CHECK(err == FKL_ESTOPPED, "%s", fkl_err_name(err));
    world->seen |= UINT64_C(1) << fkl_msg_tag(msg);
    fkl_msg_destroy(msg);
}

SIM_SCENARIO(a_stopped_sender_passes_its_wake_on)
{
    struct channel_world world = {.runtime = sim_runtime(), .count = 1};
    sim_task sender;
    sim_task stopper;
    fkl_msg *msg = NULL;
    fkl_actor_id from;
    SIM_OK(fkl_channel_create(world.runtime, 1, &world.channel));
    send_all(&world); // full
    fkl_actor *actor = sim_spawn(world.runtime, "stopped", send_as_actor, &world);
    sim_start(&sender, "sender", send_all, &world);
    sim_settle();
    sim_start(&stopper, "stopper", stop, actor);
    receive_one(&world);
    do { // until the thread's message comes
        SIM_OK(fkl_channel_receive_until(world.channel, FKL_FOREVER, &msg));
        from = fkl_msg_sender(msg);
        note(&world, msg);
    } while (from != FKL_NOBODY);
    sim_join(&sender);
    sim_join(&stopper);
    sim_join_actor(actor);
    if (fkl_channel_try_receive(world.channel, &msg) == FKL_OK)
        note(&world, msg);
    end(&world);
}
