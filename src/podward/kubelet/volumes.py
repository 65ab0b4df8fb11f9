"""A Pod's volumes: what files they hold (pure), and putting them there.

Volumes made of files are written as the kubelet writes them: a new directory beside the old one, then one
rename of the `..data` link; a reader sees all of the old or all of the new.
"""

import base64
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightkube.models import core_v1

from podward.kubelet.environment import ConfigError, field_value, resource_value
from podward.kubelet.runtime.base import Mount
from podward.probes.exec import expand


class VolumeError(Exception):
    """The volume cannot be set up (event `FailedMount`)."""


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int


Objects = Callable[[str, str], core_v1.ConfigMap | core_v1.Secret | None]
"""(`configmap` or `secret`, name) -> the object."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What downward-API files may tell."""

    pod_ip: str
    node_ip: str
    capacity: Mapping[str, str]


def plan_files(
    pod: core_v1.Pod, volume: core_v1.Volume, objects: Objects, facts: Facts
) -> dict[str, File] | None:
    """Path -> file, for volumes that are made of files; None for the others."""
    if volume.configMap is not None:
        source = volume.configMap
        return _keyed(
            _payload(objects, "configmap", source.name or "", bool(source.optional)),
            source.items, source.defaultMode or 0o644, bool(source.optional),
        )  # fmt: skip
    if volume.secret is not None:
        secret = volume.secret
        return _keyed(
            _payload(objects, "secret", secret.secretName or "", bool(secret.optional)),
            secret.items, secret.defaultMode or 0o644, bool(secret.optional),
        )  # fmt: skip
    if volume.downwardAPI is not None:
        mode = volume.downwardAPI.defaultMode or 0o644
        return _downward(pod, volume.downwardAPI.items, mode, facts)
    if volume.projected is not None:
        files: dict[str, File] = {}
        mode = volume.projected.defaultMode or 0o644
        for part in volume.projected.sources or ():
            files |= _projection(pod, part, mode, objects, facts)
        return files
    return None


def _projection(
    pod: core_v1.Pod, part: core_v1.VolumeProjection, mode: int, objects: Objects, facts: Facts
) -> dict[str, File]:
    for kind, source in (("configmap", part.configMap), ("secret", part.secret)):
        if source is not None:
            optional = bool(source.optional)
            payload = _payload(objects, kind, source.name or "", optional)
            return _keyed(payload, source.items, mode, optional)
    if part.downwardAPI is not None:
        return _downward(pod, part.downwardAPI.items, mode, facts)
    raise VolumeError(
        "projected volumes of configMap, secret and downwardAPI are served; no others"
    )


def _payload(objects: Objects, kind: str, name: str, optional: bool) -> dict[str, bytes]:
    found = objects(kind, name)
    if found is None:
        if optional:
            return {}
        raise VolumeError(f'{kind} "{name}" not found')
    if isinstance(found, core_v1.Secret):
        return {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
    texts = {key: text.encode() for key, text in (found.data or {}).items()}
    return texts | {k: base64.b64decode(v) for k, v in (found.binaryData or {}).items()}


def _keyed(
    payload: Mapping[str, bytes],
    items: Sequence[core_v1.KeyToPath] | None,
    mode: int,
    optional: bool,
) -> dict[str, File]:
    if not items:
        return {key: File(data, mode) for key, data in payload.items()}
    files = {}
    for item in items:
        if item.key not in payload:
            if optional:
                continue
            raise VolumeError(f"references non-existent config key: {item.key}")
        files[_safe(item.path)] = File(payload[item.key], item.mode or mode)
    return files


def _downward(
    pod: core_v1.Pod,
    items: Sequence[core_v1.DownwardAPIVolumeFile] | None,
    mode: int,
    facts: Facts,
) -> dict[str, File]:
    files = {}
    for item in items or ():
        try:
            if item.fieldRef is not None:
                text = field_value(
                    pod, item.fieldRef.fieldPath, pod_ip=facts.pod_ip, node_ip=facts.node_ip
                )
            elif item.resourceFieldRef is not None:
                assert pod.spec is not None
                first = pod.spec.containers[0]
                text = resource_value(pod, first, item.resourceFieldRef, facts.capacity)
            else:
                raise VolumeError(f"downwardAPI file {item.path} names no source")
        except ConfigError as error:
            raise VolumeError(str(error)) from error
        files[_safe(item.path)] = File(text.encode(), item.mode or mode)
    return files


def _safe(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/"):
        raise VolumeError(f"{path}: must be a relative path without '..'")
    return path


# ---- putting them there


class Volumes:
    """The volumes of one Pod, below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def set_up(self, pod: core_v1.Pod, objects: Objects, facts: Facts) -> dict[str, Path]:
        """Volume name -> where it lies on this machine; brings files up to date. `VolumeError`."""
        assert pod.spec is not None
        return {v.name: self._set_up(pod, v, objects, facts) for v in pod.spec.volumes or ()}

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
            raise VolumeError(f'volume "{volume.name}": its kind of source is not served here')
        write_files(place, files)
        return place

    def tear_down(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)


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


def write_files(place: Path, files: Mapping[str, File]) -> None:
    """Swap the volume's content for `files`, if it differs."""
    place.mkdir(parents=True, exist_ok=True)
    link = place / "..data"
    current = place / os.readlink(link) if link.is_symlink() else None
    if current is not None and _holds(current, files):
        return
    number = int(current.name.rpartition("_")[2]) + 1 if current is not None else 0
    fresh = place / f"..files_{number}"
    shutil.rmtree(fresh, ignore_errors=True)
    for name, file in files.items():
        target = fresh / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.data)
        target.chmod(file.mode)
    fresh.mkdir(exist_ok=True)
    swapped = place / "..data_new"
    swapped.unlink(missing_ok=True)
    swapped.symlink_to(fresh.name)
    swapped.rename(link)
    tops = {name.split("/")[0] for name in files}
    for top in tops:
        if not (place / top).is_symlink():
            (place / top).symlink_to(f"..data/{top}")
    for entry in place.iterdir():
        if not entry.name.startswith("..") and entry.name not in tops:
            entry.unlink()
    if current is not None:
        shutil.rmtree(current, ignore_errors=True)


def _holds(folder: Path, files: Mapping[str, File]) -> bool:
    held = {
        str(path.relative_to(folder)): File(path.read_bytes(), path.stat().st_mode & 0o777)
        for path in folder.rglob("*")
        if path.is_file()
    }
    return held == dict(files)


def container_mounts(
    container: core_v1.Container, volumes: Mapping[str, Path], env: Mapping[str, str]
) -> list[Mount]:
    mounts = []
    for mount in container.volumeMounts or ():
        place = volumes.get(mount.name)
        if place is None:
            raise ConfigError(f'cannot find volume "{mount.name}" to mount into container')
        below = expand(mount.subPathExpr, env) if mount.subPathExpr else mount.subPath
        if below:
            place = place / _safe(below)
            if not place.exists():
                place.mkdir(parents=True)
        mounts.append(Mount(str(place), mount.mountPath, bool(mount.readOnly)))
    return mounts
