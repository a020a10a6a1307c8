# SPDX-License-Identifier: Apache-2.0
"""What a probe is: a function that uses public names and returns what it saw, as plain data.

It is run with real processes and with simulated ones, and finds the start method set as the default. What
may differ from run to run (pids, names of files) it leaves out of what it returns.
"""

from __future__ import annotations

import contextlib
import inspect
import multiprocessing
import os
import re
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

__all__ = [
    "LIMIT",
    "PROBES",
    "child",
    "expand",
    "in_child",
    "outcome",
    "probe",
    "stderr_of",
    "until",
    "until_nothing_is_left",
]

LIMIT = 30.0  # seconds for anything that is waited for
_BRACES = re.compile(r"(.*)\{(.*)\}$")


@dataclass(frozen=True)
class Probe:
    """A function and the names that it shows something about."""

    function: Callable[[], Any]
    names: tuple[str, ...]
    since: tuple[int, int] = (3, 11)  # the first Python that has what it looks at
    starts_programs: bool = False  # or needs real processes in another way

    @property
    def name(self) -> str:
        return self.function.__name__

    def source(self) -> str:
        """The text of the function and of what it calls in its module."""
        seen: dict[str, str] = {}
        _add_source(self.function, seen)
        return "\n".join(seen.values())


PROBES: dict[str, Probe] = {}


def _add_source(thing: Any, seen: dict[str, str]) -> None:
    key = f"{thing.__module__}.{thing.__qualname__}"
    if key in seen:
        return
    source = inspect.getsource(thing)
    seen[key] = source[re.search(r"^(class|def) ", source, re.MULTILINE).start() :]  # type: ignore
    module = sys.modules[thing.__module__]
    for word in set(re.findall(r"\w+", seen[key])):
        used = vars(module).get(word)
        if isinstance(used, (types.FunctionType, type)) and used.__module__ in (
            module.__name__,
            __name__,
        ):
            _add_source(used, seen)


def expand(*names: str) -> tuple[str, ...]:
    """The names that are meant: "a.{b,c}" stands for "a.b" and "a.c"."""
    expanded: list[str] = []
    for name in names:
        braces = _BRACES.match(name)
        if braces is None:
            expanded.append(name)
        else:
            expanded += [braces[1] + part.strip() for part in braces[2].split(",")]
    return tuple(expanded)


def probe(
    *names: str, since: tuple[int, int] = (3, 11), starts_programs: bool = False
) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Register a probe of `names`, see expand()."""
    expanded = expand(*names)

    def register(function: Callable[[], Any]) -> Callable[[], Any]:
        assert function.__name__ not in PROBES, function.__name__
        PROBES[function.__name__] = Probe(function, expanded, since, starts_programs)
        return function

    return register


# What probes are made of


def outcome(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a call returned, or the type and the text of what it raised; EOFError needs no text."""
    try:
        return function(*args, **kwargs)
    except (Exception, SystemExit) as error:
        return f"{type(error).__name__}: {'' if isinstance(error, EOFError) else error}"


def child(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """A started process that calls `function`."""
    process = multiprocessing.Process(target=function, args=args, **options)
    process.start()
    return process


def in_child(function: Callable[..., Any], *args: Any) -> Any:
    """What `function` returned, or raised, in a process of its own."""
    answers = multiprocessing.SimpleQueue()
    process = child(_answer, answers, function, args)
    process.join(LIMIT)
    return "no answer" if answers.empty() else answers.get()


def _answer(answers: Any, function: Callable[..., Any], args: Any) -> None:
    answers.put(outcome(function, *args))


def until(condition: Callable[[], object]) -> bool:
    """Whether a condition comes true in time."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def until_nothing_is_left() -> None:
    """Wait for the threads of simulated processes that have ended."""
    if "forkless" in sys.modules:
        from forkless import _core

        until(lambda: not _core.counters()["orphans"])


@contextlib.contextmanager
def stderr_of() -> Iterator[list[str]]:
    """What is written to descriptor 2 inside of the block, also by children: lines, in a list."""
    lines: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile() as file:
        saved = os.dup(2)
        os.dup2(file.fileno(), 2)
        try:
            yield lines
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
            file.seek(0)
            lines += file.read().decode().splitlines()
