// SPDX-License-Identifier: Apache-2.0

#include "support/rig.h"

#include <pthread.h>

#include "memory.h"
#include "platform/platform.h"
#include "timer.h"

// A timer that notes what happened to it.
struct note {
    fkli_timer timer; // first
    fkl_time deadline;
    struct log *log;
    int number;
    fkl_time again; // armed for this when it fires, unless 0
    fkl_err armed;  // what that said
};

struct log {
    fkli_timers *timers;
    fkl_time last;     // deadline of the one before; the timer thread's
    atomic_bool mixed; // one fired after a later one
    atomic_int fired;
    atomic_int given_back;
    atomic_bool early; // one fired before its deadline
    int order[64];     // of the first ones, written by the timer thread
};

static void note_fire(fkli_timer *timer, bool due)
{
    struct note *note = (struct note *)timer;
    struct log *log = note->log;
    if (!due) {
        atomic_fetch_add(&log->given_back, 1);
        return;
    }
    if (fkl_now() < note->deadline) {
        atomic_store(&log->early, true);
    }
    if (note->deadline < log->last) {
        atomic_store(&log->mixed, true);
    }
    log->last = note->deadline;
    int position = atomic_load(&log->fired);
    if (position < 64) {
        log->order[position] = note->number;
    }
    if (note->again) {
        fkl_time again = note->again;
        note->again = 0;
        note->armed = fkli_timer_arm(log->timers, timer, again);
    }
    atomic_fetch_add(&log->fired, 1);
}

static void note_init(struct note *note, struct log *log, int number, fkl_time deadline)
{
    *note = (struct note){.log = log, .number = number, .deadline = deadline};
    fkli_timer_init(&note->timer, note_fire);
}

static void note_arm(struct note *note, struct log *log, int number, fkl_time deadline)
{
    note_init(note, log, number, deadline);
    assert_ok(fkli_timer_arm(log->timers, &note->timer, deadline));
}

// Holds the timer thread while a test arms what shall be there before anything fires.
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

static void hold_begin(struct hold *hold, fkli_timers *timers)
{
    memset(hold, 0, sizeof *hold);
    fkli_timer_init(&hold->timer, hold_fire);
    assert_ok(fkli_timer_arm(timers, &hold->timer, FKL_NO_WAIT));
    assert_eventually(atomic_load(&hold->gate.arrived) == 1);
}

static void hold_end(struct hold *hold)
{
    atomic_store(&hold->gate.open, true);
}

static fkli_timers *create(void)
{
    fkli_timers *timers = NULL;
    assert_ok(fkli_timers_create(fkli_allocator_of(NULL), &timers));
    return timers;
}

static void stop(fkli_timers *timers)
{
    assert_ok(fkli_timers_stop(timers, SOON));
    cr_assert(fkli_timers_are_stopped(timers));
    fkli_timers_destroy(timers);
}

Test(timer, fires_once_and_not_before_its_deadline)
{
    struct log log = {.timers = create()};
    struct note note;
    note_arm(&note, &log, 1, fkl_after_ms(20));
    assert_eventually(atomic_load(&log.fired) == 1);
    cr_assert_not(atomic_load(&log.early));
    cr_assert_eq(fkli_timers_len(log.timers), 0);
    cr_assert_not(fkli_timer_cancel(log.timers, &note.timer));
    stop(log.timers);
    cr_assert_eq(atomic_load(&log.fired), 1);
    cr_assert_eq(atomic_load(&log.given_back), 0);
}

Test(timer, a_deadline_that_has_passed_is_due_at_once)
{
    struct log log = {.timers = create()};
    struct note notes[3];
    note_arm(&notes[0], &log, 0, FKL_NO_WAIT);
    note_arm(&notes[1], &log, 1, -5);
    note_arm(&notes[2], &log, 2, fkl_now() - 1);
    assert_eventually(atomic_load(&log.fired) == 3);
    stop(log.timers);
}

Test(timer, equal_deadlines_fire_in_the_order_of_arming)
{
    struct log log = {.timers = create()};
    struct note notes[60];
    struct hold hold;
    hold_begin(&hold, log.timers);
    for (int i = 0; i < 60; i++) {
        note_arm(&notes[i], &log, i, 1 + i % 3);
    }
    hold_end(&hold);
    assert_eventually(atomic_load(&log.fired) == 60);
    stop(log.timers);
    for (int i = 0; i < 60; i++) {
        cr_assert_eq(log.order[i], i % 20 * 3 + i / 20);
    }
}

Test(timer, an_earlier_one_wakes_the_thread_that_sleeps_for_a_later_one)
{
    struct log log = {.timers = create()};
    struct note notes[3];
    note_arm(&notes[0], &log, 0, FKL_FOREVER);
    note_arm(&notes[1], &log, 1, fkl_after_ms(3600000));
    rig_pause_ms(5); // it sleeps by now, mostly
    note_arm(&notes[2], &log, 2, fkl_after_ms(1));
    assert_eventually(atomic_load(&log.fired) == 1);
    rig_pause_ms(5);
    cr_assert(fkli_timer_move(log.timers, &notes[1].timer, FKL_NO_WAIT));
    assert_eventually(atomic_load(&log.fired) == 2);
    cr_assert_eq(log.order[0], 2);
    cr_assert_eq(log.order[1], 1);
    stop(log.timers);
    cr_assert_eq(atomic_load(&log.given_back), 1);
}

Test(timer, cancel_and_move_say_whether_they_came_first)
{
    struct log log = {.timers = create()};
    struct note notes[3];
    struct hold hold;
    hold_begin(&hold, log.timers);
    note_init(&notes[0], &log, 0, 0);
    cr_assert_not(fkli_timer_cancel(log.timers, &notes[0].timer), "never armed");
    cr_assert_not(fkli_timer_move(log.timers, &notes[0].timer, 0), "never armed");
    for (int i = 0; i < 3; i++) {
        note_arm(&notes[i], &log, i, 10 + i);
    }
    cr_assert(fkli_timer_cancel(log.timers, &notes[1].timer));
    cr_assert_not(fkli_timer_cancel(log.timers, &notes[1].timer));
    cr_assert(fkli_timer_move(log.timers, &notes[2].timer, 5));
    cr_assert_not(fkli_timer_cancel(log.timers, &hold.timer), "it fires now");
    hold_end(&hold);
    assert_eventually(atomic_load(&log.fired) == 2);
    cr_assert_eq(log.order[0], 2);
    cr_assert_eq(log.order[1], 0);
    cr_assert_not(fkli_timer_cancel(log.timers, &notes[0].timer), "it has fired");
    stop(log.timers);
}

// At random places of the heap.
Test(timer, order_holds_after_random_cancels_and_moves, .timeout = 120)
{
    enum { COUNT = 5000 };
    struct log log = {.timers = create()};
    struct note *notes = calloc(COUNT, sizeof *notes);
    struct hold hold;
    uint64_t random = 12345;
    int armed = 0;
    hold_begin(&hold, log.timers);
    for (int i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        note_arm(&notes[i], &log, i, 1 + (fkl_time)(random >> 44));
        armed++;
        int victim = (int)((random >> 20) % (unsigned)(i + 1));
        if (random >> 62 == 0) {
            armed -= fkli_timer_cancel(log.timers, &notes[victim].timer);
        } else if (random >> 62 == 1) {
            fkl_time other = 1 + (fkl_time)(random >> 40 & 0xfffff);
            if (fkli_timer_move(log.timers, &notes[victim].timer, other)) {
                notes[victim].deadline = other;
            }
        }
        cr_assert_eq(fkli_timers_len(log.timers), (size_t)armed);
    }
    hold_end(&hold);
    assert_eventually(atomic_load(&log.fired) == armed);
    stop(log.timers);
    cr_assert_not(atomic_load(&log.mixed));
    free(notes);
}

Test(timer, can_be_armed_again_while_it_fires_without_any_memory)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    struct log log = {0};
    assert_ok(fkli_timers_create(&allocator, &log.timers));
    struct note notes[64]; // as many as the first chunk holds
    struct hold hold;
    hold_begin(&hold, log.timers);
    for (int i = 0; i < 63; i++) {
        note_init(&notes[i], &log, i, 0);
        notes[i].again = FKL_FOREVER;
        assert_ok(fkli_timer_arm(log.timers, &notes[i].timer, 0));
    }
    atomic_store(&memory.fail_at, 1);
    atomic_store(&memory.fail_on, true);
    // The place of the one that fires is kept for it.
    note_init(&notes[63], &log, 63, 0);
    assert_err(fkli_timer_arm(log.timers, &notes[63].timer, FKL_FOREVER), FKL_ENOMEM);
    hold_end(&hold);
    assert_eventually(atomic_load(&log.fired) == 63);
    for (int i = 0; i < 63; i++) {
        assert_ok(notes[i].armed);
    }
    assert_eventually(fkli_timers_len(log.timers) == 63);
    stop(log.timers);
    cr_assert_eq(atomic_load(&log.given_back), 63);
    rig_assert_balanced(&memory);
}

Test(timer, out_of_memory_leaves_the_timer_with_the_caller)
{
    rig_memory memory = {0};
    fkl_allocator allocator = rig_allocator(&memory);
    struct log log = {0};
    atomic_store(&memory.fail_at, 1);
    assert_err(fkli_timers_create(&allocator, &log.timers), FKL_ENOMEM);
    assert_ok(fkli_timers_create(&allocator, &log.timers));
    enum { COUNT = 1000 };
    struct note *notes = calloc(COUNT, sizeof *notes);
    int refused = 0;
    for (int i = 0; i < COUNT; i++) {
        note_init(&notes[i], &log, i, 0);
        atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1); // each growth fails once
        fkl_err err = fkli_timer_arm(log.timers, &notes[i].timer, FKL_FOREVER - 1 - i);
        atomic_store(&memory.fail_at, 0);
        if (err) {
            assert_err(err, FKL_ENOMEM);
            refused++;
            assert_ok(fkli_timer_arm(log.timers, &notes[i].timer, FKL_FOREVER - 1 - i));
        }
    }
    cr_assert_eq(refused, 5, "64, 128, 256, 512, 1024: %d", refused);
    cr_assert_eq(fkli_timers_len(log.timers), COUNT);
    long bytes = atomic_load(&memory.bytes);
    for (int i = 0; i < COUNT; i++) {
        cr_assert(fkli_timer_cancel(log.timers, &notes[i].timer));
    }
    cr_assert_lt(atomic_load(&memory.bytes), bytes / 4, "an empty heap keeps its memory");
    stop(log.timers);
    free(notes);
    rig_assert_balanced(&memory);
}

Test(timer, without_a_thread_nothing_is_armed)
{
    struct log log = {.timers = create()};
    struct note note;
    note_init(&note, &log, 1, 0);
    fkli_fault_thread_start(0, 1);
    assert_err(fkli_timer_arm(log.timers, &note.timer, 0), FKL_ETHREAD);
    cr_assert_not(fkli_timer_cancel(log.timers, &note.timer));
    cr_assert(fkli_timers_are_stopped(log.timers));
    assert_ok(fkli_timer_arm(log.timers, &note.timer, 0));
    assert_eventually(atomic_load(&log.fired) == 1);
    cr_assert_not(fkli_timers_are_stopped(log.timers));
    stop(log.timers);
}

Test(timer, stop_gives_everything_back_and_refuses_more)
{
    struct log log = {.timers = create()};
    struct note notes[100];
    for (int i = 0; i < 100; i++) {
        note_arm(&notes[i], &log, i, FKL_FOREVER);
    }
    assert_ok(fkli_timers_stop(log.timers, SOON));
    assert_ok(fkli_timers_stop(log.timers, FKL_NO_WAIT));
    cr_assert_eq(atomic_load(&log.given_back), 100);
    cr_assert_eq(atomic_load(&log.fired), 0);
    assert_err(fkli_timer_arm(log.timers, &notes[0].timer, 0), FKL_ESHUTDOWN);
    cr_assert_not(fkli_timer_cancel(log.timers, &notes[0].timer));
    stop(log.timers);
}

Test(timer, stop_starts_no_thread)
{
    struct log log = {.timers = create()};
    struct note note;
    fkli_fault_thread_start(0, 1);
    cr_assert(fkli_timers_are_stopped(log.timers));
    assert_ok(fkli_timers_stop(log.timers, FKL_NO_WAIT));
    note_init(&note, &log, 1, 0);
    assert_err(fkli_timer_arm(log.timers, &note.timer, 0), FKL_ESHUTDOWN);
    fkli_fault_thread_start(0, 0);
    stop(log.timers);
}

Test(timer, stop_that_runs_out_of_time_can_be_called_again)
{
    struct log log = {.timers = create()};
    struct note notes[2];
    struct hold hold;
    hold_begin(&hold, log.timers);
    note_arm(&notes[0], &log, 0, FKL_NO_WAIT);
    note_arm(&notes[1], &log, 1, FKL_FOREVER);
    assert_err(fkli_timers_stop(log.timers, fkl_after_ms(10)), FKL_ETIMEDOUT);
    cr_assert_not(fkli_timers_are_stopped(log.timers));
    hold_end(&hold);
    stop(log.timers);
    cr_assert_eq(atomic_load(&log.given_back), 2);
    cr_assert_eq(atomic_load(&log.fired), 0, "what is due when it stops is not fired");
}

static void exit_fire(fkli_timer *timer, bool due)
{
    (void)timer;
    if (due) {
        pthread_exit(NULL);
    }
}

Test(timer, a_thread_that_is_ended_from_inside_does_not_hang_the_stop)
{
    struct log log = {.timers = create()};
    struct note note;
    fkli_timer ender;
    fkli_timer_init(&ender, exit_fire);
    note_arm(&note, &log, 1, FKL_FOREVER);
    assert_ok(fkli_timer_arm(log.timers, &ender, FKL_NO_WAIT));
    assert_eventually(atomic_load(&log.given_back) == 1);
    stop(log.timers);
}
