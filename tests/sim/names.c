// SPDX-License-Identifier: Apache-2.0
//
// Names and groups against the ends of actors: nothing of a dead actor stays behind, and a name is
// free as soon as the exit is out.

#include "support/sim.h"

#include <string.h>

struct world {
    fkl_runtime *runtime;
    fkl_actor *actor;
    uint32_t received;
};

static void wait_for_stop(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    fkl_err err;
    while ((err = fkl_receive_until(FKL_FOREVER, &msg)) != FKL_ESTOPPED) {
        if (err)
            continue;
        SIM_CHECK(memcmp(fkl_msg_data(msg), "shared", 6) == 0, "another payload");
        world->received++;
        fkl_msg_destroy(msg);
    }
}

static void kill(void *arg)
{
    fkl_actor_kill(arg, 1);
}

static void register_and_join(void *arg)
{
    fkl_actor *actor = arg;
    fkl_err err = fkl_register(actor, "name");
    SIM_CHECK(!err || err == FKL_ENOACTOR || err == FKL_EEXIST || err == FKL_ENOMEM, "%s",
              fkl_err_name(err));
    err = fkl_group_join(actor, "group");
    SIM_CHECK(!err || err == FKL_ENOACTOR || err == FKL_ENOMEM, "%s", fkl_err_name(err));
}

static void check_nothing_is_left(fkl_runtime *runtime)
{
    size_t names = 9, groups = 9;
    fkl_names(runtime, NULL, 0, &names);
    fkl_groups(runtime, NULL, 0, &groups);
    SIM_CHECK(names == 0 && groups == 0, "%zu names, %zu groups", names, groups);
}

SIM_SCENARIO(the_dead_leave_neither_names_nor_memberships, .faults = SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task tasks[3];
    world.actor = sim_spawn(world.runtime, "actor", wait_for_stop, &world);
    sim_start(&tasks[0], "one", register_and_join, world.actor);
    sim_start(&tasks[1], "killer", kill, world.actor);
    sim_start(&tasks[2], "other", register_and_join, world.actor);
    for (int i = 0; i < 3; ++i)
        sim_join(&tasks[i]);
    check_nothing_is_left(world.runtime);
    sim_join_actor(world.actor);
    sim_end_runtime(world.runtime);
}

static fkl_err spawn_named(struct world *world, fkl_actor **out)
{
    fkl_spawn_options options = {.register_as = "name"};
    fkl_err err = fkl_spawn(world->runtime, &options, wait_for_stop, world, out);
    SIM_CHECK(!err || err == FKL_EEXIST || (err == FKL_ENOMEM && sim_may_fail(SIM_FAIL_MEMORY)) ||
                  (err == FKL_ETHREAD && sim_may_fail(SIM_FAIL_THREADS)),
              "%s", fkl_err_name(err));
    return err;
}

static void kill_by_name(void *arg)
{
    struct world *world = arg;
    fkl_actor *actor = NULL;
    if (fkl_whereis_actor(world->runtime, "name", &actor) == FKL_OK)
        fkl_actor_kill(actor, 2);
    fkl_actor_release(actor);
}

SIM_SCENARIO(a_name_is_free_when_its_actor_has_been_joined,
             .faults = SIM_FAIL_MEMORY | SIM_FAIL_THREADS)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task tasks[2];
    sim_start(&tasks[0], "killer", kill_by_name, &world);
    sim_start(&tasks[1], "killer too", kill_by_name, &world);
    for (int i = 0; i < 3; ++i) {
        fkl_actor *actor = NULL;
        fkl_err err = spawn_named(&world, &actor);
        SIM_CHECK(err != FKL_EEXIST, "the name of a dead actor");
        if (err)
            continue;
        if (sim_below(2))
            fkl_actor_kill(actor, 1);
        else
            fkl_actor_stop(actor);
        SIM_OK(fkl_actor_join_until(actor, FKL_FOREVER, NULL)); // its thread may go on
        fkl_actor_release(actor);
    }
    sim_join(&tasks[0]);
    sim_join(&tasks[1]);
    check_nothing_is_left(world.runtime);
    sim_end_runtime(world.runtime);
}

static void publish(void *arg)
{
    struct world *world = arg;
    fkl_msg *msg = NULL;
    if (fkl_msg_create_copy(world->runtime, FKL_CODEC_RAW, "shared", 6, &msg) != FKL_OK)
        return;
    size_t count = 0;
    fkl_err err = fkl_group_publish(world->runtime, "group", msg, FKL_PUBLISH_ALL, &count);
    if (err) {
        SIM_CHECK(err == FKL_ENOMEM, "%s", fkl_err_name(err));
        fkl_msg_destroy(msg);
    }
    SIM_CHECK(count <= 3, "%zu", count);
}

SIM_SCENARIO(what_is_published_to_the_dying_is_freed, .faults = SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime()};
    fkl_actor *actors[3];
    sim_task tasks[4];
    for (int i = 0; i < 3; ++i) {
        actors[i] = sim_spawn(world.runtime, "member", wait_for_stop, &world);
        register_and_join(actors[i]);
    }
    sim_start(&tasks[0], "publisher", publish, &world);
    sim_start(&tasks[1], "publisher too", publish, &world);
    sim_start(&tasks[2], "killer", kill, actors[0]);
    fkl_group_leave(actors[1], "group");
    for (int i = 0; i < 3; ++i)
        sim_join(&tasks[i]);
    for (int i = 0; i < 3; ++i) {
        fkl_actor_stop(actors[i]);
        sim_join_actor(actors[i]);
    }
    check_nothing_is_left(world.runtime);
    sim_end_runtime(world.runtime); // every block is free: sim.c checks
}
