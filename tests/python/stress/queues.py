# SPDX-License-Identifier: Apache-2.0
"""Many producers and many consumers on queues of every kind: nothing is lost, doubled or changed."""

import multiprocessing
import pathlib
import queue
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import stress

PRODUCERS = CONSUMERS = 3
BATCH = 20


class Parcel:
    """Travels as a pickle."""

    def __init__(self, number):
        self.number = number
        self.items = [number, {"n": (number,)}]


def item(numbers, number):
    kind = numbers.randrange(4)
    if kind == 0:
        return number
    if kind == 1:
        return {"number": number, "shared": [[number]] * 2}
    if kind == 2:
        return (number, [number, {number}], bytes(numbers.randrange(200)))
    return Parcel(number)


def number_of(item):
    if isinstance(item, int):
        return item
    if isinstance(item, dict):
        stress.check(item["shared"][0] is item["shared"][1], f"a copy has lost its shape: {item}")
        return item["number"]
    if isinstance(item, tuple):
        stress.check(item[1] == [item[0], {item[0]}], f"a copy is another: {item}")
        return item[0]
    stress.check(item.items == [item.number, {"n": (item.number,)}], f"a parcel: {item.items}")
    return item.number


@stress.checked
def produce(items, who, batch):
    numbers = stress.numbers("producer", who, batch)
    for i in range(BATCH):
        made = item(numbers, who * BATCH + i)
        while True:
            try:
                items.put(made) if numbers.random() < 0.7 else items.put(made, True, 0.001)
                break
            except queue.Full:
                pass


@stress.checked
def consume(items, counts, who, batch):
    numbers = stress.numbers("consumer", who, batch)
    seen = []
    while True:
        try:
            got = items.get() if numbers.random() < 0.7 else items.get(True, 0.001)
        except queue.Empty:
            continue
        if got is None:
            break
        seen.append(number_of(got))
        if hasattr(items, "task_done"):
            items.task_done()
    counts.put(seen)


class Simple:
    """A SimpleQueue with the signature of the others."""

    def __init__(self, items):
        self.items = items

    def put(self, obj, block=True, timeout=None):
        self.items.put(obj)

    def get(self, block=True, timeout=None):
        return self.items.get()


def batch(context, number):
    numbers = stress.numbers("batch", number)
    kind = numbers.randrange(3)
    bound = numbers.choice([0, 1, 7])
    items = (context.Queue(bound), context.JoinableQueue(bound), Simple(context.SimpleQueue()))[
        kind
    ]
    counts = context.SimpleQueue()
    producers = [
        context.Process(target=produce, args=(items, who, number)) for who in range(PRODUCERS)
    ]
    consumers = [
        context.Process(target=consume, args=(items, counts, who, number))
        for who in range(CONSUMERS)
    ]
    for process in consumers + producers:
        process.start()
    for process in producers:
        process.join()
    if kind == 1:
        items.join()
    for _ in consumers:
        items.put(None)
    seen = sorted(number for _ in consumers for number in counts.get())
    for process in consumers:
        process.join()
    stress.check(seen == list(range(PRODUCERS * BATCH)), f"batch {number}, kind {kind}: {seen}")


def run():
    context = multiprocessing.get_context("fork")
    batches = 0
    while stress.running():
        batch(context, batches)
        batches += 1
    return f"{batches} batches"


if __name__ == "__main__":
    stress.main(run)
