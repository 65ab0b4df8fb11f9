"""What a preset's status says, of what was seen."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightkube.models import core_v1
from tests.controllers.pod_preset import support
from tests.controllers.pod_preset.support import conflict, notice, pod, preset

from podward.admission.plugins.pod_preset.model import InvalidPreset, Notice, Preset
from podward.api.errors import FieldError
from podward.api.kinds.podward_v1alpha1 import PodPresetStatus, PresetCondition
from podward.controllers.pod_preset import status as subject
from podward.controllers.pod_preset.status import (
    Count,
    Seen,
    admissions_of,
    count_of,
    facts_of,
    key_of,
    status_of,
    status_of_invalid,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, 500_000, UTC)
CAL = preset()
EARLIER = preset(spec={"env": [{"name": "TZ", "value": "CET"}]})
"""CAL, as it was before."""
EVERYWHERE = preset("all", origin="cluster", namespaces={"team": "a"})
TEAM_A = {"edge": {"team": "a"}, "core": {"team": "b"}}


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "admit", support.admit)


def seen(
    *pods: core_v1.Pod,
    namespaces: Mapping[str, Mapping[str, str]] | None = None,
    last: Notice | None = None,
    of: Preset = CAL,
    **more: Any,
) -> Seen:
    admission = admissions_of(last).get(key_of(of)) if last else None
    count = count_of(of, [facts_of(p) for p in pods], namespaces or {})
    return Seen(count, namespaces or {}, admission, **more)


def unwatched(last: Notice | None = None) -> Seen:
    return Seen(None, {}, admissions_of(last).get(key_of(CAL)) if last else None)


def status(
    known: Seen, *, of: Preset = CAL, before: PodPresetStatus | None = None, now: datetime = NOW
) -> PodPresetStatus:
    return status_of(of, before, known, now)


def numbers(found: PodPresetStatus) -> tuple[int | None, int | None, int | None]:
    return found.matchedPods, found.currentPods, found.stalePods


def condition(found: PodPresetStatus, type: str) -> PresetCondition:
    (one,) = [c for c in found.conditions or () if c.type == type]
    return one


def said(found: PodPresetStatus, type: str) -> tuple[str, str | None]:
    one = condition(found, type)
    return one.status, one.reason


EXCLUDED = {"podpreset.admission.kubernetes.io/exclude": "true"}
NOT_EXCLUDED = {"podpreset.admission.kubernetes.io/exclude": "yes"}
MIRROR = {"kubernetes.io/config.mirror": ""}
INJECTED = {"/metadata/labels/tier": "podpreset.podward.dev/other"}
SLASHED = {"/metadata/labels/a~1tier": "podpreset.podward.dev/other"}


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        pytest.param([], (0, 0, 0), id="nobody"),
        pytest.param([pod("a", CAL)], (1, 1, 0), id="it carries the preset"),
        pytest.param([pod("a", EARLIER)], (1, 0, 1), id="it carries an earlier form"),
        pytest.param([pod("a")], (1, 0, 1), id="it matches and was never given the preset"),
        pytest.param([pod("a", preset("x"))], (1, 0, 1), id="it carries another preset only"),
        pytest.param([pod("a", labels={})], (0, 0, 0), id="it does not match"),
        pytest.param([pod("a", CAL, labels={})], (0, 1, 0), id="it matches no longer"),
        pytest.param([pod("a", EARLIER, labels={})], (0, 0, 1), id="what it got no longer matches"),
        pytest.param([pod("a", namespace="core")], (0, 0, 0), id="another namespace"),
        pytest.param([pod("a", CAL, namespace="core")], (0, 0, 0), id="a namesake's, elsewhere"),
        pytest.param([pod("a", annotations=EXCLUDED)], (0, 0, 0), id="excluded"),
        pytest.param([pod("a", annotations=NOT_EXCLUDED)], (1, 0, 1), id="excluded in other words"),
        pytest.param([pod("a", annotations=MIRROR)], (0, 0, 0), id="a mirror of a static Pod"),
        pytest.param([pod("a", phase="Succeeded")], (0, 0, 0), id="succeeded"),
        pytest.param([pod("a", CAL, phase="Failed")], (0, 0, 0), id="failed"),
        pytest.param([pod("a", phase="Pending")], (1, 0, 1), id="pending"),
        pytest.param([pod("a", preset("x"), fields=INJECTED)], (0, 0, 0), id="a preset's label"),
        pytest.param([pod("a", preset("x"), fields=SLASHED)], (1, 0, 1), id="another label"),
        pytest.param([pod("a", CAL), pod("b", EARLIER), pod("c")], (3, 1, 2), id="all together"),
    ],
)
def test_pods_are_counted(
    pods: Sequence[core_v1.Pod], expected: tuple[int | None, int | None, int | None]
) -> None:
    assert numbers(status(seen(*pods))) == expected


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [
        pytest.param({"edge": {"team": "a"}}, (1, 0, 1), id="selected"),
        pytest.param({"edge": {"team": "b"}}, (0, 0, 0), id="not selected"),
        pytest.param({"edge": {}}, (0, 0, 0), id="without the label"),
        pytest.param({}, (0, 0, 0), id="unknown"),
        pytest.param(
            {"edge": {"team": "a", "podward.dev/presets": "disabled"}}, (0, 0, 0), id="opted out"
        ),
        pytest.param(
            {"edge": {"team": "a", "podward.dev/presets": "on"}}, (1, 0, 1), id="not opted out"
        ),
    ],
)
def test_a_cluster_preset_counts_where_the_namespace_is_selected(
    namespaces: Mapping[str, Mapping[str, str]], expected: tuple[int, int, int]
) -> None:
    assert (
        numbers(status(seen(pod(), namespaces=namespaces, of=EVERYWHERE), of=EVERYWHERE))
        == expected
    )


def test_a_cluster_preset_is_carried_in_any_namespace() -> None:
    pods = [pod("a", EVERYWHERE), pod("b", EVERYWHERE, namespace="core")]
    assert numbers(status(seen(*pods, namespaces=TEAM_A, of=EVERYWHERE), of=EVERYWHERE)) == (
        1,
        2,
        0,
    )


@pytest.mark.parametrize(
    "text",
    [
        *("", "no json", "[]", "1", "[" * 5000, '{"deep": ' + "[" * 50_000),
        '{"presets": 1, "fields": [], "v": 1}',
        '{"presets": {"a": 1}, "v": 1}',
        '{"presets": {"a": "b"}, "fields": {"/metadata/labels/tier": "a"}, "v": 2}',
    ],
)
def test_a_provenance_that_cannot_be_read_says_nothing(text: str) -> None:
    found = facts_of(pod(annotations={"podward.dev/presets": text}))
    assert (found.carried, found.labels) == ({}, {"tier": "web"})


@given(st.text())
def test_no_annotation_can_make_it_fail(text: str) -> None:
    facts_of(pod(annotations={"podward.dev/presets": text}))


# ---- Valid


def test_a_preset_that_can_be_merged_is_valid() -> None:
    assert said(status(seen()), "Valid") == ("True", "Valid")


def test_an_invalid_preset_says_which_fields_are_wrong_and_has_no_effect() -> None:
    broken = preset(
        problems=(
            FieldError(
                "FieldValueRequired", "spec.containers[0].livenessProbe", detail="a handler"
            ),
            FieldError("FieldValueForbidden", "spec.sidecars[0]", detail="no probes here"),
        )
    )
    found = status(seen(pod(), of=broken), of=broken)
    assert said(found, "Valid") == ("False", "InvalidSpec")
    assert condition(found, "Valid").message == (
        "spec.containers[0].livenessProbe: Required value: a handler; "
        "spec.sidecars[0]: Forbidden: no probes here"
    )
    assert said(found, "Conflicting") == ("False", "Invalid")
    assert said(found, "Effective") == ("False", "Invalid")
    assert numbers(found) == (1, 0, 1)


def test_a_preset_that_cannot_be_read_has_conditions_and_no_numbers() -> None:
    error = InvalidPreset("cal", (FieldError("FieldValueRequired", "spec.selector"),), "broken")
    found = status_of_invalid(error, 3, None, NOW)
    assert said(found, "Valid") == ("False", "InvalidSpec")
    assert condition(found, "Valid").message == "spec.selector: Required value"
    assert said(found, "Effective") == ("False", "Invalid")
    assert (numbers(found), found.observedGeneration) == ((None, None, None), 3)


# ---- Conflicting


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        ("SkipAll", "NothingApplied"),
        ("SkipPreset", "PresetSkipped"),
        ("KeepPod", "PodKept"),
        ("Override", "Overridden"),
        ("Reject", "PodRejected"),
    ],
)
def test_a_clash_at_admission_is_told_with_its_outcome(outcome: Any, reason: str) -> None:
    last = notice(matched=[CAL], conflicts=[conflict(CAL, outcome=outcome)])
    one = condition(status(seen(last=last)), "Conflicting")
    assert (one.status, one.reason) == ("True", reason)
    assert (one.message or "").startswith("Pod edge/web-: two words on env TZ: ")


def test_of_several_clashes_the_first_is_told_and_how_many_more() -> None:
    last = notice(matched=[CAL], conflicts=[conflict(CAL)] * 3)
    message = condition(status(seen(last=last)), "Conflicting").message or ""
    assert "two words on env TZ (and 2 more)" in message


def test_both_presets_of_a_clash_are_conflicting() -> None:
    other = preset("other")
    last = notice(matched=[CAL, other], conflicts=[conflict(other, CAL)])
    assert set(admissions_of(last)) == {key_of(CAL), key_of(other)}


def test_a_later_pod_that_takes_it_ends_the_clash() -> None:
    clashed = status(seen(last=notice(matched=[CAL], conflicts=[conflict(CAL)])))
    after = status(seen(last=notice(applied=[CAL])), before=clashed)
    assert said(after, "Conflicting") == ("False", "NoClash")


def test_a_clash_of_others_blocks_a_preset_and_is_not_its_own() -> None:
    """Under SkipAll: it was not applied, and did not clash."""
    other = preset("other")
    last = notice(matched=[CAL, other], conflicts=[conflict(other)])
    found = status(seen(pod(), last=last))
    assert said(found, "Conflicting") == ("False", "NoClash")
    assert said(found, "Effective") == ("False", "Blocked")
    assert condition(found, "Effective").message == (
        "Pod edge/web- was kept from it: two words on env TZ: the Pod got nothing of any preset"
    )


def test_what_others_block_does_not_end_a_clash() -> None:
    other = preset("other")
    clash = admissions_of(notice(matched=[CAL], conflicts=[conflict(CAL)]))[key_of(CAL)]
    blocked = admissions_of(notice(matched=[CAL, other], conflicts=[conflict(other)]))[key_of(CAL)]
    taken = admissions_of(notice(applied=[CAL]))[key_of(CAL)]
    assert blocked.after(clash).conflicts == clash.conflicts
    assert blocked.after(None).conflicts == ()
    assert blocked.after(replace(clash, spec_hash="another")).conflicts == ()
    assert taken.after(clash) == taken
    before = status(seen(last=notice(matched=[CAL], conflicts=[conflict(CAL)])))
    restarted = status(Seen(Count(), {}, blocked), before=before)
    assert condition(restarted, "Conflicting") == condition(before, "Conflicting")


def test_presets_of_the_old_group_have_no_status() -> None:
    old = preset(origin="settings")
    assert admissions_of(notice(matched=[old], conflicts=[conflict(old)])) == {}


def test_a_refused_pod_took_no_preset() -> None:
    other = preset("other")
    last = notice(
        matched=[CAL, other], applied=[CAL], conflicts=[conflict(other)], rejected="refused"
    )
    assert not admissions_of(last)[key_of(CAL)].applied


def test_a_clash_of_an_earlier_form_is_over() -> None:
    last = notice(matched=[EARLIER], conflicts=[conflict(EARLIER)])
    assert said(status(seen(last=last)), "Conflicting") == ("False", "NoClash")


def test_a_clash_outlives_a_restart() -> None:
    clashed = status(seen(last=notice(matched=[CAL], conflicts=[conflict(CAL)])))
    after = status(seen(), before=clashed)
    assert condition(after, "Conflicting") == condition(clashed, "Conflicting")


def test_a_clash_of_an_earlier_generation_does_not_outlive_a_restart() -> None:
    clashed = status(seen(last=notice(matched=[CAL], conflicts=[conflict(CAL)])))
    changed = preset(generation=2)
    after = status(seen(), of=changed, before=clashed)
    assert said(after, "Conflicting") == ("False", "NoClash")
    assert after.observedGeneration == 2


def test_a_stored_pod_that_would_clash_is_found_before_it_is_created_again() -> None:
    found = status(seen(pod("old", env={"TZ": "CET"})))
    one = condition(found, "Conflicting")
    assert (one.status, one.reason) == ("True", "MatchedPodsClash")
    assert one.message == (
        "stored Pod edge/old, if it were created again: env TZ of container app differs: "
        "the Pod got nothing of any preset"
    )
    assert said(found, "Effective") == ("False", "Conflicting")


def test_what_a_stored_pod_foretold_is_over_when_it_is_gone() -> None:
    foretold = status(seen(pod("old", env={"TZ": "CET"})))
    assert said(status(seen(), before=foretold), "Conflicting") == ("False", "NoClash")


@pytest.mark.parametrize(
    "harmless",
    [
        pytest.param(pod("a", CAL, env={"TZ": "CET"}), id="it carries the preset"),
        pytest.param(pod("a", EARLIER, env={"TZ": "CET"}), id="it carries an earlier form"),
        pytest.param(pod("a", labels={}, env={"TZ": "CET"}), id="it does not match"),
        pytest.param(pod("a", phase="Failed", env={"TZ": "CET"}), id="it has ended"),
        pytest.param(pod("a", env={"TZ": "UTC"}), id="it has the same"),
    ],
)
def test_other_stored_pods_foretell_no_clash(harmless: core_v1.Pod) -> None:
    assert said(status(seen(harmless)), "Conflicting") == ("False", "NoClash")


def test_what_later_plugins_put_into_a_pod_foretells_no_clash() -> None:
    def as_it_came(document: dict[str, Any]) -> dict[str, Any]:
        return {**document, "spec": {"containers": []}}

    found = status(seen(pod("old", env={"TZ": "CET"}), as_it_came=as_it_came))
    assert said(found, "Conflicting") == ("False", "NoClash")


def test_one_pod_of_each_owner_is_looked_at_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def admit(document: dict[str, Any], *args: Any, **more: Any) -> Any:
        looked.append(document["metadata"]["name"])
        return support.admit(document, *args, **more)

    monkeypatch.setattr(subject, "admit", admit)
    pods = [
        pod(f"{owner}-{age}", owner=owner, created=f"2026-01-{age:02}T00:00:00Z")
        for owner in ("a", "b")
        for age in (2, 3, 1)
    ]
    alone = [pod(f"alone-{i:02}", created=f"2025-01-{i:02}T00:00:00Z") for i in range(1, 20)]
    status(seen(*pods, *alone))
    assert looked == ["a-3", "b-3", *(f"alone-{i}" for i in range(19, 11, -1))]


# ---- Effective


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], ("False", "NoPodMatches")),
        ([pod("a", labels={})], ("False", "NoPodMatches")),
        ([pod("a")], ("False", "AllStale")),
        ([pod("a", EARLIER)], ("False", "AllStale")),
        ([pod("a", CAL)], ("True", "AllCurrent")),
        ([pod("a", CAL), pod("b", EARLIER)], ("True", "SomeStale")),
        ([pod("a", CAL), pod("b", env={"TZ": "CET"})], ("True", "SomeStale")),
    ],
)
def test_a_preset_is_effective_when_a_pod_carries_it_as_it_is(
    pods: Sequence[core_v1.Pod], expected: tuple[str, str]
) -> None:
    assert said(status(seen(*pods)), "Effective") == expected


def test_where_pods_are_not_watched_admission_says_whether_it_has_an_effect() -> None:
    fresh = status(unwatched())
    assert said(fresh, "Effective") == ("Unknown", "PodsNotWatched")
    assert numbers(fresh) == (None, None, None)
    applied = status(unwatched(notice(applied=[CAL])), before=fresh)
    assert said(applied, "Effective") == ("True", "Applied")
    restarted = status(unwatched(), before=applied)
    assert said(restarted, "Effective") == ("True", "Applied")
    changed = status(unwatched(), of=preset(generation=2), before=restarted)
    assert said(changed, "Effective") == ("Unknown", "PodsNotWatched")


# ---- times


def test_a_transition_time_moves_only_with_the_status() -> None:
    first = status(seen(pod("a")))
    assert {c.lastTransitionTime for c in first.conditions or ()} == {NOW.replace(microsecond=0)}
    later = NOW + timedelta(hours=1)
    second = status(seen(pod("a"), pod("b")), before=first, now=later)
    assert condition(second, "Effective").message != condition(first, "Effective").message
    assert condition(second, "Effective").lastTransitionTime == NOW.replace(microsecond=0)
    third = status(seen(pod("a", CAL)), before=second, now=later)
    assert condition(third, "Effective").lastTransitionTime == later.replace(microsecond=0)
    assert condition(third, "Valid").lastTransitionTime == NOW.replace(microsecond=0)


_PODS = st.lists(
    st.builds(
        pod,
        st.sampled_from("abcdef"),
        namespace=st.sampled_from(["edge", "core"]),
        labels=st.sampled_from([{"tier": "web"}, {}]),
        env=st.sampled_from([{"TZ": "UTC"}, {"TZ": "CET"}, {}]),
        annotations=st.sampled_from(
            [{}, EXCLUDED, support.noted(CAL), support.noted(EARLIER), support.noted(EVERYWHERE)]
        ),
        phase=st.sampled_from(["Running", "Failed"]),
    ),
    max_size=6,
)


@given(_PODS, st.sampled_from([CAL, EVERYWHERE]))
def test_a_status_that_is_made_again_is_the_same(pods: list[core_v1.Pod], of: Preset) -> None:
    known = seen(*pods, namespaces=TEAM_A, of=of)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "admit", support.admit)
        once = status(known, of=of)
        assert status(known, of=of, before=once, now=NOW + timedelta(days=1)) == once
    matched, current, stale = numbers(once)
    assert matched is not None
    assert current is not None
    assert stale is not None
    assert matched <= current + stale
    assert (said(once, "Effective")[0] == "True") == (current > 0)
