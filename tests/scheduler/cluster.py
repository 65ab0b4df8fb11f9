"""A scheduler at work on a real API server, in virtual time; nobody runs the Pods."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lightkube.models import core_v1, meta_v1
from tests.client.support import Api, started
from tests.scheduler.support import container, node, pod

from podward.apiserver.identity import SYSTEM
from podward.client.api_client import ApiClient
from podward.client.recorder import EventRecorder
from podward.client.transports.in_process import InProcessTransport
from podward.machinery.entropy import Entropy
from podward.scheduler.scheduler import SCHEDULER_NAME, Scheduler


class Cluster:
    def __init__(self, api: Api) -> None:
        self.api = api
        self.client = ApiClient(InProcessTransport(api.server, SYSTEM))
        """The user's; the scheduler's own line is `api.line`."""

    @asynccontextmanager
    async def scheduling(self) -> AsyncIterator[None]:
        """A scheduler runs meanwhile."""
        clock, entropy = self.api.clock, Entropy(3)
        recorder = EventRecorder(
            self.api.client, clock, entropy, component=SCHEDULER_NAME, host="host-1"
        )
        scheduler = Scheduler(self.api.client, clock, entropy, recorder)
        tasks = [asyncio.create_task(part) for part in (scheduler.run(), recorder.run())]
        try:
            yield
            assert not any(task.done() for task in tasks), "the scheduler died"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def add_node(self, name: str = "n1", **facts: Any) -> core_v1.Node:
        wanted = node(name, **facts)
        made = await self.client.create(wanted)
        made.status = wanted.status
        return await self.client.update(made, subresource="status")

    async def add_pod(self, name: str = "web", *, cpu: str = "0", **spec: Any) -> core_v1.Pod:
        made = pod(container(cpu=cpu), **spec)
        made.metadata = meta_v1.ObjectMeta(name=name, namespace="default")
        return await self.client.create(made)

    async def pod(self, name: str = "web") -> core_v1.Pod:
        return await self.client.get(core_v1.Pod, name, "default")

    async def node_of(self, name: str = "web") -> str | None:
        found = await self.pod(name)
        assert found.spec is not None
        return found.spec.nodeName

    async def condition(self, name: str = "web") -> core_v1.PodCondition:
        """PodScheduled."""
        found = await self.pod(name)
        assert found.status is not None
        (scheduled,) = [c for c in found.status.conditions or [] if c.type == "PodScheduled"]
        return scheduled

    async def events(self, name: str = "web") -> list[core_v1.Event]:
        listed = await self.client.list(
            core_v1.Event, "default", field_selector=f"involvedObject.name={name}"
        )
        return sorted(listed.items, key=lambda e: int(e.metadata.resourceVersion or 0))

    async def finish(self, name: str, phase: str = "Succeeded") -> None:
        await self.client.patch(
            core_v1.Pod, name, {"status": {"phase": phase}}, namespace="default", subresource="status"
        )  # fmt: skip


@asynccontextmanager
async def cluster(*, nodes: int = 1) -> AsyncIterator[Cluster]:
    """Nodes n1, n2...: two cores each, ready. The scheduler runs."""
    made = Cluster(await started())
    for i in range(nodes):
        await made.add_node(f"n{i + 1}")
    async with made.scheduling():
        yield made
