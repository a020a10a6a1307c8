// SPDX-License-Identifier: Apache-2.0
//
// Monitors: exactly one message, or none after a demonitor, whoever ends first; and nothing is left
// behind.

#include "support/sim.h"

struct monitor_world {
    fkl_runtime *runtime;
    fkl_actor *target;
    fkl_actor_id id;
    sim_gate watched;
    bool demonitored; // before the message came
    uint32_t downs;
};

static void idle(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    while (fkl_sleep_until(FKL_FOREVER) != FKL_ESTOPPED) {
    }
}

static void return_at_once(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
}

static void kill(void *arg)
{
    fkl_actor_kill(arg, 7);
}

static void check_down(struct monitor_world *world, fkl_msg *msg, fkl_monitor_ref ref)
{
    fkl_monitor_ref of;
    fkl_exit record;
    bool known;
    SIM_OK(fkl_msg_down(msg, &of, &record, &known));
    SIM_CHECK(of == ref && record.id == world->id && known, "not this monitor's");
    SIM_CHECK(record.reason == FKL_EXIT_KILLED && record.code == 7, "code %d", record.code);
    SIM_CHECK(fkl_actor_try_exit(world->target, &record) == FKL_OK, "not published yet");
    ++world->downs;
    fkl_msg_destroy(msg);
}

// Nothing more may come, also when the target has ended for good.
static void check_silence(struct monitor_world *world)
{
    fkl_msg *msg = NULL;
    SIM_OK(fkl_actor_join_thread_until(world->target, FKL_FOREVER));
    SIM_ERR(fkl_try_receive(&msg), FKL_EEMPTY);
    SIM_ERR(fkl_receive_until(fkl_after_ns(1000), &msg), FKL_ETIMEDOUT);
}

static void watch(fkl_actor *self, void *arg)
{
    (void)self;
    struct monitor_world *world = arg;
    fkl_monitor_ref ref;
    fkl_msg *msg = NULL;
    SIM_OK(fkl_monitor(world->id, &ref));
    SIM_OK(fkl_receive_until(FKL_FOREVER, &msg));
    check_down(world, msg, ref);
    SIM_CHECK(!fkl_demonitor(ref), "its message has been received");
    check_silence(world);
}

static void watch_and_end_it(fkl_actor *self, void *arg)
{
    (void)self;
    struct monitor_world *world = arg;
    fkl_monitor_ref ref;
    fkl_msg *msg = NULL;
    SIM_OK(fkl_monitor(world->id, &ref));
    sim_open(&world->watched);
    fkl_err err = fkl_receive_until(sim_deadline(), &msg);
    if (err == FKL_OK)
        check_down(world, msg, ref);
    else
        SIM_ERR(err, FKL_ETIMEDOUT);
    world->demonitored = fkl_demonitor(ref);
    SIM_CHECK(world->demonitored == (err != FKL_OK), "%d", world->demonitored);
    check_silence(world);
}

static void begin(struct monitor_world *world)
{
    *world = (struct monitor_world){.runtime = sim_runtime()};
    world->target = sim_spawn(world->runtime, "target", idle, NULL);
    world->id = fkl_actor_get_id(world->target);
}

static void end(struct monitor_world *world)
{
    sim_join_actor(world->target);
    sim_end_runtime(world->runtime);
}

SIM_SCENARIO(one_message_comes_whenever_the_target_ends)
{
    struct monitor_world world;
    sim_task killer;
    begin(&world);
    fkl_actor *watcher = sim_spawn(world.runtime, "watcher", watch, &world);
    sim_start(&killer, "killer", kill, world.target);
    sim_join(&killer);
    sim_join_actor(watcher);
    SIM_CHECK(world.downs == 1, "%u", world.downs);
    end(&world);
}

SIM_SCENARIO(no_message_comes_after_a_demonitor)
{
    struct monitor_world world;
    sim_task killer;
    begin(&world);
    fkl_actor *watcher = sim_spawn(world.runtime, "watcher", watch_and_end_it, &world);
    sim_pass(&world.watched);
    sim_start(&killer, "killer", kill, world.target);
    sim_join(&killer);
    sim_join_actor(watcher);
    SIM_CHECK(world.downs + world.demonitored == 1, "%u", world.downs);
    end(&world);
}

// Watches and demonitors what is dying, or dead and gone, without looking at the messages.
static void watch_carelessly(fkl_actor *self, void *arg)
{
    struct monitor_world *world = arg;
    fkl_monitor_ref refs[3];
    for (int i = 0; i < 3; ++i) {
        fkl_err err = fkl_monitor(world->id, &refs[i]);
        if (err == FKL_ENOMEM && sim_may_fail(SIM_FAIL_MEMORY)) {
            refs[i] = 0;
            continue;
        }
        if (err == FKL_ESTOPPED)
            return;
        SIM_OK(err);
    }
    fkl_exit record;
    if (refs[1] && !fkl_demonitor(refs[1])) // an exit ends the monitors that the actor has
        SIM_OK(fkl_actor_try_exit(self, &record));
}

SIM_SCENARIO(watcher_and_target_may_end_at_once, .faults = SIM_FAIL_MEMORY)
{
    struct monitor_world world;
    sim_task killers[2];
    begin(&world);
    fkl_actor *watcher = sim_spawn(world.runtime, "watcher", watch_carelessly, &world);
    sim_start(&killers[0], "killer", kill, world.target);
    sim_start(&killers[1], "killer", kill, watcher);
    sim_join(&killers[0]);
    sim_join(&killers[1]);
    sim_join_actor(watcher);
    end(&world);
}

SIM_SCENARIO(a_target_without_references_is_still_known)
{
    struct monitor_world world = {.runtime = sim_runtime()};
    fkl_actor *target = sim_spawn(world.runtime, "target", return_at_once, NULL);
    world.id = fkl_actor_get_id(target);
    fkl_actor *watcher = sim_spawn(world.runtime, "watcher", watch_carelessly, &world);
    fkl_actor_release(target);
    sim_join_actor(watcher);
    sim_end_runtime(world.runtime);
}

// A chain of watchers, each of which may end before or after whom it watches.
static void watch_the_next(fkl_actor *self, void *arg)
{
    (void)self;
    fkl_msg *msg = NULL;
    fkl_monitor_ref ref;
    fkl_err err = fkl_monitor(*(fkl_actor_id *)arg, &ref);
    if (!err)
        err = fkl_receive_until(sim_deadline(), &msg);
    if (!err)
        fkl_msg_destroy(msg);
    SIM_CHECK(!err || err == FKL_ETIMEDOUT || err == FKL_ESTOPPED, "%s", fkl_err_name(err));
}

SIM_SCENARIO(a_chain_of_watchers_leaves_nothing_behind)
{
    fkl_runtime *runtime = sim_runtime();
    fkl_actor *actors[3];
    fkl_actor_id ids[3];
    actors[0] = sim_spawn(runtime, "first", idle, NULL);
    ids[0] = fkl_actor_get_id(actors[0]);
    for (int i = 1; i < 3; ++i) {
        actors[i] = sim_spawn(runtime, "next", watch_the_next, &ids[i - 1]);
        ids[i] = fkl_actor_get_id(actors[i]);
    }
    fkl_actor_kill(actors[sim_below(2)], 7);
    for (int i = 0; i < 3; ++i) {
        fkl_actor_stop(actors[i]);
        sim_join_actor(actors[i]);
    }
    sim_end_runtime(runtime);
}
