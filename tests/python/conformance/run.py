# SPDX-License-Identifier: Apache-2.0
"""Runs the standard library's own tests of multiprocessing on actors, and compares with real processes.

    python run.py MODE... [--jobs N] [--limit SECONDS] [--only Class.test ...] [--results FILE]
    python run.py MODE... --record

A MODE is `fork`, `spawn` or `forkserver` (after forkless.install()), `actor`, or `futures` (the process
pool of concurrent.futures after install(), on 'fork'). `no-processes` is `fork` where the system has no
processes, `no-processes-futures` likewise (support/no_processes.py). With --record they run on real
processes instead and the baseline of this version is written anew. The tests run in several interpreters side by side. One
that hangs or dies costs the test that it was at: another goes on behind it.

It fails when a test fails, hangs or is missing that passes with real processes and is not listed in
`exceptions/`, and when a listed one passes; see expectations.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass, field
from typing import Any

import expectations
from expectations import Exceptions, Verdict

_HERE = pathlib.Path(__file__).resolve().parent
_EMULATION = _HERE.parent / "support" / "no_processes.py"
# Mode -> which suite, which start method, and in which variant of the emulation.
_MODES = {
    **{
        method: ("multiprocessing", method, None)
        for method in ("fork", "spawn", "forkserver", "actor", "interpreter")
    },
    "futures": ("futures", "fork", None),
    "no-processes": ("multiprocessing", "fork", "none"),
    "no-processes-futures": ("futures", "fork", "none"),
}

# What ours are compared with.
_LIKE = {"actor": "fork", "interpreter": "fork"}

# Classes that take long come first, so that no child is left with one at the end.
_LONG = ("Barrier", "Condition", "Manager", "Pool", "Wait", "Resource", "SharedMemory", "Deadlock")


@dataclass
class Run:
    """One mode on this interpreter."""

    suite: str
    method: str
    variant: str | None
    real: bool
    limit: float
    only: list[str]
    folder: pathlib.Path
    limits: dict[str, float] = field(default_factory=dict)  # of some tests, in place of `limit`
    leave_out: list[str] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    around: dict[str, str] = field(default_factory=dict)  # what failed outside of tests

    def plan(self, number: int, **more: Any) -> pathlib.Path:
        """Write what child `number` needs to know."""
        plan = {
            "real": self.real,
            "limit": self.limit,
            "limits": self.limits,
            "chosen": self.only,
            "leave_out": self.leave_out,
            "order": self.order,
            "claims": str(self.folder / "claims"),
            "events": str(self.folder / f"events-{number}"),
            "first": [],
            "list": False,
            **more,
        }
        path = self.folder / f"plan-{number}"
        path.write_text(json.dumps(plan), encoding="utf-8")
        return path


class Child:
    """An interpreter that runs tests, in a process group of its own."""

    def __init__(self, run: Run, number: int, **more: Any) -> None:
        self.events_file = run.folder / f"events-{number}"
        self.log = run.folder / f"log-{number}"
        work = run.folder / f"work-{number}"
        work.mkdir()
        emulation = [str(_EMULATION), "--variant", run.variant, "--"] if run.variant else []
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    *emulation,
                    str(_HERE / "child.py"),
                    str(run.plan(number, **more)),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=work,
                env=os.environ
                | {
                    "CONFORMANCE_SUITE": run.suite,
                    "CONFORMANCE_METHOD": run.method,
                    "PYTHONWARNINGS": "ignore::DeprecationWarning",
                },
                start_new_session=True,
            )
        self.heard = time.monotonic()

    def silent(self) -> float:
        """For how many seconds it has reported nothing."""
        with contextlib.suppress(FileNotFoundError):
            written = time.time() - self.events_file.stat().st_mtime
            return min(written, time.monotonic() - self.heard)
        return time.monotonic() - self.heard

    def events(self) -> list[dict[str, Any]]:
        if not self.events_file.exists():
            return []
        lines = self.events_file.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        """End it, with all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def tail(self) -> str:
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-150:])


def collect(run: Run, child: Child) -> list[str] | None:
    """Take over what a child that has ended reported.

    None: it was done. Otherwise the tests that are left of the class that it was at when it died.
    """
    current, done, ended = None, False, set()
    for event in child.events():
        if "start" in event:
            current = event["start"]
        elif "end" in event:
            test, current = event["end"], None
            ended.add(test)
            run.outcomes[test] = event["outcome"]
            run.details[test] = event["detail"]
            run.seconds[test] = event["seconds"]
        elif "failed" in event:
            run.around[event["failed"]] = event["detail"]
        done = done or event.get("done", False)
    status = child.process.returncode
    if done and status == 0:
        return None
    what = "hung" if status == 1 else f"died with status {status}"
    if done:
        run.around[f"the exit of an interpreter (log {child.log})"] = f"{what}\n{child.tail()}"
        return None
    if current is None:
        run.around[f"between tests (log {child.log})"] = f"{what}\n{child.tail()}"
        return [] if ended else None
    run.outcomes[current], run.details[current] = what, child.tail()
    class_name = current.split(".")[0]
    of_class = [t for t in all_tests(run) if t.startswith(f"{class_name}.")]
    return [t for t in of_class[of_class.index(current) + 1 :] if wanted(run, t)]


def wanted(run: Run, test: str) -> bool:
    return test not in run.leave_out and (not run.only or test in run.only)


def matching(tests: list[str], patterns: list[str]) -> list[str]:
    """The tests, or all tests of the classes, that are meant."""
    return [
        test
        for test in tests
        if any(fnmatch.fnmatch(test, p) or fnmatch.fnmatch(test.split(".")[0], p) for p in patterns)
    ]


def all_tests(run: Run) -> list[str]:
    """The names of all tests of the suite, in order; [] when the interpreter has no such suite."""
    known: list[str] | None = vars(run).get("_tests")
    if known is None:
        child = Child(run, 0, list=True)
        child.process.wait()
        known = [test for event in child.events() for test in event.get("tests", [])]
        child.end()
        if not known and "No module named 'test" not in child.tail():
            raise SystemExit(f"the tests cannot be listed:\n{child.tail()}")
        vars(run)["_tests"] = known
    return known


def execute(run: Run, jobs: int) -> None:
    """Run all tests of a mode, `jobs` children at a time."""
    (run.folder / "claims").mkdir()
    classes = dict.fromkeys(test.split(".")[0] for test in all_tests(run) if wanted(run, test))
    run.order = sorted(classes, key=lambda name: not any(word in name for word in _LONG))
    children: list[Child] = []
    started = 0
    try:
        for _ in range(min(jobs, len(run.order))):
            started += 1
            children.append(Child(run, started))
        while children:
            time.sleep(0.02)
            for child in list(children):
                if child.process.poll() is None and child.silent() < run.limit * 1.5 + 10:
                    continue
                child.end()
                children.remove(child)
                left = collect(run, child)
                if left is not None:
                    started += 1
                    children.append(Child(run, started, first=left))
    finally:
        for child in children:
            child.end()


def write_baseline(run: Run, varying: set[str]) -> None:
    """Record which tests do not pass with real processes; those that vary count as passed."""
    tests = all_tests(run)
    others = [t for t in tests if run.outcomes.get(t) != "passed" and t not in varying]
    lines = [
        f"# {run.suite}, start method {run.method!r}, real processes, CPython {sys.version.split()[0]}:",
        f"# {len(tests) - len(others)} of {len(tests)} tests pass. These do not; all others must.",
        *others,
    ]
    path = expectations.baseline_file(run.suite, run.method, expectations.version())
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {len(tests) - len(others)} pass, {len(others)} do not")
    for test in others:
        if run.outcomes.get(test) != "skipped":
            print(f"  {test}: {run.outcomes.get(test)}\n{run.details.get(test)}")


def report(run: Run, mode: str, verdict: Verdict, exceptions: Exceptions, seconds: float) -> None:
    """Say what is wrong, and count the rest."""
    for test, what in verdict.wrong.items():
        print(f"== {mode}: {test}: {what}\n{indented(run.details.get(test, ''))}")
    for what, detail in run.around.items():
        print(f"== {mode}: {what}\n{indented(detail)}")
    for test in verdict.excepted:
        print(f"   {mode}: as listed, {test}: {run.outcomes.get(test, 'not run')}")
    of = len(verdict.passed) + len(verdict.excepted) + len(verdict.wrong)
    print(
        f"{expectations.version()} {mode}: {len(verdict.passed)} of {of} that pass with processes; "
        f"{len(verdict.excepted)} listed exceptions, {len(verdict.wrong)} wrong, "
        f"{len(verdict.skipped)} skipped; {seconds:.1f} s",
        flush=True,
    )


def indented(text: str) -> str:
    return textwrap.indent(text, "  | ")


def slowest(run: Run) -> None:
    by_class: dict[str, float] = {}
    for test, seconds in run.seconds.items():
        name = test.split(".")[0]
        by_class[name] = by_class.get(name, 0.0) + seconds
    for name, seconds in sorted(by_class.items(), key=lambda item: -item[1])[:25]:
        print(f"  {seconds:7.2f} s  {name}")
    for name, seconds in sorted(run.seconds.items(), key=lambda item: -item[1])[:25]:
        print(f"  {seconds:7.2f} s  {name}")


def exceptions_of(mode: str, python: str) -> Exceptions:
    """What is listed for a mode. What cannot pass on actors cannot without processes either."""
    suite, method, variant = _MODES[mode]
    plain = suite if suite == "futures" else method
    text = expectations.exceptions_file(suite).read_text(encoding="utf-8")
    exceptions = Exceptions.read(text, plain, python)
    if variant is not None:
        text = expectations.exceptions_file(mode).read_text(encoding="utf-8")
        exceptions.add(text, mode, python)
    return exceptions


def run_mode(mode: str, options: argparse.Namespace, folder: pathlib.Path) -> Verdict | None:
    """One mode; None when this interpreter does not have the suite."""
    suite, method, variant = _MODES[mode]
    python = expectations.version()
    run = Run(suite, method, variant, options.record, options.limit, [], folder)
    exceptions = exceptions_of(mode, python)
    run.limits = exceptions.limits
    path = expectations.baseline_file(suite, _LIKE.get(method, method), python)
    if method == "interpreter" and sys.version_info < (3, 13):
        print(f"{python} {mode}: this version does not have the start method")
        return None
    if not all_tests(run):
        print(f"{python} {mode}: this interpreter has no such tests")
        return None
    if not options.record and not path.exists():
        print(f"{python} {mode}: there is no baseline; record one with --record")
        return Verdict(wrong={"baseline": "missing"})
    baseline = set() if options.record else expectations.read_baseline(path)
    if not options.only and not options.record:
        run.leave_out = [*sorted(exceptions.not_run), *sorted(baseline)]
    since = time.monotonic()
    if options.only:
        run.only = matching(all_tests(run), options.only)
    execute(run, options.jobs)
    if options.durations:
        slowest(run)
    if options.record:
        write_baseline(run, exceptions.varying)
        return None
    tests = [test for test in all_tests(run) if wanted(run, test) or not options.only]
    if options.only:
        exceptions.reasons = {t: r for t, r in exceptions.reasons.items() if t in tests}
    verdict = expectations.judge(tests, run.outcomes, baseline, exceptions)
    report(run, mode, verdict, exceptions, time.monotonic() - since)
    verdict.wrong.update(dict.fromkeys(run.around, "failed"))
    return verdict


def write_results(path: str, mode: str, verdict: Verdict) -> None:
    """Append lines of "label passed failed skipped": one for the mode and one for each test that is wrong."""
    skipped = len(verdict.excepted + verdict.skipped)
    lines = [(mode, len(verdict.passed), 0, skipped)]
    lines += [(f"{mode}: {test}", 0, 1, 0) for test in verdict.wrong]
    with open(path, "a", encoding="utf-8") as results:
        results.writelines("\t".join(map(str, line)) + "\n" for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modes", nargs="+", choices=_MODES, metavar="MODE", help=", ".join(_MODES))
    parser.add_argument("--jobs", type=int, default=4, help="interpreters at a time")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds until a test has hung")
    parser.add_argument("--only", nargs="+", default=[], metavar="PATTERN", help="Class.test")
    parser.add_argument("--record", action="store_true", help="run real processes, write baselines")
    parser.add_argument("--results", help="append lines for .ci/results.sh")
    parser.add_argument("--durations", action="store_true", help="name what took longest")
    options = parser.parse_args()
    wrong = 0
    for mode in options.modes:
        with tempfile.TemporaryDirectory(
            prefix="conformance-", ignore_cleanup_errors=True
        ) as folder:
            verdict = run_mode(mode, options, pathlib.Path(folder))
        if verdict is None:
            continue
        wrong += len(verdict.wrong)
        if options.results:
            write_results(options.results, mode, verdict)
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
