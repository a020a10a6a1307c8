# SPDX-License-Identifier: Apache-2.0
"""forkless.activation, patches and stdlib: what is replaced when, and that all of it can be taken back."""

import multiprocessing
import os
import types

import pytest

import forkless
from forkless.patches import PatchSet

# Lists everything that the standard library's modules hold, down to the code of functions.
SNAPSHOT = """
import _thread, atexit, importlib, multiprocessing, os, pickle, signal, subprocess, sys, threading, time
import multiprocessing.pool, multiprocessing.queues, multiprocessing.synchronize
import multiprocessing.managers, multiprocessing.connection, multiprocessing.sharedctypes
import multiprocessing.reduction, multiprocessing.resource_tracker, multiprocessing.util, os.path
import multiprocessing.dummy, multiprocessing.shared_memory, multiprocessing.heap

MODULES = [os, signal, sys, threading, _thread, time, atexit, subprocess, multiprocessing, pickle]
MODULES += [m for name, m in sorted(sys.modules.items()) if name.startswith('multiprocessing.')]
CHANGING = {'last_exc', 'last_type', 'last_value', 'last_traceback', '__warningregistry__'}

def code(value):
    function = getattr(value, '__func__', value)
    if isinstance(function, property):
        function = function.fget
    return getattr(function, '__code__', None), getattr(function, '__defaults__', None)

def snapshot():
    seen = {}
    for module in MODULES:
        seen[module.__name__, 'class'] = type(module)
        for name, value in vars(module).items():
            if name in CHANGING:
                continue
            seen[module.__name__, name] = value, code(value)
            if isinstance(value, type) and value.__module__ == module.__name__:
                for member, inner in vars(value).items():
                    seen[module.__name__, name, member] = inner, code(inner)
    seen['modules'] = set(sys.modules)
    return seen

def differences(before, after, ignore=()):
    before.pop('modules'), after.pop('modules')
    return sorted(
        '.'.join(key)
        for key in before.keys() | after.keys()
        if before.get(key, 'missing') != after.get(key, 'missing') and key[-1] not in ignore
    )
"""


@pytest.mark.needs_processes("more is changed there")
def test_importing_forkless_adds_a_start_method_and_changes_nothing_else(scripts):
    changed, methods = scripts.check(
        SNAPSHOT
        + """
before = snapshot()
import forkless
print(differences(before, snapshot()))
print(multiprocessing.get_all_start_methods())
"""
    )
    assert eval(changed) == [
        "multiprocessing.context.DefaultContext.get_all_start_methods",
        "multiprocessing.context._forkless_start_methods",
        "multiprocessing.get_all_start_methods",  # the same function
    ]
    assert eval(methods)[-1] == "actor" and "fork" in eval(methods)


@pytest.mark.needs_processes("looks at modules that cannot be imported there without forkless")
@pytest.mark.parametrize("use", ["install", "actor", "both"])
def test_uninstall_restores_everything(scripts, use):
    assert scripts.check(
        SNAPSHOT
        + f"""
import forkless
use = {use!r}
before = snapshot()

def run(method):
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    process = context.Process(target=queue.put, args=(1,))
    process.start()
    process.join()
    assert queue.get() == 1 and process.pid >= 1 << 23

if __name__ == '__main__':
    for _ in range(2):
        if use != 'actor':
            forkless.install()
            assert forkless.is_installed()
            assert multiprocessing.get_context('fork').Queue is not None
            run('fork')
        if use != 'install':
            run('actor')
        assert differences(dict(before), snapshot())
        forkless.uninstall()
        assert not forkless.is_installed()
        # How many children there were is state of the process, not a replacement.
        print(differences(dict(before), snapshot(), ignore=['_children', '_dangling', '_cleanups']))
"""
    ) == ["[]", "[]"]


@pytest.mark.needs_processes("starts real processes")
def test_after_uninstall_processes_are_real_again(scripts):
    assert (
        scripts.check(
            """
        import multiprocessing, os, forkless

        if __name__ == '__main__':
            context = multiprocessing.get_context('fork')
            for simulated in (True, False, True):
                (forkless.install if simulated else forkless.uninstall)()
                queue = context.SimpleQueue()
                process = context.Process(target=queue.put, args=(1,))
                process.start()
                process.join()
                print(process.exitcode, queue.get(), (process.pid >= 1 << 23) is simulated)
        """
        )
        == ["0 1 True"] * 3
    )


def test_uninstall_refuses_while_processes_live(actors):
    event = actors.Event()
    process = actors.Process(target=event.wait, args=(60,))
    process.start()
    with pytest.raises(RuntimeError, match="1 simulated processes live"):
        forkless.uninstall()
    assert process.is_alive() and os.getpgid(process.pid)  # the refusal changed nothing
    event.set()
    process.join(30)
    assert process.exitcode == 0


def test_uninstall_without_install_does_nothing():
    was = forkless.is_installed()
    if not was:
        forkless.uninstall()
        forkless.uninstall()
    assert forkless.is_installed() is was


def test_install_twice_is_one_install(installed):
    queue_class = multiprocessing.queues.Queue
    forkless.install()
    assert multiprocessing.queues.Queue is queue_class and forkless.is_installed()


@pytest.mark.needs_processes("starts real processes")
def test_a_queue_made_before_install_works_after_it(scripts):
    """Classes and objects that were captured earlier are those of the standard library, and go on."""
    assert scripts.check(
        """
        import multiprocessing, os
        from multiprocessing.queues import Queue
        from multiprocessing import Process, get_context

        def work(early, late, lock, event):
            with lock:
                late.put(early.get())
            event.set()

        if __name__ == '__main__':
            context = get_context('fork')
            early, lock, event = Queue(ctx=context), context.Lock(), context.Event()
            early.put('early')
            import forkless
            forkless.install()
            late = context.Queue()
            process = context.Process(target=work, args=(early, late, lock, event))
            process.start()
            process.join()
            print(process.exitcode, late.get(), event.is_set(), process.pid >= 1 << 23)
            process = Process(target=late.put, args=('default',))
            process.start()
            process.join()
            print(process.exitcode, late.get(), process.pid >= 1 << 23)
        """
    ) == ["0 early True True", "0 default True"]


BLOCKED = """
import sys

class Block:
    def find_spec(self, name, path=None, target=None):
        if name in {names!r}:
            raise ImportError(f'{{name}} is missing here', name=name)

sys.meta_path.insert(0, Block())
for name in {names!r}:
    sys.modules.pop(name, None)
"""

PLATFORM_TEST = """
import forkless
forkless.install()
import multiprocessing

def work(queue, lock, event, condition):
    with lock, condition:
        queue.put('worked')
    event.set()

if __name__ == '__main__':
    queue, lock, event = multiprocessing.Queue(), multiprocessing.RLock(), multiprocessing.Event()
    semaphore, condition = multiprocessing.BoundedSemaphore(2), multiprocessing.Condition()
    process = multiprocessing.Process(target=work, args=(queue, lock, event, condition))
    process.start()
    print(queue.get(timeout=30), event.wait(30), semaphore.acquire())
    process.join()
    print(process.exitcode)
    with multiprocessing.Pool(2) as pool:
        print(pool.map(abs, [-1, -2]))
"""


@pytest.mark.parametrize("names", [["_multiprocessing"], ["_multiprocessing", "_posixshmem"]])
def test_a_platform_without_the_c_modules_has_processes_queues_and_locks(scripts, names):
    assert scripts.check(BLOCKED.format(names=names) + PLATFORM_TEST) == [
        "worked True True",
        "0",
        "[1, 2]",
    ]


@pytest.mark.needs_processes("takes away what is not there")
def test_a_platform_without_semaphores_has_queues_and_locks(scripts):
    """As on Android, where the module is there but its SemLock is not."""
    lines = scripts.check("import _multiprocessing\ndel _multiprocessing.SemLock\n" + PLATFORM_TEST)
    assert lines == ["worked True True", "0", "[1, 2]"]


@pytest.mark.needs_processes("takes away what is not there")
def test_a_platform_without_fork_and_process_groups(scripts):
    """As on iOS: the functions are missing from os, and nobody asks for them."""
    missing = (
        "import os\nfor name in ('fork', 'setsid', 'killpg', 'getsid', 'setpgid', 'getpgrp'):\n"
    )
    result = scripts.run(missing + "    delattr(os, name)\n" + PLATFORM_TEST)
    assert result.returncode == 0, result.stderr


# The list of changes itself


def test_a_patch_set_takes_back_the_last_change_first():
    owner, patches = types.SimpleNamespace(), PatchSet()
    owner.kept = 1
    assert not patches
    patches.attribute(owner, "kept", 2)
    patches.attribute(owner, "kept", 3)
    patches.attribute(owner, "added", 4)
    patches.item(mapping := {"a": 1}, "a", 2)
    patches.item(mapping, "b", 2)
    order = []
    patches.call_on_undo(lambda: order.append(dict(vars(owner))))
    assert patches and (owner.kept, owner.added, mapping) == (3, 4, {"a": 2, "b": 2})
    patches.undo()
    assert order == [{"kept": 3, "added": 4}]
    assert not patches and vars(owner) == {"kept": 1} and mapping == {"a": 1}
    patches.undo()


def test_a_patch_set_changes_functions_in_place():
    def function(a, b=1):
        return a + b

    def other(a, b=1):
        return a * b

    taken, patches = function, PatchSet()
    patches.code(function, other)
    patches.defaults(function, (5,))
    assert taken(3) == 15
    patches.undo()
    assert taken(3) == 4


def test_a_patch_set_gives_a_module_properties():
    module, patches = types.ModuleType("example"), PatchSet()
    patches.module_class(module, {"answer": property(lambda self: 42)})
    assert module.answer == 42 and isinstance(module, types.ModuleType)
    patches.undo()
    assert type(module) is types.ModuleType and not hasattr(module, "answer")


def test_replaced_functions_can_be_pickled_as_the_originals_can(actors):
    import pickle
    import signal
    import time

    process = actors.Process(target=os.getpid)
    process.start()
    process.join(30)
    for function in (time.sleep, os.kill, os.getpid, os.close, signal.signal, os._exit, os.write):
        assert pickle.loads(pickle.dumps(function)) is function
