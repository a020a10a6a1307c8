# SPDX-License-Identifier: Apache-2.0
"""Functions of the module multiprocessing that are about contexts, and its modules for real processes."""

import multiprocessing
import sys
from multiprocessing import forkserver, resource_tracker, spawn, util

from probing import child, in_child, outcome, probe

M = "multiprocessing"


@probe(f"{M}.{{ProcessError,BufferTooShort,TimeoutError,AuthenticationError}}")
def exceptions():
    return [
        [base.__name__ for base in error.__mro__]
        for error in (
            multiprocessing.ProcessError,
            multiprocessing.BufferTooShort,
            multiprocessing.TimeoutError,
            multiprocessing.AuthenticationError,
        )
    ]


@probe(f"{M}.{{get_context,get_start_method,set_start_method}}")
def start_methods():
    own = multiprocessing.get_start_method()
    return (
        multiprocessing.get_context() is multiprocessing.get_context(own),
        outcome(multiprocessing.set_start_method, own),
        outcome(multiprocessing.get_context, "none"),
        own == multiprocessing.get_context(own).get_start_method(),
        in_child(multiprocessing.get_start_method) == own,
    )


@probe(f"{M}.get_all_start_methods")
def all_start_methods():
    return multiprocessing.get_all_start_methods()


@probe(f"{M}.{{cpu_count,reducer,allow_connection_pickling}}")
def small_functions():
    return (
        multiprocessing.cpu_count() == in_child(multiprocessing.cpu_count),
        multiprocessing.reducer.__name__,
        multiprocessing.allow_connection_pickling(),
    )


@probe(
    f"{M}.{{freeze_support,set_executable}}",
    f"{M}.spawn.{{freeze_support,set_executable,get_executable,get_command_line,"
    "get_preparation_data,import_main_path,_main}",
)
def what_spawned_programs_need():
    """Left alone: simulated processes have no program of their own."""
    before = spawn.get_executable()
    multiprocessing.set_executable("other")
    other = spawn.get_executable()
    spawn.set_executable(before)
    return (
        multiprocessing.freeze_support(),
        spawn.freeze_support(),
        other,
        type(spawn._main).__name__,
        type(spawn.import_main_path).__name__,
        [str(word)[:22] for word in spawn.get_command_line(pipe_handle=5)[-2:]],
        sorted(spawn.get_preparation_data("name")),
    )


@probe(
    f"{M}.set_forkserver_preload",
    f"{M}.forkserver.{{set_forkserver_preload,ensure_running,get_inherited_fds,connect_to_new_process}}",
)
def the_fork_server():
    """Left alone: simulated processes need none."""
    return (
        outcome(multiprocessing.set_forkserver_preload, [1]),
        multiprocessing.set_forkserver_preload(["json"]),
        forkserver.get_inherited_fds(),
        [
            getattr(forkserver, name).__module__
            for name in ("ensure_running", "connect_to_new_process", "set_forkserver_preload")
        ],
    )


@probe(f"{M}.resource_tracker.{{ensure_running,register,unregister}}", starts_programs=True)
def the_resource_tracker():
    resource_tracker.ensure_running()
    resource_tracker.register("/compatibility-probe", "shared_memory")
    resource_tracker.unregister("/compatibility-probe", "shared_memory")
    return resource_tracker.getfd() is not None


def nothing():
    pass


@probe(f"{M}.popen_fork.Popen", f"{M}.popen_spawn_posix.Popen", f"{M}.popen_forkserver.Popen")
def handles_of_processes():
    from multiprocessing.popen_fork import Popen
    from multiprocessing.popen_forkserver import Popen as ForkServerPopen
    from multiprocessing.popen_spawn_posix import Popen as SpawnPopen

    process = child(nothing)
    process.join()
    return isinstance(process._popen, Popen), [
        each.method for each in (Popen, ForkServerPopen, SpawnPopen)
    ]


@probe(
    f"{M}.{{get_logger,log_to_stderr}}",
    f"{M}.util.{{SUBDEBUG,SUBWARNING,debug,get_logger,info,log_to_stderr,sub_debug,sub_warning}}",
)
def logging_():
    import io

    logger = multiprocessing.get_logger()
    stream = io.StringIO()
    saved, sys.stderr = sys.stderr, stream
    try:
        util.log_to_stderr(util.SUBDEBUG)
    finally:
        sys.stderr = saved
    util.sub_debug("one"), util.debug("two"), util.info("three"), util.sub_warning("four")
    logger.handlers.clear()
    logger.setLevel(100)
    lines = [line.split("] ")[-1] for line in stream.getvalue().splitlines()]
    # Garbage of earlier probes that is collected just now logs too.
    lines = [line for line in lines if "__del__" not in line]
    return lines, util.SUBWARNING, logger is util.get_logger(), logger.name


@probe(f"{M}.util.warn", since=(3, 14))
def warnings_logged():
    return util.warn("nobody listens")


def closing():
    return "closed"


def finalized(answers):
    util.Finalize(None, answers.put, ("exit",), exitpriority=5)
    util.Finalize(None, answers.put, ("later",), exitpriority=1)
    cancelled = util.Finalize(None, answers.put, ("never",), exitpriority=9)
    cancelled.cancel()
    answers.put((cancelled.still_active(), util.is_exiting()))


@probe(f"{M}.util.{{Finalize,is_exiting}}", f"{M}.util.Finalize.{{cancel,still_active}}")
def finalizers():
    answers = multiprocessing.SimpleQueue()
    process = child(finalized, answers)
    process.join()
    seen = [answers.get() for _ in range(3)]
    here = util.Finalize(None, closing, exitpriority=0)
    return seen, here.still_active(), here(), here.still_active()


class Registered:
    count = 0

    def run(self):
        type(self).count += 1


@probe(f"{M}.util.register_after_fork")
def hooks_after_a_fork():
    registered = Registered()
    util.register_after_fork(registered, Registered.run)
    return in_child(registered_count), Registered.count


def registered_count():
    return Registered.count


@probe(f"{M}.util.{{ForkAwareLocal,ForkAwareThreadLock}}")
def what_is_aware_of_forks():
    local, lock = util.ForkAwareLocal(), util.ForkAwareThreadLock()
    local.value = 1
    with lock:
        return vars(local), in_child(local_is_empty)


shared_local = util.ForkAwareLocal()


def local_is_empty():
    return vars(shared_local)


@probe(f"{M}.util.get_temp_dir")
def temporary_folders():
    import os

    own = util.get_temp_dir()
    there = in_child(util.get_temp_dir)
    return os.path.isdir(own), own == there


@probe(f"{M}.util.close_all_fds_except")
def closing_all_descriptors():
    """Not tried where it would close those of everybody."""
    if "forkless" in sys.modules:
        return "closes the descriptors of the real process"
    process = child(util.close_all_fds_except, [0])
    process.join()
    return process.exitcode


@probe(
    "multiprocessing.dummy.{Process,Queue,JoinableQueue,Pipe,Pool,Manager,Lock,RLock,Semaphore,"
    "BoundedSemaphore,Condition,Event,Barrier,active_children,current_process,freeze_support}"
)
def the_dummy_package():
    from multiprocessing import dummy

    queue, event = dummy.Queue(), dummy.Event()
    process = dummy.Process(target=queue.put, args=(1,))
    process.start()
    process.join()
    children = len(dummy.active_children())
    here, there = dummy.Pipe()
    here.send(2)
    with dummy.Pool(2) as pool:
        mapped = pool.map(abs, [-1])
    kinds = (
        dummy.Lock,
        dummy.RLock,
        dummy.Semaphore,
        dummy.BoundedSemaphore,
        dummy.Condition,
        dummy.Barrier,
        dummy.JoinableQueue,
        dummy.Manager,
        event,
    )
    return (
        queue.get(),
        process.exitcode,
        there.recv(),
        mapped,
        children,
        dummy.current_process().name,
        dummy.freeze_support(),
        len(kinds),
    )
