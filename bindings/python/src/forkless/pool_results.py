# SPDX-License-Identifier: Apache-2.0
"""What the methods of a pool return. Mirrors the result classes of multiprocessing.pool.

Differs: there is no thread that takes results in. Each job has a channel to which the workers send
them, and whoever asks for a result takes in what has come. Only a job that has a callback sends its
results where a thread of the pool waits for all of those.

A signal handler may raise between any two lines here, in a program that goes on and asks again. So
what has come goes from the channel into a list in one call of C, and what is done with the items of
that list can be done twice.
"""

from __future__ import annotations

import sys
import threading
import weakref
from multiprocessing import TimeoutError as MpTimeoutError
from multiprocessing import pool as mp
from time import monotonic
from typing import Any

from forkless import _core
from forkless.pool_tasks import unpack

__all__ = ["ApplyResult", "IMapIterator", "IMapUnorderedIterator", "MapResult"]


class _Job:
    """A channel for the results of a job, and the wait for them."""

    results: Any  # where the workers send them
    tag: Any = (
        None  # a function that makes the tag of a result from its index; None: the index is it
    )

    def _init_job(self, pool: Any) -> None:
        self._pool = pool  # kept alive while there is something to do
        self._job = next(mp.job_counter)  # type: ignore[attr-defined]
        self._lock = threading.RLock()  # held by who takes results in
        self._own = self.results = _core.Channel()
        self._arrived: list[Any] = []
        self._done = False
        jobs = pool._crew.jobs
        jobs.add(weakref.ref(self, jobs.discard))  # no code of Python: a signal would interrupt it

    def _collect(self) -> None:
        """Take in what has come."""
        raise NotImplementedError

    def _collect_or_wake(self) -> None:
        try:
            self._collect()
        except BaseException:
            self._wake()  # another thread shall do what this one began
            raise

    def _wake(self) -> None:
        """Let somebody who waits look again."""
        try:
            self._own.put_ref(None)
        except ValueError:
            pass  # all is done; they are awake

    def _close(self) -> None:
        self._done = True
        self._pool = None
        self._own.close()  # which wakes all who wait


def _remaining(deadline: float | None) -> float | None:
    return None if deadline is None else max(deadline - monotonic(), 0.0)


def _deadline(timeout: float | None) -> float | None:
    return None if timeout is None else monotonic() + timeout


def _unpack(success: bool, value: Any, packed: bool) -> tuple[bool, Any]:
    try:
        return success, unpack(value, packed)
    except Exception as error:
        return False, error


class ApplyResult(_Job, mp.ApplyResult):
    """The result of one call."""

    def __init__(self, pool: Any, callback: Any = None, error_callback: Any = None) -> None:
        self._init_job(pool)
        self._callback = callback
        self._error_callback = error_callback
        self._expected = 1  # results
        self._seen = 0  # of those that arrived
        if callback is not None or error_callback is not None:
            self.results = pool._crew.watched_results()
            self.tag = self._tagged

    def _tagged(self, index: int) -> tuple[Any, int]:
        return self, index

    def ready(self) -> bool:
        """Whether the call has completed."""
        if not self._done and self.tag is None:
            self._collect_or_wake()
        return self._done

    def wait(self, timeout: float | None = None) -> None:
        """Wait until the result is there, up to `timeout` seconds."""
        deadline = _deadline(timeout)
        while not self.ready():
            remaining = _remaining(deadline)
            if remaining == 0.0:
                return
            self._own.poll(remaining)

    def get(self, timeout: float | None = None) -> Any:
        """The result, or what the call raised. Raises multiprocessing.TimeoutError."""
        self.wait(timeout)
        if not self._done:
            raise MpTimeoutError
        if self._success:
            return self._value
        raise self._value

    def deliver(self, message: Any) -> None:
        """Take in a result that came to the pool; in the thread that runs callbacks."""
        if message[0] is not None:
            self._arrived.append(message)
        self._collect()

    def set_length(self, length: int) -> None:
        """The number of tasks, when it is known that there are no more."""

    def _collect(self) -> None:
        with self._lock:
            if self._done:
                return
            if self.tag is None:
                self._own.drain(self._arrived)
            if self._take_in():
                self._finish()

    def _take_in(self) -> bool:
        """Look at the results that arrived; whether all are there."""
        if not self._arrived:
            return False
        self._success, self._value = _unpack(*self._arrived[0][1:])
        return True

    def _finish(self) -> None:
        callback = self._callback if self._success else self._error_callback
        if callback is not None:
            _call_back(callback, self._value)
        self._close()
        self._arrived = []


def _call_back(callback: Any, value: Any) -> None:
    """Run a callback. What it raises is reported as that of a thread, and the pool goes on."""
    try:
        callback(value)
    except _core.ProcessExit:
        raise
    except BaseException:
        threading.excepthook(
            threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread()))
        )


class MapResult(ApplyResult, mp.MapResult):
    """The results of map_async() and starmap_async()."""

    def __init__(
        self, pool: Any, chunksize: int, length: int, callback: Any, error_callback: Any
    ) -> None:
        ApplyResult.__init__(self, pool, callback, error_callback)
        self._success = True
        self._value = [None] * length
        self._chunksize = chunksize
        self._expected = -(-length // chunksize) if chunksize > 0 else 0
        if not self._expected:
            self._close()

    @property
    def _number_left(self) -> int:
        self.ready()
        return self._expected - self._seen

    def set_length(self, length: int) -> None:
        """Differs from what len() of the iterable said when that was wrong, or when it raised."""
        if length == self._expected:
            return
        if length < self._expected and self._success:
            del self._value[length * self._chunksize :]
        self._expected = length
        if self.tag is None:
            self._wake()
        else:
            self.results.put_ref(((self, None), True, None, False))

    def _take_in(self) -> bool:
        arrived, size = self._arrived, self._chunksize
        for position in range(self._seen, len(arrived)):
            message = arrived[position]
            if message is not None:
                index, success, value, packed = message
                if packed or not success:
                    success, value = _unpack(success, value, packed)
                self._store(index * size, success, value)
                arrived[position] = None
            self._seen = position + 1
        return self._seen >= self._expected

    def _store(self, begin: int, success: bool, value: Any) -> None:
        if not self._success:
            return  # the first exception is what counts
        if not success:
            self._value, self._success = value, False
        elif self._chunksize == 1 and begin < len(self._value):
            self._value[begin] = value
        else:
            self._value[begin : begin + self._chunksize] = (
                (value,) if self._chunksize == 1 else value
            )


class IMapIterator(_Job, mp.IMapIterator):
    """The results of imap(), in the order of the tasks."""

    def __init__(self, pool: Any) -> None:
        self._init_job(pool)
        self._index = 0  # of the next result that is given out
        self._length: int | None = None
        self._unsorted: dict[int, Any] = {}
        self._waiting: set[object] = set()  # a token of each thread that waits

    def __iter__(self) -> Any:
        return self

    def next(self, timeout: float | None = None) -> Any:
        """The next result, or what its task raised. Raises multiprocessing.TimeoutError."""
        deadline = _deadline(timeout)
        while True:
            with self._lock:
                self._collect_or_wake()
                if self._has_next():
                    message = self._take_next()
                    if self._waiting and (self._has_next() or self._index == self._length):
                        self._wake()
                    break
                if self._index == self._length:
                    self._close()
                    raise StopIteration
            remaining = _remaining(deadline)
            if remaining == 0.0:
                raise MpTimeoutError
            self._sleep(remaining)
        success, value = _unpack(*message[1:])
        if success:
            return value
        raise value

    __next__ = next

    def _sleep(self, timeout: float | None) -> None:
        token = object()
        self._waiting.add(token)
        try:
            self._own.poll(timeout)
        finally:
            self._waiting.discard(token)

    def ready(self) -> bool:
        """Whether all results have been given out."""
        return self._done

    def set_length(self, length: int) -> None:
        """The number of results, when it is known."""
        self._length = length
        self._wake()

    def _collect(self) -> None:
        self._own.drain(self._arrived)
        for message in self._arrived:
            self._unsorted[message[0]] = message
        self._arrived.clear()

    def _has_next(self) -> bool:
        return self._index in self._unsorted

    def _take_next(self) -> Any:
        self._index += 1
        return self._unsorted.pop(self._index - 1)


class IMapUnorderedIterator(IMapIterator, mp.IMapUnorderedIterator):
    """The results of imap_unordered(), as they come."""

    def __init__(self, pool: Any) -> None:
        IMapIterator.__init__(self, pool)
        self._lists: tuple[list[Any], list[Any]] = ([], [])  # what has come; the latest first

    def _collect(self) -> None:
        self._own.drain(self._lists[0])

    def _has_next(self) -> bool:
        come, reversed_ = self._lists
        if not reversed_ and come:
            self._lists = ([], come[::-1])
            return True
        return bool(reversed_)

    def _take_next(self) -> Any:
        self._index += 1
        return self._lists[1].pop()
