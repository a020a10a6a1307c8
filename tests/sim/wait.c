// SPDX-License-Identifier: Apache-2.0
//
// What ends waits from outside: interrupts, of which none is lost and none reported twice, and
// stops, which reach helpers too.

#include "support/sim.h"

struct wait_world {
    fkl_runtime *runtime;
    fkl_actor *actor;
    fkl_sem *sem;
    fkl_channel *channel;
    fkl_err (*wait)(struct wait_world *world, fkl_time deadline);
    void (*end_wait)(struct wait_world *world);
    uint32_t interrupts; // seen
};

static fkl_err wait_for_unit(struct wait_world *world, fkl_time deadline)
{
    return fkl_sem_wait_until(world->sem, deadline);
}

static void give_unit(struct wait_world *world)
{
    SIM_OK(fkl_sem_post(world->sem));
}

static fkl_err wait_for_message(struct wait_world *world, fkl_time deadline)
{
    fkl_msg *msg = NULL;
    fkl_err err = fkl_channel_receive_until(world->channel, deadline, &msg);
    if (!err)
        fkl_msg_destroy(msg);
    return err;
}

static void give_message(struct wait_world *world)
{
    SIM_OK(fkl_channel_send_until(world->channel, sim_msg(world->runtime, 1), FKL_FOREVER));
}

static fkl_err wait_for_mail(struct wait_world *world, fkl_time deadline)
{
    (void)world;
    fkl_msg *msg = NULL;
    fkl_err err = fkl_receive_until(deadline, &msg);
    if (!err)
        fkl_msg_destroy(msg);
    return err;
}

static void give_mail(struct wait_world *world)
{
    sim_send(world->actor, 1);
}

// One thing is given and one interrupt sent. It sees both, in any order.
static void wait_for_both(fkl_actor *self, void *arg)
{
    (void)self;
    struct wait_world *world = arg;
    uint32_t given = 0;
    while (world->interrupts + given < 2) {
        fkl_err err = world->wait(world, FKL_FOREVER);
        given += !err;
        world->interrupts += err == FKL_EINTR;
        SIM_CHECK(!err || err == FKL_EINTR, "%s", fkl_err_name(err));
    }
    SIM_CHECK(given == 1 && world->interrupts == 1, "%u given", given);
    SIM_ERR(world->wait(world, fkl_after_ns(100)), FKL_ETIMEDOUT);
    SIM_OK(fkl_sleep_until(fkl_after_ns(100)));
}

static void interrupt(void *arg)
{
    struct wait_world *world = arg;
    fkl_actor_interrupt(world->actor);
}

static void give(void *arg)
{
    struct wait_world *world = arg;
    world->end_wait(world);
}

static void interrupt_and_give(fkl_err (*wait)(struct wait_world *world, fkl_time deadline),
                               void (*end_wait)(struct wait_world *world))
{
    struct wait_world world = {.runtime = sim_runtime(), .wait = wait, .end_wait = end_wait};
    sim_task tasks[2];
    SIM_OK(fkl_sem_create(world.runtime, 0, 1, &world.sem));
    SIM_OK(fkl_channel_create(world.runtime, 0, &world.channel));
    world.actor = sim_spawn(world.runtime, "actor", wait_for_both, &world);
    sim_settle();
    sim_start(&tasks[0], "interrupter", interrupt, &world);
    sim_start(&tasks[1], "giver", give, &world);
    sim_join(&tasks[0]);
    sim_join(&tasks[1]);
    sim_join_actor(world.actor);
    fkl_channel_release(world.channel);
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

SIM_SCENARIO(an_interrupt_of_a_semaphore_wait_is_reported_once)
{
    interrupt_and_give(wait_for_unit, give_unit);
}

SIM_SCENARIO(an_interrupt_of_a_channel_wait_is_reported_once)
{
    interrupt_and_give(wait_for_message, give_message);
}

SIM_SCENARIO(an_interrupt_of_a_receive_is_reported_once)
{
    interrupt_and_give(wait_for_mail, give_mail);
}

// Helpers.

static void help(void *arg)
{
    struct wait_world *world = arg;
    fkl_actor *previous = NULL;
    SIM_OK(fkl_actor_enter(world->actor, &previous));
    SIM_CHECK(fkl_self() == world->actor && !previous, "entered somebody else");
    SIM_ERR(world->wait(world, FKL_FOREVER), FKL_ESTOPPED);
    fkl_actor_leave(previous);
    SIM_CHECK(!fkl_self(), "still there");
    SIM_ERR(world->wait(world, fkl_after_ns(100)), FKL_ETIMEDOUT);
}

static void sleep_until_stopped(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    SIM_ERR(fkl_sleep_until(FKL_FOREVER), FKL_ESTOPPED);
}

static void stop_helpers(fkl_err (*wait)(struct wait_world *world, fkl_time deadline))
{
    struct wait_world world = {.runtime = sim_runtime(), .wait = wait};
    sim_task helpers[2];
    SIM_OK(fkl_sem_create(world.runtime, 0, 1, &world.sem));
    SIM_OK(fkl_channel_create(world.runtime, 0, &world.channel));
    world.actor = sim_spawn(world.runtime, "actor", sleep_until_stopped, NULL);
    for (int i = 0; i < 2; ++i)
        sim_start(&helpers[i], "helper", help, &world);
    sim_settle();
    fkl_actor_stop(world.actor);
    for (int i = 0; i < 2; ++i)
        sim_join(&helpers[i]);
    sim_join_actor(world.actor);
    fkl_channel_release(world.channel);
    fkl_sem_release(world.sem);
    sim_end_runtime(world.runtime);
}

SIM_SCENARIO(a_stop_reaches_helpers_in_a_semaphore)
{
    stop_helpers(wait_for_unit);
}

SIM_SCENARIO(a_stop_reaches_helpers_in_a_channel)
{
    stop_helpers(wait_for_message);
}
