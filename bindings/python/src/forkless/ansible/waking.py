# SPDX-License-Identifier: Apache-2.0
"""Wake the strategy instead of letting it poll.

The strategy runs in the controller's main thread and sleeps between two looks at its workers and
results. `wake` says that there is something to look at: a worker has ended, a result was handled,
a worker asks for something. It may be said too often, but never too early: what there is to see is
visible when it is said. The end of a worker is said by the worker itself, so whoever is woken
waits the last microseconds of it.
"""

from __future__ import annotations

import threading
from typing import Any

from forkless import _core

__all__ = ["Clock", "wake", "wake_after_put", "worker_ends"]

# Longest sleep, in seconds, should something happen that nobody announces.
PATIENCE = 0.05

# Locked while there is nothing new. Only the strategy locks it.
_nothing_new = threading.Lock()
_nothing_new.acquire()
_ending: list[Any] = []  # actors that run their last function


def wake() -> None:
    """End the sleep of the strategy, or its next one."""
    try:
        _nothing_new.release()
    except RuntimeError:
        pass  # it was said already


def worker_ends() -> None:
    """To be called by an actor when nothing of it is left to run."""
    _ending.append(_core.current())
    wake()


class Clock:
    """The module `time`, with a sleep that ends when there is something new."""

    def __init__(self, time: Any) -> None:
        self._time = time

    def __getattr__(self, name: str) -> Any:
        return getattr(self._time, name)

    def sleep(self, seconds: float) -> None:
        """Sleep until something happens, perhaps longer than was asked for."""
        if seconds > PATIENCE or _core.current() is not None:
            self._time.sleep(seconds)
        else:
            _nothing_new.acquire(timeout=PATIENCE)
            while _ending:
                _ending.pop().join(PATIENCE)


def wake_after_put(queue: Any) -> None:
    """Make every put on a `queue.Queue` wake the strategy."""
    put = queue.put

    def put_and_wake(*args: Any, **kwargs: Any) -> None:
        put(*args, **kwargs)
        wake()

    queue.put = put_and_wake
