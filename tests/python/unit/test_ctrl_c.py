# SPDX-License-Identifier: Apache-2.0
"""The interrupt from the keyboard: it reaches the real process and every actor of its group."""

import os
import pty
import select
import signal
import sys
import time

import pytest

PROGRAM = """
import multiprocessing, os, queue, signal, sys, threading, time, forkless

def wait_for_ever(name, said, prepare):
    prepare()
    said.put(name + ' waits')
    try:
        time.sleep(300)
    except KeyboardInterrupt:
        said.put(name + ' interrupted')
    except Handled:
        said.put(name + ' handled')

class Handled(Exception):
    pass

def handle(signum, frame):
    raise Handled

def nothing():
    pass

def own_handler():
    signal.signal(signal.SIGINT, handle)

def default_action():
    signal.signal(signal.SIGINT, signal.SIG_DFL)

def ignore():
    signal.signal(signal.SIGINT, signal.SIG_IGN)

def own_group():
    os.setpgid(0, 0)

def own_session():
    os.setsid()

{source}
"""

GROUP = """
context = multiprocessing.get_context('actor')
said = context.Queue()
ways = [nothing, own_handler, default_action, ignore, own_group, own_session]
processes = [
    context.Process(target=wait_for_ever, args=(way.__name__, said, way), daemon=True) for way in ways
]
for process in processes:
    process.start()
for _ in ways:
    said.get(timeout=30)
try:
    print('ready', flush=True)
    time.sleep(300)
except KeyboardInterrupt:
    print('interrupted')
said = sorted(said.get(timeout=30) for _ in range(2))
for process in processes[:3]:
    process.join(30)
print(said, [process.exitcode for process in processes], flush=True)
"""

EXPECTED = [
    "interrupted",
    "['nothing interrupted', 'own_handler handled'] [0, 0, -2, None, None, None]",
]


def program(source):
    return PROGRAM.replace("{source}", source)


def test_a_real_interrupt_reaches_the_group_but_nobody_else(scripts):
    status, output, _ = scripts.interrupt(program(GROUP))
    assert (status, output.splitlines()) == (0, EXPECTED)


def test_ctrl_c_on_a_terminal_reaches_the_group_but_nobody_else(scripts):
    path = str(scripts.write(program(GROUP)))
    try:
        pid, terminal = pty.fork()
    except OSError as error:
        pytest.skip(f"this system has no terminals: {error}")
    if pid == 0:
        os.execv(sys.executable, [sys.executable, path])
    output = b""
    until = time.monotonic() + 60
    try:
        while time.monotonic() < until and select.select([terminal], [], [], 60)[0]:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # the terminal of a program that has ended
                break
            said = b"ready\r\n" in output
            output += part
            if b"ready\r\n" in output and not said:
                os.write(terminal, b"\x03")
    finally:
        os.kill(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        os.close(terminal)
    lines = [line.removeprefix("^C") for line in output.decode().splitlines()]
    assert lines == ["ready", *EXPECTED]
    assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)


@pytest.mark.parametrize(
    "send",
    [
        "os.kill(os.getpid(), signal.SIGINT)",
        "signal.raise_signal(signal.SIGINT)",
        "__import__('_thread').interrupt_main()",
        "(lambda p: (p.start(), p.join()))"
        "(context.Process(target=os.kill, args=(os.getpid(), signal.SIGINT)))",
    ],
)
def test_an_interrupt_for_the_real_process_alone_stays_there(scripts, send):
    source = """
context = multiprocessing.get_context('actor')
said = context.Queue()
process = context.Process(target=wait_for_ever, args=('child', said, nothing))
process.start()
print(said.get(timeout=30))
try:
    SEND
    time.sleep(30)
except KeyboardInterrupt:
    print('interrupted', process.is_alive(), said.empty())
process.kill()
"""
    assert scripts.check(program(source.replace("SEND", send))) == [
        "child waits",
        "interrupted True True",
    ]


def test_handlers_are_inherited_at_the_start(scripts):
    """The usual protection of workers: ignore, start them, and handle it again."""
    source = """
context = multiprocessing.get_context('actor')
said = context.Queue()
before = signal.signal(signal.SIGINT, signal.SIG_IGN)
protected = context.Process(target=wait_for_ever, args=('protected', said, nothing), daemon=True)
protected.start()
assert signal.signal(signal.SIGINT, before) == signal.SIG_IGN
assert signal.getsignal(signal.SIGINT) is before is signal.default_int_handler
bare = context.Process(target=wait_for_ever, args=('bare', said, nothing), daemon=True)
bare.start()
said.get(timeout=30), said.get(timeout=30)
try:
    print('ready', flush=True)
    time.sleep(300)
except KeyboardInterrupt:
    print(said.get(timeout=30), protected.is_alive(), flush=True)
"""
    status, output, _ = scripts.interrupt(program(source))
    assert (status, output) == (0, "bare interrupted True\n")


def test_a_real_process_that_ignores_it_passes_it_on(scripts):
    source = """
context = multiprocessing.get_context('actor')
said = context.Queue()
process = context.Process(target=wait_for_ever, args=('child', said, nothing))
process.start()
said.get(timeout=30)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('ready', flush=True)
process.join(30)
print(said.get(timeout=30), process.exitcode, signal.getsignal(signal.SIGINT) == signal.SIG_IGN)
"""
    status, output, _ = scripts.interrupt(program(source))
    assert (status, output) == (0, "child interrupted 0 True\n")


def test_uninstall_gives_the_signal_back(scripts):
    assert scripts.check(
        program(
            """
forkless.install()
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
signal.signal(signal.SIGINT, handle)
forkless.uninstall()
print(signal.getsignal(signal.SIGINT) is handle)
forkless.install()
print(signal.getsignal(signal.SIGINT) is handle)
forkless.uninstall()
try:
    os.kill(os.getpid(), signal.SIGINT)
except Handled:
    print('handled')
"""
        )
    ) == ["True", "True", "handled"]


def test_an_actor_interrupts_its_own_main_thread(scripts):
    assert scripts.check(
        program(
            """
import _thread
def work(said):
    threading.Timer(0.01, _thread.interrupt_main).start()
    wait_for_ever('main', said, nothing)
context = multiprocessing.get_context('actor')
said = context.Queue()
process = context.Process(target=work, args=(said,))
process.start()
print(said.get(timeout=30), said.get(timeout=30), sep=', ')
process.join()
"""
        )
    ) == ["main waits, main interrupted"]
