# SPDX-License-Identifier: Apache-2.0
"""The parent's handle on a simulated process. Mirrors multiprocessing.popen_fork."""

from __future__ import annotations

import os
import signal
from multiprocessing import context as mp_context
from typing import Any

from forkless import _core, activation, stdlib, stdlib_util
from forkless.actors import Actor, here
from forkless.personality import folders, signals, threads
from forkless.process import ActorProcess, bootstrap, copy_process

__all__ = ["Popen", "isolation", "launch", "launch_like_fork", "use"]


class _DuplicatedDescriptor:
    """What reduction.DupFd() returns while a process is started: the child's own descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def detach(self) -> int:
        return self.fd


class Popen:
    """A started process: its pid, its exit code, and ways to end it."""

    method = "actor"
    DupFd = _DuplicatedDescriptor

    def __init__(self, process_obj: Any, like_fork: bool = False) -> None:
        activation.activate()
        self.returncode: int | None = None
        self.sentinel = None  # made when BaseProcess.sentinel is read
        self.inherited: list[Any] = []  # ends of pipes in the child's copies
        self._launch(process_obj, like_fork)

    def _launch(self, process_obj: Any, like_fork: bool) -> None:
        # The system makes it ready meanwhile.
        thread = _core.start_thread(threads.stack_size())
        try:
            self._actor = actor = self._prepare(process_obj, like_fork)
            self.pid = actor.pid
            self._hand_over(like_fork)
            folders.begin(actor)
            try:
                actor.start(bootstrap, process_obj._name[:31], threads.stack_size(), thread)
            except BaseException:
                if not _was_started(actor):  # what was thrown at this process may come after it was
                    folders.begun(actor)
                    actor.close_ends()
                raise
        finally:
            thread = None  # ends, if it is nobody's, also where a traceback keeps this frame

    def _prepare(self, process_obj: Any, like_fork: bool) -> Actor:
        """The child, which is not started yet."""
        mp_context.set_spawning_popen(self)
        try:
            child = copy_process(process_obj, like_fork)
        finally:
            mp_context.set_spawning_popen(None)
        actor = Actor(here(), child)
        actor.start_context = stdlib.start_context(process_obj)
        if like_fork:
            actor.after_fork = stdlib_util.after_fork_calls()
        return actor

    def _hand_over(self, like_fork: bool) -> None:
        """Give the child what belongs to processes."""
        for end in self.inherited:
            end._adopt(self._actor)
        if like_fork:
            self._actor.replaced = {end._original for end in self.inherited}
            self._actor.parent.forked[self._actor.serial] = self._actor
        self.inherited.clear()

    def make_sentinel(self) -> int:
        """A descriptor that becomes readable when the process has ended."""
        return self._actor.sentinel()

    def duplicate_for_child(self, fd: int) -> int:
        return os.dup(fd)

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self.returncode is None:
            self.returncode = self._actor.poll()
            self._actor.reaped = self.returncode is not None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        if self.returncode is None:
            self.returncode = self._actor.join(timeout)
            self._actor.reaped = self.returncode is not None
        return self.returncode

    def _send_signal(self, signum: int) -> None:
        if self.poll() is None:
            signals.deliver(self._actor, signum)

    def terminate(self) -> None:
        self._send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._send_signal(signal.SIGKILL)

    def interrupt(self) -> None:
        self._send_signal(signal.SIGINT)

    def close(self) -> None:
        pass  # the sentinel is the actor's, and goes with it

    @property
    def exit_error(self) -> Any:
        """What the exit record says about the exception that ended the process, or None."""
        return self._actor.exit_error()


_usual: type[Popen] = Popen


def use(popen_class: type[Popen]) -> None:
    """What launch() shall start processes with."""
    global _usual
    _usual = popen_class


def isolation() -> str:
    """How processes are kept apart that launch() starts: the start method of which they are."""
    return _usual.method


def launch(process_obj: Any) -> Popen:
    """Start a process in the way that install() was told."""
    return _usual(process_obj)


ActorProcess._Popen = staticmethod(launch)


def launch_like_fork(process_obj: Any) -> Popen:
    """The same for the alias of 'fork': what cannot be copied is shared, where it can be."""
    return _usual(process_obj, like_fork=True)


def _was_started(actor: Actor) -> bool:
    """Whether there is a thread that has, or will have, run it."""
    try:
        actor.run(bool)
    except RuntimeError:
        return False
    return True
