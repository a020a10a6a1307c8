# SPDX-License-Identifier: Apache-2.0
"""When the system runs out of something, start() says so and leaves nothing behind."""

import multiprocessing
import os
import threading

import pytest

from forkless import _core

SHORTAGE = """
import multiprocessing, os, resource, sys, threading, forkless
from forkless import _core

def nothing():
    pass

context = multiprocessing.get_context('actor')

def attempt():
    process = context.Process(target=nothing)
    before = _core.counters()
    try:
        process.start()
    except (OSError, MemoryError) as error:
        print(type(error).__name__)
    else:
        process.join()
        print('started', process.exitcode)
        return
    print(multiprocessing.active_children(), process.pid, process.exitcode, process.is_alive())
    after = _core.counters()
    print(after['live'] == before['live'], after['orphans'] == before['orphans'])
    try:
        process.join()
    except AssertionError as error:
        print(error)

attempt()
{make}
attempt()
{undo}
attempt()
"""

REFUSED = ["[] None None False", "True True", "can only join a started process"]


def run_short(scripts, make, undo):
    return scripts.check(SHORTAGE.replace("{make}", make).replace("{undo}", undo))


@pytest.mark.skipif(
    "asan" in os.environ.get("LD_PRELOAD", ""),
    reason="AddressSanitizer needs more address space than the limit leaves",
)
def test_no_memory_for_the_stack_of_a_thread(scripts):
    """The address space is limited to what is in use; the stack of a thread does not fit."""
    first, error, *rest, last = run_short(
        scripts,
        """
threading.stack_size(256 << 20)
pages = int(open('/proc/self/statm').read().split()[0])
limits = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + (32 << 20), limits[1]))
""",
        "resource.setrlimit(resource.RLIMIT_AS, limits)\nthreading.stack_size(0)",
    )
    assert (first, last) == ("started 0", "started 0")
    assert error in ("OSError", "BlockingIOError", "MemoryError") and rest == REFUSED


def test_a_stack_that_no_system_has(scripts):
    first, error, *rest, last = run_short(
        scripts, "threading.stack_size(1 << 50)", "threading.stack_size(0)"
    )
    assert (first, last) == ("started 0", "started 0")
    assert error in ("OSError", "BlockingIOError", "MemoryError") and rest == REFUSED


def test_no_descriptor_for_a_sentinel(actors):
    """The sentinel is made when it is asked for; without descriptors that is an error then."""
    import resource

    event = actors.Event()
    process = actors.Process(target=event.wait, args=(60,))
    process.start()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(fd) for fd in os.listdir("/proc/self/fd")) + 1
    held = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 8, limits[1]))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                held.append(os.dup(0))
        with pytest.raises(OSError):
            _ = process.sentinel
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in held:
            os.close(fd)
    assert isinstance(process.sentinel, int)
    event.set()
    process.join(30)
    assert process.exitcode == 0


def test_processes_need_no_descriptors(actors):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = []
    queue = actors.Queue()
    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 16, limits[1])
        )
        with pytest.raises(OSError):
            while True:
                held.append(os.dup(0))
        process = actors.Process(target=queue.put, args=(1,))
        process.start()
        process.join(30)
        assert (process.exitcode, queue.get(timeout=30)) == (0, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for fd in held:
            os.close(fd)


class Refusing:
    def __reduce__(self):
        raise MemoryError("no memory for a copy")


@pytest.mark.parametrize("method", ["actor", "spawn"])
def test_an_argument_that_cannot_be_copied_leaves_nothing_behind(installed, method):
    context = multiprocessing.get_context(method)
    before = _core.counters()
    process = context.Process(target=print, args=(Refusing(),))
    with pytest.raises(MemoryError, match="no memory for a copy") as caught:
        process.start()
    assert "must be picklable" in caught.value.__notes__[-1]
    assert multiprocessing.active_children() == [] and process.pid is None
    assert _core.counters() == before


def test_under_fork_an_argument_that_cannot_be_copied_is_shared(installed):
    """A fork needs no pickling: what it copies there, an actor shares if it must."""
    context = multiprocessing.get_context("fork")
    seen, lock = [], threading.Lock()
    process = context.Process(target=note, args=(lock, seen_by := Holder(seen)))
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert seen == [lock] and seen_by.seen is seen


class Holder:
    """Cannot be pickled, so that it is shared."""

    def __init__(self, seen):
        self.seen = seen

    def __reduce__(self):
        raise TypeError("not for pickling")


def note(lock, holder):
    holder.seen.append(lock)
