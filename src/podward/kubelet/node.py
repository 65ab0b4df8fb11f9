"""The node as the API shows it: what it is, that it is ready, and a lease that says it is alive."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lightkube.models import coordination_v1, core_v1, meta_v1

from podward.client.base import ApiError, Client, TransportError
from podward.kubelet.runtime.base import RuntimeFailure
from podward.machinery.clock import Clock, whole_seconds

LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
STATUS_SECONDS = 300.0
RUNTIME_SECONDS = 5.0
"""Between looks at the runtime; what they find is told at once."""
RUNTIME_GONE_SECONDS = 30.0
"""For so long a runtime may be away, e.g. to be started again, and the node is ready all the same."""
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


Condition = tuple[str, str, str, str]
"""(type, status, reason, message)."""

_PRESSURES: tuple[Condition, ...] = (
    (
        "MemoryPressure",
        "False",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
    ),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
)


def ready_condition(problem: str | None) -> Condition:
    if problem is None:
        return "Ready", "True", "KubeletReady", "kubelet is posting ready status"
    return "Ready", "False", "KubeletNotReady", problem


class RuntimeWatch:
    """Whether Pods can be run, in the words of the node's condition."""

    def __init__(self, problem: Callable[[], Awaitable[str | None]], clock: Clock) -> None:
        self._ask = problem
        self._clock = clock
        self._answered = clock.monotonic()

    async def problem(self) -> str | None:
        """What a runtime that answers tells counts at once; that it does not answer, after a while."""
        try:
            found = await self._ask()
        except RuntimeFailure as error:
            if self._clock.monotonic() - self._answered < RUNTIME_GONE_SECONDS:
                return None
            return f"container runtime is down: {error}"
        self._answered = self._clock.monotonic()
        return found


class NodeReporter:
    def __init__(
        self,
        client: Client,
        clock: Clock,
        facts: NodeFacts,
        problem: Callable[[], Awaitable[str | None]],
    ) -> None:
        """`problem`: the runtime's."""
        self._client = client
        self._clock = clock
        self._facts = facts
        self._runtime = RuntimeWatch(problem, clock)
        self._ready = ready_condition(None)
        self._since: datetime | None = None
        """When the node became ready, or ceased to be."""
        self._born: datetime | None = None
        self._news = asyncio.Event()
        self._uid = ""
        """Of the Node object: it owns the lease."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report_for_ever())
            tasks.create_task(self._watch_runtime())

    async def _watch_runtime(self) -> None:
        while True:
            found = ready_condition(await self._runtime.problem())
            if found != self._ready:
                if found[1] != self._ready[1]:
                    self._since = whole_seconds(self._clock.now())
                    tell = log.info if found[1] == "True" else log.warning
                    tell(
                        "the node is %s: %s",
                        "ready" if found[1] == "True" else "not ready",
                        found[3],
                    )
                self._ready = found
                self._news.set()
            await asyncio.sleep(RUNTIME_SECONDS)

    async def _report_for_ever(self) -> None:
        reported = -STATUS_SECONDS
        while True:
            news = self._news.is_set()
            self._news.clear()
            try:
                if news or self._clock.monotonic() - reported >= STATUS_SECONDS:
                    await self._report()
                    reported = self._clock.monotonic()
                await self._renew()
            except (ApiError, TransportError) as error:
                log.warning("cannot report the node: %s", error)
                if news:
                    self._news.set()
                await asyncio.sleep(1.0)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._news.wait()

    async def _report(self) -> None:
        facts = self._facts
        try:
            node = await self._client.get(core_v1.Node, facts.name)
        except ApiError as error:
            if error.code != 404:
                raise
            labels = {
                "kubernetes.io/arch": facts.architecture,
                "kubernetes.io/hostname": facts.name,
                "kubernetes.io/os": "linux",
            }
            meta = meta_v1.ObjectMeta(name=facts.name, labels=labels)
            node = await self._client.create(core_v1.Node(metadata=meta, spec=core_v1.NodeSpec()))
        self._uid = (node.metadata and node.metadata.uid) or ""
        await self._client.patch(
            core_v1.Node, facts.name, {"status": self._status()}, patch_type="merge",
            subresource="status",
        )  # fmt: skip

    def _status(self) -> core_v1.NodeStatus:
        facts, now = self._facts, whole_seconds(self._clock.now())
        self._born = self._born or now
        since = {"Ready": self._since or self._born}
        conditions = [
            core_v1.NodeCondition(
                type=type_, status=status, reason=reason, message=message,
                lastHeartbeatTime=now, lastTransitionTime=since.get(type_, self._born),
            )
            for type_, status, reason, message in (*_PRESSURES, self._ready)
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
        owner = meta_v1.OwnerReference(
            apiVersion="v1", kind="Node", name=self._facts.name, uid=self._uid
        )
        news = {"metadata": {"ownerReferences": [owner]}, "spec": {"renewTime": spec.renewTime}}
        try:
            await self._client.patch(
                coordination_v1.Lease, self._facts.name, news,
                namespace=LEASE_NAMESPACE, patch_type="merge",
            )  # fmt: skip
        except ApiError as error:
            if error.code != 404:
                raise
            meta = meta_v1.ObjectMeta(
                name=self._facts.name, namespace=LEASE_NAMESPACE, ownerReferences=[owner]
            )
            await self._client.create(coordination_v1.Lease(metadata=meta, spec=spec))
