#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that need no tool but Python: what CONTRIBUTING.md says about files and layers.

Prints one line per finding, "path:line: text", and exits with 1 if there is any.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 60

# Libraries that only some files may include, by the start of the header's name.
PRIVATE_LIBRARIES = {
    "ck_": {"inbox"},
    "msgpack": {"codec", "packer"},
}

SOURCE = {".c", ".h", ".pml", ".py", ".pyi", ".sh"}
BINARY = {".bin", ".png", ".ico", ".gz"}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')
SYSTEM_IFDEF = re.compile(
    r"^\s*#\s*(?:el)?if.*\b(__linux__|__APPLE__|_WIN32|__ANDROID__|__FreeBSD__)\b"
)
HOME = re.compile(r"(?<![\w.<}])/(?:work|root|home/\w+|Users/\w+)(?:/|\b)")

LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
TEST_NAME = re.compile(r"(\w+)::(\w+)$")

Finding = tuple[Path, int, str]


def tracked_files() -> list[Path]:
    """Returns what is or could be committed."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    paths = (Path(name) for name in sorted(set(names.splitlines())))
    return [path for path in paths if path.is_file() and path.suffix not in BINARY]


def check_text(path: Path, lines: list[str]) -> Iterator[Finding]:
    source = (
        path.suffix in SOURCE or path.name == "Makefile" or lines[:1] == ["#!/usr/bin/env bash"]
    )
    if source and not any("SPDX-License-Identifier: Apache-2.0" in line for line in lines[:3]):
        yield path, 1, "no SPDX line at the top"
    if path.suffix in {".c", ".h", ".pml", ".py"} and len(lines) > MAX_FILE_LINES:
        yield path, len(lines), f"longer than {MAX_FILE_LINES} lines"
    for number, line in enumerate(lines, 1):
        if "\t" in line and path.suffix in {".c", ".h", ".pml", ".py", ".pyi"}:
            yield path, number, "a tab"
        if line != line.rstrip():
            yield path, number, "white space at the end of the line"
        if HOME.search(line):
            yield path, number, "a path of somebody's machine"


def check_functions(path: Path, lines: list[str]) -> Iterator[Finding]:
    """Function bodies begin and end with a brace in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > MAX_FUNCTION_LINES:
                yield path, start, f"a function of {number - start - 1} lines"
            start = None


def includes(lines: list[str]) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(lines, 1):
        if match := INCLUDE.match(line):
            yield number, match[1], match[2]


def unit_of(path: Path) -> str:
    """The name that a file of runtime/, given relative to it, has in the layers: folder or stem."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def read_layers() -> dict[str, int]:
    lines = Path(".ci/layers").read_text().splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {unit: len(rows) - row for row, units in enumerate(rows) for unit in units}


def check_runtime(files: dict[Path, list[str]]) -> Iterator[Finding]:
    """Layers, private libraries and the operating system."""
    layers = read_layers()
    for path, lines in files.items():
        unit = unit_of(path.relative_to("runtime"))
        if unit not in layers:
            yield path, 1, f"'{unit}' has no layer: give it one in .ci/layers"
            continue
        for number, kind, header in includes(lines):
            if kind == "<":
                for prefix, allowed in PRIVATE_LIBRARIES.items():
                    if header.startswith(prefix) and unit not in allowed:
                        yield (
                            path,
                            number,
                            f"only {', '.join(sorted(allowed))} may include {header}",
                        )
                continue
            if layers.get(unit_of(Path(header)), 0) > layers[unit]:
                yield path, number, f"{unit} includes {header}, which stands above it"
        if unit != "platform":
            for number, line in enumerate(lines, 1):
                if SYSTEM_IFDEF.match(line):
                    yield path, number, "only platform/ may ask for the operating system"


def check_twins(paths: list[Path]) -> Iterator[Finding]:
    for path in paths:
        if path.suffix != ".c":
            continue
        unit = unit_of(path.relative_to("runtime"))
        twin = Path(f"tests/runtime/test_{unit}.c")
        if not twin.exists():
            yield path, 1, f"has no {twin}"


def check_links(path: Path, lines: list[str]) -> Iterator[Finding]:
    """Links to files of the repository; one named suite::test is to a file that has that test."""
    for number, line in enumerate(lines, 1):
        for text, target in LINK.findall(line):
            if re.match(r"\w+:|#", target):
                continue
            file = path.parent / target.split("#")[0]
            if not file.exists():
                yield path, number, f"links to {target}, which is not there"
            elif (match := TEST_NAME.match(text)) and (
                f"Test({match[1]}, {match[2]}" not in file.read_text()
            ):
                yield path, number, f"{target} has no test {text}"


def check_features(path: Path, lines: list[str]) -> Iterator[Finding]:
    """Each row of the table of features names a test or an example that proves it."""
    for number, line in enumerate(lines, 1):
        if line.startswith("| ") and not line.startswith(("| feature", "|---")):
            proof = line.rstrip("| ").split(" | ")[-1]
            if not any(
                "tests/" in target or "examples/" in target for _, target in LINK.findall(proof)
            ):
                yield path, number, "a feature without a test"


def check_versions() -> Iterator[Finding]:
    library = re.search(r'FKL_VERSION "(.*)"', Path("include/forkless/base.h").read_text())
    project = Path("bindings/python/pyproject.toml")
    binding = re.search(r'^version = "(.*)"', project.read_text(), re.MULTILINE)
    if not library or not binding or library[1] != binding[1]:
        yield project, 1, "its version is not that of include/forkless/base.h"


def main() -> int:
    files = {path: path.read_text().splitlines() for path in tracked_files()}
    runtime = {path: lines for path, lines in files.items() if path.parts[0] == "runtime"}
    findings = [*check_versions(), *check_runtime(runtime), *check_twins(sorted(runtime))]
    for path, lines in files.items():
        if path.name == "LICENSE":
            continue
        findings += check_text(path, lines)
        if path.suffix in {".c", ".h"}:
            findings += check_functions(path, lines)
        if path.suffix == ".md":
            findings += check_links(path, lines)
        if path == Path("docs/features.md"):
            findings += check_features(path, lines)
    for path, number, text in findings:
        print(f"{path}:{number}: {text}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
