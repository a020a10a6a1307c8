// SPDX-License-Identifier: Apache-2.0
//
// Names of actors. Any thread runs this.
//
// A name and its actor are joined under two locks, the actor's first and then the table's. An
// actor's exit is published under the first one and takes the name out, so a name in the table
// belongs to an actor whose exit is not out; and a registration that comes later sees the exit. The
// table needs no references: an actor with a name in it has not even begun to drop its own.

#include "names.h"

#include "actor.h"
#include "nametable.h"

#include <string.h>

struct fkli_name {
    fkli_name_entry entry; // first
    fkl_actor *actor;
    size_t size;   // of the block
    bool is_known; // guarded by the lock of the names; the actor has an id, so it can be found
    char text[];
};

// Giving and taking.

static fkl_err create(fkl_actor *actor, const char *text, fkli_name **out)
{
    size_t len = fkli_name_len(text);
    if (len == 0)
        return FKL_EINVAL;
    size_t size = sizeof(fkli_name) + len + 1;
    fkli_name *name = fkli_alloc(&actor->runtime->allocator, size);
    if (!name)
        return FKL_ENOMEM;
    name->actor = actor;
    name->size = size;
    name->is_known = true;
    memcpy(name->text, text, len + 1);
    *out = name;
    return FKL_OK;
}

void fkli_name_free(fkl_actor *actor, fkli_name *name)
{
    if (name)
        fkli_free(&actor->runtime->allocator, name, name->size);
}

// With the actor's lock.
static fkl_err join_locked(fkl_actor *actor, fkli_name *name)
{
    if (fkli_event_is_set(&actor->exited))
        return FKL_ENOACTOR;
    if (actor->registered)
        return FKL_EEXIST;
    fkli_nametable *names = &actor->runtime->names;
    fkli_lock_take(&names->lock);
    bool is_free = !fkli_nametable_find_locked(names, name->text);
    if (is_free) {
        fkli_nametable_add_locked(names, &name->entry, name->text);
        actor->registered = name;
    }
    fkli_lock_give(&names->lock);
    return is_free ? FKL_OK : FKL_EEXIST;
}

fkl_err fkl_register(fkl_actor *actor, const char *name)
{
    fkli_name *made;
    fkl_err err = create(actor, name, &made);
    if (err)
        return err;
    fkli_lock_take(&actor->lock);
    err = join_locked(actor, made);
    fkli_lock_give(&actor->lock);
    if (err)
        fkli_name_free(actor, made);
    return err;
}

fkl_err fkli_name_claim(fkl_actor *actor, const char *text)
{
    fkli_name *name;
    fkl_err err = create(actor, text, &name);
    if (err)
        return err;
    name->is_known = false;
    err = join_locked(actor, name);
    if (err)
        fkli_name_free(actor, name);
    return err;
}

// Its id may have been found, and the actor been killed.
void fkli_name_confirm(fkl_actor *actor)
{
    fkli_nametable *names = &actor->runtime->names;
    fkli_lock_take(&actor->lock);
    if (actor->registered) {
        fkli_lock_take(&names->lock);
        actor->registered->is_known = true;
        fkli_lock_give(&names->lock);
    }
    fkli_lock_give(&actor->lock);
}

fkli_name *fkli_name_take_locked(fkl_actor *actor)
{
    fkli_name *name = actor->registered;
    if (!name)
        return NULL;
    fkli_nametable *names = &actor->runtime->names;
    fkli_lock_take(&names->lock);
    fkli_nametable_remove_locked(names, &name->entry);
    fkli_lock_give(&names->lock);
    actor->registered = NULL;
    return name;
}

// The actor may have got another name since it was found, and its name another actor.
fkl_err fkl_unregister(fkl_runtime *runtime, const char *name)
{
    fkl_actor *actor;
    fkli_name *taken = NULL;
    while (!taken) {
        fkl_err err = fkl_whereis_actor(runtime, name, &actor);
        if (err)
            return err;
        fkli_lock_take(&actor->lock);
        if (actor->registered && strcmp(actor->registered->text, name) == 0)
            taken = fkli_name_take_locked(actor);
        fkli_lock_give(&actor->lock);
        fkli_name_free(actor, taken);
        fkl_actor_release(actor);
    }
    return FKL_OK;
}

// Looking.

fkl_err fkl_whereis_actor(fkl_runtime *runtime, const char *name, fkl_actor **out)
{
    fkli_nametable *names = &runtime->names;
    fkl_actor *actor = NULL;
    fkli_lock_take(&names->lock);
    fkli_name_entry *entry = name ? fkli_nametable_find_locked(names, name) : NULL;
    if (entry && ((fkli_name *)entry)->is_known)
        actor = fkl_actor_retain(((fkli_name *)entry)->actor);
    fkli_lock_give(&names->lock);
    if (!actor)
        return FKL_ENOACTOR;
    *out = actor;
    return FKL_OK;
}

fkl_err fkl_whereis(fkl_runtime *runtime, const char *name, fkl_actor_id *out)
{
    fkl_actor *actor;
    fkl_err err = fkl_whereis_actor(runtime, name, &actor);
    if (err)
        return err;
    *out = actor->id;
    fkl_actor_release(actor);
    return FKL_OK;
}

fkl_err fkl_send_named(fkl_runtime *runtime, const char *name, fkl_msg *msg)
{
    fkl_actor *actor;
    if (fkl_whereis_actor(runtime, name, &actor) != FKL_OK)
        return fkl_send(runtime, FKL_NOBODY, msg); // which counts it
    fkl_err err = fkl_actor_send(actor, msg);
    fkl_actor_release(actor);
    return err;
}

bool fkl_registered_name(const fkl_actor *actor, char *name)
{
    fkl_actor *locked = (fkl_actor *)(uintptr_t)actor;
    fkli_lock_take(&locked->lock);
    const fkli_name *registered = actor->registered;
    if (registered)
        memcpy(name, registered->text, strlen(registered->text) + 1);
    fkli_lock_give(&locked->lock);
    return registered != NULL;
}

struct listing {
    fkl_name_row *rows;
    size_t capacity;
    size_t count;
};

static void list_one(fkli_name_entry *entry, void *ctx)
{
    struct listing *listing = ctx;
    const fkli_name *name = (const fkli_name *)entry;
    if (!name->is_known)
        return;
    size_t row = listing->count++;
    if (row >= listing->capacity)
        return;
    listing->rows[row].id = name->actor->id;
    memcpy(listing->rows[row].name, name->text, strlen(name->text) + 1);
}

void fkl_names(fkl_runtime *runtime, fkl_name_row *rows, size_t capacity, size_t *count)
{
    struct listing listing = {rows, capacity, 0};
    fkli_lock_take(&runtime->names.lock);
    fkli_nametable_visit_locked(&runtime->names, list_one, &listing);
    fkli_lock_give(&runtime->names.lock);
    *count = listing.count;
}
