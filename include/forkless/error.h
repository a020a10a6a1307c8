// SPDX-License-Identifier: Apache-2.0
//
// The error table. One list gives the enum, fkl_strerror(), the names, and the exceptions of the
// Python binding. Functions that can fail return an fkl_err and hand results out through their last
// parameters; errno is neither set nor read.
#ifndef FORKLESS_ERROR_H
#define FORKLESS_ERROR_H

#include <forkless/base.h>

FKL_BEGIN_DECLS

// X(name, text): the text completes the sentence "the call failed because …".
#define FKL_ERRORS(X)                                                                              \
    X(OK, "success")                                                                               \
    X(ENOMEM, "out of memory")                                                                     \
    X(ETHREAD, "the system cannot start another thread")                                           \
    X(ELIMIT, "the runtime's limit of live actors is reached")                                     \
    X(EINVAL, "an argument is out of range")                                                       \
    X(ETIMEDOUT, "the deadline passed")                                                            \
    X(EINTR, "the wait was interrupted")                                                           \
    X(ESTOPPED, "the calling actor has been asked to stop")                                        \
    X(ECLOSED, "the channel or mailbox is closed")                                                 \
    X(EFULL, "the channel or mailbox is full")                                                     \
    X(EEMPTY, "the channel or mailbox is empty")                                                   \
    X(ENOACTOR, "no live actor has this id")                                                       \
    X(EDEADLK, "the wait could never end, because it is for the caller itself")                    \
    X(EPERM, "the caller does not own what it tried to use")                                       \
    X(EOVERFLOW, "the semaphore was released too many times")                                      \
    X(ECORRUPT, "the message is not what its codec says")                                          \
    X(ETYPE, "the value has another type")                                                         \
    X(ESHUTDOWN, "the runtime is shutting down")                                                   \
    X(EOS, "the operating system refused")                                                         \
    X(EPOOLED, "the call would wait, which a pooled actor must not")                               \
    X(EDOWN, "the actor ended before it answered")                                                 \
    X(ENOREPLY, "the request was dropped without an answer")                                       \
    X(EEXIST, "the name is taken")

typedef enum fkl_err {
#define FKL_X(name, text) FKL_##name,
    FKL_ERRORS(FKL_X)
#undef FKL_X
        FKL_ERR_COUNT
} fkl_err;

// The text of an error, for people. Never NULL; "unknown error" for a number outside the table.
FKL_API const char *fkl_strerror(fkl_err err);

// The name of an error as written in C, such as "FKL_ENOMEM". Never NULL.
FKL_API const char *fkl_err_name(fkl_err err);

FKL_END_DECLS

#endif
