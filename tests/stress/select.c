// SPDX-License-Identifier: Apache-2.0
//
// Shared channels and a semaphore between actors that wait for any of them and actors that wait for
// one. Every message is received once, every unit is taken once, and nobody sleeps for ever: in
// calm rounds there is neither a deadline nor an interrupt that would help a waiter whose wake was
// lost.
#include "support/stress.h"

enum { CHANNELS = 3, PARTIES = 32, MAX_MESSAGES = 1 << 12 };

struct round {
    fkl_channel *channels[CHANNELS];
    fkl_sem *sem;       // few units, for those who wait for anything
    fkl_sem *exact;     // a unit for each message, which takers wait for and nothing else
    int parties, count; // of each kind; messages of each sender
    bool calm;
    atomic_int receivers_left;
    atomic_long units_given, units_taken;
    atomic_uchar received[PARTIES][MAX_MESSAGES];
};

struct party {
    struct round *round;
    int number;
};

static fkl_time some_deadline(const struct round *round, stress_random *random)
{
    return round->calm ? FKL_FOREVER : stress_deadline(random);
}

// Waits for any item that is still of interest; -1 when the wait ended for another reason.
static int wait_any(const struct round *round, const fkl_wait_item *items, size_t count,
                    stress_random *random)
{
    size_t index = count;
    fkl_err err = fkl_wait_any_until(items, count, some_deadline(round, random), &index);
    CHECK(err == FKL_OK || (!round->calm && (err == FKL_ETIMEDOUT || err == FKL_EINTR)), "%s",
          fkl_err_name(err));
    CHECK(err != FKL_OK || index < count, "%zu", index);
    return err == FKL_OK ? (int)index : -1;
}

static void send_one(struct round *round, fkl_msg *msg, stress_random *random, bool selects)
{
    fkl_err err;
    do {
        fkl_channel *channel = round->channels[stress_below(random, CHANNELS)];
        if (selects) {
            fkl_wait_item items[CHANNELS];
            for (int i = 0; i < CHANNELS; i++) {
                items[i] = (fkl_wait_item){FKL_WAIT_SEND, {.channel = round->channels[i]}};
            }
            int index = wait_any(round, items, CHANNELS, random);
            if (index < 0) {
                err = FKL_EFULL;
                continue;
            }
            channel = items[index].channel;
            err = fkl_channel_try_send(channel, msg);
        } else {
            err = fkl_channel_send_until(channel, msg, some_deadline(round, random));
        }
        CHECK(err == FKL_OK || err == FKL_EFULL || err == FKL_ETIMEDOUT || err == FKL_EINTR, "%s",
              fkl_err_name(err));
    } while (err != FKL_OK);
}

// Also gives units for each message.
static void act_sender(fkl_actor *self, void *arg)
{
    struct party *party = arg;
    struct round *round = party->round;
    stress_random random = stress_stream((uint64_t)party->number);
    (void)self;
    for (int i = 0; i < round->count; i++) {
        send_one(round, stress_msg((uint64_t)party->number << 32 | (uint64_t)i), &random,
                 party->number % 2);
        CHECK_OK(fkl_sem_post(round->exact));
        if (fkl_sem_post(round->sem) == FKL_OK) {
            atomic_fetch_add(&round->units_given, 1);
        }
        stress_jitter(&random);
    }
}

static void note(struct round *round, fkl_msg *msg)
{
    uint64_t number = stress_open(msg);
    CHECK(atomic_exchange(&round->received[number >> 32][(uint32_t)number], 1) == 0,
          "received twice: %llx", (unsigned long long)number);
}

// Receives what it can from one channel; false once that is closed and empty.
static bool try_receive(struct round *round, fkl_channel *channel)
{
    fkl_msg *msg = NULL;
    fkl_err err = fkl_channel_try_receive(channel, &msg);
    CHECK(err == FKL_OK || err == FKL_EEMPTY || err == FKL_ECLOSED, "%s", fkl_err_name(err));
    if (err == FKL_OK) {
        note(round, msg);
    }
    return err != FKL_ECLOSED;
}

static void take_unit(struct round *round)
{
    fkl_err err = fkl_sem_try_wait(round->sem);
    CHECK(err == FKL_OK || err == FKL_EEMPTY, "%s", fkl_err_name(err));
    if (err == FKL_OK) {
        atomic_fetch_add(&round->units_taken, 1);
    }
}

// From all channels and the semaphore, until all channels are closed.
static void receive_any(struct round *round, stress_random *random)
{
    fkl_wait_item items[CHANNELS + 2] = {{FKL_WAIT_SEM, {.sem = round->sem}},
                                         {.kind = FKL_WAIT_MAILBOX}};
    size_t count = CHANNELS + 2;
    for (int i = 0; i < CHANNELS; i++) {
        items[i + 2] = (fkl_wait_item){FKL_WAIT_RECEIVE, {.channel = round->channels[i]}};
    }
    while (count > 2) {
        int index = wait_any(round, items, count, random);
        if (index == 0) {
            take_unit(round);
        } else if (index > 1 && !try_receive(round, items[index].channel)) {
            items[index] = items[--count];
        }
        CHECK(index != 1, "nobody has sent it a message");
        stress_jitter(random);
    }
}

static void receive_one(struct round *round, int which, stress_random *random)
{
    for (;;) {
        fkl_msg *msg = NULL;
        fkl_err err = fkl_channel_receive_until(round->channels[which % CHANNELS],
                                                some_deadline(round, random), &msg);
        if (err == FKL_ECLOSED) {
            return;
        }
        CHECK(err == FKL_OK || (!round->calm && (err == FKL_ETIMEDOUT || err == FKL_EINTR)), "%s",
              fkl_err_name(err));
        if (err == FKL_OK) {
            note(round, msg);
        }
        stress_jitter(random);
    }
}

static void act_receiver(fkl_actor *self, void *arg)
{
    struct party *party = arg;
    struct round *round = party->round;
    stress_random random = stress_stream((uint64_t)party->number + 1000);
    (void)self;
    // Each channel has a receiver that can take from no other, if there are enough of them.
    if (party->number % 2) {
        receive_any(round, &random);
    } else {
        receive_one(round, party->number / 2, &random);
    }
    atomic_fetch_sub(&round->receivers_left, 1);
}

// Takes as many units as a sender gives, by waiting for one or by racing for it.
static void act_taker(fkl_actor *self, void *arg)
{
    struct party *party = arg;
    struct round *round = party->round;
    stress_random random = stress_stream((uint64_t)party->number + 2000);
    fkl_wait_item item = {FKL_WAIT_SEM, {.sem = round->exact}};
    (void)self;
    for (int taken = 0; taken < round->count;) {
        if (party->number % 2) {
            taken += fkl_sem_wait_until(round->exact, some_deadline(round, &random)) == FKL_OK;
        } else if (wait_any(round, &item, 1, &random) == 0) {
            taken += fkl_sem_try_wait(round->exact) == FKL_OK;
        }
    }
}

struct chaos {
    struct round *round;
    fkl_actor **actors;
    int count;
};

static void *interrupt_all(void *arg)
{
    struct chaos *chaos = arg;
    stress_random random = stress_stream(5000);
    while (atomic_load(&chaos->round->receivers_left) > 0) {
        fkl_actor_interrupt(chaos->actors[stress_below(&random, (uint32_t)chaos->count)]);
        nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 200000)}, NULL);
    }
    return NULL;
}

static void check(struct round *round)
{
    for (int from = 0; from < round->parties; from++) {
        for (int i = 0; i < round->count; i++) {
            CHECK(atomic_load(&round->received[from][i]), "message %d of %d is lost", i, from);
        }
    }
    while (fkl_sem_try_wait(round->sem) == FKL_OK) {
        atomic_fetch_add(&round->units_taken, 1);
    }
    CHECK(atomic_load(&round->units_given) == atomic_load(&round->units_taken),
          "given %ld, taken %ld", atomic_load(&round->units_given),
          atomic_load(&round->units_taken));
    CHECK(fkl_sem_value(round->exact) == 0, "%lld units", (long long)fkl_sem_value(round->exact));
}

static void end_round(struct round *round, fkl_actor **actors)
{
    int each = round->parties;
    for (int i = 0; i < each; i++) {
        CHECK_OK(fkl_actor_join_until(actors[i], FKL_FOREVER, NULL));
    }
    for (int i = 0; i < CHANNELS; i++) {
        fkl_channel_close(round->channels[i]);
    }
    for (int i = each; i < 3 * each; i++) {
        CHECK_OK(fkl_actor_join_until(actors[i], FKL_FOREVER, NULL));
    }
    check(round);
}

static void run_round(int count, bool calm)
{
    static const size_t capacities[CHANNELS] = {0, 1, 3};
    static const fkl_actor_fn fns[3] = {act_sender, act_receiver, act_taker};
    static const char *const names[3] = {"sender", "receiver", "taker"};
    fkl_runtime *runtime = stress_runtime();
    struct round *round = calloc(1, sizeof *round);
    struct party parties[3 * PARTIES];
    fkl_actor *actors[3 * PARTIES];
    pthread_t disturber;
    CHECK(round, "memory");
    // Of six receivers three select, and each of the others has a channel of its own.
    int each = stress.threads < 6 ? 6 : stress.threads > PARTIES ? PARTIES : stress.threads;
    round->parties = each;
    round->count = count;
    round->calm = calm;
    atomic_store(&round->receivers_left, each);
    CHECK_OK(fkl_sem_create(NULL, 0, 4, &round->sem));
    CHECK_OK(fkl_sem_create(NULL, 0, PARTIES * MAX_MESSAGES, &round->exact));
    for (int i = 0; i < CHANNELS; i++) {
        CHECK_OK(fkl_channel_create(NULL, capacities[i], &round->channels[i]));
    }
    for (int i = 0; i < 3 * each; i++) {
        parties[i] = (struct party){round, i % each};
        actors[i] = stress_spawn(runtime, names[i / each], fns[i / each], &parties[i]);
    }
    struct chaos chaos = {round, actors, 3 * each};
    if (!calm) {
        CHECK(pthread_create(&disturber, NULL, interrupt_all, &chaos) == 0, "no thread");
    }
    end_round(round, actors);
    if (!calm) {
        pthread_join(disturber, NULL);
    }
    for (int i = 0; i < 3 * each; i++) {
        fkl_actor_release(actors[i]);
    }
    for (int i = 0; i < CHANNELS; i++) {
        fkl_channel_release(round->channels[i]);
    }
    fkl_sem_release(round->sem);
    fkl_sem_release(round->exact);
    stress_end_runtime(runtime);
    free(round);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 8, 30);
    for (int i = 0; i < stress.iterations; i++) {
        run_round(400, true);
        run_round(400, false);
        stress.seed++;
    }
    return 0;
}
