// SPDX-License-Identifier: Apache-2.0
//
// What a turn of a pooled actor may do and may not, and how turns stand to each other.
#include "support/pooled.h"

// What one turn of an actor of its own gives.
struct errand {
    fkl_err (*run)(struct errand *errand);
    void *with;
    fkl_err err;
};

static fkl_turn run_errand(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    struct errand *errand = state;
    fkl_msg_destroy(msg);
    errand->err = errand->run(errand);
    return FKL_TURN_END;
}

static fkl_err in_a_turn(fkl_runtime *runtime, fkl_err (*run)(struct errand *errand), void *with)
{
    fkl_behaviour errands = {.receive = run_errand};
    struct errand errand = {run, with, FKL_OK};
    fkl_actor *actor = spawn(runtime, &errands, &errand);
    rig_send(actor, 1);
    rig_join(actor);
    return errand.err;
}

static fkl_err receive(struct errand *errand)
{
    return fkl_receive_until(FKL_FOREVER, errand->with);
}

static fkl_err receive_until_now(struct errand *errand)
{
    return fkl_receive_until(FKL_NO_WAIT, errand->with);
}

static bool match_any(const fkl_msg *msg, void *ctx)
{
    return msg && !ctx;
}

static fkl_err receive_match(struct errand *errand)
{
    return fkl_receive_match_until(0, match_any, NULL, FKL_FOREVER, errand->with);
}

static fkl_err channel_receive(struct errand *errand)
{
    fkl_msg *msg = NULL;
    return fkl_channel_receive_until(errand->with, FKL_FOREVER, &msg);
}

static fkl_err channel_poll(struct errand *errand)
{
    return fkl_channel_poll_until(errand->with, FKL_FOREVER);
}

static fkl_err channel_send(struct errand *errand)
{
    fkl_msg *msg = rig_msg(1);
    fkl_err err = fkl_channel_send_until(errand->with, msg, FKL_FOREVER);
    if (err) {
        fkl_msg_destroy(msg);
    }
    return err;
}

static fkl_err semaphore_wait(struct errand *errand)
{
    return fkl_sem_wait_until(errand->with, FKL_FOREVER);
}

static fkl_err mutex_lock(struct errand *errand)
{
    return fkl_mutex_lock_until(errand->with, FKL_FOREVER);
}

static fkl_err mutex_unlock(struct errand *errand)
{
    return fkl_mutex_unlock(errand->with);
}

static fkl_err join(struct errand *errand)
{
    return fkl_actor_join_until(errand->with, FKL_FOREVER, NULL);
}

static fkl_err join_thread(struct errand *errand)
{
    return fkl_actor_join_thread_until(errand->with, FKL_FOREVER);
}

static fkl_err join_itself(struct errand *errand)
{
    (void)errand;
    return fkl_actor_join_until(fkl_self(), FKL_FOREVER, NULL);
}

static fkl_err sleep_long(struct errand *errand)
{
    (void)errand;
    return fkl_sleep_until(FKL_FOREVER);
}

static fkl_err shut_down(struct errand *errand)
{
    return fkl_runtime_shutdown(errand->with, FKL_FOREVER);
}

static fkl_err send_and_wait(struct errand *errand)
{
    fkl_msg *msg = rig_msg(1);
    fkl_err err = fkl_actor_send_until(errand->with, msg, FKL_FOREVER);
    if (err) {
        fkl_msg_destroy(msg);
    }
    return err;
}

Test(turn, a_turn_never_waits_for_a_message_or_time)
{
    fkl_runtime *runtime = rig_create();
    fkl_msg *msg = NULL;
    assert_err(in_a_turn(runtime, receive, &msg), FKL_EPOOLED);
    assert_err(in_a_turn(runtime, receive_match, &msg), FKL_EPOOLED);
    assert_err(in_a_turn(runtime, receive_until_now, &msg), FKL_ETIMEDOUT);
    assert_err(in_a_turn(runtime, sleep_long, NULL), FKL_EPOOLED);
    rig_destroy(runtime);
}

Test(turn, a_turn_never_waits_for_a_channel)
{
    fkl_runtime *runtime = rig_create();
    fkl_channel *channel = NULL;
    assert_ok(fkl_channel_create(NULL, 1, &channel));
    assert_err(in_a_turn(runtime, channel_receive, channel), FKL_EPOOLED);
    assert_err(in_a_turn(runtime, channel_poll, channel), FKL_EPOOLED);
    assert_ok(in_a_turn(runtime, channel_send, channel));
    assert_err(in_a_turn(runtime, channel_send, channel), FKL_EPOOLED);
    assert_ok(in_a_turn(runtime, channel_poll, channel));
    fkl_msg *msg = NULL;
    assert_ok(fkl_channel_try_receive(channel, &msg));
    fkl_msg_destroy(msg);
    // Who could not wait is no receiver and no sender that others count on.
    assert_ok(in_a_turn(runtime, channel_send, channel));
    assert_ok(fkl_channel_receive_until(channel, SOON, &msg));
    fkl_msg_destroy(msg);
    fkl_channel_release(channel);
    rig_destroy(runtime);
}

Test(turn, a_turn_never_waits_for_a_semaphore)
{
    fkl_runtime *runtime = rig_create();
    fkl_sem *sem = NULL;
    assert_ok(fkl_sem_create(NULL, 1, 1, &sem));
    assert_ok(in_a_turn(runtime, semaphore_wait, sem));
    assert_err(in_a_turn(runtime, semaphore_wait, sem), FKL_EPOOLED);
    assert_ok(fkl_sem_post(sem));
    cr_assert_eq(fkl_sem_value(sem), 1);
    fkl_sem_release(sem);
    rig_destroy(runtime);
}

Test(turn, a_turn_never_waits_for_an_actor)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *other = rig_spawn(runtime, act_serve, NULL);
    assert_err(in_a_turn(runtime, join, other), FKL_EPOOLED);
    assert_err(in_a_turn(runtime, join_thread, other), FKL_EPOOLED);
    assert_err(in_a_turn(runtime, join_itself, NULL), FKL_EDEADLK);
    fkl_actor_stop(other);
    assert_ok(fkl_actor_join_thread_until(other, SOON));
    assert_ok(in_a_turn(runtime, join, other));
    assert_ok(in_a_turn(runtime, join_thread, other));
    fkl_actor_release(other);
    rig_destroy(runtime);
}

Test(turn, a_turn_never_waits_for_a_place_in_a_mailbox)
{
    fkl_runtime *runtime = rig_create();
    fkl_spawn_options options = {.mailbox_capacity = 1};
    fkl_actor *idle = NULL;
    assert_ok(fkl_spawn(runtime, &options, act_idle, NULL, &idle));
    assert_ok(in_a_turn(runtime, send_and_wait, idle));
    assert_err(in_a_turn(runtime, send_and_wait, idle), FKL_EPOOLED);
    fkl_actor_stop(idle);
    rig_join(idle);
    rig_destroy(runtime);
}

Test(turn, a_turn_never_waits_for_a_shutdown)
{
    fkl_runtime *runtime = rig_create();
    fkl_runtime *other = rig_create();
    rig_gate gate = {0};
    fkl_actor *actor = rig_spawn(other, act_stubborn, &gate);
    assert_err(in_a_turn(runtime, shut_down, runtime), FKL_EDEADLK);
    assert_err(in_a_turn(runtime, shut_down, other), FKL_EPOOLED);
    atomic_store(&gate.open, true);
    rig_join(actor);
    rig_destroy(other);
    rig_destroy(runtime);
}

Test(turn, a_mutex_is_held_by_the_actor_not_by_its_worker)
{
    fkl_runtime *runtime = create_with(1);
    fkl_mutex *mutex = NULL;
    assert_ok(fkl_mutex_create(NULL, true, &mutex));
    assert_ok(in_a_turn(runtime, mutex_lock, mutex)); // and ends with it
    assert_err(in_a_turn(runtime, mutex_lock, mutex), FKL_EPOOLED);
    assert_err(in_a_turn(runtime, mutex_unlock, mutex), FKL_EPERM);
    fkl_mutex_release(mutex);
    rig_destroy(runtime);
}

static fkl_turn lock_and_unlock(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    struct errand *errand = state;
    bool lock = fkl_msg_tag(msg) == 1;
    fkl_msg_destroy(msg);
    errand->err = lock ? fkl_mutex_try_lock(errand->with) : fkl_mutex_unlock(errand->with);
    return lock ? FKL_TURN_CONTINUE : FKL_TURN_END;
}

Test(turn, a_mutex_taken_in_one_turn_is_given_back_in_another)
{
    fkl_runtime *runtime = create_with(4);
    fkl_mutex *mutex = NULL;
    fkl_behaviour locking = {.receive = lock_and_unlock};
    assert_ok(fkl_mutex_create(NULL, false, &mutex));
    for (int round = 0; round < 50; round++) {
        struct errand errand = {.with = mutex};
        fkl_actor *actor = spawn(runtime, &locking, &errand);
        rig_send(actor, 1);
        assert_eventually(rig_waits_in(actor, "idle"));
        assert_err(fkl_mutex_try_lock(mutex), FKL_EEMPTY);
        rig_send(actor, 2);
        rig_join(actor);
        assert_ok(errand.err);
    }
    fkl_mutex_release(mutex);
    rig_destroy(runtime);
}

static fkl_turn become_another(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    fkl_msg_destroy(msg);
    if (fkl_become(&noting, state)) {
        return FKL_TURN_END;
    }
    return FKL_TURN_CONTINUE;
}

Test(turn, a_behaviour_can_be_changed)
{
    fkl_runtime *runtime = rig_create();
    struct seen seen = {.self_is_right = true};
    fkl_behaviour first = {.receive = become_another};
    fkl_actor *actor = spawn(runtime, &first, &seen);
    rig_send(actor, 9);
    rig_send(actor, 5);
    rig_send(actor, 0);
    rig_join(actor);
    cr_assert_eq(seen.count, 2, "%d", seen.count);
    cr_assert_eq(seen.tags[0], 5);
    cr_assert_eq(seen.starts, 0);
    cr_assert_eq(seen.finishes, 1);
    cr_assert(seen.self_is_right);
    rig_destroy(runtime);
}

// ---- between turns

// Sends itself messages until it is stopped.
static fkl_turn flood(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)state;
    fkl_err err = fkl_actor_send(self, msg);
    if (err) {
        fkl_msg_destroy(msg);
    }
    return FKL_TURN_CONTINUE;
}

Test(turn, an_actor_that_floods_itself_lets_others_run)
{
    fkl_runtime *runtime = create_with(1);
    fkl_behaviour flooding = {.receive = flood};
    struct seen seen = {0};
    fkl_actor *greedy = spawn(runtime, &flooding, NULL);
    fkl_actor *modest = spawn(runtime, &noting, &seen);
    for (uint64_t i = 0; i < 300; i++) {
        rig_send(greedy, i);
    }
    for (int count = 1; count < 20; count++) {
        rig_send(modest, 1);
        assert_eventually(atomic_load(&seen.messages) == count);
    }
    fkl_actor_stop(greedy); // though there is always a message
    rig_join(greedy);
    fkl_actor_release(modest);
    rig_destroy(runtime);
}

struct pair {
    fkl_actor *other;
    struct seen *seen;
    bool passed;
};

// Hands over to another actor, and spins until that has run.
static fkl_turn spin_until_other_ran(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    struct pair *pair = state;
    fkl_time limit = SOON;
    int before = atomic_load(&pair->seen->messages);
    if (fkl_actor_send(pair->other, msg)) {
        fkl_msg_destroy(msg);
    }
    while (!pair->passed && fkl_now() < limit) {
        pair->passed = atomic_load(&pair->seen->messages) > before;
    }
    return FKL_TURN_END;
}

Test(turn, a_long_turn_does_not_hold_up_what_it_handed_over)
{
    fkl_behaviour spinning = {.receive = spin_until_other_ran};
    for (uint32_t workers = 2; workers <= 8; workers *= 2) {
        fkl_runtime *runtime = create_with(workers);
        struct seen seen = {0};
        fkl_actor *other = spawn(runtime, &noting, &seen);
        assert_eventually(rig_waits_in(other, "idle"));
        for (int round = 0; round < 20; round++) {
            struct pair pair = {other, &seen, false};
            fkl_actor *actor = spawn(runtime, &spinning, &pair);
            rig_send(actor, 1);
            rig_join(actor);
            cr_assert(pair.passed);
        }
        fkl_actor_release(other);
        rig_destroy(runtime);
    }
}

struct helper {
    fkl_actor *actor;
    fkl_err err;
};

static fkl_turn enter_and_forget(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct helper *helper = state;
    fkl_actor *previous = NULL;
    uint64_t tag = fkl_msg_tag(msg);
    fkl_msg_destroy(msg);
    if (fkl_self() != self) {
        helper->err = FKL_EPERM;
    }
    if (!helper->err) {
        helper->err = fkl_actor_enter(helper->actor, &previous);
    }
    if (!helper->err && (fkl_self() != helper->actor || previous != self)) {
        helper->err = FKL_EINVAL;
    }
    if (fkl_become(&noting, NULL) != FKL_EPERM) {
        helper->err = FKL_EOVERFLOW;
    }
    fkl_actor_leave(previous);
    if (tag == 1 && !helper->err) {
        helper->err = fkl_actor_enter(helper->actor, &previous); // for ever
    }
    return tag == 0 ? FKL_TURN_END : FKL_TURN_CONTINUE;
}

Test(turn, a_behaviour_may_work_for_another_actor_and_forget_to_stop)
{
    fkl_runtime *runtime = create_with(1);
    fkl_behaviour entering = {.receive = enter_and_forget};
    struct helper helper = {.actor = rig_spawn(runtime, act_serve, NULL)};
    fkl_actor *actor = spawn(runtime, &entering, &helper);
    for (int i = 0; i < 3; i++) {
        rig_send(actor, 1);
        assert_eventually(rig_waits_in(actor, "idle"));
    }
    rig_send(actor, 0);
    rig_join(actor);
    assert_ok(helper.err);
    fkl_actor_stop(helper.actor);
    rig_join(helper.actor);
    rig_destroy(runtime);
}

// Only one worker writes at a time, and the next one sees it.
static fkl_turn add_up(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    *(uint64_t *)state += fkl_msg_tag(msg);
    fkl_msg_destroy(msg);
    return FKL_TURN_CONTINUE;
}

Test(turn, what_one_turn_writes_the_next_sees)
{
    enum { ACTORS = 20, MESSAGES = 500 };
    fkl_runtime *runtime = create_with(8);
    fkl_behaviour adding = {.receive = add_up};
    static uint64_t sums[ACTORS];
    fkl_actor *actors[ACTORS];
    for (int i = 0; i < ACTORS; i++) {
        sums[i] = 0;
        actors[i] = spawn(runtime, &adding, &sums[i]);
    }
    for (uint64_t tag = 1; tag <= MESSAGES; tag++) {
        for (int i = 0; i < ACTORS; i++) {
            rig_send(actors[i], tag);
        }
    }
    for (int i = 0; i < ACTORS; i++) {
        fkl_actor_drain(actors[i]);
        rig_join(actors[i]);
        cr_assert_eq(sums[i], (uint64_t)MESSAGES * (MESSAGES + 1) / 2);
    }
    rig_destroy(runtime);
}
