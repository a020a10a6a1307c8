# SPDX-License-Identifier: Apache-2.0
"""Who takes part: how each is started, which programs it has, and one run with its limits."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from programs import MOST_THREADS, Program

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "bench"
# More memory than this part of what is free at its start ends a run.
MEMORY_PART = 0.8
# Above so many processes Erlang wants to be told at its start.
ERLANG_PROCESSES = 200_000


class Failure(Exception):
    """A run that gave no figure; the text says why."""


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    ours: bool
    actors: bool  # whether it is a system of actors (the best of these is told as well)
    executable: Path
    command: tuple[str, ...]
    only: frozenset[str] | None = None

    def is_there(self) -> bool:
        return self.executable.exists() and shutil.which(self.command[0]) is not None

    def has(self, program: Program, params: tuple[int, ...]) -> bool:
        if program.name == "ten_thousand":
            return self.name == "thread"
        many = program.name in ("alive", "big", "fork_join_create")
        if self.name == "thread" and many and params[0] > MOST_THREADS:
            return program.name == "fork_join_create" and params == program.params
        return self.only is None or program.name in self.only

    def line(self, program: Program, params: tuple[int, ...]) -> list[str]:
        command = list(self.command)
        if self.name == "erlang" and params[0] > ERLANG_PROCESSES:
            command[1:1] = ["+P", str(2 * params[0])]
        return [*command, program.name, *map(str, params)]


def contenders(variant: str) -> list[Contender]:
    """All that could take part, ours first. `variant` is the folder of build/ with our programs."""
    mine = ROOT / "build" / variant / "bench/runtime/forkless/forkless"
    raw, caf, go = BUILT / "raw/raw", BUILT / "caf/savina", BUILT / "go/savina"
    erlang = ("erl", "-noshell", "-noinput", "-pa", str(BUILT / "erlang"), "-run", "savina", "main")
    basic = frozenset({"ping_pong", "fork_join_create"})
    return [
        Contender("thread", "forkless, thread actors", True, True, mine, (str(mine), "thread")),
        Contender("pooled", "forkless, pooled actors", True, True, mine, (str(mine), "pooled")),
        Contender("erlang", "Erlang", False, True, BUILT / "erlang/savina.beam", erlang),
        Contender("caf", "CAF", False, True, caf, (str(caf),)),
        Contender("go", "Go", False, False, go, (str(go),)),
        Contender("raw", "system calls", False, False, raw, (str(raw),), basic),
    ]


@dataclass(frozen=True)
class Run:
    """What one run printed."""

    ns: int
    operations: int
    bytes: int | None  # memory of the actors, for the programs that look
    note: str | None
    processor: int  # nanoseconds of all cores, of the program without its warm-up
    peak: int  # bytes of memory that the process had at most, as far as was seen

    @property
    def each(self) -> float:
        """Nanoseconds of an operation."""
        return self.ns / self.operations


def free_memory() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def peak_of(pid: int) -> int:
    """The most memory that a process has had since it was started, 0 when it has ended.

    What wait4() says is of no use: it counts our memory in, which the child shares before exec().
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)


def wait(process: subprocess.Popen[str], limit: float) -> int:
    """Waits for the process within its limits and gives the most memory that it had."""
    deadline = time.monotonic() + limit
    bound = int(free_memory() * MEMORY_PART)
    peak = 0
    while process.poll() is None:
        peak = max(peak, peak_of(process.pid))
        if time.monotonic() > deadline or peak > bound:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise Failure("too slow" if peak <= bound else "too much memory")
        time.sleep(0.02)
    return peak


def parse(text: str, program: Program, params: tuple[int, ...], peak: int) -> Run:
    words = text.split()
    try:
        name, ns, operations, checksum = words[0], int(words[1]), int(words[2]), int(words[3])
        more = dict(word.split("=", 1) for word in words[4:])
        used = int(more["cpu"])
        counted = int(more["bytes"]) if "bytes" in more else None
    except (IndexError, KeyError, ValueError):
        raise Failure(f"printed {text!r}") from None
    expected = program.proof(*params)
    if name != program.name or (operations, checksum) != expected or ns <= 0:
        raise Failure(f"did other work: {text.strip()!r}, not {expected}")
    return Run(ns, operations, counted, more.get("note"), used, peak)


def run(contender: Contender, program: Program, params: tuple[int, ...]) -> Run:
    """Runs a program once. Raises Failure when it fails, is killed, or did not do its work."""
    process = subprocess.Popen(
        contender.line(program, params),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "ERL_CRASH_DUMP_SECONDS": "0"},
    )
    with process:
        peak = wait(process, program.limit)
        assert process.stdout and process.stderr
        text, errors = process.stdout.read(), process.stderr.read()
    if process.returncode:
        last = (errors.strip().splitlines() or ["nothing on stderr"])[-1]
        raise Failure(f"exit status {process.returncode}: {last}")
    return parse(text, program, params, peak)


def version(contender: Contender) -> str:
    """One line on what a peer is."""
    if contender.name == "erlang":
        line = [*contender.command[:-1], "versions"]
    elif contender.name in ("caf", "go"):
        line = [*contender.command, "versions"]
    else:
        return ""
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
    )
    return done.stdout.strip() or "?"
