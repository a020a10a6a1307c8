# SPDX-License-Identifier: Apache-2.0
"""Simulated processes that are started and joined one after another, without growth.

    successive.py [--processes 100000]

What is in use after a tenth of them is compared with what is in use after the last. Threads and
descriptors must be the same. Memory may differ by 1 MiB, what the allocators of C and Python take at a
time: 90,000 processes that leaked as little as 16 bytes each would need more.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import sysconfig
import time

import tools

# KiB. How many threads, of those that end and those that stand ready, are there at the same moment is for the
# machine to say; for each the C library keeps an arena of 132 KiB, of 16 at most on two processors. Without the
# GIL each thread has heaps of its own, and what is in their pages when it ends is given back by and by.
ALLOWANCE = 8192 if sysconfig.get_config_var("Py_GIL_DISABLED") else 3072

PIPE = os.pipe()  # where nothing ever comes


def work(number, answers):
    if number % 100 == 0:
        answers.put(number)


def read(number, answers):
    """Uses what a process makes only when it is needed. The pipe is not its own: one that is ended within
    os.pipe() leaves it open."""
    os.read(PIPE[0], number)


def ended(number, answers):
    answers.get()


def main() -> int:
    parser = tools.parser(__doc__, limit=900)
    parser.add_argument("--processes", type=int, default=100_000)
    options = parser.parse_args()
    random = tools.begin(options)
    context = multiprocessing.get_context("actor")
    answers, empty = context.Queue(), context.Queue()
    early = None
    since = time.monotonic()
    for number in range(options.processes):
        target = random.choices((work, ended, read), (98, 1, 1))[0]
        queue = answers if target is work else empty
        process = context.Process(target=target, args=(number, queue))
        process.start()
        if target is not work:
            _ = process.sentinel
            process.terminate()
        elif number % 100 == 0 and answers.get(timeout=60) != number:
            tools.fail(f"process {number} has not answered")
        process.join(60)
        if process.exitcode != (0 if target is work else -15):
            tools.fail(f"process {number} ended with {process.exitcode}")
        if number == options.processes // 10:
            early = tools.use()
    seconds = time.monotonic() - since
    del process
    assert early is not None
    tools.eventually(
        "threads and descriptors are gone",
        lambda: (now := tools.use()).threads <= early.threads
        and now.descriptors <= early.descriptors,
    )
    late = tools.use()
    print(f"{options.processes} processes, {seconds / options.processes * 1e6:.0f} µs each")
    print(f"after a tenth: {early}\nafter all:     {late}")
    if late.private > early.private + ALLOWANCE:
        tools.fail(f"the memory has grown by {late.private - early.private} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
