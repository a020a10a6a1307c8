# SPDX-License-Identifier: Apache-2.0
"""Time the calls of a pool of two workers.

Each measurement is taken alternately on real processes (fork), on threads (ThreadPool) and on actors, in one run on
one machine, with the same trivial function; each result is checked. The medians and the ratio of fork to actor are
printed. With --least-single and --least-map the exit status says whether the ratios were reached: the first is for
calls that are sent one by one (apply, map with chunksize=1, imap_unordered), the other for map with default chunks.
"""

from __future__ import annotations

import argparse
import multiprocessing
import multiprocessing.pool
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.table import Table

import forkless

WORKERS = 2


def timed(function: Callable[[], Any], wanted: Any) -> float:
    begin = time.perf_counter()
    got = function()
    seconds = time.perf_counter() - begin
    if got != wanted:
        sys.exit(f"got {got!r}, not {wanted!r}")
    return seconds


# Each does `count` calls and returns the seconds for one.


def apply(pool: Any, count: int) -> float:
    """The median: each call is a wait of its own, and a few of them wait for the scheduler."""
    return statistics.median(timed(lambda: pool.apply(abs, (-n,)), n) for n in range(count))  # noqa: B023


def map_single(pool: Any, count: int) -> float:
    wanted = list(range(count, 0, -1))
    return timed(lambda: pool.map(abs, range(-count, 0), chunksize=1), wanted) / count


def imap_unordered(pool: Any, count: int) -> float:
    wanted = list(range(1, count + 1))
    return timed(lambda: sorted(pool.imap_unordered(abs, range(-count, 0))), wanted) / count


def map_chunks(pool: Any, count: int) -> float:
    wanted = list(range(count, 0, -1))
    return timed(lambda: pool.map(abs, range(-count, 0)), wanted) / count


# name -> what is done, how often by default, whether the calls are sent one by one
KINDS: dict[str, tuple[Callable[[Any, int], float], int, bool]] = {
    "apply": (apply, 1_000, True),
    "map, chunksize=1": (map_single, 10_000, True),
    "imap_unordered": (imap_unordered, 10_000, True),
    "map": (map_chunks, 500_000, False),
}


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=7, metavar="N", help="rounds (default: 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many calls a round")
    parser.add_argument("--least-single", type=float, metavar="RATIO")
    parser.add_argument("--least-map", type=float, metavar="RATIO")
    return parser.parse_args()


def measure(pools: dict[str, Any], repeat: int, scale: float) -> dict[tuple[str, str], list[float]]:
    """Seconds for one call, by kind and pool, for each round."""
    times: dict[tuple[str, str], list[float]] = {}
    for _ in range(repeat):
        for kind, (call, count, _single) in KINDS.items():
            count = max(int(count * scale), 1)
            for name, pool in pools.items():
                times.setdefault((kind, name), []).append(call(pool, count))
    return times


def main() -> int:
    options = parse()
    pools = {
        "fork": multiprocessing.get_context("fork").Pool(WORKERS),  # first: a fork wants no threads
        "threads": multiprocessing.pool.ThreadPool(WORKERS),
        "actor": multiprocessing.get_context("actor").Pool(WORKERS),
    }
    for pool in pools.values():
        map_single(pool, 100)  # all workers run
    times = measure(pools, options.repeat, options.scale)
    for pool in pools.values():
        pool.close()
        pool.join()

    table = Table(
        title=f"forkless {forkless.__version__}, CPython {platform.python_version()}, "
        f"{multiprocessing.cpu_count()} cores, {WORKERS} workers, medians of {options.repeat} rounds"
    )
    for heading in ("", *(f"{name}, µs" for name in pools), "fork / actor"):
        table.add_column(heading, justify="left" if not heading else "right")
    status = 0
    for kind, (_call, _count, single) in KINDS.items():
        medians = {name: statistics.median(times[kind, name]) * 1e6 for name in pools}
        ratio = medians["fork"] / medians["actor"]
        table.add_row(kind, *(f"{value:.2f}" for value in medians.values()), f"{ratio:.1f}")
        least = options.least_single if single else options.least_map
        if least is not None and ratio < least:
            status = 1
    Console(width=100).print(table)
    return status


if __name__ == "__main__":
    sys.exit(main())
