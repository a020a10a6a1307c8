# SPDX-License-Identifier: Apache-2.0
"""Pools. Mirrors multiprocessing.pool, and becomes a part of it.

The methods here take the place of those of multiprocessing.pool.Pool, for pools whose workers are
simulated processes. Those have no pipes and no threads that pass tasks and results on: tasks go to the
workers through a channel, results to whoever waits for them. A pool that has machinery of its own
(ThreadPool, or a subclass that replaces private methods) keeps it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from multiprocessing import get_context, util
from multiprocessing import pool as mp
from typing import Any

from forkless import _core
from forkless import pool_tasks as tasks
from forkless.pool_crew import Crew
from forkless.pool_results import ApplyResult, IMapIterator, IMapUnorderedIterator, MapResult

__all__ = ["ActorPool"]

# They can be iterated at once, without running code of the program.
_AT_HAND = (list, tuple, range, set, frozenset, dict, str, bytes, bytearray)

_CALLS = {
    mp.mapstar: (tasks.call_one, tasks.call_chunk),  # type: ignore[attr-defined]
    mp.starmapstar: (tasks.call_star, tasks.call_star_chunk),  # type: ignore[attr-defined]
}


class _Outstanding:
    """What a pool has as `_cache`: the jobs that are not done."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def __len__(self) -> int:
        return sum(1 for _ in self._crew.unfinished())

    def __iter__(self) -> Iterator[int]:
        return (job._job for job in self._crew.unfinished())


class _Waiting:
    """What a pool has as `_taskqueue`: the tasks that no worker has taken."""

    def __init__(self, crew: Crew) -> None:
        self.qsize = crew.waiting

    def empty(self) -> bool:
        return not self.qsize()


def _submit(pool: Any, job: Any, mapper: Any, func: Any, iterable: Any, chunksize: int) -> None:
    call_one, call_chunk = _CALLS[mapper]
    at_hand = type(iterable) in _AT_HAND
    if chunksize == 1:
        work = tasks.Work(job, call_one, func, iterable, at_hand)
    else:
        work = tasks.Work(job, call_chunk, func, tasks.chunks(iterable, chunksize), at_hand)
    pool._crew.submit(work, at_once=at_hand)


def _imap(pool: Any, kind: Any, func: Any, iterable: Any, chunksize: int) -> Any:
    pool._check_running()
    if chunksize < 1:
        raise ValueError(f"Chunksize must be 1+, not {chunksize!r}")
    result = kind(pool)
    _submit(pool, result, mp.mapstar, func, iterable, chunksize)  # type: ignore[attr-defined]
    if chunksize == 1:
        return result
    return (item for chunk in result for item in chunk)


class ActorPool:
    """The methods of a pool of simulated processes. `self` is a multiprocessing.pool.Pool."""

    Process: Any
    _check_running: Any
    _wrap_exception: bool

    def __init__(
        self,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
    ) -> None:
        self._pool: list[Any] = []
        self._state = "INIT"
        self._ctx = context or get_context()
        if processes is None:
            processes = getattr(os, "process_cpu_count", os.cpu_count)() or 1
        if processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if maxtasksperchild is not None and (
            not isinstance(maxtasksperchild, int) or maxtasksperchild <= 0
        ):
            raise ValueError("maxtasksperchild must be a positive int or None")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._processes = processes
        self._maxtasksperchild = maxtasksperchild
        self._initializer = initializer
        self._initargs = initargs
        self._crew = crew = Crew(processes)
        self._pool = crew.workers
        self._cache = _Outstanding(crew)
        self._taskqueue = _Waiting(crew)
        make, ctx = self.Process, self._ctx
        args = (crew.share, initializer, initargs, maxtasksperchild, self._wrap_exception)
        crew.make_worker = lambda: make(ctx, target=tasks.worker, args=args)
        try:
            self._repopulate_pool()
        except Exception:
            crew.terminate()
            for worker in self._pool:
                worker.join()
            raise
        self._terminate = util.Finalize(self, crew.terminate, exitpriority=15)
        self._state = mp.RUN

    def __del__(self, _warn: Any = warnings.warn, _run: str = mp.RUN) -> None:
        if self._state == _run:
            _warn(f"unclosed running multiprocessing pool {self!r}", ResourceWarning, source=self)
        crew = getattr(self, "_crew", None)
        if crew is not None:
            crew.abandon()

    def _repopulate_pool(self) -> None:
        self._crew.repopulate()

    def apply(self, func: Any, args: Any = (), kwds: Any = {}) -> Any:  # noqa: B006
        """Call func(*args, **kwds) in a worker and wait for what it returns or raises."""
        self._check_running()
        message = None
        if not self._crew.has_backlog:
            results = _core.Channel()
            cell = [tasks.single_task(self, results, 0, func, args, kwds)]
            message = self._crew.ask(cell, results)
        if message is None:
            return self.apply_async(func, args, kwds).get()
        _tag, success, value, packed = message
        if packed:
            value = tasks.unpack(value, packed)
        if success:
            return value
        raise value

    def apply_async(
        self,
        func: Any,
        args: Any = (),
        kwds: Any = {},  # noqa: B006  (as in multiprocessing)
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        """apply() that does not wait: returns an AsyncResult."""
        self._check_running()
        result = ApplyResult(self, callback, error_callback)
        crew, results = self._crew, result.results
        tag = 0 if result.tag is None else result.tag(0)
        if not crew.has_backlog:
            try:
                task = tasks.single_task(result, results, tag, func, args, kwds)
            except Exception as error:
                results.put_ref((tag, False, error, False))
                return result
            if crew.offer(task):
                return result
            del task
        crew.submit(tasks.Work(result, tasks.call, func, ((args, kwds),)), at_once=False)
        return result

    def _map_async(
        self,
        func: Any,
        iterable: Any,
        mapper: Any,
        chunksize: int | None = None,
        callback: Any = None,
        error_callback: Any = None,
    ) -> Any:
        self._check_running()
        if not hasattr(iterable, "__len__"):
            iterable = list(iterable)
        length = len(iterable)
        if chunksize is None:
            chunksize = -(-length // (len(self._pool) * 4))
        if length == 0:
            chunksize = 0
        result = MapResult(self, chunksize, length, callback, error_callback)
        if chunksize > 0:
            _submit(self, result, mapper, func, iterable, chunksize)
        return result

    def imap(self, func: Any, iterable: Iterable[Any], chunksize: int = 1) -> Any:
        """map() that returns an iterator. The iterable is consumed in the background."""
        return _imap(self, IMapIterator, func, iterable, chunksize)

    def imap_unordered(self, func: Any, iterable: Iterable[Any], chunksize: int = 1) -> Any:
        """imap() whose results come as they are ready."""
        return _imap(self, IMapUnorderedIterator, func, iterable, chunksize)

    def close(self) -> None:
        """Take no more work. The workers end when they have done what they have."""
        util.debug("closing pool")
        if self._state == mp.RUN:
            self._state = mp.CLOSE
            self._crew.close()

    def terminate(self) -> None:
        """End the workers at once. Blocks until they have ended."""
        util.debug("terminating pool")
        self._state = mp.TERMINATE
        self._terminate()

    def join(self) -> None:
        """Wait for the workers to end. Raises ValueError before close() or terminate()."""
        util.debug("joining pool")
        if self._state == mp.RUN:
            raise ValueError("Pool is still running")
        if self._state not in (mp.CLOSE, mp.TERMINATE):
            raise ValueError("In unknown state")
        self._crew.join()
