# SPDX-License-Identifier: Apache-2.0
"""Simulated processes, and the state that each has to itself.

`here()` answers for whoever asks: the actor of this thread, or MAIN, which stands for the real process.
Both have the same attributes, so that the rest of the package does not ask which of them it deals with.
"""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable
from typing import Any

from forkless import _core

__all__ = ["FIRST_PID", "MAIN", "Actor", "MainActor", "find", "group_members", "here"]

_real_getpid = os.getpid
_real_getppid = os.getppid


class _State:
    """What every process has to itself, simulated or not."""

    def _init_state(self) -> None:
        self.process: Any = None  # the object that current_process() returns
        self.parent_process: Any = None
        self.children: set[Any] = set()  # process objects that were started and not yet joined
        self.process_counter = itertools.count(1)
        self.handlers: dict[int, Any] = {}  # signal number -> handler, where it was set
        self.streams: dict[str, Any] = {}  # "stdin", "stdout", "stderr" -> object
        self.descriptors: dict[int, int | None] = {}  # 0-2 -> the real one behind it; None: closed
        self.locals: dict[Any, Any] = {}  # see forkless.isolation
        self.exit_functions: list[Callable[[], object]] = []  # see forkless.at_actor_exit
        self.atexit_functions: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self.helpers: set[int] = set()  # idents of further threads that act for it
        self.main_thread: Any = None
        self.timer: Any = None  # the pending signal.setitimer(ITIMER_REAL)


class MainActor(_State):
    """The real process."""

    def __init__(self) -> None:
        self._init_state()

    @property
    def pid(self) -> int:
        return _real_getpid()

    @property
    def ppid(self) -> int:
        return _real_getppid()

    @property
    def pgid(self) -> int:
        return os.getpgrp() if hasattr(os, "getpgrp") else self.pid

    @property
    def sid(self) -> int:
        return os.getsid(0) if hasattr(os, "getsid") else self.pid


class Actor(_core.Actor, _State):
    """A simulated process. `parent` is the actor, or MAIN, that starts it."""

    pgid: int
    sid: int

    def __init__(self, parent: Actor | MainActor, process: Any) -> None:
        self._init_state()
        self.parent = parent
        self.ppid = parent.pid
        self.pgid = parent.pgid
        self.sid = parent.sid
        self.process = process
        self.handlers.update(parent.handlers)
        self.reaped = False  # its exit code was asked for, so that its pid is gone
        _by_pid[self.pid] = self


MAIN = MainActor()
_by_pid: weakref.WeakValueDictionary[int, Actor] = weakref.WeakValueDictionary()


def here() -> Actor | MainActor:
    """The simulated process that runs this thread, or MAIN."""
    return _core.current() or MAIN


def find(pid: int) -> Actor | None:
    """The actor with this pid, as long as somebody holds it and has not asked for its exit code."""
    actor = _by_pid.get(pid)
    return None if actor is None or actor.reaped else actor


def group_members(pgid: int) -> list[Actor]:
    """The live actors of a process group."""
    # valuerefs(), because values() iterates over what other threads change.
    actors = [ref() for ref in _by_pid.valuerefs()]
    return [a for a in actors if a is not None and a.pgid == pgid and a.poll() is None]


# Simulated pids start here; the kernel's are below (see ext/actor.c).
FIRST_PID = 1 << 23
