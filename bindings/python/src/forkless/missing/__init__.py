# SPDX-License-Identifier: Apache-2.0
"""Supplies the C modules that multiprocessing asks for, where the platform has none.

Imported before multiprocessing. A module of the platform's own stays what it is, and what it has is
kept. What multiprocessing itself does without processes is in stdlib_missing.py.
"""

from __future__ import annotations

import errno
import os
import sys
import types
from typing import Any, NoReturn

from forkless import _core
from forkless.missing import shm

__all__ = ["has_processes", "shared_memory_is_ours"]

# Platforms whose processes cannot start others, whatever names their C library has. On Android a
# process can fork, but not one with threads that runs Python, and there are no semaphores.
_WITHOUT_PROCESSES = {"android", "emscripten", "ios", "tvos", "wasi", "watchos"}


def has_processes() -> bool:
    """Whether multiprocessing can start real processes here."""
    return hasattr(os, "fork") and sys.platform not in _WITHOUT_PROCESSES


def shared_memory_is_ours() -> bool:
    """Whether shared memory is that of this process alone, see missing.shm."""
    return getattr(sys.modules.get("_posixshmem"), "shm_open", None) is shm.shm_open


def _module(name: str) -> Any:
    """The C module, or an empty one in its place."""
    try:
        return __import__(name)
    except ImportError:
        module = types.ModuleType(name, "Supplied by forkless, because this platform has none.")
        sys.modules[name] = module
        return module


class _NoSemLock:
    """Stands for the semaphores of real processes where those cannot have any."""

    SEM_VALUE_MAX = _core.SemLock.SEM_VALUE_MAX

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        raise OSError(
            errno.ENOSYS,
            "this platform has no semaphores between real processes; the start method 'actor' has",
        )


def _works(sem_lock: Any) -> bool:
    """Whether a semaphore can be made: some C libraries have the functions, and no place for it."""
    try:
        sem_lock(1, 0, 1, f"/forkless-{os.getpid()}-{id(sem_lock)}", True)
    except FileExistsError:
        return True
    except OSError:
        return False
    return True


def _supply_semaphores() -> None:
    module = _module("_multiprocessing")
    if not hasattr(module, "flags"):
        module.flags = {}
    if has_processes():
        # One that works inside of a process only would be no lock at all between real ones.
        if not hasattr(module, "SemLock"):
            module.SemLock = _NoSemLock
            module.sem_unlink = _sem_unlink
    elif not hasattr(module, "SemLock") or not _works(module.SemLock):
        module.SemLock = _core.SemLock
        module.sem_unlink = _sem_unlink


def _sem_unlink(name: str) -> None:
    """Ours have no names that could be taken away."""


def _supply_shared_memory() -> None:
    module = _module("_posixshmem")
    if not hasattr(module, "shm_open") or not (has_processes() or shm.works(module)):
        module.shm_open = shm.shm_open
        module.shm_unlink = shm.shm_unlink


def _supply_fork_exec() -> None:
    module = _module("_posixsubprocess")
    if not hasattr(module, "fork_exec"):
        module.fork_exec = _fork_exec


def _fork_exec(*args: Any) -> NoReturn:
    raise OSError(errno.ENOTSUP, f"{sys.platform} does not support processes")


_supply_semaphores()
_supply_shared_memory()
_supply_fork_exec()
