# SPDX-License-Identifier: Apache-2.0
"""Ending simulated processes: whatever they do, their exit is published at once and they unwind."""

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import queue
import signal
import threading
import time

import pytest

from forkless import _core
from support.scripts import eventually


def loop(tools):
    while True:
        pass


def sleep(tools):
    time.sleep(60)


def get(tools):
    tools.items.get()


def get_with_timeout(tools):
    tools.items.get(timeout=60)


def get_simply(tools):
    tools.simple.get()


def put(tools):
    tools.full.put(2)


def acquire(tools):
    tools.taken.acquire()


def acquire_with_timeout(tools):
    tools.taken.acquire(timeout=60)


def wait_for_event(tools):
    tools.event.wait()


def wait_for_condition(tools):
    with tools.condition:
        tools.condition.wait(60)


def join_tasks(tools):
    tools.tasks.join()


def join_child(tools):
    child = tools.context.Process(target=time.sleep, args=(60,), daemon=True)
    child.start()
    try:
        child.join()
    finally:
        child.kill()


def leave_a_child_running(tools):
    tools.context.Process(target=time.sleep, args=(0.3,)).start()  # joined on the way out


def wait_with_a_helper(tools):
    helper = threading.Thread(target=time.sleep, args=(60,))
    helper.start()
    helper.join()


def wait_for_a_helper_on_the_way_out(tools):
    threading.Thread(target=time.sleep, args=(60,)).start()


STUBBORN, RELEASED = threading.Event(), threading.Event()  # actors share the globals of modules


def stubborn(tools):
    while not RELEASED.is_set():
        try:
            STUBBORN.set()
            time.sleep(60)
        except:  # noqa: E722  (the worst that a program can do)
            pass


def stubborn_in_get(tools):
    while not RELEASED.is_set():
        try:
            STUBBORN.set()
            tools.items.get()
        except BaseException:
            pass


WAYS = [
    loop,
    sleep,
    get,
    get_with_timeout,
    get_simply,
    put,
    acquire,
    acquire_with_timeout,
    wait_for_event,
    wait_for_condition,
    join_tasks,
    join_child,
    leave_a_child_running,
    wait_with_a_helper,
    wait_for_a_helper_on_the_way_out,
]


class Tools:
    """What processes wait for: nothing of it ever comes."""

    def __init__(self, context):
        self.context = context
        self.ready = context.Semaphore(0)
        self.ended = context.Semaphore(0)
        self.items, self.simple = context.Queue(), context.SimpleQueue()
        self.full, self.tasks = context.Queue(1), context.JoinableQueue()
        self.full.put(1)
        self.tasks.put(1)
        self.taken = context.Lock()
        self.taken.acquire()
        self.event, self.condition = context.Event(), context.Condition()


def run(tools, way):
    try:
        tools.ready.release()
        way(tools)
    finally:
        tools.ended.release()


@pytest.fixture
def tools(actors):
    return Tools(actors)


def start(tools, way):
    process = tools.context.Process(target=run, args=(tools, way))
    process.start()
    assert tools.ready.acquire(timeout=30)
    return process


@pytest.mark.parametrize("how", ["terminate", "kill"])
@pytest.mark.parametrize("way", WAYS)
def test_a_process_ends_at_once(tools, way, how):
    process = start(tools, way)
    time.sleep(0.02)  # into the wait
    getattr(process, how)()
    assert process.exitcode == {"terminate": -signal.SIGTERM, "kill": -signal.SIGKILL}[how]
    assert multiprocessing.connection.wait([process.sentinel], 30) == [process.sentinel]
    assert tools.ended.acquire(timeout=30)  # its finally block runs
    assert eventually(lambda: _core.counters()["orphans"] == 0)


def test_a_killed_waiter_leaves_condition_and_event_usable(tools):
    process = start(tools, wait_for_condition)
    other = start(tools, wait_for_event)
    time.sleep(0.05)
    tools.condition.acquire()  # the waiter has to get it back before it can unwind
    process.kill()
    other.kill()
    assert process.exitcode == other.exitcode == -signal.SIGKILL
    tools.condition.release()
    assert eventually(lambda: _core.counters()["orphans"] == 0)
    with tools.condition:
        tools.condition.notify_all()
        assert tools.condition.wait(0.01) is False
    tools.event.set()
    assert tools.event.is_set() and tools.event.wait(1)
    assert not tools.condition._lock._semlock._is_mine()


def test_killed_waiters_do_not_take_notices_from_others(tools):
    """Unlike real processes, where a killed waiter is waited for by the next notify()."""
    killed = [start(tools, wait_for_condition) for _ in range(3)]
    time.sleep(0.05)
    for process in killed:
        process.kill()
    assert eventually(lambda: _core.counters()["orphans"] == 0)
    noticed = tools.context.Queue()
    waiter = tools.context.Process(target=wait_and_tell, args=(tools.condition, noticed))
    waiter.start()
    assert noticed.get(timeout=30) == "waiting"
    with tools.condition:
        tools.condition.notify_all()
    assert noticed.get(timeout=30) is True
    waiter.join(30)


def wait_and_tell(condition, noticed):
    with condition:
        noticed.put("waiting")
        noticed.put(condition.wait(60))


@pytest.mark.parametrize("way", [stubborn, stubborn_in_get])
def test_a_bare_except_cannot_keep_a_process_in_a_wait(tools, way):
    """It goes on running, but no wait of forkless lets it rest; the parent is not concerned."""
    RELEASED.clear()
    STUBBORN.clear()
    process = start(tools, way)
    try:
        assert STUBBORN.wait(30)
        process.kill()
        assert process.exitcode == -signal.SIGKILL
        assert not process.is_alive()
        time.sleep(0.05)
        assert _core.counters()["orphans"] == 1
    finally:
        RELEASED.set()
    assert eventually(lambda: _core.counters()["orphans"] == 0)


def test_ending_a_process_before_its_thread_runs(actors):
    for _ in range(200):
        process = actors.Process(target=time.sleep, args=(60,))
        process.start()
        process.kill()
        process.join(30)
        assert process.exitcode == -signal.SIGKILL
    assert eventually(lambda: _core.counters()["orphans"] == 0)


def test_ending_processes_at_any_moment_of_their_lives(actors, capfd):
    for delay in range(150):
        process = actors.Process(target=print, args=("x" * 10,), kwargs={"end": ""})
        process.start()
        for _ in range(delay * 20):
            pass
        process.terminate()
        process.join(30)
        assert process.exitcode in (0, -signal.SIGTERM)
    assert eventually(lambda: _core.counters()["orphans"] == 0)
    assert capfd.readouterr().err == ""


def test_items_are_not_lost_when_readers_are_killed(actors):
    """A killed reader has either taken an item and passed it on, or left it."""
    items, results = actors.Queue(), actors.Queue()
    for i in range(300):
        items.put(i)
    while not items.empty():
        reader = actors.Process(target=pass_on, args=(items, results))
        reader.start()
        time.sleep(0.001)
        reader.kill()
        reader.join(30)
    assert eventually(lambda: _core.counters()["orphans"] == 0)
    seen = []
    with pytest.raises(queue.Empty):
        while True:
            seen.append(results.get_nowait())
    assert len(seen) == len(set(seen)) and set(seen) <= set(range(300))
    assert len(seen) >= 100  # one at most goes with each reader


def pass_on(items, results):
    while True:
        results.put(items.get())


def read_for_ever(fd, ready):
    ready.set()
    ctypes.CDLL(None).read(fd, ctypes.create_string_buffer(1), 1)


def test_a_process_in_foreign_code_is_counted_as_an_orphan_until_that_returns(actors):
    read, write = os.pipe()
    ready = actors.Event()
    process = actors.Process(target=read_for_ever, args=(read, ready))
    process.start()
    assert ready.wait(30)
    time.sleep(0.02)
    process.terminate()
    assert process.exitcode == -signal.SIGTERM
    process.join(30)
    assert multiprocessing.active_children() == []
    assert _core.counters()["orphans"] == 1 and _core.counters()["live"] == 0
    os.write(write, b"x")
    assert eventually(lambda: _core.counters()["orphans"] == 0)
    os.close(read)
    os.close(write)


def test_an_orphan_does_not_keep_the_interpreter_from_its_end(scripts):
    assert scripts.check(
        """
        import ctypes, multiprocessing, os, time, forkless
        from forkless import _core

        def stuck(fd, ready):
            while True:
                try:
                    ready.set()
                    ctypes.CDLL(None).pause()
                except BaseException:
                    pass

        def stubborn(fd, ready):
            while True:
                try:
                    ready.set()
                    time.sleep(60)
                except BaseException:
                    pass

        context = multiprocessing.get_context('actor')
        for target in (stuck, stubborn):
            ready = context.Event()
            process = context.Process(target=target, args=(os.pipe()[0], ready))
            process.start()
            ready.wait(30)
            process.terminate()
            process.join(30)
            print(process.exitcode)
        print(_core.counters()['orphans'])
        """,
        limit=30,
    ) == ["-15", "-15", "2"]


@pytest.mark.parametrize("daemon", [True, False])
def test_the_interpreter_waits_for_children_and_ends_daemons(scripts, daemon):
    lines = scripts.check(
        f"""
        import multiprocessing, time, forkless

        def work(seconds):
            try:
                print('working', flush=True)
                time.sleep(seconds)
                print('done', flush=True)
            finally:
                print('unwound', flush=True)

        context = multiprocessing.get_context('actor')
        ready = context.Event()
        process = context.Process(target=work, args=({60 if daemon else 0.3},), daemon={daemon})
        process.start()
        time.sleep(0.2)
        """,
        limit=30,
    )
    assert lines[0] == "working"
    assert ("done" in lines) is not daemon


def test_the_end_of_the_main_program_by_an_exception(scripts):
    result = scripts.run(
        """
        import multiprocessing, time, forkless
        context = multiprocessing.get_context('actor')
        context.Process(target=time.sleep, args=(60,), daemon=True).start()
        raise SystemExit(4)
        """,
        limit=30,
    )
    assert (result.returncode, result.stderr) == (4, "")
