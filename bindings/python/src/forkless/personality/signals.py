# SPDX-License-Identifier: Apache-2.0
"""Signals between simulated processes: the part of `signal`, os.kill and os.killpg.

A signal whose action is the default one and deadly publishes the exit code at once and unwinds the
actor's threads. A handler runs in the actor's own thread when the actor signals itself, and otherwise
in a helper thread of the actor, because CPython runs no code in a given thread on demand; what the
handler raises is raised in the actor's own thread.

Differs from processes: stopping (SIGSTOP, SIGTSTP) has no effect; blocking waits of C code that knows
nothing of forkless are not interrupted; os.kill(0, …) reaches actors of the group only.
"""

from __future__ import annotations

import _thread
import errno
import os
import signal
import threading
import time
from _thread import get_ident, start_new_thread
from collections.abc import Callable
from typing import Any

from forkless import _core
from forkless.actors import FIRST_PID, MAIN, Actor, find, group_members, live
from forkless.patches import PatchSet
from forkless.personality.ids import end_now, no_such_process, unwind

__all__ = [
    "IGNORE",
    "deliver",
    "install",
    "is_deadly",
    "mask_of_caught",
    "relay",
    "relays",
    "run_handler",
    "terminate",
]

_IGNORED_BY_DEFAULT = {
    getattr(signal, name)
    for name in (
        "SIGCHLD",
        "SIGURG",
        "SIGWINCH",
        "SIGCONT",
        "SIGSTOP",
        "SIGTSTP",
        "SIGTTIN",
        "SIGTTOU",
    )
    if hasattr(signal, name)
}
_UNCATCHABLE = {signal.SIGKILL, signal.SIGSTOP}

IGNORE = signal.SIG_IGN


def _at_start(signum: int) -> Any:
    """What a process that runs Python begins with."""
    if signum == signal.SIGINT:
        return signal.default_int_handler
    ignored = [getattr(signal, name, None) for name in ("SIGPIPE", "SIGXFSZ")]
    return signal.SIG_IGN if signum in ignored else signal.SIG_DFL


# The interpreter that the real process began with has set the handlers; others must not look at them.
_real_getsignal = signal.getsignal if _core.IS_MAIN else _at_start


def terminate(actor: Actor, signum: int) -> None:
    """End an actor as a deadly signal does. No effect when it has ended."""
    if actor is _core.current() and get_ident() == actor.thread_ident:
        end_now(actor, -signum)
    if actor.kill(-signum):
        actor.ended = time.time()
        unwind(actor, -signum)


def _handler(actor: Actor, signum: int) -> Any:
    """What an actor does on a signal: its own setting, or else that of the real process."""
    if signum in _UNCATCHABLE:
        return signal.SIG_DFL
    if signum in actor.handlers:
        return actor.handlers[signum]
    return _handler_of_main(signum) or signal.SIG_DFL


def is_deadly(signum: int) -> bool:
    """Whether a signal ends a process that has set nothing for it."""
    return signum not in _IGNORED_BY_DEFAULT


def mask_of_caught(handlers: dict[int, Any]) -> int:
    """The signals, as bits, that do not simply end an actor which has set these handlers."""
    numbers = {*handlers, signal.SIGINT, *(s for s in signal.valid_signals() if _at_start(s))}
    kept = [s for s in numbers if handlers.get(s, _at_start(s)) != signal.SIG_DFL]
    return sum(1 << (s - 1) for s in kept)


def deliver(actor: Actor, signum: int) -> None:
    """Send a signal to an actor that lives."""
    if actor.is_distant:
        actor.deliver(signum)
        return
    handler = _handler(actor, signum)
    if handler == signal.SIG_IGN:
        return
    if handler == signal.SIG_DFL:
        if signum not in _IGNORED_BY_DEFAULT:
            terminate(actor, signum)
    elif actor is _core.current() and get_ident() == actor.thread_ident:
        handler(signum, None)
    elif handler is signal.default_int_handler:
        actor.throw(KeyboardInterrupt())
    else:
        start_new_thread(actor.run, (run_handler, actor, handler, signum))


def run_handler(actor: Actor, handler: Callable[[int, Any], object], signum: int) -> None:
    """Call a handler for the thread of the actor, and throw what it raises. In a helper of the actor."""
    import sys

    try:
        handler(signum, sys._current_frames().get(actor.thread_ident))
    except BaseException as error:
        actor.throw(error)


# The interrupt from the keyboard
#
# A terminal sends SIGINT to every process of a group. What arrives here is one signal for the real
# process, whose handler passes it on to the actors of its group and then does what the real process
# has set. A SIGINT that one of us has sent to the real process alone stays there.

_real_signal = signal.signal
_main_interrupt: Any = None  # what the real process does on SIGINT while _relay() is the handler
_directed = False  # the next SIGINT is for the real process alone


def _relay(signum: int, frame: Any) -> Any:
    global _directed
    directed, _directed = _directed, False
    try:
        for member in [] if directed else group_members(MAIN.pgid):
            deliver(member, signum)
    finally:
        if callable(_main_interrupt):
            _main_interrupt(signum, frame)


def relays() -> bool:
    """Whether an interrupt is passed on, or cannot be."""
    return _main_interrupt is not None


def relay() -> None:
    """Pass interrupts on, if this is the main thread and the real process handles them."""
    handler = _real_getsignal(signal.SIGINT)
    if callable(handler) and handler is not _relay:
        try:
            _set_main_interrupt(handler)
        except ValueError:
            pass  # some other thread: one more try when it starts a process


def stop_relaying() -> None:
    """Give the signal back to the handler that the real process has set."""
    global _main_interrupt
    if _real_getsignal(signal.SIGINT) is _relay:
        try:
            _real_signal(signal.SIGINT, _main_interrupt)
        except ValueError:
            return  # some other thread; without processes it does no harm
    _main_interrupt = None


def _set_main_interrupt(handler: Any) -> Any:
    global _main_interrupt
    if handler == signal.SIG_DFL or not (callable(handler) or handler == signal.SIG_IGN):
        before = _real_signal(signal.SIGINT, handler)  # the end for all; or it says what is wrong
    else:
        before = _real_signal(signal.SIGINT, _relay)
    before = _main_interrupt if before is _relay else before
    _main_interrupt = handler
    return before


def _handler_of_main(signum: int) -> Any:
    handler = _real_getsignal(signum)
    return _main_interrupt if handler is _relay else handler


def _set_handler_of_main(signum: int, handler: Any) -> Any:
    set_ = _set_main_interrupt if signum == signal.SIGINT else None
    before = set_(handler) if set_ else _real_signal(signum, handler)
    for actor in live():  # they have inherited what it was
        if signum not in actor.handlers:
            actor.handlers = {**actor.handlers, signum: before or signal.SIG_DFL}
    return before


def install(patches: PatchSet) -> None:
    """Replace the functions of `os` and `signal`."""
    relay()
    patches.call_on_undo(stop_relaying)
    patches.attribute(_thread, "interrupt_main", _interrupt_main_function())
    for owner, functions in (
        (os, _kill_functions()),
        (signal, _handler_functions() + _timer_functions() + _self_functions()),
    ):
        for function in functions:
            if hasattr(owner, function.__name__):
                patches.attribute(owner, function.__name__, function)


def _note_direct(signum: int, alone: bool) -> None:
    global _directed
    if signum == signal.SIGINT and alone and _real_getsignal(signum) is _relay:
        _directed = True


def _interrupt_main_function() -> Any:
    real_interrupt_main = _thread.interrupt_main

    def interrupt_main(signum: int = signal.SIGINT, /) -> None:
        """Simulate the arrival of a signal in the main thread of this process, simulated or not."""
        actor: Any = _core.current()
        if actor is None:
            _note_direct(signum, True)
            real_interrupt_main(signum)  # type: ignore[arg-type]
        else:
            _check(signum)
            deliver(actor, signum)

    return interrupt_main


def _check(signum: int) -> None:
    if signum and signum not in signal.valid_signals():
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


def _kill_functions() -> list[Any]:
    real_kill, real_killpg = os.kill, getattr(os, "killpg", None)

    def kill(pid: int, sig: int) -> None:
        actor = _core.current()
        if pid >= FIRST_PID:
            target = find(pid)
            if target is None:
                raise no_such_process()
            _check(sig)
            if sig and target.poll() is None:
                deliver(target, sig)
        elif pid == 0 and actor is not None:
            killpg(actor.pgid, sig)
        elif pid <= -FIRST_PID:
            killpg(-pid, sig)
        else:
            _note_direct(sig, pid == MAIN.pid)
            real_kill(pid, sig)

    def killpg(pgid: int, sig: int) -> None:
        actor = _core.current()
        if pgid == 0 and actor is not None:
            pgid = actor.pgid
        if pgid < FIRST_PID and (actor is None or pgid != actor.pgid):
            real_killpg(pgid, sig)  # type: ignore[misc]
            return
        _check(sig)
        members = group_members(pgid)
        if not members:
            raise no_such_process()
        if sig:
            for member in sorted(members, key=lambda m: m is actor):  # the caller last
                deliver(member, sig)

    return [kill, killpg]


def _handler_functions() -> list[Any]:
    def set_handler(signalnum: int, handler: Any) -> Any:
        actor: Any = _core.current()
        if actor is None:
            return _set_handler_of_main(signalnum, handler)
        if get_ident() != actor.thread_ident:
            raise ValueError("signal only works in main thread of the main interpreter")
        if signalnum not in signal.valid_signals():
            raise ValueError("signal number out of range")
        if signalnum in _UNCATCHABLE:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if not callable(handler) and handler not in (signal.SIG_IGN, signal.SIG_DFL):
            raise TypeError(
                "signal handler must be signal.SIG_IGN, signal.SIG_DFL, or a callable object"
            )
        before = getsignal(signalnum)
        actor.handlers = {**actor.handlers, signalnum: handler}
        return before

    def getsignal(signalnum: int) -> Any:
        actor = _core.current()
        if actor is None or signalnum not in actor.handlers:
            return _handler_of_main(signalnum)
        handler = actor.handlers[signalnum]
        return signal.Handlers(handler) if isinstance(handler, int) else handler

    set_handler.__name__ = "signal"
    return [set_handler, getsignal]


def _self_functions() -> list[Any]:
    real_raise_signal = signal.raise_signal

    def raise_signal(signum: int) -> None:
        actor = _core.current()
        if actor is None:
            _note_direct(signum, True)
            real_raise_signal(signum)
        else:
            _check(signum)
            deliver(actor, signum)

    return [raise_signal]


class _Alarm:
    """One actor's ITIMER_REAL: a thread that sleeps until the time has come, or it is replaced."""

    def __init__(self, actor: Actor, seconds: float, interval: float) -> None:
        self.actor = actor
        self.interval = interval
        self.due = time.monotonic() + seconds
        self._cancelled = threading.Event()
        # Started outside of the actor: a request to end the actor must not end the wait with an
        # exception, and the alarm does not count among the actor's threads.
        _start_in_main(self._run)

    def remaining(self) -> float:
        return max(self.due - time.monotonic(), 1e-6)

    def cancel(self) -> None:
        self._cancelled.set()

    def _run(self) -> None:
        while not self._cancelled.wait(self.remaining()):
            if self.actor.poll() is not None:
                return
            if not self.interval and self.actor.timer is self:
                self.actor.timer = None
            self.due += self.interval
            deliver(self.actor, signal.SIGALRM)
            if not self.interval:
                return


_real_start_new_thread = start_new_thread


def _start_in_main(function: Callable[[], None]) -> None:
    _real_start_new_thread(function, ())


def _timer_functions() -> list[Any]:
    import math

    real_alarm, real_setitimer, real_getitimer = signal.alarm, signal.setitimer, signal.getitimer
    setting = _core.Guard()

    def setitimer(which: int, seconds: float, interval: float = 0.0) -> tuple[float, float]:
        actor: Any = _core.current()
        if actor is None or which != signal.ITIMER_REAL:
            return real_setitimer(which, seconds, interval)
        if seconds < 0 or interval < 0:
            raise signal.ItimerError(errno.EINVAL, os.strerror(errno.EINVAL))
        with setting:  # an alarm that nobody knows of could not be cancelled
            before = getitimer(which)
            if actor.timer is not None:
                actor.timer.cancel()
            actor.timer = _Alarm(actor, seconds, interval) if seconds else None
        return before

    def getitimer(which: int) -> tuple[float, float]:
        actor: Any = _core.current()
        if actor is None or which != signal.ITIMER_REAL:
            return real_getitimer(which)
        timer = actor.timer
        return (0.0, 0.0) if timer is None else (timer.remaining(), timer.interval)

    def alarm(seconds: int) -> int:
        if _core.current() is None:
            return real_alarm(seconds)
        return math.ceil(setitimer(signal.ITIMER_REAL, seconds)[0])

    return [setitimer, getitimer, alarm]
