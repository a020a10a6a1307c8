// SPDX-License-Identifier: Apache-2.0
//
// Atomics with their memory order in the name. Every atomic access of the runtime goes through
// these wrappers (the mailbox's through CK's, next to FKLI_SCHED_POINT), so a deterministic
// scheduler can be slid beneath by defining FKLI_SCHED_POINT. The struct wrappers keep plain
// accesses out.
//
// "seq_cst" is used only where a store must be ordered before a load of another word; such places
// say which two words.
#ifndef FKLI_PLATFORM_ATOMIC_H
#define FKLI_PLATFORM_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/simulated.h"

// A point at which a deterministic scheduler may switch threads, and one at which it should, since
// the thread waits in a loop.
#ifndef FKLI_SCHED_POINT
#define FKLI_SCHED_POINT() ((void)0)
#endif
#ifndef FKLI_SPIN_POINT
#define FKLI_SPIN_POINT() FKLI_SCHED_POINT()
#endif

// How often to look in a loop of fkli_spin_hint() before going to sleep. Where threads do not run
// at the same time, spinning hides the sleep from the tests.
#ifndef FKLI_SPIN_TURNS
#define FKLI_SPIN_TURNS(turns) (turns)
#endif

// The size that keeps what different threads write apart.
#define FKLI_CACHE_LINE 64

#define FKLI_ATOMIC_LOAD(suffix, type, order, ORDER)                                               \
    static inline type fkli_load_##order##_##suffix(const fkli_atomic_##suffix *atomic)            \
    {                                                                                              \
        FKLI_SCHED_POINT();                                                                        \
        return __atomic_load_n(&atomic->value, ORDER);                                             \
    }
#define FKLI_ATOMIC_STORE(suffix, type, order, ORDER)                                              \
    static inline void fkli_store_##order##_##suffix(fkli_atomic_##suffix *atomic, type value)     \
    {                                                                                              \
        FKLI_SCHED_POINT();                                                                        \
        __atomic_store_n(&atomic->value, value, ORDER);                                            \
    }
#define FKLI_ATOMIC_EXCHANGE(suffix, type, order, ORDER)                                           \
    static inline type fkli_exchange_##order##_##suffix(fkli_atomic_##suffix *atomic, type value)  \
    {                                                                                              \
        FKLI_SCHED_POINT();                                                                        \
        return __atomic_exchange_n(&atomic->value, value, ORDER);                                  \
    }
// On failure `*expected` takes the value found. The failure order is the load half of the success
// order, so that a loop may look at what it found.
#define FKLI_ATOMIC_CAS(suffix, type, order, ORDER, FAIL)                                          \
    static inline bool fkli_cas_##order##_##suffix(fkli_atomic_##suffix *atomic, type *expected,   \
                                                   type value)                                     \
    {                                                                                              \
        FKLI_SCHED_POINT();                                                                        \
        return __atomic_compare_exchange_n(&atomic->value, expected, value, false, ORDER, FAIL);   \
    }
// Return the value before.
#define FKLI_ATOMIC_FETCH(suffix, type, verb, order, ORDER)                                        \
    static inline type fkli_##verb##_##order##_##suffix(fkli_atomic_##suffix *atomic, type value)  \
    {                                                                                              \
        FKLI_SCHED_POINT();                                                                        \
        return __atomic_fetch_##verb(&atomic->value, value, ORDER);                                \
    }

#define FKLI_ATOMIC_WORD(suffix, type)                                                             \
    typedef struct fkli_atomic_##suffix {                                                          \
        type value;                                                                                \
    } fkli_atomic_##suffix;                                                                        \
    FKLI_ATOMIC_LOAD(suffix, type, relaxed, __ATOMIC_RELAXED)                                      \
    FKLI_ATOMIC_LOAD(suffix, type, acquire, __ATOMIC_ACQUIRE)                                      \
    FKLI_ATOMIC_LOAD(suffix, type, seq_cst, __ATOMIC_SEQ_CST)                                      \
    FKLI_ATOMIC_STORE(suffix, type, relaxed, __ATOMIC_RELAXED)                                     \
    FKLI_ATOMIC_STORE(suffix, type, release, __ATOMIC_RELEASE)                                     \
    FKLI_ATOMIC_STORE(suffix, type, seq_cst, __ATOMIC_SEQ_CST)                                     \
    FKLI_ATOMIC_EXCHANGE(suffix, type, acquire, __ATOMIC_ACQUIRE)                                  \
    FKLI_ATOMIC_EXCHANGE(suffix, type, release, __ATOMIC_RELEASE)                                  \
    FKLI_ATOMIC_EXCHANGE(suffix, type, acq_rel, __ATOMIC_ACQ_REL)                                  \
    FKLI_ATOMIC_EXCHANGE(suffix, type, seq_cst, __ATOMIC_SEQ_CST)                                  \
    FKLI_ATOMIC_CAS(suffix, type, relaxed, __ATOMIC_RELAXED, __ATOMIC_RELAXED)                     \
    FKLI_ATOMIC_CAS(suffix, type, acquire, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)                     \
    FKLI_ATOMIC_CAS(suffix, type, release, __ATOMIC_RELEASE, __ATOMIC_RELAXED)                     \
    FKLI_ATOMIC_CAS(suffix, type, acq_rel, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

#define FKLI_ATOMIC_NUMBER(suffix, type)                                                           \
    FKLI_ATOMIC_WORD(suffix, type)                                                                 \
    FKLI_ATOMIC_FETCH(suffix, type, add, relaxed, __ATOMIC_RELAXED)                                \
    FKLI_ATOMIC_FETCH(suffix, type, add, acq_rel, __ATOMIC_ACQ_REL)                                \
    FKLI_ATOMIC_FETCH(suffix, type, sub, relaxed, __ATOMIC_RELAXED)                                \
    FKLI_ATOMIC_FETCH(suffix, type, sub, release, __ATOMIC_RELEASE)                                \
    FKLI_ATOMIC_FETCH(suffix, type, sub, acq_rel, __ATOMIC_ACQ_REL)                                \
    FKLI_ATOMIC_FETCH(suffix, type, add, seq_cst, __ATOMIC_SEQ_CST)                                \
    FKLI_ATOMIC_FETCH(suffix, type, or, release, __ATOMIC_RELEASE)                                 \
    FKLI_ATOMIC_FETCH(suffix, type, or, acq_rel, __ATOMIC_ACQ_REL)                                 \
    FKLI_ATOMIC_FETCH(suffix, type, and, acquire, __ATOMIC_ACQUIRE)

FKLI_ATOMIC_NUMBER(u32, uint32_t)
FKLI_ATOMIC_NUMBER(u64, uint64_t)
FKLI_ATOMIC_WORD(ptr, void *)

// Tells the processor that this is a spin loop.
static inline void fkli_spin_hint(void)
{
    FKLI_SPIN_POINT();
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
    __asm__ __volatile__("yield" ::: "memory");
#endif
}

#endif
