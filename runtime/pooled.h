// SPDX-License-Identifier: Apache-2.0
//
// Pooled actors: the scheduler of a runtime, whose tasks are actors.
#ifndef FKLI_POOLED_H
#define FKLI_POOLED_H

#include "actor.h"

// Makes the runtime's scheduler, without workers. Errors: FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_pool_create(fkl_runtime *runtime);

// fkl_spawn_pooled() with checked arguments, and the actor's reference to `ward`, which may be NULL
// and passes to the spawn, also if that fails.
FKL_MUST_CHECK fkl_err fkli_spawn_pooled(fkl_runtime *runtime, const fkl_spawn_options *options,
                                         fkli_ward *ward, const fkl_behaviour *behaviour,
                                         void *state, fkl_actor **out);

#endif
