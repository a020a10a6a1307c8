// SPDX-License-Identifier: Apache-2.0
//
// Many senders into one bounded mailbox, with every policy, a receiver that takes messages in order
// and by choice and is often slow, senders that are interrupted and stopped, and every end that a
// receiver can have in the middle of it. The bound holds at every moment, each sender's messages
// arrive in order, nobody sleeps for ever, and every message is accounted for.
#include "support/stress.h"

enum ending { DRAIN, KILL, RETURN, STOP, ENDINGS };

struct sender {
    fkl_actor *to;
    int number;
    int count;
    fkl_full full;
    bool may_be_stopped;
    long accepted;
    long dead;
    long left; // full, timed out, interrupted, stopped
};

// Sends until it knows what became of the message; returns false when it must end.
static bool send_one(struct sender *sender, stress_random *random, fkl_msg *msg)
{
    for (;;) {
        bool waits = stress_below(random, 4) != 0;
        fkl_err err = waits ? fkl_actor_send_until(sender->to, msg, stress_deadline(random))
                            : fkl_actor_send(sender->to, msg);
        switch (err) {
        case FKL_OK:
            sender->accepted++;
            return true;
        case FKL_ENOACTOR:
        case FKL_ECLOSED:
            sender->dead++;
            fkl_msg_destroy(msg);
            return false;
        case FKL_ESTOPPED:
            CHECK(sender->may_be_stopped, "%s", fkl_err_name(err));
            sender->left++;
            fkl_msg_destroy(msg);
            return false;
        case FKL_EFULL:
            CHECK(sender->full == FKL_FULL_FAIL || (sender->full == FKL_FULL_WAIT && !waits),
                  "policy %d", (int)sender->full);
            break;
        case FKL_ETIMEDOUT:
            CHECK(sender->full == FKL_FULL_WAIT && waits, "policy %d", (int)sender->full);
            break;
        default:
            CHECK(err == FKL_EINTR && waits, "%s", fkl_err_name(err));
        }
        if (stress_below(random, 8) == 0) {
            sender->left++;
            fkl_msg_destroy(msg);
            return true;
        }
    }
}

static void send_all(fkl_actor *self, void *arg)
{
    (void)self;
    struct sender *sender = arg;
    stress_random random = stress_stream((uint64_t)sender->number);
    for (int i = 0; i < sender->count; i++) {
        fkl_msg *msg = stress_msg((uint64_t)sender->number << 32 | (uint64_t)(i + 1));
        if (!send_one(sender, &random, msg)) {
            return;
        }
        stress_jitter(&random);
    }
}

struct receiver {
    int senders;
    bool by_choice;
    fkl_mark mark;
    long limit; // messages after which it returns
    long received;
    uint64_t *last; // of each sender
};

static bool is_from(const fkl_msg *msg, void *ctx)
{
    return fkl_msg_tag(msg) >> 32 == *(const uint64_t *)ctx;
}

static fkl_err receive_somehow(struct receiver *receiver, stress_random *random, fkl_msg **msg)
{
    static const uint64_t nobody = UINT32_MAX;
    uint64_t from = stress_below(random, (uint32_t)receiver->senders);
    if (stress_below(random, 16) == 0) {
        receiver->mark = fkl_receive_mark();
    }
    switch (stress_below(random, receiver->by_choice ? 6 : 3)) {
    case 0:
        return fkl_try_receive(msg);
    case 1:
        return fkl_receive_until(fkl_after_ns((int64_t)stress_below(random, 30000)), msg);
    case 2:
        return fkl_receive_until(FKL_FOREVER, msg);
    case 3: // finds nothing, for what it found would be out of order
        return fkl_try_receive_match(receiver->mark, is_from, (void *)(uintptr_t)&nobody, msg);
    default:
        return fkl_receive_match_until(0, is_from, &from,
                                       fkl_after_ns((int64_t)stress_below(random, 30000)), msg);
    }
}

static void receive_all(fkl_actor *self, void *arg)
{
    (void)self;
    struct receiver *receiver = arg;
    stress_random random = stress_stream(9999);
    while (receiver->received < receiver->limit) {
        fkl_msg *msg = NULL;
        fkl_err err = receive_somehow(receiver, &random, &msg);
        // A drained actor that chooses is told at once that nothing it wants will come.
        if (err == FKL_ESTOPPED &&
            (fkl_actor_stop_requested(self) || fkl_actor_mailbox_len(self) == 0)) {
            return;
        }
        if (err != FKL_OK) {
            CHECK(err == FKL_EEMPTY || err == FKL_ETIMEDOUT || err == FKL_ESTOPPED, "%s",
                  fkl_err_name(err));
            continue;
        }
        uint64_t number = stress_open(msg);
        uint64_t from = number >> 32;
        CHECK(from < (uint64_t)receiver->senders, "%llx", (unsigned long long)number);
        CHECK((number & 0xffffffff) > receiver->last[from], "sender %llu: %llu after %llu",
              (unsigned long long)from, (unsigned long long)(number & 0xffffffff),
              (unsigned long long)receiver->last[from]);
        receiver->last[from] = number & 0xffffffff;
        receiver->received++;
        stress_jitter(&random);
    }
}

struct scene {
    fkl_full full;
    uint32_t capacity;
    enum ending ending;
    int count;
    fkl_runtime *runtime;
    fkl_actor *receiver;
    fkl_actor **senders;
    struct sender *rows;
};

// Watches the bound, and disturbs the senders, until the last of them is about to end.
static void disturb(struct scene *scene, stress_random *random)
{
    for (uint32_t left = 100 + stress_below(random, 10000); left > 0; left--) {
        size_t len = fkl_actor_mailbox_len(scene->receiver);
        CHECK(len <= scene->capacity, "%zu of %u", len, scene->capacity);
        int at = (int)stress_below(random, (uint32_t)stress.threads);
        if (stress_below(random, 8) == 0) {
            fkl_actor_interrupt(scene->senders[at]);
        }
        if (scene->rows[at].may_be_stopped && stress_below(random, 200) == 0) {
            fkl_actor_stop(scene->senders[at]);
        }
        stress_jitter(random);
    }
}

static void end_receiver(struct scene *scene)
{
    if (scene->ending == DRAIN) {
        fkl_actor_drain(scene->receiver);
    } else if (scene->ending == KILL) {
        fkl_actor_kill(scene->receiver, 0);
    } else if (scene->ending == STOP) {
        fkl_actor_stop(scene->receiver);
    }
}

static void check_accounts(const struct scene *scene, const struct receiver *receiver)
{
    long accepted = 0, dead = 0;
    for (int i = 0; i < stress.threads; i++) {
        accepted += scene->rows[i].accepted;
        dead += scene->rows[i].dead;
    }
    fkl_counters count;
    fkl_runtime_counters(scene->runtime, &count);
    CHECK((long)count.sent == accepted + dead, "%llu, %ld and %ld", (unsigned long long)count.sent,
          accepted, dead);
    CHECK((long)count.dead_lettered == dead, "%llu, %ld", (unsigned long long)count.dead_lettered,
          dead);
    CHECK((long)count.handled == receiver->received, "%llu, %ld", (unsigned long long)count.handled,
          receiver->received);
    bool drops = scene->full == FKL_FULL_DROP_NEWEST || scene->full == FKL_FULL_DROP_OLDEST;
    CHECK(drops || scene->ending != DRAIN || receiver->received == accepted, "%ld of %ld",
          receiver->received, accepted);
}

static void play(struct scene *scene, stress_random *random)
{
    int threads = stress.threads;
    struct receiver receiver = {.senders = threads,
                                .by_choice = stress_below(random, 2) == 0,
                                .limit = scene->ending == RETURN ? scene->count : INT32_MAX};
    fkl_spawn_options options = {.name = "receiver",
                                 .stack_size = 128 * 1024,
                                 .mailbox_capacity = scene->capacity,
                                 .mailbox_full = scene->full};
    scene->runtime = stress_runtime();
    scene->rows = calloc((size_t)threads, sizeof *scene->rows);
    scene->senders = calloc((size_t)threads, sizeof(fkl_actor *));
    receiver.last = calloc((size_t)threads, sizeof *receiver.last);
    CHECK(scene->rows && scene->senders && receiver.last, "memory");
    CHECK_OK(fkl_spawn(scene->runtime, &options, receive_all, &receiver, &scene->receiver));
    for (int i = 0; i < threads; i++) {
        scene->rows[i] = (struct sender){.to = scene->receiver,
                                         .number = i,
                                         .count = scene->count,
                                         .full = scene->full,
                                         .may_be_stopped = i % 4 == 3};
        scene->senders[i] = stress_spawn(scene->runtime, "sender", send_all, &scene->rows[i]);
    }
    disturb(scene, random);
    end_receiver(scene);
    for (int i = 0; i < threads; i++) {
        stress_join(scene->senders[i]);
    }
    fkl_actor_drain(scene->receiver); // it may still wait for its limit
    stress_join(scene->receiver);
    check_accounts(scene, &receiver);
    stress_end_runtime(scene->runtime);
    free(receiver.last);
    free(scene->senders);
    free(scene->rows);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 8, 4);
    for (int i = 0; i < stress.iterations; i++) {
        stress_random random = stress_stream(7777);
        for (int full = 0; full <= FKL_FULL_DROP_OLDEST; full++) {
            for (int ending = 0; ending < ENDINGS; ending++) {
                struct scene scene = {.full = (fkl_full)full,
                                      .capacity = 1 + stress_below(&random, 20),
                                      .ending = (enum ending)ending,
                                      .count = 4000};
                play(&scene, &random);
            }
        }
        stress.seed++;
    }
    return 0;
}
