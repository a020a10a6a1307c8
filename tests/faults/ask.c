// SPDX-License-Identifier: Apache-2.0
//
// Faults while actors ask, and are asked.
#include "support/faults.h"

#include <forkless/ask.h>

struct conversation {
    faults *f;
    fkl_actor *to;
};

static void answer(faults *f, fkl_msg *request)
{
    fkl_msg *reply = faults_msg(f, fkl_msg_tag(request) + 1);
    fkl_err err = fkl_reply(request, reply);
    if (err) {
        REQUIRE(f, err == FKL_ECLOSED); // the asker had a fault, and has given up
        fkl_msg_destroy(reply);
    }
}

static void act_answer(fkl_actor *self, void *arg)
{
    faults *f = arg;
    fkl_msg *request = NULL;
    (void)self;
    for (fkl_err err = FKL_OK; err == FKL_OK || err == FKL_EINTR;) {
        err = fkl_receive_until(FKL_FOREVER, &request);
        if (err == FKL_OK) {
            answer(f, request);
            fkl_msg_destroy(request);
        }
    }
}

// Takes what it is asked, and ends.
static void act_end(fkl_actor *self, void *arg)
{
    (void)self;
    faults_receive(arg);
}

// The request is consumed whatever comes of it, so each call makes its own.
static fkl_err ask(const struct conversation *with, fkl_msg **out)
{
    fkl_msg *request = NULL;
    fkl_err err = fkl_msg_create(with->f->runtime, FKL_CODEC_RAW, 8, &request);
    if (err) {
        return err;
    }
    fkl_msg_set_tag(request, 1);
    fkl_actor_id id = fkl_actor_get_id(with->to);
    return fkl_ask_until(with->f->runtime, id, request, SOON, out);
}

static fkl_err start_ask(const struct conversation *with, fkl_time deadline, fkl_ask_ref *out)
{
    fkl_msg *request = NULL;
    fkl_err err = fkl_msg_create(with->f->runtime, FKL_CODEC_RAW, 8, &request);
    if (err) {
        return err;
    }
    fkl_msg_set_tag(request, 1);
    fkl_actor_id id = fkl_actor_get_id(with->to);
    return fkl_ask_start(with->f->runtime, id, request, deadline, out);
}

static void ask_and_wait(faults *f)
{
    struct conversation with = {f, faults_spawn(f, act_answer, f)};
    fkl_msg *reply = NULL;
    for (int i = 0; i < 3; i++) {
        TRY(f, ask(&with, &reply));
        REQUIRE(f, reply && fkl_msg_tag(reply) == 2);
        fkl_msg_destroy(reply);
    }
    TRY(f, fkl_actor_kill_until(with.to, 0, SOON, NULL));
    EXPECT(f, ask(&with, &reply), FKL_ENOACTOR);
    fkl_actor_release(with.to);
}

FAULTS(ask_faults, questions_are_answered, ask_and_wait)

// A second ask, because the first had a fault, finds nobody.
static fkl_err ask_one_that_ends(const struct conversation *with)
{
    fkl_msg *down = NULL;
    fkl_err err = ask(with, &down);
    fkl_msg_destroy(down);
    return err == FKL_ENOACTOR || err == FKL_ENOREPLY ? FKL_EDOWN : err;
}

static void ask_the_dying(faults *f)
{
    struct conversation with = {f, faults_spawn(f, act_end, f)};
    EXPECT(f, ask_one_that_ends(&with), FKL_EDOWN);
    fkl_actor_stop(with.to);
    faults_join(f, with.to);
}

FAULTS(ask_faults, a_question_to_one_that_ends_fails, ask_the_dying)

static void receive_reply(faults *f, fkl_ask_ref wanted, fkl_err outcome)
{
    fkl_msg *msg = NULL;
    fkl_ask_ref ref = 0;
    fkl_err result = FKL_ERR_COUNT;
    TRY(f, fkl_receive_until(SOON, &msg));
    if (msg) {
        TRY(f, fkl_msg_reply(msg, &ref, &result));
    }
    REQUIRE(f, ref == wanted && result == outcome);
    fkl_msg_destroy(msg);
}

static void act_ask(fkl_actor *self, void *arg)
{
    const struct conversation *with = arg;
    faults *f = with->f;
    fkl_ask_ref refs[12] = {0};
    fkl_msg *msg = NULL;
    (void)self;
    TRY(f, start_ask(with, SOON, &refs[0]));
    receive_reply(f, refs[0], FKL_OK);
    for (int i = 0; i < 12; i++) { // so that their table grows
        TRY(f, start_ask(with, SOON, &refs[i]));
    }
    for (int i = 0; i < 12; i++) {
        REQUIRE(f, fkl_ask_cancel(refs[i]));
    }
    EXPECT(f, fkl_try_receive(&msg), FKL_EEMPTY);
}

static void ask_and_go_on(faults *f)
{
    struct conversation with = {f, faults_spawn(f, act_answer, f)};
    fkl_actor *asker = faults_spawn(f, act_ask, &with);
    faults_join(f, asker);
    fkl_actor_stop(with.to);
    faults_join(f, with.to);
}

FAULTS(ask_faults, questions_are_answered_by_messages, ask_and_go_on)

static void act_ask_in_vain(fkl_actor *self, void *arg)
{
    const struct conversation *with = arg;
    fkl_ask_ref ref = 0;
    (void)self;
    TRY(with->f, start_ask(with, fkl_after_ms(2), &ref));
    receive_reply(with->f, ref, FKL_ETIMEDOUT);
    TRY(with->f, start_ask(with, FKL_FOREVER, &ref));
    fkl_actor_kill(with->to, 1);
    receive_reply(with->f, ref, FKL_EDOWN);
    EXPECT(with->f, start_ask(with, FKL_FOREVER, &ref), FKL_ENOACTOR);
}

static void ask_in_vain(faults *f)
{
    struct conversation with = {f, faults_spawn(f, act_idle, NULL)};
    fkl_actor *asker = faults_spawn(f, act_ask_in_vain, &with);
    faults_join(f, asker);
    faults_join(f, with.to);
}

FAULTS(ask_faults, questions_that_are_not_answered_end, ask_in_vain)
