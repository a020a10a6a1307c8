# SPDX-License-Identifier: Apache-2.0
"""Standard streams and file descriptors 0 to 2 of a simulated process.

`sys.stdin`, `sys.stdout` and `sys.stderr` become properties of the module `sys`: reading and assigning
them concerns the actor alone. `print()` and other C code look into the dictionary of the module, so
proxies stand there that pass every use on to the stream of whoever uses them. Functions of `os` that
take a descriptor, and `subprocess`, translate 0, 1 and 2 in an actor that has redirected them.

Differs from processes: C code that writes to descriptors 0 to 2 on its own reaches those of the real
process, and so does `open(1)`. Buffers of streams are shared until they are replaced.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any

from forkless import _core
from forkless.actors import MAIN, Actor
from forkless.patches import PatchSet

__all__ = ["close", "flush", "install", "translate"]

_NAMES = ("stdin", "stdout", "stderr")


class InheritedStream:
    """What an actor has for a stream of its parent: it can be closed without closing the parent's."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._closed = False

    def _open_stream(self) -> Any:
        if self._closed:
            raise ValueError("I/O operation on closed file.")
        return self._stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._open_stream(), name)

    @property
    def closed(self) -> bool:
        return self._closed or bool(getattr(self._stream, "closed", False))

    @property
    def buffer(self) -> Any:
        return InheritedStream(self._open_stream().buffer)

    def write(self, text: Any) -> Any:
        return self._open_stream().write(text)

    def flush(self) -> None:
        self._open_stream().flush()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            if not getattr(self._stream, "closed", False) and self._stream.writable():
                self._stream.flush()

    def detach(self) -> Any:
        """A binary stream of its own on a duplicate of the descriptor; this object is then closed."""
        stream = self._open_stream()
        mode = "wb" if stream.writable() else "rb"
        detached = open(os.dup(stream.fileno()), mode)
        self.close()
        return detached

    def __enter__(self) -> InheritedStream:
        self._open_stream()
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __iter__(self) -> Any:
        return iter(self._open_stream())

    def __next__(self) -> Any:
        return next(self._open_stream())

    def __repr__(self) -> str:
        return f"<inherited {self._stream!r}>"


class _Proxy:
    """Stands in the dictionary of `sys` and passes every use on to the stream of the caller."""

    def __init__(self, name: str) -> None:
        object.__setattr__(self, "_name", name)

    def _target(self) -> Any:
        return _get(object.__getattribute__(self, "_name"))

    def __getattr__(self, name: str) -> Any:
        stream = self._target()
        if stream is None and name in ("write", "flush"):
            return _discard  # print() does nothing where there is no stream
        return getattr(stream, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._target(), name, value)

    def __iter__(self) -> Any:
        return iter(self._target())

    def __next__(self) -> Any:
        return next(self._target())

    def __enter__(self) -> Any:
        return self._target().__enter__()

    def __exit__(self, *args: Any) -> Any:
        return self._target().__exit__(*args)

    def __repr__(self) -> str:
        return repr(self._target())


def _discard(*args: Any) -> None:
    pass


def _get(name: str) -> Any:
    actor: Any = _core.current()
    if actor is None:
        try:
            return MAIN.streams[name]
        except KeyError:
            raise AttributeError(f"module 'sys' has no attribute {name!r}") from None
    try:
        return actor.streams[name]
    except KeyError:
        return actor.streams.setdefault(name, _inherit(actor, name))


def _inherit(actor: Actor, name: str) -> Any:
    if name == "stdin":  # as multiprocessing does: children do not compete for the terminal
        return open(os.devnull, encoding="utf-8")
    stream = actor.parent.streams.get(name, MAIN.streams.get(name))
    if isinstance(stream, InheritedStream):
        stream = stream._stream
    return stream and InheritedStream(stream)


def _property(name: str) -> property:
    def get(module: Any) -> Any:
        return _get(name)

    def set_(module: Any, value: Any) -> None:
        (_core.current() or MAIN).streams[name] = value

    def delete(module: Any) -> None:
        try:
            del (_core.current() or MAIN).streams[name]
        except KeyError:
            raise AttributeError(name) from None

    return property(get, set_, delete)


def install(patches: PatchSet) -> None:
    """Take over the streams of `sys`, the descriptor functions of `os`, and subprocess."""
    MAIN.streams = {name: getattr(sys, name) for name in _NAMES if hasattr(sys, name)}
    patches.call_on_undo(_restore)
    patches.module_class(sys, {name: _property(name) for name in _NAMES})
    for name in MAIN.streams:
        vars(sys)[name] = _Proxy(name)
    for name in ("dup", "fstat", "ttyname", "fsync"):  # those that may wait: see waits
        if hasattr(os, name):
            patches.attribute(os, name, _translating(getattr(os, name)))
    patches.attribute(os, "isatty", _isatty_function(os.isatty))
    for function in _redirecting_functions():
        patches.attribute(os, function.__name__, function)
    _patch_subprocess(patches)


def _restore() -> None:
    vars(sys).update(MAIN.streams)


def translate(fd: Any) -> Any:
    """The real descriptor behind `fd` in this actor. OSError if it has closed that."""
    if fd.__class__ is int and 0 <= fd <= 2:
        actor: Any = _core.current()
        if actor is not None and fd in actor.descriptors:
            fd = actor.descriptors[fd]
            if fd is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return fd


def _translating(original: Any) -> Any:
    def function(fd: Any, *args: Any) -> Any:
        return original(translate(fd), *args)

    function.__name__ = original.__name__
    function.__doc__ = original.__doc__
    return function


def _isatty_function(original: Any) -> Any:
    def isatty(fd: int, /) -> bool:
        """Return True if the fd is connected to a terminal."""
        try:
            return original(translate(fd))
        except OSError:  # closed: no error for this function
            return False

    return isatty


def _redirecting_functions() -> list[Any]:
    real_close, real_dup, real_dup2 = os.close, os.dup, os.dup2

    def close(fd: int) -> None:
        actor: Any = _core.current()
        if actor is None or not 0 <= fd <= 2:
            real_close(fd)
            return
        translate(fd)  # EBADF when it is closed already
        behind = actor.descriptors.get(fd)
        actor.descriptors[fd] = None
        if behind is not None:
            real_close(behind)

    def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:
        actor: Any = _core.current()
        if actor is None or not 0 <= fd2 <= 2:
            return real_dup2(translate(fd), fd2, inheritable)
        if fd == fd2:
            translate(fd)
            return fd2
        behind = real_dup(translate(fd))
        before = actor.descriptors.get(fd2)
        actor.descriptors[fd2] = behind
        if before is not None:
            real_close(before)
        _reopen(actor, fd2, behind)
        return fd2

    return [close, dup2]


def _reopen(actor: Actor, fd: int, behind: int) -> None:
    """Let the stream that is on descriptor `fd` write to what is behind it now."""
    name = _NAMES[fd]
    current = actor.streams.get(name)
    if current is not None and not isinstance(current, InheritedStream | _Redirected):
        return  # a stream of the actor's own making, on something else
    inherited = MAIN.streams.get(name)
    encoding = getattr(inherited, "encoding", None) or "utf-8"
    errors = getattr(inherited, "errors", None) or "strict"
    buffered: Any = io.open(behind, "rb" if fd == 0 else "wb", closefd=False)  # noqa: UP020
    if isinstance(current, _Redirected) and not current.closed:
        current.flush()
    actor.streams[name] = _Redirected(buffered, encoding, errors, line_buffering=fd != 0)


class _Redirected(io.TextIOWrapper):
    """The stream of an actor on a descriptor that it has redirected with dup2()."""


def _patch_subprocess(patches: PatchSet) -> None:
    try:
        import subprocess
    except ImportError:
        return
    original = getattr(subprocess, "_fork_exec", None)
    if original is None:
        return

    def _fork_exec(*args: Any) -> Any:
        return original(*_redirected(args, {6: 0, 9: 1, 11: 2}))

    patches.attribute(subprocess, "_fork_exec", _fork_exec)
    spawn = getattr(subprocess.Popen, "_posix_spawn", None)
    if spawn is not None:

        def _posix_spawn(self: Any, *args: Any) -> Any:
            return spawn(self, *_redirected(args, {-6: 0, -3: 1, -1: 2}))

        patches.attribute(subprocess.Popen, "_posix_spawn", _posix_spawn)


def _redirected(args: tuple[Any, ...], standard: dict[int, int]) -> list[Any]:
    """Arguments for a new program: where it would inherit a standard descriptor, the actor's own.

    `standard`: position of what becomes a descriptor of the program -> which one it becomes.
    """
    redirected = list(args)
    actor: Any = _core.current()
    if actor is not None and actor.descriptors:
        for position, fd in standard.items():
            if redirected[position] in (-1, fd):
                behind = actor.descriptors.get(fd, fd)
                redirected[position] = -1 if behind is None else behind
    return redirected


def flush(actor: Actor) -> None:
    """Flush stdout and stderr of an actor, as a process does when it ends."""
    if not actor.has("streams"):
        return  # it has not asked for any
    for name in ("stdout", "stderr"):
        stream = actor.streams.get(name)
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # replaced by something that is no stream, or broken


def close(actor: Actor) -> None:
    """Close what an actor that ends has opened for its streams."""
    if actor.has("streams"):
        stdin = actor.streams.pop("stdin", None)
        try:
            if isinstance(stdin, io.TextIOWrapper) and stdin.name == os.devnull:
                stdin.close()
        except (AttributeError, ValueError):
            pass  # the actor has made it of something else, or detached it
        actor.streams.clear()
    if actor.has("descriptors"):
        for fd in actor.descriptors.values():
            if fd is not None:
                os.close(fd)
        actor.descriptors.clear()
