// SPDX-License-Identifier: Apache-2.0
//
// Circles of actors that ask each other: in every interleaving exactly one of them is told, and
// none is told where there is no circle. One that is not found is a deadlock, which the simulation
// sees.

#include "support/sim.h"

enum { MOST = 3 };

struct world {
    fkl_runtime *runtime;
    fkl_actor *actors[MOST];
    sim_gate ready;
    uint32_t told;
    uint32_t answered;
    uint32_t done;
};

struct member {
    struct world *world;
    int whom; // -1: asks nobody
    bool sends_on;
};

static void answer(struct world *world, fkl_msg *request)
{
    fkl_msg *reply = sim_msg(world->runtime, fkl_msg_tag(request));
    fkl_err err = fkl_reply(request, reply);
    if (err)
        fkl_msg_destroy(reply);
    fkl_msg_destroy(request);
}

static void put_question(struct world *world, int whom)
{
    fkl_msg *out = NULL;
    fkl_err err = fkl_ask_until(world->runtime, fkl_actor_get_id(world->actors[whom]),
                                sim_msg(world->runtime, 1), FKL_FOREVER, &out);
    SIM_CHECK(!err || err == FKL_EDEADLK, "%s", fkl_err_name(err));
    world->told += err == FKL_EDEADLK;
    world->answered += !err;
    fkl_msg_destroy(out);
}

static void serve(struct member *member)
{
    struct world *world = member->world;
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        if (!member->sends_on || fkl_actor_send(world->actors[2], msg) != FKL_OK)
            answer(world, msg);
    }
}

static void take_part(fkl_actor *self, void *arg)
{
    (void)self;
    struct member *member = arg;
    sim_pass(&member->world->ready);
    if (member->whom >= 0)
        put_question(member->world, member->whom);
    ++member->world->done;
    serve(member);
}

static void run(struct world *world, struct member *members, int count)
{
    world->runtime = sim_runtime();
    for (int i = 0; i < count; ++i) {
        members[i].world = world;
        world->actors[i] = sim_spawn(world->runtime, "member", take_part, &members[i]);
    }
    sim_open(&world->ready);
    while (world->done < (uint32_t)count)
        sim_sleep_until(fkl_after_ms(1));
    for (int i = 0; i < count; ++i)
        fkl_actor_stop(world->actors[i]);
    for (int i = 0; i < count; ++i)
        SIM_OK(fkl_actor_join_thread_until(world->actors[i], FKL_FOREVER));
    for (int i = 0; i < count; ++i)
        sim_join_actor(world->actors[i]);
    sim_end_runtime(world->runtime);
}

SIM_SCENARIO(of_two_that_ask_each_other_one_is_told)
{
    struct world world = {0};
    struct member members[2] = {{.whom = 1}, {.whom = 0}};
    run(&world, members, 2);
    // Both may be answered, if one had finished asking when the other began.
    SIM_CHECK(world.told <= 1 && world.told + world.answered == 2, "%u told", world.told);
}

SIM_SCENARIO(of_three_in_a_ring_one_is_told_at_most)
{
    struct world world = {0};
    struct member members[3] = {{.whom = 1}, {.whom = 2}, {.whom = 0}};
    run(&world, members, 3);
    SIM_CHECK(world.told <= 1 && world.told + world.answered == 3, "%u told", world.told);
}

// The first asks the second, which sends the request on to the third, which asks the first.
SIM_SCENARIO(a_circle_closed_by_sending_on_is_found)
{
    struct world world = {0};
    struct member members[3] = {{.whom = 1}, {.whom = -1, .sends_on = true}, {.whom = 0}};
    run(&world, members, 3);
    SIM_CHECK(world.told <= 1 && world.told + world.answered == 2, "%u told", world.told);
}

// ---- where there is none

static void ask_and_listen(fkl_actor *self, void *arg)
{
    (void)self;
    struct member *member = arg;
    fkl_msg *msg = NULL;
    sim_pass(&member->world->ready);
    put_question(member->world, member->whom);
    SIM_OK(fkl_receive_until(FKL_FOREVER, &msg));
    answer(member->world, msg);
}

static void answer_and_ask_back(fkl_actor *self, void *arg)
{
    (void)self;
    struct member *member = arg;
    fkl_msg *msg = NULL;
    sim_pass(&member->world->ready);
    SIM_OK(fkl_receive_until(FKL_FOREVER, &msg));
    answer(member->world, msg);
    put_question(member->world, member->whom);
}

static void ask_further_and_answer(fkl_actor *self, void *arg)
{
    (void)self;
    struct member *member = arg;
    fkl_msg *msg = NULL;
    sim_pass(&member->world->ready);
    SIM_OK(fkl_receive_until(FKL_FOREVER, &msg));
    put_question(member->world, member->whom);
    answer(member->world, msg);
}

// The first asks the last, directly or over the second; the last answers and at once asks the
// first, which may not have seen its answer, and may just now look for circles. At no time is there
// one.
static void run_return(bool over_another)
{
    struct world world = {.runtime = sim_runtime()};
    int last = over_another ? 2 : 1;
    struct member members[MOST] = {{&world, 1, false}, {&world, 2, false}, {&world, 0, false}};
    members[last].whom = 0;
    world.actors[0] = sim_spawn(world.runtime, "first", ask_and_listen, &members[0]);
    if (over_another)
        world.actors[1] = sim_spawn(world.runtime, "between", ask_further_and_answer, &members[1]);
    world.actors[last] = sim_spawn(world.runtime, "last", answer_and_ask_back, &members[last]);
    sim_open(&world.ready);
    for (int i = 0; i <= last; ++i)
        SIM_OK(fkl_actor_join_thread_until(world.actors[i], FKL_FOREVER));
    for (int i = 0; i <= last; ++i)
        sim_join_actor(world.actors[i]);
    SIM_CHECK(world.told == 0, "a circle that is none");
    sim_end_runtime(world.runtime);
}

SIM_SCENARIO(who_has_answered_may_ask_back)
{
    run_return(false);
}

SIM_SCENARIO(edges_that_were_never_there_at_once_are_no_circle)
{
    run_return(true);
}
