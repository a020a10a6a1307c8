# SPDX-License-Identifier: Apache-2.0
"""The one module that reaches into private parts of concurrent.futures.

Checked on CPython 3.11 to 3.14. What is used: the tables of threads, ``_threads_queues`` in
``concurrent.futures.thread`` and ``_threads_wakeups`` in ``concurrent.futures.process``, whose keys are
threads that are to be told when a process exits; how these lead to their executors, ``_args[0]`` and
``executor_reference``.
"""

from __future__ import annotations

import sys
from typing import Any

from forkless.actors import Actor

__all__ = ["shut_down_executors"]


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
