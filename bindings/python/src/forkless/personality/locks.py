# SPDX-License-Identifier: Apache-2.0
"""Record locks (`fcntl.lockf`, `os.lockf`) that exclude actors.

They belong to a process: two threads of one process both get a lock of the same bytes. So there is a table
of who in this process has locked what, which is asked first; the kernel's locks, which other programs
see, are those of all actors together. A lock ends with LOCK_UN, with its actor, or when the file
that it was taken through is closed, which is noticed when somebody else wants it.

`fcntl.flock` needs none of this: its locks belong to an open file, in any thread. Differs from processes:
closing any descriptor of a file gives up the locks of all actors on it towards other programs, and
deadlocks are not found. Locks that are taken with fcntl.fcntl(F_SETLK) exclude no actors.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from forkless import _core
from forkless.actors import MAIN, here
from forkless.patches import PatchSet

fcntl: Any = None
with contextlib.suppress(ImportError):
    import fcntl

__all__ = ["install"]

_END = 1 << 63  # of a lock that reaches to the end of the file, however long it becomes
_File = tuple[int, int]  # device and inode

_real_fstat, _real_lseek = os.fstat, os.lseek


class _Lock:
    """Bytes `begin` to `end` of a file, locked by `owner` through the descriptor `fd`."""

    def __init__(self, owner: Any, fd: int, begin: int, end: int, exclusive: bool) -> None:
        self.owner = owner
        self.fd = fd
        self.begin = begin
        self.end = end
        self.exclusive = exclusive

    def overlaps(self, begin: int, end: int) -> bool:
        return self.begin < end and begin < self.end


_guard = threading.Lock()
_locks: dict[_File, list[_Lock]] = {}  # guarded by _guard
_KEY = "record locks"  # in Actor.locals: the actor's locks are given up when it ends


def _file(fd: int) -> _File:
    status = _real_fstat(fd)
    return status.st_dev, status.st_ino


def _span(fd: int, length: int, start: int, whence: int) -> tuple[int, int]:
    if whence == os.SEEK_CUR:
        start += _real_lseek(fd, 0, os.SEEK_CUR)
    elif whence == os.SEEK_END:
        start += _real_fstat(fd).st_size
    if length < 0:
        return start + length, start
    return start, start + length if length else _END


# A descriptor's number comes back with the next file that is opened, often the same one. So who locks
# marks the open file, where the system has something to mark it with that nobody uses: the signal
# for input and output, which is sent only if a program asks for it (O_ASYNC).
_MARK = 53


def _mark(fd: int) -> None:
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(fd, fcntl.F_SETSIG, _MARK)


def _is_marked(fd: int) -> bool:
    return not hasattr(fcntl, "F_GETSIG") or fcntl.fcntl(fd, fcntl.F_GETSIG) == _MARK


def _is_stale(lock: _Lock, file: _File) -> bool:
    """Whether the file through which a lock was taken has been closed."""
    try:
        return _file(lock.fd) != file or not _is_marked(lock.fd)
    except OSError:
        return True


def _conflict(file: _File, wanted: _Lock) -> bool:
    """Whether somebody else has what is wanted. Caller holds the guard."""
    found = [
        lock
        for lock in _locks.get(file, ())
        if lock.owner is not wanted.owner
        and lock.overlaps(wanted.begin, wanted.end)
        and (lock.exclusive or wanted.exclusive)
    ]
    stale = [lock for lock in found if _is_stale(lock, file)]
    for lock in stale:
        _locks[file].remove(lock)
    return len(found) > len(stale)


def _carve(file: _File, owner: Any, begin: int, end: int) -> list[_Lock]:
    """Remove what `owner` has of a range: the locks that were there. Caller holds the guard."""
    locks = _locks.setdefault(file, [])
    removed = [lock for lock in locks if lock.owner is owner and lock.overlaps(begin, end)]
    for lock in removed:
        locks.remove(lock)
        for rest_begin, rest_end in ((lock.begin, begin), (end, lock.end)):
            if rest_begin < rest_end:
                locks.append(_Lock(owner, lock.fd, rest_begin, rest_end, lock.exclusive))
    return removed


def _free_parts(file: _File, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a range that nobody in this process has locked. Caller holds the guard."""
    taken = sorted((k.begin, k.end) for k in _locks.get(file, ()) if k.overlaps(begin, end))
    for taken_begin, taken_end in taken:
        if begin < taken_begin:
            yield begin, taken_begin
        begin = max(begin, taken_end)
    if begin < end:
        yield begin, end


def _take(fd: int, wanted: _Lock, wait: bool, lock_in_kernel: Callable[[], Any]) -> None:
    file = _file(fd)
    pause = 0.0005
    while True:
        with _guard:
            if not _conflict(file, wanted):
                before = _carve(file, wanted.owner, wanted.begin, wanted.end)
                _locks[file].append(wanted)
                _mark(fd)
                break
        if not wait:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        (time.sleep if wanted.owner is MAIN else _core.sleep)(pause)
        pause = min(pause * 2, 0.02)
    _give_up_at_exit(wanted.owner)
    try:
        lock_in_kernel()
    except BaseException:
        with _guard:
            _carve(file, wanted.owner, wanted.begin, wanted.end)
            for lock in before:
                _carve(file, wanted.owner, lock.begin, lock.end)
                _locks[file].append(lock)
        raise


def _give_back(
    file: _File, owner: Any, begin: int, end: int, unlock: Callable[[int, int], Any]
) -> None:
    """Give up what `owner` has of a range, and in the kernel what nobody else here has locked."""
    with _guard:
        _carve(file, owner, begin, end)
        if not _locks[file]:
            del _locks[file]
        for part_begin, part_end in _free_parts(file, begin, end):
            unlock(part_begin, 0 if part_end == _END else part_end - part_begin)


def _give_up_at_exit(owner: Any) -> None:
    if owner is not MAIN and not owner.locals.get(_KEY):
        owner.locals[_KEY] = True
        owner.exit_functions.append(lambda: _give_up_all(owner))


def _give_up_all(owner: Any) -> None:
    with _guard:
        held = [(file, k) for file, locks in _locks.items() for k in locks if k.owner is owner]
    for file, lock in held:

        def unlock(begin: int, length: int, lock: _Lock = lock, file: _File = file) -> None:
            if not _is_stale(lock, file):  # otherwise the kernel has none
                _real_lockf(lock.fd, fcntl.LOCK_UN, length, begin)

        _give_back(file, owner, lock.begin, lock.end, unlock)


_real_lockf: Callable[..., Any]


def install(patches: PatchSet) -> None:
    """Replace fcntl.lockf and os.lockf."""
    global _real_lockf
    if fcntl is None:
        return
    _real_lockf = fcntl.lockf
    patches.attribute(fcntl, "lockf", _lockf_function())
    if hasattr(os, "lockf"):
        patches.attribute(os, "lockf", _os_lockf_function(os.lockf))


def _lockf_function() -> Any:
    stock = fcntl.lockf

    def lockf(fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> None:
        number = fd if isinstance(fd, int) else fd.fileno()
        if not cmd & (fcntl.LOCK_UN | fcntl.LOCK_SH | fcntl.LOCK_EX):
            stock(number, cmd, len, start, whence)  # says what is wrong
            return
        begin, end = _span(number, len, start, whence)
        if cmd & fcntl.LOCK_UN:

            def unlock(begin: int, length: int) -> None:
                stock(number, fcntl.LOCK_UN, length, begin)

            _give_back(_file(number), here(), begin, end, unlock)
            return
        wanted = _Lock(here(), number, begin, end, bool(cmd & fcntl.LOCK_EX))
        wait = not cmd & fcntl.LOCK_NB
        _take(number, wanted, wait, lambda: stock(number, cmd, len, start, whence))

    lockf.__doc__ = stock.__doc__
    return lockf


def _os_lockf_function(stock: Any) -> Any:
    commands = {
        os.F_LOCK: fcntl.LOCK_EX,
        os.F_TLOCK: fcntl.LOCK_EX | fcntl.LOCK_NB,
        os.F_ULOCK: fcntl.LOCK_UN,
    }

    def lockf(fd: int, command: int, length: int, /) -> None:
        if command in commands:
            fcntl.lockf(fd, commands[command], length, 0, os.SEEK_CUR)
            return
        if command == os.F_TEST:
            begin, end = _span(fd, length, 0, os.SEEK_CUR)
            with _guard:
                if _conflict(_file(fd), _Lock(here(), fd, begin, end, True)):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        stock(fd, command, length)

    lockf.__doc__ = stock.__doc__
    return lockf
