# SPDX-License-Identifier: Apache-2.0
"""What pools ask of channels: objects by reference, all that is there at once, and a send with a get."""

import queue
import threading
import weakref

import pytest

from forkless import _core
from support.scripts import eventually

LIMIT = 20.0


class Thing:
    pass


def test_put_ref_sends_the_object_itself():
    channel = _core.Channel()
    thing, values = Thing(), [1]
    channel.put_ref(thing)
    channel.put_ref(values)
    assert channel.get() is thing
    assert channel.get() is values


def test_put_ref_raises_as_put_does():
    channel = _core.Channel(1)
    channel.put_ref(1)
    with pytest.raises(queue.Full):
        channel.put_ref(2, False)
    with pytest.raises(queue.Full):
        channel.put_ref(2, True, 0.01)
    channel.close()
    with pytest.raises(ValueError, match="closed"):
        channel.put_ref(3)
    assert channel.get() == 1


def test_drain_appends_what_is_there_in_order_and_leaves_out_none():
    channel, items = _core.Channel(), ["first"]
    assert channel.drain(items) == 0
    for value in (1, None, [2], None):
        channel.put_ref(value)
    assert channel.drain(items) == 4
    assert items == ["first", 1, [2]]
    assert len(channel) == 0
    with pytest.raises(TypeError):
        channel.drain(())


def test_none_wakes_who_waits():
    channel = _core.Channel()
    woken = []
    thread = threading.Thread(target=lambda: woken.append(channel.poll(LIMIT)))
    thread.start()
    channel.put_ref(None)
    thread.join(LIMIT)
    assert woken == [True]


def serve(questions, answers, count):
    """Answer questions: each with its double."""
    outbox = []
    for _ in range(count):
        question = questions.get_after(outbox) if outbox else questions.get()
        outbox[:] = answers, 2 * question
        del question
    outbox[0].put_ref(outbox[1])


def test_get_after_sends_and_gets():
    questions, answers = _core.Channel(), _core.Channel()
    thread = threading.Thread(target=serve, args=(questions, answers, 500))
    thread.start()
    for number in range(500):
        outbox = [questions, number]
        assert answers.get_after(outbox) == 2 * number
        assert outbox == []
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_get_after_takes_what_is_there_already_once_it_has_sent():
    to, from_ = _core.Channel(), _core.Channel()
    from_.put_ref("there")
    assert from_.get_after([to, "sent"]) == "there"
    assert to.get() == "sent"


def test_get_after_holds_nothing_of_what_it_sent_while_it_waits():
    to, from_, thing = _core.Channel(), _core.Channel(), Thing()
    gone = weakref.ref(thing)
    outbox = [to, thing]
    thread = threading.Thread(target=from_.get_after, args=(outbox,))
    thread.start()
    del thing
    assert isinstance(to.get(), Thing)
    assert eventually(lambda: gone() is None)
    kept = Thing()
    gone = weakref.ref(kept)
    to.put_ref(kept)
    del kept, to  # the channel is nobody's but for the wait
    assert eventually(lambda: gone() is None)
    from_.put_ref("end")
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_get_after_raises_for_what_it_could_not_send_before_it_waits():
    full, closed, other = _core.Channel(1), _core.Channel(), _core.Channel()
    full.put_ref(1)
    with pytest.raises(queue.Full):
        other.get_after([full, 2])
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        other.get_after([closed, 2])
    other.put_ref("there")
    with pytest.raises(ValueError, match="closed"):
        other.get_after([closed, 2])
    assert other.get() == "there"
    other.close()
    with pytest.raises(EOFError):
        other.get_after([_core.Channel(), 2])
    for outbox in ((), [], [1], [1, 2], [other, 1, 2]):
        with pytest.raises(TypeError):
            other.get_after(outbox)


def wait_after(ready, answers):
    _core.Channel().get_after([ready, "ready"])
    answers.put("not reached")


def test_get_after_ends_with_the_process_that_waits(actors):
    ready, answers = actors.SimpleQueue(), actors.SimpleQueue()

    process = actors.Process(target=wait_after_queue, args=(ready, answers))
    process.start()
    assert ready.get() == "ready"
    process.terminate()
    process.join(LIMIT)
    assert process.exitcode == -15
    assert answers.empty()


def wait_after_queue(ready, answers):
    wait_after(ready._channel, answers)
