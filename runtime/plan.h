// SPDX-License-Identifier: Apache-2.0
//
// Plans: checked deep copies of what users say about supervisors and children, with the defaults
// filled in. They do not change and are counted, so that all incarnations of a supervisor share
// one. Any thread.
#ifndef FKLI_PLAN_H
#define FKLI_PLAN_H

#include <forkless/supervisor.h>

#include "memory.h"
#include "platform/atomic.h"

typedef struct fkli_supervisor_plan fkli_supervisor_plan;

typedef struct fkli_child_plan {
    fkli_atomic_u32 refs;
    const fkl_allocator *allocator;
    size_t size;                      // of the block; the strings of `spec` are in it
    fkl_child_spec spec;              // `supervisor` is NULL
    fkli_supervisor_plan *supervisor; // in place of it
    fkl_behaviour behaviour;          // what spec.behaviour points to, unless that is NULL
} fkli_child_plan;

struct fkli_supervisor_plan {
    fkli_atomic_u32 refs;
    const fkl_allocator *allocator;
    fkl_supervisor_options options; // `children` is NULL
    size_t child_count;
    fkli_child_plan *children[];
};

// With one reference. The allocator must outlive it. Errors: FKL_EINVAL, FKL_ENOMEM.
FKL_MUST_CHECK fkl_err fkli_child_plan_create(const fkl_allocator *allocator,
                                              const fkl_child_spec *spec, fkli_child_plan **out);
fkli_child_plan *fkli_child_plan_retain(fkli_child_plan *plan);
void fkli_child_plan_release(fkli_child_plan *plan); // NULL is allowed

// NULL for `options`: the defaults, and no children.
FKL_MUST_CHECK fkl_err fkli_supervisor_plan_create(const fkl_allocator *allocator,
                                                   const fkl_supervisor_options *options,
                                                   fkli_supervisor_plan **out);
fkli_supervisor_plan *fkli_supervisor_plan_retain(fkli_supervisor_plan *plan);
void fkli_supervisor_plan_release(fkli_supervisor_plan *plan); // NULL is allowed

#endif
