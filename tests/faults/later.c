// SPDX-License-Identifier: Apache-2.0
//
// Faults while timers send, pooled actors run, and a runtime is traced and looked at.
#include "support/faults.h"

#include <forkless/observe.h>
#include <forkless/pooled.h>
#include <forkless/timer.h>

static void act_count(fkl_actor *self, void *arg)
{
    faults *f = arg;
    (void)self;
    for (uint64_t tag = 1; tag <= 3; tag++) {
        REQUIRE(f, faults_receive(f) == tag);
    }
}

static void use_timers(faults *f)
{
    fkl_actor *actor = faults_spawn(f, act_count, f);
    fkl_actor_id id = fkl_actor_get_id(actor);
    fkl_timer_ref ref = 0;
    for (uint64_t tag = 1; tag <= 3; tag++) {
        fkl_msg *msg = faults_msg(f, tag);
        TRY(f, fkl_send_at(f->runtime, id, msg, fkl_after_ms(1) + (fkl_time)tag, NULL));
    }
    fkl_msg *msg = faults_msg(f, 4);
    TRY(f, fkl_send_at(f->runtime, id, msg, FKL_FOREVER, &ref));
    REQUIRE(f, fkl_timer_cancel(f->runtime, ref));
    msg = faults_msg(f, 5);
    TRY(f, fkl_send_at(f->runtime, id, msg, FKL_FOREVER, NULL)); // until the shutdown
    faults_join(f, actor);
}

FAULTS(later_faults, timers_send_and_are_cancelled, use_timers)

// So many that their table grows.
static void start_many_timers(faults *f)
{
    enum { COUNT = 300 };
    fkl_timer_ref refs[COUNT];
    fkl_actor *actor = faults_spawn(f, act_serve, NULL);
    for (int i = 0; i < COUNT; i++) {
        fkl_msg *msg = faults_msg(f, 1);
        TRY(f, fkl_send_at(f->runtime, fkl_actor_get_id(actor), msg, FKL_FOREVER, &refs[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        REQUIRE(f, fkl_timer_cancel(f->runtime, refs[i]));
    }
    fkl_actor_stop(actor);
    faults_join(f, actor);
}

FAULTS(later_faults, many_timers_are_started, start_many_timers)

static void act_three_ticks(fkl_actor *self, void *arg)
{
    faults *f = arg;
    (void)self;
    for (int i = 0; i < 3; i++) {
        REQUIRE(f, faults_receive(f) == 1);
    }
}

// A tick for which there is no memory is left out, and no call says so.
static void repeat(faults *f)
{
    fkl_timer_ref ref = 0;
    fkl_actor *actor = faults_spawn(f, act_three_ticks, f);
    fkl_msg *msg = faults_msg(f, 1);
    TRY(f, fkl_send_every(f->runtime, fkl_actor_get_id(actor), msg, fkl_now(), 100000, &ref));
    faults_join(f, actor);
    fkl_timer_cancel(f->runtime, ref);
}

FAULTS(later_faults, a_timer_repeats, repeat, .silent_memory = true)

struct pooled {
    faults *f;
    uint64_t next;
    atomic_bool finished;
};

static fkl_turn count_up(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct pooled *pooled = state;
    (void)self;
    REQUIRE(pooled->f, fkl_msg_tag(msg) == ++pooled->next);
    fkl_msg_destroy(msg);
    return pooled->next == 3 ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

static void note_finish(fkl_actor *self, void *state)
{
    (void)self;
    atomic_store(&((struct pooled *)state)->finished, true);
}

static void use_pooled(faults *f)
{
    enum { COUNT = 3 };
    static const fkl_behaviour behaviour = {.receive = count_up, .finish = note_finish};
    struct pooled states[COUNT];
    fkl_actor *actors[COUNT] = {NULL};
    for (int i = 0; i < COUNT; i++) {
        fkl_spawn_options options = {.name = "pooled", .mailbox_capacity = i ? 4 : 0};
        states[i].f = f;
        states[i].next = 0;
        atomic_init(&states[i].finished, false);
        TRY(f, fkl_spawn_pooled(f->runtime, &options, &behaviour, &states[i], &actors[i]));
    }
    for (uint64_t tag = 1; tag <= 3; tag++) {
        for (int i = 0; i < COUNT; i++) {
            faults_send(f, actors[i], tag);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        faults_join(f, actors[i]);
        REQUIRE(f, atomic_load(&states[i].finished));
    }
}

// One worker that can be started is enough.
FAULTS(later_faults, pooled_actors_run, use_pooled, .silent_threads = true)

static void ignore_text(const char *text, size_t len, void *ctx)
{
    (void)text;
    (void)len;
    (void)ctx;
}

// What cannot be traced is missing in the trace, and a table without memory is shorter.
static void observe(faults *f)
{
    TRY(f, fkl_trace_start(f->runtime, 64));
    fkl_actor *actor = faults_spawn(f, act_count, f);
    faults_until_waits(f, actor, "receive");
    TRY(f, fkl_runtime_dump(f->runtime, 0, ignore_text, NULL));
    for (uint64_t tag = 1; tag <= 3; tag++) {
        faults_send(f, actor, tag);
    }
    faults_join(f, actor);
    fkl_trace_stop(f->runtime);
    TRY(f, fkl_trace_write(f->runtime, ignore_text, NULL));
    TRY(f, fkl_trace_save(f->runtime, "/dev/null"));
}

FAULTS(later_faults, a_runtime_is_traced_and_dumped, observe, .silent_memory = true)
