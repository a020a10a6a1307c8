# SPDX-License-Identifier: Apache-2.0
"""Personality: what a process may do to itself, an actor does to itself alone.

The functions of `os`, `signal`, `sys`, `threading`, `time` and others that concern the calling process
are replaced, once, by functions that act on the simulated process when one calls them and do what they
always did otherwise. Code that took a reference to such a function before that keeps the original.
"""

from __future__ import annotations

from forkless.patches import PatchSet
from forkless.personality import (
    attributes,
    census,
    contexts,
    environment,
    folders,
    generators,
    ids,
    locks,
    mutexes,
    scheduling,
    signals,
    sockets,
    streams,
    threads,
    waits,
)

__all__ = ["install"]


def install(patches: PatchSet) -> None:
    """Make all replacements."""
    for part in (threads, census, ids, signals, streams, waits, sockets, mutexes):
        part.install(patches)
    for part in (attributes, contexts, environment, folders, generators, scheduling, locks):
        part.install(patches)
    threads.keep_thrown(patches, signals.run_handler)
