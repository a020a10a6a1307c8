# SPDX-License-Identifier: Apache-2.0
"""How a rule is carried out: one function per `Rule.do`.

Each function gets the rule, the class or module that it names, and the plans for objects.
Functions that run per task or per call keep to a few dictionary accesses for the controller, whose
own state must stay where ansible-core put it.
"""

from __future__ import annotations

import copy
import functools
import pickle
import threading
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import forkless
from forkless import _core, isolation
from forkless.patches import module_type

from . import pending, waking
from .clones import Clones, Plans
from .rules import Rule

__all__ = ["WAYS"]

_own = isolation.local()  # what the rules give to each actor
# One for all plugin loaders: loading a plugin of one kind may load one of another.
_loader_lock = threading.RLock()
_MISSING = object()

# Values that an actor starts with, collected while its worker is cloned: functions of no argument.
_at_start: list[Callable[[], Callable[[], None] | None]] = []


def worker(rule: Rule, cls: Any, plans: Plans) -> None:
    """Make the clone of a worker when it starts, and give the actor what it starts with."""

    def clone(process: Any) -> Any:
        child = Clones(plans).clone(process)
        child._forkless_values = [give for prepare in _at_start if (give := prepare()) is not None]
        return child

    run = cls.run

    @functools.wraps(run)
    def run_with_values(self: Any) -> Any:
        if _core.current() is not None:
            _own.worker = self
            forkless.at_actor_exit(waking.worker_ends)
            for give in self.__dict__.pop("_forkless_values", ()):
                give()
            if getattr(self, "_new_stdin", None) is not None:
                forkless.at_actor_exit(self._new_stdin.close)
        return run(self)

    cls.run = run_with_values
    isolation.register_process(cls, clone)


def actor_global(rule: Rule, module: Any, plans: Plans) -> None:
    """Let a global that its module's functions write be the actor's: here, its worker."""
    initial = {name: getattr(module, name, None) for name in rule.names}

    def member(name: str) -> property:
        def get(module: Any) -> Any:
            if _core.current() is None:
                return module.__dict__.get(name, initial[name])
            return getattr(_own, "worker", None)

        return property(get, lambda module, value: module.__dict__.__setitem__(name, value))

    module.__class__ = module_type(type(module), {name: member(name) for name in rule.names})


class _ActorAttribute:
    """An attribute that each actor has for itself. The controller's stays in the instance."""

    def __init__(self, name: str, start: str) -> None:
        self._name = name
        self._key = f"attribute {name}"
        self._start = start

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if _core.current() is not None:
            value = getattr(_own, self._key, _MISSING)
            if value is not _MISSING:
                return value
            if self._start == "none":
                return None
        try:
            return instance.__dict__[self._name]
        except KeyError:
            raise AttributeError(self._name) from None

    def __set__(self, instance: Any, value: Any) -> None:
        if _core.current() is not None:
            setattr(_own, self._key, value)
        else:
            instance.__dict__[self._name] = value

    def prepare(self, instance: Any) -> Callable[[], None]:
        """Copy the starter's value; the actor takes the copy when it runs."""
        value = copy.copy(self.__get__(instance))
        return lambda: setattr(_own, self._key, value)


def _prepare(attribute: _ActorAttribute, singleton: Any) -> Callable[[], None]:
    return attribute.prepare(singleton())


def actor_attribute(rule: Rule, cls: Any, plans: Plans) -> None:
    """Give each actor its own value of attributes of a singleton."""
    for name in rule.names:
        attribute = _ActorAttribute(name, rule.start)
        setattr(cls, name, attribute)
        if rule.start == "copy":
            # The class is a singleton: its instance is found when the first worker starts.
            _at_start.append(functools.partial(_prepare, attribute, cls))


class _ActorMapping(MutableMapping[Any, Any]):
    """A dictionary that is empty for each actor. It takes the place of a module's dictionary."""

    def __init__(self, name: str) -> None:
        self._key = f"mapping {name}"

    def _mine(self) -> dict[Any, Any]:
        mine: dict[Any, Any] | None = getattr(_own, self._key, None)
        if mine is None:
            mine = {}
            setattr(_own, self._key, mine)
        return mine

    def __getitem__(self, key: Any) -> Any:
        return self._mine()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._mine()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._mine()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._mine())

    def __len__(self) -> int:
        return len(self._mine())


def actor_mapping(rule: Rule, module: Any, plans: Plans) -> None:
    """Put a mapping that is each actor's own in the place of a module's dictionary."""
    for name in rule.names:
        if hasattr(module, name):
            setattr(module, name, _ActorMapping(f"{module.__name__}.{name}"))


def lock_methods(rule: Rule, cls: Any, plans: Plans) -> None:
    """Run the named methods one at a time."""

    def locked(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with _loader_lock:
                return method(*args, **kwargs)

        return wrapper

    for name in rule.names:
        if name in vars(cls):
            setattr(cls, name, locked(vars(cls)[name]))


def loaded_plugins(rule: Rule, cls: Any, plans: Plans) -> None:
    """Carry out the rules of a plugin when it has been loaded."""

    def announcing(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            module = method(*args, **kwargs)
            pending.loaded(module)
            return module

        return wrapper

    for name in rule.names:
        setattr(cls, name, announcing(vars(cls)[name]))


def wake(rule: Rule, module: Any, plans: Plans) -> None:
    """Let a module sleep only until something happens."""
    for name in rule.names:
        setattr(module, name, waking.Clock(getattr(module, name)))


def wakes(rule: Rule, cls: Any, plans: Plans) -> None:
    """Wake the strategy when a method is called."""

    def waking_first(name: str) -> Callable[..., Any]:
        own = vars(cls).get(name)  # a class that does not define it inherits it from forkless

        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            waking.wake()
            if own is not None:
                return own(self, *args, **kwargs)
            return getattr(super(cls, self), name)(*args, **kwargs)

        return method

    for name in rule.names:
        setattr(cls, name, waking_first(name))


def wakes_by_request(rule: Rule, cls: Any, plans: Plans) -> None:
    """Wake the strategy when something is put on a queue of its own."""
    init = cls.__init__

    @functools.wraps(init)
    def init_with_wake(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        for name in rule.names:
            waking.wake_after_put(getattr(self, name))

    cls.__init__ = init_with_wake


def replace_before_change(rule: Rule, cls: Any, plans: Plans) -> None:
    """Before a method changes the dictionary of a host in place, put a copy of it in its place."""

    def stores(manager: Any) -> Iterator[Any]:
        yield manager._nonpersistent_fact_cache
        yield manager._vars_cache
        facts = manager._fact_cache
        yield getattr(getattr(facts, "_plugin", facts), "_cache", None)

    def replacing(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(self: Any, host: Any, *args: Any, **kwargs: Any) -> Any:
            for store in stores(self):
                if isinstance(store, dict) and host in store:
                    store[host] = copy.copy(store[host])
            return method(self, host, *args, **kwargs)

        return wrapper

    for name in rule.names:
        setattr(cls, name, replacing(vars(cls)[name]))


def copied_result(rule: Rule, cls: Any, plans: Plans) -> None:
    """Give actors a deep copy of what a method returns."""

    def copying(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            return result if _core.current() is None else Clones(plans, follow=False).copy(result)

        return wrapper

    for name in rule.names:
        setattr(cls, name, copying(vars(cls)[name]))


def direct_rpc(rule: Rule, cls: Any, plans: Plans) -> None:
    """Call the controller's implementation directly, with copies as a socket would make them."""

    class Client:
        def __init__(self, implementation: Any) -> None:
            self._implementation = implementation

        def __getattr__(self, name: str) -> Any:
            method = getattr(self._implementation, name)

            @functools.wraps(method)
            def call(*args: Any, **kwargs: Any) -> Any:
                args, kwargs = pickle.loads(pickle.dumps((args, kwargs)))
                return pickle.loads(pickle.dumps(method(*args, **kwargs)))

            return call

    stock = vars(cls)["get_client"].__func__

    def get_client(cls: Any) -> Any:
        return stock(cls) if _core.current() is None else Client(cls)

    cls.get_client = classmethod(get_client)


def undone_at_exit(rule: Rule, cls: Any, plans: Plans) -> None:
    """Call the second name on what the first one returns when the actor ends."""
    do, undo = rule.names
    method = vars(cls)[do]

    @functools.wraps(method)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        made = method(*args, **kwargs)
        if _core.current() is not None:
            forkless.at_actor_exit(getattr(made, undo))
        return made

    setattr(cls, do, wrapper)


WAYS: dict[str, Callable[[Rule, Any, Plans], None]] = {
    function.__name__: function
    for function in (
        worker,
        actor_global,
        actor_attribute,
        actor_mapping,
        lock_methods,
        loaded_plugins,
        wake,
        wakes,
        wakes_by_request,
        replace_before_change,
        copied_result,
        direct_rpc,
        undone_at_exit,
    )
}
