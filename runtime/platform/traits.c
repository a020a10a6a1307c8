// SPDX-License-Identifier: Apache-2.0
//
// What a thread has got from the one that started it, as far as that may change it and can be
// asked. Any thread runs this. Where it is not known, nobody has traits; nor on Android, which
// ends programs that use a system call which its own C library does not.

#include "platform/platform.h"

#include <string.h>

#if defined(__linux__) && !defined(__ANDROID__)

#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

// As the kernel has it; the C library has not. Later fields are of no concern here.
typedef struct scheduling {
    uint32_t size;
    uint32_t policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} scheduling;

typedef struct known {
    pid_t pid; // another one after a fork
    scheduling how;
    int filtered; // system calls
    int no_new_privileges;
    struct __user_cap_data_struct privileges[_LINUX_CAPABILITY_U32S_3];
    sigset_t blocked;
    cpu_set_t processors;
} known;

_Static_assert(sizeof(known) <= sizeof(fkli_traits), "there is room");

bool fkli_traits_take(fkli_traits *traits)
{
    memset(traits, 0, sizeof *traits);
    known *own = (known *)traits;
    own->pid = getpid();
    own->filtered = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
    own->no_new_privileges = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
    struct __user_cap_header_struct which = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &which, own->privileges) == 0 &&
           syscall(SYS_sched_getattr, 0, &own->how, sizeof own->how, 0) == 0 &&
           sched_getaffinity(0, sizeof own->processors, &own->processors) == 0 &&
           pthread_sigmask(SIG_BLOCK, NULL, &own->blocked) == 0;
}

#else

bool fkli_traits_take(fkli_traits *traits)
{
    memset(traits, 0, sizeof *traits);
    return false;
}

#endif

bool fkli_traits_are_mine(const fkli_traits *traits)
{
    fkli_traits own;
    return fkli_traits_take(&own) && memcmp(&own, traits, sizeof own) == 0;
}
