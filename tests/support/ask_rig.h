// SPDX-License-Identifier: Apache-2.0
//
// What the tests of asks share: a server that does what the tag of each request says, as a thread
// actor or a pooled one, and a question with everything that came of it.
#ifndef FKL_TESTS_SUPPORT_ASK_RIG_H
#define FKL_TESTS_SUPPORT_ASK_RIG_H

#include "support/rig.h"

enum {
    DO_ANSWER = 1, // with the tag of the request and 1,000
    DO_ANSWER_TWICE,
    DO_DROP,
    DO_KEEP,    // in `kept`, in place of the last one; DO_ANSWER_KEPT answers it
    DO_SEND_ON, // to `next`
    DO_END,     // at once, with the request in hand
    DO_FAIL,    // the same, with an error
    DO_CHANNEL, // into `channel`
    DO_ANSWER_KEPT,
    DO_LATER // sent to `next` by a timer
};

typedef struct ask_server {
    fkl_actor_id next;
    fkl_channel *channel;
    fkl_msg *kept;
    atomic_int seen; // messages that were handled
    fkl_err answered, again, sent_on;
    bool wanted, wanted_after;
    rig_gate at_work; // open, or where it stops with a request in hand
} ask_server;

static inline fkl_err ask_answer(fkl_msg *request)
{
    fkl_msg *reply = NULL;
    fkl_err err = fkl_msg_create_copy(NULL, FKL_CODEC_RAW, "answer", 6, &reply);
    if (err == FKL_OK) {
        fkl_msg_set_tag(reply, fkl_msg_tag(request) + 1000);
        err = fkl_reply(request, reply);
        if (err != FKL_OK) {
            fkl_msg_destroy(reply);
        }
    }
    return err;
}

static inline bool ask_handle(fkl_actor *self, fkl_msg *msg, ask_server *server)
{
    fkl_runtime *runtime = fkl_actor_runtime(self);
    switch (fkl_msg_tag(msg)) {
    case DO_ANSWER:
        server->wanted = fkl_msg_wants_reply(msg);
        server->answered = ask_answer(msg);
        server->wanted_after = fkl_msg_wants_reply(msg);
        break;
    case DO_ANSWER_TWICE:
        server->answered = ask_answer(msg);
        server->again = ask_answer(msg);
        break;
    case DO_KEEP:
        fkl_msg_destroy(server->kept);
        server->kept = msg;
        return true;
    case DO_ANSWER_KEPT:
        server->answered = ask_answer(server->kept);
        fkl_msg_destroy(server->kept);
        server->kept = NULL;
        break;
    case DO_SEND_ON:
        fkl_msg_set_tag(msg, DO_ANSWER);
        server->sent_on = fkl_send(runtime, server->next, msg);
        if (server->sent_on == FKL_OK) {
            return true;
        }
        break;
    case DO_LATER:
        fkl_msg_set_tag(msg, DO_ANSWER);
        server->sent_on = fkl_send_at(runtime, server->next, msg, fkl_after_ms(1), NULL);
        return true;
    case DO_CHANNEL:
        server->sent_on = fkl_channel_try_send(server->channel, msg);
        return true;
    case DO_FAIL:
        server->answered = fkl_actor_set_exit(self, 9, "broken", 6);
        server->kept = msg;
        return false;
    case DO_END:
        server->kept = msg;
        return false;
    default:
        break;
    }
    fkl_msg_destroy(msg);
    return true;
}

// Returns whether the server goes on.
static inline bool ask_serve_one(fkl_actor *self, fkl_msg *msg, ask_server *server)
{
    bool goes_on = ask_handle(self, msg, server);
    atomic_fetch_add(&server->seen, 1);
    return goes_on;
}

static inline void act_ask_server(fkl_actor *self, void *arg)
{
    ask_server *server = arg;
    fkl_msg *msg = NULL;
    bool goes_on = true;
    rig_pass(&server->at_work);
    while (goes_on && fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        goes_on = ask_serve_one(self, msg, server);
    }
}

static inline fkl_turn ask_server_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    return ask_serve_one(self, msg, state) ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static const fkl_behaviour ask_server_behaviour = {.receive = ask_server_turn};

static inline fkl_actor *ask_spawn(fkl_runtime *runtime, ask_server *server, bool pooled)
{
    fkl_actor *actor = NULL;
    server->answered = server->again = server->sent_on = FKL_EINTR;
    atomic_store(&server->at_work.open, true);
    if (!pooled) {
        return rig_spawn(runtime, act_ask_server, server);
    }
    assert_ok(fkl_spawn_pooled(runtime, NULL, &ask_server_behaviour, server, &actor));
    return actor;
}

// Ends it; what it noted can be read then.
static inline void ask_stop(ask_server *server, fkl_actor *actor)
{
    fkl_actor_stop(actor);
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    fkl_msg_destroy(server->kept);
    server->kept = NULL;
}

// A question and what came of it.
typedef struct ask_question {
    fkl_actor_id to;
    uint64_t tag;
    fkl_time deadline;
    atomic_bool asked; // and answered
    fkl_err err;
    bool has_out;
    uint64_t answer;
    fkl_msg_kind kind;
    fkl_actor_id sender;
    fkl_exit record;
    char error[16];
} ask_question;

static inline void ask_put(fkl_runtime *runtime, ask_question *question)
{
    fkl_msg *out = NULL;
    fkl_msg *request = NULL;
    if (fkl_msg_create_copy(NULL, FKL_CODEC_RAW, "question", 8, &request) != FKL_OK) {
        abort();
    }
    fkl_msg_set_tag(request, question->tag);
    question->err = fkl_ask_until(runtime, question->to, request, question->deadline, &out);
    question->has_out = out != NULL;
    if (out) {
        question->answer = fkl_msg_tag(out);
        question->kind = fkl_msg_get_kind(out);
        question->sender = fkl_msg_sender(out);
        if (fkl_msg_down(out, NULL, &question->record, NULL) == FKL_OK && question->record.error) {
            memcpy(question->error, question->record.error, question->record.error_len);
        }
        fkl_msg_destroy(out);
    }
    atomic_store(&question->asked, true);
}

static inline void act_ask(fkl_actor *self, void *arg)
{
    ask_put(fkl_actor_runtime(self), arg);
}

#endif
