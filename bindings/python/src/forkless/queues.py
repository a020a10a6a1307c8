# SPDX-License-Identifier: Apache-2.0
"""Queues. Mirrors multiprocessing.queues.

Differs: a queue is one channel of libforkless. There is no pipe and no feeder thread: put() encodes in
the calling thread and the object is there for get() when put() returns. An object is shared by
reference; close() concerns the process that calls it, as with processes.
"""

from __future__ import annotations

from multiprocessing import queues as mp
from queue import Full
from typing import Any

from forkless import _core
from forkless.reduction import reference
from forkless.synchronize import SEM_VALUE_MAX, Condition, Semaphore

__all__ = ["JoinableQueue", "Queue", "SimpleQueue"]


class Queue(mp.Queue):
    """A first-in first-out queue between simulated processes."""

    def __init__(self, maxsize: int = 0, *, ctx: Any = None) -> None:
        self._channel = _core.Channel(maxsize if 0 < maxsize < SEM_VALUE_MAX else 0)
        self._maxsize = maxsize if maxsize > 0 else SEM_VALUE_MAX
        self._ignore_epipe = False
        self._closed_in: set[int] = set()  # pids of the processes that closed it

    def __reduce__(self) -> Any:
        return reference(self)

    @property
    def _closed(self) -> bool:
        return bool(self._closed_in) and _core.getpid() in self._closed_in

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Send a copy of `obj`. An object that cannot be pickled is reported, not raised, as in
        multiprocessing, whose feeder thread finds out too late; SimpleQueue.put() raises."""
        if self._closed_in and self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        try:
            self._channel.put(obj, block, timeout)
        except Full:
            raise
        except Exception as error:
            self._on_queue_feeder_error(error, obj)  # type: ignore[attr-defined]

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if self._closed_in and self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        return self._channel.get(block, timeout)

    def qsize(self) -> int:
        return len(self._channel)

    def empty(self) -> bool:
        if self._closed_in and self._closed:
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
        Queue.__init__(self, maxsize)
        self._unfinished_tasks = Semaphore(0)
        self._cond = Condition()

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        if self._closed_in and self._closed:
            raise ValueError(f"Queue {self!r} is closed")
        # Counted first: a consumer may be done with the item before put() returns.
        self._unfinished_tasks.release()
        try:
            self._channel.put(obj, block, timeout)
        except BaseException as error:
            self._uncount()
            if isinstance(error, Full) or not isinstance(error, Exception):
                raise
            self._on_queue_feeder_error(error, obj)  # type: ignore[attr-defined]

    def _uncount(self) -> None:
        with self._cond:
            self._unfinished_tasks.acquire(False)
            if self._unfinished_tasks._semlock._is_zero():
                self._cond.notify_all()


class SimpleQueue(mp.SimpleQueue):
    """A queue without a bound that raises at once what goes wrong."""

    def __init__(self, *, ctx: Any = None) -> None:
        self._channel = _core.Channel()
        self._poll = self._channel.poll
        self._closed_in: set[int] = set()

    def __reduce__(self) -> Any:
        return reference(self)

    def _check_open(self) -> None:
        if _core.getpid() in self._closed_in:
            raise OSError("handle is closed")

    def put(self, obj: Any) -> None:
        if self._closed_in:
            self._check_open()
        self._channel.put(obj)

    def get(self) -> Any:
        if self._closed_in:
            self._check_open()
        return self._channel.get()

    def empty(self) -> bool:
        if self._closed_in:
            self._check_open()
        return not len(self._channel)

    def close(self) -> None:
        self._closed_in.add(_core.getpid())
