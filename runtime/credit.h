// SPDX-License-Identifier: Apache-2.0
//
// The counting semaphore behind fkl_sem, fkl_mutex and a bounded channel's free places.
#ifndef FKLI_CREDIT_H
#define FKLI_CREDIT_H

#include <forkless/error.h>

#include "wait.h"

// One word holds everything that decides: bits 0–31 the value, bits 32–61 how many waiters are
// queued, bit 62 that somebody sees to the waking, bit 63 closed.
typedef struct fkli_credit {
    fkli_atomic_u64 word;
    uint32_t max; // constant
    fkli_lock lock;
    fkli_waitlist waiters; // guarded by lock
} fkli_credit;

void fkli_credit_init(fkli_credit *credit, uint32_t value, uint32_t max);
void fkli_credit_fini(fkli_credit *credit);

// Takes one without waiting. Errors: FKL_EEMPTY, FKL_ECLOSED.
FKL_MUST_CHECK fkl_err fkli_credit_try_take(fkli_credit *credit);
// Takes one. Errors: FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR, FKL_ECLOSED.
FKL_MUST_CHECK fkl_err fkli_credit_take_until(fkli_credit *credit, fkl_time deadline,
                                              const char *where);
// Gives one back and wakes a waiter. Errors: FKL_EOVERFLOW.
FKL_MUST_CHECK fkl_err fkli_credit_give(fkli_credit *credit);
// Watching it together with other things, without taking anything. The first says whether a take
// would not wait. The second says so too, or has queued the waiter, which is popped when there may
// be a unit; `was_popped`: by the watch before. The third ends a watch that said false, popped or
// not.
bool fkli_credit_can_take(const fkli_credit *credit);
bool fkli_credit_watch(fkli_credit *credit, fkli_waiter *waiter, bool was_popped);
void fkli_credit_unwatch(fkli_credit *credit, fkli_waiter *waiter);
// From now on nothing can be taken; all waits end with FKL_ECLOSED.
void fkli_credit_close(fkli_credit *credit);
uint32_t fkli_credit_value(const fkli_credit *credit);

#endif
