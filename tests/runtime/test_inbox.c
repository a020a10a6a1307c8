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

Test(inbox, appending_and_draining_keep_the_order, .init = make_inbox)
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
