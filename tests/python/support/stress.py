# SPDX-License-Identifier: Apache-2.0
"""What the stress programs share: `program [seed] [seconds]`, random numbers for each worker, checks that
print how to repeat the run, and an end of it when nothing moves any more."""

import faulthandler
import os
import random
import sys
import time
import traceback

import forkless
from forkless import _core

_exit = os._exit  # that of the real process, whoever calls it
_PATIENCE = 240  # seconds without an end until the program is taken for stuck

PROGRAM = sys.argv[0]
SEED = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(2**32)
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 8.0

_until = time.monotonic() + SECONDS


def running() -> bool:
    """Whether there is time left."""
    return time.monotonic() < _until


def numbers(*who: object) -> random.Random:
    """The random numbers of one worker."""
    return random.Random(f"{SEED} {who}")


def check(condition: object, text: str) -> None:
    """End the program from whatever thread when `condition` is false."""
    if not condition:
        _fail(text)


def checked(function):
    """Wraps what runs in a thread or process: an exception there ends the program."""

    def run(*args):
        try:
            function(*args)
        except Exception:
            _fail(traceback.format_exc())

    return run


def _fail(text: str) -> None:
    print(f"{text}\nrepeat with: {PROGRAM} {SEED} {SECONDS:g}", file=sys.__stderr__, flush=True)
    _exit(1)


def main(run) -> None:
    """Run `run()`, which returns how much it has done, and see that no simulated process is left."""
    faulthandler.dump_traceback_later(SECONDS + _PATIENCE, exit=True)
    print(f"{os.path.basename(PROGRAM)}: seed {SEED}", flush=True)
    forkless.install()
    done = checked_result(run)
    patience = time.monotonic() + _PATIENCE
    while any(_core.counters()[name] for name in ("live", "orphans")):
        check(time.monotonic() < patience, f"processes are left: {_core.counters()}")
        time.sleep(0.01)
    faulthandler.cancel_dump_traceback_later()
    print(f"{os.path.basename(PROGRAM)}: {done}", flush=True)


def checked_result(function):
    """What `function()` returns; its exception ends the program."""
    try:
        return function()
    except Exception:
        _fail(traceback.format_exc())
