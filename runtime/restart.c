// SPDX-License-Identifier: Apache-2.0
//
// Restart intensity and back-off (see restart.h). Plain arithmetic; runs in the thread of one
// supervisor.

#include "restart.h"

// Intensity.

fkl_err fkli_intensity_init(fkli_intensity *intensity, const fkl_allocator *allocator, int32_t max,
                            int64_t period)
{
    *intensity = (fkli_intensity){
        .allocator = allocator,
        .capacity = max < 1 || max == INT32_MAX ? 0 : (size_t)max,
        .period = period,
        .unlimited = max == INT32_MAX,
    };
    if (!intensity->capacity)
        return FKL_OK;
    // Whole from the start: a failure is no time to find that there is no memory.
    intensity->times = fkli_alloc(allocator, intensity->capacity * sizeof *intensity->times);
    return intensity->times ? FKL_OK : FKL_ENOMEM;
}

void fkli_intensity_fini(fkli_intensity *intensity)
{
    fkli_free(intensity->allocator, intensity->times,
              intensity->capacity * sizeof *intensity->times);
}

bool fkli_intensity_note(fkli_intensity *intensity, fkl_time now)
{
    if (intensity->unlimited)
        return false;
    if (!intensity->capacity)
        return true;
    if (intensity->len < intensity->capacity) {
        intensity->times[intensity->len++] = now;
        return false;
    }
    // The oldest of the ring is `capacity` failures ago, this one not counted.
    bool too_many = now - intensity->times[intensity->oldest] <= intensity->period;
    intensity->times[intensity->oldest] = now;
    intensity->oldest = (intensity->oldest + 1) % intensity->capacity;
    return too_many;
}

// Back-off.

// A small generator with a good distribution whatever the seed: a counter in steps of an odd
// number, mixed.
static uint64_t next_random(uint64_t *state)
{
    uint64_t mixed = *state += UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static int64_t doubled(int64_t value, uint32_t times, int64_t most)
{
    for (; times > 0 && value < most; --times)
        value = value > most / 2 ? most : 2 * value;
    return value < most ? value : most;
}

int64_t fkli_backoff_next(fkli_backoff *backoff, uint32_t *streak)
{
    if (backoff->first <= 0)
        return 0;
    int64_t delay = doubled(backoff->first, *streak, backoff->most);
    if (*streak < UINT32_MAX)
        ++*streak;
    // In two parts, so that the product cannot overflow.
    int64_t span = delay / 100 * backoff->jitter + delay % 100 * backoff->jitter / 100;
    if (span > 0)
        delay -= (int64_t)(next_random(&backoff->random) % ((uint64_t)span + 1));
    return delay;
}
