# SPDX-License-Identifier: Apache-2.0
"""Time starting and joining a process, and a queue with one producer and one consumer.

Each measurement is taken alternately on real processes (fork) and on actors, in one run on one machine, with the
same function doing the same work; the medians and their ratio are printed. With --start and --queue the exit status
says whether the ratios were reached.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

import forkless

METHODS = ("fork", "actor")


def nothing() -> None:
    pass


def produce(queue: Any, count: int) -> None:
    for number in range(count):
        queue.put((number, "item"))


def start_and_join(context: Any, count: int) -> float:
    """Seconds for one process, from start() to the end of join()."""
    begin = time.perf_counter()
    for _ in range(count):
        process = context.Process(target=nothing)
        process.start()
        process.join()
        if process.exitcode != 0:
            sys.exit(f"a process ended with {process.exitcode}")
    return (time.perf_counter() - begin) / count


def queue_item(context: Any, count: int) -> float:
    """Seconds for one item, from the first put to the last get, in order."""
    queue = context.Queue()
    producer = context.Process(target=produce, args=(queue, count))
    begin = time.perf_counter()
    producer.start()
    for number in range(count):
        if queue.get() != (number, "item"):
            sys.exit(f"item {number} is not what was put")
    seconds = (time.perf_counter() - begin) / count
    producer.join()
    return seconds


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="rounds (default: 7)")
    parser.add_argument("--processes", type=int, default=200, help="processes a round")
    parser.add_argument("--items", type=int, default=50_000, help="items a round")
    parser.add_argument("--start", type=float, metavar="RATIO", help="least ratio for start+join")
    parser.add_argument("--queue", type=float, metavar="RATIO", help="least ratio for the queue")
    return parser.parse_args()


def main() -> int:
    options = parse()
    contexts = {name: multiprocessing.get_context(name) for name in METHODS}
    kinds = {
        "start + join": (start_and_join, options.processes, options.start),
        "queue item": (queue_item, options.items, options.queue),
    }
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(options.repeat):
        for kind, (measure, count, _least) in kinds.items():
            for method in METHODS:
                times.setdefault((kind, method), []).append(measure(contexts[method], count))

    table = Table(
        title=f"forkless {forkless.__version__}, CPython {platform.python_version()}, "
        f"{multiprocessing.cpu_count()} cores, medians of {options.repeat} rounds"
    )
    for heading in ("", "fork, µs", "actor, µs", "fork / actor"):
        table.add_column(heading, justify="left" if not heading else "right")
    status = 0
    for kind, (_measure, _count, least) in kinds.items():
        fork, actor = (statistics.median(times[kind, method]) * 1e6 for method in METHODS)
        table.add_row(kind, f"{fork:.2f}", f"{actor:.2f}", f"{fork / actor:.1f}")
        if least is not None and fork / actor < least:
            status = 1
    Console(width=100).print(table)
    return status


if __name__ == "__main__":
    sys.exit(main())
