# SPDX-License-Identifier: Apache-2.0
"""Runs the probes in interpreters of their own, all modes at the same time."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import run
from support.scripts import PROGRAMS_IN, environment, interpreter

__all__ = ["observations", "observed"]

LIMIT = 300.0  # seconds for one mode


def _program(mode: str) -> list[str]:
    """Real processes need an interpreter that has them."""
    return [sys.executable] if mode == "fork" else interpreter()


def observed() -> list[str]:
    """The probes that can show something here."""
    return [
        name
        for name, probe in run.load().items()
        if probe.since <= sys.version_info and not (PROGRAMS_IN and probe.starts_programs)
    ]


def _observe(mode: str) -> tuple[dict[str, Any], str]:
    """What each probe saw, and what the programs wrote on stderr."""
    left = observed()
    seen: dict[str, Any] = {}
    log = ""
    while left:
        result = subprocess.run(
            [*_program(mode), run.__file__, mode, *left],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
            env=environment(),
        )
        seen.update(json.loads(line) for line in result.stdout.splitlines() if line[:1] == "[")
        log += result.stderr
        left = [name for name in left if name not in seen]
        if left and result.returncode != 0:
            seen[left.pop(0)] = "hangs, or ends the interpreter"
        elif left:
            raise AssertionError(f"{mode}: {left} are missing\n{log}")
    return seen, log


@functools.cache
def observations() -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Mode -> probe -> what it saw; mode -> what was written on stderr."""
    with ThreadPoolExecutor(len(run.MODES)) as pool:
        results = dict(zip(run.MODES, pool.map(_observe, run.MODES)))
    return {m: seen for m, (seen, _) in results.items()}, {
        m: log for m, (_, log) in results.items()
    }
