# SPDX-License-Identifier: Apache-2.0
"""Copies of containers that other threads change meanwhile: each list, dict and set in a copy is one that
was there at some moment, and nothing in the copy is shared with the original.

No bytearray is changed here: until 3.13 the interpreter itself does not guard them without the GIL.
"""

import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from forkless import _core
from support import stress

WRITERS = READERS = 2


class Board:
    """Containers with an invariant that each change keeps."""

    def __init__(self):
        self.same = [0] * 8  # all items are equal
        self.pairs = {"a": 0}  # replaced as a whole by update(): equal values for these keys
        self.items = {0}  # grows and shrinks
        self.tree = [[[i] for i in range(4)], {"k": {"l": [1, 2]}}]
        self.all = {"same": self.same, "items": self.items, "tree": self.tree, "loop": []}
        self.all["loop"].append(self.all)


board = Board()


def write(who):
    numbers = stress.numbers("writer", who)
    while stress.running():
        value = numbers.randrange(1 << 20)
        board.same[:] = [value] * numbers.randrange(4, 12)
        board.items.add(value)
        if len(board.items) > 50:
            board.items.pop()
        board.all[f"k{numbers.randrange(20)}"] = [value, (value, [value])]
        board.all.pop(f"k{numbers.randrange(20)}", None)
        branch = board.tree[0]
        branch.append([value])
        if len(branch) > 8:
            del branch[0]
        # One object in several places at once, and no longer in any.
        moved = {"value": value, "self": None}
        moved["self"] = moved
        branch[0] = moved
        board.tree[1]["k"] = moved
        branch[0] = [value]


def look(copied):
    same = copied["same"]
    stress.check(len(set(same)) == 1 and len(same) >= 4, f"no moment had this: {same}")
    stress.check(copied["loop"][0] is copied, "a cycle leads elsewhere")
    stress.check(copied["same"] is not board.same, "a list is shared")
    stress.check(copied["tree"][0] is not board.tree[0], "a list is shared")
    stress.check(all(isinstance(value, int) for value in copied["items"]), "a set is broken")


@stress.checked
def read(who, done):
    numbers = stress.numbers("reader", who)
    channel = _core.Channel()
    copies = 0
    while stress.running():
        kind = numbers.randrange(3)
        if kind == 0:
            look(_core.copy(board.all))
        elif kind == 1:
            look(_core.copy(board.all, {None: "share"}))
        else:
            channel.put(board.all)
            look(channel.get())
        _core.unpack(_core.pack([board.same, board.tree[0][1:2]]))
        copies += 1
    done.append(copies)


def run():
    done: list[int] = []
    threads = [threading.Thread(target=stress.checked(write), args=(w,)) for w in range(WRITERS)]
    threads += [threading.Thread(target=read, args=(r, done)) for r in range(READERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{sum(done)} copies"


if __name__ == "__main__":
    stress.main(run)
