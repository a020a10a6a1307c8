# SPDX-License-Identifier: Apache-2.0
"""Queues. Mirrors multiprocessing.queues.

Differs: a queue is one channel of libforkless. There is no pipe and no feeder thread: put() encodes in
the calling thread and the object is there for get() when put() returns. An object is shared by
reference; close() concerns the process that calls it, as with processes. `_reader` and `_writer` are ends
of the channel, for those who wait for a queue together with other things.

Subclasses of the standard library's queues that were made earlier become subclasses of these when one of
their instances is initialised for simulated processes.
"""

from __future__ import annotations

import functools
import time
import types
import weakref
from collections.abc import Callable
from multiprocessing import queues as mp
from queue import Empty
from typing import Any

from forkless import _core, stdlib_futures
from forkless.connection import Connection, Direction
from forkless.parcels import is_packing
from forkless.patches import PatchSet
from forkless.reduction import reference
from forkless.synchronize import SEM_VALUE_MAX, Condition, Lock, Semaphore

__all__ = ["JoinableQueue", "Queue", "SimpleQueue"]


class _End(Connection):
    """An end of a queue. Closing it concerns the process that does so; the queue goes on."""

    def __init__(self, queue: _Channelled, name: str) -> None:
        direction = Direction(queue._channel)
        reads = name == "_reader"
        super().__init__(direction if reads else None, None if reads else direction)
        self._queue = weakref.ref(queue)
        self._name = name
        self._closed_in = queue._not_read_in if reads else queue._not_written_in

    @property
    def closed(self) -> bool:
        return _core.getpid() in self._closed_in

    def _leave(self, pid: int) -> None:
        self._closed_in.add(pid)

    def _duplicate(self) -> Connection:
        return self

    def __reduce__(self) -> Any:
        return getattr, (self._queue(), self._name)

    def __del__(self) -> None:
        pass


class _Channelled:
    """What all queues have: a channel, its ends, and who has closed these."""

    _channel: _core.Channel

    def _open(self, channel: _core.Channel) -> None:
        self._channel = channel
        self._not_read_in: set[int] = set()  # pids of the processes that closed _reader
        self._not_written_in: set[int] = set()  # and _writer

    def __reduce__(self) -> Any:
        reduced = reference(self)
        if is_packing():
            return _made_by, _origins.get(type(self), (type(self), type(self))), reduced[2]
        return reduced

    def __getstate__(self) -> Any:  # for other interpreters
        return self._channel

    def __setstate__(self, state: Any) -> None:
        self._open(state)

    def _made_once(self, name: str, make: Callable[..., Any], *args: Any) -> Any:
        made = vars(self).get(name)
        return vars(self).setdefault(name, make(*args)) if made is None else made

    @property
    def _reader(self) -> _End:
        return self._made_once("_reading_end", _End, self, "_reader")

    @property
    def _writer(self) -> _End:
        return self._made_once("_writing_end", _End, self, "_writer")

    # A get needs no lock. Once somebody has asked for the one that the standard library's queues have,
    # to look at the reader and then read, gets that begin after that take it as well.
    _reading_lock: Lock | None = None

    @property
    def _rlock(self) -> Lock:
        return self._made_once("_reading_lock", Lock)

    @property
    def _poll(self) -> Callable[..., bool]:
        return self._channel.poll

    def _get_alone(self, block: bool, timeout: float | None) -> Any:
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self._rlock.acquire(block, timeout):
            raise Empty
        try:
            left = None if deadline is None else deadline - time.monotonic()
            return self._channel.get(block, left)
        finally:
            self._rlock.release()


class Queue(_Channelled, mp.Queue):
    """A first-in first-out queue between simulated processes."""

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:
        _become(self, Queue)
        self._set_up(_core.Channel(maxsize if 0 < maxsize < SEM_VALUE_MAX else 0), maxsize)

    def _set_up(self, channel: _core.Channel, maxsize: int) -> None:
        self._open(channel)
        self._maxsize = maxsize if maxsize > 0 else SEM_VALUE_MAX
        self._ignore_epipe = False
        self._closed_in: set[int] = set()  # pids of the processes that closed it

    def __getstate__(self) -> Any:
        return self._channel, self._maxsize

    def __setstate__(self, state: Any) -> None:
        self._set_up(*state)

    @property
    def _closed(self) -> bool:
        return bool(self._closed_in) and _core.getpid() in self._closed_in

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Send a copy of `obj`. An object that cannot be pickled is reported, not raised, as in
        multiprocessing, whose feeder thread finds out too late; SimpleQueue.put() raises."""
        if self._closed_in and self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        self._channel.put(obj, block, timeout, self)

    # Called by the channel when put() fails.

    def _not_sent(self, error: Exception, obj: Any) -> None:
        try:
            raise error  # for hooks that ask for the exception that is handled
        except Exception:
            self._on_queue_feeder_error(error, obj)  # type: ignore[attr-defined]

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self._closed_in and self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        if self._not_read_in:
            self._reader._check_closed()
        if self._reading_lock is not None:
            return self._get_alone(block, timeout)
        return self._channel.get(block, timeout)

    def qsize(self) -> int:
        return len(self._channel)

    def empty(self) -> bool:
        if self._closed_in and self._closed and self._channel.used:
            raise OSError(f"Queue {self!r} is closed")
        return not len(self._channel)

    def full(self) -> bool:
        return 0 < self._channel.capacity <= len(self._channel)

    def close(self) -> None:
        self._closed_in.add(_core.getpid())

    def join_thread(self) -> None:
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        pass  # there is no thread, and nothing is lost when the process ends


class JoinableQueue(Queue, mp.JoinableQueue):
    """A queue that knows how many of its items were not yet dealt with."""

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:
        _become(self, JoinableQueue)
        Queue.__init__(self, maxsize)
        self._unfinished_tasks = Semaphore(0)
        self._cond = Condition()

    def __getstate__(self) -> Any:
        return Queue.__getstate__(self), self._cond, self._unfinished_tasks

    def __setstate__(self, state: Any) -> None:
        queue, self._cond, self._unfinished_tasks = state
        Queue.__setstate__(self, queue)

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        if self._closed_in and self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        self._channel.put(obj, block, timeout, self, self._unfinished_tasks._semlock)

    def _not_sent(self, error: Exception, obj: Any) -> None:
        self._uncount()
        super()._not_sent(error, obj)

    def _uncount(self) -> None:
        with self._cond:
            self._unfinished_tasks.acquire(False)
            if self._unfinished_tasks._semlock._is_zero():
                self._cond.notify_all()


class SimpleQueue(_Channelled, mp.SimpleQueue):
    """A queue without a bound that raises at once what goes wrong."""

    def __init__(self, *, ctx: Any = None) -> None:
        _become(self, SimpleQueue)
        self._open(_core.Channel())

    def put(self, obj: Any) -> None:
        if self._not_written_in:
            self._writer._check_closed()
        self._channel.put(obj)

    def get(self) -> Any:
        if self._not_read_in:
            self._reader._check_closed()
        if self._reading_lock is not None:
            return self._get_alone(True, None)
        return self._channel.get()

    def empty(self) -> bool:
        if self._not_read_in:
            self._reader._check_closed()
        return not len(self._channel)

    def close(self) -> None:
        pid = _core.getpid()
        self._not_read_in.add(pid)
        self._not_written_in.add(pid)


# Subclasses that were made earlier

_derived: dict[tuple[type, type], type] = {}
_origins: dict[type, tuple[type, type]] = {}  # the same the other way round


def _become(queue: Any, ours: type) -> None:
    """Let a queue of a class that was derived from the standard library's be one of `ours`.

    Its class is replaced by a subclass of both. In the order in which methods are looked up `ours`
    comes before the standard library's class, as it is a subclass of that, and after all others.
    """
    cls = type(queue)
    if cls is ours:
        return
    if issubclass(ours, cls):
        queue.__class__ = ours
        return
    members = stdlib_futures.queue_members(cls, vars(ours)["put"])
    bases: tuple[type, ...] = (cls, ours)
    if issubclass(cls, ours):
        if not members:
            return
        bases = (cls,)
    derived = _derived.get((cls, ours))
    if derived is None:
        members |= {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
        derived = _derived.setdefault((cls, ours), type(cls.__name__, bases, members))
        _origins[derived] = cls, ours
    queue.__class__ = derived


def _made_by(cls: Any, ours: Any) -> Any:
    """A queue that comes from another interpreter, before it has its state."""
    queue = cls.__new__(cls)
    _become(queue, ours)
    return queue


def take_over(patches: PatchSet, is_simulated: Callable[[Any], bool]) -> None:
    """Let the standard library's queues be ours where is_simulated(ctx) says so of their context.

    Their methods find ours also when a subclass calls them by the name of its base.
    """
    for theirs, ours in (
        (mp.Queue, Queue),
        (mp.JoinableQueue, JoinableQueue),
        (mp.SimpleQueue, SimpleQueue),
    ):
        patches.attribute(theirs, "__init__", _choosing(theirs.__init__, ours, is_simulated))
        for name, method in vars(ours).items():
            original = vars(theirs).get(name)
            if isinstance(original, types.FunctionType) and name != "__init__":
                patches.attribute(theirs, name, _leading(original, method, ours))


def _choosing(original: Any, ours: Any, is_simulated: Callable[[Any], bool]) -> Any:
    @functools.wraps(original)
    def init(self: Any, *args: Any, ctx: Any) -> None:
        if is_simulated(ctx):
            ours.__init__(self, *args, ctx=ctx)
        else:
            original(self, *args, ctx=ctx)

    return init


def _leading(original: Any, method: Any, ours: Any) -> Any:
    @functools.wraps(original)
    def lead(self: Any, *args: Any, **kwargs: Any) -> Any:
        return (method if isinstance(self, ours) else original)(self, *args, **kwargs)

    return lead
