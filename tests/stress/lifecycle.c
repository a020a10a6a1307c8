// SPDX-License-Identifier: Apache-2.0
//
// Births and deaths: actors that end by themselves, early, by a stop or by a kill, while others
// monitor, demonitor, join and look them up. Each monitor that was not ended gives exactly one
// message, whose record is the one that a join gives; an ended one gives none.
#include "support/stress.h"

enum { TARGETS = 12 };

// Ends in one of four ways, after a while.
static void act_target(fkl_actor *self, void *arg)
{
    stress_random random = stress_stream(fkl_actor_get_id(self));
    int32_t code = (int32_t)(uintptr_t)arg;
    char error[8] = "error!";
    fkl_msg *msg = NULL;
    for (uint32_t i = stress_below(&random, 3); i > 0; i--) {
        sched_yield();
    }
    switch (stress_below(&random, 4)) {
    case 0: // waits for its end
        while (fkl_receive_until(fkl_after_ns(200000), &msg) == FKL_OK) {
            fkl_msg_destroy(msg);
        }
        break;
    case 1:
        fkl_actor_exit_now(self, code);
        sched_yield();
        break;
    case 2:
        CHECK_OK(fkl_actor_set_exit(self, code, error, sizeof error));
        break;
    default:
        break;
    }
}

struct watch {
    fkl_actor *target;
    fkl_monitor_ref ref;
    bool ended;
    int fired;
    fkl_exit record;
    bool known;
};

static void note_down(struct watch *watches, int count, fkl_msg *msg)
{
    fkl_monitor_ref ref;
    fkl_exit record;
    bool known;
    CHECK_OK(fkl_msg_down(msg, &ref, &record, &known));
    for (int i = 0; i < count; i++) {
        if (watches[i].ref == ref) {
            CHECK(!watches[i].ended, "a message of a monitor that was ended");
            CHECK(watches[i].fired++ == 0, "two messages of one monitor");
            CHECK(record.error_len == 0 || memcmp(record.error, "error!", 7) == 0, "its error");
            watches[i].record = record;
            watches[i].known = known;
            fkl_msg_destroy(msg);
            return;
        }
    }
    CHECK(false, "a message of nobody's monitor");
}

static void receive_downs(struct watch *watches, int count, fkl_time deadline)
{
    fkl_msg *msg = NULL;
    while (fkl_receive_until(deadline, &msg) == FKL_OK) {
        if (fkl_msg_get_kind(msg) == FKL_MSG_DOWN) {
            note_down(watches, count, msg);
        } else {
            fkl_msg_destroy(msg);
        }
    }
}

static bool all_fired(const struct watch *watches, int count)
{
    for (int i = 0; i < count; i++) {
        if (!watches[i].ended && !watches[i].fired) {
            return false;
        }
    }
    return true;
}

static void check_record(fkl_runtime *runtime, struct watch *watch)
{
    fkl_exit joined;
    fkl_actor *found = NULL;
    CHECK_OK(fkl_actor_join_until(watch->target, FKL_FOREVER, &joined));
    CHECK(joined.id == fkl_actor_get_id(watch->target), "the wrong record");
    CHECK(fkl_actor_find(runtime, joined.id, &found) == FKL_ENOACTOR, "found a dead actor");
    if (watch->fired) {
        CHECK(watch->known, "the target is referenced, so its record is there");
        CHECK(watch->record.id == joined.id && watch->record.code == joined.code &&
                  watch->record.reason == joined.reason &&
                  watch->record.error_len == joined.error_len,
              "join says %d and %d, the message %d and %d", joined.reason, joined.code,
              watch->record.reason, watch->record.code);
    }
    fkl_actor_release(watch->target);
}

// Spawns targets, sets monitors, ends some again, and collects what comes.
static void act_observer(fkl_actor *self, void *arg)
{
    fkl_runtime *runtime = fkl_actor_runtime(self);
    stress_random random = stress_stream((uint64_t)(uintptr_t)arg + 77);
    struct watch watches[TARGETS] = {{0}};
    for (int i = 0; i < TARGETS; i++) {
        int32_t code = (int32_t)stress_below(&random, 100);
        watches[i].target =
            stress_spawn(runtime, "target", act_target, (void *)(uintptr_t)(uint32_t)code);
        fkl_actor_id id = fkl_actor_get_id(watches[i].target);
        stress_jitter(&random);
        CHECK_OK(fkl_monitor(id, &watches[i].ref));
        CHECK(watches[i].ref != 0, "no reference");
        uint32_t dice = stress_below(&random, 6);
        if (dice == 0) {
            fkl_actor_kill(watches[i].target, -9);
        } else if (dice == 1) {
            fkl_actor_stop(watches[i].target);
        } else if (dice == 2) {
            fkl_msg *msg = stress_msg(1);
            if (fkl_send(runtime, id, msg) != FKL_OK) {
                fkl_msg_destroy(msg);
            }
        }
        if (stress_below(&random, 4) == 0) {
            struct watch *watch = &watches[stress_below(&random, (uint32_t)i + 1)];
            if (!watch->ended) {
                bool was_there = fkl_demonitor(watch->ref);
                CHECK(was_there == (watch->fired == 0), "%d after %d messages", was_there,
                      watch->fired);
                watch->ended = watch->fired == 0;
            }
        }
        if (stress_below(&random, 4) == 0) {
            receive_downs(watches, i + 1, FKL_NO_WAIT);
        }
    }
    fkl_time limit = fkl_after_ms(200000);
    while (!all_fired(watches, TARGETS)) {
        CHECK(fkl_now() < limit, "a monitor never fired");
        receive_downs(watches, TARGETS, fkl_after_ms(1));
    }
    for (int i = 0; i < TARGETS; i++) {
        check_record(runtime, &watches[i]);
    }
    receive_downs(watches, TARGETS, FKL_NO_WAIT); // anything more is a mistake
}

// An observer that ends, or is killed, with monitors set.
static void act_careless(fkl_actor *self, void *arg)
{
    fkl_runtime *runtime = fkl_actor_runtime(self);
    stress_random random = stress_stream((uint64_t)(uintptr_t)arg + 7777);
    for (int i = 0; i < TARGETS; i++) {
        fkl_monitor_ref ref;
        fkl_actor *target = stress_spawn(runtime, "target", act_target, NULL);
        fkl_err err = fkl_monitor(fkl_actor_get_id(target), &ref);
        CHECK(err == FKL_OK || err == FKL_ESTOPPED, "%s", fkl_err_name(err));
        if (stress_below(&random, 3) == 0) {
            fkl_actor_kill(target, 1);
        }
        fkl_actor_release(target);
        stress_jitter(&random);
    }
}

static void run_round(void)
{
    fkl_runtime *runtime = stress_runtime();
    fkl_actor **actors = calloc((size_t)stress.threads, sizeof(fkl_actor *));
    stress_random random = stress_stream(12345);
    CHECK(actors, "memory");
    for (int i = 0; i < stress.threads; i++) {
        void *number = (void *)(uintptr_t)i;
        actors[i] =
            stress_spawn(runtime, "observer", i % 4 == 3 ? act_careless : act_observer, number);
    }
    for (int i = 3; i < stress.threads; i += 4) {
        stress_jitter(&random);
        fkl_actor_kill(actors[i], 2);
    }
    for (int i = 0; i < stress.threads; i++) {
        stress_join(actors[i]);
    }
    stress_end_runtime(runtime);
    free(actors);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 8, 100);
    for (int i = 0; i < stress.iterations; i++) {
        run_round();
        stress.seed++;
    }
    return 0;
}
