// SPDX-License-Identifier: Apache-2.0
//
// The ties between an actor and its supervisor (see ward.h). Messages are kept by whoever publishes
// the actor's exit and by its own thread when it ends; the supervisor takes them.
//
// Counting: a message in an estate is counted as sent by the runtime, in `kept`, and by no actor,
// so that it is neither lost nor counted twice wherever it is.

#include "ward.h"

void fkli_ward_init(fkli_ward *ward, const fkli_ward_ops *ops, bool keeps)
{
    ward->ops = ops;
    ward->inheritance = NULL;
    fkli_lock_init(&ward->lock);
    ward->keeps = keeps;
    ward->early = NULL;
    ward->late = NULL;
}

void fkli_ward_fini(fkli_ward *ward)
{
    fkli_lock_fini(&ward->lock);
}

// Estates.

fkl_msg *fkli_estate_join(fkl_msg *first, fkl_msg *second)
{
    if (!first)
        return second;
    fkl_msg *last = first;
    while (last->next)
        last = last->next;
    last->next = second;
    return first;
}

fkl_msg *fkli_ward_take_estate(fkli_ward *ward)
{
    fkli_lock_take(&ward->lock);
    fkl_msg *early = ward->early;
    fkl_msg *late = fkli_estate_join(ward->late, ward->inheritance); // the second of a failed spawn
    ward->inheritance = NULL;
    ward->early = NULL;
    ward->late = NULL;
    ward->keeps = false;
    fkli_lock_give(&ward->lock);
    return fkli_estate_join(early, late);
}

// The counters are relaxed: they order nothing.
void fkli_estate_drop(fkl_runtime *runtime, fkl_msg *chain)
{
    uint64_t count = fkli_msg_destroy_chain(chain);
    if (!count)
        return;
    fkli_lock_take(&runtime->lock);
    runtime->retired.sent += count;
    runtime->retired.dropped += count;
    fkli_lock_give(&runtime->lock);
    fkli_sub_relaxed_u64(&runtime->kept, count);
}

// The actor's side.

void fkli_ward_inherit(fkl_actor *actor)
{
    if (!actor->ward)
        return;
    fkl_msg *msg = actor->ward->inheritance;
    actor->ward->inheritance = NULL;
    uint64_t count = 0;
    while (msg) {
        fkl_msg *next = msg->next;
        fkl_msg *discarded;
        msg->next = NULL;
        // There is room for what came out of a mailbox with the same bound.
        if (fkli_mailbox_send(&actor->mailbox, msg, &discarded) == FKLI_PUSH_FULL)
            fkli_estate_drop(actor->runtime, msg);
        else
            ++count;
        fkl_msg_destroy(discarded);
        msg = next;
    }
    fkli_sub_relaxed_u64(&actor->runtime->kept, count);
}

// Moves what is to be kept from `*chain` to a chain of its own, whose length it returns. Requests
// and replies are not kept.
static uint64_t sort_out(fkli_bound *bound, fkl_msg **chain, fkl_msg **kept)
{
    uint64_t count = 0;
    fkl_msg **end = kept;
    while (*chain) {
        fkl_msg *msg = *chain;
        if (msg->kind != FKL_MSG_USER || msg->tie) {
            chain = &msg->next;
            continue;
        }
        *chain = msg->next;
        msg->next = NULL;
        *end = msg;
        end = &msg->next;
        ++count;
        if (bound)
            fkli_bound_leave(bound, msg);
    }
    return count;
}

fkl_msg *fkli_ward_keep(fkl_actor *actor, fkl_msg *chain, bool early)
{
    fkli_ward *ward = actor->ward;
    if (!ward || !chain)
        return chain;
    fkl_msg *kept = NULL;
    fkli_lock_take(&ward->lock);
    if (ward->keeps) {
        uint64_t count = sort_out(actor->mailbox.bound, &chain, &kept);
        fkli_sub_relaxed_u64(&actor->mailbox.sent, count);
        fkli_sub_relaxed_u64(&actor->mailbox.dropped, count);
        fkli_add_relaxed_u64(&actor->runtime->kept, count);
        if (early)
            ward->early = fkli_estate_join(kept, ward->early);
        else
            ward->late = fkli_estate_join(ward->late, kept);
    }
    fkli_lock_give(&ward->lock);
    return chain;
}

void fkli_ward_tell(fkl_actor *actor, fkli_ward_event event)
{
    if (actor->ward)
        actor->ward->ops->notify(actor->ward, event);
}

bool fkli_ward_is_minded(const fkl_actor *actor)
{
    return actor->ward && actor->ward->ops->is_minded(actor->ward);
}

void fkli_ward_release(fkl_actor *actor)
{
    if (actor->ward)
        actor->ward->ops->release(actor->ward);
}
