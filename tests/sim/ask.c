// SPDX-License-Identifier: Apache-2.0
//
// Asks against everything that can decide them: an answer, a deadline, a cancel, the end of either
// side, a request that goes on. Each ask has one outcome, and both sides agree on it.

#include "support/sim.h"

struct world {
    fkl_runtime *runtime;
    fkl_actor_id server;
    fkl_actor_id next; // where the server sends requests on, or FKL_NOBODY
    fkl_channel *channel;
    sim_gate started;
    unsigned faults;
    fkl_err asked;     // the outcome at the asker
    fkl_err answered;  // what the server's fkl_reply() gave
    bool has_answered; // whether it came to that
    uint32_t messages; // outcomes as messages
    bool cancelled;
};

static void kill(void *arg)
{
    fkl_actor_kill(arg, 7);
}

static fkl_err answer(fkl_runtime *runtime, fkl_msg *request)
{
    fkl_msg *reply = sim_msg(runtime, fkl_msg_tag(request) + 100);
    fkl_err err = fkl_reply(request, reply);
    if (err)
        fkl_msg_destroy(reply);
    return err;
}

static void serve_request(struct world *world, fkl_msg *request)
{
    sim_yield();
    world->answered = answer(world->runtime, request);
    world->has_answered = true;
    SIM_CHECK(!fkl_msg_wants_reply(request), "answered, or given up");
    fkl_msg_destroy(request);
}

static void serve(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        if (world->next == FKL_NOBODY || fkl_actor_get_id(fkl_self()) == world->next)
            serve_request(world, msg);
        else if (fkl_send(world->runtime, world->next, msg) != FKL_OK)
            serve_request(world, msg);
    }
}

static void check_down(const struct world *world, const fkl_msg *msg)
{
    fkl_exit record;
    SIM_OK(fkl_msg_down(msg, NULL, &record, NULL));
    SIM_CHECK(record.id == world->server || record.id == world->next, "who?");
    SIM_CHECK(record.reason == FKL_EXIT_KILLED ? record.code == 7 : record.code == 0, "%d",
              record.code);
}

static void ask(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *out = NULL;
    fkl_msg *request = sim_msg(world->runtime, 1);
    world->asked = fkl_ask_until(world->runtime, world->server, request, sim_deadline(), &out);
    SIM_CHECK((out != NULL) == (world->asked == FKL_OK || world->asked == FKL_EDOWN), "%s",
              fkl_err_name(world->asked));
    if (world->asked == FKL_OK)
        SIM_CHECK(fkl_msg_tag(out) == 101, "%llu", (unsigned long long)fkl_msg_tag(out));
    else if (out)
        check_down(world, out);
    fkl_msg_destroy(out);
}

static void check_agreement(const struct world *world)
{
    if (world->asked == FKL_OK)
        SIM_CHECK(world->has_answered && !world->answered, "%s", fkl_err_name(world->answered));
    else if (world->has_answered)
        SIM_CHECK(world->answered == FKL_ECLOSED, "asked %s, answered %s",
                  fkl_err_name(world->asked), fkl_err_name(world->answered));
}

static void stop_and_join(fkl_actor *actor)
{
    fkl_actor_stop(actor);
    sim_join_actor(actor);
}

SIM_SCENARIO(asker_and_server_agree_whoever_ends, .faults = SIM_SIGNALS | SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task killer;
    fkl_actor *server = sim_spawn(world.runtime, "server", serve, &world);
    world.server = fkl_actor_get_id(server);
    fkl_actor *asker = sim_spawn(world.runtime, "asker", ask, &world);
    sim_settle();
    sim_start(&killer, "killer", kill, sim_below(2) ? server : asker);
    sim_join(&killer);
    sim_join_actor(asker);
    stop_and_join(server);
    check_agreement(&world);
    sim_end_runtime(world.runtime);
}

static void ask_from_outside(void *arg)
{
    ask(NULL, arg);
}

// The one that sends it on is killed, or the one that gets it.
SIM_SCENARIO(a_request_on_its_way_is_answered_or_fails)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task killer, asker;
    fkl_actor *server = sim_spawn(world.runtime, "server", serve, &world);
    fkl_actor *next = sim_spawn(world.runtime, "next", serve, &world);
    world.server = fkl_actor_get_id(server);
    world.next = fkl_actor_get_id(next);
    sim_start(&asker, "asker", ask_from_outside, &world);
    sim_settle();
    sim_start(&killer, "killer", kill, sim_below(2) ? server : next);
    sim_join(&killer);
    sim_join(&asker);
    stop_and_join(server);
    stop_and_join(next);
    check_agreement(&world);
    sim_end_runtime(world.runtime);
}

static void hand_over(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    if (fkl_receive_until(FKL_FOREVER, &msg) != FKL_OK)
        return;
    SIM_OK(fkl_channel_try_send(world->channel, msg));
}

static void take_and_answer(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    if (fkl_channel_receive_until(world->channel, FKL_FOREVER, &msg) == FKL_OK)
        serve_request(world, msg);
}

SIM_SCENARIO(a_request_in_a_channel_belongs_to_who_takes_it)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task killer, asker;
    SIM_OK(fkl_channel_create(world.runtime, 0, &world.channel));
    fkl_actor *server = sim_spawn(world.runtime, "server", hand_over, &world);
    fkl_actor *taker = sim_spawn(world.runtime, "taker", take_and_answer, &world);
    world.server = fkl_actor_get_id(server);
    world.next = fkl_actor_get_id(taker);
    sim_start(&asker, "asker", ask_from_outside, &world);
    sim_settle();
    sim_start(&killer, "killer", kill, sim_below(2) ? server : taker);
    sim_join(&killer);
    fkl_actor_stop(taker); // the request may be left in the channel
    sim_join_actor(taker);
    stop_and_join(server);
    fkl_channel_release(world.channel);
    sim_join(&asker);
    check_agreement(&world);
    sim_end_runtime(world.runtime);
}

static void interrupt(void *arg)
{
    fkl_actor_interrupt(arg);
}

static void ask_then_sleep(fkl_actor *self, void *arg)
{
    struct world *world = arg;
    ask(self, world);
    sim_pass(&world->started); // the interrupt has been sent
    fkl_err slept = fkl_sleep_until(fkl_after_ns(1000));
    SIM_CHECK((world->asked == FKL_EINTR) + (slept == FKL_EINTR) == 1, "%s, then %s",
              fkl_err_name(world->asked), fkl_err_name(slept));
}

SIM_SCENARIO(an_interrupt_is_reported_once)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task disturber;
    fkl_actor *server = sim_spawn(world.runtime, "server", serve, &world);
    world.server = fkl_actor_get_id(server);
    fkl_actor *asker = sim_spawn(world.runtime, "asker", ask_then_sleep, &world);
    sim_settle();
    sim_start(&disturber, "disturber", interrupt, asker);
    sim_join(&disturber);
    sim_open(&world.started);
    sim_join_actor(asker);
    stop_and_join(server);
    check_agreement(&world);
    sim_end_runtime(world.runtime);
}

// ---- outcomes as messages

static void note_outcome(struct world *world, fkl_msg *msg, fkl_ask_ref ref)
{
    fkl_ask_ref of;
    SIM_OK(fkl_msg_reply(msg, &of, &world->asked));
    SIM_CHECK(of == ref, "another one's");
    if (world->asked == FKL_OK)
        SIM_CHECK(fkl_msg_tag(msg) == 101, "%llu", (unsigned long long)fkl_msg_tag(msg));
    else if (world->asked == FKL_EDOWN)
        check_down(world, msg);
    else
        SIM_CHECK(world->asked == FKL_ETIMEDOUT || world->asked == FKL_ENOREPLY, "%s",
                  fkl_err_name(world->asked));
    ++world->messages;
    fkl_msg_destroy(msg);
}

static void ask_aside(fkl_actor *self, void *arg)
{
    struct world *world = arg;
    fkl_ask_ref ref;
    fkl_msg *msg = NULL;
    world->asked = fkl_ask_start(world->runtime, world->server, sim_msg(world->runtime, 1),
                                 sim_deadline(), &ref);
    if (world->asked)
        return;
    world->asked = FKL_ECLOSED; // unless a message says otherwise
    fkl_err err = fkl_receive_until(sim_deadline(), &msg);
    if (!err)
        note_outcome(world, msg, ref);
    world->cancelled = fkl_ask_cancel(ref);
    if (!fkl_actor_stop_requested(self)) // the end of the asker ends its asks
        SIM_CHECK(world->cancelled == (err != FKL_OK), "%d after %s", world->cancelled,
                  fkl_err_name(err));
    sim_sleep_until(fkl_after_ms(100000)); // whatever comes has come
    err = fkl_try_receive(&msg);
    SIM_CHECK(err == FKL_EEMPTY || err == FKL_ESTOPPED, "%s", fkl_err_name(err));
}

SIM_SCENARIO(one_message_comes_or_none_after_a_cancel, .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task killer;
    fkl_actor *server = sim_spawn(world.runtime, "server", serve, &world);
    world.server = fkl_actor_get_id(server);
    fkl_actor *asker = sim_spawn(world.runtime, "asker", ask_aside, &world);
    uint32_t victim = sim_below(3);
    sim_settle();
    if (victim < 2) {
        sim_start(&killer, "killer", kill, victim ? server : asker);
        sim_join(&killer);
    }
    sim_join_actor(asker);
    stop_and_join(server);
    SIM_CHECK(world.messages <= 1, "%u", world.messages);
    // An answer that was accepted may have been overtaken by a cancel or by the asker's end.
    if (world.messages && world.asked == FKL_OK)
        SIM_OK(world.answered);
    else if (world.messages && world.has_answered)
        SIM_ERR(world.answered, FKL_ECLOSED);
    sim_end_runtime(world.runtime);
}
