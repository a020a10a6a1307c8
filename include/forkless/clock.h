// SPDX-License-Identifier: Apache-2.0
//
// Time. Every blocking call of the library takes an absolute deadline on the monotonic clock, so a
// wait that is interrupted and resumed does not grow.
#ifndef FORKLESS_CLOCK_H
#define FORKLESS_CLOCK_H

#include <forkless/base.h>
#include <forkless/error.h>

FKL_BEGIN_DECLS

// Nanoseconds on the monotonic clock of the system.
typedef int64_t fkl_time;

// A deadline that never comes.
#define FKL_FOREVER INT64_MAX
// A deadline that has passed: the call does not block, and reports FKL_ETIMEDOUT.
#define FKL_NO_WAIT ((fkl_time)0)

// The current time. Blocks: never.
FKL_API fkl_time fkl_now(void);

// The deadline `ns` nanoseconds from now; saturates at FKL_FOREVER, and a negative `ns` is now.
FKL_API fkl_time fkl_after_ns(int64_t ns);

// The deadline `ms` milliseconds from now; saturates likewise.
FKL_API fkl_time fkl_after_ms(int64_t ms);

// Sleeps until `deadline`. A cancellation point like every wait of the library.
// Blocks: until the deadline. Errors: FKL_OK at the deadline; FKL_ESTOPPED when the calling actor
// is asked to stop; FKL_EINTR after fkl_actor_interrupt() or a signal handled by this thread (on
// Linux; a handler installed with SA_RESTART lets a wait without deadline go on).
FKL_API FKL_MUST_CHECK fkl_err fkl_sleep_until(fkl_time deadline);

FKL_END_DECLS

#endif
