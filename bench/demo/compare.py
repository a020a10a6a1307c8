# SPDX-License-Identifier: Apache-2.0
"""Run the demo's playbook on fork and on forkless, show what each cost, and compare all results.

The exit status is 0 only if both runs gave the same results: the same events for each host, in the
same order, with every key of every result equal, the same lines on the screen, the same files
written, and the same exit status.
"""

from __future__ import annotations

import argparse
import hashlib
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import ansible_runs  # noqa: E402
import results  # noqa: E402


def written_files(area: pathlib.Path) -> dict[str, str]:
    """The files that the playbook wrote, by a digest of what is in them."""
    work = area / "work"
    return {
        str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(work.rglob("*"))
        if path.is_file()
    }


def play(
    mode: str, number: int, options: argparse.Namespace, area: pathlib.Path
) -> tuple[ansible_runs.Run, results.Results]:
    """Run the playbook once and read what it recorded."""
    arguments = [
        str(options.playbook),
        "-f",
        str(options.forks),
        "-e",
        f"demo_root={area}/work",
        *options.extra,
    ]
    run = ansible_runs.run_playbook(
        "fork" if options.self_test else mode,
        options.python,
        options.ansible_playbook,
        arguments,
        area=area,
        folder=options.traces / f"{number}-{mode}",
        environment={"ANSIBLE_CONFIG": str(options.config)},
        memory=not options.no_memory,
    )
    if not run.records.exists():
        sys.exit(f"the {mode} run did not start:\n{run.screen[-3000:]}{run.errors[-3000:]}")
    read = results.read(run.records, str(area))
    read.files = written_files(area)
    read.status = run.status
    read.screen = results.normal_lines(run.screen + run.errors, str(area))
    return run, read


def ratio(first: float, second: float) -> str:
    return f"{first / second:.2f} ×" if second else "–"


def table(
    runs: dict[str, list[ansible_runs.Run]], seen: dict[str, results.Results], title: str
) -> Table:
    """The costs of both kinds of run side by side; of several runs, the median."""
    middle = {
        mode: sorted(group, key=lambda run: run.wall)[len(group) // 2]
        for mode, group in runs.items()
    }
    fork, forkless = middle["fork"], middle["forkless"]
    created = {mode: run.created(seen[mode].controller) for mode, run in middle.items()}
    shown = Table(title=title)
    shown.add_column("")
    for column in ("fork", "forkless", "fork : forkless"):
        shown.add_column(column, justify="right")
    shown.add_row(
        "tasks run, one per host", str(seen["fork"].tasks), str(seen["forkless"].tasks), ""
    )
    shown.add_row(
        "worker processes forked", str(created["fork"][0]), str(created["forkless"][0]), ""
    )
    shown.add_row(
        "other subprocesses (modules, shells)",
        str(created["fork"][1] + created["fork"][2]),
        str(created["forkless"][1] + created["forkless"][2]),
        "",
    )
    shown.add_row(
        "wall time, s", f"{fork.wall:.2f}", f"{forkless.wall:.2f}", ratio(fork.wall, forkless.wall)
    )
    shown.add_row(
        "CPU time with children, s",
        f"{fork.cpu:.2f}",
        f"{forkless.cpu:.2f}",
        ratio(fork.cpu, forkless.cpu),
    )
    if fork.peak:
        shown.add_row(
            "peak memory of the tree (PSS), MB",
            f"{fork.peak / 1e6:.0f}",
            f"{forkless.peak / 1e6:.0f}",
            ratio(fork.peak, forkless.peak),
        )
    return shown


def options_of_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--forks", "-f", type=int, default=5, help="Ansible's number of workers (default 5)"
    )
    parser.add_argument(
        "--fork-once",
        action="store_true",
        help="with --repeat: run on fork in the first round only, and compare all others with that",
    )
    parser.add_argument(
        "--repeat",
        type=int,
        default=1,
        metavar="N",
        help="run both N times, alternately; show medians",
    )
    parser.add_argument(
        "--python", help="interpreter with ansible-core and forkless (default: this one)"
    )
    parser.add_argument(
        "--ansible-playbook", help="the ansible-playbook to run (default: beside the interpreter)"
    )
    parser.add_argument(
        "--playbook",
        type=pathlib.Path,
        default=HERE / "playbook.yml",
        help="another playbook to compare",
    )
    parser.add_argument(
        "--config", type=pathlib.Path, default=HERE / "ansible.cfg", help="the ansible.cfg to use"
    )
    parser.add_argument(
        "--keep", type=pathlib.Path, metavar="FOLDER", help="keep the records of the runs here"
    )
    parser.add_argument(
        "--no-memory",
        action="store_true",
        help="do not sample memory (it costs the machine some CPU)",
    )
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="run fork both times: shows whether the comparison is sound",
    )
    parser.add_argument(
        "--differences", type=int, default=20, metavar="N", help="show at most N differences"
    )
    parser.add_argument("extra", nargs="*", help="further arguments of ansible-playbook, after --")
    options = parser.parse_args()
    options.python, options.ansible_playbook = ansible_runs.programs(
        options.python, options.ansible_playbook
    )
    options.playbook, options.config = options.playbook.resolve(), options.config.resolve()
    return options


def main() -> int:
    options = options_of_command_line()
    console = Console()
    core, interpreter = ansible_runs.version(options.python)
    runs: dict[str, list[ansible_runs.Run]] = {mode: [] for mode in ansible_runs.MODES}
    seen: dict[str, results.Results] = {}
    differences: list[str] = []
    with tempfile.TemporaryDirectory(prefix="forkless-demo-") as base:
        area = pathlib.Path(base) / "area"
        options.traces = options.keep.resolve() if options.keep else pathlib.Path(base) / "traces"
        for number in range(options.repeat):
            for mode in ansible_runs.MODES:
                if mode == "fork" and number > 0 and options.fork_once:
                    continue
                console.print(f"[dim]run {number + 1} of {options.repeat} on {mode} …[/]")
                run, seen[mode] = play(mode, number, options, area)
                runs[mode].append(run)
            differences += results.differences(seen["fork"], seen["forkless"])
        console.print(
            table(runs, seen, f"ansible-core {core}, Python {interpreter}, {options.forks} forks")
        )
    if differences:
        for line in differences[: options.differences]:
            console.print(line, style="red", markup=False, highlight=False)
        console.print(f"[bold red]The results differ ({len(differences)} differences).[/]")
        return 1
    compared = seen["forkless"]
    console.print(
        f"[bold green]The results are equal[/]: {len(compared.hosts)} hosts, {compared.events} events, "
        f"{compared.values} values, {len(compared.screen)} lines of output, {len(compared.files)} files."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
