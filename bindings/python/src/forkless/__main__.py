# SPDX-License-Identifier: Apache-2.0
"""The command ``forkless``: runs a Python program with simulated processes in place of real ones."""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import sys

import forkless

__all__ = ["main"]


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="forkless",
        usage="forkless [-h] [--version] (SCRIPT | COMMAND | -m MODULE) [ARGUMENT ...]",
        description="Run a Python program with its multiprocessing processes as threads.",
        epilog="SCRIPT is a file; COMMAND is a Python program on PATH, such as ansible-playbook.",
    )
    parser.add_argument("--version", action="version", version=f"forkless {forkless.__version__}")
    parser.add_argument(
        "-m", dest="module", metavar="MODULE", help="run a module, as python -m does"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, metavar="PROGRAM [ARGUMENT ...]")
    # Everything after the module's name belongs to the module.
    if len(argv) >= 2 and argv[0] == "-m":
        return parser.parse_args(["-m", argv[1], "--", *argv[2:]])
    options = parser.parse_args(argv)
    if not options.program:
        parser.error("name a script, a command or -m MODULE to run")
    return options


def _find(name: str) -> str:
    """The file that a program argument names."""
    if os.path.exists(name):
        return name
    beside = os.path.join(os.path.dirname(sys.executable), name)
    found = beside if os.path.exists(beside) else shutil.which(name)
    if os.sep in name or not found:
        sys.exit(f"forkless: {name!r} is neither a file nor a command on PATH")
    return found


def _check_is_python(path: str) -> None:
    if os.path.isdir(path):
        return  # a folder with a __main__.py
    with open(path, "rb") as file:
        first = file.readline(256)
    if first.startswith(b"\x7fELF") or (first.startswith(b"#!") and b"python" not in first):
        sys.exit(f"forkless: {path} is not a Python program, so it cannot run in this interpreter")


def main() -> None:
    """Run the program that the command line names; its exit status is ours."""
    options = _parse(sys.argv[1:])
    arguments = [a for i, a in enumerate(options.program) if not (i == 0 and a == "--")]
    forkless.install()
    if options.module:
        sys.argv = [options.module, *arguments]
        sys.path[0:1] = [os.getcwd()]
        runpy.run_module(options.module, run_name="__main__", alter_sys=True)
        return
    path = _find(arguments[0])
    _check_is_python(path)
    sys.argv = [path, *arguments[1:]]
    sys.path[0:1] = [os.path.dirname(os.path.realpath(path))]
    runpy.run_path(path, run_name="__main__")


if __name__ == "__main__":
    main()
