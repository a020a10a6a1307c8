# SPDX-License-Identifier: Apache-2.0
"""What the standard library's multiprocessing does on a platform without processes.

Together with stdlib.py the only module that reaches into its private parts. Checked on CPython 3.11 to
3.14. What is used:

- ``multiprocessing.context``: ``_default_context`` with its ``_default_context`` and ``_actual_context``, the ``_Popen`` of ``ForkProcess``,
  ``SpawnProcess`` and ``ForkServerProcess``, and what stdlib.register() has put there;
- ``multiprocessing.resource_tracker``: ``_resource_tracker``, ``ResourceTracker.ensure_running``,
  ``getfd``, ``_check_alive``, ``_stop`` and ``_send``, ``_lock``, ``_pid`` and ``_exitcode``, ``_CLEANUP_FUNCS``;
- ``multiprocessing.heap.Arena._dir_candidates``.

None of it is taken back: without it these parts cannot work at all.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable
from multiprocessing import context, resource_tracker, util
from typing import Any, NoReturn

from forkless import _core, missing
from forkless.actors import Actor, here
from forkless.patches import PatchSet

__all__ = ["adapt", "install_aliases"]

_STANDARD = ("ForkProcess", "SpawnProcess", "ForkServerProcess")
_LONGEST = 512  # of what is sent to a process that tracks resources: names have the same limit here
_LAST = -(1 << 30)  # after all finalizers of other people


class _TrackerProcess(Actor):
    """What stands for the process that tracks resources: it runs nothing, and signals reach it."""

    def __init__(self) -> None:
        super().__init__(here(), None)
        self.handlers = {signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_IGN}
        self._code: int | None = None
        self._has_ended = _core.SemLock(1, 0, 1)

    def poll(self) -> int | None:
        return self._code

    def join(self, timeout: Any = None, thread: bool = False) -> int | None:
        if self._has_ended.acquire(True, timeout):
            self._has_ended.release()
        return self._code

    def kill(self, code: int, /) -> bool:
        if self._code is None:
            self._code = code
            self._has_ended.release()
            return True
        return False


class LocalTracker(resource_tracker.ResourceTracker):
    """The resource tracker where no process can be started for it, or where the resources are this
    process's own: it keeps the names here, and cleans up when the process ends.

    With the process that stands for another one the names are not lost.
    """

    _process: _TrackerProcess | None = None  # once somebody has asked for one
    _fd: int | None  # these three are known to its base
    _pid: int | None
    _exitcode: int | None

    @property
    def _resources(self) -> dict[str, set[str]]:
        """Resource type -> names that were not unregistered."""
        return vars(self).setdefault("_kept", {})

    def _keeps(self, rtype: str) -> bool:
        return not missing.has_processes() or rtype == "shared_memory"

    def ensure_running(self) -> None:
        if missing.has_processes():
            super().ensure_running()
            return
        with self._lock:  # type: ignore[attr-defined]
            if self._process is not None and self._process.poll() is None:
                return
            died, self._process = self._process, _TrackerProcess()
            self._pid, self._exitcode = self._process.pid, None
        if died is not None:
            warnings.warn(
                "resource_tracker: process died unexpectedly, relaunching.  Some resources might leak.",
                stacklevel=2,
            )

    def _stop(self, *args: Any, **kwargs: Any) -> None:
        if self._fd is not None:
            super()._stop(*args, **kwargs)  # type: ignore[misc]
        elif self._process is not None:
            self._process.kill(1 if any(self._resources.values()) else 0)
            self._exitcode = self._process.poll()
            self.clean()

    def getfd(self) -> int | None:
        if not missing.has_processes():
            raise _unsupported("there is no process that tracks resources")
        return super().getfd()

    def _check_alive(self) -> bool:
        return not missing.has_processes() or super()._check_alive()  # type: ignore[misc]

    def _send(self, cmd: str, name: str, rtype: str) -> None:
        if not self._keeps(rtype):
            super()._send(cmd, name, rtype)  # type: ignore[misc]
        elif len(f"{cmd}:{name}:{rtype}\n") > _LONGEST:
            raise ValueError("msg too long")
        elif cmd == "REGISTER":
            self._left(rtype).add(name)
        elif cmd == "UNREGISTER":
            self._left(rtype).discard(name)

    def _left(self, rtype: str) -> set[str]:
        if rtype not in resource_tracker._CLEANUP_FUNCS:  # type: ignore[attr-defined]
            raise ValueError(f"unknown resource type {rtype!r}")
        return self._resources.setdefault(rtype, set())

    def clean(self) -> None:
        """Warn of what was left and remove it, as the process that tracks resources does at its end."""
        self._pid = self._process = None
        for rtype, names in self._resources.items():
            if names and rtype != "dummy":
                listed = f": {names}" if sys.version_info >= (3, 13) else ""
                warnings.warn(
                    f"resource_tracker: There appear to be {len(names)} leaked {rtype} objects to "
                    f"clean up at shutdown{listed}",
                    stacklevel=1,
                )
            while names:
                name = names.pop()
                try:
                    resource_tracker._CLEANUP_FUNCS[rtype](name)  # type: ignore[attr-defined]
                except Exception as error:
                    warnings.warn(f"resource_tracker: {name!r}: {error}", stacklevel=1)


def _unsupported(what: str) -> OSError:
    return OSError(errno.ENOTSUP, f"{sys.platform} does not support processes: {what}")


def _refuse(process_obj: Any) -> NoReturn:
    raise _unsupported(
        f"the start method {process_obj._start_method!r} cannot start any, 'actor' can; "
        "forkless.install() makes it start actors"
    )


def adapt(is_installed: Callable[[], bool], serve_default_context: Callable[[], None]) -> None:
    """Make multiprocessing do without what the platform lacks; nothing where it lacks nothing.

    `is_installed` tells whether the standard start methods run on actors.
    """
    if not missing.has_processes():
        _prefer_actors(is_installed)
        serve_default_context()
    if not missing.has_processes() or missing.shared_memory_is_ours():
        _track_here()
    if sys.platform == "linux" and not os.access("/dev/shm", os.W_OK | os.X_OK):
        from multiprocessing import heap

        heap.Arena._dir_candidates = []  # type: ignore[attr-defined]


_platform_default: list[Any] = []  # the context that is the default elsewhere, if it was replaced


def install_aliases(patches: PatchSet) -> None:
    """Where all start methods run on actors, the default is what it is on platforms with processes."""
    if _platform_default:
        default: Any = context._default_context
        actor = default._default_context

        def forget() -> None:
            if default._actual_context is _platform_default[0]:
                default._actual_context = actor  # it can start nothing any more

        patches.call_on_undo(forget)
        patches.attribute(default, "_default_context", _platform_default[0])


def _prefer_actors(is_installed: Callable[[], bool]) -> None:
    known: Any = context._forkless_start_methods  # type: ignore[attr-defined]

    def start_methods(default_context: Any) -> list[str]:
        return known(default_context) if is_installed() else ["actor"]

    context._forkless_start_methods = start_methods  # type: ignore[attr-defined]
    default: Any = context._default_context
    actor = context._concrete_contexts["actor"]  # type: ignore[attr-defined]
    _platform_default.append(default._default_context)
    if default._actual_context is default._default_context:
        default._actual_context = actor  # somebody has asked for it, nobody has chosen it
    default._default_context = actor
    for name in _STANDARD:
        if hasattr(context, name):
            getattr(context, name)._Popen = staticmethod(_refuse)


def _track_here() -> None:
    tracker: Any = resource_tracker._resource_tracker
    tracker.__class__ = LocalTracker
    # Bound to the class that it was when the module was imported.
    resource_tracker.ensure_running = tracker.ensure_running
    resource_tracker.getfd = tracker.getfd
    util.Finalize(None, tracker.clean, exitpriority=_LAST)
    if not missing.has_processes():
        resource_tracker.ResourceTracker = LocalTracker  # type: ignore[misc]
