// SPDX-License-Identifier: Apache-2.0
//
// Bounded mailboxes, step by step in one thread: places, and what becomes of a message for which
// there is none. What several threads make of it is in test_send.c and tests/stress/bounded.c.
#include "support/rig.h"

#include "mailbox.h"
#include "scan.h"

static rig_memory memory;
static fkl_allocator allocator;
static fkli_mailbox mailbox;

static void make(uint32_t capacity, fkl_full full)
{
    fkli_bound *bound = NULL;
    allocator = rig_allocator(&memory);
    assert_ok(fkli_bound_create(&allocator, capacity, full, &bound));
    fkli_mailbox_init(&mailbox, bound);
}

static void clean_up(void)
{
    fkli_mailbox_drop(&mailbox, fkli_mailbox_close(&mailbox));
    fkli_mailbox_clear(&mailbox);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 0);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.sent), fkli_load_relaxed_u64(&mailbox.handled) +
                                                           fkli_load_relaxed_u64(&mailbox.dropped) +
                                                           fkli_load_relaxed_u64(&mailbox.refused));
    fkli_mailbox_fini(&mailbox, &allocator);
    rig_assert_balanced(&memory);
}

// Sends a message of this tag; returns the tag of the one that was given up, 0 for none.
static uint64_t put(uint64_t tag, fkli_push expected)
{
    fkl_msg *msg = rig_msg(tag);
    fkl_msg *discarded = NULL;
    fkli_push pushed = fkli_mailbox_send(&mailbox, msg, &discarded);
    cr_assert_eq(pushed, expected, "sending %d gave %d", (int)tag, (int)pushed);
    uint64_t given_up = discarded ? fkl_msg_tag(discarded) : 0;
    fkl_msg_destroy(discarded);
    if (pushed != FKLI_PUSHED && pushed != FKLI_PUSHED_WAKE) {
        fkl_msg_destroy(msg);
    }
    return given_up;
}

static uint64_t pop(void)
{
    fkl_msg *msg = fkli_mailbox_pop(&mailbox);
    uint64_t tag = msg ? fkl_msg_tag(msg) : 0;
    fkl_msg_destroy(msg);
    return tag;
}

Test(bound, a_full_mailbox_that_may_not_drop_refuses)
{
    static const fkl_full policies[] = {FKL_FULL_WAIT, FKL_FULL_FAIL};
    for (int i = 0; i < 2; i++) {
        make(2, policies[i]);
        cr_assert_eq(put(1, FKLI_PUSHED), 0);
        cr_assert_eq(put(2, FKLI_PUSHED), 0);
        cr_assert_eq(put(3, FKLI_PUSH_FULL), 0);
        cr_assert_eq(fkli_mailbox_len(&mailbox), 2);
        cr_assert_eq(pop(), 1);
        cr_assert_eq(put(4, FKLI_PUSHED), 0);
        cr_assert_eq(put(5, FKLI_PUSH_FULL), 0);
        cr_assert_eq(pop(), 2);
        cr_assert_eq(pop(), 4);
        cr_assert_eq(pop(), 0);
        cr_assert_eq(fkli_load_relaxed_u64(&mailbox.sent), 3, "what was refused was not sent");
        clean_up();
    }
}

Test(bound, the_newest_is_dropped)
{
    make(2, FKL_FULL_DROP_NEWEST);
    cr_assert_eq(put(1, FKLI_PUSHED), 0);
    cr_assert_eq(put(2, FKLI_PUSHED), 0);
    cr_assert_eq(put(3, FKLI_PUSHED), 3);
    cr_assert_eq(pop(), 1);
    cr_assert_eq(put(4, FKLI_PUSHED), 0);
    cr_assert_eq(pop(), 2);
    cr_assert_eq(pop(), 4);
    cr_assert_eq(pop(), 0);
    clean_up();
}

Test(bound, the_oldest_is_dropped_wherever_it_is)
{
    make(3, FKL_FULL_DROP_OLDEST);
    for (uint64_t tag = 1; tag <= 3; tag++) {
        cr_assert_eq(put(tag, FKLI_PUSHED), 0);
    }
    cr_assert_eq(put(4, FKLI_PUSHED), 1, "from the stack");
    cr_assert_eq(put(5, FKLI_PUSHED), 2, "from the lane");
    cr_assert_eq(fkli_mailbox_len(&mailbox), 3);
    cr_assert_eq(pop(), 3);
    cr_assert_eq(put(6, FKLI_PUSHED), 0);
    cr_assert_eq(put(7, FKLI_PUSHED), 4);
    cr_assert_eq(pop(), 5);
    cr_assert_eq(pop(), 6);
    cr_assert_eq(pop(), 7);
    cr_assert_eq(pop(), 0);
    clean_up();
}

Test(bound, there_must_be_such_a_policy)
{
    fkli_bound *bound = NULL;
    allocator = rig_allocator(&memory);
    assert_err(fkli_bound_create(&allocator, 1, (fkl_full)4, &bound), FKL_EINVAL);
    atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1);
    assert_err(fkli_bound_create(&allocator, 1, FKL_FULL_WAIT, &bound), FKL_ENOMEM);
    fkli_bound_destroy(&allocator, NULL);
    rig_assert_balanced(&memory);
}

static void put_by_the_runtime(uint64_t tag, fkl_msg_kind kind)
{
    fkl_msg *msg = NULL;
    assert_ok(fkli_msg_create_system(fkli_allocator_of(NULL), kind, 8, NULL, &msg));
    fkl_msg_set_tag(msg, tag);
    cr_assert_eq(fkli_mailbox_push(&mailbox, msg), FKLI_PUSHED);
}

Test(bound, system_messages_and_replies_need_no_place)
{
    for (int full = 0; full <= FKL_FULL_DROP_OLDEST; full++) {
        make(2, (fkl_full)full);
        put_by_the_runtime(10, FKL_MSG_REPLY);
        cr_assert_eq(put(1, FKLI_PUSHED), 0);
        cr_assert_eq(put(2, FKLI_PUSHED), 0);
        put_by_the_runtime(11, FKL_MSG_REPLY);
        put_by_the_runtime(12, FKL_MSG_DOWN);
        put_by_the_runtime(13, FKL_MSG_EXIT);
        cr_assert_eq(fkli_mailbox_len(&mailbox), 6);
        cr_assert_eq(pop(), 12);
        cr_assert_eq(pop(), 13);
        cr_assert_eq(pop(), 10);
        cr_assert_eq(pop(), 1);
        cr_assert_eq(pop(), 2);
        cr_assert_eq(pop(), 11);
        cr_assert_eq(fkli_mailbox_len(&mailbox), 0);
        cr_assert_eq(fkli_credit_value(&mailbox.bound->places), 2);
        clean_up();
    }
}

Test(bound, a_reply_is_never_the_oldest_that_is_dropped)
{
    make(2, FKL_FULL_DROP_OLDEST);
    put_by_the_runtime(10, FKL_MSG_REPLY);
    cr_assert_eq(put(1, FKLI_PUSHED), 0);
    put_by_the_runtime(11, FKL_MSG_REPLY);
    cr_assert_eq(put(2, FKLI_PUSHED), 0);
    cr_assert_eq(put(3, FKLI_PUSHED), 1);
    cr_assert_eq(put(4, FKLI_PUSHED), 2);
    cr_assert_eq(pop(), 10);
    cr_assert_eq(pop(), 11);
    cr_assert_eq(pop(), 3);
    cr_assert_eq(pop(), 4);
    clean_up();
}

Test(bound, a_message_for_which_all_places_are_on_their_way_came_before_them)
{
    make(2, FKL_FULL_DROP_OLDEST);
    put_by_the_runtime(10, FKL_MSG_REPLY);
    assert_ok(fkli_credit_try_take(&mailbox.bound->places)); // by senders that have not pushed yet
    assert_ok(fkli_credit_try_take(&mailbox.bound->places));
    cr_assert_eq(put(1, FKLI_PUSHED), 1);
    assert_ok(fkli_credit_give(&mailbox.bound->places));
    assert_ok(fkli_credit_give(&mailbox.bound->places));
    cr_assert_eq(put(2, FKLI_PUSHED), 0);
    cr_assert_eq(pop(), 10);
    cr_assert_eq(pop(), 2);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.dropped), 1);
    clean_up();
}

Test(bound, a_refused_message_costs_no_other_one)
{
    for (int drained = 0; drained < 2; drained++) {
        for (int full = 0; full <= FKL_FULL_DROP_OLDEST; full++) {
            make(1, (fkl_full)full);
            cr_assert_eq(put(1, FKLI_PUSHED), 0);
            fkl_msg *left = NULL;
            if (drained) {
                cr_assert_not(fkli_inbox_drain(&mailbox.user));
            } else {
                left = fkli_mailbox_close(&mailbox);
            }
            fkli_push refusal = drained ? FKLI_PUSH_DRAINED : FKLI_PUSH_CLOSED;
            cr_assert_eq(put(2, refusal), 0, "the places are not closed yet");
            fkli_mailbox_dismiss(&mailbox);
            cr_assert_eq(put(3, refusal), 0);
            cr_assert_eq(fkli_load_relaxed_u64(&mailbox.refused), 2);
            cr_assert_eq(fkli_load_relaxed_u64(&mailbox.dropped), drained ? 0 : 1);
            if (drained) {
                cr_assert_eq(pop(), 1);
            } else {
                fkli_mailbox_drop(&mailbox, left);
            }
            clean_up();
        }
    }
}

Test(bound, a_push_refused_with_a_place_in_hand_gives_it_back)
{
    make(3, FKL_FULL_WAIT);
    cr_assert_eq(put(1, FKLI_PUSHED), 0);
    fkl_msg *left = fkli_mailbox_close(&mailbox);
    cr_assert_eq(put(2, FKLI_PUSH_CLOSED), 0);
    cr_assert_eq(fkli_credit_value(&mailbox.bound->places), 2);
    fkli_mailbox_drop(&mailbox, left);
    cr_assert_eq(fkli_credit_value(&mailbox.bound->places), 3);
    clean_up();
}

static bool wants_tag(const fkl_msg *msg, void *ctx)
{
    return fkl_msg_tag(msg) == *(const uint64_t *)ctx;
}

// One walk for a tag; the tag that it found, 0 for none.
static uint64_t find(uint64_t tag, fkl_mark from)
{
    fkli_scan scan = {.from = from, .wants = wants_tag, .ctx = &tag};
    fkli_scan_begin(&scan, &mailbox);
    fkl_msg *msg = fkli_scan_next(&scan, &mailbox);
    fkli_scan_end(&scan, &mailbox);
    uint64_t found = msg ? fkl_msg_tag(msg) : 0;
    fkl_msg_destroy(msg);
    return found;
}

Test(bound, a_place_comes_back_wherever_its_message_goes)
{
    for (int full = 0; full <= FKL_FULL_DROP_OLDEST; full++) {
        make(2, (fkl_full)full);
        cr_assert_eq(put(1, FKLI_PUSHED), 0);
        cr_assert_eq(put(2, FKLI_PUSHED), 0);
        cr_assert_eq(find(2, 0), 2);
        cr_assert_eq(put(3, FKLI_PUSHED), 0, "after a receive by choice");
        cr_assert_eq(pop(), 1);
        cr_assert_eq(find(99, 0), 0); // takes 3 into the lane
        cr_assert_eq(put(4, FKLI_PUSHED), 0, "after a receive");
        fkli_mailbox_clear(&mailbox);
        cr_assert_eq(fkli_mailbox_len(&mailbox), 1);
        cr_assert_eq(put(5, FKLI_PUSHED), 0, "after it was dropped");
        fkli_mailbox_drop(&mailbox, fkli_mailbox_close(&mailbox));
        cr_assert_eq(fkli_credit_value(&mailbox.bound->places), 2);
        clean_up();
    }
}

// ---- discarding under a receive by choice

// Sends so many messages each time it is asked, and wants one tag.
struct flood {
    uint64_t wanted;
    uint64_t next;
    int messages;
    uint64_t offered[8];
    int count;
};

static bool flood(const fkl_msg *msg, void *ctx)
{
    struct flood *flood = ctx;
    flood->offered[flood->count++ % 8] = fkl_msg_tag(msg);
    for (int i = 0; i < flood->messages; i++) {
        fkl_msg *discarded = NULL;
        cr_assert_eq(fkli_mailbox_send(&mailbox, rig_msg(flood->next++), &discarded), FKLI_PUSHED);
        fkl_msg_destroy(discarded);
    }
    flood->messages = 0;
    return fkl_msg_tag(msg) == flood->wanted;
}

static uint64_t find_in_a_flood(struct flood *plan, fkl_mark from, int *left_to_the_walk)
{
    fkli_scan scan = {.from = from, .wants = flood, .ctx = plan};
    fkli_scan_begin(&scan, &mailbox);
    fkl_msg *msg = fkli_scan_next(&scan, &mailbox);
    fkli_scan_end(&scan, &mailbox);
    *left_to_the_walk = (int)fkli_msg_destroy_chain(scan.discarded);
    uint64_t found = msg ? fkl_msg_tag(msg) : 0;
    fkl_msg_destroy(msg);
    return found;
}

Test(bound, a_message_discarded_while_a_match_looks_at_it_is_not_handed_out)
{
    make(2, FKL_FULL_DROP_OLDEST);
    cr_assert_eq(put(1, FKLI_PUSHED), 0);
    cr_assert_eq(put(2, FKLI_PUSHED), 0);
    int left = 0;
    struct flood plan = {.wanted = 1, .next = 3, .messages = 1};
    cr_assert_eq(find_in_a_flood(&plan, 0, &left), 0);
    cr_assert_eq(left, 1, "its memory was the walk's to free");
    cr_assert_eq(plan.count, 3);
    cr_assert_eq(plan.offered[2], 3);
    cr_assert_eq(fkli_load_relaxed_u64(&mailbox.dropped), 1);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 2);
    cr_assert_eq(pop(), 2);
    cr_assert_eq(pop(), 3);
    clean_up();
}

Test(bound, a_walk_goes_on_although_all_that_it_passed_was_discarded)
{
    make(4, FKL_FULL_DROP_OLDEST);
    put_by_the_runtime(9, FKL_MSG_REPLY);
    for (uint64_t tag = 1; tag <= 4; tag++) {
        cr_assert_eq(put(tag, FKLI_PUSHED), 0);
    }
    struct flood plan = {.wanted = 0};
    fkli_scan scan = {.from = 0, .wants = flood, .ctx = &plan};
    fkli_scan_begin(&scan, &mailbox);
    cr_assert_null(fkli_scan_next(&scan, &mailbox));
    cr_assert_eq(plan.count, 5);
    for (uint64_t tag = 5; tag <= 8; tag++) {
        cr_assert_eq(put(tag, FKLI_PUSHED), tag - 4);
    }
    plan = (struct flood){.wanted = 6};
    fkl_msg *msg = fkli_scan_next(&scan, &mailbox);
    fkli_scan_end(&scan, &mailbox);
    cr_assert_eq(fkl_msg_tag(msg), 6);
    fkl_msg_destroy(msg);
    cr_assert_null(scan.discarded);
    cr_assert_eq(plan.count, 2);
    cr_assert_eq(plan.offered[0], 5);
    cr_assert_eq(plan.offered[1], 6);
    cr_assert_eq(pop(), 9);
    cr_assert_eq(pop(), 5);
    clean_up();
}

Test(bound, a_mark_survives_the_message_before_it)
{
    make(2, FKL_FULL_DROP_OLDEST);
    put_by_the_runtime(9, FKL_MSG_REPLY);
    cr_assert_eq(put(1, FKLI_PUSHED), 0);
    cr_assert_eq(put(2, FKLI_PUSHED), 0);
    fkl_mark mark = fkli_mailbox_mark(&mailbox);
    cr_assert_eq(put(3, FKLI_PUSHED), 1);
    cr_assert_eq(find(2, mark), 0);
    cr_assert_eq(put(4, FKLI_PUSHED), 2, "the last one before the mark");
    cr_assert_eq(find(3, mark), 3);
    cr_assert_eq(find(9, mark), 0);
    cr_assert_eq(pop(), 9);
    cr_assert_eq(find(4, mark), 4);
    clean_up();
}

Test(bound, nobody_sleeps_on_what_a_sender_has_taken_in)
{
    make(1, FKL_FULL_DROP_OLDEST);
    cr_assert_eq(put(1, FKLI_PUSHED), 0);
    cr_assert_eq(put(2, FKLI_PUSHED), 1);
    put_by_the_runtime(9, FKL_MSG_REPLY);
    cr_assert_eq(put(3, FKLI_PUSHED), 2); // the reply is in the lane now
    cr_assert_eq(pop(), 9);
    cr_assert_eq(pop(), 3);
    put_by_the_runtime(10, FKL_MSG_REPLY);
    assert_ok(fkli_credit_try_take(&mailbox.bound->places));
    cr_assert_eq(put(4, FKLI_PUSHED), 4);
    assert_ok(fkli_credit_give(&mailbox.bound->places));
    cr_assert_not(fkli_mailbox_block(&mailbox, NULL), "the stack is empty, the lane is not");
    cr_assert_not(fkli_inbox_drain(&mailbox.user));
    cr_assert_not(fkli_mailbox_is_done(&mailbox, NULL));
    cr_assert_eq(pop(), 10);
    cr_assert(fkli_mailbox_is_done(&mailbox, NULL));
    clean_up();
}
