// SPDX-License-Identifier: Apache-2.0
//
// The credit beneath semaphores, locks and bounded channels: its word, and the waiters that leave
// while they are being woken. Its public face is tested in test_sync.c.
#include "support/rig.h"

#include "credit.h"

#include <pthread.h>

Test(credit, takes_and_gives_within_its_bounds)
{
    fkli_credit credit;
    fkli_credit_init(&credit, 1, 2);
    assert_ok(fkli_credit_try_take(&credit));
    assert_err(fkli_credit_try_take(&credit), FKL_EEMPTY);
    assert_err(fkli_credit_take_until(&credit, FKL_NO_WAIT, "test"), FKL_ETIMEDOUT);
    assert_ok(fkli_credit_give(&credit));
    assert_ok(fkli_credit_give(&credit));
    assert_err(fkli_credit_give(&credit), FKL_EOVERFLOW);
    cr_assert_eq(fkli_credit_value(&credit), 2);
    fkli_credit_fini(&credit);
}

Test(credit, the_greatest_maximum_does_not_spill_into_the_waiters)
{
    fkli_credit credit;
    fkli_credit_init(&credit, UINT32_MAX - 1, UINT32_MAX);
    assert_ok(fkli_credit_give(&credit));
    assert_err(fkli_credit_give(&credit), FKL_EOVERFLOW);
    cr_assert_eq(fkli_credit_value(&credit), UINT32_MAX);
    assert_ok(fkli_credit_try_take(&credit));
    cr_assert_eq(fkli_credit_value(&credit), UINT32_MAX - 1);
    fkli_credit_fini(&credit);
}

Test(credit, nothing_can_be_taken_from_a_closed_one)
{
    fkli_credit credit;
    fkli_credit_init(&credit, 2, 3);
    fkli_credit_close(&credit);
    assert_err(fkli_credit_try_take(&credit), FKL_ECLOSED);
    assert_err(fkli_credit_take_until(&credit, FKL_FOREVER, "test"), FKL_ECLOSED);
    assert_ok(fkli_credit_give(&credit));
    cr_assert_eq(fkli_credit_value(&credit), 3);
    assert_err(fkli_credit_try_take(&credit), FKL_ECLOSED);
    fkli_credit_fini(&credit);
}

struct taker {
    fkli_credit *credit;
    fkl_time deadline;
    atomic_int *sum;
    fkl_err err;
};

static void *take(void *arg)
{
    struct taker *taker = arg;
    taker->err = fkli_credit_take_until(taker->credit, taker->deadline, "test");
    if (taker->err == FKL_OK) {
        atomic_fetch_add(taker->sum, 1);
    }
    return NULL;
}

static bool queued(fkli_credit *credit, unsigned count)
{
    return (fkli_load_acquire_u64(&credit->word) >> 32 & 0x7fffffff) == count;
}

Test(credit, close_ends_all_waits, .timeout = 60)
{
    enum { COUNT = 5 };
    fkli_credit credit;
    atomic_int sum = 0;
    struct taker takers[COUNT];
    pthread_t threads[COUNT];
    fkli_credit_init(&credit, 0, 5);
    for (int i = 0; i < COUNT; i++) {
        takers[i] = (struct taker){&credit, FKL_FOREVER, &sum, FKL_OK};
        cr_assert_eq(pthread_create(&threads[i], NULL, take, &takers[i]), 0);
    }
    assert_eventually(queued(&credit, COUNT));
    fkli_credit_close(&credit);
    for (int i = 0; i < COUNT; i++) {
        pthread_join(threads[i], NULL);
        assert_err(takers[i].err, FKL_ECLOSED);
    }
    cr_assert(queued(&credit, 0));
    fkli_credit_fini(&credit);
}

// Deadlines that pass at about the time at which units come: each unit is taken or still there.
Test(credit, no_unit_is_lost_to_a_timeout, .timeout = 120)
{
    enum { COUNT = 4, UNITS = 4 };
    for (int round = 0; round < 200; round++) {
        fkli_credit credit;
        atomic_int sum = 0;
        struct taker takers[COUNT];
        pthread_t threads[COUNT];
        fkl_time moment = fkl_after_ms(1) + round % 7 * 20000;
        fkli_credit_init(&credit, 0, COUNT);
        for (int i = 0; i < COUNT; i++) {
            takers[i] = (struct taker){&credit, i % 2 ? moment : SOON, &sum, FKL_OK};
            cr_assert_eq(pthread_create(&threads[i], NULL, take, &takers[i]), 0);
        }
        while (fkl_now() < moment) {
        }
        for (int i = 0; i < UNITS; i++) {
            assert_ok(fkli_credit_give(&credit));
        }
        // The two patient ones must get a unit each, whatever the others do.
        for (int i = 0; i < COUNT; i++) {
            pthread_join(threads[i], NULL);
            cr_assert(takers[i].err == FKL_OK || (i % 2 && takers[i].err == FKL_ETIMEDOUT),
                      "taker %d: %s", i, fkl_err_name(takers[i].err));
        }
        cr_assert_eq((uint32_t)atomic_load(&sum) + fkli_credit_value(&credit), UNITS);
        cr_assert(queued(&credit, 0));
        fkli_credit_fini(&credit);
    }
}
