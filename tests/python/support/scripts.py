# SPDX-License-Identifier: Apache-2.0
"""Running small programs in an interpreter of their own, which may live or die as they like."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support import no_processes

# A sanitizer's or a tracer's overhead is part of the bound; a hang is what it is to catch.
LIMIT = 60.0

# The variant of support/no_processes.py that programs run in; unset, they have processes. The tests
# themselves have, to run the programs. Those that need no program run inside: see needs_processes.
PROGRAMS_IN = os.environ.get("FORKLESS_PROGRAMS_IN")


def interpreter() -> list[str]:
    """The command that runs a Python program that uses forkless."""
    if PROGRAMS_IN is None:
        return [sys.executable]
    return [sys.executable, no_processes.__file__, "--variant", PROGRAMS_IN, "--"]


def environment(**changes: str) -> dict[str, str]:
    """The environment of a test program: ours, without what would change its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    for name in ("PYTHONMALLOC", "PYTHONPATH"):
        if name in os.environ:
            kept[name] = os.environ[name]
    return {**kept, "PYTHONWARNINGS": "ignore::DeprecationWarning", **changes}


class Scripts:
    """Writes programs into a folder and runs them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, source: str, name: str = "script.py") -> Path:
        path = self.folder / name
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    def run(self, source: str, *arguments: str, limit: float = LIMIT, **options: Any) -> Any:
        """Run a program to its end; its output as text."""
        return self.command(str(self.write(source)), *arguments, limit=limit, **options)

    def command(self, *arguments: str, limit: float = LIMIT, **options: Any) -> Any:
        """Run a Python interpreter with arguments."""
        return subprocess.run(
            [*interpreter(), *arguments],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=limit,
            cwd=self.folder,
            check=False,
            **{"env": environment(), **options},
        )

    def check(self, source: str, *arguments: str, **options: Any) -> list[str]:
        """Run a program that must end with status 0 and say nothing on stderr; its lines."""
        result = self.run(source, *arguments, **options)
        assert (result.returncode, result.stderr) == (0, ""), result
        return result.stdout.splitlines()

    def interrupt(self, source: str, signum: int = signal.SIGINT) -> tuple[int, str, float]:
        """Start a program, send it a signal once it has said "ready", and wait for its end.

        Returns its exit status, its further output, and the seconds from the signal to the end.
        """
        with subprocess.Popen(
            [*interpreter(), str(self.write(source))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(PYTHONUNBUFFERED="1"),
        ) as program:
            try:
                assert program.stdout is not None
                assert program.stdout.readline() == "ready\n"
                time.sleep(0.2)  # from there into its wait
                since = time.monotonic()
                program.send_signal(signum)
                output, _ = program.communicate(timeout=LIMIT)
            finally:
                program.kill()
            return program.returncode, output, time.monotonic() - since


def eventually(condition: Callable[[], object], limit: float = 20.0) -> bool:
    """Whether a condition comes true within the limit."""
    until = time.monotonic() + limit
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def normalised(text: str) -> str:
    """A report without what may differ: frames of the machinery, paths, pids and addresses."""
    lines = []
    skipping = False
    for line in text.splitlines():
        frame = re.match(r'^([ |+-]*)File "([^"]*)"', line)
        if frame:
            inside = re.search(r"[/\\](multiprocessing|forkless)[/\\]", frame.group(2))
            skipping = inside is not None
            indent = len(frame.group(1))
            line = re.sub(r'File ".*[/\\]', 'File "', line)
        elif skipping and len(line) - len(line.lstrip(" |")) <= indent:
            skipping = False
        if not skipping:
            lines.append(line)
    text = "\n".join(lines)
    text = re.sub(r"0x[0-9a-f]+", "0x…", text).replace("__mp_main__.", "")
    text = re.sub(r"repeated \d+ more times", "repeated … more times", text)
    return re.sub(r"\bpid=\d+|\bparent=\d+", "pid=…", text)
