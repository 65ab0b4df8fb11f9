"""What an event says, once and again, as it is found at the API server (spec/health.md 7)."""

import asyncio
from datetime import timedelta

from lightkube.models import core_v1, meta_v1
from tests.client.support import EPOCH, recording

from podward.client.recorder import pod_reference
from podward.simulate.virtual_loop import run


def test_an_event_says_who_saw_what_of_whom_and_when() -> None:
    async def main() -> None:
        async with recording() as w:
            await asyncio.sleep(12.75)
            w.pod.fieldPath = "spec.containers{app}"
            w.recorder.event(w.pod, "Warning", "Unhealthy", "Liveness probe failed: no")
            await w.recorder.flush()
            (event,) = await w.written()
            assert (event.type, event.reason) == ("Warning", "Unhealthy")
            assert event.message == "Liveness probe failed: no"
            assert event.involvedObject == w.pod
            assert event.source == core_v1.EventSource(component="kubelet", host="node-1")
            moment = EPOCH + timedelta(seconds=12)  # metav1.Time holds whole seconds
            assert (event.firstTimestamp, event.lastTimestamp) == (moment, moment)
            assert event.count == 1
            assert event.eventTime is None
            assert event.metadata.namespace == "default"
            name, _, nanoseconds = (event.metadata.name or "").partition(".")
            assert name == "web"
            then = int((EPOCH + timedelta(seconds=12.75)).timestamp() * 1e9)
            assert abs(int(nanoseconds, 16) - then) < 1_000_000

    run(main())


def test_an_event_about_an_object_without_a_namespace_is_kept_in_default() -> None:
    async def main() -> None:
        async with recording() as w:
            node = core_v1.ObjectReference(apiVersion="v1", kind="Node", name="n1", uid="n1")
            w.recorder.event(node, "Normal", "NodeReady", "Node n1 status is now: NodeReady")
            await w.recorder.flush()
            (event,) = await w.written()
            assert event.metadata.namespace == "default"
            assert event.involvedObject.namespace is None

    run(main())


def test_the_same_again_is_a_patch_that_counts() -> None:
    async def main() -> None:
        async with recording() as w:
            for _ in range(3):
                w.say()
                await asyncio.sleep(10)
            (event,) = await w.written()
            assert event.count == 3
            assert event.firstTimestamp == EPOCH
            assert event.lastTimestamp == EPOCH + timedelta(seconds=20)
            assert w.tries() == ["POST", "PATCH", "PATCH", "GET"]

    run(main())


def test_a_count_that_went_on_in_silence_jumps_with_the_next_word() -> None:
    async def main() -> None:
        async with recording() as w:
            for _ in range(30):
                w.say()
            await w.recorder.flush()
            assert [event.count for event in await w.written()] == [25]
            await asyncio.sleep(300)
            w.say()
            await w.recorder.flush()
            assert [event.count for event in await w.written()] == [31]

    run(main())


def test_an_event_that_expired_is_written_anew_with_its_history() -> None:
    async def main() -> None:
        async with recording() as w:
            w.say()
            w.say()
            await w.recorder.flush()
            (event,) = await w.written()
            await w.api.client.delete(core_v1.Event, event.metadata.name or "", "default")
            await asyncio.sleep(60)
            w.say()
            await w.recorder.flush()
            (again,) = await w.written()
            assert again.metadata.name == event.metadata.name
            assert again.count == 3
            assert again.firstTimestamp == EPOCH
            assert again.lastTimestamp == EPOCH + timedelta(seconds=60)

    run(main())


def test_the_tenth_message_of_a_kind_is_written_as_their_sum() -> None:
    async def main() -> None:
        async with recording() as w:
            for i in range(12):
                w.say(f"m{i}")
            await w.recorder.flush()
            events = {event.message: event.count for event in await w.written()}
            sum_of_all = "(combined from similar events): m11"
            assert events == {**{f"m{i}": 1 for i in range(9)}, sum_of_all: 3}

    run(main())


def test_a_new_style_event_has_one_moment_and_no_count() -> None:
    async def main() -> None:
        async with recording() as w:
            await asyncio.sleep(1.25)
            w.recorder.new_style_event(
                w.pod, type="Normal", reason="Scheduled", action="Binding", message="Assigned"
            )
            await w.recorder.flush()
            (event,) = await w.written()
            assert event.eventTime == EPOCH + timedelta(seconds=1.25)  # MicroTime
            assert (event.firstTimestamp, event.lastTimestamp, event.count) == (None, None, None)
            assert (event.reportingComponent, event.action) == ("kubelet", "Binding")
            assert event.reportingInstance == "kubelet-node-1"
            assert (event.source is None) or not event.source.component
            assert event.involvedObject == w.pod

    run(main())


def test_a_reference_points_at_the_pod_or_into_it() -> None:
    meta = meta_v1.ObjectMeta(name="web", namespace="blue", uid="u", resourceVersion="7")
    reference = pod_reference(core_v1.Pod(metadata=meta), "spec.containers{app}")
    assert reference == core_v1.ObjectReference(
        apiVersion="v1", kind="Pod", namespace="blue", name="web", uid="u", resourceVersion="7",
        fieldPath="spec.containers{app}",
    )  # fmt: skip
    assert pod_reference(core_v1.Pod(metadata=meta)).fieldPath is None
