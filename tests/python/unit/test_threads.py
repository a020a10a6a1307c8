# SPDX-License-Identifier: Apache-2.0
"""forkless.personality.threads: threads of simulated processes, their main thread, sleep and atexit."""

import _thread
import atexit
import concurrent.futures
import os
import sys
import threading
import time

import pytest

from support.scripts import eventually


@pytest.fixture
def inside(actors):
    """What a function returns in an actor; what it raised, as text."""

    def call(function, *args, exitcode=0):
        answers = actors.Queue()
        process = actors.Process(target=attempt, args=(answers, function, *args))
        process.start()
        process.join(60)
        assert process.exitcode == exitcode
        call.pid = process.pid
        return answers.get(timeout=30)

    return call


def attempt(answers, function, *args):
    try:
        answers.put(function(*args))
    except Exception as error:
        answers.put(repr(error))


def about_threads():
    main, current = threading.main_thread(), threading.current_thread()
    return {
        "main is current": main is current,
        "name": main.name,
        "ident": main.ident == threading.get_ident(),
        "alive": main.is_alive(),
        "daemon": main.daemon,
        "native": main.native_id == threading.get_native_id(),
        "listed": main in threading.enumerate(),
    }


def test_an_actor_has_a_main_thread_of_its_own(inside):
    real = threading.main_thread()
    assert inside(about_threads) == {
        "main is current": True,
        "name": "MainThread",
        "ident": True,
        "alive": True,
        "daemon": False,
        "native": True,
        "listed": True,
    }
    assert threading.main_thread() is real is threading.current_thread()


def main_thread_elsewhere():
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append(
            (os.getpid(), threading.main_thread(), threading.current_thread())
        )
    )
    thread.start()
    thread.join(30)
    (pid, main, current) = seen[0]
    return pid, main is threading.main_thread(), current is thread


def test_a_thread_of_an_actor_acts_for_the_actor(inside):
    assert inside(main_thread_elsewhere) == (inside.pid, True, True)


def all_ways_to_start_a_thread():
    pids = []
    done = threading.Semaphore(0)

    def note(*args, **kwargs):
        pids.append((os.getpid(), args, kwargs))
        done.release()

    _thread.start_new_thread(note, ())
    _thread.start_new_thread(note, (1,), {"two": 2})
    threading.Timer(0, note).start()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pool.submit(note).result(30)
    threading.Thread(target=note, daemon=True).start()
    for _ in range(5):
        assert done.acquire(timeout=30)
    return {pid for pid, *_ in pids}, ((1,), {"two": 2}) in [tuple(rest) for _, *rest in pids]


def test_threads_act_for_the_actor_however_they_are_started(inside):
    assert inside(all_ways_to_start_a_thread) == ({inside.pid}, True)


@pytest.mark.parametrize("arguments", [(5, ()), (len, 5), (len, []), ()])
def test_wrong_arguments_for_a_thread_are_type_errors_as_ever(inside, arguments):
    with pytest.raises(TypeError) as caught:
        _thread.start_new_thread(*arguments)
    assert inside(_thread.start_new_thread, *arguments).startswith(type(caught.value).__name__)


def leave_thread(answers):
    threading.Thread(target=put_later, args=(answers,)).start()


def put_later(answers):
    time.sleep(0.2)
    answers.put("late")


def test_an_actor_waits_for_its_threads_before_it_ends(actors):
    answers = actors.Queue()
    process = actors.Process(target=leave_thread, args=(answers,))
    process.start()
    process.join(30)
    assert process.exitcode == 0 and answers.qsize() == 1


def leave_daemon(target):
    threading.Thread(target=target, name="left behind", daemon=True).start()
    return True


def sleep_long():
    time.sleep(60)


def loop():
    while True:
        pass


@pytest.mark.parametrize("target", [sleep_long, loop])
def test_daemon_threads_go_with_their_actor(inside, target):
    since = time.monotonic()
    assert inside(leave_daemon, target) is True
    assert time.monotonic() - since < 30
    assert eventually(lambda: "left behind" not in [t.name for t in threading.enumerate()])


def raise_in_thread():
    thread = threading.Thread(target=divide, args=(1, 0), name="dividing")
    thread.start()
    thread.join(30)
    return "went on"


def divide(a, b):
    return a / b


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_exception_in_a_thread_is_reported_and_harms_nobody(inside):
    hooked = []
    hook, threading.excepthook = threading.excepthook, lambda args: hooked.append(args.exc_type)
    try:
        assert inside(raise_in_thread) == "went on"
    finally:
        threading.excepthook = hook
    assert hooked == [ZeroDivisionError]


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_unwinding_of_threads_is_not_reported(actors, capfd):
    ready = actors.Semaphore(0)
    for _ in range(20):
        process = actors.Process(target=start_many, args=(ready,))
        process.start()
        assert ready.acquire(timeout=30)
        process.kill()
        process.join(30)
    assert eventually(lambda: threading.active_count() < 10)
    assert capfd.readouterr().err == ""


def start_many(ready):
    threads = [threading.Thread(target=time.sleep, args=(60,)) for _ in range(5)]
    for thread in threads[:3]:
        thread.start()
    ready.release()
    for thread in threads[3:]:
        thread.start()
    for thread in threads:
        thread.join()


def thread_join_itself():
    threading.main_thread().join()


def test_a_main_thread_cannot_join_itself(inside):
    assert "cannot join current thread" in inside(thread_join_itself)


def sleep_for(seconds):
    since = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - since >= seconds


def test_sleep_lasts_as_long_as_it_is_told(inside):
    assert inside(sleep_for, 0.1) is True
    assert inside(sleep_for, 0) is True


@pytest.mark.parametrize("seconds", [-1, "x", None])
def test_sleep_checks_its_argument_as_ever(inside, seconds):
    with pytest.raises((ValueError, TypeError)) as caught:
        time.sleep(seconds)
    assert inside(sleep_for, seconds).startswith(type(caught.value).__name__)


def leave_at_once(how):
    # Until it waits for something no other thread gets to run.
    sys.setswitchinterval(60)
    _thread.start_new_thread(ran.append, (how,))
    if how == "_exit":
        os._exit(0)


ran: list[str] = []


@pytest.mark.parametrize("how", ["return", "_exit"])
def test_a_thread_that_has_not_begun_when_its_process_ends_never_runs(actors, how):
    ran.clear()
    interval, threads = sys.getswitchinterval(), _thread._count()
    try:
        process = actors.Process(target=leave_at_once, args=(how,))
        process.start()
        process.join(30)
    finally:
        sys.setswitchinterval(interval)
    assert eventually(lambda: _thread._count() <= threads)
    assert process.exitcode == 0
    assert ran == []


def test_exit_functions_may_wait_for_an_actor_that_starts_threads(scripts):
    """CPython 3.12 refuses threads by then."""
    assert scripts.check(
        """
        import atexit, _thread, multiprocessing, threading, forkless

        def work(told, answers):
            told.recv()
            for start in (thread, low_level):
                start(answers)
            answers.send('last')

        def thread(answers):
            thread = threading.Thread(target=answers.send, args=('Thread',))
            thread.start()
            thread.join()

        def low_level(answers):
            ended = _thread.allocate_lock()
            ended.acquire()
            ident = _thread.start_new_thread(end, (answers, ended))
            ended.acquire()
            answers.send(ident > 0 and ident != threading.get_ident())

        def end(answers, ended):
            answers.send(multiprocessing.current_process().name)
            ended.release()

        def leave():
            tell.send(None)
            for _ in range(4):
                print(answers.recv())
            process.join()
            print(process.exitcode)

        forkless.install()
        told, tell = multiprocessing.Pipe(duplex=False)
        answers, to_here = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=work, args=(told, to_here), name='worker')
        process.start()
        atexit.register(leave)
        """
    ) == ["Thread", "worker", "True", "last", "0"]


def register(answers, how):
    atexit.register(answers.put, "first")
    atexit.register(answers.put, "last")
    atexit.register(answers.put, "never")
    atexit.unregister(never := answers.put)
    del never
    atexit.register(note, answers, key="word")
    if how == "raise":
        raise KeyError("reported")
    if how == "_exit":
        os._exit(0)


def note(answers, key):
    answers.put(key)


@pytest.mark.parametrize("how", ["return", "raise", "_exit"])
def test_atexit_functions_of_an_actor(actors, capsys, how):
    """From Python 3.13 on they run when a child ends by itself; earlier, children skip them."""
    answers = actors.Queue()
    process = actors.Process(target=register, args=(answers, how))
    process.start()
    process.join(30)
    expected = how != "_exit" and sys.version_info >= (3, 13)
    assert [answers.get() for _ in range(answers.qsize())] == (["word"] if expected else [])


def test_atexit_functions_of_an_actor_never_run_in_the_real_process(scripts):
    assert scripts.check(
        """
        import atexit, multiprocessing, os, forkless

        def tell():
            print('at exit of', 'real' if os.getpid() == real else 'actor', flush=True)

        def register():
            atexit.register(tell)
            os._exit(0)

        real = os.getpid()
        atexit.register(tell)
        context = multiprocessing.get_context('actor')
        process = context.Process(target=register)
        process.start()
        process.join()
        print(process.exitcode, flush=True)
        """
    ) == ["0", "at exit of real"]


def test_names_of_threads_are_not_reused_within_an_actor(inside):
    assert inside(thread_names) == [True, 3]


def thread_names():
    threads = [threading.Thread(target=int) for _ in range(3)]
    return [all(t.name.startswith("Thread-") for t in threads), len({t.name for t in threads})]
