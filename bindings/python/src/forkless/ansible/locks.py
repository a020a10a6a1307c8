# SPDX-License-Identifier: Apache-2.0
"""Record locks that exclude actors.

POSIX record locks (`fcntl.lockf`) belong to a process: two threads of one process both get a lock
on the same file. A mutex per file is taken first. It is given back when the lock is, or when the
actor ends, as the kernel would do for a process that ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from typing import Any

import forkless
from forkless import _core, isolation

__all__ = ["excluding_actors"]

_mutexes: dict[tuple[int, int], threading.Lock] = {}
_guard = threading.Lock()
_mine = isolation.local()  # .held: the mutexes that the actor, or the controller, holds


def _mutex_of(file: Any) -> tuple[tuple[int, int], threading.Lock]:
    status = os.fstat(file if isinstance(file, int) else file.fileno())
    key = (status.st_dev, status.st_ino)
    with _guard:
        return key, _mutexes.setdefault(key, threading.Lock())


def _held() -> dict[tuple[int, int], threading.Lock]:
    held: dict[tuple[int, int], threading.Lock] | None = getattr(_mine, "held", None)
    if held is None:
        held = _mine.held = {}
        if _core.current() is not None:
            forkless.at_actor_exit(_give_all_back)
    return held


def _give_all_back() -> None:
    for mutex in _held().values():
        mutex.release()


def _take(file: Any, wait: bool) -> None:
    key, mutex = _mutex_of(file)
    held = _held()
    if key in held:
        return  # like the kernel: a process does not exclude itself
    if not mutex.acquire(blocking=wait):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    held[key] = mutex


def _give_back(file: Any) -> None:
    key, mutex = _mutex_of(file)
    if _held().pop(key, None) is not None:
        mutex.release()


def excluding_actors(stock: Callable[..., None]) -> Callable[..., None]:
    """A `lockf` that excludes actors, too. A lock of a part of a file is one of the whole."""

    def lockf(file: Any, command: int, *span: int) -> None:
        if command & fcntl.LOCK_UN:
            stock(file, command, *span)
            _give_back(file)
            return
        _take(file, wait=not command & fcntl.LOCK_NB)
        try:
            stock(file, command, *span)
        except BaseException:
            _give_back(file)
            raise

    lockf.__doc__ = stock.__doc__
    return lockf
