// SPDX-License-Identifier: Apache-2.0
//
// Shutdown at any moment: while actors wait in every way, spawn each other, send to each other,
// have helpers, are stopped and killed. It always ends, nothing runs afterwards, no message is
// unaccounted.
#include "support/stress.h"

struct world {
    fkl_runtime *runtime;
    fkl_channel *channel;
    fkl_sem *sem;
    fkl_mutex *mutex;
    _Atomic(fkl_actor_id) somebody; // relaxed on purpose: a lookup must do the ordering itself
    atomic_int helpers;             // that have not left
};

static void *help(void *arg)
{
    fkl_actor *actor = arg, *previous = NULL;
    struct world *world = fkl_actor_data(actor);
    CHECK_OK(fkl_actor_enter(actor, &previous));
    while (fkl_sem_wait_until(world->sem, FKL_FOREVER) != FKL_ESTOPPED) {
    }
    fkl_actor_leave(previous);
    fkl_actor_release(actor);
    atomic_fetch_sub(&world->helpers, 1);
    return NULL;
}

static void start_helper(struct world *world, fkl_actor *self)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    atomic_fetch_add(&world->helpers, 1);
    fkl_actor_retain(self);
    if (pthread_create(&thread, &attributes, help, self) != 0) {
        fkl_actor_release(self);
        atomic_fetch_sub(&world->helpers, 1);
    }
    pthread_attr_destroy(&attributes);
}

static void act_citizen(fkl_actor *self, void *arg);

static void spawn_another(struct world *world)
{
    fkl_spawn_options options = {.name = "child", .data = world, .stack_size = 128 * 1024};
    fkl_err err = fkl_spawn(world->runtime, &options, act_citizen, world, NULL);
    CHECK(err == FKL_OK || err == FKL_ESHUTDOWN, "%s", fkl_err_name(err));
}

static void send_to_somebody(struct world *world)
{
    fkl_msg *msg = stress_msg(1);
    if (fkl_send(world->runtime, atomic_load_explicit(&world->somebody, memory_order_relaxed),
                 msg) != FKL_OK) {
        fkl_msg_destroy(msg);
    }
}

static fkl_err wait_somehow(struct world *world, stress_random *random)
{
    fkl_msg *msg = NULL;
    fkl_err err;
    switch (stress_below(random, 5)) {
    case 0:
        return fkl_sleep_until(FKL_FOREVER);
    case 1:
        err = fkl_receive_until(FKL_FOREVER, &msg);
        break;
    case 2:
        err = fkl_channel_receive_until(world->channel, FKL_FOREVER, &msg);
        break;
    case 3:
        err = fkl_sem_wait_until(world->sem, FKL_FOREVER);
        return err == FKL_OK ? fkl_sem_post(world->sem) : err;
    default:
        err = fkl_mutex_lock_until(world->mutex, FKL_FOREVER);
        return err == FKL_OK ? fkl_mutex_unlock(world->mutex) : err;
    }
    if (err == FKL_OK) {
        fkl_msg_destroy(msg);
    }
    return err;
}

static void disturb(struct world *world, fkl_actor *self, stress_random *random)
{
    fkl_actor *other = NULL;
    if (fkl_actor_find(world->runtime, atomic_load_explicit(&world->somebody, memory_order_relaxed),
                       &other) != FKL_OK) {
        return;
    }
    switch (stress_below(random, 4)) {
    case 0:
        fkl_actor_stop(other);
        break;
    case 1:
        fkl_actor_kill(other, 9);
        break;
    default:
        fkl_actor_interrupt(other);
    }
    (void)self;
    fkl_actor_release(other);
}

static void act_citizen(fkl_actor *self, void *arg)
{
    struct world *world = arg;
    stress_random random = stress_stream(fkl_actor_get_id(self));
    atomic_store_explicit(&world->somebody, fkl_actor_get_id(self), memory_order_relaxed);
    for (;;) {
        switch (stress_below(&random, 8)) {
        case 0:
            spawn_another(world);
            break;
        case 1:
            disturb(world, self, &random);
            break;
        case 2:
            if (atomic_load(&world->helpers) < 8) {
                start_helper(world, self);
            }
            break;
        case 3:
            if (wait_somehow(world, &random) == FKL_ESTOPPED) {
                return;
            }
            break;
        default:
            send_to_somebody(world);
        }
        stress_jitter(&random);
        if (fkl_actor_stop_requested(self)) {
            return;
        }
    }
}

static void run_round(int number)
{
    struct world world = {.runtime = stress_runtime()};
    stress_random random = stress_stream((uint64_t)number);
    CHECK_OK(fkl_channel_create(NULL, 0, &world.channel));
    CHECK_OK(fkl_sem_create(NULL, 0, 1, &world.sem));
    CHECK_OK(fkl_mutex_create(NULL, false, &world.mutex));
    CHECK_OK(fkl_mutex_try_lock(world.mutex));
    for (int i = 0; i < stress.threads; i++) {
        spawn_another(&world);
    }
    nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 2000000)}, NULL);
    // Sometimes impatient first: a shutdown that timed out is called again.
    if (stress_below(&random, 2)) {
        fkl_err err = fkl_runtime_shutdown(world.runtime, FKL_NO_WAIT);
        CHECK(err == FKL_OK || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
    }
    CHECK_OK(fkl_runtime_shutdown(world.runtime, FKL_FOREVER));
    while (atomic_load(&world.helpers) > 0) {
        sched_yield(); // they hold references, not threads of the runtime
    }
    stress_end_runtime(world.runtime);
    CHECK_OK(fkl_mutex_unlock(world.mutex));
    fkl_mutex_release(world.mutex);
    fkl_sem_release(world.sem);
    fkl_channel_release(world.channel);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 8, 250);
    for (int i = 0; i < stress.iterations; i++) {
        run_round(i);
        stress.seed++;
    }
    return 0;
}
