# SPDX-License-Identifier: Apache-2.0
"""forkless._core.copy: the same as pickling and unpickling, for plain data, and handlers for the rest."""

import collections
import copy
import pickle
import random
import sys
import threading

import pytest

from forkless import _core


def by_pickle(obj):
    return pickle.loads(pickle.dumps(obj, pickle.HIGHEST_PROTOCOL))


def shape(obj):
    """A description of an object in which shared references and cycles show."""
    numbers = {}
    out = []

    def visit(obj):
        if isinstance(obj, str | bytes | int | float | complex | type(None)):
            out.append((type(obj).__name__, repr(obj)))
            return
        if id(obj) in numbers and not isinstance(obj, tuple | frozenset):
            out.append(("again", numbers[id(obj)]))
            return
        first = id(obj) not in numbers
        numbers.setdefault(id(obj), len(numbers))
        out.append((type(obj).__name__, len(obj)))
        if not first:
            return  # a tuple in a cycle
        if isinstance(obj, dict):
            for key, value in obj.items():
                visit(key)
                visit(value)
        elif isinstance(obj, set | frozenset):
            out.append(sorted(map(repr, obj)))
        elif isinstance(obj, list | tuple):
            for item in obj:
                visit(item)
        else:
            out.append(bytes(obj))

    visit(obj)
    return out


ATOMS = [None, True, 0, -7, 2**100, 1.5, 1j, "", "text", "ü", b"", b"bytes"]


def random_key(source):
    key = source.choice(ATOMS)
    return (key, source.choice(ATOMS)) if source.random() < 0.1 else key


def random_data(source, depth, known):
    """Nested data with shared references, and lists and dicts that contain themselves."""
    choice = source.random()
    if known and choice < 0.15:
        return source.choice(known)
    if depth == 0 or choice < 0.35:
        return source.choice(ATOMS)
    size = source.randrange(5)
    if choice < 0.55:
        made = []
        known.append(made)
        made.extend(random_data(source, depth - 1, known) for _ in range(size))
    elif choice < 0.75:
        made = {}
        known.append(made)
        for _ in range(size):
            made[random_key(source)] = random_data(source, depth - 1, known)
    elif choice < 0.88:
        made = tuple(random_data(source, depth - 1, known) for _ in range(size))
        known.append(made)
    elif choice < 0.92:
        made = {random_key(source) for _ in range(size)}
        known.append(made)
    elif choice < 0.96:
        made = frozenset(random_key(source) for _ in range(size))
    else:
        made = bytearray(source.randbytes(size))
        known.append(made)
    return made


def test_a_copy_has_the_shape_that_pickling_gives():
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(1500):
        data = random_data(source, 6, [])
        before = shape(data)
        assert shape(_core.copy(data)) == shape(by_pickle(data)) == before
        assert shape(data) == before  # the original is as it was
        assert shape(_core.copy(data, {})) == before


def mutable_ids(obj, found):
    if id(obj) in found:
        return found
    if isinstance(obj, list | dict | set | bytearray):
        found[id(obj)] = obj
    if isinstance(obj, dict):
        for value in obj.values():
            mutable_ids(value, found)
    elif isinstance(obj, list | tuple):
        for item in obj:
            mutable_ids(item, found)
    return found


def test_a_copy_shares_nothing_that_can_change():
    seed = random.randrange(2**32)
    print("seed", seed)
    source = random.Random(seed)
    for _ in range(1000):
        data = [random_data(source, 5, [])]
        for copied in (_core.copy(data), _core.copy(data, {})):
            assert not mutable_ids(data, {}).keys() & mutable_ids(copied, {}).keys()


@pytest.mark.parametrize("obj", ATOMS, ids=repr)
def test_values_that_nobody_can_change_are_shared(obj):
    assert _core.copy(obj) is obj
    assert _core.copy((obj, (obj,))) == (obj, (obj,))


def test_a_tuple_of_unchangeable_values_is_shared_and_any_other_is_not():
    plain = (1, ("a", b"b"), None)
    assert _core.copy(plain) is plain
    holder = (1, [2])
    copied = _core.copy(holder)
    assert copied == holder and copied is not holder and copied[1] is not holder[1]


def test_shared_references_stay_shared():
    inner, pair = [1], ([0], 2)
    copied = _core.copy([inner, {"k": inner}, (inner,), pair, pair])
    assert copied[0] is copied[1]["k"] is copied[2][0]
    assert copied[3] is copied[4] is not pair
    array, items = bytearray(b"x"), {1}
    copied = _core.copy([array, array, items, items])
    assert copied[0] is copied[1] is not array and copied[2] is copied[3] is not items


def test_cycles_through_lists_dicts_and_tuples():
    items = [1]
    items.append(items)
    copied = _core.copy(items)
    assert copied[1] is copied and copied is not items
    mapping = {}
    mapping["self"] = [mapping]
    copied = _core.copy(mapping)
    assert copied["self"][0] is copied and copied is not mapping
    hub = []
    ring = (hub, 5)
    hub.append(ring)
    copied = _core.copy(ring)
    assert copied[1] == 5 and copied[0][0][0] is copied[0] and copied[0] is not hub
    assert copied[0][0] is copied
    copied = _core.copy(hub)
    assert copied[0][0] is copied and copied[0] is not ring


def test_a_cycle_whose_only_way_leads_through_a_tuple():
    ring = ([], {}, bytearray(b"x"))
    ring[0].append(ring)  # nobody but the tuple refers to the list
    ring[1]["array"] = (ring[2], ring[2], ring)
    for handlers in (None, {}):
        copied = _core.copy(ring, handlers)
        assert copied is not ring and copied[0][0] is copied
        first, second, again = copied[1]["array"]
        assert first is second is copied[2] and again is copied
    holder = [ring, ring]
    copied = _core.copy(holder)
    assert copied[0] is copied[1] is copied[0][0][0] is not ring


def test_the_root_inside_itself_many_levels_down():
    root = {}
    level = root
    for _ in range(50):
        level["next"] = [({},)]
        level = level["next"][0][0]
    level["root"] = root
    copied = level = _core.copy(root)
    for _ in range(50):
        level = level["next"][0][0]
    assert level["root"] is copied is not root


def test_later_changes_of_the_original_are_not_seen():
    original = {"list": [1], "dict": {"a": 1}, "set": {1}, "array": bytearray(b"a"), "t": ([],)}
    copied = _core.copy(original)
    original["list"].append(2)
    original["dict"].clear()
    original["set"].add(2)
    original["array"][0] = 0
    original["t"][0].append(1)
    original["more"] = 1
    assert copied == {
        "list": [1],
        "dict": {"a": 1},
        "set": {1},
        "array": bytearray(b"a"),
        "t": ([],),
    }


class Words(list):
    pass


class Table(dict):
    pass


class Number(int):
    pass


class Text(str):
    __slots__ = ("note",)


class Pair(tuple):
    __slots__ = ()


class Plain:
    def __init__(self, value=None):
        self.value = value


NOT_PLAIN = [
    Words([1]),
    Table(a=1),
    Number(5),
    Text("t"),
    Pair((1, 2)),
    collections.OrderedDict(a=1),
    Plain(),
    Plain,
    len,
    sys,
    threading.Lock(),
    memoryview(b"x"),
]


@pytest.mark.parametrize("obj", NOT_PLAIN, ids=lambda obj: type(obj).__name__)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda o: o,
        lambda o: [1, o],
        lambda o: {"k": o},
        lambda o: (1, (o,)),
        lambda o: [[]] * 3 + [{"k": ([o],)}],
    ],
)
def test_other_objects_are_not_plain(wrap, obj):
    data = wrap(obj)
    with pytest.raises(TypeError, match="not plain data"):
        _core.copy(data)
    marker = object()
    assert _core.try_copy(data, marker) is marker


@pytest.mark.parametrize(
    "obj", [{Number(1): 1}, {(1, Number(1)): 1}, {Number(1)}, frozenset([Number(1)])], ids=repr
)
def test_keys_and_elements_that_are_not_plain_are_noticed(obj):
    with pytest.raises(TypeError, match="not plain data"):
        _core.copy(obj)


def test_try_copy_copies_plain_data():
    data = [1, [2]]
    copied = _core.try_copy(data, None)
    assert copied == data and copied[1] is not data[1]


@pytest.mark.parametrize("handlers", [None, {}])
@pytest.mark.parametrize("kind", [list, tuple, dict])
def test_bottomless_nesting_is_a_recursion_error(kind, handlers):
    deep = []
    for _ in range(200_000):
        deep = {"k": deep} if kind is dict else kind([deep])
    try:
        with pytest.raises(RecursionError):
            _core.copy(deep, handlers)
    finally:
        while deep:  # level by level: also its destruction would be deep
            deep = deep["k"] if kind is dict else deep[0]


def test_nesting_that_python_code_can_handle_is_copied():
    deep = []
    for _ in range(100):
        deep = [deep, deep]
    copied = _core.copy(deep)
    assert copied[0] is copied[1]


def test_a_deep_item_on_a_queue_is_a_recursion_error(actors):
    items = actors.SimpleQueue()
    deep = []
    for _ in range(200_000):
        deep = [deep]
    with pytest.raises(RecursionError):
        items.put(deep)
    items.put(1)
    assert items.get() == 1
    while deep:
        deep = deep[0]


# Handlers


def test_without_a_handler_other_objects_are_shared():
    plain = Plain()
    copied = _core.copy([plain, {"k": plain}, (plain, [])], {})
    assert copied[0] is copied[1]["k"] is copied[2][0] is plain


def test_the_handler_share_shares():
    words = Words([[1]])
    assert _core.copy([words], {Words: "share", None: copy.deepcopy})[0] is words


def test_the_handler_container_copies_a_subclass_with_its_attributes():
    words, table = Words([[1], 2]), Table(a=[1])
    words.note, table.words = "kept", words
    copied_words, copied_table = _core.copy(
        [words, table], {Words: "container", Table: "container"}
    )
    assert type(copied_words) is Words and copied_words == [[1], 2] and copied_words.note == "kept"
    assert copied_words is not words and copied_words[0] is not words[0]
    assert type(copied_table) is Table and copied_table["a"] is not table["a"]
    assert copied_table.words is words  # attributes are copied as copy.copy() does


def test_the_handler_container_keeps_cycles():
    words = Words()
    words.append([words])
    copied = _core.copy(words, {Words: "container"})
    assert copied[0][0] is copied is not words


def test_a_callable_handler_is_called_once_for_each_object():
    calls = []

    def double(plain):
        calls.append(plain)
        return Plain(plain.value * 2)

    first, second = Plain(1), Plain(2)
    copied = _core.copy([first, {"k": first}, second], {Plain: double})
    assert calls == [first, second]
    assert copied[0] is copied[1]["k"]
    assert (copied[0].value, copied[2].value) == (2, 4)


def test_the_none_handler_serves_types_that_are_not_listed():
    seen = []

    def note(obj):
        seen.append(obj)
        return "replaced"

    table, plain = Table(), Plain()
    copied = _core.copy([table, plain, Plain, len, sys, test_copying], {None: note, Table: "share"})
    assert copied == [table, "replaced", Plain, len, sys, test_copying]  # code is never copied
    assert seen == [plain]


def test_copying():
    """Stands in for a function in the test above, too."""
    assert _core.copy([test_copying], {})[0] is test_copying


def test_a_wrong_handler_is_a_value_error():
    with pytest.raises(ValueError, match="'steal'"):
        _core.copy([Plain()], {Plain: "steal"})


@pytest.mark.parametrize("handler", [5, None, 1.5])
def test_a_handler_that_cannot_be_called_is_a_type_error(handler):
    with pytest.raises(TypeError):
        _core.copy([Plain()], {Plain: handler})


def test_what_a_handler_raises_comes_out():
    with pytest.raises(ZeroDivisionError):
        _core.copy({"k": [[1], (Plain(),), [2]]}, {Plain: lambda plain: 1 // 0})


def test_a_handler_may_change_the_original_without_harm():
    data = [Plain(), [1], [2], {"a": [3]}]

    def meddle(plain):
        data.clear()
        return 0

    assert _core.copy(data, {Plain: meddle}) == [0, [1], [2], {"a": [3]}]
    assert data == []


def test_a_handler_may_change_the_dict_that_is_copied():
    data = {i: Plain(i) for i in range(50)}

    def meddle(plain):
        data.pop(next(iter(data)))
        data[object()] = 1
        return plain.value

    assert _core.copy(data, {Plain: meddle}) == {i: i for i in range(50)}


@pytest.mark.parametrize("arguments", [(), ([], {}, 1), ([], 5), ([], [])])
def test_wrong_arguments_are_type_errors(arguments):
    with pytest.raises(TypeError):
        _core.copy(*arguments)


def test_copies_in_many_threads_do_not_disturb_each_other():
    data = {"a": [1, {"b": [2] * 10}] * 10, "c": ({},) * 3}
    wrong = []

    def work():
        wrong.extend(1 for _ in range(500) if _core.copy(data) != data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not wrong
