# SPDX-License-Identifier: Apache-2.0
"""How exceptions cross between actors, and what exit records say about them.

An exception arrives with its type, arguments, attributes, notes, cause, context and the members of its
group. Its traceback cannot travel; its text does, in a RemoteTraceback at the end of the chain of causes.
Differs from multiprocessing, where an exception that cannot be pickled is lost and one that cannot be
unpickled breaks whoever receives it: here both arrive as a RemoteError.

What an exception is made of is pickled on its own, inside of the pickle that it is a part of, so that no
failure there concerns anything else.
"""

from __future__ import annotations

import io
import pickle
import traceback
from collections.abc import Iterator
from multiprocessing.pool import RemoteTraceback  # type: ignore[attr-defined]
from typing import Any

from forkless import _core

__all__ = [
    "ErrorRecord",
    "RemoteError",
    "RemoteTraceback",
    "error_record",
    "rebuild_error",
    "reduce",
]

# Causes and contexts further away are left out, as objects: the text of the traceback has them all.
_DEEPEST = 50


class RemoteError(Exception):
    """Stands for an exception of another actor that cannot be made here.

    That actor is not written in Python, or this program does not know the type, or the exception cannot
    be pickled, or not be made again from its pickle; `reason` says which. It has the notes of the
    original, and its traceback is that of any exception that comes from another actor.
    """

    def __init__(self, type_name: str, message: str = "", reason: str | None = None) -> None:
        super().__init__(type_name, message)
        self.type_name = type_name
        self.message = message
        self.reason = reason

    def __reduce__(self) -> Any:
        return RemoteError, (self.type_name, self.message, self.reason), dict(vars(self))

    def __str__(self) -> str:
        return f"{self.type_name}: {self.message}" if self.message else self.type_name


RemoteError.__module__ = "forkless"


class ErrorRecord(dict[str, Any]):
    """An error record inside of another one. The extension packs it as FKL_EXT_ERROR."""


# Pickles


def reduce(pickler: Any, error: BaseException) -> Any:
    """What `reducer_override` of a pickler returns for an exception.

    `pickler` has the attributes `open`, a set that is shared by all picklers of one object, `depths`, a
    dictionary of its own, and `strict`: whether an exception that cannot be pickled, or not be made
    again, raises what happens then. If not, nothing but MemoryError is raised.
    """
    if type(error) is RemoteTraceback:
        return NotImplemented
    if pickler.strict:
        return _rebuild, (_dump_alone(pickler, error),), _links(pickler, error), None, None, _link
    own, reason = _pickle_alone(pickler, error)
    summary = (own, (_type_name(error), _text(error), _notes(error), reason))
    return _rebuild, summary, _links(pickler, error), None, None, _link


def _pickle_alone(pickler: Any, error: BaseException) -> tuple[bytes | None, str | None]:
    """The pickle of an exception without its links, or why there is none."""
    try:
        return _dump_alone(pickler, error), None
    except MemoryError:
        raise
    except Exception as failure:
        return None, _summary(failure)


def _dump_alone(pickler: Any, error: BaseException) -> bytes:
    if id(error) in pickler.open:
        raise pickle.PicklingError(f"{_type_name(error)}: the exception is made of itself")
    buffer = io.BytesIO()
    inner = type(pickler)(buffer, pickle.HIGHEST_PROTOCOL)
    inner.root, inner.open, inner.strict = error, pickler.open, pickler.strict
    pickler.open.add(id(error))
    try:
        inner.dump(error)
    finally:
        pickler.open.discard(id(error))
    return buffer.getvalue()


def _links(pickler: Any, error: BaseException) -> tuple[Any, ...]:
    """The cause and the context of an exception, and the text of its traceback."""
    depth = pickler.depths.get(id(error), 0)
    trace = _trace(error) if depth == 0 and _was_raised(error) else None

    def link(other: BaseException | None) -> BaseException | None:
        if other is None or id(other) in pickler.open or depth >= _DEEPEST:
            return None
        if trace is not None and type(other) is RemoteTraceback:
            return None  # the text of the traceback has it
        pickler.depths.setdefault(id(other), depth + 1)
        return other

    cause, context = link(error.__cause__), link(error.__context__)
    return cause, context, error.__suppress_context__, trace


def _was_raised(error: BaseException) -> bool:
    return any(e.__traceback__ is not None for e in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and those that a traceback shows with it, the cause of each before its context."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        yield following
        seen.add(id(following))
        if following.__cause__ is not None or following.__suppress_context__:
            following = following.__cause__
        else:
            following = following.__context__


def _rebuild(own: bytes | None, summary: tuple[Any, ...] | None = None) -> Any:
    reason = None
    if own is not None:
        try:
            return pickle.loads(own)
        except MemoryError:
            raise
        except Exception as failure:
            if summary is None:
                raise
            reason = _summary(failure)
    assert summary is not None
    type_name, message, notes, no_pickle = summary
    return _stand_in(type_name, message, notes, no_pickle or reason)


def _stand_in(type_name: str, message: str, notes: list[str], reason: str | None) -> RemoteError:
    error = RemoteError(type_name, message, reason)
    for note in notes:
        error.add_note(note)
    return error


def _link(error: Any, links: tuple[Any, ...]) -> None:
    """Give an exception that was rebuilt its cause, its context and its traceback."""
    if not isinstance(error, BaseException):
        return  # its class has it pickled as something else
    cause, context, suppress, trace = links
    error.__cause__ = cause
    error.__context__ = context
    error.__suppress_context__ = suppress
    if trace is not None:
        _add_trace(error, trace)


def _add_trace(error: BaseException, trace: str) -> None:
    """Put a traceback at the end of the chain of causes."""
    last, seen = error, {id(error)}
    while last.__cause__ is not None and id(last.__cause__) not in seen:
        last = last.__cause__
        seen.add(id(last))
    suppress = last.__suppress_context__
    last.__cause__ = RemoteTraceback(f'\n"""\n{trace}"""')
    last.__suppress_context__ = suppress


# Texts, of objects that may do anything when they are asked


def _type_name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as failure:
        return f"<{type(error).__name__}.__str__ raised {type(failure).__name__}>"


def _summary(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {_text(failure)}"


def _notes(error: BaseException) -> list[str]:
    notes = getattr(error, "__notes__", None)
    if not isinstance(notes, list | tuple):
        return []
    texts = []
    for note in notes:
        try:
            texts.append(str(note))
        except Exception as failure:
            texts.append(f"<a note whose __str__ raised {type(failure).__name__}>")
    return texts


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except Exception as failure:  # such as a __notes__ that raises
        frames = "".join(traceback.format_tb(error.__traceback__))
        head = "Traceback (most recent call last):\n"
        return f"{head}{frames}{_type_name(error)}: {_text(error)}\n({_summary(failure)})\n"


# Records: plain data, readable by actors written in C. See FKL_EXT_ERROR in forkless/codec.h.


def error_record(error: BaseException) -> dict[str, Any]:
    """What there is to say about an exception, and its pickle."""
    from forkless.reduction import dump_whole

    record = _record(error)
    record["trace"] = _trace(error)
    inner = record
    for cause in list(_chain(error))[1:_DEEPEST]:
        if type(cause) is not RemoteTraceback:
            inner["cause"] = inner = _record(cause)
    record["pickle"] = dump_whole(error)  # of a stand-in, where there is no other
    return dict(record)


def _record(error: BaseException) -> ErrorRecord:
    record = ErrorRecord(type=_type_name(error), message=_text(error))
    notes = _notes(error)
    if notes:
        record["notes"] = notes
    return record


def rebuild_error(record: Any) -> BaseException:
    """The exception that a record tells of. Raises CorruptMessage for what is no record."""
    if not isinstance(record, dict) or not isinstance(record.get("type"), str):
        raise _core.CorruptMessage("an error record is not a map with a 'type'")
    notes = record.get("notes", [])
    if not isinstance(notes, list):
        raise _core.CorruptMessage("the 'notes' of an error record are not an array")
    reason = None
    if isinstance(record.get("pickle"), bytes):
        try:
            error = pickle.loads(record["pickle"])
            if isinstance(error, BaseException):
                return error
            reason = f"its pickle is of a {type(error).__name__}"
        except Exception as failure:
            reason = _summary(failure)
    texts = [str(note) for note in notes]
    remote = _stand_in(record["type"], str(record.get("message", "")), texts, reason)
    cause = record.get("cause")
    remote.__cause__ = cause if isinstance(cause, BaseException) else None
    if "trace" in record:
        _add_trace(remote, str(record["trace"]))
    return remote
