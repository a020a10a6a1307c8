// SPDX-License-Identifier: Apache-2.0
//
// What the benchmark programs of this folder share. A program is written once, as behaviours, and
// runs in either flavour: thread actors receive in a loop and call the behaviour, pooled actors are
// called by the runtime. Everything ends the process when it fails.
#ifndef BENCH_KIT_H
#define BENCH_KIT_H

#include <forkless/forkless.h>

// What a program reports, after it has run with `params`, which end with the number of messages.
typedef struct kit_result {
    fkl_time ns;
    int64_t operations;
    int64_t checksum;
    int64_t bytes;    // of memory, 0 when it was not looked at
    const char *note; // static text, NULL for none
} kit_result;

enum { KIT_MAX_PARAMS = 4, KIT_CACHE_LINE = 64 };

typedef kit_result (*kit_program)(const int64_t *params);

kit_result run_alive(const int64_t *params);
kit_result run_big(const int64_t *params);
kit_result run_bounded_buffer(const int64_t *params);
kit_result run_chameneos(const int64_t *params);
kit_result run_counting(const int64_t *params);
kit_result run_fork_join_create(const int64_t *params);
kit_result run_fork_join_throughput(const int64_t *params);
kit_result run_mailbox(const int64_t *params);
kit_result run_ping_pong(const int64_t *params);
kit_result run_ten_thousand(const int64_t *params);
kit_result run_thread_ring(const int64_t *params);

// Constant while a program runs.
extern fkl_runtime *kit_runtime;

void kit_check(fkl_err err, const char *doing);
void kit_fail(const char *what);

// Zeroed memory for `count` things; the caller frees it.
void *kit_alloc(int64_t count, size_t size);

// Starts an actor of the flavour that was asked for. Ownership: a reference for the caller.
fkl_actor *kit_spawn(const fkl_behaviour *behaviour, void *state);
FKL_MUST_CHECK fkl_err kit_try_spawn(const fkl_behaviour *behaviour, void *state, fkl_actor **out);
// Waits for its end and releases it.
void kit_join(fkl_actor *actor);

typedef enum kit_memory { KIT_VIRTUAL, KIT_RESIDENT } kit_memory;

// Bytes that this process has now; 0 where the system does not say.
int64_t kit_memory_used(kit_memory kind);

// The kind of a message is its tag, and its payload one integer.

static inline fkl_msg *kit_make(uint64_t kind, int64_t value)
{
    fkl_msg *msg;
    kit_check(fkl_msg_create(kit_runtime, FKL_CODEC_RAW, sizeof value, &msg), "making a message");
    fkl_msg_set_tag(msg, kind);
    *(int64_t *)fkl_msg_data(msg) = value;
    return msg;
}

static inline void kit_send(fkl_actor *to, uint64_t kind, int64_t value)
{
    kit_check(fkl_actor_send(to, kit_make(kind, value)), "sending");
}

static inline void kit_send_id(fkl_actor_id to, uint64_t kind, int64_t value)
{
    kit_check(fkl_send(kit_runtime, to, kit_make(kind, value)), "sending to an id");
}

// Reads and destroys a message.
static inline int64_t kit_take(fkl_msg *msg)
{
    int64_t value = *(const int64_t *)fkl_msg_data(msg);
    fkl_msg_destroy(msg);
    return value;
}

#endif
