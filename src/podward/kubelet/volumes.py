"""A Pod's volumes on this machine: set up, brought up to date, mounted, torn down.

A volume made of files follows its source while containers run. A mount of a part of it (`subPath`) does not: it
stands for what was there when the container was started.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightkube.models import core_v1

from podward.kubelet.environment import ConfigError
from podward.kubelet.runtime.base import Mount
from podward.kubelet.volume_plan import (
    Facts,
    Objects,
    SourceUnreachable,
    VolumeError,
    below,
    made_of_files,
    plan_files,
)
from podward.kubelet.volume_writer import write_files
from podward.probes.exec import expand
from podward.probes.ports import errno_text


@dataclass(slots=True)
class Outcome:
    """One volume that fails keeps no other from being set up."""

    places: dict[str, Path] = field(default_factory=dict)
    """Volume name -> where it lies on this machine."""
    failures: list[VolumeError] = field(default_factory=list)


class Volumes:
    """The volumes of one Pod, below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root / "volumes"
        self._parts = root / "volume-subpaths"

    def set_up(
        self, pod: core_v1.Pod, objects: Objects, facts: Facts, *, running: bool = False
    ) -> Outcome:
        """Makes them, and brings files up to date. `running`: only that; what fails stays as it was."""
        assert pod.spec is not None
        outcome = Outcome()
        for volume in pod.spec.volumes or ():
            if running and not made_of_files(volume):
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
            return _host_path(volume.hostPath)
        place = self._root / volume.name
        if volume.emptyDir is not None:
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o777)
            return place
        files = plan_files(pod, volume, objects, facts)
        if files is None:
            raise VolumeError("its kind of source is not served here")
        write_files(place, files)
        return place

    def mounts(
        self,
        pod: core_v1.Pod,
        container: core_v1.Container,
        places: Mapping[str, Path],
        env: Mapping[str, str],
    ) -> list[Mount]:
        """Of a container that is about to be created."""
        assert pod.spec is not None
        written = {v.name for v in pod.spec.volumes or () if made_of_files(v)}
        mounts = []
        for index, mount in enumerate(container.volumeMounts or ()):
            place = places.get(mount.name)
            if place is None:
                raise ConfigError(f'cannot find volume "{mount.name}" to mount into container')
            ours = mount.name in written
            part = expand(mount.subPathExpr, env) if mount.subPathExpr else mount.subPath
            if part:
                place = place / below(part)
                if ours:
                    spot = self._parts / mount.name / container.name / str(index)
                    place = _pin(place, spot)
                elif not place.exists():
                    place.mkdir(parents=True)
            mounts.append(Mount(str(place), mount.mountPath, bool(mount.readOnly) or ours))
        return mounts


def _pin(part: Path, spot: Path) -> Path:
    """What `part` leads to now, at a place where no later swap reaches it: the same files, by other names.

    A kubelet mounts it there, which takes root.
    """
    if spot.is_dir():
        shutil.rmtree(spot)
    else:
        spot.unlink(missing_ok=True)
    spot.parent.mkdir(parents=True, exist_ok=True)
    found = part.resolve()
    if found.is_dir():
        shutil.copytree(found, spot, copy_function=os.link)
    elif found.exists():
        os.link(found, spot)
    else:
        spot.mkdir()
    return spot


def _host_path(source: core_v1.HostPathVolumeSource) -> Path:
    path, kind = Path(source.path), source.type or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
    elif kind == "FileOrCreate":
        path.touch(mode=0o644, exist_ok=True)
    checks = {
        "Directory": path.is_dir, "DirectoryOrCreate": path.is_dir, "File": path.is_file,
        "FileOrCreate": path.is_file, "Socket": path.is_socket, "CharDevice": path.is_char_device,
        "BlockDevice": path.is_block_device,
    }  # fmt: skip
    if kind in checks and not checks[kind]():
        raise VolumeError(f"hostPath type check failed: {path} is not a {kind}")
    if not kind and not path.exists():
        path.mkdir(mode=0o755, parents=True)  # as engines do for a path that is not checked
    return path
