"""Publishes statuses: coalesced, only differences, in order, until the server has them (spec/health.md 5.4)."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

import msgspec
from lightkube.models import core_v1

from podward.client.base import ApiError, Client, TransportError
from podward.kubelet.status.generate import statuses_equal

_RETRY_SECONDS = 0.5
_RETRY_LIMIT_SECONDS = 10.0

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
        self._dirty: dict[str, None] = {}
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
        if known is not None and statuses_equal(known, status) and uid in self._written:
            return False
        self._newest[uid] = status
        self._dirty[uid] = None
        self._wake.set()
        return True

    def forget(self, uid: str) -> None:
        for held in (self._pods, self._newest, self._written, self._dirty):
            held.pop(uid, None)

    async def run(self) -> None:
        delay = _RETRY_SECONDS
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._dirty:
                uid = next(iter(self._dirty))
                del self._dirty[uid]
                try:
                    await self._write(uid)
                    delay = _RETRY_SECONDS
                except TransportError as error:
                    log.warning("cannot publish the status of %s: %s", uid, error)
                    self._dirty[uid] = None
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, _RETRY_LIMIT_SECONDS)

    async def flush(self) -> None:
        """Write what is waiting, once; for an orderly end."""
        for uid in list(self._dirty):
            del self._dirty[uid]
            try:
                await self._write(uid)
            except TransportError as error:
                log.warning("cannot publish the status of %s: %s", uid, error)

    async def _write(self, uid: str) -> None:
        pod, status = self._pods.get(uid), self._newest.get(uid)
        if pod is None or status is None or pod.metadata is None:
            return
        patch = _difference(self._written.get(uid), status)
        if patch:
            body = {"metadata": {"uid": uid}, "status": patch}
            try:
                await self._client.patch(
                    core_v1.Pod,
                    pod.metadata.name or "",
                    body,
                    namespace=pod.metadata.namespace or "",
                    subresource="status",
                )
            except ApiError as error:
                if error.code in (404, 409):
                    return  # gone, or another Pod has its name now: nobody is left to tell
                log.warning("the status of %s was refused: %s", uid, error)
                return
        self._written[uid] = status
        self._on_written(uid)


def _difference(old: core_v1.PodStatus | None, new: core_v1.PodStatus) -> dict[str, object]:
    """A strategic merge patch from `old` to `new`, field by field; a field that is gone becomes null."""
    before = msgspec.to_builtins(old, builtin_types=(datetime,)) if old is not None else {}
    after = msgspec.to_builtins(new, builtin_types=(datetime,))
    patch = {name: value for name, value in after.items() if before.get(name) != value}
    patch |= {name: None for name in before if name not in after}
    if "conditions" in patch:
        # Merged by type, they would keep the order in which the server first heard of them.
        order = [{"type": condition["type"]} for condition in after["conditions"]]
        patch["$setElementOrder/conditions"] = order
    return patch


def _uid(pod: core_v1.Pod) -> str:
    return (pod.metadata and pod.metadata.uid) or ""
