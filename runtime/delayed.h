// SPDX-License-Identifier: Apache-2.0
//
// The table of the messages of one runtime that will be sent later (forkless/timer.h).
#ifndef FKLI_DELAYED_H
#define FKLI_DELAYED_H

#include <forkless/timer.h>

typedef struct fkli_delayed fkli_delayed;

// `allocator` outlives the table. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_delayed_create(const fkl_allocator *allocator, fkli_delayed **out);
// After the runtime's timers have been stopped. NULL is allowed.
void fkli_delayed_destroy(fkli_delayed *delayed);

#endif
