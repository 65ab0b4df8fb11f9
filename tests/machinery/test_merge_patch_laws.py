"""Laws of merge patches (RFC 7386), with a reference that makes the patch between two documents."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.machinery.patch import merge_patch

scalars = st.booleans() | st.integers(-3, 3) | st.text("xy", max_size=2)
without_null = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abcd"), without_null, max_size=4)
patches = st.dictionaries(
    st.sampled_from("abcd"),
    st.recursive(
        scalars | st.none(),
        lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def difference(old: Any, new: Any) -> Any:
    """The smallest merge patch from `old` to `new`, neither of which holds null."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    gone = {name: None for name in old if name not in new}
    changed = {
        name: difference(old[name], value) if name in old else value
        for name, value in new.items()
        if name not in old or old[name] != value
    }
    return gone | changed


def same(left: Any, right: Any) -> bool:
    """Equality that tells true from 1."""
    return repr(left) == repr(right) or (
        type(left) is type(right) is dict
        and left.keys() == right.keys()
        and all(same(left[name], right[name]) for name in left)
    )


@given(documents)
def test_a_document_patched_with_itself_is_itself(document: dict[str, Any]) -> None:
    assert same(merge_patch(document, document), document)


@given(documents)
def test_the_patch_between_equals_is_empty(document: dict[str, Any]) -> None:
    assert difference(document, document) == {}
    assert same(merge_patch(document, {}), document)


@given(documents, documents)
def test_applying_the_difference_gives_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merge_patch(old, difference(old, new)) == new


@given(documents, patches)
def test_no_null_of_the_patch_is_left_in_the_result(
    document: dict[str, Any], patch: dict[str, Any]
) -> None:
    assert "None" not in repr(merge_patch(document, patch))


@given(documents, patches)
def test_what_the_patch_does_not_name_stays(
    document: dict[str, Any], patch: dict[str, Any]
) -> None:
    result = merge_patch(document, patch)
    for name in document.keys() - patch.keys():
        assert same(result[name], document[name])
    assert result.keys() == (document.keys() | patch.keys()) - {
        name for name, change in patch.items() if change is None
    }


@given(documents, st.dictionaries(st.sampled_from("abcd"), scalars), documents)
def test_of_flat_patches_the_later_wins(
    document: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    flat = dict.fromkeys(second, 0)
    one_by_one = merge_patch(merge_patch(document, first), flat)
    assert same(one_by_one, merge_patch(document, first | flat))


@given(documents | scalars | st.none(), scalars | st.lists(scalars) | st.none())
def test_a_patch_that_is_no_object_replaces_the_document(document: Any, patch: Any) -> None:
    assert same(merge_patch(document, patch), patch)


@pytest.mark.parametrize(
    ("document", "patch", "result"),
    [
        ({"a": [{"b": "c"}]}, {"a": [{"d": None}]}, {"a": [{"d": None}]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ("text", {"a": {"b": None}}, {"a": {}}),
        ({"a": "b"}, None, None),
        (
            {
                "title": "Goodbye!",
                "author": {"givenName": "John", "familyName": "Doe"},
                "tags": ["example", "sample"],
                "content": "This will be unchanged",
            },
            {
                "title": "Hello!",
                "phoneNumber": "+01-123-456-7890",
                "author": {"familyName": None},
                "tags": ["example"],
            },
            {
                "title": "Hello!",
                "author": {"givenName": "John"},
                "tags": ["example"],
                "content": "This will be unchanged",
                "phoneNumber": "+01-123-456-7890",
            },
        ),
    ],
    ids=[
        "null in a list is a value", "null in the document stays", "a list becomes an object",
        "a text becomes an object", "null replaces all", "the example of section 3",
    ],
)  # fmt: skip
def test_the_corners_of_rfc_7386(document: Any, patch: Any, result: Any) -> None:
    assert same(merge_patch(document, patch), result)
