# SPDX-License-Identifier: Apache-2.0
"""Workers that end in every way in which a process can end; and that there is no process."""

import re
import shutil
import subprocess
import sys

import playbooks
import pytest

import ansible_runs


def ending(way: str) -> list:
    return [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"name": "before", "set_fact": {"before": 1}},
                {
                    "name": "ends",
                    "ends": {"way": "{{ 'as usual' if number == 1 else '%s' }}" % way},
                },
                {"name": "after", "debug": {"var": "before"}},
            ],
        }
    ]


def status_and_message(outcome: playbooks.Outcome) -> tuple:
    found = re.search(r"(A worker was found in a dead state)", outcome.screen + outcome.errors)
    return outcome.status, found and found[1]


@pytest.mark.parametrize("way", ["_exit", "kill", "base exception", "interrupt", "exit"])
def test_a_worker_that_dies_ends_the_play(tmp_path, way):
    outcomes = playbooks.both(tmp_path, ending(way), hosts=2)
    assert status_and_message(outcomes["forkless"]) == status_and_message(outcomes["fork"])
    assert "after" not in outcomes["forkless"].screen


@pytest.mark.parametrize("way", ["raise", "print", "close the streams"])
def test_a_worker_that_ends_otherwise_gives_the_result_that_it_gives_on_fork(tmp_path, way):
    outcomes = playbooks.both(tmp_path, ending(way), hosts=2)
    assert outcomes["forkless"].status == outcomes["fork"].status
    found = playbooks.results.differences(outcomes["fork"].results, outcomes["forkless"].results)
    # Tracebacks name the lines of forkless that call the worker, and line numbers of threads.
    assert not [line for line in found if "raceback" not in line and "exception" not in line], found


def test_the_controller_is_not_harmed_by_a_worker_that_closes_its_streams(tmp_path):
    outcome = playbooks.run("forkless", tmp_path, ending("close the streams"), hosts=3)
    assert outcome.screen.count("TASK [after]") == 1
    assert "PLAY RECAP" in outcome.screen


def timeout_play(task: dict) -> list:
    return [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"name": "slow", "timeout": 2, "ignore_errors": True, **task},
                {"name": "after", "debug": {"msg": "still here"}},
            ],
        }
    ]


@pytest.mark.parametrize(
    "task",
    [
        {"command": "sleep 20"},
        {"wait_for": {"path": "/nonexistent", "timeout": 20}},
        {"ends": {"way": "sleep"}},
    ],
    ids=["command", "module", "action"],
)
def test_a_task_that_takes_too_long_is_stopped(tmp_path, task):
    outcomes = playbooks.both(tmp_path, timeout_play(task), hosts=1)
    failed = {mode: outcome.of("host1", "slow", "failed") for mode, outcome in outcomes.items()}
    assert outcomes["forkless"].run.wall < 15
    for key in ("failed", "timedout", "msg"):
        expected, found = (str(failed[mode].get(key)) for mode in ("fork", "forkless"))
        assert re.sub(r"'frame': .*", "", found) == re.sub(r"'frame': .*", "", expected)
    assert outcomes["forkless"].of("host1", "after")["msg"] == "still here"


def test_a_timeout_of_one_host_does_not_stop_another(tmp_path):
    # The others sleep through the alarm of the first one, and have time enough on a busy machine.
    task = {
        "command": "sleep {{ 20 if number == 1 else 3 }}",
        "timeout": "{{ 2 if number == 1 else 60 }}",
    }
    play = timeout_play(task)
    outcome = playbooks.run("forkless", tmp_path, play, hosts=3)
    assert outcome.of("host1", "slow", "failed")
    assert outcome.of("host2", "slow", "ok")["rc"] == 0
    assert outcome.of("host3", "slow", "ok")["rc"] == 0


PLAIN = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"name": f"step {number}", "set_fact": {"fact": number}} for number in range(3)],
    }
]


def test_no_worker_is_forked(tmp_path):
    outcomes = playbooks.both(tmp_path, PLAIN, hosts=5)
    assert outcomes["fork"].workers() == 15
    assert outcomes["forkless"].workers() == 0


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
def test_the_kernel_sees_no_worker_process(tmp_path):
    """Not one clone without CLONE_THREAD, which is what a process is."""
    playbooks.run("forkless", tmp_path, PLAIN, hosts=5)  # writes inventory and configuration
    python, program = ansible_runs.programs(None, None)
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-f",
        "-e",
        "trace=clone,clone3,fork,vfork",
        "-e",
        "signal=none",
        "-o",
        str(trace),
        *ansible_runs.command(
            "forkless", python, program, [str(tmp_path / "playbook.json"), "-f", "5"]
        ),
    ]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        },
    )
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stdout + done.stderr
    calls = [
        line for line in trace.read_text().splitlines() if re.search(r"\b(clone3?|v?fork)\(", line)
    ]
    processes = [
        line
        for line in calls
        if "CLONE_THREAD" not in line and "CLONE_VFORK" not in line and "vfork" not in line
    ]
    assert calls, "the workers are threads"
    assert not processes, "\n".join(processes)
    assert sys.platform.startswith("linux")


@pytest.mark.parametrize("forks", [1, 4])
def test_repeated_warnings_are_shown_as_often_as_on_fork(tmp_path, forks):
    tasks = [{"name": "warn", "warn": None}, {"name": "warn again", "warn": None}]
    play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    outcomes = playbooks.both(tmp_path, play, "-vv", forks=forks, hosts=3)
    playbooks.assert_equal(outcomes)
    assert "the same words" in outcomes["forkless"].errors


def test_no_worker_takes_a_plugin_that_another_one_is_loading(tmp_path):
    task = {"name": "load", "debug": {"msg": "{{ lookup('slow') }} {{ 'done' | slowly }}"}}
    play = [{"hosts": "all", "gather_facts": False, "tasks": [task]}]
    outcome = playbooks.run("forkless", tmp_path, play, forks=8, hosts=8)
    for number in range(1, 9):
        assert outcome.of(f"host{number}", "load")["msg"] == "loaded done slowly"
