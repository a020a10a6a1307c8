// SPDX-License-Identifier: Apache-2.0
//
// Interrupts that meet wake-ups: a thread posts and another one interrupts at nearly the same
// moment; the unit and the interrupt both arrive, each once, in whatever order.
#include "support/stress.h"

struct meeting {
    fkl_sem *sem;
    fkl_actor *waiter;
    atomic_int round; // that the two disturbers may begin
    atomic_int done;  // rounds that the waiter has finished
    int rounds;
};

static void act_count_both(fkl_actor *self, void *arg)
{
    struct meeting *meeting = arg;
    (void)self;
    for (int i = 1; i <= meeting->rounds; i++) {
        atomic_store(&meeting->round, i);
        int units = 0, interrupts = 0;
        while (units + interrupts < 2) {
            fkl_err err = fkl_sem_wait_until(meeting->sem, FKL_FOREVER);
            CHECK(err == FKL_OK || err == FKL_EINTR, "%s", fkl_err_name(err));
            units += err == FKL_OK;
            interrupts += err == FKL_EINTR;
        }
        CHECK(units == 1 && interrupts == 1, "%d units and %d interrupts", units, interrupts);
        atomic_store(&meeting->done, i);
    }
}

static void follow(struct meeting *meeting, bool posts)
{
    stress_random random = stress_stream(posts ? 1 : 2);
    for (int i = 1; i <= meeting->rounds; i++) {
        while (atomic_load(&meeting->round) < i) {
            sched_yield();
        }
        for (volatile uint32_t spin = stress_below(&random, 3000); spin > 0; spin--) {
        }
        if (posts) {
            CHECK_OK(fkl_sem_post(meeting->sem));
        } else {
            fkl_actor_interrupt(meeting->waiter);
        }
        while (atomic_load(&meeting->done) < i) {
            sched_yield();
        }
    }
}

static void *follow_with_posts(void *arg)
{
    follow(arg, true);
    return NULL;
}

static void run_meeting(int rounds)
{
    fkl_runtime *runtime = stress_runtime();
    struct meeting meeting = {.rounds = rounds};
    pthread_t thread;
    CHECK_OK(fkl_sem_create(NULL, 0, 1, &meeting.sem));
    meeting.waiter = stress_spawn(runtime, "waiter", act_count_both, &meeting);
    CHECK(pthread_create(&thread, NULL, follow_with_posts, &meeting) == 0, "no thread");
    follow(&meeting, false);
    pthread_join(thread, NULL);
    stress_join(meeting.waiter);
    fkl_sem_release(meeting.sem);
    stress_end_runtime(runtime);
}

int main(int argc, char **argv)
{
    stress_begin(argc, argv, 2, 10);
    for (int i = 0; i < stress.iterations; i++) {
        run_meeting(2000);
        stress.seed++;
    }
    return 0;
}
