# SPDX-License-Identifier: Apache-2.0
"""What a worker changes is gone when it ends: one test for each piece of state.

Every host runs an action that changes all that it can reach, then every host looks. The same is
done on fork.
"""

import playbooks
import pytest

SHARED = {
    "shared_list": ["one"],
    "shared_dictionary": {"deep": {"list": ["one"]}},
    "shared_host_list": ["one"],
}
NESTED = {"nested": {"list": ["one"]}}
PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "vars": {"play_list": ["one"]},
        "tasks": [
            {"name": "fact", "set_fact": {"own_fact": {"list": ["{{ inventory_hostname }}"]}}},
            {"name": "cached", "set_fact": {"cached_fact": 1, "cacheable": True}},
            {
                "name": "block",
                "vars": {"of_the_block": 1},
                "block": [
                    {"name": "meddle", "meddle": NESTED, "vars": {"of_the_task": 1}},
                    {"name": "look", "look": NESTED, "vars": {"of_the_task": 1}},
                ],
            },
            {"name": "again", "look": NESTED},
        ],
    }
]
STATES = [
    "inventory list",
    "inventory dictionary",
    "play variable",
    "fact",
    "groups",
    "new variable",
    "facts of another host",
    "hosts in hostvars",
    "facts in the variable manager",
    "variables in the variable manager",
    "cached facts of a host",
    "variables of the host object",
    "groups of the host object",
    "implicit localhost",
    "task arguments",
    "task variables",
    "task name",
    "block variables",
    "play context",
    "play context port",
    "base directory",
    "parsed files",
    "temporary files",
    "environ",
    "environ of a subprocess",
    "folder",
    "folder of a subprocess",
    "umask",
    "alarm handler",
    "display has a queue",
]
HOSTS = ["host1", "host2", "host3", "host4"]


@pytest.fixture(scope="module", params=[1, 4], ids=["one-worker", "four-workers"])
def outcomes(request, folder):
    return playbooks.both(folder / str(request.param), PLAY, forks=request.param, variables=SHARED)


def test_the_whole_play_gives_what_fork_gives(outcomes):
    playbooks.assert_equal(outcomes)


@pytest.mark.parametrize("state", STATES)
def test_no_worker_sees_what_another_one_changed(outcomes, state):
    for host in HOSTS:
        seen = {
            task: [outcomes[mode].of(host, task)["seen"][state] for mode in ("fork", "forkless")]
            for task in ("meddle", "look", "again")
        }
        for task, (on_fork, on_forkless) in seen.items():
            assert on_forkless == on_fork, f"{host} in {task}"
        assert "leaked" not in str(seen)


def test_every_state_is_tested(outcomes):
    assert sorted(outcomes["forkless"].of("host1", "look")["seen"]) == sorted(STATES)
