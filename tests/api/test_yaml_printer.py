"""What is printed is read again as what it was, by this program and by kubectl."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from podward.api.yaml_loader import load_one
from podward.api.yaml_printer import to_yaml

NO_PLAIN_TEXTS = ["y", "N", "on", "Off", "yes", "1e3", "0o17", "017", "1_000", "~", "null", "", ".5",
                  "1.", "0x1f", "12:30:45", "2020-01-01", "<<", "=", "-", "? a", "{}", "# no"]  # fmt: skip


@pytest.mark.parametrize("text", NO_PLAIN_TEXTS)
def test_a_text_that_looks_like_something_else_stays_a_text(text: str) -> None:
    assert load_one(to_yaml({"a": [text], text: 1})) == {"a": [text], text: 1}
    assert yaml.safe_load(to_yaml([text])) == [text]


@pytest.mark.parametrize("text", ["sleep", "10m", "busybox:1.36", "a b", "/cache", "1Gi", "x=y"])
def test_a_plain_text_is_not_quoted(text: str) -> None:
    assert to_yaml([text]) == f"- {text}\n"


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text("yn01eo.:-# \n~'\"a", max_size=5)),
    lambda below: st.one_of(
        st.lists(below, max_size=3),
        st.dictionaries(st.text("yn0~a", max_size=2), below, max_size=3),
    ),
    max_leaves=8,
)


@given(value=st.dictionaries(st.text("ab", min_size=1, max_size=2), values, min_size=1))
def test_any_document_comes_back(value: dict[str, Any]) -> None:
    assert load_one(to_yaml(value)) == value
