"""Streams of documents, and what is wrong with those that cannot be read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.api.yaml_loader import ManifestError, load_all, load_one


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("\n\n", []),
        ("# only a remark\n", []),
        ("---\n---\n---\n", []),
        ("null\n", []),
        ("a: 1\n", [{"a": 1}]),
        ("---\na: 1\n...\n", [{"a": 1}]),
        ("a: 1\n---\nb: 2\n---\n- c\n", [{"a": 1}, {"b": 2}, ["c"]]),
        ("a: 1\n--- # said\nb: 2\n", [{"a": 1}, {"b": 2}]),
        ("a: |\n  x\n  ---y\n", [{"a": "x\n---y\n"}]),
        ("%YAML 1.1\n---\na: 1\n", [{"a": 1}]),
        ("false\n---\n0\n---\n''\n", [False, 0, ""]),
        ('{"a": [1, {"b": null}]}', [{"a": [1, {"b": None}]}]),
    ],
    ids=[
        "nothing", "blank lines", "a remark", "separators", "null", "one", "begun and ended", "three",
        "a remark behind the separator", "dashes in a text", "a directive", "falsy ones", "JSON",
    ],
)  # fmt: skip
def test_a_stream_holds_these_documents(text: str, documents: list[Any]) -> None:
    assert load_all(text) == documents
    assert load_all(text.encode()) == documents


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[a, b]", ["a", "b"]),
        ("{a: [], b: {}}", {"a": [], "b": {}}),
        ("a:\n- b: 1\n  c: 2\n- d\n", {"a": [{"b": 1, "c": 2}, "d"]}),
        ("a: >-\n  one\n  two\n", {"a": "one two"}),
        ("a: |-\n  one\n  two\n", {"a": "one\ntwo"}),
        ("a: 'it''s'\n", {"a": "it's"}),
        ('a: "tab\\t\\u00fc"\n', {"a": "tab\tü"}),
        ("a: ü\n", {"a": "ü"}),
        ("a: 'null'\nb: '1'\nc: 'true'\n", {"a": "null", "b": "1", "c": "true"}),
        ("a: !!str 5\nb: !!int '5'\n", {"a": "5", "b": 5}),
        ("a: 1.2.3\nb: 10.0.0.1\nc: 1Gi\nd: 100m\n",
         {"a": "1.2.3", "b": "10.0.0.1", "c": "1Gi", "d": "100m"}),
        ("a: 2026-01-02T03:04:05Z\nb: 22:22\n", {"a": "2026-01-02T03:04:05Z", "b": "22:22"}),
        ("a: =\nc: .\n", {"a": "=", "c": "."}),
        ("a: True\nb: NO\nc: On\nd: nO\n", {"a": True, "b": False, "c": True, "d": "nO"}),
        ("a: 0b11\nb: -0x10\nc: +7\nd: 0\n", {"a": 3, "b": -16, "c": 7, "d": 0}),
        ("a: .5\nb: -1.5e3\nc: 2.\n", {"a": 0.5, "b": -1500.0, "c": 2.0}),
    ],
    ids=[
        "a list", "empty ones", "a list of maps", "folded", "literal", "a quoted quote", "escapes",
        "beyond ASCII", "quoted words", "tags", "versions and amounts", "moments", "signs", "truths",
        "whole numbers", "fractions",
    ],
)  # fmt: skip
def test_a_document_says(text: str, value: object) -> None:
    assert load_one(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: &x [1]\nb: *x\n", {"a": [1], "b": [1]}),
        ("a: &x {k: 1}\nb: {<<: *x, l: 2}\n", {"a": {"k": 1}, "b": {"k": 1, "l": 2}}),
        ("a: &x {k: 1}\nb: &y {l: 2}\nc: {<<: [*x, *y]}\n",
         {"a": {"k": 1}, "b": {"l": 2}, "c": {"k": 1, "l": 2}}),
    ],
    ids=["an alias", "one is merged", "two are merged"],
)  # fmt: skip
def test_anchors_are_followed(text: str, value: object) -> None:
    assert load_one(text) == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", 3),
        ("spec:\n  x: 1\n  y: 2\n  x: 3\n", 4),
        ("- a: 1\n- b: 1\n  b: 2\n", 3),
        ("a: 1\n---\nb: 1\nb: 1\n", 4),
        ("1: a\n'1': b\n", 2),
    ],
    ids=["at the top", "below", "in a list", "in the second document", "as a number and as a text"],
)
def test_a_key_given_twice_is_refused_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ManifestError, match=rf"^yaml: line {line}: .*already set in map$"):
        load_all(text)


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c\n",
        "a: [1, 2\n",
        "a: 'open\n",
        "a:\n\t- tab\n",
        "a: 1\n b: 2\n",
        "a: *nobody\n",
        "a: @b\n",
        "? [a]\n: b\n{",
        "a: !unknown 5\n",
        "a: !!python/name:os.system\n",
    ],
    ids=[
        "two colons", "an open list", "an open quote", "a tab", "an indent", "an unknown alias",
        "a reserved sign", "a brace behind a map", "an unknown tag", "a tag of Python's",
    ],
)  # fmt: skip
def test_broken_yaml_is_refused_with_a_line(text: str) -> None:
    with pytest.raises(ManifestError, match=r"^yaml: line \d+: "):
        load_all(text)


@pytest.mark.parametrize(
    "body",
    [b"a: \xff\n", b"\x00", b"a: \x07\n"],
    ids=["no UTF-8", "a null byte", "a bell"],
)
def test_what_is_no_text_is_refused(body: bytes) -> None:
    with pytest.raises(ManifestError, match=r"^yaml: "):
        load_all(body)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("---\n", 0), ("a: 1\n---\nb: 2\n", 2)])
def test_one_document_is_exactly_one(text: str, count: int) -> None:
    with pytest.raises(ManifestError, match=rf"expected one document, found {count}$"):
        load_one(text)


letters = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(letters, max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(letters, min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), json_values, max_size=3))
def test_json_is_yaml(document: dict[str, Any]) -> None:
    assert load_one(json.dumps(document)) == document
