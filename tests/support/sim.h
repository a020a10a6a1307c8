// SPDX-License-Identifier: Apache-2.0
//
// Scenarios for the simulated platform: a few threads, a few operations, and checks that hold in
// every interleaving. sim.c has main(), which runs each scenario of the program with many seeds:
//
//   program [--seeds COUNT] [--from SEED] [--seed SEED] [--verbose] [--trace] [NAME...]
//
// A scenario runs in a simulated thread, and ends when all threads that it started have ended. It
// may use what this header gives, the library, and plain memory, since one thread alone runs at a
// time and switches happen in the seam only. It must not wait in any other way. To let others go on
// in a loop of calls that never block, call sim_yield().
//
// What a scenario does may depend on sim_below(), on the library and on nothing else: not on the
// real time, on addresses or on what an earlier seed left behind. Otherwise its seeds do not
// repeat, and the program says so.
#ifndef FKL_TESTS_SUPPORT_SIM_H
#define FKL_TESTS_SUPPORT_SIM_H

#include <forkless/forkless.h>

#include "platform/platform.h"

#ifndef FKLI_SIMULATED
#error "scenarios run on the simulated platform: make VARIANT=sim simulations"
#endif

// What the system may do to a scenario, in some of the seeds.
#define SIM_SIGNALS 1u      // waits end with FKL_EINTR
#define SIM_FAIL_THREADS 2u // one thread start fails, of the first few
#define SIM_FAIL_MEMORY 4u  // one allocation of the runtime fails, of the first few

// How a scenario ends. All but the first test the simulation itself: it deadlocks or loops with the
// first seed, or a seed means something else after other seeds.
typedef enum sim_end { SIM_ENDS, SIM_DEADLOCKS, SIM_LOOPS, SIM_VARIES } sim_end;

typedef struct sim_scenario {
    const char *name;
    void (*body)(void);
    unsigned faults;
    sim_end expected;
    uint32_t step_limit; // 0: a default that is enough for what ends at all
    struct sim_scenario *next;
} sim_scenario;

void sim_register(sim_scenario *scenario);

// SIM_SCENARIO(name) { ... } or SIM_SCENARIO(name, .faults = SIM_SIGNALS) { ... }. The name is a
// sentence.
#define SIM_SCENARIO(id, ...)                                                                      \
    static void id(void);                                                                          \
    static sim_scenario scenario_##id = {.name = #id, .body = id, __VA_ARGS__};                    \
    __attribute__((constructor)) static void register_##id(void)                                   \
    {                                                                                              \
        sim_register(&scenario_##id);                                                              \
    }                                                                                              \
    static void id(void)

// Checks, in any thread: print the seed and end the program.

__attribute__((format(printf, 3, 4), noreturn)) void sim_fail(const char *file, int line,
                                                              const char *format, ...);

#define SIM_CHECK(condition, ...)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            sim_fail(__FILE__, __LINE__, #condition ": " __VA_ARGS__);                             \
    } while (0)

#define SIM_ERR(call, expected)                                                                    \
    do {                                                                                           \
        fkl_err sim_got_ = (call);                                                                 \
        if (sim_got_ != (expected))                                                                \
            sim_fail(__FILE__, __LINE__, "%s gave %s", #call, fkl_err_name(sim_got_));             \
    } while (0)

#define SIM_OK(call) SIM_ERR(call, FKL_OK)

// What the seed decides.

uint32_t sim_below(uint32_t limit);
// Whether one of the scenario's faults is to happen with this seed.
bool sim_may_fail(unsigned fault);
// A deadline: passed, soon, or never.
fkl_time sim_deadline(void);
void sim_yield(void);
// In virtual time, and not by the library. To meet a wait at its deadline, sleep until then.
void sim_sleep_until(fkl_time deadline);
// With every second seed lets everybody go on until all sleep: so that what follows meets them
// there.
void sim_settle(void);

// Threads that are no actors, and a gate that is no wait of the library.

typedef struct sim_gate {
    fkli_atomic_u32 open;
} sim_gate;

void sim_open(sim_gate *gate);
void sim_pass(sim_gate *gate);

typedef struct sim_task {
    void (*run)(void *arg);
    void *arg;
    fkli_start start;
    sim_gate ended;
} sim_task;

// The storage is the caller's until sim_join(), which must follow. No fault makes it fail.
void sim_start(sim_task *task, const char *name, void (*run)(void *arg), void *arg);
void sim_join(sim_task *task);

// Runtimes, actors and messages.

// With an allocator that counts. Whatever is not freed when the scenario has ended fails it.
fkl_runtime *sim_runtime(void);
// The same with so many workers for pooled actors, instead of two.
fkl_runtime *sim_runtime_with(uint32_t workers);
// Shuts down, checks that sent = handled + dead-lettered + dropped, destroys.
void sim_end_runtime(fkl_runtime *runtime);
void sim_check_counters(fkl_runtime *runtime);

// No fault makes these two fail.
fkl_actor *sim_spawn(fkl_runtime *runtime, const char *name, fkl_actor_fn fn, void *arg);
fkl_msg *sim_msg(fkl_runtime *runtime, uint64_t tag);
// Sends one; destroys it when it is refused, and says whether it was taken.
bool sim_send(fkl_actor *to, uint64_t tag);
// Waits for the exit and the thread; drops the reference. The record's error is NULL.
fkl_exit sim_join_actor(fkl_actor *actor);

#endif
