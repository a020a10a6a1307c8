# SPDX-License-Identifier: Apache-2.0
"""The workers of a pool of simulated processes, its end, and pools of other kinds."""

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
from support.pool_functions import (
    LIMIT,
    Box,
    Tracked,
    die,
    double,
    fail,
    keep,
    keep_both,
    tracked,
    wait_and_put,
    wait_for_kept,
    who,
)
from support.scripts import eventually

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
    reports = []

    def reported():
        reports.append(capsys.readouterr().err)
        return "RuntimeError: cannot begin" in "".join(reports)

    with context.Pool(1, broken_initializer) as pool:
        with pytest.raises(MpTimeoutError):
            pool.apply_async(double, (1,)).get(0.1)
        assert eventually(reported), reports
    pool.join()


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
    pool.apply_async(double, (1,), callback=str).wait(LIMIT)
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
        fill,
    ):
        pool = context.Pool(2)
        kept_alive = prepare(pool)
        pool.terminate()
        pool.join()
        assert not any(worker.is_alive() for worker in pool._pool)
        del kept_alive
    assert eventually(lambda: not {"PoolTasks", "PoolResults"} & thread_names())


def thread_names():
    return {thread.name for thread in threading.enumerate()}


def fill(pool):
    result = pool.imap(hold, (b"x" * 10_000 for _ in itertools.count()))
    assert eventually(lambda: pool._taskqueue.qsize() >= 3)  # there is no room for more
    return result


def hold(_):
    time.sleep(LIMIT)


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


@pytest.mark.parametrize("method", ["apply_async", "starmap_async"])
def test_a_dropped_pool_does_what_nobody_waits_for(context, method):
    event, queue = context.Event(), context.SimpleQueue()
    pool = context.Pool(1, keep_both, (event, queue))
    args = () if method == "apply_async" else ([()],)
    getattr(pool, method)(wait_and_put, *args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del pool
        gc.collect()
        event.set()
        assert queue.get() is True
        assert eventually(lambda: gc.collect() >= 0 and _core.counters()["live"] == 0)


def goes(condition):
    """Whether a condition about objects that nobody refers to comes true. Without the GIL, those that
    belong to a thread that waits are left to the collector."""
    collects = not getattr(sys, "_is_gil_enabled", lambda: True)()
    return eventually(lambda: (collects and gc.collect() < 0) or condition())


def test_a_failing_task_leaves_no_arguments_behind_in_its_worker(context):
    gc.collect()
    gc.disable()
    try:
        with context.Pool(1) as pool:
            with pytest.raises(ValueError):
                pool.apply(fail, (Tracked(),))
            assert pool.apply(double, (1,)) == 2
            assert goes(lambda: not tracked)
    finally:
        gc.enable()


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
    assert goes(lambda: gone() is None)
    result = pool.map(Box, range(3))
    gone = weakref.ref(result[0])
    del result
    assert goes(lambda: gone() is None)


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
                pass
            # The workers are interrupted too, and one of them may take a task with it.
            while True:
                try:
                    print("interrupted", pool.apply_async(abs, (-1,)).get(0.2))
                    break
                except multiprocessing.TimeoutError:
                    pass
        """
    )
    assert status == 0
    assert "interrupted 1" in output.splitlines()  # among the reports of workers, interrupted too


def test_a_signal_handler_that_raises_loses_no_result(scripts):
    lines = scripts.check(
        """
        import multiprocessing, signal, sys
        import forkless

        class Time(Exception):
            pass

        def ring(*_):
            global armed
            if armed:
                armed = False
                raise Time

        def persist(action):
            global armed, rings
            while True:
                try:
                    armed = True
                    value = action()
                    armed = False
                    return value
                except Time:
                    rings += 1

        armed, rings = False, 0
        sys.unraisablehook = lambda _: None  # it may come in a finalizer, where it is dropped and told
        signal.signal(signal.SIGALRM, ring)
        with multiprocessing.get_context("actor").Pool(2) as pool:
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            for _ in range(60):
                result = pool.map_async(abs, range(2000), chunksize=1)
                lazy = pool.imap_unordered(abs, range(500))
                persist(result.wait)
                assert result.get(0) == list(range(2000))
                assert sorted(lazy) == list(range(500))
            signal.setitimer(signal.ITIMER_REAL, 0)
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


@pytest.mark.needs_processes("starts real processes")
def test_the_default_start_method_serves_pools(scripts):
    result = scripts.run(
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
    assert result.stdout.splitlines() == ["True True", "True", "True"], result


def test_a_pool_of_a_manager_is_one_of_simulated_processes(installed):
    with multiprocessing.Manager() as manager:
        pool = manager.Pool(2)
        assert pool.apply(who)[1] >= 1 << 23
        assert pool.map(double, range(5)) == [0, 2, 4, 6, 8]
        assert pool.map_async(double, range(5)).get() == [0, 2, 4, 6, 8]
        assert list(pool.imap(double, range(5))) == [0, 2, 4, 6, 8]
