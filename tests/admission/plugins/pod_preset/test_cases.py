"""The table: every row in both modes."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.admission.plugins.pod_preset import shorthand

from podward.admission.base import AdmissionRequest
from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import (
    APPLIED_PREFIX,
    PROVENANCE_ANNOTATION,
    InvalidPreset,
    Mode,
    Preset,
    Result,
)
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.admission.plugins.pod_preset.selection import PresetIndex
from podward.api import codec
from podward.api.defaults import set_defaults
from podward.api.scheme import SCHEME
from podward.api.validation import creation_errors
from podward.machinery.patch import json_patch

CASES = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text())
POD = SCHEME.of_plural("", "v1", "pods")


def presets(case: dict[str, Any]) -> list[Preset]:
    return [preset_of(shorthand.preset(short)) for short in case["p"]]


def wanted(case: dict[str, Any], mode: Mode) -> Any:
    return case.get("safe", case["want"]) if mode == "safe" else case["want"]


def expected_pod(case: dict[str, Any], want: Any) -> dict[str, Any]:
    """The Pod as it came, with the lists and annotations of `want`."""
    pod = shorthand.pod(case.get("pod"))
    if "vol" in want:
        pod["spec"]["volumes"] = [shorthand.volume(v) for v in want["vol"]]
    for short, field in (("c", "containers"), ("i", "initContainers")):
        for container, lists in zip(pod["spec"].get(field, ()), want.get(short, ()), strict=False):
            for name, items in shorthand.lists(lists).items():
                container.pop(name, None)
                if items is not None:
                    container[name] = items
    versions = {short["n"]: short.get("rv", "70") for short in case["p"]}
    names = want.get("ann", ())
    values = names if isinstance(names, dict) else {name: versions[name] for name in names}
    if values:
        annotations = pod["metadata"].get("annotations") or {}
        applied = {f"{APPLIED_PREFIX}{name}": value for name, value in values.items()}
        pod["metadata"]["annotations"] = annotations | applied
    return pod


def without_provenance(pod: dict[str, Any]) -> dict[str, Any]:
    pod = copy.deepcopy(pod)
    annotations = pod["metadata"].get("annotations")
    if annotations:
        annotations.pop(PROVENANCE_ANNOTATION, None)
    return pod


def admitted(case: dict[str, Any], mode: Mode) -> tuple[dict[str, Any], Result | None]:
    """The Pod and what was made of it; None if the request is none for the engine."""
    pod = shorthand.pod(case.get("pod"))
    resource = SCHEME.of_plural("", "v1", case.get("res", "pods"))
    assert resource is not None
    request = AdmissionRequest(
        case.get("op", "CREATE"), resource, case.get("sub", ""), "edge", "web", pod, None, "me"
    )
    if not request.is_pod_creation():
        return pod, None
    result = admit(pod, presets(case), namespace="edge", mode=mode)
    for _ in range(case.get("passes", 1) - 1):
        result = admit(result.pod, presets(case), namespace="edge", mode=mode)
    return pod, result


ROWS = [case for case in CASES if "want" in case]


@pytest.mark.parametrize("mode", ["compat", "safe"])
@pytest.mark.parametrize("case", ROWS, ids=[case["id"] for case in ROWS])
def test_what_becomes_of_a_pod(case: dict[str, Any], mode: Mode) -> None:
    pod, result = admitted(case, mode)
    untouched, want = shorthand.pod(case.get("pod")), wanted(case, mode)
    assert pod == untouched, "what goes in is never changed"
    if result is None:
        assert want == "same"
        return
    if want == "same":
        assert (result.pod, result.patch, result.applied) == (untouched, (), ())
    elif "err" in want:
        assert result.error.startswith("filtering pod presets failed")
        assert (result.pod, result.patch) == (untouched, ())
    else:
        assert without_provenance(result.pod) == expected_pod(case, want)
        assert result.conflicts == ()
        assert problems_of(result.pod) == [p for p in [want.get("podinvalid")] if p]
    assert [preset.name for preset in result.invalid] == (
        want.get("invalid", []) if isinstance(want, dict) else []
    )
    if case.get("passes", 1) == 1:
        assert json_patch(pod, list(result.patch)) == result.pod


@pytest.mark.parametrize("mode", ["compat", "safe"])
@pytest.mark.parametrize("case", ROWS, ids=[case["id"] for case in ROWS])
def test_an_index_of_the_presets_finds_the_same(case: dict[str, Any], mode: Mode) -> None:
    pod = shorthand.pod(case.get("pod"))
    found = admit(pod, PresetIndex(presets(case)), namespace="edge", mode=mode)
    assert found == admit(pod, presets(case), namespace="edge", mode=mode)


def problems_of(pod: dict[str, Any]) -> list[str]:
    assert POD is not None
    stored = {**pod, "metadata": {**pod["metadata"], "namespace": "edge"}}
    obj, _ = codec.decode_builtins(stored, POD, "Ignore")
    return [error.field for error in creation_errors(set_defaults(obj), POD)]


OBJECTS = [case for case in CASES if "valid" in case]


@pytest.mark.parametrize("case", OBJECTS, ids=[case["id"] for case in OBJECTS])
def test_which_presets_are_refused(case: dict[str, Any]) -> None:
    document = shorthand.preset(case["p"][-1])
    if case["valid"]:
        with pytest.raises(InvalidPreset) as caught:
            preset_of(document)
        assert [f"{e.type} @ {e.field}" for e in caught.value.errors] == case["valid"]
        name = document["metadata"]["name"]
        assert str(caught.value).startswith(f'PodPreset.settings.k8s.io "{name}" is invalid: ')
    else:
        found = [f"{e.type} @ {e.field}" for e in preset_of(document).problems]
        assert found == case.get("problems", [])


def test_no_two_rows_have_one_name() -> None:
    names = [case["id"] for case in CASES]
    assert len(names) == len(set(names))
