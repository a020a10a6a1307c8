// SPDX-License-Identifier: Apache-2.0
//
// Bounded mailboxes, receives by choice and draining: senders that wait for places or discard the
// oldest message, against a receiver that sleeps, chooses, drains or ends.

#include "support/sim.h"

struct world {
    fkl_runtime *runtime;
    fkl_actor *receiver;
    uint32_t capacity;
    fkl_full full;
    bool by_choice;
    uint32_t limit; // messages after which the receiver returns
    uint32_t received;
    uint32_t offered;
    uint64_t last[3]; // of each sender
};

static void take(struct world *world, fkl_msg *msg)
{
    uint64_t sender = fkl_msg_tag(msg) >> 32;
    uint64_t number = fkl_msg_tag(msg) & 0xffffffff;
    SIM_CHECK(number > world->last[sender], "%llu after %llu", (unsigned long long)number,
              (unsigned long long)world->last[sender]);
    world->last[sender] = number;
    ++world->received;
    fkl_msg_destroy(msg);
}

struct choice {
    struct world *world;
    uint64_t sender;
};

static bool is_from(const fkl_msg *msg, void *ctx)
{
    struct choice *choice = ctx;
    ++choice->world->offered;
    uint64_t tag = fkl_msg_tag(msg);
    sim_yield();
    SIM_CHECK(tag == fkl_msg_tag(msg), "the message went away");
    return tag >> 32 == choice->sender;
}

// Receives until it is told to end, and looks at the bound.
static void receive(fkl_actor *self, void *arg)
{
    struct world *world = arg;
    struct choice choice = {world, 0};
    fkl_msg *msg = NULL;
    fkl_err err = FKL_OK;
    while (world->received < world->limit && err != FKL_ESTOPPED) {
        choice.sender = sim_below(2);
        err = world->by_choice && sim_below(2) ? fkl_try_receive_match(0, is_from, &choice, &msg)
                                               : fkl_receive_until(FKL_FOREVER, &msg);
        size_t len = fkl_actor_mailbox_len(self);
        SIM_CHECK(world->capacity == 0 || len <= world->capacity, "%zu", len);
        if (err == FKL_OK)
            take(world, msg);
        else
            SIM_CHECK(err == FKL_ESTOPPED || err == FKL_EINTR || err == FKL_EEMPTY, "%s",
                      fkl_err_name(err));
        // A choice that finds nothing in a drained mailbox does not mean that it is empty.
        if (err == FKL_ESTOPPED && fkl_actor_is_draining(self) && len > 0)
            err = FKL_OK;
    }
}

static void begin(struct world *world, uint32_t capacity, fkl_full full, fkl_actor_fn fn)
{
    fkl_spawn_options options = {
        .name = "receiver", .mailbox_capacity = capacity, .mailbox_full = full};
    world->runtime = sim_runtime();
    world->capacity = capacity;
    world->full = full;
    SIM_OK(fkl_spawn(world->runtime, &options, fn, world, &world->receiver));
}

struct sender {
    struct world *world;
    uint64_t number;
    bool patient; // has no deadlines
    uint32_t accepted;
    uint32_t refused; // as there is nobody who would receive it
    sim_task task;
};

static void send_three(void *arg)
{
    struct sender *sender = arg;
    for (uint64_t i = 1; i <= 3; ++i) {
        fkl_msg *msg = sim_msg(sender->world->runtime, sender->number << 32 | i);
        fkl_time deadline = sender->patient ? FKL_FOREVER : sim_deadline();
        fkl_err err = fkl_actor_send_until(sender->world->receiver, msg, deadline);
        if (err == FKL_OK) {
            ++sender->accepted;
            continue;
        }
        fkl_msg_destroy(msg);
        sender->refused += err == FKL_ENOACTOR || err == FKL_ECLOSED;
        SIM_CHECK(err == FKL_ENOACTOR || err == FKL_ECLOSED || err == FKL_EINTR ||
                      (err == FKL_EFULL && sender->world->full == FKL_FULL_FAIL) ||
                      (err == FKL_ETIMEDOUT && deadline != FKL_FOREVER),
                  "%s", fkl_err_name(err));
    }
}

static void start_senders(struct world *world, struct sender senders[2], bool patient)
{
    for (uint64_t i = 0; i < 2; ++i) {
        senders[i] = (struct sender){.world = world, .number = i, .patient = patient};
        sim_start(&senders[i].task, "sender", send_three, &senders[i]);
    }
}

// Waits for the senders, drains the receiver and waits for it; returns what was accepted.
static uint32_t end(struct world *world, struct sender senders[2])
{
    sim_join(&senders[0].task);
    sim_join(&senders[1].task);
    fkl_actor_drain(world->receiver);
    sim_join_actor(world->receiver);
    fkl_counters count;
    fkl_runtime_counters(world->runtime, &count);
    uint32_t accepted = senders[0].accepted + senders[1].accepted;
    SIM_CHECK(count.handled == world->received, "%llu", (unsigned long long)count.handled);
    SIM_CHECK(count.sent == accepted + senders[0].refused + senders[1].refused, "%llu",
              (unsigned long long)count.sent);
    sim_end_runtime(world->runtime);
    return accepted;
}

SIM_SCENARIO(every_waiting_sender_gets_its_place, .faults = SIM_SIGNALS)
{
    struct world world = {.limit = UINT32_MAX, .by_choice = sim_below(2) == 0};
    struct sender senders[2];
    begin(&world, 1 + sim_below(2), FKL_FULL_WAIT, receive);
    start_senders(&world, senders, sim_below(2) == 0);
    uint32_t accepted = end(&world, senders);
    SIM_CHECK(world.received == accepted, "%u of %u", world.received, accepted);
}

SIM_SCENARIO(discarding_the_oldest_leaves_order_bound_and_wake_ups_alone)
{
    struct world world = {.limit = UINT32_MAX, .by_choice = sim_below(2) == 0};
    struct sender senders[2];
    begin(&world, 1 + sim_below(2), FKL_FULL_DROP_OLDEST, receive);
    start_senders(&world, senders, true);
    uint32_t accepted = end(&world, senders);
    SIM_CHECK(accepted == 6 && world.received > 0, "%u of %u", world.received, accepted);
}

SIM_SCENARIO(a_receiver_that_returns_lets_all_senders_go)
{
    struct world world = {.limit = 1 + sim_below(3), .by_choice = sim_below(2) == 0};
    struct sender senders[2];
    begin(&world, 1, (fkl_full)sim_below(4), receive);
    start_senders(&world, senders, true);
    end(&world, senders);
}

static void kill(void *arg)
{
    fkl_actor_kill(arg, 9);
}

static void drain(void *arg)
{
    fkl_actor_drain(arg);
}

SIM_SCENARIO(a_kill_lets_all_senders_go)
{
    struct world world = {.limit = UINT32_MAX, .by_choice = sim_below(2) == 0};
    struct sender senders[2];
    sim_task killer;
    begin(&world, 1, (fkl_full)sim_below(4), receive);
    start_senders(&world, senders, true);
    sim_start(&killer, "killer", kill, world.receiver);
    sim_join(&killer);
    end(&world, senders);
}

SIM_SCENARIO(what_was_accepted_before_a_drain_is_received)
{
    struct world world = {.limit = UINT32_MAX, .by_choice = sim_below(2) == 0};
    struct sender senders[2];
    sim_task drainer;
    begin(&world, sim_below(3), (fkl_full)sim_below(2), receive);
    start_senders(&world, senders, true);
    sim_start(&drainer, "drainer", drain, world.receiver);
    sim_join(&drainer);
    uint32_t accepted = end(&world, senders);
    SIM_CHECK(world.received == accepted, "%u of %u", world.received, accepted);
}

// ---- one place, and no receiver yet

static void receive_later(fkl_actor *self, void *arg)
{
    while (!fkl_actor_is_draining(self))
        SIM_CHECK(fkl_sleep_until(fkl_after_ns(1000)) != FKL_ESTOPPED, "nobody stops it");
    receive(self, arg);
}

static void send_one(void *arg)
{
    struct sender *sender = arg;
    fkl_msg *msg = sim_msg(sender->world->runtime, 2);
    fkl_err err = fkl_actor_send(sender->world->receiver, msg);
    sender->accepted = err == FKL_OK;
    if (err == FKL_OK)
        return;
    SIM_CHECK(err == FKL_ECLOSED || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
    fkl_msg_destroy(msg);
}

SIM_SCENARIO(a_message_that_a_drain_refuses_costs_no_other_one)
{
    struct world world = {.limit = UINT32_MAX};
    struct sender sender = {.world = &world};
    begin(&world, 1, FKL_FULL_DROP_OLDEST, receive_later);
    SIM_CHECK(sim_send(world.receiver, 1), "there is a place");
    sim_start(&sender.task, "sender", send_one, &sender);
    fkl_actor_drain(world.receiver);
    sim_join(&sender.task);
    sim_join_actor(world.receiver);
    SIM_CHECK(world.received == 1, "%u", world.received);
    SIM_CHECK(world.last[0] == (sender.accepted ? 2 : 1), "%llu",
              (unsigned long long)world.last[0]);
    sim_end_runtime(world.runtime);
}

// ---- by choice

static bool is_third(const fkl_msg *msg, void *ctx)
{
    struct world *world = ctx;
    ++world->offered;
    return (fkl_msg_tag(msg) & 0xffffffff) == 3;
}

static void choose_thirds(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    for (int i = 0; i < 2; ++i) {
        fkl_err err;
        do {
            world->offered = 0;
            err = fkl_receive_match_until(0, is_third, world, FKL_FOREVER, &msg);
            SIM_CHECK(world->offered <= 6, "%u of 6 messages", world->offered);
        } while (err == FKL_EINTR);
        SIM_OK(err);
        fkl_msg_destroy(msg);
        ++world->received;
    }
    for (int i = 0; i < 4; ++i) {
        SIM_OK(fkl_try_receive(&msg));
        take(world, msg);
    }
}

SIM_SCENARIO(a_choice_finds_what_comes_while_it_looks_and_sleeps, .faults = SIM_SIGNALS)
{
    struct world world = {.limit = UINT32_MAX};
    struct sender senders[2];
    begin(&world, 0, FKL_FULL_WAIT, choose_thirds);
    start_senders(&world, senders, true);
    end(&world, senders);
    SIM_CHECK(world.received == 6, "%u", world.received);
}
