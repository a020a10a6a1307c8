# SPDX-License-Identifier: Apache-2.0
"""Pipes. Mirrors multiprocessing.connection.

Differs: each direction of a pipe is one channel of libforkless, which objects cross as they cross
queues: plain data is copied without pickling. No system object is made before somebody asks for
fileno(); the descriptor serves waiting (select, selectors, multiprocessing.connection.wait), and data
does not go through it. A send waits while messages of LIMIT bytes or more are there; one message may be
larger than that. Listener and Client are those of the standard library, on real sockets.

An end belongs to the processes that hold it. It is closed for a process when that calls close(), when it
ends, however it ends, or when the object goes; for good when no process holds it. Whoever gets an end
as an argument or in a message gets one of its own. After a start with 'fork' a child also holds what its
parent had open, as it would if it had been forked: it needs that where a function refers to an end as a
global name.
"""

from __future__ import annotations

import io
import weakref
from multiprocessing import connection as mp
from multiprocessing import context as mp_context
from typing import Any

from forkless import _core
from forkless.actors import Actor, MainActor, here, serials
from forkless.parcels import READER, WRITER, is_packing, pack_end, thing
from forkless.reduction import carry, deposit

__all__ = ["LIMIT", "Connection", "Direction", "Pipe"]

LIMIT = 256 * 1024  # bytes


class Direction:
    """One direction of a pipe: its channel, and the numbers of the ends that are open.

    No lock: an end is only entered while another is open, and closing twice does no harm.
    """

    __slots__ = ("channel", "readers", "writers")

    def __init__(self, channel: _core.Channel) -> None:
        self.channel = channel
        self.readers: set[int] = set()
        self.writers: set[int] = set()

    def leave(self, number: int, reader: int = READER, writer: int = WRITER) -> None:
        """An end is closed: without writers the channel has an end, without readers no purpose. The
        last ends may go when the globals of this module have gone."""
        self.writers.discard(number)
        if not self.writers:
            self.channel.leave(writer)
        self.readers.discard(number)
        if not self.readers:
            self.channel.leave(reader)


class Connection(mp.Connection):
    """One end of a pipe."""

    def __init__(self, incoming: Direction | None, outgoing: Direction | None) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._readable = incoming is not None
        self._writable = outgoing is not None
        self._closed_in: set[int] = set()  # pids of the processes that closed it
        self._holders: dict[int, Any] = {}  # pid -> process, of those that have it open
        self._number = next(serials)
        self._original = self._number  # of the end that this is a duplicate of
        if incoming is not None:
            incoming.readers.add(self._number)
            self._get, self._poll = incoming.channel.get, incoming.channel.poll
        if outgoing is not None:
            outgoing.writers.add(self._number)
            self._put = outgoing.channel.put

    # Who holds it

    def _adopt(self, holder: Actor | MainActor) -> None:
        """Let a process hold it."""
        self._holders[holder.pid] = holder
        holder.ends[self._number] = weakref.ref(self)
        closed = holder.pid in self._closed_in
        if closed or (isinstance(holder, Actor) and holder.poll() is not None):
            self._leave(holder.pid)  # it has closed it or was killed while we were at it

    def _leave(self, pid: int) -> None:
        """A process does not hold it any more. Whoever finds it gone from `ends` finds it closed, too:
        several threads may be at it, those of the process and one that kills it."""
        self._closed_in.add(pid)
        holder = self._holders.get(pid)
        if holder is not None:
            for heir in _heirs(holder, self):
                self._adopt(heir)
            self._holders.pop(pid, None)
        if not self._holders:
            self._close_for_good()
        if holder is not None:
            holder.ends.pop(self._number, None)

    def _close_for_good(self) -> None:
        if self._incoming is not None:
            self._incoming.leave(self._number)
        if self._outgoing is not None:
            self._outgoing.leave(self._number)

    def __del__(self) -> None:
        self._close_for_good()
        while self._holders:
            self._holders.popitem()[1].ends.pop(self._number, None)

    def _duplicate(self) -> Connection:
        """Another open end of the same pipe, which nobody holds yet."""
        self._check_closed()
        duplicate = Connection(self._incoming, self._outgoing)
        duplicate._original = self._number
        return duplicate

    def __reduce__(self) -> Any:
        if is_packing():
            self._check_closed()
            directions = self._incoming, self._outgoing
            return _arrive, pack_end(*(way and way.channel for way in directions))
        return deposit(self._duplicate(), _receive)

    # The interface

    @property
    def closed(self) -> bool:
        return bool(self._closed_in) and (not self._holders or _core.getpid() in self._closed_in)

    @property
    def _handle(self) -> int | None:
        return None if self.closed else self.fileno()

    def _check_closed(self) -> None:
        if self.closed:
            raise OSError("handle is closed")

    def _check(self, allowed: bool, complaint: str) -> None:
        if self._closed_in:
            self._check_closed()
        if not allowed:
            raise OSError(complaint)

    def close(self) -> None:
        """Close the connection for the calling process."""
        self._leave(_core.getpid())

    def _close(self) -> None:
        self.close()

    def fileno(self) -> int:
        """A descriptor that is readable exactly while a message or the end is there. It is for waiting:
        data does not go through it."""
        self._check_closed()
        if self._incoming is not None:
            return self._incoming.channel.fileno()
        assert self._outgoing is not None
        return self._outgoing.channel.fileno(True)

    def send(self, obj: Any) -> None:
        """Send a copy of an object. Waits while LIMIT bytes are in the pipe; raises BrokenPipeError
        when nobody can receive any more, and what pickling raises."""
        if self._closed_in or not self._writable:
            self._check(self._writable, "connection is read-only")
        self._put(obj)

    def recv(self) -> Any:
        """Wait for the next object. Raises EOFError when nobody can send any more."""
        if self._closed_in or not self._readable:
            self._check(self._readable, "connection is write-only")
        return self._get()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether a message or the end is there, waiting for it up to the timeout."""
        if self._closed_in or not self._readable:
            self._check(self._readable, "connection is write-only")
        return self._poll(timeout)

    def _send_bytes(self, buf: Any) -> None:
        if self._closed_in or not self._writable:
            self._check(self._writable, "connection is read-only")
        self._outgoing.channel.put_bytes(buf)  # type: ignore[union-attr]

    def send_bytes(self, buf: Any, offset: int = 0, size: int | None = None) -> None:
        """Send bytes of a buffer as a message; all of a bytes object are sent without a copy."""
        if offset == 0 and size is None and type(buf) is bytes:
            self._send_bytes(buf)
        else:
            super().send_bytes(buf, offset, size)

    def _take(self, maxlength: int | None) -> bytes:
        message: bytes = self._incoming.channel.get_bytes()  # type: ignore[union-attr]
        if maxlength is not None and len(message) > maxlength:
            self._bad_message_length()  # type: ignore[attr-defined]
        return message

    def recv_bytes(self, maxlength: int | None = None) -> bytes:
        """Wait for the next message, as bytes: those that were sent, or the pickle of the object.

        Raises OSError if it is longer than `maxlength`; then no more can be received.
        """
        if self._closed_in or not self._readable:
            self._check(self._readable, "connection is write-only")
        if maxlength is not None and maxlength < 0:
            raise ValueError("negative maxlength")
        return self._take(maxlength)

    def _recv_bytes(self, maxsize: int | None = None) -> io.BytesIO:
        buffer = io.BytesIO(self._take(maxsize))
        buffer.seek(0, io.SEEK_END)  # as if it had been written there
        return buffer


def _receive(end: Connection) -> Connection:
    """Give an end that was sent to whom it was sent: the child that is being started, or the caller."""
    popen: Any = mp_context.get_spawning_popen()
    if popen is not None and hasattr(popen, "inherited"):
        popen.inherited.append(end)
    else:
        end._adopt(here())
    return end


def _arrive(*channels: int | None) -> Connection:
    """The end of a pipe that came from another interpreter."""
    return _receive(Connection(*(i if i is None else Direction(thing(i)) for i in channels)))


def _heirs(holder: Actor | MainActor, end: Connection) -> list[Actor]:
    """The children that were forked while `holder` had this end open, and have it open still."""
    heirs = []
    for child in reversed(holder.forked.values()):
        if child.serial < end._number:
            break  # they and all before them are older than the end
        if end._number not in child.replaced and child.pid not in end._closed_in:
            heirs.append(child)
    return heirs


carry(Connection, Connection._duplicate, _receive)


def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
    """The two ends of a new pipe; without `duplex` the first receives and the second sends."""
    if duplex:
        one, two = map(Direction, _core.Channel.pair(LIMIT))
        ends = Connection(one, two), Connection(two, one)
    else:
        one = Direction(_core.Channel(0, LIMIT))
        ends = Connection(one, None), Connection(None, one)
    for end in ends:
        end._adopt(here())
    return ends
