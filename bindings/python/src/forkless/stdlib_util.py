# SPDX-License-Identifier: Apache-2.0
"""What multiprocessing.util keeps for a process, kept for each simulated process.

Like stdlib, it reaches into private parts of the standard library. Checked on CPython 3.11 to 3.14. What is
used of ``multiprocessing.util``: ``_finalizer_registry`` with the attributes ``_pid``, ``_key`` and
``_callback`` of ``Finalize``, the defaults of ``Finalize.__call__``, ``_run_finalizers``,
``_exit_function``, ``register_after_fork`` and ``_afterfork_registry``; and of
``multiprocessing.resource_tracker`` the ``_resource_tracker`` with its ``_fd`` and ``_pid``.

A finalizer belongs to the process that made it and runs on its behalf. The garbage collector runs in
whatever thread allocates, and may so find that an object of another process is gone. That process's
callback must not run in the middle of this one: what a manager's proxy does, for example, is a request to
the manager, perhaps to the very thread that waits here. A thread of its own makes such calls.
"""

from __future__ import annotations

import os
import sys
import types
from _queue import SimpleQueue
from _thread import allocate_lock, start_new_thread
from collections.abc import Callable, Iterator, MutableMapping
from multiprocessing import process, util
from typing import Any

from forkless import _core
from forkless.actors import FIRST_PID, MAIN, Actor, find, here
from forkless.patches import PatchSet

__all__ = [
    "after_fork_calls",
    "after_real_fork",
    "check_resource_tracker",
    "exit_actor",
    "install",
    "release",
    "run_after_fork",
    "tracker_descriptor",
    "use_tracker",
]

_real_close = os.close
_real_getpid = os.getpid


def install(patches: PatchSet) -> None:
    """Let finalizers and what runs at the end of a process be those of each actor."""
    MAIN.finalizers = util._finalizer_registry  # type: ignore[attr-defined]
    patches.attribute(util, "_finalizer_registry", _Registry())
    _patch_finalize(patches)
    exit_function: Any = util._exit_function  # type: ignore[attr-defined]
    patches.attribute(util, "_forkless_exit", _exit_function(_copy_of(exit_function)))
    patches.code(exit_function, _exit_code)
    global _programs_have_registered
    functions = [key[2] for key in list(util._afterfork_registry)]  # type: ignore[attr-defined]
    _programs_have_registered = any(map(_is_of_a_program, functions))
    register: Any = util.register_after_fork
    patches.attribute(util, "_forkless_register", _registering(_copy_of(register)))
    patches.code(register, _register_code)
    patches.call_on_undo(_stop_reaper)


def _copy_of(function: Any) -> Any:
    """The function as it is now."""
    return types.FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__
    )


# Finalizers


class _Registry(MutableMapping[Any, Any]):
    """Stands for the registry of finalizers: those of the calling process."""

    def __getitem__(self, key: Any) -> Any:
        return here().finalizers[key]

    def __setitem__(self, key: Any, finalizer: Any) -> None:
        here().finalizers[key] = finalizer

    def __delitem__(self, key: Any) -> None:
        del here().finalizers[key]

    def __contains__(self, key: object) -> bool:
        return key in here().finalizers

    def __iter__(self) -> Iterator[Any]:
        return iter(list(here().finalizers))  # at once: others may be added meanwhile

    def __len__(self) -> int:
        return len(here().finalizers)

    def clear(self) -> None:
        process = here()
        if isinstance(process, Actor):
            release(process)
        else:
            process.finalizers.clear()

    def copy(self) -> dict[Any, Any]:
        return here().finalizers.copy()


def _call_code(self, wr=None, registry=None, sub_debug=None, getpid=None):  # type: ignore[no-untyped-def]
    return getpid(self, wr)  # it is finalize(), see below


def _patch_finalize(patches: PatchSet) -> None:
    call: Any = util.Finalize.__call__
    original = _copy_of(call)
    wr, _, sub_debug, _ = call.__defaults__
    registry: Any = util._finalizer_registry  # type: ignore[attr-defined]
    original.__defaults__ = (wr, registry, sub_debug, _core.getpid)

    def finalize(finalizer: Any = None, wr: Any = None) -> Any:
        if _core is None:  # the interpreter has ended, and taken this module down
            return None
        if finalizer is None:  # the code that is about to be replaced wants the pid
            return _core.getpid()
        pid = finalizer._pid
        if pid == _core.getpid() or (pid < FIRST_PID and pid != _real_getpid()):
            return original(finalizer, wr)
        if wr is not None:  # the garbage collector, for another process
            _reap(original, finalizer)
        return None  # as in the child of a fork, which knows nothing of the finalizers of others

    patches.defaults(call, (wr, registry, sub_debug, finalize))
    patches.code(call, _call_code)


def release(actor: Actor) -> None:
    """Forget the finalizers of an actor that has ended, or is about to.

    They end with it, as with a process. But what the kernel would take back from a process, the real
    process has to give back, once the object that it belongs to is gone.
    """
    while actor.has("finalizers"):
        key, finalizer = actor.finalizers.popitem()
        if _is_release(finalizer._callback):
            MAIN.finalizers[key] = finalizer
            finalizer._pid = MAIN.pid


def _is_release(callback: Any) -> bool:
    """Whether a callback closes a descriptor or frees a block of multiprocessing.heap."""
    owner = type(getattr(callback, "__self__", None))
    return callback in (_real_close, os.close) or owner.__module__ == "multiprocessing.heap"


# Calls on behalf of others. The queue and the lock can be used from the garbage collector.

_to_reap: SimpleQueue[Any] = SimpleQueue()
_reaping = allocate_lock()  # held while there is a thread that reaps


def _reap(call: Callable[[Any], object], finalizer: Any) -> None:
    _to_reap.put((call, finalizer))
    if _reaping.acquire(False):
        start_new_thread(_reaper, (_reaping,))


def _stop_reaper() -> None:
    if _reaping.locked():
        _to_reap.put(None)


def after_real_fork() -> None:
    """Forget the thread that reaps: it is the parent's."""
    global _to_reap, _reaping
    _to_reap, _reaping = SimpleQueue(), allocate_lock()


def _reaper(running: Any) -> None:
    """Runs in a thread of the real process."""
    item = _to_reap.get()
    while item is not None:
        call, finalizer = item
        if _is_release(finalizer._callback):
            _run_for_owner(call, finalizer)
        else:  # may take long, or wait for what another one does
            start_new_thread(_run_for_owner, (call, finalizer))
        del item, finalizer
        item = _to_reap.get()
    running.release()


def _run_for_owner(call: Callable[[Any], object], finalizer: Any) -> None:
    import traceback

    try:
        owner = find(finalizer._pid) if finalizer._pid >= FIRST_PID else None
        if owner is not None and owner.poll() is None:
            owner.run(call, finalizer)
        if finalizer._key is not None and finalizer._pid == _real_getpid():
            call(finalizer)  # it is MAIN's, or came to it when its owner ended
    except _core.ProcessExit:
        pass  # of the owner, meanwhile
    except Exception:
        traceback.print_exc()


# The end of a process


def _exit_code(info=None, debug=None, run=None, active_children=None, current_process=None):  # type: ignore[no-untyped-def]
    _forkless_exit()  # noqa: F821


def _exit_function(of_main: Callable[[], object]) -> Callable[[], None]:
    """multiprocessing's exit handler, which a program may call by itself."""

    def exit_function() -> None:
        actor = _core.current()
        if actor is None:
            of_main()
        else:
            exit_actor(actor)

    return exit_function


def exit_actor(actor: Actor) -> None:
    """What multiprocessing does in a process that ends by itself: run its finalizers, terminate its
    daemons, join its other children. Called in the actor; a second call does nothing."""
    if actor.exiting:
        return
    actor.exiting = True
    # Most actors have neither; each is looked for when the step before it has run.
    if actor.has("finalizers"):
        util._run_finalizers(0)  # type: ignore[attr-defined]
    if actor.has("children"):
        for child in process.active_children():
            if child.daemon:
                child._popen.terminate()  # type: ignore[attr-defined]
        for child in process.active_children():
            child.join()
    if actor.has("finalizers"):
        util._run_finalizers()  # type: ignore[attr-defined]


# register_after_fork: with 'fork' after install(), the child calls what programs have registered. What the
# standard library registers mends copies of its objects that actors do not have.

_programs_have_registered = False


def _register_code(obj, func):  # type: ignore[no-untyped-def]
    _forkless_register(obj, func)  # noqa: F821


def _registering(original: Callable[[Any, Any], object]) -> Any:
    def register(obj: Any, func: Callable[[Any], object]) -> None:
        global _programs_have_registered
        original(obj, func)
        _programs_have_registered = _programs_have_registered or _is_of_a_program(func)

    return register


def _is_of_a_program(func: Any) -> bool:
    return (getattr(func, "__module__", None) or "").partition(".")[0] not in (
        "multiprocessing",
        "forkless",
    )


def after_fork_calls() -> list[tuple[Callable[[Any], object], Any]]:
    """The functions that a child of 'fork' is to call, in order, each with its argument."""
    if not _programs_have_registered:
        return []
    registry: dict[Any, Any] = util._afterfork_registry  # type: ignore[attr-defined]
    items = sorted(registry.items(), key=lambda item: item[0][0])
    return [(key[2], obj) for key, obj in items if _is_of_a_program(key[2])]


def run_after_fork(calls: list[tuple[Callable[[Any], object], Any]]) -> None:
    """Make those calls, in the child. As its arguments, the objects are copies where they can be."""
    for func, obj in calls:
        try:
            func(_copied(obj))
        except Exception as error:
            util.info("after forker raised exception %s", error)


def _copied(obj: Any) -> Any:
    from forkless.reduction import dumps, loads

    try:
        return loads(dumps(obj))
    except Exception:
        return obj


# The resource tracker


def tracker_descriptor() -> int | None:
    """Where the process that tracks resources listens, if there is one."""
    tracker = sys.modules.get("multiprocessing.resource_tracker")
    return None if tracker is None else tracker._resource_tracker._fd


def use_tracker(fd: int) -> None:
    """Have another interpreter's tracker, as the children of 'spawn' have their parent's."""
    from multiprocessing import resource_tracker

    tracker: Any = resource_tracker._resource_tracker
    tracker._fd, tracker._pid = fd, None


def check_resource_tracker() -> None:
    """Say so, and start another, if the process that tracks resources has died.

    With processes each new semaphore tells it its name. Ours have none, but a program that watches for
    this warning gets it at the same places.
    """
    module = sys.modules.get("multiprocessing.resource_tracker")
    tracker = None if module is None else module._resource_tracker
    # A child of a fork has the one, and where there are no processes there is the other.
    if tracker is not None and (tracker._fd is not None or tracker._pid is not None):
        tracker.ensure_running()
