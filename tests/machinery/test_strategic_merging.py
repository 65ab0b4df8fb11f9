"""Strategic merge: directives one by one, in lists and in objects, and laws."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.patch import MergeSchema, PatchError, merge_patch, strategic_merge_patch

ELEMENT = MergeSchema({"env": "name", "ports": "port"})
SCHEMA = MergeSchema({"items": "name", "tags": ""}, {"items": ELEMENT, "box": ELEMENT})


def merged(document: Any, patch: Any) -> Any:
    return strategic_merge_patch(document, patch, SCHEMA)


def named(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": 1}, {"$patch": "replace", "b": 2}, {"b": 2}),
        ({"a": 1}, {"$patch": "delete"}, {}),
        ({"box": {"a": 1}}, {"box": {"$patch": "replace", "b": 2}}, {"box": {"b": 2}}),
        ({"box": {"a": 1}}, {"box": None}, {}),
        ({"box": {"a": {"b": 1, "c": 2}}}, {"box": {"a": {"b": None}}}, {"box": {"a": {"c": 2}}}),
        ({"a": 1}, {"none": None}, {"a": 1}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": {"b": 2}}, {"a": 1}, {"a": 1}),
        ({"a": [1]}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"box": {"x": 1, "y": 2}}, {"box": {"$retainKeys": ["x", "z"], "z": 3}},
         {"box": {"x": 1, "z": 3}}),
        ({"box": {"x": 1}}, {"box": {"$retainKeys": ["z"], "z": 3, "x": None}}, {"box": {"z": 3}}),
    ],
    ids=[
        "replace at the top", "delete at the top", "replace below", "null takes an object away",
        "null below", "null for what is not there", "an object for a number", "a number for an object",
        "an object for a list", "keys that are kept", "a kept key and a null",
    ],
)  # fmt: skip
def test_objects_are_merged(document: Any, patch: Any, result: Any) -> None:
    assert merged(document, patch) == result


@pytest.mark.parametrize(
    ("held", "change", "result"),
    [
        (named("a", "b"), [{"name": "b", "x": 1}], [{"name": "a"}, {"name": "b", "x": 1}]),
        ([{"name": "a", "x": 1, "y": 2}], [{"name": "a", "x": None}], [{"name": "a", "y": 2}]),
        ([{"name": "a", "x": {"k": 1}}], [{"name": "a", "x": {"l": 2}}],
         [{"name": "a", "x": {"k": 1, "l": 2}}]),
        (named("a", "b", "c"), [{"name": "b", "$patch": "delete"}], named("a", "c")),
        (named("a"), [{"name": "none", "$patch": "delete"}], named("a")),
        (named("a", "b"), [{"$patch": "replace"}], []),
        (named("a", "b"), [{"name": "z"}, {"$patch": "replace"}], named("z")),
        (named("a"), [], named("a")),
        ([{"name": "a", "env": named("x", "y")}],
         [{"name": "a", "env": [{"name": "x", "$patch": "delete"}]}],
         [{"name": "a", "env": named("y")}]),
        ([{"name": "a", "ports": [{"port": 80}]}], [{"name": "a", "ports": [{"port": 80, "n": "w"}]}],
         [{"name": "a", "ports": [{"port": 80, "n": "w"}]}]),
        ([{"name": "a", "args": ["x"]}], [{"name": "a", "args": ["y"]}],
         [{"name": "a", "args": ["y"]}]),
    ],
    ids=[
        "the one that is named changes", "a field is taken away", "objects in elements merge",
        "one is deleted", "one that is not there is deleted", "all are deleted", "all are replaced",
        "an empty patch", "a list below", "another key below", "plain lists are replaced",
    ],
)  # fmt: skip
def test_elements_are_merged_by_their_key(held: Any, change: Any, result: Any) -> None:
    assert merged({"items": held}, {"items": change}) == {"items": result}


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({}, {"items": named("a", "b")}, {"items": named("a", "b")}),
        ({"items": None}, {"items": named("a")}, {"items": named("a")}),
        ({}, {"items": [{"name": "a", "$patch": "delete"}]}, {"items": []}),
        ({"items": named("a")}, {"items": None}, {}),
        ({}, {"tags": ["x", "y"]}, {"tags": ["x", "y"]}),
        ({"tags": ["x", "y"]}, {"tags": ["y"]}, {"tags": ["x", "y"]}),
        ({"tags": ["x", "y", "z"]}, {"$deleteFromPrimitiveList/tags": ["x", "z", "none"]}, {"tags": ["y"]}),
        ({"plain": [1, 2]}, {"$deleteFromPrimitiveList/plain": [2]}, {"plain": [1]}),
        ({"plain": named("a")}, {"plain": named("b")}, {"plain": named("b")}),
    ],
    ids=[
        "a list comes", "in the place of null", "nothing to delete from", "a list goes",
        "a set comes", "a set has each once", "a set shrinks", "a plain list shrinks",
        "a list without a key",
    ],
)  # fmt: skip
def test_lists_come_and_go(document: Any, patch: Any, result: Any) -> None:
    assert merged(document, patch) == result


@pytest.mark.parametrize(
    ("held", "order", "result"),
    [
        (["a", "b", "c"], ["c", "b", "a"], ["c", "b", "a"]),
        (["a", "b"], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["b", "none", "a"], ["b", "a"]),
        (["server", "a", "b"], ["b", "a"], ["server", "b", "a"]),
        (["a", "b"], [], ["a", "b"]),
    ],
    ids=["turned round", "as it is", "with one that is not there", "one of the server's first",
         "none named"],
)  # fmt: skip
def test_an_order_is_kept(held: list[str], order: list[str], result: list[str]) -> None:
    patch = {"$setElementOrder/items": named(*order)}
    assert merged({"items": named(*held)}, patch) == {"items": named(*result)}
    assert merged({"tags": held}, {"$setElementOrder/tags": order}) == {"tags": result}


def test_an_order_and_its_changes_come_together() -> None:
    patch = {
        "$setElementOrder/items": named("c", "a"),
        "items": [{"name": "c", "x": 1}, {"name": "b", "$patch": "delete"}],
    }
    held = {"items": named("a", "b", "c")}
    assert merged(held, patch) == {"items": [{"name": "c", "x": 1}, {"name": "a"}]}


def test_an_order_of_nothing_makes_no_list() -> None:
    assert merged({}, {"$setElementOrder/items": named("a")}) == {}


@pytest.mark.parametrize(
    ("patch", "said"),
    [
        ({"$patch": "explode"}, "explode"),
        ({"box": {"$patch": "explode"}}, "explode"),
        ({"items": [{"x": 1}]}, "does not contain declared merge key: name"),
        ({"items": [{"$patch": "delete", "x": 1}]}, "does not contain declared merge key: name"),
        ({"items": ["text"]}, "text"),
        ([], "must be an object"),
        ("text", "must be an object"),
        (None, "must be an object"),
    ],
    ids=["a directive", "a directive below", "no key", "no key to delete", "text for an object",
         "a list", "a text", "null"],
)  # fmt: skip
def test_a_patch_that_cannot_be_applied_is_refused(patch: Any, said: str) -> None:
    with pytest.raises(PatchError, match=said):
        merged({"items": named("a")}, patch)


names = st.lists(st.sampled_from("abcde"), unique=True, max_size=5)
plain = st.recursive(
    st.booleans() | st.integers(-3, 3) | st.text("xy", max_size=2),
    lambda inner: st.dictionaries(st.sampled_from(["p", "q"]), inner, max_size=2),
    max_leaves=5,
)
objects = st.dictionaries(st.sampled_from(["p", "q", "r"]), plain, max_size=3)


@given(objects, objects)
def test_without_lists_and_directives_it_is_a_merge_patch(document: Any, patch: Any) -> None:
    assert merged(document, patch) == merge_patch(document, patch)


@given(names, objects)
def test_patching_with_itself_changes_nothing(held: list[str], fields: dict[str, Any]) -> None:
    document = {"items": [fields | {"name": name} for name in held], "tags": held, "box": fields}
    assert merged(document, document) == document


@given(names, names, objects)
def test_twice_is_once(held: list[str], patched: list[str], fields: dict[str, Any]) -> None:
    patch = {"items": [fields | {"name": name} for name in patched], "tags": patched}
    once = merged({"items": named(*held), "tags": held}, patch)
    assert merged(once, patch) == once


@given(names, names)
def test_all_that_were_there_stay_and_all_that_are_new_come(
    held: list[str], patched: list[str]
) -> None:
    result = merged({"items": named(*held)}, {"items": named(*patched)})
    assert {e["name"] for e in result["items"]} == {*held, *patched}
    assert len(result["items"]) == len({*held, *patched})


@given(names, st.permutations("abcde"))
def test_an_order_of_all_is_the_order(held: list[str], order: list[str]) -> None:
    result = merged({"tags": held}, {"$setElementOrder/tags": order})
    assert result["tags"] == [name for name in order if name in held]
