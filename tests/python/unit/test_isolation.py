# SPDX-License-Identifier: Apache-2.0
"""forkless.isolation: state that applications have per process."""

import copy
import functools
import json
import pickle
import sys
import threading
import types
import weakref

import pytest

import forkless
from forkless import isolation
from support.calls import Puppet, call
from support.scripts import eventually

SOURCE = """
name = "outside"
items = [1]
nested = {"list": [1]}
count = 0

def add(item):
    items.append(item)
    return items

def increase():
    global count
    count += 1
    return int(count)

class Base:
    attribute = "outside"
    table = {}

    @property
    def fixed(self):
        return self.attribute

class Derived(Base):
    pass

class Slots:
    __slots__ = ("value", "empty")

    def __init__(self):
        self.value = 1

class Settings:
    level = "class"

    def __init__(self):
        self.debug = False

settings = Settings()
slots = Slots()
constant = 5
"""


@pytest.fixture
def module():
    """A module, of which what is isolated is so for the time of a test."""
    module = types.ModuleType("isolated_example")
    exec(SOURCE, vars(module))
    sys.modules[module.__name__] = module
    rules = list(isolation._rules)
    yield module
    isolation.uninstall()
    isolation._rules[:] = rules
    isolation.reinstall()
    del sys.modules[module.__name__]


@pytest.fixture
def inside(actors):
    """What a function returns in an actor, and what it raised."""
    return functools.partial(call, actors)


def get_set_get():
    import isolated_example as module

    before = module.name
    module.name = "inside"
    seen = []
    thread = threading.Thread(target=lambda: seen.append(module.name))
    thread.start()
    thread.join(30)
    return before, module.name, seen


def test_an_isolated_name_is_the_actors_own_once_it_assigns(module, inside):
    forkless.isolate(module, "name")
    assert module.name == "outside"
    assert inside(get_set_get) == ("outside", "inside", ["inside"])
    assert module.name == "outside"
    module.name = "changed outside"
    assert inside(get_set_get) == ("changed outside", "inside", ["inside"])
    assert vars(module)["name"] == "changed outside"


def append():
    import isolated_example as module

    module.items.append(2)
    return module.items


def test_with_initial_an_actor_starts_with_its_own_value(module, inside):
    forkless.isolate("isolated_example", "items", initial=list)
    assert inside(append) == [1, 2] == inside(append)
    assert module.items == [1]


def test_without_initial_an_object_is_shared_until_it_is_assigned(module, inside):
    forkless.isolate(module, "items")
    assert inside(append) == [1, 2]
    assert module.items == [1, 2]


def delete_and_look():
    import isolated_example as module

    module.name = "own"
    del module.name
    seen = hasattr(module, "name")
    module.name = "again"
    return seen, module.name


def test_deleting_an_isolated_name_deletes_it_for_the_actor(module, inside):
    forkless.isolate(module, "name")
    assert inside(delete_and_look) == (False, "again")
    assert module.name == "outside"
    del module.name
    with pytest.raises(AttributeError, match="has no attribute 'name'"):
        _ = module.name
    assert inside(get_set_get)[0] == "AttributeError"
    with pytest.raises(AttributeError):
        del module.name
    module.name = "back"
    assert inside(get_set_get)[0] == "back"


def test_a_module_stays_a_module(module):
    forkless.isolate(module, "name")
    assert isinstance(module, types.ModuleType) and module.__name__ == "isolated_example"
    assert module.items == [1] and "name" in vars(module)


# How a child's value comes to be


def change_nested():
    import isolated_example as module

    module.nested["list"].append(2)
    module.nested["new"] = 1
    return module.nested


@pytest.mark.parametrize(
    "how, child, parent",
    [
        ("share", {"list": [1, 2], "new": 1}, {"list": [1, 2], "new": 1}),
        ("copy", {"list": [1, 2], "new": 1}, {"list": [1, 2]}),
        ("deepcopy", {"list": [1, 2], "new": 1}, {"list": [1]}),
        ("fresh", ("KeyError", "'list'"), {"list": [1]}),
    ],
)
def test_a_childs_value_is_made_as_the_rule_says(module, inside, how, child, parent):
    forkless.isolate(module, "nested", how=how)
    assert inside(change_nested) == child
    assert module.nested == parent


def identity():
    import isolated_example as module

    return module.items, threading.get_ident()


def made():
    return [threading.get_ident()]


def test_a_factory_runs_in_the_child_when_it_first_asks(module, inside):
    forkless.isolate(module, "items", factory=made)
    (first, ident), (second, other) = inside(identity), inside(identity)
    assert (first, second) == ([ident], [other]) and module.items == [1]
    forkless.isolate({"isolated_example": {"nested": {"factory": "collections:OrderedDict"}}})
    assert inside(change_nested) == ("KeyError", "'list'")


def test_a_child_can_start_with_a_given_value(module, inside):
    given = {"list": []}
    forkless.isolate(module, "nested", value=given)
    assert inside(change_nested) == {"list": [2], "new": 1} == inside(change_nested)
    assert given == {"list": []} and module.nested == {"list": [1]}
    forkless.isolate(module, "name", value=None)
    assert inside(get_set_get) == (None, "inside", ["inside"])


def get_name():
    import isolated_example as module

    return module.name


def test_a_child_has_the_value_that_its_parent_had_when_it_was_started(module, actors):
    forkless.isolate(module, "name")
    puppet = Puppet(actors)
    module.name = "later"
    assert puppet.call(get_name) == "outside"
    puppet.close()


def set_and_ask(actors):
    import isolated_example as module

    module.name = "child"
    return call(actors, get_name), call(actors, get_set_get), module.name


def test_a_grandchild_starts_with_the_childs_value(module, actors, inside):
    forkless.isolate(module, "name")
    assert inside(set_and_ask, actors) == ("child", ("child", "inside", ["inside"]), "child")


def test_a_process_that_runs_already_takes_the_value_of_the_real_one(module, actors):
    puppet = Puppet(actors)
    forkless.isolate(module, "name")
    assert puppet.call(get_set_get) == ("outside", "inside", ["inside"])
    assert module.name == "outside"
    puppet.close()


class Uncopyable:
    def __copy__(self):
        raise RuntimeError("not this one")


def test_a_value_that_cannot_be_copied_is_an_error_of_start(module, actors):
    module.items = Uncopyable()
    forkless.isolate(module, "items", how="copy")
    process = actors.Process(target=identity)
    with pytest.raises(RuntimeError, match="not this one"):
        process.start()


# Proxies: what functions of the module see


def use_globals():
    import isolated_example as module

    return list(module.add("own")), module.increase(), module.increase(), module.count


def test_with_a_proxy_functions_of_the_module_are_reached(module, inside):
    forkless.isolate(module, "items", how="copy", proxy=True)
    forkless.isolate(module, "count", proxy=True)
    assert inside(use_globals) == ([1, "own"], 1, 2, 2) == inside(use_globals)
    assert module.add(2) == [1, 2] == module.items and module.increase() == 1 == module.count
    assert inside(use_globals) == ([1, 2, "own"], 2, 3, 3)
    assert type(module.items) is list and isinstance(vars(module)["items"], list)
    isolation.uninstall()
    assert (vars(module)["items"], vars(module)["count"]) == ([1, 2], 1)


def test_a_proxy_behaves_as_what_it_stands_for(module):
    forkless.isolate(module, "items", "nested", "count", "settings", "Base", proxy=True)
    items, nested, count = (vars(module)[name] for name in ("items", "nested", "count"))
    items += [3]
    assert items == [1, 3] and [*items, 4] == items + [4] and [0] + items == [0, 1, 3]
    assert (len(items), items[-1], 3 in items, bool(items), repr(items)) == (
        2,
        3,
        True,
        True,
        "[1, 3]",
    )
    items[0] = 7
    del items[1]
    assert list(reversed(items)) == [7] and f"{items}" == "[7]" and next(iter(items)) == 7
    assert nested | {"a": 1} == {"list": [1], "a": 1} and dict(**nested) == {"list": [1]}
    assert (count + 1, 2 - count, -count, int(count), count < 1, divmod(count, 5)) == (
        1,
        2,
        0,
        0,
        True,
        (0, 0),
    )
    assert list(range(3))[count] == 0 and hash(count) == hash(0)
    settings = vars(module)["settings"]
    settings.debug = True
    assert module.settings.debug and settings.level == "class" and vars(settings) == {"debug": True}
    del settings.debug
    assert "debug" not in dir(settings) and isinstance(settings, module.Settings)
    assert isinstance(vars(module)["Base"](), module.Base)
    with pytest.raises(TypeError, match="int"):
        with count:
            pass
    copied, deep = copy.copy(nested), copy.deepcopy(nested)
    assert type(copied) is type(deep) is dict and copied["list"] is module.nested["list"]
    assert (
        pickle.loads(pickle.dumps(nested)) == {"list": [1]} and deep["list"] is not copied["list"]
    )


# Attributes of classes and other objects


def use_class():
    import isolated_example as module

    instance = module.Base()
    seen = [module.Base.attribute, module.Derived.attribute, instance.attribute]
    module.Base.attribute = "own"
    seen += [module.Base.attribute, module.Derived.attribute, instance.attribute, instance.fixed]
    instance.attribute = "instance"
    seen += [instance.attribute, module.Base.attribute]
    module.Base.table["key"] = 1

    class Later(module.Base):
        pass

    seen += [Later.attribute, Later().attribute]
    Later.attribute = "later"
    seen += [Later.attribute, Later().attribute, module.Base.attribute]
    del module.Base.attribute
    return seen, dict(module.Base.table), hasattr(module.Base, "attribute")


def test_an_attribute_of_a_class_can_be_isolated(module, inside):
    forkless.isolate(module, "Base.attribute")
    forkless.isolate(module, "Base.table", how="deepcopy")
    expected = [
        *(["outside"] * 3 + ["own"] * 4),
        *["instance", "own", "own", "own", "later", "later", "own"],
    ]
    assert inside(use_class) == (expected, {"key": 1}, False)
    assert inside(use_class) == (expected, {"key": 1}, False)
    assert module.Base.attribute == "outside" == module.Derived().attribute
    assert module.Base.table == {} and module.Base().fixed == "outside"
    module.Base.attribute = "changed"
    assert inside(use_class)[0][0] == "changed"
    isolation.uninstall()
    assert vars(module.Base)["attribute"] == "changed" and type(module.Base) is type


def test_a_method_can_be_isolated_like_any_attribute(module, inside):
    forkless.isolate(module, "Settings.__init__")
    assert module.Settings().debug is False


def use_objects():
    import isolated_example as module

    seen = [module.settings.debug, module.settings.level, module.slots.value]
    module.settings.debug = module.settings.level = module.slots.value = "own"
    module.slots.empty = 1
    return seen, [module.settings.debug, module.settings.level, module.slots.value]


def test_an_attribute_of_an_object_can_be_isolated(module, inside):
    forkless.isolate(module, "settings.debug", "settings.level", "slots.value", "slots.empty")
    assert inside(use_objects) == ([False, "class", 1], ["own"] * 3)
    assert (module.settings.debug, module.settings.level, module.slots.value) == (False, "class", 1)
    assert not hasattr(module.slots, "empty") and isinstance(module.settings, module.Settings)
    module.slots.value = 2
    module.settings.level = "object"
    assert inside(use_objects)[0] == [False, "object", 2]
    del module.settings.level
    isolation.uninstall()
    assert type(module.settings) is module.Settings and type(module.slots) is module.Slots
    assert module.slots.value == 2 and vars(module.settings) == {"debug": False}


def test_other_objects_are_not_affected(module):
    before = module.Settings
    forkless.isolate(module, "settings.debug", "slots.value", "name")
    copied = copy.copy(module.settings)
    assert type(copied) is before and copied.debug is False
    other = type(module.settings)()
    other.debug = True
    assert other.debug and not module.settings.debug
    del other.debug
    assert not hasattr(other, "debug")
    other = type(module.slots)()
    other.value += 1
    assert (other.value, module.slots.value) == (2, 1)
    assert type(type(module)("new")) is types.ModuleType


def test_what_cannot_be_isolated_is_refused(module):
    with pytest.raises(TypeError, match="cannot isolate real of 5"):
        forkless.isolate(module, "constant.real")
    with pytest.raises(TypeError, match="cannot isolate x of <class 'int'>"):
        module.Number = int
        forkless.isolate(module, "Number.x")
    with pytest.raises(AttributeError, match="Missing"):
        forkless.isolate(module, "Missing.attribute")
    with pytest.raises(TypeError, match="only a global"):
        forkless.isolate(module, "settings.debug", proxy=True)
    assert module.settings.debug is False and not isolation._patches


# Rules as data


def test_a_table_names_modules_names_and_ways(module, inside):
    table = """{
        "isolated_example": {
            "name": "share",
            "items": {"how": "copy", "proxy": true},
            "nested": {"value": {"list": []}},
            "Base.attribute": "share",
            "settings.debug": {"value": true}
        },
        "json": ["decoder", "scanner"]
    }"""
    forkless.isolate(json.loads(table))
    assert inside(use_globals)[0] == [1, "own"]
    assert inside(change_nested) == {"list": [2], "new": 1}
    assert inside(use_objects)[0][0] is True
    assert inside(get_set_get)[1] == "inside"
    assert (module.items, module.settings.debug, module.name) == ([1], False, "outside")


@pytest.mark.parametrize(
    "arguments, options, text",
    [
        (("m", "n"), {"how": "copied"}, "no way 'copied', but share, copy"),
        (("m", "n"), {"how": "copy", "value": 1}, "only one of"),
        (("m", "a b"), {}, "not the name"),
        (("m", "a."), {}, "not the name"),
        (("m", 5), {}, "not 'm' and 5"),
        ((5, "n"), {}, "not 5 and 'n'"),
        (({"m": "name"},), {}, "a list of names"),
        (({"m": ["n"]}, "name"), {}, "says itself"),
        (({"m": ["n"]},), {"how": "copy"}, "says itself"),
        (({"m": {"n": {"hwo": "copy"}}},), {}, "unknown options: \\['hwo'\\]"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(arguments, options, text):
    before = list(isolation._rules)
    with pytest.raises((TypeError, ValueError), match=text):
        forkless.isolate(*arguments, **options)
    assert isolation._rules == before


def test_a_module_that_is_not_imported_yet_is_waited_for(scripts):
    scripts.write("value = 1\nclass Inner:\n    flag = 2\n", "later.py")
    assert (
        scripts.check(
            """
        import multiprocessing, sys, forkless
        def run(answers):
            import later
            seen = later.value, later.Inner.flag
            later.value = later.Inner.flag = 'own'
            answers.put((*seen, later.value, later.Inner.flag))
        forkless.isolate({'later': ['value', 'Inner.flag'], 'never': ['x']})
        assert 'later' not in sys.modules
        context = multiprocessing.get_context('actor')
        for _ in range(2):
            answers = context.Queue()
            process = context.Process(target=run, args=(answers,))
            process.start(); process.join()
            print(answers.get(), sys.modules['later'].value, sys.modules['later'].Inner.flag)
            forkless.uninstall()
            print(type(sys.modules['later']).__mro__[1].__name__, type(sys.modules['later'].Inner))
        """
        )
        == ["(1, 2, 'own', 'own') 1 2", "object <class 'type'>"] * 2
    )


STATE = forkless.local()


def use_local(value):
    assert not hasattr(STATE, "value")
    STATE.value = value
    seen = []
    thread = threading.Thread(target=lambda: seen.append(STATE.value))
    thread.start()
    thread.join(30)
    return STATE.value, seen, dict(vars(STATE))


def test_a_local_has_attributes_per_process_for_all_its_threads(inside):
    STATE.value = "main"
    assert inside(use_local, "actor") == ("actor", ["actor"], {"value": "actor"})
    assert STATE.value == "main" and vars(STATE) == {"value": "main"}
    del STATE.value
    with pytest.raises(AttributeError):
        _ = STATE.value
    with pytest.raises(AttributeError, match="value"):
        del STATE.value


class Kept:
    pass


REFERENCES = []


def keep_one():
    STATE.kept = Kept()
    REFERENCES.append(weakref.ref(STATE.kept))
    return True


def test_a_local_lets_go_of_what_an_actor_kept(inside):
    assert inside(keep_one) is True
    assert eventually(lambda: REFERENCES[-1]() is None)


def test_subclasses_of_local_have_methods_and_defaults():
    class Counter(forkless.local):
        count = 0

        def add(self):
            self.count += 1
            return self.count

    counter = Counter()
    assert [counter.add(), counter.add()] == [1, 2] and Counter.count == 0


def test_a_registered_copier_makes_the_childs_process_object(actors):
    class Base(actors.Process):
        def run(self):
            self.answers.put((self.how, self.pid))

    class Derived(Base):
        pass

    def clone(process):
        child = type(process).__new__(type(process))
        vars(child).update(vars(process), how="cloned")
        return child

    isolation.register_process(Base, clone)
    try:
        process = Derived()
        process.how, process.answers = "original", actors.Queue()
        process.start()
        process.join(30)
        assert process.answers.get(timeout=30) == ("cloned", process.pid)
        assert process.how == "original"
    finally:
        isolation._clone_hooks.pop(Base)


def test_callbacks_run_after_the_import_of_a_module(scripts):
    scripts.write("value = 1\n", "example_module.py")
    assert scripts.check(
        """
        import sys, forkless
        calls = []
        forkless.when_imported('json', lambda module: calls.append(module.__name__))
        import json
        print(calls)
        forkless.when_imported('json', lambda module: calls.append('now'))
        print(calls)
        forkless.when_imported('example_module', lambda module: calls.append(module.value))
        forkless.when_imported('example_module', lambda module: setattr(module, 'value', 2))
        forkless.when_imported('missing_module', calls.append)
        import example_module, importlib
        print(calls, example_module.value, example_module.__spec__.loader.__class__.__name__)
        importlib.reload(example_module)
        print(calls[-1], example_module.value)
        try:
            import missing_module
        except ImportError as error:
            print(error)
        """
    ) == [
        "['json']",
        "['json', 'now']",
        "['json', 'now', 1] 2 SourceFileLoader",
        "1 1",
        "No module named 'missing_module'",
    ]
