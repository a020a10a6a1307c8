# SPDX-License-Identifier: Apache-2.0
"""Per-actor state of applications: what a program lets fork isolate, it can name here."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from forkless import slots
from forkless.actors import here
from forkless.imports import when_imported
from forkless.patches import PatchSet
from forkless.slots import MISSING, WAYS, Slot, Way

__all__ = ["isolate", "local", "register_process", "reinstall", "uninstall", "when_imported"]

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


# Rules

Table = Mapping[str, Iterable[str] | Mapping[str, str | Mapping[str, Any]]]


class _Rule:
    """One name that shall be per actor. It is carried out as soon as its module is there."""

    def __init__(self, module: types.ModuleType | str, name: str, way: Way, proxy: bool) -> None:
        self.module = module
        self.name = name
        self.way = way
        self.proxy = proxy
        self.applied = False
        self.waiting = False

    def apply(self) -> None:
        if isinstance(self.module, types.ModuleType):
            self._apply_to(self.module)
        elif not self.waiting:
            self.waiting = True
            when_imported(self.module, self._imported)

    def _imported(self, module: types.ModuleType) -> None:
        self.waiting = False
        self._apply_to(module)

    def _apply_to(self, module: types.ModuleType) -> None:
        if self.applied:
            return
        owner: Any = module
        *path, name = self.name.split(".")
        for part in path:
            owner = getattr(owner, part)
        if owner is not module and not isinstance(owner, type) and self.proxy:
            raise TypeError(f"only a global of a module can have a proxy, not {self.name!r}")
        slots.install(_patches, owner, [Slot(owner, name, self.way, self.proxy)])
        self.applied = True


_rules: list[_Rule] = []
_patches = PatchSet()


def isolate(
    module: types.ModuleType | str | Table,
    *names: str,
    how: str | None = None,
    initial: Callable[[Any], Any] | None = None,
    factory: Callable[[], Any] | str | None = None,
    value: Any = MISSING,
    proxy: bool = False,
) -> None:
    """Make attributes per actor: globals of a module, "Class.attribute", "object.attribute".

    A module that is named and not imported yet is waited for. The value that a child starts with:
    - how="share", which is the default: the parent's, the same object;
    - how="copy" or "deepcopy": a copy of the parent's, made in start(); "fresh": an empty one of its type;
    - initial=function: function(parent's value), called in start() in the parent's thread;
    - factory=function, or "module:function": function(), called in the child when it first asks;
    - value=…: a deep copy of that.

    Functions inside the module that use the name as a global variable are not reached: they see the value
    of the real process. With `proxy` they are, too, since a proxy takes the place of the global, as long
    as they do not bind the name anew (`global name; name = …`).

    Instead of a module and names, a table says the same as data: {module: [name, …]} or {module: {name:
    way}}, where a way is the word for `how` or a dictionary of the options above.

    Raises TypeError or ValueError for a rule that makes no sense, AttributeError for a class or an object
    that the module does not have, and TypeError for an object whose type cannot be changed; where the
    module is imported later, its import raises the latter two. Undone by uninstall(), and in force again
    when simulated processes are.
    """
    options = {"how": how, "initial": initial, "factory": factory, "proxy": proxy}
    if value is not MISSING:
        options["value"] = value
    if isinstance(module, Mapping):
        if names or any(option not in (None, False) for option in options.values()):
            raise TypeError("a table says itself which names are isolated, and how")
        new = [rule for name, content in module.items() for rule in _from_table(name, content)]
    else:
        new = [_rule(module, name, options) for name in names]
    for rule in new:
        rule.apply()
        _rules.append(rule)


def _from_table(module: str, content: Any) -> list[_Rule]:
    if isinstance(content, str):
        raise TypeError(f"the table names {content!r} for {module!r}: that must be a list of names")
    if not isinstance(content, Mapping):
        content = dict.fromkeys(content, "share")
    rules = []
    for name, way in content.items():
        options = {"how": way} if isinstance(way, str) else dict(way)
        unknown = options.keys() - {"how", "initial", "factory", "value", "proxy"}
        if unknown:
            raise ValueError(f"the rule for {module}.{name} has unknown options: {sorted(unknown)}")
        rules.append(_rule(module, name, options))
    return rules


def _rule(module: types.ModuleType | str, name: str, options: dict[str, Any]) -> _Rule:
    if not isinstance(module, str | types.ModuleType) or not isinstance(name, str):
        raise TypeError(f"a module and names, not {module!r} and {name!r}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise ValueError(f"{name!r} is not the name of an attribute")
    how, initial, factory = (options.get(option) for option in ("how", "initial", "factory"))
    value = options.get("value", MISSING)
    if sum(given is not None for given in (how, initial, factory)) + (value is not MISSING) > 1:
        raise TypeError(f"{name}: only one of how, initial, factory and value can be given")
    if how is not None and how not in WAYS:
        raise ValueError(f"{name}: there is no way {how!r}, but {', '.join(WAYS)}")
    if factory is None and value is MISSING:
        initial = initial or WAYS[how or "share"]
    return _Rule(module, name, Way(initial, factory, value), bool(options.get("proxy")))


def reinstall() -> None:
    """Carry the rules out, after the replacements that forkless makes itself."""
    uninstall()
    for rule in _rules:
        rule.apply()


def uninstall() -> None:
    """Take back what the rules have changed."""
    _patches.undo()
    for rule in _rules:
        rule.applied = False
