// SPDX-License-Identifier: Apache-2.0
//
// Links while everything happens at once: both ends link at the same time, either unlinks, partners
// end in every way, parents are killed while they spawn linked children. A link that was not ended
// gives exactly one signal, whose record is the one that a join gives; an ended one gives none; and
// whoever is ended by a signal has the record of the actor where it began.
#include "support/stress.h"

enum { PARTNERS = 10, GROUP = 10, CHILDREN = 4 };

// ---- a watcher that traps exits, and its partners

enum habit { PASSIVE, LINKS_BACK, UNLINKS, HABITS };

struct partner {
    fkl_actor *actor;
    fkl_actor_id watcher;
    enum habit habit;
    int32_t code;
    // The watcher's:
    bool linked;
    bool unlinked;
    int fired;
    fkl_exit record;
};

static void follow_habit(fkl_actor *self, struct partner *partner, stress_random *random)
{
    *random = stress_stream(fkl_actor_get_id(self));
    stress_jitter(random);
    if (partner->habit == LINKS_BACK) {
        fkl_err err = fkl_link(partner->watcher);
        CHECK(err == FKL_OK || err == FKL_ESTOPPED, "%s", fkl_err_name(err));
    } else if (partner->habit == UNLINKS) {
        fkl_unlink(partner->watcher);
    }
    stress_jitter(random);
}

static void act_partner(fkl_actor *self, void *arg)
{
    struct partner *partner = arg;
    stress_random random;
    fkl_msg *msg = NULL;
    follow_habit(self, partner, &random);
    switch (stress_below(&random, 4)) {
    case 0:
        while (fkl_receive_until(fkl_after_ns(200000), &msg) == FKL_OK) {
            fkl_msg_destroy(msg);
        }
        break;
    case 1:
        fkl_actor_exit_now(self, partner->code);
        sched_yield();
        break;
    case 2:
        CHECK_OK(fkl_actor_set_exit(self, partner->code, "error!", 7));
        break;
    default:
        break;
    }
}

static void start_partner(fkl_actor *self, void *state)
{
    struct partner *partner = state;
    stress_random random;
    follow_habit(self, partner, &random);
    switch (stress_below(&random, 3)) {
    case 0:
        fkl_actor_exit_now(self, partner->code);
        break;
    case 1:
        CHECK_OK(fkl_actor_set_exit(self, partner->code, "error!", 7));
        break;
    default:
        break;
    }
    fkl_actor_stop(self);
}

static fkl_turn ignore(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    (void)state;
    fkl_msg_destroy(msg);
    return FKL_TURN_CONTINUE;
}

static const fkl_behaviour partner_behaviour = {.receive = ignore, .start = start_partner};
static const fkl_behaviour child_behaviour = {.receive = ignore};

static fkl_err spawn_partner(fkl_runtime *runtime, struct partner *partner, bool pooled, bool link)
{
    fkl_spawn_options options = {.name = "partner", .stack_size = 128 * 1024, .link = link};
    return pooled
               ? fkl_spawn_pooled(runtime, &options, &partner_behaviour, partner, &partner->actor)
               : fkl_spawn(runtime, &options, act_partner, partner, &partner->actor);
}

static void note_exit(struct partner *partners, int count, fkl_msg *msg)
{
    fkl_exit record;
    CHECK_OK(fkl_msg_exit(msg, &record));
    for (int i = 0; i < count; i++) {
        struct partner *partner = &partners[i];
        if (fkl_actor_get_id(partner->actor) != record.id) {
            continue;
        }
        CHECK(partner->fired++ == 0, "two signals of one partner");
        CHECK(!partner->unlinked || partner->habit == LINKS_BACK, "a signal after an unlink");
        CHECK(partner->linked || partner->habit == LINKS_BACK, "a signal without a link");
        CHECK(record.error_len == 0 || memcmp(record.error, "error!", 7) == 0, "its error");
        partner->record = record;
        fkl_msg_destroy(msg);
        return;
    }
    CHECK(false, "a signal of nobody's link");
}

static void receive_exits(struct partner *partners, int count, fkl_time deadline)
{
    fkl_msg *msg = NULL;
    while (fkl_receive_until(deadline, &msg) == FKL_OK) {
        note_exit(partners, count, msg);
    }
}

static bool is_settled(const struct partner *partner)
{
    bool expected = partner->linked && !partner->unlinked && partner->habit != UNLINKS;
    return partner->fired || !expected;
}

static void disturb(struct partner *partners, int count, stress_random *random)
{
    struct partner *partner = &partners[stress_below(random, (uint32_t)count)];
    switch (stress_below(random, 5)) {
    case 0:
        fkl_actor_kill(partner->actor, -9);
        break;
    case 1:
        fkl_actor_stop(partner->actor);
        break;
    case 2: {
        bool was_there = fkl_unlink(fkl_actor_get_id(partner->actor));
        CHECK(was_there || !partner->linked || partner->unlinked || partner->fired ||
                  partner->habit == UNLINKS,
              "a link got lost");
        partner->unlinked = true;
        break;
    }
    default:
        receive_exits(partners, count, FKL_NO_WAIT);
    }
}

static void check_partner(struct partner *partner)
{
    fkl_exit joined;
    CHECK_OK(fkl_actor_join_until(partner->actor, FKL_FOREVER, &joined));
    CHECK_OK(fkl_actor_join_thread_until(partner->actor, FKL_FOREVER));
    CHECK(joined.origin == joined.id, "it began elsewhere");
    if (partner->fired) {
        CHECK(partner->record.code == joined.code && partner->record.reason == joined.reason &&
                  partner->record.origin == joined.origin &&
                  partner->record.error_len == joined.error_len,
              "join says %d and %d, the signal %d and %d", joined.reason, joined.code,
              partner->record.reason, partner->record.code);
    }
    fkl_actor_release(partner->actor);
}

static void act_watch(fkl_actor *self, void *arg)
{
    fkl_runtime *runtime = fkl_actor_runtime(self);
    stress_random random = stress_stream((uint64_t)(uintptr_t)arg + 77);
    struct partner partners[PARTNERS];
    memset(partners, 0, sizeof partners);
    CHECK_OK(fkl_trap_exits(true));
    for (int i = 0; i < PARTNERS; i++) {
        struct partner *partner = &partners[i];
        partner->watcher = fkl_actor_get_id(self);
        partner->habit = (enum habit)stress_below(&random, HABITS);
        partner->code = (int32_t)stress_below(&random, 100);
        partner->linked = stress_below(&random, 2);
        CHECK_OK(spawn_partner(runtime, partner, stress_below(&random, 2), partner->linked));
        if (!partner->linked) {
            stress_jitter(&random);
            fkl_err err = fkl_link(fkl_actor_get_id(partner->actor));
            CHECK(err == FKL_OK || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
            partner->linked = err == FKL_OK;
        }
        disturb(partners, i + 1, &random);
    }
    for (int i = 0; i < PARTNERS; i++) {
        while (!is_settled(&partners[i])) {
            receive_exits(partners, PARTNERS, fkl_after_ms(1));
        }
    }
    for (int i = 0; i < PARTNERS; i++) {
        fkl_actor_stop(partners[i].actor);
        fkl_exit joined;
        CHECK_OK(fkl_actor_join_thread_until(partners[i].actor, FKL_FOREVER));
        CHECK_OK(fkl_actor_try_exit(partners[i].actor, &joined));
    }
    receive_exits(partners, PARTNERS, FKL_NO_WAIT);
    for (int i = 0; i < PARTNERS; i++) {
        check_partner(&partners[i]);
    }
}

// ---- a group in which everybody links with anybody

struct group {
    fkl_actor *members[GROUP];
    atomic_bool complete;
};

static void act_member(fkl_actor *self, void *arg)
{
    struct group *group = arg;
    stress_random random = stress_stream(fkl_actor_get_id(self) * 3);
    while (!atomic_load(&group->complete)) {
        sched_yield();
    }
    for (int i = 0; i < 3 * GROUP; i++) {
        fkl_actor_id other = fkl_actor_get_id(group->members[stress_below(&random, GROUP)]);
        uint32_t dice = stress_below(&random, 4);
        if (dice == 0) {
            fkl_unlink(other);
        } else if (dice == 1) {
            CHECK_OK(fkl_trap_exits(stress_below(&random, 8) == 0));
        } else {
            fkl_err err = fkl_link(other);
            CHECK(err == FKL_OK || err == FKL_ENOACTOR || err == FKL_ESTOPPED, "%s",
                  fkl_err_name(err));
        }
        stress_jitter(&random);
        fkl_msg *msg = NULL;
        if (fkl_try_receive(&msg) == FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
    if (stress_below(&random, 3) == 0) {
        CHECK_OK(fkl_actor_set_exit(self, (int32_t)stress_below(&random, 5), "error!", 7));
    }
}

static void check_group(struct group *group)
{
    fkl_exit records[GROUP];
    for (int i = 0; i < GROUP; i++) {
        CHECK_OK(fkl_actor_join_until(group->members[i], FKL_FOREVER, &records[i]));
    }
    for (int i = 0; i < GROUP; i++) {
        int origin = 0;
        while (origin < GROUP && records[origin].id != records[i].origin) {
            origin++;
        }
        CHECK(origin < GROUP, "an end that began nowhere");
        CHECK(records[origin].origin == records[origin].id, "an origin that is none");
        CHECK(records[i].reason == records[origin].reason &&
                  records[i].code == records[origin].code,
              "%d and %d, and where it began %d and %d", records[i].reason, records[i].code,
              records[origin].reason, records[origin].code);
        CHECK(records[i].error == records[origin].error, "the error is not the same");
    }
}

static void run_group(fkl_runtime *runtime, stress_random *random)
{
    struct group group = {.complete = false};
    for (int i = 0; i < GROUP; i++) {
        group.members[i] = stress_spawn(runtime, "member", act_member, &group);
    }
    atomic_store(&group.complete, true);
    stress_jitter(random);
    if (stress_below(random, 2)) {
        fkl_actor_kill(group.members[stress_below(random, GROUP)], -4);
    }
    check_group(&group);
    for (int i = 0; i < GROUP; i++) { // those whose exit is out still look at the others
        CHECK_OK(fkl_actor_join_thread_until(group.members[i], FKL_FOREVER));
    }
    for (int i = 0; i < GROUP; i++) {
        stress_join(group.members[i]);
    }
}

// ---- parents that are killed while they spawn

struct family {
    fkl_actor *children[CHILDREN];
    int count;
};

static void act_stay(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    while (fkl_sleep_until(FKL_FOREVER) != FKL_ESTOPPED) {
    }
}

static void act_parent(fkl_actor *self, void *arg)
{
    struct family *family = arg;
    fkl_spawn_options options = {.name = "child", .stack_size = 128 * 1024, .link = true};
    while (family->count < CHILDREN) {
        fkl_runtime *runtime = fkl_actor_runtime(self);
        fkl_actor **child = &family->children[family->count];
        fkl_err err = family->count % 2
                          ? fkl_spawn_pooled(runtime, &options, &child_behaviour, NULL, child)
                          : fkl_spawn(runtime, &options, act_stay, NULL, child);
        if (err == FKL_ESTOPPED) {
            return;
        }
        CHECK_OK(err);
        family->count++;
    }
    act_stay(self, NULL);
}

static void run_family(fkl_runtime *runtime, stress_random *random)
{
    struct family family = {.count = 0};
    fkl_actor *parent = stress_spawn(runtime, "parent", act_parent, &family);
    fkl_actor_id id = fkl_actor_get_id(parent);
    for (uint32_t i = stress_below(random, 300); i > 0; i--) {
        sched_yield();
    }
    fkl_actor_kill(parent, 6);
    CHECK_OK(fkl_actor_join_thread_until(parent, FKL_FOREVER));
    for (int i = 0; i < family.count; i++) {
        fkl_exit record = stress_join(family.children[i]);
        CHECK(record.origin == id && record.reason == FKL_EXIT_KILLED && record.code == 6,
              "a child ended with %d and %d", record.reason, record.code);
    }
    stress_join(parent);
}

static void run_round(void)
{
    fkl_runtime *runtime = stress_runtime();
    fkl_actor **watchers = calloc((size_t)stress.threads, sizeof(fkl_actor *));
    stress_random random = stress_stream(12345);
    CHECK(watchers, "memory");
    for (int i = 0; i < stress.threads; i++) {
        watchers[i] = stress_spawn(runtime, "watcher", act_watch, (void *)(uintptr_t)i);
    }
    run_group(runtime, &random);
    run_family(runtime, &random);
    for (int i = 0; i < stress.threads; i++) {
        stress_join(watchers[i]);
    }
    stress_end_runtime(runtime);
    free(watchers);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 4, 400);
    for (int i = 0; i < stress.iterations; i++) {
        run_round();
        stress.seed++;
    }
    return 0;
}
