// SPDX-License-Identifier: Apache-2.0
//
// Threads that were started ahead of their actors: each is told once, by whoever has it; a spare is
// taken, forgotten or dismissed, or leaves, and only one of these.

#include "support/sim.h"

// As in ahead.c: how long a spare stays.
#define KEPT 20000000

enum { ACTORS = 4 };

static void note(fkl_actor *self, void *arg)
{
    (void)self;
    ++*(int *)arg;
}

// Starts one actor after another. Whether a pause ends before or after a spare leaves, or just
// then, the seed says.
static void start_in_a_row(void *arg)
{
    fkl_runtime *runtime = arg;
    for (int i = 0; i < ACTORS; ++i) {
        fkl_ahead *ahead;
        fkl_actor *actor;
        int ran = 0;
        SIM_OK(fkl_ahead_start(runtime, 0, &ahead));
        sim_settle();
        switch (sim_below(8)) {
        case 0:
            fkl_ahead_cancel(ahead);
            continue;
        case 1:
            fkl_ahead_forget(runtime);
            break;
        default:
            break;
        }
        SIM_OK(fkl_ahead_spawn(ahead, NULL, note, &ran, &actor));
        sim_join_actor(actor);
        SIM_CHECK(ran == 1, "it ran %d times", ran);
        if (sim_below(3) == 0)
            sim_sleep_until(fkl_now() + KEPT - 2000 + (fkl_time)sim_below(4000));
    }
}

SIM_SCENARIO(who_starts_one_after_another_gets_a_thread_each_time)
{
    fkl_runtime *runtime = sim_runtime();
    start_in_a_row(runtime);
    sim_end_runtime(runtime);
}

SIM_SCENARIO(parents_do_not_get_the_spares_of_others)
{
    fkl_runtime *runtime = sim_runtime();
    sim_task parents[2];
    for (int i = 0; i < 2; ++i)
        sim_start(&parents[i], "parent", start_in_a_row, runtime);
    for (int i = 0; i < 2; ++i)
        sim_join(&parents[i]);
    sim_end_runtime(runtime);
}

SIM_SCENARIO(a_shutdown_meets_spares_that_come_and_go)
{
    fkl_runtime *runtime = sim_runtime();
    fkl_ahead *ahead;
    int ran[2] = {0};
    fkl_actor *actor;
    for (int i = 0; i < 2; ++i) {
        SIM_OK(fkl_ahead_start(runtime, 0, &ahead));
        SIM_OK(fkl_ahead_spawn(ahead, NULL, note, &ran[i], &actor));
        fkl_actor_release(actor);
    }
    sim_settle();
    sim_end_runtime(runtime);
    SIM_CHECK(ran[0] == 1 && ran[1] == 1, "they ran %d and %d times", ran[0], ran[1]);
}
