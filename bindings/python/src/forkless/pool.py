# SPDX-License-Identifier: Apache-2.0
"""Pools. Mirrors multiprocessing.pool, and uses it.

The standard pool reads the pipes inside its SimpleQueues, so it gets queues that have pipes.
"""

from __future__ import annotations

from multiprocessing import pool as mp
from multiprocessing import queues as mp_queues
from typing import Any

__all__ = ["PipeQueue", "Pool"]


class PipeQueue(mp_queues.SimpleQueue):
    """The SimpleQueue of the standard library, under a name that it can be pickled by: install()
    puts another class where that one stands."""

    keeps_pipe = True  # see queues.take_over()


class _PipeContext:
    """A context whose SimpleQueue is that of the standard library."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def SimpleQueue(self) -> Any:
        return PipeQueue(ctx=self._context)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


class Pool(mp.Pool):
    """A pool of simulated processes."""

    def __init__(
        self,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
        maxtasksperchild: int | None = None,
        context: Any = None,
    ) -> None:
        from multiprocessing import get_context

        context = _PipeContext(context or get_context())
        super().__init__(processes, initializer, initargs, maxtasksperchild, context)
