// SPDX-License-Identifier: Apache-2.0
//
// The default allocator, and the calls through an injected one. Any thread runs this; there is no
// state.

#include "memory.h"

#include <stdlib.h>
#include <string.h>

static void *default_allocate(size_t size, void *ctx)
{
    (void)ctx;
    return malloc(size);
}

static void *default_resize(void *ptr, size_t old_size, size_t new_size, void *ctx)
{
    (void)old_size;
    (void)ctx;
    return realloc(ptr, new_size);
}

static void default_release(void *ptr, size_t size, void *ctx)
{
    (void)size;
    (void)ctx;
    free(ptr);
}

static const fkl_allocator default_allocator = {
    .allocate = default_allocate,
    .resize = default_resize,
    .release = default_release,
};

const fkl_allocator *fkli_allocator_of(const fkl_runtime *runtime)
{
    return runtime ? (const fkl_allocator *)(const void *)runtime : &default_allocator;
}

void *fkli_alloc(const fkl_allocator *allocator, size_t size)
{
    return allocator->allocate(size ? size : 1, allocator->ctx);
}

void *fkli_alloc_zeroed(const fkl_allocator *allocator, size_t size)
{
    void *ptr = fkli_alloc(allocator, size);
    if (ptr)
        memset(ptr, 0, size);
    return ptr;
}

void *fkli_resize(const fkl_allocator *allocator, void *ptr, size_t old_size, size_t new_size)
{
    if (!ptr)
        return fkli_alloc(allocator, new_size);
    return allocator->resize(ptr, old_size ? old_size : 1, new_size ? new_size : 1, allocator->ctx);
}

void fkli_free(const fkl_allocator *allocator, void *ptr, size_t size)
{
    if (ptr)
        allocator->release(ptr, size ? size : 1, allocator->ctx);
}
