# SPDX-License-Identifier: Apache-2.0
"""forkless.__main__: the command forkless, and python -m forkless."""

import os
import stat
import sys
from pathlib import Path

import pytest

import forkless
from support.scripts import environment

SCRIPT = """
import multiprocessing, os, sys

def square(queue, number):
    queue.put((number * number, os.getpid() != real, __name__))

real = os.getpid()

if __name__ == '__main__':
    print(sys.argv[1:], os.path.basename(sys.argv[0]), __name__)
    print(sys.path[0] == os.path.dirname(os.path.realpath(__file__)))
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=square, args=(queue, 5))
    process.start()
    print(*queue.get())
    process.join()
    print(process.pid >= 1 << 23)
    with multiprocessing.Pool(2) as pool:
        print(pool.map(abs, [-1, 2]))
    print(type(square).__name__, __import__('pickle').loads(__import__('pickle').dumps(square)) is square)
"""


@pytest.mark.parametrize("arguments", [[], ["a", "-h", "--version", "--", "-m", "b c"]])
def test_a_script_runs_with_its_arguments_on_simulated_processes(scripts, arguments):
    path = scripts.write(SCRIPT, "program.py")
    result = scripts.command("-m", "forkless", str(path), *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"{arguments} program.py __main__",
        "True",
        "25 True __main__",
        "True",
        "[1, 2]",
        "function True",
    ]


def test_a_script_by_a_relative_path(scripts):
    scripts.write(SCRIPT, "program.py")
    assert scripts.command("-m", "forkless", "program.py", "x").returncode == 0
    assert scripts.command("-m", "forkless", "./program.py", "x").returncode == 0


def test_a_module_runs_with_its_arguments(scripts):
    scripts.write(
        SCRIPT.replace("print(sys.path[0]", "print(sys.path[0] == os.getcwd() or sys.path[0]"),
        "program.py",
    )
    result = scripts.command("-m", "forkless", "-m", "program", "--flag", "-m", "x")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:4] == [
        "['--flag', '-m', 'x'] program.py __main__",
        "True",
        "25 True __main__",
        "True",
    ]


def test_a_package_runs_by_its_main_module(scripts):
    (scripts.folder / "package").mkdir()
    scripts.write("import sys\nprint(__package__, sys.argv[1:])\n", "package/__main__.py")
    scripts.write("", "package/__init__.py")
    result = scripts.command("-m", "forkless", "-m", "package", "1")
    assert (result.returncode, result.stdout) == (0, "package ['1']\n")
    result = scripts.command("-m", "forkless", "package", "2")
    assert result.returncode == 0 and "['2']" in result.stdout


def make_command(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_command_on_path_is_found(scripts):
    folder = scripts.folder / "bin"
    folder.mkdir()
    make_command(folder, "some-program", f"#!{sys.executable}\n{SCRIPT}")
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    result = scripts.command("-m", "forkless", "some-program", "x", env=environment(PATH=path))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[0] == "['x'] some-program __main__"


def test_a_file_here_comes_before_a_command_on_path(scripts):
    scripts.write("print('here')", "some-program")
    folder = scripts.folder / "bin"
    folder.mkdir()
    make_command(folder, "some-program", f"#!{sys.executable}\nprint('on PATH')")
    result = scripts.command("-m", "forkless", "some-program", env=environment(PATH=str(folder)))
    assert result.stdout == "here\n"


def test_the_installed_command_does_the_same(scripts):
    command = Path(sys.executable).parent / "forkless"
    if not command.exists():
        pytest.skip("the package was installed without its command")
    path = scripts.write("import sys\nprint(sys.argv[1:])\nsys.exit(6)")
    result = scripts.command(str(command), str(path), "1")
    assert (result.returncode, result.stdout) == (6, "['1']\n")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("pass", 0, ""),
        ("sys.exit(5)", 5, ""),
        ("sys.exit('a text')", 1, "a text\n"),
        ("sys.exit(None)", 0, ""),
        ("os._exit(9)", 9, ""),
        ("os.kill(os.getpid(), 15)", -15, ""),
        ("raise ValueError('wrong')", 1, "ValueError: wrong\n"),
    ],
)
def test_the_exit_status_passes_through(scripts, body, status, error):
    path = scripts.write(f"import os, sys\n{body}\n")
    result = scripts.command("-m", "forkless", str(path))
    assert result.returncode == status
    assert result.stderr.endswith(error) and (error or result.stderr == "")


def test_the_version(scripts):
    result = scripts.command("-m", "forkless", "--version")
    assert (result.returncode, result.stdout) == (0, f"forkless {forkless.__version__}\n")


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_tells_how_to_use_it(scripts, option):
    result = scripts.command("-m", "forkless", option)
    assert result.returncode == 0 and result.stderr == ""
    assert result.stdout.startswith("usage: forkless") and "-m MODULE" in result.stdout


@pytest.mark.parametrize("arguments", [[], ["-m"], ["--nonsense"], ["--nonsense", "script.py"]])
def test_a_command_line_that_makes_no_sense_is_refused(scripts, arguments):
    scripts.write("print('ran')")
    result = scripts.command("-m", "forkless", *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: forkless") and "error" in result.stderr


def test_errors_name_what_is_wrong(scripts):
    binary = scripts.folder / "binary"
    binary.write_bytes(b"\x7fELF\0\0\0")
    make_command(scripts.folder, "shell", "#!/bin/sh\necho no\n")
    for arguments, words in (
        (["missing.py"], "'missing.py' is neither a file nor a command on PATH"),
        (["./missing"], "'./missing' is neither a file nor a command on PATH"),
        (["./binary"], "is not a Python program"),
        (["./shell"], "is not a Python program"),
    ):
        result = scripts.command("-m", "forkless", *arguments)
        assert result.returncode == 1 and result.stdout == ""
        assert result.stderr.startswith("forkless: ") and words in result.stderr


def test_a_missing_module_is_reported_as_python_does(scripts):
    result = scripts.command("-m", "forkless", "-m", "no_such_module")
    assert result.returncode == 1
    assert "No module named no_such_module" in result.stderr
