// SPDX-License-Identifier: Apache-2.0
//
// Timers against cancels and shutdowns: whatever is armed comes back exactly once, and a message
// that was to be sent later is either sent or destroyed.

#include "support/sim.h"

#include "memory.h"
#include "registry.h"
#include "timer.h"

struct node {
    fkli_timer timer; // first
    fkli_timers *timers;
    fkl_time deadline;
    uint32_t came_back; // how often
    uint32_t again;     // how often it is armed again when it fires
    sim_gate back;
};

static void node_fire(fkli_timer *timer, bool due)
{
    struct node *node = (struct node *)timer;
    SIM_CHECK(!due || fkl_now() >= node->deadline, "too early");
    if (due && node->again > 0) {
        --node->again;
        node->deadline = fkl_after_ns(50);
        if (fkli_timer_arm(node->timers, timer, node->deadline) == FKL_OK)
            return; // it may have come back already
    }
    ++node->came_back;
    sim_open(&node->back);
}

static bool arm(struct node *node, fkli_timers *timers, uint32_t again)
{
    *node = (struct node){.timers = timers, .again = again};
    fkli_timer_init(&node->timer, node_fire);
    node->deadline = fkl_after_ns(sim_below(400));
    fkl_err err = fkli_timer_arm(timers, &node->timer, node->deadline);
    SIM_CHECK(!err || err == FKL_ETHREAD || err == FKL_ESHUTDOWN, "%s", fkl_err_name(err));
    return !err;
}

static void cancel(void *arg)
{
    struct node *node = arg;
    if (fkli_timer_cancel(node->timers, &node->timer)) {
        ++node->came_back;
        sim_open(&node->back);
    }
}

static void move_earlier(void *arg)
{
    struct node *node = arg;
    // Under the check of node_fire(): it may fire before the call returns.
    node->deadline = 0;
    fkli_timer_move(node->timers, &node->timer, FKL_NO_WAIT);
}

static void stop(fkli_timers *timers)
{
    fkl_err err;
    while ((err = fkli_timers_stop(timers, sim_deadline()))) {
        SIM_CHECK(err == FKL_ETIMEDOUT || err == FKL_EINTR, "%s", fkl_err_name(err));
        sim_yield();
    }
    SIM_CHECK(fkli_timers_are_stopped(timers), "a thread runs");
    fkli_timers_destroy(timers);
}

SIM_SCENARIO(a_timer_comes_back_once, .faults = SIM_FAIL_THREADS | SIM_SIGNALS)
{
    fkli_timers *timers = NULL;
    struct node nodes[3];
    bool armed[3];
    sim_task tasks[2];
    SIM_OK(fkli_timers_create(fkli_allocator_of(NULL), &timers));
    for (uint32_t i = 0; i < 3; ++i)
        armed[i] = arm(&nodes[i], timers, i);
    sim_start(&tasks[0], "canceller", cancel, &nodes[sim_below(3)]);
    sim_start(&tasks[1], "mover", move_earlier, &nodes[0]);
    sim_join(&tasks[1]);
    sim_join(&tasks[0]);
    // A stop gives back what is armed still, or waits for it.
    bool patient = sim_below(2);
    for (uint32_t i = 0; patient && i < 3; ++i) {
        if (armed[i])
            sim_pass(&nodes[i].back);
    }
    stop(timers);
    for (uint32_t i = 0; i < 3; ++i)
        SIM_CHECK(nodes[i].came_back == armed[i], "%u: %u times", i, nodes[i].came_back);
}

static void arm_late(void *arg)
{
    struct node *node = arg;
    bool armed = arm(node, node->timers, 0);
    if (armed)
        sim_pass(&node->back);
}

SIM_SCENARIO(a_timer_armed_during_the_stop_comes_back_or_is_refused, .faults = SIM_FAIL_THREADS)
{
    fkli_timers *timers = NULL;
    SIM_OK(fkli_timers_create(fkli_allocator_of(NULL), &timers));
    struct node nodes[2] = {{.timers = timers}, {.timers = timers}};
    sim_task tasks[2];
    sim_start(&tasks[0], "first", arm_late, &nodes[0]);
    sim_start(&tasks[1], "second", arm_late, &nodes[1]);
    fkl_err err = fkli_timers_stop(timers, FKL_FOREVER);
    SIM_CHECK(!err, "%s", fkl_err_name(err));
    sim_join(&tasks[0]);
    sim_join(&tasks[1]);
    stop(timers);
}

// Messages.

struct world {
    fkl_runtime *runtime;
    fkl_actor *receiver;
    fkl_timer_ref ref;
    uint32_t received;
    uint32_t cancelled;
    bool repeated;
};

static void count_mail(fkl_actor *self, void *arg)
{
    (void)self;
    struct world *world = arg;
    fkl_msg *msg = NULL;
    fkl_err err;
    while ((err = fkl_receive_until(FKL_FOREVER, &msg)) != FKL_ESTOPPED) {
        if (err)
            continue;
        ++world->received;
        fkl_msg_destroy(msg);
    }
}

static bool send_later(struct world *world)
{
    fkl_msg *msg = sim_msg(world->runtime, 1);
    fkl_actor_id to = fkl_actor_get_id(world->receiver);
    fkl_time when = fkl_after_ns(sim_below(300));
    fkl_err err = world->repeated ? fkl_send_every(world->runtime, to, msg, when, 70, &world->ref)
                                  : fkl_send_at(world->runtime, to, msg, when, &world->ref);
    if (!err)
        return true;
    SIM_CHECK(err == FKL_ENOMEM || err == FKL_ETHREAD || err == FKL_ENOACTOR ||
                  err == FKL_ESHUTDOWN,
              "%s", fkl_err_name(err));
    fkl_msg_destroy(msg);
    return false;
}

static void cancel_message(void *arg)
{
    struct world *world = arg;
    if (fkl_timer_cancel(world->runtime, world->ref))
        ++world->cancelled;
}

SIM_SCENARIO(a_message_is_cancelled_or_arrives, .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime()};
    sim_task tasks[2];
    world.receiver = sim_spawn(world.runtime, "receiver", count_mail, &world);
    bool made = send_later(&world);
    sim_start(&tasks[0], "canceller", cancel_message, &world);
    sim_start(&tasks[1], "other", cancel_message, &world);
    sim_join(&tasks[0]);
    sim_join(&tasks[1]);
    int64_t left;
    SIM_CHECK(!fkl_timer_left(world.runtime, world.ref, &left), "it is over either way");
    while (world.received + world.cancelled < made)
        sim_yield(); // it is on its way
    fkl_actor_stop(world.receiver);
    sim_join_actor(world.receiver);
    SIM_CHECK(world.received + world.cancelled == made, "received %u, cancelled %u", world.received,
              world.cancelled);
    sim_end_runtime(world.runtime);
}

SIM_SCENARIO(a_cancelled_repetition_ends, .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime(), .repeated = true};
    sim_task canceller;
    world.receiver = sim_spawn(world.runtime, "receiver", count_mail, &world);
    bool made = send_later(&world);
    sim_start(&canceller, "canceller", cancel_message, &world);
    sim_join(&canceller);
    SIM_CHECK(world.cancelled == made, "it had ended");
    // One tick may be on its way, but it does not arm the timer again.
    for (int i = 0; i < 3; ++i) {
        SIM_CHECK(fkli_timers_len(world.runtime->timers) == 0, "it goes on");
        SIM_OK(fkl_sleep_until(fkl_after_ns(100)));
    }
    fkl_actor_stop(world.receiver);
    sim_join_actor(world.receiver);
    sim_end_runtime(world.runtime);
}

static void kill_receiver(void *arg)
{
    struct world *world = arg;
    fkl_actor_kill(world->receiver, 1);
}

SIM_SCENARIO(a_shutdown_loses_no_message_that_is_to_be_sent,
             .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct world world = {.runtime = sim_runtime(), .repeated = sim_below(2)};
    sim_task killer;
    world.receiver = sim_spawn(world.runtime, "receiver", count_mail, &world);
    sim_start(&killer, "killer", kill_receiver, &world);
    send_later(&world);
    world.repeated = !world.repeated;
    send_later(&world);
    if (sim_below(2))
        SIM_OK(fkl_sleep_until(fkl_after_ns(sim_below(400))));
    SIM_OK(fkl_runtime_shutdown(world.runtime, FKL_FOREVER));
    sim_join(&killer);
    fkl_actor_release(world.receiver);
    sim_end_runtime(world.runtime); // every block is free: sim.c checks
}

// An earlier timer wakes the thread that sleeps until a later one.

struct order {
    fkl_runtime *runtime;
    fkl_actor *receiver;
    fkl_time time;
    uint64_t last;
};

static const int64_t apart = 10000000000;

static fkl_time time_of(const struct order *order, uint64_t place)
{
    return order->time + (int64_t)place * apart;
}

static void receive_in_order(fkl_actor *self, void *arg)
{
    (void)self;
    struct order *order = arg;
    fkl_msg *msg = NULL;
    for (int i = 0; i < 4; ++i) {
        SIM_OK(fkl_receive_until(FKL_FOREVER, &msg));
        SIM_CHECK(fkl_msg_tag(msg) > order->last, "%llu after %llu",
                  (unsigned long long)fkl_msg_tag(msg), (unsigned long long)order->last);
        order->last = fkl_msg_tag(msg);
        fkl_time late = fkl_now() - time_of(order, order->last);
        SIM_CHECK(late >= 0 && late < apart / 2, "late by %lld", (long long)late);
        fkl_msg_destroy(msg);
    }
}

static void send_in_order(struct order *order, uint32_t place)
{
    fkl_msg *msg = sim_msg(order->runtime, place);
    SIM_OK(fkl_send_at(order->runtime, fkl_actor_get_id(order->receiver), msg,
                       time_of(order, place), NULL));
}

static void send_second_and_fourth(void *arg)
{
    send_in_order(arg, 4);
    send_in_order(arg, 2);
}

SIM_SCENARIO(messages_arrive_in_the_order_of_their_times)
{
    struct order order = {.runtime = sim_runtime(), .time = fkl_after_ms(10000000)};
    sim_task sender;
    order.receiver = sim_spawn(order.runtime, "receiver", receive_in_order, &order);
    sim_start(&sender, "sender", send_second_and_fourth, &order);
    send_in_order(&order, 3);
    sim_settle();
    send_in_order(&order, 1);
    sim_join(&sender);
    sim_join_actor(order.receiver);
    sim_end_runtime(order.runtime);
}
