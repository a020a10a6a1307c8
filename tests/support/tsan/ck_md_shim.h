// SPDX-License-Identifier: Apache-2.0
//
// Force-included (-include) in ThreadSanitizer builds, ahead of any Concurrency Kit header.
//
// ck's x86 port is inline assembly, which ThreadSanitizer cannot see, and even its builtin port
// reads and writes shared words with plain volatile accesses and compiler barriers. Both look like
// data races. Here the port's loads and stores become acquire and release atomics; all of ck's
// read-modify-write operations are built on those and on __sync builtins, which are instrumented.
//
// The shim orders more than ck promises on weak machines: it hides a missing fence. It finds
// unsynchronised data, it does not prove the memory ordering.
#ifndef FKL_TESTS_SUPPORT_TSAN_CK_MD_SHIM_H
#define FKL_TESTS_SUPPORT_TSAN_CK_MD_SHIM_H

#define CK_USE_CC_BUILTINS 1

#include <stdint.h>

// The port's own loads and stores are compiled under names that nobody calls.
#define ck_pr_md_load_ptr fkl_unused_load_ptr
#define ck_pr_md_load_char fkl_unused_load_char
#define ck_pr_md_load_uint fkl_unused_load_uint
#define ck_pr_md_load_int fkl_unused_load_int
#define ck_pr_md_load_64 fkl_unused_load_64
#define ck_pr_md_load_32 fkl_unused_load_32
#define ck_pr_md_load_16 fkl_unused_load_16
#define ck_pr_md_load_8 fkl_unused_load_8
#define ck_pr_md_store_ptr fkl_unused_store_ptr
#define ck_pr_md_store_char fkl_unused_store_char
#define ck_pr_md_store_uint fkl_unused_store_uint
#define ck_pr_md_store_int fkl_unused_store_int
#define ck_pr_md_store_64 fkl_unused_store_64
#define ck_pr_md_store_32 fkl_unused_store_32
#define ck_pr_md_store_16 fkl_unused_store_16
#define ck_pr_md_store_8 fkl_unused_store_8

#define CK_PR_H // the port header insists on being included by ck_pr.h
#include <gcc/ck_pr.h>
#undef CK_PR_H

#undef ck_pr_md_load_ptr
#undef ck_pr_md_load_char
#undef ck_pr_md_load_uint
#undef ck_pr_md_load_int
#undef ck_pr_md_load_64
#undef ck_pr_md_load_32
#undef ck_pr_md_load_16
#undef ck_pr_md_load_8
#undef ck_pr_md_store_ptr
#undef ck_pr_md_store_char
#undef ck_pr_md_store_uint
#undef ck_pr_md_store_int
#undef ck_pr_md_store_64
#undef ck_pr_md_store_32
#undef ck_pr_md_store_16
#undef ck_pr_md_store_8

#define FKL_ATOMIC_ACCESS(suffix, type)                                                            \
    static inline type ck_pr_md_load_##suffix(const type *target)                                  \
    {                                                                                              \
        return __atomic_load_n(target, __ATOMIC_ACQUIRE);                                          \
    }                                                                                              \
    static inline void ck_pr_md_store_##suffix(type *target, type value)                           \
    {                                                                                              \
        __atomic_store_n(target, value, __ATOMIC_RELEASE);                                         \
    }

FKL_ATOMIC_ACCESS(char, char)
FKL_ATOMIC_ACCESS(uint, unsigned int)
FKL_ATOMIC_ACCESS(int, int)
FKL_ATOMIC_ACCESS(64, uint64_t)
FKL_ATOMIC_ACCESS(32, uint32_t)
FKL_ATOMIC_ACCESS(16, uint16_t)
FKL_ATOMIC_ACCESS(8, uint8_t)

#undef FKL_ATOMIC_ACCESS

static inline void *ck_pr_md_load_ptr(const void *target)
{
    return __atomic_load_n((void *const *)target, __ATOMIC_ACQUIRE);
}

static inline void ck_pr_md_store_ptr(void *target, const void *value)
{
    __atomic_store_n((void **)target, (void *)(uintptr_t)value, __ATOMIC_RELEASE);
}

#include <ck_pr.h>

#endif
