// SPDX-License-Identifier: Apache-2.0
//
// What scenarios call (see sim.h). Runs in simulated threads, one at a time, so plain memory is
// enough.

#include "support/sim_tools.h"

#include "wait.h"

#include <stdlib.h>
#include <string.h>

enum { STACK_SIZE = 64 * 1024 };

// Of the current run.
static struct {
    const sim_scenario *scenario;
    uint64_t random;
    bool memory_may_fail;
    bool threads_may_fail;
    uint32_t allocations_left; // before the one that fails; counts when armed
    bool armed;
    long blocks;
    long mistakes;
    struct block *freed;
} tools;

static _Thread_local bool exempt;          // from failing allocations
static _Thread_local const char *waits_at; // outside of the library

// What the seed decides.

static uint64_t next_random(void)
{
    uint64_t z = (tools.random += UINT64_C(0x9e3779b97f4a7c15));
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
    return (fault == SIM_FAIL_MEMORY && tools.memory_may_fail) ||
           (fault == SIM_FAIL_THREADS && tools.threads_may_fail) ||
           (fault == SIM_SIGNALS && (tools.scenario->faults & SIM_SIGNALS));
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

void sim_sleep_until(fkl_time deadline)
{
    const uint32_t nobody_writes = 0;
    const char *before = waits_at;
    waits_at = "a sleep";
    while (fkli_clock_now() < deadline)
        fkli_sim_futex_wait(&nobody_writes, 0, deadline);
    waits_at = before;
}

// Long enough that everybody else sleeps at the end of it, or waits as long.
void sim_settle(void)
{
    static const int64_t long_time = INT64_C(1000000000000);
    if (sim_below(2) == 0)
        sim_sleep_until(fkli_clock_now() + long_time);
}

// Gates and threads.

void sim_open(sim_gate *gate)
{
    fkli_store_release_u32(&gate->open, 1);
    while (fkli_sim_futex_wake_one(&gate->open.value)) {
    }
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
    } while (err && tools.threads_may_fail);
    SIM_OK(err);
}

void sim_join(sim_task *task)
{
    sim_pass(&task->ended);
}

// Memory.

// AddressSanitizer sees what uses freed memory. Without it, freed blocks are kept until the end of
// the run, to see whether somebody has written to them.
#if defined(FKLI_SANITIZE_ADDRESS)
#define KEEP_FREED_BLOCKS false
#else
#define KEEP_FREED_BLOCKS true
#endif

enum { NEW_BYTE = 0xa5, FREED_BYTE = 0x5a };

struct block {
    _Alignas(max_align_t) size_t size;
    struct block *next; // of the freed ones
};

static bool refuse(void)
{
    if (!tools.armed || exempt || tools.allocations_left-- > 0)
        return false;
    tools.armed = false;
    return true;
}

static void *allocate(size_t size, void *ctx)
{
    (void)ctx;
    struct block *made = refuse() ? NULL : malloc(sizeof *made + size);
    if (!made)
        return NULL;
    made->size = size;
    ++tools.blocks;
    memset(made + 1, NEW_BYTE, size);
    return made + 1;
}

static void release(void *ptr, size_t size, void *ctx)
{
    (void)ctx;
    if (!ptr)
        return;
    struct block *made = (struct block *)ptr - 1;
    if (made->size != size)
        ++tools.mistakes;
    --tools.blocks;
    memset(ptr, FREED_BYTE, made->size);
    if (!KEEP_FREED_BLOCKS) {
        free(made);
        return;
    }
    made->next = tools.freed;
    tools.freed = made;
}

static bool is_untouched(const struct block *freed)
{
    const unsigned char *bytes = (const unsigned char *)(freed + 1);
    for (size_t i = 0; i < freed->size; ++i) {
        if (bytes[i] != FREED_BYTE)
            return false;
    }
    return true;
}

static void check_freed_blocks(void)
{
    while (tools.freed) {
        struct block *freed = tools.freed;
        SIM_CHECK(is_untouched(freed), "%zu bytes were written to after they were freed",
                  freed->size);
        tools.freed = freed->next;
        free(freed);
    }
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

// What goes wrong on purpose, thousands of times, is nobody's news.
static void keep_quiet(fkl_log_level level, const char *text, void *ctx)
{
    (void)level;
    (void)text;
    (void)ctx;
}

fkl_runtime *sim_runtime_with(uint32_t workers)
{
    fkl_runtime *runtime = NULL;
    fkl_runtime_config config = {
        .allocator = {allocate, resize, release, NULL},
        .stack_size = STACK_SIZE,
        .pool_workers = workers,
        .log = keep_quiet,
    };
    SIM_OK(fkl_runtime_create(&config, &runtime));
    tools.armed = tools.memory_may_fail;
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
    } while (err == FKL_ETHREAD && tools.threads_may_fail);
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

// For the driver.

// Read without the seam, for nobody else runs.
const char *sim_tools_where(void)
{
    if (waits_at)
        return waits_at;
    const fkli_thread *thread = fkli_thread_peek();
    return thread ? thread->where.value : NULL;
}

void sim_tools_begin(const sim_scenario *scenario, uint64_t seed)
{
    uint32_t starts = 0;
    memset(&tools, 0, sizeof tools);
    tools.scenario = scenario;
    tools.random = seed * UINT64_C(0xd1342543de82ef95) + 1;
    tools.threads_may_fail = (scenario->faults & SIM_FAIL_THREADS) && sim_below(2) == 0;
    if (tools.threads_may_fail)
        starts = sim_below(4);
    tools.memory_may_fail = (scenario->faults & SIM_FAIL_MEMORY) && sim_below(2) == 0;
    tools.allocations_left = sim_below(12);
    fkli_fault_thread_start(starts, tools.threads_may_fail ? 1 : 0);
}

size_t sim_tools_count_touched(void)
{
    size_t count = 0;
    for (const struct block *freed = tools.freed; freed; freed = freed->next)
        count += !is_untouched(freed);
    return count;
}

void sim_tools_end(void)
{
    SIM_CHECK(tools.blocks == 0, "%ld blocks leaked", tools.blocks);
    SIM_CHECK(tools.mistakes == 0, "%ld times a size that is not the block's", tools.mistakes);
    check_freed_blocks();
}
