# SPDX-License-Identifier: Apache-2.0
"""Context variables of a simulated process.

A child begins with those of the thread that starts it whose values can be copied as plain data, and with
a copy of decimal's context. Others are not set in it, as with the start method spawn: programs change in
place what they keep in context variables, and the child of a fork would have had a copy.
"""

from __future__ import annotations

import contextvars
import sys
from typing import Any

from forkless import _core, actors
from forkless.patches import PatchSet

__all__ = ["enter", "install"]

_KEY = "context"  # in Actor.locals
_NOT_PLAIN = object()


def install(patches: PatchSet) -> None:
    """Let children inherit context variables."""
    actors.inheritance.append(_inherit)
    patches.call_on_undo(lambda: actors.inheritance.remove(_inherit))


def _inherit(parent: Any, child: Any) -> None:
    context = contextvars.copy_context()
    if not len(context):
        return
    values = []
    for variable, value in context.items():
        copied = _core.try_copy(value, _NOT_PLAIN)
        if copied is _NOT_PLAIN and _is_of_decimal(value):
            copied = value.copy()
        if copied is not _NOT_PLAIN:
            values.append((variable, copied))
    child.locals[_KEY] = values


def _is_of_decimal(value: Any) -> bool:
    decimal: Any = sys.modules.get("decimal")
    return decimal is not None and isinstance(value, getattr(decimal, "Context", ()))


def enter(actor: Any) -> None:
    """Set what the actor has inherited. Called in its thread, whose context is empty."""
    if _KEY in actor.locals:
        for variable, value in actor.locals.pop(_KEY):
            variable.set(value)
