# SPDX-License-Identifier: Apache-2.0
"""The start method 'interpreter': simulated processes in interpreters of their own. Mirrors
multiprocessing.popen_spawn_posix.

Each has its own GIL, modules and globals, so that they run Python code in parallel. A child gets what a
child of 'spawn' gets: the main module is imported anew, the process object and its arguments are pickled.
Queues, locks and pipes are those of the start method 'actor'.

This is the side of those who start a process, and of all others that know of one which runs in another
interpreter; forkless.places is the side of the process.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import os
import signal
import sys
import threading
from _thread import get_ident
from contextlib import suppress
from multiprocessing import context as mp_context
from multiprocessing import util
from typing import Any, NoReturn

from forkless import _core, actors, stdlib, stdlib_util
from forkless.actors import MAIN, Actor, here
from forkless.popen import Popen
from forkless.process import ActorProcess

__all__ = ["Distant", "InterpreterPopen", "InterpreterProcess", "check_available", "known"]

_LEAST_KEPT = 4  # vacant interpreters
_ALL_BUT_KILL = ((1 << 64) - 1) & ~(1 << (signal.SIGKILL - 1))
_register_at_exit = atexit.register  # for the real process, whoever calls it


def check_available() -> None:
    """Raises ValueError where there are no interpreters that simulated processes can run in."""
    if sys.version_info < (3, 13):
        raise ValueError(
            "the start method 'interpreter' needs CPython 3.13 or later: before, an interpreter with a "
            "GIL of its own cannot import what multiprocessing needs"
        )


class Distant(Actor):
    """Stands for a simulated process that runs in another interpreter."""

    is_distant = True

    @property
    def pgid(self) -> int:
        return self.group or vars(self)["_pgid"]

    @pgid.setter
    def pgid(self, number: int) -> None:
        vars(self)["_pgid"] = number
        if self.group:
            self.group = number

    def deliver(self, signum: int) -> None:
        """Send it a signal. One that ends it does so at once, whatever its interpreter is doing."""
        from forkless.personality import signals

        bit = 1 << (signum - 1)
        if not self.caught & bit and signals.is_deadly(signum):
            signals.terminate(self, signum)
        else:
            self.post(signum)

    def throw(self, exception: BaseException, /) -> None:
        self.post(0)  # its interpreter sees that it has ended, and unwinds it

    def throw_at_threads(self) -> int:
        return 0


def known(pid: int) -> Distant | None:
    """A process of another interpreter that lives, by its pid."""
    distant: Any = Distant.__new__(Distant)
    if not distant.stand_for(pid) or distant.poll() is not None:
        return None
    distant.__init__(MAIN, None)
    return distant


def _look_around(found: dict[int, Actor]) -> None:
    """Add the processes that other interpreters have started and that live."""
    for pid, _group in _core.processes():
        if pid not in found:
            distant = known(pid)
            if distant is not None:
                found[pid] = distant


actors.elsewhere.find = known
actors.elsewhere.add = _look_around


class InterpreterProcess(ActorProcess):
    """Process of the start method 'interpreter'."""

    _start_method = "interpreter"

    @staticmethod
    def _Popen(process_obj: Any) -> Any:
        return InterpreterPopen(process_obj)


class InterpreterPopen(Popen):
    """A process that was started in an interpreter of its own."""

    method = "interpreter"

    def _launch(self, process_obj: Any, like_fork: bool) -> None:
        check_available()
        _open_places()
        parent = here()
        self._actor = actor = Distant(parent, process_obj)
        self.pid = actor.pid
        startup = _core.Channel()
        startup.share()
        mp_context.set_spawning_popen(self)
        try:
            startup.put(_orders(process_obj, parent, actor))
            _put_process(startup, process_obj)
        finally:
            mp_context.set_spawning_popen(None)
        if isinstance(parent, Actor) and not parent.group:
            parent.announce(_door_of_home(), parent.pgid)
            parent.caught = _ALL_BUT_KILL  # it knows itself what it has set
        ignored = {s: h for s, h in parent.handlers.items() if h == signal.SIG_IGN}
        caught = sum(1 << (s - 1) for s in {*ignored, *_caught_at_start()})
        actor.start_elsewhere(startup, actor.pgid, caught, process_obj._name[:31])


def _caught_at_start() -> set[int]:
    return {signal.SIGINT}


def _put_process(startup: Any, process_obj: Any) -> None:
    try:
        startup.put(process_obj)
    except Exception as error:
        error.add_note(
            f"while starting {process_obj._name!r}: what another interpreter gets must be picklable, as "
            "with the start method 'spawn'"
        )
        raise


def _orders(process_obj: Any, parent: Any, actor: Actor) -> dict[str, Any]:
    """What a child is told first, as plain data."""
    from forkless import activation
    from forkless.personality import environment

    preparation = stdlib.preparation_data(process_obj._name)
    preparation["start_method"] = stdlib.start_context(process_obj)._name
    return {
        "preparation": preparation,
        "pid": actor.pid,
        "ppid": parent.pid,
        "parent_name": parent.process.name if parent.process is not None else "MainProcess",
        "pgid": actor.pgid,
        "sid": actor.sid,
        "ignored": [s for s, h in parent.handlers.items() if h == signal.SIG_IGN],
        "tracker": stdlib_util.tracker_descriptor(),
        "environment": environment.of_process(parent),
        "installed": activation.is_installed(),
        "isolation": activation.isolation(),
    }


_opened = False


def _open_places() -> None:
    global _opened
    if not _opened:
        sys._current_frames = _core.current_frames  # see there
        # Its types are static: they belong to the first interpreter that imports it, which must be the one
        # that lasts. Checked on CPython 3.13.0, where the real process dies at its end if it is not.
        importlib.import_module("_datetime")
        processors = os.cpu_count() or 1
        code = f"import sys; sys.path[:] = {sys.path!r}"
        _core.open_places(code, max(_LEAST_KEPT, processors), processors)
        if _core.IS_MAIN:
            _register_at_exit(_close_places)
            _note_exits()
            _guard_forks()
        _opened = True


def _close_places() -> None:
    """End all interpreters, at the end of the real process, when multiprocessing has ended its processes.

    Where orphans are in one the real process ends here and now: Python would wait for them, or take the
    interpreter away from under them.
    """
    util._exit_function()  # type: ignore[attr-defined]
    left, before = _core.close_places(1.0, True), 1 << 30
    while 0 < left < before:
        left, before = _core.close_places(1.0, True), left
    if left:
        _leave_at_once()


def _guard_forks() -> None:
    """The child of a real fork cannot get rid of other interpreters: it would abort. So there must be none
    at that time."""
    for name in ("fork", "forkpty"):
        if hasattr(os, name):
            setattr(os, name, _without_places(getattr(os, name)))


def _without_places(fork: Any) -> Any:
    @functools.wraps(fork)
    def guarded() -> Any:
        if _core.close_places(0.5, False):
            raise RuntimeError(
                f"os.{fork.__name__}() while simulated processes run in interpreters of their own: "
                "CPython cannot go on in the child then"
            )
        return fork()

    return guarded


def _leave_at_once() -> None:
    logging: Any = sys.modules.get("logging")
    for flush in (getattr(logging, "shutdown", None), sys.stdout.flush, sys.stderr.flush):
        with suppress(Exception):
            if flush is not None:
                flush()
    os._exit(_exit_code())


_noted_code: Any = None  # what the main thread told sys.exit()


def _note_exits() -> None:
    """Nobody tells exit functions with which code Python ends. It is what sys.exit() was told, or 1 after
    an exception that nobody has caught."""
    original = sys.exit

    def exit_(status: Any = None, /) -> NoReturn:
        global _noted_code
        if _core.current() is None and get_ident() == threading.main_thread().ident:
            _noted_code = 0 if status is None else status
        original(status)

    exit_.__name__ = exit_.__qualname__ = "exit"
    exit_.__module__ = "sys"
    sys.exit = exit_


def _exit_code() -> int:
    if isinstance(_noted_code, int):
        return _noted_code & 0xFF
    return 1 if _noted_code is not None or hasattr(sys, "last_exc") else 0


def _door_of_home() -> Any:
    from forkless import places

    if _core.IS_MAIN:
        places.attend_in_background()
    return places.door
