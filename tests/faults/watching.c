// SPDX-License-Identifier: Apache-2.0
//
// Faults while actors monitor each other, are linked, have names and are members of groups.
#include "support/faults.h"

#include <forkless/group.h>
#include <forkless/monitor.h>
#include <forkless/name.h>

struct watch {
    faults *f;
    fkl_actor *target;
};

static void receive_down(faults *f, fkl_monitor_ref ref)
{
    fkl_msg *msg = NULL;
    fkl_monitor_ref got = 0;
    fkl_exit record;
    bool known;
    TRY(f, fkl_receive_until(SOON, &msg));
    if (msg) {
        TRY(f, fkl_msg_down(msg, &got, &record, &known));
    }
    REQUIRE(f, got == ref);
    fkl_msg_destroy(msg);
}

static void act_monitor(fkl_actor *self, void *arg)
{
    struct watch *watch = arg;
    faults *f = watch->f;
    fkl_monitor_ref refs[3] = {0};
    fkl_msg *msg = NULL;
    (void)self;
    for (int i = 0; i < 3; i++) {
        TRY(f, fkl_monitor(fkl_actor_get_id(watch->target), &refs[i]));
    }
    REQUIRE(f, fkl_demonitor(refs[0]));
    fkl_actor_stop(watch->target);
    TRY(f, fkl_actor_join_until(watch->target, SOON, NULL));
    REQUIRE(f, fkl_demonitor(refs[1])); // its message may wait already
    receive_down(f, refs[2]);
    REQUIRE(f, !fkl_demonitor(refs[2]));
    EXPECT(f, fkl_try_receive(&msg), FKL_EEMPTY);
    TRY(f, fkl_monitor(fkl_actor_get_id(watch->target), &refs[0])); // it is dead
    receive_down(f, refs[0]);
}

static void monitor(faults *f)
{
    struct watch watch = {f, faults_spawn(f, act_serve, NULL)};
    fkl_actor *watcher = faults_spawn(f, act_monitor, &watch);
    faults_join(f, watcher);
    faults_join(f, watch.target);
}

FAULTS(watching_faults, monitors_are_made_ended_and_fired, monitor)

static void act_monitor_and_end(fkl_actor *self, void *arg)
{
    struct watch *watch = arg;
    fkl_monitor_ref ref = 0;
    (void)self;
    for (int i = 0; i < 20; i++) { // so that their table grows
        TRY(watch->f, fkl_monitor(fkl_actor_get_id(watch->target), &ref));
    }
}

static void monitor_and_end(faults *f)
{
    struct watch watch = {f, faults_spawn(f, act_serve, NULL)};
    fkl_actor *watcher = faults_spawn(f, act_monitor_and_end, &watch);
    faults_join(f, watcher);
    fkl_actor_kill(watch.target, 0);
    faults_join(f, watch.target);
}

FAULTS(watching_faults, monitors_end_with_their_watcher, monitor_and_end)

static void act_link(fkl_actor *self, void *arg)
{
    struct watch *watch = arg;
    faults *f = watch->f;
    fkl_actor_id id = fkl_actor_get_id(watch->target);
    fkl_msg *msg = NULL;
    fkl_exit record = {0};
    (void)self;
    TRY(f, fkl_trap_exits(true));
    TRY(f, fkl_link(id));
    REQUIRE(f, fkl_unlink(id));
    TRY(f, fkl_link(id));
    fkl_actor_kill(watch->target, 7);
    TRY(f, fkl_receive_until(SOON, &msg));
    if (msg) {
        TRY(f, fkl_msg_exit(msg, &record));
    }
    REQUIRE(f, record.id == id && record.code == 7);
    fkl_msg_destroy(msg);
    EXPECT(f, fkl_link(id), FKL_ENOACTOR);
}

static void act_spawn_linked(fkl_actor *self, void *arg)
{
    struct watch *watch = arg;
    fkl_spawn_options options = {.link = true};
    (void)self;
    TRY(watch->f, fkl_spawn(watch->f->runtime, &options, act_serve, NULL, &watch->target));
    fkl_actor_kill(watch->target, 8);
    EXPECT(watch->f, fkl_sleep_until(SOON), FKL_ESTOPPED); // the link ends this one too
}

static void link_actors(faults *f)
{
    struct watch watch = {f, faults_spawn(f, act_serve, NULL)};
    fkl_actor *actor = faults_spawn(f, act_link, &watch);
    faults_join(f, actor);
    faults_join(f, watch.target);
    actor = faults_spawn(f, act_spawn_linked, &watch);
    fkl_exit record = {0};
    TRY(f, fkl_actor_join_until(actor, SOON, &record));
    REQUIRE(f, record.code == 8);
    faults_join(f, actor);
    faults_join(f, watch.target);
}

FAULTS(watching_faults, links_are_made_ended_and_followed, link_actors)

static void use_names(faults *f)
{
    fkl_actor *actor = faults_spawn(f, act_serve, NULL), *found = NULL;
    fkl_actor_id id = FKL_NOBODY;
    TRY(f, fkl_register(actor, "one"));
    EXPECT(f, fkl_register(actor, "two"), FKL_EEXIST);
    TRY(f, fkl_whereis(f->runtime, "one", &id));
    REQUIRE(f, id == fkl_actor_get_id(actor));
    TRY(f, fkl_whereis_actor(f->runtime, "one", &found));
    fkl_actor_release(found);
    fkl_msg *msg = faults_msg(f, 1);
    TRY(f, fkl_send_named(f->runtime, "one", msg));
    TRY(f, fkl_unregister(f->runtime, "one"));
    TRY(f, fkl_register(actor, "two"));
    TRY(f, fkl_actor_kill_until(actor, 0, SOON, NULL));
    EXPECT(f, fkl_whereis(f->runtime, "two", &id), FKL_ENOACTOR);
    msg = faults_msg(f, 2);
    EXPECT(f, fkl_send_named(f->runtime, "two", msg), FKL_ENOACTOR);
    fkl_msg_destroy(msg);
    fkl_actor_release(actor);
}

FAULTS(watching_faults, names_are_given_used_and_freed, use_names)

// So many that the tables grow.
static void name_many(faults *f)
{
    enum { COUNT = 20 };
    fkl_actor *actors[COUNT];
    for (int i = 0; i < COUNT; i++) {
        char name[24];
        snprintf(name, sizeof name, "number %d", i);
        actors[i] = faults_spawn(f, act_serve, NULL);
        TRY(f, fkl_register(actors[i], name));
        TRY(f, fkl_group_join(actors[i], name));
    }
    for (int i = 0; i < COUNT; i++) {
        fkl_actor_stop(actors[i]);
        faults_join(f, actors[i]);
    }
}

FAULTS(watching_faults, many_names_and_groups_are_made, name_many)

static void use_groups(faults *f)
{
    enum { COUNT = 40 }; // more than have room on the stack
    fkl_actor *actors[COUNT];
    size_t count = 0;
    for (int i = 0; i < COUNT; i++) {
        actors[i] = faults_spawn(f, act_serve, NULL);
        TRY(f, fkl_group_join(actors[i], "all"));
        TRY(f, fkl_group_join(actors[i], "all"));
    }
    fkl_msg *msg = faults_msg(f, 1);
    TRY(f, fkl_group_publish(f->runtime, "all", msg, FKL_PUBLISH_ALL, &count));
    REQUIRE(f, count == COUNT);
    REQUIRE(f, fkl_group_leave(actors[0], "all"));
    TRY(f, fkl_actor_kill_until(actors[1], 0, SOON, NULL));
    fkl_group_members(f->runtime, "all", NULL, 0, &count);
    REQUIRE(f, count == COUNT - 2);
    msg = faults_msg(f, 2);
    TRY(f, fkl_group_publish(f->runtime, "nobody", msg, FKL_PUBLISH_ALL, &count));
    REQUIRE(f, count == 0);
    for (int i = 0; i < COUNT; i++) {
        fkl_actor_stop(actors[i]);
        faults_join(f, actors[i]);
    }
}

FAULTS(watching_faults, groups_are_joined_and_published_to, use_groups)
