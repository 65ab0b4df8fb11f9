"""The local copy of the cluster's presets: complete before it is used, fresh, and not shaken by what is odd."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.client.support import EPOCH, Api, started
from tests.webhook.reviews import preset

from podward.admission.plugins.pod_preset.model import InvalidPreset, Preset
from podward.api.errors import field_invalid
from podward.client.base import ApiError, Response, TransportError
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.webhook import presets as module
from podward.webhook.presets import PresetCache, PresetClient, SettingsPodPreset

JSON = {"content-type": "application/json"}
SETTINGS = "/apis/settings.k8s.io/v1alpha1"
OWN = "/apis/podward.dev/v1alpha1"
ORIGINS = {"settings.k8s.io/v1alpha1 PodPreset": "settings",
           "podward.dev/v1alpha1 PodPreset": "namespaced",
           "podward.dev/v1alpha1 ClusterPodPreset": "cluster"}  # fmt: skip


def reads(document: Mapping[str, Any], *, namespace: str) -> Preset:
    """As much of `parse.preset_of` as is needed here; env named BAD cannot be read, ODD breaks a safe rule."""
    name, names = document["metadata"]["name"], [e["name"] for e in document["spec"].get("env", ())]
    if "BAD" in names:
        raise InvalidPreset(name, (), "spec.env: BAD")
    origin: Any = ORIGINS[f"{document['apiVersion']} {document['kind']}"]
    problems = (field_invalid("spec.env", "ODD", "odd"),) if "ODD" in names else ()
    return preset(
        name, origin=origin, namespace=namespace, spec=document["spec"], problems=problems
    )


class Bench:
    """A cache on a real API server, whose line can be cut."""

    def __init__(self, api: Api, *, strict: bool) -> None:
        self.api = api
        self.clock = api.clock
        self.client = PresetClient(api.line, api.clock, optional=[SettingsPodPreset])
        self.cache = PresetCache(self.client, api.clock, Entropy(3), strict=strict, read=reads)

    async def post(self, path: str, name: str, *env: str, **spec: Any) -> None:
        kind = "ClusterPodPreset" if "cluster" in path else "PodPreset"
        group = "settings.k8s.io" if "settings" in path else "podward.dev"
        document = {
            "apiVersion": f"{group}/v1alpha1", "kind": kind, "metadata": {"name": name},
            "spec": {"selector": {}, "env": [{"name": n, "value": "1"} for n in env], **spec},
        }  # fmt: skip
        await self._written("POST", path, document)

    async def namespace(self, name: str, **labels: str) -> None:
        document = {"apiVersion": "v1", "kind": "Namespace",
                    "metadata": {"name": name, "labels": labels}}  # fmt: skip
        await self._written("POST", "/api/v1/namespaces", document)

    async def delete(self, path: str) -> None:
        await self._written("DELETE", path, {})

    async def _written(self, method: str, path: str, document: Any) -> None:
        body = json.dumps(document).encode()
        answer = await self.api.line.request(method, path, headers=JSON, body=body)
        assert answer.status in (200, 201), answer.body

    async def names(self, namespace: str) -> list[str]:
        return sorted(preset.id for preset in (await self.cache.view(namespace)).presets)


@asynccontextmanager
async def bench(*, strict: bool = False) -> AsyncIterator[Bench]:
    made = Bench(await started(), strict=strict)
    for name in ("edge", "lab"):
        await made.namespace(name, zone=name)
    await made.post(f"{SETTINGS}/namespaces/edge/podpresets", "cal", "TZ")
    await made.post(f"{OWN}/namespaces/edge/podpresets", "own", "A")
    await made.post(f"{OWN}/namespaces/lab/podpresets", "lab", "B")
    await made.post(f"{OWN}/clusterpodpresets", "org", "C")
    task = asyncio.create_task(made.cache.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def on(check: Callable[[Bench], Awaitable[None]], *, strict: bool = False) -> None:
    async def main() -> None:
        async with bench(strict=strict) as made:
            await check(made)

    run(main())


EDGE = ["clusterpodpreset/org", "podpreset.podward.dev/own", "podpreset/cal"]


def test_a_namespace_sees_its_own_presets_and_those_of_the_cluster() -> None:
    async def check(made: Bench) -> None:
        assert not made.cache.synced
        await made.cache.wait_synced()
        assert made.cache.synced
        assert await made.names("edge") == EDGE
        assert await made.names("lab") == ["clusterpodpreset/org", "podpreset.podward.dev/lab"]
        assert (await made.cache.view("edge")).namespace_labels["zone"] == "edge"
        assert made.cache.count == 4

    on(check)


def test_what_was_once_read_is_not_read_again_for_each_pod() -> None:
    async def check(made: Bench) -> None:
        await made.cache.wait_synced()
        first = await made.cache.view("edge")
        asked = len(made.api.line.asked)
        assert await made.cache.view("edge") is first
        await made.post(f"{OWN}/namespaces/lab/podpresets", "other", "X")
        await asyncio.sleep(1)
        assert await made.cache.view("edge") is first  # another namespace's change is none of ours
        assert len(made.api.line.asked) == asked + 1

    on(check)


@pytest.mark.parametrize("path", [f"{SETTINGS}/namespaces/edge/podpresets",
                                  f"{OWN}/namespaces/edge/podpresets", f"{OWN}/clusterpodpresets"])  # fmt: skip
def test_changes_are_heard_of(path: str) -> None:
    async def check(made: Bench) -> None:
        await made.cache.wait_synced()
        before = await made.names("edge")
        await made.post(path, "new", "N")
        await asyncio.sleep(1)
        assert len(await made.names("edge")) == len(before) + 1
        await made.delete(f"{path}/new")
        await asyncio.sleep(1)
        assert await made.names("edge") == before

    on(check)


def test_labels_of_a_namespace_are_followed_and_a_new_one_is_asked_for() -> None:
    async def check(made: Bench) -> None:
        await made.cache.wait_synced()
        await made.cache.view("edge")
        await made.namespace("young", zone="new")
        asked = len(made.api.line.asked)
        labels = (
            await made.cache.view("young")
        ).namespace_labels  # its watch event is still on its way
        assert (labels["zone"], len(made.api.line.asked)) == ("new", asked + 1)
        body = json.dumps({"metadata": {"labels": {"zone": "moved"}}}).encode()
        await made.api.line.request(
            "PATCH", "/api/v1/namespaces/edge", body=body,
            headers={"content-type": "application/merge-patch+json"},
        )  # fmt: skip
        await asyncio.sleep(1)
        assert (await made.cache.view("edge")).namespace_labels["zone"] == "moved"
        assert (await made.cache.view("nowhere")).namespace_labels == {}

    on(check)


def test_unknown_fields_survive() -> None:
    class Odd:
        """A server that says more of a preset than anybody knows."""

        async def request(self, method: str, path: str, **rest: Any) -> Response:
            spec = {"selector": {}, "env": [{"name": "A", "novel": {"x": [1]}}], "later": True}
            item = {"metadata": {"name": "p", "namespace": "edge", "also": 1}, "spec": spec}
            items = [item] if "settings" in path else []
            body = {"metadata": {"resourceVersion": "1"}, "items": items}
            return Response(200, {}, json.dumps(body).encode())

        def stream(self, path: str, **rest: Any) -> Any:
            raise AssertionError

    async def main() -> None:
        clock = LoopClock(EPOCH)
        cache = PresetCache(PresetClient(Odd(), clock), clock, Entropy(1), strict=True, read=reads)
        [found] = (await cache.view("edge")).presets
        assert found.spec["later"] is True
        assert found.spec["env"] == [{"name": "A", "novel": {"x": [1]}}]

    run(main())


def test_what_cannot_be_read_is_set_aside_and_counted_and_harms_nobody() -> None:
    async def check(made: Bench) -> None:
        await made.cache.wait_synced()
        path = f"{SETTINGS}/namespaces/edge/podpresets"
        await made.post(path, "bad", "BAD")
        await made.post(path, "odd", "ODD")
        await asyncio.sleep(1)
        assert await made.names("edge") == [*EDGE, "podpreset/odd"]
        assert made.cache.invalid == 2
        await made.delete(f"{path}/bad")
        await made.delete(f"{path}/odd")
        await asyncio.sleep(1)
        assert made.cache.invalid == 0

    on(check)


def test_strict_never_misses_a_preset_that_was_there_before_the_pod() -> None:
    async def check(made: Bench) -> None:
        await made.cache.wait_synced()
        await made.post(f"{OWN}/namespaces/edge/podpresets", "newest", "N")
        assert "podpreset.podward.dev/newest" in await made.names("edge")
        await made.post(f"{SETTINGS}/namespaces/edge/podpresets", "bad", "BAD")
        assert "podpreset/bad" not in await made.names("edge")

    on(check, strict=True)


def test_a_copy_of_which_nothing_was_heard_for_long_is_not_trusted() -> None:
    async def check(made: Bench) -> None:
        await made.cache.wait_synced()
        await asyncio.sleep(1000)
        assert made.cache.age <= 60.0  # bookmarks
        made.api.line.down = True
        await asyncio.sleep(module.STALE_SECONDS - 100)
        assert await made.names("edge") == EDGE  # an outage of minutes is got over
        await asyncio.sleep(200)
        assert made.cache.age > module.STALE_SECONDS
        with pytest.raises(TransportError):
            await made.cache.view("edge")
        made.api.line.down = False
        assert await made.names("edge") == EDGE

    on(check)


class Lacking:
    """A line to a server that does not have the old group (or forbids it), until it has."""

    def __init__(self, line: Any, code: int) -> None:
        self._line = line
        self.code = code

    async def request(self, method: str, path: str, **rest: Any) -> Response:
        if self.code and path.startswith(SETTINGS) and method == "GET":
            body = {"kind": "Status", "code": self.code, "message": "no"}
            return Response(self.code, {}, json.dumps(body).encode())
        answer: Response = await self._line.request(method, path, **rest)
        return answer

    def stream(self, path: str, **rest: Any) -> Any:
        assert not (self.code and path.startswith(SETTINGS))
        return self._line.stream(path, **rest)


@pytest.mark.parametrize("code", [404, 403])
def test_a_cluster_without_the_old_group_is_complete_and_the_group_may_come_later(
    code: int,
) -> None:
    async def main() -> None:
        api = await started()
        lacking = Lacking(api.line, code)
        client = PresetClient(lacking, api.clock, optional=[SettingsPodPreset])
        cache = PresetCache(client, api.clock, Entropy(3), read=reads)
        task = asyncio.create_task(cache.run())
        await asyncio.wait_for(cache.wait_synced(), 5)
        await asyncio.sleep(1000)
        assert cache.age < 90.0
        made = Bench(api, strict=False)
        await made.post(f"{SETTINGS}/namespaces/default/podpresets", "late", "A")
        lacking.code = 0
        await asyncio.sleep(2 * module.LOOK_AGAIN_SECONDS)
        assert [p.name for p in (await cache.view("default")).presets] == ["late"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())


def test_a_group_that_must_be_there_is_waited_for() -> None:
    async def main() -> None:
        api = await started()
        client = PresetClient(Lacking(api.line, 404), api.clock)
        with pytest.raises(ApiError):
            await PresetCache(client, api.clock, Entropy(3), strict=True, read=reads).view("edge")
        cache = PresetCache(client, api.clock, Entropy(3), read=reads)
        task = asyncio.create_task(cache.run())
        await asyncio.sleep(100)
        assert not cache.synced
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run(main())
