# SPDX-License-Identifier: Apache-2.0
"""Calling a function in a simulated process, and processes that take a step when they are told to."""

from __future__ import annotations

from typing import Any


def call(context: Any, function: Any, *args: Any) -> Any:
    """What a function returns in a process, or the type and the text of what it raised."""
    answers = context.Queue()
    process = context.Process(target=_answer, args=(answers, function, *args))
    process.start()
    answer = answers.get(timeout=30)
    process.join(30)
    assert process.exitcode == 0
    return answer


def _answer(answers: Any, function: Any, *args: Any) -> None:
    try:
        answers.put(function(*args))
    except Exception as error:
        answers.put((type(error).__name__, str(error)))


class Puppet:
    """A process that lives until it is closed and calls the functions that it is given."""

    def __init__(self, context: Any) -> None:
        self._calls, self._answers = context.Queue(), context.Queue()
        self.process = context.Process(target=_serve, args=(self._calls, self._answers))
        self.process.start()

    def tell(self, function: Any, *args: Any) -> None:
        self._calls.put((function, args))

    def answer(self) -> Any:
        return self._answers.get(timeout=30)

    def call(self, function: Any, *args: Any) -> Any:
        self.tell(function, *args)
        return self.answer()

    def close(self) -> None:
        self._calls.put(None)
        self.process.join(30)
        assert self.process.exitcode == 0


def _serve(calls: Any, answers: Any) -> None:
    while (step := calls.get()) is not None:
        _answer(answers, step[0], *step[1])
