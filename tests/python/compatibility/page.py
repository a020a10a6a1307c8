# SPDX-License-Identifier: Apache-2.0
"""page.py [--write]: the compatibility page, made of what the probes claim and the declared differences.

Both are checked against what was observed before anything is said, see check(). Prints what is wrong,
or the page; with --write, puts it where it belongs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import names
import observing
from differences import DIFFERENCES, Difference

import run

__all__ = ["PAGE", "check", "render"]

PAGE = Path(__file__).resolve().parents[3] / "docs" / "compatibility.md"
MODES = [mode for mode in run.MODES if mode != "fork"]

HEAD = """\
<!-- Written by `make compatibility` from tests/python/compatibility. Do not edit. -->
# Compatibility with real processes

What each public name of `multiprocessing`, of the process pool of `concurrent.futures` and of what
concerns the calling process does with simulated processes, compared with real ones that are started with
`fork`. Each entry is shown by probes, small programs that are run with real processes and with simulated
ones, on every Python that is tested: **same** means that they saw the same, **differs** that they saw
what the last column says, **cannot be** that a thread cannot do it at all. What no probe looks at is not
promised.

*install* is the start method `fork` after `forkless.install()`; *actor* is the start method `actor`.

On platforms without processes (iOS, Android) `import forkless` supplies the C modules that are missing,
`actor` is the default start method, and all of this holds there, but for what starts programs.
"""


def check_claims() -> Iterator[str]:
    """What is wrong with the probes and the declared differences, before anything is run."""
    probes = run.load()
    public = names.public_names()
    claimed = {name for probe in probes.values() for name in probe.names}
    for name in sorted(public - claimed):
        yield f"{name} has no probe"
    for name in sorted(claimed - public):
        if names.SINCE.get(name, (0, 0)) <= sys.version_info[:2]:
            yield f"{name} is claimed by a probe and is not public"
    for probe in probes.values():
        source = probe.source()
        for name in probe.names:
            if name.rpartition(".")[2] not in source:
                yield f"{probe.name} claims {name} and does not use it"
    for difference in DIFFERENCES:
        if difference.probe not in probes:
            yield f"{difference.probe} is no probe, but has a declared difference"
        else:
            for name in set(difference.names) - set(probes[difference.probe].names):
                yield f"{difference.probe} has a declared difference of {name}, which it does not claim"


def check_probe(name: str) -> Iterator[str]:
    """What is wrong with what one probe saw."""
    seen, _ = observing.observations()
    real = seen["fork"][name]
    if isinstance(real, str) and real.startswith(("raised", "hangs")):
        yield f"{name} does not work with real processes: {real}"
    for mode in MODES:
        declared = [d for d in DIFFERENCES if d.probe == name and mode in d.modes]
        differs = seen[mode][name] != real
        if differs and not declared:
            yield f"{name}, {mode}: not declared, {seen[mode][name]!r} instead of {real!r}"
        if declared and not differs:
            yield f"{name}, {mode}: a difference is declared, but it sees the same"


def check() -> list[str]:
    """All that is wrong."""
    return [
        *check_claims(),
        *(line for name in observing.observed() for line in check_probe(name)),
    ]


# The page


def _differences(name: str, mode: str) -> list[Difference]:
    return [d for d in DIFFERENCES if name in d.names and mode in d.modes]


def _verdict(name: str, mode: str) -> str:
    found = _differences(name, mode)
    if any(difference.impossible for difference in found):
        return "cannot be"
    return "differs" if found else "same"


def _texts(name: str) -> str:
    texts = {d.text: None for mode in MODES for d in _differences(name, mode)}
    lines = []
    for text in texts:
        modes = {mode for d in DIFFERENCES if d.text == text for mode in d.modes}
        lines.append(text if len(modes) == len(MODES) else f"{'/'.join(sorted(modes))}: {text}")
    return "<br>".join(lines)


def _section(name: str) -> str:
    parts = name.split(".")
    if parts[:2] == ["concurrent", "futures"]:
        return "concurrent.futures"
    if parts[0] != "multiprocessing":
        return "os, signal, sys and others"
    return ".".join(parts[:2]) if len(parts) > 2 and parts[1] != "Process" else "multiprocessing"


def _row(name: str, section: str) -> str:
    shown = name.removeprefix(f"{section}.")
    since = names.SINCE.get(name)
    version = "" if since is None else f" ({since[0]}.{since[1]})"
    verdicts = " | ".join(_verdict(name, mode) for mode in MODES)
    return f"| `{shown}`{version} | {verdicts} | {_texts(name)} |".replace("|  |", "| |")


def render() -> str:
    """The text of the page."""
    claimed = {name for probe in run.load().values() for name in probe.names}
    sections: dict[str, list[str]] = {}
    for name in sorted(claimed):
        sections.setdefault(_section(name), []).append(name)
    order = sorted(sections, key=lambda s: (not s.startswith("multiprocessing"), s))
    lines = [HEAD]
    lines += _counts(claimed)
    for section in order:
        lines += [f"## {section}", "", f"| name | {' | '.join(MODES)} | how, or why |"]
        lines.append("|---|" + "---|" * (len(MODES) + 1))
        lines += [*(_row(name, section) for name in sections[section]), ""]
    return "\n".join(lines).rstrip() + "\n"


def _counts(claimed: set[str]) -> list[str]:
    words: list[Any] = []
    for mode in MODES:
        verdicts = [_verdict(name, mode) for name in claimed]
        counted = (f"{verdicts.count(v)} {v}" for v in ("same", "differs", "cannot be"))
        words.append(f"*{mode}* {', '.join(counted)}")
    return [f"Of {len(claimed)} names: {'; '.join(words)}.", ""]


def main() -> int:
    wrong = check()
    if wrong:
        print("\n".join(wrong))
        return 1
    if "--write" in sys.argv:
        PAGE.write_text(render(), encoding="utf-8")
    else:
        print(render(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
