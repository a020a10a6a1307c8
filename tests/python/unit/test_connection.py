# SPDX-License-Identifier: Apache-2.0
"""forkless.connection: pipes between simulated processes, and waiting for them; listeners and clients."""

import array
import gc
import multiprocessing
import multiprocessing.connection
import os
import pickle
import select
import selectors
import socket
import threading
import time
from multiprocessing.connection import Client, Listener, wait

import pytest

from forkless import connection
from support.scripts import eventually

DEADLINE = 30


@pytest.fixture
def pipe(context):
    """Both ends of a duplex pipe."""
    ends = context.Pipe()
    yield ends
    for end in ends:
        end.close()


@pytest.fixture
def channel():
    """The reading and the writing end of a simplex pipe."""
    return connection.Pipe(False)


def receive(end):
    """What recv() gives, but not for ever."""
    assert end.poll(DEADLINE)
    return end.recv()


def is_readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


# Messages


def test_the_ends_are_connections(pipe):
    for end in pipe:
        assert type(end) is connection.Connection
        assert isinstance(end, multiprocessing.connection.Connection)
        assert end.readable and end.writable and not end.closed


def test_objects_cross_in_both_directions_and_in_order(pipe):
    a, b = pipe
    for i in range(100):
        a.send(i)
        b.send((i, [i]))
    assert [b.recv() for _ in range(100)] == list(range(100))
    assert [a.recv() for _ in range(100)] == [(i, [i]) for i in range(100)]


def test_an_object_is_copied_when_it_is_sent(pipe):
    a, b = pipe
    original = [1]
    a.send(original)
    original.append(2)
    assert b.recv() == [1]


def test_an_end_of_a_simplex_pipe_does_one_thing(context):
    reader, writer = context.Pipe(duplex=False)
    assert (reader.readable, reader.writable) == (True, False)
    assert (writer.readable, writer.writable) == (False, True)
    for refused in (writer.recv, writer.recv_bytes, writer.poll):
        with pytest.raises(OSError, match="write-only"):
            refused()
    for refused in (reader.send, reader.send_bytes):
        with pytest.raises(OSError, match="read-only"):
            refused(b"x")


def test_bytes_cross_as_messages(pipe):
    a, b = pipe
    for message in (b"", b"one", bytearray(b"two"), memoryview(b"three")[1:], b"x" * 100_000):
        a.send_bytes(message)
        received = b.recv_bytes()
        assert type(received) is bytes and received == bytes(message)
    a.send_bytes(array.array("i", [1, 2]))
    assert b.recv_bytes() == array.array("i", [1, 2]).tobytes()


def test_bytes_are_those_of_the_moment_when_they_were_sent(pipe):
    a, b = pipe
    buffer = bytearray(b"before")
    a.send_bytes(buffer)
    buffer[:] = b"after."
    assert b.recv_bytes() == b"before"


def test_send_bytes_takes_an_offset_and_a_size(pipe):
    a, b = pipe
    a.send_bytes(b"abcdef", 2)
    a.send_bytes(b"abcdef", 2, 3)
    a.send_bytes(b"abcdef", 6)
    assert [b.recv_bytes() for _ in range(3)] == [b"cdef", b"cde", b""]
    for offset, size in ((7, None), (-1, None), (2, -1), (4, 3)):
        with pytest.raises(ValueError, match=r"negative|buffer length"):
            a.send_bytes(b"abcdef", offset, size)


def test_bytes_are_received_into_a_buffer(pipe):
    a, b = pipe
    buffer = bytearray(8)
    a.send_bytes(b"abc")
    assert b.recv_bytes_into(buffer, 2) == 3
    assert buffer == b"\0\0abc\0\0\0"
    a.send_bytes(b"123456789")
    with pytest.raises(multiprocessing.BufferTooShort) as caught:
        b.recv_bytes_into(buffer)
    assert caught.value.args == (b"123456789",)
    with pytest.raises(ValueError, match="offset"):
        b.recv_bytes_into(buffer, -1)


def test_a_message_beyond_maxlength_ends_the_reading(pipe):
    a, b = pipe
    a.send_bytes(b"1234")
    assert b.recv_bytes(4) == b"1234"
    a.send_bytes(b"12345")
    with pytest.raises(OSError, match="bad message length"):
        b.recv_bytes(4)
    with pytest.raises(OSError, match="write-only"):
        b.recv_bytes()
    with pytest.raises(ValueError, match="negative"):
        a.recv_bytes(-1)
    b.send(1)
    assert a.recv() == 1


class Point:
    def __init__(self, x):
        self.x = x

    def __eq__(self, other):
        return self.x == other.x


@pytest.mark.parametrize("obj", [None, (1, "two"), Point(3)], ids=repr)
def test_an_object_can_be_received_as_its_pickle(pipe, obj):
    a, b = pipe
    a.send(obj)
    assert pickle.loads(b.recv_bytes()) == obj
    a.send_bytes(pickle.dumps(obj))
    assert b.recv() == obj


def test_what_cannot_be_pickled_raises_and_sends_nothing(pipe):
    a, b = pipe
    with pytest.raises(TypeError, match="pickle"):
        a.send(threading.Lock())
    assert not b.poll()


def test_poll_waits_up_to_the_timeout(pipe):
    a, b = pipe
    assert not b.poll() and not b.poll(0.01) and not b.poll(-1)
    threading.Timer(0.05, a.send, [1]).start()
    assert b.poll(None)
    assert b.recv() == 1


# The end of it


def test_messages_come_before_the_end(pipe):
    a, b = pipe
    a.send(1)
    a.close()
    assert b.poll() and b.recv() == 1
    assert b.poll()  # for the end
    for _ in range(2):
        with pytest.raises(EOFError):
            b.recv()
    with pytest.raises(EOFError):
        b.recv_bytes()


def test_a_send_to_nobody_is_a_broken_pipe(pipe):
    a, b = pipe
    b.close()
    with pytest.raises(BrokenPipeError):
        a.send(1)
    with pytest.raises(BrokenPipeError):
        a.send_bytes(b"x")


def test_a_closed_end_refuses_everything(pipe):
    end = pipe[0]
    end.close()
    end.close()
    assert end.closed and end._handle is None
    for refused in (end.recv, end.recv_bytes, end.poll, end.fileno, lambda: end.send(1)):
        with pytest.raises(OSError, match="handle is closed"):
            refused()


def test_the_end_of_a_with_block_closes(context):
    a, b = context.Pipe()
    with a, b:
        a.send(1)
    assert a.closed and b.closed


@pytest.mark.parametrize("duplex", [True, False])
def test_an_end_that_is_garbage_is_closed(context, duplex):
    reader, writer = context.Pipe(duplex)
    del writer
    gc.collect()
    with pytest.raises(EOFError):
        reader.recv()
    reader, writer = context.Pipe(duplex)
    del reader
    gc.collect()
    with pytest.raises(BrokenPipeError):
        writer.send(1)


def hold(end, ready):
    ready.set()
    time.sleep(600)


def end_by_itself(end):
    end.send("last")


def test_the_exit_of_the_last_writer_is_the_end(context):
    reader, writer = context.Pipe(False)
    process = context.Process(target=end_by_itself, args=(writer,))
    process.start()
    writer.close()
    assert receive(reader) == "last"
    assert reader.poll(DEADLINE)
    with pytest.raises(EOFError):
        reader.recv()
    process.join(DEADLINE)


def spin(end, ready):
    ready.set()
    while True:
        pass


@pytest.mark.parametrize("work", [hold, spin])
def test_the_end_of_a_killed_holder_is_closed_at_once(context, work):
    """Before it has been unwound: `spin` cannot be while this thread has the interpreter."""
    reader, writer = context.Pipe(False)
    ready = context.Event()
    process = context.Process(target=work, args=(writer, ready))
    process.start()
    writer.close()
    assert ready.wait(DEADLINE) and not reader.poll()
    process.kill()
    assert reader.poll()
    with pytest.raises(EOFError):
        reader.recv()
    process.join(DEADLINE)


def test_a_reader_that_is_killed_breaks_the_pipe(context):
    reader, writer = context.Pipe(False)
    ready = context.Event()
    process = context.Process(target=hold, args=(reader, ready))
    process.start()
    reader.close()
    assert ready.wait(DEADLINE)
    writer.send(1)
    process.kill()
    with pytest.raises(BrokenPipeError):
        writer.send(2)
    process.join(DEADLINE)


def exit_at_once(end):
    os._exit(3)


def test_os_exit_closes(context):
    reader, writer = context.Pipe(False)
    process = context.Process(target=exit_at_once, args=(writer,))
    process.start()
    writer.close()
    assert reader.poll(DEADLINE)
    with pytest.raises(EOFError):
        reader.recv()
    process.join(DEADLINE)
    assert process.exitcode == 3


# Ends that travel


def echo(end, other):
    other.close()  # a child of fork has it as well
    while True:
        try:
            message = end.recv()
        except EOFError:
            break
        end.send(message)


def test_a_child_gets_an_end_of_its_own(context):
    here, there = context.Pipe()
    process = context.Process(target=echo, args=(there, here))
    process.start()
    there.close()
    here.send("hello")
    assert receive(here) == "hello"
    here.close()
    process.join(DEADLINE)
    assert process.exitcode == 0


def test_an_end_can_be_sent(context):
    a, b = context.Pipe()
    reader, writer = context.Pipe(False)
    a.send({"end": writer})
    writer.close()
    assert not reader.poll()  # the one in the message is open
    received = b.recv()["end"]
    received.send("through both")
    assert reader.recv() == "through both"
    received.close()
    with pytest.raises(EOFError):
        reader.recv()


@pytest.mark.parametrize("how", ["SimpleQueue", "Queue"])
def test_an_end_crosses_in_a_queue(context, how):
    items = getattr(context, how)()
    reader, writer = context.Pipe(False)
    items.put(writer)
    del writer
    items.get().send(1)
    assert reader.recv() == 1
    with pytest.raises(EOFError):
        reader.recv()


def test_an_end_in_a_message_that_nobody_receives_goes_with_it(context):
    a, b = context.Pipe()
    reader, writer = context.Pipe(False)
    a.send(writer)
    writer.close()
    assert not reader.poll()
    b.close()
    assert reader.poll()
    with pytest.raises(EOFError):
        reader.recv()
    a.close()


def test_an_end_that_was_pickled_by_others_opens_once(channel):
    reader, writer = channel
    pickled = pickle.dumps(writer)
    writer.close()
    assert not reader.poll()
    again = pickle.loads(pickled)
    again.send(1)
    assert reader.recv() == 1
    with pytest.raises(pickle.UnpicklingError, match="another process"):
        pickle.loads(pickled)
    again.close()
    with pytest.raises(EOFError):
        reader.recv()


def test_a_closed_end_cannot_be_sent(context):
    a, b = context.Pipe()
    a.close()
    with pytest.raises(OSError, match="closed"):
        b.send(a)


ends = {}


def use_globals(ready, go):
    ends["reader"].close()  # concerns this process alone
    ready.set()
    go.wait(DEADLINE)
    ends["writer"].send("as if it had been forked")


def test_a_child_of_fork_has_what_its_parent_has_open(installed):
    context = multiprocessing.get_context("fork")
    ready, go = context.Event(), context.Event()
    ends["reader"], ends["writer"] = context.Pipe(False)
    process = context.Process(target=use_globals, args=(ready, go))
    process.start()
    assert ready.wait(DEADLINE) and not ends["reader"].closed
    ends["writer"].close()
    assert ends["writer"].closed and not ends["reader"].poll()  # the child holds it
    go.set()
    assert receive(ends["reader"]) == "as if it had been forked"
    assert ends["reader"].poll(DEADLINE)
    with pytest.raises(EOFError):
        ends["reader"].recv()
    process.join(DEADLINE)


def test_a_child_of_spawn_has_what_it_is_given_and_no_more(actors):
    ready, go = actors.Event(), actors.Event()
    ends["reader"], ends["writer"] = actors.Pipe(False)
    process = actors.Process(target=hold, args=(go, ready))
    process.start()
    assert ready.wait(DEADLINE)
    ends["writer"].close()
    with pytest.raises(EOFError):
        ends["reader"].recv()
    process.kill()
    process.join(DEADLINE)


def test_a_failed_start_closes_what_the_child_was_to_get(actors):
    reader, writer = actors.Pipe(False)
    with pytest.raises(TypeError, match="pickle"):
        actors.Process(target=hold, args=(writer, threading.Lock())).start()
    writer.close()
    gc.collect()
    with pytest.raises(EOFError):
        reader.recv()


# Back-pressure and termination


def flood(writer, sent):
    for _ in range(1000):
        writer.send_bytes(bytes(10_000))
        sent.release()


def test_a_sender_waits_while_the_pipe_is_full(context):
    reader, writer = context.Pipe(False)
    sent = context.Semaphore(0)
    process = context.Process(target=flood, args=(writer, sent))
    process.start()
    full = connection.LIMIT // 10_016 + 1
    assert eventually(lambda: sent.get_value() == full)
    for _ in range(1000):
        assert len(reader.recv_bytes()) == 10_000
    process.join(DEADLINE)
    assert process.exitcode == 0


def test_one_message_may_be_larger_than_the_pipe(pipe):
    a, b = pipe
    large = bytes(connection.LIMIT * 4)
    a.send(large)
    b.send(large)
    assert a.recv() == large and b.recv() == large


def test_many_senders_all_get_room(context):
    reader, writer = context.Pipe(False)
    sent = context.Semaphore(0)
    processes = [context.Process(target=flood, args=(writer, sent)) for _ in range(4)]
    for process in processes:
        process.start()
    for _ in range(4000):
        reader.recv_bytes()
    for process in processes:
        process.join(DEADLINE)
        assert process.exitcode == 0


def send_until_broken(writer, reader, results):
    reader.close()
    try:
        while True:
            writer.send_bytes(bytes(10_000))
    except BrokenPipeError:
        results.put("broken")


def test_the_last_reader_wakes_a_sender_that_waits(context):
    reader, writer = context.Pipe(False)
    results = context.Queue()
    process = context.Process(target=send_until_broken, args=(writer, reader, results))
    process.start()
    assert eventually(lambda: len(reader._incoming.channel) > connection.LIMIT // 10_016)
    reader.close()
    assert results.get(timeout=DEADLINE) == "broken"
    process.join(DEADLINE)


def block_in_recv(end, ready):
    ready.set()
    end.recv()


def block_in_poll(end, ready):
    ready.set()
    end.poll(None)


def block_in_send(end, ready):
    ready.set()
    while True:
        end.send_bytes(bytes(10_000))


@pytest.mark.parametrize("work", [block_in_recv, block_in_poll, block_in_send])
def test_a_process_that_waits_on_a_pipe_can_be_terminated(context, work):
    here, there = context.Pipe()
    ready = context.Event()
    process = context.Process(target=work, args=(there, ready))
    process.start()
    there.close()
    assert ready.wait(DEADLINE)
    process.terminate()
    process.join(DEADLINE)
    assert process.exitcode == -15
    if work is not block_in_send:
        with pytest.raises(EOFError):
            here.recv()


# Descriptors


@pytest.mark.parametrize("duplex", [True, False])
def test_the_descriptor_is_readable_while_something_is_there(context, duplex):
    reader, writer = context.Pipe(duplex)
    writer.send(0)
    fd = reader.fileno()
    assert fd == reader.fileno() and is_readable(fd)
    reader.recv()
    assert not is_readable(fd)
    for i in range(3):
        writer.send(i)
    for i in range(3):
        assert is_readable(fd) and reader.recv() == i
    assert not is_readable(fd)
    writer.send_bytes(b"")
    assert is_readable(fd) and reader.recv_bytes() == b"" and not is_readable(fd)
    writer.close()
    assert is_readable(fd)
    with pytest.raises(EOFError):
        reader.recv()
    assert is_readable(fd)


def test_both_ends_of_a_pipe_have_descriptors(pipe):
    a, b = pipe
    one, two = a.fileno(), b.fileno()
    assert one != two
    a.send(1)
    assert not is_readable(one) and is_readable(two)
    b.send(2)
    assert is_readable(one) and is_readable(two)
    assert (b.recv(), a.recv()) == (1, 2)
    assert not is_readable(one) and not is_readable(two)


def test_descriptors_go_with_the_pipe(context):
    def descriptors():
        return len(os.listdir("/dev/fd"))

    before = descriptors()
    a, b = context.Pipe()
    fds = [a.fileno(), b.fileno()]
    assert descriptors() == before + 2 and len(set(fds)) == 2
    del a, b
    gc.collect()
    assert descriptors() == before


def send_numbers(writer, name, count):
    for i in range(count):
        writer.send((name, i))


def test_no_wake_up_of_a_selector_is_lost(context):
    """Each message is awaited with poll(2), so one that did not make the descriptor readable would be
    waited for in vain."""
    count, each = 3, 300
    readers = []
    processes = []
    with selectors.DefaultSelector() as selector:
        for name in range(count):
            reader, writer = context.Pipe(False)
            processes.append(context.Process(target=send_numbers, args=(writer, name, each)))
            processes[-1].start()
            writer.close()
            readers.append(reader)
            selector.register(reader, selectors.EVENT_READ)
        got = []
        while selector.get_map():
            ready = selector.select(DEADLINE)
            assert ready
            for key, _ in ready:
                try:
                    got.append(key.fileobj.recv())
                except EOFError:
                    selector.unregister(key.fileobj)
    for process in processes:
        process.join(DEADLINE)
    assert sorted(got) == [(n, i) for n in range(count) for i in range(each)]


def test_wait_finds_what_is_ready_among_pipes_sockets_and_processes(context):
    a, b = context.Pipe()
    one, two = socket.socketpair()
    go = context.Event()
    process = context.Process(target=go.wait, args=(DEADLINE,))
    process.start()
    assert wait([a, one, process.sentinel], 0) == []
    b.send(1)
    assert wait([a, one, process.sentinel], DEADLINE) == [a]
    two.send(b"x")
    assert wait([a, one], DEADLINE) == [a, one]
    go.set()
    process.join(DEADLINE)
    assert eventually(lambda: wait([a, process.sentinel], 0) == [a, process.sentinel])
    for end in (a, b, one, two):
        end.close()


# Sockets


def client(address, key, results):
    with Client(address, authkey=key) as conn:
        conn.send(["hello", os.getpid()])
        results.put(conn.recv())


@pytest.mark.parametrize("family", multiprocessing.connection.families)
def test_listeners_and_clients_meet_between_processes(context, family):
    results = context.Queue()
    with Listener(family=family, authkey=b"secret") as listener:
        process = context.Process(target=client, args=(listener.address, b"secret", results))
        process.start()
        with listener.accept() as conn:
            assert conn.recv() == ["hello", process.pid]
            conn.send({"and": "back"})
        assert results.get(timeout=DEADLINE) == {"and": "back"}
    process.join(DEADLINE)


def fail_to_authenticate(address, results):
    try:
        Client(address, authkey=b"wrong")
    except multiprocessing.AuthenticationError:
        results.put("refused")


def test_a_wrong_key_is_refused(context):
    results = context.Queue()
    with Listener(authkey=b"secret") as listener:
        process = context.Process(target=fail_to_authenticate, args=(listener.address, results))
        process.start()
        with pytest.raises(multiprocessing.AuthenticationError):
            listener.accept()
    assert results.get(timeout=DEADLINE) == "refused"
    process.join(DEADLINE)


@pytest.mark.needs_processes("starts a program without forkless")
def test_a_real_process_is_a_client(scripts):
    lines = scripts.check(
        """
import subprocess, sys, forkless
from multiprocessing.connection import Listener
forkless.install()
with Listener(("127.0.0.1", 0), authkey=b"k") as listener:
    other = subprocess.Popen([sys.executable, "-c", f'''
from multiprocessing.connection import Client
with Client({listener.address!r}, authkey=b"k") as conn:
    conn.send(conn.recv() + 1)
'''])
    with listener.accept() as conn:
        conn.send(41)
        print(conn.recv())
    print(other.wait())
"""
    )
    assert lines == ["42", "0"]


# Where pipes come from


def test_install_makes_the_pipes_of_the_module(installed):
    for make in (multiprocessing.Pipe, multiprocessing.connection.Pipe):
        assert isinstance(make()[0], connection.Connection)
        reader = make(duplex=False)[0]
        assert isinstance(reader, connection.Connection) and not reader.writable


def test_pipes_are_real_again_after_uninstall():
    kept = multiprocessing.connection.Pipe
    import forkless

    forkless.install()
    assert isinstance(kept()[0], connection.Connection)
    forkless.uninstall()
    ends = kept()
    assert type(ends[0]) is multiprocessing.connection.Connection
    for end in ends:
        end.close()


def test_ends_are_closed_while_children_come_and_go(installed):
    """A process that closes an end looks which of its children have it still."""
    context, done, failed = multiprocessing.get_context("fork"), threading.Event(), []

    def close():
        try:
            while not done.is_set():
                for end in context.Pipe():
                    end.close()
        except RuntimeError as error:
            failed.append(error)

    threads = [threading.Thread(target=close) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(15):
        processes = [context.Process(target=len, args=((),)) for _ in range(10)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(DEADLINE)
    done.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert failed == []
