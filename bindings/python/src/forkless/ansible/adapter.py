# SPDX-License-Identifier: Apache-2.0
"""Let unmodified ansible-core run its workers as actors.

`register` only leaves word with the import system. When ansible-core is imported, its version
chooses the rules, and each rule is carried out right after the module that it names was imported;
modules that a run does not use cost nothing.
"""

from __future__ import annotations

import importlib
import re
import sys
from typing import Any

from forkless import isolation

from . import pending, rules
from .rules import Rule

__all__ = ["UnsupportedAnsible", "register", "supported"]

_registered = False


class UnsupportedAnsible(ImportError):
    """This ansible-core is older than any that the rules were written for."""


def parse(version: str) -> tuple[int, ...]:
    """The numbers of a version: 2.19.0b3 is (2, 19, 0)."""
    numbers = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()


def supported(version: str) -> tuple[tuple[int, ...], str | None]:
    """The version whose rules apply to an ansible-core, and a warning if it is another one."""
    numbers = parse(version)
    if numbers < rules.OLDEST:
        oldest = ".".join(map(str, rules.OLDEST))
        raise UnsupportedAnsible(
            f"forkless runs ansible-core {oldest} and later; this is {version}"
        )
    if numbers[:2] > rules.KNOWN:
        newest = ".".join(map(str, rules.KNOWN))
        return (
            rules.KNOWN,
            f"ansible-core {version} is newer than forkless knows; the rules for {newest} are used",
        )
    return numbers, None


def _found(module: Any, where: str) -> Any:
    """The class that a rule names, or the module itself; None if there is no such class."""
    _, _, name = where.partition(":")
    return getattr(module, name, None) if name else module


def _begin(release: Any) -> None:
    """ansible-core is being imported: choose the rules and leave word for each."""
    version, warning = supported(release.__version__)
    if warning:
        print(f"[WARNING]: {warning}", file=sys.stderr)
    clones = importlib.import_module("forkless.ansible.clones")
    patches = importlib.import_module("forkless.ansible.patches")
    plans = clones.Plans(version)

    def leave_word(rule: Rule) -> None:
        def carry_out(module: Any) -> None:
            target = _found(module, rule.where)
            if target is not None:
                patches.WAYS[rule.do](rule, target, plans)

        pending.when_loaded(rule.where.partition(":")[0], carry_out)

    for rule in rules.rules_for(version):
        leave_word(rule)


def register() -> None:
    """Have the rules carried out whenever ansible-core is imported. Imports nothing of it."""
    global _registered
    if not _registered:
        _registered = True
        isolation.when_imported("ansible.release", _begin)
