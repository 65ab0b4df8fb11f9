"""A local copy that never misses a change, over a real API server in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from lightkube.models import core_v1, meta_v1

from podward.admission.chain import AdmissionChain
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import SYSTEM
from podward.client.api_client import ApiClient
from podward.client.informer import Informer
from podward.client.transports.in_process import InProcessTransport
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate.virtual_loop import run
from podward.store.index import HISTORY_LIMIT
from podward.store.memory import MemoryStore


class World:
    def __init__(self) -> None:
        clock = LoopClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.server = ApiServer(
            MemoryStore(), clock, Entropy(), admission=AdmissionChain([]), node_access=None,
            authenticate=lambda scope: SYSTEM,
        )  # fmt: skip
        self.client = ApiClient(InProcessTransport(self.server, SYSTEM))
        self.informer = Informer(self.client, core_v1.ConfigMap, clock=clock, entropy=Entropy())
        self.seen: list[tuple[str, str]] = []

    def hear(self, change: str, obj: core_v1.ConfigMap) -> None:
        assert obj.metadata is not None
        self.seen.append((change, obj.metadata.name or ""))

    async def create(self, name: str) -> None:
        meta = meta_v1.ObjectMeta(name=name, namespace="default")
        await self.client.create(core_v1.ConfigMap(metadata=meta))

    async def delete(self, name: str) -> None:
        await self.client.delete(core_v1.ConfigMap, name, "default")


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    made = World()
    await made.server.bootstrap()
    await made.create("first")
    task = asyncio.create_task(made.informer.run(made.hear))
    await made.informer.synced.wait()
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def without_roots(seen: list[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(change, name) for change, name in seen if name != "kube-root-ca.crt"]


def test_what_is_there_is_reported_then_every_change() -> None:
    async def main() -> None:
        async with world() as w:
            await w.create("second")
            await w.client.patch(
                core_v1.ConfigMap, "first", {"data": {"a": "b"}}, namespace="default"
            )
            await w.delete("second")
            await asyncio.sleep(1)
            assert without_roots(w.seen) == [
                ("ADDED", "first"), ("ADDED", "second"), ("MODIFIED", "first"), ("DELETED", "second"),
            ]  # fmt: skip
            assert w.informer.store["default", "first"].data == {"a": "b"}
            assert ("default", "second") not in w.informer.store

    run(main())


def test_a_watch_that_breaks_is_taken_up_where_it_ended() -> None:
    async def main() -> None:
        async with world() as w:
            await w.server.close()
            await w.create("meanwhile")
            await asyncio.sleep(30)
            assert without_roots(w.seen) == [("ADDED", "first"), ("ADDED", "meanwhile")]

    run(main())


def test_what_happened_in_a_compacted_gap_is_still_noticed() -> None:
    async def main() -> None:
        async with world() as w:
            # More changes than a watcher may lag behind, without letting it run in between.
            await w.delete("first")
            for _ in range(HISTORY_LIMIT // 2 + 10):
                await w.create("flood")
                await w.delete("flood")
            await w.create("last")
            await asyncio.sleep(60)
            assert ("DELETED", "first") in w.seen
            assert w.seen[-1] == ("ADDED", "last")
            assert sorted(name for _, name in w.informer.store) == ["last"]

    run(main())
