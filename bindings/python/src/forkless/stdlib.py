# SPDX-License-Identifier: Apache-2.0
"""The one module that reaches into private parts of the standard library's multiprocessing.

Checked on CPython 3.11 to 3.14. What is used:

- ``multiprocessing.process``: the globals ``_current_process``, ``_children``, ``_process_counter``, the
  functions ``current_process``, ``parent_process``, the methods ``is_alive``, ``ident``, ``sentinel`` and
  ``__repr__`` of ``BaseProcess``, and ``_exitcode_to_name``;
- ``multiprocessing.util``: see stdlib_util;
- ``multiprocessing.context``: ``_concrete_contexts``, ``_default_context``, the attribute
  ``_actual_context`` and the method ``get_all_start_methods`` of ``DefaultContext``, and the methods of
  ``BaseContext`` that make queues, locks, pipes and pools;
- ``multiprocessing.reduction``: ``ForkingPickler._extra_reducers``, and the code of ``DupFd``;
- ``multiprocessing.connection``: the code of ``Pipe``; what ``Connection`` and its base class keep in
  ``_readable`` and ``_writable``, and their methods ``_check_closed``, ``_bad_message_length``,
  ``_send_bytes`` and ``_recv_bytes``, which forkless.connection overrides or calls;
- ``multiprocessing.spawn.get_preparation_data``, as a module attribute;
- ``multiprocessing.pool.Pool`` and the classes of ``queues`` and ``synchronize``, as module attributes.

Functions are changed in place (their code is replaced), because other modules took references to them
at import. Their new code runs with the globals of the module that they belong to, where
``_forkless_here`` is put.
"""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Iterator
from multiprocessing import connection, context, process, reduction, spawn
from typing import Any

from forkless import _core, stdlib_util
from forkless.actors import MAIN, here
from forkless.patches import PatchSet

__all__ = ["REDUCERS", "alias", "install", "register", "serve_default_context", "start_context"]

# What programs registered with ForkingPickler.register(), by type.
REDUCERS: dict[Any, Any] = reduction.ForkingPickler._extra_reducers  # type: ignore[attr-defined]

_main_process = process.current_process()
MAIN.process = _main_process


class _Children:
    """Stands for the set of children: those of the calling process."""

    def add(self, child: Any) -> None:
        here().children.add(child)

    def discard(self, child: Any) -> None:
        here().children.discard(child)

    def __iter__(self) -> Iterator[Any]:
        return iter(here().children.copy())  # other threads of the process may start children

    def __len__(self) -> int:
        return len(here().children)

    def __contains__(self, child: object) -> bool:
        return child in here().children


_counting = _core.Guard()


class _Counter:
    """Stands for the counter that numbers the children of the calling process."""

    def __iter__(self) -> _Counter:
        return self

    def __next__(self) -> int:
        with _counting:  # a count is not atomic by itself where there is no GIL
            return next(here().process_counter)


class _CurrentProcess:
    """Stands for the process object of the calling process; functions that compare it are replaced."""

    # What each new process asks for is found without __getattr__().
    _identity = property(lambda self: here().process._identity)
    _config = property(lambda self: here().process._config)
    name = property(lambda self: here().process.name)

    def __getattr__(self, name: str) -> Any:
        return getattr(here().process, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(here().process, name, value)


# The following functions are never called as they stand here: their code is. Every global name in
# them is looked up in multiprocessing.process (`process`, `os`, …).
#
# ruff: noqa: F821


def _current_process_code():  # type: ignore[no-untyped-def]
    return _forkless_here().process


def _parent_process_code():  # type: ignore[no-untyped-def]
    here = _forkless_here()
    return here.parent_process or _parent_process


def _is_alive_code(self):  # type: ignore[no-untyped-def]
    self._check_closed()
    if self is _forkless_here().process:
        return True
    assert self._parent_pid == os.getpid(), "can only test a child process"
    if self._popen is None:
        return False
    if self._popen.poll() is None:
        return True
    _children.discard(self)
    return False


def _ident_code(self):  # type: ignore[no-untyped-def]
    self._check_closed()
    if self is _forkless_here().process:
        return os.getpid()
    return self._popen and self._popen.pid


def _sentinel_code(self):  # type: ignore[no-untyped-def]
    self._check_closed()
    try:
        sentinel = self._sentinel
    except AttributeError:
        raise ValueError("process not started") from None
    if sentinel is None:  # not made before somebody asks
        sentinel = self._sentinel = self._popen.make_sentinel()
    return sentinel


def _repr_code(self):  # type: ignore[no-untyped-def]
    exitcode = None
    if self is _forkless_here().process:
        status = "started"
    elif self._closed:
        status = "closed"
    elif self._parent_pid != os.getpid():
        status = "unknown"
    elif self._popen is None:
        status = "initial"
    else:
        exitcode = self._popen.poll()
        status = "started" if exitcode is None else "stopped"
    words = [type(self).__name__, f"name={self._name!r}"]
    if self._popen is not None:
        words.append(f"pid={self._popen.pid}")
    words += [f"parent={self._parent_pid}", status]
    if exitcode is not None:
        words.append(f"exitcode={_exitcode_to_name.get(exitcode, exitcode)}")
    if self.daemon:
        words.append("daemon")
    return f"<{' '.join(words)}>"


def _start_methods_code(self):  # type: ignore[no-untyped-def]
    return _forkless_start_methods(self)


def install(patches: PatchSet) -> None:
    """Make the state of multiprocessing that belongs to a process belong to each actor."""
    MAIN.children = process._children  # type: ignore[attr-defined]
    MAIN.process_counter = process._process_counter  # type: ignore[attr-defined]
    base: Any = process.BaseProcess
    patches.attribute(process, "_forkless_here", here)
    patches.attribute(process, "_current_process", _CurrentProcess())
    patches.attribute(process, "_children", _Children())
    patches.attribute(process, "_process_counter", _Counter())
    for function, replacement in (
        (process.current_process, _current_process_code),
        (process.parent_process, _parent_process_code),
        (base.is_alive, _is_alive_code),
        (base.ident.fget, _ident_code),
        (base.sentinel.fget, _sentinel_code),
        (base.__repr__, _repr_code),
    ):
        patches.code(function, replacement)
    _patch_default_context(patches)
    stdlib_util.install(patches)


def _patch_default_context(patches: PatchSet) -> None:
    """Let set_start_method() concern the process that calls it, and get_start_method() answer it."""
    default: Any = context._default_context

    def get(self: Any) -> Any:
        state: Any = MAIN if self is not default else here()
        return vars(self)["_actual_context"] if state is MAIN else state.start_context

    def set_(self: Any, value: Any) -> None:
        state: Any = MAIN if self is not default else here()
        if state is MAIN:
            vars(self)["_actual_context"] = value
        else:
            state.start_context = value

    patches.attribute(context.DefaultContext, "_actual_context", property(get, set_))


def start_context(process_obj: Any) -> Any:
    """The start method that a child of the calling process has set: its own, if it was made with one."""
    contexts: dict[str, Any] = context._concrete_contexts  # type: ignore[attr-defined]
    method = type(process_obj)._start_method
    return context._default_context._actual_context if method is None else contexts[method]  # type: ignore[attr-defined]


OURS = ("interpreter", "actor")  # start methods that real processes do not know

_aliases_installed: list[bool] = []


def register(name: str, concrete_context: Any) -> None:
    """Add a start method to those that multiprocessing knows, for good."""
    contexts: dict[str, Any] = context._concrete_contexts  # type: ignore[attr-defined]
    if name in contexts:
        return
    contexts[name] = concrete_context
    if hasattr(context, "_forkless_start_methods"):
        return
    method: Any = context.DefaultContext.get_all_start_methods
    original = types.FunctionType(method.__code__, method.__globals__, method.__name__)

    def start_methods(self: Any) -> list[str]:
        # Where the others run on actors, programs see the methods that they know. From 3.14 on all
        # contexts count.
        others = [each for each in original(self) if each not in OURS]
        ours = [each for each in OURS if each == "actor" or sys.version_info >= (3, 13)]
        return others if _aliases_installed else [*others, *ours]

    context._forkless_start_methods = start_methods  # type: ignore[attr-defined]
    method.__code__ = _start_methods_code.__code__


_FACTORIES = (
    "Lock",
    "RLock",
    "Condition",
    "Semaphore",
    "BoundedSemaphore",
    "Event",
    "Queue",
    "JoinableQueue",
    "SimpleQueue",
    "Pipe",
    "Pool",
)


def _factory_code(self, *args, **kwargs):  # type: ignore[no-untyped-def]
    return _forkless_make(self, "NAME", args, kwargs)


def serve_default_context(patches: PatchSet) -> None:
    """Let multiprocessing.Queue() and its like ask the start method that was set, if it is 'actor'.

    They are methods of the default context, which was bound at import and makes the standard
    library's objects whatever the start method.
    """
    originals: dict[str, Any] = {}
    for name in _FACTORIES:
        function: Any = vars(context.BaseContext)[name]
        originals[name] = types.FunctionType(
            function.__code__, function.__globals__, name, function.__defaults__
        )
        code = _factory_code.__code__
        named = types.FunctionType(
            code.replace(
                co_name=name, co_consts=tuple(name if c == "NAME" else c for c in code.co_consts)
            ),
            {},
        )
        patches.defaults(function, ())
        patches.code(function, named)

    def make(ctx: Any, name: str, args: Any, kwargs: Any) -> Any:
        concrete = ctx.get_context()
        if concrete is not ctx and concrete._name in OURS:
            return getattr(concrete, name)(*args, **kwargs)
        return originals[name](ctx, *args, **kwargs)

    patches.attribute(context, "_forkless_make", make)
    patches.attribute(
        spawn, "get_preparation_data", _preparing_function(spawn.get_preparation_data)
    )


def preparation_data(name: str) -> dict[str, Any]:
    """What a process of 'spawn' is told first."""
    data: dict[str, Any] = _real_preparation_data(name)
    return data


_real_preparation_data = spawn.get_preparation_data


def _preparing_function(original: Any) -> Any:
    def get_preparation_data(name: str) -> dict[str, Any]:
        """What a real process of 'spawn' is told first: not a start method that it does not know."""
        data: dict[str, Any] = original(name)
        if data.get("start_method") in OURS:
            del data["start_method"]
        return data

    return get_preparation_data


def alias(
    patches: PatchSet, launchers: dict[str, Any], replacements: dict[str, dict[str, Any]]
) -> None:
    """Make the existing start methods run on actors.

    `launchers`: class name in multiprocessing.context -> what its _Popen shall be. `replacements`:
    submodule -> names in it and what shall stand there.
    """
    import importlib

    _aliases_installed.append(True)
    patches.call_on_undo(_aliases_installed.clear)
    for class_name, launcher in launchers.items():
        cls = getattr(context, class_name, None)
        if cls is not None:
            patches.attribute(cls, "_Popen", staticmethod(launcher))
    for module_name, names in replacements.items():
        module = importlib.import_module(f"multiprocessing.{module_name}")
        for name, value in names.items():
            patches.attribute(module, name, value)


def _pipe_code(duplex=True):  # type: ignore[no-untyped-def]
    return _forkless_Pipe(duplex)


def _dup_fd_code(fd):  # type: ignore[no-untyped-def]
    popen = context.get_spawning_popen()
    if popen is not None:
        return popen.DupFd(popen.duplicate_for_child(fd))
    return _forkless_DupFd(fd)


def replace_pipe(patches: PatchSet, pipe: Any, dup_fd: Any) -> None:
    """Make connection.Pipe() and reduction.DupFd() call these instead."""
    patches.attribute(connection, "_forkless_Pipe", lambda duplex: pipe(duplex))
    patches.code(connection.Pipe, _pipe_code)
    patches.attribute(reduction, "_forkless_DupFd", dup_fd)
    patches.code(reduction.DupFd, _dup_fd_code)
