# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the unit tests: contexts of simulated processes, and programs to run on their own."""

import multiprocessing
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import forkless
from forkless import _core
from support import no_processes
from support import scripts as scripts_
from support.scripts import Scripts, eventually

ALIASES = ("fork", "spawn", "forkserver")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "needs_processes(reason): left out where no process can be started"
    )
    config.addinivalue_line("markers", "runs_programs: as tests that use the fixture scripts do")


def runs_programs(item):
    return "scripts" in item.fixturenames or item.get_closest_marker("runs_programs")


def pytest_collection_modifyitems(config, items):
    """Where programs run without processes, only the tests that run programs have anything to show."""
    if scripts_.PROGRAMS_IN is not None:
        config.hook.pytest_deselected(items=[item for item in items if not runs_programs(item)])
        items[:] = [item for item in items if runs_programs(item)]


def pytest_runtest_setup(item):
    needs = item.get_closest_marker("needs_processes")
    if needs is not None and (no_processes.emulated() or scripts_.PROGRAMS_IN):
        pytest.skip(needs.args[0])
    if runs_programs(item) and no_processes.emulated():
        pytest.skip("runs programs, see scripts.PROGRAMS_IN")


def none_left() -> bool:
    """Whether no simulated process lives or unwinds."""
    counters = _core.counters()
    return counters["live"] == 0 and counters["orphans"] == 0


@pytest.fixture(scope="module", params=["actor", *ALIASES])
def context(request):
    """A context whose processes are simulated: 'actor', and each start method after install()."""
    if request.param in ALIASES:
        forkless.install()
    yield multiprocessing.get_context(request.param)
    if request.param in ALIASES:
        assert eventually(none_left), _core.counters()
        forkless.uninstall()


@pytest.fixture
def actors():
    """The context 'actor' alone, for what does not depend on the name of the start method."""
    return multiprocessing.get_context("actor")


@pytest.fixture
def pool(context):
    """A pool of three workers."""
    with context.Pool(3) as pool:
        yield pool
    pool.join()


@pytest.fixture
def installed():
    """forkless.install() for the time of a test."""
    forkless.install()
    yield forkless
    assert eventually(none_left), _core.counters()
    forkless.uninstall()


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """No test leaves a process behind: neither among the children, nor running."""
    yield
    for child in multiprocessing.active_children():
        child.kill()
        child.join(20)
    assert eventually(none_left), _core.counters()


@pytest.fixture
def scripts(tmp_path):
    """A runner of programs in a folder of their own."""
    return Scripts(tmp_path)
