// SPDX-License-Identifier: Apache-2.0
//
// Receiving: deadlines, wake-ups, receives by choice, marks, and the end of a drained mailbox.
#include "support/rig.h"

Test(receive, a_receive_times_out_not_before_its_deadline, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = fkl_after_ms(30)};
    rig_join(rig_spawn(runtime, act_receive_once, &receipt));
    assert_err(receipt.empty, FKL_EEMPTY);
    assert_err(receipt.err, FKL_ETIMEDOUT);
    cr_assert_geq(receipt.returned, receipt.deadline);
    cr_assert_null(receipt.out);
    receipt = (struct rig_receipt){.deadline = FKL_NO_WAIT};
    rig_join(rig_spawn(runtime, act_receive_once, &receipt));
    assert_err(receipt.err, FKL_ETIMEDOUT);
    rig_destroy(runtime);
}

Test(receive, a_send_wakes_a_receive, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = FKL_FOREVER};
    fkl_actor *actor = rig_spawn(runtime, act_receive_once, &receipt);
    assert_eventually(rig_waits_in(actor, "receive"));
    rig_send(actor, 1);
    rig_join(actor);
    assert_ok(receipt.err);
    rig_destroy(runtime);
}

Test(receive, receiving_outside_of_an_actor_is_eperm)
{
    fkl_msg *msg = NULL;
    assert_err(fkl_receive_until(FKL_NO_WAIT, &msg), FKL_EPERM);
    assert_err(fkl_try_receive(&msg), FKL_EPERM);
    cr_assert_null(msg);
}

// ---- by choice

// Wants one tag, 0 for any, and counts what it was offered.
struct wish {
    uint64_t tag;
    int offered;
};

static bool fulfils(const fkl_msg *msg, void *ctx)
{
    struct wish *wish = ctx;
    wish->offered++;
    return wish->tag == 0 || fkl_msg_tag(msg) == wish->tag;
}

// What an actor saw, for the test to assert: errors and tags one after the other.
struct log {
    int count;
    fkl_err errs[32];
    uint64_t tags[32];
    int offered[32];
    fkl_mark marks[4];
    fkl_actor *other;
    atomic_bool ready;
};

static void note(struct log *log, fkl_err err, fkl_msg **msg, int offered)
{
    int at = log->count++ % 32;
    log->errs[at] = err;
    log->tags[at] = err == FKL_OK ? fkl_msg_tag(*msg) : 0;
    log->offered[at] = offered;
    if (err == FKL_OK) {
        fkl_msg_destroy(*msg);
    }
}

static void send_to_self(fkl_actor *self, uint64_t first, uint64_t last)
{
    for (uint64_t tag = first; tag <= last; tag++) {
        fkl_msg *msg = NULL;
        if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) != FKL_OK) {
            return;
        }
        fkl_msg_set_tag(msg, tag);
        if (fkl_actor_send(self, msg) != FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
}

static void choose(struct log *log, fkl_mark from, uint64_t tag, fkl_time deadline)
{
    struct wish wish = {tag, 0};
    fkl_msg *msg = NULL;
    fkl_err err = deadline ? fkl_receive_match_until(from, fulfils, &wish, deadline, &msg)
                           : fkl_try_receive_match(from, fulfils, &wish, &msg);
    note(log, err, &msg, wish.offered);
}

static void act_choose(fkl_actor *self, void *arg)
{
    struct log *log = arg;
    send_to_self(self, 1, 3);
    fkl_mark mark = fkl_receive_mark();
    send_to_self(self, 4, 6);
    choose(log, 0, 5, 0);               // 5 of 5 looked at
    choose(log, mark, 2, 0);            // not after the mark
    choose(log, mark, 0, 0);            // 4
    choose(log, 0, 2, FKL_FOREVER);     // 2
    choose(log, 0, 9, fkl_after_ms(5)); // none
    choose(log, mark, 9, 1);            // none, and the deadline has passed
    fkl_msg *msg = NULL;
    note(log, fkl_try_receive_match(mark, NULL, NULL, &msg), &msg, 0); // 6
    for (int i = 0; i < 3; i++) {
        note(log, fkl_try_receive(&msg), &msg, 0); // 1, 3, none
    }
}

Test(receive, by_choice_takes_the_oldest_match_and_leaves_the_rest_in_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {0};
    rig_join(rig_spawn(runtime, act_choose, &log));
    static const fkl_err errs[] = {FKL_OK,        FKL_EEMPTY, FKL_OK, FKL_OK, FKL_ETIMEDOUT,
                                   FKL_ETIMEDOUT, FKL_OK,     FKL_OK, FKL_OK, FKL_EEMPTY};
    static const uint64_t tags[] = {5, 0, 4, 2, 0, 0, 6, 1, 3, 0};
    static const int offered[] = {5, 2, 1, 2, 3, 1, 0, 0, 0, 0};
    cr_assert_eq(log.count, 10);
    for (int i = 0; i < 10; i++) {
        assert_err(log.errs[i], errs[i]);
        cr_assert_eq(log.tags[i], tags[i], "step %d", i);
        cr_assert_eq(log.offered[i], offered[i], "step %d", i);
    }
    rig_destroy(runtime);
}

static void act_wait_for_nine(fkl_actor *self, void *arg)
{
    struct log *log = arg;
    send_to_self(self, 1, 2);
    choose(log, 0, 9, FKL_FOREVER);
}

Test(receive, by_choice_sleeps_until_what_it_wants_comes_and_looks_at_nothing_twice, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {0};
    fkl_actor *actor = rig_spawn(runtime, act_wait_for_nine, &log);
    for (uint64_t tag = 3; tag <= 9; tag++) {
        assert_eventually(rig_waits_in(actor, "receive"));
        rig_send(actor, tag);
    }
    rig_join(actor);
    assert_ok(log.errs[0]);
    cr_assert_eq(log.tags[0], 9);
    cr_assert_eq(log.offered[0], 9);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.handled, 1);
    cr_assert_eq(count.dropped, 8);
    rig_destroy(runtime);
}

Test(receive, a_stop_an_interrupt_and_a_kill_end_the_wait_for_a_choice, .timeout = 60)
{
    static const fkl_err expected[] = {FKL_ESTOPPED, FKL_EINTR, FKL_ESTOPPED};
    for (int i = 0; i < 3; i++) {
        fkl_runtime *runtime = rig_create();
        struct log log = {0};
        fkl_actor *actor = rig_spawn(runtime, act_wait_for_nine, &log);
        assert_eventually(rig_waits_in(actor, "receive"));
        if (i == 0) {
            fkl_actor_stop(actor);
        } else if (i == 1) {
            fkl_actor_interrupt(actor);
        } else {
            cr_assert(fkl_actor_kill(actor, 0));
        }
        rig_join(actor);
        assert_err(log.errs[0], expected[i]);
        rig_destroy(runtime);
    }
}

Test(receive, choosing_outside_of_an_actor_is_eperm)
{
    fkl_msg *msg = NULL;
    assert_err(fkl_receive_match_until(0, NULL, NULL, FKL_NO_WAIT, &msg), FKL_EPERM);
    assert_err(fkl_try_receive_match(0, NULL, NULL, &msg), FKL_EPERM);
    cr_assert_eq(fkl_receive_mark(), 0);
    cr_assert_null(msg);
}

// Receives in every way while it looks at a message, and sends.
static bool meddle(const fkl_msg *msg, void *ctx)
{
    struct log *log = ctx;
    fkl_msg *other = NULL;
    if (fkl_msg_tag(msg) != 1) {
        return fkl_msg_tag(msg) == 3;
    }
    note(log, fkl_try_receive(&other), &other, 0);
    note(log, fkl_receive_until(FKL_FOREVER, &other), &other, 0);
    note(log, fkl_try_receive_match(0, NULL, NULL, &other), &other, 0);
    note(log, fkl_receive_match_until(0, NULL, NULL, FKL_FOREVER, &other), &other, 0);
    send_to_self(fkl_self(), 3, 3);
    log->marks[0] = fkl_receive_mark();
    return false;
}

static void act_meddle(fkl_actor *self, void *arg)
{
    struct log *log = arg;
    fkl_msg *msg = NULL;
    send_to_self(self, 1, 2);
    note(log, fkl_receive_match_until(0, meddle, log, SOON, &msg), &msg, 0);
    note(log, fkl_try_receive(&msg), &msg, 0);
}

Test(receive, a_match_function_may_send_but_not_receive, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {0};
    rig_join(rig_spawn(runtime, act_meddle, &log));
    cr_assert_eq(log.count, 6);
    for (int i = 0; i < 4; i++) {
        assert_err(log.errs[i], FKL_EPERM);
    }
    assert_ok(log.errs[4]);
    cr_assert_eq(log.tags[4], 3);
    cr_assert_neq(log.marks[0], 0);
    assert_ok(log.errs[5]);
    cr_assert_eq(log.tags[5], 1);
    rig_destroy(runtime);
}

static bool exit_now(const fkl_msg *msg, void *ctx)
{
    (void)ctx;
    return fkl_actor_exit_now(fkl_self(), 4) && fkl_msg_tag(msg) == 2;
}

static void act_exit_while_choosing(fkl_actor *self, void *arg)
{
    struct log *log = arg;
    fkl_msg *msg = NULL;
    send_to_self(self, 1, 2);
    note(log, fkl_receive_match_until(0, exit_now, NULL, FKL_FOREVER, &msg), &msg, 0);
}

Test(receive, an_exit_in_the_midst_of_a_choice_ends_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {0};
    cr_assert_eq(rig_join(rig_spawn(runtime, act_exit_while_choosing, &log)).code, 4);
    assert_err(log.errs[0], FKL_ESTOPPED);
    rig_destroy(runtime);
}

static void *choose_as_helper(void *arg)
{
    struct log *log = arg;
    fkl_actor *previous = NULL;
    fkl_msg *msg = NULL;
    if (fkl_actor_enter(log->other, &previous) == FKL_OK) {
        note(log, fkl_try_receive_match(0, NULL, NULL, &msg), &msg, 0);
        log->marks[0] = fkl_receive_mark();
        fkl_actor_leave(previous);
    }
    return NULL;
}

Test(receive, a_helper_has_no_mark_and_no_choice, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {.other = rig_spawn(runtime, act_idle, NULL), .marks = {7}};
    choose_as_helper(&log);
    assert_err(log.errs[0], FKL_EPERM);
    cr_assert_eq(log.marks[0], 0);
    fkl_actor_stop(log.other);
    rig_join(log.other);
    rig_destroy(runtime);
}

// ---- system messages

static bool is_down(const fkl_msg *msg, void *ctx)
{
    (*(int *)ctx)++;
    return fkl_msg_get_kind(msg) == FKL_MSG_DOWN;
}

// Ends a monitor whose message waits already, and one from within a match function.
static bool end_monitor(const fkl_msg *msg, void *ctx)
{
    (void)msg;
    fkl_monitor_ref *ref = ctx;
    if (*ref) {
        (void)!fkl_demonitor(*ref);
        *ref = 0;
    }
    return false;
}

static void act_choose_downs(fkl_actor *self, void *arg)
{
    struct log *log = arg;
    fkl_monitor_ref refs[3];
    fkl_msg *msg = NULL;
    int offered = 0;
    send_to_self(self, 1, 2);
    for (int i = 0; i < 3; i++) {
        if (fkl_monitor(fkl_actor_get_id(log->other), &refs[i])) {
            return;
        }
    }
    fkl_actor_kill(log->other, 0);
    while (fkl_actor_mailbox_len(self) < 5) {
        rig_pause_ms(1);
    }
    note(log, fkl_demonitor(refs[1]) ? FKL_EEMPTY : FKL_EINVAL, NULL, 0);
    fkl_err err = fkl_receive_match_until(0, is_down, &offered, SOON, &msg);
    note(log, err, &msg, offered);
    // The other one is ended while it is looked at, and so never handed out.
    note(log, fkl_try_receive_match(0, end_monitor, &refs[2], &msg), &msg, 0);
    note(log, fkl_try_receive_match(0, end_monitor, &refs[0], &msg), &msg, 0);
    offered = 0;
    err = fkl_try_receive_match(0, is_down, &offered, &msg);
    note(log, err, &msg, offered);
    note(log, fkl_try_receive(&msg), &msg, 0);
}

Test(receive, by_choice_offers_no_message_of_an_ended_monitor, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {.other = rig_spawn(runtime, act_serve, NULL)};
    rig_join(rig_spawn(runtime, act_choose_downs, &log));
    cr_assert_eq(log.count, 6);
    assert_err(log.errs[0], FKL_EEMPTY);
    assert_ok(log.errs[1]);
    cr_assert_eq(log.offered[1], 1, "system messages are offered first");
    assert_err(log.errs[2], FKL_EEMPTY);
    assert_err(log.errs[3], FKL_EEMPTY);
    assert_err(log.errs[4], FKL_EEMPTY);
    cr_assert_eq(log.offered[4], 2, "the two user messages");
    cr_assert_eq(log.tags[5], 1);
    rig_join(log.other);
    rig_destroy(runtime);
}

// ---- the cost of waiting for an answer

enum { BACKLOG = 200000, ROUNDS = 10000 };

static void act_answer(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        if (fkl_send(fkl_actor_runtime(self), fkl_msg_sender(msg), msg) != FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
}

struct asker {
    fkl_actor *server;
    long offered;
    int answered;
    size_t left;
};

static bool is_answer(const fkl_msg *msg, void *ctx)
{
    struct asker *asker = ctx;
    asker->offered++;
    return fkl_msg_tag(msg) == (uint64_t)asker->answered;
}

static void act_ask(fkl_actor *self, void *arg)
{
    struct asker *asker = arg;
    send_to_self(self, 1000000, 1000000 + BACKLOG - 1);
    for (asker->answered = 0; asker->answered < ROUNDS; asker->answered++) {
        fkl_msg *msg = NULL;
        fkl_mark mark = fkl_receive_mark();
        if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) != FKL_OK) {
            return;
        }
        fkl_msg_set_tag(msg, (uint64_t)asker->answered);
        if (fkl_actor_send(asker->server, msg) != FKL_OK ||
            fkl_receive_match_until(mark, is_answer, asker, SOON, &msg) != FKL_OK) {
            return;
        }
        fkl_msg_destroy(msg);
    }
    asker->left = fkl_actor_mailbox_len(self);
}

// That the messages before the mark are not walked over either is in test_scan.c.
Test(receive, an_answer_is_found_at_once_however_long_the_mailbox_is, .timeout = 120)
{
    fkl_runtime *runtime = rig_create();
    struct asker asker = {.server = rig_spawn(runtime, act_answer, NULL)};
    rig_join(rig_spawn(runtime, act_ask, &asker));
    cr_assert_eq(asker.answered, ROUNDS);
    cr_assert_eq(asker.offered, ROUNDS);
    cr_assert_eq(asker.left, BACKLOG);
    fkl_actor_stop(asker.server);
    rig_join(asker.server);
    rig_destroy(runtime);
}

// ---- pooled actors

// Holds what is not wanted now back, and takes it in a later turn.
static fkl_turn choose_in_a_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    struct log *log = state;
    bool first = log->count == 0;
    bool last = fkl_msg_tag(msg) == 5;
    note(log, FKL_OK, &msg, 0);
    if (first) {
        choose(log, 0, 3, 0);
        choose(log, 0, 9, 0);
        choose(log, 0, 9, FKL_FOREVER);
        choose(log, 0, 4, FKL_FOREVER);
    }
    return last ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

static void start_late(fkl_actor *self, void *state)
{
    (void)self;
    struct log *log = state;
    while (!atomic_load(&log->ready)) {
        rig_pause_ms(1);
    }
}

Test(receive, a_pooled_actor_chooses_but_does_not_wait, .timeout = 60)
{
    static const fkl_behaviour choosing = {.receive = choose_in_a_turn, .start = start_late};
    fkl_runtime *runtime = rig_create();
    struct log log = {0};
    fkl_actor *pooled = NULL;
    assert_ok(fkl_spawn_pooled(runtime, NULL, &choosing, &log, &pooled));
    for (uint64_t tag = 1; tag <= 5; tag++) {
        rig_send(pooled, tag);
    }
    atomic_store(&log.ready, true);
    rig_join(pooled);
    static const fkl_err errs[] = {FKL_OK, FKL_OK, FKL_EEMPTY, FKL_EPOOLED, FKL_OK, FKL_OK, FKL_OK};
    static const uint64_t tags[] = {1, 3, 0, 0, 4, 2, 5};
    cr_assert_eq(log.count, 7);
    for (int i = 0; i < 7; i++) {
        assert_err(log.errs[i], errs[i]);
        cr_assert_eq(log.tags[i], tags[i]);
    }
    rig_destroy(runtime);
}

// ---- draining

static void act_log_all(fkl_actor *self, void *arg)
{
    (void)self;
    struct log *log = arg;
    fkl_err err;
    while (!atomic_load(&log->ready)) {
        rig_pause_ms(1);
    }
    do {
        fkl_msg *msg = NULL;
        err = fkl_receive_until(FKL_FOREVER, &msg);
        note(log, err, &msg, 0);
    } while (err == FKL_OK);
}

static void assert_drained(const struct log *log, uint64_t last)
{
    cr_assert_eq(log->count, (int)last + 1);
    for (uint64_t tag = 1; tag <= last; tag++) {
        cr_assert_eq(log->tags[tag - 1], tag);
    }
    assert_err(log->errs[last], FKL_ESTOPPED);
}

static void assert_refuses(fkl_actor *actor, fkl_err expected)
{
    fkl_msg *msg = rig_msg(1);
    assert_err(fkl_actor_send(actor, msg), expected);
    assert_err(fkl_actor_send_until(actor, msg, SOON), expected);
    fkl_msg_destroy(msg);
}

Test(receive, a_drained_actor_gets_what_it_has_and_no_more, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {0};
    fkl_actor *actor = rig_spawn(runtime, act_log_all, &log);
    for (uint64_t tag = 1; tag <= 5; tag++) {
        rig_send(actor, tag);
    }
    cr_assert_not(fkl_actor_is_draining(actor));
    fkl_actor_drain(actor);
    fkl_actor_drain(actor);
    cr_assert(fkl_actor_is_draining(actor));
    cr_assert_not(fkl_actor_stop_requested(actor));
    assert_refuses(actor, FKL_ECLOSED);
    atomic_store(&log.ready, true);
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_eq(record.reason, FKL_EXIT_NORMAL);
    assert_drained(&log, 5);
    fkl_actor_drain(actor);
    cr_assert_not(fkl_actor_is_draining(actor));
    assert_refuses(actor, FKL_ENOACTOR);
    rig_join(actor);
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.handled, 5);
    cr_assert_eq(count.dead_lettered, 4);
    rig_destroy(runtime);
}

Test(receive, draining_wakes_a_receive, .timeout = 60)
{
    fkl_actor_fn waiting[] = {act_log_all, act_wait_for_nine};
    for (int i = 0; i < 2; i++) {
        fkl_runtime *runtime = rig_create();
        struct log log = {.ready = true};
        fkl_actor *actor = rig_spawn(runtime, waiting[i], &log);
        assert_eventually(rig_waits_in(actor, "receive"));
        fkl_actor_drain(actor);
        rig_join(actor);
        assert_err(log.errs[0], FKL_ESTOPPED);
        rig_destroy(runtime);
    }
}

static void act_choose_after_drain(fkl_actor *self, void *arg)
{
    struct log *log = arg;
    send_to_self(self, 1, 3);
    fkl_actor_drain(self);
    choose(log, 0, 2, 0);
    choose(log, 0, 9, FKL_FOREVER); // none can come
    choose(log, 0, 9, 0);
    choose(log, 0, 1, FKL_FOREVER);
    fkl_msg *msg = NULL;
    note(log, fkl_try_receive(&msg), &msg, 0);
    note(log, fkl_try_receive(&msg), &msg, 0);
}

Test(receive, a_drained_actor_does_not_wait_for_what_cannot_come, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {0};
    rig_join(rig_spawn(runtime, act_choose_after_drain, &log));
    static const fkl_err errs[] = {FKL_OK, FKL_ESTOPPED, FKL_ESTOPPED,
                                   FKL_OK, FKL_OK,       FKL_ESTOPPED};
    static const uint64_t tags[] = {2, 0, 0, 1, 3, 0};
    for (int i = 0; i < 6; i++) {
        assert_err(log.errs[i], errs[i]);
        cr_assert_eq(log.tags[i], tags[i]);
    }
    rig_destroy(runtime);
}

static void act_down_after_drain(fkl_actor *self, void *arg)
{
    struct log *log = arg;
    fkl_monitor_ref ref;
    fkl_msg *msg = NULL;
    fkl_actor_drain(self);
    if (fkl_monitor(fkl_actor_get_id(log->other), &ref)) {
        return;
    }
    fkl_actor_kill(log->other, 0);
    while (fkl_actor_mailbox_len(self) == 0) {
        rig_pause_ms(1);
    }
    note(log, fkl_receive_until(SOON, &msg), &msg, 0);
    note(log, fkl_receive_until(SOON, &msg), &msg, 0);
}

Test(receive, system_messages_reach_a_drained_actor, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct log log = {.other = rig_spawn(runtime, act_serve, NULL)};
    rig_join(rig_spawn(runtime, act_down_after_drain, &log));
    assert_ok(log.errs[0]);
    assert_err(log.errs[1], FKL_ESTOPPED);
    rig_join(log.other);
    rig_destroy(runtime);
}

Test(receive, stop_and_kill_do_not_wait_for_a_drain, .timeout = 60)
{
    for (int kill = 0; kill < 2; kill++) {
        fkl_runtime *runtime = rig_create();
        struct log log = {0};
        fkl_actor *actor = rig_spawn(runtime, act_log_all, &log);
        rig_send(actor, 1);
        fkl_actor_drain(actor);
        if (kill) {
            cr_assert(fkl_actor_kill(actor, 3));
        } else {
            fkl_actor_stop(actor);
        }
        atomic_store(&log.ready, true);
        fkl_exit record = rig_join(actor);
        cr_assert_eq(record.reason, kill ? FKL_EXIT_KILLED : FKL_EXIT_STOPPED);
        cr_assert_eq(log.count, 1);
        assert_err(log.errs[0], FKL_ESTOPPED);
        rig_destroy(runtime);
    }
}

static fkl_turn log_in_a_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    note(state, FKL_OK, &msg, 0);
    return FKL_TURN_CONTINUE;
}

static void log_the_end(fkl_actor *self, void *state)
{
    (void)self;
    note(state, FKL_ESTOPPED, NULL, 0);
}

Test(receive, a_drained_pooled_actor_ends_when_its_mailbox_is_empty, .timeout = 60)
{
    static const fkl_behaviour logging = {log_in_a_turn, start_late, log_the_end};
    for (uint64_t last = 0; last <= 5; last += 5) {
        fkl_runtime *runtime = rig_create();
        struct log log = {.ready = last == 0};
        fkl_actor *pooled = NULL;
        assert_ok(fkl_spawn_pooled(runtime, NULL, &logging, &log, &pooled));
        if (last == 0) {
            assert_eventually(rig_waits_in(pooled, "idle"));
        }
        for (uint64_t tag = 1; tag <= last; tag++) {
            rig_send(pooled, tag);
        }
        fkl_actor_drain(pooled);
        atomic_store(&log.ready, true);
        cr_assert_eq(rig_join(pooled).reason, FKL_EXIT_NORMAL);
        assert_drained(&log, last);
        rig_destroy(runtime);
    }
}

struct racer {
    fkl_actor *to;
    int accepted;
    atomic_int *running;
};

static void send_until_closed(fkl_actor *self, void *arg)
{
    (void)self;
    struct racer *racer = arg;
    atomic_fetch_add(racer->running, 1);
    for (;;) {
        fkl_msg *msg = NULL;
        if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) != FKL_OK) {
            return;
        }
        if (fkl_actor_send_until(racer->to, msg, FKL_FOREVER) != FKL_OK) {
            fkl_msg_destroy(msg);
            return;
        }
        racer->accepted++;
    }
}

static void count_until_stopped(fkl_actor *self, void *arg)
{
    (void)self;
    fkl_msg *msg = NULL;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        fkl_msg_destroy(msg);
        ++*(int *)arg;
    }
}

Test(receive, whatever_was_accepted_before_a_drain_is_received, .timeout = 120)
{
    for (int round = 0; round < 60; round++) {
        fkl_runtime *runtime = rig_create();
        fkl_spawn_options options = {.mailbox_capacity = round % 3 ? 0 : 4};
        struct racer racers[3];
        fkl_actor *senders[3];
        atomic_int running = 0;
        int received = 0, accepted = 0;
        fkl_actor *actor = NULL;
        assert_ok(fkl_spawn(runtime, &options, count_until_stopped, &received, &actor));
        for (int i = 0; i < 3; i++) {
            racers[i] = (struct racer){.to = actor, .running = &running};
            senders[i] = rig_spawn(runtime, send_until_closed, &racers[i]);
        }
        while (atomic_load(&running) < 1) {
        }
        rig_spin(round * 500);
        fkl_actor_drain(actor);
        for (int i = 0; i < 3; i++) {
            rig_join(senders[i]);
            accepted += racers[i].accepted;
        }
        rig_join(actor);
        cr_assert_eq(received, accepted);
        rig_destroy(runtime);
    }
}
