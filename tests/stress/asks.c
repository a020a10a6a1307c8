// SPDX-License-Identifier: Apache-2.0
//
// Asks while everything happens at once.
//
// In a house of servers, of threads and of the pool, everybody asks those above and nobody else:
// they answer, drop, keep for a while, send on, hand over in a channel, ask further, and are
// killed. Clients, of which some are no actors, get the answer to their own question or a true
// reason; no circle is ever reported.
//
// In a crowd anybody asks anybody without a deadline, and serves in between. A circle that nobody
// finds hangs.
#include "support/stress.h"

enum { FLOORS = 8, QUESTIONS = 20, PENDING = 16, CROWD = 6 };

struct house {
    fkl_runtime *runtime;
    fkl_actor *servers[FLOORS];
    fkl_channel *channel; // requests that anybody may take
    atomic_bool complete;
    atomic_ullong answered, failed, started, outcomes;
};

struct server {
    struct house *house;
    int floor;
    fkl_msg *kept;
    stress_random random;
    fkl_ask_ref pending[PENDING];
    fkl_msg *requests[PENDING]; // that wait for the answer to `pending`
};

static fkl_msg *make_answer(const fkl_msg *request)
{
    return stress_msg(fkl_msg_tag(request) * 2 + 1);
}

static void answer(fkl_msg *request)
{
    fkl_msg *reply = make_answer(request);
    fkl_err err = fkl_reply(request, reply);
    CHECK(err == FKL_OK || err == FKL_ECLOSED, "%s", fkl_err_name(err));
    if (err) {
        fkl_msg_destroy(reply);
    }
    fkl_msg_destroy(request);
}

static fkl_actor_id above(struct server *self)
{
    int left = FLOORS - 1 - self->floor;
    if (left == 0) {
        return FKL_NOBODY;
    }
    int other = self->floor + 1 + (int)stress_below(&self->random, (uint32_t)left);
    return fkl_actor_get_id(self->house->servers[other]);
}

// An outcome of an ask by one of the house: each kind is possible but a circle.
static void check_outcome(fkl_err err)
{
    CHECK(err == FKL_OK || err == FKL_ENOREPLY || err == FKL_EDOWN || err == FKL_ENOACTOR ||
              err == FKL_ETIMEDOUT || err == FKL_ESTOPPED || err == FKL_EFULL,
          "%s", fkl_err_name(err));
}

static void check_answer(uint64_t number, fkl_msg *out)
{
    if (fkl_msg_get_kind(out) == FKL_MSG_DOWN) {
        fkl_exit record;
        CHECK_OK(fkl_msg_down(out, NULL, &record, NULL));
        CHECK(record.id != FKL_NOBODY, "who?");
        fkl_msg_destroy(out);
        return;
    }
    uint64_t answered = stress_open(out);
    CHECK(answered == number * 2 + 1, "asked %llu, answered %llu", (unsigned long long)number,
          (unsigned long long)answered);
}

// Asks in place of the asker, waits, and answers with what comes.
static void ask_further(struct server *self, fkl_msg *request)
{
    fkl_msg *out = NULL;
    uint64_t number = fkl_msg_tag(request);
    fkl_err err = fkl_ask_until(self->house->runtime, above(self), stress_msg(number),
                                stress_deadline(&self->random), &out);
    check_outcome(err);
    if (out) {
        check_answer(number, out);
    }
    if (err == FKL_OK) {
        answer(request);
    } else {
        fkl_msg_destroy(request);
    }
}

// The same without waiting: the outcome comes as a message.
static void ask_aside(struct server *self, fkl_msg *request)
{
    int place = 0;
    while (place < PENDING && self->requests[place]) {
        place++;
    }
    if (place == PENDING) {
        answer(request);
        return;
    }
    fkl_msg *further = stress_msg(fkl_msg_tag(request));
    fkl_err err = fkl_ask_start(self->house->runtime, above(self), further,
                                stress_deadline(&self->random), &self->pending[place]);
    check_outcome(err);
    if (err) {
        answer(request);
        return;
    }
    atomic_fetch_add(&self->house->started, 1);
    self->requests[place] = request;
    if (stress_below(&self->random, 4) == 0) {
        CHECK(fkl_ask_cancel(self->pending[place]) || fkl_actor_stop_requested(fkl_self()),
              "it has not been received");
        CHECK(!fkl_ask_cancel(self->pending[place]), "twice");
        atomic_fetch_add(&self->house->outcomes, 1);
        self->requests[place] = NULL;
        answer(request);
    }
}

static void take_outcome(struct server *self, fkl_msg *msg)
{
    fkl_ask_ref ref;
    fkl_err result;
    CHECK_OK(fkl_msg_reply(msg, &ref, &result));
    check_outcome(result);
    for (int i = 0; i < PENDING; i++) {
        if (self->requests[i] && self->pending[i] == ref) {
            fkl_msg *request = self->requests[i];
            self->requests[i] = NULL;
            atomic_fetch_add(&self->house->outcomes, 1);
            if (result == FKL_OK) {
                CHECK(fkl_msg_tag(msg) == fkl_msg_tag(request) * 2 + 1, "another answer");
            }
            fkl_msg_destroy(msg);
            answer(request);
            return;
        }
    }
    CHECK(false, "an outcome of nobody's, or a second one");
}

static void send_on(struct server *self, fkl_msg *request)
{
    fkl_err err = fkl_send(self->house->runtime, above(self), request);
    CHECK(err == FKL_OK || err == FKL_ENOACTOR || err == FKL_EFULL, "%s", fkl_err_name(err));
    if (err) {
        answer(request);
    }
}

static void hand_over(struct server *self, fkl_msg *request)
{
    fkl_msg *other = NULL;
    if (fkl_channel_try_send(self->house->channel, request) != FKL_OK) {
        answer(request);
    } else if (fkl_channel_try_receive(self->house->channel, &other) == FKL_OK) {
        answer(other);
    }
}

static void handle(struct server *self, fkl_msg *msg, bool may_wait)
{
    if (fkl_msg_get_kind(msg) == FKL_MSG_REPLY) {
        take_outcome(self, msg);
        return;
    }
    stress_jitter(&self->random);
    switch (stress_below(&self->random, 8)) {
    case 0:
        fkl_msg_destroy(msg);
        break;
    case 1: // the one kept before is answered
        if (self->kept) {
            answer(self->kept);
        }
        self->kept = msg;
        break;
    case 2:
        send_on(self, msg);
        break;
    case 3:
        hand_over(self, msg);
        break;
    case 4:
        ask_aside(self, msg);
        break;
    case 5:
        if (may_wait) {
            ask_further(self, msg);
            break;
        }
        answer(msg);
        break;
    default:
        answer(msg);
    }
}

static void let_go(struct server *self)
{
    fkl_msg_destroy(self->kept);
    for (int i = 0; i < PENDING; i++) {
        fkl_msg_destroy(self->requests[i]);
    }
}

static void await_house(struct house *house)
{
    while (!atomic_load(&house->complete)) {
        sched_yield();
    }
}

static void act_server(fkl_actor *self, void *arg)
{
    (void)self;
    struct server *server = arg;
    fkl_msg *msg = NULL;
    await_house(server->house);
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        handle(server, msg, true);
    }
    let_go(server);
}

static fkl_turn serve(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    await_house(((struct server *)state)->house);
    handle(state, msg, false);
    return FKL_TURN_CONTINUE;
}

static void leave(fkl_actor *self, void *state)
{
    (void)self;
    let_go(state);
}

static const fkl_behaviour serving = {.receive = serve, .finish = leave};

// ---- clients

struct client {
    struct house *house;
    uint64_t number;
    pthread_t thread;
};

static void put_questions(struct client *self)
{
    struct house *house = self->house;
    stress_random random = stress_stream(self->number * 31 + 5);
    await_house(house);
    for (uint64_t i = 0; i < QUESTIONS; i++) {
        uint64_t number = self->number * 1000000 + i;
        fkl_msg *out = NULL;
        fkl_actor *target = house->servers[stress_below(&random, FLOORS)];
        // Without a deadline a request that is left in the channel would never be answered.
        fkl_time deadline = fkl_after_ns((int64_t)stress_below(&random, 2000000));
        fkl_err err = fkl_ask_until(house->runtime, fkl_actor_get_id(target), stress_msg(number),
                                    deadline, &out);
        check_outcome(err);
        CHECK((out != NULL) == (err == FKL_OK || err == FKL_EDOWN), "%s", fkl_err_name(err));
        if (out) {
            check_answer(number, out);
        }
        atomic_fetch_add(err ? &house->failed : &house->answered, 1);
    }
}

static void act_client(fkl_actor *self, void *arg)
{
    (void)self;
    put_questions(arg);
}

static void *be_client(void *arg)
{
    put_questions(arg);
    return NULL;
}

static void build_house(struct house *house, struct server *servers)
{
    for (int i = 0; i < FLOORS; i++) {
        servers[i] = (struct server){.house = house, .floor = i};
        servers[i].random = stress_stream((uint64_t)i + 99);
        fkl_spawn_options options = {.name = "server", .stack_size = 128 * 1024};
        if (i % 5 == 4) {
            options.mailbox_capacity = 2;
        }
        CHECK_OK(i % 3 == 2 ? fkl_spawn_pooled(house->runtime, &options, &serving, &servers[i],
                                               &house->servers[i])
                            : fkl_spawn(house->runtime, &options, act_server, &servers[i],
                                        &house->servers[i]));
    }
    CHECK_OK(fkl_channel_create(house->runtime, 0, &house->channel));
    atomic_store(&house->complete, true);
}

static void run_house(fkl_runtime *runtime)
{
    struct house house = {.runtime = runtime};
    struct server servers[FLOORS];
    stress_random random = stress_stream(4711);
    int count = stress.threads;
    struct client *clients = calloc((size_t)count, sizeof *clients);
    fkl_actor **actors = calloc((size_t)count, sizeof(fkl_actor *));
    CHECK(clients && actors, "memory");
    for (int i = 0; i < count; i++) {
        clients[i] = (struct client){.house = &house, .number = (uint64_t)i + 1};
        if (i % 2) {
            CHECK(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]) == 0, "thread");
        } else {
            actors[i] = stress_spawn(runtime, "client", act_client, &clients[i]);
        }
    }
    build_house(&house, servers);
    for (int i = 0; i < 3; i++) {
        nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 1000000)}, NULL);
        fkl_actor_kill(house.servers[stress_below(&random, FLOORS)], 7);
        if (actors[0] && i == 1 && stress_below(&random, 4) == 0) {
            fkl_actor_kill(actors[0], 8); // a client that may wait just now
        }
    }
    for (int i = 0; i < count; i++) {
        if (i % 2) {
            pthread_join(clients[i].thread, NULL);
        } else {
            stress_join(actors[i]);
        }
    }
    for (int i = 0; i < FLOORS; i++) {
        fkl_actor_stop(house.servers[i]);
    }
    for (int i = 0; i < FLOORS; i++) { // all of them first: they still look at each other
        CHECK_OK(fkl_actor_join_thread_until(house.servers[i], FKL_FOREVER));
    }
    for (int i = 0; i < FLOORS; i++) {
        fkl_actor_release(house.servers[i]);
    }
    fkl_channel_release(house.channel);
    CHECK(atomic_load(&house.outcomes) <= atomic_load(&house.started), "more than were started");
    free(clients);
    free(actors);
}

// ---- the crowd

struct crowd {
    fkl_actor *members[CROWD];
    atomic_bool complete;
    atomic_int done;
    atomic_ullong circles;
};

static void serve_some(fkl_time deadline)
{
    fkl_msg *msg = NULL;
    while (fkl_receive_until(deadline, &msg) == FKL_OK) {
        answer(msg);
    }
}

static void act_crowd(fkl_actor *self, void *arg)
{
    struct crowd *crowd = arg;
    stress_random random = stress_stream(fkl_actor_get_id(self) * 7);
    while (!atomic_load(&crowd->complete)) {
        sched_yield();
    }
    for (uint64_t i = 0; i < QUESTIONS; i++) {
        fkl_actor *other = crowd->members[stress_below(&random, CROWD)];
        fkl_msg *out = NULL;
        fkl_msg *request = stress_msg(i);
        fkl_err err = fkl_ask_until(fkl_actor_runtime(self), fkl_actor_get_id(other), request,
                                    FKL_FOREVER, &out);
        CHECK(err == FKL_OK || err == FKL_EDEADLK, "%s", fkl_err_name(err));
        if (err == FKL_OK) {
            check_answer(i, out);
        } else {
            atomic_fetch_add(&crowd->circles, 1);
        }
        stress_jitter(&random);
        if (stress_below(&random, 2)) {
            serve_some(FKL_NO_WAIT);
        }
    }
    atomic_fetch_add(&crowd->done, 1);
    serve_some(FKL_FOREVER);
}

static void run_crowd(fkl_runtime *runtime)
{
    struct crowd crowd = {.complete = false};
    for (int i = 0; i < CROWD; i++) {
        crowd.members[i] = stress_spawn(runtime, "crowd", act_crowd, &crowd);
    }
    atomic_store(&crowd.complete, true);
    while (atomic_load(&crowd.done) < CROWD) {
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    for (int i = 0; i < CROWD; i++) {
        fkl_actor_stop(crowd.members[i]);
    }
    for (int i = 0; i < CROWD; i++) {
        stress_join(crowd.members[i]);
    }
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 6, 60);
    for (int i = 0; i < stress.iterations; i++) {
        fkl_runtime *runtime = stress_runtime();
        run_house(runtime);
        run_crowd(runtime);
        stress_end_runtime(runtime);
        stress.seed++;
    }
    return 0;
}
