# SPDX-License-Identifier: Apache-2.0
"""What the tests of pools let workers do."""

import multiprocessing
import os
import signal
import sys
import threading
import weakref

LIMIT = 30.0


def double(x):
    return 2 * x


def add(x, y=0):
    return x + y


def fail(x):
    raise ValueError(f"no {x}")


def fail_at_three(x):
    if x == 3:
        raise KeyError(x)
    return x


def who(_=None):
    process = multiprocessing.current_process()
    return process.name, os.getpid(), process.daemon


def die(how):
    if how == "os._exit":
        os._exit(3)
    elif how == "SystemExit":
        sys.exit(3)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def change(values):
    values.append("changed")
    return values


def unpicklable(_=None):
    return lambda: None


class Unloadable:
    def __reduce__(self):
        return fail, ("unpickling",)


class UnpicklableError(Exception):
    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()


def raise_unpicklable():
    raise UnpicklableError("cannot travel")


class UnloadableError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def raise_unloadable():
    raise UnloadableError("two", "arguments")


def make_unloadable():
    return Unloadable()


class Box:
    def __init__(self, value):
        self.value = value

    def add(self, x):
        self.value += x
        return self.value


kept = None


def keep(value):
    global kept
    kept = value


def wait_for_kept(_=None):
    return kept.wait(LIMIT)


def wait_if_zero(x):
    if x == 0:
        kept.wait(LIMIT)
    return x


def keep_both(event, queue):
    keep((event, queue))


def wait_and_put():
    event, queue = kept
    queue.put(event.wait(LIMIT))


tracked = weakref.WeakSet()


class Tracked:
    """An object whose copies are listed while they live."""

    def __setstate__(self, state):
        tracked.add(self)

    def __getstate__(self):
        return {"not": "nothing"}
