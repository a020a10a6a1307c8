# SPDX-License-Identifier: Apache-2.0
"""The Ansible tests run where ansible-core is installed beside forkless."""

import importlib.util
import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BENCH = HERE.parents[2] / "bench"
sys.path[:0] = [str(HERE), str(BENCH), str(BENCH / "demo")]

if importlib.util.find_spec("ansible") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for the runs of one module."""
    return tmp_path_factory.mktemp("play")
