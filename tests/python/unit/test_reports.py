# SPDX-License-Identifier: Apache-2.0
"""What failing processes report: the same as with real processes, word for word.

The same program runs once on real processes and once on forkless. Left out of the comparison are the
frames of the machinery itself, paths, addresses, and the module name that spawn gives to the program.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from support import report_cases
from support.scripts import environment, interpreter, normalised

pytestmark = pytest.mark.runs_programs

PROGRAM = Path(report_cases.__file__)
CASES = sorted(
    name
    for name, value in vars(report_cases).items()
    if type(value) is type(report_cases.main)
    and value.__module__ == report_cases.__name__
    and name not in report_cases.NOT_CASES
)

# Starting these costs a whole interpreter each, so: those that could differ from forked ones.
SPAWNED = [
    "daemon_with_children",
    "exits_at_once",
    "exits_with_256",
    "exits_with_text",
    "puts_exception",
    "puts_unpicklable",
    "raises_custom",
    "raises_group",
    "raises_interrupt",
    "raises_with_cause",
    "terminates_itself",
    "wrong_arguments",
]


@functools.cache
def outcomes(side, method):
    cases = SPAWNED if method == "spawn" else CASES
    python = interpreter() if side == "forkless" else [sys.executable]
    result = subprocess.run(
        [*python, str(PROGRAM), side, method, *cases],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment(),
    )
    assert result.returncode == 0, result
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("case", CASES)
def test_forked_processes_report_the_same_on_forkless(case):
    compare(case, "fork")


@pytest.mark.parametrize("case", SPAWNED)
def test_spawned_processes_report_the_same_on_forkless(case):
    compare(case, "spawn")


def compare(case, method):
    real_code, real_text, real_items = outcomes("real", method)[case]
    code, text, items = outcomes("forkless", method)[case]
    assert code == real_code
    assert normalised(text) == normalised(real_text)
    assert items == real_items
