# SPDX-License-Identifier: Apache-2.0
"""Types of the C extension: actors, channels, semaphores and fast copies.

A timeout is in seconds; None means for ever. A wait ends early with ProcessExit when the calling actor
is ended, and with whatever was thrown at it.
"""

import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Literal, SupportsFloat, SupportsIndex, TypeVar, final

from typing_extensions import Buffer

_T = TypeVar("_T")
_Handler = Literal["share", "container"] | Callable[[Any], Any]
_Seconds = SupportsFloat | SupportsIndex

__version__: Final[str]

class ProcessExit(BaseException):
    """Unwinds a simulated process that called os._exit() or was ended. args[0] is the exit code."""

class CorruptMessage(ValueError):
    """A message is not what its codec says. It is lost; the queue it came from goes on."""

class Actor:
    """A simulated process: a thread with a pid, a life cycle and an exit code. Made to be subclassed."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Actor: ...
    @property
    def pid(self) -> int:
        """The simulated process id: larger than the kernel's, and never used again."""
    @property
    def thread_ident(self) -> int:
        """threading.get_ident() of the actor's own thread; 0 before it runs Python code and after."""
    @property
    def stopping(self) -> bool:
        """Whether it was killed or asked to stop."""
    def start(
        self,
        target: Callable[[Any], object],
        name: str | None = None,
        stack_size: int = 0,
        thread: Any = None,
    ) -> None:
        """Run target(actor) in a new thread, or in one of start_thread().

        Raises OSError (EAGAIN) when the system cannot start one, MemoryError, and RuntimeError at the
        second call.
        """
    def join(self, timeout: _Seconds | None = None, thread: bool = False) -> int | None:
        """Wait for the exit, or for the end of the thread too. The exit code; None after the timeout."""
    def poll(self) -> int | None:
        """The exit code, or None while it lives."""
    def sentinel(self) -> int:
        """A file descriptor, readable once the actor has ended; the actor owns it."""
    def kill(self, code: int, /) -> bool:
        """Publish the exit at once and end all waits. True if this call did it."""
    def exit_now(self, code: int, /) -> bool:
        """Publish the exit of the actor that runs at once. True if this call did it."""
    def stop(self) -> None:
        """End the waits of all its threads, and those to come."""
    def set_exit(self, code: int, error: Mapping[str, Any] | None = None, /) -> None:
        """What the exit record will say; `error` is plain data about the exception, or None."""
    def exit_error(self) -> Any:
        """What set_exit() was told about the exception, once the actor has ended; or None."""
    def throw(self, exception: BaseException, /) -> None:
        """Raise the exception in the actor's own thread: at once in a wait of forkless, else at the
        next bytecode. A ProcessExit replaces one that was not raised yet; others leave it in place."""
    def throw_again(self, exception: BaseException, /) -> None:
        """Raise, at the next bytecode of the calling thread, an exception that was thrown at it and got
        lost: where it was raised nobody could catch it."""
    def enter(self) -> None:
        """Called by the target when it is ready for exceptions that others throw; raises at once what
        was thrown before."""
    def leave(self) -> None:
        """Called by the target when it is no longer ready for them."""
    def expose(self) -> None:
        """Let throw_at_threads() reach the calling thread, which acts for the actor and is not its own.
        To be followed by hide() in the same thread."""
    def hide(self) -> None:
        """End what expose() began, and take back what is on its way."""
    def throw_at_threads(self) -> int:
        """Raise ProcessExit in the exposed threads of the actor, but for the calling one. Each gets one.
        Returns how many there were."""
    def run(self, function: Callable[..., _T], /, *args: Any) -> _T:
        """Call function(*args) in this thread on behalf of the actor: current() is it."""
    def start_elsewhere(
        self,
        channel: Channel,
        group: int,
        caught: int,
        name: str | None = None,
        stack_size: int = 0,
        /,
    ) -> None:
        """Run in a new thread and an interpreter of its own, where forkless.places.serve(channel) is
        called. `group` and `caught` are what other interpreters see first. Raises as start()."""
    def settle(self, door: Channel, /) -> None:
        """Be the actor whose thread this is, which another interpreter has started. Its pid is sent to
        `door` when there are signals for it. Raises RuntimeError where there is no such actor."""
    def stand_for(self, pid: int, /) -> bool:
        """Stand for a process of another interpreter; whether there is one."""
    def announce(self, door: Channel, group: int, /) -> None:
        """Let other interpreters know of this actor, which runs in this one."""
    def post(self, signum: int, /) -> None:
        """Leave a signal for the actor where it runs, or 0 to have it looked after."""
    def take_signals(self) -> int:
        """The signals that were left for it, as bits; they are taken."""

    caught: int  # signals that do not simply end it, as bits, for other interpreters
    group: int  # its process group, for other interpreters; 0: they know nothing of it

@final
class Channel:
    """A queue of objects between actors. It holds up to `capacity` of them, and takes none while `limit`
    bytes or more are there; 0: no bound."""

    def __new__(cls, capacity: int = 0, limit: int = 0) -> Channel: ...
    @classmethod
    def pair(cls, limit: int, /) -> tuple[Channel, Channel]:
        """Two channels for the two directions of a connection: the descriptor of each is the other end
        of that of the other."""
    def __len__(self) -> int: ...
    @property
    def capacity(self) -> int:
        """The bound, 0 for none."""
    @property
    def closed(self) -> bool:
        """Whether close() was called."""
    @property
    def used(self) -> bool:
        """Whether anything was ever put."""
    def put(
        self,
        obj: object,
        block: object = True,
        timeout: _Seconds | None = None,
        owner: Any = ...,
        counter: SemLock = ...,
        /,
    ) -> None:
        """Send a copy. Raises queue.Full after the timeout, ValueError when the channel is closed,
        BrokenPipeError when nobody gets from it any more, and what pickling raises. With an owner,
        owner._not_sent(exception, obj) is called instead, but for queue.Full; with a counter too, it is
        released first, and owner._uncount() called where queue.Full or what a handler of a signal
        raised is raised."""
    def put_bytes(
        self, buffer: Buffer, block: object = True, timeout: _Seconds | None = None, /
    ) -> None:
        """Send the bytes of a buffer; bytes themselves are shared. get_bytes() gives them, and get() the
        object that they are the pickle of. Raises as put() does."""
    def put_ref(
        self, obj: object, block: object = True, timeout: _Seconds | None = None, /
    ) -> None:
        """Send `obj` itself instead of a copy, for callers that made the copy, or that mean to share.
        Raises as put() does."""
    def get(self, block: object = True, timeout: _Seconds | None = None, /) -> Any:
        """Take the oldest object. Raises queue.Empty after the timeout, EOFError when the channel is
        closed and empty, CorruptMessage when the message is not what its codec says."""
    def get_bytes(self, block: object = True, timeout: _Seconds | None = None, /) -> bytes:
        """Take the oldest message as bytes: what put_bytes() sent, or a pickle of the object. Raises as
        get() does, and what pickling raises."""
    def drain(self, into: list[Any], /) -> int:
        """Append all objects that are there to a list, oldest first, and return how many were taken.
        None is taken and not appended: it only wakes who waits. What was taken is in the list whatever
        is raised; CorruptMessage leaves the rest."""
    def get_after(self, outbox: list[Any], /) -> Any:
        """Empty the list outbox, [channel, obj], by channel.put_ref(obj, False); then get(). Whoever
        waits for obj finds the GIL free, unless there is something to get already. Raises as
        put_ref() when obj was not sent, and as get() when it was."""
    def poll(self, timeout: _Seconds | None = 0.0, /) -> bool:
        """Whether an object is there, or the channel closed, waiting up to the timeout."""
    def put_message(self, payload: Buffer, msgpack: object = True, /) -> None:
        """Send bytes as they are: one msgpack value, or raw bytes. For peers written in C."""
    def close(self) -> None:
        """Refuse further puts; what is in the channel can still be got."""
    def refuse(self) -> None:
        """Nobody will get from it any more: drop what is there; puts raise BrokenPipeError."""
    def share(self) -> None:
        """From now on send what any interpreter can receive."""
    def leave(self, role: int, /) -> None:
        """No more gets (1) or puts (2) by one of those who may, the first of whom is the maker: the last
        one of its kind refuses or closes the channel."""
    def fileno(self, putting: object = False, /) -> int:
        """A file descriptor that is readable exactly while get() would not block, or the other end of
        it. Made at the first call; lives as long as the channel. Raises OSError (EMFILE)."""

class SemLock:
    """A semaphore between actors, or a recursive mutex; the interface of _multiprocessing.SemLock."""

    SEM_VALUE_MAX: ClassVar[int]

    def __new__(
        cls,
        kind: int,  # 0: recursive mutex, 1: semaphore
        value: int,
        maxvalue: int,
        name: object = None,  # ignored, as is `unlink`: there is no system object behind it
        unlink: bool = True,
    ) -> SemLock: ...
    @property
    def handle(self) -> int:
        """A number that names the semaphore."""
    @property
    def kind(self) -> int: ...
    @property
    def maxvalue(self) -> int: ...
    @property
    def name(self) -> None: ...
    def acquire(self, block: bool = True, timeout: _Seconds | None = None) -> bool:
        """Take one unit, waiting up to the timeout; whether it did."""
    def release(self) -> None:
        """Give one unit back. Raises ValueError, or AssertionError for a mutex of another thread."""
    def __enter__(self) -> bool: ...
    def __exit__(self, *args: object) -> None: ...
    def _wait_in_condition(
        self,
        sleeping: SemLock,
        waiting: SemLock,
        woken: SemLock,
        timeout: _Seconds | None,
        /,
    ) -> bool:
        """Condition.wait() on this lock, with the other semaphores of the condition."""
    def _notify(self, sleeping: SemLock, waiting: SemLock, woken: SemLock, n: int, /) -> None:
        """Condition.notify() on this lock, with the other semaphores of the condition."""
    def _count(self) -> int: ...
    def _is_mine(self) -> bool: ...
    def _get_value(self) -> int: ...
    def _is_zero(self) -> bool: ...
    def _after_fork(self) -> None: ...

@final
class Guard:
    """A lock of this package, for `with`, around what takes no time.

    The wait for it is not ended by the end of the process, which gives the lock back.
    """

    def __enter__(self) -> None: ...
    def __exit__(self, *exc: object) -> None: ...
    def release(self) -> None: ...

class Lock:
    """What threading.Lock() returns in a simulated process: the same interface."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *args: object) -> None: ...

@final
class RLock:
    """What threading.RLock() returns in a simulated process."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool: ...
    def release(self) -> None: ...
    def locked(self) -> bool: ...
    def __enter__(self) -> bool: ...
    def __exit__(self, *args: object) -> None: ...

class Dispatch:
    """Calls `original` in the real process and `in_actor` in simulated ones. A method binds to the
    instances of its class."""

    __wrapped__: Any

    def __new__(
        cls, original: Callable[..., Any], in_actor: Callable[..., Any], method: bool = False
    ) -> Dispatch: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

def start_thread(stack_size: int, /) -> Any:
    """A thread that waits for its actor, to be given to Actor.start(); or None. One that is dropped ends."""

def forget_threads() -> None:
    """Let threads end that are ready for new actors: before a fork, and when the calling thread has
    changed what threads inherit."""

def here() -> Any:
    """The actor of this thread, or what set_real_process() was given."""

def set_real_process(process: Any, /) -> None:
    """Set what here() returns outside of actors."""

def current() -> Any:
    """The actor that the calling thread acts for, an instance of a subclass of Actor; or None."""

def getpid() -> int:
    """The pid of the calling actor, or of the real process."""

def after_fork() -> None:
    """Let this thread act for the real process; for the child of a real fork."""

def sleep(seconds: _Seconds, /) -> None:
    """As time.sleep(), but ends at once when the actor is told to."""

def copy(obj: _T, handlers: dict[type | None, _Handler] | None = None, /) -> _T:
    """A deep copy, as pickling and unpickling would give.

    Exact dict, list, tuple, set, frozenset and bytearray are copied, with shared references and cycles
    kept; values that nobody can change are shared. `handlers` says by exact type what becomes of any
    other object; the key None serves all that are not listed. Without it others are a TypeError.
    """

def try_copy(obj: Any, otherwise: Any, /) -> Any:
    """A copy of plain data, or `otherwise` for any other object."""

def pack(obj: object, /) -> bytes:
    """Plain data as msgpack. Raises TypeError for other objects, OverflowError beyond 64 bits. A dict
    of a subclass becomes an FKL_EXT_ERROR."""

def unpack(data: Buffer, /) -> Any:
    """The object in msgpack bytes. Raises CorruptMessage."""

def configure(
    dumps: Callable[[Any], Any],
    loads: Callable[[Any], Any],
    dump_bytes: Callable[[Any], bytes],
    error_record: Callable[[BaseException], dict[str, Any]],
    rebuild_error: Callable[[Any], BaseException],
    dump_parcel: Callable[[Any], tuple[list[bytes], list[tuple[Any, int]]]],
    load_parcel: Callable[[Any, list[tuple[Any, int]]], Any],
) -> None:
    """Set the functions that carry objects that are not plain data between actors, and all objects
    between interpreters. Once: the second call is a RuntimeError."""

# Interpreters. What is about places exists on CPython 3.13 and later.

IS_MAIN: Final[bool]  # whether this is the interpreter that the real process began with

def processes() -> list[tuple[int, int]]:
    """The pid and the group of each process that several interpreters know of."""

def current_frames() -> dict[int, types.FrameType]:
    """sys._current_frames() for the threads of this interpreter; that one mixes up all of them."""

def count_threads() -> int:
    """How many threads of this interpreter there are, or are about to be."""

def open_places(code: str, vacant: int, making: int, /) -> None:
    """What a new interpreter runs first, how many vacant ones to keep, and how many to make at a time."""

def close_places(timeout: _Seconds, for_good: bool, /) -> int:
    """End the interpreters that are vacant, or will be up to the timeout, and longer if nobody is in any;
    how many are left, or about to be made. For good: no more are made, and nobody visits this one."""

def ready() -> None:
    """Let the process in for which the place was made. For its service thread, as the next two."""

def vacate(clean: bool, /) -> bool:
    """The place is in order again, or will not be. Whether to go on."""

def linger() -> bool:
    """It will take a while: nobody waits for the place. Whether it is too late altogether."""

def unraisable_hook(hooks: dict[str, Any], unraisable: Any, /) -> None:
    """For sys.unraisablehook: what others have thrown at an actor and came while a finalizer ran, where it
    is dropped, is raised again; all else goes to hooks['hook']. hooks['thrower'] is the code that calls
    signal handlers for others."""

class Module(types.ModuleType):
    """The base of types for one module: every Python asks such a type for its properties."""

def set_metaclass(cls: type, metaclass: type, /) -> None:
    """Change the type of a class to one with the same layout. The caller changes the class as well, so
    that no cache keeps what it knew. Raises TypeError for another layout."""

def wait_descriptor(fd: int, events: int, timeout: _Seconds | None = None, /) -> int:
    """poll(2) for one descriptor: what it is ready for, 0 after the timeout. Ends with what is thrown at
    the actor, and in its further threads when it is ended."""

def poll_descriptors(
    descriptors: dict[int, int], timeout: _Seconds | None = None, /
) -> dict[int, int]:
    """The same for a dict of descriptor -> events; those that are ready."""

def read(fd: int, n: int, /) -> bytes:
    """os.read(), with a wait that ends as wait_descriptor() does."""

def read_into(fd: int, buffer: Buffer, /) -> int:
    """The same into a buffer; how many bytes."""

def write(fd: int, data: Buffer, /) -> int:
    """os.write(), with waits that end as wait_descriptor() does."""

with_enter: (
    Any  # __enter__ and __exit__ of classes that have a SemLock in _semlock or in _lock._semlock
)
with_exit: Any

def counters() -> dict[Literal["spawned", "live", "orphans"], int]:
    """How many actors were spawned, live, and run on as orphans: ended, but not yet unwound."""
