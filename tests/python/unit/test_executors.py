# SPDX-License-Identifier: Apache-2.0
"""concurrent.futures.ProcessPoolExecutor on simulated processes."""

import functools
import multiprocessing
import os
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool, _SafeQueue, _ThreadWakeup

import pytest

import forkless
from forkless import queues
from support.scripts import eventually

DEADLINE = 30


@pytest.fixture
def executor(context):
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


def square(x):
    return x * x


def test_calls_run_in_simulated_processes(executor):
    pids = set(executor.map(call_getpid, range(20), timeout=DEADLINE))
    assert all(pid >= 1 << 23 for pid in pids) and len(pids) <= 2


def call_getpid(_):
    return os.getpid()


def test_map_and_submit_give_results(executor):
    assert list(executor.map(square, range(50), chunksize=7)) == [x * x for x in range(50)]
    futures = [executor.submit(pow, 2, n) for n in range(20)]
    assert sorted(f.result(DEADLINE) for f in as_completed(futures)) == [2**n for n in range(20)]


class Refused(Exception):
    pass


def refuse(x):
    raise Refused(x)


def test_an_exception_has_its_remote_traceback(executor):
    error = executor.submit(refuse, 1).exception(DEADLINE)
    assert type(error) is Refused and error.args == (1,)
    assert "in refuse" in str(error.__cause__)


def test_what_cannot_be_pickled_fails_its_future_and_no_other(executor):
    bad = executor.submit(square, threading.Lock())
    with pytest.raises(TypeError, match="pickle"):
        bad.result(DEADLINE)
    with pytest.raises(TypeError, match="pickle"):
        executor.submit(threading.Lock).result(DEADLINE)
    assert executor.submit(square, 3).result(DEADLINE) == 9


state = forkless.local()


def set_up(value):
    state.value = value


def set_up_value():
    return state.value


def test_the_initializer_runs_in_each_worker(context):
    with ProcessPoolExecutor(
        2, mp_context=context, initializer=set_up, initargs=("ready",)
    ) as executor:
        futures = [executor.submit(set_up_value) for _ in range(10)]
        assert {f.result(DEADLINE) for f in futures} == {"ready"}


def fail_to_set_up():
    raise ValueError("no")


def test_a_failing_initializer_breaks_the_pool(context, caplog):
    with ProcessPoolExecutor(1, mp_context=context, initializer=fail_to_set_up) as executor:
        with pytest.raises(BrokenProcessPool):
            executor.submit(square, 1).result(DEADLINE)


def test_a_worker_is_replaced_after_its_tasks(context):
    if context.get_start_method() == "fork":
        with pytest.raises(ValueError, match="fork"):
            ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=2)
        return
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=2) as executor:
        pids = [executor.submit(os.getpid).result(DEADLINE) for _ in range(5)]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def sleep_long():
    time.sleep(600)


@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_killed_worker_breaks_the_pool(context, how):
    executor = ProcessPoolExecutor(2, mp_context=context)
    future = executor.submit(sleep_long)
    assert eventually(future.running)
    worker = next(iter(executor._processes.values()))
    getattr(worker, how)()
    with pytest.raises(BrokenProcessPool):
        future.result(DEADLINE)
    with pytest.raises(BrokenProcessPool):
        executor.submit(square, 1)
    executor.shutdown()


def exit_at_once():
    os._exit(5)


def test_a_worker_that_exits_breaks_the_pool(context):
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        with pytest.raises(BrokenProcessPool):
            executor.submit(exit_at_once).result(DEADLINE)


def wait_for(event):
    event.wait(DEADLINE)


def test_shutdown_cancels_what_has_not_begun(context):
    executor = ProcessPoolExecutor(1, mp_context=context)
    with context.Manager() as manager:
        event = manager.Event()
        futures = [executor.submit(wait_for, event) for _ in range(10)]
        assert eventually(futures[0].running)
        executor.shutdown(wait=False, cancel_futures=True)
        assert eventually(lambda: futures[-1].cancelled())
        event.set()
        assert futures[0].result(DEADLINE) is None
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(square, 1)
        assert eventually(lambda: all(f.done() for f in futures))


def nested(depth, method):
    if depth == 0:
        return os.getpid()
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as executor:
        return executor.submit(nested, depth - 1, method).result(DEADLINE)


def test_executors_nest(executor, context):
    assert executor.submit(nested, 2, context.get_start_method()).result(DEADLINE) >= 1 << 23


kept = []


def leave_open(kind, results):
    if kind == "process":
        executor = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("actor"))
    else:
        executor = ThreadPoolExecutor(1)
    kept.append(executor)
    future = executor.submit(square, 7)
    future.add_done_callback(lambda f: results.put((os.getpid(), f.result())))


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_an_executor_that_is_left_open_ends_with_its_process(actors, kind):
    """After it has done what was submitted; its threads act for the process that made it."""
    results = actors.Queue()
    process = actors.Process(target=leave_open, args=(kind, results))
    process.start()
    process.join(DEADLINE)
    assert process.exitcode == 0
    assert results.get(timeout=DEADLINE) == (process.pid, 49)
    kept.clear()


def test_an_executor_that_is_left_open_ends_with_the_interpreter(scripts):
    result = scripts.run(
        """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing, forkless
if __name__ == "__main__":
    executor = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("actor"))
    print(executor.submit(pow, 2, 5).result())
    executor.submit(print, "done at the end")
"""
    )
    assert (result.returncode, result.stdout.splitlines()) == (0, ["32", "done at the end"])
    # Without a lock there the executor's thread may close its pipe while the exit writes to it.
    if hasattr(_ThreadWakeup(), "_lock"):
        assert result.stderr == ""


def test_its_queue_is_a_channel_although_its_class_is_older(context):
    executor = ProcessPoolExecutor(1, mp_context=context)
    call_queue = executor._call_queue
    assert isinstance(call_queue, queues.Queue) and isinstance(call_queue, _SafeQueue)
    assert type(call_queue).__name__ == "_SafeQueue"
    executor.shutdown()


def test_a_partial_and_a_large_result_cross(executor):
    assert executor.submit(functools.partial(pow, 2), 5).result(DEADLINE) == 32
    assert executor.submit(bytes, 1 << 22).result(DEADLINE) == bytes(1 << 22)


class Ending:
    """In the place of threading.Thread.start: no more threads than `left`, as when the interpreter ends."""

    def __init__(self, left):
        self.left = left
        self.start = threading.Thread.start

    def __get__(self, thread, kind=None):
        return lambda: self(thread)

    def __call__(self, thread):
        if not self.left:
            raise RuntimeError("can't create new thread at interpreter shutdown")
        self.left -= 1
        self.start(thread)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="it waits for ever, also with processes")
@pytest.mark.parametrize("method", ["actor", "fork"])
def test_an_executor_breaks_where_no_thread_can_be_started(installed, monkeypatch, method):
    """The first thread is its own. With processes the second belongs to the queue of its calls."""
    context = multiprocessing.get_context(method)
    monkeypatch.setattr(threading.Thread, "start", Ending(left=1))
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        with pytest.raises(BrokenProcessPool):
            executor.submit(square, 2).result(DEADLINE)
        with pytest.raises(BrokenProcessPool):
            executor.submit(square, 2)
