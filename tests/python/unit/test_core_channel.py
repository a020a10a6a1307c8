# SPDX-License-Identifier: Apache-2.0
"""forkless._core.Channel and the codec: what queues are made of, and messages that are garbage."""

import math
import pickle
import queue
import random
import struct
import threading
import time

import pytest

import forkless
from forkless import _core


@pytest.fixture
def channel():
    return _core.Channel()


GARBAGE = {
    "nothing": b"",
    "reserved byte": b"\xc1",
    "str cut short": b"\xa5abc",
    "str8 without its length": b"\xd9",
    "str32 longer than memory": b"\xdb\xff\xff\xff\xff",
    "bin32 cut short": b"\xc6\x00\x00\x00\x05ab",
    "array cut short": b"\x93\x01\x02",
    "array32 of four thousand million": b"\xdd\xff\xff\xff\xff\x01",
    "map cut short": b"\x82\x01\x02\x03",
    "map32 of four thousand million": b"\xdf\xff\xff\xff\xff",
    "map without its last value": b"\x81\x01",
    "bytes left over": b"\x01\x02",
    "two documents": b"\x80\x80",
    "int64 cut short": b"\xd3\x00\x00",
    "double cut short": b"\xcb\x00",
    "ext without data": b"\xd4\x01",
    "ext8 without its type": b"\xc7\x01",
    "ext32 longer than memory": b"\xc9\xff\xff\xff\xff\x01",
    "too deep": b"\x91" * 600 + b"\xc0",
    "a great deal too deep": b"\x91" * 1_000_000,
    "deep map": b"\x81\xc0" * 100_000 + b"\xc0",
    "unknown extension 0": b"\xd4\x00\x00",
    "unknown extension 3": b"\xd4\x03\x00",
    "unknown extension 127": b"\xd4\x7f\x00",
    "unknown extension -1": b"\xd4\xff\x00",
    "error record that is no msgpack": b"\xd4\x02\xc1",
    "error record that is no map": b"\xd4\x02\x05",
    "error record without a type": b"\xd4\x02\x80",
    "error record cut short": b"\xd5\x02\x81\xa4",
}


@pytest.mark.parametrize("payload", GARBAGE.values(), ids=GARBAGE.keys())
def test_a_corrupt_message_is_an_error_and_the_queue_goes_on(actors, payload):
    items = actors.Queue()
    items.put("before")
    items._channel.put_message(payload)
    items.put("after")
    assert items.get() == "before"
    with pytest.raises(forkless.CorruptMessage):
        items.get()
    assert items.get() == "after"
    assert items.empty()


def test_corrupt_message_is_a_value_error_with_a_text():
    with pytest.raises(ValueError, match="decode a message") as caught:
        _core.unpack(b"\xc1")
    assert type(caught.value) is forkless.CorruptMessage


@pytest.mark.parametrize("pickled", [b"", b"\x80\x05", b"garbage", b"\x80\x05]q\x00.extra"])
def test_a_corrupt_pickle_raises_what_unpickling_raises(channel, pickled):
    channel.put_message(b"\xc7" + bytes([len(pickled), 1]) + pickled)
    channel.put("after")
    try:
        expected = pickle.loads(pickled)
    except Exception as error:
        with pytest.raises(type(error)):
            channel.get()
    else:
        assert channel.get() == expected
    assert channel.get() == "after"


def test_random_bytes_are_corrupt_or_decode_and_never_harm(channel):
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    corrupt = 0
    for _ in range(5000):
        payload = source.randbytes(source.randrange(1, 24))
        channel.put_message(payload)
        try:
            channel.get()
        except Exception:
            corrupt += 1
    assert corrupt > 1000
    channel.put("alive")
    assert channel.get() == "alive"


def test_damaged_messages_are_noticed_or_decode_to_plain_data():
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    whole = _core.pack({"list": [1, 2.5, "text", b"bytes", None, True, {"k": [2**63]}] * 3})
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(source.randrange(1, 4)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        try:
            _core.unpack(damaged[: source.randrange(1, len(damaged) + 1)])
        except (forkless.CorruptMessage, TypeError, pickle.UnpicklingError, EOFError):
            pass  # TypeError: a list or map where a key should stand


def test_a_map_with_a_key_that_python_cannot_hash_is_an_error(channel):
    channel.put_message(b"\x81\x90\x01")
    with pytest.raises(TypeError, match="unhashable"):
        channel.get()


def test_plain_msgpack_of_a_peer_is_readable(channel):
    channel.put_message(b"\x83\xa1a\x01\xa1b\x92\xc0\xc3\xa1c\xc4\x02xy")
    channel.put_message(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff")
    channel.put_message(b"\xca" + struct.pack(">f", 1.5))
    assert channel.get() == {"a": 1, "b": [None, True], "c": b"xy"}
    assert channel.get() == 2**64 - 1
    assert channel.get() == 1.5


def test_raw_bytes_arrive_as_bytes(channel):
    channel.put_message(b"\xc1 not msgpack", False)
    channel.put_message(memoryview(b""), False)
    assert channel.get() == b"\xc1 not msgpack"
    assert channel.get() == b""


def extension(type_, data):
    return b"\xc9" + struct.pack(">Ib", len(data), type_) + data


def test_an_error_record_of_a_peer_becomes_a_remote_error(channel):
    record = {
        "type": "peer.Broken",
        "message": "no power",
        "trace": "at line 1\nat line 2\n",
        "notes": ["first", "second"],
        "unknown": 1,
    }
    channel.put_message(extension(2, _core.pack(record)))
    error = channel.get()
    assert type(error) is forkless.RemoteError
    assert str(error) == "peer.Broken: no power"
    assert error.__notes__ == ["first", "second"]
    assert isinstance(error.__cause__, forkless.RemoteTraceback)
    assert "at line 2" in str(error.__cause__)


def test_an_error_record_needs_no_more_than_a_type(channel):
    channel.put_message(extension(2, _core.pack({"type": "peer.Broken"})))
    error = channel.get()
    assert type(error) is forkless.RemoteError and "peer.Broken" in str(error)
    assert error.__cause__ is None and not hasattr(error, "__notes__")


def test_an_error_record_with_a_pickle_becomes_the_exception_itself(channel):
    record = {"type": "builtins.KeyError", "pickle": pickle.dumps(KeyError("k"))}
    channel.put_message(extension(2, _core.pack(record)))
    error = channel.get()
    assert type(error) is KeyError and error.args == ("k",)


def test_an_error_record_whose_pickle_cannot_be_read_is_a_remote_error(channel):
    pickled = pickle.dumps(KeyError("k")).replace(b"KeyError", b"NoError!")
    record = {"type": "peer.NoError", "message": "m", "pickle": pickled}
    channel.put_message(extension(2, _core.pack(record)))
    error = channel.get()
    assert type(error) is forkless.RemoteError and str(error) == "peer.NoError: m"


def test_an_error_record_keeps_its_cause(channel):
    cause = extension(2, _core.pack({"type": "peer.Cause"}))
    record = b"\x83" + _core.pack("type") + _core.pack("peer.Broken")
    record += _core.pack("cause") + cause + _core.pack("trace") + _core.pack("at line 1\n")
    channel.put_message(extension(2, record))
    error = channel.get()
    assert str(error.__cause__) == "peer.Cause"
    assert isinstance(error.__cause__.__cause__, forkless.RemoteTraceback)
    assert "at line 1" in str(error.__cause__.__cause__)


@pytest.mark.parametrize("notes", [5, "text", {}, None])
def test_notes_that_are_no_array_make_an_error_record_corrupt(channel, notes):
    channel.put_message(extension(2, _core.pack({"type": "peer.Broken", "notes": notes})))
    with pytest.raises(forkless.CorruptMessage, match="notes"):
        channel.get()


PLAIN = [
    None,
    True,
    False,
    0,
    -1,
    127,
    128,
    -32,
    -33,
    2**63 - 1,
    -(2**63),
    2**63,
    2**64 - 1,
    0.0,
    -0.0,
    1e308,
    math.inf,
    "",
    "text",
    "ünïcödé \U0001f600",
    "nul\0inside",
    "surrogate \udc80",
    "x" * 70000,
    b"",
    b"\0\xff" * 40000,
    [],
    [[]],
    {},
    {"a": {"b": [1, {"c": None}]}, 1: 2, None: 3},
    list(range(70000)),
    {i: str(i) for i in range(70000)},
]


@pytest.mark.parametrize("obj", PLAIN, ids=lambda obj: repr(obj)[:20])
def test_pack_and_unpack_give_plain_data_back(obj):
    back = _core.unpack(_core.pack(obj))
    assert back == obj and type(back) is type(obj)
    assert math.copysign(1, back) == math.copysign(1, obj) if obj.__class__ is float else True


def test_pack_makes_tuples_lists():
    assert _core.unpack(_core.pack((1, (2,), []))) == [1, [2], []]


def test_not_a_number_survives_packing():
    assert math.isnan(_core.unpack(_core.pack(math.nan)))


@pytest.mark.parametrize("obj", [1j, {1}, object, bytearray(b"x"), [1, {2: {3}}]], ids=repr)
def test_pack_refuses_what_msgpack_has_no_form_for(obj):
    with pytest.raises(TypeError, match="msgpack has no form"):
        _core.pack(obj)


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**100])
def test_pack_refuses_numbers_beyond_64_bits(number):
    with pytest.raises(OverflowError):
        _core.pack([number])


def test_pack_refuses_cycles_and_bottomless_nesting():
    cycle = []
    cycle.append(cycle)
    with pytest.raises(RecursionError):
        _core.pack(cycle)


def test_unpack_takes_any_buffer_and_nothing_else():
    packed = _core.pack([1])
    assert _core.unpack(bytearray(packed)) == _core.unpack(memoryview(packed)) == [1]
    with pytest.raises(TypeError):
        _core.unpack("text")


def test_the_deepest_message_that_is_accepted():
    deep = b"\x91" * 500 + b"\xc0"
    levels, value = 0, _core.unpack(deep)
    while value is not None:
        levels, (value,) = levels + 1, value
    assert levels == 500


def test_a_channel_knows_its_bound_and_its_length():
    channel = _core.Channel(2)
    assert (channel.capacity, len(channel), channel.closed) == (2, 0, False)
    channel.put(1)
    assert len(channel) == 1
    assert _core.Channel().capacity == _core.Channel(-5).capacity == 0


def test_a_full_channel_refuses_and_forgets_the_item():
    channel = _core.Channel(1)
    channel.put(1)
    with pytest.raises(queue.Full):
        channel.put(2, False)
    with pytest.raises(queue.Full):
        channel.put(2, True, 0.01)
    with pytest.raises(queue.Full):
        channel.put_message(b"\x01")
    assert channel.get() == 1 and len(channel) == 0


def test_a_closed_channel_gives_what_it_holds_and_then_ends(channel):
    channel.put(1)
    channel.close()
    channel.close()
    assert channel.closed
    with pytest.raises(ValueError, match="closed"):
        channel.put(2)
    assert channel.get() == 1
    with pytest.raises(EOFError):
        channel.get()
    with pytest.raises(EOFError):
        channel.get(False)


def test_close_wakes_who_waits(channel):
    ended = []

    def wait():
        with pytest.raises(EOFError):
            channel.get()
        ended.append(True)

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    channel.close()
    for thread in threads:
        thread.join(30)
    assert ended == [True] * 3


def test_poll_tells_without_taking(channel):
    assert channel.poll() is False
    since = time.monotonic()
    assert channel.poll(0.1) is False
    assert time.monotonic() - since >= 0.1
    threading.Timer(0.1, channel.put, [1]).start()
    assert channel.poll(30) is True
    assert channel.poll() is True and len(channel) == 1
    channel.get()
    channel.close()
    assert channel.poll() is True


@pytest.mark.parametrize(
    "call",
    [
        lambda channel: channel.put(),
        lambda channel: channel.put(1, True, 1, 1, 1, 1),
        lambda channel: channel.get(True, 1, 1),
        lambda channel: channel.get(True, "soon"),
        lambda channel: channel.poll("soon"),
        lambda channel: channel.put_message("text"),
        lambda channel: channel.put_message(),
        lambda channel: _core.Channel("many"),
    ],
)
def test_wrong_arguments_are_type_errors(channel, call):
    with pytest.raises(TypeError):
        call(channel)
    assert len(channel) == 0


class Owner:
    def __init__(self):
        self.told = []

    def _not_sent(self, error, obj):
        self.told.append((type(error), obj))

    def _uncount(self):
        self.told.append("uncounted")


def test_the_owner_is_told_of_what_cannot_be_sent():
    channel, owner, unpicklable = _core.Channel(1), Owner(), lambda: None
    channel.put(unpicklable, True, None, owner)
    assert owner.told and owner.told.pop()[1] is unpicklable
    channel.put(1, True, None, owner)
    with pytest.raises(queue.Full):
        channel.put(2, False, None, owner)
    channel.close()
    channel.put(3, True, None, owner)
    assert owner.told == [(ValueError, 3)]


def test_a_counter_counts_what_was_put_and_the_owner_the_rest():
    channel, owner, counter = _core.Channel(1), Owner(), _core.SemLock(1, 0, 9)
    channel.put(1, True, None, owner, counter)
    with pytest.raises(queue.Full):
        channel.put(2, False, None, owner, counter)
    assert owner.told == ["uncounted"]
    channel.put(lambda: None, True, None, owner, counter)  # its owner uncounts it
    assert counter._get_value() == 3
    with pytest.raises(AttributeError, match="release"):
        channel.put(1, True, None, owner, None)
    assert len(channel) == 1


def test_a_timeout_that_is_not_a_number_is_refused(channel):
    with pytest.raises(ValueError, match="NaN"):
        channel.get(True, math.nan)


def test_huge_timeouts_do_not_overflow(channel):
    channel.put(1)
    assert channel.get(True, 1e300) == 1
    threading.Timer(0.05, channel.put, [2]).start()
    assert channel.get(True, math.inf) == 2
    threading.Timer(0.05, channel.put, [3]).start()
    assert channel.get(True, 8.9e9) == 3
