# SPDX-License-Identifier: Apache-2.0
"""Supplies what the platform's _multiprocessing lacks. Imported before multiprocessing asks for it."""

from __future__ import annotations

import sys
import types

from forkless import _core

__all__: list[str] = []

try:
    import _multiprocessing  # type: ignore[import-not-found]
except ImportError:  # iOS
    _multiprocessing = types.ModuleType("_multiprocessing")
    _multiprocessing.__doc__ = "Supplied by forkless, because this platform has none."
    vars(_multiprocessing)["flags"] = {}
    sys.modules["_multiprocessing"] = _multiprocessing
if not hasattr(_multiprocessing, "SemLock"):  # Android, or the module above
    _multiprocessing.SemLock = _core.SemLock
    _multiprocessing.sem_unlink = lambda name: None
