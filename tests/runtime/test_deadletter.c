// SPDX-License-Identifier: Apache-2.0
//
// Dead letters: the handler gets every one, the log only some and then how many it was not told.
#include "support/rig.h"

#include "deadletter.h"

#include <stdio.h>

typedef struct seen {
    int letters;
    int lines;
    fkl_dead_reason reason;
    fkl_actor_id to;
    uint64_t tag;
    char last[300];
} seen;

static void note(const fkl_dead_letter *letter, void *ctx)
{
    seen *saw = ctx;
    ++saw->letters;
    saw->reason = letter->reason;
    saw->to = letter->to;
    saw->tag = fkl_msg_tag(letter->msg);
}

static void note_line(fkl_log_level level, const char *text, void *ctx)
{
    seen *saw = ctx;
    cr_assert_eq(level, FKL_LOG_INFO);
    ++saw->lines;
    snprintf(saw->last, sizeof saw->last, "%s", text);
}

static fkl_msg *message(uint64_t tag)
{
    fkl_msg *msg;
    assert_ok(fkl_msg_create(NULL, FKL_CODEC_RAW, 0, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
}

Test(deadletter, the_handler_gets_every_one_and_the_log_none)
{
    seen saw = {0};
    fkli_log_sink sink = {note_line, &saw};
    fkli_dead_letters letters = {.handler = note, .ctx = &saw, .log = &sink};
    fkl_msg *msg = message(42);
    for (int i = 0; i < 1000; ++i)
        fkli_dead_letter(&letters, msg, 99, FKL_DEAD_FULL);
    cr_assert_eq(saw.letters, 1000);
    cr_assert_eq(saw.lines, 0);
    cr_assert_eq(saw.reason, FKL_DEAD_FULL);
    cr_assert_eq(saw.to, 99);
    cr_assert_eq(saw.tag, 42);
    fkl_msg_destroy(msg);
}

// The loop may begin in one second and end in the next, not more: that is 20 lines.
Test(deadletter, the_log_gets_ten_in_a_second)
{
    seen saw = {0};
    fkli_log_sink sink = {note_line, &saw};
    fkli_dead_letters letters = {.log = &sink};
    fkl_msg *msg = message(7);
    fkl_time start = fkl_now();
    for (int i = 0; i < 500; ++i)
        fkli_dead_letter(&letters, msg, 0xbeef, FKL_DEAD_NO_ACTOR);
    int64_t seconds = (fkl_now() - start) / 1000000000 + 2;
    cr_assert_geq(saw.lines, 10);
    cr_assert_leq(saw.lines, 10 * seconds);
    cr_assert_not_null(strstr(saw.last, "to beef, tag 7: the actor has ended"), "%s", saw.last);
    fkl_msg_destroy(msg);
}

Test(deadletter, the_log_says_how_many_it_was_not_told)
{
    seen saw = {0};
    fkli_log_sink sink = {note_line, &saw};
    fkli_dead_letters letters = {.log = &sink};
    fkl_msg *msg = message(7);
    fkli_store_relaxed_u64(&letters.hidden, 123);
    fkli_dead_letter(&letters, msg, 1, FKL_DEAD_LATE);
    cr_assert_not_null(strstr(saw.last, "(123 others not shown)"), "%s", saw.last);
    cr_assert_eq(fkli_load_relaxed_u64(&letters.hidden), 0);
    fkl_msg_destroy(msg);
}

Test(deadletter, every_reason_has_a_text_of_its_own)
{
    for (int a = FKL_DEAD_NO_ACTOR; a <= FKL_DEAD_LATE; ++a) {
        cr_assert_str_neq(fkl_dead_reason_text((fkl_dead_reason)a), "unknown reason");
        for (int b = FKL_DEAD_NO_ACTOR; b < a; ++b)
            cr_assert_str_neq(fkl_dead_reason_text((fkl_dead_reason)a),
                              fkl_dead_reason_text((fkl_dead_reason)b));
    }
    cr_assert_str_eq(fkl_dead_reason_text((fkl_dead_reason)77), "unknown reason");
}
