# SPDX-License-Identifier: Apache-2.0
"""Waits for subprocesses and descriptors that end when something is thrown at the actor.

A signal interrupts whatever system call a process waits in. Nothing interrupts a thread, so an
actor that waits in `selectors` (and so in `Popen.communicate`) or in `os.waitpid` also waits for
its bell: a pipe that `Actor.throw` writes to. What was thrown is then raised at the next bytecode.
A bell is made when an actor first waits.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import selectors
import threading
from collections.abc import Callable
from typing import Any

from forkless import _core
from forkless.actors import FIRST_PID, Actor
from forkless.patches import PatchSet

__all__ = ["install"]

_KEY = "bell"  # in Actor.locals


class _Bell:
    """A pipe that is readable once it was rung. The actor waits for it; anybody rings it."""

    def __init__(self) -> None:
        self.descriptor, self._end = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._end, False)
        self._lock = threading.Lock()
        self._open = True

    def ring(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._open:
                os.write(self._end, b"\0")

    def silence(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.descriptor, 4096)

    def close(self) -> None:
        with self._lock:
            self._open = False
            os.close(self.descriptor)
            os.close(self._end)


def _bell() -> _Bell | None:
    """The bell of the calling actor; None in the real process and in an actor's further threads."""
    actor: Any = _core.current()
    if actor is None or actor.thread_ident != threading.get_ident():
        return None
    bell: _Bell | None = actor.locals.get(_KEY)
    if bell is None:
        bell = actor.locals[_KEY] = _Bell()
        actor.exit_functions.append(bell.close)
    return bell


def _throw(stock: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(stock)
    def throw(self: Actor, exception: BaseException) -> None:
        stock(self, exception)
        bell = self.locals.get(_KEY)
        if bell is not None:
            bell.ring()

    return throw


def _with_bell(stock: Callable[..., Any]) -> Callable[..., Any]:
    """A selector's `select` that also returns, perhaps with nothing, when the bell was rung."""

    @functools.wraps(stock)
    def select_(self: Any, timeout: float | None = None) -> Any:
        bell = _bell()
        if bell is None or (timeout is not None and timeout <= 0):
            return stock(self, timeout)
        self._selector.register(bell.descriptor, select.POLLIN)
        try:
            return stock(self, timeout)
        finally:
            self._selector.unregister(bell.descriptor)
            bell.silence()

    return select_


def _waitpid(stock: Callable[..., Any]) -> Callable[..., Any]:
    """os.waitpid that first waits for the end of a process of the kernel together with the bell."""

    @functools.wraps(stock)
    def waitpid(pid: int, options: int) -> Any:
        bell = _bell() if 0 < pid < FIRST_PID and not options & os.WNOHANG else None
        if bell is not None:
            done: Any = stock(pid, options | os.WNOHANG)
            if done[0]:
                return done
            _wait_for_end(pid, bell)
        return stock(pid, options)

    return waitpid


def _wait_for_end(pid: int, bell: _Bell) -> None:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return  # not available: wait as ever
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.register(bell.descriptor, select.POLLIN)
        while all(descriptor != process for descriptor, _ in poll.poll()):
            bell.silence()
    finally:
        os.close(process)


def install(patches: PatchSet) -> None:
    """Replace the waits, for actors only."""
    patches.attribute(Actor, "throw", _throw(Actor.throw))
    for name in ("_PollLikeSelector", "EpollSelector"):
        cls: Any = getattr(selectors, name, None)
        if cls is not None and "select" in vars(cls):
            patches.attribute(cls, "select", _with_bell(cls.select))
    if hasattr(os, "pidfd_open"):
        patches.attribute(os, "waitpid", _waitpid(os.waitpid))
