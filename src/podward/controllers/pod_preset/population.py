"""Pods and namespaces as the status of presets needs them; watched only while there are presets.

A simulation of a hundred Pods for a day has no preset, and must not pay for one.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from lightkube.models import core_v1

from podward.client.base import Client
from podward.client.informer import Informer
from podward.controllers.pod_preset.status import PodFacts, facts_of, has_ended
from podward.machinery.clock import Clock
from podward.machinery.entropy import Entropy

Change = Literal["ADDED", "MODIFIED", "DELETED"]


class Population:
    """`pod_changed` hears what a Pod was and is to presets, if that is not the same; `others_changed` that
    all have come, or that a namespace has other labels."""

    def __init__(
        self,
        client: Client,
        clock: Clock,
        entropy: Entropy,
        *,
        count_pods: bool,
        pod_changed: Callable[[PodFacts | None, PodFacts | None], None],
        others_changed: Callable[[], None],
    ) -> None:
        self._client = client
        self._clock = clock
        self._entropy = entropy
        self.counts_pods = count_pods
        self._pod_changed = pod_changed
        self._others_changed = others_changed
        self._watches: list[asyncio.Task[None]] = []
        self._pods: dict[str, dict[str, PodFacts]] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.ready = False
        """All Pods and namespaces are known."""

    @property
    def watching(self) -> bool:
        return bool(self._watches)

    def start(self, tasks: asyncio.TaskGroup) -> None:
        namespaces = Informer(
            self._client, core_v1.Namespace, clock=self._clock, entropy=self._entropy
        )
        self._watches = [tasks.create_task(namespaces.run(self._hear_namespace))]
        synced = [namespaces.synced]
        if self.counts_pods:
            pods = Informer(self._client, core_v1.Pod, clock=self._clock, entropy=self._entropy)
            self._watches.append(tasks.create_task(pods.run(self._hear_pod)))
            synced.append(pods.synced)
        self._watches.append(tasks.create_task(self._await_all(synced)))

    def stop(self) -> None:
        for watch in self._watches:
            watch.cancel()
        self._watches = []
        self._pods = {}
        self.namespaces = {}
        self.ready = False

    def pods(self, namespace: str = "") -> Sequence[PodFacts]:
        """Of all namespaces if none is named."""
        if namespace:
            return list(self._pods.get(namespace, {}).values())
        return [pod for pods in self._pods.values() for pod in pods.values()]

    async def _await_all(self, synced: Sequence[asyncio.Event]) -> None:
        for event in synced:
            await event.wait()
        self.ready = True
        self._others_changed()

    def _hear_namespace(self, change: Change, namespace: core_v1.Namespace) -> None:
        meta = namespace.metadata
        name, labels = (meta and meta.name) or "", dict((meta and meta.labels) or {})
        before = self.namespaces.get(name)
        if change == "DELETED":
            self.namespaces.pop(name, None)
        else:
            self.namespaces[name] = labels
        if self.ready and before != self.namespaces.get(name):
            self._others_changed()

    def _hear_pod(self, change: Change, pod: core_v1.Pod) -> None:
        meta = pod.metadata
        namespace, name = (meta and meta.namespace) or "", (meta and meta.name) or ""
        pods = self._pods.setdefault(namespace, {})
        before = pods.get(name)
        if change == "DELETED":
            pods.pop(name, None)
            if not pods:
                del self._pods[namespace]
            after = None
        elif before is not None and _alike(before.pod, pod):
            return
        else:
            after = pods[name] = facts_of(pod)
        if before != after:
            self._pod_changed(before, after)


def _alike(before: core_v1.Pod, now: core_v1.Pod) -> bool:
    """Most changes of a Pod are its kubelet's, and nothing to presets: that is to be seen at a glance."""
    return (
        before.metadata is not None
        and now.metadata is not None
        and before.metadata.uid == now.metadata.uid
        and before.metadata.labels == now.metadata.labels
        and before.metadata.annotations == now.metadata.annotations
        and has_ended(before) == has_ended(now)
    )
