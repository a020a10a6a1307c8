# SPDX-License-Identifier: Apache-2.0
"""expectations: what the job that runs the upstream tests calls wrong."""

import expectations
import pytest
from expectations import Exceptions, judge

LISTED = """
[[except]]
tests = ["Case.test_listed"]
reason = "It cannot."
[[except]]
tests = ["Case.test_varying"]
varies = true
limit = 5
reason = "It depends."
[[except]]
tests = ["Case.test_deadly"]
run = false
reason = "It kills."
"""
TESTS = [f"Case.test_{name}" for name in ("good", "listed", "varying", "deadly", "fails_anyway")]
BASELINE = {"Case.test_fails_anyway"}
AS_EXPECTED = {"Case.test_good": "passed", "Case.test_listed": "failed"}


def wrong(text=LISTED, tests=TESTS, **outcomes):
    changed = {f"Case.test_{name}": outcome for name, outcome in outcomes.items()}
    exceptions = Exceptions.read(text, "fork", "3.13")
    return judge(tests, AS_EXPECTED | changed, BASELINE, exceptions).wrong


def test_nothing_is_wrong_when_all_is_as_listed():
    assert not wrong() and not wrong(varying="passed") and not wrong(varying="hung")


@pytest.mark.parametrize("outcome", ["failed", "hung", "skipped", "missing"])
def test_a_test_that_is_not_listed_must_pass(outcome):
    assert wrong(good=outcome) == {"Case.test_good": outcome}


def test_a_listed_test_must_not_pass():
    assert wrong(listed="passed") == {"Case.test_listed": "passed, but is listed as an exception"}


def test_an_entry_must_name_a_test_that_passes_with_processes():
    assert not wrong(tests=TESTS[:3])
    more = LISTED.replace("test_listed", "test_fails_anyway")
    assert wrong(more, listed="passed") == {
        "Case.test_fails_anyway": "is listed as an exception, but fails with processes too"
    }


@pytest.mark.parametrize("line", ["resaon = 'x'", "modes = ['actor']\nreson = 'x'", ""])
def test_an_entry_needs_a_reason_and_nothing_unknown(line):
    with pytest.raises(ValueError, match="needs tests and a reason"):
        Exceptions.read(f"[[except]]\ntests = ['a.b']\n{line}", "fork", "3.13")


def test_an_entry_may_be_about_some_modes():
    listed = LISTED.replace(
        'tests = ["Case.test_listed"]', 'tests = ["Case.test_listed"]\nmodes = ["actor"]'
    )
    assert "Case.test_listed" not in Exceptions.read(listed, "fork", "3.13").reasons
    assert "Case.test_listed" in Exceptions.read(listed, "actor", "3.13").reasons


@pytest.mark.parametrize(
    ("versions", "included", "excluded"),
    [
        ("", ["3.11", "3.13t", "3.14"], []),
        ("3.12", ["3.12"], ["3.11", "3.13"]),
        ("3.13t", ["3.13t"], ["3.13"]),
        ("3.12-", ["3.12", "3.13t", "3.14"], ["3.11"]),
        ("-3.12", ["3.11", "3.12"], ["3.13", "3.13t"]),
        ("3.12-3.13", ["3.12", "3.13", "3.13t"], ["3.11", "3.14"]),
    ],
)
def test_a_range_of_versions(versions, included, excluded):
    assert all(expectations.concerns(versions, python) for python in included)
    assert not any(expectations.concerns(versions, python) for python in excluded)


@pytest.mark.parametrize("suite", ["multiprocessing", "futures"])
def test_the_lists_can_be_read(suite):
    text = expectations.exceptions_file(suite).read_text(encoding="utf-8")
    assert Exceptions.read(text, "fork", "3.13").reasons
