// SPDX-License-Identifier: Apache-2.0
//
// Threads that were started ahead: parents start one actor after another, each in such a thread, or
// cancel it; pause until spares leave, at about that moment; change what threads inherit; and the
// runtime is shut down while there are spares. Each actor runs once, in a thread that no other has
// used, and has what its parent had.
#include "support/stress.h"

#include <signal.h>

enum { ACTORS = 40 };

struct job {
    bool blocked;
    int runs;
};

static _Thread_local int used;

static void act_once(fkl_actor *self, void *arg)
{
    struct job *job = arg;
    sigset_t mask;
    (void)self;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    CHECK(sigismember(&mask, SIGUSR1) == job->blocked, "the mask of another time");
    CHECK(used++ == 0, "a thread that another actor has used");
    ++job->runs;
}

static void pause_sometimes(stress_random *random)
{
    stress_jitter(random);
    if (stress_below(random, 64) == 0) { // about as long as a spare stays
        long ns = 19900000 + (long)stress_below(random, 300000);
        nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    }
}

static void run_one(fkl_runtime *runtime, stress_random *random, bool blocked)
{
    struct job job = {.blocked = blocked};
    fkl_ahead *ahead;
    fkl_actor *actor;
    size_t stack_size = stress_below(random, 16) == 0 ? 1 << 18 : 0;
    CHECK_OK(fkl_ahead_start(runtime, stack_size, &ahead));
    pause_sometimes(random);
    if (stress_below(random, 8) == 0) {
        fkl_ahead_cancel(ahead);
        return;
    }
    CHECK_OK(fkl_ahead_spawn(ahead, NULL, act_once, &job, &actor));
    stress_jitter(random);
    CHECK_OK(fkl_actor_join_until(actor, FKL_FOREVER, NULL));
    CHECK(job.runs == 1, "it ran %d times", job.runs);
    fkl_actor_release(actor);
}

struct parent {
    fkl_runtime *runtime;
    uint64_t number;
    pthread_t thread;
};

static void *run_parent(void *arg)
{
    struct parent *parent = arg;
    stress_random random = stress_stream(parent->number);
    sigset_t usr1;
    bool blocked = false;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    for (int i = 0; i < ACTORS; i++) {
        if (stress_below(&random, 8) == 0) {
            blocked = !blocked;
            pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &usr1, NULL);
        }
        if (stress_below(&random, 16) == 0) {
            fkl_ahead_forget(parent->runtime);
        }
        run_one(parent->runtime, &random, blocked);
        pause_sometimes(&random);
    }
    return NULL;
}

static void run_round(void)
{
    fkl_runtime *runtime = stress_runtime();
    struct parent *parents = calloc((size_t)stress.threads, sizeof *parents);
    CHECK(parents, "memory");
    for (int i = 0; i < stress.threads; i++) {
        parents[i].runtime = runtime;
        parents[i].number = (uint64_t)i;
        CHECK(pthread_create(&parents[i].thread, NULL, run_parent, &parents[i]) == 0, "thread");
    }
    for (int i = 0; i < stress.threads; i++) {
        pthread_join(parents[i].thread, NULL);
    }
    stress_end_runtime(runtime);
    free(parents);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 4, 30);
    for (int i = 0; i < stress.iterations; i++) {
        run_round();
        stress.seed++;
    }
    return 0;
}
