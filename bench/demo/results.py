# SPDX-License-Identifier: Apache-2.0
"""Read the records of a run, take out what differs from run to run anyway, and compare two runs.

What is taken out, and only that: times and durations, process ids, names of temporary files,
measured loads and free memory, and the order in which different hosts finish. The order of the
events of one host is compared.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

# Keys whose values are a time, a duration or something that the machine measured at that moment.
VOLATILE = frozenset(
    {
        "start",
        "end",
        "delta",
        "atime",
        "mtime",
        "ctime",
        "date_time",
        "ansible_date_time",
        "uptime_seconds",
        "ansible_uptime_seconds",
        "loadavg",
        "ansible_loadavg",
        "memfree_mb",
        "ansible_memfree_mb",
        "memory_mb",
        "ansible_memory_mb",
        "swapfree_mb",
        "ansible_swapfree_mb",
        "mounts",
        "ansible_mounts",
        "inode",
        "ansible_job_id",
        "results_file",
        "remote_tmp",
        "user_agent",
    }
)

# Names that the run makes up. The number groups are a time, a process id and a random number.
MADE_UP = (
    (re.compile(r"ansible-tmp-[0-9.]+-\d+-\d+"), "ansible-tmp"),
    (re.compile(r"ansible-local-\d+\w*"), "ansible-local"),
    (re.compile(r"\btmp[a-z0-9_]{8}\b"), "tmp"),
    (re.compile(r"(source|ansible\.)\.?[a-z0-9_]{8}\b(?=/|$)"), r"\1"),
    (re.compile(r"\.ansible_\w+"), ".ansible"),
    (re.compile(r"j\d{8,}\.\d+"), "job"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?"), "TIME"),
    (re.compile(r"\b(pid|PID)[ =:]+\d+"), r"\1 N"),
    (re.compile(r"Paused for [0-9.]+ seconds"), "Paused"),
    (re.compile(r"BECOME-SUCCESS-\w+"), "BECOME-SUCCESS"),
)

# A volatile key with its value in JSON on the screen: a text, a number, or all up to the end of
# the line.
VOLATILE_ON_SCREEN = re.compile(
    r'"(%s)": ("(?:[^"\\]|\\.)*"|[-0-9.]+|[\[{]$)' % "|".join(sorted(VOLATILE))
)


@dataclasses.dataclass
class Results:
    """All that one run said, per host."""

    controller: int = 0
    hosts: dict[str, list[dict[str, Any]]] = dataclasses.field(default_factory=dict)
    screen: list[str] = dataclasses.field(default_factory=list)
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    status: int = 0
    events: int = 0
    tasks: int = 0
    values: int = 0


def normal_text(text: str, area: str) -> str:
    """Take the names that a run makes up out of a text."""
    text = text.replace(area, "<area>")
    for pattern, replacement in MADE_UP:
        text = pattern.sub(replacement, text)
    return text


def normal(value: Any, area: str) -> Any:
    """Take what differs from run to run anyway out of a value; the keys stay."""
    if isinstance(value, dict):
        return {
            key: "<volatile>" if key in VOLATILE else normal(child, area)
            for key, child in value.items()
        }
    if isinstance(value, list):
        return [normal(child, area) for child in value]
    if isinstance(value, str):
        return normal_text(value, area)
    return value


def normal_lines(text: str, area: str) -> list[str]:
    """The lines of the screen, sorted, because different hosts may finish in any order."""
    lines = (normal_line(normal_text(line, area)).strip().rstrip(",") for line in text.splitlines())
    return sorted(line for line in lines if line)


def normal_line(line: str) -> str:
    """Take out the values of volatile keys, and the order in which hosts came to an include."""
    line = VOLATILE_ON_SCREEN.sub(r'"\1"', line)
    if line.startswith("included: "):
        before, _, hosts = line.partition(" for ")
        hosts, arrow, label = hosts.partition(" => ")
        line = f"{before} for {', '.join(sorted(hosts.split(', ')))}{arrow}{label}"
    return line


def count(value: Any) -> int:
    """The number of leaves of a value."""
    if isinstance(value, dict):
        return sum(map(count, value.values()))
    if isinstance(value, list):
        return sum(map(count, value))
    return 1


def read(path: pathlib.Path, area: str) -> Results:
    """Read the JSON lines that the `record` callback wrote."""
    run = Results()
    for line in path.read_text(errors="surrogateescape").splitlines():
        record = json.loads(line)
        event = record["event"]
        if event == "begin":
            run.controller = record["controller"]
            continue
        if event == "end":
            continue
        run.events += 1
        run.tasks += event == "start"
        clean = normal(record, area)
        run.values += count(clean)
        run.hosts.setdefault(record["host"], []).append(clean)
    return run


def differing(first: Any, second: Any, path: str = "") -> Iterator[str]:
    """Describe each place where two values differ."""
    if isinstance(first, dict) and isinstance(second, dict):
        for key in first.keys() | second.keys():
            if key not in first or key not in second:
                side = "forkless" if key not in first else "fork"
                yield f"{path}/{key}: only on {side}: {(first if key in first else second)[key]!r:.200}"
            else:
                yield from differing(first[key], second[key], f"{path}/{key}")
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for number, (one, other) in enumerate(zip(first, second)):
            yield from differing(one, other, f"{path}/{number}")
    elif first != second or type(first) is not type(second):
        yield f"{path}: {first!r:.300} on fork, {second!r:.300} on forkless"


def differences(fork: Results, forkless: Results) -> list[str]:
    """Describe everything in which two runs differ, the results first."""
    found: list[str] = []
    if fork.status != forkless.status:
        found.append(f"exit status: {fork.status} on fork, {forkless.status} on forkless")
    for host in sorted(fork.hosts.keys() | forkless.hosts.keys()):
        one, other = fork.hosts.get(host, []), forkless.hosts.get(host, [])
        names = [
            [f"{event['event']} {event['task']}" for event in events] for events in (one, other)
        ]
        if names[0] != names[1]:
            found += [f"{host}, order of events: {line}" for line in differing(*names)]
            continue
        for first, second in zip(one, other):
            found += [
                f"{host}, {first['event']} {first['task']}: {line}"
                for line in differing(first, second)
            ]
    found += [f"files: {line}" for line in differing(fork.files, forkless.files)]
    missing, added = list(fork.screen), []
    for line in forkless.screen:
        try:
            missing.remove(line)
        except ValueError:
            added.append(line)
    found += [f"screen, only on fork: {line[:300]}" for line in missing]
    found += [f"screen, only on forkless: {line[:300]}" for line in added]
    return found
