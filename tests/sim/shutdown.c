// SPDX-License-Identifier: Apache-2.0
//
// Shutdowns against spawns, exits and failures: a shutdown that has succeeded leaves no thread and
// no message behind, and a spawn that failed nothing at all.

#include "support/sim.h"

struct shutdown_world {
    fkl_runtime *runtime;
    uint32_t started;
    uint32_t ran;
};

static void wait_for_stop(fkl_actor *self, void *arg)
{
    struct shutdown_world *world = arg;
    fkl_msg *msg = NULL;
    fkl_err err;
    ++world->ran;
    while ((err = fkl_receive_until(FKL_FOREVER, &msg)) != FKL_ESTOPPED) {
        if (err == FKL_OK)
            fkl_msg_destroy(msg);
    }
    SIM_CHECK(fkl_actor_stop_requested(self), "not stopped");
}

static void return_at_once(fkl_actor *self, void *arg)
{
    (void)self;
    struct shutdown_world *world = arg;
    ++world->ran;
}

// Returns a reference, or NULL.
static fkl_actor *spawn(struct shutdown_world *world, fkl_actor_fn fn)
{
    fkl_actor *actor = NULL;
    fkl_err err = fkl_spawn(world->runtime, NULL, fn, world, &actor);
    SIM_CHECK(!err || err == FKL_ESHUTDOWN ||
                  (err == FKL_ENOMEM && sim_may_fail(SIM_FAIL_MEMORY)) ||
                  (err == FKL_ETHREAD && sim_may_fail(SIM_FAIL_THREADS)),
              "%s", fkl_err_name(err));
    world->started += !err;
    return err ? NULL : actor;
}

static void spawn_two(void *arg)
{
    struct shutdown_world *world = arg;
    fkl_actor *first = spawn(world, wait_for_stop);
    fkl_actor *second = spawn(world, return_at_once);
    if (first)
        sim_send(first, 1);
    if (second)
        sim_send(second, 2);
    fkl_actor_release(first);
    fkl_actor_release(second);
}

static void shut_down(struct shutdown_world *world)
{
    fkl_err err;
    do {
        fkl_time deadline = sim_deadline();
        err = fkl_runtime_shutdown(world->runtime, deadline);
        SIM_CHECK(!err || err == FKL_EINTR || (err == FKL_ETIMEDOUT && deadline != FKL_FOREVER),
                  "%s", fkl_err_name(err));
        if (err)
            sim_yield();
    } while (err);
    size_t running = 0;
    fkl_runtime_running(world->runtime, NULL, 0, &running);
    SIM_CHECK(running == 0, "%zu", running);
}

SIM_SCENARIO(a_shutdown_in_the_midst_of_spawns_leaves_nobody,
             .faults = SIM_SIGNALS | SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct shutdown_world world = {.runtime = sim_runtime()};
    sim_task spawner;
    sim_start(&spawner, "spawner", spawn_two, &world);
    fkl_actor_release(spawn(&world, wait_for_stop));
    shut_down(&world);
    sim_join(&spawner);
    SIM_CHECK(world.ran == world.started, "%u of %u", world.ran, world.started);
    sim_end_runtime(world.runtime);
}

static void shut_down_too(void *arg)
{
    shut_down(arg);
}

SIM_SCENARIO(two_shutdowns_at_once_both_return, .faults = SIM_SIGNALS)
{
    struct shutdown_world world = {.runtime = sim_runtime()};
    sim_task other;
    spawn_two(&world);
    sim_start(&other, "other", shut_down_too, &world);
    shut_down(&world);
    sim_join(&other);
    sim_end_runtime(world.runtime);
}

// An actor that spawns another and is killed meanwhile; the other one sends to it.

static void answer(fkl_actor *self, void *arg)
{
    (void)self;
    sim_send(arg, 1);
    fkl_actor_release(arg);
}

static void spawn_child(fkl_actor *self, void *arg)
{
    struct shutdown_world *world = arg;
    fkl_msg *msg = NULL;
    fkl_err err = fkl_spawn(world->runtime, NULL, answer, fkl_actor_retain(self), NULL);
    if (err) {
        SIM_CHECK(err == FKL_ESHUTDOWN || err == FKL_ETHREAD || err == FKL_ENOMEM, "%s",
                  fkl_err_name(err));
        fkl_actor_release(self);
        return;
    }
    err = fkl_receive_until(FKL_FOREVER, &msg);
    if (err)
        SIM_ERR(err, FKL_ESTOPPED);
    else
        fkl_msg_destroy(msg);
}

static void kill(void *arg)
{
    fkl_actor_kill(arg, 1);
}

SIM_SCENARIO(a_parent_may_be_killed_while_it_spawns, .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct shutdown_world world = {.runtime = sim_runtime()};
    sim_task killer;
    fkl_actor *parent = sim_spawn(world.runtime, "parent", spawn_child, &world);
    sim_start(&killer, "killer", kill, parent);
    shut_down(&world);
    sim_join(&killer);
    fkl_actor_release(parent);
    sim_end_runtime(world.runtime);
}

// The limit of live actors falls together with the publication of an exit.
SIM_SCENARIO(a_joined_actor_has_left_the_limit)
{
    fkl_runtime *runtime = NULL;
    fkl_runtime_config config = {.max_actors = 1};
    struct shutdown_world world = {0};
    SIM_OK(fkl_runtime_create(&config, &runtime));
    world.runtime = runtime;
    for (int i = 0; i < 3; ++i) {
        fkl_actor *actor = NULL;
        SIM_OK(fkl_spawn(runtime, NULL, return_at_once, &world, &actor));
        SIM_OK(fkl_actor_join_until(actor, FKL_FOREVER, NULL));
        fkl_actor_release(actor);
    }
    sim_end_runtime(runtime);
}

// The thread that kills goes on to tell others and to destroy messages; nobody waits for it.
static void kill_and_release(void *arg)
{
    fkl_actor_kill(arg, 1);
    fkl_actor_release(arg);
}

static void receive_nothing(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    SIM_ERR(fkl_sleep_until(FKL_FOREVER), FKL_ESTOPPED);
}

SIM_SCENARIO(counters_are_exact_while_a_kill_is_under_way)
{
    struct shutdown_world world = {.runtime = sim_runtime()};
    sim_task killer;
    fkl_actor *actor = spawn(&world, receive_nothing);
    sim_send(actor, 1);
    sim_send(actor, 2);
    sim_start(&killer, "killer", kill_and_release, fkl_actor_retain(actor));
    sim_send(actor, 3);
    fkl_actor_release(actor);
    sim_end_runtime(world.runtime);
    sim_join(&killer);
}
