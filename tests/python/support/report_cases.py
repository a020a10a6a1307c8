# SPDX-License-Identifier: Apache-2.0
"""A program that runs processes that fail, and prints what they reported and their exit codes.

report_cases.py real|forkless METHOD CASE... prints a JSON map of case -> [exit code, stderr, what came
through a queue]. The tests run it on both sides and compare.
"""

import atexit
import json
import multiprocessing
import os
import queue
import sys
import tempfile
import threading
import time
import warnings


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class Custom(Exception):
    def __init__(self, code, *, detail):
        super().__init__(code, detail)
        self.code = code


def raises(channel):
    raise ValueError("wrong value")


def raises_with_cause(channel):
    try:
        {}["key"]
    except KeyError as error:
        raise RuntimeError("outer") from error


def raises_in_context(channel):
    try:
        {}["key"]
    except KeyError:
        raise RuntimeError("outer")  # noqa: B904  (without a cause is the point)


def raises_with_notes(channel):
    error = TypeError("noted")
    error.add_note("a first note")
    error.add_note("a second note\nof two lines")
    raise error


def raises_group(channel):
    raise ExceptionGroup("several", [ValueError(1), ExceptionGroup("inner", [OSError(2, "two")])])


def raises_base(channel):
    raise GeneratorExit("base")


def raises_interrupt(channel):
    raise KeyboardInterrupt


def raises_unprintable(channel):
    raise Unprintable("argument")


def raises_custom(channel):
    raise Custom(7, detail="seven")


def raises_stop_iteration(channel):
    next(iter(()))


def recurses(channel):
    recurses(channel)


def raises_in_finally(channel):
    try:
        raise ValueError("first")
    finally:
        raise KeyError("second")


def syntax(channel):
    compile("a b", "<given>", "exec")


def assertion(channel):
    assert channel is None, ["not", "none"]


def exits_with_text(channel):
    sys.exit("a text")


def exits_with_5(channel):
    sys.exit(5)


def exits_with_256(channel):
    sys.exit(256)


def exits_with_minus_1(channel):
    sys.exit(-1)


def exits_with_none(channel):
    sys.exit()


def exits_with_tuple(channel):
    sys.exit((1, 2))


def exits_with_true(channel):
    sys.exit(True)


def exits_by_raise(channel):
    raise SystemExit("raised")


def exits_at_once(channel):
    os._exit(3)


def exits_at_once_with_256(channel):
    os._exit(256)


def exits_at_once_in_try(channel):
    try:
        os._exit(3)
    except Exception:
        channel.put("caught")


def exits_at_once_in_a_thread(channel):
    thread = threading.Thread(target=os._exit, args=(9,))
    thread.start()
    thread.join()
    time.sleep(30)


def thread_raises(channel):
    thread = threading.Thread(target=raises, args=(channel,), name="helper")
    thread.start()
    thread.join()
    channel.put("goes on")


def writes(channel):
    print("to stdout", file=sys.stdout, flush=True)
    print("to stderr", file=sys.stderr)
    sys.stderr.write("no newline")


def warns(channel):
    warnings.warn("careful", UserWarning, stacklevel=1)


def closes_stderr(channel):
    sys.stderr.close()
    raise ValueError("unseen")


def removes_stderr(channel):
    sys.stderr = None
    raise ValueError("unseen")


def replaces_stderr(channel):
    sys.stderr = open(os.devnull, "w", encoding="utf-8")
    raise ValueError("unseen")


def atexit_runs(channel):
    atexit.register(channel.put, "at exit")


def daemon_with_children(channel):
    child = multiprocessing.Process(target=os.getpid)
    child.start()


def puts_unpicklable(channel):
    channel.put(threading.Lock())
    time.sleep(0.3)  # real processes find out in a thread, and say nothing when they are ending
    channel.put("after")


def puts_exception(channel):
    try:
        raises_with_notes(channel)
    except TypeError as error:
        channel.put(error)


def wrong_arguments(channel, missing):
    raise AssertionError("never called")


def acquires_for_nobody(channel):
    lock = multiprocessing.Lock()
    lock.release()


def kills_itself(channel):
    os.kill(os.getpid(), 9)


def terminates_itself(channel):
    os.kill(os.getpid(), 15)


def hangs_up_on_itself(channel):
    os.kill(os.getpid(), 1)


def interrupts_itself(channel):
    os.kill(os.getpid(), 2)
    time.sleep(30)


NOT_CASES = {"main", "outcome", "received"}


def received(channel):
    """What came through the queue, as text."""
    items = []
    while True:
        try:
            item = channel.get(timeout=0.05)
        except queue.Empty:
            return items
        items.append(
            [repr(item), getattr(item, "__notes__", None)]
            if isinstance(item, BaseException)
            else item
        )


def outcome(context, case, target):
    channel = context.Queue()
    with tempfile.TemporaryFile() as errors:
        saved = os.dup(2)
        os.dup2(errors.fileno(), 2)
        try:
            process = context.Process(target=target, args=(channel,), name=f"case {case}")
            process.daemon = case == "daemon_with_children"
            process.start()
            process.join(60)
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
        errors.seek(0)
        text = errors.read().decode()
    exitcode = process.exitcode
    if exitcode is None:
        process.kill()
    return exitcode, text, received(channel)


def main(side, method, *cases):
    if side == "forkless":
        import forkless

        forkless.install()
    multiprocessing.set_start_method(method)
    context = multiprocessing.get_context(method)
    results = {case: outcome(context, case, globals()[case]) for case in cases}
    sys.stdout.flush()
    print("\n" + json.dumps(results), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
