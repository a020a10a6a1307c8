// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors on several numbers of workers, that do everything at once: send, spawn, stop, kill,
// end by themselves, watch each other, while threads from outside do the same to them. Turns do not
// overlap, what one writes the next sees, messages of one sender keep their order, each actor
// finishes once, and what was sent is handled, dead-lettered or dropped.
#include "support/stress.h"

enum { SLOTS = 64, MESSAGES = 1500, SENDERS = 80 };

struct board {
    fkl_runtime *runtime;
    _Atomic(fkl_actor_id) ids[SLOTS]; // of actors that live, perhaps
    atomic_long spawned;
    atomic_long started;
    atomic_long finished;
    atomic_long budget; // messages that actors may still send
};

struct life {
    struct board *board;
    stress_random random;
    atomic_bool busy;
    // Those of the turns, plain on purpose:
    long turns;
    uint64_t sum;
    bool finished;
    uint64_t last[SENDERS]; // of each thread from outside
    int watched;
};

static fkl_turn live(fkl_actor *self, fkl_msg *msg, void *arg);
static fkl_turn live_on(fkl_actor *self, fkl_msg *msg, void *arg);
static void begin(fkl_actor *self, void *arg);
static void finish(fkl_actor *self, void *arg);

static const fkl_behaviour living = {live, begin, finish};
static const fkl_behaviour living_on = {live_on, NULL, finish};

static void enter(struct life *life)
{
    CHECK(!atomic_exchange_explicit(&life->busy, true, memory_order_relaxed), "two turns at once");
    CHECK(life->sum == (uint64_t)life->turns * 3, "a turn has not seen the one before");
    life->turns++;
    life->sum += 3;
}

static void leave(struct life *life)
{
    atomic_store_explicit(&life->busy, false, memory_order_relaxed);
}

static void spawn_one(struct board *board, stress_random *random)
{
    struct life *life = calloc(1, sizeof *life);
    fkl_actor *actor = NULL;
    bool keep = stress_below(random, 2) == 0;
    CHECK(life, "memory");
    life->board = board;
    life->random = (stress_random){stress_next(random)};
    fkl_err err = fkl_spawn_pooled(board->runtime, NULL, &living, life, keep ? &actor : NULL);
    if (err) {
        CHECK(err == FKL_ESHUTDOWN, "%s", fkl_err_name(err));
        free(life);
        return;
    }
    atomic_fetch_add(&board->spawned, 1);
    if (keep) {
        atomic_store(&board->ids[stress_below(random, SLOTS)], fkl_actor_get_id(actor));
        fkl_actor_release(actor);
    }
}

static fkl_actor_id anybody(struct board *board, stress_random *random)
{
    return atomic_load(&board->ids[stress_below(random, SLOTS)]);
}

static bool send_to(struct board *board, fkl_actor_id id, uint64_t number)
{
    fkl_msg *msg = NULL;
    CHECK_OK(fkl_msg_create_copy(board->runtime, FKL_CODEC_RAW, &number, sizeof number, &msg));
    fkl_msg_set_tag(msg, number);
    fkl_err err = fkl_send(board->runtime, id, msg);
    CHECK(err == FKL_OK || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
    if (err) {
        fkl_msg_destroy(msg);
    }
    return err == FKL_OK;
}

// Stops or kills somebody, perhaps the caller itself.
static void harm(struct board *board, fkl_actor_id id, stress_random *random)
{
    fkl_actor *actor = NULL;
    if (fkl_actor_find(board->runtime, id, &actor)) {
        return;
    }
    switch (stress_below(random, 3)) {
    case 0:
        fkl_actor_stop(actor);
        break;
    case 1:
        fkl_actor_kill(actor, 5);
        break;
    default:
        fkl_actor_interrupt(actor);
        break;
    }
    fkl_actor_release(actor);
}

static void begin(fkl_actor *self, void *arg)
{
    struct life *life = arg;
    enter(life);
    CHECK(fkl_self() == self && life->turns == 1, "not the first");
    atomic_fetch_add(&life->board->started, 1);
    leave(life);
}

static void finish(fkl_actor *self, void *arg)
{
    struct life *life = arg;
    enter(life);
    CHECK(fkl_self() == self && !life->finished, "not itself");
    life->finished = true;
    if (stress_below(&life->random, 3) == 0) {
        CHECK_OK(fkl_actor_set_exit(self, 3, "error", 5));
    }
    atomic_fetch_add(&life->board->finished, 1);
    free(life);
}

static void check_message(struct life *life, fkl_msg *msg)
{
    if (fkl_msg_get_kind(msg) == FKL_MSG_DOWN) {
        CHECK(life->watched-- > 0, "a message of nobody's monitor");
        fkl_msg_destroy(msg);
        return;
    }
    CHECK(fkl_msg_len(msg) == 8, "%zu", fkl_msg_len(msg));
    uint64_t number = stress_open(msg);
    uint64_t sender = number >> 32;
    if (sender) { // messages of actors have no number
        CHECK(number > life->last[sender], "%llu after %llu", (unsigned long long)number,
              (unsigned long long)life->last[sender]);
        life->last[sender] = number;
    }
}

static fkl_turn act(fkl_actor *self, struct life *life)
{
    struct board *board = life->board;
    fkl_msg *more = NULL;
    fkl_monitor_ref ref;
    uint32_t dice = stress_below(&life->random, 128);
    for (uint32_t count = dice % 4; count > 0 && atomic_fetch_sub(&board->budget, 1) > 0; count--) {
        send_to(board, anybody(board, &life->random), 1);
    }
    switch (dice) {
    case 0:
        spawn_one(board, &life->random);
        break;
    case 1:
        harm(board, anybody(board, &life->random), &life->random);
        break;
    case 2:
        fkl_actor_exit_now(self, 9);
        break;
    case 3:
        return FKL_TURN_END;
    case 4:
        CHECK_OK(fkl_become(life->turns % 2 ? &living_on : &living, life));
        break;
    case 5:
    case 6:
        if (fkl_monitor(anybody(board, &life->random), &ref) == FKL_OK) {
            life->watched++;
        }
        break;
    case 7:
        if (fkl_try_receive(&more) == FKL_OK) {
            check_message(life, more);
        }
        break;
    case 8:
        CHECK(fkl_receive_until(fkl_after_ms(1000), &more) != FKL_ETIMEDOUT, "it waited");
        if (more) {
            check_message(life, more);
        }
        break;
    case 9:
        stress_jitter(&life->random);
        break;
    default:
        break;
    }
    return FKL_TURN_CONTINUE;
}

static fkl_turn live(fkl_actor *self, fkl_msg *msg, void *arg)
{
    struct life *life = arg;
    enter(life);
    CHECK(fkl_self() == self, "not itself");
    check_message(life, msg);
    fkl_turn turn = act(self, life);
    leave(life);
    return turn;
}

static fkl_turn live_on(fkl_actor *self, fkl_msg *msg, void *arg)
{
    return live(self, msg, arg);
}

struct outsider {
    struct board *board;
    uint64_t number; // from 1
    pthread_t thread;
};

static void *run_outsider(void *arg)
{
    struct outsider *outsider = arg;
    struct board *board = outsider->board;
    stress_random random = stress_stream(outsider->number);
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        uint32_t dice = stress_below(&random, 64);
        if (!send_to(board, anybody(board, &random), outsider->number << 32 | i) || dice < 4) {
            spawn_one(board, &random);
        } else if (dice == 4) {
            harm(board, anybody(board, &random), &random);
        } else if (dice == 5) {
            fkl_actor *actor = NULL;
            fkl_exit record;
            if (fkl_actor_find(board->runtime, anybody(board, &random), &actor) == FKL_OK) {
                fkl_err err = fkl_actor_join_until(
                    actor, fkl_after_ns(stress_below(&random, 100000)), &record);
                CHECK(err == FKL_OK || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
                fkl_actor_release(actor);
            }
        }
        stress_jitter(&random);
    }
    return NULL;
}

static void run_round(uint32_t workers, bool wait)
{
    struct board board = {.budget = 40000};
    struct outsider outsiders[SENDERS];
    stress_random random = stress_stream(0);
    fkl_runtime_config config = {.pool_workers = workers};
    CHECK_OK(fkl_runtime_create(&config, &board.runtime));
    atomic_store(&stress_watched, board.runtime);
    for (int i = 0; i < SLOTS; i++) {
        spawn_one(&board, &random);
    }
    for (int i = 0; i < stress.threads; i++) {
        outsiders[i] = (struct outsider){.board = &board, .number = (uint64_t)i + 1};
        CHECK(pthread_create(&outsiders[i].thread, NULL, run_outsider, &outsiders[i]) == 0,
              "thread");
    }
    for (int i = 0; wait && i < stress.threads; i++) {
        pthread_join(outsiders[i].thread, NULL);
    }
    for (long some = SLOTS + stress_below(&random, 1000); atomic_load(&board.spawned) < some;) {
        sched_yield(); // the outsiders spawn more than that
    }
    CHECK_OK(fkl_runtime_shutdown(board.runtime, FKL_FOREVER));
    for (int i = 0; !wait && i < stress.threads; i++) {
        pthread_join(outsiders[i].thread, NULL);
    }
    stress_end_runtime(board.runtime);
    CHECK(board.finished == board.spawned && board.started <= board.spawned,
          "%ld spawned, %ld started, %ld finished", board.spawned, board.started, board.finished);
}

int main(int argc, char **argv)
{
    static const uint32_t workers[] = {1, 2, 8, 32};
    stress_begin(argc, argv, 4, 24);
    CHECK(stress.threads < SENDERS, "too many threads");
    for (int i = 0; i < stress.iterations; i++) {
        run_round(workers[i % 4], i % 8 < 6);
        stress.seed++;
    }
    return 0;
}
