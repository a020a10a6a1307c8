// SPDX-License-Identifier: Apache-2.0
//
// Links: what becomes of an actor when the one that it is linked with ends, for each way to end and
// each way to take it; chains and rings; unlinking; spawning linked.
#include "support/rig.h"

#include <limits.h>

// ---- one partner ends, the other is looked at

enum how { RETURNS, RETURNS_AFTER_STOP, IS_KILLED, FAILS_WITH_A_CODE, FAILS_WITH_AN_ERROR };

struct ender {
    enum how how;
    rig_gate gate;
};

static void end_as_told(fkl_actor *self, enum how how)
{
    fkl_err err = FKL_OK;
    if (how == RETURNS_AFTER_STOP) {
        fkl_actor_stop(self);
    } else if (how == FAILS_WITH_A_CODE) {
        err = fkl_actor_set_exit(self, 7, NULL, 0);
    } else if (how == FAILS_WITH_AN_ERROR) {
        err = fkl_actor_set_exit(self, 8, "what happened", 13);
    }
    if (err != FKL_OK) {
        abort();
    }
}

static void act_end(fkl_actor *self, void *arg)
{
    struct ender *ender = arg;
    rig_pass(&ender->gate);
    end_as_told(self, ender->how);
}

static fkl_turn end_at_a_message(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct ender *ender = state;
    fkl_msg_destroy(msg);
    end_as_told(self, ender->how);
    return FKL_TURN_END;
}

static const fkl_behaviour ending = {.receive = end_at_a_message};

struct survivor {
    fkl_actor_id partner;
    bool trap;
    fkl_err linked;
    rig_gate ready;
    int received, exits;
    fkl_msg_kind first_kind;
    fkl_exit record;
    char error[32];
};

static void note_message(struct survivor *seen, fkl_msg *msg)
{
    if (seen->received++ == 0) {
        seen->first_kind = fkl_msg_get_kind(msg);
    }
    fkl_exit record;
    if (fkl_msg_exit(msg, &record) == FKL_OK) {
        seen->exits++;
        seen->record = record;
        if (record.error) {
            memcpy(seen->error, record.error, record.error_len);
        }
    }
    fkl_msg_destroy(msg);
}

static void begin_to_survive(fkl_actor *self, void *state)
{
    (void)self;
    struct survivor *seen = state;
    seen->linked = fkl_trap_exits(seen->trap);
    if (seen->linked == FKL_OK) {
        seen->linked = fkl_link(seen->partner);
    }
    rig_pass(&seen->ready);
}

static void act_survive(fkl_actor *self, void *arg)
{
    begin_to_survive(self, arg);
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        note_message(arg, msg);
    }
}

static fkl_turn survive_a_message(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    note_message(state, msg);
    return FKL_TURN_CONTINUE;
}

static const fkl_behaviour surviving = {.receive = survive_a_message, .start = begin_to_survive};

static fkl_actor *spawn(fkl_runtime *runtime, fkl_actor_fn fn, const fkl_behaviour *behaviour,
                        bool pooled, void *arg)
{
    fkl_actor *actor = NULL;
    if (!pooled) {
        return rig_spawn(runtime, fn, arg);
    }
    assert_ok(fkl_spawn_pooled(runtime, NULL, behaviour, arg, &actor));
    return actor;
}

static void end_partner(fkl_actor *partner, struct ender *ender, bool pooled)
{
    if (ender->how == IS_KILLED) {
        cr_assert(fkl_actor_kill(partner, -9));
    } else if (pooled) {
        rig_send(partner, 1);
    }
    atomic_store(&ender->gate.open, true);
}

static void check_same_end(const fkl_exit *seen, const fkl_exit *record, const char *error)
{
    cr_assert_eq(seen->reason, record->reason);
    cr_assert_eq(seen->code, record->code);
    cr_assert_eq(seen->origin, record->id);
    cr_assert_eq(seen->error_len, record->error_len);
    if (record->error) {
        cr_assert_arr_eq(error, record->error, record->error_len);
    }
}

// `pools` has two bits: the partner, and who survives it, are pooled.
static void end_and_look_at(enum how how, bool trap, int pools)
{
    fkl_runtime *runtime = rig_create();
    struct ender ender = {.how = how};
    bool partner_is_pooled = pools & 1;
    fkl_actor *partner = spawn(runtime, act_end, &ending, partner_is_pooled, &ender);
    struct survivor seen = {.partner = fkl_actor_get_id(partner), .trap = trap};
    atomic_store(&seen.ready.open, true);
    fkl_actor *survivor = spawn(runtime, act_survive, &surviving, pools & 2, &seen);
    assert_eventually(atomic_load(&seen.ready.arrived) == 1);
    assert_ok(seen.linked);
    end_partner(partner, &ender, partner_is_pooled);
    fkl_exit record, own;
    assert_ok(fkl_actor_join_until(partner, SOON, &record));
    cr_assert_eq(record.origin, record.id);
    bool dies = !trap && how != RETURNS;
    if (dies) {
        assert_ok(fkl_actor_join_until(survivor, SOON, &own));
        cr_assert_eq(own.id, fkl_actor_get_id(survivor));
        check_same_end(&own, &record, own.error);
        cr_assert_eq(own.error, record.error, "the error is shared, not copied");
        assert_ok(fkl_actor_join_thread_until(survivor, SOON)); // it was stopped as well
    } else {
        assert_ok(fkl_actor_join_thread_until(partner, SOON));
        rig_send(survivor, 1);
        assert_eventually(fkl_actor_mailbox_len(survivor) == 0);
        assert_err(fkl_actor_try_exit(survivor, &own), FKL_EEMPTY);
        fkl_actor_stop(survivor);
    }
    rig_join(survivor);
    cr_assert_eq(seen.exits, trap, "%d messages", seen.exits);
    cr_assert_eq(seen.received, dies ? 0 : 1 + trap);
    if (trap) {
        cr_assert_eq(seen.record.id, record.id);
        check_same_end(&seen.record, &record, seen.error);
    }
    rig_join(partner);
    rig_destroy(runtime);
}

static void end_and_look(enum how how, bool trap)
{
    for (int pools = 0; pools < 4; pools++) {
        end_and_look_at(how, trap, pools);
    }
}

Test(link, nobody_minds_a_partner_that_returns, .timeout = 60)
{
    end_and_look(RETURNS, false);
}

Test(link, a_stop_of_the_partner_ends_it, .timeout = 60)
{
    end_and_look(RETURNS_AFTER_STOP, false);
}

Test(link, a_kill_of_the_partner_ends_it, .timeout = 60)
{
    end_and_look(IS_KILLED, false);
}

Test(link, an_exit_code_of_the_partner_ends_it, .timeout = 60)
{
    end_and_look(FAILS_WITH_A_CODE, false);
}

Test(link, an_error_of_the_partner_ends_it, .timeout = 60)
{
    end_and_look(FAILS_WITH_AN_ERROR, false);
}

Test(link, who_traps_exits_gets_a_message_whatever_the_reason, .timeout = 60)
{
    for (enum how how = RETURNS; how <= FAILS_WITH_AN_ERROR; how++) {
        end_and_look(how, true);
    }
}

// ---- what links there are

static void act_link_badly(fkl_actor *self, void *arg)
{
    fkl_err *results = arg;
    fkl_exit record;
    fkl_msg *msg = NULL;
    results[0] = fkl_link(fkl_actor_get_id(self));
    results[1] = fkl_link(FKL_NOBODY);
    results[2] = fkl_link(UINT64_MAX);
    results[3] = fkl_link(((fkl_actor_id *)fkl_actor_data(self))[0]);
    results[4] = fkl_unlink(fkl_actor_get_id(self)) || fkl_unlink(FKL_NOBODY) ? FKL_EINVAL : FKL_OK;
    results[5] = fkl_try_receive(&msg);
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) == FKL_OK) {
        results[6] = fkl_msg_exit(msg, &record);
        fkl_msg_destroy(msg);
    }
    fkl_actor_exit_now(self, 0);
    results[7] = fkl_link(fkl_actor_get_id(self));
    results[8] = fkl_link(((fkl_actor_id *)fkl_actor_data(self))[1]);
}

Test(link, needs_a_live_actor_at_both_ends, .timeout = 60)
{
    static const fkl_err expected[] = {FKL_OK,     FKL_ENOACTOR, FKL_ENOACTOR, FKL_ENOACTOR, FKL_OK,
                                       FKL_EEMPTY, FKL_ETYPE,    FKL_ESTOPPED, FKL_ESTOPPED};
    fkl_runtime *runtime = rig_create();
    fkl_actor *dead = rig_spawn(runtime, act_return, NULL);
    fkl_actor *alive = rig_spawn(runtime, act_serve, NULL);
    fkl_actor_id ids[] = {fkl_actor_get_id(dead), fkl_actor_get_id(alive)};
    assert_ok(fkl_actor_join_until(dead, SOON, NULL));
    fkl_err results[9] = {0};
    fkl_spawn_options options = {.data = ids, .trap_exits = true};
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn(runtime, &options, act_link_badly, results, &actor));
    rig_join(actor);
    for (int i = 0; i < 9; i++) {
        cr_assert_eq(results[i], expected[i], "%d: %s", i, fkl_err_name(results[i]));
    }
    assert_err(fkl_link(ids[1]), FKL_EPERM);
    assert_err(fkl_trap_exits(true), FKL_EPERM);
    cr_assert_not(fkl_unlink(ids[1]));
    fkl_actor_release(dead);
    fkl_actor_release(alive);
    rig_destroy(runtime);
}

// Two actors that can do something to each other, in steps.
struct pair {
    fkl_actor *actors[2];
    int links[2]; // how often each links with the other
    bool unlinks[2];
    rig_gate known[2], linked[2];
    int wrong;
    atomic_int received;
};

static void act_pair(fkl_actor *self, void *arg)
{
    struct pair *pair = arg;
    int number = *(int *)fkl_actor_data(self);
    rig_pass(&pair->known[number]);
    fkl_actor_id partner = fkl_actor_get_id(pair->actors[!number]);
    for (int i = 0; i < pair->links[number]; i++) {
        pair->wrong += fkl_link(partner) != FKL_OK;
    }
    rig_pass(&pair->linked[number]);
    if (pair->unlinks[number]) {
        pair->wrong += !fkl_unlink(partner);
    }
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        atomic_fetch_add(&pair->received, 1);
        fkl_msg_destroy(msg);
    }
}

// One of the pair after the other up to its receive; then the first is killed.
static void run_pair(struct pair *pair)
{
    static int numbers[] = {0, 1};
    fkl_runtime *runtime = rig_create();
    fkl_exit record;
    for (int i = 0; i < 2; i++) {
        fkl_spawn_options options = {.data = &numbers[i], .trap_exits = true};
        assert_ok(fkl_spawn(runtime, &options, act_pair, pair, &pair->actors[i]));
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&pair->known[i].open, true);
        assert_eventually(atomic_load(&pair->linked[i].arrived) == 1);
    }
    for (int i = 0; i < 2; i++) {
        atomic_store(&pair->linked[i].open, true);
        assert_eventually(rig_waits_in(pair->actors[i], "receive"));
    }
    cr_assert(fkl_actor_kill(pair->actors[0], 1));
    rig_join(pair->actors[0]);
    rig_send(pair->actors[1], 1);
    assert_eventually(fkl_actor_mailbox_len(pair->actors[1]) == 0 && rig_waits(pair->actors[1]));
    assert_err(fkl_actor_try_exit(pair->actors[1], &record), FKL_EEMPTY);
    fkl_actor_stop(pair->actors[1]);
    rig_join(pair->actors[1]);
    cr_assert_eq(pair->wrong, 0);
    rig_destroy(runtime);
}

Test(link, two_actors_have_one_link_at_most, .timeout = 60)
{
    struct pair pair = {.links = {2, 3}};
    run_pair(&pair);
    cr_assert_eq(pair.received, 2, "one signal, and the user's message");
}

// ---- unlinking

struct unlinker {
    fkl_actor_id partner;
    bool trap, first, second;
    rig_gate linked, unlinked;
    fkl_err err;
    int received;
};

static void act_unlink(fkl_actor *self, void *arg)
{
    (void)self;
    struct unlinker *unlinker = arg;
    unlinker->err = fkl_trap_exits(unlinker->trap);
    if (unlinker->err == FKL_OK) {
        unlinker->err = fkl_link(unlinker->partner);
    }
    rig_pass(&unlinker->linked);
    unlinker->first = fkl_unlink(unlinker->partner);
    unlinker->second = fkl_unlink(unlinker->partner);
    rig_pass(&unlinker->unlinked);
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        unlinker->received++;
        fkl_msg_destroy(msg);
    }
}

static void unlink_and_look(bool trap, bool late)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *partner = rig_spawn(runtime, act_serve, NULL);
    struct unlinker unlinker = {.partner = fkl_actor_get_id(partner), .trap = trap};
    atomic_store(&unlinker.unlinked.open, true);
    fkl_actor *actor = rig_spawn(runtime, act_unlink, &unlinker);
    assert_eventually(atomic_load(&unlinker.linked.arrived) == 1);
    assert_ok(unlinker.err);
    if (late) {
        cr_assert(fkl_actor_kill(partner, 5));
        cr_assert_eq(fkl_actor_mailbox_len(actor), 1);
    }
    atomic_store(&unlinker.linked.open, true);
    assert_eventually(rig_waits_in(actor, "receive"));
    if (!late) {
        cr_assert(fkl_actor_kill(partner, 5));
    }
    rig_join(partner);
    rig_send(actor, 1);
    assert_eventually(fkl_actor_mailbox_len(actor) == 0 && rig_waits_in(actor, "receive"));
    fkl_actor_stop(actor);
    cr_assert_eq(rig_join(actor).reason, FKL_EXIT_STOPPED);
    cr_assert(unlinker.first);
    cr_assert_not(unlinker.second);
    cr_assert_eq(unlinker.received, 1, "the user's message");
    rig_destroy(runtime);
}

Test(link, ends_without_a_trace_before_the_partner_does, .timeout = 60)
{
    unlink_and_look(false, false);
    unlink_and_look(true, false);
}

Test(link, unlinking_takes_back_a_message_that_waits, .timeout = 60)
{
    unlink_and_look(true, true);
}

Test(link, either_end_can_end_it, .timeout = 60)
{
    for (int end = 0; end < 2; end++) {
        struct pair pair = {.links = {1, 0}};
        pair.unlinks[end] = true;
        run_pair(&pair);
        cr_assert_eq(pair.received, 1, "the user's message");
    }
}

// ---- many

enum { RING = 100 };

struct ring {
    fkl_actor *actors[RING];
    atomic_int ready;
    fkl_err errors[RING];
    int trapper; // -1: nobody
    int received;
    bool chain;
};

struct place {
    struct ring *ring;
    int number;
};

static void act_stand_in_ring(fkl_actor *self, void *arg)
{
    (void)self;
    struct place *place = arg;
    struct ring *ring = place->ring;
    fkl_err *err = &ring->errors[place->number];
    rig_gate *gate = fkl_actor_data(self);
    rig_pass(gate);
    *err = fkl_trap_exits(place->number == ring->trapper);
    if (*err == FKL_OK && !(ring->chain && place->number == RING - 1)) {
        *err = fkl_link(fkl_actor_get_id(ring->actors[(place->number + 1) % RING]));
    }
    atomic_fetch_add(&ring->ready, 1);
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        ring->received += fkl_msg_get_kind(msg) == FKL_MSG_EXIT;
        fkl_msg_destroy(msg);
    }
}

static fkl_runtime *start_ring(struct ring *ring, struct place *places, rig_gate *gate,
                               const fkl_runtime_config *config)
{
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(config, &runtime));
    for (int i = 0; i < RING; i++) {
        places[i] = (struct place){ring, i};
        fkl_spawn_options options = {.data = gate, .stack_size = 64 * 1024};
        assert_ok(fkl_spawn(runtime, &options, act_stand_in_ring, &places[i], &ring->actors[i]));
    }
    atomic_store(&gate->open, true);
    assert_eventually(atomic_load(&ring->ready) == RING);
    for (int i = 0; i < RING; i++) {
        assert_ok(ring->errors[i]);
    }
    return runtime;
}

static void check_ring(struct ring *ring, int victim)
{
    fkl_exit first, record;
    assert_ok(fkl_actor_join_until(ring->actors[victim], SOON, &first));
    for (int i = 0; i < RING; i++) {
        if (i == ring->trapper) {
            continue;
        }
        assert_ok(fkl_actor_join_until(ring->actors[i], SOON, &record));
        cr_assert_eq(record.id, fkl_actor_get_id(ring->actors[i]));
        cr_assert_eq(record.origin, fkl_actor_get_id(ring->actors[victim]));
        cr_assert_eq(record.reason, first.reason);
        cr_assert_eq(record.code, first.code);
        cr_assert_eq(record.error, first.error, "one error, shared by all");
    }
}

static void end_ring(struct ring *ring, fkl_runtime *runtime)
{
    for (int i = 0; i < RING; i++) {
        fkl_actor_stop(ring->actors[i]);
        rig_join(ring->actors[i]);
    }
    rig_destroy(runtime);
}

static void break_ring(bool chain, int victim)
{
    rig_memory memory = {0};
    struct ring ring = {.trapper = -1, .chain = chain};
    struct place places[RING];
    rig_gate gate = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = start_ring(&ring, places, &gate, &config);
    // Its error is set from outside, so that it does not have to run for it.
    assert_ok(fkl_actor_set_exit(ring.actors[victim], 3, "the weakest", 11));
    cr_assert(fkl_actor_exit_now(ring.actors[victim], 0));
    check_ring(&ring, victim);
    end_ring(&ring, runtime);
    rig_assert_balanced(&memory);
}

Test(link, one_failure_takes_down_a_ring_of_a_hundred, .timeout = 60)
{
    break_ring(false, 37);
}

Test(link, one_failure_takes_down_a_chain_from_its_middle_and_its_end, .timeout = 60)
{
    break_ring(true, 50);
    break_ring(true, RING - 1);
}

Test(link, who_traps_exits_stops_the_spread, .timeout = 60)
{
    struct ring ring = {.trapper = 10};
    struct place places[RING];
    rig_gate gate = {0};
    fkl_runtime *runtime = start_ring(&ring, places, &gate, NULL);
    fkl_exit record;
    cr_assert(fkl_actor_kill(ring.actors[60], -1));
    check_ring(&ring, 60);
    assert_eventually(fkl_actor_mailbox_len(ring.actors[10]) == 0 && rig_waits(ring.actors[10]));
    assert_err(fkl_actor_try_exit(ring.actors[10], &record), FKL_EEMPTY);
    end_ring(&ring, runtime);
    cr_assert_eq(ring.received, 2, "its neighbours on both sides");
}

// ---- order

struct backlog {
    fkl_actor_id partner;
    rig_gate ready;
    fkl_err err;
    fkl_msg_kind kinds[6];
    int received;
};

static void act_receive_backlog(fkl_actor *self, void *arg)
{
    (void)self;
    struct backlog *backlog = arg;
    backlog->err = fkl_link(backlog->partner);
    rig_pass(&backlog->ready);
    fkl_msg *msg = NULL;
    while (backlog->received < 6 && fkl_try_receive(&msg) == FKL_OK) {
        backlog->kinds[backlog->received++] = fkl_msg_get_kind(msg);
        fkl_msg_destroy(msg);
    }
}

Test(link, an_exit_message_passes_the_backlog, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *partner = rig_spawn(runtime, act_serve, NULL);
    struct backlog backlog = {.partner = fkl_actor_get_id(partner)};
    fkl_spawn_options options = {.trap_exits = true};
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn(runtime, &options, act_receive_backlog, &backlog, &actor));
    assert_eventually(atomic_load(&backlog.ready.arrived) == 1);
    for (int i = 0; i < 5; i++) {
        rig_send(actor, 1);
    }
    fkl_actor_kill(partner, 0);
    rig_join(partner);
    atomic_store(&backlog.ready.open, true);
    rig_join(actor);
    assert_ok(backlog.err);
    cr_assert_eq(backlog.received, 6);
    cr_assert_eq(backlog.kinds[0], FKL_MSG_EXIT);
    cr_assert_eq(backlog.kinds[1], FKL_MSG_USER);
    rig_destroy(runtime);
}

// ---- spawning linked

struct parent {
    fkl_spawn_options options;
    fkl_err err;
    fkl_actor *child;
    rig_gate spawned;
    rig_gate child_gate;
};

static void act_parent(fkl_actor *self, void *arg)
{
    struct parent *parent = arg;
    parent->err = fkl_spawn(fkl_actor_runtime(self), &parent->options, act_stubborn,
                            &parent->child_gate, &parent->child);
    rig_pass(&parent->spawned);
}

Test(link, a_child_spawned_linked_dies_with_its_parent, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct parent parent = {.options = {.link = true}};
    fkl_actor *actor = rig_spawn(runtime, act_parent, &parent);
    assert_eventually(atomic_load(&parent.spawned.arrived) == 1);
    assert_ok(parent.err);
    cr_assert(fkl_actor_kill(actor, 44));
    fkl_exit record;
    assert_ok(fkl_actor_join_until(parent.child, SOON, &record));
    cr_assert_eq(record.reason, FKL_EXIT_KILLED);
    cr_assert_eq(record.code, 44);
    cr_assert_eq(record.origin, fkl_actor_get_id(actor));
    atomic_store(&parent.child_gate.open, true);
    atomic_store(&parent.spawned.open, true);
    rig_join(parent.child);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(link, a_child_spawned_linked_takes_its_parent_down, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct parent parent = {.options = {.link = true}};
    fkl_actor *actor = rig_spawn(runtime, act_parent, &parent);
    assert_eventually(atomic_load(&parent.spawned.arrived) == 1);
    cr_assert(fkl_actor_kill(parent.child, 45));
    fkl_exit record;
    assert_ok(fkl_actor_try_exit(actor, &record));
    cr_assert_eq(record.code, 45);
    atomic_store(&parent.child_gate.open, true);
    atomic_store(&parent.spawned.open, true);
    rig_join(parent.child);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(link, a_child_cannot_be_spawned_linked_from_outside, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_runtime *elsewhere = rig_create();
    fkl_spawn_options options = {.link = true};
    fkl_actor *child = NULL;
    assert_err(fkl_spawn(runtime, &options, act_return, NULL, &child), FKL_EPERM);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.spawned, 0);
    rig_destroy(elsewhere);
    rig_destroy(runtime);
}

static void act_spawn_after_its_end(fkl_actor *self, void *arg)
{
    struct parent *parent = arg;
    fkl_actor_exit_now(self, 0);
    parent->err = fkl_spawn(fkl_actor_runtime(self), &parent->options, act_return, NULL, NULL);
}

Test(link, a_parent_whose_exit_is_out_has_no_linked_children, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct parent parent = {.options = {.link = true}};
    rig_join(rig_spawn(runtime, act_spawn_after_its_end, &parent));
    assert_err(parent.err, FKL_ESTOPPED);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.spawned, 1);
    rig_destroy(runtime);
}

// ---- memory

struct scarce {
    rig_memory *memory;
    fkl_actor_id partner;
    int refused;
    fkl_err last;
};

static void act_link_without_memory(fkl_actor *self, void *arg)
{
    (void)self;
    struct scarce *scarce = arg;
    do {
        long now = atomic_load(&scarce->memory->calls);
        atomic_store(&scarce->memory->fail_at, now + 1 + scarce->refused);
        scarce->last = fkl_link(scarce->partner);
        scarce->refused += scarce->last == FKL_ENOMEM;
    } while (scarce->last == FKL_ENOMEM && scarce->refused < 10);
    atomic_store(&scarce->memory->fail_at, 0);
}

Test(link, says_so_when_there_is_no_memory, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *partner = rig_spawn(runtime, act_serve, NULL);
    struct scarce scarce = {.memory = &memory, .partner = fkl_actor_get_id(partner)};
    rig_join(rig_spawn(runtime, act_link_without_memory, &scarce));
    assert_ok(scarce.last);
    cr_assert_eq(scarce.refused, 2, "the link and its message");
    fkl_actor_stop(partner);
    rig_join(partner);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

struct cycles {
    rig_memory *memory;
    fkl_actor_id partner;
    long blocks;
    int wrong;
};

static void act_link_again_and_again(fkl_actor *self, void *arg)
{
    (void)self;
    struct cycles *cycles = arg;
    for (int i = 0; i < 20000; i++) {
        cycles->wrong += fkl_link(cycles->partner) != FKL_OK;
        cycles->wrong += !fkl_unlink(cycles->partner);
        if (i == 10) {
            cycles->blocks = atomic_load(&cycles->memory->blocks);
        }
    }
    cycles->blocks -= atomic_load(&cycles->memory->blocks);
}

Test(link, links_that_are_ended_leave_nothing_behind, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *partner = rig_spawn(runtime, act_serve, NULL);
    struct cycles cycles = {.memory = &memory, .partner = fkl_actor_get_id(partner)};
    rig_join(rig_spawn(runtime, act_link_again_and_again, &cycles));
    cr_assert_eq(cycles.wrong, 0);
    cr_assert_eq(cycles.blocks, 0);
    fkl_actor_stop(partner);
    rig_join(partner);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}
