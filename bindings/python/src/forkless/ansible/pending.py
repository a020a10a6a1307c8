# SPDX-License-Identifier: Apache-2.0
"""Rules that wait for their module, however it comes: by import, or by Ansible's plugin loader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forkless import isolation

__all__ = ["loaded", "when_loaded"]

_waiting: dict[str, list[Callable[[Any], None]]] = {}


def when_loaded(name: str, carry_out: Callable[[Any], None]) -> None:
    """Call `carry_out(module)` once, when the module has been loaded."""
    if name not in _waiting:
        _waiting[name] = [carry_out]
        isolation.when_imported(name, loaded)
    else:
        _waiting[name].append(carry_out)


def loaded(module: Any) -> None:
    """A module has been loaded: carry out what waits for it."""
    for carry_out in _waiting.pop(module.__name__, ()):
        carry_out(module)
