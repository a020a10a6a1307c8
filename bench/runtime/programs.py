# SPDX-License-Identifier: Apache-2.0
"""The benchmark programs: their parameters, what they must print, the goals and the curves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Program:
    """A program that each contender has under the same name.

    `proof` gives from the parameters how many operations there must have been and the checksum of
    what was received, so that a contender which did less work is found out.
    """

    name: str
    params: tuple[int, ...]
    smoke: tuple[int, ...]  # small, for a look whether it works
    unit: str  # what an operation is
    proof: Callable[..., tuple[int, int]]
    repeat: int = 99  # rounds at most
    limit: float = 120.0  # seconds for one run
    full: tuple[int, ...] | None = None  # parameters with --full


def total(last: int) -> int:
    """1 + 2 + … + last"""
    return last * (last + 1) // 2


@cache
def big_proof(actors: int, pings: int) -> tuple[int, int]:
    """Follows each actor's random numbers, since the checksum says who got each ping."""
    received = 0
    for number in range(1, actors + 1):
        random = number
        for value in range(1, pings + 1):
            random = (random * 69069 + 1) & 0xFFFFFFFF
            received += value * ((random >> 8) % actors + 1)
    return 2 * actors * pings, received + actors * total(pings)


PROGRAMS = {
    program.name: program
    for program in (
        Program("ping_pong", (40_000,), (50,), "message", lambda n: (2 * n, 2 * total(n))),
        Program("counting", (1_000_000,), (500,), "message", lambda n: (n, total(n))),
        Program(
            "fork_join_throughput",
            (60, 10_000),
            (5, 50),
            "message",
            lambda actors, n: (actors * n, actors * total(n)),
        ),
        Program("fork_join_create", (40_000,), (50,), "actor", lambda n: (n, total(n))),
        Program(
            "thread_ring", (100, 100_000), (5, 50), "hop", lambda actors, hops: (hops, total(hops))
        ),
        Program(
            "chameneos",
            (100, 200_000),
            (5, 50),
            "message",
            lambda creatures, meetings: (4 * meetings, 2 * meetings),
        ),
        Program("big", (120, 2_000), (5, 50), "message", big_proof),
        Program(
            "bounded_buffer",
            (40, 40, 50, 1_000),
            (4, 4, 5, 50),
            "message",
            lambda producers, consumers, places, items: (
                4 * producers * items,
                total(producers * items),
            ),
        ),
        Program(
            "mailbox",
            (100, 100_000),
            (5, 50),
            "message",
            lambda senders, n: (senders * n, senders * total(n)),
            repeat=3,
            full=(100, 1_000_000),
        ),
    )
}

# Programs that are not compared in the first table.
ALIVE = Program("alive", (1_000_000,), (50,), "actor", lambda n: (n, 2 * total(n)), repeat=1)
TEN_THOUSAND = Program(
    "ten_thousand", (10_000,), (50,), "actor", lambda n: (n, 2 * total(n)), repeat=1
)
# The number of actors of our own that are threads; more are for pooled ones.
MOST_THREADS = 10_000


@dataclass(frozen=True)
class Goal:
    """`ours` must be at least `factor` times as fast at `program` as `against`."""

    program: str
    ours: str
    factor: float
    against: str = "peers"  # "peers": the fastest of them
    text: str = ""


GOALS = (
    Goal("counting", "thread", 1.5),
    Goal("ping_pong", "thread", 1 / 1.3, "raw", "at most 1.3 times the hand-offs through futexes"),
    Goal("ping_pong", "pooled", 1.0),
    Goal("thread_ring", "pooled", 1.0),
    Goal("chameneos", "pooled", 1.0),
    Goal("fork_join_create", "pooled", 1.0),
    Goal("big", "pooled", 1.2),
)

# 64 producers on few cores must keep more than this part of the throughput of two.
PREEMPTED = (2, 64, 0.5)


@dataclass(frozen=True)
class Curve:
    """How the time of an operation changes along `points`; each has its parameters."""

    name: str
    title: str
    x_label: str
    program: Program
    points: dict[int, tuple[int, ...]]


def powers(exponents: range, base: int) -> list[int]:
    return [base**exponent for exponent in exponents]


CURVES = (
    Curve(
        "create",
        "Fork-join create: making an actor, one message to it, its end",
        "actors",
        PROGRAMS["fork_join_create"],
        {n: (n,) for n in powers(range(1, 7), 10)},
    ),
    Curve(
        "exchange",
        "Big: messages between actors chosen by chance",
        "actors",
        PROGRAMS["big"],
        {n: (n, max(1, 200_000 // n)) for n in powers(range(1, 7), 10)},
    ),
    Curve(
        "producers",
        "Mailbox: many threads send to one actor",
        "threads that send",
        PROGRAMS["mailbox"],
        {n: (n, 2**20 // n) for n in powers(range(7), 2)},
    ),
)
