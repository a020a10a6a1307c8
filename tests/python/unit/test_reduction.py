# SPDX-License-Identifier: Apache-2.0
"""forkless.reduction: pickles between actors, and objects that travel by reference."""

import copyreg
import io
import multiprocessing
import os
import socket
import threading

import pytest

from forkless import reduction


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
    *_, note = caught.value.__notes__  # pickle may have added some of its own
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
