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

import errno
import io
import os
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from forkless import _core
from forkless.actors import MAIN, here
from forkless.patches import PatchSet

__all__ = ["install"]

_END = 1 << 63  # of a lock that reaches to the end of the file, however long it becomes
_Key = tuple[int, int]  # device and inode of a file

_real_fstat, _real_lseek = os.fstat, os.lseek


class _Opened:
    """What a lock was taken through. Its number may be given to another open file once it is closed."""

    def __init__(self, file: Any) -> None:
        self.fd: int = file if isinstance(file, int) else file.fileno()
        self.key = _key(self.fd)
        self.closed = False  # by os.close()
        self._object = weakref.ref(file) if _closes_with(file) else None

    def is_closed(self) -> bool:
        if self.closed:
            return True
        if self._object is not None:
            file = self._object()
            return file is None or file.closed
        try:
            return _key(self.fd) != self.key
        except OSError:
            return True


def _closes_with(file: Any) -> bool:
    """Whether the descriptor of `file` is closed exactly when the object is."""
    if not isinstance(file, io.IOBase):
        return False
    raw: Any = getattr(file, "buffer", file)
    raw = getattr(raw, "raw", raw)
    return bool(getattr(raw, "closefd", False))


class _Lock:
    """Bytes `begin` to `end` of a file, locked by `owner` through `opened`."""

    def __init__(self, owner: Any, opened: _Opened, begin: int, end: int, exclusive: bool) -> None:
        self.owner = owner
        self.opened = opened
        self.begin = begin
        self.end = end
        self.exclusive = exclusive

    def overlaps(self, begin: int, end: int) -> bool:
        return self.begin < end and begin < self.end


_guard = _core.Guard()
_locks: dict[_Key, list[_Lock]] = {}  # guarded by _guard
_HELD = "record locks"  # in Actor.locals: the actor's locks are given up when it ends


def _key(fd: int) -> _Key:
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


def _conflict(key: _Key, wanted: _Lock) -> bool:
    """Whether somebody else has what is wanted. Caller holds the guard."""
    found = [
        lock
        for lock in _locks.get(key, ())
        if lock.owner is not wanted.owner
        and lock.overlaps(wanted.begin, wanted.end)
        and (lock.exclusive or wanted.exclusive)
    ]
    stale = [lock for lock in found if lock.opened.is_closed()]
    for lock in stale:
        _locks[key].remove(lock)
    return len(found) > len(stale)


def _carve(key: _Key, owner: Any, begin: int, end: int) -> list[_Lock]:
    """Remove what `owner` has of a range: the locks that were there. Caller holds the guard."""
    locks = _locks.setdefault(key, [])
    removed = [lock for lock in locks if lock.owner is owner and lock.overlaps(begin, end)]
    for lock in removed:
        locks.remove(lock)
        for rest_begin, rest_end in ((lock.begin, begin), (end, lock.end)):
            if rest_begin < rest_end:
                locks.append(_Lock(owner, lock.opened, rest_begin, rest_end, lock.exclusive))
    return removed


def _free_parts(key: _Key, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of a range that nobody in this process has locked. Caller holds the guard."""
    taken = sorted((k.begin, k.end) for k in _locks.get(key, ()) if k.overlaps(begin, end))
    for taken_begin, taken_end in taken:
        if begin < taken_begin:
            yield begin, taken_begin
        begin = max(begin, taken_end)
    if begin < end:
        yield begin, end


def _pause(owner: Any, seconds: float) -> float:
    """Wait a little; how long to wait the next time."""
    (time.sleep if owner is MAIN else _core.sleep)(seconds)
    return min(seconds * 2, 0.02)


def _take(wanted: _Lock, wait: bool, lock_in_kernel: Callable[[bool], Any]) -> None:
    """Take a lock, from the others in this process and then from the kernel."""
    key, owner, pause = wanted.opened.key, wanted.owner, 0.0005
    while True:
        with _guard:
            if not _conflict(key, wanted):
                before = _carve(key, owner, wanted.begin, wanted.end)
                _locks[key].append(wanted)
                break
        if not wait:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        pause = _pause(owner, pause)
    _give_up_at_exit(owner)
    try:
        _take_in_kernel(owner, wait, lock_in_kernel)
    except BaseException:
        with _guard:
            _carve(key, owner, wanted.begin, wanted.end)
            for lock in before:
                _carve(key, owner, lock.begin, lock.end)
                _locks[key].append(lock)
        raise


def _take_in_kernel(owner: Any, wait: bool, lock: Callable[[bool], Any]) -> None:
    """lock(wait), for an actor in a way that ends when the actor does."""
    if owner is MAIN or not wait:
        lock(wait)
        return
    pause = 0.0005
    while True:
        try:
            lock(False)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        pause = _pause(owner, pause)


def _give_back(
    key: _Key, owner: Any, begin: int, end: int, unlock: Callable[[int, int], Any]
) -> None:
    """Give up what `owner` has of a range, and in the kernel what nobody else here has locked."""
    with _guard:
        _carve(key, owner, begin, end)
        for part_begin, part_end in _free_parts(key, begin, end):
            unlock(part_begin, 0 if part_end == _END else part_end - part_begin)
        if not _locks[key]:
            del _locks[key]


def _give_up_at_exit(owner: Any) -> None:
    if owner is not MAIN and not owner.locals.get(_HELD):
        owner.locals[_HELD] = True
        owner.exit_functions.append(lambda: _give_up_all(owner))


def _give_up_all(owner: Any) -> None:
    import fcntl

    with _guard:
        held = [(key, k) for key, locks in _locks.items() for k in locks if k.owner is owner]
    for key, lock in held:

        def unlock(begin: int, length: int, opened: _Opened = lock.opened) -> None:
            if not opened.is_closed():  # otherwise the kernel has none
                _real_lockf(opened.fd, fcntl.LOCK_UN, length, begin)

        _give_back(key, owner, lock.begin, lock.end, unlock)


def _forget(fd: int) -> None:
    """A descriptor was closed: what was locked through it is free."""
    with _guard:
        for locks in _locks.values():
            for lock in locks:
                if lock.opened.fd == fd:
                    lock.opened.closed = True


_real_lockf: Callable[..., Any]


def install(patches: PatchSet) -> None:
    """Replace fcntl.lockf and os.lockf."""
    global _real_lockf
    try:
        import fcntl
    except ImportError:
        return
    _real_lockf = fcntl.lockf
    patches.attribute(fcntl, "lockf", _lockf_function(fcntl))
    patches.attribute(os, "close", _close_function(os.close))
    if hasattr(os, "lockf"):
        patches.attribute(os, "lockf", _os_lockf_function(fcntl, os.lockf))


def _close_function(original: Any) -> Any:
    def close(fd: int) -> None:
        if _locks:
            _forget(fd)
        original(fd)

    close.__doc__ = original.__doc__
    return close


def _lockf_function(fcntl: Any) -> Any:
    stock = fcntl.lockf

    def lockf(fd: Any, cmd: int, len: int = 0, start: int = 0, whence: int = 0, /) -> None:
        opened = _Opened(fd)
        if not cmd & (fcntl.LOCK_UN | fcntl.LOCK_SH | fcntl.LOCK_EX):
            stock(opened.fd, cmd, len, start, whence)  # says what is wrong
            return
        begin, end = _span(opened.fd, len, start, whence)
        if cmd & fcntl.LOCK_UN:

            def unlock(begin: int, length: int) -> None:
                stock(opened.fd, fcntl.LOCK_UN, length, begin)

            _give_back(opened.key, here(), begin, end, unlock)
            return

        def lock(wait: bool) -> None:
            kind = cmd if wait else cmd | fcntl.LOCK_NB
            stock(opened.fd, kind, len, start, whence)

        wanted = _Lock(here(), opened, begin, end, bool(cmd & fcntl.LOCK_EX))
        _take(wanted, not cmd & fcntl.LOCK_NB, lock)

    lockf.__doc__ = stock.__doc__
    return lockf


def _os_lockf_function(fcntl: Any, stock: Any) -> Any:
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
                opened = _Opened(fd)
                if _conflict(opened.key, _Lock(here(), opened, begin, end, True)):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        stock(fd, command, length)

    lockf.__doc__ = stock.__doc__
    return lockf
