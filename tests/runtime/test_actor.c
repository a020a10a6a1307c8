// SPDX-License-Identifier: Apache-2.0
//
// Actors from the outside: spawning, identity, stop, interrupt and helper threads. Sending and
// receiving is in test_mail.c, how actors end in test_exit.c.
#include "support/rig.h"

#include <pthread.h>

// ---- spawning and identity

struct identity {
    fkl_actor *self;
    fkl_actor *by_self_fn;
    fkl_actor_id id;
    fkl_runtime *runtime;
    void *data;
    char name[64];
};

static void report_identity(fkl_actor *self, void *arg)
{
    struct identity *identity = arg;
    identity->self = self;
    identity->by_self_fn = fkl_self();
    identity->id = fkl_actor_get_id(self);
    identity->runtime = fkl_actor_runtime(self);
    identity->data = fkl_actor_data(self);
    strncpy(identity->name, fkl_actor_name(self), sizeof identity->name - 1);
}

Test(actor, knows_what_it_was_spawned_with, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct identity seen = {0};
    int data = 0;
    char name[] = "a name that is longer than the system's limit";
    fkl_spawn_options options = {.name = name, .data = &data, .stack_size = 256 * 1024};
    fkl_actor *actor = NULL;
    assert_ok(fkl_spawn(runtime, &options, report_identity, &seen, &actor));
    memset(name, 'x', sizeof name - 1); // the name was copied
    fkl_exit record;
    assert_ok(fkl_actor_join_until(actor, SOON, &record));
    cr_assert_eq(seen.self, actor);
    cr_assert_eq(seen.by_self_fn, actor);
    cr_assert_neq(seen.id, FKL_NOBODY);
    cr_assert_eq(seen.id, fkl_actor_get_id(actor));
    cr_assert_eq(seen.id, record.id);
    cr_assert_eq(seen.runtime, runtime);
    cr_assert_eq(seen.data, (void *)&data);
    cr_assert_str_eq(fkl_actor_name(actor), "a name that is longer than the system's limit");
    fkl_actor_release(actor);
    rig_destroy(runtime);
}

Test(actor, without_options_it_still_has_a_name, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_return, NULL);
    cr_assert_not_null(fkl_actor_name(actor));
    cr_assert_null(fkl_actor_data(actor));
    rig_join(actor);
    rig_destroy(runtime);
}

Test(actor, a_spawn_may_be_forgotten_at_once, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    for (int i = 0; i < 20; i++) {
        assert_ok(fkl_spawn(runtime, NULL, act_return, NULL, NULL));
    }
    fkl_counters count;
    fkl_runtime_counters(runtime, &count);
    cr_assert_eq(count.spawned, 20);
    rig_destroy(runtime);
}

Test(actor, outside_of_actors_nobody_is_self)
{
    cr_assert_null(fkl_self());
}

Test(actor, a_spawn_without_a_function_is_einval)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = NULL;
    assert_err(fkl_spawn(runtime, NULL, NULL, NULL, &actor), FKL_EINVAL);
    cr_assert_null(actor);
    rig_destroy(runtime);
}

Test(actor, the_limit_of_live_actors_holds_and_frees_up, .timeout = 60)
{
    fkl_runtime_config config = {.max_actors = 3};
    fkl_runtime *runtime = NULL;
    fkl_actor *actors[3], *fourth = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    for (int i = 0; i < 3; i++) {
        actors[i] = rig_spawn(runtime, act_serve, NULL);
    }
    assert_err(fkl_spawn(runtime, NULL, act_return, NULL, &fourth), FKL_ELIMIT);
    cr_assert_null(fourth);
    for (int round = 0; round < 10; round++) {
        fkl_actor_stop(actors[round % 3]);
        rig_join(actors[round % 3]);
        actors[round % 3] = rig_spawn(runtime, act_serve, NULL);
        assert_err(fkl_spawn(runtime, NULL, act_return, NULL, &fourth), FKL_ELIMIT);
    }
    for (int i = 0; i < 3; i++) {
        fkl_actor_release(actors[i]);
    }
    rig_destroy(runtime);
}

// ---- stop

Test(actor, a_stop_is_seen_and_lasts, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct rig_receipt receipt = {.deadline = FKL_FOREVER};
    fkl_actor *actor = rig_spawn(runtime, act_receive_once, &receipt);
    assert_eventually(rig_waits_in(actor, "receive"));
    cr_assert_not(fkl_actor_stop_requested(actor));
    fkl_actor_stop(actor);
    fkl_actor_stop(actor);
    cr_assert(fkl_actor_stop_requested(actor));
    cr_assert_eq(rig_join(actor).reason, FKL_EXIT_STOPPED);
    assert_err(receipt.err, FKL_ESTOPPED);
    cr_assert_null(receipt.out);
    rig_destroy(runtime);
}

struct all_waits {
    rig_gate gate;
    fkl_actor *other; // lives on
    fkl_channel *empty, *full;
    fkl_sem *sem;
    fkl_mutex *mutex;
    fkl_err results[9];
};

static void try_all_waits(fkl_actor *self, void *arg)
{
    (void)self;
    struct all_waits *waits = arg;
    fkl_msg *msg = NULL;
    fkl_exit record;
    rig_pass(&waits->gate);
    waits->results[0] = fkl_sleep_until(FKL_FOREVER);
    waits->results[1] = fkl_receive_until(FKL_FOREVER, &msg);
    waits->results[2] = fkl_actor_join_until(waits->other, FKL_FOREVER, &record);
    waits->results[3] = fkl_actor_join_thread_until(waits->other, FKL_FOREVER);
    waits->results[4] = fkl_channel_receive_until(waits->empty, FKL_FOREVER, &msg);
    waits->results[5] = fkl_channel_poll_until(waits->empty, FKL_FOREVER);
    waits->results[6] = FKL_ENOMEM;
    if (fkl_msg_create(NULL, FKL_CODEC_RAW, 1, &msg) == FKL_OK) {
        waits->results[6] = fkl_channel_send_until(waits->full, msg, FKL_FOREVER);
        fkl_msg_destroy(msg); // still ours
    }
    waits->results[7] = fkl_sem_wait_until(waits->sem, FKL_FOREVER);
    waits->results[8] = fkl_mutex_lock_until(waits->mutex, FKL_FOREVER);
}

// Every kind of wait, begun after the stop. Each wait that the stop ends while it sleeps has its
// test beside the wait's own.
Test(actor, after_a_stop_no_wait_blocks, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct all_waits waits = {.other = rig_spawn(runtime, act_serve, NULL)};
    assert_ok(fkl_channel_create(NULL, 0, &waits.empty));
    assert_ok(fkl_channel_create(NULL, 1, &waits.full));
    assert_ok(fkl_channel_try_send(waits.full, rig_msg(1)));
    assert_ok(fkl_sem_create(NULL, 0, 1, &waits.sem));
    assert_ok(fkl_mutex_create(NULL, false, &waits.mutex));
    assert_ok(fkl_mutex_try_lock(waits.mutex));
    fkl_actor *actor = rig_spawn(runtime, try_all_waits, &waits);
    fkl_actor_stop(actor);
    atomic_store(&waits.gate.open, true);
    rig_join(actor);
    for (int i = 0; i < 9; i++) {
        cr_assert_eq(waits.results[i], FKL_ESTOPPED, "wait %d gave %s", i,
                     fkl_err_name(waits.results[i]));
    }
    assert_ok(fkl_mutex_unlock(waits.mutex));
    fkl_mutex_release(waits.mutex);
    fkl_sem_release(waits.sem);
    fkl_channel_release(waits.empty);
    fkl_channel_release(waits.full);
    fkl_actor_release(waits.other);
    rig_destroy(runtime);
}

// ---- interrupt

struct twice {
    rig_gate gate;
    fkl_err first, second;
    fkl_time deadline;
};

static void wait_twice(fkl_actor *self, void *arg)
{
    (void)self;
    struct twice *twice = arg;
    fkl_msg *msg = NULL;
    rig_pass(&twice->gate);
    twice->first = fkl_receive_until(FKL_FOREVER, &msg);
    twice->second = fkl_receive_until(twice->deadline, &msg);
}

Test(actor, an_interrupt_ends_exactly_one_wait, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct twice twice = {.gate = {.open = true}, .deadline = fkl_after_ms(60)};
    fkl_actor *actor = rig_spawn(runtime, wait_twice, &twice);
    assert_eventually(rig_waits_in(actor, "receive"));
    fkl_actor_interrupt(actor);
    rig_join(actor);
    assert_err(twice.first, FKL_EINTR);
    assert_err(twice.second, FKL_ETIMEDOUT);
    rig_destroy(runtime);
}

Test(actor, an_interrupt_before_the_wait_ends_the_next_one, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct twice twice = {.deadline = fkl_after_ms(60)};
    fkl_actor *actor = rig_spawn(runtime, wait_twice, &twice);
    assert_eventually(atomic_load(&twice.gate.arrived) == 1);
    fkl_actor_interrupt(actor);
    fkl_actor_interrupt(actor); // before it was noticed: still one
    atomic_store(&twice.gate.open, true);
    rig_join(actor);
    assert_err(twice.first, FKL_EINTR);
    assert_err(twice.second, FKL_ETIMEDOUT);
    rig_destroy(runtime);
}

// ---- helper threads

struct helper {
    fkl_actor *actor;
    fkl_actor *inside, *outside, *previous;
    fkl_err enter, wait, receive, join, monitor;
    atomic_bool ready;
    fkl_actor_id sender;
};

static void *help(void *arg)
{
    struct helper *helper = arg;
    fkl_msg *msg = NULL;
    fkl_exit record;
    fkl_monitor_ref ref;
    helper->enter = fkl_actor_enter(helper->actor, &helper->previous);
    helper->inside = fkl_self();
    helper->receive = fkl_try_receive(&msg);
    helper->join = fkl_actor_join_until(helper->actor, FKL_FOREVER, &record);
    helper->monitor = fkl_monitor(fkl_actor_get_id(helper->actor), &ref);
    atomic_store(&helper->ready, true);
    helper->wait = fkl_sleep_until(FKL_FOREVER);
    fkl_actor_leave(helper->previous);
    helper->outside = fkl_self();
    return NULL;
}

Test(actor, a_helper_is_the_actor_but_for_its_mailbox, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct helper helper = {.actor = rig_spawn(runtime, act_serve, NULL)};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, help, &helper), 0);
    assert_eventually(atomic_load(&helper.ready));
    fkl_actor_stop(helper.actor);
    pthread_join(thread, NULL);
    assert_ok(helper.enter);
    cr_assert_null(helper.previous);
    cr_assert_eq(helper.inside, helper.actor);
    cr_assert_null(helper.outside);
    assert_err(helper.receive, FKL_EPERM);
    assert_err(helper.join, FKL_EDEADLK);
    assert_err(helper.monitor, FKL_EPERM);
    assert_err(helper.wait, FKL_ESTOPPED);
    rig_join(helper.actor);
    rig_destroy(runtime);
}

Test(actor, enters_nest, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *outer = rig_spawn(runtime, act_serve, NULL);
    fkl_actor *inner = rig_spawn(runtime, act_serve, NULL);
    fkl_actor *before = NULL, *between = NULL;
    assert_ok(fkl_actor_enter(outer, &before));
    assert_ok(fkl_actor_enter(inner, &between));
    cr_assert_eq(fkl_self(), inner);
    cr_assert_eq(between, outer);
    fkl_actor_stop(inner);
    assert_err(fkl_sleep_until(FKL_FOREVER), FKL_ESTOPPED);
    fkl_actor_leave(between);
    cr_assert_eq(fkl_self(), outer);
    assert_ok(fkl_sleep_until(fkl_after_ms(1)));
    fkl_actor_leave(before);
    cr_assert_null(fkl_self());
    fkl_actor_release(inner);
    fkl_actor_release(outer);
    rig_destroy(runtime);
}

static void *interrupted_helper(void *arg)
{
    struct helper *helper = arg;
    helper->enter = fkl_actor_enter(helper->actor, &helper->previous);
    atomic_store(&helper->ready, true);
    helper->wait = fkl_sleep_until(fkl_after_ms(50));
    fkl_actor_leave(helper->previous);
    return NULL;
}

// The interrupt is for the actor's own thread.
Test(actor, an_interrupt_leaves_helpers_alone, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct twice twice = {.gate = {.open = true}, .deadline = FKL_NO_WAIT};
    struct helper helper = {.actor = rig_spawn(runtime, wait_twice, &twice)};
    pthread_t thread;
    assert_eventually(rig_waits_in(helper.actor, "receive"));
    cr_assert_eq(pthread_create(&thread, NULL, interrupted_helper, &helper), 0);
    assert_eventually(atomic_load(&helper.ready));
    fkl_actor_interrupt(helper.actor);
    pthread_join(thread, NULL);
    assert_ok(helper.wait);
    rig_join(helper.actor);
    assert_err(twice.first, FKL_EINTR);
    rig_destroy(runtime);
}

struct visitor {
    fkl_actor *host;
    fkl_actor *inside;
    fkl_err enter, receive;
};

static void visit_for_ever(fkl_actor *self, void *arg)
{
    struct visitor *visitor = arg;
    fkl_actor *previous = NULL;
    fkl_msg *msg = NULL;
    (void)self;
    visitor->enter = fkl_actor_enter(visitor->host, &previous);
    visitor->inside = fkl_self();
    visitor->receive = fkl_try_receive(&msg);
}

// The mailbox is closed to a thread that works for another actor; its end is still its own.
Test(actor, an_actor_may_end_inside_of_another_one, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct visitor visitor = {.host = rig_spawn(runtime, act_serve, NULL)};
    fkl_actor *guest = rig_spawn(runtime, visit_for_ever, &visitor);
    fkl_actor_id id = fkl_actor_get_id(guest);
    cr_assert_eq(rig_join(guest).id, id);
    assert_ok(visitor.enter);
    cr_assert_eq(visitor.inside, visitor.host);
    assert_err(visitor.receive, FKL_EPERM);
    fkl_actor_stop(visitor.host);
    cr_assert_eq(rig_join(visitor.host).reason, FKL_EXIT_STOPPED);
    rig_destroy(runtime);
}
