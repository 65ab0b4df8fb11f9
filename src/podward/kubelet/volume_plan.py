"""What files a Pod's volumes hold, and of which objects they are made. Pure."""

import base64
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lightkube.models import core_v1

from podward.kubelet.environment import ConfigError, field_value, resource_value

_MODE = 0o644

Source = tuple[str, str]
"""(`configmap` or `secret`, name)."""
Payload = Mapping[str, bytes]


class VolumeError(Exception):
    """The volume cannot be set up (event `FailedMount`)."""


class SourceUnreachable(VolumeError):
    """Nobody knows what the volume should hold: the API server does not answer."""


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    mode: int


Objects = Callable[[str, str], core_v1.ConfigMap | core_v1.Secret | None]
"""(`configmap` or `secret`, name) -> the object; None if there is none. May raise `VolumeError`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What downward-API files may tell."""

    pod_ip: str
    node_ip: str
    capacity: Mapping[str, str]


def made_of_files(volume: core_v1.Volume) -> bool:
    """Whether the kubelet writes what is in it; such a volume follows its source, and nobody else writes."""
    sources = volume.configMap, volume.secret, volume.downwardAPI, volume.projected
    return any(source is not None for source in sources)


def references(pod: core_v1.Pod) -> set[Source]:
    """The objects that the files of its volumes come from."""
    found: set[Source] = set()
    for volume in (pod.spec.volumes or ()) if pod.spec else ():
        if volume.configMap is not None:
            found.add(("configmap", volume.configMap.name or ""))
        if volume.secret is not None:
            found.add(("secret", volume.secret.secretName or ""))
        for part in (volume.projected.sources or ()) if volume.projected else ():
            if part.configMap is not None:
                found.add(("configmap", part.configMap.name or ""))
            if part.secret is not None:
                found.add(("secret", part.secret.name or ""))
    return found


def tells_of_its_pod(pod: core_v1.Pod) -> bool:
    """Whether files of its volumes say what the Pod's own fields say."""
    for volume in (pod.spec.volumes or ()) if pod.spec else ():
        parts = (volume.projected.sources or ()) if volume.projected else ()
        if volume.downwardAPI is not None or any(part.downwardAPI is not None for part in parts):
            return True
    return False


def plan_files(
    pod: core_v1.Pod, volume: core_v1.Volume, objects: Objects, facts: Facts
) -> dict[str, File] | None:
    """Path -> file, for volumes that are made of files; None for the others. `VolumeError`."""
    if volume.configMap is not None:
        source = volume.configMap
        payload = _payload(objects, "configmap", source.name, source.optional)
        return _keyed("configmap", payload, source.items, _mode(source), source.optional)
    if volume.secret is not None:
        secret = volume.secret
        payload = _payload(objects, "secret", secret.secretName, secret.optional)
        return _keyed("secret", payload, secret.items, _mode(secret), secret.optional)
    if volume.downwardAPI is not None:
        return _downward(pod, volume.downwardAPI.items, _mode(volume.downwardAPI), facts)
    if volume.projected is not None:
        return _projected(pod, volume.projected, objects, facts)
    return None


def _mode(
    source: core_v1.ConfigMapVolumeSource
    | core_v1.SecretVolumeSource
    | core_v1.DownwardAPIVolumeSource
    | core_v1.ProjectedVolumeSource,
) -> int:
    """Zero is a mode too."""
    return _MODE if source.defaultMode is None else source.defaultMode


def _projected(
    pod: core_v1.Pod, source: core_v1.ProjectedVolumeSource, objects: Objects, facts: Facts
) -> dict[str, File]:
    """All sources in one directory; of two that give one path the later wins. All that is wrong is told."""
    files: dict[str, File] = {}
    wrong: list[VolumeError] = []
    for part in source.sources or ():
        try:
            files |= _projection(pod, part, _mode(source), objects, facts)
        except VolumeError as error:
            wrong.append(error)
    unreachable = [error for error in wrong if isinstance(error, SourceUnreachable)]
    if unreachable:
        raise unreachable[0]
    texts = list(dict.fromkeys(str(error) for error in wrong))
    if texts:
        raise VolumeError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    return files


def _projection(
    pod: core_v1.Pod, part: core_v1.VolumeProjection, mode: int, objects: Objects, facts: Facts
) -> dict[str, File]:
    for kind, source in (("configmap", part.configMap), ("secret", part.secret)):
        if source is not None:
            payload = _payload(objects, kind, source.name, source.optional)
            return _keyed(kind, payload, source.items, mode, source.optional)
    if part.downwardAPI is not None:
        return _downward(pod, part.downwardAPI.items, mode, facts)
    raise VolumeError(
        "projected volumes of configMap, secret and downwardAPI are served; no others"
    )


def _payload(objects: Objects, kind: str, name: str | None, optional: bool | None) -> Payload:
    found = objects(kind, name or "")
    if found is None:
        if optional:
            return {}
        raise VolumeError(f'{kind} "{name}" not found')
    if isinstance(found, core_v1.Secret):
        return {key: base64.b64decode(value) for key, value in (found.data or {}).items()}
    texts = {key: text.encode() for key, text in (found.data or {}).items()}
    return texts | {k: base64.b64decode(v) for k, v in (found.binaryData or {}).items()}


_MISSING = {
    "configmap": "configmap references non-existent config key: ",
    "secret": "references non-existent secret key: ",
}


def _keyed(
    kind: str,
    payload: Payload,
    items: Sequence[core_v1.KeyToPath] | None,
    mode: int,
    optional: bool | None,
) -> dict[str, File]:
    if not items:
        return {key: File(data, mode) for key, data in payload.items()}
    files = {}
    for item in items:
        if item.key not in payload:
            if optional:
                continue
            raise VolumeError(_MISSING[kind] + item.key)
        files[file_path(item.path)] = File(payload[item.key], _own(item.mode, mode))
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
        files[file_path(item.path)] = File(text.encode(), _own(item.mode, mode))
    return files


def _own(mode: int | None, default: int) -> int:
    return default if mode is None else mode


def file_path(path: str) -> str:
    """Where a file lies below its volume, written one way. What begins with `..` is the kubelet's own."""
    clean = below(path)
    if clean.startswith("..") or clean == ".":
        raise VolumeError(f"{path}: must be a file's path that does not start with '..'")
    return clean


def below(path: str) -> str:
    """A path that stays below a volume, written one way."""
    if path.startswith("/") or ".." in path.split("/"):
        raise VolumeError(f"{path}: must be a relative path without '..'")
    return posixpath.normpath(path)
