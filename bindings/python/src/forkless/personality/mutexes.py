# SPDX-License-Identifier: Apache-2.0
"""Locks of `threading`, and what is made of them, whose waits end when something is thrown at the actor.

What an actor makes with threading.Lock(), RLock() and queue.SimpleQueue() are objects of forkless with
the same interface; the real process makes those that it always made. Condition waits for a lock that
it makes for each wait, so that Condition, Event, Semaphore, Barrier, queue.Queue and futures end the
waits of actors whoever has made them.

Differs from processes: a wait for a Lock or RLock that the real process has made, or that was made by
a function that somebody took a reference to before forkless was active, lasts until the lock is free.
"""

from __future__ import annotations

import queue
import sys
import threading
from typing import Any

from forkless import _core
from forkless.patches import PatchSet

__all__ = ["install"]


class _Maker(type):
    """The type of what stands in the place of a type or factory: calling it makes an object of the
    original or, in an actor, of ours; both are instances of it."""

    original: Any
    ours: Any
    kinds: tuple[type, ...]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        make = cls.original if _core.current() is None else cls.ours
        return make(*args, **kwargs)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.kinds)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.kinds)

    def __repr__(cls) -> str:
        return repr(cls.original)


def _maker(owner: Any, name: str, ours: Any, kind: type) -> _Maker:
    original = getattr(owner, name)
    members = {
        "original": original,  # types and built-in functions: they do not bind
        "ours": ours,
        "kinds": (kind, ours),
        "__doc__": original.__doc__,
        "__module__": owner.__name__,  # by which it is pickled
        "__slots__": (),
        "__class_getitem__": classmethod(lambda cls, item: original[item]),
    }
    return _Maker(name, (), members)


class _SimpleQueue(queue.SimpleQueue):
    """The simple queue of an actor: that of the standard library, and a semaphore to wait for."""

    def __init__(self) -> None:
        self._items = _core.SemLock(1, 0, _core.SemLock.SEM_VALUE_MAX)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item)
        self._items.release()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        if not self._items.acquire(block, timeout):
            raise queue.Empty
        return super().get(False)

    def put_nowait(self, item: Any) -> None:
        self.put(item)

    def get_nowait(self) -> Any:
        return self.get(False)


def install(patches: PatchSet) -> None:
    """Replace the factories, for actors only."""
    original = threading.Lock
    lock = _maker(threading, "Lock", _core.Lock, type(original()))
    _update_managers(original, lock)
    patches.call_on_undo(lambda: _update_managers(lock, original))
    patches.attribute(threading, "Lock", lock)
    patches.dispatch(threading, "_allocate_lock", _core.Lock)
    if getattr(threading, "_CRLock", None) is not None:  # what RLock() calls
        patches.dispatch(threading, "_CRLock", _core.RLock)
    if isinstance(queue.SimpleQueue, type):
        patches.attribute(
            queue, "SimpleQueue", _maker(queue, "SimpleQueue", _SimpleQueue, queue.SimpleQueue)
        )
    patches.dispatch(threading.Thread, "join", _join_method(threading.Thread.join))


def _update_managers(before: Any, after: Any) -> None:
    """Managers take a reference to threading.Lock when they are imported."""
    managers: Any = sys.modules.get("multiprocessing.managers")
    if managers is not None:
        registry = managers.SyncManager._registry
        for typeid, (factory, *rest) in list(registry.items()):
            if factory is before:
                registry[typeid] = (after, *rest)


def _join_method(original: Any) -> Any:
    def join(self: Any, timeout: float | None = None) -> None:
        """Wait for the thread. If an actor has started it, the wait ends as others do."""
        ended = getattr(self, "_forkless_ended", None)
        if ended is None or self is threading.current_thread():
            original(self, timeout)
        elif ended.acquire(timeout=None if timeout is None else max(timeout, 0.0)):
            ended.release()
            original(self, timeout)  # what is left of it does not wait for anybody

    return join
