# SPDX-License-Identifier: Apache-2.0
"""The one module that reaches into private parts of concurrent.futures.

Checked on CPython 3.11 to 3.14. What is used: the tables of threads, ``_threads_queues`` in
``concurrent.futures.thread`` and ``_threads_wakeups`` in ``concurrent.futures.process``, whose keys are
threads that are to be told when a process exits; how these lead to their executors, ``_args[0]`` and
``executor_reference``; and that the queue of calls is of a class of ``concurrent.futures.process``, whose
first ``put()`` raises RuntimeError when no thread can be started, which breaks the executor.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from forkless.actors import Actor

__all__ = ["queue_members", "shut_down_executors"]


def _executor_of(thread: Any) -> Any:
    """The executor that a worker or manager thread serves; None if it is gone, or the thread."""
    refer = getattr(thread, "executor_reference", None)
    if refer is None:
        refer = next(iter(getattr(thread, "_args", ())), None)
    return refer() if callable(refer) else None


def shut_down_executors(actor: Actor) -> None:
    """Do to the executors that an actor has left open what a process does when it exits: what was
    submitted is still done, then their threads and workers end. Does not wait."""
    for module, table in (("process", "_threads_wakeups"), ("thread", "_threads_queues")):
        threads: Any = getattr(sys.modules.get(f"concurrent.futures.{module}"), table, ())
        for thread in list(threads):
            executor = _executor_of(thread) if thread.ident in actor.helpers else None
            if executor is not None:
                executor.shutdown(wait=False)


def queue_members(cls: type, put: Callable[..., None]) -> dict[str, Any]:
    """What a queue that stands for one of class `cls` has on top of ours, whose put() is given.

    With processes the queue of calls starts a thread. Where none can be started any more, because the
    interpreter ends, an executor takes that for its own end: calls that would not be served in any case
    fail at once. So the queue finds out, with its first call.
    """
    if cls.__module__ != "concurrent.futures.process":
        return {}

    def put_once_threads_start(self: Any, *args: Any, **kwargs: Any) -> None:
        if not vars(self).get("_threads_start"):
            thread = threading.Thread(target=bool, name="QueueFeederThread", daemon=True)
            thread.start()
            thread.join()
            self._threads_start = True
        put(self, *args, **kwargs)

    return {"put": put_once_threads_start}
