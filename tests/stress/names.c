// SPDX-License-Identifier: Apache-2.0
//
// Names and groups of actors that come and go. A name is free as soon as its actor's exit is out,
// no name and no membership of a dead actor stays behind, and what is published is destroyed once.
#include "support/stress.h"

enum { KEEPERS = 16, SHARED_NAMES = 4 };

struct world {
    fkl_runtime *runtime;
    atomic_bool over;
    _Atomic(fkl_actor_id) current[KEEPERS]; // who bears the keeper's name now
    atomic_long published, released;
};

struct keeper {
    struct world *world;
    int number;
    pthread_t thread;
};

static void name_of(char *name, const char *kind, uint32_t number)
{
    snprintf(name, 16, "%s %u", kind, number);
}

// Looks into the payload that others share.
static void read_all(fkl_time deadline)
{
    fkl_msg *msg = NULL;
    while (fkl_receive_until(deadline, &msg) == FKL_OK) {
        const unsigned char *payload = fkl_msg_data(msg);
        CHECK(fkl_msg_len(msg) == 16 && payload[0] == 0 && payload[15] == 0, "another payload");
        fkl_msg_destroy(msg);
    }
}

// Joins and leaves groups, takes and gives back shared names, now and then ends.
static void act_citizen(fkl_actor *self, void *arg)
{
    struct world *world = arg;
    stress_random random = stress_stream(fkl_actor_get_id(self));
    char name[16];
    for (uint32_t life = stress_below(&random, 20); life > 0; life--) {
        name_of(name, "group", stress_below(&random, 3));
        fkl_err err = fkl_group_join(self, name);
        CHECK(err == FKL_OK || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
        if (stress_below(&random, 3) == 0) {
            fkl_group_leave(self, name);
        }
        name_of(name, "shared", stress_below(&random, SHARED_NAMES));
        err = stress_below(&random, 2) ? fkl_unregister(world->runtime, name)
                                       : fkl_register(self, name);
        CHECK(err == FKL_OK || err == FKL_ENOACTOR || err == FKL_EEXIST, "%s", fkl_err_name(err));
        read_all(FKL_NO_WAIT);
        stress_jitter(&random);
    }
}

// Bears a name that only its keeper gives.
static void act_bearer(fkl_actor *self, void *arg)
{
    stress_random random = stress_stream(fkl_actor_get_id(self));
    (void)arg;
    fkl_err err = fkl_group_join(self, "group 0");
    CHECK(err == FKL_OK || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
    if (stress_below(&random, 2)) {
        return;
    }
    read_all(fkl_after_ns((int64_t)stress_below(&random, 100000)));
}

static void *keep_name(void *arg)
{
    struct keeper *keeper = arg;
    struct world *world = keeper->world;
    stress_random random = stress_stream(3000 + (uint64_t)keeper->number);
    char name[16];
    name_of(name, "kept", (uint32_t)keeper->number);
    for (int i = 0; i < 300; i++) {
        fkl_spawn_options options = {.stack_size = 128 * 1024, .register_as = name};
        fkl_actor *actor = NULL;
        fkl_actor_id id, found = FKL_NOBODY;
        CHECK_OK(fkl_spawn(world->runtime, &options, act_bearer, world, &actor));
        id = fkl_actor_get_id(actor);
        atomic_store(&world->current[keeper->number], id);
        if (fkl_whereis(world->runtime, name, &found) == FKL_OK) {
            CHECK(found == id, "the name of another incarnation");
        }
        stress_jitter(&random);
        if (stress_below(&random, 2)) {
            fkl_actor_kill(actor, 3);
        }
        // The exit is enough: the thread may go on as an orphan.
        CHECK_OK(fkl_actor_join_until(actor, FKL_FOREVER, NULL));
        CHECK(fkl_whereis(world->runtime, name, &found) == FKL_ENOACTOR, "a dead actor's name");
        fkl_actor_release(actor);
    }
    return NULL;
}

static void note_release(void *data, size_t len, void *ctx)
{
    (void)len;
    free(data);
    atomic_fetch_add((atomic_long *)ctx, 1);
}

static void publish_something(struct world *world, stress_random *random)
{
    char name[16];
    size_t count = 0;
    fkl_msg *msg = NULL;
    void *payload = calloc(1, 16);
    CHECK(payload, "memory");
    name_of(name, "group", stress_below(random, 3));
    CHECK_OK(fkl_msg_wrap(NULL, FKL_CODEC_RAW, payload, 16, note_release, &world->released, &msg));
    atomic_fetch_add(&world->published, 1);
    CHECK_OK(fkl_group_publish(world->runtime, name, msg, FKL_PUBLISH_ALL, &count));
}

// Kills whom it finds, registers others' actors, sends to names, publishes.
static void *meddle(void *arg)
{
    struct world *world = arg;
    stress_random random = stress_stream(7000);
    char name[16];
    while (!atomic_load(&world->over)) {
        fkl_actor *victim = NULL;
        fkl_actor_id id = atomic_load(&world->current[stress_below(&random, KEEPERS)]);
        name_of(name, "shared", stress_below(&random, SHARED_NAMES));
        switch (stress_below(&random, 5)) {
        case 0:
            if (fkl_actor_find(world->runtime, id, &victim) == FKL_OK) {
                fkl_err err = fkl_register(victim, name);
                CHECK(err == FKL_EEXIST || err == FKL_ENOACTOR, "%s", fkl_err_name(err));
                fkl_actor_kill(victim, 4);
            }
            break;
        case 1:
            if (stress_below(&random, 2)) {
                name_of(name, "kept", stress_below(&random, (uint32_t)stress.threads));
            }
            if (fkl_whereis_actor(world->runtime, name, &victim) == FKL_OK) {
                fkl_actor_kill(victim, 5);
            }
            break;
        case 2:
            victim = stress_spawn(world->runtime, "citizen", act_citizen, world);
            break;
        default:
            publish_something(world, &random);
        }
        fkl_actor_release(victim);
        stress_jitter(&random);
    }
    return NULL;
}

static void run_round(void)
{
    struct world *world = calloc(1, sizeof *world);
    struct keeper keepers[KEEPERS];
    int threads = stress.threads < KEEPERS ? stress.threads : KEEPERS;
    pthread_t meddler;
    CHECK(world, "memory");
    world->runtime = stress_runtime();
    CHECK(pthread_create(&meddler, NULL, meddle, world) == 0, "no thread");
    for (int i = 0; i < threads; i++) {
        keepers[i] = (struct keeper){.world = world, .number = i};
        CHECK(pthread_create(&keepers[i].thread, NULL, keep_name, &keepers[i]) == 0, "no thread");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(keepers[i].thread, NULL);
    }
    atomic_store(&world->over, true);
    pthread_join(meddler, NULL);
    CHECK_OK(fkl_runtime_shutdown(world->runtime, FKL_FOREVER));
    size_t names = 9, groups = 9;
    fkl_names(world->runtime, NULL, 0, &names);
    fkl_groups(world->runtime, NULL, 0, &groups);
    CHECK(names == 0 && groups == 0, "%zu names, %zu groups", names, groups);
    stress_end_runtime(world->runtime);
    CHECK(atomic_load(&world->published) == atomic_load(&world->released),
          "published %ld, released %ld", atomic_load(&world->published),
          atomic_load(&world->released));
    free(world);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 4, 10);
    for (int i = 0; i < stress.iterations; i++) {
        run_round();
        stress.seed++;
    }
    return 0;
}
