# SPDX-License-Identifier: Apache-2.0
"""What is measured. Each workload checks all that it got, and times its inner section only.

A workload is called with a contender's context or pool and a number of operations, and returns the
seconds that one operation took (`memory`: the bytes of one process).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contenders import Contender, Pool

MEGABYTE = 1 << 20
DIFFERENT = 8  # large items
LIVE = 40  # processes at once, where memory is looked at


class WrongResult(Exception):
    """A contender did other work than it was given."""


def expect(got: Any, wanted: Any) -> None:
    if got != wanted:
        raise WrongResult(f"{str(got)[:80]} is not {str(wanted)[:80]}")


# ---- what runs in the processes


def nothing() -> None:
    pass


def produce_small(queue: Any, count: int) -> None:
    for number in range(count):
        queue.put((number, "item"))


def produce_large(queue: Any, count: int) -> None:
    items = [
        bytes([i]) * MEGABYTE for i in range(DIFFERENT)
    ]  # to make them takes longer than to send
    for number in range(count):
        queue.put(items[number % DIFFERENT])


def echo(connection: Any) -> None:
    while (item := connection.recv()) is not None:
        connection.send(item)


def wait_for_item(queue: Any, started: Any) -> None:
    started.put(1)
    queue.get()


def count_primes(results: Any, limit: int) -> None:
    found = sum(all(n % d for d in range(2, int(n**0.5) + 1)) for n in range(2, limit))
    results.put(found)


# ---- workloads on a context


def _one_life(context: Any) -> None:
    process = context.Process(target=nothing)
    process.start()
    process.join()
    expect(process.exitcode, 0)


def start_and_join(context: Any, count: int) -> float:
    _one_life(context)  # what is made once is not measured
    begin = time.perf_counter()
    for _ in range(count):
        _one_life(context)
    return (time.perf_counter() - begin) / count


def start_and_join_large(context: Any, count: int) -> float:
    ballast = bytearray(400 * MEGABYTE)
    ballast[::4096] = b"x" * len(ballast[::4096])  # all pages are there
    seconds = start_and_join(context, count)
    expect(ballast[4096], ord("x"))
    return seconds


def queue_of_small(context: Any, count: int) -> float:
    queue = context.Queue()
    producer = context.Process(target=produce_small, args=(queue, count))
    begin = time.perf_counter()
    producer.start()
    for number in range(count):
        expect(queue.get(), (number, "item"))
    seconds = (time.perf_counter() - begin) / count
    producer.join()
    return seconds


def queue_of_large(context: Any, count: int) -> float:
    queue = context.Queue(8)  # so that a fast producer does not just fill the memory
    producer = context.Process(target=produce_large, args=(queue, count))
    begin = time.perf_counter()
    producer.start()
    for number in range(count):
        item = queue.get()
        expect((len(item), item[0], item[-1]), (MEGABYTE, *2 * (number % DIFFERENT,)))
    seconds = (time.perf_counter() - begin) / count
    producer.join()
    return seconds


def pipe_round_trip(context: Any, count: int) -> float:
    here, there = context.Pipe()
    process = context.Process(target=echo, args=(there,))
    process.start()
    here.send(0)
    here.recv()
    begin = time.perf_counter()
    for number in range(count):
        here.send(number)
        expect(here.recv(), number)
    seconds = (time.perf_counter() - begin) / count
    here.send(None)
    process.join()
    return seconds


def _private_bytes(pid: int | str) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def memory(context: Any, count: int) -> float:
    """Bytes that a live process adds: its private ones, and what the parent grows by.

    A fork turns private pages of the parent into shared ones; that is no gain, so it is left out.
    """
    queue, started = context.Queue(), context.Queue()
    _one_life(context)
    before = _private_bytes("self")
    processes = [context.Process(target=wait_for_item, args=(queue, started)) for _ in range(count)]
    for process in processes:
        process.start()
    for _ in processes:
        expect(started.get(), 1)
    own = _private_bytes("self") - before
    theirs = sum(
        _private_bytes(process.pid)
        for process in processes
        if os.path.exists(f"/proc/{process.pid}/smaps_rollup")
    )
    for _ in processes:
        queue.put(None)
    for process in processes:
        process.join()
    return (max(own, 0) + theirs) / count


def processor_bound(context: Any, count: int) -> float:
    """Two processes that compute, each the same. Two others were there before: interpreters are made once."""
    _compute(context, 10)
    return _compute(context, count)


def _compute(context: Any, count: int) -> float:
    results = context.Queue()
    processes = [context.Process(target=count_primes, args=(results, count)) for _ in range(2)]
    begin = time.perf_counter()
    for process in processes:
        process.start()
    found = [results.get() for _ in processes]
    seconds = time.perf_counter() - begin
    for process in processes:
        process.join()
    expect(len(set(found)), 1)
    return seconds


# ---- workloads on a pool


def _absolutes(call: Callable[[list[int]], list[Any]], count: int) -> tuple[float, list[Any]]:
    """Seconds for one of `count` negative numbers that a pool makes positive, and what it gave."""
    items = list(range(-count, 0))
    begin = time.perf_counter()
    got = call(items)
    return (time.perf_counter() - begin) / count, got


def map_one_by_one(pool: Pool, count: int) -> float:
    seconds, got = _absolutes(lambda items: pool.map_one_by_one(abs, items), count)
    expect(got, list(range(count, 0, -1)))
    return seconds


def map_by_chunks(pool: Pool, count: int) -> float:
    seconds, got = _absolutes(lambda items: pool.map(abs, items), count)
    expect(got, list(range(count, 0, -1)))
    return seconds


def unordered(pool: Pool, count: int) -> float:
    seconds, got = _absolutes(lambda items: list(pool.unordered(abs, items)), count)
    expect(sorted(got), list(range(1, count + 1)))
    return seconds


def apply(pool: Pool, count: int) -> float:
    begin = time.perf_counter()
    for number in range(count):
        expect(pool.apply(abs, -number), number)
    return (time.perf_counter() - begin) / count


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    run: Callable[[Any, int], float]
    count: int  # operations, the same for all contenders
    on_pool: bool = False
    least: tuple[tuple[str, str, float], ...] = ()  # goals: ours, peer, at least so many times
    unit: str = "s"
    without: frozenset[str] = frozenset()  # who cannot do it, or for whom it says nothing

    def fits(self, contender: Contender) -> bool:
        if contender.name in self.without:
            return False
        return (contender.pool if self.on_pool else contender.context) is not None

    def measure(self, contender: Contender, count: int) -> float:
        if not self.on_pool:
            assert contender.context is not None
            return self.run(contender.context(), count)
        assert contender.pool is not None
        pool = contender.pool()
        pool.map_one_by_one(abs, [-1] * 8)  # all workers are there
        try:
            return self.run(pool, count)
        finally:
            pool.close()


def _goal(peer: str, ratio: float, ours: str = "actor") -> tuple[tuple[str, str, float], ...]:
    return ((ours, peer, ratio),)


WORKLOADS = {
    w.name: w
    for w in (
        Workload("start", "start + join", start_and_join, 150, least=_goal("fork", 20)),
        Workload(
            "start_large",
            "start + join, parent with 400 MB",
            start_and_join_large,
            40,
            least=_goal("fork", 100),
        ),
        Workload("queue", "queue, small items", queue_of_small, 40_000, least=_goal("fork", 8)),
        Workload(
            "queue_large", "queue, 1 MB of bytes", queue_of_large, 300, least=_goal("fork", 15)
        ),
        Workload("pipe", "pipe, round trip", pipe_round_trip, 5_000, least=_goal("fork", 3)),
        Workload(
            "map_one", "map, chunks of 1", map_one_by_one, 10_000, True, least=_goal("fork", 8)
        ),
        Workload(
            "map",
            "map, default chunks",
            map_by_chunks,
            400_000,
            True,
            least=_goal("fork", 1),
            without=frozenset({"futures", "loky"}),  # no chunks by default
        ),
        Workload("unordered", "imap_unordered", unordered, 10_000, True, _goal("fork", 8)),
        Workload("apply", "apply", apply, 2_000, True, least=_goal("fork", 8)),
        Workload(
            "memory",
            "memory of a live one",
            memory,
            LIVE,
            least=_goal("fork", 20),
            unit="B",
            without=frozenset({"dummy"}),  # nothing is a process there
        ),
        Workload(
            "cpu",
            "two that compute",
            processor_bound,
            300_000,
            least=_goal("fork", 1 / 1.1, "interpreter"),
            without=frozenset({"forkserver", "dummy", "billiard"}),
        ),
    )
}
