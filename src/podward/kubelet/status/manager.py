"""Publishes statuses: only differences, in order, until the server has them (spec/health.md 5.4).

What differs in more than a condition is a transition, and none is lost: who watches sees that a container
ended, though its successor was started in the same millisecond. The rest is coalesced.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from lightkube.models import core_v1

from podward.client.base import ApiError, Client, TransportError
from podward.kubelet.status.conditions import OWNED
from podward.kubelet.status.generate import reopens

_RETRY_SECONDS = 0.5
_RETRY_LIMIT_SECONDS = 10.0
_KEPT_TRANSITIONS = 32
"""Of a Pod while the server is away; then the oldest go."""

_PASSING = (429,)
"""Beside all of 500 and more: the server did not read it, and may yet."""
_NOBODY_LEFT = (404, 409)
"""The Pod is gone, or another has its name now: nobody is left to tell."""

log = logging.getLogger(__name__)


class StatusManager:
    """The newest status of each Pod, by UID, and a task that brings the API server up to it."""

    def __init__(self, client: Client, on_written: Callable[[str], None]) -> None:
        """`on_written(uid)`: the server now has the newest status of that Pod."""
        self._client = client
        self._on_written = on_written
        self._pods: dict[str, core_v1.Pod] = {}
        self._newest: dict[str, core_v1.PodStatus] = {}
        self._written: dict[str, core_v1.PodStatus] = {}
        self._waiting: dict[str, list[core_v1.PodStatus]] = {}
        """What the server has not seen of each Pod, oldest first."""
        self._wake = asyncio.Event()

    def get(self, uid: str) -> core_v1.PodStatus | None:
        return self._newest.get(uid)

    def written(self, uid: str) -> core_v1.PodStatus | None:
        """What the server has, as far as we know."""
        return self._written.get(uid)

    def adopt(self, pod: core_v1.Pod) -> None:
        """Take the server's word for a Pod that is new to us: we may have said it before we died."""
        uid = _uid(pod)
        self._pods[uid] = pod
        if uid not in self._newest and pod.status is not None:
            self._newest[uid] = self._written[uid] = pod.status

    def publish(self, pod: core_v1.Pod, status: core_v1.PodStatus) -> bool:
        """Make it the newest; False if nothing changed."""
        uid = _uid(pod)
        self._pods[uid] = pod
        known = self._newest.get(uid)
        if known is not None and known == status and uid in self._written:
            return False
        if known is not None and reopens(pod, known, status):
            log.error("the status of %s takes back the end of a container: dropped", uid)
            return False
        self._newest[uid] = status
        waiting = self._waiting.setdefault(uid, [])
        if waiting and _story(waiting[-1]) == _story(status):
            waiting[-1] = status
        else:
            waiting.append(status)
            del waiting[:-_KEPT_TRANSITIONS]
        self._wake.set()
        return True

    def forget(self, uid: str) -> None:
        for held in (self._pods, self._newest, self._written, self._waiting):
            held.pop(uid, None)

    async def run(self) -> None:
        delay = _RETRY_SECONDS
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                uid = next(iter(self._waiting))
                try:
                    await self._write_next(uid)
                    delay = _RETRY_SECONDS
                except TransportError as error:
                    log.warning("cannot publish the status of %s: %s", uid, error)
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, _RETRY_LIMIT_SECONDS)

    async def flush(self) -> None:
        """Write what is waiting, once; for an orderly end."""
        for uid in list(self._waiting):
            try:
                while uid in self._waiting:
                    await self._write_next(uid)
            except TransportError as error:
                log.warning("cannot publish the status of %s: %s", uid, error)

    async def _write_next(self, uid: str) -> None:
        """The oldest that waits; the Pod then goes behind the others. `TransportError`: it still waits."""
        waiting = self._waiting[uid]
        status = waiting[0]
        accepted = await self._write(uid, status)
        if self._waiting.get(uid) is not waiting:
            return  # forgotten meanwhile
        if waiting and waiting[0] is status:
            del waiting[0]
        del self._waiting[uid]
        if waiting:
            self._waiting[uid] = waiting
        if accepted:
            self._written[uid] = status
            if not waiting:
                self._on_written(uid)

    async def _write(self, uid: str, status: core_v1.PodStatus) -> bool:
        """False if the server does not want it."""
        pod = self._pods.get(uid)
        if pod is None or pod.metadata is None:
            return False
        patch = _difference(self._written.get(uid), status)
        if not patch:
            return True
        try:
            await self._client.patch(
                core_v1.Pod,
                pod.metadata.name or "",
                {"metadata": {"uid": uid}, "status": patch},
                namespace=pod.metadata.namespace or "",
                subresource="status",
            )
        except ApiError as error:
            if error.code in _PASSING or error.code >= 500:
                raise TransportError(str(error)) from error
            if error.code not in _NOBODY_LEFT:
                log.warning("the status of %s was refused: %s", uid, error)
            return False
        return True


def _story(status: core_v1.PodStatus) -> object:
    """What makes a status a transition: the phase, and what each container's state is."""

    def told(one: core_v1.ContainerStatus) -> object:
        state = one.state or core_v1.ContainerState()
        waiting = state.waiting.reason if state.waiting else None
        kind = (state.running is not None, state.terminated is not None, waiting)
        return one.name, one.containerID, one.restartCount, one.ready, kind

    listed = (*(status.initContainerStatuses or ()), *(status.containerStatuses or ()))
    return status.phase, [told(one) for one in listed]


def _difference(old: core_v1.PodStatus | None, new: core_v1.PodStatus) -> dict[str, object]:
    """A strategic merge patch from `old` to `new`, field by field; a field that is gone becomes null."""
    old = old if old is not None else core_v1.PodStatus()
    patch: dict[str, object] = {}
    for name in new.__struct_fields__:
        value = getattr(new, name)
        if value != getattr(old, name):
            patch[name] = _plain(value)
    if "conditions" in patch:
        patch |= _conditions_patch(_plain(old.conditions or ()), _plain(new.conditions or ()))
    return patch


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, builtin_types=(datetime,))


def _conditions_patch(before: Sequence[Any], after: Sequence[Any]) -> dict[str, object]:
    """Ours only: what others say of the Pod is theirs to change. They are merged by type, in our order."""
    names = [condition["type"] for condition in after]
    gone = [c["type"] for c in before if c["type"] in OWNED and c["type"] not in names]
    # What is not said any more must be taken back, or the merge keeps it.
    ours = [{"reason": None, "message": None, **c} for c in after if c["type"] in OWNED]
    return {
        "$setElementOrder/conditions": [{"type": name} for name in names],
        "conditions": [*ours, *({"$patch": "delete", "type": name} for name in gone)],
    }


def _uid(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.uid) or ""
