# SPDX-License-Identifier: Apache-2.0
"""How objects cross between actors when they are not plain data.

Mirrors multiprocessing.reduction and uses its ForkingPickler, so that what a program registered there
counts here too. Differs: an exception keeps its traceback, as text, in its cause.
"""

from __future__ import annotations

import io
import itertools
import pickle
import threading
import traceback
import weakref
from multiprocessing import context as mp_context
from multiprocessing.reduction import ForkingPickler
from typing import Any

from forkless import _core

__all__ = ["RemoteTraceback", "dumps", "error_record", "loads", "reference"]


class RemoteTraceback(Exception):
    """The cause of an exception that came from another actor: its traceback there, as text."""

    def __init__(self, trace: str) -> None:
        super().__init__(trace)
        self.trace = trace

    def __str__(self) -> str:
        return f'\n"""\n{self.trace}"""'


def _rebuild_exception(trace: str, function: Any, args: Any, state: Any = None, *rest: Any) -> Any:
    error = function(*args)
    if state is not None:
        if hasattr(error, "__setstate__"):
            error.__setstate__(state)
        else:
            vars(error).update(state)
    error.__cause__ = RemoteTraceback(trace)
    return error


class _Pickler(ForkingPickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseException) and obj.__traceback__ is not None:
            reduced = obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
            if isinstance(reduced, tuple):
                trace = "".join(traceback.format_exception(obj))
                return _rebuild_exception, (trace, *reduced)
        return NotImplemented


def dumps(obj: Any) -> Any:
    """Pickle an object for another actor."""
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(obj)
    return buffer.getbuffer()


loads = pickle.loads

# Objects that all actors share (locks, queues): they are pickled as a number. The registry does not
# keep them alive; whoever sends one does until it has been received.
_shared: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)
_numbering = threading.Lock()


def reference(obj: Any) -> tuple[Any, tuple[int]]:
    """For __reduce__ of an object that is shared by reference: only while a process is started."""
    mp_context.assert_spawning(obj)
    with _numbering:  # the same number for all, whoever asks first
        number = vars(obj).get("_forkless_number")
        if number is None:
            number = obj._forkless_number = next(_numbers)
        _shared[number] = obj
    return _dereference, (number,)


def _dereference(number: int) -> Any:
    return _shared[number]


def error_record(error: BaseException) -> dict[str, Any]:
    """What an exit record says about an exception: plain data, readable by actors written in C."""
    record: dict[str, Any] = {
        "type": f"{type(error).__module__}.{type(error).__qualname__}",
        "message": _text(error),
        "trace": "".join(traceback.format_exception(error)),
    }
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list) and notes:
        record["notes"] = [str(note) for note in notes]
    return record


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"<{type(error).__name__}.__str__ raised {type(failure).__name__}>"


class RemoteError(Exception):
    """An exception of an actor that is not written in Python, or that this program does not know."""


def _rebuild_error(record: Any) -> BaseException:
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise _core.CorruptMessage("an error record is not a map with a 'type'")
    notes = record.get("notes", [])
    if not isinstance(notes, list):
        raise _core.CorruptMessage("the 'notes' of an error record are not an array")
    if isinstance(record.get("pickle"), bytes):
        try:
            return loads(record["pickle"])
        except Exception:
            pass  # a type that this program does not know: the rest of the record will do
    error = RemoteError(f"{record['type']}: {record.get('message', '')}")
    for note in notes:
        error.add_note(str(note))
    cause = record.get("cause")
    error.__cause__ = cause if isinstance(cause, BaseException) else None
    if "trace" in record:
        remote = RemoteTraceback(str(record["trace"]))
        remote.__cause__ = error.__cause__
        error.__cause__ = remote
    return error


_core.configure(dumps=dumps, loads=loads, rebuild_error=_rebuild_error)
