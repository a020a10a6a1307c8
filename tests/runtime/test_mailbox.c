// SPDX-License-Identifier: Apache-2.0
//
// The inbox and its states, step by step in one thread, and the mailbox of two inboxes. What
// several threads make of it is in tests/stress/mailbox.c.
#include "support/rig.h"

#include "mailbox.h"

static fkli_inbox inbox;
static fkli_fifo fifo;

static void make_inbox(void)
{
    fkli_inbox_init(&inbox);
    fkli_fifo_init(&fifo);
}

// Pops and destroys; 0 when there was nothing.
static uint64_t pop(void)
{
    fkl_msg *msg = fkli_inbox_pop(&inbox, &fifo);
    uint64_t tag = msg ? fkl_msg_tag(msg) : 0;
    fkl_msg_destroy(msg);
    return tag;
}

Test(mailbox, an_inbox_is_first_in_first_out, .init = make_inbox)
{
    cr_assert_eq(pop(), 0);
    cr_assert_not(fkli_inbox_has_some(&inbox, &fifo));
    uint64_t in = 0, out = 0;
    for (int round = 1; round < 20; round++) {
        for (int i = 0; i < round; i++) {
            cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(++in)), FKLI_PUSHED);
        }
        for (int i = 0; i < round - (round > 10); i++) { // some stay behind at the end
            cr_assert(fkli_inbox_has_some(&inbox, &fifo));
            cr_assert_eq(pop(), ++out);
        }
    }
    while (out < in) {
        cr_assert_eq(pop(), ++out);
    }
    cr_assert_eq(pop(), 0);
}

Test(mailbox, only_a_push_that_replaces_blocked_wakes, .init = make_inbox)
{
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(pop(), 1);
    cr_assert(fkli_inbox_block(&inbox, &fifo));
    cr_assert_not(fkli_inbox_has_some(&inbox, &fifo));
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(2)), FKLI_PUSHED_WAKE);
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(3)), FKLI_PUSHED, "one wake-up is enough");
    cr_assert_eq(pop(), 2);
    cr_assert_eq(pop(), 3);
}

Test(mailbox, an_announcement_can_be_repeated_and_taken_back, .init = make_inbox)
{
    cr_assert(fkli_inbox_block(&inbox, &fifo));
    cr_assert(fkli_inbox_block(&inbox, &fifo));
    cr_assert_eq(pop(), 0, "it looks empty, not blocked, to the consumer");
    fkli_inbox_unblock(&inbox);
    fkli_inbox_unblock(&inbox);
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(1)), FKLI_PUSHED);
    fkli_inbox_unblock(&inbox); // leaves a list alone
    cr_assert_eq(pop(), 1);
}

Test(mailbox, nobody_blocks_on_an_inbox_that_has_something, .init = make_inbox)
{
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_not(fkli_inbox_block(&inbox, &fifo));
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(2)), FKLI_PUSHED);
    cr_assert_eq(pop(), 1);
    cr_assert_not(fkli_inbox_block(&inbox, &fifo), "the second one waits in the private list");
    cr_assert_eq(pop(), 2);
    cr_assert(fkli_inbox_block(&inbox, &fifo));
}

Test(mailbox, a_closed_inbox_refuses_and_returns_what_was_in_it, .init = make_inbox)
{
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(i)), FKLI_PUSHED);
    }
    cr_assert_not(fkli_inbox_is_closed(&inbox));
    fkl_msg *chain = fkli_inbox_close(&inbox);
    cr_assert(fkli_inbox_is_closed(&inbox));
    fkl_msg *refused = rig_msg(4);
    cr_assert_eq(fkli_inbox_push(&inbox, refused), FKLI_PUSH_CLOSED);
    fkl_msg_destroy(refused);
    cr_assert_not(fkli_inbox_block(&inbox, &fifo));
    fkli_inbox_unblock(&inbox);
    cr_assert(fkli_inbox_is_closed(&inbox), "for ever");
    cr_assert_null(fkli_inbox_close(&inbox));
    cr_assert_eq(pop(), 0);
    fkli_fifo_append(&fifo, chain);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(pop(), i);
    }
    cr_assert_eq(pop(), 0);
}

Test(mailbox, closing_a_blocked_inbox_finds_nothing, .init = make_inbox)
{
    cr_assert(fkli_inbox_block(&inbox, &fifo));
    cr_assert_null(fkli_inbox_close(&inbox));
    cr_assert(fkli_inbox_is_closed(&inbox));
}

Test(mailbox, appending_and_draining_keep_the_order, .init = make_inbox)
{
    for (uint64_t i = 1; i <= 4; i++) {
        cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(i)), FKLI_PUSHED);
    }
    cr_assert_eq(pop(), 1); // 2, 3 and 4 are in the private list now
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(5)), FKLI_PUSHED);
    fkli_fifo_append(&fifo, fkli_inbox_close(&inbox));
    fkli_fifo_append(&fifo, NULL);
    fkl_msg *chain = fkli_fifo_drain(&fifo);
    for (uint64_t i = 2; i <= 5; i++) {
        cr_assert_not_null(chain);
        cr_assert_eq(fkl_msg_tag(chain), i);
        fkl_msg *next = chain->next;
        fkl_msg_destroy(chain);
        chain = next;
    }
    cr_assert_null(chain);
    cr_assert_null(fkli_fifo_drain(&fifo));
}

Test(mailbox, any_message_can_be_removed)
{
    for (uint64_t victim = 1; victim <= 4; victim++) {
        for (int pulled = 0; pulled < 2; pulled++) {
            make_inbox();
            fkl_msg *msgs[5];
            for (uint64_t i = 1; i <= 4; i++) {
                msgs[i] = rig_msg(i);
                cr_assert_eq(fkli_inbox_push(&inbox, msgs[i]), FKLI_PUSHED);
                if (pulled && i == 2) {
                    fkl_msg *stranger = rig_msg(9);
                    cr_assert_not(
                        fkli_inbox_remove(&inbox, &fifo, stranger)); // and pulls 1 and 2 in
                    fkl_msg_destroy(stranger);
                }
            }
            cr_assert(fkli_inbox_remove(&inbox, &fifo, msgs[victim]));
            cr_assert_not(fkli_inbox_remove(&inbox, &fifo, msgs[victim]));
            fkl_msg_destroy(msgs[victim]);
            cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(5)), FKLI_PUSHED);
            for (uint64_t i = 1; i <= 5; i++) {
                if (i != victim) {
                    cr_assert_eq(pop(), i);
                }
            }
            cr_assert_eq(pop(), 0);
        }
    }
}

// ---- the mailbox

static fkl_msg *system_msg(uint64_t tag)
{
    fkl_msg *msg = NULL;
    assert_ok(fkli_msg_create_system(fkli_allocator_of(NULL), FKL_MSG_DOWN, 8, NULL, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
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
    fkli_mailbox_init(&mailbox);
    cr_assert_eq(fkli_mailbox_push(&mailbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, rig_msg(2)), FKLI_PUSHED);
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
    fkli_mailbox_init(&mailbox);
    for (int system = 0; system < 2; system++) {
        cr_assert(fkli_mailbox_block(&mailbox));
        fkl_msg *msg = system ? system_msg(1) : rig_msg(1);
        cr_assert_eq(fkli_mailbox_push(&mailbox, msg), FKLI_PUSHED_WAKE);
        fkli_mailbox_unblock(&mailbox);
        cr_assert_not(fkli_mailbox_block(&mailbox));
        cr_assert_eq(mailbox_pop(&mailbox), 1);
    }
    fkli_mailbox_unblock(&mailbox);
    cr_assert_eq(fkli_mailbox_push(&mailbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(1)), FKLI_PUSHED);
    fkli_mailbox_drop(&mailbox, fkli_mailbox_close(&mailbox));
}

Test(mailbox, every_user_message_is_counted_once)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox);
    for (uint64_t i = 1; i <= 6; i++) {
        cr_assert_eq(fkli_mailbox_push(&mailbox, rig_msg(i)), FKLI_PUSHED);
        cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(i)), FKLI_PUSHED);
    }
    for (uint64_t i = 1; i <= 6; i++) {
        cr_assert_eq(mailbox_pop(&mailbox), i);
    }
    cr_assert_eq(mailbox_pop(&mailbox), 1);
    cr_assert_eq(mailbox_pop(&mailbox), 2);
    cr_assert_eq(fkli_mailbox_push(&mailbox, rig_msg(7)), FKLI_PUSHED); // stays on the stack
    fkl_msg *left = fkli_mailbox_close(&mailbox);
    fkl_msg *late = rig_msg(8), *late_system = system_msg(8);
    cr_assert_eq(fkli_mailbox_push(&mailbox, late), FKLI_PUSH_CLOSED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, late_system), FKLI_PUSH_CLOSED);
    fkl_msg_destroy(late);
    fkl_msg_destroy(late_system);
    fkli_mailbox_drop(&mailbox, left);
    fkli_mailbox_drain(&mailbox);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.sent), 8);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.handled), 2);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.dropped), 5);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.refused), 1);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 0);
}

Test(mailbox, a_system_message_can_be_taken_back)
{
    fkli_mailbox mailbox;
    fkli_mailbox_init(&mailbox);
    fkl_msg *msg = system_msg(1);
    cr_assert_eq(fkli_mailbox_push(&mailbox, msg), FKLI_PUSHED);
    cr_assert_eq(fkli_mailbox_push(&mailbox, system_msg(2)), FKLI_PUSHED);
    cr_assert(fkli_mailbox_remove_system(&mailbox, msg));
    cr_assert_not(fkli_mailbox_remove_system(&mailbox, msg));
    fkl_msg_destroy(msg);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 1);
    cr_assert_eq(mailbox_pop(&mailbox), 2);
}
