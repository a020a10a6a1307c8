# SPDX-License-Identifier: Apache-2.0
"""Shared memory by name inside of one process. Mirrors the C module _posixshmem.

Differs: the names are this process's, nobody else sees them, and all is gone with it. What a name
stands for is a file without a name of its own: in memory where the system has memfd_create(), else in
the folder for temporary files. Simulated processes share the names, as they would share /dev/shm.
"""

from __future__ import annotations

import errno
import os
import tempfile
from typing import Any

from forkless import _core

__all__ = ["shm_open", "shm_unlink", "works"]

_lock = _core.Guard()
_segments: dict[str, int] = {}  # path -> the descriptor that keeps it; guarded by _lock
_NAME_MAX = 255
_REOPENED = "/proc/self/fd/{}"  # where a descriptor can be opened anew


def shm_open(path: str, flags: int, mode: int = 0o777) -> int:
    """Open the shared memory `path`, and make it first if `flags` have O_CREAT.

    Returns a descriptor that programs which are started do not inherit. Raises OSError with the codes
    of shm_open(3): EEXIST, ENOENT, EINVAL, ENAMETOOLONG, EACCES, and what making a file raises.
    """
    name = _checked(path)
    with _lock:
        kept = _segments.get(name)
        if kept is None:
            if not flags & os.O_CREAT:
                raise _error(errno.ENOENT, path)
            # An O_RDONLY opener reads what others write, so the kept descriptor can do both.
            kept = _new_file(mode)
            _segments[name] = kept
        elif flags & os.O_CREAT and flags & os.O_EXCL:
            raise _error(errno.EEXIST, path)
        return _reopen(kept, flags, path)


def shm_unlink(path: str) -> None:
    """Take the name away. What is open or mapped stays until it is closed.

    Raises OSError with ENOENT when nothing has that name.
    """
    name = _checked(path)
    with _lock:
        kept = _segments.pop(name, None)
    if kept is None:
        raise _error(errno.ENOENT, path)
    os.close(kept)


def works(module: Any) -> bool:
    """Whether the functions of `module` can make shared memory: some C libraries have them, and no
    place for it."""
    path = f"/forkless-{os.getpid()}-{id(module)}"
    try:
        os.close(module.shm_open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        module.shm_unlink(path)
    except OSError:
        return False
    return True


def _error(code: int, path: str) -> OSError:
    return OSError(code, os.strerror(code), path)


def _checked(path: str) -> str:
    """The name in a path: leading slashes do not count, and there are no folders."""
    if not isinstance(path, str):
        raise TypeError(f"a path must be str, not {type(path).__name__}")
    if "\0" in path:
        raise ValueError("embedded null character")
    name = path.lstrip("/")
    if not name or name in (".", "..") or "/" in name:
        raise _error(errno.EINVAL, path)
    if len(os.fsencode(name)) > _NAME_MAX:
        raise _error(errno.ENAMETOOLONG, path)
    return name


def _new_file(mode: int) -> int:
    """A descriptor of an empty file without a name."""
    fd = _in_memory()
    if fd is None:
        fd, path = tempfile.mkstemp(prefix="forkless-")
        os.unlink(path)
    os.fchmod(fd, mode & 0o777)
    return fd


def _in_memory() -> int | None:
    create = getattr(os, "memfd_create", None)
    if create is None:
        return None
    try:
        return create("forkless")
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):  # an old kernel, or a filter
            return None
        raise


def _reopen(kept: int, flags: int, path: str) -> int:
    """A descriptor for an opener, with an access mode and a position of its own where the system
    can give that; without /proc it is a duplicate."""
    access = flags & (os.O_RDONLY | os.O_RDWR | os.O_TRUNC)
    try:
        return os.open(_REOPENED.format(kept), access | os.O_CLOEXEC)
    except FileNotFoundError:
        pass
    except PermissionError:
        raise _error(errno.EACCES, path) from None
    if flags & os.O_TRUNC:
        os.ftruncate(kept, 0)
    return os.dup(kept)
