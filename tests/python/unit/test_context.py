# SPDX-License-Identifier: Apache-2.0
"""forkless.context and pool: the start method 'actor', its stand-ins, pools and managers on it."""

import multiprocessing
import multiprocessing.pool
import os
import sys
import time

import pytest

import forkless
from forkless import context as forkless_context
from forkless import queues, synchronize


def test_the_start_method_is_known_to_multiprocessing():
    assert multiprocessing.get_all_start_methods()[-1] == "actor"
    context = multiprocessing.get_context("actor")
    assert isinstance(context, forkless_context.ActorContext)
    assert context is multiprocessing.get_context("actor")
    assert context.get_start_method() == "actor"
    assert context.get_context("actor") is context
    with pytest.raises(ValueError, match="cannot find context for 'no'"):
        multiprocessing.get_context("no")


def test_the_method_can_be_the_default(scripts):
    assert scripts.check(
        """
        import multiprocessing, forkless
        from forkless import queues, synchronize

        if __name__ == '__main__':
            multiprocessing.set_start_method('actor')
            queue = multiprocessing.Queue(maxsize=3)
            process = multiprocessing.Process(target=queue.put, args=(7,))
            process.start()
            process.join()
            print(queue.get(), process.pid >= 1 << 23)
            print(type(queue) is queues.Queue, type(multiprocessing.Lock()) is synchronize.Lock)
            with multiprocessing.Pool(2) as pool:
                print(pool.map(abs, [-1, -2]))
            # The others make what they always made.
            fork = multiprocessing.get_context('fork')
            print(type(fork.Queue()) is multiprocessing.queues.Queue, fork.Queue(2)._maxsize)
        """
    ) == ["7 True", "True True", "[1, 2]", "True 2"]


def test_what_the_context_makes_is_of_forkless(context):
    assert type(context.Queue()) is queues.Queue
    assert type(context.JoinableQueue(3)) is queues.JoinableQueue
    assert type(context.SimpleQueue()) is queues.SimpleQueue
    for name in synchronize.__all__:
        assert type(getattr(context, name)()) is getattr(synchronize, name)


def test_aliases_keep_their_names(installed):
    """Programs look at them: Ansible asks for get_context('fork') and reads the class's name."""
    for method, kind in (
        ("fork", "ForkProcess"),
        ("spawn", "SpawnProcess"),
        ("forkserver", "ForkServerProcess"),
    ):
        context = multiprocessing.get_context(method)
        assert context.get_start_method() == method
        process = context.Process(target=os.getpid)
        process.start()
        process.join(30)
        assert (type(process).__name__, process.exitcode) == (kind, 0)
        assert process.pid >= 1 << 23


def test_start_methods_are_those_of_the_platform_after_install(installed):
    assert "actor" not in multiprocessing.get_all_start_methods()
    assert multiprocessing.get_context("actor").get_start_method() == "actor"
    assert sys.modules["multiprocessing"] is multiprocessing


def square(number):
    return number * number


def fail(number):
    raise ValueError(number)


def pid_of(_):
    time.sleep(0.01)
    return os.getpid()


@pytest.fixture
def pool(context):
    with context.Pool(3) as pool:
        yield pool
        pool.close()
        pool.join()


def test_a_pool_maps(pool):
    assert pool.map(square, range(50)) == [n * n for n in range(50)]
    assert list(pool.imap(square, range(10), chunksize=3)) == [n * n for n in range(10)]
    assert sorted(pool.imap_unordered(square, range(10))) == [n * n for n in range(10)]
    assert pool.starmap(pow, [(2, 3), (3, 2)]) == [8, 9]
    assert pool.apply(square, (4,)) == 16
    assert pool.apply_async(square, (5,)).get(30) == 25


def test_the_workers_of_a_pool_are_simulated_processes(pool):
    pids = set(pool.map(pid_of, range(12), chunksize=1))
    assert min(pids) >= 1 << 23 and 1 <= len(pids) <= 3


def test_what_a_task_raises_arrives_with_its_traceback(pool):
    with pytest.raises(ValueError, match="5") as caught:
        pool.map(fail, [5])
    assert "in fail" in str(caught.value.__cause__)
    assert pool.map(square, [3]) == [9]


def test_a_pool_times_out(pool):
    with pytest.raises(multiprocessing.TimeoutError):
        pool.apply_async(time.sleep, (0.5,)).get(0.01)


def count_down(answers, value):
    answers.put(value)


def test_a_pool_runs_its_initializer_in_each_worker(context):
    answers = context.Queue()
    with context.Pool(2, count_down, (answers, "ready")) as pool:
        assert [answers.get(timeout=30) for _ in range(2)] == ["ready"] * 2
        assert pool.map(square, [2]) == [4]
        pool.terminate()
        pool.join()


def test_a_pool_replaces_workers_that_have_done_their_share(context):
    with context.Pool(1, maxtasksperchild=2) as pool:
        pids = pool.map(pid_of, range(6), chunksize=1)
        pool.close()
        pool.join()
    assert len(set(pids)) == 3


def test_a_terminated_pool_leaves_nobody(context):
    pool = context.Pool(3)
    pool.map_async(time.sleep, [60] * 6)
    time.sleep(0.05)
    since = time.monotonic()
    pool.terminate()
    pool.join()
    assert time.monotonic() - since < 30
    assert multiprocessing.active_children() == []


def in_child(answers, method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        answers.put(pool.map(square, [1, 2, 3]))
        pool.close()
        pool.join()


def test_a_pool_inside_a_process(context):
    answers = context.Queue()
    process = context.Process(target=in_child, args=(answers, context.get_start_method()))
    process.start()
    assert answers.get(timeout=30) == [1, 4, 9]
    process.join(30)
    assert process.exitcode == 0


def send(connection, value):
    connection.send(value)
    assert connection.recv() == "answer"
    connection.close()


def test_pipes_work_between_simulated_processes(context):
    ours, theirs = context.Pipe()
    process = context.Process(target=send, args=(theirs, {"a": [1]}))
    process.start()
    theirs.close()
    assert ours.poll(30) and ours.recv() == {"a": [1]}
    ours.send("answer")
    process.join(30)
    assert process.exitcode == 0
    with pytest.raises(EOFError):
        ours.recv()
    ours.close()


def increment(value, array, count):
    for _ in range(count):
        with value.get_lock():
            value.value += 1
    array[0] = 1.5


def test_shared_values_and_arrays(context):
    value, array = context.Value("i", 0), context.Array("d", 2)
    processes = [context.Process(target=increment, args=(value, array, 100)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert (value.value, list(array)) == (300, [1.5, 0.0])


def fill(mapping, items):
    mapping["key"] = len(items)
    items.append(2)


def test_a_manager_serves_simulated_processes(actors):
    with actors.Manager() as manager:
        mapping, items = manager.dict(), manager.list([1])
        process = actors.Process(target=fill, args=(mapping, items))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        assert (dict(mapping), list(items)) == ({"key": 1}, [1, 2])


def meet(barrier, answers):
    answers.put(barrier.wait(30))


def test_a_barrier_lets_all_through_at_once(context):
    barrier, answers = context.Barrier(3), context.Queue()
    processes = [context.Process(target=meet, args=(barrier, answers)) for _ in range(3)]
    for process in processes:
        process.start()
    assert sorted(answers.get(timeout=30) for _ in range(3)) == [0, 1, 2]
    for process in processes:
        process.join(30)


def test_the_version_is_that_of_the_library():
    assert forkless.__version__.count(".") == 2


def test_what_a_killed_manager_kept_is_gone_and_nobody_waits_for_it(context):
    manager = context.Manager()
    proxy = manager.list([1, 2])
    assert list(proxy) == [1, 2]
    manager._process.kill()
    manager._process.join(30)
    with pytest.raises((OSError, EOFError)):
        len(proxy)
    with pytest.raises((OSError, EOFError)):  # nor by a new connection
        manager.list()


def test_a_manager_may_have_been_imported_before(scripts):
    assert scripts.check(
        """
        import multiprocessing, multiprocessing.managers, forkless

        if __name__ == '__main__':
            for name in 'spawn', 'fork':
                forkless.install()
                with multiprocessing.get_context(name).Manager() as manager:
                    with manager.Lock(), manager.Condition():
                        print(manager.Queue().empty(), manager.list([name]))
                forkless.uninstall()
                import threading
                print(type(threading.Lock).__module__ != 'forkless.personality.mutexes')
        """
    ) == ["True ['spawn']", "True", "True ['fork']", "True"]
