// SPDX-License-Identifier: Apache-2.0
//
// A million pooled actors at once, within a GiB: each gets a message and answers it, then all wait
// idle, then all end. Checks answers and memory, not time. Under a sanitizer there are fewer, and
// memory is not looked at, since it is the sanitizer's.
#include "support/stress.h"

#include "platform/platform.h"

#if defined(FKLI_SANITIZE_ADDRESS) || defined(FKL_PLAIN_MAIN) // the latter: ThreadSanitizer
enum { ACTORS = 20000, MEASURED = 0 };
#else
enum { ACTORS = 1000000, MEASURED = 1 };
#endif

static const double most_bytes = 1024.0 * 1024 * 1024;

static fkl_actor_id *ids;
static atomic_long answered;
static atomic_long finished;

static fkl_turn answer(fkl_actor *self, fkl_msg *msg, void *state)
{
    uint64_t number = stress_open(msg);
    CHECK(number == (uint64_t)(uintptr_t)state, "a message of another actor");
    CHECK(ids[number] == fkl_actor_get_id(self), "another actor");
    atomic_fetch_add(&answered, 1);
    return FKL_TURN_CONTINUE;
}

static void finish(fkl_actor *self, void *state)
{
    (void)self;
    (void)state;
    atomic_fetch_add(&finished, 1);
}

// Bytes of memory that this process has resident, 0 where the system does not say.
static double resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file) {
        return 0;
    }
    int found = fscanf(file, "%*s %ld", &pages);
    fclose(file);
    return found == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

static void await(atomic_long *counter, long count)
{
    while (atomic_load(counter) < count) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

static void run_round(void)
{
    static const fkl_behaviour answering = {.receive = answer, .finish = finish};
    fkl_runtime *runtime = stress_runtime();
    atomic_store(&answered, 0);
    atomic_store(&finished, 0);
    double before = resident();
    for (long i = 0; i < ACTORS; i++) {
        fkl_actor *actor = NULL;
        CHECK_OK(fkl_spawn_pooled(runtime, NULL, &answering, (void *)(uintptr_t)i, &actor));
        ids[i] = fkl_actor_get_id(actor);
        fkl_actor_release(actor);
    }
    for (long i = 0; i < ACTORS; i++) {
        CHECK_OK(fkl_send(runtime, ids[i], stress_msg((uint64_t)i)));
    }
    await(&answered, ACTORS);
    double each = (resident() - before) / ACTORS;
    printf("%d actors, %.0f bytes each\n", ACTORS, each);
    CHECK(!MEASURED || each * 1e6 < most_bytes, "%.0f bytes an actor", each);
    for (long i = 0; i < ACTORS / 2; i++) {
        fkl_actor *actor = NULL;
        CHECK_OK(fkl_actor_find(runtime, ids[i], &actor));
        fkl_actor_stop(actor);
        fkl_actor_release(actor);
    }
    await(&finished, ACTORS / 2);
    stress_end_runtime(runtime); // ends the others
    CHECK(atomic_load(&finished) == ACTORS, "%ld", atomic_load(&finished));
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 2, 1);
    ids = calloc(ACTORS, sizeof *ids);
    CHECK(ids, "memory");
    for (int i = 0; i < stress.iterations; i++) {
        run_round();
    }
    free(ids);
    return 0;
}
