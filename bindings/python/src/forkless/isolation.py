# SPDX-License-Identifier: Apache-2.0
"""Per-actor state of applications: what a program lets fork isolate, it can name here."""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from forkless import _core
from forkless.actors import here

__all__ = ["isolate", "local", "register_process", "when_imported"]

_clone_hooks: dict[type, Callable[[Any], Any]] = {}


def register_process(cls: type, clone: Callable[[Any], Any]) -> None:
    """Let `clone(process_obj)` make the child's copy of processes of `cls` and its subclasses.

    It runs in the parent's thread during start(). The parent's object must stay as it is.
    """
    _clone_hooks[cls] = clone


def process_hook(cls: type) -> Callable[[Any], Any] | None:
    """The function that copies processes of `cls`, or None."""
    if _clone_hooks:
        for base in cls.__mro__:
            if base in _clone_hooks:
                return _clone_hooks[base]
    return None


class local:  # noqa: N801  (named as threading.local is)
    """Attributes that each simulated process has to itself, with all its threads."""

    def _values(self) -> dict[str, Any]:
        return here().locals.setdefault(self, {})

    def __getattribute__(self, name: str) -> Any:
        if name == "__dict__":
            return local._values(self)
        if name.startswith("__") and name.endswith("__"):
            return object.__getattribute__(self, name)
        try:
            return local._values(self)[name]
        except KeyError:
            return object.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        local._values(self)[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del local._values(self)[name]
        except KeyError:
            raise AttributeError(name) from None


def isolate(
    module: types.ModuleType | str, *names: str, initial: Callable[[Any], Any] | None = None
) -> None:
    """Make attributes of a module per actor for everybody who uses them through the module.

    An actor sees what the real process had until it assigns its own; with `initial`, it starts with
    `initial(value)`, made when it first asks. Functions inside the module that use the name as a
    global variable are not reached: they see the value of the real process.
    """
    if isinstance(module, str):
        module = importlib.import_module(module)
    members = {name: _per_actor_attribute(name, initial) for name in names}
    module.__class__ = type(type(module).__name__, (type(module),), members)


def _per_actor_attribute(name: str, initial: Callable[[Any], Any] | None) -> property:
    def key(module: Any) -> tuple[str, str]:
        return module.__name__, name

    def get(module: Any) -> Any:
        try:
            if _core.current() is None:
                return vars(module)[name]
            own = here().locals
            if key(module) in own:
                return own[key(module)]
            value = vars(module)[name]
        except KeyError:
            raise AttributeError(
                f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module
            ) from None
        if initial is not None:
            value = own[key(module)] = initial(value)
        return value

    def set_(module: Any, value: Any) -> None:
        if _core.current() is None:
            vars(module)[name] = value
        else:
            here().locals[key(module)] = value

    def delete(module: Any) -> None:
        try:
            if _core.current() is None:
                del vars(module)[name]
            else:
                del here().locals[key(module)]
        except KeyError:
            raise AttributeError(name) from None

    return property(get, set_, delete)


# Callbacks after imports

_callbacks: dict[str, list[Callable[[types.ModuleType], object]]] = {}


def when_imported(module_name: str, callback: Callable[[types.ModuleType], object]) -> None:
    """Call `callback(module)` right after the module was imported, or now if it was already."""
    module = sys.modules.get(module_name)
    if module is not None:
        callback(module)
        return
    _callbacks.setdefault(module_name, []).append(callback)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules that somebody waits for, by asking the other finders."""

    def __init__(self) -> None:
        self._asking = threading.local()

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname not in _callbacks or getattr(self._asking, "name", None) == fullname:
            return None
        self._asking.name = fullname
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.name = None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(importlib.abc.Loader):
    """Loads as another loader does, and runs the callbacks."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: Any) -> Any:
        return self._loader.create_module(spec)

    def exec_module(self, module: types.ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        for callback in _callbacks.pop(module.__name__, ()):
            callback(module)


_finder = _Finder()
