# SPDX-License-Identifier: Apache-2.0
"""Platforms without processes, emulated: that the emulation is one, and that everything works there."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from support import no_processes
from support.scripts import LIMIT, environment

pytestmark = [
    pytest.mark.needs_processes("starts the emulation itself"),
    pytest.mark.skipif(
        sys.platform != "linux" or platform.machine() not in no_processes.ARCHITECTURES,
        reason="the filter is written for Linux on x86_64 and aarch64",
    ),
]


@pytest.fixture
def emulation(tmp_path):
    """Runs a program in the emulation; its output, which must be free of complaints."""

    def run(source, variant="none", stderr=""):
        path = tmp_path / "program.py"
        path.write_text(source, encoding="utf-8")
        result = subprocess.run(
            [sys.executable, no_processes.__file__, "--variant", variant, "--", str(path)],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=LIMIT,
            check=False,
            env=environment(),
        )
        assert result.returncode == 0, result
        if stderr is not None:
            assert result.stderr == stderr
        return result.stdout.splitlines()

    return run


# The emulation

RAW_CALLS = """
import ctypes, errno, os, platform, sys, threading

libc = ctypes.CDLL(None, use_errno=True)
arguments = (ctypes.c_char_p * 2)(b'true', None)
pid = ctypes.c_int()
child_stack = 0

def outcome(name, result):
    print(name, result, errno.errorcode.get(ctypes.get_errno()))
    if result == 0:
        os._exit(99)

outcome('fork', libc.fork())
outcome('execv', libc.execv(b'/bin/true', arguments))
spawned = libc.posix_spawn(ctypes.byref(pid), b'/bin/true', None, None, arguments, arguments)
print('posix_spawn', errno.errorcode.get(spawned))
numbers = {'x86_64': (57, 58, 56, 435, 59, 322), 'aarch64': (None, None, 220, 435, 221, 281)}
SIGCHLD, CLONE_VM, CLONE_VFORK = 17, 0x100, 0x4000
for name, number, flags in zip(
    ('fork', 'vfork', 'clone', 'clone3', 'execve', 'execveat'),
    numbers[platform.machine()],
    (0, 0, SIGCHLD, 0, 0, 0),
):
    if number is not None:
        outcome('call ' + name, libc.syscall(number, ctypes.c_ulong(flags), 0, 0, 0, 0))
for flags in (CLONE_VM | CLONE_VFORK | SIGCHLD, CLONE_VM):
    outcome(f'call clone {flags:x}', libc.syscall(numbers[platform.machine()][2], ctypes.c_ulong(flags), 0, 0, 0, 0))
thread = threading.Thread(target=print, args=('a thread runs',))
thread.start()
thread.join()
with open('/dev/null', 'w') as null:
    null.write('x')
print(len(os.urandom(4)))
"""


def test_the_kernel_refuses_processes_and_programs_but_not_threads(emulation):
    lines = emulation(RAW_CALLS)
    calls = {name: rest for name, _, rest in (line.partition(" -1 ") for line in lines[:-2])}
    assert calls.pop("posix_spawn EPERM") == ""
    assert calls.pop("call clone3") == "ENOSYS"
    assert set(calls.values()) == {"EPERM"} and len(calls) >= 6, calls
    assert lines[-2:] == ["a thread runs", "4"]


# The start methods of Linux in the order in which they are named, the default first.
FORKSERVER_FIRST = sys.version_info >= (3, 14)
METHODS = ["forkserver", "fork", "spawn"] if FORKSERVER_FIRST else ["fork", "spawn", "forkserver"]

WITHOUT_FORKLESS = """
import importlib, os, sys

def attempt(what, function):
    try:
        function()
    except BaseException as error:
        print(what, type(error).__name__)
    else:
        print(what, 'worked')

def run():
    import subprocess
    subprocess.run([sys.executable, '--version'])

def lock():
    import multiprocessing
    multiprocessing.Lock()

def process():
    import multiprocessing
    process = multiprocessing.get_context('fork').Process(target=print)
    process.start()

def memory():
    from multiprocessing.shared_memory import SharedMemory
    name = f'forkless-test-{os.getpid()}'
    try:
        SharedMemory(name, create=True, size=8)
    finally:
        try:
            __import__('_posixshmem').shm_unlink(name)
        except Exception:
            pass  # the first error tells

for name in ('fork', 'forkpty', 'posix_spawn', 'posix_spawnp', 'register_at_fork'):
    assert not hasattr(os, name), name
attempt('subprocess.run', run)
attempt('Lock', lock)
attempt('Process', process)
attempt('SharedMemory', memory)
attempt('os.system', lambda: exec('if os.system("true") != 0: raise OSError'))
attempt('os.execv', lambda: os.execv(sys.executable, [sys.executable]))
"""


@pytest.mark.parametrize(
    ("variant", "run", "process", "lock", "memory"),
    [
        # From 3.14 on a fork imports what is missing, and the default start method needs a program.
        (
            "none",
            "OSError",
            "ModuleNotFoundError" if FORKSERVER_FIRST else "AttributeError",
            "ModuleNotFoundError",
            "ModuleNotFoundError",
        ),
        ("bare", *("ModuleNotFoundError",) * 4),
        ("limited", "OSError", "AttributeError", "OSError", "OSError"),
        (
            "inert",
            "OSError",
            "AttributeError",
            "OSError" if FORKSERVER_FIRST else "worked",
            "OSError",
        ),
    ],
)
def test_without_forkless_nothing_works_there(emulation, variant, run, process, lock, memory):
    lines = dict(line.split() for line in emulation(WITHOUT_FORKLESS, variant, stderr=None))
    assert lines == {
        "subprocess.run": run,
        "Lock": lock,
        "Process": process,
        "SharedMemory": memory,
        "os.system": "OSError",
        "os.execv": "PermissionError",
    }


def test_dev_shm_is_missing_where_that_can_be_done(scripts, emulation):
    (possible,) = scripts.check(
        f"""
        import sys
        sys.path.insert(0, {str(Path(no_processes.__file__).parents[1])!r})
        from support import no_processes
        print(no_processes.hide_dev_shm())
        """
    )
    lines = emulation("import os\nprint(*map(os.path.exists, ('/dev/shm', '/dev/null')))")
    if possible == "False":
        pytest.skip("this system does not let us mount")
    assert lines == ["False True"]


# forkless in it

EVERYTHING = """
import forkless
import concurrent.futures, multiprocessing, os, subprocess, sys
from multiprocessing import managers, resource_tracker, shared_memory, sharedctypes
from multiprocessing import forkserver, heap, popen_fork, popen_forkserver, popen_spawn_posix

def work(queue, lock, event, value, array, memory_name):
    with lock:
        value.value += 1
        array[1] = 2.5
    memory = shared_memory.SharedMemory(memory_name)
    memory.buf[:5] = b'shared'[:5]
    memory.close()
    queue.put(os.getpid() >= 1 << 23)
    event.set()

def meet(barrier, condition, semaphore, connection):
    barrier.wait(30)
    with semaphore, condition:
        condition.notify_all()
    connection.send('met')
    connection.close()

def main():
    print(multiprocessing.get_all_start_methods(), multiprocessing.get_start_method())
    queue, lock, event = multiprocessing.Queue(), multiprocessing.RLock(), multiprocessing.Event()
    value, array = multiprocessing.Value('i', 1), multiprocessing.Array('d', 3)
    memory = shared_memory.SharedMemory(create=True, size=100)
    process = multiprocessing.Process(target=work, args=(queue, lock, event, value, array, memory.name))
    process.start()
    print(queue.get(timeout=30), event.wait(30))
    process.join()
    print(process.exitcode, value.value, array[:], bytes(memory.buf[:5]))
    memory.close()
    memory.unlink()

    barrier, condition = multiprocessing.Barrier(2), multiprocessing.Condition()
    here, there = multiprocessing.Pipe()
    semaphore = multiprocessing.BoundedSemaphore(1)
    process = multiprocessing.Process(target=meet, args=(barrier, condition, semaphore, there))
    with condition:
        process.start()
        barrier.wait(30)
        print(condition.wait(30), here.recv())
    process.join()

    with multiprocessing.Pool(2) as pool:
        print(pool.map(abs, [-1, -2]), pool.apply_async(divmod, (7, 2)).get(30))
    with multiprocessing.pool.ThreadPool(2) as pool:
        print(pool.map(abs, [-3]))
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        print(list(executor.map(abs, [-4, 5])))
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=[1])
        print(shared, manager.Queue().empty())
    with managers.SharedMemoryManager() as manager:
        print(manager.ShareableList([1, 'two', None])[1])
    for start in (
        lambda: multiprocessing.get_context('spawn').Process(target=print).start(),
        lambda: subprocess.run([sys.executable]),
        lambda: multiprocessing.util.spawnv_passfds(b'/bin/true', [b'true'], ()),
    ):
        try:
            start()
        except OSError as error:
            print(type(error).__name__, 'support processes' in str(error) or error.errno)
    forkless.install()
    methods = multiprocessing.get_all_start_methods()
    multiprocessing.set_start_method(None, force=True)
    print(methods, multiprocessing.get_start_method())
    for method in ('fork', 'spawn', 'forkserver'):
        context = multiprocessing.get_context(method)
        queue = context.SimpleQueue()
        process = context.Process(target=queue.put, args=(method,))
        process.start()
        print(queue.get())
        process.join()
    forkless.uninstall()
    multiprocessing.set_start_method(None, force=True)
    print(type(multiprocessing.Lock()).__module__)

if __name__ == '__main__':
    main()
"""


@pytest.mark.parametrize("variant", no_processes.VARIANTS)
def test_everything_works_there_after_importing_forkless(emulation, variant):
    unsupported = 95 if variant in ("limited", "inert") else True
    assert emulation(EVERYTHING, variant) == [
        "['actor'] actor",
        "True True",
        "0 2 [0.0, 2.5, 0.0] b'share'",
        "True met",
        "[1, 2] (3, 1)",
        "[3]",
        "[4, 5]",
        "{'a': [1]} True",
        "two",
        "OSError True",
        "OSError True",
        f"OSError {unsupported}",
        f"{METHODS} {METHODS[0]}",
        "fork",
        "spawn",
        "forkserver",
        "forkless.synchronize",
    ]


def test_a_default_that_nobody_chose_becomes_actor(emulation):
    assert emulation(
        """
import multiprocessing
before = multiprocessing.get_start_method()
import forkless
print(multiprocessing.get_start_method(), before != 'actor')
multiprocessing.set_start_method('spawn', force=True)
print(multiprocessing.get_start_method())
"""
    ) == ["actor True", "spawn"]


@pytest.mark.parametrize("variant", no_processes.VARIANTS)
def test_shared_memory_that_was_left_is_removed_with_a_warning(emulation, variant):
    program = """
import sys, warnings
warnings.showwarning = lambda message, *rest: print(str(message).partition(': {')[0])
import forkless, multiprocessing
from multiprocessing import resource_tracker, shared_memory

def leave(names):
    names.put(shared_memory.SharedMemory(create=True, size=8).name)

if __name__ == '__main__':
    names = multiprocessing.Queue()
    for _ in range(2):
        process = multiprocessing.Process(target=leave, args=(names,))
        process.start()
        process.join()
    first = shared_memory.SharedMemory(names.get())
    first.close()
    first.unlink()
    shared_memory.SharedMemory(names.get()).close()
    resource_tracker.ensure_running()
"""
    assert emulation(program, variant) == [
        "resource_tracker: There appear to be 1 leaked shared_memory objects to clean up at shutdown"
    ]


def test_processes_that_are_left_are_ended_with_their_memory(emulation):
    """What the tracker does at the end comes after all that multiprocessing does: no false warning."""
    assert (
        emulation(
            """
import atexit
import forkless, multiprocessing
from multiprocessing import managers

if __name__ == '__main__':
    manager = managers.SharedMemoryManager(shutdown_timeout=60)  # the machine may be busy
    manager.start()
    manager.SharedMemory(100)
    atexit.register(id, manager)  # left until then; later its module may have gone before it
    del manager
"""
        )
        == []
    )


@pytest.mark.parametrize("variant", no_processes.VARIANTS)
def test_the_process_that_tracks_resources_can_be_killed_and_loses_no_names(emulation, variant):
    program = """
import os, signal, warnings
import forkless, multiprocessing
from multiprocessing import resource_tracker, shared_memory

warnings.showwarning = lambda message, *rest: print(str(message).partition(':')[2].strip())
forkless.install()
tracker = resource_tracker._resource_tracker
memory = shared_memory.SharedMemory(create=True, size=8)
resource_tracker.ensure_running()
first = tracker._pid
os.kill(first, signal.SIGTERM)
print(os.waitpid(first, os.WNOHANG))
resource_tracker.ensure_running()
print(tracker._pid == first)
os.kill(first, signal.SIGKILL)
print(os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]))
multiprocessing.get_context('spawn').Lock()
print(tracker._pid not in (None, first))
memory.close()
memory.unlink()

resource_tracker._CLEANUP_FUNCS.setdefault('dummy', id)  # older ones have no such type
for leaves in (True, False):
    other = resource_tracker.ResourceTracker()
    other.ensure_running()
    other.register('name', 'dummy')
    if not leaves:
        other.unregister('name', 'dummy')
    other._stop()
    print(other._exitcode)
"""
    assert emulation(program, variant) == [
        "(0, 0)",
        "True",
        "-9",
        "process died unexpectedly, relaunching.  Some resources might leak.",
        "True",
        "1",
        "0",
    ]
