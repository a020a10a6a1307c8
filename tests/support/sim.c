// SPDX-License-Identifier: Apache-2.0
//
// Runs scenarios (see sim.h). Each scenario runs in a child process, seed after seed, so that a
// crash or a hang is one scenario's. What the child is at stands in a page that both share.

#include "support/sim.h"
#include "support/sim_tools.h"
#include "support/sim_trace.h"

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
    REAL_SECONDS = 60,   // for one seed; it takes a millisecond
    EXPECTED_TROUBLE = 4 // exit status of a child
};

// What a child tells its parent.
typedef struct report {
    uint64_t seed; // at which it is
    uint64_t done; // seeds
    uint64_t steps;
    uint64_t hash; // of the last one
} report;

static struct {
    const char *program;
    uint64_t from;
    uint64_t seeds;
    bool verbose;
    bool trace;
    report *report;
} driver;

// Of the current run.
static struct {
    const sim_scenario *scenario;
    uint64_t seed;
} run;

static sim_scenario *scenarios;

void sim_register(sim_scenario *scenario)
{
    sim_scenario **end = &scenarios;
    while (*end)
        end = &(*end)->next;
    *end = scenario;
}

// Failing.

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
    size_t touched = sim_tools_count_touched();
    if (touched > 0)
        printf("# %zu blocks were written to after they were freed\n", touched);
    if (driver.trace)
        sim_trace_print();
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
    if (run.scenario->expected == (trouble == FKLI_SIM_DEADLOCK ? SIM_DEADLOCKS : SIM_LOOPS))
        _exit(EXPECTED_TROUBLE);
    printf(trouble == FKLI_SIM_DEADLOCK ? "# deadlock: every thread sleeps, none has a deadline\n"
                                        : "# livelock: too many steps\n");
    print_failure();
    _exit(1);
}

// Running.

static void body(void *arg)
{
    const sim_scenario *scenario = arg;
    sim_tools_begin(scenario, run.seed);
    scenario->body();
}

static fkli_sim_result run_seed(const sim_scenario *scenario, uint64_t seed, uint32_t contended)
{
    fkli_sim_config config = {
        .seed = seed,
        .contended = contended,
        .step_limit = scenario->step_limit ? scenario->step_limit : STEP_LIMIT,
        .signals = scenario->faults & SIM_SIGNALS,
        .where = sim_tools_where,
        .trace = driver.trace ? sim_trace_note : NULL,
        .on_trouble = on_trouble,
    };
    fkli_sim_result result = {0};
    sim_trace_clear();
    run.scenario = scenario;
    run.seed = driver.report->seed = seed;
    alarm(REAL_SECONDS);
    bool started = fkli_sim_run(&config, body, (void *)(uintptr_t)scenario, &result);
    fkli_sim_freeze();
    SIM_CHECK(started, "the system gives no thread");
    sim_tools_end();
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
            sim_trace_print();
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
    bool trouble = scenario->expected == SIM_DEADLOCKS || scenario->expected == SIM_LOOPS;
    int expected = trouble ? EXPECTED_TROUBLE : 0;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == expected)
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
    if (!same && scenario->expected != SIM_VARIES)
        printf("# seed %llu is not repeatable: %016llx, then %016llx\n",
               (unsigned long long)before.seed, (unsigned long long)before.hash,
               (unsigned long long)driver.report->hash);
    *driver.report = before;
    return same;
}

static bool try(const sim_scenario *scenario, int number)
{
    bool ok = run_child(scenario, driver.from, driver.seeds);
    if (ok && scenario->expected == SIM_VARIES)
        ok = driver.seeds < 2 || !repeats(scenario);
    else if (ok && !driver.trace && scenario->expected == SIM_ENDS)
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
    if (driver.report == MAP_FAILED || (driver.trace && !sim_trace_enable(driver.program)))
        return 2;
    int count = 0;
    int failed = 0;
    for (sim_scenario *scenario = scenarios; scenario; scenario = scenario->next) {
        if (wanted(scenario, names) && !try(scenario, ++count))
            ++failed;
    }
    printf("1..%d\n", count);
    return failed > 0;
}
