// SPDX-License-Identifier: Apache-2.0

#include "support/rig.h"

#include "platform/platform.h"
#include "registry.h"
#include "timer.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { MANY = 50000 };
#else
enum { MANY = 1000000 };
#endif

#define AN_HOUR_NS (INT64_C(3600) * 1000000000)

// Holds the timer thread while a test makes what shall be there before anything is sent.
struct hold {
    fkli_timer timer; // first
    rig_gate gate;
};

static void hold_fire(fkli_timer *timer, bool due)
{
    if (due) {
        rig_pass(&((struct hold *)timer)->gate);
    }
}

static void hold_begin(struct hold *hold, fkl_runtime *runtime)
{
    memset(hold, 0, sizeof *hold);
    fkli_timer_init(&hold->timer, hold_fire);
    assert_ok(fkli_timer_arm(runtime->timers, &hold->timer, FKL_NO_WAIT));
    assert_eventually(atomic_load(&hold->gate.arrived) == 1);
}

static void hold_end(struct hold *hold)
{
    atomic_store(&hold->gate.open, true);
}

// An actor that notes the tags of what it gets.
struct inbox {
    atomic_int count;
    uint64_t tags[256];
    fkl_actor_id senders[256];
    fkl_time times[256];
};

static void act_note(fkl_actor *self, void *arg)
{
    struct inbox *inbox = arg;
    fkl_msg *msg = NULL;
    (void)self;
    while (fkl_receive_until(FKL_FOREVER, &msg) == FKL_OK) {
        int count = atomic_load(&inbox->count);
        if (count < 256) {
            inbox->tags[count] = fkl_msg_tag(msg);
            inbox->senders[count] = fkl_msg_sender(msg);
            inbox->times[count] = fkl_now();
        }
        fkl_msg_destroy(msg);
        atomic_store(&inbox->count, count + 1);
    }
}

static void count_release(void *data, size_t len, void *ctx)
{
    (void)data;
    (void)len;
    atomic_fetch_add((atomic_int *)ctx, 1);
}

// A message whose destruction is counted.
static fkl_msg *counted_msg(atomic_int *released)
{
    static char payload[] = "payload";
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_wrap(NULL, FKL_CODEC_RAW, payload, 7, count_release, released, &msg));
    return msg;
}

static uint64_t sent(const fkl_runtime *runtime)
{
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    return count.sent;
}

static void stop_and_join(fkl_actor *actor)
{
    fkl_actor_stop(actor);
    rig_join(actor);
}

Test(delayed, arrives_at_its_time_and_not_before)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    fkl_time when = fkl_after_ms(20);
    fkl_timer_ref ref = 0;
    assert_ok(fkl_send_at(runtime, fkl_actor_get_id(actor), rig_msg(7), when, &ref));
    cr_assert_neq(ref, 0);
    assert_eventually(atomic_load(&inbox.count) == 1);
    cr_assert_eq(inbox.tags[0], 7);
    cr_assert_eq(inbox.senders[0], FKL_NOBODY);
    cr_assert_geq(inbox.times[0], when);
    int64_t left;
    cr_assert_not(fkl_timer_left(runtime, ref, &left));
    cr_assert_not(fkl_timer_cancel(runtime, ref));
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(delayed, messages_arrive_in_the_order_of_their_times)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    struct hold hold;
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    hold_begin(&hold, runtime);
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t shuffled = i * 77 % 200;
        assert_ok(fkl_send_at(runtime, fkl_actor_get_id(actor), rig_msg(shuffled),
                              1 + (fkl_time)shuffled, NULL));
    }
    hold_end(&hold);
    assert_eventually(atomic_load(&inbox.count) == 200);
    for (uint64_t i = 0; i < 200; i++) {
        cr_assert_eq(inbox.tags[i], i);
    }
    stop_and_join(actor);
    rig_destroy(runtime);
}

struct later {
    fkl_actor_id to;
    fkl_err err[2];
};

static void act_send_later(fkl_actor *self, void *arg)
{
    struct later *later = arg;
    fkl_runtime *runtime = fkl_actor_runtime(self);
    fkl_msg *msg = NULL;
    later->err[0] = fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg);
    later->err[0] = fkl_send_at(runtime, later->to, msg, 0, NULL);
    later->err[1] = fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg);
    later->err[1] = fkl_send_every(runtime, later->to, msg, 0, AN_HOUR_NS, NULL);
}

Test(delayed, the_sender_is_who_asked_for_it)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    struct later later = {.to = fkl_actor_get_id(actor)};
    fkl_actor *asker = rig_spawn(runtime, act_send_later, &later);
    fkl_actor_id id = fkl_actor_get_id(asker);
    rig_join(asker);
    assert_ok(later.err[0]);
    assert_ok(later.err[1]);
    assert_eventually(atomic_load(&inbox.count) == 2);
    cr_assert_eq(inbox.senders[0], id);
    cr_assert_eq(inbox.senders[1], id);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(delayed, what_is_cancelled_never_arrives)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    struct hold hold;
    atomic_int released = 0;
    fkl_timer_ref refs[10];
    int64_t left = 0;
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    hold_begin(&hold, runtime);
    for (int i = 0; i < 10; i++) {
        fkl_msg *msg = counted_msg(&released);
        fkl_msg_set_tag(msg, (uint64_t)i);
        assert_ok(fkl_send_at(runtime, fkl_actor_get_id(actor), msg, 10 + i, &refs[i]));
    }
    for (int i = 0; i < 10; i += 2) {
        cr_assert(fkl_timer_left(runtime, refs[i], &left));
        cr_assert_eq(left, 0);
        cr_assert(fkl_timer_cancel(runtime, refs[i]));
        cr_assert_not(fkl_timer_cancel(runtime, refs[i]));
        cr_assert_not(fkl_timer_left(runtime, refs[i], &left));
    }
    cr_assert_eq(atomic_load(&released), 5);
    hold_end(&hold);
    assert_eventually(atomic_load(&inbox.count) == 5);
    stop_and_join(actor);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(inbox.tags[i], (uint64_t)i * 2 + 1);
    }
    cr_assert_eq(atomic_load(&released), 10);
    rig_destroy(runtime);
}

Test(delayed, invented_references_name_no_timer)
{
    fkl_runtime *runtime = rig_create();
    int64_t left;
    cr_assert_not(fkl_timer_cancel(runtime, 0));
    cr_assert_not(fkl_timer_cancel(runtime, UINT64_MAX));
    cr_assert_not(fkl_timer_left(runtime, 0, &left));
    rig_destroy(runtime);
}

Test(delayed, the_dead_get_nothing)
{
    fkl_runtime *runtime = rig_create();
    struct hold hold;
    atomic_int released = 0;
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    fkl_actor_id id = fkl_actor_get_id(actor);
    hold_begin(&hold, runtime);
    assert_ok(fkl_send_at(runtime, id, counted_msg(&released), 0, NULL));
    assert_ok(fkl_send_every(runtime, id, counted_msg(&released), 0, AN_HOUR_NS, NULL));
    stop_and_join(actor);
    fkl_msg *msg = counted_msg(&released);
    assert_err(fkl_send_at(runtime, id, msg, 0, NULL), FKL_ENOACTOR);
    assert_err(fkl_send_every(runtime, id, msg, 0, 1, NULL), FKL_ENOACTOR);
    cr_assert_eq(atomic_load(&released), 0, "it is still ours");
    fkl_msg_destroy(msg);
    hold_end(&hold);
    assert_eventually(atomic_load(&released) == 3);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.sent, 2);
    cr_assert_eq(count.dead_lettered, 2);
    rig_destroy(runtime);
}

Test(delayed, a_repeated_message_comes_until_it_is_cancelled)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    fkl_timer_ref ref = 0;
    int64_t left;
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    fkl_time first = fkl_after_ms(2);
    assert_ok(fkl_send_every(runtime, fkl_actor_get_id(actor), rig_msg(9), first, 1000000, &ref));
    assert_eventually(atomic_load(&inbox.count) >= 5);
    cr_assert(fkl_timer_left(runtime, ref, &left));
    cr_assert_leq(left, 1000000);
    cr_assert(fkl_timer_cancel(runtime, ref));
    cr_assert_not(fkl_timer_cancel(runtime, ref));
    stop_and_join(actor);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(inbox.tags[i], 9);
        cr_assert_geq(inbox.times[i], first + i * 1000000);
    }
    rig_destroy(runtime);
}

Test(delayed, missed_ticks_are_one_message_and_the_times_do_not_drift)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    fkl_timer_ref ref = 0;
    int64_t left = 0;
    // Two sevenths of the clock's time: three ticks have been missed, the next is far away.
    fkl_time first = 1, period = fkl_now() / 7 * 2;
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    assert_ok(fkl_send_every(runtime, fkl_actor_get_id(actor), rig_msg(1), first, period, &ref));
    assert_eventually(fkl_timer_left(runtime, ref, &left) && left > 0);
    fkl_time before = fkl_now();
    cr_assert(fkl_timer_left(runtime, ref, &left));
    fkl_time after = fkl_now();
    fkl_time next = first + ((before - first) / period + 1) * period;
    cr_assert_leq(before + left, next);
    cr_assert_geq(after + left, next);
    assert_eventually(atomic_load(&inbox.count) == 1);
    stop_and_join(actor);
    cr_assert_eq(atomic_load(&inbox.count), 1);
    rig_destroy(runtime);
}

Test(delayed, a_period_beyond_all_time_ticks_once)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    fkl_timer_ref ref = 0;
    int64_t left = 0;
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    assert_ok(
        fkl_send_every(runtime, fkl_actor_get_id(actor), rig_msg(1), fkl_now(), INT64_MAX, &ref));
    assert_eventually(atomic_load(&inbox.count) == 1);
    assert_eventually(fkl_timer_left(runtime, ref, &left) && left == FKL_FOREVER);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(delayed, a_repeated_message_ends_with_its_actor)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    fkl_timer_ref ref = 0;
    int64_t left;
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    assert_ok(
        fkl_send_every(runtime, fkl_actor_get_id(actor), rig_msg(9), fkl_now(), 100000, &ref));
    assert_eventually(atomic_load(&inbox.count) >= 2);
    stop_and_join(actor);
    assert_eventually(!fkl_timer_left(runtime, ref, &left));
    cr_assert_not(fkl_timer_cancel(runtime, ref));
    rig_destroy(runtime);
}

Test(delayed, what_cannot_be_repeated_is_refused)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    fkl_actor_id id = fkl_actor_get_id(actor);
    fkl_msg *msg = rig_msg(1), *reference = NULL;
    assert_ok(fkl_msg_wrap_ref(NULL, &id, NULL, NULL, &reference));
    assert_err(fkl_send_every(runtime, id, msg, 0, 0, NULL), FKL_EINVAL);
    assert_err(fkl_send_every(runtime, id, msg, 0, -1, NULL), FKL_EINVAL);
    assert_err(fkl_send_every(runtime, id, reference, 0, 1, NULL), FKL_EINVAL);
    assert_ok(fkl_send_at(runtime, id, reference, FKL_FOREVER, NULL));
    fkl_msg_destroy(msg);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(delayed, shutdown_destroys_what_is_pending_and_counts_nothing)
{
    fkl_runtime *runtime = rig_create();
    atomic_int released = 0;
    fkl_timer_ref ref = 0;
    int64_t left;
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    fkl_actor_id id = fkl_actor_get_id(actor);
    for (int i = 0; i < 1000; i++) {
        assert_ok(
            fkl_send_at(runtime, id, counted_msg(&released), fkl_after_ms(3600000 + i), &ref));
    }
    assert_ok(fkl_send_every(runtime, id, counted_msg(&released), FKL_FOREVER, 1, NULL));
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    cr_assert_eq(atomic_load(&released), 1001);
    cr_assert_eq(sent(runtime), 0);
    cr_assert_not(fkl_timer_cancel(runtime, ref));
    cr_assert_not(fkl_timer_left(runtime, ref, &left));
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

static void block_release(void *data, size_t len, void *ctx)
{
    (void)data;
    (void)len;
    rig_pass(ctx);
}

static void note_log(fkl_log_level level, const char *text, void *ctx)
{
    if (level == FKL_LOG_WARN && strstr(text, "timer thread")) {
        atomic_fetch_add((atomic_int *)ctx, 1);
    }
}

Test(delayed, a_shutdown_that_gives_up_says_that_the_timer_thread_is_busy, .timeout = 60)
{
    atomic_int warned = 0;
    rig_gate gate = {0};
    fkl_runtime_config config = {.log = note_log, .log_ctx = &warned};
    fkl_runtime *runtime = NULL;
    fkl_msg *msg = NULL;
    char payload;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    assert_ok(fkl_msg_wrap(NULL, FKL_CODEC_RAW, &payload, 1, block_release, &gate, &msg));
    assert_ok(fkl_send_at(runtime, fkl_actor_get_id(actor), msg, FKL_FOREVER, NULL));
    fkl_actor_release(actor);
    while (!atomic_load(&gate.arrived)) {
        assert_err(fkl_runtime_shutdown(runtime, fkl_after_ms(10)), FKL_ETIMEDOUT);
    }
    assert_err(fkl_runtime_shutdown(runtime, fkl_after_ms(1)), FKL_ETIMEDOUT);
    cr_assert_geq(atomic_load(&warned), 1);
    assert_err(fkl_runtime_destroy(runtime), FKL_EDEADLK);
    atomic_store(&gate.open, true);
    rig_destroy(runtime);
}

static void act_send_at_the_end(fkl_actor *self, void *arg)
{
    act_idle(self, NULL);
    fkl_msg *msg = NULL;
    fkl_err *err = arg;
    *err = fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg);
    *err = fkl_send_at(fkl_actor_runtime(self), fkl_actor_get_id(self), msg, FKL_FOREVER, NULL);
}

Test(delayed, an_actor_that_winds_up_can_still_use_timers)
{
    fkl_runtime *runtime = rig_create();
    fkl_err err = FKL_EINVAL;
    fkl_actor_release(rig_spawn(runtime, act_send_at_the_end, &err));
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    assert_ok(err);
    rig_destroy(runtime);
}

// Spawning is what a runtime refuses first; timers it refuses when their thread has been stopped.
Test(delayed, after_the_shutdown_nothing_is_accepted)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    fkl_msg *msg = rig_msg(1);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    assert_err(fkl_send_at(runtime, fkl_actor_get_id(actor), msg, 0, NULL), FKL_ENOACTOR);
    fkl_msg_destroy(msg);
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(delayed, a_runtime_whose_timers_run_is_not_destroyed)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    assert_ok(fkl_send_at(runtime, fkl_actor_get_id(actor), rig_msg(1), FKL_FOREVER, NULL));
    stop_and_join(actor);
    assert_err(fkl_runtime_destroy(runtime), FKL_EDEADLK);
    rig_destroy(runtime);
}

// What a message's release function may do, and what not, in the timer thread.
struct inside {
    fkl_runtime *runtime;
    fkl_actor_id id;
    fkl_timer_ref other;
    atomic_int done;
    fkl_err shutdown;
    fkl_err sent;
    bool cancelled;
};

static void use_inside(void *data, size_t len, void *ctx)
{
    struct inside *inside = ctx;
    fkl_msg *msg = NULL;
    (void)data;
    (void)len;
    inside->shutdown = fkl_runtime_shutdown(inside->runtime, SOON);
    inside->cancelled = fkl_timer_cancel(inside->runtime, inside->other);
    inside->sent = fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg);
    fkl_msg_set_tag(msg, 5);
    inside->sent = fkl_send_at(inside->runtime, inside->id, msg, 0, NULL);
    atomic_store(&inside->done, 1);
}

Test(delayed, timers_can_be_used_in_the_timer_thread)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    struct hold hold;
    fkl_msg *msg = NULL;
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    fkl_actor *dying = rig_spawn(runtime, act_idle, NULL);
    struct inside inside = {.runtime = runtime, .id = fkl_actor_get_id(actor)};
    assert_ok(fkl_send_at(runtime, inside.id, rig_msg(1), FKL_FOREVER, &inside.other));
    assert_ok(fkl_msg_wrap(NULL, FKL_CODEC_RAW, &inbox, 1, use_inside, &inside, &msg));
    hold_begin(&hold, runtime);
    assert_ok(fkl_send_at(runtime, fkl_actor_get_id(dying), msg, 0, NULL));
    stop_and_join(dying);
    hold_end(&hold);
    assert_eventually(atomic_load(&inbox.count) == 1);
    cr_assert_eq(inbox.tags[0], 5);
    assert_err(inside.shutdown, FKL_EDEADLK);
    assert_ok(inside.sent);
    cr_assert(inside.cancelled);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(delayed, without_a_thread_the_message_stays_with_the_caller)
{
    fkl_runtime *runtime = rig_create();
    struct inbox inbox = {0};
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    fkl_msg *msg = rig_msg(3);
    fkli_fault_thread_start(0, 2);
    assert_err(fkl_send_at(runtime, fkl_actor_get_id(actor), msg, 0, NULL), FKL_ETHREAD);
    assert_err(fkl_send_every(runtime, fkl_actor_get_id(actor), msg, 0, 1, NULL), FKL_ETHREAD);
    assert_ok(fkl_send_at(runtime, fkl_actor_get_id(actor), msg, 0, NULL));
    assert_eventually(atomic_load(&inbox.count) == 1);
    stop_and_join(actor);
    rig_destroy(runtime);
}

Test(delayed, out_of_memory_leaves_the_message_with_the_caller)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL);
    fkl_actor_id id = fkl_actor_get_id(actor);
    int failures = 0;
    for (int i = 0; i < 300; i++) { // each allocation fails once, also those of growing tables
        fkl_msg *msg = rig_msg(3);
        for (long at = 1;; at++) {
            long live = atomic_load(&memory.blocks);
            atomic_store(&memory.fail_at, atomic_load(&memory.calls) + at);
            fkl_err err = i % 2 ? fkl_send_at(runtime, id, msg, FKL_FOREVER, NULL)
                                : fkl_send_every(runtime, id, msg, FKL_FOREVER, 1, NULL);
            atomic_store(&memory.fail_at, 0);
            if (err == FKL_OK) {
                break;
            }
            assert_err(err, FKL_ENOMEM);
            cr_assert_leq(atomic_load(&memory.blocks), live + 1); // a table that has grown stays
            failures++;
        }
    }
    cr_assert_geq(failures, 300);
    fkl_actor_stop(actor);
    fkl_actor_release(actor);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(delayed, a_tick_without_memory_is_left_out)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    struct inbox inbox = {0};
    fkl_timer_ref ref = 0;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_actor *actor = rig_spawn(runtime, act_note, &inbox);
    assert_ok(
        fkl_send_every(runtime, fkl_actor_get_id(actor), rig_msg(2), fkl_now(), 100000, &ref));
    assert_eventually(atomic_load(&inbox.count) >= 1);
    long calls = atomic_load(&memory.calls);
    atomic_store(&memory.fail_on, true);
    atomic_store(&memory.fail_at, 1);
    assert_eventually(atomic_load(&memory.calls) >= calls + 3); // ticks that failed
    int count = atomic_load(&inbox.count);
    atomic_store(&memory.fail_at, 0);
    assert_eventually(atomic_load(&inbox.count) >= count + 2);
    cr_assert(fkl_timer_cancel(runtime, ref));
    stop_and_join(actor);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(delayed, a_full_mailbox_loses_what_was_to_be_sent_and_counts_it)
{
    fkl_runtime *runtime = rig_create();
    fkl_spawn_options options = {.mailbox_capacity = 2};
    atomic_int released = 0;
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn(runtime, &options, act_idle, NULL, &actor));
    for (int i = 0; i < 5; i++) {
        assert_ok(fkl_send_at(runtime, fkl_actor_get_id(actor), counted_msg(&released), 0, NULL));
    }
    assert_eventually(atomic_load(&released) == 3);
    cr_assert_eq(fkl_actor_mailbox_len(actor), 2);
    stop_and_join(actor);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.sent, 5);
    cr_assert_eq(count.dropped, 5);
    rig_destroy(runtime);
}

// ---- very many

struct crowd {
    fkl_time *when;
    bool *cancelled;
    int expected; // read after the first message, written before it
    int received;
    int wrong;
};

static void act_check_order(fkl_actor *self, void *arg)
{
    struct crowd *crowd = arg;
    fkl_time last = 0;
    (void)self;
    fkl_msg *msg = NULL;
    do {
        if (fkl_receive_until(SOON, &msg) != FKL_OK) {
            return;
        }
        uint64_t number = fkl_msg_tag(msg);
        crowd->wrong += crowd->when[number] < last || crowd->cancelled[number];
        last = crowd->when[number];
        fkl_msg_destroy(msg);
    } while (++crowd->received < crowd->expected);
}

Test(delayed, a_million_at_once_arrive_in_order_but_for_the_cancelled_half, .timeout = 300)
{
    fkl_runtime *runtime = rig_create();
    struct hold hold;
    struct crowd crowd = {.when = calloc(MANY, sizeof *crowd.when),
                          .cancelled = calloc(MANY, sizeof *crowd.cancelled)};
    fkl_timer_ref *refs = calloc(MANY, sizeof *refs);
    fkl_actor *target = NULL;
    uint64_t random = 42;
    target = rig_spawn(runtime, act_check_order, &crowd);
    fkl_actor_id id = fkl_actor_get_id(target);
    hold_begin(&hold, runtime);
    for (uint64_t i = 0; i < MANY; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        crowd.when[i] = 1 + (fkl_time)(random >> 34);
        assert_ok(fkl_send_at(runtime, id, rig_msg(i), crowd.when[i], &refs[i]));
    }
    int cancelled = 0;
    for (uint64_t i = 0; i < MANY; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        if (random >> 63) {
            cr_assert(fkl_timer_cancel(runtime, refs[i]));
            crowd.cancelled[i] = true;
            cancelled++;
        }
    }
    crowd.expected = MANY - cancelled;
    hold_end(&hold);
    rig_join(target);
    cr_assert_eq(crowd.received, MANY - cancelled);
    cr_assert_eq(crowd.wrong, 0);
    rig_destroy(runtime);
    free(crowd.when);
    free(crowd.cancelled);
    free(refs);
}
