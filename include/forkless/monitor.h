// SPDX-License-Identifier: Apache-2.0
//
// Who is told when an actor ends. A monitor tells one actor of the end of another, by a message. A
// link ties two actors together: when one of them fails, so does the other, unless it asked to be
// told by a message instead.
#ifndef FORKLESS_MONITOR_H
#define FORKLESS_MONITOR_H

#include <forkless/actor.h>
#include <forkless/base.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

// Monitors: when the target ends, one FKL_MSG_DOWN arrives in the calling actor's mailbox. For a
// target that is dead already it arrives at once.
typedef uint64_t fkl_monitor_ref;

// Threads: the actor's own. Errors: FKL_ENOMEM, FKL_EPERM (not an actor's own thread), FKL_ENOACTOR
// (the id was never given out by this runtime), FKL_ESTOPPED (the caller's exit is published).
FKL_API FKL_MUST_CHECK fkl_err fkl_monitor(fkl_actor_id target, fkl_monitor_ref *out);

// Ends a monitor; a FKL_MSG_DOWN of it that already waits in the mailbox is removed. Returns
// whether the monitor was still there (false: its message had been received, or the reference is
// unknown). Threads: the actor's own. Blocks: never. Costs the same however many monitors there
// are; where its message waits already, the system messages in the mailbox are searched.
FKL_API bool fkl_demonitor(fkl_monitor_ref ref);

// Reads an FKL_MSG_DOWN: which monitor, and how the target ended (`exit->error` lives as long as
// the message). For a target that was dead before the monitor and whose record is gone the reason
// is NORMAL, the code 0 and `known` false. Reads the outcome FKL_EDOWN of an ask too (ask.h), with
// 0 for the reference. Errors: FKL_ETYPE for another kind of message.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_down(const fkl_msg *msg, fkl_monitor_ref *ref,
                                            fkl_exit *exit, bool *known);

// Links the calling actor with `partner`, both ways; a second link between two actors is none, and
// neither is a link with oneself. The link ends with the first of them to end, which sends the
// other an exit signal. What the signal does is up to its receiver:
//   it traps exits (fkl_trap_exits)   one FKL_MSG_EXIT arrives in its mailbox
//   it does not, the reason is NORMAL nothing
//   it does not, any other reason     it ends at once, like an actor that is killed, with the same
//                                     reason, code, error and origin
// Threads: the actor's own. Blocks: never. Errors: FKL_ENOACTOR (no live actor has this id: then no
// signal comes either), FKL_ENOMEM, FKL_EPERM (not an actor's own thread), FKL_ESTOPPED (the
// caller's exit is published).
FKL_API FKL_MUST_CHECK fkl_err fkl_link(fkl_actor_id partner);

// Ends the link with `partner`. Afterwards no signal of it arrives; a FKL_MSG_EXIT that already
// waits in the mailbox is removed. Returns whether there was a link or such a message.
// Threads: the actor's own. Blocks: never.
FKL_API bool fkl_unlink(fkl_actor_id partner);

// Whether exit signals shall come to the calling actor as messages from now on; they do not at
// first (see also fkl_spawn_options.trap_exits). Threads: the actor's own. Blocks: never.
// Errors: FKL_EPERM (not an actor's own thread).
FKL_API FKL_MUST_CHECK fkl_err fkl_trap_exits(bool trap);

// Reads an FKL_MSG_EXIT: how the linked actor `exit->id` ended (`exit->error` lives as long as the
// message). Errors: FKL_ETYPE for another kind of message.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_exit(const fkl_msg *msg, fkl_exit *exit);

FKL_END_DECLS

#endif
