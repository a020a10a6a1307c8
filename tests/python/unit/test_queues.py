# SPDX-License-Identifier: Apache-2.0
"""forkless.queues: Queue, JoinableQueue and SimpleQueue, under every start method."""

import collections
import multiprocessing
import multiprocessing.queues
import os
import pickle
import queue
import signal
import threading
import time

import pytest

import forkless
from forkless import _core
from support.scripts import eventually

KINDS = ("Queue", "JoinableQueue", "SimpleQueue")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def make(context, kind):
    return getattr(context, kind)


def test_items_come_out_in_order(make):
    items = make()
    for i in range(100):
        items.put(i)
    assert [items.get() for _ in range(100)] == list(range(100))
    assert items.empty()


@pytest.mark.parametrize(
    "item",
    [
        None,
        True,
        -(2**80),
        1.5,
        "text \udcff",
        b"\0bytes",
        bytearray(b"array"),
        (1, (2, [3])),
        {"a": {1, 2}, 3: frozenset("x")},
        range(3),
        1j,
        ...,
        collections.OrderedDict(b=1, a=2),
        collections.Counter("aab"),
        len,
        dict,
        collections,
    ],
    ids=repr,
)
def test_an_item_arrives_as_it_was(actors, item):
    items = actors.SimpleQueue()
    if item is collections:
        with pytest.raises(TypeError, match="pickle"):
            items.put(item)
        return
    items.put(item)
    arrived = items.get()
    assert arrived == item and type(arrived) is type(item)


def test_an_item_is_a_copy_made_when_it_was_put(make):
    items = make()
    original = {"list": [1], "set": {1}}
    items.put(original)
    original["list"].append(2)
    original["set"].clear()
    first = items.get()
    assert first == {"list": [1], "set": {1}}
    first["list"].append(3)
    assert original["list"] == [1, 2]


class Point:
    def __init__(self, x, y):
        self.x, self.y = x, y

    def __eq__(self, other):
        return (self.x, self.y) == (other.x, other.y)


def test_an_object_of_a_class_is_pickled(make):
    items = make()
    point = Point(1, [2])
    items.put([point, point])
    first, second = items.get()
    assert first == point and first is second and first is not point and first.y is not point.y


def produce(items, name, count):
    for i in range(count):
        items.put((name, i))


def consume(items, results, poison):
    seen = []
    while (item := items.get()) != poison:
        seen.append(item)
    results.put(seen)


def test_many_producers_and_consumers_lose_and_double_nothing(make, context):
    items, results = make(), context.Queue()
    count, each = 4, 500
    producers = [context.Process(target=produce, args=(items, n, each)) for n in range(count)]
    consumers = [
        context.Process(target=consume, args=(items, results, "end")) for _ in range(count)
    ]
    for process in producers + consumers:
        process.start()
    for process in producers:
        process.join(60)
    for _ in consumers:
        items.put("end")
    seen = [results.get(timeout=60) for _ in consumers]
    for process in consumers:
        process.join(60)
    assert sorted(item for part in seen for item in part) == [
        (n, i) for n in range(count) for i in range(each)
    ]
    for part in seen:  # what one producer sent stays in order at each consumer
        for n in range(count):
            numbers = [i for name, i in part if name == n]
            assert numbers == sorted(numbers)


def test_a_bounded_queue_holds_what_it_was_made_for(context):
    items = context.Queue(2)
    items.put(1)
    assert not items.full()
    items.put(2, timeout=1)
    assert items.full() and items.qsize() == 2
    with pytest.raises(queue.Full):
        items.put_nowait(3)
    with pytest.raises(queue.Full):
        items.put(3, False)
    since = time.monotonic()
    with pytest.raises(queue.Full):
        items.put(3, True, 0.2)
    assert time.monotonic() - since >= 0.2
    assert [items.get(), items.get()] == [1, 2]


def test_an_empty_queue_says_so_after_the_timeout(context):
    items = context.Queue()
    assert items.empty() and items.qsize() == 0
    with pytest.raises(queue.Empty):
        items.get_nowait()
    with pytest.raises(queue.Empty):
        items.get(False)
    with pytest.raises(queue.Empty):
        items.get(True, 0)
    with pytest.raises(queue.Empty):
        items.get(timeout=-1)
    since = time.monotonic()
    with pytest.raises(queue.Empty):
        items.get(timeout=0.2)
    assert time.monotonic() - since >= 0.2


def get_after(items, delay, count):
    time.sleep(delay)
    for _ in range(count):
        items.get()


def test_put_waits_for_room(context):
    items = context.Queue(1)
    items.put(0)
    reader = context.Process(target=get_after, args=(items, 0.2, 2))
    reader.start()
    since = time.monotonic()
    items.put(1, timeout=30)
    assert time.monotonic() - since >= 0.1
    reader.join(30)
    assert reader.exitcode == 0 and items.empty()


def work(items, results):
    while True:
        results.put(items.get())
        items.task_done()


def test_join_returns_when_all_tasks_are_done(context):
    items, results = context.JoinableQueue(), context.Queue()
    workers = [context.Process(target=work, args=(items, results), daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    for i in range(50):
        items.put(i)
    items.join()
    assert results.qsize() == 50
    for worker in workers:
        worker.terminate()
        worker.join(30)


def test_join_waits_for_task_done(context):
    items = context.JoinableQueue()
    items.put(1)
    joined = threading.Event()
    waiter = threading.Thread(target=lambda: (items.join(), joined.set()))
    waiter.start()
    items.get()
    assert not joined.wait(0.1)
    items.task_done()
    waiter.join(30)
    assert joined.is_set()


def test_a_put_that_failed_leaves_no_task_behind(context, capsys):
    items = context.JoinableQueue(1)
    items.put(1)
    with pytest.raises(queue.Full):
        items.put(2, timeout=0.01)
    items.get()
    items.put(threading.Lock())  # reported on stderr
    assert "cannot pickle" in capsys.readouterr().err
    items.task_done()
    items.join()
    with pytest.raises(ValueError, match="task_done"):
        items.task_done()


def test_queue_reports_and_simple_queue_raises_what_cannot_be_pickled(make, kind, capsys):
    """As with real processes, whose Queue finds out in its feeder thread."""
    items = make()
    if kind == "SimpleQueue":
        with pytest.raises(TypeError, match="cannot pickle"):
            items.put(threading.Lock())
    else:
        items.put(threading.Lock())
        report = capsys.readouterr().err
        assert report.startswith("Traceback") and "cannot pickle" in report
    items.put("after")
    assert items.get() == "after"


class Late(Exception):
    pass


def raise_late(signum, frame):
    raise Late


def put_until_the_alarm(items, told):
    before = signal.signal(signal.SIGALRM, raise_late)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        while True:
            items.put("as much as there is room")
    except Late:
        told.put("raised")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("maxsize", [1, 0])
@pytest.mark.parametrize("kind", ["Queue", "JoinableQueue"])
def test_what_a_signal_handler_raises_in_put_is_raised_by_put(actors, kind, maxsize, capsys):
    items, told = getattr(actors, kind)(maxsize), actors.Queue()
    put_until_the_alarm(items, told)
    process = actors.Process(target=put_until_the_alarm, args=(items, told))
    process.start()
    process.join(60)
    assert [told.get(timeout=30) for _ in range(2)] == ["raised", "raised"]
    assert capsys.readouterr().err == ""
    if kind == "JoinableQueue":
        while not items.empty():
            items.get()
            items.task_done()
        items.join()


def raise_and_put(items):
    try:
        Point(1, 2) + 1
    except TypeError as error:
        error.add_note("noted")
        items.put(error)


def test_an_exception_arrives_with_its_type_notes_and_remote_traceback(make, context):
    items = make()
    process = context.Process(target=raise_and_put, args=(items,))
    process.start()
    error = items.get()
    process.join(30)
    assert type(error) is TypeError and error.__notes__ == ["noted"]
    assert isinstance(error.__cause__, forkless.RemoteTraceback)
    assert "in raise_and_put" in str(error.__cause__) and "Point(1, 2) + 1" in str(error.__cause__)
    with pytest.raises(TypeError) as caught:
        raise error
    assert caught.value.__cause__ is error.__cause__


class Refused(Exception):
    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")
        self.code = code

    def __reduce__(self):
        return type(self), (self.code, "again"), {"extra": 1}


def test_an_exception_with_its_own_reduction_keeps_it(actors):
    items = actors.SimpleQueue()
    try:
        raise Refused(5, "no")
    except Refused as error:
        items.put({"nested": [error]})
    error = items.get()["nested"][0]
    assert (type(error), error.code, error.extra, str(error)) == (Refused, 5, 1, "5: again")
    assert isinstance(error.__cause__, forkless.RemoteTraceback)


def test_an_exception_that_was_not_raised_has_no_remote_traceback(actors):
    items = actors.SimpleQueue()
    items.put(ValueError("fresh"))
    error = items.get()
    assert (type(error), error.args, error.__cause__) == (ValueError, ("fresh",), None)


def test_an_exception_group_arrives_whole(actors):
    items = actors.SimpleQueue()
    try:
        raise ExceptionGroup("several", [ValueError(1), KeyError("k")])
    except ExceptionGroup as group:
        items.put(group)
    group = items.get()
    assert type(group) is ExceptionGroup and [type(e) for e in group.exceptions] == [
        ValueError,
        KeyError,
    ]


def test_a_closed_queue_refuses_the_process_that_closed_it(make, kind):
    items = make()
    items.put(1)
    items.close()
    items.close()
    error = OSError if kind == "SimpleQueue" else ValueError
    with pytest.raises(error, match="closed"):
        items.put(2)
    with pytest.raises(error, match="closed"):
        items.get()
    if kind != "SimpleQueue":
        items.join_thread()


def close_and_report(items, results):
    items.put("from child")
    items.close()
    try:
        items.put("late")
    except (ValueError, OSError) as error:
        results.put(str(error))


def test_closing_concerns_the_process_that_closes(make, context):
    items, results = make(), context.Queue()
    process = context.Process(target=close_and_report, args=(items, results))
    process.start()
    process.join(30)
    assert "closed" in results.get(timeout=10)
    items.put("from parent")
    assert [items.get(), items.get()] == ["from child", "from parent"]


def test_join_thread_wants_a_closed_queue(context):
    items = context.Queue()
    items.cancel_join_thread()
    with pytest.raises(AssertionError, match="not closed"):
        items.join_thread()


def test_a_queue_cannot_be_pickled_by_the_way(make):
    with pytest.raises(RuntimeError, match="should only be shared between processes"):
        pickle.dumps(make())


def test_a_queue_cannot_be_sent_through_a_queue(make, context, capsys):
    items = make()
    results = context.Queue()
    results.put(items)
    assert "should only be shared between processes" in capsys.readouterr().err
    assert results.empty()


class FinalQueue(multiprocessing.queues.Queue):
    """As Ansible does: made when the module is imported, before any install()."""

    def __init__(self, *args, **kwargs):
        kwargs["ctx"] = multiprocessing.get_context("fork")
        super().__init__(*args, **kwargs)

    def send(self, text):
        self.put(("sent", text), block=False)


class FinalProcess(multiprocessing.get_context("fork").Process):
    """Likewise."""

    def __init__(self, final, words):
        super().__init__()
        self._final = final
        self.words = words

    def run(self):
        for word in self.words:
            self._final.send(word)
        self.words.clear()


def test_classes_made_after_install_run_on_actors(installed):
    class Late(multiprocessing.queues.Queue):
        def __init__(self, *args, **kwargs):
            kwargs["ctx"] = multiprocessing.get_context("fork")
            super().__init__(*args, **kwargs)

        def send(self, text):
            self.put(("sent", text), block=False)

    class LateProcess(multiprocessing.get_context("fork").Process):
        def __init__(self, final, words):
            super().__init__()
            self._final, self.words = final, words

        run = FinalProcess.run

    check_final(Late(), LateProcess)


def test_classes_made_before_install_run_on_actors(installed):
    final = FinalQueue()
    assert isinstance(final, multiprocessing.queues.Queue)  # forkless.queues.Queue by now
    check_final(final, FinalProcess)


def check_final(final, process_class):
    words = ["a", "b"]
    process = process_class(final, words)
    process.start()
    process.join(30)
    assert process.exitcode == 0 and process.pid >= 1 << 23
    assert [final.get(timeout=10) for _ in words] == [("sent", "a"), ("sent", "b")]
    assert process.words == words == ["a", "b"]


def test_a_get_that_is_waiting_takes_what_another_thread_puts(make):
    items = make()
    got = []
    thread = threading.Thread(target=lambda: got.append(items.get()))
    thread.start()
    time.sleep(0.05)
    assert not got
    items.put("now")
    thread.join(30)
    assert got == ["now"]


def test_what_a_dead_process_has_put_can_be_got(make, context):
    items = make()
    process = context.Process(target=produce, args=(items, "n", 100))
    process.start()
    assert eventually(lambda: process.exitcode is not None)
    assert [items.get() for _ in range(100)] == [("n", i) for i in range(100)]


def leave_and_put(queue):
    try:
        os._exit(3)
    finally:
        queue.put("late")


@pytest.mark.parametrize("kind", ["SimpleQueue", "Queue"])
def test_what_a_process_sends_after_its_exit_reaches_nobody(context, kind):
    """Its exit code is known by then, and whoever waits for it believes that it said all it had."""
    queue = getattr(context, kind)()
    process = context.Process(target=leave_and_put, args=(queue,))
    process.start()
    process.join(30)
    assert process.exitcode == 3
    assert eventually(lambda: not _core.counters()["orphans"])
    assert queue.empty()
