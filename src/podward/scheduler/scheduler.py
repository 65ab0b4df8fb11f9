"""The scheduler's shell: watches Pods and nodes, decides (`filters.py`), binds, says so.

Signals only enqueue: a new unbound Pod, a node that changed or a Pod that ended makes it look again. One Pod
at a time, so that two Pods never count the same room.
"""

import asyncio
import logging
from typing import Literal

import msgspec
from lightkube.models import core_v1

from podward.client.base import ApiError, Client, TransportError
from podward.client.informer import Informer
from podward.client.recorder import EventRecorder, pod_reference
from podward.machinery.clock import Clock, whole_seconds
from podward.machinery.entropy import Entropy
from podward.scheduler.filters import Decision, decide

SCHEDULER_NAME = "default-scheduler"
_RETRY_SECONDS = 1.0
"""After the API could not be reached; the informers recover by themselves."""

log = logging.getLogger(__name__)

Key = tuple[str, str]


class Scheduler:
    def __init__(
        self, client: Client, clock: Clock, entropy: Entropy, recorder: EventRecorder
    ) -> None:
        self._client = client
        self._clock = clock
        self._recorder = recorder
        self._pods = Informer(client, core_v1.Pod, clock=clock, entropy=entropy)
        self._nodes = Informer(client, core_v1.Node, clock=clock, entropy=entropy)
        self._wake = asyncio.Event()
        self._assumed: dict[str, str] = {}
        """Pod UID -> node, from our binding until the watch shows it: the room is taken already."""
        self._told: dict[str, str] = {}
        """Pod UID -> the last FailedScheduling message, so that looking again is not saying again."""

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods.run(self._pod_changed))
            tasks.create_task(self._nodes.run(self._node_changed))
            tasks.create_task(self._schedule_forever())

    def _pod_changed(
        self, change: Literal["ADDED", "MODIFIED", "DELETED"], pod: core_v1.Pod
    ) -> None:
        uid = _uid(pod)
        if change == "DELETED":
            self._told.pop(uid, None)
        if change == "DELETED" or _bound(pod):
            self._assumed.pop(uid, None)
        if change == "DELETED" or not _bound(pod) or _ended(pod):
            self._wake.set()

    def _node_changed(
        self, change: Literal["ADDED", "MODIFIED", "DELETED"], node: core_v1.Node
    ) -> None:
        if any(not _bound(pod) for pod in self._pods.store.values()):
            self._wake.set()

    async def _schedule_forever(self) -> None:
        await self._pods.synced.wait()
        await self._nodes.synced.wait()
        while True:
            self._wake.clear()
            waiting = [pod for pod in self._pods.store.values() if self._is_ours(pod)]
            waiting.sort(key=_age_order)
            for pod in waiting:
                try:
                    await self._schedule(pod)
                except (ApiError, TransportError) as error:
                    self._assumed.pop(_uid(pod), None)
                    # Gone or bound meanwhile: the watch will say so. Anything else: look again.
                    if not isinstance(error, ApiError) or error.code not in (404, 409):
                        log.warning("cannot bind pod %s: %s", _key(pod), error)
                        asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._wake.set)
            await self._wake.wait()

    def _is_ours(self, pod: core_v1.Pod) -> bool:
        spec, meta = pod.spec, pod.metadata
        return (
            spec is not None
            and meta is not None
            and not _bound(pod)
            and _uid(pod) not in self._assumed
            and meta.deletionTimestamp is None
            and not _ended(pod)
            and not spec.schedulingGates
            and (spec.schedulerName or SCHEDULER_NAME) == SCHEDULER_NAME
        )

    async def _schedule(self, pod: core_v1.Pod) -> None:
        decision = decide(pod, list(self._nodes.store.values()), self._occupants())
        namespace, name = _key(pod)
        if decision.node is None:
            await self._refuse(pod, decision)
            return
        self._assumed[_uid(pod)] = decision.node
        await self._client.bind(name, namespace, decision.node)
        self._told.pop(_uid(pod), None)
        self._recorder.new_style_event(
            pod_reference(pod),
            type="Normal",
            reason="Scheduled",
            action="Binding",
            message=f"Successfully assigned {namespace}/{name} to {decision.node}",
        )

    def _occupants(self) -> dict[str, list[core_v1.Pod]]:
        by_node: dict[str, list[core_v1.Pod]] = {}
        for pod in self._pods.store.values():
            node = (pod.spec and pod.spec.nodeName) or self._assumed.get(_uid(pod))
            if node and not _ended(pod):
                by_node.setdefault(node, []).append(pod)
        return by_node

    async def _refuse(self, pod: core_v1.Pod, decision: Decision) -> None:
        if self._told.get(_uid(pod)) == decision.message:
            return
        namespace, name = _key(pod)
        condition = core_v1.PodCondition(
            type="PodScheduled",
            status="False",
            reason="Unschedulable",
            message=decision.message,
            lastTransitionTime=whole_seconds(self._clock.now()),
        )
        await self._client.patch(
            core_v1.Pod,
            name,
            {"status": {"conditions": [msgspec.to_builtins(condition)]}},
            namespace=namespace,
            subresource="status",
        )
        self._told[_uid(pod)] = decision.message
        self._recorder.new_style_event(
            pod_reference(pod),
            type="Warning",
            reason="FailedScheduling",
            action="Scheduling",
            message=decision.message,
        )


def _uid(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.uid) or ""


def _key(pod: core_v1.Pod) -> Key:
    meta = pod.metadata
    return ((meta and meta.namespace) or "", (meta and meta.name) or "")


def _bound(pod: core_v1.Pod) -> bool:
    return bool(pod.spec and pod.spec.nodeName)


def _ended(pod: core_v1.Pod) -> bool:
    return bool(pod.status and pod.status.phase in ("Succeeded", "Failed"))


def _age_order(pod: core_v1.Pod) -> tuple[str, Key]:
    created = pod.metadata and pod.metadata.creationTimestamp
    return (created.isoformat() if created else "", _key(pod))
