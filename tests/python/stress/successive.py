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
import time

import tools

# KiB. How many threads, of those that end and those that stand ready, are there at the same moment is for the
# machine to say; for each the C library keeps an arena of 132 KiB, of 16 at most on two processors.
ALLOWANCE = 3072


def work(number, answers):
    if number % 100 == 0:
        answers.put(number)


def read(number, answers):
    """Uses what a process makes only when it is needed."""
    end, other = os.pipe()
    try:
        os.read(end, number)
    finally:
        os.close(end)
        os.close(other)


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
    threads = early.threads  # one that stands ready may be among them, but only for a moment
    tools.eventually("threads leave", lambda: tools.use().threads <= threads)
    late = tools.use()
    print(f"{options.processes} processes, {seconds / options.processes * 1e6:.0f} µs each")
    print(f"after a tenth: {early}\nafter all:     {late}")
    if late.descriptors > early.descriptors:
        tools.fail("descriptors are left")
    if late.private > early.private + ALLOWANCE:
        tools.fail(f"the memory has grown by {late.private - early.private} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
