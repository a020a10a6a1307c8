// SPDX-License-Identifier: Apache-2.0
//
// The ring of a worker and the line that all share.
#include "support/rig.h"

#include "runq.h"

#include <pthread.h>

static fkli_ring ring;
static fkli_ring other;
static fkli_line line;
static fkli_task tasks[2 * FKLI_RING_SIZE];

static void set_up(void)
{
    fkli_ring_init(&ring);
    fkli_ring_init(&other);
    fkli_line_init(&line);
}

static void tear_down(void)
{
    fkli_line_fini(&line);
}

TestSuite(runq, .init = set_up, .fini = tear_down);

static void put(int first, int count)
{
    for (int i = first; i < first + count; i++) {
        cr_assert(fkli_ring_put(&ring, &tasks[i]));
    }
}

static void assert_takes(fkli_ring *from, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        fkli_task *task = fkli_ring_take(from);
        cr_assert_eq(task, &tasks[i], "%d, not %d", (int)(task - tasks), i);
    }
}

Test(runq, a_ring_gives_tasks_in_order)
{
    cr_assert_null(fkli_ring_take(&ring));
    cr_assert(fkli_ring_is_empty(&ring));
    int in = 0, out = 0;
    for (int round = 1; round < 20; round++) {
        put(in, round);
        in += round;
        cr_assert_not(fkli_ring_is_empty(&ring));
        assert_takes(&ring, out, round / 2);
        out += round / 2;
    }
    assert_takes(&ring, out, in - out);
    cr_assert_null(fkli_ring_take(&ring));
    cr_assert(fkli_ring_is_empty(&ring));
}

Test(runq, a_full_ring_refuses)
{
    put(0, FKLI_RING_SIZE);
    cr_assert_not(fkli_ring_put(&ring, &tasks[FKLI_RING_SIZE]));
    assert_takes(&ring, 0, 1);
    put(FKLI_RING_SIZE, 1);
    cr_assert_not(fkli_ring_put(&ring, &tasks[0]));
    assert_takes(&ring, 1, FKLI_RING_SIZE);
    cr_assert_null(fkli_ring_take(&ring));
}

Test(runq, a_thief_gets_the_older_half)
{
    cr_assert_null(fkli_ring_steal(&ring, &other));
    put(0, 11);
    cr_assert_eq(fkli_ring_steal(&ring, &other), &tasks[0]);
    assert_takes(&other, 1, 5);
    cr_assert_null(fkli_ring_take(&other));
    cr_assert_eq(fkli_ring_steal(&ring, &other), &tasks[6]);
    assert_takes(&other, 7, 2);
    assert_takes(&ring, 9, 2);
    put(20, 1);
    cr_assert_eq(fkli_ring_steal(&ring, &other), &tasks[20], "also the only one");
    cr_assert(fkli_ring_is_empty(&other));
    cr_assert(fkli_ring_is_empty(&ring));
    put(0, FKLI_RING_SIZE);
    cr_assert_eq(fkli_ring_steal(&ring, &other), &tasks[0]);
    assert_takes(&other, 1, FKLI_RING_SIZE / 2 - 1);
    assert_takes(&ring, FKLI_RING_SIZE / 2, FKLI_RING_SIZE / 2);
}

Test(runq, a_line_gives_one_task_and_fills_the_ring_with_others)
{
    cr_assert(fkli_line_is_empty(&line));
    cr_assert_null(fkli_line_take(&line, &ring, 5));
    for (int i = 0; i < 10; i++) {
        fkli_line_put(&line, &tasks[i]);
    }
    cr_assert_not(fkli_line_is_empty(&line));
    cr_assert_eq(fkli_line_take(&line, &ring, 0), &tasks[0]);
    cr_assert(fkli_ring_is_empty(&ring));
    cr_assert_eq(fkli_line_take(&line, &ring, 3), &tasks[1]);
    assert_takes(&ring, 2, 3);
    cr_assert_eq(fkli_line_take(&line, &ring, 100), &tasks[5]);
    assert_takes(&ring, 6, 4);
    cr_assert(fkli_line_is_empty(&line));
    cr_assert_null(fkli_line_take(&line, &ring, 5));
    fkli_line_put(&line, &tasks[30]);
    cr_assert_eq(fkli_line_take(&line, &ring, 5), &tasks[30]);
}

Test(runq, a_line_fills_a_ring_no_further_than_it_has_room)
{
    put(0, FKLI_RING_SIZE - 2);
    for (int i = 0; i < 10; i++) {
        fkli_line_put(&line, &tasks[300 + i]);
    }
    cr_assert_eq(fkli_line_take(&line, &ring, 9), &tasks[300]);
    assert_takes(&ring, 0, FKLI_RING_SIZE - 2);
    assert_takes(&ring, 301, 2);
    cr_assert(fkli_ring_is_empty(&ring));
    cr_assert_eq(fkli_line_take(&line, &ring, 9), &tasks[303]);
    assert_takes(&ring, 304, 6);
}

Test(runq, a_full_ring_overflows_into_the_line)
{
    put(0, FKLI_RING_SIZE);
    fkli_line_put_half(&line, &ring, &tasks[FKLI_RING_SIZE]);
    assert_takes(&ring, FKLI_RING_SIZE / 2, FKLI_RING_SIZE / 2);
    for (int i = 0; i < FKLI_RING_SIZE / 2; i++) {
        cr_assert_eq(fkli_line_take(&line, &ring, 0), &tasks[i]);
    }
    cr_assert_eq(fkli_line_take(&line, &ring, 0), &tasks[FKLI_RING_SIZE]);
    cr_assert_null(fkli_line_take(&line, &ring, 0));
}

// Each task is taken once, by the owner or by a thief.

enum { THIEVES = 3, ROUNDS = 20000 };

struct thief {
    fkli_ring ring;
    pthread_t thread;
};

static atomic_bool over;
static atomic_int seen[FKLI_RING_SIZE];

static void see(fkli_task *task)
{
    atomic_fetch_add(&seen[task - tasks], 1);
}

static int seen_of(int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++) {
        sum += atomic_load(&seen[i]);
    }
    return sum;
}

static void *steal(void *arg)
{
    struct thief *thief = arg;
    while (!atomic_load(&over)) {
        fkli_task *task = fkli_ring_steal(&ring, &thief->ring);
        for (; task; task = fkli_ring_take(&thief->ring)) {
            see(task);
        }
    }
    return NULL;
}

Test(runq, each_task_is_taken_once)
{
    static struct thief thieves[THIEVES];
    for (int i = 0; i < THIEVES; i++) {
        fkli_ring_init(&thieves[i].ring);
        cr_assert_eq(pthread_create(&thieves[i].thread, NULL, steal, &thieves[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        int count = 1 + round % FKLI_RING_SIZE;
        int before = seen_of(count);
        put(0, count);
        for (fkli_task *task; (task = fkli_ring_take(&ring));) {
            see(task);
        }
        while (seen_of(count) < before + count) {
            // Thieves have the rest.
        }
        cr_assert_eq(seen_of(count), before + count);
    }
    atomic_store(&over, true);
    for (int i = 0; i < THIEVES; i++) {
        pthread_join(thieves[i].thread, NULL);
    }
}
