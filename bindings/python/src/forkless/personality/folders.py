# SPDX-License-Identifier: Apache-2.0
"""The working directory and the file mode mask of a simulated process.

Both are the kernel's. Linux lets a thread leave those of its process, without any privilege, and every
actor does so when it begins: its threads are started by it and share its directory and mask, its
children begin with a copy, and so do the programs that it starts.

Elsewhere, and where the system refuses it (some containers do), all have those of the real process. An
actor that wants to change them gets an OSError with ENOTSUP then: changing them for everybody would
mislead all others, and nobody would notice.
"""

from __future__ import annotations

import errno
import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from forkless import _core
from forkless.actors import MAIN, Actor, here
from forkless.patches import PatchSet

__all__ = ["begin", "begun", "enter", "install"]

_CLONE_FS = 0x200


def _unshare_function() -> Callable[[int], None] | None:
    if sys.platform != "linux":
        return None
    if hasattr(os, "unshare"):  # since 3.12
        unshare: Any = os.unshare
        return unshare
    try:
        import ctypes

        libc_unshare = ctypes.CDLL(None, use_errno=True).unshare
    except (ImportError, OSError, AttributeError):
        return None

    def call(flags: int) -> None:
        if libc_unshare(flags):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    return call


_unshare: Callable[[int], None] | None = None
# Actors that were started and may still have the directory and the mask of their parent.
_beginning: set[Actor] = set()


def begin(actor: Actor) -> None:
    """An actor is about to be started by the calling thread."""
    if _unshare is not None:
        _beginning.add(actor)


def enter(actor: Actor) -> None:
    """The calling thread is that of a new actor."""
    global _unshare
    if _unshare is not None:
        try:
            _unshare(_CLONE_FS)
        except OSError:
            _unshare = None
    begun(actor)


def begun(actor: Actor) -> None:
    """An actor has what is its own, or was not started."""
    _beginning.discard(actor)


def install(patches: PatchSet) -> None:
    """Make os.chdir, os.fchdir and os.umask per actor."""
    global _unshare
    _unshare = _unshare_function()
    for function in _functions(os):
        if hasattr(os, function.__name__):
            patches.attribute(os, function.__name__, function)
    for name in ("unshare", "setns"):  # since 3.12: of the calling thread, and inherited
        if hasattr(os, name):
            patches.attribute(os, name, _changing_what_is_inherited(getattr(os, name)))


def _functions(real_os: Any) -> list[Any]:
    real_chdir, real_fchdir, real_umask = (
        getattr(real_os, name, None) for name in ("chdir", "fchdir", "umask")
    )

    def chdir(path: Any) -> None:
        _prepare("chdir")
        real_chdir(path)  # type: ignore[misc]

    def fchdir(fd: Any) -> None:
        _prepare("fchdir")
        real_fchdir(fd)  # type: ignore[misc]

    def umask(mask: int, /) -> int:
        _prepare("umask")
        return int(real_umask(mask))  # type: ignore[misc]

    return [chdir, fchdir, umask]


def _changing_what_is_inherited(original: Any) -> Any:
    @functools.wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        try:
            return original(*args, **kwargs)
        finally:
            _core.forget_threads()  # which have begun before

    return function


def _prepare(name: str) -> None:
    """Whatever the calling process is about to change is its own now. Raises OSError if it cannot be.

    Waits for children that were started and do not run yet: they begin with what was so before.
    """
    process = here()
    if process is not MAIN and _unshare is None:
        text = f"{os.strerror(errno.ENOTSUP)}: os.{name}() in a simulated process on this system"
        raise OSError(errno.ENOTSUP, text)
    pause = time.sleep if process is MAIN else _core.sleep
    while any(child.parent is process and child.poll() is None for child in tuple(_beginning)):
        pause(0.0001)
