# SPDX-License-Identifier: Apache-2.0
"""Runs a Python program as on a platform without processes.

    python no_processes.py [--variant VARIANT] [--] (PROGRAM | -m MODULE | -c CODE) [ARGUMENT ...]

The kernel refuses the calls that make a process or run a program (EPERM), whoever makes them and with
whatever library; threads work. `os` has no functions for it, there is no /dev/shm if this process may
change that (it needs the rights to mount), and the C modules of multiprocessing are as the variant says:

    none      they do not exist, and subprocess can be imported as on iOS
    bare      they do not exist, and subprocess cannot be imported
    limited   they exist, and making a semaphore or shared memory raises ENOSYS, as on AWS Lambda
    inert     they exist and work, /dev/shm too, but no program starts, as in some builds for iOS

What a module sees of it is in `os.environ["FORKLESS_NO_PROCESSES"]`: the variant.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import importlib.abc
import os
import platform
import runpy
import struct
import sys
from typing import Any, NoReturn

__all__ = ["VARIABLE", "VARIANTS", "emulated", "enter", "main"]

VARIABLE = "FORKLESS_NO_PROCESSES"
VARIANTS = ("none", "bare", "limited", "inert")
C_MODULES = ("_multiprocessing", "_posixshmem", "_posixsubprocess")
OS_FUNCTIONS = ("fork", "forkpty", "posix_spawn", "posix_spawnp", "register_at_fork")


def emulated() -> str | None:
    """The variant that this interpreter runs in, or None."""
    return os.environ.get(VARIABLE)


# The filter: a program of the kernel's packet filter machine that sees each system call.

ARCHITECTURES = {  # name -> (number in the filter's data, number of each call)
    "x86_64": (
        0xC000003E,
        {"clone": 56, "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "clone3": 435},
    ),
    "aarch64": (0xC00000B7, {"clone": 220, "execve": 221, "execveat": 281, "clone3": 435}),
}
CLONE_VM, CLONE_THREAD = 0x100, 0x10000
X32_CALLS = 0x40000000  # the other numbering of x86_64
LOAD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, AND, RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16  # of struct seccomp_data
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2

Instruction = tuple[int, int, int, int]  # code, skipped when true, skipped when false, operand


def filter_program(machine: str) -> list[Instruction]:
    """What refuses to make processes and to run programs."""
    architecture, calls = ARCHITECTURES[machine]
    thread = CLONE_VM | CLONE_THREAD
    program: list[Instruction] = [
        (LOAD_WORD, 0, 0, ARCHITECTURE_AT),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),  # a call in the way of another architecture
        (LOAD_WORD, 0, 0, NUMBER_AT),
        (JUMP_AT_LEAST, 0, 1, X32_CALLS),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
        # Its flags are in memory, where a filter cannot look; C libraries fall back to clone.
        (JUMP_EQUAL, 0, 1, calls["clone3"]),
        (RETURN, 0, 0, REFUSE | errno.ENOSYS),
    ]
    for name in ("fork", "vfork", "execve", "execveat"):
        if name in calls:
            program += [(JUMP_EQUAL, 0, 1, calls[name]), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    return program + [
        (JUMP_EQUAL, 1, 0, calls["clone"]),
        (RETURN, 0, 0, ALLOW),
        (LOAD_WORD, 0, 0, FIRST_ARGUMENT_AT),
        (AND, 0, 0, thread),
        (JUMP_EQUAL, 0, 1, thread),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE | errno.EPERM),
    ]


class FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def refuse_processes() -> None:
    """Install the filter in this process, for good. Raises OSError where the kernel has none."""
    instructions = b"".join(struct.pack("=HBBI", *i) for i in filter_program(platform.machine()))
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = FilterProgram(len(instructions) // 8, ctypes.addressof(buffer))
    prctl = _libc().prctl
    prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)
    _checked(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    _checked(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program), 0, 0), "filter")


# /dev without shm, in a mount namespace of this process

CLONE_NEWNS = 0x20000
MS_BIND, MS_REC, MS_PRIVATE, MS_MOVE = 0x1000, 0x4000, 0x40000, 0x2000
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts")


def hide_dev_shm() -> bool:
    """Let this process, and nobody else, see a /dev that has no shm. Whether it could be done."""
    libc = _libc()
    if libc.unshare(CLONE_NEWNS) != 0:
        return False
    libc.mount.argtypes = (*(ctypes.c_char_p,) * 3, ctypes.c_ulong, ctypes.c_char_p)

    def mount(source: str, target: str, kind: str | None, flags: int) -> None:
        kind_bytes = None if kind is None else kind.encode()
        _checked(libc.mount(source.encode(), target.encode(), kind_bytes, flags, None), target)

    try:
        mount("none", "/", None, MS_REC | MS_PRIVATE)
        new = "/dev/shm"  # as good a place as any to build it
        mount("tmpfs", new, "tmpfs", 0)
        for name in os.listdir("/dev"):
            path = f"/dev/{name}"
            if os.path.islink(path):
                os.symlink(os.readlink(path), f"{new}/{name}")
            elif name in DEVICES:
                if os.path.isdir(path):
                    os.mkdir(f"{new}/{name}")
                else:
                    open(f"{new}/{name}", "x").close()
                mount(path, f"{new}/{name}", None, MS_BIND | MS_REC)
        mount(new, "/dev", None, MS_MOVE)
    except OSError:
        return False
    return True


# What Python has to offer


class _Missing(importlib.abc.MetaPathFinder):
    """Says that some modules do not exist."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> None:
        if fullname in self.names:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def _not_implemented(*args: Any, **kwargs: Any) -> NoReturn:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _not_supported(*args: Any, **kwargs: Any) -> NoReturn:
    raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))


class _SemLock:
    SEM_VALUE_MAX = 0x7FFFFFFF

    def __new__(cls, *args: Any, **kwargs: Any) -> NoReturn:
        _not_implemented()


def _limit() -> None:
    import _multiprocessing
    import _posixshmem

    _multiprocessing.SemLock = _SemLock
    _multiprocessing.sem_unlink = _not_implemented
    _posixshmem.shm_open = _posixshmem.shm_unlink = _not_implemented


def _import_subprocess_without_programs() -> None:
    """As it is imported on platforms that cannot start programs."""
    real = sys.platform
    sys.modules.pop("subprocess", None)
    sys.platform = "wasi"
    try:
        import subprocess  # noqa: F401
    finally:
        sys.platform = real


def take_away(variant: str) -> None:
    """Make the modules of this interpreter what the variant says."""
    for name in OS_FUNCTIONS:
        if hasattr(os, name):
            delattr(os, name)
    if variant in ("none", "bare"):
        for name in C_MODULES:
            sys.modules.pop(name, None)
        sys.meta_path.insert(0, _Missing(C_MODULES))
    else:
        import _posixsubprocess

        _posixsubprocess.fork_exec = _not_supported
    if variant == "limited":
        _limit()
    sys.modules.pop("subprocess", None)
    if variant != "bare":
        _import_subprocess_without_programs()


def enter(variant: str) -> None:
    """Turn this interpreter into one without processes, for good."""
    if variant != "inert":
        hide_dev_shm()
    take_away(variant)
    refuse_processes()
    os.environ[VARIABLE] = variant


def _own_arguments(arguments: list[str]) -> int:
    """How many arguments are for us and not for the program."""
    for position, argument in enumerate(arguments):
        if argument in ("--", "-m", "-c") or (
            argument[:1] != "-" and arguments[position - 1 : position] != ["--variant"]
        ):
            return position
    return len(arguments)


def main() -> None:
    """Run the program that the command line names; its exit status is ours."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", choices=VARIANTS, default=VARIANTS[0])
    own = _own_arguments(sys.argv[1:])
    options = parser.parse_args(sys.argv[1 : 1 + own])
    arguments = sys.argv[1 + own :]
    if arguments[:1] == ["--"]:
        del arguments[0]
    if not arguments:
        parser.error("name a program, -m MODULE or -c CODE to run")
    enter(options.variant)
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        sys.path[0] = os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    sys.modules["__main__"] = module = type(sys)("__main__")
    vars(module)["__builtins__"] = __builtins__
    if arguments[0] == "-c":
        sys.argv = ["-c", *arguments[2:]]
        sys.path[0] = ""
        code = compile(arguments[1], "<string>", "exec")
    else:
        sys.argv = arguments
        sys.path[0] = os.path.dirname(os.path.realpath(arguments[0]))
        vars(module)["__file__"] = arguments[0]
        with open(arguments[0], "rb") as file:
            code = compile(file.read(), arguments[0], "exec")
    exec(code, vars(module))


if __name__ == "__main__":
    main()
