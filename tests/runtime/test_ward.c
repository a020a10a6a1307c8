// SPDX-License-Identifier: Apache-2.0
//
// Wards: what an actor tells its supervisor, what it leaves, and what it begins with. The tests are
// the supervisor.
#include "support/rig.h"

#include "ward.h"

// A ward on the test's stack.
typedef struct post {
    fkli_ward ward; // first
    atomic_uint events;
    atomic_int releases;
    atomic_bool minded;
} post;

static void post_notify(fkli_ward *ward, fkli_ward_event event)
{
    atomic_fetch_or(&((post *)ward)->events, event);
}

static bool post_is_minded(const fkli_ward *ward)
{
    return atomic_load(&((post *)(uintptr_t)ward)->minded);
}

static void post_release(fkli_ward *ward)
{
    atomic_fetch_add(&((post *)ward)->releases, 1);
}

static const fkli_ward_ops ops = {post_notify, post_is_minded, post_release};

static void post_init(post *to, bool keeps)
{
    memset(to, 0, sizeof *to);
    fkli_ward_init(&to->ward, &ops, keeps);
}

static fkl_err post_spawn(fkl_runtime *runtime, post *to, fkl_actor_fn fn, void *arg,
                          fkl_actor **out)
{
    const fkli_spawn_extra extra = {.ward = &to->ward};
    return fkli_spawn(runtime, NULL, &extra, fn, arg, out);
}

static const unsigned both = FKLI_WARD_EXITED | FKLI_WARD_ENDED;

static void assert_tags(fkl_msg *chain, const uint64_t *tags, int count)
{
    for (int i = 0; i < count; i++, chain = chain->next) {
        cr_assert_not_null(chain, "only %d", i);
        cr_assert_eq(fkl_msg_tag(chain), tags[i], "number %d is %d", i, (int)fkl_msg_tag(chain));
    }
    cr_assert_null(chain, "more than %d", count);
}

static fkl_counters counters_of(const fkl_runtime *runtime)
{
    fkl_counters counters;
    fkl_runtime_counters(runtime, &counters);
    return counters;
}

// Receives one message, and leaves the rest; some of it in its own hands.
static void act_receive_one(fkl_actor *self, void *arg)
{
    (void)self;
    fkl_msg *msg = NULL;
    rig_pass(arg);
    if (fkl_receive_until(SOON, &msg) == FKL_OK) {
        fkl_msg_destroy(msg);
    }
}

Test(ward, an_actor_tells_of_its_exit_and_of_its_end, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, true);
    assert_ok(post_spawn(runtime, &to, act_stubborn, &gate, &actor));
    assert_eventually(atomic_load(&gate.arrived));
    cr_assert_eq(atomic_load(&to.events), 0);
    cr_assert(fkl_actor_kill(actor, 1));
    cr_assert_eq(atomic_load(&to.events), FKLI_WARD_EXITED);
    atomic_store(&gate.open, true);
    assert_eventually(atomic_load(&to.events) == both);
    fkl_actor_release(actor);
    rig_destroy(runtime);
    cr_assert_eq(atomic_load(&to.releases), 1);
}

Test(ward, what_was_not_received_is_left_in_its_order, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, true);
    assert_ok(post_spawn(runtime, &to, act_receive_one, &gate, &actor));
    for (uint64_t tag = 1; tag <= 4; tag++) {
        rig_send(actor, tag);
    }
    atomic_store(&gate.open, true);
    rig_join(actor);
    assert_eventually(atomic_load(&to.events) == both);
    fkl_counters counters = counters_of(runtime);
    cr_assert_eq(counters.sent, 4);
    cr_assert_eq(counters.handled, 1);
    cr_assert_eq(counters.dropped, 0);
    fkl_msg *estate = fkli_ward_take_estate(&to.ward);
    assert_tags(estate, (uint64_t[]){2, 3, 4}, 3);
    fkli_estate_drop(runtime, estate);
    counters = counters_of(runtime);
    cr_assert_eq(counters.sent, 4);
    cr_assert_eq(counters.dropped, 3);
    rig_destroy(runtime);
}

// Takes what is there into its own hands by receiving one, then waits to be killed.
static void act_receive_and_wait(fkl_actor *self, void *arg)
{
    fkl_msg *msg = NULL;
    rig_gate *gates = arg;
    rig_pass(&gates[0]);
    if (fkl_receive_until(SOON, &msg) == FKL_OK) {
        fkl_msg_destroy(msg);
    }
    (void)self;
    rig_pass(&gates[1]);
}

Test(ward, what_is_in_hand_comes_before_what_is_in_the_mailbox, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gates[2] = {{0}};
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, true);
    assert_ok(post_spawn(runtime, &to, act_receive_and_wait, gates, &actor));
    for (uint64_t tag = 1; tag <= 3; tag++) {
        rig_send(actor, tag);
    }
    atomic_store(&gates[0].open, true);
    assert_eventually(atomic_load(&gates[1].arrived));
    rig_send(actor, 4);
    rig_send(actor, 5);
    cr_assert(fkl_actor_kill(actor, 1)); // what is in the mailbox is left first
    atomic_store(&gates[1].open, true);
    rig_join(actor);
    assert_eventually(atomic_load(&to.events) == both);
    fkl_msg *estate = fkli_ward_take_estate(&to.ward);
    assert_tags(estate, (uint64_t[]){2, 3, 4, 5}, 4);
    fkli_estate_drop(runtime, estate);
    rig_destroy(runtime);
}

Test(ward, nothing_is_left_where_nothing_is_kept, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gate = {0};
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, false);
    assert_ok(post_spawn(runtime, &to, act_stubborn, &gate, &actor));
    rig_send(actor, 1);
    atomic_store(&gate.open, true);
    rig_join(actor);
    assert_eventually(atomic_load(&to.events) == both);
    cr_assert_null(fkli_ward_take_estate(&to.ward));
    cr_assert_eq(counters_of(runtime).dropped, 1);
    rig_destroy(runtime);
}

Test(ward, nothing_is_left_after_the_estate_was_taken, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    rig_gate gates[2] = {{0}};
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, true);
    assert_ok(post_spawn(runtime, &to, act_receive_and_wait, gates, &actor));
    for (uint64_t tag = 1; tag <= 3; tag++) {
        rig_send(actor, tag);
    }
    atomic_store(&gates[0].open, true);
    assert_eventually(atomic_load(&gates[1].arrived));
    rig_send(actor, 4);
    cr_assert(fkl_actor_kill(actor, 1));
    fkl_msg *estate = fkli_ward_take_estate(&to.ward);
    assert_tags(estate, (uint64_t[]){4}, 1);
    atomic_store(&gates[1].open, true);
    rig_join(actor);
    assert_eventually(atomic_load(&to.events) == both);
    cr_assert_null(fkli_ward_take_estate(&to.ward));
    cr_assert_eq(counters_of(runtime).dropped, 2);
    fkli_estate_drop(runtime, estate);
    rig_destroy(runtime);
}

struct heir {
    fkl_msg *at_once;
    int received;
    uint64_t tags[8];
};

static void act_inherit(fkl_actor *self, void *arg)
{
    struct heir *heir = arg;
    fkl_msg *msg = NULL;
    (void)self;
    while (heir->received < 8 && fkl_receive_until(SOON, &msg) == FKL_OK) {
        heir->tags[heir->received] = fkl_msg_tag(msg);
        fkl_msg_destroy(msg);
        if (heir->tags[heir->received++] == 9) {
            return;
        }
    }
}

static fkl_msg *estate_of(fkl_runtime *runtime, uint64_t first, uint64_t last)
{
    rig_gate gate = {0};
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, true);
    assert_ok(post_spawn(runtime, &to, act_stubborn, &gate, &actor));
    for (uint64_t tag = first; tag <= last; tag++) {
        rig_send(actor, tag);
    }
    atomic_store(&gate.open, true);
    rig_join(actor);
    assert_eventually(atomic_load(&to.releases) == 1);
    return fkli_ward_take_estate(&to.ward);
}

Test(ward, an_heir_receives_the_estate_first, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    struct heir heir = {0};
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, true);
    to.ward.inheritance = estate_of(runtime, 1, 3);
    assert_ok(post_spawn(runtime, &to, act_inherit, &heir, &actor));
    rig_send(actor, 9);
    rig_join(actor);
    cr_assert_eq(heir.received, 4);
    cr_assert_arr_eq(heir.tags, ((uint64_t[]){1, 2, 3, 9}), 4 * sizeof(uint64_t));
    cr_assert_eq(counters_of(runtime).sent, 4);
    cr_assert_eq(counters_of(runtime).handled, 4);
    rig_destroy(runtime);
}

static void assert_estate_survives(fkl_runtime *runtime, fkl_err expected)
{
    post to;
    fkl_actor *actor = NULL;
    post_init(&to, true);
    to.ward.inheritance = estate_of(runtime, 1, 3);
    if (expected == FKL_ETHREAD) {
        fkli_fault_thread_start(0, 1);
    }
    assert_err(post_spawn(runtime, &to, act_return, NULL, &actor), expected);
    cr_assert_eq(atomic_load(&to.releases), 1);
    fkl_msg *estate = fkli_ward_take_estate(&to.ward);
    assert_tags(estate, (uint64_t[]){1, 2, 3}, 3);
    cr_assert_eq(counters_of(runtime).sent, 3);
    cr_assert_eq(counters_of(runtime).dropped, 0);
    fkli_estate_drop(runtime, estate);
    rig_destroy(runtime);
}

Test(ward, an_heir_without_a_thread_leaves_the_estate, .timeout = 60)
{
    assert_estate_survives(rig_create(), FKL_ETHREAD);
}

Test(ward, an_heir_without_a_place_leaves_the_estate, .timeout = 60)
{
    fkl_runtime_config config = {.max_actors = 1};
    fkl_runtime *runtime = NULL;
    rig_gate gate = {0};
    post to, other;
    fkl_actor *actor = NULL, *unborn = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_msg *estate = estate_of(runtime, 1, 3);
    post_init(&to, true);
    post_init(&other, true);
    assert_ok(post_spawn(runtime, &other, act_stubborn, &gate, &actor));
    to.ward.inheritance = estate;
    assert_err(post_spawn(runtime, &to, act_return, NULL, &unborn), FKL_ELIMIT);
    cr_assert_eq(atomic_load(&to.releases), 1);
    estate = fkli_ward_take_estate(&to.ward);
    assert_tags(estate, (uint64_t[]){1, 2, 3}, 3);
    fkli_estate_drop(runtime, estate);
    atomic_store(&gate.open, true);
    rig_join(actor);
    rig_destroy(runtime);
}

Test(ward, an_heir_without_memory_leaves_the_estate, .timeout = 60)
{
    rig_memory memory = {0};
    fkl_runtime_config config = {.allocator = rig_allocator(&memory)};
    fkl_runtime *runtime = NULL;
    post to;
    fkl_actor *actor = NULL;
    assert_ok(fkl_runtime_create(&config, &runtime));
    fkl_msg *estate = estate_of(runtime, 1, 3);
    post_init(&to, true);
    to.ward.inheritance = estate;
    atomic_store(&memory.fail_at, atomic_load(&memory.calls) + 1);
    assert_err(post_spawn(runtime, &to, act_return, NULL, &actor), FKL_ENOMEM);
    atomic_store(&memory.fail_at, 0);
    cr_assert_eq(atomic_load(&to.releases), 1);
    estate = fkli_ward_take_estate(&to.ward);
    assert_tags(estate, (uint64_t[]){1, 2, 3}, 3);
    fkli_estate_drop(runtime, estate);
    rig_destroy(runtime);
    rig_assert_balanced(&memory);
}

Test(ward, a_shutdown_leaves_the_minded_alone_until_nobody_minds_them, .timeout = 60)
{
    fkl_runtime *runtime = rig_create();
    post minded, left;
    fkl_actor *one = NULL, *two = NULL;
    post_init(&minded, true);
    post_init(&left, true);
    atomic_store(&minded.minded, true);
    assert_ok(post_spawn(runtime, &minded, act_idle, NULL, &one));
    assert_ok(post_spawn(runtime, &left, act_idle, NULL, &two));
    assert_err(fkl_runtime_shutdown(runtime, FKL_NO_WAIT), FKL_ETIMEDOUT);
    cr_assert_not(fkl_actor_stop_requested(one));
    cr_assert(fkl_actor_stop_requested(two));
    rig_join(two);
    atomic_store(&minded.minded, false);
    assert_ok(fkl_runtime_shutdown(runtime, SOON));
    rig_join(one);
    rig_destroy(runtime);
}
