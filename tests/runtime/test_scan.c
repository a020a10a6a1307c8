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

Test(scan, nothing_is_offered_twice_in_one_walk, .init = make, .fini = clean_up)
{
    struct wish wish = {7, 0};
    fkli_scan scan = {.from = 0, .wants = fulfils, .ctx = &wish};
    put_system(1);
    put(2);
    put(3);
    fkli_scan_begin(&scan, &mailbox);
    cr_assert_null(fkli_scan_next(&scan, &mailbox));
    cr_assert_eq(wish.offered, 3);
    cr_assert_null(fkli_scan_next(&scan, &mailbox));
    cr_assert_eq(wish.offered, 3);
    put(4);
    put_system(5);
    put(6);
    cr_assert_null(fkli_scan_next(&scan, &mailbox));
    cr_assert_eq(wish.offered, 6);
    put(7);
    put(8);
    cr_assert_eq(open(fkli_scan_next(&scan, &mailbox)), 7);
    cr_assert_eq(wish.offered, 7);
    fkli_scan_end(&scan, &mailbox);
    static const uint64_t left[] = {1, 5, 2, 3, 4, 6, 8, 0};
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(pop(), left[i]);
    }
}

Test(scan, a_walk_from_the_latest_mark_begins_there, .init = make, .fini = clean_up)
{
    for (uint64_t tag = 1; tag <= 100; tag++) {
        put(tag);
        put_system(1000 + tag);
    }
    fkl_mark mark = fkli_mailbox_mark(&mailbox);
    put(101);
    fkli_scan scan = {.from = mark, .wants = fulfils, .ctx = &(struct wish){0, 0}};
    fkli_scan_begin(&scan, &mailbox);
    cr_assert_not_null(scan.user_passed, "it would walk over all that waited before");
    cr_assert_eq(fkl_msg_tag(scan.user_passed), 100);
    cr_assert_eq(fkl_msg_tag(scan.system_passed), 1100);
    cr_assert_eq(open(fkli_scan_next(&scan, &mailbox)), 101);
    fkli_scan_end(&scan, &mailbox);
}

Test(scan, sleep_is_announced_with_what_was_passed_still_there, .init = make, .fini = clean_up)
{
    struct wish wish = {9, 0};
    fkli_scan scan = {.from = 0, .wants = fulfils, .ctx = &wish};
    put(1);
    put_system(2);
    fkli_scan_begin(&scan, &mailbox);
    cr_assert_not(fkli_mailbox_block(&mailbox, &scan), "nothing has been passed yet");
    cr_assert_null(fkli_scan_next(&scan, &mailbox));
    cr_assert_not(fkli_mailbox_block(&mailbox, NULL), "another receive would find something");
    cr_assert(fkli_mailbox_block(&mailbox, &scan));
    fkl_msg *discarded = NULL;
    cr_assert_eq(fkli_mailbox_send(&mailbox, rig_msg(3), &discarded), FKLI_PUSHED_WAKE);
    fkli_mailbox_unblock(&mailbox);
    cr_assert_not(fkli_mailbox_block(&mailbox, &scan));
    cr_assert_null(fkli_scan_next(&scan, &mailbox));
    cr_assert_not(fkli_mailbox_drain(&mailbox));
    cr_assert(fkli_mailbox_is_done(&mailbox, &scan), "what was passed will not do");
    cr_assert_not(fkli_mailbox_is_done(&mailbox, NULL));
    fkli_scan_end(&scan, &mailbox);
}

// ---- against a model

// What the mailbox must hold, in order of arrival. A message's tag is its index + 1.
struct model {
    struct {
        bool system;
        bool reply;
        bool there;
    } msgs[400];
    uint64_t count;
    uint64_t capacity; // 0: no bound; beyond it the oldest is dropped
    struct {
        fkl_mark mark;
        uint64_t count; // messages that came before it
    } marks[50];
    int marked;
};

static uint64_t random_state;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % limit);
}

// The first message at or after `from`, system messages first, of which the tag is `tag` (0: any).
static uint64_t model_find(struct model *model, uint64_t from, uint64_t tag, int *offered)
{
    for (int system = 1; system >= 0; system--) {
        for (uint64_t i = from; i < model->count; i++) {
            if (!model->msgs[i].there || model->msgs[i].system != (system == 1)) {
                continue;
            }
            ++*offered;
            if (tag == 0 || tag == i + 1) {
                model->msgs[i].there = false;
                return i + 1;
            }
        }
    }
    return 0;
}

// Returns the tag of the message that must make room, 0 for none.
static uint64_t model_make_room(struct model *model)
{
    uint64_t users = 0, oldest = 0;
    for (uint64_t i = model->count; i > 0; i--) {
        if (model->msgs[i - 1].there && !model->msgs[i - 1].system && !model->msgs[i - 1].reply) {
            users++;
            oldest = i;
        }
    }
    if (model->capacity == 0 || users < model->capacity) {
        return 0;
    }
    model->msgs[oldest - 1].there = false;
    return oldest;
}

static void put_one(struct model *model)
{
    uint32_t kind = below(4);
    uint64_t must_go = kind > 1 ? model_make_room(model) : 0;
    model->msgs[model->count].system = kind == 0;
    model->msgs[model->count].reply = kind == 1;
    model->msgs[model->count].there = true;
    model->count++;
    if (kind == 0) {
        put_system(model->count);
    } else if (kind > 1) {
        fkl_msg *discarded = NULL;
        cr_assert_eq(fkli_mailbox_send(&mailbox, rig_msg(model->count), &discarded), FKLI_PUSHED);
        cr_assert_eq(open(discarded), must_go);
    } else {
        fkl_msg *msg = NULL;
        assert_ok(fkli_msg_create_system(fkli_allocator_of(NULL), FKL_MSG_REPLY, 8, NULL, &msg));
        fkl_msg_set_tag(msg, model->count);
        cr_assert_eq(fkli_mailbox_push(&mailbox, msg), FKLI_PUSHED);
    }
}

static void find_one(struct model *model)
{
    int at = model->marked && below(4) ? (int)below((uint32_t)model->marked + 1) - 1 : -1;
    if (at >= 0 && below(2)) {
        at = model->marked - 1; // the latest
    }
    uint64_t from = at < 0 ? 0 : model->marks[at].count;
    uint64_t tag = model->count && below(3) ? 1 + below((uint32_t)model->count) : 0;
    int offered = 0;
    uint64_t expected = model_find(model, from, tag, &offered);
    struct wish wish = {tag, 0};
    cr_assert_eq(find(at < 0 ? 0 : model->marks[at].mark, &wish), expected);
    cr_assert_eq(wish.offered, offered);
}

static void take_one_back(struct model *model)
{
    fkl_msg *msg = mailbox.system_lane.fifo.first;
    for (uint32_t skipped = below(4); msg && msg->next && skipped > 0; skipped--) {
        msg = msg->next;
    }
    if (msg) {
        model->msgs[fkl_msg_tag(msg) - 1].there = false;
        cr_assert(fkli_mailbox_remove_system(&mailbox, msg));
        fkl_msg_destroy(msg);
    }
}

static void step(struct model *model)
{
    int ignored = 0;
    uint32_t dice = below(20);
    if (dice < 9 && model->count < 400) {
        put_one(model);
    } else if (dice < 14) {
        find_one(model);
    } else if (dice < 17) {
        cr_assert_eq(pop(), model_find(model, 0, 0, &ignored));
    } else if (dice < 18) {
        take_one_back(model);
    } else if (model->marked < 50) {
        fkl_mark mark = fkli_mailbox_mark(&mailbox);
        cr_assert_gt(mark, 0);
        model->marks[model->marked].mark = mark;
        model->marks[model->marked].count = model->count;
        model->marked++;
    }
}

Test(scan, any_order_of_sends_marks_and_receives_gives_what_a_list_would)
{
    for (uint64_t seed = 1; seed <= 300; seed++) {
        static struct model model;
        memset(&model, 0, sizeof model);
        random_state = seed;
        model.capacity = seed % 2 ? 0 : 1 + seed % 7;
        fkli_bound *bound = NULL;
        if (model.capacity) {
            assert_ok(fkli_bound_create(fkli_allocator_of(NULL), (uint32_t)model.capacity,
                                        FKL_FULL_DROP_OLDEST, &bound));
        }
        fkli_mailbox_init(&mailbox, bound);
        for (int i = 0; i < 500; i++) {
            step(&model);
        }
        int ignored = 0;
        uint64_t tag;
        while ((tag = model_find(&model, 0, 0, &ignored))) {
            cr_assert_eq(pop(), tag, "seed %d", (int)seed);
        }
        clean_up();
        fkli_mailbox_fini(&mailbox, fkli_allocator_of(NULL));
    }
}
