// SPDX-License-Identifier: Apache-2.0
//
// Faults at every call site in turn. A scenario is a function that uses a runtime; the harness runs
// it again and again, failing the first allocation, then the second, and so on until a run meets no
// fault any more; then the same with thread starts, and with sleeps that end by a signal, by their
// deadline, or for no reason. After each run:
//   - every call gave an error that its header documents for the fault, or succeeded;
//   - repeated at once, the call succeeded: nothing was left locked, half made or used up;
//   - the whole scenario succeeds once more, on the same runtime;
//   - all memory was given back, with the right sizes, and all descriptors are closed;
//   - the messages sent are those handled, dead-lettered and dropped.
//
// To add a scenario, write a function of straight-line code in which each call that can fail stands
// in TRY(), also in the actors that it spawns, and name it in FAULTS(). A TRY() calls again when
// the fault was told; so it must be possible to repeat the call as it stands.
#ifndef FKL_TESTS_SUPPORT_FAULTS_H
#define FKL_TESTS_SUPPORT_FAULTS_H

#include "support/rig.h"

#include "platform/platform.h"

#include <dirent.h>
#include <stdio.h>

typedef enum faults_kind {
    FAULTS_MEMORY,   // one allocation fails
    FAULTS_SHORTAGE, // one and those after it, until a call has said so or ten have failed
    FAULTS_THREAD,   // one thread start fails
    FAULTS_SIGNAL,   // one sleep ends by a signal
    FAULTS_TIMEOUT,  // one sleep that has a deadline ends as if it had passed
    FAULTS_NO_REASON // one sleep ends for no reason
} faults_kind;

typedef struct faults_options {
    // The fault need not be told: the library copes with it.
    bool silent_memory;
    bool silent_threads;
} faults_options;

typedef struct faults {
    fkl_runtime *runtime;
    rig_memory memory;
    faults_kind kind;
    long nth;
    atomic_int told;     // calls that reported the fault
    atomic_int mistakes; // what must not be
} faults;

typedef void (*faults_scenario)(faults *f);

static const struct {
    const char *text;
    fkl_err told_by;
} faults_kinds[] = {
    {"allocation", FKL_ENOMEM},
    {"allocation and those after it", FKL_ENOMEM},
    {"thread start", FKL_ETHREAD},
    {"sleep, by a signal,", FKL_EINTR},
    {"sleep, by a timeout,", FKL_ETIMEDOUT},
    {"sleep, for no reason,", FKL_OK},
};

// Notes what must not be; the test fails at its end. Threads: any.
static inline void faults_mistake(faults *f, const char *file, int line, const char *what,
                                  const char *how)
{
    atomic_fetch_add(&f->mistakes, 1);
    fprintf(stderr, "%s:%d: fault at the %ld. %s: %s %s\n", file, line, f->nth,
            faults_kinds[f->kind].text, what, how);
}

// Whether `err` reports the fault; then the call is to be repeated.
static inline bool faults_is_told(faults *f, fkl_err err)
{
    if (err == FKL_OK || err != faults_kinds[f->kind].told_by) {
        return false;
    }
    atomic_store(&f->memory.fail_on, false);
    atomic_fetch_add(&f->told, 1);
    return true;
}

// Threads: any, also in actors.
#define EXPECT(f, call, wanted)                                                                    \
    do {                                                                                           \
        fkl_err faults_err_ = (call);                                                              \
        if (faults_err_ != (wanted) && faults_is_told((f), faults_err_)) {                         \
            faults_err_ = (call);                                                                  \
        }                                                                                          \
        if (faults_err_ != (wanted)) {                                                             \
            faults_mistake((f), __FILE__, __LINE__, #call, fkl_err_name(faults_err_));             \
        }                                                                                          \
    } while (0)

#define TRY(f, call) EXPECT(f, call, FKL_OK)

#define REQUIRE(f, condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            faults_mistake((f), __FILE__, __LINE__, #condition, "is not so");                      \
        }                                                                                          \
    } while (0)

// ---- what scenarios share

static inline fkl_actor *faults_spawn(faults *f, fkl_actor_fn fn, void *arg)
{
    fkl_actor *actor = NULL;
    TRY(f, fkl_spawn(f->runtime, NULL, fn, arg, &actor));
    return actor;
}

// Waits until the thread has ended, and drops the reference.
static inline void faults_join(faults *f, fkl_actor *actor)
{
    TRY(f, fkl_actor_join_thread_until(actor, SOON));
    fkl_actor_release(actor);
}

static inline fkl_msg *faults_msg(faults *f, uint64_t tag)
{
    fkl_msg *msg = NULL;
    TRY(f, fkl_msg_create_copy(f->runtime, FKL_CODEC_RAW, "payload", 7, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
}

static inline void faults_send(faults *f, fkl_actor *to, uint64_t tag)
{
    fkl_msg *msg = faults_msg(f, tag);
    TRY(f, fkl_actor_send(to, msg));
}

// In an actor: takes the next message, and destroys it; returns its tag.
static inline uint64_t faults_receive(faults *f)
{
    fkl_msg *msg = NULL;
    TRY(f, fkl_receive_until(SOON, &msg));
    uint64_t tag = msg ? fkl_msg_tag(msg) : 0;
    fkl_msg_destroy(msg);
    return tag;
}

// Polls until the actor waits there, so that what follows finds it asleep.
static inline void faults_until_waits(faults *f, fkl_actor *actor, const char *where)
{
    fkl_time limit = SOON;
    while (!rig_waits_in(actor, where)) {
        if (fkl_now() > limit) {
            faults_mistake(f, __FILE__, __LINE__, where, "is where the actor never waited");
            return;
        }
        rig_pause_ms(1);
    }
}

// ---- running

static inline void faults_arm(faults *f)
{
    uint32_t after = (uint32_t)f->nth - 1;
    switch (f->kind) {
    case FAULTS_MEMORY:
    case FAULTS_SHORTAGE:
        atomic_store(&f->memory.fail_on, f->kind == FAULTS_SHORTAGE);
        atomic_store(&f->memory.fail_to, f->nth + 9);
        atomic_store(&f->memory.fail_at, f->nth);
        break;
    case FAULTS_THREAD:
        fkli_fault_thread_start(after, 1);
        break;
    case FAULTS_SIGNAL:
        fkli_fault_park(FKLI_PARK_SIGNAL, after, 1);
        break;
    case FAULTS_TIMEOUT:
        fkli_fault_park(FKLI_PARK_TIMEOUT, after, 1);
        break;
    case FAULTS_NO_REASON:
        fkli_fault_park(FKLI_PARK_WOKEN, after, 1);
        break;
    }
}

// Ends the fault; returns whether it happened.
static inline bool faults_disarm(faults *f)
{
    switch (f->kind) {
    case FAULTS_MEMORY:
    case FAULTS_SHORTAGE:
        atomic_store(&f->memory.fail_at, 0);
        return atomic_load(&f->memory.calls) >= f->nth;
    case FAULTS_THREAD:
        return fkli_fault_thread_start(0, 0) == 0;
    default:
        return fkli_fault_park(FKLI_PARK_WOKEN, 0, 0) == 0;
    }
}

static inline int faults_open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) {
        count++;
    }
    if (folder) {
        closedir(folder);
    }
    return count;
}

static inline void faults_no_log(fkl_log_level level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    (void)ctx;
}

// One run with one fault; returns whether the fault happened.
static inline bool faults_run_once(faults_scenario scenario, faults_options options,
                                   faults_kind kind, long nth)
{
    faults f = {.kind = kind, .nth = nth};
    fkl_runtime_config config = {
        .allocator = rig_allocator(&f.memory), .log = faults_no_log, .pool_workers = 2};
    int descriptors = faults_open_descriptors();
    faults_arm(&f);
    TRY(&f, fkl_runtime_create(&config, &f.runtime));
    scenario(&f);
    bool happened = faults_disarm(&f);
    bool may_be_silent = kind == FAULTS_THREAD  ? options.silent_threads
                         : kind > FAULTS_THREAD ? true
                                                : options.silent_memory;
    if (happened && !may_be_silent && atomic_load(&f.told) == 0) {
        faults_mistake(&f, __FILE__, __LINE__, "the fault", "was told by no call");
    }
    scenario(&f);
    assert_ok(fkl_runtime_shutdown(f.runtime, SOON));
    rig_assert_conserved(f.runtime);
    assert_ok(fkl_runtime_destroy(f.runtime));
    rig_assert_balanced(&f.memory);
    cr_assert_eq(faults_open_descriptors(), descriptors, "descriptors are left open");
    cr_assert_eq(atomic_load(&f.mistakes), 0, "fault at the %ld. %s: see above", nth,
                 faults_kinds[kind].text);
    return happened;
}

// FAULTS_VERBOSE=1 shows each run as it begins.
static inline void faults_run(faults_scenario scenario, faults_options options)
{
    enum { AT_MOST = 2000 };
    bool verbose = getenv("FAULTS_VERBOSE") != NULL;
    for (faults_kind kind = FAULTS_MEMORY; kind <= FAULTS_NO_REASON; kind++) {
        long nth = 1;
        bool happened = true;
        for (; happened && nth < AT_MOST; nth++) {
            if (verbose) {
                fprintf(stderr, "fault at the %ld. %s\n", nth, faults_kinds[kind].text);
            }
            happened = faults_run_once(scenario, options, kind, nth);
        }
        cr_assert_lt(nth, AT_MOST, "there is no end of faults");
        // The runtime itself is allocated, so a harness that injects nothing would be noticed.
        cr_assert(kind > FAULTS_SHORTAGE || nth > 2, "no allocation failed");
    }
}

// A test of its own: FAULTS(suite, name_that_is_a_sentence, scenario, .silent_memory = true).
#define FAULTS(suite, name, scenario, ...)                                                         \
    Test(suite, name, .timeout = 120)                                                              \
    {                                                                                              \
        faults_run((scenario), (faults_options){__VA_ARGS__});                                     \
    }

#endif
