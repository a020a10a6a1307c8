# SPDX-License-Identifier: Apache-2.0
"""Processors and priorities: the functions of `os` that take a pid and that Linux applies to a thread.

For the caller (pid 0) they act on its thread as they are. The pid of an actor is translated into the
kernel's name of its main thread. Only on Linux: elsewhere these are properties of the real process.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from forkless.actors import FIRST_PID, find
from forkless.patches import PatchSet
from forkless.personality.ids import no_such_process

__all__ = ["install"]

_BY_PID = (
    "sched_getaffinity",
    "sched_setaffinity",
    "sched_getscheduler",
    "sched_setscheduler",
    "sched_getparam",
    "sched_setparam",
    "sched_rr_get_interval",
)


def _native(pid: Any) -> Any:
    if not isinstance(pid, int) or pid < FIRST_PID:
        return pid
    actor = find(pid)
    if actor is None or not actor.native_id or actor.poll() is not None:
        raise no_such_process()
    return actor.native_id


def install(patches: PatchSet) -> None:
    """Translate the pids."""
    if sys.platform != "linux":
        return
    for name in _BY_PID:
        if hasattr(os, name):
            patches.attribute(os, name, _translating(getattr(os, name)))
    for name in ("getpriority", "setpriority"):
        if hasattr(os, name):
            patches.attribute(os, name, _translating_priority(getattr(os, name)))


def _translating(original: Any) -> Any:
    def function(pid: int, *args: Any) -> Any:
        return original(_native(pid), *args)

    function.__doc__ = original.__doc__
    return function


def _translating_priority(original: Any) -> Any:
    def function(which: int, who: int, *args: Any, **priority: Any) -> Any:
        return original(which, _native(who) if which == os.PRIO_PROCESS else who, *args, **priority)

    function.__doc__ = original.__doc__
    return function
