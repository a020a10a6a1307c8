# SPDX-License-Identifier: Apache-2.0
"""Locks, semaphores, conditions and events. Mirrors multiprocessing.synchronize.

Differs: the semaphore is libforkless' own (forkless._core.SemLock), so there is no name, no file
descriptor and no resource tracker, and an object is shared by reference instead of being rebuilt. A
process that is ended in Condition.wait() gets its lock back before it is unwound.
"""

from __future__ import annotations

from multiprocessing import synchronize as mp
from typing import Any

from forkless import _core, stdlib_util
from forkless.reduction import reference

__all__ = ["BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

SEM_VALUE_MAX: int = _core.SemLock.SEM_VALUE_MAX
RECURSIVE_MUTEX, SEMAPHORE = 0, 1
_TRACKED = {"spawn", "forkserver"}  # their semaphores would be known to the resource tracker


class SemLock(mp.SemLock):
    """What all of them are made of."""

    _is_fork_ctx = False
    __enter__ = _core.with_enter
    __exit__ = _core.with_exit

    def _init_semlock(self, kind: int, value: int, maxvalue: int, ctx: Any) -> None:
        self._semlock = _core.SemLock(kind, value, maxvalue)
        if ctx is not None and ctx._name in _TRACKED:
            stdlib_util.check_resource_tracker()
        self._make_methods()  # type: ignore[attr-defined]

    def __reduce__(self) -> Any:
        return reference(self)

    def __getstate__(self) -> Any:
        return self._semlock

    def __setstate__(self, state: Any) -> None:
        self._semlock = state
        self._make_methods()  # type: ignore[attr-defined]


class Semaphore(SemLock, mp.Semaphore):
    def __init__(self, value: int = 1, *, ctx: Any = None) -> None:
        self._init_semlock(SEMAPHORE, value, SEM_VALUE_MAX, ctx)


class BoundedSemaphore(Semaphore, mp.BoundedSemaphore):
    def __init__(self, value: int = 1, *, ctx: Any = None) -> None:
        self._init_semlock(SEMAPHORE, value, value, ctx)


class Lock(SemLock, mp.Lock):
    def __init__(self, *, ctx: Any = None) -> None:
        self._init_semlock(SEMAPHORE, 1, 1, ctx)


class RLock(SemLock, mp.RLock):
    def __init__(self, *, ctx: Any = None) -> None:
        self._init_semlock(RECURSIVE_MUTEX, 1, 1, ctx)


class Condition(mp.Condition):
    __enter__ = _core.with_enter
    __exit__ = _core.with_exit

    def __init__(self, lock: Any = None, *, ctx: Any = None) -> None:
        self._lock = lock or RLock()
        self._sleeping_count = Semaphore(0)
        self._woken_count = Semaphore(0)
        self._wait_semaphore = Semaphore(0)
        self._make_methods()  # type: ignore[attr-defined]

    def __reduce__(self) -> Any:
        return reference(self)

    def wait(self, timeout: float | None = None) -> bool:
        lock = self._lock._semlock
        if not isinstance(lock, _core.SemLock):  # a lock of the standard library's
            return super().wait(timeout)
        assert lock._is_mine(), "must acquire() condition before using wait()"
        return lock._wait_in_condition(
            self._sleeping_count._semlock,
            self._wait_semaphore._semlock,
            self._woken_count._semlock,
            timeout,
        )

    def notify(self, n: int = 1) -> None:
        lock = self._lock._semlock
        if not isinstance(lock, _core.SemLock):
            super().notify(n)
            return
        assert lock._is_mine(), "lock is not owned"
        lock._notify(
            self._sleeping_count._semlock,
            self._wait_semaphore._semlock,
            self._woken_count._semlock,
            min(n, SEM_VALUE_MAX),
        )


class Event(mp.Event):
    def __init__(self, *, ctx: Any = None) -> None:
        self._cond = Condition(Lock())
        self._flag = Semaphore(0)

    def __reduce__(self) -> Any:
        return reference(self)
