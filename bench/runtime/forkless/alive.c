// SPDX-License-Identifier: Apache-2.0
//
// Alive: makes many actors, sends each a message that it answers, looks how much memory this
// process has, and then sends each a second message, which it answers and ends.
// Parameters: actors. Operations: actors. Checksum: all payloads of answers.
//
// Ten thousand: the same with address space running out while the actors live, so that further
// spawns fail; those that live must not notice.

#include "kit.h"

#include <stdlib.h>
#include <sys/resource.h>

// So many messages are under way at a time, lest the memory for them be counted as the actors'.
enum { BATCH = 1000 };

enum { ASK, LAST };

struct crowd {
    int64_t count;
    bool exhaust;
    fkl_actor **actors;
    kit_result result;
};

static fkl_turn answer(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    (void)state;
    bool last = fkl_msg_tag(msg) == LAST;
    fkl_actor_id sender = fkl_msg_sender(msg);
    kit_send_id(sender, 0, kit_take(msg));
    return last ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

static const fkl_behaviour answers = {.receive = answer};

static int64_t ask_all(const struct crowd *crowd, uint64_t kind)
{
    int64_t sum = 0;
    for (int64_t first = 0; first < crowd->count; first += BATCH) {
        int64_t behind = first + BATCH < crowd->count ? first + BATCH : crowd->count;
        for (int64_t i = first; i < behind; ++i)
            kit_send(crowd->actors[i], kind, i + 1);
        for (int64_t i = first; i < behind; ++i) {
            fkl_msg *msg;
            kit_check(fkl_receive_until(FKL_FOREVER, &msg), "receiving an answer");
            sum += kit_take(msg);
        }
    }
    return sum;
}

// Spawns until it fails, with room for a few more stacks. The actors that this made end at once.
static fkl_err spawn_beyond(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit))
        kit_fail("no limit of address space");
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = (rlim_t)kit_memory_used(KIT_VIRTUAL) + (rlim_t)100 * 1024 * 1024;
    if (setrlimit(RLIMIT_AS, &limit))
        kit_fail("the address space cannot be limited");
    fkl_actor *more[100];
    size_t count = 0;
    fkl_err err = FKL_OK;
    while (count < 100 && !(err = kit_try_spawn(&answers, NULL, &more[count])))
        ++count;
    limit.rlim_cur = before;
    if (setrlimit(RLIMIT_AS, &limit))
        kit_fail("the limit of address space stays");
    while (count) {
        fkl_msg *msg;
        kit_send(more[--count], LAST, 0);
        kit_check(fkl_receive_until(FKL_FOREVER, &msg), "receiving an answer");
        fkl_msg_destroy(msg);
        kit_join(more[count]);
    }
    return err;
}

static void drive(fkl_actor *self, void *arg)
{
    struct crowd *crowd = arg;
    kit_result *result = &crowd->result;
    (void)self;
    int64_t before = kit_memory_used(KIT_RESIDENT);
    fkl_time begin = fkl_now();
    for (int64_t i = 0; i < crowd->count; ++i)
        crowd->actors[i] = kit_spawn(&answers, NULL);
    result->checksum = ask_all(crowd, ASK);
    fkl_time pause = fkl_now();
    result->bytes = kit_memory_used(KIT_RESIDENT) - before;
    if (crowd->exhaust)
        result->note = fkl_err_name(spawn_beyond());
    begin += fkl_now() - pause;
    result->checksum += ask_all(crowd, LAST);
    for (int64_t i = 0; i < crowd->count; ++i)
        kit_join(crowd->actors[i]);
    result->ns = fkl_now() - begin;
    result->operations = crowd->count;
}

static kit_result run(int64_t count, bool exhaust)
{
    struct crowd crowd = {.count = count, .exhaust = exhaust};
    fkl_actor *driver;
    crowd.actors = kit_alloc(count, sizeof(fkl_actor *));
    kit_check(fkl_spawn(kit_runtime, NULL, drive, &crowd, &driver), "spawning");
    kit_join(driver);
    free(crowd.actors);
    return crowd.result;
}

kit_result run_alive(const int64_t *params)
{
    return run(params[0], false);
}

kit_result run_ten_thousand(const int64_t *params)
{
    return run(params[0], true);
}
