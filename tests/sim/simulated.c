// SPDX-License-Identifier: Apache-2.0
//
// The simulation itself: its clock, its parkers and locks, and that it notices what it is there
// for.

#include "support/sim.h"

static const int64_t hour = INT64_C(3600) * 1000000000;

struct sleeper {
    fkl_time deadline;
    fkl_time woke;
    sim_task task;
};

static void sleep_once(void *arg)
{
    struct sleeper *sleeper = arg;
    SIM_OK(fkl_sleep_until(sleeper->deadline));
    sleeper->woke = fkl_now();
}

SIM_SCENARIO(an_hour_passes_when_all_sleep)
{
    struct sleeper sleepers[3];
    fkl_time start = fkl_now();
    for (int i = 0; i < 3; ++i) {
        sleepers[i].deadline = start + (3 - i) * hour;
        sim_start(&sleepers[i].task, "sleeper", sleep_once, &sleepers[i]);
    }
    for (int i = 0; i < 3; ++i)
        sim_join(&sleepers[i].task);
    for (int i = 0; i < 3; ++i) {
        fkl_time late = sleepers[i].woke - sleepers[i].deadline;
        SIM_CHECK(late >= 0 && late < hour / 2, "late by %lld", (long long)late);
    }
}

static void set(void *arg)
{
    fkli_store_release_u32(arg, 1);
}

SIM_SCENARIO(a_loop_that_spins_lets_the_others_go_on)
{
    fkli_atomic_u32 word = {0};
    sim_task setter;
    sim_start(&setter, "setter", set, &word);
    while (!fkli_load_acquire_u32(&word))
        fkli_spin_hint();
    sim_join(&setter);
}

SIM_SCENARIO(a_loop_that_does_not_say_so_does_too)
{
    fkli_atomic_u32 word = {0};
    sim_task setter;
    sim_start(&setter, "setter", set, &word);
    while (!fkli_load_acquire_u32(&word)) {
    }
    sim_join(&setter);
}

SIM_SCENARIO(time_passes_for_who_spins_until_a_deadline)
{
    fkl_time deadline = fkl_after_ms(100);
    while (fkl_now() < deadline)
        sim_yield();
}

struct locked {
    fkli_lock lock;
    uint32_t inside;
    uint32_t rounds;
};

static void lock_and_unlock(void *arg)
{
    struct locked *locked = arg;
    for (int i = 0; i < 3; ++i) {
        fkli_lock_take(&locked->lock);
        SIM_CHECK(++locked->inside == 1, "%u threads hold the lock", locked->inside);
        FKLI_SCHED_POINT();
        ++locked->rounds;
        --locked->inside;
        fkli_lock_give(&locked->lock);
    }
}

SIM_SCENARIO(one_thread_at_a_time_holds_a_lock)
{
    struct locked locked = {.rounds = 0};
    sim_task tasks[3];
    fkli_lock_init(&locked.lock);
    for (int i = 0; i < 3; ++i)
        sim_start(&tasks[i], "locker", lock_and_unlock, &locked);
    for (int i = 0; i < 3; ++i)
        sim_join(&tasks[i]);
    SIM_CHECK(locked.rounds == 9, "%u", locked.rounds);
    fkli_lock_fini(&locked.lock);
}

struct parked {
    fkli_parker parker;
    fkli_atomic_u32 told;
};

static void tell(void *arg)
{
    struct parked *parked = arg;
    fkli_store_relaxed_u32(&parked->told, 1);
    fkli_unpark(&parked->parker);
}

SIM_SCENARIO(a_token_is_never_lost, .faults = SIM_SIGNALS)
{
    struct parked parked = {.told = {0}};
    sim_task teller;
    fkli_parker_init(&parked.parker);
    sim_start(&teller, "teller", tell, &parked);
    while (!fkli_load_relaxed_u32(&parked.told)) {
        fkl_time deadline = sim_deadline();
        fkli_park_result result = fkli_park(&parked.parker, deadline);
        SIM_CHECK(result != FKLI_PARK_TIMEOUT || fkl_now() >= deadline, "too early");
    }
    sim_join(&teller);
    fkli_parker_fini(&parked.parker);
}

static void pass(void *arg)
{
    sim_pass(arg);
}

SIM_SCENARIO(who_waits_for_nothing_is_noticed, .expected = SIM_DEADLOCKS)
{
    sim_gate gate = {{0}};
    sim_task waiter;
    sim_start(&waiter, "waiter", pass, &gate);
    sim_join(&waiter);
}

SIM_SCENARIO(who_never_gets_anywhere_is_noticed, .expected = SIM_LOOPS)
{
    fkli_atomic_u32 word = {0};
    while (!fkli_load_acquire_u32(&word))
        fkli_spin_hint();
}

SIM_SCENARIO(what_depends_on_earlier_seeds_is_noticed, .expected = SIM_VARIES)
{
    static int runs;
    for (int i = 0; i < runs; ++i)
        sim_yield();
    ++runs;
}
