# SPDX-License-Identifier: Apache-2.0
"""An environment, a current folder and a file mask for each actor.

The environment is copied when an actor first changes it; until then it costs nothing. The
processes that the actor creates inherit its copy. The folder and the mask are the kernel's: Linux
lets a thread leave those of its process (`unshare(CLONE_FS)`, which needs no privilege), also when
it first changes them. Elsewhere they stay the process's.
"""

from __future__ import annotations

import ctypes
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from forkless import _core, isolation

__all__ = ["isolate_environ", "isolate_folder"]

_CLONE_FS = 0x200
_mine = isolation.local()


class _Environ(type(os.environ)):  # type: ignore[misc]
    """os.environ, with the actor's data where the actor has some."""

    @property
    def _data(self) -> Any:
        if _core.current() is not None:
            own = getattr(_mine, "environ", None)
            if own is not None:
                return own
        return self.__dict__["_data"]

    @_data.setter
    def _data(self, value: Any) -> None:
        self.__dict__["_data"] = value

    def _own(self) -> dict[Any, Any]:
        own: dict[Any, Any] | None = getattr(_mine, "environ", None)
        if own is None:
            own = _mine.environ = dict(self.__dict__["_data"])
        return own

    def __setitem__(self, key: str, value: str) -> None:
        if _core.current() is None:
            super().__setitem__(key, value)
        else:
            self._own()[self.encodekey(key)] = self.encodevalue(value)

    def __delitem__(self, key: str) -> None:
        if _core.current() is None:
            super().__delitem__(key)
            return
        try:
            del self._own()[self.encodekey(key)]
        except KeyError:
            raise KeyError(key) from None


def isolate_environ() -> None:
    """Make os.environ per actor for all who hold it, and pass it on to the actor's processes."""
    if isinstance(os.environ, _Environ):
        return
    os.environ.__class__ = _Environ
    if hasattr(os, "environb"):
        os.environb.__class__ = _Environ
    start = subprocess.Popen.__init__

    @functools.wraps(start)
    def start_with_environ(self: Any, *args: Any, **kwargs: Any) -> None:
        # Position 10 is env. Without one, the C library would pass on the environment of the real
        # process.
        if (
            kwargs.get("env") is None
            and len(args) < 11
            and getattr(_mine, "environ", None) is not None
        ):
            kwargs["env"] = dict(os.environ)
        start(self, *args, **kwargs)

    subprocess.Popen.__init__ = start_with_environ  # type: ignore[method-assign]


def _leave_the_process_folder() -> None:
    if getattr(_mine, "left", False):
        return
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_FS):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    _mine.left = True


def isolate_folder() -> None:
    """Make os.chdir, os.fchdir and os.umask per actor."""
    if not sys.platform.startswith("linux"):
        return

    def alone(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if _core.current() is not None:
                _leave_the_process_folder()
            return function(*args, **kwargs)

        return wrapper

    for name in ("chdir", "fchdir", "umask"):
        setattr(os, name, alone(getattr(os, name)))
