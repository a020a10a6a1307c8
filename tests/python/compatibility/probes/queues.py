# SPDX-License-Identifier: Apache-2.0
"""Queues."""

import multiprocessing
import queue as queue_module
from multiprocessing import queues

from probing import LIMIT, child, in_child, outcome, probe, stderr_of, until

Q = "multiprocessing.queues.Queue"
J = "multiprocessing.queues.JoinableQueue"
S = "multiprocessing.queues.SimpleQueue"


def is_a(made, cls):
    return isinstance(made, cls), type(made).__name__


def put_all(queue, items):
    for item in items:
        queue.put(item)


def drain(queue, count):
    return [queue.get(timeout=LIMIT) for _ in range(count)]


@probe("multiprocessing.Queue", "multiprocessing.queues.Queue", f"{Q}.{{put,get,qsize,empty,full}}")
def items_cross_a_queue():
    queue = multiprocessing.Queue(3)
    states = [(queue.empty(), queue.full(), queue.qsize())]
    process = child(put_all, queue, [1, "two", [3]])
    process.join(LIMIT)
    until(lambda: not queue.empty())
    states.append((queue.full(), queue.qsize(), queue.empty()))
    items = drain(queue, 3)
    return states, items, queue.empty(), is_a(queue, queues.Queue)


@probe(f"{Q}.{{put,put_nowait,get,get_nowait}}", f"{J}.{{put_nowait,get_nowait,full,qsize,empty}}")
def full_and_empty():
    answers = []
    for queue in (multiprocessing.Queue(1), multiprocessing.JoinableQueue(1)):
        answers.append(outcome(queue.get_nowait))
        answers.append(outcome(queue.get, True, 0.01))
        queue.put_nowait(1)
        answers.append(outcome(queue.put_nowait, 2))
        answers.append(outcome(queue.put, 2, timeout=0.01))
        answers.append((queue.full(), queue.qsize()))
        answers.append(queue.get(timeout=LIMIT))
        until(queue.empty)
        answers.append(outcome(queue.get, False))
    return answers, queue_module.Empty.__name__


@probe(
    f"{Q}.{{close,join_thread,cancel_join_thread}}", f"{J}.{{close,join_thread,cancel_join_thread}}"
)
def closing_queues():
    answers = []
    for queue in (multiprocessing.Queue(), multiprocessing.JoinableQueue()):
        answers.append(outcome(queue.join_thread)[:14])
        queue.put(1)
        queue.get(timeout=LIMIT)
        queue.cancel_join_thread()
        queue.close()
        queue.close()
        queue.join_thread()
        answers.append(outcome(queue.get)[:10])
        answers.append(outcome(queue.put, 1)[:10])
    return answers


def close_it(queue):
    queue.close()
    queue.join_thread()


@probe(f"{Q}.close")
def closing_concerns_one_process():
    queue = multiprocessing.Queue()
    in_child(close_it, queue)
    queue.put(1)
    return queue.get(timeout=LIMIT)


def consume(queue, count):
    for _ in range(count):
        queue.get(timeout=LIMIT)
        queue.task_done()


@probe(
    "multiprocessing.JoinableQueue",
    "multiprocessing.queues.JoinableQueue",
    f"{J}.{{put,get,join,task_done}}",
)
def joinable_queues():
    queue = multiprocessing.JoinableQueue()
    put_all(queue, range(5))
    process = child(consume, queue, 5)
    queue.join()
    process.join(LIMIT)
    return (
        process.exitcode,
        outcome(queue.task_done),
        queue.join(),
        is_a(queue, queues.JoinableQueue),
    )


@probe(
    "multiprocessing.SimpleQueue",
    "multiprocessing.queues.SimpleQueue",
    f"{S}.{{put,get,empty,close}}",
)
def simple_queues():
    queue = multiprocessing.SimpleQueue()
    before = queue.empty()
    child(put_all, queue, [1, (2, 3)]).join(LIMIT)
    seen = [queue.get(), queue.empty(), queue.get(), queue.empty()]
    queue.close()
    return before, seen, outcome(queue.put, 1)[:8], is_a(queue, queues.SimpleQueue)


class Stubborn:
    def __reduce__(self):
        raise TypeError("not to be pickled")


@probe(f"{S}.put", f"{Q}.put")
def items_that_cannot_be_pickled():
    simple, queue = multiprocessing.SimpleQueue(), multiprocessing.Queue()
    raised = outcome(simple.put, Stubborn())
    with stderr_of() as lines:
        queue.put(Stubborn())
        queue.put("next")
        item = queue.get(timeout=LIMIT)
    return raised, item, lines[-1:]


@probe(f"{S}.{{put,get}}", f"{Q}.{{put,get}}")
def items_are_copies():
    answers = []
    for queue in (multiprocessing.SimpleQueue(), multiprocessing.Queue()):
        item = {"a": [1, 2]}
        queue.put(item)
        got = queue.get()
        answers.append((got == item, got is item, got["a"] is item["a"]))
    return answers


@probe(f"{Q}.put")
def when_the_copy_is_made():
    """The feeder thread of the standard library may be late: what it sees then is not said."""
    queue, item = multiprocessing.Queue(), [1]
    queue.put(item)
    got = queue.get(timeout=LIMIT)
    item.append(2)
    return got


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


def raises():
    raise Failure(7, "text")


def put_failure(queue):
    try:
        raises()
    except Failure as error:
        queue.put(error)


@probe(f"{S}.put")
def exceptions_as_items():
    queue = multiprocessing.SimpleQueue()
    child(put_failure, queue).join(LIMIT)
    error = queue.get()
    return type(error).__name__, error.args, error.code


@probe(f"{S}.put")
def the_cause_of_an_exception_as_item():
    queue = multiprocessing.SimpleQueue()
    child(put_failure, queue).join(LIMIT)
    cause = queue.get().__cause__
    return None if cause is None else "in raises" in str(cause)


def leave_items(queue):
    queue.put(b"x" * 100_000)


@probe(f"{Q}.put")
def items_outlive_their_process():
    queue = multiprocessing.Queue()
    process = child(leave_items, queue)
    size = len(queue.get(timeout=LIMIT))
    process.join(LIMIT)
    return size, process.exitcode
