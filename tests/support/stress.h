// SPDX-License-Identifier: Apache-2.0
//
// What the stress programs share: `program [threads] [seed] [iterations]`, a random number stream
// for each thread, checks that print the seed, and a watchdog that says who waits where when
// nothing moves any more (FKL_STRESS_TIMEOUT seconds, 240 by default). They have a plain main(), so
// that they run under ThreadSanitizer too.
#ifndef FKL_TESTS_SUPPORT_STRESS_H
#define FKL_TESTS_SUPPORT_STRESS_H

#include <forkless/forkless.h>

#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct stress_setup {
    const char *program;
    int threads;
    uint64_t seed;
    int iterations;
} stress_setup;

static stress_setup stress;
static _Atomic(fkl_runtime *) stress_watched; // the runtime that the watchdog describes

__attribute__((format(printf, 3, 4))) static inline void stress_fail(const char *file, int line,
                                                                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: ", file, line);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nrepeat with: %s %d %llu %d\n", stress.program, stress.threads,
            (unsigned long long)stress.seed, stress.iterations);
    fflush(stderr);
    _exit(1);
}

// Ends the program from whatever thread when `condition` is false.
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            stress_fail(__FILE__, __LINE__, #condition ": " __VA_ARGS__);                          \
        }                                                                                          \
    } while (0)

#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        fkl_err stress_err_ = (call);                                                              \
        if (stress_err_ != FKL_OK) {                                                               \
            stress_fail(__FILE__, __LINE__, "%s: %s", #call, fkl_err_name(stress_err_));           \
        }                                                                                          \
    } while (0)

// ---- random numbers

typedef struct stress_random {
    uint64_t state;
} stress_random;

static inline uint64_t stress_next(stress_random *random)
{
    // splitmix64: any state will do, so that streams can be made of the seed by adding.
    uint64_t z = (random->state += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

// The stream of one thread.
static inline stress_random stress_stream(uint64_t number)
{
    stress_random random = {stress.seed * 1000003 + number};
    stress_next(&random);
    return random;
}

static inline uint32_t stress_below(stress_random *random, uint32_t limit)
{
    return (uint32_t)(stress_next(random) % limit);
}

// A deadline for a wait: passed, within 100 µs, or none.
static inline fkl_time stress_deadline(stress_random *random)
{
    uint32_t dice = stress_below(random, 4);
    return dice == 0   ? FKL_NO_WAIT
           : dice == 1 ? fkl_after_ns((int64_t)stress_below(random, 100000))
                       : FKL_FOREVER;
}

// Mostly nothing, sometimes a yield, rarely a short sleep: shakes the interleaving.
static inline void stress_jitter(stress_random *random)
{
    uint32_t dice = stress_below(random, 256);
    if (dice < 16) {
        sched_yield();
    } else if (dice == 16) {
        nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(random, 50000)}, NULL);
    } else if (dice < 64) {
        for (volatile uint32_t spin = stress_below(random, 200); spin > 0; spin--) {
        }
    }
}

// ---- the watchdog

static inline void stress_write(const char *text, size_t len, void *ctx)
{
    fwrite(text, 1, len, ctx);
}

static inline void stress_describe(fkl_runtime *runtime)
{
    fkl_counters counters;
    if (fkl_runtime_dump(runtime, 0, stress_write, stderr) != FKL_OK) {
        fprintf(stderr, "no memory for the table of actors\n");
    }
    fkl_runtime_counters(runtime, &counters);
    fprintf(stderr, "live %llu, orphans %llu, sent %llu, handled %llu, dead %llu, dropped %llu\n",
            (unsigned long long)counters.live, (unsigned long long)counters.orphans,
            (unsigned long long)counters.sent, (unsigned long long)counters.handled,
            (unsigned long long)counters.dead_lettered, (unsigned long long)counters.dropped);
}

static inline void *stress_watch(void *arg)
{
    long seconds = *(const long *)arg;
    struct timespec left = {.tv_sec = seconds};
    while (nanosleep(&left, &left) != 0) {
    }
    fprintf(stderr, "%s: nothing has ended it for %ld seconds\n", stress.program, seconds);
    alarm(5); // the description itself may hang
    fkl_runtime *runtime = atomic_load(&stress_watched);
    if (runtime) {
        stress_describe(runtime);
    }
    stress_fail(__FILE__, __LINE__, "timed out");
    return NULL;
}

// Reads the arguments, prints the line that repeats the run, starts the watchdog.
static inline void stress_begin(int argc, char **argv, int threads, int iterations)
{
    static long timeout;
    const char *given = getenv("FKL_STRESS_TIMEOUT");
    struct timespec now;
    pthread_t watchdog;
    pthread_attr_t detached;
    clock_gettime(CLOCK_REALTIME, &now);
    timeout = given ? atol(given) : 240;
    stress.program = argv[0];
    stress.threads = argc > 1 ? atoi(argv[1]) : threads;
    stress.seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)now.tv_nsec;
    stress.iterations = argc > 3 ? atoi(argv[3]) : iterations;
    if (stress.threads < 2 || stress.iterations < 1) {
        fprintf(stderr, "usage: %s [threads, 2 or more] [seed] [iterations]\n", argv[0]);
        exit(2);
    }
    printf("%s %d %llu %d\n", stress.program, stress.threads, (unsigned long long)stress.seed,
           stress.iterations);
    fflush(stdout);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    CHECK(pthread_create(&watchdog, &detached, stress_watch, &timeout) == 0, "no watchdog");
    pthread_attr_destroy(&detached);
}

// ---- runtimes

// Only what is wrong: shutdowns that give up early are part of the game.
static inline void stress_log(fkl_log_level level, const char *text, void *ctx)
{
    (void)ctx;
    if (level >= FKL_LOG_ERROR) {
        fprintf(stderr, "%s\n", text);
    }
}

static inline fkl_runtime *stress_runtime(void)
{
    fkl_runtime_config config = {.log = stress_log};
    fkl_runtime *runtime = NULL;
    CHECK_OK(fkl_runtime_create(&config, &runtime));
    atomic_store(&stress_watched, runtime);
    return runtime;
}

// Shuts down; whatever was sent must have gone somewhere.
static inline void stress_end_runtime(fkl_runtime *runtime)
{
    fkl_counters count;
    size_t running = 0;
    CHECK_OK(fkl_runtime_shutdown(runtime, FKL_FOREVER));
    fkl_runtime_running(runtime, NULL, 0, &running);
    CHECK(running == 0, "%zu", running);
    fkl_runtime_counters(runtime, &count);
    CHECK(count.live == 0 && count.orphans == 0, "live %llu, orphans %llu",
          (unsigned long long)count.live, (unsigned long long)count.orphans);
    CHECK(count.sent == count.handled + count.dead_lettered + count.dropped,
          "sent %llu, handled %llu, dead %llu, dropped %llu", (unsigned long long)count.sent,
          (unsigned long long)count.handled, (unsigned long long)count.dead_lettered,
          (unsigned long long)count.dropped);
    atomic_store(&stress_watched, NULL);
    CHECK_OK(fkl_runtime_destroy(runtime));
}

static inline fkl_actor *stress_spawn(fkl_runtime *runtime, const char *name, fkl_actor_fn fn,
                                      void *arg)
{
    fkl_actor *actor = NULL;
    fkl_spawn_options options = {.name = name, .stack_size = 128 * 1024};
    CHECK_OK(fkl_spawn(runtime, &options, fn, arg, &actor));
    return actor;
}

static inline fkl_exit stress_join(fkl_actor *actor)
{
    fkl_exit record;
    CHECK_OK(fkl_actor_join_until(actor, FKL_FOREVER, &record));
    CHECK_OK(fkl_actor_join_thread_until(actor, FKL_FOREVER));
    fkl_actor_release(actor);
    record.error = NULL;
    return record;
}

// A message that carries `number` twice: as its tag and as its payload.
static inline fkl_msg *stress_msg(uint64_t number)
{
    fkl_msg *msg = NULL;
    CHECK_OK(fkl_msg_create_copy(NULL, FKL_CODEC_RAW, &number, sizeof number, &msg));
    fkl_msg_set_tag(msg, number);
    return msg;
}

// Reads and destroys such a message.
static inline uint64_t stress_open(fkl_msg *msg)
{
    uint64_t number;
    CHECK(fkl_msg_len(msg) == sizeof number, "%zu", fkl_msg_len(msg));
    memcpy(&number, fkl_msg_data(msg), sizeof number);
    CHECK(number == fkl_msg_tag(msg), "%llx and %llx", (unsigned long long)number,
          (unsigned long long)fkl_msg_tag(msg));
    fkl_msg_destroy(msg);
    return number;
}

#endif
