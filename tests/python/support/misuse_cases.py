# SPDX-License-Identifier: Apache-2.0
"""A program that uses processes, queues and locks in wrong ways, and prints how they answer.

misuse_cases.py real|forkless METHOD prints a JSON map of case -> what was raised or returned. The tests
run it on both sides and compare.
"""

import json
import multiprocessing
import os
import queue
import sys
import threading


def nothing():
    pass


def wait(event):
    event.wait(60)


def join_before_start(context):
    context.Process(target=nothing).join()


def start_twice(context):
    process = context.Process(target=nothing)
    process.start()
    try:
        process.start()
    finally:
        process.join()


def start_after_close(context):
    process = context.Process(target=nothing)
    process.close()
    process.start()


def terminate_before_start(context):
    context.Process(target=nothing).terminate()


def kill_before_start(context):
    context.Process(target=nothing).kill()


def sentinel_before_start(context):
    return context.Process(target=nothing).sentinel


def close_before_start(context):
    process = context.Process(target=nothing)
    process.close()
    return process.exitcode


def close_while_running(context):
    event = context.Event()
    process = context.Process(target=wait, args=(event,))
    process.start()
    try:
        process.close()
    finally:
        event.set()
        process.join()


def authkey_of_wrong_type(context):
    process = context.Process(target=nothing)
    process.authkey = 5


def name_of_wrong_type(context):
    process = context.Process(target=nothing)
    process.name = 5


def group_that_is_not_none(context):
    context.Process("group")


def args_not_iterable(context):
    context.Process(target=nothing, args=5)


def daemon_after_start(context):
    process = context.Process(target=nothing)
    process.start()
    try:
        process.daemon = True
    finally:
        process.join()


def unpicklable_argument(context):
    context.Process(target=nothing, args=(threading.Lock(),)).start()


def unpicklable_target(context):
    process = context.Process(target=lambda: None)
    process.start()
    process.join()


def children_after_a_failed_start(context):
    try:
        unpicklable_argument(context)
    except TypeError:
        return len(multiprocessing.active_children())
    return "started"


def in_child(context, function):
    answers = context.SimpleQueue()
    process = context.Process(target=answer, args=(function.__name__, answers))
    process.start()
    process.join()
    return answers.get()


def answer(name, answers):
    answers.put(caught(globals()[name], SHARED.get(name)))


SHARED = {}


def start_anothers(context):
    SHARED["start_it"] = context.Process(target=nothing)
    return in_child(context, start_it)


def start_it(process):
    process.start()


def join_anothers(context):
    SHARED["join_it"] = process = context.Process(target=nothing)
    process.start()
    try:
        return in_child(context, join_it)
    finally:
        process.join()


def join_it(process):
    process.join()


def look_at_anothers(context):
    SHARED["look_at_it"] = process = context.Process(target=nothing)
    process.start()
    try:
        return in_child(context, look_at_it)
    finally:
        process.join()


def look_at_it(process):
    return process.is_alive()


def close_queue_twice(context):
    items = context.Queue()
    items.close()
    items.close()
    return "closed"


def put_after_close(context):
    items = context.Queue()
    items.close()
    items.put(1)


def get_after_close(context):
    items = context.Queue()
    items.close()
    items.get()


def join_thread_before_close(context):
    context.Queue().join_thread()


def join_thread_after_close(context):
    items = context.Queue()
    items.close()
    return items.join_thread()


def get_from_empty(context):
    context.Queue().get(timeout=0.01)


def put_into_full(context):
    items = context.Queue(1)
    items.put(1)
    try:
        items.put(2, timeout=0.01)
    finally:
        items.get()


def get_with_text_as_timeout(context):
    context.Queue().get(timeout="soon")


def task_done_too_often(context):
    items = context.JoinableQueue()
    items.put(1)
    items.get()
    items.task_done()
    items.task_done()


def task_done_without_a_task(context):
    context.JoinableQueue().task_done()


def put_unpicklable_on_simple_queue(context):
    context.SimpleQueue().put(threading.Lock())


def close_simple_queue_twice(context):
    items = context.SimpleQueue()
    items.close()
    items.close()
    return "closed"


def get_after_close_of_simple_queue(context):
    items = context.SimpleQueue()
    items.close()
    items.get()


def put_after_close_of_simple_queue(context):
    items = context.SimpleQueue()
    items.close()
    items.put(1)


def release_lock_too_often(context):
    context.Lock().release()


def release_rlock_of_nobody(context):
    context.RLock().release()


def release_rlock_of_another(context):
    lock = context.RLock()
    thread = threading.Thread(target=lock.acquire)
    thread.start()
    thread.join()
    lock.release()


def bounded_semaphore_overflow(context):
    context.BoundedSemaphore(2).release()


def notify_without_lock(context):
    context.Condition().notify()


def wait_without_lock(context):
    context.Condition().wait(0)


def acquire_with_text_as_timeout(context):
    lock = context.Lock()
    lock.acquire()
    lock.acquire(timeout="soon")


def pickle_a_lock(context):
    import pickle

    pickle.dumps(context.Lock())


def pickle_a_queue(context):
    import pickle

    pickle.dumps(context.Queue())


def pickle_a_process(context):
    import pickle

    pickle.dumps(context.Process(target=nothing))


def wait_for_a_reaped_child(context):
    process = context.Process(target=nothing)
    process.start()
    process.join()
    os.waitpid(process.pid, 0)


def signal_a_reaped_child(context):
    process = context.Process(target=nothing)
    process.start()
    process.join()
    os.kill(process.pid, 0)


def signal_with_a_wrong_number(context):
    event = context.Event()
    process = context.Process(target=wait, args=(event,))
    process.start()
    try:
        os.kill(process.pid, 1000)
    finally:
        event.set()
        process.join()


def negative_semaphore(context):
    context.Semaphore(-1)


def caught(function, *arguments):
    try:
        returned = function(*arguments)
    except queue.Empty:
        return "Empty"
    except queue.Full:
        return "Full"
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return f"returned {returned!r}"


CASES = [
    name
    for name, value in list(globals().items())
    if getattr(value, "__code__", None)
    and value.__code__.co_varnames[:1] == ("context",)
    and name != "in_child"
]


def main(side, method):
    if side == "forkless":
        import forkless

        forkless.install()
    multiprocessing.set_start_method(method)
    context = multiprocessing.get_context(method)
    results = {case: caught(globals()[case], context) for case in CASES}
    sys.stdout.flush()
    print("\n" + json.dumps(results), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
