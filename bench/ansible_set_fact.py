# SPDX-License-Identifier: Apache-2.0
"""Time a play in which Ansible itself is the whole cost: 20 hosts × 20 set_fact.

Runs it on fork and on forkless in turn.

No module runs and no process but Ansible's own is needed, so the difference between the two is
what a worker process costs. Prints the medians and their ratios; with --wall and --cpu the exit
status says whether the ratios were reached.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import platform
import statistics
import sys
import tempfile

import ansible_runs


def write_play(folder: pathlib.Path, hosts: int, tasks: int) -> pathlib.Path:
    """Write inventory, configuration and playbook; return the playbook."""
    names = {f"host{number:03d}": {"number": number} for number in range(hosts)}
    (folder / "inventory.json").write_text(
        json.dumps({"all": {"vars": {"ansible_connection": "local"}, "hosts": names}})
    )
    (folder / "ansible.cfg").write_text("[defaults]\ninventory = inventory.json\n")
    steps = [
        {
            "name": f"step {number}",
            "set_fact": {f"fact_{number}": "{{ number }} of {{ inventory_hostname }}"},
        }
        for number in range(tasks)
    ]
    playbook = folder / "playbook.json"
    playbook.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": steps}]))
    return playbook


def measure(options: argparse.Namespace) -> dict[str, list[ansible_runs.Run]]:
    """Run both kinds alternately, so that a slow spell of the machine meets both."""
    runs: dict[str, list[ansible_runs.Run]] = {mode: [] for mode in ansible_runs.MODES}
    with tempfile.TemporaryDirectory(prefix="forkless-bench-") as base:
        folder = pathlib.Path(base)
        playbook = write_play(folder, options.hosts, options.tasks)
        for number in range(options.repeat):
            for mode in ansible_runs.MODES:
                run = ansible_runs.run_playbook(
                    mode,
                    options.python,
                    options.ansible_playbook,
                    [str(playbook), "-f", str(options.forks)],
                    area=folder / "area",
                    folder=folder / f"{number}-{mode}",
                    memory=False,
                    environment={"ANSIBLE_CONFIG": str(folder / "ansible.cfg")},
                )
                if run.status:
                    sys.exit(
                        f"the run on {mode} failed with {run.status}:\n{run.screen[-2000:]}{run.errors[-2000:]}"
                    )
                if run.screen.count("ok: [") != options.hosts * options.tasks:
                    sys.exit(f"the run on {mode} did not do all its tasks:\n{run.screen[-2000:]}")
                print(f"  {mode:9} wall {run.wall:6.2f} s  CPU {run.cpu:6.2f} s", flush=True)
                runs[mode].append(run)
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5, metavar="N")
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--forks", "-f", type=int, default=5)
    parser.add_argument(
        "--python", help="interpreter with ansible-core and forkless (default: this one)"
    )
    parser.add_argument(
        "--ansible-playbook", help="the ansible-playbook to run (default: beside the interpreter)"
    )
    parser.add_argument(
        "--wall", type=float, default=0, help="fail unless forkless is this many times faster"
    )
    parser.add_argument(
        "--cpu", type=float, default=0, help="fail unless forkless needs this many times less CPU"
    )
    options = parser.parse_args()
    options.python, options.ansible_playbook = ansible_runs.programs(
        options.python, options.ansible_playbook
    )
    core, interpreter = ansible_runs.version(options.python)
    print(
        f"ansible-core {core}, Python {interpreter}, {platform.machine()}, {len(ansible_runs.usable_cores())} cores: "
        f"{options.hosts} hosts × {options.tasks} set_fact, {options.forks} forks"
    )
    runs = measure(options)
    median = {
        mode: (
            statistics.median(run.wall for run in group),
            statistics.median(run.cpu for run in group),
        )
        for mode, group in runs.items()
    }
    wall = median["fork"][0] / median["forkless"][0]
    cpu = median["fork"][1] / median["forkless"][1]
    for mode, (seconds, processor) in median.items():
        print(f"{mode:9} median wall {seconds:6.2f} s, CPU {processor:6.2f} s")
    print(f"fork : forkless = {wall:.2f} wall, {cpu:.2f} CPU")
    if wall < options.wall or cpu < options.cpu:
        print(f"expected at least {options.wall} wall and {options.cpu} CPU")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
