# SPDX-License-Identifier: Apache-2.0
"""How objects cross between actors when they are not plain data.

Mirrors multiprocessing.reduction, and obeys what a program registered with its ForkingPickler. Differs:

- what becomes of exceptions, see forkless.exceptions;
- the buffers of objects that know pickle protocol 5, arrays and memory views cross out of band, each
  copied once, when it is sent; large bytes inside of an object are copied when it is received;
- what belongs to a process, such as a socket or the end of a pipe, crosses as a duplicate inside of the
  message, so that it goes with the message when nobody receives that.
"""

from __future__ import annotations

import array
import functools
import io
import itertools
import os
import pickle
import socket
import threading
import types
import weakref
from collections.abc import Callable
from multiprocessing import connection as mp_connection
from multiprocessing import context as mp_context
from multiprocessing.reduction import ForkingPickler
from typing import Any

from forkless import _core, exceptions, patches, stdlib

__all__ = [
    "DupFd",
    "Pickler",
    "Sink",
    "carry",
    "deposit",
    "dump_whole",
    "dumps",
    "loads",
    "reference",
    "snapshot",
]

# What dumps() returns for an object that is more than one string of bytes: the pickle in pieces, the
# buffers outside of it, and what it carries, with the function that receives each.
_Parcel = tuple[list[bytes], list[Any], list[tuple[Any, Callable[[Any], Any]]]]

_carriers: dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {}
_loading = threading.local()  # .carried: of the parcel that this thread unpickles


def carry(cls: type, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
    """Let the objects of exactly the type `cls` cross by reference to unpack(pack(obj)).

    `pack` runs in the sender, `unpack` in the receiver. What `pack` raises is what pickling raises.
    """
    _carriers[cls] = pack, unpack


def _carried(index: int) -> Any:
    item, unpack = _loading.carried[index]
    return unpack(item)


_BY_NAME = (type, types.FunctionType)  # no pickler asks a reducer for these


class Pickler(pickle.Pickler):
    """The pickler of dumps(). Exceptions are reduced by forkless.exceptions."""

    root: BaseException | None = None  # an exception that is pickled as it is
    strict = False  # see exceptions.reduce()
    carried: list[Any] | None = None  # in the pickler of dumps() alone

    @functools.cached_property
    def open(self) -> set[int]:
        return set()

    @functools.cached_property
    def depths(self) -> dict[int, int]:
        return {}

    def reducer_override(self, obj: Any) -> Any:
        cls = type(obj)
        if cls in _carriers and self.carried is not None:
            pack, unpack = _carriers[cls]
            self.carried.append((pack(obj), unpack))
            return _carried, (len(self.carried) - 1,)
        reducer = stdlib.REDUCERS.get(cls)
        if reducer is not None and cls not in _BY_NAME:
            return reducer(obj)
        if isinstance(obj, BaseException) and obj is not self.root:
            return exceptions.reduce(self, obj)
        if id(obj) in patches.replaced and self.carried is not None:
            return patches.original, (id(obj),)
        return NotImplemented


class Sink:
    """Where a pickle is written to: large objects come as pieces of their own."""

    __slots__ = ("pieces",)

    def __init__(self) -> None:
        self.pieces: list[bytes] = []

    def write(self, piece: Any) -> None:
        self.pieces.append(piece if type(piece) is bytes else bytes(piece))


class _Source:
    """Where a pickle in pieces is read from, without putting them together first."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)
        self._view = memoryview(b"")

    def _some(self, size: int) -> memoryview:
        """Up to `size` bytes that lie together; none at the end."""
        while not self._view:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._view = memoryview(piece)
        some, self._view = self._view[:size], self._view[size:]
        return some

    def readinto(self, target: Any) -> int:
        filled = 0
        while filled < len(target) and (some := self._some(len(target) - filled)):
            target[filled : filled + len(some)] = some
            filled += len(some)
        return filled

    def read(self, size: int) -> bytes:
        whole = bytes(self._some(size))
        while len(whole) < size and (some := self._some(size - len(whole))):
            whole += some
        return whole

    def readline(self) -> bytes:
        line = b""
        while not line.endswith(b"\n") and (byte := self.read(1)):
            line += byte
        return line


def _snapshot(buffer: pickle.PickleBuffer) -> Any:
    """What the receiver gets of a buffer: a copy, or the same bytes if nobody can change them."""
    with buffer.raw() as raw:
        owner = raw.obj
        if type(owner) is bytes and len(owner) == raw.nbytes:
            return owner
        return bytes(raw) if raw.readonly else bytearray(raw)


def dumps(obj: Any, strict: bool = False) -> bytes | _Parcel:
    """Pickle an object for loads() in another actor.

    An exception that cannot be pickled becomes a RemoteError, or raises what happens if `strict`.
    """
    sink = Sink()
    buffers: list[Any] = []
    pickler = Pickler(sink, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
    pickler.strict = strict
    carried: list[Any] = []
    pickler.carried = carried
    pickler.dump(obj)
    if len(sink.pieces) == 1 and not buffers and not carried:
        return sink.pieces[0]
    return sink.pieces, [_snapshot(buffer) for buffer in buffers], carried


def dump_whole(obj: Any) -> bytes:
    """The same as one pickle, which carries nothing, for bytes that end up in a record."""
    buffer = io.BytesIO()
    Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(obj)
    return buffer.getvalue()


def loads(parcel: Any) -> Any:
    """The object that dumps() took, or that any pickle holds."""
    if type(parcel) is not tuple:
        return pickle.loads(parcel)
    pieces, buffers, carried = parcel
    before = getattr(_loading, "carried", None)
    _loading.carried = carried
    try:
        if len(pieces) == 1:
            return pickle.loads(pieces[0], buffers=buffers)
        return pickle.Unpickler(_Source(pieces), buffers=buffers).load()
    finally:
        _loading.carried = before


def _dump_bytes(obj: Any) -> bytes:
    """A pickle that programs without forkless understand, as Connection.send() would send it."""
    return bytes(ForkingPickler.dumps(obj))


# Data that is copied once


def snapshot(view: memoryview) -> bytes | bytearray:
    """A copy of what a memory view shows."""
    return bytes(view) if view.readonly else bytearray(view)


def _copy_view(view: memoryview) -> memoryview:
    """A memory view of a copy, of the same format and shape."""
    return memoryview(snapshot(view)).cast("B").cast(view.format, view.shape)  # type: ignore[call-overload]


def _same(obj: Any) -> Any:
    return obj


carry(array.array, array.array.__copy__, _same)
carry(memoryview, _copy_view, _same)


# What belongs to a process

duplicate_descriptor = os.dup
close_descriptor = os.close


def _duplicate_connection(conn: Any) -> Any:
    fd = os.dup(conn.fileno())
    return mp_connection.Connection(fd, conn.readable, conn.writable)


carry(socket.socket, socket.socket.dup, _same)
carry(mp_connection.Connection, _duplicate_connection, _same)


class DupFd:
    """A descriptor on its way to another actor: a duplicate, which detach() gives to the receiver.

    Stands for multiprocessing.reduction.DupFd: all actors share one table of descriptors. The duplicate
    is closed if it was not detached when the last copy of this object goes.
    """

    def __init__(self, fd: int) -> None:
        self._fd: int | None = os.dup(fd)

    def detach(self) -> int:
        """The descriptor; its receiver closes it. Once only: raises OSError the second time."""
        fd, self._fd = self._fd, None
        if fd is None:
            raise OSError("the descriptor was detached before")
        return fd

    def __reduce__(self) -> Any:
        return deposit(self, _same)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if self._fd is not None:
            close(self._fd)


carry(DupFd, _same, _same)

_deposits: dict[int, tuple[Any, Callable[[Any], Any]]] = {}


def deposit(obj: Any, unpack: Callable[[Any], Any]) -> tuple[Any, tuple[int]]:
    """For __reduce__ of an object that belongs to a process, under picklers that do not carry: keeps
    `obj` until the pickle is loaded, once, as unpack(obj)."""
    number = next(_numbers)
    _deposits[number] = obj, unpack
    return _withdraw, (number,)


def _withdraw(number: int) -> Any:
    try:
        obj, unpack = _deposits.pop(number)
    except KeyError:
        raise pickle.UnpicklingError(
            "what this pickle refers to belongs to another process, or was taken before"
        ) from None
    return unpack(obj)


# Objects that all actors share (locks, queues): they are pickled as a number. The registry does not
# keep them alive; whoever sends one does until it has been received.
_shared: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)
_numbering = _core.Guard()


def reference(obj: Any) -> tuple[Any, ...]:
    """For __reduce__ of an object that is shared by reference: only while a process is started. Another
    interpreter gets what the object consists of."""
    mp_context.assert_spawning(obj)
    if parcels.is_packing():
        return parcels.by_value(obj)
    with _numbering:  # the same number for all, whoever asks first
        number = vars(obj).get("_forkless_number")
        if number is None:
            number = obj._forkless_number = next(_numbers)
        _shared[number] = obj
    return _dereference, (number,)


def _dereference(number: int) -> Any:
    return _shared[number]


from forkless import parcels  # noqa: E402  (which needs what is above)

_core.configure(
    dumps=dumps,
    loads=loads,
    dump_bytes=_dump_bytes,
    error_record=exceptions.error_record,
    rebuild_error=exceptions.rebuild_error,
    dump_parcel=parcels.dump,
    load_parcel=parcels.load,
)
