# SPDX-License-Identifier: Apache-2.0
"""Who takes part: ways to run Python functions in processes, real or not, behind one interface.

Imported by the program that measures one contender, so nothing here imports what another one needs.
"""

from __future__ import annotations

import importlib
import importlib.util
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import Any

WORKERS = 2

Function = Callable[[Any], Any]


class Pool:
    """A pool of WORKERS workers that has the interface of multiprocessing.Pool."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    def map_one_by_one(self, function: Function, items: list[Any]) -> list[Any]:
        return self.pool.map(function, items, chunksize=1)

    def map(self, function: Function, items: list[Any]) -> list[Any]:
        return self.pool.map(function, items)

    def unordered(self, function: Function, items: list[Any]) -> Iterable[Any]:
        return self.pool.imap_unordered(function, items)

    def apply(self, function: Function, item: Any) -> Any:
        return self.pool.apply(function, (item,))

    def close(self) -> None:
        self.pool.close()
        self.pool.join()


class MpirePool(Pool):
    def map_one_by_one(self, function: Function, items: list[Any]) -> list[Any]:
        return self.pool.map(function, items, chunk_size=1)

    def close(self) -> None:
        self.pool.stop_and_join()


class Executor(Pool):
    """An executor of concurrent.futures."""

    def map_one_by_one(self, function: Function, items: list[Any]) -> list[Any]:
        return list(self.pool.map(function, items, chunksize=1))

    def unordered(self, function: Function, items: list[Any]) -> Iterable[Any]:
        return (f.result() for f in as_completed([self.pool.submit(function, i) for i in items]))

    def apply(self, function: Function, item: Any) -> Any:
        return self.pool.submit(function, item).result()

    def close(self) -> None:
        self.pool.shutdown()


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    module: str  # that it needs
    context: Callable[[], Any] | None  # makes what has Process, Queue and Pipe
    pool: Callable[[], Pool] | None
    real: bool = True  # whether its processes are processes of the system

    def is_there(self) -> bool:
        if importlib.util.find_spec(self.module) is None:
            return False
        if self.module != "forkless":
            return True
        importlib.import_module("forkless")
        return self.name in multiprocessing.get_all_start_methods()


def _standard(name: str, title: str, module: str = "multiprocessing") -> Contender:
    def context() -> Any:
        importlib.import_module(module)
        return multiprocessing.get_context(name)

    def pool() -> Pool:
        return Pool(context().Pool(WORKERS))

    return Contender(name, title, module, context, pool, module == "multiprocessing")


def _dummy() -> Any:
    return importlib.import_module("multiprocessing.dummy")


def _billiard() -> Any:
    return importlib.import_module("billiard").get_context("fork")


def _futures() -> Pool:
    futures = importlib.import_module("concurrent.futures")
    fork = multiprocessing.get_context("fork")
    return Executor(futures.ProcessPoolExecutor(WORKERS, mp_context=fork))


def _loky() -> Pool:
    return Executor(importlib.import_module("loky").ProcessPoolExecutor(WORKERS))


def _mpire() -> Pool:
    workers = importlib.import_module("mpire").WorkerPool(WORKERS, start_method="fork")
    return MpirePool(workers)


CONTENDERS = {
    c.name: c
    for c in (
        _standard("actor", "forkless, actors", "forkless"),
        _standard("interpreter", "forkless, subinterpreters", "forkless"),
        _standard("fork", "multiprocessing, fork"),
        _standard("forkserver", "multiprocessing, forkserver"),
        _standard("spawn", "multiprocessing, spawn"),
        Contender(
            "dummy",
            "multiprocessing.dummy, threads without copies",
            "multiprocessing.dummy",
            _dummy,
            lambda: Pool(_dummy().Pool(WORKERS)),
            real=False,
        ),
        Contender("futures", "ProcessPoolExecutor on fork", "concurrent.futures", None, _futures),
        Contender("loky", "loky", "loky", None, _loky),
        Contender(
            "billiard",
            "billiard, fork",
            "billiard",
            _billiard,
            lambda: Pool(_billiard().Pool(WORKERS)),
        ),
        Contender("mpire", "mpire, fork", "mpire", None, _mpire),
    )
}
