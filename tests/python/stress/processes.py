# SPDX-License-Identifier: Apache-2.0
"""Storms of processes that are started, nested, joined, signalled, terminated and killed, by several
parents at once: exit codes are what they must be, and pids never come twice."""

import multiprocessing
import os
import pathlib
import signal
import sys
import threading
import time
from multiprocessing.connection import wait

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import stress

PARENTS = 3
MISSED = -signal.SIGTERM, -signal.SIGKILL
pids: set[int] = set()
pids_lock = threading.Lock()


def note_pid():
    with pids_lock:
        stress.check(os.getpid() not in pids, f"pid {os.getpid()} came twice")
        pids.add(os.getpid())


def idle():
    note_pid()
    while True:
        time.sleep(60)


def spin():
    note_pid()
    while True:
        pass


def exits(code):
    note_pid()
    sys.exit(code)


def nests(numbers_of):
    note_pid()
    numbers = stress.numbers("nested", numbers_of)
    children = [
        multiprocessing.Process(target=exits, args=(numbers.randrange(5),)) for _ in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(sum(child.exitcode for child in children))


def with_threads():
    """Ends while threads of its own run, which go with it."""
    note_pid()
    for target in (time.sleep, threading.Event().wait):
        threading.Thread(target=target, args=(60,), daemon=True).start()


def handles(ready):
    note_pid()
    got = threading.Event()
    signal.signal(signal.SIGUSR1, lambda *_: got.set())
    ready.set()
    while not got.is_set():
        time.sleep(0.001)
    sys.exit(7)


def nested_sum(seed):
    numbers = stress.numbers("nested", seed)
    return sum(numbers.randrange(5) for _ in range(2))


def one(context, numbers, name):
    kind = numbers.randrange(6)
    if kind == 0:
        code = numbers.randrange(100)
        process = context.Process(target=exits, args=(code,))
        expected = (code,)
    elif kind == 1:
        process = context.Process(target=nests, args=(name,))
        expected = (nested_sum(name),)
    elif kind == 2:
        process = context.Process(target=with_threads)
        expected = (0,)
    elif kind == 3:
        ready = context.Event()
        process = context.Process(target=handles, args=(ready,))
        process.start()
        ready.wait()
        os.kill(process.pid, signal.SIGUSR1)
        process.join()
        stress.check(process.exitcode == 7, f"handles: {process.exitcode}")
        return
    else:
        process = context.Process(target=numbers.choice([idle, spin]))
        process.start()
        if numbers.random() < 0.5:
            time.sleep(numbers.random() / 1000)
        process.terminate() if numbers.random() < 0.5 else process.kill()
        if numbers.random() < 0.3:
            process.kill()
        if numbers.random() < 0.3:
            wait([process.sentinel])
        process.join()
        stress.check(process.exitcode in MISSED, f"ended: {process.exitcode}")
        stress.check(not process.is_alive(), "a process lives after its end")
        return
    process.start()
    process.join()
    stress.check(process.exitcode in expected, f"kind {kind}: {process.exitcode}, not {expected}")


@stress.checked
def parent(context, who, done):
    numbers = stress.numbers("parent", who)
    rounds = 0
    while stress.running():
        one(context, numbers, f"{who}.{rounds}")
        if rounds % 10 == 0:
            multiprocessing.active_children()
        rounds += 1
    done.put(rounds)


def run():
    context = multiprocessing.get_context("fork")
    done = context.SimpleQueue()
    parents = [context.Process(target=parent, args=(context, who, done)) for who in range(PARENTS)]
    parents += [
        threading.Thread(target=parent, args=(context, PARENTS + who, done)) for who in range(2)
    ]
    for each in parents:
        each.start()
    rounds = sum(done.get() for _ in parents)
    for each in parents:
        each.join()
    return f"{rounds} processes"


if __name__ == "__main__":
    stress.main(run)
