// SPDX-License-Identifier: Apache-2.0
//
// Groups: actors under one name that get the same messages. A group is there while it has members;
// an actor may be in any number of them and leaves them all when it ends.
#ifndef FORKLESS_GROUP_H
#define FORKLESS_GROUP_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/name.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// Makes `actor` a member; once, however often it joins. Group names are as long as those of actors
// (FKL_NAME_MAX) and another thing. Threads: any. Blocks: never. Errors: FKL_ENOACTOR (it is dead),
// FKL_EINVAL (an empty name, or one too long), FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_group_join(fkl_actor *actor, const char *group);

// Ends the membership. Returns whether it was a member. Threads: any. Blocks: never.
FKL_API bool fkl_group_leave(fkl_actor *actor, const char *group);

// Writes up to `capacity` ids, in the order of joining, and the number of all members to `count`:
// 0 when there is no such group. Threads: any. Blocks: never (a short lock).
FKL_API void fkl_group_members(fkl_runtime *runtime, const char *group, fkl_actor_id *ids,
                               size_t capacity, size_t *count);

typedef enum fkl_publish_to {
    FKL_PUBLISH_ALL = 0,
    FKL_PUBLISH_OTHERS = 1 // all but the calling actor
} fkl_publish_to;

// Sends a message with this payload, codec and tag to each member, as fkl_send() would; `count`,
// which may be NULL, takes how many got it. A member whose bounded mailbox is full is not waited
// for; if its policy would have the sender wait or fail, it misses the message, which is a dead
// letter then. The payload is not copied: all of them share it, so receivers must not write to it,
// and it is released by whoever destroys the last one. Members that join or leave meanwhile may get
// it or not. Two publications by one thread arrive in order. Ownership: consumed on FKL_OK, also
// when nobody got it; with the caller otherwise. Threads: any. Blocks: never. Errors: FKL_EINVAL (a
// message that is no FKL_CODEC_RAW or FKL_CODEC_MSGPACK, or a request; an unknown `to`),
// FKL_ENOMEM; nobody got it then.
FKL_API FKL_MUST_CHECK fkl_err fkl_group_publish(fkl_runtime *runtime, const char *group,
                                                 fkl_msg *msg, fkl_publish_to to, size_t *count);

// One row of fkl_groups().
typedef struct fkl_group_row {
    size_t members;
    char name[FKL_NAME_MAX + 1];
} fkl_group_row;

// Writes up to `capacity` rows in no order, and the number of all groups to `count`. Threads: any.
// Blocks: never (a short lock).
FKL_API void fkl_groups(fkl_runtime *runtime, fkl_group_row *rows, size_t capacity, size_t *count);

FKL_END_DECLS

#endif
