# SPDX-License-Identifier: Apache-2.0
"""The generator behind the functions of the module `random`.

An actor has one of its own, freshly seeded when it first asks, as a forked child has. `random.seed()` in
an actor concerns the actor alone, and nobody's draws change what others draw.

Differs from processes: who took `random`, `getrandbits`, `seed`, `getstate` or `setstate` out of the
module before the first simulated process was started has those of the real process. NumPy's global
generator is shared; numpy.random.default_rng() makes one that is not.

Private names of the standard library that are used: `random._inst`, checked on CPython 3.11 to 3.14.
"""

from __future__ import annotations

import random
from typing import Any

from forkless import _core
from forkless.patches import PatchSet

__all__ = ["install"]

_KEY = "random"  # in Actor.locals
_REDIRECTED = ("random", "getrandbits", "seed", "getstate", "setstate")


def _own() -> random.Random | None:
    """The generator of the calling actor; None in the real process."""
    actor: Any = _core.current()
    if actor is None:
        return None
    generator: random.Random | None = actor.locals.get(_KEY)
    if generator is None:
        # Several threads of the actor may ask at once: all get the same.
        generator = actor.locals.setdefault(_KEY, random.Random())
    return generator


def _in_actor(name: str) -> Any:
    original = getattr(random.Random, name)

    def method(*args: Any, **kwargs: Any) -> Any:
        return original(_own(), *args, **kwargs)

    return method


def _redirected(name: str) -> Any:
    """A method of the shared generator; what stands between does not slow the real process down."""
    in_actor = _in_actor(name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return in_actor(*args, **kwargs)

    return _core.Dispatch(getattr(random.Random, name), method, True)


def _get_next(instance: Any) -> Any:
    generator = _own()
    return vars(instance if generator is None else generator)["gauss_next"]


def _set_next(instance: Any, value: Any) -> None:
    generator = _own()
    vars(instance if generator is None else generator)["gauss_next"] = value


def install(patches: PatchSet) -> None:
    """Make the generator per actor."""
    shared: Any = random._inst
    before = type(shared)
    members: dict[str, Any] = {name: _redirected(name) for name in _REDIRECTED}
    members["gauss_next"] = property(_get_next, _set_next)
    members["__slots__"] = ()
    patches.call_on_undo(lambda: setattr(shared, "__class__", before))
    shared.__class__ = type(before.__name__, (before,), members)
    for name in _REDIRECTED:
        patches.dispatch(random, name, _in_actor(name))
