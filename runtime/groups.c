// SPDX-License-Identifier: Apache-2.0
//
// Groups of actors, and publishing to them. Any thread runs this.
//
// A membership is in two lists, that of its group and that of its actor. Both change under two
// locks, the actor's first and then that of the groups: whoever reads one list needs one of them. A
// join looks at `exited` under the actor's lock, and an actor that ends takes that lock after
// `exited` was set, so no membership of a dead actor stays behind. While it is there its actor has
// not dropped its own reference, or somebody who publishes its exit has one.

#include "groups.h"

#include "actor.h"
#include "message.h"
#include "names.h"
#include "send.h"

#include <string.h>

// Guarded by the lock of the groups.
typedef struct group {
    fkli_name_entry entry; // first
    fkli_member *first;    // in the order of joining
    fkli_member *last;
    size_t members;
    size_t size; // of the block
    char text[];
} group;

struct fkli_member {
    fkl_actor *actor;
    group *group;
    fkli_member *next; // in the group
    fkli_member *previous;
    fkli_member *next_of_actor;
    fkli_member *previous_of_actor;
};

static group *create_group(const fkl_allocator *allocator, const char *text)
{
    size_t len = strlen(text);
    group *made = fkli_alloc_zeroed(allocator, sizeof *made + len + 1);
    if (!made)
        return NULL;
    made->size = sizeof *made + len + 1;
    memcpy(made->text, text, len);
    return made;
}

static void free_group(const fkl_allocator *allocator, group *freed)
{
    if (freed)
        fkli_free(allocator, freed, freed->size);
}

static group *find_locked(fkli_nametable *groups, const char *text)
{
    return (group *)(text ? fkli_nametable_find_locked(groups, text) : NULL);
}

// Joining and leaving. These need both locks.

// As long as the shorter of the two lists.
static fkli_member *find_member_locked(const fkl_actor *actor, const group *searched)
{
    fkli_member *mine = actor->groups;
    fkli_member *theirs = searched->first;
    for (; mine && theirs; mine = mine->next_of_actor, theirs = theirs->next) {
        if (mine->group == searched)
            return mine;
        if (theirs->actor == actor)
            return theirs;
    }
    return NULL;
}

static void link_locked(fkli_member *member, fkl_actor *actor, group *joined)
{
    *member = (fkli_member){
        .actor = actor, .group = joined, .previous = joined->last, .next_of_actor = actor->groups};
    if (joined->last)
        joined->last->next = member;
    else
        joined->first = member;
    joined->last = member;
    ++joined->members;
    if (actor->groups)
        actor->groups->previous_of_actor = member;
    actor->groups = member;
}

// Returns the group if it has to be freed: it has no members now and is out of the table.
static group *unlink_locked(fkli_nametable *groups, fkli_member *member)
{
    group *left = member->group;
    if (member->next)
        member->next->previous = member->previous;
    else
        left->last = member->previous;
    if (member->previous)
        member->previous->next = member->next;
    else
        left->first = member->next;
    if (member->next_of_actor)
        member->next_of_actor->previous_of_actor = member->previous_of_actor;
    if (member->previous_of_actor)
        member->previous_of_actor->next_of_actor = member->next_of_actor;
    else
        member->actor->groups = member->next_of_actor;
    if (--left->members > 0)
        return NULL;
    fkli_nametable_remove_locked(groups, &left->entry);
    return left;
}

// Uses up `*member`, and `*spare` if the group is not there yet; FKL_EEMPTY when it is needed and
// not given.
static fkl_err join_locked(fkl_actor *actor, const char *text, fkli_member **member, group **spare)
{
    fkli_nametable *groups = &actor->runtime->groups;
    if (fkli_event_is_set(&actor->exited))
        return FKL_ENOACTOR;
    group *joined = find_locked(groups, text);
    if (joined && find_member_locked(actor, joined))
        return FKL_OK;
    if (!joined) {
        if (!*spare)
            return FKL_EEMPTY;
        joined = *spare;
        *spare = NULL;
        fkli_nametable_add_locked(groups, &joined->entry, joined->text);
    }
    link_locked(*member, actor, joined);
    *member = NULL;
    return FKL_OK;
}

fkl_err fkl_group_join(fkl_actor *actor, const char *text)
{
    if (fkli_name_len(text) == 0)
        return FKL_EINVAL;
    const fkl_allocator *allocator = &actor->runtime->allocator;
    fkli_nametable *groups = &actor->runtime->groups;
    fkli_member *member = fkli_alloc(allocator, sizeof *member);
    group *spare = NULL;
    fkl_err err = member ? FKL_OK : FKL_ENOMEM;
    while (!err) {
        fkli_lock_take(&actor->lock);
        fkli_lock_take(&groups->lock);
        err = join_locked(actor, text, &member, &spare);
        fkli_lock_give(&groups->lock);
        fkli_lock_give(&actor->lock);
        if (err != FKL_EEMPTY)
            break;
        spare = create_group(allocator, text);
        err = spare ? FKL_OK : FKL_ENOMEM;
    }
    free_group(allocator, spare);
    fkli_free(allocator, member, sizeof *member);
    return err;
}

bool fkl_group_leave(fkl_actor *actor, const char *text)
{
    const fkl_allocator *allocator = &actor->runtime->allocator;
    fkli_nametable *groups = &actor->runtime->groups;
    group *emptied = NULL;
    fkli_lock_take(&actor->lock);
    fkli_lock_take(&groups->lock);
    const group *left = find_locked(groups, text);
    fkli_member *member = left ? find_member_locked(actor, left) : NULL;
    if (member)
        emptied = unlink_locked(groups, member);
    fkli_lock_give(&groups->lock);
    fkli_lock_give(&actor->lock);
    free_group(allocator, emptied);
    fkli_free(allocator, member, sizeof *member);
    return member != NULL;
}

// One at a time, so that the lock of the groups is free in between.
void fkli_groups_leave(fkl_actor *actor)
{
    const fkl_allocator *allocator = &actor->runtime->allocator;
    fkli_nametable *groups = &actor->runtime->groups;
    fkli_member *member;
    do {
        group *emptied = NULL;
        fkli_lock_take(&actor->lock);
        member = actor->groups;
        if (member) {
            fkli_lock_take(&groups->lock);
            emptied = unlink_locked(groups, member);
            fkli_lock_give(&groups->lock);
        }
        fkli_lock_give(&actor->lock);
        free_group(allocator, emptied);
        fkli_free(allocator, member, sizeof *member);
    } while (member);
}

// Publishing.

typedef struct delivery {
    fkl_actor *to; // retained
    fkl_msg *msg;
} delivery;

// Where most publications find room for their deliveries.
enum { FEW = 32 };

typedef struct deliveries {
    const fkl_allocator *allocator;
    delivery *all; // `few`, or allocated
    size_t capacity;
    size_t count;
    delivery few[FEW];
} deliveries;

// What the messages of one publication share: the one that was published.
typedef struct shared {
    fkli_atomic_u32 refs;
    const fkl_allocator *allocator;
    fkl_msg *msg;
} shared;

static void drop_shared(shared *published)
{
    // The release half pairs with the acquire half of the last one.
    if (fkli_sub_acq_rel_u32(&published->refs, 1) != 1)
        return;
    fkl_msg_destroy(published->msg);
    fkli_free(published->allocator, published, sizeof *published);
}

static void release_payload(void *data, size_t len, void *ctx)
{
    (void)data;
    (void)len;
    drop_shared(ctx);
}

static void free_deliveries(deliveries *list)
{
    if (list->all != list->few)
        fkli_free(list->allocator, list->all, list->capacity * sizeof(delivery));
}

static fkl_err make_room(deliveries *list, size_t capacity)
{
    free_deliveries(list);
    list->all = capacity > SIZE_MAX / sizeof(delivery)
                    ? NULL
                    : fkli_alloc(list->allocator, capacity * sizeof(delivery));
    list->capacity = capacity;
    return list->all ? FKL_OK : FKL_ENOMEM;
}

// Retains the members, so that no lock is held while they are sent to.
static fkl_err find_receivers(fkl_runtime *runtime, const char *text, const fkl_actor *except,
                              deliveries *list)
{
    fkli_nametable *groups = &runtime->groups;
    for (;;) {
        fkli_lock_take(&groups->lock);
        const group *found = find_locked(groups, text);
        size_t members = found ? found->members : 0;
        bool fits = members <= list->capacity;
        for (fkli_member *at = found && fits ? found->first : NULL; at; at = at->next) {
            if (at->actor != except)
                list->all[list->count++].to = fkl_actor_retain(at->actor);
        }
        fkli_lock_give(&groups->lock);
        if (fits)
            return FKL_OK;
        fkl_err err = make_room(list, members + members / 4);
        if (err)
            return err;
    }
}

// One that shares the payload of `published`.
static fkl_err make_message(fkl_runtime *runtime, shared *published, fkl_msg **out)
{
    fkl_msg *msg = published->msg;
    fkl_err err = fkl_msg_wrap(runtime, (fkl_codec)msg->codec, fkli_msg_content(msg), msg->len,
                               release_payload, published, out);
    if (err)
        return err;
    fkli_add_relaxed_u32(&published->refs, 1); // ours keeps it alive
    (*out)->tag = msg->tag;
    return FKL_OK;
}

// All or none. A single receiver gets the message itself.
static fkl_err make_messages(fkl_runtime *runtime, fkl_msg *msg, deliveries *list)
{
    if (list->count == 1) {
        list->all[0].msg = msg;
        return FKL_OK;
    }
    shared *published = fkli_alloc(&runtime->allocator, sizeof *published);
    if (!published)
        return FKL_ENOMEM;
    fkli_store_relaxed_u32(&published->refs, 1);
    published->allocator = &runtime->allocator;
    published->msg = msg;
    size_t made = 0;
    fkl_err err = FKL_OK;
    while (made < list->count && !err) {
        err = make_message(runtime, published, &list->all[made].msg);
        made += !err;
    }
    if (err) {
        published->msg = NULL; // stays with the caller
        while (made > 0)
            fkl_msg_destroy(list->all[--made].msg);
    }
    drop_shared(published);
    return err;
}

static size_t deliver(const deliveries *list)
{
    size_t sent = 0;
    for (size_t i = 0; i < list->count; ++i) {
        fkl_actor *to = list->all[i].to;
        // Not a dead letter: a member leaves by ending.
        bool ended = fkli_event_is_set(&to->exited);
        fkl_err err = ended ? FKL_ENOACTOR : fkl_actor_send(to, list->all[i].msg);
        if (err)
            fkli_actor_lose(to, list->all[i].msg, err);
        else
            ++sent;
        fkl_actor_release(to);
    }
    return sent;
}

static void let_go(const deliveries *list)
{
    for (size_t i = 0; i < list->count; ++i)
        fkl_actor_release(list->all[i].to);
}

fkl_err fkl_group_publish(fkl_runtime *runtime, const char *text, fkl_msg *msg, fkl_publish_to to,
                          size_t *count)
{
    if (!fkli_msg_is_plain(msg) || (to != FKL_PUBLISH_ALL && to != FKL_PUBLISH_OTHERS))
        return FKL_EINVAL;
    deliveries list = {.allocator = &runtime->allocator, .capacity = FEW};
    list.all = list.few;
    const fkl_actor *except = to == FKL_PUBLISH_OTHERS ? fkl_self() : NULL;
    fkl_err err = find_receivers(runtime, text, except, &list);
    size_t sent = 0;
    if (!err && list.count == 0) {
        fkl_msg_destroy(msg);
    } else if (!err) {
        err = make_messages(runtime, msg, &list);
        if (!err)
            sent = deliver(&list);
        else
            let_go(&list);
    }
    free_deliveries(&list);
    if (!err && count)
        *count = sent;
    return err;
}

// Looking.

void fkl_group_members(fkl_runtime *runtime, const char *text, fkl_actor_id *ids, size_t capacity,
                       size_t *count)
{
    fkli_nametable *groups = &runtime->groups;
    size_t found = 0;
    fkli_lock_take(&groups->lock);
    const group *asked = find_locked(groups, text);
    for (fkli_member *at = asked ? asked->first : NULL; at && found < capacity; at = at->next)
        ids[found++] = at->actor->id;
    *count = asked ? asked->members : 0;
    fkli_lock_give(&groups->lock);
}

struct listing {
    fkl_group_row *rows;
    size_t capacity;
    size_t count;
};

static void list_one(fkli_name_entry *entry, void *ctx)
{
    struct listing *listing = ctx;
    const group *listed = (const group *)entry;
    size_t row = listing->count++;
    if (row >= listing->capacity)
        return;
    listing->rows[row].members = listed->members;
    memcpy(listing->rows[row].name, listed->text, strlen(listed->text) + 1);
}

void fkl_groups(fkl_runtime *runtime, fkl_group_row *rows, size_t capacity, size_t *count)
{
    struct listing listing = {rows, capacity, 0};
    fkli_lock_take(&runtime->groups.lock);
    fkli_nametable_visit_locked(&runtime->groups, list_one, &listing);
    fkli_lock_give(&runtime->groups.lock);
    *count = listing.count;
}
