# SPDX-License-Identifier: Apache-2.0
"""The start method 'interpreter': processes in interpreters of their own."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import pytest

import forkless
from forkless import _core
from support import in_interpreters as work
from support.scripts import eventually

TIME = 60

needs_interpreters = pytest.mark.skipif(
    sys.version_info < (3, 13), reason="interpreters with a GIL of their own need CPython 3.13"
)


@pytest.fixture
def context():
    return multiprocessing.get_context("interpreter")


def run(context, target, *args, code=0):
    process = context.Process(target=target, args=args)
    process.start()
    process.join(TIME)
    assert process.exitcode == code
    return process


def start(context, target, *args):
    process = context.Process(target=target, args=args)
    process.start()
    return process


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="for those that lack it")
def test_older_versions_say_that_they_lack_it():
    with pytest.raises(ValueError, match=r"needs CPython 3\.13"):
        multiprocessing.get_context("interpreter")
    with pytest.raises(ValueError, match=r"needs CPython 3\.13"):
        forkless.install(isolation="interpreter")
    assert "interpreter" not in multiprocessing.get_all_start_methods()


@needs_interpreters
class TestProcesses:
    def test_a_process_knows_who_it_is(self, context, monkeypatch, tmp_path):
        monkeypatch.setenv("FORKLESS_TEST", "here")
        monkeypatch.chdir(tmp_path)
        queue = context.Queue()
        process = context.Process(target=work.who_am_i, args=(queue,), name="Somebody", daemon=True)
        process.start()
        answer = queue.get(timeout=TIME)
        process.join(TIME)
        assert answer == {
            "pid": process.pid,
            "parent": (os.getpid(), os.getpid(), "MainProcess", True),
            "process": "Somebody",
            "threads": ("MainThread", "MainThread"),
            "method": "interpreter",
            "daemon": True,
            "environment": "here",
            "folder": str(tmp_path),
            "arguments": sys.argv,
            "name": work.__name__,
        }

    def test_globals_are_private_also_after_each_other(self, context):
        queue = context.Queue()
        for number in range(4):
            run(context, work.mark, queue, number)
            assert queue.get(timeout=TIME) == [[], False, False, False]
        assert not work.marks and not hasattr(multiprocessing, "marked")

    @pytest.mark.parametrize(
        ("how", "code", "expected"),
        [("exit", 3, 3), ("now", 4, 4), ("kill", 9, -9), ("exit", None, 0)],
    )
    def test_exit_codes(self, context, how, code, expected):
        run(context, work.leave, how, code, code=expected)

    def test_an_exception_is_reported_and_recorded(self, context, capfd):
        process = run(context, work.fail, ValueError, "wrong", code=1)
        assert "ValueError: wrong" in capfd.readouterr().err
        assert process._popen.exit_error["message"] == "wrong"

    def test_what_cannot_be_pickled_is_an_error_of_start(self, context):
        process = context.Process(target=work.put, args=(lambda: None, 1))
        with pytest.raises(Exception, match="pickle") as caught:
            process.start()
        assert any("another interpreter" in note for note in caught.value.__notes__)

    def test_a_module_that_cannot_be_imported_is_named(self, context, capfd):
        run(context, work.import_it, "faulthandler", code=1)
        printed = capfd.readouterr().err
        assert "ImportError" in printed and "'faulthandler' cannot be imported" in printed
        assert "start method 'actor'" in printed

    @pytest.mark.parametrize("method", ["interpreter", "actor"])
    def test_a_process_starts_processes(self, context, method):
        queue = context.Queue()
        run(context, work.start_one_more, method, queue)
        # A thread of the same interpreter shares its modules.
        assert queue.get(timeout=TIME)[0] == []
        seen = [] if method == "interpreter" else ["actor"]
        assert queue.get(timeout=TIME) == (0, [*seen, "parent"])

    def test_exit_functions_run(self, context):
        queue = context.Queue()
        run(context, work.close_at_exit, queue)
        assert [queue.get(timeout=TIME) for _ in range(3)] == ["atexit", "finalizer", "actor exit"]


@needs_interpreters
class TestParallelism:
    def test_processes_run_at_the_same_time(self, context):
        """Each waits for the other in a loop that keeps the GIL."""
        one, other = context.Value("i", 0, lock=False), context.Value("i", 0, lock=False)
        processes = [
            start(context, work.race, mine, others, 200)
            for mine, others in ((one, other), (other, one))
        ]
        for process in processes:
            process.join(TIME)
        assert [process.exitcode for process in processes] == [0, 0]


@needs_interpreters
class TestEnding:
    @pytest.mark.parametrize("end", ["terminate", "kill"])
    @pytest.mark.parametrize("target", [work.spin, work.sleep])
    def test_a_process_is_ended_in_the_middle(self, context, target, end):
        for _ in range(5):
            process = start(context, target)
            getattr(process, end)()
            process.join(TIME)
            assert process.exitcode == (-15 if end == "terminate" else -9)

    def test_ended_while_it_runs(self, context):
        ready = context.Event()
        process = start(context, work.hold_end, None, ready)
        assert ready.wait(TIME)
        process.terminate()
        process.join(TIME)
        assert process.exitcode == -15
        assert process.sentinel in multiprocessing.connection.wait([process.sentinel], TIME)

    def test_threads_end_with_their_process(self, context):
        ready = context.Event()
        process = start(context, work.start_threads, ready)
        assert ready.wait(TIME)
        process.kill()
        process.join(TIME)
        assert eventually(lambda: _core.counters()["orphans"] == 0)

    def test_a_handler_gets_a_signal(self, context):
        said = context.Queue()
        process = start(context, work.catch, signal.SIGTERM, said)
        assert said.get(timeout=TIME) == "ready"
        process.terminate()
        assert said.get(timeout=TIME) == ("caught", signal.SIGTERM)
        os.kill(process.pid, signal.SIGTERM)
        assert said.get(timeout=TIME) == ("caught", signal.SIGTERM)
        process.kill()
        process.join(TIME)
        assert process.exitcode == -9

    def test_an_ignored_signal_is_ignored(self, context):
        said = context.Queue()
        process = start(context, work.ignore, signal.SIGTERM, said)
        assert said.get(timeout=TIME) == "ready"
        process.terminate()
        os.kill(process.pid, signal.SIGINT)
        process.join(TIME)
        assert process.exitcode == 1

    def test_an_interrupt_is_a_keyboard_interrupt(self, context):
        said = context.Queue()
        process = start(context, work.be_interrupted, said)
        assert said.get(timeout=TIME) == "ready"
        os.kill(process.pid, signal.SIGINT)
        assert said.get(timeout=TIME) == "interrupted"
        process.join(TIME)
        assert process.exitcode == 0

    def test_a_process_that_another_interpreter_has_started_gets_signals(self, context):
        queue, said = context.Queue(), context.Queue()
        process = start(context, work.start_and_wait, queue, said)
        pid = queue.get(timeout=TIME)
        assert said.get(timeout=TIME) == "ready"
        os.kill(pid, signal.SIGINT)
        assert said.get(timeout=TIME) == "interrupted"
        process.join(TIME)
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGINT)

    @pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the platform lacks the signal")
    def test_a_process_signals_its_parent(self, context):
        got = threading.Event()
        before = signal.signal(signal.SIGUSR1, lambda *_: got.set())
        try:
            run(context, work.signal_parent, signal.SIGUSR1)
            assert eventually(got.is_set)
        finally:
            signal.signal(signal.SIGUSR1, before)

    @pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the platform lacks the signal")
    @pytest.mark.parametrize("method", ["actor", "interpreter"])
    def test_a_process_signals_its_simulated_parent(self, method):
        context = multiprocessing.get_context(method)
        said = context.Queue()
        process = start(context, work.be_signalled_by_a_child, said)
        assert {said.get(timeout=TIME), said.get(timeout=TIME)} == {0, ("caught", signal.SIGUSR1)}
        process.join(TIME)


class Odd:
    """Plain data this is not."""

    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return self.value == other.value

    __hash__ = None


@needs_interpreters
class TestSharedObjects:
    ITEMS = (1, "text", b"b" * 100_000, [1, (2, {3: {4}})], bytearray(b"x"), Odd([1]), None, 1.5)

    def test_queues_go_both_ways(self, context):
        there, back = context.Queue(), context.SimpleQueue()
        process = start(context, work.relay, there, back, len(self.ITEMS))
        for item in self.ITEMS:
            there.put(item)
        assert [back.get() for _ in self.ITEMS] == list(self.ITEMS)
        process.join(TIME)

    @pytest.mark.parametrize("maker", ["interpreter", "actor"])
    def test_what_was_put_before_the_start_arrives(self, context, maker):
        queue, back = (multiprocessing.get_context(maker).Queue() for _ in range(2))
        for item in self.ITEMS:
            queue.put(item)
        process = start(context, work.relay, queue, back, len(self.ITEMS))
        assert [back.get(timeout=TIME) for _ in self.ITEMS] == list(self.ITEMS)
        process.join(TIME)

    def test_two_interpreters_have_a_queue_in_common(self, context):
        one, two, three = context.Queue(3), context.Queue(3), context.Queue()
        processes = [
            start(context, work.relay, one, two, 100),
            start(context, work.relay, two, three, 100),
        ]
        for number in range(100):
            one.put((number, "x"))
        assert [three.get(timeout=TIME) for _ in range(100)] == [(n, "x") for n in range(100)]
        for process in processes:
            process.join(TIME)

    def test_exceptions_cross(self, context):
        queue, back = context.Queue(), context.Queue()
        process = start(context, work.relay, queue, back, 1)
        queue.put(KeyError("key"))
        error = back.get(timeout=TIME)
        process.join(TIME)
        assert isinstance(error, KeyError) and error.args == ("key",)

    def test_a_joinable_queue_counts_its_tasks(self, context):
        queue = context.JoinableQueue()
        process = start(context, work.work_off, queue)
        for item in (1, 2, None):
            queue.put(item)
        queue.join()
        process.join(TIME)
        assert process.exitcode == 0

    def test_a_pipe_has_an_end(self, context):
        mine, others = context.Pipe()
        process = start(context, work.echo, others)
        others.close()
        for item in self.ITEMS:
            mine.send(item)
            assert mine.recv() == item
        mine.send_bytes(b"bytes")  # that is no pickle: recv() fails, and the process with it
        with pytest.raises(EOFError):
            mine.recv()
        process.join(TIME)

    def test_the_last_writer_goes_with_its_process(self, context):
        mine, others = context.Pipe(duplex=False)
        ready = context.Event()
        process = start(context, work.hold_end, others, ready)
        others.close()
        assert ready.wait(TIME) and not mine.poll()
        process.kill()
        with pytest.raises(EOFError):
            mine.recv()
        process.join(TIME)

    def test_an_end_that_is_left_leaves_others_open(self, context):
        mine, others = context.Pipe(duplex=False)
        for number in range(3):
            run(context, work.send, others, number)
            assert mine.recv() == number
        others.send("last")
        others.close()
        assert mine.recv() == "last"
        with pytest.raises(EOFError):
            mine.recv()

    def test_an_end_that_nobody_received_is_closed(self, context):
        mine, others = context.Pipe(duplex=False)
        queue = context.Queue()
        queue._channel.share()
        queue.put(others)
        others.close()
        assert not mine.poll()
        del queue
        with pytest.raises(EOFError):
            mine.recv()

    def test_locks_exclude(self, context):
        lock, counter = context.Lock(), context.Value("i", 0, lock=False)
        processes = [start(context, work.add, lock, counter, 300) for _ in range(3)]
        work.add(lock, counter, 300)
        for process in processes:
            process.join(TIME)
        assert counter.value == 1200

    def test_conditions_events_barriers_and_semaphores(self, context):
        event, condition, barrier = context.Event(), context.Condition(), context.Barrier(2)
        semaphore, done = context.BoundedSemaphore(1), context.Queue()
        semaphore.acquire()
        process = start(context, work.work_with_locks, event, condition, barrier, semaphore, done)
        assert event.wait(TIME)
        with condition:
            condition.notify()
        barrier.wait(TIME)
        assert semaphore.acquire(timeout=TIME)
        assert done.get(timeout=TIME) == (2, "Condition")
        process.join(TIME)

    def test_sockets_cross(self, context):
        mine, others = socket.socketpair()
        process = start(context, work.send_through, others)
        others.close()
        mine.settimeout(TIME)
        assert mine.recv(100) == b"from an interpreter"
        assert mine.recv(100) == b""
        process.join(TIME)
        mine.close()

    def test_a_pool_works(self, context):
        with context.Pool(2) as pool:
            assert pool.map(work.square, range(20)) == [n * n for n in range(20)]
            assert pool.apply(work.square, (3,)) == 9
            assert sorted(pool.imap_unordered(work.square, range(5))) == [0, 1, 4, 9, 16]
            with pytest.raises(ZeroDivisionError):
                pool.apply(work.fail, (ZeroDivisionError,))
        pool.join()

    def test_an_executor_works(self, context):
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            assert list(executor.map(work.square, range(10))) == [n * n for n in range(10)]

    def test_a_manager_works(self, context):
        with context.Manager() as manager:
            items, queue = manager.dict(), manager.Queue()
            items["a"] = [1]
            run(context, work.put, queue, 5)
            assert queue.get() == 5 and dict(items) == {"a": [1]}


@needs_interpreters
class TestHousekeeping:
    def test_interpreters_are_used_again(self, context):
        for _ in range(3):
            run(context, work.nothing)
        assert eventually(lambda: _core.counters()["orphans"] == 0)
        before = threads_and_descriptors()
        for _ in range(40):
            run(context, work.nothing)
        for _ in range(5):
            processes = [start(context, work.spin) for _ in range(3)]
            for process in processes:
                process.kill()
                process.join(TIME)
        most = before[0] + 8, before[1]
        assert eventually(lambda: all(n <= m for n, m in zip(threads_and_descriptors(), most)))

    def test_messages_go_in_both_directions_under_load(self, context):
        pairs = [(context.Queue(10), context.Queue(10)) for _ in range(3)]
        processes = [start(context, work.relay, *pair, 300) for pair in pairs]
        senders = [
            threading.Thread(target=lambda q=there: [q.put((n, [n])) for n in range(300)])
            for there, _ in pairs
        ]
        for thread in senders:
            thread.start()
        for _, back in pairs:
            assert [back.get(timeout=TIME) for _ in range(300)] == [(n, [n]) for n in range(300)]
        for thing in (*senders, *processes):
            thing.join(TIME)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
    @pytest.mark.needs_processes("forks")
    def test_a_real_fork_finds_no_interpreter(self, context):
        run(context, work.nothing)
        pid = os.fork()
        if pid == 0:
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        process = start(context, work.spin)
        try:
            with pytest.raises(RuntimeError, match="interpreters of their own"):
                os.fork()
        finally:
            process.kill()
            process.join(TIME)


def threads_and_descriptors():
    """Of the real process."""
    folder = "/proc/self/fd" if os.path.exists("/proc/self/fd") else "/dev/fd"
    tasks = "/proc/self/task"
    return len(os.listdir(tasks)) if os.path.exists(tasks) else 0, len(os.listdir(folder))


@needs_interpreters
class TestInstalling:
    @pytest.fixture
    def isolated(self):
        forkless.install(isolation="interpreter")
        yield
        assert eventually(lambda: not any(map(_core.counters().get, ("live", "orphans"))))
        forkless.uninstall()

    @pytest.mark.parametrize("method", ["fork", "spawn", "forkserver", "actor"])
    def test_every_start_method_runs_in_interpreters(self, isolated, method):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        for _ in range(2):
            run(context, work.mark, queue, method)
            assert queue.get(timeout=TIME)[0] == []
        with context.Pool(2) as pool:
            assert pool.map(work.square, range(5)) == [0, 1, 4, 9, 16]
        pool.join()

    def test_children_do_as_their_parents_do(self, isolated):
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        run(context, work.start_one_more, "fork", queue)
        assert queue.get(timeout=TIME)[0] == []
        assert queue.get(timeout=TIME) == (0, ["parent"])

    def test_other_words_are_refused(self):
        with pytest.raises(ValueError, match="there is no isolation 'process'"):
            forkless.install(isolation="process")
        assert not forkless.is_installed()


@needs_interpreters
class TestPrograms:
    def test_the_main_module_is_imported_by_each_process(self, scripts):
        assert scripts.check(
            """
            import multiprocessing, forkless

            print('imported as', __name__, flush=True)

            class Thing:
                def __init__(self, number): self.number = number

            def work(queue, thing):
                queue.put(Thing(thing.number + 1))

            if __name__ == '__main__':
                multiprocessing.set_start_method('interpreter')
                queue = multiprocessing.Queue()
                for number in range(2):
                    process = multiprocessing.Process(target=work, args=(queue, Thing(number)))
                    process.start()
                    print(type(queue.get()).__module__, flush=True)
                    process.join()
            """
        ) == ["imported as __main__", *(["imported as __mp_main__", "__main__"] * 2)]

    @pytest.mark.parametrize("daemon", [True, False])
    def test_the_end_waits_for_children_and_ends_daemons(self, scripts, daemon):
        lines = scripts.check(
            f"""
            import multiprocessing, time, forkless

            def work(ready, seconds):
                ready.set()
                time.sleep(seconds)
                print('done', flush=True)

            if __name__ == '__main__':
                context = multiprocessing.get_context('interpreter')
                ready = context.Event()
                seconds = {60 if daemon else 0.3}
                process = context.Process(target=work, args=(ready, seconds), daemon={daemon})
                process.start()
                ready.wait()
            """,
            limit=50,
        )
        assert lines == ([] if daemon else ["done"])

    def test_an_orphan_does_not_keep_the_real_process(self, scripts):
        result = scripts.run(
            """
            import ctypes, multiprocessing, sys, forkless

            def stuck(ready):
                while True:
                    try:
                        ready.set()
                        ctypes.CDLL(None).pause()
                    except BaseException:
                        pass

            if __name__ == '__main__':
                context = multiprocessing.get_context('interpreter')
                ready = context.Event()
                process = context.Process(target=stuck, args=(ready,))
                process.start()
                ready.wait()
                process.terminate()
                process.join()
                print(process.exitcode)
                sys.exit(3)
            """,
            limit=50,
        )
        assert (result.stdout, result.stderr, result.returncode) == ("-15\n", "", 3)

    def test_an_interrupt_reaches_all_processes_of_the_group(self, scripts):
        code, output, _ = scripts.interrupt(
            """
            import multiprocessing, sys, time, forkless
            from multiprocessing import get_context

            def wait(said, deeper):
                if deeper:
                    child = get_context('interpreter').Process(target=wait, args=(said, False))
                    child.start()
                said.put('waits')
                try:
                    time.sleep(300)
                except KeyboardInterrupt:
                    said.put('interrupted')
                    if deeper:
                        child.join()

            if __name__ == '__main__':
                said = get_context('interpreter').Queue()
                process = get_context('interpreter').Process(target=wait, args=(said, True))
                process.start()
                said.get(), said.get()
                print('ready', flush=True)
                try:
                    time.sleep(300)
                except KeyboardInterrupt:
                    print(said.get(), said.get(), flush=True)
                    process.join()
                    sys.exit(5)
            """
        )
        assert (code, output.split()) == (5, ["interrupted"] * 2)
