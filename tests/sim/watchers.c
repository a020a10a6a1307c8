// SPDX-License-Identifier: Apache-2.0
//
// Waiting for the first of several things: who is woken by one and leaves with another owes the
// wake to whoever else waits.

#include "support/sim.h"

#include <forkless/select.h>

struct select_world {
    fkl_runtime *runtime;
    fkl_sem *sem;
    fkl_channel *channels[2];
    uint32_t taken;
};

static void begin(struct select_world *world)
{
    *world = (struct select_world){.runtime = sim_runtime()};
    SIM_OK(fkl_sem_create(world->runtime, 0, 2, &world->sem));
    for (int i = 0; i < 2; ++i)
        SIM_OK(fkl_channel_create(world->runtime, 0, &world->channels[i]));
}

static void end(struct select_world *world)
{
    fkl_sem_release(world->sem);
    for (int i = 0; i < 2; ++i)
        fkl_channel_release(world->channels[i]);
    sim_end_runtime(world->runtime);
}

static void send_to(struct select_world *world, int channel)
{
    SIM_OK(
        fkl_channel_send_until(world->channels[channel], sim_msg(world->runtime, 1), FKL_FOREVER));
}

static fkl_err try_take(struct select_world *world, const fkl_wait_item *item)
{
    fkl_msg *msg = NULL;
    fkl_err err = item->kind == FKL_WAIT_SEM ? fkl_sem_try_wait(item->sem)
                                             : fkl_channel_try_receive(item->channel, &msg);
    if (msg)
        fkl_msg_destroy(msg);
    world->taken += !err;
    return err;
}

// Takes one of the items, and says which.
static size_t take_any(struct select_world *world, const fkl_wait_item *items, size_t count)
{
    fkl_err err;
    size_t index;
    do {
        index = count;
        do {
            err = fkl_wait_any_until(items, count, FKL_FOREVER, &index);
        } while (err == FKL_EINTR && sim_may_fail(SIM_SIGNALS));
        SIM_OK(err);
        SIM_CHECK(index < count, "%zu", index);
        err = try_take(world, &items[index]);
        SIM_CHECK(!err || err == FKL_EEMPTY, "%s", fkl_err_name(err));
    } while (err);
    return index;
}

static void take_from_channels(void *arg)
{
    struct select_world *world = arg;
    fkl_wait_item items[] = {{.kind = FKL_WAIT_RECEIVE, .channel = world->channels[0]},
                             {.kind = FKL_WAIT_RECEIVE, .channel = world->channels[1]}};
    take_any(world, items, 2);
}

static void send_second(void *arg)
{
    send_to(arg, 1);
}

SIM_SCENARIO(two_who_wait_for_two_channels_get_one_message_each, .faults = SIM_SIGNALS)
{
    struct select_world world;
    sim_task takers[2];
    sim_task sender;
    begin(&world);
    for (int i = 0; i < 2; ++i)
        sim_start(&takers[i], "taker", take_from_channels, &world);
    sim_settle();
    sim_start(&sender, "sender", send_second, &world);
    send_to(&world, 0);
    for (int i = 0; i < 2; ++i)
        sim_join(&takers[i]);
    sim_join(&sender);
    SIM_CHECK(world.taken == 2, "%u", world.taken);
    end(&world);
}

static void take_unit_or_message(void *arg)
{
    struct select_world *world = arg;
    fkl_wait_item items[] = {{.kind = FKL_WAIT_RECEIVE, .channel = world->channels[0]},
                             {.kind = FKL_WAIT_SEM, .sem = world->sem}};
    if (take_any(world, items, 2) == 1)
        SIM_OK(fkl_sem_post(world->sem)); // for the other; nobody wants the message then
}

static void wait_for_unit(void *arg)
{
    struct select_world *world = arg;
    SIM_OK(fkl_sem_wait_until(world->sem, FKL_FOREVER));
    SIM_OK(fkl_sem_post(world->sem));
}

static void post(void *arg)
{
    struct select_world *world = arg;
    SIM_OK(fkl_sem_post(world->sem));
}

SIM_SCENARIO(who_leaves_with_a_message_passes_the_unit_on)
{
    struct select_world world;
    sim_task tasks[3];
    begin(&world);
    sim_start(&tasks[0], "any", take_unit_or_message, &world);
    sim_start(&tasks[1], "waiter", wait_for_unit, &world);
    sim_settle();
    sim_start(&tasks[2], "poster", post, &world);
    send_to(&world, 0);
    for (int i = 0; i < 3; ++i)
        sim_join(&tasks[i]);
    end(&world);
}

static void receive_and_return(void *arg)
{
    struct select_world *world = arg;
    fkl_msg *msg = NULL;
    SIM_OK(fkl_channel_receive_until(world->channels[0], FKL_FOREVER, &msg));
    SIM_OK(fkl_channel_try_send(world->channels[0], msg));
}

// Leaves with the message, or with the time, and takes nothing.
static void look_until_the_meeting(void *arg)
{
    struct select_world *world = arg;
    size_t index;
    fkl_wait_item items[] = {{.kind = FKL_WAIT_RECEIVE, .channel = world->channels[0]},
                             {.kind = FKL_WAIT_SEM, .sem = world->sem},
                             {.kind = FKL_WAIT_TIME, .time = INT64_C(9000000000)}};
    SIM_OK(fkl_wait_any_until(items, 3, FKL_FOREVER, &index));
    SIM_CHECK(index < 2 || fkl_now() >= items[2].time, "too early");
}

SIM_SCENARIO(who_leaves_at_its_deadline_passes_all_wakes_on)
{
    struct select_world world;
    sim_task tasks[4];
    begin(&world);
    sim_start(&tasks[0], "looker", look_until_the_meeting, &world);
    sim_start(&tasks[1], "receiver", receive_and_return, &world);
    sim_start(&tasks[2], "waiter", wait_for_unit, &world);
    sim_start(&tasks[3], "looker", look_until_the_meeting, &world);
    sim_sleep_until(INT64_C(9000000000));
    send_to(&world, 0);
    post(&world);
    for (int i = 0; i < 4; ++i)
        sim_join(&tasks[i]);
    SIM_CHECK(fkl_channel_len(world.channels[0]) == 1 && fkl_sem_value(world.sem) == 1, "lost");
    end(&world);
}

// Stopped in the midst of it.
static void take_until_stopped(fkl_actor *self, void *arg)
{
    (void)self;
    struct select_world *world = arg;
    size_t index;
    fkl_wait_item items[] = {{.kind = FKL_WAIT_SEM, .sem = world->sem},
                             {.kind = FKL_WAIT_RECEIVE, .channel = world->channels[0]}};
    fkl_err err = fkl_wait_any_until(items, 2, FKL_FOREVER, &index);
    SIM_CHECK(!err || err == FKL_ESTOPPED, "%s", fkl_err_name(err));
}

SIM_SCENARIO(who_is_stopped_passes_all_wakes_on)
{
    struct select_world world;
    sim_task tasks[3];
    begin(&world);
    fkl_actor *actor = sim_spawn(world.runtime, "stopped", take_until_stopped, &world);
    sim_start(&tasks[0], "receiver", receive_and_return, &world);
    sim_start(&tasks[1], "waiter", wait_for_unit, &world);
    sim_settle();
    sim_start(&tasks[2], "poster", post, &world);
    send_to(&world, 0);
    fkl_actor_stop(actor);
    for (int i = 0; i < 3; ++i)
        sim_join(&tasks[i]);
    sim_join_actor(actor);
    end(&world);
}
