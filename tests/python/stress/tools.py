# SPDX-License-Identifier: Apache-2.0
"""What the stress programs share: arguments, a watchdog, and what a process uses of the machine."""

from __future__ import annotations

import argparse
import faulthandler
import gc
import os
import random
import sys
import time
from dataclasses import dataclass

import forkless
from forkless import _core

__all__ = ["Use", "begin", "eventually", "fail", "parser", "use"]


def parser(description: str, limit: float) -> argparse.ArgumentParser:
    """The arguments of every program. `limit`: seconds until the watchdog ends it."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--seed", type=int, default=None, help="of what is random (default: the time)"
    )
    made.add_argument("--limit", type=float, default=limit, help="seconds until it is ended")
    return made


def begin(options: argparse.Namespace) -> random.Random:
    """Start the watchdog, which shows where all threads are and ends the program."""
    seed = time.time_ns() % 2**32 if options.seed is None else options.seed
    print(f"seed {seed}, CPython {sys.version.split()[0]}", flush=True)
    faulthandler.dump_traceback_later(options.limit, exit=True)
    return random.Random(seed)


def fail(reason: str) -> None:
    """End the program, with where the threads are."""
    print(f"failed: {reason}", file=sys.stderr, flush=True)
    for orphan in forkless.orphans():
        print(orphan, file=sys.stderr)
    faulthandler.dump_traceback()
    os._exit(1)


def eventually(what: str, condition: object, limit: float = 60.0) -> None:
    """Wait until a condition comes true."""
    until = time.monotonic() + limit
    while not condition():  # type: ignore[operator]
        if time.monotonic() > until:
            fail(f"not within {limit} s: {what}")
        time.sleep(0.002)


@dataclass(frozen=True)
class Use:
    """What this process uses: resident and private memory in KiB, threads, descriptors."""

    resident: int
    private: int
    threads: int
    descriptors: int

    def __str__(self) -> str:
        return (
            f"{self.resident / 1024:.1f} MiB resident, {self.private / 1024:.1f} MiB private, "
            f"{self.threads} threads, {self.descriptors} descriptors"
        )


def use(pid: int | str = "self") -> Use:
    """Read it from /proc, after the garbage is collected."""
    if pid == "self":
        eventually("ended processes unwind", lambda: not _core.counters()["orphans"])
        gc.collect()
    status = dict(_pairs(f"/proc/{pid}/status"))
    memory = dict(_pairs(f"/proc/{pid}/smaps_rollup"))
    private = sum(_kib(memory[name]) for name in ("Private_Clean", "Private_Dirty"))
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))
    return Use(_kib(status["VmRSS"]), private, int(status["Threads"]), descriptors)


def _pairs(path: str) -> list[tuple[str, str]]:
    with open(path, encoding="ascii") as file:
        lines = file.read().splitlines()
    return [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]


def _kib(value: str) -> int:
    return int(value.split()[0])
