// SPDX-License-Identifier: Apache-2.0
//
// Channels: first-in first-out queues of messages, many senders to many receivers, bounded or not.
// Each message is received once. Senders and receivers may be actors or any other threads.
#ifndef FORKLESS_CHANNEL_H
#define FORKLESS_CHANNEL_H

#include <forkless/base.h>
#include <forkless/clock.h>
#include <forkless/error.h>
#include <forkless/message.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

typedef struct fkl_channel fkl_channel;

// Makes a channel that holds up to `capacity` messages, 0 for no bound. `runtime` supplies the
// memory; NULL means malloc. Ownership: one reference for the caller. Errors: FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_channel_create(fkl_runtime *runtime, size_t capacity,
                                                  fkl_channel **out);
FKL_API fkl_channel *fkl_channel_retain(fkl_channel *channel);
// The last release destroys the channel and the messages in it.
FKL_API void fkl_channel_release(fkl_channel *channel);

// Appends `msg`. Ownership: consumed on FKL_OK; with the caller otherwise. Blocks: while a bounded
// channel is full, until the deadline; never on an unbounded one. Errors: FKL_ECLOSED,
// FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR.
FKL_API FKL_MUST_CHECK fkl_err fkl_channel_send_until(fkl_channel *channel, fkl_msg *msg,
                                                      fkl_time deadline);
FKL_API FKL_MUST_CHECK fkl_err fkl_channel_try_send(fkl_channel *channel,
                                                    fkl_msg *msg); // FKL_EFULL

// Takes the oldest message. Ownership: the caller destroys it. Blocks: while the channel is empty
// and open, until the deadline. Errors: FKL_ECLOSED (closed and empty), FKL_ETIMEDOUT,
// FKL_ESTOPPED, FKL_EINTR.
FKL_API FKL_MUST_CHECK fkl_err fkl_channel_receive_until(fkl_channel *channel, fkl_time deadline,
                                                         fkl_msg **out);
FKL_API FKL_MUST_CHECK fkl_err fkl_channel_try_receive(fkl_channel *channel,
                                                       fkl_msg **out); // FKL_EEMPTY

// Waits until a receive would not block, without taking anything. Another receiver may be faster.
// Errors: FKL_OK also when closed; FKL_ETIMEDOUT, FKL_ESTOPPED, FKL_EINTR.
FKL_API FKL_MUST_CHECK fkl_err fkl_channel_poll_until(fkl_channel *channel, fkl_time deadline);

// Refuses further sends; what is in the channel can still be received. Wakes all who wait.
// Idempotent. Blocks: never.
FKL_API void fkl_channel_close(fkl_channel *channel);
FKL_API bool fkl_channel_is_closed(const fkl_channel *channel);

// Messages in the channel: exact when nobody sends or receives, a snapshot otherwise.
FKL_API size_t fkl_channel_len(const fkl_channel *channel);
// The bound given at creation, 0 for none.
FKL_API size_t fkl_channel_capacity(const fkl_channel *channel);

FKL_END_DECLS

#endif
