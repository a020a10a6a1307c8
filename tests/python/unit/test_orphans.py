# SPDX-License-Identifier: Apache-2.0
"""Processes that have ended while threads of them still run: they are counted and named, and keep
nobody from exiting."""

import os
import signal
import threading
import time

import pytest

import forkless
from forkless import _core
from support.scripts import eventually

GATE = threading.Event()


def swallow_everything(ready):
    """Twice, because what is thrown may be raised between two waits as well. Ready inside of both."""
    to_tell = [ready]
    while not GATE.is_set():
        try:
            while not GATE.is_set():
                try:
                    while to_tell:
                        to_tell.pop().release()
                    time.sleep(60)
                except BaseException:
                    pass
        except BaseException:
            pass


def helper_that_swallows_everything(ready):
    threading.Thread(target=swallow_everything, args=(ready,), daemon=True).start()
    time.sleep(60)


@pytest.fixture
def gate():
    GATE.clear()
    yield GATE
    GATE.set()


@pytest.mark.parametrize("target", [swallow_everything, helper_that_swallows_everything])
def test_an_orphan_is_named(actors, gate, target):
    assert forkless.orphans() == []
    ready = actors.Semaphore(0)
    process = actors.Process(target=target, args=(ready,), name="stubborn")
    process.start()
    assert ready.acquire(timeout=30)
    before = time.time()
    process.kill()
    process.join()
    assert eventually(lambda: len(forkless.orphans()) == 1 and not orphan_of_main_thread(target))
    (orphan,) = forkless.orphans()
    assert (orphan.name, orphan.pid, orphan.exitcode) == ("stubborn", process.pid, -signal.SIGKILL)
    assert before <= orphan.since <= time.time()
    assert "swallow_everything" in orphan.stacks[-1]
    assert f"stubborn (pid {process.pid}) has ended with -9 at " in str(orphan)
    gate.set()
    assert eventually(lambda: forkless.orphans() == [])


def orphan_of_main_thread(target):
    """Whether the process is still on its way, where only a helper is to be left."""
    return target is helper_that_swallows_everything and _core.counters()["orphans"] == 1


STUCK = """
import ctypes, multiprocessing, os, signal, sys, threading, time, forkless
from forkless import _core

libc = ctypes.CDLL(None)

def stuck(ready):
    ready.put(threading.get_native_id())
    libc.CALL

def asleep(thread):
    with open(f'/proc/self/task/{thread}/stat') as file:
        return file.read().rpartition(')')[2].split()[0] == 'S'

def stuck_in_a_helper(ready):
    threading.Thread(target=stuck, args=(ready,), daemon=DAEMON).start()
    time.sleep(60)

context = multiprocessing.get_context('actor')
ready = context.Queue()
until = time.monotonic() + 20
for target in (stuck, stuck_in_a_helper):
    process = context.Process(target=target, args=(ready,), name=target.__name__)
    process.start()
    thread = ready.get()
    for _ in range(3):  # in foreign code, and not on the way there
        time.sleep(0.001)
        while not asleep(thread) and time.monotonic() < until:
            time.sleep(0.001)
    process.kill()
    process.join()
while _core.counters()['orphans'] > 1 and time.monotonic() < until:
    time.sleep(0.001)
print(_core.counters()['orphans'], [orphan.name for orphan in forkless.orphans()])
print(all('libc.CALL' in ''.join(orphan.stacks) for orphan in forkless.orphans()))
"""


@pytest.mark.parametrize("daemon", [True, False])
@pytest.mark.parametrize("call", ["sleep(60)", "pause()"])
def test_orphans_in_foreign_code_do_not_keep_the_interpreter(scripts, call, daemon):
    source = STUCK.replace("CALL", call).replace("DAEMON", str(daemon))
    assert scripts.check(source, limit=40) == ["1 ['stuck', 'stuck_in_a_helper']", "True"]


# The moment of the end


def hold(lock, ready):
    with lock:
        ready.release()
        time.sleep(60)


@pytest.mark.parametrize("kind", ["Lock", "RLock", "Semaphore", "Condition"])
def test_who_is_ended_in_a_with_block_leaves_it(actors, kind):
    """A thread unwinds where a process would be gone: what it holds is given back."""
    lock, ready = getattr(actors, kind)(), actors.Semaphore(0)
    process = actors.Process(target=hold, args=(lock, ready))
    process.start()
    assert ready.acquire(timeout=30)
    process.kill()
    process.join()
    assert lock.acquire(timeout=30)
    lock.release()


STEPS = []  # processes share the globals of modules; one that was ended can send nothing


def finish(ready):
    try:
        ready.release()
        time.sleep(60)
    finally:
        STEPS.append("begun")
        for _ in range(1000):
            pass
        STEPS.append("finished")


def test_a_finally_block_runs_to_its_end_however_often_the_process_is_ended(actors):
    STEPS.clear()
    ready = actors.Semaphore(0)
    process = actors.Process(target=finish, args=(ready,))
    process.start()
    assert ready.acquire(timeout=30)
    ways = [process.terminate, process.kill] * 4
    threads = [threading.Thread(target=way) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    process.terminate()
    assert process.exitcode in (-signal.SIGTERM, -signal.SIGKILL)
    assert eventually(lambda: _core.counters()["orphans"] == 0)
    assert STEPS == ["begun", "finished"]


def end_myself(how):
    import multiprocessing

    try:
        os.kill(multiprocessing.current_process().pid, how)
    finally:
        time.sleep(0)
    raise AssertionError("it goes on")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_ends_itself(actors, how):
    process = actors.Process(target=end_myself, args=(how,))
    process.start()
    process.join(30)
    assert process.exitcode == -how


def test_a_process_that_was_not_started_cannot_be_ended(actors):
    process = actors.Process(target=time.sleep, args=(60,))
    for way in (process.terminate, process.kill):
        with pytest.raises(AttributeError):  # as in the standard library
            way()
    process.start()
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
