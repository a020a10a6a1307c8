# SPDX-License-Identifier: Apache-2.0
"""What else a simulated process has to itself: attributes of sys, threading and warnings, the module
random, context variables, its list of threads, its processors."""

import code
import contextvars
import decimal
import logging
import os
import random
import sys
import tempfile
import threading
import types
import warnings

import pytest

import forkless
from forkless import actors as forkless_actors
from support.calls import Puppet, call
from support.scripts import eventually

# sys


def change_lists():
    seen = list(sys.argv), list(sys.path)
    sys.argv.append("own")
    sys.path.insert(0, "/own")
    sys.argv[0] = "renamed"
    return seen, sys.argv[0], sys.argv[-1], sys.path[0]


def test_a_process_has_its_own_arguments_and_path(context):
    argv, path = list(sys.argv), list(sys.path)
    assert call(context, change_lists) == ((argv, path), "renamed", "own", "/own")
    assert (sys.argv, sys.path) == (argv, path)
    assert vars(sys)["argv"] is sys.argv and vars(sys)["path"] is sys.path


def read_often():
    seen = set()
    for number in range(2000):  # so often that the interpreter takes short cuts
        if number == 1000:
            sys.argv = ["own"]
        seen.add((number >= 1000, sys.argv == ["own"], warnings.filters == []))
        if number == 1000:
            warnings.filters = []
    return seen


def test_code_that_runs_often_sees_the_own_values_too(actors, installed):
    expected = {(False, False, False), (True, True, False), (True, True, True)}
    assert call(actors, read_often) == expected
    argv, filters = sys.argv, warnings.filters
    try:
        assert read_often() == expected
    finally:
        sys.argv, warnings.filters = argv, filters


def get_arguments():
    return list(sys.argv)


def test_a_process_has_the_arguments_that_its_parent_had_when_it_was_started(actors):
    before = list(sys.argv)
    sys.argv.append("early")
    puppet = Puppet(actors)
    sys.argv.append("late")
    try:
        assert puppet.call(get_arguments) == [*before, "early"]
    finally:
        sys.argv[:] = before
        puppet.close()


def import_from(folder):
    sys.path.insert(0, folder)
    import forkless_test_module

    return forkless_test_module.value


def test_modules_are_found_in_the_own_path(actors, tmp_path):
    (tmp_path / "forkless_test_module.py").write_text("value = 5\n")
    try:
        assert call(actors, import_from, str(tmp_path)) == 5
        assert str(tmp_path) not in sys.path
    finally:
        sys.modules.pop("forkless_test_module", None)


def test_a_module_that_is_imported_is_none_of_our_types(installed, scripts, monkeypatch):
    """The import system makes modules of the type of sys, which has properties."""
    scripts.write("path = stdout = 'own'\n", "forkless_new_module.py")
    monkeypatch.syspath_prepend(str(scripts.folder))
    import forkless_new_module as module

    del sys.modules[module.__name__]
    assert type(module) is types.ModuleType and (module.path, module.stdout) == ("own", "own")
    module.stdout = None
    assert sys.stdout is not None and type(type(sys)("new")) is types.ModuleType


class Broken:
    def __del__(self):
        raise ValueError("in a finalizer")


def hooks():
    seen = []
    sys.excepthook = lambda kind, *rest: seen.append(("except", kind.__name__))
    sys.unraisablehook = lambda failure: seen.append(("unraisable", failure.exc_type.__name__))
    sys.displayhook = lambda value: seen.append(("display", value))
    threading.excepthook = lambda args: seen.append(("thread", args.exc_type.__name__))
    sys.ps1 = "own> "
    Broken()
    exec(compile("5 + 5", "", "single"))
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join(30)
    code.InteractiveInterpreter().runcode(compile("[][0]", "", "exec"))
    return seen


HOOKS = ("excepthook", "unraisablehook", "displayhook")


def test_a_process_has_its_own_hooks(context):
    before = [getattr(sys, name) for name in HOOKS], threading.excepthook
    assert call(context, hooks) == [
        ("unraisable", "ValueError"),
        ("display", 10),
        ("thread", "ZeroDivisionError"),
        ("except", "IndexError"),
    ]
    assert ([getattr(sys, name) for name in HOOKS], threading.excepthook) == before
    assert not hasattr(sys, "ps1")


def test_the_real_process_keeps_its_hooks(installed, capsys, monkeypatch):
    assert sys.excepthook is sys.__excepthook__ and sys.displayhook is sys.__displayhook__
    exec(compile("5 + 5", "", "single"))
    assert capsys.readouterr().out == "10\n"
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    Broken()
    assert seen[0].exc_type is ValueError


# warnings


def warn(text):
    warnings.warn(text, UserWarning, stacklevel=1)


def filters():
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            warn("raised")
        except UserWarning as warning:
            seen = str(warning)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn("caught")
    warnings.resetwarnings()
    return seen, [str(w.message) for w in caught], warnings.filters == [], before != []


def test_a_process_has_its_own_filters_of_warnings(context):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        assert call(context, filters) == ("raised", ["caught"], True, True)
        assert warnings.filters == before
        warn("ours")
    assert "ours" in [str(warning.message) for warning in caught]


def record(puppet):
    """A child's recording while the parent records, too."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        puppet.set()
        WARNED.wait(30)
        warn("child")
    return [str(warning.message) for warning in caught]


WARNED = threading.Event()


def test_recording_warnings_records_the_own_ones(actors):
    WARNED.clear()
    recording = threading.Event()
    RECORDING.append(recording)
    puppet = Puppet(actors)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        puppet.tell(record_last)
        assert recording.wait(30)
        warn("parent")
        WARNED.set()
        assert puppet.answer() == ["child"]
    assert [str(warning.message) for warning in caught] == ["parent"]
    puppet.close()


RECORDING = []


def record_last():
    return record(RECORDING.pop())


def show_own():
    seen = []
    warnings.simplefilter("always")
    warnings.showwarning = lambda message, *rest: seen.append(str(message))
    warn("shown")
    logging.captureWarnings(True)
    try:
        warn("logged")
    finally:
        logging.captureWarnings(False)
    return seen


def test_a_process_shows_warnings_as_it_likes(actors, caplog):
    before = warnings.showwarning
    assert call(actors, show_own) == ["shown"]
    assert warnings.showwarning is before
    assert "logged" in caplog.text


# random


def draws():
    return [random.random(), random.randint(0, 10**9), random.choice(range(10**9)), random.gauss()]


def seeded(seed):
    random.seed(seed)
    state = random.getstate()
    first = draws()
    random.setstate(state)
    return first, draws(), random.getrandbits(64), random.Random(seed).random() == first[0]


def test_a_process_has_its_own_random_numbers(context):
    random.seed(1)
    expected = draws() + draws()
    random.seed(1)
    ours = draws()
    first, again, _, like_others = call(context, seeded, 1)
    assert first == again and like_others
    assert ours + draws() == expected, "a process does not draw from our numbers"


def test_a_process_begins_with_a_fresh_seed(context):
    random.seed(1)
    state = random.getstate()
    first, second = call(context, draws), call(context, draws)
    assert first != second and random.getstate() == state
    random.setstate(state)
    assert draws() not in (first, second)


def test_functions_that_were_taken_before_draw_from_the_own_numbers(scripts):
    assert scripts.check(
        """
        import multiprocessing, random
        from random import choice, gauss, shuffle
        import forkless
        def run(answers):
            random.seed(5)
            answers.put((choice(range(1000)), gauss(), gauss()))
        random.seed(7)
        expected = choice(range(1000)), gauss(), gauss()
        random.seed(7)
        context = multiprocessing.get_context('actor')
        answers = context.Queue()
        process = context.Process(target=run, args=(answers,))
        process.start(); process.join()
        assert (choice(range(1000)), gauss(), gauss()) == expected
        random.seed(5)
        print(answers.get() == (choice(range(1000)), gauss(), gauss()))
        forkless.uninstall()
        print(type(random._inst) is random.Random, random.random.__self__ is random._inst)
        """
    ) == ["True", "True True"]


def names():
    sequence = tempfile._get_candidate_names()
    return [next(sequence) for _ in range(20)]


def test_processes_choose_different_temporary_names(actors):
    assert len({*call(actors, names), *call(actors, names), *names()}) == 60


# Context variables

VARIABLE = contextvars.ContextVar("VARIABLE", default="default")
LIST = contextvars.ContextVar("LIST", default=())
OBJECT = contextvars.ContextVar("OBJECT", default=None)


def change_context():
    seen = VARIABLE.get(), list(LIST.get()), OBJECT.get()
    VARIABLE.set("child")
    if LIST.get():
        LIST.get().append(2)
    decimal.getcontext().prec = 5
    return seen, VARIABLE.get(), str(decimal.Decimal(1) / 3)


def test_a_process_begins_with_copies_of_context_variables(context):
    def run():
        VARIABLE.set("parent")
        LIST.set([1])
        OBJECT.set([object()])
        assert call(context, change_context) == (("parent", [1], None), "child", "0.33333")
        assert (VARIABLE.get(), LIST.get()) == ("parent", [1]) and decimal.getcontext().prec == 28

    contextvars.copy_context().run(run)
    assert call(context, change_context)[0] == ("default", [], None)


def divide():
    return str(decimal.Decimal(1) / 3)


def test_a_process_calculates_as_its_parent_does(actors):
    with decimal.localcontext() as numbers:
        numbers.prec = 3
        assert call(actors, divide) == "0.333"


# Threads


def count_threads():
    release = threading.Event()
    thread = threading.Thread(target=release.wait, name="helper")
    thread.start()
    listed = sorted(t.name for t in threading.enumerate())
    count = threading.active_count()
    release.set()
    thread.join(30)
    return listed, count, len(threading.enumerate()), threading.current_thread().name


def test_a_process_lists_its_own_threads(context):
    puppet = Puppet(context)
    assert call(context, count_threads) == (["MainThread", "helper"], 2, 1, "MainThread")
    assert puppet.call(count_threads)[0] == ["MainThread", "helper"]
    ours = threading.enumerate()
    assert threading.main_thread() in ours and len(ours) == threading.active_count()
    assert sum(thread.name == "MainThread" for thread in ours) == 1
    puppet.close()


# Processors and priorities


def processors():
    pid = os.getpid()
    before = os.sched_getaffinity(pid)
    os.sched_setaffinity(pid, {min(before)})
    seen = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, pid)
    os.setpriority(os.PRIO_PROCESS, pid, 5)
    return before, seen, os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="of the process elsewhere")
def test_a_process_has_its_own_processors_and_priority(context):
    ours = os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)
    assert call(context, processors) == (
        ours[0],
        ({min(ours[0])}, ours[1]),
        5,
        os.sched_getscheduler(0),
    )
    assert (os.sched_getaffinity(0), os.getpriority(os.PRIO_PROCESS, 0)) == ours
    with pytest.raises(ProcessLookupError):
        os.sched_getaffinity(1 << 30)


# All of it


def test_uninstall_takes_everything_back(scripts):
    assert (
        scripts.check(
            """
        import fcntl, os, random, selectors, sys, threading, warnings
        import forkless
        from forkless import actors
        NAMES = {
            sys: ('argv', 'path', 'excepthook', 'unraisablehook', 'displayhook'),
            threading: ('excepthook', 'enumerate', 'active_count'),
            warnings: ('filters', 'showwarning', '_showwarnmsg', '_showwarnmsg_impl'),
            os: ('chdir', 'fchdir', 'umask', 'sched_getaffinity', 'getpriority', 'lockf', 'waitpid'),
            fcntl: ('lockf',),
            random: ('random', 'seed', 'getrandbits', 'getstate', 'setstate'),
            selectors.EpollSelector: ('select',),
        }
        def look():
            return {
                (owner, name): (getattr(owner, name), vars(owner).get(name), type(owner))
                for owner, names in NAMES.items() for name in names
            }
        before = look()
        for _ in range(2):
            forkless.install()
            changed = look()
            print(sum(changed[key] != before[key] for key in before) == len(before))
            forkless.uninstall()
            after = look()
            print([key for key in before if after[key] != before[key]], len(actors.inheritance))
            print(len(actors.MAIN.values))
        """
        )
        == ["True", "[] 1", "0"] * 2
    )


def test_what_an_ended_process_had_is_let_go(actors):
    puppet = Puppet(actors)
    actor = puppet.process._popen._actor
    puppet.call(change_lists)
    assert actor.values
    puppet.close()
    assert eventually(lambda: not actor.values and not actor.locals)
    assert not forkless_actors.live() and forkless.is_installed() is False
