"""What may be called what: each rule with the words of its refusal, and metadata as a whole."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1
from tests.api.support import causes, made

from podward.api.validation import names

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must "
    "start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for "
    "validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'example.com', regex used for "
    r"validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
    "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or "
    "'12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


def most(count: int) -> str:
    return f"must be no more than {count} characters"


@pytest.mark.parametrize(
    ("rule", "text", "problems"),
    [
        (names.dns_label, "a", []),
        (names.dns_label, "a" * 63, []),
        (names.dns_label, "a" * 64, [most(63)]),
        (names.dns_label, "", [LABEL]),
        (names.dns_label, "-a", [LABEL]),
        (names.dns_label, "a-", [LABEL]),
        (names.dns_label, "a.b", [LABEL]),
        (names.dns_label, "a\n", [LABEL]),
        (names.dns_label, "é", [LABEL]),
        (names.dns_label, "A" * 64, [most(63), LABEL]),
        (names.dns_subdomain, "a.b-c.0", []),
        (names.dns_subdomain, "a" * 253, []),
        (names.dns_subdomain, "a" * 254, [most(253)]),
        (names.dns_subdomain, "a..b", [SUBDOMAIN]),
        (names.dns_subdomain, ".a", [SUBDOMAIN]),
        (names.dns_subdomain, "a.", [SUBDOMAIN]),
        (names.dns_subdomain, "a_b", [SUBDOMAIN]),
        (names.qualified_name, "simple", []),
        (names.qualified_name, "Dotted.and_under-score", []),
        (names.qualified_name, "example.com/Name", []),
        (names.qualified_name, "a" * 253 + "/" + "b" * 63, []),
        (names.qualified_name, "", ["name part must be non-empty", QUALIFIED]),
        (names.qualified_name, "a/", ["name part must be non-empty", QUALIFIED]),
        (names.qualified_name, "/a", ["prefix part must be non-empty"]),
        (names.qualified_name, "A/b", [f"prefix part {SUBDOMAIN}"]),
        (names.qualified_name, "a" * 64, [f"name part {most(63)}"]),
        (names.qualified_name, "a" * 254 + "/b", [f"prefix part {most(253)}"]),
        (names.qualified_name, "-a", [QUALIFIED]),
        (names.label_value, "", []),
        (names.label_value, "My_value.0", []),
        (names.label_value, "a" * 63, []),
        (names.label_value, "a" * 64, [most(63)]),
        (names.label_value, "a b", [VALUE]),
        (names.label_value, "-", [VALUE]),
    ],
)  # fmt: skip
def test_a_name_breaks_these_rules(
    rule: Callable[[str], list[str]], text: str, problems: list[str]
) -> None:
    assert rule(text) == problems


@given(st.text("aA0-_./ ", max_size=8))
def test_a_label_is_a_subdomain_and_a_subdomain_a_qualified_name(text: str) -> None:
    assert names.dns_subdomain(text) == [] or names.dns_label(text) != []
    assert names.qualified_name(text) == [] or names.dns_subdomain(text) != []


@given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True))
def test_whatever_fits_the_told_regex_is_a_label(text: str) -> None:
    assert names.dns_label(text) == []


@given(st.text(max_size=6))
def test_whatever_does_not_fit_the_told_regex_is_no_value(text: str) -> None:
    fits = re.fullmatch(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", text) is not None
    assert (names.label_value(text) == []) is fits


@pytest.mark.parametrize(
    ("metadata", "path", "message"),
    [
        ({"name": "Web"}, "metadata.name", f'Invalid value: "Web": {SUBDOMAIN}'),
        ({"name": ""}, "metadata.name", "Required value: name or generateName is required"),
        ({"generateName": "Web-"}, "metadata.generateName", f'Invalid value: "Web-": {SUBDOMAIN}'),
        ({"namespace": ""}, "metadata.namespace", "Required value"),
        ({"labels": {"a": "b c"}}, "metadata.labels", f'Invalid value: "b c": {VALUE}'),
        ({"labels": {"-a": "b"}}, "metadata.labels", f'Invalid value: "-a": {QUALIFIED}'),
        (
            {"labels": {"/a": "b"}},
            "metadata.labels",
            'Invalid value: "/a": prefix part must be non-empty',
        ),
        ({"annotations": {"a b": ""}}, "metadata.annotations", f'Invalid value: "a b": {QUALIFIED}'),
        (
            {"annotations": {"a": "x" * 262144}},
            "metadata.annotations",
            "Too long: may not be more than 262144 bytes",
        ),
    ],
    ids=[
        "a capital", "no name", "a generated name", "no namespace", "a label's value", "a label's key",
        "an empty prefix", "an annotation's key", "too many annotations",
    ],
)  # fmt: skip
def test_what_is_wrong_with_metadata(metadata: dict[str, Any], path: str, message: str) -> None:
    assert causes(made(core_v1.ConfigMap, {"metadata": metadata})) == [(path, message)]


@pytest.mark.parametrize(
    "metadata",
    [
        {"name": "a.b.c", "generateName": "web-"},
        {"labels": {"app.kubernetes.io/Name": "", "x": "A.b_c-0"}},
        {"annotations": {"Example.com/Any": "text: with {everything}\n"}},
        {"annotations": {"a": "x" * 262143}},
        {"finalizers": ["example.com/x", "foregroundDeletion"]},
    ],
    ids=[
        "names",
        "labels",
        "a capital in an annotation's prefix",
        "many annotations",
        "finalizers",
    ],
)
def test_metadata_that_is_valid(metadata: dict[str, Any]) -> None:
    assert causes(made(core_v1.ConfigMap, {"metadata": metadata})) == []


def test_a_namespace_is_named_by_a_label() -> None:
    found = causes(made(core_v1.Namespace, {"metadata": {"name": "a.b"}}))
    assert ("metadata.name", f'Invalid value: "a.b": {LABEL}') in found


def test_what_belongs_to_no_namespace_may_not_name_one() -> None:
    found = causes(made(core_v1.Node, {"metadata": {"namespace": "default"}}))
    assert found == [("metadata.namespace", "Forbidden: not allowed on this type")]
