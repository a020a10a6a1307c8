// SPDX-License-Identifier: Apache-2.0
//
// The parts of the platform that every POSIX system has: the monotonic clock, detached threads with
// a name and a stack size, the hook at a thread's end, and pipes. Any thread runs this. The only
// state is the thread-specific key of the hook and the counters of injected faults.

#include "platform/platform.h"

#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

fkl_time fkli_clock_now(void)
{
#if defined(FKLI_SIMULATED)
    return fkli_sim_clock();
#else
    struct timespec now;
    FKLI_SCHED_POINT();
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (fkl_time)now.tv_sec * 1000000000 + now.tv_nsec;
#endif
}

// Faults.

typedef struct fault {
    fkli_atomic_u32 before; // what goes well first
    fkli_atomic_u32 count;  // faults to come
} fault;

static fault start_fault;
static fault park_fault;
static fkli_atomic_u32 park_fault_result; // fkli_park_result

static uint32_t set_fault(fault *which, uint32_t after, uint32_t count)
{
    uint32_t left = fkli_exchange_acquire_u32(&which->count, 0);
    fkli_store_relaxed_u32(&which->before, after);
    fkli_store_release_u32(&which->count, count); // pairs with the acquire in is_due()
    return left;
}

// Takes one from a counter that stops at 0. Relaxed: the counters order nothing else.
static bool count_down(fkli_atomic_u32 *counter)
{
    uint32_t value = fkli_load_relaxed_u32(counter);
    while (value != 0) {
        if (fkli_cas_relaxed_u32(counter, &value, value - 1))
            return true;
    }
    return false;
}

static bool is_due(fault *which)
{
    if (fkli_load_acquire_u32(&which->count) == 0) // pairs with the release in set_fault()
        return false;
    return !count_down(&which->before) && count_down(&which->count);
}

uint32_t fkli_fault_thread_start(uint32_t after, uint32_t count)
{
    return set_fault(&start_fault, after, count);
}

uint32_t fkli_fault_park(fkli_park_result result, uint32_t after, uint32_t count)
{
    uint32_t left = set_fault(&park_fault, 0, 0);
    fkli_store_relaxed_u32(&park_fault_result, result); // released by what follows
    set_fault(&park_fault, after, count);
    return left;
}

bool fkli_park_is_faulty(fkl_time deadline, fkli_park_result *result)
{
    if (fkli_load_acquire_u32(&park_fault.count) == 0)
        return false;
    *result = (fkli_park_result)fkli_load_relaxed_u32(&park_fault_result);
    if (*result == FKLI_PARK_TIMEOUT && deadline == FKL_FOREVER)
        return false;
    return is_due(&park_fault);
}

// Threads.

#if defined(__linux__)
#define NAME_MAX_BYTES 16
#else
#define NAME_MAX_BYTES 64
#endif

void fkli_thread_set_name(const char *name)
{
    char cut[NAME_MAX_BYTES];
    size_t len = strnlen(name, sizeof cut - 1);
    memcpy(cut, name, len);
    cut[len] = '\0';
#if defined(__APPLE__)
    pthread_setname_np(cut);
#elif defined(__linux__)
    pthread_setname_np(pthread_self(), cut);
#endif
}

static void *run_thread(void *arg)
{
    // `start` belongs to the caller of fkli_thread_start() and may go away once `run` has begun.
    fkli_start start = *(fkli_start *)arg;
    if (start.name)
        fkli_thread_set_name(start.name);
    start.run(start.arg);
    return NULL;
}

static size_t usable_stack_size(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t least = (size_t)PTHREAD_STACK_MIN;
    if (size < least)
        size = least;
    return size > SIZE_MAX - page ? size : (size + page - 1) / page * page;
}

#if defined(FKLI_SIMULATED)
#define CREATE_THREAD fkli_sim_thread_create
#else
#define CREATE_THREAD pthread_create
#endif

fkl_err fkli_thread_start(fkli_start *start, size_t stack_size)
{
    FKLI_SCHED_POINT();
    if (is_due(&start_fault))
        return FKL_ETHREAD;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes))
        return FKL_ETHREAD;
    fkl_err err = FKL_ETHREAD;
    pthread_t thread;
    if (pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED))
        goto done;
    if (stack_size && pthread_attr_setstacksize(&attributes, usable_stack_size(stack_size)))
        goto done;
    if (CREATE_THREAD(&thread, &attributes, run_thread, start) == 0)
        err = FKL_OK;
done:
    pthread_attr_destroy(&attributes);
    return err;
}

void fkli_thread_yield(void)
{
    FKLI_SPIN_POINT();
    sched_yield();
}

uint32_t fkli_cpu_count(void)
{
#if defined(__linux__)
    cpu_set_t allowed; // fails on machines with more processors than the set has room for
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        return (uint32_t)CPU_COUNT(&allowed);
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (uint32_t)online : 1;
}

// The hook at a thread's end.

typedef struct exit_hook {
    void (*run)(void *arg);
    void *arg;
} exit_hook;

static pthread_once_t exit_key_once = PTHREAD_ONCE_INIT;
static pthread_key_t exit_key;
static bool exit_key_made;
static FKLI_THREAD_LOCAL exit_hook this_threads_hook;

static void run_exit_hook(void *arg)
{
#if defined(FKLI_SANITIZE_ADDRESS)
    // pthread_exit() has left frames behind whose red zones AddressSanitizer still believes in.
    __asan_handle_no_return();
#endif
    exit_hook hook = *(exit_hook *)arg;
    if (hook.run)
        hook.run(hook.arg);
}

static void make_exit_key(void)
{
    exit_key_made = pthread_key_create(&exit_key, run_exit_hook) == 0;
}

bool fkli_thread_at_exit(void (*hook)(void *arg), void *arg)
{
    if (!FKLI_TLS_OUTLIVES_EXIT_HOOK)
        return false;
    pthread_once(&exit_key_once, make_exit_key);
    if (!exit_key_made)
        return false;
    this_threads_hook.run = hook;
    this_threads_hook.arg = arg;
    return pthread_setspecific(exit_key, hook ? &this_threads_hook : NULL) == 0;
}

// Pipes.

#if !defined(__linux__)
static bool close_on_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && fcntl(fd, F_SETFD, flags | FD_CLOEXEC) == 0;
}
#endif

fkl_err fkli_pipe_open(int *read_end, int *write_end)
{
    FKLI_SCHED_POINT();
    int ends[2];
#if defined(__linux__)
    if (pipe2(ends, O_CLOEXEC))
        return FKL_EOS;
#else
    if (pipe(ends))
        return FKL_EOS;
    if (!close_on_exec(ends[0]) || !close_on_exec(ends[1])) {
        close(ends[0]);
        close(ends[1]);
        return FKL_EOS;
    }
#endif
    *read_end = ends[0];
    *write_end = ends[1];
    return FKL_OK;
}

void fkli_fd_close(int fd)
{
    FKLI_SCHED_POINT();
    if (fd >= 0)
        close(fd);
}
