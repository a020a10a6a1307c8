# SPDX-License-Identifier: Apache-2.0
"""What is expected of each test, and what to say of what came of it. Pure functions and data files.

`baseline/SUITE-METHOD-VERSION.txt` names the tests that do *not* pass with real processes on that version;
all others must pass on actors, but for those in `exceptions/SUITE.toml` and, where there are no processes, in
`exceptions/MODE.toml` as well. There, each table `[[except]]` has

- `tests`: their names, `Class.test`; patch releases add some, so that it may name one that there is not;
- `reason`: why they cannot pass, or do not yet;
- `modes` (optional): the modes of run.py that it is about;
- `pythons` (optional): versions that it is about, such as "3.13-", "-3.12", "3.12-3.13" or "3.13t";
- `varies = true` (optional): a test that sometimes passes, and the reason says why;
- `limit = 5` (optional): seconds after which such a test has hung, instead of those of all others;
- `run = false` (optional): a test that is not even started, because it would end the interpreter.
"""

from __future__ import annotations

import pathlib
import sys
import sysconfig
import tomllib
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Exceptions",
    "Verdict",
    "baseline_file",
    "exceptions_file",
    "judge",
    "read_baseline",
    "version",
]

_HERE = pathlib.Path(__file__).resolve().parent


def version() -> str:
    """The version of the running interpreter, as the data files call it: 3.13, or 3.13t."""
    free_threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    return f"{sys.version_info.major}.{sys.version_info.minor}{free_threaded}"


def baseline_file(suite: str, method: str, python: str) -> pathlib.Path:
    """Where the tests are named that do not pass with real processes."""
    return _HERE / "baseline" / f"{suite}-{method}-{python}.txt"


def exceptions_file(name: str) -> pathlib.Path:
    """Where the exceptions of a suite, or of a mode without processes, are listed."""
    return _HERE / "exceptions" / f"{name}.toml"


def read_baseline(path: pathlib.Path) -> set[str]:
    """The names in a baseline; comments begin with '#'."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


@dataclass
class Exceptions:
    """The exceptions of a mode that concern one version of Python."""

    reasons: dict[str, str] = field(default_factory=dict)
    varying: set[str] = field(default_factory=set)
    not_run: set[str] = field(default_factory=set)
    limits: dict[str, float] = field(default_factory=dict)

    @classmethod
    def read(cls, text: str, mode: str, python: str) -> Exceptions:
        """The entries of a file. Raises ValueError for an entry that is not as it should be."""
        return cls().add(text, mode, python)

    def add(self, text: str, mode: str, python: str) -> Exceptions:
        """The same with the entries of a further file."""
        for entry in tomllib.loads(text).get("except", []):
            self._add(entry, mode, python)
        return self

    def _add(self, entry: dict[str, Any], mode: str, python: str) -> None:
        unknown = set(entry) - {"tests", "reason", "modes", "pythons", "varies", "run", "limit"}
        if unknown or not entry.get("tests") or not entry.get("reason"):
            raise ValueError(
                f"an exception needs tests and a reason, and knows no {unknown}: {entry}"
            )
        if mode not in entry.get("modes", [mode]) or not concerns(entry.get("pythons", ""), python):
            return
        for test in entry["tests"]:
            self.reasons[test] = entry["reason"]
            if entry.get("varies"):
                self.varying.add(test)
            if entry.get("run") is False:
                self.not_run.add(test)
            if "limit" in entry:
                self.limits[test] = entry["limit"]


def concerns(versions: str, python: str) -> bool:
    """Whether "3.12-3.13", "3.13-", "-3.12", "3.13" or "3.13t" includes a version; "" includes all.

    A free-threaded version is in the ranges that its number is in.
    """
    if not versions or versions == python:
        return True
    low, dash, high = versions.partition("-")
    number = _number(python)
    if not dash:
        return not versions.endswith("t") and _number(versions) == number
    return (not low or _number(low) <= number) and (not high or number <= _number(high))


def _number(python: str) -> tuple[int, ...]:
    return tuple(int(part) for part in python.rstrip("t").split("."))


@dataclass
class Verdict:
    """What came of a run."""

    passed: list[str] = field(default_factory=list)
    excepted: list[str] = field(default_factory=list)  # failed, as listed
    skipped: list[str] = field(default_factory=list)  # does not pass with real processes either
    wrong: dict[str, str] = field(default_factory=dict)  # test -> what is wrong


def judge(
    tests: list[str], outcomes: dict[str, str], baseline: set[str], exceptions: Exceptions
) -> Verdict:
    """Compare outcomes ("passed", "failed", "skipped", or what else befell a test) with what is expected.

    `tests` are all that the suite has; one without an outcome is missing.
    """
    verdict = Verdict()
    for test in tests:
        outcome = outcomes.get(test, "missing")
        if test in baseline:
            verdict.skipped.append(test)
        elif test in exceptions.not_run:
            verdict.excepted.append(test)
        elif test not in exceptions.reasons:
            if outcome == "passed":
                verdict.passed.append(test)
            else:
                verdict.wrong[test] = outcome
        elif outcome == "passed" and test not in exceptions.varying:
            verdict.wrong[test] = "passed, but is listed as an exception"
        elif outcome == "passed":
            verdict.passed.append(test)
        else:
            verdict.excepted.append(test)
    for test in exceptions.reasons:
        if test in baseline and test in tests:
            verdict.wrong[test] = "is listed as an exception, but fails with processes too"
    return verdict
