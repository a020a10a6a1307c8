# SPDX-License-Identifier: Apache-2.0
"""forkless.personality.environment: os.environ and the programs that a simulated process starts."""

import multiprocessing
import os
import subprocess
import sys
import threading

import pytest

from support.calls import Puppet, call

NAME = "FORKLESS_TEST"


@pytest.fixture(autouse=True)
def clean():
    yield
    os.environ.pop(NAME, None)


def change(value):
    os.environ[NAME] = value
    seen = []
    thread = threading.Thread(target=lambda: seen.append(os.getenv(NAME)))
    thread.start()
    thread.join(30)
    return os.environ[NAME], os.environb[NAME.encode()], seen


def look():
    return os.environ.get(NAME), os.environb.get(NAME.encode()), os.getenv(NAME)


def test_a_process_changes_its_own_environment_only(context):
    assert call(context, change, "own") == ("own", b"own", ["own"])
    assert NAME not in os.environ and look() == (None, None, None)
    os.environ[NAME] = "outer"
    assert call(context, look) == ("outer", b"outer", "outer")
    assert call(context, change, "own") == ("own", b"own", ["own"])
    assert os.environ[NAME] == "outer"


def test_a_process_has_its_parents_environment_of_when_it_was_started(actors):
    os.environ[NAME] = "before"
    puppet = Puppet(actors)
    os.environ[NAME] = "after"
    assert puppet.call(look)[0] == "before"
    puppet.close()


def nested():
    os.environ[NAME] = "child"
    os.putenv("FORKLESS_PUT", "put")
    inner = call(multiprocessing.get_context("actor"), look_and_run)
    return inner, os.environ[NAME]


def look_and_run():
    seen = os.environ[NAME]
    os.environ[NAME] = "grandchild"
    return seen, output("import os; print(os.environ['FORKLESS_PUT'])")


@pytest.mark.needs_processes("starts programs")
def test_a_grandchild_inherits_from_the_child(actors):
    assert call(actors, nested) == (("child", "put"), "child")


def mapping_methods():
    os.environ.update({NAME: "1"})
    os.environ.setdefault(NAME, "2")
    seen = [os.environ.pop(NAME), NAME in os.environ]
    try:
        del os.environ[NAME]
    except KeyError as error:
        seen.append(error.args)
    os.environ |= {NAME: "3"}
    seen += [NAME in list(os.environ), os.path.expandvars(f"${NAME}"), os.environ.copy()[NAME]]
    os.environ.clear()
    return [*seen, len(os.environ)]


def test_all_methods_of_the_mapping_act_on_the_own_one(actors):
    before = dict(os.environ)
    assert call(actors, mapping_methods) == ["1", False, (NAME,), True, "3", "3", 0]
    assert dict(os.environ) == before


def output(program, **options):
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, **options
    ).stdout.strip()


SHOW = f"import os; print(os.environ.get({NAME!r}))"


def programs():
    os.environ[NAME] = "own"
    return [
        output(SHOW),
        output(SHOW, env={**os.environ, NAME: "given"}),
        output(SHOW, close_fds=False),
        os.popen(f"echo ${NAME}").read().strip(),
        os.system(f'exit "$(test "${NAME}" = own && echo 7)"'),
        os.system("kill -9 $$"),
    ]


@pytest.mark.needs_processes("starts programs")
def test_programs_inherit_the_environment_of_the_process_that_starts_them(actors):
    assert call(actors, programs) == ["own", "given", "own", "own", 7 << 8, 9]
    assert output(SHOW) == "None"


def put_and_unset():
    os.environ[NAME] = "1"
    os.putenv(NAME, "2")
    seen = [os.environ[NAME], output(SHOW)]
    os.unsetenv(NAME)
    seen += [os.environ[NAME], output(SHOW)]
    os.environ[NAME] = "3"
    seen += [output(SHOW), output(SHOW, close_fds=False)]
    for name, value in (("", "v"), ("a=b", "v"), ("a", "nul\0")):
        try:
            os.putenv(name, value)
        except ValueError:
            seen.append("ValueError")
    return seen


@pytest.mark.needs_processes("starts programs")
def test_putenv_and_unsetenv_concern_the_programs_that_are_started(context):
    assert call(context, put_and_unset) == [
        *("1", "2", "1", "None", "3", "3"),
        *["ValueError"] * 3,
    ]
    assert output(SHOW) == "None"


def reload():
    os.environ[NAME] = "1"
    os.putenv(NAME, "2")
    os.reload_environ()
    return os.environ[NAME]


@pytest.mark.skipif(not hasattr(os, "reload_environ"), reason="CPython 3.14 has it")
def test_reloading_the_environment_gets_what_putenv_has_set(actors):
    assert call(actors, reload) == "2"
    assert NAME not in os.environ


@pytest.mark.needs_processes("starts programs")
def test_the_real_process_acts_on_the_real_environment(installed):
    os.environ[NAME] = "real"
    assert output(SHOW) == "real"
    os.putenv(NAME, "put")
    assert os.environ[NAME] == "real" and output(SHOW) == "put"
    os.unsetenv(NAME)
    assert output(SHOW) == "None"


def test_uninstall_gives_the_mapping_back(scripts):
    assert scripts.check(
        """
        import os, forkless
        environ, kind, data = os.environ, type(os.environ), os.environ._data
        functions = os.putenv, os.unsetenv, os.system
        forkless.install()
        assert os.environ is environ and type(os.environ) is not kind
        os.environ['WHILE'] = 'installed'
        forkless.uninstall()
        assert (os.putenv, os.unsetenv, os.system) == functions
        assert type(os.environ) is kind is type(os.environb) and os.environ._data is data
        assert vars(os.environb)['_data'] is data
        print(os.environ['WHILE'], os.environb[b'WHILE'])
        """
    ) == ["installed b'installed'"]


def test_a_thread_that_outlives_its_process_still_has_an_environment(actors):
    process = actors.Process(target=look)
    process.start()
    process.join(30)
    assert process._popen._actor.join(30, thread=True) == 0
    assert process._popen._actor.run(os.environ.get, "PATH") == os.environ["PATH"]
