"""Manifests, run exactly as written, by a whole cluster in virtual time; and a record of all that happened.

Nothing of the cluster is replaced but its edges: the clock, the dice, the network, the store (in memory) and
the containers. Same manifests, same seed: same record.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import msgspec
from lightkube.models import core_v1

from podward.api import codec
from podward.api.errors import ApiStatusError, bad_request
from podward.api.scheme import SCHEME
from podward.client.base import Client
from podward.client.informer import Informer
from podward.cluster import Cluster, PodPresets
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.simulate import virtual_loop
from podward.simulate.faults.schedule import Fault
from podward.simulate.machine import EPOCH, Machine
from podward.simulate.world import World

_WARM_UP_SECONDS = 60.0
"""How long the cluster stands before the first manifest comes: a kubelet that just began spreads its probes."""

Change = Literal["ADDED", "MODIFIED", "DELETED"]


class PodChange(msgspec.Struct, frozen=True):
    at: float
    """Seconds since the manifests were applied."""
    type: Change
    pod: core_v1.Pod


class Said(msgspec.Struct, frozen=True):
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
    jumps: list[tuple[float, float]] = field(default_factory=list)
    """(at, seconds) of each jump of the wall clock."""
    remarks: list[str] = field(default_factory=list)
    """What became of the faults that were asked for, if it is not seen elsewhere."""

    def moment_of(self, seconds: float) -> datetime:
        """What the wall clock showed then."""
        jumped = sum(by for at, by in self.jumps if at <= seconds)
        return self.began + timedelta(seconds=seconds + jumped)

    def seconds_of(self, moment: datetime) -> float:
        """When the wall clock showed that; the earliest time, if a jump back made it show it twice."""
        jumped = 0.0
        for at, by in self.jumps:
            if moment < self.began + timedelta(seconds=at + jumped):
                break
            jumped += by
        return (moment - self.began).total_seconds() - jumped

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
    faults: Sequence[Fault] = (),
    pod_presets: PodPresets = "safe",
) -> Recording:
    """Raises `ApiStatusError` for a manifest the server refuses, `CannotSimulate` for what nobody described."""

    async def main() -> Recording:
        with tempfile.TemporaryDirectory(prefix="podward-simulate-", dir=in_memory()) as folder:
            machine = Machine(
                Path(folder), seed, strict=True, disturbed=bool(faults), pod_presets=pod_presets
            )
            if prepare is not None:
                prepare(machine.world)
            return await _run(machine, documents, seconds, namespace, script, faults)

    return virtual_loop.run(main())


def in_memory() -> str | None:
    """Volumes of a simulation are real files: where files cost least, if there is such a place."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


async def _run(
    machine: Machine,
    documents: Sequence[dict[str, Any]],
    seconds: float,
    namespace: str,
    script: Script | None,
    faults: Sequence[Fault],
) -> Recording:
    await machine.boot()
    await asyncio.sleep(_WARM_UP_SECONDS)
    loop = asyncio.get_running_loop()
    began, recording = loop.time(), Recording(machine.clock.now())
    beside = [asyncio.create_task(_record(machine.outside, machine.clock, recording))]
    await asyncio.sleep(0)
    try:
        for document in documents:
            await apply(machine.outside, document, namespace)
        if script is not None:
            assert machine.cluster is not None
            beside.append(asyncio.create_task(script(machine.cluster)))
        beside.append(asyncio.create_task(machine.suffer(faults)))
        await _until(seconds, machine.world, beside)
        recording.seconds = loop.time() - began
        recording.jumps = [(at - began, by) for at, by in machine.jumps]
        recording.remarks = [*machine.remarks, *(f"podward ended: {e}" for e in machine.ends)]
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await machine.die()
    if machine.world.problem is not None:
        raise machine.world.problem
    return recording


async def _until(seconds: float, world: World, beside: Sequence["asyncio.Task[Any]"]) -> None:
    troubled = asyncio.ensure_future(world.troubled.wait())
    deadline = asyncio.get_running_loop().time() + seconds
    waits: set[asyncio.Future[Any]] = {troubled, *beside}
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


async def apply(client: Client, document: dict[str, Any], namespace: str) -> None:
    """Create what the manifest describes."""
    row = SCHEME.of_kind(str(document.get("apiVersion")), str(document.get("kind")))
    if row is None:
        kind, version = document.get("kind"), document.get("apiVersion")
        raise bad_request(f'no matches for kind "{kind}" in version "{version}"')
    metadata = dict(document.get("metadata") or {})
    if row.namespaced:
        metadata.setdefault("namespace", namespace)
    obj, _ = codec.decode_builtins({**document, "metadata": metadata}, row, "Strict")
    await client.create(obj)


async def _record(client: Client, clock: Clock, recording: Recording) -> None:
    """Every change of every Pod, and every event."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    latest: dict[str, core_v1.Pod] = {}

    def pod_changed(change: Change, pod: core_v1.Pod) -> None:
        before = latest.get(_uid(pod))
        if before is not None and before.spec == pod.spec:
            pod.spec = before.spec  # most of a Pod, and the same a thousand times
        latest[_uid(pod)] = pod
        recording.changes.append(PodChange(loop.time() - began, change, pod))

    def event_changed(change: Change, event: core_v1.Event) -> None:
        involved = event.involvedObject
        if involved.kind == "Pod" and change != "DELETED" and event.metadata is not None:
            recording.events[event.metadata.uid or ""] = event
            recording.said.append(Said(loop.time() - began, event))

    dice = Entropy(0)
    pods = Informer(client, core_v1.Pod, clock=clock, entropy=dice)
    events = Informer(client, core_v1.Event, clock=clock, entropy=dice)
    await asyncio.gather(pods.run(pod_changed), events.run(event_changed))


def _uid(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.uid) or ""


__all__ = ["EPOCH", "ApiStatusError", "PodChange", "Recording", "apply", "simulate"]
