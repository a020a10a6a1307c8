// SPDX-License-Identifier: Apache-2.0
//
// Waiting: lists of waiters, scopes that end waits, and events, step by step; and that a wake-up
// passes between threads in every order of events.
#include "support/rig.h"

#include "wait.h"

#include <pthread.h>

// ---- lists

Test(wait, waiters_leave_a_list_in_order_of_arrival)
{
    fkli_waitlist list = {NULL, NULL};
    fkli_thread *threads[3];
    fkli_waiter waiters[3];
    cr_assert_null(fkli_waitlist_pop_locked(&list));
    fkli_wake(NULL);
    for (int i = 0; i < 3; i++) {
        threads[i] = malloc(sizeof *threads[i]);
        cr_assert_not_null(threads[i]);
        fkli_thread_init(threads[i], NULL, NULL);
        fkli_waiter_init(&waiters[i], threads[i]);
    }
    fkli_waitlist_append_locked(&list, &waiters[1]);
    fkli_waitlist_append_locked(&list, &waiters[2]);
    fkli_waitlist_prepend_locked(&list, &waiters[0]);
    for (int i = 0; i < 3; i++) {
        fkli_wakeup wakeup = fkli_waitlist_pop_locked(&list);
        cr_assert_eq(wakeup, threads[i]);
        cr_assert_not(fkli_waitlist_remove_locked(&list, &waiters[i]), "it has been popped");
        fkli_wake(wakeup);
        cr_assert_eq(fkli_park(&threads[i]->parker, FKL_FOREVER), FKLI_PARK_WOKEN);
        cr_assert_eq(fkli_load_relaxed_u32(&threads[i]->pins), 0);
        fkli_thread_fini(threads[i]);
        free(threads[i]);
    }
    cr_assert_null(fkli_waitlist_pop_locked(&list));
}

Test(wait, any_waiter_can_be_taken_out)
{
    for (int victim = 0; victim < 3; victim++) {
        fkli_waitlist list = {NULL, NULL};
        fkli_thread thread;
        fkli_waiter waiters[3];
        fkli_thread_init(&thread, NULL, NULL);
        for (int i = 0; i < 3; i++) {
            fkli_waiter_init(&waiters[i], &thread);
            fkli_waitlist_append_locked(&list, &waiters[i]);
        }
        cr_assert(fkli_waitlist_remove_locked(&list, &waiters[victim]));
        cr_assert_not(fkli_waitlist_remove_locked(&list, &waiters[victim]));
        fkli_waitlist_append_locked(&list, &waiters[victim]); // and comes back, at the end
        int order[3] = {victim == 0 ? 1 : 0, victim == 2 ? 1 : 2, victim};
        for (int i = 0; i < 3; i++) {
            cr_assert_eq(list.first, &waiters[order[i]]);
            fkli_wake(fkli_waitlist_pop_locked(&list));
        }
        cr_assert_null(list.last);
        fkli_thread_fini(&thread);
    }
}

// ---- scopes

Test(wait, a_stop_stays_and_an_interrupt_is_consumed)
{
    fkli_thread thread;
    fkli_scope scope;
    fkli_thread_init(&thread, NULL, &scope);
    fkli_scope_init(&scope, &thread);
    assert_ok(fkli_wait_cancelled(&thread));
    fkli_scope_interrupt(&scope);
    fkli_scope_interrupt(&scope);
    assert_err(fkli_wait_cancelled(&thread), FKL_EINTR);
    assert_ok(fkli_wait_cancelled(&thread));
    fkli_scope_stop(&scope);
    fkli_scope_stop(&scope);
    cr_assert(fkli_scope_has(&scope, FKLI_SCOPE_STOP));
    assert_err(fkli_wait_cancelled(&thread), FKL_ESTOPPED);
    assert_err(fkli_wait_cancelled(&thread), FKL_ESTOPPED);
    cr_assert_not(fkli_scope_has(&scope, FKLI_SCOPE_ENDED));
    fkli_scope_set_ended(&scope);
    cr_assert(fkli_scope_has(&scope, FKLI_SCOPE_ENDED));
    fkli_scope_fini(&scope);
    fkli_thread_fini(&thread);
}

Test(wait, an_interrupt_is_for_the_scopes_own_thread)
{
    fkli_thread own, helper;
    fkli_scope scope;
    fkli_thread_init(&own, NULL, &scope);
    fkli_scope_init(&scope, &own);
    fkli_thread_init(&helper, NULL, NULL);
    fkli_thread_move(&helper, NULL, &scope);
    fkli_scope_interrupt(&scope);
    assert_ok(fkli_wait_cancelled(&helper));
    assert_err(fkli_wait_cancelled(&own), FKL_EINTR);
    fkli_scope_stop(&scope);
    assert_err(fkli_wait_cancelled(&helper), FKL_ESTOPPED);
    fkli_thread_move(&helper, NULL, NULL);
    assert_ok(fkli_wait_cancelled(&helper));
    fkli_scope_fini(&scope);
}

// The first, the middle and the last of three helpers leave; those who stay are stopped.
Test(wait, helpers_come_and_go_in_any_order)
{
    for (int gone = 0; gone < 3; gone++) {
        fkli_scope scope;
        fkli_thread helpers[3];
        fkli_scope_init(&scope, NULL);
        for (int i = 0; i < 3; i++) {
            fkli_thread_init(&helpers[i], NULL, NULL);
            fkli_thread_move(&helpers[i], NULL, &scope);
        }
        fkli_thread_move(&helpers[gone], NULL, NULL);
        fkli_scope_stop(&scope);
        for (int i = 0; i < 3; i++) {
            fkli_park_result expected = i == gone ? FKLI_PARK_TIMEOUT : FKLI_PARK_WOKEN;
            cr_assert_eq(fkli_park(&helpers[i].parker, FKL_NO_WAIT), expected);
            if (i != gone) {
                fkli_thread_move(&helpers[i], NULL, NULL);
            }
        }
        cr_assert_null(scope.helpers);
        fkli_scope_fini(&scope);
    }
}

// ---- threads

static void *two_records(void *arg)
{
    uint64_t *serial = arg;
    fkli_thread *none = fkli_thread_peek();
    fkli_thread *thread = fkli_thread_current();
    serial[0] = none ? 0 : thread->serial;
    serial[1] = fkli_thread_current()->serial;
    return NULL;
}

Test(wait, each_thread_has_a_record_with_its_own_number)
{
    uint64_t serials[4][2] = {{0}};
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        cr_assert_eq(pthread_create(&thread, NULL, two_records, serials[i]), 0);
        pthread_join(thread, NULL);
        cr_assert_neq(serials[i][0], 0);
        cr_assert_eq(serials[i][0], serials[i][1]);
        for (int j = 0; j < i; j++) {
            cr_assert_neq(serials[i][0], serials[j][0], "a number came twice");
        }
    }
}

// ---- awaiting and events

struct awaiter {
    fkli_event *event;
    atomic_int *ready;
    fkl_err err;
};

static void *await_event(void *arg)
{
    struct awaiter *awaiter = arg;
    atomic_fetch_add(awaiter->ready, 1);
    awaiter->err = fkli_event_wait(awaiter->event, FKL_FOREVER, "test");
    return NULL;
}

// The event comes when the waiters are about to sleep, a little later each time.
Test(wait, an_event_ends_the_waits_for_it_before_and_after, .timeout = 60)
{
    enum { COUNT = 2 };
    for (int round = 0; round < 600; round++) {
        fkli_event event;
        atomic_int ready = 0;
        struct awaiter awaiters[COUNT];
        pthread_t threads[COUNT];
        fkli_event_init(&event);
        cr_assert_not(fkli_event_is_set(&event));
        for (int i = 0; i < COUNT; i++) {
            awaiters[i] = (struct awaiter){&event, &ready, FKL_EINVAL};
            cr_assert_eq(pthread_create(&threads[i], NULL, await_event, &awaiters[i]), 0);
        }
        while (atomic_load(&ready) < COUNT) {
            fkli_thread_yield();
        }
        rig_spin(round * 10);
        fkli_event_set(&event);
        fkli_event_wake(&event);
        for (int i = 0; i < COUNT; i++) {
            pthread_join(threads[i], NULL);
            assert_ok(awaiters[i].err);
        }
        assert_ok(fkli_event_wait(&event, FKL_FOREVER, "test"));
        fkli_event_fini(&event);
    }
}

Test(wait, an_event_that_never_comes_times_out)
{
    fkli_event event;
    fkli_event_init(&event);
    fkl_time deadline = fkl_after_ms(20);
    assert_err(fkli_event_wait(&event, FKL_NO_WAIT, "test"), FKL_ETIMEDOUT);
    assert_err(fkli_event_wait(&event, deadline, "test"), FKL_ETIMEDOUT);
    cr_assert_geq(fkl_now(), deadline);
    cr_assert_null(event.waiters.first, "nobody is left in the list");
    fkli_event_fini(&event);
}

// The waiter is popped first and the interrupt comes before it looks: the wait succeeds, and the
// interrupt is there for the next one.
Test(wait, an_interrupt_that_meets_a_wake_is_kept)
{
    fkli_thread thread;
    fkli_scope scope;
    fkli_waitlist list = {NULL, NULL};
    fkli_waiter waiter;
    fkli_thread_init(&thread, NULL, &scope);
    fkli_scope_init(&scope, &thread);
    fkli_waiter_init(&waiter, &thread);
    fkli_waitlist_append_locked(&list, &waiter);
    fkli_wakeup wakeup = fkli_waitlist_pop_locked(&list);
    fkli_scope_interrupt(&scope);
    fkli_wake(wakeup);
    fkl_err first = fkli_await(&waiter, FKL_FOREVER, "test");
    fkl_err second = fkli_wait_cancelled(&thread);
    cr_assert_neq(first == FKL_EINTR, second == FKL_EINTR, "%s, then %s", fkl_err_name(first),
                  fkl_err_name(second));
    fkli_scope_fini(&scope);
    fkli_thread_fini(&thread);
}

Test(wait, deadlines_have_passed_or_not)
{
    cr_assert(fkli_deadline_passed(FKL_NO_WAIT));
    cr_assert(fkli_deadline_passed(-1));
    cr_assert(fkli_deadline_passed(fkl_now()));
    cr_assert_not(fkli_deadline_passed(FKL_FOREVER));
    cr_assert_not(fkli_deadline_passed(fkl_after_ms(60000)));
}
