// SPDX-License-Identifier: Apache-2.0
//
// The program: raw NAME PARAMETER...
//
// What the operating system itself can do, without any library of actors: ping-pong between two
// threads through futexes, and starting and joining threads one after the other.

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void fail(const char *what)
{
    fprintf(stderr, "raw: %s\n", what);
    exit(1);
}

static int64_t time_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

// A place for one number, which its one receiver sleeps on while it is empty.
struct place {
    _Alignas(64) _Atomic uint32_t full;
    int64_t value;
};

static void put(struct place *place, int64_t value)
{
    place->value = value;
    atomic_store_explicit(&place->full, 1, memory_order_release);
    syscall(SYS_futex, &place->full, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static int64_t take(struct place *place)
{
    while (!atomic_load_explicit(&place->full, memory_order_acquire))
        syscall(SYS_futex, &place->full, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    atomic_store_explicit(&place->full, 0, memory_order_relaxed);
    return place->value;
}

static struct place pings, pongs;

static void *pong(void *arg)
{
    int64_t *sum = arg;
    for (int64_t value; (value = take(&pings)) != 0; *sum += value)
        put(&pongs, value);
    return NULL;
}

static void ping_pong(int64_t last, int64_t *ns, int64_t *operations, int64_t *checksum)
{
    pthread_t thread;
    int64_t ping_sum = 0, pong_sum = 0;
    if (pthread_create(&thread, NULL, pong, &pong_sum))
        fail("no thread");
    int64_t begin = time_of(CLOCK_MONOTONIC);
    for (int64_t value = 1; value <= last; ++value) {
        put(&pings, value);
        ping_sum += take(&pongs);
    }
    *ns = time_of(CLOCK_MONOTONIC) - begin;
    put(&pings, 0);
    pthread_join(thread, NULL);
    *operations = 2 * last;
    *checksum = ping_sum + pong_sum;
}

static void *give_back(void *arg)
{
    return arg;
}

static void create(int64_t count, int64_t *ns, int64_t *operations, int64_t *checksum)
{
    int64_t begin = time_of(CLOCK_MONOTONIC);
    *checksum = 0;
    for (int64_t value = 1; value <= count; ++value) {
        pthread_t thread;
        void *returned;
        if (pthread_create(&thread, NULL, give_back, (void *)(uintptr_t)value))
            fail("no thread");
        pthread_join(thread, &returned);
        *checksum += (int64_t)(uintptr_t)returned;
    }
    *ns = time_of(CLOCK_MONOTONIC) - begin;
    *operations = count;
}

int main(int argc, char **argv)
{
    int64_t count = argc == 3 ? strtoll(argv[2], NULL, 10) : 0;
    int64_t ns, operations, checksum;
    if (count < 1)
        fail("usage: raw NAME COUNT");
    void (*run)(int64_t, int64_t *, int64_t *, int64_t *) = NULL;
    if (strcmp(argv[1], "ping_pong") == 0)
        run = ping_pong;
    else if (strcmp(argv[1], "fork_join_create") == 0)
        run = create;
    else
        fail("no such program");
    run((count + 9) / 10, &ns, &operations, &checksum);
    int64_t used = time_of(CLOCK_PROCESS_CPUTIME_ID);
    run(count, &ns, &operations, &checksum);
    used = time_of(CLOCK_PROCESS_CPUTIME_ID) - used;
    printf("%s %" PRId64 " %" PRId64 " %" PRId64 " cpu=%" PRId64 "\n", argv[1], ns, operations,
           checksum, used);
    return 0;
}
