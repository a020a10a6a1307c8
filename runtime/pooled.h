// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors: the scheduler of a runtime, whose tasks are actors.
#ifndef FKLI_POOLED_H
#define FKLI_POOLED_H

#include "actor.h"

// Makes the runtime's scheduler, without workers. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_pool_create(fkl_runtime *runtime);

#endif
