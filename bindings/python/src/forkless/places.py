# SPDX-License-Identifier: Apache-2.0
"""What happens in an interpreter that simulated processes run in. Mirrors multiprocessing.spawn.

Such a place has a service thread, which waits for signals for the process that is there, and puts
everything in order when it has left. Processes come one after another; each has a thread of its own.

What a process leaves behind is dropped: the modules that were not there when the place was made, and what
it has changed in the globals of those that were. Attributes of classes and other objects of those stay as
they are.
"""

from __future__ import annotations

import gc
import os
import re
import sys
import types
from collections.abc import Callable
from multiprocessing import process as mp
from multiprocessing import spawn
from typing import Any

from forkless import _core, actors, stdlib_util
from forkless.actors import MAIN, Actor
from forkless.personality import ids, signals
from forkless.process import bootstrap

__all__ = ["attend", "attend_in_background", "door", "serve"]

door = _core.Channel()  # pids of processes that have got a signal; 0: the process has left
door.share()


# A process


class Resident(Actor):
    """A simulated process that another interpreter has started in this one."""

    sid = 0

    def __init__(self, orders: dict[str, Any]) -> None:
        self.settle(door)
        super().__init__(MAIN, _Arrival(self, orders))
        self.ppid = orders["ppid"]
        self.parent = actors.find(self.ppid) or MAIN
        self.pgid = orders["pgid"]
        self.sid = orders["sid"]
        self.locals["environ"] = dict(orders["environment"])
        self.handlers = dict.fromkeys(orders["ignored"], signals.IGNORE)

    @property
    def pgid(self) -> int:
        return self.group

    @pgid.setter
    def pgid(self, number: int) -> None:
        self.group = number

    @property
    def handlers(self) -> dict[int, Any]:
        handlers: dict[int, Any] = vars(self)["_handlers"]
        return handlers

    @handlers.setter
    def handlers(self, handlers: dict[int, Any]) -> None:
        vars(self)["_handlers"] = handlers
        self.caught = signals.mask_of_caught(handlers)

    def tell_parent(self) -> None:
        pass  # which looks for itself

    def obey(self) -> None:
        """Act on signals that came from other interpreters, or on an end that they have published."""
        code = self.poll()
        if code is not None:
            self.kill(code)
            ids.unwind(self, code)
            return
        mask = self.take_signals()
        for signum in range(1, mask.bit_length() + 1):
            if mask >> (signum - 1) & 1 and self.poll() is None:
                signals.deliver(self, signum)


class _Arrival(mp.BaseProcess):
    """The process object until that of the process has arrived."""

    def __init__(self, actor: Resident, orders: dict[str, Any]) -> None:
        self._identity = ()
        self._config: dict[str, Any] = dict(MAIN.process._config)
        self._inheriting = True  # it imports the main module, and must not start processes
        self._parent_pid = orders["ppid"]
        self._parent_name = orders["parent_name"]
        self._popen = None
        self._closed = False
        self._name = orders["preparation"]["name"]
        self._actor = actor
        self._orders = orders
        self._startup: Any = None

    def run(self) -> None:
        startup, self._startup = self._startup, None
        self._actor.obey()  # what was sent before there was a door to knock at
        try:
            spawn.prepare(self._orders["preparation"])
            self._actor.process = process_obj = startup.get()
            del startup
            process_obj.run()
        except ImportError as error:
            _explain(error)
            raise


_REFUSED = re.compile("module (\\S+) does not support loading in subinterpreters")


def _explain(error: BaseException) -> None:
    """Say what to do about a module that cannot be imported here."""
    cause: BaseException | None = error
    while cause is not None:
        refused = _REFUSED.search(str(cause))
        if refused:
            error.add_note(
                f"The extension module {refused[1]!r} cannot be imported by a process of the start method "
                "'interpreter', which has an interpreter of its own. The start method 'actor' runs it, in "
                "an interpreter that all processes share."
            )
            return
        cause = cause.__cause__ or cause.__context__


def serve(startup: _core.Channel) -> None:
    """The whole life of a process, in its thread."""
    orders = startup.get()
    _follow(orders)
    actor = Resident(orders)
    actor.process._startup = startup
    actor.start_context = None
    del startup
    if actor.poll() is None:  # else it was ended before it had a door
        bootstrap(actor)
    actors.forget(actor)


def _follow(orders: dict[str, Any]) -> None:
    """Have simulated processes stand for the start methods as it is where this one was started."""
    from forkless import activation

    if orders["installed"]:
        activation.install(isolation=orders["isolation"])
    elif activation.is_installed():
        activation.uninstall()
    activation.activate()
    if orders["tracker"] is not None:
        stdlib_util.use_tracker(orders["tracker"])


# The service thread


def _adapt_library() -> None:
    """Replace what makes no sense here, for good."""
    sys._current_frames = _core.current_frames  # see there
    # Nobody forks here, and a module that is imported by one process after another would register, and be
    # kept, each time.
    if hasattr(os, "register_at_fork"):
        os.register_at_fork = _register_nothing


def _register_nothing(**functions: Any) -> None:
    """What os.register_at_fork() is where no fork is possible."""


def attend() -> None:
    """Wait for what others have to say, until the place shall be no more. Runs in the service thread."""
    from forkless import activation

    activation.activate()
    _adapt_library()
    baseline = _Baseline()
    _core.ready()
    while True:
        try:
            number = int.from_bytes(door.get(), sys.byteorder)
        except EOFError:
            break
        if number:
            _pass_on(number)
        elif not _core.vacate(_is_left() and baseline.restore()):
            break
    vars(sys)["unraisablehook"] = sys.__unraisablehook__  # ours is gone before the last finalizer


def _pass_on(pid: int) -> None:
    actor = actors.find_here(pid)
    if isinstance(actor, Resident):
        actor.obey()
    elif actor is not None:
        _obey_here(actor)


def _obey_here(actor: Actor) -> None:
    Resident.obey(actor)  # type: ignore[arg-type]


_attending = False


def attend_in_background() -> None:
    """Have a thread that passes signals of other interpreters on to the processes in this one."""
    global _attending
    if not _attending:
        from _thread import start_new_thread

        _attending = True
        start_new_thread(_attend_here, ())


def _attend_here() -> None:
    while True:
        _pass_on(int.from_bytes(door.get(), sys.byteorder))


def _is_left() -> bool:
    """Wait until no thread is left of the process that was here. False: the end has come before."""
    pause, waited = 0.0005, 0.0
    while _core.count_threads() > 1:
        if waited > 0.05 and _core.linger():
            return False
        _core.sleep(pause)
        waited += pause
        pause = min(pause * 2, 0.05)
    return True


# What is put in order

_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (sys.getswitchinterval, sys.setswitchinterval),
    (sys.getrecursionlimit, sys.setrecursionlimit),
    (gc.get_threshold, lambda threshold: gc.set_threshold(*threshold)),
)
_MOST_ITEMS = 2000  # of a container that is looked after


class _Baseline:
    """The modules of a place as they were when it was made."""

    def __init__(self) -> None:
        self._modules = dict(sys.modules)
        self._globals = [
            (vars(module), dict(vars(module)))
            for name, module in self._modules.items()
            if isinstance(module, types.ModuleType) and name.partition(".")[0] not in _OURS
        ]
        self._containers = self._find_containers()
        self._settings = [(set_, get()) for get, set_ in _SETTINGS]
        gc.collect()
        gc.freeze()

    def _find_containers(self) -> list[tuple[Any, Any]]:
        found: dict[int, tuple[Any, Any]] = {}
        for _, names in self._globals:
            for name, value in names.items():
                kept = type(value) in (dict, list, set) and len(value) <= _MOST_ITEMS
                if kept and name not in _LIVING and value is not sys.modules:
                    found[id(value)] = value, value.copy()
        return list(found.values())

    def restore(self) -> bool:
        """Make everything what it was. Returns whether that could be done."""
        for set_, value in self._settings:
            set_(value)
        gc.enable()
        self._restore_modules()
        for now, before in self._globals:
            if not _is_same(now, before):
                now.clear()
                now.update(before)
        for now, before in self._containers:
            if not _is_same(now, before):
                now.clear()
                (now.extend if type(now) is list else now.update)(before)
        gc.collect()
        return True

    def _restore_modules(self) -> None:
        modules = sys.modules
        for name in list(modules):
            if name not in self._modules:
                del modules[name]
        for name, module in self._modules.items():
            if modules.get(name) is not module:
                modules[name] = module


_OURS = {"forkless", "_thread", "threading"}
_LIVING = {"_active", "_limbo"}


def _is_same(now: Any, before: Any) -> bool:
    try:
        return bool(now == before)
    except Exception:  # a comparison that somebody has defined
        return False
