"""Manifests, run exactly as written, by a whole cluster in virtual time; and a record of all that happened.

Nothing of the cluster is replaced but its edges: the clock, the dice, the network, the store (in memory) and
the containers. Same manifests, same seed: same record.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lightkube.models import core_v1

from podward.api import codec
from podward.api.errors import ApiStatusError, bad_request
from podward.api.scheme import SCHEME
from podward.apiserver.authentication import Authenticator
from podward.apiserver.version import FOLLOWS
from podward.client.informer import Informer
from podward.cluster import Cluster
from podward.kubelet.node import NodeFacts
from podward.machinery.clock import LoopClock
from podward.machinery.entropy import Entropy
from podward.simulate import virtual_loop
from podward.simulate.ports import SimulatedNetwork
from podward.simulate.runtime import SimulatedRuntime
from podward.simulate.world import World
from podward.store.memory import MemoryStore

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulation begins."""
NODE_NAME = "node-1"
NODE_IP = "10.42.0.1"
_WARM_UP_SECONDS = 60.0
"""How long the cluster stands before the first manifest comes: a kubelet that just began spreads its probes."""

Change = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class PodChange:
    at: float
    """Seconds since the manifests were applied."""
    type: Change
    pod: core_v1.Pod


@dataclass(frozen=True, slots=True)
class Said:
    at: float
    event: core_v1.Event


@dataclass(slots=True)
class Recording:
    began: datetime
    """When the manifests were applied."""
    seconds: float = 0.0
    """How long it was watched."""
    changes: list[PodChange] = field(default_factory=list)
    events: dict[str, core_v1.Event] = field(default_factory=dict)
    """By UID, in their last form, in the order of their first."""
    said: list[Said] = field(default_factory=list)
    """Each time that an event was written."""

    def seconds_of(self, moment: datetime) -> float:
        return (moment - self.began).total_seconds()

    def pods(self) -> list[str]:
        """UIDs, in the order in which they appeared."""
        return list(dict.fromkeys(_uid(change.pod) for change in self.changes))

    def of(self, uid: str) -> list[PodChange]:
        return [change for change in self.changes if _uid(change.pod) == uid]


Script = Callable[[Cluster], Any]
"""What a test does beside: a coroutine function that is called when the manifests are applied."""


def simulate(
    documents: Sequence[dict[str, Any]],
    seconds: float,
    *,
    seed: int = 0,
    namespace: str = "default",
    prepare: Callable[[World], None] | None = None,
    script: Script | None = None,
) -> Recording:
    """Raises `ApiStatusError` for a manifest the server refuses, `CannotSimulate` for what nobody described."""

    async def main() -> Recording:
        with tempfile.TemporaryDirectory(prefix="podward-simulate-", dir=_in_memory()) as folder:
            return await _run(documents, seconds, seed, namespace, Path(folder), prepare, script)

    return virtual_loop.run(main())


def _in_memory() -> str | None:
    """Volumes of a simulation are real files: where files cost least, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


async def _run(
    documents: Sequence[dict[str, Any]],
    seconds: float,
    seed: int,
    namespace: str,
    folder: Path,
    prepare: Callable[[World], None] | None,
    script: Script | None,
) -> Recording:
    clock = LoopClock(EPOCH)
    world = World(clock, Entropy(seed), strict=True)
    if prepare is not None:
        prepare(world)
    cluster = build(world, folder, seed)
    runtime = cluster.runtime
    await runtime.start()
    await cluster.start()
    await asyncio.sleep(_WARM_UP_SECONDS)
    recording = Recording(clock.now())
    watching = asyncio.create_task(_record(cluster, recording))
    await asyncio.sleep(0)
    beside: asyncio.Task[Any] | None = None
    try:
        for document in documents:
            await apply(cluster, document, namespace)
        if script is not None:
            beside = asyncio.create_task(script(cluster))
        await _until(seconds, world, watching, beside)
        recording.seconds = recording.seconds_of(clock.now())
    finally:
        for task in filter(None, (watching, beside)):
            task.cancel()
        await asyncio.gather(*filter(None, (watching, beside)), return_exceptions=True)
        await cluster.stop(stop_pods=False)
        await runtime.close()
    if world.problem is not None:
        raise world.problem
    return recording


async def _until(
    seconds: float, world: World, watching: "asyncio.Task[None]", beside: "asyncio.Task[Any] | None"
) -> None:
    troubled = asyncio.ensure_future(world.troubled.wait())
    deadline = asyncio.get_running_loop().time() + seconds
    waits: set[asyncio.Future[Any]] = {troubled, watching, *({beside} if beside else ())}
    try:
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            done, waits = await asyncio.wait(
                waits, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
            if troubled in done:
                return
    finally:
        troubled.cancel()


def build(world: World, folder: Path, seed: int) -> Cluster:
    """The cluster of a simulation, not started yet."""
    return Cluster(
        store=MemoryStore(),
        runtime=SimulatedRuntime(world),
        clock=world.clock,
        entropy=Entropy(seed + 1),
        network=SimulatedNetwork(world.ports),
        root=folder,
        facts=NodeFacts(
            name=NODE_NAME,
            ip=NODE_IP,
            capacity={"cpu": "2", "memory": "4Gi", "pods": "110"},
            kubelet_version=f"v{FOLLOWS}",
            runtime_version="simulated://1",
        ),
        authenticate=Authenticator({}),
    )


async def apply(cluster: Cluster, document: dict[str, Any], namespace: str) -> None:
    """Create what the manifest describes."""
    row = SCHEME.of_kind(str(document.get("apiVersion")), str(document.get("kind")))
    if row is None:
        kind, version = document.get("kind"), document.get("apiVersion")
        raise bad_request(f'no matches for kind "{kind}" in version "{version}"')
    metadata = dict(document.get("metadata") or {})
    if row.namespaced:
        metadata.setdefault("namespace", namespace)
    obj, _ = codec.decode_builtins({**document, "metadata": metadata}, row, "Strict")
    await cluster.client.create(obj)


async def _record(cluster: Cluster, recording: Recording) -> None:
    """Every change of every Pod, and every event."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def pod_changed(change: Change, pod: core_v1.Pod) -> None:
        recording.changes.append(PodChange(loop.time() - began, change, pod))

    def event_changed(change: Change, event: core_v1.Event) -> None:
        involved = event.involvedObject
        if involved.kind == "Pod" and change != "DELETED" and event.metadata is not None:
            recording.events[event.metadata.uid or ""] = event
            recording.said.append(Said(loop.time() - began, event))

    clock, dice = cluster.clock, Entropy(0)
    pods = Informer(cluster.client, core_v1.Pod, clock=clock, entropy=dice)
    events = Informer(cluster.client, core_v1.Event, clock=clock, entropy=dice)
    await asyncio.gather(pods.run(pod_changed), events.run(event_changed))


def _uid(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.uid) or ""


__all__ = ["ApiStatusError", "PodChange", "Recording", "apply", "build", "simulate"]
