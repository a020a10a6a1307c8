# SPDX-License-Identifier: Apache-2.0
"""Exceptions thrown at actors by several threads while they wait, run, and end: each that is raised was
thrown, at this actor, and a ProcessExit comes once."""

import pathlib
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from forkless import _core
from support import stress

THROWERS = 3


class Thrown(Exception):
    pass


class Target(_core.Actor):
    def __init__(self):
        self.ready = threading.Event()
        self.got = []
        self.wrong = []
        self.killed = False


def life(actor):
    numbers = stress.numbers("life", actor.pid % 1000)
    try:
        try:
            actor.enter()
            actor.ready.set()
            while True:
                try:
                    if numbers.random() < 0.5:
                        _core.sleep(0.0005)
                    else:
                        for _ in range(100):
                            pass
                except Thrown as error:
                    actor.got.append(error)
        except _core.ProcessExit:
            # What unwinds is not broken into again by the same end.
            for _ in range(200):
                pass
            actor.set_exit(3)
    except BaseException as error:
        actor.wrong.append(error)
    finally:
        actor.leave()


def throw(actor, who, turn):
    numbers = stress.numbers("thrower", who, turn)
    actor.ready.wait()
    for number in range(numbers.randrange(20)):
        actor.throw(Thrown(actor.pid, who, number))
    if who == 0:
        actor.killed = actor.kill(-9)
        if actor.killed:
            actor.throw(_core.ProcessExit(-9))


def turn(number):
    actor = Target()
    throwers = [
        threading.Thread(target=stress.checked(throw), args=(actor, who, number))
        for who in range(THROWERS)
    ]
    for thrower in throwers:
        thrower.start()
    actor.start(life)
    for thrower in throwers:
        thrower.join()
    actor.join(thread=True)
    # An exception that comes between two rounds of its loop ends the actor before it is killed.
    expected = (-9,) if actor.killed else (0, 1)
    stress.check(actor.poll() in expected, f"turn {number}: exit code {actor.poll()}")
    early = [error for error in actor.wrong if isinstance(error, Thrown)]
    got = actor.got + early
    stress.check(all(e.args[0] == actor.pid for e in got), f"not its own: {got}")
    stress.check(len(set(map(id, got))) == len(got), "an exception was raised twice")
    stress.check(len(early) == len(actor.wrong) <= 1, f"turn {number}: {actor.wrong}")


def run():
    sys.unraisablehook = lambda unraisable: None  # of actors that ended early
    turns = 0
    while stress.running():
        turn(turns)
        turns += 1
    return f"{turns} turns"


if __name__ == "__main__":
    stress.main(run)
