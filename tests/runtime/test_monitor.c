// SPDX-License-Identifier: Apache-2.0
//
// Monitors: one FKL_MSG_DOWN for each, with the exit record, whether the target ended before or
// after; none after a demonitor, whatever it raced with.
#include "support/rig.h"

enum { DOWN_MAX = 16 };

// What an observer is to do and what it saw. All monitors are of `targets`, in order.
struct observer {
    fkl_actor_id targets[DOWN_MAX];
    int count;
    rig_gate before_receive; // passed when the monitors are set
    int demonitor;           // how many of them to end again
    fkl_monitor_ref refs[DOWN_MAX];
    fkl_err set[DOWN_MAX];
    bool ended[DOWN_MAX];
    int received;
    fkl_monitor_ref from[DOWN_MAX];
    fkl_exit records[DOWN_MAX];
    char errors[DOWN_MAX][32];
    bool known[DOWN_MAX];
    fkl_msg_kind kinds[DOWN_MAX];
    fkl_actor_id senders[DOWN_MAX];
    fkl_time receive_deadline;
    fkl_err last;
};

static void observe(fkl_actor *self, void *arg)
{
    (void)self;
    struct observer *seen = arg;
    for (int i = 0; i < seen->count; i++) {
        seen->set[i] = fkl_monitor(seen->targets[i], &seen->refs[i]);
    }
    rig_pass(&seen->before_receive);
    for (int i = 0; i < seen->demonitor; i++) {
        seen->ended[i] = fkl_demonitor(seen->refs[i]);
    }
    for (;;) {
        fkl_msg *msg = NULL;
        seen->last = fkl_receive_until(seen->receive_deadline, &msg);
        if (seen->last != FKL_OK) {
            return;
        }
        int at = seen->received++;
        if (at < DOWN_MAX) {
            seen->kinds[at] = fkl_msg_get_kind(msg);
            seen->senders[at] = fkl_msg_sender(msg);
            if (seen->kinds[at] == FKL_MSG_DOWN) {
                seen->last =
                    fkl_msg_down(msg, &seen->from[at], &seen->records[at], &seen->known[at]);
                if (seen->records[at].error) {
                    memcpy(seen->errors[at], seen->records[at].error, seen->records[at].error_len);
                }
                seen->records[at].error = NULL;
            }
        }
        fkl_msg_destroy(msg);
    }
}

static void end_with_error(fkl_actor *self, void *arg)
{
    rig_gate *gate = arg;
    if (fkl_actor_set_exit(self, 3, "what happened", 13) != FKL_OK) {
        return;
    }
    if (gate) {
        rig_pass(gate);
    }
}

Test(monitor, a_down_message_carries_the_exit_record, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *target = rig_spawn(runtime, end_with_error, &gate);
    fkl_actor_id id = fkl_actor_get_id(target);
    struct observer seen = {.targets = {id}, .count = 1, .receive_deadline = SOON};
    fkl_actor *observer = rig_spawn(runtime, observe, &seen);
    assert_eventually(atomic_load(&seen.before_receive.arrived) == 1);
    atomic_store(&seen.before_receive.open, true);
    assert_eventually(rig_waits_in(observer, "receive"));
    atomic_store(&gate.open, true);
    rig_join(target);
    rig_send(observer, 1); // the exit's message was before
    assert_eventually(fkl_actor_mailbox_len(observer) == 0);
    fkl_actor_stop(observer);
    rig_join(observer);
    assert_ok(seen.set[0]);
    cr_assert_eq(seen.received, 2);
    cr_assert_eq(seen.kinds[0], FKL_MSG_DOWN);
    cr_assert_eq(seen.from[0], seen.refs[0]);
    cr_assert_eq(seen.records[0].id, id);
    cr_assert_eq(seen.records[0].reason, FKL_EXIT_ERROR);
    cr_assert_eq(seen.records[0].code, 3);
    cr_assert_eq(seen.records[0].error_len, 13);
    cr_assert_str_eq(seen.errors[0], "what happened");
    cr_assert(seen.known[0]);
    rig_destroy(runtime);
}

Test(monitor, a_killed_target_is_down_while_its_thread_runs, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *target = rig_spawn(runtime, act_stubborn, &gate);
    struct observer seen = {.targets = {fkl_actor_get_id(target)}, .count = 1};
    seen.before_receive.open = true;
    seen.receive_deadline = FKL_FOREVER;
    fkl_actor *observer = rig_spawn(runtime, observe, &seen);
    assert_eventually(rig_waits_in(observer, "receive"));
    cr_assert(fkl_actor_kill(target, -9));
    assert_eventually(fkl_actor_mailbox_len(observer) == 0 && rig_waits_in(observer, "receive"));
    fkl_actor_stop(observer);
    rig_join(observer);
    cr_assert_eq(seen.received, 1);
    cr_assert_eq(seen.records[0].reason, FKL_EXIT_KILLED);
    cr_assert_eq(seen.records[0].code, -9);
    atomic_store(&gate.open, true);
    rig_join(target);
    rig_destroy(runtime);
}

Test(monitor, of_a_target_that_is_dead_already_is_down_at_once, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *kept = rig_spawn(runtime, end_with_error, NULL);
    fkl_actor *forgotten = rig_spawn(runtime, end_with_error, NULL);
    fkl_exit record;
    struct observer seen = {
        .targets = {fkl_actor_get_id(kept), fkl_actor_get_id(forgotten)},
        .count = 2,
        .before_receive = {.open = true},
        .receive_deadline = fkl_after_ms(50),
    };
    assert_ok(fkl_actor_join_thread_until(kept, SOON));
    assert_ok(fkl_actor_join_until(kept, SOON, &record));
    rig_join(forgotten);
    rig_join(rig_spawn(runtime, observe, &seen));
    cr_assert_eq(seen.received, 2);
    for (int i = 0; i < 2; i++) {
        assert_ok(seen.set[i]);
        cr_assert_eq(seen.kinds[i], FKL_MSG_DOWN);
        cr_assert_eq(seen.from[i], seen.refs[i]);
        cr_assert_eq(seen.records[i].id, seen.targets[i]);
        if (seen.known[i]) {
            cr_assert_eq(seen.records[i].reason, FKL_EXIT_ERROR);
            cr_assert_eq(seen.records[i].code, 3);
        } else {
            cr_assert_eq(seen.records[i].reason, FKL_EXIT_NORMAL);
            cr_assert_eq(seen.records[i].code, 0);
        }
    }
    fkl_actor_release(kept);
    rig_destroy(runtime);
}

Test(monitor, each_of_several_monitors_of_one_target_fires_once, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *target = rig_spawn(runtime, act_stubborn, &gate);
    fkl_actor_id id = fkl_actor_get_id(target);
    struct observer seen = {.targets = {id, id, id}, .count = 3, .receive_deadline = SOON};
    seen.before_receive.open = true;
    fkl_actor *observer = rig_spawn(runtime, observe, &seen);
    assert_eventually(rig_waits_in(observer, "receive"));
    atomic_store(&gate.open, true);
    rig_join(target);
    assert_eventually(fkl_actor_mailbox_len(observer) == 0 && rig_waits_in(observer, "receive"));
    fkl_actor_stop(observer);
    rig_join(observer);
    cr_assert_eq(seen.received, 3);
    for (int i = 0; i < 3; i++) {
        cr_assert_neq(seen.refs[i], 0);
        int fired = 0;
        for (int j = 0; j < 3; j++) {
            fired += seen.from[j] == seen.refs[i];
        }
        cr_assert_eq(fired, 1);
    }
    rig_destroy(runtime);
}

Test(monitor, of_an_id_never_given_out_is_enoactor, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct observer seen = {.count = 3, .before_receive = {.open = true}};
    seen.targets[0] = FKL_NOBODY;
    seen.targets[1] = UINT64_MAX;
    fkl_actor *observer = rig_spawn(runtime, act_return, NULL);
    seen.targets[2] = fkl_actor_get_id(observer) + (1ull << 60);
    rig_join(observer);
    rig_join(rig_spawn(runtime, observe, &seen));
    for (int i = 0; i < 3; i++) {
        assert_err(seen.set[i], FKL_ENOACTOR);
    }
    cr_assert_eq(seen.received, 0);
    rig_destroy(runtime);
}

Test(monitor, outside_of_an_actor_is_eperm, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    fkl_monitor_ref ref = 0;
    assert_err(fkl_monitor(fkl_actor_get_id(target), &ref), FKL_EPERM);
    cr_assert_not(fkl_demonitor(0));
    cr_assert_not(fkl_demonitor(12345));
    fkl_actor_release(target);
    rig_destroy(runtime);
}

Test(monitor, a_demonitor_before_the_end_keeps_the_mailbox_empty, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *target = rig_spawn(runtime, act_stubborn, &gate);
    struct observer seen = {.targets = {fkl_actor_get_id(target)},
                            .count = 1,
                            .demonitor = 1,
                            .before_receive = {.open = true},
                            .receive_deadline = FKL_FOREVER};
    fkl_actor *observer = rig_spawn(runtime, observe, &seen);
    assert_eventually(rig_waits_in(observer, "receive"));
    atomic_store(&gate.open, true);
    rig_join(target);
    fkl_actor_stop(observer);
    rig_join(observer);
    cr_assert(seen.ended[0]);
    cr_assert_eq(seen.received, 0);
    rig_destroy(runtime);
}

Test(monitor, a_demonitor_takes_back_a_message_that_waits, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *target = rig_spawn(runtime, act_stubborn, &gate);
    fkl_actor_id id = fkl_actor_get_id(target);
    struct observer seen = {
        .targets = {id, id, id}, .count = 3, .demonitor = 2, .receive_deadline = fkl_after_ms(50)};
    fkl_actor *observer = rig_spawn(runtime, observe, &seen);
    assert_eventually(atomic_load(&seen.before_receive.arrived) == 1);
    atomic_store(&gate.open, true);
    rig_join(target);
    assert_eventually(fkl_actor_mailbox_len(observer) == 3);
    rig_send(observer, 1);
    seen.receive_deadline = fkl_after_ms(50);
    atomic_store(&seen.before_receive.open, true);
    rig_join(observer);
    cr_assert(seen.ended[0]);
    cr_assert(seen.ended[1]);
    cr_assert_eq(seen.received, 2, "one monitor is left, and the user's message");
    cr_assert_eq(seen.kinds[0], FKL_MSG_DOWN);
    cr_assert_eq(seen.from[0], seen.refs[2]);
    cr_assert_eq(seen.kinds[1], FKL_MSG_USER);
    rig_destroy(runtime);
}

struct late {
    fkl_actor_id target;
    fkl_err err;
    bool ended, again, unknown;
};

static void demonitor_late(fkl_actor *self, void *arg)
{
    (void)self;
    struct late *late = arg;
    fkl_monitor_ref ref = 0;
    fkl_msg *msg = NULL;
    late->err = fkl_monitor(late->target, &ref);
    if (late->err == FKL_OK) {
        late->err = fkl_receive_until(SOON, &msg);
    }
    if (late->err == FKL_OK) {
        fkl_msg_destroy(msg);
        late->ended = fkl_demonitor(ref);
    }
    late->again = fkl_demonitor(ref);
    late->unknown = fkl_demonitor(ref + 1000);
}

Test(monitor, a_demonitor_after_the_message_was_received_is_false, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *target = rig_spawn(runtime, act_return, NULL);
    struct late late = {.target = fkl_actor_get_id(target), .ended = true, .again = true};
    rig_join(target);
    rig_join(rig_spawn(runtime, demonitor_late, &late));
    assert_ok(late.err);
    cr_assert_not(late.ended);
    cr_assert_not(late.again);
    cr_assert_not(late.unknown);
    rig_destroy(runtime);
}

static void demonitor_only(fkl_actor *self, void *arg)
{
    (void)self;
    fkl_monitor_ref *ref = arg;
    *ref = fkl_demonitor(*ref) ? 1 : 0;
}

Test(monitor, another_actor_cannot_end_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *target = rig_spawn(runtime, act_stubborn, &gate);
    struct observer seen = {.targets = {fkl_actor_get_id(target)},
                            .count = 1,
                            .receive_deadline = FKL_FOREVER,
                            .before_receive = {.open = true}};
    fkl_actor *observer = rig_spawn(runtime, observe, &seen);
    assert_eventually(atomic_load(&seen.before_receive.arrived) == 1);
    fkl_monitor_ref ref = seen.refs[0];
    rig_join(rig_spawn(runtime, demonitor_only, &ref));
    cr_assert_eq(ref, 0);
    atomic_store(&gate.open, true);
    rig_join(target);
    assert_eventually(fkl_actor_mailbox_len(observer) == 0 && rig_waits_in(observer, "receive"));
    fkl_actor_stop(observer);
    rig_join(observer);
    cr_assert_eq(seen.received, 1);
    rig_destroy(runtime);
}

Test(monitor, system_messages_pass_the_backlog_and_are_not_counted, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    struct observer seen = {.targets = {fkl_actor_get_id(target)}, .count = 1};
    seen.receive_deadline = FKL_FOREVER;
    fkl_actor *observer = rig_spawn(runtime, observe, &seen);
    assert_eventually(atomic_load(&seen.before_receive.arrived) == 1);
    for (int i = 0; i < 5; i++) {
        rig_send(observer, 1);
    }
    fkl_actor_stop(target);
    rig_join(target);
    assert_eventually(fkl_actor_mailbox_len(observer) == 6);
    atomic_store(&seen.before_receive.open, true);
    assert_eventually(fkl_actor_mailbox_len(observer) == 0);
    fkl_actor_stop(observer);
    rig_join(observer);
    cr_assert_eq(seen.received, 6);
    cr_assert_eq(seen.kinds[0], FKL_MSG_DOWN);
    cr_assert_eq(seen.kinds[1], FKL_MSG_USER);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.sent, 5);
    cr_assert_eq(count.handled, 5);
    rig_destroy(runtime);
}

static void watch_self(fkl_actor *self, void *arg)
{
    fkl_err *err = arg;
    fkl_monitor_ref ref = 0;
    *err = fkl_monitor(fkl_actor_get_id(self), &ref);
}

// Nobody is left to receive it, and nothing leaks.
Test(monitor, watching_itself_does_no_harm, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_err err = FKL_EINVAL;
    rig_join(rig_spawn(runtime, watch_self, &err));
    assert_ok(err);
    rig_destroy(runtime);
}

static void watch_and_leave(fkl_actor *self, void *arg)
{
    (void)self;
    struct observer *seen = arg;
    for (int i = 0; i < seen->count; i++) {
        seen->set[i] = fkl_monitor(seen->targets[i], &seen->refs[i]);
    }
}

Test(monitor, an_observer_that_ends_leaves_nothing_behind, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    long growth[2];
    for (int round = 0; round < 40; round++) {
        struct observer seen = {.count = 4};
        for (int i = 0; i < 4; i++) {
            seen.targets[i] = fkl_actor_get_id(target);
        }
        rig_join(rig_spawn(runtime, watch_and_leave, &seen));
        for (int i = 0; i < 4; i++) {
            assert_ok(seen.set[i]);
        }
        if (round == 19 || round == 39) {
            growth[round / 20] = atomic_load(&memory.blocks);
        }
    }
    cr_assert_leq(growth[1], growth[0] + 4, "monitors of dead observers pile up: %ld, then %ld",
                  growth[0], growth[1]);
    fkl_actor_stop(target);
    rig_join(target);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(monitor, ended_monitors_are_given_back, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    struct observer seen = {.count = 8, .demonitor = 8, .before_receive = {.open = true}};
    for (int i = 0; i < 8; i++) {
        seen.targets[i] = fkl_actor_get_id(target);
    }
    seen.receive_deadline = FKL_NO_WAIT;
    rig_join(rig_spawn(runtime, observe, &seen));
    cr_assert_eq(seen.received, 0);
    for (int i = 0; i < 8; i++) {
        cr_assert(seen.ended[i]);
    }
    fkl_actor_stop(target);
    rig_join(target);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

struct cycles {
    rig_memory *memory;
    fkl_actor_id target;
    long early, late; // blocks after some cycles, and after all of them
    int wrong;
};

static void monitor_again_and_again(fkl_actor *self, void *arg)
{
    (void)self;
    struct cycles *cycles = arg;
    fkl_monitor_ref ref, standing[20];
    // Some others, so that finding one among them is part of it.
    for (int i = 0; i < 20; i++) {
        cycles->wrong += fkl_monitor(cycles->target, &standing[i]) != FKL_OK;
    }
    for (int i = 0; i < 100000; i++) {
        cycles->wrong += fkl_monitor(cycles->target, &ref) != FKL_OK;
        cycles->wrong += !fkl_demonitor(ref);
        if (i == 100) {
            cycles->early = atomic_load(&cycles->memory->blocks);
        }
    }
    cycles->late = atomic_load(&cycles->memory->blocks);
    for (int i = 0; i < 20; i++) {
        cycles->wrong += !fkl_demonitor(standing[i]);
    }
}

Test(monitor, a_hundred_thousand_on_one_target_leave_nothing_behind, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    struct cycles cycles = {.memory = &memory, .target = fkl_actor_get_id(target)};
    rig_join(rig_spawn(runtime, monitor_again_and_again, &cycles));
    cr_assert_eq(cycles.wrong, 0);
    cr_assert_eq(cycles.late, cycles.early);
    fkl_actor_stop(target);
    rig_join(target);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

static void receive_and_send_on(fkl_actor *self, void *arg)
{
    fkl_actor *other = arg;
    fkl_monitor_ref ref;
    fkl_msg *msg = NULL;
    if (fkl_monitor(fkl_actor_get_id(other), &ref) != FKL_OK) {
        abort();
    }
    fkl_actor_kill(other, 3);
    if (fkl_receive_until(SOON, &msg) == FKL_OK) {
        fkl_err err = fkl_actor_send(self, msg);
        fkl_err again = fkl_actor_send_until(self, msg, SOON);
        fkl_msg_destroy(msg);
        if (err == again && fkl_actor_set_exit(self, (int32_t)err, NULL, 0) != FKL_OK) {
            abort();
        }
    }
}

Test(monitor, a_down_message_is_not_to_be_sent_on, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *target = rig_spawn(runtime, act_serve, NULL);
    cr_assert_eq(rig_join(rig_spawn(runtime, receive_and_send_on, target)).code, FKL_EINVAL);
    rig_join(target);
    rig_destroy(runtime);
}
