// SPDX-License-Identifier: Apache-2.0
//
// Messages: a payload with a codec tag and one owner. A send consumes the message when it succeeds
// and leaves it with the caller when it fails; whoever receives it destroys it.
#ifndef FORKLESS_MESSAGE_H
#define FORKLESS_MESSAGE_H

#include <forkless/base.h>
#include <forkless/error.h>
#include <forkless/runtime.h>

FKL_BEGIN_DECLS

typedef struct fkl_msg fkl_msg;

// What the payload is.
typedef enum fkl_codec {
    FKL_CODEC_RAW = 0,     // bytes that only sender and receiver understand
    FKL_CODEC_MSGPACK = 1, // one msgpack value (see codec.h)
    FKL_CODEC_REF = 2      // no bytes: a reference that both ends understand (fkl_msg_wrap_ref)
} fkl_codec;

// Who made the message.
typedef enum fkl_msg_kind {
    FKL_MSG_USER = 0, // fkl_send() or a channel
    FKL_MSG_DOWN = 1, // the runtime: a monitored actor ended; read it with fkl_msg_down()
    FKL_MSG_EXIT = 2, // the runtime: a linked actor ended, and the receiver traps exits
    FKL_MSG_REPLY = 3 // the outcome of a request that the receiver does not wait for
} fkl_msg_kind;

// Makes a message with room for `len` payload bytes, to be written through fkl_msg_data() before it
// is sent. `runtime` supplies the memory and must outlive the message; NULL means malloc.
// Errors: FKL_ENOMEM; FKL_EINVAL for FKL_CODEC_REF or an unknown codec.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_create(fkl_runtime *runtime, fkl_codec codec, size_t len,
                                              fkl_msg **out);

// The same with a copy of `len` bytes at `data`.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_create_copy(fkl_runtime *runtime, fkl_codec codec,
                                                   const void *data, size_t len, fkl_msg **out);

// Makes a message of the caller's buffer without a copy; `release(data, len, ctx)` runs once, in
// whatever thread destroys the message. Ownership: on error the buffer stays with the caller, and
// `release` is not called. Errors: FKL_ENOMEM, FKL_EINVAL.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_wrap(fkl_runtime *runtime, fkl_codec codec, void *data,
                                            size_t len,
                                            void (*release)(void *data, size_t len, void *ctx),
                                            void *ctx, fkl_msg **out);

// Makes a message that carries the pointer `ref` and no bytes. `release(ref, ctx)` runs when the
// message is destroyed with the reference still in it. `ctx` also tells receivers whose reference
// it is (fkl_msg_take_ref). Errors: FKL_ENOMEM.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_wrap_ref(fkl_runtime *runtime, void *ref,
                                                void (*release)(void *ref, void *ctx), void *ctx,
                                                fkl_msg **out);

// Moves the reference out of an FKL_CODEC_REF message whose `ctx` is the given one; the caller owns
// it then. Errors: FKL_ETYPE when the message is of another codec or context.
FKL_API FKL_MUST_CHECK fkl_err fkl_msg_take_ref(fkl_msg *msg, const void *ctx, void **ref);

// Frees a message; NULL is allowed. Threads: any; it must be in no mailbox or channel.
FKL_API void fkl_msg_destroy(fkl_msg *msg);

// The payload, aligned for every object that fits into it, or NULL for FKL_CODEC_REF; the second
// for who may only look, such as a match function.
FKL_API void *fkl_msg_data(fkl_msg *msg);
FKL_API const void *fkl_msg_peek(const fkl_msg *msg);
FKL_API size_t fkl_msg_len(const fkl_msg *msg);
FKL_API fkl_codec fkl_msg_codec(const fkl_msg *msg);
FKL_API fkl_msg_kind fkl_msg_get_kind(const fkl_msg *msg);

// The actor that sent it, FKL_NOBODY for a thread outside of actors. Set by the send.
FKL_API fkl_actor_id fkl_msg_sender(const fkl_msg *msg);

// A number for the user's own dispatching; 0 unless set.
FKL_API uint64_t fkl_msg_tag(const fkl_msg *msg);
FKL_API void fkl_msg_set_tag(fkl_msg *msg, uint64_t tag);

FKL_END_DECLS

#endif
