# SPDX-License-Identifier: Apache-2.0
"""The memory behind the standard library's sharedctypes, shared by simulated processes.

Together with stdlib.py the only module that reaches into private parts of multiprocessing. Checked on
CPython 3.11 to 3.14. What is used: ``multiprocessing.heap``'s ``Heap._lastpid``, ``Arena`` and
``BufferWrapper``, and ``ForkingPickler._extra_reducers``.

There is one heap in a real process, and all of its simulated processes allocate from it: it must not
begin anew in each of them, as it does after a fork. What crosses to a child is the block itself, not a
second mapping of its file; it is free when neither parent nor child has it any more.
"""

from __future__ import annotations

import os
import types
from multiprocessing import context
from multiprocessing.reduction import ForkingPickler
from typing import Any

from forkless.actors import MAIN
from forkless.isolation import when_imported
from forkless.patches import PatchSet
from forkless.reduction import reference

__all__ = ["install"]

_MODULE = "multiprocessing.heap"


def install(patches: PatchSet) -> None:
    """Replace what has to be, now or when a program imports the module."""
    installed = [True]
    patches.call_on_undo(installed.clear)

    def adapt(heap: types.ModuleType) -> None:
        if installed:
            _adapt(heap, patches)

    when_imported(_MODULE, adapt)


def _adapt(heap: Any, patches: PatchSet) -> None:
    patches.attribute(heap.Heap, "_lastpid", _heap_pid())
    reducers: dict[type, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
    for cls in (heap.Arena, heap.BufferWrapper):
        patches.item(reducers, cls, _by_reference(reducers.get(cls)))


def _heap_pid() -> property:
    """The pid that a heap remembers: it is still at home in every actor of the same real process."""

    def get(heap: Any) -> int:
        return os.getpid() if vars(heap)["_lastpid"] == MAIN.pid else -1

    def set_(heap: Any, pid: int) -> None:
        vars(heap)["_lastpid"] = MAIN.pid

    return property(get, set_)


def _by_reference(original: Any) -> Any:
    def reduce(obj: Any) -> Any:
        if getattr(context.get_spawning_popen(), "method", None) == "actor":
            return reference(obj)
        return obj.__reduce_ex__(2) if original is None else original(obj)

    return reduce
