"""The three patches: tables from the RFCs and from kubectl's own patches, and laws."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.patch import (
    MergeSchema,
    PatchError,
    json_patch,
    merge_patch,
    strategic_merge_patch,
)

ENV = MergeSchema({"env": "name", "ports": "containerPort"})
SPEC = MergeSchema({"containers": "name", "finalizers": ""}, {"containers": ENV})


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a"], {"a": "c"}, {"a": "c"}),
        ({"a": 1}, ["c"], ["c"]),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_a_merge_patch_does_what_rfc_7386_shows(document: Any, patch: Any, result: Any) -> None:
    assert merge_patch(document, patch) == result


def test_a_json_patch_is_applied_to_a_copy_and_all_or_nothing() -> None:
    document = {"a": {"b": 1}, "l": [1, 2]}
    patched = json_patch(
        document,
        [
            {"op": "replace", "path": "/a/b", "value": 2},
            {"op": "add", "path": "/l/-", "value": 3},
            {"op": "remove", "path": "/l/0"},
        ],
    )
    assert patched == {"a": {"b": 2}, "l": [2, 3]}
    assert document == {"a": {"b": 1}, "l": [1, 2]}


@pytest.mark.parametrize(
    "operations",
    [
        {"op": "add"},
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "remove", "path": "/none"}],
        [{"op": "fly", "path": "/a"}],
        ["nonsense"],
    ],
    ids=["no list", "a test that fails", "no such path", "no such operation", "no operation"],
)
def test_a_json_patch_that_does_not_fit_is_refused(operations: Any) -> None:
    with pytest.raises(PatchError):
        json_patch({"a": 1}, operations)


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        (
            {"containers": [{"name": "a", "image": "1"}, {"name": "b"}]},
            {"containers": [{"name": "a", "image": "2"}]},
            {"containers": [{"name": "a", "image": "2"}, {"name": "b"}]},
        ),
        (
            {"containers": [{"name": "a"}]},
            {"containers": [{"name": "b"}]},
            {"containers": [{"name": "a"}, {"name": "b"}]},
        ),
        (
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"name": "a", "$patch": "delete"}]},
            {"containers": [{"name": "b"}]},
        ),
        (
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"containers": [{"$patch": "replace"}, {"name": "c"}]},
            {"containers": [{"name": "c"}]},
        ),
        (
            {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]},
            {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]},
            {
                "containers": [
                    {
                        "name": "a",
                        "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}],
                    }
                ]
            },
        ),
        (
            {"containers": [{"name": "a"}, {"name": "b"}]},
            {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}]},
            {"containers": [{"name": "b"}, {"name": "a"}]},
        ),
        (
            {"finalizers": ["x"]},
            {"finalizers": ["x", "y"]},
            {"finalizers": ["x", "y"]},
        ),
        (
            {"finalizers": ["x", "y"]},
            {"$deleteFromPrimitiveList/finalizers": ["x"]},
            {"finalizers": ["y"]},
        ),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$patch": "replace", "d": 3}}, {"a": {"d": 3}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$retainKeys": ["c"]}}, {"a": {"c": 2}}),
        ({"plain": [1, 2]}, {"plain": [3]}, {"plain": [3]}),
        ({"a": 1, "b": 2}, {"a": None}, {"b": 2}),
    ],
    ids=[
        "an element is merged by its key", "a new element is appended", "an element is deleted",
        "a list is replaced", "lists in lists", "an order is set", "a set grows", "a set shrinks",
        "an object is replaced", "keys are retained", "other lists are replaced", "null removes",
    ],
)  # fmt: skip
def test_a_strategic_merge_knows_lists(document: Any, patch: Any, result: Any) -> None:
    assert strategic_merge_patch(document, patch, SPEC) == result


def test_an_element_without_its_key_is_refused() -> None:
    with pytest.raises(PatchError, match="does not contain declared merge key: name"):
        strategic_merge_patch({"containers": []}, {"containers": [{"image": "x"}]}, SPEC)


scalars = st.none() | st.booleans() | st.integers() | st.text("xyz", max_size=3)
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
    ),
    max_leaves=10,
)
objects = st.dictionaries(st.text("abc", max_size=2), documents, max_size=4)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return value


@given(objects, objects)
def test_a_merge_patch_twice_is_a_merge_patch_once(document: Any, patch: Any) -> None:
    once = merge_patch(document, patch)
    assert merge_patch(once, patch) == once


@given(objects)
def test_an_empty_patch_changes_nothing(document: Any) -> None:
    assert merge_patch(document, {}) == document
    assert strategic_merge_patch(document, {}, MergeSchema()) == document
    assert json_patch(document, []) == document


@given(objects)
def test_patching_nothing_with_a_document_gives_the_document(document: Any) -> None:
    assert merge_patch({}, document) == without_nulls(document)


@given(objects, objects)
def test_a_patch_leaves_its_arguments_as_they_were(document: Any, patch: Any) -> None:
    before = repr((document, patch))
    merge_patch(document, patch)
    strategic_merge_patch(document, patch, SPEC if "containers" not in patch else MergeSchema())
    assert repr((document, patch)) == before
