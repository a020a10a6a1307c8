# SPDX-License-Identifier: Apache-2.0
"""Process ids, groups, sessions, and the end of a process: the part of `os` that an actor has to itself.

Differs from processes: os._exit() unwinds the thread, so that `finally` blocks run, while the exit
code is published at once. Group and session ids of actors are numbers without a terminal behind them.
"""

from __future__ import annotations

import _thread
import errno
import os
import signal
import time
from typing import Any, NoReturn

from forkless import _core
from forkless.actors import FIRST_PID, Actor, find, here
from forkless.patches import PatchSet
from forkless.personality.waits import wait_for_child

__all__ = ["end_now", "install", "no_such_process", "unwind"]


def no_such_process() -> ProcessLookupError:
    """What system calls say of a pid or group that nobody has."""
    return ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))


def _target(pid: int) -> Actor | None:
    """The actor that a pid argument names (0: the caller); None: it is the kernel's business."""
    if pid == 0:
        return _core.current()
    if pid < FIRST_PID:
        return None
    actor = find(pid)
    if actor is None:
        raise no_such_process()
    return actor


def install(patches: PatchSet) -> None:
    """Replace the functions of `os`. Each does what it did for the real process."""
    for function in (
        *(_identity_functions(os)),
        *(_group_functions(os)),
        *(_ending_functions(os)),
    ):
        if hasattr(os, function.__name__):
            patches.attribute(os, function.__name__, function)
    patches.attribute(os, "getpid", _core.getpid)


def _function(module: Any, name: str) -> Any:
    """A function that a platform may lack. Then install() does not add it either."""
    return getattr(module, name, None)


def _identity_functions(real_os: Any) -> list[Any]:
    real_getppid = _function(real_os, "getppid")

    def getppid() -> int:
        actor = _core.current()
        return real_getppid() if actor is None else actor.ppid

    return [getppid]


def _group_functions(real_os: Any) -> list[Any]:
    real_getpgid, real_getpgrp, real_getsid, real_setpgid, real_setsid = (
        _function(real_os, name) for name in ("getpgid", "getpgrp", "getsid", "setpgid", "setsid")
    )

    def getpgid(pid: int) -> int:
        actor = _target(pid)
        return real_getpgid(pid) if actor is None else actor.pgid

    def getpgrp() -> int:
        actor = _core.current()
        return real_getpgrp() if actor is None else actor.pgid

    def getsid(pid: int) -> int:
        actor = _target(pid)
        return real_getsid(pid) if actor is None else actor.sid

    def setsid() -> None:
        actor = _core.current()
        if actor is None:
            real_setsid()
        elif actor.pgid == actor.pid:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        else:
            actor.sid = actor.pgid = actor.pid

    def setpgid(pid: int, pgrp: int) -> None:
        actor = _target(pid)
        if actor is None:
            real_setpgid(pid, pgrp)
        elif actor.sid == actor.pid:  # a session leader cannot change its group
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        else:
            actor.pgid = pgrp or actor.pid

    def setpgrp() -> None:
        if _core.current() is None:
            real_setpgid(0, 0)
        else:
            setpgid(0, 0)

    return [getpgid, getpgrp, getsid, setsid, setpgid, setpgrp]


def _ending_functions(real_os: Any) -> list[Any]:
    real_exit, real_abort = real_os._exit, real_os.abort
    real_waitpid = _function(real_os, "waitpid")

    def _exit(status: int) -> NoReturn:
        actor = _core.current()
        if actor is None:
            real_exit(status)
        end_now(actor, status & 0xFF)

    def abort() -> NoReturn:
        actor = _core.current()
        if actor is None:
            real_abort()
        end_now(actor, -signal.SIGABRT)

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        actor = find(pid) if pid >= FIRST_PID else None
        if actor is None:
            if _core.current() is None:
                return real_waitpid(pid, options)
            return wait_for_child(real_waitpid, pid, options)
        if actor.parent is not here():
            raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))
        code = actor.poll() if options & os.WNOHANG else actor.join()
        if code is None:
            return 0, 0
        actor.reaped = True
        return pid, -code if code < 0 else code << 8

    return [_exit, abort, waitpid]


def end_now(actor: Actor, code: int) -> NoReturn:
    """End `actor` from within: publish its exit code and unwind all of its threads."""
    if actor.exit_now(code):
        actor.ended = time.time()
    unwind(actor, code)
    raise _core.ProcessExit(code)


def unwind(actor: Actor, code: int) -> None:
    """Raise ProcessExit in the threads of an actor, except for the calling one."""
    if actor.thread_ident != _thread.get_ident():
        actor.throw(_core.ProcessExit(code))
    actor.throw_at_threads()
