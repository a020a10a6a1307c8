// SPDX-License-Identifier: Apache-2.0
//
// The public clock: now, deadlines from spans, and sleeping. Any thread runs this.

#include "platform/platform.h"
#include "wait.h"

fkl_time fkl_now(void)
{
    return fkli_clock_now();
}

fkl_time fkl_after_ns(int64_t ns)
{
    fkl_time now = fkli_clock_now();
    if (ns <= 0)
        return now;
    return ns > FKL_FOREVER - now ? FKL_FOREVER : now + ns;
}

fkl_time fkl_after_ms(int64_t ms)
{
    return fkl_after_ns(ms > FKL_FOREVER / 1000000 ? FKL_FOREVER : ms < 0 ? 0 : ms * 1000000);
}

fkl_err fkl_sleep_until(fkl_time deadline)
{
    fkli_thread *thread = fkli_thread_current();
    for (;;) {
        fkl_err err = fkli_wait_cancelled(thread);
        if (err)
            return err;
        if (fkli_deadline_passed(deadline))
            return FKL_OK;
        err = fkli_wait_park(thread, deadline, "sleep");
        if (err && err != FKL_ETIMEDOUT)
            return err;
    }
}
