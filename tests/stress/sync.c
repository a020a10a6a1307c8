// SPDX-License-Identifier: Apache-2.0
//
// Semaphores and locks under deadlines, interrupts and stops that race with posts: no unit is lost
// or made, never more threads inside than units, and what the lock protects stays whole.
#include "support/stress.h"

struct guarded {
    fkl_sem *sem;
    fkl_mutex *mutex;
    int units;
    int rounds;
    atomic_int inside;
    atomic_bool over;
    long plain; // what the mutex protects
    atomic_long increments;
};

struct member {
    struct guarded *guarded;
    int number;
};

static void act_guard(fkl_actor *self, void *arg)
{
    struct member *member = arg;
    struct guarded *guarded = member->guarded;
    stress_random random = stress_stream((uint64_t)member->number);
    (void)self;
    for (int i = 0; i < guarded->rounds; i++) {
        fkl_err err = stress_below(&random, 8) == 0
                          ? fkl_sem_try_wait(guarded->sem)
                          : fkl_sem_wait_until(guarded->sem, stress_deadline(&random));
        if (err != FKL_OK) {
            CHECK(err == FKL_EEMPTY || err == FKL_ETIMEDOUT || err == FKL_EINTR, "%s",
                  fkl_err_name(err));
            continue;
        }
        int inside = atomic_fetch_add(&guarded->inside, 1) + 1;
        CHECK(inside <= guarded->units, "%d inside", inside);
        stress_jitter(&random);
        atomic_fetch_sub(&guarded->inside, 1);
        CHECK_OK(fkl_sem_post(guarded->sem));
    }
}

static void act_lock(fkl_actor *self, void *arg)
{
    struct member *member = arg;
    struct guarded *guarded = member->guarded;
    stress_random random = stress_stream((uint64_t)member->number + 500);
    (void)self;
    for (int i = 0; i < guarded->rounds; i++) {
        fkl_err err = stress_below(&random, 8) == 0
                          ? fkl_mutex_try_lock(guarded->mutex)
                          : fkl_mutex_lock_until(guarded->mutex, stress_deadline(&random));
        if (err != FKL_OK) {
            CHECK(err == FKL_EEMPTY || err == FKL_ETIMEDOUT || err == FKL_EINTR, "%s",
                  fkl_err_name(err));
            CHECK(fkl_mutex_depth(guarded->mutex) == 0, "not ours");
            continue;
        }
        long before = guarded->plain;
        bool twice = stress_below(&random, 2) == 0;
        if (twice) {
            CHECK_OK(fkl_mutex_lock_until(guarded->mutex, FKL_NO_WAIT));
        }
        stress_jitter(&random);
        CHECK(guarded->plain == before, "somebody else is inside");
        guarded->plain = before + 1;
        atomic_fetch_add(&guarded->increments, 1);
        if (twice) {
            CHECK_OK(fkl_mutex_unlock(guarded->mutex));
        }
        CHECK(fkl_mutex_depth(guarded->mutex) == 1, "depth");
        CHECK_OK(fkl_mutex_unlock(guarded->mutex));
    }
}

// Disturbs the actors. Not in every round, because an interrupt also helps a waiter whose wake-up
// was lost.
struct chaos {
    struct guarded *guarded;
    fkl_actor **actors;
};

static void *interrupt_somebody(void *arg)
{
    struct chaos *chaos = arg;
    stress_random random = stress_stream(5000);
    while (!atomic_load(&chaos->guarded->over)) {
        fkl_actor_interrupt(chaos->actors[stress_below(&random, (uint32_t)stress.threads)]);
        nanosleep(&(struct timespec){.tv_nsec = (long)stress_below(&random, 100000)}, NULL);
    }
    return NULL;
}

static void run_guarded(int units, fkl_actor_fn fn, int rounds, bool interrupts)
{
    fkl_runtime *runtime = stress_runtime();
    struct guarded guarded = {.units = units, .rounds = rounds};
    struct member *members = calloc((size_t)stress.threads, sizeof *members);
    fkl_actor **actors = calloc((size_t)stress.threads, sizeof(fkl_actor *));
    pthread_t trouble;
    CHECK(members && actors, "memory");
    CHECK_OK(fkl_sem_create(NULL, units, units, &guarded.sem));
    CHECK_OK(fkl_mutex_create(NULL, true, &guarded.mutex));
    for (int i = 0; i < stress.threads; i++) {
        members[i] = (struct member){&guarded, i};
        actors[i] = stress_spawn(runtime, "member", fn, &members[i]);
    }
    struct chaos chaos = {&guarded, actors};
    if (interrupts) {
        CHECK(pthread_create(&trouble, NULL, interrupt_somebody, &chaos) == 0, "no thread");
    }
    fkl_exit record;
    for (int i = 0; i < stress.threads; i++) {
        CHECK_OK(fkl_actor_join_until(actors[i], FKL_FOREVER, &record));
    }
    atomic_store(&guarded.over, true);
    if (interrupts) {
        pthread_join(trouble, NULL);
    }
    for (int i = 0; i < stress.threads; i++) {
        stress_join(actors[i]);
    }
    CHECK(fkl_sem_value(guarded.sem) == units, "%lld of %d units",
          (long long)fkl_sem_value(guarded.sem), units);
    CHECK(guarded.plain == atomic_load(&guarded.increments), "%ld of %ld", guarded.plain,
          atomic_load(&guarded.increments));
    CHECK_OK(fkl_mutex_try_lock(guarded.mutex));
    CHECK_OK(fkl_mutex_unlock(guarded.mutex));
    fkl_mutex_release(guarded.mutex);
    fkl_sem_release(guarded.sem);
    stress_end_runtime(runtime);
    free(actors);
    free(members);
}

// ---- hand-off: units come one by one while waiters give up, are interrupted, or stop

struct handoff {
    fkl_sem *sem;
    int quota; // units that each patient waiter takes
    atomic_long taken;
    atomic_int patient_left;
};

static void act_patient(fkl_actor *self, void *arg)
{
    struct handoff *handoff = arg;
    (void)self;
    for (int got = 0; got < handoff->quota;) {
        fkl_err err = fkl_sem_wait_until(handoff->sem, FKL_FOREVER);
        CHECK(err == FKL_OK || err == FKL_EINTR, "%s", fkl_err_name(err));
        got += err == FKL_OK;
    }
    atomic_fetch_add(&handoff->taken, handoff->quota);
    atomic_fetch_sub(&handoff->patient_left, 1);
}

// Waits for a moment only, gives back what it got, and is stopped at some point.
static void act_hasty(fkl_actor *self, void *arg)
{
    struct handoff *handoff = arg;
    stress_random random = stress_stream(fkl_actor_get_id(self));
    while (atomic_load(&handoff->patient_left) > 0) {
        fkl_err err =
            fkl_sem_wait_until(handoff->sem, fkl_after_ns((int64_t)stress_below(&random, 20000)));
        if (err == FKL_OK) {
            CHECK_OK(fkl_sem_post(handoff->sem));
        } else if (err == FKL_ESTOPPED) {
            return;
        } else {
            CHECK(err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
        }
    }
}

// As many units are posted as the patient waiters need: when one is lost, they wait for ever.
static void run_handoff(int quota)
{
    fkl_runtime *runtime = stress_runtime();
    int patients = stress.threads / 2, hasty = stress.threads - patients;
    struct handoff handoff = {.quota = quota, .patient_left = patients};
    fkl_actor **actors = calloc((size_t)stress.threads, sizeof(fkl_actor *));
    stress_random random = stress_stream(7000);
    CHECK(actors, "memory");
    CHECK_OK(fkl_sem_create(NULL, 0, INT32_MAX, &handoff.sem));
    for (int i = 0; i < stress.threads; i++) {
        actors[i] = stress_spawn(runtime, i < patients ? "patient" : "hasty",
                                 i < patients ? act_patient : act_hasty, &handoff);
    }
    for (int i = 0; i < patients * quota; i++) {
        CHECK_OK(fkl_sem_post(handoff.sem));
        stress_jitter(&random);
        if (stress_below(&random, 16) == 0) {
            fkl_actor_interrupt(actors[stress_below(&random, (uint32_t)patients)]);
        }
        if (i == patients * quota / 2) {
            for (int j = 0; j < hasty / 2; j++) {
                fkl_actor_stop(actors[patients + j]);
            }
        }
    }
    for (int i = 0; i < stress.threads; i++) {
        stress_join(actors[i]);
    }
    CHECK(atomic_load(&handoff.taken) == (long)patients * quota, "%ld",
          atomic_load(&handoff.taken));
    CHECK(fkl_sem_value(handoff.sem) == 0, "%lld", (long long)fkl_sem_value(handoff.sem));
    fkl_sem_release(handoff.sem);
    stress_end_runtime(runtime);
    free(actors);
}

// ---- waiters that give up and end while they are being woken: nobody touches them afterwards

struct leaving {
    fkl_sem *sem;
    atomic_bool waits;
    uint64_t number;
    atomic_int *left;
};

static void act_leave(fkl_actor *self, void *arg)
{
    struct leaving *leaving = arg;
    stress_random random = stress_stream(leaving->number);
    (void)self;
    atomic_store(&leaving->waits, true);
    fkl_err err =
        fkl_sem_wait_until(leaving->sem, fkl_after_ns((int64_t)stress_below(&random, 120000)));
    CHECK(err == FKL_OK || err == FKL_ETIMEDOUT, "%s", fkl_err_name(err));
    if (err == FKL_OK) {
        atomic_fetch_add(leaving->left, 1);
    }
}

static void run_leaving(int count)
{
    fkl_runtime *runtime = stress_runtime();
    stress_random random = stress_stream(8000);
    atomic_int taken = 0;
    int64_t posted = 0;
    struct leaving *rows = calloc((size_t)count, sizeof *rows);
    fkl_sem *sem = NULL;
    CHECK(rows, "memory");
    CHECK_OK(fkl_sem_create(NULL, 0, 1, &sem));
    for (int i = 0; i < count; i++) {
        rows[i].sem = sem;
        rows[i].number = (uint64_t)i;
        rows[i].left = &taken;
        fkl_actor_release(stress_spawn(runtime, "leaving", act_leave, &rows[i]));
        while (!atomic_load(&rows[i].waits)) {
            sched_yield();
        }
        fkl_time moment = fkl_after_ns((int64_t)stress_below(&random, 150000));
        while (fkl_now() < moment) {
        }
        CHECK_OK(fkl_sem_post(sem));
        posted++;
        fkl_counters counters;
        do { // until the actor has made up its mind
            sched_yield();
            fkl_runtime_counters(runtime, &counters);
        } while (counters.live > 0);
        posted -= fkl_sem_try_wait(sem) == FKL_OK;
    }
    stress_end_runtime(runtime);
    CHECK(posted == atomic_load(&taken), "%lld posted, %d taken", (long long)posted,
          atomic_load(&taken));
    fkl_sem_release(sem);
    free(rows);
}

// ---- references: the last of many users frees everything, whoever that is

struct shared {
    fkl_sem *sem;
    fkl_mutex *mutex;
    fkl_channel *channel;
};

static void act_use_and_drop(fkl_actor *self, void *arg)
{
    struct shared *shared = arg; // its own copy
    fkl_msg *msg = NULL;
    (void)self;
    CHECK_OK(fkl_sem_wait_until(shared->sem, FKL_FOREVER));
    CHECK_OK(fkl_mutex_lock_until(shared->mutex, FKL_FOREVER));
    CHECK_OK(fkl_channel_send_until(shared->channel, stress_msg(1), FKL_FOREVER));
    CHECK_OK(fkl_mutex_unlock(shared->mutex));
    CHECK_OK(fkl_sem_post(shared->sem));
    CHECK_OK(fkl_channel_receive_until(shared->channel, FKL_FOREVER, &msg));
    stress_open(msg);
    fkl_mutex_release(shared->mutex);
    fkl_sem_release(shared->sem);
    fkl_channel_release(shared->channel);
    free(shared);
}

static void run_references(void)
{
    fkl_runtime *runtime = stress_runtime();
    struct shared shared;
    CHECK_OK(fkl_sem_create(NULL, 2, 2, &shared.sem));
    CHECK_OK(fkl_mutex_create(NULL, false, &shared.mutex));
    CHECK_OK(fkl_channel_create(NULL, 0, &shared.channel));
    for (int i = 0; i < stress.threads; i++) {
        struct shared *copy = malloc(sizeof *copy);
        CHECK(copy, "memory");
        *copy = shared;
        fkl_sem_retain(copy->sem);
        fkl_mutex_retain(copy->mutex);
        fkl_channel_retain(copy->channel);
        fkl_actor_release(stress_spawn(runtime, "user", act_use_and_drop, copy));
    }
    fkl_sem_release(shared.sem);
    fkl_mutex_release(shared.mutex);
    fkl_channel_release(shared.channel);
    while (true) {
        fkl_counters count;
        fkl_runtime_counters(runtime, &count);
        if (count.live == 0) {
            break;
        }
        sched_yield();
    }
    stress_end_runtime(runtime);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 8, 3);
    for (int i = 0; i < stress.iterations; i++) {
        for (int j = 0; j < 2; j++) {
            run_guarded(1, act_guard, 1000, j == 1);
            run_guarded(3, act_guard, 1000, j == 1);
            run_guarded(1, act_lock, 1000, j == 1);
        }
        run_handoff(1500);
        run_leaving(400);
        for (int j = 0; j < 20; j++) {
            run_references();
        }
        stress.seed++;
    }
    return 0;
}
