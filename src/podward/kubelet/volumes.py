"""A Pod's volumes on this machine: set up, brought up to date, mounted, torn down.

    volumes/{volume}                              what a container mounts
    volumes-ready/{volume}                        an emptyDir that was made, once
    volume-subpaths/{volume}/{container}/{index}  a part of one, for one mount of one container

A volume made of files follows its source while containers run. A mount of a part of it (`subPath`) does not: it
stands for what was there when the container was started.

With a `Mounter` (we are root) it is done as a kubelet does it: what may be secret lies in memory, `fsGroup`
owns, a part is bound where no link can lead it away. Without one, volumes are plain directories of ours.
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightkube.models import core_v1

from podward.kubelet.environment import ConfigError
from podward.kubelet.restart_policy import (
    ephemeral_containers,
    init_containers,
    regular_containers,
)
from podward.kubelet.runtime.base import Mount, MountPropagation
from podward.kubelet.volume_empty_dirs import give_directory, set_up
from podward.kubelet.volume_host_paths import host_path
from podward.kubelet.volume_mounter import Mounter
from podward.kubelet.volume_plan import (
    NOBODY,
    Facts,
    Objects,
    SourceUnreachable,
    VolumeError,
    kept_in_memory,
    made_of_files,
    owner_of,
    plan_files,
    refusal,
)
from podward.kubelet.volume_subpaths import clear, copy_part, mount_part, open_part
from podward.kubelet.volume_writer import write_files
from podward.machinery.quantity import parse_quantity
from podward.probes.exec import expand
from podward.probes.ports import errno_text

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """One volume that fails keeps no other from being set up."""

    places: dict[str, Path] = field(default_factory=dict)
    """Volume name -> where it lies on this machine."""
    failures: list[VolumeError] = field(default_factory=list)


class Volumes:
    """The volumes of one Pod, below `root`."""

    def __init__(self, root: Path, mounter: Mounter | None) -> None:
        self._root = root / "volumes"
        self._ready = root / "volumes-ready"
        self._parts = root / "volume-subpaths"
        self._mounter = mounter

    # ---- what containers mount

    def set_up(
        self, pod: core_v1.Pod, objects: Objects, facts: Facts, *, running: bool = False
    ) -> Outcome:
        """Makes them, and brings files up to date. `running`: only that; what fails stays as it was. What no
        container mounts is left alone."""
        assert pod.spec is not None
        outcome = Outcome()
        mounted = {mount.name for mount in _mounts(pod)}
        for volume in pod.spec.volumes or ():
            if volume.name not in mounted or (running and not made_of_files(volume)):
                continue
            try:
                outcome.places[volume.name] = self._set_up(pod, volume, objects, facts)
            except (VolumeError, OSError) as error:
                reason = errno_text(error) if isinstance(error, OSError) else str(error)
                text = f'MountVolume.SetUp failed for volume "{volume.name}" : {reason}'
                unreachable = isinstance(error, SourceUnreachable)
                failure = SourceUnreachable(text) if unreachable else VolumeError(text)
                outcome.failures.append(failure)
        return outcome

    def _set_up(
        self, pod: core_v1.Pod, volume: core_v1.Volume, objects: Objects, facts: Facts
    ) -> Path:
        if volume.hostPath is not None:
            return host_path(volume.hostPath)
        place = self._root / volume.name
        owner = owner_of(pod) if self._mounter is not None else NOBODY
        if volume.emptyDir is not None:
            set_up(
                pod, volume.emptyDir, place, self._ready / volume.name, mounter=self._mounter,
                group=owner.group, node_memory=int(parse_quantity(facts.capacity.get("memory", "0"))),
            )  # fmt: skip
        else:
            files = plan_files(pod, volume, objects, facts, owner)
            if files is None:
                raise refusal(volume)
            if self._mounter is not None:
                self._make_room(volume, place, self._mounter, owner.group)
            write_files(place, files, owner.group)
        if self._mounter is not None and volume.name in _shared(pod):
            self._mounter.share(place)
        return place

    def _make_room(
        self, volume: core_v1.Volume, place: Path, mounter: Mounter, group: int | None
    ) -> None:
        """For files. What containers have mounted already stays where it is."""
        if place.exists() and (mounter.is_mounted(place) or any(place.iterdir())):
            return
        place.mkdir(parents=True, exist_ok=True)
        if kept_in_memory(volume):
            mounter.tmpfs(place, swapped=False)
        mode = 0o1777 if kept_in_memory(volume) else 0o777
        give_directory(place, mode, group, writable=False)

    def tear_down(self) -> None:
        """Once nothing of the Pod runs: all of it goes, and nothing that was only mounted there."""
        if self._mounter is not None:
            self._mounter.unmount_below(self._root.parent)
        for folder in (self._root, self._ready, self._parts):
            shutil.rmtree(folder, ignore_errors=True)

    # ---- where a container mounts them

    def mounts(
        self,
        pod: core_v1.Pod,
        container: core_v1.Container,
        places: Mapping[str, Path],
        env: Mapping[str, str],
        *,
        recursive: bool,
    ) -> list[Mount]:
        """Of a container that is about to be created. `recursive`: the runtime can make mounts read-only with
        all that is mounted below them."""
        assert pod.spec is not None
        written = {v.name for v in pod.spec.volumes or () if made_of_files(v)}
        mounts = []
        for index, mount in enumerate(container.volumeMounts or ()):
            place = places.get(mount.name)
            if place is None:
                raise ConfigError(f'cannot find volume "{mount.name}" to mount into container')
            ours = mount.name in written
            part = _part_named(mount, env)
            if part:
                spot = self._parts / mount.name / container.name / str(index)
                try:
                    place = self._part(place, part, spot, ours)
                except (OSError, VolumeError) as error:
                    # Told to us, not to the user: it would say what this machine has.
                    text = f'volumeMount "{mount.name}" of container "{container.name}"'
                    log.warning("subPath of %s: %s", text, error)
                    raise ConfigError(f"failed to prepare subPath for {text}") from error
            read_only = bool(mount.readOnly) or ours
            mounts.append(
                Mount(
                    str(place),
                    mount.mountPath,
                    read_only,
                    MountPropagation(mount.mountPropagation or "None"),
                    _recursively(mount, read_only, recursive),
                )
            )
        return mounts

    def _part(self, volume: Path, part: str, spot: Path, ours: bool) -> Path:
        try:
            held, place = open_part(volume, part, make=not ours)
        except FileNotFoundError:
            if not ours:
                raise
            clear(self._mounter, spot)
            spot.mkdir(parents=True)
            return spot
        try:
            if self._mounter is not None:
                mount_part(self._mounter, held, spot)
                return spot
        finally:
            os.close(held)
        if ours:
            copy_part(place, spot)
            return spot
        return place


def _part_named(mount: core_v1.VolumeMount, env: Mapping[str, str]) -> str:
    """Empty for the whole volume. A path of variables must have them all, and lead down."""
    part = mount.subPath or ""
    if mount.subPathExpr:
        known = _Noticing(env)
        part = expand(mount.subPathExpr, known)
        if known.missed:
            raise ConfigError(f"missing value for {', '.join(sorted(known.missed))}")
    if part.startswith("/"):
        raise ConfigError(f"error SubPath `{part}` must not be an absolute path")
    if ".." in part.split("/"):
        raise ConfigError(f"unable to provision SubPath `{part}`: must not contain '..'")
    return part


class _Noticing(dict[str, str]):
    """Variables, and which of those asked for are not there or are empty."""

    def __init__(self, known: Mapping[str, str]) -> None:
        super().__init__(known)
        self.missed: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        found = super().get(name)
        if not found:
            self.missed.add(name)
        return found if found is not None else default


def _shared(pod: core_v1.Pod) -> set[str]:
    """The volumes that pass on what is mounted in them."""
    return {m.name for m in _mounts(pod) if (m.mountPropagation or "None") != "None"}


def _mounts(pod: core_v1.Pod) -> Iterator[core_v1.VolumeMount]:
    for container in (*init_containers(pod), *regular_containers(pod), *ephemeral_containers(pod)):
        yield from container.volumeMounts or ()


def asks_for_recursion(container: core_v1.Container) -> bool:
    return any(
        (mount.recursiveReadOnly or "Disabled") != "Disabled"
        for mount in container.volumeMounts or ()
    )


def _recursively(mount: core_v1.VolumeMount, read_only: bool, able: bool) -> bool:
    wanted = mount.recursiveReadOnly or "Disabled"
    if wanted == "Disabled":
        return False
    asked = (
        f'failed to resolve recursive read-only mode: volume "{mount.name}" requested recursive '
        f"read-only mode, but it is not"
    )
    if not read_only:
        raise ConfigError(f"{asked} read-only")
    if (mount.mountPropagation or "None") != "None":
        raise ConfigError(f'{asked} compatible with propagation "{mount.mountPropagation}"')
    if wanted == "Enabled" and not able:
        raise ConfigError(f"{asked} supported by the runtime")
    return able
