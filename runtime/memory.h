// SPDX-License-Identifier: Apache-2.0
//
// Memory through a runtime's allocator. Objects that may outlive their runtime keep a copy of the
// allocator; messages keep a pointer to it.
#ifndef FKLI_MEMORY_H
#define FKLI_MEMORY_H

#include <forkless/runtime.h>

// The allocator of a runtime, or the default one (malloc) for NULL. A struct fkl_runtime begins
// with its allocator, which lets the layers below it get at it.
const fkl_allocator *fkli_allocator_of(const fkl_runtime *runtime);

// NULL when there is no memory. A size of 0 is taken as 1.
void *fkli_alloc(const fkl_allocator *allocator, size_t size);
void *fkli_alloc_zeroed(const fkl_allocator *allocator, size_t size);
// On failure the old block is untouched.
void *fkli_resize(const fkl_allocator *allocator, void *ptr, size_t old_size, size_t new_size);
// `size` is what was asked for; NULL is allowed.
void fkli_free(const fkl_allocator *allocator, void *ptr, size_t size);

#endif
