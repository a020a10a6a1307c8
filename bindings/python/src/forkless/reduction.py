# SPDX-License-Identifier: Apache-2.0
"""How objects cross between actors when they are not plain data.

Mirrors multiprocessing.reduction and uses its ForkingPickler, so that what a program registered there
counts here too. Differs: what becomes of exceptions, see forkless.exceptions.
"""

from __future__ import annotations

import io
import itertools
import pickle
import weakref
from multiprocessing import context as mp_context
from multiprocessing.reduction import ForkingPickler
from typing import Any

from forkless import _core, exceptions

__all__ = ["Pickler", "dumps", "loads", "reference"]


class Pickler(ForkingPickler):
    """The pickler of dumps(). Exceptions are reduced by forkless.exceptions."""

    root: BaseException | None = None  # an exception that is pickled as it is
    strict = False  # see exceptions.reduce()

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.open: set[int] = set()
        self.depths: dict[int, int] = {}

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, BaseException) and obj is not self.root:
            return exceptions.reduce(self, obj)
        return NotImplemented


def dumps(obj: Any, strict: bool = False) -> Any:
    """Pickle an object for another actor.

    An exception that cannot be pickled becomes a RemoteError, or raises what happens if `strict`.
    """
    buffer = io.BytesIO()
    pickler = Pickler(buffer, pickle.HIGHEST_PROTOCOL)
    pickler.strict = strict
    pickler.dump(obj)
    return buffer.getbuffer()


loads = pickle.loads

# Objects that all actors share (locks, queues): they are pickled as a number. The registry does not
# keep them alive; whoever sends one does until it has been received.
_shared: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_numbers = itertools.count(1)


def reference(obj: Any) -> tuple[Any, tuple[int]]:
    """For __reduce__ of an object that is shared by reference: only while a process is started."""
    mp_context.assert_spawning(obj)
    number = vars(obj).get("_forkless_number")
    if number is None:
        number = obj._forkless_number = next(_numbers)
    _shared[number] = obj
    return _dereference, (number,)


def _dereference(number: int) -> Any:
    return _shared[number]


_core.configure(
    dumps=dumps,
    loads=loads,
    error_record=exceptions.error_record,
    rebuild_error=exceptions.rebuild_error,
)
