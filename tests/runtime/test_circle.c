// SPDX-License-Identifier: Apache-2.0
//
// Circles of actors that wait for each other: one of them is told, whoever closed it and however,
// and then the others get their answers; and what only looks like a circle is none.
#include "support/ask_rig.h"

#include <pthread.h>

enum { MOST = 10 };

// Actors that ask and then serve, in steps.
struct party {
    fkl_actor *actors[MOST];
    ask_question questions[MOST];
    rig_gate gates[MOST]; // before they ask
    ask_server servers[MOST];
    fkl_runtime *runtime;
};

struct member {
    struct party *party;
    int number;
};

static void act_member(fkl_actor *self, void *arg)
{
    struct member *member = arg;
    struct party *party = member->party;
    ask_question *question = &party->questions[member->number];
    rig_pass(&party->gates[member->number]);
    if (question->tag) {
        ask_put(party->runtime, question);
    }
    act_ask_server(self, &party->servers[member->number]);
}

static void begin(struct party *party, struct member *members, int count,
                  const fkl_spawn_options *options)
{
    memset(party, 0, sizeof *party);
    party->runtime = rig_create();
    for (int i = 0; i < count; i++) {
        members[i] = (struct member){.party = party, .number = i};
        atomic_store(&party->servers[i].at_work.open, true);
        assert_ok(fkl_spawn(party->runtime, options, act_member, &members[i], &party->actors[i]));
    }
}

// Tells one whom to ask, and lets it.
static void let_ask(struct party *party, int who, int whom, uint64_t tag, fkl_time deadline)
{
    party->questions[who].to = fkl_actor_get_id(party->actors[whom]);
    party->questions[who].tag = tag;
    party->questions[who].deadline = deadline;
    atomic_store(&party->gates[who].open, true);
}

static void let_ask_and_wait(struct party *party, int who, int whom, uint64_t tag)
{
    let_ask(party, who, whom, tag, FKL_FOREVER);
    assert_eventually(rig_waits_in(party->actors[who], "ask"));
}

static void end(struct party *party, int count)
{
    for (int i = 0; i < count; i++) {
        atomic_store(&party->gates[i].open, true);
        fkl_actor_stop(party->actors[i]);
        rig_join(party->actors[i]);
    }
    rig_destroy(party->runtime);
}

static void close_ring(int count, bool at_once)
{
    struct party party;
    struct member members[MOST];
    begin(&party, members, count, NULL);
    for (int i = 0; i < count; i++) {
        if (at_once || i == count - 1) {
            let_ask(&party, i, (i + 1) % count, DO_ANSWER, FKL_FOREVER);
        } else {
            let_ask_and_wait(&party, i, (i + 1) % count, DO_ANSWER);
        }
    }
    int told = 0, answered = 0;
    for (int i = 0; i < count; i++) {
        assert_eventually(atomic_load(&party.questions[i].asked));
        told += party.questions[i].err == FKL_EDEADLK;
        answered += party.questions[i].err == FKL_OK;
        cr_assert_eq(party.questions[i].has_out, party.questions[i].err == FKL_OK);
    }
    cr_assert_eq(told, 1, "%d of %d", told, count);
    cr_assert_eq(answered, count - 1);
    if (!at_once) {
        assert_err(party.questions[count - 1].err, FKL_EDEADLK);
    }
    end(&party, count);
}

Test(circle, the_one_that_closes_it_is_told, .timeout = 60)
{
    close_ring(2, false);
    close_ring(3, false);
    close_ring(MOST, false);
}

Test(circle, one_is_told_when_all_close_it_at_once, .timeout = 60)
{
    for (int i = 0; i < 50; i++) {
        close_ring(2, true);
        close_ring(3, true);
    }
    close_ring(MOST, true);
}

Test(circle, that_a_request_sent_on_closes_is_found, .timeout = 60)
{
    struct party party;
    struct member members[MOST];
    begin(&party, members, 3, NULL);
    party.servers[1].next = fkl_actor_get_id(party.actors[2]);
    let_ask_and_wait(&party, 2, 0, DO_ANSWER);
    atomic_store(&party.gates[1].open, true); // only serves
    let_ask(&party, 0, 1, DO_SEND_ON, FKL_FOREVER);
    assert_eventually(atomic_load(&party.questions[0].asked));
    assert_err(party.questions[0].err, FKL_EDEADLK);
    assert_eventually(atomic_load(&party.questions[2].asked));
    assert_ok(party.questions[2].err);
    end(&party, 3);
}

Test(circle, that_a_full_mailbox_closes_is_found, .timeout = 60)
{
    struct party party;
    struct member members[MOST];
    fkl_spawn_options options = {.mailbox_capacity = 1};
    begin(&party, members, 2, &options);
    rig_send(party.actors[0], 0);
    let_ask_and_wait(&party, 0, 1, DO_ANSWER);
    let_ask(&party, 1, 0, DO_ANSWER, FKL_FOREVER); // there is no place for it
    assert_eventually(atomic_load(&party.questions[1].asked));
    assert_err(party.questions[1].err, FKL_EDEADLK);
    assert_eventually(atomic_load(&party.questions[0].asked));
    assert_ok(party.questions[0].err);
    cr_assert_eq(atomic_load(&party.servers[0].seen) <= 1, true, "the request never got in");
    end(&party, 2);
}

Test(circle, that_others_are_in_does_not_hold_up_the_search, .timeout = 60)
{
    // Of two that close a circle one is told, while a third comes to wait for them.
    for (int i = 0; i < 50; i++) {
        struct party party;
        struct member members[MOST];
        begin(&party, members, 3, NULL);
        let_ask(&party, 0, 1, DO_ANSWER, FKL_FOREVER);
        let_ask(&party, 2, 0, DO_ANSWER, FKL_FOREVER);
        let_ask(&party, 1, 0, DO_ANSWER, FKL_FOREVER);
        for (int who = 0; who < 3; who++) {
            assert_eventually(atomic_load(&party.questions[who].asked));
        }
        assert_ok(party.questions[2].err);
        end(&party, 3);
    }
}

// ---- what is none

Test(circle, is_none_where_one_only_serves, .timeout = 60)
{
    struct party party;
    struct member members[MOST];
    begin(&party, members, 3, NULL);
    atomic_store(&party.gates[2].open, true);
    let_ask(&party, 0, 1, DO_ANSWER, FKL_FOREVER);
    let_ask(&party, 1, 2, DO_ANSWER, FKL_FOREVER);
    for (int who = 0; who < 2; who++) {
        assert_eventually(atomic_load(&party.questions[who].asked));
        assert_ok(party.questions[who].err);
    }
    end(&party, 3);
}

Test(circle, is_none_once_the_request_was_sent_on, .timeout = 60)
{
    struct party party;
    struct member members[MOST];
    begin(&party, members, 3, NULL);
    party.servers[1].next = fkl_actor_get_id(party.actors[2]);
    rig_gate *third = &party.servers[2].at_work;
    atomic_store(&third->open, false);
    atomic_store(&party.gates[1].open, true);
    atomic_store(&party.gates[2].open, true);
    let_ask_and_wait(&party, 0, 1, DO_SEND_ON);
    assert_eventually(fkl_actor_mailbox_len(party.actors[2]) == 1);
    // The second has nothing to do with it any more and may ask the first.
    ask_question back = {
        .to = fkl_actor_get_id(party.actors[0]), .tag = DO_ANSWER, .deadline = fkl_after_ms(20)};
    rig_join(rig_spawn(party.runtime, act_ask, &back));
    assert_err(back.err, FKL_ETIMEDOUT);
    atomic_store(&third->open, true);
    assert_eventually(atomic_load(&party.questions[0].asked));
    assert_ok(party.questions[0].err);
    end(&party, 3);
}

struct returning {
    fkl_actor_id partner;
    rig_gate known;
    int rounds, wrong;
};

// Answers a question and at once asks the one that it answered, which is about to listen.
static void act_answer_and_ask_back(fkl_actor *self, void *arg)
{
    (void)self;
    struct returning *returning = arg;
    fkl_msg *msg = NULL;
    rig_pass(&returning->known);
    for (int i = 0; i < returning->rounds && fkl_receive_until(SOON, &msg) == FKL_OK; i++) {
        ask_question question = {.to = returning->partner, .tag = DO_ANSWER, .deadline = SOON};
        returning->wrong += ask_answer(msg) != FKL_OK;
        ask_put(fkl_actor_runtime(self), &question);
        returning->wrong += question.err != FKL_OK;
        fkl_msg_destroy(msg);
    }
}

static void act_ask_and_listen(fkl_actor *self, void *arg)
{
    struct returning *returning = arg;
    fkl_msg *msg = NULL;
    rig_pass(&returning->known);
    for (int i = 0; i < returning->rounds; i++) {
        ask_question question = {.to = returning->partner, .tag = DO_ANSWER, .deadline = SOON};
        ask_put(fkl_actor_runtime(self), &question);
        returning->wrong += question.err != FKL_OK;
        if (fkl_receive_until(SOON, &msg) != FKL_OK) {
            returning->wrong++;
            return;
        }
        returning->wrong += ask_answer(msg) != FKL_OK;
        fkl_msg_destroy(msg);
    }
}

Test(circle, is_none_between_one_that_has_answered_and_one_that_has_not_seen_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct returning first = {.rounds = 2000}, second = {.rounds = 2000};
    fkl_actor *one = rig_spawn(runtime, act_ask_and_listen, &first);
    fkl_actor *other = rig_spawn(runtime, act_answer_and_ask_back, &second);
    first.partner = fkl_actor_get_id(other);
    second.partner = fkl_actor_get_id(one);
    atomic_store(&first.known.open, true);
    atomic_store(&second.known.open, true);
    rig_join(one);
    rig_join(other);
    cr_assert_eq(first.wrong, 0);
    cr_assert_eq(second.wrong, 0);
    rig_destroy(runtime);
}

static void *be_a_helper(void *arg)
{
    struct party *party = arg;
    fkl_actor *previous = NULL;
    if (fkl_actor_enter(party->actors[0], &previous) == FKL_OK) {
        rig_pass(&party->gates[MOST - 1]);
        fkl_actor_leave(previous);
    }
    return NULL;
}

Test(circle, is_none_where_a_helper_might_answer, .timeout = 60)
{
    struct party party;
    struct member members[MOST];
    pthread_t helper;
    begin(&party, members, 2, NULL);
    cr_assert_eq(pthread_create(&helper, NULL, be_a_helper, &party), 0);
    assert_eventually(atomic_load(&party.gates[MOST - 1].arrived) == 1);
    let_ask_and_wait(&party, 0, 1, DO_ANSWER);
    let_ask(&party, 1, 0, DO_ANSWER, fkl_after_ms(20));
    assert_eventually(atomic_load(&party.questions[1].asked));
    assert_err(party.questions[1].err, FKL_ETIMEDOUT);
    assert_eventually(atomic_load(&party.questions[0].asked));
    assert_ok(party.questions[0].err);
    atomic_store(&party.gates[MOST - 1].open, true);
    pthread_join(helper, NULL);
    end(&party, 2);
}

Test(circle, is_none_with_one_that_was_asked_to_stop, .timeout = 60)
{
    struct party party;
    struct member members[MOST];
    begin(&party, members, 2, NULL);
    let_ask_and_wait(&party, 0, 1, DO_ANSWER);
    fkl_actor_stop(party.actors[0]);
    let_ask(&party, 1, 0, DO_ANSWER, FKL_FOREVER);
    assert_eventually(atomic_load(&party.questions[1].asked));
    // It ends without having received the question.
    cr_assert(party.questions[1].err == FKL_EDOWN || party.questions[1].err == FKL_ENOACTOR);
    end(&party, 2);
}

Test(circle, whom_an_actor_asks_can_be_seen, .timeout = 60)
{
    struct party party;
    struct member members[MOST];
    fkl_actor_stats stats;
    begin(&party, members, 2, NULL);
    let_ask_and_wait(&party, 0, 1, DO_ANSWER);
    fkl_actor_get_stats(party.actors[0], &stats);
    cr_assert_eq(stats.asking, fkl_actor_get_id(party.actors[1]));
    fkl_actor_get_stats(party.actors[1], &stats);
    cr_assert_eq(stats.asking, FKL_NOBODY);
    atomic_store(&party.gates[1].open, true);
    assert_eventually(atomic_load(&party.questions[0].asked));
    fkl_actor_get_stats(party.actors[0], &stats);
    cr_assert_eq(stats.asking, FKL_NOBODY);
    end(&party, 2);
}
