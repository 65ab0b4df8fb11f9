"""The patch of `podward apply`: what a manifest changes, and what it no longer says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podward.cli.apply import three_way
from podward.machinery.patch import merge_patch

COMPLETED = {"spec": {"containers": [{"name": "c", "image": "i", "imagePullPolicy": "Always"}]}}


@pytest.mark.parametrize(
    ("last", "wanted", "current", "patch"),
    [
        ({}, {"a": 1}, {"a": 1}, {}),
        ({}, {"a": 2}, {"a": 1}, {"a": 2}),
        ({}, {"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {}, {"a": 1}, {"a": None}),
        ({}, {}, {"a": 1}, {}),
        ({"a": 1}, {}, {}, {}),
        ({"l": {"x": "1"}}, {"l": {"y": "2"}}, {"l": {"x": "1"}}, {"l": {"y": "2", "x": None}}),
        ({}, {"spec": {"containers": [{"name": "c", "image": "i"}]}}, COMPLETED, {}),
        (
            {},
            {"spec": {"containers": [{"name": "c", "image": "j"}]}},
            COMPLETED,
            {
                "spec": {
                    "containers": [{"name": "c", "image": "j", "imagePullPolicy": "Always"}]
                }
            },
        ),
    ],
    ids=[
        "nothing to do", "a change", "an addition", "a removal", "what others added stays",
        "a removal that has happened", "below", "completed by the server", "a list is sent whole",
    ],
)  # fmt: skip
def test_the_patch_is_what_differs(last: Any, wanted: Any, current: Any, patch: Any) -> None:
    assert three_way(last, wanted, current) == patch


documents = st.recursive(
    st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner), max_leaves=8
)
objects = st.dictionaries(st.sampled_from("abc"), documents)


@given(objects, objects, objects)
def test_applied_twice_changes_nothing_more(last: Any, wanted: Any, current: Any) -> None:
    after = merge_patch(current, three_way(last, wanted, current))
    assert three_way(wanted, wanted, after) == {}
