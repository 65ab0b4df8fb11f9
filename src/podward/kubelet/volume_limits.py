"""emptyDirs that hold more than they may: their Pod is evicted (spec/health.md 6.4).

Looked at every ten seconds, as a kubelet does, while there is a Pod with a `sizeLimit`; nobody is woken
otherwise. What lies in memory cannot grow beyond its limit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from lightkube.models import core_v1

from podward.kubelet.volume_empty_dirs import size_limit, used_bytes

LOOK_SECONDS = 10.0
_SYSTEM_CRITICAL = 2_000_000_000
"""A Pod of this priority or more is not evicted."""


class Aside(Protocol):
    """Where what takes long is done: in a thread, where there are threads."""

    def __call__(self, work: Callable[[], int], /) -> Awaitable[int]: ...


async def in_the_loop(work: Callable[[], int]) -> int:
    return work()


@dataclass(frozen=True, slots=True)
class _Followed:
    limits: Mapping[str, tuple[Path, int, str]]
    """Volume -> where it lies, its limit in bytes, and as it is written."""
    evict: Callable[[str], None]


class VolumeLimits:
    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._followed: dict[str, _Followed] = {}
        self._somebody = asyncio.Event()

    def follow(self, pod: core_v1.Pod, volumes: Path, evict: Callable[[str], None]) -> None:
        """`evict(message)` is called once, when one of its volumes, which lie in `volumes`, is too large."""
        uid = (pod.metadata and pod.metadata.uid) or ""
        if (
            uid in self._followed
            or pod.spec is None
            or (pod.spec.priority or 0) >= _SYSTEM_CRITICAL
        ):
            return
        limits = {}
        for volume in pod.spec.volumes or ():
            source = volume.emptyDir
            if source is not None and size_limit(source) > 0:
                place = volumes / volume.name
                limits[volume.name] = place, size_limit(source), str(source.sizeLimit)
        if limits:
            self._followed[uid] = _Followed(limits, evict)
            self._somebody.set()

    def forget(self, uid: str) -> None:
        self._followed.pop(uid, None)
        if not self._followed:
            self._somebody.clear()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._somebody.wait()
            await asyncio.sleep(LOOK_SECONDS)
            for uid, followed in list(self._followed.items()):
                message = await self._look(followed)
                if message and uid in self._followed:
                    self.forget(uid)
                    followed.evict(message)

    async def _look(self, followed: _Followed) -> str:
        for name, (place, limit, written) in followed.limits.items():
            if await self._aside(partial(used_bytes, place)) > limit:
                return f'Usage of EmptyDir volume "{name}" exceeds the limit "{written}". '
        return ""
