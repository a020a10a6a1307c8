# SPDX-License-Identifier: Apache-2.0
"""Pipes between processes: every message comes back as it went, whatever its size, and the end of the
other side is noticed."""

import multiprocessing
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import stress

PAIRS = 3
MESSAGES = 40


@stress.checked
def echo(connection):
    while True:
        try:
            got = connection.recv()
        except EOFError:
            return
        connection.send(got)


def message(numbers):
    kind = numbers.randrange(4)
    if kind == 0:
        return numbers.random()
    if kind == 1:
        return bytes([numbers.randrange(256)]) * numbers.choice([0, 10, 5000, 70000])
    if kind == 2:
        return {"k": [numbers.random()] * 3, "t": (1, "two", {3})}
    return [ValueError, len, numbers.random()]  # not plain data


@stress.checked
def ask(context, who, turn):
    numbers = stress.numbers("pair", who, turn)
    near, far = context.Pipe()
    process = context.Process(target=echo, args=(far,))
    process.start()
    far.close() if multiprocessing.current_process().name == "MainProcess" else None
    for _ in range(MESSAGES):
        sent = message(numbers)
        near.send(sent)
        if numbers.random() < 0.3:
            stress.check(near.poll(60), "no answer")
        got = near.recv()
        stress.check(got == sent, f"sent {sent!r}, got {got!r}")
    near.close()
    process.join()
    stress.check(process.exitcode == 0, f"echo: {process.exitcode}")


def run():
    context = multiprocessing.get_context("spawn")
    turns = 0
    while stress.running():
        askers = [context.Process(target=ask, args=(context, who, turns)) for who in range(PAIRS)]
        for process in askers:
            process.start()
        for process in askers:
            process.join()
        turns += 1
    return f"{turns} turns"


if __name__ == "__main__":
    stress.main(run)
