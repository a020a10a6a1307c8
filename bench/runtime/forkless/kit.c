// SPDX-License-Identifier: Apache-2.0
//
// The program: forkless FLAVOUR NAME PARAMETER...
//
// Runs a benchmark, first for a tenth of its last parameter to warm up, and prints its name, the
// nanoseconds of its inner section, the operations in it and a checksum of what arrived; then
// cpu=NANOSECONDS of the whole program after warming up, and for some bytes=N or note=TEXT.

#include "kit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

fkl_runtime *kit_runtime;
static bool pooled; // constant while a program runs

static const struct entry {
    const char *name;
    kit_program run;
    int params;
    bool warm;
} entries[] = {
    {"alive", run_alive, 1, false},
    {"big", run_big, 2, true},
    {"bounded_buffer", run_bounded_buffer, 4, true},
    {"chameneos", run_chameneos, 2, true},
    {"counting", run_counting, 1, true},
    {"fork_join_create", run_fork_join_create, 1, true},
    {"fork_join_throughput", run_fork_join_throughput, 2, true},
    {"mailbox", run_mailbox, 2, true},
    {"ping_pong", run_ping_pong, 1, true},
    {"ten_thousand", run_ten_thousand, 1, false},
    {"thread_ring", run_thread_ring, 2, true},
};

void kit_fail(const char *what)
{
    fprintf(stderr, "forkless: %s\n", what);
    exit(1);
}

void kit_check(fkl_err err, const char *doing)
{
    if (err) {
        fprintf(stderr, "forkless: %s: %s\n", doing, fkl_strerror(err));
        exit(1);
    }
}

void *kit_alloc(int64_t count, size_t size)
{
    void *memory = calloc((size_t)count, size);
    if (!memory)
        kit_fail("no memory");
    return memory;
}

static void receive_in_thread(fkl_actor *self, void *state)
{
    const fkl_behaviour *behaviour = fkl_actor_data(self);
    fkl_msg *msg;
    do {
        kit_check(fkl_receive_until(FKL_FOREVER, &msg), "receiving");
    } while (behaviour->receive(self, msg, state) == FKL_TURN_CONTINUE);
}

fkl_err kit_try_spawn(const fkl_behaviour *behaviour, void *state, fkl_actor **out)
{
    if (pooled)
        return fkl_spawn_pooled(kit_runtime, NULL, behaviour, state, out);
    fkl_spawn_options options = {.data = (void *)(uintptr_t)behaviour};
    return fkl_spawn(kit_runtime, &options, receive_in_thread, state, out);
}

fkl_actor *kit_spawn(const fkl_behaviour *behaviour, void *state)
{
    fkl_actor *actor;
    kit_check(kit_try_spawn(behaviour, state, &actor), "spawning");
    return actor;
}

void kit_join(fkl_actor *actor)
{
    fkl_exit end;
    kit_check(fkl_actor_join_until(actor, FKL_FOREVER, &end), "joining");
    if (end.reason != FKL_EXIT_NORMAL)
        kit_fail("an actor did not end normally");
    fkl_actor_release(actor);
}

int64_t kit_memory_used(kit_memory kind)
{
    long pages[2];
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file)
        return 0;
    int found = fscanf(file, "%ld %ld", &pages[0], &pages[1]);
    fclose(file);
    return found == 2 ? (int64_t)pages[kind] * sysconf(_SC_PAGESIZE) : 0;
}

// Processor time of all threads.
static int64_t processor_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

static const struct entry *entry_of(const char *name)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; ++i) {
        if (strcmp(entries[i].name, name) == 0)
            return &entries[i];
    }
    kit_fail("no such program");
    return NULL;
}

static void warm_up(const struct entry *entry, const int64_t *params)
{
    int64_t fewer[KIT_MAX_PARAMS];
    memcpy(fewer, params, sizeof fewer);
    int64_t *messages = &fewer[entry->params - 1];
    *messages = *messages < 10 ? 1 : *messages / 10;
    entry->run(fewer);
}

int main(int argc, char **argv)
{
    pooled = argc > 1 && strcmp(argv[1], "pooled") == 0;
    if (argc < 4 || (!pooled && strcmp(argv[1], "thread") != 0))
        kit_fail("usage: forkless thread|pooled NAME PARAMETER...");
    const struct entry *entry = entry_of(argv[2]);
    int64_t params[KIT_MAX_PARAMS] = {0};
    if (argc != 3 + entry->params)
        kit_fail("a wrong number of parameters");
    for (int i = 3; i < argc; ++i) {
        params[i - 3] = strtoll(argv[i], NULL, 10);
        if (params[i - 3] < 1)
            kit_fail("parameters are positive numbers");
    }
    kit_check(fkl_runtime_create(NULL, &kit_runtime), "making a runtime");
    if (entry->warm)
        warm_up(entry, params);
    int64_t used = processor_ns();
    kit_result result = entry->run(params);
    used = processor_ns() - used;
    kit_check(fkl_runtime_shutdown(kit_runtime, FKL_FOREVER), "shutting down");
    kit_check(fkl_runtime_destroy(kit_runtime), "destroying the runtime");
    printf("%s %" PRId64 " %" PRId64 " %" PRId64 " cpu=%" PRId64, entry->name, result.ns,
           result.operations, result.checksum, used);
    if (result.bytes)
        printf(" bytes=%" PRId64, result.bytes);
    if (result.note)
        printf(" note=%s", result.note);
    puts("");
    return 0;
}
