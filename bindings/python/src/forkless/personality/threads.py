# SPDX-License-Identifier: Apache-2.0
"""Threads of a simulated process: who they belong to, its main thread, time.sleep and atexit.

A thread that an actor starts acts for the actor: it sees the actor's pid, streams and handlers, and is
unwound when the actor is killed.
"""

from __future__ import annotations

import _thread
import atexit
import functools
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from forkless import _core
from forkless.actors import MAIN, Actor, MainActor
from forkless.patches import PatchSet

__all__ = [
    "MainThread",
    "after_helpers",
    "install",
    "join_helpers",
    "keep_thrown",
    "leave",
    "main_thread_of",
    "start_for",
]


class MainThread(threading.Thread):
    """What threading.main_thread() and current_thread() return in an actor."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(name="MainThread", daemon=False)
        self._actor = actor
        self._started.set()  # type: ignore[attr-defined]
        self._ident = actor.thread_ident
        self._native_id = actor.native_id

    def is_alive(self) -> bool:
        return self._actor.thread_ident != 0

    def join(self, timeout: float | None = None) -> None:
        if self._ident == _thread.get_ident():
            raise RuntimeError("cannot join current thread")
        self._actor.join(timeout, thread=True)


class _Active(dict[int, Any]):
    """The threads that `threading` knows, by ident. The main threads of actors are made for those who
    ask: most actors never do, and an object for each would be the greater part of what a start costs."""

    def __missing__(self, ident: int) -> Any:
        actor: Any = _core.current()
        if actor is None or ident != actor.thread_ident:
            raise KeyError(ident)
        return main_thread_of(actor)


def main_thread_of(actor: Any) -> threading.Thread | None:
    """The object for the main thread of an actor; None before and after its life."""
    ident = actor.thread_ident
    if actor.main_thread is None and ident:
        # Several threads of the actor may ask at once: all get the same.
        actor.main_thread = threading._active.setdefault(ident, MainThread(actor))  # type: ignore[attr-defined]
    thread: threading.Thread | None = actor.main_thread
    return thread


def leave(actor: Actor) -> None:
    """Forget the main thread of an actor that ends."""
    if actor.main_thread is not None:
        actor.main_thread = None
        threading._active.pop(_thread.get_ident(), None)  # type: ignore[attr-defined]


def join_helpers(actor: Actor) -> None:
    """Wait for the threads of an actor that are not daemons, as a process does before it exits."""
    while actor.has("helpers"):
        threads = actor.helpers.copy().values()
        waiting = [t for t in threads if t is not None and not t.daemon]
        if not waiting:
            return
        for thread in waiting:
            thread.join()


def _run_helper(actor: Actor, function: Any, args: Any, kwargs: Any) -> None:
    thread = getattr(function, "__self__", None)
    try:
        actor.run(_call_helper, actor, function, args, kwargs)
    finally:
        if isinstance(thread, threading.Thread):
            thread._forkless_ended.release()  # type: ignore[attr-defined]


_real_start_new_thread: Any = _thread.start_new_thread


def start_for(owner: Actor | MainActor, function: Any, *args: Any) -> None:
    """Run function(*args) in a new thread of `owner`, whoever asks. Raises RuntimeError when there is
    no thread to be had."""
    if owner is MAIN:
        _real_start_new_thread(function, args)
    else:
        _real_start_new_thread(_run_helper, (owner, function, args, {}))


def _call_helper(actor: Actor, function: Any, args: Any, kwargs: Any) -> None:
    ident = _thread.get_ident()
    thread = getattr(function, "__self__", None)
    is_thread = isinstance(thread, threading.Thread)
    actor.helpers[ident] = thread if is_thread else None
    try:
        if is_thread:
            _prepare(actor, thread)
            function(*args, **kwargs)
        else:
            _run_interruptibly(actor, function, args, kwargs)
    except BaseException:
        if (
            not actor.stopping
        ):  # otherwise the actor has ended, and nothing is reported of its threads
            raise
    finally:
        actor.helpers.pop(ident, None)
        if not actor.helpers:
            _make_last_calls(actor)


def after_helpers(actor: Actor, function: Callable[[], object]) -> None:
    """Call `function` when an actor that has ended has no further threads left: now, or in the last."""
    actor.last_calls.append(function)
    if not actor.helpers:
        _make_last_calls(actor)


def _make_last_calls(actor: Actor) -> None:
    while actor.last_calls:
        try:
            function = actor.last_calls.pop()
        except IndexError:  # another thread was faster
            return
        function()


def _prepare(actor: Actor, thread: Any) -> None:
    """Make a Thread object unwind when its actor ends, but in run() only: whoever started it waits for
    what it does before and after. And let it report no ProcessExit."""
    run, report = thread.run, thread._invoke_excepthook

    def interruptible_run() -> None:
        del thread.run
        _run_interruptibly(actor, run, (), {})

    def invoke_excepthook(thread: Any) -> None:
        # When the actor has ended nothing is reported of its threads, whose sockets are closed.
        if not isinstance(sys.exc_info()[1], _core.ProcessExit) and not actor.stopping:
            report(thread)

    def set_tstate_lock() -> None:
        type(thread)._set_tstate_lock(thread)
        with threading._shutdown_locks_lock:  # type: ignore[attr-defined]
            threading._shutdown_locks.discard(thread._tstate_lock)  # type: ignore[attr-defined]

    if hasattr(threading, "_shutdown_locks"):  # until 3.12; see start_new_thread for later ones
        thread._set_tstate_lock = set_tstate_lock
    thread.run = interruptible_run
    thread._invoke_excepthook = invoke_excepthook


def _run_interruptibly(actor: Actor, function: Any, args: Any, kwargs: Any) -> None:
    try:
        actor.expose()
        if actor.stopping:
            raise _core.ProcessExit(actor.poll() or 0)
        function(*args, **kwargs)
    finally:
        actor.hide()  # what is still on its way comes too late


def _inheriting(original: Any) -> Any:
    """A way to start threads, made to pass on whom the starting thread acts for."""

    def start_new_thread(function: Any, *rest: Any, **options: Any) -> Any:
        actor = _core.current()
        if actor is None:
            return original(function, *rest, **options)
        args, kwargs, rest = (rest[0] if rest else ()), (rest[1] if len(rest) > 1 else {}), rest[2:]
        if not callable(function):
            raise TypeError("first arg must be callable")
        if not isinstance(args, tuple):
            raise TypeError("2nd arg must be a tuple")
        thread = getattr(function, "__self__", None)
        if isinstance(thread, threading.Thread):
            thread._forkless_ended = _core.SemLock(1, 0, 1)  # type: ignore[attr-defined]
        if original is _real_start_joinable_thread:
            # The actor waits for it, the interpreter does not: the actor may have been killed.
            options["daemon"] = True
            return original(lambda: _run_helper(actor, function, (), {}), **options)
        try:
            return original(_run_helper, (actor, function, args, kwargs), *rest, **options)
        except RuntimeError as refusal:
            if sys.version_info[:2] != (3, 12) or "shutdown" not in str(refusal):
                raise
            return _start_while_exiting(_run_helper, actor, function, args, kwargs)

    return start_new_thread


def _start_while_exiting(function: Any, *args: Any) -> int:
    """CPython 3.12 refuses new threads from when its exit functions begin. Those may wait for an actor,
    which is as alive as ever: its threads are then carried by the thread of another actor."""
    idents: list[int] = []
    begun = _thread.allocate_lock()
    begun.acquire()

    def run(_: Any) -> None:
        idents.append(_thread.get_ident())
        begun.release()
        function(*args)

    _core.Actor().start(run)
    begun.acquire()
    return idents[0]


_real_start_joinable_thread = getattr(_thread, "start_joinable_thread", None)


def install(patches: PatchSet) -> None:
    """Replace the functions of `threading`, `_thread`, `time` and `atexit`."""
    for owner, name in (
        (_thread, "start_new_thread"),
        (_thread, "start_new"),
        (_thread, "start_joinable_thread"),
        (threading, "_start_new_thread"),
        (threading, "_start_joinable_thread"),
    ):
        if hasattr(owner, name):
            patches.attribute(owner, name, _inheriting(getattr(owner, name)))
    _watch_stack_size(patches)
    _serve_active(patches, threading)
    patches.attribute(threading, "main_thread", _main_thread_function(threading.main_thread))
    patches.attribute(time, "sleep", _core.sleep)  # a built-in function, as the original
    for function in _atexit_functions():
        patches.attribute(atexit, function.__name__, function)


def _serve_active(patches: PatchSet, module: Any) -> None:
    original = module._active
    with module._active_limbo_lock:
        module._active = _Active(original)

    def restore() -> None:
        with module._active_limbo_lock:
            original.clear()
            original.update(module._active)
            module._active = original

    patches.call_on_undo(restore)


def _main_thread_function(original: Any) -> Any:
    def main_thread() -> threading.Thread:
        """The main thread of this process, simulated or not."""
        actor = _core.current()
        return (actor and main_thread_of(actor)) or original()

    return main_thread


_stack_size = 0


def stack_size() -> int:
    """What the program has set with threading.stack_size(), 0 if nothing."""
    return _stack_size


def _watch_stack_size(patches: PatchSet) -> None:
    """The functions of `threading` and `_thread` that set the stack size of new threads cannot be asked
    for it: a call without an argument sets it to 0."""
    original: Any = threading.stack_size
    lock = _core.Guard()

    def set_stack_size(size: int = 0, /) -> int:
        global _stack_size
        with lock:
            before = original(size)
            _stack_size = size
            return before

    set_stack_size(original())
    patches.attribute(threading, "stack_size", set_stack_size)
    patches.attribute(_thread, "stack_size", set_stack_size)


def keep_thrown(patches: PatchSet, thrower: Any) -> None:
    """Raise again what was thrown at a process and came while a finalizer ran, where it is dropped.

    The finalizer may be of an object of another process, which a process of its own would not have to
    run. `thrower` is the function that calls signal handlers on behalf of others.

    The interpreter looks for the hook in the dictionary of `sys`, where ours stands before the one that
    passes on to the hook of each process: to be called when that one is in place.
    """
    hooks = {"hook": vars(sys)["unraisablehook"], "thrower": thrower.__code__}
    patches.item(vars(sys), "unraisablehook", functools.partial(_core.unraisable_hook, hooks))


def _atexit_functions() -> list[Any]:
    real_register, real_unregister = atexit.register, atexit.unregister

    def register(func: Any, /, *args: Any, **kwargs: Any) -> Any:
        actor: Any = _core.current()
        if actor is None:
            return real_register(func, *args, **kwargs)
        actor.atexit_functions.append((func, args, kwargs))
        return func

    def unregister(func: Any, /) -> None:
        actor: Any = _core.current()
        if actor is None:
            real_unregister(func)
        else:
            actor.atexit_functions[:] = [f for f in actor.atexit_functions if f[0] != func]

    return [register, unregister]
