// SPDX-License-Identifier: Apache-2.0
//
// How many failures within a period are too many, and how long a back-off is. The tests say what
// time it is.
#include "support/rig.h"

#include "restart.h"

#include "memory.h"

static bool note(fkli_intensity *intensity, fkl_time now)
{
    return fkli_intensity_note(intensity, now);
}

static fkli_intensity intensity_of(int32_t max, int64_t period)
{
    fkli_intensity intensity;
    assert_ok(fkli_intensity_init(&intensity, fkli_allocator_of(NULL), max, period));
    return intensity;
}

Test(restart, one_failure_more_than_allowed_is_too_many)
{
    fkli_intensity intensity = intensity_of(3, 1000);
    cr_assert_not(note(&intensity, 10));
    cr_assert_not(note(&intensity, 10));
    cr_assert_not(note(&intensity, 500));
    cr_assert(note(&intensity, 1000));
    fkli_intensity_fini(&intensity);
}

Test(restart, failures_are_forgotten_after_the_period)
{
    fkli_intensity intensity = intensity_of(2, 1000);
    for (fkl_time now = 1; now < 100000; now += 501) {
        cr_assert_not(note(&intensity, now), "at %lld", (long long)now);
    }
    fkli_intensity_fini(&intensity);
}

Test(restart, the_period_includes_its_end)
{
    fkli_intensity at_end = intensity_of(1, 1000), after_end = intensity_of(1, 1000);
    cr_assert_not(note(&at_end, 5));
    cr_assert(note(&at_end, 1005));
    cr_assert_not(note(&after_end, 5));
    cr_assert_not(note(&after_end, 1006));
    fkli_intensity_fini(&at_end);
    fkli_intensity_fini(&after_end);
}

Test(restart, the_window_slides)
{
    fkli_intensity intensity = intensity_of(2, 100);
    cr_assert_not(note(&intensity, 0));
    cr_assert_not(note(&intensity, 90));
    cr_assert_not(note(&intensity, 110)); // the first is 110 ago
    cr_assert(note(&intensity, 120));     // the second is 30 ago
    fkli_intensity_fini(&intensity);
}

Test(restart, none_allowed_means_that_the_first_is_too_many)
{
    fkli_intensity intensity = intensity_of(-1, 1000);
    cr_assert(note(&intensity, 1));
    fkli_intensity_fini(&intensity);
}

Test(restart, unlimited_is_never_too_many)
{
    fkli_intensity intensity = intensity_of(INT32_MAX, INT64_MAX);
    for (int i = 0; i < 10000; i++) {
        cr_assert_not(note(&intensity, 1));
    }
    fkli_intensity_fini(&intensity);
}

Test(restart, intensity_reports_that_there_is_no_memory)
{
    rig_memory memory = {.fail_at = 1};
    fkl_allocator allocator = rig_allocator(&memory);
    fkli_intensity intensity;
    assert_err(fkli_intensity_init(&intensity, &allocator, 5, 1000), FKL_ENOMEM);
    fkli_intensity_fini(&intensity);
    rig_assert_balanced(&memory);
}

static void assert_delays(fkli_backoff *backoff, const int64_t *expected, int count)
{
    uint32_t streak = 0;
    for (int i = 0; i < count; i++) {
        int64_t delay = fkli_backoff_next(backoff, &streak);
        cr_assert_eq(delay, expected[i], "delay %d is %lld, not %lld", i, (long long)delay,
                     (long long)expected[i]);
    }
}

Test(restart, without_a_first_delay_there_is_none)
{
    fkli_backoff backoff = {.most = 1000, .jitter = 50};
    assert_delays(&backoff, (int64_t[]){0, 0, 0}, 3);
}

Test(restart, delays_double_up_to_the_most)
{
    fkli_backoff backoff = {.first = 10, .most = 100};
    assert_delays(&backoff, (int64_t[]){10, 20, 40, 80, 100, 100, 100}, 7);
}

Test(restart, a_first_delay_above_the_most_is_cut)
{
    fkli_backoff backoff = {.first = 10, .most = 7};
    assert_delays(&backoff, (int64_t[]){7, 7}, 2);
}

Test(restart, delays_do_not_overflow)
{
    fkli_backoff backoff = {.first = INT64_MAX / 3, .most = INT64_MAX, .jitter = 100};
    uint32_t streak = 0;
    for (int i = 0; i < 200; i++) {
        cr_assert_geq(fkli_backoff_next(&backoff, &streak), 0);
    }
    streak = UINT32_MAX;
    cr_assert_geq(fkli_backoff_next(&backoff, &streak), 0);
    cr_assert_eq(streak, UINT32_MAX);
}

Test(restart, a_streak_that_ended_begins_anew)
{
    fkli_backoff backoff = {.first = 5, .most = 1000};
    uint32_t streak = 0;
    for (int i = 0; i < 5; i++) {
        fkli_backoff_next(&backoff, &streak);
    }
    streak = 0;
    cr_assert_eq(fkli_backoff_next(&backoff, &streak), 5);
}

Test(restart, jitter_shortens_by_no_more_than_it_may)
{
    fkli_backoff backoff = {.first = 1000, .most = 1000, .jitter = 25, .random = 42};
    uint32_t streak = 0;
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 2000; i++) {
        int64_t delay = fkli_backoff_next(&backoff, &streak);
        least = delay < least ? delay : least;
        most = delay > most ? delay : most;
    }
    cr_assert_geq(least, 750);
    cr_assert_leq(least, 755, "the lower end is never met: %lld", (long long)least);
    cr_assert_leq(most, 1000);
    cr_assert_geq(most, 995, "the upper end is never met: %lld", (long long)most);
}

Test(restart, the_seed_decides_the_jitter)
{
    fkli_backoff one = {.first = 1000000, .most = 1000000, .jitter = 100, .random = 1};
    fkli_backoff same = one, other = one;
    uint32_t streaks[3] = {0};
    int differ = 0;
    other.random = 2;
    for (int i = 0; i < 50; i++) {
        int64_t delay = fkli_backoff_next(&one, &streaks[0]);
        cr_assert_eq(fkli_backoff_next(&same, &streaks[1]), delay);
        differ += fkli_backoff_next(&other, &streaks[2]) != delay;
    }
    cr_assert_gt(differ, 40);
}
