# SPDX-License-Identifier: Apache-2.0
"""Shared memory between simulated processes, and forkless.missing.shm, which supplies it."""

import errno
import mmap
import os
import stat
import sys
from multiprocessing import heap, managers, shared_memory, sharedctypes

import pytest

from forkless.missing import shm
from support.scripts import eventually


def descriptors():
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


# The standard library's classes on simulated processes


def write_to(name, value):
    memory = shared_memory.SharedMemory(name)
    memory.buf[0] = value
    memory.close()


def run(context, target, *args):
    process = context.Process(target=target, args=args)
    process.start()
    process.join(30)
    assert process.exitcode == 0


@pytest.fixture
def memory():
    memory = shared_memory.SharedMemory(create=True, size=64)
    yield memory
    memory.close()
    memory.unlink()


def test_memory_is_shared_by_its_name(context, memory):
    run(context, write_to, memory.name, 42)
    assert memory.buf[0] == 42


def write_through(memory, value):
    memory.buf[1] = value
    memory.close()


def test_memory_is_shared_as_an_argument(context, memory):
    run(context, write_through, memory, 43)
    assert memory.buf[1] == 43  # and its close() did not close ours


def make_and_leave(names):
    memory = shared_memory.SharedMemory(create=True, size=8)
    memory.buf[:3] = b"abc"
    memory.close()
    names.put(memory.name)


def test_memory_outlives_the_process_that_made_it(context):
    names = context.Queue()
    run(context, make_and_leave, names)
    memory = shared_memory.SharedMemory(names.get(timeout=30))
    assert bytes(memory.buf[:3]) == b"abc"
    memory.close()
    memory.unlink()


def unlink(name):
    memory = shared_memory.SharedMemory(name)
    memory.close()
    memory.unlink()


def test_memory_that_another_process_unlinked_stays_where_it_is_mapped(context):
    memory = shared_memory.SharedMemory(create=True, size=8)
    memory.buf[0] = 7
    run(context, unlink, memory.name)
    assert memory.buf[0] == 7
    memory.close()
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(memory.name)


def change_list(name):
    shareable = shared_memory.ShareableList(name=name)
    shareable[0] += 1
    shareable[1] = "new"
    shareable.shm.close()


def test_a_shareable_list_is_shared(context):
    shareable = shared_memory.ShareableList([1, "old", None, 2.5, b"x"])
    run(context, change_list, shareable.shm.name)
    assert list(shareable) == [2, "new", None, 2.5, b"x"]
    assert (shareable.count(2), shareable.index("new")) == (1, 1)
    shareable.shm.close()
    shareable.shm.unlink()


def managed(names, address_of_manager):
    with managers.SharedMemoryManager() as manager:
        memory = manager.SharedMemory(16)
        names.put(memory.name)
        names.put(list(manager.ShareableList(range(3))))


def test_a_shared_memory_manager_unlinks_what_it_made(actors):
    names = actors.Queue()
    run(actors, managed, names, None)
    name, numbers = names.get(timeout=30), names.get(timeout=30)
    assert numbers == [0, 1, 2]
    with pytest.raises(FileNotFoundError):
        shared_memory.SharedMemory(name)


class Point(sharedctypes.ctypes.Structure):
    _fields_ = (("x", sharedctypes.ctypes.c_double), ("y", sharedctypes.ctypes.c_int))


def change_ctypes(value, array, raw, point):
    with value.get_lock():
        value.value += 1
    array[0] = 5
    raw[1] = 6
    point.x, point.y = 1.5, 2


def test_ctypes_objects_are_shared(context):
    value, array = context.Value("i", 1), context.Array("i", [1, 2])
    raw, point = context.RawArray("i", 2), context.Value(Point, lock=False)
    run(context, change_ctypes, value, array, raw, point)
    assert (value.value, array[:], raw[:]) == (2, [5, 2], [0, 6])
    assert (point.x, point.y) == (1.5, 2)


def test_passing_ctypes_objects_keeps_no_descriptors(context):
    value, array = context.Value("i", 1), context.Array("d", 10000)
    run(context, change_ctypes, value, array, array, context.RawValue(Point))
    before = descriptors()
    for _ in range(5):
        run(context, change_ctypes, value, array, array, context.RawValue(Point))
    assert eventually(lambda: descriptors() <= before), (before, descriptors())


def use_own(answers):
    value = sharedctypes.Value("i", 3)
    answers.put((value.value, len(heap.BufferWrapper(100).create_memoryview())))


def test_a_process_can_make_ctypes_objects_of_its_own(context):
    answers = context.Queue()
    run(context, use_own, answers)
    assert answers.get(timeout=30) == (3, 100)


TRACKED = """
import multiprocessing, forkless
from multiprocessing import shared_memory

def attach(name):
    shared_memory.SharedMemory(name).close()

def make(names):
    memory = shared_memory.SharedMemory(create=True, size=8)
    names.put(memory.name)
    memory.close()

if __name__ == '__main__':
    context = multiprocessing.get_context('actor')
    names = context.Queue()
    memory = shared_memory.SharedMemory(create=True, size=8)
    for process in (
        context.Process(target=attach, args=(memory.name,)),
        context.Process(target=attach, args=(memory.name,)),
        context.Process(target=make, args=(names,)),
    ):
        process.start()
        process.join()
    other = shared_memory.SharedMemory(names.get())
    for each in (memory, other):
        each.close()
        each.unlink()
"""


def test_memory_that_was_unlinked_is_not_reported_as_leaked(scripts):
    assert scripts.check(TRACKED) == []


@pytest.mark.skipif(sys.version_info < (3, 13), reason="SharedMemory(track=) is of 3.13")
def test_memory_that_is_not_tracked_is_not_reported(scripts):
    program = TRACKED.replace("size=8)", "size=8, track=False)")
    program = program.replace("(name)", "(name, track=False)").replace(
        "get())", "get(), track=False)"
    )
    assert scripts.check(program) == []


# What stands for shm_open() where there is none

CREATE = os.O_CREAT | os.O_EXCL | os.O_RDWR


@pytest.fixture(params=["memory", "file", "without /proc"])
def name(request, monkeypatch):
    """A name that is not in use, with each thing that can be behind it."""
    if request.param == "memory" and not hasattr(os, "memfd_create"):
        pytest.skip("the system has no memfd_create()")
    if request.param != "memory":
        monkeypatch.delattr(os, "memfd_create", raising=False)
    if request.param == "without /proc":
        monkeypatch.setattr(shm, "_REOPENED", "/nowhere/{}")
    yield "/forkless-test"
    shm._segments.pop("forkless-test", None)


def test_what_is_opened_twice_is_the_same(name):
    first = shm.shm_open(name, CREATE, 0o600)
    os.ftruncate(first, 100)
    second = shm.shm_open(name.lstrip("/"), os.O_RDWR)
    with mmap.mmap(first, 100) as one, mmap.mmap(second, 100) as other:
        one[3] = 9
        assert (other[3], os.fstat(second).st_size) == (9, 100)
    assert first != second and not os.get_inheritable(first) and not os.get_inheritable(second)
    assert stat.S_IMODE(os.fstat(first).st_mode) == 0o600
    shm.shm_unlink(name)
    os.close(first)
    os.close(second)


def test_a_name_can_be_taken_away_while_it_is_open(name):
    fd = shm.shm_open(name, CREATE)
    os.write(fd, b"old")
    shm.shm_unlink(name)
    again = shm.shm_open(name, CREATE)
    assert (os.fstat(fd).st_size, os.fstat(again).st_size) == (3, 0)
    shm.shm_unlink(name)
    os.close(fd)
    os.close(again)


def test_opening_can_truncate(name):
    fd = shm.shm_open(name, CREATE)
    os.write(fd, b"old")
    os.close(shm.shm_open(name, os.O_RDWR | os.O_CREAT))
    assert os.fstat(fd).st_size == 3
    os.close(shm.shm_open(name, os.O_RDWR | os.O_TRUNC))
    assert os.fstat(fd).st_size == 0
    shm.shm_unlink(name)
    os.close(fd)


def test_no_descriptor_is_left(name):
    before = descriptors()
    os.close(shm.shm_open(name, CREATE))
    shm.shm_unlink(name)
    assert descriptors() <= before  # fewer, if something of an earlier test was closed meanwhile


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="a duplicate has the same access")
def test_who_opens_for_reading_cannot_write():
    os.close(shm.shm_open("/forkless-test", CREATE, 0o600))
    fd = shm.shm_open("/forkless-test", os.O_RDONLY)
    with pytest.raises(OSError):
        os.write(fd, b"x")
    shm.shm_unlink("/forkless-test")
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "flags", "code"),
    [
        ("/forkless-absent", os.O_RDWR, errno.ENOENT),
        ("/", CREATE, errno.EINVAL),
        ("/a/b", CREATE, errno.EINVAL),
        ("/..", CREATE, errno.EINVAL),
        ("/" + "n" * 256, CREATE, errno.ENAMETOOLONG),
    ],
)
def test_what_cannot_be_opened_says_why(path, flags, code):
    with pytest.raises(OSError) as caught:
        shm.shm_open(path, flags)
    assert (caught.value.errno, caught.value.filename) == (code, path)


def test_what_is_there_cannot_be_made_and_what_is_not_cannot_be_removed(name):
    with pytest.raises(FileNotFoundError):
        shm.shm_unlink(name)
    os.close(shm.shm_open(name, CREATE))
    with pytest.raises(FileExistsError):
        shm.shm_open(name, CREATE)
    shm.shm_unlink(name)


def test_a_path_is_text_without_null_characters():
    with pytest.raises(TypeError):
        shm.shm_open(b"/bytes", CREATE)
    with pytest.raises(ValueError):
        shm.shm_open("/nu\0ll", CREATE)
