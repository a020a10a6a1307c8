# SPDX-License-Identifier: Apache-2.0
"""run.py MODE [PROBE ...]: runs the probes in one mode and prints what they saw, a line of JSON for each.

The modes are the start method 'fork' with real processes (fork), the same after forkless.install()
(install), and the start method 'actor' (actor). A probe that hangs ends the program; stderr says where.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import multiprocessing
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODES = ("fork", "install", "actor")
PATIENCE = 45.0  # seconds


def load() -> Any:
    """All probes, by their names."""
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    for path in sorted((HERE / "probes").glob("*.py")):
        importlib.import_module(f"probes.{path.stem}")
    return importlib.import_module("probing").PROBES


def main() -> None:
    mode, *chosen = sys.argv[1:]
    if mode != "fork":
        import forkless

        if mode == "install":
            forkless.install()
    multiprocessing.set_start_method("actor" if mode == "actor" else "fork")
    probes = {name: each for name, each in load().items() if each.since <= sys.version_info}
    for name in chosen or probes:
        print(f"== {name}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        try:
            result = probes[name].function()
        except Exception as error:
            result = f"raised {type(error).__name__}: {error}"
        print(json.dumps([name, result], default=repr), flush=True)
        for process in multiprocessing.active_children():
            process.kill()
            process.join(10)
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main()
