# SPDX-License-Identifier: Apache-2.0
"""The programs in docs/python.md do what it says."""

import pathlib
import re

import pytest

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs" / "python.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_a_program_of_the_guide_runs(scripts, program):
    assert scripts.check(program) == []


def test_the_guide_has_programs():
    assert PROGRAMS
