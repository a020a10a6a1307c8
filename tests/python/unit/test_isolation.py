# SPDX-License-Identifier: Apache-2.0
"""forkless.isolation: state that applications have per process."""

import sys
import threading
import types
import weakref

import pytest

import forkless
from forkless import isolation
from support.scripts import eventually


@pytest.fixture
def module():
    module = types.ModuleType("isolated_example")
    module.name, module.items = "outside", [1]
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


@pytest.fixture
def inside(actors):
    """What a function returns in an actor, and what it raised."""

    def call(function, *args):
        answers = actors.Queue()
        process = actors.Process(target=answer, args=(answers, function, *args))
        process.start()
        process.join(30)
        assert process.exitcode == 0
        return answers.get(timeout=30)

    return call


def answer(answers, function, *args):
    try:
        answers.put(function(*args))
    except Exception as error:
        answers.put((type(error).__name__, str(error)))


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
    seen = module.name
    del module.name
    return seen


def test_deleting_an_isolated_name_brings_the_outer_one_back(module, inside):
    forkless.isolate(module, "name")
    assert inside(delete_and_look) == ("AttributeError", "name")
    assert module.name == "outside"
    del module.name
    with pytest.raises(AttributeError, match="has no attribute 'name'"):
        _ = module.name
    assert inside(get_set_get)[0] == "AttributeError"
    with pytest.raises(AttributeError):
        del module.name


def test_a_module_stays_a_module(module):
    forkless.isolate(module, "name")
    assert isinstance(module, types.ModuleType) and module.__name__ == "isolated_example"
    assert module.items == [1] and "name" in vars(module)


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
