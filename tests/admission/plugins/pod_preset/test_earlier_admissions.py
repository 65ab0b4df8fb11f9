"""What the provenance on a Pod tells of the admission before this one."""

import json
from typing import Any

import pytest

from podward.admission.plugins.pod_preset.earlier import put_by, put_later
from podward.admission.plugins.pod_preset.model import PROVENANCE_ANNOTATION

CPU = "/spec/containers/app/resources/requests/cpu"
RESOURCES = "/spec/containers/app/resources"


def pod(fields: Any) -> dict[str, Any]:
    text = (
        fields if isinstance(fields, str) else json.dumps({"fields": fields, "presets": {}, "v": 1})
    )
    return {"metadata": {"annotations": {PROVENANCE_ANNOTATION: text}}}


@pytest.mark.parametrize(
    ("fields", "key", "by"),
    [
        ({CPU: "p"}, CPU, "p"),
        ({RESOURCES: "p"}, CPU, "p"),
        ({RESOURCES: "p", CPU: "q"}, CPU, "q"),
        ({"/spec/containers/app": "p"}, CPU, "p"),
        ({CPU: "p"}, RESOURCES, None),
        ({}, CPU, None),
        # Of no preset that there could be: whoever creates a Pod writes its annotations.
        ({"/spec": "p", "": "p"}, CPU, None),
        ("", CPU, None),
        ("no JSON", CPU, None),
        ("[]", CPU, None),
        ('{"fields":3}', CPU, None),
        ('{"fields":{"/x":[]}}', CPU, None),
        ("{}", CPU, None),
        ('{"deep":' + "[" * 50_000, CPU, None),
    ],
)  # fmt: skip
def test_who_put_it_there(fields: Any, key: str, by: str | None) -> None:
    assert put_by(pod(fields), key) == by


@pytest.mark.parametrize("document", [{}, {"metadata": None}, {"metadata": {"annotations": None}}])
def test_a_pod_of_which_nothing_is_told(document: Any) -> None:
    assert put_by(document, CPU) is None


@pytest.mark.parametrize(
    ("claims", "asking", "later"),
    [
        ({}, "", "p"),
        ({}, "q", "p"),
        ({}, "p", None),
        ({CPU: "q"}, "q", "p"),
        ({CPU: "p"}, "q", None),
        ({RESOURCES: "p"}, "q", None),
        ({RESOURCES + "/limits": "p"}, "q", "p"),
    ],
)
def test_a_preset_is_later_until_it_has_had_its_turn(
    claims: dict[str, str], asking: str, later: str | None
) -> None:
    assert put_later(pod({RESOURCES: "p"}), claims, CPU, asking) == later
