# SPDX-License-Identifier: Apache-2.0
"""Make the objects that a worker gets, as the table of rules says.

One `Clones` is used per task, so that two references to one object lead to one clone. The deep
part, plain data, is copied in C; this module only walks from one object with a rule to the next.
Runs in the controller's thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from forkless import _core

from . import rules

__all__ = ["Clones", "Plans"]


class Plans:
    """What to do with the instances of each class: the rules, looked up once per class."""

    def __init__(self, version: tuple[int, ...]) -> None:
        self._objects = rules.objects_for(version)
        self.plans: dict[type, rules.Objects] = {}
        self.containers: dict[type, tuple[str, ...]] = {}
        # Handlers for the copier in C. Exact types only; what is not listed is learned when it is
        # met.
        self.shared: dict[Any, Any] = {}

    def learn(self, cls: type) -> str:
        """Decide what happens to the instances of a class, and remember it."""
        names = [f"{base.__module__}:{base.__qualname__}" for base in cls.__mro__]
        plan = next((self._objects[name] for name in names if name in self._objects), None)
        if plan and (plan.attributes or plan.rest == rules.COPY):
            self.plans[cls] = plan
            return rules.CLONE
        if names[0] in rules.CONTAINERS:
            self.containers[cls] = rules.CONTAINERS[names[0]]
            return rules.COPY
        # Other dictionaries and lists know how to copy themselves. Everything else is taken for a
        # value: Ansible's own text and number types cannot be changed, and a worker has no
        # business with the rest.
        self.shared[cls] = "container" if issubclass(cls, (dict, list)) else "share"
        return rules.SHARE


class Clones:
    """The clones of one task. With `follow` off, objects with a rule are shared; data is copied."""

    def __init__(self, plans: Plans, follow: bool = True) -> None:
        self._plans = plans
        self._made: dict[int, Any] = {}
        self._handlers: dict[Any, Any] = dict(plans.shared)
        self._handlers.update(dict.fromkeys(plans.containers, self._container))
        self._handlers.update(dict.fromkeys(plans.plans, self.clone if follow else "share"))
        self._handlers[None] = self._unknown
        self._follow = follow

    def copy(self, value: Any) -> Any:
        """A deep copy of data; objects in it are cloned or shared as their rules say."""
        return _core.copy(value, self._handlers)

    def _unknown(self, value: Any) -> Any:
        cls = type(value)
        decided = self._plans.learn(cls)
        if decided == rules.CLONE:
            self._handlers[cls] = self.clone if self._follow else "share"
            return self.clone(value) if self._follow else value
        if decided == rules.COPY:
            self._handlers[cls] = self._container
            return self._container(value)
        self._handlers[cls] = self._plans.shared[cls]
        return value if self._handlers[cls] == "share" else self.copy(value)

    def _container(self, value: Any) -> Any:
        """A dict or list of a subclass whose instances carry attributes of their own."""
        made = self._made.get(id(value))
        if made is not None:
            return made
        cls: Any = type(value)
        new = cls.__new__(cls)
        self._made[id(value)] = new
        if isinstance(value, dict):
            dict.update(new, self.copy(dict(value)))
        else:
            list.extend(new, self.copy(list(value)))
        for name in self._plans.containers[cls]:
            if name == "__dict__":
                new.__dict__.update(value.__dict__)
            else:
                setattr(new, name, getattr(value, name))
        return new

    def clone(self, original: Any) -> Any:
        """The worker's own instance in place of the controller's."""
        made = self._made.get(id(original))
        if made is not None:
            return made
        cls: Any = type(original)
        plan = self._plans.plans.get(cls)
        if plan is None:
            if original is None or self._plans.learn(cls) != rules.CLONE:
                return original
            plan = self._plans.plans[cls]
        new = cls.__new__(cls)
        self._made[id(original)] = new
        state = dict(original.__dict__)
        kept = {
            name: WAYS[way](self, state.pop(name))
            for name, way in plan.attributes.items()
            if name in state
        }
        if plan.rest == rules.COPY:
            state = self.copy(state)
        state.update(kept)
        new.__dict__ = state
        return new


def _duplicate(_clones: Clones, file: Any) -> Any:
    """The same open file behind another descriptor: the controller closes its own."""
    return None if file is None else os.fdopen(os.dup(file.fileno()))


WAYS: dict[str, Callable[[Clones, Any], Any]] = {
    rules.SHARE: lambda clones, value: value,
    rules.COPY: Clones.copy,
    rules.OUTER: lambda clones, value: value if value is None else value.copy(),
    rules.FRESH: lambda clones, value: type(value)(),
    rules.CLONE: Clones.clone,
    rules.DUPLICATE: _duplicate,
}
