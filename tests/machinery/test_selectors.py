"""Selectors: what matches, and what cannot be read."""

import pytest

from podward.machinery.selectors import (
    SelectorError,
    parse_field_selector,
    parse_label_selector,
)

LABELS = {"app": "web", "tier": "front", "example.com/x": "1", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app", True),
        ("!app", False),
        ("none", False),
        ("! none", True),
        ("app=web", True),
        ("app == web", True),
        ("app=api", False),
        ("app!=api", True),
        ("none!=api", True),
        ("app in (web, api)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("none notin (api)", True),
        ("none in ()", False),
        ("example.com/x=1", True),
        ("empty=", True),
        ("app=web,tier=front", True),
        ("app=web,tier=back", False),
        ("app in (web),!none , tier", True),
    ],
)
def test_labels_match(text: str, matches: bool) -> None:
    assert parse_label_selector(text).matches(LABELS) is matches


@pytest.mark.parametrize("text", ["=x", "a b", "a in b", "a,", "a in (b c)", "a=b=c", "a=-x"])
def test_a_label_selector_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_label_selector(text)


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("metadata.name=web", True),
        ("metadata.name==web", True),
        ("metadata.name!=web", False),
        ("spec.nodeName=", True),
        ("metadata.name=web,status.phase=Running", True),
        ("metadata.name=web,status.phase!=Running", False),
        (r"note=a\,b", True),
    ],
)
def test_fields_match(text: str, matches: bool) -> None:
    fields = {"metadata.name": "web", "status.phase": "Running", "note": "a,b"}
    assert parse_field_selector(text).matches(fields) is matches


@pytest.mark.parametrize("text", ["metadata.name", "=x"])
def test_a_field_selector_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(SelectorError, match="invalid selector"):
        parse_field_selector(text)
