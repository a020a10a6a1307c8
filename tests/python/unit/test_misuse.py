# SPDX-License-Identifier: Apache-2.0
"""Wrong uses are answered as real multiprocessing answers them: the same exceptions, the same words."""

import functools
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import misuse_cases
from support.scripts import environment, interpreter

pytestmark = pytest.mark.runs_programs

PROGRAM = Path(misuse_cases.__file__)

# What forkless answers where it means to differ, by case.
DIFFERENT = {
    # An addition fails in the standard library; here the argument is checked.
    "get_with_text_as_timeout": "TypeError: must be real number, not str",
    # Functions travel by reference, so that a lambda is no obstacle. Under fork it never was one.
    "unpicklable_target": "returned None",
}
# Cases that hand a process object to a child, which needs fork.
NEEDS_FORK = {"start_anothers", "join_anothers", "look_at_anothers"}


@functools.cache
def answers(side, method):
    python = interpreter() if side == "forkless" else [sys.executable]
    result = subprocess.run(
        [*python, str(PROGRAM), side, method],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment(),
    )
    assert result.returncode == 0, result
    return json.loads(result.stdout.splitlines()[-1])


def words(answer):
    answer = re.sub(r"0x[0-9a-f]+", "0x…", answer)
    return re.sub(r"<\S+ object at", "<… object at", answer)  # classes live in other modules


@pytest.mark.parametrize("case", misuse_cases.CASES)
def test_forkless_answers_like_forked_processes(case):
    compare(case, "fork")


@pytest.mark.parametrize("case", sorted(set(misuse_cases.CASES) - NEEDS_FORK))
def test_forkless_answers_like_spawned_processes(case):
    compare(case, "spawn")


def compare(case, method):
    expected = DIFFERENT.get(case) or words(answers("real", method)[case])
    assert words(answers("forkless", method)[case]) == expected
