# SPDX-License-Identifier: Apache-2.0
"""Simulated processes, and the state that each has to itself.

`here()` answers for whoever asks: the actor of this thread, or MAIN, which stands for the real process.
Both have the same attributes, so that the rest of the package does not ask which of them it deals with.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from forkless import _core

__all__ = [
    "FIRST_PID",
    "MAIN",
    "Actor",
    "MainActor",
    "Orphan",
    "elsewhere",
    "find",
    "find_here",
    "forget",
    "group_members",
    "here",
    "inheritance",
    "live",
    "orphans",
    "serials",
]

_real_getpid = os.getpid
_real_getppid = os.getppid
_real_getpgrp = getattr(os, "getpgrp", None)
_real_getsid = getattr(os, "getsid", None)

# Numbers simulated processes and ends of pipes in the order in which they are made.
serials = itertools.count(1)


class _State:
    """What every process has to itself, simulated or not.

    Most actors touch little of it. What is only annotated here is made for those who ask.
    """

    children: set[Any]  # process objects that were started and not yet joined
    process_counter: Iterator[int]
    finalizers: dict[Any, Any]  # see multiprocessing.util.Finalize
    after_fork: list[Any]  # calls that it makes first, see stdlib_util
    # Signal number -> handler, where it was set. Never changed, but replaced: children share it.
    handlers: dict[int, Any]
    streams: dict[str, Any]  # "stdin", "stdout", "stderr" -> object
    descriptors: dict[int, int | None]  # 0-2 -> the real one behind it; None: closed
    locals: dict[Any, Any]  # see forkless.isolation
    values: dict[Any, Any]  # see forkless.slots
    exit_functions: list[Callable[[], object]]  # see forkless.at_actor_exit
    atexit_functions: list[tuple[Any, tuple[Any, ...], dict[str, Any]]]
    # Further threads that act for it, by ident: a threading.Thread, or None for a bare one.
    helpers: dict[int, Any]
    last_calls: list[Callable[[], object]]  # to be made by the last of them
    # Called with a child that has ended or is about to, in any thread, perhaps twice.
    child_watchers: list[Callable[[Actor], object]]
    ends: dict[int, weakref.ref[Any]]  # of pipes, by number: see forkless.connection
    forked: dict[int, Actor]  # its live children of 'fork', by number, oldest first
    replaced: set[int]  # ends of its parent for which it has got duplicates
    # Its sockets and connections. No callbacks: one that runs when such an object goes would be a
    # place where an exception that is thrown at the process gets lost.
    opened: dict[int, weakref.ref[Any]]
    opened_most = 16  # when it has grown so far, those that are gone are taken out

    process: Any = None  # the object that current_process() returns
    exiting = False  # whether it has run its finalizers, as a process does at its end
    start_context: Any = None  # what set_start_method() set
    main_thread: Any = None
    timer: Any = None  # the pending signal.setitimer(ITIMER_REAL)

    def __getattr__(self, name: str) -> Any:
        begin = _BEGINNINGS.get(name)
        if begin is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        # Several threads of a process may ask at once: all get the same.
        return vars(self).setdefault(name, begin())

    def has(self, name: str) -> bool:
        """Whether there is anything in one of the containers above. Makes none."""
        return bool(vars(self).get(name))


_BEGINNINGS: dict[str, Callable[[], Any]] = {
    "process_counter": lambda: itertools.count(1),
    **dict.fromkeys(("children", "replaced"), set),
    **dict.fromkeys(("after_fork", "exit_functions", "atexit_functions"), list),
    **dict.fromkeys(("last_calls", "child_watchers"), list),
    **dict.fromkeys(("finalizers", "handlers", "streams", "descriptors"), dict),
    **dict.fromkeys(("locals", "values", "ends", "forked", "helpers", "opened"), dict),
}


# What a child gets from its parent when it is started: functions of both, run in the parent's thread.
inheritance: list[Callable[[Any, Any], object]] = []


class MainActor(_State):
    """The real process."""

    parent_process = None

    @property
    def pid(self) -> int:
        return _real_getpid()

    @property
    def ppid(self) -> int:
        return _real_getppid()

    @property
    def pgid(self) -> int:
        return _real_getpgrp() if _real_getpgrp is not None else self.pid

    @property
    def sid(self) -> int:
        return _real_getsid(0) if _real_getsid is not None else self.pid


class Actor(_core.Actor, _State):
    """A simulated process. `parent` is the actor, or MAIN, that starts it."""

    pgid: int
    sid: int
    native_id = 0  # of its own thread, once that runs
    is_distant = False  # whether it stands for one that runs in another interpreter
    ended: float | None = None  # time.time() of an end that its threads may survive
    reaped = False  # its exit code was asked for, so that its pid is gone
    _parent_process: Any = None

    def __init__(self, parent: Actor | MainActor, process: Any) -> None:
        self.parent = parent
        self.ppid = parent.pid
        self.pgid = parent.pgid
        self.sid = parent.sid
        self.process = process
        self.handlers = parent.handlers
        for inherit in inheritance:
            inherit(parent, self)
        self.serial = next(serials)
        ref = _Ref(self, _forget)
        ref.pid = pid = self.pid
        _by_pid[pid] = ref

    def kill(self, code: int, /) -> bool:
        published = super().kill(code)
        self.close_ends()
        if published:
            self.tell_parent()
        return published

    def exit_now(self, code: int, /) -> bool:
        published = super().exit_now(code)
        self.close_ends()
        if published:
            self.tell_parent()
        return published

    def tell_parent(self) -> None:
        """What SIGCHLD is to processes."""
        if self.parent.has("child_watchers"):
            for watcher in list(self.parent.child_watchers):
                watcher(self)

    def close_ends(self) -> None:
        """Let go of the pipes: it has ended, or is about to. All are closed afterwards, also those that
        another thread is about to close."""
        if self.parent.has("forked"):
            self.parent.forked.pop(self.serial, None)
        while self.has("ends"):
            for number, ref in self.ends.copy().items():
                end = ref()
                if end is not None:  # otherwise its destruction closes it
                    end._leave(self.pid)
                self.ends.pop(number, None)

    def note_opened(self, opened: Any) -> None:
        """Remember what it has to close when it ends. Any thread of it."""
        if len(self.opened) >= self.opened_most:
            for key, ref in self.opened.copy().items():
                if ref() is None:
                    self.opened.pop(key, None)
            self.opened_most = 16 + 2 * len(self.opened)
        ref = weakref.ref(opened)
        self.opened[id(ref)] = ref  # nobody else has that number as long as it is in there

    def still_opened(self) -> list[Any]:
        """What of it has not gone."""
        return [opened for ref in self.opened.copy().values() if (opened := ref()) is not None]

    @property
    def parent_process(self) -> Any:
        """What multiprocessing.parent_process() returns: made for those who ask."""
        if self._parent_process is None:
            from forkless.process import ParentProcess

            name = self.parent.process.name if self.parent.process is not None else "MainProcess"
            self._parent_process = ParentProcess(name, self.parent)
        return self._parent_process


class _Ref(weakref.ref["Actor"]):
    """A weak reference to an actor that knows its pid."""

    __slots__ = ("pid",)
    pid: int


def _forget(ref: _Ref) -> None:
    if _by_pid.get(ref.pid) is ref:  # not of another object that stands for the same process
        _by_pid.pop(ref.pid, None)


MAIN = MainActor()
_by_pid: dict[int, _Ref] = {}


# The simulated process that runs this thread, or MAIN.
here: Callable[[], Actor | MainActor] = _core.here
_core.set_real_process(MAIN)


class _Elsewhere:
    """What forkless.interpreters knows of processes that other interpreters have started."""

    find: Callable[[int], Actor | None] | None = None
    add: Callable[[dict[int, Actor]], None] | None = None


elsewhere = _Elsewhere()


def find(pid: int) -> Actor | None:
    """The actor with this pid, as long as somebody holds it and has not asked for its exit code."""
    actor = find_here(pid)
    if actor is None and elsewhere.find is not None:
        actor = elsewhere.find(pid)
    return None if actor is None or actor.reaped else actor


def find_here(pid: int) -> Actor | None:
    """The same among those that this interpreter has an object for."""
    ref = _by_pid.get(pid)
    return None if ref is None else ref()


def forget(actor: Actor) -> None:
    """An actor that another interpreter has started is over, and its number nobody's."""
    _by_pid.pop(actor.pid, None)


def live() -> list[Actor]:
    """The actors that have not ended."""
    found = {actor.pid: actor for actor in _all()}
    if elsewhere.add is not None:
        elsewhere.add(found)
    return [actor for actor in found.values() if actor.poll() is None]


def _all() -> list[Actor]:
    """The actors that this interpreter has an object for."""
    refs = _by_pid.copy().values()  # a copy, because other threads change it
    return [actor for ref in refs if (actor := ref()) is not None]


def group_members(pgid: int) -> list[Actor]:
    """The live actors of a process group."""
    return [actor for actor in live() if actor.pgid == pgid]


@dataclasses.dataclass(frozen=True)
class Orphan:
    """A simulated process that has ended while threads of it still run."""

    name: str
    pid: int
    exitcode: int
    since: float  # the time.time() of its end
    stacks: tuple[str, ...]  # where its threads are, as tracebacks show it; its main thread's first

    def __str__(self) -> str:
        when = time.strftime("%H:%M:%S", time.localtime(self.since))
        head = (
            f"{self.name} (pid {self.pid}) has ended with {self.exitcode} at {when} and still runs:"
        )
        return "\n".join((head, *self.stacks))


def orphans() -> list[Orphan]:
    """The simulated processes that have ended while threads of them still run, the oldest first.

    Such a thread is inside foreign code that nothing interrupts, or it swallows every exception. It
    goes on until it comes back, and keeps nobody from exiting. Never blocks.
    """
    import traceback

    found = []
    frames = sys._current_frames()
    for actor in _all():
        code = actor.poll()
        idents = [i for i in (actor.thread_ident, *actor.helpers.copy()) if i in frames]
        if code is not None and idents and actor.ended is not None:
            stacks = tuple("".join(traceback.format_stack(frames[i])).rstrip() for i in idents)
            found.append(Orphan(actor.process.name, actor.pid, code, actor.ended, stacks))
    return sorted(found, key=lambda orphan: orphan.pid)


# Simulated pids start here; the kernel's are below (see ext/actor.c).
FIRST_PID = 1 << 23
