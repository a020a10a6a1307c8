// SPDX-License-Identifier: Apache-2.0
//
// When to restart: how many failures a supervisor bears within a period, and how long a failed
// child waits. Nothing here reads a clock: callers say what time it is. One thread at a time.
#ifndef FKLI_RESTART_H
#define FKLI_RESTART_H

#include <forkless/clock.h>

#include "memory.h"

// The times of the latest failures, as many as are allowed within a period.
typedef struct fkli_intensity {
    const fkl_allocator *allocator;
    fkl_time *times; // a ring; NULL when none or any number is allowed
    size_t capacity;
    size_t len;
    size_t oldest;
    int64_t period;
    bool unlimited;
} fkli_intensity;

// More than `max` failures within `period` ns are too many; INT32_MAX: none are, below 1: the first
// is. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_intensity_init(fkli_intensity *intensity,
                                           const fkl_allocator *allocator, int32_t max,
                                           int64_t period);
void fkli_intensity_fini(fkli_intensity *intensity);
// Notes a failure at `now`, which is not before the last one; returns whether that is too many.
FKL_MUST_CHECK bool fkli_intensity_note(fkli_intensity *intensity, fkl_time now);

typedef struct fkli_backoff {
    int64_t first; // ns
    int64_t most;
    uint32_t jitter; // percent
    uint64_t random; // state of the generator
} fkli_backoff;

// The delay before the next start of a child that has failed `*streak` times in a row before this
// time; counts the streak on.
int64_t fkli_backoff_next(fkli_backoff *backoff, uint32_t *streak);

#endif
