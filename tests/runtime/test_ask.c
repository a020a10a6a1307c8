// SPDX-License-Identifier: Apache-2.0
//
// Asks that are waited for: answers, and why there may be none, wherever the request is when its
// holder ends; late answers; and what is left of an asker that ends while it waits.
#include "support/ask_rig.h"

#include <pthread.h>

// Each test runs with both kinds of servers, and asks from an actor and from outside.
typedef struct setting {
    rig_memory memory;
    fkl_runtime *runtime;
    ask_server server;
    fkl_actor *actor;
    bool pooled, outside;
} setting;

static void begin(setting *set, int variant)
{
    *set = (setting){.pooled = variant & 1, .outside = variant & 2};
    fkl_runtime_config config = {.allocator = rig_allocator(&set->memory)};
    assert_ok(fkl_runtime_create(&config, &set->runtime));
    set->actor = ask_spawn(set->runtime, &set->server, set->pooled);
}

static void end(setting *set)
{
    ask_stop(&set->server, set->actor);
    fkl_actor_release(set->actor);
    rig_destroy(set->runtime);
    rig_assert_balanced(&set->memory);
}

static void ask(setting *set, ask_question *question)
{
    question->to = question->to ? question->to : fkl_actor_get_id(set->actor);
    question->deadline = question->deadline ? question->deadline : SOON;
    if (set->outside) {
        ask_put(set->runtime, question);
    } else {
        rig_join(rig_spawn(set->runtime, act_ask, question));
    }
}

#define FOR_EACH_SETTING(set)                                                                      \
    for (int variant_ = 0; variant_ < 4 && (begin(&(set), variant_), true); end(&(set)), variant_++)

Test(ask, the_answer_goes_to_the_asker, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_ANSWER};
        ask(&set, &question);
        assert_ok(question.err);
        cr_assert(question.has_out);
        cr_assert_eq(question.kind, FKL_MSG_USER);
        cr_assert_eq(question.answer, 1000 + DO_ANSWER);
        cr_assert_eq(question.sender, fkl_actor_get_id(set.actor));
        ask_stop(&set.server, set.actor);
        assert_ok(set.server.answered);
        cr_assert(set.server.wanted);
        cr_assert_not(set.server.wanted_after);
    }
}

Test(ask, a_request_that_is_destroyed_is_no_reply, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_DROP};
        ask(&set, &question);
        assert_err(question.err, FKL_ENOREPLY);
        cr_assert_not(question.has_out);
    }
}

Test(ask, only_the_first_of_two_answers_counts, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_ANSWER_TWICE};
        fkl_counters count;
        ask(&set, &question);
        assert_ok(question.err);
        ask_stop(&set.server, set.actor);
        assert_ok(set.server.answered);
        assert_err(set.server.again, FKL_ECLOSED);
        fkl_runtime_counters(set.runtime, &count);
        cr_assert_eq(count.late_replies, 1);
        cr_assert_eq(count.dead_lettered, 1);
    }
}

Test(ask, an_answer_after_the_deadline_is_late_and_received_by_nobody, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_KEEP, .deadline = fkl_after_ms(5)};
        ask_question second = {.tag = DO_ANSWER};
        fkl_counters count;
        ask(&set, &question);
        assert_err(question.err, FKL_ETIMEDOUT);
        cr_assert_not(question.has_out);
        cr_assert_geq(fkl_now(), question.deadline);
        assert_eventually(atomic_load(&set.server.seen) == 1);
        rig_send(set.actor, DO_ANSWER_KEPT);
        ask(&set, &second); // gets its own answer and no other
        assert_ok(second.err);
        cr_assert_eq(second.answer, 1000 + DO_ANSWER);
        fkl_runtime_counters(set.runtime, &count);
        cr_assert_eq(count.late_replies, 1);
    }
}

Test(ask, without_time_it_is_sent_all_the_same, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_KEEP, .deadline = -1};
        ask(&set, &question);
        assert_err(question.err, FKL_ETIMEDOUT);
        assert_eventually(atomic_load(&set.server.seen) == 1);
    }
}

// ---- the holder ends

static void check_down(const ask_question *question, const fkl_actor *actor, int32_t code)
{
    assert_err(question->err, FKL_EDOWN);
    cr_assert(question->has_out);
    cr_assert_eq(question->kind, FKL_MSG_DOWN);
    cr_assert_eq(question->record.id, fkl_actor_get_id(actor));
    cr_assert_eq(question->record.code, code);
}

Test(ask, a_server_that_ends_with_the_request_is_down, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_END};
        ask(&set, &question);
        check_down(&question, set.actor, 0);
        cr_assert_eq(question.record.reason, FKL_EXIT_NORMAL);
    }
}

Test(ask, the_down_message_has_the_servers_error, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_FAIL};
        ask(&set, &question);
        check_down(&question, set.actor, 9);
        cr_assert_eq(question.record.reason, FKL_EXIT_ERROR);
        cr_assert_str_eq(question.error, "broken");
    }
}

// Asks in a thread of its own, and returns once the question has gone.
static fkl_actor *ask_aside(setting *set, ask_question *question)
{
    question->to = question->to ? question->to : fkl_actor_get_id(set->actor);
    question->deadline = FKL_FOREVER;
    fkl_actor *asker = rig_spawn(set->runtime, act_ask, question);
    assert_eventually(rig_waits_in(asker, "ask"));
    return asker;
}

Test(ask, a_kill_fails_what_the_server_holds, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_question question = {.tag = DO_KEEP};
        fkl_actor *asker = ask_aside(&set, &question);
        assert_eventually(atomic_load(&set.server.seen) == 1);
        cr_assert(fkl_actor_kill(set.actor, 77));
        rig_join(asker);
        check_down(&question, set.actor, 77);
        cr_assert_eq(question.record.reason, FKL_EXIT_KILLED);
    }
}

Test(ask, a_kill_fails_what_waits_in_the_mailbox, .timeout = 60)
{
    setting set = {.outside = false};
    set.runtime = rig_create();
    rig_gate gate = {0};
    set.actor = rig_spawn(set.runtime, act_stubborn, &gate);
    ask_question questions[3] = {{.tag = DO_ANSWER}, {.tag = DO_ANSWER}, {.tag = DO_ANSWER}};
    fkl_actor *askers[3];
    for (int i = 0; i < 3; i++) {
        askers[i] = ask_aside(&set, &questions[i]);
    }
    cr_assert(fkl_actor_kill(set.actor, 5));
    for (int i = 0; i < 3; i++) {
        rig_join(askers[i]);
        check_down(&questions[i], set.actor, 5);
    }
    atomic_store(&gate.open, true);
    rig_join(set.actor);
    rig_destroy(set.runtime);
}

struct slow_server {
    rig_gate gate;
    fkl_msg *first;
};

static void act_receive_one_and_stay(fkl_actor *self, void *arg)
{
    (void)self;
    struct slow_server *slow = arg;
    rig_pass(&slow->gate); // until all requests are there
    if (fkl_receive_until(FKL_FOREVER, &slow->first) != FKL_OK) {
        abort();
    }
    atomic_store(&slow->gate.open, false);
    rig_pass(&slow->gate);
}

// The receive of the first takes the others out of the part of the mailbox that a killer can see.
Test(ask, a_kill_fails_what_the_server_has_taken_in_but_not_received, .timeout = 60)
{
    setting set = {.outside = false};
    set.runtime = rig_create();
    struct slow_server slow = {.first = NULL};
    set.actor = rig_spawn(set.runtime, act_receive_one_and_stay, &slow);
    ask_question questions[3] = {{.tag = DO_ANSWER}, {.tag = DO_ANSWER}, {.tag = DO_ANSWER}};
    fkl_actor *askers[3];
    for (int i = 0; i < 3; i++) {
        askers[i] = ask_aside(&set, &questions[i]);
    }
    atomic_store(&slow.gate.open, true);
    assert_eventually(atomic_load(&slow.gate.arrived) == 2);
    cr_assert(fkl_actor_kill(set.actor, 6));
    for (int i = 0; i < 3; i++) {
        rig_join(askers[i]);
        check_down(&questions[i], set.actor, 6);
    }
    fkl_msg_destroy(slow.first);
    atomic_store(&slow.gate.open, true);
    rig_join(set.actor);
    rig_destroy(set.runtime);
}

struct worker {
    fkl_actor *actor; // whose helper it is, or NULL
    fkl_msg *request;
    rig_gate gate;
    fkl_err answered;
    pthread_t thread;
};

static void *answer_aside(void *arg)
{
    struct worker *worker = arg;
    fkl_actor *previous = NULL;
    if (worker->actor && fkl_actor_enter(worker->actor, &previous) != FKL_OK) {
        abort();
    }
    rig_pass(&worker->gate);
    worker->answered = ask_answer(worker->request);
    fkl_msg_destroy(worker->request);
    if (worker->actor) {
        fkl_actor_leave(previous);
    }
    return NULL;
}

static void let_a_thread_answer(bool helper, bool killed)
{
    setting set;
    begin(&set, 0);
    ask_question question = {.tag = DO_KEEP};
    fkl_actor *asker = ask_aside(&set, &question);
    assert_eventually(atomic_load(&set.server.seen) == 1);
    struct worker worker = {.actor = helper ? set.actor : NULL, .request = set.server.kept};
    set.server.kept = NULL;
    cr_assert_eq(pthread_create(&worker.thread, NULL, answer_aside, &worker), 0);
    assert_eventually(atomic_load(&worker.gate.arrived) == 1);
    if (killed) {
        cr_assert(fkl_actor_kill(set.actor, 8));
        rig_join(asker);
    }
    atomic_store(&worker.gate.open, true);
    pthread_join(worker.thread, NULL);
    if (killed) {
        check_down(&question, set.actor, 8);
        assert_err(worker.answered, FKL_ECLOSED);
    } else {
        rig_join(asker);
        assert_ok(question.err);
        assert_ok(worker.answered);
    }
    end(&set);
}

Test(ask, any_thread_may_answer, .timeout = 60)
{
    let_a_thread_answer(false, false);
    let_a_thread_answer(true, false);
}

Test(ask, a_kill_fails_what_a_thread_of_the_server_holds, .timeout = 60)
{
    let_a_thread_answer(false, true);
    let_a_thread_answer(true, true);
}

// ---- requests that are sent on

Test(ask, a_request_that_is_sent_on_is_answered_by_the_other, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        ask_server second = {0};
        fkl_actor *other = ask_spawn(set.runtime, &second, !set.pooled);
        set.server.next = fkl_actor_get_id(other);
        for (uint64_t tag = DO_SEND_ON; tag <= DO_LATER; tag += DO_LATER - DO_SEND_ON) {
            ask_question question = {.tag = tag};
            ask(&set, &question);
            assert_ok(question.err);
            cr_assert_eq(question.sender, fkl_actor_get_id(other));
        }
        fkl_actor_stop(other);
        rig_join(other);
    }
}

Test(ask, who_sent_the_request_on_may_end, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        rig_gate gate = {0};
        fkl_actor *busy = rig_spawn(set.runtime, act_stubborn, &gate);
        set.server.next = fkl_actor_get_id(busy);
        ask_question question = {.tag = DO_SEND_ON};
        fkl_actor *asker = ask_aside(&set, &question);
        assert_eventually(fkl_actor_mailbox_len(busy) == 1);
        cr_assert(fkl_actor_kill(set.actor, 1));
        assert_ok(fkl_actor_join_thread_until(set.actor, SOON));
        cr_assert_not(atomic_load(&question.asked));
        cr_assert(fkl_actor_kill(busy, 2)); // this one has it
        rig_join(asker);
        check_down(&question, busy, 2);
        atomic_store(&gate.open, true);
        rig_join(busy);
    }
}

Test(ask, a_request_that_cannot_be_sent_on_is_still_the_servers, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        fkl_actor *dead = rig_spawn(set.runtime, act_return, NULL);
        assert_ok(fkl_actor_join_until(dead, SOON, NULL));
        set.server.next = fkl_actor_get_id(dead);
        ask_question question = {.tag = DO_SEND_ON};
        ask(&set, &question);
        ask_stop(&set.server, set.actor);
        assert_err(set.server.sent_on, FKL_ENOACTOR);
        assert_err(question.err, FKL_ENOREPLY); // the server destroyed it then
        fkl_actor_release(dead);
    }
}

Test(ask, nobody_answers_for_a_request_in_a_channel, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        fkl_msg *request = NULL;
        assert_ok(fkl_channel_create(set.runtime, 0, &set.server.channel));
        ask_question question = {.tag = DO_CHANNEL};
        fkl_actor *asker = ask_aside(&set, &question);
        assert_eventually(fkl_channel_len(set.server.channel) == 1);
        cr_assert(fkl_actor_kill(set.actor, 1));
        assert_ok(fkl_actor_join_thread_until(set.actor, SOON));
        assert_ok(fkl_channel_try_receive(set.server.channel, &request));
        cr_assert(fkl_msg_wants_reply(request));
        assert_ok(ask_answer(request));
        fkl_msg_destroy(request);
        rig_join(asker);
        assert_ok(question.err);
        fkl_channel_release(set.server.channel);
    }
}

struct taker {
    fkl_channel *channel;
    fkl_msg *taken;
};

static void act_take(fkl_actor *self, void *arg)
{
    struct taker *taker = arg;
    if (fkl_channel_receive_until(taker->channel, FKL_FOREVER, &taker->taken) == FKL_OK) {
        act_idle(self, NULL);
    }
}

Test(ask, who_takes_it_from_a_channel_answers_for_it, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        struct taker taker = {0};
        assert_ok(fkl_channel_create(set.runtime, 1, &set.server.channel));
        taker.channel = set.server.channel;
        ask_question question = {.tag = DO_CHANNEL};
        fkl_actor *asker = ask_aside(&set, &question);
        fkl_actor *second = rig_spawn(set.runtime, act_take, &taker);
        assert_eventually(rig_waits_in(second, "sleep"));
        cr_assert(fkl_actor_kill(second, 3));
        rig_join(asker);
        check_down(&question, second, 3);
        rig_join(second);
        fkl_msg_destroy(taker.taken);
        fkl_channel_release(set.server.channel);
    }
}

static void act_take_after_its_end(fkl_actor *self, void *arg)
{
    fkl_actor_exit_now(self, 12);
    act_take(self, arg);
}

Test(ask, nobody_counts_on_one_whose_exit_is_out, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    struct taker taker = {0};
    assert_ok(fkl_channel_create(set.runtime, 1, &set.server.channel));
    taker.channel = set.server.channel;
    fkl_actor *orphan = rig_spawn(set.runtime, act_take_after_its_end, &taker);
    ask_question question = {.tag = DO_CHANNEL};
    ask(&set, &question);
    check_down(&question, orphan, 12);
    fkl_actor_stop(orphan);
    rig_join(orphan);
    fkl_msg_destroy(taker.taken);
    fkl_channel_release(set.server.channel);
    end(&set);
}

// ---- refused

static void expect_refusal(fkl_runtime *runtime, fkl_actor_id to, fkl_err expected)
{
    ask_question question = {.to = to, .tag = DO_ANSWER, .deadline = SOON};
    ask_put(runtime, &question);
    assert_err(question.err, expected);
    cr_assert_not(question.has_out);
    rig_join(rig_spawn(runtime, act_ask, &question));
    assert_err(question.err, expected);
}

Test(ask, of_the_dead_and_the_unknown_is_enoactor, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *dead = rig_spawn(runtime, act_return, NULL);
    assert_ok(fkl_actor_join_until(dead, SOON, NULL));
    expect_refusal(runtime, fkl_actor_get_id(dead), FKL_ENOACTOR);
    expect_refusal(runtime, FKL_NOBODY, FKL_ENOACTOR);
    expect_refusal(runtime, UINT64_MAX, FKL_ENOACTOR);
    fkl_actor_release(dead);
    rig_destroy(runtime);
}

Test(ask, of_one_that_drains_is_eclosed, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(runtime, act_stubborn, &gate);
    fkl_actor_drain(actor);
    expect_refusal(runtime, fkl_actor_get_id(actor), FKL_ECLOSED);
    atomic_store(&gate.open, true);
    rig_join(actor);
    rig_destroy(runtime);
}

static fkl_actor *spawn_bounded(fkl_runtime *runtime, fkl_full full, rig_gate *gate)
{
    fkl_actor *actor = NULL;
    fkl_spawn_options options = {.mailbox_capacity = 1, .mailbox_full = full};
    assert_ok(fkl_spawn(runtime, &options, act_stubborn, gate, &actor));
    rig_send(actor, 0);
    return actor;
}

Test(ask, of_a_full_mailbox_depends_on_its_policy, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *fails = spawn_bounded(runtime, FKL_FULL_FAIL, &gate);
    fkl_actor *waits = spawn_bounded(runtime, FKL_FULL_WAIT, &gate);
    fkl_actor *newest = spawn_bounded(runtime, FKL_FULL_DROP_NEWEST, &gate);
    fkl_actor *oldest = spawn_bounded(runtime, FKL_FULL_DROP_OLDEST, &gate);
    expect_refusal(runtime, fkl_actor_get_id(fails), FKL_EFULL);
    expect_refusal(runtime, fkl_actor_get_id(newest), FKL_ENOREPLY);
    ask_question question = {
        .to = fkl_actor_get_id(waits), .tag = DO_ANSWER, .deadline = fkl_after_ms(5)};
    ask_put(runtime, &question);
    assert_err(question.err, FKL_ETIMEDOUT);
    cr_assert_eq(fkl_actor_mailbox_len(waits), 1, "it never got in");
    // The second request pushes the first one out.
    ask_question pushed_out = {
        .to = fkl_actor_get_id(oldest), .tag = DO_ANSWER, .deadline = FKL_FOREVER};
    fkl_actor *asker = rig_spawn(runtime, act_ask, &pushed_out);
    assert_eventually(rig_waits_in(asker, "ask"));
    question.to = fkl_actor_get_id(oldest);
    question.deadline = FKL_NO_WAIT;
    ask_put(runtime, &question);
    assert_err(question.err, FKL_ETIMEDOUT);
    rig_join(asker);
    assert_err(pushed_out.err, FKL_ENOREPLY);
    atomic_store(&gate.open, true);
    fkl_actor_release(fails);
    fkl_actor_release(waits);
    fkl_actor_release(newest);
    fkl_actor_release(oldest);
    rig_destroy(runtime);
}

Test(ask, waits_for_a_place_and_then_for_the_answer, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    ask_server server = {0};
    fkl_actor *actor = NULL;
    fkl_spawn_options options = {.mailbox_capacity = 1};
    assert_ok(fkl_spawn(runtime, &options, act_ask_server, &server, &actor));
    assert_eventually(atomic_load(&server.at_work.arrived) == 1);
    rig_send(actor, 0);
    ask_question question = {
        .to = fkl_actor_get_id(actor), .tag = DO_ANSWER, .deadline = FKL_FOREVER};
    fkl_actor *asker = rig_spawn(runtime, act_ask, &question);
    assert_eventually(rig_waits_in(asker, "send"));
    atomic_store(&server.at_work.open, true);
    rig_join(asker);
    assert_ok(question.err);
    fkl_actor_stop(actor);
    rig_join(actor);
    rig_destroy(runtime);
}

static void act_ask_itself(fkl_actor *self, void *arg)
{
    ask_question *question = arg;
    question->to = fkl_actor_get_id(self);
    ask_put(fkl_actor_runtime(self), question);
}

Test(ask, of_itself_is_edeadlk, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    ask_question question = {.tag = DO_ANSWER, .deadline = SOON};
    rig_join(rig_spawn(runtime, act_ask_itself, &question));
    assert_err(question.err, FKL_EDEADLK);
    rig_destroy(runtime);
}

static fkl_turn ask_in_a_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    fkl_msg_destroy(msg);
    ask_put(fkl_actor_runtime(self), state);
    return FKL_TURN_CONTINUE;
}

Test(ask, in_a_pooled_actors_turn_is_epooled, .timeout = 60)
{
    setting set;
    begin(&set, 1);
    ask_question question = {.to = fkl_actor_get_id(set.actor), .tag = DO_ANSWER, .deadline = SOON};
    fkl_behaviour behaviour = {.receive = ask_in_a_turn};
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn_pooled(set.runtime, NULL, &behaviour, &question, &actor));
    rig_send(actor, 1);
    assert_eventually(atomic_load(&question.asked));
    assert_err(question.err, FKL_EPOOLED);
    fkl_actor_stop(actor);
    rig_join(actor);
    end(&set);
    cr_assert_eq(set.server.seen, 0);
}

struct misuse {
    fkl_err asked_with_request, replied_with_request, replied_to_itself, replied_to_message;
    fkl_err answered;
};

static fkl_turn misuse_request(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct misuse *misuse = state;
    fkl_msg *plain = NULL;
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &plain) != FKL_OK) {
        abort();
    }
    misuse->replied_to_message = fkl_reply(plain, msg);
    misuse->replied_to_itself = fkl_reply(msg, msg);
    fkl_msg_destroy(plain);
    misuse->answered = ask_answer(msg);
    misuse->replied_with_request = fkl_reply(msg, msg);
    misuse->asked_with_request =
        fkl_ask_start(fkl_actor_runtime(self), fkl_actor_get_id(self), msg, SOON, NULL);
    return FKL_TURN_CONTINUE;
}

Test(ask, a_request_is_neither_answer_nor_request_again, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct misuse misuse = {.answered = FKL_EINTR};
    fkl_behaviour behaviour = {.receive = misuse_request};
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn_pooled(runtime, NULL, &behaviour, &misuse, &actor));
    ask_question question = {.to = fkl_actor_get_id(actor), .tag = 1, .deadline = SOON};
    ask_put(runtime, &question);
    assert_ok(question.err);
    fkl_actor_stop(actor);
    rig_join(actor);
    assert_ok(misuse.answered);
    assert_err(misuse.replied_to_message, FKL_ETYPE);
    assert_err(misuse.replied_to_itself, FKL_EINVAL);
    assert_err(misuse.replied_with_request, FKL_EINVAL);
    assert_err(misuse.asked_with_request, FKL_EINVAL);
    rig_destroy(runtime);
}

// ---- the asker leaves

static void leave_and_look(void (*disturb)(fkl_actor *asker), fkl_err expected)
{
    setting set;
    for (int variant = 0; variant < 2; variant++) {
        begin(&set, variant);
        ask_question question = {.tag = DO_KEEP};
        fkl_actor *asker = ask_aside(&set, &question);
        assert_eventually(atomic_load(&set.server.seen) == 1);
        disturb(asker);
        rig_join(asker);
        assert_err(question.err, expected);
        cr_assert_not(question.has_out);
        cr_assert_not(fkl_msg_wants_reply(set.server.kept));
        rig_send(set.actor, DO_ANSWER_KEPT);
        assert_eventually(atomic_load(&set.server.seen) == 2);
        ask_stop(&set.server, set.actor);
        assert_err(set.server.answered, FKL_ECLOSED);
        end(&set);
    }
}

static void kill_asker(fkl_actor *asker)
{
    cr_assert(fkl_actor_kill(asker, 1));
}

Test(ask, a_stopped_asker_leaves, .timeout = 60)
{
    leave_and_look(fkl_actor_stop, FKL_ESTOPPED);
}

Test(ask, a_killed_asker_leaves, .timeout = 60)
{
    leave_and_look(kill_asker, FKL_ESTOPPED);
}

Test(ask, an_interrupted_asker_leaves, .timeout = 60)
{
    leave_and_look(fkl_actor_interrupt, FKL_EINTR);
}

static void act_ask_after_stop(fkl_actor *self, void *arg)
{
    fkl_actor_stop(self);
    ask_put(fkl_actor_runtime(self), arg);
}

Test(ask, a_request_to_stop_comes_first, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    ask_question question = {.to = fkl_actor_get_id(set.actor), .tag = DO_ANSWER, .deadline = SOON};
    rig_join(rig_spawn(set.runtime, act_ask_after_stop, &question));
    assert_err(question.err, FKL_ESTOPPED);
    end(&set);
    cr_assert_eq(set.server.seen, 0);
}

// ---- memory

Test(ask, says_so_when_there_is_no_memory, .timeout = 60)
{
    for (int step = 1; step <= 2; step++) { // the ask, and the message that says who ended
        setting set;
        begin(&set, 0);
        ask_question question = {
            .to = fkl_actor_get_id(set.actor), .tag = DO_END, .deadline = SOON};
        atomic_store(&set.memory.fail_at, atomic_load(&set.memory.calls) + step);
        ask_put(set.runtime, &question);
        atomic_store(&set.memory.fail_at, 0);
        assert_err(question.err, FKL_ENOMEM);
        cr_assert_not(question.has_out);
        end(&set);
    }
}

Test(ask, takes_no_more_memory_the_longer_it_goes_on, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    long blocks = 0;
    for (int i = 0; i < 2000; i++) {
        ask_question question = {
            .to = fkl_actor_get_id(set.actor), .tag = DO_ANSWER, .deadline = SOON};
        ask_put(set.runtime, &question);
        assert_ok(question.err);
        if (i == 100) {
            blocks = atomic_load(&set.memory.blocks);
        }
    }
    cr_assert_leq(atomic_load(&set.memory.blocks), blocks + 2); // the last may not be gone yet
    end(&set);
}
