# SPDX-License-Identifier: Apache-2.0
"""Large payloads cross between actors with at most one copy.

Copies are counted: in the memory that is allocated while a payload is on its way, and by an object that
notes how often its buffer is asked for.
"""

import array
import pickle
import queue
import sys
import tracemalloc

import pytest

from forkless import connection, reduction

SIZE = 1 << 20
SLACK = SIZE // 4  # what everything else may take


class Through:
    """A way for an object to another actor: sends it and receives it."""

    def __init__(self, context, kind):
        if kind == "Pipe":
            # There and back, as a pipe that is full of a megabyte takes no more.
            self._in, self._out = context.Pipe(False)
            self.send, self.receive = self._out.send, self._in.recv
        else:
            self._queue = getattr(context, kind)()
            self.send, self.receive = self._queue.put, self._queue.get

    def __call__(self, obj):
        self.send(obj)
        return self.receive()


@pytest.fixture(params=["Queue", "SimpleQueue", "Pipe"])
def through(actors, request):
    return Through(actors, request.param)


def copies(function, *args):
    """What a function returns, and how many payloads it allocated at most at a time, the result's
    included."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        result = function(*args)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    count, rest = divmod(peak, SIZE)
    assert rest < SLACK, f"{peak} bytes"
    return result, count


def test_bytes_are_shared(through):
    payload = bytes(SIZE)
    received, made = copies(through, payload)
    assert received is payload and made == 0


def test_bytes_in_a_container_are_shared(through):
    payload = bytes(SIZE)
    received, made = copies(through, {"key": [payload, 1]})
    assert received["key"][0] is payload and made == 0


@pytest.mark.parametrize("wrap", [lambda p: p, lambda p: ("name", [p])], ids=["alone", "inside"])
def test_a_bytearray_is_copied_once(through, wrap):
    payload = bytearray(b"x" * SIZE)
    received, made = copies(through, wrap(payload))
    inner = received if wrap(1) == 1 else received[1][0]
    assert inner == payload and inner is not payload and type(inner) is bytearray and made == 1


def test_an_array_is_copied_once(through):
    payload = array.array("d", range(SIZE // 8))
    received, made = copies(through, payload)
    assert received == payload and received.typecode == "d" and made == 1
    received[0] = 5.0
    assert payload[0] == 0.0


def test_a_memory_view_is_copied_once_and_keeps_its_shape(through):
    payload = memoryview(bytearray(SIZE)).cast("i", (SIZE // 16, 4))
    payload[1, 2] = 7
    received, made = copies(through, payload)
    assert type(received) is memoryview and made == 1
    assert (received.format, received.shape) == ("i", (SIZE // 16, 4)) and received[1, 2] == 7
    payload[1, 2] = 8
    assert received[1, 2] == 7 and not received.readonly
    assert through(memoryview(b"abc")[1:]) == b"bc"


class Exporter(bytearray):
    """Pickled as arrays of other libraries are: with a buffer out of band."""

    def __reduce_ex__(self, protocol):
        assert protocol >= 5
        return Exporter._made_of, (pickle.PickleBuffer(self),)

    @staticmethod
    def _made_of(buffer):
        return View(buffer)


class View:
    """What such an array is when it arrives: it uses the buffer that it gets."""

    def __init__(self, buffer):
        self.buffer = buffer


def test_an_object_with_a_buffer_out_of_band_is_copied_once(through):
    payload = Exporter(b"y" * SIZE)
    received, made = copies(through, payload)
    assert type(received) is View and made == 1
    assert bytes(received.buffer) == bytes(payload)
    payload[0] = 0
    assert received.buffer[0] == ord("y")
    received.buffer[0] = 1  # as writable as it was


class ReadOnly:
    def __init__(self, data):
        self.data = data

    def __reduce_ex__(self, protocol):
        return View, (pickle.PickleBuffer(self.data),)


def test_a_buffer_of_bytes_is_shared(through):
    payload = bytes(SIZE)
    received, made = copies(through, ReadOnly(payload))
    assert received.buffer is payload and made == 0


@pytest.mark.skipif(sys.version_info < (3, 12), reason="classes export buffers from 3.12 on")
def test_send_bytes_asks_for_a_buffer_once(actors):
    class Counting:
        asked = 0
        data = bytearray(SIZE)

        def __buffer__(self, flags):
            Counting.asked += 1
            return memoryview(self.data)

    reader, writer = actors.Pipe(False)
    _, made = copies(writer.send_bytes, Counting())
    assert reader.recv_bytes() == Counting.data and Counting.asked == 1 and made == 1


class Message:
    def __init__(self, payload):
        self.payload = payload


def test_bytes_inside_of_an_object_are_copied_once(through):
    payload = bytes(SIZE)
    received, made = copies(through, Message(payload))
    assert type(received) is Message and received.payload == payload and made == 1


def test_several_large_parts_of_an_object_arrive_in_their_places(through):
    parts = [bytes([i]) * (100_000 + i) for i in range(5)]
    parts += ["text" * 50_000, bytearray(b"z" * 200_000), array.array("i", range(50_000)), 3, None]
    received = through(Message(parts))
    assert received.payload == parts
    assert [type(p) for p in received.payload] == [type(p) for p in parts]


def test_the_same_buffer_twice_arrives_as_one(through):
    shared = array.array("i", [1, 2])
    first, second = through(Message([shared, shared])).payload
    assert first is second and first is not shared


def test_send_bytes_copies_what_can_change_and_nothing_else(actors):
    reader, writer = actors.Pipe(False)

    def cross(payload):
        writer.send_bytes(payload)
        return reader.recv_bytes()

    payload = bytes(SIZE)
    received, made = copies(cross, payload)
    assert received is payload and made == 0
    for changeable in (bytearray(SIZE), array.array("i", [1]) * (SIZE // 4)):
        received, made = copies(cross, changeable)
        assert received == bytes(changeable) and made == 1


def test_receiving_into_a_buffer_allocates_nothing_more(actors):
    reader, writer = actors.Pipe(False)
    payload, target = bytes(b"x" * SIZE), bytearray(SIZE)

    def cross():
        writer.send_bytes(payload)
        return reader.recv_bytes_into(target)

    received, made = copies(cross)
    assert received == SIZE and target == payload and made == 0


def test_a_message_weighs_about_what_it_holds(actors):
    """So that a pipe of large objects is full when one of large bytes would be."""
    large = bytes(connection.LIMIT)
    for obj in (large, bytearray(large), [large], ("a", [large]), {"k": large}, Message(large)):
        reader, writer = actors.Pipe(False)
        writer.send(obj)
        with pytest.raises(queue.Full):
            writer._outgoing.channel.put(1, False)
        reader.recv()
        writer.send(1)


def test_a_pickle_in_pieces_can_be_read_in_any_way():
    source = reduction._Source([b"ab", b"", b"cd\ne", b"f"])
    assert source.read(1) == b"a" and source.readline() == b"bcd\n"
    target = bytearray(4)
    assert source.readinto(target) == 2 and target == b"ef\0\0"
    assert source.read(3) == b"" and source.readline() == b""
