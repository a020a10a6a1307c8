# SPDX-License-Identifier: Apache-2.0
"""Pipes, listeners and clients, and what passes descriptors."""

import io
import multiprocessing
import os
import pickle
import socket
import threading
from multiprocessing import connection, reduction

from probing import LIMIT, child, outcome, probe

C = "multiprocessing.connection"
N = "multiprocessing.connection.Connection"


def echo(there):
    while True:
        try:
            item = there.recv()
        except EOFError:
            break
        if item is None:
            break
        there.send(item)
    there.close()


@probe(
    "multiprocessing.Pipe",
    f"{C}.{{Pipe,Connection}}",
    f"{N}.{{send,recv,close,poll,closed,readable,writable,fileno}}",
)
def a_pipe():
    here, there = multiprocessing.Pipe()
    process = child(echo, there)
    here.send({"a": [1]})
    back = here.poll(LIMIT), here.recv(), here.poll(0)
    flags = here.readable, here.writable, here.closed, here.fileno() >= 0
    here.send(None)
    process.join(LIMIT)
    here.close()
    return (
        back,
        flags,
        here.closed,
        outcome(here.send, 1),
        type(here).__name__,
        isinstance(here, connection.Connection),
        len(connection.Pipe()),
    )


def copy_bytes(there):
    there.send_bytes(there.recv_bytes()[::-1])


@probe(f"{N}.{{send_bytes,recv_bytes,recv_bytes_into}}")
def bytes_through_a_pipe():
    here, there = multiprocessing.Pipe()
    process = child(copy_bytes, there)
    here.send_bytes(b"abcdef", 1, 4)
    into = bytearray(6)
    got = here.recv_bytes_into(into, 1)
    process.join(LIMIT)
    there.send_bytes(b"too long")
    short = outcome(here.recv_bytes_into, bytearray(2))
    there.send_bytes(b"too long")
    return got, bytes(into), short, outcome(here.recv_bytes, 3), process.exitcode


@probe("multiprocessing.Pipe", f"{N}.{{send,recv,readable,writable}}")
def one_way():
    reader, writer = multiprocessing.Pipe(duplex=False)
    writer.send(1)
    return (
        reader.recv(),
        reader.writable,
        writer.readable,
        outcome(reader.send, 1),
        outcome(writer.recv),
    )


def close_both(one, other):
    one.close()
    other.close()


@probe(f"{N}.recv", f"{N}.close")
def the_other_end_is_closed():
    here, there = multiprocessing.Pipe()
    there.send(1)
    there.close()
    seen = here.recv(), outcome(here.recv), outcome(here.send, 1)[:15]
    one, other = multiprocessing.Pipe()
    child(close_both, one, other).join(LIMIT)
    one.send(2)
    return seen, other.recv()


def end_with(there, item):
    there.send(item)


@probe(f"{N}.recv")
def the_other_process_ends():
    """Its end of the pipe goes with it, so that the last copy of the end is ours."""
    here, there = multiprocessing.Pipe()
    process = child(end_with, there, "last")
    there.close()
    process.join(LIMIT)
    return here.recv(), outcome(here.recv) if here.poll(1) else "waits"


def send_connection(there):
    one, other = multiprocessing.Pipe()
    there.send(other)
    one.send("through the second pipe")
    there.recv()


@probe(f"{N}.send", "multiprocessing.allow_connection_pickling")
def a_connection_through_a_connection():
    multiprocessing.allow_connection_pickling()
    here, there = multiprocessing.Pipe()
    process = child(send_connection, there)
    text = here.recv().recv()
    here.send(None)
    process.join(LIMIT)
    return text


def send_later(there, event):
    event.wait(LIMIT)
    there.send(1)


@probe(f"{C}.wait")
def waiting_for_many():
    first, first_there = multiprocessing.Pipe()
    second, second_there = multiprocessing.Pipe()
    event = multiprocessing.Event()
    process = child(send_later, second_there, event)
    nothing = connection.wait([first, second], 0.01)
    event.set()
    ready = connection.wait([first, second], LIMIT)
    process.join(LIMIT)
    first_there.close()
    both = connection.wait([first, second], LIMIT)
    return nothing, ready == [second], len(both)


def connect(address, key):
    with connection.Client(address, authkey=key) as client:
        client.send("hello")
        return client.recv()


def connect_and_answer(address, key, answers):
    answers.put(outcome(connect, address, key))


@probe(
    f"{C}.{{Listener,Client,answer_challenge,deliver_challenge}}",
    f"{C}.Listener.{{accept,address,close,last_accepted}}",
)
def listeners():
    answers, seen = multiprocessing.SimpleQueue(), []
    for family in ("AF_UNIX", "AF_INET"):
        with connection.Listener(family=family, authkey=b"key") as listener:
            process = child(connect_and_answer, listener.address, b"key", answers)
            with listener.accept() as accepted:
                seen.append(accepted.recv())
                accepted.send("and back")
            process.join(LIMIT)
            seen += [answers.get(), type(listener.last_accepted).__name__]
            process = child(connect_and_answer, listener.address, b"wrong", answers)
            seen += [outcome(listener.accept), outcome(connection.Listener, 5)[:9]]
            process.join(LIMIT)
            seen.append(answers.get())
            listener.close()
    here, there = multiprocessing.Pipe()
    process = child(challenged, there)
    connection.deliver_challenge(here, b"key")
    process.join(LIMIT)
    return seen, process.exitcode


def challenged(there):
    connection.answer_challenge(there, b"key")


def receive_handle(there, answers):
    handle = reduction.recv_handle(there)
    os.write(handle, b"passed")
    os.close(handle)
    answers.put("done")


@probe("multiprocessing.reduction.{send_handle,recv_handle,sendfds,recvfds,DupFd}")
def handles():
    here, there = multiprocessing.Pipe()
    read, write = os.pipe()
    answers = multiprocessing.SimpleQueue()
    process = child(receive_handle, there, answers)
    reduction.send_handle(here, write, process.pid)
    answers.get()
    passed = os.read(read, 10)
    process.join(LIMIT)
    one, other = socket.socketpair()
    sending = threading.Thread(target=reduction.sendfds, args=(one, [write]))
    sending.start()  # it waits for the receiver on some versions
    (again,) = reduction.recvfds(other, 1)
    sending.join()
    os.write(again, b"again")
    seen = passed, os.read(read, 10), type(reduction.DupFd).__name__
    for fd in (again, read, write):
        os.close(fd)
    one.close(), other.close()
    return seen


class Reduced:
    pass


def reduce(obj):
    return str, ("reduced",)


@probe("multiprocessing.reduction.{ForkingPickler,register,dump}", "multiprocessing.reducer")
def own_reducers():
    reduction.register(Reduced, reduce)
    queue = multiprocessing.SimpleQueue()
    queue.put([Reduced()])
    file = io.BytesIO()
    reduction.dump(Reduced(), file)
    return (
        queue.get(),
        pickle.loads(file.getvalue()),
        pickle.loads(multiprocessing.reducer.ForkingPickler.dumps(Reduced())),
    )


def receive_socket(there):
    received = there.recv()
    received.sendall(b"sent")
    received.close()


@probe(f"{N}.send")
def a_socket_through_a_connection():
    here, there = multiprocessing.Pipe()
    one, other = socket.socketpair()
    process = child(receive_socket, there)
    here.send(other)
    one.settimeout(LIMIT)
    process.join(LIMIT)
    other.close()
    data = one.recv(10)
    one.close()
    return data, process.exitcode
