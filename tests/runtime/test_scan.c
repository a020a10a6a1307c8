// SPDX-License-Identifier: Apache-2.0
//
// Marks and walks over a mailbox, step by step in one thread. Receives by choice in actors are in
// test_receive.c and tests/stress/selective.c.
#include "support/rig.h"

#include "scan.h"

static fkli_mailbox mailbox;

static void make(void)
{
    fkli_mailbox_init(&mailbox, NULL);
}

static void clean_up(void)
{
    fkli_mailbox_drop(&mailbox, fkli_mailbox_close(&mailbox));
    fkli_mailbox_clear(&mailbox);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 0);
}

static void put(uint64_t tag)
{
    fkl_msg *discarded = NULL;
    cr_assert_eq(fkli_mailbox_send(&mailbox, rig_msg(tag), &discarded), FKLI_PUSHED);
    cr_assert_null(discarded);
}

static void put_system(uint64_t tag)
{
    fkl_msg *msg = NULL;
    assert_ok(fkli_msg_create_system(fkli_allocator_of(NULL), FKL_MSG_DOWN, 8, NULL, &msg));
    fkl_msg_set_tag(msg, tag);
    cr_assert_eq(fkli_mailbox_push(&mailbox, msg), FKLI_PUSHED);
}

static uint64_t open(fkl_msg *msg)
{
    uint64_t tag = msg ? fkl_msg_tag(msg) : 0;
    fkl_msg_destroy(msg);
    return tag;
}

static uint64_t pop(void)
{
    return open(fkli_mailbox_pop(&mailbox));
}

// Wants one tag, 0 for any, and counts what it was offered.
struct wish {
    uint64_t tag;
    int offered;
};

static bool fulfils(const fkl_msg *msg, void *ctx)
{
    struct wish *wish = ctx;
    wish->offered++;
    return wish->tag == 0 || fkl_msg_tag(msg) == wish->tag;
}

// One walk; the tag that it found, 0 for none.
static uint64_t find(fkl_mark from, struct wish *wish)
{
    fkli_scan scan = {.from = from, .wants = fulfils, .ctx = wish};
    fkli_scan_begin(&scan, &mailbox);
    uint64_t tag = open(fkli_scan_next(&scan, &mailbox));
    fkli_scan_end(&scan, &mailbox);
    return tag;
}

Test(scan, the_oldest_that_is_wanted_comes_out_and_the_others_stay_in_order, .init = make,
     .fini = clean_up)
{
    for (uint64_t tag = 1; tag <= 5; tag++) {
        put(tag);
    }
    cr_assert_eq(find(0, &(struct wish){3, 0}), 3);
    cr_assert_eq(find(0, &(struct wish){9, 0}), 0);
    cr_assert_eq(find(0, &(struct wish){5, 0}), 5);
    put(6);
    cr_assert_eq(find(0, &(struct wish){1, 0}), 1);
    cr_assert_eq(fkli_mailbox_len(&mailbox), 3);
    cr_assert_eq(pop(), 2);
    cr_assert_eq(pop(), 4);
    cr_assert_eq(pop(), 6);
    cr_assert_eq(pop(), 0);
}

Test(scan, nothing_before_a_mark_is_offered, .init = make, .fini = clean_up)
{
    struct wish any = {0, 0};
    put(1);
    put_system(2);
    fkl_mark first = fkli_mailbox_mark(&mailbox);
    put(3);
    put_system(4);
    fkl_mark second = fkli_mailbox_mark(&mailbox);
    cr_assert_eq(find(second, &any), 0);
    cr_assert_eq(any.offered, 0);
    cr_assert_eq(find(first, &any), 4, "the system message first");
    cr_assert_eq(find(first, &any), 3);
    cr_assert_eq(any.offered, 2);
    cr_assert_eq(find(first, &any), 0);
    put(5);
    cr_assert_eq(find(second, &any), 5);
    cr_assert_eq(pop(), 2);
    cr_assert_eq(pop(), 1);
}
