# SPDX-License-Identifier: Apache-2.0
"""Processes that are ended at random moments of whatever they do.

    storm.py [--processes 5000]

Each does one of many things, and is ended by terminate(), kill(), os.kill() or an exception of a signal
handler, perhaps twice, perhaps by several at once. All must be gone in the end, with a right exit code,
and what they shared must work.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import queue
import select
import signal
import socket
import sys
import threading
import time
from collections import Counter

import tools

from forkless import _core, actors


class Stop(BaseException):  # a queue reports an Exception that comes out of a put()
    pass


def stop(signum, frame):
    raise Stop


def loop(shared):
    while True:
        pass


def sleep(shared):
    time.sleep(60)


def use_lock(shared):
    while True:
        with shared.lock:
            time.sleep(0)


def use_condition(shared):
    while True:
        with shared.condition:
            shared.condition.wait(0.001)
            shared.condition.notify_all()


def use_queue(shared):
    while True:
        shared.items.put(os.getpid())
        shared.items.get()


def read_pipe(shared):
    read, write = os.pipe()
    try:
        os.read(read, 1)
    finally:
        os.close(read)
        os.close(write)


def use_sockets(shared):
    one, other = socket.socketpair()
    threading.Thread(target=one.recv, args=(1,), daemon=True).start()
    while True:
        other.send(b"x" * 1000, getattr(socket, "MSG_NOSIGNAL", 0))
        select.select([one], [], [], 0.001)


def accept(shared):
    shared.listener.accept()


def threads(shared):
    items = queue.Queue()
    workers = [threading.Thread(target=items.get, daemon=i % 2 == 0) for i in range(3)]
    for worker in workers:
        worker.start()
    workers[1].join()


def nest(shared):
    child = shared.context.Process(target=sleep, args=(shared,), daemon=True)
    child.start()
    child.join()


def run(shared, work):
    signal.signal(signal.SIGUSR1, stop)
    try:
        if work is not threads:  # a process waits for its threads
            shared.handling.add(os.getpid())
        work(shared)
    except Stop:
        pass


WORK = (
    loop,
    sleep,
    use_lock,
    use_condition,
    use_queue,
    read_pipe,
    use_sockets,
    accept,
    threads,
    nest,
)


class Shared:
    """What the processes have in common; passed by reference."""

    made = None

    def __init__(self, context):
        self.context = context
        self.lock, self.condition = context.Lock(), context.Condition()
        self.items = context.Queue()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.handling = set()  # those that have set their handler

    def __reduce__(self):
        return shared, ()


def shared():
    return Shared.made


def end(process, random, handling):
    way = random.choice(("terminate", "kill", "signal", "handler", "twice", "both"))
    if way == "handler" and process.pid in handling:
        os.kill(process.pid, signal.SIGUSR1)
        return {0}
    if way == "both":
        other = threading.Thread(target=process.kill)
        other.start()
        process.terminate()
        other.join()
        return {-9, -15}
    if way == "signal":
        os.kill(process.pid, signal.SIGHUP)
        return {-1}
    process.kill() if way == "kill" else process.terminate()
    if way == "twice":
        process.kill()
    return {-9 if way == "kill" else -15}


def main() -> int:
    parser = tools.parser(__doc__, limit=600)
    parser.add_argument("--processes", type=int, default=5000)
    parser.add_argument("--alive", type=int, default=8, help="at once")
    options = parser.parse_args()
    random = tools.begin(options)
    context = multiprocessing.get_context("actor")
    common = Shared.made = Shared(context)
    before = tools.use()
    alive, codes = [], Counter()
    for number in range(options.processes):
        work = random.choice(WORK)
        process = context.Process(target=run, args=(common, work), name=f"{number} {work.__name__}")
        process.start()
        alive.append(process)
        if len(alive) < options.alive and number + 1 < options.processes:
            continue
        time.sleep(random.choice((0, 0, 0.0001, 0.001)))
        for process in random.sample(alive, 1 if number + 1 < options.processes else len(alive)):
            alive.remove(process)
            allowed = end(process, random, common.handling)
            process.join(60)
            codes[process.exitcode] += 1
            if process.exitcode not in allowed:
                tools.fail(f"{process} has ended with {process.exitcode}, not one of {allowed}")
    print(f"exit codes: {dict(codes)}")
    for orphaned in actors.live():  # children of those that were killed
        os.kill(orphaned.pid, signal.SIGKILL)
    tools.eventually(
        "all have unwound", lambda: not (_core.counters()["live"] or _core.counters()["orphans"])
    )
    if not common.lock.acquire(timeout=60) or not common.condition.acquire(timeout=60):
        tools.fail("a lock is held by nobody")
    common.items.put("last")
    while common.items.get(timeout=60) != "last":
        pass
    tools.eventually("threads are gone", lambda: tools.use().threads <= before.threads)
    print(f"before: {before}\nafter:  {tools.use()}")
    # os.pipe() lets others run, so it is a likely moment for an end, and nobody owns yet what it makes.
    # One process in ten makes a pipe; one in five of these may lose both ends of it, others none.
    if tools.use().descriptors > before.descriptors + 20 + options.processes // 25:
        tools.fail("descriptors are left")
    return 0


if __name__ == "__main__":
    sys.exit(main())
