# SPDX-License-Identifier: Apache-2.0
"""Managers and shared memory."""

import multiprocessing
from multiprocessing import heap, managers, shared_memory, sharedctypes

from probing import LIMIT, child, in_child, outcome, probe

B = "multiprocessing.managers"
S = "multiprocessing.shared_memory"
C = "multiprocessing.sharedctypes"


class Counter:
    def __init__(self, start=0):
        self.value = start

    def step(self):
        self.value += 1
        return self.value


class Own(managers.BaseManager):
    pass


Own.register("Counter", Counter)


class Empty(managers.BaseManager):
    pass


@probe(f"{B}.BaseManager.register")
def registering_a_type():
    Empty.register("text", str)
    with Empty() as manager:
        return str(manager.text("abc")), manager.text("abc").upper(), hasattr(manager, "other")


def step(counter, times):
    return [counter.step() for _ in range(times)]


@probe(f"{B}.{{BaseManager,BaseProxy,Token}}", f"{B}.BaseManager.{{start,shutdown,join,address}}")
def own_managers():
    manager = Own()
    manager.start()
    counter = manager.Counter(5)
    seen = in_child(step, counter, 2), counter.step(), isinstance(counter, managers.BaseProxy)
    token = type(counter._token) is managers.Token
    addressed = manager.address is not None
    twice = outcome(manager.start)
    manager.shutdown()
    manager.join(1)
    return (
        seen,
        token,
        addressed,
        twice,
        outcome(counter.step).split(":")[0]
        in (
            "ConnectionRefusedError",
            "FileNotFoundError",
            "EOFError",
            "BrokenPipeError",
            "ConnectionResetError",
        ),
    )


class Remote(managers.BaseManager):
    pass


def served():
    return shared_list


shared_list: list = []
Remote.register("things", served, exposed=("append", "__len__", "pop"))


def serve(answers):
    server = Remote(("127.0.0.1", 0), b"key").get_server()
    answers.put(server.address)
    server.serve_forever()


def use_remote(address):
    manager = Remote(address, b"key")
    manager.connect()
    manager.things().append("from a client")
    return "connected"


@probe(f"{B}.BaseManager.{{get_server,connect}}")
def remote_managers():
    answers = multiprocessing.SimpleQueue()
    server = child(serve, answers)
    address = answers.get()
    client = in_child(use_remote, address)
    manager = Remote(address, b"key")
    manager.connect()
    things = manager.things()
    seen = client, things.pop(), outcome(things.pop)
    wrong = outcome(Remote(address, b"wrong").connect)
    del things  # it would tell the server
    server.terminate()
    server.join(LIMIT)
    return seen, wrong, server.exitcode


def change_all(things, mapping, namespace, value, array, lock, queue):
    with lock:
        things.append(4)
        mapping["new"] = things[0]
        namespace.there = "set"
        value.value += 1
        array[0] = 9
        queue.put("put")


@probe(
    "multiprocessing.Manager",
    f"{B}.{{SyncManager,Namespace}}",
    f"{B}.SyncManager.{{list,dict,Namespace,Value,Array,Lock,RLock,Queue}}",
)
def managed_objects():
    with multiprocessing.Manager() as manager:
        things, mapping, namespace = manager.list([1, 2]), manager.dict(a=1), manager.Namespace()
        value, array = manager.Value("i", 1), manager.Array("i", [1, 2])
        queue = manager.Queue()
        for lock in (manager.Lock(), manager.RLock()):
            in_child(change_all, things, mapping, namespace, value, array, lock, queue)
        things.append(mapping)
        seen = (
            things[2:4],
            mapping.copy(),
            namespace.there,
            value.value,
            list(array),
            queue.get(),
            things[4]["a"],
            len(things),
            str(mapping),
            isinstance(manager, managers.SyncManager),
        )
        return seen, outcome(mapping.__getitem__, "none"), managers.Namespace(a=1).a


def arrive(event, condition, barrier, semaphore, bounded, done):
    with semaphore, bounded:
        barrier.wait(LIMIT)
    with condition:
        condition.notify_all()
    event.set()
    done.put(1)


@probe(f"{B}.SyncManager.{{Event,Condition,Barrier,Semaphore,BoundedSemaphore,JoinableQueue,Pool}}")
def managed_synchronization():
    with multiprocessing.Manager() as manager:
        event, condition, barrier = manager.Event(), manager.Condition(), manager.Barrier(2)
        semaphore, bounded = manager.Semaphore(1), manager.BoundedSemaphore(1)
        done = manager.JoinableQueue()
        process = child(arrive, event, condition, barrier, semaphore, bounded, done)
        with condition:
            barrier.wait(LIMIT)
            notified = condition.wait(LIMIT)
        set_ = event.wait(LIMIT)
        done.get(), done.task_done(), done.join()
        process.join(LIMIT)
        with manager.Pool(1) as pool:
            mapped = pool.map(abs, [-1, -2])
        return notified, set_, mapped, process.exitcode


@probe(f"{B}.SyncManager.set", since=(3, 14))
def managed_sets():
    with multiprocessing.Manager() as manager:
        things = manager.set([1])
        things.add(2)
        return sorted(things.copy())


M = f"{B}.SharedMemoryManager"


def fill(name):
    memory = shared_memory.SharedMemory(name)
    memory.buf[0] = 5
    memory.close()


@probe(M, f"{M}.{{SharedMemory,ShareableList,start,join,address,register,connect,get_server}}")
def managed_memory():
    manager = managers.SharedMemoryManager()
    early = manager.address
    manager.start()
    memory = manager.SharedMemory(size=100)
    in_child(fill, memory.name)
    listed = manager.ShareableList([1, "two"])
    seen = memory.buf[0], list(listed), listed.shm.name != memory.name
    names = memory.name, listed.shm.name
    manager.shutdown()
    manager.join(1)
    gone = [outcome(shared_memory.SharedMemory, name).split(":")[0] for name in names]
    methods = [callable(getattr(manager, name)) for name in ("register", "connect", "get_server")]
    return early, seen, gone, methods


@probe(f"{S}.SharedMemory", f"{S}.SharedMemory.{{buf,name,size,close,unlink}}")
def shared_memory_by_name():
    memory = shared_memory.SharedMemory(create=True, size=64)
    in_child(fill, memory.name)
    other = shared_memory.SharedMemory(memory.name)
    seen = memory.buf[0], other.buf[0], other.size >= 64, other.name == memory.name
    taken = outcome(shared_memory.SharedMemory, memory.name, create=True, size=1).split(":")[0]
    other.close()
    closed = outcome(lambda: other.buf[0]), memory.buf[0]
    memory.unlink()
    gone = outcome(shared_memory.SharedMemory, memory.name).split(":")[0], memory.buf[0]
    memory.close()
    return seen, taken, closed, gone


def fill_given(memory):
    memory.buf[1] = 6
    memory.close()
    memory.close()


@probe(f"{S}.SharedMemory", f"{S}.SharedMemory.close")
def shared_memory_as_an_argument():
    memory = shared_memory.SharedMemory(create=True, size=8)
    in_child(fill_given, memory)
    seen = memory.buf[1]
    memory.close()
    memory.unlink()
    return seen


def change_listed(name):
    listed = shared_memory.ShareableList(name=name)
    listed[0], listed[1] = 10, "xyz"
    listed.shm.close()


@probe(f"{S}.ShareableList", f"{S}.ShareableList.{{count,index,format}}")
def shareable_lists():
    listed = shared_memory.ShareableList([1, "abc", 2.5, None, True, b"x"])
    in_child(change_listed, listed.shm.name)
    seen = (
        list(listed),
        listed.count(10),
        listed.index("xyz"),
        listed.format,
        len(listed),
        outcome(listed.__setitem__, 1, "x" * 100),
        outcome(listed.index, "none"),
    )
    listed.shm.close()
    listed.shm.unlink()
    return seen


class Point(sharedctypes.ctypes.Structure):
    _fields_ = (("x", sharedctypes.ctypes.c_double), ("n", sharedctypes.ctypes.c_int))


def change_shared(value, array, raw, raw_array, point):
    with value.get_lock():
        value.value += 1
    with array.get_lock():
        array[0] = 5
    raw.value, raw_array[1], point.x, point.n = 6, 7, 1.5, 3


@probe(
    "multiprocessing.{Value,Array,RawValue,RawArray}",
    f"{C}.{{Value,Array,RawValue,RawArray}}",
    f"{C}.{{Synchronized,SynchronizedArray}}",
    f"{C}.Synchronized.{{value,get_lock,get_obj}}",
    f"{C}.SynchronizedArray.{{get_lock,get_obj}}",
)
def ctypes_objects():
    value, array = multiprocessing.Value("i", 1), multiprocessing.Array("i", [1, 2])
    raw, raw_array = multiprocessing.RawValue("d", 2.0), multiprocessing.RawArray("i", 2)
    point = multiprocessing.Value(Point, lock=False)
    in_child(change_shared, value, array, raw, raw_array, point)
    text = sharedctypes.Array("c", b"text")
    return (
        value.value,
        array[:],
        raw.value,
        raw_array[:],
        (point.x, point.n),
        text.value,
        value.get_obj().value,
        array.get_obj()[1],
        type(value).__name__,
        type(array).__name__,
        sharedctypes.RawValue("i", 3).value,
        len(sharedctypes.RawArray("i", 3)),
        sharedctypes.Value("i", 4).value,
        outcome(multiprocessing.Value, "i", lock="no lock"),
        isinstance(value, sharedctypes.Synchronized),
        isinstance(array, sharedctypes.SynchronizedArray),
    )


@probe(f"{C}.{{copy,synchronized}}")
def copies_of_ctypes_objects():
    point = sharedctypes.RawValue(Point, 1.0, 2)
    copied = sharedctypes.copy(point)
    copied.n = 9
    locked = sharedctypes.synchronized(copied)
    with locked.get_lock():
        return point.n, copied.n, locked.n, type(locked).__name__


@probe("multiprocessing.heap.BufferWrapper", "multiprocessing.heap.BufferWrapper.create_memoryview")
def blocks_of_the_heap():
    wrapper = heap.BufferWrapper(100)
    view = wrapper.create_memoryview()
    view[:3] = b"abc"
    return len(view), bytes(view[:3]), outcome(heap.BufferWrapper, -1), in_child(block_there)


def block_there():
    return len(heap.BufferWrapper(50).create_memoryview())
