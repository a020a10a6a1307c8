# SPDX-License-Identifier: Apache-2.0
"""Runs classes of upstream tests in this interpreter; one of several that run.py keeps.

child.py PLAN, a JSON file: see run.py. Classes are claimed from a list that all children share, so that
none is idle. What happens is appended to a file, a line of JSON for each start and each end of a test: when
this interpreter dies, that tells which test it was. A test that takes longer than the limit ends it, after
the stacks of all threads were printed.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
import traceback
import unittest
from collections.abc import Iterator
from typing import Any


class Claimed(unittest.TestSuite):
    """The tests of the classes that this child claims, one class after the other."""

    _cleanup = False  # there is nothing to forget: tests are made when they are due

    def __init__(self, plan: dict[str, Any], classes: dict[str, Any]) -> None:
        super().__init__()
        self.plan = plan
        self.classes = classes
        self.left_out = set(plan["leave_out"])
        self.chosen = set(plan["chosen"])

    def __iter__(self) -> Iterator[Any]:
        for test in self.plan["first"]:
            class_name, method = test.split(".")
            yield self.classes[class_name](method)
        for class_name in self.plan["order"]:
            if self._claim(class_name):
                for method in unittest.defaultTestLoader.getTestCaseNames(self.classes[class_name]):
                    test = f"{class_name}.{method}"
                    if test not in self.left_out and (not self.chosen or test in self.chosen):
                        yield self.classes[class_name](method)

    def _claim(self, class_name: str) -> bool:
        try:
            os.close(os.open(f"{self.plan['claims']}/{class_name}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


class Reporter(unittest.TestResult):
    """Writes what happens, and watches over the time that a test takes."""

    def __init__(self, plan: dict[str, Any]) -> None:
        super().__init__()
        self.plan = plan
        self.outcome = "passed"
        self.detail = ""
        self.since = 0.0
        self.method: str | None = None

    def write(self, **event: Any) -> None:
        with open(self.plan["events"], "a", encoding="utf-8") as events:
            events.write(json.dumps(event) + "\n")

    def startTest(self, test: Any) -> None:
        super().startTest(test)
        watch(self.plan, name_of(test))
        self.outcome, self.detail, self.since = "passed", "", time.monotonic()
        self.method = multiprocessing.get_start_method(allow_none=True)
        self.write(start=name_of(test))
        print(f"-- {name_of(test)}", file=sys.stderr, flush=True)

    def stopTest(self, test: Any) -> None:
        super().stopTest(test)
        seconds = round(time.monotonic() - self.since, 3)
        self.write(end=name_of(test), outcome=self.outcome, detail=self.detail, seconds=seconds)
        # Some leave another one behind, and which tests come next is for the machine to say.
        multiprocessing.set_start_method(self.method, force=True)
        watch(self.plan)

    def _failed(self, test: Any, error: Any) -> None:
        text = "".join(traceback.format_exception(*error))
        if isinstance(test, unittest.TestCase):
            self.outcome, self.detail = "failed", self.detail + text
        else:  # the set-up or the tear-down of a class or module
            self.write(failed=str(test), detail=text)

    def addError(self, test: Any, err: Any) -> None:
        self._failed(test, err)

    def addFailure(self, test: Any, err: Any) -> None:
        self._failed(test, err)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:
        if err is not None:
            self._failed(test, err)

    def addSkip(self, test: Any, reason: str) -> None:
        if isinstance(test, unittest.TestCase):
            self.outcome, self.detail = "skipped", reason
        else:
            self.write(failed=str(test), detail=f"skipped: {reason}")

    def addExpectedFailure(self, test: Any, err: Any) -> None:
        pass

    def addUnexpectedSuccess(self, test: Any) -> None:
        self.outcome, self.detail = "failed", "unexpected success"


def name_of(test: Any) -> str:
    return f"{type(test).__qualname__}.{test._testMethodName}"


def watch(plan: dict[str, Any], test: str = "") -> None:
    """From now on, count the time until all stacks are printed and the interpreter is ended."""
    import faulthandler  # which simulated processes in interpreters of their own cannot

    faulthandler.dump_traceback_later(plan["limits"].get(test, plan["limit"]), exit=True)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        plan = json.load(file)
    import faulthandler

    faulthandler.enable()
    watch(plan)
    if not plan["real"]:
        import forkless

        if os.environ["CONFORMANCE_METHOD"] not in ("actor", "interpreter"):
            forkless.install()
    import cases

    found = cases.classes()
    reporter = Reporter(plan)
    if plan["list"]:
        loader = unittest.defaultTestLoader
        tests = [f"{name}.{m}" for name, c in found.items() for m in loader.getTestCaseNames(c)]
        reporter.write(tests=tests)
    else:
        Claimed(plan, found).run(reporter)
        reporter.write(done=True)
    watch(plan)  # for the exit of the interpreter


if __name__ == "__main__":
    main()
