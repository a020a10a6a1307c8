// SPDX-License-Identifier: Apache-2.0
//
// Faults while supervisors start, restart and end their children. They meet some faults in their
// own thread, where a failed start is tried again and told to nobody.
#include "support/faults.h"

#include <forkless/name.h>
#include <forkless/supervisor.h>

static fkl_turn drop_message(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    (void)state;
    fkl_msg_destroy(msg);
    return FKL_TURN_CONTINUE;
}

static const fkl_behaviour pooled_child = {.receive = drop_message};

// A start that was given up may still be ending its children, one of which has the name.
static fkl_err start_when_free(faults *f, const fkl_supervisor_options *options, fkl_actor **out)
{
    fkl_actor_id id;
    fkl_start_failure failure;
    while (fkl_whereis(f->runtime, "named", &id) == FKL_OK) {
        rig_pause_ms(1);
    }
    return fkl_supervisor_start_until(f->runtime, NULL, options, SOON, out, &failure);
}

static fkl_actor *start(faults *f, const fkl_supervisor_options *options)
{
    fkl_actor *supervisor = NULL;
    TRY(f, start_when_free(f, options, &supervisor));
    return supervisor;
}

static void stop(faults *f, fkl_actor *supervisor)
{
    fkl_actor_stop(supervisor);
    faults_join(f, supervisor);
}

static void start_and_stop(faults *f)
{
    fkl_child_spec leaves[] = {{.id = "leaf", .fn = act_idle}};
    fkl_supervisor_options inner = {.children = leaves, .child_count = 1};
    fkl_child_spec children[] = {
        {.id = "thread", .fn = act_serve, .spawn.register_as = "named"},
        {.id = "pooled", .behaviour = &pooled_child},
        {.id = "inner", .supervisor = &inner},
    };
    fkl_supervisor_options options = {.children = children, .child_count = 3};
    fkl_actor *supervisor = start(f, &options);
    fkl_supervisor_counts counts = {0};
    TRY(f, fkl_supervisor_count(supervisor, &counts));
    REQUIRE(f, counts.running == 3);
    stop(f, supervisor);
}

FAULTS(supervisor_faults, a_supervisor_starts_and_stops_its_children, start_and_stop,
       .silent_threads = true)

static bool runs(fkl_actor *supervisor, const char *id, uint64_t starts)
{
    fkl_child_info info;
    return fkl_supervisor_find(supervisor, id, &info) == FKL_OK &&
           info.state == FKL_CHILD_RUNNING && info.starts >= starts;
}

static void until_runs(faults *f, fkl_actor *supervisor, const char *id, uint64_t starts)
{
    fkl_time limit = SOON;
    while (!runs(supervisor, id, starts)) {
        if (fkl_now() > limit) {
            faults_mistake(f, __FILE__, __LINE__, id, "was not started again");
            return;
        }
        rig_pause_ms(1);
    }
}

static void kill_child(faults *f, fkl_actor *supervisor, const char *id)
{
    fkl_child_info info;
    fkl_actor *actor = NULL;
    TRY(f, fkl_supervisor_find(supervisor, id, &info));
    if (fkl_actor_find(f->runtime, info.actor, &actor) == FKL_OK) {
        fkl_actor_kill(actor, 1);
        fkl_actor_release(actor);
    }
}

static void restart(faults *f)
{
    fkl_child_spec children[] = {
        {.id = "first", .fn = act_idle},
        {.id = "second", .behaviour = &pooled_child},
    };
    fkl_supervisor_options options = {.strategy = FKL_ONE_FOR_ALL,
                                      .max_restarts = FKL_RESTARTS_UNLIMITED,
                                      .children = children,
                                      .child_count = 2};
    fkl_actor *supervisor = start(f, &options);
    kill_child(f, supervisor, "first");
    until_runs(f, supervisor, "first", 2);
    until_runs(f, supervisor, "second", 2);
    stop(f, supervisor);
}

// What fails in a restart is a failed start, which the supervisor tries again.
FAULTS(supervisor_faults, children_are_restarted, restart, .silent_memory = true,
       .silent_threads = true)

// A supervisor goes on with what it was asked when the wait for it ends early; so the second call
// may find it done.
static fkl_err add(fkl_actor *supervisor, const fkl_child_spec *spec, fkl_child *out)
{
    fkl_child_info info;
    fkl_err err = fkl_supervisor_add_until(supervisor, spec, SOON, out);
    if (err == FKL_EEXIST) {
        err = fkl_supervisor_find(supervisor, spec->id, &info);
        *out = info.child;
    }
    return err;
}

static fkl_err remove_child(fkl_actor *supervisor, fkl_child child)
{
    fkl_err err = fkl_supervisor_remove_until(supervisor, child, SOON);
    return err == FKL_ENOACTOR ? FKL_OK : err;
}

static void add_and_remove(faults *f)
{
    fkl_supervisor_options options = {.max_restarts = FKL_RESTARTS_UNLIMITED};
    fkl_actor *supervisor = start(f, &options);
    fkl_child children[3] = {0};
    for (int i = 0; i < 3; i++) {
        char id[24];
        snprintf(id, sizeof id, "child %d", i);
        fkl_child_spec spec = {.id = id, .fn = act_idle};
        TRY(f, add(supervisor, &spec, &children[i]));
    }
    TRY(f, fkl_supervisor_restart_until(supervisor, children[1], SOON));
    TRY(f, remove_child(supervisor, children[0]));
    EXPECT(f, fkl_supervisor_remove_until(supervisor, children[0], SOON), FKL_ENOACTOR);
    stop(f, supervisor);
}

FAULTS(supervisor_faults, children_are_added_restarted_and_removed, add_and_remove,
       .silent_memory = true, .silent_threads = true)
