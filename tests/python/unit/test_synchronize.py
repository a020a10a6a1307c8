# SPDX-License-Identifier: Apache-2.0
"""forkless.synchronize: locks, semaphores, conditions and events, under every start method."""

import itertools
import multiprocessing
import os
import pickle
import threading
import time
import types

import pytest

from forkless import _core
from support.scripts import eventually


def add(lock, box, count):
    for _ in range(count):
        with lock:
            value = box.get()
            if value % 16 == 0:
                time.sleep(0)
            box.put(value + 1)


@pytest.mark.parametrize("name", ["Lock", "RLock", "Semaphore", "BoundedSemaphore"])
def test_only_one_process_is_inside(context, name):
    lock, box = getattr(context, name)(), context.SimpleQueue()
    box.put(0)
    processes = [context.Process(target=add, args=(lock, box, 100)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert box.get() == 400
    assert box.empty()


def take(lock, arrived, leave):
    with lock:
        arrived.set()
        leave.wait(60)


@pytest.fixture
def taken(context):
    """A lock that another process holds, and the event that lets it go."""
    lock, arrived, leave = context.Lock(), context.Event(), context.Event()
    process = context.Process(target=take, args=(lock, arrived, leave))
    process.start()
    assert arrived.wait(30)
    yield lock, leave
    leave.set()
    process.join(30)


def test_acquire_without_blocking_says_no(taken):
    lock, leave = taken
    assert lock.acquire(False) is False
    assert lock.acquire(block=False) is False
    assert lock.acquire(timeout=0) is False
    assert lock.acquire(timeout=-1) is False
    leave.set()
    assert lock.acquire(timeout=30) is True
    lock.release()


def test_acquire_waits_until_the_timeout(taken):
    lock, _ = taken
    since = time.monotonic()
    assert lock.acquire(timeout=0.2) is False
    assert time.monotonic() - since >= 0.2


def test_a_lock_released_too_often_is_an_error(context):
    lock = context.Lock()
    with pytest.raises(ValueError, match="released too many times"):
        lock.release()
    with lock:
        pass
    with pytest.raises(ValueError, match="released too many times"):
        lock.release()
    assert lock.acquire(False) and not lock.acquire(False)


def test_a_lock_may_be_released_by_another_process(context):
    lock = context.Lock()
    lock.acquire()
    process = context.Process(target=release, args=(lock,))
    process.start()
    assert lock.acquire(timeout=30)
    process.join(30)
    assert process.exitcode == 0


def release(lock):
    lock.release()


def release_in_vain(lock, answers):
    try:
        lock.release()
    except AssertionError as error:
        answers.put(str(error))
    answers.put(lock.acquire(False))


def test_a_recursive_lock_belongs_to_its_owner(context):
    lock, answers = context.RLock(), context.SimpleQueue()
    assert lock.acquire() and lock.acquire(False)
    process = context.Process(target=release_in_vain, args=(lock, answers))
    process.start()
    process.join(30)
    assert answers.get() == "attempt to release recursive lock not owned by thread"
    assert answers.get() is False
    lock.release()
    lock.release()
    with pytest.raises(AssertionError, match="not owned by thread"):
        lock.release()


def test_a_recursive_lock_is_free_after_as_many_releases(context):
    lock, answers = context.RLock(), context.SimpleQueue()
    for _ in range(3):
        lock.acquire()
    for _ in range(3):
        lock.release()
    process = context.Process(target=try_to_acquire, args=(lock, answers))
    process.start()
    process.join(30)
    assert answers.get() is True


def try_to_acquire(lock, answers):
    answers.put(lock.acquire(False))


def test_a_semaphore_counts(context):
    semaphore = context.Semaphore(2)
    assert semaphore.get_value() == 2
    assert semaphore.acquire() and semaphore.acquire()
    assert not semaphore.acquire(False) and semaphore.get_value() == 0
    for _ in range(3):
        semaphore.release()
    assert semaphore.get_value() == 3


def test_a_bounded_semaphore_refuses_more_than_its_initial_value(context):
    semaphore = context.BoundedSemaphore(2)
    with pytest.raises(ValueError, match="released too many times"):
        semaphore.release()
    semaphore.acquire()
    semaphore.release()
    assert semaphore.get_value() == 2


def test_semaphores_refuse_a_negative_value(context):
    for make in (context.Semaphore, context.BoundedSemaphore):
        with pytest.raises((ValueError, OSError)):
            make(-1)


def wait_for_notice(condition, waiting, results, timeout):
    with condition:
        waiting.release()
        results.put(condition.wait(timeout))


def test_notify_wakes_one_and_notify_all_the_rest(context):
    condition, waiting, results = context.Condition(), context.Semaphore(0), context.Queue()
    processes = [
        context.Process(target=wait_for_notice, args=(condition, waiting, results, 60))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for _ in processes:
        assert waiting.acquire(timeout=30)
    with condition:
        condition.notify()
    assert results.get(timeout=30) is True
    time.sleep(0.1)
    assert results.empty()
    with condition:
        condition.notify_all()
    assert [results.get(timeout=30) for _ in range(3)] == [True] * 3
    for process in processes:
        process.join(30)


def test_wait_without_a_notice_is_false_after_the_timeout(context):
    condition = context.Condition()
    with condition:
        since = time.monotonic()
        assert condition.wait(0.2) is False
        assert time.monotonic() - since >= 0.2


def fill(condition, box, count):
    for i in range(count):
        with condition:
            box.put(i)
            condition.notify()


def test_wait_for_waits_until_the_predicate_holds(context):
    condition, box = context.Condition(), context.Queue()
    process = context.Process(target=fill, args=(condition, box, 5))
    with condition:
        process.start()
        assert condition.wait_for(lambda: box.qsize() == 5, timeout=30) is True
        assert condition.wait_for(lambda: False, timeout=0.05) is False
    process.join(30)


def test_a_condition_wants_its_lock(context):
    condition = context.Condition()
    with pytest.raises(AssertionError, match="must acquire"):
        condition.wait(0)
    with pytest.raises(AssertionError, match="lock is not owned"):
        condition.notify()


def test_a_condition_takes_a_lock_of_its_makers(context):
    lock = context.Lock()
    condition = context.Condition(lock)
    with condition:
        assert not lock.acquire(False)
        assert condition.wait(0.01) is False
    assert lock.acquire(False)


def wait_for_event(event, results, timeout):
    results.put(event.wait(timeout))


def test_an_event_wakes_all_who_wait(context):
    event, results = context.Event(), context.Queue()
    assert not event.is_set() and event.wait(0) is False
    processes = [
        context.Process(target=wait_for_event, args=(event, results, 60)) for _ in range(3)
    ]
    for process in processes:
        process.start()
    time.sleep(0.05)
    assert results.empty()
    event.set()
    assert [results.get(timeout=30) for _ in processes] == [True] * 3
    assert event.is_set() and event.wait(0) is True
    event.clear()
    assert not event.is_set() and event.wait(0.01) is False
    for process in processes:
        process.join(30)


@pytest.mark.parametrize(
    "name", ["Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition", "Event"]
)
def test_a_lock_cannot_be_pickled_by_the_way(context, name):
    with pytest.raises(RuntimeError, match="should only be shared between processes"):
        pickle.dumps(getattr(context, name)())


def test_the_names_of_locks_tell_who_holds_them(context):
    lock = context.RLock()
    assert repr(lock) == "<RLock(None, 0)>"
    with lock, lock:
        assert repr(lock) == "<RLock(MainProcess, 2)>"
    lock = context.Lock()
    assert repr(lock) == "<Lock(owner=None)>"
    with lock:
        assert repr(lock) == "<Lock(owner=MainProcess)>"
    assert repr(context.Semaphore(3)) == "<Semaphore(value=3)>"
    assert repr(context.BoundedSemaphore(3)) == "<BoundedSemaphore(value=3, maxvalue=3)>"


def acquire_and_end(lock, how):
    lock.acquire()
    if how == "exit":
        os._exit(0)
    time.sleep(60)


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_lock_held_by_a_process_that_ends_stays_locked(context, how):
    """As with real processes: nobody knows what the lock protected was left like."""
    lock = context.Lock()
    process = context.Process(target=acquire_and_end, args=(lock, how))
    process.start()
    assert eventually(lambda: lock._semlock._is_zero())
    process.kill()
    process.join(30)
    assert lock.acquire(timeout=0.05) is False
    lock.release()


def test_threads_of_one_process_exclude_each_other(actors):
    lock, inside, most = actors.RLock(), [], []

    def enter():
        for _ in range(200):
            with lock:
                inside.append(1)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert max(most) == 1 and len(most) == 800


def test_locks_of_a_context_are_those_of_the_module_after_install(installed):
    from forkless import synchronize

    assert type(multiprocessing.Lock()) is synchronize.Lock
    assert type(multiprocessing.get_context("spawn").Event()) is synchronize.Event


def hold(lock, held, go_on):
    with lock:
        held.put(repr(lock))
        go_on.acquire()


@pytest.mark.parametrize("kind", ["Lock", "RLock"])
def test_a_lock_names_its_owner_to_the_owner_only(context, kind):
    lock = getattr(context, kind)()
    held, go_on = context.SimpleQueue(), context.Semaphore(0)
    process = context.Process(target=hold, args=(lock, held, go_on), name="Owner")
    process.start()
    assert "Owner" in held.get()
    assert "SomeOtherProcess" in repr(lock)
    go_on.release()
    process.join(30)
    assert "None" in repr(lock)
    thread = threading.Thread(target=hold, args=(lock, held, go_on))
    thread.start()
    assert "MainProcess|" in held.get()
    assert "SomeOtherThread" in repr(lock)
    go_on.release()
    thread.join(30)


class Thrown(BaseException):
    """May stand in the place of a lock."""


class ThrowingLock:
    """Has something thrown at its process in the very call that takes the lock by `with`.

    All of that happens in C: asking for `_lock` throws, once, and returns what was thrown.
    """

    __enter__ = _core.with_enter
    __exit__ = _core.with_exit

    def __init__(self, lock, process):
        self._semlock = lock
        error = Thrown()
        error._semlock = lock
        type(self)._lock = property(
            types.MethodType(next, itertools.filterfalse(process.throw, [error]))
        )


def enter_when_something_is_thrown(lock, reached):
    try:
        with ThrowingLock(lock._semlock, _core.current()):
            while True:  # before 3.14 this is where it is raised first
                pass
    except Thrown:
        reached.put("thrown")


@pytest.mark.parametrize("kind", ["Lock", "RLock", "BoundedSemaphore"])
def test_what_is_thrown_between_the_lock_and_the_block_gives_the_lock_back(actors, kind):
    lock, reached = getattr(actors, kind)(), actors.SimpleQueue()
    process = actors.Process(target=enter_when_something_is_thrown, args=(lock, reached))
    process.start()
    process.join(30)
    assert process.exitcode == 0 and reached.get() == "thrown" and reached.empty()
    assert lock.acquire(timeout=0)
    lock.release()
