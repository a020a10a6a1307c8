# SPDX-License-Identifier: Apache-2.0
"""What happens in the thread of a simulated process, and how its process object comes to be.

Mirrors multiprocessing.process and popen_spawn_posix. Differs: the child gets a copy of the process
object that is made in the parent while start() runs, so what cannot be copied fails there; functions
travel by reference, because code is shared.
"""

from __future__ import annotations

import _thread
import sys
import time
import types
from multiprocessing import process as mp
from multiprocessing import util
from typing import Any

from forkless import _core, isolation, stdlib_futures, stdlib_util
from forkless.actors import MAIN, Actor
from forkless.exceptions import error_record
from forkless.personality import contexts, folders, sockets, streams, threads
from forkless.reduction import dumps, loads

__all__ = ["ActorProcess", "bootstrap", "copy_process"]

_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, type)
_NOT_PLAIN = object()


class ActorProcess(mp.BaseProcess):
    """Process of the start method 'actor'. forkless.popen adds how it is started."""

    _start_method = "actor"
    _Popen: Any


class ParentProcess(mp.BaseProcess):
    """What parent_process() returns in an actor."""

    def __init__(self, name: str, actor: Any) -> None:
        self._identity = ()
        self._name = name
        self._actor = actor
        self._pid = actor.pid
        self._parent_pid = None
        self._popen = None
        self._closed = False
        self._config: dict[str, Any] = {}

    def is_alive(self) -> bool:
        return self._actor is MAIN or self._actor.poll() is None

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end of the parent; that of the real process ends everything."""
        if self._actor is MAIN:
            _core.sleep(9e9 if timeout is None else min(max(timeout, 0.0), 9e9))
        else:
            self._actor.join(timeout)

    @property
    def sentinel(self) -> int:
        if self._actor is MAIN:
            return _never_readable()
        return self._actor.sentinel()

    @property
    def ident(self) -> int:
        return self._pid

    pid = ident


_never: tuple[int, int] | None = None
_making_never = _core.Guard()


def _never_readable() -> int:
    """A descriptor that becomes readable when the real process ends, hence never."""
    global _never
    with _making_never:
        if _never is None:
            import os

            _never = os.pipe()
        return _never[0]


# Copying


def copy_process(process_obj: Any, like_fork: bool) -> Any:
    """The child's copy of a process object.

    With `like_fork`, what cannot be copied is shared; otherwise it raises what pickling raises.
    """
    clone = isolation.process_hook(type(process_obj))
    if clone is not None:
        return clone(process_obj)
    if not like_fork and _pickles_itself(type(process_obj)):
        return loads(_dumps(process_obj, process_obj))
    cls: Any = type(process_obj)
    child = cls.__new__(cls)
    state = dict(vars(process_obj))
    ours = {
        "_target": _copy_target(state.pop("_target", None), process_obj, like_fork),
        "_config": dict(state.pop("_config", {})),
    }
    copied = _core.try_copy(state, _NOT_PLAIN)
    if copied is _NOT_PLAIN:
        copied = _copy_state(state, process_obj, like_fork)
    vars(child).update(copied, **ours)
    return child


def _pickles_itself(cls: Any) -> bool:
    return (
        cls.__reduce_ex__ is not object.__reduce_ex__
        or cls.__reduce__ is not object.__reduce__
        or cls.__getstate__ is not object.__getstate__
        or hasattr(cls, "__setstate__")
    )


def _copy_target(target: Any, process_obj: Any, like_fork: bool) -> Any:
    if target is None or isinstance(target, _FUNCTIONS):
        return target
    return _copy_by_pickle(target, process_obj, like_fork)


def _copy_state(state: dict[str, Any], process_obj: Any, like_fork: bool) -> dict[str, Any]:
    try:
        return loads(_dumps(state, process_obj))
    except Exception:
        if not like_fork:
            raise
    copied: dict[str, Any] = {}
    for name, value in state.items():
        if name == "_args":
            copied[name] = tuple(_copy_by_pickle(v, process_obj, True) for v in value)
        elif name == "_kwargs":
            copied[name] = {k: _copy_by_pickle(v, process_obj, True) for k, v in value.items()}
        else:
            copied[name] = _copy_by_pickle(value, process_obj, True)
    return copied


def _copy_by_pickle(value: Any, process_obj: Any, like_fork: bool) -> Any:
    copied = _core.try_copy(value, _NOT_PLAIN)
    if copied is not _NOT_PLAIN:
        return copied
    try:
        return loads(_dumps(value, process_obj))
    except Exception:
        if like_fork:
            return value
        raise


def _dumps(value: Any, process_obj: Any) -> Any:
    try:
        return dumps(value, strict=True)
    except Exception as error:
        error.add_note(
            f"while starting {process_obj._name!r}: a simulated process gets copies of its arguments, "
            "so they must be picklable, as with the start method 'spawn'"
        )
        raise


# Running


def bootstrap(actor: Actor) -> None:
    """The whole life of an actor, in its thread."""
    folders.enter(actor)
    contexts.enter(actor)
    try:
        actor.native_id = _thread.get_native_id()
        actor.enter()
        code, error = _run(actor, actor.process)
        actor.set_exit(code, error)
    except _core.ProcessExit as exit_:  # thrown at a moment when nothing was left to do
        actor.exit_now(exit_.args[0] if exit_.args else 0)
    finally:
        actor.leave()
        _release(actor)


def _run(actor: Actor, process_obj: Any) -> tuple[int, dict[str, Any] | None]:
    """Run the process and its exit functions: its exit code, and what raised."""
    code, error = 1, None
    try:
        try:
            if actor.has("after_fork"):
                stdlib_util.run_after_fork(actor.after_fork)
                actor.after_fork = []
            util.info("child process calling self.run()")
            process_obj.run()
            code = 0
        finally:
            if not actor.stopping:
                _exit_functions(actor)
    except SystemExit as exit_:
        code = _system_exit_code(exit_)
    except _core.ProcessExit as exit_:
        return (exit_.args[0] if exit_.args else 0), None
    except BaseException as failure:
        error = _report(process_obj, failure)
    threads.join_helpers(actor)
    util.info("process exiting with exitcode %d", code)
    streams.flush(actor)
    return code, error


def _system_exit_code(exit_: SystemExit) -> int:
    if exit_.code is None:
        return 0
    if isinstance(exit_.code, int):
        return exit_.code & 0xFF  # what the kernel keeps of it
    sys.stderr.write(f"{exit_.code}\n")
    return 1


def _report(process_obj: Any, failure: BaseException) -> dict[str, Any]:
    import traceback

    try:
        sys.stderr.write(f"Process {process_obj.name}:\n")
        traceback.print_exception(failure)
    except (AttributeError, OSError, ValueError):
        pass  # the actor has closed or replaced its stderr
    return error_record(failure)


def _exit_functions(actor: Actor) -> None:
    """What multiprocessing and atexit do when a process ends by itself."""
    runs_atexit = sys.version_info >= (3, 13)  # before, children skipped them
    while runs_atexit and actor.has("atexit_functions"):
        function, args, kwargs = actor.atexit_functions.pop()
        function(*args, **kwargs)
    if actor.has("helpers"):
        stdlib_futures.shut_down_executors(actor)
    stdlib_util.exit_actor(actor)


def _release(actor: Actor) -> None:
    """Let go of what the actor held, however it ended."""
    while actor.has("exit_functions"):
        try:
            actor.exit_functions.pop()()
        except Exception:
            import traceback

            traceback.print_exc(file=MAIN.streams.get("stderr"))
    if actor.timer is not None:
        actor.timer.cancel()
    actor.stop()  # a thread that begins only now ends at once
    if actor.has("helpers"):  # daemon threads, which go with their process
        if actor.ended is None:
            actor.ended = time.time()
        actor.throw_at_threads()
    actor.close_ends()
    if actor.has("opened"):
        sockets.close_opened(actor)
    streams.close(actor)
    stdlib_util.release(actor)
    actor.locals.clear()
    actor.values.clear()
    actor.handlers = {}
    actor.tell_parent()
    threads.leave(actor)
