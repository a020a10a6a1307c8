// SPDX-License-Identifier: Apache-2.0
//
// What can be seen of actors: numbers that add up, a table, a trace that names what happened.
#include "support/rig.h"
#include "support/text.h"

#include <forkless/observe.h>

#include <stdio.h>
#include <unistd.h>

static fkl_actor *spawn_named(fkl_runtime *runtime, const char *name, fkl_actor_fn fn, void *arg)
{
    fkl_spawn_options options = {.name = name};
    fkl_actor *actor;
    assert_ok(fkl_spawn(runtime, &options, fn, arg, &actor));
    return actor;
}

// ---- numbers of one actor

Test(observe, an_actor_that_waits_says_where_and_for_how_long)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = spawn_named(runtime, "sleeper", act_idle, NULL);
    assert_eventually(rig_waits(actor));
    fkl_actor_stats before, after;
    fkl_actor_get_stats(actor, &before);
    rig_pause_ms(20);
    fkl_actor_get_stats(actor, &after);
    cr_assert_eq(after.id, fkl_actor_get_id(actor));
    cr_assert_str_eq(after.name, "sleeper");
    cr_assert_str_eq(after.state, "sleep");
    cr_assert_not(after.orphan);
    cr_assert_geq(after.waiting - before.waiting, 20000000, "a wait that goes on counts");
    cr_assert_geq(after.age, after.waiting);
    cr_assert_eq(after.running, after.age - after.waiting);
    fkl_actor_stop(actor);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(observe, a_wait_that_is_over_still_counts)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = fkl_after_ms(30)};
    fkl_actor *actor = rig_spawn(runtime, act_receive_once, &receipt);
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    assert_err(receipt.err, FKL_ETIMEDOUT);
    fkl_actor_stats stats;
    fkl_actor_get_stats(actor, &stats);
    cr_assert_gt(stats.waiting, 0);
    cr_assert_leq(stats.waiting, stats.age);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(observe, the_age_of_a_dead_actor_stands_still)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_return, NULL);
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    fkl_actor_stats before, after;
    fkl_actor_get_stats(actor, &before);
    rig_pause_ms(2);
    fkl_actor_get_stats(actor, &after);
    cr_assert_eq(before.age, after.age);
    cr_assert_geq(after.age, 0);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(observe, messages_are_counted_by_what_became_of_them)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = spawn_named(runtime, "stubborn", act_stubborn, &gate);
    assert_eventually(atomic_load(&gate.arrived) == 1);
    for (uint64_t tag = 0; tag < 5; ++tag)
        rig_send(actor, tag);
    fkl_actor_stats stats;
    fkl_actor_get_stats(actor, &stats);
    cr_assert_eq(stats.mailbox_len, 5);
    cr_assert_str_eq(stats.state, "running");

    fkl_actor_kill(actor, 0);
    fkl_msg *msg = rig_msg(9);
    assert_err(fkl_actor_send(actor, msg), FKL_ENOACTOR);
    fkl_msg_destroy(msg);
    fkl_actor_get_stats(actor, &stats);
    cr_assert(stats.orphan);
    cr_assert_eq(stats.sent_to, 6);
    cr_assert_eq(stats.dropped, 5);
    cr_assert_eq(stats.dead_lettered, 1);
    cr_assert_eq(stats.handled, 0);
    cr_assert_eq(stats.mailbox_len, 0);

    atomic_store(&gate.open, true);
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    fkl_actor_get_stats(actor, &stats);
    cr_assert_not(stats.orphan);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

// ---- pooled actors

static fkl_turn spin_a_little(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    rig_spin(10000);
    fkl_msg_destroy(msg);
    return --*(int *)state > 0 ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

static fkl_actor_stats stats_of_pooled(bool measured, char **trace)
{
    fkl_runtime_config config = {.measure_turns = measured};
    fkl_runtime *runtime;
    assert_ok(fkl_runtime_create(&config, &runtime));
    if (trace)
        assert_ok(fkl_trace_start(runtime, 0));
    fkl_behaviour behaviour = {.receive = spin_a_little};
    int left = 10;
    fkl_actor *actor;
    assert_ok(fkl_spawn_pooled(runtime, &(fkl_spawn_options){.name = "spinner"}, &behaviour, &left,
                               &actor));
    for (uint64_t tag = 0; tag < 10; ++tag)
        rig_send(actor, tag);
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    fkl_actor_stats stats;
    fkl_actor_get_stats(actor, &stats);
    cr_assert(stats.pooled);
    cr_assert_geq(stats.turns, 1);
    cr_assert_leq(stats.turns, 11);
    cr_assert_eq(stats.handled, 10);
    fkl_actor_release(actor);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    struct text out = {0};
    if (trace) {
        assert_ok(fkl_trace_write(runtime, text_append, &out));
        *trace = out.bytes;
    }
    assert_ok(fkl_runtime_destroy(runtime));
    return stats;
}

Test(observe, turns_are_counted_and_timed_only_on_request)
{
    fkl_actor_stats stats = stats_of_pooled(false, NULL);
    cr_assert_eq(stats.running, 0);
    stats = stats_of_pooled(true, NULL);
    cr_assert_gt(stats.running, 0);
    cr_assert_leq(stats.running, stats.age);
}

Test(observe, a_trace_has_turns_with_their_messages)
{
    char *trace;
    fkl_actor_stats stats = stats_of_pooled(false, &trace);
    cr_assert_gt(stats.running, 0, "what is traced is timed");
    size_t messages = 0;
    const char *at = trace;
    while ((at = strstr(at, "\"name\":\"spinner\",\"cat\":\"turn\""))) {
        at = strstr(at, "\"messages\":");
        messages += strtoul(at + strlen("\"messages\":"), NULL, 10);
    }
    cr_assert_eq(messages, 10, "all messages are in some turn: %s", trace);
    free(trace);
}

// ---- all actors

Test(observe, a_snapshot_has_a_row_for_each_actor_that_has_not_ended)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *idle[5];
    for (int i = 0; i < 5; ++i)
        idle[i] = spawn_named(runtime, "idle", act_idle, NULL);
    fkl_actor *gone = spawn_named(runtime, "gone", act_return, NULL);
    assert_ok(fkl_actor_join_thread_until(gone, SOON));
    fkl_actor_stats rows[5];
    size_t count = 0;
    fkl_runtime_snapshot(runtime, rows, 3, &count);
    cr_assert_eq(count, 5, "all are counted though 3 fit");
    fkl_runtime_snapshot(runtime, rows, 5, &count);
    for (int i = 0; i < 5; ++i) {
        cr_assert_str_eq(rows[i].name, "idle");
        cr_assert_eq(rows[i].id, fkl_actor_get_id(idle[4 - i]), "the latest first");
    }
    for (int i = 0; i < 5; ++i) {
        fkl_actor_stop(idle[i]);
        rig_join(idle[i]);
    }
    fkl_actor_release(gone);
    fkl_runtime_snapshot(runtime, NULL, 0, &count);
    cr_assert_eq(count, 0);
    rig_destroy(runtime);
}

Test(observe, the_table_names_every_actor_and_what_it_does)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *server = spawn_named(runtime, "server", act_serve, NULL);
    fkl_actor *sleeper = spawn_named(runtime, "sleeper", act_idle, NULL);
    assert_eventually(rig_waits_in(server, "receive") && rig_waits_in(sleeper, "sleep"));
    struct text out = {0};
    assert_ok(fkl_runtime_dump(runtime, 0, text_append, &out));
    cr_assert_not_null(strstr(out.bytes, "server                   receive"), "%s", out.bytes);
    cr_assert_not_null(strstr(out.bytes, "sleeper                  sleep"), "%s", out.bytes);
    cr_assert_not_null(strstr(out.bytes, "2 actors, 0 not shown"), "%s", out.bytes);
    out.len = 0;
    assert_ok(fkl_runtime_dump(runtime, 1, text_append, &out));
    cr_assert_not_null(strstr(out.bytes, "sleeper"), "the latest");
    cr_assert_null(strstr(out.bytes, "server "));
    cr_assert_not_null(strstr(out.bytes, "2 actors, 1 not shown"));
    free(out.bytes);
    fkl_actor_stop(server);
    fkl_actor_stop(sleeper);
    rig_join(server);
    rig_join(sleeper);
    rig_destroy(runtime);
}

Test(observe, a_table_for_which_there_is_no_memory_is_an_error)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime;
    assert_ok(fkl_runtime_create(&config, &runtime));
    struct text out = {0};
    atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1);
    assert_err(fkl_runtime_dump(runtime, 0, text_append, &out), FKL_ENOMEM);
    cr_assert_null(out.bytes);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

// ---- dead letters

struct lost {
    atomic_int count[FKL_DEAD_LATE + 1];
    _Atomic(fkl_actor_id) to;
};

static void count_lost(const fkl_dead_letter *letter, void *ctx)
{
    struct lost *lost = ctx;
    atomic_fetch_add(&lost->count[letter->reason], 1);
    atomic_store(&lost->to, letter->to);
}

static fkl_err answer_late;

static void answer_when_it_is_too_late(fkl_actor *self, void *arg)
{
    fkl_msg *request, *reply;
    if (fkl_receive_until(SOON, &request) != FKL_OK)
        return;
    rig_pass(arg);
    if (fkl_msg_create(fkl_actor_runtime(self), FKL_CODEC_RAW, 0, &reply) == FKL_OK) {
        answer_late = fkl_reply(request, reply);
        if (answer_late)
            fkl_msg_destroy(reply);
    }
    fkl_msg_destroy(request);
}

Test(observe, the_handler_of_dead_letters_is_told_why_each_was_lost)
{
    struct lost lost = {0};
    fkl_runtime_config config = {.on_dead_letter = count_lost, .dead_letter_ctx = &lost};
    fkl_runtime *runtime;
    assert_ok(fkl_runtime_create(&config, &runtime));
    rig_gate gate = {0};
    fkl_spawn_options options = {.mailbox_capacity = 2, .mailbox_full = FKL_FULL_DROP_NEWEST};
    fkl_actor *actor;
    assert_ok(fkl_spawn(runtime, &options, act_stubborn, &gate, &actor));
    fkl_actor_id id = fkl_actor_get_id(actor);
    for (uint64_t tag = 0; tag < 5; ++tag)
        rig_send(actor, tag);
    cr_assert_eq(atomic_load(&lost.count[FKL_DEAD_FULL]), 3);
    cr_assert_eq(atomic_load(&lost.to), id);
    fkl_actor_drain(actor);
    fkl_msg *msg = rig_msg(9);
    assert_err(fkl_actor_send(actor, msg), FKL_ECLOSED);
    cr_assert_eq(atomic_load(&lost.count[FKL_DEAD_CLOSED]), 1);
    fkl_actor_kill(actor, 0);
    cr_assert_eq(atomic_load(&lost.count[FKL_DEAD_ENDED]), 2, "what waited in the mailbox");
    assert_err(fkl_actor_send(actor, msg), FKL_ENOACTOR);
    cr_assert_eq(atomic_load(&lost.count[FKL_DEAD_NO_ACTOR]), 1);
    fkl_msg_destroy(msg);
    atomic_store(&gate.open, true);
    rig_join(actor);

    rig_gate answer = {0};
    actor = rig_spawn(runtime, answer_when_it_is_too_late, &answer);
    fkl_msg *reply;
    assert_err(fkl_ask_until(runtime, fkl_actor_get_id(actor), rig_msg(1), fkl_after_ms(5), &reply),
               FKL_ETIMEDOUT);
    atomic_store(&answer.open, true);
    rig_join(actor);
    assert_err(answer_late, FKL_ECLOSED);
    cr_assert_eq(atomic_load(&lost.count[FKL_DEAD_LATE]), 1);
    cr_assert_null(reply);
    rig_destroy(runtime);
}

// ---- the trace

static void send_to_parent(fkl_actor *self, void *arg)
{
    (void)self;
    rig_send(arg, 1);
}

static void receive_from_child(fkl_actor *self, void *arg)
{
    fkl_actor *child = spawn_named(fkl_actor_runtime(self), "child", send_to_parent, self);
    fkl_msg *msg;
    fkl_err *err = arg;
    *err = fkl_receive_until(SOON, &msg);
    if (!*err)
        fkl_msg_destroy(msg);
    rig_join(child);
}

static char *trace_of_two(fkl_runtime *runtime)
{
    fkl_err err = FKL_EEMPTY;
    rig_join(spawn_named(runtime, "parent", receive_from_child, &err));
    assert_ok(err);
    struct text out = {0};
    assert_ok(fkl_trace_write(runtime, text_append, &out));
    return out.bytes;
}

Test(observe, a_trace_has_spawns_messages_waits_and_exits)
{
    fkl_runtime *runtime = rig_create();
    assert_ok(fkl_trace_start(runtime, 0));
    char *out = trace_of_two(runtime);
    cr_assert_eq(text_count(out, "\"name\":\"spawn\""), 2, "%s", out);
    cr_assert_eq(text_count(out, "\"name\":\"exit\""), 2);
    cr_assert_eq(text_count(out, "\"what\":\"normal\""), 2);
    cr_assert_eq(text_count(out, "\"name\":\"send\""), 1);
    cr_assert_eq(text_count(out, "\"name\":\"receive\",\"cat\":\"actor\""), 1);
    cr_assert_eq(text_count(out, "\"ph\":\"s\""), 1);
    cr_assert_eq(text_count(out, "\"ph\":\"f\""), 1);
    cr_assert_geq(text_count(out, "{\"name\":\"parent\"}"), 1, "the parent's thread has its name");
    free(out);
    rig_destroy(runtime);
}

Test(observe, nothing_is_traced_before_the_start_and_after_the_stop)
{
    fkl_runtime *runtime = rig_create();
    char *out = trace_of_two(runtime);
    cr_assert_eq(text_count(out, "\"name\":\"spawn\""), 0);
    free(out);
    assert_ok(fkl_trace_start(runtime, 100));
    fkl_trace_stop(runtime);
    out = trace_of_two(runtime);
    cr_assert_eq(text_count(out, "\"name\":\"spawn\""), 0);
    free(out);
    rig_destroy(runtime);
}

Test(observe, a_trace_is_saved_to_a_file)
{
    fkl_runtime *runtime = rig_create();
    assert_ok(fkl_trace_start(runtime, 0));
    char *out = trace_of_two(runtime);
    char path[] = "/tmp/forkless-trace-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    assert_ok(fkl_trace_save(runtime, path));
    char *saved = calloc(1, strlen(out) + 1);
    cr_assert_eq(read(fd, saved, strlen(out)), (ssize_t)strlen(out));
    cr_assert_str_eq(saved, out);
    close(fd);
    unlink(path);
    free(saved);
    free(out);
    assert_err(fkl_trace_save(runtime, "/nonexistent/folder/trace.json"), FKL_EOS);
    assert_err(fkl_trace_save(runtime, "/dev/full"), FKL_EOS);
    rig_destroy(runtime);
}
