# SPDX-License-Identifier: Apache-2.0
"""Many simulated processes at once: each answers on a queue while all are alive.

many.py [--processes 2000]
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
import time

import tools

from forkless import _core


def answer(number, answers, gate):
    answers.put((number, multiprocessing.current_process().pid))
    gate.wait()
    answers.put((number, threading.main_thread().name))


def main() -> int:
    parser = tools.parser(__doc__, limit=300)
    parser.add_argument("--processes", type=int, default=2000)
    options = parser.parse_args()
    tools.begin(options)
    context = multiprocessing.get_context("actor")
    answers, gate = context.Queue(), context.Event()
    threading.stack_size(262_144)
    first = context.Process(target=answer, args=(-1, answers, gate))
    first.start()
    answers.get(timeout=60)
    before = tools.use()
    since = time.monotonic()
    processes = [
        context.Process(target=answer, args=(number, answers, gate))
        for number in range(options.processes)
    ]
    for process in processes:
        process.start()
    seen = dict(answers.get(timeout=120) for _ in processes)
    seconds = time.monotonic() - since
    during = tools.use()
    if seen != {number: process.pid for number, process in enumerate(processes)}:
        tools.fail("the answers are not those of the processes")
    if _core.counters()["live"] != options.processes + 1 or not all(
        p.is_alive() for p in processes
    ):
        tools.fail(f"not all are alive: {_core.counters()}")
    gate.set()
    names = [answers.get(timeout=120) for _ in range(options.processes + 1)]
    for process in (first, *processes):
        process.join(60)
        if process.exitcode != 0:
            tools.fail(f"{process} ended with {process.exitcode}")
    if {name for _, name in names} != {"MainThread"}:
        tools.fail("a process has no main thread of its own")
    each = (during.private - before.private) / options.processes
    print(f"{options.processes} processes alive after {seconds:.2f} s; during: {during}")
    print(f"private memory of each: {each:.1f} KiB")
    after = tools.use()
    print(f"after: {after}")
    if after.threads > before.threads or after.descriptors > before.descriptors:
        tools.fail(f"before: {before}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
