# SPDX-License-Identifier: Apache-2.0
"""Builds forkless._core from the binding's own files and the sources of libforkless.

The C sources are compiled in, so the package needs no installed libforkless. In a checkout
``runtime`` and ``include`` are links to the library's folders; a source distribution carries copies.
"""

import shlex
import shutil
import subprocess
from glob import glob

from setuptools import Extension, setup


def pkg_config(option: str, *names: str) -> list[str]:
    """The flags that pkg-config knows for the first of `names` that it has, or none."""
    if shutil.which("pkg-config"):
        for name in names:
            answer = subprocess.run(
                ["pkg-config", option, name], capture_output=True, text=True, check=False
            )
            if answer.returncode == 0:
                return shlex.split(answer.stdout)
    return []


MSGPACK = ("msgpack-c", "msgpack")  # Debian sid and newer releases, Debian bookworm

setup(
    ext_modules=[
        Extension(
            "forkless._core",
            sources=sorted(glob("ext/*.c") + glob("runtime/*.c") + glob("runtime/*/*.c")),
            depends=sorted(
                glob("ext/*.h")
                + glob("runtime/*.h")
                + glob("runtime/*/*.h")
                + glob("include/forkless/*.h")
            ),
            include_dirs=["include", "runtime"],
            define_macros=[("_GNU_SOURCE", "1")],
            extra_compile_args=[
                "-std=c11",
                "-fvisibility=hidden",
                "-pthread",
                *pkg_config("--cflags", "ck"),
                *pkg_config("--cflags", *MSGPACK),
            ],
            extra_link_args=[
                "-pthread",
                *(pkg_config("--libs", "ck") or ["-lck"]),
                *(pkg_config("--libs", *MSGPACK) or ["-lmsgpackc"]),
            ],
        )
    ]
)
