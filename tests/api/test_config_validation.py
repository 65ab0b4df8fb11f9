"""ConfigMaps and Secrets: keys, sizes, immutability."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1
from tests.api.support import causes, made, update_causes

KINDS = [core_v1.ConfigMap, core_v1.Secret]
MEBIBYTE = 1024 * 1024
TOO_LONG = "Too long: may not be more than 1048576 bytes"
IMMUTABLE = "Forbidden: field is immutable when `immutable` is set"
KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  "
    "or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


def config_map(**fields: Any) -> core_v1.ConfigMap:
    found = made(core_v1.ConfigMap, fields)
    assert isinstance(found, core_v1.ConfigMap)
    return found


def secret(**fields: Any) -> core_v1.Secret:
    found = made(core_v1.Secret, fields)
    assert isinstance(found, core_v1.Secret)
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", ["a", "A.b-c_d", ".hidden", "a..b", "x" * 253, "-", ".a"])
def test_a_key_that_could_be_a_file_is_valid(kind: type[Any], key: str) -> None:
    assert causes(made(kind, {"data": {key: ""}})) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("key", "problem"),
    [
        ("", KEY),
        ("a/b", KEY),
        ("a b", KEY),
        ("ü", KEY),
        (".", "must not be '.'"),
        ("..", "must not be '..'"),
        ("..a", "must not start with '..'"),
        ("x" * 254, "must be no more than 253 characters"),
    ],
    ids=["empty", "a slash", "a blank", "beyond ASCII", "here", "up", "dots first", "long"],
)
def test_a_key_that_could_be_no_file_is_refused(kind: type[Any], key: str, problem: str) -> None:
    found = causes(made(kind, {"data": {key: ""}}))
    assert found == [(f"data[{key}]", f'Invalid value: "{key}": {problem}')]


def test_bytes_of_a_config_map_have_keys_as_well() -> None:
    found = causes(config_map(binaryData={"..a": "eA=="}))
    assert found == [
        ("binaryData[..a]", "Invalid value: \"..a\": must not start with '..'"),
    ]


def test_a_key_is_either_text_or_bytes() -> None:
    found = causes(config_map(data={"a": "x", "b": "y"}, binaryData={"a": "eA=="}))
    assert found == [
        ("data[a]", 'Invalid value: "a": duplicate of key present in binaryData'),
    ]


@pytest.mark.parametrize("excess", [0, 1])
def test_a_secret_holds_at_most_a_mebibyte(excess: int) -> None:
    found = causes(secret(stringData={"a": "x" * (MEBIBYTE - 5), "b": "y" * (5 + excess)}))
    assert found == [("data", TOO_LONG)] * excess


@pytest.mark.parametrize("excess", [0, 1])
def test_a_config_map_holds_at_most_a_mebibyte(excess: int) -> None:
    found = causes(config_map(data={"a": "x" * MEBIBYTE, "b": "y" * excess}))
    assert [message for _, message in found] == [TOO_LONG] * excess


def test_the_size_of_a_text_is_that_of_its_bytes() -> None:
    assert [m for _, m in causes(config_map(data={"a": "ü" * (MEBIBYTE // 2) + "x"}))] == [TOO_LONG]


def test_the_type_of_a_secret_stays() -> None:
    found = update_causes(secret(type="example.com/b"), secret(type="example.com/a"))
    assert found == [("type", 'Invalid value: "example.com/b": field is immutable')]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"data": {"a": "eA=="}, "immutable": True}, []),
        ({"data": {"a": "eQ=="}, "immutable": True}, [("data", IMMUTABLE)]),
        ({"immutable": True}, [("data", IMMUTABLE)]),
        ({"data": {"a": "eA=="}, "immutable": False}, [("immutable", IMMUTABLE)]),
        ({"data": {"a": "eA=="}}, [("immutable", IMMUTABLE)]),
        ({"data": {}}, [("immutable", IMMUTABLE), ("data", IMMUTABLE)]),
    ],
    ids=["nothing", "a value", "a key less", "the mark", "the mark left out", "both"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_immutable_stays(
    kind: type[Any], new: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    old = made(kind, {"data": {"a": "eA=="}, "immutable": True})
    assert update_causes(made(kind, new), old) == expected


def test_bytes_of_an_immutable_config_map_stay() -> None:
    old = config_map(binaryData={"a": "eA=="}, immutable=True)
    new = config_map(binaryData={"a": "eQ=="}, immutable=True)
    assert update_causes(new, old) == [("binaryData", IMMUTABLE)]


values = st.dictionaries(st.sampled_from(["a", "b"]), st.just("eA==") | st.just(""), max_size=2)


@given(values, values, st.booleans(), st.sampled_from(KINDS))
def test_without_the_mark_data_may_change(
    old: dict[str, str], new: dict[str, str], mark: bool, kind: type[Any]
) -> None:
    changed = made(kind, {"data": new, "immutable": mark})
    assert update_causes(changed, made(kind, {"data": old})) == []
