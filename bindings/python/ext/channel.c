// SPDX-License-Identifier: Apache-2.0
//
// forkless._core.Channel: a stream (stream.c) that carries Python objects. Queues and the ends of
// pipes are thin layers on it.

#include "state.h"
#include "stream.h"

#include <errno.h>

typedef struct {
    PyObject_HEAD
    core_stream *stream;
    bool weighs;        // its bound is in bytes
    _Atomic(long) left; // the roles that leave() was called for, or that it never had
} channel_object;

static PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"capacity", "limit", NULL};
    Py_ssize_t capacity = 0;
    Py_ssize_t limit = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|nn:Channel", names, &capacity, &limit)) {
        return NULL;
    }
    channel_object *self = (channel_object *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->weighs = limit > 0;
    fkl_err err = core_stream_create(capacity > 0 ? (size_t)capacity : 0,
                                     limit > 0 ? (size_t)limit : 0, &self->stream);
    if (err != FKL_OK) {
        Py_DECREF(self);
        return core_raise(core_state_of_type(type), err, "cannot make a channel");
    }
    return (PyObject *)self;
}

static void channel_dealloc(channel_object *self)
{
    PyTypeObject *type = Py_TYPE(self);
    core_stream_release(self->stream);
    type->tp_free(self);
    Py_DECREF(type);
}

PyDoc_STRVAR(channel_pair_doc,
             "pair(limit)\n--\n\n"
             "Two channels for the two directions of a connection: the descriptor of each is the\n"
             "other end of that of the other.");

static PyObject *channel_pair(PyTypeObject *type, PyObject *arg)
{
    Py_ssize_t limit = PyNumber_AsSsize_t(arg, PyExc_OverflowError);
    if (limit == -1 && PyErr_Occurred()) {
        return NULL;
    }
    core_stream *streams[2];
    fkl_err err = core_stream_create_pair(limit > 0 ? (size_t)limit : 0, streams);
    if (err != FKL_OK) {
        return core_raise(core_state_of_type(type), err, "cannot make a pair of channels");
    }
    PyObject *pair = PyTuple_New(2);
    for (Py_ssize_t i = 0; i < 2; i++) {
        channel_object *self = pair == NULL ? NULL : (channel_object *)type->tp_alloc(type, 0);
        if (self == NULL) {
            core_stream_release(streams[i]);
            Py_CLEAR(pair);
            continue;
        }
        self->stream = streams[i];
        self->weighs = limit > 0;
        PyTuple_SET_ITEM(pair, i, (PyObject *)self);
    }
    return pair;
}

core_stream *core_channel_stream(core_state *state, PyObject *object)
{
    return Py_TYPE(object) == state->channel_type
               ? core_stream_retain(((channel_object *)object)->stream)
               : NULL;
}

PyObject *core_channel_wrap(core_state *state, core_stream *stream, core_role role)
{
    PyTypeObject *type = state->channel_type;
    channel_object *self = (channel_object *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->stream = core_stream_retain(stream);
        self->weighs = core_stream_weighs(stream);
        atomic_init(&self->left, (CORE_READER | CORE_WRITER) & ~(long)role);
    }
    return (PyObject *)self;
}

typedef struct {
    core_stream *stream;
    fkl_msg *msg;
    size_t weight;
    fkl_time deadline;
    fkl_err err; // why it was not sent
    bool looks;  // before it sleeps
} transfer;

enum { LOOK_NS = 30000 };

// How an object gets into a message: as a copy, as it is, or as bytes; and otherwise if there may
// be receivers in other interpreters.
typedef enum { BY_COPY, BY_REFERENCE, BY_BYTES } way;

static inline int encode(core_state *state, channel_object *self, way way, PyObject *obj,
                         transfer *t)
{
    size_t *weight = self->weighs ? &t->weight : NULL;
    bool shared = core_stream_is_shared(self->stream);
    if (way == BY_BYTES) {
        return shared ? core_encode_bytes_abroad(state, obj, &t->msg, weight)
                      : core_encode_bytes(state, obj, &t->msg, weight);
    }
    if (shared) {
        return core_encode_abroad(state, obj, &t->msg, weight);
    }
    return way == BY_COPY ? core_encode(state, obj, &t->msg, weight)
                          : core_encode_shared(state, obj, &t->msg, weight);
}

static fkl_err do_send(void *ctx)
{
    transfer *t = ctx;
    return core_stream_send_until(t->stream, t->msg, t->weight, t->deadline);
}

// To sleep, and to be woken on another processor, takes longer than most answers. So who waits for
// one looks for a moment first; without the GIL, which the sender needs.
static fkl_err do_receive(void *ctx)
{
    transfer *t = ctx;
    fkl_time until = t->looks ? fkl_now() + LOOK_NS : 0;
    until = until < t->deadline ? until : t->deadline;
    while (fkl_now() < until) {
        for (int i = 0; i < 8; i++) {
            fkl_err err = core_stream_try_receive(t->stream, &t->msg);
            if (err != FKL_EEMPTY) {
                return err;
            }
            core_pause();
        }
    }
    return core_stream_receive_until(t->stream, t->deadline, &t->msg);
}

static fkl_err do_poll(void *ctx)
{
    transfer *t = ctx;
    return core_stream_poll_until(t->stream, t->deadline);
}

// (block=True, timeout=None) as in queue.Queue: the deadline, or -1 with an exception set.
static int deadline_of(PyObject *block, PyObject *timeout, fkl_time *out)
{
    int blocks = block == NULL ? 1 : PyObject_IsTrue(block);
    if (blocks < 0) {
        return -1;
    }
    *out = FKL_NO_WAIT;
    return blocks ? core_deadline(timeout, out) : 0;
}

static int check_arity(const char *name, Py_ssize_t given, Py_ssize_t least, Py_ssize_t most)
{
    if (given < least || given > most) {
        PyErr_Format(PyExc_TypeError, "%s() takes %zd to %zd arguments (%zd given)", name, least,
                     most, given);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(
    channel_put_doc,
    "put(obj, block=True, timeout=None, owner=None, counter=None)\n--\n\n"
    "Send a copy of obj. Raises queue.Full when the channel stays full until the timeout\n"
    "(seconds), ValueError when it is closed, and what pickling raises. With an owner,\n"
    "owner._not_sent(exception, obj) is called instead of raising, but for queue.Full and\n"
    "for what handlers of signals raise (except where Python code helps to pickle). With a\n"
    "counter too, a SemLock, it counts the object before a receiver can have it, and\n"
    "owner._uncount() is called where queue.Full or what a handler raised is.");

// Destroys t->msg, which was not sent, and raises.
static PyObject *refuse(core_state *state, transfer *t, fkl_err err)
{
    t->err = err;
    fkl_msg_destroy(t->msg);
    if (err == FKL_EFULL || err == FKL_ETIMEDOUT) {
        PyErr_SetNone(state->queue_full);
        return NULL;
    }
    if (err == FKL_ECLOSED && core_stream_is_refused(t->stream)) {
        errno = EPIPE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return err == FKL_EINTR ? NULL : core_raise(state, err, "cannot put an object");
}

// Sends t->msg, which it owns from here on.
static PyObject *send(core_state *state, transfer *t)
{
    if (core_check_ended(state) < 0) {
        fkl_msg_destroy(t->msg);
        return NULL;
    }
    fkl_err err = core_stream_try_send(t->stream, t->msg, t->weight);
    if (err == FKL_EFULL && t->deadline != FKL_NO_WAIT) {
        err = core_blocking(state, do_send, t);
    }
    if (err != FKL_OK) {
        return refuse(state, t, err);
    }
    Py_RETURN_NONE;
}

static PyObject *encode_and_send(core_state *state, channel_object *self, PyObject *obj,
                                 transfer *t)
{
    return encode(state, self, BY_COPY, obj, t) < 0 ? NULL : send(state, t);
}

// Whether the exception that is set says that the object cannot be sent, and not that there was no
// room for it or that the wait for that was interrupted.
static bool is_refusal(const transfer *t)
{
    return t->err != FKL_EFULL && t->err != FKL_ETIMEDOUT && t->err != FKL_EINTR &&
           PyErr_ExceptionMatches(PyExc_Exception);
}

// Tells the owner of what the exception that is set stands for: returns NULL with that or another.
static PyObject *tell_owner(const transfer *t, PyObject *owner, PyObject *obj, bool is_counted)
{
    bool reported = is_refusal(t);
    if (!reported && !is_counted) {
        return NULL;
    }
    PyObject *error = PyErr_GetRaisedException();
    PyObject *result = reported ? PyObject_CallMethod(owner, "_not_sent", "OO", error, obj)
                                : PyObject_CallMethod(owner, "_uncount", NULL);
    if (reported || result == NULL) {
        Py_DECREF(error);
        return result;
    }
    Py_DECREF(result);
    PyErr_SetRaisedException(error);
    return NULL;
}

static int count(PyObject *counter)
{
    PyObject *result = PyObject_CallMethod(counter, "release", NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *channel_put(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    transfer t = {.stream = self->stream};
    bool is_counted = nargs > 4;
    if (check_arity("put", nargs, 1, 5) < 0 ||
        deadline_of(nargs > 1 ? args[1] : NULL, nargs > 2 ? args[2] : NULL, &t.deadline) < 0 ||
        (is_counted && count(args[4]) < 0)) {
        return NULL;
    }
    // Encoded and sent in one call: no handler of a signal runs between, or before the owner knows.
    PyObject *result = encode_and_send(state, self, args[0], &t);
    return result == NULL && nargs > 3 ? tell_owner(&t, args[3], args[0], is_counted) : result;
}

PyDoc_STRVAR(channel_put_ref_doc,
             "put_ref(obj, block=True, timeout=None)\n--\n\n"
             "Send obj itself instead of a copy, for callers that made the copy, or that mean to\n"
             "share. Raises as put() does.");

static PyObject *channel_put_ref(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    transfer t = {.stream = self->stream};
    if (check_arity("put_ref", nargs, 1, 3) < 0 ||
        deadline_of(nargs > 1 ? args[1] : NULL, nargs > 2 ? args[2] : NULL, &t.deadline) < 0 ||
        encode(state, self, BY_REFERENCE, args[0], &t) < 0) {
        return NULL;
    }
    return send(state, &t);
}

PyDoc_STRVAR(
    channel_put_bytes_doc,
    "put_bytes(buffer, block=True, timeout=None)\n--\n\n"
    "Send the bytes of a buffer; bytes themselves are shared. get_bytes() gives them, and\n"
    "get() the object that they are the pickle of.");

static PyObject *channel_put_bytes(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    transfer t = {.stream = self->stream};
    if (check_arity("put_bytes", nargs, 1, 3) < 0 ||
        deadline_of(nargs > 1 ? args[1] : NULL, nargs > 2 ? args[2] : NULL, &t.deadline) < 0 ||
        encode(state, self, BY_BYTES, args[0], &t) < 0) {
        return NULL;
    }
    return send(state, &t);
}

// Whether a receive that ended with `err` took something; false with an exception set.
static bool received(core_state *state, fkl_err err)
{
    switch (err) {
    case FKL_OK:
        return true;
    case FKL_EEMPTY:
    case FKL_ETIMEDOUT:
        PyErr_SetNone(state->queue_empty);
        return false;
    case FKL_ECLOSED:
        PyErr_SetString(PyExc_EOFError, "the channel is closed and empty");
        return false;
    case FKL_EINTR:
        return false;
    default:
        core_raise(state, err, "cannot get an object");
        return false;
    }
}

// Receives into t->msg; false with an exception set.
static bool receive(core_state *state, transfer *t, const char *name, PyObject *const *args,
                    Py_ssize_t nargs)
{
    if (check_arity(name, nargs, 0, 2) < 0 || core_check_ended(state) < 0) {
        return false;
    }
    fkl_err err = core_stream_try_receive(t->stream, &t->msg);
    if (err == FKL_EEMPTY) {
        if (deadline_of(nargs > 0 ? args[0] : NULL, nargs > 1 ? args[1] : NULL, &t->deadline) < 0) {
            return false;
        }
        if (t->deadline != FKL_NO_WAIT) {
            t->looks = state->parallel;
            err = core_blocking(state, do_receive, t);
        }
    }
    return received(state, err);
}

PyDoc_STRVAR(channel_get_doc,
             "get(block=True, timeout=None)\n--\n\n"
             "Take the oldest object. Raises queue.Empty when none arrives until the timeout\n"
             "(seconds), EOFError when the channel is closed and empty, CorruptMessage when the\n"
             "message is not what its codec says; the message is gone then.");

static PyObject *channel_get(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    transfer t = {.stream = self->stream};
    return receive(state, &t, "get", args, nargs) ? core_decode(state, t.msg) : NULL;
}

PyDoc_STRVAR(channel_get_bytes_doc,
             "get_bytes(block=True, timeout=None)\n--\n\n"
             "Take the oldest message as bytes: what put_bytes() sent, or a pickle of the object.");

static PyObject *channel_get_bytes(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    transfer t = {.stream = self->stream};
    return receive(state, &t, "get_bytes", args, nargs) ? core_decode_bytes(state, t.msg) : NULL;
}

PyDoc_STRVAR(channel_drain_doc,
             "drain(into)\n--\n\n"
             "Append all objects that are there to the list `into`, oldest first, and return how\n"
             "many messages were taken. None is not appended: it only wakes who waits. What was\n"
             "taken is in the list whatever is raised; after CorruptMessage others may be left.");

static PyObject *channel_drain(channel_object *self, PyObject *into)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    if (!PyList_Check(into)) {
        PyErr_SetString(PyExc_TypeError, "drain() takes a list");
        return NULL;
    }
    Py_ssize_t taken = 0;
    fkl_msg *msg;
    while (core_stream_try_receive(self->stream, &msg) == FKL_OK) {
        PyObject *obj = core_decode(state, msg);
        if (obj == NULL) {
            return NULL;
        }
        int appended = obj == Py_None ? 0 : PyList_Append(into, obj);
        Py_DECREF(obj);
        if (appended < 0) {
            return NULL;
        }
        taken++;
    }
    return PyLong_FromSsize_t(taken);
}

// A send that does not wait, and then a receive that does.
typedef struct {
    core_stream *to; // NULL once msg was sent
    fkl_msg *msg;
    size_t weight;
    fkl_err sent;
    transfer in;
} exchange;

static fkl_err do_exchange(void *ctx)
{
    exchange *x = ctx;
    if (x->to != NULL) {
        x->sent = core_stream_try_send(x->to, x->msg, x->weight);
        if (x->sent != FKL_OK) {
            return x->sent;
        }
        core_stream_release(x->to);
        x->to = NULL;
    }
    return do_receive(&x->in);
}

// Takes [channel, obj] out of the list, so that neither is held during the wait.
static int take_outbox(core_state *state, PyObject *outbox, exchange *x)
{
    if (!PyList_Check(outbox) || PyList_GET_SIZE(outbox) != 2 ||
        Py_TYPE(PyList_GET_ITEM(outbox, 0)) != state->channel_type) {
        PyErr_SetString(PyExc_TypeError, "get_after() takes a list of a channel and an object");
        return -1;
    }
    channel_object *channel = (channel_object *)PyList_GET_ITEM(outbox, 0);
    transfer t = {.weight = 0};
    if (encode(state, channel, BY_REFERENCE, PyList_GET_ITEM(outbox, 1), &t) < 0) {
        return -1;
    }
    x->msg = t.msg;
    x->weight = t.weight;
    x->to = core_stream_retain(channel->stream);
    if (PyList_SetSlice(outbox, 0, 2, NULL) < 0) {
        core_stream_release(x->to);
        fkl_msg_destroy(x->msg);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(channel_get_after_doc,
             "get_after(outbox)\n--\n\n"
             "Empty the list outbox, [channel, obj], by channel.put_ref(obj, False); then get().\n"
             "Whoever waits for obj finds the GIL free, unless there is something to get already.\n"
             "Raises as put_ref() when obj was not sent, and as get() when it was.");

static PyObject *channel_get_after(channel_object *self, PyObject *outbox)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    exchange x = {.in = {.stream = self->stream, .deadline = FKL_FOREVER}};
    if (take_outbox(state, outbox, &x) < 0) {
        return NULL;
    }
    fkl_err err = FKL_ETIMEDOUT;
    if (fkl_channel_len(core_stream_channel(self->stream)) > 0) {
        x.in.deadline = FKL_NO_WAIT;
        err = do_exchange(&x);
        x.in.deadline = FKL_FOREVER;
    }
    // Nothing there, or another one took it, or there is something to raise.
    if (err == FKL_ETIMEDOUT || err == FKL_EINTR || err == FKL_ESTOPPED) {
        x.in.looks = state->parallel;
        err = core_blocking(state, do_exchange, &x);
    }
    if (x.to != NULL) {
        transfer out = {.stream = x.to, .msg = x.msg};
        PyObject *raised = refuse(state, &out, x.sent);
        core_stream_release(x.to);
        return raised;
    }
    return received(state, err) ? core_decode(state, x.in.msg) : NULL;
}

PyDoc_STRVAR(channel_poll_doc, "poll(timeout=0.0)\n--\n\n"
                               "Whether an object is there, waiting for one up to timeout seconds\n"
                               "(None: for ever). True also when the channel is closed.");

static PyObject *channel_poll(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    transfer t = {.stream = self->stream, .deadline = FKL_NO_WAIT};
    if (check_arity("poll", nargs, 0, 1) < 0 ||
        (nargs > 0 && core_deadline(args[0], &t.deadline) < 0)) {
        return NULL;
    }
    if (fkl_channel_len(core_stream_channel(self->stream)) > 0) {
        Py_RETURN_TRUE;
    }
    fkl_err err = core_blocking(state, do_poll, &t);
    if (err == FKL_EINTR) {
        return NULL;
    }
    return PyBool_FromLong(err == FKL_OK);
}

PyDoc_STRVAR(channel_put_message_doc,
             "put_message(payload, msgpack=True)\n--\n\n"
             "Send bytes as they are: one msgpack value, or raw bytes. For peers written in C.");

static PyObject *channel_put_message(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    core_state *state = core_state_of_type(Py_TYPE(self));
    Py_buffer view;
    if (check_arity("put_message", nargs, 1, 2) < 0) {
        return NULL;
    }
    int msgpack = nargs > 1 ? PyObject_IsTrue(args[1]) : 1;
    if (msgpack < 0 || PyObject_GetBuffer(args[0], &view, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    fkl_msg *msg;
    fkl_err err = fkl_msg_create_copy(NULL, msgpack ? FKL_CODEC_MSGPACK : FKL_CODEC_RAW, view.buf,
                                      (size_t)view.len, &msg);
    PyBuffer_Release(&view);
    if (err == FKL_OK) {
        err = core_stream_try_send(self->stream, msg, (size_t)fkl_msg_len(msg));
        if (err != FKL_OK) {
            fkl_msg_destroy(msg);
        }
    }
    if (err == FKL_EFULL) {
        PyErr_SetNone(state->queue_full);
        return NULL;
    }
    if (err != FKL_OK) {
        return core_raise(state, err, "cannot send a message");
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(channel_close_doc, "close()\n--\n\n"
                                "Refuse further puts; what is in the channel can still be got.");

static PyObject *channel_close(channel_object *self, PyObject *unused)
{
    (void)unused;
    core_stream_close(self->stream);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(channel_refuse_doc,
             "refuse()\n--\n\n"
             "Nobody will get from it any more: drop what is there; puts raise BrokenPipeError.");

static PyObject *channel_refuse(channel_object *self, PyObject *unused)
{
    (void)unused;
    core_stream_refuse(self->stream);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(channel_share_doc, "share()\n--\n\n"
                                "From now on send what any interpreter can receive.");

static PyObject *channel_share(channel_object *self, PyObject *unused)
{
    (void)unused;
    core_stream_share(self->stream);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(channel_leave_doc,
             "leave(role)\n--\n\n"
             "No more receives (1) or sends (2) by one of those who may, the first of whom is the\n"
             "maker: as the last receiver it refuses, as the last sender it closes the channel.\n"
             "Counts once for each object.");

static PyObject *channel_leave(channel_object *self, PyObject *arg)
{
    long role = PyLong_AsLong(arg);
    if (role == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (role == CORE_READER || role == CORE_WRITER) {
        // Relaxed: it only keeps a second call from counting.
        if (!(atomic_fetch_or_explicit(&self->left, role, memory_order_relaxed) & role)) {
            core_stream_leave(self->stream, (core_role)role);
        }
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    channel_fileno_doc,
    "fileno(putting=False)\n--\n\n"
    "A file descriptor that is readable exactly while get() would not block, or the other\n"
    "end of it. Made at the first call; lives as long as the channel.");

static PyObject *channel_fileno(channel_object *self, PyObject *const *args, Py_ssize_t nargs)
{
    if (check_arity("fileno", nargs, 0, 1) < 0) {
        return NULL;
    }
    int putting = nargs > 0 ? PyObject_IsTrue(args[0]) : 0;
    if (putting < 0) {
        return NULL;
    }
    int fd;
    if (core_stream_descriptor(self->stream, putting, &fd) != FKL_OK) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLong(fd);
}

static PyObject *channel_closed(channel_object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(fkl_channel_is_closed(core_stream_channel(self->stream)));
}

static PyObject *channel_used(channel_object *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(core_stream_was_used(self->stream));
}

static PyObject *channel_capacity(channel_object *self, void *unused)
{
    (void)unused;
    return PyLong_FromSize_t(fkl_channel_capacity(core_stream_channel(self->stream)));
}

static Py_ssize_t channel_len(channel_object *self)
{
    return (Py_ssize_t)fkl_channel_len(core_stream_channel(self->stream));
}

#define METHOD(name) (PyCFunction)(void (*)(void)) channel_##name
static PyMethodDef channel_methods[] = {
    {"put", METHOD(put), METH_FASTCALL, channel_put_doc},
    {"put_ref", METHOD(put_ref), METH_FASTCALL, channel_put_ref_doc},
    {"get", METHOD(get), METH_FASTCALL, channel_get_doc},
    {"put_bytes", METHOD(put_bytes), METH_FASTCALL, channel_put_bytes_doc},
    {"get_bytes", METHOD(get_bytes), METH_FASTCALL, channel_get_bytes_doc},
    {"drain", (PyCFunction)channel_drain, METH_O, channel_drain_doc},
    {"get_after", (PyCFunction)channel_get_after, METH_O, channel_get_after_doc},
    {"poll", METHOD(poll), METH_FASTCALL, channel_poll_doc},
    {"put_message", METHOD(put_message), METH_FASTCALL, channel_put_message_doc},
    {"close", (PyCFunction)channel_close, METH_NOARGS, channel_close_doc},
    {"refuse", (PyCFunction)channel_refuse, METH_NOARGS, channel_refuse_doc},
    {"share", (PyCFunction)channel_share, METH_NOARGS, channel_share_doc},
    {"leave", (PyCFunction)channel_leave, METH_O, channel_leave_doc},
    {"fileno", METHOD(fileno), METH_FASTCALL, channel_fileno_doc},
    {"pair", (PyCFunction)channel_pair, METH_O | METH_CLASS, channel_pair_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef channel_getset[] = {
    {"closed", (getter)channel_closed, NULL, "Whether close() was called.", NULL},
    {"used", (getter)channel_used, NULL, "Whether anything was ever put.", NULL},
    {"capacity", (getter)channel_capacity, NULL, "The bound, 0 for none.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot channel_slots[] = {
    {Py_tp_doc,
     "Channel(capacity=0, limit=0)\n--\n\n"
     "A queue of objects between actors, that holds up to capacity of them, or takes none\n"
     "while limit bytes or more are there. 0: no bound."},
    {Py_tp_new, channel_new},
    {Py_tp_dealloc, channel_dealloc},
    {Py_tp_methods, channel_methods},
    {Py_tp_getset, channel_getset},
    {Py_sq_length, channel_len},
    {0, NULL},
};

static PyType_Spec channel_spec = {
    .name = "forkless._core.Channel",
    .basicsize = sizeof(channel_object),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = channel_slots,
};

int core_channel_init(PyObject *module, core_state *state)
{
    state->channel_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &channel_spec, NULL);
    return state->channel_type == NULL ? -1 : PyModule_AddType(module, state->channel_type);
}
