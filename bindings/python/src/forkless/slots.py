# SPDX-License-Identifier: Apache-2.0
"""Attributes that each simulated process has to itself.

A Slot stands for one attribute of a module, a class or another object. Reading, assigning and deleting it
concerns the calling process. The value of the real process stays where it was, so that nothing changes
for those who look there; with a proxy, what stands there passes every use on to the value of whoever
uses it. Children get their values when they are started, in the thread of their parent.
"""

from __future__ import annotations

import copy
import importlib
import types
from collections.abc import Callable, Iterable
from typing import Any

from forkless import _core, actors
from forkless.actors import MAIN
from forkless.patches import PatchSet, module_type
from forkless.proxies import Proxy, value_of

__all__ = ["MISSING", "WAYS", "Slot", "Way", "install"]

MISSING = object()  # there is no such attribute
_UNKNOWN = object()  # the process was started before there was a slot
_LATER = object()  # made by a factory when it is first asked for

_making = _core.Guard()


def _deep_copy(value: Any) -> Any:
    copied = _core.try_copy(value, MISSING)
    return copy.deepcopy(value) if copied is MISSING else copied


def _copy(value: Any) -> Any:
    return value[:] if type(value) is list else copy.copy(value)


# How the value of a child comes from that of its parent.
WAYS: dict[str, Callable[[Any], Any]] = {
    "share": lambda value: value,
    "copy": _copy,
    "deepcopy": _deep_copy,
    "fresh": lambda value: type(value)(),
}


class Way:
    """How the value of a child comes to be. Exactly one of the arguments is given.

    `function`: makes it of the parent's value, when the child is started. `factory`: makes it in the child
    when it first asks; or "module:name" of such a function. `value`: the child gets a deep copy of it.
    """

    def __init__(
        self,
        function: Callable[[Any], Any] | None = None,
        factory: Callable[[], Any] | str | None = None,
        value: Any = MISSING,
    ) -> None:
        self.function = function
        self.factory = factory
        self.value = value

    def pass_on(self, value: Any) -> Any:
        """The child's value where the parent has `value`."""
        if self.function is not None:
            return value if value is MISSING else self.function(value)
        if self.factory is not None:
            return _LATER
        return _deep_copy(self.value)

    def make(self) -> Any:
        """What the factory makes."""
        factory = self.factory
        if isinstance(factory, str):
            module, _, name = factory.partition(":")
            factory = self.factory = getattr(importlib.import_module(module), name)
        assert factory is not None
        return factory()


class Slot:
    """One attribute of `owner`. `held`: the value of the real process is in MAIN.values, and what stands in
    the owner follows it; otherwise it is what stands in the owner, whoever put it there."""

    def __init__(
        self, owner: Any, name: str, way: Way, proxy: bool = False, held: bool = False
    ) -> None:
        self.owner = owner
        self.name = name
        self.way = way
        self.proxy = proxy
        self.held = held or proxy or isinstance(owner, type)
        self.kind = type(owner)  # before install() changes it
        self.last: Any = MISSING  # the value of the real process when it was taken out

    def leave(self) -> None:
        """Take the value of the real process out. A proxy that somebody kept goes on to stand for it."""
        self.last = MAIN.values.pop(self, MISSING)

    # The value of the calling process

    def get(self) -> Any:
        actor: Any = _core.current()
        if actor is None:
            value = MAIN.values.get(self, self.last) if self.held else self.in_owner()
        else:
            value = actor.values.get(self, _UNKNOWN)
            if value is _UNKNOWN:
                value = actor.values[self] = self.way.pass_on(self.inherited(MAIN))
            if value is _LATER:
                value = self._make(actor)
        if value is MISSING:
            raise self.no_such_attribute()
        return value

    def _make(self, actor: Any) -> Any:
        made = self.way.make()
        with _making:  # several threads of the actor may ask at once: all get the same
            if actor.values.get(self) is _LATER:
                actor.values[self] = made
            return actor.values.get(self, made)

    def set(self, value: Any) -> None:
        if type(value) is Proxy:  # somebody puts back what stood in a module
            value = value_of(value)
        actor: Any = _core.current()
        if actor is not None:
            actor.values[self] = value
            return
        if self.held:
            MAIN.values[self] = value
        if not self.proxy and not isinstance(self.owner, type):
            self.put(self.owner, value)

    def delete(self) -> None:
        self.get()  # AttributeError when there is none
        actor: Any = _core.current()
        if actor is not None:
            actor.values[self] = MISSING
            return
        if self.held:
            MAIN.values[self] = MISSING
        if not self.proxy and not isinstance(self.owner, type):
            self.remove(self.owner)

    def no_such_attribute(self) -> AttributeError:
        if isinstance(self.owner, types.ModuleType):
            what = f"module {self.owner.__name__!r}"
        elif isinstance(self.owner, type):
            what = f"type object {self.owner.__name__!r}"
        else:
            what = f"{self.kind.__name__!r} object"
        message = f"{what} has no attribute {self.name!r}"
        return AttributeError(message, name=self.name, obj=self.owner)

    def inherited(self, parent: Any) -> Any:
        """The value of MAIN or an actor, or MISSING."""
        if parent is MAIN:
            return MAIN.values[self] if self.held else self.in_owner()
        value = parent.values.get(self, _UNKNOWN)
        return self.way.pass_on(self.inherited(MAIN)) if value is _UNKNOWN else value

    # What stands in the owner, or in another object of its type

    def in_owner(self, owner: Any = None) -> Any:
        owner = self.owner if owner is None else owner
        own = getattr(owner, "__dict__", {})
        if self.name in own:
            return own[self.name]
        found = self._in_kind()
        get = getattr(type(found), "__get__", None)
        try:
            return found if get is None else get(found, owner, self.kind)
        except AttributeError:  # an empty member of __slots__
            return MISSING

    def _in_kind(self) -> Any:
        for base in self.kind.__mro__:
            if self.name in vars(base):
                return vars(base)[self.name]
        return MISSING

    def put(self, owner: Any, value: Any) -> None:
        found = self._in_kind()
        if hasattr(type(found), "__set__"):
            type(found).__set__(found, owner, value)
        else:
            vars(owner)[self.name] = value

    def remove(self, owner: Any) -> None:
        found = self._in_kind()
        if hasattr(type(found), "__delete__"):
            type(found).__delete__(found, owner)
        elif vars(owner).pop(self.name, MISSING) is MISSING:
            raise self.no_such_attribute()


class _Attribute:
    """A slot as an attribute: a member of the type of its owner, which others may come to have, too."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        if owner is self._slot.owner:
            return self._slot.get()
        if owner is None:
            return self
        value = self._slot.in_owner(owner)
        if value is MISSING:
            raise self._slot.no_such_attribute()
        return value

    def __set__(self, owner: Any, value: Any) -> None:
        if owner is self._slot.owner:
            self._slot.set(value)
        else:
            self._slot.put(owner, value)

    def __delete__(self, owner: Any) -> None:
        if owner is self._slot.owner:
            self._slot.delete()
        else:
            self._slot.remove(owner)


class _Inherited:
    """Stands in the class for an attribute of it, and serves its subclasses and instances."""

    def __init__(self, slot: Slot) -> None:
        self.slots = {slot.owner: slot}  # of the class, and of subclasses that assigned their own
        self.name = slot.name

    def __get__(self, instance: Any, kind: Any = None) -> Any:
        for base in kind.__mro__:
            if base in self.slots:
                value = self.slots[base].get()
                break
            if self.name in vars(base):
                value = vars(base)[self.name]
                break
        else:
            raise AttributeError(f"type object {kind.__name__!r} has no attribute {self.name!r}")
        get = getattr(type(value), "__get__", None)
        return value if get is None else get(value, instance, kind)


class _ClassAttribute:
    """The same as a member of the metaclass, for those who assign to the class."""

    def __init__(self, inherited: _Inherited) -> None:
        self._inherited = inherited

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else self._inherited.__get__(None, owner)

    def __set__(self, owner: Any, value: Any) -> None:
        slots = self._inherited.slots
        if owner not in slots:
            slots[owner] = slot = Slot(owner, self._inherited.name, Way(function=WAYS["share"]))
            MAIN.values[slot] = vars(owner).get(slot.name, MISSING)
        slots[owner].set(value)

    def __delete__(self, owner: Any) -> None:
        self._inherited.slots[owner].delete()


# The slots whose values a child does not simply share with its parent's `values`.
_passed_on: list[Slot] = []


def install(patches: PatchSet, owner: Any, slots: Iterable[Slot]) -> None:
    """Put slots of one owner in place. Raises TypeError for an owner whose type cannot be changed."""
    slots = list(slots)
    if isinstance(owner, type):
        _install_in_class(patches, owner, slots)
    else:
        values = {slot: _behind(slot.in_owner()) for slot in slots if slot.held}
        _change_type(patches, owner, _subtype(owner, {s.name: _Attribute(s) for s in slots}))
        MAIN.values.update(values)
    for slot in slots:
        _register(patches, slot)
        if slot.proxy and not isinstance(owner, type):
            vars(owner)[slot.name] = Proxy(slot)
            patches.call_on_undo(lambda slot=slot: _restore(slot))  # type: ignore[misc]


def _behind(value: Any) -> Any:
    """What a proxy of the real process stands for, where somebody put one back after uninstall()."""
    while type(value) is Proxy:
        slot = object.__getattribute__(value, "_slot")
        value = MAIN.values.get(slot, slot.last)
    return value


def _install_in_class(patches: PatchSet, owner: Any, slots: list[Slot]) -> None:
    inherited = [_Inherited(slot) for slot in slots]
    kind = _subtype(owner, {each.name: _ClassAttribute(each) for each in inherited})
    if owner.__flags__ & _IMMUTABLE:
        raise TypeError(f"cannot isolate {slots[0].name} of {owner!r}: the type is immutable")

    def restore() -> None:  # runs when the type of the owner is again what it was
        for each in inherited:
            for cls, slot in each.slots.items():
                value = MAIN.values.pop(slot)
                if value is not MISSING:
                    setattr(cls, slot.name, value)
                elif slot.name in vars(cls):
                    delattr(cls, slot.name)

    patches.call_on_undo(restore)
    for slot, each in zip(slots, inherited, strict=True):
        MAIN.values[slot] = vars(owner).get(slot.name, MISSING)
        setattr(owner, slot.name, each)
    _change_type(patches, owner, kind)


_IMMUTABLE = 1 << 8  # Py_TPFLAGS_IMMUTABLETYPE


def _subtype(owner: Any, members: dict[str, Any]) -> type:
    """The type of `owner` with further members, and the same layout."""
    before = type(owner)
    if isinstance(owner, types.ModuleType):
        return module_type(before, members)
    body = {"__slots__": (), "__module__": before.__module__, "__doc__": before.__doc__, **members}
    if not isinstance(owner, type):
        body["__reduce_ex__"] = _reduce_function(before)
    try:
        return types.new_class(
            before.__name__, (before,), exec_body=lambda space: space.update(body)
        )
    except TypeError as error:
        raise TypeError(f"cannot isolate {', '.join(members)} of {owner!r}: {error}") from None


def _reduce_function(kind: Any) -> Any:
    def reduce_ex(self: Any, protocol: Any) -> Any:
        """Pickles and copies of the owner are of the type that it had."""
        reduced = kind.__reduce_ex__(self, protocol)
        if not isinstance(reduced, tuple):
            return reduced
        args = tuple(kind if arg is type(self) else arg for arg in reduced[1])
        return reduced[0], args, *reduced[2:]

    return reduce_ex


def _change_type(patches: PatchSet, owner: Any, kind: type) -> None:
    before = type(owner)
    if isinstance(owner, type):
        _core.set_metaclass(
            owner, kind
        )  # Python assigns no __class__ of classes whose type is `type`
        patches.call_on_undo(lambda: _core.set_metaclass(owner, before))
        return
    try:
        owner.__class__ = kind
    except TypeError as error:
        names = ", ".join(name for name in vars(kind) if isinstance(vars(kind)[name], _Attribute))
        raise TypeError(f"cannot isolate {names} of {owner!r}: {error}") from None
    patches.call_on_undo(lambda: setattr(owner, "__class__", before))


def _register(patches: PatchSet, slot: Slot) -> None:
    if not slot.held or slot.way.function is not WAYS["share"]:
        _passed_on.append(slot)
        patches.call_on_undo(lambda: _passed_on.remove(slot))
    if not isinstance(slot.owner, type):
        patches.call_on_undo(slot.leave)


def _restore(slot: Slot) -> None:
    value = MAIN.values[slot]
    if value is MISSING:
        vars(slot.owner).pop(slot.name, None)
    else:
        vars(slot.owner)[slot.name] = value


def _inherit(parent: Any, child: Any) -> None:
    values = child.values = parent.values.copy()
    for slot in _passed_on:
        values[slot] = slot.way.pass_on(slot.inherited(parent))


actors.inheritance.append(_inherit)
