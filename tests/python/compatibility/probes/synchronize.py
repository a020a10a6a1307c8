# SPDX-License-Identifier: Apache-2.0
"""Locks, semaphores, conditions, events and barriers."""

import multiprocessing
import pickle
import threading
from multiprocessing import synchronize

from probing import LIMIT, child, in_child, outcome, probe, until

M = "multiprocessing"
L = "multiprocessing.synchronize"


def try_to_acquire(lock):
    acquired = lock.acquire(False)
    if acquired:
        lock.release()
    return acquired


@probe(
    f"{M}.{{Lock,RLock}}",
    f"{L}.{{Lock,RLock}}",
    f"{L}.Lock.{{acquire,release}}",
    f"{L}.RLock.{{acquire,release}}",
)
def locks_exclude_other_processes():
    seen = []
    for lock in (multiprocessing.Lock(), multiprocessing.RLock()):
        with lock:
            seen += [in_child(try_to_acquire, lock), lock.acquire(timeout=0.01)]
            if seen[-1]:
                lock.release()
        seen += [in_child(try_to_acquire, lock), outcome(lock.release)]
        seen.append(isinstance(lock, (synchronize.Lock, synchronize.RLock)))
    return seen


def count(lock, total, times):
    for _ in range(times):
        with lock:
            total.value += 1


@probe(f"{L}.Lock")
def no_increment_is_lost():
    lock, total = multiprocessing.Lock(), multiprocessing.Value("i", 0, lock=False)
    for process in [child(count, lock, total, 200) for _ in range(3)]:
        process.join(LIMIT)
    return total.value


def release(lock):
    lock.release()


@probe(f"{L}.Lock.release", f"{L}.RLock.release")
def who_may_release():
    lock, rlock = multiprocessing.Lock(), multiprocessing.RLock()
    lock.acquire(), rlock.acquire(), rlock.acquire()
    return in_child(release, lock), lock.acquire(False), in_child(release, rlock)


@probe(f"{L}.Lock.locked", f"{L}.RLock.locked", since=(3, 14))
def whether_it_is_locked():
    seen = []
    for lock in (multiprocessing.Lock(), multiprocessing.RLock()):
        with lock:
            seen.append(lock.locked())
        seen.append(lock.locked())
    return seen


@probe(
    f"{M}.{{Semaphore,BoundedSemaphore}}",
    f"{L}.{{Semaphore,BoundedSemaphore}}",
    f"{L}.Semaphore.{{acquire,release}}",
    f"{L}.BoundedSemaphore.{{acquire,release}}",
)
def semaphores():
    seen = []
    for semaphore in (multiprocessing.Semaphore(2), multiprocessing.BoundedSemaphore(2)):
        seen += [semaphore.acquire(), in_child(try_to_acquire, semaphore), semaphore.acquire()]
        seen += [
            in_child(try_to_acquire, semaphore),
            semaphore.acquire(False),
            semaphore.get_value(),
        ]
        semaphore.release(), semaphore.release()
        seen += [outcome(semaphore.release), semaphore.get_value()]
        seen.append(isinstance(semaphore, synchronize.Semaphore))
    return seen, issubclass(synchronize.BoundedSemaphore, synchronize.Semaphore)


def wait_in(condition, ready, done):
    with condition:
        ready.release()
        done.put(condition.wait(LIMIT))


@probe(
    f"{M}.Condition",
    f"{L}.Condition",
    f"{L}.Condition.{{acquire,release,wait,wait_for,notify,notify_all}}",
)
def conditions():
    condition, ready = multiprocessing.Condition(), multiprocessing.Semaphore(0)
    done = multiprocessing.Queue()
    processes = [child(wait_in, condition, ready, done) for _ in range(3)]
    for _ in processes:
        ready.acquire()
    with condition:
        condition.notify()
    first = done.get(timeout=LIMIT)
    condition.acquire()
    condition.notify_all()
    condition.release()
    others = [done.get(timeout=LIMIT) for _ in range(2)]
    for process in processes:
        process.join(LIMIT)
    with condition:
        late = (
            condition.wait(0.01),
            condition.wait_for(lambda: True, 1),
            condition.wait_for(list, 0.01),
        )
    return (
        first,
        others,
        late,
        outcome(condition.notify),
        isinstance(condition, synchronize.Condition),
    )


def wait_event(event):
    return event.wait(LIMIT)


@probe(f"{M}.Event", f"{L}.Event", f"{L}.Event.{{set,clear,is_set,wait}}")
def events():
    event = multiprocessing.Event()
    before = event.is_set(), event.wait(0.01)
    threading.Timer(0.01, event.set).start()
    seen = in_child(wait_event, event), event.is_set()
    event.clear()
    return before, seen, event.is_set(), isinstance(event, synchronize.Event)


def meet(barrier, places):
    places.put(barrier.wait(LIMIT))


def break_it(barrier):
    return outcome(barrier.wait, LIMIT)


@probe(f"{M}.Barrier", f"{L}.Barrier", f"{L}.Barrier.{{wait,abort,reset,broken,n_waiting,parties}}")
def barriers():
    barrier, places = multiprocessing.Barrier(3), multiprocessing.Queue()
    processes = [child(meet, barrier, places) for _ in range(2)]
    until(lambda: barrier.n_waiting == 2)
    seen = [places.get(timeout=LIMIT) for _ in range(2)] if barrier.wait(LIMIT) is None else []
    order = sorted(places.get(timeout=LIMIT) for _ in range(2)), len(seen)
    for process in processes:
        process.join(LIMIT)
    before = barrier.broken
    barrier.abort()
    broken = barrier.broken, in_child(break_it, barrier)
    barrier.reset()
    return (
        len(order),
        before,
        broken,
        barrier.broken,
        barrier.n_waiting,
        barrier.parties,
        isinstance(barrier, synchronize.Barrier),
    )


@probe(f"{L}.{{Lock,Semaphore,Event}}")
def pickling_a_lock():
    return [
        outcome(pickle.dumps, made()).split(" ")[0]
        for made in (multiprocessing.Lock, multiprocessing.Semaphore, multiprocessing.Event)
    ]


def hold(lock, held):
    lock.acquire()
    held.set()
    multiprocessing.Event().wait(LIMIT)


@probe(f"{L}.Lock")
def the_lock_of_a_killed_process():
    lock, held = multiprocessing.Lock(), multiprocessing.Event()
    process = child(hold, lock, held)
    held.wait(LIMIT)
    process.kill()
    process.join(LIMIT)
    return lock.acquire(timeout=0.05)
