"""The grammar of selectors, corner by corner, and the algebra of what they match."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.selectors import (
    FieldSelector,
    LabelSelector,
    Requirement,
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)


def one(text: str) -> Requirement:
    [requirement] = parse_label_selector(text).requirements
    return requirement


@pytest.mark.parametrize(
    ("text", "requirement"),
    [
        ("a", Requirement("a", "exists")),
        (" a ", Requirement("a", "exists")),
        ("!a", Requirement("a", "!")),
        ("! a", Requirement("a", "!")),
        ("a=b", Requirement("a", "in", frozenset({"b"}))),
        ("a==b", Requirement("a", "in", frozenset({"b"}))),
        ("a\t=\tb", Requirement("a", "in", frozenset({"b"}))),
        ("a=", Requirement("a", "in", frozenset({""}))),
        ("a==", Requirement("a", "in", frozenset({""}))),
        ("a!=b", Requirement("a", "notin", frozenset({"b"}))),
        ("a!=", Requirement("a", "notin", frozenset({""}))),
        ("a in (b)", Requirement("a", "in", frozenset({"b"}))),
        ("a in(b,c)", Requirement("a", "in", frozenset({"b", "c"}))),
        ("a notin ( b , c )", Requirement("a", "notin", frozenset({"b", "c"}))),
        ("a in ()", Requirement("a", "in", frozenset({""}))),
        ("a in (b,,c)", Requirement("a", "in", frozenset({"b", "", "c"}))),
        ("a in (b,)", Requirement("a", "in", frozenset({"b", ""}))),
        ("a in (,b)", Requirement("a", "in", frozenset({"", "b"}))),
        ("a in (b,b)", Requirement("a", "in", frozenset({"b"}))),
        ("in", Requirement("in", "exists")),
        ("notin=in", Requirement("notin", "in", frozenset({"in"}))),
        ("in in (in, notin)", Requirement("in", "in", frozenset({"in", "notin"}))),
        ("example.com/a.b-c_d=E.f-g_h", Requirement("example.com/a.b-c_d", "in", frozenset({"E.f-g_h"}))),
        ("0=1", Requirement("0", "in", frozenset({"1"}))),
    ],
)  # fmt: skip
def test_a_requirement_reads(text: str, requirement: Requirement) -> None:
    assert one(text) == requirement


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        ("   ", []),
        ("a,b", ["a", "b"]),
        ("a , !b ,c in (x, y),d!=e", ["a", "b", "c", "d"]),
        ("a=,b", ["a", "b"]),
        ("a=1,a=2", ["a", "a"]),
    ],
)
def test_requirements_are_joined_by_commas(text: str, keys: list[str]) -> None:
    assert [r.key for r in parse_label_selector(text).requirements] == keys


@pytest.mark.parametrize(
    "text",
    [",", ",a", "a,", "a,,b", "a, ,b", "a b", "a in", "a in b", "a in (b", "a in b)", "a in ((b))",
     "a notin", "a in (b c)", "a in (b) c", "a=b c", "a=b=c", "a===b", "a=!b", "a!b", "!a=b", "!a in (b)",
     "!", "!!a", "()", "(a)", "a=(b)", "-a", "a-", "a/b/c", "/a", "a/", "a=-b", "a=b-", "a in (-b)",
     "a=b/c", "a=ü", "ü", "a;b", "a=b;c=d"],
)  # fmt: skip
def test_a_label_selector_that_breaks_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_label_selector(text)


@pytest.mark.parametrize("labels", [None, {}])
def test_nothing_asked_is_matched_by_nothing(labels: Mapping[str, str] | None) -> None:
    assert parse_label_selector("").matches(labels)
    assert parse_label_selector("!a,b!=c,d notin (e)").matches(labels)
    assert not parse_label_selector("a").matches(labels)


def test_only_a_selector_that_asks_is_true() -> None:
    assert not LabelSelector()
    assert not FieldSelector()
    assert parse_label_selector("a")
    assert parse_field_selector("a=b")


keys = st.sampled_from(["a", "b", "x.y/z"])
values = st.sampled_from(["", "1", "two"])
label_sets = st.dictionaries(keys, values, max_size=3)
requirements = st.one_of(
    keys,
    keys.map("!{}".format),
    st.builds("{}={}".format, keys, values),
    st.builds("{}!={}".format, keys, values),
    st.builds("{} in ({},{})".format, keys, values, values),
    st.builds("{} notin ({},{})".format, keys, values, values),
)


@given(keys, values, values, label_sets)
def test_each_operator_has_its_opposite(
    key: str, value: str, other: str, labels: dict[str, str]
) -> None:
    pairs = [
        (key, f"!{key}"),
        (f"{key}={value}", f"{key}!={value}"),
        (f"{key} in ({value},{other})", f"{key} notin ({value},{other})"),
    ]
    for left, right in pairs:
        found = {parse_label_selector(text).matches(labels) for text in (left, right)}
        assert found == {True, False}


@given(keys, values, values, label_sets)
def test_a_set_is_any_of_its_values(
    key: str, value: str, other: str, labels: dict[str, str]
) -> None:
    either = any(parse_label_selector(f"{key}={v}").matches(labels) for v in (value, other))
    assert parse_label_selector(f"{key} in ({value},{other})").matches(labels) is either


@given(st.lists(requirements, max_size=4), label_sets)
def test_a_comma_means_and(texts: list[str], labels: dict[str, str]) -> None:
    each = [parse_label_selector(text).matches(labels) for text in texts]
    assert parse_label_selector(",".join(texts)).matches(labels) is all(each)
    assert parse_label_selector(" , ".join(reversed(texts))).matches(labels) is all(each)


@given(label_sets)
def test_labels_match_the_selector_made_of_them(labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in labels.items())
    assert parse_label_selector(text).matches(labels)


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("a=b", [("a", "=", "b")]),
        ("a==b", [("a", "=", "b")]),
        ("a!=b", [("a", "!=", "b")]),
        ("a.b.c=", [("a.b.c", "=", "")]),
        ("a=b,c!=d,e==f", [("a", "=", "b"), ("c", "!=", "d"), ("e", "=", "f")]),
        ("a=b,", [("a", "=", "b")]),
        (",a=b", [("a", "=", "b")]),
        (r"a=b\,c\=d\\e", [("a", "=", r"b,c=d\e")]),
        (r"a=\\,b=c", [("a", "=", "\\"), ("b", "=", "c")]),
        ("involvedObject.uid=0-1,involvedObject.fieldPath=spec.containers{app}",
         [("involvedObject.uid", "=", "0-1"),
          ("involvedObject.fieldPath", "=", "spec.containers{app}")]),
    ],
)  # fmt: skip
def test_field_terms_read(text: str, terms: list[tuple[str, str, str]]) -> None:
    selector = parse_field_selector(text)
    assert list(selector.terms) == terms
    assert selector.keys() == [path for path, _, _ in terms]


@pytest.mark.parametrize("text", ["a", "a,b=c", "a=b,c", "a>b", "a in (b)"])
def test_a_field_selector_that_breaks_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match=r"^invalid selector: .*; can't understand "):
        parse_field_selector(text)


field_values = st.text("ab,=\\", max_size=5)


@given(st.dictionaries(st.sampled_from(["a", "b.c"]), field_values, max_size=2), field_values)
def test_a_value_that_was_escaped_is_found(fields: dict[str, str], other: str) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")

    exact = ",".join(f"{path}={escaped(value)}" for path, value in fields.items())
    assert parse_field_selector(exact).matches(fields)
    for path, value in fields.items():
        assert parse_field_selector(f"{path}={escaped(other)}").matches(fields) is (value == other)
        assert parse_field_selector(f"{path}!={escaped(other)}").matches(fields) is (value != other)


def test_a_field_that_is_not_there_is_empty() -> None:
    assert parse_field_selector("spec.nodeName=").matches({})
    assert parse_field_selector("spec.nodeName!=n").matches({})
    assert not parse_field_selector("spec.nodeName!=").matches({})
