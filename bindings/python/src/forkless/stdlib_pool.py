# SPDX-License-Identifier: Apache-2.0
"""The one module that changes multiprocessing.pool. See forkless.stdlib.

Checked on CPython 3.11 to 3.14. What is used of ``multiprocessing.pool``: the attributes and methods of
``Pool`` that ActorPool replaces, ``job_counter``, ``mapstar``, ``starmapstar``, ``MaybeEncodingError``, and
that ThreadPool calls ``Pool.__init__``; for subclasses with machinery of their own, ``_help_stuff_finish``.

The class is changed in place, because programs subclass it and import it before they ask for simulated
processes.
"""

from __future__ import annotations

import functools
from multiprocessing import get_context
from multiprocessing import pool as mp
from typing import Any

from forkless.patches import PatchSet
from forkless.pool import ActorPool
from forkless.queues import SimpleQueue

__all__ = ["install"]

_DEFAULTS = vars(mp.Pool).copy()
_METHODS = [
    name
    for name, value in vars(ActorPool).items()
    if callable(value) and name in _DEFAULTS and name != "__init__"
]
_MACHINERY = [
    name
    for name in _DEFAULTS
    if name.startswith("_") and not name.startswith("__") and name != "_wrap_exception"
]


def install(patches: PatchSet) -> None:
    """Let multiprocessing.pool.Pool serve pools of simulated processes too."""
    for name in _METHODS:
        patches.attribute(mp.Pool, name, _either(vars(ActorPool)[name], _DEFAULTS[name]))
    patches.attribute(mp.Pool, "__init__", _init_function())
    patches.attribute(mp.Pool, "_help_stuff_finish", staticmethod(_empty_function()))


def _either(ours: Any, original: Any) -> Any:
    @functools.wraps(original)
    def method(self: Any, *args: Any, **kwds: Any) -> Any:
        return (ours if "_crew" in vars(self) else original)(self, *args, **kwds)

    return method


def _empty_function() -> Any:
    original = mp.Pool._help_stuff_finish  # type: ignore[attr-defined]

    @functools.wraps(original)
    def help_stuff_finish(inqueue: Any, task_handler: Any, size: int) -> None:
        """Take the tasks that nobody has taken. A worker may be faster, since it needs no lock to read:
        so there must be no wait for a task that was seen."""
        if isinstance(inqueue, SimpleQueue):
            inqueue._channel.drain([])
        else:
            original(inqueue, task_handler, size)

    return help_stuff_finish


def _init_function() -> Any:
    original = _DEFAULTS["__init__"]

    @functools.wraps(original)
    def init(
        self: Any,
        processes: Any = None,
        initializer: Any = None,
        initargs: Any = (),
        maxtasksperchild: Any = None,
        context: Any = None,
    ) -> None:
        context = context or get_context()
        ours = _is_simulated(context) and not _has_own_machinery(type(self))
        function = ActorPool.__init__ if ours else original
        function(self, processes, initializer, initargs, maxtasksperchild, context)

    return init


def _is_simulated(context: Any) -> bool:
    from forkless import activation

    name = getattr(context, "_name", None)
    # Between interpreters the standard library's machinery runs, on queues of forkless.
    if name == "interpreter" or activation.isolation() == "interpreter":
        return False
    return activation.is_installed() or name == "actor"


def _has_own_machinery(cls: type) -> bool:
    classes = cls.__mro__[: cls.__mro__.index(mp.Pool)]
    return any(name in vars(c) for c in classes for name in _MACHINERY)
