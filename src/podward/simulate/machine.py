"""A simulated machine: its containers, its store, and the Podward that runs on it, dies and comes back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lightkube.models import core_v1

from podward.api.errors import ApiStatusError
from podward.apiserver.app import ApiServer
from podward.apiserver.authentication import Authenticator
from podward.apiserver.identity import Identity
from podward.apiserver.service_account_tokens import SigningKey
from podward.apiserver.version import FOLLOWS
from podward.client.base import ApiError, Transport
from podward.client.transports.in_process import InProcessTransport
from podward.cluster import Cluster, PodPresets
from podward.kubelet.node import NodeFacts
from podward.kubelet.runtime.base import ContainerState, Runtime, SandboxState
from podward.machinery.entropy import Entropy
from podward.simulate.faults.clock import JumpingClock
from podward.simulate.faults.edges import FaultyRuntime, FaultyStore, FaultyTransport
from podward.simulate.faults.schedule import (
    DeletePod,
    Disturb,
    Fault,
    JumpClock,
    KillContainer,
    KillPodward,
    LoseSandbox,
)
from podward.simulate.faults.trouble import Incarnation, Trouble
from podward.simulate.outside import NobodyOutside
from podward.simulate.ports import SimulatedNetwork
from podward.simulate.runtime import SimulatedRuntime
from podward.simulate.virtual_loop import VirtualLoop
from podward.simulate.world import World
from podward.store.base import Store, StoreError
from podward.store.memory import MemoryStore

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulation begins."""
NODE_NAME = "node-1"
NODE_IP = "10.42.0.1"
_RESTART_SECONDS = 1.0
"""After Podward ended by itself, as a service manager has it."""


class Machine:
    """Its edges may be disturbed; it may be looked at and spoken to from outside, whatever happens."""

    def __init__(
        self,
        folder: Path,
        seed: int,
        *,
        strict: bool,
        disturbed: bool = True,
        pod_presets: PodPresets = "safe",
    ) -> None:
        """`disturbed`: whether faults will come; without them the edges are bare, and cost nothing."""
        self.folder = folder
        self.seed = seed
        self._disturbed = disturbed
        self._pod_presets = pod_presets
        self.clock = JumpingClock(EPOCH)
        self.world = World(self.clock, Entropy(seed), strict=strict)
        self.store = MemoryStore()
        self.trouble = Trouble(seed + 3)
        self.cluster: Cluster | None = None
        """The Podward that lives; None between a death and the next start."""
        self.ends: list[str] = []
        """Podward's parts that ended by themselves: what the user would find in the journal."""
        self.remarks: list[str] = []
        """Faults that met nothing, starts that failed."""
        self.jumps: list[tuple[float, float]] = []
        """(the loop's time, seconds) of each jump of the wall clock."""
        self._starts = 0
        self._life = Incarnation()
        self._watching: asyncio.Task[None] | None = None
        # Another server on the same store, which nothing disturbs. It is never started.
        self.outside = self._cluster(self.store, SimulatedRuntime(self.world), seed + 2).client

    # ---- Podward's lives

    async def boot(self) -> None:
        """Start Podward; if its store fails it at once, again and again, until it runs."""
        life = self._life = Incarnation()
        seed = self.seed + 1 + 7 * self._starts
        if self._disturbed:
            store = FaultyStore(self.store, self.trouble.store, life)
            cluster = self._cluster(store, self.runtime(life), seed, life)
        else:
            cluster = self._cluster(self.store, SimulatedRuntime(self.world), seed)
        self._starts += 1
        await cluster.runtime.start()
        while True:
            try:
                await cluster.start()
                break
            except (ApiStatusError, StoreError) as error:
                self.remarks.append(f"podward could not start: {error}")
                await asyncio.sleep(_RESTART_SECONDS)
        self.cluster = cluster
        self._watching = asyncio.create_task(self._watch_over(cluster))

    def runtime(self, life: Incarnation) -> Runtime:
        return FaultyRuntime(SimulatedRuntime(self.world), self.trouble.runtime, life)

    def transport(self, server: ApiServer, who: Identity, life: Incarnation) -> Transport:
        return FaultyTransport(InProcessTransport(server, who), self.trouble.api, life)

    async def die(self) -> None:
        """As by kill -9: from this very step on, nothing that Podward does reaches anything."""
        self._life.dead = True
        cluster, self.cluster = self.cluster, None
        if cluster is not None:
            await cluster.kill()
            await cluster.runtime.close()

    def _cluster(
        self, store: Store, runtime: Runtime, seed: int, life: Incarnation | None = None
    ) -> Cluster:
        return Cluster(
            store=store,
            runtime=runtime,
            clock=self.clock,
            entropy=Entropy(seed),
            network=SimulatedNetwork(self.world.ports),
            http_client=NobodyOutside(),
            root=self.folder,
            facts=NodeFacts(
                name=NODE_NAME,
                ip=NODE_IP,
                capacity={"cpu": "2", "memory": "4Gi", "pods": "110"},
                kubelet_version=f"v{FOLLOWS}",
                runtime_version="simulated://1",
            ),
            authenticate=Authenticator({}),
            transport=InProcessTransport
            if life is None
            else lambda server, who: self.transport(server, who, life),
            pod_presets=self._pod_presets,
            signing_key=SigningKey.drawn_from(Entropy(self.seed + 4)),
        )

    async def _watch_over(self, cluster: Cluster) -> None:
        try:
            await cluster.wait()
        except asyncio.CancelledError:
            return
        except Exception as error:
            self.ends.append(_told(error))
            await self.die()
            await asyncio.sleep(_RESTART_SECONDS)
            await self.boot()

    # ---- faults

    async def suffer(self, faults: Sequence[Fault]) -> None:
        """All of them, each at its time from now."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                tasks.create_task(self._suffer(fault, began))

    async def _suffer(self, fault: Fault, began: float) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(began + fault.at - loop.time())
        match fault:
            case KillPodward():
                await self._kill_podward(fault)
            case KillContainer():
                self._kill_container(fault)
            case LoseSandbox():
                self._lose_sandbox(fault)
            case DeletePod():
                await self._delete_pod(fault)
            case JumpClock():
                self.clock.jump(fault.seconds)
                self.jumps.append((loop.time(), fault.seconds))
            case Disturb():
                edge = self.trouble.edge(fault.edge)
                edge.begin(fault.rates)
                await asyncio.sleep(began + fault.until - loop.time())
                edge.end(fault.rates)

    async def _kill_podward(self, fault: KillPodward) -> None:
        struck = asyncio.Event()
        if fault.steps:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, VirtualLoop)
            loop.after_steps(fault.steps, lambda: self._strike(struck))
            await struck.wait()
        if self.cluster is None:
            self.remarks.append(f"kill podward at {fault.at:g}s: it was not running")
            return
        await self.die()
        await asyncio.sleep(fault.down)
        await self.boot()

    def _strike(self, struck: asyncio.Event) -> None:
        if self.cluster is not None:
            self._life.dead = True
        struck.set()

    def _kill_container(self, fault: KillContainer) -> None:
        for container in self.world.containers.values():
            config = container.config
            if (
                container.state is ContainerState.RUNNING
                and container.sandbox.config.pod_name == fault.pod
                and config.name == fault.container
            ):
                container.group.out_of_memory = fault.out_of_memory
                self.world.kill(container)
                return
        verb = "oom" if fault.out_of_memory else "kill"
        self.remarks.append(
            f"{verb} {fault.pod}/{fault.container} at {fault.at:g}s: it did not run"
        )

    def _lose_sandbox(self, fault: LoseSandbox) -> None:
        for sandbox in self.world.sandboxes.values():
            if sandbox.config.pod_name == fault.pod and sandbox.state is SandboxState.READY:
                for container in list(self.world.containers.values()):
                    if container.sandbox is sandbox:
                        self.world.kill(container)
                self.world.end_sandbox(sandbox)
                return
        self.remarks.append(f"lose_sandbox {fault.pod} at {fault.at:g}s: there was none")

    async def _delete_pod(self, fault: DeletePod) -> None:
        pods = await self.outside.list(core_v1.Pod, field_selector=f"metadata.name={fault.pod}")
        try:
            for pod in pods.items:
                namespace = (pod.metadata and pod.metadata.namespace) or ""
                await self.outside.delete(
                    core_v1.Pod, fault.pod, namespace, grace_period_seconds=fault.grace
                )
                return
        except ApiError:
            pass  # it went away in this very moment
        self.remarks.append(f"delete {fault.pod} at {fault.at:g}s: there was no such Pod")


def _told(error: BaseException) -> str:
    """The first of what may be a group of errors."""
    inner: Any = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    return f"{type(inner).__name__}: {inner}"
