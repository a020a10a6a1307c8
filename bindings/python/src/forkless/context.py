# SPDX-License-Identifier: Apache-2.0
"""The start method 'actor', and its stand-ins for the others. Mirrors multiprocessing.context."""

from __future__ import annotations

from multiprocessing import context as mp
from typing import Any

from forkless import activation, connection, queues, stdlib, stdlib_missing, synchronize
from forkless.patches import PatchSet
from forkless.interpreters import InterpreterProcess, check_available
from forkless.popen import launch, launch_like_fork
from forkless.process import ActorProcess
from forkless.reduction import DupFd

__all__ = ["ActorContext", "install_aliases"]


class ActorContext(mp.BaseContext):
    """What multiprocessing.get_context('actor') returns."""

    _name = "actor"
    Process = ActorProcess

    def _check_available(self) -> None:  # whenever somebody asks for 'actor' by its name
        activation.serve_default_context()

    def Lock(self) -> Any:
        return synchronize.Lock(ctx=self)

    def RLock(self) -> Any:
        return synchronize.RLock(ctx=self)

    def Condition(self, lock: Any = None) -> Any:
        return synchronize.Condition(lock, ctx=self)

    def Semaphore(self, value: int = 1) -> Any:
        return synchronize.Semaphore(value, ctx=self)

    def BoundedSemaphore(self, value: int = 1) -> Any:
        return synchronize.BoundedSemaphore(value, ctx=self)

    def Event(self) -> Any:
        return synchronize.Event(ctx=self)

    def Queue(self, maxsize: int = 0) -> Any:
        return queues.Queue(maxsize, ctx=self)

    def JoinableQueue(self, maxsize: int = 0) -> Any:
        return queues.JoinableQueue(maxsize, ctx=self)

    def SimpleQueue(self) -> Any:
        return queues.SimpleQueue(ctx=self)

    def Pipe(self, duplex: bool = True) -> Any:
        return connection.Pipe(duplex)

    def Pool(
        self,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
        maxtasksperchild: int | None = None,
    ) -> Any:
        from multiprocessing.pool import Pool

        self._check_available()
        return Pool(processes, initializer, initargs, maxtasksperchild, context=self)


class InterpreterContext(ActorContext):
    """What multiprocessing.get_context('interpreter') returns."""

    _name = "interpreter"
    Process = InterpreterProcess

    def _check_available(self) -> None:
        check_available()
        super()._check_available()


stdlib.register("actor", ActorContext())
stdlib.register("interpreter", InterpreterContext())


def install_aliases(patches: PatchSet) -> None:
    """Make 'fork', 'spawn' and 'forkserver' start actors, with what forkless has for them."""
    stdlib.alias(
        patches,
        {
            "ForkProcess": launch_like_fork,
            "SpawnProcess": launch,
            "ForkServerProcess": launch,
        },
        {
            "queues": {name: getattr(queues, name) for name in queues.__all__},
            "synchronize": {name: getattr(synchronize, name) for name in synchronize.__all__},
        },
    )
    stdlib_missing.install_aliases(patches)
    stdlib.replace_pipe(patches, connection.Pipe, DupFd)
