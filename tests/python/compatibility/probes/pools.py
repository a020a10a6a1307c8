# SPDX-License-Identifier: Apache-2.0
"""Pools, and the executor of concurrent.futures."""

import concurrent.futures
import multiprocessing
import os
import time
from concurrent.futures import process as futures_process
from multiprocessing import pool as pool_module

from probing import LIMIT, in_child, outcome, probe, until

P = "multiprocessing.pool.Pool"
A = "multiprocessing.pool.AsyncResult"
E = "concurrent.futures.ProcessPoolExecutor"


def square(number):
    return number * number


def fail(number):
    raise ValueError("by design", number)


@probe(
    "multiprocessing.Pool",
    "multiprocessing.pool.{Pool,IMapIterator}",
    f"{P}.{{map,starmap,apply,imap,imap_unordered,map_async,starmap_async,apply_async,close,join}}",
    "multiprocessing.pool.IMapIterator.next",
)
def a_pool_maps():
    with multiprocessing.Pool(2) as pool:
        lazy = pool.imap(square, range(4))
        seen = [
            pool.map(square, range(10), chunksize=3),
            pool.starmap(pow, [(2, 3), (3, 2)]),
            pool.apply(square, (5,)),
            [lazy.next(LIMIT), *lazy],
            sorted(pool.imap_unordered(square, range(4))),
            pool.map_async(square, [6]).get(LIMIT),
            pool.starmap_async(pow, [(2, 2)]).get(LIMIT),
            pool.apply_async(square, (7,)).get(LIMIT),
            outcome(lazy.next),
        ]
        is_pool = isinstance(pool, pool_module.Pool)
        pool.close()
        pool.join()
        return (
            seen,
            outcome(pool.map, square, [1]),
            is_pool,
            issubclass(type(lazy), pool_module.IMapIterator),
        )


@probe("multiprocessing.pool.AsyncResult", f"{A}.{{get,wait,ready,successful}}")
def results():
    with multiprocessing.Pool(1) as pool:
        gate = pool.apply_async(time.sleep, (0.2,))
        early = gate.ready(), outcome(gate.successful)[:10], outcome(gate.get, 0.001)
        gate.wait(LIMIT)
        late = gate.ready(), gate.successful(), gate.get()
        failed = pool.apply_async(fail, (3,))
        failed.wait(LIMIT)
        return (
            early,
            late,
            failed.successful(),
            outcome(failed.get),
            isinstance(gate, pool_module.AsyncResult),
        )


@probe(f"{P}.{{apply_async,map_async}}")
def callbacks():
    called = []
    with multiprocessing.Pool(2) as pool:
        pool.apply_async(square, (2,), callback=called.append).wait(LIMIT)
        pool.map_async(square, [1, 2], callback=called.append).wait(LIMIT)
        pool.apply_async(fail, (1,), error_callback=lambda e: called.append(repr(e))).wait(LIMIT)
        pool.map_async(fail, [2], error_callback=lambda e: called.append(repr(e))).wait(LIMIT)
        until(lambda: len(called) == 4)
    return called


def remote_traceback(number):
    try:
        with multiprocessing.Pool(1) as pool:
            pool.map(fail, [number])
    except ValueError as error:
        return type(error.__cause__).__name__, "in fail" in str(error.__cause__), error.args


@probe(f"{P}.map")
def exceptions_of_tasks():
    return remote_traceback(4)


initialized = [None]


def initialize(value):
    initialized[0] = value


def read_initialized(_):
    return initialized[0]


@probe("multiprocessing.Pool")
def initializers():
    with multiprocessing.Pool(2, initialize, ("given",)) as pool:
        seen = pool.map(read_initialized, range(4))
    initialized[0] = None
    return seen


def pid_of(_):
    return os.getpid()


@probe("multiprocessing.Pool", f"{P}.map")
def the_lives_of_workers():
    with multiprocessing.Pool(1, maxtasksperchild=2) as pool:
        pids = pool.map(pid_of, range(6), chunksize=1)
        pool.close()
        pool.join()
    return len(set(pids)), os.getpid() in pids


@probe(f"{P}.terminate")
def terminating_a_pool():
    pool = multiprocessing.Pool(2)
    pool.map_async(time.sleep, [100, 100])
    pool.terminate()
    pool.join()
    return len(multiprocessing.active_children()), outcome(pool.apply, square, (1,))


@probe(f"{P}.Process")
def processes_of_a_pool():
    process = pool_module.Pool.Process(multiprocessing.get_context(), target=square, args=(1,))
    process.start()
    process.join()
    return process.exitcode


def use_pool():
    with multiprocessing.Pool(2) as pool:
        return pool.map(square, [1, 2, 3])


@probe("multiprocessing.Pool")
def a_pool_in_a_process():
    return in_child(use_pool)


@probe("multiprocessing.pool.ThreadPool")
def thread_pools():
    with pool_module.ThreadPool(2) as pool:
        return (
            pool.map(square, range(4)),
            set(pool.map(pid_of, range(2))) == {os.getpid()},
            pool.apply_async(square, (3,)).get(LIMIT),
            sorted(pool.imap_unordered(square, [1, 2])),
        )


def ready():
    return "ready"


@probe(E, f"{E}.{{submit,map}}")
def an_executor():
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        future = executor.submit(square, 3)
        seen = [future.result(LIMIT), list(executor.map(square, range(5), chunksize=2))]
        failed = executor.submit(fail, 1)
        error = failed.exception(LIMIT)
        seen += [repr(error), type(error.__cause__).__name__, "in fail" in str(error.__cause__)]
        pids = list(executor.map(pid_of, range(4)))
        done, _ = concurrent.futures.wait([executor.submit(ready)], LIMIT)
        seen += [os.getpid() in pids, done.pop().result()]
    return seen, outcome(executor.submit, square, 1)


def stop_early():
    os._exit(1)


@probe("concurrent.futures.process.BrokenProcessPool")
def a_broken_executor():
    with concurrent.futures.ProcessPoolExecutor(1) as executor:
        error = executor.submit(stop_early).exception(LIMIT)
        return (
            type(error).__name__,
            isinstance(error, futures_process.BrokenProcessPool),
            outcome(executor.submit, ready)[:17],
        )


@probe(f"{E}.{{submit,shutdown}}")
def the_options_of_an_executor():
    method = multiprocessing.get_start_method()
    context = multiprocessing.get_context(method)
    executor = concurrent.futures.ProcessPoolExecutor(
        1, context, initializer=initialize, initargs=("given",)
    )
    seen = executor.submit(read_initialized, 0).result(LIMIT)
    executor.shutdown(wait=True, cancel_futures=True)
    initialized[0] = None
    return seen


@probe(f"{E}.{{terminate_workers,kill_workers}}", since=(3, 14))
def ending_the_workers_of_an_executor():
    seen = []
    for method in ("terminate_workers", "kill_workers"):
        executor = concurrent.futures.ProcessPoolExecutor(1)
        future = executor.submit(time.sleep, 100)
        until(lambda: multiprocessing.active_children())
        getattr(executor, method)()
        seen.append(type(future.exception(LIMIT)).__name__)
    return seen
