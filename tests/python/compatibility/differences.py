# SPDX-License-Identifier: Apache-2.0
"""Where simulated processes differ from real ones. Each is seen by a probe, and by no other probe."""

from __future__ import annotations

from dataclasses import dataclass

from probing import expand

__all__ = ["DIFFERENCES", "Difference"]

BOTH = ("install", "actor")


@dataclass(frozen=True)
class Difference:
    """What one probe sees differently, and the names that it is about."""

    probe: str
    names: tuple[str, ...]
    text: str
    modes: tuple[str, ...] = BOTH
    impossible: bool = False  # threads cannot do it


def _differs(probe: str, names: str, text: str, **options: object) -> Difference:
    return Difference(probe, expand(*names.split()), text, **options)  # type: ignore[arg-type]


def _cannot(probe: str, names: str, text: str, **options: object) -> Difference:
    return _differs(probe, names, text, impossible=True, **options)


P = "multiprocessing.Process"
Q = "multiprocessing.queues"

DIFFERENCES = [
    # Processes
    _differs(
        "arguments_that_cannot_be_pickled",
        f"{P}.start",
        "an argument that cannot be pickled is an error, as with `spawn`; with `fork` it is inherited",
        modes=("actor",),
    ),
    _differs(
        "module_globals",
        "multiprocessing.Process",
        "module globals are shared with the parent, unless `forkless.isolate()` names them",
    ),
    _differs(
        "a_crash_in_c_code",
        f"{P}.exitcode",
        "a crash in C code (SIGSEGV and the like) ends the interpreter with all simulated processes",
    ),
    _differs(
        "killing_a_process_in_foreign_code",
        f"{P}.kill",
        "the exit code is there at once; a thread inside of foreign C code goes on until it comes back",
    ),
    # The module
    _differs(
        "all_start_methods",
        "multiprocessing.get_all_start_methods",
        "`actor` is one more",
        modes=("actor",),
    ),
    _differs(
        "what_spawned_programs_need",
        "multiprocessing.spawn.get_preparation_data",
        "a program, which may not know of forkless, is not told that the start method is `actor`",
        modes=("actor",),
    ),
    _differs(
        "handles_of_processes",
        "multiprocessing.popen_fork.Popen",
        "the handle of a simulated process is of another class, with the same methods",
    ),
    _differs(
        "hooks_after_a_fork",
        "multiprocessing.util.register_after_fork",
        "there is no fork: what was registered is shared, and not called",
    ),
    _cannot(
        "closing_all_descriptors",
        "multiprocessing.util.close_all_fds_except",
        "there is one table of descriptors: it would close those of all processes",
    ),
    # Queues
    _differs(
        "the_cause_of_an_exception_as_item",
        f"{Q}.SimpleQueue.put",
        "the traceback of an exception comes along, as its cause",
    ),
    # The calling process
    _cannot(
        "stopping_a_process",
        "signal.SIGSTOP",
        "a thread cannot be stopped from outside; SIGSTOP and SIGCONT have no effect",
    ),
    _differs(
        "leaving_without_cleaning_up",
        "os._exit",
        "the exit code is published at once, but `finally` blocks still run",
    ),
    _cannot(
        "resource_limits",
        "resource.setrlimit",
        "limits are those of the real process",
    ),
    _differs(
        "imported_modules",
        "sys.modules",
        "imported modules are shared",
    ),
    _cannot(
        "becoming_another_program",
        "os.execv",
        "the real process would become the program",
    ),
    _differs(
        "hooks_at_a_fork",
        "os.register_at_fork",
        "nothing is called when a simulated process starts: there is no fork",
    ),
]
