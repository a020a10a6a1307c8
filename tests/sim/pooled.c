// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors and the workers that run them: no message is forgotten whoever sleeps, no two turns
// overlap, and each actor finishes once, whoever ends it.

#include "support/sim.h"

struct world {
    fkl_runtime *runtime;
    fkl_actor *actors[3];
    uint32_t received;
    uint32_t starts;
    uint32_t finishes;
};

// One actor's.
struct state {
    struct world *world;
    bool busy;
    uint64_t last[3]; // of each sender
    uint64_t limit;   // messages after which it ends, 0: never
    uint64_t count;
    fkl_actor *peer;
};

static void enter(struct state *state)
{
    SIM_CHECK(!state->busy, "two turns at the same time");
    state->busy = true;
    sim_yield();
}

static void leave(struct state *state)
{
    SIM_CHECK(state->busy, "two turns at the same time");
    state->busy = false;
}

static void start(fkl_actor *self, void *arg)
{
    struct state *state = arg;
    enter(state);
    SIM_CHECK(fkl_self() == self && state->count == 0, "%llu", (unsigned long long)state->count);
    ++state->world->starts;
    leave(state);
}

static void finish(fkl_actor *self, void *arg)
{
    struct state *state = arg;
    enter(state);
    SIM_CHECK(fkl_self() == self, "not itself");
    ++state->world->finishes;
    leave(state);
}

static fkl_turn take(fkl_actor *self, fkl_msg *msg, void *arg)
{
    struct state *state = arg;
    uint64_t sender = fkl_msg_tag(msg) >> 32;
    uint64_t number = fkl_msg_tag(msg) & 0xffffffff;
    enter(state);
    SIM_CHECK(fkl_self() == self, "not itself");
    SIM_CHECK(number > state->last[sender], "%llu after %llu", (unsigned long long)number,
              (unsigned long long)state->last[sender]);
    state->last[sender] = number;
    ++state->world->received;
    fkl_msg_destroy(msg);
    leave(state);
    return ++state->count == state->limit ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

static const fkl_behaviour taking = {take, start, finish};

static fkl_actor *spawn(struct world *world, const fkl_behaviour *behaviour, struct state *state)
{
    fkl_actor *actor = NULL;
    state->world = world;
    SIM_OK(fkl_spawn_pooled(world->runtime, NULL, behaviour, state, &actor));
    return actor;
}

struct sender {
    struct world *world;
    uint64_t number;
    uint32_t actors;
    uint64_t count;
    sim_task task;
};

static void send_some(void *arg)
{
    struct sender *sender = arg;
    for (uint64_t i = 1; i <= sender->count; ++i) {
        for (uint32_t to = 0; to < sender->actors; ++to)
            sim_send(sender->world->actors[to], sender->number << 32 | i);
    }
}

static void start_senders(struct world *world, struct sender *senders, uint32_t count,
                          uint32_t actors, uint64_t messages)
{
    for (uint32_t i = 0; i < count; ++i) {
        senders[i] =
            (struct sender){.world = world, .number = i, .actors = actors, .count = messages};
        sim_start(&senders[i].task, "sender", send_some, &senders[i]);
    }
}

SIM_SCENARIO(every_message_makes_a_worker_run_the_actor, .faults = SIM_SIGNALS)
{
    struct world world = {.runtime = sim_runtime_with(1 + sim_below(3))};
    struct sender senders[2];
    struct state states[2] = {{.limit = 4}, {.limit = 4}};
    for (int i = 0; i < 2; ++i)
        world.actors[i] = spawn(&world, &taking, &states[i]);
    start_senders(&world, senders, 2, 2, 2);
    for (int i = 0; i < 2; ++i)
        sim_join(&senders[i].task);
    for (int i = 0; i < 2; ++i)
        sim_join_actor(world.actors[i]);
    SIM_CHECK(world.received == 8, "%u", world.received);
    SIM_CHECK(world.starts == 2 && world.finishes == 2, "%u, %u", world.starts, world.finishes);
    sim_end_runtime(world.runtime);
}

// Answers until the number is 0.
static fkl_turn answer(fkl_actor *self, fkl_msg *msg, void *arg)
{
    (void)self;
    struct state *state = arg;
    uint64_t left = fkl_msg_tag(msg);
    enter(state);
    ++state->world->received;
    fkl_msg_destroy(msg);
    if (left > 0)
        sim_send(state->peer, left - 1);
    leave(state);
    return left <= 1 ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

static const fkl_behaviour answering = {answer, start, finish};

// Pairs on few workers, so that some answers are handed over and some are stolen.
SIM_SCENARIO(answers_go_to_and_fro)
{
    struct world world = {.runtime = sim_runtime_with(1 + sim_below(3))};
    struct state states[4] = {{0}};
    fkl_actor *actors[4];
    for (int i = 0; i < 4; ++i)
        actors[i] = spawn(&world, &answering, &states[i]);
    for (int i = 0; i < 4; ++i)
        states[i].peer = actors[i ^ 1];
    sim_send(actors[0], 5);
    sim_send(actors[2], 5);
    for (int i = 0; i < 4; ++i)
        sim_join_actor(actors[i]);
    SIM_CHECK(world.received == 12, "%u", world.received);
    sim_end_runtime(world.runtime);
}

// Two actors that are made ready in one turn, of which the last is handed over, and a turn that
// does not end before both have run.
static fkl_turn wait_for_others(fkl_actor *self, fkl_msg *msg, void *arg)
{
    (void)self;
    struct state *state = arg;
    struct world *world = state->world;
    fkl_msg_destroy(msg);
    // Perhaps the turn is a long one already when it makes them ready.
    for (fkl_time until = fkl_after_ms((int64_t)sim_below(4)); fkl_now() < until;)
        sim_yield();
    sim_send(world->actors[0], 1);
    sim_send(world->actors[1], 1);
    while (world->received < 2)
        sim_yield();
    return FKL_TURN_END;
}

SIM_SCENARIO(a_long_turn_does_not_hold_up_what_it_made_ready)
{
    struct world world = {.runtime = sim_runtime_with(2 + sim_below(2))};
    struct state states[3] = {{.limit = 1}, {.limit = 1}};
    fkl_behaviour waiting = {.receive = wait_for_others};
    for (int i = 0; i < 2; ++i)
        world.actors[i] = spawn(&world, &taking, &states[i]);
    world.actors[2] = spawn(&world, &waiting, &states[2]);
    sim_send(world.actors[2], 1);
    for (int i = 0; i < 3; ++i)
        sim_join_actor(world.actors[i]);
    sim_end_runtime(world.runtime);
}

// A turn that hands over again and again, after times in which nothing moves.
static fkl_turn hand_over(fkl_actor *self, fkl_msg *msg, void *arg)
{
    (void)self;
    struct state *state = arg;
    struct world *world = state->world;
    fkl_msg_destroy(msg);
    for (uint64_t round = 1; round <= 6; ++round) {
        fkl_time until = fkl_after_ns((int64_t)sim_below(3000000));
        while (fkl_now() < until)
            sim_yield();
        sim_send(world->actors[0], round);
        while (world->received < round)
            sim_yield();
    }
    return FKL_TURN_END;
}

SIM_SCENARIO(a_sentry_that_retires_misses_nothing)
{
    struct world world = {.runtime = sim_runtime_with(2)};
    struct state states[2] = {{.limit = 6}};
    fkl_behaviour handing_over = {.receive = hand_over};
    world.actors[0] = spawn(&world, &taking, &states[0]);
    world.actors[1] = spawn(&world, &handing_over, &states[1]);
    sim_send(world.actors[1], 1);
    for (int i = 0; i < 2; ++i)
        sim_join_actor(world.actors[i]);
    sim_end_runtime(world.runtime);
}

// A turn that waits for what comes from outside.
static fkl_turn wait_for_outside(fkl_actor *self, fkl_msg *msg, void *arg)
{
    (void)self;
    struct state *state = arg;
    fkl_msg_destroy(msg);
    while (state->world->received < 2)
        sim_yield();
    return FKL_TURN_END;
}

SIM_SCENARIO(a_long_turn_does_not_hold_up_what_comes_from_outside)
{
    struct world world = {.runtime = sim_runtime_with(2 + sim_below(2))};
    struct sender sender;
    struct state states[3] = {{.limit = 1}, {.limit = 1}};
    fkl_behaviour waiting = {.receive = wait_for_outside};
    for (int i = 0; i < 2; ++i)
        world.actors[i] = spawn(&world, &taking, &states[i]);
    world.actors[2] = spawn(&world, &waiting, &states[2]);
    start_senders(&world, &sender, 1, 2, 1);
    sim_send(world.actors[2], 1);
    sim_join(&sender.task);
    for (int i = 0; i < 3; ++i)
        sim_join_actor(world.actors[i]);
    sim_end_runtime(world.runtime);
}

static void kill_one(void *arg)
{
    fkl_actor_kill(arg, 9);
}

static void stop_one(void *arg)
{
    fkl_actor_stop(arg);
}

SIM_SCENARIO(whoever_ends_it_an_actor_finishes_once)
{
    struct world world = {.runtime = sim_runtime_with(1 + sim_below(3))};
    struct sender sender;
    struct state states[3] = {{.limit = 1 + sim_below(3)}, {.limit = 2}, {.limit = 0}};
    sim_task killer;
    sim_task stopper;
    for (int i = 0; i < 3; ++i)
        world.actors[i] = spawn(&world, &taking, &states[i]);
    start_senders(&world, &sender, 1, 3, 2);
    sim_start(&killer, "killer", kill_one, world.actors[0]);
    sim_start(&stopper, "stopper", stop_one, world.actors[1]);
    sim_join(&sender.task);
    sim_join(&killer);
    sim_join(&stopper);
    for (int i = 0; i < 3; ++i)
        fkl_actor_release(world.actors[i]);
    sim_end_runtime(world.runtime); // ends the third
    SIM_CHECK(world.finishes == 3 && world.starts <= 3, "%u, %u", world.finishes, world.starts);
}

struct spawner {
    struct world *world;
    struct state states[2];
    uint32_t spawned;
    sim_task task;
};

static void spawn_some(void *arg)
{
    struct spawner *spawner = arg;
    for (int i = 0; i < 2; ++i) {
        spawner->states[i].world = spawner->world;
        fkl_err err =
            fkl_spawn_pooled(spawner->world->runtime, NULL, &taking, &spawner->states[i], NULL);
        spawner->spawned += !err;
        SIM_CHECK(!err || err == FKL_ESHUTDOWN ||
                      (err == FKL_ETHREAD && sim_may_fail(SIM_FAIL_THREADS)) ||
                      (err == FKL_ENOMEM && sim_may_fail(SIM_FAIL_MEMORY)),
                  "%s", fkl_err_name(err));
    }
}

SIM_SCENARIO(a_shutdown_meets_the_first_spawns, .faults = SIM_FAIL_THREADS)
{
    struct world world = {.runtime = sim_runtime_with(1 + sim_below(2))};
    struct spawner spawners[2];
    for (int i = 0; i < 2; ++i) {
        spawners[i] = (struct spawner){.world = &world};
        sim_start(&spawners[i].task, "spawner", spawn_some, &spawners[i]);
    }
    fkl_err err = fkl_runtime_shutdown(world.runtime, sim_deadline());
    SIM_CHECK(!err || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
    sim_join(&spawners[0].task);
    sim_join(&spawners[1].task);
    sim_end_runtime(world.runtime);
    SIM_CHECK(world.finishes == spawners[0].spawned + spawners[1].spawned, "%u", world.finishes);
}

SIM_SCENARIO(without_memory_nothing_is_left_behind, .faults = SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime()};
    struct spawner spawner = {.world = &world};
    spawn_some(&spawner);
    sim_end_runtime(world.runtime);
    SIM_CHECK(world.finishes == spawner.spawned, "%u", world.finishes);
}
