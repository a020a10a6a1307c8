// SPDX-License-Identifier: Apache-2.0
//
// Waiting for descriptors in an actor. Nothing interrupts a thread that is inside read(2), so an
// actor's thread waits in poll(2), for the descriptor and for its bell: a pipe that whoever throws
// something at the actor writes to. Then it reads in a way that does not block, where the system
// has one. A bell is made when a thread first has to wait, and a descriptor that is ready costs one
// more system call.

#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

// Bells

void core_bell_init(core_bell *bell)
{
    bell->read_end = bell->write_end = -1;
}

void core_bell_fini(core_bell *bell)
{
    if (bell->read_end >= 0) {
        close(bell->read_end);
        close(bell->write_end);
    }
    core_bell_init(bell);
}

static bool configure(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

int core_bell_make(core_bell *bell)
{
    if (bell->read_end >= 0) {
        return bell->read_end;
    }
    int ends[2];
    if (pipe(ends) < 0) {
        return -1;
    }
    if (!configure(ends[0]) || !configure(ends[1])) {
        int number = errno;
        close(ends[0]);
        close(ends[1]);
        errno = number;
        return -1;
    }
    bell->read_end = ends[0];
    // The lock that is held here is held for a ring, too: either the bell is rung, or what it would
    // be rung for is seen by who looks for it after this.
    bell->write_end = ends[1];
    return bell->read_end;
}

void core_bell_ring(const core_bell *bell)
{
    if (bell->write_end >= 0) {
        int before = errno;
        (void)!write(bell->write_end, "", 1); // full: it rings already
        errno = before;
    }
}

void core_bell_silence(const core_bell *bell)
{
    char bytes[64];
    while (read(bell->read_end, bytes, sizeof bytes) == (ssize_t)sizeof bytes) {
    }
}

// Waiting

static int milliseconds_until(fkl_time deadline)
{
    if (deadline == FKL_FOREVER) {
        return -1;
    }
    int64_t left = deadline - fkl_now();
    int64_t rounded_up = left <= 0 ? 0 : (left + 999999) / 1000000;
    return rounded_up > INT_MAX ? INT_MAX : (int)rounded_up;
}

// Waits for `count` descriptors; `fds` has room for one more. Returns how many are ready, 0 at the
// deadline, -1 with an exception set.
static int wait_for(core_state *state, struct pollfd *fds, nfds_t count, fkl_time deadline)
{
    int ready = poll(fds, count, 0);
    if (ready != 0 || deadline == FKL_NO_WAIT) {
        return ready < 0 ? (PyErr_SetFromErrno(PyExc_OSError), -1) : ready;
    }
    int bell = core_thread_bell(state); // -1 without an error outside of actors
    if (bell < 0 && PyErr_Occurred()) {
        return -1;
    }
    fds[count] = (struct pollfd){.fd = bell, .events = POLLIN};
    for (;;) {
        if (core_check_thrown(state) < 0) { // after the bell was made, or silenced
            return -1;
        }
        int number;
        Py_BEGIN_ALLOW_THREADS
        ready = poll(fds, count + 1, milliseconds_until(deadline));
        number = errno;
        Py_END_ALLOW_THREADS
        if (ready < 0 && number != EINTR) {
            errno = number;
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        if (ready < 0 && PyErr_CheckSignals() < 0) {
            return -1;
        }
        bool rung = ready > 0 && fds[count].revents != 0;
        if (rung) {
            core_thread_bell_heard(state);
            ready--;
        }
        if (ready > 0) {
            return rung && core_check_thrown(state) < 0 ? -1 : ready;
        }
        if (!rung && milliseconds_until(deadline) == 0) {
            return 0;
        }
    }
}

// 1: ready, 0: not, and the descriptor is one that does not wait, -1: an exception is set.
static int wait_until_ready(core_state *state, int fd, short events)
{
    struct pollfd fds[2] = {{.fd = fd, .events = events}};
    int ready = wait_for(state, fds, 1, FKL_NO_WAIT);
    if (ready != 0) {
        return ready;
    }
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK)) {
        return 0;
    }
    return wait_for(state, fds, 1, FKL_FOREVER);
}

static PyObject *descriptors_wait(PyObject *module, PyObject *args)
{
    int fd, events;
    PyObject *timeout = Py_None;
    fkl_time deadline;
    if (!PyArg_ParseTuple(args, "ii|O:wait_descriptor", &fd, &events, &timeout) ||
        core_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    struct pollfd fds[2] = {{.fd = fd, .events = (short)events}};
    int ready = wait_for(core_state_of(module), fds, 1, deadline);
    return ready < 0 ? NULL : PyLong_FromLong(ready == 0 ? 0 : fds[0].revents);
}

static int fill(struct pollfd *fds, PyObject *descriptors)
{
    PyObject *key, *value;
    Py_ssize_t at = 0;
    for (struct pollfd *next = fds; PyDict_Next(descriptors, &at, &key, &value); next++) {
        int fd = PyObject_AsFileDescriptor(key);
        long events = fd < 0 ? -1 : PyLong_AsLong(value);
        if (PyErr_Occurred()) {
            return -1;
        }
        *next = (struct pollfd){.fd = fd, .events = (short)events};
    }
    return 0;
}

static PyObject *ready_of(const struct pollfd *fds, Py_ssize_t count)
{
    PyObject *ready = PyDict_New();
    for (Py_ssize_t i = 0; ready != NULL && i < count; i++) {
        if (fds[i].revents != 0) {
            PyObject *fd = PyLong_FromLong(fds[i].fd);
            PyObject *events = PyLong_FromLong(fds[i].revents);
            if (fd == NULL || events == NULL || PyDict_SetItem(ready, fd, events) < 0) {
                Py_CLEAR(ready);
            }
            Py_XDECREF(fd);
            Py_XDECREF(events);
        }
    }
    return ready;
}

static PyObject *descriptors_poll(PyObject *module, PyObject *args)
{
    PyObject *descriptors, *timeout = Py_None;
    fkl_time deadline;
    if (!PyArg_ParseTuple(args, "O!|O:poll_descriptors", &PyDict_Type, &descriptors, &timeout) ||
        core_deadline(timeout, &deadline) < 0) {
        return NULL;
    }
    Py_ssize_t count = PyDict_Size(descriptors);
    struct pollfd *fds = PyMem_Calloc((size_t)count + 1, sizeof *fds);
    if (fds == NULL) {
        return PyErr_NoMemory();
    }
    PyObject *ready = NULL;
    if (fill(fds, descriptors) == 0 &&
        wait_for(core_state_of(module), fds, (nfds_t)count, deadline) >= 0) {
        ready = ready_of(fds, count);
    }
    PyMem_Free(fds);
    return ready;
}

// Reading and writing

// Whether waiting in poll(2) says anything about it: files of a disk are always ready.
static bool is_waitable(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode) || S_ISCHR(status.st_mode));
}

static bool is_pipe(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode);
}

#ifdef RWF_NOWAIT
static bool is_unsupported(int number)
{
    return number == EOPNOTSUPP || number == EINVAL || number == ENOSYS || number == ESPIPE;
}
#endif

// What poll(2) has seen may be gone, taken by another reader: read without waiting where the system
// can. Where it cannot, the thread then waits for the next bytes, and is an orphan if it is ended.
static ssize_t read_ready(int fd, void *bytes, size_t len)
{
#ifdef RWF_NOWAIT
    struct iovec piece = {.iov_base = bytes, .iov_len = len};
    ssize_t got = preadv2(fd, &piece, 1, -1, RWF_NOWAIT);
    if (got >= 0 || !(is_unsupported(errno) || (errno == EAGAIN && !is_waitable(fd)))) {
        return got;
    }
#endif
    return read(fd, bytes, len);
}

// A pipe that is ready for writing has room for PIPE_BUF bytes.
static ssize_t write_ready(int fd, const void *bytes, size_t len)
{
#ifdef RWF_NOWAIT
    struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
    ssize_t put = pwritev2(fd, &piece, 1, -1, RWF_NOWAIT);
    if (put >= 0 || !(is_unsupported(errno) || (errno == EAGAIN && !is_waitable(fd)))) {
        return put;
    }
#endif
    return write(fd, bytes, len > PIPE_BUF && is_pipe(fd) ? PIPE_BUF : len);
}

typedef struct {
    int fd;
    short events;
    char *bytes;
    size_t len;
} transfer;

// One read or write that moves at least a byte, fails, or finds the end. Sets no exception for an
// error of the system: then it returns -1 with `*number` set to errno, and -2 for other exceptions.
static ssize_t move_some(core_state *state, const transfer *t, int *number)
{
    for (;;) {
        int ready = wait_until_ready(state, t->fd, t->events);
        if (ready < 0) {
            return -2;
        }
        ssize_t moved;
        Py_BEGIN_ALLOW_THREADS
        if (t->events == POLLIN) {
            moved = ready ? read_ready(t->fd, t->bytes, t->len) : read(t->fd, t->bytes, t->len);
        } else {
            moved = ready ? write_ready(t->fd, t->bytes, t->len) : write(t->fd, t->bytes, t->len);
        }
        *number = errno;
        Py_END_ALLOW_THREADS
        bool again = moved < 0 && (*number == EINTR || (ready && *number == EAGAIN));
        if (again && PyErr_CheckSignals() < 0) {
            return -2;
        }
        int flags = again && ready ? fcntl(t->fd, F_GETFL) : -1;
        if (!again || (flags >= 0 && (flags & O_NONBLOCK) && *number == EAGAIN)) {
            return moved;
        }
    }
}

static PyObject *raise_number(int number)
{
    errno = number;
    return PyErr_SetFromErrno(PyExc_OSError);
}

static PyObject *descriptors_read(PyObject *module, PyObject *args)
{
    int fd, number;
    Py_ssize_t len;
    if (!PyArg_ParseTuple(args, "in:read", &fd, &len)) {
        return NULL;
    }
    if (len < 0) {
        return raise_number(EINVAL);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, len);
    if (bytes == NULL) {
        return NULL;
    }
    transfer t = {fd, POLLIN, PyBytes_AS_STRING(bytes), (size_t)len};
    ssize_t got = move_some(core_state_of(module), &t, &number);
    if (got < 0) {
        Py_DECREF(bytes);
        return got == -1 ? raise_number(number) : NULL;
    }
    if (got != len) {
        _PyBytes_Resize(&bytes, got);
    }
    return bytes;
}

static PyObject *descriptors_read_into(PyObject *module, PyObject *args)
{
    int fd, number;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "iw*:read_into", &fd, &view)) {
        return NULL;
    }
    transfer t = {fd, POLLIN, view.buf, (size_t)view.len};
    ssize_t got = move_some(core_state_of(module), &t, &number);
    PyBuffer_Release(&view);
    if (got < 0) {
        return got == -1 ? raise_number(number) : NULL;
    }
    return PyLong_FromSsize_t(got);
}

// As the kernel does it for a descriptor that waits: until all of it is written.
static PyObject *descriptors_write(PyObject *module, PyObject *args)
{
    int fd, number = 0;
    Py_buffer view;
    if (!PyArg_ParseTuple(args, "iy*:write", &fd, &view)) {
        return NULL;
    }
    size_t done = 0, len = (size_t)view.len;
    ssize_t put;
    do {
        transfer t = {fd, POLLOUT, (char *)view.buf + done, len - done};
        put = move_some(core_state_of(module), &t, &number);
        done += put > 0 ? (size_t)put : 0;
    } while (put > 0 && done < len);
    PyBuffer_Release(&view);
    if (put == -2 || (put == -1 && done == 0)) {
        return put == -1 ? raise_number(number) : NULL;
    }
    return PyLong_FromSize_t(done);
}

PyDoc_STRVAR(
    wait_doc,
    "wait_descriptor(fd, events, timeout=None)\n--\n\n"
    "poll(2) for one descriptor, up to timeout seconds: what it is ready for, 0 after the\n"
    "timeout. Ends with what is thrown at the actor, also in its further threads.");

PyDoc_STRVAR(poll_doc, "poll_descriptors(descriptors, timeout=None)\n--\n\n"
                       "The same for a dict of descriptor -> events; returns a dict of those that\n"
                       "are ready.");

PyDoc_STRVAR(read_doc, "read(fd, n)\n--\n\n"
                       "os.read(), with a wait that ends as wait_descriptor() does.");

PyDoc_STRVAR(read_into_doc, "read_into(fd, buffer)\n--\n\n"
                            "The same into a buffer; returns how many bytes.");

PyDoc_STRVAR(write_doc, "write(fd, data)\n--\n\n"
                        "os.write(), with waits that end as wait_descriptor() does.");

static PyMethodDef descriptors_methods[] = {
    {"wait_descriptor", descriptors_wait, METH_VARARGS, wait_doc},
    {"poll_descriptors", descriptors_poll, METH_VARARGS, poll_doc},
    {"read", descriptors_read, METH_VARARGS, read_doc},
    {"read_into", descriptors_read_into, METH_VARARGS, read_into_doc},
    {"write", descriptors_write, METH_VARARGS, write_doc},
    {NULL, NULL, 0, NULL},
};

int core_descriptors_init(PyObject *module)
{
    return PyModule_AddFunctions(module, descriptors_methods);
}
