#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Run the programs of the Savina benchmarks for forkless and its peers, and compare.

Each round runs every contender once, one after the other, so that what disturbs the machine
disturbs all of them. Figures are medians over the rounds. A run whose counters and checksum are not
what they must be counts as failed. `make bench-runtime` builds everything first.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import report
from contenders import BUILT, Contender, Failure, Run, contenders, run
from programs import (
    ALIVE,
    CURVES,
    GOALS,
    MOST_THREADS,
    PREEMPTED,
    PROGRAMS,
    TEN_THOUSAND,
    Curve,
    Program,
)

CURVE_REPEAT = 3  # rounds at most for a point of a curve
EXTRAS = ("curves", "alive", "ten_thousand", "preempted")

Results = dict[str, list[Run] | str]  # by contender; a text says why there are none


def say(text: str) -> None:
    """Progress, for who waits."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def measure(
    program: Program,
    params: tuple[int, ...],
    taking_part: list[Contender],
    repeat: int,
    failures: list[str],
) -> Results:
    """The runs of each contender that has the program, taken in turn."""
    results: Results = {c.name: [] for c in taking_part if c.has(program, params)}
    for number in range(min(repeat, program.repeat)):
        for contender in taking_part:
            runs = results.get(contender.name)
            if not isinstance(runs, list):
                continue
            say(f"{program.name} {params}: round {number + 1}, {contender.name}")
            try:
                runs.append(run(contender, program, params))
            except Failure as failure:
                results[contender.name] = str(failure).split(":", 1)[0]
                failures.append(f"{program.name} {params}, {contender.name}: {failure}")
    say("")
    return results


def smoke(taking_part: list[Contender], variant: str) -> int:
    """Runs everything with small parameters once; says what failed."""
    failed = 0
    programs = [*PROGRAMS.values(), ALIVE]
    if variant not in ("asan", "tsan"):  # they reserve all of the address space
        programs.append(TEN_THOUSAND)
    for program in programs:
        for contender in taking_part:
            if not contender.has(program, program.smoke):
                continue
            try:
                run(contender, program, program.smoke)
            except Failure as failure:
                failed += 1
                print(f"{program.name}, {contender.name}: {failure}")
    names = ", ".join(contender.name for contender in taking_part)
    print(f"{len(programs)} programs of {names}: {failed} failed")
    return 1 if failed else 0


def measure_curve(
    curve: Curve, taking_part: list[Contender], repeat: int, failures: list[str]
) -> dict[str, dict[int, float]]:
    points: dict[str, dict[int, float]] = {c.name: {} for c in taking_part if c.name != "raw"}
    some = [c for c in taking_part if c.name in points]
    for x, params in curve.points.items():
        times = measure(curve.program, params, some, min(repeat, CURVE_REPEAT), failures)
        for name, runs in times.items():
            if isinstance(runs, list) and runs:
                points[name][x] = report.typical(runs)
    return points


def show_alive(taking_part: list[Contender], failures: list[str]) -> dict[str, Any]:
    """Memory and time of very many actors at once."""
    rows, content = [], {}
    for contender in taking_part:
        many = MOST_THREADS if contender.name == "thread" else ALIVE.params[0]
        if not contender.has(ALIVE, (many,)):
            continue
        runs = measure(ALIVE, (many,), [contender], 1, failures)[contender.name]
        content[contender.name] = report.as_numbers(runs)
        if isinstance(runs, list) and runs:
            one = runs[0]
            bytes_each = f"{(one.bytes or 0) / many:,.0f}"
            rows.append([contender.name, f"{many:,}", bytes_each, report.duration(one.each)])
        else:
            rows.append([contender.name, f"{many:,}", "-", str(runs)])
    report.table(["alive at once", "actors", "bytes of an actor", "time of an actor"], rows)
    return content


def show_ten_thousand(taking_part: list[Contender], failures: list[str]) -> list[dict[str, Any]]:
    """Whether so many threads live within the system's usual limits, and what comes beyond."""
    verdicts = []
    for name, runs in measure(TEN_THOUSAND, TEN_THOUSAND.params, taking_part, 1, failures).items():
        note = runs[0].note if isinstance(runs, list) and runs else str(runs)
        verdicts.append(
            {
                "goal": f"10,000 {name} actors alive at once; past the limit there is an error",
                "measured": str(note),
                "wanted": "FKL_ETHREAD",
                "met": note == "FKL_ETHREAD",
            }
        )
    return verdicts


def judge_preempted(
    taking_part: list[Contender], repeat: int, failures: list[str]
) -> list[dict[str, Any]]:
    few, many, least = PREEMPTED
    curve = next(curve for curve in CURVES if curve.program.name == "mailbox")
    own = [c for c in taking_part if c.ours]
    speeds = {
        n: measure(curve.program, curve.points[n], own, repeat, failures) for n in (few, many)
    }
    verdicts = []
    for contender in own:
        times = [speeds[n][contender.name] for n in (few, many)]
        if not all(isinstance(runs, list) and runs for runs in times):
            continue
        part = report.typical(times[0]) / report.typical(times[1])  # type: ignore[arg-type]
        verdicts.append(
            {
                "goal": f"{many} producers keep the throughput of {few}, {contender.name}",
                "measured": f"{part:.2f}",
                "wanted": f"{least:.2f}",
                "met": part > least,
            }
        )
    return verdicts


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = ", ".join([*PROGRAMS, *EXTRAS])
    parser.add_argument("--only", metavar="NAME,…", help=f"some of: {names}")
    parser.add_argument("--with", dest="with_", metavar="NAME,…", help="only these contenders")
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument(
        "--fastest",
        action="store_true",
        help="compare the fastest rounds instead of the medians: for a machine that is busy",
    )
    parser.add_argument("--full", action="store_true", help="mailbox with 100 million messages")
    parser.add_argument("--strict", action="store_true", help="fail when a goal is missed")
    parser.add_argument("--smoke", action="store_true", help="only see that everything works")
    parser.add_argument("--variant", default="plain", help="folder of build/ with our programs")
    options = parser.parse_args()
    if options.fastest:
        report.figure = min
    options.only = options.only.split(",") if options.only else [*PROGRAMS, *EXTRAS]
    for name in options.only:
        if name not in PROGRAMS and name not in EXTRAS:
            parser.error(f"there is no {name}; there are {names}")
    return options


def choose(options: argparse.Namespace) -> list[Contender]:
    known = contenders(options.variant)
    wanted = options.with_.split(",") if options.with_ else [c.name for c in known]
    for name in wanted:
        if name not in {c.name for c in known}:
            sys.exit(f"there is no contender {name}")
    chosen = [c for c in known if c.name in wanted]
    for contender in chosen:
        if not contender.is_there():
            if contender.ours or options.with_:
                sys.exit(f"{contender.title}: not built; use make bench-runtime")
            print(f"{contender.title}: not built, left out")
    return [c for c in chosen if c.is_there()]


def main() -> int:
    options = parse()
    taking_part = choose(options)
    if options.smoke:
        return smoke(taking_part, options.variant)
    failures: list[str] = []
    verdicts: list[dict[str, Any]] = []
    facts = report.machine(taking_part)
    content: dict[str, Any] = {"machine": facts, "programs": {}, "curves": {}}
    report.describe(facts)

    results = {}
    for name in options.only:
        if program := PROGRAMS.get(name):
            params = program.full if options.full and program.full else program.params
            results[name] = measure(program, params, taking_part, options.repeat, failures)
            content["programs"][name] = {
                "params": params,
                **{peer: report.as_numbers(runs) for peer, runs in results[name].items()},
            }
    if results:
        units = {name: PROGRAMS[name].unit for name in results}
        report.show_programs(results, units, taking_part)
        verdicts += filter(None, (report.judge(goal, results, taking_part) for goal in GOALS))
    if "preempted" in options.only:
        verdicts += judge_preempted(taking_part, options.repeat, failures)
    if "ten_thousand" in options.only:
        verdicts += show_ten_thousand(taking_part, failures)
    if "alive" in options.only:
        content["alive"] = show_alive(taking_part, failures)
    for curve in CURVES if "curves" in options.only else ():
        points = measure_curve(curve, taking_part, options.repeat, failures)
        content["curves"][curve.name] = points
        report.show_curve(curve, points)
        if not report.draw_curve(curve, points, BUILT):
            print("no drawing: there is no matplotlib\n")
    report.show_goals(verdicts)
    for failure in failures:
        print(f"failed: {failure}")
    content["goals"] = verdicts
    content["failures"] = failures
    report.write(BUILT / "runtime.json", content)
    print(f"all figures: {(BUILT / 'runtime.json').relative_to(report.ROOT)}")
    missed = any(not verdict["met"] for verdict in verdicts)
    return 1 if failures or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
