# SPDX-License-Identifier: Apache-2.0
"""Waits of actors for descriptors, children and locks of threads: they end with the process, and with
what a signal handler raises."""

import errno
import fcntl
import multiprocessing
import multiprocessing.connection
import os
import queue
import select
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from forkless import _core
from support.scripts import eventually

KEPT = []  # other ends of pipes that would be closed otherwise
OF_MAIN = threading.Event()


def pipe():
    read, write = os.pipe()
    KEPT.extend((os.fdopen(read, "rb", 0), os.fdopen(write, "wb", 0)))
    return read, write


def pair():
    ends = socket.socketpair()
    KEPT.extend(ends)
    return ends[0]


def fill(sock):
    sock.setblocking(False)
    try:
        while True:
            sock.send(b"x" * 65536)
    except BlockingIOError:
        sock.setblocking(True)
    return sock


def child(**options):
    program = "import time; time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-S", "-c", program], **options)
    KEPT.append(process)
    return process


def timed(sock):
    sock.settimeout(60)
    return sock


def selector(cls):
    chosen = cls()
    chosen.register(pair(), selectors.EVENT_READ)
    return chosen


def registered(poll):
    poll.register(pair(), select.POLLIN)
    return poll


def datagram():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def connect_to_a_full_unix_listener():
    listener = multiprocessing.connection.Listener()
    KEPT.append(listener)
    while True:
        KEPT.append(socket.socket(socket.AF_UNIX))
        KEPT[-1].connect(listener.address)


def connect_to_a_full_listener():
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    KEPT.append(listener)
    while True:
        KEPT.append(socket.create_connection(listener.getsockname()))


def read_line_of_a_file_of_a_socket():
    pair().makefile().readline()


def read_stdin():
    sys.stdin = open(pipe()[0], closefd=False)
    input()


def read_redirected_stdin():
    os.dup2(pipe()[0], 0)
    input()


def flock():
    file = tempfile.NamedTemporaryFile()
    KEPT.append(file)
    fcntl.flock(file, fcntl.LOCK_EX)
    with open(file.name) as other:
        fcntl.flock(other, fcntl.LOCK_EX)


def lock_twice():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def lock_with_a_timeout():
    lock = threading.Lock()
    with lock:
        lock.acquire(timeout=60)


def take_a_recursive_lock():
    lock = threading.RLock()
    threading.Thread(target=lambda: (lock.acquire(), time.sleep(60)), daemon=True).start()
    eventually(lambda: not lock.acquire(False) or lock.release())
    lock.acquire()


def condition():
    condition = threading.Condition()
    with condition:
        condition.wait()


def join_a_thread():
    thread = threading.Thread(target=lambda: os.read(pipe()[0], 1), daemon=True)
    thread.start()
    thread.join()


def connection_end():
    """Of sockets: a Pipe() between simulated processes has no descriptor to wait for."""
    end = multiprocessing.connection.Connection(pair().detach())
    KEPT.append(end)
    return end


def pipe_end():
    ends = multiprocessing.Pipe()
    KEPT.extend(ends)
    return ends[0]


WAYS = {
    "read": lambda: os.read(pipe()[0], 1),
    "readv": lambda: os.readv(pipe()[0], [bytearray(1)]),
    "write": lambda: os.write(pipe()[1], b"x" * 1_000_000),
    "recv": lambda: pair().recv(1),
    "recv with a timeout": lambda: timed(pair()).recv(1),
    "recv all": lambda: pair().recv(1, socket.MSG_WAITALL),
    "recv_into": lambda: pair().recv_into(bytearray(1)),
    "recvfrom": lambda: datagram().recvfrom(1),
    "recvmsg": lambda: pair().recvmsg(1),
    "accept": lambda: socket.create_server(("127.0.0.1", 0)).accept(),
    "send": lambda: fill(pair()).send(b"x"),
    "sendall": lambda: pair().sendall(b"x" * 10_000_000),
    "sendall with a timeout": lambda: timed(pair()).sendall(b"x" * 10_000_000),
    "sendmsg": lambda: fill(pair()).sendmsg([b"x"]),
    "connect": connect_to_a_full_listener,
    "connect, Unix": connect_to_a_full_unix_listener,
    "makefile": read_line_of_a_file_of_a_socket,
    "select": lambda: select.select([pair()], [], []),
    "poll": lambda: registered(select.poll()).poll(),
    "epoll": lambda: registered(select.epoll()).poll(60),
    "DefaultSelector": lambda: selector(selectors.DefaultSelector).select(),
    "PollSelector": lambda: selector(selectors.PollSelector).select(60),
    "SelectSelector": lambda: selector(selectors.SelectSelector).select(),
    "Connection.recv": lambda: connection_end().recv(),
    "Connection.send": lambda: connection_end().send_bytes(b"x" * 10_000_000),
    "Connection.poll": lambda: connection_end().poll(60),
    "Pipe": lambda: pipe_end().recv(),
    "connection.wait, Pipe": lambda: multiprocessing.connection.wait([pipe_end()]),
    "connection.wait": lambda: multiprocessing.connection.wait([connection_end()]),
    "Listener.accept": lambda: multiprocessing.connection.Listener().accept(),
    "file of a pipe": lambda: os.fdopen(pipe()[0], "rb", closefd=False).read(),
    "input": read_stdin,
    "input, redirected": read_redirected_stdin,
    "flock": flock,
    "Popen.wait": lambda: child().wait(),
    "Popen.wait with a timeout": lambda: child().wait(60),
    "Popen.communicate": lambda: child(stdout=-1).stdout.read(),
    "Popen.communicate, two pipes": lambda: child(stdout=-1, stderr=-1).communicate(),
    "waitpid": lambda: os.waitpid(child().pid, 0),
    "Lock": lock_twice,
    "Lock with a timeout": lock_with_a_timeout,
    "RLock": take_a_recursive_lock,
    "Condition": condition,
    "Event": lambda: threading.Event().wait(),
    "Event of the real process": lambda: OF_MAIN.wait(60),
    "Semaphore": lambda: threading.Semaphore(0).acquire(),
    "Barrier": lambda: threading.Barrier(2).wait(),
    "Thread.join": join_a_thread,
    "queue.Queue": lambda: queue.Queue().get(),
    "queue.SimpleQueue": lambda: queue.SimpleQueue().get(),
}
for name in ("epoll",):
    if not hasattr(select, name):
        del WAYS[name]


class Stop(Exception):
    pass


def stop(signum, frame):
    raise Stop


EACH_WAY = [
    pytest.param(way, marks=pytest.mark.needs_processes("waits for a program"))
    if way.startswith(("Popen", "waitpid"))
    else way
    for way in WAYS
]

UNWOUND = []  # processes share the globals of modules; one that was ended can send nothing


def run(way, ready, ended):
    signal.signal(signal.SIGUSR1, stop)
    try:
        ready.release()
        WAYS[way]()
    except Stop:
        ended.put("stopped")
    finally:
        UNWOUND.append(way)


@pytest.fixture(autouse=True)
def nothing_kept():
    UNWOUND.clear()
    yield
    while KEPT:
        kept = KEPT.pop()
        if isinstance(kept, subprocess.Popen):
            kept.kill()
            kept.wait()
            for stream in (kept.stdout, kept.stderr):
                if stream is not None:
                    stream.close()
        else:
            kept.close()


def state_of(thread):
    with open(f"/proc/self/task/{thread}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def start(actors, way):
    ready, ended = actors.Semaphore(0), actors.SimpleQueue()
    process = actors.Process(target=run, args=(way, ready, ended))
    process.start()
    assert ready.acquire(timeout=30)
    native = process._popen._actor.native_id
    for _ in range(3):  # asleep, and not for a moment
        assert eventually(lambda: state_of(native) == "S")
    return process, ended


@pytest.mark.parametrize("way", EACH_WAY)
def test_a_wait_ends_with_the_process(actors, way):
    process, _ = start(actors, way)
    assert process.is_alive()
    process.terminate()
    assert process.exitcode == -signal.SIGTERM
    assert eventually(lambda: _core.counters()["orphans"] == 0)
    assert [way] == UNWOUND


@pytest.mark.parametrize("way", EACH_WAY)
def test_what_a_signal_handler_raises_ends_a_wait(actors, way):
    process, ended = start(actors, way)
    os.kill(process.pid, signal.SIGUSR1)
    process.join(30)
    assert process.exitcode == 0
    assert ended.get() == "stopped"
    assert [way] == UNWOUND


# What else is as it was


@pytest.fixture
def inside(actors):
    """Calls a function in an actor; what it returned."""

    def call(function, *args):
        answers = actors.SimpleQueue()
        process = actors.Process(target=answer, args=(function, args, answers))
        process.start()
        process.join(60)
        assert process.exitcode == 0
        return answers.get()

    return call


def answer(function, args, answers):
    answers.put(function(*args))


def raised(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return type(error), getattr(error, "errno", None)


def do_not_wait():
    read, write = pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    sock = pair()
    sock.setblocking(False)
    filled = os.write(write, b"x" * 1_000_000)
    file = os.fdopen(pipe()[0], "rb", 0, closefd=False)
    os.set_blocking(file.fileno(), False)
    return [
        raised(os.read, pipe_of_nothing(), 1),
        raised(sock.recv, 1),
        raised(pair().recv, 1, socket.MSG_DONTWAIT),
        raised(os.write, write, b"x"),
        0 < filled < 1_000_000,
        file.read(1),
        raised(timed_for(pair(), 0.01).recv, 1),
        raised(timed_for(pair(), 0.01).sendall, b"x" * 10_000_000),
        raised(os.read, 10**6, 1),
        raised(socket.socket().connect, ("127.0.0.1", closed_port())),
        socket.socket().connect_ex(("127.0.0.1", closed_port())),
        raised(closed(pair()).recv, 1),
    ]


def pipe_of_nothing():
    read, _ = pipe()
    os.set_blocking(read, False)
    return read


def timed_for(sock, seconds):
    sock.settimeout(seconds)
    return sock


def closed(sock):
    sock.close()
    return sock


def closed_port():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


def test_what_does_not_wait_outside_of_actors_does_not_wait_in_them(inside):
    blocked = (BlockingIOError, errno.EAGAIN)
    assert inside(do_not_wait) == [
        blocked,
        blocked,
        blocked,
        blocked,
        True,
        None,
        (TimeoutError, None),
        (TimeoutError, None),
        (OSError, errno.EBADF),
        (ConnectionRefusedError, errno.ECONNREFUSED),
        errno.ECONNREFUSED,
        (OSError, errno.EBADF),
    ]


def transfer(size):
    read, write = pipe()
    one, other = socket.socketpair()
    data = os.urandom(size)
    received = []

    def drain():
        parts = []
        while sum(map(len, parts)) < size:
            parts.append(os.read(read, 100_000))
        received.append(b"".join(parts))
        received.append(other.recv(size, socket.MSG_WAITALL))
        buffer = bytearray(size)
        received.append(buffer[: other.recv_into(buffer, size, socket.MSG_WAITALL)])
        received.append(other.makefile("rb").readline())

    reader = threading.Thread(target=drain)
    reader.start()
    counts = os.write(write, data), one.send(data), one.sendall(data), one.send(b"line\nrest")
    reader.join()
    peeked = (one.send(b"abc"), other.recv(2, socket.MSG_PEEK), other.recv(9))
    return counts, [part in (data, b"line\n") for part in received], peeked[1:]


def test_transfers_are_whole(inside):
    size = 700_000
    assert inside(transfer, size) == ((size, size, None, 9), [True] * 4, (b"ab", b"abc"))


def look_around():
    one, other = socket.socketpair()
    read, write = os.pipe()
    other.send(b"x")
    os.close(write)
    poll = select.poll()
    poll.register(one, select.POLLIN)
    poll.register(read, select.POLLIN)
    found = [
        select.select([one, read], [one], [one], 5) == ([one, read], [one], []),
        select.select([], [], [read], 0.01),
        select.select([], [], [], 0),
        raised(select.select, [10**6], [], []),
        raised(select.select, [-1], [], [])[0],
        raised(select.select, [one], [], [], -1)[0],
        sorted(poll.poll()) == sorted([(one.fileno(), select.POLLIN), (read, select.POLLHUP)]),
        raised(poll.modify, 10**6, 1),
        raised(poll.unregister, 10**6)[0],
        [key.fd for key, _ in selector_of(one).select(5)] == [one.fileno()],
        selector(selectors.DefaultSelector).select(0.01),
    ]
    os.close(read)
    return found


def selector_of(sock):
    chosen = selectors.DefaultSelector()
    chosen.register(sock, selectors.EVENT_READ)
    return chosen


def test_select_and_poll_find_in_actors_what_they_find_elsewhere(inside):
    expected = [
        True,
        ([], [], []),
        ([], [], []),
        (OSError, errno.EBADF),
        ValueError,
        ValueError,
        True,
        (FileNotFoundError, errno.ENOENT),
        KeyError,
        True,
        [],
    ]
    assert inside(look_around) == expected


def serve(listener, ready):
    ready.release()
    while True:
        client, _ = listener.accept()
        with client:
            client.sendall(client.recv(10))


def test_processes_that_accept_on_one_listener_wait_and_end(actors):
    """All are woken for a connection, and one gets it: the others must be able to end."""
    ready = actors.Semaphore(0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        servers = [process_with(actors, serve, listener, ready) for _ in range(4)]
        for _ in servers:
            assert ready.acquire(timeout=30)
        for number in range(20):
            with socket.create_connection(listener.getsockname(), 30) as client:
                client.sendall(b"%d" % number)
                assert client.recv(10) == b"%d" % number
        for server in servers:
            server.terminate()
        assert eventually(lambda: _core.counters()["orphans"] == 0)
        assert listener.getblocking()
        accepted = threading.Thread(target=lambda: KEPT.append(listener.accept()[0]))
        accepted.start()  # the real process waits as before
        KEPT.append(socket.create_connection(listener.getsockname(), 30))
        accepted.join(30)
        assert len(KEPT) == 2


_shared = {}


class Shared:
    """Passes an object to a process by reference."""

    def __init__(self, value):
        self.key = id(self)
        _shared[self.key] = value

    def __call__(self, function, *args):
        function(_shared[self.key], *args)


def process_with(actors, function, shared, *args):
    process = actors.Process(target=Shared(shared), args=(function, *args))
    process.start()
    return process


def take(read, taken):
    while True:
        taken.put(os.read(read, 1))


def test_processes_that_read_from_one_pipe_wait_and_end(actors):
    read, write = pipe()
    taken = actors.Queue()
    readers = [actors.Process(target=take, args=(read, taken)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(50):
        os.write(write, bytes([number]))
        assert taken.get(timeout=30) == bytes([number])
    for reader in readers:
        reader.kill()
    assert eventually(lambda: _core.counters()["orphans"] == 0)


# The end of what was opened


def talk(address, talking, threads):
    client = socket.create_connection(address)
    own = socket.create_server(("127.0.0.1", 0))
    KEPT_BY_ACTORS.extend((client, own, socket.create_connection(own.getsockname())))
    for function in (own.accept, own.accept, client.recv):
        args = (1,) if function == client.recv else ()
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        threads.put(thread.ident)
    talking.release()
    os.read(pipe()[0], 1)


KEPT_BY_ACTORS = []


@pytest.mark.parametrize("how", ["terminate", "return"])
def test_sockets_are_closed_and_threads_gone_when_their_process_ends(actors, how):
    talking, threads = actors.Semaphore(0), actors.SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = actors.Process(target=talk, args=(listener.getsockname(), talking, threads))
        process.start()
        with listener.accept()[0] as peer:
            assert talking.acquire(timeout=30)
            if how == "terminate":
                process.terminate()
            else:
                os.kill(process.pid, signal.SIGINT)  # ends as a Python program does
            process.join(30)
            peer.settimeout(30)
            assert peer.recv(1) == b""
    idents = {threads.get() for _ in range(3)}
    assert eventually(lambda: not idents & set(sys._current_frames()))
    assert eventually(lambda: all(sock.fileno() < 0 for sock in KEPT_BY_ACTORS))
    KEPT_BY_ACTORS.clear()


def test_a_manager_leaves_no_thread_behind(installed):
    before = threading.active_count(), set(sys._current_frames())
    with multiprocessing.Manager() as manager:
        lock, values = manager.Lock(), manager.dict(a=1)
        with lock:
            assert values.copy() == {"a": 1}
    del lock, values, manager
    assert eventually(lambda: set(sys._current_frames()) <= before[1])


def test_the_real_process_calls_what_it_always_did(actors):
    process = actors.Process(target=len, args=((),))
    process.start()
    process.join()
    assert type(threading.Lock()).__module__ == "_thread"
    assert not isinstance(threading.Lock(), _core.Lock)
    assert isinstance(threading.Lock(), threading.Lock)
    assert type(queue.SimpleQueue()).__module__ == "_queue"
    assert isinstance(queue.SimpleQueue(), queue.SimpleQueue)
    assert type(select.poll()).__module__ == "select"
