"""Who sees all that happens in a life: what the kubelet asks for, what it is told, what the machine does.

It stands before the faulty edges, as the kubelet sees them, and behind them, where the truth is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from lightkube.models import core_v1
from tests.simulate.lives.backoff_model import Ladder

from podward.api import codec
from podward.api.scheme import SCHEME
from podward.apiserver.app import ApiServer
from podward.apiserver.identity import Identity
from podward.client.base import Response, Transport
from podward.client.transports.in_process import InProcessTransport
from podward.kubelet.runtime.base import (
    ContainerConfig,
    ContainerEvent,
    ContainerEventType,
    ContainerState,
)
from podward.simulate.faults.edges import FaultyRuntime, FaultyTransport
from podward.simulate.faults.trouble import Incarnation
from podward.simulate.machine import Machine
from podward.simulate.runtime import SimulatedRuntime
from podward.simulate.world import Container

PODS = SCHEME.of_type(core_v1.Pod)
POD_KEYS = "/registry/core/pods/"
Key = tuple[str, str]
"""(Pod UID, container name)."""


class _Meta(msgspec.Struct):
    uid: str = ""
    resourceVersion: str = ""
    deletionTimestamp: str | None = None


class _Object(msgspec.Struct):
    metadata: _Meta = msgspec.field(default_factory=_Meta)
    kind: str = ""


class _Event(msgspec.Struct):
    type: str
    object: _Object


class _List(msgspec.Struct):
    items: list[_Object] = []


@dataclass(slots=True)
class Seen:
    """What invariants are asked about."""

    running: dict[Key, set[str]] = field(default_factory=dict)
    """Container IDs."""
    leaving: set[str] = field(default_factory=set)
    """UIDs of which the kubelet that lives now has been told that they are deleted, or gone."""
    known: set[str] = field(default_factory=set)
    ladders: dict[Key, Ladder] = field(default_factory=dict)
    decided: dict[Key, float] = field(default_factory=dict)
    """The wall clock's time of the latest decision to start."""
    asked_to_stop: set[str] = field(default_factory=set)
    """Container IDs."""
    began_at: dict[str, float] = field(default_factory=dict)
    """Container ID -> the loop's time."""
    last_ended: dict[Key, str] = field(default_factory=dict)
    """Container ID."""
    counts: dict[Key, int] = field(default_factory=dict)
    """The highest restart count told."""
    ended: dict[str, str] = field(default_factory=dict)
    """Container ID -> the phase or state in which its end was told."""
    phases: dict[str, str] = field(default_factory=dict)
    began: dict[str, str] = field(default_factory=dict)
    """startTime, by UID."""
    documents: dict[str, bytes] = field(default_factory=dict)
    """Of Pods, by revision: all that was ever written."""
    acknowledged: list[tuple[str, bytes]] = field(default_factory=list)
    """(revision, document) as writers were told."""

    def ladder(self, key: Key) -> Ladder:
        return self.ladders.setdefault(key, Ladder())


AtStart = Callable[["Watched", Container], Iterator[str]]
AtAsking = Callable[["Watched", Container], Iterator[str]]
AtStatus = Callable[["Watched", core_v1.Pod], Iterator[str]]


@dataclass(frozen=True)
class Rules:
    at_start: tuple[AtStart, ...]
    """When a container begins to run."""
    at_asking: tuple[AtAsking, ...]
    """When the kubelet asks for it."""
    at_status: tuple[AtStatus, ...]
    """When a Pod was written."""


class Watched(Machine):
    def __init__(self, folder: Path, seed: int, rules: Rules) -> None:
        super().__init__(folder, seed, strict=False)
        self.rules = rules
        self.seen = Seen()
        self.problems: list[str] = []
        self.calm_since = float("inf")
        """The loop's time at which the last fault was over."""
        self.world.listeners.append(self._happened)

    def complain(self, texts: Iterator[str]) -> None:
        at = asyncio.get_running_loop().time()
        self.problems += [f"at {at:.2f}s: {text}" for text in texts]

    # ---- before the edges

    async def boot(self) -> None:
        self.seen.leaving.clear()
        self.seen.known.clear()
        for ladder in self.seen.ladders.values():
            ladder.forget()
        await super().boot()

    def runtime(self, life: Incarnation) -> FaultyRuntime:
        return WitnessedRuntime(self, life)

    def transport(self, server: ApiServer, who: Identity, life: Incarnation) -> Transport:
        return WitnessedTransport(InProcessTransport(server, who), self, life)

    def told(self, event: _Event) -> None:
        """A line of the kubelet's own watch."""
        meta = event.object.metadata
        self.seen.known.add(meta.uid)
        if event.type == "DELETED" or meta.deletionTimestamp is not None:
            self.seen.leaving.add(meta.uid)

    def told_all(self, listed: _List) -> None:
        for one in listed.items:
            self.told(_Event("ADDED", one))
        self.seen.leaving |= self.seen.known - {one.metadata.uid for one in listed.items}

    # ---- behind them

    def _happened(self, event: ContainerEvent) -> None:
        container = self.world.containers.get(event.container_id)
        if container is None:
            return
        key, now = key_of(container), self.clock.now().timestamp()
        if event.type is ContainerEventType.STARTED:
            self.seen.running.setdefault(key, set()).add(container.id)
            self.seen.began_at[container.id] = asyncio.get_running_loop().time()
            for rule in self.rules.at_start:
                self.complain(rule(self, container))
        elif event.type is ContainerEventType.DIED:
            self.seen.running.get(key, set()).discard(container.id)
            self.seen.ladder(key).exited(now)
            self.seen.last_ended[key] = container.id

    async def read_statuses(self) -> None:
        """Every write of a Pod, until cancelled."""
        async for batch in self.store.watch(POD_KEYS, after=0):
            for change in batch:
                self.seen.documents[str(change.record.revision)] = change.record.value
                if change.type != "DELETED":
                    pod = codec.decode_stored(change.record.value, PODS)
                    for rule in self.rules.at_status:
                        self.complain(rule(self, pod))

    async def pods(self) -> list[core_v1.Pod]:
        listing = await self.store.range(POD_KEYS)
        return [codec.decode_stored(record.value, PODS) for record in listing.records]

    def newest(self, uid: str, name: str) -> Container | None:
        """In the order in which they were made, whatever the clock said."""
        return next(
            (c for c in reversed(self.world.containers.values()) if key_of(c) == (uid, name)), None
        )

    def runs(self, uid: str, name: str) -> bool:
        newest = self.newest(uid, name)
        return newest is not None and newest.state is ContainerState.RUNNING


def key_of(container: Container) -> Key:
    return container.sandbox.config.pod_uid, container.config.name


def named(container: Container) -> str:
    config = container.sandbox.config
    return f"{config.pod_name}/{container.config.name} (attempt {container.config.attempt})"


class WitnessedRuntime(FaultyRuntime):
    def __init__(self, machine: Watched, life: Incarnation) -> None:
        super().__init__(SimulatedRuntime(machine.world), machine.trouble.runtime, life)
        self._machine = machine

    async def create_container(self, sandbox_id: str, config: ContainerConfig) -> str:
        sandbox = self._machine.world.sandboxes.get(sandbox_id)
        if sandbox is not None and not self._life.dead:
            key = sandbox.config.pod_uid, config.name
            self._machine.seen.decided[key] = self._machine.clock.now().timestamp()
        return await super().create_container(sandbox_id, config)

    async def start_container(self, container_id: str) -> None:
        container = self._machine.world.containers.get(container_id)
        if container is not None and not self._life.dead:
            for rule in self._machine.rules.at_asking:
                self._machine.complain(rule(self._machine, container))
        await super().start_container(container_id)

    async def stop_container(self, container_id: str, grace_seconds: float) -> None:
        if not self._life.dead:
            self._machine.seen.asked_to_stop.add(container_id)
        await super().stop_container(container_id, grace_seconds)

    async def stop_pod_sandbox(self, sandbox_id: str) -> None:
        for container in self._machine.world.containers.values():
            if container.sandbox.id == sandbox_id and not self._life.dead:
                self._machine.seen.asked_to_stop.add(container.id)
        await super().stop_pod_sandbox(sandbox_id)


class WitnessedTransport(FaultyTransport):
    """Hears what the server tells a client, in the step in which the client hears it."""

    def __init__(self, inner: Transport, machine: Watched, life: Incarnation) -> None:
        super().__init__(inner, machine.trouble.api, life)
        self._machine = machine

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        response = await super().request(method, path, query=query, headers=headers, body=body)
        if "/pods" not in path or not 200 <= response.status < 300:
            return response
        if method == "GET":
            if _is_kubelets(query):
                self._machine.told_all(msgspec.json.decode(response.body, type=_List))
        elif (written := msgspec.json.decode(response.body, type=_Object)).kind == "Pod":
            version = written.metadata.resourceVersion
            self._machine.seen.acknowledged.append((version, response.body))
        return response

    async def stream(
        self, path: str, *, query: Mapping[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        lines = super().stream(path, query=query)
        async for line in lines:
            if _is_kubelets(query):
                self._machine.told(msgspec.json.decode(line, type=_Event))
            yield line


def _is_kubelets(query: Mapping[str, str] | None) -> bool:
    return "spec.nodeName=" in (query or {}).get("fieldSelector", "")
