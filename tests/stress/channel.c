// SPDX-License-Identifier: Apache-2.0
//
// Channels of several capacities between many senders and many receivers, with deadlines, pollers,
// interrupts, stops and a close that race. Every message that was accepted is received exactly
// once, and each receiver gets those of each sender in order.
#include "support/stress.h"

enum { MAX_MESSAGES = 1 << 14, PARTIES = 64 };

struct round {
    fkl_channel *channel;
    int senders, receivers;
    int count; // of each sender
    bool may_stop;
    atomic_uchar accepted[PARTIES][MAX_MESSAGES];
    atomic_uchar received[PARTIES][MAX_MESSAGES];
    atomic_bool over;
};

struct party {
    struct round *round;
    int number;
};

static void act_sender(fkl_actor *self, void *arg)
{
    struct party *party = arg;
    struct round *round = party->round;
    stress_random random = stress_stream((uint64_t)party->number);
    (void)self;
    for (int i = 0; i < round->count; i++) {
        fkl_msg *msg = stress_msg((uint64_t)party->number << 32 | (uint64_t)i);
        fkl_err err;
        do {
            err = stress_below(&random, 4) == 0
                      ? fkl_channel_try_send(round->channel, msg)
                      : fkl_channel_send_until(round->channel, msg, stress_deadline(&random));
        } while (err == FKL_EFULL || err == FKL_ETIMEDOUT || err == FKL_EINTR);
        if (err != FKL_OK) {
            CHECK(err == FKL_ECLOSED || (err == FKL_ESTOPPED && round->may_stop), "%s",
                  fkl_err_name(err));
            fkl_msg_destroy(msg);
            return;
        }
        atomic_store(&round->accepted[party->number][i], 1);
        stress_jitter(&random);
    }
}

static void note_received(struct round *round, fkl_msg *msg, int64_t *last)
{
    uint64_t number = stress_open(msg);
    uint64_t from = number >> 32;
    int64_t index = (int64_t)(uint32_t)number;
    CHECK(from < (uint64_t)round->senders && index < round->count, "%llx",
          (unsigned long long)number);
    CHECK(atomic_exchange(&round->received[from][index], 1) == 0, "received twice: %llx",
          (unsigned long long)number);
    CHECK(index > last[from], "sender %llu: %lld after %lld", (unsigned long long)from,
          (long long)index, (long long)last[from]);
    last[from] = index;
}

static void act_receiver(fkl_actor *self, void *arg)
{
    struct party *party = arg;
    struct round *round = party->round;
    stress_random random = stress_stream((uint64_t)party->number + 1000);
    int64_t last[PARTIES];
    (void)self;
    memset(last, 0xff, sizeof last); // -1
    for (;;) {
        fkl_msg *msg = NULL;
        fkl_err err;
        switch (stress_below(&random, 8)) {
        case 0:
            err = fkl_channel_try_receive(round->channel, &msg);
            break;
        case 1:
            err = fkl_channel_poll_until(round->channel, stress_deadline(&random));
            break;
        default:
            err = fkl_channel_receive_until(round->channel, stress_deadline(&random), &msg);
        }
        if (msg) {
            CHECK(err == FKL_OK, "%s", fkl_err_name(err));
            note_received(round, msg, last);
        } else if (err == FKL_ECLOSED || err == FKL_ESTOPPED) {
            CHECK(err == FKL_ECLOSED || round->may_stop, "stopped?");
            return;
        } else {
            CHECK(err == FKL_OK || err == FKL_EEMPTY || err == FKL_ETIMEDOUT || err == FKL_EINTR,
                  "%s", fkl_err_name(err));
        }
        stress_jitter(&random);
    }
}

// Disturbs the actors. Not in every round, because an interrupt also helps a waiter whose wake-up
// was lost.
struct chaos {
    struct round *round;
    fkl_actor **actors;
    int count;
};

static void *make_trouble(void *arg)
{
    struct chaos *chaos = arg;
    stress_random random = stress_stream(5000);
    for (int step = 0; !atomic_load(&chaos->round->over); step++) {
        fkl_actor *victim = chaos->actors[stress_below(&random, (uint32_t)chaos->count)];
        if (chaos->round->may_stop && stress_below(&random, 200) == 0) {
            fkl_actor_stop(victim);
        } else {
            fkl_actor_interrupt(victim);
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 200000)}, NULL);
    }
    return NULL;
}

// Whatever stopped receivers left behind.
static void drain(struct round *round)
{
    int64_t last[PARTIES];
    fkl_msg *msg = NULL;
    fkl_err err;
    memset(last, 0xff, sizeof last);
    while ((err = fkl_channel_try_receive(round->channel, &msg)) == FKL_OK) {
        note_received(round, msg, last);
    }
    CHECK(err == FKL_ECLOSED, "%s", fkl_err_name(err));
    CHECK(fkl_channel_len(round->channel) == 0, "%zu", fkl_channel_len(round->channel));
}

static void check(const struct round *round, bool complete)
{
    for (int from = 0; from < round->senders; from++) {
        for (int i = 0; i < round->count; i++) {
            int accepted = atomic_load(&round->accepted[from][i]);
            int received = atomic_load(&round->received[from][i]);
            CHECK(accepted == received, "message %d of sender %d: accepted %d, received %d", i,
                  from, accepted, received);
            CHECK(accepted || !complete, "message %d of sender %d is missing", i, from);
        }
    }
}

enum { CALM = 0, INTERRUPTS = 1, STOPS = 2 | INTERRUPTS, EARLY_CLOSE = 4 };

// With EARLY_CLOSE the close races with the senders, else it comes when all have sent.
static void run_round(size_t capacity, int count, int trouble)
{
    bool may_stop = (trouble & STOPS) == STOPS, close_early = may_stop || (trouble & EARLY_CLOSE);
    fkl_runtime *runtime = stress_runtime();
    struct round *round = calloc(1, sizeof *round);
    struct party parties[2 * PARTIES];
    fkl_actor *actors[2 * PARTIES];
    CHECK(round, "memory");
    int each = stress.threads / 2 < 1         ? 1
               : stress.threads / 2 > PARTIES ? PARTIES
                                              : stress.threads / 2;
    round->senders = round->receivers = each;
    round->count = count;
    round->may_stop = may_stop;
    CHECK_OK(fkl_channel_create(NULL, capacity, &round->channel));
    for (int i = 0; i < 2 * each; i++) {
        parties[i] = (struct party){round, i % each};
        actors[i] = stress_spawn(runtime, i < each ? "sender" : "receiver",
                                 i < each ? act_sender : act_receiver, &parties[i]);
    }
    struct chaos chaos = {round, actors, 2 * each};
    pthread_t disturber;
    if (trouble & INTERRUPTS) {
        CHECK(pthread_create(&disturber, NULL, make_trouble, &chaos) == 0, "no thread");
    }
    if (close_early) {
        nanosleep(&(struct timespec){.tv_nsec = 15000000}, NULL);
        fkl_channel_close(round->channel);
    }
    fkl_exit record;
    for (int i = 0; i < each; i++) {
        CHECK_OK(fkl_actor_join_until(actors[i], FKL_FOREVER, &record));
    }
    fkl_channel_close(round->channel);
    for (int i = each; i < 2 * each; i++) {
        CHECK_OK(fkl_actor_join_until(actors[i], FKL_FOREVER, &record));
    }
    atomic_store(&round->over, true);
    if (trouble & INTERRUPTS) {
        pthread_join(disturber, NULL);
    }
    drain(round);
    check(round, !close_early);
    for (int i = 0; i < 2 * each; i++) {
        fkl_actor_release(actors[i]);
    }
    fkl_channel_release(round->channel);
    stress_end_runtime(runtime);
    free(round);
}

int main(int argc, char **argv)
{
    static const size_t capacities[] = {0, 1, 3, 64};
    stress_begin(argc, argv, 8, 3);
    for (int i = 0; i < stress.iterations; i++) {
        for (int j = 0; j < 4; j++) {
            int few = j == 1 ? 1000 : 3000; // each of them a hand-over
            run_round(capacities[j], few, CALM);
            run_round(capacities[j], few, INTERRUPTS);
            run_round(capacities[j], MAX_MESSAGES, EARLY_CLOSE);
            run_round(capacities[j], MAX_MESSAGES, STOPS);
            stress.seed++;
        }
    }
    return 0;
}
