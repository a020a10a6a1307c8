// SPDX-License-Identifier: Apache-2.0
//
// Streams: channels with a bound in bytes and a file descriptor. Any thread runs this, with or
// without the GIL.
//
// The descriptor is one end of a pipe, or of a socket pair that two opposite streams share. It
// carries one byte, the token, exactly while a receive would not block. Everybody who has changed
// the channel looks at it afterwards, under the lock of the wire, and puts the token in or takes it
// out; so the last one to look leaves it right.

#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// The descriptors of one stream, or of two.
typedef struct wire {
    atomic_uint refs;
    atomic_bool open; // set for good once fd[] is valid
    bool duplex;      // constant
    pthread_mutex_t lock;
    int fd[2];     // constant once open; what is written into one is read from the other
    bool token[2]; // guarded by lock: whether fd[i] has its byte
} wire;

struct core_stream {
    atomic_uint refs;
    fkl_channel *channel;
    wire *wire;
    unsigned side; // constant: receivers look at wire->fd[side]
    size_t limit;  // constant, 0 for no bound
    atomic_size_t queued;
    atomic_uint waiting; // senders that wait for room, or have just been given up
    atomic_bool refused;
    atomic_bool used;
    atomic_bool shared;
    atomic_uint ends[3]; // by core_role: those that have not left
    fkl_sem *room; // NULL without a bound; a unit for each of those to look again
};

// Wires

static wire *wire_create(bool duplex)
{
    wire *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&made->lock, NULL) != 0) {
        free(made);
        return NULL;
    }
    atomic_init(&made->refs, 1);
    made->duplex = duplex;
    return made;
}

static void wire_release(wire *wire)
{
    // acq_rel: what the others did with it comes before its end.
    if (atomic_fetch_sub_explicit(&wire->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (atomic_load_explicit(&wire->open, memory_order_relaxed)) { // no other thread is left
        close(wire->fd[0]);
        close(wire->fd[1]);
    }
    pthread_mutex_destroy(&wire->lock);
    free(wire);
}

static fkl_err open_locked(wire *wire)
{
    int failed = wire->duplex ? socketpair(AF_UNIX, SOCK_STREAM, 0, wire->fd) : pipe(wire->fd);
    if (failed != 0) {
        return FKL_EOS;
    }
    for (int i = 0; i < 2; i++) {
        (void)fcntl(wire->fd[i], F_SETFD, FD_CLOEXEC);
        if (!wire->duplex) { // sockets block, for programs that send descriptors over them
            (void)fcntl(wire->fd[i], F_SETFL, O_NONBLOCK);
        }
    }
    return FKL_OK;
}

// Neither blocks, whatever a program does to the descriptor by itself.
static bool put_token(wire *wire, unsigned side)
{
    char byte = 0;
    int fd = wire->fd[1 - side];
    return (wire->duplex ? send(fd, &byte, 1, MSG_DONTWAIT) : write(fd, &byte, 1)) == 1;
}

static void take_token(wire *wire, unsigned side)
{
    char byte;
    int fd = wire->fd[side];
    (void)!(wire->duplex ? recv(fd, &byte, 1, MSG_DONTWAIT) : read(fd, &byte, 1));
}

static bool is_ready(const core_stream *stream)
{
    return fkl_channel_len(stream->channel) > 0 || fkl_channel_is_closed(stream->channel);
}

static void settle_locked(core_stream *stream)
{
    wire *wire = stream->wire;
    bool *token = &wire->token[stream->side];
    bool ready = is_ready(stream);
    if (ready && !*token) {
        *token = put_token(wire, stream->side);
    } else if (!ready && *token) {
        take_token(wire, stream->side);
        *token = false;
    }
}

// After every change of the channel. The fence pairs with the one in core_stream_descriptor():
// either `open` is seen here, or the change is seen there.
static void settle(core_stream *stream)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&stream->wire->open, memory_order_acquire)) {
        return;
    }
    pthread_mutex_lock(&stream->wire->lock);
    settle_locked(stream);
    pthread_mutex_unlock(&stream->wire->lock);
}

fkl_err core_stream_descriptor(core_stream *stream, bool sending, int *fd)
{
    wire *wire = stream->wire;
    fkl_err err = FKL_OK;
    pthread_mutex_lock(&wire->lock);
    if (!atomic_load_explicit(&wire->open, memory_order_relaxed)) { // set under this lock
        err = open_locked(wire);
        if (err == FKL_OK) {
            // Pairs with the acquire in settle(), which reads fd[] under the lock anyway.
            atomic_store_explicit(&wire->open, true, memory_order_release);
        }
    }
    if (err == FKL_OK) {
        atomic_thread_fence(memory_order_seq_cst); // see settle()
        settle_locked(stream);
        *fd = wire->fd[sending ? 1 - stream->side : stream->side];
    }
    pthread_mutex_unlock(&wire->lock);
    return err;
}

// Life

static fkl_err create(size_t capacity, size_t limit, wire *wire, unsigned side, core_stream **out)
{
    core_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return FKL_ENOMEM;
    }
    fkl_err err = fkl_channel_create(NULL, capacity, &stream->channel);
    if (err == FKL_OK && limit > 0) {
        err = fkl_sem_create(NULL, 0, INT32_MAX, &stream->room);
    }
    if (err != FKL_OK) {
        fkl_channel_release(stream->channel);
        free(stream);
        return err;
    }
    atomic_fetch_add_explicit(&wire->refs, 1, memory_order_relaxed); // the caller has one
    atomic_init(&stream->refs, 1);
    stream->wire = wire;
    stream->side = side;
    stream->limit = limit;
    atomic_init(&stream->ends[CORE_READER], 1);
    atomic_init(&stream->ends[CORE_WRITER], 1);
    *out = stream;
    return FKL_OK;
}

fkl_err core_stream_create(size_t capacity, size_t limit, core_stream **out)
{
    wire *wire = wire_create(false);
    if (wire == NULL) {
        return FKL_ENOMEM;
    }
    fkl_err err = create(capacity, limit, wire, 0, out);
    wire_release(wire);
    return err;
}

fkl_err core_stream_create_pair(size_t limit, core_stream *out[2])
{
    wire *wire = wire_create(true);
    if (wire == NULL) {
        return FKL_ENOMEM;
    }
    fkl_err err = create(0, limit, wire, 0, &out[0]);
    if (err == FKL_OK) {
        err = create(0, limit, wire, 1, &out[1]);
        if (err != FKL_OK) {
            core_stream_release(out[0]);
        }
    }
    wire_release(wire);
    return err;
}

core_stream *core_stream_retain(core_stream *stream)
{
    atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed); // the caller has one
    return stream;
}

void core_stream_release(core_stream *stream)
{
    // acq_rel: what the others did with it comes before its end.
    if (stream == NULL || atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    fkl_channel_release(stream->channel);
    if (stream->room != NULL) {
        fkl_sem_release(stream->room);
    }
    wire_release(stream->wire);
    free(stream);
}

// Room
//
// A sender that finds no room counts itself in `waiting`, looks again, and then sleeps for a unit
// of `room`; a receiver first lowers `queued` and then looks at `waiting`. All of these are
// sequentially consistent, so one of the two sees the other. A unit only says "look again": whoever
// takes one that was meant for another finds room and sends, and then a message is there whose
// receiver will give the next unit; or finds none, and then there are messages too.

static void call_waiting(core_stream *stream)
{
    int64_t waiting = atomic_load(&stream->waiting);
    for (int64_t given = fkl_sem_value(stream->room); given < waiting; given++) {
        if (fkl_sem_post(stream->room) != FKL_OK) {
            return; // there are units for everybody
        }
    }
}

static void give_room(core_stream *stream, size_t weight)
{
    if (stream->room == NULL) {
        return;
    }
    atomic_fetch_sub(&stream->queued, weight);
    if (atomic_load(&stream->waiting) > 0) {
        call_waiting(stream);
    }
}

// FKL_EFULL when there is no room.
static fkl_err try_take_room(core_stream *stream, size_t weight)
{
    if (atomic_load(&stream->refused) || fkl_channel_is_closed(stream->channel)) {
        return FKL_ECLOSED;
    }
    if (stream->room == NULL) {
        return FKL_OK;
    }
    size_t queued = atomic_load(&stream->queued);
    while (queued < stream->limit) {
        if (atomic_compare_exchange_weak(&stream->queued, &queued, queued + weight)) {
            return FKL_OK;
        }
    }
    return FKL_EFULL;
}

static fkl_err take_room_until(core_stream *stream, size_t weight, fkl_time deadline)
{
    fkl_err err = try_take_room(stream, weight);
    while (err == FKL_EFULL) {
        atomic_fetch_add(&stream->waiting, 1);
        err = try_take_room(stream, weight);
        if (err == FKL_EFULL) {
            fkl_err woken = fkl_sem_wait_until(stream->room, deadline);
            err = woken == FKL_OK ? try_take_room(stream, weight) : woken;
        }
        atomic_fetch_sub(&stream->waiting, 1);
    }
    return err;
}

// Sending and receiving

// The tag of a message: its weight above the eight bits that belong to convert.c.
static void set_weight(fkl_msg *msg, size_t weight)
{
    fkl_msg_set_tag(msg, (fkl_msg_tag(msg) & 0xFF) | (uint64_t)weight << 8);
}

static size_t weight_of(const fkl_msg *msg)
{
    return (size_t)(fkl_msg_tag(msg) >> 8);
}

// Drops what nobody will receive.
static void discard(core_stream *stream)
{
    fkl_msg *msg;
    while (fkl_channel_try_receive(stream->channel, &msg) == FKL_OK) {
        give_room(stream, weight_of(msg));
        fkl_msg_destroy(msg); // may close other streams, but comes back to none of this one's locks
    }
    settle(stream);
}

// With room in hand, and after the channel took the message or not.
static fkl_err finish_send(core_stream *stream, size_t weight, fkl_err err)
{
    if (err != FKL_OK) {
        give_room(stream, weight);
        return err;
    }
    atomic_store_explicit(&stream->used, true, memory_order_relaxed); // orders nothing
    settle(stream);
    // The last reader may have left between the look at `refused` and the push.
    if (atomic_load(&stream->refused)) {
        discard(stream);
    }
    return FKL_OK;
}

fkl_err core_stream_try_send(core_stream *stream, fkl_msg *msg, size_t weight)
{
    fkl_err err = try_take_room(stream, weight);
    if (err != FKL_OK) {
        return err;
    }
    set_weight(msg, weight);
    return finish_send(stream, weight, fkl_channel_try_send(stream->channel, msg));
}

fkl_err core_stream_send_until(core_stream *stream, fkl_msg *msg, size_t weight, fkl_time deadline)
{
    fkl_err err = take_room_until(stream, weight, deadline);
    if (err != FKL_OK) {
        return err;
    }
    set_weight(msg, weight);
    err = fkl_channel_send_until(stream->channel, msg, deadline);
    return finish_send(stream, weight, err);
}

static fkl_err finish_receive(core_stream *stream, fkl_err err, fkl_msg **out)
{
    if (err == FKL_OK) {
        give_room(stream, weight_of(*out));
        settle(stream);
    }
    return err;
}

fkl_err core_stream_try_receive(core_stream *stream, fkl_msg **out)
{
    return finish_receive(stream, fkl_channel_try_receive(stream->channel, out), out);
}

fkl_err core_stream_receive_until(core_stream *stream, fkl_time deadline, fkl_msg **out)
{
    return finish_receive(stream, fkl_channel_receive_until(stream->channel, deadline, out), out);
}

fkl_err core_stream_poll_until(core_stream *stream, fkl_time deadline)
{
    return fkl_channel_poll_until(stream->channel, deadline);
}

// Closing

void core_stream_close(core_stream *stream)
{
    fkl_channel_close(stream->channel);
    settle(stream);
    if (stream->room != NULL) {
        call_waiting(stream); // they find it closed
    }
}

// Who waits for room is woken by what gets room: there are messages then, or their senders are
// about to find the stream refused.
void core_stream_refuse(core_stream *stream)
{
    atomic_store(&stream->refused, true);
    discard(stream);
}

bool core_stream_is_refused(core_stream *stream)
{
    return atomic_load(&stream->refused);
}

bool core_stream_was_used(core_stream *stream)
{
    return atomic_load_explicit(&stream->used, memory_order_relaxed);
}

const fkl_channel *core_stream_channel(const core_stream *stream)
{
    return stream->channel;
}

// Interpreters and ends

// Relaxed, as the look at it: who sends at the same moment may still send an object, and who
// receives copes with that.
void core_stream_share(core_stream *stream)
{
    atomic_store_explicit(&stream->shared, true, memory_order_relaxed);
}

bool core_stream_is_shared(core_stream *stream)
{
    return atomic_load_explicit(&stream->shared, memory_order_relaxed);
}

bool core_stream_weighs(core_stream *stream)
{
    return stream->limit > 0;
}

void core_stream_enter(core_stream *stream, core_role role)
{
    atomic_fetch_add_explicit(&stream->ends[role], 1, memory_order_relaxed); // the caller has one
}

void core_stream_leave(core_stream *stream, core_role role)
{
    // acq_rel: what the others have sent comes before the end.
    if (role == CORE_NO_END ||
        atomic_fetch_sub_explicit(&stream->ends[role], 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (role == CORE_WRITER) {
        core_stream_close(stream);
    } else {
        core_stream_refuse(stream);
    }
}
