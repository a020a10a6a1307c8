# SPDX-License-Identifier: Apache-2.0
"""What processes do in the tests of the start method 'interpreter'. Each imports this module anew, so it
imports little."""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time

marks = []


def nothing():
    pass


def spin():
    while True:
        pass


def square(number):
    return number * number


def fail(error=KeyError, *args):
    raise error(*args)


def leave(how, code):
    {"exit": sys.exit, "now": os._exit, "kill": lambda code: os.kill(os.getpid(), code)}[how](code)


def put(queue, item):
    queue.put(item)


def send(end, item):
    end.send(item)
    end.close()


def mark(queue, what):
    """Change globals: of this module, and of others that were there already."""
    seen = [list(marks), hasattr(json, "marked"), hasattr(multiprocessing, "marked")]
    seen.append("marked" in sys.path and "marked" in sys.modules)
    marks.append(what)
    json.marked = multiprocessing.marked = what
    sys.path.append("marked")
    sys.modules["marked"] = json
    queue.put(seen)


def who_am_i(queue):
    parent = multiprocessing.parent_process()
    queue.put(
        {
            "pid": os.getpid(),
            "parent": (os.getppid(), parent.pid, parent.name, parent.is_alive()),
            "process": multiprocessing.current_process().name,
            "threads": (threading.current_thread().name, threading.main_thread().name),
            "method": multiprocessing.get_start_method(),
            "daemon": multiprocessing.current_process().daemon,
            "environment": os.environ.get("FORKLESS_TEST"),
            "folder": os.getcwd(),
            "arguments": sys.argv,
            "name": __name__,
        }
    )


def echo(end):
    try:
        while True:
            end.send(end.recv())
    except EOFError:
        pass


def relay(source, target, count):
    for _ in range(count):
        target.put(source.get())


def hold_end(end, ready):
    ready.set()
    spin()


def add(lock, counter, times):
    for _ in range(times):
        with lock:
            counter.value += 1


def work_with_locks(event, condition, barrier, semaphore, done):
    with condition:
        event.set()
        condition.wait()
    barrier.wait()
    semaphore.release()
    done.put((barrier.parties, condition.__class__.__name__))


def work_off(queue):
    while queue.get() is not None:
        queue.task_done()
    queue.task_done()


def race(mine, others, rounds):
    """Take turns with another process, never giving the GIL away: with a common one, nobody would get on."""
    sys.setswitchinterval(1e6)
    for number in range(1, rounds + 1):
        mine.value = number
        while others.value < number:
            pass


def catch(signum, said):
    signal.signal(signum, lambda number, _frame: said.put(("caught", number)))
    said.put("ready")
    spin()


def be_interrupted(said):
    said.put("ready")
    try:
        spin()
    except KeyboardInterrupt:
        said.put("interrupted")


def ignore(signum, said):
    signal.signal(signum, signal.SIG_IGN)
    said.put("ready")
    spin()


def signal_parent(signum):
    os.kill(os.getppid(), signum)


def be_signalled_by_a_child(said):
    caught = threading.Event()  # the handler runs in a thread of its own, a moment later perhaps

    def catch(number, _frame):
        said.put(("caught", number))
        caught.set()

    signal.signal(signal.SIGUSR1, catch)
    context = multiprocessing.get_context("interpreter")
    child = context.Process(target=signal_parent, args=(signal.SIGUSR1,))
    child.start()
    child.join()
    said.put(child.exitcode)
    caught.wait(30)


def start_one_more(method, queue):
    process = multiprocessing.get_context(method).Process(target=mark, args=(queue, method))
    process.start()
    process.join()
    marks.append("parent")
    queue.put((process.exitcode, list(marks)))


def start_and_wait(queue, said):
    """Have a child that waits to be interrupted."""
    context = multiprocessing.get_context("interpreter")
    child = context.Process(target=be_interrupted, args=(said,))
    child.start()
    queue.put(child.pid)
    child.join()


def import_it(name):
    __import__(name)


def start_threads(ready):
    for daemon in (True, False):
        threading.Thread(target=spin, daemon=daemon).start()
    ready.set()


def send_through(sock):
    sock.sendall(b"from an interpreter")
    sock.close()


def close_at_exit(queue):
    import atexit
    from multiprocessing import util

    import forkless

    atexit.register(queue.put, "atexit")
    util.Finalize(None, queue.put, ("finalizer",), exitpriority=1)
    forkless.at_actor_exit(lambda: queue.put("actor exit"))


def sleep():
    time.sleep(600)
