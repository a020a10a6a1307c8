# SPDX-License-Identifier: Apache-2.0
"""How objects cross from one interpreter to another.

Nothing of Python can be shared between interpreters, so that everything is pickled, in one string of
bytes. What lies beneath queues, locks and pipes is shared by all: a channel, a semaphore or a descriptor
in a pickle is the index of a thing that travels beside it, in the same message, and is dropped with
that when nobody receives it.

Differs from forkless.reduction: plain data is pickled as well, buffers are not out of band, and an object
that other simulated processes get by reference is sent by its state, as the start method spawn does it.
"""

from __future__ import annotations

import copyreg
import importlib
import pickle
import socket
import threading
from collections.abc import Callable
from multiprocessing import connection as mp_connection
from typing import Any

from forkless import _core, patches, reduction

__all__ = ["READER", "WRITER", "by_value", "dump", "is_packing", "load", "pack_end", "thing"]

NO_END, READER, WRITER = 0, 1, 2  # what the receiver of a channel becomes for it

_now = (
    threading.local()
)  # .packed: the things of the parcel that this thread makes; .unpacked: opens


def is_packing() -> bool:
    """Whether the calling thread pickles something for another interpreter."""
    return getattr(_now, "packed", None) is not None


def _pack(item: Any, role: int = NO_END) -> tuple[Callable[[int], Any], tuple[int]]:
    """What a reducer returns for something that travels beside the pickle."""
    _now.packed.append((item, role))
    return thing, (len(_now.packed) - 1,)


def thing(index: int) -> Any:
    """The thing with this index in the parcel that the calling thread opens. Whoever asks owns it."""
    item, _ = _now.unpacked[index]
    _now.unpacked[index] = item, NO_END
    return item


def pack_end(incoming: Any, outgoing: Any) -> tuple[int | None, int | None]:
    """Where the channels of an end of a pipe are in the parcel. The receiver becomes one more end."""
    return tuple(
        None if channel is None else _pack(channel, role)[1][0]
        for channel, role in ((incoming, READER), (outgoing, WRITER))
    )  # type: ignore[return-value]


def by_value(obj: Any) -> tuple[Any, ...]:
    """For __reduce__: what pickling does with an object that has none."""
    return copyreg.__newobj__, (type(obj),), obj.__getstate__()  # type: ignore[attr-defined]


# What belongs to a process


def _pack_socket(sock: socket.socket) -> Any:
    with sock.dup() as duplicate:
        _, (index,) = _pack(duplicate.detach())
    return _unpack_socket, (index, int(sock.family), int(sock.type), sock.proto)


def _unpack_socket(index: int, family: int, kind: int, proto: int) -> socket.socket:
    return socket.socket(family, kind, proto, thing(index))


def _pack_connection(connection: Any) -> Any:
    _, (index,) = _pack(reduction.duplicate_descriptor(connection.fileno()))
    return _unpack_connection, (index, connection.readable, connection.writable)


def _unpack_connection(index: int, readable: bool, writable: bool) -> Any:
    return mp_connection.Connection(thing(index), readable, writable)


class _Descriptor:
    """A descriptor that has arrived; detach() gives it away."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def detach(self) -> int:
        return self._fd


def _unpack_descriptor(index: int) -> _Descriptor:
    return _Descriptor(thing(index))


def _pack_descriptor(held: reduction.DupFd) -> Any:
    _, (index,) = _pack(held.detach())
    return _unpack_descriptor, (index,)


def _pack_view(view: memoryview) -> Any:
    return _unpack_view, (reduction.snapshot(view), view.format, view.shape)


def _unpack_view(data: Any, format_: str, shape: Any) -> memoryview:
    return memoryview(data).cast("B").cast(format_, shape)  # type: ignore[call-overload]


def _by_name(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


_PACKED: dict[type, Callable[[Any], Any]] = {
    _core.Channel: _pack,
    _core.SemLock: _pack,
    socket.socket: _pack_socket,
    mp_connection.Connection: _pack_connection,
    reduction.DupFd: _pack_descriptor,
    memoryview: _pack_view,
}


class ParcelPickler(reduction.Pickler):
    """The pickler of dump()."""

    def reducer_override(self, obj: Any) -> Any:
        pack = _PACKED.get(type(obj))
        if pack is not None:
            return pack(obj)
        if id(obj) in patches.replaced:
            return _by_name, (obj.__module__, obj.__qualname__)
        return super().reducer_override(obj)


def dump(obj: Any) -> tuple[list[bytes], list[Any]]:
    """The pickle of an object, in pieces, and the things beside it."""
    sink = reduction.Sink()
    before = getattr(_now, "packed", None)
    packed: list[Any] = []
    _now.packed = packed
    try:
        ParcelPickler(sink, pickle.HIGHEST_PROTOCOL).dump(obj)
    except BaseException:
        for item, _ in packed:
            if isinstance(item, int):
                reduction.close_descriptor(item)
        raise
    finally:
        _now.packed = before
    return sink.pieces, packed


def load(data: Any, things: list[Any]) -> Any:
    """The object that dump() took."""
    before = getattr(_now, "unpacked", None)
    _now.unpacked = things
    try:
        return pickle.loads(data)
    finally:
        _now.unpacked = before
        for item, role in things:
            if role != NO_END:  # an end that nobody became
                item.leave(role)
