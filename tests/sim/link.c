// SPDX-License-Identifier: Apache-2.0
//
// Links against exits: a failure ends whoever is linked, once; a signal comes as one message or,
// after an unlink, as none.

#include "support/sim.h"

#include <forkless/monitor.h>

struct link_world {
    fkl_runtime *runtime;
    fkl_actor_id ids[3];
    sim_gate ready;
    uint32_t signals;
    bool unlinked;
};

// Without waiting for anything but a stop.
static void sleep_until_stopped(void)
{
    while (fkl_sleep_until(FKL_FOREVER) != FKL_ESTOPPED) {
    }
}

static void idle(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    sleep_until_stopped();
}

static void kill(void *arg)
{
    fkl_actor_kill(arg, 7);
}

struct linked {
    struct link_world *world;
    fkl_actor_id partner;
    fkl_actor *actor;
};

static void link_and_idle(fkl_actor *self, void *arg)
{
    (void)self;
    struct linked *linked = arg;
    fkl_err err = fkl_link(linked->partner);
    SIM_CHECK(!err || err == FKL_ENOACTOR || err == FKL_ESTOPPED, "%s", fkl_err_name(err));
    if (err == FKL_ENOACTOR) // too late for a signal
        fkl_actor_kill(self, 7);
    sleep_until_stopped();
}

// A chain: whoever of it is killed, all end with the same reason, code and origin.
SIM_SCENARIO(a_failure_ends_all_that_are_linked)
{
    struct link_world world = {.runtime = sim_runtime()};
    struct linked linked[3] = {{.world = &world}};
    sim_task killer;
    linked[0].actor = sim_spawn(world.runtime, "first", idle, NULL);
    for (int i = 1; i < 3; ++i) {
        linked[i].partner = fkl_actor_get_id(linked[i - 1].actor);
        linked[i].actor = sim_spawn(world.runtime, "next", link_and_idle, &linked[i]);
    }
    sim_settle();
    sim_start(&killer, "killer", kill, linked[0].actor);
    sim_join(&killer);
    for (int i = 0; i < 3; ++i) {
        fkl_exit record = sim_join_actor(linked[i].actor);
        SIM_CHECK(record.reason == FKL_EXIT_KILLED && record.code == 7, "%d: %d", i, record.code);
    }
    sim_end_runtime(world.runtime);
}

// Two that link each other, both killed: locks of two actors are held at once.
SIM_SCENARIO(both_ends_of_a_link_may_fail_at_once)
{
    struct link_world world = {.runtime = sim_runtime()};
    struct linked linked[2] = {{.world = &world}, {.world = &world}};
    sim_task killers[2];
    linked[0].actor = sim_spawn(world.runtime, "left", idle, NULL);
    linked[1].partner = fkl_actor_get_id(linked[0].actor);
    linked[1].actor = sim_spawn(world.runtime, "right", link_and_idle, &linked[1]);
    for (int i = 0; i < 2; ++i)
        sim_start(&killers[i], "killer", kill, linked[i].actor);
    for (int i = 0; i < 2; ++i)
        sim_join(&killers[i]);
    for (int i = 0; i < 2; ++i)
        sim_join_actor(linked[i].actor);
    sim_end_runtime(world.runtime);
}

static void read_signal(struct link_world *world, fkl_msg *msg)
{
    fkl_exit record;
    SIM_OK(fkl_msg_exit(msg, &record));
    SIM_CHECK(record.id == world->ids[0] && record.code == 7, "code %d", record.code);
    ++world->signals;
    fkl_msg_destroy(msg);
}

static void trap_and_unlink(fkl_actor *self, void *arg)
{
    (void)self;
    struct link_world *world = arg;
    fkl_msg *msg = NULL;
    SIM_OK(fkl_trap_exits(true));
    SIM_OK(fkl_link(world->ids[0]));
    sim_open(&world->ready);
    fkl_err err = fkl_receive_until(sim_deadline(), &msg);
    if (!err)
        read_signal(world, msg);
    else
        SIM_ERR(err, FKL_ETIMEDOUT);
    world->unlinked = fkl_unlink(world->ids[0]);
    SIM_CHECK(world->unlinked == (err != FKL_OK), "%d", world->unlinked);
    sim_sleep_until(fkl_after_ms(1000));
    SIM_ERR(fkl_try_receive(&msg), FKL_EEMPTY);
}

SIM_SCENARIO(a_signal_is_one_message_or_none_after_an_unlink)
{
    struct link_world world = {.runtime = sim_runtime()};
    sim_task killer;
    fkl_actor *target = sim_spawn(world.runtime, "target", idle, NULL);
    world.ids[0] = fkl_actor_get_id(target);
    fkl_actor *trapper = sim_spawn(world.runtime, "trapper", trap_and_unlink, &world);
    sim_pass(&world.ready);
    sim_start(&killer, "killer", kill, target);
    sim_join(&killer);
    sim_join_actor(trapper);
    SIM_CHECK(world.signals + world.unlinked == 1, "%u signals", world.signals);
    sim_join_actor(target);
    sim_end_runtime(world.runtime);
}

// The parent is killed while it spawns.
struct family {
    fkl_runtime *runtime;
    fkl_actor *child;
};

static void spawn_linked(fkl_actor *self, void *arg)
{
    struct family *family = arg;
    fkl_spawn_options options = {.link = true};
    fkl_err err = fkl_spawn(family->runtime, &options, idle, NULL, &family->child);
    SIM_CHECK(!err || err == FKL_ESTOPPED || err == FKL_ENOMEM || err == FKL_ETHREAD, "%s",
              fkl_err_name(err));
    if (!err)
        idle(self, NULL);
}

// The child idles for ever unless the link ends it.
SIM_SCENARIO(a_child_spawned_linked_never_outlives_its_parent,
             .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct family family = {.runtime = sim_runtime()};
    sim_task killer;
    fkl_actor *parent = sim_spawn(family.runtime, "parent", spawn_linked, &family);
    fkl_actor_id id = fkl_actor_get_id(parent);
    sim_settle();
    sim_start(&killer, "killer", kill, parent);
    sim_join(&killer);
    fkl_exit ended = sim_join_actor(parent);
    if (family.child) {
        fkl_exit record = sim_join_actor(family.child);
        SIM_CHECK(record.origin == id && record.code == ended.code, "%d", record.code);
    }
    sim_end_runtime(family.runtime);
}
