# SPDX-License-Identifier: Apache-2.0
"""forkless.personality.locks: record locks between simulated processes, and against other programs."""

import errno
import os
import subprocess
import sys

import pytest

from forkless.personality import locks
from support.calls import Puppet
from support.scripts import eventually

fcntl = pytest.importorskip("fcntl")

FILES = {}  # per process by its pid; code is shared, so this is too


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "locked"
    file.write_bytes(b"0" * 100)
    yield str(file)
    assert eventually(lambda: not locks._locks), locks._locks
    FILES.clear()


@pytest.fixture
def puppet(actors):
    puppet = Puppet(actors)
    yield puppet
    puppet.close()


@pytest.fixture
def pair(actors):
    puppets = Puppet(actors), Puppet(actors)
    yield puppets
    for puppet in puppets:
        puppet.close()


def lock(path, command, *span):
    """Whether it could be locked, through a file that stays open."""
    file = FILES.setdefault((os.getpid(), path), None) or open(path, "r+b")
    FILES[os.getpid(), path] = file
    try:
        fcntl.lockf(file, command, *span)
    except BlockingIOError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES) and "busy"
    return "locked"


def unlock(path, *span):
    fcntl.lockf(FILES[os.getpid(), path], fcntl.LOCK_UN, *span)


def close(path):
    FILES.pop((os.getpid(), path)).close()


EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB
SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB


def of_another_program(path, command=EXCLUSIVE, *span):
    """Whether a program could lock the file now."""
    source = (
        "import fcntl, sys\n"
        "try: fcntl.lockf(open(sys.argv[1], 'r+b'), *map(int, sys.argv[2:]))\n"
        "except OSError: print('busy')\n"
        "else: print('locked')"
    )
    arguments = [sys.executable, "-c", source, path, *map(str, (int(command), *span))]
    return subprocess.check_output(arguments, text=True).strip()


@pytest.mark.needs_processes("asks another program")
def test_processes_exclude_each_other_and_other_programs(pair, path):
    one, two = pair
    assert one.call(lock, path, EXCLUSIVE) == "locked"
    assert one.call(lock, path, EXCLUSIVE) == "locked", "a process does not exclude itself"
    assert two.call(lock, path, EXCLUSIVE) == "busy" == two.call(lock, path, SHARED)
    assert lock(path, EXCLUSIVE) == "busy", "the real process is excluded, too"
    assert of_another_program(path) == "busy"
    one.call(unlock, path)
    assert of_another_program(path) == "locked"
    assert lock(path, EXCLUSIVE) == "locked" and two.call(lock, path, EXCLUSIVE) == "busy"
    unlock(path)
    assert two.call(lock, path, EXCLUSIVE) == "locked"
    two.call(unlock, path)


def test_a_process_waits_for_a_lock(pair, path):
    one, two = pair
    one.call(lock, path, EXCLUSIVE)
    two.tell(lock, path, fcntl.LOCK_EX)
    assert two._answers.empty()
    one.call(unlock, path)
    assert two.answer() == "locked"
    two.call(unlock, path)


@pytest.mark.needs_processes("asks another program")
def test_shared_locks_are_shared_until_the_last(pair, path):
    one, two = pair
    assert one.call(lock, path, SHARED) == "locked" == two.call(lock, path, SHARED)
    assert two.call(lock, path, EXCLUSIVE) == "busy"
    assert of_another_program(path, SHARED) == "locked"
    one.call(unlock, path)
    assert of_another_program(path) == "busy", "the kernel's lock is still that of the other"
    assert two.call(lock, path, EXCLUSIVE) == "locked", "it may be made stronger"
    assert two.call(lock, path, SHARED) == "locked" == one.call(lock, path, SHARED)
    two.call(unlock, path)
    one.call(unlock, path)
    assert of_another_program(path) == "locked"


@pytest.mark.needs_processes("asks another program")
def test_locks_are_of_bytes(pair, path):
    one, two = pair
    assert one.call(lock, path, EXCLUSIVE, 10, 0) == "locked"
    assert two.call(lock, path, EXCLUSIVE, 10, 10) == "locked"
    assert two.call(lock, path, EXCLUSIVE, 1, 9) == "busy"
    assert one.call(lock, path, EXCLUSIVE, 1, -85, os.SEEK_END) == "busy"
    assert one.call(lock, path, EXCLUSIVE, 0, 20) == "locked"
    assert of_another_program(path, EXCLUSIVE, 1, 15) == "busy"
    one.call(unlock, path, 5, 0)
    assert two.call(lock, path, EXCLUSIVE, 5, 0) == "locked"
    assert two.call(lock, path, EXCLUSIVE, 1, 5) == "busy"
    two.call(unlock, path)
    assert of_another_program(path, EXCLUSIVE, 5, 0) == "locked"
    assert of_another_program(path, EXCLUSIVE, 5, 5) == "busy"
    assert of_another_program(path, EXCLUSIVE, 10, 10) == "locked"
    assert of_another_program(path, EXCLUSIVE, 1, 5000) == "busy"
    one.call(unlock, path)
    assert of_another_program(path) == "locked"


def test_closing_the_file_gives_the_lock_up(pair, path):
    one, two = pair
    one.call(lock, path, EXCLUSIVE)
    two.tell(lock, path, fcntl.LOCK_EX)
    one.call(close, path)
    assert two.answer() == "locked"
    two.call(close, path)
    assert lock(path, EXCLUSIVE) == "locked"
    unlock(path)


def lock_by_number(path):
    fd = os.open(path, os.O_RDWR)
    fcntl.lockf(fd, EXCLUSIVE)
    return fd


def lock_in_scope(path):
    with open(path, "r+") as file:
        fcntl.lockf(file, EXCLUSIVE)
        return file.fileno()


def lock_unclosing(path, fd):
    with open(fd, "r+b", closefd=False) as file:
        fcntl.lockf(file, EXCLUSIVE)


def test_a_number_that_is_used_again_is_another_open_file(pair, path):
    numbers = set()
    for _ in range(2):
        for puppet in pair:
            fd = puppet.call(lock_by_number, path)
            puppet.call(os.close, fd)
            numbers |= {fd, puppet.call(lock_in_scope, path)}
    assert len(numbers) < 8, "some are used again"
    one, two = pair
    fd = one.call(os.open, path, os.O_RDWR)
    one.call(lock_unclosing, path, fd)
    assert two.call(lock, path, EXCLUSIVE) == "busy", "it is open by its number"
    one.call(os.close, fd)
    assert two.call(lock, path, EXCLUSIVE) == "locked"
    two.call(close, path)
    lock(path, EXCLUSIVE)
    unlock(path)


PROGRAM = """
import fcntl, sys
file = open(sys.argv[1], 'r+b')
fcntl.lockf(file, fcntl.LOCK_EX)
print('locked', flush=True)
sys.stdin.read()
"""


@pytest.fixture
def program(path):
    """A program that has locked the file."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdout.readline() == b"locked\n"
        yield program
        program.kill()


@pytest.mark.needs_processes("asks another program")
def test_a_process_waits_for_another_program(actors, puppet, path, program):
    assert puppet.call(lock, path, EXCLUSIVE) == "busy"
    puppet.tell(lock, path, fcntl.LOCK_EX)
    process = actors.Process(target=lock, args=(path, fcntl.LOCK_EX))
    process.start()
    process.terminate()
    process.join(30)
    assert process.exitcode == -15
    program.stdin.close()
    assert puppet.answer() == "locked"
    puppet.call(unlock, path)


def test_an_inherited_file_excludes_too(puppet, path):
    """A lock belongs to a process, not to an open file: as in a forked child."""
    with open(path, "r+b") as file:
        FILES[puppet.process.pid, path] = FILES[os.getpid(), path] = file
        assert lock(path, EXCLUSIVE) == "locked" and puppet.call(lock, path, EXCLUSIVE) == "busy"
        unlock(path)
        assert puppet.call(lock, path, EXCLUSIVE) == "locked" and lock(path, SHARED) == "busy"
        puppet.call(unlock, path)


def lock_and_leave(path, how):
    lock(path, fcntl.LOCK_EX)
    if how == "exit":
        os._exit(3)


@pytest.mark.parametrize("how", ["return", "exit"])
@pytest.mark.needs_processes("asks another program")
def test_a_process_that_ends_gives_its_locks_up(context, path, how):
    process = context.Process(target=lock_and_leave, args=(path, how))
    process.start()
    process.join(30)
    assert lock(path, fcntl.LOCK_EX) == "locked"
    assert of_another_program(path) == "busy"
    unlock(path)
    assert of_another_program(path) == "locked"


def test_a_process_that_waits_for_a_lock_can_be_ended(actors, path):
    assert lock(path, EXCLUSIVE) == "locked"
    process = actors.Process(target=lock, args=(path, fcntl.LOCK_EX))
    process.start()
    process.terminate()
    process.join(30)
    assert process.exitcode == -15
    unlock(path)


def fail(path):
    with open(path, "rb") as file:  # which cannot be locked exclusively
        try:
            fcntl.lockf(file, EXCLUSIVE)
        except OSError as error:
            return error.errno


def test_a_lock_that_the_kernel_refuses_is_not_had(pair, path):
    one, two = pair
    assert one.call(lock, path, SHARED, 10) == "locked"
    assert one.call(fail, path) == errno.EBADF
    assert two.call(lock, path, SHARED) == "locked", "what it had before, it has again"
    assert two.call(lock, path, EXCLUSIVE, 10, 10) == "locked"
    assert two.call(lock, path, EXCLUSIVE) == "busy"
    two.call(unlock, path)
    one.call(unlock, path)
    with pytest.raises(ValueError, match="unrecognized"):
        fcntl.lockf(0, 0)


def with_os(path, command, position=0):
    fd = FILES.setdefault((os.getpid(), "fd"), None)
    if fd is None:
        fd = FILES[os.getpid(), "fd"] = os.open(path, os.O_RDWR)
    os.lseek(fd, position, os.SEEK_SET)
    try:
        os.lockf(fd, command, 10)
    except OSError as error:
        return error.errno in (errno.EAGAIN, errno.EACCES) and "busy"
    return "locked"


@pytest.mark.skipif(not hasattr(os, "lockf"), reason="this platform has no os.lockf()")
def test_the_function_of_os_uses_the_same_locks(pair, path):
    one, two = pair
    assert one.call(with_os, path, os.F_TLOCK, 10) == "locked"
    assert (
        two.call(with_os, path, os.F_TLOCK, 19) == "busy" == two.call(with_os, path, os.F_TEST, 5)
    )
    assert two.call(with_os, path, os.F_LOCK, 20) == "locked"
    assert two.call(lock, path, EXCLUSIVE, 1, 15) == "busy"
    assert two.call(with_os, path, os.F_TEST, 30) == "locked"
    one.call(with_os, path, os.F_ULOCK, 10)
    two.call(with_os, path, os.F_ULOCK, 20)
    two.call(close, path)
    for puppet in pair:
        puppet.call(os.close, FILES.pop((puppet.process.pid, "fd")))


def flock(path, command):
    file = FILES[os.getpid(), path, "flock"] = open(path, "rb")
    try:
        fcntl.flock(file, command)
    except BlockingIOError:
        return "busy"
    return "locked"


def test_locks_of_open_files_exclude_as_they_are(pair, path):
    one, two = pair
    assert one.call(flock, path, EXCLUSIVE) == "locked"
    assert two.call(flock, path, EXCLUSIVE) == "busy"
    for puppet in pair:
        FILES.pop((puppet.process.pid, path, "flock")).close()
