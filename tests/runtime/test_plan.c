// SPDX-License-Identifier: Apache-2.0
//
// Plans: what is refused, what is filled in, and that a copy needs nothing of its original.
#include "support/rig.h"

#include "plan.h"

static fkl_err prepare(void *arg, void **state)
{
    *state = arg;
    return FKL_OK;
}

static void discard(void *arg, void *state)
{
    (void)arg;
    (void)state;
}

static fkl_turn receive(fkl_actor *self, fkl_msg *msg, void *state)
{
    (void)self;
    (void)state;
    fkl_msg_destroy(msg);
    return FKL_TURN_CONTINUE;
}

static fkl_err try_child(const fkl_child_spec *spec)
{
    fkli_child_plan *plan = NULL;
    fkl_err err = fkli_child_plan_create(fkli_allocator_of(NULL), spec, &plan);
    fkli_child_plan_release(plan);
    return err;
}

static fkl_err try_options(const fkl_supervisor_options *options)
{
    fkli_supervisor_plan *plan = NULL;
    fkl_err err = fkli_supervisor_plan_create(fkli_allocator_of(NULL), options, &plan);
    fkli_supervisor_plan_release(plan);
    return err;
}

Test(plan, a_child_that_contradicts_itself_is_refused)
{
    const fkl_supervisor_options nested = {0};
    const fkl_behaviour quiet = {.receive = receive}, deaf = {0};
    int arg = 0;
    const fkl_child_spec wrong[] = {
        {.id = "runs nothing"},
        {.fn = act_return, .supervisor = &nested},
        {.fn = act_return, .behaviour = &quiet},
        {.behaviour = &deaf},
        {.supervisor = &nested, .prepare = prepare},
        {.supervisor = &nested, .arg = &arg},
        {.fn = act_return, .discard = discard},
        {.fn = act_return, .restart = (fkl_restart)3},
        {.fn = act_return, .spawn.link = true},
        {.fn = act_return, .stop_ns = -2},
        {.fn = act_return, .kill_ns = -1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(try_child(&wrong[i]), FKL_EINVAL, "case %zu", i);
    }
    assert_err(try_child(NULL), FKL_EINVAL);
    assert_ok(try_child(&(fkl_child_spec){.fn = act_return}));
    assert_ok(try_child(&(fkl_child_spec){.supervisor = &nested}));
    assert_ok(try_child(&(fkl_child_spec){.behaviour = &quiet}));
    assert_ok(
        try_child(&(fkl_child_spec){.fn = act_return, .prepare = prepare, .discard = discard}));
    assert_ok(try_child(&(fkl_child_spec){.fn = act_return, .stop_ns = FKL_STOP_AT_ONCE}));
}

Test(plan, options_out_of_range_are_refused)
{
    const fkl_child_spec bad = {.id = "runs nothing"};
    const fkl_supervisor_options wrong[] = {
        {.strategy = (fkl_strategy)3},
        {.max_restarts = -2},
        {.max_restarts = FKL_RESTARTS_MAX + 1},
        {.period_ns = -1},
        {.backoff_ns = -1},
        {.backoff_max_ns = -1},
        {.jitter_percent = 101},
        {.child_count = 1},
        {.children = &bad, .child_count = 1},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(try_options(&wrong[i]), FKL_EINVAL, "case %zu", i);
    }
    assert_ok(try_options(NULL));
    assert_ok(try_options(&(fkl_supervisor_options){.max_restarts = FKL_RESTARTS_UNLIMITED}));
    assert_ok(try_options(&(fkl_supervisor_options){.max_restarts = FKL_RESTARTS_NONE}));
    assert_ok(try_options(&(fkl_supervisor_options){.max_restarts = FKL_RESTARTS_MAX}));
}

Test(plan, options_within_themselves_are_refused)
{
    fkl_supervisor_options options = {0};
    fkl_child_spec self = {.supervisor = &options};
    options.children = &self;
    options.child_count = 1;
    assert_err(try_options(&options), FKL_EINVAL);
}

Test(plan, defaults_are_filled_in)
{
    fkl_supervisor_options nested = {0};
    fkl_child_spec specs[] = {{.id = "a", .fn = act_return}, {.supervisor = &nested}};
    fkl_supervisor_options options = {.children = specs, .child_count = 2};
    fkli_supervisor_plan *plan = NULL;
    assert_ok(fkli_supervisor_plan_create(fkli_allocator_of(NULL), &options, &plan));
    cr_assert_eq(plan->options.max_restarts, 3);
    cr_assert_eq(plan->options.period_ns, 5000000000);
    cr_assert_eq(plan->options.backoff_ns, 0);
    cr_assert_eq(plan->options.backoff_max_ns, 30000000000);
    cr_assert_eq(plan->children[0]->spec.stop_ns, 5000000000);
    cr_assert_eq(plan->children[0]->spec.kill_ns, 5000000000);
    cr_assert_str_eq(plan->children[0]->spec.spawn.name, "a");
    cr_assert_null(plan->children[0]->supervisor);
    cr_assert_eq(plan->children[1]->spec.stop_ns, FKL_FOREVER);
    cr_assert_eq(plan->children[1]->spec.kill_ns, FKL_FOREVER);
    cr_assert_not_null(plan->children[1]->supervisor);
    fkli_supervisor_plan_release(plan);
}

Test(plan, a_copy_needs_nothing_of_its_original)
{
    char id[] = "identity", name[] = "a name", registered[] = "known as";
    fkl_child_spec inner[] = {
        {.id = id, .spawn = {.name = name, .register_as = registered}, .fn = act_return}};
    fkl_supervisor_options nested = {.children = inner, .child_count = 1, .max_restarts = 9};
    fkl_child_spec outer[] = {{.id = id, .supervisor = &nested, .stop_ns = 17}};
    fkl_supervisor_options options = {.children = outer, .child_count = 1};
    fkli_supervisor_plan *plan = NULL;
    assert_ok(fkli_supervisor_plan_create(fkli_allocator_of(NULL), &options, &plan));
    memset(id, 'x', sizeof id - 1);
    memset(name, 'x', sizeof name - 1);
    memset(registered, 'x', sizeof registered - 1);
    memset(inner, 0, sizeof inner);
    memset(outer, 0, sizeof outer);
    memset(&nested, 0, sizeof nested);
    const fkli_child_plan *child = plan->children[0];
    cr_assert_str_eq(child->spec.id, "identity");
    cr_assert_eq(child->spec.stop_ns, 17);
    cr_assert_eq(child->supervisor->options.max_restarts, 9);
    child = child->supervisor->children[0];
    cr_assert_str_eq(child->spec.id, "identity");
    cr_assert_str_eq(child->spec.spawn.name, "a name");
    cr_assert_str_eq(child->spec.spawn.register_as, "known as");
    cr_assert(child->spec.fn == act_return);
    fkli_supervisor_plan_release(plan);
}

Test(plan, nothing_leaks_when_memory_runs_out)
{
    fkl_child_spec inner[] = {{.id = "x", .fn = act_return}, {.id = "y", .fn = act_return}};
    fkl_supervisor_options nested = {.children = inner, .child_count = 2};
    fkl_child_spec outer[] = {{.id = "a", .fn = act_return}, {.supervisor = &nested}};
    fkl_supervisor_options options = {.children = outer, .child_count = 2};
    fkl_err err = FKL_ENOMEM;
    for (long fail_at = 1; err; fail_at++) {
        rig_memory memory = {.fail_at = fail_at};
        fkl_allocator allocator = rig_allocator(&memory);
        fkli_supervisor_plan *plan = NULL;
        err = fkli_supervisor_plan_create(&allocator, &options, &plan);
        cr_assert(err == FKL_ENOMEM || fail_at == 7, "allocation %ld gave %s", fail_at,
                  fkl_err_name(err));
        fkli_supervisor_plan_release(plan);
        rig_assert_balanced(&memory);
    }
}
