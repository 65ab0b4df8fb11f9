"""The engine and all sections together, on Pods and presets by dice that ask for everything at once."""

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.admission.plugins.pod_preset import dice
from tests.admission.plugins.pod_preset.sections import draws, support
from tests.admission.plugins.pod_preset.sections.support import errors, stored

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import Document, InvalidPreset, Preset, Result
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.machinery.patch import json_patch

CASES = settings(max_examples=60)


def admitted(pod: Document, presets: list[Preset]) -> Result:
    return admit(pod, presets, namespace="edge", mode="safe")


@st.composite
def presets(draw: st.DrawFn) -> list[Preset]:
    return [
        preset_of(draw(_documents(f"p{i}").filter(_valid)), namespace="edge")
        for i in range(draw(st.integers(1, 3)))
    ]


@st.composite
def _documents(draw: st.DrawFn, name: str) -> Document:
    held = draw(dice.volumes())
    lists = draw(dice.lists([volume["name"] for volume in held], dice.SOURCES))
    spec = {"volumes": held, **lists} if draw(st.booleans()) else {}
    labels = draw(st.dictionaries(st.sampled_from(["a", "b/c"]), st.just("1"), max_size=1))
    return {
        "apiVersion": "podward.dev/v1alpha1",
        "kind": "PodPreset",
        "metadata": {"name": name, "namespace": "edge"},
        "spec": {
            "selector": {"matchLabels": labels},
            "onConflict": draw(st.sampled_from(["SkipAll", "SkipPreset", "KeepPod", "Override"])),
            "priority": draw(st.integers(0, 1)),
            **spec,
            **draw(draws.specs),
        },
    }


def _valid(document: Document) -> bool:
    try:
        preset_of(document)
    except InvalidPreset:
        return False
    return True


@CASES
@given(draws.pods(), presets())
def test_a_second_admission_changes_nothing(pod: Any, found: Any) -> None:
    assume(not errors(pod))
    once = stored(admitted(pod, found).pod)
    again = admitted(once, found)
    assert again.pod == once
    assert again.patch == ()


@CASES
@given(draws.pods(), presets())
def test_a_valid_pod_stays_valid_and_the_patch_makes_it(pod: Any, found: Any) -> None:
    assume(not errors(pod))
    result = admitted(pod, found)
    assert errors(result.pod) == []
    assert json_patch(pod, list(result.patch)) == result.pod


def test_a_label_that_was_replaced_selects_as_its_author_wrote_it() -> None:
    """Or the second admission would miss a preset of the first, and with it what that one claimed."""
    found = [
        preset_of({"apiVersion": "podward.dev/v1alpha1", "kind": "PodPreset",
                   "metadata": {"name": name, "namespace": "edge"}, "spec": spec})
        for name, spec in {
            "p0": {"selector": {"matchLabels": {"a": "1"}},
                   "terminationGracePeriodSeconds": {"value": 45}},
            "p1": {"selector": {}, "onConflict": "Override", "labels": {"a": "2", "b": "3"},
                   "terminationGracePeriodSeconds": {"mode": "override", "value": 60}},
            "p2": {"selector": {"matchLabels": {"a": "2"}}, "annotations": {"never": "1"}},
        }.items()
    ]  # fmt: skip
    pod = support.pod()
    pod["metadata"]["labels"] = {"a": "1"}
    once = admitted(pod, found)
    assert [preset.name for preset in once.matched] == ["p0", "p1"]
    assert once.pod["metadata"]["labels"] == {"a": "2", "b": "3"}
    again = admitted(stored(once.pod), found)
    assert [preset.name for preset in again.matched] == ["p0", "p1"]
    assert again.pod["spec"]["terminationGracePeriodSeconds"] == 45
    assert again.patch == ()
