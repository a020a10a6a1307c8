# SPDX-License-Identifier: Apache-2.0
"""Tasks of a pool: how they are packed, and the worker that runs them.

A worker touches nothing of the pool's but channels and a semaphore, so that it may be ended at any
moment. A task says where its result shall go, and holds its job, which holds the pool: a pool lives
while there is work for it.
"""

from __future__ import annotations

import sys
import traceback
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import islice, starmap
from multiprocessing import pool as mp
from multiprocessing import util
from typing import Any

from forkless import _core
from forkless.exceptions import RemoteTraceback
from forkless.reduction import dumps, loads, reference

__all__ = ["Share", "Work", "give_back", "single_task", "unpack", "worker"]

QUEUED = 1024  # tasks that wait for a worker at most; others wait where they come from
HEAVY = 4096  # bytes from which on a task counts as heavy
_SEMAPHORE = 1

_NOT_PLAIN = object()
_NUMBERS = frozenset((int, float, bool, complex, type(None)))
_BY_NAME = (types.FunctionType, types.BuiltinFunctionType, type)


class Share:
    """What a pool and its workers have in common."""

    def __init__(self, processes: int) -> None:
        self.tasks = _core.Channel(QUEUED)
        self.events = _core.Channel()  # results that somebody in the background waits for
        # Heavy tasks that may wait for a worker: as many as there are workers, so that what an
        # iterable gives is not copied long before it is needed.
        self.room = _core.SemLock(_SEMAPHORE, processes, processes)

    def __reduce__(self) -> Any:
        return reference(self)


def give_back(room: _core.SemLock) -> None:
    """Let one more heavy task wait."""
    try:
        room.release()
    except ValueError:
        pass  # given back already, for a worker that died


# Packing

_PLAIN, _PAYLOAD, _ALL = 0, 1, 2  # what of a task is pickled


def is_shared(func: Any) -> bool:
    """Whether pickling would send `func` as a name only, so that it may be shared as it is."""
    if type(func) not in _BY_NAME:
        return False
    module = sys.modules.get(func.__module__)
    return getattr(module, func.__qualname__, None) is func


def _dumps(value: Any) -> Any:
    parcel = dumps(value)
    return bytes(parcel) if isinstance(parcel, memoryview) else parcel


def _is_large(parcel: Any) -> bool:
    return type(parcel) is not bytes or len(parcel) > HEAVY


def pack(value: Any) -> tuple[Any, bool]:
    """A private copy of `value`, or its pickle and True. Raises what pickling raises."""
    copied = _core.try_copy(value, _NOT_PLAIN)
    if copied is _NOT_PLAIN:
        return _dumps(value), True
    return copied, False


def unpack(value: Any, packed: bool) -> Any:
    """What pack() was given. Raises what unpickling raises."""
    return loads(value) if packed else value


def is_light(value: Any, depth: int = 2) -> bool:
    """Whether a copy of `value`, plain data, is small beyond doubt."""
    kind = type(value)
    if kind in _NUMBERS:
        return True
    if kind is str or kind is bytes:
        return len(value) <= HEAVY // 4
    if not depth:
        return False
    if kind is tuple or kind is list:
        if len(value) > 64:
            return set(map(type, value)) <= _NUMBERS  # they are shared, not copied
        return all(is_light(item, depth - 1) for item in value)
    if kind is dict:
        return len(value) <= 16 and is_light([*value, *value.values()], depth)
    return False


Task = tuple[Any, ...]


def single_task(
    job: Any, results: _core.Channel, tag: Any, func: Any, args: Any, kwds: Any
) -> Task:
    """The task that does func(*args, **kwds) and sends the result, with `tag`, to `results`. It holds
    `job`. Raises what pickling raises."""
    shared = is_shared(func)
    if shared and not kwds and type(args) is tuple and _NUMBERS.issuperset(map(type, args)):
        return job, results, tag, call_star, func, args, _PLAIN, False
    return job, results, tag, call, *_pack_task(func if shared else None, func, (args, kwds))


class Work:
    """Where the tasks of a job come from. `call(func, payload)` is done for each payload."""

    def __init__(
        self, job: Any, call: Any, func: Any, payloads: Iterable[Any], at_hand: bool = False
    ) -> None:
        """With `at_hand`, what is in the payloads exists already, so that sharing it costs nothing."""
        self.job = job
        self.at_hand = at_hand
        self.tasks = self._make_tasks(call, func, payloads)
        self.refused: Task | None = None  # for which there was no room

    def _make_tasks(self, call: Any, func: Any, payloads: Iterable[Any]) -> Iterator[Task]:
        """Tasks, each with whether it is heavy at its end. What goes wrong becomes a result."""
        job, results, tag_of = self.job, self.job.results, self.job.tag
        shared = is_shared(func)
        index = 0
        try:
            for payload in payloads:
                tag = index if tag_of is None else tag_of(index)
                index += 1
                if shared and type(payload) in _NUMBERS:
                    yield job, results, tag, call, func, payload, _PLAIN, False
                    continue
                try:
                    packed = _pack_task(func if shared else None, func, payload, self.at_hand)
                except Exception as error:
                    results.put_ref((tag, False, error, False))
                    continue
                yield job, results, tag, call, *packed
        except Exception as error:
            error.__traceback__ = None  # it is the caller's own, and needs none from the worker
            tag = index if tag_of is None else tag_of(index)
            index += 1
            try:
                yield job, results, tag, _reraise, None, _dumps(error), _PAYLOAD, False
            except Exception as failure:
                results.put_ref((tag, False, failure, False))
        self.job.set_length(index)


def _pack_task(
    shared: Any, func: Any, payload: Any, at_hand: bool = False
) -> tuple[Any, Any, int, bool]:
    if shared is None:
        pickled = _dumps((func, payload))
        return None, pickled, _ALL, _is_large(pickled)
    copied, packed = pack(payload)
    if packed:
        return func, copied, _PAYLOAD, _is_large(copied)
    was_shared = at_hand and copied is payload
    return func, copied, _PLAIN, not was_shared and not is_light(copied)


def chunks(iterable: Iterable[Any], size: int) -> Iterator[tuple[Any, ...]]:
    """The items of `iterable`, `size` at a time."""
    iterator = iter(iterable)
    while chunk := tuple(islice(iterator, size)):
        yield chunk


# What is done with a function and a payload


def call(func: Any, payload: Any) -> Any:
    args, kwds = payload
    return func(*args, **kwds)


def call_one(func: Any, payload: Any) -> Any:
    return func(payload)


def call_star(func: Any, payload: Any) -> Any:
    return func(*payload)


def call_chunk(func: Any, payload: Any) -> tuple[Any, ...]:
    return tuple(map(func, payload))


def call_star_chunk(func: Any, payload: Any) -> tuple[Any, ...]:
    return tuple(starmap(func, payload))


def _reraise(_func: Any, payload: Any) -> Any:
    raise payload


# The worker


def worker(
    share: Share,
    initializer: Callable[..., object] | None = None,
    initargs: Any = (),
    maxtasks: int | None = None,
    wrap_exception: bool = True,
) -> None:
    """The life of a worker: it ends after `maxtasks` tasks, or when there will be no more of them."""
    if initializer is not None:
        initializer(*initargs)
    outbox: list[Any] = []  # the last result and where it shall go
    completed = 0
    while maxtasks is None or completed < maxtasks:
        try:
            task = share.tasks.get_after(outbox) if outbox else share.tasks.get()
        except EOFError:
            util.debug("worker got EOFError -- exiting")
            break
        except ValueError:
            continue  # the pool was terminated, and nobody wants the result
        _perform(task, outbox, share.room, wrap_exception)
        task = None
        completed += 1
    if outbox:
        outbox[0].put_ref(outbox[1])
    util.debug("worker exiting after %d tasks", completed)


def _perform(task: Task, outbox: list[Any], room: _core.SemLock, wrap_exception: bool) -> None:
    """Run a task and leave its result in `outbox`. Raises only what ends the worker."""
    _job, results, tag, call, func, payload, packed, heavy = task
    if heavy:
        give_back(room)
    value: Any
    try:
        if packed == _PAYLOAD:
            payload = loads(payload)
        elif packed == _ALL:
            func, payload = loads(payload)
        value = call(func, payload)
        success = True
    except Exception as error:
        value, success = error, False
        if not wrap_exception or call is _reraise:
            error.__traceback__ = None
    try:
        if not success:
            dumps(value, strict=True)  # else a stand-in would travel
        copied, pickled = pack(value)
    except Exception as error:
        success, (copied, pickled) = False, pack(_encoding_error(error, value))
    outbox[:] = results, (tag, success, copied, pickled)
    del value  # an exception refers to this frame


def _encoding_error(reason: Exception, value: Any) -> Any:
    error = mp.MaybeEncodingError(reason, value)  # type: ignore[attr-defined]
    util.debug("Possible encoding error while sending result: %s", error)
    if isinstance(value, BaseException):
        error.__cause__ = RemoteTraceback("".join(traceback.format_exception(value)))
    return error
