// SPDX-License-Identifier: Apache-2.0
//
// Depots and magazines of memory blocks.
#include "support/rig.h"

#include "depot.h"
#include "memory.h"

#include <pthread.h>

static rig_memory memory;
static fkl_allocator allocator;
static fkli_depot depot;
static fkli_magazine magazine;

enum { ROOM = 120, PILE = 32, MOST = 4096 };

static const fkli_block_kind kind = {
    .room = ROOM, .slack = FKLI_BLOCK_SLACK, .pile = PILE, .most = MOST};

typedef struct block {
    unsigned char *bytes;
    uint8_t offset;
} block;

static block blocks[MOST + 16 * PILE];

static void set_up(void)
{
    memory = (rig_memory){0};
    allocator = rig_allocator(&memory);
    fkli_depot_init(&depot, &allocator, &kind);
    fkli_magazine_open(&magazine, &depot);
}

static void tear_down(void)
{
    fkli_magazine_close(&magazine);
    fkli_depot_fini(&depot);
    rig_assert_balanced(&memory);
}

TestSuite(depot, .init = set_up, .fini = tear_down);

static block take_one(fkli_magazine *from)
{
    block taken = {0};
    taken.bytes = fkli_magazine_take(from, &taken.offset);
    cr_assert_not_null(taken.bytes);
    return taken;
}

static void take(int count)
{
    for (int i = 0; i < count; i++) {
        blocks[i] = take_one(&magazine);
        memset(blocks[i].bytes, i, ROOM);
    }
}

static void put(int count)
{
    for (int i = 0; i < count; i++) {
        fkli_magazine_put(&magazine, blocks[i].bytes, blocks[i].offset);
    }
}

static long live(void)
{
    return atomic_load(&memory.blocks);
}

Test(depot, what_was_put_is_taken_again)
{
    take(10);
    cr_assert_eq(live(), 10);
    put(10);
    cr_assert_eq(live(), 10);
    take(10);
    cr_assert_eq(live(), 10, "nothing new was needed");
    put(10);
}

Test(depot, blocks_begin_with_a_cache_line)
{
    take(100);
    for (int i = 0; i < 100; i++) {
        bool fits = (uintptr_t)(blocks[i].bytes - blocks[i].offset) % 16 == 0;
        cr_assert(!fits || (uintptr_t)blocks[i].bytes % FKLI_CACHE_LINE == 0);
    }
    put(100);
}

Test(depot, a_magazine_is_filled_by_the_depot)
{
    enum { COUNT = 10 * PILE };
    take(COUNT);
    put(COUNT);
    fkli_magazine_close(&magazine);
    cr_assert_not(fkli_magazine_serves(&magazine, &allocator), "closed");
    fkli_magazine other;
    fkli_magazine_open(&magazine, &depot);
    fkli_magazine_open(&other, &depot);
    take(COUNT / 2);
    for (int i = COUNT / 2; i < COUNT; i++) {
        blocks[i] = take_one(&other);
    }
    cr_assert_eq(live(), COUNT, "nothing new was needed");
    put(COUNT);
    fkli_magazine_close(&other);
}

Test(depot, at_the_edge_of_a_pile_the_depot_is_left_alone)
{
    take(3 * PILE);
    put(3 * PILE);
    uint32_t kept = fkli_load_relaxed_u32(&depot.count);
    for (int round = 0; round < 10; round++) {
        take(3);
        cr_assert_eq(fkli_load_relaxed_u32(&depot.count), kept);
        put(3);
        cr_assert_eq(fkli_load_relaxed_u32(&depot.count), kept);
    }
}

Test(depot, a_full_depot_keeps_no_more)
{
    enum { COUNT = MOST + 2 * PILE };
    take(COUNT + 1);
    put(COUNT + 1);
    cr_assert_eq(live(), COUNT, "what nobody has room for goes back");
    fkli_magazine_close(&magazine);
    cr_assert_eq(live(), MOST);
}

Test(depot, threads_without_a_magazine_share_one)
{
    enum { COUNT = 10 * PILE };
    for (int i = 0; i < COUNT; i++) {
        blocks[i].bytes = fkli_depot_take(&depot, &blocks[i].offset);
        cr_assert_not_null(blocks[i].bytes);
        memset(blocks[i].bytes, i, ROOM);
    }
    cr_assert_eq(live(), COUNT);
    for (int i = 0; i < COUNT; i++) {
        fkli_depot_put(&depot, blocks[i].bytes, blocks[i].offset);
    }
    take(COUNT - 2 * PILE);
    cr_assert_eq(live(), COUNT, "all but what the shared one holds can be taken by others");
    put(COUNT - 2 * PILE);
}

Test(depot, one_that_keeps_nothing_gives_all_back)
{
    fkli_depot other;
    fkli_block_kind none = kind;
    none.most = 0;
    fkli_depot_init(&other, &allocator, &none);
    uint8_t offset;
    void *freed = fkli_depot_take(&other, &offset);
    cr_assert_not_null(freed);
    fkli_depot_put(&other, freed, offset);
    cr_assert_eq(live(), 0);
    fkli_depot_fini(&other);
}

Test(depot, only_runtimes_have_one)
{
    fkl_runtime *runtime = rig_create();
    cr_assert_null(fkli_depot_of(fkli_allocator_of(NULL)));
    cr_assert_not_null(fkli_depot_of(fkli_allocator_of(runtime)));
    rig_destroy(runtime);
}

Test(depot, another_allocator_is_none_of_its_business)
{
    cr_assert(fkli_magazine_serves(&magazine, &allocator));
    cr_assert_not(fkli_magazine_serves(&magazine, fkli_allocator_of(NULL)));
}

// Each thread finds its blocks as it left them.

enum { THREADS = 4, TURNS = 200 };

static atomic_int damaged;

static block take_outside(void)
{
    block taken = {0};
    taken.bytes = fkli_depot_take(&depot, &taken.offset);
    cr_assert_not_null(taken.bytes);
    return taken;
}

// Every second one has no magazine.
static void *take_and_put(void *arg)
{
    fkli_magazine own;
    unsigned char mark = (unsigned char)(uintptr_t)arg;
    fkli_magazine_open(&own, &depot);
    for (int turn = 0; turn < TURNS; turn++) {
        block some[3 * PILE];
        int count = 1 + turn % (3 * PILE);
        for (int i = 0; i < count; i++) {
            some[i] = mark % 2 ? take_one(&own) : take_outside();
            memset(some[i].bytes, mark, ROOM);
        }
        for (int i = 0; i < count; i++) {
            atomic_fetch_add(&damaged, some[i].bytes[i % ROOM] != mark);
            if (mark % 2) {
                fkli_magazine_put(&own, some[i].bytes, some[i].offset);
            } else {
                fkli_depot_put(&depot, some[i].bytes, some[i].offset);
            }
        }
    }
    fkli_magazine_close(&own);
    return NULL;
}

Test(depot, magazines_of_many_threads_share_it)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        void *mark = (void *)(uintptr_t)(i + 1);
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_put, mark), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert_eq(atomic_load(&damaged), 0);
}

// Messages.

struct exchange {
    fkl_actor *peer;
    int count;
};

static void act_answer(fkl_actor *self, void *arg)
{
    (void)self;
    struct exchange *exchange = arg;
    fkl_msg *msg = NULL;
    for (int i = 0; i < exchange->count && fkl_receive_until(SOON, &msg) == FKL_OK; i++) {
        fkl_msg_destroy(msg);
    }
}

static void act_ask(fkl_actor *self, void *arg)
{
    struct exchange *exchange = arg;
    for (int i = 0; i < exchange->count; i++) {
        fkl_msg *msg = NULL;
        size_t len = (size_t)i % (2 * ROOM);
        if (fkl_msg_create(fkl_actor_runtime(self), FKL_CODEC_RAW, len, &msg)) {
            return;
        }
        memset(fkl_msg_data(msg), i, len);
        if (fkl_actor_send(exchange->peer, msg)) {
            fkl_msg_destroy(msg);
        }
    }
}

Test(depot, messages_of_all_sizes_leave_no_memory_behind)
{
    rig_memory own = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&own)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    struct exchange exchange = {.count = 2000};
    exchange.peer = rig_spawn(runtime, act_answer, &exchange);
    fkl_actor *asker = rig_spawn(runtime, act_ask, &exchange);
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_create(runtime, FKL_CODEC_RAW, 3, &msg)); // by a thread without a magazine
    fkl_msg_destroy(msg);
    rig_join(asker);
    rig_join(exchange.peer);
    rig_destroy(runtime);
    rig_assert_balanced(&own);
}
