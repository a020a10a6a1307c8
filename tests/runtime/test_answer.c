// SPDX-License-Identifier: Apache-2.0
//
// Asks whose outcome is a message: exactly one arrives, or none after a cancel; many at once; and
// what is left of an asker that ends.
#include "support/ask_rig.h"

#include "registry.h"

enum { MANY = 10000 };

// An asker that starts asks as it is told, and notes what arrives.
typedef struct asker {
    fkl_actor_id to;
    uint64_t tag;
    int count;
    fkl_time deadline;
    int cancel_before, cancel_after; // how many: at once, and once their outcomes wait
    int expected;                    // outcomes; then it ends
    rig_gate started;
    // What came of it:
    fkl_err last_err;
    int started_count, cancelled, cancelled_again;
    fkl_ask_ref refs[MANY];
    int outcomes, others, unknown, twice;
    int results[FKL_ERR_COUNT];
    uint64_t answer;
    fkl_actor_id sender;
    fkl_exit record;
    char error[16];
    char text[16];
    bool has[MANY];
    fkl_err sent_on;
} asker;

static void start_asks(fkl_actor *self, asker *set)
{
    fkl_runtime *runtime = fkl_actor_runtime(self);
    for (int i = 0; i < set->count; i++) {
        fkl_msg *request = NULL;
        if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &request) != FKL_OK) {
            abort();
        }
        fkl_msg_set_tag(request, set->tag);
        set->last_err = fkl_ask_start(runtime, set->to, request, set->deadline, &set->refs[i]);
        if (set->last_err != FKL_OK) {
            break;
        }
        set->started_count++;
    }
    for (int i = 0; i < set->cancel_before; i++) {
        set->cancelled += fkl_ask_cancel(set->refs[i]);
        set->cancelled_again += fkl_ask_cancel(set->refs[i]);
    }
}

static void cancel_late(asker *set)
{
    for (int i = 0; i < set->cancel_after; i++) {
        set->cancelled += fkl_ask_cancel(set->refs[i]);
        set->cancelled_again += fkl_ask_cancel(set->refs[i]);
    }
}

static int index_of(const asker *set, fkl_ask_ref ref)
{
    int low = 0;
    for (int i = 0; i < set->started_count; i++) {
        low = i;
        if (set->refs[i] == ref) {
            return low;
        }
    }
    return -1;
}

// The references count up, so the place is found at once.
static int place_of(const asker *set, fkl_ask_ref ref)
{
    uint64_t at = set->started_count ? ref - set->refs[0] : MANY;
    return at < (uint64_t)set->started_count && set->refs[at] == ref ? (int)at : index_of(set, ref);
}

static void note_outcome(asker *set, fkl_msg *msg)
{
    fkl_ask_ref ref = 0;
    fkl_err result = FKL_ERR_COUNT;
    if (fkl_msg_reply(msg, &ref, &result) != FKL_OK) {
        set->others++;
        fkl_msg_destroy(msg);
        return;
    }
    int place = place_of(set, ref);
    set->unknown += place < 0;
    if (place >= 0) {
        set->twice += set->has[place];
        set->has[place] = true;
    }
    set->outcomes++;
    set->results[result]++;
    set->answer = fkl_msg_tag(msg);
    set->sender = fkl_msg_sender(msg);
    if (fkl_msg_len(msg) < sizeof set->text) {
        memcpy(set->text, fkl_msg_data(msg), fkl_msg_len(msg));
    }
    if (fkl_msg_down(msg, NULL, &set->record, NULL) == FKL_OK && set->record.error) {
        memcpy(set->error, set->record.error, set->record.error_len);
    }
    fkl_msg_destroy(msg);
}

static void act_start_asks(fkl_actor *self, void *arg)
{
    asker *set = arg;
    start_asks(self, set);
    rig_pass(&set->started);
    cancel_late(set);
    fkl_msg *msg = NULL;
    while (set->outcomes < set->expected && fkl_receive_until(SOON, &msg) == FKL_OK) {
        note_outcome(set, msg);
    }
    while (fkl_receive_until(fkl_after_ms(2), &msg) == FKL_OK) {
        note_outcome(set, msg); // one too many
    }
}

static void begin_asks(fkl_actor *self, void *state)
{
    start_asks(self, state);
    rig_pass(&((asker *)state)->started);
}

static fkl_turn note_in_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    asker *set = state;
    note_outcome(set, msg);
    return set->outcomes < set->expected ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static const fkl_behaviour asking = {.receive = note_in_turn, .start = begin_asks};

typedef struct setting {
    rig_memory memory;
    fkl_runtime *runtime;
    ask_server server;
    fkl_actor *actor;
    asker *asker;
    bool pooled_server, pooled_asker;
} setting;

static void begin(setting *set, int variant)
{
    *set = (setting){.pooled_server = variant & 1, .pooled_asker = variant & 2};
    fkl_runtime_config config = {.allocator = rig_allocator(&set->memory)};
    assert_ok(fkl_runtime_create(&config, &set->runtime));
    set->actor = ask_spawn(set->runtime, &set->server, set->pooled_server);
    set->asker = calloc(1, sizeof *set->asker);
    set->asker->to = fkl_actor_get_id(set->actor);
    set->asker->count = set->asker->expected = 1;
    set->asker->deadline = SOON;
    atomic_store(&set->asker->started.open, true);
}

static fkl_actor *spawn_asker(setting *set)
{
    fkl_actor *actor = NULL;
    if (!set->pooled_asker) {
        return rig_spawn(set->runtime, act_start_asks, set->asker);
    }
    assert_ok(fkl_spawn_pooled(set->runtime, NULL, &asking, set->asker, &actor));
    return actor;
}

static void end(setting *set)
{
    ask_stop(&set->server, set->actor);
    fkl_actor_release(set->actor);
    rig_destroy(set->runtime);
    rig_assert_balanced(&set->memory);
    cr_assert_eq(set->asker->unknown, 0);
    cr_assert_eq(set->asker->twice, 0);
    cr_assert_eq(set->asker->cancelled_again, 0);
    free(set->asker);
}

#define FOR_EACH_SETTING(set)                                                                      \
    for (int variant_ = 0; variant_ < 4 && (begin(&(set), variant_), true); end(&(set)), variant_++)

static void expect_one(setting *set, fkl_err result)
{
    rig_join(spawn_asker(set));
    assert_ok(set->asker->last_err);
    cr_assert_eq(set->asker->outcomes, 1);
    cr_assert_eq(set->asker->results[result], 1, "not %s", fkl_err_name(result));
}

Test(answer, arrives_as_the_message_that_it_is, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_ANSWER;
        expect_one(&set, FKL_OK);
        cr_assert_eq(set.asker->answer, 1000 + DO_ANSWER);
        cr_assert_eq(set.asker->sender, fkl_actor_get_id(set.actor));
        cr_assert_str_eq(set.asker->text, "answer");
    }
}

Test(answer, says_that_the_request_was_destroyed, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_DROP;
        expect_one(&set, FKL_ENOREPLY);
    }
}

Test(answer, says_how_the_server_ended, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_FAIL;
        expect_one(&set, FKL_EDOWN);
        cr_assert_eq(set.asker->record.id, fkl_actor_get_id(set.actor));
        cr_assert_eq(set.asker->record.code, 9);
        cr_assert_str_eq(set.asker->error, "broken");
    }
}

Test(answer, says_that_the_deadline_passed_and_a_late_one_is_refused, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_KEEP;
        set.asker->deadline = fkl_after_ms(5);
        expect_one(&set, FKL_ETIMEDOUT);
        cr_assert_geq(fkl_now(), set.asker->deadline);
        rig_send(set.actor, DO_ANSWER_KEPT);
        assert_eventually(atomic_load(&set.server.seen) == 2);
        ask_stop(&set.server, set.actor);
        assert_err(set.server.answered, FKL_ECLOSED);
    }
}

Test(answer, comes_once_however_many_there_are, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_ANSWER;
        set.asker->count = set.asker->expected = MANY;
        set.asker->deadline = variant_ ? SOON : FKL_FOREVER;
        rig_join(spawn_asker(&set));
        cr_assert_eq(set.asker->results[FKL_OK], MANY);
        cr_assert_eq(set.asker->outcomes, MANY);
        cr_assert_eq(fkli_timers_len(set.runtime->timers), 0, "nothing is timed any more");
    }
}

Test(answer, comes_for_each_when_the_server_is_killed, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_KEEP; // of which the server keeps the last
        set.asker->count = set.asker->expected = 100;
        atomic_store(&set.asker->started.open, set.pooled_asker);
        fkl_actor *actor = spawn_asker(&set);
        assert_eventually(atomic_load(&set.asker->started.arrived) == 1);
        fkl_actor_kill(set.actor, 4);
        atomic_store(&set.asker->started.open, true);
        rig_join(actor);
        cr_assert_eq(set.asker->results[FKL_EDOWN] + set.asker->results[FKL_ENOREPLY], 100);
    }
}

// ---- cancelling

Test(answer, does_not_come_after_a_cancel, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_KEEP;
        set.asker->count = 4;
        set.asker->cancel_before = 4;
        fkl_actor *actor = spawn_asker(&set);
        assert_eventually(atomic_load(&set.asker->started.arrived) == 1);
        assert_eventually(atomic_load(&set.server.seen) == 4);
        rig_send(set.actor, DO_ANSWER_KEPT);
        assert_eventually(atomic_load(&set.server.seen) == 5);
        rig_send(actor, 1);
        assert_eventually(fkl_actor_mailbox_len(actor) == 0);
        fkl_actor_stop(actor);
        rig_join(actor);
        cr_assert_eq(set.asker->cancelled, 4);
        cr_assert_eq(set.asker->outcomes, 0);
    }
}

Test(answer, that_waits_is_not_received_after_a_cancel, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    set.asker->tag = DO_ANSWER;
    set.asker->count = 10;
    set.asker->cancel_after = 6;
    set.asker->expected = 4;
    atomic_store(&set.asker->started.open, false);
    fkl_actor *actor = spawn_asker(&set);
    assert_eventually(fkl_actor_mailbox_len(actor) == 10);
    atomic_store(&set.asker->started.open, true);
    rig_join(actor);
    cr_assert_eq(set.asker->cancelled, 6);
    cr_assert_eq(set.asker->outcomes, 4);
    end(&set);
}

struct choosy {
    fkl_actor_id to;
    int offered, outcomes;
    fkl_err err;
};

static bool is_offered(const fkl_msg *msg, void *ctx)
{
    struct choosy *choosy = ctx;
    choosy->offered++;
    choosy->outcomes += fkl_msg_get_kind(msg) == FKL_MSG_REPLY;
    return false;
}

static void act_choose(fkl_actor *self, void *arg)
{
    struct choosy *choosy = arg;
    fkl_ask_ref refs[2];
    fkl_msg *msg = NULL;
    for (int i = 0; i < 2; i++) {
        if (fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg) != FKL_OK) {
            abort();
        }
        fkl_msg_set_tag(msg, DO_ANSWER);
        choosy->err =
            fkl_ask_start(fkl_actor_runtime(self), choosy->to, msg, FKL_FOREVER, &refs[i]);
    }
    while (fkl_actor_mailbox_len(self) < 2) {
        rig_pause_ms(1);
    }
    fkl_ask_cancel(refs[0]);
    choosy->err = fkl_try_receive_match(0, is_offered, choosy, &msg);
}

Test(answer, that_was_cancelled_is_not_offered_to_a_receive_by_choice, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    struct choosy choosy = {.to = fkl_actor_get_id(set.actor)};
    rig_join(rig_spawn(set.runtime, act_choose, &choosy));
    assert_err(choosy.err, FKL_EEMPTY);
    cr_assert_eq(choosy.offered, 1);
    cr_assert_eq(choosy.outcomes, 1);
    end(&set);
}

// ---- what cannot be started

Test(answer, is_not_awaited_from_outside, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    fkl_ask_ref ref = 0;
    fkl_runtime *elsewhere = rig_create();
    assert_err(fkl_ask_start(set.runtime, set.asker->to, rig_msg(DO_ANSWER), SOON, &ref),
               FKL_EPERM);
    cr_assert_not(fkl_ask_cancel(1));
    end(&set);
    rig_destroy(elsewhere);
}

static void refuse(fkl_actor_id to, setting *set, fkl_err expected)
{
    set->asker->to = to;
    set->asker->tag = DO_ANSWER;
    fkl_actor *actor = spawn_asker(set);
    assert_eventually(atomic_load(&set->asker->started.arrived) == 1);
    fkl_actor_drain(actor); // ends it, as it waits for no answer
    rig_join(actor);
    assert_err(set->asker->last_err, expected);
    cr_assert_eq(set->asker->outcomes, 0);
}

Test(answer, does_not_come_when_the_ask_was_refused, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        refuse(FKL_NOBODY, &set, FKL_ENOACTOR);
    }
    FOR_EACH_SETTING(set)
    {
        fkl_actor *dead = rig_spawn(set.runtime, act_return, NULL);
        assert_ok(fkl_actor_join_until(dead, SOON, NULL));
        refuse(fkl_actor_get_id(dead), &set, FKL_ENOACTOR);
        fkl_actor_release(dead);
    }
    FOR_EACH_SETTING(set)
    {
        rig_gate gate = {0};
        fkl_actor *full = NULL;
        fkl_spawn_options options = {.mailbox_capacity = 1};
        assert_ok(fkl_spawn(set.runtime, &options, act_stubborn, &gate, &full));
        rig_send(full, 1);
        refuse(fkl_actor_get_id(full), &set, FKL_EFULL);
        atomic_store(&gate.open, true);
        rig_join(full);
    }
}

Test(answer, of_itself_comes_as_well, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    asker *set = calloc(1, sizeof *set);
    set->count = 1;
    set->deadline = FKL_NO_WAIT;
    set->expected = 1;
    atomic_store(&set->started.open, true);
    fkl_spawn_options options = {.mailbox_capacity = 4};
    fkl_actor *actor = NULL;
    // Its own id is the next one of the runtime's first actor.
    fkl_actor *first = rig_spawn(runtime, act_return, NULL);
    set->to = fkl_actor_get_id(first) + 1;
    assert_ok(fkl_spawn(runtime, &options, act_start_asks, set, &actor));
    cr_assert_eq(fkl_actor_get_id(actor), set->to);
    rig_join(actor);
    rig_join(first);
    assert_ok(set->last_err);
    cr_assert_eq(set->others, 1, "the request");
    cr_assert_eq(set->outcomes, 1);
    cr_assert_eq(set->results[FKL_ETIMEDOUT] + set->results[FKL_ENOREPLY], 1);
    free(set);
    rig_destroy(runtime);
}

static void start_after_end(fkl_actor *self, void *arg)
{
    fkl_actor_exit_now(self, 0);
    start_asks(self, arg);
}

Test(answer, is_not_awaited_by_an_actor_whose_exit_is_out, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    rig_join(rig_spawn(set.runtime, start_after_end, set.asker));
    assert_err(set.asker->last_err, FKL_ESTOPPED);
    cr_assert_eq(atomic_load(&set.server.seen), 0);
    end(&set);
}

// ---- draining

Test(answer, arrives_at_an_actor_that_drains, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_KEEP;
        set.asker->expected = 2; // never: it ends because it drains
        atomic_store(&set.asker->started.open, true);
        fkl_actor *actor = spawn_asker(&set);
        assert_eventually(atomic_load(&set.server.seen) == 1);
        fkl_actor_drain(actor);
        rig_send(set.actor, DO_ANSWER_KEPT);
        rig_join(actor);
        cr_assert_eq(set.asker->results[FKL_OK], 1);
        cr_assert_eq(set.asker->outcomes, 1);
    }
}

// ---- the asker ends

Test(answer, of_an_asker_that_ended_is_late, .timeout = 60)
{
    setting set;
    FOR_EACH_SETTING(set)
    {
        set.asker->tag = DO_KEEP;
        set.asker->deadline = variant_ & 1 ? FKL_FOREVER : SOON;
        fkl_actor *actor = spawn_asker(&set);
        assert_eventually(atomic_load(&set.server.seen) == 1);
        cr_assert(fkl_actor_kill(actor, 1));
        rig_join(actor);
        rig_send(set.actor, DO_ANSWER_KEPT);
        assert_eventually(atomic_load(&set.server.seen) == 2);
        ask_stop(&set.server, set.actor);
        assert_err(set.server.answered, FKL_ECLOSED);
    }
}

// ---- sending one on

static void act_send_answer_on(fkl_actor *self, void *arg)
{
    asker *set = arg;
    fkl_msg *msg = NULL;
    start_asks(self, set);
    if (set->last_err == FKL_OK && fkl_receive_until(SOON, &msg) == FKL_OK) {
        set->sent_on = fkl_actor_send(self, msg);
    }
    if (set->sent_on == FKL_OK && fkl_receive_until(SOON, &msg) == FKL_OK) {
        note_outcome(set, msg);
    }
}

Test(answer, that_is_sent_on_is_a_message_like_any_other, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    set.asker->tag = DO_ANSWER;
    set.asker->sent_on = FKL_EINTR;
    rig_join(rig_spawn(set.runtime, act_send_answer_on, set.asker));
    assert_ok(set.asker->sent_on);
    cr_assert_eq(set.asker->outcomes, 0);
    cr_assert_eq(set.asker->others, 1);
    end(&set);
}

// ---- memory

static void act_start_without_memory(fkl_actor *self, void *arg)
{
    asker *set = arg;
    rig_memory *memory = fkl_actor_data(self);
    long before = atomic_load(&memory->blocks);
    for (int step = 1; step < 10; step++) {
        set->started_count = 0;
        atomic_store(&memory->fail_at, atomic_load(&memory->calls) + step);
        start_asks(self, set);
        atomic_store(&memory->fail_at, 0);
        set->results[set->last_err]++;
        if (set->last_err == FKL_OK) {
            return;
        }
        set->twice += atomic_load(&memory->blocks) > before + 1; // the table may stay
    }
}

Test(answer, says_so_when_there_is_no_memory, .timeout = 60)
{
    setting set;
    begin(&set, 0);
    set.asker->tag = DO_DROP;
    set.asker->deadline = FKL_FOREVER;
    fkl_spawn_options options = {.data = &set.memory};
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn(set.runtime, &options, act_start_without_memory, set.asker, &actor));
    rig_join(actor);
    cr_assert_eq(set.asker->results[FKL_ENOMEM], 3, "the ask, its message, and the table");
    cr_assert_eq(set.asker->results[FKL_OK], 1);
    end(&set);
}
