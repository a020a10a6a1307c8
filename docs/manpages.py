#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the manual pages out of the public headers, so that the two cannot differ.

    docs/manpages.py OUTPUT_FOLDER

Each header becomes the page forkless_TOPIC(3); each function, type and constant in it a page of its own
name that shows the same text. The umbrella header becomes forkless(3). Needs nothing but Python.

What a header looks like (CONTRIBUTING.md): a comment that opens it, then blocks set apart by empty lines.
A block is a comment and the declarations that it is about.
"""

import re
import sys
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADERS = ROOT / "include" / "forkless"
LABELS = ("Ownership", "Threads", "Blocks", "Errors", "Returns", "Fork", "Waits", "Memory")
NOISE = re.compile(
    r"^(FKL_(BEGIN|END)_DECLS|#(if|ifn?def|endif|else|include)\b.*|#define FORKLESS_\w+_H)$"
)


@dataclass
class Block:
    """A comment and what it is about."""

    text: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)


@dataclass
class Header:
    topic: str
    overview: list[str]
    blocks: list[Block]


def split_blocks(lines: list[str]) -> list[Block]:
    """Sections between empty lines; an empty line inside of braces or parentheses ends nothing."""
    blocks, block, depth = [], Block(), 0
    for line in lines:
        bare = line.strip()
        inside = depth > 0 or (block.code and block.code[-1].endswith("\\"))
        if not bare and not inside:
            if block.text or block.code:
                blocks.append(block)
            block = Block()
        elif bare.startswith("//") and not block.code:
            block.text.append(bare[2:].removeprefix(" "))
        elif not NOISE.match(bare):
            code = line.split("//")[0]
            depth += code.count("{") + code.count("(") - code.count("}") - code.count(")")
            block.code.append(line)
    if block.text or block.code:
        blocks.append(block)
    return blocks


def read_header(path: Path) -> Header:
    lines = path.read_text().splitlines()
    if not lines[0].startswith("// SPDX"):
        sys.exit(f"{path}: the first line is not the licence")
    blocks = split_blocks(lines[1:])
    overview = blocks[0].text
    while overview and not overview[0]:
        del overview[0]
    if not overview:
        sys.exit(f"{path}: a comment must say what the header is about")
    # The guard, attached to the overview, is noise; anything else is a block of its own.
    rest = [Block([], blocks[0].code)] if blocks[0].code else []
    return Header(path.stem, overview, [b for b in rest + blocks[1:] if b.text or b.code])


def without_macros(lines: list[str]) -> list[str]:
    """The declarations without attributes, continuation lines moved along."""
    out, shift = [], 0
    for line in lines:
        bare = line.replace("FKL_API ", "").replace("FKL_MUST_CHECK ", "")
        if bare != line:
            shift = len(line) - len(bare)
        elif shift and line.startswith(" " * shift):
            bare = line[shift:]
        out.append(bare)
        if line.split("//")[0].rstrip().endswith(";"):
            shift = 0
    return out


def declared_names(block: Block) -> list[str]:
    """What the block declares: functions, types, enumerators, macros."""
    code = "\n".join(line.split("//")[0] for line in block.code)
    names = re.findall(r"^#define (FKL_\w+)", code, re.M)
    names += re.findall(r"\b(fkl_\w+)\(", code) if "FKL_API" in code else []
    names += re.findall(r"^typedef .*?\b(fkl_\w+);", code, re.M)
    names += re.findall(r"^typedef [^;]*\(\*(fkl_\w+)\)", code, re.M)
    names += re.findall(r"^} (fkl_\w+);", code, re.M)
    if re.search(r"^typedef enum", code, re.M):
        names += re.findall(r"^\s+(FKL_\w+)", code, re.M)
    return sorted(set(names))


def roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in (".", "'") else text


def prose(text: str) -> list[str]:
    """One paragraph; each point of a contract is a paragraph of its own, with its label in bold."""
    parts = re.split(rf"(?:^|(?<=\s))({'|'.join(LABELS)}): ", text)
    out = [".PP", *map(roff, parts[0].strip().splitlines())] if parts[0].strip() else []
    for label, point in zip(parts[1::2], parts[2::2], strict=True):
        out += [".PP", f".B {label}:", *map(roff, point.strip().splitlines())]
    return out


def paragraphs(lines: list[str]) -> list[str]:
    """Paragraphs end at empty lines; lines indented as an example stay lines."""
    out: list[str] = []
    for example, group in groupby(lines, key=lambda line: line.startswith("  ")):
        if example:
            out += [".PP", ".EX", *map(roff, group), ".EE"]
            continue
        for text in "\n".join(group).split("\n\n"):
            out += prose(text)
    return out


def tidy(lines: list[str]) -> list[str]:
    """No paragraph may be empty: groff and mandoc say so."""
    out: list[str] = []
    for line in lines:
        if line == ".PP" and (not out or out[-1] == ".PP" or out[-1].startswith((".SH", ".SS"))):
            continue
        out.append(line)
    while out and out[-1] == ".PP":
        out.pop()
    return out


def listing(lines: list[str]) -> list[str]:
    return [".PP", ".EX", *(roff(line) or "\\&" for line in without_macros(lines)), ".EE"]


def page_name(topic: str) -> str:
    return "forkless" if topic == "forkless" else f"forkless_{topic}"


def first_sentence(lines: list[str]) -> str:
    text = " ".join(lines)
    return re.split(r"(?<=[a-z0-9)])[.:;] ", text + " ")[0].strip().rstrip(".")


def render(header: Header, version: str, topics: list[str]) -> str:
    name = page_name(header.topic)
    out = [
        f'.TH {name} 3 "" "forkless {version}" "forkless manual"',
        ".SH NAME",
        f"{name} \\- {roff(first_sentence(header.overview))}",
        ".SH SYNOPSIS",
        ".B #include",
        f".B <forkless/{header.topic}.h>",
        ".PP",
        "Link with",
        ".BR \\-lforkless .",
        ".SH DESCRIPTION",
        *paragraphs(header.overview),
    ]
    for block in header.blocks:
        names = declared_names(block)
        if names:
            out.append(f".SS {', '.join(n for n in names if n.startswith('fkl_')) or names[0]}")
        if block.code:
            out += listing(block.code)
        if block.text:
            out += paragraphs(block.text)
    others = [page_name(topic) for topic in topics if topic != header.topic]
    out += [
        ".SH SEE ALSO",
        *(f".BR {other} (3){',' if other != others[-1] else ''}" for other in others),
    ]
    return "\n".join(tidy(out)) + "\n"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    version = re.search(r'FKL_VERSION "(.*)"', (HEADERS / "base.h").read_text())
    headers = [read_header(path) for path in sorted(HEADERS.glob("*.h"))]
    topics = [header.topic for header in headers]
    for header in headers:
        page = page_name(header.topic)
        (folder / f"{page}.3").write_text(render(header, version[1] if version else "", topics))
        for block in header.blocks:
            for name in declared_names(block):
                (folder / f"{name}.3").write_text(f".so man3/{page}.3\n")


if __name__ == "__main__":
    main()
