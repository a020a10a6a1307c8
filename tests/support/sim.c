// SPDX-License-Identifier: Apache-2.0
//
// Runs scenarios (see sim.h). Each scenario runs in a child process, seed after seed, so that a
// crash or a hang is one scenario's. What the child is at stands in a page that both share.

#include "support/sim.h"

#include "wait.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    DEFAULT_SEEDS = 500,
    CALIBRATIONS = 4,    // runs that measure how many steps a scenario takes
    DEFAULT_STEPS = 500, // for those runs
    STEP_LIMIT = 200000,
    REAL_SECONDS = 60, // for one seed; it takes a millisecond
    STACK_SIZE = 64 * 1024,
    TRACE_LENGTH = 1 << 16,
    NO_SUCH_SCENARIO = 3 // exit status
};

// What a child tells its parent.
typedef struct report {
    uint64_t seed; // at which it is
    uint64_t done; // seeds
    uint64_t steps;
    uint64_t hash; // of the last one
} report;

typedef struct trace_entry {
    uint32_t thread;
    const void *caller;
} trace_entry;

static struct {
    const char *program;
    uint64_t from;
    uint64_t seeds;
    bool verbose;
    bool trace;
    report *report;
    trace_entry *entries;
} driver;

// Of the current run.
static struct {
    const sim_scenario *scenario;
    uint64_t seed;
    uint64_t random;
    bool memory_may_fail;
    bool threads_may_fail;
    uint32_t allocations_left; // before the one that fails; counts when armed
    bool armed;
    long blocks;
    long mistakes;
    uint32_t traced;
} run;

static sim_scenario *scenarios;
static _Thread_local bool exempt;          // from failing allocations
static _Thread_local const char *waits_at; // outside of the library

void sim_register(sim_scenario *scenario)
{
    sim_scenario **end = &scenarios;
    while (*end)
        end = &(*end)->next;
    *end = scenario;
}

// Failing.

static void print_trace(void)
{
    // Positions as addr2line wants them for a program that is loaded anywhere.
    extern const char __executable_start[];
    uint32_t first = run.traced > TRACE_LENGTH ? run.traced - TRACE_LENGTH : 0;
    for (uint32_t i = first; i < run.traced; ++i) {
        const trace_entry *entry = &driver.entries[i % TRACE_LENGTH];
        printf("# %u %u 0x%zx\n", i + 1, entry->thread,
               (size_t)((const char *)entry->caller - __executable_start));
    }
}

static void print_threads(void)
{
    fkli_sim_row rows[32];
    uint32_t count = fkli_sim_rows(rows, 32);
    for (uint32_t i = 0; i < count; ++i) {
        printf("#   thread %u %-16s %s", rows[i].thread,
               i || rows[i].thread ? rows[i].name : "main", rows[i].where);
        if (rows[i].deadline != FKL_FOREVER)
            printf(" until %lld", (long long)rows[i].deadline);
        printf("\n");
    }
}

static void print_failure(void)
{
    fkli_sim_result at;
    fkli_sim_progress(&at);
    printf("# scenario %s, seed %llu, step %u, virtual time %lld\n", run.scenario->name,
           (unsigned long long)run.seed, at.steps, (long long)at.time);
    print_threads();
    if (driver.trace)
        print_trace();
    fflush(stdout);
}

void sim_fail(const char *file, int line, const char *format, ...)
{
    fkli_sim_freeze();
    va_list args;
    va_start(args, format);
    printf("# %s:%d: ", file, line);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    print_failure();
    _exit(1);
}

static void on_trouble(fkli_sim_trouble trouble)
{
    printf(trouble == FKLI_SIM_DEADLOCK ? "# deadlock: every thread sleeps, none has a deadline\n"
                                        : "# livelock: too many steps\n");
    print_failure();
    _exit(1);
}

static void note_step(uint32_t thread, const void *caller)
{
    driver.entries[run.traced++ % TRACE_LENGTH] = (trace_entry){thread, caller};
}

// Read without the seam, for nobody else runs.
static const char *where(void)
{
    if (waits_at)
        return waits_at;
    const fkli_thread *thread = fkli_thread_peek();
    return thread ? thread->where.value : NULL;
}

// What the seed decides.

static uint64_t next_random(void)
{
    uint64_t z = (run.random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t sim_below(uint32_t limit)
{
    return (uint32_t)(((next_random() >> 32) * limit) >> 32);
}

bool sim_may_fail(unsigned fault)
{
    return (fault == SIM_FAIL_MEMORY && run.memory_may_fail) ||
           (fault == SIM_FAIL_THREADS && run.threads_may_fail) ||
           (fault == SIM_SIGNALS && (run.scenario->faults & SIM_SIGNALS));
}

fkl_time sim_deadline(void)
{
    switch (sim_below(4)) {
    case 0:
        return FKL_NO_WAIT;
    case 1:
        return fkl_after_ns(sim_below(1000));
    case 2:
        return fkl_after_ns(sim_below(200000));
    default:
        return FKL_FOREVER;
    }
}

void sim_yield(void)
{
    fkli_thread_yield();
}

// Gates and threads.

void sim_open(sim_gate *gate)
{
    fkli_store_release_u32(&gate->open, 1);
    for (int i = 0; i < 32; ++i) // more than pass
        fkli_sim_futex_wake_one(&gate->open.value);
}

void sim_pass(sim_gate *gate)
{
    const char *before = waits_at;
    waits_at = "a gate";
    while (!fkli_load_acquire_u32(&gate->open))
        fkli_sim_futex_wait(&gate->open.value, 0, FKL_FOREVER);
    waits_at = before;
}

static void run_task(void *arg)
{
    sim_task *task = arg;
    task->run(task->arg);
    sim_open(&task->ended);
}

void sim_start(sim_task *task, const char *name, void (*fn)(void *arg), void *arg)
{
    task->run = fn;
    task->arg = arg;
    task->start = (fkli_start){run_task, task, name};
    fkli_store_relaxed_u32(&task->ended.open, 0);
    fkl_err err;
    do { // the fault, if any, is not meant for this one
        err = fkli_thread_start(&task->start, STACK_SIZE);
    } while (err && run.threads_may_fail);
    SIM_OK(err);
}

void sim_join(sim_task *task)
{
    sim_pass(&task->ended);
}

// Memory.

typedef union block {
    size_t size;
    max_align_t align;
} block;

static bool refuse(void)
{
    if (!run.armed || exempt || run.allocations_left-- > 0)
        return false;
    run.armed = false;
    return true;
}

static void *allocate(size_t size, void *ctx)
{
    (void)ctx;
    block *made = refuse() ? NULL : malloc(sizeof *made + size);
    if (!made)
        return NULL;
    made->size = size;
    ++run.blocks;
    memset(made + 1, 0xa5, size);
    return made + 1;
}

static void release(void *ptr, size_t size, void *ctx)
{
    (void)ctx;
    if (!ptr)
        return;
    block *made = (block *)ptr - 1;
    if (made->size != size)
        ++run.mistakes;
    --run.blocks;
    memset(ptr, 0x5a, made->size);
    free(made);
}

static void *resize(void *ptr, size_t old_size, size_t new_size, void *ctx)
{
    void *moved = allocate(new_size, ctx);
    if (!moved || !ptr)
        return moved;
    memcpy(moved, ptr, old_size < new_size ? old_size : new_size);
    release(ptr, old_size, ctx);
    return moved;
}

// Runtimes.

fkl_runtime *sim_runtime(void)
{
    return sim_runtime_with(2);
}

fkl_runtime *sim_runtime_with(uint32_t workers)
{
    fkl_runtime *runtime = NULL;
    fkl_runtime_config config = {
        .allocator = {allocate, resize, release, NULL},
        .stack_size = STACK_SIZE,
        .pool_workers = workers,
    };
    SIM_OK(fkl_runtime_create(&config, &runtime));
    run.armed = run.memory_may_fail;
    return runtime;
}

void sim_check_counters(fkl_runtime *runtime)
{
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    SIM_CHECK(count.live == 0 && count.orphans == 0, "live %llu, orphans %llu",
              (unsigned long long)count.live, (unsigned long long)count.orphans);
    SIM_CHECK(count.sent == count.handled + count.dead_lettered + count.dropped,
              "sent %llu, handled %llu, dead-lettered %llu, dropped %llu",
              (unsigned long long)count.sent, (unsigned long long)count.handled,
              (unsigned long long)count.dead_lettered, (unsigned long long)count.dropped);
}

void sim_end_runtime(fkl_runtime *runtime)
{
    fkl_err err;
    do {
        err = fkl_runtime_shutdown(runtime, FKL_FOREVER);
    } while (err == FKL_EINTR);
    SIM_OK(err);
    sim_check_counters(runtime);
    SIM_OK(fkl_runtime_destroy(runtime));
}

fkl_actor *sim_spawn(fkl_runtime *runtime, const char *name, fkl_actor_fn fn, void *arg)
{
    fkl_spawn_options options = {.name = name};
    fkl_actor *actor = NULL;
    fkl_err err;
    exempt = true;
    do {
        err = fkl_spawn(runtime, &options, fn, arg, &actor);
    } while (err == FKL_ETHREAD && run.threads_may_fail);
    exempt = false;
    SIM_OK(err);
    return actor;
}

fkl_msg *sim_msg(fkl_runtime *runtime, uint64_t tag)
{
    fkl_msg *msg = NULL;
    exempt = true;
    SIM_OK(fkl_msg_create_copy(runtime, FKL_CODEC_RAW, &tag, sizeof tag, &msg));
    exempt = false;
    fkl_msg_set_tag(msg, tag);
    return msg;
}

bool sim_send(fkl_actor *to, uint64_t tag)
{
    fkl_msg *msg = sim_msg(fkl_actor_runtime(to), tag);
    fkl_err err = fkl_actor_send(to, msg);
    SIM_CHECK(err == FKL_OK || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
    if (err)
        fkl_msg_destroy(msg);
    return err == FKL_OK;
}

fkl_exit sim_join_actor(fkl_actor *actor)
{
    fkl_exit record = {0};
    fkl_err err;
    while ((err = fkl_actor_join_until(actor, FKL_FOREVER, &record)) == FKL_EINTR)
        SIM_CHECK(sim_may_fail(SIM_SIGNALS), "a join was interrupted");
    SIM_OK(err);
    while ((err = fkl_actor_join_thread_until(actor, FKL_FOREVER)) == FKL_EINTR) {
    }
    SIM_OK(err);
    fkl_actor_release(actor);
    record.error = NULL;
    return record;
}

// Running.

static void body(void *arg)
{
    const sim_scenario *scenario = arg;
    uint32_t starts = 0;
    bool fail_start = (scenario->faults & SIM_FAIL_THREADS) && sim_below(2) == 0;
    if (fail_start)
        starts = sim_below(4);
    run.threads_may_fail = fail_start;
    run.memory_may_fail = (scenario->faults & SIM_FAIL_MEMORY) && sim_below(2) == 0;
    run.allocations_left = sim_below(12);
    fkli_fault_thread_start(starts, fail_start ? 1 : 0);
    scenario->body();
}

static fkli_sim_result run_seed(const sim_scenario *scenario, uint64_t seed, uint32_t contended)
{
    fkli_sim_config config = {
        .seed = seed,
        .contended = contended,
        .step_limit = scenario->step_limit ? scenario->step_limit : STEP_LIMIT,
        .signals = scenario->faults & SIM_SIGNALS,
        .where = where,
        .trace = driver.trace ? note_step : NULL,
        .on_trouble = on_trouble,
    };
    fkli_sim_result result = {0};
    memset(&run, 0, sizeof run);
    run.scenario = scenario;
    run.seed = driver.report->seed = seed;
    run.random = seed * UINT64_C(0xd1342543de82ef95) + 1;
    alarm(REAL_SECONDS);
    bool started = fkli_sim_run(&config, body, (void *)(uintptr_t)scenario, &result);
    fkli_sim_freeze();
    SIM_CHECK(started, "the system gives no thread");
    SIM_CHECK(run.blocks == 0, "%ld blocks leaked", run.blocks);
    SIM_CHECK(run.mistakes == 0, "%ld times a size that is not the block's", run.mistakes);
    return result;
}

// How many contended steps the scenario takes. It depends on the scenario alone, so that it does
// not matter with which other seeds a seed is run.
static uint32_t calibrate(const sim_scenario *scenario)
{
    uint32_t total = 0;
    for (uint64_t seed = 0; seed < CALIBRATIONS; ++seed)
        total += run_seed(scenario, seed, DEFAULT_STEPS).contended;
    return total / CALIBRATIONS + 1;
}

static int child(const sim_scenario *scenario, uint64_t from, uint64_t seeds)
{
    bool trace = driver.trace;
    driver.trace = false;
    uint32_t contended = calibrate(scenario);
    driver.trace = trace;
    for (uint64_t seed = from; seed - from < seeds; ++seed) {
        fkli_sim_result result = run_seed(scenario, seed, contended);
        ++driver.report->done;
        driver.report->steps += result.steps;
        driver.report->hash = result.hash;
        if (driver.verbose)
            printf("# seed %llu: %u threads, %u steps, %u contended, %u switches, hash %016llx\n",
                   (unsigned long long)seed, result.threads, result.steps, result.contended,
                   result.switches, (unsigned long long)result.hash);
        if (driver.trace)
            print_trace();
    }
    fflush(stdout);
    return 0;
}

// Returns whether the child did well.
static bool run_child(const sim_scenario *scenario, uint64_t from, uint64_t seeds)
{
    *driver.report = (report){0};
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        exit(child(scenario, from, seeds));
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    unsigned long long seed = driver.report->seed;
    if (pid > 0 && WIFSIGNALED(status))
        printf("# seed %llu: %s%s\n", seed, strsignal(WTERMSIG(status)),
               WTERMSIG(status) == SIGALRM ? ": a thread waits or loops outside of the seam" : "");
    printf("# again: %s --seed %llu %s\n", driver.program, seed, scenario->name);
    return false;
}

// A seed that is run alone must do the same steps as after all others.
static bool repeats(const sim_scenario *scenario)
{
    report before = *driver.report;
    bool verbose = driver.verbose;
    driver.verbose = false;
    bool same = run_child(scenario, before.seed, 1) && driver.report->hash == before.hash;
    driver.verbose = verbose;
    if (!same)
        printf("# seed %llu is not repeatable: %016llx, then %016llx\n",
               (unsigned long long)before.seed, (unsigned long long)before.hash,
               (unsigned long long)driver.report->hash);
    *driver.report = before;
    return same;
}

static bool try(const sim_scenario *scenario, int number)
{
    bool ok = run_child(scenario, driver.from, driver.seeds);
    if (ok && !driver.trace)
        ok = repeats(scenario);
    printf("%s %d - %s # %llu seeds, %llu steps\n", ok ? "ok" : "not ok", number, scenario->name,
           (unsigned long long)driver.report->done, (unsigned long long)driver.report->steps);
    return ok;
}

static bool wanted(const sim_scenario *scenario, char **names)
{
    if (!*names)
        return true;
    for (; *names; ++names) {
        if (strstr(scenario->name, *names))
            return true;
    }
    return false;
}

// Returns where the names begin.
static char **read_arguments(char **arguments)
{
    driver.program = *arguments++;
    driver.seeds = DEFAULT_SEEDS;
    driver.from = 1;
    for (; *arguments && **arguments == '-'; ++arguments) {
        if (strcmp(*arguments, "--verbose") == 0) {
            driver.verbose = true;
        } else if (strcmp(*arguments, "--trace") == 0) {
            driver.trace = true;
        } else if (strcmp(*arguments, "--seeds") == 0 && arguments[1]) {
            driver.seeds = strtoull(*++arguments, NULL, 0);
        } else if (strcmp(*arguments, "--from") == 0 && arguments[1]) {
            driver.from = strtoull(*++arguments, NULL, 0);
        } else if (strcmp(*arguments, "--seed") == 0 && arguments[1]) {
            driver.from = strtoull(*++arguments, NULL, 0);
            driver.seeds = 1;
        } else {
            fprintf(stderr,
                    "usage: %s [--seeds COUNT] [--from SEED] [--seed SEED] [--verbose] "
                    "[--trace] [NAME...]\n",
                    driver.program);
            exit(2);
        }
    }
    return arguments;
}

int main(int argc, char **argv)
{
    (void)argc;
    char **names = read_arguments(argv);
    driver.report = mmap(NULL, sizeof *driver.report, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    driver.entries = driver.trace ? calloc(TRACE_LENGTH, sizeof *driver.entries) : NULL;
    if (driver.report == MAP_FAILED || (driver.trace && !driver.entries))
        return 2;
    int count = 0;
    int failed = 0;
    for (sim_scenario *scenario = scenarios; scenario; scenario = scenario->next) {
        if (wanted(scenario, names) && !try(scenario, ++count))
            ++failed;
    }
    printf("1..%d\n", count);
    free(driver.entries);
    return failed ? 1 : count ? 0 : NO_SUCH_SCENARIO;
}
