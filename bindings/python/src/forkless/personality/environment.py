# SPDX-License-Identifier: Apache-2.0
"""The environment of a simulated process.

A child starts with a copy of its parent's. `os.environ` and `os.environb` stay the objects that they are
and ask for the data of whoever uses them; `os.putenv` and `os.unsetenv` concern the programs that an actor
starts, and nobody else's. The environment of the real process is never changed by an actor.

Differs from processes: C code that calls getenv() sees the environment of the real process, and so does
time.tzset().

Private names of the standard library that are used: `os._Environ._data`, `subprocess._fork_exec` and
`subprocess.Popen._posix_spawn`, checked on CPython 3.11 to 3.14.
"""

from __future__ import annotations

import os
from typing import Any

from forkless import _core, actors
from forkless.actors import MAIN
from forkless.patches import PatchSet

__all__ = ["install"]

_KEY = "environ"  # in Actor.locals: what os.environ has
_PUT = "putenv"  # in Actor.locals: what os.putenv() has changed, None for what os.unsetenv() has removed


class _Environ(type(os.environ)):  # type: ignore[misc]
    """os.environ with the data of the calling process."""

    @property
    def _data(self) -> Any:
        actor: Any = _core.current()
        values = (actor or MAIN).locals
        if _KEY not in values:  # a thread that outlives its actor
            values[_KEY] = MAIN.locals[_KEY].copy()
        return values[_KEY]

    @_data.setter
    def _data(self, data: Any) -> None:
        actor: Any = _core.current()
        (actor or MAIN).locals[_KEY] = data


def install(patches: PatchSet) -> None:
    """Make the environment per actor."""
    MAIN.locals[_KEY] = os.environ._data  # type: ignore[attr-defined]
    mappings = [os.environ, *([os.environb] if hasattr(os, "environb") else [])]
    plain = type(os.environ)

    def restore() -> None:
        for mapping in mappings:
            mapping.__class__ = plain
            mapping._data = MAIN.locals[_KEY]  # type: ignore[attr-defined]
        actors.inheritance.remove(_inherit)

    patches.call_on_undo(restore)
    for mapping in mappings:
        mapping.__class__ = _Environ
    actors.inheritance.append(_inherit)
    for function in (*_functions(os), _system_function(os.system)):
        if hasattr(os, function.__name__):
            patches.attribute(os, function.__name__, function)
    _patch_subprocess(patches)


def _inherit(parent: Any, child: Any) -> None:
    inherited = parent.locals
    child.locals[_KEY] = inherited[_KEY].copy()
    put = inherited.get(_PUT)
    if put:
        child.locals[_PUT] = put.copy()


def _functions(real_os: Any) -> list[Any]:
    real_putenv, real_unsetenv = real_os.putenv, real_os.unsetenv
    real_reload = getattr(real_os, "reload_environ", None)

    def put(actor: Any, name: Any, value: Any) -> None:
        actor.locals.setdefault(_PUT, {})[os.fsencode(name)] = value

    def putenv(name: Any, value: Any, /) -> None:
        actor = _core.current()
        if actor is None:
            real_putenv(name, value)
            return
        name, value = os.fsencode(name), os.fsencode(value)
        if not name or b"=" in name:
            raise ValueError("illegal environment variable name")
        if b"\0" in name + value:
            raise ValueError("embedded null byte")
        put(actor, name, value)

    def unsetenv(name: Any, /) -> None:
        actor = _core.current()
        if actor is None:
            real_unsetenv(name)
        else:
            put(actor, name, None)

    def reload_environ() -> None:
        actor = _core.current()
        if actor is None:
            real_reload()  # type: ignore[misc]
        else:
            data = of_programs(actor)
            actor.locals[_KEY].clear()
            actor.locals[_KEY].update(data)

    return [putenv, unsetenv, reload_environ]


def of_process(process: Any) -> dict[bytes, bytes]:
    """What os.environ has in a process, or MAIN, as bytes."""
    return dict(process.locals[_KEY])


def of_programs(actor: Any) -> dict[bytes, bytes]:
    """The environment that an actor's programs inherit, as bytes."""
    environment: dict[bytes, bytes] = dict(actor.locals[_KEY])
    for name, value in actor.locals.get(_PUT, {}).items():
        if value is None:
            environment.pop(name, None)
        else:
            environment[name] = value
    return environment


def _system_function(real_system: Any) -> Any:
    def system(command: Any) -> int:
        """Execute the command in a shell; as a simulated process, with its environment and streams."""
        if _core.current() is None:
            return int(real_system(command))
        import subprocess

        code = subprocess.call(command, shell=True, close_fds=False)
        return code << 8 if code >= 0 else -code

    return system


def _patch_subprocess(patches: PatchSet) -> None:
    try:
        import subprocess
    except ImportError:
        return
    fork_exec: Any = getattr(subprocess, "_fork_exec", None)
    if fork_exec is not None:

        def _fork_exec(*args: Any) -> Any:
            actor = _core.current()
            if actor is not None and args[5] is None:
                pairs = [b"%s=%s" % pair for pair in of_programs(actor).items()]
                args = (*args[:5], pairs, *args[6:])
            return fork_exec(*args)

        patches.attribute(subprocess, "_fork_exec", _fork_exec)
    spawn: Any = getattr(subprocess.Popen, "_posix_spawn", None)
    if spawn is not None:

        def _posix_spawn(self: Any, args: Any, executable: Any, env: Any, *rest: Any) -> Any:
            actor = _core.current()
            if actor is not None and env is None:
                env = of_programs(actor)
            return spawn(self, args, executable, env, *rest)

        patches.attribute(subprocess.Popen, "_posix_spawn", _posix_spawn)
