# SPDX-License-Identifier: Apache-2.0
"""Locks, semaphores, conditions, events and barriers between processes and their threads: what they guard
is never touched by two at once, and every wait ends."""

import multiprocessing
import pathlib
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import stress

WORKERS = 4
ROUNDS = 60


class Shared:
    """What all workers use; functions and what is in this module are shared between processes."""

    def __init__(self, context):
        self.lock = context.Lock()
        self.rlock = context.RLock()
        self.semaphore = context.BoundedSemaphore(2)
        self.condition = context.Condition()
        self.event = context.Event()
        self.barrier = context.Barrier(WORKERS)
        self.counts = {"lock": 0, "rlock": 0, "condition": 0}
        self.inside = 0
        self.guard = threading.Lock()
        self.tokens = 0


shared: Shared


def use_lock(numbers):
    if numbers.random() < 0.5:
        with shared.lock:
            shared.counts["lock"] += 1
    else:
        while not shared.lock.acquire(timeout=0.002):
            pass
        shared.counts["lock"] += 1
        shared.lock.release()


def use_rlock(numbers):
    depth = numbers.randrange(1, 4)
    for _ in range(depth):
        shared.rlock.acquire()
    shared.counts["rlock"] += 1
    for _ in range(depth):
        shared.rlock.release()


def use_semaphore(numbers):
    with shared.semaphore:
        with shared.guard:
            shared.inside += 1
            stress.check(shared.inside <= 2, f"{shared.inside} hold a semaphore of 2")
        with shared.guard:
            shared.inside -= 1


def give_token(numbers):
    with shared.condition:
        shared.tokens += 1
        if numbers.random() < 0.5:
            shared.condition.notify()
        else:
            shared.condition.notify_all()


def take_token(numbers):
    with shared.condition:
        while shared.tokens == 0:
            shared.condition.wait(numbers.choice([None, None, 0.001]))
        shared.tokens -= 1
        shared.counts["condition"] += 1


@stress.checked
def work(who, turn):
    numbers = stress.numbers("worker", who, turn)
    shared.barrier.wait()
    for _ in range(ROUNDS):
        use_lock(numbers)
        use_rlock(numbers)
        use_semaphore(numbers)
        # Half of the workers give what the others take.
        give_token(numbers) if who % 2 else take_token(numbers)
    shared.event.wait()


@stress.checked
def signal(turn):
    time.sleep(stress.numbers("signal", turn).random() / 1000)
    shared.event.set()


def turn(context, number):
    global shared
    shared = Shared(context)
    workers = [context.Process(target=work, args=(who, number)) for who in range(WORKERS)]
    workers.append(threading.Thread(target=signal, args=(number,)))
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = {
        "lock": WORKERS * ROUNDS,
        "rlock": WORKERS * ROUNDS,
        "condition": WORKERS // 2 * ROUNDS,
    }
    stress.check(shared.counts == expected, f"turn {number}: {shared.counts}")
    stress.check(shared.tokens == 0, f"turn {number}: {shared.tokens} tokens are left")


def run():
    context = multiprocessing.get_context("fork")
    turns = 0
    while stress.running():
        turn(context, turns)
        turns += 1
    return f"{turns} turns"


if __name__ == "__main__":
    stress.main(run)
