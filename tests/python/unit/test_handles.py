# SPDX-License-Identifier: Apache-2.0
"""Sockets, real connections and descriptors that cross between simulated processes."""

import array
import gc
import multiprocessing
import multiprocessing.connection
import os
import socket
from multiprocessing import reduction as mp_reduction

import pytest

from forkless import reduction

DEADLINE = 30


@pytest.fixture
def pair():
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def answer(conn):
    received = conn.recv()
    received.sendall(b"from the child")
    received.close()
    conn.send("done")


def test_a_socket_crosses_a_pipe_as_a_duplicate(context, pair):
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(there,))
    process.start()
    here.send(pair[0])
    assert here.poll(DEADLINE) and here.recv() == "done"
    assert pair[1].recv(100) == b"from the child"
    pair[0].sendall(b"still open")
    assert pair[1].recv(100) == b"still open"
    process.join(DEADLINE)


def test_a_socket_can_be_an_argument(context, pair):
    process = context.Process(target=pair_send, args=(pair[0],))
    process.start()
    process.join(DEADLINE)
    assert pair[1].recv(100) == b"argument"


def pair_send(end):
    end.sendall(b"argument")


def test_a_socket_that_nobody_receives_is_closed(context, pair):
    items = context.SimpleQueue()
    items.put(pair[0])
    pair[0].close()
    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)  # the duplicate is open
    del items
    gc.collect()
    assert pair[1].recv(1) == b""


def test_a_real_connection_crosses_as_a_duplicate(context, pair):
    real = multiprocessing.connection.Connection(pair[0].detach())
    items = context.Queue()
    items.put(real)
    real.close()
    received = items.get()
    assert type(received) is multiprocessing.connection.Connection
    received.send_bytes(b"x")
    assert pair[1].recv(100)[-1:] == b"x"
    received.close()


class Descriptor:
    """Knows no more than the standard library's DupFd()."""

    def __init__(self, fd):
        self.fd = fd

    def __reduce__(self):
        return rebuild_descriptor, (mp_reduction.DupFd(self.fd),)


def rebuild_descriptor(duplicate):
    return Descriptor(duplicate.detach())


def test_descriptors_cross_by_dup_fd(installed, pair):
    items = multiprocessing.get_context("fork").SimpleQueue()
    items.put(Descriptor(pair[0].fileno()))
    received = items.get()
    assert received.fd != pair[0].fileno()
    os.write(received.fd, b"written")
    os.close(received.fd)
    assert pair[1].recv(100) == b"written"


def test_dup_fd_detaches_once_and_closes_what_was_not_detached(pair):
    duplicate = reduction.DupFd(pair[0].fileno())
    fd = duplicate.detach()
    with pytest.raises(OSError, match="before"):
        duplicate.detach()
    os.close(fd)
    duplicate = reduction.DupFd(pair[0].fileno())
    fd = duplicate._fd
    del duplicate
    gc.collect()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(fd)


def receive_handle(conn):
    fd = mp_reduction.recv_handle(conn)
    os.write(fd, b"through a handle")
    os.close(fd)


def test_handles_are_sent_and_received(context, pair):
    here, there = context.Pipe()
    process = context.Process(target=receive_handle, args=(there,))
    process.start()
    mp_reduction.send_handle(here, pair[0].fileno(), process.pid)
    process.join(DEADLINE)
    assert process.exitcode == 0 and pair[1].recv(100) == b"through a handle"
    here.send(1)  # the pipe is as it was
    assert there.poll() and there.recv() == 1 and not there.poll()


class Registered:
    def __init__(self, value):
        self.value = value

    def __reduce__(self):
        raise TypeError("only by its reducer")


def reduce_registered(obj):
    return Registered, (obj.value + 1,)


def test_registered_reducers_count(context):
    mp_reduction.ForkingPickler.register(Registered, reduce_registered)
    try:
        items = context.SimpleQueue()
        items.put([Registered(1)])
        assert items.get()[0].value == 2
    finally:
        del mp_reduction.ForkingPickler._extra_reducers[Registered]


def test_a_nested_message_finds_what_it_carries(context):
    """Unpickling a message may receive another one."""
    outer, inner = context.SimpleQueue(), context.SimpleQueue()
    inner.put(array.array("i", [1]))
    Receiving.source = inner
    outer.put([array.array("i", [2]), Receiving(), array.array("i", [3])])
    first, between, last = outer.get()
    assert (first[0], between[0], last[0]) == (2, 1, 3)


class Receiving:
    source = None

    def __reduce__(self):
        return receive_from_source, ()


def receive_from_source():
    return Receiving.source.get()
