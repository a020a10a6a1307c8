# SPDX-License-Identifier: Apache-2.0
"""threading.enumerate() and active_count(): a process counts its own threads.

Private names of the standard library that are used: none but those of `personality.threads`.
"""

from __future__ import annotations

import threading
from typing import Any

from forkless import actors
from forkless.actors import MAIN, Actor, here
from forkless.patches import PatchSet

__all__ = ["install"]


def _threads_of(actor: Actor) -> set[int]:
    idents = set(actor.helpers.copy())
    if actor.thread_ident:
        idents.add(actor.thread_ident)
    return idents


def install(patches: PatchSet) -> None:
    """Replace the functions of `threading`."""
    real_enumerate = threading.enumerate

    def enumerate() -> list[threading.Thread]:
        """All live threads of the calling process."""
        process: Any = here()
        threading.main_thread()  # is made for those who ask
        threads = real_enumerate()
        if process is not MAIN:
            own = _threads_of(process)
            return [thread for thread in threads if thread.ident in own]
        others: set[int] = set().union(*map(_threads_of, actors.live()))
        return [thread for thread in threads if thread.ident not in others]

    def active_count() -> int:
        """How many live threads the calling process has."""
        return len(threading.enumerate())

    patches.attribute(threading, "enumerate", enumerate)
    patches.attribute(threading, "active_count", active_count)
