# SPDX-License-Identifier: Apache-2.0
"""Stand-ins in the namespace of a module that pass every use on to the calling process' own object.

`isinstance` takes a proxy for what it stands for; code in C that looks at the exact type does not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

__all__ = ["Proxy", "value_of"]

_get = object.__getattribute__


def value_of(proxy: Any) -> Any:
    """What a proxy stands for, for the calling process."""
    return _get(proxy, "_slot").get()


class Proxy:
    """Behaves as `slot.get()`, whatever that is for whoever uses it."""

    __slots__ = ("_slot",)

    def __init__(self, slot: Any) -> None:
        object.__setattr__(self, "_slot", slot)

    @property
    def __class__(self) -> Any:
        return value_of(self).__class__

    @__class__.setter
    def __class__(self, cls: Any) -> None:
        value_of(self).__class__ = cls

    def __getattribute__(self, name: str) -> Any:
        return getattr(value_of(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(value_of(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(value_of(self), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return value_of(self)(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _same, (value_of(self),)

    def __copy__(self) -> Any:
        import copy

        return copy.copy(value_of(self))

    def __deepcopy__(self, memo: Any) -> Any:
        import copy

        return copy.deepcopy(value_of(self), memo)


def _same(value: Any) -> Any:
    return value


def _method(function: Callable[..., Any]) -> Any:
    return lambda self, *args: function(value_of(self), *args)


def _reflected(function: Callable[..., Any]) -> Any:
    return lambda self, other: function(other, value_of(self))


def _in_place(function: Callable[..., Any]) -> Any:
    def method(self: Any, other: Any) -> Any:
        _get(self, "_slot").set(function(value_of(self), other))
        return self  # so that the proxy stays where it stands

    return method


def _special(name: str) -> Any:
    def method(self: Any, *args: Any) -> Any:
        value = value_of(self)
        found = getattr(type(value), name, None)
        if found is None:
            raise TypeError(f"{type(value).__name__!r} object has no {name}()")
        return found(value, *args)

    return method


_functions: tuple[Any, ...] = (
    *(repr, str, bytes, hash, bool, len, iter, next, dir, format, reversed, divmod),
    *(int, float, complex, round, abs),
)
for _function in _functions:
    setattr(Proxy, f"__{_function.__name__}__", _method(_function))
for _name in ("lt", "le", "eq", "ne", "gt", "ge", "neg", "pos", "invert", "index", "contains"):
    setattr(Proxy, f"__{_name}__", _method(getattr(operator, _name)))
for _name in ("getitem", "setitem", "delitem"):
    setattr(Proxy, f"__{_name}__", _method(getattr(operator, _name)))
for _name in ("enter", "exit", "aenter", "aexit", "aiter", "anext", "await", "trunc", "missing"):
    setattr(Proxy, f"__{_name}__", _special(f"__{_name}__"))
for _name in (
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow"),
    *("lshift", "rshift", "and", "or", "xor"),
):
    _operation = getattr(operator, f"__{_name}__")
    setattr(Proxy, f"__{_name}__", _method(_operation))
    setattr(Proxy, f"__r{_name}__", _reflected(_operation))
    setattr(Proxy, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__")))
