# SPDX-License-Identifier: Apache-2.0
"""forkless: multiprocessing without processes.

Importing this package registers the start method 'actor' in the standard multiprocessing. Each process
started with it is a thread of this process that has its own pid, exit code, signal handlers and
standard streams, and that shares nothing with others but what goes through queues. install() makes
'fork', 'spawn' and 'forkserver' do the same, for programs that ask for those.
"""

from collections.abc import Callable

from forkless import missing as _missing  # noqa: F401  (for the imports below)

# isort: split
from forkless import (
    activation as _activation,
)
from forkless import (
    context as _context,  # noqa: F401  (registers the start method)
)
from forkless import (
    stdlib_missing as _stdlib_missing,
)
from forkless._core import CorruptMessage, ProcessExit, __version__
from forkless.activation import install, is_installed, uninstall
from forkless.actors import Orphan, orphans
from forkless.actors import here as _here
from forkless.exceptions import RemoteError, RemoteTraceback
from forkless.isolation import isolate, local, when_imported

__all__ = [
    "CorruptMessage",
    "Orphan",
    "ProcessExit",
    "RemoteError",
    "RemoteTraceback",
    "__version__",
    "at_actor_exit",
    "install",
    "is_installed",
    "isolate",
    "local",
    "orphans",
    "uninstall",
    "when_imported",
]


_stdlib_missing.adapt(is_installed, _activation.serve_default_context)


def at_actor_exit(function: Callable[[], object]) -> None:
    """Call `function` when the simulated process that asks ends, however it ends, in its thread.

    In the real process it has no effect; use atexit there.
    """
    _here().exit_functions.append(function)
