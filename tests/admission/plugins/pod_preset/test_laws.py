"""The laws L1 to L12 of the engine, on Pods and presets by dice."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.admission.plugins.pod_preset.dice import (
    PLAIN_SOURCES,
    SETTINGS,
    Document,
    pods,
    presets,
)

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import (
    APPLIED_PREFIX,
    EXCLUDE_ANNOTATION,
    MIRROR_ANNOTATION,
    PROVENANCE_ANNOTATION,
    Mode,
    Preset,
    Result,
)
from podward.admission.plugins.pod_preset.normalise import (
    LIST_NAMES,
    ListName,
    completed,
    identity,
    meaning,
)
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.admission.plugins.pod_preset.selection import PresetIndex
from podward.machinery.json_diff import escaped
from podward.machinery.patch import json_patch

FEW = settings(max_examples=25)
MODES = st.sampled_from(["compat", "safe"])
IN_CONTAINERS: tuple[ListName, ...] = ("env", "envFrom", "volumeMounts")


def admitted(pod: Document, found: Sequence[Preset], mode: Mode) -> Result:
    return admit(pod, found, namespace="edge", mode=mode)


def all_lists(pod: Document) -> dict[tuple[str, str], list[Any]]:
    """Every one of the four lists: (container, list) -> items."""
    found = {("", "volumes"): pod["spec"].get("volumes") or []}
    for container in containers(pod):
        for name in IN_CONTAINERS:
            found[container["name"], name] = container.get(name) or []
    return found


def containers(pod: Document) -> list[Document]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]


def without_lists(pod: Document) -> Document:
    pod = copy.deepcopy(pod)
    pod["spec"].pop("volumes", None)
    for container in containers(pod):
        for name in IN_CONTAINERS:
            container.pop(name, None)
    return pod


def without_annotations(pod: Document) -> Document:
    pod = copy.deepcopy(pod)
    for key in [*pod["metadata"].get("annotations", {})]:
        if key == PROVENANCE_ANNOTATION or key.startswith(APPLIED_PREFIX):
            del pod["metadata"]["annotations"][key]
    if not pod["metadata"].get("annotations"):
        pod["metadata"].pop("annotations", None)
    return pod


# ---- L1


@given(pods(), presets())
def test_l1_a_second_admission_changes_nothing(pod: Document, found: list[Preset]) -> None:
    once = admitted(pod, found, "safe")
    twice = admitted(once.pod, found, "safe")
    assert twice.patch == ()
    assert twice.pod is once.pod


@FEW
@given(pods(PLAIN_SOURCES), presets(SETTINGS, PLAIN_SOURCES))
def test_l1_of_1_19_but_for_sources_that_differ_in_optional(
    pod: Document, found: list[Preset]
) -> None:
    once = admitted(pod, found, "compat")
    assert admitted(once.pod, found, "compat").pod is once.pod


# ---- L2, L3, L5, L6: what the presets of settings.k8s.io do to a Pod


@FEW
@given(pods(), presets(SETTINGS), MODES)
def test_l2_all_matching_presets_are_applied_or_none(
    pod: Document, found: list[Preset], mode: Mode
) -> None:
    result = admitted(pod, found, mode)
    annotations = result.pod["metadata"].get("annotations") or {}
    if result.conflicts:
        assert (result.pod, result.applied) == (pod, ())
        assert result.pod is pod
    else:
        assert result.applied == result.matched
        for preset in result.matched:
            assert annotations[f"{APPLIED_PREFIX}{preset.name}"] == preset.resource_version


@FEW
@given(pods(), presets(SETTINGS), MODES)
def test_l3_a_pod_is_untouched_if_anything_clashes_anywhere(
    pod: Document, found: list[Preset], mode: Mode
) -> None:
    result = admitted(pod, found, mode)
    assert bool(result.conflicts) == clashes(pod, result.matched, mode)


def clashes(pod: Document, matched: Sequence[Preset], mode: Mode) -> bool:
    """Said without the engine: two words on one thing."""
    for (_, name), held in all_lists(pod).items():
        if name == "envFrom" and mode == "compat":
            continue
        for nth in range(2 if name == "volumeMounts" and mode == "compat" else 1):
            heard: dict[str, Any] = {}
            for item in held:
                heard[known_by(name, item, nth, mode)] = meaning(as_list(name), item, mode)
            for preset in matched:
                for item in preset.spec.get(name) or ():
                    said = meaning(as_list(name), item, mode)
                    if heard.setdefault(known_by(name, item, nth, mode), said) != said:
                        return True
    return False


def known_by(name: str, item: Document, nth: int, mode: Mode) -> str:
    if name == "volumeMounts" and mode == "compat":
        return str(item["name" if nth == 0 else "mountPath"])
    return identity(as_list(name), item)


def as_list(name: str) -> ListName:
    return next(known for known in LIST_NAMES if known == name)


@FEW
@given(pods(), presets(SETTINGS), MODES)
def test_l5_what_was_there_comes_first(pod: Document, found: list[Preset], mode: Mode) -> None:
    before, after = all_lists(pod), all_lists(admitted(pod, found, mode).pod)
    for key, items in before.items():
        if mode == "compat" and key[1] == "envFrom" and not after[key]:
            continue  # Q2: a source of another optional has emptied it
        assert after[key][: len(items)] == items


@FEW
@given(pods(), presets(SETTINGS, most=2), presets(SETTINGS, most=1))
def test_l6_one_more_preset_adds_or_stops_everything(
    pod: Document, found: list[Preset], more: list[Preset]
) -> None:
    one_more = replace(more[0], name="zzz")
    without, result = admitted(pod, found, "safe"), admitted(pod, [*found, one_more], "safe")
    if result.conflicts:
        assert result.pod is pod
        return
    assert not without.conflicts
    for key, items in all_lists(without.pod).items():
        assert all(item in all_lists(result.pod)[key] for item in items)


# ---- L4, L7, L11


@FEW
@given(pods(), presets(), st.randoms(use_true_random=False), MODES)
def test_l4_the_order_in_which_presets_are_listed_is_nothing(
    pod: Document, found: list[Preset], dice: Any, mode: Mode
) -> None:
    shuffled = [*found]
    dice.shuffle(shuffled)
    assert admitted(pod, shuffled, mode) == admitted(pod, found, mode)


@FEW
@given(pods(), presets(), presets(most=2), MODES)
def test_l7_presets_that_do_not_reach_the_pod_have_no_influence(
    pod: Document, found: list[Preset], others: list[Preset], mode: Mode
) -> None:
    assume(not any(preset.origin == "cluster" for preset in others))
    far = [replace(preset, namespace="core") for preset in others]
    labels = {"selector": {"matchLabels": {"tier": "nobody"}}}
    blind = [
        preset_of({
            "apiVersion": "podward.dev/v1alpha1", "kind": "ClusterPodPreset",
            "metadata": {"name": f"blind-{preset.name}"},
            "spec": {"env": [{"name": "A", "value": "9"}], **labels},
        })
        for preset in others
    ]  # fmt: skip
    assert admitted(pod, [*far, *found, *blind], mode) == admitted(pod, found, mode)


@pytest.mark.parametrize(
    "annotation", [{EXCLUDE_ANNOTATION: "true"}, {MIRROR_ANNOTATION: "0"}], ids=["opt-out", "mirror"]
)  # fmt: skip
@FEW
@given(pod=pods(), found=presets(), mode=MODES)
def test_l7_a_pod_that_opts_out_is_let_through(
    annotation: dict[str, str], pod: Document, found: list[Preset], mode: Mode
) -> None:
    pod["metadata"]["annotations"] = annotation
    assert admitted(pod, found, mode) == Result(pod)


@FEW
@given(pods(), presets(), MODES)
def test_l11_the_same_question_gets_the_same_answer_and_changes_nobody(
    pod: Document, found: list[Preset], mode: Mode
) -> None:
    before = copy.deepcopy((pod, [preset.spec for preset in found]))
    first = admitted(pod, found, mode)
    assert admitted(copy.deepcopy(pod), found, mode) == first
    assert (pod, [preset.spec for preset in found]) == before
    # Nor does what the caller does to the answer reach a preset.
    spoil(first.pod)
    assert [preset.spec for preset in found] == before[1]


def spoil(value: Any) -> None:
    for below in value.values() if isinstance(value, dict) else value:
        if isinstance(below, dict | list):
            spoil(below)
    value.clear()


# ---- L8, L9, L10


@FEW
@given(pods(PLAIN_SOURCES), presets(SETTINGS, PLAIN_SOURCES), MODES)
def test_l8_a_preset_whose_items_are_all_there_changes_annotations_only(
    pod: Document, found: list[Preset], mode: Mode
) -> None:
    found = compatible(pod, found, mode)
    once = admitted(pod, found, mode)
    again = admitted(once.pod, [replace(preset, name=f"{preset.name}2") for preset in found], mode)
    assert [preset.name for preset in again.applied] == [f"{p.name}2" for p in once.applied]
    assert without_annotations(again.pod) == without_annotations(once.pod)


def compatible(pod: Document, found: list[Preset], mode: Mode) -> list[Preset]:
    """As many of them as get along with the Pod and each other."""
    kept: list[Preset] = []
    for preset in found:
        if admitted(pod, [*kept, preset], mode).applied:
            kept.append(preset)
    return kept


@FEW
@given(pods(), presets(), MODES)
def test_l9_nothing_but_the_lists_and_annotations_changes(
    pod: Document, found: list[Preset], mode: Mode
) -> None:
    result = admitted(pod, found, mode).pod
    one, other = (without_lists(without_annotations(p)) for p in (result, pod))
    assert one == other


@FEW
@given(pods(), presets(SETTINGS), MODES)
def test_l10_what_is_spelled_out_is_what_is_meant(
    pod: Document, found: list[Preset], mode: Mode
) -> None:
    result = admitted(pod, found, mode)
    spelled = [
        replace(preset, spec={**preset.spec, **spelled_out(preset.spec)}, memo={})
        for preset in found
    ]
    pod_spelled = copy.deepcopy(pod)
    pod_spelled["spec"] |= spelled_out(pod["spec"])
    for container in containers(pod_spelled):
        container |= spelled_out(container)
    for one, other in ((pod, spelled), (pod_spelled, found)):
        again = admitted(one, other, mode)
        assert again.conflicts == result.conflicts
        assert [p.name for p in again.applied] == [p.name for p in result.applied]
        shape = {key: len(items) for key, items in all_lists(result.pod).items()}
        assert {key: len(items) for key, items in all_lists(again.pod).items()} == shape


def spelled_out(holder: Any) -> Document:
    return {
        name: [completed(name, item) for item in holder[name]]
        for name in LIST_NAMES
        if holder.get(name)
    }


# ---- L12


@FEW
@given(pods(), presets(), MODES)
def test_l12_the_patch_makes_the_result(pod: Document, found: list[Preset], mode: Mode) -> None:
    result = admitted(pod, found, mode)
    assert json_patch(pod, list(result.patch)) == result.pod
    assert (result.pod is pod) == (not result.patch)
    assert result.untouched == (result.pod is pod)
    assert {operation["op"] for operation in result.patch} <= {"add", "remove", "replace"}
    assert all(operation["path"].count("/") > 1 for operation in result.patch)


# ---- and what holds besides


@FEW
@given(pods(), presets(), MODES)
def test_an_index_of_the_presets_changes_nothing(
    pod: Document, found: list[Preset], mode: Mode
) -> None:
    indexed = admit(pod, PresetIndex(found), namespace="edge", mode=mode)
    assert indexed == admitted(pod, found, mode)


@FEW
@given(pods(), presets(), MODES)
def test_no_value_is_told(pod: Document, found: list[Preset], mode: Mode) -> None:
    secret = "5ecret"
    for holder in [*containers(pod), *(preset.spec for preset in found)]:
        for variable in holder.get("env") or ():
            if "value" in variable:
                variable["value"] = secret * (1 + len(variable["value"]))
    result = admitted(pod, [replace(preset, memo={}) for preset in found], mode)
    told = (result.conflicts, result.decisions, result.rejected, result.provenance)
    assert secret not in str(told)


@FEW
@given(pods(), presets(SETTINGS))
def test_the_provenance_names_what_was_put_there_and_nothing_else(
    pod: Document, found: list[Preset]
) -> None:
    result = admitted(pod, found, "safe")
    before, added = all_lists(pod), set()
    for (container, name), items in all_lists(result.pod).items():
        for item in items[len(before[container, name]) :]:
            where = next((p for p in ("containers", "initContainers")
                          for c in pod["spec"].get(p, ()) if c["name"] == container), "")  # fmt: skip
            below = f"/{where}/{container}" if where else ""
            added.add(f"/spec{below}/{name}/{escaped(identity(as_list(name), item))}")
    assert set(result.provenance) == added
    assert set(result.provenance.values()) <= {preset.id for preset in result.applied}
