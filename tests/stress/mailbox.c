// SPDX-License-Identifier: Apache-2.0
//
// Many producers into one mailbox. First a consumer that receives in every way and sleeps often:
// all messages arrive, those of each producer in order. Then one that ends in the middle: every
// message is handled, dropped, or refused, and the counters agree with what the producers saw.
#include "support/stress.h"

struct producer {
    fkl_actor *to;
    int number;
    int count;
    bool may_fail;
    bool sparse; // sleeps after each message
    int accepted;
    int refused;
};

static void produce(fkl_actor *self, void *arg)
{
    struct producer *producer = arg;
    stress_random random = stress_stream((uint64_t)producer->number);
    fkl_runtime *runtime = fkl_actor_runtime(self);
    fkl_actor_id id = fkl_actor_get_id(producer->to);
    for (int i = 0; i < producer->count; i++) {
        fkl_msg *msg = stress_msg((uint64_t)producer->number << 32 | (uint64_t)i);
        fkl_err err = stress_below(&random, 2) ? fkl_actor_send(producer->to, msg)
                                               : fkl_send(runtime, id, msg);
        if (err == FKL_OK) {
            producer->accepted++;
        } else {
            CHECK(err == FKL_ENOACTOR && producer->may_fail, "%s", fkl_err_name(err));
            producer->refused++;
            fkl_msg_destroy(msg);
        }
        stress_jitter(&random);
        if (producer->sparse) {
            nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 100000)}, NULL);
        }
    }
}

struct consumer {
    int producers;
    long limit; // messages after which it ends
    long received;
    uint64_t *next; // of each producer
};

static fkl_err receive_somehow(stress_random *random, fkl_msg **msg)
{
    switch (stress_below(random, 4)) {
    case 0:
        return fkl_try_receive(msg);
    case 1:
        return fkl_receive_until(fkl_after_ns((int64_t)stress_below(random, 30000)), msg);
    default:
        return fkl_receive_until(FKL_FOREVER, msg);
    }
}

static void consume(fkl_actor *self, void *arg)
{
    struct consumer *consumer = arg;
    stress_random random = stress_stream(9999);
    (void)self;
    while (consumer->received < consumer->limit) {
        fkl_msg *msg = NULL;
        fkl_err err = receive_somehow(&random, &msg);
        if (err != FKL_OK) {
            CHECK(err == FKL_EEMPTY || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
            continue;
        }
        uint64_t number = stress_open(msg);
        uint64_t from = number >> 32;
        CHECK(from < (uint64_t)consumer->producers, "%llx", (unsigned long long)number);
        CHECK((uint32_t)number == consumer->next[from], "producer %llu: %u instead of %llu",
              (unsigned long long)from, (uint32_t)number, (unsigned long long)consumer->next[from]);
        consumer->next[from]++;
        consumer->received++;
    }
}

static void round_of(int count, long limit, bool sparse)
{
    fkl_runtime *runtime = stress_runtime();
    int producers = stress.threads;
    struct consumer consumer = {.producers = producers, .limit = limit};
    struct producer *rows = calloc((size_t)producers, sizeof *rows);
    fkl_actor **actors = calloc((size_t)producers, sizeof(fkl_actor *));
    consumer.next = calloc((size_t)producers, sizeof *consumer.next);
    CHECK(rows && actors && consumer.next, "memory");
    long all = (long)producers * count;
    fkl_actor *reader = stress_spawn(runtime, "consumer", consume, &consumer);
    for (int i = 0; i < producers; i++) {
        rows[i] = (struct producer){reader, i, count, limit < all, sparse, 0, 0};
        actors[i] = stress_spawn(runtime, "producer", produce, &rows[i]);
    }
    long accepted = 0, refused = 0;
    for (int i = 0; i < producers; i++) {
        stress_join(actors[i]);
        accepted += rows[i].accepted;
        refused += rows[i].refused;
    }
    stress_join(reader);
    fkl_counters counters;
    fkl_runtime_counters(runtime, &counters);
    CHECK(consumer.received == limit, "%ld of %ld", consumer.received, limit);
    CHECK(accepted + refused == all, "%ld and %ld", accepted, refused);
    CHECK((long)counters.sent == all, "%llu", (unsigned long long)counters.sent);
    CHECK((long)counters.handled == limit, "%llu", (unsigned long long)counters.handled);
    CHECK((long)counters.dead_lettered == refused, "%llu",
          (unsigned long long)counters.dead_lettered);
    stress_end_runtime(runtime);
    free(consumer.next);
    free(actors);
    free(rows);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 8, 12);
    for (int i = 0; i < stress.iterations; i++) {
        int count = 10000;
        round_of(count, (long)count * stress.threads, false);
        round_of(count, (long)count * stress.threads / 3, false);
        round_of(800, 800L * stress.threads, true);
        stress.seed++;
    }
    return 0;
}
