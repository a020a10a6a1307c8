# SPDX-License-Identifier: Apache-2.0
"""Tables for people, a file for programs, and drawings of the curves."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from contenders import ROOT, Contender, Run, version
from programs import Curve, Goal

Points = Mapping[str, Mapping[int, float]]  # contender → x → nanoseconds of an operation

COLOURS = {
    "thread": "#1b6ca8",
    "pooled": "#0b3c5d",
    "erlang": "#a90533",
    "caf": "#e08e0b",
    "go": "#2a9d8f",
    "raw": "#777777",
}


figure: Callable[[list[float]], float] = statistics.median


def duration(ns: float) -> str:
    """Three digits and a unit, such as "412 ns"."""
    for unit in ("ns", "µs", "ms"):
        if ns < 1000:
            return f"{ns:.{0 if ns >= 99.95 else 1 if ns >= 9.995 else 2}f} {unit}"
        ns /= 1000
    return f"{ns:.2f} s"


def spread(runs: list[Run]) -> float:
    """Half of the distance between the slowest and the fastest run, as a part of the median."""
    times = [run.each for run in runs]
    return (max(times) - min(times)) / 2 / statistics.median(times)


def typical(runs: Iterable[Run]) -> float:
    """The figure that stands for several runs: the median, or the least with --fastest."""
    return figure([run.each for run in runs])


def table(heads: list[str], rows: list[list[str]]) -> None:
    """Prints columns; the first is to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, ["-" * width for width in widths], *rows]:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    print()


def command_output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30)
    except OSError:
        return "?"
    return done.stdout.strip() or "?"


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def machine(taking_part: list[Contender]) -> dict[str, str]:
    """What figures depend on."""
    compiler = (command_output(os.environ.get("CC", "cc"), "--version").splitlines() or ["?"])[0]
    facts = {
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {' '.join(platform.libc_ver())}",
        "load before": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()),
        "forkless": f"{command_output('git', 'describe', '--always', '--dirty')}, {compiler}",
    }
    for contender in taking_part:
        if text := version(contender):
            facts[contender.title] = text
    return facts


def describe(facts: Mapping[str, str]) -> None:
    for name, text in facts.items():
        print(f"{name + ':':14} {text}")
    print()


def cell(runs: list[Run] | str | None) -> str:
    if isinstance(runs, str) or not runs:
        return runs or "-"
    return f"{duration(typical(runs))} ±{100 * spread(runs):.0f}%"


def fastest(
    results: Mapping[str, list[Run] | str], among: list[Contender]
) -> tuple[Contender, float] | None:
    """The fastest of `among` that has a result, with its time."""
    found = [(typical(results[c.name]), c) for c in among if isinstance(results.get(c.name), list)]
    if not found:
        return None
    time, contender = min(found, key=lambda pair: pair[0])
    return contender, time


def compared(results: Mapping[str, Any], own: Contender, peers: list[Contender]) -> str:
    """How many times as fast as the fastest of the peers, such as "1.52 caf"."""
    best = fastest(results, peers)
    if not best or not isinstance(results.get(own.name), list):
        return "-"
    return f"{best[1] / typical(results[own.name]):.2f} {best[0].name}"


def processor_of(runs: list[Run]) -> float:
    return figure([run.processor / run.operations for run in runs])


def show_of_runs(
    head: str,
    results: Mapping[str, Mapping[str, list[Run] | str]],
    taking_part: list[Contender],
    text: Callable[[list[Run]], str],
) -> None:
    rows = []
    for name, times in results.items():
        found = [times.get(c.name) for c in taking_part]
        rows.append([name, *(text(runs) if isinstance(runs, list) else "-" for runs in found)])
    table([head, *(c.name for c in taking_part)], rows)


def show_programs(
    results: Mapping[str, Mapping[str, list[Run] | str]],
    units: Mapping[str, str],
    taking_part: list[Contender],
) -> None:
    own = [c for c in taking_part if c.ours]
    peers = [c for c in taking_part if not c.ours and c.name != "raw"]
    actors = [c for c in peers if c.actors]
    heads = ["time of one", *(c.name for c in taking_part)]
    for c in own:
        heads += [f"{c.name}/best", f"{c.name}/actors"]
    rows = []
    for name, times in results.items():
        row = [f"{name}: {units[name]}", *(cell(times.get(c.name)) for c in taking_part)]
        for c in own:
            row += [compared(times, c, peers), compared(times, c, actors)]
        rows.append(row)
    table(heads, rows)
    print("NAME/best: how many times as fast as the fastest peer; NAME/actors: as the fastest peer")
    print("that has actors with mailboxes. ±: half of the distance from fastest to slowest run.\n")
    show_of_runs(
        "processor time of one", results, taking_part, lambda runs: duration(processor_of(runs))
    )
    show_of_runs(
        "most memory, MB",
        results,
        taking_part,
        lambda runs: f"{max(run.peak for run in runs) / 1e6:.0f}",
    )


def judge(
    goal: Goal, results: Mapping[str, Mapping[str, list[Run] | str]], taking_part: list[Contender]
) -> dict[str, Any] | None:
    """What became of a goal; None when there is nothing to compare."""
    times = results.get(goal.program, {})
    if goal.against == "peers":
        rivals = [c for c in taking_part if not c.ours and c.name != "raw"]
    else:
        rivals = [c for c in taking_part if c.name == goal.against]
    best = fastest(times, rivals)
    if not best or not isinstance(times.get(goal.ours), list):
        return None
    factor = best[1] / typical(times[goal.ours])
    actors = [c for c in rivals if c.actors]
    text = goal.text or f"at least {goal.factor:g} times as fast as the best peer"
    return {
        "goal": f"{goal.program}, {goal.ours}: {text}",
        "measured": f"{factor:.2f} {best[0].name}",
        "actors": compared(times, next(c for c in taking_part if c.name == goal.ours), actors),
        "wanted": f"{goal.factor:.2f}",
        "met": factor >= goal.factor,
    }


def show_goals(verdicts: list[dict[str, Any]]) -> None:
    rows = [
        [
            v["goal"],
            v["wanted"],
            v["measured"],
            "met" if v["met"] else "MISSED",
            v.get("actors", "-"),
        ]
        for v in verdicts
    ]
    if rows:
        table(["goal", "wanted", "measured", "", "beside actors"], rows)


def show_curve(curve: Curve, points: Points) -> None:
    print(curve.title)
    rows = [
        [f"{x:,}", *(duration(by_x[x]) if x in by_x else "-" for by_x in points.values())]
        for x in curve.points
    ]
    table([curve.x_label, *points], rows)


def draw_curve(curve: Curve, points: Points, folder: Path) -> Path | None:
    """Draws a curve as SVG; None where there is no matplotlib."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4.5), layout="constrained")
    for name, by_x in points.items():
        if by_x:
            xs, ys = list(by_x), list(by_x.values())
            axes.plot(xs, ys, marker="o", markersize=3.5, color=COLOURS.get(name), label=name)
    axes.set(xscale="log", yscale="log", xlabel=curve.x_label, ylabel="nanoseconds of an operation")
    axes.set_title(curve.title, loc="left", fontsize=11)
    axes.grid(which="major", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    path = folder / f"{curve.name}.svg"
    figure.savefig(path)
    plt.close(figure)
    return path


def as_numbers(runs: list[Run] | str) -> Any:
    if isinstance(runs, str):
        return {"failed": runs}
    return [
        {
            "ns": r.ns,
            "operations": r.operations,
            "processor_ns": r.processor,
            "bytes": r.bytes,
            "note": r.note,
            "peak_bytes": r.peak,
        }
        for r in runs
    ]


def write(path: Path, content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
