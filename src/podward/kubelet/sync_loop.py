"""The kubelet: who wakes whom. Everything that happens ends in waking one Pod's worker; nothing is polled."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from lightkube.models import core_v1

from podward.client.base import Client
from podward.client.informer import Informer
from podward.client.recorder import EventRecorder, pod_reference
from podward.kubelet.api_access import ApiAccess
from podward.kubelet.container_kill import ContainerKiller
from podward.kubelet.container_start import ContainerStarter
from podward.kubelet.image_credentials import Places
from podward.kubelet.image_pulls import ImagePuller
from podward.kubelet.lifecycle_hooks import HookRunner
from podward.kubelet.node import NodeFacts, NodeReporter
from podward.kubelet.orphans import OrphanRemover
from podward.kubelet.pod_workers import RESYNC_SECONDS, PodWorker, Tools
from podward.kubelet.prober.manager import ProberManager
from podward.kubelet.runtime.base import (
    ContainerEventType,
    ContainerState,
    Runtime,
    RuntimeFailure,
    SandboxState,
)
from podward.kubelet.sandbox_start import SandboxStarter
from podward.kubelet.status.generate import set_container_readiness, set_container_started
from podward.kubelet.status.manager import StatusManager
from podward.kubelet.volume_limits import Aside, VolumeLimits
from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_sources import VolumeSources
from podward.kubelet.volume_tokens import ApiTokens, Tokens
from podward.machinery.backoff import Backoff
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy
from podward.machinery.network import Network
from podward.probes.base import Outcome, ProbeType

STOP_GRACE_SECONDS = 30.0
RETIREMENT_SECONDS = 5.0
"""For the turns that Pods' workers are in, when the Pods shall end."""

_NEWS = (ContainerEventType.DIED, ContainerEventType.SANDBOX_CHANGED)

log = logging.getLogger(__name__)


class Kubelet:
    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        clock: Clock,
        entropy: Entropy,
        *,
        facts: NodeFacts,
        root: Path,
        recorder: EventRecorder,
        network: Network,
        started_at: datetime,
        mounter: Mounter | None,
        aside: Aside,
        allowed_sysctls: Sequence[str] = (),
        machine_credentials: Callable[[], Places] = dict,
        api_access: ApiAccess | None = None,
    ) -> None:
        """`machine_credentials`: for registries, of the machine itself."""
        api_access = api_access or ApiAccess()
        self._runtime = runtime
        self._clock = clock
        self._entropy = entropy
        self._workers: dict[str, PodWorker] = {}
        self._stopping = False
        """Nobody looks after Pods any more."""
        self._statuses = StatusManager(client, self._status_written)
        self._pods = Informer(
            client,
            core_v1.Pod,
            field_selector=f"spec.nodeName={facts.name}",
            clock=clock,
            entropy=entropy,
        )
        self.prober = ProberManager(
            clock=clock,
            entropy=entropy,
            network=network,
            status_of=self._statuses.get,
            deletion_of=self._is_deleted,
            exec_sync=runtime.exec_sync,
            record=lambda pod, path, type_, reason, message: recorder.event(
                pod_reference(pod, path), type_, reason, message
            ),
            on_result=self._probe_result,
            kubelet_started_at=started_at,
        )
        self._backoff = Backoff()
        self._images = ImagePuller(runtime, clock, machine_credentials)
        self._sources = VolumeSources(client, clock, entropy)
        self._sandboxes = SandboxStarter(client, runtime, recorder, allowed_sysctls=allowed_sysctls)
        self._limits = VolumeLimits(aside)
        hooks = HookRunner(runtime, network, recorder)
        self._tools = Tools(
            client=client,
            runtime=runtime,
            clock=clock,
            entropy=entropy,
            recorder=recorder,
            statuses=self._statuses,
            prober=self.prober,
            backoff=self._backoff,
            sandboxes=self._sandboxes,
            starter=ContainerStarter(
                client, runtime, entropy, recorder, self._images,
                root=root, node_ip=facts.ip, capacity=facts.capacity, mounter=mounter,
                tokens=Tokens(ApiTokens(client), clock, entropy),
                api_access=api_access,
            ),
            killer=ContainerKiller(runtime, clock, recorder, hooks),
            hooks=hooks,
            sources=self._sources,
            limits=self._limits,
            node_ip=facts.ip,
            api_access=api_access,
            finished=self._finished,
        )  # fmt: skip
        self._orphans = OrphanRemover(
            runtime,
            root,
            known=self._workers.__contains__,
            remove_folders=self._tools.starter.remove_pod,
            remove_cgroup=self._sandboxes.remove_cgroup,
        )
        self._node = NodeReporter(client, clock, facts, runtime.problem)

    async def run(self) -> None:
        """Until cancelled. Containers go on living."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._statuses.run())
                tasks.create_task(self._node.run())
                tasks.create_task(self._sources.run())
                tasks.create_task(self._limits.run())
                tasks.create_task(self._pods.run(self._pod_changed))
                tasks.create_task(self._listen())
                tasks.create_task(self._look_after())
        finally:
            for worker in self._workers.values():
                worker.task.cancel()
            await self.prober.close()

    async def stop(self, *, stop_pods: bool, remove_pods: bool = False) -> None:
        """What was learnt is written; with `stop_pods`, every container is ended within its grace; with
        `remove_pods` too, the runtime keeps nothing of them."""
        if stop_pods:
            self._stopping = True
            await self._retire_workers()
            try:
                await self._stop_containers()
                await self._stop_sandboxes(remove=remove_pods)
            except RuntimeFailure as error:
                log.warning("cannot stop the containers: %s", error)
            self._tools.starter.unmount_all()
        await self._statuses.flush()

    async def _retire_workers(self) -> None:
        """Not in the middle of a start, if it can be helped: what nobody knows yet nobody could stop."""
        tasks = [worker.task for worker in self._workers.values()]
        for worker in self._workers.values():
            worker.retire()
        if tasks:
            await asyncio.wait(tasks, timeout=RETIREMENT_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _stop_containers(self) -> None:
        running = [
            c for c in await self._runtime.list_containers() if c.state is ContainerState.RUNNING
        ]
        await asyncio.gather(
            *(self._runtime.stop_container(c.id, self._grace(c.pod_uid)) for c in running)
        )

    async def _stop_sandboxes(self, *, remove: bool) -> None:
        """Where they are something by themselves: a process, a network. What ran in one is known on, unless
        they are removed; the next life makes new ones."""
        if not (await self._runtime.features()).own_network:
            return
        for sandbox in await self._runtime.list_pod_sandboxes():
            if remove:
                await self._runtime.remove_pod_sandbox(sandbox.id)
                await self._sandboxes.remove_cgroup(sandbox.config.cgroup_parent)
            elif sandbox.state is SandboxState.READY:
                await self._runtime.stop_pod_sandbox(sandbox.id)

    def _grace(self, uid: str) -> float:
        worker = self._workers.get(uid)
        spec = worker.pod.spec if worker is not None else None
        grace = spec.terminationGracePeriodSeconds if spec is not None else None
        return min(float(grace if grace is not None else 2), STOP_GRACE_SECONDS)

    # ---- who wakes whom

    def _pod_changed(
        self, change: Literal["ADDED", "MODIFIED", "DELETED"], pod: core_v1.Pod
    ) -> None:
        uid = (pod.metadata and pod.metadata.uid) or ""
        worker = self._workers.get(uid)
        if self._stopping:
            return
        if change == "DELETED":
            if worker is not None:
                worker.vanish()
        elif worker is not None:
            worker.update(pod)
        else:
            self._statuses.adopt(pod)
            self._workers[uid] = PodWorker(self._tools, pod)

    async def _listen(self) -> None:
        """Nobody but a worker starts and removes: only what ends is news to it."""
        async for event in self._runtime.events():
            worker = self._workers.get(event.pod_uid)
            if worker is not None and event.type in _NEWS:
                worker.ended(event.container_id)

    def _probe_result(
        self, uid: str, type_: ProbeType, container_id: str, outcome: Outcome
    ) -> None:
        worker, status = self._workers.get(uid), self._statuses.get(uid)
        if worker is None or status is None:
            return
        if type_ is ProbeType.LIVENESS and outcome is not Outcome.FAILURE:
            return
        now, good = self._clock.now(), outcome is Outcome.SUCCESS
        if type_ is ProbeType.READINESS:
            status = set_container_readiness(worker.pod, status, container_id, good, now)
            self._statuses.publish(worker.pod, status)
        elif type_ is ProbeType.STARTUP:
            status = set_container_started(worker.pod, status, container_id, good, now)
            self._statuses.publish(worker.pod, status)
        self.prober.tell(uid)
        worker.wake()

    def _status_written(self, uid: str) -> None:
        worker = self._workers.get(uid)
        if worker is not None:
            worker.status_written()

    def _is_deleted(self, uid: str) -> bool:
        worker = self._workers.get(uid)
        meta = worker.pod.metadata if worker is not None else None
        return meta is not None and meta.deletionTimestamp is not None

    def _finished(self, uid: str) -> None:
        self._workers.pop(uid, None)

    # ---- looking after what nobody told of

    async def _look_after(self) -> None:
        await self._pods.synced.wait()
        while True:
            with contextlib.suppress(RuntimeFailure):
                await self._orphans.remove()
            now = self._clock.now().timestamp()
            self._backoff.collect(now)
            self._images.collect(now)
            await asyncio.sleep(self._entropy.uniform(RESYNC_SECONDS, 1.5 * RESYNC_SECONDS))
            for worker in list(self._workers.values()):
                worker.resync()
