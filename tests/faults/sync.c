// SPDX-License-Identifier: Apache-2.0
//
// Faults while channels, semaphores and locks are made and waited for, one by one and together.
#include "support/faults.h"

#include <forkless/select.h>

struct shared {
    faults *f;
    fkl_channel *channel;
    fkl_sem *sem;
    fkl_mutex *mutex;
    atomic_int inside;
};

static void act_take(fkl_actor *self, void *arg)
{
    struct shared *shared = arg;
    (void)self;
    for (uint64_t tag = 1; tag <= 3; tag++) {
        fkl_msg *msg = NULL;
        TRY(shared->f, fkl_channel_receive_until(shared->channel, SOON, &msg));
        REQUIRE(shared->f, msg && fkl_msg_tag(msg) == tag);
        fkl_msg_destroy(msg);
    }
}

static void act_put(fkl_actor *self, void *arg)
{
    struct shared *shared = arg;
    (void)self;
    for (uint64_t tag = 1; tag <= 3; tag++) {
        fkl_msg *msg = faults_msg(shared->f, tag);
        TRY(shared->f, fkl_channel_send_until(shared->channel, msg, SOON));
    }
}

static void act_poll(fkl_actor *self, void *arg)
{
    struct shared *shared = arg;
    (void)self;
    TRY(shared->f, fkl_channel_poll_until(shared->channel, SOON));
}

// Receivers wait first, then senders do.
static void use_channel(faults *f, size_t capacity)
{
    struct shared shared = {.f = f};
    TRY(f, fkl_channel_create(f->runtime, capacity, &shared.channel));
    fkl_actor *poller = faults_spawn(f, act_poll, &shared);
    faults_until_waits(f, poller, "channel poll");
    fkl_actor *taker = faults_spawn(f, act_take, &shared);
    faults_until_waits(f, taker, "channel receive");
    fkl_actor *putter = faults_spawn(f, act_put, &shared);
    faults_join(f, taker);
    faults_join(f, putter);

    putter = faults_spawn(f, act_put, &shared);
    if (capacity) {
        faults_until_waits(f, putter, "channel send");
    }
    taker = faults_spawn(f, act_take, &shared);
    faults_join(f, taker);
    faults_join(f, putter);
    fkl_channel_close(shared.channel);
    faults_join(f, poller); // it may have found the channel empty again
    fkl_msg *msg = faults_msg(f, 0);
    EXPECT(f, fkl_channel_send_until(shared.channel, msg, SOON), FKL_ECLOSED);
    fkl_msg_destroy(msg);
    fkl_channel_release(shared.channel);
}

static void use_bounded_channel(faults *f)
{
    use_channel(f, 1);
}

static void use_unbounded_channel(faults *f)
{
    use_channel(f, 0);
}

FAULTS(sync_faults, a_bounded_channel_is_used_and_closed, use_bounded_channel)
FAULTS(sync_faults, an_unbounded_channel_is_used_and_closed, use_unbounded_channel)

static void abandon_channel(faults *f)
{
    fkl_channel *channel = NULL;
    TRY(f, fkl_channel_create(f->runtime, 2, &channel));
    for (uint64_t tag = 0; tag < 2; tag++) {
        fkl_msg *msg = faults_msg(f, tag);
        TRY(f, fkl_channel_try_send(channel, msg));
    }
    fkl_msg *msg = faults_msg(f, 2);
    EXPECT(f, fkl_channel_try_send(channel, msg), FKL_EFULL);
    EXPECT(f, fkl_channel_send_until(channel, msg, fkl_after_ms(1)), FKL_ETIMEDOUT);
    fkl_msg_destroy(msg);
    fkl_channel_release(channel);
}

FAULTS(sync_faults, a_channel_is_given_up_with_messages_in_it, abandon_channel)

static void act_wait(fkl_actor *self, void *arg)
{
    struct shared *shared = arg;
    (void)self;
    TRY(shared->f, fkl_sem_wait_until(shared->sem, SOON));
}

static void use_sem(faults *f)
{
    enum { COUNT = 2 };
    struct shared shared = {.f = f};
    fkl_actor *actors[COUNT];
    TRY(f, fkl_sem_create(f->runtime, 0, COUNT, &shared.sem));
    for (int i = 0; i < COUNT; i++) {
        actors[i] = faults_spawn(f, act_wait, &shared);
        faults_until_waits(f, actors[i], "semaphore");
    }
    EXPECT(f, fkl_sem_wait_until(shared.sem, fkl_after_ms(1)), FKL_ETIMEDOUT);
    for (int i = 0; i < COUNT; i++) {
        TRY(f, fkl_sem_post(shared.sem));
    }
    for (int i = 0; i < COUNT; i++) {
        faults_join(f, actors[i]);
    }
    REQUIRE(f, fkl_sem_value(shared.sem) == 0); // each took one, neither more nor less
    fkl_sem_release(shared.sem);
}

FAULTS(sync_faults, a_semaphore_is_waited_for, use_sem)

static void act_lock(fkl_actor *self, void *arg)
{
    struct shared *shared = arg;
    (void)self;
    TRY(shared->f, fkl_mutex_lock_until(shared->mutex, SOON));
    TRY(shared->f, fkl_mutex_lock_until(shared->mutex, SOON)); // recursive
    REQUIRE(shared->f, atomic_fetch_add(&shared->inside, 1) == 0);
    TRY(shared->f, fkl_mutex_unlock(shared->mutex));
    atomic_fetch_sub(&shared->inside, 1);
    TRY(shared->f, fkl_mutex_unlock(shared->mutex));
}

static void use_mutex(faults *f)
{
    enum { COUNT = 3 };
    struct shared shared = {.f = f};
    fkl_actor *actors[COUNT];
    TRY(f, fkl_mutex_create(f->runtime, true, &shared.mutex));
    TRY(f, fkl_mutex_lock_until(shared.mutex, SOON));
    for (int i = 0; i < COUNT; i++) {
        actors[i] = faults_spawn(f, act_lock, &shared);
        faults_until_waits(f, actors[i], "mutex");
    }
    TRY(f, fkl_mutex_unlock(shared.mutex));
    for (int i = 0; i < COUNT; i++) {
        faults_join(f, actors[i]);
    }
    TRY(f, fkl_mutex_try_lock(shared.mutex));
    TRY(f, fkl_mutex_unlock(shared.mutex));
    fkl_mutex_release(shared.mutex);
}

FAULTS(sync_faults, a_mutex_is_waited_for, use_mutex)

enum { ITEMS = 20 }; // more than have room on the stack

static void act_wait_any(fkl_actor *self, void *arg)
{
    struct shared *shared = arg;
    (void)self;
    fkl_wait_item items[ITEMS] = {
        {.kind = FKL_WAIT_MAILBOX},
        {.kind = FKL_WAIT_RECEIVE, .channel = shared->channel},
        {.kind = FKL_WAIT_TIME, .time = FKL_FOREVER},
    };
    for (int i = 3; i < ITEMS; i++) {
        items[i] = (fkl_wait_item){.kind = FKL_WAIT_SEM, .sem = shared->sem};
    }
    size_t index = 0;
    fkl_msg *msg = NULL;
    TRY(shared->f, fkl_wait_any_until(items, ITEMS, SOON, &index));
    REQUIRE(shared->f, index >= 3);
    TRY(shared->f, fkl_sem_try_wait(shared->sem));
    TRY(shared->f, fkl_wait_any_until(items, 3, SOON, &index));
    REQUIRE(shared->f, index == 1);
    TRY(shared->f, fkl_channel_try_receive(shared->channel, &msg));
    fkl_msg_destroy(msg);
}

static void wait_any(faults *f)
{
    struct shared shared = {.f = f};
    TRY(f, fkl_channel_create(f->runtime, 1, &shared.channel));
    TRY(f, fkl_sem_create(f->runtime, 0, 1, &shared.sem));
    fkl_actor *actor = faults_spawn(f, act_wait_any, &shared);
    faults_until_waits(f, actor, "wait any");
    TRY(f, fkl_sem_post(shared.sem));
    while (fkl_sem_value(shared.sem)) {
        rig_pause_ms(1);
    }
    faults_until_waits(f, actor, "wait any");
    fkl_msg *msg = faults_msg(f, 1);
    TRY(f, fkl_channel_send_until(shared.channel, msg, SOON));
    faults_join(f, actor);
    fkl_sem_release(shared.sem);
    fkl_channel_release(shared.channel);
}

FAULTS(sync_faults, several_things_are_waited_for_at_once, wait_any)
