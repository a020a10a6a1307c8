// SPDX-License-Identifier: Apache-2.0
//
// Exits: who sees that an actor has ended finds its mailbox closed, its record constant and its
// count lowered, however it saw it: by a join, a sentinel, a look or a refused message.

#include "support/sim.h"

#include <poll.h>
#include <pthread.h>

struct exit_world {
    fkl_runtime *runtime;
    fkl_actor *actor;
    uint32_t seen;
};

static void end_somehow(fkl_actor *self, void *arg)
{
    (void)arg;
    switch (sim_below(3)) {
    case 0:
        SIM_OK(fkl_actor_set_exit(self, 5, NULL, 0));
        return;
    case 1:
        fkl_actor_exit_now(self, 5);
        return;
    default:
        (void)!fkl_sleep_until(FKL_FOREVER);
        SIM_OK(fkl_actor_set_exit(self, 5, NULL, 0));
    }
}

static void check_ended(struct exit_world *world, const fkl_exit *record)
{
    fkl_exit again;
    fkl_counters count;
    SIM_CHECK(record->code == 5 || record->code == 6, "code %d", record->code);
    SIM_OK(fkl_actor_try_exit(world->actor, &again));
    SIM_CHECK(again.code == record->code && again.reason == record->reason, "it has changed");
    SIM_CHECK(!sim_send(world->actor, 1), "its mailbox is open");
    fkl_runtime_counters(world->runtime, &count);
    SIM_CHECK(count.live == 0, "%llu live", (unsigned long long)count.live);
    ++world->seen;
}

static void join(void *arg)
{
    struct exit_world *world = arg;
    fkl_exit record;
    fkl_err err;
    do {
        fkl_time deadline = sim_deadline();
        err = fkl_actor_join_until(world->actor, deadline, &record);
        SIM_CHECK(!err || err == FKL_EINTR || (err == FKL_ETIMEDOUT && deadline != FKL_FOREVER),
                  "%s", fkl_err_name(err));
        if (err)
            sim_yield();
    } while (err);
    check_ended(world, &record);
}

static void watch_sentinel(void *arg)
{
    struct exit_world *world = arg;
    struct pollfd poll_fd = {.events = POLLIN};
    fkl_exit record;
    SIM_OK(fkl_actor_sentinel(world->actor, &poll_fd.fd));
    while (poll(&poll_fd, 1, 0) == 0)
        sim_yield();
    SIM_OK(fkl_actor_try_exit(world->actor, &record));
    check_ended(world, &record);
}

static void send_until_refused(void *arg)
{
    struct exit_world *world = arg;
    fkl_exit record;
    while (sim_send(world->actor, 1))
        sim_yield();
    SIM_OK(fkl_actor_try_exit(world->actor, &record));
    check_ended(world, &record);
}

static void end_it(void *arg)
{
    struct exit_world *world = arg;
    if (sim_below(2) == 0)
        fkl_actor_kill(world->actor, 6);
    else
        fkl_actor_stop(world->actor);
}

static void see_the_end(void (*first)(void *arg), void (*second)(void *arg))
{
    struct exit_world world = {.runtime = sim_runtime()};
    sim_task tasks[3];
    world.actor = sim_spawn(world.runtime, "actor", end_somehow, NULL);
    sim_settle();
    sim_start(&tasks[0], "first", first, &world);
    sim_start(&tasks[1], "second", second, &world);
    sim_start(&tasks[2], "end", end_it, &world);
    for (int i = 0; i < 3; ++i)
        sim_join(&tasks[i]);
    SIM_CHECK(world.seen == 2, "%u", world.seen);
    sim_join_actor(world.actor);
    sim_end_runtime(world.runtime);
}

SIM_SCENARIO(every_join_sees_a_finished_exit, .faults = SIM_SIGNALS)
{
    see_the_end(join, join);
}

SIM_SCENARIO(a_sentinel_becomes_readable_whenever_it_is_made)
{
    see_the_end(watch_sentinel, watch_sentinel);
}

SIM_SCENARIO(a_refused_message_means_a_published_exit)
{
    see_the_end(send_until_refused, join);
}

// A thread that is ended in its function.

static void end_the_thread(fkl_actor *self, void *arg)
{
    (void)arg;
    SIM_OK(fkl_actor_set_exit(self, 5, NULL, 0));
    pthread_exit(NULL);
}

SIM_SCENARIO(an_exit_of_the_thread_is_an_exit_of_the_actor)
{
    struct exit_world world = {.runtime = sim_runtime()};
    sim_task tasks[3];
    world.actor = sim_spawn(world.runtime, "actor", end_the_thread, NULL);
    sim_start(&tasks[0], "joiner", join, &world);
    sim_start(&tasks[1], "sender", send_until_refused, &world);
    sim_start(&tasks[2], "end", end_it, &world);
    for (int i = 0; i < 3; ++i)
        sim_join(&tasks[i]);
    SIM_CHECK(world.seen == 2, "%u", world.seen);
    sim_join_actor(world.actor);
    sim_end_runtime(world.runtime);
}

static void wait_for_stop(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    SIM_ERR(fkl_sleep_until(FKL_FOREVER), FKL_ESTOPPED);
}

static void kill_and_wait(void *arg)
{
    struct exit_world *world = arg;
    SIM_OK(fkl_actor_kill_until(world->actor, 6, FKL_FOREVER, NULL));
    SIM_OK(fkl_actor_join_thread_until(world->actor, FKL_NO_WAIT));
    ++world->seen;
}

SIM_SCENARIO(who_kills_and_waits_sees_the_end_of_the_thread)
{
    struct exit_world world = {.runtime = sim_runtime()};
    sim_task tasks[2];
    world.actor = sim_spawn(world.runtime, "actor", wait_for_stop, NULL);
    for (int i = 0; i < 2; ++i)
        sim_start(&tasks[i], "killer", kill_and_wait, &world);
    for (int i = 0; i < 2; ++i)
        sim_join(&tasks[i]);
    SIM_CHECK(world.seen == 2, "%u", world.seen);
    sim_join_actor(world.actor);
    sim_end_runtime(world.runtime);
}

// An actor that is referred to outlives its runtime.

static void read_record(void *arg)
{
    fkl_exit record;
    fkl_err err = fkl_actor_join_until(arg, FKL_FOREVER, &record);
    SIM_CHECK(!err && record.id == fkl_actor_get_id(arg), "%s", fkl_err_name(err));
    fkl_actor_release(arg);
}

SIM_SCENARIO(a_record_is_read_while_the_runtime_goes)
{
    fkl_runtime *runtime = sim_runtime();
    sim_task readers[2];
    fkl_actor *actor = sim_spawn(runtime, "actor", wait_for_stop, NULL);
    for (int i = 0; i < 2; ++i)
        sim_start(&readers[i], "reader", read_record, fkl_actor_retain(actor));
    fkl_actor_release(actor);
    sim_end_runtime(runtime);
    for (int i = 0; i < 2; ++i)
        sim_join(&readers[i]);
}

// References: the last one may go while somebody looks the actor up.

static void look_up(void *arg)
{
    struct exit_world *world = arg;
    fkl_actor_id id = fkl_actor_get_id(world->actor);
    fkl_actor *found = NULL;
    fkl_actor_release(world->actor); // this thread's
    for (int i = 0; i < 3; ++i) {
        if (fkl_actor_find(world->runtime, id, &found) == FKL_OK) {
            SIM_CHECK(fkl_actor_get_id(found) == id, "another actor");
            fkl_actor_release(found);
        }
        fkl_msg *msg = sim_msg(world->runtime, 1);
        if (fkl_send(world->runtime, id, msg))
            fkl_msg_destroy(msg);
    }
}

static void return_at_once(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
}

SIM_SCENARIO(an_id_names_one_actor_or_none)
{
    struct exit_world world = {.runtime = sim_runtime()};
    sim_task lookers[2];
    world.actor = sim_spawn(world.runtime, "actor", return_at_once, NULL);
    for (int i = 0; i < 2; ++i) {
        fkl_actor_retain(world.actor);
        sim_start(&lookers[i], "looker", look_up, &world);
    }
    sim_join_actor(sim_spawn(world.runtime, "next", return_at_once, NULL));
    sim_join(&lookers[0]);
    sim_join(&lookers[1]);
    fkl_actor_release(world.actor);
    sim_end_runtime(world.runtime);
}
