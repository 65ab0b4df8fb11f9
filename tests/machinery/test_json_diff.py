"""The way from one document to another: applied, it leads there; and it is short."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.json_diff import escaped, json_diff, unescaped
from podward.machinery.patch import json_patch

KEYS = st.sampled_from(["a", "b", "name", "x/y", "~", "~1", ""])
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 2), st.sampled_from(["", "a", "b"]), st.just(1.5)
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(KEYS, inner, max_size=4),
        st.lists(
            st.fixed_dictionaries({"name": st.sampled_from("abcd")}, optional={"v": inner}),
            max_size=4,
        ),
    ),
    max_leaves=12,
)


def typed(value: Any) -> Any:
    """Python takes true for 1: not so here."""
    if isinstance(value, dict):
        return {key: typed(below) for key, below in value.items()}
    if isinstance(value, list):
        return [typed(below) for below in value]
    return (type(value).__name__, value)


@given(DOCUMENTS, DOCUMENTS)
def test_the_operations_lead_from_one_document_to_the_other(before: Any, after: Any) -> None:
    kept = copy.deepcopy(before), copy.deepcopy(after)
    operations = json_diff(before, after)
    assert typed(json_patch(before, operations)) == typed(after)
    assert (before, after) == kept
    assert {operation["op"] for operation in operations} <= {"add", "remove", "replace"}


@given(DOCUMENTS)
def test_there_is_nothing_between_a_document_and_itself(document: Any) -> None:
    assert json_diff(document, copy.deepcopy(document)) == []


@given(st.text())
def test_a_key_comes_back_from_a_pointer(key: str) -> None:
    assert unescaped(escaped(key)) == key
    assert "/" not in escaped(key)


@pytest.mark.parametrize(
    ("before", "after", "operations"),
    [
        ({}, {"a": {"b/c": 1}}, [{"op": "add", "path": "/a", "value": {"b/c": 1}}]),
        ({"a": {}}, {"a": {"b/~": 1}}, [{"op": "add", "path": "/a/b~1~0", "value": 1}]),
        ({"a": None}, {"a": [1]}, [{"op": "add", "path": "/a", "value": [1]}]),
        ({"a": [1]}, {"a": [1, 2, 3]},
         [{"op": "add", "path": "/a/-", "value": 2}, {"op": "add", "path": "/a/-", "value": 3}]),
        ([{"name": "a"}], [{"name": "b"}, {"name": "a", "v": 1}],
         [{"op": "add", "path": "/0", "value": {"name": "b"}}, {"op": "add", "path": "/1/v", "value": 1}]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "b"}, {"name": "c"}],
         [{"op": "remove", "path": "/0"}, {"op": "add", "path": "/-", "value": {"name": "c"}}]),
        ({"v": True}, {"v": 1}, [{"op": "replace", "path": "/v", "value": 1}]),
    ],
    ids=[
        "a parent that is missing comes with what it holds", "keys are escaped", "null is as good as absent",
        "a list grows at its end", "a named element is put in front, and another is changed",
        "named elements leave and come", "true is not one",
    ],
)  # fmt: skip
def test_the_way_is_short(before: Any, after: Any, operations: list[dict[str, Any]]) -> None:
    assert json_diff(before, after) == operations
