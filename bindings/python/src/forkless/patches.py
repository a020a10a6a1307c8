# SPDX-License-Identifier: Apache-2.0
"""Changes to modules that can be taken back in one call, in reverse order."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from forkless import _core

__all__ = ["PatchSet", "module_type", "original", "replaced"]

_MISSING = object()

# Functions and classes, by id(), in whose places others stand: they cannot be pickled by their names.
replaced: dict[int, Any] = {}


def module_type(kind: type, members: dict[str, Any]) -> type:
    """A type for one module that has the type `kind`, with further members.

    A call of it makes plain modules: the import system makes them by calling the type of `sys`.
    """

    def make(cls: type, *args: Any, **kwargs: Any) -> Any:
        return kind(*args, **kwargs)

    base = _core.Module if kind is types.ModuleType else kind
    return type(kind.__name__, (base,), {"__slots__": (), **members, "__new__": make})


def original(number: int) -> Any:
    """The one of `replaced` with this number."""
    return replaced[number]


class PatchSet:
    """A list of changes that were made, and how each is undone."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def __bool__(self) -> bool:
        return bool(self._undo)

    def attribute(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a module or class; undone by restoring or deleting it."""
        before = vars(owner).get(name, _MISSING)
        if isinstance(owner, types.ModuleType) and isinstance(value, types.FunctionType):
            value.__module__, value.__name__ = owner.__name__, name
            value.__qualname__ = name  # so that it can be pickled, as the original can
        setattr(owner, name, value)
        if isinstance(owner, types.ModuleType) and callable(before):
            replaced[id(before)] = before
            self._undo.append(lambda: replaced.pop(id(before), None))
        if before is _MISSING:
            self._undo.append(lambda: delattr(owner, name))
        else:
            self._undo.append(lambda: setattr(owner, name, before))

    def dispatch(self, owner: Any, name: str, in_actor: Callable[..., Any]) -> None:
        """Let actors call `in_actor` where the real process calls what is there. The real process
        does not notice: what stands between is written in C."""
        original = getattr(owner, name)
        function: Any = _core.Dispatch(original, in_actor, isinstance(owner, type))
        function.__module__ = owner.__module__ if isinstance(owner, type) else owner.__name__
        function.__name__ = name
        function.__qualname__ = f"{owner.__name__}.{name}" if isinstance(owner, type) else name
        function.__doc__ = original.__doc__
        function.__wrapped__ = original
        self.attribute(owner, name, function)

    def item(self, mapping: Any, key: Any, value: Any) -> None:
        """Set an item of a mapping."""
        before = mapping.get(key, _MISSING)
        mapping[key] = value
        if before is _MISSING:
            self._undo.append(lambda: mapping.pop(key, None))
        else:
            self._undo.append(lambda: mapping.__setitem__(key, before))

    def code(self, function: Any, replacement: Any) -> None:
        """Make `function` run the code of `replacement`, with the globals that it has.

        For functions that others took a reference to when they were imported: setting the attribute
        of their module would not reach those.
        """
        before = function.__code__
        function.__code__ = replacement.__code__
        self._undo.append(lambda: setattr(function, "__code__", before))

    def defaults(self, function: types.FunctionType, values: tuple[Any, ...]) -> None:
        """Replace the default arguments of `function`."""
        before = function.__defaults__
        function.__defaults__ = values
        self._undo.append(lambda: setattr(function, "__defaults__", before))

    def module_class(self, module: types.ModuleType, members: dict[str, Any]) -> None:
        """Give `module` a subclass of its type with `members`, such as properties."""
        before = type(module)
        module.__class__ = module_type(before, members)
        self._undo.append(lambda: setattr(module, "__class__", before))

    def call_on_undo(self, function: Callable[[], object]) -> None:
        """Run `function` at its place in the reverse order."""
        self._undo.append(function)

    def undo(self) -> None:
        """Take everything back, the last change first."""
        while self._undo:
            self._undo.pop()()
