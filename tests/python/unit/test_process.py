# SPDX-License-Identifier: Apache-2.0
"""forkless.process and forkless.popen: the life of a process object, under every start method."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import time

import pytest

import forkless
from forkless import _core
from support.scripts import eventually


def put(queue, value):
    queue.put(value)


def wait_for(event):
    event.wait(60)


def describe(queue):
    me = multiprocessing.current_process()
    parent = multiprocessing.parent_process()
    queue.put(
        {
            "pid": os.getpid(),
            "ppid": os.getppid(),
            "ident": me.ident,
            "name": me.name,
            "daemon": me.daemon,
            "authkey": bytes(me.authkey),
            "parent": (parent.name, parent.pid, parent.is_alive()),
            "children": multiprocessing.active_children(),
            "alive": me.is_alive(),
        }
    )


@pytest.fixture
def event(context):
    event = context.Event()
    yield event
    event.set()


def run(process, limit=30):
    process.start()
    process.join(limit)
    return process.exitcode


def test_a_process_runs_its_target_with_its_arguments(context):
    queue = context.Queue()
    process = context.Process(target=put, args=(queue,), kwargs={"value": [1, {"a": (2, 3)}]})
    assert run(process) == 0
    assert queue.get(timeout=10) == [1, {"a": (2, 3)}]


def test_before_start_there_is_no_pid_and_no_exit_code(context):
    process = context.Process(target=put)
    assert (process.pid, process.ident, process.exitcode, process.is_alive()) == (
        None,
        None,
        None,
        False,
    )
    with pytest.raises(ValueError, match="process not started"):
        _ = process.sentinel
    assert "initial" in repr(process)


def test_a_process_sees_itself_and_its_parent(context):
    queue = context.Queue()
    process = context.Process(target=describe, args=(queue,), name="described")
    process.daemon = True
    process.start()
    seen = queue.get(timeout=30)
    process.join(30)
    assert seen == {
        "pid": process.pid,
        "ppid": os.getpid(),
        "ident": process.pid,
        "name": "described",
        "daemon": True,
        "authkey": bytes(multiprocessing.current_process().authkey),
        "parent": ("MainProcess", os.getpid(), True),
        "children": [],
        "alive": True,
    }


def test_the_parent_sees_the_life_of_a_process(context, event):
    process = context.Process(target=wait_for, args=(event,))
    process.start()
    assert process.is_alive() and process.exitcode is None
    assert process in multiprocessing.active_children()
    assert "started" in repr(process) and f"pid={process.pid}" in repr(process)
    process.join(0.05)
    assert process.is_alive()
    event.set()
    process.join(30)
    assert not process.is_alive() and process.exitcode == 0
    assert process not in multiprocessing.active_children()
    assert "stopped exitcode=0" in repr(process)


def test_join_with_a_timeout_waits_as_long_and_no_longer(context, event):
    process = context.Process(target=wait_for, args=(event,))
    process.start()
    since = time.monotonic()
    process.join(0.2)
    waited = time.monotonic() - since
    assert process.is_alive() and 0.2 <= waited < 20
    process.join(0)
    process.join(-1)
    assert process.is_alive()


def test_the_sentinel_is_ready_when_the_process_ends(context, event):
    process = context.Process(target=wait_for, args=(event,))
    process.start()
    assert multiprocessing.connection.wait([process.sentinel], 0.05) == []
    event.set()
    assert multiprocessing.connection.wait([process.sentinel], 30) == [process.sentinel]
    process.join(30)
    assert multiprocessing.connection.wait([process.sentinel], 0) == [process.sentinel]


def test_one_wait_serves_many_sentinels(context, event):
    waiting = context.Process(target=wait_for, args=(event,))
    ending = context.Process(target=os.getpid)
    waiting.start()
    ending.start()
    ready = multiprocessing.connection.wait([waiting.sentinel, ending.sentinel], 30)
    assert ready == [ending.sentinel]
    ending.join(30)


@pytest.mark.parametrize(
    ("end", "exitcode"),
    [("terminate", -signal.SIGTERM), ("kill", -signal.SIGKILL)],
)
def test_a_process_can_be_ended(context, event, end, exitcode):
    process = context.Process(target=wait_for, args=(event,))
    process.start()
    getattr(process, end)()
    process.join(30)
    assert process.exitcode == exitcode
    getattr(process, end)()  # of one that has ended: nothing
    assert process.exitcode == exitcode


def test_a_closed_process_object_refuses_all_use(context):
    process = context.Process(target=os.getpid)
    assert run(process) == 0
    process.close()
    process.close()
    for use in (process.join, process.is_alive, process.terminate, process.kill, process.start):
        with pytest.raises(ValueError, match="process object is closed"):
            use()
    for name in ("exitcode", "pid", "ident", "sentinel"):
        with pytest.raises(ValueError, match="process object is closed"):
            getattr(process, name)
    assert "closed" in repr(process)


def test_close_refuses_while_the_process_runs(context, event):
    process = context.Process(target=wait_for, args=(event,))
    process.start()
    with pytest.raises(ValueError, match="Cannot close a process while it is still running"):
        process.close()


@pytest.mark.parametrize(
    ("status", "exitcode"),
    [(None, 0), (0, 0), (5, 5), (256, 0), (-1, 255), ("text", 1), (True, 1), (1.5, 1)],
)
def test_sys_exit_gives_the_exit_code_of_a_process(context, capsys, status, exitcode):
    assert run(context.Process(target=sys.exit, args=(status,))) == exitcode
    texts = {"text": "text\n", 1.5: "1.5\n"}
    assert capsys.readouterr().err == texts.get(status, "")


def test_os_exit_gives_the_exit_code_of_a_process(context):
    assert run(context.Process(target=exit_at_once, args=(3,))) == 3


def exit_at_once(status):
    os._exit(status)


def test_names_number_the_children_of_each_process(context):
    first = context.Process(target=os.getpid)
    second = context.Process(target=os.getpid)
    kind, _, number = first.name.rpartition("-")
    assert kind == type(first).__name__
    assert second.name == f"{kind}-{int(number) + 1}"


def grandparent(queue, context_name):
    context = multiprocessing.get_context(context_name)
    child = context.Process(target=describe, args=(queue,))
    queue.put((child.name, multiprocessing.active_children()))
    child.start()
    alive = multiprocessing.active_children()
    child.join(30)
    queue.put((os.getpid(), child.pid, alive == [child], child.exitcode))


def test_processes_nest(context):
    queue = context.Queue()
    parent = context.Process(target=grandparent, args=(queue, context.get_start_method()))
    parent.name = "middle"
    parent.start()
    name, children = queue.get(timeout=30)
    answers = sorted((queue.get(timeout=30) for _ in range(2)), key=lambda a: isinstance(a, tuple))
    parent.join(30)
    seen, (middle, pid, alone, exitcode) = answers
    assert name.startswith(context.Process.__name__) and name.endswith(":1")
    assert children == []
    assert (seen["pid"], seen["ppid"]) == (pid, middle) == (seen["ident"], parent.pid)
    assert seen["parent"] == ("middle", middle, True)
    assert (alone, exitcode, parent.exitcode) == (True, 0, 0)


def orphan_maker(queue, event, context_name):
    context = multiprocessing.get_context(context_name)
    child = context.Process(target=outlive, args=(queue, event))
    child.start()
    event.wait(60)
    os._exit(0)  # does not wait for its children


def outlive(queue, event):
    parent = multiprocessing.parent_process()
    queue.put(parent.is_alive())
    event.set()
    parent.join(30)
    ready = multiprocessing.connection.wait([parent.sentinel], 30)
    queue.put((parent.is_alive(), ready == [parent.sentinel]))


def test_a_child_sees_the_end_of_its_parent(context, event):
    queue = context.Queue()
    parent = context.Process(target=orphan_maker, args=(queue, event, context.get_start_method()))
    assert run(parent) == 0
    assert queue.get(timeout=30) is True
    assert queue.get(timeout=30) == (False, True)


def keep_daemon(queue, context_name):
    context = multiprocessing.get_context(context_name)
    daemon = context.Process(target=time.sleep, args=(60,), daemon=True)
    daemon.start()
    queue.put(daemon.pid)


def test_daemons_end_with_their_parent(context):
    queue = context.Queue()
    parent = context.Process(target=keep_daemon, args=(queue, context.get_start_method()))
    since = time.monotonic()
    assert run(parent) == 0
    assert time.monotonic() - since < 30
    with pytest.raises(ProcessLookupError):
        os.kill(queue.get(timeout=10), 0)


def test_a_parent_waits_for_its_children_that_are_no_daemons(context):
    queue = context.Queue()
    parent = context.Process(target=leave_child, args=(queue, context.get_start_method()))
    assert run(parent) == 0
    assert queue.qsize() == 1


def leave_child(queue, context_name):
    multiprocessing.get_context(context_name).Process(target=put_later, args=(queue,)).start()


def put_later(queue):
    time.sleep(0.2)
    queue.put("done")


def subclass(base):
    class Counting(base):
        def __init__(self, queue, items):
            super().__init__()
            self.queue = queue
            self.items = items
            self.seen = []

        def run(self):
            self.seen.extend(self.items)
            self.items.clear()
            self.queue.put((self.seen, self.pid, self is multiprocessing.current_process()))

    return Counting


def test_a_subclass_has_its_attributes_in_the_child_and_keeps_those_in_the_parent(context):
    queue = context.Queue()
    items = [1, 2, 3]
    worker = subclass(context.Process)(queue, items)
    assert run(worker) == 0
    assert queue.get(timeout=10) == ([1, 2, 3], worker.pid, True)
    assert (worker.seen, worker.items, items) == ([], [1, 2, 3], [1, 2, 3])


def clear(list_, dict_):
    list_.clear()
    dict_["added"] = True


def test_arguments_are_copies(context):
    numbers, words = [1], {"a": 1}
    assert run(context.Process(target=clear, args=(numbers, words))) == 0
    assert (numbers, words) == ([1], {"a": 1})


def same_object(first, second, queue):
    queue.put((first is second["it"], len(second)))


def test_references_that_arguments_share_stay_shared(context):
    queue = context.Queue()
    shared = []
    run(context.Process(target=same_object, args=(shared, {"it": shared}, queue)))
    assert queue.get(timeout=10) == (True, 1)


def test_an_authkey_set_in_the_parent_is_the_childs(context):
    queue = context.Queue()
    process = context.Process(target=describe, args=(queue,))
    process.authkey = b"secret"
    assert run(process) == 0
    assert queue.get(timeout=10)["authkey"] == b"secret"


def test_daemon_cannot_change_after_start(context, event):
    process = context.Process(target=wait_for, args=(event,))
    process.start()
    with pytest.raises(AssertionError, match="process has already started"):
        process.daemon = True


def test_the_exit_record_tells_what_raised(actors):
    process = actors.Process(target=divide, args=(1, 0))
    assert run(process) == 1
    error = process._popen.exit_error
    assert error["type"] == "builtins.ZeroDivisionError"
    assert error["message"] == "division by zero"
    assert "in divide" in error["trace"]


def divide(a, b):
    return a / b


def add_exit_function(queue, how):
    forkless.at_actor_exit(lambda: queue.put("first"))
    forkless.at_actor_exit(lambda: queue.put("last"))
    if how == "raise":
        sys.exit(3)
    if how == "_exit":
        os._exit(3)
    if how == "wait":
        time.sleep(60)


@pytest.mark.parametrize("how", ["return", "raise", "_exit", "wait"])
def test_exit_functions_of_an_actor_run_however_it_ends(actors, how):
    queue = actors.Queue()
    process = actors.Process(target=add_exit_function, args=(queue, how))
    process.start()
    if how == "wait":
        time.sleep(0.2)
        process.kill()
    process.join(30)
    assert [queue.get(timeout=30), queue.get(timeout=30)] == ["last", "first"]


def test_five_hundred_processes_live_at_once(actors):
    gate, arrived = actors.Event(), actors.Semaphore(0)
    processes = [actors.Process(target=pass_gate, args=(arrived, gate)) for _ in range(500)]
    for process in processes:
        process.start()
    for _ in processes:
        assert arrived.acquire(timeout=60)
    assert _core.counters()["live"] == 500
    assert len({process.pid for process in processes}) == 500
    assert len(multiprocessing.active_children()) == 500
    gate.set()
    for process in processes:
        process.join(60)
    assert {process.exitcode for process in processes} == {0}


def pass_gate(arrived, gate):
    arrived.release()
    gate.wait(60)


def test_three_thousand_processes_in_a_row_leave_nothing_behind(scripts):
    threads, descriptors, kilobytes = scripts.check(
        """
        import multiprocessing, os, threading

        def nothing(items):
            items.append(1)

        def resident():
            with open('/proc/self/statm') as statm:
                return int(statm.read().split()[1]) * os.sysconf('SC_PAGE_SIZE') // 1024

        def state():
            return len(os.listdir('/proc/self/task')), len(os.listdir('/proc/self/fd')), resident()

        def start(count):
            for i in range(count):
                process = context.Process(target=nothing, args=([i],))
                process.start()
                if i % 10 == 0:
                    assert process.sentinel
                process.join()
                assert process.exitcode == 0

        import forkless
        context = multiprocessing.get_context('actor')
        start(500)
        before = state()
        start(3000)
        multiprocessing.active_children()
        for was, now in zip(before, state()):
            print(now - was)
        """
    )
    assert int(threads) <= 20  # some may still be on their way out
    assert int(descriptors) <= 2
    if "asan" not in os.environ.get("LD_PRELOAD", ""):  # it keeps what is freed, to catch its use
        assert int(kilobytes) < 16 * 1024


def test_the_end_of_a_process_is_noticed_without_a_join(actors):
    process = actors.Process(target=os.getpid)
    process.start()
    assert eventually(lambda: not process.is_alive())
    assert process.exitcode == 0
