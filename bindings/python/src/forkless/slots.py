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
from forkless.patches import PatchSet
from forkless.proxies import Proxy

__all__ = ["MISSING", "WAYS", "Slot", "Way", "install"]

MISSING = object()  # there is no such attribute
_UNKNOWN = object()  # the process was started before there was a slot
_LATER = object()  # made by a factory when it is first asked for


def _deep_copy(value: Any) -> Any:
    copied = _core.try_copy(value, MISSING)
    return copy.deepcopy(value) if copied is MISSING else copied


# How the value of a child comes from that of its parent.
WAYS: dict[str, Callable[[Any], Any]] = {
    "share": lambda value: value,
    "copy": copy.copy,
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

    # The value of the calling process

    def get(self) -> Any:
        actor: Any = _core.current()
        if actor is None:
            value = MAIN.values[self] if self.held else self.in_owner()
        else:
            value = actor.values.get(self, _UNKNOWN)
            if value is _UNKNOWN:
                value = actor.values[self] = self.way.pass_on(self.value_of(MAIN))
            if value is _LATER:
                value = actor.values[self] = self.way.make()
        if value is MISSING:
            raise self._no_such_attribute()
        return value

    def set(self, value: Any) -> None:
        actor: Any = _core.current()
        if actor is not None:
            actor.values[self] = value
            return
        if self.held:
            MAIN.values[self] = value
        if not self.proxy and not isinstance(self.owner, type):
            self._put(value)

    def delete(self) -> None:
        self.get()  # AttributeError when there is none
        actor: Any = _core.current()
        if actor is not None:
            actor.values[self] = MISSING
            return
        if self.held:
            MAIN.values[self] = MISSING
        if not self.proxy and not isinstance(self.owner, type):
            self._remove()

    def _no_such_attribute(self) -> AttributeError:
        if isinstance(self.owner, types.ModuleType):
            what = f"module {self.owner.__name__!r}"
        elif isinstance(self.owner, type):
            what = f"type object {self.owner.__name__!r}"
        else:
            what = f"{self.kind.__name__!r} object"
        message = f"{what} has no attribute {self.name!r}"
        return AttributeError(message, name=self.name, obj=self.owner)

    def value_of(self, parent: Any) -> Any:
        """The value of MAIN or an actor, or MISSING."""
        if parent is MAIN:
            return MAIN.values[self] if self.held else self.in_owner()
        value = parent.values.get(self, _UNKNOWN)
        return self.way.pass_on(self.value_of(MAIN)) if value is _UNKNOWN else value

    # What stands in the owner

    def in_owner(self) -> Any:
        own = getattr(self.owner, "__dict__", {})
        if self.name in own:
            return own[self.name]
        found = self._in_kind()
        if found is MISSING:
            return MISSING
        get = getattr(type(found), "__get__", None)
        try:
            return found if get is None else get(found, self.owner, self.kind)
        except AttributeError:  # an empty member of __slots__
            return MISSING

    def _in_kind(self) -> Any:
        for base in self.kind.__mro__:
            if self.name in vars(base):
                return vars(base)[self.name]
        return MISSING

    def _put(self, value: Any) -> None:
        found = self._in_kind()
        if hasattr(type(found), "__set__"):
            type(found).__set__(found, self.owner, value)
        else:
            vars(self.owner)[self.name] = value

    def _remove(self) -> None:
        found = self._in_kind()
        if hasattr(type(found), "__delete__"):
            type(found).__delete__(found, self.owner)
        else:
            vars(self.owner).pop(self.name, None)


class _Attribute:
    """A slot as an attribute: a member of the type of its owner."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot

    def __get__(self, owner: Any, kind: type | None = None) -> Any:
        return self if owner is None else self._slot.get()

    def __set__(self, owner: Any, value: Any) -> None:
        self._slot.set(value)

    def __delete__(self, owner: Any) -> None:
        self._slot.delete()


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
    members: dict[str, Any] = {}
    for slot in slots:
        if isinstance(owner, type):
            _install_in_class(patches, slot, members)
        else:
            if slot.held:
                MAIN.values[slot] = slot.in_owner()
            members[slot.name] = _Attribute(slot)
    _change_type(patches, owner, members)
    for slot in slots:
        _register(patches, slot)
        if slot.proxy and not isinstance(owner, type):
            vars(owner)[slot.name] = Proxy(slot)
            patches.call_on_undo(lambda slot=slot: _restore(slot))  # type: ignore[misc]


def _install_in_class(patches: PatchSet, slot: Slot, members: dict[str, Any]) -> None:
    owner = slot.owner
    MAIN.values[slot] = vars(owner).get(slot.name, MISSING)
    inherited = _Inherited(slot)

    def restore() -> None:
        for cls, of_class in inherited.slots.items():
            value = MAIN.values.pop(of_class)
            if value is not MISSING:
                setattr(cls, slot.name, value)
            elif slot.name in vars(cls):
                delattr(cls, slot.name)

    patches.call_on_undo(restore)  # runs when the type of the owner is again what it was
    setattr(owner, slot.name, inherited)
    members[slot.name] = _ClassAttribute(inherited)


def _change_type(patches: PatchSet, owner: Any, members: dict[str, Any]) -> None:
    before = type(owner)
    names = {"__slots__": (), "__module__": before.__module__, "__doc__": before.__doc__}
    try:
        kind = types.new_class(
            before.__name__, (before,), exec_body=lambda body: body.update(names | members)
        )
        owner.__class__ = kind
    except TypeError as error:
        raise TypeError(f"cannot isolate {', '.join(members)} of {owner!r}: {error}") from None
    patches.call_on_undo(lambda: setattr(owner, "__class__", before))


def _register(patches: PatchSet, slot: Slot) -> None:
    if not slot.held or slot.way.function is not WAYS["share"]:
        _passed_on.append(slot)
        patches.call_on_undo(lambda: _passed_on.remove(slot))
    if not isinstance(slot.owner, type):
        patches.call_on_undo(lambda: MAIN.values.pop(slot, None))


def _restore(slot: Slot) -> None:
    value = MAIN.values[slot]
    if value is MISSING:
        vars(slot.owner).pop(slot.name, None)
    else:
        vars(slot.owner)[slot.name] = value


def _inherit(parent: Any, child: Any) -> None:
    child.values = parent.values.copy()
    for slot in _passed_on:
        child.values[slot] = slot.way.pass_on(slot.value_of(parent))


actors.inheritance.append(_inherit)
