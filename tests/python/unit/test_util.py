# SPDX-License-Identifier: Apache-2.0
"""forkless.stdlib_util, and the start method that is set: what multiprocessing keeps for each process."""

import gc
import multiprocessing
import os
import pickle
import time
from multiprocessing import util

import pytest

from forkless.actors import MAIN
from support.scripts import eventually


class Thing:
    """Something that a finalizer can belong to."""


def run(context, function, *args):
    """Run a function in a simulated process to its end."""
    process = context.Process(target=function, args=args)
    process.start()
    process.join(30)
    assert process.exitcode == 0
    return process


_borrowed = {}


def borrow(values):
    """Let actors find an object itself, not a copy, by the number that this returns."""
    _borrowed[id(values)] = values
    return id(values)


# Start methods


def report_start_method(queue):
    queue.put(multiprocessing.get_start_method())
    multiprocessing.set_start_method("spawn", force=True)
    queue.put(multiprocessing.get_start_method())


def test_a_child_has_its_own_start_method_set_and_can_set_another(context, request):
    before = multiprocessing.get_start_method(allow_none=True)
    queue = context.Queue()
    run(context, report_start_method, queue)
    assert queue.get(timeout=30) == context.get_start_method()
    assert queue.get(timeout=30) == "spawn"
    assert multiprocessing.get_start_method(allow_none=True) == before


def test_a_process_without_a_start_method_of_its_own_hands_on_what_is_set(installed):
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("forkserver", force=True)
    try:
        queue = multiprocessing.Queue()
        run(multiprocessing, report_start_method, queue)
        assert queue.get(timeout=30) == "forkserver"
    finally:
        multiprocessing.set_start_method(before, force=True)


@pytest.mark.needs_processes("starts real processes")
def test_real_processes_can_be_started_where_actor_is_the_default(scripts):
    assert scripts.check(
        """
        import multiprocessing

        def child(queue):
            queue.put(multiprocessing.get_start_method())

        if __name__ == '__main__':
            import forkless
            multiprocessing.set_start_method('actor')
            for method in 'spawn', 'forkserver':
                context = multiprocessing.get_context(method)
                queue = context.SimpleQueue()
                process = context.Process(target=child, args=(queue,))
                process.start()
                process.join(50)
                print(process.exitcode, process.pid < 1 << 23, queue.get())
        """
    ) == ["0 True spawn", "0 True forkserver"]


# Finalizers


_kept = []  # what is alive at the end of a process


def finalize_in_order(queue):
    kept = Thing()
    _kept.append(kept)
    util.Finalize(kept, queue.put, ("no priority",))
    for priority in (-5, 1, 10):
        util.Finalize(
            kept, lambda p: queue.put((p, os.getpid())), (priority,), exitpriority=priority
        )


def test_an_actor_runs_its_finalizers_by_priority_at_its_end(context):
    queue = context.SimpleQueue()
    pid = run(context, finalize_in_order, queue).pid
    assert [queue.get() for _ in range(3)] == [(10, pid), (1, pid), (-5, pid)]
    assert queue.empty()


def run_all_finalizers():
    util._run_finalizers()
    util._exit_function()


def test_the_finalizers_of_the_parent_stay_when_a_child_runs_its_own(context):
    ran = []
    finalizer = util.Finalize(None, ran.append, (1,), exitpriority=3)
    run(context, run_all_finalizers)
    assert finalizer.still_active() and not ran
    finalizer()
    assert ran == [1]


def call(finalizer):
    assert finalizer() is None


def test_a_finalizer_that_another_process_calls_stays(actors):
    ran = []
    finalizer = util.Finalize(None, ran.append, (os.getpid(),), exitpriority=3)
    run(actors, call_borrowed, borrow({"finalizer": finalizer}))
    assert finalizer.still_active() and not ran
    finalizer()
    assert ran == [os.getpid()]


def call_borrowed(number):
    call(_borrowed.pop(number)["finalizer"])


def drop_borrowed(number):
    _borrowed.pop(number).clear()
    gc.collect()


def test_what_is_collected_in_another_process_is_finalized_by_its_own(actors):
    ran = []
    things = {"thing": Thing()}
    util.Finalize(things["thing"], lambda: ran.append(os.getpid()))
    run(actors, drop_borrowed, borrow(things))
    assert eventually(lambda: ran)
    assert ran == [os.getpid()]


def lend_and_wait(number, go_on):
    thing = Thing()
    util.Finalize(thing, lambda: _borrowed[number].append(os.getpid()))
    _borrowed[number].append(thing)
    del thing
    go_on.acquire()


def test_what_is_collected_elsewhere_is_finalized_by_the_actor_that_made_it(actors):
    lent = []
    go_on = actors.Semaphore(0)
    process = actors.Process(target=lend_and_wait, args=(borrow(lent), go_on))
    process.start()
    assert eventually(lambda: lent)
    lent.pop()
    gc.collect()
    assert eventually(lambda: lent)
    go_on.release()
    process.join(30)
    assert lent == [process.pid]


def lend(number):
    thing = Thing()
    descriptor = os.open(os.devnull, os.O_RDONLY)
    util.Finalize(thing, _borrowed[number].append, ("ran",))
    util.Finalize(thing, os.close, (descriptor,))
    _borrowed[number] += [thing, descriptor]


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_of_the_finalizers_of_an_ended_actor_only_descriptors_are_closed(actors):
    """The others ended with it. A descriptor would have been closed by the end of a process."""
    lent = []
    process = run(actors, lend, borrow(lent))
    assert eventually(lambda: not process._popen._actor.finalizers)
    thing, descriptor = lent
    assert is_open(descriptor)
    lent.clear()
    del thing
    gc.collect()
    assert eventually(lambda: not is_open(descriptor))
    assert not lent


def test_finalizers_of_many_actors_leave_nothing_behind(actors):
    before = len(MAIN.finalizers)
    for _ in range(20):
        run(actors, finalize_in_order, actors.SimpleQueue())
    assert len(MAIN.finalizers) == before


def test_an_actor_that_uses_the_logger_does_not_end_the_interpreter_for_multiprocessing(scripts):
    """get_logger() registers an exit handler that marks the whole interpreter as exiting."""
    assert scripts.check(
        """
        import multiprocessing, os, forkless
        from multiprocessing import util

        if __name__ == '__main__':
            process = multiprocessing.get_context('actor').Process(target=util.get_logger)
            process.start()
            process.join()
            print(util.is_exiting())
            util.Finalize(None, print, ('finalized',), exitpriority=1)
        """
    ) == ["False", "finalized"]


def test_a_manager_that_collects_a_proxy_of_its_client_does_not_wait_for_itself(context):
    with context.Manager() as manager:
        values = {"proxy": manager.list([1])}
        pool = manager.Pool(1)
        pool.apply_async(drop_borrowed, (borrow(values),)).get(30)
        assert not values
        pool.terminate()
        assert eventually(lambda: manager._number_of_objects() == 1)  # the pool


# register_after_fork


class Registered:
    """Counts what is done to it; copies count for themselves."""

    reports = None

    def __init__(self):
        self.resets = 0
        util.register_after_fork(self, Registered.reset)

    def reset(self):
        self.resets += 1
        if Registered.reports is not None:
            Registered.reports.put((os.getpid(), self.resets))


def test_functions_registered_for_after_fork_run_in_children_of_fork(context):
    registered = Registered()
    Registered.reports = context.SimpleQueue()
    try:
        pid = run(context, os.getpid).pid
        if context.get_start_method() == "fork":
            assert Registered.reports.get() == (pid, 1)
        assert Registered.reports.empty()
    finally:
        Registered.reports = None
    assert registered.resets == 0  # the child's was a copy


# time.sleep


class Sleeper:
    pause = time.sleep


def test_sleep_is_a_builtin_function_also_where_it_is_replaced(installed):
    Sleeper.pause = time.sleep
    Sleeper().pause(0)  # does not bind
    assert pickle.loads(pickle.dumps(time.sleep)) is time.sleep
    assert not hasattr(time.sleep, "__dict__")


# The resource tracker


@pytest.mark.needs_processes("about the process that tracks resources")
def test_the_death_of_the_resource_tracker_is_told_at_the_next_semaphore(scripts):
    assert scripts.check(
        """
        import multiprocessing, os, signal, warnings, forkless
        from multiprocessing import resource_tracker

        if __name__ == '__main__':
            forkless.install()
            context = multiprocessing.get_context('spawn')
            tracker = resource_tracker._resource_tracker
            context.Semaphore()
            print(tracker._pid)
            tracker.ensure_running()
            pid = tracker._pid
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter('always')
                context.Semaphore()
            print(len(caught), 'process died' in str(caught[0].message), tracker._pid != pid)
        """
    ) == ["None", "1 True True"]
