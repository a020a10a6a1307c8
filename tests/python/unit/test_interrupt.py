# SPDX-License-Identifier: Apache-2.0
"""Real signals to the real process, while it waits for simulated ones."""

import signal

import pytest

WAIT = """
import multiprocessing, os, signal, sys, threading, time, forkless

context = multiprocessing.get_context('actor')
event, queue, lock = context.Event(), context.Queue(), context.Lock()
full, condition, semaphore = context.Queue(1), context.Condition(), context.Semaphore(0)
full.put(1)
lock.acquire()

def sleep(started):
    os.setsid()  # out of the group that an interrupt reaches
    started.set()
    time.sleep(300)

started = context.Event()
process = context.Process(target=sleep, args=(started,), daemon=True)
process.start()
started.wait()

{before}
try:
    print('ready', flush=True)
    {wait}
    print('not interrupted')
except KeyboardInterrupt:
    print('interrupted', process.is_alive(), flush=True)
    {after}
"""

WAITS = {
    "join": "process.join()",
    "join with a timeout": "process.join(300)",
    "get": "queue.get()",
    "get with a timeout": "queue.get(timeout=300)",
    "put": "full.put(2)",
    "acquire": "lock.acquire()",
    "acquire with a timeout": "lock.acquire(timeout=300)",
    "with": "with lock: pass",
    "semaphore": "semaphore.acquire()",
    "event": "event.wait()",
    "condition": "condition.acquire(); condition.wait(300)",
    "sleep": "time.sleep(300)",
    "sentinel": "multiprocessing.connection.wait([process.sentinel], 300)",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_ctrl_c_interrupts_the_main_thread_in_a_wait(scripts, wait):
    source = WAIT.format(before="import multiprocessing.connection", wait=wait, after="sys.exit(3)")
    status, output, seconds = scripts.interrupt(source)
    assert (status, output) == (3, "interrupted True\n")
    assert seconds < 20


def test_ctrl_c_ends_a_program_that_does_not_catch_it(scripts):
    source = WAIT.format(before="", wait="process.join()", after="raise")
    status, output, seconds = scripts.interrupt(source)
    assert status == -signal.SIGINT
    assert "Traceback" in output and output.rstrip().endswith("KeyboardInterrupt")
    assert seconds < 20


def test_sigterm_ends_the_real_process(scripts):
    source = WAIT.format(before="", wait="queue.get()", after="pass")
    status, output, _ = scripts.interrupt(source, signal.SIGTERM)
    assert (status, output) == (-signal.SIGTERM, "")


def test_a_handler_that_returns_does_not_end_a_wait(scripts):
    source = WAIT.format(
        before="signal.signal(signal.SIGUSR1, lambda *args: threading.Timer(0.1, queue.put, [1]).start())",
        wait="print(queue.get(), flush=True)",
        after="pass",
    )
    status, output, _ = scripts.interrupt(source, signal.SIGUSR1)
    assert (status, output) == (0, "1\nnot interrupted\n")


def test_a_handler_of_the_real_process_runs_in_its_main_thread(scripts):
    source = """
import multiprocessing, os, signal, threading, time, forkless

seen = []

def handler(signum, frame):
    seen.append((os.getpid() == real, threading.current_thread() is threading.main_thread()))

def spin(event):
    while not event.is_set():
        time.sleep(0)

real = os.getpid()
signal.signal(signal.SIGUSR1, handler)
context = multiprocessing.get_context('actor')
event = context.Event()
process = context.Process(target=spin, args=(event,))
process.start()
print('ready', flush=True)
for _ in range(3000):
    if seen:
        break
    process.join(0.01)
event.set()
process.join()
print(seen, process.exitcode)
"""
    status, output, _ = scripts.interrupt(source, signal.SIGUSR1)
    assert (status, output) == (0, "[(True, True)] 0\n")


def test_an_actor_does_not_see_the_signals_of_the_real_process(scripts):
    """Signals go to the real process; what it does about its children is its affair."""
    source = """
import multiprocessing, os, signal, time, forkless

def handle(queue):
    signal.signal(signal.SIGUSR1, lambda *args: queue.put('actor'))
    print('ready', flush=True)
    time.sleep(1)

context = multiprocessing.get_context('actor')
queue = context.Queue()
signal.signal(signal.SIGUSR1, lambda *args: queue.put('real'))
process = context.Process(target=handle, args=(queue,))
process.start()
process.join()
print(queue.get(timeout=30), queue.empty())
"""
    status, output, _ = scripts.interrupt(source, signal.SIGUSR1)
    assert (status, output) == (0, "real True\n")
