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
