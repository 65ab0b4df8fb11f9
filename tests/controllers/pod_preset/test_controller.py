"""Statuses are written to a real API server, in virtual time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import Api, started
from tests.controllers.pod_preset import support
from tests.controllers.pod_preset.support import ZONE, conflict, notice

from podward.api.kinds import podward_v1alpha1 as own
from podward.api.scheme import SCHEME, Resource, Scheme
from podward.apiserver.identity import SYSTEM
from podward.client.api_client import ApiClient
from podward.client.base import Response
from podward.client.transports.in_process import InProcessTransport
from podward.controllers.pod_preset import controller as subject
from podward.controllers.pod_preset import status
from podward.controllers.pod_preset.controller import PresetController
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run

STATUS = "/apis/podward.dev/v1alpha1/namespaces/edge/podpresets/cal/status"
PODS = "/api/v1/pods"


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "preset_of", support.preset_of)
    monkeypatch.setattr(status, "admit", support.admit)


class World:
    """A controller at work; `client` is the user's, the controller has the line."""

    def __init__(self, api: Api, **options: Any) -> None:
        self.api = api
        self.client = ApiClient(InProcessTransport(api.server, SYSTEM))
        self.controller = PresetController(api.client, api.clock, Entropy(3), **options)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.controller.run())

    async def stop(self) -> None:
        assert self.task is not None
        assert not self.task.done(), "the controller died"
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.task = None

    async def add_preset(self, name: str = "cal", **spec: Any) -> own.PodPreset:
        return await self.client.create(
            own.PodPreset(metadata=_meta(name, "edge"), spec=_spec(**spec))
        )

    async def add_cluster_preset(self, name: str = "all", **spec: Any) -> own.ClusterPodPreset:
        return await self.client.create(
            own.ClusterPodPreset(metadata=_meta(name), spec=_spec(**spec))
        )

    async def add_pod(self, name: str, *carried: Any, **facts: Any) -> core_v1.Pod:
        made = support.pod(name, *carried, **facts)
        made.status = None
        return await self.client.create(made)

    async def status(self, name: str = "cal") -> own.PodPresetStatus:
        found = await self.client.get(own.PodPreset, name, "edge")
        return found.status or own.PodPresetStatus()

    async def cluster_status(self, name: str = "all") -> own.PodPresetStatus:
        found = await self.client.get(own.ClusterPodPreset, name)
        return found.status or own.PodPresetStatus()

    async def numbers(self, name: str = "cal") -> tuple[int | None, int | None, int | None]:
        found = await self.status(name)
        return found.matchedPods, found.currentPods, found.stalePods

    def stored(self, **spec: Any) -> Any:
        """The preset `cal` as the engine reads it, for Pods that carry it."""
        spec = {"selector": {"matchLabels": {"tier": "web"}}, **ZONE, **spec}
        return support.preset(spec=spec)

    def writes(self) -> int:
        return self.api.line.asked.count(("PATCH", STATUS))

    def watches(self, path: str) -> bool:
        return ("WATCH", path) in self.api.line.asked


def _meta(name: str, namespace: str | None = None) -> meta_v1.ObjectMeta:
    return meta_v1.ObjectMeta(name=name, namespace=namespace)


def _spec(**spec: Any) -> own.PodPresetSpec:
    wanted: dict[str, Any] = {
        "selector": meta_v1.LabelSelector(matchLabels={"tier": "web"}),
        "env": [core_v1.EnvVar("TZ", value="UTC")],
    }
    return own.PodPresetSpec(**{**wanted, **spec})


@asynccontextmanager
async def world(**options: Any) -> AsyncIterator[World]:
    made = World(await started(), **options)
    for name, labels in (("edge", {"team": "a"}), ("core", {"team": "b"})):
        namespace = core_v1.Namespace(metadata=meta_v1.ObjectMeta(name=name, labels=labels))
        await made.client.create(namespace)
    made.start()
    await asyncio.sleep(1)
    try:
        yield made
    finally:
        if made.task is not None:
            await made.stop()


def said(status: own.PodPresetStatus) -> Iterator[tuple[str, str, str | None]]:
    for one in status.conditions or ():
        yield one.type, one.status, one.reason


def reasons(status: own.PodPresetStatus) -> dict[str, str | None]:
    return {type: reason for type, _, reason in said(status)}


def test_a_preset_gets_its_status_within_a_second_of_coming() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await asyncio.sleep(0.9)
            assert await w.numbers() == (0, 0, 0)
            assert list(said(await w.status())) == [
                ("Valid", "True", "Valid"),
                ("Conflicting", "False", "NoClash"),
                ("Effective", "False", "NoPodMatches"),
            ]

    run(main())


def test_pods_that_come_change_and_go_are_counted() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_pod("old")
            await w.add_pod("new", w.stored())
            await asyncio.sleep(2)
            assert await w.numbers() == (2, 1, 1)
            await w.client.patch(
                core_v1.Pod, "old", {"metadata": {"labels": {"tier": "db"}}}, namespace="edge"
            )
            await asyncio.sleep(2)
            assert await w.numbers() == (1, 1, 0)
            await w.client.delete(core_v1.Pod, "new", "edge", grace_period_seconds=0)
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())


def test_a_pod_that_is_excluded_later_does_not_match() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_pod("a")
            await asyncio.sleep(2)
            assert await w.numbers() == (1, 0, 1)
            excluded = {"podpreset.admission.kubernetes.io/exclude": "true"}
            patch = {"metadata": {"annotations": excluded}}
            await w.client.patch(core_v1.Pod, "a", patch, namespace="edge")
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())


def test_a_pod_that_ended_does_not_count() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_pod("job")
            await asyncio.sleep(2)
            assert await w.numbers() == (1, 0, 1)
            await w.client.patch(
                core_v1.Pod, "job", {"status": {"phase": "Succeeded"}},
                namespace="edge", subresource="status",
            )  # fmt: skip
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())


def test_a_burst_of_pods_is_written_once_a_second() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await asyncio.sleep(5)
            before = w.writes()
            for i in range(100):
                await w.add_pod(f"p{i}")
                await asyncio.sleep(0.03)
            await asyncio.sleep(5)
            assert await w.numbers() == (100, 0, 100)
            assert w.writes() - before <= 5

    run(main())


def test_many_pods_are_counted_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "PODS_AT_A_TIME", 3)

    async def main() -> None:
        async with world() as w:
            for i in range(10):
                await w.add_pod(f"p{i}", *([w.stored()] if i < 4 else []))
            await w.add_preset()
            await asyncio.sleep(2)
            assert await w.numbers() == (10, 4, 6)

    run(main())


def test_what_changes_nothing_is_not_written() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_pod("a")
            await asyncio.sleep(5)
            before = w.writes()
            for phase in ("Pending", "Running"):
                await w.client.patch(
                    core_v1.Pod, "a", {"status": {"phase": phase}},
                    namespace="edge", subresource="status",
                )  # fmt: skip
            await w.add_pod("other", labels={"tier": "db"})
            await w.client.patch(
                own.PodPreset, "cal", {"metadata": {"labels": {"a": "b"}}},
                namespace="edge", patch_type="merge",
            )  # fmt: skip
            await asyncio.sleep(3600)
            assert w.writes() == before

    run(main())


def test_a_changed_preset_is_thought_through_again() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_pod("a", w.stored())
            await asyncio.sleep(2)
            assert await w.numbers() == (1, 1, 0)
            await w.client.patch(
                own.PodPreset, "cal", {"spec": {"env": [{"name": "TZ", "value": "CET"}]}},
                namespace="edge", patch_type="merge",
            )  # fmt: skip
            await asyncio.sleep(2)
            assert await w.numbers() == (1, 0, 1)
            assert reasons(await w.status())["Effective"] == "AllStale"

    run(main())


def test_a_namespaces_labels_decide_for_cluster_presets() -> None:
    async def main() -> None:
        async with world() as w:
            selected = meta_v1.LabelSelector(matchLabels={"team": "a"})
            await w.add_cluster_preset(namespaceSelector=selected)
            await w.add_pod("a")
            await w.add_pod("b", namespace="core")
            await asyncio.sleep(2)
            assert (await w.cluster_status()).matchedPods == 1
            patch: dict[str, Any] = {"metadata": {"labels": {"team": "a"}}}
            await w.client.patch(core_v1.Namespace, "core", patch)
            await asyncio.sleep(2)
            assert (await w.cluster_status()).matchedPods == 2
            patch = {"metadata": {"labels": {"podward.dev/presets": "disabled"}}}
            await w.client.patch(core_v1.Namespace, "edge", patch)
            await asyncio.sleep(2)
            assert (await w.cluster_status()).matchedPods == 1

    run(main())


def test_admissions_are_seen_in_the_status() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await asyncio.sleep(2)
            cal = w.stored()
            w.controller.observe(notice(matched=[cal], conflicts=[conflict(cal)]))
            await asyncio.sleep(2)
            assert reasons(await w.status())["Conflicting"] == "NothingApplied"
            w.controller.observe(notice(applied=[cal]))
            await asyncio.sleep(2)
            assert reasons(await w.status())["Conflicting"] == "NoClash"

    run(main())


def test_an_admission_that_is_told_before_its_preset_is_not_lost() -> None:
    async def main() -> None:
        async with world() as w:
            cal = w.stored()
            w.controller.observe(notice(matched=[cal], conflicts=[conflict(cal)]))
            await asyncio.sleep(2)
            await w.add_preset()
            await asyncio.sleep(2)
            assert reasons(await w.status())["Conflicting"] == "NothingApplied"

    run(main())


def test_a_preset_that_came_anew_does_not_answer_for_its_namesake() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await asyncio.sleep(2)
            cal = w.stored()
            w.controller.observe(notice(matched=[cal], conflicts=[conflict(cal)]))
            await asyncio.sleep(2)
            await w.client.delete(own.PodPreset, "cal", "edge")
            await w.add_preset()
            await asyncio.sleep(3)
            assert reasons(await w.status())["Conflicting"] == "NoClash"

    run(main())


def test_a_restarted_controller_says_the_same() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_pod("a", w.stored())
            cal = w.stored()
            w.controller.observe(notice(matched=[cal], conflicts=[conflict(cal)]))
            await asyncio.sleep(3)
            before, writes = await w.status(), w.writes()
            await w.stop()
            w.controller = PresetController(w.api.client, w.api.clock, Entropy(4))
            w.start()
            await asyncio.sleep(60)
            assert (await w.status(), w.writes()) == (before, writes)

    run(main())


def test_it_may_run_again_and_hears_what_it_missed() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_preset("gone")
            await asyncio.sleep(2)
            await w.stop()
            await w.client.delete(own.PodPreset, "gone", "edge")
            await w.add_pod("a")
            await asyncio.sleep(60)
            assert await w.numbers() == (0, 0, 0)
            w.start()
            await asyncio.sleep(2)
            assert await w.numbers() == (1, 0, 1)

    run(main())


def test_only_the_leader_writes() -> None:
    async def main() -> None:
        leads = False
        async with world(is_leader=lambda: leads) as w:
            await w.add_preset()
            await asyncio.sleep(10)
            assert await w.status() == own.PodPresetStatus()
            leads = True
            w.controller.resync()
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())


def test_without_the_right_to_pods_a_status_has_conditions_only() -> None:
    async def main() -> None:
        async with world(count_pods=False) as w:
            await w.add_preset()
            await w.add_pod("a")
            await asyncio.sleep(2)
            assert await w.numbers() == (None, None, None)
            assert reasons(await w.status())["Effective"] == "PodsNotWatched"
            w.controller.observe(notice(applied=[w.stored()]))
            await asyncio.sleep(2)
            assert reasons(await w.status())["Effective"] == "Applied"
            assert not w.watches(PODS)

    run(main())


def test_numbers_that_are_known_no_longer_leave_the_status() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)
            await w.stop()
            w.controller = PresetController(w.api.client, w.api.clock, Entropy(4), count_pods=False)
            w.start()
            await asyncio.sleep(2)
            assert await w.numbers() == (None, None, None)

    run(main())


def test_pods_are_watched_from_the_first_preset_to_the_last() -> None:
    async def main() -> None:
        async with world() as w:
            assert not await _watches_pods_now(w)
            await w.add_preset()
            await w.add_cluster_preset()
            await asyncio.sleep(2)
            assert await _watches_pods_now(w)
            await w.client.delete(own.PodPreset, "cal", "edge")
            await asyncio.sleep(2)
            assert await _watches_pods_now(w)
            await w.client.delete(own.ClusterPodPreset, "all")
            await asyncio.sleep(2)
            assert not await _watches_pods_now(w)
            await w.add_preset()
            await w.add_pod("a")
            await asyncio.sleep(2)
            assert await w.numbers() == (1, 0, 1)

    run(main())


def test_pods_that_went_while_nobody_watched_are_forgotten() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_pod("a")
            await asyncio.sleep(2)
            await w.client.delete(own.PodPreset, "cal", "edge")
            await asyncio.sleep(2)
            await w.client.delete(core_v1.Pod, "a", "edge", grace_period_seconds=0)
            await asyncio.sleep(2)
            await w.add_preset()
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())


def test_a_status_is_for_the_preset_that_was_looked_at_and_no_newer_one() -> None:
    async def main() -> None:
        async with world() as w:
            answers: list[int] = []
            request = w.api.line.request

            async def meddled(method: str, path: str, **more: Any) -> Response:
                if (method, path) != ("PATCH", STATUS):
                    return await request(method, path, **more)
                if not answers:
                    patch = {"spec": {"env": [{"name": "TZ", "value": "CET"}]}}
                    await w.client.patch(
                        own.PodPreset, "cal", patch, namespace="edge", patch_type="merge"
                    )
                answer = await request(method, path, **more)
                answers.append(answer.status)
                return answer

            w.api.line.request = meddled  # type: ignore[method-assign]
            await w.add_pod("a", w.stored())
            await w.add_preset()
            await asyncio.sleep(5)
            assert answers == [409, 200]
            assert await w.numbers() == (1, 0, 1)

    run(main())


async def _watches_pods_now(w: World) -> bool:
    """Whoever watches asks again and again when the line is cut."""
    w.api.line.asked.clear()
    w.api.line.down = True
    await asyncio.sleep(120)  # a bookmark comes once a minute, and finds the line cut
    w.api.line.down = False
    await asyncio.sleep(30)
    return w.watches(PODS)


@pytest.mark.parametrize("seconds", [0.5, 30.0])
def test_a_server_that_goes_away_is_waited_for(seconds: float) -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await asyncio.sleep(2)
            cal = w.stored()
            w.api.line.down = True
            w.controller.observe(notice(matched=[cal], conflicts=[conflict(cal)]))
            await asyncio.sleep(seconds)
            assert reasons(await w.status())["Conflicting"] == "NoClash"
            w.api.line.down = False
            await asyncio.sleep(30)
            assert reasons(await w.status())["Conflicting"] == "NothingApplied"

    run(main())


def test_a_preset_that_cannot_be_read_is_said_to_be_invalid() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset("unreadable")
            await asyncio.sleep(2)
            found = await w.status("unreadable")
            assert ("Valid", "False", "InvalidSpec") in said(found)
            assert await w.numbers("unreadable") == (None, None, None)

    run(main())


class PlainPreset(msgspec.Struct, kw_only=True):
    """A preset with whatever its spec holds."""

    metadata: meta_v1.ObjectMeta | None = None
    spec: Any = None
    status: own.PodPresetStatus | None = None


def test_presets_may_be_read_as_plain_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a field that is unknown here is in their hash, as it is where they are admitted by."""
    read: list[Any] = []

    def preset_of(document: Any, **more: Any) -> Any:
        read.append(document)
        return support.preset_of(document, **more)

    monkeypatch.setattr(subject, "preset_of", preset_of)
    row = Resource(
        "podward.dev", "v1alpha1", "PodPreset", "podpresets", "podpreset", PlainPreset, True
    )

    async def main() -> None:
        async with world() as w:
            await w.stop()
            plain = ApiClient(InProcessTransport(w.api.server, SYSTEM), Scheme((*SCHEME, row)))
            w.controller = PresetController(
                plain, w.api.clock, Entropy(4), kinds={"namespaced": PlainPreset}
            )
            w.start()
            await w.add_preset()
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())
    assert read[0]["kind"] == "PodPreset"
    assert read[0]["spec"] == {"selector": {"matchLabels": {"tier": "web"}}, **ZONE}


def test_one_preset_that_cannot_be_thought_through_does_not_silence_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real: Callable[..., Any] = status.status_of

    def broken(preset: Any, *rest: Any) -> Any:
        if preset.name == "bad":
            raise RuntimeError("broken")
        return real(preset, *rest)

    monkeypatch.setattr(subject, "status_of", broken)

    async def main() -> None:
        async with world() as w:
            await w.add_preset("bad")
            await w.add_preset()
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())
    assert "cannot make the status of namespaced/edge/bad" in caplog.text


def test_somebody_elses_status_is_put_right() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await asyncio.sleep(2)
            await w.client.patch(
                own.PodPreset, "cal", {"status": {"matchedPods": 7}},
                namespace="edge", patch_type="merge", subresource="status",
            )  # fmt: skip
            await asyncio.sleep(2)
            assert await w.numbers() == (0, 0, 0)

    run(main())


def test_the_numbers_are_metrics() -> None:
    async def main() -> None:
        async with world() as w:
            await w.add_preset()
            await w.add_cluster_preset()
            await w.add_pod("a", w.stored())
            await asyncio.sleep(2)
            (family,) = await w.controller.families()
            assert family.name == "podward_pod_preset_pods"
            assert family.values == {
                ("edge", "podpreset.podward.dev/cal", "matched"): 1,
                ("edge", "podpreset.podward.dev/cal", "current"): 1,
                ("edge", "podpreset.podward.dev/cal", "stale"): 0,
                ("", "clusterpodpreset/all", "matched"): 1,
                ("", "clusterpodpreset/all", "current"): 0,
                ("", "clusterpodpreset/all", "stale"): 1,
            }

    run(main())
