// SPDX-License-Identifier: Apache-2.0
//
// Sending to bounded mailboxes: what each policy does, the bound at every moment, and every way in
// which the wait of a sender ends.
#include "support/rig.h"

#include <pthread.h>

static fkl_actor *spawn_bounded(fkl_runtime *runtime, uint32_t capacity, fkl_full full,
                                fkl_actor_fn fn, void *arg)
{
    fkl_actor *actor = NULL;
    fkl_spawn_options options = {.mailbox_capacity = capacity, .mailbox_full = full};
    assert_ok(fkl_spawn(runtime, &options, fn, arg, &actor));
    return actor;
}

Test(send_bounded, a_bound_is_what_the_options_say, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = spawn_bounded(runtime, 7, FKL_FULL_DROP_OLDEST, act_serve, NULL);
    cr_assert_eq(fkl_actor_mailbox_capacity(actor), 7);
    cr_assert_eq(fkl_actor_mailbox_full(actor), FKL_FULL_DROP_OLDEST);
    fkl_actor_stop(actor);
    rig_join(actor);
    actor = rig_spawn(runtime, act_serve, NULL);
    cr_assert_eq(fkl_actor_mailbox_capacity(actor), 0);
    fkl_actor_stop(actor);
    rig_join(actor);
    fkl_spawn_options wrong = {.mailbox_capacity = 1, .mailbox_full = (fkl_full)9};
    assert_err(fkl_spawn(runtime, &wrong, act_serve, NULL, NULL), FKL_EINVAL);
    rig_destroy(runtime);
}

Test(send_bounded, a_spawn_without_memory_for_its_bound_leaves_nothing, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_spawn_options options = {.mailbox_capacity = 4};
    fkl_err err = FKL_ENOMEM;
    long failures = 0;
    for (; err == FKL_ENOMEM; failures++) {
        long before = atomic_load(&memory.blocks);
        fkl_actor *actor = NULL;
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1 + failures);
        err = fkl_spawn(runtime, &options, act_return, NULL, &actor);
        atomic_store(&memory.fail_at, 0);
        if (err) {
            assert_err(err, FKL_ENOMEM);
            cr_assert_eq(atomic_load(&memory.blocks), before);
        } else {
            rig_join(actor);
        }
    }
    cr_assert_gt(failures, 2, "the bound and the actor at least");
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(send_bounded, a_send_to_a_full_mailbox_leaves_the_message_and_counts_nothing, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    for (int full = FKL_FULL_WAIT; full <= FKL_FULL_FAIL; full++) {
        fkl_actor *actor = spawn_bounded(runtime, 2, (fkl_full)full, act_idle, NULL);
        rig_send(actor, 1);
        rig_send(actor, 2);
        fkl_msg *msg = rig_msg(3);
        assert_err(fkl_actor_send(actor, msg), FKL_EFULL);
        assert_err(fkl_send(runtime, fkl_actor_get_id(actor), msg), FKL_EFULL);
        fkl_err expected = full == FKL_FULL_WAIT ? FKL_ETIMEDOUT : FKL_EFULL;
        assert_err(fkl_actor_send_until(actor, msg, FKL_NO_WAIT), expected);
        cr_assert_eq(fkl_msg_tag(msg), 3);
        fkl_msg_destroy(msg); // ASan: it was still ours
        cr_assert_eq(fkl_actor_mailbox_len(actor), 2);
        fkl_counters count;
        fkl_runtime_counters(runtime, &count);
        cr_assert_eq(count.sent, (uint64_t)(full + 1) * 2);
        fkl_actor_stop(actor);
        rig_join(actor);
    }
    rig_destroy(runtime);
}

// ---- senders that wait

// What one fkl_actor_send_until() gave. The message is destroyed when it was left.
struct waiting {
    fkl_actor *to;
    fkl_time deadline;
    fkl_err err;
    fkl_time returned;
    atomic_bool done;
};

static void send_waiting(fkl_actor *self, void *arg)
{
    (void)self;
    struct waiting *waiting = arg;
    fkl_msg *msg = NULL;
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) == FKL_OK) {
        fkl_msg_set_tag(msg, 77);
        waiting->err = fkl_actor_send_until(waiting->to, msg, waiting->deadline);
        if (waiting->err != FKL_OK) {
            fkl_msg_destroy(msg); // ASan: it was still ours
        }
    }
    waiting->returned = fkl_now();
    atomic_store(&waiting->done, true);
}

// A gate that the receiver waits at, then it receives and waits again.
struct slow {
    atomic_int may_receive;
    atomic_bool may_end;
};

static void receive_slowly(fkl_actor *self, void *arg)
{
    (void)self;
    struct slow *slow = arg;
    while (!atomic_load(&slow->may_end)) {
        fkl_msg *msg = NULL;
        if (atomic_load(&slow->may_receive) > 0 && fkl_try_receive(&msg) == FKL_OK) {
            atomic_fetch_sub(&slow->may_receive, 1);
            fkl_msg_destroy(msg);
        } else {
            rig_pause_ms(1);
        }
    }
}

// A receiver with a full mailbox of one place and a sender that waits for it.
struct jam {
    fkl_runtime *runtime;
    struct slow slow;
    struct waiting waiting;
    fkl_actor *receiver;
    fkl_actor *sender;
};

static void make_jam(struct jam *jam, fkl_time deadline)
{
    memset(jam, 0, sizeof *jam);
    jam->runtime = rig_create();
    jam->receiver = spawn_bounded(jam->runtime, 1, FKL_FULL_WAIT, receive_slowly, &jam->slow);
    rig_send(jam->receiver, 1);
    jam->waiting = (struct waiting){.to = jam->receiver, .deadline = deadline, .err = FKL_EINVAL};
    jam->sender = rig_spawn(jam->runtime, send_waiting, &jam->waiting);
}

static void await_jam(struct jam *jam)
{
    assert_eventually(rig_waits_in(jam->sender, "send"));
    cr_assert_not(atomic_load(&jam->waiting.done));
    cr_assert_eq(fkl_actor_mailbox_len(jam->receiver), 1);
}

static void end_jam(struct jam *jam, fkl_err expected)
{
    rig_join(jam->sender);
    assert_err(jam->waiting.err, expected);
    atomic_store(&jam->slow.may_end, true);
    rig_join(jam->receiver);
    rig_destroy(jam->runtime);
}

Test(send_bounded, a_waiting_sender_gets_the_place_of_what_is_received, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, FKL_FOREVER);
    await_jam(&jam);
    atomic_store(&jam.slow.may_receive, 1);
    assert_eventually(atomic_load(&jam.waiting.done));
    cr_assert_eq(fkl_actor_mailbox_len(jam.receiver), 1);
    end_jam(&jam, FKL_OK);
}

Test(send_bounded, a_waiting_sender_gives_up_at_its_deadline_and_not_before, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, fkl_after_ms(30));
    rig_join(jam.sender);
    cr_assert_geq(jam.waiting.returned, jam.waiting.deadline);
    jam.sender = rig_spawn(jam.runtime, act_return, NULL);
    end_jam(&jam, FKL_ETIMEDOUT);
}

Test(send_bounded, the_receivers_return_ends_the_wait_of_a_sender, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, FKL_FOREVER);
    await_jam(&jam);
    atomic_store(&jam.slow.may_end, true);
    end_jam(&jam, FKL_ENOACTOR);
}

Test(send_bounded, killing_the_receiver_ends_the_wait_of_a_sender, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, FKL_FOREVER);
    await_jam(&jam);
    cr_assert(fkl_actor_kill(jam.receiver, 1));
    end_jam(&jam, FKL_ENOACTOR);
}

// Has taken its message in, but does not receive it.
static void act_hoard(fkl_actor *self, void *arg)
{
    (void)self;
    while (fkl_receive_mark() == 1) { // nothing has been taken in yet
        rig_pause_ms(1);
    }
    rig_pass(arg);
}

Test(send_bounded, killing_the_receiver_ends_the_wait_also_while_its_thread_goes_on, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *receiver = spawn_bounded(runtime, 1, FKL_FULL_WAIT, act_hoard, &gate);
    struct waiting waiting = {.to = receiver, .deadline = FKL_FOREVER, .err = FKL_EINVAL};
    rig_send(receiver, 1);
    fkl_actor *sender = rig_spawn(runtime, send_waiting, &waiting);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    assert_eventually(rig_waits_in(sender, "send"));
    cr_assert(fkl_actor_kill(receiver, 1));
    rig_join(sender);
    assert_err(waiting.err, FKL_ENOACTOR);
    atomic_store(&gate.open, true);
    rig_join(receiver);
    rig_destroy(runtime);
}

Test(send_bounded, draining_the_receiver_ends_the_wait_of_a_sender, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, FKL_FOREVER);
    await_jam(&jam);
    fkl_actor_drain(jam.receiver);
    end_jam(&jam, FKL_ECLOSED);
}

Test(send_bounded, a_stop_ends_the_wait_of_a_sender, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, FKL_FOREVER);
    await_jam(&jam);
    fkl_actor_stop(jam.sender);
    end_jam(&jam, FKL_ESTOPPED);
}

Test(send_bounded, an_interrupt_ends_the_wait_of_a_sender, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, FKL_FOREVER);
    await_jam(&jam);
    fkl_actor_interrupt(jam.sender);
    end_jam(&jam, FKL_EINTR);
}

Test(send_bounded, a_stop_of_the_receiver_does_not_end_the_wait_of_a_sender, .timeout = 60)
{
    struct jam jam;
    make_jam(&jam, FKL_FOREVER);
    await_jam(&jam);
    fkl_actor_stop(jam.receiver);
    atomic_store(&jam.slow.may_receive, 1);
    assert_eventually(atomic_load(&jam.waiting.done));
    end_jam(&jam, FKL_OK);
}

Test(send_bounded, a_send_that_may_wait_looks_for_a_stop_first, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *receivers[] = {rig_spawn(runtime, act_idle, NULL),
                              spawn_bounded(runtime, 5, FKL_FULL_WAIT, act_idle, NULL)};
    for (int i = 0; i < 2; i++) {
        struct waiting waiting = {.to = receivers[i], .deadline = FKL_FOREVER};
        rig_gate gate = {0};
        fkl_actor *helped = rig_spawn(runtime, act_stubborn, &gate);
        fkl_actor_stop(helped);
        fkl_actor *previous = NULL;
        assert_ok(fkl_actor_enter(helped, &previous));
        send_waiting(NULL, &waiting);
        fkl_actor_leave(previous);
        assert_err(waiting.err, FKL_ESTOPPED);
        cr_assert_eq(fkl_actor_mailbox_len(receivers[i]), 0);
        atomic_store(&gate.open, true);
        rig_join(helped);
        fkl_actor_stop(receivers[i]);
        rig_join(receivers[i]);
    }
    rig_destroy(runtime);
}

struct self_sender {
    fkl_err full;
    fkl_err with_place;
    pthread_t helper;
    struct waiting waiting;
};

static void *wait_as_helper(void *arg)
{
    struct self_sender *sender = arg;
    fkl_actor *previous = NULL;
    if (fkl_actor_enter(sender->waiting.to, &previous) == FKL_OK) {
        send_waiting(NULL, &sender->waiting);
        fkl_actor_leave(previous);
    }
    return NULL;
}

static void send_to_itself(fkl_actor *self, void *arg)
{
    struct self_sender *sender = arg;
    fkl_msg *msg = NULL;
    fkl_msg *other = NULL;
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) ||
        fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &other)) {
        return;
    }
    sender->with_place = fkl_actor_send_until(self, msg, FKL_FOREVER);
    sender->full = fkl_actor_send_until(self, other, FKL_FOREVER);
    fkl_msg_destroy(other);
    sender->waiting.to = self;
    if (pthread_create(&sender->helper, NULL, wait_as_helper, sender) != 0) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        if (fkl_receive_until(SOON, &msg) == FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
    pthread_join(sender->helper, NULL);
}

Test(send_bounded, an_actor_cannot_wait_for_itself_but_its_helper_can, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct self_sender sender = {.waiting = {.deadline = FKL_FOREVER, .err = FKL_EINVAL}};
    rig_join(spawn_bounded(runtime, 1, FKL_FULL_WAIT, send_to_itself, &sender));
    assert_ok(sender.with_place);
    assert_err(sender.full, FKL_EDEADLK);
    assert_ok(sender.waiting.err);
    rig_destroy(runtime);
}

Test(send_bounded, who_has_seen_the_exit_is_refused_by_a_full_mailbox_too, .timeout = 60)
{
    for (int full = 0; full <= FKL_FULL_DROP_OLDEST; full++) {
        fkl_runtime *runtime = rig_create();
        rig_gate gate = {0};
        fkl_actor *actor = spawn_bounded(runtime, 1, (fkl_full)full, act_stubborn, &gate);
        rig_send(actor, 1);
        cr_assert(fkl_actor_kill(actor, 0));
        fkl_msg *msg = rig_msg(2);
        assert_err(fkl_actor_send(actor, msg), FKL_ENOACTOR);
        assert_err(fkl_actor_send_until(actor, msg, FKL_FOREVER), FKL_ENOACTOR);
        assert_err(fkl_send_until(runtime, fkl_actor_get_id(actor), msg, FKL_FOREVER),
                   FKL_ENOACTOR);
        assert_err(fkl_send_until(runtime, 12345678, msg, FKL_FOREVER), FKL_ENOACTOR);
        fkl_msg_destroy(msg);
        atomic_store(&gate.open, true);
        rig_join(actor);
        fkl_counters count;
        fkl_runtime_counters(runtime, &count);
        cr_assert_eq(count.dead_lettered, 4);
        rig_destroy(runtime);
    }
}

// ---- policies

struct flood {
    fkl_actor *to;
    uint64_t number;
    int count;
    int accepted;
    int full;
    int failures;
    atomic_int *running;
};

static void send_flood(fkl_actor *self, void *arg)
{
    (void)self;
    struct flood *flood = arg;
    for (int i = 0; i < flood->count; i++) {
        fkl_msg *msg = NULL;
        if (fkl_msg_create(NULL, FKL_CODEC_RAW, 1, &msg) != FKL_OK) {
            flood->failures++;
            continue;
        }
        fkl_msg_set_tag(msg, flood->number << 32 | (uint64_t)(i + 1));
        fkl_err err = fkl_actor_send_until(flood->to, msg, FKL_FOREVER);
        if (err == FKL_OK) {
            flood->accepted++;
            continue;
        }
        fkl_msg_destroy(msg);
        flood->full += err == FKL_EFULL;
        flood->failures += err != FKL_EFULL;
    }
    atomic_fetch_sub(flood->running, 1);
}

// Receives until it is drained, pausing often, and checks the order of each sender's messages.
struct order {
    uint64_t last[4];
    int received;
    int out_of_order;
    size_t longest;
    fkl_err ended;
};

static void receive_in_order(fkl_actor *self, void *arg)
{
    struct order *order = arg;
    fkl_msg *msg = NULL;
    while ((order->ended = fkl_receive_until(SOON, &msg)) == FKL_OK) {
        uint64_t from = fkl_msg_tag(msg) >> 32;
        uint64_t number = fkl_msg_tag(msg) & 0xffffffff;
        order->out_of_order += number <= order->last[from];
        order->last[from] = number;
        order->received++;
        fkl_msg_destroy(msg);
        size_t len = fkl_actor_mailbox_len(self);
        order->longest = len > order->longest ? len : order->longest;
        if (order->received % 64 == 0) {
            rig_spin(20000);
        }
    }
}

static void flood_with(fkl_full full, uint32_t capacity)
{
    enum { SENDERS = 4, EACH = 3000 };
    fkl_runtime *runtime = rig_create();
    struct order order = {0};
    fkl_actor *receiver = spawn_bounded(runtime, capacity, full, receive_in_order, &order);
    struct flood floods[SENDERS];
    fkl_actor *senders[SENDERS];
    atomic_int running = SENDERS;
    for (uint64_t i = 0; i < SENDERS; i++) {
        floods[i] = (struct flood){.to = receiver, .number = i, .count = EACH, .running = &running};
        senders[i] = rig_spawn(runtime, send_flood, &floods[i]);
    }
    while (atomic_load(&running) > 0) {
        cr_assert_leq(fkl_actor_mailbox_len(receiver), capacity);
    }
    int accepted = 0, refused = 0;
    for (int i = 0; i < SENDERS; i++) {
        rig_join(senders[i]);
        cr_assert_eq(floods[i].failures, 0);
        accepted += floods[i].accepted;
        refused += floods[i].full;
    }
    cr_assert_leq(fkl_actor_mailbox_peak(receiver), capacity);
    fkl_actor_drain(receiver);
    rig_join(receiver);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    assert_err(order.ended, FKL_ESTOPPED);
    cr_assert_eq(order.out_of_order, 0);
    cr_assert_leq(order.longest, capacity);
    cr_assert_eq(accepted + refused, SENDERS * EACH);
    cr_assert_eq(count.sent, (uint64_t)accepted);
    cr_assert_eq(count.handled, (uint64_t)order.received);
    cr_assert_eq(count.sent, count.handled + count.dropped);
    if (full == FKL_FULL_WAIT || full == FKL_FULL_FAIL) {
        cr_assert_eq(order.received, accepted);
    }
    if (full != FKL_FULL_FAIL) {
        cr_assert_eq(refused, 0);
    }
    rig_destroy(runtime);
}

Test(send_bounded, waiting_senders_lose_nothing_and_keep_the_bound, .timeout = 120)
{
    flood_with(FKL_FULL_WAIT, 1);
    flood_with(FKL_FULL_WAIT, 16);
}

Test(send_bounded, refused_senders_lose_nothing_else_and_keep_the_bound, .timeout = 120)
{
    flood_with(FKL_FULL_FAIL, 1);
    flood_with(FKL_FULL_FAIL, 16);
}

Test(send_bounded, dropping_the_newest_keeps_the_order_and_the_bound, .timeout = 120)
{
    flood_with(FKL_FULL_DROP_NEWEST, 1);
    flood_with(FKL_FULL_DROP_NEWEST, 16);
}

Test(send_bounded, dropping_the_oldest_keeps_the_order_and_the_bound, .timeout = 120)
{
    flood_with(FKL_FULL_DROP_OLDEST, 1);
    flood_with(FKL_FULL_DROP_OLDEST, 16);
}

// Receives three messages once the gate is open.
struct late {
    rig_gate gate;
    uint64_t tags[3];
};

static void receive_late(fkl_actor *self, void *arg)
{
    (void)self;
    struct late *late = arg;
    rig_pass(&late->gate);
    for (int i = 0; i < 3; i++) {
        fkl_msg *msg = NULL;
        if (fkl_receive_until(SOON, &msg) == FKL_OK) {
            late->tags[i] = fkl_msg_tag(msg);
            fkl_msg_destroy(msg);
        }
    }
}

Test(send_bounded, who_had_no_time_gets_the_latest_messages_or_the_first, .timeout = 60)
{
    static const uint64_t first[] = {998, 1};
    static const fkl_full policies[] = {FKL_FULL_DROP_OLDEST, FKL_FULL_DROP_NEWEST};
    for (int i = 0; i < 2; i++) {
        fkl_runtime *runtime = rig_create();
        struct late late = {0};
        fkl_actor *actor = spawn_bounded(runtime, 3, policies[i], receive_late, &late);
        for (uint64_t tag = 1; tag <= 1000; tag++) {
            rig_send(actor, tag);
            cr_assert_leq(fkl_actor_mailbox_len(actor), 3);
        }
        atomic_store(&late.gate.open, true);
        rig_join(actor);
        for (uint64_t tag = 0; tag < 3; tag++) {
            cr_assert_eq(late.tags[tag], first[i] + tag);
        }
        fkl_counters count;
        fkl_runtime_counters(runtime, &count);
        cr_assert_eq(count.dropped, 997);
        rig_destroy(runtime);
    }
}

// Monitors the actor of its argument, fills its own mailbox, and looks what comes first.
struct watch {
    fkl_actor *target;
    fkl_err filled;
    fkl_err full;
    fkl_msg_kind first;
};

static void watch_with_a_full_mailbox(fkl_actor *self, void *arg)
{
    struct watch *watch = arg;
    fkl_monitor_ref ref;
    fkl_msg *msg = NULL;
    if (fkl_monitor(fkl_actor_get_id(watch->target), &ref) ||
        fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg)) {
        return;
    }
    watch->filled = fkl_actor_send(self, msg);
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg)) {
        return;
    }
    watch->full = fkl_actor_send(self, msg);
    fkl_msg_destroy(msg);
    fkl_actor_kill(watch->target, 0);
    while (fkl_actor_mailbox_len(self) < 2) {
        rig_pause_ms(1);
    }
    if (fkl_receive_until(SOON, &msg) == FKL_OK) {
        watch->first = fkl_msg_get_kind(msg);
        fkl_msg_destroy(msg);
    }
}

Test(send_bounded, system_messages_get_through_a_full_mailbox, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct watch watch = {.target = rig_spawn(runtime, act_serve, NULL)};
    rig_join(spawn_bounded(runtime, 1, FKL_FULL_FAIL, watch_with_a_full_mailbox, &watch));
    assert_ok(watch.filled);
    assert_err(watch.full, FKL_EFULL);
    cr_assert_eq(watch.first, FKL_MSG_DOWN);
    rig_join(watch.target);
    rig_destroy(runtime);
}

// ---- pooled actors

static fkl_turn send_from_a_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)msg;
    send_waiting(self, state);
    fkl_msg_destroy(msg);
    return FKL_TURN_END;
}

Test(send_bounded, a_pooled_actor_sends_when_it_need_not_wait, .timeout = 60)
{
    static const fkl_behaviour sending = {.receive = send_from_a_turn};
    fkl_runtime *runtime = rig_create();
    fkl_actor *receiver = spawn_bounded(runtime, 1, FKL_FULL_WAIT, act_idle, NULL);
    static const fkl_err expected[] = {FKL_OK, FKL_EPOOLED};
    for (int i = 0; i < 2; i++) {
        struct waiting waiting = {.to = receiver, .deadline = FKL_FOREVER, .err = FKL_EINVAL};
        fkl_actor *pooled = NULL;
        assert_ok(fkl_spawn_pooled(runtime, NULL, &sending, &waiting, &pooled));
        rig_send(pooled, 1);
        rig_join(pooled);
        assert_err(waiting.err, expected[i]);
    }
    fkl_actor_stop(receiver);
    rig_join(receiver);
    rig_destroy(runtime);
}

static fkl_turn count_turns(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    atomic_int *handled = state;
    atomic_fetch_add(handled, 1);
    fkl_msg_destroy(msg);
    return FKL_TURN_CONTINUE;
}

static const fkl_behaviour counting = {.receive = count_turns};

Test(send_bounded, a_pooled_actor_can_have_a_bound, .timeout = 60)
{
    for (int full = 0; full <= FKL_FULL_DROP_OLDEST; full++) {
        fkl_runtime *runtime = rig_create();
        atomic_int handled = 0;
        fkl_actor *pooled = NULL;
        fkl_spawn_options options = {.mailbox_capacity = 2, .mailbox_full = (fkl_full)full};
        assert_ok(fkl_spawn_pooled(runtime, &options, &counting, &handled, &pooled));
        for (uint64_t tag = 1; tag <= 500; tag++) {
            fkl_msg *msg = rig_msg(tag);
            if (fkl_actor_send_until(pooled, msg, SOON) != FKL_OK) {
                fkl_msg_destroy(msg);
            }
            cr_assert_leq(fkl_actor_mailbox_len(pooled), 2);
        }
        fkl_actor_drain(pooled);
        cr_assert_eq(rig_join(pooled).reason, FKL_EXIT_NORMAL);
        fkl_counters count;
        fkl_runtime_counters(runtime, &count);
        cr_assert_eq(count.handled, (uint64_t)atomic_load(&handled));
        cr_assert(full != FKL_FULL_WAIT || count.handled == 500);
        rig_destroy(runtime);
    }
}

// ---- dead letters

struct letters {
    atomic_int count[5];
};

static void note_letter(const fkl_dead_letter *letter, void *ctx)
{
    struct letters *letters = ctx;
    atomic_fetch_add(&letters->count[letter->reason], 1);
}

Test(send_bounded, what_a_full_mailbox_gives_up_is_a_dead_letter, .timeout = 60)
{
    struct letters letters = {0};
    fkl_runtime_config config = {.on_dead_letter = note_letter, .dead_letter_ctx = &letters};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    for (int full = FKL_FULL_DROP_NEWEST; full <= FKL_FULL_DROP_OLDEST; full++) {
        fkl_actor *actor = spawn_bounded(runtime, 1, (fkl_full)full, act_idle, NULL);
        rig_send(actor, 1);
        rig_send(actor, 2);
        cr_assert_eq(atomic_exchange(&letters.count[FKL_DEAD_FULL], 0), 1);
        fkl_actor_drain(actor);
        fkl_msg *msg = rig_msg(3);
        assert_err(fkl_actor_send(actor, msg), FKL_ECLOSED);
        fkl_msg_destroy(msg);
        cr_assert_eq(atomic_exchange(&letters.count[FKL_DEAD_CLOSED], 0), 1);
        fkl_actor_stop(actor);
        rig_join(actor);
    }
    rig_destroy(runtime);
}
