# SPDX-License-Identifier: Apache-2.0
"""Run the same Python programs on simulated processes, on real ones, and on what else people use.

A round measures every contender once, one after the other, each in an interpreter of its own, so that what
disturbs the machine disturbs all of them. Figures are medians over the rounds; use the ratios, and only those
of one run. A contender that does other work than it was given has failed. `make bench-python` installs the
peers and runs this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table
from workloads import WORKLOADS, Workload

from contenders import CONTENDERS, Contender

LIMIT = 120.0  # seconds that a measurement may take

Figures = dict[tuple[str, str], list[float]]  # (workload, contender) -> figures of the rounds


class Failure(Exception):
    """A measurement that gave no figure."""


def measure(contender: Contender, workload: Workload, count: int) -> float:
    command = [sys.executable, "measure.py", contender.name, workload.name, str(count)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            cwd=Path(__file__).parent,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Failure(f"took more than {LIMIT:.0f} s") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or "no output").splitlines()[-1]
        raise Failure(f"status {done.returncode}: {last}")
    return float(json.loads(done.stdout))


def in_units(figure: float, unit: str) -> str:
    """Three digits and a unit."""
    factors = {
        "s": ((1e-6, 1e9, "ns"), (1e-3, 1e6, "µs"), (1.0, 1e3, "ms"), (1e9, 1.0, "s")),
        "B": ((1024.0, 1.0, "B"), (1024.0**2, 1 / 1024, "KiB"), (1e18, 1 / 1024**2, "MiB")),
    }[unit]
    factor, name = next((f, name) for below, f, name in factors if figure < below)
    return f"{figure * factor:.3g} {name}"


def show(workloads: list[Workload], taking_part: list[Contender], figures: Figures) -> None:
    table = Table(
        title=f"CPython {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}; (how many times as long as the first)"
    )
    table.add_column("")
    for contender in taking_part:
        table.add_column(contender.name, justify="right")
    for workload in workloads:
        row = [workload.title]
        first = figures.get((workload.name, taking_part[0].name))
        for contender in taking_part:
            values = figures.get((workload.name, contender.name))
            if not values:
                row.append("-")
                continue
            figure = statistics.median(values)
            text = in_units(figure, workload.unit)
            if first and contender is not taking_part[0]:
                text += f" ({figure / statistics.median(first):.3g})"
            row.append(text)
        table.add_row(*row)
    Console(width=200).print(table)


def check_goals(workloads: list[Workload], figures: Figures) -> int:
    """Prints each goal and returns how many were missed."""
    missed = 0
    for workload in workloads:
        for ours, peer, least in workload.least:
            mine, theirs = (figures.get((workload.name, name)) for name in (ours, peer))
            if not mine or not theirs:
                continue
            ratio = statistics.median(theirs) / statistics.median(mine)
            verdict = "met" if ratio >= least else "MISSED"
            missed += ratio < least
            print(f"{workload.title}: {peer} / {ours} = {ratio:.2f}, goal {least:.3g}: {verdict}")
    return missed


def names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--only", type=names, metavar="NAMES", help=", ".join(WORKLOADS))
    parser.add_argument("--with", type=names, dest="some", metavar="NAMES", help="contenders")
    parser.add_argument("--smoke", action="store_true", help="little work: does everything run?")
    parser.add_argument("--strict", action="store_true", help="a missed goal is an error")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    for wanted, known in ((options.only, WORKLOADS), (options.some, CONTENDERS)):
        if unknown := set(wanted or ()) - set(known):
            parser.error(f"unknown: {', '.join(sorted(unknown))}")
    return options


def main() -> int:
    options = parse()
    workloads = [w for w in WORKLOADS.values() if not options.only or w.name in options.only]
    chosen = [c for c in CONTENDERS.values() if not options.some or c.name in options.some]
    taking_part = [c for c in chosen if c.is_there()]
    for contender in chosen:
        if contender not in taking_part:
            print(f"left out, since it is not there: {contender.title}")
    figures: Figures = {}
    failures: dict[tuple[str, str], str] = {}
    for _ in range(1 if options.smoke else options.repeat):
        for workload in workloads:
            count = max(workload.count // 100, 4) if options.smoke else workload.count
            for contender in taking_part:
                key = workload.name, contender.name
                if not workload.fits(contender) or key in failures:
                    continue
                try:
                    figures.setdefault(key, []).append(measure(contender, workload, count))
                except Failure as failure:
                    failures[key] = str(failure)
                    figures.pop(key, None)
    show(workloads, taking_part, figures)
    for (workload_name, contender_name), text in failures.items():
        print(f"{workload_name}, {contender_name}: {text}")
    if options.json:
        content = {f"{w}/{c}": values for (w, c), values in figures.items()}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    missed = 0 if options.smoke else check_goals(workloads, figures)
    ours = [key for key in failures if key[1] in ("actor", "interpreter")]
    return 1 if ours or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
