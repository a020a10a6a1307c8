# SPDX-License-Identifier: Apache-2.0
"""What works for a pool: its workers, and the threads that it needs now and then.

A pool has no thread of its own before something must happen while nobody calls it: feeding tasks for
which there is no room yet or that an iterable has still to give, and running callbacks. A worker that
ends has itself replaced, by a thread that lives as long as that takes. All of these threads belong to
the process, simulated or not, that made the pool.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing import util
from queue import Full
from typing import Any

from forkless import _core
from forkless.actors import MAIN, Actor, here
from forkless.personality import threads
from forkless.pool_tasks import Share, Task, Work, give_back

__all__ = ["Crew"]

_PAUSE = 0.05  # seconds before a worker that failed is replaced: the next one may fail at once


class Crew:
    """The workers of a pool. It knows nothing of the pool, which may so go away."""

    def __init__(self, processes: int) -> None:
        self.owner: Any = here()
        self.processes = processes
        self.share = Share(processes)
        self.workers: list[Any] = []  # process objects; guarded by `lock`
        self.make_worker: Callable[[], Any]
        self.jobs: set[weakref.ref[Any]] = set()  # those that somebody holds
        self.lock = threading.RLock()
        self._tasks = self.share.tasks
        self._backlog: deque[Work] = deque()  # the first one is being fed
        self._wake = _core.Channel()
        self._starting = threading.Lock()
        self._feeder: threading.Thread | None = None
        self._handler: threading.Thread | None = None
        self._closing = False
        self.terminated = False
        self.owner.child_watchers.append(self._child_ended)
        self.owner.exit_functions.append(self._owner_ended)

    # Workers

    def repopulate(self) -> None:
        """Start workers until there are as many as there shall be."""
        with self.lock:
            for _ in range(self.processes - len(self.workers)):
                worker = self.make_worker()
                worker.name = worker.name.replace("Process", "PoolWorker")
                worker.daemon = True
                worker.start()
                self.workers.append(worker)
                util.debug("added worker")

    def maintain(self) -> None:
        """Replace workers that have ended, unless there is nothing left to do."""
        with self.lock:
            if self.terminated:
                return
            for worker in [w for w in self.workers if w.exitcode is not None]:
                util.debug("cleaning up worker %s", worker.name)
                worker.join()
                if worker.exitcode != 0:
                    give_back(self.share.room)  # it may have died with a place in hand
                self.workers.remove(worker)
            if self._is_work_left():
                self.repopulate()

    def _is_work_left(self) -> bool:
        return not self._tasks.closed or len(self._tasks) > 0

    def _child_ended(self, actor: Actor) -> None:
        """In any thread: a child of the owner has ended, or is about to."""
        args = getattr(actor.process, "_args", None)
        if not args or args[0] is not self.share:
            return
        if not self.terminated and self._is_work_left():
            with suppress(RuntimeError):  # the interpreter is ending
                threads.start_for(self.owner, self._replace, actor)

    def _replace(self, actor: Actor) -> None:
        code = actor.join()
        while not self.terminated:
            if code:
                _core.sleep(_PAUSE)
            try:
                self.maintain()
                return
            except OSError as error:  # no thread to be had now
                util.sub_warning("cannot replace a worker of a pool: %s", error)
                code = 1

    # Feeding

    def submit(self, work: Work, at_once: bool) -> None:
        """Give the tasks of `work` to the workers: here and now with `at_once`, as far as there is
        room, and the rest in the background."""
        if at_once and not self._backlog:
            try:
                if self._feed(work, block=False):
                    return
            except ValueError:
                raise ValueError("Pool not running") from None
        self._ensure_feeder()
        self._backlog.append(work)
        try:
            self._wake.put_ref(None)
        except ValueError:
            raise ValueError("Pool not running") from None

    @property
    def has_backlog(self) -> bool:
        """Whether work waits for other work to be fed."""
        return bool(self._backlog)

    def offer(self, task: Task) -> bool:
        """Give a task to the workers if there is room for it now."""
        try:
            return self._give(task, block=False)
        except ValueError:
            raise ValueError("Pool not running") from None

    def ask(self, cell: list[Task], results: _core.Channel) -> Any:
        """Give a task, which is taken out of a list, to the workers if there is room for it now, and
        wait for its only result. None if there was no room."""
        heavy = cell[0][-1]
        if heavy and not self.share.room.acquire(False):
            return None
        cell.insert(0, self._tasks)  # type: ignore[arg-type]
        try:
            return results.get_after(cell)
        except Full:
            if heavy:
                give_back(self.share.room)
            return None
        except ValueError:
            raise ValueError("Pool not running") from None

    def _give(self, task: Task, block: bool) -> bool:
        heavy = task[-1]
        if heavy and not self.share.room.acquire(block):
            return False
        try:
            self._tasks.put_ref(task, block)
        except Full:
            if heavy:
                give_back(self.share.room)
            return False
        return True

    def _feed(self, work: Work, block: bool) -> bool:
        """Whether all tasks have been given. Raises ValueError when no more are taken."""
        give = self._give
        if work.refused is not None:
            give(work.refused, True)  # by the feeder only
            work.refused = None
        for task in work.tasks:
            if not give(task, block):
                work.refused = task
                return False
        return True

    def _feed_backlog(self) -> None:
        while not self._tasks.closed:
            try:
                self._wake.get()
            except EOFError:
                return
            while self._backlog:
                try:
                    self._feed(self._backlog[0], block=True)
                except ValueError:
                    self._backlog.clear()
                    return
                self._backlog.popleft()
            self._close_when_fed()

    def _close_when_fed(self) -> None:
        # Both close() and the feeder come here after a step that the other one looks for.
        if self._closing and not self._backlog:
            self._tasks.close()
            self._wake.close()

    def _ensure_feeder(self) -> None:
        with self._starting:
            if self._feeder is None:
                self._feeder = self._start_thread(self._feed_backlog, "PoolTasks")

    def _start_thread(self, function: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=function, name=name, daemon=True)
        if here() is self.owner:
            thread.start()
        else:
            threads.start_for(self.owner, thread.start)
        return thread

    def waiting(self) -> int:
        """How many tasks, or sources of tasks, wait for a worker."""
        return len(self._tasks) + len(self._backlog)

    # Callbacks

    def watched_results(self) -> _core.Channel:
        """The channel for results that a callback waits for."""
        with self._starting:
            if self._handler is None:
                self._handler = self._start_thread(self._handle_results, "PoolResults")
        return self.share.events

    def _handle_results(self) -> None:
        get = self.share.events.get
        while True:
            try:
                (job, index), *rest = get()
            except EOFError:
                return
            job.deliver((index, *rest))
            del job, rest

    def unfinished(self) -> Iterator[Any]:
        """The jobs of which results are missing, as far as somebody holds them."""
        jobs = [ref() for ref in list(self.jobs)]
        return (job for job in jobs if job is not None and not job.ready())

    # The end

    def close(self) -> None:
        """Take no more work; workers end when there is none left."""
        self._closing = True
        self._close_when_fed()

    def terminate(self) -> None:
        """End all workers at once, and drop what they had to do. Blocks until they have ended."""
        with self.lock:
            first, self.terminated = not self.terminated, True
        if first:
            self._drop_work()
            util.debug("terminating workers")
            for worker in self.workers:
                if worker.exitcode is None:
                    worker.terminate()
            self._forget_owner()
        for worker in self.workers:
            if worker.is_alive():
                worker.join()
        self.share.events.drain([])
        self._join_handler()

    def join(self) -> None:
        """Wait for the workers and the threads of the pool, after close() or terminate()."""
        if not self.terminated and self._feeder is not None:
            self._feeder.join()
        while True:
            for worker in list(self.workers):
                worker.join()
            with self.lock:
                if all(worker.exitcode is not None for worker in self.workers):
                    if self.terminated or not self._is_work_left():
                        break
                    self.maintain()
        self._join_handler()
        self._forget_owner()

    def _drop_work(self) -> None:
        self._closing = True
        self._tasks.close()
        self._wake.close()
        self._tasks.drain([])
        give_back(self.share.room)  # for the feeder, who may wait for it

    def _join_handler(self) -> None:
        self.share.events.close()
        handler = self._handler
        if handler is not None and handler is not threading.current_thread():
            handler.join()

    def _owner_ended(self) -> None:
        """Workers end as those of a process that was killed: when they are done with their task."""
        self.terminated = True
        self._drop_work()

    def _forget_owner(self) -> None:
        with suppress(ValueError):
            self.owner.child_watchers.remove(self._child_ended)
        with suppress(ValueError):
            self.owner.exit_functions.remove(self._owner_ended)

    def abandon(self) -> None:
        """terminate() in the owner's name, whoever asks: the pool has gone."""
        if self.terminated:
            return
        if self.owner is not MAIN and self.owner.stopping:
            self._owner_ended()
        elif here() is self.owner:
            self.terminate()
        else:
            with suppress(RuntimeError):  # the interpreter is ending
                threads.start_for(self.owner, self.terminate)
