// SPDX-License-Identifier: Apache-2.0
//
// Trees of supervisors whose children are killed, stopped, failed and restarted by hand at any
// moment, while streams of numbered messages go to their names. No two incarnations of a child run
// at the same time; a child has its name before its code runs; every message that was accepted is
// received by some incarnation, in order, once. Then a shutdown at any
// moment.
#include "support/stress.h"

enum { GROUPS = 3, EACH = 3, KIDS = GROUPS * EACH };

enum { TAG_NUMBER = 1, TAG_FAIL = 2 };

struct kid {
    char name[32];
    struct world *world;
    int group;
    atomic_int running;
    uint64_t received;         // the running incarnation's
    _Atomic uint64_t seen;     // the same, for others
    _Atomic uint64_t accepted; // the last number that a send took
};

struct world {
    fkl_runtime *runtime;
    fkl_actor *top;
    struct kid kids[KIDS];
    atomic_bool quiet; // killers are to end
    uint64_t goal;
};

// ---- children

// What one incarnation has. One that is stopped before its first turn never begins.
struct life {
    struct kid *kid;
    bool begun;
};

static fkl_err prepare(void *arg, void **state)
{
    struct life *life = malloc(sizeof *life);
    CHECK(life, "memory");
    *life = (struct life){arg, false};
    *state = life;
    return FKL_OK;
}

static void discard(void *arg, void *state)
{
    (void)arg;
    free(state);
}

static void begin(fkl_actor *self, void *state)
{
    struct life *life = state;
    struct kid *kid = life->kid;
    fkl_actor_id id;
    fkl_exit record;
    life->begun = true;
    CHECK(atomic_fetch_add(&kid->running, 1) == 0, "%s runs twice", kid->name);
    fkl_err err = fkl_whereis(kid->world->runtime, kid->name, &id);
    CHECK(err == FKL_OK ? id == fkl_actor_get_id(self)
                        : fkl_actor_try_exit(self, &record) == FKL_OK,
          "%s does not have its name", kid->name);
}

static void end(fkl_actor *self, void *state)
{
    struct life *life = state;
    struct kid *kid = life->kid;
    (void)self;
    CHECK(!life->begun || atomic_fetch_sub(&kid->running, 1) == 1, "%s ended twice", kid->name);
    free(life);
}

// Returns whether it goes on.
static bool handle(fkl_actor *self, struct kid *kid, fkl_msg *msg)
{
    uint64_t tag = fkl_msg_tag(msg), number = 0;
    memcpy(&number, fkl_msg_data(msg), sizeof number);
    fkl_msg_destroy(msg);
    if (tag == TAG_FAIL) {
        CHECK_OK(fkl_actor_set_exit(self, 3, NULL, 0));
        return false;
    }
    CHECK(number == kid->received + 1, "%s received %llu after %llu", kid->name,
          (unsigned long long)number, (unsigned long long)kid->received);
    kid->received = number;
    atomic_store(&kid->seen, number);
    return true;
}

static void act_kid(fkl_actor *self, void *arg)
{
    struct life *life = arg;
    fkl_msg *msg = NULL;
    begin(self, life);
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK && handle(self, life->kid, msg)) {
    }
    end(self, life);
}

static fkl_turn receive_one(fkl_actor *self, fkl_msg *msg, void *state)
{
    return handle(self, ((struct life *)state)->kid, msg) ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static const fkl_behaviour pooled = {receive_one, begin, end};

// ---- those who send and those who kill

static fkl_msg *make(uint64_t tag, uint64_t number)
{
    fkl_msg *msg = NULL;
    CHECK_OK(fkl_msg_create_copy(NULL, FKL_CODEC_RAW, &number, sizeof number, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
}

static void send_next(struct kid *kid)
{
    uint64_t next = atomic_load(&kid->accepted) + 1;
    fkl_msg *msg = make(TAG_NUMBER, next);
    fkl_err err = fkl_send_named(kid->world->runtime, kid->name, msg);
    if (err == FKL_OK) {
        atomic_store(&kid->accepted, next);
        return;
    }
    fkl_msg_destroy(msg);
    CHECK(err == FKL_ENOACTOR || err == FKL_EFULL, "%s", fkl_err_name(err));
    sched_yield();
}

// One for each kid, so that its numbers have an order.
static void *run_sender(void *arg)
{
    struct kid *kid = arg;
    stress_random random = stress_stream((uint64_t)(kid - kid->world->kids) + 500);
    while (atomic_load(&kid->accepted) < kid->world->goal) {
        send_next(kid);
        stress_jitter(&random);
    }
    return NULL;
}

static void restart_by_hand(struct kid *kid)
{
    fkl_actor *group = NULL;
    fkl_child_info info;
    char id[16];
    snprintf(id, sizeof id, "group %d", kid->group);
    if (fkl_supervisor_find(kid->world->top, id, &info) != FKL_OK ||
        fkl_actor_find(kid->world->runtime, info.actor, &group) != FKL_OK) {
        return;
    }
    fkl_err err = fkl_supervisor_find(group, kid->name, &info);
    if (!err) {
        err = fkl_supervisor_restart_until(group, info.child, FKL_NO_WAIT);
    }
    CHECK(err == FKL_OK || err == FKL_ETIMEDOUT || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
    fkl_actor_release(group);
}

static void kill_group(struct kid *kid)
{
    fkl_actor *group = NULL;
    fkl_child_info info;
    char id[16];
    snprintf(id, sizeof id, "group %d", kid->group);
    if (fkl_supervisor_find(kid->world->top, id, &info) == FKL_OK &&
        fkl_actor_find(kid->world->runtime, info.actor, &group) == FKL_OK) {
        fkl_actor_kill(group, 4);
        fkl_actor_release(group);
    }
}

static void hurt(struct kid *kid, stress_random *random)
{
    fkl_actor *actor = NULL;
    uint32_t dice = stress_below(random, 16);
    if (dice == 0) {
        restart_by_hand(kid);
        return;
    }
    if (dice == 1 && !kid->world->goal) { // messages do not survive the end of a supervisor
        kill_group(kid);
        return;
    }
    if (fkl_whereis_actor(kid->world->runtime, kid->name, &actor) != FKL_OK) {
        return;
    }
    if (dice < 10) {
        fkl_actor_kill(actor, 9);
    } else if (dice < 13) {
        fkl_actor_stop(actor);
    } else {
        fkl_msg *msg = make(TAG_FAIL, 0);
        if (fkl_actor_send(actor, msg) != FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
    fkl_actor_release(actor);
}

static void *run_killer(void *arg)
{
    struct world *world = arg;
    stress_random random = stress_stream(77);
    while (!atomic_load(&world->quiet)) {
        hurt(&world->kids[stress_below(&random, KIDS)], &random);
        nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 300000)}, NULL);
    }
    return NULL;
}

// ---- the tree

static void start_tree(struct world *world)
{
    static const fkl_strategy strategies[GROUPS] = {FKL_ONE_FOR_ONE, FKL_ONE_FOR_ALL,
                                                    FKL_REST_FOR_ONE};
    static fkl_child_spec specs[KIDS], groups[GROUPS];
    static fkl_supervisor_options options[GROUPS], top;
    fkl_start_failure failure;
    memset(specs, 0, sizeof specs);
    for (int i = 0; i < KIDS; i++) {
        struct kid *kid = &world->kids[i];
        snprintf(kid->name, sizeof kid->name, "kid %d", i);
        kid->world = world;
        kid->group = i / EACH;
        specs[i] = (fkl_child_spec){.id = kid->name,
                                    .spawn = {.register_as = kid->name, .stack_size = 128 * 1024},
                                    .arg = kid,
                                    .prepare = prepare,
                                    .discard = discard};
        if (i % 2) {
            specs[i].behaviour = &pooled;
        } else {
            specs[i].fn = act_kid;
        }
        if (i % 4 == 0) { // wait and fail are the same for those who do not wait
            specs[i].spawn.mailbox_capacity = 50;
        }
    }
    for (int i = 0; i < GROUPS; i++) {
        static char ids[GROUPS][16];
        snprintf(ids[i], sizeof ids[i], "group %d", i);
        options[i] = (fkl_supervisor_options){.strategy = strategies[i],
                                              .max_restarts = FKL_RESTARTS_UNLIMITED,
                                              .children = &specs[i * EACH],
                                              .child_count = EACH};
        groups[i] = (fkl_child_spec){.id = ids[i], .supervisor = &options[i]};
    }
    top = (fkl_supervisor_options){
        .max_restarts = FKL_RESTARTS_UNLIMITED, .children = groups, .child_count = GROUPS};
    fkl_err err =
        fkl_supervisor_start_until(world->runtime, NULL, &top, FKL_FOREVER, &world->top, &failure);
    CHECK(err == FKL_OK, "%s of %s", fkl_err_name(err), failure.child);
}

static pthread_t begin_thread(void *(*run)(void *), void *arg)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, arg) == 0, "no thread");
    return thread;
}

static void await_seen(const struct kid *kid)
{
    while (atomic_load(&kid->seen) < atomic_load(&kid->accepted)) {
        sched_yield();
    }
}

// With a goal: all streams end, and every message has come. Without: ends at some moment.
static void run_round(uint64_t goal)
{
    static struct world world;
    pthread_t senders[KIDS];
    stress_random random = stress_stream(goal + 1);
    memset(&world, 0, sizeof world);
    world.runtime = stress_runtime();
    world.goal = goal;
    start_tree(&world);
    for (int i = 0; i < KIDS; i++) {
        if (goal) {
            senders[i] = begin_thread(run_sender, &world.kids[i]);
        }
    }
    pthread_t killer = begin_thread(run_killer, &world);
    if (goal) {
        for (int i = 0; i < KIDS; i++) {
            pthread_join(senders[i], NULL);
            CHECK(atomic_load(&world.kids[i].accepted) == goal, "not all were sent");
        }
        atomic_store(&world.quiet, true);
        pthread_join(killer, NULL);
        for (int i = 0; i < KIDS; i++) {
            await_seen(&world.kids[i]);
        }
    } else {
        nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 3000000)}, NULL);
        CHECK_OK(fkl_runtime_shutdown(world.runtime, FKL_FOREVER));
        atomic_store(&world.quiet, true);
        pthread_join(killer, NULL);
    }
    fkl_actor_stop(world.top);
    CHECK(stress_join(world.top).reason == FKL_EXIT_STOPPED, "the top did not just stop");
    for (int i = 0; i < KIDS; i++) {
        CHECK(atomic_load(&world.kids[i].running) == 0, "%s still runs", world.kids[i].name);
    }
    stress_end_runtime(world.runtime);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 2, 30);
    for (int i = 0; i < stress.iterations; i++) {
        run_round(i % 3 == 0 ? 20000 : 0);
        stress.seed++;
    }
    return 0;
}
