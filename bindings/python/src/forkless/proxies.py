# SPDX-License-Identifier: Apache-2.0
"""Stand-ins in the namespace of a module that pass every use on to the calling process' own object.

`isinstance` takes a proxy for what it stands for; code in C that looks at the exact type does not.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

__all__ = ["Proxy"]

_get = object.__getattribute__


def _value(proxy: Any) -> Any:
    return _get(proxy, "_slot").get()


class Proxy:
    """Behaves as `slot.get()`, whatever that is for whoever uses it."""

    __slots__ = ("_slot",)

    def __init__(self, slot: Any) -> None:
        object.__setattr__(self, "_slot", slot)

    @property
    def __class__(self) -> Any:
        return _value(self).__class__

    @__class__.setter
    def __class__(self, cls: Any) -> None:
        _value(self).__class__ = cls

    def __getattribute__(self, name: str) -> Any:
        return getattr(_value(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(_value(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(_value(self), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _value(self)(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _same, (_value(self),)

    def __copy__(self) -> Any:
        import copy

        return copy.copy(_value(self))

    def __deepcopy__(self, memo: Any) -> Any:
        import copy

        return copy.deepcopy(_value(self), memo)


def _same(value: Any) -> Any:
    return value


def _method(function: Callable[..., Any]) -> Any:
    return lambda self, *args: function(_value(self), *args)


def _reflected(function: Callable[..., Any]) -> Any:
    return lambda self, other: function(other, _value(self))


def _in_place(function: Callable[..., Any]) -> Any:
    def method(self: Any, other: Any) -> Any:
        _get(self, "_slot").set(function(_value(self), other))
        return self  # so that the proxy stays where it stands

    return method


def _special(name: str) -> Any:
    def method(self: Any, *args: Any) -> Any:
        value = _value(self)
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
