// SPDX-License-Identifier: Apache-2.0
//
// Checking and copying of specifications (see plan.h). Runs in the thread that starts a supervisor
// or adds a child.

#include "plan.h"

#include <string.h>

#define SECOND INT64_C(1000000000)

// Options that point back to themselves would never end.
enum { MAX_DEPTH = 64 };

static fkl_err copy_child(const fkl_allocator *allocator, const fkl_child_spec *spec, int depth,
                          fkli_child_plan **out);

// Checking.

static bool is_child_valid(const fkl_child_spec *spec)
{
    if (!!spec->fn + !!spec->behaviour + !!spec->supervisor != 1)
        return false;
    if (spec->behaviour && !spec->behaviour->receive)
        return false;
    if (spec->supervisor && (spec->prepare || spec->arg))
        return false;
    if (spec->discard && !spec->prepare)
        return false;
    if (spec->restart != FKL_RESTART_PERMANENT && spec->restart != FKL_RESTART_TRANSIENT &&
        spec->restart != FKL_RESTART_TEMPORARY)
        return false;
    if (spec->spawn.link) // it would pass the end of a child on to its supervisor
        return false;
    return spec->stop_ns >= FKL_STOP_AT_ONCE && spec->kill_ns >= 0;
}

static bool are_options_valid(const fkl_supervisor_options *options)
{
    if (options->strategy != FKL_ONE_FOR_ONE && options->strategy != FKL_ONE_FOR_ALL &&
        options->strategy != FKL_REST_FOR_ONE)
        return false;
    if (options->max_restarts < FKL_RESTARTS_NONE ||
        (options->max_restarts > FKL_RESTARTS_MAX &&
         options->max_restarts != FKL_RESTARTS_UNLIMITED))
        return false;
    if (options->period_ns < 0 || options->backoff_ns < 0 || options->backoff_max_ns < 0)
        return false;
    return options->jitter_percent <= 100 && (options->children || !options->child_count);
}

// Defaults.

static void fill_child(fkl_child_spec *spec)
{
    if (spec->stop_ns == 0)
        spec->stop_ns = spec->supervisor ? FKL_FOREVER : 5 * SECOND;
    if (spec->kill_ns == 0)
        spec->kill_ns = spec->supervisor ? FKL_FOREVER : 5 * SECOND;
}

static void fill_options(fkl_supervisor_options *options)
{
    if (options->max_restarts == 0)
        options->max_restarts = 3;
    if (options->period_ns == 0)
        options->period_ns = 5 * SECOND;
    if (options->backoff_max_ns == 0)
        options->backoff_max_ns = 30 * SECOND;
}

// Supervisors.

static fkl_err copy_options(const fkl_allocator *allocator, const fkl_supervisor_options *options,
                            int depth, fkli_supervisor_plan **out)
{
    if (depth == MAX_DEPTH || !are_options_valid(options))
        return FKL_EINVAL;
    size_t count = options->child_count;
    if (count > (SIZE_MAX / 2) / sizeof(fkli_child_plan *))
        return FKL_ENOMEM;
    fkli_supervisor_plan *plan =
        fkli_alloc(allocator, sizeof *plan + count * sizeof plan->children[0]);
    if (!plan)
        return FKL_ENOMEM;
    fkli_store_relaxed_u32(&plan->refs, 1);
    plan->allocator = allocator;
    plan->options = *options;
    plan->options.children = NULL;
    plan->child_count = count;
    fill_options(&plan->options);
    fkl_err err = FKL_OK;
    size_t copied = 0;
    while (!err && copied < count) {
        err = copy_child(allocator, &options->children[copied], depth + 1, &plan->children[copied]);
        copied += !err;
    }
    if (err) {
        while (copied > 0)
            fkli_child_plan_release(plan->children[--copied]);
        fkli_free(allocator, plan, sizeof *plan + count * sizeof plan->children[0]);
        return err;
    }
    *out = plan;
    return FKL_OK;
}

fkl_err fkli_supervisor_plan_create(const fkl_allocator *allocator,
                                    const fkl_supervisor_options *options,
                                    fkli_supervisor_plan **out)
{
    fkl_supervisor_options defaults = {0};
    return copy_options(allocator, options ? options : &defaults, 0, out);
}

fkli_supervisor_plan *fkli_supervisor_plan_retain(fkli_supervisor_plan *plan)
{
    fkli_add_relaxed_u32(&plan->refs, 1); // the caller's reference keeps it alive
    return plan;
}

void fkli_supervisor_plan_release(fkli_supervisor_plan *plan)
{
    // The release half pairs with the acquire half of the last one.
    if (!plan || fkli_sub_acq_rel_u32(&plan->refs, 1) != 1)
        return;
    for (size_t i = 0; i < plan->child_count; ++i)
        fkli_child_plan_release(plan->children[i]);
    fkli_free(plan->allocator, plan, sizeof *plan + plan->child_count * sizeof plan->children[0]);
}

// Children.

// Copies a string to `*place`, which moves on behind it. NULL stays NULL.
static const char *copy_string(const char *text, char **place)
{
    if (!text)
        return NULL;
    char *copy = *place;
    size_t size = strlen(text) + 1;
    memcpy(copy, text, size);
    *place += size;
    return copy;
}

static size_t string_size(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static fkl_err copy_child(const fkl_allocator *allocator, const fkl_child_spec *spec, int depth,
                          fkli_child_plan **out)
{
    if (!is_child_valid(spec))
        return FKL_EINVAL;
    fkli_supervisor_plan *nested = NULL;
    if (spec->supervisor) {
        fkl_err err = copy_options(allocator, spec->supervisor, depth, &nested);
        if (err)
            return err;
    }
    size_t size = sizeof(fkli_child_plan) + string_size(spec->id) + string_size(spec->spawn.name) +
                  string_size(spec->spawn.register_as);
    fkli_child_plan *plan = fkli_alloc(allocator, size);
    if (!plan) {
        fkli_supervisor_plan_release(nested);
        return FKL_ENOMEM;
    }
    char *place = (char *)(plan + 1);
    fkli_store_relaxed_u32(&plan->refs, 1);
    plan->allocator = allocator;
    plan->size = size;
    plan->spec = *spec;
    fill_child(&plan->spec);
    if (spec->behaviour) {
        plan->behaviour = *spec->behaviour;
        plan->spec.behaviour = &plan->behaviour;
    }
    plan->spec.supervisor = NULL;
    plan->supervisor = nested;
    plan->spec.id = copy_string(spec->id, &place);
    plan->spec.spawn.name = copy_string(spec->spawn.name, &place);
    plan->spec.spawn.register_as = copy_string(spec->spawn.register_as, &place);
    if (!plan->spec.spawn.name)
        plan->spec.spawn.name = plan->spec.id;
    *out = plan;
    return FKL_OK;
}

fkl_err fkli_child_plan_create(const fkl_allocator *allocator, const fkl_child_spec *spec,
                               fkli_child_plan **out)
{
    return spec ? copy_child(allocator, spec, 0, out) : FKL_EINVAL;
}

fkli_child_plan *fkli_child_plan_retain(fkli_child_plan *plan)
{
    fkli_add_relaxed_u32(&plan->refs, 1); // the caller's reference keeps it alive
    return plan;
}

void fkli_child_plan_release(fkli_child_plan *plan)
{
    // The release half pairs with the acquire half of the last one.
    if (!plan || fkli_sub_acq_rel_u32(&plan->refs, 1) != 1)
        return;
    fkli_supervisor_plan_release(plan->supervisor);
    fkli_free(plan->allocator, plan, plan->size);
}
