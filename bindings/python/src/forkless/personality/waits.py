# SPDX-License-Identifier: Apache-2.0
"""Waits for descriptors and children that end when something is thrown at the actor.

A signal interrupts whatever system call a process waits in. Nothing interrupts a thread, so the
functions of `os`, `select`, `selectors`, `io`, `fcntl` and `multiprocessing.connection` that wait for a
descriptor wait in poll(2) when an actor calls them, for its bell as well (see ext/descriptors.c), and
then do what they always did. A call that poll(2) cannot wait for is made in a thread of the real
process, and the actor waits for that.

Differs from processes: a signal whose handler returns does not end such a wait either, but one that
has moved a part of the data raises what the handler raises.
"""

from __future__ import annotations

import builtins
import errno
import io
import math
import os
import select
import selectors
import stat
import sys
import time
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Iterator
from typing import Any

from forkless import _core
from forkless.patches import PatchSet
from forkless.personality.streams import translate

__all__ = ["Deadline", "elsewhere", "install", "wait_for_child"]

_IN = getattr(select, "POLLIN", 1)
_OUT = getattr(select, "POLLOUT", 4)
_PRI = getattr(select, "POLLPRI", 2)
_ERR = getattr(select, "POLLERR", 8)
_HUP = getattr(select, "POLLHUP", 16)
_NVAL = getattr(select, "POLLNVAL", 32)


class Deadline:
    """A timeout in seconds, None for ever, that several waits share."""

    def __init__(self, timeout: float | None) -> None:
        self._until = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        return None if self._until is None else max(self._until - time.monotonic(), 0.0)

    def passed(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until


def elsewhere(
    function: Callable[..., Any], *args: Any, undo: Callable[[Any], object] | None = None
) -> Any:
    """Make a call that blocks in the kernel in a thread of the real process, and wait for it here.

    When the wait is given up, that thread goes on until the call comes back; then it calls
    `undo(result)`. It keeps nothing from its end.
    """
    finished, guard = _core.SemLock(1, 0, 1), allocate_lock()
    outcome: list[tuple[bool, Any]] = []
    given_up = False

    def call() -> None:
        try:
            result = True, function(*args)
        except BaseException as error:
            result = False, error
        with guard:
            outcome.append(result)
            late = given_up
        if late and result[0] and undo is not None:
            undo(result[1])
        finished.release()

    start_new_thread(call, ())
    try:
        finished.acquire()
    except BaseException:
        with guard:
            given_up = True
        if outcome and outcome[0][0] and undo is not None:
            undo(outcome[0][1])
        raise
    succeeded, value = outcome[0]
    if not succeeded:
        raise value
    return value


def install(patches: PatchSet) -> None:
    """Replace the functions, for actors only."""
    for owner, functions in (
        (os, _transfer_functions()),
        (select, _select_functions()),
        (builtins, [_open_function(io.open), _input]),
        (io, [_open_function(io.open)]),
    ):
        for function in functions:
            name = function.__name__.lstrip("_")
            if hasattr(owner, name):
                patches.dispatch(owner, name, function)
    _patch_selectors(patches)
    _patch_connections(patches)
    _patch_flock(patches)


# Reading and writing


def _transfer_functions() -> list[Any]:
    real_readv = getattr(os, "readv", None)

    def read(fd: int, length: int, /) -> bytes:
        return _core.read(translate(fd), length)

    def write(fd: int, data: Any, /) -> int:
        return _core.write(translate(fd), data)

    def readv(fd: int, buffers: Any, /) -> int:
        fd = translate(fd)
        if _must_wait(fd):
            _core.wait_descriptor(fd, _IN)
        return real_readv(fd, buffers)  # type: ignore[misc]

    def writev(fd: int, buffers: Any, /) -> int:
        return _core.write(translate(fd), b"".join(buffers))

    return [read, write, readv, writev]


def _must_wait(fd: int) -> bool:
    return os.get_blocking(fd) and not _core.wait_descriptor(fd, _IN, 0)


class _File(io.FileIO):
    """The raw file of an actor on a pipe, a socket or a terminal."""

    def readinto(self, buffer: Any, /) -> int | None:
        if not self.readable():
            return super().readinto(buffer)
        try:
            return _core.read_into(self.fileno(), buffer)
        except BlockingIOError:
            return None

    def read(self, size: int | None = -1, /) -> bytes | None:  # type: ignore[override]
        if size is None or size < 0:
            return self.readall()
        buffer = bytearray(size)
        count = self.readinto(buffer)
        return None if count is None else bytes(memoryview(buffer)[:count])

    def readall(self) -> bytes | None:  # type: ignore[override]
        pieces = []
        while piece := self.read(io.DEFAULT_BUFFER_SIZE):
            pieces.append(piece)
        return None if piece is None and not pieces else b"".join(pieces)

    def write(self, data: Any, /) -> int | None:  # type: ignore[override]
        if not self.writable():
            return super().write(data)
        try:
            return _core.write(self.fileno(), data)
        except BlockingIOError:
            return None


def _can_wait(fd: int) -> bool:
    """Whether reads of this descriptor wait for somebody."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or (stat.S_ISCHR(mode) and os.isatty(fd))


def _open_function(original: Any) -> Any:
    def open(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        given = isinstance(file, int)
        opened = original(
            file, mode, buffering, encoding, errors, newline, closefd and not given, opener
        )
        fd = opened.fileno()
        if _can_wait(fd):
            if not given:
                with opened:
                    fd, closefd = os.dup(fd), True
            return _stand_in(opened, file, fd, mode, closefd, newline)
        if given and closefd:
            opened = original(file, mode, buffering, encoding, errors, newline, True, opener)
        return opened

    return open


def _stand_in(opened: Any, file: Any, fd: int, mode: str, closefd: bool, newline: Any) -> Any:
    """A file object such as `opened`, on a raw file that waits as actors do."""
    raw: Any = _File(fd, mode.translate({ord("b"): None, ord("t"): None, ord("U"): None}), closefd)
    raw.name = file
    if isinstance(opened, io.FileIO):
        return raw
    text = isinstance(opened, io.TextIOWrapper)
    buffered: Any = type(opened.buffer if text else opened)(raw)
    if not text:
        return buffered
    stream = io.TextIOWrapper(
        buffered, opened.encoding, opened.errors, newline, opened.line_buffering
    )
    stream.mode = mode  # type: ignore[misc]
    return stream


def _input(prompt: object = "", /) -> str:
    """Read a line from the standard input of the actor, whatever it is."""
    if prompt != "":
        sys.stdout.write(str(prompt))
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")


# select, poll, epoll


def _select_functions() -> list[Any]:
    real_epoll = getattr(select, "epoll", None)

    def poll() -> _Poll:
        return _Poll()

    def epoll(sizehint: int = -1, flags: int = 0) -> _Epoll:
        return _Epoll(real_epoll(sizehint, flags))  # type: ignore[misc]

    # A class method of the original, which is a class.
    epoll.fromfd = lambda fd: _Epoll(real_epoll.fromfd(fd))  # type: ignore[attr-defined,union-attr]
    return [_select, poll, epoll]


def _descriptors(objects: Any) -> list[tuple[Any, int]]:
    """Each object with its descriptor."""
    pairs = []
    for item in objects:
        fd = item if isinstance(item, int) else item.fileno()
        if not isinstance(fd, int):
            raise TypeError("argument must be an int, or have a fileno() method.")
        if fd < 0:
            raise ValueError(f"file descriptor cannot be a negative integer ({fd})")
        pairs.append((item, fd))
    return pairs


def _select(rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None, /) -> Any:
    if timeout is not None and timeout < 0:
        raise ValueError("timeout must be non-negative")
    deadline = Deadline(timeout)
    # What select(2) calls ready, by what poll(2) says.
    wanted = [
        (_descriptors(rlist), _IN, _IN | _HUP | _ERR),
        (_descriptors(wlist), _OUT, _OUT | _ERR),
        (_descriptors(xlist), _PRI, _PRI),
    ]
    interests: dict[int, int] = {}
    for pairs, ask, _ in wanted:
        for _, fd in pairs:
            interests[fd] = interests.get(fd, 0) | ask
    while True:
        ready = _core.poll_descriptors(interests, deadline.left())
        if any(events & _NVAL for events in ready.values()):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        found = [
            [item for item, fd in pairs if ready.get(fd, 0) & answer] for pairs, _, answer in wanted
        ]
        if any(found) or not ready:
            return tuple(found)
        for fd in ready:  # hung up, and nobody asked for that
            del interests[fd]


class _Poll:
    """What select.poll() returns in an actor."""

    def __init__(self) -> None:
        self._interests: dict[int, int] = {}

    @staticmethod
    def _fd(item: Any) -> int:
        return _descriptors([item])[0][1]

    def register(self, fd: Any, eventmask: int = _IN | _PRI | _OUT, /) -> None:
        self._interests[self._fd(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        if self._fd(fd) not in self._interests:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._interests[self._fd(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        del self._interests[self._fd(fd)]

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        seconds = None if timeout is None or timeout < 0 else math.ceil(timeout) / 1000
        return list(_core.poll_descriptors(dict(self._interests), seconds).items())


class _Epoll:
    """What select.epoll() returns in an actor. An epoll object is a descriptor one can poll for."""

    def __init__(self, original: Any) -> None:
        self._original = original

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)

    def poll(self, timeout: float | None = None, maxevents: int = -1) -> list[tuple[int, int]]:
        deadline = Deadline(None if timeout is None or timeout < 0 else timeout)
        while True:
            _core.wait_descriptor(self._original.fileno(), _IN, deadline.left())
            events: list[tuple[int, int]] = self._original.poll(0, maxevents)
            if events or deadline.passed():
                return events

    def __enter__(self) -> _Epoll:
        self._original.__enter__()
        return self

    def __exit__(self, *args: Any) -> None:
        self._original.__exit__(*args)


# selectors


def _patch_selectors(patches: PatchSet) -> None:
    for name in ("SelectSelector", "PollSelector", "EpollSelector", "DevpollSelector"):
        cls = getattr(selectors, name, None)
        # Some share the method of a class that is not public.
        for owner in cls.__mro__ if cls is not None else ():
            if "select" in vars(owner) and owner.__module__ == "selectors":
                if not isinstance(vars(owner)["select"], _core.Dispatch):
                    patches.dispatch(owner, "select", _selecting(owner.select))
                break
    queue = getattr(selectors, "KqueueSelector", None)
    if queue is not None:
        patches.dispatch(queue, "select", _selecting(queue.select))


def _selecting(original: Any) -> Any:
    """A selector's select() that first waits as actors do, and then looks without waiting."""

    def select(self: Any, timeout: float | None = None) -> Any:
        if timeout is None or timeout > 0:
            own = getattr(self, "fileno", None)
            interests = {own(): _IN} if own is not None else dict(_interests(self))
            _core.poll_descriptors(interests, timeout)
        return original(self, 0)

    return select


def _interests(selector: Any) -> Iterator[tuple[int, int]]:
    for key in selector.get_map().values():
        events = _IN if key.events & selectors.EVENT_READ else 0
        yield key.fd, events | (_OUT if key.events & selectors.EVENT_WRITE else 0)


# Connections


def _patch_connections(patches: PatchSet) -> None:
    """Connection took references to os.read and os.write when it was made."""
    from multiprocessing import connection

    cls: Any = connection.Connection
    for name, function in (("_recv", os.read), ("_send", os.write)):
        patches.defaults(getattr(cls, name), (function,))
    patches.dispatch(connection._ConnectionBase, "__init__", _noting(connection._ConnectionBase))


def _noting(cls: Any) -> Any:
    original = cls.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        _core.current().note_opened(self)

    return init


# Children of the kernel


def wait_for_child(real_waitpid: Any, pid: int, options: int) -> Any:
    """os.waitpid() for a process of the kernel, for an actor."""
    if options & getattr(os, "WNOHANG", 0):
        return real_waitpid(pid, options)
    if pid > 0 and hasattr(os, "pidfd_open") and not options:
        done = real_waitpid(pid, os.WNOHANG)
        if done[0]:
            return done
        try:
            process = os.pidfd_open(pid)
        except OSError:
            process = -1  # an old kernel
        if process >= 0:
            try:
                _core.wait_descriptor(process, _IN)
            finally:
                os.close(process)
            return real_waitpid(pid, options)
    return elsewhere(real_waitpid, pid, options)


# Locks on files


def _patch_flock(patches: PatchSet) -> None:
    try:
        import fcntl
    except ImportError:
        return
    real_flock = fcntl.flock

    def flock(fd: Any, operation: int, /) -> None:
        try:
            real_flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if operation & fcntl.LOCK_NB:
                raise
            # The lock belongs to the open file, so a duplicate can take it.
            own = os.dup(fd if isinstance(fd, int) else fd.fileno())
            elsewhere(_lock_and_close, real_flock, own, operation, undo=_unlock)
            os.close(own)

    def _lock_and_close(real_flock: Any, own: int, operation: int) -> int:
        try:
            real_flock(own, operation)
        except BaseException:
            os.close(own)
            raise
        return own

    def _unlock(own: int) -> None:
        real_flock(own, fcntl.LOCK_UN)
        os.close(own)

    patches.dispatch(fcntl, "flock", flock)
