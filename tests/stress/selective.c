// SPDX-License-Identifier: Apache-2.0
//
// Clients ask servers by ordinary messages and receive the answers by choice, from a mark, while
// others send them what they do not want now. Servers hold requests back and answer in any order; a
// few servers and clients are killed. No answer is taken for another or lost, what was passed over
// stays in order, and no message of a monitor that was ended is offered.
#include "support/stress.h"

#define NOISE (UINT64_C(1) << 63)

struct client {
    int number;
    int asks;
    fkl_actor **servers;
    int server_count;
    bool *servers_die;
    fkl_actor **peers; // to annoy
    int peer_count;
    atomic_bool ready;
    atomic_int *running;
    bool may_be_killed;
    uint32_t asked;
    uint32_t answered;
    uint32_t unsure; // asked a server that may die
    uint64_t *last;  // noise of each peer
};

// ---- servers

struct held {
    fkl_msg *msgs[8];
    int count;
};

static void answer_one(fkl_actor *self, struct held *held, stress_random *random)
{
    int at = (int)stress_below(random, (uint32_t)held->count);
    fkl_msg *msg = held->msgs[at];
    held->msgs[at] = held->msgs[--held->count];
    if (fkl_send(fkl_actor_runtime(self), fkl_msg_sender(msg), msg) != FKL_OK) {
        fkl_msg_destroy(msg); // the client was killed
    }
}

static void serve(fkl_actor *self, void *arg)
{
    struct held held = {.count = 0};
    stress_random random = stress_stream(5000 + *(const uint64_t *)arg);
    for (;;) {
        fkl_msg *msg = NULL;
        fkl_err err = fkl_receive_until(held.count ? FKL_NO_WAIT : FKL_FOREVER, &msg);
        if (err == FKL_OK) {
            held.msgs[held.count++] = msg;
        } else if (err != FKL_ETIMEDOUT) {
            CHECK(err == FKL_ESTOPPED, "%s", fkl_err_name(err));
            break;
        }
        if (held.count == 8 || (held.count && (err || stress_below(&random, 3) == 0))) {
            answer_one(self, &held, &random);
        }
        stress_jitter(&random);
    }
    while (held.count > 0) {
        answer_one(self, &held, &random);
    }
}

// ---- clients

static bool is_tag(const fkl_msg *msg, void *ctx)
{
    return fkl_msg_get_kind(msg) == FKL_MSG_USER && fkl_msg_tag(msg) == *(const uint64_t *)ctx;
}

static void annoy(struct client *client, stress_random *random, uint32_t *sent)
{
    int at = (int)stress_below(random, (uint32_t)client->peer_count);
    uint64_t number = (uint64_t)client->number << 32 | ++*sent;
    fkl_msg *msg = stress_msg(NOISE | number);
    if (fkl_actor_send(client->peers[at], msg) != FKL_OK) {
        fkl_msg_destroy(msg);
    }
}

// Asks a server; returns the tag, 0 when it is dead.
static uint64_t ask(struct client *client, stress_random *random, bool *sure)
{
    int at = (int)stress_below(random, (uint32_t)client->server_count);
    uint64_t tag = (uint64_t)client->number << 32 | (client->asked + 1);
    fkl_msg *msg = stress_msg(tag);
    fkl_err err = fkl_actor_send(client->servers[at], msg);
    if (err != FKL_OK) {
        CHECK(client->servers_die[at], "%s", fkl_err_name(err));
        fkl_msg_destroy(msg);
        return 0;
    }
    client->asked++;
    *sure = !client->servers_die[at];
    client->unsure += client->servers_die[at];
    return tag;
}

// False when the client has been killed.
static bool take_answer(struct client *client, fkl_mark mark, uint64_t tag, bool sure,
                        stress_random *random)
{
    if (!tag) {
        return true;
    }
    fkl_msg *msg = NULL;
    fkl_time deadline = sure && stress_below(random, 8)
                            ? FKL_FOREVER
                            : fkl_after_ns((int64_t)stress_below(random, 200000));
    fkl_err err = fkl_receive_match_until(mark, is_tag, &tag, deadline, &msg);
    if (err == FKL_OK) {
        uint64_t got = stress_open(msg);
        CHECK(got == tag, "%llx instead of %llx", (unsigned long long)got, (unsigned long long)tag);
        client->answered++;
    }
    CHECK(err == FKL_OK || (err == FKL_ETIMEDOUT && deadline != FKL_FOREVER) ||
              (err == FKL_ESTOPPED && client->may_be_killed),
          "%s", fkl_err_name(err));
    return err != FKL_ESTOPPED;
}

static void end_at_once(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
}

struct watching {
    fkl_monitor_ref wanted;
    fkl_monitor_ref ended;
};

static bool is_wanted_down(const fkl_msg *msg, void *ctx)
{
    const struct watching *watching = ctx;
    fkl_monitor_ref ref;
    if (fkl_msg_down(msg, &ref, NULL, NULL) != FKL_OK) {
        return false;
    }
    CHECK(ref != watching->ended, "offered, although its monitor had been ended");
    return ref == watching->wanted;
}

// Two monitors on an actor that ends; one is ended as well, the message of the other one comes.
static bool watch_an_end(fkl_actor *self)
{
    struct watching watching;
    fkl_mark mark = fkl_receive_mark();
    fkl_actor *short_lived = stress_spawn(fkl_actor_runtime(self), "short", end_at_once, NULL);
    fkl_actor_id id = fkl_actor_get_id(short_lived);
    fkl_err err = fkl_monitor(id, &watching.ended);
    if (err == FKL_OK) {
        err = fkl_monitor(id, &watching.wanted);
    }
    fkl_actor_release(short_lived);
    if (err != FKL_OK) {
        CHECK(err == FKL_ESTOPPED, "%s", fkl_err_name(err));
        return false;
    }
    fkl_demonitor(watching.ended);
    fkl_msg *msg = NULL;
    err = fkl_receive_match_until(mark, is_wanted_down, &watching, FKL_FOREVER, &msg);
    if (err != FKL_OK) {
        CHECK(err == FKL_ESTOPPED, "%s", fkl_err_name(err));
        return false;
    }
    fkl_msg_destroy(msg);
    return true;
}

// What was passed over: noise in order, and answers that came too late.
static void flush(struct client *client)
{
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        uint64_t number = stress_open(msg);
        uint64_t from = number >> 32 & 0x7fffffff;
        if (!(number & NOISE)) {
            CHECK(from == (uint64_t)client->number, "%llx", (unsigned long long)number);
            client->answered++;
            continue;
        }
        CHECK((number & 0xffffffff) > client->last[from], "%llu after %llu",
              (unsigned long long)(number & 0xffffffff), (unsigned long long)client->last[from]);
        client->last[from] = number & 0xffffffff;
    }
}

static void be_client(fkl_actor *self, void *arg)
{
    struct client *client = arg;
    stress_random random = stress_stream((uint64_t)client->number);
    uint32_t annoyed = 0;
    bool alive = true;
    while (!atomic_load(&client->ready)) {
        sched_yield();
    }
    for (int i = 0; i < client->asks && alive; i++) {
        bool sure[2] = {true, true};
        fkl_mark mark = fkl_receive_mark();
        uint64_t first = ask(client, &random, &sure[0]);
        annoy(client, &random, &annoyed);
        fkl_mark later = stress_below(&random, 4) ? mark : fkl_receive_mark();
        uint64_t second = ask(client, &random, &sure[1]);
        annoy(client, &random, &annoyed);
        alive = take_answer(client, later, second, sure[1], &random) &&
                take_answer(client, mark, first, sure[0], &random);
        if (alive && i % 64 == 0) {
            alive = watch_an_end(self);
        }
        stress_jitter(&random);
    }
    atomic_fetch_sub(client->running, 1);
    flush(client); // until it is drained
}

// ---- the whole

struct scene {
    fkl_runtime *runtime;
    int clients;
    int servers;
    fkl_actor **actors; // clients, then servers
    struct client *rows;
    bool *servers_die;
    uint64_t *numbers;
    atomic_int running;
};

static void start(struct scene *scene)
{
    int all = scene->clients + scene->servers;
    scene->runtime = stress_runtime();
    scene->actors = calloc((size_t)all, sizeof(fkl_actor *));
    scene->rows = calloc((size_t)scene->clients, sizeof *scene->rows);
    scene->servers_die = calloc((size_t)scene->servers, sizeof *scene->servers_die);
    scene->numbers = calloc((size_t)scene->servers, sizeof *scene->numbers);
    CHECK(scene->actors && scene->rows && scene->servers_die && scene->numbers, "memory");
    atomic_store(&scene->running, scene->clients);
    for (int i = 0; i < scene->servers; i++) {
        scene->numbers[i] = (uint64_t)i;
        scene->servers_die[i] = i == 1;
        scene->actors[scene->clients + i] =
            stress_spawn(scene->runtime, "server", serve, &scene->numbers[i]);
    }
    for (int i = 0; i < scene->clients; i++) {
        struct client *client = &scene->rows[i];
        client->number = i;
        client->asks = 600;
        client->servers = scene->actors + scene->clients;
        client->server_count = scene->servers;
        client->servers_die = scene->servers_die;
        client->peers = scene->actors;
        client->peer_count = scene->clients;
        client->running = &scene->running;
        client->may_be_killed = i == 1;
        client->last = calloc((size_t)scene->clients, sizeof *client->last);
        CHECK(client->last, "memory");
        scene->actors[i] = stress_spawn(scene->runtime, "client", be_client, client);
    }
    for (int i = 0; i < scene->clients; i++) {
        atomic_store(&scene->rows[i].ready, true);
    }
}

static void play(stress_random *random)
{
    struct scene scene = {.clients = stress.threads, .servers = 3};
    start(&scene);
    int kill_at = (int)stress_below(random, 200);
    for (int turn = 0; atomic_load(&scene.running) > 0; turn++) {
        if (turn == kill_at) {
            fkl_actor_kill(scene.actors[1], 0);
            fkl_actor_kill(scene.actors[scene.clients + 1], 0);
        }
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    for (int i = 0; i < scene.servers; i++) {
        fkl_actor_drain(scene.actors[scene.clients + i]);
        stress_join(scene.actors[scene.clients + i]);
    }
    for (int i = 0; i < scene.clients; i++) {
        fkl_actor_drain(scene.actors[i]);
    }
    for (int i = 0; i < scene.clients; i++) {
        struct client *client = &scene.rows[i];
        stress_join(scene.actors[i]);
        CHECK(client->may_be_killed || client->answered + client->unsure >= client->asked,
              "client %d: %u of %u, %u unsure", i, client->answered, client->asked, client->unsure);
        CHECK(client->answered <= client->asked, "%u of %u", client->answered, client->asked);
        free(client->last);
    }
    stress_end_runtime(scene.runtime);
    free(scene.numbers);
    free(scene.servers_die);
    free(scene.rows);
    free(scene.actors);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 6, 16);
    for (int i = 0; i < stress.iterations; i++) {
        stress_random random = stress_stream(7777);
        play(&random);
        stress.seed++;
    }
    return 0;
}
