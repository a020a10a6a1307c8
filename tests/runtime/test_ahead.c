// SPDX-License-Identifier: Apache-2.0
//
// Threads that were started ahead of their actors, and the spares of those who start one actor
// after another: whose they are, what they have inherited, and that they leave.
#include "support/rig.h"

#include "platform/platform.h"
#include "registry.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { IN_A_ROW = 20 };

// What an actor found in its thread.
struct found {
    fkl_actor_id id;
    pthread_t thread;
    bool blocks_usr1;
    int left_behind; // by the actor before it
};

static _Thread_local int left_behind;

static void look_around(fkl_actor *self, void *arg)
{
    struct found *found = arg;
    sigset_t blocked;
    found->id = fkl_actor_get_id(self);
    found->thread = pthread_self();
    found->left_behind = left_behind++;
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    found->blocks_usr1 = sigismember(&blocked, SIGUSR1);
}

static struct found run_one(fkl_runtime *runtime)
{
    struct found found = {0};
    fkl_ahead *ahead = NULL;
    fkl_actor *actor = NULL;
    fkl_exit record;
    assert_ok(fkl_ahead_start(runtime, 0, &ahead));
    assert_ok(fkl_ahead_spawn(ahead, NULL, look_around, &found, &actor));
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_eq(record.reason, FKL_EXIT_NORMAL);
    cr_assert_eq(record.id, found.id);
    fkl_actor_release(actor);
    return found;
}

static bool has_spare(fkl_runtime *runtime)
{
    fkli_lock_take(&runtime->lock);
    bool has = runtime->spares != NULL;
    fkli_lock_give(&runtime->lock);
    return has;
}

// Until there is a spare for the calling thread. A slow machine may need several.
static void run_until_spare(fkl_runtime *runtime)
{
    fkl_time limit = SOON;
    do {
        run_one(runtime);
    } while (!has_spare(runtime) && fkl_now() < limit);
}

static bool is_threadless(fkl_runtime *runtime)
{
    return fkli_load_acquire_u64(&runtime->threads) == 0;
}

Test(ahead, an_actor_runs_in_the_thread, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct found found = run_one(runtime);
    cr_assert_neq(found.id, FKL_NOBODY);
    cr_assert(!pthread_equal(found.thread, pthread_self()));
    rig_destroy(runtime);
}

Test(ahead, a_cancelled_thread_leaves, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_ahead *ahead = NULL;
    assert_ok(fkl_ahead_start(runtime, 65536, &ahead));
    fkl_ahead_cancel(ahead);
    fkl_ahead_cancel(NULL);
    assert_eventually(is_threadless(runtime));
    rig_destroy(runtime);
}

Test(ahead, a_thread_sleeps_until_its_actor_comes, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct found found = {0};
    fkl_ahead *ahead = NULL;
    fkl_actor *actor = NULL;
    assert_ok(fkl_ahead_start(runtime, 0, &ahead));
    rig_pause_ms(30); // longer than it looks, and than a spare would stay
    assert_ok(fkl_ahead_spawn(ahead, NULL, look_around, &found, &actor));
    assert_ok(fkl_actor_join_thread_until(actor, SOON));
    cr_assert_eq(found.id, fkl_actor_get_id(actor));
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(ahead, a_failed_spawn_leaves_the_thread_to_its_owner, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct found found = {0};
    fkl_ahead *ahead = NULL;
    fkl_actor *first = NULL;
    fkl_actor *actor = NULL;
    fkl_spawn_options named = {.register_as = "taken"};
    assert_ok(fkl_spawn(runtime, &named, act_idle, NULL, &first));
    assert_ok(fkl_ahead_start(runtime, 0, &ahead));
    assert_err(fkl_ahead_spawn(ahead, &named, look_around, &found, NULL), FKL_EEXIST);
    assert_err(fkl_ahead_spawn(ahead, NULL, NULL, &found, NULL), FKL_EINVAL);
    assert_ok(fkl_ahead_spawn(ahead, NULL, look_around, &found, &actor));
    assert_ok(fkl_actor_join_until(actor, SOON, NULL));
    fkl_actor_release(actor);
    fkl_actor_stop(first);
    fkl_actor_release(first);
    rig_destroy(runtime);
}

Test(ahead, nothing_is_started_of_a_runtime_that_stops, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_ahead *ahead = NULL;
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    assert_err(fkl_ahead_start(runtime, 0, &ahead), FKL_ESHUTDOWN);
    assert_err(fkl_ahead_start(NULL, 0, &ahead), FKL_EINVAL);
    assert_ok(fkl_runtime_destroy(runtime));
}

Test(ahead, an_actor_finds_nothing_that_the_one_before_left_in_its_thread, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    for (int i = 0; i < IN_A_ROW; i++) {
        cr_assert_eq(run_one(runtime).left_behind, 0);
    }
    rig_destroy(runtime);
}

#if defined(__linux__)

Test(ahead, who_starts_one_after_another_has_a_spare, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    run_one(runtime);
    assert_eventually(is_threadless(runtime));
    cr_assert(!has_spare(runtime), "after a single one");
    run_until_spare(runtime);
    cr_assert(has_spare(runtime));
    rig_destroy(runtime);
}

Test(ahead, a_spare_leaves_when_nobody_wants_it, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    run_until_spare(runtime);
    assert_eventually(is_threadless(runtime));
    cr_assert(!has_spare(runtime));
    rig_destroy(runtime);
}

Test(ahead, a_spare_leaves_when_it_is_forgotten, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    run_until_spare(runtime);
    fkl_ahead_forget(runtime);
    cr_assert(!has_spare(runtime));
    assert_eventually(is_threadless(runtime));
    rig_destroy(runtime);
}

Test(ahead, an_actor_inherits_what_its_parent_has_at_the_start, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    for (int i = 0; i < IN_A_ROW; i++) {
        run_until_spare(runtime);
        pthread_sigmask(i % 2 ? SIG_UNBLOCK : SIG_BLOCK, &usr1, NULL);
        cr_assert_eq(run_one(runtime).blocks_usr1, i % 2 == 0);
    }
    rig_destroy(runtime);
}

static void *run_in_another(void *runtime)
{
    run_one(runtime);
    run_one(runtime); // now it would take a spare, and starts one
    return NULL;
}

Test(ahead, a_spare_is_for_its_parent_only, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    pthread_t other;
    fkl_ahead *spare, *ahead;
    fkl_time limit = SOON;
    do { // on a slow machine it may have left meanwhile
        run_until_spare(runtime);
        spare = runtime->spares;
        cr_assert_eq(pthread_create(&other, NULL, run_in_another, runtime), 0);
        cr_assert_eq(pthread_join(other, NULL), 0);
        assert_ok(fkl_ahead_start(runtime, 0, &ahead));
        fkl_ahead_cancel(ahead);
    } while (ahead != spare && fkl_now() < limit);
    cr_assert_eq(ahead, spare);
    rig_destroy(runtime);
}

Test(ahead, another_size_of_stack_is_another_thread, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_ahead *ahead = NULL;
    run_until_spare(runtime);
    assert_ok(fkl_ahead_start(runtime, 1 << 20, &ahead));
    cr_assert(!has_spare(runtime));
    fkl_ahead_cancel(ahead);
    rig_destroy(runtime);
}

#endif
