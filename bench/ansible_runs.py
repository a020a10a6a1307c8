# SPDX-License-Identifier: Apache-2.0
"""Run ansible-playbook once, on fork or on forkless, and measure the whole process tree.

Both kinds of run get an empty home, an empty working directory at the same path and the same
environment, so that they do equal work and find nothing of each other's.

What is measured: wall time; CPU time of the process and of all descendants that were waited for
(from wait4); the highest sum of proportional set sizes (PSS) of the tree, sampled. PSS divides a
shared page among its users, so that memory which forked workers share with their parent is not
counted many times.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import threading
import time

MODES = ("fork", "forkless")


@dataclasses.dataclass
class Run:
    """What one run cost and where its traces are."""

    mode: str
    status: int
    wall: float
    cpu: float
    peak: int
    folder: pathlib.Path

    @property
    def records(self) -> pathlib.Path:
        return self.folder / "record.jsonl"

    @property
    def screen(self) -> str:
        return (self.folder / "stdout").read_text(errors="replace")

    @property
    def errors(self) -> str:
        return (self.folder / "stderr").read_text(errors="replace")

    def created(self, controller: int) -> tuple[int, int, int]:
        """Processes that the controller forked, subprocesses that it ran, and those of its workers."""
        forks = subprocesses = others = 0
        for line in (self.folder / "forks").read_text().splitlines():
            kind, pid = line.split()
            if int(pid) != controller:
                others += 1
            elif kind == "fork":
                forks += 1
            else:
                subprocesses += 1
        return forks, subprocesses, others


def descendants(root: int) -> list[int]:
    """The process and all that descend from it, from one pass over /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as stat:
                parent = int(stat.read().rpartition(b")")[2].split()[1])
        except (OSError, IndexError, ValueError):
            continue  # it ended meanwhile
        children.setdefault(parent, []).append(int(name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def pss(pid: int) -> int:
    """The proportional set size of a process in bytes, 0 if it is gone or unreadable."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as rollup:
            for line in rollup:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class PeakMemory(threading.Thread):
    """Samples the tree below a process until it is told to stop."""

    def __init__(self, pid: int, interval: float = 0.2) -> None:
        super().__init__(daemon=True)
        self.peak = 0
        self._pid = pid
        self._interval = interval
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(self._interval):
            self.peak = max(self.peak, sum(map(pss, descendants(self._pid))))

    def stop(self) -> int:
        self._done.set()
        self.join()
        return self.peak


def command(mode: str, python: str, playbook_program: str, arguments: list[str]) -> list[str]:
    """The command line of a run; the program is the same unmodified file in both modes."""
    loader = [] if mode == "fork" else ["-m", "forkless"]
    return [python, *loader, playbook_program, *arguments]


def run_playbook(
    mode: str,
    python: str,
    playbook_program: str,
    arguments: list[str],
    *,
    area: pathlib.Path,
    folder: pathlib.Path,
    environment: dict[str, str] | None = None,
    memory: bool = True,
    timeout: float = 900,
) -> Run:
    """Run once. `area` is emptied and holds the run's home and work; `folder` keeps its traces."""
    shutil.rmtree(area, ignore_errors=True)
    for name in ("home", "work", "tmp", "traces"):
        (area / name).mkdir(parents=True)
    folder.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    env.update(
        HOME=str(area / "home"),
        TMPDIR=str(area / "tmp"),
        PYTHONHASHSEED="0",
        COLUMNS="100",
        ANSIBLE_NOCOLOR="1",
        FORKLESS_RECORD=str(area / "traces" / "record.jsonl"),
        FORKLESS_FORKS=str(area / "traces" / "forks"),
    )
    env.update(environment or {})
    with open(folder / "stdout", "wb") as out, open(folder / "stderr", "wb") as err:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command(mode, python, playbook_program, arguments),
            env=env,
            cwd=area / "work",
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        sampler = PeakMemory(process.pid) if memory else None
        if sampler:
            sampler.start()
        guard = threading.Timer(timeout, process.kill)
        guard.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        guard.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = sampler.stop() if sampler else 0
    for trace in (
        area / "traces"
    ).iterdir():  # their names are part of the environment, so they are the same in both runs
        shutil.move(trace, folder / trace.name)
    return Run(mode, process.returncode, wall, usage.ru_utime + usage.ru_stime, peak, folder)


def programs(python: str | None, playbook_program: str | None) -> tuple[str, str]:
    """The interpreter and ansible-playbook to use: by default those of the environment at hand."""
    python = python or sys.executable
    playbook_program = playbook_program or str(pathlib.Path(python).with_name("ansible-playbook"))
    for path in (python, playbook_program):
        if not os.path.exists(path):
            sys.exit(
                f"{path} does not exist; name the programs with --python and --ansible-playbook"
            )
    return python, playbook_program


def usable_cores() -> set[int]:
    """The cores that this process may use."""
    return os.sched_getaffinity(0)


def version(python: str) -> tuple[str, str]:
    """The versions of ansible-core and Python of an environment."""
    code = (
        'import sys, ansible.release as a; print(a.__version__, "%d.%d.%d" % sys.version_info[:3])'
    )
    core, _, interpreter = (
        subprocess.check_output([python, "-c", code], text=True).strip().partition(" ")
    )
    return core, interpreter
