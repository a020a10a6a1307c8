# SPDX-License-Identifier: Apache-2.0
"""forkless.reduction: pickles between actors, exceptions, and objects that travel by reference."""

import copyreg
import io
import multiprocessing
import os
import pickle
import socket
import threading

import pytest

import forkless
from forkless import reduction


def round_trip(obj):
    return reduction.loads(reduction.dumps(obj))


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
    def __init__(self, *, reason):
        super().__init__(reason)
        self.reason = reason


def test_an_exception_keeps_type_arguments_attributes_and_notes():
    error = ValueError("a", [1])
    error.attribute = {"k": 1}
    error.add_note("noted")
    copied = round_trip(raised(error))
    assert (type(copied), copied.args, copied.attribute) == (ValueError, ("a", [1]), {"k": 1})
    assert copied.__notes__ == ["noted"]


def test_the_cause_is_the_remote_traceback():
    copied = round_trip(raised(KeyError("k")))
    assert type(copied.__cause__) is forkless.RemoteTraceback
    text = str(copied.__cause__)
    assert text.startswith('\n"""\nTraceback') and text.endswith("KeyError: 'k'\n\"\"\"")
    assert "in raised" in text


def test_the_traceback_tells_of_causes_and_contexts():
    try:
        try:
            raise KeyError("inner")
        except KeyError as inner:
            raise RuntimeError("outer") from inner
    except RuntimeError as outer:
        copied = round_trip(outer)
    text = str(copied.__cause__)
    assert "KeyError: 'inner'" in text and "direct cause" in text and "RuntimeError: outer" in text


def test_an_exception_travels_any_number_of_times():
    copied = raised(ValueError("first"))
    for _ in range(3):
        copied = raised(round_trip(copied))
    assert type(copied) is ValueError and str(copied.__cause__).count("in raised") >= 3


def test_an_exception_with_a_state_of_its_own_gets_it():
    copied = round_trip(raised(WithState(1)))
    assert (copied.args, copied.extra) == ((1,), "extra again")
    assert isinstance(copied.__cause__, forkless.RemoteTraceback)


def test_system_errors_keep_their_number_and_file():
    copied = round_trip(raised(FileNotFoundError(2, "missing", "/some/file")))
    assert (type(copied), copied.errno, copied.filename) == (FileNotFoundError, 2, "/some/file")


def test_an_exception_inside_other_objects_is_treated_alike():
    copied = round_trip({"list": [raised(ValueError(1))], "again": 5})
    assert isinstance(copied["list"][0].__cause__, forkless.RemoteTraceback)


def test_an_exception_that_cannot_be_made_again_raises_as_pickle_does():
    error = raised(NeedsKeywords(reason="r"))
    with pytest.raises(TypeError, match="positional argument"):
        pickle.loads(pickle.dumps(error))
    with pytest.raises(TypeError, match="positional argument"):
        round_trip(error)


def test_an_exit_record_is_plain_data():
    error = ValueError("text")
    error.add_note("noted")
    error.__notes__.append(5)
    record = reduction.error_record(raised(error))
    assert record["type"] == "builtins.ValueError" and record["message"] == "text"
    assert record["notes"] == ["noted", "5"] and "in raised" in record["trace"]
    assert forkless._core.unpack(forkless._core.pack(record)) == record


class Unprintable(Exception):
    def __str__(self):
        raise RuntimeError


def test_an_exception_that_cannot_be_printed_has_a_record_too():
    record = reduction.error_record(Unprintable())
    assert record["message"] == "<Unprintable.__str__ raised RuntimeError>"
    assert record["type"].endswith("Unprintable")


class Registered:
    pass


def restore():
    return "restored"


def test_reductions_that_a_program_registered_count(actors):
    copyreg.pickle(Registered, lambda obj: (restore, ()))
    multiprocessing.reduction.ForkingPickler.register(io.StringIO, lambda obj: (restore, ()))
    try:
        queue = actors.SimpleQueue()
        queue.put([Registered(), io.StringIO()])
        assert queue.get() == ["restored", "restored"]
    finally:
        copyreg.dispatch_table.pop(Registered)
        multiprocessing.reduction.ForkingPickler._extra_reducers.pop(io.StringIO)


def echo(sock):
    with sock:
        sock.sendall(sock.recv(10).upper())


def test_a_socket_can_be_handed_to_a_process(context):
    ours, theirs = socket.socketpair()
    process = context.Process(target=echo, args=(theirs,))
    process.start()
    theirs.close()
    ours.sendall(b"text")
    ours.settimeout(30)
    assert ours.recv(10) == b"TEXT"
    process.join(30)
    ours.close()
    assert process.exitcode == 0


def read_all(connection, answers):
    with connection:
        answers.put(connection.recv())


def test_a_connection_can_be_sent_through_a_pipe(actors):
    ours, theirs = actors.Pipe()
    inner, outer = actors.Pipe()
    ours.send(outer)
    received = theirs.recv()
    inner.send("through")
    assert received.recv() == "through"
    for connection in (ours, theirs, inner, outer, received):
        connection.close()


def compare(first, second, lock, answers):
    answers.put((first is second, lock is first._test_lock))


def test_an_object_that_is_shared_is_the_same_object_everywhere(context):
    queue, lock, answers = context.Queue(), context.Lock(), context.Queue()
    queue._test_lock = lock
    process = context.Process(target=compare, args=(queue, queue, lock, answers))
    process.start()
    process.join(30)
    assert answers.get(timeout=30) == (True, True)


def test_a_shared_object_goes_when_nobody_holds_it(actors):
    import gc
    import weakref

    lock = actors.Lock()
    process = actors.Process(target=use, args=(lock,))
    process.start()
    process.join(30)
    reference = weakref.ref(lock)
    number = lock._forkless_number
    del lock, process
    gc.collect()
    assert reference() is None and number not in reduction._shared


def use(lock):
    with lock:
        pass


def test_a_thread_lock_is_refused_with_a_word_of_advice(actors):
    process = actors.Process(target=use, args=(threading.Lock(),), name="refused")
    with pytest.raises(TypeError) as caught:
        process.start()
    (note,) = caught.value.__notes__
    assert "'refused'" in note and "picklable" in note and "spawn" in note


def test_a_file_descriptor_is_duplicated_for_the_child(actors):
    read, write = os.pipe()
    connection = multiprocessing.connection.Connection(read, writable=False)
    writer = multiprocessing.connection.Connection(write, readable=False)
    answers = actors.Queue()
    process = actors.Process(target=read_all, args=(connection, answers))
    process.start()
    connection.close()
    writer.send("still open in the child")
    assert answers.get(timeout=30) == "still open in the child"
    process.join(30)
    writer.close()
