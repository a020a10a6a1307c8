# SPDX-License-Identifier: Apache-2.0
"""Switching forkless on and off: which replacements are made when.

Importing forkless registers the start method 'actor' and changes nothing else. The first process that
is started with it activates the personality and the per-actor state of multiprocessing; install()
does so too, and makes 'fork', 'spawn' and 'forkserver' run on actors.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

from forkless import _core, missing, personality, stdlib, stdlib_memory, stdlib_util
from forkless import isolation as rules
from forkless.patches import PatchSet
from forkless.personality import signals

__all__ = ["activate", "install", "is_installed", "isolation", "uninstall"]

_lock = threading.RLock()
_base = PatchSet()
_aliases = PatchSet()
_default_context = PatchSet()
_active = False  # all of _base has been made
_fork_hook_registered = False


def activate() -> None:
    """Make the state of a process be that of the actor that asks. Idempotent."""
    global _active
    if _active:
        if not signals.relays():
            signals.relay()
        return
    with _lock:
        serve_default_context()
        if not _active:
            stdlib.install(_base)
            stdlib_memory.install(_base)
            personality.install(_base)
            rules.reinstall()
            _register_fork_hook()
            _active = True


def serve_default_context() -> None:
    """Let what is made through the module multiprocessing follow the start method 'actor'. Idempotent."""
    from forkless import stdlib_pool

    with _lock:
        if not _default_context:
            from forkless import queues

            stdlib.serve_default_context(_default_context)
            stdlib_pool.install(_default_context)
            queues.take_over(_default_context, _is_simulated)


def _is_simulated(context: Any) -> bool:
    """Whether the processes of a context are simulated ones."""
    if is_installed():
        return True
    concrete = context.get_context() if context is not None else None
    return getattr(concrete, "_name", None) in stdlib.OURS


def _register_fork_hook() -> None:
    global _fork_hook_registered
    if not _fork_hook_registered and hasattr(os, "register_at_fork"):
        # They cannot be taken back.
        os.register_at_fork(before=_core.forget_threads, after_in_child=_core.after_fork)
        os.register_at_fork(after_in_child=stdlib_util.after_real_fork)
        _fork_hook_registered = True


def install(isolation: str = "actor") -> None:
    """Answer for the start methods 'fork', 'spawn' and 'forkserver' as well. Idempotent.

    With isolation="interpreter" these and 'actor' start processes in interpreters of their own, as the
    start method 'interpreter' does; what a call says replaces what an earlier one said. Raises ValueError
    for other words, and where there are no such interpreters.
    """
    from forkless import ansible, context, interpreters, popen

    if isolation not in stdlib.OURS:
        raise ValueError(f"there is no isolation {isolation!r}, but {' and '.join(stdlib.OURS)}")
    if isolation == "interpreter":
        interpreters.check_available()
    with _lock:
        activate()
        if not _aliases:
            context.install_aliases(_aliases)
        popen.use(interpreters.InterpreterPopen if isolation == "interpreter" else popen.Popen)
        ansible.register()


def isolation() -> str:
    """How processes of 'actor', and of the standard start methods after install(), are kept apart."""
    from forkless import popen

    return popen.isolation()


def uninstall() -> None:
    """Take all replacements back. Raises RuntimeError while simulated processes live."""
    global _active
    from forkless import popen

    with _lock:
        _wait_for_unwinding()
        counters = _core.counters()
        if counters["live"] or counters["orphans"]:
            raise RuntimeError(
                f"{counters['live']} simulated processes live and {counters['orphans']} unwind; "
                "join or terminate them before uninstall()"
            )
        _close_vacant_interpreters()
        _aliases.undo()
        popen.use(popen.Popen)
        if missing.has_processes():
            _default_context.undo()
        _active = False
        rules.uninstall()
        _base.undo()


def _close_vacant_interpreters() -> None:
    if sys.version_info >= (3, 13):
        _core.close_places(0.0, False)


def _wait_for_unwinding() -> None:
    """Give the threads of processes that have ended, and were perhaps joined, the time to end too."""
    until = time.monotonic() + 5.0
    while _core.counters()["orphans"] and time.monotonic() < until:
        time.sleep(0.001)


def is_installed() -> bool:
    """Whether the standard start methods run on actors."""
    return bool(_aliases)
