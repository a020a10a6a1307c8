# SPDX-License-Identifier: Apache-2.0
"""The programs of tests/python/stress at small sizes; `make test-scale` runs them at full size."""

import os
import pathlib
import sys

import pytest

STRESS = pathlib.Path(__file__).parents[1] / "stress"


@pytest.mark.parametrize(
    "program",
    [
        ("many.py", "--processes", "200"),
        pytest.param(
            ("successive.py", "--processes", "1500"),
            marks=pytest.mark.skipif(
                "libasan" in os.environ.get("LD_PRELOAD", ""),
                reason="the sanitizer keeps what was freed, and the memory is watched",
            ),
        ),
        ("storm.py", "--processes", "250"),
    ],
    ids=lambda program: program[0],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="they read /proc")
def test_many_processes(scripts, program):
    result = scripts.command(str(STRESS / program[0]), *program[1:], "--limit", "100", limit=110)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr


def test_profilers_and_debuggers_work_after_processes_were_ended(scripts):
    """Taking back what was thrown must not leave the interpreter waiting for it: see take_back()."""
    assert scripts.check(
        """
        import multiprocessing, sys, threading, time, forkless

        context = multiprocessing.get_context('actor')

        def with_a_thread():
            threading.Thread(target=time.sleep, args=(0,)).start()

        for target, args, kill in ((len, ((),), False), (time.sleep, (60,), True), (with_a_thread, (), False)):
            process = context.Process(target=target, args=args)
            process.start()
            if kill:
                process.kill()
            process.join()

        def function():
            pass

        calls = []
        sys.setprofile(lambda frame, event, arg: calls.append(event))
        for _ in range(100):
            function()
        sys.setprofile(None)
        print(calls.count('call'))
        """,
        limit=30,
    ) == ["100"]
