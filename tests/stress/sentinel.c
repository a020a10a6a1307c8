// SPDX-License-Identifier: Apache-2.0
//
// Sentinels: descriptors asked for by several threads while the actor ends by itself, early, or by
// a kill. One descriptor for all, readable exactly from the exit on; none is left open afterwards.
#include "support/stress.h"

#include <dirent.h>
#include <poll.h>

struct target {
    fkl_actor *actor;
    _Atomic(int) fd;
};

static void act_target(fkl_actor *self, void *arg)
{
    stress_random random = stress_stream((uint64_t)(uintptr_t)arg);
    stress_jitter(&random);
    switch (stress_below(&random, 3)) {
    case 0:
        fkl_actor_exit_now(self, 5);
        break;
    case 1:
        if (fkl_sleep_until(fkl_after_ns((int64_t)stress_below(&random, 300000))) != FKL_OK) {
            return; // killed
        }
        break;
    default:
        break;
    }
}

static void *look(void *arg)
{
    struct target *target = arg;
    fkl_exit record;
    int fd = -1, none = -1;
    CHECK_OK(fkl_actor_sentinel(target->actor, &fd));
    CHECK(fd >= 0, "%d", fd);
    CHECK(atomic_compare_exchange_strong(&target->fd, &none, fd) || none == fd, "%d and %d", none,
          fd);
    struct pollfd row = {.fd = fd, .events = POLLIN};
    if (poll(&row, 1, 0) == 1) {
        CHECK_OK(fkl_actor_try_exit(target->actor, &record)); // readable: so it has ended
    }
    int ready;
    do {
        ready = poll(&row, 1, 200000);
    } while (ready < 0);
    CHECK(ready == 1, "the sentinel never became readable");
    CHECK_OK(fkl_actor_try_exit(target->actor, &record));
    return NULL;
}

static void *kill_it(void *arg)
{
    struct target *target = arg;
    sched_yield();
    fkl_actor_kill(target->actor, 3);
    return NULL;
}

static int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (!folder) {
        return 0; // nothing to compare with here
    }
    while (readdir(folder)) {
        count++;
    }
    closedir(folder);
    return count;
}

static void run_one(fkl_runtime *runtime, uint64_t number)
{
    enum { LOOKERS = 3 };
    struct target target = {.fd = -1};
    pthread_t threads[LOOKERS + 1];
    target.actor = stress_spawn(runtime, "target", act_target, (void *)(uintptr_t)number);
    for (int i = 0; i <= LOOKERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, i == LOOKERS ? kill_it : look, &target) == 0,
              "no thread");
    }
    for (int i = 0; i <= LOOKERS; i++) {
        pthread_join(threads[i], NULL);
    }
    stress_join(target.actor);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 2, 1500);
    int before = open_descriptors();
    fkl_runtime *runtime = stress_runtime();
    for (int i = 0; i < stress.iterations; i++) {
        run_one(runtime, (uint64_t)i);
    }
    stress_end_runtime(runtime);
    int after = open_descriptors();
    CHECK(after == before, "%d descriptors before, %d after", before, after);
    return 0;
}
