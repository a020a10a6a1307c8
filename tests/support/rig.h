// SPDX-License-Identifier: Apache-2.0
//
// What the unit tests of the runtime share: a runtime with an allocator that counts and can fail,
// actors that wait in every way there is, and deadlines that only a hang can miss. Actors record
// what they saw and the test asserts it, since an assertion may only fail in the test's own thread.
#ifndef FKL_TESTS_SUPPORT_RIG_H
#define FKL_TESTS_SUPPORT_RIG_H

#include "support/unit.h"

#include <forkless/forkless.h>

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// Nothing that works takes this long, however loaded the machine.
#define RIG_PATIENCE_MS 20000
#define SOON fkl_after_ms(RIG_PATIENCE_MS)

#define assert_err(call, expected)                                                                 \
    do {                                                                                           \
        fkl_err rig_got_ = (call);                                                                 \
        fkl_err rig_want_ = (expected);                                                            \
        cr_assert_eq(rig_got_, rig_want_, "%s gave %s, not %s", #call, fkl_err_name(rig_got_),     \
                     fkl_err_name(rig_want_));                                                     \
    } while (0)

#define assert_ok(call) assert_err(call, FKL_OK)

// Polls, for what has no wait of its own.
#define assert_eventually(condition)                                                               \
    do {                                                                                           \
        fkl_time rig_limit_ = SOON;                                                                \
        while (!(condition) && fkl_now() < rig_limit_) {                                           \
            rig_pause_ms(1);                                                                       \
        }                                                                                          \
        cr_assert(condition, "it never happened");                                                 \
    } while (0)

// Not a wait of the library, so that it can be used inside of actors that must not stop.
static inline void rig_pause_ms(long ms)
{
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {
        // A signal came first.
    }
}

// Passes a little time, so that a race is met at another point each time.
static inline void rig_spin(int turns)
{
    for (volatile int left = turns; left > 0; left--) {
    }
}

// ---- an allocator that counts what is live, checks the sizes it is told, and fails on request

typedef struct rig_memory {
    atomic_long blocks;   // live
    atomic_long bytes;    // live, as asked for
    atomic_long calls;    // allocate and resize, including the failed one
    atomic_long fail_at;  // the call that fails, counted from 1; 0 for none
    atomic_bool fail_on;  // and every later one too,
    atomic_long fail_to;  // up to this one, 0 for no end
    atomic_long mistakes; // sizes that did not match
} rig_memory;

typedef union rig_block {
    size_t size;
    max_align_t align;
} rig_block;

static inline bool rig_refuses(rig_memory *memory)
{
    long call = atomic_fetch_add(&memory->calls, 1) + 1;
    long fail_at = atomic_load(&memory->fail_at);
    long fail_to = atomic_load(&memory->fail_to);
    bool later = call > fail_at && atomic_load(&memory->fail_on) && (!fail_to || call <= fail_to);
    return fail_at && (call == fail_at || later);
}

static inline void *rig_allocate(size_t size, void *ctx)
{
    rig_memory *memory = ctx;
    rig_block *block = rig_refuses(memory) ? NULL : malloc(sizeof *block + size);
    if (!block) {
        return NULL;
    }
    block->size = size;
    atomic_fetch_add(&memory->blocks, 1);
    atomic_fetch_add(&memory->bytes, (long)size);
    memset(block + 1, 0xa5, size);
    return block + 1;
}

static inline void rig_release(void *ptr, size_t size, void *ctx)
{
    rig_memory *memory = ctx;
    if (!ptr) {
        return;
    }
    rig_block *block = (rig_block *)ptr - 1;
    if (block->size != size) {
        atomic_fetch_add(&memory->mistakes, 1);
    }
    atomic_fetch_sub(&memory->blocks, 1);
    atomic_fetch_sub(&memory->bytes, (long)block->size);
    memset(ptr, 0x5a, block->size);
    free(block);
}

static inline void *rig_resize(void *ptr, size_t old_size, size_t new_size, void *ctx)
{
    rig_memory *memory = ctx;
    void *moved = rig_allocate(new_size, ctx);
    if (!moved) {
        return NULL;
    }
    if (ptr) {
        if (((rig_block *)ptr - 1)->size != old_size) {
            atomic_fetch_add(&memory->mistakes, 1);
        }
        memcpy(moved, ptr, old_size < new_size ? old_size : new_size);
        rig_release(ptr, old_size, ctx);
    }
    return moved;
}

static inline fkl_allocator rig_allocator(rig_memory *memory)
{
    return (fkl_allocator){rig_allocate, rig_resize, rig_release, memory};
}

static inline void rig_assert_balanced(rig_memory *memory)
{
    cr_assert_eq(atomic_load(&memory->mistakes), 0, "a size did not match its block");
    cr_assert_eq(atomic_load(&memory->blocks), 0, "%ld blocks leaked",
                 atomic_load(&memory->blocks));
    cr_assert_eq(atomic_load(&memory->bytes), 0);
}

// ---- runtimes

static inline fkl_runtime *rig_create(void)
{
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(NULL, &runtime));
    cr_assert_not_null(runtime);
    return runtime;
}

static inline void rig_assert_conserved(const fkl_runtime *runtime)
{
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.live, 0);
    cr_assert_eq(count.orphans, 0);
    cr_assert_eq(count.sent, count.handled + count.dead_lettered + count.dropped,
                 "sent %llu, handled %llu, dead-lettered %llu, dropped %llu",
                 (unsigned long long)count.sent, (unsigned long long)count.handled,
                 (unsigned long long)count.dead_lettered, (unsigned long long)count.dropped);
}

static inline void rig_destroy(fkl_runtime *runtime)
{
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    rig_assert_conserved(runtime);
    assert_ok(fkl_runtime_destroy(runtime));
}

static inline fkl_actor *rig_spawn(fkl_runtime *runtime, fkl_actor_fn fn, void *arg)
{
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn(runtime, NULL, fn, arg, &actor));
    cr_assert_not_null(actor);
    return actor;
}

// Waits for the exit and for the thread, and drops the reference.
static inline fkl_exit rig_join(fkl_actor *actor)
{
    fkl_exit record = {0};
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    fkl_actor_release(actor);
    record.error = NULL; // it has gone with the reference
    return record;
}

static inline fkl_msg *rig_msg(uint64_t tag)
{
    fkl_msg *msg = NULL;
    assert_ok(fkl_msg_create_copy(NULL, FKL_CODEC_RAW, "payload", 7, &msg));
    fkl_msg_set_tag(msg, tag);
    return msg;
}

static inline void rig_send(fkl_actor *to, uint64_t tag)
{
    assert_ok(fkl_actor_send(to, rig_msg(tag)));
}

// Whether fkl_runtime_running() reports the actor with this text for its wait.
static inline bool rig_waits_in(fkl_actor *actor, const char *wait)
{
    fkl_running rows[64];
    size_t count = 0;
    fkl_runtime_running(fkl_actor_runtime(actor), rows, 64, &count);
    for (size_t i = 0; i < count && i < 64; i++) {
        if (rows[i].id == fkl_actor_get_id(actor)) {
            return wait ? strcmp(rows[i].wait, wait) == 0 : strcmp(rows[i].wait, "running") != 0;
        }
    }
    return false;
}

static inline bool rig_waits(fkl_actor *actor)
{
    return rig_waits_in(actor, NULL);
}

// ---- actors

static inline void act_return(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
}

// Destroys what it receives until it is asked to stop.
static inline void act_serve(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    fkl_msg *msg = NULL;
    for (fkl_err err = FKL_OK; err == FKL_OK || err == FKL_EINTR;) {
        err = fkl_receive_until(FKL_FOREVER, &msg);
        if (err == FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
}

// Sleeps until it is asked to stop, receiving nothing.
static inline void act_idle(fkl_actor *self, void *arg)
{
    (void)self;
    (void)arg;
    while (fkl_sleep_until(FKL_FOREVER) != FKL_ESTOPPED) {
        // Interrupted.
    }
}

// A gate that is not a wait of the library: an actor behind it neither stops nor shows a wait.
typedef struct rig_gate {
    atomic_bool open;
    atomic_int arrived;
} rig_gate;

static inline void rig_pass(rig_gate *gate)
{
    atomic_fetch_add(&gate->arrived, 1);
    while (!atomic_load(&gate->open)) {
        rig_pause_ms(1);
    }
}

// Takes no notice of a request to stop until the gate, its argument, is opened.
static inline void act_stubborn(fkl_actor *self, void *arg)
{
    (void)self;
    rig_pass(arg);
}

// What one receive, and a try before it, gave.
struct rig_receipt {
    fkl_time deadline;
    fkl_err err;
    fkl_time returned;
    fkl_msg *out;
    fkl_err empty;
};

static inline void act_receive_once(fkl_actor *self, void *arg)
{
    (void)self;
    struct rig_receipt *receipt = arg;
    receipt->empty = fkl_try_receive(&receipt->out);
    receipt->err = fkl_receive_until(receipt->deadline, &receipt->out);
    receipt->returned = fkl_now();
    if (receipt->err == FKL_OK) {
        fkl_msg_destroy(receipt->out);
        receipt->out = NULL;
    }
}

#endif
