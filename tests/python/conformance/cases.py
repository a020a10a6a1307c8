# SPDX-License-Identifier: Apache-2.0
"""The test classes of the running interpreter's own suites, by the names that they go by here.

Which suite and which start method is said by the environment, because the children of real start methods
import this module too: the classes of `test._test_multiprocessing` are made in it.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import unittest

__all__ = ["METHOD", "SUITE", "classes"]

SUITE = os.environ.get("CONFORMANCE_SUITE", "multiprocessing")
METHOD = os.environ.get("CONFORMANCE_METHOD", "fork")

if SUITE == "multiprocessing":
    import test._test_multiprocessing as _upstream

    _upstream.install_tests_in_module_dict(globals(), METHOD)


def classes() -> dict[str, type[unittest.TestCase]]:
    """The classes that hold tests, by name. Raises ImportError where the interpreter has none."""
    if SUITE == "multiprocessing":
        found = _classes_of(globals())
    else:
        found = {}
        for module in _modules("test.test_concurrent_futures"):
            found.update(_classes_of(vars(module)))
        found = {name: cls for name, cls in found.items() if getattr(cls, "ctx", None) == METHOD}
    loader = unittest.defaultTestLoader
    return {name: cls for name, cls in found.items() if loader.getTestCaseNames(cls)}


def _classes_of(names: dict[str, object]) -> dict[str, type[unittest.TestCase]]:
    return {
        name: value
        for name, value in names.items()
        if isinstance(value, type) and issubclass(value, unittest.TestCase)
    }


def _modules(name: str) -> list[object]:
    """A module, or the modules with tests of a package: what it is depends on the version."""
    module = importlib.import_module(name)
    if not hasattr(module, "__path__"):
        return [module]
    return [
        importlib.import_module(f"{name}.{found.name}")
        for found in pkgutil.iter_modules(module.__path__)
        if found.name.startswith("test_")
    ]
