# SPDX-License-Identifier: Apache-2.0
"""The public names that the compatibility page speaks of, as the running Python has them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

__all__ = ["PERSONALITY", "SINCE", "SYNC_MANAGER", "public_names"]

# Modules whose __all__ counts.
MODULES = (
    "multiprocessing",
    "multiprocessing.connection",
    "multiprocessing.dummy",
    "multiprocessing.forkserver",
    "multiprocessing.heap",
    "multiprocessing.managers",
    "multiprocessing.pool",
    "multiprocessing.popen_fork",
    "multiprocessing.popen_forkserver",
    "multiprocessing.popen_spawn_posix",
    "multiprocessing.process",
    "multiprocessing.queues",
    "multiprocessing.reduction",
    "multiprocessing.resource_tracker",
    "multiprocessing.shared_memory",
    "multiprocessing.sharedctypes",
    "multiprocessing.spawn",
    "multiprocessing.synchronize",
    "multiprocessing.util",
)

# What is documented, and in no __all__.
DOCUMENTED = (
    "concurrent.futures.ProcessPoolExecutor",
    "concurrent.futures.process.BrokenProcessPool",
    "multiprocessing.connection.Connection",
    "multiprocessing.connection.answer_challenge",
    "multiprocessing.connection.deliver_challenge",
    "multiprocessing.managers.BaseManager.shutdown",
    "multiprocessing.managers.Namespace",
    "multiprocessing.pool.AsyncResult",
    "multiprocessing.pool.IMapIterator",
    "multiprocessing.reduction.DupFd",
    "multiprocessing.sharedctypes.Synchronized",
    "multiprocessing.sharedctypes.SynchronizedArray",
    "multiprocessing.synchronize.Barrier",
)

# Classes whose public attributes count, and the name that they go by on the page.
CLASSES = {
    "multiprocessing.Process": "multiprocessing.process.BaseProcess",
    "multiprocessing.connection.Connection": "multiprocessing.connection.Connection",
    "multiprocessing.connection.Listener": "multiprocessing.connection.Listener",
    "multiprocessing.heap.BufferWrapper": "multiprocessing.heap.BufferWrapper",
    "multiprocessing.managers.BaseManager": "multiprocessing.managers.BaseManager",
    "multiprocessing.managers.SharedMemoryManager": "multiprocessing.managers.SharedMemoryManager",
    "multiprocessing.pool.Pool": "multiprocessing.pool.Pool",
    "multiprocessing.pool.AsyncResult": "multiprocessing.pool.AsyncResult",
    "multiprocessing.pool.IMapIterator": "multiprocessing.pool.IMapIterator",
    "multiprocessing.queues.Queue": "multiprocessing.queues.Queue",
    "multiprocessing.queues.JoinableQueue": "multiprocessing.queues.JoinableQueue",
    "multiprocessing.queues.SimpleQueue": "multiprocessing.queues.SimpleQueue",
    "multiprocessing.shared_memory.SharedMemory": "multiprocessing.shared_memory.SharedMemory",
    "multiprocessing.shared_memory.ShareableList": "multiprocessing.shared_memory.ShareableList",
    "multiprocessing.sharedctypes.Synchronized": "multiprocessing.sharedctypes.Synchronized",
    "multiprocessing.sharedctypes.SynchronizedArray": "multiprocessing.sharedctypes.SynchronizedArray",
    "multiprocessing.synchronize.Condition": "multiprocessing.synchronize.Condition",
    "multiprocessing.synchronize.Event": "multiprocessing.synchronize.Event",
    "multiprocessing.synchronize.Barrier": "multiprocessing.synchronize.Barrier",
    "multiprocessing.util.Finalize": "multiprocessing.util.Finalize",
    "concurrent.futures.ProcessPoolExecutor": "concurrent.futures.ProcessPoolExecutor",
}

# Attributes that instances have and classes have not.
OF_INSTANCES = (
    *(
        f"multiprocessing.synchronize.{name}.{method}"
        for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore", "Condition")
        for method in ("acquire", "release")
    ),
)

# What a SyncManager makes.
SYNC_MANAGER = [
    "Array",
    "BoundedSemaphore",
    "Barrier",
    "Condition",
    "Event",
    "JoinableQueue",
    "Lock",
    "Namespace",
    "Pool",
    "Queue",
    "RLock",
    "Semaphore",
    "Value",
    "dict",
    "list",
]

# What is not part of multiprocessing and concerns the calling process.
PERSONALITY = (
    *(
        f"os.{name}"
        for name in [
            "_exit",
            "abort",
            "chdir",
            "close",
            "dup2",
            "environ",
            "execv",
            "fork",
            "forkpty",
            "getcwd",
            "getpgid",
            "getpgrp",
            "getpid",
            "getppid",
            "getsid",
            "kill",
            "killpg",
            "nice",
            "posix_spawn",
            "putenv",
            "read",
            "register_at_fork",
            "setpgid",
            "setpgrp",
            "setsid",
            "system",
            "umask",
            "waitpid",
            "write",
        ]
    ),
    "resource.setrlimit",
    *(
        f"signal.{name}"
        for name in [
            "SIGSTOP",
            "alarm",
            "getitimer",
            "getsignal",
            "raise_signal",
            "setitimer",
            "signal",
        ]
    ),
    "subprocess.Popen",
    *(f"sys.{name}" for name in ["argv", "exit", "modules", "stderr", "stdin", "stdout"]),
    "threading.Thread",
    "threading.main_thread",
    "time.sleep",
    "atexit.register",
    "random.random",
    "contextvars.ContextVar",
)

# Names that came after the oldest Python that is supported.
SINCE = {
    "concurrent.futures.ProcessPoolExecutor.kill_workers": (3, 14),
    "concurrent.futures.ProcessPoolExecutor.terminate_workers": (3, 14),
    "multiprocessing.Process.interrupt": (3, 14),
    "multiprocessing.synchronize.Lock.locked": (3, 14),
    "multiprocessing.synchronize.RLock.locked": (3, 14),
    "multiprocessing.managers.SyncManager.set": (3, 14),
    "multiprocessing.util.warn": (3, 14),
}


def _resolve(dotted: str) -> Any:
    """The object that a dotted name stands for."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _members(cls: type) -> Iterator[str]:
    return (name for name in dir(cls) if not name.startswith("_") and name not in dir(object))


def public_names() -> set[str]:
    """All of them."""
    names = {*DOCUMENTED, *OF_INSTANCES, *PERSONALITY}
    for module in MODULES:
        names |= {f"{module}.{name}" for name in importlib.import_module(module).__all__}
    for shown, cls in CLASSES.items():
        names |= {f"{shown}.{name}" for name in _members(_resolve(cls))}
    names |= {f"multiprocessing.managers.SyncManager.{name}" for name in SYNC_MANAGER}
    for locks in ("Lock", "RLock"):
        if hasattr(_resolve(f"multiprocessing.synchronize.{locks}"), "locked"):
            names.add(f"multiprocessing.synchronize.{locks}.locked")
    manager = _resolve("multiprocessing.managers.SyncManager")
    if "set" in manager._registry:
        names.add("multiprocessing.managers.SyncManager.set")
    return names
