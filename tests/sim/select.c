// SPDX-License-Identifier: Apache-2.0
//
// Waits for the first of several things, between threads that wait for one of them: nothing is
// lost, and nobody sleeps while there is something for him.

#include "support/sim.h"

enum { CHANNELS = 2 };

struct world {
    fkl_runtime *runtime;
    fkl_channel *channels[CHANNELS];
    fkl_sem *sem;
    fkl_actor *actor;
    uint32_t taken;
    uint32_t wanted;
};

static void wait_for_any(const fkl_wait_item *items, size_t count, size_t *index)
{
    fkl_err err;
    do {
        err = fkl_wait_any_until(items, count, FKL_FOREVER, index);
        SIM_CHECK(!err || err == FKL_EINTR, "%s", fkl_err_name(err));
    } while (err);
    SIM_CHECK(*index < count, "%zu", *index);
}

static bool take(struct world *world, fkl_channel *channel)
{
    fkl_msg *msg = NULL;
    fkl_err err = fkl_channel_try_receive(channel, &msg);
    SIM_CHECK(!err || err == FKL_EEMPTY || err == FKL_ECLOSED, "%s", fkl_err_name(err));
    if (!err) {
        ++world->taken;
        fkl_msg_destroy(msg);
    }
    return err != FKL_ECLOSED;
}

// Until both channels are closed.
static void receive_from_any(void *arg)
{
    struct world *world = arg;
    fkl_wait_item items[CHANNELS] = {{FKL_WAIT_RECEIVE, {.channel = world->channels[0]}},
                                     {FKL_WAIT_RECEIVE, {.channel = world->channels[1]}}};
    size_t count = CHANNELS, index;
    while (count > 0) {
        wait_for_any(items, count, &index);
        if (!take(world, items[index].channel))
            items[index] = items[--count];
    }
}

static void receive_from_first(void *arg)
{
    struct world *world = arg;
    for (;;) {
        fkl_msg *msg = NULL;
        fkl_err err = fkl_channel_receive_until(world->channels[0], FKL_FOREVER, &msg);
        if (err == FKL_ECLOSED)
            return;
        SIM_CHECK(!err || err == FKL_EINTR, "%s", fkl_err_name(err));
        if (!err) {
            ++world->taken;
            fkl_msg_destroy(msg);
        }
    }
}

static void send_to_any(void *arg)
{
    struct world *world = arg;
    fkl_wait_item items[CHANNELS] = {{FKL_WAIT_SEND, {.channel = world->channels[0]}},
                                     {FKL_WAIT_SEND, {.channel = world->channels[1]}}};
    for (uint32_t sent = 0; sent < world->wanted;) {
        size_t index;
        wait_for_any(items, CHANNELS, &index);
        fkl_msg *msg = sim_msg(world->runtime, sent);
        fkl_err err = fkl_channel_try_send(items[index].channel, msg);
        SIM_CHECK(!err || err == FKL_EFULL, "%s", fkl_err_name(err));
        if (err)
            fkl_msg_destroy(msg);
        else
            ++sent;
    }
}

SIM_SCENARIO(messages_on_shared_channels_are_all_received, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime(), .wanted = 3};
    sim_task senders[2], receivers[3];
    SIM_OK(fkl_channel_create(world.runtime, 1, &world.channels[0]));
    SIM_OK(fkl_channel_create(world.runtime, 1 + sim_below(2), &world.channels[1]));
    sim_start(&receivers[0], "first", receive_from_first, &world);
    sim_start(&receivers[1], "any", receive_from_any, &world);
    sim_start(&receivers[2], "any too", receive_from_any, &world);
    sim_start(&senders[0], "sender", send_to_any, &world);
    sim_start(&senders[1], "sender too", send_to_any, &world);
    sim_join(&senders[0]);
    sim_join(&senders[1]);
    fkl_channel_close(world.channels[0]);
    fkl_channel_close(world.channels[1]);
    for (int i = 0; i < 3; ++i)
        sim_join(&receivers[i]);
    SIM_CHECK(world.taken == 6, "%u", world.taken);
    fkl_channel_release(world.channels[0]);
    fkl_channel_release(world.channels[1]);
    sim_end_runtime(world.runtime);
}

// A receiver sleeps behind a selector on the same channel, and nothing closes it.
static void receive_one(void *arg)
{
    struct world *world = arg;
    fkl_msg *msg = NULL;
    fkl_err err;
    do {
        err = fkl_channel_receive_until(world->channels[0], FKL_FOREVER, &msg);
    } while (err == FKL_EINTR);
    SIM_CHECK(!err, "%s", fkl_err_name(err));
    fkl_msg_destroy(msg);
}

static void wait_once(void *arg)
{
    struct world *world = arg;
    fkl_wait_item items[CHANNELS] = {{FKL_WAIT_RECEIVE, {.channel = world->channels[0]}},
                                     {FKL_WAIT_RECEIVE, {.channel = world->channels[1]}}};
    size_t index;
    fkl_err err = fkl_wait_any_until(items, CHANNELS, sim_deadline(), &index);
    SIM_CHECK(!err || err == FKL_EINTR || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
}

SIM_SCENARIO(a_wait_that_ends_takes_no_message_from_others, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task tasks[3];
    for (int i = 0; i < CHANNELS; ++i)
        SIM_OK(fkl_channel_create(world.runtime, 0, &world.channels[i]));
    sim_start(&tasks[0], "selector", wait_once, &world);
    sim_start(&tasks[1], "receiver", receive_one, &world);
    sim_start(&tasks[2], "selector too", wait_once, &world);
    SIM_OK(fkl_channel_try_send(world.channels[1], sim_msg(world.runtime, 1)));
    SIM_OK(fkl_channel_try_send(world.channels[0], sim_msg(world.runtime, 1)));
    for (int i = 1; i >= 0; --i)
        sim_join(&tasks[i]);
    sim_join(&tasks[2]);
    for (int i = 0; i < CHANNELS; ++i)
        fkl_channel_release(world.channels[i]);
    sim_end_runtime(world.runtime);
}

// Units, some of which are taken by those who wait for them alone.

static void take_units_after_looking(void *arg)
{
    struct world *world = arg;
    fkl_wait_item item = {FKL_WAIT_SEM, {.sem = world->sem}};
    for (uint32_t taken = 0; taken < world->wanted;) {
        size_t index;
        wait_for_any(&item, 1, &index);
        taken += fkl_sem_try_wait(world->sem) == FKL_OK;
    }
}

static void take_units(void *arg)
{
    struct world *world = arg;
    for (uint32_t taken = 0; taken < world->wanted;)
        taken += fkl_sem_wait_until(world->sem, FKL_FOREVER) == FKL_OK;
}

static void give_units(void *arg)
{
    struct world *world = arg;
    for (uint32_t given = 0; given < 3 * world->wanted; ++given)
        SIM_OK(fkl_sem_post(world->sem));
}

SIM_SCENARIO(units_that_are_waited_for_in_two_ways_are_all_taken, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime(), .wanted = 2};
    sim_task tasks[4];
    SIM_OK(fkl_sem_create(world.runtime, 0, 6, &world.sem));
    sim_start(&tasks[0], "looker", take_units_after_looking, &world);
    sim_start(&tasks[1], "taker", take_units, &world);
    sim_start(&tasks[2], "looker too", take_units_after_looking, &world);
    sim_start(&tasks[3], "giver", give_units, &world);
    for (int i = 0; i < 4; ++i)
        sim_join(&tasks[i]);
    SIM_CHECK(fkl_sem_value(world.sem) == 0, "units are left");
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

// Mail, an exit, a point of time, in whatever order.

struct seen {
    struct world *world;
    fkl_actor *other;
    uint32_t mail, exits, times;
};

static void see_all(fkl_actor *self, void *arg)
{
    (void)self;
    struct seen *seen = arg;
    fkl_wait_item items[3] = {{.kind = FKL_WAIT_MAILBOX},
                              {FKL_WAIT_EXIT, {.actor = seen->other}},
                              {FKL_WAIT_TIME, {.time = fkl_after_ns(sim_below(300))}}};
    size_t count = 3;
    while (seen->mail + seen->exits + seen->times < 3) {
        size_t index;
        fkl_msg *msg = NULL;
        fkl_exit record;
        wait_for_any(items, count, &index);
        switch (items[index].kind) {
        case FKL_WAIT_MAILBOX:
            SIM_OK(fkl_try_receive(&msg)); // nobody else receives
            fkl_msg_destroy(msg);
            ++seen->mail;
            continue;
        case FKL_WAIT_EXIT:
            SIM_OK(fkl_actor_try_exit(seen->other, &record));
            ++seen->exits;
            break;
        default:
            SIM_CHECK(fkl_now() >= items[index].time, "too early");
            ++seen->times;
        }
        items[index] = items[--count];
    }
}

static void return_at_once(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
}

static void interrupt(void *arg)
{
    fkl_actor_interrupt(arg);
}

SIM_SCENARIO(mail_exits_and_times_end_a_wait, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime()};
    struct seen seen = {.world = &world};
    sim_task interrupter;
    seen.other = sim_spawn(world.runtime, "other", return_at_once, NULL);
    world.actor = sim_spawn(world.runtime, "selector", see_all, &seen);
    sim_start(&interrupter, "interrupter", interrupt, world.actor);
    sim_send(world.actor, 1);
    sim_join(&interrupter);
    sim_join_actor(world.actor);
    SIM_CHECK(seen.mail == 1 && seen.exits == 1 && seen.times == 1, "%u, %u, %u", seen.mail,
              seen.exits, seen.times);
    sim_join_actor(seen.other);
    sim_end_runtime(world.runtime);
}
