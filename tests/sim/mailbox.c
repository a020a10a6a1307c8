// SPDX-License-Identifier: Apache-2.0
//
// Mailboxes: sends against receives that go to sleep, and against every way in which the receiver
// ends. Whatever was sent is handled, dead-lettered or dropped.

#include "support/sim.h"

struct world {
    fkl_runtime *runtime;
    fkl_actor *receiver;
    uint32_t received;
    uint64_t last[3]; // of each sender
    uint32_t limit;   // messages after which the receiver returns
};

static void check_order(struct world *world, fkl_msg *msg)
{
    uint64_t sender = fkl_msg_tag(msg) >> 32;
    uint64_t number = fkl_msg_tag(msg) & 0xffffffff;
    SIM_CHECK(number > world->last[sender], "%llu after %llu", (unsigned long long)number,
              (unsigned long long)world->last[sender]);
    world->last[sender] = number;
    ++world->received;
    fkl_msg_destroy(msg);
}

static void receive(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    while (world->received < world->limit) {
        fkl_err err = fkl_receive_until(FKL_FOREVER, &msg);
        if (err == FKL_ESTOPPED)
            return;
        if (err == FKL_EINTR)
            continue;
        SIM_OK(err);
        check_order(world, msg);
    }
}

struct sender {
    struct world *world;
    uint64_t number;
    uint32_t count;
    uint32_t accepted;
    sim_task task;
};

static void send_some(void *arg)
{
    struct sender *sender = arg;
    for (uint64_t i = 1; i <= sender->count; ++i)
        sender->accepted += sim_send(sender->world->receiver, sender->number << 32 | i);
}

static void start_senders(struct world *world, struct sender *senders, uint32_t count,
                          uint32_t messages)
{
    for (uint32_t i = 0; i < count; ++i) {
        senders[i] = (struct sender){.world = world, .number = i, .count = messages};
        sim_start(&senders[i].task, "sender", send_some, &senders[i]);
    }
}

SIM_SCENARIO(every_message_wakes_the_receiver_and_arrives_in_order, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime(), .limit = 6};
    struct sender senders[2];
    world.receiver = sim_spawn(world.runtime, "receiver", receive, &world);
    start_senders(&world, senders, 2, 3);
    sim_join(&senders[0].task);
    sim_join(&senders[1].task);
    sim_join_actor(world.receiver);
    SIM_CHECK(world.received == 6, "%u", world.received);
    sim_end_runtime(world.runtime);
}

static void stop(void *arg)
{
    fkl_actor_stop(arg);
}

static void kill(void *arg)
{
    SIM_CHECK(fkl_actor_kill(arg, 9), "nobody else ends it");
    SIM_CHECK(!sim_send(arg, 1), "a mailbox took a message after its actor's exit");
}

static void interrupt(void *arg)
{
    fkl_actor_interrupt(arg);
}

// Two senders against `ending`; returns how many messages were accepted.
static uint32_t send_against(struct world *world, void (*ending)(void *arg))
{
    struct sender senders[2];
    sim_task end;
    sim_settle();
    start_senders(world, senders, 2, 3);
    sim_start(&end, "ending", ending, world->receiver);
    sim_join(&senders[0].task);
    sim_join(&senders[1].task);
    sim_join(&end);
    return senders[0].accepted + senders[1].accepted;
}

SIM_SCENARIO(a_stop_ends_a_receive_and_loses_no_count, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime(), .limit = UINT32_MAX};
    world.receiver = sim_spawn(world.runtime, "receiver", receive, &world);
    uint32_t accepted = send_against(&world, stop);
    fkl_exit record = sim_join_actor(world.receiver);
    SIM_CHECK(record.reason == FKL_EXIT_STOPPED, "%d", (int)record.reason);
    SIM_CHECK(world.received <= accepted, "%u of %u", world.received, accepted);
    sim_end_runtime(world.runtime);
}

SIM_SCENARIO(a_kill_closes_the_mailbox_for_ever, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime(), .limit = UINT32_MAX};
    world.receiver = sim_spawn(world.runtime, "receiver", receive, &world);
    uint32_t accepted = send_against(&world, kill);
    fkl_exit record = sim_join_actor(world.receiver);
    SIM_CHECK(record.reason == FKL_EXIT_KILLED && record.code == 9, "%d", (int)record.reason);
    SIM_CHECK(world.received <= accepted, "%u of %u", world.received, accepted);
    sim_end_runtime(world.runtime);
}

static void receive_then_exit(fkl_actor *self, void *arg)
{
    receive(self, arg);
    SIM_CHECK(fkl_actor_exit_now(self, 3), "nobody else ends it");
    fkl_msg *msg = NULL;
    fkl_err err = fkl_try_receive(&msg);
    SIM_CHECK(err == FKL_ESTOPPED, "a receive after the exit gave %s", fkl_err_name(err));
    SIM_ERR(fkl_receive_until(FKL_FOREVER, &msg), FKL_ESTOPPED);
    SIM_CHECK(!sim_send(self, 1), "a mailbox took a message after the exit");
}

SIM_SCENARIO(an_exit_in_the_midst_of_sends_loses_no_count)
{
    struct world world = {.runtime = sim_runtime(), .limit = 2};
    struct sender senders[2];
    world.receiver = sim_spawn(world.runtime, "receiver", receive_then_exit, &world);
    start_senders(&world, senders, 2, 3);
    sim_join(&senders[0].task);
    sim_join(&senders[1].task);
    fkl_exit record = sim_join_actor(world.receiver);
    SIM_CHECK(record.code == 3 && world.received == 2, "%u", world.received);
    sim_end_runtime(world.runtime);
}

static void receive_until_six(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    while (world->received < 6) {
        fkl_time deadline = sim_deadline();
        fkl_err err = fkl_receive_until(deadline, &msg);
        if (err == FKL_OK)
            check_order(world, msg);
        else if (err == FKL_ETIMEDOUT)
            SIM_CHECK(deadline != FKL_FOREVER && fkl_now() >= deadline, "too early");
        else
            SIM_ERR(err, FKL_EINTR);
        sim_yield();
    }
}

SIM_SCENARIO(a_receive_that_times_out_or_is_interrupted_loses_no_message, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime()};
    world.receiver = sim_spawn(world.runtime, "receiver", receive_until_six, &world);
    uint32_t accepted = send_against(&world, interrupt);
    sim_join_actor(world.receiver);
    SIM_CHECK(accepted == 6, "%u", accepted);
    sim_end_runtime(world.runtime);
}

// At the deadline.

struct meeting {
    fkl_actor *receiver;
    fkl_time time;
    uint32_t timeouts;
};

static void receive_until_the_meeting(fkl_actor *self, void *arg)
{
    (void)self;
    struct meeting *meeting = arg;
    fkl_msg *msg = NULL;
    fkl_err err = fkl_receive_until(meeting->time, &msg);
    if (err == FKL_ETIMEDOUT) {
        ++meeting->timeouts;
        err = fkl_receive_until(FKL_FOREVER, &msg);
    }
    SIM_OK(err);
    fkl_msg_destroy(msg);
}

static void send_at_the_meeting(void *arg)
{
    struct meeting *meeting = arg;
    sim_sleep_until(meeting->time);
    SIM_CHECK(sim_send(meeting->receiver, 1), "refused");
}

SIM_SCENARIO(a_message_that_comes_at_the_deadline_is_not_lost)
{
    fkl_runtime *runtime = sim_runtime();
    struct meeting meeting = {.time = fkl_after_ms(1000)};
    sim_task sender;
    meeting.receiver = sim_spawn(runtime, "receiver", receive_until_the_meeting, &meeting);
    sim_start(&sender, "sender", send_at_the_meeting, &meeting);
    sim_join(&sender);
    sim_join_actor(meeting.receiver);
    sim_end_runtime(runtime);
}

// Kills and an exit that the actor publishes itself, at once.
static void kill_if_first(void *arg)
{
    struct sender *killer = arg;
    killer->accepted = fkl_actor_kill(killer->world->receiver, (int32_t)killer->number);
}

SIM_SCENARIO(of_two_kills_and_a_return_one_is_published)
{
    struct world world = {.runtime = sim_runtime(), .limit = 0};
    struct sender killers[2];
    world.receiver = sim_spawn(world.runtime, "receiver", receive, &world);
    for (uint32_t i = 0; i < 2; ++i) {
        killers[i] = (struct sender){.world = &world, .number = i + 1};
        sim_start(&killers[i].task, "killer", kill_if_first, &killers[i]);
    }
    sim_send(world.receiver, 1);
    sim_join(&killers[0].task);
    sim_join(&killers[1].task);
    fkl_exit record = sim_join_actor(world.receiver);
    int32_t winner = killers[0].accepted ? 1 : killers[1].accepted ? 2 : 0;
    SIM_CHECK(killers[0].accepted + killers[1].accepted <= 1, "both published");
    SIM_CHECK(record.code == winner, "%d, not %d", record.code, winner);
    SIM_CHECK(record.reason == (winner ? FKL_EXIT_KILLED : FKL_EXIT_NORMAL), "%d",
              (int)record.reason);
    sim_end_runtime(world.runtime);
}
