"""Labels and annotations by key, tolerations by all but their seconds: nothing of the author's is taken."""

from typing import Any

import pytest
from tests.admission.plugins.pod_preset.sections.support import admitted, pod, preset

KEY = "example.org/tier"


def with_metadata(name: str, held: Any) -> Any:
    document = pod()
    if held is not None:
        document["metadata"][name] = held
    return document


@pytest.mark.parametrize("name", ["labels", "annotations"])
def test_a_missing_key_is_added_after_the_authors(name: str) -> None:
    for held in (None, {}, {"a": "1"}):
        before = with_metadata(name, held)
        result = admitted(before, preset(**{name: {KEY: "web"}}), checked=True)
        added = {
            k: v for k, v in result.pod["metadata"][name].items() if k != "podward.dev/presets"
        }
        assert added == {**(held or {}), KEY: "web"}
        assert result.only.key == result.only.pointer == f"/metadata/{name}/example.org~1tier"
        assert (result.only.field, result.only.identity) == (f"metadata.{name}[{KEY}]", KEY)


@pytest.mark.parametrize("name", ["labels", "annotations"])
@pytest.mark.parametrize(("on_conflict", "left"), [("KeepPod", "db"), ("Override", "web")])
def test_another_value_is_a_clash_with_the_pod(name: str, on_conflict: Any, left: str) -> None:
    result = admitted(
        with_metadata(name, {KEY: "db", "b": "2"}), preset("p", on_conflict, **{name: {KEY: "web"}})
    )
    assert result.conflicts == [("p", f"metadata.{name}[{KEY}]", None)]
    assert list(result.pod["metadata"][name].items())[:2] == [(KEY, left), ("b", "2")]


@pytest.mark.parametrize("name", ["labels", "annotations"])
def test_the_same_value_is_none(name: str) -> None:
    before = with_metadata(name, {KEY: "web"})
    result = admitted(before, preset(**{name: {KEY: "web"}}))
    assert (result.only.verdict, result.pod) == ("identical", before)


@pytest.mark.parametrize("name", ["labels", "annotations"])
def test_another_presets_value_stays_even_under_override(name: str) -> None:
    presets = [
        preset("p0", **{name: {KEY: "db"}}),
        preset("p1", "Override", **{name: {KEY: "web"}}),
    ]
    result = admitted(with_metadata(name, None), *presets)
    assert [holder for _, _, holder in result.conflicts] == [presets[0].id]
    assert result.pod["metadata"][name][KEY] == "db"


@pytest.mark.parametrize(
    "key",
    [
        "podward.dev/presets",
        "kubernetes.io/config.mirror",
        "podpreset.admission.kubernetes.io/exclude",
        "podpreset.admission.kubernetes.io/podpreset-cal",
    ],
)
def test_what_steers_admission_is_no_annotation_for_presets(key: str) -> None:
    before = pod()
    result = admitted(before, preset("p", "Override", annotations={key: "true"}))
    assert (result.only.verdict, result.only.reason) == ("skip", "reserved")
    assert result.pod == before
    assert admitted(before, preset(labels={key: "true"})).only.verdict == "add"


# ---- tolerations

GPU = {"key": "gpu", "operator": "Equal", "value": "a", "effect": "NoSchedule"}
LOST = {"key": "lost", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}


@pytest.mark.parametrize(
    ("there", "wanted", "verdict"),
    [
        (None, GPU, "add"),
        (GPU, GPU, "identical"),
        ({**GPU, "operator": None}, GPU, "identical"),
        (GPU, {**GPU, "operator": ""}, "identical"),
        (GPU, {**GPU, "value": "b"}, "add"),
        (GPU, {**GPU, "effect": "NoExecute"}, "add"),
        (GPU, {**GPU, "key": "cpu"}, "add"),
        (GPU, {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, "add"),
        (LOST, LOST, "identical"),
        (LOST, {**LOST, "tolerationSeconds": 61}, "clash"),
        (LOST, {**LOST, "tolerationSeconds": None}, "clash"),
        ({**LOST, "tolerationSeconds": 0}, {**LOST, "tolerationSeconds": None}, "clash"),
    ],
)
def test_a_toleration(there: Any, wanted: Any, verdict: str) -> None:
    before = pod(**({} if there is None else {"tolerations": [there]}))
    result = admitted(before, preset(tolerations=[wanted]), checked=True)
    assert result.only.verdict == verdict
    held = [] if there is None else [there]
    added = [wanted] if verdict == "add" else []
    assert result.pod["spec"].get("tolerations") == [*held, *added]


@pytest.mark.parametrize(
    ("toleration", "identity"),
    [
        (GPU, "gpu=a:NoSchedule"),
        ({**GPU, "operator": None, "effect": None}, "gpu=a:"),
        (LOST, "lost:NoExecute"),
        ({"operator": "Exists"}, ":"),
        ({"key": "n", "operator": "Gt", "value": "5", "effect": "NoSchedule"}, "n Gt 5:NoSchedule"),
    ],
)
def test_a_toleration_is_named_as_a_taint_is(toleration: Any, identity: str) -> None:
    told = admitted(pod(), preset(tolerations=[toleration])).only
    assert (told.identity, told.field) == (identity, f"spec.tolerations[{identity}]")
    assert (told.key, told.pointer) == (f"/spec/tolerations/{identity}", "/spec/tolerations/0")


def test_a_clash_of_seconds_is_settled_in_place() -> None:
    other = {**LOST, "tolerationSeconds": 5}
    result = admitted(pod(tolerations=[other, GPU]), preset("p", "Override", tolerations=[LOST]))
    assert result.pod["spec"]["tolerations"] == [LOST, GPU]


def test_of_two_presets_the_first_says_how_long() -> None:
    presets = [
        preset("p0", tolerations=[LOST]),
        preset("p1", "Override", tolerations=[{**LOST, "tolerationSeconds": 5}, GPU]),
    ]
    result = admitted(pod(), *presets)
    assert result.pod["spec"]["tolerations"] == [LOST, GPU]
    assert [holder for _, _, holder in result.conflicts] == [presets[0].id]


def test_one_that_a_preset_gives_twice_lasts_as_long_as_the_first_says() -> None:
    one = preset("p", "SkipAll", tolerations=[LOST, {**LOST, "tolerationSeconds": 5}])
    result = admitted(pod(), one)
    assert result.pod["spec"]["tolerations"] == [LOST]
    assert [(p.verdict, p.reason) for _, p in result.told] == [
        ("add", ""),
        ("keep", "earlierEntry"),
    ]
