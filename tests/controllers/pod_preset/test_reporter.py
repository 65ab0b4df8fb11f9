"""Who is told what of an admission, and what is counted."""

import asyncio
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import started
from tests.controllers.pod_preset.support import conflict, notice, preset

from podward.admission.plugins.pod_preset.model import Notice
from podward.api.errors import FieldError
from podward.client.recorder import EventRecorder
from podward.controllers.pod_preset.metrics import PresetMetrics
from podward.controllers.pod_preset.reporter import PresetReporter
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run

CAL = preset()
EVERYWHERE = preset("all", origin="cluster")
OLD = preset("old", origin="settings")
OWNER = ("apps/v1", "ReplicaSet", "edge", "web-rs", "uid-web-rs")
OF_CAL = ("podward.dev/v1alpha1", "PodPreset", "edge", "cal", "uid-cal")
OF_ALL = ("podward.dev/v1alpha1", "ClusterPodPreset", None, "all", "uid-all")
OF_OLD = ("settings.k8s.io/v1alpha1", "PodPreset", "edge", "old", "uid-old")


class Told:
    """A reporter, and what came of what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[core_v1.ObjectReference, str, str, str]] = []
        self.observed: list[Notice] = []
        self.metrics = PresetMetrics()
        self.report = PresetReporter(self, self.metrics, self.observed.append)

    def event(
        self, involved: core_v1.ObjectReference, type: str, reason: str, message: str
    ) -> None:
        self.events.append((involved, type, reason, message))

    def about(self) -> list[tuple[Any, str]]:
        """(apiVersion, kind, namespace, name, UID) of what each Event is about, and its reason."""
        return [
            ((o.apiVersion, o.kind, o.namespace, o.name, o.uid), reason)
            for o, type, reason, _ in self.events
            if type == "Warning"
        ]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.mark.parametrize(("one", "reference"), [(CAL, OF_CAL), (EVERYWHERE, OF_ALL), (OLD, OF_OLD)])
def test_a_conflict_is_told_to_the_owner_and_to_the_preset(
    told: Told, one: Any, reference: Any
) -> None:
    told.report(notice(matched=[one], conflicts=[conflict(one)]))
    assert told.about() == [(OWNER, "PresetConflict"), (reference, "PresetConflict")]
    assert {message for *_, message in told.events} == {
        "Pod edge/web-: two words on env TZ: the Pod got nothing of any preset"
    }


def test_a_conflict_of_two_presets_is_told_to_both_and_not_to_a_third(told: Told) -> None:
    third = preset("third")
    told.report(notice(matched=[EVERYWHERE, CAL, third], conflicts=[conflict(CAL, EVERYWHERE)]))
    assert [about for about, _ in told.about()] == [OWNER, OF_ALL, OF_CAL]


def test_each_preset_is_told_of_its_own_conflicts(told: Told) -> None:
    mine, theirs = conflict(CAL, message="mine"), conflict(EVERYWHERE, message="theirs")
    told.report(notice(matched=[EVERYWHERE, CAL], conflicts=[mine, theirs, mine]))
    owner, of_all, of_cal = (message for *_, message in told.events)
    assert "mine (and 2 more)" in owner
    assert "theirs:" in of_all
    assert "mine (and 1 more)" in of_cal


def test_without_an_owner_the_preset_alone_is_told(told: Told) -> None:
    told.report(notice(matched=[CAL], conflicts=[conflict(CAL)], owner=""))
    assert told.about() == [(OF_CAL, "PresetConflict")]


def test_a_preset_that_refuses_a_pod_says_so(told: Told) -> None:
    kept = conflict(EVERYWHERE, outcome="KeepPod")
    refused = conflict(CAL, outcome="Reject")
    told.report(
        notice(matched=[EVERYWHERE, CAL], conflicts=[kept, refused], rejected="preset cal refuses")
    )
    assert told.about() == [(OWNER, "PresetRejected"), (OF_CAL, "PresetRejected")]
    assert told.events[0][3] == "Pod edge/web-: preset cal refuses"
    assert told.events[1][3] == "Pod edge/web-: two words on env TZ: the Pod was refused"


def test_presets_that_cannot_be_read_are_told_to_the_owner(told: Told) -> None:
    told.report(notice(error="filtering pod presets failed: bad"))
    assert told.about() == [(OWNER, "PresetFailed")]


def test_an_invalid_preset_is_told_once_for_each_form_of_it(told: Told) -> None:
    broken = preset(problems=(FieldError("FieldValueRequired", "spec.sidecars[0].name"),))
    for _ in range(3):
        told.report(notice(invalid=[broken]))
    assert told.about() == [(OF_CAL, "PresetInvalid")]
    assert told.events[0][3] == "left out of every Pod, for its spec.sidecars[0].name"


def test_of_a_preset_that_was_applied_there_is_no_event(told: Told) -> None:
    told.report(notice(applied=[CAL, EVERYWHERE]))
    assert told.events == []


def test_a_dry_run_tells_nobody_anything(told: Told) -> None:
    told.report(notice(matched=[CAL], conflicts=[conflict(CAL)], dry_run=True))
    told.report(notice(applied=[CAL], dry_run=True))
    assert (told.events, told.observed) == ([], [])
    assert told.metrics.conflicts.read().values == {}
    assert told.metrics.applied.read().values == {}


def test_what_is_no_dry_run_is_observed(told: Told) -> None:
    notices = [notice(applied=[CAL]), notice(matched=[CAL], conflicts=[conflict(CAL)])]
    for one in notices:
        told.report(one)
    assert told.observed == notices


def test_a_message_is_no_longer_than_an_event_may_say(told: Told) -> None:
    told.report(notice(matched=[CAL], conflicts=[conflict(CAL, message="x" * 3000)]))
    assert {len(message) for *_, message in told.events} == {1024}


def test_nothing_that_goes_wrong_reaches_admission(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    PresetReporter(Told(), PresetMetrics(), fail)(notice(applied=[CAL]))
    assert "cannot report what presets did to Pod edge/web-" in caplog.text


def test_what_happened_is_counted(told: Told) -> None:
    told.report(notice(applied=[CAL, EVERYWHERE]))
    told.report(notice(applied=[CAL], namespace="core"))
    clashes = [conflict(CAL, EVERYWHERE), conflict(CAL, list="volumes"), conflict(CAL)]
    told.report(notice(matched=[CAL, EVERYWHERE], conflicts=clashes))
    told.report(notice(applied=[CAL], conflicts=[conflict(CAL, outcome="Reject")], rejected="no"))
    told.report(notice(error="filtering pod presets failed"))
    metrics = told.metrics
    mine, other = "podpreset.podward.dev/cal", "clusterpodpreset/all"
    assert metrics.applied.read().values == {
        ("edge", mine): 1,
        ("edge", other): 1,
        ("core", mine): 1,
    }
    assert metrics.conflicts.read().values == {
        ("edge", mine, "env"): 3,
        ("edge", mine, "volumes"): 1,
    }
    assert metrics.rejected.read().values == {("edge",): 1}
    assert metrics.failed.read().values == {("edge",): 1}


def test_events_are_written_and_the_same_one_is_counted() -> None:
    """Through a recorder, to an API server: a cluster preset's Events are kept in `default`."""

    async def main() -> None:
        api = await started()
        await api.client.create(core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="edge")))
        recorder = EventRecorder(
            api.client, api.clock, Entropy(2), component="podward-presets", host="node-1"
        )
        task = asyncio.create_task(recorder.run())
        report = PresetReporter(recorder, PresetMetrics(), lambda notice: None)
        for _ in range(3):
            report(notice(matched=[EVERYWHERE, CAL], conflicts=[conflict(CAL, EVERYWHERE)]))
        await recorder.flush()
        events = (await api.client.list(core_v1.Event)).items
        assert sorted(
            (e.metadata.namespace, e.involvedObject.kind, e.reason, e.count) for e in events
        ) == [
            ("default", "ClusterPodPreset", "PresetConflict", 3),
            ("edge", "PodPreset", "PresetConflict", 3),
            ("edge", "ReplicaSet", "PresetConflict", 3),
        ]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())
