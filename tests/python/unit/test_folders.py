# SPDX-License-Identifier: Apache-2.0
"""forkless.personality.folders: the working directory and the mask of a simulated process."""

import errno
import os
import pathlib
import stat
import subprocess
import sys
import threading

import pytest

from forkless.personality import folders
from support.calls import Puppet, call

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own, elsewhere")


@pytest.fixture(autouse=True)
def same_folder():
    before = os.getcwd()
    mask = os.umask(0o22)
    yield
    assert (os.getcwd(), os.umask(mask)) == (before, 0o22)


@pytest.fixture
def own_folders():
    """Skips where this system refuses it."""
    try:
        unshare = folders._unshare_function()
        assert unshare is not None
        thread = threading.Thread(target=unshare, args=(0x200,))
        thread.start()
        thread.join()
    except (AssertionError, OSError):
        pytest.skip("threads cannot leave the directory of their process here")


def in_thread(function, *args):
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function(*args)))
    thread.start()
    thread.join(30)
    return answers[0]


def move(folder):
    os.chdir(folder)
    pathlib.Path("relative").write_text("text")
    os.mkdir("made")
    return [
        os.getcwd(),
        os.getcwdb().decode(),
        str(pathlib.Path.cwd()),
        open("relative").read(),
        sorted(os.listdir()),
        subprocess.check_output("pwd", text=True).strip(),
        os.popen("pwd").read().strip(),
        in_thread(os.getcwd),
        os.path.abspath("x"),
    ]


@pytest.mark.needs_processes("starts programs")
def test_a_process_has_a_directory_of_its_own(context, own_folders, tmp_path):
    folder = str(tmp_path)
    assert call(context, move, folder) == [
        *([folder] * 3),
        "text",
        ["made", "relative"],
        *([folder] * 3),
        f"{folder}/x",
    ]


def move_in_thread(folder):
    waiting, done, seen = threading.Event(), threading.Event(), []

    def look_later():
        waiting.set()
        done.wait(30)
        seen.append(os.getcwd())

    early = threading.Thread(target=look_later)
    early.start()
    waiting.wait(30)
    in_thread(os.chdir, folder)
    done.set()
    early.join(30)
    return os.getcwd(), seen, in_thread(os.getcwd)


def test_all_threads_of_a_process_are_in_one_directory(actors, own_folders, tmp_path):
    folder = str(tmp_path)
    assert call(actors, move_in_thread, folder) == (folder, [folder], folder)


def change_by_descriptor(folder):
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fchdir(fd)
    finally:
        os.close(fd)
    return os.getcwd()


def test_a_process_changes_its_directory_by_a_descriptor(actors, own_folders, tmp_path):
    assert call(actors, change_by_descriptor, str(tmp_path)) == str(tmp_path)


def test_a_process_begins_in_the_directory_that_its_parent_had(actors, own_folders, tmp_path):
    before = os.getcwd()
    puppets = []
    try:
        for _ in range(20):  # each may be slow to begin
            os.chdir(before)
            os.umask(0o22)
            puppets.append(Puppet(actors))
            os.chdir(tmp_path)
            os.umask(0o77)
        assert [puppet.call(os.getcwd) for puppet in puppets] == [before] * 20
        assert [puppet.call(os.umask, 0) for puppet in puppets] == [0o22] * 20
    finally:
        os.chdir(before)
        os.umask(0o22)
        for puppet in puppets:
            puppet.close()


def start_from_elsewhere(actors, folder):
    os.chdir(folder)
    return call(actors, os.getcwd), call(actors, os.chdir, "/"), os.getcwd()


def test_a_grandchild_begins_where_the_child_is(actors, own_folders, tmp_path):
    assert call(actors, start_from_elsewhere, actors, str(tmp_path)) == (
        str(tmp_path),
        None,
        str(tmp_path),
    )


def mask_and_make(path):
    before = os.umask(0o77)
    with open(path, "w"):
        pass
    return before, stat.S_IMODE(os.stat(path).st_mode), in_thread(os.umask, 0o77)


def test_a_process_has_a_mask_of_its_own(context, own_folders, tmp_path):
    assert call(context, mask_and_make, str(tmp_path / "file")) == (0o22, 0o600, 0o77)
    (tmp_path / "other").touch()
    assert stat.S_IMODE(os.stat(tmp_path / "other").st_mode) == 0o644


def try_all(folder):
    errors = []
    for function, argument in ((os.chdir, folder), (os.fchdir, 0), (os.umask, 0)):
        try:
            function(argument)
        except OSError as error:
            errors.append((error.errno, "simulated process" in error.strerror))
    return errors, os.getcwd()


def refused(flags):
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_where_the_system_refuses_it_a_change_is_an_error(actors, tmp_path, monkeypatch):
    call(actors, os.getcwd)  # so that what follows is not overwritten by the activation
    monkeypatch.setattr(folders, "_unshare", refused)
    assert call(actors, try_all, str(tmp_path)) == (
        [(errno.ENOTSUP, True)] * 3,
        os.getcwd(),
    )
    os.chdir(os.getcwd())  # the real process may


def test_a_process_that_cannot_be_started_is_not_waited_for(actors, monkeypatch):
    call(actors, os.getcwd)

    def fail(*args):
        raise OSError(errno.EAGAIN, "no thread")

    process = actors.Process(target=os.getcwd)
    monkeypatch.setattr("forkless.actors.Actor.start", fail)
    with pytest.raises(OSError, match="no thread"):
        process.start()
    os.chdir(os.getcwd())
    assert not folders._beginning
