// SPDX-License-Identifier: Apache-2.0
//
// The mailbox of two inboxes, step by step in one thread. What several threads make of it is in
// tests/stress/mailbox.c; bounds are in test_bound.c, selective receives in test_scan.c.
#include "support/rig.h"

#include "mailbox.h"

static fkl_msg *system_msg(uint64_t tag)
{
    fkl_msg *msg = NULL;
    assert_ok(fkli_msg_create_system(fkli_allocator_of(NULL), FKL_MSG_DOWN, 8, NULL, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
}

// As a send does, or what the runtime sends.
static fkli_push put(fkli_mailbox *mailbox, fkl_msg *msg)
{
    fkl_msg *discarded = NULL;
    if (fkl_msg_get_kind(msg) != FKL_MSG_USER) {
        return fkli_mailbox_push(mailbox, msg);
    }
    fkli_push pushed = fkli_mailbox_send(mailbox, msg, &discarded);
    cr_assert_null(discarded, "there is no bound");
    return pushed;
}

static uint64_t mailbox_pop(fkli_mailbox *mailbox)
{
    fkl_msg *msg = fkli_mailbox_pop(mailbox);
    uint64_t tag = msg ? fkl_msg_tag(msg) : 0;
    fkl_msg_destroy(msg);
    return tag;
}

Test(mailbox, system_messages_come_first)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    cr_assert_eq(put(&mailbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(put(&mailbox, rig_msg(2)), FKLI_PUSHED);
    cr_assert_eq(mailbox_pop(&mailbox), 1);
    cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(10)), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(11)), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 3);
    cr_assert_eq(mailbox_pop(&mailbox), 10);
    cr_assert_eq(mailbox_pop(&mailbox), 11);
    cr_assert_eq(mailbox_pop(&mailbox), 2);
    cr_assert_eq(mailbox_pop(&mailbox), 0);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 0);
}

Test(mailbox, either_kind_of_push_wakes_a_blocked_consumer)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    for (int system = 0; system < 2; system++) {
        cr_assert(fkli_mailbox_block(&mailbox, NULL));
        fkl_msg *msg = system ? system_msg(1) : rig_msg(1);
        cr_assert_eq(put(&mailbox, msg), FKLI_PUSHED_WAKE);
        fkli_mailbox_unblock(&mailbox);
        cr_assert_not(fkli_mailbox_block(&mailbox, NULL));
        cr_assert_eq(mailbox_pop(&mailbox), 1);
    }
    fkli_mailbox_unblock(&mailbox);
    cr_assert_eq(put(&mailbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(1)), FKLI_PUSHED);
    fkli_mailbox_drop(&mailbox, fkli_mailbox_close(&mailbox));
}

Test(mailbox, every_user_message_is_counted_once)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    for (uint64_t i = 1; i <= 6; i++) {
        cr_assert_eq(put(&mailbox, rig_msg(i)), FKLI_PUSHED);
        cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(i)), FKLI_PUSHED);
    }
    for (uint64_t i = 1; i <= 6; i++) {
        cr_assert_eq(mailbox_pop(&mailbox), i);
    }
    cr_assert_eq(mailbox_pop(&mailbox), 1);
    cr_assert_eq(mailbox_pop(&mailbox), 2);
    cr_assert_eq(put(&mailbox, rig_msg(7)), FKLI_PUSHED); // stays on the stack
    fkl_msg *left = fkli_mailbox_close(&mailbox);
    fkl_msg *late = rig_msg(8), *late_system = system_msg(8);
    cr_assert_eq(put(&mailbox, late), FKLI_PUSH_CLOSED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, late_system), FKLI_PUSH_CLOSED);
    fkl_msg_destroy(late);
    fkl_msg_destroy(late_system);
    fkli_mailbox_drop(&mailbox, left);
    fkli_mailbox_clear(&mailbox);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.sent), 8);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.handled), 2);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.dropped), 5);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.refused), 1);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 0);
}

Test(mailbox, a_system_message_can_be_taken_back)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    fkl_msg *msg = system_msg(1);
    cr_assert_eq(fkli_mailbox_push(&mailbox, msg), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(2)), FKLI_PUSHED);
    cr_assert(fkli_mailbox_remove_system(&mailbox, msg));
    cr_assert_not(fkli_mailbox_remove_system(&mailbox, msg));
    fkl_msg_destroy(msg);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 1);
    cr_assert_eq(mailbox_pop(&mailbox), 2);
}

Test(mailbox, nothing_is_taken_back_while_a_match_function_may_look_at_it)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    fkl_msg *msg = system_msg(1);
    cr_assert_eq(fkli_mailbox_push(&mailbox, msg), FKLI_PUSHED);
    mailbox.matching = true;
    cr_assert_not(fkli_mailbox_remove_system(&mailbox, msg));
    mailbox.matching = false;
    cr_assert_eq(mailbox_pop(&mailbox), 1);
}

static fkl_msg *reply_msg(uint64_t tag)
{
    fkl_msg *msg = NULL;
    assert_ok(fkli_msg_create_system(fkli_allocator_of(NULL), FKL_MSG_REPLY, 8, NULL, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
}

Test(mailbox, replies_keep_their_place_among_user_messages_and_count_like_them)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    cr_assert_eq(put(&mailbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(put(&mailbox, reply_msg(2)), FKLI_PUSHED);
    cr_assert_eq(put(&mailbox, rig_msg(3)), FKLI_PUSHED);
    cr_assert_eq(put(&mailbox, reply_msg(4)), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 4);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        cr_assert_eq(mailbox_pop(&mailbox), tag);
    }
    fkli_mailbox_drop(&mailbox, fkli_mailbox_close(&mailbox));
    fkli_mailbox_clear(&mailbox);
    fkl_msg *late = reply_msg(5);
    cr_assert_eq(put(&mailbox, late), FKLI_PUSH_CLOSED);
    fkl_msg_destroy(late);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.sent), 5);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.handled), 3);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.dropped), 1);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.refused), 1);
}

Test(mailbox, what_is_not_handed_out_counts_as_dropped)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    cr_assert_eq(put(&mailbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(put(&mailbox, system_msg(2)), FKLI_PUSHED);
    for (int i = 0; i < 2; i++) {
        fkl_msg *msg = fkli_mailbox_pop(&mailbox);
        fkli_mailbox_uncount(&mailbox, msg);
        fkl_msg_destroy(msg);
    }
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.handled), 0);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.dropped), 1, "system messages are not counted");
    cr_assert_eq(fkli_mailbox_len(&mailbox), 0);
}

Test(mailbox, the_peak_is_the_most_that_was_ever_there)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    cr_assert_eq(fkli_mailbox_peak(&mailbox), 0);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        cr_assert_eq(put(&mailbox, rig_msg(tag)), FKLI_PUSHED);
    }
    cr_assert_eq(put(&mailbox, system_msg(9)), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_peak(&mailbox), 3, "seen by who asks");
    while (mailbox_pop(&mailbox)) {
    }
    cr_assert_eq(fkli_mailbox_peak(&mailbox), 3, "seen by the consumer");
    cr_assert_eq(put(&mailbox, rig_msg(4)), FKLI_PUSHED);
    cr_assert_eq(mailbox_pop(&mailbox), 4);
    cr_assert_eq(fkli_mailbox_peak(&mailbox), 3);
}

Test(mailbox, a_drained_mailbox_is_done_when_nothing_is_left_or_due)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    cr_assert_eq(put(&mailbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(put(&mailbox, rig_msg(2)), FKLI_PUSHED);
    cr_assert_not(fkli_mailbox_is_drained(&mailbox));
    cr_assert_not(fkli_mailbox_drain(&mailbox));
    cr_assert(fkli_mailbox_is_drained(&mailbox));
    cr_assert_not(fkli_mailbox_is_done(&mailbox, NULL), "on the stack");
    cr_assert_eq(mailbox_pop(&mailbox), 1);
    cr_assert_not(fkli_mailbox_is_done(&mailbox, NULL), "in the lane");
    cr_assert_not(fkli_mailbox_block(&mailbox, NULL));
    cr_assert_eq(mailbox_pop(&mailbox), 2);
    cr_assert(fkli_mailbox_is_done(&mailbox, NULL));
    cr_assert_not(fkli_mailbox_block(&mailbox, NULL));

    mailbox.replies_due = 1;
    cr_assert_not(fkli_mailbox_is_done(&mailbox, NULL));
    cr_assert(fkli_mailbox_block(&mailbox, NULL));
    fkl_msg *late = rig_msg(3);
    cr_assert_eq(put(&mailbox, late), FKLI_PUSH_DRAINED);
    fkl_msg_destroy(late);
    cr_assert_eq(put(&mailbox, reply_msg(4)), FKLI_PUSHED_WAKE);
    fkli_mailbox_unblock(&mailbox);
    mailbox.replies_due = 0;
    cr_assert_not(fkli_mailbox_is_done(&mailbox, NULL));
    cr_assert_eq(mailbox_pop(&mailbox), 4);
    cr_assert_eq(put(&mailbox, system_msg(5)), FKLI_PUSHED);
    cr_assert_eq(mailbox_pop(&mailbox), 5);
    cr_assert(fkli_mailbox_is_done(&mailbox, NULL));
    fkli_mailbox_drop(&mailbox, fkli_mailbox_close(&mailbox));
    cr_assert_not(fkli_mailbox_is_drained(&mailbox));
}

Test(mailbox, draining_a_sleeping_consumer_says_that_it_must_be_woken)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox, NULL);
    cr_assert(fkli_mailbox_block(&mailbox, NULL));
    cr_assert(fkli_mailbox_drain(&mailbox));
    fkli_mailbox_unblock(&mailbox);
    cr_assert_not(fkli_mailbox_drain(&mailbox));
}
