# SPDX-License-Identifier: Apache-2.0
"""The ends of queues, and subclasses of the standard library's queues that are older than forkless."""

import multiprocessing
import multiprocessing.queues
import pickle
import queue
import select
from multiprocessing.connection import wait

import pytest

from forkless import queues
from support.scripts import eventually

DEADLINE = 30


@pytest.fixture(params=["Queue", "JoinableQueue", "SimpleQueue"])
def items(context, request):
    return getattr(context, request.param)()


def test_a_queue_can_be_waited_for(items):
    fd = items._reader.fileno()
    assert wait([items._reader], 0) == [] and not items._poll()
    items.put(1)
    items.put(2)
    assert wait([items._reader], DEADLINE) == [items._reader] and items._poll()
    assert items.get() == 1 and select.select([fd], [], [], 0)[0] == [fd]
    assert items.get() == 2 and select.select([fd], [], [], 0)[0] == []


def test_what_goes_in_at_one_end_comes_out_at_the_other(items):
    items._writer.send((1, [2]))
    assert items._reader.poll(DEADLINE) and items._reader.recv() == (1, [2])
    items._writer.send_bytes(pickle.dumps({"a": 1}))
    assert items.get() == {"a": 1}
    items.put("text")
    assert pickle.loads(items._reader.recv_bytes()) == "text"
    assert items.empty()


def test_ends_are_the_same_whenever_they_are_asked_for(items):
    assert items._reader is items._reader and items._writer is items._writer
    assert (items._reader.readable, items._reader.writable) == (True, False)
    assert (items._writer.readable, items._writer.writable) == (False, True)


def close_ends(items, done):
    items._reader.close()
    items._writer.close()
    done.set()


def test_closing_an_end_concerns_the_process_that_does(items, context):
    done = context.Event()
    process = context.Process(target=close_ends, args=(items, done))
    process.start()
    assert done.wait(DEADLINE)
    process.join(DEADLINE)
    items.put(1)
    assert not items._reader.closed and items.get() == 1
    items._reader.close()
    assert items._reader.closed and not items._writer.closed
    with pytest.raises(OSError, match="closed"):
        items.get()


def test_a_closed_simple_queue_has_closed_ends(context):
    items = context.SimpleQueue()
    items.close()
    assert items._reader.closed and items._writer.closed
    for refused in (items.get, items.empty, lambda: items.put(1)):
        with pytest.raises(OSError, match="closed"):
            refused()


def test_a_closed_queue_is_empty_if_nothing_was_ever_put(context):
    for kind in (context.Queue, context.JoinableQueue):
        items = kind()
        items.close()
        assert items.empty()
        items = kind()
        items.put(1)
        items.get()
        items.close()
        with pytest.raises(OSError, match="closed"):
            items.empty()


def send_to_end(end):
    end.send("by its end")


def test_an_end_can_be_an_argument(items, context):
    process = context.Process(target=send_to_end, args=(items._writer,))
    process.start()
    assert items._reader.poll(DEADLINE) and items.get() == "by its end"
    process.join(DEADLINE)


def take(items, taken, ready):
    ready.set()
    while True:
        taken.put(items.get())


def test_a_get_leaves_room_for_who_looks_first_under_the_lock(context):
    """As the standard library's pool does: poll() and then recv(), with the lock that a get takes."""
    items, taken, ready = context.SimpleQueue(), context.Queue(), context.Event()
    lock = items._rlock
    process = context.Process(target=take, args=(items, taken, ready))
    with lock:
        process.start()
        assert ready.wait(DEADLINE)
        items.put(1)
        assert not taken._reader.poll(0.1) and items._reader.poll()
        assert items._reader.recv() == 1
    items.put("free")
    assert taken.get(timeout=DEADLINE) == "free"
    process.kill()
    process.join(DEADLINE)


def test_the_lock_of_the_reader_counts_in_the_timeout(context):
    items = context.Queue()
    with items._rlock:
        items.put(1)
        with pytest.raises(queue.Empty):
            items.get(timeout=0.01)
        with pytest.raises(queue.Empty):
            items.get_nowait()
    assert items.get(timeout=DEADLINE) == 1


# Subclasses


class Older(multiprocessing.queues.Queue):
    """Made when this module is imported, so a subclass of the standard library's."""

    def __init__(self, extra, maxsize=0, *, ctx):
        self.extra = extra
        super().__init__(maxsize, ctx=ctx)
        self.after = "after"

    def put(self, obj, *args):
        super().put((self.extra, obj), *args)

    def _on_queue_feeder_error(self, error, obj):
        self.failed = (type(error), obj)


class OlderSimple(multiprocessing.queues.SimpleQueue):
    extra = "simple"

    def put(self, obj):
        super().put((self.extra, obj))


class OlderJoinable(multiprocessing.queues.JoinableQueue):
    extra = "joinable"

    def put(self, obj, *args):
        super().put((self.extra, obj), *args)


class ByName(multiprocessing.queues.Queue):
    """Calls its base by name, which is another class after install()."""

    extra = "by name"

    def __init__(self, ctx):
        multiprocessing.queues.Queue.__init__(self, ctx=ctx)

    def put(self, obj):
        multiprocessing.queues.Queue.put(self, (self.extra, obj))


MADE = {
    Older: lambda context: Older("own", 10, ctx=context),
    OlderSimple: lambda context: OlderSimple(ctx=context),
    OlderJoinable: lambda context: OlderJoinable(ctx=context),
    ByName: ByName,
}


def use_older(items, results):
    items.put("from the child")
    results.put((items.extra, getattr(items, "after", None)))


@pytest.mark.parametrize("cls", MADE, ids=lambda cls: cls.__name__)
def test_an_older_subclass_is_a_channel_and_keeps_its_attributes(context, cls):
    items, results = MADE[cls](context), context.Queue()
    assert isinstance(items, cls) and type(items).__name__ == cls.__name__
    assert isinstance(items, queues.SimpleQueue if cls is OlderSimple else queues.Queue)
    process = context.Process(target=use_older, args=(items, results))
    process.start()
    expected = ("own", "after") if cls is Older else (cls.extra, None)
    assert results.get(timeout=DEADLINE) == expected
    assert items.get() == (expected[0], "from the child")
    process.join(DEADLINE)
    if cls is OlderJoinable:
        items.task_done()
        items.join()


def test_the_hook_of_an_older_subclass_is_called(context):
    items = Older("own", ctx=context)
    items.put(lambda: None)
    assert items.failed[0] in (AttributeError, pickle.PicklingError, TypeError)
    assert items.empty()


def test_older_classes_are_as_they_were_after_uninstall():
    import forkless

    forkless.uninstall()
    before = [vars(c)["__init__"] for c in (multiprocessing.queues.Queue, Older)]
    forkless.install()
    forkless.uninstall()
    assert [vars(c)["__init__"] for c in (multiprocessing.queues.Queue, Older)] == before
    items = Older("own", ctx=multiprocessing.get_context("spawn"))
    assert not isinstance(items, queues.Queue)
    items.put(1)
    assert eventually(lambda: not items.empty()) and items.get() == ("own", 1)
    items.close()
    items.join_thread()
