# SPDX-License-Identifier: Apache-2.0
"""Processes that are started one after another: what the threads that stand ready for them have."""

import os
import signal
import sys
import threading

import pytest

from forkless import _core
from support.calls import call
from support.scripts import eventually

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no thread stands ready elsewhere")

IN_A_ROW = 12


def surroundings():
    mask = os.umask(0)
    os.umask(mask)
    return {
        "folder": os.getcwd(),
        "mask": mask,
        "signals": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "processors": os.sched_getaffinity(0),
        "policy": os.sched_getscheduler(0),
    }


@pytest.fixture
def as_before():
    before = surroundings()
    yield
    restore(before)
    assert surroundings() == before


def restore(before):
    os.chdir(before["folder"])
    os.umask(before["mask"])
    signal.pthread_sigmask(signal.SIG_SETMASK, before["signals"])
    os.sched_setaffinity(0, before["processors"])


def test_each_begins_with_what_its_parent_has_at_that_moment(context, as_before, tmp_path):
    processors = sorted(os.sched_getaffinity(0))
    for number in range(IN_A_ROW):
        folder = tmp_path / str(number)
        folder.mkdir()
        os.chdir(folder)
        os.umask(number)
        block = signal.SIG_BLOCK if number % 2 else signal.SIG_UNBLOCK
        signal.pthread_sigmask(block, [signal.SIGUSR2])
        os.sched_setaffinity(0, {processors[number % len(processors)]})
        assert call(context, surroundings) == surroundings()


def change_surroundings(folder):
    os.chdir(folder)
    os.umask(0o77)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def test_none_finds_what_the_one_before_has_changed(context, as_before, tmp_path):
    before = surroundings()
    for _ in range(IN_A_ROW):
        call(context, change_surroundings, str(tmp_path))
        assert call(context, surroundings) == before


def nested(folder, method):
    import multiprocessing

    os.chdir(folder)
    context = multiprocessing.get_context(method)
    return [call(context, os.getcwd) for _ in range(IN_A_ROW)]


def test_children_of_a_process_begin_in_its_directory(context, tmp_path):
    folder = str(tmp_path)
    assert call(context, nested, folder, context._name) == [folder] * IN_A_ROW
    assert call(context, os.getcwd) == os.getcwd()


def go_deep(depth):
    return 0 if depth == 0 else 1 + go_deep(depth - 1)


def leave_generators(kept):
    def numbers():
        yield go_deep(50)
        yield go_deep(50)

    kept.append(numbers())
    return next(kept[0])


def test_one_that_needed_much_memory_for_its_calls_leaves_the_next_in_order(context):
    for depth in (1, 400, 3, 800, 2):
        assert call(context, go_deep, depth) == depth
        assert call(context, leave_generators, []) == 50


def threads():
    return set(os.listdir("/proc/self/task"))


def test_the_thread_of_one_that_cannot_be_started_leaves(context):
    if context._name == "fork":
        pytest.skip("shares what cannot be copied")
    before = threads()
    for _ in range(IN_A_ROW):
        process = context.Process(target=len, args=(threading.Lock(),))
        with pytest.raises(TypeError):
            process.start()
    assert eventually(lambda: threads() <= before)


def test_threads_that_nobody_needs_leave(context):
    before = threads()
    for _ in range(IN_A_ROW):
        call(context, len, ())
    assert eventually(lambda: threads() <= before)


def test_a_thread_runs_one_actor_only():
    class Actor(_core.Actor):
        pass

    thread = _core.start_thread(0)
    for _ in range(3):  # the others get threads of their own
        idents = []
        actor = Actor()
        actor.start(lambda _, idents=idents: idents.append(threading.get_ident()), None, 0, thread)
        actor.join(30, thread=True)
        assert idents not in ([], [threading.get_ident()])


def uts_namespace():
    return os.readlink("/proc/thread-self/ns/uts")


def move_and_start(method):
    import multiprocessing

    context = multiprocessing.get_context(method)
    for _ in range(4):
        call(context, uts_namespace)
    try:
        os.unshare(os.CLONE_NEWUTS)
    except OSError:
        return None
    return uts_namespace(), call(context, uts_namespace)


@pytest.mark.skipif(not hasattr(os, "unshare"), reason="comes with Python 3.12")
def test_one_begins_in_the_namespace_to_which_its_parent_has_moved(context):
    seen = call(context, move_and_start, context._name)
    if seen is None:
        pytest.skip("takes a privilege")
    assert seen[0] == seen[1] != uts_namespace()


@pytest.mark.needs_processes("forks")
def test_a_real_fork_has_none_of_the_threads_that_stand_ready(scripts):
    assert scripts.check(
        """
        import multiprocessing, os, forkless

        context = multiprocessing.get_context('actor')

        def start():
            process = context.Process(target=len, args=((),))
            process.start()
            process.join()
            return process.exitcode

        for _ in range(5):
            start()
        pid = os.fork()
        if pid == 0:
            os._exit(10 + start() + start())
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), start())
        """,
        limit=30,
    ) == ["10 0"]
