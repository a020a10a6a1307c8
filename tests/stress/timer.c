// SPDX-License-Identifier: Apache-2.0
//
// Timers armed, moved and cancelled by many threads while they fire. A single message is either
// cancelled or received, a repeated one comes no more once all that was on its way has arrived;
// whatever happens, also a shutdown or the death of the receiver, each message is destroyed.
#include "support/stress.h"

#include "registry.h"
#include "timer.h"

enum { PARTIES = 32, MAX_SENT = 1 << 12 };

struct round {
    fkl_runtime *runtime;
    fkl_actor_id receiver;
    int count;    // of each party
    bool may_end; // the receiver may die, or the runtime
    atomic_long made, released;
    atomic_uchar received[PARTIES][MAX_SENT];
    atomic_uchar cancelled[PARTIES][MAX_SENT];
};

struct party {
    struct round *round;
    int number;
    pthread_t thread;
};

static void note_release(void *data, size_t len, void *ctx)
{
    (void)len;
    free(data);
    atomic_fetch_add(&((struct round *)ctx)->released, 1);
}

static fkl_msg *make(struct round *round, int party, int index)
{
    fkl_msg *msg = NULL;
    void *payload = malloc(8);
    CHECK(payload, "memory");
    memset(payload, 1, 8);
    CHECK_OK(fkl_msg_wrap(NULL, FKL_CODEC_RAW, payload, 8, note_release, round, &msg));
    fkl_msg_set_tag(msg, (uint64_t)party << 32 | (uint64_t)index);
    atomic_fetch_add(&round->made, 1);
    return msg;
}

static void act_receiver(fkl_actor *self, void *arg)
{
    struct round *round = arg;
    fkl_msg *msg = NULL;
    (void)self;
    fkl_err err;
    while ((err = fkl_receive_until(FKL_FOREVER, &msg)) == FKL_OK) {
        uint64_t from = fkl_msg_tag(msg) >> 32, index = (uint32_t)fkl_msg_tag(msg);
        int before = atomic_fetch_add(&round->received[from][index], 1);
        // Odd ones are sent once.
        bool once = index & 1;
        CHECK(before == 0 || !once, "%llu of %llu came twice", (unsigned long long)index,
              (unsigned long long)from);
        fkl_msg_destroy(msg);
    }
    CHECK(err == FKL_ESTOPPED, "%s", fkl_err_name(err));
}

static void *use_timers(void *arg)
{
    struct party *party = arg;
    struct round *round = party->round;
    stress_random random = stress_stream((uint64_t)party->number);
    for (int i = 0; i < round->count; i++) {
        fkl_msg *msg = make(round, party->number, i);
        fkl_time when = fkl_after_ns((int64_t)stress_below(&random, 60000));
        fkl_timer_ref ref = 0;
        bool once = i & 1;
        fkl_err err = once ? fkl_send_at(round->runtime, round->receiver, msg, when, &ref)
                           : fkl_send_every(round->runtime, round->receiver, msg, when,
                                            1 + (int64_t)stress_below(&random, 30000), &ref);
        if (err) {
            CHECK(round->may_end && (err == FKL_ENOACTOR || err == FKL_ESHUTDOWN), "%s",
                  fkl_err_name(err));
            fkl_msg_destroy(msg);
            continue;
        }
        stress_jitter(&random);
        if (stress_below(&random, 4)) {
            nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 40000)}, NULL);
        }
        if (once && stress_below(&random, 8) == 0) {
            continue; // left to fire
        }
        bool cancelled = fkl_timer_cancel(round->runtime, ref);
        CHECK(cancelled || once || round->may_end, "a repeated timer has ended");
        CHECK(!fkl_timer_cancel(round->runtime, ref), "cancelled twice");
        atomic_store(&round->cancelled[party->number][i], cancelled);
    }
    return NULL;
}

// Sends a message behind all others: when it is there, so are they.
static void flush(struct round *round, int index)
{
    fkl_msg *msg = make(round, 0, index);
    CHECK_OK(fkl_send_at(round->runtime, round->receiver, msg, 0, NULL));
    while (!atomic_load(&round->received[0][index])) {
        sched_yield();
    }
}

static void check(struct round *round)
{
    static unsigned char before[PARTIES][MAX_SENT];
    flush(round, round->count | 1);
    memcpy(before, round->received, sizeof before);
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    flush(round, (round->count | 1) + 2);
    before[0][(round->count | 1) + 2] = 1;
    CHECK(memcmp(before, round->received, sizeof before) == 0, "a cancelled timer goes on");
    for (int party = 0; party < stress.threads && party < PARTIES; party++) {
        for (int i = 1; i < round->count; i += 2) {
            int received = atomic_load(&round->received[party][i]);
            int cancelled = atomic_load(&round->cancelled[party][i]);
            CHECK(received + cancelled == 1, "message %d of %d: received %d, cancelled %d", i,
                  party, received, cancelled);
        }
    }
}

enum end { CALM, DEATH, SHUTDOWN };

static void run_round(int count, enum end end)
{
    struct round *round = calloc(1, sizeof *round);
    struct party parties[PARTIES];
    int threads = stress.threads < PARTIES ? stress.threads : PARTIES;
    CHECK(round, "memory");
    round->runtime = stress_runtime();
    round->count = count;
    round->may_end = end != CALM;
    fkl_actor *receiver = stress_spawn(round->runtime, "receiver", act_receiver, round);
    round->receiver = fkl_actor_get_id(receiver);
    for (int i = 0; i < threads; i++) {
        parties[i] = (struct party){.round = round, .number = i};
        CHECK(pthread_create(&parties[i].thread, NULL, use_timers, &parties[i]) == 0, "no thread");
    }
    if (end != CALM) {
        nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    }
    if (end == DEATH) {
        fkl_actor_kill(receiver, 1);
    } else if (end == SHUTDOWN) {
        CHECK_OK(fkl_runtime_shutdown(round->runtime, FKL_FOREVER));
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(parties[i].thread, NULL);
    }
    while (end == CALM && fkli_timers_len(round->runtime->timers) > 0) {
        sched_yield(); // those that were left to fire
    }
    if (end == CALM) {
        check(round);
    }
    fkl_actor_stop(receiver);
    stress_join(receiver);
    stress_end_runtime(round->runtime);
    CHECK(atomic_load(&round->made) == atomic_load(&round->released), "made %ld, released %ld",
          atomic_load(&round->made), atomic_load(&round->released));
    free(round);
}

// ---- the internal timers: an object comes back exactly once

struct node {
    fkli_timer timer; // first
    atomic_int armed; // 1 while it belongs to the timers
    fkl_time deadline;
};

static void node_fire(fkli_timer *timer, bool due)
{
    struct node *node = (struct node *)timer;
    CHECK(!due || fkl_now() >= node->deadline, "it fired early");
    CHECK(atomic_exchange(&node->armed, 0) == 1, "it was not armed");
}

struct owner {
    fkli_timers *timers;
    int number;
    pthread_t thread;
};

static void *use_nodes(void *arg)
{
    enum { NODES = 64 };
    struct owner *owner = arg;
    stress_random random = stress_stream(1000 + (uint64_t)owner->number);
    struct node *nodes = calloc(NODES, sizeof *nodes);
    CHECK(nodes, "memory");
    for (int i = 0; i < NODES; i++) {
        fkli_timer_init(&nodes[i].timer, node_fire);
    }
    for (int i = 0; i < 20000; i++) {
        struct node *node = &nodes[stress_below(&random, NODES)];
        fkl_time deadline = fkl_after_ns((int64_t)stress_below(&random, 200000));
        if (!atomic_load(&node->armed)) {
            node->deadline = deadline;
            atomic_store(&node->armed, 1);
            CHECK_OK(fkli_timer_arm(owner->timers, &node->timer, deadline));
        } else if (stress_below(&random, 2)) {
            fkli_timer_move(owner->timers, &node->timer, FKL_FOREVER);
        } else if (fkli_timer_cancel(owner->timers, &node->timer)) {
            CHECK(atomic_exchange(&node->armed, 0) == 1, "cancelled and fired");
        }
    }
    for (int i = 0; i < NODES; i++) {
        if (fkli_timer_cancel(owner->timers, &nodes[i].timer)) {
            CHECK(atomic_exchange(&nodes[i].armed, 0) == 1, "cancelled and fired");
        }
        while (atomic_load(&nodes[i].armed)) {
            sched_yield(); // it fires now
        }
    }
    free(nodes);
    return NULL;
}

static void run_nodes(void)
{
    struct owner owners[PARTIES];
    int threads = stress.threads < PARTIES ? stress.threads : PARTIES;
    fkli_timers *timers = NULL;
    CHECK_OK(fkli_timers_create(fkli_allocator_of(NULL), &timers));
    for (int i = 0; i < threads; i++) {
        owners[i] = (struct owner){.timers = timers, .number = i};
        CHECK(pthread_create(&owners[i].thread, NULL, use_nodes, &owners[i]) == 0, "no thread");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(owners[i].thread, NULL);
    }
    CHECK(fkli_timers_len(timers) == 0, "%zu", fkli_timers_len(timers));
    CHECK_OK(fkli_timers_stop(timers, FKL_FOREVER));
    fkli_timers_destroy(timers);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 4, 20);
    for (int i = 0; i < stress.iterations; i++) {
        run_round(1000, CALM);
        run_round(400, DEATH);
        run_round(400, SHUTDOWN);
        run_nodes();
        stress.seed++;
    }
    return 0;
}
