"""JSON Patch as RFC 6902 tells it: the examples of its appendix A, and laws."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.patch import PatchError, json_patch


@pytest.mark.parametrize(
    ("document", "operation", "result"),
    [
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "qux"}, {"foo": "bar", "baz": "qux"}),
        ({"foo": ["bar", "baz"]}, {"op": "add", "path": "/foo/1", "value": "qux"},
         {"foo": ["bar", "qux", "baz"]}),
        ({"foo": "bar", "baz": "qux"}, {"op": "remove", "path": "/baz"}, {"foo": "bar"}),
        ({"foo": ["bar", "qux", "baz"]}, {"op": "remove", "path": "/foo/1"}, {"foo": ["bar", "baz"]}),
        ({"baz": "qux"}, {"op": "replace", "path": "/baz", "value": "boo"}, {"baz": "boo"}),
        ({"foo": {"bar": 1}, "qux": {}}, {"op": "move", "from": "/foo/bar", "path": "/qux/thud"},
         {"foo": {}, "qux": {"thud": 1}}),
        ({"foo": ["a", "b", "c"]}, {"op": "move", "from": "/foo/0", "path": "/foo/2"},
         {"foo": ["b", "c", "a"]}),
        ({"foo": 1}, {"op": "copy", "from": "/foo", "path": "/bar"}, {"foo": 1, "bar": 1}),
        ({"foo": "bar"}, {"op": "add", "path": "/child", "value": {"grand": {}}},
         {"foo": "bar", "child": {"grand": {}}}),
        ({"foo": "bar"}, {"op": "add", "path": "/baz", "value": "q", "xyz": 1}, {"foo": "bar", "baz": "q"}),
        ({"foo": ["bar"]}, {"op": "add", "path": "/foo/-", "value": ["a"]}, {"foo": ["bar", ["a"]]}),
        ({"/": 9, "~1": 10}, {"op": "test", "path": "/~01", "value": 10}, {"/": 9, "~1": 10}),
        ({"a/b": 1}, {"op": "replace", "path": "/a~1b", "value": 2}, {"a/b": 2}),
        ({"foo": 1}, {"op": "add", "path": "/foo", "value": None}, {"foo": None}),
        ({"foo": 1}, {"op": "replace", "path": "", "value": {"bar": 2}}, {"bar": 2}),
    ],
    ids=[
        "a member is added", "an element is added", "a member is removed", "an element is removed",
        "a value is replaced", "a value is moved", "an element is moved", "a value is copied",
        "an object is added", "unknown members are ignored", "an array is added", "a tilde is escaped",
        "a slash is escaped", "null is a value", "the document is replaced",
    ],
)  # fmt: skip
def test_an_operation_does_what_rfc_6902_shows(
    document: Any, operation: dict[str, Any], result: Any
) -> None:
    assert json_patch(document, [operation]) == result


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/none/below", "value": 1},
        {"op": "add", "path": "/list/3", "value": 1},
        {"op": "add", "path": "/list/x", "value": 1},
        {"op": "replace", "path": "/none", "value": 1},
        {"op": "replace", "path": "/list/2", "value": 1},
        {"op": "remove", "path": "/list/2"},
        {"op": "move", "from": "/none", "path": "/a"},
        {"op": "copy", "from": "/none", "path": "/a"},
        {"op": "test", "path": "/a", "value": "1"},
        {"op": "test", "path": "/none", "value": 1},
        {"op": "add", "path": "no slash", "value": 1},
        {"op": "add", "value": 1},
        {"op": "add", "path": "/b"},
        {"path": "/a", "value": 1},
        5,
        None,
    ],
    ids=str,
)
def test_an_operation_that_does_not_fit_is_refused(operation: Any) -> None:
    document = {"a": 1, "list": [1, 2]}
    with pytest.raises(PatchError):
        json_patch(document, [operation])
    assert document == {"a": 1, "list": [1, 2]}


def test_a_test_that_fails_undoes_what_came_before() -> None:
    document = {"a": 1}
    steps = [
        {"op": "replace", "path": "/a", "value": 2},
        {"op": "test", "path": "/a", "value": 1},
    ]
    with pytest.raises(PatchError):
        json_patch(document, steps)
    assert document == {"a": 1}


@pytest.mark.parametrize("operations", [None, {}, "add", 5], ids=repr)
def test_operations_come_in_a_list(operations: Any) -> None:
    with pytest.raises(PatchError, match="json patch must be a list of operations"):
        json_patch({}, operations)


values = st.recursive(
    st.none() | st.integers(-3, 3) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=1), inner),
    max_leaves=6,
)
objects = st.dictionaries(st.sampled_from(["a", "b", "/", "~", "~1"]), values, max_size=4)


def pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


@given(objects, st.sampled_from(["a", "/", "~", "~1"]), values)
def test_what_was_added_is_there_and_nothing_else_moved(
    document: dict[str, Any], name: str, value: Any
) -> None:
    patched = json_patch(document, [{"op": "add", "path": pointer(name), "value": value}])
    assert patched == document | {name: value}


@given(objects, values)
def test_adding_and_removing_is_nothing(document: dict[str, Any], value: Any) -> None:
    steps = [{"op": "add", "path": "/new", "value": value}, {"op": "remove", "path": "/new"}]
    assert json_patch(document, steps) == document


@given(objects, st.lists(values, min_size=1, max_size=3))
def test_many_operations_are_one_after_the_other(
    document: dict[str, Any], added: list[Any]
) -> None:
    steps = [{"op": "add", "path": "/list", "value": []}]
    steps += [{"op": "add", "path": "/list/-", "value": value} for value in added]
    assert json_patch(document, steps) == document | {"list": added}
    stepwise: Any = document
    for step in steps:
        stepwise = json_patch(stepwise, [step])
    assert stepwise == json_patch(document, steps)
