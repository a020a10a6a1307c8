# SPDX-License-Identifier: Apache-2.0
"""Run a playbook on fork and on forkless and read what it did: the tests' way to ansible-playbook.

The recording callback, the measuring and the comparison are those of the demo.
"""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any

import ansible_runs
import results

HERE = pathlib.Path(__file__).resolve().parent
BENCH = HERE.parents[2] / "bench"
PLAYS = HERE / "plays"


class Outcome:
    """What a run did: its results by host, its output, its exit status."""

    def __init__(self, run: ansible_runs.Run, area: pathlib.Path) -> None:
        self.run = run
        self.status = run.status
        self.screen = run.screen
        self.errors = run.errors
        self.results = results.Results()
        self.records: list[dict[str, Any]] = []
        if run.records.exists():
            self.results = results.read(run.records, str(area))
            self.records = [json.loads(line) for line in run.records.read_text().splitlines()]
        self.results.status = run.status
        self.results.screen = results.normal_lines(run.screen + run.errors, str(area))

    def of(self, host: str, task: str, event: str | None = None) -> dict[str, Any]:
        """The result of a task on a host."""
        found = [
            record
            for record in self.records
            if record["event"] not in ("begin", "end", "start", "stats")
            and record.get("host") == host
            and record["task"] == task
            and event in (None, record["event"])
        ]
        assert found, (
            f"no result of {task!r} on {host}:\n{self.screen[-3000:]}\n{self.errors[-3000:]}"
        )
        return found[-1]["result"]

    def workers(self) -> int:
        """How many processes the controller forked."""
        return self.run.created(self.results.controller)[0]


def run(
    mode: str,
    folder: pathlib.Path,
    playbook: Any,
    *arguments: str,
    hosts: int = 4,
    forks: int = 5,
    variables: dict[str, Any] | None = None,
    settings: str = "",
    timeout: float = 120,
) -> Outcome:
    """Run a playbook, data or a file, on so many local hosts. It may write below {{ work }}."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {f"host{number}": {"number": number} for number in range(1, hosts + 1)}
    (folder / "inventory.json").write_text(
        json.dumps(
            {
                "all": {
                    "hosts": names,
                    "vars": {
                        "ansible_connection": "local",
                        "ansible_python_interpreter": sys.executable,
                        "work": str(folder / "area/work"),
                        **(variables or {}),
                    },
                }
            }
        )
    )
    if not isinstance(playbook, pathlib.Path):
        path = folder / "playbook.json"
        path.write_text(json.dumps(playbook))
        playbook = path
    (folder / "ansible.cfg").write_text(
        f"[defaults]\ninventory = inventory.json\ncallback_plugins = {BENCH}/demo/callback_plugins\n"
        f"callbacks_enabled = record\naction_plugins = {PLAYS}/action_plugins\n"
        f"lookup_plugins = {PLAYS}/lookup_plugins\nfilter_plugins = {PLAYS}/filter_plugins\n{settings}\n"
    )
    area = folder / "area"
    run = ansible_runs.run_playbook(
        mode,
        *ansible_runs.programs(None, None),
        [str(playbook), "-f", str(forks), *arguments],
        area=area,
        folder=folder / mode,
        environment={"ANSIBLE_CONFIG": str(folder / "ansible.cfg")},
        memory=False,
        timeout=timeout,
    )
    return Outcome(run, area)


def both(
    folder: pathlib.Path, playbook: Any, *arguments: str, **options: Any
) -> dict[str, Outcome]:
    """Run a playbook on fork and on forkless."""
    return {mode: run(mode, folder, playbook, *arguments, **options) for mode in ansible_runs.MODES}


def assert_equal(outcomes: dict[str, Outcome], banners: bool = True) -> None:
    """Both runs gave the same results, and forkless forked no worker.

    The strategies that let hosts run ahead print a banner whenever the task changes: how often is
    chance.
    """
    if not banners:
        for outcome in outcomes.values():
            outcome.results.screen = [
                line
                for line in outcome.results.screen
                if not line.startswith(("TASK [", "RUNNING HANDLER [", "included: "))
            ]
    found = results.differences(outcomes["fork"].results, outcomes["forkless"].results)
    assert not found, "\n".join(found[:30])
    assert outcomes["fork"].results.events, outcomes["fork"].errors
    assert outcomes["forkless"].workers() == 0
