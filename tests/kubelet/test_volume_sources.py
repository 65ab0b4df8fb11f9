"""Who hears of a changed object: the Pods that use it, once for several changes, and nobody else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from lightkube.models import core_v1, meta_v1
from tests.client.support import Api, started

from podward.kubelet.volume_sources import VolumeSources
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run

Heard = list[tuple[float, str]]
KINDS: dict[str, type[Any]] = {"configmap": core_v1.ConfigMap, "secret": core_v1.Secret}
LISTS = [("WATCH", "/api/v1/configmaps"), ("WATCH", "/api/v1/secrets")]


class Stage:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.sources = VolumeSources(api.client, api.clock, Entropy(0))
        self.heard: Heard = []

    def follow(self, uid: str, *sources: tuple[str, str], namespace: str = "default") -> None:
        loop = asyncio.get_running_loop()

        def changed() -> None:
            self.heard.append((round(loop.time() - self.began, 2), uid))

        self.began = loop.time()
        self.sources.follow(uid, namespace, sources, changed)

    async def create(self, kind: str, name: str, namespace: str = "default") -> None:
        meta = meta_v1.ObjectMeta(name=name, namespace=namespace)
        await self.api.client.create(KINDS[kind](metadata=meta))

    async def touch(self, kind: str, name: str, namespace: str = "default") -> None:
        patch = {"metadata": {"labels": {"at": str(asyncio.get_running_loop().time())}}}
        await self.api.client.patch(KINDS[kind], name, patch, namespace=namespace)

    async def settled(self) -> Heard:
        """What was heard since it was asked last."""
        await asyncio.sleep(1)
        heard, self.heard = self.heard, []
        return heard

    def watches(self) -> list[tuple[str, str]]:
        return sorted(call for call in self.api.line.asked if call in LISTS)


def staged(script: Callable[[Stage], Awaitable[None]]) -> None:
    async def main() -> None:
        stage = Stage(await started())
        task = asyncio.create_task(stage.sources.run())
        await script(stage)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        names = {one.get_name() for one in asyncio.all_tasks()}
        assert not names & {"configmaps", "secrets"}

    run(main())


def test_only_those_hear_that_use_the_object() -> None:
    async def script(stage: Stage) -> None:
        await stage.api.client.create(core_v1.Namespace(metadata=meta_v1.ObjectMeta(name="far")))
        for kind, name, namespace in (("configmap", "x", "default"), ("configmap", "y", "default"),
                                      ("secret", "x", "default"), ("configmap", "x", "far")):  # fmt: skip
            await stage.create(kind, name, namespace)
        stage.follow("both", ("configmap", "x"), ("secret", "x"))
        stage.follow("map", ("configmap", "x"), ("configmap", "none"))
        stage.follow("far", ("configmap", "x"), namespace="far")
        assert {uid for _, uid in await stage.settled()} == {"both", "map", "far"}
        for kind, name, namespace, who in (
            ("configmap", "x", "default", ["both", "map"]),
            ("configmap", "y", "default", []),
            ("secret", "x", "default", ["both"]),
            ("configmap", "x", "far", ["far"]),
        ):
            await stage.touch(kind, name, namespace)
            assert [uid for _, uid in await stage.settled()] == who
        await stage.create("configmap", "none")
        assert [uid for _, uid in await stage.settled()] == ["map"]
        await stage.api.client.delete(core_v1.ConfigMap, "none", "default")
        assert [uid for _, uid in await stage.settled()] == ["map"]
        assert stage.watches() == LISTS

    staged(script)


def test_what_follows_at_once_is_told_once() -> None:
    async def script(stage: Stage) -> None:
        await stage.create("configmap", "x")
        await stage.create("secret", "x")
        stage.follow("p", ("configmap", "x"), ("secret", "x"))
        assert await stage.settled() == [(0.1, "p")]
        await stage.touch("configmap", "x")
        await asyncio.sleep(0.05)
        await stage.touch("secret", "x")
        assert await stage.settled() == [(1.1, "p")]

    staged(script)


def test_nothing_is_asked_while_nobody_follows() -> None:
    async def script(stage: Stage) -> None:
        await stage.create("configmap", "x")
        stage.follow("plain")
        await asyncio.sleep(3600)
        assert stage.watches() == []
        stage.follow("p", ("configmap", "x"))
        stage.follow("q", ("configmap", "x"))
        await stage.settled()
        stage.sources.forget("p")
        await stage.touch("configmap", "x")
        assert [uid for _, uid in await stage.settled()] == ["q"]
        await stage.touch("configmap", "x")
        await asyncio.sleep(0)
        stage.sources.forget("q")
        stage.sources.forget("q")
        assert await stage.settled() == []
        assert stage.watches() == LISTS[:1]
        before = len(stage.api.line.asked)
        await asyncio.sleep(3600)
        assert len(stage.api.line.asked) == before
        stage.follow("r", ("configmap", "x"))
        assert [uid for _, uid in await stage.settled()] == ["r"]

    staged(script)


def test_a_watch_that_breaks_ends_the_kubelet_not_silently() -> None:
    async def script(stage: Stage) -> None:
        async def broken(*_: Any, **__: Any) -> Any:
            raise ZeroDivisionError

        stage.api.client.list = broken  # type: ignore[method-assign]
        stage.follow("p", ("configmap", "x"))
        with pytest.raises(ZeroDivisionError):
            await VolumeSources.run(stage.sources)

    async def main() -> None:
        await script(Stage(await started()))

    run(main())
