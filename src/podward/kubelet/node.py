"""The node as the API shows it: what it is, that it is ready, and a lease that says it is alive."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lightkube.models import coordination_v1, core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.machinery.clock import Clock, whole_seconds

LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
STATUS_SECONDS = 300.0
LEASE_NAMESPACE = "kube-node-lease"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NodeFacts:
    """What this machine is; read at the edge, handed in."""

    name: str
    ip: str
    architecture: str = "amd64"
    capacity: Mapping[str, str] = field(default_factory=dict)
    boot_id: str = ""
    machine_id: str = ""
    kernel_version: str = ""
    os_image: str = ""
    kubelet_version: str = ""
    runtime_version: str = ""


_CONDITIONS = (
    (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


class NodeReporter:
    def __init__(self, client: Client, clock: Clock, facts: NodeFacts) -> None:
        self._client = client
        self._clock = clock
        self._facts = facts
        self._ready_since: datetime | None = None

    async def run(self) -> None:
        reported = -STATUS_SECONDS
        while True:
            try:
                if self._clock.monotonic() - reported >= STATUS_SECONDS:
                    await self._report()
                    reported = self._clock.monotonic()
                await self._renew()
                delay = RENEW_SECONDS
            except (ApiError, TransportError) as error:
                log.warning("cannot report the node: %s", error)
                delay = 1.0
            await asyncio.sleep(delay)

    async def _report(self) -> None:
        facts = self._facts
        try:
            await self._client.get(core_v1.Node, facts.name)
        except ApiError as error:
            if error.code != 404:
                raise
            labels = {
                "kubernetes.io/arch": facts.architecture,
                "kubernetes.io/hostname": facts.name,
                "kubernetes.io/os": "linux",
            }
            meta = meta_v1.ObjectMeta(name=facts.name, labels=labels)
            await self._client.create(core_v1.Node(metadata=meta, spec=core_v1.NodeSpec()))
        await self._client.patch(
            core_v1.Node, facts.name, {"status": self._status()}, patch_type="merge",
            subresource="status",
        )  # fmt: skip

    def _status(self) -> core_v1.NodeStatus:
        facts, now = self._facts, whole_seconds(self._clock.now())
        self._ready_since = self._ready_since or now
        conditions = [
            core_v1.NodeCondition(
                type=type_, status=status, reason=reason, message=message,
                lastHeartbeatTime=now, lastTransitionTime=self._ready_since,
            )
            for type_, status, reason, message in _CONDITIONS
        ]  # fmt: skip
        return core_v1.NodeStatus(
            addresses=[
                core_v1.NodeAddress(address=facts.ip, type="InternalIP"),
                core_v1.NodeAddress(address=facts.name, type="Hostname"),
            ],
            capacity=dict(facts.capacity),
            allocatable=dict(facts.capacity),
            conditions=conditions,
            daemonEndpoints=core_v1.NodeDaemonEndpoints(
                kubeletEndpoint=core_v1.DaemonEndpoint(Port=0)
            ),
            nodeInfo=core_v1.NodeSystemInfo(
                architecture=facts.architecture,
                bootID=facts.boot_id,
                containerRuntimeVersion=facts.runtime_version,
                kernelVersion=facts.kernel_version,
                kubeProxyVersion="",
                kubeletVersion=facts.kubelet_version,
                machineID=facts.machine_id,
                operatingSystem="linux",
                osImage=facts.os_image,
                systemUUID=facts.machine_id,
            ),
        )

    async def _renew(self) -> None:
        spec = coordination_v1.LeaseSpec(
            holderIdentity=self._facts.name,
            leaseDurationSeconds=LEASE_SECONDS,
            renewTime=self._clock.now(),
        )
        try:
            await self._client.patch(
                coordination_v1.Lease, self._facts.name, {"spec": {"renewTime": spec.renewTime}},
                namespace=LEASE_NAMESPACE, patch_type="merge",
            )  # fmt: skip
        except ApiError as error:
            if error.code != 404:
                raise
            meta = meta_v1.ObjectMeta(name=self._facts.name, namespace=LEASE_NAMESPACE)
            await self._client.create(coordination_v1.Lease(metadata=meta, spec=spec))
