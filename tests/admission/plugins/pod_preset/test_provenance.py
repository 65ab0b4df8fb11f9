"""What the Pod says about who put what there."""

import json
from typing import Any

import pytest
from tests.admission.plugins.pod_preset import shorthand

from podward.admission.plugins.pod_preset import provenance
from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import PROVENANCE_ANNOTATION, Preset, Result
from podward.admission.plugins.pod_preset.parse import preset_of


def old(name: str, **short: Any) -> Preset:
    return preset_of(shorthand.preset({"n": name, **short}))


def annotation(result: Result) -> str:
    text = result.pod["metadata"]["annotations"][PROVENANCE_ANNOTATION]
    assert isinstance(text, str)
    return text


def test_it_is_compact_and_sorted_and_names_only_what_was_put_there() -> None:
    pod = shorthand.pod({"c": [{"env": ["A=1"]}], "vol": ["v=empty"]})
    cal = old("cal", env=["Z=1", "A=1"], vol=["v=empty"], mnt=["v:/a/b"])
    result = admit(pod, [cal], namespace="edge")
    assert annotation(result) == (
        '{"fields":{"/spec/containers/app/env/Z":"podpreset/cal",'
        '"/spec/containers/app/volumeMounts/~1a~1b":"podpreset/cal"},'
        f'"presets":{{"podpreset/cal":"{cal.spec_hash}"}},"v":1}}'
    )
    assert result.provenance == json.loads(annotation(result))["fields"]


def test_what_an_earlier_admission_wrote_stays() -> None:
    once = admit(shorthand.pod({}), [old("cal", env=["A=1"])], namespace="edge")
    twice = admit(once.pod, [old("reg", env=["B=1"])], namespace="edge")
    said = json.loads(annotation(twice))
    assert set(said["presets"]) == {"podpreset/cal", "podpreset/reg"}
    assert said["fields"] == twice.provenance == {
        "/spec/containers/app/env/A": "podpreset/cal",
        "/spec/containers/app/env/B": "podpreset/reg",
    }  # fmt: skip


def test_it_stays_byte_for_byte_where_nothing_is_added() -> None:
    cal = old("cal", env=["A=1"])
    once = admit(shorthand.pod({}), [cal], namespace="edge")
    said = json.loads(annotation(once))
    once.pod["metadata"]["annotations"][PROVENANCE_ANNOTATION] = json.dumps(said, indent=1)
    twice = admit(once.pod, [cal], namespace="edge")
    assert twice.pod is once.pod
    assert twice.provenance == {"/spec/containers/app/env/A": "podpreset/cal"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "null", "[]", '"x"', '{"fields":[]}', '{"fields":{"a":1}}', '{"v":2}', "\ud800", 7],
)
def test_what_cannot_be_read_is_nothing(text: Any) -> None:
    pod = shorthand.pod({"ann": {PROVENANCE_ANNOTATION: text}})
    assert provenance.read(pod) == provenance.Record()
    result = admit(pod, [old("cal", env=["A=1"])], namespace="edge")
    assert json.loads(annotation(result))["fields"] == {
        "/spec/containers/app/env/A": "podpreset/cal"
    }  # fmt: skip


def test_it_is_cut_before_it_takes_too_much_of_what_annotations_share() -> None:
    many = old("many", env=[f"VARIABLE_NUMBER_{i}=1" for i in range(700)])
    result = admit(shorthand.pod({}), [many], namespace="edge")
    text = annotation(result)
    assert json.loads(text) == {
        "presets": {"podpreset/many": many.spec_hash}, "truncated": True, "v": 1
    }  # fmt: skip
    assert len(result.provenance) == 700
    again = admit(result.pod, [many], namespace="edge")
    assert again.pod is result.pod
    more = admit(result.pod, [many, old("cal", env=["A=1"])], namespace="edge")
    assert json.loads(annotation(more))["truncated"] is True


def test_compat_writes_none_unless_a_new_preset_was_applied() -> None:
    result = admit(shorthand.pod({}), [old("cal", env=["A=1"])], namespace="edge", mode="compat")
    assert PROVENANCE_ANNOTATION not in result.pod["metadata"]["annotations"]


def test_a_preset_without_a_resource_version_leaves_an_empty_annotation() -> None:
    document = shorthand.preset({"n": "cal", "env": ["A=1"]})
    del document["metadata"]["resourceVersion"]
    result = admit(shorthand.pod({}), [preset_of(document)], namespace="edge", mode="compat")
    assert result.pod["metadata"]["annotations"] == {
        "podpreset.admission.kubernetes.io/podpreset-cal": ""
    }  # fmt: skip
