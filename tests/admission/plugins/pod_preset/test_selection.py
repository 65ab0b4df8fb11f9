"""Which presets reach a Pod, and in which order."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.admission.plugins.pod_preset import shorthand
from tests.admission.plugins.pod_preset.dice import LABELS

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import Mode, Preset
from podward.admission.plugins.pod_preset.parse import preset_of
from podward.admission.plugins.pod_preset.selection import PresetIndex, selected

CATCHALL = {"env": ["A=1"], "sel": {}}


def preset(name: str, created: str = "", **short: Any) -> Preset:
    document = shorthand.preset({"n": name, **CATCHALL, **short})
    if created:
        document["metadata"]["creationTimestamp"] = created
    return preset_of(document)


def matched(
    *presets: Preset, namespace_labels: dict[str, str] | None = None, mode: Mode = "safe"
) -> list[str]:
    found = selected(
        presets, {"tier": "web"}, namespace="edge", namespace_labels=namespace_labels, mode=mode
    )
    return [preset.id for preset in found.matched]


def test_cluster_presets_come_first_then_priority_then_age_then_name() -> None:
    presets = [
        preset("z"),
        preset("b", "2026-01-02T00:00:00Z"),
        preset("c", "2026-01-01T00:00:00Z"),
        preset("a", "2026-01-02T00:00:00Z"),
        preset("low", kind="podward", spec={"priority": -1}),
        preset("high", kind="podward", spec={"priority": 7}),
        preset("all", kind="cluster", spec={"priority": -9}),
        preset("z", kind="podward"),
    ]
    wanted = [
        "clusterpodpreset/all",
        "podpreset.podward.dev/high",
        "podpreset/c",
        "podpreset/a",
        "podpreset/b",
        "podpreset.podward.dev/z",
        "podpreset/z",
        "podpreset.podward.dev/low",
    ]
    assert matched(*presets) == wanted
    assert matched(*reversed(presets)) == wanted


@pytest.mark.parametrize(
    ("selector", "labels", "reached"),
    [
        ({}, {}, True),
        ({}, None, True),
        (None, {"env": "prod"}, True),
        ({"matchLabels": {"env": "prod"}}, {"env": "prod"}, True),
        ({"matchLabels": {"env": "prod"}}, {"env": "test"}, False),
        ({"matchLabels": {"env": "prod"}}, None, False),
        ({"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]}, {}, True),
        ({}, {"podward.dev/presets": "disabled"}, False),
        ({}, {"podward.dev/presets": "enabled"}, True),
    ],
)
def test_a_cluster_preset_chooses_namespaces_and_they_may_opt_out(
    selector: Any, labels: dict[str, str] | None, reached: bool
) -> None:
    everywhere = preset("all", kind="cluster", spec={"namespaceSelector": selector})
    assert bool(matched(everywhere, namespace_labels=labels)) == reached
    assert bool(matched(everywhere, namespace_labels=labels, mode="compat")) == reached


def test_a_namespace_that_opts_out_keeps_its_own_presets() -> None:
    labels = {"podward.dev/presets": "disabled"}
    assert matched(preset("a"), preset("b", kind="podward"), namespace_labels=labels) == [
        "podpreset/a", "podpreset.podward.dev/b"
    ]  # fmt: skip


def test_what_safe_mode_leaves_out_is_told_for_the_namespace_only() -> None:
    bad = {"exp": [["zone", "In", ["no good!"]]], "env": ["B=1"]}
    presets = [
        preset_of(shorthand.preset({"n": "bad", **bad})),
        preset_of(shorthand.preset({"n": "far", "ns": "core", **bad})),
        preset_of(shorthand.preset({"n": "empty", "env": [], "sel": {"tier": "nobody"}})),
        preset("good"),
    ]
    pod = shorthand.pod({})
    for found in (presets, PresetIndex(presets)):
        result = admit(pod, found, namespace="edge")
        assert [preset.name for preset in result.invalid] == ["bad", "empty"]
        assert [preset.name for preset in result.applied] == ["good"]


def test_in_compat_the_error_names_the_selector() -> None:
    bad = preset_of(
        shorthand.preset({"n": "bad", "exp": [["zone", "In", ["no good!"]]], "env": ["B=1"]})
    )
    result = admit(shorthand.pod({}), [bad], namespace="edge", mode="compat")
    assert result.error.startswith("filtering pod presets failed: label selector conversion failed")
    assert '"no good!"' in result.error


def test_presets_do_not_match_by_the_labels_that_presets_gave() -> None:
    gives = preset("gives", kind="podward", spec={"labels": {"mesh": "on"}, "priority": 1})
    takes = preset("takes", sel={"mesh": "on"})
    once = admit(shorthand.pod({}), [gives, takes], namespace="edge")
    assert once.pod["metadata"]["labels"] == {"tier": "web", "mesh": "on"}
    twice = admit(once.pod, [gives, takes], namespace="edge")
    assert [p.name for p in once.applied] == [p.name for p in twice.applied] == ["gives"]
    # The author's own label of that name does.
    own = shorthand.pod({"labels": {"mesh": "on"}})
    assert [p.name for p in admit(own, [gives, takes], namespace="edge").applied] == [
        "gives",
        "takes",
    ]


EXPRESSIONS = st.sampled_from(
    [["tier", "In", ["web", "db"]], ["tier", "In", ["db"]], ["zone", "NotIn", ["web"]],
     ["zone", "Exists"], ["tier", "DoesNotExist"]]
)  # fmt: skip
SELECTORS = st.fixed_dictionaries(
    {
        "sel": LABELS,
        "exp": st.lists(EXPRESSIONS, max_size=2),
        "ns": st.sampled_from(["edge", "core"]),
    }
)


@settings(max_examples=50)
@given(st.lists(SELECTORS, max_size=8), LABELS)
def test_an_index_misses_none(selectors: list[dict[str, Any]], labels: dict[str, str]) -> None:
    presets = [preset(f"p{i}", **short) for i, short in enumerate(selectors)]
    index = PresetIndex(presets)
    assert len(index) == len(presets)
    found = {p.name for p in index.candidates(labels)}
    near = {p.name for p in index.candidates(labels, "edge")}
    for one in presets:
        assert one.selector is not None
        if one.selector.matches(labels):
            assert one.name in found
            assert (one.name in near) == (one.namespace == "edge")


def test_an_index_does_not_look_at_those_that_want_other_labels() -> None:
    index = PresetIndex([preset(f"p{i}", sel={"app": f"a{i}", "tier": "web"}) for i in range(50)])
    assert [p.name for p in index.candidates({"app": "a7", "tier": "web"}, "edge")] == ["p7"]
    assert index.candidates({"tier": "web"}, "edge") == []
