# SPDX-License-Identifier: Apache-2.0
"""Context variables of a simulated process: a child begins with a copy of the context of the thread that
starts it, as a forked one does. The values themselves are shared, but for decimal's context, which
programs change in place.
"""

from __future__ import annotations

import contextvars
import sys
from collections.abc import Callable
from typing import Any

from forkless import actors
from forkless.patches import PatchSet

__all__ = ["install", "run"]

_KEY = "context"  # in Actor.locals


def install(patches: PatchSet) -> None:
    """Let children inherit contexts."""
    actors.inheritance.append(_inherit)
    patches.call_on_undo(lambda: actors.inheritance.remove(_inherit))


def _inherit(parent: Any, child: Any) -> None:
    child.locals[_KEY] = contextvars.copy_context()


def run(actor: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Call function(*args) in the context that the actor has inherited."""
    context = actor.locals.pop(_KEY, None)
    return function(*args) if context is None else context.run(_run, function, *args)


def _run(function: Callable[..., Any], *args: Any) -> Any:
    decimal: Any = sys.modules.get("decimal")
    if decimal is not None and hasattr(decimal, "setcontext"):
        decimal.setcontext(decimal.getcontext().copy())
    return function(*args)
