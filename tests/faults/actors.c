// SPDX-License-Identifier: Apache-2.0
//
// Faults while runtimes are made and shut down, and actors spawned, ended, joined and watched.
#include "support/faults.h"

static void nothing(faults *f)
{
    (void)f;
}

FAULTS(runtime_faults, a_runtime_is_made_and_destroyed, nothing)

// With a runtime of its own, so that the faults reach the shutdown.
static void shut_down(faults *f)
{
    fkl_runtime_config config = {.allocator = rig_allocator(&f->memory), .log = faults_no_log};
    fkl_runtime *runtime = NULL;
    fkl_actor *actor = NULL;
    TRY(f, fkl_runtime_create(&config, &runtime));
    for (int i = 0; i < 3; i++) {
        TRY(f, fkl_spawn(runtime, NULL, i ? act_idle : act_serve, NULL, i ? NULL : &actor));
    }
    TRY(f, fkl_runtime_shutdown(runtime, SOON));
    TRY(f, fkl_runtime_destroy(runtime));
    fkl_actor_release(actor); // holds the runtime's memory until here
}

FAULTS(runtime_faults, a_runtime_with_actors_is_shut_down, shut_down)

static void spawn(faults *f)
{
    fkl_actor *actor = NULL, *found = NULL, *previous = NULL;
    fkl_exit record;
    fkl_spawn_options options = {
        .name = "a name", .register_as = "registered", .mailbox_capacity = 3};
    TRY(f, fkl_spawn(f->runtime, &options, act_idle, NULL, &actor));
    TRY(f, fkl_actor_find(f->runtime, fkl_actor_get_id(actor), &found));
    TRY(f, fkl_actor_enter(actor, &previous));
    fkl_actor_leave(previous);
    fkl_actor_release(found);
    faults_until_waits(f, actor, "sleep");
    fkl_actor_stop(actor);
    TRY(f, fkl_actor_join_until(actor, SOON, &record));
    REQUIRE(f, record.reason == FKL_EXIT_STOPPED);
    EXPECT(f, fkl_actor_find(f->runtime, fkl_actor_get_id(actor), &found), FKL_ENOACTOR);
    faults_join(f, actor);
}

FAULTS(actor_faults, an_actor_is_spawned_found_and_joined, spawn)

struct parent {
    faults *f;
    fkl_actor *child;
};

static void act_parent(fkl_actor *self, void *arg)
{
    struct parent *parent = arg;
    (void)self;
    parent->child = faults_spawn(parent->f, act_serve, NULL);
    faults_receive(parent->f);
}

static void spawn_in_actor(faults *f)
{
    struct parent parent = {.f = f};
    fkl_actor *actor = faults_spawn(f, act_parent, &parent);
    faults_send(f, actor, 1);
    faults_join(f, actor);
    fkl_actor_kill(parent.child, 3);
    faults_join(f, parent.child);
}

FAULTS(actor_faults, an_actor_spawns_another, spawn_in_actor)

// Many, so that the table of slots grows.
static void spawn_many(faults *f)
{
    enum { COUNT = 70 };
    fkl_actor *actors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        actors[i] = faults_spawn(f, act_return, NULL);
    }
    for (int i = 0; i < COUNT; i++) {
        faults_join(f, actors[i]);
    }
}

FAULTS(actor_faults, the_table_of_actors_grows, spawn_many)

// One after another, so that there are spares; who cannot start one does without.
static void spawn_ahead(faults *f)
{
    for (int i = 0; i < 3; i++) {
        fkl_ahead *ahead = NULL;
        fkl_actor *actor = NULL;
        TRY(f, fkl_ahead_start(f->runtime, 0, &ahead));
        TRY(f, fkl_ahead_spawn(ahead, NULL, act_return, NULL, &actor));
        faults_join(f, actor);
    }
    fkl_ahead_forget(f->runtime);
}

FAULTS(actor_faults, actors_run_in_threads_that_were_started_ahead, spawn_ahead,
       .silent_memory = true, .silent_threads = true)

static void act_set_exit(fkl_actor *self, void *arg)
{
    faults *f = arg;
    TRY(f, fkl_actor_set_exit(self, 2, "an error", 8));
    TRY(f, fkl_actor_set_exit(self, 3, "another error", 13));
}

static void act_exit_now(fkl_actor *self, void *arg)
{
    faults *f = arg;
    TRY(f, fkl_actor_set_exit(self, 0, "an error", 8));
    REQUIRE(f, fkl_actor_exit_now(self, 4));
    TRY(f, fkl_actor_set_exit(self, 5, "too late", 8));
}

static void act_fail(fkl_actor *self, void *arg)
{
    faults *f = arg;
    fkl_failure failure = {.type = "disk_full", .message = "no room", .trace = "here", .code = 6};
    TRY(f, fkl_actor_fail(self, &failure));
}

static void set_exit(faults *f)
{
    static const fkl_actor_fn fns[] = {act_set_exit, act_exit_now, act_fail};
    static const int32_t codes[] = {3, 4, 6};
    for (int i = 0; i < 3; i++) {
        fkl_exit record = {0};
        fkl_failure_view view;
        fkl_actor *actor = faults_spawn(f, fns[i], f);
        TRY(f, fkl_actor_join_until(actor, SOON, &record));
        REQUIRE(f, record.reason == FKL_EXIT_ERROR && record.code == codes[i]);
        if (fns[i] == act_fail) {
            TRY(f, fkl_failure_read(record.error, record.error_len, &view));
        }
        faults_join(f, actor);
    }
}

FAULTS(actor_faults, exits_carry_errors, set_exit)

static void sentinel(faults *f)
{
    int fd = -1, again = -1;
    fkl_actor *actor = faults_spawn(f, act_serve, NULL);
    TRY(f, fkl_actor_sentinel(actor, &fd));
    TRY(f, fkl_actor_sentinel(actor, &again));
    REQUIRE(f, fd >= 0 && fd == again);
    TRY(f, fkl_actor_kill_until(actor, 1, SOON, NULL));
    faults_join(f, actor);
    actor = faults_spawn(f, act_return, NULL);
    TRY(f, fkl_actor_join_until(actor, SOON, NULL));
    TRY(f, fkl_actor_sentinel(actor, &fd)); // of one that is dead
    faults_join(f, actor);
}

FAULTS(actor_faults, sentinels_are_made_and_closed, sentinel)

static void act_sleep(fkl_actor *self, void *arg)
{
    (void)self;
    TRY((faults *)arg, fkl_sleep_until(fkl_after_ms(2)));
}

static void sleep_a_little(faults *f)
{
    fkl_actor *actor = faults_spawn(f, act_sleep, f);
    TRY(f, fkl_sleep_until(fkl_after_ms(2)));
    faults_join(f, actor);
}

FAULTS(actor_faults, sleeps_end, sleep_a_little)
