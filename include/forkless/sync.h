// SPDX-License-Identifier: Apache-2.0
//
// Semaphores and locks with deadlines that a request to stop ends, for what multiprocessing and C
// programs guard with them. Uncontended operations are one atomic instruction and never enter the
// kernel. The semantics of fkl_sem are those of POSIX sem_t plus an upper bound.
#ifndef FORKLESS_SYNC_H
#define FORKLESS_SYNC_H

#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

typedef struct fkl_sem fkl_sem;

// Errors: FKL_ENOMEM; FKL_EINVAL unless 0 <= value <= max and 1 <= max <= INT32_MAX.
FKL_API FKL_MUST_CHECK fkl_err fkl_sem_create(fkl_runtime *runtime, int64_t value, int64_t max,
                                              fkl_sem **out);
FKL_API fkl_sem *fkl_sem_retain(fkl_sem *sem);
FKL_API void fkl_sem_release(fkl_sem *sem); // drops a reference; fkl_sem_post() gives a unit back

// Takes one unit. Blocks: while the value is 0, until the deadline; waiters are served first come,
// first served, but a newcomer may pass them while a unit is free. Errors: FKL_ETIMEDOUT,
// FKL_ESTOPPED, FKL_EINTR; the value is unchanged then.
FKL_API FKL_MUST_CHECK fkl_err fkl_sem_wait_until(fkl_sem *sem, fkl_time deadline);
FKL_API FKL_MUST_CHECK fkl_err fkl_sem_try_wait(fkl_sem *sem); // FKL_EEMPTY

// Gives one unit back and wakes one waiter. Threads: any. Blocks: never. Errors: FKL_EOVERFLOW when
// the value is `max` already.
FKL_API FKL_MUST_CHECK fkl_err fkl_sem_post(fkl_sem *sem);

// The value now, never negative; a snapshot.
FKL_API int64_t fkl_sem_value(const fkl_sem *sem);

typedef struct fkl_mutex fkl_mutex;

// A mutual exclusion lock that its owner thread may take again (it counts) when `recursive`.
// Errors: FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_mutex_create(fkl_runtime *runtime, bool recursive,
                                                fkl_mutex **out);
FKL_API fkl_mutex *fkl_mutex_retain(fkl_mutex *mutex);
FKL_API void fkl_mutex_release(fkl_mutex *mutex); // drops a reference; does not unlock

// Errors: FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR; FKL_EDEADLK when the caller owns a mutex that is
// not recursive, whatever the deadline.
FKL_API FKL_MUST_CHECK fkl_err fkl_mutex_lock_until(fkl_mutex *mutex, fkl_time deadline);
FKL_API FKL_MUST_CHECK fkl_err fkl_mutex_try_lock(fkl_mutex *mutex); // FKL_EEMPTY when taken
// Errors: FKL_EPERM when the calling thread does not own it.
FKL_API FKL_MUST_CHECK fkl_err fkl_mutex_unlock(fkl_mutex *mutex);
// How often the calling thread holds it; 0 when it does not.
FKL_API uint32_t fkl_mutex_depth(const fkl_mutex *mutex);

FKL_END_DECLS

#endif
