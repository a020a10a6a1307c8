# SPDX-License-Identifier: Apache-2.0
"""What the methods of a pool of simulated processes do, and what they return."""

import itertools
import multiprocessing
import os
import threading
from multiprocessing import TimeoutError as MpTimeoutError
from multiprocessing import pool as mp_pool

import pytest

import forkless
from support.pool_functions import (
    LIMIT,
    Box,
    Unloadable,
    add,
    change,
    double,
    fail,
    fail_at_three,
    keep,
    make_unloadable,
    raise_unloadable,
    raise_unpicklable,
    unpicklable,
    wait_for_kept,
    wait_if_zero,
    who,
)
from support.scripts import eventually

# Calls


def test_apply_and_map_give_what_the_function_returns(pool):
    assert pool.apply(add, (1,), {"y": 2}) == 3
    assert pool.apply(add, [5]) == 5
    assert pool.map(double, range(100)) == [2 * x for x in range(100)]
    assert pool.map(double, (x for x in range(7)), chunksize=1) == [2 * x for x in range(7)]
    assert pool.map(double, [], chunksize=5) == []
    assert pool.map(str, {"b": 1, "a": 2}) == ["b", "a"]
    assert pool.starmap(add, [(1, 2), (3, 4)]) == [3, 7]
    assert pool.starmap(add, [(x, x) for x in range(50)], 7) == [2 * x for x in range(50)]
    assert pool.starmap_async(add, ([x] for x in range(9))).get(LIMIT) == list(range(9))
    assert list(pool.imap(double, range(50))) == [2 * x for x in range(50)]
    assert list(pool.imap(double, iter(range(50)), chunksize=8)) == [2 * x for x in range(50)]
    assert sorted(pool.imap_unordered(double, range(50))) == [2 * x for x in range(50)]
    assert sorted(pool.imap_unordered(double, iter(range(50)), 9)) == [2 * x for x in range(50)]
    assert list(pool.imap(double, [])) == list(pool.imap_unordered(double, iter(()))) == []


def test_more_tasks_than_there_is_room_for_are_all_done_in_order(pool):
    many = 5000
    assert pool.map(abs, range(many), chunksize=1) == list(range(many))
    assert list(pool.imap(abs, itertools.islice(itertools.count(), many))) == list(range(many))
    large = [[x] * 100 for x in range(200)]
    assert pool.map(sum, large, chunksize=1) == [100 * x for x in range(200)]
    results = [pool.apply_async(len, (b"x" * 10_000 * x,)) for x in range(50)]
    assert [r.get(LIMIT) for r in results] == [10_000 * x for x in range(50)]


def test_a_worker_has_the_name_the_pid_and_the_daemon_flag_of_a_process(context, pool):
    name, pid, daemon = pool.apply(who)
    method = {"forkserver": "ForkServer"}.get(context._name, context._name.capitalize())
    assert name.startswith(f"{method}PoolWorker-")
    assert pid in [worker.pid for worker in pool._pool]
    assert pid != os.getpid()
    assert daemon
    assert {worker.name for worker in pool._pool} >= {name}


def test_arguments_and_results_are_copies(pool):
    values = [1]
    result = pool.apply(change, (values,))
    assert (values, result) == ([1], [1, "changed"])
    assert pool.map(change, [values], chunksize=1) == [[1, "changed"]]
    box = Box(1)
    assert pool.map(box.add, [1, 2], chunksize=1) == [2, 3]  # each task has its own
    assert box.value == 1
    returned = pool.apply(change, ([],))
    returned.append("more")
    assert pool.apply(change, ([],)) == ["changed"]


def test_a_pool_serves_several_threads_at_once(pool):
    wrong = []

    def use(number):
        for _ in range(20):
            if pool.apply(add, (number, 1)) != number + 1:
                wrong.append(number)
            if pool.map(double, [number] * 5, chunksize=1) != [2 * number] * 5:
                wrong.append(number)

    threads = [threading.Thread(target=use, args=(n,), daemon=True) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert not wrong


def test_several_threads_wait_for_the_same_result(context):
    event = context.Event()
    got = []
    with context.Pool(1, initializer=keep, initargs=(event,)) as waiting:
        result = waiting.map_async(wait_for_kept, [1, 2], chunksize=1)
        threads = [
            threading.Thread(target=lambda: got.append(result.get(LIMIT)), daemon=True)
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        event.set()
        for thread in threads:
            thread.join(LIMIT)
    assert got == [[True, True]] * 4


def test_several_threads_share_an_iterator(pool):
    for kind in (pool.imap, pool.imap_unordered):
        iterator = kind(double, itertools.islice(itertools.count(), 300))
        taken = []

        def take(iterator=iterator, taken=taken):
            for _ in range(75):
                taken.append(next(iterator))

        threads = [threading.Thread(target=take, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        assert sorted(taken) == [2 * x for x in range(300)]


def test_threads_that_share_an_iterator_all_learn_that_there_are_results(context):
    event = context.Event()
    taken = []
    with context.Pool(2, keep, (event,)) as pool:
        iterator = pool.imap(wait_if_zero, range(4))
        threads = [
            threading.Thread(target=lambda: taken.append(next(iterator)), daemon=True)
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        assert eventually(lambda: len(iterator._waiting) == 4 and len(iterator._unsorted) == 3)
        event.set()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
    assert sorted(taken) == [0, 1, 2, 3]


# Errors


def test_what_a_task_raises_has_its_traceback_as_the_cause(pool):
    for call in (
        lambda: pool.apply(fail, (1,)),
        lambda: pool.map(fail, [1]),
        lambda: pool.map(fail, [1], chunksize=5),
        lambda: next(pool.imap(fail, [1])),
        lambda: pool.apply_async(fail, (1,)).get(LIMIT),
    ):
        with pytest.raises(ValueError, match="no 1") as caught:
            call()
        assert type(caught.value.__cause__) is mp_pool.RemoteTraceback
        assert 'raise ValueError(f"no {x}")' in caught.value.__cause__.tb


def test_a_map_with_a_failing_task_does_them_all_and_raises_the_first_error(pool):
    result = pool.map_async(fail_at_three, range(10), chunksize=1)
    with pytest.raises(KeyError):
        result.get(LIMIT)
    assert result.ready()
    assert not result.successful()
    iterator = pool.imap(fail_at_three, range(5))
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(KeyError):
        next(iterator)
    assert next(iterator) == 4
    with pytest.raises(StopIteration):
        next(iterator)


def test_what_cannot_be_pickled_is_an_error_of_the_call(pool):
    with pytest.raises(Exception, match="pickle"):
        pool.apply(add, (threading.Lock(),))
    with pytest.raises(Exception, match="pickle"):
        pool.apply_async(lambda: 1).get(LIMIT)
    with pytest.raises(Exception, match="pickle"):
        pool.map(double, [1, threading.Lock(), 3], chunksize=1)
    assert pool.map(double, [1, 2]) == [2, 4]


def test_a_result_that_cannot_be_pickled_is_a_maybe_encoding_error(pool):
    for _ in range(5):
        with pytest.raises(mp_pool.MaybeEncodingError, match="lambda"):
            pool.apply(unpicklable)
        with pytest.raises(mp_pool.MaybeEncodingError, match="lambda"):
            pool.map(unpicklable, [1, 2])


def test_an_exception_that_cannot_be_pickled_is_one_too_and_keeps_its_text(pool):
    with pytest.raises(mp_pool.MaybeEncodingError, match="cannot travel") as caught:
        pool.apply(raise_unpicklable)
    assert "raise UnpicklableError" in str(caught.value.__cause__)


def test_an_exception_that_cannot_be_unpickled_arrives_as_a_stand_in(pool):
    with pytest.raises(forkless.RemoteError, match="two arguments") as caught:
        pool.apply(raise_unloadable)
    assert "raise UnloadableError" in str(caught.value.__cause__)
    assert pool.apply(double, (1,)) == 2


def test_a_result_that_cannot_be_unpickled_is_an_error_of_the_call(pool):
    with pytest.raises(ValueError, match="no unpickling"):
        pool.apply(make_unloadable)
    with pytest.raises(ValueError, match="no unpickling"):
        pool.apply_async(make_unloadable).get(LIMIT)
    with pytest.raises(ValueError, match="no unpickling"):
        pool.apply(double, (Unloadable(),))  # nor can the argument, in the worker
    assert pool.apply(double, (2,)) == 4


def failing_iterable(count):
    yield from range(count)
    raise LookupError("the iterable")


class WrongLength:
    def __init__(self, length, items):
        self.length, self.items = length, items

    def __len__(self):
        return self.length

    def __iter__(self):
        return iter(self.items)


def test_what_an_iterable_raises_comes_where_its_item_would(pool):
    with pytest.raises(LookupError):
        pool.map(double, failing_iterable(3))
    iterator = pool.imap(double, failing_iterable(3))
    assert [next(iterator) for _ in range(3)] == [0, 2, 4]
    with pytest.raises(LookupError) as caught:
        next(iterator)
    assert caught.value.__cause__ is None
    with pytest.raises(StopIteration):
        next(iterator)
    with pytest.raises(LookupError):
        list(pool.imap_unordered(double, failing_iterable(3)))
    with pytest.raises(LookupError):
        pool.map(double, WrongLength(10, failing_iterable(3)), chunksize=1)
    with pytest.raises(TypeError):
        next(pool.imap(double, 5))


def test_an_iterable_that_lies_about_its_length_gives_the_results_that_there_are(pool):
    assert pool.map(double, WrongLength(5, [1, 2]), chunksize=1) == [2, 4]
    assert pool.map(double, WrongLength(2, [1, 2, 3]), chunksize=1)[:2] == [2, 4]
    assert pool.map(double, WrongLength(9, [1, 2]), chunksize=2) == [2, 4]


def test_wrong_arguments_are_errors_at_once(context, pool):
    with pytest.raises(ValueError, match="at least 1"):
        context.Pool(0)
    for value in (0, -1, 0.5, "12"):
        with pytest.raises(ValueError, match="maxtasksperchild"):
            context.Pool(1, maxtasksperchild=value)
    with pytest.raises(TypeError, match="callable"):
        context.Pool(1, initializer=1)
    for chunksize in (0, -1):
        with pytest.raises(ValueError, match="Chunksize"):
            pool.imap(double, [1], chunksize)
        with pytest.raises(ValueError, match="Chunksize"):
            pool.imap_unordered(double, [1], chunksize)
    with pytest.raises(NotImplementedError):
        multiprocessing.reduction.ForkingPickler.dumps(pool)


# Waiting


def test_waits_end_after_their_timeout(context):
    event = context.Event()
    with context.Pool(1, keep, (event,)) as pool:
        result = pool.apply_async(wait_for_kept)
        assert not result.ready()
        with pytest.raises(ValueError, match="not ready"):
            result.successful()
        result.wait(0.01)
        with pytest.raises(MpTimeoutError):
            result.get(0.01)
        with pytest.raises(MpTimeoutError):
            result.get(timeout=0)
        iterator = pool.imap(double, [1])
        with pytest.raises(MpTimeoutError):
            iterator.next(timeout=0.01)
        event.set()
        assert result.get(LIMIT) is True
        assert iterator.next(LIMIT) == 2
        with pytest.raises(StopIteration):
            iterator.next(0)


def test_a_result_becomes_ready_while_nobody_waits_for_it(pool):
    result = pool.apply_async(double, (4,))
    assert eventually(result.ready)
    assert result.successful()
    assert result.get(0) == 8
    many = pool.map_async(double, range(8), chunksize=1)
    assert eventually(lambda: many._number_left == 0)
    assert eventually(lambda: len(pool._cache) == 0)
    assert eventually(lambda: pool._taskqueue.qsize() == 0)


def test_a_generator_is_consumed_in_the_background(context):
    event = context.Event()
    given = []

    def give():
        for x in range(20):
            given.append(x)
            yield x

    with context.Pool(1, keep, (event,)) as pool:
        pool.apply_async(wait_for_kept)
        iterator = pool.imap(double, give())
        assert eventually(lambda: len(given) == 20)
        event.set()
        assert list(iterator) == [2 * x for x in range(20)]


def test_what_an_endless_iterable_gives_is_not_hoarded(context):
    event = context.Event()
    given = []

    def give():
        while True:
            given.append(1)
            yield b"x" * 100_000

    with context.Pool(2, keep, (event,)) as pool:
        blocked = [pool.apply_async(wait_for_kept) for _ in range(2)]
        iterator = pool.imap(len, give())
        assert eventually(lambda: pool._taskqueue.qsize() >= 3)
        assert len(given) <= 4
        event.set()
        assert [r.get(LIMIT) for r in blocked] == [True, True]
        assert next(iterator) == 100_000


def test_large_arguments_of_many_calls_are_not_copied_all_at_once(context):
    event = context.Event()

    class Counted(bytearray):
        copies = 0

        def __reduce_ex__(self, protocol):
            Counted.copies += 1
            return bytearray, (bytes(self),)

    with context.Pool(2, keep, (event,)) as pool:
        blocked = [pool.apply_async(wait_for_kept) for _ in range(2)]
        large = Counted(100_000)
        results = [pool.apply_async(len, (large,)) for _ in range(50)]
        assert eventually(lambda: Counted.copies >= 2)
        assert Counted.copies <= 4
        event.set()
        assert [r.get(LIMIT) for r in results] == [100_000] * 50
        assert all(r.get(LIMIT) for r in blocked)


# Callbacks


def test_callbacks_run_in_the_parent_in_order_and_before_the_result_is_ready(pool):
    seen = []

    def note(value):
        seen.append((value, os.getpid(), multiprocessing.current_process().name))

    me = (os.getpid(), multiprocessing.current_process().name)
    assert pool.apply_async(double, (1,), callback=note, error_callback=fail).get(LIMIT) == 2
    assert seen == [(2, *me)]
    with pytest.raises(ValueError):
        pool.apply_async(fail, (1,), callback=fail, error_callback=note).get(LIMIT)
    assert isinstance(seen[1][0], ValueError)
    assert seen[1][1:] == me
    assert pool.map_async(double, [1, 2], callback=note).get(LIMIT) == [2, 4]
    assert seen[2] == ([2, 4], *me)
    pool.starmap_async(fail, [(1,), (2,)], error_callback=note).wait(LIMIT)
    assert isinstance(seen[3][0], ValueError)
    pool.map_async(double, [], callback=note).wait(LIMIT)
    assert len(seen) == 4


def test_callbacks_run_while_nobody_waits_and_join_waits_for_them(context):
    seen = []
    with context.Pool(2) as pool:
        pool.apply_async(double, (1,), callback=seen.append)
        assert eventually(lambda: seen == [2])
        for x in range(20):
            pool.apply_async(double, (x,), callback=seen.append)
        pool.close()
        pool.join()
    assert sorted(seen[1:]) == [2 * x for x in range(20)]


def test_a_callback_that_raises_is_reported_and_the_pool_goes_on(pool, monkeypatch):
    reports = []
    monkeypatch.setattr(threading, "excepthook", reports.append)
    result = pool.apply_async(double, (1,), callback=fail)
    assert result.get(LIMIT) == 2
    assert [str(report.exc_value) for report in reports] == ["no 2"]
    assert pool.apply_async(double, (2,), callback=[].append).get(LIMIT) == 4


def test_a_callback_may_give_further_work(pool):
    seen = []

    def more(value):
        seen.append(value)
        if value < 20:
            pool.apply_async(double, (value,), callback=more)

    pool.apply_async(double, (3,), callback=more)
    assert eventually(lambda: seen == [6, 12, 24])
