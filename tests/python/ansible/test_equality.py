# SPDX-License-Identifier: Apache-2.0
"""Plays give the same results as on fork: every event, every key, every line of output."""

import json
import subprocess

import playbooks
import pytest

import ansible_runs

TASKS = [
    {
        "name": "nested fact",
        "set_fact": {
            "tree": {"name": "{{ inventory_hostname }}", "leaves": [1, {"two": "{{ number }}"}]}
        },
    },
    {
        "name": "loop",
        "set_fact": {"sum": "{{ sum | default(0) | int + item }}"},
        "loop": [1, 2, 3],
        "loop_control": {"extended": True, "index_var": "place", "label": "item {{ item }}"},
    },
    {"name": "empty loop", "debug": {"msg": "{{ item }}"}, "loop": []},
    {
        "name": "with_",
        "debug": {"msg": "{{ item.0 }} {{ item.1 }}"},
        "with_nested": [[1, 2], ["a", "b"]],
    },
    {"name": "skip", "debug": {"msg": "not here"}, "when": "number is odd"},
    {"name": "fail", "fail": {"msg": "told to"}, "ignore_errors": True, "when": "number == 2"},
    {"name": "undefined", "debug": {"msg": "{{ nowhere.to.be.found }}"}, "ignore_errors": True},
    {
        "name": "changed",
        "set_fact": {"x": 1},
        "changed_when": "number is even",
        "notify": ["first", "topic"],
    },
    {
        "name": "fails when",
        "debug": {"msg": "x"},
        "failed_when": "number == 3",
        "ignore_errors": True,
        "register": "said",
    },
    {
        "name": "block",
        "block": [{"name": "breaks", "fail": {"msg": "{{ number }}"}, "when": "number is even"}],
        "rescue": [
            {
                "name": "rescue",
                "debug": {"msg": "{{ ansible_failed_task.name }} {{ ansible_failed_result.msg }}"},
            }
        ],
        "always": [{"name": "always", "debug": {"msg": "{{ said.failed_when_result }}"}}],
    },
    {"name": "flush", "meta": "flush_handlers"},
    {"name": "once", "set_fact": {"first": "{{ inventory_hostname }}"}, "run_once": True},
    {"name": "delegate", "debug": {"msg": "{{ inventory_hostname }}"}, "delegate_to": "host1"},
    {
        "name": "delegate facts",
        "set_fact": {"given_{{ number }}": "{{ tree }}"},
        "delegate_to": "host2",
        "delegate_facts": True,
    },
    {"name": "command", "command": "echo {{ inventory_hostname }}", "register": "command"},
    {
        "name": "until",
        "shell": "echo x >> {{ work }}/{{ inventory_hostname }}; wc -l < {{ work }}/{{ inventory_hostname }}",
        "register": "tries",
        "until": "tries.stdout | int == 2",
        "retries": 3,
        "delay": 0,
    },
    {"name": "include", "include_tasks": 'included-{{ "odd" if number is odd else "even" }}.json'},
    {
        "name": "others",
        "debug": {"msg": "{{ groups.all | map('extract', hostvars, 'tree') | list }}"},
    },
    {
        "name": "looked up",
        "debug": {
            "msg": "{{ lookup('file', inventory_file) | length }} {{ lookup('env', 'HOME') }}"
        },
    },
    {"name": "include_vars", "include_vars": "variables.json"},
    {
        "name": "add",
        "add_host": {
            "name": "added",
            "groups": "new",
            "of": "{{ number }}",
            "ansible_connection": "local",
        },
    },
    {"name": "group", "group_by": {"key": "is_{{ 'odd' if number is odd else 'even' }}"}},
]
PLAY = [
    {
        "name": "everything",
        "hosts": "all",
        "gather_facts": False,
        "tasks": TASKS,
        "vars": {"greeting": "hello {{ number }}"},
        "handlers": [
            {"name": "first", "debug": {"msg": "{{ greeting }}"}},
            {"name": "second", "listen": "topic", "debug": {"msg": "{{ tree }}"}},
        ],
    },
    {
        "name": "those that came later",
        "hosts": "new:is_odd",
        "gather_facts": False,
        "tasks": [
            {
                "name": "late",
                "debug": {"msg": "{{ hostvars['host1'].tree }} {{ from_file | default('none') }}"},
            }
        ],
    },
]


def write_files(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for parity in ("odd", "even"):
        (folder / f"included-{parity}.json").write_text(
            json.dumps(
                [{"name": f"included {parity}", "set_fact": {"included": "{{ tree.leaves[0] }}"}}]
            )
        )
    (folder / "variables.json").write_text(json.dumps({"from_file": {"list": [1, 2, 3]}}))


@pytest.mark.parametrize("forks", [1, 5, 50])
@pytest.mark.parametrize("strategy", ["linear", "free", "host_pinned"])
def test_a_play_gives_the_same_results_as_on_fork(tmp_path, strategy, forks):
    write_files(tmp_path)
    playbook = [dict(play, strategy=strategy) for play in PLAY]
    if strategy != "linear":
        playbook = independent(playbook)
    outcomes = playbooks.both(tmp_path, playbook, forks=forks)
    playbooks.assert_equal(outcomes, banners=strategy == "linear")


def independent(playbook: list) -> list:
    """Without what depends on how far other hosts are: that differs between runs on fork, too."""
    others = {"once", "delegate facts", "others", "add", "group"}
    return [
        dict(
            playbook[0], tasks=[task for task in playbook[0]["tasks"] if task["name"] not in others]
        )
    ]


def test_it_says_the_same_when_it_says_more(tmp_path):
    write_files(tmp_path)
    outcomes = playbooks.both(tmp_path, PLAY, "-vvv", forks=1, hosts=2)
    playbooks.assert_equal(outcomes)
    assert len(outcomes["forkless"].results.screen) > 200


@pytest.mark.parametrize(
    "arguments",
    [
        ["--check", "--diff"],
        ["--tags", "never"],
        ["--limit", "host2"],
        ["--start-at-task", "command"],
        ["--list-tasks"],
        ["--syntax-check"],
    ],
)
def test_options_of_the_command_line(tmp_path, arguments):
    write_files(tmp_path)
    outcomes = playbooks.both(tmp_path, PLAY, *arguments, hosts=2)
    assert outcomes["fork"].status == outcomes["forkless"].status
    assert not playbooks.results.differences(outcomes["fork"].results, outcomes["forkless"].results)


def test_a_secret_stays_a_secret(tmp_path):
    tmp_path.joinpath("password").write_text("sesame")
    python, program = ansible_runs.programs(None, None)
    secret = subprocess.run(
        [
            python,
            program.replace("ansible-playbook", "ansible-vault"),
            "encrypt_string",
            "--vault-password-file",
            str(tmp_path / "password"),
            "the secret",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    secret = "\n".join(" " * 8 + line.strip() for line in secret.splitlines()[1:])
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(
        "- hosts: all\n  gather_facts: false\n  vars:\n    secret: !vault |\n"
        + secret
        + "\n  tasks:\n"
        '    - {name: open, debug: {msg: "it is {{ secret }}"}}\n'
        '    - {name: hidden, debug: {msg: "it is {{ secret }}"}, no_log: true}\n'
        '    - {name: kept, set_fact: {kept: {in: ["{{ secret }}"]}}, no_log: true}\n'
        "    - {name: seen, debug: {var: kept}}\n"
        "    - {name: raw, debug: {var: hostvars.host1.secret}}\n"
    )
    outcomes = playbooks.both(
        tmp_path, playbook, "--vault-password-file", str(tmp_path / "password")
    )
    playbooks.assert_equal(outcomes)
    assert outcomes["forkless"].of("host1", "open")["msg"] == "it is the secret"
    assert "the secret" not in str(outcomes["forkless"].of("host1", "hidden"))


def test_a_task_that_runs_in_the_background(tmp_path):
    play = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"name": "polled", "command": "echo done", "async": 20, "poll": 1},
                {
                    "name": "left alone",
                    "command": "echo done",
                    "async": 20,
                    "poll": 0,
                    "register": "job",
                },
                {
                    "name": "asked for",
                    "async_status": {"jid": "{{ job.ansible_job_id }}"},
                    "register": "state",
                    "until": "state.finished | int == 1",
                    "retries": 20,
                    "delay": 1,
                },
            ],
        }
    ]
    outcomes = playbooks.both(
        tmp_path, play, hosts=2, variables={"ansible_async_dir": "{{ work }}/async"}
    )
    for host in ("host1", "host2"):
        for task in ("polled", "asked for"):
            assert outcomes["fork"].of(host, task)["stdout"] == "done"
            assert outcomes["forkless"].of(host, task)["stdout"] == "done"
            assert sorted(outcomes["forkless"].of(host, task)) == sorted(
                outcomes["fork"].of(host, task)
            )


def test_files_and_templates(tmp_path):
    tmp_path.joinpath("page.j2").write_text(
        "{{ inventory_hostname }} {% for n in range(3) %}{{ n }}{% endfor %}\n"
    )
    place = "{{ work }}/{{ inventory_hostname }}"
    play = [
        {
            "hosts": "all",
            "gather_facts": False,
            "tasks": [
                {"name": "folder", "file": {"path": place, "state": "directory"}},
                {
                    "name": "template",
                    "template": {"src": "page.j2", "dest": place + "/page"},
                    "diff": True,
                },
                {"name": "copy", "copy": {"content": "x", "dest": place + "/copy"}},
                {"name": "fetch", "fetch": {"src": place + "/page", "dest": "{{ work }}/fetched"}},
                {"name": "script", "script": "greet.sh"},
            ],
        }
    ]
    tmp_path.joinpath("greet.sh").write_text("#!/bin/sh\necho greetings\n")
    outcomes = playbooks.both(tmp_path, play, hosts=2, forks=2)
    playbooks.assert_equal(outcomes)


ROLE = {
    "defaults/main.json": {"level": "default", "list_of_role": [1, 2]},
    "vars/main.json": {"of_role": "{{ inventory_hostname }}"},
    "handlers/main.json": [{"name": "of the role", "debug": {"msg": "{{ level }}"}}],
    "meta/main.json": {"dependencies": []},
    "tasks/main.json": [
        {
            "name": "in the role",
            "debug": {"msg": "{{ level }} {{ of_role }} {{ role_path | basename }}"},
        },
        {"name": "notifies", "set_fact": {"by_role": "{{ list_of_role }}"}, "changed_when": True},
    ],
}
REST = [
    {
        "name": "roles and the rest",
        "hosts": "all",
        "serial": 3,
        "gather_facts": False,
        "vars_files": ["more.json"],
        "environment": {"GREETING": "hello {{ number }}"},
        "module_defaults": {"debug": {"verbosity": 0}},
        "roles": [{"role": "part", "level": "play"}],
        "tasks": [
            {"name": "role again", "include_role": {"name": "part"}, "loop": [1, 2]},
            {"name": "static", "import_role": {"name": "part"}, "vars": {"level": "task"}},
            {"name": "environment", "command": "sh -c 'echo $GREETING'", "environment": {"B": "2"}},
            {
                "name": "pipe",
                "debug": {"msg": "{{ lookup('pipe', 'echo piped') }} {{ from_more }}"},
            },
            {"name": "localhost", "debug": {"msg": "{{ number }}"}, "delegate_to": "localhost"},
            {"name": "facts", "set_fact": {"kept": {"x": [1]}, "cacheable": True}},
            {"name": "kept", "debug": {"var": "ansible_facts.kept"}},
            {"name": "clear", "meta": "clear_facts"},
            {"name": "cleared", "debug": {"msg": "{{ ansible_facts | length }}"}},
            {"name": "throttle", "set_fact": {"y": 1}, "throttle": 1},
            {"name": "pause", "pause": {"seconds": 1}, "run_once": True},
            {"name": "prompt", "pause": {"prompt": "press return"}, "ignore_errors": True},
            {
                "name": "far",
                "ping": None,
                "ignore_unreachable": True,
                "vars": {
                    "ansible_connection": "ssh",
                    "ansible_host": "127.0.0.1",
                    "ansible_port": 1,
                },
            },
            {"name": "stop", "fail": {"msg": "x"}, "when": "number == 2"},
            {"name": "the others go on", "debug": {"msg": "x"}},
        ],
    }
]


@pytest.mark.parametrize(
    "settings", ["", "fact_caching = jsonfile\nfact_caching_connection = area/f"]
)
def test_roles_and_the_rest(tmp_path, settings):
    for name, data in ROLE.items():
        path = tmp_path / "roles" / "part" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data))
    tmp_path.joinpath("more.json").write_text(json.dumps({"from_more": "{{ inventory_hostname }}"}))
    outcomes = playbooks.both(tmp_path, REST, settings=settings, hosts=4, forks=3)
    playbooks.assert_equal(outcomes)
    assert outcomes["forkless"].status == 2  # one host failed
    assert outcomes["forkless"].of("host1", "far", "unreachable")["unreachable"]
