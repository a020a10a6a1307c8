# SPDX-License-Identifier: Apache-2.0
"""What a process may do to itself, outside of multiprocessing."""

import atexit
import contextvars
import io
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time

from probing import LIMIT, child, in_child, outcome, probe, stderr_of, until, until_nothing_is_left


@probe("os.{setsid,setpgid,setpgrp,getpgid,getpgrp,getsid}")
def sessions_and_groups():
    return in_child(change_group), in_child(change_session), in_child(take_group)


def change_group():
    before = os.getpgrp()
    os.setpgid(0, 0)
    return before == os.getpid(), os.getpgrp() == os.getpgid(0) == os.getpid()


def take_group():
    os.setpgrp()
    return os.getpgrp() == os.getpid()


def change_session():
    os.setsid()
    return os.getsid(0) == os.getpid() == os.getpgid(0), outcome(os.setsid)


def note(signum, frame):
    noted.append(signum)


noted: list = []


def handle(ready, answers):
    noted.clear()
    signal.signal(signal.SIGUSR1, note)
    ready.set()
    until(lambda: noted)
    answers.put((list(noted), signal.getsignal(signal.SIGUSR1) is note))


@probe("os.kill", "signal.{signal,getsignal}")
def signals_to_a_process():
    ready, answers = multiprocessing.Event(), multiprocessing.SimpleQueue()
    process = child(handle, ready, answers)
    ready.wait(LIMIT)
    os.kill(process.pid, signal.SIGUSR1)
    process.join(LIMIT)
    return (
        answers.get(),
        process.exitcode,
        outcome(os.kill, process.pid, 0),
        signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL,
    )


def own_group(ready):
    os.setpgid(0, 0)
    ready.set()
    time.sleep(1000)


@probe("os.killpg")
def signals_to_a_group():
    ready = multiprocessing.Event()
    process = child(own_group, ready)
    ready.wait(LIMIT)
    os.killpg(process.pid, signal.SIGTERM)
    process.join(LIMIT)
    return process.exitcode


def raise_own():
    noted.clear()
    signal.signal(signal.SIGUSR2, note)
    signal.raise_signal(signal.SIGUSR2)
    until(lambda: noted)
    return list(noted)


@probe("signal.{raise_signal,signal}")
def a_signal_to_oneself():
    return in_child(raise_own)


def alarms():
    noted.clear()
    signal.signal(signal.SIGALRM, note)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    until(lambda: noted)
    signal.alarm(100)
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    return list(noted), 90 < left <= 100, 90 < signal.alarm(0) <= 100


@probe("signal.{alarm,setitimer,getitimer}")
def timers():
    return in_child(alarms), signal.getitimer(signal.ITIMER_REAL)


def tick(counter):
    while True:
        counter.value += 1
        time.sleep(0.001)


@probe("signal.SIGSTOP")
def stopping_a_process():
    counter = multiprocessing.Value("i", 0, lock=False)
    process = child(tick, counter)
    until(lambda: counter.value)
    os.kill(process.pid, signal.SIGSTOP)
    seen = counter.value
    stopped = not moves(counter, seen)
    os.kill(process.pid, signal.SIGCONT)
    goes_on = until(lambda: counter.value > seen + 5)
    process.kill()
    process.join(LIMIT)
    return stopped, goes_on


def moves(counter, seen):
    """Whether it goes on. A signal may take its time: the first steps do not count."""
    for _ in range(100):
        if counter.value > seen + 20:
            return True
        time.sleep(0.002)
    return False


@probe("os.waitpid")
def waiting_by_pid():
    return in_child(wait_by_pid)  # which leaves a process object that knows nothing of it


def wait_by_pid():
    process = child(leave, 3)
    pid, status = os.waitpid(process.pid, 0)
    return pid == process.pid, os.waitstatus_to_exitcode(status), outcome(os.waitpid, pid, 0)


def leave(code):
    os._exit(code)


def aborts():
    os.abort()


@probe("os.abort")
def aborting():
    process = child(aborts)
    process.join(LIMIT)
    return process.exitcode


def leave_through_finally(value):
    try:
        os._exit(0)
    finally:
        value.value = 1


@probe("os._exit")
def leaving_without_cleaning_up():
    value = multiprocessing.Value("i", 0, lock=False)
    process = child(leave_through_finally, value)
    process.join(LIMIT)
    until_nothing_is_left()
    return process.exitcode, value.value


def put_through_finally(answers):
    try:
        os._exit(0)
    finally:
        answers.put("late")


@probe("os._exit")
def nothing_is_said_after_the_end():
    answers = multiprocessing.SimpleQueue()
    child(put_through_finally, answers).join(LIMIT)
    until_nothing_is_left()
    return answers.empty()


def streams():
    sys.stdout = io.StringIO()
    print("caught")
    caught = sys.stdout.getvalue()
    sys.stderr.close()
    return caught, sys.stderr.closed, sys.stdin.read()


@probe("sys.{stdin,stdout,stderr}")
def standard_streams():
    before = sys.stdout, sys.stderr
    seen = in_child(streams)
    return seen, before == (sys.stdout, sys.stderr), sys.stderr.closed


def redirect(name):
    fd = os.open(name, os.O_WRONLY)
    os.dup2(fd, 1)
    os.close(fd)
    print("printed", flush=True)
    os.write(1, b"written\n")
    subprocess.run([sys.executable, "-S", "-c", "print('by a program')"], check=True)
    os.close(1)
    return outcome(os.write, 1, b"")


@probe("os.{dup2,close,write}", starts_programs=True)
def standard_descriptors():
    import tempfile

    with tempfile.NamedTemporaryFile("r") as file:
        closed = in_child(redirect, file.name)
        return closed, file.read(), os.fstat(1) is not None


def read_stdin():
    read, write = os.pipe()
    os.write(write, b"input")
    os.close(write)
    os.dup2(read, 0)
    os.close(read)
    return os.read(0, 10)


@probe("os.{read,dup2}")
def standard_input():
    return in_child(read_stdin)


def change_directory(path):
    os.chdir(path)
    return os.getcwd()


@probe("os.{chdir,getcwd}")
def working_directories():
    before = os.getcwd()
    try:
        return in_child(change_directory, "/"), os.getcwd() == before
    finally:
        os.chdir(before)


def change_umask():
    os.umask(0o027)
    return os.umask(0o027)


@probe("os.umask")
def umasks():
    before = os.umask(0o022)
    try:
        return in_child(change_umask), os.umask(0o022)
    finally:
        os.umask(before)


def change_environment():
    os.environ["FORKLESS_PROBE"] = "child"
    return os.environ["FORKLESS_PROBE"], os.getenv("FORKLESS_PROBE"), program_environment()


def program_output():
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "print(1)"], stdout=subprocess.PIPE
    ) as program:
        return program.stdout.read(), program.wait()


@probe("subprocess.Popen", starts_programs=True)
def programs():
    return in_child(program_output)


def program_environment():
    code = "import os; print(os.environ.get('FORKLESS_PROBE'), end='')"
    command = [sys.executable, "-S", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@probe("os.environ", starts_programs=True)
def environments():
    os.environ["FORKLESS_PROBE"] = "parent"
    try:
        return in_child(change_environment), os.environ["FORKLESS_PROBE"], program_environment()
    finally:
        del os.environ["FORKLESS_PROBE"]


def put_environment():
    os.putenv("FORKLESS_PROBE", "put")


@probe("os.putenv")
def the_environment_of_c_code():
    in_child(put_environment)
    try:
        return c_environment()
    finally:
        os.unsetenv("FORKLESS_PROBE")


def c_environment():
    import ctypes

    getenv = ctypes.CDLL(None).getenv
    getenv.restype = ctypes.c_char_p
    return getenv(b"FORKLESS_PROBE")


def lower_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    return resource.getrlimit(resource.RLIMIT_CORE)[0]


@probe("resource.setrlimit")
def resource_limits():
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (min(before[1], 4096) % 2**63, before[1]))
    changed = resource.getrlimit(resource.RLIMIT_CORE)
    there = in_child(lower_limit)
    kept = resource.getrlimit(resource.RLIMIT_CORE) == changed
    resource.setrlimit(resource.RLIMIT_CORE, before)
    return there, kept


def nicer():
    return os.nice(0)


@probe("os.nice")
def niceness():
    return in_child(nicer) == os.nice(0)


def change_argv():
    sys.argv.append("child")
    return sys.argv[-1]


@probe("sys.argv")
def arguments():
    return in_child(change_argv), "child" in sys.argv


def add_module():
    sys.modules["forkless_probe"] = sys
    return "forkless_probe" in sys.modules


@probe("sys.modules")
def imported_modules():
    seen = in_child(add_module), "forkless_probe" in sys.modules
    sys.modules.pop("forkless_probe", None)
    return seen


def draw():
    return random.random()


@probe("random.random")
def random_numbers():
    """The random state is copied at the start and goes its own way."""
    random.seed(5)
    first = in_child(draw)
    second = in_child(draw)
    here = random.random()
    random.seed(5)
    return first == second == here == random.random()


variable: contextvars.ContextVar = contextvars.ContextVar("variable", default="default")


def change_variable():
    before = variable.get()
    variable.set("child")
    return before


@probe("contextvars.ContextVar")
def context_variables():
    token = variable.set("parent")
    try:
        return in_child(change_variable), variable.get(), type(variable) is contextvars.ContextVar
    finally:
        variable.reset(token)


def threads():
    main = threading.main_thread()
    seen = []
    thread = threading.Thread(
        target=lambda: seen.append((os.getpid(), threading.main_thread() is main))
    )
    thread.start()
    thread.join()
    return (
        main is threading.current_thread(),
        main.name,
        seen == [(os.getpid(), True)],
        threading.active_count(),
        [each.name for each in threading.enumerate()],
    )


@probe("threading.{Thread,main_thread}")
def threads_of_a_process():
    return in_child(threads)


def late(answers):
    time.sleep(0.01)
    answers.put("late")


def leave_thread(answers):
    threading.Thread(target=late, args=(answers,)).start()


@probe("threading.Thread")
def threads_are_waited_for():
    answers = multiprocessing.SimpleQueue()
    process = child(leave_thread, answers)
    process.join(LIMIT)
    return process.exitcode, answers.empty() or answers.get()


def register_exit(answers):
    atexit.register(answers.put, "exit")


@probe("atexit.register")
def functions_at_exit():
    answers = multiprocessing.SimpleQueue()
    process = child(register_exit, answers)
    process.join(LIMIT)
    return process.exitcode, answers.empty() or answers.get()


def sleeps(seconds):
    return time.sleep(seconds), outcome(time.sleep, -1)


@probe("time.sleep")
def sleeping():
    return in_child(sleeps, 0.001)


def fork_there():
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(write, b"real")
        os._exit(5)
    status = os.waitpid(pid, 0)[1]
    answer = os.read(read, 10)
    os.close(read), os.close(write)
    return answer, os.waitstatus_to_exitcode(status)


@probe("os.fork", starts_programs=True)
def forking_in_a_process():
    with stderr_of():
        return in_child(fork_there)


def pid_after_fork():
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return 0 < pid < 1 << 23


@probe("os.fork", "os.forkpty", starts_programs=True)
def what_a_fork_makes():
    with stderr_of():
        return in_child(pid_after_fork), hasattr(os, "forkpty")


def spawn():
    pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", ""], os.environ)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@probe("os.posix_spawn", "os.system", starts_programs=True)
def programs_started_in_a_process():
    return in_child(spawn), in_child(os.system, "exit 3")


def execute():
    os.execv(sys.executable, [sys.executable, "-S", "-c", ""])


@probe("os.execv")
def becoming_another_program():
    """Not tried where the interpreter itself would become it."""
    if "forkless" in sys.modules:
        return "replaces the real process"
    process = child(execute)
    process.join(LIMIT)
    return process.exitcode


forks: list = []


@probe("os.register_at_fork")
def hooks_at_a_fork():
    if not forks:
        os.register_at_fork(after_in_child=lambda: forks.append(1))
    return in_child(len, forks)
