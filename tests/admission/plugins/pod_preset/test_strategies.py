"""What a clash leads to: SkipAll, SkipPreset, KeepPod, Override and Reject."""

from typing import Any

import pytest
from tests.admission.plugins.pod_preset import shorthand

from podward.admission.plugins.pod_preset.merge import admit
from podward.admission.plugins.pod_preset.model import APPLIED_PREFIX, Mode, Preset, Result
from podward.admission.plugins.pod_preset.parse import preset_of


def preset(name: str, on_conflict: str = "SkipAll", priority: int = 0, **short: Any) -> Preset:
    """One of podward.dev; `spec` for what the shorthand has not."""
    spec = {"onConflict": on_conflict, "priority": priority, **short.pop("spec", {})}
    return preset_of(shorthand.preset({"n": name, "kind": "podward", "spec": spec, **short}))


def old(name: str, **short: Any) -> Preset:
    return preset_of(shorthand.preset({"n": name, **short}))


def admitted(pod: dict[str, Any], *presets: Preset, mode: Mode = "safe") -> Result:
    return admit(pod, presets, namespace="edge", mode=mode)


def names(result: Result) -> list[str]:
    return [preset.name for preset in result.applied]


def env(result: Result, container: int = 0) -> list[str]:
    held = result.pod["spec"]["containers"][container].get("env", ())
    return [f"{variable['name']}={variable['value']}" for variable in held]


def told(result: Result, preset: str) -> list[tuple[str, str, str]]:
    """(field, action, reason) of each decision on one preset."""
    found = [d for d in result.decisions if d.preset.endswith(f"/{preset}")]
    return [(d.field, d.action, d.reason) for d in found]


POD = shorthand.pod({"c": [{"env": ["LVL=debug"]}]})


def test_skip_all_leaves_the_pod_as_it_is_and_names_every_clash() -> None:
    first, third = preset("a", env=["A=1"]), preset("c", env=["LVL=c"])
    result = admitted(POD, first, preset("b", env=["LVL=b", "B=1"]), third)
    assert result.pod is POD
    assert (result.patch, result.applied) == ((), ())
    assert [c.presets for c in result.conflicts] == [
        ("podpreset.podward.dev/b",), ("podpreset.podward.dev/c",)
    ]  # fmt: skip
    assert {c.outcome for c in result.conflicts} == {"SkipAll"}
    assert [d.action for d in result.decisions] == ["skipped"] * 4
    assert result.matched == (first, result.matched[1], third)


def test_skip_preset_undoes_all_of_that_preset_and_nothing_of_others() -> None:
    second = preset("b", "SkipPreset", env=["B=1", "LVL=warn", "TZ=CET"], vol=["b=empty"])
    result = admitted(POD, preset("a", env=["TZ=UTC"]), second, preset("c", env=["B=2"]))
    assert names(result) == ["a", "c"]
    assert env(result) == ["LVL=debug", "TZ=UTC", "B=2"]
    assert "volumes" not in result.pod["spec"]
    assert [(c.identity, c.presets[1:], c.outcome) for c in result.conflicts] == [
        ("LVL", (), "SkipPreset"), ("TZ", ("podpreset.podward.dev/a",), "SkipPreset")
    ]  # fmt: skip
    assert set(result.provenance.values()) == {
        "podpreset.podward.dev/a", "podpreset.podward.dev/c"
    }  # fmt: skip


def test_keep_pod_leaves_out_what_clashes() -> None:
    result = admitted(POD, preset("a", "KeepPod", env=["A=1", "LVL=warn", "B=1"]))
    assert (names(result), env(result)) == (["a"], ["LVL=debug", "A=1", "B=1"])
    assert told(result, "a")[1] == ("spec.containers[app].env[LVL]", "kept", "present")
    assert result.conflicts[0].outcome == "KeepPod"


def test_keep_pod_leaves_out_the_mounts_of_a_volume_that_it_leaves_out() -> None:
    pod = shorthand.pod({"vol": ["v=empty"]})
    result = admitted(pod, preset("a", "KeepPod", vol=["v=cm:x", "w=cm:w"], mnt=["v:/v", "w:/w"]))
    assert result.pod["spec"]["containers"][0]["volumeMounts"] == [shorthand.mount("w:/w")]
    assert ("spec.containers[app].volumeMounts[/v]", "skipped", "volumeKept") in told(result, "a")


def test_override_replaces_what_the_author_wrote_where_it_stands() -> None:
    pod = shorthand.pod(
        {"c": [{"env": ["A=1", "LVL=debug", "Z=1"]}], "vol": ["v=empty", "w=empty"]}
    )
    result = admitted(pod, preset("a", "Override", env=["LVL=warn"], vol=["v=cm:x"]))
    assert env(result) == ["A=1", "LVL=warn", "Z=1"]
    assert result.pod["spec"]["volumes"] == [shorthand.volume(v) for v in ("v=cm:x", "w=empty")]
    assert result.patch[0]["op"] == "add"
    assert told(result, "a") == [
        ("spec.volumes[v]", "replaced", ""), ("spec.containers[app].env[LVL]", "replaced", "")
    ]  # fmt: skip
    assert [(c.presets, c.outcome) for c in result.conflicts] == [
        (("podpreset.podward.dev/a",), "Override")
    ] * 2


def test_override_does_not_reach_the_word_of_a_higher_priority() -> None:
    low = preset("a", "Override", env=["TZ=CET", "A=1"], vol=["v=cm:x"], mnt=["v:/v"])
    result = admitted(POD, low, preset("b", priority=1, env=["TZ=UTC"], vol=["v=empty"]))
    assert (names(result), env(result)) == (["b", "a"], ["LVL=debug", "TZ=UTC", "A=1"])
    assert told(result, "a") == [
        ("spec.volumes[v]", "skipped", "higherPriority"),
        ("spec.containers[app].env[TZ]", "skipped", "higherPriority"),
        ("spec.containers[app].env[A]", "added", ""),
        ("spec.containers[app].volumeMounts[/v]", "skipped", "volumeKept"),
    ]
    assert {c.outcome for c in result.conflicts} == {"Override"}


def test_what_two_presets_agree_on_is_the_first_ones_word() -> None:
    result = admitted(
        POD, preset("a", env=["TZ=UTC"]), preset("b", env=["TZ=UTC"]),
        preset("c", "Override", env=["TZ=CET"]),
    )  # fmt: skip
    assert result.conflicts[0].presets == ("podpreset.podward.dev/c", "podpreset.podward.dev/a")


def test_reject_refuses_the_pod() -> None:
    result = admitted(POD, preset("a", env=["A=1"]), preset("b", "Reject", env=["LVL=warn"]))
    assert (result.pod, result.applied, result.patch) == (POD, (), ())
    assert result.rejected == (
        "podpreset.podward.dev/b wants another value of env LVL in container app than the Pod has"
    )
    assert told(result, "a") == [("spec.containers[app].env[A]", "skipped", "clash")]


def test_reject_holds_though_another_preset_stops_everything() -> None:
    stops = preset("a", env=["LVL=a"])
    assert admitted(POD, stops, preset("b", "Reject", env=["LVL=b"])).rejected
    # ... but not over what the Pod does not get.
    other = preset("c", priority=1, env=["TZ=UTC"])
    result = admitted(POD, other, stops, preset("b", "Reject", env=["TZ=CET"]))
    assert not result.rejected
    assert [c.outcome for c in result.conflicts] == ["SkipAll"]


@pytest.mark.parametrize(
    ("on_conflict", "applied", "variables"),
    [
        ("SkipAll", [], ["LVL=debug"]),
        ("SkipPreset", ["x"], ["LVL=debug", "TZ=UTC"]),
        ("KeepPod", ["x", "a"], ["LVL=debug", "TZ=UTC", "A=1"]),
        ("Override", ["x", "a"], ["LVL=debug", "TZ=UTC", "A=1"]),
    ],
)
def test_between_presets_the_later_one_answers(
    on_conflict: str, applied: list[str], variables: list[str]
) -> None:
    first = preset("x", "Reject", priority=5, env=["TZ=UTC"])
    result = admitted(POD, preset("a", on_conflict, env=["TZ=CET", "A=1"]), first)
    assert (names(result), env(result), result.rejected) == (applied, variables, "")


def test_a_preset_of_old_that_clashes_stops_the_new_ones_too() -> None:
    result = admitted(POD, preset("a", "KeepPod", env=["A=1"]), old("cal", env=["LVL=warn"]))
    assert result.pod is POD


def test_the_first_word_of_a_preset_that_contradicts_itself_holds() -> None:
    entry = {"containers": [{"env": [shorthand.env("TZ=CET")]}]}
    result = admitted(POD, preset("a", "Override", env=["TZ=UTC"], spec=entry))
    assert env(result) == ["LVL=debug", "TZ=UTC"]
    assert told(result, "a")[1][1:] == ("skipped", "earlierEntry")
    assert result.conflicts[0].message == (
        "podpreset.podward.dev/a contradicts itself about env TZ in container app"
    )


# ---- never an invalid Pod

BIDI: dict[str, Any] = {"vol": ["h=host:/h"], "mnt": ["h:/h:bidi"]}


@pytest.mark.parametrize(
    ("on_conflict", "outcome", "applied"),
    [
        ("SkipAll", "SkipAll", []), ("SkipPreset", "SkipPreset", ["z"]), ("Reject", "Reject", []),
        ("KeepPod", "SkipPreset", ["z"]), ("Override", "SkipPreset", ["z"]),
    ],
)  # fmt: skip
def test_a_preset_that_makes_the_pod_invalid_is_left_out(
    on_conflict: str, outcome: str, applied: list[str]
) -> None:
    pod = shorthand.pod({})
    result = admitted(pod, preset("a", on_conflict, **BIDI), preset("z", env=["Z=1"]))
    clash = result.conflicts[0]
    assert (clash.list, clash.outcome) == ("validation", outcome)
    assert clash.identity == "spec.containers[0].volumeMounts.mountPropagation"
    assert clash.message.startswith(
        f"podpreset.podward.dev/a would make the Pod invalid: {clash.identity}: "
    )
    assert names(result) == applied
    assert bool(result.rejected) == (on_conflict == "Reject")
    assert "volumes" not in result.pod["spec"]


def test_a_pod_that_was_invalid_before_is_no_presets_fault() -> None:
    pod = shorthand.pod({"spec": {"restartPolicy": "Sometimes"}})
    assert names(admitted(pod, preset("a", env=["A=1"]))) == ["a"]


def test_presets_of_old_are_not_looked_at_so_closely() -> None:
    assert names(admitted(shorthand.pod({}), old("cal", **BIDI))) == ["cal"]


# ---- compat: the old ones to the letter, then the new ones


def test_in_compat_the_new_presets_come_after_the_old_ones() -> None:
    new = preset("a", priority=9, env=["A=1"])
    result = admitted(POD, new, old("cal", env=["TZ=UTC"]), mode="compat")
    assert (names(result), env(result)) == (["cal", "a"], ["LVL=debug", "TZ=UTC", "A=1"])
    annotations = result.pod["metadata"]["annotations"]
    assert set(annotations) == {f"{APPLIED_PREFIX}cal", "podward.dev/presets"}
    assert result.provenance["/spec/containers/app/env/TZ"] == "podpreset/cal"


def test_in_compat_what_the_old_ones_put_there_is_their_word() -> None:
    new = preset("a", "Override", env=["TZ=CET"])
    result = admitted(POD, new, old("cal", env=["TZ=UTC"]), mode="compat")
    assert env(result) == ["LVL=debug", "TZ=UTC"]
    assert result.conflicts[0].presets == ("podpreset.podward.dev/a", "podpreset/cal")


def test_in_compat_a_clash_of_the_old_ones_is_theirs_alone() -> None:
    new = preset("a", env=["A=1"])
    result = admitted(POD, new, old("cal", env=["LVL=warn"]), mode="compat")
    assert (names(result), env(result)) == (["a"], ["LVL=debug", "A=1"])


def test_in_compat_a_new_one_can_still_stop_everything() -> None:
    new = preset("a", env=["LVL=warn"])
    assert admitted(POD, new, old("cal", env=["TZ=UTC"]), mode="compat").pod is POD


# ---- the second time


def test_what_an_earlier_clash_left_out_stays_out_though_a_later_preset_made_it_true() -> None:
    """The author wrote debug: `a` was left out for it, `b` replaced it by what `a` had wanted."""
    found = [
        preset("a", "SkipPreset", priority=1, env=["LVL=warn", "A=1"]),
        preset("b", "Override", env=["LVL=warn"]),
    ]
    once = admitted(POD, *found)
    assert (names(once), env(once)) == (["b"], ["LVL=warn"])
    twice = admitted(once.pod, *found)
    assert (twice.pod, twice.patch) == (once.pod, ())
    assert twice.conflicts[0].message == (
        "podpreset.podward.dev/a wants another value of env LVL in container app than what the Pod had before "
        "podpreset.podward.dev/b replaced it"
    )


def test_a_container_that_came_in_between_gets_its_share() -> None:
    found = [old("cal", env=["TZ=UTC"]), preset("a", env=["A=1"])]
    once = admitted(shorthand.pod({}), *found)
    once.pod["spec"]["containers"].append({"name": "proxy", "image": "p"})
    twice = admitted(once.pod, *found)
    assert (env(twice), env(twice, 1)) == (["A=1", "TZ=UTC"], ["A=1", "TZ=UTC"])
    touched = [op["path"] for op in twice.patch]
    assert touched == ["/metadata/annotations/podward.dev~1presets", "/spec/containers/1/env"]


def test_what_was_overridden_is_the_word_of_the_preset_that_did() -> None:
    first = preset("a", "Override", priority=1, env=["LVL=warn"])
    result = admitted(POD, first, preset("b", "Override", env=["LVL=info"]))
    assert env(result) == ["LVL=warn"]
    assert result.conflicts[1].presets == ("podpreset.podward.dev/b", "podpreset.podward.dev/a")


def test_a_preset_that_was_undone_holds_nothing() -> None:
    """It had found LVL=debug and claimed it; then its TZ clashed."""
    pod = shorthand.pod({"c": [{"env": ["LVL=debug", "TZ=CET"]}]})
    first = preset("a", "SkipPreset", priority=1, env=["LVL=debug", "TZ=UTC"])
    result = admitted(pod, first, preset("b", "Override", env=["LVL=warn"]))
    assert (names(result), env(result)) == (["b"], ["LVL=warn", "TZ=CET"])
