# SPDX-License-Identifier: Apache-2.0
"""The rules and what carries them out, without a play."""

import fcntl
import multiprocessing
import os
import subprocess
import sys
import threading
import types

import pytest

import forkless
from forkless.ansible import adapter, clones, patches, rules


@pytest.fixture(scope="module", autouse=True)
def installed():
    forkless.install()
    import ansible.executor.process.worker  # noqa: F401  (carries out the rules)


def in_an_actor(function):
    """Call a function in a simulated process; its result, or what it raised."""
    queue = multiprocessing.get_context("fork").SimpleQueue()

    def run():
        try:
            queue.put(function())
        except Exception as error:
            queue.put(error)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    result = queue.get()
    process.join()
    if isinstance(result, Exception):
        raise result
    return result


@pytest.mark.parametrize(
    ("version", "numbers"),
    [("2.14.18", (2, 14, 18)), ("2.19.0b3", (2, 19, 0)), ("2.22.1rc1", (2, 22, 1))],
)
def test_known_versions_get_their_own_rules(version, numbers):
    assert adapter.supported(version) == (numbers, None)


def test_an_older_version_is_refused():
    with pytest.raises(
        forkless.ansible.UnsupportedAnsible, match=r"2\.14 and later; this is 2\.13"
    ):
        adapter.supported("2.13.4")


def test_a_newer_version_gets_the_newest_rules_and_a_warning():
    version, warning = adapter.supported("2.31.0")
    assert version == rules.KNOWN
    assert "2.31.0 is newer than forkless knows" in warning


def test_every_rule_gives_a_reason_and_can_be_carried_out():
    for rule in rules.RULES:
        assert rule.why.endswith("."), rule
        assert rule.do in patches.WAYS, rule
    for plan in rules.OBJECTS:
        assert plan.why.endswith("."), plan
        assert {*plan.attributes.values(), plan.rest} <= clones.WAYS.keys(), plan


def test_importing_forkless_does_not_import_ansible():
    code = "import forkless, sys; forkless.install(); sys.exit('ansible' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_task_is_cloned_with_its_blocks_and_shares_its_play():
    from ansible.parsing.dataloader import DataLoader
    from ansible.playbook.play import Play

    data = {
        "hosts": "all",
        "tasks": [
            {"block": [{"debug": {"msg": ["x"]}, "vars": {"a": {"b": []}}}], "vars": {"c": []}}
        ],
    }
    play = Play.load(data, loader=DataLoader(), variable_manager=None)
    task = play.tasks[0].block[0]
    plans = clones.Plans(adapter.supported(adapter_version())[0])
    clone = clones.Clones(plans).clone(task)
    clone.args["msg"].append("y")
    clone.vars["a"]["b"].append("y")
    clone._parent.vars["c"].append("y")
    clone.name = "changed"
    assert (task.args["msg"], task.vars["a"]["b"], task._parent.vars["c"]) == (["x"], [], [])
    assert task.name != "changed"
    assert clone._uuid == task._uuid
    assert clone._parent is not task._parent
    assert clone._parent._play is play
    assert clone._loader is clone._parent._loader is not task._loader


def adapter_version():
    import ansible.release

    return ansible.release.__version__


def test_a_worker_has_its_own_temporary_files_and_play_context():
    from ansible.parsing.dataloader import DataLoader
    from ansible.playbook.play_context import PlayContext
    from ansible.utils.context_objects import CLIArgs

    from ansible import context

    context.CLIARGS = CLIArgs({})
    loader, play_context = DataLoader(), PlayContext()
    loader._tempfiles.add("of the controller")
    made = clones.Clones(clones.Plans(adapter.supported(adapter_version())[0]))
    own_loader, own_context = made.clone(loader), made.clone(play_context)
    assert own_loader._tempfiles == set()
    own_context.port = 4711
    own_loader._tempfiles.add("of the worker")
    assert loader._tempfiles == {"of the controller"}
    assert play_context.port != 4711
    assert own_context.remote_user == play_context.remote_user


def test_one_object_has_one_clone():
    plans = clones.Plans(rules.KNOWN)
    shared = ["x"]
    made = clones.Clones(plans).copy({"one": shared, "other": shared})
    assert made["one"] is made["other"] is not shared


def test_a_mapping_of_a_plugin_is_empty_for_each_actor():
    module = types.ModuleType("plugin")
    module.CACHE = {}
    rule = rules.Rule("actor_mapping", "plugin", ("CACHE", "OF_ANOTHER_VERSION"), "A reason.")
    patches.actor_mapping(rule, module, clones.Plans(rules.KNOWN))

    def use():
        module.CACHE["a"] = 1
        return dict(module.CACHE), "a" in module.CACHE, len(module.CACHE)

    assert in_an_actor(use) == ({"a": 1}, True, 1)
    assert not module.CACHE
    assert not hasattr(module, "OF_ANOTHER_VERSION")


def test_a_record_lock_excludes_actors(tmp_path):
    file = open(tmp_path / "lock", "w")
    fcntl.lockf(file, fcntl.LOCK_EX)

    def try_to_lock():
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with pytest.raises(BlockingIOError):
        in_an_actor(try_to_lock)
    fcntl.lockf(file, fcntl.LOCK_UN)
    in_an_actor(try_to_lock)  # and it ends with the lock
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.lockf(file, fcntl.LOCK_UN)


def test_the_environment_of_an_actor_reaches_its_subprocesses_alone():
    def change():
        os.environ["OF_AN_ACTOR"] = "1"
        seen = subprocess.run(["sh", "-c", "echo $OF_AN_ACTOR"], capture_output=True, check=True)
        return seen.stdout, os.getenv("OF_AN_ACTOR"), os.environb[b"OF_AN_ACTOR"]

    assert in_an_actor(change) == (b"1\n", "1", b"1")
    assert "OF_AN_ACTOR" not in os.environ
    seen = subprocess.run(["sh", "-c", "echo $OF_AN_ACTOR"], capture_output=True, check=True)
    assert seen.stdout == b"\n"


def test_an_actor_can_delete_from_its_environment():
    os.environ["OF_THE_CONTROLLER"] = "1"

    def delete():
        del os.environ["OF_THE_CONTROLLER"]
        return "OF_THE_CONTROLLER" in os.environ

    assert in_an_actor(delete) is False
    assert os.environ.pop("OF_THE_CONTROLLER") == "1"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has it per thread")
def test_the_folder_and_the_mask_of_an_actor_are_its_own():
    before = os.getcwd()

    def change():
        os.chdir("/")
        os.umask(0o777)
        return os.getcwd()

    assert in_an_actor(change) == "/"
    assert os.getcwd() == before
    mask = os.umask(0o22)
    os.umask(mask)
    assert mask != 0o777


def test_an_alarm_ends_the_wait_for_a_subprocess():
    import signal
    import time

    class Alarm(Exception):
        pass

    def ring(_signal, _frame):
        raise Alarm

    def wait():
        signal.signal(signal.SIGALRM, ring)
        begun = time.monotonic()
        waits = (
            lambda: subprocess.run(["sleep", "20"], capture_output=True, check=True),
            lambda: subprocess.run(["sleep", "20"], check=True),
        )
        rung = 0
        for way in waits:
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            try:
                way()
            except Alarm:
                rung += 1
        return rung, time.monotonic() - begun

    rung, seconds = in_an_actor(wait)
    assert rung == 2
    assert seconds < 10


def test_threads_of_the_controller_keep_their_environment():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(os.environ.get("PATH")))
    thread.start()
    thread.join()
    assert seen == [os.environ["PATH"]]
