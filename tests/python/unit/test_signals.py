# SPDX-License-Identifier: Apache-2.0
"""forkless.personality.signals: handlers, kill and killpg, timers, and real signals."""

import os
import signal
import sys
import threading
import time
import weakref

import pytest

from support.scripts import eventually


def handlers():
    # Without SIGALRM, which belongs to what limits the time of the tests.
    return {s: signal.getsignal(s) for s in signal.valid_signals() - {signal.SIGALRM}}


@pytest.fixture(autouse=True)
def real_handlers_stay():
    """Whatever an actor does, the handlers of the real process are as they were."""
    before = handlers()
    yield
    assert handlers() == before


@pytest.fixture
def run(actors):
    """Starts an actor and waits until it says that it is ready; gives process and answers."""

    def start(target, *args):
        answers = actors.Queue()
        process = actors.Process(target=target, args=(answers, *args))
        process.start()
        assert answers.get(timeout=30) == "ready"
        return process, answers

    return start


def stay(answers):
    answers.put("ready")
    time.sleep(60)


def handle(answers, wait):
    def handler(signum, frame):
        answers.put((signum, os.getpid()))
        done.set()

    done = threading.Event()
    assert signal.signal(signal.SIGUSR1, handler) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGUSR1) is handler
    answers.put("ready")
    wait(done)
    answers.put("went on")


def spin(done):
    while not done.is_set():
        pass


def nap(done):
    until = time.monotonic() + 30
    while not done.is_set() and time.monotonic() < until:
        time.sleep(0.01)


def wait_in_event(done):
    done.wait(30)


@pytest.mark.parametrize("wait", [spin, nap, wait_in_event])
def test_a_handler_runs_in_the_actor_and_the_actor_goes_on(run, wait):
    process, answers = run(handle, wait)
    os.kill(process.pid, signal.SIGUSR1)
    assert answers.get(timeout=30) == (signal.SIGUSR1, process.pid)
    assert answers.get(timeout=30) == "went on"
    process.join(30)
    assert process.exitcode == 0


class Told(Exception):
    pass


def handle_by_raising(answers, wait):
    def handler(signum, frame):
        raise Told(signum)

    signal.signal(signal.SIGTERM, handler)
    try:
        answers.put("ready")
        wait()
    except Told as told:
        answers.put(told.args)


def sleep():
    time.sleep(60)


def loop():
    while True:
        pass


WAITS = [sleep, loop]


@pytest.mark.parametrize("wait", WAITS)
def test_what_a_handler_raises_is_raised_in_the_actor(run, wait):
    process, answers = run(handle_by_raising, wait)
    process.terminate()
    assert answers.get(timeout=30) == (signal.SIGTERM,)
    process.join(30)
    assert process.exitcode == 0


def handle_by_exit(answers):
    signal.signal(signal.SIGTERM, lambda signum, frame: os._exit(4))
    answers.put("ready")
    time.sleep(60)


def test_a_handler_may_end_the_actor(run):
    process, _ = run(handle_by_exit)
    process.terminate()
    process.join(30)
    assert process.exitcode == 4


def ignore(answers, *signums):
    for signum in signums:
        signal.signal(signum, signal.SIG_IGN)
        assert signal.getsignal(signum) == signal.SIG_IGN
    answers.put("ready")
    time.sleep(60)


def test_an_ignored_signal_has_no_effect_but_sigkill_has(run):
    process, _ = run(ignore, signal.SIGTERM, signal.SIGINT)
    process.terminate()
    os.kill(process.pid, signal.SIGINT)
    process.join(0.2)
    assert process.is_alive()
    process.kill()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT])
def test_a_deadly_signal_gives_the_exit_code(run, signum):
    process, _ = run(stay)
    os.kill(process.pid, signum)
    process.join(30)
    assert process.exitcode == -signum


@pytest.mark.parametrize(
    "signum", [0, signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT]
)
def test_a_harmless_signal_has_no_effect(run, signum):
    process, _ = run(stay)
    os.kill(process.pid, signum)
    process.join(0.05)
    assert process.is_alive()


def test_stopping_has_no_effect(run):
    """Unlike real processes: a thread cannot be stopped from without."""
    process, _ = run(stay)
    os.kill(process.pid, signal.SIGSTOP)
    process.join(0.05)
    assert process.is_alive()


def be_interrupted(answers, wait):
    try:
        answers.put("ready")
        wait()
    except KeyboardInterrupt:
        answers.put("interrupted")
        raise


@pytest.mark.parametrize("wait", WAITS)
def test_sigint_raises_keyboard_interrupt(run, wait, capsys):
    process, answers = run(be_interrupted, wait)
    os.kill(process.pid, signal.SIGINT)
    assert answers.get(timeout=30) == "interrupted"
    process.join(30)
    assert process.exitcode == 1
    assert "KeyboardInterrupt" in capsys.readouterr().err


def default_interrupt(answers):
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    stay(answers)


def test_sigint_with_the_default_action_is_deadly(run):
    process, _ = run(default_interrupt)
    os.kill(process.pid, signal.SIGINT)
    process.join(30)
    assert process.exitcode == -signal.SIGINT


def attempt(answers, function, *args):
    try:
        answers.put(function(*args))
    except Exception as error:
        answers.put((type(error), str(error)))


@pytest.fixture
def inside(actors):
    """What a function answers in an actor; the type and text of what it raised."""

    def call(function, *args):
        answers = actors.Queue()
        process = actors.Process(target=attempt, args=(answers, function, *args))
        process.start()
        answer = answers.get(timeout=30)
        process.join(30)
        return answer

    return call


def set_handler(signum, handler):
    signal.signal(signum, handler)


def in_thread(function, *args):
    result = []
    thread = threading.Thread(target=lambda: result.append(caught(function, *args)))
    thread.start()
    thread.join(30)
    return result[0]


def caught(function, *args):
    try:
        return function(*args)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    ("signum", "handler"),
    [
        (0, signal.SIG_IGN),
        (-1, signal.SIG_IGN),
        (1000, signal.SIG_IGN),
        (signal.SIGKILL, signal.SIG_IGN),
        (signal.SIGSTOP, signal.SIG_DFL),
        (signal.SIGTERM, "text"),
        (signal.SIGTERM, 5),
        (signal.SIGTERM, None),
    ],
)
def test_wrong_settings_are_refused_as_in_a_real_process(inside, signum, handler):
    assert inside(set_handler, signum, handler) == caught(signal.signal, signum, handler)


def test_only_the_main_thread_of_an_actor_sets_handlers(inside):
    expected = in_thread(signal.signal, signal.SIGUSR1, signal.SIG_IGN)
    assert expected[0] is ValueError
    assert inside(in_thread, set_handler, signal.SIGUSR1, signal.SIG_IGN) == expected


@pytest.mark.parametrize("signum", [-1, 1000])
def test_wrong_numbers_are_refused_as_by_the_kernel(run, inside, signum):
    process, _ = run(stay)
    expected = caught(os.kill, os.getpid(), signum)
    assert caught(os.kill, process.pid, signum) == expected == inside(os.kill, process.pid, signum)


def test_a_pid_that_was_reaped_names_nobody(run):
    process, _ = run(stay)
    process.kill()
    process.join(30)
    for signum in (0, signal.SIGTERM):
        with pytest.raises(ProcessLookupError):
            os.kill(process.pid, signum)
    with pytest.raises(ProcessLookupError):
        os.kill((1 << 23) + 10**6, 0)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    process.terminate()


def test_a_process_that_ended_can_be_signalled_until_it_is_reaped(actors):
    process = actors.Process(target=int)
    process.start()
    actor = process._popen._actor
    assert eventually(lambda: actor.poll() is not None)
    os.kill(process.pid, 0)
    os.kill(process.pid, signal.SIGKILL)
    process.join(30)
    assert process.exitcode == 0


def inherit(answers):
    answers.put("ready")
    answers.put(str(signal.getsignal(signal.SIGUSR2)))


def set_and_start(answers):
    import multiprocessing

    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    child = multiprocessing.get_context("actor").Process(target=inherit, args=(answers,))
    child.start()
    child.join(30)


def test_children_inherit_handlers_and_others_do_not(run):
    process, answers = run(set_and_start)
    assert answers.get(timeout=30) == str(signal.SIG_IGN)
    process.join(30)
    assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL


# Groups


def lead(answers, gate):
    os.setpgid(0, 0)
    follow(answers, gate)


def follow(answers, gate):
    answers.put("ready")
    gate.wait(60)


def lead_children(answers, gate, count):
    import multiprocessing

    os.setpgid(0, 0)
    context = multiprocessing.get_context("actor")
    for _ in range(count):
        context.Process(target=follow, args=(answers, gate), daemon=True).start()
    answers.put("ready")
    gate.wait(60)


def test_killpg_reaches_a_group_and_nobody_else(run, actors):
    gate = actors.Event()
    outsider, _ = run(follow, gate)
    leader, answers = run(lead_children, gate, 3)
    for _ in range(3):
        assert answers.get(timeout=30) == "ready"
    os.killpg(leader.pid, signal.SIGTERM)
    leader.join(30)
    assert leader.exitcode == -signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.killpg(leader.pid, 0)
    assert outsider.is_alive()
    gate.set()
    outsider.join(30)


def kill_group(answers, how):
    os.setpgid(0, 0)
    answers.put("ready")
    if how == "killpg 0":
        os.killpg(0, signal.SIGTERM)
    elif how == "kill 0":
        os.kill(0, signal.SIGTERM)
    else:
        os.kill(-os.getpid(), signal.SIGTERM)
    answers.put("survived")


@pytest.mark.parametrize("how", ["killpg 0", "kill 0", "kill -pid"])
def test_an_actor_can_signal_its_own_group(run, how):
    process, answers = run(kill_group, how)
    process.join(30)
    assert process.exitcode == -signal.SIGTERM
    assert answers.empty()


def signal_itself(answers, how):
    seen = []
    signal.signal(signal.SIGUSR1, lambda signum, frame: seen.append(threading.current_thread()))
    answers.put("ready")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGUSR1)
    else:
        signal.raise_signal(signal.SIGUSR1)
    answers.put(seen == [threading.main_thread()])


@pytest.mark.parametrize("how", ["kill", "raise_signal"])
def test_a_signal_to_oneself_is_handled_at_once_in_the_main_thread(run, how):
    process, answers = run(signal_itself, how)
    assert answers.get(timeout=30) is True
    process.join(30)
    assert process.exitcode == 0


# Timers


def set_alarm(answers, how):
    signal.signal(signal.SIGALRM, lambda signum, frame: answers.put("alarm"))
    answers.put("ready")
    if how == "alarm":
        assert signal.alarm(1) == 0
        time.sleep(0.02)
        assert signal.alarm(1) == 1  # replaces, and tells what was left
    else:
        assert signal.setitimer(signal.ITIMER_REAL, 0.1) == (0.0, 0.0)
        left, interval = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left <= 0.1 and interval == 0
    time.sleep(3)


@pytest.mark.parametrize("how", ["alarm", "setitimer"])
def test_the_alarm_of_an_actor_rings_for_the_actor(run, how):
    timer = signal.getitimer(signal.ITIMER_REAL)
    process, answers = run(set_alarm, how)
    assert answers.get(timeout=30) == "alarm"
    process.terminate()
    process.join(30)
    assert answers.empty()
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer[0] > 0)


def set_interval(answers):
    signal.signal(signal.SIGALRM, lambda signum, frame: answers.put("tick"))
    answers.put("ready")
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    time.sleep(60)


def test_an_interval_ticks_until_the_actor_ends(run):
    process, answers = run(set_interval)
    assert [answers.get(timeout=30) for _ in range(3)] == ["tick"] * 3
    process.terminate()
    process.join(30)


def cancel_alarm(answers):
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    signal.setitimer(signal.ITIMER_REAL, 0)
    answers.put("ready")
    time.sleep(0.3)
    answers.put(signal.getitimer(signal.ITIMER_REAL))


def test_an_alarm_can_be_cancelled(run):
    process, answers = run(cancel_alarm)
    assert answers.get(timeout=30) == (0.0, 0.0)
    process.join(30)
    assert process.exitcode == 0


def unhandled_alarm(answers):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    answers.put("ready")
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(60)


def test_an_alarm_without_a_handler_is_deadly(run):
    process, _ = run(unhandled_alarm)
    process.join(30)
    assert process.exitcode == -signal.SIGALRM


@pytest.mark.parametrize("seconds", [-1.0, "soon"])
def test_a_wrong_timer_is_refused_as_in_a_real_process(inside, seconds):
    expected, _ = caught(signal.setitimer, signal.ITIMER_VIRTUAL, seconds)
    assert inside(set_timer, seconds) == expected.__name__


def set_timer(seconds):
    return caught(signal.setitimer, signal.ITIMER_REAL, seconds)[0].__name__


class Stop(Exception):
    pass


def raise_stop(signum, frame):
    raise Stop


def wait_in_a_finalizer(answers, handler):
    """What is thrown comes where the interpreter drops it."""

    def finalize(reference):
        answers.put("ready")
        while True:
            pass

    signal.signal(signal.SIGINT, handler)
    thing = Stop()
    reference = weakref.ref(thing, finalize)
    try:
        del thing
        while reference() is None:  # always
            pass
    except (Stop, KeyboardInterrupt) as error:
        answers.put(type(error).__name__)


@pytest.mark.parametrize(
    ("handler", "raised"),
    [
        pytest.param(
            raise_stop,
            "Stop",
            marks=pytest.mark.skipif(
                sys.version_info < (3, 12), reason="nothing tells where an exception has come from"
            ),
        ),
        (signal.default_int_handler, "KeyboardInterrupt"),
    ],
)
def test_what_a_handler_raises_is_not_lost_in_a_finalizer(run, handler, raised):
    """It may be that of an object of another process, whose memory is the same."""
    process, answers = run(wait_in_a_finalizer, handler)
    os.kill(process.pid, signal.SIGINT)
    assert answers.get(timeout=30) == raised
    process.join(30)
    assert process.exitcode == 0
