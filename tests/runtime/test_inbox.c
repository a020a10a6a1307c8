// SPDX-License-Identifier: Apache-2.0
//
// The inbox and its states, step by step in one thread. What several threads make of it is in
// tests/stress/mailbox.c.
#include "support/rig.h"

#include "inbox.h"

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

Test(inbox, an_inbox_is_first_in_first_out, .init = make_inbox)
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

Test(inbox, only_a_push_that_replaces_blocked_wakes, .init = make_inbox)
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

Test(inbox, an_announcement_can_be_repeated_and_taken_back, .init = make_inbox)
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

Test(inbox, nobody_blocks_on_an_inbox_that_has_something, .init = make_inbox)
{
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_not(fkli_inbox_block(&inbox, &fifo));
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(2)), FKLI_PUSHED);
    cr_assert_eq(pop(), 1);
    cr_assert_not(fkli_inbox_block(&inbox, &fifo), "the second one waits in the private list");
    cr_assert_eq(pop(), 2);
    cr_assert(fkli_inbox_block(&inbox, &fifo));
}

Test(inbox, a_closed_inbox_refuses_and_returns_what_was_in_it, .init = make_inbox)
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

Test(inbox, closing_a_blocked_inbox_finds_nothing, .init = make_inbox)
{
    cr_assert(fkli_inbox_block(&inbox, &fifo));
    cr_assert_null(fkli_inbox_close(&inbox));
    cr_assert(fkli_inbox_is_closed(&inbox));
}

Test(inbox, appending_and_clearing_keep_the_order, .init = make_inbox)
{
    for (uint64_t i = 1; i <= 4; i++) {
        cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(i)), FKLI_PUSHED);
    }
    cr_assert_eq(pop(), 1); // 2, 3 and 4 are in the private list now
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(5)), FKLI_PUSHED);
    fkli_fifo_append(&fifo, fkli_inbox_close(&inbox));
    fkli_fifo_append(&fifo, NULL);
    fkl_msg *chain = fkli_fifo_clear(&fifo);
    for (uint64_t i = 2; i <= 5; i++) {
        cr_assert_not_null(chain);
        cr_assert_eq(fkl_msg_tag(chain), i);
        fkl_msg *next = chain->next;
        fkl_msg_destroy(chain);
        chain = next;
    }
    cr_assert_null(chain);
    cr_assert_null(fkli_fifo_clear(&fifo));
}

Test(inbox, what_is_taken_in_together_has_one_number, .init = make_inbox)
{
    cr_assert_eq(fkli_inbox_take(&inbox, &fifo, 7), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(i)), FKLI_PUSHED);
    }
    cr_assert_eq(fkli_inbox_take(&inbox, &fifo, 7), 3);
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(4)), FKLI_PUSHED);
    cr_assert_eq(fkli_inbox_take(&inbox, &fifo, 8), 1);
    cr_assert_eq(fkli_inbox_take(&inbox, &fifo, 9), 0);
    uint64_t expected = 1;
    for (fkl_msg *msg = fifo.first; msg; msg = msg->next) {
        cr_assert_eq(fkl_msg_tag(msg), expected);
        cr_assert_eq(msg->batch, expected < 4 ? 7 : 8);
        expected++;
    }
    for (uint64_t i = 1; i <= 4; i++) {
        cr_assert_eq(pop(), i);
    }
}

Test(inbox, any_message_can_be_taken_out_of_a_fifo, .init = make_inbox)
{
    for (uint64_t victim = 1; victim <= 3; victim++) {
        for (uint64_t i = 1; i <= 3; i++) {
            cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(i)), FKLI_PUSHED);
        }
        fkli_inbox_take(&inbox, &fifo, 1);
        fkl_msg *before = NULL;
        fkl_msg *msg = fifo.first;
        while (fkl_msg_tag(msg) != victim) {
            before = msg;
            msg = msg->next;
        }
        fkli_fifo_remove(&fifo, before, msg);
        cr_assert_null(msg->next);
        fkl_msg_destroy(msg);
        cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(4)), FKLI_PUSHED);
        fkli_inbox_take(&inbox, &fifo, 2);
        for (uint64_t i = 1; i <= 4; i++) {
            if (i != victim) {
                cr_assert_eq(pop(), i);
            }
        }
        cr_assert_eq(pop(), 0);
    }
}

// ---- drained

static fkli_push push_and_destroy_if_refused(uint64_t tag, bool exempt)
{
    fkl_msg *msg = rig_msg(tag);
    fkli_push pushed = exempt ? fkli_inbox_push_exempt(&inbox, msg) : fkli_inbox_push(&inbox, msg);
    if (pushed != FKLI_PUSHED && pushed != FKLI_PUSHED_WAKE) {
        fkl_msg_destroy(msg);
    }
    return pushed;
}

Test(inbox, a_drained_inbox_refuses_but_keeps_what_it_has, .init = make_inbox)
{
    cr_assert_eq(fkli_inbox_refusal(&inbox), FKLI_PUSHED);
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(2)), FKLI_PUSHED);
    cr_assert_not(fkli_inbox_drain(&inbox), "nobody slept");
    cr_assert_not(fkli_inbox_drain(&inbox));
    cr_assert_eq(fkli_inbox_refusal(&inbox), FKLI_PUSH_DRAINED);
    cr_assert_not(fkli_inbox_is_closed(&inbox));
    cr_assert_eq(push_and_destroy_if_refused(3, false), FKLI_PUSH_DRAINED);
    cr_assert_eq(push_and_destroy_if_refused(4, true), FKLI_PUSHED);
    cr_assert(fkli_inbox_has_some(&inbox, &fifo));
    cr_assert_eq(pop(), 1);
    cr_assert_eq(push_and_destroy_if_refused(5, false), FKLI_PUSH_DRAINED, "it stays so");
    cr_assert_eq(push_and_destroy_if_refused(6, true), FKLI_PUSHED);
    cr_assert_eq(pop(), 2);
    cr_assert_eq(pop(), 4);
    cr_assert_eq(pop(), 6);
    cr_assert_eq(pop(), 0);
}

Test(inbox, draining_takes_an_announcement_back, .init = make_inbox)
{
    cr_assert(fkli_inbox_block(&inbox, &fifo));
    cr_assert(fkli_inbox_drain(&inbox), "who slept must be woken");
    cr_assert_not(fkli_inbox_block(&inbox, &fifo), "there is nothing to wait for");
    cr_assert_eq(push_and_destroy_if_refused(1, false), FKLI_PUSH_DRAINED);
}

Test(inbox, in_a_drained_inbox_one_can_still_wait_for_what_is_exempt, .init = make_inbox)
{
    fkli_inbox_drain(&inbox);
    cr_assert_not(fkli_inbox_block_stack(&inbox, false));
    cr_assert(fkli_inbox_block_stack(&inbox, true));
    cr_assert_eq(push_and_destroy_if_refused(1, false), FKLI_PUSH_DRAINED);
    cr_assert(fkli_inbox_block_stack(&inbox, true), "a refused push has not changed it");
    cr_assert_eq(push_and_destroy_if_refused(2, true), FKLI_PUSHED_WAKE);
    cr_assert_not(fkli_inbox_block_stack(&inbox, true), "there is a message");
    cr_assert_eq(pop(), 2);
    cr_assert(fkli_inbox_block_stack(&inbox, true));
    fkli_inbox_unblock(&inbox);
    cr_assert_eq(push_and_destroy_if_refused(3, true), FKLI_PUSHED);
    cr_assert_eq(push_and_destroy_if_refused(4, false), FKLI_PUSH_DRAINED);
    cr_assert_eq(pop(), 3);
}

Test(inbox, a_stack_can_block_while_the_fifo_has_something, .init = make_inbox)
{
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(1)), FKLI_PUSHED);
    cr_assert_not(fkli_inbox_block_stack(&inbox, false));
    fkli_inbox_take(&inbox, &fifo, 1);
    cr_assert_not(fkli_inbox_block(&inbox, &fifo));
    cr_assert(fkli_inbox_block_stack(&inbox, false));
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(2)), FKLI_PUSHED_WAKE);
    cr_assert_eq(pop(), 1);
    cr_assert_eq(pop(), 2);
}

Test(inbox, closing_ends_a_drain, .init = make_inbox)
{
    cr_assert_eq(fkli_inbox_push(&inbox, rig_msg(1)), FKLI_PUSHED);
    fkli_inbox_drain(&inbox);
    fkl_msg *chain = fkli_inbox_close(&inbox);
    cr_assert_not_null(chain);
    fkl_msg_destroy(chain);
    cr_assert_eq(fkli_inbox_refusal(&inbox), FKLI_PUSH_CLOSED);
    cr_assert_eq(push_and_destroy_if_refused(1, false), FKLI_PUSH_CLOSED);
    cr_assert_eq(push_and_destroy_if_refused(1, true), FKLI_PUSH_CLOSED);
    cr_assert_not(fkli_inbox_drain(&inbox));
    cr_assert_eq(fkli_inbox_refusal(&inbox), FKLI_PUSH_CLOSED);
    cr_assert_not(fkli_inbox_block_stack(&inbox, true));
}
