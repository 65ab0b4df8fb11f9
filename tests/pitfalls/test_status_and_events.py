"""Pitfalls 46 to 60 of spec/health.md section 10: what is reported, in which words, and how often."""

import asyncio
import re
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1
from tests.pitfalls.support import (
    LIVES,
    STUBBORN,
    Request,
    check,
    container,
    delete,
    edit,
    end_of,
    ends,
    get,
    later,
    lose_sandbox,
    no,
    now,
    plain,
    play,
    pod,
    web,
)

from podward.apiserver.printers.event import EVENT_PRINTER
from podward.apiserver.printers.pod import summarize
from podward.cli.describers import pod as pod_describer
from podward.client.base import ApiError, Response
from podward.client.transports.in_process import InProcessTransport
from podward.cluster import Cluster
from podward.probes.base import Outcome
from podward.simulate.commands.system import for_ever
from podward.simulate.ports import Stream
from podward.simulate.processes import Process
from podward.simulate.simulation import apply


def test_46_a_transition_time_moves_with_the_status_alone_and_nothing_new_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ready names fewer containers, its time stays; looking at a steady Pod again and again writes nothing."""
    seen = play(
        pod(container("a", readinessProbe=check("a")), container("b", readinessProbe=check("b"))),
        90,
        answer=lambda q: q.at > {"a": 25, "b": 55}[q.kind],
    )
    told = dict.fromkeys(
        (held.status, held.message, seen.second(held.lastTransitionTime))
        for change in seen.changes()
        for held in (change.pod.status and change.pod.status.conditions) or ()
        if held.type == "Ready"
    )
    became_ready = seen.condition("Ready")[-1][0]
    assert became_ready > 55
    assert list(told) == [
        ("False", "containers with unready status: [a b]", 0),
        ("False", "containers with unready status: [b]", 0),
        ("True", None, int(became_ready)),
    ]

    request, patched = InProcessTransport.request, list[float]()

    async def counting(line: Any, method: str, path: str, **rest: Any) -> Response:
        if method == "PATCH" and path.endswith("/pods/p/status"):
            patched.append(now())
        return await request(line, method, path, **rest)

    async def annotate(cluster: Cluster) -> None:
        for time in ("100", "200", "300"):
            await asyncio.sleep(100)
            patch = {"metadata": {"annotations": {"looked-at": time}}}
            await cluster.client.patch(core_v1.Pod, "p", patch, namespace="default")

    monkeypatch.setattr(InProcessTransport, "request", counting)
    seen = play(pod(), 1800, script=annotate)
    assert [round(change.at) for change in seen.changes()][-3:] == [100, 200, 300]
    assert patched
    assert max(patched) < 1


def test_47_times_are_whole_seconds_and_a_killed_container_ages_from_the_end_of_its_grace() -> None:
    """Killed at 30, dead at 60 after a full grace: 80 s after that RESTARTS says `1 (80s ago)`."""
    seen = play(
        pod(container(livenessProbe=check("live"))),
        150,
        does=[STUBBORN],
        answer=lambda q: q.instance > 0,
    )
    assert (seen.said("Killing")[0][0], seen.instances()[0].ended) == (30, 60)
    assert seen.second(end_of(seen.container().lastState).finishedAt) == 60
    assert seen.restarts_shown(at=140.5) == "1 (80s ago)"
    stamps = re.findall(r'"(\d{4}-\d\d-\d\dT[^"]*)"', msgspec.json.encode(seen.pod()).decode())
    assert len(stamps) > 5
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", stamp) for stamp in stamps)


def test_48_restarts_without_a_last_state_have_no_age() -> None:
    """A Pod restarted once whose lastState was lost shows `1` and no time."""
    seen = play(pod(), 9, does=[ends(5), LIVES])
    assert seen.restarts_shown(at=9) == "1 (4s ago)"
    known = seen.pod()
    assert known.status is not None
    lost = msgspec.structs.replace(seen.container(), lastState=None)
    status = msgspec.structs.replace(known.status, containerStatuses=[lost])
    assert summarize(msgspec.structs.replace(known, status=status), seen.moment(9)).restarts == "1"


def test_49_of_two_broken_containers_the_first_by_name_is_shown() -> None:
    """One has crashed, one lacks its ConfigMap: STATUS is the one's that comes first in the alphabet."""
    missing = {"configMapRef": {"name": "missing"}}
    for crashed, unconfigured, word in (
        ("z", "a", "CreateContainerConfigError"),
        ("a", "z", "Error"),
    ):
        containers = (container(crashed), container(unconfigured, envFrom=[missing]))
        seen = play(pod(*containers, restartPolicy="Never"), 9, does={crashed: [ends(5)]})
        assert seen.shown()[-1][1] == f"0/2 {word}"
        assert end_of(seen.container(crashed).state).reason == "Error"


def test_50_a_pod_that_has_succeeded_is_completed_even_while_it_is_being_deleted() -> None:
    """Deleted when it was done, held by a finalizer: STATUS says Completed and not Terminating."""
    manifest = pod(restartPolicy="Never")
    manifest["metadata"]["finalizers"] = ["example.com/hold"]
    seen = play(manifest, 60, does=[ends(5, code=0)], script=later(20, delete))
    metadata = seen.pod().metadata
    assert metadata is not None
    assert metadata.deletionTimestamp is not None
    assert seen.words()[-2:] == ["Running", "Completed"]


def test_51_another_message_is_another_event_and_the_tenth_stands_for_all_that_follow() -> None:
    """Refused, timed out, refused at a new address: a line each; ten texts in ten minutes: one for the rest."""

    async def hang(request: Request, stream: Stream) -> None:
        await for_ever()

    async def late(process: Process) -> int:
        await asyncio.sleep(15)
        return await web(hang)(process)

    seen = play(
        pod(container("c", "late", readinessProbe=get("/"))),
        45,
        programs={"late": late},
        script=later(35, lose_sandbox),
    )
    old, new = seen.status(at=30).podIP, seen.status().podIP
    failed = 'Readiness probe failed: Get "http://{0}:8080/": '
    refused = failed + "dial tcp {0}:8080: connect: connection refused"
    timed_out = failed + (
        "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
    )
    assert old != new
    assert [event.message for event in seen.events("Unhealthy")] == [
        refused.format(old), timed_out.format(old), refused.format(new),
    ]  # fmt: skip

    async def tell(process: Process) -> int:
        process.stdout.write(f"at {now()}".encode())
        return 1

    probe = {"exec": {"command": ["tell"]}, "failureThreshold": 99}
    seen = play(pod(container(livenessProbe=probe)), 125, programs={"tell": tell})
    assert [(event.message, event.count) for event in seen.events("Unhealthy")] == [
        *((f"Liveness probe failed: at {10.0 + 10 * n}", 1) for n in range(9)),
        ("(combined from similar events): Liveness probe failed: at 120.0", 3),
    ]


def test_52_after_25_writes_a_count_stands_still_and_then_jumps_every_five_minutes() -> None:
    """A failure every seven seconds: the 26th is not written, but what is written next has counted it."""
    seen = play(
        pod(container(livenessProbe=check("live", periodSeconds=7, failureThreshold=1000))),
        1000,
        answer=no,
    )
    assert len(seen.asked("live")) == 142
    written = [
        (round(said.at, 3), said.event.count)
        for said in seen.recording.said
        if said.event.reason == "Unhealthy"
    ]
    assert written == [(7 * n, n) for n in (*range(1, 26), 44, 87, 130)]


def test_53_an_event_is_forgotten_after_an_hour_and_comes_back_as_old_as_it_is() -> None:
    """Failures after a minute and two hours: gone in between, then anew, with the old time and count 2."""
    listed: dict[int, int] = {}

    async def look(cluster: Cluster) -> None:
        for at in (3600, 3800):
            await asyncio.sleep(at - now())
            events = (await cluster.client.list(core_v1.Event, "default")).items
            listed[at] = sum(event.reason == "Unhealthy" for event in events)

    seen = play(
        pod(container(livenessProbe=check("live", periodSeconds=60))),
        7300,
        answer=lambda q: q.at not in (60, 7260),
        script=look,
    )
    assert listed == {3600: 1, 3800: 0}
    first, second = seen.events("Unhealthy")
    assert (seen.second(first.firstTimestamp), first.count) == (60, 1)
    assert (seen.second(second.firstTimestamp), second.count) == (60, 2)
    assert seen.second(second.lastTimestamp) == 7260


def test_54_the_schedulers_event_comes_first_and_has_its_age_from_event_time() -> None:
    """It has neither first nor last time, yet describe and get events show how old it is."""
    seen = play(pod(), 20)
    events = list(reversed(seen.recording.events.values()))
    text = pod_describer.describe(plain(seen.pod()), map(plain, events), seen.moment(20))
    rows = [line.split() for line in text.partition("Events:")[2].splitlines()[3:]]
    assert rows[0][1] == "Scheduled"
    assert rows[0][2:4] == ["20s", "default-scheduler"]
    assert sorted(row[1] for row in rows[1:]) == ["Created", "Pulled", "Started"]

    (scheduled,) = seen.events("Scheduled")
    assert (scheduled.firstTimestamp, scheduled.lastTimestamp, scheduled.count) == (None,) * 3
    assert EVENT_PRINTER.cells(scheduled, seen.moment(20))[0] == "20s"


def test_55_killing_is_told_before_the_grace_and_created_and_started_after_it() -> None:
    """A deaf process, 30 s of grace: what lies between the two events is how long it took to die."""
    seen = play(
        pod(container(livenessProbe=check("live"))), 65, does=[STUBBORN],
        answer=lambda q: q.instance > 0,
    )  # fmt: skip
    story = [(round(said.at, 3), said.event.reason) for said in seen.recording.said]
    assert [told for told in story if told[0] > 25] == [
        (30, "Unhealthy"), (30, "Killing"), (60, "Pulled"), (60, "Created"), (60.05, "Started"),
    ]  # fmt: skip


def test_56_zero_in_a_probe_means_the_default() -> None:
    """failureThreshold 0 behaves as 3, and 3 is what the API gives back; so with the other numbers."""
    zeros = dict.fromkeys(
        ("failureThreshold", "periodSeconds", "timeoutSeconds", "successThreshold"), 0
    )
    seen = play(pod(container(livenessProbe=check("live", **zeros))), 31, answer=no)
    spec = seen.pod().spec
    assert spec is not None
    probe = spec.containers[0].livenessProbe
    assert probe is not None
    assert (probe.failureThreshold, probe.periodSeconds) == (3, 10)
    assert (probe.timeoutSeconds, probe.successThreshold) == (1, 1)
    assert [at for at, _ in seen.asked("live")] == [10, 20, 30]
    assert [at for at, _ in seen.said("Killing")] == [30]


def test_57_a_probe_cannot_be_edited_and_a_new_image_restarts_whatever_the_policy() -> None:
    """422 for the probe; the image restarts even under Never, at once, and with a ladder of its own."""
    refused: list[ApiError] = []

    async def edit_probe_then_image(cluster: Cluster) -> None:
        try:
            await edit(cluster, {"livenessProbe": {"periodSeconds": 5}})
        except ApiError as error:
            refused.append(error)
        await edit(cluster, {"image": "busybox:2"})

    probed = container(livenessProbe=check("live"))
    changed = (30.0, "Container c definition changed, will be restarted")
    seen = play(pod(probed, restartPolicy="Never"), 40, script=later(30, edit_probe_then_image))
    assert seen.said("Killing") == [changed]
    assert seen.starts() == [0.55, 30.05]
    assert (seen.status().phase, seen.container().restartCount) == ("Running", 1)
    (error,) = refused
    assert (error.code, error.reason) == (422, "Invalid")
    assert error.status.details is not None
    (cause,) = error.status.details.causes or []
    assert (cause.reason, cause.field) == ("FieldValueForbidden", "spec")
    assert str(error).startswith(
        'Pod "p" is invalid: spec: Forbidden: pod updates may not change fields other than '
        "`spec.containers[*].image`,"
    )

    seen = play(
        pod(probed),
        60,
        does=[ends(5), ends(5), LIVES, ends(5)],
        script=later(30, edit_probe_then_image),
    )
    assert seen.said("Killing") == [changed]
    assert seen.waits()[:4] == [0, 10, 0, 10]


def test_58_a_deadline_counts_from_the_start_time_across_restarts() -> None:
    """100 s, spent in a crash loop: Failed in the middle of a wait, and nothing is started again."""
    seen = play(pod(activeDeadlineSeconds=100), 600, does=[ends(5)])
    assert seen.second(seen.status().startTime) == 0
    assert [seen.status(at=at).phase for at in (99, 101)] == ["Running", "Failed"]
    assert [text for at, text in seen.shown() if at < 100][-1] == "0/1 CrashLoopBackOff"
    text = "Pod was active on the node longer than the specified deadline"
    assert seen.said("DeadlineExceeded") == [(100.0, text)]
    assert seen.events("DeadlineExceeded")[0].type == "Normal"
    assert (seen.status().reason, seen.status().message) == ("DeadlineExceeded", text)
    assert seen.starts()[-1] == 90.75
    assert seen.changes()[-1].type == "MODIFIED"  # the object stays


def test_59_a_forced_deletion_frees_the_name_and_the_next_pod_inherits_nothing() -> None:
    """The old process lives two seconds more; the new Pod of the name has its own UID, counts and ladder."""

    async def replace(cluster: Cluster) -> None:
        await delete(cluster, grace=0)
        await apply(cluster.client, pod(), "default")

    seen = play(pod(), 70, does=[ends(5), ends(5), STUBBORN], script=later(60, replace))
    old, new = seen.recording.pods()
    assert [(c.at, c.type) for c in seen.recording.of(old)][-1:] == [(60.0, "DELETED")]
    assert [(c.at, c.type) for c in seen.recording.of(new)][:1] == [(60.0, "ADDED")]
    last_of_old, first_of_new, second_of_new = seen.instances()[2:5]
    assert (last_of_old.ended, last_of_old.code) == (62.0, 137)
    assert (first_of_new.began, first_of_new.ended, second_of_new.began) == (60.55, 65.55, 65.6)
    counts = [
        one.restartCount
        for change in seen.recording.of(new)
        for one in (change.pod.status and change.pod.status.containerStatuses) or ()
    ]
    assert sorted(set(counts)) == [0, 1]
    assert [at for at, text in seen.shown() if at > 60 and "CrashLoop" in text] == []


def test_60_until_it_is_asked_a_container_is_alive_and_not_ready() -> None:
    """Slow to answer, five seconds each: not ready before the first yes, not killed before the third no."""
    verdicts: dict[int, Any] = {}

    async def look(cluster: Cluster) -> None:
        for at in (1, 11):
            await asyncio.sleep(at - now())
            found = await cluster.client.get(core_v1.Pod, "p", "default")
            verdicts[at] = cluster.kubelet.prober.verdicts(
                (found.metadata and found.metadata.uid) or ""
            )

    patient = {"timeoutSeconds": 9}
    seen = play(
        pod(container(livenessProbe=check("live", **patient), readinessProbe=check("ready", **patient))),
        40,
        answer=lambda q: q.kind == "ready",
        takes=5.0,
        script=look,
    )  # fmt: skip
    assert list(verdicts[1].readiness.values()) == [Outcome.FAILURE]
    assert list(verdicts[11].liveness.values()) == [Outcome.SUCCESS]
    assert seen.condition("Ready")[:2] == [(0.0, "False"), (5.55, "True")]
    told = [at for at, text in seen.said("Unhealthy") if text.startswith("Liveness probe failed")]
    assert told == [15, 25, 35]
    assert [at for at, _ in seen.said("Killing")] == [35]
