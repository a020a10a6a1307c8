# SPDX-License-Identifier: Apache-2.0
"""forkless.personality.ids: pids, groups, sessions, os._exit, os.waitpid, and a real fork."""

import os
import signal
import subprocess
import sys
import time

import pytest

from support.scripts import eventually


def call(answers, function, *args):
    try:
        answers.put(function(*args))
    except Exception as error:
        answers.put(error)


@pytest.fixture
def inside(actors):
    """Calls a function in an actor; gives what it returns, or the exception that it raised."""

    def run(function, *args):
        answers = actors.Queue()
        process = actors.Process(target=call, args=(answers, function, *args))
        process.start()
        answer = answers.get(timeout=30)
        process.join(30)
        run.pid = process.pid
        return answer

    return run


def groups():
    return os.getpid(), os.getppid(), os.getpgrp(), os.getpgid(0), os.getsid(0)


def test_an_actor_inherits_group_and_session(inside):
    assert inside(groups) == (inside.pid, os.getpid(), os.getpgrp(), os.getpgrp(), os.getsid(0))


def set_session():
    os.setsid()
    return groups()


def test_setsid_makes_a_session_and_a_group_of_the_actors_own(inside):
    real = os.getpgrp(), os.getsid(0)
    pid, _, *rest = inside(set_session)
    assert rest == [pid] * 3
    assert (os.getpgrp(), os.getsid(0)) == real


def set_session_twice():
    os.setsid()
    os.setsid()


def lead_session_and_leave_group():
    os.setsid()
    os.setpgid(0, 0)


def lead_group_and_make_session():
    os.setpgid(0, 0)
    os.setsid()


@pytest.mark.parametrize(
    "function", [set_session_twice, lead_session_and_leave_group, lead_group_and_make_session]
)
def test_leaders_are_refused_as_by_the_kernel(inside, function):
    assert isinstance(inside(function), PermissionError)


def set_group(function, *args):
    getattr(os, function)(*args)
    return groups()


@pytest.mark.parametrize(("function", "args"), [("setpgid", (0, 0)), ("setpgrp", ())])
def test_an_actor_can_lead_a_group(inside, function, args):
    real = os.getpgrp(), os.getsid(0)
    pid, _, group, same, session = inside(set_group, function, *args)
    assert (group, same, session) == (pid, pid, real[1])
    assert (os.getpgrp(), os.getsid(0)) == real


def look_up(pid):
    return os.getpgid(pid), os.getsid(pid)


def test_the_group_of_another_actor_can_be_looked_up(actors, inside):
    process = actors.Process(target=lead, args=(event := actors.Event(), ready := actors.Event()))
    process.start()
    assert ready.wait(30)
    assert look_up(process.pid) == (process.pid, process.pid) == inside(look_up, process.pid)
    event.set()
    process.join(30)
    with pytest.raises(ProcessLookupError):
        os.getpgid(process.pid)
    with pytest.raises(ProcessLookupError):
        os.getpgid((1 << 23) + 10**6)


def lead(event, ready):
    os.setsid()
    ready.set()
    event.wait(60)


def test_the_parent_can_set_the_group_of_a_child(actors):
    event = actors.Event()
    process = actors.Process(target=event.wait, args=(60,))
    process.start()
    os.setpgid(process.pid, process.pid)
    assert os.getpgid(process.pid) == process.pid != os.getpgrp()
    event.set()
    process.join(30)


seen = []


def exit_in_try(answers):
    try:
        try:
            os._exit(3)
        except Exception:
            seen.append("except Exception")
        seen.append("went on")
    finally:
        seen.append("finally")
        try:
            answers.put("a process that has ended sends nothing")
        finally:
            seen.append("unwound")


def test_os_exit_passes_except_clauses_and_runs_finally_blocks(actors):
    """In a real process the finally block does not run; an actor has to be unwound."""
    seen.clear()
    answers = actors.Queue()
    process = actors.Process(target=exit_in_try, args=(answers,))
    process.start()
    process.join(30)
    assert process.exitcode == 3
    assert eventually(lambda: seen == ["finally", "unwound"])
    assert answers.empty()


def exit_from_thread():
    import threading

    try:
        threading.Thread(target=os._exit, args=(6,)).start()
        time.sleep(60)
    finally:
        seen.append("unwound")


def test_os_exit_in_a_thread_of_an_actor_ends_the_actor(actors):
    seen.clear()
    process = actors.Process(target=exit_from_thread)
    process.start()
    process.join(30)
    assert process.exitcode == 6
    assert eventually(lambda: seen == ["unwound"])


@pytest.mark.parametrize(("status", "exitcode"), [(0, 0), (255, 255), (256, 0), (-1, 255)])
def test_os_exit_keeps_what_the_kernel_keeps(actors, status, exitcode):
    process = actors.Process(target=exit_with, args=(status,))
    process.start()
    process.join(30)
    assert process.exitcode == exitcode


def exit_with(status):
    os._exit(status)


def abort():
    os.abort()


def test_abort_ends_the_actor_alone(actors):
    process = actors.Process(target=abort)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGABRT


def test_waitpid_gives_the_status_of_a_child_once(actors):
    for target, args, status in ((exit_with, (3,), 3 << 8), (abort, (), signal.SIGABRT)):
        process = actors.Process(target=target, args=args)
        process.start()
        assert os.waitpid(process.pid, 0) == (process.pid, status)
        with pytest.raises(ChildProcessError):
            os.waitpid(process.pid, 0)
        process.join(30)


def test_waitpid_without_hanging(actors):
    event = actors.Event()
    process = actors.Process(target=event.wait, args=(60,))
    process.start()
    assert os.waitpid(process.pid, os.WNOHANG) == (0, 0)
    event.set()
    assert eventually(lambda: os.waitpid(process.pid, os.WNOHANG) == (process.pid, 0))


def wait_for(pid):
    return os.waitpid(pid, 0)


def test_waitpid_is_for_the_parent(actors, inside):
    event = actors.Event()
    process = actors.Process(target=event.wait, args=(60,))
    process.start()
    assert isinstance(inside(wait_for, process.pid), ChildProcessError)
    event.set()
    process.join(30)


def really_fork():
    """What a child of os.fork() in an actor is: a real process that can be waited for."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            parent = os.getppid()
            os.write(write, f"{os.getpid()} {parent} {os.getsid(0)} {os.getpgrp()}".encode())
        finally:
            os._exit(7)
    os.close(write)
    try:
        return pid, os.read(read, 100).decode(), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        os.close(read)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads and fork
@pytest.mark.needs_processes("about a real process")
def test_the_child_of_a_real_fork_in_an_actor_is_a_real_process(inside):
    pid, seen, code = inside(really_fork)
    assert seen == f"{pid} {os.getpid()} {pid} {pid}"
    assert code == 7 and pid < 1 << 23


def run_program(**options):
    code = "import os; print(os.getpid(), os.getppid(), os.getsid(0), os.getpgrp())"
    with subprocess.Popen(
        [sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, text=True, **options
    ) as program:
        return program.pid, program.communicate(timeout=60)[0].split(), program.returncode


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # threads and fork
@pytest.mark.needs_processes("about a program that is started")
@pytest.mark.parametrize("how", ["setsid", "preexec_fn"])
def test_a_program_started_in_an_actor_gets_a_session_of_its_own(inside, how):
    pid, seen, code = inside(run_in_session, how)
    assert seen == [str(pid), str(os.getpid()), str(pid), str(pid)]
    assert code == 0


def run_in_session(how):
    if how == "setsid":
        return run_program(start_new_session=True)
    return run_program(preexec_fn=os.setsid)


def test_the_real_process_keeps_group_session_and_life(scripts):
    result = scripts.run(
        """
        import multiprocessing, os, sys, forkless

        def meddle(how):
            if how == 'setsid':
                os.setsid()
            elif how == 'setpgid':
                os.setpgid(0, 0)
            elif how == '_exit':
                os._exit(3)
            elif how == 'exit':
                sys.exit('text')
            elif how == 'abort':
                os.abort()
            elif how == 'kill':
                os.kill(os.getpid(), 9)
            elif how == 'killpg':
                os.setpgid(0, 0)
                os.killpg(0, 9)
            elif how == 'kill 0':
                os.setpgid(0, 0)
                os.kill(0, 15)

        def real():
            with open('/proc/self/stat') as stat:  # from the kernel itself
                fields = stat.read().rsplit(')', 1)[1].split()
            return fields[1:4]  # parent, group, session

        ways = ('setsid', 'setpgid', '_exit', 'abort', 'kill', 'killpg', 'kill 0', 'exit')
        context = multiprocessing.get_context('actor')
        before = real()
        for how in ways:
            process = context.Process(target=meddle, args=(how,))
            process.start()
            process.join(30)
            print(how, process.exitcode, real() == before)
        print('alive')
        """
    )
    assert result.returncode == 0 and result.stderr == "text\n", result
    assert result.stdout.splitlines() == [
        "setsid 0 True",
        "setpgid 0 True",
        "_exit 3 True",
        "abort -6 True",
        "kill -9 True",
        "killpg -9 True",
        "kill 0 -15 True",
        "exit 1 True",
        "alive",
    ]
