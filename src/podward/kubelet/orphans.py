"""What is left of Pods that the API does not know, e.g. deleted by force while we were dead.

The runtime remembers their sandboxes, folders their volumes and logs: `pods/UID` and `logs/NAMESPACE_NAME_UID`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from lightkube.models import core_v1, meta_v1

from podward.kubelet.runtime.base import Runtime, RuntimeFailure, RuntimeUnavailable, SandboxStatus

GRACE_SECONDS = 2.0

log = logging.getLogger(__name__)


class OrphanRemover:
    def __init__(
        self,
        runtime: Runtime,
        root: Path,
        *,
        known: Callable[[str], bool],
        remove_folders: Callable[[core_v1.Pod], None],
        remove_cgroup: Callable[[str], Awaitable[None]],
    ) -> None:
        """`known`: whether a Pod of that UID is looked after by somebody else."""
        self._runtime = runtime
        self._root = root
        self._known = known
        self._remove_folders = remove_folders
        self._remove_cgroup = remove_cgroup

    async def remove(self) -> None:
        sandboxes = await self._runtime.list_pod_sandboxes()
        stay = set()
        for sandbox in sandboxes:
            uid = sandbox.config.pod_uid
            if self._known(uid):
                continue
            try:
                await self._remove(sandbox)
            except RuntimeUnavailable:
                raise
            except RuntimeFailure as error:
                stay.add(uid)
                log.warning("cannot remove orphaned pod %s: %s", sandbox.config.pod_name, error)
        for pod in remains(self._root):
            uid = (pod.metadata and pod.metadata.uid) or ""
            if uid not in stay and not self._known(uid):
                self._remove_folders(pod)

    async def _remove(self, sandbox: SandboxStatus) -> None:
        log.warning("removing orphaned pod %s", sandbox.config.pod_name)
        inside = await self._runtime.list_containers(sandbox.config.pod_uid)
        await asyncio.gather(
            *(
                self._runtime.stop_container(one.id, GRACE_SECONDS)
                for one in inside
                if one.sandbox_id == sandbox.id
            )
        )
        await self._runtime.remove_pod_sandbox(sandbox.id)
        await self._remove_cgroup(sandbox.config.cgroup_parent)


def remains(root: Path) -> Iterator[core_v1.Pod]:
    """Every Pod that has a folder, as far as the folder's name tells of it."""
    for folder in _folders(root / "logs"):
        parts = folder.split("_")
        if len(parts) == 3:  # no name may have an underscore
            namespace, name, uid = parts
            yield core_v1.Pod(metadata=meta_v1.ObjectMeta(name=name, namespace=namespace, uid=uid))
    for uid in _folders(root / "pods"):
        yield core_v1.Pod(metadata=meta_v1.ObjectMeta(uid=uid))


def _folders(place: Path) -> list[str]:
    return sorted(one.name for one in place.iterdir() if one.is_dir()) if place.is_dir() else []
