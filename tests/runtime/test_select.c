// SPDX-License-Identifier: Apache-2.0

#include "support/rig.h"

#include <pthread.h>

static fkl_channel *create(size_t capacity)
{
    fkl_channel *channel = NULL;
    assert_ok(fkl_channel_create(NULL, capacity, &channel));
    return channel;
}

static fkl_sem *create_sem(int64_t value)
{
    fkl_sem *sem = NULL;
    assert_ok(fkl_sem_create(NULL, value, 10, &sem));
    return sem;
}

static void put(fkl_channel *channel, uint64_t tag)
{
    assert_ok(fkl_channel_try_send(channel, rig_msg(tag)));
}

static void take(fkl_channel *channel)
{
    fkl_msg *msg = NULL;
    assert_ok(fkl_channel_try_receive(channel, &msg));
    fkl_msg_destroy(msg);
}

static fkl_wait_item to_receive(fkl_channel *channel)
{
    return (fkl_wait_item){.kind = FKL_WAIT_RECEIVE, .channel = channel};
}

static fkl_wait_item to_send(fkl_channel *channel)
{
    return (fkl_wait_item){.kind = FKL_WAIT_SEND, .channel = channel};
}

static fkl_wait_item exit_of(fkl_actor *actor)
{
    return (fkl_wait_item){.kind = FKL_WAIT_EXIT, .actor = actor};
}

static fkl_wait_item at(fkl_time time)
{
    return (fkl_wait_item){.kind = FKL_WAIT_TIME, .time = time};
}

static fkl_wait_item value_of(fkl_sem *sem)
{
    return (fkl_wait_item){.kind = FKL_WAIT_SEM, .sem = sem};
}

static const fkl_wait_item mailbox = {.kind = FKL_WAIT_MAILBOX};

// One wait in an actor.
struct user {
    fkl_wait_item items[40];
    size_t count;
    fkl_time deadline;
    fkl_err err;
    size_t index;
    fkl_time returned;
};

static void act_wait_any(fkl_actor *self, void *arg)
{
    struct user *user = arg;
    (void)self;
    user->err = fkl_wait_any_until(user->items, user->count, user->deadline, &user->index);
    user->returned = fkl_now();
}

static fkl_actor *wait_in(fkl_runtime *runtime, struct user *user)
{
    user->index = 99;
    fkl_actor *actor = rig_spawn(runtime, act_wait_any, user);
    assert_eventually(rig_waits_in(actor, "wait any"));
    return actor;
}

static void stop_and_join(fkl_actor *actor)
{
    fkl_actor_stop(actor);
    rig_join(actor);
}

Test(select, says_what_is_ready_without_taking_it)
{
    fkl_runtime *runtime = rig_create();
    fkl_channel *empty = create(0), *full = create(1), *some = create(0);
    fkl_sem *none = create_sem(0), *one = create_sem(1);
    fkl_actor *dead = rig_spawn(runtime, act_return, NULL);
    fkl_actor *alive = rig_spawn(runtime, act_idle, NULL);
    assert_ok(fkl_actor_join_until(dead, SOON, NULL));
    put(full, 1);
    put(some, 1);
    const fkl_wait_item ready[] = {to_receive(some),  to_send(empty), exit_of(dead),
                                   at(fkl_now() - 1), at(0),          value_of(one),
                                   to_receive(full)};
    const fkl_wait_item waiting[] = {
        to_receive(empty),         to_send(full), exit_of(alive), at(FKL_FOREVER),
        at(fkl_after_ms(3600000)), value_of(none)};
    for (size_t i = 0; i < sizeof ready / sizeof *ready; i++) {
        size_t index = 99;
        assert_ok(fkl_wait_any_until(&ready[i], 1, FKL_NO_WAIT, &index));
        assert_ok(fkl_wait_any_until(&ready[i], 1, FKL_FOREVER, &index));
        cr_assert_eq(index, 0);
        // It is found among others too, wherever the look begins.
        fkl_wait_item all[7];
        memcpy(all, waiting, sizeof waiting);
        all[6] = ready[i];
        for (int round = 0; round < 7; round++) {
            index = 99;
            assert_ok(fkl_wait_any_until(all, 7, FKL_FOREVER, &index));
            cr_assert_eq(index, 6);
        }
    }
    size_t index = 99;
    fkl_time deadline = fkl_after_ms(20);
    assert_err(fkl_wait_any_until(waiting, 6, FKL_NO_WAIT, &index), FKL_ETIMEDOUT);
    assert_err(fkl_wait_any_until(waiting, 6, deadline, &index), FKL_ETIMEDOUT);
    cr_assert_geq(fkl_now(), deadline);
    cr_assert_eq(index, 99);
    cr_assert_eq(fkl_channel_len(some), 1);
    cr_assert_eq(fkl_channel_len(empty), 0);
    cr_assert_eq(fkl_sem_value(one), 1);
    fkl_actor_release(dead);
    stop_and_join(alive);
    fkl_sem_release(none);
    fkl_sem_release(one);
    fkl_channel_release(empty);
    fkl_channel_release(full);
    fkl_channel_release(some);
    rig_destroy(runtime);
}

Test(select, a_closed_channel_is_ready)
{
    fkl_channel *empty = create(0), *full = create(1);
    put(full, 1);
    fkl_channel_close(empty);
    fkl_channel_close(full);
    const fkl_wait_item items[] = {to_receive(empty), to_send(full)};
    for (size_t i = 0; i < 2; i++) {
        size_t index = 99;
        assert_ok(fkl_wait_any_until(&items[i], 1, FKL_NO_WAIT, &index));
        cr_assert_eq(index, 0);
    }
    fkl_channel_release(empty);
    fkl_channel_release(full);
}

Test(select, senseless_items_are_refused)
{
    size_t index = 99;
    fkl_wait_item item = at(0);
    assert_err(fkl_wait_any_until(&item, 0, FKL_NO_WAIT, &index), FKL_EINVAL);
    assert_err(fkl_wait_any_until(NULL, 1, FKL_NO_WAIT, &index), FKL_EINVAL);
    const fkl_wait_item bad[] = {to_receive(NULL),
                                 to_send(NULL),
                                 exit_of(NULL),
                                 value_of(NULL),
                                 {.kind = (fkl_wait_kind)0},
                                 {.kind = (fkl_wait_kind)7}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fkl_wait_item items[2] = {at(0), bad[i]};
        assert_err(fkl_wait_any_until(items, 2, FKL_NO_WAIT, &index), FKL_EINVAL);
    }
    assert_err(fkl_wait_any_until(&mailbox, 1, FKL_NO_WAIT, &index), FKL_EPERM);
    cr_assert_eq(index, 99);
}

// Each kind of item wakes a wait for all of them.
enum event { MESSAGE, RECEIVABLE, SENDABLE, EXIT, TIME, UNIT, CLOSED_RECEIVE, CLOSED_SEND, EVENTS };

Test(select, whatever_becomes_ready_ends_the_wait, .timeout = 60)
{
    static const size_t expected[EVENTS] = {0, 1, 2, 3, 4, 5, 1, 2};
    fkl_runtime *runtime = rig_create();
    for (int event = 0; event < EVENTS; event++) {
        fkl_channel *in = create(0), *out = create(1);
        fkl_sem *sem = create_sem(0);
        fkl_actor *other = rig_spawn(runtime, act_idle, NULL);
        put(out, 1);
        fkl_time time = event == TIME ? fkl_after_ms(30) : FKL_FOREVER;
        struct user user = {.items = {mailbox, to_receive(in), to_send(out), exit_of(other),
                                      at(time), value_of(sem)},
                            .count = 6,
                            .deadline = FKL_FOREVER,
                            .index = 99};
        fkl_actor *actor =
            event == TIME ? rig_spawn(runtime, act_wait_any, &user) : wait_in(runtime, &user);
        switch (event) {
        case MESSAGE:
            rig_send(actor, 1);
            break;
        case RECEIVABLE:
            put(in, 1);
            break;
        case SENDABLE:
            take(out);
            break;
        case EXIT:
            fkl_actor_kill(other, 1);
            break;
        case UNIT:
            assert_ok(fkl_sem_post(sem));
            break;
        case CLOSED_RECEIVE:
            fkl_channel_close(in);
            break;
        case CLOSED_SEND:
            fkl_channel_close(out);
            break;
        default: // the time comes by itself
            break;
        }
        rig_join(actor);
        assert_ok(user.err);
        cr_assert_eq(user.index, expected[event], "%d: %zu", event, user.index);
        cr_assert(event != TIME || user.returned >= time);
        stop_and_join(other);
        fkl_sem_release(sem);
        fkl_channel_release(in);
        fkl_channel_release(out);
    }
    rig_destroy(runtime);
}

Test(select, a_stop_an_interrupt_and_a_deadline_end_the_wait, .timeout = 60)
{
    static const fkl_err expected[3] = {FKL_ESTOPPED, FKL_EINTR, FKL_ETIMEDOUT};
    fkl_runtime *runtime = rig_create();
    fkl_channel *in = create(0), *out = create(1);
    fkl_sem *sem = create_sem(0);
    put(out, 1);
    for (int how = 0; how < 3; how++) {
        struct user user = {
            .items = {mailbox, to_receive(in), to_send(out), at(FKL_FOREVER), value_of(sem)},
            .count = 5,
            .deadline = how == 2 ? fkl_after_ms(20) : FKL_FOREVER};
        fkl_actor *actor =
            how == 2 ? rig_spawn(runtime, act_wait_any, &user) : wait_in(runtime, &user);
        if (how == 0) {
            fkl_actor_stop(actor);
        } else if (how == 1) {
            fkl_actor_interrupt(actor);
        }
        rig_join(actor);
        assert_err(user.err, expected[how]);
        cr_assert(how < 2 || user.returned >= user.deadline);
    }
    put(in, 1); // nobody is in a queue any more
    take(in);
    take(out);
    assert_ok(fkl_sem_post(sem));
    fkl_sem_release(sem);
    fkl_channel_release(in);
    fkl_channel_release(out);
    rig_destroy(runtime);
}

Test(select, an_actor_that_was_asked_to_stop_does_not_even_look)
{
    fkl_runtime *runtime = rig_create();
    fkl_wait_item item = at(0);
    size_t index = 99;
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL), *previous = NULL;
    fkl_actor_stop(actor);
    assert_ok(fkl_actor_enter(actor, &previous));
    fkl_err err = fkl_wait_any_until(&item, 1, FKL_FOREVER, &index);
    fkl_actor_leave(previous);
    assert_err(err, FKL_ESTOPPED);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(select, a_helper_must_not_wait_for_the_mailbox_but_for_all_else)
{
    fkl_runtime *runtime = rig_create();
    fkl_actor *actor = rig_spawn(runtime, act_idle, NULL), *previous = NULL;
    size_t index = 99;
    fkl_wait_item time = at(0);
    assert_ok(fkl_actor_enter(actor, &previous));
    fkl_err err = fkl_wait_any_until(&mailbox, 1, FKL_NO_WAIT, &index);
    fkl_err other = fkl_wait_any_until(&time, 1, FKL_NO_WAIT, &index);
    fkl_actor_leave(previous);
    assert_err(err, FKL_EPERM);
    assert_ok(other);
    stop_and_join(actor);
    rig_destroy(runtime);
}

// Several are ready all the time: none is preferred for ever.
Test(select, each_of_several_ready_items_has_its_turn)
{
    enum { COUNT = 5 };
    fkl_channel *channels[COUNT];
    fkl_wait_item items[COUNT];
    int turns[COUNT] = {0};
    for (int i = 0; i < COUNT; i++) {
        channels[i] = create(0);
        put(channels[i], 1);
        items[i] = to_receive(channels[i]);
    }
    for (int i = 0; i < 20 * COUNT; i++) {
        size_t index = 99;
        assert_ok(fkl_wait_any_until(items, COUNT, FKL_FOREVER, &index));
        turns[index]++;
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(turns[i], 20);
        fkl_channel_release(channels[i]);
    }
}

// More than lie on the stack, the same channel among them several times.
Test(select, there_can_be_many_items, .timeout = 60)
{
    enum { MANY = 40 };
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_channel *channel = create(0), *other = create(0);
    struct user user = {.count = MANY, .deadline = FKL_FOREVER};
    for (int i = 0; i < MANY; i++) {
        user.items[i] = to_receive(i == 33 ? other : channel);
    }
    fkl_actor *actor = wait_in(runtime, &user);
    put(other, 1);
    rig_join(actor);
    assert_ok(user.err);
    cr_assert_eq(user.index, 33);
    take(other);
    actor = wait_in(runtime, &user);
    put(channel, 1);
    rig_join(actor);
    assert_ok(user.err);
    cr_assert_neq(user.index, 33);
    take(channel);
    fkl_time deadline = fkl_after_ms(20);
    user = (struct user){.count = MANY, .deadline = deadline};
    for (int i = 0; i < MANY; i++) {
        user.items[i] = to_receive(channel);
    }
    long calls = atomic_load(&memory.calls);
    actor = rig_spawn(runtime, act_wait_any, &user);
    rig_join(actor);
    assert_err(user.err, FKL_ETIMEDOUT);
    // Without memory it says so, and the last of the calls above was the one for the items.
    user.deadline = FKL_FOREVER;
    atomic_store(&memory.fail_at, 2 * atomic_load(&memory.calls) - calls);
    actor = rig_spawn(runtime, act_wait_any, &user);
    rig_join(actor);
    atomic_store(&memory.fail_at, 0);
    assert_err(user.err, FKL_ENOMEM);
    fkl_channel_release(channel);
    fkl_channel_release(other);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

// A wake that somebody got who takes nothing, or has left meanwhile, goes on to the next.
static void act_receive(fkl_actor *self, void *arg)
{
    struct user *user = arg;
    fkl_msg *msg = NULL;
    (void)self;
    user->err = fkl_channel_receive_until(user->items[0].channel, FKL_FOREVER, &msg);
    fkl_msg_destroy(msg);
}

static void act_take_unit(fkl_actor *self, void *arg)
{
    struct user *user = arg;
    (void)self;
    user->err = fkl_sem_wait_until(user->items[0].sem, FKL_FOREVER);
}

Test(select, watchers_pass_a_wake_on_to_those_who_take, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    for (int kind = 0; kind < 2; kind++) {
        enum { WATCHERS = 3 };
        fkl_channel *channel = create(0);
        fkl_sem *sem = create_sem(0);
        struct user watchers[WATCHERS], taker = {.count = 1};
        fkl_actor *actors[WATCHERS];
        taker.items[0] = kind ? value_of(sem) : to_receive(channel);
        for (int i = 0; i < WATCHERS; i++) {
            watchers[i] = (struct user){.count = 1, .deadline = FKL_FOREVER};
            watchers[i].items[0] = taker.items[0];
            actors[i] = wait_in(runtime, &watchers[i]);
        }
        fkl_actor *actor = rig_spawn(runtime, kind ? act_take_unit : act_receive, &taker);
        assert_eventually(rig_waits(actor));
        if (kind) {
            assert_ok(fkl_sem_post(sem));
        } else {
            put(channel, 1);
        }
        rig_join(actor);
        assert_ok(taker.err);
        for (int i = 0; i < WATCHERS; i++) { // some may have been too late, and wait on
            fkl_actor_stop(actors[i]);
            rig_join(actors[i]);
            cr_assert(watchers[i].err == FKL_OK || watchers[i].err == FKL_ESTOPPED);
        }
        fkl_sem_release(sem);
        fkl_channel_release(channel);
    }
    rig_destroy(runtime);
}

// The watcher of two things is first in both queues, and woken by one while it leaves for the
// other.
Test(select, a_watcher_that_leaves_takes_no_wake_with_it, .timeout = 120)
{
    fkl_runtime *runtime = rig_create();
    for (int round = 0; round < 300; round++) {
        bool units = round % 2;
        fkl_channel *channel = create(0), *reason = create(0);
        fkl_sem *sem = create_sem(0);
        struct user watcher = {.count = 2, .deadline = FKL_FOREVER}, taker = {.count = 1};
        taker.items[0] = units ? value_of(sem) : to_receive(channel);
        watcher.items[0] = to_receive(reason);
        watcher.items[1] = taker.items[0];
        fkl_actor *watching = wait_in(runtime, &watcher);
        fkl_actor *taking = rig_spawn(runtime, units ? act_take_unit : act_receive, &taker);
        assert_eventually(rig_waits(taking));
        put(reason, 1);
        rig_spin(round * 100); // it leaves its wait about now
        if (units) {
            assert_ok(fkl_sem_post(sem));
        } else {
            put(channel, 1);
        }
        rig_join(taking);
        assert_ok(taker.err);
        rig_join(watching);
        assert_ok(watcher.err);
        fkl_sem_release(sem);
        fkl_channel_release(channel);
        fkl_channel_release(reason);
    }
    rig_destroy(runtime);
}

static void *plain_wait(void *arg)
{
    act_wait_any(NULL, arg);
    return NULL;
}

Test(select, threads_outside_of_actors_use_it_too, .timeout = 60)
{
    fkl_channel *in = create(0), *out = create(0);
    struct user user = {.items = {to_receive(in), to_receive(out)}, .count = 2, .deadline = SOON};
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, plain_wait, &user), 0);
    rig_pause_ms(5); // it sleeps by now, mostly; it works as well when it does not
    put(out, 1);
    pthread_join(thread, NULL);
    assert_ok(user.err);
    cr_assert_eq(user.index, 1);
    fkl_channel_release(in);
    fkl_channel_release(out);
}

struct turn {
    fkl_channel *empty, *some;
    fkl_err waits, looks, finds;
    size_t index;
};

static fkl_turn wait_in_turn(fkl_actor *self, fkl_msg *msg, void *state)
{
    struct turn *turn = state;
    fkl_wait_item items[2] = {mailbox, to_receive(turn->empty)};
    (void)self;
    fkl_msg_destroy(msg);
    turn->waits = fkl_wait_any_until(items, 2, FKL_FOREVER, &turn->index);
    turn->looks = fkl_wait_any_until(items, 2, FKL_NO_WAIT, &turn->index);
    items[1] = to_receive(turn->some);
    turn->finds = fkl_wait_any_until(items, 2, FKL_FOREVER, &turn->index);
    return FKL_TURN_END;
}

Test(select, a_pooled_actor_may_look_but_not_wait)
{
    fkl_runtime *runtime = rig_create();
    struct turn turn = {.empty = create(0), .some = create(0), .index = 99};
    fkl_behaviour behaviour = {.receive = wait_in_turn};
    fkl_actor *actor = NULL;
    put(turn.some, 1);
    assert_ok(fkl_spawn_pooled(runtime, NULL, &behaviour, &turn, &actor));
    rig_send(actor, 1);
    rig_join(actor);
    assert_err(turn.waits, FKL_EPOOLED);
    assert_err(turn.looks, FKL_ETIMEDOUT);
    assert_ok(turn.finds);
    cr_assert_eq(turn.index, 1);
    fkl_channel_release(turn.empty);
    fkl_channel_release(turn.some);
    rig_destroy(runtime);
}
