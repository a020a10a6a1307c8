// SPDX-License-Identifier: Apache-2.0
//
// Supervisors in every interleaving: kills, requests, stops and shutdowns that meet restarts, also
// when threads or memory are short. No two incarnations run at once; what was accepted is received
// in order; everything ends.

#include "support/sim.h"

#define MILLISECOND INT64_C(1000000)

struct nursery {
    fkl_runtime *runtime;
    fkl_actor *boss;
    fkl_actor_id latest; // incarnation of the first child
    uint32_t running[3];
    uint32_t starts[3];
    uint64_t received;
    uint64_t accepted;
    sim_gate gate;
    bool stubborn; // the children end only when the gate is open
};

struct cradle {
    struct nursery *nursery;
    uint32_t place;
};

static void live(fkl_actor *self, void *arg)
{
    const struct cradle *cradle = arg;
    struct nursery *nursery = cradle->nursery;
    fkl_msg *msg;
    SIM_CHECK(nursery->running[cradle->place]++ == 0, "two incarnations at once");
    ++nursery->starts[cradle->place];
    if (cradle->place == 0)
        nursery->latest = fkl_actor_get_id(self);
    for (;;) {
        fkl_err err = fkl_receive_until(FKL_FOREVER, &msg);
        if (err == FKL_ESTOPPED)
            break;
        if (err)
            continue;
        uint64_t tag = fkl_msg_tag(msg);
        fkl_msg_destroy(msg);
        SIM_CHECK(tag == nursery->received + 1, "%llu after %llu", (unsigned long long)tag,
                  (unsigned long long)nursery->received);
        nursery->received = tag;
    }
    if (nursery->stubborn)
        sim_pass(&nursery->gate);
    --nursery->running[cradle->place];
}

static fkl_err start(struct nursery *nursery, struct cradle *cradles, uint32_t count,
                     fkl_supervisor_options options)
{
    static const char *const ids[] = {"one", "two", "three"};
    fkl_child_spec specs[3] = {{0}};
    for (uint32_t i = 0; i < count; ++i) {
        cradles[i] = (struct cradle){nursery, i};
        specs[i].id = ids[i];
        specs[i].spawn.register_as = ids[i];
        specs[i].fn = live;
        specs[i].arg = &cradles[i];
        specs[i].stop_ns = nursery->stubborn ? MILLISECOND : 0;
        specs[i].kill_ns = nursery->stubborn ? MILLISECOND : 0;
    }
    options.children = specs;
    options.child_count = count;
    nursery->runtime = sim_runtime();
    return fkl_supervisor_start_until(nursery->runtime, NULL, &options, FKL_FOREVER, &nursery->boss,
                                      NULL);
}

static void check_empty(const struct nursery *nursery)
{
    for (int i = 0; i < 3; ++i)
        SIM_CHECK(nursery->running[i] == 0, "%d still runs", i);
}

static void finish(struct nursery *nursery)
{
    fkl_actor_stop(nursery->boss);
    sim_join_actor(nursery->boss);
    check_empty(nursery);
    sim_end_runtime(nursery->runtime);
}

// What disturbs.

static void kill_one(void *arg)
{
    struct nursery *nursery = arg;
    fkl_actor *actor;
    if (fkl_whereis_actor(nursery->runtime, "one", &actor))
        return;
    if (sim_below(3) == 0)
        fkl_actor_stop(actor);
    else
        fkl_actor_kill(actor, 1);
    fkl_actor_release(actor);
}

static void send_three(void *arg)
{
    struct nursery *nursery = arg;
    for (uint64_t tag = 1; tag <= 3;) {
        fkl_msg *msg = sim_msg(nursery->runtime, tag);
        fkl_err err = fkl_send_named(nursery->runtime, "one", msg);
        if (err) {
            SIM_CHECK(err == FKL_ENOACTOR, "%s", fkl_err_name(err));
            fkl_msg_destroy(msg);
            sim_yield();
            continue;
        }
        nursery->accepted = tag++;
    }
}

static void check_answer(fkl_err err, bool faults)
{
    SIM_CHECK(err == FKL_OK || err == FKL_ENOACTOR || err == FKL_ETIMEDOUT || err == FKL_EINTR ||
                  err == FKL_EEXIST || err == FKL_ESHUTDOWN ||
                  (faults && (err == FKL_ENOMEM || err == FKL_ETHREAD)),
              "%s", fkl_err_name(err));
}

static void restart_one(void *arg)
{
    struct nursery *nursery = arg;
    check_answer(fkl_supervisor_restart_until(nursery->boss, 1, sim_deadline()), true);
}

static void remove_one(void *arg)
{
    struct nursery *nursery = arg;
    check_answer(fkl_supervisor_remove_until(nursery->boss, 1, sim_deadline()), true);
}

static void idle(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    while (fkl_sleep_until(FKL_FOREVER) != FKL_ESTOPPED)
        ; // interrupted
}

static void add_one(void *arg)
{
    struct nursery *nursery = arg;
    fkl_child_spec spec = {.id = "added", .fn = idle};
    check_answer(fkl_supervisor_add_until(nursery->boss, &spec, sim_deadline(), NULL), true);
}

static void stop_boss(void *arg)
{
    struct nursery *nursery = arg;
    if (sim_below(2) == 0)
        fkl_actor_stop(nursery->boss);
    else
        fkl_actor_kill(nursery->boss, 2);
}

static void disturb(struct nursery *nursery, void (*first)(void *arg), void (*second)(void *arg))
{
    sim_task tasks[2];
    sim_start(&tasks[0], "first", first, nursery);
    sim_start(&tasks[1], "second", second, nursery);
    sim_join(&tasks[0]);
    sim_join(&tasks[1]);
}

// Scenarios.

SIM_SCENARIO(messages_outlive_a_kill_in_their_order)
{
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.max_restarts = FKL_RESTARTS_UNLIMITED};
    SIM_OK(start(&nursery, cradles, 1, options));
    disturb(&nursery, send_three, kill_one);
    while (nursery.received < nursery.accepted)
        sim_yield();
    finish(&nursery);
}

SIM_SCENARIO(two_kills_make_restarts_that_do_not_overlap)
{
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3),
                                      .max_restarts = FKL_RESTARTS_UNLIMITED,
                                      .backoff_ns = sim_below(2) ? MILLISECOND : 0};
    SIM_OK(start(&nursery, cradles, 2, options));
    disturb(&nursery, kill_one, kill_one);
    finish(&nursery);
}

SIM_SCENARIO(a_stop_may_meet_a_restart)
{
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3)};
    SIM_OK(start(&nursery, cradles, 2, options));
    disturb(&nursery, kill_one, stop_boss);
    finish(&nursery);
}

SIM_SCENARIO(requests_are_answered_whenever_it_ends)
{
    void (*const requests[])(void *) = {add_one, remove_one, restart_one};
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3)};
    SIM_OK(start(&nursery, cradles, 1, options));
    disturb(&nursery, requests[sim_below(3)], stop_boss);
    finish(&nursery);
}

SIM_SCENARIO(requests_may_meet_each_other_and_kills)
{
    void (*const requests[])(void *) = {add_one, remove_one, restart_one, kill_one};
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3)};
    SIM_OK(start(&nursery, cradles, 2, options));
    disturb(&nursery, requests[sim_below(4)], requests[sim_below(4)]);
    finish(&nursery);
}

static void end_stubbornness(void *arg)
{
    struct nursery *nursery = arg;
    if (sim_below(2))
        (void)!fkl_sleep_until(fkl_after_ns(4 * MILLISECOND));
    sim_open(&nursery->gate);
}

SIM_SCENARIO(an_orphan_gets_no_successor_before_its_end)
{
    struct nursery nursery = {.stubborn = true};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3),
                                      .max_restarts = (int32_t)sim_below(3) - 1,
                                      .backoff_ns = MILLISECOND};
    SIM_OK(start(&nursery, cradles, 2, options));
    disturb(&nursery, kill_one, end_stubbornness);
    fkl_actor_stop(nursery.boss);
    sim_join_actor(nursery.boss);
    sim_end_runtime(nursery.runtime);
    check_empty(&nursery);
}

static void shut_down(void *arg)
{
    struct nursery *nursery = arg;
    fkl_err err;
    do {
        err = fkl_runtime_shutdown(nursery->runtime, FKL_FOREVER);
    } while (err == FKL_EINTR);
    SIM_OK(err);
    check_empty(nursery);
}

SIM_SCENARIO(a_shutdown_may_meet_a_restart)
{
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3),
                                      .backoff_ns = sim_below(2) ? MILLISECOND : 0};
    SIM_OK(start(&nursery, cradles, 2, options));
    disturb(&nursery, kill_one, shut_down);
    fkl_actor_release(nursery.boss);
    sim_end_runtime(nursery.runtime);
}

SIM_SCENARIO(a_start_without_threads_or_memory_is_undone,
             .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3)};
    fkl_err err = start(&nursery, cradles, 3, options);
    if (!err) {
        finish(&nursery);
        return;
    }
    check_answer(err, true);
    sim_end_runtime(nursery.runtime);
    check_empty(&nursery);
}

SIM_SCENARIO(a_restart_without_threads_or_memory_is_tried_again,
             .faults = SIM_FAIL_THREADS | SIM_FAIL_MEMORY)
{
    struct nursery nursery = {0};
    struct cradle cradles[3];
    fkl_supervisor_options options = {.strategy = (fkl_strategy)sim_below(3),
                                      .max_restarts = FKL_RESTARTS_UNLIMITED,
                                      .backoff_ns = MILLISECOND};
    fkl_err err = start(&nursery, cradles, 1, options);
    if (err) {
        check_answer(err, true);
        sim_end_runtime(nursery.runtime);
        return;
    }
    disturb(&nursery, kill_one, restart_one);
    if (nursery.starts[0] == 1)
        kill_one(&nursery);
    while (nursery.starts[0] < 2)
        sim_yield();
    finish(&nursery);
}

// Pooled children.

static void begin(fkl_actor *self, void *state)
{
    struct nursery *nursery = state;
    (void)self;
    SIM_CHECK(nursery->running[0]++ == 0, "two incarnations at once");
    ++nursery->starts[0];
}

static fkl_turn receive(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct nursery *nursery = state;
    uint64_t tag = fkl_msg_tag(msg);
    (void)self;
    fkl_msg_destroy(msg);
    SIM_CHECK(tag == nursery->received + 1, "%llu after %llu", (unsigned long long)tag,
              (unsigned long long)nursery->received);
    nursery->received = tag;
    return FKL_TURN_CONTINUE;
}

// Also runs in one that was stopped before it began.
static void end(fkl_actor *self, void *state)
{
    struct nursery *nursery = state;
    (void)self;
    if (nursery->running[0] > 0)
        --nursery->running[0];
}

SIM_SCENARIO(messages_outlive_a_kill_of_a_pooled_actor)
{
    const fkl_behaviour behaviour = {receive, begin, end};
    struct nursery nursery = {0};
    fkl_child_spec spec = {
        .id = "one", .spawn.register_as = "one", .behaviour = &behaviour, .arg = &nursery};
    fkl_supervisor_options options = {
        .max_restarts = FKL_RESTARTS_UNLIMITED, .children = &spec, .child_count = 1};
    nursery.runtime = sim_runtime_with(1);
    SIM_OK(fkl_supervisor_start_until(nursery.runtime, NULL, &options, FKL_FOREVER, &nursery.boss,
                                      NULL));
    disturb(&nursery, send_three, kill_one);
    while (nursery.received < nursery.accepted)
        sim_yield();
    finish(&nursery);
}

// Trees.

static void kill_below(void *arg)
{
    struct nursery *nursery = arg;
    fkl_actor *actor;
    if (fkl_whereis_actor(nursery->runtime, "below", &actor))
        return;
    if (sim_below(3) == 0)
        fkl_actor_stop(actor);
    else
        fkl_actor_kill(actor, 3);
    fkl_actor_release(actor);
}

SIM_SCENARIO(a_supervisor_below_may_end_at_any_moment)
{
    void (*const others[])(void *) = {kill_one, kill_below, stop_boss};
    struct nursery nursery = {0};
    struct cradle cradle = {&nursery, 0};
    fkl_child_spec child = {.id = "one", .spawn.register_as = "one", .fn = live, .arg = &cradle};
    fkl_supervisor_options below = {.children = &child, .child_count = 1};
    fkl_child_spec spec = {.id = "below", .spawn.register_as = "below", .supervisor = &below};
    fkl_supervisor_options options = {
        .strategy = (fkl_strategy)sim_below(3), .children = &spec, .child_count = 1};
    nursery.runtime = sim_runtime();
    fkl_err err;
    do {
        err = fkl_supervisor_start_until(nursery.runtime, NULL, &options, FKL_FOREVER,
                                         &nursery.boss, NULL);
    } while (err == FKL_EINTR);
    SIM_OK(err);
    disturb(&nursery, kill_below, others[sim_below(3)]);
    finish(&nursery);
}

static void start_tree(void *arg)
{
    struct nursery *nursery = arg;
    struct cradle cradle = {nursery, 0};
    fkl_child_spec child = {.id = "one", .fn = live, .arg = &cradle};
    fkl_supervisor_options below = {.children = &child, .child_count = 1};
    fkl_child_spec spec = {.id = "below", .spawn.register_as = "below", .supervisor = &below};
    fkl_supervisor_options options = {.children = &spec, .child_count = 1};
    fkl_err err = fkl_supervisor_start_until(nursery->runtime, NULL, &options, sim_deadline(),
                                             &nursery->boss, NULL);
    SIM_CHECK(err == FKL_OK || err == FKL_ETIMEDOUT || err == FKL_ENOACTOR, "%s",
              fkl_err_name(err));
    if (!err) {
        fkl_actor_stop(nursery->boss);
        sim_join_actor(nursery->boss);
        check_empty(nursery);
    }
    while (nursery->running[0] > 0) // it is on its way down: `cradle` must outlive it
        sim_yield();
    fkl_counters count;
    do {
        sim_yield();
        fkl_runtime_counters(nursery->runtime, &count);
    } while (count.live > 0 || count.orphans > 0);
}

SIM_SCENARIO(a_supervisor_below_may_end_while_it_starts)
{
    struct nursery nursery = {.runtime = sim_runtime()};
    disturb(&nursery, start_tree, kill_below);
    sim_end_runtime(nursery.runtime);
}
