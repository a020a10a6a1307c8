// SPDX-License-Identifier: Apache-2.0
//
// A stream: an fkl_channel together with what connections want beyond it: a bound in bytes, the
// word that nobody reads any more, and a file descriptor that is readable while a receive would not
// block. No function here needs the GIL, or touches a Python object but to destroy a message.
#ifndef FORKLESS_EXT_STREAM_H
#define FORKLESS_EXT_STREAM_H

#include <forkless/forkless.h>

typedef struct core_stream core_stream;

// `capacity`: messages that it holds at most; `limit`: a send waits while messages of so many bytes
// or more are there. 0 for no bound. Errors: FKL_ENOMEM, FKL_EOS.
FKL_MUST_CHECK fkl_err core_stream_create(size_t capacity, size_t limit, core_stream **out);
// Two streams in opposite directions, whose descriptors are the two ends of one socket pair.
FKL_MUST_CHECK fkl_err core_stream_create_pair(size_t limit, core_stream *out[2]);
core_stream *core_stream_retain(core_stream *stream);
void core_stream_release(core_stream *stream); // NULL is allowed

// Appends `msg`, which weighs `weight` bytes. Ownership: consumed on FKL_OK. Errors: those of
// fkl_channel_send_until(); FKL_ECLOSED also when nobody reads any more.
FKL_MUST_CHECK fkl_err core_stream_send_until(core_stream *stream, fkl_msg *msg, size_t weight,
                                              fkl_time deadline);
FKL_MUST_CHECK fkl_err core_stream_try_send(core_stream *stream, fkl_msg *msg,
                                            size_t weight); // FKL_EFULL

// As fkl_channel_receive_until() and its like.
FKL_MUST_CHECK fkl_err core_stream_receive_until(core_stream *stream, fkl_time deadline,
                                                 fkl_msg **out);
FKL_MUST_CHECK fkl_err core_stream_try_receive(core_stream *stream, fkl_msg **out);
FKL_MUST_CHECK fkl_err core_stream_poll_until(core_stream *stream, fkl_time deadline);

// No more sends; what is there can still be received.
void core_stream_close(core_stream *stream);
// No more receives: sends fail, those that wait too, and what is there is dropped.
void core_stream_refuse(core_stream *stream);
bool core_stream_is_refused(core_stream *stream);

// Whether anything was ever sent.
bool core_stream_was_used(core_stream *stream);

// A descriptor that poll() finds readable exactly while a receive would not block; or, for
// `sending`, the other end of it. Made at the first call; lives as long as the stream.
// Errors: FKL_EOS, with errno.
FKL_MUST_CHECK fkl_err core_stream_descriptor(core_stream *stream, bool sending, int *fd);

// The channel beneath, for looking at it.
const fkl_channel *core_stream_channel(const core_stream *stream);

// Marks it, for good: it has been shown to a second interpreter, so that what is sent must be read
// without the objects of the first.
void core_stream_share(core_stream *stream);
bool core_stream_is_shared(core_stream *stream);
bool core_stream_weighs(core_stream *stream); // whether its bound is in bytes

// Who may send to it and receive from it, for the ends of pipes: 1 each to begin with, for what the
// maker makes of it. Leaving as the last writer closes it, as the last reader refuses it.
typedef enum core_role { CORE_NO_END = 0, CORE_READER = 1, CORE_WRITER = 2 } core_role;
void core_stream_enter(core_stream *stream, core_role role); // while another one is there
void core_stream_leave(core_stream *stream, core_role role);

#endif
