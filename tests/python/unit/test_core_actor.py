# SPDX-License-Identifier: Apache-2.0
"""forkless._core.Actor and SemLock on their own, and that nothing in the extension leaks."""

import gc
import os
import select
import sys
import threading
import time
import tracemalloc

import pytest

from forkless import _core
from support.scripts import eventually


class Actor(_core.Actor):
    """An actor that runs a function."""

    def __init__(self, function, *args):
        self.function, self.args = function, args
        self.result = None

    def boot(self):
        try:
            self.enter()
            self.result = self.function(*self.args)
        except _core.ProcessExit as exit_:
            self.result = exit_
        finally:
            self.leave()


def started(function, *args):
    actor = Actor(function, *args)
    actor.start(Actor.boot, "test")
    return actor


def ended(function, *args):
    actor = started(function, *args)
    actor.join(30, thread=True)
    return actor


def test_pids_are_above_those_of_the_kernel_and_never_used_twice():
    pids = [Actor(None).pid for _ in range(100)]
    assert min(pids) >= 1 << 23
    assert len(set(pids)) == 100 and pids == sorted(pids)


def test_an_actor_is_current_in_its_own_thread_alone():
    actor = ended(lambda: (_core.current(), _core.getpid(), threading.get_ident()))
    current, pid, ident = actor.result
    assert current is actor and pid == actor.pid and ident != threading.get_ident()
    assert _core.current() is None and _core.getpid() == os.getpid()


def test_an_actor_starts_once():
    actor = ended(int)
    with pytest.raises(RuntimeError, match="only be started once"):
        actor.start(Actor.boot)


@pytest.mark.parametrize(
    "use",
    [
        lambda actor: actor.join(),
        lambda actor: actor.sentinel(),
        lambda actor: actor.kill(-9),
        lambda actor: actor.exit_now(0),
        lambda actor: actor.set_exit(0),
        lambda actor: actor.run(int),
    ],
)
def test_an_actor_that_was_not_started_refuses(use):
    with pytest.raises(RuntimeError, match="not been started"):
        use(Actor(None))


def test_what_can_be_asked_before_the_start():
    actor = Actor(None)
    assert (actor.poll(), actor.thread_ident, actor.stopping) == (None, 0, False)
    assert actor.exit_error() is None


def test_the_exit_code_is_that_which_was_set():
    def end():
        _core.current().set_exit(7, {"type": "t", "notes": ["n"]})

    actor = ended(end)
    assert (actor.poll(), actor.join(), actor.exit_error()) == (7, 7, {"type": "t", "notes": ["n"]})


def test_an_error_that_is_not_plain_data_is_refused():
    def end():
        with pytest.raises(TypeError, match="msgpack has no form"):
            _core.current().set_exit(7, {"type": object()})
        return True

    actor = ended(end)
    assert actor.result is True and actor.poll() == 0


def test_join_returns_none_after_its_timeout():
    gate = _core.SemLock(1, 0, 1)
    actor = started(gate.acquire)
    since = time.monotonic()
    assert actor.join(0.1) is None and actor.join(timeout=0) is None
    assert time.monotonic() - since >= 0.1
    gate.release()
    assert actor.join(30) == 0


def test_kill_publishes_the_exit_at_once_and_ends_waits():
    actor = started(_core.sleep, 60)
    assert eventually(lambda: actor.thread_ident)
    assert actor.kill(-9) is True
    assert actor.poll() == -9 and actor.stopping
    assert actor.kill(-15) is False and actor.poll() == -9
    actor.join(30, thread=True)
    assert type(actor.result) is _core.ProcessExit and actor.result.args == (-9,)


def test_exit_now_publishes_before_the_thread_ends():
    gate = threading.Event()

    def end():
        assert _core.current().exit_now(3) is True
        gate.wait(30)

    actor = started(end)
    assert actor.join(30) == 3
    assert actor.join(0.01, thread=True) is None
    assert _core.counters()["orphans"] == 1
    gate.set()
    assert actor.join(30, thread=True) == 3


def test_the_sentinel_is_readable_after_the_exit():
    gate = _core.SemLock(1, 0, 1)
    actor = started(gate.acquire)
    sentinel = actor.sentinel()
    assert sentinel == actor.sentinel()
    assert select.select([sentinel], [], [], 0)[0] == []
    gate.release()
    assert select.select([sentinel], [], [], 30)[0] == [sentinel]
    actor.join(30)
    with pytest.raises(RuntimeError):
        Actor(None).sentinel()


def catch(function, *args):
    try:
        function(*args)
    except Exception as error:
        return error


WAITS = {
    "sleep": lambda: _core.sleep(60),
    "get": lambda: _core.Channel().get(),
    "poll": lambda: _core.Channel().poll(None),
    "acquire": lambda: _core.SemLock(1, 0, 1).acquire(),
    "join": lambda: started(_core.sleep, 0.5).join(),
    "loop": lambda: [None for _ in iter(int, 1)],
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_an_exception_thrown_at_an_actor_arrives_as_the_same_object(wait):
    actor = started(catch, wait)
    assert eventually(lambda: actor.thread_ident)
    time.sleep(0.02)
    error = ValueError("thrown", [1])
    actor.throw(error)
    actor.join(30, thread=True)
    assert actor.result is error
    assert eventually(lambda: _core.counters()["live"] == 0)


def test_an_exception_thrown_before_the_start_arrives_when_the_actor_is_ready():
    actor = Actor(None)
    actor.throw(error := _core.ProcessExit(4))
    actor.start(Actor.boot)
    actor.join(30, thread=True)
    assert actor.result is error


def test_process_exit_replaces_what_was_thrown_and_other_exceptions_do_not():
    for second, wins in ((_core.ProcessExit(1), True), (KeyError(), False)):
        actor = Actor(None)
        actor.throw(first := _core.ProcessExit(0))
        actor.throw(second)
        actor.start(Actor.boot)
        actor.join(30, thread=True)
        assert actor.result is (second if wins else first)


@pytest.mark.parametrize("thrown", [ValueError, "text", None])
def test_only_exception_objects_can_be_thrown(thrown):
    with pytest.raises(TypeError, match="exception object"):
        Actor(None).throw(thrown)


def test_nobody_can_make_a_delivery():
    """The class that carries a thrown exception is no name of the module."""
    assert not hasattr(_core, "Delivery")


def test_what_a_target_lets_escape_is_reported_and_ends_with_1(capfd):
    actor = _core.Actor()
    reported = []
    hook, sys.unraisablehook = sys.unraisablehook, lambda report: reported.append(report.exc_value)
    try:
        actor.start(lambda actor: 1 // 0)
        assert actor.join(30, thread=True) == 1
    finally:
        sys.unraisablehook = hook
    assert [type(error) for error in reported] == [ZeroDivisionError]


def test_run_acts_for_an_actor_and_comes_back():
    gate = _core.SemLock(1, 0, 1)
    actor = started(gate.acquire)
    assert actor.run(lambda *args: (_core.getpid(), args), 1, 2) == (actor.pid, (1, 2))
    assert _core.current() is None
    with pytest.raises(ZeroDivisionError):
        actor.run(lambda: 1 // 0)
    assert _core.current() is None
    with pytest.raises(TypeError, match="needs a function"):
        actor.run()
    other = started(gate.acquire)
    assert actor.run(other.run, _core.getpid) == other.pid
    gate.release()
    gate_opened = eventually(lambda: None not in (actor.poll(), other.poll()) or gate_release(gate))
    assert gate_opened


def gate_release(gate):
    try:
        gate.release()
    except ValueError:
        pass
    return False


def test_wrong_arguments_are_type_errors():
    actor = Actor(None)
    for call in (
        lambda: actor.start(),
        lambda: actor.start(int, 5),
        lambda: actor.start(int, "name", "size"),
        lambda: actor.start(int, size=1),
    ):
        with pytest.raises(TypeError):
            call()


def test_an_actor_that_was_never_joined_goes_when_nobody_holds_it():
    import weakref

    actor = ended(int)
    reference = weakref.ref(actor)
    del actor
    gc.collect()
    assert reference() is None


def test_sleep_checks_its_argument():
    for wrong, error in ((-1, ValueError), ("x", TypeError), (float("nan"), ValueError)):
        with pytest.raises(error):
            _core.sleep(wrong)
    since = time.monotonic()
    assert _core.sleep(0.05) is None
    assert time.monotonic() - since >= 0.05


# Semaphores


@pytest.mark.parametrize("arguments", [(2, 1, 1), (0, -1, 1), (1, 2, 1)])
def test_a_semlock_refuses_values_that_make_no_sense(arguments):
    with pytest.raises((ValueError, OSError)):
        _core.SemLock(*arguments)


def test_a_semlock_tells_about_itself():
    lock = _core.SemLock(0, 1, 1, None, True)
    assert (lock.kind, lock.maxvalue, lock.name) == (0, 1, None)
    assert isinstance(lock.handle, int)
    assert not lock._is_zero() and not lock._is_mine() and lock._count() == 0
    with lock:
        with lock:
            assert lock._is_mine() and lock._count() == 2 and lock._is_zero()
    assert lock._count() == 0 and lock._get_value() == 1
    assert lock._after_fork() is None
    assert _core.SemLock.SEM_VALUE_MAX > 2**30


# Leaks


def grown(function, rounds=300):
    """How many blocks and container objects `function` leaves behind, per call."""
    for _ in range(
        rounds
    ):  # as many: without the GIL, free blocks are counted until they are needed
        function()
    gc.collect()
    blocks, objects = sys.getallocatedblocks(), len(gc.get_objects())
    for _ in range(rounds):
        function()
    gc.collect()
    return max(
        (sys.getallocatedblocks() - blocks) / rounds, (len(gc.get_objects()) - objects) / rounds
    )


class Opaque:
    """Travels as a pickle."""

    def __init__(self):
        self.value = [1, {"a": (2, [3])}]


DATA = {"a": [1, 2, {"b": (3, [4], {5})}], "t": ([], ()), "s": bytearray(b"x")}


def raising(obj):
    raise KeyError


def swallowed(function, *args):
    try:
        function(*args)
    except Exception:
        pass


CHANNEL, FULL, LOCK = _core.Channel(), _core.Channel(1), _core.SemLock(0, 1, 1)
FULL.put(1)
CYCLE = []
CYCLE.append((CYCLE, {"c": CYCLE}))


def through_channel(obj):
    CHANNEL.put(obj)
    CHANNEL.get()


def corrupt():
    CHANNEL.put_message(b"\x92\x01\xd4\x63\x00")
    CHANNEL.get()


OPERATIONS = {
    "copy": lambda: _core.copy(DATA),
    "copy of a cycle": lambda: _core.copy(CYCLE),
    "copy with handlers": lambda: _core.copy([Opaque(), DATA], {Opaque: lambda o: [o]}),
    "copy that fails": lambda: swallowed(_core.copy, [DATA, (DATA, Opaque())]),
    "handler that raises": lambda: swallowed(_core.copy, [DATA, (Opaque(),)], {None: raising}),
    "try_copy of other objects": lambda: _core.try_copy([DATA, Opaque()], None),
    "plain data through a channel": lambda: through_channel(DATA),
    "objects through a channel": lambda: through_channel(Opaque()),
    "an exception through a channel": lambda: through_channel(ValueError("x")),
    "put into a full channel": lambda: swallowed(FULL.put, DATA, False),
    "put of what cannot be pickled": lambda: swallowed(CHANNEL.put, [DATA, raising, Opaque, gc]),
    "a corrupt message": lambda: swallowed(corrupt),
    "an undelivered message": lambda: _core.Channel().put(DATA),
    "pack and unpack": lambda: _core.unpack(_core.pack(DATA["a"][:2] + [{"k": [b"", "t", 2.0]}])),
    "pack that fails": lambda: swallowed(_core.pack, [1, {"k": Opaque()}]),
    "a semlock": lambda: (_core.SemLock(1, 1, 1).acquire(), LOCK.acquire(), LOCK.release()),
    "a semlock that is refused": lambda: swallowed(_core.SemLock, 1, 5, 2),
    "an actor": lambda: ended(int).poll(),
    "an actor that was not started": lambda: Actor(int),
    "an actor with an error": lambda: ended(lambda: _core.current().set_exit(1, {"type": "t"})),
    "an actor that is killed": lambda: killed(),
    "an actor with a sentinel": lambda: ended(int).sentinel(),
}


def killed():
    actor = started(_core.sleep, 60)
    actor.kill(-9)
    actor.throw(_core.ProcessExit(-9))
    actor.join(30, thread=True)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS.keys())
def test_nothing_is_left_behind_by(operation):
    # The end of a thread is seen a moment before the thread has freed the last of what it had.
    assert min(grown(operation) for _ in range(3)) < 0.2


def test_the_copy_holds_no_reference_to_what_it_copied():
    obj, shared = Opaque(), []
    data = [shared, {"k": shared}, (shared, obj)]
    before = sys.getrefcount(shared), sys.getrefcount(obj), sys.getrefcount(data)
    for _ in range(100):
        _core.copy(data, {})
        swallowed(_core.copy, data)
        swallowed(_core.copy, data, {Opaque: raising})
    assert (sys.getrefcount(shared), sys.getrefcount(obj), sys.getrefcount(data)) == before


def test_memory_that_python_traces_does_not_grow(actors):
    def go():
        process = actors.Process(target=os.getpid)
        process.start()
        process.join()

    for _ in range(50):
        go()
    tracemalloc.start()
    try:
        for _ in range(20):
            go()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            go()
        gc.collect()
        grown_by = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown_by < 200 * 50
