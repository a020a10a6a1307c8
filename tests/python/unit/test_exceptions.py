# SPDX-License-Identifier: Apache-2.0
"""forkless.exceptions: what arrives of an exception, and what exit records say."""

import ctypes
import multiprocessing.pool
import pickle
import threading

import pytest

import forkless
from forkless import _core, exceptions, reduction


def round_trip(obj):
    return reduction.loads(reduction.dumps(obj))


def through_a_channel(obj):
    channel = _core.Channel()
    channel.put(obj)
    return channel.get(True, 30)


@pytest.fixture(params=[round_trip, through_a_channel])
def carry(request):
    """A way for one object from one actor to another."""
    return request.param


def raised(error):
    try:
        raise error
    except BaseException as caught:
        return caught


class WithState(Exception):
    def __init__(self, *args):
        super().__init__(*args)
        self.extra = "extra"

    def __setstate__(self, state):
        self.extra = state["extra"] + " again"


class NeedsKeywords(Exception):
    """It can be pickled, but not made again from its pickle."""

    def __init__(self, *, reason):
        super().__init__(reason)
        self.reason = reason


class Refusing(Exception):
    def __reduce__(self):
        raise RuntimeError("not me")


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError


class Becomes(Exception):
    def __reduce__(self):
        return str, ("something else",)


def unpicklable():
    error = ValueError("locked")
    error.lock = threading.Lock()
    return error


def local_class():
    class Local(Exception):
        pass

    return Local("here only")


# What survives


def test_an_exception_keeps_type_arguments_attributes_and_notes(carry):
    error = ValueError("a", [1])
    error.attribute = {"k": 1}
    error.add_note("noted")
    copied = carry(raised(error))
    assert (type(copied), copied.args, copied.attribute) == (ValueError, ("a", [1]), {"k": 1})
    assert copied.__notes__ == ["noted"]
    assert copied.args[1] is not error.args[1]


def test_an_exception_can_be_large(carry):
    error = ValueError(b"x" * 1_000_000, bytearray(1_000_000))
    error.view = pickle.PickleBuffer(bytearray(b"y" * 1_000_000))
    copied = carry([raised(error)])[0] if carry is round_trip else carry(raised(error))
    assert copied.args == error.args and copied.view == b"y" * 1_000_000


def test_the_cause_is_the_remote_traceback(carry):
    copied = carry(raised(KeyError("k")))
    assert type(copied.__cause__) is forkless.RemoteTraceback
    assert forkless.RemoteTraceback is multiprocessing.pool.RemoteTraceback
    text = str(copied.__cause__)
    assert text.startswith('\n"""\nTraceback') and text.endswith("KeyError: 'k'\n\"\"\"")
    assert "in raised" in text and not copied.__suppress_context__


def test_an_exception_that_was_not_raised_has_no_traceback(carry):
    copied = carry(ValueError(1))
    assert (copied.args, copied.__cause__, copied.__context__) == ((1,), None, None)


def with_cause():
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise RuntimeError("outer") from inner
    except RuntimeError as outer:
        return outer


def with_context():
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise RuntimeError("outer")  # noqa: B904
    except RuntimeError as outer:
        return outer


def without_context():
    try:
        try:
            raise KeyError("inner")
        except KeyError:
            raise RuntimeError("outer") from None
    except RuntimeError as outer:
        return outer


def test_the_traceback_is_at_the_end_of_the_chain_of_causes(carry):
    copied = carry(with_cause())
    inner = copied.__cause__
    assert (type(inner), inner.args, copied.__suppress_context__) == (KeyError, ("inner",), True)
    assert copied.__context__ is inner
    text = str(inner.__cause__)
    assert type(inner.__cause__) is forkless.RemoteTraceback
    assert "KeyError: 'inner'" in text and "direct cause" in text and "RuntimeError: outer" in text


def test_a_context_is_no_cause_and_stays_a_context(carry):
    copied = carry(with_context())
    assert type(copied.__cause__) is forkless.RemoteTraceback
    assert "During handling" in str(copied.__cause__) and not copied.__suppress_context__
    assert (type(copied.__context__), copied.__context__.args) == (KeyError, ("inner",))
    hidden = carry(without_context())
    assert hidden.__suppress_context__ and type(hidden.__context__) is KeyError
    assert "inner" not in str(hidden.__cause__)


def test_a_chain_that_is_a_circle_arrives_as_one(carry):
    first, second = raised(ValueError("first")), raised(TypeError("second"))
    first.__cause__, second.__cause__ = second, first
    copied = carry(first)
    assert type(copied.__cause__) is TypeError and copied.args == ("first",)
    assert copied.__cause__.__cause__ is not None


def test_a_chain_without_end_is_cut(carry):
    error = ValueError(0)
    for number in range(1, 3000):
        following = ValueError(number)
        following.__context__ = error
        error = following
    copied = carry(error)
    length = 0
    while copied is not None:
        copied, length = copied.__context__, length + 1
    assert 10 < length < 3000


def test_an_exception_travels_any_number_of_times(carry):
    copied = raised(ValueError("first"))
    for _ in range(3):
        copied = raised(carry(copied))
    assert type(copied) is ValueError and str(copied.__cause__).count("in raised") >= 3
    assert copied.__cause__.__cause__ is None
    forwarded = carry(carry(raised(KeyError("k"))))
    assert str(forwarded.__cause__).count("in raised") == 1


def test_an_exception_with_a_state_of_its_own_gets_it(carry):
    copied = carry(raised(WithState(1)))
    assert (copied.args, copied.extra) == ((1,), "extra again")
    assert isinstance(copied.__cause__, forkless.RemoteTraceback)


def test_system_errors_keep_their_number_and_file(carry):
    copied = carry(raised(FileNotFoundError(2, "missing", "/some/file")))
    assert (type(copied), copied.errno, copied.filename) == (FileNotFoundError, 2, "/some/file")


def test_a_group_keeps_its_members_and_their_tracebacks(carry):
    inner = ExceptionGroup("inner", [raised(KeyError("k"))])
    group = ExceptionGroup("outer", [raised(ValueError("v")), inner])
    group.add_note("of the group")
    copied = carry(raised(group))
    assert (type(copied), copied.message) == (ExceptionGroup, "outer")
    value, nested = copied.exceptions
    assert (type(value), value.args, nested.message) == (ValueError, ("v",), "inner")
    assert "in raised" in str(value.__cause__) and "in raised" in str(
        nested.exceptions[0].__cause__
    )
    assert "Exception Group Traceback" in str(copied.__cause__)
    assert copied.__notes__ == ["of the group"]
    assert copied.split(KeyError)[0].exceptions[0].exceptions[0].args == ("k",)


def test_a_member_that_was_raised_again_refers_to_its_group(carry):
    group = ExceptionGroup("group", [raised(ValueError("v"))])
    try:
        try:
            raise group
        except ExceptionGroup as caught:
            raise caught.exceptions[0]  # noqa: B904
    except ValueError as member:
        copied = carry(member)
    assert type(copied.__context__) is ExceptionGroup
    assert copied.__context__.exceptions[0].args == ("v",)


def test_exceptions_that_are_made_of_each_other_arrive(carry):
    first, second = ValueError("first"), ValueError("second")
    first.args, second.args = (second,), (first,)
    copied = carry(first)
    assert type(copied) is ValueError and type(copied.args[0]) is ValueError
    assert type(copied.args[0].args[0]) is forkless.RemoteError


def test_exceptions_inside_of_other_objects_are_treated_alike(carry):
    copied = carry({"list": [raised(ValueError(1)), raised(NeedsKeywords(reason="r"))], "again": 5})
    known, unknown = copied["list"]
    assert isinstance(known.__cause__, forkless.RemoteTraceback)
    assert type(unknown) is forkless.RemoteError and copied["again"] == 5


# What stands for what cannot be made here


@pytest.mark.parametrize(
    "make, text, reason",
    [
        (lambda: NeedsKeywords(reason="r"), "test_exceptions.NeedsKeywords: r", "positional arg"),
        (unpicklable, "builtins.ValueError: locked", "lock"),
        (local_class, "test_exceptions.local_class.<locals>.Local: here only", "local"),
        (lambda: Refusing("r"), "test_exceptions.Refusing: r", "RuntimeError: not me"),
    ],
)
def test_a_stand_in_keeps_the_text_the_notes_and_the_traceback(carry, make, text, reason):
    error = make()
    error.add_note("noted")
    error = raised(error)
    error.__context__ = KeyError("context")
    copied = carry(error)
    assert (type(copied), str(copied), copied.__notes__) == (forkless.RemoteError, text, ["noted"])
    assert reason in copied.reason and "in raised" in str(copied.__cause__)
    assert copied.type_name + ": " + copied.message == text
    assert type(copied.__context__) is KeyError
    again = carry(copied)
    assert (str(again), again.reason, again.__notes__) == (text, copied.reason, ["noted"])


def test_a_stand_in_in_a_chain_keeps_the_rest(carry):
    error = raised(ValueError("outer"))
    error.__cause__ = raised(NeedsKeywords(reason="r"))
    error.__cause__.__cause__ = KeyError("last")
    copied = carry(error)
    assert (type(copied), type(copied.__cause__)) == (ValueError, forkless.RemoteError)
    assert type(copied.__cause__.__cause__) is KeyError
    assert "in raised" in str(copied.__cause__.__cause__.__cause__)


def test_an_exception_that_is_pickled_as_something_else_arrives_as_that():
    assert round_trip([raised(Becomes())]) == ["something else"]


def test_an_exception_that_cannot_be_printed_arrives(carry):
    copied = carry(raised(Unprintable()))
    assert type(copied) is Unprintable and "in raised" in str(copied.__cause__)


# Everywhere


def put(queue, obj):
    queue.put(obj)


def send(connection, obj):
    connection.send(obj)


def put_exception(queue, send_to):
    queue.put(raised(NeedsKeywords(reason="queue")))
    send_to.put(raised(with_cause()))


def test_exceptions_cross_queues_between_processes(context):
    first, second = context.Queue(), context.SimpleQueue()
    process = context.Process(target=put_exception, args=(first, second))
    process.start()
    error = first.get(timeout=30)
    assert (type(error), error.message) == (forkless.RemoteError, "queue")
    error = second.get()
    assert type(error) is RuntimeError and type(error.__cause__) is KeyError
    process.join(30)
    assert process.exitcode == 0


def test_an_argument_that_cannot_be_copied_is_an_error_of_start(actors):
    process = actors.Process(target=put, args=(actors.Queue(), [unpicklable()]))
    with pytest.raises(TypeError, match="pickle"):
        process.start()
    process = actors.Process(target=put, args=(actors.Queue(), [NeedsKeywords(reason="r")]))
    with pytest.raises(TypeError, match="positional"):
        process.start()


def arguments(error, answers):
    answers.put((type(error).__name__, hasattr(error, "lock")))


def test_an_argument_that_cannot_be_copied_is_inherited_as_with_fork(installed):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    process = context.Process(target=arguments, args=(unpicklable(), answers))
    process.start()
    process.join(30)
    assert answers.get(timeout=30) == ("ValueError", True)


# Records


def test_a_record_is_plain_data():
    error = ValueError("text")
    error.add_note("noted")
    error.__notes__.append(5)
    record = exceptions.error_record(raised(error))
    assert record["type"] == "builtins.ValueError" and record["message"] == "text"
    assert record["notes"] == ["noted", "5"] and "in raised" in record["trace"]
    assert type(pickle.loads(record["pickle"])) is ValueError
    assert _core.unpack(_core.pack(record)) == record


def test_the_pickle_in_a_record_is_that_of_a_stand_in_where_there_is_no_other():
    record = exceptions.error_record(unpicklable())
    stand_in = pickle.loads(record["pickle"])
    assert type(stand_in) is forkless.RemoteError and "lock" in stand_in.reason


def test_an_exception_that_cannot_be_printed_has_a_record_too():
    error = Unprintable()
    error.__notes__ = [Unprintable()]
    record = exceptions.error_record(error)
    assert record["message"] == "<Unprintable.__str__ raised RuntimeError>"
    assert record["type"].endswith("Unprintable")
    assert record["notes"] == ["<a note whose __str__ raised RuntimeError>"]


def test_a_record_leads_to_its_causes():
    record = exceptions.error_record(with_cause())
    assert record["cause"]["type"] == "builtins.KeyError" and "trace" not in record["cause"]
    assert exceptions.error_record(with_context())["cause"]["message"] == "'inner'"
    assert "cause" not in exceptions.error_record(without_context())
    del record["pickle"]
    unpacked = _core.unpack(_core.pack(record))
    assert type(unpacked["cause"]) is forkless.RemoteError
    rebuilt = exceptions.rebuild_error(unpacked)
    assert str(rebuilt) == "builtins.RuntimeError: outer"
    assert str(rebuilt.__cause__) == "builtins.KeyError: 'inner'"
    assert "direct cause" in str(rebuilt.__cause__.__cause__)


class Text(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("len", ctypes.c_size_t))

    def __str__(self):
        return ctypes.string_at(self.data, self.len).decode() if self.data else ""


class FailureView(ctypes.Structure):
    """fkl_failure_view of forkless/failure.h."""

    _fields_ = (
        ("type", Text),
        ("message", Text),
        ("trace", Text),
        ("payload", ctypes.c_void_p),
        ("payload_len", ctypes.c_size_t),
        ("cause", ctypes.c_void_p),
        ("cause_len", ctypes.c_size_t),
    )


def read_failure(error):
    """What fkl_failure_read() says of the packed bytes of a record, as a program in C calls it."""
    read = ctypes.CDLL(_core.__file__).fkl_failure_read
    view = FailureView()
    assert read(error, ctypes.c_size_t(len(error)), ctypes.byref(view)) == 0
    cause = ctypes.string_at(view.cause, view.cause_len) if view.cause else None
    return str(view.type), str(view.message), str(view.trace), cause


def fail():
    raise with_cause()


def test_the_exit_record_of_a_process_is_readable_in_c(context, capfd):
    process = context.Process(target=fail)
    process.start()
    process.join(30)
    assert process.exitcode == 1 and "RuntimeError: outer" in capfd.readouterr().err
    record = process._popen.exit_error
    cause = record.pop("cause")
    record["cause"] = exceptions.ErrorRecord(type=cause.type_name, message=cause.message)
    kind, message, trace, inner = read_failure(_core.pack(record))
    assert (kind, message) == ("builtins.RuntimeError", "outer")
    assert "in fail" in trace and "direct cause" in trace
    assert read_failure(inner)[:2] == ("builtins.KeyError", "'inner'")
    rebuilt = exceptions.rebuild_error(record)
    assert type(rebuilt) is RuntimeError and type(rebuilt.__cause__) is KeyError
