# SPDX-License-Identifier: Apache-2.0
"""Globals of the standard library that a process has to itself, as data.

A child starts with its parent's values: with a copy where they are changed in place. Where functions or
C code look into the module's dictionary, a proxy stands there.

Private names of the standard library that are used: `warnings._showwarnmsg`, `_showwarnmsg_impl` and
`_showwarning_orig`, checked on CPython 3.11 to 3.14.
"""

from __future__ import annotations

import sys
import threading
import warnings
from typing import Any

from forkless import slots
from forkless.patches import PatchSet
from forkless.slots import WAYS, Slot, Way

__all__ = ["install"]

# module -> name -> how a child's value comes from its parent's, and whether a proxy is needed
_TABLE: tuple[tuple[Any, dict[str, tuple[str, bool]]], ...] = (
    (
        sys,
        {
            "argv": ("copy", False),
            "path": ("copy", False),
            "excepthook": ("share", True),
            "unraisablehook": ("share", True),
            "displayhook": ("share", True),
            "ps1": ("share", False),
            "ps2": ("share", False),
        },
    ),
    (threading, {"excepthook": ("share", True)}),
    (
        warnings,
        {
            "filters": ("copy", True),
            "showwarning": ("share", False),
            "_showwarnmsg_impl": ("share", True),
        },
    ),
)


def install(patches: PatchSet) -> None:
    """Make the attributes of the table per actor."""
    for module, names in _TABLE:
        slots.install(
            patches,
            module,
            [
                Slot(module, name, Way(function=WAYS[how]), proxy, held=True)
                for name, (how, proxy) in names.items()
            ],
        )
    if "_py_warnings" not in sys.modules:  # the one of 3.14 asks for the attribute itself
        patches.attribute(warnings, "_showwarnmsg", _show_function(warnings))


def _show_function(module: Any) -> Any:
    def _showwarnmsg(msg: Any) -> None:
        show = module.showwarning
        if show is module._showwarning_orig:
            module._showwarnmsg_impl(msg)
        else:
            show(msg.message, msg.category, msg.filename, msg.lineno, msg.file, msg.line)

    return _showwarnmsg
