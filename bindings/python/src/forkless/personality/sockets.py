# SPDX-License-Identifier: Apache-2.0
"""Sockets of an actor: waits that end when something is thrown at it, and their end with the actor.

Mirrors socket.socket, whose methods wait in poll(2) when an actor calls them (see waits) and then ask
the kernel not to wait. A socket without a timeout is asked first, so that nothing is added where there
is nothing to wait for.

Differs from processes: looking up a name (getaddrinfo), and the records of TLS once the first byte of
one is there, wait as ever. A listening socket that an actor waits for is switched to non-blocking mode,
which sockets that share it in other programs would notice.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from forkless import _core
from forkless.patches import PatchSet
from forkless.personality import threads
from forkless.personality.waits import _IN, _OUT, Deadline, _noting, elsewhere

__all__ = ["close_opened", "install"]

_DONTWAIT = getattr(socket, "MSG_DONTWAIT", 0)
_WAITALL = getattr(socket, "MSG_WAITALL", 0)
# With these the kernel does not wait.
_AT_ONCE = _DONTWAIT | getattr(socket, "MSG_OOB", 0) | getattr(socket, "MSG_ERRQUEUE", 0)


def install(patches: PatchSet) -> None:
    """Replace the methods of socket.socket, for actors only."""
    cls = socket.socket
    # The position of the flags, and the arguments before them that may be left out.
    for name, position, defaults in (
        ("recv", 1, ()),
        ("recvfrom", 1, ()),
        ("recvmsg", 2, (0,)),
        ("recvmsg_into", 2, (0,)),
    ):
        if hasattr(cls, name):
            patches.dispatch(cls, name, _receiving(getattr(cls, name), position, defaults))
    for name in ("recv_into", "recvfrom_into"):
        patches.dispatch(cls, name, _receiving_into(getattr(cls, name)))
    for function in _sending_methods(cls):
        if hasattr(cls, function.__name__):
            patches.dispatch(cls, function.__name__, function)
    patches.dispatch(cls, "connect", _connect_method(cls))
    patches.dispatch(cls, "connect_ex", _connect_ex_method(cls))
    patches.attribute(cls, "_accept", _accept_method(cls._accept))  # type: ignore[attr-defined]
    patches.dispatch(cls, "__init__", _noting(cls))
    if "ssl" in sys.modules:
        _patch_ssl(patches, sys.modules["ssl"])


def _wait(sock: Any, events: int, deadline: Deadline) -> None:
    """Wait until the socket is ready, or raise TimeoutError."""
    if not _core.wait_descriptor(sock.fileno(), events, deadline.left()):
        raise TimeoutError("timed out")


def _repeat(
    sock: Any, events: int, timeout: float | None, flags: int, call: Callable[[int], Any]
) -> Any:
    """Make `call(flags)` until it finds the socket ready."""
    if timeout == 0 or flags & _AT_ONCE or sock.fileno() < 0 or not _DONTWAIT:
        return call(flags)
    deadline = Deadline(timeout)
    first = timeout is None  # with a timeout, the call itself would wait in the kernel
    while True:
        if not first:
            _wait(sock, events, deadline)
        first = False
        try:
            return call(flags | _DONTWAIT)
        except BlockingIOError:
            pass


def _receiving(original: Any, position: int, defaults: tuple[Any, ...]) -> Any:
    def receive(self: Any, *args: Any) -> Any:
        given = (*args, *defaults[len(args) - 1 :])[:position]
        flags = args[position] if len(args) > position else 0
        if len(given) < position or len(args) > position + 1:
            return original(self, *args)  # it says what is wrong
        if flags & _WAITALL and original.__name__ == "recv":
            return _receive_all(self, args[0], flags)
        return _repeat(
            self, _IN, self.gettimeout(), flags, lambda flags: original(self, *given, flags)
        )

    return receive


def _receive_all(sock: Any, size: int, flags: int) -> bytes:
    buffer = bytearray(size)
    return bytes(memoryview(buffer)[: sock.recv_into(buffer, size, flags)])


def _receiving_into(original: Any) -> Any:
    def receive_into(self: Any, buffer: Any, nbytes: int = 0, flags: int = 0) -> Any:
        timeout = self.gettimeout()

        def once(view: Any, nbytes: int, flags: int) -> Any:
            return _repeat(
                self, _IN, timeout, flags, lambda flags: original(self, view, nbytes, flags)
            )

        peek = getattr(socket, "MSG_PEEK", 0)
        if not flags & _WAITALL or flags & peek or original.__name__ != "recv_into":
            return once(buffer, nbytes, flags)
        view, done = memoryview(buffer).cast("B"), 0
        size = nbytes or len(view)
        while done < size:
            count = once(view[done:], size - done, flags & ~_WAITALL)
            done += count
            if not count or timeout is not None:
                break
        return done

    return receive_into


def _sending_methods(cls: Any) -> list[Any]:
    real_send, real_sendto = cls.send, cls.sendto
    real_sendmsg = getattr(cls, "sendmsg", None)

    def some(sock: Any, data: Any, flags: int, timeout: float | None) -> int:
        return int(_repeat(sock, _OUT, timeout, flags, lambda flags: real_send(sock, data, flags)))

    def send(self: Any, data: Any, flags: int = 0, /) -> int:
        timeout = self.gettimeout()
        sent = some(self, data, flags, timeout)
        view = memoryview(data).cast("B")
        while timeout is None and sent < len(view) and not flags & _AT_ONCE:
            sent += some(self, view[sent:], flags, timeout)  # as the kernel does while it may wait
        return sent

    def sendall(self: Any, data: Any, flags: int = 0, /) -> None:
        timeout = self.gettimeout()
        deadline = Deadline(timeout)
        view, sent = memoryview(data).cast("B"), 0
        while True:
            left = timeout if not timeout else deadline.left()
            if left == 0 and timeout:
                raise TimeoutError("timed out")
            sent += some(self, view[sent:], flags, left)
            if sent >= len(view):
                return

    def sendto(self: Any, data: Any, *rest: Any) -> int:
        if not 1 <= len(rest) <= 2:
            return int(real_sendto(self, data, *rest))
        flags, address = rest if len(rest) == 2 else (0, rest[0])
        return int(
            _repeat(
                self,
                _OUT,
                self.gettimeout(),
                flags,
                lambda flags: real_sendto(self, data, flags, address),
            )
        )

    def sendmsg(
        self: Any, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /
    ) -> int:
        return int(
            _repeat(
                self,
                _OUT,
                self.gettimeout(),
                flags,
                lambda flags: real_sendmsg(self, buffers, ancdata, flags, address),  # type: ignore[misc]
            )
        )

    return [send, sendall, sendto, sendmsg]


def _accept_method(original: Any) -> Any:
    """accept() for all. Among several that wait for one listener all but one find nothing: so it must
    not be one that blocks. The real process then waits itself, for a socket that says it would."""

    def _accept(self: Any) -> Any:
        timeout = self.gettimeout()
        in_actor = _core.current() is not None
        if in_actor and timeout is None and os.get_blocking(self.fileno()):
            os.set_blocking(self.fileno(), False)
        deadline = Deadline(timeout)
        while True:
            if in_actor and timeout:
                _wait(self, _IN, deadline)
            try:
                return original(self)
            except BlockingIOError:
                if timeout == 0:
                    raise
            _wait(self, _IN, deadline)

    return _accept


def _connected(cls: Any, sock: Any, address: Any, timeout: float | None) -> int:
    """Connect; 0 or a number of errno. Raises TimeoutError."""
    real_connect_ex = cls.connect_ex
    if isinstance(real_connect_ex, _core.Dispatch):
        real_connect_ex = real_connect_ex.__wrapped__
    sock.settimeout(0)
    try:
        number = real_connect_ex(sock, address)
    finally:
        sock.settimeout(timeout)
    if number == errno.EAGAIN:  # the queue of a Unix listener is full: nothing to poll for
        return int(elsewhere(real_connect_ex, sock, address))
    if number == errno.EINPROGRESS:
        _wait(sock, _OUT, Deadline(timeout))
        number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return int(number)


def _connect_method(cls: Any) -> Any:
    original = cls.connect

    def connect(self: Any, address: Any, /) -> None:
        timeout = self.gettimeout()
        if timeout == 0 or self.fileno() < 0:
            original(self, address)
            return
        number = _connected(cls, self, address, timeout)
        if number:
            raise OSError(number, os.strerror(number))

    return connect


def _connect_ex_method(cls: Any) -> Any:
    original = cls.connect_ex

    def connect_ex(self: Any, address: Any, /) -> int:
        timeout = self.gettimeout()
        if timeout == 0 or self.fileno() < 0:
            return int(original(self, address))
        try:
            return _connected(cls, self, address, timeout)
        except TimeoutError:
            return errno.EAGAIN

    return connect_ex


def _patch_ssl(patches: PatchSet, ssl: Any) -> None:
    """Wait for the first byte of a record before TLS reads it."""
    cls = getattr(ssl, "SSLSocket", None)
    if cls is None:
        return
    real_read, real_handshake = cls.read, cls.do_handshake

    def read(self: Any, len: int = 1024, buffer: Any = None) -> Any:
        timeout = self.gettimeout()
        if timeout != 0 and self.fileno() >= 0 and self._sslobj is not None and not self.pending():
            _wait(self, _IN, Deadline(timeout))
        return real_read(self, len, buffer)

    def do_handshake(self: Any, block: bool = False) -> None:
        timeout = self.gettimeout()
        if (timeout == 0 and not block) or self.fileno() < 0:
            real_handshake(self, block)
            return
        deadline = Deadline(timeout or None)
        self.settimeout(0)
        try:
            while True:
                try:
                    real_handshake(self)
                    return
                except ssl.SSLWantReadError:
                    _wait(self, _IN, deadline)
                except ssl.SSLWantWriteError:
                    _wait(self, _OUT, deadline)
        finally:
            self.settimeout(timeout)

    patches.dispatch(cls, "read", read)
    patches.dispatch(cls, "do_handshake", do_handshake)


def close_opened(actor: Any) -> None:
    """Close the sockets and connections that an actor has made, as the kernel would.

    Connections when the last of its threads has ended: one may be closing its own just now, and a
    descriptor that is closed twice may be somebody else's the second time.
    """
    _close([opened for opened in actor.still_opened() if isinstance(opened, socket.socket)])
    threads.after_helpers(actor, lambda: _close(actor.still_opened()))


def _close(opened: list[Any]) -> None:
    for one in opened:
        try:
            one.close()
        except (OSError, ValueError):
            pass  # closed already
