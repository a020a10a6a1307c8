"""Pools of simulated processes behave as pools of processes do."""

import gc
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
import weakref
from multiprocessing import TimeoutError as MpTimeoutError
from multiprocessing import pool as mp_pool

import pytest

from forkless import _core
from support.scripts import eventually

LIMIT = 30.0


def double(x):
    return 2 * x


def add(x, y=0):
    return x + y


def fail(x):
    raise ValueError(f"no {x}")


def fail_at_three(x):
    if x == 3:
        raise KeyError(x)
    return x


def who(_=None):
    process = multiprocessing.current_process()
    return process.name, os.getpid(), process.daemon


def die(how):
    if how == "os._exit":
        os._exit(3)
    elif how == "SystemExit":
        sys.exit(3)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def change(values):
    values.append("changed")
    return values


def unpicklable(_=None):
    return lambda: None


class Unloadable:
    def __reduce__(self):
        return fail, ("unpickling",)


class UnpicklableError(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


def raise_unpicklable():
    raise UnpicklableError("cannot travel")


def make_unloadable():
    return Unloadable()


def wait_for(event):
    return event.wait(LIMIT)


class Box:
    def __init__(self, value):
        self.value = value

    def add(self, x):
        self.value += x
        return self.value


@pytest.fixture
def pool(context):
    with context.Pool(3) as pool:
        yield pool
    pool.join()


@pytest.fixture
def single(context):
    with context.Pool(1) as pool:
        yield pool
    pool.join()


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

    threads = [threading.Thread(target=use, args=(n,)) for n in range(6)]
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
            threading.Thread(target=lambda: got.append(result.get(LIMIT))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        event.set()
        for thread in threads:
            thread.join(LIMIT)
    assert got == [[True, True]] * 4


kept = None


def keep(value):
    global kept
    kept = value


def wait_for_kept(_=None):
    return kept.wait(LIMIT)


def test_several_threads_share_an_iterator(pool):
    for kind in (pool.imap, pool.imap_unordered):
        iterator = kind(double, itertools.islice(itertools.count(), 300))
        taken = []

        def take(iterator=iterator, taken=taken):
            for value in iterator:
                taken.append(value)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        assert sorted(taken) == [2 * x for x in range(300)]


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
    assert pool.map(double, WrongLength(2, [1, 2, 3]), chunksize=1) == [2, 4, 6]
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
    given = itertools.count()
    with context.Pool(2, keep, (event,)) as pool:
        blocked = [pool.apply_async(wait_for_kept) for _ in range(2)]
        large = (b"x" * 100_000 for _ in given)
        iterator = pool.imap(len, large)
        assert eventually(lambda: pool._taskqueue.qsize() >= 3)
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


# Workers


def test_the_initializer_runs_in_each_worker(context):
    seen = context.SimpleQueue()
    with context.Pool(2, initializer=seen.put, initargs=("started",)):
        assert [seen.get(), seen.get()] == ["started"] * 2


@pytest.mark.parametrize("how", ["os._exit", "SystemExit", "kill"])
def test_a_worker_that_dies_is_replaced_and_only_its_task_is_lost(context, how):
    with context.Pool(1) as pool:
        pid = pool.apply(who)[1]
        lost = pool.apply_async(die, (how,))
        assert pool.map(double, [1, 2], chunksize=1) == [2, 4]
        assert not lost.ready()
        assert pool.apply(who)[1] != pid
        assert eventually(lambda: [w.is_alive() for w in pool._pool] == [True])


def test_a_worker_that_is_killed_from_outside_is_replaced_while_nobody_calls(context):
    with context.Pool(2) as pool:
        victim = pool._pool[0]
        victim.kill()
        assert eventually(lambda: victim not in pool._pool and len(pool._pool) == 2)
        assert pool.map(double, range(4), chunksize=1) == [0, 2, 4, 6]


def test_a_worker_ends_after_its_number_of_tasks_and_is_replaced(context):
    with context.Pool(1, maxtasksperchild=2) as pool:
        pids = [pid for _name, pid, _daemon in pool.map(who, range(6), chunksize=1)]
        assert [pids.count(pid) for pid in pids] == [2] * 6
        assert len(set(pids)) == 3
        pool.close()
        pool.join()


def test_a_closed_pool_does_what_it_was_given_though_workers_end(context):
    pool = context.Pool(2, maxtasksperchild=1)
    results = [pool.apply_async(double, (x,)) for x in range(10)]
    lazy = pool.imap(double, iter(range(5)))
    pool.close()
    pool.join()
    assert [r.get(0) for r in results] == [2 * x for x in range(10)]
    assert list(lazy) == [0, 2, 4, 6, 8]
    assert all(not worker.is_alive() for worker in pool._pool)


def broken_initializer():
    raise RuntimeError("cannot begin")


def test_an_initializer_that_raises_hangs_no_terminate(context, capsys):
    with context.Pool(1, broken_initializer) as pool:
        with pytest.raises(MpTimeoutError):
            pool.apply_async(double, (1,)).get(0.1)
    pool.join()
    assert "RuntimeError: cannot begin" in capsys.readouterr().err


def test_workers_that_cannot_start_leave_none_behind(context, monkeypatch):
    started = []
    real_start = context.Process.start

    def start(self):
        if len(started) == 2:
            raise OSError("no more")
        real_start(self)
        started.append(self)

    monkeypatch.setattr(context.Process, "start", start)
    with pytest.raises(OSError, match="no more"):
        context.Pool(3)
    assert [worker.is_alive() for worker in started] == [False, False]


def nested(method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return pool.map(double, range(3)), os.getpid()


def send_nested(queue, method):
    queue.put(nested(method))


def test_pools_work_in_simulated_processes_but_not_in_daemons(context):
    queue = context.SimpleQueue()
    process = context.Process(target=send_nested, args=(queue, context._name))
    process.start()
    assert queue.get() == ([0, 2, 4], process.pid)
    process.join(LIMIT)
    assert process.exitcode == 0
    with context.Pool(1) as pool, pytest.raises(AssertionError, match="daemonic"):
        pool.apply(nested, (context._name,))


def use_and_wait(method, queue, event):
    pool = multiprocessing.get_context(method).Pool(2, keep, (event,))
    pool.apply_async(double, (1,), callback=keep).wait(LIMIT)
    endless = pool.imap(wait_for_kept, itertools.count())
    queue.put([worker.pid for worker in pool._pool])
    next(endless)


def test_the_workers_end_after_a_process_that_is_killed(context):
    queue, event = context.SimpleQueue(), context.Event()
    process = context.Process(target=use_and_wait, args=(context._name, queue, event))
    process.start()
    assert len(queue.get()) == 2
    process.terminate()
    process.join(LIMIT)
    assert process.exitcode == -signal.SIGTERM
    event.set()  # what they have begun they finish
    assert eventually(lambda: _core.counters()["live"] == 0), _core.counters()


def leave_a_pool(method):
    pool = multiprocessing.get_context(method).Pool(2)
    globals()["left"] = pool
    pool.apply_async(time.sleep, (LIMIT,))


def test_a_process_that_ends_terminates_the_pool_that_it_leaves(context):
    process = context.Process(target=leave_a_pool, args=(context._name,))
    process.start()
    process.join(LIMIT)
    assert process.exitcode == 0
    assert eventually(lambda: _core.counters()["live"] == 0), _core.counters()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del globals()["left"]


# The end


def test_a_pool_takes_work_only_while_it_runs(context):
    pool = context.Pool(1)
    with pytest.raises(ValueError, match="still running"):
        pool.join()
    pool.close()
    pool.close()
    for call in (pool.apply, pool.map, pool.apply_async, pool.imap, pool.imap_unordered):
        with pytest.raises(ValueError, match="not running"):
            call(double, (1,))
    with pytest.raises(ValueError, match="not running"):
        pool.__enter__()
    assert "state=CLOSE pool_size=1" in repr(pool)
    pool.join()
    pool.terminate()
    pool.terminate()
    pool.join()
    assert "state=TERMINATE" in repr(pool)


def test_terminate_ends_workers_in_the_middle_of_their_tasks(context):
    for prepare in (
        lambda pool: pool.map_async(time.sleep, [LIMIT] * 10_000, chunksize=1),
        lambda pool: pool.imap(time.sleep, itertools.repeat(LIMIT)),
        lambda pool: pool.apply_async(spin),
        lambda pool: [pool.apply_async(time.sleep, (LIMIT,), callback=fail) for _ in range(9)],
        lambda pool: pool.imap_unordered(len, (b"x" * 10_000 for _ in itertools.count())),
    ):
        pool = context.Pool(2)
        kept_alive = prepare(pool)
        pool.terminate()
        pool.join()
        assert not any(worker.is_alive() for worker in pool._pool)
        del kept_alive


def spin():
    while True:
        pass


def test_terminate_does_not_wait_for_an_iterable_that_gives_nothing(context):
    never = threading.Event()
    pool = context.Pool(1)
    pool.imap(double, iter(never.wait, None))
    pool.terminate()
    pool.join()
    never.set()


def test_terminate_in_a_callback_hangs_nobody(context):
    pool = context.Pool(1)
    ended = threading.Event()

    def end(_value):
        pool.terminate()
        ended.set()

    pool.apply_async(double, (1,), callback=end)
    assert ended.wait(LIMIT)
    pool.join()


def test_a_pool_that_is_dropped_warns_and_its_workers_end(context):
    pool = context.Pool(2)
    workers = list(pool._pool)
    with pytest.warns(ResourceWarning, match="unclosed running multiprocessing pool"):
        del pool
        gc.collect()
    assert eventually(lambda: not any(worker.is_alive() for worker in workers))


def test_a_dropped_pool_lives_while_there_is_work_for_it(context):
    seen = []
    event = context.Event()
    pool = context.Pool(1, keep, (event,))
    gone = weakref.ref(pool)
    pool.apply_async(wait_for_kept, callback=seen.append)
    quiet = pool.apply_async(wait_for_kept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del pool
        gc.collect()
        event.set()
        assert quiet.get(LIMIT) is True
        assert eventually(lambda: seen == [True])
        del quiet
        assert eventually(lambda: gc.collect() >= 0 and gone() is None)
    assert eventually(lambda: _core.counters()["live"] == 0)


def test_arguments_and_results_are_let_go(pool):
    class Here:
        pass

    marker = Here()
    gone = weakref.ref(marker)

    def give():
        yield 1
        del marker_box[:]

    marker_box = [marker]
    del marker
    assert list(pool.imap(double, give())) == [2]
    assert eventually(lambda: gone() is None)
    result = pool.map(Box, range(3))
    gone = weakref.ref(result[0])
    del result
    assert eventually(lambda: gone() is None)


def test_the_interpreter_exits_with_a_pool_that_was_not_closed(scripts):
    lines = scripts.check(
        """
        import itertools, multiprocessing, time
        import forkless

        def wait():
            time.sleep(60)

        pool = multiprocessing.get_context("actor").Pool(3)
        pool.apply_async(wait)
        pool.apply_async(wait, callback=print)
        lazy = pool.imap(abs, itertools.count())
        print(next(lazy))
        """
    )
    assert lines == ["0"]


def test_ctrl_c_ends_a_wait_for_a_result_and_the_pool_goes_on(scripts):
    status, output, _seconds = scripts.interrupt(
        """
        import multiprocessing, os, threading, time
        import forkless

        def wait(seconds):
            time.sleep(seconds)
            return seconds

        with multiprocessing.get_context("actor").Pool(2) as pool:
            slow = pool.apply_async(wait, (60,))
            print("ready", flush=True)
            try:
                slow.get()
            except KeyboardInterrupt:
                print("interrupted", pool.apply(abs, (-1,)))
        """
    )
    assert (status, output) == (0, "interrupted 1\n")


def test_a_signal_handler_that_raises_loses_no_result(scripts):
    lines = scripts.check(
        """
        import multiprocessing, signal
        import forkless

        class Time(Exception):
            pass

        waiting = False

        def ring(*_):
            global waiting
            if waiting:
                waiting = False
                raise Time

        signal.signal(signal.SIGALRM, ring)
        with multiprocessing.get_context("actor").Pool(2) as pool:
            rings = 0
            for _ in range(60):
                result = pool.map_async(abs, range(2000), chunksize=1)
                lazy = pool.imap_unordered(abs, range(500))
                items = []
                signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
                while not result.ready():
                    try:
                        waiting = True
                        result.wait()
                        waiting = False
                    except Time:
                        rings += 1
                signal.setitimer(signal.ITIMER_REAL, 0)
                assert result.get() == list(range(2000))
                assert sorted(lazy) == list(range(500))
            print(rings > 0)
        """
    )
    assert lines == ["True"]


# Around


class OwnProcess(multiprocessing.Process):
    @property
    def daemon(self):
        return False

    @daemon.setter
    def daemon(self, value):
        pass


class NestingPool(mp_pool.Pool):
    @staticmethod
    def Process(ctx, *args, **kwds):
        return OwnProcess(*args, **kwds)


class QueueingPool(mp_pool.Pool):
    """A pool that brings queues of its own, as some libraries have."""

    def _setup_queues(self):
        super()._setup_queues()
        self.own = True


def test_subclasses_that_were_made_before_install_work(installed):
    with NestingPool(2) as pool:
        assert not pool.apply(who)[2]
        assert pool.apply(nested, ("fork",))[0] == [0, 2, 4]
    pool.join()
    with QueueingPool(2) as pool:
        assert pool.own
        assert pool.map(double, range(5)) == [0, 2, 4, 6, 8]
        assert pool.apply(who)[1] >= 1 << 23
    pool.join()


def thread_pool(_=None):
    with mp_pool.ThreadPool(2) as pool:
        pids = set(pool.map(lambda _: os.getpid(), range(4)))
        return pids == {os.getpid()} and pool.map(double, range(3)) == [0, 2, 4]


def test_thread_pools_work_beside_and_inside(context, pool):
    assert thread_pool()
    assert pool.apply(thread_pool)
    with mp_pool.ThreadPool(1) as threads:
        assert isinstance(threads, mp_pool.Pool)
        assert threads.apply_async(double, (2,), callback=[].append).get(LIMIT) == 4


def test_the_default_start_method_serves_pools(scripts):
    lines = scripts.check(
        """
        import multiprocessing, multiprocessing.pool, os
        import forkless

        multiprocessing.set_start_method("actor")
        with multiprocessing.Pool(2) as pool, multiprocessing.pool.Pool(1) as other:
            print(pool.apply(os.getpid) >= 1 << 23, other.apply(os.getpid) >= 1 << 23)
        with multiprocessing.pool.ThreadPool(2) as pool:
            print(pool.apply(os.getpid) == os.getpid())
        with multiprocessing.get_context("fork").Pool(1) as pool:
            print(pool.apply(os.getpid) < 1 << 23)
        """
    )
    assert lines == ["True True", "True", "True"]


def test_a_pool_of_a_manager_is_one_of_simulated_processes(installed):
    with multiprocessing.Manager() as manager:
        pool = manager.Pool(2)
        assert pool.apply(who)[1] >= 1 << 23
        assert pool.map(double, range(5)) == [0, 2, 4, 6, 8]
        assert pool.map_async(double, range(5)).get() == [0, 2, 4, 6, 8]
        assert list(pool.imap(double, range(5))) == [0, 2, 4, 6, 8]
