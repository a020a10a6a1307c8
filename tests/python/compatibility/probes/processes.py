# SPDX-License-Identifier: Apache-2.0
"""Processes: how they start, what they get, and how they end."""

import fcntl
import multiprocessing
import os
import signal
import socket
import struct
import sys
import termios
import time
from multiprocessing import process as process_module

from probing import LIMIT, child, in_child, outcome, probe, stderr_of, until, until_nothing_is_left

P = "multiprocessing.Process"


def nothing():
    pass


class Squares(multiprocessing.Process):
    def __init__(self, number, answers):
        super().__init__(name="squares")
        self.number = number
        self.answers = answers

    def run(self):
        self.answers.put((self.number**2, multiprocessing.current_process().name))


@probe(
    "multiprocessing.Process",
    f"{P}.{{start,join,run,name,exitcode,is_alive}}",
    "multiprocessing.process.BaseProcess",
)
def a_subclass_runs():
    answers = multiprocessing.SimpleQueue()
    process = Squares(5, answers)
    before = process.is_alive(), process.exitcode, process.name
    process.start()
    answer = answers.get()
    process.join()
    return (
        before,
        answer,
        process.exitcode,
        process.is_alive(),
        process.name,
        isinstance(process, process_module.BaseProcess),
    )


def ends(how):
    if how == "raise":
        raise ValueError("by design")
    if how == "text":
        sys.exit("a text")
    if how == "number":
        sys.exit(3)
    if how == "os":
        os._exit(4)
    if how == "none":
        sys.exit()
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)


@probe(f"{P}.{{exitcode,join}}", "sys.exit", "os._exit")
def exit_codes():
    codes = {}
    with stderr_of() as lines:
        for how in ("return", "raise", "text", "number", "os", "none", "kill"):
            process = child(ends, how)
            process.join(LIMIT)
            codes[how] = process.exitcode
    said = [line for line in lines if not line.startswith((" ", "Process ", "Traceback"))]
    return codes, said


@probe(
    f"{P}.{{pid,ident}}",
    "os.getpid",
    "os.getppid",
    "multiprocessing.current_process",
    "multiprocessing.process.current_process",
)
def pids():
    process = child(nothing)
    pid, ident = process.pid, process.ident
    process.join()
    pid_there, parent, other = in_child(look_at_pids)
    return (
        pid == ident,
        pid != os.getpid(),
        parent == os.getpid(),
        pid_there == other,
        multiprocessing.Process().pid,
        multiprocessing.current_process().pid == os.getpid(),
        process_module.current_process().name,
    )


def look_at_pids():
    return os.getpid(), os.getppid(), multiprocessing.current_process().pid


def parent_seen():
    parent = multiprocessing.parent_process()
    return parent.name, parent.pid == os.getppid(), parent.is_alive()


@probe("multiprocessing.parent_process", "multiprocessing.process.parent_process")
def the_parent():
    return (
        in_child(parent_seen),
        multiprocessing.parent_process(),
        process_module.parent_process(),
    )


def wait_for(event):
    event.wait(LIMIT)


@probe(
    "multiprocessing.active_children", "multiprocessing.process.active_children", f"{P}.is_alive"
)
def active_children():
    event = multiprocessing.Event()
    processes = [child(wait_for, event) for _ in range(2)]
    alive = len(multiprocessing.active_children()), in_child(count_children)
    event.set()
    for process in processes:
        process.join(LIMIT)
    return alive, process_module.active_children(), [process.is_alive() for process in processes]


def count_children():
    return len(multiprocessing.active_children())


@probe(f"{P}.{{daemon,authkey,name}}")
def attributes():
    process = multiprocessing.Process(target=nothing, daemon=True, name="given")
    key = process.authkey == multiprocessing.current_process().authkey
    process.authkey = b"own"
    process.start()
    late = outcome(setattr, process, "daemon", False)
    process.join()
    return process.daemon, key, process.authkey, late, process.name, in_child(flags_there)


def flags_there():
    own = multiprocessing.current_process()
    return own.daemon, bytes(own.authkey) == bytes(multiprocessing.current_process().authkey)


def make_child():
    return outcome(multiprocessing.Process(target=nothing).start)


def daemon_starts(answers):
    answers.put(make_child())


@probe(f"{P}.daemon")
def a_daemon_has_no_children():
    answers = multiprocessing.SimpleQueue()
    process = child(daemon_starts, answers, daemon=True)
    process.join(LIMIT)
    return answers.get()


@probe(f"{P}.start")
def nested_processes():
    return in_child(in_child, in_child, os_getpid_is_not, os.getpid())


def os_getpid_is_not(pid):
    return os.getpid() != pid


def loop(ready):
    ready.set()
    while True:
        pass


def sleep(ready):
    ready.set()
    time.sleep(1000)


def wait(ready):
    queue = multiprocessing.Queue()
    ready.set()
    queue.get()


@probe(f"{P}.{{terminate,kill,exitcode}}", "time.sleep")
def ending_a_process():
    codes = []
    for body in (loop, sleep, wait):
        for method in ("terminate", "kill"):
            ready = multiprocessing.Event()
            process = child(body, ready)
            ready.wait(LIMIT)
            getattr(process, method)()
            process.join(LIMIT)
            codes.append((process.exitcode, process.is_alive()))
    return codes


def interrupted(ready, answers):
    try:
        ready.set()
        time.sleep(1000)
    except KeyboardInterrupt:
        answers.put("interrupted")


@probe(f"{P}.interrupt", since=(3, 14))
def interrupting_a_process():
    ready, answers = multiprocessing.Event(), multiprocessing.SimpleQueue()
    process = child(interrupted, ready, answers)
    ready.wait(LIMIT)
    process.interrupt()
    process.join(LIMIT)
    return process.exitcode, answers.get()


@probe(f"{P}.{{sentinel,close}}", "multiprocessing.connection.wait")
def sentinel():
    from multiprocessing import connection

    event = multiprocessing.Event()
    process = child(wait_for, event)
    before = connection.wait([process.sentinel], 0)
    running = outcome(process.close)
    event.set()
    after = connection.wait([process.sentinel], LIMIT) == [process.sentinel]
    process.join()
    process.close()
    return before, running, after, outcome(lambda: process.exitcode), outcome(process.join)


@probe(f"{P}.{{start,join,terminate}}")
def wrong_uses():
    process = multiprocessing.Process(target=nothing)
    early = outcome(process.join), outcome(process.terminate)
    process.start()
    twice = outcome(process.start)
    process.join()
    return early, twice


def keep(value):
    value["changed"] = True
    return value


@probe(f"{P}.start")
def arguments_are_copies():
    value = {"a": [1]}
    return in_child(keep, value), value


class Unpicklable:
    def __reduce__(self):
        raise TypeError("not to be pickled")


def type_name(value):
    return type(value).__name__


@probe(f"{P}.start")
def arguments_that_cannot_be_pickled():
    answers = multiprocessing.SimpleQueue()
    process = multiprocessing.Process(target=put_type, args=(answers, Unpicklable()))
    started = outcome(process.start)
    if started is None:
        process.join(LIMIT)
        return answers.get()
    return started


def put_type(answers, value):
    answers.put(type_name(value))


global_value = [0]


def change_global():
    global_value[0] += 1
    return list(global_value)


@probe("multiprocessing.Process")
def module_globals():
    seen = in_child(change_global), list(global_value)
    global_value[0] = 0
    return seen


def closure_runs(number, answers):
    process = multiprocessing.Process(target=lambda: answers.put(number + 1))
    process.start()
    process.join(LIMIT)


@probe(f"{P}.start")
def a_lambda_as_target():
    answers = multiprocessing.SimpleQueue()
    closure_runs(1, answers)
    return answers.get()


def crash():
    import ctypes

    os.close(2)
    ctypes.string_at(0)


@probe(f"{P}.exitcode")
def a_crash_in_c_code():
    """Not tried where it would end the interpreter."""
    if multiprocessing.get_start_method() != "fork" or "forkless" in sys.modules:
        return "ends the interpreter"
    process = child(crash)
    process.join(LIMIT)
    return process.exitcode


def receive_in_c(fd):
    import ctypes

    buffer = ctypes.create_string_buffer(2)
    ctypes.CDLL(None).recv(fd, buffer, 2, socket.MSG_WAITALL)


def unread(end):
    """How many bytes wait to be received."""
    return struct.unpack("i", fcntl.ioctl(end, termios.FIONREAD, bytes(4)))[0]


@probe(f"{P}.{{kill,exitcode}}")
def killing_a_process_in_foreign_code():
    """It takes two bytes in one call. The first shows that it is in the call, the second whether it
    still is."""
    here, there = socket.socketpair()
    process = child(receive_in_c, there.fileno())
    here.send(b"1")
    until(lambda: unread(there) == 0)
    process.kill()
    process.join(LIMIT)
    here.send(b"2")
    until_nothing_is_left()
    gone = unread(there) == 1
    here.close(), there.close()
    return process.exitcode, gone
