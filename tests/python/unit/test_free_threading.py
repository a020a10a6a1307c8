# SPDX-License-Identifier: Apache-2.0
"""What must hold however many threads run Python code at once; most of it shows with the GIL, too."""

import sys
import sysconfig
import threading
import time

import pytest

from forkless import _core
from support.scripts import eventually

LIMIT = 30


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="a build that has the GIL"
)
def test_the_gil_stays_off(scripts):
    assert scripts.check(
        """
        import sys
        import forkless
        forkless.install()
        print(sys._is_gil_enabled())
        """
    ) == ["False"]


class Finalized:
    def __del__(self):
        _core.current().throw(_core.ProcessExit(7))
        for _ in range(100):
            pass  # it comes here, where the interpreter drops what is raised


def end_in_a_finalizer():
    Finalized()
    while True:
        time.sleep(LIMIT)


def test_a_process_exit_that_comes_in_a_finalizer_is_not_lost(actors):
    process = actors.Process(target=end_in_a_finalizer)
    process.start()
    process.join(LIMIT)
    assert process.exitcode == 7


def test_the_hook_for_what_cannot_be_raised_is_the_programs(installed):
    def hook(unraisable):
        pass

    before = sys.unraisablehook
    sys.unraisablehook = hook
    try:
        assert sys.unraisablehook is hook
    finally:
        sys.unraisablehook = before


def test_starting_a_process_leaves_the_stack_size_of_threads_alone(actors):
    before = threading.stack_size(1 << 20)
    try:
        for _ in range(2):
            process = actors.Process(target=int)
            process.start()
            process.join(LIMIT)
        assert threading.stack_size(1 << 20) == 1 << 20
    finally:
        threading.stack_size(before)


def test_threads_of_a_process_number_its_children_without_a_repetition(actors):
    names = []

    def make():
        names.extend(actors.Process(target=int).name for _ in range(200))

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert len(set(names)) == len(names) == 800


def test_an_exception_thrown_twice_is_raised_once():
    entered, raised = threading.Event(), []

    def life(actor):
        try:
            actor.enter()
            try:
                entered.set()
                _core.sleep(LIMIT)
            except KeyError as error:
                raised.append(error)
            _core.sleep(0.01)
        except BaseException as error:
            raised.append(error)
        finally:
            actor.leave()

    actor = _core.Actor()
    actor.start(life)
    assert entered.wait(LIMIT)
    first = KeyError(1)
    actor.throw(first)
    assert eventually(lambda: raised == [first])
    actor.join(LIMIT, thread=True)
    assert raised == [first]


def test_an_object_whose_message_another_thread_drops_is_freed():
    freed = threading.Event()

    class Thing:
        def __del__(self):
            freed.set()

    channel = _core.Channel()
    channel.put_ref(Thing())
    thread = threading.Thread(target=channel.refuse)
    thread.start()
    thread.join(LIMIT)
    assert freed.wait(LIMIT)


class Settings:
    value = 0


class Meta(type):
    """The type that a class gets while others use it."""


def test_a_class_can_get_another_type_while_threads_use_it():
    done, odd = threading.Event(), []

    def use():
        while not done.is_set():
            Settings.value = Settings.value + 1
            if type(Settings) not in (type, Meta) or not isinstance(Settings().value, int):
                odd.append(type(Settings))

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(300):
        _core.set_metaclass(Settings, Meta)
        time.sleep(0)
        _core.set_metaclass(Settings, type)
    done.set()
    for thread in threads:
        thread.join(LIMIT)
    assert odd == [] and type(Settings) is type
